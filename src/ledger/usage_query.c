/* What was used, summed up by up to two dimensions: the request and the answer. */
#include "ledger/usage_query.h"

#include "ledger/moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct usage_dimension dimensions[] = {
#define X(name, text, over_day, over_ticket) {BY_##name, text, over_day, over_ticket},
	USAGE_DIMENSIONS(X)
#undef X
};

enum { DAY_S = 86400 };

/* ---- request ---- */

static bool
refuse(json_t **ret_error, json_t *error)
{
	*ret_error = error;
	return false;
}

static const struct usage_dimension *
dimension_of(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(dimensions); i++)
		if (strlen(dimensions[i].name) == len && strncmp(dimensions[i].name, text, len) == 0)
			return &dimensions[i];
	return NULL;
}

static bool
group_of(const json_t *request, struct usage_query *q, json_t **ret_error)
{
	const char *text;
	q->by_count = 0;
	if (!control_text(request, &(struct text_rule){"group", 64, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || strcmp(text, "none") == 0)
		return true;
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");
		const struct usage_dimension *d = dimension_of(at, len);
		if (d == NULL || q->by_count == USAGE_BY_MAX || (q->by_count > 0 && q->by[0] == d))
			return refuse(ret_error,
				control_error("bad_request",
					"\"group\" must be none or one or two different of month, day, hour, account, key, model, provider, endpoint, tier, lane, end_reason, "
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
range_of(const json_t *request, struct usage_query *q, json_t **ret_error)
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
	struct query *st = store_sql(&l->store, SQL_model_by_name);
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
	struct query *st = store_sql(&l->store, SQL_provider_by_name);
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
end_of(const json_t *request, struct usage_query *q, json_t **ret_error)
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
	struct query *st = store_sql(&l->store, name_by_id);
	sql_bind(st, id);
	if (sql_step(&l->store, st) == SQL_ROW)
		json_object_set_new(o, member, json_string(sql_str(st, 0)));
	else
		json_object_set_new(o, member, json_null());
	sql_reset(st);
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

/* Names come from the catalogue of today; a lane that is not in it any more keeps its number. */
static void
put_lane(struct ledger *l, json_t *o, uint16_t lane)
{
	const char *name = l->o.catalogue != NULL ? catalogue_lane_name(l->o.catalogue, lane) : NULL;
	json_object_set_new(o, "lane", name != NULL ? json_string(name) : json_integer(lane));
}

static void
put_dimension(struct ledger *l, json_t *o, const struct usage_dimension *d, int64_t value)
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
	case BY_LANE:
		put_lane(l, o, (uint16_t)value);
		break;
	case BY_END_REASON:
		json_object_set_new(o, "end_reason", json_string(end_reason_name((uint64_t)value)));
		break;
	case BY_STATUS:
		json_object_set_new(o, "status", json_integer(value));
		break;
	}
}

static json_t *
columns_json(const struct usage_query *q)
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

/* Every group is in the total, the first `limit` are listed. */
static json_t *
answer_of(struct ledger *l, const struct usage_query *q, const struct usage_groups *g)
{
	char group[64];
	json_t *answer = control_ok(), *rows = json_array(), *total = json_object();
	snprintf(group, sizeof(group), "%s%s%s", q->by_count == 0 ? "none" : q->by[0]->name, q->by_count == 2 ? "," : "",
		q->by_count == 2 ? q->by[1]->name : "");
	json_object_set_new(answer, "group", json_string(group));
	json_object_set_new(answer, "columns", columns_json(q));
	control_put_time(answer, "since", q->since_us);
	control_put_time(answer, "before", q->until_us == INT64_MAX ? 0 : q->until_us);
	for (size_t i = 0; q->by_count > 0 && i < g->count && i < (size_t)q->limit; i++) {
		json_t *row = json_object();
		for (unsigned k = 0; k < q->by_count; k++)
			put_dimension(l, row, q->by[k], g->rows[i].by[k]);
		put_sums(row, g->rows[i].counts);
		json_array_append_new(rows, row);
	}
	put_sums(total, g->total.counts);
	json_object_set_new(answer, "rows", rows);
	json_object_set_new(answer, "total", total);
	json_object_set_new(answer, "more", json_boolean(q->by_count > 0 && g->count > (size_t)q->limit));
	return answer;
}

static bool
query_of(struct ledger *l, const json_t *request, struct usage_query *q, json_t **ret_error)
{
	q->free_attempts = json_is_true(json_object_get(request, "free_attempts"));
	q->no_own_keys = json_is_true(json_object_get(request, "no_own_keys"));
	return control_account_filter(l, request, &q->account, ret_error) && key_of(request, &q->key, ret_error) &&
		model_of(l, request, &q->model, ret_error) && provider_of(l, request, &q->provider, ret_error) &&
		end_of(request, q, ret_error) && range_of(request, q, ret_error) && group_of(request, q, ret_error) &&
		control_limit(request, &q->limit, ret_error);
}

json_t *
control_usage(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct usage_query q;
	struct usage_groups groups;
	char why[STORE_WHY_MAX] = "";
	if (!query_of(l, request, &q, &error))
		return error;
	if (!usage_flush(l))
		return control_store_failed(l);
	switch (usage_sum_up(l, &q, &groups, why)) {
	case USAGE_SUMMED:
		break;
	case USAGE_TOO_MANY:
		return control_error("too_many_rows", "that makes more than %d groups: ask for a shorter time, or by less", USAGE_ROWS_MAX);
	case USAGE_STORE_FAILED:
		return control_error("store_failed", "usage can't be read: %s", why);
	}
	json_t *answer = answer_of(l, &q, &groups);
	usage_groups_free(&groups);
	return answer;
}
