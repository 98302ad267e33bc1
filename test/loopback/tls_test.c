/* TLS as peers can do it to the edge: ends, cuts and floods in odd moments. Here the tests are the other end themselves; the suites beside this one run as a whole with TLS. */
#include "loopback/rig_tls.h"

#include "core/ipc.h"
#include "core/tls_priv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define UNTIL_CLOSE "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
#define HEALTH "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

/* 10 × $1/M + 5 × $2/M */
enum { COST = 20000,
	DOLLAR = 1000000000 };

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	r.bare = true;
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

/* ---- ends ---- */

struct end {
	struct tls *tls;
	int fd;
};


/* The wire is the whole process's: copied before the edge has its turn. */
static void
flush(struct end *e)
{
	static char copy[RIG_OUT_MAX];
	struct span wire = tls_wire();
	size_t len = wire.len;
	memcpy(copy, wire.at, len);
	tls_wire_taken();
	rig_send(&r, e->fd, copy, len);
}

static void
shake(struct end *e)
{
	enum tls_result result = TLS_AGAIN;
	for (int i = 0; i < 20 && result == TLS_AGAIN; i++) {
		result = tls_handshake(e->tls);
		flush(e);
		rig_turn(&r);
	}
	assert_int_equal(result, TLS_OK);
}

static struct end
client(void)
{
	struct end e = {.fd = rig_client(&r)};
	e.tls = tls_connect(rig_tls_client(), "127.0.0.1", NULL, e.fd);
	assert_non_null(e.tls);
	return e;
}

/* It has said its part, and hears nothing. */
static struct end
greeting_client(void)
{
	struct end e = client();
	assert_int_equal(tls_handshake(e.tls), TLS_AGAIN);
	flush(&e);
	return e;
}

static struct end
shaken_client(void)
{
	struct end e = client();
	shake(&e);
	return e;
}

static struct end
provider(int n)
{
	struct end e = {.fd = rig_provider(&r, n)};
	assert_true(e.fd >= 0);
	e.tls = tls_accept(rig_tls_server(), e.fd);
	assert_non_null(e.tls);
	return e;
}

static void
seal(struct end *e, const char *bytes, size_t len)
{
	struct iovec part = {(char *)bytes, len};
	size_t taken;
	assert_int_equal(tls_write(e->tls, &part, 1, &taken), TLS_OK);
	assert_int_equal(taken, len);
}

static void
say(struct end *e, const char *bytes, size_t len)
{
	while (len) {
		size_t some = len < TLS_WRITE_MAX ? len : TLS_WRITE_MAX;
		seal(e, bytes, some);
		flush(e);
		bytes += some;
		len -= some;
	}
}

/* All that is there; how it ended. */
static enum tls_result
hear(struct end *e, char *to, size_t *ret_len)
{
	enum tls_result result;
	size_t len = 0, some;
	do {
		rig_turn(&r);
		result = tls_read(e->tls, to + len, RIG_OUT_MAX - 1 - len, &some);
		tls_wire_taken();
		len += some;
	} while (result == TLS_OK);
	to[len] = 0;
	*ret_len = len;
	return result;
}

static void
leave(struct end *e)
{
	tls_free(&e->tls);
	close(e->fd);
	rig_turn(&r);
}

static struct end
ask(const char *body)
{
	struct end c = shaken_client();
	size_t n = rig_request(&r, body, "", in);
	say(&c, in, n);
	return c;
}

static struct end
ask_old(const char *body)
{
	struct end c = shaken_client();
	size_t n = rig_request(&r, body, "", in);
	char *version = strstr(in, "HTTP/1.1");
	version[7] = '0';
	say(&c, in, n);
	return c;
}

static uint32_t
clients_shaking(void)
{
	return r.edge->shaking[false];
}

static uint64_t
used(void)
{
	struct vault_facts f;
	vault_facts(r.edge->vault, &f);
	return f.used_bytes;
}

/* ---- providers ---- */

