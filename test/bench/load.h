/*
 * The load generator: closed-loop requests, requests at a fixed rate, timed streams, streams that
 * are only held open. One thread. load.c keeps connections and their replies, load_main.c reads
 * the command line, drives the phases and reports.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "core/http1.h"
#include "link.h"
#include "measure.h"
#include "net.h"

enum load_mode { LOAD_REQUESTS,
	LOAD_STREAMS,
	LOAD_HOLD };

/*
 * By TLS, requests: over connections that resumed a session and are kept; or each over a new one, with a handshake in
 * full or a resumed one.
 */
enum load_handshakes { LOAD_KEPT,
	LOAD_FULL,
	LOAD_RESUMED };

struct load_options {
	enum load_mode mode;
	bool tls;
	const char *ca_file;
	struct tls_client *client; /* made of it; NULL: clear text */
	const char *host; /* that the certificate must be for */
	enum load_handshakes handshakes;
	struct net_address to;
	unsigned connections; /* or streams */
	unsigned rate; /* requests: per second over all, 0 closed loop; streams: chunks per second of each */
	unsigned gap_ms; /* hold: between chunks */
	unsigned opens; /* streams opened per second */
	size_t body_bytes;
	double warmup, seconds;
	const char *path, *model, *sim;
	const char *header[16];
	size_t headers;
	int max_tokens; /* -1: not said */
	struct cpu_group cpu[CPU_GROUPS_MAX];
	size_t cpus;
};

/* X(counter) */
#define LOAD_COUNTERS(X) X(requests) X(chunks) X(bytes) X(errors) X(handshakes) X(resumed)

struct load_counts {
#define X(name) uint64_t name;
	LOAD_COUNTERS(X)
#undef X
};

struct load_conn;

struct load {
	const struct load_options *options;
	int epoll;
	char *request;
	size_t request_len;
	struct load_counts counts;
	struct histogram latency;
	struct load_conn *conns;
	struct load_conn **idle; /* fixed rate: stack of connections without a request */
	size_t idle_count;
	uint64_t due_ns; /* fixed rate: when the next request should leave */
	unsigned opened, streaming, alive;
	char first_error[512]; /* what went wrong first, for the report */
};

/* Builds the request, prepares the connections; connects none yet. Aborts without memory. */
void load_init(struct load *l, const struct load_options *o);

/* Closes all connections and frees what load_init() made. */
void load_finish(struct load *l);

/* Starts to connect the next n connections. */
void load_open(struct load *l, unsigned n);

/* Moves bytes until until_ns. */
void load_run(struct load *l, uint64_t until_ns);

/* Connections that are open now and resumed a session. */
must_check unsigned load_resumed_now(const struct load *l);

/* Nothing counted so far is part of what is measured. */
void load_reset_counts(struct load *l);

/* Bytes of the request, one text. */
void load_build_request(const struct load_options *o, char **ret_bytes, size_t *ret_len);

#endif
