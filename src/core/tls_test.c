/* Both ends in one thread over a socket pair, all of OpenSSL in a vault. */
#include "core/tls.h"

#include "core/tls_priv.h"
#include "core/vault_priv.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct vault *vault;

/* ---- certificates ---- */

struct issued {
	EVP_PKEY *key;
	X509 *own;
	char pem[8192], key_pem[4096];
};

static void
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_true(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static size_t
bio_text(BIO *b, char *at, size_t cap)
{
	int n = BIO_read(b, at, (int)cap - 1);
	assert_true(n > 0);
	at[n] = '\0';
	BIO_free(b);
	return (size_t)n;
}

/* names: "DNS:a.example,IP:127.0.0.1", or NULL for an authority; by: NULL signs itself. */
static struct issued
issue(const char *common, const char *names, const struct issued *by, bool rsa, long days)
{
	static long serial = 1;
	struct issued r = {.key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), .own = X509_new()};
	X509_NAME *name = X509_get_subject_name(r.own);
	X509_set_version(r.own, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(r.own), serial++);
	X509_gmtime_adj(X509_getm_notBefore(r.own), -7 * 86400);
	X509_gmtime_adj(X509_getm_notAfter(r.own), days * 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
	X509_set_issuer_name(r.own, by ? X509_get_subject_name(by->own) : name);
	X509_set_pubkey(r.own, r.key);
	add_extension(r.own, by ? by->own : r.own, NID_basic_constraints, names ? "CA:FALSE" : "critical,CA:TRUE");
	if (names)
		add_extension(r.own, by ? by->own : r.own, NID_subject_alt_name, names);
	assert_true(X509_sign(r.own, by ? by->key : r.key, EVP_sha256()));
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, r.own);
	bio_text(b, r.pem, sizeof r.pem);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, r.key, NULL, NULL, 0, NULL, NULL);
	bio_text(b, r.key_pem, sizeof r.key_pem);
	return r;
}

static void
drop(struct issued *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->own);
}

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static struct tls_identity
identity(const struct issued *i)
{
	return (struct tls_identity){text(i->pem), text(i->key_pem)};
}

/* ---- two ends ---- */

struct pair {
	int fd[2];
	struct tls *end[2]; /* 0: server */
};

static struct pair
join(struct tls_server *s, struct tls_client *c, const char *host, struct tls_sessions *sessions)
{
	struct pair p;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p.fd), 0);
	p.end[0] = tls_accept(s, p.fd[0]);
	p.end[1] = c ? tls_connect(c, host, sessions, p.fd[1]) : NULL;
	assert_non_null(p.end[0]);
	assert_true(!c || p.end[1]);
	return p;
}

static void
send_wire(int fd)
{
	struct span out = tls_wire();
	if (out.len)
		assert_int_equal(send(fd, out.at, out.len, MSG_NOSIGNAL), out.len);
	tls_wire_taken();
}

static void
part(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		tls_free(&p->end[i]);
		if (p->fd[i] >= 0)
			close(p->fd[i]);
	}
}

/* Both until neither has anything to say. Returns how the client's side ended. */
static enum tls_result
shake(struct pair *p)
{
	enum tls_result r[2] = {TLS_AGAIN, TLS_AGAIN};
	for (int turn = 0; turn < 20; turn++)
		for (int i = 1; i >= 0; i--)
			if (r[i] == TLS_AGAIN) {
				r[i] = tls_handshake(p->end[i]);
				send_wire(p->fd[i]);
			}
	return r[0] == TLS_OK ? r[1] : r[0] == TLS_FAILED && r[1] == TLS_OK ? TLS_FAILED
		: r[1] == TLS_OK                                                ? r[0]
																		: r[1];
}

static size_t
say(struct pair *p, int from, const char *bytes, size_t len)
{
	struct iovec part = {(char *)bytes, len};
	size_t taken;
	assert_int_equal(tls_write(p->end[from], &part, 1, &taken), TLS_OK);
	send_wire(p->fd[from]);
	return taken;
}

static void
hear(struct pair *p, int at, const char *expected)
{
	char got[256];
	size_t len;
	assert_int_equal(tls_read(p->end[at], got, sizeof got, &len), TLS_OK);
	send_wire(p->fd[at]);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(got, expected, len);
}

static void
hear_nothing(struct pair *p, int at)
{
	char got[16];
	size_t len;
	assert_int_equal(tls_read(p->end[at], got, sizeof got, &len), TLS_AGAIN);
	send_wire(p->fd[at]);
}