/* Half of its handshake and its FIN in one event, which comes once. */
static void
a_provider_that_goes_in_mid_handshake_is_noticed_at_once(void **state)
{
	size_t len;
	struct end c = ask(hi), p = provider(0);
	assert_int_equal(tls_handshake(p.tls), TLS_AGAIN);
	assert_int_equal(send(p.fd, tls_wire().at, tls_wire().len / 2, 0), tls_wire().len / 2);
	tls_wire_taken();
	shutdown(p.fd, SHUT_WR);
	(void)hear(&c, out, &len);
	assert_memory_equal(out, "HTTP/1.1 502", 12);
	assert_int_equal(r.edge->shaking[true], 0);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), DOLLAR);
	leave(&p);
	leave(&c);
}

/* An answer that only the end ends: the goodbye comes with its last bytes, the FIN never. */
static void
an_end_that_comes_with_the_last_bytes_is_seen(void **state)
{
	size_t len;
	struct end c = ask(hi), p = provider(0);
	shake(&p);
	(void)hear(&p, out, &len);
	seal(&p, UNTIL_CLOSE PLAIN_BODY, sizeof UNTIL_CLOSE PLAIN_BODY - 1);
	tls_end(p.tls);
	flush(&p);
	(void)hear(&c, out, &len);
	assert_non_null(strstr(out, "0\r\n\r\n"));
	assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), DOLLAR - COST);
	leave(&p);
	leave(&c);
}

/* ---- clients ---- */

/* HTTP/1.0: only the end of the connection ends the answer. With a goodbye it is whole, and only then. */
static void
goodbye_is_said_behind_whole_answers_only(void **state)
{
	for (int whole = 0; whole < 2; whole++) {
		size_t len;
		struct end c = ask_old(hi), p = provider(whole);
		shake(&p);
		(void)hear(&p, out, &len);
		seal(&p, UNTIL_CLOSE PLAIN_BODY, sizeof UNTIL_CLOSE PLAIN_BODY - (whole ? 1 : 20));
		if (whole)
			tls_end(p.tls);
		flush(&p);
		shutdown(p.fd, SHUT_WR);
		assert_int_equal(hear(&c, out, &len), whole ? TLS_CLOSED : TLS_CUT);
		assert_memory_equal(out, "HTTP/1.1 200", 12);
		leave(&p);
		leave(&c);
	}
}

/* The reset that a refused client's own words would cause does not come before the answer has been read. */
static void
a_refused_upload_gets_its_answer(void **state)
{
	size_t len;
	struct end c = shaken_client();
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 900000\r\n\r\n", r.key);
	memset(in + n, 'x', 900000);
	for (size_t at = 0; at < n + 900000; at += 50000)
		say(&c, in + at, n + 900000 - at < 50000 ? n + 900000 - at : 50000);
	assert_int_equal(hear(&c, out, &len), TLS_CLOSED);
	assert_memory_equal(out, "HTTP/1.1 400", 12);
	leave(&c);
}

/* A goodbye is for what it says itself (RFC 8446 6.1): the connection is there, and what it asked for before is answered. */
static void
who_says_goodbye_and_stays_is_answered(void **state)
{
	size_t len;
	struct end c = ask(hi), p = provider(0);
	shake(&p);
	tls_end(c.tls);
	flush(&c);
	rig_pass(&r, 100);
	(void)hear(&p, out, &len);
	seal(&p, UNTIL_CLOSE PLAIN_BODY, sizeof UNTIL_CLOSE PLAIN_BODY - 1);
	tls_end(p.tls);
	flush(&p);
	assert_int_equal(hear(&c, out, &len), TLS_CLOSED);
	assert_memory_equal(out, "HTTP/1.1 200", 12);
	assert_non_null(strstr(out, "0\r\n\r\n"));
	assert_int_equal(atomic_load(&r.counters.ended[END_COMPLETED]), 1);
	leave(&p);
	leave(&c);
}

