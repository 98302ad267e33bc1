/* GET models, in each dialect's shape: made once from the catalogue, which is the operator's own and no content. */
#include "edge/limit.h"

#include "edge/passage.h"

#include <stdlib.h>

enum { MODEL_JSON_MAX = CATALOGUE_NAME_MAX * 6 * 4 + 1024 };

/* ---- prices, in dollars per million tokens ---- */

static void
add_price(struct text *t, const char *before, int64_t pico)
{
	char digits[6];
	size_t len = sizeof digits;
	uint64_t rest = (uint64_t)pico % 1000000;
	for (size_t i = len; i-- > 0; rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	while (len > 2 && digits[len - 1] == '0')
		len--;
	text_str(t, before);
	text_u64(t, (uint64_t)pico / 1000000);
	text_lit(t, ".");
	text_add(t, digits, len);
	text_lit(t, "\"");
}

/* Of the standard tier, now. */
static void
add_pricing(struct text *t, const struct catalogue_price *p)
{
	if (!p)
		return;
	add_price(t, ",\"pricing\":{\"unit\":\"dollars per million tokens\",\"input\":\"", p->pico[TOKEN_input]);
	add_price(t, ",\"cached_input\":\"", p->pico[TOKEN_cached]);
	add_price(t, ",\"cache_write\":\"", p->pico[TOKEN_cache_write]);
	add_price(t, ",\"output\":\"", p->pico[TOKEN_output]);
	text_lit(t, "}");
}

static void
add_numbers(struct text *t, const struct catalogue_model *m)
{
	text_lit(t, ",\"context_window\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"max_output_tokens\":");
	text_u64(t, m->output_tokens);
	text_str(t, m->reasoning ? ",\"reasoning\":true" : ",\"reasoning\":false");
}

/* ---- a model in each shape ---- */

static void
openai_model(struct text *t, const struct catalogue_model *m, const struct catalogue_price *p, struct span id)
{
	text_lit(t, "{\"id\":\"");
	text_json(t, id);
	text_lit(t, "\",\"object\":\"model\",\"created\":");
	text_u64(t, m->created_s);
	text_lit(t, ",\"owned_by\":\"lethe\"");
	add_numbers(t, m);
	add_pricing(t, p);
	text_lit(t, "}");
}

static void
anthropic_model(struct text *t, const struct catalogue_model *m, const struct catalogue_price *p, struct span id)
{
	text_lit(t, "{\"type\":\"model\",\"id\":\"");
	text_json(t, id);
	text_lit(t, "\",\"display_name\":\"");
	text_json(t, id);
	text_lit(t, "\",\"created_at\":\"");
	text_time(t, m->created_s);
	text_lit(t, "\",\"max_input_tokens\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"max_tokens\":");
	text_u64(t, m->output_tokens);
	add_pricing(t, p);
	text_lit(t, "}");
}

static void
gemini_model(struct text *t, const struct catalogue_model *m, const struct catalogue_price *p, struct span id)
{
	text_lit(t, "{\"name\":\"models/");
	text_json(t, id);
	text_lit(t, "\",\"baseModelId\":\"");
	text_json(t, id);
	text_lit(t, "\",\"version\":\"1\",\"displayName\":\"");
	text_json(t, id);
	text_lit(t, "\",\"inputTokenLimit\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"outputTokenLimit\":");
	text_u64(t, m->output_tokens);
	text_lit(t, ",\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\",\"embedContent\",\"batchEmbedContents\"]");
	text_str(t, m->reasoning ? ",\"thinking\":true" : "");
	add_pricing(t, p);
	text_lit(t, "}");
}

static const struct list {
	void (*model)(struct text *t, const struct catalogue_model *m, const struct catalogue_price *p, struct span id);
	struct span begin, end;
	bool ends_named; /* first and last id stand at the end */
} lists[DIALECT_COUNT] = {
	[DIALECT_OPENAI] = {openai_model, SPAN_INIT("{\"object\":\"list\",\"data\":["), SPAN_INIT("]}"), false},
	[DIALECT_ANTHROPIC] = {anthropic_model, SPAN_INIT("{\"data\":["), SPAN_INIT("],\"has_more\":false"), true},
	[DIALECT_GEMINI] = {gemini_model, SPAN_INIT("{\"models\":["), SPAN_INIT("]}"), false},
};

static bool
speaks(const struct catalogue *c, const struct catalogue_model *m, enum dialect dialect)
{
	for (uint32_t i = 0; i < m->target_count; i++)
		if (passage_reaches(catalogue_provider(c, catalogue_target(c, m->target_at + i)->provider), dialect))
			return true;
	return false;
}

static void
add_end(struct text *t, const char *member, struct span id)
{
	text_str(t, member);
	if (id.len) {
		text_lit(t, "\"");
		text_json(t, id);
		text_lit(t, "\"");
	} else
		text_lit(t, "null");
}

static size_t
room_for(const struct catalogue *c)
{
	return 64 + 4 * CATALOGUE_NAME_MAX + (size_t)c->name_count * MODEL_JSON_MAX;
}

/* Those that can be called in this dialect, by x; NULL: by anybody. */
static void
list_models(struct edge *e, enum dialect dialect, const struct exchange *x, struct text *t)
{
	const struct catalogue *c = e->p->catalogue;
	const struct list *l = &lists[dialect];
	uint64_t now_ms = edge_wall_ms(e);
	struct span first = {0}, last = {0};
	text_span(t, l->begin);
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		const struct catalogue_model *m = catalogue_model(c, n->model);
		if (!speaks(c, m, dialect) || (x && !limit_allows(x, m)))
			continue;
		if (last.len)
			text_lit(t, ",");
		last = (struct span){n->name, n->name_len};
		first = first.len ? first : last;
		l->model(t, m, catalogue_price_now(c, m, now_ms), last);
	}
	text_span(t, l->end);
	if (l->ends_named) {
		add_end(t, ",\"first_id\":", first);
		add_end(t, ",\"last_id\":", last);
		text_lit(t, "}");
	}
}

