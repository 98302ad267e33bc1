/* PostgreSQL as a kind of store: statements and rows. docs/decisions/0029-postgres.md */
#include "ledger/postgres.h"
#include "ledger/postgres_doctor.h"
#include "ticket/ticket_fields.h"

#include <ctype.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_MAX = 80,
	TEXT_GROWS = 3, /* "?" becomes "$80" at most */
	FETCH_ROWS = 1000 };

struct parameter {
	Oid type;
	char number[8];
	const char *at; /* NULL: null */
	int len;
};

struct statement {
	char *text; /* with $1, $2 … */
	char name[16]; /* the server's, once it has it; or of the open cursor */
	int count; /* of parameters */
	bool many; /* its rows are fetched by and by */
	bool set; /* over arrays, an element for each of sql_many() */
	bool prepared, open, last, own_transaction; /* open: it stands on a row, or its cursor is there; last: no more to fetch */
	PGresult *rows;
	int row;
	struct parameter parameters[PARAMETERS_MAX];
};

static const char *
trouble(const struct store *s)
{
	const struct postgres *g = s->own;
	return g->trouble[0] != '\0' ? g->trouble : "ok";
}

static const char *
error(const struct store *s)
{
	return s->own != NULL ? trouble(s) : "out of memory";
}

static void
set_breathe(struct store *s)
{
}

static bool
in_transaction(const struct store *s)
{
	const struct postgres *g = s->own;
	if (s->lost) /* the server ends what was begun, and libpq does not know it yet */
		return false;
	PGTransactionStatusType status = pq.PQtransactionStatus(g->conn);
	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR || status == PQTRANS_ACTIVE;
}

static bool
has_column(struct store *s, const char *table, const char *name)
{
	char sql[240];
	int64_t there = 0;
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname = '%s' AND NOT attisdropped", table, name);
	return postgres_number(s, sql, NULL, 0, &there) && there == 1;
}

/* ---- statements ---- */

/* ?1 or ? is $1 here. */
static void
translate(const char *text, struct statement *x)
{
	char *to = x->text;
	for (const char *from = text; *from != '\0'; from++) {
		if (*from != '?') {
			*to++ = *from;
			continue;
		}
		int number = isdigit((unsigned char)from[1]) ? (int)strtol(from + 1, NULL, 10) : x->count + 1;
		x->count = number > x->count ? number : x->count;
		to += snprintf(to, sizeof("$99"), "$%d", number);
		while (isdigit((unsigned char)from[1]))
			from++;
	}
	*to = '\0';
}

static bool
prepare(struct store *s, const char *text, struct query *st)
{
	struct statement *x = calloc(1, sizeof(*x));
	if (x == NULL || (x->text = malloc(TEXT_GROWS * strlen(text) + 1)) == NULL)
		abort();
	const struct postgres *g = s->own;
	translate(text, x);
	x->many = g->lender != NULL || st == &s->statements[SQL_tickets_from];
	x->set = strstr(x->text, "WITH ORDINALITY") != NULL;
	st->own = x;
	return x->count <= PARAMETERS_MAX;
}

static void
bind_one(struct query *st, int at, Oid type, const void *bytes, int len)
{
	struct statement *x = st->own;
	struct parameter *p = &x->parameters[at - 1];
	*p = (struct parameter){.type = type, .at = bytes, .len = len};
}

static void
bind_ints(struct query *st, int at, const int64_t *values, size_t count)
{
	struct statement *x = st->own;
	for (size_t i = 0; i < count; i++) {
		struct parameter *p = &x->parameters[at - 1 + (int)i];
		postgres_put64(p->number, values[i]);
		p->type = POSTGRES_INT8;
		p->at = p->number;
		p->len = 8;
	}
}

static void
bind_null(struct query *st, int at)
{
	bind_one(st, at, 0, NULL, 0);
}

static void
bind_text(struct query *st, int at, const char *text)
{
	bind_one(st, at, POSTGRES_TEXT, text, (int)strlen(text));
}

static void
bind_blob(struct query *st, int at, const void *bytes, size_t len)
{
	bind_one(st, at, POSTGRES_BYTEA, bytes, (int)len);
}

