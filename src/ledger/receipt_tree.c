/* The tree of receipts: what a booking adds to it, and where it is read from. */
#include "ledger/ledger_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- heads ---- */

size_t
receipt_head_text(const char *origin, const struct merkle_head *head, int64_t time_us, char ret[RECEIPT_HEAD_TEXT_MAX])
{
	char root[sodium_base64_ENCODED_LEN(MERKLE_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	sodium_bin2base64(root, sizeof(root), head->root.at, MERKLE_BYTES, sodium_base64_VARIANT_ORIGINAL);
	int len = snprintf(ret, RECEIPT_HEAD_TEXT_MAX, "%s\n%llu\n%s\ntime_us %lld\n", origin, (unsigned long long)head->size, root, (long long)time_us);
	assert(len > 0 && len < RECEIPT_HEAD_TEXT_MAX);
	return (size_t)len;
}

void
receipt_origin(const void *public, size_t len, char ret[RECEIPT_ORIGIN_MAX])
{
	char hex[17] = "";
	if (len >= 8)
		sodium_bin2hex(hex, sizeof(hex), public, 8);
	snprintf(ret, RECEIPT_ORIGIN_MAX, "lethe receipts %s", hex);
}

/* ---- reading ---- */

static bool
read_hash(struct query *st, int at, struct merkle_hash *ret)
{
	if (sql_len(st, at) != MERKLE_BYTES)
		return false;
	memcpy(ret->at, sql_blob(st, at), MERKLE_BYTES);
	return true;
}

bool
receipt_leaves(struct ledger *l, uint64_t first, uint64_t count, struct merkle_hash *ret)
{
	struct query *st = store_sql(&l->store, SQL_receipt_batch_of);
	while (count > 0) {
		sql_bind(st, (int64_t)first);
		if (sql_step(&l->store, st) != SQL_ROW)
			return false;
		uint64_t from = (uint64_t)sql_int(st, 0), there = (uint64_t)sql_int(st, 1);
		const uint8_t *leaves = sql_blob(st, 7);
		uint64_t take = first - from < there ? there - (first - from) : 0;
		take = take < count ? take : count;
		if (take > 0 && leaves != NULL)
			memcpy(ret, leaves + (first - from) * MERKLE_BYTES, take * MERKLE_BYTES);
		sql_reset(st);
		if (take == 0 || leaves == NULL)
			return false;
		first += take;
		ret += take;
		count -= take;
	}
	return true;
}

static bool
node(struct ledger *l, unsigned level, uint64_t number, struct merkle_hash *ret)
{
	struct query *st = store_sql(&l->store, SQL_receipt_node_get);
	sql_bind(st, level, (int64_t)number);
	if (sql_step(&l->store, st) != SQL_ROW)
		return false;
	bool ok = read_hash(st, 0, ret);
	sql_reset(st);
	return ok;
}

bool
receipt_subtree(void *arg, unsigned level, uint64_t number, struct merkle_hash *ret)
{
	struct merkle_hash h[1 << (RECEIPT_NODE_LEVEL - 1)];
	if (level >= RECEIPT_NODE_LEVEL)
		return node(arg, level, number, ret);
	if (!receipt_leaves(arg, number << level, 1ULL << level, h))
		return false;
	for (unsigned count = 1U << level; count > 1; count /= 2)
		for (unsigned i = 0; i < count / 2; i++)
			h[i] = merkle_node(&h[2 * i], &h[2 * i + 1]);
	*ret = h[0];
	return true;
}

bool
receipt_batch_of(struct ledger *l, uint64_t leaf, struct receipt_batch *ret, bool *ret_there)
{
	struct query *st = store_sql(&l->store, SQL_receipt_batch_of);
	sql_bind(st, (int64_t)leaf);
	enum sql_step step = sql_step(&l->store, st);
	*ret_there = step == SQL_ROW;
	if (step != SQL_ROW)
		return step == SQL_END;
	*ret = (struct receipt_batch){.first = (uint64_t)sql_int(st, 0),
		.count = (uint64_t)sql_int(st, 1),
		.time_us = sql_int(st, 2),
		.key = sql_int(st, 4)};
	bool sound = receipt_shape_of(sql_int(st, 3), &ret->shape) && read_hash(st, 5, &ret->root) && sql_len(st, 6) == sizeof(ret->signature);
	if (sound)
		memcpy(ret->signature, sql_blob(st, 6), sizeof(ret->signature));
	sql_reset(st);
	return sound;
}

/* ---- what the store has ---- */

/* The edge of the tree, from the store; and that it is the tree whose head was signed last. */
static bool
read_edge(struct ledger *l)
{
	struct merkle_edge e = {0};
	struct receipt_batch last;
	bool there;
	if (!receipt_batch_of(l, INT64_MAX, &last, &there))
		return false;
	if (there) {
		e.size = last.first + last.count;
		for (unsigned level = 0; level < MERKLE_LEVELS; level++)
			if (e.size >> level & 1 && !receipt_subtree(l, level, (e.size >> level) - 1, &e.whole[level]))
				return false;
		struct merkle_hash root = merkle_root(&e);
		if (!merkle_same(&root, &last.root))
			return false;
	}
	l->receipts.edge = e;
	return true;
}

static bool
insert_key(struct ledger *l)
{
	struct receipts *r = &l->receipts;
	struct query *st = store_sql(&l->store, SQL_receipt_key_insert);
	sql_bind(st, (int64_t)clock_wall_us(), (int64_t)r->edge.size);
	sql_bind_blob(st, 3, r->public, sizeof(r->public));
	if (sql_step(&l->store, st) != SQL_ROW)
		return false;
	r->key = sql_int(st, 0);
	return sql_done(&l->store, st);
}

/* The key that signs from now on is in the log before its first signature. */
static bool
find_key(struct ledger *l)
{
	struct receipts *r = &l->receipts;
	struct query *st = store_sql(&l->store, SQL_receipt_key_last);
	enum sql_step step = sql_step(&l->store, st);
	bool same = step == SQL_ROW && sql_len(st, 1) == sizeof(r->public) && memcmp(sql_blob(st, 1), r->public, sizeof(r->public)) == 0;
	if (same)
		r->key = sql_int(st, 0);
	sql_reset(st);
	return step != SQL_FAILED && (same || insert_key(l));
}

static bool
find_origin(struct ledger *l)
{
	struct query *st = store_sql(&l->store, SQL_receipt_key_by_id);
	sql_bind(st, 1);
	if (sql_step(&l->store, st) != SQL_ROW)
		return false;
	receipt_origin(sql_blob(st, 0), (size_t)sql_len(st, 0), l->receipts.origin);
	sql_reset(st);
	return true;
}

bool
receipts_open(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	struct receipts *r = &l->receipts;
	uint8_t seed[RECEIPT_KEY_BYTES];
	assert(l->o.receipt_seed != NULL);
	r->chains = calloc(CHAINS_KNOWN, sizeof(*r->chains));
	assert(r->chains != NULL);
	receipt_signing_seed(l->o.receipt_seed, seed);
	crypto_sign_seed_keypair(r->public, r->secret, seed);
	sodium_memzero(seed, sizeof(seed));
	snprintf(ret_why, STORE_WHY_MAX, "%.120s: the tree of receipts is not the one that was signed – restore the store from a backup", l->store.name);
	if (!read_edge(l))
		return false;
	snprintf(ret_why, STORE_WHY_MAX, "%.160s: the receipts' key can't be written", l->store.name);
	return find_key(l) && find_origin(l);
}

void
receipts_close(struct ledger *l)
{
	free(l->receipts.chains);
	sodium_memzero(&l->receipts, sizeof(l->receipts));
}

/* ---- a booking ---- */

/* A booking of another node's, as it lies in the store: its leaves follow what is there, and end in the root that was signed. */
static bool
take_batch(struct merkle_edge *e, struct query *st)
{
	struct merkle_hash signed_root, root;
	uint64_t count = (uint64_t)sql_int(st, 1);
	const uint8_t *leaves = sql_blob(st, 3);
	if ((uint64_t)sql_int(st, 0) != e->size || sql_len(st, 3) != count * MERKLE_BYTES || !read_hash(st, 2, &signed_root))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		struct merkle_hash leaf;
		memcpy(leaf.at, leaves + i * MERKLE_BYTES, MERKLE_BYTES);
		merkle_push(e, &leaf, NULL, NULL);
	}
	root = merkle_root(e);
	return merkle_same(&root, &signed_root);
}

/* What others have booked since, in one question. False: it is too much, or does not fit, or the store failed. */
static bool
catch_up(struct ledger *l)
{
	enum { BATCHES_MAX = 64 };
	struct merkle_edge e = l->receipts.edge;
	struct query *st = store_sql(&l->store, SQL_receipt_batches_from);
	sql_bind(st, (int64_t)e.size, (int64_t)BATCHES_MAX);
	int batches = 0;
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW && ++batches < BATCHES_MAX && take_batch(&e, st))
		;
	if (step == SQL_ROW)
		sql_reset(st);
	if (step != SQL_END)
		return false;
	l->receipts.edge = e;
	return true;
}

