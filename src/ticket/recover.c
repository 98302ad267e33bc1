#include "ticket/end_reasons.h"
#include "ticket/ledger_side_priv.h"
#include "ticket/move.h"

#include <assert.h>

/*
 * Whether moves can be made on account of these fields. The slots are not asked: a leg that was not reached
 * may have a hint out of range, and the move asks where it matters.
 */
static bool
fields_make_sense(const struct ticket *t, uint64_t word)
{
	unsigned legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	return legs >= 1 && legs <= TICKET_LEGS_MAX && word_leg(word) < legs && ticket_hold_at(t, 0) >= 0 &&
		ticket_hold_at(t, 1) >= 0;
}

static void
interrupted(struct board *b, struct ticket *t, unsigned p)
{
	if (ticket_index(b, t) < b->ledger_first)
		t->facts.end_reason = END_INTERRUPTED;
	say_quiet(t, TICKET_SETTLED, p);
}

/*
 * Go back to hold[!p] from leg `last` (−1: all legs are there already), then say what the ticket
 * is.
 */
static bool
go_back(struct board *b, struct ticket *t, int last, unsigned p)
{
	if (last >= 0 && !move_undo(b, t, (unsigned)last, p))
		return false;
	if (ticket_hold_at(t, !p))
		interrupted(b, t, !p);
	else
		say_quiet(t, TICKET_FREE, 0);
	return true;
}

/* The ledger before booked it: the rest of what it gave back. */
static bool
go_on_giving(struct board *b, uint32_t index, unsigned next, unsigned p)
{
	struct ticket *t = &b->tickets[index];
	unsigned legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	int64_t give = ticket_hold_at(t, p) - atomic_load_explicit(&t->cost, memory_order_relaxed);
	for (; next < legs; next++) {
		struct move_leg leg = move_leg_of(t, next, give);
		uint64_t seq = move_announce(t, TICKET_GIVE, next, p);
		if (move(b, index, seq, &leg, NULL) != MOVED)
			return false;
	}
	say_quiet(t, TICKET_FREE, 0);
	return true;
}

/* The table of section 7, for a move that was announced. */
static bool
resolve_move(struct board *b, uint32_t index, uint64_t word)
{
	struct ticket *t = &b->tickets[index];
	int leg = (int)word_leg(word), legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	unsigned p = word_p(word);
	bool landed = move_landed(b, index);
	switch (word_kind(word)) {
	case TICKET_EXTEND:
		if (landed && leg == legs - 1) {
			interrupted(b, t, p);
			return true;
		}
		return go_back(b, t, landed ? leg : leg - 1, p);
	case TICKET_TAKE:
		return go_back(b, t, landed ? leg : leg - 1, p);
	case TICKET_UNDO:
		return go_back(b, t, landed ? leg - 1 : leg, p);
	case TICKET_GIVE:
		return go_on_giving(b, index, (unsigned)(landed ? leg + 1 : leg), p);
	case TICKET_FREE:
	case TICKET_HELD:
	case TICKET_SETTLED:
		break;
	}
	return false;
}

bool
ticket_recover(struct board *b, uint32_t index)
{
	struct ticket *t = &b->tickets[index];
	uint64_t word = word_of(t);
	enum ticket_kind kind = word_kind(word);
	if (kind == TICKET_FREE || kind == TICKET_SETTLED)
		return true;
	if (!fields_make_sense(t, word))
		return false;
	if (kind != TICKET_HELD)
		return resolve_move(b, index, word);
	interrupted(b, t, word_p(word));
	return true;
}

/*
 * Is this ticket nobody's but the ledger's? The word first: while it reads FREE the owner is about to be
 * written, and what is read then may be a dead one's on a ticket that a living edge takes next.
 */
static bool
is_ownerless(const struct ticket *t, uint32_t dead)
{
	enum ticket_kind kind = word_kind(word_of(t));
	between();
	uint32_t owner = atomic_load_explicit(&t->owner, memory_order_relaxed);
	return kind == TICKET_GIVE || (kind != TICKET_FREE && owner <= dead);
}

void
slab_sweep(struct board *b, uint32_t edge, uint8_t mark)
{
	bool own = edge == b->size.edges;
	uint32_t dead = own ? UINT32_MAX : board_dead(b, edge);
	uint32_t first = own ? b->ledger_first : edge * b->size.tickets_per_edge;
	uint32_t count = own ? BOARD_LEDGER_TICKETS : b->size.tickets_per_edge;
	if (!own && board_slab_unused(b, edge))
		return;
	for (uint32_t i = first; i < first + count; i++) {
		const struct ticket *t = &b->tickets[i];
		uint8_t *marks = &b->ledger->marks[i];
		if (*marks & (MARK_QUARANTINED | MARK_CLAIMED))
			continue;
		if (is_ownerless(t, dead) && !ticket_recover(b, i))
			ticket_quarantine(b, i);
		bool known = *marks & (MARK_QUARANTINED | MARK_QUEUED);
		if (known || word_kind(word_of(t)) != TICKET_SETTLED)
			continue;
		*marks |= mark;
		b->ledger->swept += mark == MARK_SWEPT;
		ticket_enqueue(b, i);
	}
}
