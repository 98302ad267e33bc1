/*
 * usage × price row → cost. Pure; edge (holds, live cost, settlement) and ledger (check of what edges state)
 * call the same.
 */
#ifndef TICKET_PRICE_H
#define TICKET_PRICE_H

#include "ticket/catalogue.h"
#include "ticket/nano.h"
#include "ticket/ticket_fields.h"

/* Exact cost, one rounding up. Saturates instead of overflowing. */
struct nano price_cost(const struct catalogue_price *p, const struct usage *u);

/* The same for an estimate, which has prompt and words alone: it is taken for each chunk of a stream. */
struct nano price_words(const struct catalogue_price *p, uint64_t input, uint64_t output, uint64_t reasoning);

/*
 * Most that `input_tokens` and `output_tokens` of the dearest kinds on each side can cost, with the per-request
 * fee.
 */
struct nano price_upper_bound(const struct catalogue_price *p, uint64_t input_tokens, uint64_t output_tokens);

/* Most output tokens that `money` can pay after `input_tokens`; 0 when not even one. */
uint64_t price_affordable_output(const struct catalogue_price *p, uint64_t input_tokens, struct nano money);

#endif
