/*
 * `ledger verify`, as to receipts: INV-14 and INV-15 derived again from the rows. Memory per account and booking, none per ticket: that each link
 * names the one before is seen from sums over both, under a secret of this run.
 */
#include "ledger/ledger_priv.h"

#include <stdlib.h>
#include <string.h>

struct audit_batch {
	uint64_t first, count;
	int64_t booking;
	struct receipt_shape shape;
};

struct audit_chain {
	uint64_t account; /* 0: free */
	uint64_t count, last_place;
	int64_t last_leaf;
	uint64_t links, named; /* sums over the tickets, and over those that they name as the ones before */
};

struct receipt_audit {
	struct store *store;
	receipt_broken *say;
	void *arg;
	struct audit_batch *batches; /* in order */
	size_t batch_count;
	struct audit_chain *chains; /* open addressing */
	size_t chain_size, chain_count;
	struct store_leaves own, before;
	struct merkle_edge edge;
	char origin[RECEIPT_ORIGIN_MAX];
	uint64_t salt;
	int64_t leaves; /* tickets that have one */
	bool read; /* all that there is to compare with could be read */
};

static void
tree(struct receipt_audit *a, bool holds, const char *what, int64_t number)
{
	a->say(a->arg, false, holds, what, (long long)number);
}

static void
chained(struct receipt_audit *a, bool holds, const char *what, uint64_t number)
{
	a->say(a->arg, true, holds, what, (long long)number);
}

/* ---- the tree and its heads ---- */

static void
check_node(void *arg, unsigned level, uint64_t number, const struct merkle_hash *hash)
{
	struct receipt_audit *a = arg;
	if (level < RECEIPT_NODE_LEVEL)
		return;
	struct query *st = sql_prepare(a->store, sql_text(a->store, SQL_receipt_node_get));
	if (st == NULL) {
		a->read = false;
		return;
	}
	sql_bind(st, level, (int64_t)number);
	bool same = sql_step(a->store, st) == SQL_ROW && sql_len(st, 0) == MERKLE_BYTES && memcmp(sql_blob(st, 0), hash->at, MERKLE_BYTES) == 0;
	tree(a, same, "a node of the tree is not what its leaves give; its number", (int64_t)number);
	sql_free(st);
}

/* Columns: time_us, root, signature, public key, from_leaf. */
static bool
head_holds(const struct receipt_audit *a, struct query *st, const struct merkle_hash *root)
{
	struct merkle_head head = {a->edge.size, *root};
	char text[RECEIPT_HEAD_TEXT_MAX];
	size_t len = receipt_head_text(a->origin, &head, sql_int(st, 4), text);
	return sql_len(st, 5) == MERKLE_BYTES && memcmp(sql_blob(st, 5), root->at, MERKLE_BYTES) == 0 &&
		sql_len(st, 6) == crypto_sign_BYTES && sql_len(st, 7) == crypto_sign_PUBLICKEYBYTES &&
		sql_int(st, 8) <= sql_int(st, 0) &&
		crypto_sign_verify_detached(sql_blob(st, 6), (const uint8_t *)text, len, sql_blob(st, 7)) == 0;
}

static void
read_batch(struct receipt_audit *a, struct query *st)
{
	struct audit_batch b = {(uint64_t)sql_int(st, 0), (uint64_t)sql_int(st, 1), sql_int(st, 2), {0}};
	const uint8_t *leaves = sql_blob(st, 9);
	bool whole = b.first == a->edge.size && leaves != NULL && (uint64_t)sql_len(st, 9) == b.count * MERKLE_BYTES &&
		receipt_shape_of(sql_int(st, 3), &b.shape) && (a->batch_count == 0 || b.booking > a->batches[a->batch_count - 1].booking);
	tree(a, whole, "the leaves of a booking do not follow the ones before; booking", b.booking);
	for (uint64_t i = 0; whole && i < b.count; i++) {
		struct merkle_hash leaf;
		memcpy(leaf.at, leaves + i * MERKLE_BYTES, MERKLE_BYTES);
		merkle_push(&a->edge, &leaf, check_node, a);
	}
	struct merkle_hash root = merkle_root(&a->edge);
	tree(a, head_holds(a, st, &root), "the head is not that of the tree, or its signature is not of a key of the log; booking", b.booking);
	if ((a->batch_count & (a->batch_count - 1)) == 0) {
		a->batches = reallocarray(a->batches, a->batch_count == 0 ? 1 : 2 * a->batch_count, sizeof(b));
		if (a->batches == NULL)
			abort();
	}
	a->batches[a->batch_count++] = b;
}