/* ---- a world: one authority, a server, a client that trusts it ---- */

struct world {
	struct issued ca, leaf;
	struct tls_ticket_keys tickets;
	struct tls_server *server;
	struct tls_client *client;
};

static struct tls_server *
serve(const struct issued *leaf, const struct tls_server_options *o)
{
	char why[TLS_WHY_MAX];
	struct tls_identity id = identity(leaf);
	struct tls_server *s = tls_server_create(&id, 1, o, why);
	if (!s)
		fail_msg("%s", why);
	return s;
}

static int
begin(void **state)
{
	char why[TLS_WHY_MAX];
	struct world *w = test_calloc(1, sizeof *w);
	w->ca = issue("authority", NULL, NULL, false, 100);
	w->leaf = issue("leaf", "DNS:api.example,IP:127.0.0.1", &w->ca, false, 100);
	w->tickets = (struct tls_ticket_keys){1, {{{1}, {2}, {3}}}};
	w->server = serve(&w->leaf, &(struct tls_server_options){.tickets = &w->tickets});
	w->client = tls_client_create(text(w->ca.pem), why);
	assert_non_null(w->client);
	*state = w;
	return 0;
}

static int
end(void **state)
{
	struct world *w = *state;
	tls_server_unref(&w->server);
	tls_client_unref(&w->client);
	drop(&w->ca);
	drop(&w->leaf);
	test_free(w);
	return 0;
}

/* ---- what must hold ---- */

static uint64_t
used(void)
{
	struct vault_facts f;
	vault_facts(vault, &f);
	return f.used_bytes;
}

static void
bytes_pass_both_ways(void **state)
{
	struct world *w = *state;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	assert_int_equal(shake(&p), TLS_OK);
	assert_string_equal(tls_version(p.end[1]), "TLSv1.3");
	say(&p, 1, "question", 8);
	hear(&p, 0, "question");
	say(&p, 0, "answer", 6);
	hear(&p, 1, "answer");
	assert_true(tls_is_drained(p.end[1]));
	assert_true(tls_is_quiet(p.end[1]));
	part(&p);
}

static void
a_numeric_address_is_checked_as_such(void **state)
{
	struct world *w = *state;
	struct pair p = join(w->server, w->client, "127.0.0.1", NULL);
	assert_int_equal(shake(&p), TLS_OK);
	part(&p);
	p = join(w->server, w->client, "127.0.0.2", NULL);
	assert_int_equal(shake(&p), TLS_FAILED);
	assert_int_equal(tls_flaw(p.end[1]), TLS_FLAW_CERTIFICATE);
	part(&p);
}

static void
parts_become_one_record(void **state)
{
	struct world *w = *state;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	struct iovec parts[] = {{(char *)"head ", 5}, {(char *)"", 0}, {(char *)"body", 4}};
	size_t taken;
	assert_int_equal(shake(&p), TLS_OK);
	assert_int_equal(tls_write(p.end[0], parts, 3, &taken), TLS_OK);
	assert_int_equal(taken, 9);
	assert_int_equal(tls_wire().len, 5 + 9 + 1 + 16); /* header, bytes, type, tag: RFC 8446 5.2 */
	send_wire(p.fd[0]);
	hear(&p, 1, "head body");
	part(&p);
}

/* More than fits one call, read through a small window. */
static void
much_is_taken_piece_by_piece(void **state)
{
	enum { MUCH = 300000 };
	struct world *w = *state;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	char *sent = test_malloc(MUCH), *got = test_malloc(MUCH);
	size_t out = 0, in = 0, len;
	for (int i = 0; i < MUCH; i++)
		sent[i] = (char)(i * 7 + i / 251);
	assert_int_equal(shake(&p), TLS_OK);
	while (in < MUCH) {
		if (out < MUCH && out - in < 100000) {
			size_t taken = say(&p, 0, sent + out, MUCH - out);
			assert_true(taken <= TLS_WRITE_MAX);
			out += taken;
		}
		enum tls_result r = tls_read(p.end[1], got + in, MUCH - in < 5000 ? MUCH - in : 5000, &len);
		assert_true(r == TLS_OK || r == TLS_AGAIN);
		in += len;
	}
	assert_memory_equal(sent, got, MUCH);
	test_free(sent);
	test_free(got);
	part(&p);
}

