/* ROUTE: which model and price, and which bytes of the body change for it. */
#include "edge/edge_priv.h"

#include "edge/endpoints.h"
#include "edge/object.h"

bool
route_model(struct exchange *x)
{
	struct edge *e = x->edge;
	const struct request_facts *r = &x->req->scan.result;
	struct span name = {r->model, r->model_len};
	if (!name.len) /* only moderations may leave it out */
		name = SPAN("omni-moderation-latest");
	x->model = catalogue_find_model(e->p->catalogue, name);
	if (!x->model) {
		answer_error(x, END_NO_MODEL, "model", name);
		exchange_end(x, END_NO_MODEL);
		return false;
	}
	if (catalogue_provider(e->p->catalogue, x->model->provider)->dialect != endpoint_dialect((enum endpoint)x->endpoint)) {
		answer_wrong_endpoint(x);
		exchange_end(x, END_NO_MODEL);
		return false;
	}
	x->price = catalogue_price_now(e->p->catalogue, x->model, edge_wall_ms(e));
	if (!x->price) {
		exchange_end(x, END_NO_PRICE);
		return false;
	}
	struct ticket_facts *f = &x->ticket->facts;
	f->model = x->model->id;
	f->price = x->price->id;
	f->provider = catalogue_provider(e->p->catalogue, x->model->provider)->id;
	return true;
}

/* ---- edits of the body: everything else goes up byte by byte as it came ---- */

bool
route_edit(struct exchange *x)
{
	struct request *r = x->req;
	const struct request_facts *f = &r->scan.result;
	const struct catalogue_provider *p = catalogue_provider(x->edge->p->catalogue, x->model->provider);
	struct text room = text_on(r->edit_text, sizeof r->edit_text);
	if (x->object) { /* as it came */
		r->total = r->body_bytes;
		return true;
	}
	bool chat = x->endpoint == ENDPOINT_CHAT_COMPLETIONS;
	x->hide = chat && f->stream && !f->include_usage && p->inject_usage;
	struct request_wish wish = {
		.model = {x->model->upstream_id, strlen(x->model->upstream_id)},
		.ask_usage = x->hide,
		.old_cap = chat && p->old_cap,
		.no_store = x->endpoint == ENDPOINT_RESPONSES && !p->store,
		.cap = x->capped,
	};
	uint32_t most = request_edit_count(f);
	r->edits = r->few;
	if (most > EDITS_FEW) { /* opened ids lie behind the edits that put them in */
		uint32_t cap = most + (uint32_t)((f->object_count * (SEAL_ID_MAX + 2) + sizeof *r->edits - 1) / sizeof *r->edits);
		r->edits = vault_alloc(x->edge->vault, cap * sizeof *r->edits);
		if (!r->edits)
			return false;
		r->edits_cap = cap;
	}
	struct span opened[REQUEST_OBJECTS_MAX];
	if (!object_open_named(x, (char *)(r->edits + most), opened))
		return false;
	wish.objects = opened;
	r->edit_count = request_edits(f, &wish, &room, r->edits);
	r->total = r->body_bytes;
	for (uint32_t i = 0; i < r->edit_count; i++)
		r->total += r->edits[i].text_len - (uint64_t)r->edits[i].remove;
	return true;
}
