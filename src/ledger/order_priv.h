/*
 * Orders: everything that moves money besides exchanges, and the items that it is set aside in. Ledger only; texts in an order are the request's.
 */
#ifndef LEDGER_ORDER_PRIV_H
#define LEDGER_ORDER_PRIV_H

#include "ledger/ledger_priv.h"
#include "ledger/orders.h"

enum { ITEM_WINDOWS_MAX = TICKET_LEGS_MAX - 1,
	ORDER_TRIES = 4 }; /* of one that is reckoned by what there is */

struct item {
	uint64_t id, account, peer, booking; /* booking: that an answer names */
	enum item_kind kind;
	enum item_state state;
	int64_t amount_nano, open_nano, used_nano, created_us, expires_ms;
	uint8_t hash[32]; /* only on the way into the store, when has_hash */
	bool has_hash;
	const char *note; /* likewise */
	uint64_t windows[ITEM_WINDOWS_MAX]; /* of limits of money that it counts in (window.c), 0: none; likewise */
};

static inline int64_t
smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

struct order {
	struct operation op;
	enum order_kind kind;
	struct account_row account; /* id 0: no customer's money is moved */
	int64_t nano; /* what it gets */
	int64_t second_nano, third_nano; /* what these house accounts get (orders.h) */
	uint64_t item; /* that it opens, reduces or resolves; 0: none */
	int64_t open_nano; /* of the item that it resolves, when the amount was reckoned; 0: whatever is open */
	const struct item *fresh; /* that it opens: to be made */
	const char *reason, *actor;
	char own_ref[64]; /* when the giver chose no id: the intent's */
};

/*
 * Carry it out once, by its op. Fills o->op.subject with the booking. NULL: done, now or before; else an error, the caller's. An order whose
 * outcome is not known (`store_failed`) is asked again with the same id.
 */
must_check json_t *order_do(struct ledger *l, struct order *o);
/* The answer to one that is done: account, booking, amount, balance, and what its item is. */
json_t *order_done(struct ledger *l, const struct order *o);
/* order_do, and order_done when it went well. */
json_t *order_answer(struct ledger *l, struct order *o);

/* Inside the caller's transaction, one of no customer, which nobody's ticket or intent stands for. */
enum ordered order_book_houses(struct ledger *l, const struct order *o);

/* What there is can be held by a request in the moment after it was looked at: reckoned anew, it may go well. */
bool order_was_short(const json_t *error);

/* Members `account`, `reason`, `id`, `actor` of a request; not `account` for orders without one. False with *ret_error. */
must_check bool order_read(struct ledger *l, const json_t *request, struct order *o, json_t **ret_error);
must_check bool order_read_texts(const json_t *request, struct order *o, json_t **ret_error);
must_check bool order_read_customer(
	struct ledger *l, const json_t *request, const char *member, struct account_row *ret, json_t **ret_error);
must_check bool order_load_account(struct ledger *l, uint64_t id, struct account_row *ret);
/* The item that it opens: what the caller did not fill in. */
void order_open_item(struct ledger *l, struct order *o, struct item *i);
/* Dollars, not 0; below 0 only when negative is allowed. */
must_check bool order_amount(const json_t *request, const char *member, bool negative, int64_t *ret, json_t **ret_error);
/* "expires": a date to come, ret 0 when missing. */
must_check bool order_expires(const json_t *request, bool required, int64_t *ret_ms, json_t **ret_error);
/* Who gives the same order again gives these texts again. */
void order_content(struct order *o, const char *op, const char *const *texts, size_t count);
/* What is asked of a new order only: one that was done before is answered again. False with *ret_error: it is not known which it is, so nothing may be done. */
must_check bool order_is_new(struct ledger *l, struct order *o, bool *ret, json_t **ret_error);
/* An order that the ledger gives itself about an item, once: "item:expiry:hold_…". False: the store failed. */
must_check bool order_of_item(struct ledger *l, struct order *o, const char *what, const struct item *i);
/* The id of an order that the ledger gives itself, which nobody else can: no longer than own_ref has room. */
void order_own_ref(struct order *o, const char *what, const char *id, const char *which);
/* What this account could pay now: on the board, without what is held. False: the store failed. */
must_check bool order_available(struct ledger *l, uint64_t account, int64_t *ret);

const char *order_word(int64_t kind);

