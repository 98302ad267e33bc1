/*
 * What the ledger knows about the board in its own memory: which row has which slot, which tickets
 * are queued or collected. The ledger's process only; made by board_sweep_start(), gone with
 * board_detach(). Nothing here is needed after a death: the sweep finds it again.
 */
#ifndef TICKET_LEDGER_SIDE_PRIV_H
#define TICKET_LEDGER_SIDE_PRIV_H

#include "ticket/board_priv.h"

/* What is known about one ticket; OR-ed. */
enum ticket_mark {
	MARK_QUEUED = 1, /* in the queue: look at it */
	MARK_CLAIMED = 2, /* copied out to be booked; claim holds what will be given back */
	MARK_QUARANTINED = 4, /* failed the checks: stays as it is */
	MARK_SWEPT = 8, /* SETTLED before this ledger started: the ledger before may have booked it */
};

/*
 * Taken from the copy that is booked, never again from shared memory: what a collected ticket gives
 * back, and where.
 */
struct ticket_claim {
	int64_t give;
	uint64_t row[TICKET_LEGS_MAX];
	uint32_t slot[TICKET_LEGS_MAX];
	uint8_t legs;
};

struct board_ledger {
	board_balance_fn *balance;
	void *balance_arg;

	uint32_t *index, index_mask; /* row → slot + 1: open addressing, 0 is empty */
	uint64_t *row_of; /* by slot; 0: closed */
	uint64_t *passed_tag; /* by slot: its tag when the hand came by */
	uint32_t *closed, closed_count; /* stack of closed slots */
	uint32_t hand;

	uint32_t seen_dead[BOARD_EDGES_MAX];
	uint8_t *marks; /* by ticket: enum ticket_mark */
	struct ticket_claim *claims; /* by ticket */
	uint32_t *queue, queue_head, queue_count;
	uint32_t claimed, swept; /* tickets with these marks */
	uint32_t quarantined; /* not yet reported */
};

void ledger_side_destroy(struct board_ledger **l);

/* The rows' half (rows.c). */
void rows_find_again(struct board *b);
bool row_slot(const struct board *b, uint64_t row, uint32_t *ret_slot);

/* The tickets' half (hand_in.c). */
void ticket_enqueue(struct board *b, uint32_t index);
void ticket_quarantine(struct board *b, uint32_t index);
/* Copy once, check; the claim is made from the copy. False: the ticket fails the checks. */
must_check bool ticket_claim_copy(struct board *b, uint32_t index, struct ticket_copy *ret);

/*
 * recover.c: bring a ticket whose owner is dead to FREE or SETTLED. False: its fields make no
 * sense, nothing was moved on their account.
 */
must_check bool ticket_recover(struct board *b, uint32_t index);
/*
 * Everything on one edge's slab: what is SETTLED is queued, what is dead is resolved first. `mark`
 * is added to what is queued.
 */
void slab_sweep(struct board *b, uint32_t edge, uint8_t mark);

#endif