static void
the_end_is_told_from_a_cut(void **state)
{
	struct world *w = *state;
	char got[16];
	size_t len;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	assert_int_equal(shake(&p), TLS_OK);
	say(&p, 0, "last", 4);
	tls_end(p.end[0]);
	send_wire(p.fd[0]);
	hear(&p, 1, "last");
	assert_int_equal(tls_read(p.end[1], got, sizeof got, &len), TLS_CLOSED);
	part(&p);
	p = join(w->server, w->client, "api.example", NULL);
	assert_int_equal(shake(&p), TLS_OK);
	say(&p, 0, "last", 4);
	close(p.fd[0]);
	p.fd[0] = -1;
	hear(&p, 1, "last");
	assert_int_equal(tls_read(p.end[1], got, sizeof got, &len), TLS_CUT);
	part(&p);
}

/* Both in one segment, and nothing comes behind them: whoever waits for the socket would wait for ever. */
static void
an_end_behind_the_last_bytes_is_not_drained(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *end;
		size_t len;
		enum tls_result result;
	} ends[] = {{NULL, 0, TLS_CLOSED}, {"\x17\x03\x03\x00\x11 sealed by nobody", 22, TLS_FAILED}};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char got[16];
		size_t len;
		struct pair p = join(w->server, w->client, "api.example", NULL);
		struct iovec last[] = {{(char *)"last", 4}};
		assert_int_equal(shake(&p), TLS_OK);
		assert_int_equal(tls_write(p.end[0], last, 1, &len), TLS_OK);
		if (!ends[i].end)
			tls_end(p.end[0]);
		send_wire(p.fd[0]);
		if (ends[i].end)
			assert_int_equal(send(p.fd[0], ends[i].end, ends[i].len, 0), ends[i].len);
		hear(&p, 1, "last");
		assert_false(tls_is_drained(p.end[1]));
		assert_int_equal(tls_read(p.end[1], got, sizeof got, &len), ends[i].result);
		tls_wire_taken();
		part(&p);
	}
}

