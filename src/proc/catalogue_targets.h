/*
 * Lanes and targets of the catalogue under construction, and what their compiling shares with that of the rest. Supervisor and command line; between
 * catalogue_compile.c and catalogue_targets.c only.
 */
#ifndef PROC_CATALOGUE_TARGETS_H
#define PROC_CATALOGUE_TARGETS_H

#include "proc/config.h"
#include "ticket/catalogue.h"

/* The block: typed views of its sections. */
struct catalogue_block {
	struct catalogue *head;
	struct catalogue_provider *provider;
	struct catalogue_model *model;
	struct catalogue_price *price;
	struct catalogue_name *name;
	struct catalogue_price_ref *price_ref;
	struct catalogue_lane *lane;
	struct catalogue_target *target;
};

/* ---- catalogue_compile.c ---- */

uint64_t catalogue_hash(const char *kind, const void *a, size_t a_len, const void *b, size_t b_len);
uint32_t catalogue_name_id(const char *kind, const char *name);
uint64_t catalogue_price_id(const char *model, const struct catalogue_price *p);
void catalogue_copy_text(char *out, size_t cap, const char *text);
/* A price list, every amount × times_x100 / 100, rounded up; its rows' ids are the owner's. */
void catalogue_fill_prices(const struct config_price *rows, uint32_t count, const char *owner, uint64_t times_x100, struct catalogue_price *out);

/*
 * Behind a list that was filled in: the fees of the same rows, of which the owner is the list's with CATALOGUE_BYOK behind it. Nothing where own keys
 * are not taken.
 */
void catalogue_fill_fees(const struct config_byok_fee *fee, const char *owner, uint32_t count, struct catalogue_price *list);
/* What a list takes, with its fees. */
uint32_t catalogue_list_rows(const struct config *c, uint32_t count);

/* ---- catalogue_targets.c ---- */

/* How many rows of targets there will be, and of prices with those of models. */
size_t catalogue_targets_count(const struct config *c, size_t *ret_prices);
/* Providers and models are filled in, and prices up to price_at. */
void catalogue_targets_fill(const struct config *c, struct catalogue_block *b, uint32_t price_at);

#endif
