#include "ticket/key_table.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

/*
 * Tables of 2^10, 2^11 … 2^24 rows lie one behind the other; half full is full, so the last one
 * holds 8 million keys.
 */
enum { LOG2_FIRST = 10,
	LOG2_LAST = 24 };

#define KEY_TABLE_MAGIC 0x0131627479656bULL

struct row {
	uint8_t hash[API_KEY_HASH_BYTES];
	uint64_t key, account;
	_Atomic uint64_t expires_ms;
	_Atomic uint32_t slot;
	_Atomic uint32_t state; /* KEY_NONE: the row is not in use; stored last, with release */
	_Atomic uint32_t limits;
	uint16_t unused; /* 0 */
	_Atomic uint16_t scopes;
};

_Static_assert(sizeof(struct row) == 64, "a key is one cache line");

struct key_table {
	uint64_t magic, bytes;
	_Atomic uint32_t log2_rows; /* the table in force; stored with release when it is complete */
	_Atomic uint64_t count;
	alignas(64) struct row rows[];
};

/* Rows before the table of 2^log2: the smaller ones. */
static size_t
first_row(uint32_t log2)
{
	return ((size_t)1 << log2) - ((size_t)1 << LOG2_FIRST);
}

size_t
key_table_bytes(void)
{
	return sizeof(struct key_table) + first_row(LOG2_LAST + 1) * sizeof(struct row);
}

uint64_t
key_table_layout(void)
{
	return KEY_TABLE_MAGIC ^ (uint64_t)LOG2_FIRST << 56 ^ (uint64_t)LOG2_LAST << 48 ^ offsetof(struct row, key) << 40 ^
		offsetof(struct row, account) << 32 ^ offsetof(struct row, expires_ms) << 24 ^ offsetof(struct row, slot) << 16 ^
		offsetof(struct row, state) << 8 ^ offsetof(struct row, limits) << 52 ^ offsetof(struct row, unused) << 44 ^ offsetof(struct row, scopes) << 36 ^
		KEY_QUARANTINED;
}

void
key_table_format(void *memory)
{
	struct key_table *t = memory;
	t->magic = KEY_TABLE_MAGIC;
	t->bytes = key_table_bytes();
	atomic_store(&t->log2_rows, LOG2_FIRST);
}

struct key_table *
key_table_attach(void *memory, size_t bytes)
{
	struct key_table *t = memory;
	if (bytes < key_table_bytes() || t->magic != KEY_TABLE_MAGIC || t->bytes != key_table_bytes())
		return NULL;
	uint32_t log2 = atomic_load(&t->log2_rows);
	return log2 >= LOG2_FIRST && log2 <= LOG2_LAST ? t : NULL;
}

static struct row *
rows_of(const struct key_table *t, uint32_t log2)
{
	return (struct row *)t->rows + first_row(log2);
}

/* The hash is keyed, so its bits are as good as random even when keys are chosen. */
static size_t
place_of(const uint8_t hash[API_KEY_HASH_BYTES])
{
	size_t place;
	memcpy(&place, hash, sizeof(place));
	return place;
}

/* The hash's row, or the free one where it belongs; NULL only when the table has no free row at all. */
static struct row *
probe(struct row *rows, uint32_t log2, const uint8_t hash[API_KEY_HASH_BYTES], uint32_t *ret_state)
{
	size_t mask = ((size_t)1 << log2) - 1;
	for (size_t i = 0; i <= mask; i++) {
		struct row *r = &rows[(place_of(hash) + i) & mask];
		uint32_t state = atomic_load_explicit(&r->state, memory_order_acquire);
		if (state == KEY_NONE || memcmp(r->hash, hash, API_KEY_HASH_BYTES) == 0) {
			*ret_state = state;
			return r;
		}
	}
	return NULL;
}

bool
key_table_find(const struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], struct key_facts *ret)
{
	uint32_t log2 = atomic_load_explicit(&t->log2_rows, memory_order_acquire), state;
	const struct row *r = probe(rows_of(t, log2), log2, hash, &state);
	if (r == NULL || state == KEY_NONE)
		return false;
	ret->key = r->key;
	ret->account = r->account;
	ret->expires_ms = atomic_load_explicit(&r->expires_ms, memory_order_relaxed);
	ret->slot = atomic_load_explicit(&r->slot, memory_order_relaxed);
	ret->state = state;
	ret->limits = atomic_load_explicit(&r->limits, memory_order_relaxed);
	ret->scopes = atomic_load_explicit(&r->scopes, memory_order_relaxed);
	return true;
}

