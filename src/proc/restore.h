/*
 * Putting a backup in the place of a data directory's store. Command line only; the caller has the right to write there, and no server runs.
 */
#ifndef PROC_RESTORE_H
#define PROC_RESTORE_H

#include "proc/backup.h"

#include <jansson.h>

struct restore_options {
	const char *data;
	bool replace; /* what is there is kept beside, under another name */
	bool check_only; /* nothing is put in its place */
};

/*
 * *ret_verified: the answer of `ledger verify` on what the backup is. *ret_kept: where the files lie that were there before, "" when there were none.
 * False: nothing was changed, or data/restore.ready says that it was begun, and ledgers don't open; ret_why is a sentence with the remedy.
 */
must_check bool restore(const struct backup_source *s, const struct restore_options *o, json_t **ret_verified, char ret_kept[256], char ret_why[BACKUP_WHY_MAX]);

#endif
