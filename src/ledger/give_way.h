/*
 * The ledger gives way: whoever waits for the processor that it shares with an edge gets it now.
 *
 * Linux looks whether somebody who wakes should run instead when he wakes, and not again before its next tick (4 ms at 250 Hz). Who wakes in the first 0.1 ms
 * of a commit, while the ledger's turn is young, would wait for the end of it. Decision 0039.
 */
#ifndef LEDGER_GIVE_WAY_H
#define LEDGER_GIVE_WAY_H

#include "core/base.h"

enum { BOOKED_A_TURN = 16 }; /* tickets: some 40 µs */

/*
 * One system call, or nothing: no more than a tenth of the ledger's time is given away, for behind an edge that never rests each turn takes a tick, and bookings
 * must not starve. Called between two pieces of work of some 50 µs. For the one thread of a ledger.
 */
void give_way(void);

/* From now on it does nothing, or again what it says. */
void give_way_withhold(bool withheld);

/* How much was given away of late, beyond its share of the time before span_us. */
struct given {
	uint64_t span_us, given_us;
};

/* Whether there may be more; and how long it took. */
must_check bool given_may(struct given *g, uint64_t now_us);
void given_add(struct given *g, uint64_t us);

#endif
