#include "core/vault.h"

#include "core/vault_priv.h"

#include <assert.h>

static inline unsigned
class_of(size_t bytes)
{
	if (bytes <= VAULT_BLOCK_MIN)
		return 0;
	return 64 - (unsigned)__builtin_clzl(bytes - 1) - BLOCK_SHIFT_MIN;
}

static inline size_t
class_bytes(unsigned kind)
{
	return (size_t)VAULT_BLOCK_MIN << kind;
}

static inline uint64_t
slab_all_free(unsigned kind)
{
	return kind == 0 ? UINT64_MAX : (UINT64_C(1) << (PAGE_BYTES >> (BLOCK_SHIFT_MIN + kind))) - 1;
}

/* Pages of low segments go first, so that high segments run empty and can be given back. */
static void
slab_link(struct vault *v, struct page *page)
{
	struct page *head = &v->slabs[page->kind];
	struct page *before = head->next == head || page < head->next ? head : head->prev;

	page->prev = before;
	page->next = before->next;
	before->next->prev = page;
	before->next = page;
}

static void
slab_unlink(struct page *page)
{
	page->prev->next = page->next;
	page->next->prev = page->prev;
	page->prev = page->next = NULL;
}

static struct page *
slab_new(struct vault *v, unsigned kind)
{
	struct page *page = vault_pages_take(v, 0);

	if (!page)
		return NULL;
	page->state = PAGE_SLAB;
	page->kind = (uint8_t)kind;
	page->free = slab_all_free(kind);
	slab_link(v, page);
	return page;
}

static inline void *
slab_alloc(struct vault *v, unsigned kind)
{
	struct page *page = v->slabs[kind].next;

	if (unlikely(page == &v->slabs[kind])) {
		page = slab_new(v, kind);
		if (!page)
			return NULL;
	}
	unsigned block = (unsigned)__builtin_ctzl(page->free);
	page->free &= page->free - 1;
	if (!page->free)
		slab_unlink(page);
	return vault_page_at(v, page) + ((size_t)block << (BLOCK_SHIFT_MIN + kind));
}

/*
 * The last slab of a class stays, empty or not: one block that comes and goes must not move pages
 * each time.
 */
static void
slab_free(struct vault *v, struct page *page, unsigned kind, size_t offset)
{
	uint64_t bit = UINT64_C(1) << (offset >> (BLOCK_SHIFT_MIN + kind));

	if (!page->free)
		slab_link(v, page);
	page->free |= bit;
	if (page->free == slab_all_free(kind) && page->next != page->prev) {
		slab_unlink(page);
		vault_pages_give(v, page, 0);
	}
}

void
vault_slabs_trim(struct vault *v)
{
	for (unsigned kind = 0; kind < SLAB_CLASSES; kind++) {
		struct page *head = &v->slabs[kind], *page = head->next;

		if (page == head || page->free != slab_all_free(kind))
			continue;
		slab_unlink(page);
		vault_pages_give(v, page, 0);
	}
}

static inline void *
pages_alloc(struct vault *v, unsigned order, size_t bytes)
{
	struct page *page = vault_pages_take(v, order);

	if (!page)
		return NULL;
	page->free = bytes;
	return vault_page_at(v, page);
}

static inline void *
block_alloc(struct vault *v, unsigned kind, size_t bytes)
{
	return kind < SLAB_CLASSES ? slab_alloc(v, kind) : pages_alloc(v, kind - SLAB_CLASSES, bytes);
}

void *
vault_alloc(struct vault *v, size_t bytes)
{
	assert(bytes > 0 && bytes <= VAULT_BLOCK_MAX);
	unsigned kind = class_of(bytes);
	void *p = block_alloc(v, kind, bytes);

	if (unlikely(!p)) {
		if (!vault_add_spare(v))
			return NULL;
		p = block_alloc(v, kind, bytes);
		if (!p)
			return NULL;
	}
	if (bytes <= PAGE_BYTES)
		vault_fetch(p, bytes < VAULT_FETCH_MOST ? bytes : VAULT_FETCH_MOST);
	if (BARE && bytes <= PAGE_BYTES + PAGE_BYTES / 2) /* structs begin as zeros; who has buffers, of 8 KiB and more, knows how full they are */
		__builtin_memset(p, 0, class_bytes(kind));
	v->used_bytes += class_bytes(kind);
	if (v->used_bytes > v->peak_bytes)
		v->peak_bytes = v->used_bytes;
	vault_unpoison(p, bytes);
	return p;
}

