#include "ticket/ledger_side_priv.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t
power_of_two(uint64_t at_least)
{
	uint32_t n = 2;
	while (n < at_least)
		n *= 2;
	return n;
}

void
ledger_side_destroy(struct board_ledger **l)
{
	if (!l || !*l)
		return;
	free((*l)->index);
	free((*l)->row_of);
	free((*l)->passed_tag);
	free((*l)->closed);
	free((*l)->marks);
	free((*l)->claims);
	free((*l)->queue);
	free(*l);
	*l = NULL;
}

/* At a ledger's start only, so there is nobody yet who could be told that memory is short. */
static void *
must_have(size_t count, size_t bytes)
{
	void *p = calloc(count, bytes);
	assert(p);
	return p;
}

static struct board_ledger *
ledger_side_create(const struct board *b)
{
	struct board_ledger *l = must_have(1, sizeof(*l));
	uint32_t places = power_of_two(2ULL * b->size.slots);
	l->index = must_have(places, sizeof(*l->index));
	l->index_mask = places - 1;
	l->row_of = must_have(b->size.slots, sizeof(*l->row_of));
	l->passed_tag = must_have(b->size.slots, sizeof(*l->passed_tag));
	l->closed = must_have(b->size.slots, sizeof(*l->closed));
	l->marks = must_have(b->ticket_count, sizeof(*l->marks));
	l->claims = must_have(b->ticket_count, sizeof(*l->claims));
	l->queue = must_have(b->ticket_count, sizeof(*l->queue));
	return l;
}

void
board_sweep_start(struct board *b)
{
	/*
	 * Started again in one process (a test, or a store that was opened again): as a new ledger,
	 * with nothing remembered.
	 */
	struct board_ledger *before = b->ledger;
	b->ledger = ledger_side_create(b);
	if (before)
		board_set_balance(b, before->balance, before->balance_arg);
	ledger_side_destroy(&before);
	rows_find_again(b);
	slab_sweep(b, b->size.edges, MARK_SWEPT); /* own tickets, as dead */
	for (uint32_t e = 0; e < b->size.edges; e++) {
		b->ledger->seen_dead[e] = board_dead(b, e); /* before the tickets are looked at */
		slab_sweep(b, e, MARK_SWEPT);
	}
}
