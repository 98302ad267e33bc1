/*
 * Is a ticket that comes again what is kept under its id (INV-6)? Pure. Compared is all that is kept of it, not its place on the board nor its windows of
 * limits of money, which the books do not have.
 */
#ifndef LEDGER_TICKET_SAME_H
#define LEDGER_TICKET_SAME_H

#include "ticket/board.h"

/*
 * `there` is what is kept. Where that was cut short, the end was written from what had been heard last: what is told later may be more, how it did end
 * included. Whose it is, when it began, its cost and its hold may not differ.
 */
bool ticket_same(const struct ticket_copy *there, const struct ticket_copy *again);

/* Is `there` what `lethe node forget` left of it, by what it had cost then? `again` is its node's own word, which is less where the provider counted less than had been reckoned until then. */
bool ticket_was_forgotten(const struct ticket_copy *there, const struct ticket_copy *again);

#endif
