/*
 * HTTP/2 towards providers (RFC 9113): one connection carries many exchanges. Edge only; all of it lies in the vault.
 *
 * A connection is a struct upstream whose `h2` is set; each exchange on it has a struct upstream of its own, a stream. What comes for a stream is pushed into
 * the exchange as if it had been read; while the client does not take it, it is kept, at most a window's worth, and the others go on.
 */
#ifndef EDGE_H2_UP_H
#define EDGE_H2_UP_H

#include "core/base.h"

struct edge;
struct exchange;
struct upstream;

enum {
	H2_UP_STREAMS_MAX = 100, /* on one connection, if the provider allows so many */
	H2_UP_STREAM_WINDOW = 16 << 10, /* unread bytes of one answer: what a client that does not read costs, beside its box */
	H2_UP_WIDE_WINDOW = 64 << 10, /* … of one that is taken quickly, for a way on which bytes are long under way */
	H2_UP_QUICK_BYTES = 128 << 10, /* … that is so many bytes, more than a client takes into its first window and its box, */
	H2_UP_QUICK_MS = 5000, /* … within such a time, again and again */
	H2_UP_WIDE_MAX = 16, /* such answers at a time on one connection */
	H2_UP_CONNECTION_WINDOW = 4 << 20,
	H2_UP_QUIET_MS = 30000, /* a connection with streams that has said nothing for so long is asked whether it is there */
	H2_UP_PULSE_MS = 15000, /* … and has so long to say so */
};

/* The handshake has chosen it: from now on the connection carries streams. False: no memory; the caller closes it. */
must_check bool h2_up_begin(struct upstream *connection);
/* Bytes may have come, or there is room to write. The connection may be closed afterwards. */
void h2_up_ready(struct upstream *connection);
/* It is closed by somebody else: its streams end. */
void h2_up_end(struct upstream *connection);

/* A stream on a connection that has room for one more; NULL: none has, or no memory. */
struct upstream *h2_up_stream(struct edge *e, uint32_t provider);

/* ---- one stream, a struct upstream with `is_stream` ---- */

/* The head as for HTTP/1.1; the body is taken from the exchange's request as the provider can take it. */
void h2_up_send(struct exchange *x, struct span head);
/* More of the body has come. */
void h2_up_more(struct exchange *x);
/* What is kept is pushed on, as far as the client takes it. */
void h2_up_pull(struct upstream *stream);
/* Its exchange no longer needs it. whole: all of the answer has come, so that nothing is broken off. */
void h2_up_release(struct upstream *stream, bool whole);
/* What is kept is looked at again soon: nothing else would tell. */
void h2_up_wake(struct upstream *stream);

#endif
