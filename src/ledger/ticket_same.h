/*
 * Is a ticket that comes again what is kept under its id (INV-6)? Pure. Compared is all that is kept of it, not its place on the board nor its windows of
 * limits of money, which the books do not have.
 */
#ifndef LEDGER_TICKET_SAME_H
#define LEDGER_TICKET_SAME_H

#include "ticket/board.h"

/*
 * Of an exchange that was cut short both times the ledger wrote the end, from what it had last heard: how long it had run and how far it had come may
 * have been heard at another time. Whose it is, its price, its cost and its hold may not differ.
 */
bool ticket_same(const struct ticket_copy *there, const struct ticket_copy *again);

#endif
