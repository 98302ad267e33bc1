/* What both sides of HTTP/2 share: h2.c (clients) and h2_up.c (providers). */
#ifndef EDGE_H2_PRIV_H
#define EDGE_H2_PRIV_H

#include "edge/edge_priv.h"

#include <nghttp2/nghttp2.h>

enum { H2_FIELDS_OUT = HTTP1_FIELDS_MAX + 16 }; /* of one message: those that may pass, and ours */

/* How often a peer may do what costs it nothing. */
struct h2_allowance {
	uint32_t left;
	uint64_t refilled_ms;
};

must_check bool h2_spend(struct h2_allowance *a, uint32_t most, uint32_t each_second, uint64_t now_ms);
bool h2_is_spent(struct h2_allowance *a, uint32_t most, uint32_t each_second, uint64_t now_ms); /* an eighth of it */
/* What the peer did has earned it some more. */
void h2_earn(struct h2_allowance *a, uint32_t count, uint32_t most);
/* Frames that a peer needs few of. */
bool h2_moves_nothing(const nghttp2_frame *frame);
/* Frames of types that nobody knows reach the session's unpack_extension callback, so that they count as well. */
void h2_count_unknown(nghttp2_option *o);

/* Scratch for reading and writing. False: no memory. */
must_check bool h2_prepare(struct edge *e);
/* nghttp2's memory is the vault's. */
nghttp2_mem h2_memory(struct edge *e);
/*
 * For nghttp2's send_data: the frame's head is put behind what is gathered. Returns where its `len` bytes go, so that they are in no buffer of nghttp2's, which
 * would keep them; NULL: no room before some is written (NGHTTP2_ERR_WOULDBLOCK).
 */
must_check char *h2_gather(struct edge *e, const uint8_t *head, size_t len);
/* All that may be said now, gathered, in as few writes as there are. False: the connection is broken. */
must_check bool h2_write(struct edge *e, struct conn *c, nghttp2_session *session, uint64_t *ret_bytes);

nghttp2_nv h2_field(const char *name, size_t name_len, const char *value, size_t value_len);
/*
 * Heads as we write them for HTTP/1.1 ("…\r\nname: value\r\n…\r\n"), as fields that point into them; names are made small in place. What belongs to a
 * connection of HTTP/1.1 is left out (RFC 9113 8.2.2).
 */
size_t h2_answer_fields(struct span head, nghttp2_nv out[H2_FIELDS_OUT]);
size_t h2_request_fields(struct span head, nghttp2_nv out[H2_FIELDS_OUT]);

#endif
