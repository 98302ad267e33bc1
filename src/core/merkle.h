/*
 * A Merkle tree that only grows, by RFC 6962 section 2: SHA-256, leaves under 0x00, nodes under 0x01. Ledger, and the command line that checks
 * receipts. Pure but for the hasher, of which a process has one; one thread.
 *
 * A whole subtree of 2^level leaves has a name, (level, number): its first leaf is number × 2^level. It never changes again.
 */
#ifndef CORE_MERKLE_H
#define CORE_MERKLE_H

#include "core/base.h"

#include <string.h>

enum { MERKLE_BYTES = 32,
	MERKLE_LEVELS = 63,
	MERKLE_PROOF_MAX = 2 * MERKLE_LEVELS }; /* hashes of the longest proof */

struct merkle_hash {
	uint8_t at[MERKLE_BYTES];
};

/* Before the process locks itself down: OpenSSL sets itself up here. False: it can't. */
must_check bool merkle_ready(void);

struct merkle_hash merkle_sha256(const void *at, size_t len);
/* at[0] is the caller's room for the prefix: what is hashed begins at at[1]. len counts it. */
struct merkle_hash merkle_leaf(uint8_t *at, size_t len);
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);
static inline bool
merkle_same(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->at, b->at, MERKLE_BYTES) == 0;
}

/* Of a tree of `size` leaves: whole[k] is the last whole subtree of 2^k, where bit k of size is set. Zeroed: the empty tree. */
struct merkle_edge {
	uint64_t size;
	struct merkle_hash whole[MERKLE_LEVELS];
};

/* A subtree became whole. NULL: nobody wants to know. */
typedef void merkle_whole(void *arg, unsigned level, uint64_t number, const struct merkle_hash *hash);
void merkle_push(struct merkle_edge *e, const struct merkle_hash *leaf, merkle_whole *whole, void *arg);
struct merkle_hash merkle_root(const struct merkle_edge *e);

/* The hash of a whole subtree. False: it can't be had, and neither can the proof. */
typedef bool merkle_get(void *arg, unsigned level, uint64_t number, struct merkle_hash *ret);

struct merkle_proof {
	unsigned count;
	struct merkle_hash hash[MERKLE_PROOF_MAX];
};

/* RFC 6962 2.1.1 and 2.1.2. number < size; 1 <= from <= to. */
must_check bool merkle_prove_leaf(uint64_t number, uint64_t size, merkle_get *get, void *arg, struct merkle_proof *ret);
must_check bool merkle_prove_growth(uint64_t from, uint64_t to, merkle_get *get, void *arg, struct merkle_proof *ret);

/* RFC 9162 2.1.3.2 and 2.1.4.2. */
must_check bool merkle_leaf_holds(const struct merkle_hash *leaf, uint64_t number, uint64_t size, const struct merkle_proof *p, const struct merkle_hash *root);
struct merkle_head {
	uint64_t size;
	struct merkle_hash root;
};
must_check bool merkle_growth_holds(const struct merkle_head *from, const struct merkle_head *to, const struct merkle_proof *p);

#endif
