/* What was used, summed up by up to two dimensions: from the sums per day where they know enough, else from the tickets themselves. */
#include "ledger/ledger_priv.h"
#include "ledger/moment.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MONTH_OF(seconds) \
	"strftime('%Y', " seconds ", 'unixepoch') * 12 + strftime('%m', " seconds ", 'unixepoch') - 1"

/* X(NAME, in requests and rows, over usage_day or NULL: it does not know, over ticket) */
#define USAGE_DIMENSIONS(X) \
	X(MONTH, "month", MONTH_OF("day * 86400"), MONTH_OF("started_us / 1000000")) \
	X(DAY, "day", "day", "started_us / 86400000000") \
	X(HOUR, "hour", NULL, "started_us / 3600000000") \
	X(ACCOUNT, "account", "account", "account") \
	X(KEY, "key", "key", "key") \
	X(MODEL, "model", "model", "model") \
	X(PROVIDER, "provider", NULL, "provider") \
	X(ENDPOINT, "endpoint", NULL, "endpoint") \
	X(TIER, "tier", NULL, "tier") \
	X(END_REASON, "end_reason", NULL, "end_reason") \
	X(STATUS, "status", NULL, "status")

enum by {
#define X(name, text, over_day, over_ticket) BY_##name,
	USAGE_DIMENSIONS(X)
#undef X
};

static const struct dimension {
	enum by by;
	const char *name, *over_day, *over_ticket;
} dimensions[] = {
#define X(name, text, over_day, over_ticket) {BY_##name, text, over_day, over_ticket},
	USAGE_DIMENSIONS(X)
#undef X
};

enum { BY_MAX = 2,
	DAY_S = 86400 };
#define DAY_US ((int64_t)DAY_S * 1000000)
/* A ticket's id is made after its start, unless the clock was set back in between: this far it is looked for. */
#define CLOCK_SLACK_MS ((int64_t)DAY_S * 1000)

struct query {
	uint64_t account, key; /* 0: any */
	int64_t model, provider, end_reason, status; /* -1: any */
	int64_t since_us, until_us; /* from, and before */
	int64_t limit;
	const struct dimension *by[BY_MAX];
	unsigned by_count;
};

/* ---- request ---- */

static bool
refuse(json_t **ret_error, json_t *error)
{
	*ret_error = error;
	return false;
}

static const struct dimension *
dimension_of(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(dimensions); i++)
		if (strlen(dimensions[i].name) == len && strncmp(dimensions[i].name, text, len) == 0)
			return &dimensions[i];
	return NULL;
}

