#include "ledger/share_priv.h"

#include "ledger/limit_priv.h"

#include <assert.h>
#include <string.h>

enum { LOOK_MS = 100, /* at what others want and have changed */
	ASKED_MS = 50, /* that others were asked; whoever asks again after an edge's 100 ms (question.c) is not to meet it still */
	COUNT_MS = 1000, /* how many others there are */
	CHANGES_AT_ONCE = 256,
	WANTS_AT_ONCE = 64,
	WANTED_US = 2000000, /* who is still short asks again */
	LEASE_US = 30000000 };

bool
share_on(const struct ledger *l)
{
	return l->store.many;
}

/* ---- statements that only PostgreSQL has: for once ---- */

static bool
change(struct ledger *l, const char *text, const int64_t *values, size_t count, int *ret_changes)
{
	struct query *st = sql_prepare(&l->store, text);
	if (st == NULL)
		return false;
	sql_bind_ints(st, 1, values, count);
	bool ok = sql_done(&l->store, st);
	*ret_changes = ok ? sql_changes(&l->store) : 0;
	sql_free(st);
	return ok;
}

#define CHANGE(l, ret, text, ...) \
	change((l), (text), (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (ret))

static bool
number(struct ledger *l, const char *text, int64_t value, int64_t *ret)
{
	struct query *st = sql_prepare(&l->store, text);
	if (st == NULL)
		return false;
	sql_bind_int(st, 1, value);
	bool ok = sql_number(&l->store, st, ret);
	sql_free(st);
	return ok;
}

/* A window of a limit of money; else an account. */
static bool
is_window(uint64_t row)
{
	return row & LIMIT_BUDGET_ROW;
}

static bool
free_of(struct ledger *l, uint64_t row, int64_t *ret)
{
	struct query *st = store_sql(&l->store, is_window(row) ? SQL_budget_balance : SQL_account_free);
	sql_bind(st, (int64_t)row);
	return sql_number(&l->store, st, ret);
}

/* What this node may spend of a row, what is nobody's, and what the other nodes have of it. */
struct parts {
	int64_t share, free_nano, others;
};

/* END: no such row. */
static enum sql_step
look_at(struct ledger *l, uint64_t row, struct parts *ret)
{
	struct query *st = store_sql(&l->store, is_window(row) ? SQL_budget_share_of : SQL_share_of);
	sql_bind(st, (int64_t)row, l->store.node);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW)
		*ret = (struct parts){sql_int(st, 0), sql_int(st, 1), sql_int(st, 2) - sql_int(st, 0)};
	sql_reset(st);
	return step;
}

bool
share_balance(struct ledger *l, uint64_t row, struct nano *ret)
{
	struct parts p;
	enum sql_step step = look_at(l, row, &p);
	if (step == SQL_ROW)
		ret->v = p.share;
	else if (step == SQL_END && is_window(row)) /* long over, and forgotten by another: nothing of it was lent any more */
		ret->v = 0;
	else
		return false;
	return true;
}

/* ---- moves ---- */

/*
 * nano > 0: from the account to the share. The statement decides, not a look before it; by itself it is a transaction that needs no pen, for what it
 * writes is this node's and a sum that each statement changes under its own condition. Half a move would break INV-18: the statement fails of it. REFUSED:
 * nothing was written.
 */
static enum ordered
write_move(struct ledger *l, uint64_t account, int64_t nano, uint64_t id)
{
	struct query *st = store_sql(&l->store, is_window(account) ? SQL_budget_share_move : SQL_share_move);
	l->store.code = 0; /* of this one, if it has one */
	sql_bind(st, (int64_t)account, l->store.node, nano, (int64_t)id, l->store.fence);
	if (sql_step(&l->store, st) != SQL_ROW)
		return ORDER_FAILED;
	int64_t may = sql_int(st, 0), lent = sql_int(st, 1);
	sql_reset(st);
	if (lent == 1)
		return ORDER_BOOKED;
	return may == 1 ? ORDER_REFUSED : ORDER_FAILED;
}

enum ordered
share_book(struct ledger *l, const struct ticket_copy *t)
{
	int64_t moved = 0;
	struct query *st = store_sql(&l->store, SQL_share_moved);
	sql_bind(st, l->store.node);
	if (!sql_number(&l->store, st, &moved))
		return ORDER_FAILED;
	if (moved >= (int64_t)t->id)
		return ORDER_KNOWN;
	return write_move(l, t->row[0], -t->cost.v, t->id);
}

