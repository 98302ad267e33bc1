/*
 * Standing holds: money set aside for work that outlives its connection (a batch, a background answer), or by hand. It leaves the balance when
 * it is set aside, and what is not charged comes back.
 */
#include "ledger/order_priv.h"

#include <stdio.h>
#include <string.h>

json_t *
hold_create(struct ledger *l, const json_t *request, const uint64_t windows[ITEM_WINDOWS_MAX])
{
	json_t *error;
	struct item i = {.kind = ITEM_HOLD};
	char amount[NANO_TEXT_MAX], expires[24];
	struct order o = {.kind = ORDER_HOLD};
	if (!order_read(l, request, &o, &error) || !order_amount(request, "amount", false, &i.amount_nano, &error) ||
		!order_expires(request, false, &i.expires_ms, &error))
		return error;
	nano_text((struct nano){i.amount_nano}, amount);
	snprintf(expires, sizeof(expires), "%lld", (long long)i.expires_ms);
	order_content(&o, "hold.create", (const char *const[]){o.account.name, amount, expires, o.reason}, 4);
	i.account = o.account.id;
	i.open_nano = i.amount_nano;
	o.nano = -i.amount_nano;
	memcpy(i.windows, windows, sizeof i.windows);
	order_open_item(l, &o, &i);
	return order_answer(l, &o);
}

json_t *
control_hold_create(struct ledger *l, const json_t *request)
{
	static const uint64_t none[ITEM_WINDOWS_MAX];
	return hold_create(l, request, none);
}

static json_t *
read_hold(struct ledger *l, const json_t *request, struct order *o, struct item *i)
{
	json_t *error;
	if (!item_read(l, request, "hold", ITEM_HOLD, i, &error) || !order_read_texts(request, o, &error))
		return error;
	o->item = i->id;
	return order_load_account(l, i->account, &o->account) ? NULL : control_store_failed(l);
}

static json_t *
may_charge(struct ledger *l, struct order *o, const struct item *i)
{
	char text[NANO_TEXT_MAX];
	bool is_new;
	json_t *error = NULL;
	/* Not known whether it is new: carried out unchecked it could charge more than the hold, and no batch with it could be booked. */
	if (!order_is_new(l, o, &is_new, &error) || !is_new)
		return error;
	error = item_must_be_open(i);
	if (error != NULL || o->second_nano <= i->open_nano)
		return error;
	nano_text((struct nano){i->open_nano}, text);
	return control_error("above_hold", "the hold is %s: more than that can't be charged", text);
}

json_t *
control_hold_settle(struct ledger *l, const json_t *request)
{
	struct item i;
	json_t *error;
	char cost[NANO_TEXT_MAX], id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_HOLD_SETTLE};
	if ((error = read_hold(l, request, &o, &i)) != NULL || !order_amount(request, "cost", false, &o.second_nano, &error))
		return error;
	o.nano = i.amount_nano - o.second_nano;
	nano_text((struct nano){o.second_nano}, cost);
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "hold.settle", (const char *const[]){id, cost, o.reason}, 3);
	error = may_charge(l, &o, &i);
	return error != NULL ? error : order_answer(l, &o);
}

json_t *
control_hold_release(struct ledger *l, const json_t *request)
{
	struct item i;
	char id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_HOLD_RELEASE};
	json_t *error = read_hold(l, request, &o, &i);
	if (error != NULL)
		return error;
	o.nano = i.amount_nano;
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "hold.release", (const char *const[]){id, o.reason}, 2);
	error = may_charge(l, &o, &i);
	return error != NULL ? error : order_answer(l, &o);
}

bool
hold_expire(struct ledger *l, const struct item *i)
{
	struct order o = {.kind = ORDER_HOLD_EXPIRY, .nano = i->open_nano};
	if (!order_of_item(l, &o, "expiry", i))
		return false;
	json_t *error = order_do(l, &o);
	json_decref(error);
	return error == NULL;
}
