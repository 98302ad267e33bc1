#include "ticket/end_reasons.h"
#include "ticket/ledger_side_priv.h"
#include "ticket/move.h"

#include <assert.h>

/* ---- the queue of tickets to look at ---- */

void
ticket_enqueue(struct board *b, uint32_t index)
{
	struct board_ledger *l = b->ledger;
	if (l->marks[index] & (MARK_QUEUED | MARK_QUARANTINED))
		return;
	uint64_t at = (uint64_t)l->queue_head + l->queue_count++;
	l->queue[at < b->ticket_count ? at : at - b->ticket_count] = index;
	l->marks[index] |= MARK_QUEUED;
}

static uint32_t
dequeue(struct board *b)
{
	struct board_ledger *l = b->ledger;
	uint32_t index = l->queue[l->queue_head];
	l->queue_head = l->queue_head + 1 < b->ticket_count ? l->queue_head + 1 : 0;
	l->queue_count--;
	l->marks[index] &= (uint8_t)~MARK_QUEUED;
	return index;
}

static void
forget_swept(struct board_ledger *l, uint32_t index)
{
	if (l->marks[index] & MARK_SWEPT)
		l->swept--;
	l->marks[index] &= (uint8_t)~MARK_SWEPT;
}

void
ticket_quarantine(struct board *b, uint32_t index)
{
	struct board_ledger *l = b->ledger;
	if (l->marks[index] & MARK_QUARANTINED)
		return;
	forget_swept(l, index);
	l->marks[index] |= MARK_QUARANTINED;
	l->quarantined++;
}

/* ---- one copy, checked ---- */

_Static_assert(sizeof(struct ticket_facts) % 8 == 0, "facts are whole words");
_Static_assert(offsetof(struct ticket, facts) % 8 == 0, "facts begin at a word");

static void
copy_out(const struct board *b, uint32_t index, struct ticket_copy *ret, struct ticket_claim *claim)
{
	const struct ticket *t = &b->tickets[index];
	unsigned p = word_p(word_of(t));
	*ret = (struct ticket_copy){.index = index};
	ret->legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	ret->id = atomic_load_explicit(&t->id, memory_order_relaxed);
	ret->cost.v = atomic_load_explicit(&t->cost, memory_order_relaxed);
	ret->hold.v = ticket_hold_at(t, p);
	for (unsigned k = 0; k < TICKET_LEGS_MAX; k++) {
		bool used = k < ret->legs;
		ret->row[k] = claim->row[k] = used ? ticket_row_at(t, k) : 0;
		claim->slot[k] = used ? ticket_slot_at(t, k) : 0;
	}
	claim->legs = ret->legs;
	/* Word by word and once each: the owner may be writing (board_held_copy), or may be mad. */
	const volatile uint64_t *from = (const volatile uint64_t *)(const volatile void *)&t->facts;
	uint64_t *to = (uint64_t *)(void *)&ret->facts;
	for (size_t i = 0; i < sizeof(struct ticket_facts) / sizeof(uint64_t); i++)
		to[i] = from[i];
}

static bool
legs_are_own(const struct board *b, const struct ticket_claim *c)
{
	if (c->legs < 1 || c->legs > TICKET_LEGS_MAX)
		return false;
	for (unsigned k = 0; k < c->legs; k++) {
		if (c->slot[k] >= b->size.slots || !c->row[k] || b->ledger->row_of[c->slot[k]] != c->row[k])
			return false;
		for (unsigned j = 0; j < k; j++)
			if (c->row[j] == c->row[k])
				return false;
	}
	return true;
}

static bool
money_is_possible(const struct board *b, const struct ticket_copy *c)
{
	if (board_is_ledger_ticket(b, c->index) && !c->hold.v)
		return c->cost.v < 0 && c->cost.v > INT64_MIN;
	return c->hold.v >= 1 && c->cost.v >= 0 && c->cost.v <= c->hold.v;
}

bool
ticket_claim_copy(struct board *b, uint32_t index, struct ticket_copy *ret)
{
	struct board_ledger *l = b->ledger;
	struct ticket_claim claim;
	copy_out(b, index, ret, &claim);
	if (!legs_are_own(b, &claim) || !money_is_possible(b, ret) || !ret->id)
		return false;
	claim.give = ret->hold.v - ret->cost.v;
	l->claims[index] = claim;
	l->claimed += !(l->marks[index] & MARK_CLAIMED);
	l->marks[index] |= MARK_CLAIMED;
	return true;
}

/* ---- collect ---- */

static void
drain_leaf(struct board *b, uint32_t edge, uint32_t leaf)
{
	between();
	uint64_t bits = atomic_exchange(&slab_leaves(b, board_slab(b, edge))[leaf], 0);
	for (; bits; bits &= bits - 1) {
		uint32_t place = leaf * 64 + (uint32_t)__builtin_ctzll(bits);
		if (place < b->size.tickets_per_edge)
			ticket_enqueue(b, edge * b->size.tickets_per_edge + place);
	}
}

