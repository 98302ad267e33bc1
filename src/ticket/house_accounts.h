/*
 * The operator's own accounts; ids and kinds are the same numbers, kept in the store for ever. The ledger posts to them, metrics and events name
 * them.
 *
 * X(NAME, id, name in the store, meaning)
 */
#ifndef TICKET_HOUSE_ACCOUNTS_H
#define TICKET_HOUSE_ACCOUNTS_H

#define HOUSE_ACCOUNTS(X) \
	X(REVENUE, 1, "revenue", "what customers paid for, at list price") \
	X(CLEARING, 2, "clearing", "payments on their way") \
	X(ADJUSTMENT, 3, "adjustment", "credit and debit by hand") \
	X(FREE, 4, "free", "the free tier") \
	X(LOSS_CRASH, 5, "loss.crash", "used, but not charged because a process died") \
	X(LOSS_OVERRUN, 6, "loss.overrun", "used beyond the hold") \
	X(LOSS_RETRY, 7, "loss.retry", "used by attempts that are free to the customer") \
	X(LOSS_ESTIMATE, 8, "loss.estimate", "estimated too low") \
	X(LOSS_NODE, 9, "loss.node", "used on a machine that was given up, but not charged") \
	X(STANDING, 10, "standing", "held for work that outlives its connection") \
	X(VOUCHER, 11, "voucher", "vouchers that nobody has redeemed yet") \
	X(DISPUTE, 12, "dispute", "set aside while a payment is disputed") \
	X(OWED, 13, "owed", "what customers owe after lost disputes: below zero") \
	X(TRANSIT, 14, "transit", "on its way between two accounts") \
	X(LOSS_ABSURD, 15, "loss.absurd", "beyond the hold, by usage that no provider can have meant")

enum house_account {
	HOUSE_NONE,
#define X(name, id, word, meaning) HOUSE_##name = id,
	HOUSE_ACCOUNTS(X)
#undef X
		HOUSE_COUNT
};

#endif