/* With a goodbye or without: it is not asked (docs/decisions/0013), and its request ends at the provider. */
static void
who_ends_the_connection_has_gone(void **state)
{
	for (int goodbye = 0; goodbye < 2; goodbye++) {
		size_t len;
		struct end c = ask(hi), p = provider(goodbye);
		shake(&p);
		if (goodbye) {
			tls_end(c.tls);
			flush(&c);
		}
		shutdown(c.fd, SHUT_WR);
		assert_int_not_equal(hear(&p, out, &len), TLS_AGAIN);
		assert_int_equal(atomic_load(&r.counters.ended[END_CLIENT_GONE]), goodbye + 1);
		leave(&p);
		leave(&c);
	}
}

/* What is in the wire goes with what is sealed next: one event. */
static void
send_with(struct end *e, const char *bytes, size_t len)
{
	static char copy[RIG_OUT_MAX];
	size_t all = tls_wire().len;
	memcpy(copy, tls_wire().at, all);
	tls_wire_taken();
	seal(e, bytes, len);
	memcpy(copy + all, tls_wire().at, tls_wire().len);
	all += tls_wire().len;
	tls_wire_taken();
	assert_int_equal(send(e->fd, copy, all, 0), all);
}

static void
who_updates_keys_for_their_own_sake_is_cut_off(void **state)
{
	static const struct {
		int updates;
		bool served;
	} rows[] = {{32, true}, {33, false}, {5000, false}};
	uint64_t before = used();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len;
		struct end c = shaken_client();
		for (int n = 0; n < rows[i].updates; n++) {
			assert_int_equal(SSL_key_update(c.tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
			assert_int_equal(tls_handshake(c.tls), TLS_OK);
		}
		flush(&c);
		rig_turn(&r);
		seal(&c, HEALTH, sizeof HEALTH - 1);
		size_t asked = tls_wire().len;
		memcpy(in, tls_wire().at, asked);
		tls_wire_taken();
		(void)!send(c.fd, in, asked, MSG_NOSIGNAL); /* it may have been cut off already */
		enum tls_result end = hear(&c, out, &len);
		assert_int_equal(len > 0, rows[i].served);
		assert_int_equal(end == TLS_AGAIN, rows[i].served);
		assert_int_equal(atomic_load(&r.counters.connections_open), rows[i].served);
		leave(&c);
	}
	assert_int_equal(used(), before);
}

/* More of them than one turn takes, then an answer: nothing else comes that would wake the edge. */
static void
a_flood_of_tickets_ends_and_the_answer_behind_it_is_relayed(void **state)
{
	size_t len;
	struct end c = ask(hi), p = provider(0);
	shake(&p);
	(void)hear(&p, out, &len);
	while (tls_wire().len < 96 << 10) {
		assert_int_equal(SSL_new_session_ticket(p.tls->ssl), 1);
		assert_int_equal(tls_handshake(p.tls), TLS_OK);
	}
	send_with(&p, UNTIL_CLOSE PLAIN_BODY, sizeof UNTIL_CLOSE PLAIN_BODY - 1);
	loop_turn(&r.edge->loop, 0);
	assert_true(r.edge->loop.again != NULL); /* others have had their turn meanwhile */
	shutdown(p.fd, SHUT_WR);
	(void)hear(&c, out, &len);
	assert_memory_equal(out, "HTTP/1.1 200", 12);
	leave(&p);
	leave(&c);
}

static void
half_a_handshake_has_the_time_of_a_head_and_no_more(void **state)
{
	uint64_t before = used();
	struct end c = client();
	assert_int_equal(tls_handshake(c.tls), TLS_AGAIN);
	flush(&c);
	assert_int_equal(clients_shaking(), 1);
	rig_pass(&r, 9000);
	assert_int_equal(atomic_load(&r.counters.connections_open), 1);
	rig_pass(&r, 2000);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	assert_int_equal(clients_shaking(), 0);
	assert_int_equal(used(), before);
	leave(&c);
}

/* Also for who lets our part of it wait for room. */
static void
a_handshake_that_waited_for_room_has_no_more_time_either(void **state)
{
	struct end c = client();
	int ours = r.edge->clients->conn.watch.fd;
	size_t junk = 0;
	assert_int_equal(tls_handshake(c.tls), TLS_AGAIN);
	for (ssize_t n; (n = send(ours, out, 4096, MSG_DONTWAIT)) > 0; junk += (size_t)n)
		;
	flush(&c);
	assert_non_null(r.edge->clients->conn.out.at);
	for (ssize_t n; junk; junk -= (size_t)n)
		assert_true((n = recv(c.fd, out, junk < sizeof out ? junk : sizeof out, 0)) > 0);
	rig_turn(&r);
	assert_null(r.edge->clients->conn.out.at);
	rig_pass(&r, 11000);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	leave(&c);
}

static void
what_is_no_handshake_leaves_nothing_behind(void **state)
{
	static const char *const words[] = {"", "\x16\x03\x01", "\x16\x03\x01\x00\x05hello", "GET / HTTP/1.1\r\n\r\n", "GET /", "\x15\x03\x03\x00\x02\x02\x28",
		"\x17\x03\x03\x00\x20 sealed before there is a key .....", "SSH-2.0-OpenSSH_9.2p1\r\n", "\x80\x2e\x01\x03\x01"};
	uint64_t before = used();
	for (size_t i = 0; i < 200; i++) {
		int fd = rig_client(&r);
		const char *w = words[i % ARRAY_LEN(words)];
		rig_send(&r, fd, w, w[0] == '\x16' && i % ARRAY_LEN(words) == 2 ? 10 : strlen(w));
		close(fd);
		rig_turn(&r);
	}
	rig_pass(&r, 3000);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	assert_int_equal(clients_shaking(), 0);
	assert_int_equal(used(), before);
	assert_true(atomic_load(&r.counters.tls_failed) > 0);
}

/* ---- memory ---- */

static void *hoard[16384];
static size_t hoarded;

/* All that there is, but for `spare` bytes or a little more. */
static void
hoard_all_but(size_t spare)
{
	struct vault_facts f;
	for (size_t bytes = VAULT_BLOCK_MAX; bytes >= VAULT_BLOCK_MIN; bytes /= 2)
		for (;;) {
			vault_facts(r.edge->vault, &f);
			if (f.mapped_bytes - f.used_bytes < spare + bytes || hoarded == ARRAY_LEN(hoard) || !(hoard[hoarded] = vault_alloc(r.edge->vault, bytes)))
				break;
			hoarded++;
		}
}

static void
give_back(void)
{
	while (hoarded) {
		void *p = hoard[--hoarded];
		vault_free(r.edge->vault, p, vault_bytes_of(r.edge->vault, p));
	}
}

/* Segments until the bound; those beyond it are not taken. */
static void
map_all(void)
{
	for (int i = 0; i < 8; i++) {
		struct message_segment m = MESSAGE_INIT(SEGMENT, message_segment);
		int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);
		m.segment_bytes = VAULT_SEGMENT;
		assert_int_equal(ipc_send(r.supervisor, &m, sizeof m, fd), IPC_OK);
		close(fd);
		rig_turn(&r);
	}
}

