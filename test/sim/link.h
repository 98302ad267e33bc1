/*
 * One connection of a test tool, in clear text or by TLS: who moves bytes need not know which. Used by the
 * simulator, the load generator and their tests. The caller has the struct; a link owns its socket.
 * Level-triggered: whoever waits for a link asks link_has_more() first.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "core/tls.h"

struct link {
	int fd;
	struct tls *tls; /* NULL: clear text */
	enum tls_result last; /* what the last link_receive() came to, by TLS */
	char *sealed; /* records that the kernel has not taken yet */
	size_t sealed_at, sealed_len, sealed_cap;
};

/* Takes fd. server or client NULL: clear text. False: no memory; fd is still the caller's. */
must_check bool link_accept(struct link *l, int fd, struct tls_server *server);
must_check bool link_connect(
	struct link *l, int fd, struct tls_client *client, const char *host, struct tls_sessions *sessions);

/* True once bytes may be sent. What is not ready gets there by link_receive(). */
bool link_is_ready(const struct link *l);

/*
 * Sends what can be sent now: the number of bytes that were taken, or -1: the connection is gone. Bytes that were
 * taken and sealed may still be here: then link_is_full(), and link_send(l, NULL, 0) when the socket is writable
 * sends them.
 */
must_check ssize_t link_send(struct link *l, const void *bytes, size_t len);
bool link_is_full(const struct link *l);

/* Receives what is there, handshakes included: bytes, 0 (nothing now), or -1: ended or failed. */
must_check ssize_t link_receive(struct link *l, void *ret_bytes, size_t cap);
/* More was read off the socket than was received: no event will say so. */
bool link_has_more(const struct link *l);

/* Says that the end is meant (close_notify). In clear text a FIN says so. */
void link_end(struct link *l);
/* Closes the socket: with FIN and nothing else, or with RST. */
void link_close(struct link *l);
void link_reset(struct link *l);

/* Why a link that failed did; "" when nothing is known. */
const char *link_why(const struct link *l);

/* ---- material ---- */

/* From files, for programs: say what is wrong and end the program. */
struct tls_server *link_server_of(const char *certificate_file, const char *key_file);
struct tls_client *link_client_of(const char *ca_file);

#endif
