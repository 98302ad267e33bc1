#include "ledger/store.h"
#include "ledger/store_schema.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
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

static const char *const texts[] = {
#define X(name, text) [SQL_##name] = text,
	LEDGER_SQL(X)
#undef X
};

const char *
sql_text(enum sql name)
{
	return name < ARRAY_LEN(texts) ? texts[name] : ticket_sql(name);
}

static bool
failed(struct store *s)
{
	s->code = sqlite3_extended_errcode(s->db);
	return false;
}

bool
store_exec(struct store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || failed(s);
}

sqlite3_stmt *
store_sql(struct store *s, enum sql name)
{
	return s->statements[name];
}

/* ---- values ---- */

void
sql_bind_ints(sqlite3_stmt *st, const int64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sqlite3_bind_int64(st, (int)i + 1, values[i]);
}

void
sql_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

void
sql_bind_blob(sqlite3_stmt *st, int at, const void *bytes, size_t len)
{
	sqlite3_bind_blob64(st, at, bytes, len, SQLITE_STATIC);
}

enum sql_step
sql_step(struct store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return SQL_ROW;
	if (rc != SQLITE_DONE)
		failed(s);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? SQL_END : SQL_FAILED;
}

bool
sql_done(struct store *s, sqlite3_stmt *st)
{
	enum sql_step step;
	do
		step = sql_step(s, st);
	while (step == SQL_ROW);
	return step == SQL_END;
}

bool
sql_number(struct store *s, sqlite3_stmt *st, int64_t *ret)
{
	enum sql_step step = sql_step(s, st);
	if (step != SQL_ROW)
		return step == SQL_END;
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return true;
}

int
sql_changes(struct store *s)
{
	return sqlite3_changes(s->db);
}

/* ---- transactions ---- */

bool
store_begin(struct store *s)
{
	assert(sqlite3_get_autocommit(s->db));
	return sql_done(s, store_sql(s, SQL_begin));
}

bool
store_commit(struct store *s)
{
	if (sql_done(s, store_sql(s, SQL_commit)))
		return true;
	int code = s->code;
	store_rollback(s);
	s->code = code;
	return false;
}

void
store_rollback(struct store *s)
{
	/* SQLite has rolled back by itself after some errors. */
	if (!sqlite3_get_autocommit(s->db) && !sql_done(s, store_sql(s, SQL_rollback)))
		assert(sqlite3_get_autocommit(s->db));
}

bool
store_end(struct store *s, bool ok)
{
	if (ok)
		return store_commit(s);
	int code = s->code;
	store_rollback(s);
	s->code = code;
	return false;
}

/* ---- open ---- */

static bool
explain(struct store *s, const char *path, const char *what, char ret_why[STORE_WHY_MAX])
{
	snprintf(
		ret_why, STORE_WHY_MAX, "%s: %s: %s", path, what, s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
	return false;
}

static bool
set_up(struct store *s)
{
	/*
	 * FULL: what was committed survives a power cut. One writing connection and no mapping: SQLite
	 * before 3.51.3 can corrupt a WAL otherwise.
	 */
	return store_exec(s,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;"
		"PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000; "
		"PRAGMA trusted_schema = OFF; PRAGMA recursive_triggers = ON;");
}

/*
 * What a predecessor left in the WAL may have been written but not been synced when it died; moving
 * it over and syncing makes what we read as committed true for a power cut as well.
 */
static bool
settle_wal(struct store *s)
{
	return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK || failed(s);
}

static bool
user_version(struct store *s, int64_t *ret)
{
	sqlite3_stmt *st;
	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK)
		return failed(s);
	bool ok = sql_number(s, st, ret);
	sqlite3_finalize(st);
	return ok;
}

static bool
migrate_one(struct store *s, int64_t number)
{
	char version[64];
	snprintf(version, sizeof(version), "PRAGMA user_version = %lld", (long long)number + 1);
	if (!store_exec(s, "BEGIN IMMEDIATE"))
		return false;
	if (store_exec(s, migrations[number]) && store_exec(s, version) && store_exec(s, "COMMIT"))
		return true;
	int code = s->code;
	if (!sqlite3_get_autocommit(s->db) && !store_exec(s, "ROLLBACK"))
		return false;
	s->code = code;
	return false;
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
	if (version < (int64_t)ARRAY_LEN(migrations) && !store_exec(s, "PRAGMA foreign_keys = OFF"))
		return explain(s, path, "can't be brought up to date", ret_why);
	for (; version < (int64_t)ARRAY_LEN(migrations); version++)
		if (!migrate_one(s, version))
			return explain(s, path, "can't be brought up to date", ret_why);
	return (ticket_sql_add_columns(s) && store_exec(s, "PRAGMA foreign_keys = ON")) || explain(s, path, "can't be brought up to date", ret_why);
}

static bool
prepare_all(struct store *s)
{
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		if (sqlite3_prepare_v3(s->db, sql_text(i), -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) !=
			SQLITE_OK)
			return failed(s);
	}
	return true;
}

/* SQLite gives its other files the mode of this one. */
static bool
create_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd >= 0 && close(fd) == 0;
}

bool
store_open(struct store *s, const char *path, char ret_why[STORE_WHY_MAX])
{
	*s = (struct store){0};
	if (!create_private(path)) {
		snprintf(ret_why, STORE_WHY_MAX, "%s can't be created: %m", path);
		return false;
	}
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK || !set_up(s) || !settle_wal(s)) {
		explain(s, path, "can't be opened", ret_why);
		store_close(s);
		return false;
	}
	if (migrate(s, path, ret_why) && (prepare_all(s) || explain(s, path, "does not fit this lethe", ret_why)))
		return true;
	store_close(s);
	return false;
}

bool
store_open_reader(struct store *s, const char *path, char ret_why[STORE_WHY_MAX])
{
	*s = (struct store){0};
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	if (sqlite3_open_v2(path, &s->db, flags, NULL) == SQLITE_OK &&
		store_exec(s, "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY"))
		return true;
	explain(s, path, "can't be read", ret_why);
	store_close(s);
	return false;
}

void
store_close(struct store *s)
{
	for (unsigned i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	*s = (struct store){0};
}
