/*
 * One connection to the collector, with or without TLS, on a socket that never blocks. The scribe's; embedded in struct otlp.
 */
#ifndef SCRIBE_OTLP_LINE_H
#define SCRIBE_OTLP_LINE_H

#include "core/tls.h"

enum line_result { LINE_OK,
	LINE_AGAIN, /* when the socket can do more */
	LINE_OVER };

struct otlp_line {
	int fd; /* -1: closed; the owner's to close */
	struct tls *tls; /* NULL: clear text */
	char *left; /* sealed, and not sent yet */
	size_t left_len, left_sent;
};

/* client NULL: clear text. host: whose certificate it must be. False: no memory. */
must_check bool otlp_line_open(struct otlp_line *l, int fd, struct tls_client *client, const char *host);
/* All but the descriptor. */
void otlp_line_close(struct otlp_line *l);

must_check enum line_result otlp_line_shake(struct otlp_line *l);
/* LINE_OK: all is on its way. *sent goes on from call to call. */
must_check enum line_result otlp_line_send(struct otlp_line *l, const char *at, size_t len, size_t *sent);
/* LINE_OK: *ret_len > 0. */
must_check enum line_result otlp_line_receive(struct otlp_line *l, char *at, size_t cap, size_t *ret_len);

#endif
