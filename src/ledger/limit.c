#include "ledger/limit_priv.h"
#include "ledger/share_priv.h"
#include "ticket/ticket_id.h"

#include <stdlib.h>
#include <string.h>

/* ---- the store's limits ---- */

bool
limits_read(struct ledger *l, uint64_t subject, struct limit_amounts *ret)
{
	struct query *st = store_sql(&l->store, SQL_limits_of);
	enum sql_step step;
	*ret = (struct limit_amounts){0};
	sql_bind(st, (int64_t)subject);
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		int64_t kind = sql_int(st, 0);
		if (kind <= 0 || kind >= LIMIT_KIND_COUNT)
			continue;
		ret->amount[kind] = sql_int(st, 1);
		ret->number[kind] = (uint64_t)sql_int(st, 2);
	}
	return step == SQL_END;
}

bool
limits_freshen(struct ledger *l)
{
	if (usage_flush(l))
		return true;
	l->usage_due_ms = 0;
	return false;
}

bool
limits_spent(struct ledger *l, uint64_t subject, enum limit_kind kind, uint32_t window, struct limit_spent *ret)
{
	if (kind != LIMIT_REQUESTS_DAY && kind < LIMIT_MONEY_DAY) { /* usage is summed up by day */
		*ret = (struct limit_spent){0};
		return true;
	}
	int64_t day = limit_window_begin_s(kind, window) / 86400;
	struct query *st = store_sql(&l->store, SQL_limits_spent);
	sql_bind(st, (int64_t)subject, day, (int64_t)ticket_id_first((uint64_t)(day - 1) * 86400000)); /* the clock may have been set back between start and id */
	bool known = sql_step(&l->store, st) == SQL_ROW;
	if (known)
		*ret = (struct limit_spent){sql_int(st, 0), sql_int(st, 1)};
	sql_reset(st);
	return known;
}

/* ---- lists ---- */

/* '*' stands for any number of any characters. */
static bool
fits(const char *pattern, const char *name)
{
	const char *star = NULL, *from = NULL;
	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			from = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++from;
		} else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool
add_model(struct limit_lists *l, uint32_t id)
{
	uint32_t at = 0;
	while (at < l->model_count && l->models[at] < id)
		at++;
	if (at < l->model_count && l->models[at] == id)
		return true;
	if (l->model_count == LIMIT_MODELS_MAX)
		return false;
	memmove(&l->models[at + 1], &l->models[at], (l->model_count - at) * sizeof(l->models[0]));
	l->models[at] = id;
	l->model_count++;
	return true;
}

bool
limits_models_named(const struct ledger *l, const char *pattern, struct limit_lists *ret)
{
	const struct catalogue *c = l->o.catalogue;
	bool room = true;
	for (uint32_t i = 0; c != NULL && room && i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		if (fits(pattern, n->name))
			room = add_model(ret, catalogue_model(c, n->model)->id);
	}
	return room;
}

/* A list that is too long for the board is shorter there: nothing is allowed by mistake. */
static bool
read_lists(struct ledger *l, uint64_t subject, struct limit_lists *ret)
{
	struct query *st = store_sql(&l->store, SQL_allowed_of);
	enum sql_step step;
	*ret = (struct limit_lists){0};
	sql_bind(st, (int64_t)subject);
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		int64_t what = sql_int(st, 0);
		const char *text = sql_str(st, 1);
		ret->named |= (uint32_t)what;
		if (what == LIMIT_MODELS)
			(void)!limits_models_named(l, text, ret);
		else if (ret->address_count < LIMIT_ADDRESSES_MAX &&
			address_range_parse((struct span){text, strlen(text)}, &ret->addresses[ret->address_count]))
			ret->address_count++;
	}
	return step == SQL_END;
}

/* ---- onto the board ---- */

uint32_t
limits_row_of(const struct ledger *l, uint64_t key, uint64_t account)
{
	uint32_t row = limit_find(l->o.board, key);
	return row != 0 ? row : limit_find(l->o.board, account);
}

