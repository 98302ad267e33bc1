#include "ledger/outbox.h"

#include "ledger/give_way.h"
#include "ledger/store_sqlite_file.h"
#include "ledger/ticket_same.h"
#include "ticket/ticket_fields.h"

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VERSION = 2, /* an older one would forward it anywhere */
	PATH_BYTES = 512,
	READING_BYTES = 4096,
	WAIT_MS = 5,
	WAITS = 400,
	OWN_COLUMNS = 10 };

enum statement { PUT,
	FIND,
	PUT_PROGRESS,
	DROP_PROGRESS,
	READ,
	READ_PROGRESS,
	STATEMENTS };

struct outbox {
	sqlite3 *db;
	sqlite3_stmt *st[STATEMENTS];
	struct outbox_facts facts, before; /* before: as a transaction that fails leaves it */
	bool any; /* settled by this transaction: its batch is counted */
	int code;
	char path[PATH_BYTES];
};

#define NAME(name, type, unit, meaning, promise) ", \"" #name "\""
#define COLUMN(name, type, unit, meaning, promise) ", \"" #name "\" INTEGER NOT NULL DEFAULT 0"
#define PARAMETER(name, type, unit, meaning, promise) ", ?"
#define OVERWRITE(name, type, unit, meaning, promise) ", \"" #name "\" = excluded.\"" #name "\""

#define OWN "id, batch, board_index, cost_nano, hold_nano, legs, row_0, row_1, row_2, row_3"
#define TABLE(name) \
	"CREATE TABLE IF NOT EXISTS " name " (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, board_index INTEGER NOT NULL, cost_nano INTEGER NOT NULL, " \
	"hold_nano INTEGER NOT NULL, legs INTEGER NOT NULL, row_0 INTEGER NOT NULL, row_1 INTEGER NOT NULL, row_2 INTEGER NOT NULL, row_3 INTEGER NOT NULL" TICKET_FIELDS(COLUMN) ") STRICT; "
#define VALUES " (" OWN TICKET_FIELDS(NAME) ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?" TICKET_FIELDS(PARAMETER) ") ON CONFLICT (id) DO "

_Static_assert(TICKET_LEGS_MAX == 4, "the columns row_0 to row_3");

static const char *const texts[STATEMENTS] = {
	[PUT] = "INSERT INTO settled" VALUES "NOTHING",
	[FIND] = "SELECT " OWN TICKET_FIELDS(NAME) " FROM settled WHERE id = ?",
	[PUT_PROGRESS] = "INSERT INTO progress" VALUES "UPDATE SET board_index = excluded.board_index, cost_nano = excluded.cost_nano, hold_nano = excluded.hold_nano" TICKET_FIELDS(OVERWRITE),
	[DROP_PROGRESS] = "DELETE FROM progress WHERE id = ?",
	[READ] = "SELECT " OWN TICKET_FIELDS(NAME) " FROM settled WHERE id > ? ORDER BY id LIMIT ?",
	[READ_PROGRESS] = "SELECT " OWN TICKET_FIELDS(NAME) " FROM progress WHERE id > ? ORDER BY id LIMIT ?",
};

static const char tables[] = TABLE("settled") TABLE("progress") TABLE("refused") "CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), node INTEGER NOT NULL, "
																				 "since_us INTEGER NOT NULL DEFAULT 0, since_boot_us INTEGER NOT NULL DEFAULT 0, ceiling_ms INTEGER NOT NULL DEFAULT 0, "
																				 "shut INTEGER NOT NULL DEFAULT 0) STRICT; ";

static const char *const names[] = {
#define X(name, type, unit, meaning, promise) #name,
	TICKET_FIELDS(X)
#undef X
};

static void
path_of(const char *data_dir, char ret[PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "%.480s/outbox.db", data_dir);
}

static bool
failed(struct outbox *o)
{
	o->code = sqlite3_extended_errcode(o->db);
	return false;
}

