/* Items: what is set aside until it is resolved, once. */
#include "ledger/order_priv.h"
#include "ledger/work.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *prefix, *settled, *released;
	enum house_account house;
} kinds[ITEM_KIND_COUNT] = {
#define X(name, number, prefix, house, settled, released, meaning) [number] = {prefix, settled, released, HOUSE_##house},
	ITEM_KINDS(X)
#undef X
};

const char *
item_prefix(enum item_kind kind)
{
	return kinds[kind].prefix;
}

enum house_account
item_house(int kind)
{
	return kinds[kind].house;
}

const char *
item_state_word(const struct item *i)
{
	switch (i->state) {
	case ITEM_ORDERED:
		return "ordered";
	case ITEM_OPEN:
		return "open";
	case ITEM_SETTLED:
		return kinds[i->kind].settled;
	case ITEM_RELEASED:
		return kinds[i->kind].released;
	case ITEM_EXPIRED:
		return "expired";
	}
	return "unknown";
}

/* ---- inside a transaction ---- */

bool
item_write(struct ledger *l, const struct item *i)
{
	struct query *st = store_sql(&l->store, SQL_item_insert);
	sql_bind(st, (int64_t)i->id, i->kind, (int64_t)i->account, (int64_t)i->peer, i->amount_nano, i->open_nano, i->created_us,
		i->expires_ms);
	if (i->has_hash)
		sql_bind_blob(st, 9, i->hash, sizeof(i->hash));
	else
		sql_bind_null(st, 9);
	sql_bind_text(st, 10, i->note);
	sql_bind_ints(st, 11, (const int64_t *)i->windows, ITEM_WINDOWS_MAX);
	return sql_done(&l->store, st);
}

/* What is open of it changes by one statement, which asks by itself whether it may. */
static enum ordered
run(struct ledger *l, enum sql name, const int64_t *values, size_t count)
{
	struct query *st = store_sql(&l->store, name);
	sql_bind_ints(st, 1, values, count);
	if (!sql_done(&l->store, st))
		return ORDER_FAILED;
	return sql_changes(&l->store) == 1 ? ORDER_BOOKED : ORDER_REFUSED;
}

#define RUN(l, name, ...) run((l), (name), (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* A payment that is disputed can't be refunded meanwhile. */
static enum ordered
change_payment(struct ledger *l, const struct order *o)
{
	struct item i;
	if (o->kind != ORDER_DISPUTE && o->kind != ORDER_DISPUTE_WON)
		return ORDER_BOOKED;
	if (item_find(l, o->item, &i) != SQL_ROW)
		return ORDER_FAILED;
	return RUN(l, SQL_item_reduce, (int64_t)i.peer, o->kind == ORDER_DISPUTE ? i.amount_nano : -i.amount_nano);
}

static enum ordered
resolve(struct ledger *l, const struct order *o, enum item_state state)
{
	int64_t used = state == ITEM_SETTLED ? o->second_nano : 0;
	return RUN(l, SQL_item_resolve, (int64_t)o->item, state, used, (int64_t)o->account.id, o->open_nano);
}

enum ordered
item_change(struct ledger *l, const struct order *o, enum item_effect effect)
{
	enum ordered changed = ORDER_BOOKED;
	switch (effect) {
	case EFFECT_NONE:
		break;
	case EFFECT_OPEN:
		changed = RUN(l, SQL_item_open, (int64_t)o->item);
		break;
	case EFFECT_REDUCE:
		changed = RUN(l, SQL_item_reduce, (int64_t)o->item, -o->nano);
		break;
	case EFFECT_SETTLE:
		changed = resolve(l, o, ITEM_SETTLED);
		break;
	case EFFECT_RELEASE:
		changed = resolve(l, o, ITEM_RELEASED);
		break;
	case EFFECT_EXPIRE:
		changed = resolve(l, o, ITEM_EXPIRED);
		break;
	}
	return changed == ORDER_BOOKED ? change_payment(l, o) : changed;
}