static uint32_t
wanted_segments(void)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	uint32_t n = 0;
	while (ipc_recv(r.supervisor, buf, &bytes, &fd) == IPC_OK)
		n += ((struct message_head *)(void *)buf)->type == MESSAGE_SEGMENT_WANTED;
	return n;
}

/* The bound is reached: who asked all the same would ask again with each segment that it can't take. */
static void
a_hello_waits_for_room_and_no_segment_beyond_the_bound_is_asked_for(void **state)
{
	map_all();
	hoard_all_but(300 << 10);
	(void)wanted_segments();
	struct end c = greeting_client();
	rig_pass(&r, 2000);
	assert_int_equal(clients_shaking(), 0);
	assert_int_equal(atomic_load(&r.counters.connections_open), 1);
	assert_null(r.edge->loop.again); /* nor is it looked for each turn */
	assert_int_equal(wanted_segments(), 0);
	give_back();
	rig_pass(&r, 1000);
	shake(&c);
	leave(&c);
}

static void
who_has_not_said_hello_costs_no_memory_for_tls(void **state)
{
	enum { MANY = 100 };
	static struct end c[MANY];
	for (size_t i = 0; i < MANY; i++)
		c[i] = client();
	uint64_t before = used();
	char last = 0;
	for (size_t i = 0; i < MANY; i++) { /* of the hello: nothing, a byte, half of its record's head, all but its last byte */
		assert_int_equal(tls_handshake(c[i].tls), TLS_AGAIN);
		size_t some[] = {0, 1, 3, tls_wire().len - 1};
		rig_send(&r, c[i].fd, tls_wire().at, some[i % ARRAY_LEN(some)]);
		last = tls_wire().at[tls_wire().len - 1];
		tls_wire_taken();
	}
	rig_turn(&r);
	assert_int_equal(clients_shaking(), 0);
	assert_int_equal(used(), before);
	rig_send(&r, c[MANY - 1].fd, &last, 1);
	shake(&c[MANY - 1]);
	for (size_t i = 0; i < MANY; i++)
		leave(&c[i]);
}

