/*
 * A standing hold for work of a key or an account with limits of money counts in their windows as of when it was set aside, until it is resolved: what comes back
 * of it comes back there as well. On the board they are legs of the order's ticket, as they are of a request's (docs/decisions/0026).
 */
#include "ledger/limit_priv.h"
#include "ledger/order_priv.h"
#include "ledger/share_priv.h"

#include <string.h>

/* Of the item that it opens or resolves. False: the store failed. */
static bool
windows_of(struct ledger *l, const struct order *o, uint64_t ret[ITEM_WINDOWS_MAX])
{
	memset(ret, 0, ITEM_WINDOWS_MAX * sizeof ret[0]);
	if (o->fresh != NULL)
		memcpy(ret, o->fresh->windows, sizeof o->fresh->windows);
	if (o->fresh != NULL || o->item == 0)
		return true;
	struct query *st = store_sql(&l->store, SQL_item_windows);
	sql_bind(st, (int64_t)o->item);
	enum sql_step step = sql_step(&l->store, st);
	for (int i = 0; step == SQL_ROW && i < ITEM_WINDOWS_MAX; i++)
		ret[i] = (uint64_t)sql_int(st, i);
	sql_reset(st);
	return step != SQL_FAILED;
}

enum ordered
windows_change(struct ledger *l, const struct order *o)
{
	uint64_t windows[ITEM_WINDOWS_MAX];
	if (o->nano == 0)
		return ORDER_BOOKED;
	if (!windows_of(l, o, windows))
		return ORDER_FAILED;
	for (int i = 0; i < ITEM_WINDOWS_MAX; i++) {
		if (windows[i] == 0)
			continue;
		struct query *st = store_sql(&l->store, o->nano < 0 ? SQL_budget_set_aside : SQL_budget_come_back);
		sql_bind(st, (int64_t)windows[i], o->nano < 0 ? -o->nano : o->nano);
		if (!sql_done(&l->store, st))
			return ORDER_FAILED;
		if (o->nano < 0 && sql_changes(&l->store) != 1)
			return ORDER_REFUSED;
	}
	return ORDER_BOOKED;
}

bool
windows_make_free(struct ledger *l, const struct order *o)
{
	uint64_t windows[ITEM_WINDOWS_MAX];
	if (!windows_of(l, o, windows))
		return false;
	for (int i = 0; i < ITEM_WINDOWS_MAX; i++)
		if (windows[i] != 0 && (budget_begin(l, windows[i]) != 0 || !share_make_free(l, windows[i], -o->nano)))
			return false;
	return true;
}

bool
windows_rows(struct ledger *l, const struct order *o, struct board_rows *ret)
{
	uint64_t windows[ITEM_WINDOWS_MAX];
	struct nano left;
	uint32_t slot;
	*ret = (struct board_rows){.count = 0};
	if (l->o.board == NULL || o->nano == 0)
		return true;
	if (!windows_of(l, o, windows))
		return false;
	for (int i = 0; i < ITEM_WINDOWS_MAX; i++) {
		enum sql_step step = windows[i] == 0 ? SQL_END : o->nano > 0 ? budget_read(l, windows[i], &left)
																	 : SQL_ROW;
		if (step == SQL_FAILED)
			return false;
		if (step == SQL_END) /* it is long over */
			continue;
		if (budget_load(l, windows[i], 0, &slot) != 0)
			return false;
		ret->row[ret->count++] = windows[i];
	}
	if (ret->count == 0)
		return true;
	ret->row[ret->count++] = o->account.id;
	/* As it is now: what was drained since the order was read may have changed it. */
	struct query *st = store_sql(&l->store, SQL_account_balance);
	int64_t balance = 0;
	sql_bind(st, (int64_t)o->account.id);
	return sql_number(&l->store, st, &balance) && ledger_load_account(l, o->account.id, balance) != UINT32_MAX;
}