/* What may change while edges read it. */
static void
row_facts(struct row *r, const struct key_facts *f)
{
	atomic_store_explicit(&r->expires_ms, f->expires_ms, memory_order_relaxed);
	atomic_store_explicit(&r->slot, f->slot, memory_order_relaxed);
	atomic_store_explicit(&r->limits, f->limits, memory_order_relaxed);
	atomic_store_explicit(&r->scopes, f->scopes, memory_order_relaxed);
}

static void
row_write(struct row *r, const uint8_t hash[API_KEY_HASH_BYTES], const struct key_facts *f)
{
	memcpy(r->hash, hash, API_KEY_HASH_BYTES);
	r->key = f->key;
	r->account = f->account;
	row_facts(r, f);
	/* A killed writer leaves what was stored in program order; keep it so in the compiled code. */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&r->state, f->state, memory_order_release);
}

static void
row_copy(struct row *rows, uint32_t log2, const struct row *from)
{
	struct key_facts f = {
		.key = from->key,
		.account = from->account,
		.expires_ms = atomic_load(&from->expires_ms),
		.slot = atomic_load(&from->slot),
		.state = atomic_load(&from->state),
		.limits = atomic_load(&from->limits),
		.scopes = atomic_load(&from->scopes),
	};
	uint32_t state;
	struct row *r = probe(rows, log2, from->hash, &state);
	assert(r != NULL && state == KEY_NONE);
	row_write(r, from->hash, &f);
}

static bool
grow(struct key_table *t, uint32_t log2)
{
	if (log2 == LOG2_LAST)
		return false;
	struct row *old = rows_of(t, log2), *next = rows_of(t, log2 + 1);
	/* A predecessor may have been killed while it filled this one. */
	memset((void *)next, 0, sizeof(*next) << (log2 + 1));
	for (size_t i = 0; i < (size_t)1 << log2; i++)
		if (atomic_load(&old[i].state) != KEY_NONE)
			row_copy(next, log2 + 1, &old[i]);
	atomic_store_explicit(&t->log2_rows, log2 + 1, memory_order_release);
	return true;
}

static bool
row_replace(struct row *r, const struct key_facts *f)
{
	if (r->key != f->key || r->account != f->account)
		return false;
	row_facts(r, f);
	atomic_store_explicit(&r->state, f->state, memory_order_release);
	return true;
}

/* Half full is full. */
static bool
holds_another(const struct key_table *t, uint32_t log2)
{
	return 2 * (atomic_load(&t->count) + 1) <= (uint64_t)1 << log2;
}

bool
key_table_has_room(const struct key_table *t)
{
	return holds_another(t, LOG2_LAST);
}

bool
key_table_put(struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], const struct key_facts *facts)
{
	assert(facts->state != KEY_NONE);
	uint32_t log2 = atomic_load(&t->log2_rows), state;
	struct row *r = probe(rows_of(t, log2), log2, hash, &state);
	if (r != NULL && state != KEY_NONE)
		return row_replace(r, facts);
	/* Counted before it is written: killed in between, the table is taken for one key fuller than it is. */
	if (!holds_another(t, log2)) {
		if (!grow(t, log2))
			return false;
		log2++;
		r = probe(rows_of(t, log2), log2, hash, &state);
	}
	assert(r != NULL);
	atomic_fetch_add(&t->count, 1);
	row_write(r, hash, facts);
	return true;
}

void
key_table_hint(struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], uint32_t slot)
{
	uint32_t log2 = atomic_load(&t->log2_rows), state;
	struct row *r = probe(rows_of(t, log2), log2, hash, &state);
	if (r != NULL && state != KEY_NONE)
		atomic_store_explicit(&r->slot, slot, memory_order_relaxed);
}

void
key_table_limits(struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], uint32_t limits)
{
	uint32_t log2 = atomic_load(&t->log2_rows), state;
	struct row *r = probe(rows_of(t, log2), log2, hash, &state);
	if (r != NULL && state != KEY_NONE)
		atomic_store_explicit(&r->limits, limits, memory_order_release);
}

uint64_t
key_table_count(const struct key_table *t)
{
	return atomic_load(&t->count);
}
