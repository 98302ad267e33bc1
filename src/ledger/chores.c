/* What time brings: items whose end has come, transfers that have not arrived. Each is an order that the ledger gives itself, once. */
#include "ledger/order_priv.h"

enum { CHORES_AT_ONCE = 64,
	CHORES_PERIOD_MS = 30000,
	CHORES_AGAIN_MS = 1000 };

static size_t
ids_of(struct ledger *l, struct query *st, uint64_t ret[CHORES_AT_ONCE])
{
	size_t count = 0;
	while (count < CHORES_AT_ONCE && sql_step(&l->store, st) == SQL_ROW)
		ret[count++] = (uint64_t)sql_int(st, 0);
	sql_reset(st);
	return count;
}

static bool
expire(struct ledger *l, const struct item *i)
{
	switch (i->kind) {
	case ITEM_GRANT:
		return grant_expire(l, i);
	case ITEM_VOUCHER:
		return voucher_expire(l, i);
	case ITEM_HOLD:
		return hold_expire(l, i);
	case ITEM_PAYMENT:
	case ITEM_DISPUTE:
	case ITEM_TRANSFER:
	case ITEM_KIND_COUNT:
		break;
	}
	return true;
}

typedef bool chore(struct ledger *l, const struct item *i);

/* False: some of them have to be seen to again. */
static bool
see_to(struct ledger *l, const uint64_t *ids, size_t count, chore *run)
{
	struct item i;
	bool done = true;
	for (size_t at = 0; at < count; at++) {
		/* What was begun and not known to be done is known now. */
		if (l->o.board != NULL && !ledger_drain(l))
			return false;
		if (item_find(l, ids[at], &i) == SQL_ROW && i.state == ITEM_OPEN)
			done &= run(l, &i);
	}
	return done;
}

/* So many at a time, then those behind them, from the first again at last: some may have to wait for long, and the others don't wait for them. */
static bool
see_to_due(struct ledger *l, uint64_t now_wall_us)
{
	uint64_t ids[CHORES_AT_ONCE];
	struct query *due = store_sql(&l->store, SQL_items_due);
	sql_bind(due, (int64_t)(now_wall_us / 1000), CHORES_AT_ONCE, l->chores_at.expires_ms, l->chores_at.id);
	size_t count = 0;
	int64_t expires_ms = 0;
	while (count < CHORES_AT_ONCE && sql_step(&l->store, due) == SQL_ROW) {
		ids[count++] = (uint64_t)sql_int(due, 0);
		expires_ms = sql_int(due, 1);
	}
	sql_reset(due);
	bool again = !see_to(l, ids, count, expire) || l->chores_at.again, full = count == CHORES_AT_ONCE;
	l->chores_at.expires_ms = full ? expires_ms : 0;
	l->chores_at.id = full ? (int64_t)ids[count - 1] : 0;
	l->chores_at.again = full && again;
	return !full && !again;
}

bool
ledger_chores(struct ledger *l, uint64_t now_wall_us)
{
	uint64_t ids[CHORES_AT_ONCE];
	bool done = see_to_due(l, now_wall_us);
	done &= quotas_give(l, now_wall_us);
	struct query *way = store_sql(&l->store, SQL_items_in_transit);
	sql_bind(way, CHORES_AT_ONCE);
	size_t count = ids_of(l, way, ids);
	return see_to(l, ids, count, transfer_arrive) && count < CHORES_AT_ONCE && done;
}

void
ledger_chores_when_due(struct ledger *l, uint64_t now_monotonic_ms)
{
	if (l->back_off_ms != 0 || now_monotonic_ms < l->chores_due_ms)
		return;
	bool done = ledger_chores(l, clock_wall_us());
	l->chores_due_ms = now_monotonic_ms + (done ? CHORES_PERIOD_MS : CHORES_AGAIN_MS);
}

void
ledger_chores_soon(struct ledger *l)
{
	l->chores_due_ms = 0;
}
