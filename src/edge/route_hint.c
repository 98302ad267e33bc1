/* ROUTE: whose requests belong together. A provider's prompt cache is by account and by what requests begin with; only a number is made of that, and it goes with the exchange. */
#include "edge/edge_priv.h"

#include "edge/route.h"

enum { BEGINNING_MAX = 1024 };

/* The first element of a list, or the value itself, up to so many bytes, blanks between values left out. */
struct beginning {
	uint64_t hash;
	uint32_t left, depth;
	bool text, escaped, any;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* False: it is over. */
static bool
take(struct beginning *b, char c)
{
	if (!b->text && (is_blank(c) || (!b->any && c == '[')))
		return true;
	b->any = true;
	b->hash = (b->hash ^ (unsigned char)c) * 0x100000001b3;
	if (b->text) {
		b->text = b->escaped || c != '"';
		b->escaped = !b->escaped && c == '\\';
	} else if (c == '"')
		b->text = true;
	else if (c == '{' || c == '[')
		b->depth++;
	else if (c == '}' || c == ']')
		b->depth -= b->depth > 0;
	return --b->left && (b->text || b->depth);
}

static uint64_t
beginning_of(const struct block *block, uint64_t at)
{
	struct beginning b = {.hash = 0xcbf29ce484222325, .left = BEGINNING_MAX};
	for (; block && at >= block->len; block = block->next)
		at -= block->len;
	for (; block; block = block->next, at = 0)
		for (; at < block->len; at++)
			if (!take(&b, block->bytes[at]))
				return b.hash;
	return b.hash;
}

static uint64_t
of_request(const struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	const struct request_place *said[] = {&f->cache_key, &f->user_id, &f->safety, &f->user};
	for (size_t i = 0; i < ARRAY_LEN(said); i++)
		if (said[i]->hash)
			return said[i]->hash;
	return beginning_of(x->req->body, f->begins_at);
}

uint64_t
route_hint(const struct exchange *x, enum sticky sticky)
{
	switch (sticky) {
	case STICKY_CACHE:
		if (x->req && x->req->scan.result.begins_at)
			return of_request(x) ^ x->account_row;
		break;
	case STICKY_KEY:
		break;
	case STICKY_NONE:
		return x->id;
	}
	return x->ticket->facts.key;
}
