/*
 * Ids of what is kept at a provider, in answers that pass: each becomes one of the account's own, as in answers about such objects (object_answer.c), and nothing else of
 * the answer changes. Edge; struct citing lies in the vault. Only answers to requests that can lead to such ids are looked at (naming.h): others pay nothing.
 */
#ifndef EDGE_CITING_H
#define EDGE_CITING_H

#include "core/sink.h"
#include "dialect/naming.h"

struct exchange;

struct citing {
	struct naming naming;
	struct sink out; /* first of what is told next */
	struct exchange *x;
	size_t out_cap;
	struct span in; /* while it is looked at */
	size_t in_at; /* bytes of it that have been told */
	uint32_t held_len;
	char held[NAMING_HOLD_MAX + 2]; /* the beginning of a name */
};

/* A good answer has begun; the request is still there. False: no memory. */
must_check bool citing_begin(struct exchange *x);
/* *data becomes what goes to the caller; it lasts until the next call. False: no memory. */
must_check bool citing_tell(struct exchange *x, struct span *data, bool last);
void citing_free(struct exchange *x);

#endif
