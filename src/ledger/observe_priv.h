/*
 * What others may see of the ledger, in memory that outlives it: observe.c, called from where things are done. Nothing without a tally. One process,
 * one thread.
 */
#ifndef LEDGER_OBSERVE_PRIV_H
#define LEDGER_OBSERVE_PRIV_H

#include "ticket/tally.h"

struct ledger;

struct observed {
	uint64_t due_ms; /* balances are read again */
	uint64_t store_due_ms; /* the store is examined again */
	uint32_t looked[BOARD_EDGES_MAX][BOARD_STATE_COUNT]; /* by the sweep that is under way */
};

/* Counters of ledgers that were killed over this board go on where they were. */
void observe_recall(struct ledger *l);
/* The tally has all that is in the store since this board began, whatever the ledger before was killed over. */
must_check bool observe_open(struct ledger *l);
/* l->batch is committed. */
void observe_batch(struct ledger *l, int64_t booking, uint64_t commit_us);
/* One ticket of a sweep over the board; index 0 begins it. */
void observe_ticket(struct ledger *l, uint32_t index);
void observe_swept(struct ledger *l);
/* Counts and gauges, at the end of each round. */
void observe_round(struct ledger *l, uint64_t now_ms);
/* What PostgreSQL says of itself, every minute; that it is not reached, at once. Between rounds. */
void observe_store(struct ledger *l, uint64_t now_ms);
/* House accounts' balances; *ret_customers: of all others together. False: the store failed. */
must_check bool observe_balances(struct ledger *l, int64_t ret_house[HOUSE_COUNT], int64_t *ret_customers);
/* As the supervisor tells; NULL: none does. */
const struct process_counters *observe_processes(const struct ledger *l);
/* Is it one that serves, or finishes what it has? */
bool observe_edge_runs(const struct ledger *l, uint32_t edge);
uint32_t observe_edges_running(const struct ledger *l);
/* A tally for another catalogue goes on with the same numbers. False: the store failed, and all is as it was. */
must_check bool observe_adopt(struct ledger *l, struct tally *t);

#endif
