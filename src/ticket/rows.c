#include "ticket/ledger_side_priv.h"
#include "ticket/move.h"

#include <assert.h>

/* ---- row → slot ---- */

static uint32_t
home_of(const struct board_ledger *l, uint64_t row)
{
	return (uint32_t)((row * 0x9e3779b97f4a7c15ULL) >> 32) & l->index_mask;
}

/* Where the row is, or the empty place where it would go. */
static uint32_t
place_of(const struct board_ledger *l, uint64_t row)
{
	uint32_t at = home_of(l, row);
	while (l->index[at] && l->row_of[l->index[at] - 1] != row)
		at = (at + 1) & l->index_mask;
	return at;
}

bool
row_slot(const struct board *b, uint64_t row, uint32_t *ret_slot)
{
	const struct board_ledger *l = b->ledger;
	uint32_t found = row ? l->index[place_of(l, row)] : 0;
	if (!found)
		return false;
	*ret_slot = found - 1;
	return true;
}

static void
row_put(struct board_ledger *l, uint64_t row, uint32_t slot)
{
	l->row_of[slot] = row;
	l->index[place_of(l, row)] = slot + 1;
}

/* Those behind the gap move up, so that no search stops before it should. */
static void
row_remove(struct board_ledger *l, uint64_t row)
{
	uint32_t gap = place_of(l, row), at = gap;
	l->row_of[l->index[gap] - 1] = 0;
	for (;;) {
		l->index[gap] = 0;
		uint32_t home;
		do {
			at = (at + 1) & l->index_mask;
			if (!l->index[at])
				return;
			home = home_of(l, l->row_of[l->index[at] - 1]);
		} while (((at - home) & l->index_mask) < ((at - gap) & l->index_mask));
		l->index[gap] = l->index[at];
		gap = at;
	}
}

/* The tables are new, and zero: what isn't written takes no memory. */
void
rows_find_again(struct board *b)
{
	struct board_ledger *l = b->ledger;
	for (uint32_t i = b->size.slots; i-- > 0;) {
		uint64_t row = slot_row(&b->slots[i]);
		uint32_t twin;
		if (slot_available(&b->slots[i]) == BOARD_CLOSED)
			l->closed[l->closed_count++] = i;
		else if (row && !row_slot(b, row, &twin))
			row_put(l, row, i);
	}
}

bool
board_find(const struct board *b, uint64_t row, uint32_t *ret_slot)
{
	assert(b->ledger);
	return row_slot(b, row, ret_slot);
}

/* ---- load and evict ---- */

static uint64_t
next_ledger_tag(struct board *b)
{
	between();
	return tag_pack(TICKET_INDEX_NONE, atomic_fetch_add(&b->shared->counter, 1) + 1);
}

void
board_set_balance(struct board *b, board_balance_fn *balance, void *arg)
{
	assert(b->ledger);
	b->ledger->balance = balance;
	b->ledger->balance_arg = arg;
}

/*
 * A booked ticket may keep nothing (cost = hold) and a credit keeps nothing before it is booked:
 * equality would not tell. So nothing is evicted while a ticket is between booking and freeing, or
 * may be.
 */
static bool
may_evict(const struct board_ledger *l)
{
	return l->balance && !l->claimed && !l->swept;
}

static bool
slot_evict(struct board *b, uint32_t slot)
{
	struct board_ledger *l = b->ledger;
	struct slot *s = &b->slots[slot];
	struct slot_value was = {.tag = slot_tag(s)};
	was.available = slot_available(s);
	struct nano balance;
	/* Equality means that no live ticket keeps anything here, because every hold is ≥ 1. */
	if (!l->balance(l->balance_arg, l->row_of[slot], &balance) || balance.v != was.available)
		return false;
	move_help(b, was.tag);
	struct slot_value is = {.available = BOARD_CLOSED, .tag = next_ledger_tag(b)};
	if (!slot_swap(s, was, is))
		return false;
	row_remove(l, l->row_of[slot]);
	l->closed[l->closed_count++] = slot;
	return true;
}

bool
board_evict(struct board *b, uint64_t row)
{
	assert(b->ledger);
	uint32_t slot;
	return may_evict(b->ledger) && row_slot(b, row, &slot) && slot_evict(b, slot);
}

/* A slot that moved since the hand was here last gets another round. */
static bool
evict_any(struct board *b)
{
	struct board_ledger *l = b->ledger;
	if (!may_evict(l))
		return false;
	for (uint64_t looks = 2ULL * b->size.slots; looks; looks--) {
		uint32_t slot = l->hand;
		l->hand = slot + 1 < b->size.slots ? slot + 1 : 0;
		uint64_t tag = slot_tag(&b->slots[slot]);
		if (l->passed_tag[slot] == tag && l->row_of[slot] && slot_evict(b, slot))
			return true;
		l->passed_tag[slot] = tag;
	}
	return false;
}

bool
board_load(struct board *b, uint64_t row, struct nano balance, uint32_t *ret_slot)
{
	struct board_ledger *l = b->ledger;
	assert(l && row && balance.v != BOARD_CLOSED);
	if (row_slot(b, row, ret_slot))
		return true;
	if (!l->closed_count && !evict_any(b))
		return false;
	uint32_t slot = l->closed[l->closed_count - 1];
	struct slot *s = &b->slots[slot];
	struct slot_value was = {.available = BOARD_CLOSED, .tag = slot_tag(s)};
	between();
	atomic_store_explicit(&s->row, row, memory_order_release);
	keep_order();
	struct slot_value is = {.available = balance.v, .tag = next_ledger_tag(b)};
	if (!slot_swap(s, was, is))
		return false; /* somebody moved on a closed slot: no honest process does */
	l->closed_count--;
	row_put(l, row, slot);
	*ret_slot = slot;
	return true;
}
