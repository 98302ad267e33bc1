/* ROUTE: which model and price, who is asked, and which bytes of the body change for it. */
#include "edge/edge_priv.h"

#include "edge/byok.h"
#include "edge/connect.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/object.h"
#include "edge/passage.h"
#include "edge/route.h"
#include "edge/safety.h"
#include "edge/stored.h"
#include "edge/upload.h"
#include "edge/work.h"

/* ---- which model, in which lane ---- */

/* "model:lane", when there is no model of the whole name. */
static const struct catalogue_model *
model_before_colon(const struct catalogue *c, struct span name, struct span *ret_suffix)
{
	const char *colon = memrchr(name.at, ':', name.len);
	if (!colon || colon == name.at)
		return NULL;
	*ret_suffix = (struct span){colon + 1, (size_t)(name.at + name.len - colon - 1)};
	return catalogue_find_model(c, (struct span){name.at, (size_t)(colon - name.at)});
}

/* The model's targets in the lane are the candidates. False: it has none there. */
static bool
enter_lane(struct exchange *x, int lane)
{
	const struct catalogue *c = x->edge->p->catalogue;
	const struct catalogue_model *m = x->model;
	x->route.count = 0;
	for (uint32_t i = m->target_at; i < m->target_at + m->target_count; i++) {
		if (catalogue_target(c, i)->lane != lane)
			continue;
		x->route.first = x->route.count ? x->route.first : i;
		x->route.count++;
	}
	return x->route.count > 0;
}

/* own: it was not asked for, but is what the key, or its account, goes by. */
static void
no_lane(struct exchange *x, struct span name, bool own)
{
	const struct catalogue *c = x->edge->p->catalogue;
	char room[1200];
	struct text t = text_on(room, sizeof room);
	text_lit(&t, "The model `");
	text_str(&t, x->model->public_id);
	text_lit(&t, "` has no lane `");
	text_add(&t, name.at, name.len < 64 ? name.len : 64);
	text_lit(&t, "`. It has: ");
	for (uint32_t i = 0, told = 0; i < c->lane_count; i++) {
		if (!enter_lane(x, (int)i))
			continue;
		text_str(&t, told++ ? ", " : "");
		text_str(&t, catalogue_lane(c, i)->name);
	}
	text_lit(&t, ".");
	if (own)
		text_lit(&t, " Requests of this key go by that lane when they name none: name another one in lethe-lane, or have whoever runs this gateway set another.");
	answer_sentence(x, END_BAD_LANE, NULL, (struct span){t.at, t.len});
	explicit_bzero(room, sizeof room);
	exchange_end(x, END_BAD_LANE);
}

int
route_lane(struct exchange *x, struct span suffix)
{
	const struct catalogue *c = x->edge->p->catalogue;
	struct limit_lane own = {0};
	struct span name = suffix;
	int lane;
	if (!x->req->wish.lane && !suffix.at && limit_own_lane(x, &own))
		name = (struct span){own.name, strlen(own.name)};
	if (x->req->wish.lane)
		lane = x->req->wish.lane - 1;
	else
		lane = name.at ? catalogue_find_lane(c, name) : catalogue_first_target(c, x->model)->lane;
	if (lane >= 0 && enter_lane(x, lane))
		return lane;
	if (lane >= 0)
		name = (struct span){catalogue_lane(c, (uint32_t)lane)->name, strlen(catalogue_lane(c, (uint32_t)lane)->name)};
	no_lane(x, name, own.name[0]);
	return -1;
}

/* ---- who of its targets can ---- */

bool
route_target_serves(const struct edge *e, const struct catalogue_target *t, const struct exchange *x)
{
	return passage_serves(e->p->catalogue, t, (enum endpoint)x->endpoint);
}

static enum route_lack
lack_of(const struct exchange *x, const struct catalogue_target *t, int64_t home, uint64_t wall_ms)
{
	const struct catalogue *c = x->edge->p->catalogue;
	const struct route_wish *w = &x->req->wish;
	if (!route_target_serves(x->edge, t, x))
		return LACK_ENDPOINT;
	if (stored_lacks(x, t)) /* what is kept there would be nobody's: it can't be named again from here */
		return LACK_STORE;
	if (home >= 0 && t->provider != home)
		return LACK_OBJECT;
	if (w->region_too[0])
		return LACK_REGION;
	if (w->region[0] && strcmp(w->region, t->region) != 0)
		return LACK_REGION;
	if (w->zero_retention && !t->zero_retention)
		return LACK_RETENTION;
	return catalogue_target_price_now(c, t, wall_ms) ? LACK_NOTHING : LACK_PRICE;
}

