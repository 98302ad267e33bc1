/* The answer about an object, on its way down: the ids in it become the account's own. */
#include "edge/object.h"

#include "core/json_scan.h"
#include "edge/object_keep.h"
#include "edge/object_upload.h"
#include "edge/work.h"

enum { IDS_MAX = 4 }; /* of one answer */

enum node {
	NODE_ROOT = JSON_NODE_ROOT,
	NODE_ID, /* of the object itself */
	NODE_FILE, /* of a file that it is about */
	NODE_BOX, /* of the sandbox that it lies in */
	NODE_URL, /* where its results are */
	NODE_NAME, /* of Gemini's: "files/{id}" */
	NODE_PLACE, /* … where it is */
	NODE_WRAPPED, /* … all of it */
	NODE_PURPOSE, /* what it is for */
	NODE_STATUS,
	NODE_USAGE,
	NODE_INPUT,
	NODE_INPUT_DETAILS,
	NODE_CACHED,
	NODE_OUTPUT,
	NODE_OUTPUT_DETAILS,
	NODE_REASONING,
	NODE_COUNTS,
	NODE_COMPLETED,
	NODE_COUNT,
};

static const struct json_edge file_root[] = {JSON_EDGE("id", NODE_ID), JSON_EDGE("purpose", NODE_PURPOSE), JSON_EDGE("container_id", NODE_BOX)};
static const struct json_node file_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {.edges = file_root, .edge_count = ARRAY_LEN(file_root)},
	[NODE_ID] = {.text = true},
	[NODE_PURPOSE] = {.text = true},
	[NODE_BOX] = {.text = true},
};

static const struct json_edge gemini_root[] = {
	JSON_EDGE("name", NODE_NAME),
	JSON_EDGE("uri", NODE_PLACE),
	JSON_EDGE("downloadUri", NODE_PLACE),
	JSON_EDGE("file", NODE_WRAPPED),
};
static const struct json_node gemini_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {.edges = gemini_root, .edge_count = ARRAY_LEN(gemini_root)},
	[NODE_WRAPPED] = {.edges = gemini_root, .edge_count = ARRAY_LEN(gemini_root) - 1},
	[NODE_NAME] = {.text = true},
	[NODE_PLACE] = {.text = true},
};

static const struct json_edge batch_root[] = {
	JSON_EDGE("id", NODE_ID),
	JSON_EDGE("input_file_id", NODE_FILE),
	JSON_EDGE("output_file_id", NODE_FILE),
	JSON_EDGE("error_file_id", NODE_FILE),
	JSON_EDGE("status", NODE_STATUS),
	JSON_EDGE("usage", NODE_USAGE),
	JSON_EDGE("request_counts", NODE_COUNTS),
};
static const struct json_edge listed_root[] = {
	JSON_EDGE("id", NODE_ID),
	JSON_EDGE("processing_status", NODE_STATUS),
	JSON_EDGE("results_url", NODE_URL),
};
static const struct json_edge usage[] = {
	JSON_EDGE("input_tokens", NODE_INPUT),
	JSON_EDGE("input_tokens_details", NODE_INPUT_DETAILS),
	JSON_EDGE("output_tokens", NODE_OUTPUT),
	JSON_EDGE("output_tokens_details", NODE_OUTPUT_DETAILS),
};
static const struct json_edge input_details[] = {JSON_EDGE("cached_tokens", NODE_CACHED)};
static const struct json_edge output_details[] = {JSON_EDGE("reasoning_tokens", NODE_REASONING)};
static const struct json_edge counts[] = {JSON_EDGE("completed", NODE_COMPLETED)};
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)
static const struct json_node batch_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {EDGES(batch_root)},
	[NODE_ID] = {.text = true},
	[NODE_FILE] = {.text = true},
	[NODE_STATUS] = {.text = true},
	[NODE_USAGE] = {EDGES(usage)},
	[NODE_INPUT_DETAILS] = {EDGES(input_details)},
	[NODE_OUTPUT_DETAILS] = {EDGES(output_details)},
	[NODE_COUNTS] = {EDGES(counts)},
};
static const struct json_node listed_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {EDGES(listed_root)},
	[NODE_ID] = {.text = true},
	[NODE_STATUS] = {.text = true},
};