bool
receipts_begin(struct ledger *l)
{
	struct receipts *r = &l->receipts;
	if (r->stale || r->behind) {
		receipts_forget(r);
		if ((r->stale || !catch_up(l)) && !read_edge(l))
			return false;
		r->stale = r->behind = false;
	}
	r->next = r->edge;
	r->failed = false;
	return true;
}

static void
keep_node(void *arg, unsigned level, uint64_t number, const struct merkle_hash *hash)
{
	struct ledger *l = arg;
	if (level < RECEIPT_NODE_LEVEL || l->receipts.failed)
		return;
	struct query *st = store_sql(&l->store, SQL_receipt_node_insert);
	sql_bind(st, level, (int64_t)number);
	sql_bind_blob(st, 3, hash->at, MERKLE_BYTES);
	l->receipts.failed = !sql_done(&l->store, st);
}

struct merkle_hash
receipts_take(struct ledger *l, const struct receipt_row *r)
{
	struct merkle_hash leaf = receipt_leaf(r, receipt_shape_now());
	merkle_push(&l->receipts.next, &leaf, keep_node, l);
	return leaf;
}

bool
receipts_sign(struct ledger *l, const struct merkle_hash *leaves, size_t count)
{
	struct receipts *r = &l->receipts;
	struct merkle_head head = {r->next.size, merkle_root(&r->next)};
	uint8_t signature[crypto_sign_BYTES];
	char text[RECEIPT_HEAD_TEXT_MAX];
	int64_t now_us = (int64_t)clock_wall_us();
	if (r->failed)
		return false;
	size_t len = receipt_head_text(r->origin, &head, now_us, text);
	crypto_sign_detached(signature, NULL, (const uint8_t *)text, len, r->secret);
	struct query *st = store_sql(&l->store, SQL_receipt_batch_insert);
	sql_bind(st, (int64_t)r->edge.size, (int64_t)count, l->next_booking, now_us, receipt_shape_number(receipt_shape_now()), r->key);
	sql_bind_blob(st, 7, head.root.at, MERKLE_BYTES);
	sql_bind_blob(st, 8, signature, sizeof(signature));
	sql_bind_blob(st, 9, leaves, count * MERKLE_BYTES);
	return sql_later(&l->store, st);
}

void
receipts_committed(struct ledger *l)
{
	l->receipts.edge = l->receipts.next;
}

void
receipts_unknown(struct ledger *l)
{
	l->receipts.stale = true;
}

void
receipts_others(struct ledger *l)
{
	l->receipts.behind = true;
}
