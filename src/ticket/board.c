#include "ticket/board_priv.h"

#include <assert.h>
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "ticket/ledger_side_priv.h"
#include "ticket/limit_priv.h"

enum { BOARD_PAGE = 4096 };
#define BOARD_MAGIC 0x0a647261426c6574ULL

static size_t
round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

/* ---- layout ---- */

static uint64_t
fold(uint64_t hash, const void *at, size_t len)
{
	for (const uint8_t *p = at; len--; p++)
		hash = (hash ^ *p) * 0x100000001b3ULL;
	return hash;
}

struct fact_place {
	const char *name;
	size_t at, bytes;
};

static const struct fact_place facts[] = {
#define X(name, type, unit, meaning, promise) {#name ":" #type, offsetof(struct ticket_facts, name), sizeof(type)},
	TICKET_FIELDS(X)
#undef X
};

/*
 * Names, sizes and places of all that is shared: a build that lays it out differently doesn't
 * attach. A ticket's facts may have grown at their end since the board was made: so each number of
 * fields has a hash.
 */
uint64_t
board_layout(uint32_t fields)
{
	const size_t places[] = {sizeof(struct ticket), offsetof(struct ticket, hold), offsetof(struct ticket, cost),
		offsetof(struct ticket, id), offsetof(struct ticket, owner), offsetof(struct ticket, legs),
		offsetof(struct ticket, row), offsetof(struct ticket, slot), offsetof(struct ticket, facts),
		sizeof(struct slot), offsetof(struct slot, row), sizeof(struct slab), offsetof(struct slab, last_id),
		offsetof(struct slab, incarnation), sizeof(struct board_shared), offsetof(struct board_shared, gate),
		offsetof(struct board_shared, counter), offsetof(struct board_shared, sleeping), BOARD_LEDGER_TICKETS,
		BOARD_EDGES_MAX, sizeof(struct limit_row), offsetof(struct limit_row, streams), offsetof(struct limit_row, lists), LIMIT_KIND_COUNT};
	uint64_t hash = fold(0xcbf29ce484222325ULL, places, sizeof(places));
	if (fields > ARRAY_LEN(facts))
		return 0;
	for (uint32_t i = 0; i < fields; i++) {
		hash = fold(hash, facts[i].name, strlen(facts[i].name));
		hash = fold(hash, &facts[i].at, sizeof(facts[i].at));
		hash = fold(hash, &facts[i].bytes, sizeof(facts[i].bytes));
	}
	return hash;
}

uint32_t
board_layout_fields(void)
{
	return ARRAY_LEN(facts);
}

/* Where things lie for this size. False: no board can have this size. */
static bool
lay_out(struct board *b, const struct board_size *size, char *memory, size_t *ret_bytes)
{
	if (!size->edges || size->edges > BOARD_EDGES_MAX || !size->tickets_per_edge || !size->slots ||
		size->slots > INT32_MAX || size->node > 255 || size->limits > INT32_MAX)
		return false;
	uint64_t tickets = (uint64_t)size->edges * size->tickets_per_edge;
	if (tickets + BOARD_LEDGER_TICKETS >= TICKET_INDEX_NONE)
		return false;
	uint32_t leaves = (size->tickets_per_edge + 63) / 64, summaries = (leaves + 63) / 64;
	size_t slab_bytes = round_up(sizeof(struct slab) + (size_t)(leaves + summaries) * 8, 64);
	size_t slots_at = BOARD_PAGE;
	size_t slabs_at = slots_at + round_up((size_t)size->slots * sizeof(struct slot), BOARD_PAGE);
	size_t tickets_at = slabs_at + round_up(slab_bytes * size->edges, BOARD_PAGE);
	size_t limits_at = tickets_at + round_up((size_t)(tickets + BOARD_LEDGER_TICKETS) * sizeof(struct ticket), BOARD_PAGE);
	uintptr_t base = (uintptr_t)memory; /* which is nowhere, when only the size is asked for */
	*b = (struct board){
		.shared = (struct board_shared *)(void *)memory,
		.slots = (struct slot *)(base + slots_at),
		.slabs = (char *)(base + slabs_at),
		.tickets = (struct ticket *)(base + tickets_at),
		.limits = size->limits ? (struct limit_table *)(base + limits_at) : NULL,
		.slab_bytes = slab_bytes,
		.size = *size,
		.leaves = leaves,
		.summaries = summaries,
		.ledger_first = (uint32_t)tickets,
		.ticket_count = (uint32_t)tickets + BOARD_LEDGER_TICKETS,
	};
	*ret_bytes = limits_at + limit_bytes(size->limits);
	return true;
}

_Static_assert(sizeof(struct board_shared) <= BOARD_PAGE, "the slots begin on the next page");

size_t
board_bytes(const struct board_size *size)
{
	struct board b;
	size_t bytes;
	return lay_out(&b, size, NULL, &bytes) ? bytes : 0;
}

