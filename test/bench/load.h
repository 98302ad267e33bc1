/*
 * The load generator: closed-loop requests, requests at a fixed rate, timed streams, streams that
 * are only held open. One thread, or several processes of one.
 *
 * load_options.c reads the command line, load.c keeps connections and their replies, load_open.c
 * opens them, load_main.c drives the phases, load_many.c does so in several processes,
 * load_report.c says what was counted; witness.c sees when the machine itself stood still.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "core/http1.h"
#include "link.h"
#include "measure.h"
#include "net.h"
#include "witness.h"

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

enum { LOAD_PROCESSES_MAX = 16,
	LOAD_SLICES_MAX = 16,
	/* Of a slice the first part is not counted as delay: what others have left is done then, and caches are filled. */
	LOAD_SLICE_MS = 250,
	LOAD_SLICE_SETTLES_MS = 50 };

/* Credentials that requests take turns with, all of one length. */
struct load_keys {
	char **key;
	size_t count, len;
};

struct load_options {
	enum load_mode mode;
	bool tls;
	const char *ca_file;
	struct tls_client *client; /* made of it; NULL: clear text */
	const char *host; /* that the certificate must be for */
	enum load_handshakes handshakes;
	bool once; /* requests in clear text: each over a connection of its own */
	bool stream; /* requests whose answers are streams */
	bool print; /* the request, and end */
	bool first_byte; /* latency counts until an answer's first byte of body */
	bool awake; /* processors that have nothing to do are not halted */
	bool beside; /* others count at the same time: begins, and ends, when it is told to */
	bool witness; /* requests at a fixed rate: what is due while the machine stands still is answered and not timed */
	unsigned slices, slice; /* requests: how many take turns in slices of time, 0: nobody, and whose turns are this one's */
	struct load_keys keys; /* count 0: all requests are alike */
	struct net_address to[LOAD_PROCESSES_MAX]; /* connections of process i go to the i-th, modulo tos */
	size_t tos;
	unsigned processes, process; /* how many there are, and which one this is */
	unsigned connections; /* or streams */
	unsigned rate; /* requests: per second over all, 0 closed loop; streams: chunks per second of each */
	unsigned gap_ms; /* between chunks: hold, and streams without a rate */
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
#define LOAD_COUNTERS(X) X(requests) X(chunks) X(bytes) X(errors) X(handshakes) X(resumed) X(disturbed)

struct load_counts {
#define X(name) uint64_t name;
	LOAD_COUNTERS(X)
#undef X
};

struct load_conn;

/* Beside a witness, whose word comes afterwards. */
struct load_delay {
	uint64_t due_ns, delay_ns;
};

struct load {
	const struct load_options *options;
	int epoll;
	char *request;
	size_t request_len;
	size_t key_at, next_key; /* where the credential stands in the request; the next one to be used */
	struct load_counts counts;
	struct histogram latency;
	struct load_delay *delays; /* NULL: there is no witness */
	size_t delay_count, delay_room;
	struct load_conn *conns;
	struct load_conn **idle; /* fixed rate: stack of connections without a request */
	size_t idle_count;
	uint64_t step_ns, due_ns; /* fixed rate: when the next request's step begins, and when in it the request should leave */
	uint64_t drawn; /* fixed rate: the last of a series, which is the same in every run of a process */
	unsigned opened, streaming, alive;
	unsigned resumed_now; /* of those in other processes: open, and resumed a session */
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

/* The first instant at or after this one that is in a slice of whoever has these options (struct load_options). */
must_check uint64_t load_turn(const void *options, uint64_t at_ns);

/* What was due within these, settled, is counted as disturbed; all else is timed. */
void load_sift(struct load *l, const struct standstill *s, size_t count);

/* Nothing counted so far is part of what is measured. */
void load_reset_counts(struct load *l);

/* Bytes of the request, one text. */
void load_build_request(const struct load_options *o, char **ret_bytes, size_t *ret_len);

/* Reads the command line; ends the process with what is wrong with it. */
must_check struct load_options load_options_parse(int argc, char **argv);

/* ---- load_report.c ---- */

/* CPU time of every group, of the machine and of the load generator. */
struct load_reading {
	uint64_t group_ns[CPU_GROUPS_MAX], machine_ns, self_ns;
};

/* self: processes of the load generator, NULL: this one. Ends the process when one of them is gone. */
struct load_reading load_read_cpu(const struct load_options *o, const struct cpu_group *self);
struct load_reading load_since(const struct load_reading *from, struct load_reading to);
void load_report(const struct load *l, const char *event, double seconds, const struct load_reading *cpu);

/* ---- phases ---- */

/* Opens all, streams evenly; waits until all stream, for at most a minute longer. */
void load_open_all(struct load *l);

/* All of it in several processes, each with its part of the connections. Returns the exit status. */
must_check int load_many(const struct load_options *o);

#endif
