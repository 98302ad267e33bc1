/* Handshakes whose keys are elsewhere: here, in the same process, but behind the same question that passes between two. */
#include "core/tls.h"
#include "core/tls_sign.h"
#include "core/vault_priv.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct vault *vault;

enum { KEYS = 2 };

/* ---- what signs ---- */

struct desk {
	struct tls_key *key[KEYS];
	struct tls_sign last;
	unsigned asked;
	bool away, wrong;
};

static bool
desk_sign(void *arg, const struct tls_sign *what, uint8_t ret[TLS_SIGNATURE_MAX], size_t *ret_len)
{
	struct desk *d = arg;
	d->asked++;
	d->last = *what;
	for (int i = 0; i < KEYS && !d->away; i++)
		if (d->key[i] && tls_key_is(d->key[i], what->key)) {
			*ret_len = tls_key_sign(d->key[i], what, ret);
			if (d->wrong)
				ret[*ret_len / 2] ^= 1;
			return *ret_len > 0;
		}
	return false;
}

/* ---- certificates ---- */

struct issued {
	EVP_PKEY *key;
	char pem[8192], key_pem[4096];
};

static void
write_pem(BIO *b, char *at, size_t cap)
{
	int n = BIO_read(b, at, (int)cap - 1);
	assert_true(n > 0);
	at[n] = '\0';
	BIO_free(b);
}

/* Signed by itself. Keeps the key. */
static struct issued
issue(EVP_PKEY *key, const char *name)
{
	struct issued r = {.key = key};
	X509 *x = X509_new();
	X509V3_CTX ctx;
	char names[64] = "DNS:";
	assert_non_null(key);
	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	strcat(names, name);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, names);
	assert_true(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
	bool edwards = EVP_PKEY_is_a(key, "ED25519");
	assert_true(X509_sign(x, key, edwards ? NULL : EVP_sha256()));
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, x);
	write_pem(b, r.pem, sizeof r.pem);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	write_pem(b, r.key_pem, sizeof r.key_pem);
	X509_free(x);
	return r;
}

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

/* ---- a handshake ---- */

struct wish {
	int version; /* of TLS; 0: any */
	const char *algorithms; /* that the client takes */
	const char *host;
	SSL_SESSION *session;
};

static void
send_wire(int fd)
{
	struct span out = tls_wire();
	if (out.len)
		assert_int_equal(send(fd, out.at, out.len, MSG_NOSIGNAL), out.len);
	tls_wire_taken();
}

/* The client checks signatures by what the certificate says; it does not look whether that is trusted. */
static bool
shake(struct tls_server *s, const struct wish *w, int *ret_algorithm, SSL_SESSION **ret_session, bool *ret_resumed)
{
	int fd[2], done = 0;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *c = SSL_new(ctx);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	struct tls *t = tls_accept(s, fd[0]);
	assert_non_null(t);
	SSL_set_fd(c, fd[1]);
	SSL_set_connect_state(c);
	if (w->version)
		assert_true(SSL_set_min_proto_version(c, w->version) && SSL_set_max_proto_version(c, w->version));
	if (w->algorithms)
		assert_true(SSL_set1_sigalgs_list(c, w->algorithms));
	if (w->host)
		SSL_set_tlsext_host_name(c, w->host);
	if (w->session)
		SSL_set_session(c, w->session);
	enum tls_result r = TLS_AGAIN;
	for (int turn = 0; turn < 9 && (r == TLS_AGAIN || done != 1); turn++) {
		done = SSL_do_handshake(c);
		if (r == TLS_AGAIN)
			r = tls_handshake(t);
		send_wire(fd[0]);
	}
	bool shaken = r == TLS_OK && done == 1;
	if (shaken) {
		char none;
		struct iovec hello = {(char *)"x", 1};
		size_t taken;
		assert_int_equal(tls_write(t, &hello, 1, &taken), TLS_OK);
		send_wire(fd[0]);
		assert_int_equal(SSL_read(c, &none, 1), 1); /* the ticket comes before it */
		if (ret_algorithm)
			SSL_get_peer_signature_type_nid(c, ret_algorithm);
		if (ret_session)
			*ret_session = SSL_get1_session(c);
		if (ret_resumed)
			*ret_resumed = SSL_session_reused(c);
	}
	tls_free(&t);
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* its session stays good */
	SSL_free(c);
	SSL_CTX_free(ctx);
	close(fd[0]);
	close(fd[1]);
	return shaken;
}