/* ---- item.c ---- */

enum item_effect { EFFECT_NONE,
	EFFECT_OPEN,
	EFFECT_REDUCE,
	EFFECT_SETTLE,
	EFFECT_RELEASE,
	EFFECT_EXPIRE };

/* A new one, open by itself only once its order is booked. */
must_check bool item_write(struct ledger *l, const struct item *i);
/* Inside the transaction that books it. */
enum ordered item_change(struct ledger *l, const struct order *o, enum item_effect effect);
/* Would that change be made now? A ticket whose order is refused when it is booked would stay on the board. */
must_check bool item_allows(struct ledger *l, const struct order *o, enum item_effect effect);
enum sql_step item_find(struct ledger *l, uint64_t id, struct item *ret);
enum sql_step item_find_hash(struct ledger *l, const uint8_t hash[32], struct item *ret);
/* By the member's text, of this kind. False with *ret_error. */
must_check bool item_read(
	struct ledger *l, const json_t *request, const char *member, enum item_kind kind, struct item *ret, json_t **ret_error);
/* An error that says why it can't be resolved any more; NULL: it is open. */
must_check json_t *item_must_be_open(const struct item *i);
const char *item_prefix(enum item_kind kind);
enum house_account item_house(int kind);
const char *item_state_word(const struct item *i);
void item_put(struct ledger *l, json_t *o, const struct item *i);
void item_put_id(json_t *o, const char *member, enum item_kind kind, uint64_t id);

/* ---- window.c: the windows of limits of money that a standing hold counts in ---- */

/* Inside the transaction that books the order: what is set aside is used there, what comes back is not; a window that is over is nobody's any more. */
enum ordered windows_change(struct ledger *l, const struct order *o);
/*
 * The rows that the order moves money on, the account's last, all of them on the board. count 0: it counts in no window, or there is no board. False: there
 * is no room on it now.
 */
must_check bool windows_rows(struct ledger *l, const struct order *o, struct board_rows *ret);
/* Several servers have the store: what the order sets aside is to be nobody's share in its windows, as far as it can be had. False: the store failed. */
must_check bool windows_make_free(struct ledger *l, const struct order *o);

/* ---- hold.c ---- */

/* control_hold_create for work: it counts in these windows. */
json_t *hold_create(struct ledger *l, const json_t *request, const uint64_t windows[ITEM_WINDOWS_MAX]);

/* ---- credit.c ---- */

/* What there is of a debt is paid first, out of the same amount. False: the store failed. */
must_check bool top_up_reckon(struct ledger *l, struct order *o);

/* ---- grant.c ---- */

/* What was spent since the last time, off the grants that end first. False: the store failed. */
must_check bool grants_apply(struct ledger *l, uint64_t account);
/* What is open of it when what was spent since the last time is taken off: for showing, nothing is written. False: the store failed. */
struct grant_spent {
	uint64_t account;
	int64_t nano;
}; /* by the account that was asked about last: to begin with 0 */
must_check bool grant_open_now(struct ledger *l, const struct item *i, struct grant_spent *known, int64_t *ret);
/* What an account has besides free credit: below 0 where more was taken by hand. False: the store failed. */
must_check bool grants_own(struct ledger *l, uint64_t account, int64_t *ret_own);
/* Free credit is not moved to another account, where it would have no end, nor paid out. NULL: there is enough besides, or too little of all. By a balance that was read when all was booked, which nobody changes meanwhile. */
json_t *grants_refuse(struct ledger *l, const struct account_row *a, int64_t nano);
/* The same within the transaction that moves it, where other servers book as well. What is its own after it, below 0 when it was refused. */
enum ordered grants_stay(struct ledger *l, uint64_t account, int64_t *ret_own);
json_t *grants_error(const struct account_row *a, int64_t own);
/* What is left of a grant whose time is over goes back. False: not now. */
must_check bool grant_expire(struct ledger *l, const struct item *i);
/* ---- quota.c: those whose window has begun. False: not all could be given ---- */
must_check bool quotas_give(struct ledger *l, uint64_t now_us);
/* ---- voucher.c, hold.c, transfer.c: likewise ---- */
must_check bool voucher_expire(struct ledger *l, const struct item *i);
must_check bool hold_expire(struct ledger *l, const struct item *i);
must_check bool transfer_arrive(struct ledger *l, const struct item *i);

#endif
