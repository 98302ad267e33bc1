/*
 * Where the books of a data directory are: in DIR/ledger.db, or where DIR/store says, which is one line with PostgreSQL's address. A
 * directory's books are in one place for good, so that nobody begins others beside them. Command line and ledger.
 */
#ifndef LEDGER_STORE_ADDRESS_H
#define LEDGER_STORE_ADDRESS_H

#include "core/base.h"

enum { STORE_ADDRESS_MAX = 1024,
	STORE_ADDRESS_WHY_MAX = 256 };

/* "" when they are in ledger.db. False: the file can't be read; ret_why: a sentence. */
must_check bool store_address_read(const char *data_dir, char ret[STORE_ADDRESS_MAX], char ret_why[STORE_ADDRESS_WHY_MAX]);

/* From now on they are there. False: they are somewhere else already, or it can't be written; nothing is changed. The directory exists. */
must_check bool store_address_keep(const char *data_dir, const char *address, char ret_why[STORE_ADDRESS_WHY_MAX]);

/* As `lethe store move` does: from now on they are there, or in ledger.db, whatever was said before. */
must_check bool store_address_change(const char *data_dir, const char *address);
must_check bool store_address_forget(const char *data_dir);

/* Is there a password in it? What a command line says, every user of the machine can read. */
bool store_address_has_password(const char *address);

#endif
