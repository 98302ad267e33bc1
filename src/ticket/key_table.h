/*
 * The board's key table: complete, so that a miss is final. Written by the ledger alone, mapped
 * read-only by edges, created by the supervisor.
 *
 * Open addressing, 64 bytes a row; doubled by building the next table further on in the same sparse
 * segment and then publishing its place in one word: a reader that still looks at the old one sees
 * what was true a moment ago. A row needs no lock: what identifies it (hash, key, account) is
 * written before the row is published and never again; what changes (state, expiry, hint) are words
 * that mean something each alone. So a ledger that is killed at any instruction leaves a table that
 * can be read and written on.
 */
#ifndef TICKET_KEY_TABLE_H
#define TICKET_KEY_TABLE_H

#include "ticket/api_key.h"

#include <stdatomic.h>

/*
 * What a key may be used for. Numbers stand in the store for ever.
 * X(NAME, bit, word, meaning)
 */
#define KEY_SCOPES(X) \
	X(INFERENCE, 1, "inference", "everything that models answer") \
	X(MODELS, 2, "models", "lists of models") \
	X(USAGE, 4, "usage", "its own limits and what it has used; what a request would cost")

enum key_scope {
#define X(NAME, bit, word, meaning) KEY_SCOPE_##NAME = bit,
	KEY_SCOPES(X)
#undef X
};

enum key_state { KEY_NONE,
	KEY_ACTIVE,
	KEY_REVOKED,
	KEY_QUARANTINED };

struct key_facts { /* what authentication learns */
	uint64_t key; /* id */
	uint64_t account; /* row that pays */
	uint64_t expires_ms; /* wall clock; 0: never */
	uint32_t slot; /* hint: where the account's row is on the board; UINT32_MAX: not there */
	uint32_t state; /* enum key_state */
	uint32_t limits; /* its row of limits, or its account's (limit.h); 0: there are none */
	uint16_t scopes; /* bits of enum key_scope; 0: all */
};

struct key_table;

/*
 * Address space of the segment: sparse, grows by touching. The supervisor creates it, the ledger
 * maps it read-write.
 */
size_t key_table_bytes(void);
/* How it lies in memory: that of another build may only be used when this is the same (layout.h). */
uint64_t key_table_layout(void);
/* In zeroed memory of key_table_bytes(). */
void key_table_format(void *memory);
/* NULL: not a key table of this build. */
must_check struct key_table *key_table_attach(void *memory, size_t bytes);

/* Any reader. False: no such key. Lock-free. */
must_check bool key_table_find(
	const struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], struct key_facts *ret);

/*
 * Ledger: insert, or replace state, expiry and hint. False: the segment is full, or the hash is
 * another key's.
 */
must_check bool key_table_put(
	struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], const struct key_facts *facts);
/*
 * Ledger: the account's row moved on the board (or left it: slot UINT32_MAX): refresh the hint of
 * one of its keys. Unknown hash: nothing.
 */
void key_table_hint(struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], uint32_t slot);
/* Ledger: its limits are in this row now. Unknown hash: nothing. */
void key_table_limits(struct key_table *t, const uint8_t hash[API_KEY_HASH_BYTES], uint32_t limits);
/* Ledger: a key that is not in it can be put there. */
bool key_table_has_room(const struct key_table *t);
uint64_t key_table_count(const struct key_table *t);

#endif