struct arrays {
	Oid types[PARAMETERS_MAX];
	const char *at[PARAMETERS_MAX];
	int lengths[PARAMETERS_MAX], binary[PARAMETERS_MAX];
};

static void
parameters_of(const struct statement *x, struct arrays *ret)
{
	for (int i = 0; i < x->count; i++) {
		ret->types[i] = x->parameters[i].type;
		ret->at[i] = x->parameters[i].at;
		ret->lengths[i] = x->parameters[i].len;
		ret->binary[i] = 1;
	}
}

static int
rows_touched(PGresult *r)
{
	return (int)strtol(pq.PQcmdTuples(r), NULL, 10);
}

static bool
keep(struct store *s, struct statement *x, PGresult *r, bool ok)
{
	struct postgres *g = s->own;
	if (!ok) {
		pq.PQclear(r);
		return false;
	}
	g->changes = rows_touched(r);
	x->rows = r;
	x->row = -1;
	x->open = true;
	return true;
}

/* The server keeps the plan; the types are those of the first time. */
static bool
prepare_there(struct store *s, struct statement *x, const struct arrays *a)
{
	struct postgres *g = s->own;
	bool ok;
	if (x->prepared)
		return true;
	snprintf(x->name, sizeof(x->name), "s%u", ++g->names);
	if (!pq.PQsendPrepare(g->conn, x->name, x->text, x->count, a->types))
		return postgres_failed(s, NULL);
	pq.PQclear(postgres_await(s, &ok));
	x->prepared = ok;
	return ok;
}

static bool
begins_with(const struct statement *x, const char *word)
{
	return strncmp(x->text, word, strlen(word)) == 0;
}

static bool
run_prepared(struct store *s, struct statement *x)
{
	struct postgres *g = s->own;
	struct arrays a;
	bool ok;
	parameters_of(x, &a);
	if (!prepare_there(s, x, &a))
		return false;
	if (!pq.PQsendQueryPrepared(g->conn, x->name, x->count, a.at, a.lengths, a.binary, 1))
		return postgres_failed(s, NULL);
	PGresult *r = postgres_await(s, &ok);
	x->last = true;
	return keep(s, x, r, ok);
}

/* What writes by itself is a transaction like any other: only this node's turn, only while it may. */
static bool
run_in_turn(struct store *s, struct statement *x)
{
	if (!postgres_turn(s))
		return false;
	bool ok = run_prepared(s, x);
	int code = s->code;
	if (ok)
		return postgres_exec(s, "COMMIT");
	if (!s->lost && !postgres_exec(s, "ROLLBACK"))
		s->lost = true;
	s->code = code;
	return false;
}

/* A transaction of its own without the pen may wait for a row of one who has it and is stopped: nothing was done, and it is done again. */
static bool
run_alone(struct store *s, struct statement *x)
{
	for (int n = 1; !run_prepared(s, x); n++)
		if (!postgres_try_again(s, n))
			return false;
	return true;
}

static bool
run(struct store *s, struct statement *x)
{
	const struct postgres *g = s->own;
	/* These three are not worth a plan, and must work in a transaction that was aborted. */
	if (begins_with(x, "BEGIN"))
		return x->open = x->last = postgres_turn(s);
	if (begins_with(x, "COMMIT") || begins_with(x, "ROLLBACK"))
		return x->open = x->last = postgres_exec(s, x->text);
	bool writes = begins_with(x, "INSERT") || begins_with(x, "UPDATE") || begins_with(x, "DELETE");
	if (g->lender != NULL || in_transaction(s))
		return run_prepared(s, x);
	return writes ? run_in_turn(s, x) : run_alone(s, x);
}

/* ---- rows by and by ---- */

static bool
fetch(struct store *s, struct statement *x)
{
	struct postgres *g = s->own;
	char sql[64];
	bool ok;
	snprintf(sql, sizeof(sql), "FETCH %d FROM %s", FETCH_ROWS, x->name);
	pq.PQclear(x->rows);
	x->rows = NULL;
	if (!pq.PQsendQueryParams(g->conn, sql, 0, NULL, NULL, NULL, NULL, 1))
		return postgres_failed(s, NULL);
	PGresult *r = postgres_await(s, &ok);
	if (!keep(s, x, r, ok))
		return false;
	x->last = pq.PQntuples(r) < FETCH_ROWS;
	return true;
}

