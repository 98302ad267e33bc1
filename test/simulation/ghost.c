#include "simulation/sim.h"

#include "ticket/board_priv.h"

#include <stdlib.h>
#include <string.h>

static struct {
	bool walks;
	uint32_t disk_calls, accesses, givings;
	uint8_t *board, *tally;
	size_t board_bytes, tally_bytes;
} ghost;

void
ghost_plan(uint32_t disk_calls, uint32_t accesses)
{
	ghost.disk_calls = disk_calls;
	ghost.accesses = accesses;
	ghost.givings = 0;
}

void
ghost_plan_giving(uint32_t accesses)
{
	ghost_plan(0, 0);
	ghost.givings = accesses;
}

static void
keep(uint8_t **to, size_t *ret_bytes, const void *from, size_t bytes)
{
	if (*ret_bytes != bytes) {
		*to = realloc(*to, bytes);
		assert_non_null(*to);
		*ret_bytes = bytes;
	}
	memcpy(*to, from, bytes);
}

void
ghost_begin(void)
{
	if (ghost.walks)
		return;
	ghost_plan(0, 0);
	ghost.walks = true;
	keep(&ghost.board, &ghost.board_bytes, sim.w.board_memory, board_bytes(&sim.w.size));
	keep(&ghost.tally, &ghost.tally_bytes, sim.w.tally_memory, tally_bytes(2));
	disk_freeze(true);
}

bool
ghost_walks(void)
{
	return ghost.walks;
}

void
ghost_at_disk(void)
{
	if (ghost.disk_calls == 0 || --ghost.disk_calls > 0)
		return;
	met(FAULT_LEDGER_KILLED_DISK);
	ghost_begin();
}

/* Not by word_of(), which is an access itself. */
static bool
is_giving(void)
{
	const struct board *b = sim.w.ledger_board;
	for (uint32_t i = 0; i < b->ticket_count; i++)
		if (word_kind(atomic_load(&b->tickets[i].word)) == TICKET_GIVE && atomic_load(&b->tickets[i].legs) > 1)
			return true;
	return false;
}

static void
die_of(enum fault f)
{
	met(f);
	ghost_begin();
}

void
ghost_at_access(void)
{
	if (ghost.givings > 0 && is_giving() && --ghost.givings == 0)
		die_of(FAULT_LEDGER_KILLED_GIVING);
	else if (ghost.accesses > 0 && --ghost.accesses == 0)
		die_of(FAULT_LEDGER_KILLED_BOARD);
}

void
ghost_end(void)
{
	assert_true(ghost.walks);
	memcpy(sim.w.board_memory, ghost.board, ghost.board_bytes);
	memcpy(sim.w.tally_memory, ghost.tally, ghost.tally_bytes);
	disk_freeze(false);
	ghost.walks = false;
}