static void
read_origin(struct receipt_audit *a, struct query *st)
{
	receipt_origin(sql_blob(st, 0), (size_t)sql_len(st, 0), a->origin);
}

static bool
each(struct receipt_audit *a, const char *sql, void (*row)(struct receipt_audit *a, struct query *st))
{
	struct query *st = sql_prepare(a->store, sql);
	if (st == NULL)
		return false;
	enum sql_step step;
	while ((step = sql_step(a->store, st)) == SQL_ROW)
		row(a, st);
	sql_free(st);
	return step == SQL_END;
}

struct receipt_audit *
receipt_audit_begin(struct store *reader, receipt_broken *say, void *arg)
{
	struct receipt_audit *a = calloc(1, sizeof(*a));
	if (a == NULL)
		abort();
	*a = (struct receipt_audit){.store = reader, .say = say, .arg = arg, .read = true};
	randombytes_buf(&a->salt, sizeof(a->salt));
	bool ok = each(a, "SELECT public FROM receipt_key WHERE id = 1", read_origin) &&
		each(a,
			"SELECT first, count, booking, shape, time_us, root, signature, public, from_leaf, leaves FROM receipt_batch LEFT JOIN receipt_key ON "
			"receipt_key.id = receipt_batch.key ORDER BY first",
			read_batch);
	if (!ok)
		receipt_audit_free(&a);
	return a;
}

/* ---- leaves ---- */

static const struct audit_batch *
batch_of_leaf(const struct receipt_audit *a, int64_t leaf)
{
	size_t from = 0, to = a->batch_count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if ((int64_t)a->batches[middle].first <= leaf)
			from = middle + 1;
		else
			to = middle;
	}
	const struct audit_batch *b = from > 0 ? &a->batches[from - 1] : NULL;
	return b != NULL && leaf >= 0 && (uint64_t)leaf - b->first < b->count ? b : NULL;
}

/* ---- chains ---- */

static uint64_t
mixed(const struct receipt_audit *a, uint64_t place, int64_t leaf)
{
	uint64_t v = a->salt ^ place;
	for (int i = 0; i < 2; i++) {
		v ^= i == 0 ? (uint64_t)leaf * 0x9e3779b97f4a7c15ULL : 0;
		v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ULL;
		v = (v ^ v >> 27) * 0x94d049bb133111ebULL;
		v ^= v >> 31;
	}
	return v;
}

static struct audit_chain *
find_chain(struct audit_chain *chains, size_t size, uint64_t account)
{
	size_t at = (size_t)(account * 0x9e3779b97f4a7c15ULL >> 32) & (size - 1);
	while (chains[at].account != 0 && chains[at].account != account)
		at = (at + 1) & (size - 1);
	return &chains[at];
}

static struct audit_chain *
chain_of(struct receipt_audit *a, uint64_t account)
{
	if (2 * a->chain_count >= a->chain_size) {
		size_t size = a->chain_size == 0 ? 64 : 2 * a->chain_size;
		struct audit_chain *more = calloc(size, sizeof(*more));
		if (more == NULL)
			abort();
		for (size_t i = 0; i < a->chain_size; i++)
			if (a->chains[i].account != 0)
				*find_chain(more, size, a->chains[i].account) = a->chains[i];
		free(a->chains);
		a->chains = more;
		a->chain_size = size;
	}
	struct audit_chain *c = find_chain(a->chains, a->chain_size, account);
	if (c->account == 0) {
		*c = (struct audit_chain){.account = account, .last_leaf = -1};
		a->chain_count++;
	}
	return c;
}

