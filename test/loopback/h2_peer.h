/*
 * The other end of a connection of HTTP/2: a client or a provider, spoken by nghttp2 from a socket of the rig. Windows are opened by hand, so that a test
 * can be as slow as it likes.
 */
#ifndef LOOPBACK_H2_PEER_H
#define LOOPBACK_H2_PEER_H

#include "loopback/rig.h"

#include <nghttp2/nghttp2.h>

enum { PEER_STREAMS = 512 };

struct peer_stream {
	int32_t id;
	char status[4], path[64];
	size_t bytes; /* of the body that came */
	char text[4096]; /* … its beginning */
	const char *say; /* what is still to be said */
	size_t say_len;
	bool head, continued, ended, closed, stays; /* stays: what is said is not the end */
	uint32_t error;
};

struct peer {
	struct rig *r;
	int fd;
	nghttp2_session *session;
	struct peer_stream streams[PEER_STREAMS];
	int count;
	const char *expects; /* what each body that comes has to be, or NULL */
	bool greedy; /* opens windows at once */
	bool deaf; /* reads nothing */
	bool eof, gone_away;
	uint32_t gone_error;
	size_t out_limit; /* bytes that it still says; the connection ends behind them */
	bool limited;
};

void peer_client(struct peer *p, struct rig *r, int fd, bool greedy);
void peer_provider(struct peer *p, struct rig *r, int fd, bool greedy, uint32_t window);
/* Whose connection ends behind so many of its bytes. */
void peer_provider_cut(struct peer *p, struct rig *r, int fd, size_t limit);
void peer_close(struct peer *p);
/* Say and hear until nothing moves. */
void peer_turn(struct peer *p);
/* A chat request. stays: it is not ended; with NULL for a body, and expect, `len` bytes are announced. Returns its stream. */
struct peer_stream *peer_ask(struct peer *p, const char *body, size_t len, const char *expect, bool stays);
/* The same with a form (boundary: bnd) of so many bytes, all that is said. */
struct peer_stream *peer_ask_form(struct peer *p, const char *path, const char *body, size_t len);
/* An answer's head, and data that stands until it was said. stays: the stream is not ended behind it. */
void peer_answer(struct peer *p, struct peer_stream *s, const char *status, const char *data, size_t len, bool stays);
/* More data, and whether it stays at that. */
void peer_go_on(struct peer *p, struct peer_stream *s, const char *data, size_t len, bool stays);
/* Opens both windows by what came and was not given back. */
void peer_take(struct peer *p, struct peer_stream *s, size_t bytes);
void peer_say_raw(struct peer *p, const char *bytes, size_t len); /* behind what was said */

#endif
