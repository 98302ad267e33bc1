/*
 * Disputed payments. While one is open, what the account has of the amount is set aside; lost, it goes back to the bank, and what is missing is
 * owed: the next top-up pays it first. Won, it comes back.
 */
#include "ledger/order_priv.h"

#include <stdio.h>

/* Free credit is not what was paid. An order that the board still has holds what will be gone, or is to come, once it is booked. */
static bool
what_there_is(struct ledger *l, uint64_t account, int64_t *ret)
{
	int64_t own;
	if ((l->o.board != NULL && !ledger_drain(l)) || !order_available(l, account, ret) || !grants_own(l, account, &own))
		return false;
	*ret = smaller(*ret, own > 0 ? own : 0);
	return true;
}

static json_t *
open_dispute(struct ledger *l, struct order *o, struct item *i)
{
	json_t *error = NULL;
	for (int try = 0; try < ORDER_TRIES; try++) {
		int64_t available = 0;
		json_decref(error);
		if (!what_there_is(l, o->account.id, &available))
			return control_store_failed(l);
		i->open_nano = try + 1 == ORDER_TRIES ? 0 : smaller(i->amount_nano, available);
		o->nano = -i->open_nano;
		order_open_item(l, o, i);
		error = order_do(l, o);
		if (!order_was_short(error))
			break;
	}
	return error != NULL ? error : order_done(l, o);
}

json_t *
control_dispute_open(struct ledger *l, const json_t *request)
{
	json_t *error;
	bool is_new;
	struct item payment, i = {.kind = ITEM_DISPUTE};
	char amount[NANO_TEXT_MAX], id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_DISPUTE};
	if (!item_read(l, request, "payment", ITEM_PAYMENT, &payment, &error) ||
		!order_amount(request, "amount", false, &i.amount_nano, &error) || !order_read_texts(request, &o, &error))
		return error;
	if (!order_load_account(l, payment.account, &o.account))
		return control_store_failed(l);
	i.account = payment.account;
	i.peer = payment.id;
	nano_text((struct nano){i.amount_nano}, amount);
	id_text(item_prefix(payment.kind), payment.id, id);
	order_content(&o, "dispute.open", (const char *const[]){id, amount, o.reason}, 3);
	if (!order_is_new(l, &o, &is_new, &error))
		return error;
	if (is_new && i.amount_nano > payment.open_nano) {
		nano_text((struct nano){payment.open_nano}, amount);
		return control_error("above_payment", "what is neither refunded nor disputed of that payment is %s: take that or less", amount);
	}
	return open_dispute(l, &o, &i);
}

static json_t *
read_dispute(struct ledger *l, const json_t *request, const char *op, struct order *o, struct item *i)
{
	json_t *error;
	bool is_new;
	char id[ID_TEXT_MAX];
	if (!item_read(l, request, "dispute", ITEM_DISPUTE, i, &error) || !order_read_texts(request, o, &error))
		return error;
	if (!order_load_account(l, i->account, &o->account))
		return control_store_failed(l);
	o->item = i->id;
	id_text(item_prefix(i->kind), i->id, id);
	order_content(o, op, (const char *const[]){id, o->reason}, 2);
	if (!order_is_new(l, o, &is_new, &error))
		return error;
	return is_new ? item_must_be_open(i) : NULL;
}

json_t *
control_dispute_lost(struct ledger *l, const json_t *request)
{
	struct item i;
	struct order o = {.kind = ORDER_DISPUTE_LOST};
	json_t *error = read_dispute(l, request, "dispute.lost", &o, &i);
	for (int try = 0; error == NULL && try < ORDER_TRIES; try++) {
		int64_t available = 0, missing = i.amount_nano - i.open_nano;
		if (!what_there_is(l, o.account.id, &available))
			return control_store_failed(l);
		o.nano = try + 1 == ORDER_TRIES ? 0 : -smaller(missing, available);
		o.second_nano = i.amount_nano;
		o.third_nano = -(missing + o.nano);
		error = order_do(l, &o);
		if (error == NULL)
			return order_done(l, &o);
		if (order_was_short(error) && try + 1 < ORDER_TRIES) {
			json_decref(error);
			error = NULL;
		}
	}
	return error;
}

json_t *
control_dispute_won(struct ledger *l, const json_t *request)
{
	struct item i;
	struct order o = {.kind = ORDER_DISPUTE_WON};
	json_t *error = read_dispute(l, request, "dispute.won", &o, &i);
	if (error != NULL)
		return error;
	o.nano = i.open_nano;
	return order_answer(l, &o);
}
