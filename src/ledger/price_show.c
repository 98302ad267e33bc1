#include "ledger/price_show.h"

#include "ledger/ledger_priv.h"
#include "ledger/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pico-dollars per token are millionths of a dollar per million tokens. */
static void
put_per_million(json_t *o, const char *name, int64_t pico)
{
	char text[40];
	snprintf(text, sizeof(text), "%lld.%06lld", (long long)(pico / 1000000), (long long)(pico % 1000000));
	json_object_set_new(o, name, json_string(text));
}

json_t *
price_show_row(const struct catalogue_price *p)
{
	static const char *const tiers[TIER_COUNT] = {
#define X(name) #name,
		SERVICE_TIERS(X)
#undef X
	};
	json_t *o = json_object(), *per_million = json_object();
	char id[20];
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)p->id);
	json_object_set_new(o, "price", json_string(id));
	control_put_time(o, "from", (int64_t)p->from_ms * 1000);
	json_object_set_new(o, "tier", json_string(p->tier < TIER_COUNT ? tiers[p->tier] : "unknown"));
	json_object_set_new(o, "above_tokens", json_integer(p->above_tokens));
	json_object_set_new(o, "geo_us_percent", json_integer(p->geo_us_x100));
#define X(name, meaning, fallback) put_per_million(per_million, #name, p->pico[TOKEN_##name]);
	TOKEN_KINDS(X)
#undef X
	json_object_set_new(o, "dollars_per_million_tokens", per_million);
	control_put_nano(o, "per_request", p->request_nano);
#define X(name, piece) control_put_nano(o, "per_" #name, p->tool_nano[TOOL_##name]);
	TOOL_KINDS(X)
#undef X
	return o;
}

/* ---- at a moment ---- */

static int
by_tier_and_size(const void *a, const void *b)
{
	const struct catalogue_price *x = *(const struct catalogue_price *const *)a,
								 *y = *(const struct catalogue_price *const *)b;
	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	return (x->above_tokens > y->above_tokens) - (x->above_tokens < y->above_tokens);
}

json_t *
price_show_at(const struct catalogue_price *const *rows, size_t count, uint64_t at_ms)
{
	uint64_t from = 0, next = UINT64_MAX;
	const struct catalogue_price **in_force = calloc(count + 1, sizeof(*in_force));
	size_t found = 0;
	if (in_force == NULL)
		abort();
	for (size_t i = 0; i < count; i++) {
		uint64_t start = rows[i]->from_ms;
		if (start <= at_ms && start > from)
			from = start;
		if (start > at_ms && start < next)
			next = start;
	}
	for (size_t i = 0; i < count; i++)
		if (rows[i]->from_ms == from)
			in_force[found++] = rows[i];
	json_t *o = NULL;
	if (found > 0) {
		qsort(in_force, found, sizeof(*in_force), by_tier_and_size);
		json_t *list = json_array();
		for (size_t i = 0; i < found; i++)
			json_array_append_new(list, price_show_row(in_force[i]));
		o = json_object();
		control_put_time(o, "at", (int64_t)at_ms * 1000);
		control_put_time(o, "from", (int64_t)from * 1000);
		control_put_time(o, "next", next == UINT64_MAX ? 0 : (int64_t)next * 1000);
		json_object_set_new(o, "rows", list);
	}
	free(in_force);
	return o;
}

static void
put_aliases(json_t *o, const struct catalogue *c, const struct catalogue_model *m)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		if (n->alias && catalogue_model(c, n->model) == m)
			json_array_append_new(list, json_string(n->name));
	}
	json_object_set_new(o, "aliases", list);
}

json_t *
price_show_catalogue(const struct catalogue *c, const char *model, uint64_t at_ms)
{
	const struct catalogue_model *m = catalogue_find_model(c, (struct span){model, strlen(model)});
	if (m == NULL)
		return NULL;
	const struct catalogue_price **rows = calloc(m->price_count + 1, sizeof(*rows));
	if (rows == NULL)
		abort();
	for (uint32_t i = 0; i < m->price_count; i++)
		rows[i] = catalogue_price(c, m->price_at + i);
	json_t *price = price_show_at(rows, m->price_count, at_ms), *answer = NULL;
	free(rows);
	if (price != NULL) {
		answer = control_ok();
		json_object_set_new(answer, "model", json_string(m->public_id));
		json_object_set_new(answer, "provider", json_string(catalogue_provider(c, catalogue_first_target(c, m)->provider)->name));
		json_object_set_new(answer, "upstream", json_string(catalogue_first_target(c, m)->upstream_id));
		put_aliases(answer, c, m);
		json_object_update(answer, price);
	}
	json_decref(price);
	return answer;
}

