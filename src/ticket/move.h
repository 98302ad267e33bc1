/*
 * The one way in which `available` changes, and what follows from it. Edge and ledger.
 * docs/ticket-protocol.md, sections 4 and 7.
 */
#ifndef TICKET_MOVE_H
#define TICKET_MOVE_H

#include "ticket/board_priv.h"

/* One leg of a move: which slot must be whose, and by how much it changes. */
struct move_leg {
	uint32_t slot;
	uint64_t row;
	int64_t delta;
	bool below_zero; /* the ledger lowers a budget: never SHORT */
};

/*
 * Change available, leaving (index, seq) as the mover's name; the ticket has announced this seq.
 * ret_available: on SHORT, may be NULL.
 */
must_check enum moved move(
	struct board *b, uint32_t index, uint64_t seq, const struct move_leg *leg, int64_t *ret_available);

/* Mark the mover whom this tag names as done. Always before the tag is replaced. */
void move_help(struct board *b, uint64_t tag);

/* Has the pending move of this ticket landed? Only of use when its owner is dead or oneself. */
must_check bool move_landed(const struct board *b, uint32_t index);

/* Announce the next move of a ticket: the next sequence number, which is returned. */
uint64_t move_announce(struct ticket *t, enum ticket_kind kind, unsigned leg, unsigned p);

/*
 * Give hold[p] − hold[!p] back, from leg `from` down to leg 0. False: a slot was not the ticket's
 * own, which no honest process makes happen. The ticket is left announced; the caller says what it
 * is now.
 */
must_check bool move_undo(struct board *b, struct ticket *t, unsigned from, unsigned p);

/* The hold whose index is p. */
static inline int64_t
ticket_hold_at(const struct ticket *t, unsigned p)
{
	return atomic_load_explicit(&t->hold[p & 1], memory_order_relaxed);
}

static inline uint64_t
ticket_row_at(const struct ticket *t, unsigned leg)
{
	return atomic_load_explicit(&t->row[leg & 3], memory_order_relaxed);
}

static inline uint32_t
ticket_slot_at(const struct ticket *t, unsigned leg)
{
	return atomic_load_explicit(&t->slot[leg & 3], memory_order_relaxed);
}

static inline struct move_leg
move_leg_of(const struct ticket *t, unsigned leg, int64_t delta)
{
	return (struct move_leg){.slot = ticket_slot_at(t, leg), .row = ticket_row_at(t, leg), .delta = delta};
}

#endif
