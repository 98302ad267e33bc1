#include "ticket/ticket.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "ticket/move.h"
#include "ticket/ticket_id.h"

/* Private memory of one edge. */
struct ticket_desk {
	struct board *board;
	struct slab *slab;
	uint32_t edge, incarnation;
	uint32_t first, count; /* tickets of the own slab */
	int wake_fd;
	uint32_t free_count; /* indexes known to be FREE: a stack, so that warm tickets are used again */
	uint32_t ring_head, ring_count; /* handed in, oldest first, not yet seen FREE */
	uint32_t collected; /* handed in since round number `rounds` ended */
	uint64_t rounds;
	uint32_t lists[]; /* stack, then ring: `count` each */
};

/*
 * Tickets that the ledger keeps (quarantined) must not hide those behind them: how many a pick looks at
 * when it knows of no free one.
 */
enum { PICK_LOOKS = 64 };

size_t
ticket_desk_bytes(const struct board *b)
{
	return sizeof(struct ticket_desk) + (size_t)b->size.tickets_per_edge * 2 * sizeof(uint32_t);
}

/* Place number `at` of the ring, from its head; at < count. */
static uint32_t *
ring_place(struct ticket_desk *d, uint32_t at)
{
	uint32_t place = d->ring_head + at;
	return &d->lists[d->count + (place < d->count ? place : place - d->count)];
}

static void
ring_append(struct ticket_desk *d, uint32_t index)
{
	assert(d->ring_count < d->count);
	*ring_place(d, d->ring_count++) = index;
}

static uint32_t
ring_take(struct ticket_desk *d)
{
	uint32_t index = *ring_place(d, 0);
	d->ring_head = d->ring_head + 1 < d->count ? d->ring_head + 1 : 0;
	d->ring_count--;
	return index;
}

static bool
is_free(const struct ticket_desk *d, uint32_t index)
{
	return word_kind(word_of(&d->board->tickets[index])) == TICKET_FREE;
}

struct ticket_desk *
ticket_desk_open(void *memory, struct board *b, uint32_t edge, uint32_t incarnation)
{
	assert(edge < b->size.edges && incarnation > board_dead(b, edge));
	struct ticket_desk *d = memory;
	*d = (struct ticket_desk){.board = b, .slab = board_slab(b, edge), .wake_fd = -1};
	d->edge = edge;
	d->incarnation = incarnation;
	d->count = b->size.tickets_per_edge;
	d->first = edge * d->count;
	between();
	atomic_store_explicit(&d->slab->incarnation, incarnation, memory_order_release);
	/* What the incarnations before left is the ledger's until it reads FREE. */
	for (uint32_t i = d->count; i-- > 0;) {
		if (is_free(d, d->first + i))
			d->lists[d->free_count++] = d->first + i;
		else
			ring_append(d, d->first + i);
	}
	return d;
}

void
board_set_wake_fd(struct ticket_desk *d, int fd)
{
	d->wake_fd = fd;
}

uint64_t
ticket_next_id(struct ticket_desk *d, uint64_t now_ms)
{
	struct board_shared *shared = d->board->shared;
	struct ticket_id_range range = {.node = d->board->size.node, .writer = d->edge};
	range.ceiling_ms = atomic_load_explicit(&shared->id_ceiling_ms, memory_order_acquire);
	range.floor_ms = atomic_load_explicit(&shared->id_floor_ms, memory_order_relaxed);
	uint64_t prev = atomic_load_explicit(&d->slab->last_id, memory_order_relaxed);
	uint64_t id = ticket_id_next(&range, prev, now_ms);
	if (!id)
		return 0;
	/* Before anybody sees the id: the next incarnation goes on from here. */
	atomic_store_explicit(&d->slab->last_id, id, memory_order_relaxed);
	keep_order();
	return id;
}

struct ticket *
ticket_pick(struct ticket_desk *d)
{
	uint32_t looks = d->ring_count < PICK_LOOKS ? d->ring_count : PICK_LOOKS;
	for (; looks; looks--) {
		bool freed = is_free(d, *ring_place(d, 0));
		if (!freed && d->free_count)
			break;
		uint32_t index = ring_take(d);
		if (freed) {
			d->lists[d->free_count++] = index;
			break;
		}
		ring_append(d, index);
	}
	if (!d->free_count)
		return NULL;
	struct ticket *t = &d->board->tickets[d->lists[--d->free_count]];
	/* To its end: a newer ledger finds zero in fields that this build doesn't know. */
	memset((char *)t + offsetof(struct ticket, facts), 0, TICKET_BYTES - offsetof(struct ticket, facts));
	return t;
}

void
ticket_unpick(struct ticket_desk *d, struct ticket *t)
{
	uint32_t index = ticket_index(d->board, t);
	assert(index - d->first < d->count && d->free_count < d->count && is_free(d, index));
	d->lists[d->free_count++] = index;
}

static void
fill(const struct ticket_desk *d, struct ticket *t, const struct ticket_reservation *r)
{
	atomic_store_explicit(&t->hold[0], r->hold.v, memory_order_relaxed);
	atomic_store_explicit(&t->hold[1], 0, memory_order_relaxed);
	atomic_store_explicit(&t->cost, 0, memory_order_relaxed);
	atomic_store_explicit(&t->id, r->id, memory_order_relaxed);
	atomic_store_explicit(&t->owner, d->incarnation, memory_order_relaxed);
	between();
	atomic_store_explicit(&t->legs, (uint8_t)r->leg_count, memory_order_relaxed);
	for (unsigned k = 0; k < r->leg_count; k++) {
		atomic_store_explicit(&t->row[k], r->legs[k].row, memory_order_relaxed);
		atomic_store_explicit(&t->slot[k], r->legs[k].slot, memory_order_relaxed);
	}
	between();
}