static void
add_link(struct receipt_audit *a, uint64_t account, uint64_t place, int64_t leaf, int64_t previous)
{
	struct audit_chain *c = chain_of(a, account);
	c->count++;
	c->links += mixed(a, place, leaf);
	if (previous >= 0)
		c->named += mixed(a, place - 1, previous);
	if (place > c->last_place) {
		c->last_place = place;
		c->last_leaf = leaf;
	}
}

/* ---- tickets ---- */

bool
receipt_audit_ticket(struct receipt_audit *a, struct query *st, const struct ticket_copy *t, const struct price_row *price)
{
	int at = ticket_sql_leaf_column();
	int64_t leaf = sql_int(st, at), previous = sql_int(st, at + 1), booking = sql_int(st, 1);
	struct receipt_row r = {.ticket = t, .booking = booking, .place = (uint64_t)sql_int(st, at + 2)};
	if (leaf < 0) {
		tree(a, a->batch_count == 0 || booking < a->batches[0].booking, "a ticket has no leaf: request", (int64_t)t->id);
		return true;
	}
	a->leaves++;
	const struct audit_batch *b = batch_of_leaf(a, leaf), *before = batch_of_leaf(a, previous);
	tree(a, b != NULL && b->booking == booking, "a ticket's leaf is not of its booking: request", (int64_t)t->id);
	chained(a, previous < 0 ? r.place == 1 : r.place > 1 && before != NULL && previous < leaf, "a ticket does not name the one before: request", t->id);
	if (b == NULL || (previous >= 0 && before == NULL))
		return true;
	struct merkle_hash there;
	if (!store_leaf(a->store, &a->own, (int64_t)b->first, leaf, there.at) || (previous >= 0 && !store_leaf(a->store, &a->before, (int64_t)before->first, previous, r.previous.at)))
		return false;
	if (price != NULL)
		r.price = receipt_price(price, b->shape);
	struct merkle_hash due = receipt_leaf(&r, b->shape);
	tree(a, merkle_same(&due, &there), "a ticket is not what its leaf says: request", (int64_t)t->id);
	add_link(a, t->facts.account, r.place, leaf, previous);
	return true;
}

static void
check_account(struct receipt_audit *a, struct query *st)
{
	uint64_t account = (uint64_t)sql_int(st, 0), place = (uint64_t)sql_int(st, 1);
	int64_t leaf = sql_int(st, 2);
	const struct audit_chain none = {.last_leaf = -1}, *c = a->chain_size != 0 ? find_chain(a->chains, a->chain_size, account) : &none;
	c = c->account == 0 ? &none : c;
	bool holds = c->count == place && c->last_place == place && c->last_leaf == leaf && (place == 0 || c->links - mixed(a, place, leaf) == c->named);
	chained(a, holds, "an account's tickets are not one chain up to the last: account", account);
}

bool
receipt_audit_end(struct receipt_audit *a)
{
	bool ok = each(a, "SELECT id, chain_place, chain_leaf FROM account WHERE kind = 0", check_account);
	tree(a, a->leaves == (int64_t)a->edge.size, "not as many tickets as leaves; tickets", a->leaves);
	store_leaves_close(a->store, &a->own);
	store_leaves_close(a->store, &a->before);
	return ok && a->read;
}

void
receipt_audit_free(struct receipt_audit **a)
{
	struct receipt_audit *x = *a;
	*a = NULL;
	if (x == NULL)
		return;
	store_leaves_close(x->store, &x->own);
	store_leaves_close(x->store, &x->before);
	free(x->batches);
	free(x->chains);
	free(x);
}
