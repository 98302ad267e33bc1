/*
 * Credit and debit by order: docs/ticket-protocol.md section 6,
 * docs/decisions/0021-orders-leave-an-intent.md
 */
#include "ledger/ledger_priv.h"

#include <stdio.h>
#include <string.h>

struct order {
	struct operation op;
	struct account_row account;
	int64_t nano; /* > 0: credit */
	const char *reason;
	char own_ref[40]; /* when the giver chose no id: the intent's */
};

/* ---- inside the transaction that books it ---- */

static bool
post(struct ledger *l, uint64_t account, int64_t nano)
{
	sqlite3_stmt *st = store_sql(&l->store, SQL_posting_insert);
	sql_bind(st, l->next_booking, (int64_t)account, nano);
	return sql_done(&l->store, st);
}

static bool
insert_booking(struct ledger *l, int64_t nano, uint64_t intent, const char *reason)
{
	sqlite3_stmt *st = store_sql(&l->store, SQL_booking_insert_order);
	sql_bind(
		st, l->next_booking, nano > 0 ? BOOKING_CREDIT : BOOKING_DEBIT, (int64_t)clock_wall_us(), (int64_t)intent);
	sql_bind_text(st, 5, reason);
	return sql_done(&l->store, st);
}

/* INV-2: the statement decides, not a look before it. */
static enum ordered
move_money(struct ledger *l, uint64_t account, int64_t nano)
{
	sqlite3_stmt *st = store_sql(&l->store, nano > 0 ? SQL_account_credit : SQL_account_pay);
	sql_bind(st, (int64_t)account, nano > 0 ? nano : -nano);
	if (!sql_done(&l->store, st))
		return ORDER_FAILED;
	if (sql_changes(&l->store) != 1)
		return ORDER_REFUSED;
	st = store_sql(&l->store, SQL_house_add);
	sql_bind(st, HOUSE_ADJUSTMENT, -nano);
	return sql_done(&l->store, st) && sql_changes(&l->store) == 1 ? ORDER_BOOKED : ORDER_FAILED;
}

static enum ordered
book(struct ledger *l, const struct order *o, uint64_t intent)
{
	enum ordered moved = move_money(l, o->account.id, o->nano);
	if (moved != ORDER_BOOKED)
		return moved;
	bool ok = insert_booking(l, o->nano, intent, o->reason) && post(l, o->account.id, o->nano) &&
		post(l, HOUSE_ADJUSTMENT, -o->nano) && operation_record(l, &o->op, (uint64_t)l->next_booking) &&
		change_record(l, o->nano > 0 ? CHANGE_CREDIT : CHANGE_DEBIT, (uint64_t)l->next_booking);
	if (!ok)
		return ORDER_FAILED;
	l->next_booking++;
	return ORDER_BOOKED;
}

static enum ordered
already_booked(struct ledger *l, uint64_t intent)
{
	int64_t booking = 0;
	sqlite3_stmt *st = store_sql(&l->store, SQL_booking_by_intent);
	sql_bind(st, (int64_t)intent);
	if (!sql_number(&l->store, st, &booking))
		return ORDER_FAILED;
	return booking != 0 ? ORDER_KNOWN : ORDER_REFUSED;
}

enum ordered
order_book(struct ledger *l, uint64_t intent)
{
	struct order o = {0};
	sqlite3_stmt *st = store_sql(&l->store, SQL_intent_by_id);
	sql_bind(st, (int64_t)intent);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step == SQL_END ? already_booked(l, intent) : ORDER_FAILED;
	o.account.id = (uint64_t)sqlite3_column_int64(st, 0);
	o.nano = sqlite3_column_int64(st, 1);
	memcpy(o.op.content, sqlite3_column_blob(st, 2), CONTENT_BYTES);
	/* The texts live as long as the row is not left. */
	o.op.ref = (const char *)sqlite3_column_text(st, 3);
	o.reason = (const char *)sqlite3_column_text(st, 4);
	enum ordered booked = book(l, &o, intent);
	sqlite3_reset(st);
	if (booked != ORDER_BOOKED)
		return booked;
	st = store_sql(&l->store, SQL_intent_delete);
	sql_bind(st, (int64_t)intent);
	return sql_done(&l->store, st) ? ORDER_BOOKED : ORDER_FAILED;
}

