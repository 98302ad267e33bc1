#include "model/world.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

static void *
map_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(p != MAP_FAILED);
	return p;
}

void
world_create(struct world *w, const struct board_size *size, unsigned rows, const int64_t *balance)
{
	*w = (struct world){.board_bytes = board_bytes(size), .db = map_shared(sizeof(struct world_db))};
	w->board_memory = map_shared(w->board_bytes);
	board_format(w->board_memory, size);
	w->board = board_attach(w->board_memory, w->board_bytes);
	assert(w->board && w->board->ticket_count <= WORLD_TICKETS_MAX);
	for (unsigned i = 0; i < rows; i++)
		w->db->half[0].balance[i] = balance[i];
	atomic_store(board_id_ceiling_ms(w->board), UINT64_MAX);
	board_sweep_start(w->board);
	board_set_balance(w->board, world_balance, w->db);
	for (unsigned i = 0; i < rows && i < size->slots; i++)
		world_load(w, i);
}

void
world_destroy(struct world *w)
{
	board_detach(&w->board);
	munmap(w->board_memory, w->board_bytes);
	munmap(w->db, sizeof(*w->db));
}

/* ---- the database ---- */

static struct world_half *
current(struct world_db *db)
{
	return &db->half[atomic_load(&db->current)];
}

static int64_t *
balance_of(struct world_half *h, uint64_t row)
{
	assert(row >= WORLD_FIRST_ROW && row < WORLD_FIRST_ROW + WORLD_ROWS);
	return &h->balance[row - WORLD_FIRST_ROW];
}

bool
world_balance(void *db, uint64_t row, struct nano *ret)
{
	if (row < WORLD_FIRST_ROW || row >= WORLD_FIRST_ROW + WORLD_ROWS)
		return false;
	ret->v = *balance_of(current(db), row);
	return true;
}

static struct world_half *
begin(struct world_db *db)
{
	struct world_half *next = &db->half[!atomic_load(&db->current)];
	*next = *current(db);
	return next;
}

static void
commit(struct world_db *db)
{
	atomic_store(&db->current, !atomic_load(&db->current));
}

static void
book(struct world_db *db, struct world_half *next, const struct world_booking *b)
{
	assert(next->bookings < WORLD_LOG_MAX);
	db->log[next->bookings++] = *b;
	if (b->id < WORLD_REQUEST_MAX && b->id > next->last_request)
		next->last_request = b->id;
}

void
world_commit(struct world_db *db, const struct ticket_copy *batch, size_t n)
{
	struct world_half *next = begin(db);
	for (size_t i = 0; i < n; i++) {
		const struct ticket_copy *c = &batch[i];
		if (next->last_id[c->index] == c->id)
			continue;
		next->last_id[c->index] = c->id;
		const struct world_booking b = {
			.id = c->id, .cost = c->cost.v, .index = c->index, .end_reason = c->facts.end_reason};
		book(db, next, &b);
		for (unsigned k = 0; k < c->legs; k++)
			*balance_of(next, c->row[k]) -= c->cost.v;
	}
	commit(db);
}

uint64_t
world_last_request(struct world_db *db)
{
	return current(db)->last_request;
}

void
world_commit_request(struct world_db *db, uint64_t id, uint64_t row, int64_t cost)
{
	struct world_half *next = begin(db);
	if (next->last_request >= id)
		return;
	book(db, next, &(struct world_booking){.id = id, .cost = cost, .index = TICKET_INDEX_NONE});
	*balance_of(next, row) -= cost;
	commit(db);
}

unsigned
world_booked(const struct world *w, uint64_t id, struct world_booking *ret_last)
{
	unsigned times = 0;
	for (uint32_t i = 0; i < current(w->db)->bookings; i++)
		if (w->db->log[i].id == id) {
			times++;
			if (ret_last)
				*ret_last = w->db->log[i];
		}
	return times;
}

/* ---- the ledger ---- */

size_t
world_round(struct world *w)
{
	struct ticket_copy batch[8];
	uint32_t quarantined;
	size_t n = board_collect(w->board, batch, ARRAY_LEN(batch), &quarantined);
	assert(!quarantined);
	if (!n)
		return 0;
	world_commit(w->db, batch, n);
	for (size_t i = 0; i < n; i++)
		board_give_back(w->board, batch[i].index);
	return n;
}

void
world_ledger_start(struct world *w)
{
	board_sweep_start(w->board);
	board_set_balance(w->board, world_balance, w->db);
	while (world_round(w))
		;
}

