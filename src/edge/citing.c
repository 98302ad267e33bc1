#include "edge/citing.h"

#include "edge/edge_priv.h"

#include "edge/object.h"
#include "edge/seal.h"

#include <assert.h>

enum { OUT_LEAST = 4 << 10,
	OUT_MOST = 1 << 20 }; /* what one read of 64 KiB can become: a name takes 14 bytes at least, and is at most SEAL_TEXT_MAX */

bool
citing_begin(struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	bool may = object_is_subject(x) ? x->endpoint == ENDPOINT_RESPONSES_KEPT : f->may_name || x->names_objects;
	if (x->passage || !x->client || !may)
		return true;
	struct citing *c = vault_alloc(x->edge->vault, sizeof *c);
	if (!c)
		return false;
	if (!naming_init(&c->naming, (enum endpoint)x->endpoint, x->streamed)) {
		vault_free(x->edge->vault, c, sizeof *c);
		return true;
	}
	c->x = x;
	x->citing = c;
	return true;
}

static bool
grow(struct sink *s)
{
	struct citing *c = container_of(s, struct citing, out);
	struct edge *e = c->x->edge;
	size_t cap = vault_block_bytes(c->out_cap ? 2 * c->out_cap : OUT_LEAST);
	char *at = cap <= OUT_MOST ? vault_alloc(e->vault, cap) : NULL;
	if (!at)
		return false;
	if (s->len)
		memcpy(at, s->at, s->len);
	vault_free(e->vault, s->at, c->out_cap); /* earlier parts may have been longer */
	s->at = at;
	s->cap = c->out_cap = cap;
	return true;
}

/* What is no id, or one of no kind that is given out, stays. */
static void
found(void *owner, const struct naming_found *f)
{
	struct citing *c = owner;
	char text[SEAL_TEXT_MAX];
	size_t len = object_seal_name(c->x, f->text, text);
	if (!len)
		return;
	sink_add(&c->out, c->in.at + c->in_at, f->at - c->in_at);
	sink_lit(&c->out, "\"");
	sink_add(&c->out, text, len);
	sink_lit(&c->out, "\"");
	c->in_at = f->end;
}

static bool
look(struct citing *c, struct span in, bool last)
{
	c->in = in;
	c->in_at = 0;
	size_t settled = naming_feed(&c->naming, in, last, found, c);
	if (settled > c->in_at)
		sink_add(&c->out, in.at + c->in_at, settled - c->in_at);
	c->held_len = (uint32_t)(in.len - settled);
	assert(c->held_len <= sizeof c->held);
	memmove(c->held, in.at + settled, c->held_len);
	return !c->out.full;
}

bool
citing_tell(struct exchange *x, struct span *data, bool last)
{
	struct citing *c = x->citing;
	struct edge *e = x->edge;
	struct span in = *data;
	size_t cap = 0;
	char *joined = NULL;
	c->out.grow = grow;
	c->out.len = 0;
	if (!in.len && !c->held_len)
		return true;
	if (c->held_len) { /* the beginning of a name goes in front */
		cap = c->held_len + in.len;
		joined = vault_alloc(e->vault, cap);
		if (!joined)
			return false;
		memcpy(joined, c->held, c->held_len);
		if (in.len)
			memcpy(joined + c->held_len, in.at, in.len);
		in = (struct span){joined, cap};
	}
	bool ok = look(c, in, last);
	vault_free(e->vault, joined, cap);
	*data = (struct span){c->out.at, c->out.len};
	return ok;
}

void
citing_free(struct exchange *x)
{
	struct citing *c = x->citing;
	if (!c)
		return;
	vault_free(x->edge->vault, c->out.at, c->out_cap);
	vault_free(x->edge->vault, c, sizeof *c);
	x->citing = NULL;
}
