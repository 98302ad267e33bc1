/* What the ledger tells of the board. Kept out of the protocol's files: it changes nothing and holds nothing. */
#include "ticket/ledger_side_priv.h"
#include "ticket/tally.h"

static enum board_state
state_of(enum ticket_kind kind, bool answered)
{
	switch (kind) {
	case TICKET_FREE:
		return BOARD_STATE_FREE;
	case TICKET_TAKE:
	case TICKET_EXTEND:
	case TICKET_UNDO:
		return BOARD_STATE_RESERVING;
	case TICKET_HELD:
		return answered ? BOARD_STATE_ANSWERING : BOARD_STATE_WAITING;
	case TICKET_SETTLED:
		return BOARD_STATE_SETTLED;
	case TICKET_GIVE:
		return BOARD_STATE_GIVING;
	}
	return BOARD_STATE_FREE; /* seven of eight numbers are kinds */
}

void
board_look_at(const struct board *b, uint32_t index, struct board_look *ret)
{
	const struct ticket *t = &b->tickets[index];
	*ret = (struct board_look){.edge = ticket_edge(b, index)};
	if (index >= b->ledger_first)
		ret->edge = BOARD_EDGES_MAX;
	else if (board_slab_unused(b, ret->edge))
		return;
	uint64_t word = atomic_load_explicit(&t->word, memory_order_relaxed);
	if (word_kind(word) == TICKET_FREE)
		return;
	/* Once each, from under the owner's hands: any value will do for a picture of the moment. */
	ret->state = state_of(word_kind(word), *(const volatile uint32_t *)&t->facts.first_byte_ms != 0);
	ret->model = *(const volatile uint32_t *)&t->facts.model;
	ret->provider = *(const volatile uint32_t *)&t->facts.provider;
}

uint32_t
board_slots_used(const struct board *b)
{
	return b->ledger ? b->size.slots - b->ledger->closed_count : 0;
}