/* Section 8: the summary, then the leaf, then (when it is dequeued) the ticket. */
static void
drain_slab(struct board *b, uint32_t edge)
{
	struct slab *s = board_slab(b, edge);
	for (uint32_t i = 0; i < b->summaries; i++) {
		between();
		if (!atomic_load_explicit(&slab_summaries(s)[i], memory_order_relaxed))
			continue; /* what comes now is seen next time, at the latest before sleeping */
		uint64_t bits = atomic_exchange(&slab_summaries(s)[i], 0);
		for (; bits; bits &= bits - 1) {
			uint32_t leaf = i * 64 + (uint32_t)__builtin_ctzll(bits);
			if (leaf < b->leaves)
				drain_leaf(b, edge, leaf);
		}
	}
}

static void
find_work(struct board *b)
{
	for (uint32_t e = 0; e < b->size.edges; e++) {
		uint32_t dead = board_dead(b, e);
		if (dead != b->ledger->seen_dead[e]) {
			slab_sweep(b, e, 0);
			b->ledger->seen_dead[e] = dead;
		}
		drain_slab(b, e);
	}
}

size_t
board_collect(struct board *b, struct ticket_copy *out, size_t max, uint32_t *ret_quarantined)
{
	struct board_ledger *l = b->ledger;
	assert(l);
	find_work(b);
	size_t n = 0;
	while (n < max && l->queue_count) {
		uint32_t index = dequeue(b);
		if (word_kind(word_of(&b->tickets[index])) != TICKET_SETTLED) {
			forget_swept(l, index); /* looking is always harmless */
			continue;
		}
		bool out_already = (l->marks[index] & MARK_CLAIMED) && !board_is_ledger_ticket(b, index);
		if (out_already)
			continue;
		if (ticket_claim_copy(b, index, &out[n]))
			n++;
		else
			ticket_quarantine(b, index);
	}
	if (ret_quarantined)
		*ret_quarantined = l->quarantined;
	l->quarantined = 0;
	return n;
}

/* ---- after the commit ---- */

void
board_give_back(struct board *b, uint32_t index)
{
	struct board_ledger *l = b->ledger;
	assert(l && index < b->ticket_count && (l->marks[index] & MARK_CLAIMED));
	struct ticket *t = &b->tickets[index];
	const struct ticket_claim *c = &l->claims[index];
	unsigned p = word_p(word_of(t));
	for (unsigned k = 0; k < c->legs && c->give; k++) {
		struct move_leg leg = {.slot = c->slot[k], .row = c->row[k], .delta = c->give};
		uint64_t seq = move_announce(t, TICKET_GIVE, k, p);
		enum moved m = move(b, index, seq, &leg, NULL);
		assert(m == MOVED); /* a live ticket's slots stay open and its own, and what is given back is never negative */
		(void)m;
	}
	say_quiet(t, TICKET_FREE, 0);
	forget_swept(l, index);
	l->marks[index] &= (uint8_t)~MARK_CLAIMED;
	l->claimed--;
}

void
board_credit_drop(struct board *b, uint32_t index)
{
	assert(board_is_ledger_ticket(b, index));
	b->ledger->claims[index].give = 0;
	board_give_back(b, index);
}

bool
board_held_copy(const struct board *b, uint32_t index, struct ticket_copy *ret)
{
	struct ticket_claim unused;
	if (index >= b->ledger_first || board_slab_unused(b, index / b->size.tickets_per_edge) || word_kind(word_of(&b->tickets[index])) != TICKET_HELD)
		return false;
	copy_out(b, index, ret, &unused);
	return ret->legs >= 1 && ret->legs <= TICKET_LEGS_MAX;
}

/* ---- sleeping ---- */

static bool
there_is_work(const struct board *b)
{
	if (b->ledger->queue_count)
		return true;
	for (uint32_t e = 0; e < b->size.edges; e++) {
		if (board_dead(b, e) != b->ledger->seen_dead[e])
			return true;
		for (uint32_t i = 0; i < b->summaries; i++) {
			between();
			if (atomic_load(&slab_summaries(board_slab(b, e))[i]))
				return true;
		}
	}
	return false;
}

bool
board_sleep_begin(struct board *b)
{
	assert(b->ledger);
	between();
	/* Sequentially consistent, as the edge's bits are: one of the two sees the other. */
	atomic_store(&b->shared->sleeping, 1);
	if (!there_is_work(b))
		return true;
	board_sleep_end(b);
	return false;
}

void
board_sleep_end(struct board *b)
{
	between();
	atomic_store(&b->shared->sleeping, 0);
}
