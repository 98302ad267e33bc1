/*
 * Ids: which ones this board may give out, kept in the store before they are given.
 * docs/decisions/0003-ticket-ids.md
 */
#include "ledger/ledger_priv.h"
#include "ledger/outbox.h"
#include "ticket/ticket_id.h"

enum { AHEAD_MS = 60000,
	RENEW_MS = 30000 };

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool
boot_is_new_board(const struct ledger *l)
{
	return atomic_load(board_id_ceiling_ms(l->o.board)) == 0;
}

static bool
insert_boot(struct ledger *l, uint64_t floor_ms, uint64_t ceiling_ms)
{
	struct query *st = store_sql(&l->store, SQL_boot_insert);
	sql_bind(st, l->o.node, (int64_t)clock_wall_us(), (int64_t)floor_ms, (int64_t)ceiling_ms);
	return sql_done(&l->store, st);
}

bool
boot_begin(struct ledger *l)
{
	int64_t before = 0;
	struct query *st = store_sql(&l->store, SQL_boot_ceiling);
	sql_bind(st, l->store.node);
	if (!sql_number(&l->store, st, &before))
		return false;
	uint64_t floor_ms = later((uint64_t)before + 1, TICKET_ID_EPOCH_MS);
	uint64_t ceiling_ms = later(floor_ms, clock_wall_us() / 1000) + AHEAD_MS;
	if (!insert_boot(l, floor_ms, ceiling_ms))
		return false;
	l->floor_ms = floor_ms;
	l->ceiling_ms = ceiling_ms;
	atomic_store(board_id_floor_ms(l->o.board), floor_ms);
	atomic_store(board_id_ceiling_ms(l->o.board), ceiling_ms);
	return true;
}

static bool
write_ceiling(struct ledger *l, int64_t ceiling_ms)
{
	if (l->away != NULL)
		return outbox_raise(l->away, ceiling_ms);
	struct query *st = store_sql(&l->store, SQL_boot_raise);
	sql_bind(st, ceiling_ms, l->store.node);
	return sql_done(&l->store, st);
}

bool
boot_raise(struct ledger *l)
{
	/* Ids run ahead of a clock that was set back: what has been booked says how far they are. */
	uint64_t used = later(later(clock_wall_us() / 1000, l->floor_ms), l->newest_ticket_ms);
	if (used + RENEW_MS < l->ceiling_ms)
		return true;
	uint64_t ceiling_ms = used + AHEAD_MS;
	/* Without the store no further than where another server would begin that takes over this node's number. */
	if (l->away != NULL && outbox_facts(l->away)->limit_ms != 0 && ceiling_ms > (uint64_t)outbox_facts(l->away)->limit_ms)
		ceiling_ms = (uint64_t)outbox_facts(l->away)->limit_ms;
	if (ceiling_ms <= l->ceiling_ms)
		return true;
	if (!write_ceiling(l, (int64_t)ceiling_ms))
		return false;
	l->ceiling_ms = ceiling_ms;
	atomic_store(board_id_ceiling_ms(l->o.board), l->ceiling_ms);
	return true;
}

uint64_t
ledger_next_id(struct ledger *l)
{
	/*
	 * The store has all ids that this writer ever gave: the last one is the floor, and nothing
	 * needs a ceiling.
	 */
	struct ticket_id_range range = {.ceiling_ms = UINT64_MAX, .node = l->o.node, .writer = TICKET_ID_WRITER_LEDGER};
	l->last_id = ticket_id_next(&range, l->last_id, clock_wall_us() / 1000);
	return l->last_id;
}
