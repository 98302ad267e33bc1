#include "core/tls.h"

#include "core/tls_priv.h"
#include "core/vault_priv.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

enum {
	RECORD_PLAIN_MAX = 16384, /* RFC 8446 5.1 */
	RECORD_MORE_MAX = 256 + 5,
	MUTE_MAX = 32 << 10, /* bytes that one call takes besides those that are for its caller */
	KEY_UPDATES_MAX = 32, /* in a row: each is three derivations of a key, for 27 bytes (RFC 8446 4.6.3 and 5.5: honest ones come once in millions of records) */
	FLIGHT_MAX = 128 << 10, /* a handshake's: certificates of both sides' size */
	MESSAGE_BLOCK_MAX = 64 << 10, /* what the peer's words may make OpenSSL ask for at once: a message of 48 KiB */
	WIRE_BYTES = TLS_WRITE_MAX + TLS_WRITE_MAX / RECORD_PLAIN_MAX * RECORD_MORE_MAX + FLIGHT_MAX,
};

/* Sealed already: no content. */
static struct {
	size_t len;
	char at[WIRE_BYTES];
} wire;

/* Where parts of a write come together for one record: in the vault, like all that OpenSSL gives. */
static char *together;

struct span
tls_wire(void)
{
	return (struct span){wire.at, wire.len};
}

void
tls_wire_taken(void)
{
	wire.len = 0;
}

/* ---- the socket, as OpenSSL sees it ---- */

static bool
updates_too_much(const struct tls *t)
{
	return t->key_updates > KEY_UPDATES_MAX;
}

static int
socket_read(BIO *b, char *at, int cap)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n = -1;
	BIO_clear_retry_flags(b);
	if (t->ended || updates_too_much(t))
		return 0;
	if (!t->drained && t->mute >= MUTE_MAX) { /* OpenSSL would go on as long as a peer can send tickets faster than we read them */
		t->more = true;
		BIO_set_retry_read(b);
		return -1;
	}
	if (!t->drained)
		do
			n = recv(t->fd, at, (size_t)cap, MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
	tls_memory_written(at, n > 0 ? (size_t)n : 0);
	if (n > 0) {
		t->drained = n < cap;
		t->mute += (uint32_t)n;
		return (int)n;
	}
	if (t->drained || (n < 0 && errno == EAGAIN)) {
		t->drained = true;
		BIO_set_retry_read(b);
		return -1;
	}
	t->ended = true; /* orderly or not: without close_notify it is a cut */
	return 0;
}

static int
socket_write(BIO *b, const char *at, int len)
{
	BIO_clear_retry_flags(b);
	tls_memory_written(at, (size_t)len);
	if ((size_t)len > sizeof wire.at - wire.len)
		return -1; /* a handshake that says more than any would */
	memcpy(wire.at + wire.len, at, (size_t)len);
	wire.len += (size_t)len;
	return len;
}