/* ---- reading ---- */

static enum sql_step
read_item(struct ledger *l, struct query *st, struct item *ret)
{
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step;
	*ret = (struct item){.id = (uint64_t)sql_int(st, 0),
		.kind = (enum item_kind)(int)sql_int(st, 1),
		.state = (enum item_state)(int)sql_int(st, 2),
		.account = (uint64_t)sql_int(st, 3),
		.peer = (uint64_t)sql_int(st, 4),
		.amount_nano = sql_int(st, 5),
		.open_nano = sql_int(st, 6),
		.used_nano = sql_int(st, 7),
		.created_us = sql_int(st, 8),
		.expires_ms = sql_int(st, 9)};
	return SQL_ROW;
}

enum sql_step
item_find(struct ledger *l, uint64_t id, struct item *ret)
{
	struct query *st = store_sql(&l->store, SQL_item_by_id);
	sql_bind(st, (int64_t)id);
	enum sql_step step = read_item(l, st, ret);
	sql_reset(st);
	return step;
}

enum sql_step
item_find_hash(struct ledger *l, const uint8_t hash[32], struct item *ret)
{
	struct query *st = store_sql(&l->store, SQL_item_by_hash);
	sql_bind_blob(st, 1, hash, 32);
	enum sql_step step = read_item(l, st, ret);
	sql_reset(st);
	return step;
}

bool
item_read(
	struct ledger *l, const json_t *request, const char *member, enum item_kind kind, struct item *ret, json_t **ret_error)
{
	const char *text, *prefix = item_prefix(kind);
	uint64_t id;
	if (!control_text(request, &(struct text_rule){member, 64, true}, &text, ret_error))
		return false;
	enum sql_step step = SQL_END;
	if (id_parse(prefix, (struct span){text, strlen(text)}, &id))
		step = item_find(l, id, ret);
	if (step == SQL_ROW && ret->kind == kind && ret->state != ITEM_ORDERED)
		return true;
	*ret_error = step == SQL_FAILED
		? control_store_failed(l)
		: control_error("no_such_item", "there is no \"%s\": \"%s\" is an id that begins with %s, as the lists show it", text,
			  member, prefix);
	return false;
}

json_t *
item_must_be_open(const struct item *i)
{
	char id[ID_TEXT_MAX];
	if (i->state == ITEM_OPEN)
		return NULL;
	id_text(item_prefix(i->kind), i->id, id);
	return control_error("resolved", "%s is %s already: it can be resolved only once", id, item_state_word(i));
}

/* ---- answers ---- */

void
item_put_id(json_t *o, const char *member, enum item_kind kind, uint64_t id)
{
	control_put_id(o, member, item_prefix(kind), id);
}

static void
put_peer(json_t *o, const struct item *i)
{
	if (i->kind == ITEM_TRANSFER)
		control_put_id(o, "to", ID_ACCOUNT, i->peer);
	else if (i->kind == ITEM_DISPUTE)
		item_put_id(o, "payment", ITEM_PAYMENT, i->peer);
}

void
item_put(struct ledger *l, json_t *o, const struct item *i)
{
	item_put_id(o, "item", i->kind, i->id);
	json_object_set_new(o, "state", json_string(item_state_word(i)));
	if (i->account != 0)
		control_put_id(o, "account", ID_ACCOUNT, i->account);
	control_put_nano(o, "worth", i->amount_nano);
	control_put_nano(o, "open", i->open_nano);
	if (i->kind == ITEM_HOLD)
		control_put_nano(o, "charged", i->used_nano);
	put_peer(o, i);
	control_put_time(o, "created", i->created_us);
	control_put_time(o, "expires", i->expires_ms * 1000);
	if (i->account != 0)
		control_put_name(l, o, "account_name", SQL_account_name, (int64_t)i->account);
	if (i->kind == ITEM_HOLD)
		work_put(l, o, i->id);
}

