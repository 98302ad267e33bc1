/*
 * The simulator's one thread: its sockets, timers, counters and what it remembers. server.c
 * accepts and loops, conn.c moves bytes, serve.c answers. The server owns its connections, a
 * connection its exchange.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "answer.h"
#include "core/http1.h"
#include "gzip.h"
#include "head.h"
#include "link.h"
#include "note.h"
#include "store.h"
#include "wheel.h"

/* X(counter): all that /stats says, in this order. */
#define SIM_COUNTERS(X) \
	X(requests) \
	X(plain) \
	X(streams) \
	X(chunks) \
	X(done) \
	X(cancelled) \
	X(cut) \
	X(errors) \
	X(refused) \
	X(accepted) \
	X(handshakes) \
	X(resumed) \
	X(open_connections) \
	X(open_exchanges)

struct sim_stats {
#define X(name) uint64_t name;
	SIM_COUNTERS(X)
#undef X
};

struct sim_listener {
	int fd;
	struct tls_server *tls; /* NULL: clear text */
};

enum { SIM_CLEAR,
	SIM_TLS,
	SIM_LISTENERS };

struct sim_server {
	int epoll;
	struct sim_listener listener[SIM_LISTENERS];
	const char *key; /* what Authorization must carry; NULL: anything */
	uint64_t next_id;
	uint64_t now_ns; /* of this turn of the loop */
	uint64_t unix_time;
	char date[40];
	struct sim_wheel wheel;
	struct sim_notes notes;
	struct sim_store store;
	struct sim_stats stats;
};

struct sim_buffer {
	char *at;
	size_t len, cap;
};

enum sim_exchange_state {
	SIM_EXCHANGE_DELAYED, /* the timer begins it */
	SIM_EXCHANGE_STREAMING, /* events remain */
	SIM_EXCHANGE_SOCKET, /* a realtime session */
	SIM_EXCHANGE_HUNG, /* says nothing more, ever */
	SIM_EXCHANGE_SAID, /* all was handed to the connection */
};

struct sim_exchange {
	struct sim_run run;
	enum sim_exchange_state state;
	enum sim_framing framing;
	struct sim_gzip gzip;
	uint64_t start_ns;
	struct sim_note *note; /* NULL: not a chat completion */
	uint64_t generation;
	uint64_t counted_chunks;
	struct sim_socket *socket; /* of a realtime session */
	bool cut_armed;
};

struct sim_conn {
	struct link link;
	uint64_t id;
	struct sim_server *server;
	struct sim_timer timer;
	struct sim_exchange *exchange; /* NULL: between requests */
	/* reading */
	struct sim_buffer in; /* not parsed yet */
	size_t scanned;
	struct sim_buffer head, body; /* of a request whose body is still coming */
	struct http1_chunked chunked;
	uint64_t body_left;
	bool reading_body, body_chunked, discard_body;
	/* writing */
	struct sim_buffer out;
	size_t out_at;
	uint64_t wire_left; /* bytes until the script cuts the connection */
	size_t split; /* bytes of a write; 0: as they come */
	bool blocked; /* waits for EPOLLOUT */
	bool piece_due;
	/* ending */
	bool close_after;
	bool closing; /* all was said: when it is written, the connection ends */
	bool draining, dead, reset;
};

/* ---- server.c ---- */

void sim_server_run(struct sim_server *s);

/* ---- conn.c ---- */

/* tls NULL: clear text. */
void sim_conn_open(struct sim_server *s, int fd, struct tls_server *tls);
void sim_conn_event(struct sim_conn *c, uint32_t events);
void sim_conn_timer(struct sim_conn *c);

/*
 * Sends now what the kernel takes and keeps the rest; `more`: something follows at once, so only
 * keep it.
 */
void sim_conn_out(struct sim_conn *c, struct span bytes, bool more);

/*
 * Memory for `bytes` bytes, good until the next call. Aborts when there is none: a test tool may.
 */
char *sim_scratch(size_t bytes);

/* ---- serve.c ---- */

/* A request arrived whole (or, with early=1, its head). Sets c->exchange. */
void sim_serve(struct sim_conn *c, const struct http1_head *h, struct span body);

/* True: the request wants its answer before its body is read. */
bool sim_serve_early(const struct http1_head *h);

/* Refuses what could not be parsed and closes. */
void sim_serve_bad(struct sim_conn *c, unsigned status, const char *why);

/* The exchange's delay is over. */
void sim_serve_begin(struct sim_conn *c);

/* Sends the next event if it is due. False: not yet; *ret_at_ns is when. */
must_check bool sim_serve_step(struct sim_conn *c, uint64_t *ret_at_ns);

/* ---- realtime.c ---- */

/* 101, and a session. False: it was no handshake. */
must_check bool sim_realtime_begin(struct sim_conn *c, const struct http1_head *h, struct span model);
void sim_realtime_feed(struct sim_conn *c, struct span bytes);
/* As sim_serve_step(); *ret_at_ns 0: nothing is due until the client says something. */
must_check bool sim_realtime_step(struct sim_conn *c, uint64_t *ret_at_ns);

/* ---- serve.c ---- */

/* The exchange ends like this; frees it. */
void sim_serve_end(struct sim_conn *c, enum sim_note_state how);

#endif
