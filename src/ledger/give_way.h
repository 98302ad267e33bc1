/*
 * The ledger gives way: whoever waits for the processor that it shares with an edge gets it now.
 *
 * Linux looks whether somebody who wakes should run instead when he wakes, and not again before its next tick (4 ms at 250 Hz). Who wakes in the first 0.1 ms
 * of a commit, while the ledger's turn is young, would wait for the end of it. Decision 0039.
 */
#ifndef LEDGER_GIVE_WAY_H
#define LEDGER_GIVE_WAY_H

#include "core/base.h"

/*
 * A look at the clock, and a system call where it has not done so for 20 µs: so it may be called before each statement and each page. No more than a tenth of
 * the ledger's time is given away, for behind an edge that never rests each turn takes a tick, and bookings must not starve. For the one thread of a ledger.
 */
void give_way(void);

/* From now on it does what it says, or nothing: which is how it begins, for a command that reads a store shares it with no edge. */
void give_way_allow(bool allowed);

/* When it was last, and how much was given away of late, beyond its share of the time before span_us. */
struct given {
	uint64_t last_us, span_us, given_us;
};

/* Whether there may be more; and that it was until now, so long. */
must_check bool given_may(struct given *g, uint64_t now_us);
void given_add(struct given *g, uint64_t now_us, uint64_t us);

#endif