/* Tickets as fast as they can be read: one call takes a bounded piece of them, and says that there is more. */
static void
a_flood_of_tickets_does_not_hold_up_the_turn(void **state)
{
	enum { FLOOD = 3000,
		AT_ONCE = 100,
		MUTE_MOST = 64 << 10 };
	struct world *w = *state;
	char got[64];
	static char much[64 << 10];
	size_t len, calls = 0, bytes = 0, flooded = 0;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	int room = 4 << 20;
	setsockopt(p.fd[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	assert_int_equal(shake(&p), TLS_OK);
	for (int turn = 0; turn < 2; turn++) { /* a byte for its reader now and then changes nothing */
		for (int sent = 0; sent < FLOOD; sent += AT_ONCE) {
			for (int i = 0; i < AT_ONCE; i++) {
				assert_true(SSL_new_session_ticket(p.end[0]->ssl));
				assert_int_equal(tls_handshake(p.end[0]), TLS_OK);
			}
			flooded += tls_wire().len;
			send_wire(p.fd[0]);
			if (turn == 1)
				bytes += say(&p, 0, "x", 1);
		}
		if (turn == 0)
			do {
				assert_int_equal(tls_read(p.end[1], got, sizeof got, &len), TLS_AGAIN);
				calls++;
			} while (tls_has_more(p.end[1]));
	}
	while (bytes > 0) {
		enum tls_result r = tls_read(p.end[1], much, sizeof much, &len);
		assert_true(r == TLS_OK || (r == TLS_AGAIN && tls_has_more(p.end[1])));
		bytes -= len;
		calls++;
	}
	assert_true(flooded > 10 * MUTE_MOST);
	assert_true(calls >= flooded / MUTE_MOST);
	say(&p, 0, "after all", 9);
	hear(&p, 1, "after all");
	part(&p);
}

static void
update_key(struct pair *p, int from, int times)
{
	for (int i = 0; i < times; i++) {
		assert_true(SSL_key_update(p->end[from]->ssl, SSL_KEY_UPDATE_NOT_REQUESTED));
		assert_int_equal(tls_handshake(p->end[from]), TLS_OK);
	}
	send_wire(p->fd[from]);
}

/* A key costs us three derivations and its peer 27 bytes. */
static void
keys_may_be_updated_but_not_for_their_own_sake(void **state)
{
	enum { OFTEN = 32 };
	struct world *w = *state;
	char got[64];
	size_t len;
	for (int from = 0; from < 2; from++) {
		struct pair p = join(w->server, w->client, "api.example", NULL);
		assert_int_equal(shake(&p), TLS_OK);
		hear_nothing(&p, 1); /* the server's tickets */
		for (int turn = 0; turn < 10; turn++) {
			update_key(&p, from, OFTEN);
			hear_nothing(&p, 1 - from);
			say(&p, from, "data", 4);
			hear(&p, 1 - from, "data");
		}
		update_key(&p, from, OFTEN);
		hear_nothing(&p, 1 - from);
		assert_true(tls_is_quiet(p.end[1 - from]));
		update_key(&p, from, 1); /* also where they come one by one */
		assert_int_equal(tls_read(p.end[1 - from], got, sizeof got, &len), TLS_FAILED);
		assert_int_equal(tls_flaw(p.end[1 - from]), TLS_FLAW_PROTOCOL);
		assert_false(tls_is_quiet(p.end[1 - from]));
		part(&p);
		p = join(w->server, w->client, "api.example", NULL);
		assert_int_equal(shake(&p), TLS_OK);
		hear_nothing(&p, 1);
		say(&p, from, "first", 5); /* what comes before too many of them is still heard */
		update_key(&p, from, OFTEN + 1);
		hear(&p, 1 - from, "first");
		assert_int_equal(tls_read(p.end[1 - from], got, sizeof got, &len), TLS_FAILED);
		part(&p);
	}
}

/* Nine bytes promise a ClientHello of 128 KiB, for which OpenSSL would set memory aside at once. */
static void
a_promise_of_a_long_hello_costs_little(void **state)
{
	struct world *w = *state;
	static const char promise[16 << 10] = "\x16\x03\x01\x3f\xfb\x01\x02\x00\x00\x03\x03"; /* RFC 8446 5.1, 4 */
	uint64_t before = used();
	struct pair p = join(w->server, NULL, NULL, NULL);
	assert_int_equal(send(p.fd[1], promise, sizeof promise, 0), sizeof promise);
	assert_int_equal(tls_handshake(p.end[0]), TLS_FAILED);
	assert_true(used() - before < (96 << 10));
	tls_wire_taken();
	part(&p);
}

static void
a_damaged_record_is_refused(void **state)
{
	struct world *w = *state;
	char got[64], record[64];
	size_t len;
	struct pair p = join(w->server, w->client, "api.example", NULL);
	struct iovec part1 = {(char *)"question", 8};
	assert_int_equal(shake(&p), TLS_OK);
	assert_int_equal(tls_write(p.end[1], &part1, 1, &len), TLS_OK);
	memcpy(record, tls_wire().at, tls_wire().len);
	record[tls_wire().len - 1] ^= 1;
	assert_int_equal(send(p.fd[1], record, tls_wire().len, 0), tls_wire().len);
	tls_wire_taken();
	assert_int_equal(tls_read(p.end[0], got, sizeof got, &len), TLS_FAILED);
	assert_int_equal(tls_flaw(p.end[0]), TLS_FLAW_PROTOCOL);
	tls_wire_taken();
	part(&p);
}

static void
clear_text_is_named(void **state)
{
	struct world *w = *state;
	struct pair p = join(w->server, NULL, NULL, NULL);
	assert_int_equal(send(p.fd[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	assert_int_equal(tls_handshake(p.end[0]), TLS_FAILED);
	assert_int_equal(tls_flaw(p.end[0]), TLS_FLAW_PLAIN_HTTP);
	tls_wire_taken();
	part(&p);
}

static void
the_wrong_host_the_wrong_authority_and_old_certificates_are_refused(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	struct issued other = issue("other", NULL, NULL, false, 100), old = issue("old", "DNS:api.example", &w->ca, false, -1);
	struct tls_server *stale = serve(&old, &(struct tls_server_options){0});
	struct tls_client *strange = tls_client_create(text(other.pem), why);
	struct {
		struct tls_server *server;
		struct tls_client *client;
		const char *host;
		int number;
	} cases[] = {
		{w->server, w->client, "api.example.org", X509_V_ERR_HOSTNAME_MISMATCH},
		{w->server, strange, "api.example", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
		{stale, w->client, "api.example", X509_V_ERR_CERT_HAS_EXPIRED},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pair p = join(cases[i].server, cases[i].client, cases[i].host, NULL);
		assert_int_equal(shake(&p), TLS_FAILED);
		assert_int_equal(tls_flaw(p.end[1]), TLS_FLAW_CERTIFICATE);
		assert_int_equal(tls_flaw_number(p.end[1]), cases[i].number);
		assert_int_equal(tls_flaw(p.end[0]), TLS_FLAW_REFUSED);
		part(&p);
	}
	tls_client_unref(&strange);
	tls_server_unref(&stale);
	drop(&other);
	drop(&old);
}

static void
a_server_certificate_may_be_trusted_by_itself(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	struct tls_client *c = tls_client_create(text(w->leaf.pem), why);
	struct pair p = join(w->server, c, "api.example", NULL);
	assert_int_equal(shake(&p), TLS_OK);
	part(&p);
	tls_client_unref(&c);
}

static void
sessions_are_resumed_and_old_ticket_keys_still_open(void **state)
{
	struct world *w = *state;
	struct tls_sessions *sessions = tls_sessions_create();
	static const struct tls_ticket_key second = {{9}, {8}, {7}}, third = {{10}, {11}, {12}};
	for (int i = 0; i < 5; i++) {
		if (i == 2) { /* rotated: the old one still opens */
			w->tickets.key[1] = w->tickets.key[0];
			w->tickets.key[0] = second;
			w->tickets.count = 2;
		} else if (i == 4) { /* the one that sealed it is gone */
			w->tickets.key[0] = third;
			w->tickets.count = 1;
		}
		struct pair p = join(w->server, w->client, "api.example", sessions);
		assert_int_equal(shake(&p), TLS_OK);
		say(&p, 0, "x", 1);
		hear(&p, 1, "x"); /* the ticket comes before it */
		assert_int_equal(tls_was_resumed(p.end[1]), i != 0 && i != 4);
		part(&p);
	}
	tls_sessions_destroy(&sessions);
}

/* One ticket, several connections one after another: nobody has brought a new one yet. */
static void
the_last_session_serves_many(void **state)
{
	struct world *w = *state;
	struct tls_sessions *sessions = tls_sessions_create();
	struct pair first = join(w->server, w->client, "api.example", sessions), p[3];
	assert_int_equal(shake(&first), TLS_OK);
	say(&first, 0, "x", 1);
	hear(&first, 1, "x");
	for (int i = 0; i < 3; i++) {
		p[i] = join(w->server, w->client, "api.example", sessions);
		assert_int_equal(shake(&p[i]), TLS_OK);
		assert_true(tls_was_resumed(p[i].end[1]));
	}
	for (int i = 0; i < 3; i++)
		part(&p[i]);
	part(&first);
	tls_sessions_destroy(&sessions);
}

static void
hosts_are_told_apart_by_name(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	struct issued star = issue("star", "DNS:*.wild.example,DNS:wild.example", &w->ca, false, 100);
	struct issued exact = issue("exact", "DNS:one.wild.example", &w->ca, true, 100);
	struct issued both = issue("both", "DNS:api.example", &w->ca, true, 100);
	struct tls_identity all[] = {identity(&w->leaf), identity(&star), identity(&exact), identity(&both)};
	struct tls_server *s = tls_server_create(all, 4, &(struct tls_server_options){0}, why);
	static const struct {
		const char *host;
		bool served;
	} hosts[] = {{"api.example", true}, {"API.example", true}, {"two.wild.example", true}, {"one.wild.example", true}, {"wild.example", true},
		{"a.b.wild.example", false}, {"elsewhere.example", false}};
	assert_non_null(s);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct pair p = join(s, w->client, hosts[i].host, NULL);
		assert_int_equal(shake(&p), hosts[i].served ? TLS_OK : TLS_FAILED);
		part(&p);
	}
	tls_server_unref(&s);
	drop(&star);
	drop(&exact);
	drop(&both);
}

/* Keys of different kinds, and names that are only partly the same: each certificate is for its own names only. */
static void
names_that_overlap_are_not_taken_for_the_same(void **state)
{
	struct world *w = *state;
	static const char *const hosts[] = {"api.example", "one.wild.example", "two.wild.example", "shared.example", "a.example", "b.example"};
	struct issued exact = issue("exact", "DNS:one.wild.example", &w->ca, true, 100);
	struct issued star = issue("star", "DNS:*.wild.example", &w->ca, false, 100);
	struct issued a = issue("a", "DNS:a.example,DNS:shared.example", &w->ca, true, 100);
	struct issued b = issue("b", "DNS:shared.example,DNS:b.example", &w->ca, false, 100);
	const struct tls_identity orders[][5] = {
		{identity(&w->leaf), identity(&exact), identity(&star), identity(&a), identity(&b)},
		{identity(&w->leaf), identity(&b), identity(&a), identity(&star), identity(&exact)},
	};
	for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
		char why[TLS_WHY_MAX];
		struct tls_server *s = tls_server_create(orders[o], 5, &(struct tls_server_options){0}, why);
		assert_non_null(s);
		for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
			struct pair p = join(s, w->client, hosts[i], NULL);
			if (shake(&p) != TLS_OK)
				fail_msg("%s in order %zu", hosts[i], o);
			part(&p);
		}
		tls_server_unref(&s);
	}
	drop(&exact);
	drop(&star);
	drop(&a);
	drop(&b);
}

/* The same names, in whatever order, with keys of both kinds: each client gets the kind that it can check. */
static void
keys_of_two_kinds_serve_the_same_names(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	struct issued ec = issue("ec", "DNS:x.example,DNS:*.y.example", &w->ca, false, 100), rsa = issue("rsa", "DNS:*.y.example,DNS:x.example", &w->ca, true, 100);
	const struct tls_identity all[] = {identity(&w->leaf), identity(&ec), identity(&rsa)};
	struct tls_server *s = tls_server_create(all, 3, &(struct tls_server_options){0}, why);
	static const char *const kinds[] = {"ECDSA+SHA256", "RSA-PSS+SHA256"}, *const hosts[] = {"x.example", "z.y.example"};
	assert_non_null(s);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
			struct pair p = join(s, w->client, hosts[h], NULL);
			SSL_set1_sigalgs_list(p.end[1]->ssl, kinds[k]);
			if (k == 1) /* the authority's own signature is ECDSA's */
				SSL_set_verify(p.end[1]->ssl, SSL_VERIFY_NONE, NULL);
			assert_int_equal(shake(&p), TLS_OK);
			EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(p.end[1]->ssl));
			assert_int_equal(EVP_PKEY_get_base_id(key), k ? EVP_PKEY_RSA : EVP_PKEY_EC);
			part(&p);
		}
	tls_server_unref(&s);
	drop(&ec);
	drop(&rsa);
}

static void
what_can_t_serve_is_refused_with_a_reason(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	const struct {
		struct tls_identity id;
		const char *why;
	} cases[] = {
		{{text(""), text(w->leaf.key_pem)}, "no certificate"},
		{{text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), text(w->leaf.key_pem)}, "can't be read"},
		{{text(w->leaf.pem), text("no key")}, "key can't be read"},
		{{text(w->leaf.pem), text(w->ca.key_pem)}, "not that of the certificate"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(tls_server_create(&cases[i].id, 1, &(struct tls_server_options){0}, why));
		assert_non_null(strstr(why, cases[i].why));
	}
}

/* A client with a certificate of its own; our clients to providers have none. */
static void
clients_may_have_to_show_a_certificate(void **state)
{
	struct world *w = *state;
	static const enum tls_ask asks[] = {TLS_ASK_OPTIONAL, TLS_ASK_REQUIRED};
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		struct tls_server *s = serve(&w->leaf, &(struct tls_server_options){.ask = asks[i], .client_ca_pem = text(w->ca.pem)});
		struct pair p = join(s, w->client, "api.example", NULL);
		assert_int_equal(shake(&p), asks[i] == TLS_ASK_OPTIONAL ? TLS_OK : TLS_FAILED);
		if (asks[i] == TLS_ASK_REQUIRED)
			assert_int_equal(tls_flaw(p.end[0]), TLS_FLAW_CERTIFICATE);
		part(&p);
		tls_server_unref(&s);
	}
}