static bool
declare(struct store *s, struct statement *x)
{
	struct postgres *g = s->own;
	struct arrays a;
	bool ok = true;
	x->own_transaction = !in_transaction(s);
	if (x->own_transaction && !postgres_exec(s, "BEGIN"))
		return false;
	x->open = true;
	snprintf(x->name, sizeof(x->name), "c%u", ++g->names);
	size_t room = strlen(x->text) + sizeof("DECLARE  NO SCROLL CURSOR FOR ") + sizeof(x->name);
	char *sql = malloc(room);
	if (sql == NULL)
		abort();
	snprintf(sql, room, "DECLARE %s NO SCROLL CURSOR FOR %s", x->name, x->text);
	parameters_of(x, &a);
	if (!pq.PQsendQueryParams(g->conn, sql, x->count, a.types, a.at, a.lengths, a.binary, 1))
		ok = postgres_failed(s, NULL);
	else
		pq.PQclear(postgres_await(s, &ok));
	free(sql);
	return ok && fetch(s, x);
}

static enum sql_step
step(struct query *st)
{
	struct statement *x = st->own;
	struct store *s = st->store;
	if (s->lost)
		return SQL_FAILED;
	if (!x->open && !(x->many ? declare(s, x) : run(s, x)))
		return SQL_FAILED;
	int rows = x->rows != NULL ? pq.PQntuples(x->rows) : 0;
	if (x->row + 1 < rows) {
		x->row++;
		return SQL_ROW;
	}
	if (x->last)
		return SQL_END;
	if (!fetch(s, x))
		return SQL_FAILED;
	if (pq.PQntuples(x->rows) == 0)
		return SQL_END;
	x->row = 0;
	return SQL_ROW;
}

static void
reset(struct query *st)
{
	struct statement *x = st->own;
	struct store *s = st->store;
	if (x == NULL)
		return;
	if (x->open && x->many && !s->lost) {
		char sql[32];
		int code = s->code;
		snprintf(sql, sizeof(sql), "CLOSE %s", x->name);
		/* Failed: it was closed with its transaction. */
		if (x->own_transaction ? !postgres_exec(s, "COMMIT") : !postgres_exec(s, sql))
			s->code = code;
	}
	pq.PQclear(x->rows);
	x->rows = NULL;
	x->row = -1;
	x->open = x->last = x->own_transaction = false;
}

static void
release(struct query *st)
{
	struct statement *x = st->own;
	struct store *s = st->store;
	reset(st);
	if (x->prepared && !s->lost && !in_transaction(s)) {
		char sql[32];
		snprintf(sql, sizeof(sql), "DEALLOCATE %s", x->name);
		(void)!postgres_exec(s, sql);
	}
	free(x->text);
	free(x);
	st->own = NULL;
}

/* ---- values ---- */

/* Sums are numeric: digits of base 10,000. What does not fit is the largest number there is. */
static int64_t
of_numeric(const char *at)
{
	uint16_t head[4], digit;
	__int128 v = 0;
	memcpy(head, at, sizeof(head));
	int count = be16toh(head[0]), weight = (int16_t)be16toh(head[1]);
	for (int i = 0; i <= weight && v < ((__int128)1 << 100); i++) {
		digit = 0;
		if (i < count)
			memcpy(&digit, at + 8 + 2 * i, sizeof(digit));
		v = v * 10000 + be16toh(digit);
	}
	if (v > INT64_MAX)
		v = INT64_MAX;
	return be16toh(head[2]) == 0x4000 ? -(int64_t)v : (int64_t)v;
}

static int64_t
get_int(struct query *st, int at)
{
	const struct statement *x = st->own;
	const char *value = pq.PQgetvalue(x->rows, x->row, at);
	uint32_t four;
	uint16_t two;
	if (pq.PQgetisnull(x->rows, x->row, at))
		return 0;
	switch (pq.PQftype(x->rows, at)) {
	case POSTGRES_INT8:
		return postgres_get64(value);
	case POSTGRES_INT4:
		memcpy(&four, value, sizeof(four));
		return (int32_t)be32toh(four);
	case POSTGRES_INT2:
		memcpy(&two, value, sizeof(two));
		return (int16_t)be16toh(two);
	case POSTGRES_BOOL:
		return value[0] != 0;
	case POSTGRES_NUMERIC:
		return of_numeric(value);
	default:
		return 0;
	}
}