void
board_format(void *memory, const struct board_size *size)
{
	struct board b;
	size_t bytes;
	bool possible = lay_out(&b, size, memory, &bytes);
	assert(possible);
	(void)possible;
	for (uint32_t i = 0; i < size->slots; i++) {
		atomic_store(&b.slots[i].available, BOARD_CLOSED);
		atomic_store(&b.slots[i].tag, tag_pack(TICKET_INDEX_NONE, 0));
	}
	b.shared->size = *size;
	b.shared->bytes = bytes;
	b.shared->fields = ARRAY_LEN(facts);
	b.shared->layout = board_layout(b.shared->fields);
	b.shared->magic = BOARD_MAGIC;
}

static bool
processor_swaps_16_bytes(void)
{
	unsigned a, b, c, d;
	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_CMPXCHG16B);
}

void
board_extend(struct board *b)
{
	b->shared->fields = ARRAY_LEN(facts);
	b->shared->layout = board_layout(b->shared->fields);
}

struct board *
board_attach(void *memory, size_t bytes)
{
	const struct board_shared *shared = memory;
	if (!processor_swaps_16_bytes() || bytes < sizeof(*shared) || (uintptr_t)memory % 64)
		return NULL;
	if (shared->magic != BOARD_MAGIC || shared->layout != board_layout(shared->fields))
		return NULL;
	struct board_size size = shared->size;
	struct board *b = calloc(1, sizeof(*b));
	size_t needed;
	if (!b)
		return NULL;
	if (!lay_out(b, &size, memory, &needed) || needed != shared->bytes || needed > bytes) {
		free(b);
		return NULL;
	}
	return b;
}

void
board_detach(struct board **b)
{
	if (!b || !*b)
		return;
	ledger_side_destroy(&(*b)->ledger);
	free(*b);
	*b = NULL;
}

/* ---- words by which processes find each other ---- */

void
board_size_of(const struct board *b, struct board_size *ret)
{
	*ret = b->size;
}

struct limit_table *
board_limits(const struct board *b)
{
	return b->limits;
}

uint32_t
board_limit_rows(const struct board *b)
{
	return b->size.limits;
}

_Atomic uint32_t *
board_gate(struct board *b)
{
	return &b->shared->gate;
}

_Atomic uint32_t *
board_many(struct board *b)
{
	return &b->shared->many;
}

_Atomic uint64_t *
board_store(struct board *b)
{
	return &b->shared->store;
}

_Atomic uint64_t *
board_away(struct board *b)
{
	return &b->shared->away;
}

_Atomic uint64_t *
board_rounds(struct board *b)
{
	return &b->shared->rounds;
}

_Atomic uint64_t *
board_id_ceiling_ms(struct board *b)
{
	return &b->shared->id_ceiling_ms;
}

_Atomic uint64_t *
board_id_floor_ms(struct board *b)
{
	return &b->shared->id_floor_ms;
}

_Atomic uint32_t *
board_sleeping(struct board *b)
{
	return &b->shared->sleeping;
}

_Atomic uint32_t *
board_wanted(struct board *b)
{
	return &b->shared->wanted;
}

_Atomic uint64_t *
board_heartbeat_ms(struct board *b)
{
	return &b->shared->heartbeat_ms;
}

uint32_t
board_ticket_count(const struct board *b)
{
	return b->ticket_count;
}

bool
board_is_ledger_ticket(const struct board *b, uint32_t index)
{
	return index >= b->ledger_first && index < b->ticket_count;
}

struct nano
board_available(const struct board *b, uint32_t slot)
{
	assert(slot < b->size.slots);
	return (struct nano){slot_available(&b->slots[slot])};
}

bool
board_has(const struct board *b, uint32_t slot, uint64_t row)
{
	return slot < b->size.slots && slot_row(&b->slots[slot]) == row && slot_available(&b->slots[slot]) != BOARD_CLOSED;
}

/* ---- deaths ---- */

void
board_mark_dead(struct board *b, uint32_t edge, uint32_t incarnation)
{
	assert(edge < b->size.edges);
	_Atomic uint32_t *dead = &board_slab(b, edge)->dead;
	if (atomic_load(dead) < incarnation)
		atomic_store(dead, incarnation);
}

void
board_mark_all_dead(struct board *b)
{
	for (uint32_t e = 0; e < b->size.edges; e++)
		board_mark_dead(b, e, board_incarnation(b, e));
}

uint32_t
board_dead(const struct board *b, uint32_t edge)
{
	assert(edge < b->size.edges);
	return atomic_load_explicit(&board_slab(b, edge)->dead, memory_order_acquire);
}

bool
board_slab_unused(const struct board *b, uint32_t edge)
{
	return board_incarnation(b, edge) == 0;
}

uint32_t
board_incarnation(const struct board *b, uint32_t edge)
{
	assert(edge < b->size.edges);
	return atomic_load_explicit(&board_slab(b, edge)->incarnation, memory_order_acquire);
}