/*
 * Take `more` on every leg, announced as `kind` with p. On SHORT and GONE all legs are as before
 * and the ticket is HELD with !p or FREE.
 */
static enum moved
take_all(struct ticket_desk *d, struct ticket *t, enum ticket_kind kind, unsigned p, int64_t *ret_available)
{
	unsigned legs = atomic_load_explicit(&t->legs, memory_order_relaxed);
	int64_t delta = ticket_hold_at(t, !p) - ticket_hold_at(t, p);
	for (unsigned k = 0; k < legs; k++) {
		struct move_leg leg = move_leg_of(t, k, delta);
		uint64_t seq = move_announce(t, kind, k, p);
		enum moved m = move(d->board, ticket_index(d->board, t), seq, &leg, ret_available);
		if (m == MOVED)
			continue;
		if (k > 0) {
			bool undone = move_undo(d->board, t, k - 1, p);
			assert(undone); /* a live ticket's slots stay open and its own */
			(void)undone;
		}
		bool held = ticket_hold_at(t, !p);
		say_quiet(t, held ? TICKET_HELD : TICKET_FREE, held ? !p : 0);
		return m;
	}
	say_quiet(t, TICKET_HELD, p);
	return MOVED;
}

enum moved
ticket_reserve(struct ticket_desk *d, struct ticket *t, const struct ticket_reservation *r,
	struct nano *ret_available)
{
	assert(r->leg_count >= 1 && r->leg_count <= TICKET_LEGS_MAX && r->hold.v >= 1 && r->id);
	assert(word_kind(word_of(t)) == TICKET_FREE);
	int64_t available = 0;
	fill(d, t, r);
	enum moved m = take_all(d, t, TICKET_TAKE, 0, &available);
	if (m == SHORT && ret_available)
		ret_available->v = available;
	return m;
}

enum moved
ticket_extend(struct ticket_desk *d, struct ticket *t, struct nano new_hold)
{
	uint64_t word = word_of(t);
	unsigned p = !word_p(word);
	assert(word_kind(word) == TICKET_HELD && new_hold.v > ticket_hold_at(t, !p));
	between();
	atomic_store_explicit(&t->hold[p], new_hold.v, memory_order_relaxed);
	return take_all(d, t, TICKET_EXTEND, p, NULL);
}

struct nano
ticket_hold(const struct ticket *t)
{
	return (struct nano){ticket_hold_at(t, word_p(word_of(t)))};
}

void
ticket_state_cost(struct ticket *t, struct nano cost)
{
	assert(word_kind(word_of(t)) == TICKET_HELD && cost.v >= 0 && cost.v <= ticket_hold(t).v);
	keep_order();
	between();
	atomic_store_explicit(&t->cost, cost.v, memory_order_relaxed);
	keep_order();
}

/* Full means that a wake-up is waiting already; any other failure is covered by the ledger's time-out. */
static void
wake_ledger(const struct ticket_desk *d)
{
	between();
	if (d->wake_fd >= 0)
		(void)!write(d->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

/* Section 8: SETTLED, leaf, summary, sleeping, in this order. */
static void
hand_in(struct ticket_desk *d, uint32_t place)
{
	struct board *b = d->board;
	uint32_t leaf = place / 64;
	between();
	atomic_fetch_or(&slab_leaves(b, d->slab)[leaf], 1ULL << place % 64);
	between();
	atomic_fetch_or(&slab_summaries(d->slab)[leaf / 64], 1ULL << leaf % 64);
	between();
	if (!atomic_load(&b->shared->sleeping))
		return;
	between();
	if (atomic_exchange(&b->shared->sleeping, 0))
		wake_ledger(d);
}

void
board_want_round(struct ticket_desk *d)
{
	_Atomic uint32_t *wanted = &d->board->shared->wanted;
	if (!atomic_load(wanted) && !atomic_exchange(wanted, 1))
		wake_ledger(d);
}

/* Not by the ring: in it are those as well that have come back and have not been looked at. */
static void
count_collected(struct ticket_desk *d)
{
	uint64_t rounds = atomic_load_explicit(&d->board->shared->rounds, memory_order_relaxed);
	d->collected = rounds == d->rounds ? d->collected + 1 : 1;
	d->rounds = rounds;
	if (d->collected >= TICKETS_COLLECTED)
		board_want_round(d);
}

void
ticket_settle(struct ticket_desk *d, struct ticket *t)
{
	uint64_t word = word_of(t);
	uint32_t index = ticket_index(d->board, t);
	assert(word_kind(word) == TICKET_HELD && index - d->first < d->count);
	say_quiet(t, TICKET_SETTLED, word_p(word));
	ring_append(d, index);
	hand_in(d, index - d->first);
	count_collected(d);
}

uint64_t
ticket_seq(const struct ticket *t)
{
	return word_seq(word_of(t));
}

bool
ticket_booked(const struct ticket *t, uint64_t seq)
{
	uint64_t word = word_of(t);
	return word_seq(word) != seq || word_kind(word) != TICKET_SETTLED;
}

uint32_t
ticket_desk_in_flight(const struct ticket_desk *d)
{
	uint32_t in_flight = 0;
	for (uint32_t i = 0, at = d->ring_head; i < d->ring_count; i++, at = at + 1 < d->count ? at + 1 : 0)
		in_flight += !is_free(d, d->lists[d->count + at]);
	return in_flight;
}
