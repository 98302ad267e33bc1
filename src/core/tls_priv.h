/* Between tls.c (connections), tls_server.c and tls_client.c (contexts). Not for others. */
#ifndef CORE_TLS_PRIV_H
#define CORE_TLS_PRIV_H

#include "core/tls.h"

#include <openssl/ssl.h>

struct tls {
	SSL *ssl;
	struct tls_server *server; /* one of the two */
	struct tls_client *client;
	struct tls_sessions *sessions;
	int fd;
	uint32_t flaw_number;
	uint32_t mute; /* bytes read in this call that were not for its caller, so far */
	uint32_t key_updates; /* that have come since bytes were last read for a caller */
	uint8_t flaw; /* enum tls_flaw */
	uint8_t behind; /* enum tls_result: the end that stands behind bytes that were returned */
	bool more; /* the last call stopped before the socket was empty */
	bool drained; /* the last read took all that the socket had */
	bool ended; /* the socket is at its end */
};

/* What both kinds of context have in common. */
must_check SSL_CTX *tls_context_create(bool server, bool tls13_only);
/*
 * Does this version of OpenSSL keep buffers that are still in use when asked to give them back? Those before did not (CVE-2024-4741): with them they stay,
 * and a connection costs more memory. Some distributions have mended them under the old number, which is not asked.
 */
bool tls_gives_buffers_back(unsigned major, unsigned minor, unsigned patch);
/* A connection on that context; it owns a count of server or client. */
must_check struct tls *tls_create(SSL_CTX *ctx, int fd);

/* Until the next call no block larger than this is given. A peer needs nine bytes to promise a message of 128 KiB. (tls_memory.c) */
void tls_memory_bound(size_t bytes);
/* Of a record's buffer these bytes were filled or emptied. Other memory: nothing. (tls_memory.c) */
void tls_memory_written(const void *at, size_t bytes);

/* All certificates of a PEM text, in order; NULL with ret_why when there is none or one is broken. */
must_check STACK_OF(X509) * tls_certificates(struct span pem, char ret_why[TLS_WHY_MAX]);
must_check X509_STORE *tls_store(struct span ca_pem, char ret_why[TLS_WHY_MAX]);
/* The sentence, and what OpenSSL says about it. Empties its queue. */
void tls_why(char ret_why[TLS_WHY_MAX], const char *sentence);

/* A session that the server has given: kept, if someone keeps them. SSL_CTX_sess_set_new_cb. */
int tls_session_new(SSL *ssl, SSL_SESSION *session);

#endif