static bool
get_null(struct query *st, int at)
{
	const struct statement *x = st->own;
	return pq.PQgetisnull(x->rows, x->row, at) != 0;
}

static const char *
get_text(struct query *st, int at)
{
	const struct statement *x = st->own;
	return get_null(st, at) ? NULL : pq.PQgetvalue(x->rows, x->row, at);
}

static const void *
get_blob(struct query *st, int at)
{
	const struct statement *x = st->own;
	return get_null(st, at) ? NULL : pq.PQgetvalue(x->rows, x->row, at);
}

static size_t
get_len(struct query *st, int at)
{
	const struct statement *x = st->own;
	return (size_t)pq.PQgetlength(x->rows, x->row, at);
}

static int
changes(const struct store *s)
{
	const struct postgres *g = s->own;
	return g->changes;
}

/* ---- many at once ---- */

enum { AT_ONCE = 64 }; /* what the server answers to so many fits its socket: neither side waits for the other */

static bool
send_some(struct store *s, struct query *st, size_t from, size_t to, sql_filler *fill, void *arg)
{
	struct postgres *g = s->own;
	struct statement *x = st->own;
	struct arrays a;
	for (size_t i = from; i < to; i++) {
		fill(arg, i, st);
		parameters_of(x, &a);
		if (!pq.PQsendQueryPrepared(g->conn, x->name, x->count, a.at, a.lengths, a.binary, 1))
			return postgres_failed(s, NULL);
	}
	return pq.PQpipelineSync(g->conn) || postgres_failed(s, NULL);
}

/* Each statement has its result and a NULL after it, the sync one of its own. */
static bool
take_some(struct store *s, size_t from, size_t to, sql_taker *take, void *arg)
{
	struct postgres *g = s->own;
	bool ok = true, fine;
	for (size_t i = from; i < to; i++) {
		PGresult *r = postgres_await(s, &fine);
		if (fine && ok && take != NULL)
			take(arg, i, rows_touched(r));
		ok = ok && fine;
		pq.PQclear(r);
		if (s->lost)
			return false;
	}
	PGresult *sync = pq.PQgetResult(g->conn);
	fine = sync != NULL && pq.PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
	pq.PQclear(sync);
	return ok && fine;
}

static void
count_changes(void *arg, size_t i, int changes)
{
	*(bool *)arg &= changes == 1;
}

static bool
all_done(struct store *s)
{
	struct postgres *g = s->own;
	unsigned count = g->later;
	bool each = true, ok;
	if (count == 0)
		return true;
	g->later = 0;
	ok = !s->lost && (pq.PQpipelineSync(g->conn) || postgres_failed(s, NULL));
	ok = ok && take_some(s, 0, count, count_changes, &each);
	return (s->lost || pq.PQexitPipelineMode(g->conn)) && ok && each;
}

/* An array of each parameter's values: they are numbers, and none is null. */
static char *
arrays_of(struct query *st, size_t count, sql_filler *fill, void *arg, int *ret_len)
{
	struct statement *x = st->own;
	int len = (int)postgres_array_bytes(count);
	char *all = malloc((size_t)x->count * (size_t)len);
	if (all == NULL)
		abort();
	for (int k = 0; k < x->count; k++)
		postgres_array_head(all + (size_t)k * (size_t)len, count);
	for (size_t i = 0; i < count; i++) {
		fill(arg, i, st);
		for (int k = 0; k < x->count; k++)
			postgres_array_put(all + (size_t)k * (size_t)len, i, x->parameters[k].number);
	}
	*ret_len = len;
	return all;
}

static void
take_set(PGresult *r, size_t count, sql_taker *take, void *arg)
{
	bool *changed = calloc(count, sizeof(*changed));
	if (changed == NULL)
		abort();
	for (int i = 0; i < pq.PQntuples(r); i++) {
		int64_t number = postgres_get64(pq.PQgetvalue(r, i, 0));
		if (number >= 1 && (uint64_t)number <= count)
			changed[number - 1] = true;
	}
	for (size_t i = 0; i < count; i++)
		take(arg, i, changed[i]);
	free(changed);
}

