/*
 * What a move of the books leaves in a store: in the one that they left, where they are, and in the one that they come to, that not all of them are there yet.
 * Both are tables, so that a copy of the store has them as well. Ledger and command line.
 */
#ifndef LEDGER_STORE_MARK_H
#define LEDGER_STORE_MARK_H

#include "ledger/store.h"

/* The names of the tables. */
#define STORE_MOVED "store_moved"
#define STORE_ARRIVING "store_arriving"

enum { STORE_WHITHER_MAX = 160 };

/* How far books are: two that have the same have the same rows, or one of them was not written since. */
struct store_extent {
	int64_t bookings, changes, operations, accounts;
};

struct store_mark {
	bool there;
	int64_t move, time_us; /* the move's number, the same in both stores */
	struct store_extent at;
	char whither[STORE_WHITHER_MAX];
};

must_check bool store_has_table(struct store *s, const char *name, bool *ret);
/* ret->there: is it there? False: the store can't be read. */
must_check bool store_mark_read(struct store *s, const char *table, struct store_mark *ret);
/* In its place, when there was one before. */
must_check bool store_mark_put(struct store *s, const char *table, const struct store_mark *m);
must_check bool store_mark_drop(struct store *s, const char *table);
must_check bool store_extent_read(struct store *s, struct store_extent *ret);

/* Terms of every ledger: neither left nor still coming. */
must_check bool store_mark_refuses(struct store *s, void *arg, char ret_why[STORE_WHY_MAX]);
/* The terms of who verifies books that are still coming. */
must_check bool store_mark_refuses_moved(struct store *s, void *arg, char ret_why[STORE_WHY_MAX]);

#endif