/* Of the keys that took each other's place the one that took nobody's. False: the store failed. */
static must_check bool
first_of(struct ledger *l, uint64_t key, uint64_t *ret)
{
	int64_t first = (int64_t)key;
	struct query *st = store_sql(&l->store, SQL_key_root);
	sql_bind(st, (int64_t)key);
	if (!sql_number(&l->store, st, &first))
		return false;
	*ret = (uint64_t)first;
	return true;
}

/* What the sums here have of a key and its kin, or an account, when the store did not take them. */
static must_check bool
count_unwritten(struct ledger *l, uint64_t first, bool of_account, int64_t day, int64_t *requests)
{
	if (!usage_known_once(l))
		return false;
	if (of_account)
		*requests += usage_requests(&l->usage, day, first);
	if (of_account || l->usage.count == 0)
		return true;
	struct query *st = store_sql(&l->store, SQL_key_kin_all);
	enum sql_step step;
	sql_bind(st, (int64_t)first);
	while ((step = sql_step(&l->store, st)) == SQL_ROW)
		*requests += usage_requests(&l->usage, day, (uint64_t)sql_int(st, 0));
	return step == SQL_END;
}

/*
 * What was booked today, where nobody has counted yet: on a new board, or before the limit was there: the store's sums, and what is not written down yet. Sums do not know which of several servers served, and each counts for itself: what this one has counted today stands. False: the store failed.
 */
static must_check bool
recall_day(struct ledger *l, uint64_t first, bool of_account, struct limit_row *r)
{
	int64_t requests = 0;
	uint32_t today = (uint32_t)(clock_wall_us() / 1000000 / 86400);
	if (share_on(l) && limit_day_count(&r->day, today) != 0)
		return true;
	if (!count_unwritten(l, first, of_account, today, &requests))
		return false;
	int64_t written = 0;
	struct query *st = store_sql(&l->store, SQL_limits_requests);
	sql_bind(st, (int64_t)first, today);
	if (!sql_number(&l->store, st, &written))
		return false;
	limit_day_recall(&r->day, today, (uint64_t)(requests + written));
	return true;
}

/*
 * Of several servers, a key that is new here, and took the place of one whose limit is in force, goes on with what that one counted: the sums have what others served.
 * A server that is alone asks the sums: one of its kin may have served without a limit.
 */
static bool
day_begins(const struct ledger *l, struct limit_row *r, bool is_new, const struct limit_amounts *a)
{
	const struct limit_row *counting = limit_counting(l->o.board, r);
	bool goes_on = share_on(l) && is_new && counting != r && atomic_load(&counting->amount[LIMIT_REQUESTS_DAY]) != 0;
	return a->amount[LIMIT_REQUESTS_DAY] != 0 && atomic_load(&r->amount[LIMIT_REQUESTS_DAY]) == 0 && !goes_on;
}

/* first: of the keys that took each other's place; what counts requests is its row. An account's is itself. */
static bool
publish_row(struct ledger *l, uint64_t subject, uint64_t account, uint64_t first)
{
	struct limit_amounts a;
	struct limit_lists lists;
	struct limit_byok_one own[LIMIT_BYOK_MAX];
	struct limit_policy policy;
	struct limit_lane lane;
	int own_count = subject == account ? byok_read(l, account, own) : 0;
	if (own_count < 0 || !policy_read(l, subject, &policy) || !lane_read(l, subject, &lane) || !limits_read(l, subject, &a) || !read_lists(l, subject, &lists))
		return false;
	bool any = lists.named != 0 || own_count > 0 || policy.zero_retention || policy.region[0] != '\0' || lane.name[0] != '\0';
	for (int k = 1; k < LIMIT_KIND_COUNT; k++)
		any |= a.amount[k] != 0;
	bool is_new = limit_find(l->o.board, subject) == 0;
	if (!any && is_new)
		return true;
	struct limit_row *r = limit_row(l->o.board, limit_make(l->o.board, subject));
	if (r == NULL)
		return false;
	if (first != subject)
		atomic_store(&r->counts, limit_make(l->o.board, first)); /* no room: it counts by itself */
	if (day_begins(l, r, is_new, &a) && !recall_day(l, first, subject == account, limit_counting(l->o.board, r)))
		return false;
	limit_set_lists(r, &lists);
	for (int k = 1; k < LIMIT_KIND_COUNT; k++) {
		atomic_store(&r->number[k], a.number[k]);
		atomic_store(&r->amount[k], a.amount[k]);
	}
	limit_set_policy(r, &policy);
	limit_set_lane(r, &lane);
	limit_set_byok(r, own, (unsigned)own_count);
	if (subject != account)
		atomic_store(&r->parent, limit_find(l->o.board, account));
	return true;
}