struct reading {
	struct text t; /* what is told */
	struct span from;
	uint64_t at; /* bytes of `from` that have been written */
	bool named; /* its own id came */
	struct sealed own; /* and is this */
	char text[SEAL_TEXT_MAX]; /* … as the account knows it */
	size_t text_len;
	char purpose[32];
	size_t purpose_len;
	struct batch_seen seen;
	struct span raw[IDS_MAX]; /* the provider's ids */
	unsigned raw_count;
	struct place {
		size_t at, end; /* of t */
	} ours[IDS_MAX + 1]; /* what stands there instead of them, and of where they are read */
	unsigned our_count;
};

/* ---- ids ---- */

static bool
take_id(const struct exchange *x, enum object_kind kind, struct span id, struct sealed *ret)
{
	*ret = (struct sealed){.kind = (uint8_t)kind, .own = x->route.byok != NULL, .provider = catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->id};
	if (!id.len || id.len > SEAL_ID_MAX)
		return false;
	ret->id_len = (uint8_t)id.len;
	memcpy(ret->id, id.at, id.len);
	return true;
}

static bool
same_id(const struct sealed *a, const struct sealed *b)
{
	return a->id_len == b->id_len && !memcmp(a->id, b->id, a->id_len);
}

/* The id that the account gets for this one. 0: it is none that can be given. */
static size_t
own_id(const struct exchange *x, struct sealed *s, char ret[SEAL_TEXT_MAX])
{
	const struct object *o = x->object;
	if (o->text_len) { /* of what was asked for: as the caller knows it */
		memcpy(ret, o->text, o->text_len);
		return same_id(s, &o->opened) ? o->text_len : 0;
	}
	s->lines = o->lines;
	if (object_is_batch(x)) {
		s->ticket = x->id;
		s->price = o->input.price;
		s->lines = o->input.lines;
		s->own = o->own;
	}
	return seal(x->edge->pepper, x->account_row, s, ret);
}

/* Of the file that a batch is made of, as it was when it was uploaded; or of what the provider has made. */
static size_t
file_id(const struct exchange *x, struct sealed *s, bool input, char ret[SEAL_TEXT_MAX])
{
	if (input)
		s->lines = x->object->opened.ticket ? x->object->opened.lines : x->object->input.lines;
	return seal(x->edge->pepper, x->account_row, s, ret);
}

/* "files/{id}" is a name for it as well. */
static size_t
seal_url(const struct exchange *x, struct span url, char ret[SEAL_TEXT_MAX])
{
	static const struct span path = SPAN_INIT("files/");
	char room[CATALOGUE_HOST_MAX + CATALOGUE_PATH_MAX + 24], text[SEAL_TEXT_MAX];
	struct text place = text_on(room, sizeof room), t = text_on(ret, SEAL_TEXT_MAX);
	struct sealed s;
	object_add_url(&place, catalogue_provider(x->edge->p->catalogue, x->route.target->provider));
	if (url.len <= place.len || memcmp(url.at, place.at, place.len) != 0 ||
		!take_id(x, OBJECT_GEMINI_FILE, (struct span){url.at + place.len, url.len - place.len}, &s))
		return 0;
	size_t len = seal(x->edge->pepper, x->account_row, &s, text);
	text_span(&t, path);
	text_add(&t, text, len);
	return len && !t.cut ? t.len : 0;
}

size_t
object_seal_name(const struct exchange *x, struct span name, char ret[SEAL_TEXT_MAX])
{
	struct sealed s;
	if (x->dialect == DIALECT_GEMINI)
		return seal_url(x, name, ret);
	return take_id(x, object_kind_of(x, name), name, &s) ? seal(x->edge->pepper, x->account_row, &s, ret) : 0;
}

/* ---- one reading ---- */

/* What stands before this value is told as it is, and ours comes instead of it. */
static void
begin_ours(struct reading *r, const struct json_event *ev)
{
	text_add(&r->t, r->from.at + r->at, (size_t)(ev->at - r->at));
	r->ours[r->our_count].at = r->t.len;
	text_lit(&r->t, "\"");
}

static void
end_ours(struct reading *r, const struct json_event *ev)
{
	text_lit(&r->t, "\"");
	r->ours[r->our_count++].end = r->t.len;
	r->at = ev->end;
}

