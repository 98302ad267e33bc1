#include "edge/batch.h"

#include "core/json_scan.h"
#include "dialect/results.h"
#include "edge/byok.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/work.h"
#include "ticket/price.h"

struct lines_scan *
batch_lines(struct exchange *x)
{
	struct lines_scan *s = vault_alloc(x->edge->vault, sizeof *s);
	if (s)
		lines_init(s);
	return s;
}

static void
refuse(struct exchange *x, const char *param, struct span sentence)
{
	answer_sentence(x, END_BAD_BODY, param, sentence);
	exchange_end(x, END_BAD_BODY);
}

/* ---- what is asked for ---- */

/* Under its own name at the provider: nothing in the file is changed. */
static const struct catalogue_target *
target_named(const struct exchange *x, const struct catalogue_model *m, uint32_t provider, struct span name)
{
	const struct catalogue *c = x->edge->p->catalogue;
	for (uint32_t i = m->target_at; i < m->target_at + m->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		if (t->provider == provider && strlen(t->upstream_id) == name.len && !memcmp(t->upstream_id, name.at, name.len))
			return t;
	}
	return NULL;
}

/* The row for batches, from the first token on or for a prompt of this size. own: of the fee for an own key. NULL: the model has no price now. */
static const struct catalogue_price *
row_for(const struct exchange *x, const struct catalogue_target *t, uint64_t prompt, bool own)
{
	struct edge *e = x->edge;
	bool unpriced;
	const struct usage u = {.tokens = {[TOKEN_input] = prompt}, .tier = TIER_batch};
	const struct catalogue *c = e->p->catalogue;
	const struct catalogue_price *base = own ? catalogue_target_fee_now(c, t, edge_wall_ms(e)) : catalogue_target_price_now(c, t, edge_wall_ms(e));
	return base ? catalogue_price_for(c, t, base, &u, &unpriced) : NULL;
}

static uint64_t
media_tokens(const struct catalogue_model *m, const struct lines_facts *f)
{
	return f->images * m->image_tokens + f->audios * m->audio_tokens + f->files * m->file_tokens;
}

