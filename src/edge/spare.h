/*
 * A ticket is free again when the ledger has booked it, and that waits for the disk. When the disk stands still, an edge hands in all that it has within
 * a fraction of a second. Who comes then is not refused: its request is read with a spare ticket, a piece of this process's own memory, and waits before
 * its hold is taken for one on the board, first come, first served, for as long as a ledger may be silent. No more than half as many as there are tickets
 * wait; each has the memory that a request has (admit.c), and an account has no more open than it may.
 */
#ifndef EDGE_SPARE_H
#define EDGE_SPARE_H

#include "edge/edge_priv.h"

enum { SPARE_WAIT_MS = 8000 };

/*
 * RESERVE: x waits in this list for something of the ledger's, a ticket, a row of the board, a key, or its next round. So long altogether, whatever it waits for in turn,
 * and not by the time-out for connections to providers: that says nothing of how long our own disk may take.
 *
 * Who waits so with a ticket of the board keeps it from others, who need nothing of the ledger's: a quarter of the tickets is for them alone, and an account's
 * requests wait with half of its share; who has no ticket keeps none from anybody. False: there are as many already, and it has ended.
 */
must_check bool spare_wait(struct exchange *x, struct line *l);
/* It waits no more (exchange_stop_waiting). */
void spare_waited(struct exchange *x);

/* A ticket for this exchange, or a spare one. False: there are none of those left either. */
must_check bool spare_pick(struct exchange *x);
/* Put back what was picked and not taken. */
void spare_unpick(struct exchange *x);
/* Its ticket is on the board. False: it waits for one, then reserve() goes on, or has ended. */
must_check bool spare_ready(struct exchange *x);
/* What the ledger has given back goes to those who wait. */
void spare_poll(struct edge *e);

#endif