/* Show this certificate, whoever asks for one. */
static void
show(struct pair *p, const struct issued *i)
{
	assert_int_equal(SSL_use_certificate(p->end[1]->ssl, i->own), 1);
	assert_int_equal(SSL_use_PrivateKey(p->end[1]->ssl, i->key), 1);
}

/* One connection by way of these sessions. Was it resumed? -1: refused. */
static int
once(struct tls_server *s, struct tls_client *c, struct tls_sessions *sessions, const struct issued *shown, unsigned long check)
{
	struct pair p = join(s, c, "api.example", sessions);
	if (shown)
		show(&p, shown);
	X509_VERIFY_PARAM_set_flags(SSL_get0_param(p.end[0]->ssl), check);
	int r = shake(&p) == TLS_OK ? tls_was_resumed(p.end[0]) : -1;
	if (r >= 0) {
		say(&p, 0, "x", 1);
		hear(&p, 1, "x"); /* the ticket comes before it */
	}
	part(&p);
	return r;
}

/* A session is what is left of a check. Renewed with other authorities, or past the certificate's end, it must not stand in for one. */
static void
a_session_does_not_stand_in_for_a_certificate_that_would_be_refused(void **state)
{
	struct world *w = *state;
	struct issued other = issue("other", NULL, NULL, false, 100), mine = issue("client", "DNS:client", &w->ca, false, 100),
				  old = issue("client", "DNS:client", &w->ca, false, -1);
	struct tls_server_options o = {.ask = TLS_ASK_REQUIRED, .client_ca_pem = text(w->ca.pem), .tickets = &w->tickets};
	struct tls_server *before = serve(&w->leaf, &o), *same = serve(&w->leaf, &o);
	o.client_ca_pem = text(other.pem);
	struct tls_server *after = serve(&w->leaf, &o);
	struct tls_sessions *sessions = tls_sessions_create(), *stale = tls_sessions_create();
	assert_int_equal(once(before, w->client, sessions, &mine, 0), 0);
	assert_int_equal(once(before, w->client, sessions, &mine, 0), 1);
	assert_int_equal(once(same, w->client, sessions, &mine, 0), 1);
	assert_int_equal(once(after, w->client, sessions, &mine, 0), -1);
	assert_int_equal(once(before, w->client, stale, &old, X509_V_FLAG_NO_CHECK_TIME), 0); /* it was valid then */
	assert_int_equal(once(before, w->client, stale, &old, 0), -1);
	tls_sessions_destroy(&sessions);
	tls_sessions_destroy(&stale);
	tls_server_unref(&before);
	tls_server_unref(&same);
	tls_server_unref(&after);
	drop(&other);
	drop(&mine);
	drop(&old);
}

