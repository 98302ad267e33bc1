#include "edge/edge_priv.h"

#include <string.h>

static size_t
whole(const struct block *b)
{
	return (size_t)(b->bytes - (const char *)b) + b->cap;
}

struct block *
block_new(struct edge *e, size_t cap)
{
	struct block *b = vault_alloc(e->vault, sizeof *b + cap);
	if (!b)
		return NULL;
	*b = (struct block){.cap = (uint32_t)cap, .bytes = (char *)(b + 1)};
	return b;
}

void
block_free(struct edge *e, struct block *b)
{
	if (b)
		vault_free_dirty(e->vault, b, whole(b), whole(b) - b->cap + b->len);
}

void
blocks_free(struct edge *e, struct block *b)
{
	for (struct block *next; b; b = next) {
		next = b->next;
		block_free(e, b);
	}
}

struct block *
block_keep(struct edge *e, const char *at, size_t len, uint64_t body)
{
	struct block *b = e->read;
	uintptr_t first = (uintptr_t)b->bytes, from = (uintptr_t)at;
	if (!len || from < first || from >= first + b->cap)
		return NULL;
	uint32_t before = (uint32_t)(from - first), room = b->cap - before, end = before + (uint32_t)len;
	if (room <= BLOCK_READ / 2 || body <= BLOCK_READ / 2)
		return NULL;
	struct block *other = block_new(e, BLOCK_READ);
	if (!other)
		return NULL;
	if (b->len > end) /* of somebody else, who was read in this turn before */
		memset(b->bytes + end, 0, b->len - end);
	memset(b->bytes, 0, before); /* the head, with the caller's key in it: the body may stay for minutes */
	e->read = other;
	b->bytes += before;
	b->cap = room;
	b->len = 0;
	return b;
}

void
block_settle(struct edge *e)
{
	struct block *old = e->read;
	if (old->len || !vault_has_lower(e->vault, old, whole(old)))
		return;
	struct block *b = block_new(e, BLOCK_READ);
	if (!b)
		return;
	e->read = b;
	block_free(e, old);
}
