/* Customers' own keys at providers: boxes that the ledger keeps and hands to edges, and can't open (ticket/byok.h). */
#include "ledger/limit_priv.h"
#include "ticket/byok.h"
#include "ticket/messages.h"

#include <sodium.h>
#include <string.h>

enum { MASTER_BYTES = 8 }; /* of the public key: which one it is */

static json_t *
no_master(void)
{
	return control_error("no_master_key", "own keys can't be sealed: the server has no master key – start it anew");
}

/* Of the catalogue that is in force, or of one before. */
static bool
provider_named(struct ledger *l, const json_t *request, uint32_t *ret, const char **ret_name, json_t **ret_error)
{
	int64_t id = 0;
	if (!control_text(request, &(struct text_rule){"provider", 64, true}, ret_name, ret_error))
		return false;
	struct query *st = store_sql(&l->store, SQL_provider_by_name);
	sql_bind_text(st, 1, *ret_name);
	if (!sql_number(&l->store, st, &id) || id <= 0) {
		*ret_error = control_error("no_such_provider", "there is no provider \"%s\": the configuration names them, `lethe provider list` shows them", *ret_name);
		return false;
	}
	*ret = (uint32_t)id;
	return true;
}

static json_t *
row_json(struct ledger *l, const struct limit_byok_one *b, uint64_t account)
{
	json_t *o = json_object();
	control_put_id(o, "byok", ID_BYOK, b->id);
	control_put_id(o, "account", ID_ACCOUNT, account);
	control_put_name(l, o, "account_name", SQL_account_name, (int64_t)account);
	control_put_name(l, o, "provider", SQL_provider_by_id, b->provider);
	json_object_set_new(o, "fallback", json_boolean(b->fallback));
	return o;
}

/* ---- what edges are given ---- */

int
byok_read(struct ledger *l, uint64_t account, struct limit_byok_one ret[LIMIT_BYOK_MAX])
{
	struct query *st = store_sql(&l->store, SQL_byok_of);
	enum sql_step step;
	int count = 0;
	sql_bind(st, (int64_t)account);
	while ((step = sql_step(&l->store, st)) == SQL_ROW)
		if (count < LIMIT_BYOK_MAX)
			ret[count++] = (struct limit_byok_one){(uint64_t)sql_int(st, 0), (uint32_t)sql_int(st, 1), sql_int(st, 2) == 1};
	return step == SQL_END ? count : -1;
}

void
ledger_byok(struct ledger *l, uint64_t id, struct message_byok *ret)
{
	*ret = (struct message_byok)MESSAGE_INIT(BYOK, message_byok);
	ret->id = id;
	ret->result = 1;
	struct query *st = store_sql(&l->store, SQL_byok_box);
	sql_bind(st, (int64_t)id);
	if (sql_step(&l->store, st) == SQL_ROW && sql_len(st, 2) == BYOK_BOX_BYTES) {
		ret->account = (uint64_t)sql_int(st, 0);
		ret->provider = (uint32_t)sql_int(st, 1);
		ret->result = 0;
		memcpy(ret->box, sql_blob(st, 2), BYOK_BOX_BYTES);
	}
	sql_reset(st);
}

/* ---- byok.public ---- */

json_t *
control_byok_public(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row a;
	uint32_t provider;
	const char *name;
	char text[BYOK_PUBLIC_TEXT + 1], account[24];
	if (!control_account(l, request, &a, &error) || !provider_named(l, request, &provider, &name, &error))
		return error;
	if (l->o.byok_public == NULL)
		return no_master();
	sodium_bin2hex(text, sizeof(text), l->o.byok_public, BYOK_PUBLIC_BYTES);
	snprintf(account, sizeof(account), "%llu", (unsigned long long)a.id); /* 64 bits are no number of JSON's */
	json_t *answer = control_ok();
	json_object_set_new(answer, "public", json_string(text));
	json_object_set_new(answer, "account_number", json_string(account));
	json_object_set_new(answer, "provider_number", json_integer(provider));
	return answer;
}

/* ---- byok.add ---- */

struct addition {
	struct limit_byok_one row;
	uint64_t account, before; /* the one whose place it takes; 0: none */
	const char *last4;
	uint8_t box[BYOK_BOX_BYTES];
};

static bool
read_addition(const json_t *request, struct addition *ret, json_t **ret_error)
{
	const char *text;
	size_t len = 0;
	if (!control_text(request, &(struct text_rule){"last4", 4, false}, &ret->last4, ret_error) ||
		!control_text(request, &(struct text_rule){"box", BYOK_BOX_TEXT, true}, &text, ret_error))
		return false;
	if (sodium_hex2bin(ret->box, sizeof(ret->box), text, strlen(text), NULL, &len, NULL) == 0 && len == BYOK_BOX_BYTES) {
		ret->row.fallback = json_is_true(json_object_get(request, "fallback"));
		return true;
	}
	*ret_error = control_error("bad_request", "\"box\" must be the sealed key, %d hexadecimal digits: `lethe byok add` makes it by the answer of byok.public", BYOK_BOX_TEXT);
	return false;
}

static bool
remove_row(struct ledger *l, uint64_t id, uint64_t account)
{
	struct query *st = store_sql(&l->store, SQL_byok_remove);
	sql_bind(st, (int64_t)id, (int64_t)clock_wall_us());
	return sql_done(&l->store, st) && change_record(l, CHANGE_BYOK, account);
}

