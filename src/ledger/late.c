/* What `lethe node forget` had settled by its last progress, and is known better once that node is there again: docs/decisions/0074-outbox.md */
#include "ledger/away.h"
#include "ledger/order_priv.h"
#include "ledger/ticket_same.h"
#include "ticket/billing.h"

/* What the house bears of it beyond what it bears by the row that is there: the charge stays. */
static int64_t
rest_of(struct ledger *l, const struct ticket_copy *there, const struct ticket_copy *again)
{
	struct ticket_copy known = *again;
	known.cost = there->cost;
	if (billing_of(again->facts.end_reason) != BILLING_NONE)
		known.facts.end_reason = there->facts.end_reason;
	return appraise(&l->prices, &known).difference_nano - appraise(&l->prices, there).difference_nano;
}

/* With it goes what `progress` has: each of the two is the last word. */
static bool
write_rest(struct ledger *l, const struct order *o, uint64_t id)
{
	struct query *st = store_sql(&l->store, SQL_progress_delete);
	sql_bind(st, (int64_t)id);
	return sql_done(&l->store, st) && (o == NULL || order_book_houses(l, o) == ORDER_BOOKED);
}

static bool
book_rest(struct ledger *l, const struct order *o, uint64_t id)
{
	if (!ledger_begin(l))
		return false;
	int64_t booking = l->next_booking;
	if (store_end(&l->store, write_rest(l, o, id)))
		return true;
	l->next_booking = booking;
	return false;
}

/* Once, however often it comes. */
static bool
settle_rest(struct ledger *l, uint64_t id, int64_t rest)
{
	struct order o = {.kind = ORDER_LATE_USE, .second_nano = -rest, .reason = "", .actor = ""};
	char text[ID_TEXT_MAX];
	id_text(ID_REQUEST, id, text);
	order_own_ref(&o, "request", text, "late");
	order_content(&o, "late", NULL, 0);
	enum operation_state state = operation_look_up(l, &o.op);
	bool due = rest > 0 && state == OPERATION_NEW;
	if (state == OPERATION_FAILED || !book_rest(l, due ? &o : NULL, id))
		return false;
	if (due)
		ledger_event(l, EVENT_LOSS, HOUSE_LOSS_NODE, (uint64_t)rest);
	return true;
}

static enum sql_step
find(struct ledger *l, uint64_t id, struct ticket_copy *ret)
{
	struct query *st = store_sql(&l->store, SQL_ticket_by_id);
	sql_bind(st, (int64_t)id);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW)
		ticket_of_row(st, ret);
	sql_reset(st);
	return step;
}

static bool
settle_one(struct ledger *l, const struct ticket_copy *t, uint8_t *fate)
{
	struct ticket_copy there;
	enum sql_step step = find(l, t->id, &there);
	if (step != SQL_ROW || !ticket_was_forgotten(&there, t))
		return step != SQL_FAILED;
	*fate = FATE_KNOWN;
	return settle_rest(l, t->id, rest_of(l, &there, t));
}

bool
late_settle(struct ledger *l, struct batch *b)
{
	bool ok = true;
	for (size_t i = 0; ok && i < b->count; i++)
		if (b->fates[i] == FATE_REFUSED || b->fates[i] == FATE_KNOWN)
			ok = settle_one(l, &b->tickets[i], &b->fates[i]);
	return ok;
}