/* ---- answers ---- */

static json_t *
short_of(struct ledger *l, const struct order *o)
{
	char wanted[NANO_TEXT_MAX], there[NANO_TEXT_MAX];
	struct nano available = {0};
	uint32_t slot;
	sqlite3_stmt *st = store_sql(&l->store, SQL_account_balance);
	sql_bind(st, (int64_t)o->account.id);
	if (l->o.board != NULL && board_find(l->o.board, o->account.id, &slot))
		available = board_available(l->o.board, slot);
	else if (!sql_number(&l->store, st, &available.v))
		return control_store_failed(l);
	nano_text((struct nano){-o->nano}, wanted);
	nano_text(available, there);
	return control_error("insufficient_balance",
		"account \"%s\" has %s available, %s was asked for: running requests hold the rest; debit "
		"less, or when they are done",
		o->account.name, there, wanted);
}

static json_t *
done(struct ledger *l, const struct order *o, uint64_t booking)
{
	int64_t balance = 0;
	sqlite3_stmt *st = store_sql(&l->store, SQL_account_balance);
	sql_bind(st, (int64_t)o->account.id);
	if (!sql_number(&l->store, st, &balance))
		return control_store_failed(l);
	json_t *answer = control_ok();
	control_put_id(answer, "account", ID_ACCOUNT, o->account.id);
	control_put_id(answer, "booking", ID_BOOKING, booking);
	control_put_nano(answer, "amount", o->nano);
	control_put_nano(answer, "balance", balance);
	return answer;
}

/* ---- not on the board: the transaction is all ---- */

static json_t *
book_at_once(struct ledger *l, const struct order *o)
{
	int64_t booking = l->next_booking;
	if (!store_begin(&l->store))
		return control_store_failed(l);
	enum ordered booked = book(l, o, ledger_next_id(l));
	if (!store_end(&l->store, booked == ORDER_BOOKED)) {
		l->next_booking = booking;
		return booked == ORDER_REFUSED ? short_of(l, o) : control_store_failed(l);
	}
	if (l->o.board != NULL)
		ledger_load_account(l, o->account.id, o->account.balance_nano + o->nano);
	return done(l, o, (uint64_t)booking);
}

/* ---- on the board: a ticket of the ledger's own ---- */

static bool
write_intent(struct ledger *l, struct order *o, uint64_t id)
{
	sqlite3_stmt *st = store_sql(&l->store, SQL_intent_insert);
	sql_bind(st, (int64_t)id, (int64_t)o->account.id, o->nano);
	sql_bind_blob(st, 4, o->op.content, CONTENT_BYTES);
	sql_bind_text(st, 5, o->op.ref);
	sql_bind_text(st, 6, o->reason);
	return sql_done(&l->store, st);
}

static enum moved
begin_ticket(struct ledger *l, const struct order *o, uint64_t id)
{
	uint32_t index;
	struct nano amount = {o->nano > 0 ? o->nano : -o->nano};
	if (o->nano < 0)
		return board_debit_begin(l->o.board, id, o->account.id, amount, &index);
	return board_credit_begin(l->o.board, id, o->account.id, amount, &index) ? MOVED : GONE;
}

static json_t *
take_back(struct ledger *l, const struct order *o, uint64_t id, enum moved why)
{
	sqlite3_stmt *st = store_sql(&l->store, SQL_intent_delete);
	sql_bind(st, (int64_t)id);
	if (!sql_done(&l->store, st))
		return control_store_failed(l);
	return why == SHORT ? short_of(l, o)
						: control_error("busy", "too many orders are on their way: ask again in a moment");
}