/* An account's keys go by its row, or by their own, which names it. */
static bool
tell_keys(struct ledger *l, uint64_t account)
{
	struct query *st = store_sql(&l->store, SQL_keys_of_account);
	uint32_t parent = limit_find(l->o.board, account);
	enum sql_step step;
	sql_bind(st, (int64_t)account);
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		uint64_t key = (uint64_t)sql_int(st, 1);
		struct limit_row *own = limit_row(l->o.board, limit_find(l->o.board, key));
		if (own != NULL)
			atomic_store(&own->parent, parent);
		key_table_limits(l->o.keys, sql_blob(st, 0), limits_row_of(l, key, account));
	}
	return step == SQL_END;
}

/* Those of its kin that still work. */
static bool
publish_others(struct ledger *l, uint64_t key, uint64_t account, uint64_t first)
{
	enum { AT_ONCE = 64 };
	uint64_t kin[AT_ONCE];
	int64_t after = 0;
	size_t count;
	bool ok = true;
	do {
		struct query *st = store_sql(&l->store, SQL_key_kin);
		enum sql_step step = SQL_END;
		sql_bind(st, (int64_t)first, after, (int64_t)(clock_wall_us() / 1000));
		for (count = 0; count < AT_ONCE && (step = sql_step(&l->store, st)) == SQL_ROW; count++)
			kin[count] = (uint64_t)sql_int(st, 0);
		sql_reset(st);
		for (size_t i = 0; i < count; i++)
			ok = (kin[i] == key || publish_row(l, kin[i], account, first)) && ok;
		if (step == SQL_FAILED)
			return false;
		after = count != 0 ? (int64_t)kin[count - 1] : after;
	} while (count == AT_ONCE);
	return ok;
}

/* What keys that took each other's place share was changed for all of them; where there is no room for all, this one comes first. */
static bool
publish_key(struct ledger *l, uint64_t key, uint64_t account)
{
	uint64_t first;
	if (!first_of(l, key, &first))
		return false;
	bool ok = publish_row(l, key, account, first);
	return publish_others(l, key, account, first) && ok;
}

bool
limits_publish(struct ledger *l, uint64_t subject, uint64_t account)
{
	if (l->o.board == NULL)
		return true;
	bool ok = subject == account ? publish_row(l, subject, account, subject) : publish_key(l, subject, account);
	return tell_keys(l, account) && ok;
}

bool
limits_fit(struct ledger *l, uint64_t key, bool *ret)
{
	int64_t any = 0;
	struct query *st = store_sql(&l->store, SQL_limits_any);
	sql_bind(st, (int64_t)key);
	if (!sql_number(&l->store, st, &any))
		return false;
	*ret = any == 0 || limit_has_room(l->o.board);
	return true;
}

/* Accounts first: their keys' rows name them. */
static bool
publish_all(struct ledger *l)
{
	struct query *st = store_sql(&l->store, SQL_limits_subjects);
	struct subject {
		uint64_t id, account;
	} *subjects = calloc(LIMIT_ROWS, sizeof *subjects);
	size_t count = 0;
	enum sql_step step = SQL_END;
	bool ok = subjects != NULL;
	while (ok && count < LIMIT_ROWS && (step = sql_step(&l->store, st)) == SQL_ROW)
		subjects[count++] = (struct subject){(uint64_t)sql_int(st, 0), (uint64_t)sql_int(st, 1)};
	sql_reset(st);
	(void)!limits_freshen(l); /* once: what could not be written is looked through for each limit that begins */
	for (size_t i = 0; ok && i < count; i++) {
		uint64_t first = subjects[i].id;
		ok = (first == subjects[i].account || first_of(l, first, &first)) && publish_row(l, subjects[i].id, subjects[i].account, first);
	}
	free(subjects);
	return ok && step != SQL_FAILED;
}

