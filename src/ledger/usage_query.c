#include "ledger/ledger_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* X(name, in the request, column of usage_day) */
#define USAGE_GROUPS(X) \
	X(NONE, "none", "0") \
	X(MODEL, "model", "model") \
	X(KEY, "key", "key") \
	X(DAY, "day", "day") \
	X(ACCOUNT, "account", "account")

enum by {
#define X(name, text, column) BY_##name,
	USAGE_GROUPS(X)
#undef X
};

static const struct group {
	enum by by;
	const char *name, *column;
} groups[] = {
#define X(name, text, column) {BY_##name, text, column},
	USAGE_GROUPS(X)
#undef X
};

struct query {
	uint64_t account, key;
	int64_t model, since, until, limit; /* days, both included; -1: any */
	const struct group *group;
};

#define SUM(name, meaning, fallback) ", sum(tokens_" #name ")"
#define COLUMNS "sum(requests), sum(failed), sum(cost_nano)" TOKEN_KINDS(SUM) ", sum(tool_calls)"
#define CONDITIONS \
	" FROM usage_day WHERE (?1 = 0 OR account = ?1) AND (?2 = 0 OR key = ?2) AND (?3 < 0 OR model = ?3)" \
	" AND (?4 < 0 OR day >= ?4) AND (?5 < 0 OR day <= ?5)"

/* ---- request ---- */

static bool
refuse(json_t **ret_error, json_t *error)
{
	*ret_error = error;
	return false;
}

static bool
group_of(const json_t *request, const struct group **ret, json_t **ret_error)
{
	const char *text;
	if (!control_text(request, &(struct text_rule){"group", 16, false}, &text, ret_error))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (strcmp(groups[i].name, text[0] == '\0' ? "none" : text) == 0) {
			*ret = &groups[i];
			return true;
		}
	return refuse(ret_error,
		control_error("bad_request", "\"group\" must be none, model, key, day or account, not \"%s\"", text));
}

