/* Members of requests that give orders. */
#include "ledger/moment.h"
#include "ledger/order_priv.h"

#include <stdio.h>
#include <string.h>

#define OWN_PREFIX "item:"

static bool
refuse(json_t **ret_error, json_t *error)
{
	*ret_error = error;
	return false;
}

bool
order_amount(const json_t *request, const char *member, bool negative, int64_t *ret, json_t **ret_error)
{
	const char *text;
	struct nano amount;
	if (!control_text(request, &(struct text_rule){member, 64, true}, &text, ret_error))
		return false;
	/* A thousandth of the range: balances can't overflow before somebody notices. */
	const int64_t most = INT64_MAX / 1000;
	if (!nano_parse((struct span){text, strlen(text)}, &amount) || amount.v == 0 || amount.v > most ||
		amount.v < (negative ? -most : 1))
		return refuse(ret_error,
			control_error("bad_request",
				"\"%s\" must be dollars as a decimal string, not 0%s (at most nine digits after the point, and nine million dollars)", member,
				negative ? ", like \"5.00\" or \"-1.25\"" : " and not below, like \"5.00\""));
	*ret = amount.v;
	return true;
}

bool
order_expires(const json_t *request, bool required, int64_t *ret_ms, json_t **ret_error)
{
	const char *text;
	int64_t seconds = 0;
	*ret_ms = 0;
	if (!control_text(request, &(struct text_rule){"expires", 40, required}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	if (!moment_parse_time(text, &seconds))
		return refuse(ret_error,
			control_error("bad_request",
				"\"expires\" must be a date like 2030-01-31 or 2030-01-31T12:00:00Z (UTC), not \"%s\"", text));
	*ret_ms = seconds * 1000;
	return true;
}

bool
order_read_texts(const json_t *request, struct order *o, json_t **ret_error)
{
	if (!control_text(request, &(struct text_rule){"reason", 256, false}, &o->reason, ret_error) ||
		!control_text(request, &(struct text_rule){"actor", 64, false}, &o->actor, ret_error) ||
		!control_text(request, &(struct text_rule){"id", 128, false}, &o->op.ref, ret_error))
		return false;
	if (strncmp(o->op.ref, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
		return refuse(ret_error,
			control_error("bad_request", "\"id\" must not begin with \"" OWN_PREFIX "\": such ids are the ledger's own"));
	return true;
}

bool
order_read_customer(struct ledger *l, const json_t *request, const char *member, struct account_row *ret, json_t **ret_error)
{
	if (!control_account_of(l, request, member, ret, ret_error))
		return false;
	if (ret->kind != 0)
		return refuse(ret_error,
			control_error("not_a_customer", "\"%s\" is one of the operator's own accounts: credit goes to customers", ret->name));
	return true;
}

bool
order_read(struct ledger *l, const json_t *request, struct order *o, json_t **ret_error)
{
	return order_read_customer(l, request, "account", &o->account, ret_error) && order_read_texts(request, o, ret_error);
}

void
order_content(struct order *o, const char *op, const char *const *texts, size_t count)
{
	operation_content(&o->op, op, texts, count);
}

bool
order_is_new(struct ledger *l, struct order *o, bool *ret, json_t **ret_error)
{
	enum operation_state state = operation_look_up(l, &o->op);
	*ret = state == OPERATION_NEW;
	return state != OPERATION_FAILED || refuse(ret_error, control_store_failed(l));
}

bool
order_load_account(struct ledger *l, uint64_t id, struct account_row *ret)
{
	struct query *st = store_sql(&l->store, SQL_account_by_id);
	sql_bind(st, (int64_t)id);
	bool found = control_read_account(l, st, ret) == SQL_ROW;
	sql_reset(st);
	return found;
}

void
order_own_ref(struct order *o, const char *what, const char *id, const char *which)
{
	snprintf(o->own_ref, sizeof(o->own_ref), OWN_PREFIX "%s:%s:%s", what, id, which);
	o->op.ref = o->own_ref;
}

bool
order_of_item(struct ledger *l, struct order *o, const char *what, const struct item *i)
{
	char id[ID_TEXT_MAX];
	id_text(item_prefix(i->kind), i->id, id);
	snprintf(o->own_ref, sizeof(o->own_ref), OWN_PREFIX "%s:%s", what, id);
	o->op.ref = o->own_ref;
	o->item = i->id;
	o->reason = "";
	o->actor = "ledger";
	order_content(o, what, (const char *const[]){id}, 1);
	return i->account == 0 || order_load_account(l, i->account, &o->account);
}

void
order_open_item(struct ledger *l, struct order *o, struct item *i)
{
	i->id = ledger_next_id(l);
	i->created_us = (int64_t)clock_wall_us();
	i->note = o->reason;
	o->item = i->id;
	o->fresh = i;
}
