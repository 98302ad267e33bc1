/*
 * PostgreSQL, between the files that make it a kind of store. Ledger only. libpq is loaded when it is asked for, by the process that needs
 * it: the same executable is the edges, and must map nothing more for it (docs/decisions/0002-static-libraries.md).
 */
#ifndef LEDGER_POSTGRES_H
#define LEDGER_POSTGRES_H

#include "ledger/store_kind.h"

#include <libpq-fe.h>

#define POSTGRES_FUNCTIONS(X) \
	X(PQclear) \
	X(PQcmdStatus) \
	X(PQcmdTuples) \
	X(PQconnectdbParams) \
	X(PQconninfoFree) \
	X(PQconninfoParse) \
	X(PQconsumeInput) \
	X(PQenterPipelineMode) \
	X(PQerrorMessage) \
	X(PQexitPipelineMode) \
	X(PQfinish) \
	X(PQfreemem) \
	X(PQftype) \
	X(PQgetResult) \
	X(PQgetisnull) \
	X(PQgetlength) \
	X(PQgetvalue) \
	X(PQisBusy) \
	X(PQntuples) \
	X(PQpingParams) \
	X(PQpipelineSync) \
	X(PQputCopyData) \
	X(PQputCopyEnd) \
	X(PQresultErrorField) \
	X(PQresultStatus) \
	X(PQsendPrepare) \
	X(PQsendQuery) \
	X(PQsendQueryParams) \
	X(PQsendQueryPrepared) \
	X(PQserverVersion) \
	X(PQsocket) \
	X(PQstatus) \
	X(PQtransactionStatus)

/* pq.PQexec(...): libpq's, once postgres_load() went well. */
struct postgres_functions {
#define X(name) __typeof__(&name) name;
	POSTGRES_FUNCTIONS(X)
#undef X
};
extern struct postgres_functions pq;
must_check bool postgres_load(char ret_why[STORE_WHY_MAX]);

/* Object ids of the types that are spoken here; always the same. */
enum { POSTGRES_BOOL = 16,
	POSTGRES_BYTEA = 17,
	POSTGRES_INT8 = 20,
	POSTGRES_INT2 = 21,
	POSTGRES_INT4 = 23,
	POSTGRES_TEXT = 25,
	POSTGRES_INT8_ARRAY = 1016,
	POSTGRES_NUMERIC = 1700 };

struct postgres_bulk {
	char *rows; /* of COPY, binary, not sent yet */
	size_t len, cap;
	int64_t *known; /* ids that are in the store, sorted */
	size_t known_count;
	int64_t last; /* id that was put last */
	bool any; /* of this transaction */
};

struct postgres {
	PGconn *conn;
	bool far; /* not this machine */
	char sslmode[24]; /* as the address has it, or by default */
	PGconn *spare; /* the reader's: made before the lock-down, after which nobody can connect */
	struct store *lender; /* of a reader: whose spare it is */
	unsigned names; /* of prepared statements and cursors */
	int changes;
	unsigned later; /* statements that are sent and not waited for */
	char trouble[160]; /* what the server said last, without its details: these show rows */
	struct postgres_bulk bulk;
	int64_t months[2]; /* partitions that were seen last; 0: none */
	int64_t silent_us; /* who has the pen for so long and says nothing is stopped */
};

enum { POSTGRES_LOCK_TIMEOUT = ((((5 * 36 + 5) * 36 + 25) * 36 + 0) * 36) + 3 }; /* 55P03, as store.code */

/* ---- postgres.c: one round trip ---- */

/* All results are read. The last or the first failed one; NULL: nothing came, the connection is lost. False in *ret_ok: failed, code and trouble set. */
PGresult *postgres_await(struct store *s, bool *ret_ok);
must_check bool postgres_exec(struct store *s, const char *sql);
/* Begin a transaction that writes, when it is this node's turn: others' are over. Refused for ever when another has taken its place (store.fenced). */
must_check bool postgres_turn(struct store *s);
bool postgres_waited(const struct store *s);
/*
 * A statement waited too long for a lock: the session of a process that is stopped with the pen in hand is ended, and it may be tried again. False: the
 * store failed, it was another failure, or it has been tried often enough; store.code is that of the statement.
 */
must_check bool postgres_try_again(struct store *s, int tried);
/* A number that the statement gives; parameters are bigints. */
must_check bool postgres_number(struct store *s, const char *sql, const int64_t *values, size_t count, int64_t *ret);
bool postgres_failed(struct store *s, const PGresult *r);
void postgres_put64(char *to, int64_t v);
int64_t postgres_get64(const char *from);

/* ---- postgres_open.c ---- */

must_check bool postgres_open(struct store *s, const char *url, char ret_why[STORE_WHY_MAX]);
must_check bool postgres_open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX]);
void postgres_close(struct store *s);

/* A connection as a ledger makes it, to be looked at. NULL: the address can't be read. ret_sslmode: what it says of TLS, with the default. */
PGconn *postgres_connect(const char *url, bool *ret_far, char ret_sslmode[24]);

/* ---- postgres_bulk.c ---- */

/* An array of bigints as the protocol has it. value: by postgres_put64(). */
size_t postgres_array_bytes(size_t count);
void postgres_array_head(char *array, size_t count);
void postgres_array_put(char *array, size_t i, const char value[8]);
/* The caller frees it. */
char *postgres_array(const int64_t *values, size_t count, int *ret_len);

must_check bool postgres_bulk_begin(struct store *s, const int64_t *ids, size_t count);
enum sql_put postgres_bulk_put(struct store *s, const int64_t *values, size_t count);
must_check bool postgres_bulk_end(struct store *s);
/* The partition of that time and of the month after it are there. */
must_check bool postgres_partitions(struct store *s, uint64_t unix_ms);
must_check bool postgres_make_room(struct store *s, int64_t first, int64_t last);
must_check bool postgres_put_begin(struct store *s, const char *table, const char *columns, unsigned count);
must_check bool postgres_put_row(struct store *s, const struct store_value *values, unsigned count);
must_check bool postgres_put_end(struct store *s, bool ok);

#endif
