/* What a database is to the store: a table of functions. Ledger only. */
#ifndef LEDGER_STORE_KIND_H
#define LEDGER_STORE_KIND_H

#include "ledger/store.h"

struct store_finding;

struct store_kind {
	const char *const *texts; /* by name, where it says a thing differently; NULL: nowhere */
	const char *integer; /* a column's type: 64 bits */
	/* Months since the year 0 of an expression that gives Unix seconds, as an expression. */
	void (*month_of)(const char *seconds, char *ret, size_t cap);
	const char *whole[2]; /* statements that check the files; NULL: that is the database's own affair */
	/* Opened, named, brought up to date; its statements are prepared afterwards. */
	bool (*open)(struct store *s, const char *address, char ret_why[STORE_WHY_MAX]);
	bool (*open_reader)(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX]);
	void (*close)(struct store *s);
	const char *(*trouble)(const struct store *s);
	const char *(*error)(const struct store *s);
	void (*breathe)(struct store *s); /* from now on, during long statements */

	bool (*exec)(struct store *s, const char *sql);
	/*
	 * A commit failed, and the file may have it all the same for whoever opens it next: a write of no consequence takes its place. NULL: what the next one finds
	 * this connection finds, too.
	 */
	bool (*settle)(struct store *s);
	/* The last failure was another's lock that was waited for too long; as store_try_again(). NULL: nobody else has any. */
	bool (*waited)(const struct store *s);
	bool (*try_again)(struct store *s, int tried);
	const char *rest; /* gives cached memory back; NULL: there is none */
	size_t (*examine)(struct store *s, struct store_finding *out); /* all of postgres_doctor.h; NULL: there is nothing to ask */
	bool (*in_transaction)(const struct store *s);
	const char *snapshot; /* begins one */
	bool (*has_column)(struct store *s, const char *table, const char *name);
	/* Statements about the tables that there are. has_table: ?1 → how many of that name; tables: names; columns: of ?1, in order: name, enum store_type (9: another), place in the key from 1. */
	const char *has_table, *tables, *columns;
	const char *references; /* whose rows refer to whose, and whether that is looked at in the end only; NULL: it can't be asked */

	bool (*prepare)(struct store *s, const char *text, struct query *st);
	void (*release)(struct query *st);
	void (*bind_ints)(struct query *st, int at, const int64_t *values, size_t count);
	void (*bind_null)(struct query *st, int at);
	void (*bind_text)(struct query *st, int at, const char *text);
	void (*bind_blob)(struct query *st, int at, const void *bytes, size_t len);
	enum sql_step (*step)(struct query *st); /* the caller resets after END and FAILED */
	void (*reset)(struct query *st);
	int64_t (*get_int)(struct query *st, int at);
	const char *(*get_text)(struct query *st, int at);
	const void *(*get_blob)(struct query *st, int at);
	size_t (*get_len)(struct query *st, int at);
	bool (*get_null)(struct query *st, int at);
	int (*changes)(const struct store *s);

	bool (*many)(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg);
	/* NULL: each is done at once. */
	bool (*later)(struct store *s, struct query *st);
	bool (*all_done)(struct store *s);
	bool (*rows_of)(struct store *s, struct query *st, const int64_t *numbers, size_t count, sql_row_taker *take, void *arg);
	bool (*bulk_begin)(struct store *s, const int64_t *ids, size_t count);
	enum sql_put (*bulk_put)(struct store *s, const int64_t *values, size_t count);
	bool (*bulk_end)(struct store *s);

	bool (*put_begin)(struct store *s, const char *table, const char *columns, unsigned count);
	bool (*put_row)(struct store *s, const struct store_value *values, unsigned count);
	bool (*put_end)(struct store *s, bool ok);
	bool (*make_room)(struct store *s, int64_t first, int64_t last); /* for tickets of these ids and all between; NULL: there is */

	bool (*leaf)(struct store *s, struct store_leaves *x, int64_t first, int64_t leaf, void *ret);
	void (*leaves_close)(struct store_leaves *x);
};

/* All rows of a statement that is bound (store.c). */
must_check bool sql_rows(struct store *s, struct query *st, sql_row_taker *take, void *arg);

extern const struct store_kind store_sqlite, store_postgres;

#endif
