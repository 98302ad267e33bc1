/*
 * The pepper: the secret under which API keys are hashed, DIR/pepper. Without it no key that was ever given
 * out works. Read by the supervisor, which sends it to edges and ledger, and by the command line when it is
 * the ledger itself. The caller owns the bytes and wipes them.
 */
#ifndef PROC_PEPPER_H
#define PROC_PEPPER_H

#include "ticket/api_key.h"

enum { PEPPER_WHY_MAX = 600 };

/*
 * Read DIR/pepper; make it (mode 0600, on disk before this returns) when there is neither a pepper nor a
 * ledger. False: ret_why is a sentence for the operator with the remedy.
 */
must_check bool pepper_load_or_create(
	const char *dir, uint8_t ret[API_KEY_PEPPER_BYTES], char ret_why[PEPPER_WHY_MAX]);

#endif
