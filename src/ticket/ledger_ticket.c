#include "ticket/ledger_side_priv.h"
#include "ticket/move.h"

#include <assert.h>

/*
 * A FREE ticket of the ledger's own, filled. NULL: the row is not on the board, or all are in use.
 */
static struct ticket *
ledger_ticket(struct board *b, uint64_t id, uint64_t row, int64_t hold, int64_t cost)
{
	uint32_t slot, i = b->ledger_first;
	assert(b->ledger && id);
	if (!row_slot(b, row, &slot))
		return NULL;
	while (i < b->ticket_count &&
		((b->ledger->marks[i] & MARK_QUARANTINED) || word_kind(word_of(&b->tickets[i])) != TICKET_FREE))
		i++;
	if (i == b->ticket_count)
		return NULL;
	struct ticket *t = &b->tickets[i];
	atomic_store_explicit(&t->hold[0], hold, memory_order_relaxed);
	atomic_store_explicit(&t->hold[1], 0, memory_order_relaxed);
	atomic_store_explicit(&t->cost, cost, memory_order_relaxed);
	between();
	atomic_store_explicit(&t->id, id, memory_order_relaxed);
	atomic_store_explicit(&t->legs, 1, memory_order_relaxed);
	atomic_store_explicit(&t->row[0], row, memory_order_relaxed);
	atomic_store_explicit(&t->slot[0], slot, memory_order_relaxed);
	between();
	return t;
}

/*
 * SETTLED: claimed at once, since the caller may book it without asking board_collect(), and
 * queued, since it may not.
 */
static uint32_t
ledger_ticket_settled(struct board *b, struct ticket *t, uint64_t seq)
{
	uint32_t index = ticket_index(b, t);
	struct ticket_copy copy;
	say(t, word_pack(seq, TICKET_SETTLED, 0, 0, false));
	bool sane = ticket_claim_copy(b, index, &copy);
	assert(sane);
	(void)sane;
	ticket_enqueue(b, index);
	return index;
}

bool
board_credit_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	struct ticket *t = ledger_ticket(b, id, row, 0, -amount.v);
	if (!t)
		return false;
	*ret_index = ledger_ticket_settled(b, t, word_seq(word_of(t)) + 1);
	return true;
}

static enum moved
debit_begin(struct board *b, struct ticket *t, bool below_zero, uint32_t *ret_index)
{
	if (!t)
		return GONE;
	struct move_leg leg = move_leg_of(t, 0, -ticket_hold_at(t, 0));
	leg.below_zero = below_zero;
	uint64_t seq = move_announce(t, TICKET_TAKE, 0, 0);
	enum moved m = move(b, ticket_index(b, t), seq, &leg, NULL);
	if (m == MOVED)
		*ret_index = ledger_ticket_settled(b, t, seq);
	else
		say_quiet(t, TICKET_FREE, 0);
	return m;
}

enum moved
board_debit_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	return debit_begin(b, ledger_ticket(b, id, row, amount.v, amount.v), false, ret_index);
}

enum moved
board_lower_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	return debit_begin(b, ledger_ticket(b, id, row, amount.v, amount.v), true, ret_index);
}
