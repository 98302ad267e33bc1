/*
 * One request over HTTP/2 on a connection of its own, for the customer inside `lethe prove`. Belongs to its link, which ends it. Command line only.
 */
#ifndef PROVE_H2_CLIENT_H
#define PROVE_H2_CLIENT_H

#include "prove/link.h"

enum { H2_KEPT_MAX = 64 << 10 };

struct h2_client {
	struct nghttp2_session *session;
	const char *body;
	size_t body_len, body_sent;
	char kept[H2_KEPT_MAX]; /* of the answer's body */
	size_t kept_len;
	unsigned status;
	bool ended; /* the stream is */
};

struct h2_request {
	const char *method, *path, *key, *number, *more; /* more: lines of fields */
	const char *type;
	const char *body;
	size_t body_len; /* at most what a fresh window takes */
};

/* Sends the preface and the whole request. False: the connection is gone, or a field can't be sent. */
must_check bool h2_client_begin(struct link *l, const struct h2_request *r);
/* Takes what comes next. False: nothing more will. */
must_check bool h2_client_pump(struct link *l);
void h2_client_free(struct h2_client **c);

#endif