static bool
day_of(const json_t *request, const char *name, int64_t *ret, json_t **ret_error)
{
	const char *text;
	int64_t seconds;
	*ret = -1;
	if (!control_text(request, &(struct text_rule){name, 40, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	if (strlen(text) != 10 || !control_parse_time(text, &seconds) || seconds < 0)
		return refuse(ret_error,
			control_error("bad_request",
				"\"%s\" must be a day like 2026-01-31 (UTC; usage is kept by day), not \"%s\"", name, text));
	*ret = seconds / 86400;
	return true;
}

static bool
model_of(struct ledger *l, const json_t *request, int64_t *ret, json_t **ret_error)
{
	const char *text;
	*ret = -1;
	if (!control_text(request, &(struct text_rule){"model", 128, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	sqlite3_stmt *st = store_sql(&l->store, SQL_model_by_name);
	sql_bind_text(st, 1, text);
	if (sql_number(&l->store, st, ret) && *ret >= 0)
		return true;
	return refuse(ret_error,
		control_error("no_such_model",
			"no model \"%s\" was ever in the catalogue: give its public id (aliases are not kept)", text));
}

static bool
key_of(const json_t *request, uint64_t *ret, json_t **ret_error)
{
	const char *text;
	*ret = 0;
	if (!control_text(request, &(struct text_rule){"key", 64, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || id_parse(ID_KEY, (struct span){text, strlen(text)}, ret))
		return true;
	return refuse(
		ret_error, control_error("bad_request", "\"key\" must be the id of a key (key_…), not the key itself"));
}

/* ---- answer ---- */

static json_t *
sums_json(sqlite3_stmt *st, int at)
{
	json_t *o = json_object(), *tokens = json_object();
	json_object_set_new(o, "requests", json_integer(sqlite3_column_int64(st, at)));
	json_object_set_new(o, "failed", json_integer(sqlite3_column_int64(st, at + 1)));
	control_put_nano(o, "cost", sqlite3_column_int64(st, at + 2));
	at += 3;
#define X(name, meaning, fallback) json_object_set_new(tokens, #name, json_integer(sqlite3_column_int64(st, at++)));
	TOKEN_KINDS(X)
#undef X
	json_object_set_new(o, "tokens", tokens);
	json_object_set_new(o, "tool_calls", json_integer(sqlite3_column_int64(st, at)));
	return o;
}

void
control_put_name(struct ledger *l, json_t *o, const char *member, enum sql name_by_id, int64_t id)
{
	sqlite3_stmt *st = store_sql(&l->store, name_by_id);
	sql_bind(st, id);
	if (sql_step(&l->store, st) == SQL_ROW)
		json_object_set_new(o, member, json_string((const char *)sqlite3_column_text(st, 0)));
	else
		json_object_set_new(o, member, json_null());
	sqlite3_reset(st);
}

static void
put_day(json_t *o, int64_t day)
{
	char text[16];
	time_t seconds = (time_t)(day * 86400);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	json_object_set_new(o, "day", json_string(text));
}

static void
put_group(struct ledger *l, json_t *o, const struct group *g, int64_t value)
{
	switch (g->by) {
	case BY_NONE:
		break;
	case BY_MODEL:
		control_put_name(l, o, "model", SQL_model_by_id, value);
		break;
	case BY_KEY:
		control_put_id(o, "key", ID_KEY, (uint64_t)value);
		break;
	case BY_DAY:
		put_day(o, value);
		break;
	case BY_ACCOUNT:
		control_put_id(o, "account", ID_ACCOUNT, (uint64_t)value);
		break;
	}
}

static sqlite3_stmt *
prepare(struct ledger *l, const struct query *q, const char *group_by)
{
	char text[1024];
	sqlite3_stmt *st;
	/* The dearest first, but days in their order. Only names from the table above get into the text. */
	if (group_by == NULL)
		snprintf(text, sizeof(text), "SELECT 0, " COLUMNS CONDITIONS);
	else
		snprintf(text, sizeof(text), "SELECT %s, " COLUMNS CONDITIONS " GROUP BY %s ORDER BY %s LIMIT %lld",
			group_by, group_by, q->group->by == BY_DAY ? "day DESC" : "sum(cost_nano) DESC", (long long)q->limit);
	if (sqlite3_prepare_v2(l->store.db, text, -1, &st, NULL) != SQLITE_OK) {
		l->store.code = sqlite3_extended_errcode(l->store.db);
		return NULL;
	}
	sql_bind(st, (int64_t)q->account, (int64_t)q->key, q->model, q->since, q->until);
	return st;
}

static json_t *
list(struct ledger *l, const struct query *q, const char *group_by)
{
	json_t *rows = json_array();
	sqlite3_stmt *st = prepare(l, q, group_by);
	enum sql_step step = SQL_FAILED;
	while (st != NULL && (step = sql_step(&l->store, st)) == SQL_ROW) {
		json_t *row = sums_json(st, 1);
		if (group_by != NULL)
			put_group(l, row, q->group, sqlite3_column_int64(st, 0));
		json_array_append_new(rows, row);
	}
	sqlite3_finalize(st);
	if (step == SQL_END)
		return rows;
	json_decref(rows);
	return NULL;
}

json_t *
control_usage(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct query q;
	if (!control_account_filter(l, request, &q.account, &error) || !key_of(request, &q.key, &error) ||
		!model_of(l, request, &q.model, &error) || !day_of(request, "since", &q.since, &error) ||
		!day_of(request, "until", &q.until, &error) || !group_of(request, &q.group, &error) ||
		!control_limit(request, &q.limit, &error))
		return error;
	if (!usage_flush(l))
		return control_store_failed(l);
	json_t *total = list(l, &q, NULL), *rows = q.group->by == BY_NONE ? json_array() : list(l, &q, q.group->column);
	if (total == NULL || rows == NULL) {
		json_decref(total);
		json_decref(rows);
		return control_store_failed(l);
	}
	json_t *answer = control_ok();
	json_object_set(answer, "total", json_array_get(total, 0));
	json_decref(total);
	json_object_set_new(answer, "group", json_string(q.group->name));
	json_object_set_new(answer, "rows", rows);
	return answer;
}
