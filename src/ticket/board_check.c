#include "ticket/board_priv.h"
#include "ticket/move.h"

#include <stdlib.h>

/* Section 2, last column: what a ticket keeps away from available on one leg. */
static int64_t
keeps(const struct board *b, uint32_t index, unsigned leg)
{
	const struct ticket *t = &b->tickets[index];
	uint64_t word = word_of(t);
	unsigned at = word_leg(word), p = word_p(word);
	bool here = leg == at && move_landed(b, index);
	int64_t in_force = ticket_hold_at(t, p), other = ticket_hold_at(t, !p);
	switch (word_kind(word)) {
	case TICKET_TAKE:
	case TICKET_EXTEND:
		return leg < at || here ? in_force : other;
	case TICKET_UNDO:
		return leg > at || here ? other : in_force;
	case TICKET_HELD:
	case TICKET_SETTLED:
		return in_force;
	case TICKET_GIVE:
		return leg < at || here ? 0 : in_force - atomic_load_explicit(&t->cost, memory_order_relaxed);
	case TICKET_FREE:
		break;
	}
	return 0;
}

static void
add_keeps(const struct board *b, uint32_t index, int64_t *sum)
{
	const struct ticket *t = &b->tickets[index];
	uint64_t word = word_of(t);
	unsigned legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	if (word_kind(word) == TICKET_FREE || legs > TICKET_LEGS_MAX)
		return;
	for (unsigned k = 0; k < legs; k++)
		if (ticket_slot_at(t, k) < b->size.slots)
			sum[ticket_slot_at(t, k)] += keeps(b, index, k);
}

uint32_t
board_check(const struct board *b, board_balance_fn *balance, void *arg)
{
	int64_t *sum = calloc(b->size.slots, sizeof(*sum));
	uint32_t wrong = 0;
	if (!sum)
		return b->size.slots;
	for (uint32_t i = 0; i < b->ticket_count; i++)
		add_keeps(b, i, sum);
	for (uint32_t i = 0; i < b->size.slots; i++) {
		int64_t available = slot_available(&b->slots[i]);
		struct nano has;
		if (available != BOARD_CLOSED)
			wrong += !balance(arg, slot_row(&b->slots[i]), &has) || available != has.v - sum[i];
	}
	free(sum);
	return wrong;
}