/* One statement, so one answer is waited for, whatever their number. It gives the numbers, from 1, of those that changed a row. */
static bool
many_at_once(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg)
{
	struct postgres *g = s->own;
	struct statement *x = st->own;
	struct arrays a;
	int len;
	bool ok = true;
	char *all = arrays_of(st, count, fill, arg, &len);
	for (int k = 0; k < x->count; k++) {
		a.types[k] = POSTGRES_INT8_ARRAY;
		a.at[k] = all + (size_t)k * (size_t)len;
		a.lengths[k] = len;
		a.binary[k] = 1;
	}
	PGresult *r = NULL;
	ok = prepare_there(s, x, &a);
	if (ok && !pq.PQsendQueryPrepared(g->conn, x->name, x->count, a.at, a.lengths, a.binary, 1))
		ok = postgres_failed(s, NULL);
	else if (ok)
		r = postgres_await(s, &ok);
	free(all);
	if (ok && take != NULL)
		take_set(r, count, take, arg);
	pq.PQclear(r);
	return ok;
}

/* ---- later ---- */

/* Sent, and not waited for: the server does one after the other and answers all with the last. */
static bool
later(struct store *s, struct query *st)
{
	struct postgres *g = s->own;
	struct statement *x = st->own;
	struct arrays a;
	parameters_of(x, &a);
	if (s->lost || (!x->prepared && !all_done(s)) || !prepare_there(s, x, &a))
		return false;
	if (g->later == 0 && !pq.PQenterPipelineMode(g->conn))
		return postgres_failed(s, NULL);
	g->later++;
	return pq.PQsendQueryPrepared(g->conn, x->name, x->count, a.at, a.lengths, a.binary, 1) || postgres_failed(s, NULL);
}

static bool
many(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg)
{
	struct postgres *g = s->own;
	struct statement *x = st->own;
	struct arrays a;
	if (count == 0)
		return true;
	if (x->set)
		return !s->lost && many_at_once(s, st, count, fill, take, arg);
	fill(arg, 0, st);
	parameters_of(x, &a);
	if (s->lost || !prepare_there(s, x, &a) || !pq.PQenterPipelineMode(g->conn))
		return false;
	bool ok = true;
	for (size_t i = 0; ok && i < count; i += AT_ONCE) {
		size_t to = i + AT_ONCE < count ? i + AT_ONCE : count;
		ok = send_some(s, st, i, to, fill, arg) && take_some(s, i, to, take, arg);
	}
	return (s->lost || pq.PQexitPipelineMode(g->conn)) && ok;
}

static bool
rows_of(struct store *s, struct query *st, const int64_t *numbers, size_t count, sql_row_taker *take, void *arg)
{
	int len;
	char *array = postgres_array(numbers, count, &len);
	bind_one(st, 1, POSTGRES_INT8_ARRAY, array, len);
	bool ok = sql_rows(s, st, take, arg);
	free(array);
	return ok;
}

static void
month_of(const char *seconds, char *ret, size_t cap)
{
	snprintf(ret, cap, "(extract(year FROM to_timestamp(%s) AT TIME ZONE 'UTC') * 12 + extract(month FROM to_timestamp(%s) AT TIME ZONE 'UTC') - 1)::bigint", seconds, seconds);
}

/* ---- leaves ---- */

enum { LEAF_BYTES = 32 };

struct leaves {
	size_t count;
	char at[];
};

/* A whole booking's: its tickets come one after the other. */
static bool
read_leaves(struct store *s, struct store_leaves *x, int64_t first)
{
	struct query *st = sql_prepare(s, "SELECT leaves FROM receipt_batch WHERE first = ?1");
	if (st == NULL)
		return false;
	sql_bind(st, first);
	free(x->own);
	x->own = NULL;
	if (sql_step(s, st) == SQL_ROW) {
		size_t len = sql_len(st, 0);
		struct leaves *l = malloc(sizeof(*l) + len);
		if (l == NULL)
			abort();
		l->count = len / LEAF_BYTES;
		memcpy(l->at, sql_blob(st, 0), len);
		x->own = l;
		x->first = first;
	}
	sql_free(st);
	return x->own != NULL;
}

