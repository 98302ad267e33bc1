/*
 * The books of a data directory from its ledger.db into PostgreSQL, or back, while no server runs on it (docs/decisions/0071-store-move.md). Command line only;
 * the caller has the right to write there.
 */
#ifndef LEDGER_STORE_MOVE_H
#define LEDGER_STORE_MOVE_H

#include "core/base.h"

#include <jansson.h>

enum { STORE_MOVE_WHY_MAX = 600 };

struct store_move {
	const char *data_dir;
	const char *to; /* postgres://…; NULL: into ledger.db */
	const uint8_t *pepper, *receipt_seed; /* as in ledger_options */
	bool discard; /* of taking back: what was booked there since is given up */
	void (*say)(void *arg, const char *doing, const char *table, int64_t done, int64_t all); /* rows; NULL: nobody looks */
	void *arg;
};

/*
 * All or nothing: what is interrupted leaves the books where they were, and a target that no ledger opens, until the same is asked again. The answer is the caller's.
 * NULL: ret_why is a sentence with the remedy, and the books are where they were unless it says otherwise.
 */
must_check json_t *store_move(const struct store_move *m, char ret_why[STORE_MOVE_WHY_MAX]);
/* The books are in ledger.db again, as they were when they were moved from there. */
must_check json_t *store_take_back(const struct store_move *m, char ret_why[STORE_MOVE_WHY_MAX]);

#endif
