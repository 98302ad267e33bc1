#include "loopback/rig.h"

#include "ledger/object.h"
#include "ledger/work.h"

#include "core/ipc.h"
#include "edge/door.h"
#include "ledger/ledger_fresh.h"
#include "ledger/limit_priv.h"
#include "ledger/receipt_priv.h"
#include "loopback/rig_tls.h"
#include "proc/catalogue_compile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char yaml[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - name: sim\n"
	"    url: http://127.0.0.1:9/v1\n"
	"    keys: [{env: RIG_KEY}]\n"
	"    pass_headers: [x-sim]\n"
	"  - name: patient\n"
	"    url: http://127.0.0.1:10/v1\n"
	"    keys: [{env: RIG_KEY}]\n"
	"    on_client_gone: drain\n"
	"models:\n"
	"  - id: m\n"
	"    provider: sim\n"
	"    context: 100000\n"
	"    output: 4000\n"
	"    prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]\n"
	"  - id: alias-model\n"
	"    upstream: upstream-model\n"
	"    provider: sim\n"
	"    context: 100000\n"
	"    output: 100000\n"
	"    reasoning: true\n"
	"    prices: [{from: 2020-01-01, input: \"100\", output: \"600\"}]\n"
	"  - id: drained\n"
	"    provider: patient\n"
	"    context: 100000\n"
	"    output: 100000\n"
	"    prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]\n";

static struct board_size
size_of(const struct rig *r)
{
	return (struct board_size){.edges = r->edges, .tickets_per_edge = 64, .slots = 16, .limits = 8};
}

static uint64_t fake_ms;

static uint64_t
fake_clock(void)
{
	return fake_ms;
}

/* ---- setting up ---- */

static void
make_catalogue(struct rig *r, const char *from)
{
	char text[8192];
	size_t len = 0;
	assert(2 * strlen(from) < sizeof text);
	for (const char *at = from; *at; at++) {
		text[len++] = *at;
		if (r->tls && len >= 4 && !memcmp(text + len - 4, "http", 4))
			text[len++] = 's';
	}
	r->problems = calloc(1, sizeof *r->problems);
	problems_init(r->problems, "rig.yaml");
	bool loaded = config_load_text(text, len, r->problems, &r->config);
	if (!loaded)
		problems_print(r->problems, stderr);
	assert(loaded);
	bool compiled = catalogue_compile(r->config, clock_wall_us() / 1000, r->problems, &r->catalogue);
	assert(compiled);
}

