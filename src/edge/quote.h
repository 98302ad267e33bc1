/* POST /v1/quote: what a request would cost, without sending it. Edge only. */
#ifndef EDGE_QUOTE_H
#define EDGE_QUOTE_H

#include "edge/edge_priv.h"

/* The body is that of the endpoint which the target names ("?endpoint=chat.completions", that without it; "&model=" where a path would name it). */
void quote_begin(struct exchange *x, const struct http1_head *h, struct span rest);
/* In place of RESERVE: what would be held, and what it can cost at most. Ends the exchange. */
void quote(struct exchange *x, uint64_t input, uint64_t output, struct nano hold);
/* reserve.c: by the model's own bounds, whatever the balance is */
/* Most tokens that its input can be. */
uint64_t reserve_input(const struct catalogue_model *m, const struct request_facts *r);
struct nano reserve_most(const struct exchange *x, uint64_t input, uint64_t *ret_output);

#endif
