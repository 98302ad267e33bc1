/* The answer about an object, on its way down: the ids in it become the account's own. */
#include "edge/object.h"

#include "core/json_scan.h"

enum { IDS_MAX = 4 }; /* of one answer */

enum node {
	NODE_ROOT = JSON_NODE_ROOT,
	NODE_ID, /* of the object itself */
	NODE_COUNT,
};

static const struct json_edge root[] = {JSON_EDGE("id", NODE_ID)};
static const struct json_node nodes[NODE_COUNT] = {
	[NODE_ROOT] = {.edges = root, .edge_count = ARRAY_LEN(root)},
	[NODE_ID] = {.text = true},
};

struct rewriting {
	struct text t;
	struct span from;
	uint64_t at; /* bytes of `from` that have been written */
	bool named; /* its own id came */
};

/* The id that the account gets for one of the provider's. 0: it is none that can be given. */
static size_t
id_for(const struct exchange *x, struct span id, char ret[SEAL_TEXT_MAX])
{
	const struct object *o = x->object;
	const struct edge *e = x->edge;
	if (o->text_len) { /* of what was asked for: as the caller knows it */
		bool same = id.len == o->opened.id_len && !memcmp(id.at, o->opened.id, id.len);
		memcpy(ret, o->text, o->text_len);
		return same ? o->text_len : 0;
	}
	struct sealed s = {.kind = o->kind, .provider = catalogue_provider(e->p->catalogue, x->route.target->provider)->id};
	if (id.len > SEAL_ID_MAX)
		return 0;
	s.id_len = (uint8_t)id.len;
	memcpy(s.id, id.at, id.len);
	return seal(e->pepper, x->account_row, &s, ret);
}

static bool
on_id(const struct exchange *x, struct rewriting *r, enum json_token t, const struct json_event *ev)
{
	char text[SEAL_TEXT_MAX];
	size_t len = t == JSON_STRING && !ev->cut && !r->named ? id_for(x, ev->text, text) : 0;
	text_add(&r->t, r->from.at + r->at, (size_t)(ev->at - r->at));
	text_lit(&r->t, "\"");
	text_add(&r->t, text, len);
	text_lit(&r->t, "\"");
	r->at = ev->end;
	r->named = true;
	return len != 0;
}

/* False: it is no JSON object with one id, which is the right one. */
static bool
rewrite(const struct exchange *x, struct rewriting *r)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	json_scan_init(&scan, nodes);
	json_scan_feed(&scan, r->from.at, r->from.len, 0);
	bool ok = true;
	while (ok && (t = json_scan_next(&scan, &ev)) != JSON_MORE)
		ok = t != JSON_BAD && (ev.node != NODE_ID || on_id(x, r, t, &ev));
	text_add(&r->t, r->from.at + r->at, r->from.len - (size_t)r->at);
	ok = ok && json_scan_complete(&scan) && r->named && !r->t.cut;
	explicit_bzero(&scan, sizeof scan);
	return ok;
}

void
object_answer(struct exchange *x)
{
	struct edge *e = x->edge;
	size_t cap = x->carry_len + IDS_MAX * SEAL_TEXT_MAX;
	if (!x->up_done) { /* cut, or longer than an answer about an object can be */
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	char *memory = vault_alloc(e->vault, cap);
	if (!memory) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct rewriting r = {.t = text_on(memory, cap), .from = {x->carry + x->collect_at, x->carry_len - x->collect_at}};
	if (rewrite(x, &r))
		answer_rewritten(x, (struct span){x->carry, x->collect_at}, (struct span){r.t.at, r.t.len});
	else
		exchange_end(x, END_PROVIDER_MALFORMED);
	vault_free(e->vault, memory, cap);
}

bool
object_is_told(const struct exchange *x, struct span text)
{
	const struct object *o = x->object;
	if (o && o->opened.id_len)
		return memmem(text.at, text.len, o->opened.id, o->opened.id_len) != NULL;
	return x->names_objects && (memmem(text.at, text.len, "file-", 5) || memmem(text.at, text.len, "file_", 5));
}