static void
make_board(struct rig *r)
{
	struct board_size size = size_of(r);
	size_t bytes = board_bytes(&size);
	r->board_memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r->key_memory = mmap(NULL, key_table_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	board_format(r->board_memory, &size);
	key_table_format(r->key_memory);
	r->process.board = board_attach(r->board_memory, bytes);
	r->process.keys = key_table_attach(r->key_memory, key_table_bytes());
	assert(r->process.board && r->process.keys);
}

json_t *
rig_control(struct rig *r, json_t *request)
{
	json_t *answer = ledger_control(r->ledger, request);
	json_decref(request);
	return answer;
}

static void
make_account(struct rig *r, const char *dollars)
{
	json_t *a = rig_control(r, json_pack("{s:s,s:s}", "op", "account.create", "name", "rig"));
	assert(json_is_true(json_object_get(a, "ok")));
	snprintf(r->account, sizeof r->account, "%s", json_string_value(json_object_get(a, "account")));
	json_decref(a);
	a = rig_control(r, json_pack("{s:s,s:s}", "op", "key.create", "account", r->account));
	snprintf(r->key, sizeof r->key, "%s", json_string_value(json_object_get(a, "secret")));
	json_decref(a);
	if (strcmp(dollars, "0") == 0)
		return;
	a = rig_control(r, json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", r->account, "amount", dollars, "reason", "rig"));
	assert(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
}

static void
make_ledger(struct rig *r, const char *dollars)
{
	char why[256] = "";
	byok_public(r->pepper, r->byok_public);
	const char *tmp = getenv("TMPDIR");
	snprintf(r->dir, sizeof r->dir, "%.40s/lethe-rig-XXXXXX", tmp ? tmp : "/tmp");
	char *made = mkdtemp(r->dir);
	assert(made);
	ledger_fresh(r->dir);
	struct board_size size = size_of(r);
	r->ledger_board = board_attach(r->board_memory, board_bytes(&size));
	const struct ledger_options o = {
		.data_dir = r->dir,
		.pepper = r->pepper,
		.receipt_seed = r->pepper,
		.byok_public = r->byok_public,
		.batch_window_ms = 50,
		.catalogue = r->catalogue,
		.board = r->ledger_board,
		.keys = key_table_attach(r->key_memory, key_table_bytes()),
	};
	enum ledger_open opened = ledger_open(&o, &r->ledger, why);
	if (opened != LEDGER_OPENED)
		fprintf(stderr, "%s\n", why);
	assert(opened == LEDGER_OPENED);
	bool started = ledger_start(r->ledger);
	assert(started);
	make_account(r, dollars);
}

static void
nothing(void *arg)
{
}

static void
hand_over(struct rig *r)
{
	int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);
	struct message_segment segment = MESSAGE_INIT(SEGMENT, message_segment);
	struct message_secret secret = MESSAGE_INIT(SECRET, message_secret);
	struct message_plain go = MESSAGE_INIT(GO, message_plain);
	segment.segment_bytes = VAULT_SEGMENT;
	assert(fd >= 0);
	bool sent = ipc_send(r->supervisor, &segment, sizeof segment, fd) == IPC_OK;
	close(fd);
	if (r->tls)
		rig_tls_hand_over(r);
	secret.kind = SECRET_PEPPER;
	secret.secret_bytes = API_KEY_PEPPER_BYTES;
	memcpy(secret.secret, r->pepper, API_KEY_PEPPER_BYTES);
	sent &= ipc_send(r->supervisor, &secret, sizeof secret, -1) == IPC_OK;
	secret.kind = SECRET_RECEIPT; /* some of the same bytes do */
	secret.secret_bytes = RECEIPT_CODE_KEY_BYTES;
	sent &= ipc_send(r->supervisor, &secret, sizeof secret, -1) == IPC_OK;
	secret.kind = SECRET_BYOK;
	secret.secret_bytes = BYOK_SEED_BYTES;
	sent &= ipc_send(r->supervisor, &secret, sizeof secret, -1) == IPC_OK;
	secret.kind = SECRET_PROVIDER_KEY;
	secret.secret_bytes = 24;
	for (; secret.provider < r->config->provider_count; secret.provider++) {
		memcpy(secret.secret, "sk-rig-0123456789abcdefg", 24);
		secret.secret[7] += (char)secret.provider;
		for (secret.key = 0; secret.key < r->config->providers[secret.provider].key_count; secret.key++, secret.secret[23]++)
			sent &= ipc_send(r->supervisor, &secret, sizeof secret, -1) == IPC_OK;
	}
	sent &= ipc_send(r->supervisor, &go, sizeof go, -1) == IPC_OK;
	assert(sent);
}

/* A listener without a name in any file system. */
static int
make_listener(struct rig *r)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	r->address.sun_family = AF_UNIX;
	int bound = bind(fd, (struct sockaddr *)&r->address, sizeof r->address.sun_family);
	r->address_bytes = sizeof r->address;
	bool made = bound == 0 && listen(fd, 64) == 0 && getsockname(fd, (struct sockaddr *)&r->address, &r->address_bytes) == 0;
	assert(made);
	return fd;
}

static int
arrow(int *ret_ours)
{
	int pair[2], made = ipc_pair(pair);
	assert(made == 0);
	*ret_ours = pair[0];
	return pair[1];
}

static void
open_rest(struct rig *r, const char *catalogue, const char *dollars, enum durability durability)
{
	r->tls = rig_tls_wanted();
	int sodium = sodium_init();
	assert(sodium >= 0);
	fake_ms = clock_monotonic_ms();
	make_catalogue(r, catalogue);
	make_board(r);
	make_ledger(r, dollars);
	r->listener = make_listener(r);
	r->process = (struct edge_process){
		.index = r->process.index,
		.circuits = r->process.circuits,
		.incarnation = 1,
		.grade = VAULT_PLAIN,
		.durability = durability,
		.limits = {.head_bytes = 32768, .body_bytes = 1 << 20, .connections = 1000, .tickets_per_account_percent = 50, .websocket_message_bytes = 1 << 20, .websocket_frames_per_second = 100, .translation_steps = 100000, .content_bytes = 8 << 20, .library_bytes = 32 << 20},
		.timeouts = {.head = 10000, .body = 20000, .idle = 75000, .connect = 5000, .first_byte = 600000, .between_bytes = 60000, .client_write = 30000, .drain = 10000, .websocket_idle = 300000, .websocket_close = 5000},
		.board = r->process.board,
		.keys = r->process.keys,
		.catalogue = r->catalogue,
		.counters = &r->counters,
		.tls = {.listeners = r->tls},
		.http2 = true,
		.expose_route = r->config->expose_route,
		.listen_fds = &r->listener,
		.listen_count = 1,
		.supervisor_fd = arrow(&r->supervisor),
		.dialer_fd = arrow(&r->dialer),
		.ledger_fd = arrow(&r->ledger_end),
		.scribe_fd = arrow(&r->scribe),
		.signer_fd = r->tls ? rig_tls_signer_line() : -1,
		.wake_fd = -1,
		.lock_down = nothing,
	};
	r->process.timeouts.target = (uint32_t)r->config->timeouts.target_ms;
	r->edge = edge_open(&r->process);
	assert(r->edge);
	r->edge->loop.clock_ms = fake_clock;
	hand_over(r);
	rig_turn(r);
	assert(r->edge->go);
}

void
rig_open(struct rig *r, const char *dollars, enum durability durability)
{
	rig_open_with(r, yaml, dollars, durability);
}

void
rig_open_with(struct rig *r, const char *catalogue, const char *dollars, enum durability durability)
{
	memset(r, 0, sizeof *r);
	r->edges = 1;
	open_rest(r, catalogue, dollars, durability);
}

void
rig_open_among(struct rig *r, uint32_t index, uint32_t edges, struct circuits *circuits)
{
	memset(r, 0, sizeof *r);
	r->edges = edges;
	r->process.index = index;
	r->process.circuits = circuits;
	open_rest(r, yaml, "1.00", DURABILITY_BATCHED);
}

static int
remove_entry(const char *path, const struct stat *s, int type, struct FTW *f)
{
	return remove(path);
}

void
rig_close(struct rig *r)
{
	edge_stop(r->edge);
	rig_turn(r);
	assert(r->edge->shaking[false] == 0 && r->edge->shaking[true] == 0);
	const int edges[] = {r->edge->supervisor.fd, r->edge->dialer.fd, r->edge->ledger.fd, r->process.scribe_fd};
	struct vault *vault = r->edge->vault;
	if (r->tls)
		rig_tls_close(r);
	edge_close(&r->edge);
	vault_close(&vault); /* the process, which would take it along, goes on here */
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		close(edges[i]);
	ledger_close(&r->ledger);
	board_detach(&r->process.board);
	board_detach(&r->ledger_board);
	struct board_size size = size_of(r);
	munmap(r->board_memory, board_bytes(&size));
	/* An edge that drained has closed its listener. */
	const int fds[] = {r->supervisor, r->dialer, r->scribe, r->ledger_end, r->process.signer_fd, r->process.listen_count ? r->listener : -1};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	for (int i = 0; i < r->dials; i++)
		close(r->provider[i]);
	munmap(r->key_memory, key_table_bytes());
	free(r->catalogue);
	config_free(&r->config);
	free(r->problems);
	nftw(r->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- turning ---- */

static void
answer_dialer(struct rig *r)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	while (!r->dialer_rests && ipc_recv(r->dialer, buf, &bytes, &fd) == IPC_OK) {
		const struct message_connect *ask = (void *)buf;
		struct message_connected m = MESSAGE_INIT(CONNECTED, message_connected);
		int pair[2] = {-1, -1};
		m.token = ask->token;
		m.provider = ask->provider;
		bool refused = r->refuse_dials || r->refuse >> ask->provider & 1;
		if (r->leave >> ask->provider & 1)
			continue;
		m.result = refused ? CONNECT_REFUSED : CONNECT_OK;
		if (!refused) {
			int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
			assert(made == 0 && r->dials < RIG_DIALS_MAX);
			r->provider[r->dials++] = r->tls && !r->bare ? rig_tls_bridge(BRIDGE_PROVIDER, pair[0]) : pair[0];
		}
		bool sent = ipc_send(r->dialer, &m, sizeof m, pair[1]) == IPC_OK;
		assert(sent);
		if (pair[1] >= 0)
			close(pair[1]);
	}
}

static void
answer_load(struct rig *r, struct message_row m)
{
	m.head.type = MESSAGE_LOADED;
	m.result = ledger_load_row(r->ledger, m.row, 0, &m.slot);
	bool sent = ipc_send(r->ledger_end, &m, sizeof m, -1) == IPC_OK;
	assert(sent);
}

static void
answer_work(struct rig *r, struct message_work m, enum work_result result)
{
	m.head = MESSAGE_INIT(WORK_ANSWER, message_work).head;
	m.result = (uint16_t)result;
	bool sent = ipc_send(r->ledger_end, &m, sizeof m, -1) == IPC_OK;
	assert(sent);
}

static void
answer_object(struct rig *r, const struct message_object *m)
{
	enum work_result result = ledger_object(r->ledger, m);
	if (m->order == OBJECT_KEEP)
		answer_work(r, (struct message_work){.work = m->token, .account = m->account, .order = WORK_KEPT}, result);
}

static void
answer_byok(struct rig *r, const struct message_byok_wanted *m)
{
	struct message_byok answer;
	ledger_byok(r->ledger, m->id, &answer);
	bool told = ipc_send(r->ledger_end, &answer, sizeof answer, -1) == IPC_OK;
	assert(told);
}

static void
answer_receipt(struct rig *r, const struct message_receipt_wanted *m)
{
	struct message_receipt piece = MESSAGE_INIT(RECEIPT, message_receipt);
	char *text;
	enum receipt_answer answer = ledger_receipt(r->ledger, m->request, m->account, &text);
	piece.token = m->token;
	piece.total = answer == RECEIPT_HERE ? (uint32_t)strlen(text) : 0;
	piece.result = answer == RECEIPT_HERE ? RECEIPT_COMES : answer == RECEIPT_NONE ? RECEIPT_UNKNOWN
																				   : RECEIPT_LATER;
	do {
		uint32_t left = piece.total - piece.at;
		piece.text_bytes = (uint16_t)(left < RECEIPT_PIECE ? left : RECEIPT_PIECE);
		memset(piece.text, 0, sizeof piece.text);
		if (left)
			memcpy(piece.text, text + piece.at, piece.text_bytes);
		bool sent = ipc_send(r->ledger_end, &piece, sizeof piece, -1) == IPC_OK;
		assert(sent);
		piece.at += piece.text_bytes;
	} while (piece.at < piece.total);
	free(text);
}

static void
answer_list(struct rig *r, const struct message_work_listed *m)
{
	bool sent = ipc_send(r->ledger_end, m, sizeof *m, -1) == IPC_OK;
	assert(sent);
}

static bool
is_list(const struct message_head *h)
{
	return h->type == MESSAGE_WORK_LIST_WANTED || h->type == MESSAGE_OBJECT_LIST_WANTED;
}

static void
answer_list_failed(struct rig *r, const struct message_head *h)
{
	const struct message_work_list_wanted *of_work = (const void *)h;
	const struct message_object_list_wanted *of_objects = (const void *)h;
	struct message_work_listed failed = MESSAGE_INIT(WORK_LISTED, message_work_listed);
	failed.token = h->type == MESSAGE_WORK_LIST_WANTED ? of_work->token : of_objects->token;
	failed.failed = LIST_FAILED;
	answer_list(r, &failed);
}

/* As a ledger does whose store fails for a while. */
static bool
puts_off(struct rig *r, const struct message_head *h)
{
	const struct message_work *work = (const void *)h;
	const struct message_work_named *named = (const void *)h;
	const struct message_object *object = (const void *)h;
	bool ordered = h->type == MESSAGE_WORK && (work->order == WORK_BEGIN || work->order == WORK_LOOK || (work->order == WORK_END && work->of == WORK_UNSEEN));
	bool kept = h->type == MESSAGE_OBJECT && object->order == OBJECT_KEEP;
	if (!r->puts_off || (!ordered && !kept && !is_list(h) && h->type != MESSAGE_WORK_NAMED))
		return false;
	r->puts_off--;
	r->put_off++;
	if (ordered)
		answer_work(r, *work, WORK_LATER);
	else if (is_list(h))
		answer_list_failed(r, h);
	else if (kept)
		answer_work(r, (struct message_work){.work = object->token, .account = object->account, .order = WORK_KEPT}, WORK_LATER);
	else
		answer_work(r, (struct message_work){.work = named->work, .account = named->account}, WORK_LATER);
	return true;
}

static void
answer_edge(struct rig *r, const void *message)
{
	const struct message_head *h = message;
	const struct message_work *work = message;
	const struct message_work_named *named = message;
	if (puts_off(r, h))
		return;
	if (h->type == MESSAGE_WORK && work->order == WORK_COUNT)
		(void)!ledger_work(r->ledger, work);
	else if (h->type == MESSAGE_WORK)
		answer_work(r, *work, ledger_work(r->ledger, work));
	else if (h->type == MESSAGE_WORK_NAMED)
		answer_work(r, (struct message_work){.work = named->work, .account = named->account}, ledger_work_named(r->ledger, named));
	else if (h->type == MESSAGE_OBJECT)
		answer_object(r, message);
	else if (is_list(h)) {
		struct message_work_listed listed;
		if (h->type == MESSAGE_WORK_LIST_WANTED)
			ledger_work_list(r->ledger, message, &listed);
		else
			ledger_object_list(r->ledger, message, &listed);
		answer_list(r, &listed);
	} else if (h->type == MESSAGE_BYOK_WANTED)
		answer_byok(r, message);
	else if (h->type == MESSAGE_RECEIPT_WANTED)
		answer_receipt(r, message);
	else
		answer_load(r, *(const struct message_row *)message);
}

static void
answer_loads(struct rig *r)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	while (!r->deaf && ipc_recv(r->ledger_end, buf, &bytes, &fd) == IPC_OK) {
		bool known = message_check(buf, bytes, END_OF_EDGE, END_OF_LEDGER, fd >= 0);
		assert(known);
		answer_edge(r, buf);
		atomic_store(board_heartbeat_ms(r->process.board), fake_ms); /* an order books, by the real clock */
	}
}

bool
rig_errand(struct rig *r, uint64_t later_ms)
{
	struct message_errand m;
	uint64_t next;
	if (!ledger_work_due(r->ledger, clock_wall_us() + later_ms * 1000, &m, &next))
		return false;
	bool sent = ipc_send(r->ledger_end, &m, sizeof m, -1) == IPC_OK;
	assert(sent);
	rig_turn(r);
	return true;
}

void
rig_turn(struct rig *r)
{
	for (int i = 0; i < 8; i++) {
		loop_turn(&r->edge->loop, 0);
		answer_dialer(r);
		answer_loads(r);
		if (r->tls && rig_tls_move()) /* as far from the edge as without: the turns on the way don't count */
			i = 0;
	}
}

void
rig_book(struct rig *r)
{
	int booked;
	do {
		fake_ms += 60;
		booked = ledger_round(r->ledger, fake_ms);
	} while (booked > 0);
	assert(booked == 0);
}

void
rig_pass(struct rig *r, uint64_t ms)
{
	while (ms) {
		uint64_t step = ms < 1000 ? ms : 1000;
		fake_ms += step;
		ms -= step;
		atomic_store(board_heartbeat_ms(r->process.board), fake_ms);
		rig_turn(r);
	}
}

/* ---- messages of the supervisor ---- */

void
rig_tell(struct rig *r, enum message_type type)
{
	struct message_plain m = MESSAGE_INIT(STOP, message_plain);
	m.head.type = (uint16_t)type;
	bool sent = ipc_send(r->supervisor, &m, sizeof m, -1) == IPC_OK;
	assert(sent);
}

/* What the supervisor does when a neighbour was started anew: the edge gets the end of a fresh arrow, the old one closes. */
void
rig_renew(struct rig *r, enum message_end role)
{
	int *ours = role == END_OF_DIALER ? &r->dialer : role == END_OF_LEDGER ? &r->ledger_end
																		   : &r->scribe;
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	m.role = (uint16_t)role;
	close(*ours);
	int fd = arrow(ours);
	bool sent = ipc_send(r->supervisor, &m, sizeof m, fd) == IPC_OK;
	assert(sent);
	close(fd);
}

/* ---- clients and providers ---- */

int
rig_client(struct rig *r)
{
	int pair[2], made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
	assert(made == 0);
	bool adopted = client_adopt(r->edge, pair[1], &(struct arrival){.tls = r->tls, .loopback = true});
	assert(adopted);
	return r->tls && !r->bare ? rig_tls_bridge(BRIDGE_CLIENT, pair[0]) : pair[0];
}

int
rig_tcp_client(struct rig *r)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof address;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool listens = !bind(l, (struct sockaddr *)&address, bytes) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&address, &bytes);
	assert(listens);
	bool connected = !connect(c, (struct sockaddr *)&address, bytes) && !fcntl(c, F_SETFL, O_NONBLOCK);
	assert(connected);
	int accepted = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	close(l);
	bool adopted = client_adopt(r->edge, accepted, &(struct arrival){.loopback = true});
	assert(adopted);
	return c;
}

