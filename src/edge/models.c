/* GET /v1/models: made once from the catalogue, which is the operator's own and no content. */
#include "edge/edge_priv.h"

#include <stdlib.h>

enum { MODEL_JSON_MAX = CATALOGUE_NAME_MAX * 2 + 128 };

static void
add_model(struct text *t, const struct catalogue_model *m, struct span id)
{
	text_lit(t, "{\"id\":\"");
	text_json(t, id);
	text_lit(t, "\",\"object\":\"model\",\"created\":");
	text_u64(t, m->created_s);
	text_lit(t, ",\"owned_by\":\"lethe\"}");
}

bool
models_prepare(struct edge *e)
{
	const struct catalogue *c = e->p->catalogue;
	size_t cap = 64 + (size_t)c->name_count * MODEL_JSON_MAX;
	char *memory = malloc(cap);
	if (!memory)
		return false;
	struct text t = text_on(memory, cap);
	text_lit(&t, "{\"object\":\"list\",\"data\":[");
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		if (i)
			text_lit(&t, ",");
		add_model(&t, catalogue_model(c, n->model), (struct span){n->name, n->name_len});
	}
	text_lit(&t, "]}");
	e->models_json = (struct span){memory, t.len};
	return !t.cut;
}

void
models_answer(struct exchange *x, struct span id)
{
	if (!id.at) {
		answer_json(x, 200, x->edge->models_json);
		return;
	}
	const struct catalogue_model *m = catalogue_find_model(x->edge->p->catalogue, id);
	if (!m) {
		if (id.len <= CHAT_MODEL_MAX)
			answer_error(x, END_NO_MODEL, "model", id);
		exchange_end(x, END_NO_MODEL);
		return;
	}
	char room[MODEL_JSON_MAX];
	struct text t = text_on(room, sizeof room);
	add_model(&t, m, id);
	answer_json(x, 200, (struct span){t.at, t.len});
}