static void
no_such_model(struct exchange *x, const struct lines_facts *f)
{
	char room[512];
	struct text t = text_on(room, sizeof room);
	text_lit(&t, "The requests of this batch ask for the model `");
	text_add(&t, f->model, f->model_len);
	text_lit(&t, "`. The provider that takes batches here has no model of that name, or this key may not use it; a batch is not translated to others.");
	refuse(x, "model", (struct span){t.at, t.len});
	explicit_bzero(room, sizeof room);
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What all of them can cost at most. NULL: it can't be told, which has been answered. */
static const struct catalogue_target *
judge(struct exchange *x, uint32_t provider, const struct lines_facts *f, const char *param, struct sealed_lines *s)
{
	struct span name = {f->model, f->model_len};
	const struct catalogue_model *m = catalogue_find_model(x->edge->p->catalogue, name);
	const struct catalogue_target *t = m && limit_allows(x, m) ? target_named(x, m, provider, name) : NULL;
	if (!t) {
		no_such_model(x, f);
		return NULL;
	}
	if ((t->asked_in == ASKED_IN_RESPONSES && f->endpoint == ENDPOINT_CHAT_COMPLETIONS) || (t->asked_in == ASKED_IN_CHAT && f->endpoint == ENDPOINT_RESPONSES)) {
		refuse(x, param, SPAN("The model that the requests of this batch ask for is not served at their url, and a batch is not translated. Write its requests for /v1/responses if they are for "
							  "/v1/chat/completions, or the other way round."));
		return NULL;
	}
	uint64_t largest = f->largest_bytes * 100 / m->bytes_per_token_x100 + 1 + media_tokens(m, f);
	if (row_for(x, t, 0, false) != row_for(x, t, largest, false)) {
		refuse(x, param, SPAN("A request of this batch can be so large that the model costs more from there on, which a batch is not told apart by. Send large requests by themselves."));
		return NULL;
	}
	s->model = m->id;
	s->count = f->count;
	s->endpoint = f->endpoint;
	s->input = least(f->text_bytes * 100 / m->bytes_per_token_x100 + f->count + media_tokens(m, f), (uint64_t)f->count * m->context_tokens);
	s->output = f->capped + f->open * m->output_tokens;
	return t;
}

static bool
whole(struct exchange *x, struct lines_scan *s, const char *param)
{
	char room[LINES_WHY_MAX];
	if (lines_finish(s) == LINES_OK)
		return true;
	refuse(x, param, lines_why(s, room));
	return false;
}

bool
batch_judge_upload(struct exchange *x, uint32_t provider)
{
	struct form_scan *form = x->req->form;
	if (!form->batch || x->dialect != DIALECT_OPENAI)
		return true;
	return whole(x, form->lines, "file") && judge(x, provider, &form->lines->result, "file", &x->object->lines);
}

/* ---- creation ---- */

enum node {
	NODE_ROOT = JSON_NODE_ROOT,
	NODE_ENDPOINT,
	NODE_COUNT,
};
static const struct json_edge members[] = {JSON_EDGE("endpoint", NODE_ENDPOINT)};
static const struct json_node nodes[NODE_COUNT] = {
	[NODE_ROOT] = {.edges = members, .edge_count = ARRAY_LEN(members)},
	[NODE_ENDPOINT] = {.text = true},
};

/* The one that the body names; it has been scanned before. */
static enum endpoint
endpoint_asked(const struct exchange *x)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	enum endpoint found = ENDPOINT_NONE;
	uint64_t at = 0;
	json_scan_init(&scan, nodes);
	for (const struct block *b = x->req->body; b; b = b->next) {
		json_scan_feed(&scan, b->bytes, b->len, at);
		at += b->len;
		while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
			if (ev.node == NODE_ENDPOINT)
				found = t == JSON_STRING && !ev.cut ? lines_endpoint(ev.text) : ENDPOINT_NONE;
	}
	explicit_bzero(&scan, sizeof scan);
	return found;
}

static const struct catalogue_target *
target_of(const struct exchange *x, const struct sealed *file, int64_t provider, const struct catalogue_model **ret_model)
{
	const struct catalogue *c = x->edge->p->catalogue;
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		*ret_model = catalogue_model(c, t->model);
		if ((*ret_model)->id == file->lines.model && t->provider == provider)
			return t;
	}
	return NULL;
}

/* The most that it can cost, and a nano more: so a hold is never settled for nothing less. */
static bool
count_most(struct exchange *x, const struct catalogue_target *t)
{
	struct object *o = x->object;
	const struct sealed_lines *l = &o->input.lines;
	const struct catalogue_price *row = row_for(x, t, 0, o->own);
	if (!row)
		return false;
	struct nano most = price_upper_bound(row, l->input, l->output);
	unsigned __int128 all = (unsigned __int128)(uint64_t)most.v + (unsigned __int128)(uint64_t)row->request_nano * l->count + 1;
	o->input.price = row->id;
	o->nano = all > INT64_MAX / 4 ? INT64_MAX / 4 : (uint64_t)all;
	return true;
}

/* Its money, when it is known what it asks for. */
static bool
may_be_paid(struct exchange *x, const struct catalogue_target *t)
{
	struct object *o = x->object;
	bool only, named = o->operation == OPERATION_BATCH_CREATE;
	if (!named && !object_choose_key(x, t->provider))
		return false;
	if (named) { /* by the key that keeps its file */
		enum byok_state state = byok_at(x, t->provider, &only);
		o->own = o->input.own;
		if (o->own ? state != BYOK_USABLE : only) {
			object_refuse_key(x, o->own);
			return false;
		}
	}
	if (count_most(x, t))
		return true;
	exchange_end(x, END_NO_PRICE);
	return false;
}

