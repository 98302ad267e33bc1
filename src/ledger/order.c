/*
 * Carrying out orders: docs/ticket-protocol.md section 6, docs/decisions/0021-orders-leave-an-intent.md
 */
#include "ledger/order_priv.h"
#include "ledger/share_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
	uint8_t houses[3], effect;
	const char *word;
} kinds[] = {
#define X(name, number, word, first, second, third, effect, meaning) \
	[number] = {{HOUSE_##first, HOUSE_##second, HOUSE_##third}, EFFECT_##effect, word},
	ORDER_KINDS(X)
#undef X
};

static const char *const house_names[] = {
#define X(NAME, number, name, meaning) [HOUSE_##NAME] = name,
	HOUSE_ACCOUNTS(X)
#undef X
};

const char *
order_word(int64_t kind)
{
	return kind >= 0 && kind < (int64_t)ARRAY_LEN(kinds) ? kinds[kind].word : "unknown";
}

/* ---- inside the transaction that books it ---- */

struct entry {
	uint64_t account;
	int64_t nano;
};

enum { ENTRIES = 4 };

/* The customer's, then the houses'; the first of these makes them sum to zero. */
static void
entries_of(const struct order *o, struct entry ret[ENTRIES])
{
	const uint8_t *houses = kinds[o->kind].houses;
	ret[0] = (struct entry){o->account.id, o->nano};
	ret[1] = (struct entry){houses[0], -(o->nano + o->second_nano + o->third_nano)};
	ret[2] = (struct entry){houses[1], o->second_nano};
	ret[3] = (struct entry){houses[2], o->third_nano};
	assert(o->nano == 0 || o->account.id != 0);
	assert((o->second_nano == 0 || houses[1] != HOUSE_NONE) && (o->third_nano == 0 || houses[2] != HOUSE_NONE));
}

static bool
post(struct ledger *l, const struct entry *e)
{
	struct query *st = store_sql(&l->store, SQL_posting_insert);
	sql_bind(st, l->next_booking, (int64_t)e->account, e->nano);
	return sql_done(&l->store, st);
}

static bool
insert_booking(struct ledger *l, const struct order *o, uint64_t intent)
{
	struct query *st = store_sql(&l->store, SQL_booking_insert_order);
	sql_bind(st, l->next_booking, o->nano < 0 ? BOOKING_DEBIT : BOOKING_CREDIT, (int64_t)clock_wall_us(), (int64_t)intent,
		o->kind, (int64_t)o->item);
	if (intent == 0)
		sql_bind_null(st, 4);
	sql_bind_text(st, 7, o->reason);
	sql_bind_text(st, 8, o->actor);
	return sql_done(&l->store, st);
}

/* One row must change; the statement decides, not a look before it. */
static enum ordered
one_row(struct ledger *l, enum sql name, uint64_t id, int64_t nano)
{
	struct query *st = store_sql(&l->store, name);
	sql_bind(st, (int64_t)id, nano);
	if (!sql_done(&l->store, st))
		return ORDER_FAILED;
	return sql_changes(&l->store) == 1 ? ORDER_BOOKED : ORDER_REFUSED;
}

/* house: how an account of the house's is changed, with a bound or without. */
static enum ordered
move_money(struct ledger *l, const struct entry entries[ENTRIES], enum sql house)
{
	enum ordered moved = ORDER_BOOKED;
	for (int i = 0; i < ENTRIES && moved == ORDER_BOOKED; i++) {
		const struct entry *e = &entries[i];
		if (e->nano == 0)
			continue;
		if (i > 0)
			moved = one_row(l, house, e->account, e->nano);
		else if (e->nano > 0)
			moved = one_row(l, SQL_account_credit, e->account, e->nano);
		else
			moved = one_row(l, SQL_account_pay, e->account, -e->nano);
		/* What is owed is the other side of the house's account for it. */
		if (moved == ORDER_BOOKED && e->account == HOUSE_OWED)
			moved = one_row(l, SQL_account_owe, entries[0].account, -e->nano);
		if (moved == ORDER_BOOKED && !post(l, e))
			moved = ORDER_FAILED;
	}
	return moved;
}

static enum ordered
book(struct ledger *l, const struct order *o, uint64_t intent, enum sql house)
{
	struct entry entries[ENTRIES];
	entries_of(o, entries);
	enum ordered booked = move_money(l, entries, house);
	if (booked == ORDER_BOOKED)
		booked = windows_change(l, o);
	if (booked == ORDER_BOOKED)
		booked = item_change(l, o, kinds[o->kind].effect);
	if (booked != ORDER_BOOKED)
		return booked;
	bool ok = insert_booking(l, o, intent) && operation_record(l, &o->op, (uint64_t)l->next_booking) &&
		change_record(l, o->nano < 0 ? CHANGE_DEBIT : CHANGE_CREDIT, (uint64_t)l->next_booking);
	if (!ok)
		return ORDER_FAILED;
	l->next_booking++;
	return ORDER_BOOKED;
}

enum ordered
order_book_houses(struct ledger *l, const struct order *o)
{
	assert(o->account.id == 0 && o->item == 0);
	return book(l, o, 0, SQL_house_add); /* what was used: nobody can refuse it, as little as a ticket */
}

static enum ordered
already_booked(struct ledger *l, uint64_t intent)
{
	int64_t booking = 0;
	struct query *st = store_sql(&l->store, SQL_booking_by_intent);
	sql_bind(st, (int64_t)intent);
	if (!sql_number(&l->store, st, &booking))
		return ORDER_FAILED;
	return booking != 0 ? ORDER_KNOWN : ORDER_REFUSED;
}

/* The texts live as long as the row is not left. */
static bool
order_of_intent(struct query *st, struct order *ret)
{
	int64_t kind = sql_int(st, 2);
	*ret = (struct order){.kind = (enum order_kind)kind};
	ret->account.id = (uint64_t)sql_int(st, 0);
	ret->nano = sql_int(st, 1);
	ret->item = (uint64_t)sql_int(st, 3);
	ret->second_nano = sql_int(st, 4);
	ret->third_nano = sql_int(st, 5);
	memcpy(ret->op.content, sql_blob(st, 6), CONTENT_BYTES);
	ret->op.ref = sql_str(st, 7);
	ret->reason = sql_str(st, 8);
	ret->actor = sql_str(st, 9);
	return kind >= 0 && kind < (int64_t)ARRAY_LEN(kinds);
}

enum ordered
order_book(struct ledger *l, uint64_t intent)
{
	struct order o;
	struct query *st = store_sql(&l->store, SQL_intent_by_id);
	sql_bind(st, (int64_t)intent);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step == SQL_END ? already_booked(l, intent) : ORDER_FAILED;
	enum ordered booked = order_of_intent(st, &o) ? book(l, &o, intent, SQL_house_order) : ORDER_REFUSED;
	sql_reset(st);
	if (booked != ORDER_BOOKED)
		return booked;
	st = store_sql(&l->store, SQL_intent_delete);
	sql_bind(st, (int64_t)intent);
	return sql_done(&l->store, st) ? ORDER_BOOKED : ORDER_FAILED;
}

/* ---- answers ---- */

bool
order_available(struct ledger *l, uint64_t account, int64_t *ret)
{
	uint32_t slot;
	/* Of several servers' store: what none of them has. */
	if (share_on(l) && !share_return(l, account))
		return false;
	if (!share_on(l) && l->o.board != NULL && board_find(l->o.board, account, &slot)) {
		*ret = board_available(l->o.board, slot).v;
		return true;
	}
	struct query *st = store_sql(&l->store, SQL_account_free);
	sql_bind(st, (int64_t)account);
	return sql_number(&l->store, st, ret);
}

static json_t *
short_of(struct ledger *l, const struct order *o)
{
	char wanted[NANO_TEXT_MAX], there[NANO_TEXT_MAX];
	struct nano available = {0};
	if (!order_available(l, o->account.id, &available.v))
		return control_store_failed(l);
	nano_text((struct nano){-o->nano}, wanted);
	nano_text(available, there);
	return control_error("insufficient_balance",
		"account \"%s\" has %s available, %s was asked for: take less, or come again when what runs is done%s",
		o->account.name, there, wanted, share_on(l) ? " and other servers have given back what they don't use (`available` is what this one can have)" : "");
}

bool
order_was_short(const json_t *error)
{
	return control_error_is(error, "insufficient_balance") || control_error_is(error, "free_credit");
}

static json_t *
refused(struct ledger *l, const struct order *o)
{
	if (o->nano < 0 && item_allows(l, o, kinds[o->kind].effect))
		return short_of(l, o);
	return control_error("refused",
		"that can't be booked: what the order is about was resolved meanwhile, or the account would have more than four billion dollars – look at it, then ask again");
}

static bool
booking_facts(struct ledger *l, const struct order *o, int64_t *ret_nano, int64_t *ret_item)
{
	struct query *st = store_sql(&l->store, SQL_posting_of);
	sql_bind(st, (int64_t)o->op.subject, (int64_t)o->account.id);
	if (!sql_number(&l->store, st, ret_nano))
		return false;
	st = store_sql(&l->store, SQL_item_of_booking);
	sql_bind(st, (int64_t)o->op.subject);
	return sql_number(&l->store, st, ret_item);
}

json_t *
order_done(struct ledger *l, const struct order *o)
{
	int64_t nano = 0, id = 0, balance = 0;
	struct query *st = store_sql(&l->store, SQL_account_balance);
	sql_bind(st, (int64_t)o->account.id);
	if (!booking_facts(l, o, &nano, &id) || !sql_number(&l->store, st, &balance))
		return control_store_failed(l);
	struct item i;
	if (id != 0 && item_find(l, (uint64_t)id, &i) != SQL_ROW)
		return control_store_failed(l);
	json_t *answer = control_ok();
	if (o->account.id != 0)
		control_put_id(answer, "account", ID_ACCOUNT, o->account.id);
	control_put_id(answer, "booking", ID_BOOKING, o->op.subject);
	if (o->account.id != 0) {
		control_put_nano(answer, "amount", nano);
		control_put_nano(answer, "balance", balance);
	}
	if (id != 0)
		item_put(l, answer, &i);
	return answer;
}

/* What goes elsewhere, or back to who paid, is none of what grants gave: that would leave an account that owes it when the grant ends. */
static bool
takes_own(const struct order *o)
{
	return o->nano < 0 && (o->kind == ORDER_TRANSFER || o->kind == ORDER_REFUND || o->kind == ORDER_DISPUTE || o->kind == ORDER_DISPUTE_LOST);
}

/* ---- not on the board: the transaction is all ---- */

static bool
write_fresh(struct ledger *l, struct order *o)
{
	return o->fresh == NULL || item_write(l, o->fresh);
}

/* What it pays of a debt depends on what is owed when it is booked, not when it was asked for. */
static bool
reckon(struct ledger *l, struct order *o)
{
	return o->kind != ORDER_TOP_UP || top_up_reckon(l, o);
}

static json_t *
book_at_once(struct ledger *l, struct order *o)
{
	if (!ledger_begin(l))
		return control_store_failed(l);
	int64_t booking = l->next_booking;
	/* Again: another server may have booked what changes what is owed. */
	enum ordered booked = reckon(l, o) && write_fresh(l, o) ? book(l, o, ledger_next_id(l), SQL_house_order) : ORDER_FAILED;
	int64_t own = 0;
	if (booked == ORDER_BOOKED && takes_own(o))
		booked = grants_stay(l, o->account.id, &own);
	if (!store_end(&l->store, booked == ORDER_BOOKED)) {
		l->next_booking = booking;
		if (booked != ORDER_REFUSED)
			return control_store_failed(l);
		return own < 0 ? grants_error(&o->account, own - o->nano) : refused(l, o);
	}
	if (l->o.board != NULL && o->nano != 0 && !share_on(l))
		ledger_load_account(l, o->account.id, o->account.balance_nano + o->nano);
	if (o->nano > 0 && share_on(l))
		share_credited(l, o->account.id);
	o->op.subject = (uint64_t)booking;
	return NULL;
}

/* ---- on the board: a ticket of the ledger's own ---- */

static bool
insert_intent(struct ledger *l, struct order *o, uint64_t id)
{
	struct query *st = store_sql(&l->store, SQL_intent_insert);
	sql_bind(st, (int64_t)id, (int64_t)o->account.id, o->nano, o->kind, (int64_t)o->item, o->second_nano, o->third_nano);
	sql_bind_blob(st, 8, o->op.content, CONTENT_BYTES);
	sql_bind_text(st, 9, o->op.ref);
	sql_bind_text(st, 10, o->reason);
	sql_bind_text(st, 11, o->actor);
	return sql_done(&l->store, st);
}

static bool
write_intent(struct ledger *l, struct order *o, uint64_t id)
{
	return store_begin(&l->store) && store_end(&l->store, write_fresh(l, o) && insert_intent(l, o, id));
}

static bool
delete_intent(struct ledger *l, uint64_t id)
{
	struct query *item = store_sql(&l->store, SQL_item_drop), *st = store_sql(&l->store, SQL_intent_delete);
	sql_bind(item, (int64_t)id);
	sql_bind(st, (int64_t)id);
	return sql_done(&l->store, item) && sql_done(&l->store, st);
}

static bool
drop_intent(struct ledger *l, uint64_t id)
{
	return store_begin(&l->store) && store_end(&l->store, delete_intent(l, id));
}

static enum moved
begin_ticket(struct ledger *l, const struct order *o, uint64_t id)
{
	uint32_t index;
	struct board_rows rows;
	struct nano amount = {o->nano > 0 ? o->nano : -o->nano};
	if (!windows_rows(l, o, &rows))
		return GONE;
	if (rows.count == 0)
		rows = (struct board_rows){.row = {o->account.id}, .count = 1};
	if (o->nano < 0)
		return board_debit_rows(l->o.board, id, &rows, amount, &index);
	return board_credit_rows(l->o.board, id, &rows, amount, &index) ? MOVED : GONE;
}

static json_t *
take_back(struct ledger *l, const struct order *o, uint64_t id, enum moved why)
{
	if (!drop_intent(l, id))
		return control_store_failed(l);
	return why == SHORT ? short_of(l, o)
						: control_error("busy", "too many orders are on their way: ask again in a moment");
}

static json_t *
outcome(struct ledger *l, struct order *o)
{
	switch (operation_look_up(l, &o->op)) {
	case OPERATION_DONE:
		return NULL;
	case OPERATION_OTHER:
		return operation_conflict(&o->op);
	case OPERATION_NEW:
	case OPERATION_PENDING:
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

/* The ticket would be refused when it is booked, and stay on the board for ever. */
static bool
too_much(const struct order *o)
{
	return o->nano > 0 && o->account.balance_nano > ORDER_NANO_MAX - o->nano;
}

/*
 * INV-13, of the house's sides: each customer has four billion dollars at most, all of them together may have come to more than a balance can say. The
 * statement decides (house_order); by then one whose ticket is on the board would stay there for ever. HOUSE_NONE: none is beyond it. False: the store failed.
 */
static bool
house_beyond(struct ledger *l, const struct order *o, uint64_t *ret_house)
{
	struct entry entries[ENTRIES];
	int64_t house[HOUSE_COUNT], customers, after;
	if (!observe_balances(l, house, &customers))
		return false;
	entries_of(o, entries);
	*ret_house = HOUSE_NONE;
	for (int i = 1; i < ENTRIES; i++) {
		const struct entry *e = &entries[i];
		bool over = __builtin_add_overflow(house[e->account], e->nano, &after);
		if (over || (e->nano > 0 && after > ORDER_NANO_MAX) || (e->nano < 0 && after < -ORDER_NANO_MAX)) /* back from there it may always come */
			*ret_house = e->account;
	}
	return true;
}

/* An error, the caller's, when an account would have more than it may. */
static json_t *
beyond_bounds(struct ledger *l, const struct order *o)
{
	uint64_t house;
	if (!house_beyond(l, o, &house))
		return control_store_failed(l);
	if (too_much(o))
		return refused(l, o);
	return house == HOUSE_NONE ? NULL : control_error("refused", "that can't be booked: the operator's account \"%s\" would be beyond four billion dollars", house_names[house]);
}

static json_t *
book_by_ticket(struct ledger *l, struct order *o)
{
	uint64_t id = ledger_next_id(l);
	if (o->op.ref[0] == '\0') {
		id_text("order_", id, o->own_ref);
		o->op.ref = o->own_ref;
	}
	/* What was booked before may have changed what this order is about. */
	if (!item_allows(l, o, kinds[o->kind].effect))
		return refused(l, o);
	json_t *error = takes_own(o) ? grants_refuse(l, &o->account, -o->nano) : NULL;
	if (error != NULL)
		return error;
	if (!write_intent(l, o, id))
		return control_store_failed(l);
	enum moved moved = begin_ticket(l, o, id);
	if (moved != MOVED)
		return take_back(l, o, id, moved);
	if (!ledger_drain(l))
		return control_store_failed(l);
	return outcome(l, o);
}

/* Not asked of one that was carried out before: it is answered again. */
static bool
is_late(const struct order *o)
{
	return o->fresh != NULL && o->fresh->expires_ms != 0 && o->fresh->expires_ms <= (int64_t)(clock_wall_us() / 1000);
}

/* Reckoned by what there is: of nothing there is no booking. */
static bool
takes_nothing(const struct order *o)
{
	return o->nano == 0 && (o->kind == ORDER_GRANT_REVOKE || o->kind == ORDER_GRANT_REVOKE_PART);
}

/* As it is now: it was read before the board was drained. */
static bool
read_balance(struct ledger *l, struct order *o)
{
	struct query *st = store_sql(&l->store, SQL_account_balance);
	if (o->account.id == 0)
		return true;
	sql_bind(st, (int64_t)o->account.id);
	return sql_number(&l->store, st, &o->account.balance_nano);
}

/*
 * What is settled already makes room for a debit, and frees the ledger's own tickets. And an order whose outcome was in doubt is on the board still: once it is
 * booked more may be owed, or an account be nearer to its bound.
 */
static bool
book_before(struct ledger *l)
{
	return l->o.board == NULL || share_on(l) || ledger_drain(l);
}

static json_t *
carry_out(struct ledger *l, struct order *o)
{
	uint32_t slot;
	struct board_rows rows = {.count = 0};
	if (is_late(o))
		return control_error("bad_request", "\"expires\" is in the past: take a date to come");
	if (!book_before(l) || !read_balance(l, o) || !reckon(l, o))
		return control_store_failed(l);
	if (takes_nothing(o))
		return refused(l, o);
	json_t *error = beyond_bounds(l, o);
	if (error != NULL)
		return error;
	if (share_on(l)) {
		/* What lies idle here is there to be paid from; others have it back soon. */
		if (o->nano < 0 && ((l->o.board != NULL && !ledger_drain(l)) || !share_make_free(l, o->account.id, -o->nano) || !windows_make_free(l, o)))
			return control_store_failed(l);
		return book_at_once(l, o);
	}
	if (!windows_rows(l, o, &rows))
		return control_error("busy", "there is no room on the board for what this is counted in: ask again in a moment");
	if (o->nano != 0 && l->o.board != NULL && (rows.count != 0 || board_find(l->o.board, o->account.id, &slot)))
		return book_by_ticket(l, o);
	return book_at_once(l, o);
}

/* With every ticket of the ledger's own booked, an intent that is still there never got one. */
static json_t *
resume(struct ledger *l, struct order *o)
{
	if (!ledger_drain(l))
		return control_store_failed(l);
	if (operation_look_up(l, &o->op) != OPERATION_PENDING)
		return outcome(l, o);
	return drop_intent(l, o->op.subject) ? carry_out(l, o) : control_store_failed(l);
}

json_t *
order_do(struct ledger *l, struct order *o)
{
	switch (operation_look_up(l, &o->op)) {
	case OPERATION_NEW:
		return carry_out(l, o);
	case OPERATION_DONE:
		return NULL;
	case OPERATION_PENDING:
		return resume(l, o);
	case OPERATION_OTHER:
		return operation_conflict(&o->op);
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

json_t *
order_answer(struct ledger *l, struct order *o)
{
	json_t *error = order_do(l, o);
	return error != NULL ? error : order_done(l, o);
}
