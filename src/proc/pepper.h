/*
 * What a data directory keeps secret: the pepper, under which API keys are hashed, DIR/pepper (without it no key that was ever given
 * out works); the seed of what receipts are signed by, DIR/receipt.key (docs/decisions/0024-receipts.md); the master key, under which customers' own keys
 * at providers are sealed, DIR/master.key (docs/decisions/0027-own-keys.md). Read by the supervisor,
 * which sends them to edges and ledger, and by the command line when it is the ledger itself. The caller owns the bytes and wipes them.
 */
#ifndef PROC_PEPPER_H
#define PROC_PEPPER_H

#include "ticket/api_key.h"
#include "ticket/byok.h"
#include "ticket/receipt.h"

enum { PEPPER_WHY_MAX = 600 };

/*
 * Read DIR/pepper; make it (mode 0600, on disk before this returns) when there is neither a pepper nor a
 * ledger. False: ret_why is a sentence for the operator with the remedy.
 */
must_check bool pepper_load_or_create(
	const char *dir, uint8_t ret[API_KEY_PEPPER_BYTES], char ret_why[PEPPER_WHY_MAX]);

/* The same for DIR/receipt.key, which may be made anew at any time: the next heads are signed by the new key, and the log says so. */
must_check bool receipt_seed_load_or_create(
	const char *dir, uint8_t ret[RECEIPT_SEED_BYTES], char ret_why[PEPPER_WHY_MAX]);

/*
 * The same for DIR/master.key. Made anew, it opens none of the own keys that were sealed before: `lethe byok list` shows which, and they have to be added
 * again.
 */
must_check bool master_load_or_create(const char *dir, uint8_t ret[BYOK_SEED_BYTES], char ret_why[PEPPER_WHY_MAX]);

#endif
