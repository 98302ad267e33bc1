/*
 * Free credit with an end. It is the account's money like any other; what was spent since it was given is taken to have come from the grants,
 * those first that end first, and what is left at the end goes back.
 */
#include "ledger/order_priv.h"
#include "ledger/share_priv.h"

#include <stdio.h>

json_t *
control_credit_grant(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct item i = {.kind = ITEM_GRANT};
	char amount[NANO_TEXT_MAX], expires[24];
	struct order o = {.kind = ORDER_GRANT};
	if (!order_read(l, request, &o, &error) || !order_amount(request, "amount", false, &o.nano, &error) ||
		!order_expires(request, true, &i.expires_ms, &error))
		return error;
	nano_text((struct nano){o.nano}, amount);
	snprintf(expires, sizeof(expires), "%lld", (long long)i.expires_ms);
	order_content(&o, "credit.grant", (const char *const[]){o.account.name, amount, expires, o.reason}, 4);
	/* What was spent before is not this one's. */
	if (!grants_apply(l, o.account.id))
		return control_store_failed(l);
	i.account = o.account.id;
	i.amount_nano = i.open_nano = o.nano;
	order_open_item(l, &o, &i);
	return order_answer(l, &o);
}

/* ---- what was spent, off the grants ---- */

enum { GRANTS_AT_ONCE = 64 };

struct open_grant {
	uint64_t id;
	int64_t open_nano;
};

static bool
read_spent(struct ledger *l, uint64_t account, int64_t *ret_spent, int64_t *ret_applied)
{
	struct query *st = store_sql(&l->store, SQL_account_spent);
	sql_bind(st, (int64_t)account);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return false;
	*ret_spent = sql_int(st, 0);
	*ret_applied = sql_int(st, 1);
	sql_reset(st);
	return true;
}

/* False: the store failed, and there may be others. Taken for all there are, what was spent would be nobody's, and go back out of the customer's own money. */
static bool
read_open(struct ledger *l, uint64_t account, struct open_grant ret[GRANTS_AT_ONCE], size_t *ret_count)
{
	size_t count = 0;
	enum sql_step step = SQL_END;
	struct query *st = store_sql(&l->store, SQL_grants_open);
	sql_bind(st, (int64_t)account);
	while (count < GRANTS_AT_ONCE && (step = sql_step(&l->store, st)) == SQL_ROW)
		ret[count++] = (struct open_grant){(uint64_t)sql_int(st, 0), sql_int(st, 1)};
	sql_reset(st);
	*ret_count = count;
	return step != SQL_FAILED;
}

static bool
reduce(struct ledger *l, const struct open_grant *g, int64_t nano)
{
	struct query *st = store_sql(&l->store, SQL_item_reduce);
	sql_bind(st, (int64_t)g->id, nano);
	return sql_done(&l->store, st) && sql_changes(&l->store) == 1;
}

/* ret_more: there are more of them than are looked at in one go, and something is left for those. */
static bool
apply(struct ledger *l, uint64_t account, bool *ret_more)
{
	struct open_grant open[GRANTS_AT_ONCE];
	int64_t spent, applied;
	size_t count;
	if (!read_spent(l, account, &spent, &applied) || !read_open(l, account, open, &count))
		return false;
	int64_t left = spent - applied;
	bool ok = true;
	for (size_t i = 0; ok && i < count && left > 0; i++) {
		int64_t nano = smaller(left, open[i].open_nano);
		ok = reduce(l, &open[i], nano);
		left -= nano;
	}
	*ret_more = count == GRANTS_AT_ONCE && left > 0;
	if (!*ret_more)
		left = 0;
	struct query *st = store_sql(&l->store, SQL_account_granted);
	sql_bind(st, (int64_t)account, spent - left);
	return ok && sql_done(&l->store, st);
}

/* A part of a grant that is on its way back was reckoned by what was open: it is booked before less is, else its ticket could never be. */
bool
grants_apply(struct ledger *l, uint64_t account)
{
	bool more = true, ok = l->o.board == NULL || ledger_drain(l);
	while (ok && more)
		ok = store_begin(&l->store) && store_end(&l->store, apply(l, account, &more));
	return ok;
}

