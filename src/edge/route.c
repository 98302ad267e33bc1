/* ROUTE: which model and price, and which bytes of the body change for it. */
#include "edge/edge_priv.h"

#include <assert.h>

bool
route_model(struct exchange *x)
{
	struct edge *e = x->edge;
	const struct chat_request *r = &x->req->scan.result;
	x->model = catalogue_find_model(e->p->catalogue, (struct span){r->model, r->model_len});
	if (!x->model) {
		answer_error(x, END_NO_MODEL, "model", (struct span){r->model, r->model_len});
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

static void
add_edit(struct request *r, uint64_t at, uint64_t remove, const char *text, size_t len)
{
	assert(r->edit_count < EDITS_MAX);
	size_t i = r->edit_count++;
	for (; i && r->edits[i - 1].at > at; i--)
		r->edits[i] = r->edits[i - 1];
	r->edits[i] = (struct edit){.at = at, .remove = (uint32_t)remove, .text_len = (uint32_t)len, .text = text};
}

/* A place for made-up text that lives as long as the request. */
static struct text
edit_text(struct request *r)
{
	return text_on(r->edit_text + r->edit_text_len, EDIT_TEXT_MAX - r->edit_text_len);
}

static void
edit_model(struct exchange *x)
{
	struct request *r = x->req;
	const struct chat_request *c = &r->scan.result;
	const char *upstream = x->model->upstream_id;
	size_t len = strlen(upstream);
	if (len == c->model_len && !memcmp(upstream, c->model, len))
		return;
	struct text t = edit_text(r);
	text_lit(&t, "\"");
	text_json(&t, (struct span){upstream, len});
	text_lit(&t, "\"");
	assert(!t.cut); /* the catalogue bounds names and refuses what would need escaping */
	add_edit(r, c->model_at, c->model_bytes, t.at, t.len);
	r->edit_text_len = (uint8_t)(r->edit_text_len + t.len);
}

static void
edit_stream_options(struct exchange *x)
{
	struct request *r = x->req;
	const struct chat_request *c = &r->scan.result;
	if (!c->stream || c->include_usage || !catalogue_provider(x->edge->p->catalogue, x->model->provider)->inject_usage)
		return;
	x->hide = true;
	static const char member[] = "\"stream_options\":{\"include_usage\":true},", object[] = "{\"include_usage\":true}", inner[] = "\"include_usage\":true,";
	if (c->include_usage_bytes)
		add_edit(r, c->include_usage_at, c->include_usage_bytes, "true", 4);
	else if (c->has_stream_options)
		add_edit(r, c->stream_options_inner_at, 0, inner, sizeof inner - (c->stream_options_empty ? 2 : 1));
	else if (c->stream_options_bytes) /* null */
		add_edit(r, c->stream_options_at, c->stream_options_bytes, object, sizeof object - 1);
	else
		add_edit(r, c->object_at, 0, member, sizeof member - 1);
}

static void
edit_cap(struct exchange *x)
{
	struct request *r = x->req;
	const struct chat_request *c = &r->scan.result;
	if (!x->capped)
		return;
	struct text t = edit_text(r);
	if (c->cap_bytes) { /* a cap of null stands there */
		text_u64(&t, x->capped);
		add_edit(r, c->cap_at, c->cap_bytes, t.at, t.len);
	} else {
		text_lit(&t, "\"max_completion_tokens\":");
		text_u64(&t, x->capped);
		text_lit(&t, ",");
		add_edit(r, c->object_at, 0, t.at, t.len);
	}
	assert(!t.cut);
	r->edit_text_len = (uint8_t)(r->edit_text_len + t.len);
}

void
route_edit(struct exchange *x)
{
	struct request *r = x->req;
	edit_model(x);
	edit_stream_options(x);
	edit_cap(x);
	r->total = r->body_bytes;
	for (int i = 0; i < r->edit_count; i++)
		r->total += r->edits[i].text_len - (uint64_t)r->edits[i].remove;
}
