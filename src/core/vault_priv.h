/*
 * The inside of the vault: shared by vault.c (blocks), vault_pages.c (pages of a segment) and
 * vault_map.c (mappings). Not for others.
 *
 * One range of addresses is reserved at the start. Each segment has a slot of it, 32 MiB apart, so
 * that the address of a block gives the number of its page, behind each segment lies a hole, and
 * nothing has to be searched. What describes a page lies in ordinary memory beside the vault: a
 * free block holds nothing but zeros.
 *
 * Pages of a segment are a buddy system of 4 KiB to 1 MiB, in bitmaps. Blocks below a page are cut
 * from one page each ("slab").
 */
#ifndef CORE_VAULT_PRIV_H
#define CORE_VAULT_PRIV_H

#include "core/sanitized.h"
#include "core/vault.h"

#include <string.h>

enum {
	PAGE_SHIFT = 12,
	PAGE_BYTES = 1 << PAGE_SHIFT,
	SLAB_CLASSES = 6, /* 64 .. 2048 */
	ORDERS = 9, /* 4 KiB .. 1 MiB */
	BLOCK_SHIFT_MIN = 6,
	SEGMENT_PAGES = VAULT_SEGMENT / PAGE_BYTES,
	SEGMENT_WORDS = SEGMENT_PAGES / 64,
	SLOT_SHIFT = 25,
	SLOT_PAGES = 1 << (SLOT_SHIFT - PAGE_SHIFT),
	SLOTS_MAX = 4096, /* 64 GiB */
	SLOT_WORDS = SLOTS_MAX / 64,
};

enum page_state {
	PAGE_FREE,
	PAGE_SLAB,
	PAGE_BLOCK,
};

/* PAGE_FREE also is any page but the first of a block. */
struct page {
	uint64_t free; /* slab: a bit for each free block; block: the bytes that were asked for */
	struct page *prev, *next; /* slab with free blocks: the list of its class */
	uint8_t state;
	uint8_t kind; /* slab: size class; block: order */
};

struct segment {
	size_t pages; /* 0: the slot is free */
	size_t pages_used;
	bool idle; /* seen empty, and not used since */
	uint64_t idle_since_ms;
	uint64_t some[ORDERS]; /* words of `free` that have a bit */
	uint64_t free[ORDERS][SEGMENT_WORDS];
	uint64_t busy[SEGMENT_WORDS];
	uint64_t touched[SEGMENT_WORDS]; /* the kernel has given memory for the page */
};

struct vault {
	enum vault_grade grade;
	uint64_t budget_bytes, reserve_bytes, admitted_bytes;
	uint64_t used_bytes, peak_bytes, mapped_bytes;
	size_t slots, segment_count;
	char *base; /* the reserved range: slots << SLOT_SHIFT bytes */
	struct page *pages; /* SLOT_PAGES for each slot */
	int spare_fd; /* a segment that is not mapped yet, */
	size_t spare_bytes; /* or 0: there is none */
	struct page slabs[SLAB_CLASSES]; /* heads of rings */
	uint64_t avail_some[ORDERS];
	uint64_t avail[ORDERS][SLOT_WORDS]; /* segments that have a free block of the order */
	struct segment segments[];
};

/* The first page of a run of 1 << order pages, marked as a block; NULL when no segment has one. */
struct page *vault_pages_take(struct vault *v, unsigned order);
void vault_pages_give(struct vault *v, struct page *page, unsigned order);
/* A segment below the slot has such a run. */
bool vault_pages_lower(const struct vault *v, unsigned order, size_t slot);

/* All pages of a new segment become free, or those of an empty one vanish. */
void vault_pages_add(struct vault *v, size_t slot, size_t pages);
void vault_pages_remove(struct vault *v, size_t slot);

/* Map the spare segment. False: there is none, or it can't be. */
must_check bool vault_add_spare(struct vault *v);

/* Give slabs that hold nothing back to the pages. */
void vault_slabs_trim(struct vault *v);

static inline char *
vault_page_at(const struct vault *v, const struct page *page)
{
	return v->base + ((size_t)(page - v->pages) << PAGE_SHIFT);
}

static inline char *
vault_slot_at(const struct vault *v, size_t slot)
{
	return v->base + (slot << SLOT_SHIFT);
}

#if SANITIZED
#include <sanitizer/asan_interface.h>
#define vault_poison(at, bytes) ASAN_POISON_MEMORY_REGION((at), (bytes))
#define vault_unpoison(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
#else
#define vault_poison(at, bytes) ((void)(at), (void)(bytes))
#define vault_unpoison(at, bytes) ((void)(at), (void)(bytes))
#endif

/* Not to be optimised away: the compiler must think that somebody reads the zeros. */
static inline void
vault_wipe(void *at, size_t bytes)
{
	if (BARE)
		return;
	__builtin_memset(at, 0, bytes);
	__asm__ volatile(""
					 :
					 : "r"(at)
					 : "memory");
}

/* By the C library's words: byte for byte, a sanitizer would look at each of them twice, and the tests do little else. */
static inline bool
vault_is_clean(const char *at, size_t bytes)
{
	return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

#endif