/* ---- before a ticket is made of it ---- */

static bool
owes(struct ledger *l, const struct order *o)
{
	int64_t owed = 0;
	struct query *st = store_sql(&l->store, SQL_account_owed);
	sql_bind(st, (int64_t)o->account.id);
	return sql_number(&l->store, st, &owed) && owed >= o->second_nano;
}

bool
item_allows(struct ledger *l, const struct order *o, enum item_effect effect)
{
	struct item i;
	if (o->kind == ORDER_TOP_UP)
		return owes(l, o);
	if (o->kind == ORDER_DISPUTE)
		return item_find(l, o->fresh->peer, &i) == SQL_ROW && i.open_nano >= o->fresh->amount_nano;
	if (effect == EFFECT_NONE || effect == EFFECT_OPEN)
		return true;
	if (item_find(l, o->item, &i) != SQL_ROW || i.state != ITEM_OPEN)
		return false;
	return effect != EFFECT_REDUCE || i.open_nano >= -o->nano;
}

/* ---- lists ---- */

static bool
after_of(const json_t *request, enum item_kind kind, uint64_t *ret, json_t **ret_error)
{
	const char *text, *prefix = item_prefix(kind);
	*ret = 0;
	if (!control_text(request, &(struct text_rule){"after", 64, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || id_parse(prefix, (struct span){text, strlen(text)}, ret))
		return true;
	*ret_error = control_error("bad_request", "\"after\" must be an id that begins with %s", prefix);
	return false;
}

/* Of the newest order about it that the ledger did not give itself. False: the store failed. */
static bool
put_said(struct ledger *l, json_t *o, uint64_t item)
{
	struct query *st = store_sql(&l->store, SQL_item_said);
	sql_bind(st, (int64_t)item);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW) {
		json_object_set_new(o, "reason", json_string(sql_str(st, 0)));
		json_object_set_new(o, "actor", json_string(sql_str(st, 1)));
	}
	sql_reset(st);
	return step != SQL_FAILED;
}

static json_t *
list(struct ledger *l, const json_t *request, enum item_kind kind)
{
	json_t *error;
	int64_t limit, count = 0;
	uint64_t after, account;
	if (!control_limit(request, &limit, &error) || !after_of(request, kind, &after, &error) ||
		!control_account_filter(l, request, &account, &error))
		return error;
	json_t *answer = control_ok(), *items = json_array();
	json_object_set_new(answer, "items", items);
	struct query *st = store_sql(&l->store, SQL_items_list);
	sql_bind(st, kind, (int64_t)after, (int64_t)account, json_is_true(json_object_get(request, "open")), limit + 1);
	struct item i;
	struct grant_spent spent = {0};
	enum sql_step step = SQL_END;
	bool said = true;
	for (; said && count < limit && (step = read_item(l, st, &i)) == SQL_ROW; count++) {
		json_t *o = json_object();
		said = kind != ITEM_GRANT || i.state != ITEM_OPEN || grant_open_now(l, &i, &spent, &i.open_nano);
		item_put(l, o, &i);
		json_array_append_new(items, o);
		said = said && put_said(l, o, i.id);
	}
	bool more = said && count == limit && (step = read_item(l, st, &i)) == SQL_ROW;
	sql_reset(st);
	json_object_set_new(answer, "more", json_boolean(more));
	if (said && step != SQL_FAILED)
		return answer;
	json_decref(answer);
	return control_store_failed(l);
}

#define LIST(name, kind) \
	json_t *control_##name##_list(struct ledger *l, const json_t *request) \
	{ \
		return list(l, request, ITEM_##kind); \
	}
LIST(payment, PAYMENT)
LIST(grant, GRANT)
LIST(voucher, VOUCHER)
LIST(hold, HOLD)
LIST(dispute, DISPUTE)
LIST(transfer, TRANSFER)