static bool
exec(struct outbox *o, const char *sql)
{
	return sqlite3_exec(o->db, sql, NULL, NULL, NULL) == SQLITE_OK || failed(o);
}

/* ?1 is the value. */
static bool
exec_number(struct outbox *o, const char *sql, int64_t value)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(o->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_bind_int64(st, 1, value) == SQLITE_OK && sqlite3_step(st) == SQLITE_DONE;
	if (!ok)
		failed(o);
	sqlite3_finalize(st);
	return ok;
}

/* For who reads beside who writes. SQLite's own way to wait is a system call that the ledger has not. */
static int
wait_a_little(void *arg, int times)
{
	(void)!poll(NULL, 0, WAIT_MS);
	return times < WAITS;
}

static bool
write_version(struct outbox *o, int64_t version)
{
	char sql[64];
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %lld", (long long)version);
	return exec(o, sql);
}

/* Up to `max` numbers of the first row; there has to be one. */
static bool
numbers(sqlite3 *db, const char *sql, int64_t *ret, int max)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
	for (int i = 0; ok && i < max; i++)
		ret[i] = sqlite3_column_int64(st, i);
	sqlite3_finalize(st);
	return ok;
}

/* ---- open ---- */

bool
outbox_exists(const char *data_dir)
{
	char path[PATH_BYTES];
	path_of(data_dir, path);
	return access(path, F_OK) == 0;
}

