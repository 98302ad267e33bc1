/*
 * What can be ordered of the ledger besides exchanges, and what is set aside meanwhile. Each order is one booking: the customer's account gets
 * `nano`, the second house account `second_nano`, the third `third_nano`, and the first what makes them sum to zero. Ledger only.
 */
#ifndef LEDGER_ORDERS_H
#define LEDGER_ORDERS_H

#include "ticket/house_accounts.h"

/*
 * Numbers are kept in the store for ever.
 * X(NAME, number, word, first house account, second, third, what becomes of its item, meaning)
 */
#define ORDER_KINDS(X) \
	X(ADJUSTMENT, 0, "adjustment", ADJUSTMENT, NONE, NONE, NONE, "credit or debit by hand") \
	X(TOP_UP, 1, "top-up", CLEARING, OWED, NONE, OPEN, "a payment arrived; what is owed is paid first") \
	X(REFUND, 2, "refund", CLEARING, NONE, NONE, REDUCE, "part of a payment goes back to who paid") \
	X(GRANT, 3, "grant", FREE, NONE, NONE, OPEN, "free credit, until a date") \
	X(GRANT_PART, 4, "grant-expiry", FREE, NONE, NONE, REDUCE, "free credit that was not used in time: what running requests don't hold") \
	X(GRANT_EXPIRY, 5, "grant-expiry", FREE, NONE, NONE, EXPIRE, "free credit that was not used in time: the rest of it") \
	X(VOUCHER, 6, "voucher", ADJUSTMENT, VOUCHER, NONE, OPEN, "a voucher was issued") \
	X(VOUCHER_REDEEM, 7, "voucher-redeem", VOUCHER, NONE, NONE, SETTLE, "a voucher became credit") \
	X(VOUCHER_REVOKE, 8, "voucher-revoke", VOUCHER, ADJUSTMENT, NONE, RELEASE, "a voucher was taken back") \
	X(VOUCHER_EXPIRY, 9, "voucher-expiry", VOUCHER, ADJUSTMENT, NONE, EXPIRE, "a voucher was not redeemed in time") \
	X(HOLD, 10, "hold", STANDING, NONE, NONE, OPEN, "set aside for work that outlives its connection") \
	X(HOLD_SETTLE, 11, "hold-settle", STANDING, REVENUE, NONE, SETTLE, "that work is charged, the rest of the hold comes back") \
	X(HOLD_RELEASE, 12, "hold-release", STANDING, NONE, NONE, RELEASE, "that work is free, the hold comes back") \
	X(HOLD_EXPIRY, 13, "hold-expiry", STANDING, NONE, NONE, EXPIRE, "nobody settled a hold in time: it comes back") \
	X(DISPUTE, 14, "dispute", DISPUTE, NONE, NONE, OPEN, "a payment is disputed: set aside what there is of it") \
	X(DISPUTE_LOST, 15, "dispute-lost", DISPUTE, CLEARING, OWED, SETTLE, "the payer's bank took a payment back; what is missing is owed") \
	X(DISPUTE_WON, 16, "dispute-won", DISPUTE, NONE, NONE, RELEASE, "a dispute was decided for us: what was set aside comes back") \
	X(TRANSFER, 17, "transfer", TRANSIT, NONE, NONE, OPEN, "on its way to another account") \
	X(TRANSFER_ARRIVAL, 18, "transfer-arrival", TRANSIT, NONE, NONE, SETTLE, "come from another account") \
	X(CORRECTION, 19, "correction", REVENUE, NONE, NONE, NONE, "charged beyond what the provider counted, and given back") \
	X(LATE_USE, 20, "late-use", REVENUE, LOSS_NODE, NONE, NONE, "a forgotten node was heard of again: what its request had used beyond what was booked of it") \
	X(UNDERCOUNT, 21, "undercount", REVENUE, LOSS_ESTIMATE, NONE, NONE, "a provider counted more than we did: the house bears it") \
	X(GRANT_REVOKE, 22, "grant-revoke", FREE, NONE, NONE, RELEASE, "free credit was taken back: all that was left of it") \
	X(GRANT_REVOKE_PART, 23, "grant-revoke", FREE, NONE, NONE, REDUCE, "free credit was taken back: what running requests and holds don't have")

enum order_kind {
#define X(name, number, word, first, second, third, effect, meaning) ORDER_##name = number,
	ORDER_KINDS(X)
#undef X
};

/*
 * X(NAME, number, prefix of ids, house account that keeps what is open or NONE, words for settled and released, meaning)
 */
#define ITEM_KINDS(X) \
	X(PAYMENT, 1, "pay_", NONE, "settled", "released", "a payment; open: what can still be refunded") \
	X(GRANT, 2, "grant_", NONE, "used", "revoked", "free credit; open: what was not used yet") \
	X(VOUCHER, 3, "vch_", VOUCHER, "redeemed", "revoked", "a code that is worth credit") \
	X(HOLD, 4, "hold_", STANDING, "settled", "released", "a standing hold") \
	X(DISPUTE, 5, "dsp_", DISPUTE, "lost", "won", "a disputed payment; open: what was set aside for it") \
	X(TRANSFER, 6, "trf_", TRANSIT, "arrived", "returned", "money on its way to another account")

enum item_kind {
#define X(name, number, prefix, house, settled, released, meaning) ITEM_##name = number,
	ITEM_KINDS(X)
#undef X
		ITEM_KIND_COUNT
};

enum item_state {
	ITEM_ORDERED, /* its order is an intent still */
	ITEM_OPEN,
	ITEM_SETTLED,
	ITEM_RELEASED,
	ITEM_EXPIRED,
};

/* Four billion dollars: so much an account can have and an order can move, so that no sum of two overflows. */
#define ORDER_NANO_MAX 4000000000000000000LL

#endif