/* Each is a signature, for which everybody else waits. */
static void
handshakes_take_turns(void **state)
{
	enum { MANY = 3 * HANDSHAKES_A_TURN };
	static struct end c[MANY];
	for (size_t i = 0; i < MANY; i++)
		c[i] = client();
	rig_turn(&r);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(tls_handshake(c[i].tls), TLS_AGAIN);
		assert_int_equal(send(c[i].fd, tls_wire().at, tls_wire().len, 0), tls_wire().len);
		tls_wire_taken();
	}
	for (size_t turns = 1; turns <= 3; turns++) {
		loop_turn(&r.edge->loop, 0);
		assert_int_equal(clients_shaking(), turns * HANDSHAKES_A_TURN);
	}
	for (size_t i = 0; i < MANY; i++)
		shake(&c[i]);
	assert_int_equal(clients_shaking(), 0);
	assert_null(r.edge->loop.again);
	for (size_t i = 0; i < MANY; i++)
		leave(&c[i]);
}

/* Who leaves others waiting for its part gets no more of the vault than its share, and no longer than a head may take. */
static void
handshakes_have_a_share_of_the_memory(void **state)
{
	enum { MANY = (40 << 20) / HANDSHAKES_SHARE / TLS_HANDSHAKE_BYTES };
	static struct end c[MANY + 2];
	map_all();
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = greeting_client();
	rig_pass(&r, 100);
	assert_int_equal(clients_shaking(), MANY);
	leave(&c[0]);
	rig_turn(&r);
	assert_int_equal(clients_shaking(), MANY);
	shake(&c[MANY]);
	shake(&c[MANY + 1]);
	for (size_t i = 1; i < ARRAY_LEN(c); i++)
		leave(&c[i]);
}

/* It is our memory that is short, and no provider that is slow. */
static void
who_finds_no_room_for_a_handshake_is_told_of_our_load(void **state)
{
	size_t len;
	struct end c = shaken_client();
	map_all();
	hoard_all_but(340 << 10);
	size_t n = rig_request(&r, hi, "", in);
	say(&c, in, n);
	rig_turn(&r);
	assert_int_equal(r.dials, 0);
	assert_non_null(r.edge->wait_room.first);
	rig_pass(&r, 6000);
	(void)hear(&c, out, &len);
	assert_memory_equal(out, "HTTP/1.1 503", 12);
	give_back();
	leave(&c);
}

/* ---- renewal ---- */

static uint32_t
events(enum event_id id)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	uint32_t n = 0;
	while (ipc_recv(r.scribe, buf, &bytes, &fd) == IPC_OK)
		n += ((struct message_event *)(void *)buf)->event == id;
	return n;
}

