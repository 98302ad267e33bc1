/*
 * A copy of a store as it is at one moment, while its ledger goes on booking. Command line only: a reader of its own, which never writes to the store.
 */
#ifndef LEDGER_BACKUP_H
#define LEDGER_BACKUP_H

#include "core/base.h"

struct backup_facts {
	int64_t bookings, tickets, last_us; /* up to and with the last booking, and when that was */
	int64_t schema;
};

/* `to` must not exist; on failure what is there of it is the caller's to remove. On success it is on disk. */
must_check bool backup_store(const char *from, const char *to, struct backup_facts *ret, char ret_why[256]);

#endif