static bool
write_addition(struct ledger *l, const struct addition *a)
{
	if (a->before != 0 && !remove_row(l, a->before, a->account))
		return false;
	struct query *st = store_sql(&l->store, SQL_byok_insert);
	sql_bind(st, (int64_t)a->row.id, (int64_t)a->account, a->row.provider, a->row.fallback);
	sql_bind_text(st, 5, a->last4);
	sql_bind_blob(st, 6, l->o.byok_public, MASTER_BYTES);
	sql_bind_blob(st, 7, a->box, BYOK_BOX_BYTES);
	sql_bind_int(st, 8, (int64_t)clock_wall_us());
	return sql_done(&l->store, st) && change_record(l, CHANGE_BYOK, a->account);
}

/* 0: there is none. False: the store failed. */
static bool
find_at(struct ledger *l, uint64_t account, uint32_t provider, uint64_t *ret)
{
	struct query *st = store_sql(&l->store, SQL_byok_at);
	sql_bind(st, (int64_t)account, provider);
	enum sql_step step = sql_step(&l->store, st);
	*ret = step == SQL_ROW ? (uint64_t)sql_int(st, 0) : 0;
	sql_reset(st);
	return step == SQL_ROW || step == SQL_END;
}

static json_t *
add(struct ledger *l, struct addition *a)
{
	struct limit_byok_one have[LIMIT_BYOK_MAX];
	int count = byok_read(l, a->account, have);
	if (count < 0 || !find_at(l, a->account, a->row.provider, &a->before))
		return control_store_failed(l);
	if (a->before == 0 && count == LIMIT_BYOK_MAX)
		return control_error("too_many_keys", "an account has own keys at %d providers at most: remove one first", LIMIT_BYOK_MAX);
	a->row.id = ledger_next_id(l);
	if (!store_begin(&l->store) || !store_end(&l->store, write_addition(l, a)))
		return control_store_failed(l);
	if (!limits_publish(l, a->account, a->account))
		return control_error("too_many_limits", "the server has no room for the own keys of another account; they hold from its next start");
	json_t *answer = control_ok(), *o = row_json(l, &a->row, a->account);
	json_object_update(answer, o);
	json_decref(o);
	json_object_set_new(answer, "last4", json_string(a->last4));
	if (a->before != 0)
		control_put_id(answer, "replaces", ID_BYOK, a->before);
	return answer;
}

json_t *
control_byok_add(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row owner;
	struct addition a = {0};
	const char *name;
	if (!control_account(l, request, &owner, &error) || !provider_named(l, request, &a.row.provider, &name, &error) || !read_addition(request, &a, &error))
		return error;
	if (l->o.byok_public == NULL)
		return no_master();
	if (owner.kind != 0)
		return control_error("not_a_customer", "\"%s\" is one of the operator's own accounts and has no keys", owner.name);
	if (l->o.catalogue != NULL && !l->o.catalogue->byok)
		return control_error("no_byok_fee", "the server takes no own keys: say in its configuration what requests by them cost, `byok_fee: {times: '0.05'}`, and reload it");
	a.account = owner.id;
	return add(l, &a);
}

/* ---- byok.list, byok.remove ---- */

static json_t *
listed(struct ledger *l, struct query *st)
{
	struct limit_byok_one b = {(uint64_t)sql_int(st, 0), (uint32_t)sql_int(st, 2), sql_int(st, 3) == 1};
	uint64_t account = (uint64_t)sql_int(st, 1);
	bool ours = l->o.byok_public == NULL || memcmp(sql_blob(st, 5), l->o.byok_public, MASTER_BYTES) == 0;
	json_t *o = row_json(l, &b, account);
	json_object_set_new(o, "last4", json_string(sql_str(st, 4)));
	json_object_set_new(o, "state", json_string(ours ? "active" : "sealed for another master key"));
	control_put_time(o, "created", sql_int(st, 6));
	return o;
}

json_t *
control_byok_list(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *after_text;
	int64_t limit, count = 0;
	uint64_t account, after = 0;
	if (!control_limit(request, &limit, &error) || !control_account_filter(l, request, &account, &error) ||
		!control_text(request, &(struct text_rule){"after", 64, false}, &after_text, &error))
		return error;
	if (after_text[0] != '\0' && !id_parse(ID_BYOK, (struct span){after_text, strlen(after_text)}, &after))
		return control_error("bad_request", "\"after\" must be the id of an own key (byok_…)");
	json_t *answer = control_ok(), *list = json_array();
	json_object_set_new(answer, "byok", list);
	struct query *st = store_sql(&l->store, SQL_byok_list);
	sql_bind(st, (int64_t)account, (int64_t)after, limit + 1);
	enum sql_step step = SQL_END;
	for (; count < limit && (step = sql_step(&l->store, st)) == SQL_ROW; count++)
		json_array_append_new(list, listed(l, st));
	bool more = count == limit && sql_step(&l->store, st) == SQL_ROW;
	sql_reset(st);
	json_object_set_new(answer, "more", json_boolean(more));
	return answer;
}

/* Off the board when this returns: no request begins with it any more. */
json_t *
control_byok_remove(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct account_row a;
	struct limit_byok_one row = {0};
	const char *name;
	if (!control_account(l, request, &a, &error) || !provider_named(l, request, &row.provider, &name, &error))
		return error;
	if (!find_at(l, a.id, row.provider, &row.id))
		return control_store_failed(l);
	if (row.id == 0)
		return control_error("no_such_byok", "\"%s\" has no own key at \"%s\": `lethe byok list` shows those there are", a.name, name);
	if (!store_begin(&l->store) || !store_end(&l->store, remove_row(l, row.id, a.id)) || !limits_publish(l, a.id, a.id))
		return control_store_failed(l);
	json_t *answer = control_ok(), *o = row_json(l, &row, a.id);
	json_object_del(o, "fallback");
	json_object_update(answer, o);
	json_decref(o);
	json_object_set_new(answer, "state", json_string("removed"));
	return answer;
}