static bool
put_id(struct exchange *x, struct reading *r, const struct json_event *ev, bool input)
{
	char text[SEAL_TEXT_MAX];
	bool own = ev->node == NODE_ID;
	struct sealed s;
	if (ev->cut || (own && r->named) || r->raw_count == IDS_MAX || r->our_count == ARRAY_LEN(r->ours) || !take_id(x, own ? (enum object_kind)x->object->kind : OBJECT_FILE, ev->text, &s))
		return false;
	size_t len = own ? own_id(x, &s, text) : file_id(x, &s, input, text);
	r->raw[r->raw_count++] = (struct span){r->from.at + ev->at + 1, s.id_len};
	begin_ours(r, ev);
	text_add(&r->t, text, len);
	end_ours(r, ev);
	if (own) {
		r->own = s;
		r->named = true;
		memcpy(r->text, text, len);
		r->text_len = len;
	}
	return len != 0;
}

/* As the caller knows it: no other was asked for. */
static bool
put_box(struct exchange *x, struct reading *r, const struct json_event *ev)
{
	const struct object *o = x->object;
	if (!o->within_len)
		return true;
	if (ev->cut || ev->text.len != o->opened_within.id_len || memcmp(ev->text.at, o->opened_within.id, ev->text.len) != 0)
		return false;
	text_add(&r->t, r->from.at + r->at, (size_t)(ev->at - r->at));
	text_lit(&r->t, "\"");
	text_add(&r->t, o->within, o->within_len);
	text_lit(&r->t, "\"");
	r->at = ev->end;
	return true;
}

/* The same place here. Before its id is known there is none: what has just begun has no results. */
static bool
put_url(struct exchange *x, struct reading *r, const struct json_event *ev)
{
	const struct object *o = x->object;
	struct span own = o->text_len ? (struct span){o->text, o->text_len} : (struct span){r->text, r->text_len};
	if (!own.len || r->our_count == ARRAY_LEN(r->ours))
		return false;
	begin_ours(r, ev);
	text_add(&r->t, o->base, o->base_len);
	text_lit(&r->t, "/v1/messages/batches/");
	text_span(&r->t, own);
	text_lit(&r->t, "/results");
	end_ours(r, ev);
	return true;
}

/* ---- Gemini's, which say an id in several ways ---- */

static const struct span gemini_path = SPAN_INIT("files/");

/* Behind "files/", up to what is done with it. */
static struct span
gemini_id(struct span text)
{
	const char *at = memmem(text.at, text.len, gemini_path.at, gemini_path.len), *end = text.at + text.len;
	const char *from = at ? at + gemini_path.len : end, *to = from;
	while (to < end && *to != ':' && *to != '?')
		to++;
	return (struct span){from, (size_t)(to - from)};
}

/* May stand in a string as it is: ":download?alt=media". */
static bool
is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~' || s.at[i] == '"' || s.at[i] == '\\')
			return false;
	return true;
}

static void
put_own(struct reading *r, const struct object *o, bool place, struct span own, struct span behind)
{
	text_lit(&r->t, "\"");
	if (place) {
		text_add(&r->t, o->base, o->base_len);
		text_lit(&r->t, "/v1beta/");
	}
	text_span(&r->t, gemini_path);
	text_span(&r->t, own);
	text_span(&r->t, behind);
	text_lit(&r->t, "\"");
}

/* Whichever comes first: all of them are of one. */
static bool
put_gemini(struct exchange *x, struct reading *r, const struct json_event *ev)
{
	bool name = ev->node == NODE_NAME;
	struct span id = gemini_id(ev->text), behind = {id.at + id.len, ev->text.len - (size_t)(id.at + id.len - ev->text.at)};
	struct sealed s;
	if (ev->cut || r->raw_count == IDS_MAX || !take_id(x, OBJECT_GEMINI_FILE, id, &s) || !is_plain(behind))
		return false;
	if (name && (r->named || behind.len || id.at != ev->text.at + gemini_path.len))
		return false;
	if (r->raw_count++ ? !same_id(&s, &r->own) : (r->text_len = own_id(x, &s, r->text)) == 0)
		return false;
	r->own = s;
	r->named |= name;
	text_add(&r->t, r->from.at + r->at, (size_t)(ev->at - r->at));
	put_own(r, x->object, !name, (struct span){r->text, r->text_len}, behind);
	r->at = ev->end;
	return true;
}

/* ---- what else it says ---- */

/* False: it is no number that could be true, and taken for 0. */
static bool
take_number(const struct json_event *ev, enum json_token t, uint64_t *ret)
{
	bool ok = t == JSON_NUMBER && json_whole(ev, UINT64_C(1) << 48, ret);
	*ret = ok ? *ret : 0;
	return ok || t == JSON_NULL;
}

