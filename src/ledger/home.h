/*
 * Which data directory this is: a number at random, made once and kept in it (`home`). A node's number is one directory's at a time
 * (docs/decisions/0074-outbox.md). Whoever has the directory's lock.
 */
#ifndef LEDGER_HOME_H
#define LEDGER_HOME_H

#include "ledger/store.h"

/* Never 0. False: ret_why says why. */
must_check bool home_read(const char *data_dir, int64_t *ret, char ret_why[STORE_WHY_MAX]);

#endif
