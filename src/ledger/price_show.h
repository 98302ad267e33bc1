/*
 * Rows of the price book as JSON, and what a model costs at a moment. Ledger (its book and catalogue) and command line (a configuration's
 * catalogue); answers are the caller's.
 */
#ifndef LEDGER_PRICE_SHOW_H
#define LEDGER_PRICE_SHOW_H

#include "ticket/catalogue.h"

#include <jansson.h>

/* Members of control.md's price.list but `model` and `added`. */
json_t *price_show_row(const struct catalogue_price *p);

/*
 * The rows in force at `at_ms`, one for each tier and size of prompt, out of all `rows` of the model, in any order: `from`, `next` (the
 * start of what follows, or null), `rows`. NULL: none is in force then.
 */
json_t *price_show_at(const struct catalogue_price *const *rows, size_t count, uint64_t at_ms);

/* The answer of price.show out of a catalogue. NULL: no such model there, or no price of it is in force then. */
json_t *price_show_catalogue(const struct catalogue *c, const char *model, uint64_t at_ms);

#endif