/* Whom a client trusts is looked at in a full handshake only: with other authorities the sessions begin anew. */
static void
sessions_end_with_the_trust_that_they_were_made_by(void **state)
{
	struct world *w = *state;
	char why[TLS_WHY_MAX];
	struct issued other = issue("other", NULL, NULL, false, 100);
	struct tls_sessions *sessions = tls_sessions_create();
	struct tls_client *first = tls_client_create(text(w->ca.pem), why);
	assert_int_equal(once(w->server, first, sessions, NULL, 0), 0);
	assert_int_equal(once(w->server, first, sessions, NULL, 0), 1);
	struct pair late = join(w->server, first, "api.example", sessions);
	assert_int_equal(shake(&late), TLS_OK);
	tls_client_unref(&first);
	struct tls_client *strange = tls_client_create(text(other.pem), why);
	assert_int_equal(once(w->server, strange, sessions, NULL, 0), -1);
	say(&late, 0, "x", 1);
	hear(&late, 1, "x"); /* a ticket for a connection that was trusted before */
	part(&late);
	assert_int_equal(once(w->server, strange, sessions, NULL, 0), -1);
	tls_client_unref(&strange);
	tls_sessions_destroy(&sessions);
	drop(&other);
}

/* A new context takes over while connections of the old one go on. */
static void
a_connection_outlives_its_server_object(void **state)
{
	struct world *w = *state;
	struct tls_server *s = serve(&w->leaf, &(struct tls_server_options){.tickets = &w->tickets});
	struct pair p = join(s, w->client, "api.example", NULL);
	assert_int_equal(tls_handshake(p.end[1]), TLS_AGAIN);
	send_wire(p.fd[1]);
	tls_server_unref(&s);
	assert_int_equal(shake(&p), TLS_OK);
	part(&p);
}

