/*
 * The vault: the only memory in which an edge keeps content.
 *
 * A list of segments, each its own memfd_secret (grade sealed), mlocked anonymous memory (locked)
 * or ordinary memory (plain). The supervisor creates and sizes segments and hands the descriptors
 * over; the edge maps them. Freed memory is wiped before it can be given out again. One vault per
 * process, one thread. Design chapter 2.
 *
 * Blocks come in powers of two from VAULT_BLOCK_MIN to VAULT_BLOCK_MAX; a pointer is aligned to its
 * block's size up to a page. Under AddressSanitizer each block is poisoned when free and behind its
 * asked size when given out.
 */
#ifndef CORE_VAULT_H
#define CORE_VAULT_H

#include "core/base.h"

enum vault_grade {
	VAULT_PLAIN,
	VAULT_LOCKED,
	VAULT_SEALED,
};

enum {
	VAULT_BLOCK_MIN = 64,
	VAULT_BLOCK_MAX = 1 << 20,
	VAULT_FIRST_SEGMENT = 1 << 20, /* small, so that an idle edge stays small */
	VAULT_SEGMENT = 16 << 20,
	VAULT_LINE = 64, /* of the processor's cache: what is wiped is whole lines */
	VAULT_FETCH_MOST = 2048, /* is fetched of a block that is taken, or soon wiped: what is seldom written lies behind that */
	VAULT_IDLE_MS = 30000, /* an empty segment (never the first) is given back after this */
};

struct vault;

struct vault_facts {
	enum vault_grade grade;
	uint64_t segments, mapped_bytes, used_bytes, peak_bytes, budget_bytes, reserve_bytes;
	uint64_t ready_bytes; /* what is mapped, and the spare segment */
};

/*
 * Create a segment: a descriptor of memfd_secret (sealed) or memfd (locked, plain), sized.
 * Supervisor only. -1 with errno when the kernel refuses.
 */
must_check int vault_segment_create(enum vault_grade grade, size_t bytes);

/*
 * The best grade that this machine and these limits allow for `bytes` of vault; ret_why names the
 * missing part or is NULL.
 */
enum vault_grade vault_grade_available(size_t bytes, const char **ret_why);

/* Whether memory of that size can be locked. Where it can be sealed it usually can. */
must_check bool vault_can_lock(size_t bytes);

/*
 * budget_bytes   upper bound of what admission (vault_admit) may hand out, content
 * reserve_bytes  on top of it, for libraries and the edge's own structs
 */
must_check struct vault *vault_open(
	enum vault_grade grade, uint64_t budget_bytes, uint64_t reserve_bytes);

/* Wipe, unmap, free; *v becomes NULL. Takes a pointer to NULL. */
void vault_close(struct vault **v);

/*
 * Map a segment that was handed over and own its descriptor (closed, also on failure). With fd -1 a
 * locked or plain vault maps anonymous memory of its own, which a fork sees wiped. `bytes` is a
 * multiple of VAULT_BLOCK_MAX up to VAULT_SEGMENT. False: it can't be mapped at this grade (errno),
 * or the bound of the vault is reached (ENOSPC).
 */
must_check bool vault_add_segment(struct vault *v, int fd, size_t bytes);

/*
 * The same, of a segment that came before it is needed: the descriptor is kept, and mapped by the
 * first allocation that finds no room, or by vault_make_room(). One is kept; the one before it, and
 * the first of a vault, are mapped at once.
 */
must_check bool vault_keep_segment(struct vault *v, int fd, size_t bytes);

/*
 * There is no spare segment: ask the supervisor for one (returns its size, or 0 when budget +
 * reserve is reached). It keeps returning a size until that segment has come: the caller remembers
 * that it has asked.
 */
size_t vault_wants_segment(const struct vault *v);

/* Map the spare segment: when room is low, so that its pages can be made ready, or when it is not enough (`is_short`) and a second one is to come. */
void vault_make_room(struct vault *v, bool is_short);
/* Segments behind the first are mapped, and all that is used, less so many bytes that can be given up, would fit into that one with some room. */
bool vault_is_spread(const struct vault *v, uint64_t idle_bytes);

/*
 * Unmap segments that have been empty for VAULT_IDLE_MS; pre-fault a few pages of new ones. Call
 * about once a second.
 */
void vault_tend(struct vault *v, uint64_t now_ms);

/*
 * Reserve content bytes against the budget before reading them. False: full, let the exchange wait.
 */
must_check bool vault_admit(struct vault *v, size_t bytes);
size_t vault_admissible(const struct vault *v); /* bytes that it would let in now */
void vault_release(struct vault *v, size_t bytes);

/*
 * Zeroed memory of at least `bytes` (1 .. VAULT_BLOCK_MAX), or NULL when no segment has room. O(1)
 * up to the number of classes.
 */
must_check void *vault_alloc(struct vault *v, size_t bytes);

/*
 * To be written soon: its lines of the cache come all at once, while something else is done, instead of
 * one after the other when each is first touched.
 */
static inline void
vault_fetch(const void *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += VAULT_LINE)
		__builtin_prefetch((const char *)p + at, 1, 3);
}

/*
 * Wipe and free. Takes NULL. `bytes` is the size that was asked for; who uses the whole block asks
 * for vault_block_bytes(). A pointer that is not a block of that size, or is free already, is our
 * bug and ends the process.
 */
void vault_free(struct vault *v, void *p, size_t bytes);

/*
 * As vault_free, when the caller knows that only the first `dirty_bytes` were ever written. Checked
 * under AddressSanitizer: a block that is not zero behind them ends the process.
 */
void vault_free_dirty(struct vault *v, void *p, size_t bytes, size_t dirty_bytes);

/*
 * Wipe everything, also what is in use (the edge is being traced, or ends): only the end of the
 * process may follow.
 */
void vault_wipe_all(struct vault *v);

void vault_facts(const struct vault *v, struct vault_facts *ret);

/*
 * For who has forgotten how much it asked for: the bytes of p that may be used, and that vault_free()
 * wants. What was asked for, or below a page the whole block.
 */
size_t vault_bytes_of(struct vault *v, void *p);

/*
 * Whether the next block of that size, of a page and more, comes from a segment before the one that p lies in, which
 * is one of that size. Nothing is taken or touched.
 */
must_check bool vault_has_lower(struct vault *v, const void *p, size_t bytes);

/* The usable size of a block asked for with `bytes`. */
size_t vault_block_bytes(size_t bytes);

#endif
