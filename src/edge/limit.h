/*
 * LIMIT: what a key and its account are limited in (ticket/limit.h). An exchange of a key without limits has no rows, and comes by here not at all.
 *
 *   AUTHENTICATE  from where, for what
 *   LIMIT         requests a minute and a day, requests at the same time; counted when it may go on, whatever becomes of it then
 *   ROUTE         which models
 *   RESERVE       tokens a minute, by estimate; money: windows are legs of the ticket, so that a hold comes back whoever dies
 *   SETTLE        what tokens there were
 *
 * Edge only; numbers, no content.
 */
#ifndef EDGE_LIMIT_H
#define EDGE_LIMIT_H

#include "edge/edge_priv.h"
#include "ticket/limit.h"

enum { LIMIT_LOADS_MOST = 2 * LIMIT_BUDGETS_MAX };

/* ---- limit.c ---- */

enum end_reason limit_identify(struct exchange *x, const struct http1_head *h, uint32_t row);
/* False: refused; what there is to be said is remembered. */
must_check bool limit_begin(struct exchange *x);
must_check bool limit_tokens(struct exchange *x);
bool limit_allows(const struct exchange *x, const struct catalogue_model *m);
/* Its model list is one of its own. */
bool limit_has_list(const struct exchange *x);
/* The lane of its requests that name none: its key's, else its account's. False: neither has one. */
must_check bool limit_own_lane(const struct exchange *x, struct limit_lane *ret);
/* The windows that its hold is taken from, before the account. */
unsigned limit_legs(struct exchange *x, struct ticket_leg ret[LIMIT_BUDGETS_MAX]);
/* The least that its account and its windows have; a window that is not on the board yet is not known. */
struct nano limit_left(const struct exchange *x, struct nano account);
/* One of them has not so much. */
must_check bool limit_is_short(struct exchange *x, struct nano need);
/* A window that has not so much here, the next after those of *seen, whose bits are their places: limited.asked is which, and how much more. False: none. */
must_check bool limit_lacks(struct exchange *x, struct nano need, uint8_t *seen);
/* A window is not on the board, or no longer where it was: limited.asked is which. False: it is the account. */
must_check bool limit_wants_row(struct exchange *x);
/* The window that the ledger was asked for is not one of its own any more: another day has begun. */
must_check bool limit_row_is_over(const struct exchange *x);
void limit_row_loaded(struct exchange *x, uint32_t slot);
void limit_end(struct exchange *x);

/* How a limit stands. reset_ms: from now, until it is as if nothing had been used. */
struct limit_standing {
	int64_t amount;
	uint64_t remaining, reset_ms;
	bool known; /* remaining is */
};
/* of: index of limited.rows. False: it has no such limit. */
must_check bool limit_look(const struct exchange *x, unsigned of, enum limit_kind kind, struct limit_standing *ret);

/* ---- limit_tell.c ---- */

/* The answer that says which limit refused it. False: none did. */
must_check bool limit_answer(struct exchange *x, enum end_reason reason);
void limit_headers(const struct exchange *x, struct text *t);

/* ---- own_key.c: GET /v1/key ---- */

void own_key_answer(struct exchange *x, const struct http1_head *h);

/* ---- authenticate.c ---- */

must_check bool authenticate_facts(struct exchange *x, const struct http1_head *h, struct key_facts *ret);

#endif
