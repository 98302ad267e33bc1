/*
 * Spans for OpenTelemetry: one for each ticket that was booked, in batches, as JSON over HTTP/1.1 (OTLP/HTTP). Numbers, ids and names of the catalogue only.
 * The scribe can't connect: it asks for a socket, which comes connected. Over it TLS is spoken here, and the collector's certificate checked. One thread, one loop; the
 * scribe embeds it.
 *
 * What the collector can't take now waits in a ring; what does not fit there is dropped and counted. Nobody waits for it.
 */
#ifndef SCRIBE_OTLP_H
#define SCRIBE_OTLP_H

#include "core/loop.h"
#include "core/text.h"
#include "scribe/otlp_line.h"
#include "ticket/catalogue.h"
#include "ticket/messages.h"
#include "ticket/port.h"

enum {
	OTLP_RING = 2048,
	OTLP_BATCH = 128,
	OTLP_SPAN_BYTES = 2560, /* of one as JSON, with names of the longest */
	OTLP_ANSWER_BYTES = 8192, /* head of an answer */
	OTLP_TIMEOUT_MS = 10000,
	OTLP_TRUST_MAX = 2 << 20, /* of authorities, as PEM */
	OTLP_BACKOFF_MS = 1000,
	OTLP_BACKOFF_MOST_MS = 60000,
};

enum otlp_state { OTLP_IDLE,
	OTLP_ASKED, /* for a socket */
	OTLP_SHAKING, /* hands, by TLS */
	OTLP_SENDING,
	OTLP_READING,
	OTLP_RESTING /* until the back-off is over */ };

struct otlp {
	struct loop *loop;
	struct port *supervisor;
	const char *name, *host, *path; /* name: of its host; NULL: spans are not wanted */
	bool tls;
	struct tls_client *client; /* NULL: clear text, or nobody is trusted */
	char *trust; /* of which that is made, as far as it has come */
	size_t trust_len;
	char headers[SECRET_BYTES_MAX]; /* lines: keys */
	size_t headers_len;
	const struct catalogue **catalogue; /* may change between two spans */
	enum otlp_state state;
	struct watch watch; /* fd -1: none */
	struct otlp_line line;
	struct timer limit;
	uint64_t backoff_ms;
	uint64_t trace; /* first half of trace ids */
	struct message_span *ring;
	uint32_t first, count, batch;
	char *request;
	size_t request_len, sent;
	char answer[OTLP_ANSWER_BYTES];
	size_t answer_len, scanned;
	/* For metrics. */
	uint64_t spans_sent, spans_dropped, requests_failed;
	uint64_t ledger_lost;
};

struct otlp_collector {
	const char *name; /* "": it takes spans and does nothing */
	bool tls;
	const char *host, *path; /* as requests say */
};

/* Before the lock-down. False: no memory. */
must_check bool otlp_open(struct otlp *o, struct loop *l, struct port *supervisor, const struct otlp_collector *to, const struct catalogue **catalogue);
/* Headers, and pieces of whom to trust. */
void otlp_secret(struct otlp *o, const struct message_secret *m);
void otlp_close(struct otlp *o);

void otlp_add(struct otlp *o, const struct message_span *m);
/* A socket that is connected, the callee's; -1: there is none. */
void otlp_socket(struct otlp *o, int fd);
/* Every second. */
void otlp_tick(struct otlp *o);

/* A span as JSON. (otlp_json.c) */
void otlp_span_write(struct text *t, const struct message_span *m, uint64_t trace, const struct catalogue *c);
void otlp_begin_write(struct text *t);
void otlp_end_write(struct text *t);

#endif