/* The supervisor hands certificates over when the operator says so, not when there is memory for them. */
static void
a_renewal_without_memory_is_refused_and_the_next_is_taken(void **state)
{
	hoard_all_but(0);
	rig_tls_hand(&r, SECRET_CERTIFICATE, rig_tls_pem(SECRET_CERTIFICATE));
	rig_tell(&r, MESSAGE_TLS_RENEWED);
	rig_turn(&r);
	assert_int_equal(events(EVENT_TLS_REFUSED), 1);
	give_back();
	rig_tls_hand(&r, SECRET_CERTIFICATE, "-----BEGIN CERTIFICATE-----\n"); /* one that was never finished */
	rig_tls_hand(&r, SECRET_CERTIFICATE, rig_tls_pem(SECRET_CERTIFICATE));
	rig_tell(&r, MESSAGE_TLS_RENEWED);
	rig_turn(&r);
	assert_int_equal(events(EVENT_TLS_RENEWED), 1);
	struct end c = shaken_client();
	leave(&c);
}

/* ---- the signer ---- */

enum { SHORT_WAIT_MS = 20 };

/* A line to nobody, for the edge; returns our end. */
static int
deaf_signer(void)
{
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	int pair[2];
	m.role = END_OF_SIGNER;
	assert_int_equal(ipc_pair(pair), 0);
	assert_true(ipc_may_wait(pair[0], SHORT_WAIT_MS));
	assert_int_equal(ipc_send(r.supervisor, &m, sizeof m, pair[0]), IPC_OK);
	close(pair[0]);
	rig_turn(&r);
	return pair[1];
}

static void
signer_is_back(void)
{
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	int fd = rig_tls_signer_line();
	m.role = END_OF_SIGNER;
	assert_int_equal(ipc_send(r.supervisor, &m, sizeof m, fd), IPC_OK);
	close(fd);
	rig_turn(&r);
}

static bool
question_of(int signer, struct message_sign *ret)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	if (ipc_recv(signer, buf, &bytes, &fd) != IPC_OK)
		return false;
	assert_true(message_check(buf, bytes, END_OF_EDGE, END_OF_SIGNER, false));
	memcpy(ret, buf, sizeof *ret);
	return true;
}

static void
refused(struct end *e)
{
	enum tls_result result = TLS_AGAIN;
	for (int i = 0; i < 20 && result == TLS_AGAIN; i++) {
		result = tls_handshake(e->tls);
		flush(e);
		rig_turn(&r);
	}
	assert_true(result == TLS_FAILED || result == TLS_CUT);
	leave(e);
}

static void
still_served(struct end *c)
{
	size_t len;
	say(c, HEALTH, strlen(HEALTH));
	rig_turn(&r);
	(void)hear(c, out, &len);
	assert_memory_equal(out, "HTTP/1.1 200", 12);
}

/* Nobody waits for it but the one handshake; whoever is connected is served, and a session is resumed. */
static void
a_silent_signer_costs_one_wait_and_new_handshakes_only(void **state)
{
	struct message_sign first, other;
	struct end before = shaken_client(), e;
	int signer = deaf_signer();
	(void)events(EVENT_NONE);
	e = client();
	refused(&e);
	assert_true(question_of(signer, &first));
	assert_int_equal(events(EVENT_SIGNER_SILENT), 1);
	still_served(&before);
	e = client();
	refused(&e);
	assert_false(question_of(signer, &other)); /* it was not even asked */
	assert_int_equal(events(EVENT_SIGNER_SILENT), 0);
	/* What was owed comes: the next is asked again, and what came is not taken for its answer. */
	struct message_signed late = MESSAGE_INIT(SIGNED, message_signed);
	late.token = first.token;
	late.signature_bytes = 64;
	assert_int_equal(ipc_send(signer, &late, sizeof late, -1), IPC_OK);
	e = client();
	refused(&e);
	assert_true(question_of(signer, &other));
	assert_int_equal(other.token, first.token + 1);
	signer_is_back();
	e = shaken_client();
	still_served(&e);
	still_served(&before);
	leave(&e);
	leave(&before);
	close(signer);
}