uint32_t
world_load(struct world *w, unsigned row)
{
	uint32_t slot;
	struct nano balance;
	bool found = world_balance(w->db, WORLD_FIRST_ROW + row, &balance) &&
		board_load(w->board, WORLD_FIRST_ROW + row, balance, &slot);
	assert(found);
	(void)found;
	return slot;
}

/* ---- the rules, from the outside: section 2's table and section 3, on raw words ---- */

static bool
has_landed(const struct world *w, uint32_t index)
{
	const struct ticket *t = &w->board->tickets[index];
	uint64_t word = atomic_load(&t->word);
	uint32_t slot = t->slot[word >> 2 & 3];
	uint64_t tag = slot < w->board->size.slots ? atomic_load(&w->board->slots[slot].tag) : UINT64_MAX;
	return !(word & 1) || tag == ((uint64_t)index << 44 | word >> 20);
}

static int64_t
kept(const struct world *w, uint32_t index, unsigned leg)
{
	const struct ticket *t = &w->board->tickets[index];
	uint64_t word = atomic_load(&t->word);
	unsigned at = word >> 2 & 3, p = word >> 1 & 1;
	int64_t now = t->hold[p], then = t->hold[!p];
	bool done = leg < at || (leg == at && has_landed(w, index));
	bool undone = leg > at || (leg == at && has_landed(w, index));
	bool booked = current(w->db)->last_id[index] == t->id;
	switch (word >> 4 & 7) {
	case TICKET_TAKE:
	case TICKET_EXTEND:
		return done ? now : then;
	case TICKET_HELD:
		return now;
	case TICKET_UNDO:
		return undone ? then : now;
	case TICKET_SETTLED:
		return now - (booked ? t->cost : 0);
	case TICKET_GIVE:
		return done ? 0 : now - t->cost;
	}
	return 0;
}

static const char *
ticket_broken(const struct world *w, uint32_t index, int64_t *sum)
{
	const struct ticket *t = &w->board->tickets[index];
	uint64_t word = atomic_load(&t->word);
	unsigned kind = word >> 4 & 7;
	if (kind == TICKET_FREE)
		return NULL;
	bool own = index >= w->board->ledger_first;
	if (!own && kind != TICKET_TAKE && kind != TICKET_UNDO && (t->cost < 0 || t->cost > t->hold[word >> 1 & 1]))
		return "T2: cost within the hold";
	for (unsigned k = 0; k < t->legs; k++) {
		int64_t keeps = kept(w, index, k);
		if (t->slot[k] >= w->board->size.slots && !keeps)
			continue; /* a hint out of range, on a leg that was not reached */
		if (t->slot[k] >= w->board->size.slots)
			return "T1: a live ticket's slots exist";
		const struct slot *s = &w->board->slots[t->slot[k]];
		sum[t->slot[k]] += keeps;
		if (keeps && (s->available == BOARD_CLOSED || s->row != t->row[k]))
			return "T1: a live ticket's slots stay open and its own";
	}
	return NULL;
}

static const char *
slot_broken(const struct world *w, uint32_t slot, int64_t sum)
{
	const struct slot *s = &w->board->slots[slot];
	struct nano balance;
	if (s->available == BOARD_CLOSED)
		return NULL;
	if (!world_balance(w->db, s->row, &balance))
		return "an open slot belongs to a row";
	if (s->available != balance.v - sum)
		return "T1: available == balance - what is kept";
	if (!w->below_zero[s->row - WORLD_FIRST_ROW] && (s->available < 0 || balance.v < 0))
		return "T2: nothing below zero";
	for (uint32_t j = 0; j < slot; j++)
		if (w->board->slots[j].available != BOARD_CLOSED && w->board->slots[j].row == s->row)
			return "one slot for each row";
	return NULL;
}

const char *
world_broken(const struct world *w)
{
	int64_t sum[64] = {0};
	const char *why = NULL;
	assert(w->board->size.slots <= ARRAY_LEN(sum));
	for (uint32_t i = 0; i < w->board->ticket_count && !why; i++)
		why = ticket_broken(w, i, sum);
	for (uint32_t i = 0; i < w->board->size.slots && !why; i++)
		why = slot_broken(w, i, sum[i]);
	return why;
}

const char *
world_unrest(const struct world *w)
{
	for (uint32_t i = 0; i < w->board->ticket_count; i++)
		if ((atomic_load(&w->board->tickets[i].word) >> 4 & 7) != TICKET_FREE)
			return "T4: a ticket is stuck";
	return world_broken(w);
}
