/*
 * Seeded schedules of clients, providers, faults and time over the whole pipeline. After each: nothing is open, no vault memory is lost, each
 * exchange that held money is booked once, and the books balance.
 *
 * LETHE_SEEDS=N for more; LETHE_SEED=N for one.
 */
#include "loopback/rig.h"
#include "ticket/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 6,
	STEPS = 120,
	DEFAULT_SEEDS = 60,
	HOARD_MAX = 4096 };

static const char *const headers[] = {"", "", "expect: 100-continue\r\n", "lethe-receipt: inline\r\n", "lethe-receipt: inline\r\nexpect: 100-continue\r\n"};

static const char *const bodies[] = {
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
	"{\"model\":\"m\",\"stream\":true,\"messages\":[]}",
	"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}",
	"{\"model\":\"alias-model\",\"max_tokens\":10,\"messages\":[]}",
	"{\"model\":\"alias-model\",\"max_completion_tokens\":null,\"messages\":[]}",
	"{\"model\":\"drained\",\"stream\":true,\"messages\":[]}",
	"{\"model\":\"drained\",\"messages\":[]}",
	"{\"model\":\"nobody\",\"messages\":[]}",
	"{\"model\":\"m\",\"model\":\"m\",\"messages\":[]}",
	"{broken",
};

#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"
#define CHUNK(data) "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" data