bool
limits_start(struct ledger *l)
{
	return publish_all(l);
}

void
limits_adopt(struct ledger *l)
{
	if (l->o.board != NULL && !publish_all(l))
		ledger_event(l, EVENT_STORE_FAILED, (uint64_t)l->store.code, 0);
}

/* ---- windows of money ---- */

enum sql_step
budget_read(struct ledger *l, uint64_t row, struct nano *ret)
{
	struct query *st = store_sql(&l->store, SQL_budget_balance);
	sql_bind(st, (int64_t)row);
	enum sql_step step = sql_step(&l->store, st);
	if (step == SQL_ROW)
		ret->v = sql_int(st, 0);
	sql_reset(st);
	return step;
}

bool
budget_balance(struct ledger *l, uint64_t row, struct nano *ret)
{
	return budget_read(l, row, ret) == SQL_ROW;
}

/* Booked, and what runs here. */
static bool
used_here(struct ledger *l, uint64_t row, int64_t *ret)
{
	uint32_t slot;
	struct nano share = {0};
	struct query *st = store_sql(&l->store, SQL_budget_used);
	sql_bind(st, (int64_t)row);
	enum sql_step step = sql_step(&l->store, st);
	int64_t used = step == SQL_ROW ? sql_int(st, 0) : 0;
	sql_reset(st);
	if (step == SQL_FAILED)
		return false;
	if (l->o.board != NULL && board_find(l->o.board, row, &slot)) {
		if (!share_balance(l, row, &share))
			return false;
		used += share.v - board_available(l->o.board, slot).v;
	}
	*ret = used;
	return true;
}

bool
budget_used(struct ledger *l, uint64_t row, int64_t limit_nano, int64_t *ret)
{
	uint32_t slot;
	struct nano left;
	if (share_on(l))
		return used_here(l, row, ret);
	if (l->o.board != NULL && board_find(l->o.board, row, &slot)) {
		*ret = limit_nano - board_available(l->o.board, slot).v;
		return true;
	}
	enum sql_step step = budget_read(l, row, &left);
	if (step != SQL_FAILED)
		*ret = step == SQL_ROW ? limit_nano - left.v : 0; /* not begun */
	return step != SQL_FAILED;
}

/* Windows that are long over: off the board, when nothing of them runs, and out of the store. */
/* In turn: what is booked meanwhile may be paid from it. */
static bool
delete_window(struct ledger *l, uint64_t row)
{
	if (!store_begin(&l->store))
		return false;
	struct query *st = store_sql(&l->store, SQL_budget_delete);
	sql_bind(st, (int64_t)row);
	return store_end(&l->store, sql_done(&l->store, st));
}

static bool
forget_windows(struct ledger *l, uint64_t number, uint32_t window)
{
	enum { AT_ONCE = 16 };
	uint64_t rows[AT_ONCE];
	size_t count = 0;
	bool ok = true;
	struct query *st = store_sql(&l->store, SQL_budgets_before);
	sql_bind(st, (int64_t)limit_budget_row(number, 0), (int64_t)limit_budget_row(number, window < 2 ? 0 : window - 2));
	while (count < AT_ONCE && sql_step(&l->store, st) == SQL_ROW)
		rows[count++] = (uint64_t)sql_int(st, 0);
	sql_reset(st);
	for (size_t i = 0; ok && i < count; i++) {
		uint32_t slot;
		/* What others have of it they give back, and the next time it goes. */
		if (share_on(l) && !share_make_free(l, rows[i], INT64_MAX))
			return false;
		if (l->o.board != NULL && board_find(l->o.board, rows[i], &slot) && !board_evict(l->o.board, rows[i]))
			continue;
		ok = delete_window(l, rows[i]);
	}
	return ok;
}

