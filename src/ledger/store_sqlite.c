/* SQLite: ledger.db, by docs/decisions/0022-the-store-file.md. */
#include "ledger/give_way.h"
#include "ledger/store_kind.h"
#include "ledger/store_schema.h"
#include "ledger/store_sqlite_file.h"

#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const migrations[] = {
#define X(text) text,
	LEDGER_MIGRATIONS(X)
#undef X
};

uint32_t
store_schema(void)
{
	return ARRAY_LEN(migrations);
}

static bool
failed(struct store *s)
{
	s->code = sqlite3_extended_errcode(s->own);
	return false;
}

static const char *
trouble(const struct store *s)
{
	return sqlite3_errstr(s->code);
}

static const char *
error(const struct store *s)
{
	return s->own != NULL ? sqlite3_errmsg(s->own) : "out of memory";
}

static bool
exec(struct store *s, const char *sql)
{
	return sqlite3_exec(s->own, sql, NULL, NULL, NULL) == SQLITE_OK || failed(s);
}

/* Its frames in the log lie where the next commit's will. */
static bool
settle(struct store *s)
{
	char version[64];
	snprintf(version, sizeof(version), "PRAGMA user_version = %zu", ARRAY_LEN(migrations));
	return exec(s, version);
}

static bool
in_transaction(const struct store *s)
{
	return !sqlite3_get_autocommit(s->own);
}

