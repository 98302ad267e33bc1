#include "ledger/store_sqlite_file.h"

#include "core/base.h"
#include "ledger/give_way.h"

#include <sqlite3.h>

enum { WRITES_A_TURN = 12 }; /* of a log: six pages, each with its checksum, some 40 µs */

/* The kinds of file that are written page after page: the same methods as the library's for them, but for writing. */
static struct kind {
	int flag;
	int (*write)(sqlite3_file *, const void *, int, sqlite3_int64);
	int (*own)(sqlite3_file *, const void *, int, sqlite3_int64);
	sqlite3_io_methods methods;
} kinds[];

static sqlite3_vfs *below;
static unsigned writes;

static void
count_write(void)
{
	if (++writes % WRITES_A_TURN == 0)
		give_way();
}

static int
write_log(sqlite3_file *f, const void *bytes, int count, sqlite3_int64 at)
{
	count_write();
	return kinds[0].write(f, bytes, count, at);
}

static int
write_main(sqlite3_file *f, const void *bytes, int count, sqlite3_int64 at)
{
	count_write();
	return kinds[1].write(f, bytes, count, at);
}

static struct kind kinds[] = {
	{.flag = SQLITE_OPEN_WAL, .own = write_log},
	{.flag = SQLITE_OPEN_MAIN_DB, .own = write_main},
};

/* One whose methods are others than those of the first of its kind stays as it is: only tests have such. */
static void
take_over(struct kind *k, sqlite3_file *f)
{
	if (k->write != NULL && k->write != f->pMethods->xWrite)
		return;
	k->methods = *f->pMethods;
	k->write = k->methods.xWrite;
	k->methods.xWrite = k->own;
	f->pMethods = &k->methods;
}

static int
open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	int code = below->xOpen(below, name, f, flags, ret_flags);
	for (size_t i = 0; code == SQLITE_OK && i < ARRAY_LEN(kinds); i++)
		if (flags & kinds[i].flag)
			take_over(&kinds[i], f);
	return code;
}

const char *
store_sqlite_file(void)
{
	static sqlite3_vfs own;
	sqlite3_vfs *now = sqlite3_vfs_find(NULL);
	if (now == NULL)
		return NULL;
	if (now != below) {
		below = now;
		own = *now;
		own.zName = "giving way";
		own.xOpen = open_file;
	}
	return sqlite3_vfs_register(&own, 0) == SQLITE_OK ? own.zName : NULL;
}
