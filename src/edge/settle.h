/*
 * The end of an exchange in numbers: what it costs is stated on its ticket, and the ticket is handed in. Whatever has been stated when an edge is killed
 * is what the ledger books.
 */
#ifndef EDGE_SETTLE_H
#define EDGE_SETTLE_H

#include "edge/exchange_priv.h"

/* While the answer comes: what it has cost so far. */
void settle_state_cost(struct exchange *x);
/* Before the last bytes of a whole answer are sent, so that an edge killed just behind them is paid for it. */
void settle_state_completed(struct exchange *x);
uint64_t settle_counted_output(const struct exchange *x); /* output tokens, counted high: what the hold must cover */

void settle(struct exchange *x, enum end_reason reason);
/* durability: strict. The client is answered when the ticket is on disk. */
void settle_strict(struct exchange *x, enum end_reason reason, bool complete);
void settle_poll_strict(struct edge *e);

#endif