static bool
may_be_begun(struct exchange *x, int64_t provider)
{
	const struct catalogue_model *m = NULL;
	const struct sealed *file = &x->object->input;
	const struct catalogue_target *t = target_of(x, file, provider, &m);
	if (!t || !limit_allows(x, m)) {
		refuse(x, "input_file_id", SPAN("The model that this file's requests ask for is not served any more, or this key may not use it."));
		return false;
	}
	if (endpoint_asked(x) != (enum endpoint)file->lines.endpoint) {
		refuse(x, "endpoint", SPAN("endpoint must be the url of the requests in the file: one of /v1/chat/completions, /v1/responses, /v1/embeddings."));
		return false;
	}
	return may_be_paid(x, t);
}

int64_t
batch_route(struct exchange *x)
{
	struct object *o = x->object;
	const struct request_facts *f = &x->req->scan.result;
	if (f->object_count != 1) {
		answer_request_error(x, REQUEST_NO_INPUT_FILE);
		exchange_end(x, END_BAD_BODY);
		return -1;
	}
	int64_t provider = object_open_first(x, &o->input);
	if (provider < 0) {
		exchange_end(x, END_NO_OBJECT);
		return -1;
	}
	if (!o->input.lines.model) {
		answer_request_error(x, REQUEST_NO_INPUT_FILE);
		exchange_end(x, END_BAD_BODY);
		return -1;
	}
	return may_be_begun(x, provider) ? provider : -1;
}

bool
batch_prepare(struct exchange *x)
{
	struct object *o = x->object;
	if (!o || o->operation != OPERATION_MESSAGES_BATCH_CREATE)
		return true;
	o->asks = vault_alloc(x->edge->vault, sizeof *o->asks);
	if (o->asks)
		lines_init_listed(o->asks);
	return o->asks;
}

/* Of several that have it under this name the first, in the configuration's order; any that keeps batches, when none has. */
static int64_t
provider_with(const struct exchange *x, const struct lines_facts *f)
{
	const struct catalogue *c = x->edge->p->catalogue;
	struct span name = {f->model, f->model_len};
	const struct catalogue_model *m = catalogue_find_model(c, name);
	int64_t any = -1;
	for (uint32_t i = 0; i < c->provider_count; i++) {
		if (!object_keeps(x, i))
			continue;
		any = any < 0 ? i : any;
		if (m && target_named(x, m, i, name))
			return i;
	}
	return any;
}

int64_t
batch_route_listed(struct exchange *x)
{
	struct object *o = x->object;
	if (!whole(x, o->asks, "requests"))
		return -1;
	const struct lines_facts *f = &o->asks->result;
	int64_t provider = provider_with(x, f);
	if (provider < 0) {
		exchange_end(x, END_NOT_FOUND);
		return -1;
	}
	const struct catalogue_target *t = judge(x, (uint32_t)provider, f, "requests", &o->input.lines);
	return t && may_be_paid(x, t) ? provider : -1;
}

bool
batch_tokens(const struct exchange *x, uint64_t *ret_input, uint64_t *ret_output)
{
	if (!x->object || !x->object->nano || !x->object->input.lines.model)
		return false;
	*ret_input = x->object->input.lines.input;
	*ret_output = x->object->input.lines.output;
	return true;
}

bool
batch_edit(struct exchange *x)
{
	struct request *r = x->req;
	const struct sealed *file = &x->object->input;
	const struct request_object_name *place = &r->scan.result.objects[0];
	struct text t = text_on(r->edit_text, sizeof r->edit_text);
	text_lit(&t, "\"");
	text_add(&t, file->id, file->id_len);
	text_lit(&t, "\"");
	r->edits = r->few;
	r->edits[0] = (struct request_edit){.at = place->at, .remove = place->bytes, .text = t.at, .text_len = (uint32_t)t.len};
	r->edit_count = 1;
	r->total = r->body_bytes + t.len - place->bytes;
	x->names_objects = true;
	return !t.cut;
}