static void
no_target(struct exchange *x)
{
	const struct route_wish *w = &x->req->wish;
	char room[500];
	struct text t = text_on(room, sizeof room);
	text_lit(&t, "No provider of the model `");
	text_str(&t, x->model->public_id);
	text_lit(&t, "` meets what lethe-policy demands:");
	if (w->zero_retention)
		text_lit(&t, " zero-retention");
	if (w->region[0]) {
		text_str(&t, w->zero_retention ? ", region=" : " region=");
		text_str(&t, w->region);
	}
	if (w->region_too[0]) {
		text_lit(&t, ", region=");
		text_str(&t, w->region_too);
	}
	text_lit(&t, ". Nothing was sent to any. Choose another model or lane, or leave that demand out.");
	answer_sentence(x, END_NO_TARGET, NULL, (struct span){t.at, t.len});
	exchange_end(x, END_NO_TARGET);
}

static void
nobody(struct exchange *x, enum route_lack lack)
{
	switch (lack) {
	case LACK_ENDPOINT:
		if (passage_count(x))
			return;
		answer_wrong_endpoint(x);
		exchange_end(x, END_NO_MODEL);
		return;
	case LACK_STORE:
		stored_refuse(x, false);
		return;
	case LACK_OBJECT:
		stored_refuse(x, true);
		return;
	case LACK_REGION:
	case LACK_RETENTION:
		no_target(x);
		return;
	case LACK_OWN_KEY:
		byok_refuse(x);
		return;
	case LACK_KEY_OF_OWN:
	case LACK_KEY_OF_OURS:
		object_refuse_key(x, lack == LACK_KEY_OF_OWN);
		return;
	case LACK_PRICE:
	case LACK_NOTHING:
		exchange_end(x, END_NO_PRICE);
		return;
	}
}

/* A candidate that the account has an own key for: asked by that first, and by ours only if it may be. */
static enum route_lack
look_for_own(struct exchange *x, uint32_t i, bool *strict)
{
	struct route *r = &x->route;
	bool only;
	enum byok_state state = byok_at(x, catalogue_target(x->edge->p->catalogue, r->first + i)->provider, &only);
	*strict |= only;
	r->own |= state == BYOK_USABLE ? (uint16_t)(1u << i) : 0;
	r->own_only |= only ? (uint16_t)(1u << i) : 0;
	return state == BYOK_BROKEN && only ? LACK_OWN_KEY : LACK_NOTHING;
}

/* What the body names is seen by the key alone that keeps it. */
static enum route_lack
keep_to(struct exchange *x, uint32_t i, bool own)
{
	struct route *r = &x->route;
	const uint16_t bit = (uint16_t)(1u << i);
	bool only = r->own_only & bit, usable = r->own & bit;
	if (own) {
		r->own_only |= bit;
		return usable ? LACK_NOTHING : LACK_KEY_OF_OWN;
	}
	r->own &= (uint16_t)~bit;
	return only ? LACK_KEY_OF_OURS : LACK_NOTHING;
}

/* False: none can, and it has been said why. */
static bool
sort_out(struct exchange *x)
{
	enum route_lack nearest = LACK_ENDPOINT;
	bool strict = false;
	x->route.own = x->route.own_only = 0;
	uint64_t wall_ms = edge_wall_ms(x->edge);
	bool home_own;
	int64_t home = object_home(x, &home_own);
	x->route.out = (uint16_t) ~((1u << x->route.count) - 1);
	for (uint32_t i = 0; i < x->route.count; i++) {
		enum route_lack lack = lack_of(x, catalogue_target(x->edge->p->catalogue, x->route.first + i), home, wall_ms), own = look_for_own(x, i, &strict);
		if (home >= 0 && own == LACK_NOTHING)
			own = keep_to(x, i, home_own);
		lack = lack == LACK_NOTHING ? own : lack;
		if (lack == LACK_NOTHING)
			continue;
		x->route.out |= (uint16_t)(1u << i);
		nearest = lack > nearest ? lack : nearest;
	}
	x->route.own &= (uint16_t)~x->route.out;
	if (strict && (x->route.out | x->route.own) != UINT16_MAX) { /* who wants only the own keys doesn't want the others' targets either */
		x->route.out |= (uint16_t)~x->route.own;
		nearest = nearest > LACK_OWN_KEY ? nearest : LACK_OWN_KEY;
	}
	if (x->route.out != UINT16_MAX)
		return true;
	nobody(x, nearest);
	return false;
}