static void
take_purpose(struct reading *r, enum json_token t, const struct json_event *ev)
{
	r->purpose_len = t == JSON_STRING && ev->text.len <= sizeof r->purpose ? ev->text.len : 0;
	memcpy(r->purpose, ev->text.at, r->purpose_len);
}

static bool
has_ended(struct span status)
{
	static const struct span ends[] = {SPAN_INIT("completed"), SPAN_INIT("failed"), SPAN_INIT("expired"), SPAN_INIT("cancelled"), SPAN_INIT("ended")};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (status.len == ends[i].len && !memcmp(status.at, ends[i].at, status.len))
			return true;
	return false;
}

static bool
is_input(const struct reading *r, const struct json_event *ev)
{
	static const struct span key = SPAN_INIT("\"input_file_id\"");
	return ev->key_at != JSON_NO_OFFSET && ev->key_at + key.len <= r->from.len && !memcmp(r->from.at + ev->key_at, key.at, key.len);
}

static bool
on_event(struct exchange *x, struct reading *r, enum json_token t, const struct json_event *ev)
{
	struct batch_seen *seen = &r->seen;
	switch ((enum node)ev->node) {
	case NODE_ID:
		return t == JSON_STRING && put_id(x, r, ev, false);
	case NODE_FILE:
		return t == JSON_NULL || (t == JSON_STRING && put_id(x, r, ev, is_input(r, ev)));
	case NODE_BOX:
		return t == JSON_STRING && put_box(x, r, ev);
	case NODE_URL:
		return t == JSON_NULL || (t == JSON_STRING && put_url(x, r, ev));
	case NODE_NAME:
	case NODE_PLACE:
		return t == JSON_NULL || (t == JSON_STRING && put_gemini(x, r, ev));
	case NODE_PURPOSE:
		take_purpose(r, t, ev);
		return true;
	case NODE_STATUS:
		seen->ended = t == JSON_STRING && has_ended(ev->text);
		return true;
	case NODE_USAGE:
		seen->has_usage |= t == JSON_OBJECT;
		return true;
	case NODE_COUNTS:
		seen->has_counts |= t == JSON_OBJECT;
		return true;
	case NODE_INPUT:
		seen->unread |= !take_number(ev, t, &seen->input);
		return true;
	case NODE_CACHED:
		(void)take_number(ev, t, &seen->cached);
		return true;
	case NODE_OUTPUT:
		seen->unread |= !take_number(ev, t, &seen->output);
		return true;
	case NODE_REASONING:
		(void)take_number(ev, t, &seen->reasoning);
		return true;
	case NODE_COMPLETED:
		seen->unread |= !take_number(ev, t, &seen->completed);
		return true;
	case NODE_ROOT:
	case NODE_WRAPPED:
	case NODE_INPUT_DETAILS:
	case NODE_OUTPUT_DETAILS:
	case NODE_COUNT:
		break;
	}
	return true;
}

/* Where what is ours ends, when these bytes are some of it; else 0. */
static size_t
end_of_ours(const struct reading *r, size_t at, size_t len)
{
	for (unsigned i = 0; i < r->our_count; i++)
		if (at < r->ours[i].end && at + len > r->ours[i].at)
			return r->ours[i].end;
	return 0;
}

/* What else it says in words may name them as well. Ours may read like a short one by chance, and stays. */
static void
hide_id(struct reading *r, struct span raw)
{
	char *found, *text = (char *)r->t.at;
	for (size_t at = 0; (found = memmem(text + at, r->t.len - at, raw.at, raw.len));) {
		size_t ours = end_of_ours(r, (size_t)(found - text), raw.len);
		if (!ours)
			memset(found, 'x', raw.len);
		at = ours ? ours : (size_t)(found - text) + raw.len;
	}
}

static void
hide_ids(struct reading *r)
{
	for (unsigned i = 0; i < r->raw_count; i++)
		hide_id(r, r->raw[i]);
}

static const struct json_node *
nodes_of(const struct exchange *x)
{
	switch (x->object->kind) {
	case OBJECT_BATCH:
		return batch_nodes;
	case OBJECT_MESSAGES_BATCH:
		return listed_nodes;
	case OBJECT_GEMINI_FILE:
		return gemini_nodes;
	default:
		return file_nodes;
	}
}

/* Gemini says nothing of what was deleted. */
static bool
is_nameless(const struct exchange *x)
{
	return x->object->operation == OPERATION_GEMINI_FILE_DELETE;
}

