#include "core/vault_priv.h"

#include <assert.h>
#include <string.h>

static inline void
avail_set(struct vault *v, size_t slot, unsigned order, bool on)
{
	uint64_t bit = UINT64_C(1) << (slot & 63), *word = &v->avail[order][slot >> 6];
	uint64_t some = UINT64_C(1) << (slot >> 6);

	*word = on ? *word | bit : *word & ~bit;
	v->avail_some[order] = *word ? v->avail_some[order] | some : v->avail_some[order] & ~some;
}

static inline bool
run_is_free(const struct segment *s, unsigned order, size_t run)
{
	return s->free[order][run >> 6] >> (run & 63) & 1;
}

static inline void
run_insert(struct vault *v, size_t slot, unsigned order, size_t run)
{
	struct segment *s = &v->segments[slot];

	if (!s->some[order])
		avail_set(v, slot, order, true);
	s->free[order][run >> 6] |= UINT64_C(1) << (run & 63);
	s->some[order] |= UINT64_C(1) << (run >> 6);
}

static inline void
run_remove(struct vault *v, size_t slot, unsigned order, size_t run)
{
	struct segment *s = &v->segments[slot];
	uint64_t *word = &s->free[order][run >> 6];

	*word &= ~(UINT64_C(1) << (run & 63));
	if (!*word)
		s->some[order] &= ~(UINT64_C(1) << (run >> 6));
	if (!s->some[order])
		avail_set(v, slot, order, false);
}

/* A run of pages in a bitmap: within one word up to 64 pages, whole words above. */
static inline void
bits_set(uint64_t *map, size_t first, size_t count, bool on)
{
	if (count >= 64) {
		memset(&map[first >> 6], on ? 0xff : 0, count / 8);
		return;
	}
	uint64_t mask = ((UINT64_C(1) << count) - 1) << (first & 63);
	map[first >> 6] = on ? map[first >> 6] | mask : map[first >> 6] & ~mask;
}

/* The lowest segment with a free run of at least the order, so that the highest can run empty. */
static bool
find_run(const struct vault *v, unsigned order, size_t *ret_slot, unsigned *ret_order)
{
	size_t best = SIZE_MAX;

	for (unsigned o = order; o < ORDERS; o++) {
		if (!v->avail_some[o])
			continue;
		size_t word = (size_t)__builtin_ctzl(v->avail_some[o]);
		size_t slot = word << 6 | (size_t)__builtin_ctzl(v->avail[o][word]);
		if (slot < best) {
			best = slot;
			*ret_order = o;
		}
	}
	*ret_slot = best;
	return best != SIZE_MAX;
}

bool
vault_pages_lower(const struct vault *v, unsigned order, size_t slot)
{
	size_t lowest;
	unsigned o;

	return find_run(v, order, &lowest, &o) && lowest < slot;
}

struct page *
vault_pages_take(struct vault *v, unsigned order)
{
	size_t slot;
	unsigned o;

	if (!find_run(v, order, &slot, &o))
		return NULL;
	struct segment *s = &v->segments[slot];
	size_t word = (size_t)__builtin_ctzl(s->some[o]);
	size_t run = word << 6 | (size_t)__builtin_ctzl(s->free[o][word]);
	run_remove(v, slot, o, run);
	while (o > order) {
		o--;
		run <<= 1;
		run_insert(v, slot, o, run + 1);
	}
	size_t first = run << order, count = (size_t)1 << order;
	bits_set(s->busy, first, count, true);
	bits_set(s->touched, first, count, true);
	s->pages_used += count;
	s->idle = false;
	struct page *page = &v->pages[slot * SLOT_PAGES + first];
	page->state = PAGE_BLOCK;
	page->kind = (uint8_t)order;
	return page;
}

void
vault_pages_give(struct vault *v, struct page *page, unsigned order)
{
	size_t number = (size_t)(page - v->pages), slot = number / SLOT_PAGES,
		   first = number % SLOT_PAGES;
	struct segment *s = &v->segments[slot];
	size_t run = first >> order, count = (size_t)1 << order;

	assert(s->pages_used >= count);
	bits_set(s->busy, first, count, false);
	s->pages_used -= count;
	page->state = PAGE_FREE;
	while (order < ORDERS - 1 && run_is_free(s, order, run ^ 1)) {
		run_remove(v, slot, order, run ^ 1);
		run >>= 1;
		order++;
	}
	run_insert(v, slot, order, run);
}

void
vault_pages_add(struct vault *v, size_t slot, size_t pages)
{
	struct segment *s = &v->segments[slot];

	memset(s, 0, sizeof(*s));
	s->pages = pages;
	for (size_t run = 0; run < pages >> (ORDERS - 1); run++)
		run_insert(v, slot, ORDERS - 1, run);
}

void
vault_pages_remove(struct vault *v, size_t slot)
{
	struct segment *s = &v->segments[slot];

	assert(s->pages_used == 0);
	for (size_t run = 0; run < s->pages >> (ORDERS - 1); run++)
		run_remove(v, slot, ORDERS - 1, run);
	s->pages = 0;
}
