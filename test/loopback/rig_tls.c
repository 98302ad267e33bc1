#include "loopback/rig_tls.h"

#include "core/ipc.h"
#include "core/tls.h"
#include "signer/signer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { PEM_MAX = 16 << 10,
	BRIDGES_MAX = 256,
	PIECE = 16 << 10,
	SEALED_MAX = 256 << 10,
	SIGNATURE_MS = 60000 }; /* a loaded machine is no reason */

static struct {
	struct vault *vault;
	char ca[PEM_MAX], chain[PEM_MAX], key[PEM_MAX];
	struct tls_server *server;
	struct tls_client *client;
	int signer; /* our end of its supervisor's line */
} own;

struct bridge {
	struct tls *tls; /* NULL: free */
	int plain, sealed;
	size_t down_len, up_len; /* what waits for the test, and for the edge */
	bool shaken, tls_ended, plain_ended;
	char down[PIECE], up[SEALED_MAX];
};

static struct bridge bridges[BRIDGES_MAX];

/* ---- certificates ---- */

static void
read_file(const char *dir, const char *name, char *to)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, to, PEM_MAX - 1) : -1;
	assert(n > 0);
	close(fd);
	unlink(path);
}

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

/* ---- the signer ---- */

static void
nothing(void *arg)
{
}

static void
hand_piece(int line, enum secret_kind kind, const char *pem)
{
	size_t len = strlen(pem);
	for (size_t at = 0; at < len; at += SECRET_BYTES_MAX) {
		struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
		m.kind = (uint16_t)kind;
		m.key = (uint16_t)(at / SECRET_BYTES_MAX);
		m.secret_bytes = (uint16_t)(len - at < SECRET_BYTES_MAX ? len - at : SECRET_BYTES_MAX);
		memcpy(m.secret, pem + at, m.secret_bytes);
		bool sent = ipc_send(line, &m, sizeof m, -1) == IPC_OK;
		assert(sent);
	}
}

static _Noreturn void
be_signer(int supervisor_fd)
{
	const int edge_fd = -1;
	struct signer_process p = {.grade = VAULT_PLAIN, .supervisor_fd = supervisor_fd, .scribe_fd = -1, .edge_fds = &edge_fd, .edge_count = 1, .lock_down = nothing};
	_exit(signer_main(&p));
}

/* The real one, in a process of its own as ever: an edge waits for it. Before OpenSSL has any memory. It ends with its supervisor, which is us. */
static void
start_signer(void)
{
	struct message_segment segment = MESSAGE_INIT(SIGNER_SEGMENT, message_segment);
	struct message_plain go = MESSAGE_INIT(GO, message_plain);
	int pair[2], made = ipc_pair(pair), fd = vault_segment_create(VAULT_PLAIN, SIGNER_SEGMENT);
	assert(made == 0 && fd >= 0);
	pid_t pid = fork();
	assert(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		be_signer(pair[1]);
	}
	close(pair[1]);
	own.signer = pair[0];
	segment.segment_bytes = SIGNER_SEGMENT;
	bool sent = ipc_send(own.signer, &segment, sizeof segment, fd) == IPC_OK;
	hand_piece(own.signer, SECRET_CERTIFICATE_KEY, own.key);
	sent = sent && ipc_send(own.signer, &go, sizeof go, -1) == IPC_OK;
	assert(sent);
	close(fd);
}

int
rig_tls_signer_line(void)
{
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	int pair[2], made = ipc_pair(pair);
	m.role = END_OF_EDGE;
	bool sent = made == 0 && ipc_may_wait(pair[0], SIGNATURE_MS) && ipc_send(own.signer, &m, sizeof m, pair[1]) == IPC_OK;
	assert(sent);
	close(pair[1]);
	return pair[0];
}

bool
rig_tls_is_h2(void)
{
	return getenv("RIG_H2") != NULL;
}

static void
make_certificates(void)
{
	char dir[] = "/tmp/lethe-rig-tls-XXXXXX", command[512], why[TLS_WHY_MAX], ca_key[PEM_MAX];
	char *made = mkdtemp(dir);
	assert(made);
	snprintf(command, sizeof command, RIG_CERTIFICATE " %s >%s/said 2>&1", dir, dir);
	int status = system(command);
	assert(status == 0);
	read_file(dir, "ca.pem", own.ca);
	read_file(dir, "server.pem", own.chain);
	read_file(dir, "server-key.pem", own.key);
	read_file(dir, "ca-key.pem", ca_key);
	snprintf(command, sizeof command, "rm -r %s", dir);
	status = system(command);
	assert(status == 0);
	start_signer();
	own.vault = vault_open(VAULT_PLAIN, 8 << 20, 120 << 20);
	for (int i = 0; i < 4; i++) {
		bool added = own.vault && vault_add_segment(own.vault, -1, VAULT_SEGMENT);
		assert(added);
	}
	bool in = tls_memory_in(own.vault);
	assert(in);
	const struct tls_identity id = {text(own.chain), text(own.key)};
	own.server = tls_server_create(&id, 1, &(struct tls_server_options){.h2 = rig_tls_is_h2()}, why);
	own.client = tls_client_create(text(own.ca), why);
	assert(own.server && own.client);
}

bool
rig_tls_wanted(void)
{
	if (!getenv("RIG_TLS"))
		return false;
	if (!own.vault)
		make_certificates();
	return true;
}

void
rig_tls_hand(struct rig *r, enum secret_kind kind, const char *pem)
{
	hand_piece(r->supervisor, kind, pem);
}