/* False: it is no JSON object with one id, which is the right one. */
static bool
rewrite(struct exchange *x, struct reading *r)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	json_scan_init(&scan, nodes_of(x));
	json_scan_feed(&scan, r->from.at, r->from.len, 0);
	bool ok = true;
	while (ok && (t = json_scan_next(&scan, &ev)) != JSON_MORE)
		ok = t != JSON_BAD && on_event(x, r, t, &ev);
	text_add(&r->t, r->from.at + r->at, r->from.len - (size_t)r->at);
	ok = ok && json_scan_complete(&scan) && (r->named || is_nameless(x)) && !r->t.cut;
	explicit_bzero(&scan, sizeof scan);
	return ok;
}

/* ---- the answer ---- */

static bool
is_deletion(const struct exchange *x)
{
	const enum object_operation operation = (enum object_operation)x->object->operation;
	return operation == OPERATION_FILE_DELETE || operation == OPERATION_GEMINI_FILE_DELETE || operation == OPERATION_MESSAGES_BATCH_DELETE;
}

static void
tell(struct exchange *x, struct reading *r)
{
	if (object_is_batch(x) && work_is_told(x, &r->own)) /* here again when the ledger knows it */
		return;
	if (object_is_new(x, &r->own, (struct span){r->purpose, r->purpose_len}))
		return;
	if (is_deletion(x))
		object_is_gone(x);
	if (x->object->kind == OBJECT_BATCH && r->seen.ended)
		work_has_ended(x, &r->seen);
	else if (object_is_batch(x) && r->seen.ended) /* what it used stands in its results */
		work_is_to_be_looked_at(x, false);
	if (!x->client) {
		exchange_end(x, END_COMPLETED);
		return;
	}
	if (object_is_batch(x))
		hide_ids(r);
	if (x->object->list) {
		object_list_add(x, (struct span){r->t.at, r->t.len});
		return;
	}
	answer_rewritten(x, (struct span){x->carry, x->collect_at}, (struct span){r->t.at, r->t.len});
}

/* Of an upload that is not whole yet the header lines say all. */
static bool
is_empty(const struct exchange *x)
{
	return x->object->operation == OPERATION_UPLOAD_START || (x->object->operation == OPERATION_UPLOAD_SEND && x->carry_len == x->collect_at);
}

void
object_answer(struct exchange *x)
{
	struct edge *e = x->edge;
	size_t cap = x->carry_len + IDS_MAX * (SEAL_TEXT_MAX + OBJECT_BASE_MAX + 32);
	if (!x->up_done) { /* cut, or longer than an answer about an object can be */
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	if (is_empty(x)) {
		answer_rewritten(x, (struct span){x->carry, x->collect_at}, (struct span){0});
		return;
	}
	char *memory = vault_alloc(e->vault, cap);
	if (!memory) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct reading r = {.t = text_on(memory, cap), .from = {x->carry + x->collect_at, x->carry_len - x->collect_at}};
	if (rewrite(x, &r))
		tell(x, &r);
	else
		exchange_end(x, END_PROVIDER_MALFORMED);
	vault_free(e->vault, memory, cap);
	explicit_bzero(&r, sizeof r);
}

/* Of a file that it does not have Gemini says that one may not see it; that is no word about our key. */
bool
object_is_missing(const struct exchange *x, uint32_t status)
{
	if (x->dialect == DIALECT_GEMINI && status == 403)
		return x->object ? x->object->opened.id_len || x->object->operation == OPERATION_UPLOAD_SEND : x->names_objects;
	return object_is_subject(x) && status == 404;
}

bool
object_is_told(const struct exchange *x, struct span text)
{
	const struct object *o = x->object;
	if (object_upload_is_told(x, text))
		return true;
	if (o && o->within_len && memmem(text.at, text.len, o->opened_within.id, o->opened_within.id_len))
		return true;
	if (o && o->opened.id_len)
		return memmem(text.at, text.len, o->opened.id, o->opened.id_len) != NULL;
	static const struct span prefixes[] = {SPAN_INIT("file-"), SPAN_INIT("file_"), SPAN_INIT("resp_"), SPAN_INIT("conv_"), SPAN_INIT("cntr_"), SPAN_INIT("cfile_"), SPAN_INIT("files/")};
	for (size_t i = 0; x->names_objects && i < ARRAY_LEN(prefixes); i++)
		if (memmem(text.at, text.len, prefixes[i].at, prefixes[i].len))
			return true;
	return false;
}
