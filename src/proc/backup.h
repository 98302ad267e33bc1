/*
 * Backups of a data directory, as folders: the store as it was at one moment, the secrets that belong to it, and backup.json, which has their hashes. Command line
 * only; a server may run while one is made, and must not while one is put back.
 */
#ifndef PROC_BACKUP_H
#define PROC_BACKUP_H

#include "ledger/backup.h"

#include <sodium.h>

enum { BACKUP_WHY_MAX = 600,
	BACKUP_PARTS = 4 };

/* X(NAME, file, secret, meaning) */
#define BACKUP_FILES(X) \
	X(STORE, "ledger.db", false, "the store") \
	X(PEPPER, "pepper", true, "under which keys are hashed") \
	X(RECEIPT_KEY, "receipt.key", true, "by which receipts are signed") \
	X(MASTER_KEY, "master.key", true, "under which customers' own keys at providers are sealed")

enum backup_part {
#define X(NAME, file, secret, meaning) BACKUP_##NAME,
	BACKUP_FILES(X)
#undef X
};

struct backup_entry {
	bool there;
	uint64_t bytes;
	uint8_t hash[crypto_hash_sha256_BYTES];
};

struct backup {
	struct backup_facts facts;
	struct backup_entry parts[BACKUP_PARTS];
	char time[40], version[32]; /* when it was made, and by which lethe */
};

const char *backup_file(enum backup_part part);

/* Folder `to`, which must not exist: whole or not at all. False: ret_why is a sentence with the remedy. */
must_check bool backup_make(const char *data, const char *to, bool secrets, struct backup *ret, char ret_why[BACKUP_WHY_MAX]);

/*
 * A backup whose files are open, so that they can be read as another user than the one who may open them. backup_open() reads backup.json only;
 * backup_copy() copies what is there into the folder `to` and compares it with its hash.
 */
struct backup_source {
	struct backup backup;
	int fds[BACKUP_PARTS]; /* -1: not in it */
};
must_check bool backup_open(const char *from, struct backup_source *ret, char ret_why[BACKUP_WHY_MAX]);
must_check bool backup_copy(const struct backup_source *s, const char *to, char ret_why[BACKUP_WHY_MAX]);
void backup_close(struct backup_source *s);

#endif