void
rig_tls_hand_over(struct rig *r)
{
	char why[TLS_WHY_MAX];
	loop_turn(&r->edge->loop, 0); /* its first segment */
	assert(r->edge->identity);
	r->edge->identity->trust[0] = tls_client_create(text(own.ca), why); /* who has one finds OpenSSL's memory in its place */
	rig_tls_hand(r, SECRET_CERTIFICATE, own.chain);
	rig_tls_hand(r, SECRET_TRUST, own.ca);
}

/* ---- bridges ---- */

int
rig_tls_bridge(enum bridge_kind kind, int sealed)
{
	int small = 1, pair[2], made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
	size_t i = 0;
	if (kind == BRIDGE_CLIENT) /* a test that does not read is slow soon, with a bridge as without */
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	while (i < BRIDGES_MAX && bridges[i].tls)
		i++;
	assert(made == 0 && i < BRIDGES_MAX);
	struct bridge *b = &bridges[i];
	*b = (struct bridge){.plain = pair[1], .sealed = sealed};
	b->tls = kind == BRIDGE_CLIENT ? tls_connect(own.client, "127.0.0.1", NULL, sealed) : tls_accept(own.server, sealed);
	assert(b->tls);
	if (kind == BRIDGE_CLIENT && rig_tls_is_h2())
		tls_offer_h2(b->tls);
	return pair[0];
}

static void
end_bridge(struct bridge *b)
{
	close(b->plain);
	close(b->sealed);
	tls_free(&b->tls);
}

static void
take_wire(struct bridge *b)
{
	struct span wire = tls_wire();
	assert(wire.len <= sizeof b->up - b->up_len);
	memcpy(b->up + b->up_len, wire.at, wire.len);
	b->up_len += wire.len;
	tls_wire_taken();
}

/* What the socket takes of it. */
static bool
push(int fd, char *at, size_t *len)
{
	ssize_t n = *len ? send(fd, at, *len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	if (n < 0 && errno != EAGAIN)
		n = (ssize_t)*len; /* nobody is there any more: it is lost, as on any connection */
	if (n <= 0)
		return false;
	*len -= (size_t)n;
	memmove(at, at + n, *len);
	return true;
}

static bool
shake(struct bridge *b)
{
	enum tls_result r = tls_handshake(b->tls);
	take_wire(b);
	b->shaken = r == TLS_OK;
	b->tls_ended = r != TLS_OK && r != TLS_AGAIN;
	return r != TLS_AGAIN || b->up_len;
}

static bool
move_down(struct bridge *b)
{
	bool moved = push(b->plain, b->down, &b->down_len);
	if (b->shaken && !b->tls_ended && !b->down_len) {
		enum tls_result r = tls_read(b->tls, b->down, sizeof b->down, &b->down_len);
		take_wire(b);
		b->tls_ended = r != TLS_OK && r != TLS_AGAIN;
		moved = moved || r != TLS_AGAIN;
		moved = push(b->plain, b->down, &b->down_len) || moved;
	}
	if (b->tls_ended && !b->down_len)
		shutdown(b->plain, SHUT_WR);
	return moved;
}

static bool
move_up(struct bridge *b)
{
	char piece[PIECE];
	size_t taken;
	bool moved = push(b->sealed, b->up, &b->up_len);
	if (b->plain_ended || !b->shaken || b->up_len)
		return moved;
	ssize_t n = recv(b->plain, piece, sizeof piece, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return moved;
	if (n > 0) {
		enum tls_result r = tls_write(b->tls, &(struct iovec){piece, (size_t)n}, 1, &taken);
		assert(r == TLS_FAILED || taken == (size_t)n);
	} else {
		b->plain_ended = true;
		tls_end(b->tls);
	}
	take_wire(b);
	(void)push(b->sealed, b->up, &b->up_len);
	if (b->plain_ended)
		shutdown(b->sealed, SHUT_WR);
	return true;
}

static bool
is_left(const struct bridge *b)
{
	struct pollfd p = {b->plain, 0, 0};
	return poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR);
}

static bool
move(struct bridge *b)
{
	bool moved = !b->shaken && !b->tls_ended && shake(b);
	moved = move_up(b) || moved;
	moved = move_down(b) || moved;
	bool left = is_left(b);
	/* Left before the handshake was over, or everything said that the test had to say. */
	if (!left || moved || (b->shaken && !b->plain_ended && !b->tls_ended))
		return moved;
	end_bridge(b);
	return true;
}

bool
rig_tls_move(void)
{
	bool moved = false;
	for (size_t i = 0; i < BRIDGES_MAX; i++)
		if (bridges[i].tls)
			moved = move(&bridges[i]) || moved;
	return moved;
}

void
rig_tls_close(struct rig *r)
{
	struct identity *i = r->edge->identity;
	for (size_t k = 0; k < BRIDGES_MAX; k++)
		if (bridges[k].tls)
			end_bridge(&bridges[k]);
	tls_server_unref(&i->server);
	for (int k = 0; k < TRUSTS_MAX; k++)
		tls_client_unref(&i->trust[k]);
	for (int k = 0; k < IDENTITY_PROVIDERS_MAX; k++)
		tls_sessions_destroy(&i->sessions[k]);
}

struct tls_server *
rig_tls_server(void)
{
	return own.server;
}

struct tls_client *
rig_tls_client(void)
{
	return own.client;
}

const char *
rig_tls_pem(enum secret_kind kind)
{
	return kind == SECRET_CERTIFICATE ? own.chain : own.ca;
}
