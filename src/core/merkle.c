/* One digest after the other in a few hundred nanoseconds: what EVP asks and wipes around each would be as much again. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/merkle.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

bool
merkle_ready(void)
{
	/* The system's configuration of OpenSSL is neither needed nor readable everywhere. */
	return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1;
}

/* OpenSSL's SHA-256 uses the processor's own instructions: a third of libsodium's time. */
struct merkle_hash
merkle_sha256(const void *at, size_t len)
{
	struct merkle_hash h;
	SHA256_CTX c;
	bool done = SHA256_Init(&c) && SHA256_Update(&c, at, len) && SHA256_Final(h.at, &c);
	assert(done);
	return h;
}

struct merkle_hash
merkle_leaf(uint8_t *at, size_t len)
{
	at[0] = 0;
	return merkle_sha256(at, len);
}

struct merkle_hash
merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
	uint8_t both[1 + 2 * MERKLE_BYTES] = {1};
	memcpy(both + 1, left->at, MERKLE_BYTES);
	memcpy(both + 1 + MERKLE_BYTES, right->at, MERKLE_BYTES);
	return merkle_sha256(both, sizeof both);
}

/* ---- growing ---- */

void
merkle_push(struct merkle_edge *e, const struct merkle_hash *leaf, merkle_whole *whole, void *arg)
{
	struct merkle_hash h = *leaf;
	unsigned level = 0;
	assert(e->size < 1ULL << (MERKLE_LEVELS - 1));
	for (; e->size >> level & 1; level++) {
		h = merkle_node(&e->whole[level], &h);
		if (whole != NULL)
			whole(arg, level + 1, e->size >> (level + 1), &h);
	}
	e->whole[level] = h;
	e->size++;
}

struct merkle_hash
merkle_root(const struct merkle_edge *e)
{
	struct merkle_hash h = merkle_sha256("", 0);
	bool any = false;
	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (e->size >> level & 1) {
			h = any ? merkle_node(&e->whole[level], &h) : e->whole[level];
			any = true;
		}
	return h;
}

/* ---- proving ---- */

struct prover {
	merkle_get *get;
	void *arg;
	struct merkle_proof *out;
};

/* Largest power of two below n (n >= 2). */
static uint64_t
split(uint64_t n)
{
	return 1ULL << (63 - __builtin_clzll(n - 1));
}

/* The tree over `count` leaves from `first`, which is a multiple of the power of two that count fits in. */
static bool
range(const struct prover *p, uint64_t first, uint64_t count, struct merkle_hash *ret)
{
	bool any = false;
	uint64_t end = first + count;
	/* From the right: whole subtrees that grow. */
	for (unsigned level = 0; level < MERKLE_LEVELS && count; level++) {
		struct merkle_hash left;
		if (!(count >> level & 1))
			continue;
		count -= 1ULL << level;
		end -= 1ULL << level;
		if (!p->get(p->arg, level, end >> level, &left))
			return false;
		*ret = any ? merkle_node(&left, ret) : left;
		any = true;
	}
	return any;
}

static bool
add(struct prover *p, uint64_t first, uint64_t count)
{
	return p->out->count < MERKLE_PROOF_MAX && range(p, first, count, &p->out->hash[p->out->count++]);
}

static void
turn_round(struct merkle_proof *p)
{
	for (unsigned i = 0, j = p->count; i + 1 < j; i++) {
		struct merkle_hash h = p->hash[i];
		p->hash[i] = p->hash[--j];
		p->hash[j] = h;
	}
}

bool
merkle_prove_leaf(uint64_t number, uint64_t size, merkle_get *get, void *arg, struct merkle_proof *ret)
{
	struct prover p = {get, arg, ret};
	uint64_t first = 0, count = size;
	assert(number < size);
	ret->count = 0;
	while (count > 1) { /* from the root down; the proof is told from the leaf up */
		uint64_t left = split(count);
		bool is_left = number < first + left;
		if (!add(&p, is_left ? first + left : first, is_left ? count - left : left))
			return false;
		first += is_left ? 0 : left;
		count = is_left ? left : count - left;
	}
	turn_round(ret);
	return true;
}

bool
merkle_prove_growth(uint64_t from, uint64_t to, merkle_get *get, void *arg, struct merkle_proof *ret)
{
	struct prover p = {get, arg, ret};
	uint64_t first = 0, count = to, old = from;
	assert(from >= 1 && from <= to);
	ret->count = 0;
	while (old != count) {
		uint64_t left = split(count);
		bool is_left = old <= left;
		if (!add(&p, is_left ? first + left : first, is_left ? count - left : left))
			return false;
		first += is_left ? 0 : left;
		old -= is_left ? 0 : left;
		count = is_left ? left : count - left;
	}
	/* The subtree at which both part: known to whoever has the old root when it is the whole old tree. */
	if (first != 0 && !add(&p, first, count))
		return false;
	turn_round(ret);
	return true;
}

/* ---- checking ---- */

bool
merkle_leaf_holds(const struct merkle_hash *leaf, uint64_t number, uint64_t size, const struct merkle_proof *p, const struct merkle_hash *root)
{
	if (number >= size)
		return false;
	uint64_t fn = number, sn = size - 1;
	struct merkle_hash h = *leaf;
	for (unsigned i = 0; i < p->count; i++) {
		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			h = merkle_node(&p->hash[i], &h);
			for (; !(fn & 1) && fn; sn >>= 1)
				fn >>= 1;
		} else
			h = merkle_node(&h, &p->hash[i]);
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_same(&h, root);
}

bool
merkle_growth_holds(const struct merkle_head *from, const struct merkle_head *to, const struct merkle_proof *p)
{
	if (from->size == 0 || from->size > to->size)
		return false;
	if (from->size == to->size)
		return p->count == 0 && merkle_same(&from->root, &to->root);
	bool knows = (from->size & (from->size - 1)) == 0; /* the old tree is a whole subtree of the new one */
	if (p->count + knows == 0)
		return false;
	uint64_t fn = from->size - 1, sn = to->size - 1;
	for (; fn & 1; sn >>= 1)
		fn >>= 1;
	unsigned i = knows ? 0 : 1;
	struct merkle_hash old = knows ? from->root : p->hash[0], new = old;
	for (; i < p->count; i++) {
		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			old = merkle_node(&p->hash[i], &old);
			new = merkle_node(&p->hash[i], &new);
			for (; !(fn & 1) && fn; sn >>= 1)
				fn >>= 1;
		} else
			new = merkle_node(&new, &p->hash[i]);
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_same(&old, &from->root) && merkle_same(&new, &to->root);
}
