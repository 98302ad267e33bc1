#include "ticket/ledger_side_priv.h"
#include "ticket/move.h"

#include <assert.h>

static bool
find_slots(struct board *b, const struct board_rows *rows, uint32_t ret[TICKET_LEGS_MAX])
{
	assert(rows->count >= 1 && rows->count <= TICKET_LEGS_MAX);
	for (unsigned k = 0; k < rows->count; k++)
		if (!row_slot(b, rows->row[k], &ret[k]))
			return false;
	return true;
}

/*
 * A FREE ticket of the ledger's own, filled. NULL: a row is not on the board, or all are in use.
 */
static struct ticket *
ledger_ticket(struct board *b, uint64_t id, const struct board_rows *rows, int64_t hold, int64_t cost)
{
	uint32_t slots[TICKET_LEGS_MAX], i = b->ledger_first;
	assert(b->ledger && id);
	if (!find_slots(b, rows, slots))
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
	atomic_store_explicit(&t->legs, (uint8_t)rows->count, memory_order_relaxed);
	for (unsigned k = 0; k < rows->count; k++) {
		atomic_store_explicit(&t->row[k], rows->row[k], memory_order_relaxed);
		atomic_store_explicit(&t->slot[k], slots[k], memory_order_relaxed);
	}
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
board_credit_rows(struct board *b, uint64_t id, const struct board_rows *rows, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	struct ticket *t = ledger_ticket(b, id, rows, 0, -amount.v);
	if (!t)
		return false;
	*ret_index = ledger_ticket_settled(b, t, word_seq(word_of(t)) + 1);
	return true;
}

bool
board_credit_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	return board_credit_rows(b, id, &(struct board_rows){.row = {row}, .count = 1}, amount, ret_index);
}

/* As an edge takes (ticket.c), but for what it says at the end. */
static enum moved
debit_begin(struct board *b, struct ticket *t, bool below_zero, uint32_t *ret_index)
{
	uint64_t seq = 0;
	if (!t)
		return GONE;
	unsigned legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	for (unsigned k = 0; k < legs; k++) {
		struct move_leg leg = move_leg_of(t, k, -ticket_hold_at(t, 0));
		leg.below_zero = below_zero;
		seq = move_announce(t, TICKET_TAKE, k, 0);
		enum moved m = move(b, ticket_index(b, t), seq, &leg, NULL);
		if (m == MOVED)
			continue;
		bool undone = k == 0 || move_undo(b, t, k - 1, 0);
		assert(undone); /* a live ticket's slots stay open and its own */
		(void)undone;
		say_quiet(t, TICKET_FREE, 0);
		return m;
	}
	*ret_index = ledger_ticket_settled(b, t, seq);
	return MOVED;
}

enum moved
board_debit_rows(struct board *b, uint64_t id, const struct board_rows *rows, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	return debit_begin(b, ledger_ticket(b, id, rows, amount.v, amount.v), false, ret_index);
}

enum moved
board_debit_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	return board_debit_rows(b, id, &(struct board_rows){.row = {row}, .count = 1}, amount, ret_index);
}

enum moved
board_lower_begin(struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index)
{
	assert(amount.v > 0);
	return debit_begin(b, ledger_ticket(b, id, &(struct board_rows){.row = {row}, .count = 1}, amount.v, amount.v), true, ret_index);
}