/* ---- the ledger's book ---- */

/* The book keeps what was corrected, too: of rows for the same requests from the same moment the one added last holds. */
static bool
is_superseded(const struct price_book *b, const struct price_row *r)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct price_row *other = &b->rows[i];
		bool same = other->model == r->model && other->price.from_ms == r->price.from_ms &&
			other->price.tier == r->price.tier && other->price.above_tokens == r->price.above_tokens;
		if (same &&
			(other->added_us > r->added_us || (other->added_us == r->added_us && other->price.id > r->price.id)))
			return true;
	}
	return false;
}

static json_t *
show_book(struct ledger *l, int64_t model, uint64_t at_ms)
{
	const struct catalogue_price **rows = calloc(l->prices.count + 1, sizeof(*rows));
	size_t count = 0;
	if (rows == NULL)
		abort();
	for (size_t i = 0; i < l->prices.count; i++)
		if (l->prices.rows[i].model == model && !is_superseded(&l->prices, &l->prices.rows[i]))
			rows[count++] = &l->prices.rows[i].price;
	json_t *price = price_show_at(rows, count, at_ms), *answer = NULL;
	free(rows);
	if (price != NULL) {
		answer = control_ok();
		control_put_name(l, answer, "model", SQL_model_by_id, model);
		json_object_update(answer, price);
	}
	json_decref(price);
	return answer;
}

static bool
at_of(const json_t *request, uint64_t *ret_ms, json_t **ret_error)
{
	const char *text;
	int64_t now_s = (int64_t)(clock_wall_us() / 1000000), s = now_s;
	bool day;
	if (!control_text(request, &(struct text_rule){"at", 40, false}, &text, ret_error))
		return false;
	if (text[0] == '\0' || (moment_parse(text, now_s, &s, &day) && s >= 0)) {
		*ret_ms = (uint64_t)s * 1000;
		return true;
	}
	*ret_error = control_error("bad_request", "\"at\" must be " MOMENT_EXAMPLES ", not \"%s\"", text);
	return false;
}

json_t *
control_price_show(struct ledger *l, const json_t *request)
{
	json_t *error, *answer = NULL;
	const char *name;
	uint64_t at_ms;
	int64_t model = -1;
	if (!control_text(request, &(struct text_rule){"model", 128, true}, &name, &error) ||
		!at_of(request, &at_ms, &error))
		return error;
	if (l->o.catalogue != NULL)
		answer = price_show_catalogue(l->o.catalogue, name, at_ms);
	if (answer != NULL)
		return answer;
	struct query *st = store_sql(&l->store, SQL_model_by_name);
	sql_bind_text(st, 1, name);
	if (!sql_number(&l->store, st, &model))
		return control_store_failed(l);
	bool known = model >= 0 ||
		(l->o.catalogue != NULL && catalogue_find_model(l->o.catalogue, (struct span){name, strlen(name)}) != NULL);
	if (model >= 0)
		answer = show_book(l, model, at_ms);
	if (answer != NULL)
		return answer;
	return known ? control_error("no_price", "no price of \"%s\" is in force then: its requests are refused", name)
				 : control_error("no_such_model",
					   "no model \"%s\" was ever in the catalogue: `lethe price list` shows all", name);
}

json_t *
control_price_list(struct ledger *l, const json_t *request)
{
	json_t *answer = control_ok(), *list = json_array();
	json_object_set_new(answer, "prices", list);
	struct query *st = store_sql(&l->store, SQL_price_all);
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		struct price_row r;
		price_book_row(st, &r);
		json_t *o = price_show_row(&r.price);
		const char *model = sql_str(st, 8 + TOOL_KIND_COUNT + TOKEN_KIND_COUNT);
		json_object_set_new(o, "model", model != NULL ? json_string(model) : json_null());
		control_put_time(o, "added", (int64_t)r.added_us);
		json_array_append_new(list, o);
	}
	if (step == SQL_END)
		return answer;
	json_decref(answer);
	return control_store_failed(l);
}