static bool
leaf(struct store *s, struct store_leaves *x, int64_t first, int64_t number, void *ret)
{
	if ((x->own == NULL || x->first != first) && !read_leaves(s, x, first))
		return false;
	const struct leaves *l = x->own;
	if (number < first || (uint64_t)(number - first) >= l->count)
		return false;
	memcpy(ret, l->at + (number - first) * LEAF_BYTES, LEAF_BYTES);
	return true;
}

static void
leaves_close(struct store_leaves *x)
{
	free(x->own);
}

/* ---- the kind ---- */

/* A sweep has thousands of rows, and its bound (loss_bounds.h) no time for as many answers. */
#define NAME(name, type, unit, meaning, promise) ", \"" #name "\""
#define PARAMETER(name, type, unit, meaning, promise) ", ?"
#define OVERWRITE(name, type, unit, meaning, promise) ", \"" #name "\" = excluded.\"" #name "\""
#define OF_PROGRESS "id, board_index, cost_nano, hold_nano" TICKET_FIELDS(NAME)

static const char *const texts[SQL_COUNT] = {
	/* Of two that say they are one, which an edge that does what it likes can write, the last is taken: both in one statement would fail it. */
	[SQL_progress_put] = "INSERT INTO progress (" OF_PROGRESS ") SELECT DISTINCT ON (id) " OF_PROGRESS " FROM unnest(?, ?, ?, ?" TICKET_FIELDS(PARAMETER) ") WITH ORDINALITY AS x(" OF_PROGRESS ", number) "
						 "ORDER BY id, number DESC "
						 "ON CONFLICT (id) DO UPDATE SET cost_nano = excluded.cost_nano, hold_nano = excluded.hold_nano" TICKET_FIELDS(OVERWRITE),
#define X(name, text) [SQL_##name] = text,
	LEDGER_POSTGRES_SQL(X)
#undef X
};

const struct store_kind store_postgres = {
	.texts = texts,
	.integer = "bigint",
	.month_of = month_of,
	.open = postgres_open,
	.open_reader = postgres_open_reader,
	.close = postgres_close,
	.trouble = trouble,
	.error = error,
	.breathe = set_breathe,
	.exec = postgres_exec,
	.examine = postgres_examine_own,
	.in_transaction = in_transaction,
	.waited = postgres_waited,
	.try_again = postgres_try_again,
	.snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
#define OURS "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
	.has_column = has_column,
	.has_table = "SELECT count(*) FROM pg_class WHERE relnamespace = " OURS " AND relkind IN ('r', 'p') AND relname = ?1",
	.tables = "SELECT relname::text FROM pg_class WHERE relnamespace = " OURS " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
	.columns = "SELECT a.attname::text, CASE a.atttypid WHEN 'bigint'::regtype THEN 0 WHEN 'text'::regtype THEN 1 WHEN 'bytea'::regtype THEN 2 ELSE 9 END, "
			   "coalesce(array_position(i.indkey::smallint[], a.attnum) + 1, 0) "
			   "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
			   "WHERE c.relnamespace = " OURS " AND c.relkind IN ('r', 'p') AND c.relname = ?1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
	.references = "SELECT DISTINCT c.relname::text, t.relname::text, x.condeferrable FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid JOIN pg_class t ON t.oid = x.confrelid "
				  "WHERE x.contype = 'f' AND c.relnamespace = " OURS " ORDER BY 1, 2",
	.prepare = prepare,
	.release = release,
	.bind_ints = bind_ints,
	.bind_null = bind_null,
	.bind_text = bind_text,
	.bind_blob = bind_blob,
	.step = step,
	.reset = reset,
	.get_int = get_int,
	.get_text = get_text,
	.get_blob = get_blob,
	.get_len = get_len,
	.get_null = get_null,
	.changes = changes,
	.many = many,
	.later = later,
	.all_done = all_done,
	.rows_of = rows_of,
	.bulk_begin = postgres_bulk_begin,
	.bulk_put = postgres_bulk_put,
	.bulk_end = postgres_bulk_end,
	.put_begin = postgres_put_begin,
	.put_row = postgres_put_row,
	.put_end = postgres_put_end,
	.make_room = postgres_make_room,
	.leaf = leaf,
	.leaves_close = leaves_close,
};