/*
 * What was announced on the board and is not known to be booked is for the next ledger to find out: this one ends. So there is one way to
 * recover, and at most one move is open. Of one that has waited too long it is known: not booked.
 */
static bool
give_up(struct ledger *l)
{
	/* Was it that this node writes no more? The pen says so, and there is nothing to be written with it. */
	if (!l->store.lost && store_begin(&l->store))
		store_rollback(&l->store);
	l->store.lost = true;
	return false;
}

/* Somebody else has a row in hand for too long, the account's: the statement is undone, and it may be asked for again. */
static bool
has_waited(const struct ledger *l, enum ordered moved)
{
	return moved == ORDER_FAILED && store_waited(&l->store);
}

/* One that had waited too long when it was announced already is booked by a round: before the next, whose id is after its own. */
static bool
none_is_open(struct ledger *l)
{
	if (l->move_waits && !ledger_drain(l))
		return false;
	l->move_waits = false;
	return true;
}

static uint64_t
next_move(struct ledger *l)
{
	return ledger_next_id(l);
}

static int64_t
portion(const struct ledger *l, int64_t free_nano, int64_t lacking)
{
	/* Alone: all of it. With others: less and less, at last what this one request needs. */
	int64_t part = l->others == 0 ? free_nano : free_nano / (2 * (l->others + 1));
	int64_t take = part > lacking ? part : lacking;
	return take > 0 && take < free_nano ? take : free_nano;
}

static bool
want(struct ledger *l, uint64_t account)
{
	struct query *st = store_sql(&l->store, SQL_share_want);
	assert(!store_in_transaction(&l->store)); /* one that is open would not wait for the disk either when it commits */
	sql_bind(st, (int64_t)account, l->store.node);
	return sql_done(&l->store, st);
}

static struct share_refusal *
refusal_of(struct ledger *l, uint64_t account)
{
	return &l->refusals[(account * 0x9e3779b97f4a7c15ULL >> 40) & (SHARE_REFUSALS - 1)];
}

static const struct share_refusal *
was_refused(struct ledger *l, uint64_t account, int64_t lacking)
{
	const struct share_refusal *r = refusal_of(l, account);
	return r->account == account && lacking >= r->lacking && clock_monotonic_ms() < r->until_ms ? r : NULL;
}

/* LATER: with what the others have it would be enough. LOADED: who does not know what it needs has got what there is. */
static uint32_t
too_little(int64_t need_nano, int64_t lacking, int64_t within)
{
	if (need_nano <= 0)
		return ROW_LOADED;
	return lacking <= within ? ROW_LATER : ROW_SHORT;
}

void
share_credited(struct ledger *l, uint64_t account)
{
	*refusal_of(l, account) = (struct share_refusal){0};
}

/* Of what was nobody's a moment ago. REFUSED: somebody was first, or there is no room on the board. */
static enum ordered
take_some(struct ledger *l, uint64_t account, int64_t nano)
{
	uint32_t slot, index = UINT32_MAX;
	uint64_t id = next_move(l);
	if (board_find(l->o.board, account, &slot) && !board_credit_begin(l->o.board, id, account, (struct nano){nano}, &index))
		return ORDER_REFUSED;
	enum ordered moved = write_move(l, account, nano, id);
	if ((moved == ORDER_REFUSED || has_waited(l, moved)) && index != UINT32_MAX)
		board_credit_drop(l->o.board, index);
	if (moved == ORDER_BOOKED && index != UINT32_MAX)
		board_give_back(l->o.board, index);
	return moved;
}

static bool
refuse(struct ledger *l, uint64_t account, int64_t lacking, const struct parts *p)
{
	int64_t within = p->free_nano + p->others;
	if (lacking > 0) /* else nothing was asked for, and who asks for something is not to hear of it */
		*refusal_of(l, account) = (struct share_refusal){account, clock_monotonic_ms() + (lacking <= within ? ASKED_MS : LOOK_MS), lacking, within};
	return want(l, account);
}

/*
 * What this node has of it may have become more; *ret_took 0: there is not enough, and a part of it would only lie here. False: not now, as when there is
 * enough and somebody else is first each time. That is no refusal, which would be a 402 for whoever asks within LOOK_MS.
 */
