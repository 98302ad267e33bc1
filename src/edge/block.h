/*
 * Blocks of vault memory that a body lies in, one after the other; and the one that a client's request is read into, head and body at once.
 *
 * That one changes hands: where a body needs a block as large, it keeps the one that it was read into, and the edge takes another. So the bytes of a body of some
 * 32 KB are written once when they come, read once when they go, and wiped once.
 */
#ifndef EDGE_BLOCK_H
#define EDGE_BLOCK_H

#include "core/base.h"

struct edge;

struct block {
	struct block *next;
	uint32_t len, cap;
	char *bytes; /* behind this struct, not always at once: what stands between was written as well */
};

enum { BLOCK_READ = (64 << 10) - sizeof(struct block) }; /* that a request is read into */

/* NULL: no memory. */
must_check struct block *block_new(struct edge *e, size_t cap);
/* Wiped as far as they were written; one, or it and all behind it. Both take NULL. */
void block_free(struct edge *e, struct block *b);
void blocks_free(struct edge *e, struct block *b);

/*
 * The `len` bytes at `at` were the last that were read, and are the first of a body of `body` bytes: e->read itself, empty yet, whose next bytes they are; it is
 * another one from now on, and what stood before them is wiped. NULL: there are none, they stand elsewhere, or a smaller block would do, or there is no memory for
 * another; then they are copied.
 */
must_check struct block *block_keep(struct edge *e, const char *at, size_t len, uint64_t body);

/* Once a second: what is left in e->read of a time with more segments goes back to where an idle edge has its memory. */
void block_settle(struct edge *e);

#endif
