/*
 * HTTP/2 towards clients (RFC 9113, HPACK RFC 7541; nghttp2 reads and writes the frames). Edge only; all of it lies in the vault.
 *
 * A connection is a struct client whose `h2` is set; each of its streams is a struct client of its own, so that an exchange need not know which of the two
 * it belongs to. What an exchange says goes into its stream's box and from there, as far as the peer's windows allow, into frames at the end of the
 * turn: one write for all streams.
 */
#ifndef EDGE_H2_H
#define EDGE_H2_H

#include "core/base.h"

struct client;
struct edge;

enum {
	H2_PREFACE_BYTES = 24, /* RFC 9113 3.4 */
	H2_STREAMS_MAX = 128, /* at a time on one connection */
	H2_STREAM_WINDOW = 256 << 10, /* unread bytes of one request's body */
	H2_CONNECTION_WINDOW = 1 << 20, /* … of all on a connection */
	H2_STREAM_FULL = 32 << 10, /* unsent bytes of an answer: until they are fewer the provider is not read */
	H2_UNSENT_MAX = 256 << 10, /* … of all on a connection, beyond half of which each has its share of it */
	H2_FRAME_MAX = 16384,
	/* Frames that move nothing: so many at once, and so many more each second. Beyond it the connection ends (ENHANCE_YOUR_CALM). */
	H2_IDLE_FRAMES = 1000,
	H2_IDLE_FRAMES_SECOND = 100,
	H2_IDLE_FRAMES_DATA = 2, /* … and for each frame of data: the windows of stream and connection may be opened again */
	H2_DATA_LEAST = 256, /* of so many bytes, or all that there was: windows of a few bytes earn nothing */
	H2_FIELDS_END = 400, /* a head of more than HTTP1_FIELDS_MAX is refused, one of more than these ends the connection */
	H2_RESETS = 200, /* the same for streams that the peer resets before it has an answer */
	H2_RESETS_SECOND = 20,
	H2_LOOK = 2 << 10, /* bytes that are read first */
	H2_CUT_SHORT_TURN = 32, /* streams that may be reset within a turn of the loop before further ones are refused in it */
};

/* The bytes that every connection of HTTP/2 begins with. */
bool h2_is_preface(const char *bytes, size_t len); /* also the beginning of it */

/* From now on the connection speaks HTTP/2. False: no memory. */
must_check bool h2_begin(struct client *c);
void h2_refuse(struct client *c); /* then: it is told to ask elsewhere, and ends */
/* Bytes have come, those in `bytes` first; or there may be room to write. The client may be closed afterwards. */
void h2_ready(struct client *c, const char *bytes, size_t len);
/* The connection ends, its streams with it; what can be written at once is. Called by client_close(). */
void h2_end(struct client *c);
/* Nothing new: a connection without streams may be closed (true), one with some says so to its peer. */
must_check bool h2_drain(struct client *c);
/* The peer is told to go elsewhere with what is new; what it sends before it knows is still served (RFC 9113 6.8). */
void h2_retire(struct client *c);

/* ---- one stream, called for a struct client with `is_stream` ---- */

/* head: a status line and fields as HTTP/1.1 has them, or empty; then bytes of the body; last: that was all. */
void h2_reply(struct client *stream, struct span head, const char *data, size_t len, bool last);
void h2_continue(struct client *stream); /* 100 */
bool h2_is_private(const struct client *stream); /* within TLS */
bool h2_is_full(const struct client *stream); /* no more for now */
size_t h2_read_most(const struct client *stream); /* bytes that the provider is read by; only while it is not full */
bool h2_has_unsent(const struct client *stream);
void h2_next(struct client *stream); /* its exchange is over; what is said is still sent */
void h2_leave(struct client *stream); /* its connection takes no more requests and ends with its last stream */
void h2_resume(struct client *stream); /* its exchange has memory for the body again */

#endif
