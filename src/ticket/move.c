#include "ticket/move.h"

void
move_help(struct board *b, uint64_t tag)
{
	uint32_t index = tag_index(tag);
	if (index >= b->ticket_count) /* no ticket; or nonsense, since the word is shared */
		return;
	struct ticket *t = &b->tickets[index];
	uint64_t word = word_of(t);
	if (!word_pending(word) || word_seq(word) != tag_seq(tag))
		return;
	between();
	/* Failing is fine: then the owner has said more since, or another helper was here. */
	atomic_compare_exchange_strong(&t->word, &word, word & ~TICKET_PENDING);
}

enum moved
move(struct board *b, uint32_t index, uint64_t seq, const struct move_leg *leg, int64_t *ret_available)
{
	if (leg->slot >= b->size.slots)
		return GONE;
	struct slot *s = &b->slots[leg->slot];
	for (;;) {
		/* The tag first: it dates everything that is read after it. */
		struct slot_value was = {.tag = slot_tag(s)}, is = {.tag = tag_pack(index, seq)};
		uint64_t row = slot_row(s);
		was.available = slot_available(s);
		if (was.available == BOARD_CLOSED || row != leg->row)
			return GONE;
		bool overflow = __builtin_add_overflow(was.available, leg->delta, &is.available);
		overflow |= is.available == BOARD_CLOSED;
		if (leg->delta < 0 && (overflow || (is.available < 0 && !leg->below_zero))) {
			if (ret_available)
				*ret_available = was.available;
			return SHORT;
		}
		if (overflow) /* no honest balance is this large */
			return GONE;
		move_help(b, was.tag);
		if (likely(slot_swap(s, was, is)))
			return MOVED;
	}
}

bool
move_landed(const struct board *b, uint32_t index)
{
	const struct ticket *t = &b->tickets[index];
	uint64_t word = word_of(t);
	uint32_t slot = ticket_slot_at(t, word_leg(word));
	if (slot >= b->size.slots) /* a hint that no move can land on */
		return !word_pending(word);
	/*
	 * Tag first, word second: a helper clears the bit before it replaces the tag. Only a helper changes
	 * the word meanwhile.
	 */
	uint64_t tag = slot_tag(&b->slots[slot]);
	return tag == tag_pack(index, word_seq(word)) || !word_pending(word_of(t));
}

uint64_t
move_announce(struct ticket *t, enum ticket_kind kind, unsigned leg, unsigned p)
{
	uint64_t seq = (word_seq(word_of(t)) + 1) & TICKET_SEQ_MASK;
	say(t, word_pack(seq, kind, leg, p, true));
	return seq;
}

bool
move_undo(struct board *b, struct ticket *t, unsigned from, unsigned p)
{
	int64_t delta = ticket_hold_at(t, p) - ticket_hold_at(t, !p);
	for (unsigned k = from + 1; k-- > 0;) {
		struct move_leg leg = move_leg_of(t, k, delta);
		uint64_t seq = move_announce(t, TICKET_UNDO, k, p);
		if (move(b, ticket_index(b, t), seq, &leg, NULL) != MOVED)
			return false;
	}
	return true;
}