static bool
has_column(sqlite3 *db, const char *table, const char *column)
{
	return sqlite3_table_column_metadata(db, NULL, table, column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

/* By its number, or by facts of tickets that are not known here and would be lost. */
static bool
is_newer(sqlite3 *db, int64_t version)
{
	static const char *const counts[] = {"SELECT count(*) FROM pragma_table_info('settled')", "SELECT count(*) FROM pragma_table_info('progress')", "SELECT count(*) FROM pragma_table_info('refused')"};
	static const char *const of[] = {"settled", "progress", "refused"};
	bool newer = version > VERSION;
	for (size_t t = 0; !newer && t < ARRAY_LEN(of); t++) {
		int64_t columns = 0, known = OWN_COLUMNS;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			known += has_column(db, of[t], names[i]);
		newer = numbers(db, counts[t], &columns, 1) && columns > known;
	}
	return newer;
}

static bool
read_facts(sqlite3 *db, struct outbox_facts *ret)
{
	int64_t state[5], counts[3], running, refused = 0, more[2] = {0, 0};
	bool first = !has_column(db, "state", "store"), refuses = has_column(db, "refused", "id"); /* an older lethe made it */
	if (!numbers(db, "SELECT node, since_us, since_boot_us, ceiling_ms, shut FROM state", state, 5) || (!first && !numbers(db, "SELECT store, limit_ms FROM state", more, 2)) ||
		!numbers(db, "SELECT count(*), count(DISTINCT batch), coalesce(min(started_us), 0) FROM settled", counts, 3) || !numbers(db, "SELECT count(*) FROM progress", &running, 1) ||
		(refuses && !numbers(db, "SELECT count(*) FROM refused", &refused, 1)))
		return false;
	*ret = (struct outbox_facts){.node = state[0], .store = more[0], .limit_ms = more[1], .since_us = state[1], .since_boot_us = state[2], .ceiling_ms = state[3], .shut = state[4], .requests = counts[0], .batches = counts[1], .oldest_us = counts[2], .running = running, .refused = refused};
	return true;
}

static bool
add_columns(struct outbox *o, const char *table)
{
	bool ok = true;
	for (size_t i = 0; ok && i < ARRAY_LEN(names); i++) {
		char sql[160];
		snprintf(sql, sizeof(sql), "ALTER TABLE %s ADD COLUMN \"%s\" INTEGER NOT NULL DEFAULT 0", table, names[i]);
		ok = has_column(o->db, table, names[i]) || exec(o, sql);
	}
	return ok;
}

static bool
add_state(struct outbox *o)
{
	return has_column(o->db, "state", "store") ||
		exec(o, "ALTER TABLE state ADD COLUMN store INTEGER NOT NULL DEFAULT 0; ALTER TABLE state ADD COLUMN limit_ms INTEGER NOT NULL DEFAULT 0");
}

#define IS_EMPTY "since_us = 0 AND NOT EXISTS (SELECT 1 FROM settled) AND NOT EXISTS (SELECT 1 FROM progress)"

/* One in which nothing waits is anybody's. */
static bool
make_tables(struct outbox *o, int64_t node, int64_t store)
{
	return exec(o, "BEGIN IMMEDIATE") && exec(o, tables) && add_state(o) && add_columns(o, "settled") && add_columns(o, "progress") && add_columns(o, "refused") &&
		exec_number(o, "INSERT INTO state (one, node) VALUES (1, ?1) ON CONFLICT (one) DO NOTHING", node) &&
		exec_number(o, "UPDATE state SET node = ?1 WHERE " IS_EMPTY, node) && exec_number(o, "UPDATE state SET store = ?1 WHERE " IS_EMPTY, store) && write_version(o, VERSION) && exec(o, "COMMIT");
}

/*
 * What a process that was killed had written and not synced is on the disk, or is not there, before anything is concluded from it: as in ledger.db
 * (store_sqlite.c, settle_wal).
 */
static bool
settle_wal(struct outbox *o)
{
	int64_t version = 0;
	if (sqlite3_wal_checkpoint_v2(o->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		return failed(o);
	return numbers(o->db, "PRAGMA user_version", &version, 1) && write_version(o, version);
}

static bool
prepare_all(struct outbox *o)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(o->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &o->st[i], NULL) != SQLITE_OK)
			return failed(o);
	return true;
}

static bool
explain(const struct outbox *o, const char *what, char ret_why[STORE_WHY_MAX])
{
	snprintf(ret_why, STORE_WHY_MAX, "%.120s: %s: %.80s", o->path, what, o->db != NULL ? sqlite3_errmsg(o->db) : "out of memory");
	return false;
}

static bool
is_ours(const struct outbox *o, int64_t node, int64_t store, char ret_why[STORE_WHY_MAX])
{
	int64_t waiting = o->facts.requests + o->facts.running;
	if (waiting == 0 || (o->facts.node == node && (o->facts.store == store || o->facts.store == 0 || store == 0))) /* 0: it, or the board, was made by an older lethe */
		return true;
	if (o->facts.node == node) {
		snprintf(ret_why, STORE_WHY_MAX, "%.90s has %lld requests that are not booked yet, for another store: start it with the `--store` that it had (is that gone, put the file elsewhere)", o->path,
			(long long)waiting);
		return false;
	}
	snprintf(ret_why, STORE_WHY_MAX, "%.100s has %lld requests of node %lld, which are not booked yet: start it with `node: %lld` again", o->path, (long long)waiting,
		(long long)o->facts.node, (long long)o->facts.node);
	return false;
}

/* As an older lethe made it: from now on it is this store's. */
static bool
take_store(struct outbox *o, int64_t store)
{
	if (o->facts.store != 0 || store == 0)
		return true;
	o->facts.store = store;
	return exec_number(o, "UPDATE state SET store = ?1", store);
}

static bool
open_file(struct outbox *o, int64_t node, int64_t store, char ret_why[STORE_WHY_MAX])
{
	int64_t version = 0;
	int fd = open(o->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) != 0) {
		snprintf(ret_why, STORE_WHY_MAX, "%.200s can't be made: %m", o->path);
		return false;
	}
	if (sqlite3_open_v2(o->path, &o->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, store_sqlite_file()) != SQLITE_OK || sqlite3_busy_handler(o->db, wait_a_little, NULL) != SQLITE_OK ||
		!exec(o, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF") || !settle_wal(o))
		return explain(o, "can't be opened", ret_why);
	if (!numbers(o->db, "PRAGMA user_version", &version, 1))
		return explain(o, "can't be read", ret_why);
	if (is_newer(o->db, version)) {
		snprintf(ret_why, STORE_WHY_MAX, "%.150s was written by a newer lethe (%s): run that one", o->path, version > VERSION ? "its layout is not known here" : "it keeps facts of a ticket that are not known here");
		return false;
	}
	if (!make_tables(o, node, store) || !prepare_all(o) || !read_facts(o->db, &o->facts))
		return explain(o, "can't be brought up to date", ret_why);
	return is_ours(o, node, store, ret_why) && (take_store(o, store) || explain(o, "can't be brought up to date", ret_why));
}

struct outbox *
outbox_open(const char *data_dir, int64_t node, int64_t store, char ret_why[STORE_WHY_MAX])
{
	struct outbox *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	path_of(data_dir, o->path);
	if (!open_file(o, node, store, ret_why))
		outbox_close(&o);
	return o;
}

/* As texts[], with 0 for each fact that an older lethe did not keep. */
static bool
prepare_reading(struct outbox *o, enum statement which, const char *table)
{
	static char sql[READING_BYTES];
	size_t len = (size_t)snprintf(sql, sizeof(sql), "SELECT " OWN);
	for (size_t i = 0; i < ARRAY_LEN(names) && len < sizeof(sql); i++)
		len += (size_t)snprintf(sql + len, sizeof(sql) - len, has_column(o->db, table, names[i]) ? ", \"%s\"" : ", 0", names[i]);
	if (len < sizeof(sql))
		len += (size_t)snprintf(sql + len, sizeof(sql) - len, " FROM %s WHERE id > ? ORDER BY id LIMIT ?", table);
	return len < sizeof(sql) && sqlite3_prepare_v3(o->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &o->st[which], NULL) == SQLITE_OK;
}

/* Who can only read moves nothing from the log into the file under the one that writes. */
static enum outbox_seen
read_file(struct outbox *o)
{
	int64_t version = 0;
	if (sqlite3_open_v2(o->path, &o->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK || sqlite3_busy_handler(o->db, wait_a_little, NULL) != SQLITE_OK ||
		!numbers(o->db, "PRAGMA user_version", &version, 1))
		return OUTBOX_UNREADABLE;
	if (is_newer(o->db, version))
		return OUTBOX_NEWER;
	bool read = read_facts(o->db, &o->facts) && prepare_reading(o, READ, "settled") && prepare_reading(o, READ_PROGRESS, "progress");
	return read ? OUTBOX_SEEN : OUTBOX_UNREADABLE;
}

enum outbox_seen
outbox_open_reader(const char *data_dir, struct outbox **ret)
{
	if (!outbox_exists(data_dir))
		return OUTBOX_ABSENT;
	struct outbox *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	path_of(data_dir, o->path);
	enum outbox_seen seen = read_file(o);
	if (seen == OUTBOX_SEEN)
		*ret = o;
	else
		outbox_close(&o);
	return seen;
}

bool
outbox_look(const char *data_dir, struct outbox_facts *ret)
{
	struct outbox *o = NULL;
	bool read = outbox_open_reader(data_dir, &o) == OUTBOX_SEEN;
	*ret = read ? o->facts : (struct outbox_facts){0};
	outbox_close(&o);
	return read;
}

void
outbox_close(struct outbox **o)
{
	struct outbox *x = *o;
	if (x == NULL)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(x->st[i]);
	sqlite3_close(x->db);
	free(x);
	*o = NULL;
}

void
outbox_remove(struct outbox **o, const char *data_dir)
{
	char path[PATH_BYTES];
	int64_t refused = 1;
	path_of(data_dir, path);
	bool none = numbers((*o)->db, "SELECT count(*) FROM refused", &refused, 1) && refused == 0;
	outbox_close(o);
	if (none)
		(void)!unlink(path); /* it stays: then it is an empty one */
}

const struct outbox_facts *
outbox_facts(const struct outbox *o)
{
	return &o->facts;
}

uint64_t
outbox_age_s(const struct outbox_facts *f, uint64_t now_us)
{
	uint64_t since_us = (uint64_t)f->oldest_us;
	return f->oldest_us > 0 && now_us > since_us ? (now_us - since_us) / 1000000 : 0;
}

int
outbox_code(const struct outbox *o)
{
	return o->code;
}

/* ---- transactions ---- */

bool
outbox_begin(struct outbox *o)
{
	o->before = o->facts;
	o->any = false;
	return exec(o, "BEGIN IMMEDIATE");
}

bool
outbox_end(struct outbox *o, bool ok)
{
	if (ok && exec(o, "COMMIT"))
		return true;
	int code = o->code;
	if (!sqlite3_get_autocommit(o->db))
		(void)!exec(o, "ROLLBACK"); /* after some errors it has by itself */
	o->code = code;
	o->facts = o->before;
	return false;
}

static bool
run(struct outbox *o, enum statement which)
{
	give_way();
	bool ok = sqlite3_step(o->st[which]) == SQLITE_DONE;
	if (!ok)
		failed(o);
	sqlite3_reset(o->st[which]);
	return ok;
}

static bool
put(struct outbox *o, enum statement which, const struct ticket_copy *t, int64_t batch)
{
	const struct ticket_facts *f = &t->facts;
#define X(name, type, unit, meaning, promise) (int64_t) f->name,
	const int64_t values[] = {(int64_t)t->id, batch, t->index, t->cost.v, t->hold.v, t->legs, (int64_t)t->row[0], (int64_t)t->row[1], (int64_t)t->row[2], (int64_t)t->row[3], TICKET_FIELDS(X)};
#undef X
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		sqlite3_bind_int64(o->st[which], (int)i + 1, values[i]);
	return run(o, which);
}

static void
take_row(sqlite3_stmt *st, struct ticket_copy *ret)
{
	*ret = (struct ticket_copy){.id = (uint64_t)sqlite3_column_int64(st, 0), .index = (uint32_t)sqlite3_column_int64(st, 2), .legs = (uint8_t)sqlite3_column_int64(st, 5)};
	ret->cost.v = sqlite3_column_int64(st, 3);
	ret->hold.v = sqlite3_column_int64(st, 4);
	for (int k = 0; k < TICKET_LEGS_MAX; k++)
		ret->row[k] = (uint64_t)sqlite3_column_int64(st, 6 + k);
	int at = OWN_COLUMNS;
#define X(name, type, unit, meaning, promise) ret->facts.name = (type)sqlite3_column_int64(st, at++);
	TICKET_FIELDS(X)
#undef X
}

/* From which windows it is paid is kept here, and nowhere else. */
static bool
same_legs(const struct ticket_copy *a, const struct ticket_copy *b)
{
	bool same = a->legs == b->legs;
	for (unsigned k = 0; same && k < a->legs; k++)
		same = a->row[k] == b->row[k];
	return same;
}

static bool
compare(struct outbox *o, const struct ticket_copy *t, enum outbox_put *ret)
{
	struct ticket_copy kept;
	sqlite3_stmt *st = o->st[FIND];
	sqlite3_bind_int64(st, 1, (int64_t)t->id);
	bool there = sqlite3_step(st) == SQLITE_ROW;
	if (there) {
		take_row(st, &kept);
		*ret = ticket_same(&kept, t) && same_legs(&kept, t) ? OUTBOX_THERE : OUTBOX_OTHER;
	} else
		failed(o);
	sqlite3_reset(st);
	return there;
}

bool
outbox_settle(struct outbox *o, const struct ticket_copy *t, enum outbox_put *ret)
{
	*ret = OUTBOX_PUT;
	if (!put(o, PUT, t, o->before.batches + 1))
		return false;
	if (sqlite3_changes(o->db) == 0)
		return compare(o, t, ret);
	int64_t began_us = (int64_t)t->facts.started_us;
	o->facts.oldest_us = o->facts.requests == 0 || began_us < o->facts.oldest_us ? began_us : o->facts.oldest_us;
	o->facts.requests++;
	o->facts.batches += !o->any;
	o->any = true;
	sqlite3_bind_int64(o->st[DROP_PROGRESS], 1, (int64_t)t->id);
	return run(o, DROP_PROGRESS);
}

bool
outbox_progress(struct outbox *o, const struct ticket_copy *t)
{
	return put(o, PUT_PROGRESS, t, 0);
}

static bool
alone(struct outbox *o, const char *sql, int64_t value)
{
	return outbox_begin(o) && outbox_end(o, exec_number(o, sql, value));
}

bool
outbox_begun(struct outbox *o, int64_t wall_us, int64_t boot_us, int64_t limit_ms)
{
	if (!outbox_begin(o) || !outbox_end(o, exec_number(o, "UPDATE state SET since_us = ?1", wall_us) && exec_number(o, "UPDATE state SET since_boot_us = ?1", boot_us) && exec_number(o, "UPDATE state SET limit_ms = ?1", limit_ms)))
		return false;
	o->facts.since_us = wall_us;
	o->facts.since_boot_us = boot_us;
	o->facts.limit_ms = limit_ms;
	return true;
}

bool
outbox_raise(struct outbox *o, int64_t ceiling_ms)
{
	if (!alone(o, "UPDATE state SET ceiling_ms = max(ceiling_ms, ?1)", ceiling_ms))
		return false;
	o->facts.ceiling_ms = ceiling_ms > o->facts.ceiling_ms ? ceiling_ms : o->facts.ceiling_ms;
	return true;
}

bool
outbox_say_shut(struct outbox *o, enum outbox_shut shut)
{
	if (!alone(o, "UPDATE state SET shut = ?1", (int64_t)shut))
		return false;
	o->facts.shut = (int64_t)shut;
	return true;
}

/* ---- what waits ---- */

static int
read_rows(struct outbox *o, enum statement which, int64_t after, struct ticket_copy *ret, int max)
{
	sqlite3_stmt *st = o->st[which];
	int count = 0, rc;
	sqlite3_bind_int64(st, 1, after);
	sqlite3_bind_int64(st, 2, max);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		take_row(st, &ret[count++]);
	if (rc != SQLITE_DONE)
		failed(o);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? count : -1;
}

int
outbox_read_settled(struct outbox *o, int64_t after, struct ticket_copy *ret, int max)
{
	int count = read_rows(o, READ, after, ret, max);
	for (int i = 0; i < count; i++)
		ret[i].index = UINT32_MAX; /* another has its place by now */
	return count;
}

int
outbox_read_progress(struct outbox *o, int64_t after, struct ticket_copy *ret, int max)
{
	return read_rows(o, READ_PROGRESS, after, ret, max);
}

bool
outbox_put_aside(struct outbox *o, int64_t id)
{
	return alone(o, "INSERT INTO refused (" OWN TICKET_FIELDS(NAME) ") SELECT " OWN TICKET_FIELDS(NAME) " FROM settled WHERE id = ?1 ON CONFLICT (id) DO NOTHING", id);
}

bool
outbox_drop_settled(struct outbox *o, int64_t to)
{
	return alone(o, "DELETE FROM settled WHERE id <= ?1", to) && read_facts(o->db, &o->facts);
}

bool
outbox_drop_rest(struct outbox *o)
{
	return outbox_begin(o) && outbox_end(o, exec(o, "DELETE FROM progress; UPDATE state SET since_us = 0, since_boot_us = 0, limit_ms = 0, shut = 0")) && read_facts(o->db, &o->facts);
}