static void
nothing_stays_behind(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 3; i++) {
		uint64_t before = used();
		struct pair p = join(w->server, w->client, "api.example", NULL);
		assert_int_equal(shake(&p), TLS_OK);
		say(&p, 1, "question", 8);
		hear(&p, 0, "question");
		part(&p);
		if (i) /* what OpenSSL makes once has been made */
			assert_int_equal(used(), before);
	}
}

static void
old_versions_keep_their_buffers(void **state)
{
	static const struct {
		unsigned major, minor, patch;
		bool gives;
	} versions[] = {{3, 0, 13, false}, {3, 0, 14, true}, {3, 1, 5, false}, {3, 1, 6, true}, {3, 2, 1, false}, {3, 2, 2, true}, {3, 3, 0, false},
		{3, 3, 1, true}, {3, 4, 0, true}, {3, 5, 0, true}, {4, 0, 0, true}};
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		assert_int_equal(tls_gives_buffers_back(versions[i].major, versions[i].minor, versions[i].patch), versions[i].gives);
}

static bool
vault_holds(const char *bytes, size_t len)
{
	return memmem(vault_slot_at(vault, 0), vault->segments[0].pages << PAGE_SHIFT, bytes, len) != NULL;
}

/* What passed is in the hands of whoever read it, and nowhere else: not in the buffers of the last record either. */
static void
what_has_passed_is_wiped(void **state)
{
	struct world *w = *state;
	static const char words[] = "words that nobody may find again, be they read or written";
	struct pair p = join(w->server, w->client, "api.example", NULL);
	struct iovec parts[] = {{(char *)words, sizeof words - 1}, {(char *)"", 0}, {(char *)words, sizeof words - 1}};
	char got[256];
	size_t len;
	assert_int_equal(shake(&p), TLS_OK);
	assert_int_equal(tls_write(p.end[0], parts, 3, &len), TLS_OK);
	send_wire(p.fd[0]);
	assert_int_equal(tls_read(p.end[1], got, sizeof got, &len), TLS_OK);
	assert_int_equal(len, 2 * (sizeof words - 1));
	vault_unpoison(vault_slot_at(vault, 0), vault->segments[0].pages << PAGE_SHIFT);
	assert_false(vault_holds(words, sizeof words - 1));
	void *kept = vault_alloc(vault, 256);
	memcpy(kept, words, sizeof words - 1); /* the search finds what is there */
	assert_true(vault_holds(words, sizeof words - 1));
	vault_free(vault, kept, 256);
	part(&p);
}

