/*
 * Prometheus' text format from the edges' counters and what the scribe itself has counted, and the small
 * HTTP/1.1 server that gives it out: GET /metrics, GET /healthz. Scribe; the caller owns struct metrics_server.
 */
#ifndef SCRIBE_METRICS_H
#define SCRIBE_METRICS_H

#include "core/loop.h"
#include "core/text.h"
#include "ticket/counters.h"
#include "ticket/events.h"
#include "ticket/messages.h"

struct metrics {
	const void *counters;
	size_t counters_stride;
	uint32_t edge_count;
	uint64_t events[END_OF_ANY][EVENT_COUNT]; /* reported by processes of that role */
	uint64_t lines_dropped;
};

size_t metrics_bytes_max(const struct metrics *m);
void metrics_write(const struct metrics *m, struct text *t);

enum {
	METRICS_CONNECTIONS = 16,
	METRICS_REQUEST_BYTES = 4096,
	METRICS_TIMEOUT_MS = 10000,
};

struct metrics_connection;

struct metrics_server {
	struct loop *loop;
	const struct metrics *metrics;
	struct watch listener; /* fd -1: off */
	uint32_t open;
	struct metrics_connection *connection; /* METRICS_CONNECTIONS of them */
};

/* fd: a listener, the server's from here; -1: off. */
must_check bool metrics_server_open(struct metrics_server *s, struct loop *l, const struct metrics *m, int fd);
void metrics_server_close(struct metrics_server *s);

#endif
