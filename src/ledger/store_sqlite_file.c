#include "ledger/store_sqlite_file.h"

#include "ledger/give_way.h"

#include <sqlite3.h>

static sqlite3_vfs *below;
static int (*below_write)(sqlite3_file *, const void *, int, sqlite3_int64);
static sqlite3_io_methods log_methods, main_methods; /* the library's for such a file, but for writing */

static int
write_and_give_way(sqlite3_file *f, const void *bytes, int count, sqlite3_int64 at)
{
	give_way();
	return below_write(f, bytes, count, at);
}

/* Only tests know two ways of writing in one process: there, files of the second stay as they are. */
static void
take_over(sqlite3_file *f, sqlite3_io_methods *own)
{
	if (below_write != NULL && below_write != f->pMethods->xWrite)
		return;
	below_write = f->pMethods->xWrite;
	*own = *f->pMethods;
	own->xWrite = write_and_give_way;
	f->pMethods = own;
}

static int
open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	int code = below->xOpen(below, name, f, flags, ret_flags);
	if (code == SQLITE_OK && flags & SQLITE_OPEN_WAL)
		take_over(f, &log_methods);
	if (code == SQLITE_OK && flags & SQLITE_OPEN_MAIN_DB)
		take_over(f, &main_methods);
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
		sqlite3_vfs_unregister(&own); /* it is in the library's list by what it is about to lose */
		below = now;
		own = *now;
		own.zName = "giving way";
		own.xOpen = open_file;
	}
	return sqlite3_vfs_register(&own, 0) == SQLITE_OK ? own.zName : NULL;
}
