/*
 * Which ends are charged, as end_reasons.h says: the edge settles by it, the ledger books and sums up by it.
 */
#ifndef TICKET_BILLING_H
#define TICKET_BILLING_H

#include "ticket/nano.h"
#include "ticket/ticket.h"

enum billing { BILLING_NONE,
	BILLING_REPORTED };

/* A reason that this build doesn't know is a newer edge's: its cost is looked at. */
enum billing billing_of(uint8_t end_reason);

/* No edge ended it: the ledger did, by what had been counted until then. */
bool billing_cut_short(uint8_t end_reason);

/*
 * A leg that nobody is charged for: an attempt that failed, and was followed by another. Its usage is the operator's estimate of what the provider
 * may ask for it (loss.retry), and in no sum of what customers used.
 */
bool billing_free_leg(const struct ticket_facts *f, struct nano cost);

#endif
