/*
 * Which data directory this is: a number at random, made once and kept in it (`home`). A node's number is one directory's at a time
 * (docs/decisions/0074-outbox.md). And which books in PostgreSQL are its own: their identity (`books`), from when they were opened first; another database,
 * or one that is empty, is not begun on by mistake. Whoever has the directory's lock.
 */
#ifndef LEDGER_HOME_H
#define LEDGER_HOME_H

#include "ledger/store.h"

/* Never 0. False: ret_why says why. */
must_check bool home_read(const char *data_dir, int64_t *ret, char ret_why[STORE_WHY_MAX]);
/* 0: not known yet. False: ret_why says why. */
must_check bool home_books(const char *data_dir, int64_t *ret, char ret_why[STORE_WHY_MAX]);
must_check bool home_keep_books(const char *data_dir, int64_t identity, char ret_why[STORE_WHY_MAX]);
/* They have moved. */
must_check bool home_forget_books(const char *data_dir);

#endif