bool
grant_open_now(struct ledger *l, const struct item *i, struct grant_spent *known, int64_t *ret)
{
	int64_t applied, before = 0;
	struct query *st = store_sql(&l->store, SQL_grants_before);
	sql_bind(st, (int64_t)i->account, i->expires_ms, (int64_t)i->id);
	if (!sql_number(&l->store, st, &before))
		return false;
	if (known->account != i->account) {
		if (!read_spent(l, i->account, &known->nano, &applied))
			return false;
		known->nano -= applied;
		known->account = i->account;
	}
	int64_t left = known->nano - before, gone = left <= 0 ? 0 : left < i->open_nano ? left : i->open_nano;
	*ret = i->open_nano - gone;
	return true;
}

/* ---- what is not theirs ---- */

/*
 * What grants gave and nobody has spent lies in the balance, but for what standing holds have that were made since: that is taken to come from them as well, and
 * nothing of a hold from two. The youngest grant comes first: what was held since was held since the older ones, too.
 */
static bool
read_unheld(struct ledger *l, uint64_t account, int64_t *ret)
{
	int64_t held = 0;
	enum sql_step step;
	struct query *st = store_sql(&l->store, SQL_grants_held);
	sql_bind(st, (int64_t)account);
	*ret = 0;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		int64_t open = sql_int(st, 0), since = sql_int(st, 1) - held, in_holds = since <= 0 ? 0 : since < open ? since : open;
		held += in_holds;
		*ret += open - in_holds;
	}
	sql_reset(st);
	return step == SQL_END;
}

static bool
read_own(struct ledger *l, uint64_t account, int64_t *ret_own)
{
	int64_t balance = 0, granted;
	bool more = true;
	struct query *st = store_sql(&l->store, SQL_account_balance);
	sql_bind(st, (int64_t)account);
	while (more) {
		if (!apply(l, account, &more))
			return false;
	}
	if (!read_unheld(l, account, &granted) || !sql_number(&l->store, st, &balance))
		return false;
	*ret_own = balance - granted;
	return true;
}

json_t *
grants_error(const struct account_row *a, int64_t own)
{
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){own > 0 ? own : 0}, text);
	return control_error("free_credit", "of what account \"%s\" has %s can be taken: the rest is free credit with an end (`lethe grant list`)", a->name, text);
}

bool
grants_own(struct ledger *l, uint64_t account, int64_t *ret_own)
{
	return store_begin(&l->store) && store_end(&l->store, read_own(l, account, ret_own));
}

json_t *
grants_refuse(struct ledger *l, const struct account_row *a, int64_t nano)
{
	int64_t own;
	if (!grants_own(l, a->id, &own))
		return control_store_failed(l);
	return nano <= own || nano > a->balance_nano ? NULL : grants_error(a, own);
}

enum ordered
grants_stay(struct ledger *l, uint64_t account, int64_t *ret_own)
{
	if (!read_own(l, account, ret_own))
		return ORDER_FAILED;
	return *ret_own >= 0 ? ORDER_BOOKED : ORDER_REFUSED;
}

/* ---- the end ---- */

static bool
give(struct ledger *l, const struct item *i, enum order_kind kind, int64_t nano)
{
	struct order o = {.kind = kind, .nano = -nano};
	char what[40] = "expiry";
	/* Each part has an id of its own: what was open before it. */
	if (kind == ORDER_GRANT_PART)
		snprintf(what, sizeof(what), "part-%lld", (long long)i->open_nano);
	if (!order_of_item(l, &o, what, i))
		return false;
	if (kind == ORDER_GRANT_EXPIRY)
		o.open_nano = i->open_nano; /* another server may take something off it meanwhile */
	json_t *error = order_do(l, &o);
	json_decref(error);
	return error == NULL;
}

/* What else an account has. */
struct around {
	int64_t available, stands; /* it can pay with; standing holds that were made in this grant's time have, which has left the balance and may yet be charged */
	int64_t held; /* of the balance, by requests and other servers */
	bool runs;
};

