/* What the ledger tells of the board. Kept out of the protocol's files: it changes nothing and holds nothing. */
#include "ticket/ledger_side_priv.h"
#include "ticket/tally.h"

#include <stdlib.h>

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
	ret->lane = *(const volatile uint16_t *)&t->facts.lane;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* What the dead have written may be anything; these are numbers that are looked up. */
size_t
board_keys_running(const struct board *b, uint32_t edge, uint32_t incarnation, uint64_t *ret_keys, size_t max)
{
	size_t count = 0, unique = 0;
	uint32_t first = edge * b->size.tickets_per_edge;
	for (uint32_t i = first; i < first + b->size.tickets_per_edge && count < max; i++) {
		const struct ticket *t = &b->tickets[i];
		enum ticket_kind kind = word_kind(atomic_load_explicit(&t->word, memory_order_acquire));
		bool runs = kind == TICKET_TAKE || kind == TICKET_HELD || kind == TICKET_EXTEND || kind == TICKET_UNDO;
		if (runs && atomic_load_explicit(&t->owner, memory_order_relaxed) == incarnation)
			ret_keys[count++] = t->facts.key;
	}
	if (count)
		qsort(ret_keys, count, sizeof *ret_keys, by_number);
	for (size_t i = 0; i < count; i++)
		if (ret_keys[i] && (!unique || ret_keys[unique - 1] != ret_keys[i]))
			ret_keys[unique++] = ret_keys[i];
	return unique;
}

uint32_t
board_slots_used(const struct board *b)
{
	return b->ledger ? b->size.slots - b->ledger->closed_count : 0;
}