static struct tls_server *
serve(const struct issued *const *issued, uint32_t count, struct desk *d, struct tls_signer *signer, const struct tls_ticket_keys *tickets)
{
	char why[TLS_WHY_MAX];
	struct tls_identity id[KEYS];
	*signer = (struct tls_signer){desk_sign, d};
	for (uint32_t i = 0; i < count; i++) {
		id[i] = (struct tls_identity){.certificate_pem = text(issued[i]->pem)};
		d->key[i] = tls_key_read(text(issued[i]->key_pem));
		assert_non_null(d->key[i]);
	}
	struct tls_server *s = tls_server_create(id, count, &(struct tls_server_options){.signer = signer, .tickets = tickets}, why);
	if (!s)
		fail_msg("%s", why);
	return s;
}

static void
drop(struct desk *d)
{
	for (int i = 0; i < KEYS; i++)
		tls_key_free(&d->key[i]);
}

/* ---- tests ---- */

static EVP_PKEY *
pss_only(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;
	EVP_PKEY_keygen_init(ctx);
	EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048);
	EVP_PKEY_generate(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Each kind of key, in each version, with each way to sign. */
static void
a_key_elsewhere_signs_as_one_at_hand(void **state)
{
	EVP_PKEY *const keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256"), EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), pss_only()};
	static const struct {
		int key, version;
		const char *algorithms;
		int nid;
	} cases[] = {
		{0, TLS1_3_VERSION, "rsa_pss_rsae_sha256", EVP_PKEY_RSA_PSS},
		{0, TLS1_3_VERSION, "rsa_pss_rsae_sha384", EVP_PKEY_RSA_PSS},
		{0, TLS1_3_VERSION, "rsa_pss_rsae_sha512", EVP_PKEY_RSA_PSS},
		{0, TLS1_2_VERSION, "rsa_pss_rsae_sha256", EVP_PKEY_RSA_PSS},
		{0, TLS1_2_VERSION, "RSA+SHA256", EVP_PKEY_RSA},
		{0, TLS1_2_VERSION, "RSA+SHA512", EVP_PKEY_RSA},
		{0, 0, NULL, EVP_PKEY_RSA_PSS},
		{1, TLS1_3_VERSION, "ecdsa_secp256r1_sha256", EVP_PKEY_EC},
		{1, TLS1_2_VERSION, "ECDSA+SHA256", EVP_PKEY_EC},
		{1, TLS1_2_VERSION, "ECDSA+SHA384", EVP_PKEY_EC},
		{2, TLS1_3_VERSION, "ecdsa_secp384r1_sha384", EVP_PKEY_EC},
		{2, TLS1_2_VERSION, "ECDSA+SHA384", EVP_PKEY_EC},
		{3, TLS1_3_VERSION, NULL, EVP_PKEY_ED25519},
		{4, TLS1_3_VERSION, NULL, EVP_PKEY_RSA_PSS},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct desk d = {0};
		struct tls_signer signer;
		struct issued id = issue(keys[cases[i].key], "a.example");
		const struct issued *all[] = {&id};
		struct tls_server *s = serve(all, 1, &d, &signer, NULL);
		int nid = 0;
		if (!shake(s, &(struct wish){cases[i].version, cases[i].algorithms, NULL, NULL}, &nid, NULL, NULL) || nid != cases[i].nid || d.asked != 1)
			fail_msg("case %zu: algorithm %d, asked %u times", i, nid, d.asked);
		tls_server_unref(&s);
		drop(&d);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		EVP_PKEY_free(keys[i]);
}

static void
several_certificates_have_their_own_keys(void **state)
{
	struct desk d = {0};
	struct tls_signer signer;
	struct issued a = issue(EVP_RSA_gen(2048), "a.example"), b = issue(EVP_EC_gen("P-256"), "b.example");
	const struct issued *all[] = {&a, &b};
	struct tls_server *s = serve(all, 2, &d, &signer, NULL);
	assert_true(shake(s, &(struct wish){0, NULL, "a.example", NULL}, NULL, NULL, NULL));
	assert_true(tls_key_is(d.key[0], d.last.key));
	assert_true(shake(s, &(struct wish){0, NULL, "b.example", NULL}, NULL, NULL, NULL));
	assert_true(tls_key_is(d.key[1], d.last.key));
	tls_server_unref(&s);
	drop(&d);
	EVP_PKEY_free(a.key);
	EVP_PKEY_free(b.key);
}

static void
a_resumed_session_asks_nobody(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct tls_ticket_keys tickets = {1, {{{1}, {2}, {3}}}};
		struct desk d = {0};
		struct tls_signer signer;
		struct issued id = issue(EVP_EC_gen("P-256"), "a.example");
		const struct issued *all[] = {&id};
		struct tls_server *s = serve(all, 1, &d, &signer, &tickets);
		SSL_SESSION *session = NULL;
		bool resumed;
		assert_true(shake(s, &(struct wish){versions[v], NULL, NULL, NULL}, NULL, &session, NULL));
		d.away = true;
		assert_true(shake(s, &(struct wish){versions[v], NULL, NULL, session}, NULL, NULL, &resumed));
		assert_true(resumed);
		assert_int_equal(d.asked, 1);
		SSL_SESSION_free(session);
		tls_server_unref(&s);
		drop(&d);
		EVP_PKEY_free(id.key);
	}
}

/* Nobody answers, or something wrong: this handshake is over, and the next one is not. */
static void
without_a_signature_the_handshake_fails(void **state)
{
	struct desk d = {0};
	struct tls_signer signer;
	struct issued id = issue(EVP_RSA_gen(2048), "a.example");
	const struct issued *all[] = {&id};
	struct tls_server *s = serve(all, 1, &d, &signer, NULL);
	static const struct wish any = {0};
	d.away = true;
	assert_false(shake(s, &any, NULL, NULL, NULL));
	d.away = false;
	d.wrong = true;
	assert_false(shake(s, &any, NULL, NULL, NULL));
	d.wrong = false;
	assert_true(shake(s, &any, NULL, NULL, NULL));
	tls_server_unref(&s);
	drop(&d);
	EVP_PKEY_free(id.key);
}

/* Each bit of what a handshake has signed, each length: only statements of a server are. */
static void
nothing_else_is_signed(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	uint8_t signature[TLS_SIGNATURE_MAX];
	struct desk d = {0};
	struct tls_signer signer;
	struct issued id = issue(EVP_RSA_gen(2048), "a.example");
	const struct issued *all[] = {&id};
	struct tls_server *s = serve(all, 1, &d, &signer, NULL);
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		assert_true(shake(s, &(struct wish){versions[v], NULL, NULL, NULL}, NULL, NULL, NULL));
		const struct tls_sign good = d.last;
		assert_true(tls_key_sign(d.key[0], &good, signature));
		size_t fixed_from = versions[v] == TLS1_3_VERSION ? 0 : 64, fixed_to = versions[v] == TLS1_3_VERSION ? 98 : 68;
		for (size_t bit = fixed_from * 8; bit < fixed_to * 8; bit++) {
			struct tls_sign other = good;
			other.statement[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(tls_statement_is_sound(other.statement, other.statement_bytes));
			assert_int_equal(tls_key_sign(d.key[0], &other, signature), 0);
		}
		for (uint16_t len = 0; len <= TLS_STATEMENT_MAX; len++)
			if (len != good.statement_bytes && !(versions[v] == TLS1_3_VERSION && (len == 130 || len == 146)))
				assert_false(tls_statement_is_sound(good.statement, len));
		struct tls_sign odd = good;
		odd.hash = TLS_SIGN_HASH_COUNT;
		assert_int_equal(tls_key_sign(d.key[0], &odd, signature), 0);
		odd = good;
		odd.pss = 2;
		assert_int_equal(tls_key_sign(d.key[0], &odd, signature), 0);
		odd = good;
		odd.statement_bytes = UINT16_MAX;
		assert_int_equal(tls_key_sign(d.key[0], &odd, signature), 0);
	}
	tls_server_unref(&s);
	drop(&d);
	EVP_PKEY_free(id.key);
}

static void
what_is_no_key_is_not_taken(void **state)
{
	static const char *const texts[] = {"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_null(tls_key_read(text(texts[i])));
}

static uint64_t
used(void)
{
	struct vault_facts f;
	vault_facts(vault, &f);
	return f.used_bytes;
}

static void
nothing_stays_behind(void **state)
{
	struct issued id = issue(EVP_EC_gen("P-256"), "a.example");
	const struct issued *all[] = {&id};
	for (int i = 0; i < 3; i++) {
		uint64_t before = used();
		struct desk d = {0};
		struct tls_signer signer;
		struct tls_server *s = serve(all, 1, &d, &signer, NULL);
		assert_true(shake(s, &(struct wish){0}, NULL, NULL, NULL));
		d.away = true;
		assert_false(shake(s, &(struct wish){0}, NULL, NULL, NULL));
		tls_server_unref(&s);
		drop(&d);
		if (i) /* what OpenSSL makes once has been made */
			assert_int_equal(used(), before);
	}
	EVP_PKEY_free(id.key);
}

int
main(void)
{
	vault = vault_open(VAULT_PLAIN, 8 << 20, 56 << 20);
	if (!vault || !vault_add_segment(vault, -1, VAULT_SEGMENT) || !tls_memory_in(vault))
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_elsewhere_signs_as_one_at_hand),
		cmocka_unit_test(several_certificates_have_their_own_keys),
		cmocka_unit_test(a_resumed_session_asks_nobody),
		cmocka_unit_test(without_a_signature_the_handshake_fails),
		cmocka_unit_test(nothing_else_is_signed),
		cmocka_unit_test(what_is_no_key_is_not_taken),
		cmocka_unit_test(nothing_stays_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