/* No memory is not the end of anybody but this connection. */
static void
a_full_vault_refuses_a_connection(void **state)
{
	struct world *w = *state;
	static void *hoard[8192];
	size_t count = 0;
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	for (size_t bytes = VAULT_BLOCK_MAX; bytes >= VAULT_BLOCK_MIN; bytes /= 2)
		while (count < ARRAY_LEN(hoard) && (hoard[count] = vault_alloc(vault, bytes)))
			count++;
	for (size_t spare = 0; spare < 64; spare++) { /* a little more each time, so that it fails at each place once */
		struct tls *t = tls_accept(w->server, fd[0]);
		if (t) {
			assert_int_not_equal(tls_handshake(t), TLS_OK);
			tls_wire_taken();
		}
		tls_free(&t);
		if (count) {
			void *p = hoard[--count];
			vault_free(vault, p, vault_bytes_of(vault, p));
		}
	}
	while (count) {
		void *p = hoard[--count];
		vault_free(vault, p, vault_bytes_of(vault, p));
	}
	struct tls *t = tls_accept(w->server, fd[0]);
	assert_non_null(t);
	tls_free(&t);
	close(fd[0]);
	close(fd[1]);
}

int
main(void)
{
	vault = vault_open(VAULT_PLAIN, 8 << 20, 56 << 20);
	if (!vault || !vault_add_segment(vault, -1, VAULT_SEGMENT) || !tls_memory_in(vault))
		return 1;
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(bytes_pass_both_ways),
		T(a_numeric_address_is_checked_as_such),
		T(parts_become_one_record),
		T(much_is_taken_piece_by_piece),
		T(the_end_is_told_from_a_cut),
		T(an_end_behind_the_last_bytes_is_not_drained),
		T(a_flood_of_tickets_does_not_hold_up_the_turn),
		T(keys_may_be_updated_but_not_for_their_own_sake),
		T(a_promise_of_a_long_hello_costs_little),
		T(a_damaged_record_is_refused),
		T(clear_text_is_named),
		T(the_wrong_host_the_wrong_authority_and_old_certificates_are_refused),
		T(a_server_certificate_may_be_trusted_by_itself),
		T(sessions_are_resumed_and_old_ticket_keys_still_open),
		T(the_last_session_serves_many),
		T(hosts_are_told_apart_by_name),
		T(names_that_overlap_are_not_taken_for_the_same),
		T(keys_of_two_kinds_serve_the_same_names),
		T(what_can_t_serve_is_refused_with_a_reason),
		T(clients_may_have_to_show_a_certificate),
		T(a_session_does_not_stand_in_for_a_certificate_that_would_be_refused),
		T(sessions_end_with_the_trust_that_they_were_made_by),
		T(a_connection_outlives_its_server_object),
		T(nothing_stays_behind),
		T(old_versions_keep_their_buffers),
		T(what_has_passed_is_wiped),
		T(a_full_vault_refuses_a_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