static bool
look_around(struct ledger *l, const struct item *i, struct around *ret)
{
	struct account_row a;
	if (!order_load_account(l, i->account, &a) || !order_available(l, i->account, &ret->available))
		return false;
	struct query *st = store_sql(&l->store, SQL_grant_around);
	sql_bind(st, (int64_t)i->account, i->expires_ms, (int64_t)i->id);
	if (sql_step(&l->store, st) != SQL_ROW)
		return false;
	ret->stands = sql_int(st, 0);
	ret->held = sql_int(st, 1) - ret->available;
	/* The balance is another one: another server changes it just now. */
	ret->runs = ret->available < a.balance_nano || sql_int(st, 1) != a.balance_nano;
	sql_reset(st);
	return true;
}

/* As it is now. */
static bool
look(struct ledger *l, const struct item *grant, struct item *ret, struct around *ret_around)
{
	return grants_apply(l, grant->account) && item_find(l, grant->id, ret) == SQL_ROW && look_around(l, ret, ret_around);
}

/* What it gave may be in those holds: nothing else is taken in its place, and what they are charged is taken off it. */
static int64_t
unheld_of(const struct item *i, const struct around *a)
{
	return i->open_nano > a->stands ? i->open_nano - a->stands : 0;
}

bool
grant_expire(struct ledger *l, const struct item *due)
{
	struct item i;
	struct around a;
	if (!look(l, due, &i, &a))
		return false;
	int64_t unheld = unheld_of(&i, &a), nano = smaller(unheld, a.available);
	bool all = nano == unheld || !a.runs;
	if (all && unheld == i.open_nano)
		return give(l, &i, ORDER_GRANT_EXPIRY, nano);
	/* Requests or holds have the rest: what they don't use goes back when they are done. A hold may last for days: nobody hurries because of it. */
	bool given = nano <= 0 || give(l, &i, ORDER_GRANT_PART, nano);
	return given && all;
}

/* ---- taken back before that ---- */

static json_t *
nothing_to_take(const struct item *i)
{
	char id[ID_TEXT_MAX], open[NANO_TEXT_MAX];
	json_t *error = item_must_be_open(i);
	if (error != NULL)
		return error;
	id_text(item_prefix(i->kind), i->id, id);
	nano_text((struct nano){i->open_nano}, open);
	if (i->open_nano == 0)
		return control_error("resolved", "nothing is left of %s to take back: all that it gave is used", id);
	return control_error("insufficient_balance", "what is open of %s (%s) is held by running requests, standing holds or other servers, or is no longer there: come again when they are done and have given back what they don't use", id, open);
}

/* What is held comes from the grant, as what is spent does: what a request costs later is not to fall on what was paid in. */
static int64_t
free_of(const struct item *i, const struct around *a)
{
	int64_t unheld = unheld_of(i, a) - (a->held > 0 ? a->held : 0);
	return smaller(unheld > 0 ? unheld : 0, a->available > 0 ? a->available : 0);
}

/* *ret_again: what it was reckoned by has changed meanwhile. */
static json_t *
take_back(struct ledger *l, struct order *o, const struct item *grant, bool *ret_again)
{
	struct item i;
	struct around a;
	*ret_again = false;
	if ((share_on(l) && !share_make_free(l, grant->account, grant->amount_nano)) || !look(l, grant, &i, &a))
		return control_store_failed(l);
	int64_t nano = free_of(&i, &a);
	o->kind = nano == i.open_nano ? ORDER_GRANT_REVOKE : ORDER_GRANT_REVOKE_PART;
	o->nano = -nano;
	o->open_nano = o->kind == ORDER_GRANT_REVOKE ? i.open_nano : 0;
	json_t *error = order_do(l, o);
	if (nano == 0 && control_error_is(error, "refused")) { /* one that was done before is answered again */
		json_decref(error);
		return nothing_to_take(&i);
	}
	*ret_again = error != NULL && (order_was_short(error) || control_error_is(error, "refused"));
	return error;
}

json_t *
control_grant_revoke(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct item i;
	char id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_GRANT_REVOKE};
	if (!item_read(l, request, "grant", ITEM_GRANT, &i, &error) || !order_read_texts(request, &o, &error))
		return error;
	if (!order_load_account(l, i.account, &o.account))
		return control_store_failed(l);
	o.item = i.id;
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "grant.revoke", (const char *const[]){id, o.reason}, 2);
	bool again = true;
	error = NULL;
	for (int try = 0; again && try < ORDER_TRIES; try++) {
		json_decref(error);
		error = take_back(l, &o, &i, &again);
	}
	return error != NULL ? error : order_done(l, &o);
}