static bool
group_of(const json_t *request, struct query *q, json_t **ret_error)
{
	const char *text;
	q->by_count = 0;
	if (!control_text(request, &(struct text_rule){"group", 64, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || strcmp(text, "none") == 0)
		return true;
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");
		const struct dimension *d = dimension_of(at, len);
		if (d == NULL || q->by_count == BY_MAX || (q->by_count > 0 && q->by[0] == d))
			return refuse(ret_error,
				control_error("bad_request",
					"\"group\" must be none or one or two different of month, day, hour, account, key, model, provider, endpoint, tier, end_reason, "
					"status with a comma between, not \"%s\"",
					text));
		q->by[q->by_count++] = d;
		at += len;
		if (*at == '\0')
			return true;
	}
}

/* A day as `until` counts with all of it. */
static bool
moment_of(const json_t *request, const char *name, int64_t none, int64_t *ret_us, json_t **ret_error)
{
	const char *text;
	int64_t s;
	bool day;
	*ret_us = none;
	if (!control_text(request, &(struct text_rule){name, 40, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	if (!moment_parse(text, (int64_t)(clock_wall_us() / 1000000), &s, &day))
		return refuse(
			ret_error, control_error("bad_request", "\"%s\" must be " MOMENT_EXAMPLES ", not \"%s\"", name, text));
	if (day)
		s = (s < 0 ? 0 : s) / DAY_S * DAY_S + (none == 0 ? 0 : DAY_S);
	*ret_us = (s < 0 ? 0 : s) * 1000000;
	return true;
}

static bool
range_of(const json_t *request, struct query *q, json_t **ret_error)
{
	if (!moment_of(request, "since", 0, &q->since_us, ret_error) ||
		!moment_of(request, "until", INT64_MAX, &q->until_us, ret_error))
		return false;
	if (q->since_us < q->until_us)
		return true;
	return refuse(
		ret_error, control_error("bad_request", "\"since\" is not before \"until\": there is no time between them"));
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
	const struct catalogue_model *m =
		l->o.catalogue == NULL ? NULL : catalogue_find_model(l->o.catalogue, (struct span){text, strlen(text)});
	if (m != NULL) {
		*ret = m->id;
		return true;
	}
	sqlite3_stmt *st = store_sql(&l->store, SQL_model_by_name);
	sql_bind_text(st, 1, text);
	if (sql_number(&l->store, st, ret) && *ret >= 0)
		return true;
	return refuse(ret_error,
		control_error("no_such_model",
			"no model \"%s\" was ever in the catalogue: give its public id (aliases are known while a server runs)",
			text));
}

static bool
provider_of(struct ledger *l, const json_t *request, int64_t *ret, json_t **ret_error)
{
	const char *text;
	*ret = -1;
	if (!control_text(request, &(struct text_rule){"provider", 128, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	sqlite3_stmt *st = store_sql(&l->store, SQL_provider_by_name);
	sql_bind_text(st, 1, text);
	if (sql_number(&l->store, st, ret) && *ret >= 0)
		return true;
	return refuse(ret_error,
		control_error("no_such_provider", "no provider \"%s\" was ever in the catalogue: give its name there", text));
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

static bool
end_of(const json_t *request, struct query *q, json_t **ret_error)
{
	const char *text;
	const json_t *status = json_object_get(request, "status");
	q->end_reason = q->status = -1;
	if (!control_text(request, &(struct text_rule){"end_reason", 40, false}, &text, ret_error))
		return false;
	if (text[0] != '\0' && !control_reason_parse(text, &q->end_reason))
		return refuse(ret_error,
			control_error("bad_request",
				"\"end_reason\" must be a way to end like COMPLETED or CLIENT_GONE, not \"%s\"", text));
	if (status == NULL || json_is_null(status))
		return true;
	q->status = json_integer_value(status);
	if (json_is_integer(status) && q->status >= 0 && q->status <= 999)
		return true;
	return refuse(ret_error, control_error("bad_request", "\"status\" must be an HTTP status like 200"));
}

/* ---- answer ---- */

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

void
control_put_day(json_t *o, const char *name, int64_t day)
{
	char text[16];
	time_t seconds = (time_t)(day * DAY_S);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	json_object_set_new(o, name, json_string(text));
}

static void
put_month(json_t *o, int64_t month)
{
	char text[32];
	snprintf(text, sizeof(text), "%04lld-%02lld", (long long)(month / 12), (long long)(month % 12 + 1));
	json_object_set_new(o, "month", json_string(text));
}

static void
put_dimension(struct ledger *l, json_t *o, const struct dimension *d, int64_t value)
{
	switch (d->by) {
	case BY_MONTH:
		put_month(o, value);
		break;
	case BY_DAY:
		control_put_day(o, "day", value);
		break;
	case BY_HOUR:
		control_put_time(o, "hour", value * 3600 * 1000000);
		break;
	case BY_ACCOUNT:
		control_put_id(o, "account", ID_ACCOUNT, (uint64_t)value);
		control_put_name(l, o, "account_name", SQL_account_name, value);
		break;
	case BY_KEY:
		control_put_id(o, "key", ID_KEY, (uint64_t)value);
		control_put_name(l, o, "key_name", SQL_key_name, value);
		break;
	case BY_MODEL:
		control_put_name(l, o, "model", SQL_model_by_id, value);
		break;
	case BY_PROVIDER:
		control_put_name(l, o, "provider", SQL_provider_by_id, value);
		break;
	case BY_ENDPOINT:
		control_put_endpoint(o, value);
		break;
	case BY_TIER:
		control_put_tier(o, value);
		break;
	case BY_END_REASON:
		json_object_set_new(o, "end_reason", json_string(control_reason_name((uint8_t)value)));
		break;
	case BY_STATUS:
		json_object_set_new(o, "status", json_integer(value));
		break;
	}
}

static json_t *
columns_json(const struct query *q)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < q->by_count; i++) {
		json_array_append_new(list, json_string(q->by[i]->name));
		if (q->by[i]->by == BY_ACCOUNT)
			json_array_append_new(list, json_string("account_name"));
		if (q->by[i]->by == BY_KEY)
			json_array_append_new(list, json_string("key_name"));
	}
	return list;
}

static void
put_sums(json_t *o, const int64_t counts[USAGE_COUNTS])
{
	json_t *tokens = json_object();
	json_object_set_new(o, "requests", json_integer(counts[0]));
	json_object_set_new(o, "failed", json_integer(counts[1]));
	control_put_nano(o, "cost", counts[2]);
	const int64_t *at = counts + 3;
#define X(name, meaning, fallback) json_object_set_new(tokens, #name, json_integer(*at++));
	TOKEN_KINDS(X)
#undef X
	json_object_set_new(o, "tokens", tokens);
	json_object_set_new(o, "tool_calls", json_integer(*at));
}

/* ---- store ---- */

#define SUM(name, meaning, fallback) ", sum(tokens_" #name ")"
#define OF_DAYS \
	"sum(requests), sum(failed), sum(cost_nano)" TOKEN_KINDS( \
		SUM) ", sum(tool_calls) FROM usage_day" \
			 " WHERE day >= ?1 / 86400000000 AND day < ?2 / 86400000000"
/* A leg is a request, too, without cost: the sums per day say the same. */
#define OF_TICKETS \
	"count(*), sum(end_reason <> 1), sum(cost_nano)" TOKEN_KINDS( \
		SUM) ", sum(tools_web_search + tools_file_search + tools_code_session) FROM ticket" \
			 " WHERE id >= ?7 AND started_us >= ?1 AND started_us < ?2 AND (?6 < 0 OR provider = ?6) AND (?8 < 0 OR end_reason = ?8) AND (?9 < 0 OR " \
			 "status = ?9)"
#define OF_BOTH " AND (?3 = 0 OR account = ?3) AND (?4 = 0 OR key = ?4) AND (?5 < 0 OR model = ?5)"
_Static_assert(END_COMPLETED == 1, "OF_TICKETS counts what failed");

/* The sums per day are a hundredth or less of the tickets: taken whenever they know enough. */
static bool
days_are_enough(const struct query *q)
{
	for (unsigned i = 0; i < q->by_count; i++)
		if (q->by[i]->over_day == NULL)
			return false;
	bool until_day = q->until_us == INT64_MAX || q->until_us % DAY_US == 0;
	return q->provider < 0 && q->end_reason < 0 && q->status < 0 && q->since_us % DAY_US == 0 && until_day;
}

static bool
is_time(const struct dimension *d)
{
	return d->by == BY_MONTH || d->by == BY_DAY || d->by == BY_HOUR;
}

/* What is newest first, then the dearest. Only texts of this file get into the statement. */
static void
statement(const struct query *q, bool days, char *out, size_t cap)
{
	size_t len = (size_t)snprintf(out, cap, "SELECT ");
	for (unsigned i = 0; i < BY_MAX; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s, ",
			i >= q->by_count ? "0"
				: days       ? q->by[i]->over_day
							 : q->by[i]->over_ticket);
	len += (size_t)snprintf(out + len, cap - len, "%s%s", days ? OF_DAYS : OF_TICKETS, OF_BOTH);
	if (q->by_count > 0)
		len += (size_t)snprintf(out + len, cap - len, " GROUP BY %s ORDER BY ", q->by_count == 1 ? "1" : "1, 2");
	for (unsigned i = 0; i < q->by_count; i++)
		if (is_time(q->by[i]))
			len += (size_t)snprintf(out + len, cap - len, "%u DESC, ", i + 1);
	if (q->by_count > 0)
		snprintf(out + len, cap - len, "sum(cost_nano) DESC, 1, 2");
}

static int64_t
first_id(const struct query *q)
{
	int64_t ms = q->since_us / 1000 - CLOCK_SLACK_MS - (int64_t)TICKET_ID_EPOCH_MS;
	return ms <= 0 ? 0 : ms >= (1LL << 40) ? INT64_MAX
										   : ms << 23;
}

static int
breathe(void *arg)
{
	ledger_breathe(arg);
	return 0;
}

/* Every group is summed up, the first `limit` are listed. */
static bool
sum_up(struct ledger *l, const struct query *q, struct store *s, json_t *answer)
{
	char text[2048];
	bool days = days_are_enough(q);
	int64_t counts[USAGE_COUNTS], total[USAGE_COUNTS] = {0};
	json_t *rows = json_object_get(answer, "rows"), *sums = json_object();
	sqlite3_stmt *st;
	statement(q, days, text, sizeof(text));
	if (sqlite3_prepare_v2(s->db, text, -1, &st, NULL) != SQLITE_OK) {
		s->code = sqlite3_extended_errcode(s->db);
		json_decref(sums);
		return false;
	}
	const int64_t values[] = {q->since_us, q->until_us, (int64_t)q->account, (int64_t)q->key, q->model, q->provider,
		first_id(q), q->end_reason, q->status};
	sql_bind_ints(st, values, days ? 5 : ARRAY_LEN(values));
	int64_t groups = 0;
	enum sql_step step;
	while ((step = sql_step(s, st)) == SQL_ROW) {
		for (int i = 0; i < USAGE_COUNTS; i++) {
			counts[i] = sqlite3_column_int64(st, BY_MAX + i);
			total[i] += counts[i];
		}
		if (q->by_count == 0 || groups++ >= q->limit)
			continue;
		json_t *row = json_object();
		for (unsigned i = 0; i < q->by_count; i++)
			put_dimension(l, row, q->by[i], sqlite3_column_int64(st, (int)i));
		put_sums(row, counts);
		json_array_append_new(rows, row);
	}
	sqlite3_finalize(st);
	put_sums(sums, total);
	json_object_set_new(answer, "total", sums);
	json_object_set_new(answer, "more", json_boolean(groups > q->limit));
	return step == SQL_END;
}

/* By a connection of its own, so that booking goes on meanwhile. */
static json_t *
ask_store(struct ledger *l, const struct query *q, json_t *answer)
{
	struct store reader;
	char why[STORE_WHY_MAX] = "";
	bool ok = store_open_reader(&reader, l->path, why);
	if (ok) {
		sqlite3_progress_handler(reader.db, 20000, breathe, l);
		ok = sum_up(l, q, &reader, answer);
		if (!ok)
			snprintf(why, sizeof(why), "%s", sqlite3_errmsg(reader.db));
		store_close(&reader);
	}
	if (ok)
		return answer;
	json_decref(answer);
	return control_error("store_failed", "usage can't be read: %s", why);
}

json_t *
control_usage(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct query q;
	if (!control_account_filter(l, request, &q.account, &error) || !key_of(request, &q.key, &error) ||
		!model_of(l, request, &q.model, &error) || !provider_of(l, request, &q.provider, &error) ||
		!end_of(request, &q, &error) || !range_of(request, &q, &error) || !group_of(request, &q, &error) ||
		!control_limit(request, &q.limit, &error))
		return error;
	if (!usage_flush(l))
		return control_store_failed(l);
	char group[64];
	snprintf(group, sizeof(group), "%s%s%s", q.by_count == 0 ? "none" : q.by[0]->name, q.by_count == 2 ? "," : "",
		q.by_count == 2 ? q.by[1]->name : "");
	json_t *answer = control_ok();
	json_object_set_new(answer, "group", json_string(group));
	json_object_set_new(answer, "columns", columns_json(&q));
	control_put_time(answer, "since", q.since_us);
	control_put_time(answer, "before", q.until_us == INT64_MAX ? 0 : q.until_us);
	json_object_set_new(answer, "rows", json_array());
	return ask_store(l, &q, answer);
}
