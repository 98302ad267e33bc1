/*
 * How the board lies in memory, and every way in which this folder touches shared words. Edge,
 * ledger, supervisor; the handle owns only its own private memory.
 *
 * Each access to a shared word goes through a function here, so that a build with TICKET_HOOK can
 * be killed between any two of them.
 */
#ifndef TICKET_BOARD_PRIV_H
#define TICKET_BOARD_PRIV_H

#include "ticket/board.h"
#include "ticket/ticket_word.h"

/* 16 bytes that only ever change together, by slot_swap(). */
struct slot {
	union {
		unsigned __int128 both;
		struct {
			_Atomic int64_t available;
			_Atomic uint64_t tag;
		};
	};
	_Atomic uint64_t row; /* whose slot; written by the ledger while the slot is closed */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct slot) == 64, "a slot has its own cache line");
_Static_assert(offsetof(struct slot, available) == 0 && offsetof(struct slot, tag) == 8,
	"available and tag are one 16-byte word");

/*
 * One edge's part: three lines by writer (supervisor, edge, edge and ledger), then summary words,
 * leaf words.
 */
struct slab {
	_Atomic uint32_t dead; /* incarnations up to this one are reaped */
	_Atomic uint64_t last_id __attribute__((aligned(64)));
	_Atomic uint32_t incarnation;
	_Atomic uint64_t dirty[] __attribute__((aligned(64)));
};

struct board_shared {
	uint64_t magic, layout, bytes;
	struct board_size size;
	uint32_t fields; /* of a ticket's facts, that `layout` is of */
	/* Written by the ledger (the gate also by the supervisor), read by all. */
	_Atomic uint32_t gate __attribute__((aligned(64)));
	_Atomic uint32_t many; /* in what was padding */
	_Atomic uint64_t rounds, id_floor_ms, id_ceiling_ms, heartbeat_ms;
	_Atomic uint64_t counter; /* sequence of tags that name no ticket */
	_Atomic uint64_t store, away; /* in what was padding */
	/* Written by whoever hands in. */
	_Atomic uint32_t sleeping __attribute__((aligned(64)));
	_Atomic uint32_t wanted; /* in what was padding */
};

struct board_ledger; /* ledger_side_priv.h */

struct board {
	struct board_shared *shared;
	struct slot *slots;
	char *slabs;
	struct ticket *tickets; /* of all slabs; the ledger's own last */
	struct limit_table *limits; /* behind them; NULL: none */
	size_t slab_bytes;
	struct board_size size;
	uint32_t leaves, summaries; /* words in a slab's bitmap */
	uint32_t ledger_first, ticket_count;
	struct board_ledger *ledger; /* NULL in other processes */
};

#ifdef TICKET_HOOK
void ticket_hook(void);
#endif

/* Between two accesses to shared memory. */
static inline void
between(void)
{
#ifdef TICKET_HOOK
	ticket_hook();
#endif
}

/*
 * A SIGKILL sees the order of instructions: no later store may be moved ahead of this one, and none
 * behind it.
 */
static inline void
keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline struct slab *
board_slab(const struct board *b, uint32_t edge)
{
	return (struct slab *)(void *)(b->slabs + (size_t)edge * b->slab_bytes);
}

static inline _Atomic uint64_t *
slab_summaries(struct slab *s)
{
	return s->dirty;
}

static inline _Atomic uint64_t *
slab_leaves(const struct board *b, struct slab *s)
{
	return s->dirty + b->summaries;
}

static inline uint32_t
ticket_index(const struct board *b, const struct ticket *t)
{
	return (uint32_t)(t - b->tickets);
}

/* Which edge's slab a ticket lies in; size.edges for the ledger's own. */
static inline uint32_t
ticket_edge(const struct board *b, uint32_t index)
{
	return index < b->ledger_first ? index / b->size.tickets_per_edge : b->size.edges;
}

static inline uint64_t
word_of(const struct ticket *t)
{
	between();
	return atomic_load_explicit(&t->word, memory_order_acquire);
}

/* The state word, published after all that was written before it. */
static inline void
say(struct ticket *t, uint64_t word)
{
	keep_order();
	between();
	atomic_store_explicit(&t->word, word, memory_order_release);
	keep_order();
}

static inline void
say_quiet(struct ticket *t, enum ticket_kind kind, unsigned p)
{
	say(t, word_pack(word_seq(word_of(t)), kind, 0, p, false));
}

static inline uint64_t
slot_tag(const struct slot *s)
{
	between();
	return atomic_load_explicit(&s->tag, memory_order_acquire);
}

static inline uint64_t
slot_row(const struct slot *s)
{
	between();
	return atomic_load_explicit(&s->row, memory_order_acquire);
}

static inline int64_t
slot_available(const struct slot *s)
{
	between();
	return atomic_load_explicit(&s->available, memory_order_acquire);
}

/* What a mover read, and what it makes of it. */
struct slot_value {
	int64_t available;
	uint64_t tag;
};

static inline unsigned __int128
slot_pack(struct slot_value v)
{
	return (unsigned __int128)v.tag << 64 | (uint64_t)v.available;
}

/*
 * The builtin and not _Atomic: for 16 bytes GCC calls libatomic for the latter, which may take a
 * lock that is private to the process.
 */
static inline bool
slot_swap(struct slot *s, struct slot_value was, struct slot_value is)
{
	between();
	return __sync_bool_compare_and_swap(&s->both, slot_pack(was), slot_pack(is));
}

#endif
