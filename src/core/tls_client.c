/* Connections to others: whom to trust, whose name to look for, and sessions to go on with. */
#include "core/tls_priv.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

struct tls_client {
	uint32_t refs;
	SSL_CTX *ctx;
};

struct tls_sessions {
	struct tls_client *client; /* by whose trust they were made; NULL: none were */
	uint32_t count;
	SSL_SESSION *at[TLS_SESSIONS]; /* the newest last */
};

struct tls_client *
tls_client_create(struct span ca_pem, char ret_why[TLS_WHY_MAX])
{
	struct tls_client *c = OPENSSL_zalloc(sizeof *c);
	X509_STORE *store = c ? tls_store(ca_pem, ret_why) : NULL;
	if (!store) {
		OPENSSL_free(c);
		return NULL;
	}
	c->refs = 1;
	c->ctx = tls_context_create(false, false);
	if (!c->ctx) {
		tls_why(ret_why, "no memory for its certificates");
		X509_STORE_free(store);
		OPENSSL_free(c);
		return NULL;
	}
	SSL_CTX_set_cert_store(c->ctx, store);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, tls_session_new);
	return c;
}

void
tls_client_unref(struct tls_client **client)
{
	struct tls_client *c = *client;
	*client = NULL;
	if (!c || --c->refs > 0)
		return;
	SSL_CTX_free(c->ctx);
	OPENSSL_free(c);
}

/* ---- sessions ---- */

struct tls_sessions *
tls_sessions_create(void)
{
	return OPENSSL_zalloc(sizeof(struct tls_sessions));
}

static void
forget_sessions(struct tls_sessions *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		SSL_SESSION_free(s->at[i]);
	s->count = 0;
	tls_client_unref(&s->client);
}

void
tls_sessions_destroy(struct tls_sessions **s)
{
	if (*s)
		forget_sessions(*s);
	OPENSSL_free(*s);
	*s = NULL;
}

/* Who is trusted is looked at in a full handshake only: what other authorities vouched for is not gone on with. */
static void
sessions_for(struct tls_sessions *s, struct tls_client *c)
{
	if (s->client == c)
		return;
	forget_sessions(s);
	s->client = c;
	c->refs++;
}

int
tls_session_new(SSL *ssl, SSL_SESSION *session)
{
	const struct tls *t = SSL_get_app_data(ssl);
	struct tls_sessions *s = t->sessions;
	if (!s || s->client != t->client)
		return 0;
	if (s->count == TLS_SESSIONS) {
		SSL_SESSION_free(s->at[0]);
		memmove(s->at, s->at + 1, (TLS_SESSIONS - 1) * sizeof *s->at);
		s->count--;
	}
	s->at[s->count++] = session;
	return 1; /* it is ours now */
}

/*
 * The newest, and each once as long as there are more: then nobody on the way can tell connections of one client by their tickets (RFC 8446 C.4).
 * The last one serves all that come at once: they come from one address to one provider anyway, and a full handshake costs ten times as much memory
 * and time.
 */
static void
resume(struct tls_sessions *s, SSL *ssl)
{
	if (s->count == 0)
		return;
	SSL_SESSION *session = s->at[s->count - 1];
	bool keep = s->count == 1 || SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION;
	if (keep) /* a copy: OpenSSL lets a session of TLS 1.3 be resumed once */
		session = SSL_SESSION_dup(session);
	else
		s->count--;
	if (!session || !SSL_set_session(ssl, session))
		ERR_clear_error();
	SSL_SESSION_free(session);
}

/* ---- connecting ---- */

static bool
expect_host(SSL *ssl, const char *host)
{
	unsigned char address[16];
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

struct tls *
tls_connect(struct tls_client *c, const char *host, struct tls_sessions *sessions, int fd)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	struct tls *t = tls_create(c->ctx, fd);
	if (!t)
		return NULL;
	t->client = c;
	c->refs++;
	t->sessions = sessions;
	SSL_set_connect_state(t->ssl);
	if (!expect_host(t->ssl, host) || SSL_set_alpn_protos(t->ssl, protocols, sizeof protocols - 1) != 0) {
		ERR_clear_error();
		tls_free(&t);
		return NULL;
	}
	if (sessions) {
		sessions_for(sessions, c);
		resume(sessions, t->ssl);
	}
	return t;
}

void
tls_offer_h2(struct tls *t)
{
	static const unsigned char protocols[] = "\x02h2\x08http/1.1";
	(void)!SSL_set_alpn_protos(t->ssl, protocols, sizeof protocols - 1); /* without memory for it, HTTP/1.1 is offered alone */
	ERR_clear_error();
}
