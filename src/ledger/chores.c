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
see_to(struct ledger *l, struct query *due, chore *run)
{
	uint64_t ids[CHORES_AT_ONCE];
	struct item i;
	size_t count = ids_of(l, due, ids);
	bool done = count < CHORES_AT_ONCE;
	for (size_t at = 0; at < count; at++) {
		/* What was begun and not known to be done is known now. */
		if (l->o.board != NULL && !ledger_drain(l))
			return false;
		if (item_find(l, ids[at], &i) == SQL_ROW && i.state == ITEM_OPEN)
			done &= run(l, &i);
	}
	return done;
}

bool
ledger_chores(struct ledger *l, uint64_t now_wall_us)
{
	struct query *due = store_sql(&l->store, SQL_items_due), *way = store_sql(&l->store, SQL_items_in_transit);
	sql_bind(due, (int64_t)(now_wall_us / 1000), CHORES_AT_ONCE);
	bool done = see_to(l, due, expire);
	done &= quotas_give(l, now_wall_us);
	sql_bind(way, CHORES_AT_ONCE);
	return see_to(l, way, transfer_arrive) && done;
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