static bool
take(struct ledger *l, uint64_t account, int64_t lacking, struct parts *p, int64_t *ret_took)
{
	enum { TRIES = 8 };
	*ret_took = 0;
	for (int n = 0; p->free_nano > 0 && p->free_nano >= lacking; n++) {
		if (n == TRIES)
			return false;
		int64_t nano = portion(l, p->free_nano, lacking);
		enum ordered moved = take_some(l, account, nano);
		if (moved == ORDER_BOOKED)
			*ret_took = nano;
		if (moved == ORDER_BOOKED)
			return true;
		if (has_waited(l, moved))
			return false;
		if (moved != ORDER_REFUSED)
			return give_up(l);
		if (look_at(l, account, p) != SQL_ROW)
			return false;
	}
	return refuse(l, account, lacking, p);
}

static bool
drop_share(struct ledger *l, uint64_t account)
{
	int changed;
	if (is_window(account))
		return CHANGE(l, &changed, "UPDATE budget SET lent_nano = lent_nano - s.nano FROM budget_share AS s WHERE s.budget = ?1 AND s.node = ?2 AND budget.id = ?1", (int64_t)account, l->store.node) &&
			CHANGE(l, &changed, "DELETE FROM budget_share WHERE budget = ?1 AND node = ?2", (int64_t)account, l->store.node);
	return CHANGE(l, &changed, "UPDATE account SET lent_nano = lent_nano - share.nano FROM share WHERE share.account = ?1 AND share.node = ?2 AND account.id = ?1", (int64_t)account, l->store.node) &&
		CHANGE(l, &changed, "DELETE FROM share WHERE account = ?1 AND node = ?2", (int64_t)account, l->store.node);
}

/* It had to make room on the board for another: nothing there is of this account, held or not booked, and only a LOAD can bring it back. */
static bool
return_unseen(struct ledger *l, uint64_t account)
{
	struct nano share;
	if (!share_balance(l, account, &share))
		return false;
	return share.v == 0 || l->batch->count != 0 || (store_begin(&l->store) && store_end(&l->store, drop_share(l, account)));
}

bool
share_return(struct ledger *l, uint64_t account)
{
	uint32_t slot, index;
	if (l->o.board == NULL)
		return true;
	if (!board_find(l->o.board, account, &slot))
		return return_unseen(l, account);
	if (!none_is_open(l))
		return false;
	int64_t idle = board_available(l->o.board, slot).v;
	if (idle <= 0)
		return true;
	uint64_t id = next_move(l);
	/* SHORT: somebody has just used it. */
	if (board_debit_begin(l->o.board, id, account, (struct nano){idle}, &index) != MOVED)
		return true;
	enum ordered moved = write_move(l, account, -idle, id);
	l->move_waits = has_waited(l, moved);
	if (l->move_waits)
		return false;
	if (moved != ORDER_BOOKED)
		return give_up(l);
	board_give_back(l->o.board, index);
	return true;
}

/* Whoever hears of the change gives back as well. The sum is changed with the limit, by whoever has the pen: no share is taken beyond it from here on. */
bool
share_amend(struct ledger *l, uint64_t number, int64_t amount)
{
	int changed;
	/* None: somebody has just taken it off. */
	return CHANGE(l, &changed, "UPDATE limits SET amount = ?2 WHERE number = ?1", (int64_t)number, amount) && changed > 0 &&
		CHANGE(l, &changed, "UPDATE budget SET limit_nano = ?3 WHERE id BETWEEN ?1 AND ?2", (int64_t)limit_budget_row(number, 0), (int64_t)limit_budget_row(number, UINT32_MAX), amount);
}

/* Windows of which more is used and lent than their limit is now: what runs is held still, and comes back by and by. Those that can't go back now are in nobody's way: the others have their turn at the next look. */
bool
share_return_excess(struct ledger *l)
{
	int64_t rows[WANTS_AT_ONCE], after = l->excess_after;
	size_t count = 0;
	if (!l->excess || l->o.board == NULL)
		return true;
	struct query *st = store_sql(&l->store, SQL_budget_excess);
	sql_bind(st, l->store.node, after);
	enum sql_step step = SQL_END;
	while (count < WANTS_AT_ONCE && (step = sql_step(&l->store, st)) == SQL_ROW)
		rows[count++] = sql_int(st, 0);
	sql_reset(st);
	bool ok = step != SQL_FAILED;
	for (size_t i = 0; ok && i < count; i++) {
		ok = share_return(l, (uint64_t)rows[i]);
		l->excess_after = rows[i];
	}
	if (ok && count < WANTS_AT_ONCE)
		l->excess_after = INT64_MIN;
	l->excess = !ok || count > 0 || after != INT64_MIN;
	return ok;
}

