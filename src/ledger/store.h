/*
 * The store: one SQLite connection, its prepared statements, its transactions. Ledger process (or
 * command line under the lock); the caller has the memory. A statement that was stepped to its end
 * or failed is reset; one that is left early is the caller's to reset.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include "core/base.h"
#include "ledger/ledger_sql.h"

#include <sqlite3.h>

/* Those with the columns of TICKET_FIELDS; texts in ticket_sql.c. */
#define LEDGER_SQL_FIELDS(X) \
	X(ticket_insert) \
	X(ticket_by_id) \
	X(tickets_from) \
	X(progress_put) \
	X(progress_all) \
	X(progress_by_id)

enum sql {
#define X(name, text) SQL_##name,
	LEDGER_SQL(X)
#undef X
#define X(name) SQL_##name,
		LEDGER_SQL_FIELDS(X)
#undef X
			SQL_COUNT
};

struct store {
	sqlite3 *db;
	int code; /* of the last failure, extended */
	sqlite3_stmt *statements[SQL_COUNT];
};

enum { STORE_WHY_MAX = 256 };

/* Open, create, migrate. ret_why: a sentence for the operator on failure. */
must_check bool store_open(struct store *s, const char *path, char ret_why[STORE_WHY_MAX]);
/*
 * A second connection that can only read (and never checkpoints), with no statement prepared: for
 * checks of the whole.
 */
must_check bool store_open_reader(struct store *s, const char *path, char ret_why[STORE_WHY_MAX]);
void store_close(struct store *s);

/* False: not begun; nothing to roll back. */
must_check bool store_begin(struct store *s);
/*
 * False: the outcome is unknown. It is rolled back as far as this connection can tell; do the same
 * again by its ids.
 */
must_check bool store_commit(struct store *s);
void store_rollback(struct store *s);
/* Commit what went well, else roll back. */
must_check bool store_end(struct store *s, bool ok);

sqlite3_stmt *store_sql(struct store *s, enum sql name);
const char *sql_text(enum sql name);

/* Bind integers to parameters 1, 2, … in order. */
#define sql_bind(st, ...) \
	sql_bind_ints((st), (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
void sql_bind_ints(sqlite3_stmt *st, const int64_t *values, size_t count);
/* The memory stays the caller's until the statement is done. */
void sql_bind_text(sqlite3_stmt *st, int at, const char *text);
void sql_bind_blob(sqlite3_stmt *st, int at, const void *bytes, size_t len);

/* Run to the end. False: failed, code in the store. */
must_check bool sql_done(struct store *s, sqlite3_stmt *st);
enum sql_step { SQL_ROW,
	SQL_END,
	SQL_FAILED };
must_check enum sql_step sql_step(struct store *s, sqlite3_stmt *st);
/* The first row's first column, *ret untouched when there is none. False: failed. */
must_check bool sql_number(struct store *s, sqlite3_stmt *st, int64_t *ret);
/* Rows that the last statement changed. */
int sql_changes(struct store *s);

/* One-off text without parameters. */
must_check bool store_exec(struct store *s, const char *sql);

/* ticket_sql.c */
int ticket_sql_leaf_column(void); /* of ticket_by_id and tickets_from: leaf, previous, place follow */
const char *ticket_sql(enum sql name);
/* Columns that TICKET_FIELDS has and the tables have not. */
must_check bool ticket_sql_add_columns(struct store *s);

#endif
