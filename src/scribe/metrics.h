/*
 * Metrics from the edges' counters, the sums over booked tickets and what the scribe itself has counted, and the small HTTP/1.1 server that gives
 * them out: GET /metrics, GET /healthz. Scribe; the caller owns struct metrics and struct metrics_server.
 */
#ifndef SCRIBE_METRICS_H
#define SCRIBE_METRICS_H

#include "core/loop.h"
#include "scribe/exposition.h"
#include "ticket/circuit.h"
#include "ticket/counters.h"
#include "ticket/events.h"
#include "ticket/messages.h"
#include "ticket/tally.h"

struct metrics {
	const struct otlp *otlp;
	const void *counters; /* a block per edge, then struct process_counters */
	size_t counters_stride;
	const struct circuits *circuits; /* NULL: there are none */
	uint32_t edge_count;
	const struct catalogue *catalogue;
	struct tally *tally;
	struct tally_view view; /* of the answer that is being written */
	uint64_t events[END_COUNT][EVENT_COUNT]; /* reported by processes of that role */
	uint64_t lines_dropped;
};

enum { METRICS_BYTES_MAX = 256 << 20 };

/* All of it as text; malloc'ed, the caller's. NULL: no memory, or more than METRICS_BYTES_MAX. head_room: bytes before it that are left free. */
must_check char *metrics_text(struct metrics *m, bool openmetrics, size_t head_room, size_t *ret_len);
void metrics_free(struct metrics *m);

enum {
	METRICS_CONNECTIONS = 16,
	METRICS_REQUEST_BYTES = 4096,
	METRICS_TIMEOUT_MS = 10000,
};

struct metrics_connection;

struct metrics_server {
	struct loop *loop;
	struct metrics *metrics;
	struct watch listener; /* fd -1: off */
	uint32_t open;
	struct metrics_connection *connection; /* METRICS_CONNECTIONS of them */
};

/* fd: a listener, the server's from here; -1: off. */
must_check bool metrics_server_open(struct metrics_server *s, struct loop *l, struct metrics *m, int fd);
void metrics_server_close(struct metrics_server *s);

#endif
