/*
 * Limits of keys and accounts: kept in the store, published on the board (ticket/limit.h). Ledger only.
 *
 * A limit of money has a number, and each window of it a row in `budget` and, while somebody spends, on the board: a leg of the tickets that are taken
 * in that window. What a request costs counts in the window in which it began. Another amount is another number; what the old one had used or
 * held in its window, the new one begins with. Where several servers have the store, each has a share of a window (share_priv.h), and another amount is the same
 * number: so what they have of it stays theirs, and nobody has to know how much of that is held.
 */
#ifndef LEDGER_LIMIT_PRIV_H
#define LEDGER_LIMIT_PRIV_H

#include "ledger/ledger_priv.h"
#include "ticket/limit.h"

/* ---- limit.c ---- */

/* All limits of the store onto the board, before keys are. False: the store failed. */
must_check bool limits_start(struct ledger *l);
/* Another catalogue: which models do the lists name now? */
void limits_adopt(struct ledger *l);
/* What the store says of this key or account, onto the board, and to its keys. False: the store failed, or there is no room. */
must_check bool limits_publish(struct ledger *l, uint64_t subject, uint64_t account);
/* Is there room on the board for what a key in this one's place would have? False: the store failed. */
must_check bool limits_fit(struct ledger *l, uint64_t key, bool *ret);
/* The row that a key is told of. */
uint32_t limits_row_of(const struct ledger *l, uint64_t key, uint64_t account);
/* Models that a pattern names, appended; false: too many. */
must_check bool limits_models_named(const struct ledger *l, const char *pattern, struct limit_lists *ret);

struct limit_amounts {
	int64_t amount[LIMIT_KIND_COUNT]; /* 0: none */
	uint64_t number[LIMIT_KIND_COUNT];
};
must_check bool limits_read(struct ledger *l, uint64_t subject, struct limit_amounts *ret);
/* policy.c: "none", or words with commas between: zero-retention, region=WORD. */
must_check bool policy_parse(const char *text, struct limit_policy *ret);
must_check bool policy_read(struct ledger *l, uint64_t subject, struct limit_policy *ret);
must_check bool policy_write(struct ledger *l, uint64_t subject, const struct limit_policy *p);
void policy_put(struct ledger *l, json_t *o, uint64_t subject);

/* ---- lane.c: by which lane requests go that name none ---- */

struct lane_wish {
	bool given;
	struct limit_lane lane; /* "": none any more */
};
/* Member `lane`: one of the catalogue's, where there is one, or none. *ret is zeroed before. False: *ret_error. */
must_check bool lane_wanted(struct ledger *l, const json_t *request, struct lane_wish *ret, json_t **ret_error);
must_check bool lane_read(struct ledger *l, uint64_t subject, struct limit_lane *ret);
must_check bool lane_write(struct ledger *l, uint64_t subject, const struct limit_lane *lane);
void lane_put(struct ledger *l, json_t *o, uint64_t subject);

/* byok.c: an account's own keys at providers, for its row. How many; -1: the store failed. */
int byok_read(struct ledger *l, uint64_t account, struct limit_byok_one ret[LIMIT_BYOK_MAX]);
/* What is booked here is summed up by day. Between transactions. False: the store failed; it is tried again in the next round. */
must_check bool limits_freshen(struct ledger *l);
/*
 * In this window by a key or account, after limits_freshen(), by whoever has the store: money as it is booked, requests as far as days are summed up, which of other
 * servers may be a minute ago. False: the store failed, and nobody knows.
 */
struct limit_spent {
	int64_t nano, requests;
};
must_check bool limits_spent(struct ledger *l, uint64_t subject, enum limit_kind kind, uint32_t window, struct limit_spent *ret);

/* ---- usage.c ---- */

/* What is in the sums here is in none of the store's: also after a flush whose outcome was unknown. Nothing is written. False: the store failed. */
must_check bool usage_known_once(struct ledger *l);
/* Requests of this key, or account, on this day or later that are in the sums here. */
int64_t usage_requests(const struct usage_sums *u, int64_t day, uint64_t subject);

/* Rows of windows: what the database has, and no server of several has a share of; onto the board. */
must_check enum sql_step budget_read(struct ledger *l, uint64_t row, struct nano *ret);
must_check bool budget_balance(struct ledger *l, uint64_t row, struct nano *ret);
uint32_t budget_load(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot);
/* In the store at least. As ledger_load_row(). */
uint32_t budget_begin(struct ledger *l, uint64_t row);
/* A ticket whose board is gone: the windows that it is paid from, as its legs were. */
void budget_legs(struct ledger *l, struct ticket_copy *t);
/* Those in which what this key begins now counts, and its account's; how many, -1: the store failed. key 0: the account's alone. */
int budget_windows(struct ledger *l, uint64_t key, uint64_t account, uint64_t ret[LIMIT_BUDGETS_MAX]);
/* Used and held of a window now; where several servers have the store, what is held on others is not known. False: the store failed. */
must_check bool budget_used(struct ledger *l, uint64_t row, int64_t limit_nano, int64_t *ret);

/* quota.c: member `quota` */
void quota_put(struct ledger *l, json_t *o, uint64_t account);

/* ---- limit_order.c ---- */

/* Members `limits`, `used`, `models`, `addresses`. */
void limits_put(struct ledger *l, json_t *o, uint64_t subject);
void limits_put_scopes(json_t *o, int64_t scopes);
/* Inside the transaction that makes a key in another's place. */
must_check bool limits_copy(struct ledger *l, uint64_t from, uint64_t to);
json_t *limits_set(struct ledger *l, const json_t *request, uint64_t subject, uint64_t account);

#endif
