/*
 * The store: one connection that writes, its prepared statements, its transactions. Which database it is, is known below this line only
 * (store_kind.h). Ledger process (or command line under the lock); the caller has the memory. A statement that was stepped to its end
 * or failed is reset; one that is left early is the caller's to reset.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include "core/base.h"
#include "ledger/ledger_sql.h"

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

struct store_kind;
struct store;

/*
 * On which terms a store is opened: asked when it is connected and locked, before its tables are brought up to date. False: it is not opened; ret_why says why.
 */
struct store_terms {
	bool (*look)(struct store *s, void *arg, char ret_why[256]); /* NULL: not asked */
	void *arg;
	bool alone; /* no other ledger may be open on it, whatever it says itself */
	int64_t home, away_ms; /* the server that opens it (store.home); 0: none */
	int64_t books; /* the identity that it must have (store.identity); 0: any, and it is made when there is none */
};

/* A prepared statement, its parameters, and the row that it stands on. */
struct query {
	struct store *store;
	void *own; /* the kind's; NULL: not prepared */
};

struct store {
	const struct store_kind *kind; /* NULL: closed */
	void *own; /* the kind's connection */
	int code; /* of the last failure, the kind's */
	bool doubtful; /* the last commit failed, and may be found done by the next ledger (store_make_sure) */
	bool unreachable; /* nobody answered where it is; stays when it is not opened */
	bool lost; /* the connection is gone for good: nothing works until a next ledger opens the store */
	int64_t node; /* that writes here; -1: the store has one writer only, and keeps no list of them */
	int64_t fence; /* what each of its transactions shows (INV-17) */
	int64_t identity; /* of a store that several may have: which it is; 0: not known */
	int64_t home, away_ms; /* whose number `node` is, and for how long that server goes on when it can't reach the store; 0: a command's */
	int64_t turn; /* of all transactions that wrote, the one that this connection committed or began last */
	bool many; /* several ledgers may be open on it, each as a node of its own */
	bool turned; /* since the one before another node has written: what is remembered of the store is read again */
	int64_t forgotten, forgotten_fence; /* a node that is settled now, and by which fence: each transaction asks whether it still is forgotten. 0: none */
	bool fenced; /* this node has lost its right to write: a transaction was refused, and all will be */
	const struct store_terms *terms; /* while it is opened */
	void *put; /* the kind's: rows on their way, between store_put_begin() and store_put_end() */
	void *bound; /* the kind's: parameters of ticket_insert */
	char name[512]; /* for people */
	void (*breathe)(void *arg);
	void *breathe_arg;
	struct query statements[SQL_COUNT];
};

enum { STORE_WHY_MAX = 256 };

/* Open, create, migrate. ret_why: a sentence for the operator on failure. */
/* address: a path, or postgres://…; node: which of the servers on it, where there can be several */
must_check bool store_open(struct store *s, const char *address, uint32_t node, char ret_why[STORE_WHY_MAX]);
/* On other terms than a ledger's. */
must_check bool store_open_on(struct store *s, const char *address, uint32_t node, const struct store_terms *terms, char ret_why[STORE_WHY_MAX]);
bool store_is_postgres(const char *address);
/* In place of one that can't be reached: all that it is asked fails (store_away.c). */
void store_open_away(struct store *s, uint32_t node);
/*
 * A second connection that can only read (and never checkpoints), with no statement prepared: for
 * checks of the whole. One at a time.
 */
must_check bool store_open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX]);
void store_close(struct store *s);
/* What went wrong last, for people: a few words, or all that the database says. */
const char *store_trouble(const struct store *s);
const char *store_error(const struct store *s);
/* Called every now and then while a statement of this connection takes long. */
void store_breathe(struct store *s, void (*breathe)(void *arg), void *arg);

/* What there is to know of the database, between transactions; 0: it is a file. out: POSTGRES_FINDING_COUNT of them (postgres_doctor.h). */
struct store_finding;
size_t store_examine(struct store *s, struct store_finding *out);

/* Between transactions, when nothing is to be done for a while: what is cached goes back to malloc. */
void store_rest(struct store *s);

/* False: not begun; nothing to roll back. */
must_check bool store_begin(struct store *s);
/*
 * False: the outcome is unknown. It is rolled back as far as this connection can tell; do the same
 * again by its ids.
 */
must_check bool store_commit(struct store *s);
/*
 * What a commit of unknown outcome has done is nothing from here on, also for a ledger after this one. Before anything is concluded from what the store
 * says: a balance put on the board, an answer that an order was not carried out. False: it can't be made sure now.
 */
