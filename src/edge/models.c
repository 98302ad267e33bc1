/* GET models, in each dialect's shape: made once from the catalogue, which is the operator's own and no content. */
#include "edge/models.h"

#include "edge/limit.h"
#include "edge/passage.h"

#include <assert.h>
#include <stdlib.h>

static const struct list {
	void (*model)(struct text *t, const struct model_view *v);
	struct span begin, end;
	bool ends_named; /* first and last id stand at the end */
} lists[DIALECT_COUNT] = {
	[DIALECT_OPENAI] = {models_shape_openai, SPAN_INIT("{\"object\":\"list\",\"data\":["), SPAN_INIT("]}"), false},
	[DIALECT_ANTHROPIC] = {models_shape_anthropic, SPAN_INIT("{\"data\":["), SPAN_INIT("],\"has_more\":false"), true},
	[DIALECT_GEMINI] = {models_shape_gemini, SPAN_INIT("{\"models\":["), SPAN_INIT("]}"), false},
};

/* ---- who may use what ---- */

/* Who asks: what holds for all requests of its key. */
struct viewer {
	const struct exchange *x; /* NULL: anybody */
	struct limit_lane lane; /* "": the first that the model has */
	struct limit_policy policy[2];
	uint64_t now_ms;
	enum dialect dialect;
};

static struct viewer
viewer_of(const struct edge *e, enum dialect dialect, const struct exchange *x)
{
	struct viewer w = {.x = x, .dialect = dialect, .now_ms = edge_wall_ms(e)};
	if (!x)
		return w;
	for (unsigned of = 0; of < 2; of++) {
		const struct limit_row *r = limit_row(e->p->board, x->limited.rows[of]);
		if (r)
			limit_policy(r, &w.policy[of]);
	}
	if (!limit_own_lane(x, &w.lane))
		w.lane.name[0] = '\0';
	return w;
}

static bool
may_ask(const struct catalogue *c, const struct viewer *w, const struct catalogue_target *t)
{
	for (unsigned of = 0; of < 2; of++)
		if ((w->policy[of].zero_retention && !t->zero_retention) || (w->policy[of].region[0] && strcmp(w->policy[of].region, t->region) != 0))
			return false;
	return passage_reaches(c, t, w->dialect) && catalogue_target_price_now(c, t, w->now_ms);
}

/* False: no request for it could be served, whatever lane it names. */
static bool
look_at(const struct catalogue *c, const struct viewer *w, const struct catalogue_model *m, struct span id, struct model_view *ret)
{
	bool any = false;
	*ret = (struct model_view){.catalogue = c, .model = m, .id = id, .now_ms = w->now_ms};
	if (w->x && !limit_allows(w->x, m))
		return false;
	for (uint32_t i = 0; i < m->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, m->target_at + i);
		if (ret->first[t->lane] || !may_ask(c, w, t))
			continue;
		ret->first[t->lane] = t;
		any = true;
	}
	if (w->lane.name[0])
		ret->lane = catalogue_find_lane(c, (struct span){w->lane.name, strlen(w->lane.name)});
	else
		ret->lane = catalogue_first_target(c, m)->lane;
	if (ret->lane >= 0 && !ret->first[ret->lane])
		ret->lane = -1;
	return any;
}

/* Has it a list of its own? */
static bool
has_view(const struct exchange *x)
{
	struct viewer w = viewer_of(x->edge, DIALECT_OPENAI, x);
	bool policy = false;
	for (unsigned of = 0; of < 2; of++)
		policy |= w.policy[of].zero_retention || w.policy[of].region[0];
	return policy || w.lane.name[0] || limit_has_list(x);
}

/* ---- lists ---- */

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
	size_t room = 64 + 2 * CATALOGUE_NAME_MAX * 6;
	for (uint32_t i = 0; i < c->name_count; i++)
		room += models_shape_most(c, catalogue_name_row(c, i)->name_len);
	return room;
}

/* Those that can be asked for in this dialect by their names alone, by x; NULL: by anybody. */
static void
list_models(struct edge *e, enum dialect dialect, const struct exchange *x, struct text *t)
{
	const struct catalogue *c = e->p->catalogue;
	const struct list *l = &lists[dialect];
	const struct viewer w = viewer_of(e, dialect, x);
	struct span first = {0}, last = {0};
	struct model_view v;
	text_span(t, l->begin);
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		if (!look_at(c, &w, catalogue_model(c, n->model), (struct span){n->name, n->name_len}, &v) || v.lane < 0)
			continue;
		if (last.len)
			text_lit(t, ",");
		last = v.id;
		first = first.len ? first : last;
		l->model(t, &v);
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
		assert(!t.cut);
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
	if (!has_view(x)) {
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
	const struct viewer w = viewer_of(x->edge, dialect, x);
	struct model_view v;
	if (!m || !look_at(c, &w, m, id, &v)) {
		if (id.len <= REQUEST_MODEL_MAX)
			answer_error(x, END_NO_MODEL, "model", id);
		exchange_end(x, END_NO_MODEL);
		return;
	}
	size_t cap = models_shape_most(c, id.len);
	char *room = vault_alloc(x->edge->vault, cap);
	if (!room) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct text t = text_on(room, cap);
	lists[dialect].model(&t, &v);
	answer_json(x, 200, (struct span){t.at, t.len});
	vault_free(x->edge->vault, room, cap);
}