bool
share_limits_changed(struct ledger *l, uint64_t subject)
{
	struct limit_amounts a;
	if (!share_on(l))
		return true;
	l->excess = true;
	if (!limits_read(l, subject, &a))
		return false;
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
		if (a.number[k] != 0)
			share_credited(l, limit_budget_row(a.number[k], limit_window((enum limit_kind)k, clock_wall_us() / 1000000)));
	return true;
}

bool
share_make_free(struct ledger *l, uint64_t account, int64_t nano)
{
	int64_t free_nano = 0;
	if (!free_of(l, account, &free_nano) || free_nano >= nano)
		return free_nano >= nano;
	if (!share_return(l, account) || !free_of(l, account, &free_nano))
		return false;
	return free_nano >= nano || want(l, account);
}

bool
share_may_come(struct ledger *l, uint64_t account, int64_t nano)
{
	struct parts p;
	enum sql_step step = look_at(l, account, &p);
	if (step == SQL_END) /* a window that has begun since has all that its limit lets it */
		return is_window(account);
	return step == SQL_FAILED || nano <= p.free_nano + p.others;
}

static bool
drop_shares(struct ledger *l, int64_t node)
{
	int changed;
	return CHANGE(l, &changed, "UPDATE account SET lent_nano = lent_nano - share.nano FROM share WHERE share.node = ?1 AND share.account = account.id", node) &&
		CHANGE(l, &changed, "DELETE FROM share WHERE node = ?1", node) &&
		CHANGE(l, &changed, "UPDATE budget SET lent_nano = lent_nano - s.nano FROM budget_share AS s WHERE s.node = ?1 AND s.budget = budget.id", node) &&
		CHANGE(l, &changed, "DELETE FROM budget_share WHERE node = ?1", node) && CHANGE(l, &changed, "DELETE FROM want WHERE node = ?1", node);
}

bool
share_return_all(struct ledger *l, int64_t node)
{
	return store_begin(&l->store) && store_end(&l->store, drop_shares(l, node));
}

/* ---- LOAD ---- */

static bool
count_others(struct ledger *l, uint64_t now_ms)
{
	if (now_ms < l->count_due_ms)
		return true;
	l->count_due_ms = now_ms + COUNT_MS;
	struct query *st = store_sql(&l->store, SQL_node_others);
	sql_bind(st, l->store.node, (int64_t)LEASE_US);
	return sql_number(&l->store, st, &l->others);
}

static bool
is_enough(int64_t there, int64_t need_nano)
{
	return there > 0 && there >= need_nano;
}

static bool
settle_first(struct ledger *l, uint64_t account, int64_t *ret_share)
{
	struct nano share;
	if (!ledger_drain(l) || !share_balance(l, account, &share))
		return false;
	*ret_share = share.v;
	return true;
}

/* p->share is then what this node has. LATER, SHORT: it is too little still. */
static uint32_t
get_more(struct ledger *l, uint64_t account, int64_t need_nano, int64_t lacking, struct parts *p)
{
	int64_t took = 0;
	if (!take(l, account, lacking, p, &took))
		return ROW_NOT_NOW;
	p->share += took;
	if (took != 0)
		return ROW_LOADED;
	return settle_first(l, account, &p->share) ? too_little(need_nano, lacking, p->free_nano + p->others) : ROW_NOT_NOW;
}

static bool
bring(struct ledger *l, uint64_t row, int64_t share, uint32_t *ret_slot)
{
	if (is_window(row))
		return board_load(l->o.board, row, (struct nano){share}, ret_slot);
	*ret_slot = ledger_load_account(l, row, share);
	return *ret_slot != UINT32_MAX;
}