static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 78\r\n\r\n{\"choices\":[]," USAGE "}",
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"choices\":[]," USAGE "}",
	CHUNK("2c\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\r\n57\r\ndata: {\"choices\":[]," USAGE "}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"),
	CHUNK("2c\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\r\n0\r\n\r\n"),
	CHUNK("zz\r\n"),
	"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno",
	"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd",
	"garbage\r\n\r\n",
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 78\r\n\r\n{\"choices\":[]," USAGE "}HTTP/1.1 200 OK\r\n",
	"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}",
	"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 500\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
	CHUNK("49\r\ndata: {\"error\":{\"message\":\"You exceeded your quota\"},\"code\":\"rate\"}}\n\n\r\n0\r\n\r\n"),
};

/* Longer than any read, and than any hold's step: made once. */
static char long_stream[400 << 10], long_body[200 << 10], requests_at_once[64 << 10];

static void
make_long(void)
{
	static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789abcdef0123456789abcdef\"}}],\"usage\":null}\n\n";
	size_t n = (size_t)sprintf(long_stream, CHUNK(""));
	while (n < sizeof long_stream - 1024)
		n += (size_t)sprintf(long_stream + n, "%zx\r\n%s\r\n", strlen(event), event);
	sprintf(long_stream + n, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
	n = (size_t)sprintf(long_body, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(long_body + n, 'x', sizeof long_body - n - 8);
	strcpy(long_body + sizeof long_body - 8, "\"}]}");
	for (n = 0; n < sizeof requests_at_once - 64;)
		n += (size_t)sprintf(requests_at_once + n, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
}

struct actor {
	int fd;
	const char *script;
	size_t at, len;
};

static struct rig r;
static char scratch[RIG_OUT_MAX];
static char requests[CLIENTS][sizeof long_body + 1024];
static struct actor clients[CLIENTS], providers[RIG_DIALS_MAX];
static uint64_t random_state;
static int known; /* providers */
static uint64_t taken; /* of the vault's budget */
static struct {
	void *at;
	size_t bytes;
} hoard[HOARD_MAX];
static size_t hoarded;

static unsigned
roll(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % n);
}

static void
actor_close(struct actor *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Some more of what it has to say. */
static void
actor_speak(struct actor *a)
{
	size_t n = 1 + roll(roll(4) ? 200 : 200000);
	if (a->fd < 0)
		return;
	if (n > a->len - a->at)
		n = a->len - a->at;
	ssize_t sent = send(a->fd, a->script + a->at, n, MSG_NOSIGNAL);
	if (sent > 0)
		a->at += (size_t)sent;
}

static void
actor_listen(struct actor *a)
{
	bool eof;
	if (a->fd < 0)
		return;
	rig_read(&r, a->fd, scratch, &eof);
	if (eof)
		actor_close(a);
}

/* Sometimes with hardly any room in between, on either side. */
static void
squeeze(int fd)
{
	int bytes = 1 + (int)roll(8000);
	if (!roll(3))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static void
client_begin(int i)
{
	struct actor *a = &clients[i];
	if (a->fd < 0) {
		if (hoarded) /* the rig's clients are always taken */
			return;
		a->fd = rig_client(&r);
		squeeze(a->fd);
		squeeze(r.edge->clients->conn.watch.fd);
	}
	a->script = requests[i];
	a->at = 0;
	a->len = rig_request(&r, roll(12) ? bodies[roll(ARRAY_LEN(bodies))] : long_body, headers[roll(ARRAY_LEN(headers))], requests[i]);
	if (roll(20))
		return;
	a->script = requests_at_once;
	a->len = strlen(a->script);
}

static void
provider_begin(struct actor *a)
{
	a->script = roll(10) ? answers[roll(ARRAY_LEN(answers))] : long_stream;
	a->at = 0;
	a->len = strlen(a->script);
}

/* One direction ends, the other goes on. */
static void
half_close(struct actor *a)
{
	if (a && a->fd >= 0)
		shutdown(a->fd, roll(2) ? SHUT_WR : SHUT_RD);
}

/* Every block of the vault's that there is, and back again. */
static void
hoard_all(void)
{
	for (size_t bytes = VAULT_BLOCK_MAX; bytes >= VAULT_BLOCK_MIN; bytes /= 2)
		while (hoarded < HOARD_MAX && (hoard[hoarded].at = vault_alloc(r.edge->vault, bytes)))
			hoard[hoarded++].bytes = bytes;
}

static void
hoard_give_back(size_t left)
{
	while (hoarded > left) {
		hoarded--;
		vault_free(r.edge->vault, hoard[hoarded].at, hoard[hoarded].bytes);
	}
}

/* What happens to the gateway as a whole. */
static void
one_event(void)
{
	static const enum message_end roles[] = {END_OF_DIALER, END_OF_LEDGER, END_OF_SCRIBE};
	static const char *const amounts[] = {"0.000001", "0.01", "0.5"};
	json_t *a;
	switch (roll(10)) {
	case 8:
		hoard_all();
		hoard_give_back(hoarded - roll((unsigned)hoarded)); /* some small ones at least are left */
		break;
	case 9:
		hoard_give_back(0);
		break;
	case 0:
	case 1:
		rig_renew(&r, roles[roll(3)]);
		break;
	case 2:
		if (roll(6))
			break;
		rig_tell(&r, MESSAGE_DRAIN);
		break;
	case 3: /* memory: all of the budget but little, or some of it back */
		if (taken) {
			vault_release(r.edge->vault, taken);
			taken = 0;
		} else if (vault_admit(r.edge->vault, 8 << 20))
			taken = 8 << 20;
		else if (vault_admit(r.edge->vault, (8 << 20) - (300 << 10)))
			taken = (8 << 20) - (300 << 10);
		break;
	default: /* money runs out, in the middle of whatever runs */
		a = rig_control(&r, json_pack("{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", r.account, "amount", amounts[roll(3)], "reason", "chaos"));
		json_decref(a);
		break;
	}
}

/* Those that were dialled since. */
static void
meet_providers(void)
{
	for (; known < r.dials; known++) {
		providers[known] = (struct actor){.fd = r.provider[known]};
		squeeze(r.provider[known]);
	}
}

static void
one_step(void)
{
	int c = (int)roll(CLIENTS);
	struct actor *p = r.dials ? &providers[roll((unsigned)r.dials)] : NULL;
	switch (roll(14)) {
	case 0:
	case 1:
	case 2:
		if (clients[c].at == clients[c].len)
			client_begin(c);
		else
			actor_speak(&clients[c]);
		break;
	case 3:
	case 4:
		actor_speak(&clients[c]);
		break;
	case 5:
	case 6:
	case 7:
		if (p && p->at == p->len)
			provider_begin(p);
		if (p)
			actor_speak(p);
		break;
	case 8:
		actor_listen(&clients[c]);
		break;
	case 9:
		if (p && !roll(4))
			actor_close(p);
		break;
	case 10:
		if (!roll(4))
			actor_close(&clients[c]);
		else if (!roll(3))
			rig_pass(&r, roll(20000));
		break;
	case 12:
		if (!roll(3))
			half_close(roll(2) ? p : &clients[c]);
		break;
	case 13:
		if (!roll(3))
			one_event();
		break;
	case 11:
		r.refuse_dials = !roll(6);
		if (!roll(3))
			rig_book(&r);
		break;
	}
	rig_turn(&r);
	meet_providers();
}

/* Up to three windows beside the balance, some of them narrow. */
static void
limit_money(void)
{
	json_decref(rig_control(&r, json_pack("{s:s, s:s, s:s, s:s}", "op", "key.limit", "key", r.key, "dollars_per_hour", roll(2) ? "0.5" : "0.01", "streams", roll(2) ? "50" : "3")));
	if (roll(2))
		json_decref(rig_control(&r, json_pack("{s:s, s:s, s:s, s:s}", "op", "account.limit", "account", r.account, "dollars_per_day", "0.3", "dollars_per_month", roll(2) ? "0.2" : "5")));
}

static void
one_schedule(uint64_t seed)
{
	struct vault_facts before, after;
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	taken = 0;
	known = 0;
	rig_open(&r, roll(3) ? "1.00" : "0.02", roll(4) ? DURABILITY_BATCHED : DURABILITY_STRICT);
	if (roll(2))
		limit_money();
	vault_facts(r.edge->vault, &before);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = (struct actor){.fd = -1};
	for (int i = 0; i < STEPS && r.dials < RIG_DIALS_MAX - 2; i++)
		one_step();
	for (int i = 0; i < CLIENTS; i++)
		actor_close(&clients[i]);
	hoard_give_back(0);
	if (taken)
		vault_release(r.edge->vault, taken);
	rig_pass(&r, 30000);
	rig_book(&r);
	rig_pass(&r, 1000);
	meet_providers();
	for (int i = 0; i < r.dials; i++)
		actor_close(&providers[i]);
	rig_turn(&r);
	rig_book(&r); /* what such an end has settled waits for its receipt */
	rig_pass(&r, 6000);
	assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	assert_int_equal(atomic_load(&r.counters.upstream_open), 0);
	assert_int_equal(atomic_load(&r.counters.streams_open), 0);
	vault_facts(r.edge->vault, &after);
	assert_int_equal(after.used_bytes, before.used_bytes);
	rig_book(&r);
	assert_int_equal(ticket_desk_in_flight(r.edge->desk), 0);
	rig_check_books(&r);
	for (uint32_t i = limit_count(r.process.board); i; i--)
		assert_int_equal(limit_streams(limit_row(r.process.board, i)), 0);
	r.dials = 0;
	rig_close(&r);
}

static void
seeded_schedules_leave_nothing_behind(void **state)
{
	make_long();
	const char *one = getenv("LETHE_SEED"), *many = getenv("LETHE_SEEDS");
	if (one) {
		one_schedule(strtoull(one, NULL, 10));
		return;
	}
	uint64_t count = many ? strtoull(many, NULL, 10) : DEFAULT_SEEDS;
	for (uint64_t seed = 1; seed <= count; seed++) {
		if (many)
			print_message("seed %llu\n", (unsigned long long)seed);
		one_schedule(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(seeded_schedules_leave_nothing_behind)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
