/*
 * The scribe: writes what other processes report as one JSON line per event, and answers Prometheus from the
 * edges' counters. It sees ids and numbers only; the sentences are its own. One thread, one loop.
 */
#ifndef SCRIBE_SCRIBE_H
#define SCRIBE_SCRIBE_H

#include "ticket/counters.h"
#include "ticket/messages.h"
#include "ticket/severities.h"
#include "ticket/tally.h"

enum {
	SCRIBE_LINES_PER_S = 200, /* of one peer; what is beyond is counted and told as a number */
};

struct scribe_peer {
	enum message_end role;
	uint16_t instance;
	int fd; /* -1: it does not run now */
};

struct scribe_process {
	int supervisor_fd, log_fd;
	int metrics_fd; /* a listener, or -1 */
	enum severity log_level; /* what is below is counted and not written */
	const struct scribe_peer *peers;
	uint32_t peer_count;
	const void *counters; /* a block per edge, counters_stride bytes apart, and one of the processes behind them; mapped read-only */
	size_t counters_stride;
	const struct circuits *circuits; /* NULL: there are none */
	uint32_t edge_count;
	const struct catalogue *catalogue;
	struct tally *tally; /* mapped read-only */
	/* Of a new generation: descriptors and sizes of catalogue and tally. And what was mapped before. */
	bool (*map_pair)(const int fds[2], const size_t bytes[2], const struct catalogue **ret_catalogue, struct tally **ret_tally);
	void (*unmap_pair)(const struct catalogue *c, struct tally **t);
	const char *otlp_name; /* of an OpenTelemetry collector's host; "": none */
	bool otlp_tls;
	const char *otlp_host, *otlp_path; /* as a request names it */
	void (*lock_down)(void *arg);
	void *lock_down_arg;
};

/* Life of the process; returns its exit status. Owns the descriptors. */
must_check int scribe_main(struct scribe_process *p);

#endif
