/* GET models, in each dialect's shape: made once from the catalogue, which is the operator's own and no content. */
#include "edge/edge_priv.h"

#include <stdlib.h>

enum { MODEL_JSON_MAX = CATALOGUE_NAME_MAX * 4 + 512 };

static void
openai_model(struct text *t, const struct catalogue_model *m, struct span id)
{
	text_lit(t, "{\"id\":\"");
	text_json(t, id);
	text_lit(t, "\",\"object\":\"model\",\"created\":");
	text_u64(t, m->created_s);
	text_lit(t, ",\"owned_by\":\"lethe\"}");
}

/* Two digits, or four for a year. */
static void
add_digits(struct text *t, uint64_t v, unsigned width)
{
	for (uint64_t unit = width == 4 ? 1000 : 10; unit; unit /= 10) {
		char digit = (char)('0' + v / unit % 10);
		text_add(t, &digit, 1);
	}
}

/* RFC 3339, by the civil calendar from days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static void
add_time(struct text *t, uint64_t unix_s)
{
	uint64_t z = unix_s / 86400 + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
	add_digits(t, era * 400 + yoe + (month <= 2), 4);
	text_lit(t, "-");
	add_digits(t, month, 2);
	text_lit(t, "-");
	add_digits(t, doy - (153 * mp + 2) / 5 + 1, 2);
	text_lit(t, "T");
	add_digits(t, unix_s / 3600 % 24, 2);
	text_lit(t, ":");
	add_digits(t, unix_s / 60 % 60, 2);
	text_lit(t, ":");
	add_digits(t, unix_s % 60, 2);
	text_lit(t, "Z");
}

static void
anthropic_model(struct text *t, const struct catalogue_model *m, struct span id)
{
	text_lit(t, "{\"type\":\"model\",\"id\":\"");
	text_json(t, id);
	text_lit(t, "\",\"display_name\":\"");
	text_json(t, id);
	text_lit(t, "\",\"created_at\":\"");
	add_time(t, m->created_s);
	text_lit(t, "\",\"max_input_tokens\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"max_tokens\":");
	text_u64(t, m->output_tokens);
	text_lit(t, "}");
}

static void
gemini_model(struct text *t, const struct catalogue_model *m, struct span id)
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
	text_lit(t, ",\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\",\"embedContent\",\"batchEmbedContents\"]}");
}

static const struct list {
	void (*model)(struct text *t, const struct catalogue_model *m, struct span id);
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
		if (catalogue_provider(c, catalogue_target(c, m->target_at + i)->provider)->dialect == dialect)
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

/* Those that can be called in this dialect. */
static bool
prepare(struct edge *e, enum dialect dialect)
{
	const struct catalogue *c = e->p->catalogue;
	const struct list *l = &lists[dialect];
	size_t cap = 64 + 4 * CATALOGUE_NAME_MAX + (size_t)c->name_count * MODEL_JSON_MAX;
	char *memory = malloc(cap);
	if (!memory)
		return false;
	struct text t = text_on(memory, cap);
	struct span first = {0}, last = {0};
	text_span(&t, l->begin);
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		const struct catalogue_model *m = catalogue_model(c, n->model);
		if (!speaks(c, m, dialect))
			continue;
		if (last.len)
			text_lit(&t, ",");
		last = (struct span){n->name, n->name_len};
		first = first.len ? first : last;
		l->model(&t, m, last);
	}
	text_span(&t, l->end);
	if (l->ends_named) {
		add_end(&t, ",\"first_id\":", first);
		add_end(&t, ",\"last_id\":", last);
		text_lit(&t, "}");
	}
	e->models_json[dialect] = (struct span){memory, t.len};
	return !t.cut;
}

bool
models_prepare(struct edge *e)
{
	for (int d = 0; d < DIALECT_COUNT; d++)
		if (!prepare(e, (enum dialect)d))
			return false;
	return true;
}

void
models_answer(struct exchange *x, struct span id)
{
	const struct catalogue *c = x->edge->p->catalogue;
	enum dialect dialect = (enum dialect)x->dialect;
	if (!id.at) {
		answer_json(x, 200, x->edge->models_json[dialect]);
		return;
	}
	const struct catalogue_model *m = catalogue_find_model(c, id);
	if (!m || !speaks(c, m, dialect)) {
		if (id.len <= REQUEST_MODEL_MAX)
			answer_error(x, END_NO_MODEL, "model", id);
		exchange_end(x, END_NO_MODEL);
		return;
	}
	char room[MODEL_JSON_MAX];
	struct text t = text_on(room, sizeof room);
	lists[dialect].model(&t, m, id);
	answer_json(x, 200, (struct span){t.at, t.len});
}