bool
route_model(struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	struct span name = {r->model, r->model_len}, suffix = {0};
	if (!name.len) /* only moderations may leave it out */
		name = SPAN("omni-moderation-latest");
	x->model = catalogue_find_model(x->edge->p->catalogue, name);
	if (!x->model)
		x->model = model_before_colon(x->edge->p->catalogue, name, &suffix);
	if (!x->model || !limit_allows(x, x->model)) {
		answer_error(x, END_NO_MODEL, "model", name);
		exchange_end(x, END_NO_MODEL);
		return false;
	}
	x->ticket->facts.model = x->model->id;
	int lane = route_lane(x, suffix);
	if (lane < 0 || !stored_may(x) || !sort_out(x))
		return false;
	x->ticket->facts.lane = catalogue_lane(x->edge->p->catalogue, (uint32_t)lane)->id;
	if (route_next(x))
		return true;
	exchange_end(x, END_OVERLOADED); /* there is one, but no memory for its key */
	return false;
}

/* ---- edits of the body: everything else goes up byte by byte as it came ---- */

static const struct catalogue_provider *
provider_of(const struct exchange *x)
{
	return catalogue_provider(x->edge->p->catalogue, x->route.target->provider);
}

static bool
edit_own(struct exchange *x)
{
	struct request *r = x->req;
	const struct request_facts *f = &r->scan.result;
	const struct catalogue_provider *p = provider_of(x);
	struct text room = text_on(r->edit_text, sizeof r->edit_text);
	char user[SAFETY_TEXT_BYTES + 1];
	if (object_is_subject(x))
		return object_edit(x);
	bool chat = x->endpoint == ENDPOINT_CHAT_COMPLETIONS, asks_usage = chat || x->endpoint == ENDPOINT_COMPLETIONS;
	x->hide = asks_usage && f->stream && !f->include_usage && p->inject_usage;
	struct request_wish wish = {
		.model = {x->route.target->upstream_id, strlen(x->route.target->upstream_id)},
		.ask_usage = x->hide,
		.old_cap = chat && p->old_cap,
		.no_store = x->endpoint == ENDPOINT_RESPONSES && !stored_is_kept(x, p),
		.cap = x->capped,
	};
	wish.user = safety_identifier(x, user); /* it is copied into the room */
	uint32_t most = request_edit_count(f);
	if (r->edits_cap) /* another target's */
		vault_free(x->edge->vault, r->edits, r->edits_cap * sizeof *r->edits);
	r->edits_cap = 0;
	r->edits = r->few;
	if (most > EDITS_FEW) { /* opened ids lie behind the edits that put them in */
		uint32_t cap = most + (uint32_t)(((f->object_count + f->cited_count) * object_name_room(x) + sizeof *r->edits - 1) / sizeof *r->edits);
		r->edits = vault_alloc(x->edge->vault, cap * sizeof *r->edits);
		if (!r->edits)
			return false;
		r->edits_cap = cap;
	}
	struct span opened[REQUEST_OBJECTS_MAX + REQUEST_CITED_MAX];
	if (!object_open_named(x, (char *)(r->edits + most), opened))
		return false;
	wish.objects = opened;
	wish.cited = opened + f->object_count;
	if (!stored_ready(x))
		return false;
	r->edit_count = request_edits(f, &wish, &room, r->edits);
	r->total = r->body_bytes;
	for (uint32_t i = 0; i < r->edit_count; i++)
		r->total += r->edits[i].text_len - (uint64_t)r->edits[i].remove;
	if (r->upload)
		r->total = upload_total(x);
	return true;
}

bool
route_edit(struct exchange *x)
{
	passage_undo(x);
	while (passage_is_due(x)) {
		if (passage_request(x))
			return true;
		if (x->step == STEP_DONE || x->wait_link)
			return false;
	}
	return edit_own(x);
}

void
route_edited(struct exchange *x)
{
	bool ready = x->duplex || route_edit(x);
	if (ready && !work_begins(x))
		connect_upstream(x);
	else if (!ready && x->step != STEP_DONE && !x->wait_link)
		exchange_end(x, END_OVERLOADED);
}