static long
socket_control(BIO *b, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
socket_method(void)
{
	static BIO_METHOD *method;
	if (method)
		return method;
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket and wire");
	if (!m || !BIO_meth_set_read(m, socket_read) || !BIO_meth_set_write(m, socket_write) || !BIO_meth_set_ctrl(m, socket_control)) {
		BIO_meth_free(m);
		return NULL;
	}
	return method = m;
}

/* A message has come, or goes: which one, and not what is in it. SSL_CTX_set_info_callback(3) */
static void
state_entered(const SSL *ssl, int where, int unused)
{
	struct tls *t = SSL_get_app_data(ssl);
	OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
	if ((where & SSL_CB_LOOP) && (state == TLS_ST_SR_KEY_UPDATE || state == TLS_ST_CR_KEY_UPDATE) && t)
		t->key_updates++;
}

/* ---- life ---- */

SSL_CTX *
tls_context_create(bool server, bool tls13_only)
{
	/* No configuration file: it would be opened here, and could load modules. */
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) || !socket_method())
		return NULL;
	if (!together && !(together = OPENSSL_malloc(RECORD_PLAIN_MAX)))
		return NULL;
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!ctx)
		return NULL;
	/* Not SSL_OP_CLEANSE_PLAINTEXT: buffers are given back after each read, and then what was written of them is wiped (tls_memory.c). */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_info_callback(ctx, state_entered);
	if (SSL_CTX_set_min_proto_version(ctx, tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) &&
		SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20"))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

bool
tls_prepare(void)
{
	SSL_CTX *ctx = tls_context_create(false, false);
	SSL_CTX_free(ctx);
	return ctx != NULL;
}

struct tls *
tls_create(SSL_CTX *ctx, int fd)
{
	BIO *b = NULL;
	struct tls *t = OPENSSL_zalloc(sizeof *t);
	if (!t)
		return NULL;
	t->fd = fd;
	t->ssl = SSL_new(ctx);
	if (!t->ssl || !(b = BIO_new(socket_method())) || !SSL_set_app_data(t->ssl, t)) {
		BIO_free(b);
		SSL_free(t->ssl);
		OPENSSL_free(t);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	return t;
}

void
tls_free(struct tls **t)
{
	if (!*t)
		return;
	/* Otherwise the session would count as broken and never be resumed. */
	SSL_set_shutdown((*t)->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free((*t)->ssl);
	tls_server_unref(&(*t)->server);
	tls_client_unref(&(*t)->client);
	OPENSSL_free(*t);
	*t = NULL;
}

/* ---- what went wrong ---- */

static enum tls_flaw
flaw_of(const struct tls *t, unsigned long error)
{
	int reason = ERR_GET_REASON(error);
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return TLS_FLAW_SYSTEM;
	if (ERR_FATAL_ERROR(error))
		return TLS_FLAW_SYSTEM;
	if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST)
		return TLS_FLAW_PLAIN_HTTP;
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return TLS_FLAW_CERTIFICATE;
	return reason >= SSL_AD_REASON_OFFSET ? TLS_FLAW_REFUSED : TLS_FLAW_PROTOCOL;
}

static enum tls_result
failed(struct tls *t)
{
	unsigned long error = ERR_peek_error();
	long verified = SSL_get_verify_result(t->ssl);
	t->flaw = (uint8_t)flaw_of(t, error);
	t->flaw_number = (uint32_t)ERR_GET_REASON(error);
	if (t->flaw == TLS_FLAW_CERTIFICATE && verified != X509_V_OK)
		t->flaw_number = (uint32_t)verified;
	ERR_clear_error();
	return TLS_FAILED;
}

/* How a call that did not succeed is to be taken. The queue of errors was empty before it. */
static enum tls_result
result_of(struct tls *t, int n)
{
	int error = SSL_get_error(t->ssl, n);
	if (updates_too_much(t)) {
		ERR_clear_error();
		t->flaw = TLS_FLAW_PROTOCOL;
		t->flaw_number = SSL_R_TOO_MANY_KEY_UPDATES;
		return TLS_FAILED;
	}
	switch (error) {
	case SSL_ERROR_WANT_READ:
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		break;
	}
	if (t->ended && (ERR_peek_error() == 0 || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
		ERR_clear_error();
		t->flaw = TLS_FLAW_SYSTEM;
		return TLS_CUT;
	}
	return failed(t);
}

enum tls_flaw
tls_flaw(const struct tls *t)
{
	return (enum tls_flaw)t->flaw;
}

uint32_t
tls_flaw_number(const struct tls *t)
{
	return t->flaw_number;
}

/* ---- going on ---- */

/* Nearly always it is empty, and to see that costs less than to empty it. */
static void
forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

bool
tls_gives_buffers_back(unsigned major, unsigned minor, unsigned patch)
{
	static const unsigned fixed[] = {14, 6, 2, 1}; /* of 3.0 to 3.3 */
	return major > 3 || (major == 3 && (minor >= ARRAY_LEN(fixed) || patch >= fixed[minor]));
}

static void
give_buffers_back(struct tls *t)
{
	static int may = -1;
	if (may < 0)
		may = tls_gives_buffers_back(OPENSSL_version_major(), OPENSSL_version_minor(), OPENSSL_version_patch());
	if (may)
		SSL_free_buffers(t->ssl);
}

/* From here to over() the peer has the word. */
static void
begin(struct tls *t)
{
	forget_errors();
	t->drained = t->more = false;
	t->mute = 0;
	tls_memory_bound(MESSAGE_BLOCK_MAX);
}

static enum tls_result
over(enum tls_result r)
{
	tls_memory_bound(VAULT_BLOCK_MAX);
	return r;
}

enum tls_result
tls_handshake(struct tls *t)
{
	begin(t);
	int n = SSL_do_handshake(t->ssl);
	if (n == 1)
		give_buffers_back(t);
	return over(n == 1 ? TLS_OK : result_of(t, n));
}

bool
tls_is_ready(const struct tls *t)
{
	return SSL_is_init_finished(t->ssl);
}

bool
tls_is_h2(const struct tls *t)
{
	const unsigned char *name;
	unsigned len;
	SSL_get0_alpn_selected(t->ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

bool
tls_was_resumed(const struct tls *t)
{
	return SSL_session_reused(t->ssl);
}

const char *
tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

enum tls_result
tls_read(struct tls *t, char *at, size_t cap, size_t *ret_len)
{
	enum tls_result r = (enum tls_result)t->behind;
	size_t len = 0, got;
	*ret_len = 0;
	if (r != TLS_OK)
		return r;
	begin(t);
	while (len < cap) {
		if (!SSL_read_ex(t->ssl, at + len, cap - len, &got)) {
			r = result_of(t, 0);
			break;
		}
		len += got;
		t->mute -= got < t->mute ? (uint32_t)got : t->mute;
		if (tls_is_drained(t)) /* asking once more would only say so */
			break;
	}
	/* A ticket among what was read has made a buffer for an answer that there is none to. Buffers in use stay. */
	give_buffers_back(t);
	*ret_len = len;
	if (len && !updates_too_much(t))
		t->key_updates = 0;
	if (len && r != TLS_OK && r != TLS_AGAIN)
		t->behind = (uint8_t)r; /* first the bytes, then the end behind them */
	return over(len ? TLS_OK : r);
}

bool
tls_is_drained(const struct tls *t)
{
	return t->drained && !t->behind && !SSL_has_pending(t->ssl);
}

bool
tls_has_more(const struct tls *t)
{
	return t->more;
}

bool
tls_is_ended(const struct tls *t)
{
	return t->ended;
}

bool
tls_is_quiet(struct tls *t)
{
	char byte;
	begin(t);
	int n = SSL_peek(t->ssl, &byte, 1);
	bool quiet = n <= 0 && result_of(t, n) == TLS_AGAIN && !t->more;
	give_buffers_back(t);
	(void)over(TLS_OK);
	return quiet;
}

/* Up to one record's worth of parts from byte `skip` on: in place when one part has it, else put together. */
static struct span
next_record(const struct iovec *parts, int count, size_t skip)
{
	size_t len = 0;
	int i = 0;
	while (i < count && skip >= parts[i].iov_len)
		skip -= parts[i++].iov_len;
	if (i == count)
		return (struct span){0};
	size_t first = parts[i].iov_len - skip;
	if (first >= RECORD_PLAIN_MAX || i + 1 == count)
		return (struct span){(char *)parts[i].iov_base + skip, first < RECORD_PLAIN_MAX ? first : RECORD_PLAIN_MAX};
	for (; i < count && len < RECORD_PLAIN_MAX; i++, skip = 0) {
		size_t some = parts[i].iov_len - skip;
		if (some > RECORD_PLAIN_MAX - len)
			some = RECORD_PLAIN_MAX - len;
		memcpy(together + len, (char *)parts[i].iov_base + skip, some);
		len += some;
	}
	return (struct span){together, len};
}

enum tls_result
tls_write(struct tls *t, const struct iovec *parts, int count, size_t *ret_taken)
{
	enum tls_result r = TLS_OK;
	size_t taken = 0;
	assert(wire.len == 0);
	forget_errors();
	while (taken < TLS_WRITE_MAX) {
		struct span record = next_record(parts, count, taken);
		size_t done;
		if (record.len == 0)
			break;
		bool sealed = SSL_write_ex(t->ssl, record.at, record.len, &done);
		if (record.at == together)
			vault_wipe(together, record.len);
		if (!sealed) { /* the wire has room for all of it: there is nothing to wait for */
			r = failed(t);
			break;
		}
		taken += record.len;
	}
	*ret_taken = taken;
	return r;
}

void
tls_end(struct tls *t)
{
	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl) && t->flaw == TLS_FLAW_NONE)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}
