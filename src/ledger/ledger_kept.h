/*
 * A world as it was at one moment, its ledger dead: many tests can begin from there, each in a process of its own, and none has to make it first. Tests only.
 */
#ifndef LEDGER_LEDGER_KEPT_H
#define LEDGER_LEDGER_KEPT_H

#include "ledger/ledger_world.h"

struct world_kept;

/* What is in memory, and the store. The caller's, until world_kept_free(). */
struct world_kept *world_keep(struct world *w);
void world_kept_free(struct world_kept **k);
/* Its directory and its schema go, nothing else: what is left is to be made one's own. */
void world_forget(struct world *w);
/*
 * In a process that was forked: this world becomes its own, with memory at the same addresses, a directory of its own, and the store as it was kept. Its name is
 * made of `number`, that no other process has. And: all of it again as it was; the ledger must be dead.
 */
void world_own(struct world *w, struct world_kept *k, unsigned number);
void world_put_back(struct world *w, const struct world_kept *k);
/*
 * All that a next ledger would find in a world that was made one's own, as a sum: two that are equal are the same to it. The log's index is left out, which
 * the first to open the file makes anew. Not on PostgreSQL, whose database can't be looked at like that.
 */
struct world_digest {
	uint64_t a, b;
};
struct world_digest world_digest(const struct world *w, const struct world_kept *k);
void world_digest_add(struct world_digest *d, const void *bytes, size_t len);
/* The store of a world that was made one's own; memory stays. */
void world_disown(struct world *w);

#endif