/* The next time at which a price changes. */
static uint64_t
prices_until(const struct edge *e)
{
	const struct catalogue *c = e->p->catalogue;
	uint64_t now_ms = edge_wall_ms(e), until = UINT64_MAX;
	for (uint32_t i = 0; i < c->price_count; i++) {
		uint64_t from_ms = catalogue_price(c, i)->from_ms;
		if (from_ms > now_ms && from_ms < until)
			until = from_ms;
	}
	return until;
}

static void
make_lists(struct edge *e)
{
	for (int d = 0; d < DIALECT_COUNT; d++) {
		struct text t = text_on((char *)e->models_json[d].at, room_for(e->p->catalogue));
		list_models(e, (enum dialect)d, NULL, &t);
		e->models_json[d].len = t.len;
	}
	e->models_until_ms = prices_until(e);
}

bool
models_prepare(struct edge *e)
{
	for (int d = 0; d < DIALECT_COUNT; d++) {
		e->models_json[d].at = malloc(room_for(e->p->catalogue));
		if (!e->models_json[d].at)
			return false;
	}
	make_lists(e);
	return true;
}

/* A key that may not use all of them has a list of its own. */
static void
answer_list(struct exchange *x)
{
	struct edge *e = x->edge;
	if (edge_wall_ms(e) >= e->models_until_ms)
		make_lists(e);
	if (!limit_has_list(x)) {
		answer_json(x, 200, e->models_json[x->dialect]);
		return;
	}
	size_t cap = room_for(e->p->catalogue);
	char *room = vault_alloc(e->vault, cap);
	if (!room) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct text t = text_on(room, cap);
	list_models(e, (enum dialect)x->dialect, x, &t);
	answer_json(x, 200, (struct span){t.at, t.len});
	vault_free(e->vault, room, cap);
}

void
models_answer(struct exchange *x, struct span id)
{
	const struct catalogue *c = x->edge->p->catalogue;
	enum dialect dialect = (enum dialect)x->dialect;
	if (!id.at) {
		answer_list(x);
		return;
	}
	const struct catalogue_model *m = catalogue_find_model(c, id);
	if (!m || !speaks(c, m, dialect) || !limit_allows(x, m)) {
		if (id.len <= REQUEST_MODEL_MAX)
			answer_error(x, END_NO_MODEL, "model", id);
		exchange_end(x, END_NO_MODEL);
		return;
	}
	char room[MODEL_JSON_MAX];
	struct text t = text_on(room, sizeof room);
	lists[dialect].model(&t, m, catalogue_price_now(c, m, edge_wall_ms(x->edge)), id);
	answer_json(x, 200, (struct span){t.at, t.len});
}