static json_t *
outcome(struct ledger *l, struct order *o)
{
	switch (operation_look_up(l, &o->op)) {
	case OPERATION_DONE:
		return done(l, o, o->op.subject);
	case OPERATION_OTHER:
		return operation_conflict(&o->op);
	case OPERATION_NEW:
	case OPERATION_PENDING:
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

static json_t *
book_by_ticket(struct ledger *l, struct order *o)
{
	uint64_t id = ledger_next_id(l);
	if (o->op.ref[0] == '\0') {
		id_text("order_", id, o->own_ref);
		o->op.ref = o->own_ref;
	}
	/* What is settled already makes room for a debit, and frees the ledger's own tickets. */
	if (!ledger_drain(l) || !write_intent(l, o, id))
		return control_store_failed(l);
	enum moved moved = begin_ticket(l, o, id);
	if (moved != MOVED)
		return take_back(l, o, id, moved);
	if (!ledger_drain(l))
		return control_store_failed(l);
	return outcome(l, o);
}

static json_t *carry_out(struct ledger *l, struct order *o);

/* With every ticket of the ledger's own booked, an intent that is still there never got one. */
static json_t *
resume(struct ledger *l, struct order *o)
{
	if (!ledger_drain(l))
		return control_store_failed(l);
	if (operation_look_up(l, &o->op) != OPERATION_PENDING)
		return outcome(l, o);
	sqlite3_stmt *st = store_sql(&l->store, SQL_intent_delete);
	sql_bind(st, (int64_t)o->op.subject);
	return sql_done(&l->store, st) ? carry_out(l, o) : control_store_failed(l);
}

static json_t *
carry_out(struct ledger *l, struct order *o)
{
	uint32_t slot;
	if (l->o.board != NULL && board_find(l->o.board, o->account.id, &slot))
		return book_by_ticket(l, o);
	return book_at_once(l, o);
}

/* ---- the request ---- */

static bool
amount_of(const json_t *request, struct order *o, json_t **ret_error)
{
	const char *text;
	struct nano amount;
	if (!control_text(request, &(struct text_rule){"amount", 64, true}, &text, ret_error))
		return false;
	/* A thousandth of the range: balances can't overflow before somebody notices. */
	const int64_t most = INT64_MAX / 1000;
	if (!nano_parse((struct span){text, strlen(text)}, &amount) || amount.v == 0 || amount.v > most ||
		amount.v < -most) {
		*ret_error = control_error("bad_request",
			"\"amount\" must be dollars as a decimal string, "
			"not 0, like \"5.00\" or \"-1.25\" (at most nine digits after the point)");
		return false;
	}
	o->nano = amount.v;
	return true;
}

static bool
read_order(struct ledger *l, const json_t *request, struct order *o, json_t **ret_error)
{
	char amount[NANO_TEXT_MAX];
	if (!control_account(l, request, &o->account, ret_error) || !amount_of(request, o, ret_error) ||
		!control_text(request, &(struct text_rule){"reason", 256, true}, &o->reason, ret_error) ||
		!control_text(request, &(struct text_rule){"id", 128, false}, &o->op.ref, ret_error))
		return false;
	if (o->account.kind != 0) {
		*ret_error = control_error("not_a_customer",
			"\"%s\" is one of the operator's own accounts: credit goes to customers", o->account.name);
		return false;
	}
	nano_text((struct nano){o->nano}, amount);
	operation_content(&o->op, "credit.add", (const char *const[]){o->account.name, amount, o->reason}, 3);
	return true;
}

json_t *
control_credit_add(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct order o = {0};
	if (!read_order(l, request, &o, &error))
		return error;
	switch (operation_look_up(l, &o.op)) {
	case OPERATION_NEW:
		return carry_out(l, &o);
	case OPERATION_DONE:
		return done(l, &o, o.op.subject);
	case OPERATION_PENDING:
		return resume(l, &o);
	case OPERATION_OTHER:
		return operation_conflict(&o.op);
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}
