/*
 * A connection of `lethe prove`, as client or as provider, in clear text or through TLS; and the certificate that both its sides of TLS have, made
 * for one run. Waits, within LINK_PATIENCE_MS. The caller owns what is opened.
 */
#ifndef PROVE_LINK_H
#define PROVE_LINK_H

#include "core/base.h"

#include <openssl/ssl.h>

enum { LINK_PATIENCE_MS = 8000 };

struct link {
	int fd;
	SSL *ssl; /* NULL: clear text */
	struct h2_client *h2; /* NULL: HTTP/1.1 */
	bool silent; /* nothing came in time */
};

/* To this machine. tls NULL: clear text. h2: offered in TLS. False: nobody listens, or no handshake. */
must_check bool link_connect(struct link *l, uint16_t port, SSL_CTX *tls, bool h2);
/* One that was accepted; owns fd, also on failure. */
must_check bool link_accept(struct link *l, int fd, SSL_CTX *tls);
must_check bool link_write(struct link *l, const void *at, size_t len);
/* Bytes; 0: the other side has ended, or nothing came in time. */
size_t link_read(struct link *l, void *at, size_t cap);
void link_close(struct link *l);
/* As a process that dies, or a network that breaks. */
void link_reset(struct link *l);

struct link_certificate {
	SSL_CTX *server, *client;
};

/* Writes certificate.pem and key.pem into the folder, for 127.0.0.1, valid for a day. */
must_check bool link_certificate_make(const char *folder, struct link_certificate *ret);
void link_certificate_free(struct link_certificate *c);

#endif