int
rig_connect(struct rig *r)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int connected = connect(fd, (struct sockaddr *)&r->address, r->address_bytes);
	assert(connected == 0);
	return r->tls && !r->bare ? rig_tls_bridge(BRIDGE_CLIENT, fd) : fd;
}

int
rig_provider(struct rig *r, int n)
{
	rig_turn(r);
	return n < r->dials ? r->provider[n] : -1;
}

void
rig_send(struct rig *r, int fd, const char *bytes, size_t len)
{
	int idle = 0;
	while (len && idle < 100) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			idle = 0;
		} else if (errno != EAGAIN)
			break;
		else
			idle++;
		rig_turn(r);
	}
	rig_turn(r);
}

size_t
rig_read(struct rig *r, int fd, char *out, bool *ret_eof)
{
	size_t len = 0;
	*ret_eof = false;
	for (;;) {
		rig_turn(r);
		ssize_t n = recv(fd, out + len, RIG_OUT_MAX - 1 - len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			*ret_eof = true;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = 0;
	return len;
}

size_t
rig_request(const struct rig *r, const char *body, const char *headers, char *out)
{
	return (size_t)sprintf(out, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
								"content-type: application/json\r\n%scontent-length: %zu\r\n\r\n%s",
		r->key, headers, strlen(body), body);
}

/* ---- memory ---- */

enum { HOARD_MAX = 8192 };
static struct {
	void *at;
	size_t bytes;
} hoard[HOARD_MAX];
static size_t hoarded;

void
rig_hoard(struct rig *r, size_t most, size_t least)
{
	for (size_t bytes = most; bytes >= least; bytes /= 2)
		while (hoarded < HOARD_MAX && (hoard[hoarded].at = vault_alloc(r->edge->vault, bytes)))
			hoard[hoarded++].bytes = bytes;
	assert(hoarded < HOARD_MAX);
}

void
rig_give_back(struct rig *r, size_t bytes, size_t nth)
{
	size_t seen = 0, kept = 0;
	for (size_t i = 0; i < hoarded; i++)
		if ((!bytes || hoard[i].bytes == bytes) && seen++ % nth == 0)
			vault_free(r->edge->vault, hoard[i].at, hoard[i].bytes);
		else
			hoard[kept++] = hoard[i];
	hoarded = kept;
}

/* ---- money ---- */

static int64_t
balance_in(struct rig *r, const char *account)
{
	json_t *a = rig_control(r, json_pack("{s:s,s:s}", "op", "account.show", "account", account));
	const char *text = json_string_value(json_object_get(a, "balance"));
	struct nano n = {0};
	bool parsed = text && nano_parse((struct span){text, strlen(text)}, &n);
	assert(parsed);
	json_decref(a);
	return n.v;
}

int64_t
rig_balance(struct rig *r)
{
	return balance_in(r, r->account);
}

long
rig_tickets(struct rig *r)
{
	json_t *a = rig_control(r, json_pack("{s:s}", "op", "ledger.verify")), *n = json_object_get(a, "tickets");
	long count = json_is_integer(n) ? (long)json_integer_value(n) : -1;
	json_decref(a);
	return count;
}

static bool
balance_of(void *arg, uint64_t row, struct nano *ret)
{
	struct rig *r = arg;
	if (row & LIMIT_BUDGET_ROW)
		return budget_balance(r->ledger, row, ret);
	char account[ID_TEXT_MAX];
	id_text(ID_ACCOUNT, row, account);
	ret->v = balance_in(r, account);
	return true;
}

void
rig_check_books(struct rig *r)
{
	json_t *a = rig_control(r, json_pack("{s:s}", "op", "ledger.verify"));
	if (!json_is_true(json_object_get(a, "sound"))) {
		json_dumpf(a, stderr, JSON_INDENT(1));
		assert(!"the book does not balance");
	}
	json_decref(a);
	uint32_t wrong = board_check(r->ledger_board, balance_of, r);
	assert(wrong == 0);
}

static json_t *
done(json_t *answer)
{
	assert(json_is_true(json_object_get(answer, "ok")));
	return answer;
}

void
rig_own_key(struct rig *r, const char *account, const char *provider, const char *secret, bool fallback, const uint8_t *master)
{
	uint8_t box[BYOK_BOX_BYTES], public_key[BYOK_PUBLIC_BYTES];
	char hex[BYOK_BOX_TEXT + 1];
	json_t *a = done(rig_control(r, json_pack("{s:s, s:s, s:s}", "op", "byok.public", "account", account, "provider", provider)));
	struct byok_owner owner = {strtoull(json_string_value(json_object_get(a, "account_number")), NULL, 10), (uint32_t)json_integer_value(json_object_get(a, "provider_number"))};
	int read = sodium_hex2bin(public_key, sizeof public_key, json_string_value(json_object_get(a, "public")), BYOK_PUBLIC_TEXT, NULL, NULL, NULL);
	assert(read == 0);
	json_decref(a);
	if (master)
		byok_public(master, public_key);
	bool sealed = byok_seal(public_key, &owner, (struct span){secret, strlen(secret)}, box);
	assert(sealed);
	sodium_bin2hex(hex, sizeof hex, box, sizeof box);
	json_decref(done(rig_control(r, json_pack("{s:s, s:s, s:s, s:s, s:b}", "op", "byok.add", "account", account, "provider", provider, "box", hex, "fallback", fallback))));
}
