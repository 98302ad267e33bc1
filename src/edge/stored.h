/*
 * Responses that the provider keeps: what may be kept, and where; the ids in their answers, which become the account's own while they pass; and those that
 * go on in the background, which are paid like any work that outlives its connection (work.h). Private to src/edge; struct stored lies in the vault.
 *
 *   asked     a request that begins one, or names one that is there, goes to a provider that keeps them, or is refused
 *   answered  the meter finds the ids that a response has (meter.h); each string that is one of them is replaced in what goes down, of any length, as it comes
 *   runs      in the background: nothing of the answer goes down before the ledger knows the id; its end is seen by whoever looks, and paid once
 */
#ifndef EDGE_STORED_H
#define EDGE_STORED_H

#include "edge/object.h"

struct stored;

/* ---- asked ---- */

/* Does this provider keep responses that customers can name? */
bool stored_keeps(const struct catalogue_provider *p);
/* Will that one keep the answer to this request? */
bool stored_is_kept(const struct exchange *x, const struct catalogue_provider *p);
/* The request wants something kept, or names what is, and this target has nothing of the kind. */
bool stored_lacks(const struct exchange *x, const struct catalogue_target *t);
/* May it be, by its policy, and is all that it names the account's? False: it has been answered, and has ended. */
must_check bool stored_may(struct exchange *x);
/* No target has what it wants, or it is kept elsewhere: the answer names the field. */
void stored_refuse(struct exchange *x, bool elsewhere);
/* In the background: need is set aside by the ledger, and not from the board. False: it has been answered, and has ended. */
must_check bool stored_begins(struct exchange *x, struct nano need);
/* The target is known, the body is edited for it. False: no memory. */
must_check bool stored_ready(struct exchange *x);
/* The same for a request about one that is there. False: no memory. */
must_check bool stored_named(struct exchange *x);

/* ---- answered ---- */

/* Ids in the answer are replaced: it is not as long as the provider says. */
bool stored_rewrites(const struct exchange *x);
/* Nothing of the answer has gone down yet: the ledger does not know of it. */
bool stored_keeps_back(const struct exchange *x);
/* … and is asked: no more is read. */
bool stored_waits(const struct exchange *x);
/* Metered bytes → what goes to the caller. False: they are kept, or the exchange has ended. */
must_check bool stored_pass(struct exchange *x, struct span *told, bool last, struct span head);
/* The ledger knows its id: what was kept goes down. */
void stored_told(struct exchange *x);
/* The provider has nothing any more of what the body names, by what it says. */
bool stored_is_gone(const struct exchange *x, struct span body);
void stored_free(struct exchange *x);

/* ---- settle.c ---- */

/* What the meter has read costs so much at this target and base row; input: tokens, where the provider doesn't say. */
struct nano settle_elsewhere(struct exchange *x, const struct catalogue_target *t, const struct catalogue_price *row, uint64_t input, struct usage *ret_usage);

/* ---- relay.c ---- */

/* What was metered before, and kept back since. */
void relay_kept(struct exchange *x, struct span told, bool last, struct span head);

#endif