static bool
has_column(struct store *s, const char *table, const char *name)
{
	return sqlite3_table_column_metadata(s->own, NULL, table, name, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

/* ---- long statements ---- */

static int
progress(void *arg)
{
	struct store *s = arg;
	s->breathe(s->breathe_arg);
	return 0;
}

static void
set_breathe(struct store *s)
{
	enum { EVERY_STEPS = 20000 };
	sqlite3_progress_handler(s->own, EVERY_STEPS, progress, s);
}

/* ---- statements ---- */

static bool
prepare(struct store *s, const char *text, struct query *st)
{
	sqlite3_stmt *own;
	if (sqlite3_prepare_v3(s->own, text, -1, SQLITE_PREPARE_PERSISTENT, &own, NULL) != SQLITE_OK)
		return failed(s);
	st->own = own;
	return true;
}

static void
release(struct query *st)
{
	sqlite3_finalize(st->own);
	st->own = NULL;
}

static void
bind_ints(struct query *st, int at, const int64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sqlite3_bind_int64(st->own, at + (int)i, values[i]);
}

static void
bind_null(struct query *st, int at)
{
	sqlite3_bind_null(st->own, at);
}

static void
bind_text(struct query *st, int at, const char *text)
{
	sqlite3_bind_text(st->own, at, text, -1, SQLITE_STATIC);
}

static void
bind_blob(struct query *st, int at, const void *bytes, size_t len)
{
	sqlite3_bind_blob64(st->own, at, bytes, len, SQLITE_STATIC);
}

static enum sql_step
step(struct query *st)
{
	give_way();
	int rc = sqlite3_step(st->own);
	if (rc == SQLITE_ROW)
		return SQL_ROW;
	if (rc == SQLITE_DONE)
		return SQL_END;
	failed(st->store);
	return SQL_FAILED;
}

static void
reset(struct query *st)
{
	sqlite3_reset(st->own);
}

static int64_t
get_int(struct query *st, int at)
{
	return sqlite3_column_int64(st->own, at);
}

static const char *
get_text(struct query *st, int at)
{
	return (const char *)sqlite3_column_text(st->own, at);
}

static const void *
get_blob(struct query *st, int at)
{
	return sqlite3_column_blob(st->own, at);
}

static size_t
get_len(struct query *st, int at)
{
	return (size_t)sqlite3_column_bytes(st->own, at);
}

static bool
get_null(struct query *st, int at)
{
	return sqlite3_column_type(st->own, at) == SQLITE_NULL;
}

static int
changes(const struct store *s)
{
	return sqlite3_changes(s->own);
}

/* ---- many at once ---- */

static bool
many(struct store *s, struct query *st, size_t count, sql_filler *fill, sql_taker *take, void *arg)
{
	for (size_t i = 0; i < count; i++) {
		fill(arg, i, st);
		if (!sql_done(s, st))
			return false;
		if (take != NULL)
			take(arg, i, changes(s));
	}
	return true;
}

static bool
rows_of(struct store *s, struct query *st, const int64_t *numbers, size_t count, sql_row_taker *take, void *arg)
{
	bool ok = true;
	for (size_t i = 0; ok && i < count; i++) {
		sql_bind(st, numbers[i]);
		ok = sql_rows(s, st, take, arg);
	}
	return ok;
}

static bool
bulk_begin(struct store *s, const int64_t *ids, size_t count)
{
	return true;
}

/* What the statement's parameters are: they stay from one ticket to the next. */
struct bound {
	size_t count;
	int64_t values[];
};

/* Most facts of a ticket are those of the one before, zeros above all, and binding 48 of them would be a tenth of its booking. */
static void
bind_changed(struct store *s, struct query *st, const int64_t *values, size_t count)
{
	struct bound *b = s->bound;
	if (b == NULL) {
		b = s->bound = calloc(1, sizeof(*b) + count * sizeof(*values));
		if (b == NULL)
			abort();
	}
	for (size_t i = 0; i < count; i++)
		if (i >= b->count || b->values[i] != values[i]) {
			int code = sqlite3_bind_int64(st->own, (int)i + 1, b->values[i] = values[i]);
			assert(code == SQLITE_OK); /* or the next one would have what this one had not */
		}
	b->count = count;
}

static enum sql_put
bulk_put(struct store *s, const int64_t *values, size_t count)
{
	struct query *st = store_sql(s, SQL_ticket_insert);
	bind_changed(s, st, values, count);
	if (!sql_done(s, st))
		return SQL_PUT_FAILED;
	return changes(s) == 1 ? SQL_PUT_NEW : SQL_PUT_THERE;
}

static bool
bulk_end(struct store *s)
{
	return true;
}

/* ---- rows as they are ---- */

static bool
put_begin(struct store *s, const char *table, const char *columns, unsigned count)
{
	size_t room = 64 + strlen(table) + strlen(columns) + 2 * (size_t)count;
	char *sql = malloc(room);
	if (sql == NULL)
		abort();
	int len = snprintf(sql, room, "INSERT INTO \"%s\" (%s) VALUES (?", table, columns);
	for (unsigned i = 1; i < count; i++)
		len += snprintf(sql + len, room - (size_t)len, ",?");
	snprintf(sql + len, room - (size_t)len, ")");
	s->put = sql_prepare(s, sql);
	free(sql);
	return s->put != NULL;
}

static bool
put_row(struct store *s, const struct store_value *values, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct store_value *v = &values[i];
		sqlite3_stmt *st = ((struct query *)s->put)->own;
		if (v->null)
			sqlite3_bind_null(st, (int)i + 1);
		else if (v->type == STORE_INTEGER)
			sqlite3_bind_int64(st, (int)i + 1, v->number);
		else if (v->type == STORE_TEXT)
			sqlite3_bind_text64(st, (int)i + 1, v->bytes, v->len, SQLITE_STATIC, SQLITE_UTF8);
		else
			sqlite3_bind_blob64(st, (int)i + 1, v->len > 0 ? v->bytes : "", v->len, SQLITE_STATIC);
	}
	return sql_done(s, s->put);
}

static bool
put_end(struct store *s, bool ok)
{
	sql_free(s->put);
	s->put = NULL;
	return ok;
}

static void
month_of(const char *seconds, char *ret, size_t cap)
{
	snprintf(ret, cap, "strftime('%%Y', %s, 'unixepoch') * 12 + strftime('%%m', %s, 'unixepoch') - 1", seconds, seconds);
}

/* ---- leaves ---- */

static bool
leaf(struct store *s, struct store_leaves *x, int64_t first, int64_t number, void *ret)
{
	enum { LEAF_BYTES = 32 };
	sqlite3_blob *blob = x->own;
	int code = SQLITE_OK;
	if (blob == NULL) {
		code = sqlite3_blob_open(s->own, "main", "receipt_batch", "leaves", first, 0, &blob);
		x->own = blob;
	} else if (x->first != first)
		code = sqlite3_blob_reopen(blob, first);
	x->first = first;
	return (code == SQLITE_OK && sqlite3_blob_read(blob, ret, LEAF_BYTES, (int)((number - first) * LEAF_BYTES)) == SQLITE_OK) || failed(s);
}

static void
leaves_close(struct store_leaves *x)
{
	sqlite3_blob_close(x->own);
}

/* ---- open ---- */

static bool
explain(struct store *s, const char *path, const char *what, char ret_why[STORE_WHY_MAX])
{
	snprintf(
		ret_why, STORE_WHY_MAX, "%.120s: %s: %.80s", path, what, error(s));
	return false;
}

static bool
set_up(struct store *s)
{
	/*
	 * FULL: what was committed survives a power cut. One writing connection and no mapping: SQLite
	 * before 3.51.3 can corrupt a WAL otherwise.
	 */
	return exec(s,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;"
		"PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000; "
		"PRAGMA trusted_schema = OFF; PRAGMA recursive_triggers = ON;");
}

static bool
user_version(struct store *s, int64_t *ret)
{
	struct query *st = sql_prepare(s, "PRAGMA user_version");
	bool ok = st != NULL && sql_number(s, st, ret);
	sql_free(st);
	return ok;
}

/*
 * What a predecessor left in the WAL may have been written but not been synced when it died; moving it over and syncing makes what we read as committed
 * true for a power cut as well. That the WAL is empty is not on the disk yet: after a sync that failed some of it may never have come there, and what came
 * would be laid over what was moved. The first frame of a new one, synced, leaves nothing of it.
 */
static bool
settle_wal(struct store *s)
{
	int64_t version = 0;
	char text[64];
	if (sqlite3_wal_checkpoint_v2(s->own, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		return failed(s);
	if (!user_version(s, &version))
		return false;
	snprintf(text, sizeof(text), "PRAGMA user_version = %lld", (long long)version);
	return exec(s, text);
}

static bool
migrate_one(struct store *s, int64_t number)
{
	char version[64];
	snprintf(version, sizeof(version), "PRAGMA user_version = %lld", (long long)number + 1);
	if (!exec(s, "BEGIN IMMEDIATE"))
		return false;
	if (exec(s, migrations[number]) && exec(s, version) && exec(s, "COMMIT"))
		return true;
	int code = s->code;
	if (!sqlite3_get_autocommit(s->own) && !exec(s, "ROLLBACK"))
		return false;
	s->code = code;
	return false;
}

static bool
migrate_to(struct store *s, int64_t version, int64_t to)
{
	for (; version < to; version++)
		if (!migrate_one(s, version))
			return false;
	return true;
}

/*
 * SQLite reads its whole schema anew for each column that is added: so the columns come as soon as their tables are there, when there is little else. No later
 * migration makes these tables anew.
 */
static bool
bring_up(struct store *s, int64_t version)
{
	int64_t there = version > 1 ? version : 1; /* 001_ledger.sql has the tables */
	return migrate_to(s, version, there) && ticket_sql_add_columns(s) && migrate_to(s, there, ARRAY_LEN(migrations));
}

static bool
migrate(struct store *s, const char *path, char ret_why[STORE_WHY_MAX])
{
	int64_t version = 0;
	if (!user_version(s, &version))
		return explain(s, path, "can't be read", ret_why);
	if (version > (int64_t)ARRAY_LEN(migrations)) {
		snprintf(ret_why, STORE_WHY_MAX,
			"%s was written by a newer lethe (schema %lld, this one knows %zu): run that one", path,
			(long long)version, ARRAY_LEN(migrations));
		return false;
	}
	/* A table that is made anew is dropped while others refer to it; verify looks at all references. */
	if (version < (int64_t)ARRAY_LEN(migrations) && !exec(s, "PRAGMA foreign_keys = OFF"))
		return explain(s, path, "can't be brought up to date", ret_why);
	return (bring_up(s, version) && exec(s, "PRAGMA foreign_keys = ON")) || explain(s, path, "can't be brought up to date", ret_why);
}

/* SQLite gives its other files the mode of this one. */
static bool
create_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd >= 0 && close(fd) == 0;
}

/* No thread of this process but one asks it anything, and nobody asks how much memory it has: a lock less for each piece of memory. Too late once it has begun. */
static void
set_up_library(void)
{
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bool
connect_file(struct store *s, const char *path, int flags)
{
	sqlite3 *db = NULL;
	set_up_library();
	const char *files = store_sqlite_file();
	if (files == NULL)
		return false;
	int code = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, files);
	s->own = db;
	return code == SQLITE_OK;
}

static bool
open_writer(struct store *s, const char *path, char ret_why[STORE_WHY_MAX])
{
	snprintf(s->name, sizeof(s->name), "%s", path);
	if (!create_private(path)) {
		snprintf(ret_why, STORE_WHY_MAX, "%s can't be created: %m", path);
		return false;
	}
	if (!connect_file(s, path, SQLITE_OPEN_READWRITE) || !set_up(s) || !settle_wal(s))
		return explain(s, path, "can't be opened", ret_why);
	if (s->terms->look != NULL && !s->terms->look(s, s->terms->arg, ret_why))
		return false;
	return migrate(s, path, ret_why);
}

static bool
open_reader(struct store *s, struct store *writer, char ret_why[STORE_WHY_MAX])
{
	const char *path = writer->name;
	snprintf(s->name, sizeof(s->name), "%s", path);
	return (connect_file(s, path, SQLITE_OPEN_READONLY) && exec(s, "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY")) ||
		explain(s, path, "can't be read", ret_why);
}

static void
close_file(struct store *s)
{
	sqlite3_close(s->own);
	free(s->bound);
}

const struct store_kind store_sqlite = {
	.integer = "INTEGER",
	.month_of = month_of,
	.whole = {"PRAGMA integrity_check(1)", "PRAGMA foreign_key_check"},
	.open = open_writer,
	.open_reader = open_reader,
	.close = close_file,
	.trouble = trouble,
	.error = error,
	.breathe = set_breathe,
	.exec = exec,
	.in_transaction = in_transaction,
	.settle = settle,
	.rest = "PRAGMA shrink_memory",
	.snapshot = "BEGIN",
	.has_column = has_column,
	.has_table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
	.tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
	.columns = "SELECT name, CASE type WHEN 'INTEGER' THEN 0 WHEN 'TEXT' THEN 1 WHEN 'BLOB' THEN 2 ELSE 9 END, pk FROM pragma_table_info(?1) ORDER BY cid",
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
	.rows_of = rows_of,
	.bulk_begin = bulk_begin,
	.bulk_put = bulk_put,
	.bulk_end = bulk_end,
	.put_begin = put_begin,
	.put_row = put_row,
	.put_end = put_end,
	.leaf = leaf,
	.leaves_close = leaves_close,
};
