/* Between the parts of a move of the books: what tables there are, and their rows from one store into another. Command line, under the lock. */
#ifndef LEDGER_MOVE_PRIV_H
#define LEDGER_MOVE_PRIV_H

#include "ledger/store.h"

enum { MOVE_TABLES_MAX = 96,
	MOVE_COLUMNS_MAX = 160,
	MOVE_NAME_MAX = 64,
	MOVE_KEY_MAX = 6,
	MOVE_HASH_BYTES = 32,
	MOVE_WHY_MAX = 600 };

struct move_column {
	char name[MOVE_NAME_MAX];
	enum store_type type;
};

struct move_table {
	char name[MOVE_NAME_MAX];
	unsigned count, keys;
	struct move_column *column;
	unsigned key[MOVE_KEY_MAX]; /* columns of the primary key */
	int64_t rows;
	uint8_t hash[MOVE_HASH_BYTES]; /* of all rows, in the order of the key */
};

struct move_tables {
	unsigned count;
	struct move_table at[MOVE_TABLES_MAX];
};

/*
 * What a kind of store has of its own, and the other has not: its rows are not moved. X(table, whose, what comes of it). Every other table of the schema
 * is moved, or the move is refused.
 */
#define MOVE_OWN(X) \
	X(usage_mark, SQLITE, "how far the sums of usage are: usage_node") \
	X(usage_node, POSTGRES, "the same of each server: usage_mark") \
	X(store_schema, POSTGRES, "the schema's number: that of the tables that are filled") \
	X(pen, POSTGRES, "who writes: nobody, for nothing runs") \
	X(node, POSTGRES, "servers: none may be up, and each joins anew") \
	X(share, POSTGRES, "what servers have of balances: nothing, when none is up") \
	X(budget_share, POSTGRES, "the same of windows of limits of money") \
	X(want, POSTGRES, "what they ask each other for: nothing") \
	X(store_moved, ANY, "where books went that had been here") \
	X(store_arriving, ANY, "that this is a move")

/* X(table, column): of a table that is moved, in PostgreSQL only, and the default there once nothing runs. */
#define MOVE_OWN_COLUMNS(X) \
	X(account, lent_nano) \
	X(budget, lent_nano)

bool move_is_own(const char *table);

/* ---- move_tables.c ---- */

/* All tables that the store has, without those of its own. False: why. */
must_check bool move_tables_read(struct store *s, struct move_tables *ret, char ret_why[MOVE_WHY_MAX]);
void move_tables_free(struct move_tables *t);
/* Each of either is in the other, with the same columns; then those of `from` are in an order in which the target takes them. */
must_check bool move_tables_match(struct move_tables *from, const struct move_tables *to, struct store *postgres, char ret_why[MOVE_WHY_MAX]);
/* Its columns, quoted, with commas between: freed by the caller. */
char *move_columns(const struct move_table *t);

/* ---- move_copy.c ---- */

struct move_progress {
	void (*say)(void *arg, const char *doing, const char *table, int64_t done, int64_t all); /* NULL: nobody looks */
	void *arg;
	const char *doing, *table;
	int64_t done, all;
};

/* How many rows each has. */
must_check bool move_count(struct store *reader, struct move_tables *t, int64_t *ret_all, char ret_why[MOVE_WHY_MAX]);
/* All of them, within a transaction of `to`; their hashes are those of what was read. */
must_check bool move_copy(struct store *from, struct store *to, struct move_tables *t, struct move_progress *p, char ret_why[MOVE_WHY_MAX]);
/* They are there as they were read. */
must_check bool move_compare(struct store *reader, const struct move_tables *t, struct move_progress *p, char ret_why[MOVE_WHY_MAX]);

#endif