must_check bool store_make_sure(struct store *s);
void store_rollback(struct store *s);
/* Commit what went well, else roll back. */
must_check bool store_end(struct store *s, bool ok);
bool store_in_transaction(const struct store *s);
/* What failed last waited too long for what another server has in hand. Nothing of its transaction was done, and nothing of it will be. */
bool store_waited(const struct store *s);
/* Then, in no transaction: it may be done again at once. tried: how often it was. False: that was another failure, or often enough. */
must_check bool store_try_again(struct store *s, int tried);
/* A reader's: all that it reads from here on is of one moment. */
must_check bool store_snapshot(struct store *s);

struct query *store_sql(struct store *s, enum sql name);
const char *sql_text(const struct store *s, enum sql name);
/* A statement for once, with parameters ?1, ?2 …; NULL: failed. Given back by sql_free, as is NULL. */
must_check struct query *sql_prepare(struct store *s, const char *text);
void sql_free(struct query *st);

/* Bind integers to parameters 1, 2, … in order. */
#define sql_bind(st, ...) \
	sql_bind_ints((st), 1, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
void sql_bind_ints(struct query *st, int at, const int64_t *values, size_t count);
void sql_bind_int(struct query *st, int at, int64_t value);
void sql_bind_null(struct query *st, int at);
/* The memory stays the caller's until the statement is done. */
void sql_bind_text(struct query *st, int at, const char *text);
void sql_bind_blob(struct query *st, int at, const void *bytes, size_t len);

/* Of the row that it stands on: columns from 0. Texts and blobs live until the next step. */
int64_t sql_int(struct query *st, int at);
const char *sql_str(struct query *st, int at);
const void *sql_blob(struct query *st, int at);
size_t sql_len(struct query *st, int at);
bool sql_is_null(struct query *st, int at);

/* Run to the end. False: failed, code in the store. */
must_check bool sql_done(struct store *s, struct query *st);
enum sql_step { SQL_ROW,
	SQL_END,
	SQL_FAILED };
must_check enum sql_step sql_step(struct store *s, struct query *st);
void sql_reset(struct query *st);
/* The first row's first column, *ret untouched when there is none. False: failed. */
must_check bool sql_number(struct store *s, struct query *st, int64_t *ret);
/* Rows that the last statement changed. */
int sql_changes(struct store *s);

/* The same statement for each i below count, in turn or at once: filled in by `fill`; what it changed is told to `take`, if there is one. */
typedef void sql_filler(void *arg, size_t i, struct query *st);
typedef void sql_taker(void *arg, size_t i, int changes);
must_check bool sql_many(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg);

/*
 * A statement that changes one row, and must: done at once or with those after it, by sql_all_done() at the latest, which says whether all were. Nothing else is
 * asked of the store in between.
 */
must_check bool sql_later(struct store *s, struct query *st);
must_check bool sql_all_done(struct store *s);

/* The rows that the statement gives for each of these numbers, its one parameter, in no particular order. take: false ends it, as does a failure. */
typedef bool sql_row_taker(void *arg, struct query *st);
must_check bool sql_rows_of(struct store *s, struct query *st, const int64_t *numbers, size_t count, sql_row_taker *take, void *arg);

/*
 * Tickets into the store, in the order of their ids, within a transaction. begin: ids of those that will follow. put: values as in ticket_insert.
 * After `end` all of them are there.
 */
enum sql_put { SQL_PUT_NEW,
	SQL_PUT_THERE,
	SQL_PUT_FAILED };
must_check bool store_bulk_begin(struct store *s, const int64_t *ids, size_t count);
must_check enum sql_put store_bulk_put(struct store *s, const int64_t *values, size_t count);
must_check bool store_bulk_end(struct store *s);

/* Rows of any table as they are, within a transaction: how a store is filled from another one. columns: their names, quoted, with commas between. */
enum store_type { STORE_INTEGER,
	STORE_TEXT,
	STORE_BLOB };
struct store_value {
	enum store_type type;
	bool null;
	int64_t number;
	const void *bytes;
	size_t len;
};
must_check bool store_put_begin(struct store *s, const char *table, const char *columns, unsigned count);
must_check bool store_put_row(struct store *s, const struct store_value *values, unsigned count);
/* Once after each store_put_begin() that went well. ok: all rows went. */
must_check bool store_put_end(struct store *s, bool ok);

/* One-off text without parameters. */
must_check bool store_exec(struct store *s, const char *sql);

/* Leaves of the receipts' tree, which lie in one blob a booking: what it keeps open between two of them. */
struct store_leaves {
	void *own;
	int64_t first;
};
/* The 32 bytes of this leaf of the batch that begins at `first`. */
must_check bool store_leaf(struct store *s, struct store_leaves *x, int64_t first, int64_t leaf, void *ret);
void store_leaves_close(struct store *s, struct store_leaves *x);

/* ticket_sql.c */
int ticket_sql_leaf_column(void); /* of ticket_by_id and tickets_from: leaf, previous, place follow */
const char *ticket_sql(enum sql name);
/* Columns that TICKET_FIELDS has and the tables have not. */
must_check bool ticket_sql_add_columns(struct store *s);

#endif
