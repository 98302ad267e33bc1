/* SQLite's own access to files, that gives way (give_way.h) while a commit or a checkpoint writes page after page. */
#ifndef LEDGER_STORE_SQLITE_FILE_H
#define LEDGER_STORE_SQLITE_FILE_H

/* The name to open a store by: sqlite3_open_v2(). Over whatever access is the library's default now. NULL: no memory. */
const char *store_sqlite_file(void);

#endif