/* The page that describes block p of the class. Any other pointer is our bug. */
static inline struct page *
page_of(struct vault *v, const char *p, unsigned kind)
{
	size_t number = (size_t)(p - v->base) >> PAGE_SHIFT;
	size_t offset = (uintptr_t)p & (PAGE_BYTES - 1);

	assert(number < v->slots * SLOT_PAGES);
	struct page *page = &v->pages[number];
	if (kind >= SLAB_CLASSES) {
		assert(page->state == PAGE_BLOCK && page->kind == kind - SLAB_CLASSES && offset == 0);
		return page;
	}
	assert(
		page->state == PAGE_SLAB && page->kind == kind && !(offset & (class_bytes(kind) - 1)));
	assert(!(page->free >> (offset >> (BLOCK_SHIFT_MIN + kind)) & 1));
	return page;
}

static inline void
free_wiped(struct vault *v, char *p, size_t bytes, size_t dirty_bytes)
{
	assert(bytes > 0 && bytes <= VAULT_BLOCK_MAX && dirty_bytes <= bytes);
	unsigned kind = class_of(bytes);
	struct page *page = page_of(v, p, kind);

	vault_unpoison(p, class_bytes(kind));
	vault_wipe(p, dirty_bytes);
	assert(!SANITIZED || vault_is_clean(p, class_bytes(kind)));
	vault_poison(p, class_bytes(kind));
	v->used_bytes -= class_bytes(kind);
	if (kind < SLAB_CLASSES)
		slab_free(v, page, kind, (uintptr_t)p & (PAGE_BYTES - 1));
	else
		vault_pages_give(v, page, kind - SLAB_CLASSES);
}

/*
 * What was asked for is wiped, up to a whole line of the cache, and not the slack behind it: in a large
 * block those are pages that nobody has touched, which would cost 22 µs each, in a small one lines that
 * come from memory to be as they were, and a write into the slack is what AddressSanitizer looks for.
 */
void
vault_free(struct vault *v, void *p, size_t bytes)
{
	if (!p)
		return;
	assert(bytes > 0 && bytes <= VAULT_BLOCK_MAX);
	bytes = (bytes + VAULT_LINE - 1) & ~(size_t)(VAULT_LINE - 1); /* no class is less than a line */
	free_wiped(v, p, bytes, bytes);
}

void
vault_free_dirty(struct vault *v, void *p, size_t bytes, size_t dirty_bytes)
{
	if (p)
		free_wiped(v, p, bytes, dirty_bytes);
}

size_t
vault_bytes_of(struct vault *v, void *p)
{
	size_t number = (size_t)((char *)p - v->base) >> PAGE_SHIFT;

	assert(number < v->slots * SLOT_PAGES);
	const struct page *page = &v->pages[number];
	assert(page->state != PAGE_FREE);
	size_t bytes = page->state == PAGE_SLAB ? class_bytes(page->kind) : page->free;
	vault_unpoison(p, bytes);
	return bytes;
}

bool
vault_admit(struct vault *v, size_t bytes)
{
	if (bytes > v->budget_bytes - v->admitted_bytes)
		return false;
	v->admitted_bytes += bytes;
	return true;
}

size_t
vault_admissible(const struct vault *v)
{
	return v->budget_bytes - v->admitted_bytes;
}

void
vault_release(struct vault *v, size_t bytes)
{
	assert(bytes <= v->admitted_bytes);
	v->admitted_bytes -= bytes;
}

bool
vault_has_lower(struct vault *v, const void *p, size_t bytes)
{
	unsigned kind = class_of(bytes);
	const struct page *page = page_of(v, p, kind);

	assert(kind >= SLAB_CLASSES);
	return vault_pages_lower(v, kind - SLAB_CLASSES, (size_t)(page - v->pages) / SLOT_PAGES);
}

size_t
vault_block_bytes(size_t bytes)
{
	return class_bytes(class_of(bytes));
}

void
vault_facts(const struct vault *v, struct vault_facts *ret)
{
	*ret = (struct vault_facts){
		.grade = v->grade,
		.segments = v->segment_count,
		.mapped_bytes = v->mapped_bytes,
		.ready_bytes = v->mapped_bytes + v->spare_bytes,
		.used_bytes = v->used_bytes,
		.peak_bytes = v->peak_bytes,
		.budget_bytes = v->budget_bytes,
		.reserve_bytes = v->reserve_bytes,
	};
}
