/*
 * The ledger's word about what an account keeps at a provider: it hears of a file before its caller does, and that one is gone from whoever sees it
 * (docs/decisions/0072). Private to src/edge.
 */
#ifndef EDGE_OBJECT_KEEP_H
#define EDGE_OBJECT_KEEP_H

#include "edge/object.h"

/* What files of OpenAI's are for: X(NAME, number for ever, word) */
#define OBJECT_PURPOSES(X) \
	X(ASSISTANTS, 1, "assistants") \
	X(ASSISTANTS_OUTPUT, 2, "assistants_output") \
	X(BATCH, 3, "batch") \
	X(BATCH_OUTPUT, 4, "batch_output") \
	X(FINE_TUNE, 5, "fine-tune") \
	X(FINE_TUNE_RESULTS, 6, "fine-tune-results") \
	X(VISION, 7, "vision") \
	X(USER_DATA, 8, "user_data") \
	X(EVALS, 9, "evals")

/* 0: it is none of them. */
uint8_t object_purpose(struct span word);

/* The provider's good answer says that this was made. True: the ledger is told first, and the exchange goes on by itself. */
must_check bool object_is_new(struct exchange *x, const struct sealed *s, struct span purpose);
must_check enum ipc_result object_keep_ask(const struct exchange *x);
void object_kept(struct edge *e, const struct message_work *m);
/* What x->object names is at its provider no more, as the answer says. It is in no list from now on, if that can be believed. */
void object_is_gone(struct exchange *x);

#endif