uint32_t
share_load(struct ledger *l, uint64_t account, int64_t need_nano, uint32_t *ret_slot)
{
	int64_t there = 0;
	struct parts p;
	uint32_t result = ROW_LOADED;
	const struct share_refusal *refused;
	bool on_board = board_find(l->o.board, account, ret_slot);
	if (on_board)
		there = board_available(l->o.board, *ret_slot).v;
	/* As often as not it has come since, for somebody else who asked. */
	if (on_board && is_enough(there, need_nano))
		return ROW_LOADED;
	if (on_board && (refused = was_refused(l, account, need_nano - there)))
		return too_little(need_nano, need_nano - there, refused->within);
	if (!none_is_open(l)) /* it may be one of this row */
		return ROW_NOT_NOW;
	enum sql_step step = look_at(l, account, &p);
	if (step != SQL_ROW)
		return step == SQL_FAILED ? ROW_NOT_NOW : ROW_UNKNOWN;
	if (!count_others(l, clock_monotonic_ms()))
		return ROW_NOT_NOW;
	if (!on_board)
		there = p.share;
	if (!is_enough(there, need_nano))
		result = get_more(l, account, need_nano, need_nano - there, &p);
	/* A slot that was there has got it by the move. */
	if (result != ROW_NOT_NOW && !on_board && !bring(l, account, p.share, ret_slot))
		return ROW_NOT_NOW;
	/* What was settled meanwhile may be enough. */
	bool lacks = result == ROW_LATER || result == ROW_SHORT;
	return lacks && board_available(l->o.board, *ret_slot).v >= need_nano ? ROW_LOADED : result;
}

/* ---- what others want and have changed ---- */

bool
share_begin(struct ledger *l)
{
	l->excess = true; /* nobody here knows whether there is any */
	l->wanted_after = l->excess_after = INT64_MIN;
	return number(l, "SELECT coalesce(max(number), 0) FROM change WHERE ?1 >= 0", 0, &l->change_seen);
}

static bool
return_what_is_wanted(struct ledger *l)
{
	int64_t accounts[WANTS_AT_ONCE];
	size_t count = 0;
	struct query *st = store_sql(&l->store, SQL_share_wanted);
	sql_bind(st, l->store.node, (int64_t)WANTED_US, l->wanted_after);
	while (count < WANTS_AT_ONCE && sql_step(&l->store, st) == SQL_ROW)
		accounts[count++] = sql_int(st, 0);
	sql_reset(st);
	/* What nobody has any of is wanted for as long as somebody asks: the others have their turn at the next look. */
	l->wanted_after = count == WANTS_AT_ONCE ? accounts[count - 1] : INT64_MIN;
	bool ok = true;
	for (size_t i = 0; ok && i < count; i++)
		ok = share_return(l, (uint64_t)accounts[i]);
	return ok;
}

struct changed {
	int64_t number, what, subject;
};

static bool
apply(struct ledger *l, const struct changed *c)
{
	uint64_t subject = (uint64_t)c->subject;
	switch ((enum change_kind)c->what) {
	case CHANGE_KEY:
	case CHANGE_KEY_REVOKED:
		return share_limits_changed(l, subject) && ledger_publish_key(l, subject);
	case CHANGE_ACCOUNT:
	case CHANGE_BYOK:
		return share_limits_changed(l, subject) && limits_publish(l, subject, subject);
	case CHANGE_CREDIT: /* of whom, its booking knows */
		memset(l->refusals, 0, sizeof(l->refusals));
		break;
	case CHANGE_DEBIT:
	case CHANGE_PRICE:
		break;
	}
	return true;
}

static bool
hear_changes(struct ledger *l)
{
	struct changed changes[CHANGES_AT_ONCE];
	size_t count = 0;
	struct query *st = store_sql(&l->store, SQL_share_changes);
	sql_bind(st, l->change_seen);
	while (count < CHANGES_AT_ONCE && sql_step(&l->store, st) == SQL_ROW)
		changes[count++] = (struct changed){sql_int(st, 0), sql_int(st, 1), sql_int(st, 2)};
	sql_reset(st);
	for (size_t i = 0; i < count; i++) {
		l->store.code = 0;
		if (!apply(l, &changes[i])) {
			if (l->store.lost || l->store.code != 0)
				return false;
			/* No room for it: those after it are not to wait for ever. */
			ledger_event(l, EVENT_CHANGE_UNHEARD, (uint64_t)changes[i].number, (uint64_t)changes[i].subject);
		}
		l->change_seen = changes[i].number;
	}
	return true;
}

void
ledger_share_when_due(struct ledger *l, uint64_t now_monotonic_ms)
{
	if (!share_on(l) || l->back_off_ms != 0 || now_monotonic_ms < l->share_due_ms)
		return;
	l->share_due_ms = now_monotonic_ms + LOOK_MS;
	if (count_others(l, now_monotonic_ms) && !(hear_changes(l) && return_what_is_wanted(l) && share_return_excess(l) && node_hear(l)))
		ledger_event(l, EVENT_STORE_FAILED, (uint64_t)l->store.code, 0);
}
