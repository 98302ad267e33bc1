/* Money that comes, goes, or goes to another account: adjustments, payments, refunds, transfers. */
#include "ledger/order_priv.h"

#include <stdio.h>

json_t *
control_credit_add(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *reason;
	char amount[NANO_TEXT_MAX];
	struct order o = {.kind = ORDER_ADJUSTMENT};
	if (!order_read(l, request, &o, &error) || !order_amount(request, "amount", true, &o.nano, &error) ||
		!control_text(request, &(struct text_rule){"reason", 256, true}, &reason, &error))
		return error;
	nano_text((struct nano){o.nano}, amount);
	order_content(&o, "credit.add", (const char *const[]){o.account.name, amount, o.reason}, 3);
	return order_answer(l, &o);
}

bool
top_up_reckon(struct ledger *l, struct order *o)
{
	int64_t owed = 0, gross = o->nano + o->second_nano;
	struct query *st = store_sql(&l->store, SQL_account_owed);
	sql_bind(st, (int64_t)o->account.id);
	if (!sql_number(&l->store, st, &owed))
		return false;
	o->second_nano = owed < gross ? owed : gross;
	o->nano = gross - o->second_nano;
	return true;
}

json_t *
control_credit_top_up(struct ledger *l, const json_t *request)
{
	json_t *error;
	char amount[NANO_TEXT_MAX];
	struct order o = {.kind = ORDER_TOP_UP};
	if (!order_read(l, request, &o, &error) || !order_amount(request, "amount", false, &o.nano, &error))
		return error;
	struct item i = {.kind = ITEM_PAYMENT, .account = o.account.id, .amount_nano = o.nano, .open_nano = o.nano};
	nano_text((struct nano){o.nano}, amount);
	order_content(&o, "credit.top_up", (const char *const[]){o.account.name, amount, o.reason}, 3);
	order_open_item(l, &o, &i);
	return order_answer(l, &o);
}

static json_t *
too_much(const char *code, const char *of, int64_t nano)
{
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){nano}, text);
	return control_error(code, "%s of that is %s: take that or less", of, text);
}

json_t *
control_credit_refund(struct ledger *l, const json_t *request)
{
	json_t *error;
	bool is_new;
	int64_t nano;
	struct item i;
	char amount[NANO_TEXT_MAX], id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_REFUND};
	if (!item_read(l, request, "payment", ITEM_PAYMENT, &i, &error) ||
		!order_amount(request, "amount", false, &nano, &error) || !order_read_texts(request, &o, &error))
		return error;
	if (!order_load_account(l, i.account, &o.account))
		return control_store_failed(l);
	o.nano = -nano;
	o.item = i.id;
	nano_text((struct nano){nano}, amount);
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "credit.refund", (const char *const[]){id, amount, o.reason}, 3);
	if (!order_is_new(l, &o, &is_new, &error))
		return error;
	if (is_new && nano > i.open_nano)
		return too_much("above_payment", "what can still be refunded", i.open_nano);
	return order_answer(l, &o);
}

/* ---- from one account to another: it leaves in one booking and arrives in the next, and is `transit` meanwhile ---- */

bool
transfer_arrive(struct ledger *l, const struct item *i)
{
	struct item to = *i;
	struct order o = {.kind = ORDER_TRANSFER_ARRIVAL, .nano = i->open_nano};
	to.account = i->peer;
	if (!order_of_item(l, &o, "arrival", &to))
		return false;
	json_t *error = order_do(l, &o);
	json_decref(error);
	return error == NULL;
}

static bool
is_on_its_way(struct ledger *l, const struct order *o, struct item *ret)
{
	int64_t id = 0;
	struct query *st = store_sql(&l->store, SQL_item_of_booking);
	sql_bind(st, (int64_t)o->op.subject);
	return sql_number(&l->store, st, &id) && item_find(l, (uint64_t)id, ret) == SQL_ROW && ret->state == ITEM_OPEN;
}

static json_t *
transfer(struct ledger *l, struct order *o, struct item *i)
{
	order_open_item(l, o, i);
	json_t *error = order_do(l, o);
	if (error != NULL)
		return error;
	struct item way;
	/* When it can't arrive now, the ledger's chores see to it, or the same order given again. */
	if (is_on_its_way(l, o, &way) && !transfer_arrive(l, &way))
		ledger_chores_soon(l);
	return order_done(l, o);
}

json_t *
control_credit_transfer(struct ledger *l, const json_t *request)
{
	json_t *error;
	int64_t nano;
	struct account_row to;
	char amount[NANO_TEXT_MAX];
	struct order o = {.kind = ORDER_TRANSFER};
	if (!order_read(l, request, &o, &error) || !order_read_customer(l, request, "to", &to, &error) ||
		!order_amount(request, "amount", false, &nano, &error))
		return error;
	if (to.id == o.account.id)
		return control_error("bad_request", "\"to\" is the same account: name another one");
	if (to.balance_nano > ORDER_NANO_MAX - nano)
		return control_error("refused", "account \"%s\" would have more than four billion dollars", to.name);
	struct item i = {
		.kind = ITEM_TRANSFER, .account = o.account.id, .peer = to.id, .amount_nano = nano, .open_nano = nano};
	o.nano = -nano;
	nano_text((struct nano){nano}, amount);
	order_content(&o, "credit.transfer", (const char *const[]){o.account.name, to.name, amount, o.reason}, 4);
	return transfer(l, &o, &i);
}
