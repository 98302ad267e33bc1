#include "proc/usage_export.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400,
	CELLS_MAX = 64 };
static const int64_t COUNT_MAX = INT64_MAX / EXPORT_ROWS_MAX / 16; /* sums of all rows and kinds stay in 64 bits */

struct reader {
	struct usage_export e;
	char *why;
};

static bool __attribute__((format(printf, 2, 3)))
fail(struct reader *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(r->why, EXPORT_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool
add(struct reader *r, const struct export_row *row)
{
	if (row->model[0] == '\0')
		return fail(r, "a row names no model: ask the provider for usage by model (group_by=model; for costs, line_item)");
	if (row->day < 0 || row->day > 200000)
		return fail(r, "a row is of no day: ask the provider for usage by day (bucket_width=1d)");
	for (int i = 0; i < EXPORT_KIND_COUNT; i++)
		if (row->tokens[i] < 0 || row->tokens[i] > COUNT_MAX)
			return fail(r, "a row of %.100s counts %lld tokens of a kind: is the right file?", row->model, (long long)row->tokens[i]);
	if (row->requests < 0 || row->requests > COUNT_MAX || llabs(row->cost_nano) > COUNT_MAX)
		return fail(r, "a row of %.100s counts what nobody can have asked for: is it the right file?", row->model);
	if (r->e.count == EXPORT_ROWS_MAX)
		return fail(r, "it has more than %d rows: take fewer days", EXPORT_ROWS_MAX);
	if ((r->e.count & (r->e.count - 1)) == 0) {
		r->e.rows = reallocarray(r->e.rows, r->e.count == 0 ? 1 : 2 * r->e.count, sizeof *r->e.rows);
		if (r->e.rows == NULL)
			abort();
	}
	r->e.rows[r->e.count++] = *row;
	return true;
}

/* "gpt-4o-2024-08-06, input" is a line of a bill. */
static void
set_model(struct export_row *row, const char *text, size_t len, bool line)
{
	const char *comma = line ? memchr(text, ',', len) : NULL;
	if (comma != NULL)
		len = (size_t)(comma - text);
	snprintf(row->model, sizeof row->model, "%.*s", (int)(len > EXPORT_MODEL_MAX ? EXPORT_MODEL_MAX : len), text);
}

/* ---- JSON ---- */

static int64_t
count_of(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	return v == NULL || json_is_null(v) ? 0 : json_is_integer(v) ? json_integer_value(v)
																 : -1;
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text != NULL ? text : "";
}

static bool
read_anthropic(struct reader *r, const json_t *o, struct export_row *row)
{
	const json_t *writes = json_object_get(o, "cache_creation");
	row->tokens[EXPORT_input] = count_of(o, "uncached_input_tokens");
	row->tokens[EXPORT_cached] = count_of(o, "cache_read_input_tokens");
	row->tokens[EXPORT_cache_write] = count_of(writes, "ephemeral_5m_input_tokens");
	row->tokens[EXPORT_cache_write_1h] = count_of(writes, "ephemeral_1h_input_tokens");
	row->tokens[EXPORT_output] = count_of(o, "output_tokens");
	r->e.counts = r->e.cache_writes = true;
	return add(r, row);
}

static bool
read_openai(struct reader *r, const json_t *o, struct export_row *row)
{
	row->requests = count_of(o, "num_model_requests");
	row->tokens[EXPORT_cached] = count_of(o, "input_cached_tokens");
	row->tokens[EXPORT_input] = count_of(o, "input_tokens") - row->tokens[EXPORT_cached];
	row->tokens[EXPORT_output] = count_of(o, "output_tokens");
	r->e.counts = true;
	return add(r, row);
}

static bool
read_cost(struct reader *r, const json_t *o, struct export_row *row)
{
	const json_t *amount = json_object_get(o, "amount");
	const char *line = text_of(o, "line_item");
	double value = json_number_value(json_object_get(amount, "value"));
	if (strcmp(text_of(amount, "currency"), "usd") != 0 || !(fabs(value) < 1e9))
		return fail(r, "a cost is not in dollars (\"usd\")");
	row->cost_nano = llround(value * 1e9);
	set_model(row, line, strlen(line), true);
	r->e.costs = true;
	return add(r, row);
}

static bool
read_result(struct reader *r, const json_t *o, int64_t day)
{
	struct export_row row = {.day = day};
	const char *model = text_of(o, "model");
	set_model(&row, model, strlen(model), false);
	if (json_object_get(o, "amount") != NULL)
		return read_cost(r, o, &row);
	if (json_object_get(o, "uncached_input_tokens") != NULL)
		return read_anthropic(r, o, &row);
	if (json_object_get(o, "input_tokens") != NULL)
		return read_openai(r, o, &row);
	return fail(r, "a result has neither input_tokens nor uncached_input_tokens nor an amount: it is no usage or costs of OpenAI's, and no usage report of Anthropic's");
}

static int64_t
day_of_text(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	return end == NULL ? -1 : (int64_t)(timegm(&tm) / DAY_S);
}

static bool
read_bucket(struct reader *r, const json_t *o)
{
	const json_t *start = json_object_get(o, "start_time"), *result;
	int64_t day = json_is_integer(start) ? json_integer_value(start) / DAY_S : day_of_text(text_of(o, "starting_at"));
	size_t i;
	json_array_foreach(json_object_get(o, "results"), i, result) if (!read_result(r, result, day)) return false;
	return true;
}

static bool
read_page(struct reader *r, const json_t *o, bool last)
{
	const json_t *data = json_object_get(o, "data"), *bucket;
	size_t i;
	if (!json_is_array(data))
		return fail(r, "it has no \"data\": give the answer of the provider's API as it came");
	json_array_foreach(data, i, bucket) if (!read_bucket(r, bucket)) return false;
	if (last && json_is_true(json_object_get(o, "has_more")))
		return fail(r, "it is one page of several (has_more): fetch the others too, and give all of them as one array: jq -s . page-*.json");
	return true;
}

static bool
read_json(struct reader *r, struct span text)
{
	json_error_t error;
	json_t *root = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error), *page;
	size_t i;
	bool ok = root != NULL || fail(r, "line %d is no JSON: %.160s", error.line, error.text);
	if (ok && !json_is_array(root))
		ok = read_page(r, root, true);
	else if (ok)
		json_array_foreach(root, i, page) if (ok) ok = read_page(r, page, i + 1 == json_array_size(root));
	json_decref(root);
	return ok;
}

/* ---- CSV, by RFC 4180 ---- */

struct line {
	struct span cells[CELLS_MAX];
	size_t count;
};

/* A quoted cell's own quotes are not undone: no name or number has any. */
static size_t
read_cell(struct span text, size_t at, struct span *ret)
{
	size_t from = at;
	if (at < text.len && text.at[at] == '"') {
		from = ++at;
		while (at < text.len && text.at[at] != '"')
			at++;
		*ret = (struct span){text.at + from, at - from};
		while (at < text.len && text.at[at] != ',' && text.at[at] != '\n')
			at++;
		return at;
	}
	while (at < text.len && text.at[at] != ',' && text.at[at] != '\n')
		at++;
	*ret = (struct span){text.at + from, at - from - (at > from && text.at[at - 1] == '\r')};
	return at;
}

static size_t
read_line(struct span text, size_t at, struct line *ret)
{
	struct span cell;
	ret->count = 0;
	for (;;) {
		at = read_cell(text, at, &cell);
		if (ret->count < CELLS_MAX)
			ret->cells[ret->count++] = cell;
		if (at >= text.len || text.at[at] == '\n')
			return at + 1;
		at++;
	}
}

static struct span
cell_of(const struct line *head, const struct line *l, const char *name)
{
	for (size_t i = 0; i < head->count && i < l->count; i++)
		if (head->cells[i].len == strlen(name) && memcmp(head->cells[i].at, name, head->cells[i].len) == 0)
			return l->cells[i];
	return (struct span){NULL, 0};
}

/* -1: no number. Numbers may be written as 12.0. */
static int64_t
number_of(const struct line *head, const struct line *l, const char *name)
{
	struct span cell = cell_of(head, l, name);
	int64_t n = 0;
	for (size_t i = 0; i < cell.len; i++) {
		if (cell.at[i] == '.')
			break;
		if (cell.at[i] < '0' || cell.at[i] > '9' || n > COUNT_MAX)
			return -1;
		n = 10 * n + (cell.at[i] - '0');
	}
	return n;
}

static bool
read_csv_cost(struct reader *r, const struct line *head, const struct line *l, struct export_row *row)
{
	struct span amount = cell_of(head, l, "amount_value"), item = cell_of(head, l, "line_item");
	char text[40];
	snprintf(text, sizeof text, "%.*s", (int)(amount.len < 39 ? amount.len : 39), amount.at != NULL ? amount.at : "");
	double value = strtod(text, NULL);
	if (!(fabs(value) < 1e9))
		return fail(r, "\"%s\" is no amount in dollars", text);
	row->cost_nano = llround(value * 1e9);
	if (item.at != NULL)
		set_model(row, item.at, item.len, true);
	r->e.costs = true;
	return add(r, row);
}

static bool
read_csv_row(struct reader *r, const struct line *head, const struct line *l)
{
	struct export_row row = {.day = number_of(head, l, "start_time") / DAY_S};
	struct span model = cell_of(head, l, "model");
	if (cell_of(head, l, "amount_value").len > 0)
		return read_csv_cost(r, head, l, &row);
	if (model.len == 0 && number_of(head, l, "input_tokens") == 0 && number_of(head, l, "output_tokens") == 0)
		return true; /* a day on which nothing was used */
	if (model.at != NULL)
		set_model(&row, model.at, model.len, false);
	row.requests = number_of(head, l, "num_model_requests");
	row.tokens[EXPORT_cached] = number_of(head, l, "input_cached_tokens");
	row.tokens[EXPORT_input] = number_of(head, l, "input_tokens") - row.tokens[EXPORT_cached];
	row.tokens[EXPORT_output] = number_of(head, l, "output_tokens");
	r->e.counts = true;
	return add(r, &row);
}

static bool
read_csv(struct reader *r, struct span text)
{
	struct line head, l;
	size_t at = read_line(text, 0, &head);
	bool sound = cell_of(&head, &head, "start_time").len > 0 && (cell_of(&head, &head, "input_tokens").len > 0 || cell_of(&head, &head, "amount_value").len > 0);
	if (!sound)
		return fail(r, "it is neither JSON nor a CSV with start_time and input_tokens, or amount_value: give what OpenAI's usage page exports, or an answer of the API");
	while (at < text.len) {
		at = read_line(text, at, &l);
		if (l.count > 1 && !read_csv_row(r, &head, &l))
			return false;
	}
	return true;
}

/* ---- both ---- */

static int
by_day_and_model(const void *a, const void *b)
{
	const struct export_row *x = a, *y = b;
	return x->day != y->day ? (x->day < y->day ? -1 : 1) : strcmp(x->model, y->model);
}

static void
merge(struct usage_export *e)
{
	size_t to = 0;
	if (e->count > 1)
		qsort(e->rows, e->count, sizeof *e->rows, by_day_and_model);
	for (size_t i = 1; i < e->count; i++) {
		struct export_row *into = &e->rows[to], *row = &e->rows[i];
		if (by_day_and_model(into, row) != 0) {
			e->rows[++to] = *row;
			continue;
		}
		into->requests += row->requests;
		into->cost_nano += row->cost_nano;
		for (int k = 0; k < EXPORT_KIND_COUNT; k++)
			into->tokens[k] += row->tokens[k];
	}
	e->count = e->count == 0 ? 0 : to + 1;
}

bool
usage_export_read(struct span text, struct usage_export *ret, char ret_why[EXPORT_WHY_MAX])
{
	struct reader r = {.why = ret_why};
	size_t at = 0;
	if (text.len > 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0)
		text = (struct span){text.at + 3, text.len - 3};
	while (at < text.len && strchr(" \t\r\n", text.at[at]) != NULL)
		at++;
	bool json = at < text.len && (text.at[at] == '{' || text.at[at] == '[');
	bool ok = json ? read_json(&r, text) : read_csv(&r, text);
	if (ok && r.e.counts && r.e.costs)
		ok = fail(&r, "it has usage and costs: give one after the other");
	if (ok && r.e.count == 0)
		ok = fail(&r, "there is nothing in it: no day has any usage");
	if (!ok) {
		free(r.e.rows);
		return false;
	}
	merge(&r.e);
	*ret = r.e;
	return true;
}

void
usage_export_free(struct usage_export *e)
{
	free(e->rows);
	*e = (struct usage_export){0};
}