/* If it does by this clock as well: a day's may be asked for a moment before. */
static uint32_t
begin_window(struct ledger *l, uint64_t row)
{
	uint64_t number = row >> 32 & INT32_MAX;
	uint32_t window = (uint32_t)row;
	int64_t kind = 0;
	struct query *st = store_sql(&l->store, SQL_limit_by_number);
	sql_bind(st, (int64_t)number);
	if (sql_step(&l->store, st) == SQL_ROW)
		kind = sql_int(st, 0);
	sql_reset(st);
	if (kind < LIMIT_MONEY_FIRST || kind >= LIMIT_KIND_COUNT)
		return 1;
	uint32_t now = limit_window((enum limit_kind)kind, clock_wall_us() / 1000000);
	if (window + 1 < now || window > now + 1)
		return 1;
	if (!forget_windows(l, number, window))
		return 2;
	st = store_sql(&l->store, SQL_budget_begin);
	sql_bind(st, (int64_t)row, (int64_t)number);
	return sql_done(&l->store, st) ? 0 : 2;
}

uint32_t
budget_begin(struct ledger *l, uint64_t row)
{
	struct nano balance;
	enum sql_step step = budget_read(l, row, &balance);
	return step == SQL_ROW ? 0 : step == SQL_END ? begin_window(l, row)
												 : 2;
}

/* As often as not it has begun. */
static uint32_t
load_share(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot)
{
	uint32_t result = share_load(l, row, need_nano, ret_slot);
	if (result == ROW_UNKNOWN && (result = begin_window(l, row)) == ROW_LOADED)
		result = share_load(l, row, need_nano, ret_slot);
	return result;
}

uint32_t
budget_load(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot)
{
	struct nano balance;
	if (share_on(l))
		return load_share(l, row, need_nano, ret_slot);
	uint32_t refused = budget_begin(l, row);
	if (refused != 0)
		return refused;
	if (!budget_balance(l, row, &balance))
		return 2;
	return board_load(l->o.board, row, balance, ret_slot) ? 0 : 2;
}

/* Those that were opened: a limit that came later had no leg. */
static void
add_legs(struct ledger *l, struct ticket_copy *t, uint64_t subject)
{
	struct limit_amounts a;
	struct nano left;
	if (!limits_read(l, subject, &a))
		return;
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT && t->legs < TICKET_LEGS_MAX; k++) {
		uint64_t row = limit_budget_row(a.number[k], limit_window((enum limit_kind)k, t->facts.started_us / 1000000));
		if (a.number[k] == 0 || !budget_balance(l, row, &left))
			continue;
		t->row[t->legs] = t->row[t->legs - 1]; /* the account stays last */
		t->row[t->legs - 1] = row;
		t->legs++;
	}
}

void
budget_legs(struct ledger *l, struct ticket_copy *t)
{
	add_legs(l, t, t->facts.key);
	add_legs(l, t, t->facts.account);
}

static bool
add_windows(struct ledger *l, uint64_t subject, uint64_t ret[LIMIT_BUDGETS_MAX], int *count)
{
	struct limit_amounts a;
	if (!limits_read(l, subject, &a))
		return false;
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
		if (a.number[k] != 0 && *count < LIMIT_BUDGETS_MAX)
			ret[(*count)++] = limit_budget_row(a.number[k], limit_window((enum limit_kind)k, clock_wall_us() / 1000000));
	return true;
}

int
budget_windows(struct ledger *l, uint64_t key, uint64_t account, uint64_t ret[LIMIT_BUDGETS_MAX])
{
	int count = 0;
	memset(ret, 0, LIMIT_BUDGETS_MAX * sizeof ret[0]);
	return (key == 0 || add_windows(l, key, ret, &count)) && add_windows(l, account, ret, &count) ? count : -1;
}
