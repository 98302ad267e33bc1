/*
 * Free quotas: so much an account gets from the free tier for each day, week or month (UTC), and what it has not used of it by the end goes back. Each is a
 * grant (grant.c) that the ledger gives itself, once for a window: the house account `free` pays what is used of it.
 */
#include "ledger/limit_priv.h"
#include "ledger/order_priv.h"

#include <stdio.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)

enum { QUOTAS_AT_ONCE = 64 };

/* X(kind of limit whose windows they are, word) */
#define QUOTA_EACH(X) \
	X(MONEY_DAY, "day") \
	X(MONEY_WEEK, "week") \
	X(MONEY_MONTH, "month")

static const struct {
	enum limit_kind kind;
	const char *word;
} each[] = {
#define X(name, word) {LIMIT_##name, word},
	QUOTA_EACH(X)
#undef X
};

struct quota {
	uint64_t account;
	enum limit_kind kind;
	int64_t nano, due_us;
};

static const char *
word_of(enum limit_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(each); i++)
		if (each[i].kind == kind)
			return each[i].word;
	return "";
}

static int64_t
end_of(enum limit_kind kind, uint32_t window)
{
	return (int64_t)limit_window_begin_s(kind, window + 1) * SECOND_US;
}

/* ---- giving ---- */

/* This window's, once: whoever is killed, and whatever the quota became meanwhile. */
static json_t *
give(struct ledger *l, const struct quota *q, uint32_t window)
{
	char id[ID_TEXT_MAX], which[48];
	struct item i = {.kind = ITEM_GRANT, .account = q->account, .amount_nano = q->nano, .open_nano = q->nano, .expires_ms = end_of(q->kind, window) / 1000};
	struct order o = {.kind = ORDER_GRANT, .nano = q->nano, .reason = "free quota", .actor = "ledger"};
	/* What was spent before is not this one's. */
	if (!order_load_account(l, q->account, &o.account) || !grants_apply(l, q->account))
		return control_store_failed(l);
	id_text(ID_ACCOUNT, q->account, id);
	snprintf(which, sizeof which, "%s-%u", word_of(q->kind), window);
	order_own_ref(&o, "quota", id, which);
	order_content(&o, "quota", (const char *const[]){id, which}, 2);
	order_open_item(l, &o, &i);
	return order_do(l, &o);
}

static bool
write_due(struct ledger *l, const struct quota *q, int64_t due_us)
{
	struct query *st = store_sql(&l->store, SQL_quota_given);
	sql_bind(st, (int64_t)q->account, q->due_us, due_us);
	return store_begin(&l->store) && store_end(&l->store, sql_done(&l->store, st));
}

/* False: not now. */
static bool
give_due(struct ledger *l, const struct quota *q, uint64_t now_us)
{
	uint32_t window = limit_window(q->kind, now_us / (uint64_t)SECOND_US);
	json_t *error = give(l, q, window);
	bool given = error == NULL;
	json_decref(error);
	return given && write_due(l, q, end_of(q->kind, window));
}

bool
quotas_give(struct ledger *l, uint64_t now_us)
{
	struct quota due[QUOTAS_AT_ONCE];
	size_t count = 0;
	struct query *st = store_sql(&l->store, SQL_quotas_due);
	sql_bind(st, (int64_t)now_us, QUOTAS_AT_ONCE);
	while (count < QUOTAS_AT_ONCE && sql_step(&l->store, st) == SQL_ROW)
		due[count++] = (struct quota){(uint64_t)sql_int(st, 0), (enum limit_kind)sql_int(st, 1), sql_int(st, 2), sql_int(st, 3)};
	sql_reset(st);
	bool done = count < QUOTAS_AT_ONCE;
	for (size_t i = 0; i < count; i++) {
		if (l->o.board != NULL && !ledger_drain(l))
			return false;
		done &= give_due(l, &due[i], now_us);
	}
	return done;
}

/* ---- account.quota ---- */

static bool
read_each(const json_t *request, enum limit_kind *ret, json_t **ret_error)
{
	const char *text;
	if (!control_text(request, &(struct text_rule){"each", 8, false}, &text, ret_error))
		return false;
	*ret = LIMIT_MONEY_MONTH;
	for (size_t i = 0; i < ARRAY_LEN(each); i++)
		if (strcmp(each[i].word, text) == 0)
			*ret = each[i].kind;
	if (text[0] == '\0' || strcmp(word_of(*ret), text) == 0)
		return true;
	*ret_error = control_error("bad_request", "\"each\" must be day, week or month, not \"%s\"", text);
	return false;
}

/* nano 0: none any more. */
static bool
read_quota(struct ledger *l, const json_t *request, struct quota *ret, json_t **ret_error)
{
	const char *text;
	struct account_row a;
	*ret = (struct quota){0};
	if (!order_read_customer(l, request, "account", &a, ret_error) || !read_each(request, &ret->kind, ret_error) ||
		!control_text(request, &(struct text_rule){"amount", 40, true}, &text, ret_error))
		return false;
	ret->account = a.id;
	return strcmp(text, "none") == 0 || order_amount(request, "amount", false, &ret->nano, ret_error);
}

static bool
write_quota(struct ledger *l, const struct quota *q)
{
	struct query *st = store_sql(&l->store, q->nano != 0 ? SQL_quota_put : SQL_quota_delete);
	sql_bind_int(st, 1, (int64_t)q->account);
	if (q->nano != 0)
		sql_bind_ints(st, 2, (const int64_t[]){q->kind, q->nano, 0}, 3);
	return sql_done(&l->store, st) && change_record(l, CHANGE_ACCOUNT, q->account);
}

/* Each step is repeatable: a quota that is due gives what it did not give yet. */
json_t *
control_account_quota(struct ledger *l, const json_t *request)
{
	struct quota q;
	json_t *error;
	if (!read_quota(l, request, &q, &error))
		return error;
	if (!store_begin(&l->store) || !store_end(&l->store, write_quota(l, &q)))
		return control_store_failed(l);
	if (q.nano != 0 && !give_due(l, &q, clock_wall_us()))
		ledger_chores_soon(l);
	return control_account_show(l, request);
}

void
quota_put(struct ledger *l, json_t *o, uint64_t account)
{
	char amount[NANO_TEXT_MAX], text[NANO_TEXT_MAX + 16];
	struct query *st = store_sql(&l->store, SQL_quota_of);
	sql_bind_int(st, 1, (int64_t)account);
	if (sql_step(&l->store, st) == SQL_ROW) {
		nano_text((struct nano){sql_int(st, 1)}, amount);
		snprintf(text, sizeof text, "%s each %s", amount, word_of((enum limit_kind)sql_int(st, 0)));
		json_object_set_new(o, "quota", json_string(text));
	} else
		json_object_set_new(o, "quota", json_null());
	sql_reset(st);
}
