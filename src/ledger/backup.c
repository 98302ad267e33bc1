#include "ledger/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

/* Of SQLite: a file is copied, whatever is said in it. */
static bool
number(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
	if (ok)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return ok;
}

static bool
read_facts(sqlite3 *db, struct backup_facts *f)
{
	return number(db, "PRAGMA user_version", &f->schema) && number(db, "SELECT ifnull(max(id), 0) FROM booking", &f->bookings) &&
		number(db, "SELECT ifnull(sum(tickets), 0) FROM booking", &f->tickets) &&
		number(db, "SELECT ifnull(max(time_us), 0) FROM booking WHERE id = (SELECT max(id) FROM booking)", &f->last_us);
}

/*
 * In one step, under the reader's transaction: what is committed meanwhile is not in it, and the log can't be moved into the file under it. No journal
 * and no sync of SQLite's own: a copy that is not whole is thrown away.
 */
static bool
copy(sqlite3 *db, const char *to, char why[256])
{
	sqlite3 *into = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	bool ok = sqlite3_open_v2(to, &into, flags, NULL) == SQLITE_OK && sqlite3_exec(into, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK;
	sqlite3_backup *b = ok ? sqlite3_backup_init(into, "main", db, "main") : NULL;
	if (b != NULL) {
		ok = sqlite3_backup_step(b, -1) == SQLITE_DONE;
		ok = sqlite3_backup_finish(b) == SQLITE_OK && ok;
	}
	ok = ok && b != NULL;
	if (!ok)
		snprintf(why, 256, "%.120s can't be written: %.100s", to, sqlite3_errmsg(into));
	return sqlite3_close(into) == SQLITE_OK && ok;
}

/* SQLite gives a file that it makes another mode. */
static bool
make_private(const char *to, char why[256])
{
	int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		snprintf(why, 256, "%.200s can't be made: %m", to);
	return fd >= 0 && close(fd) == 0;
}

static bool
sync_file(const char *to, char why[256])
{
	int fd = open(to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = fd >= 0 && fsync(fd) == 0;
	if (!ok)
		snprintf(why, 256, "%.200s can't be brought to disk: %m", to);
	if (fd >= 0)
		close(fd);
	return ok;
}

bool
backup_store(const char *from, const char *to, struct backup_facts *ret, char ret_why[256])
{
	sqlite3 *db = NULL;
	struct backup_facts f = {0};
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	/* The first of the facts that is read begins the moment. */
	bool ok = sqlite3_open_v2(from, &db, flags, NULL) == SQLITE_OK && sqlite3_exec(db, "PRAGMA mmap_size = 0; BEGIN", NULL, NULL, NULL) == SQLITE_OK && read_facts(db, &f);
	if (!ok)
		snprintf(ret_why, 256, "%.120s can't be read: %.100s", from, sqlite3_errmsg(db));
	ok = ok && make_private(to, ret_why) && copy(db, to, ret_why) && sync_file(to, ret_why);
	sqlite3_close(db);
	if (ok)
		*ret = f;
	return ok;
}
