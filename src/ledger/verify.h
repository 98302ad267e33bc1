/*
 * `ledger verify` within the ledger: its answer, and the sums of what it read. Reads a snapshot through a reader of its own; rounds go on in between.
 */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include "ledger/ledger_priv.h"

struct verify_sums {
	int64_t tickets, bookings, broken; /* broken: how many of the comparisons do not hold */
	int64_t charged_nano, booked_nano; /* to customers: by tickets, and as bookings say */
	int64_t derived_nano, balances_nano; /* of all customers: by postings and tickets, and as kept */
};

/* *ret is filled when the answer is ok. */
must_check json_t *verify_books(struct ledger *l, struct verify_sums *ret);

/* reconcile.c. Nightly, when it is due at this time: did it do so? */
bool reconcile_nightly(struct ledger *l, int64_t now_s);
/* For the process' loop. */
void ledger_reconcile_when_due(struct ledger *l, uint64_t now_monotonic_ms);

#endif