static void
a_signer_that_has_gone_is_not_waited_for(void **state)
{
	struct end before = shaken_client(), e;
	(void)events(EVENT_NONE);
	close(deaf_signer());
	e = client();
	refused(&e);
	assert_int_equal(events(EVENT_SIGNER_SILENT), 0);
	still_served(&before);
	signer_is_back();
	e = shaken_client();
	leave(&e);
	leave(&before);
}

/* It has other keys than the edge has certificates for, or refuses: this handshake is over, and nothing else. */
static void
a_signature_that_is_refused_or_wrong_ends_its_handshake_only(void **state)
{
	for (uint32_t bytes = 0; bytes <= 64; bytes += 64) {
		struct end before = shaken_client(), e = client();
		struct message_signed answer = MESSAGE_INIT(SIGNED, message_signed);
		int signer = deaf_signer();
		answer.token = r.edge->identity->line.token + 1;
		answer.signature_bytes = bytes;
		assert_int_equal(ipc_send(signer, &answer, sizeof answer, -1), IPC_OK); /* before it is asked */
		refused(&e);
		still_served(&before);
		leave(&before);
		signer_is_back();
		close(signer);
	}
}

static void
take_bytes(char *to, size_t *len)
{
	struct span wire = tls_wire();
	memcpy(to + *len, wire.at, wire.len);
	*len += wire.len;
	tls_wire_taken();
}

/* Its last words of the handshake and its request come at once, and it has gone before it can be told what it resumes by: nobody reads that request. */
static void
what_came_as_the_connection_broke_is_wiped(void **state)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	m.kind = SECRET_TICKET_KEY;
	m.secret_bytes = TICKET_KEY_BYTES;
	memset(m.secret, 7, TICKET_KEY_BYTES);
	assert_int_equal(ipc_send(r.supervisor, &m, sizeof m, -1), IPC_OK);
	rig_turn(&r);
	struct end e = greeting_client();
	static char both[RIG_OUT_MAX];
	static const char zero[BLOCK_READ];
	size_t len = 0, taken;
	rig_turn(&r);
	assert_int_equal(tls_handshake(e.tls), TLS_OK);
	take_bytes(both, &len);
	struct iovec request = {in, rig_request(&r, hi, "", in)};
	assert_int_equal(tls_write(e.tls, &request, 1, &taken), TLS_OK);
	take_bytes(both, &len);
	assert_int_equal(send(e.fd, both, len, 0), len);
	leave(&e);
	assert_null(r.edge->clients);
	assert_memory_equal(r.edge->read->bytes, zero, BLOCK_READ);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		T(a_provider_that_goes_in_mid_handshake_is_noticed_at_once),
		T(an_end_that_comes_with_the_last_bytes_is_seen),
		T(goodbye_is_said_behind_whole_answers_only),
		T(a_refused_upload_gets_its_answer),
		T(who_says_goodbye_and_stays_is_answered),
		T(who_ends_the_connection_has_gone),
		T(what_came_as_the_connection_broke_is_wiped),
		T(who_updates_keys_for_their_own_sake_is_cut_off),
		T(a_flood_of_tickets_ends_and_the_answer_behind_it_is_relayed),
		T(half_a_handshake_has_the_time_of_a_head_and_no_more),
		T(a_handshake_that_waited_for_room_has_no_more_time_either),
		T(what_is_no_handshake_leaves_nothing_behind),
		T(a_hello_waits_for_room_and_no_segment_beyond_the_bound_is_asked_for),
		T(who_has_not_said_hello_costs_no_memory_for_tls),
		T(handshakes_take_turns),
		T(handshakes_have_a_share_of_the_memory),
		T(who_finds_no_room_for_a_handshake_is_told_of_our_load),
		T(a_renewal_without_memory_is_refused_and_the_next_is_taken),
		T(a_silent_signer_costs_one_wait_and_new_handshakes_only),
		T(a_signer_that_has_gone_is_not_waited_for),
		T(a_signature_that_is_refused_or_wrong_ends_its_handshake_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