/* ---- its end ---- */

/* One request's fee is in what usage costs; each that was answered has one. */
static uint64_t
with_fees(const struct catalogue_price *row, unsigned __int128 cost, uint64_t answered, uint64_t counted)
{
	if (answered > counted)
		cost += (unsigned __int128)(uint64_t)row->request_nano * (answered - counted);
	return cost > INT64_MAX / 2 ? INT64_MAX / 2 : (uint64_t)cost;
}

/* All but what it used. */
static struct work_used
used_by(const struct sealed *s, uint64_t requests)
{
	return (struct work_used){.requests = requests, .model = s->lines.model, .provider = s->provider, .endpoint = s->lines.endpoint, .usage = {.tier = TIER_batch}};
}

bool
batch_cost(const struct exchange *x, const struct batch_seen *seen, uint64_t *ret_nano, struct work_used *ret_used)
{
	const struct sealed *s = &x->object->opened;
	const struct catalogue_price *row = catalogue_price_by_id(x->edge->p->catalogue, s->price);
	*ret_nano = 0;
	*ret_used = used_by(s, seen->completed);
	if (seen->unread)
		return false;
	if (!seen->has_usage)
		return seen->has_counts && !seen->completed;
	if (!row)
		return false;
	struct usage u = {.flags = USAGE_REPORTED, .tier = TIER_batch};
	uint64_t cached = least(seen->cached, seen->input), reasoning = least(seen->reasoning, seen->output);
	u.tokens[TOKEN_input] = seen->input - cached;
	u.tokens[TOKEN_cached] = cached;
	u.tokens[TOKEN_output] = seen->output - reasoning;
	u.tokens[TOKEN_reasoning] = reasoning;
	ret_used->usage = u;
	if (seen->input || seen->output)
		*ret_nano = with_fees(row, (uint64_t)price_cost(row, &u).v, seen->completed, 1);
	return true;
}

static bool
has_tokens(const struct usage *u)
{
	uint64_t any = 0;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		any |= u->tokens[k];
	return any;
}

/* There is a result for each request, or they are not all. */
static bool
results_cost(const struct exchange *x, struct results_scan *r, uint64_t *ret_nano, struct work_used *ret_used)
{
	const struct sealed *s = &x->object->opened;
	const struct results_facts *f = &r->result;
	const struct catalogue_price *row = catalogue_price_by_id(x->edge->p->catalogue, s->price);
	unsigned __int128 cost = 0;
	unsigned counted = 0;
	if (!results_finish(r) || f->lines != s->lines.count || !row)
		return false;
	*ret_used = used_by(s, f->answered);
	for (unsigned geo = 0; geo < 2; geo++) {
		if (!has_tokens(&f->usage[geo]))
			continue;
		for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
			ret_used->usage.tokens[k] += f->usage[geo].tokens[k];
		cost += (uint64_t)price_cost(row, &f->usage[geo]).v;
		counted++;
	}
	*ret_nano = counted ? with_fees(row, cost, f->answered, counted) : 0;
	return true;
}

void
batch_passes(struct exchange *x, struct span piece, bool last)
{
	struct object *o = x->object;
	struct work_used used;
	uint64_t nano;
	if (o->operation != OPERATION_MESSAGES_BATCH_RESULTS || !o->opened.ticket || o->uncounted)
		return;
	if (!o->results) {
		o->results = vault_alloc(x->edge->vault, sizeof *o->results);
		o->uncounted = !o->results; /* an errand will count them */
		if (o->uncounted)
			return;
		results_init(o->results);
	}
	results_feed(o->results, piece.at, piece.len);
	if (last && results_cost(x, o->results, &nano, &used))
		work_costs(x, nano, &used);
	else if (last)
		work_is_unmeasured(x);
}
