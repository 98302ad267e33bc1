/*
 * A board with a small database beside it, both in memory that outlives processes, and the rules of
 * docs/ticket-protocol.md written down a second time, from the outside. Tests only. world_create() owns what
 * it maps; world_destroy() unmaps it.
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "ticket/board_priv.h"

enum { WORLD_ROWS = 4,
	WORLD_TICKETS_MAX = 256,
	WORLD_LOG_MAX = 1 << 20,
	WORLD_FIRST_ROW = 101 };

struct world_booking {
	uint64_t id;
	int64_t cost;
	uint32_t index;
	uint8_t end_reason;
};

/* What one commit replaces by another. */
struct world_half {
	int64_t balance[WORLD_ROWS];
	uint64_t last_id[WORLD_TICKETS_MAX]; /* by ticket: an id that was booked stays known until its ticket is used again */
	uint64_t last_request; /* of those without a ticket of their own: the last that is done */
	uint32_t bookings;
};

/* A commit is one store to `current`: a kill leaves the old half or the new one. */
struct world_db {
	_Atomic uint32_t current;
	struct world_half half[2];
	struct world_booking log[WORLD_LOG_MAX];
};

struct world {
	struct board *board;
	struct world_db *db;
	size_t board_bytes;
	void *board_memory;
	bool below_zero[WORLD_ROWS]; /* a budget: may be lowered below 0 */
};

/*
 * rows: how many of WORLD_ROWS exist, with `balance` each, loaded in order as far as the slots go. The handle
 * has a ledger's side.
 */
void world_create(struct world *w, const struct board_size *size, unsigned rows, const int64_t *balance);
void world_destroy(struct world *w);

/* board_balance_fn over the database. */
bool world_balance(void *db, uint64_t row, struct nano *ret);
/* One transaction: insert where the id is new, and only then charge every leg. */
void world_commit(struct world_db *db, const struct ticket_copy *batch, size_t n);

/*
 * Requests to the ledger (top-ups, refunds, budgets) have small ids that grow; edges' ids are larger than all
 * of them. Money of a request moves without a ticket when the row is not on the board.
 */
#define WORLD_REQUEST_MAX (1ULL << 32)
uint64_t world_last_request(struct world_db *db);
void world_commit_request(struct world_db *db, uint64_t id, uint64_t row, int64_t cost);

/* The ledger's round: collect, commit, give back. Returns how many tickets. */
size_t world_round(struct world *w);
/* A ledger that starts: sweep, then rounds until there is nothing left. */
void world_ledger_start(struct world *w);
/* A row's slot, loaded. */
uint32_t world_load(struct world *w, unsigned row);

/*
 * Invariants T1 and T2 at this instant, whoever is dead or in the middle of something. NULL: they hold; else
 * which one does not, for the report of a test.
 */
const char *world_broken(const struct world *w);
/* T4: nothing is live and available == balance. */
const char *world_unrest(const struct world *w);
/* How often, and with which cost, this id was booked. */
unsigned world_booked(const struct world *w, uint64_t id, struct world_booking *ret_last);

#endif
