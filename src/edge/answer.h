/* What answer.c's own errors are made of, for files that say something of their own. Edge only; texts are the caller's until it is sent. */
#ifndef EDGE_ANSWER_H
#define EDGE_ANSWER_H

#include "dialect/error.h"
#include "edge/edge_priv.h"

/* Status, words and code of this end. */
struct error_says answer_says(enum end_reason reason);
/* The answer as a whole; the exchange is to be ended then. */
void answer_send_error(struct exchange *x, struct error_says *e);
void answer_add_money(struct text *t, struct nano n); /* "12.50": at least cents */

#endif
