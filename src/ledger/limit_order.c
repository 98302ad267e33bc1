/* Orders about limits, and how they are shown. */
#include "ledger/limit_priv.h"
#include "ledger/orders.h"
#include "ledger/share_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kind_row {
	const char *member, *meaning;
	bool money;
} kinds[LIMIT_KIND_COUNT] = {
#define LIMIT_UNIT_COUNT false
#define LIMIT_UNIT_MONEY true
#define X(NAME, number, member, unit, window, meaning) [number] = {member, meaning, LIMIT_UNIT_##unit},
	LIMIT_KINDS(X)
#undef X
};

enum { TEXTS_MAX = 4000,
	COUNT_MOST = 1000000000,
	STREAMS_MOST = 60000 };

/* ---- what is asked ---- */

struct wish {
	bool given[LIMIT_KIND_COUNT];
	int64_t amount[LIMIT_KIND_COUNT]; /* 0: no limit any more */
	const char *models, *addresses; /* "": as it is */
	bool policy_given;
	struct limit_policy policy;
	struct lane_wish lane;
	bool scopes_given;
	int64_t scopes;
};

static bool
amount_of(const struct kind_row *k, bool streams, const char *text, int64_t *ret)
{
	struct nano n;
	char *end;
	if (k->money) {
		bool good = nano_parse((struct span){text, strlen(text)}, &n) && n.v > 0 && n.v <= ORDER_NANO_MAX;
		*ret = good ? n.v : 0;
		return good;
	}
	long long v = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : 0;
	*ret = v;
	return v > 0 && *end == '\0' && v <= (streams ? STREAMS_MOST : COUNT_MOST);
}

static bool
read_kind(const json_t *request, int kind, struct wish *ret, json_t **ret_error)
{
	const struct kind_row *k = &kinds[kind];
	const json_t *v = json_object_get(request, k->member);
	char number[24];
	const char *text = number;
	if (json_is_integer(v))
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
	else if (!control_text(request, &(struct text_rule){k->member, 40, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		return true;
	ret->given[kind] = true;
	if (strcmp(text, "none") == 0 || amount_of(k, kind == LIMIT_STREAMS, text, &ret->amount[kind]))
		return true;
	*ret_error = k->money ? control_error("bad_request", "\"%s\" must be dollars above 0 like 10.00, or none, not \"%s\"", k->member, text)
						  : control_error("bad_request", "\"%s\" must be a whole number from 1 to %d, or none, not \"%s\"", k->member,
								kind == LIMIT_STREAMS ? STREAMS_MOST : COUNT_MOST, text);
	return false;
}

static bool
read_scopes(const json_t *request, struct wish *ret, json_t **ret_error)
{
	static const struct {
		const char *word;
		int64_t bit;
	} scopes[] = {
#define X(NAME, bit, word, meaning) {word, bit},
		KEY_SCOPES(X)
#undef X
	};
	const char *text;
	if (!control_text(request, &(struct text_rule){"scopes", 128, false}, &text, ret_error))
		return false;
	ret->scopes_given = text[0] != '\0';
	if (strcmp(text, "any") == 0)
		return true;
	for (const char *at = text; *at != '\0'; at += *at == ',') {
		size_t len = strcspn(at, ","), i = 0;
		while (i < ARRAY_LEN(scopes) && (strlen(scopes[i].word) != len || strncmp(scopes[i].word, at, len) != 0))
			i++;
		if (i == ARRAY_LEN(scopes)) {
			*ret_error = control_error("bad_request", "\"scopes\" may be some of inference, models and usage with commas between, or any, not \"%s\"", text);
			return false;
		}
		ret->scopes |= scopes[i].bit;
		at += len;
	}
	return true;
}

static bool
read_policy(const json_t *request, struct wish *ret, json_t **ret_error)
{
	const char *text;
	if (!control_text(request, &(struct text_rule){"policy", 80, false}, &text, ret_error))
		return false;
	ret->policy_given = text[0] != '\0';
	if (!ret->policy_given || policy_parse(text, &ret->policy))
		return true;
	*ret_error = control_error("bad_request", "\"policy\" must be none, or of zero-retention and one region=WORD (small letters, digits, - and _, at most 15) with a comma between, not \"%s\"", text);
	return false;
}

static bool
read_wish(struct ledger *l, const json_t *request, struct wish *ret, json_t **ret_error)
{
	*ret = (struct wish){0};
	for (int k = 1; k < LIMIT_KIND_COUNT; k++)
		if (!read_kind(request, k, ret, ret_error))
			return false;
	return control_text(request, &(struct text_rule){"models", TEXTS_MAX, false}, &ret->models, ret_error) &&
		control_text(request, &(struct text_rule){"addresses", TEXTS_MAX, false}, &ret->addresses, ret_error) && read_scopes(request, ret, ret_error) &&
		read_policy(request, ret, ret_error) && lane_wanted(l, request, &ret->lane, ret_error);
}

/* ---- lists ---- */

typedef json_t *pattern_taker(struct ledger *l, void *arg, const char *pattern);

/* Each of the words with commas between. NULL: all were taken. */
static json_t *
each_pattern(struct ledger *l, const char *text, pattern_taker *take, void *arg)
{
	json_t *error = NULL;
	char one[129];
	for (const char *at = text; error == NULL && *at != '\0'; at += *at == ',') {
		while (*at == ' ')
			at++;
		size_t len = strcspn(at, ",");
		size_t trimmed = len;
		while (trimmed != 0 && at[trimmed - 1] == ' ')
			trimmed--;
		if (trimmed == 0 || trimmed >= sizeof(one))
			return control_error("bad_request", "a list has words of 1 to 128 bytes with commas between");
		memcpy(one, at, trimmed);
		one[trimmed] = '\0';
		error = take(l, arg, one);
		at += len;
	}
	return error;
}

static json_t *
check_model(struct ledger *l, void *arg, const char *pattern)
{
	struct limit_lists *all = arg, own = {0};
	if (!limits_models_named(l, pattern, &own) || !limits_models_named(l, pattern, all))
		return control_error("too_many_models", "a list may name %d models at most; \"%s\" makes it more", LIMIT_MODELS_MAX, pattern);
	if (own.model_count == 0 && l->o.catalogue != NULL)
		return control_error("no_such_model", "no model of the catalogue fits \"%s\": `lethe price list` shows all; '*' stands for any characters", pattern);
	return NULL;
}

static json_t *
check_address(struct ledger *l, void *arg, const char *pattern)
{
	struct limit_lists *all = arg;
	struct address_range r;
	if (!address_range_parse((struct span){pattern, strlen(pattern)}, &r))
		return control_error("bad_request",
			"\"%s\" is not an address or range like 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32 (bits beyond the length must be zero)", pattern);
	if (all->address_count++ == LIMIT_ADDRESSES_MAX)
		return control_error("too_many_addresses", "a list may have %d addresses at most", LIMIT_ADDRESSES_MAX);
	return NULL;
}

static json_t *
check_lists(struct ledger *l, const struct wish *w)
{
	struct limit_lists all = {0};
	json_t *error = strcmp(w->models, "any") == 0 ? NULL : each_pattern(l, w->models, check_model, &all);
	if (error == NULL && strcmp(w->addresses, "any") != 0)
		error = each_pattern(l, w->addresses, check_address, &all);
	return error;
}

struct allowing {
	uint64_t subject;
	enum limit_named what;
	bool ok;
};

static json_t *
allow_one(struct ledger *l, void *arg, const char *pattern)
{
	struct allowing *a = arg;
	struct query *st = store_sql(&l->store, SQL_allowed_insert);
	sql_bind(st, (int64_t)a->subject, a->what);
	sql_bind_text(st, 3, pattern);
	a->ok = a->ok && sql_done(&l->store, st);
	return NULL;
}

static bool
write_list(struct ledger *l, uint64_t subject, enum limit_named what, const char *text)
{
	struct allowing a = {subject, what, true};
	if (text[0] == '\0')
		return true;
	struct query *st = store_sql(&l->store, SQL_allowed_delete);
	sql_bind(st, (int64_t)subject, what);
	a.ok = sql_done(&l->store, st);
	if (strcmp(text, "any") != 0)
		json_decref(each_pattern(l, text, allow_one, &a));
	return a.ok;
}

/* ---- writing ---- */

/* What the limit that it takes the place of had used and held, or what was spent without one. False: the store failed; one that began with less would let more through. */
static bool
used_before(struct ledger *l, uint64_t subject, int kind, const struct limit_amounts *old, uint32_t window, int64_t *ret)
{
	struct limit_spent spent;
	if (old->number[kind] == 0) {
		if (!limits_spent(l, subject, (enum limit_kind)kind, window, &spent))
			return false;
		*ret = spent.nano;
	} else if (!budget_used(l, limit_budget_row(old->number[kind], window), old->amount[kind], ret))
		return false;
	*ret = *ret < 0 ? 0 : *ret;
	return true;
}

struct change {
	int64_t amount, number, used;
	int64_t old_number; /* 0: there was none, or it is not one of money */
	uint64_t old_row; /* of the limit that it takes the place of; 0: there was none */
	uint32_t window;
	bool given;
	bool amends; /* of several servers' store: the same limit, of another amount */
};

/* What is set aside counts as used in the new window: what comes back of it comes back there. Not while an order about it is on its way: its ticket names the old one. */
static bool
move_holds(struct ledger *l, uint64_t account, uint64_t from, uint64_t to)
{
	struct query *st = store_sql(&l->store, SQL_item_windows_move);
	if (from == 0)
		return true;
	sql_bind(st, (int64_t)from, (int64_t)to, (int64_t)account);
	return sql_done(&l->store, st);
}

/* A limit of money that another key has, too, for one took the other's place, is one limit: else each would have all of it. */
static bool
write_shared(struct ledger *l, const struct change *c)
{
	struct query *st = store_sql(&l->store, c->amount == 0 ? SQL_limits_remove : SQL_limits_renumber);
	sql_bind(st, c->old_number);
	if (c->amount != 0)
		sql_bind_ints(st, 2, (const int64_t[]){c->amount, c->number}, 2);
	return sql_done(&l->store, st);
}

static bool
write_own(struct ledger *l, uint64_t subject, int kind, const struct change *c)
{
	struct query *st = store_sql(&l->store, SQL_limits_delete);
	sql_bind(st, (int64_t)subject, kind);
	if (!sql_done(&l->store, st) || c->amount == 0)
		return c->amount == 0;
	st = store_sql(&l->store, SQL_limits_insert);
	sql_bind(st, (int64_t)subject, kind, c->amount, c->number);
	return sql_done(&l->store, st);
}

static bool
write_kind(struct ledger *l, uint64_t subject, uint64_t account, int kind, const struct change *c)
{
	uint64_t row = limit_budget_row((uint64_t)c->number, c->window);
	if (c->amends)
		return share_amend(l, (uint64_t)c->number, c->amount);
	if (!(c->old_number != 0 ? write_shared(l, c) : write_own(l, subject, kind, c)))
		return false;
	if (c->number == 0)
		return true;
	struct query *st = store_sql(&l->store, SQL_budget_insert);
	sql_bind(st, (int64_t)row, c->amount, c->used);
	return sql_done(&l->store, st) && move_holds(l, account, c->old_row, row);
}

static bool
plan_changes(struct ledger *l, uint64_t subject, const struct wish *w, struct change ret[LIMIT_KIND_COUNT])
{
	struct limit_amounts old;
	if (!limits_read(l, subject, &old))
		return false;
	for (int k = 1; k < LIMIT_KIND_COUNT; k++) {
		ret[k] = (struct change){.amount = w->amount[k], .given = w->given[k] && w->amount[k] != old.amount[k]};
		if (!ret[k].given || k < LIMIT_MONEY_FIRST)
			continue;
		ret[k].old_number = (int64_t)old.number[k];
		if (ret[k].amount == 0)
			continue;
		if (share_on(l) && old.number[k] != 0) {
			ret[k].number = (int64_t)old.number[k];
			ret[k].amends = true;
			continue;
		}
		ret[k].window = limit_window((enum limit_kind)k, clock_wall_us() / 1000000);
		if (!used_before(l, subject, k, &old, ret[k].window, &ret[k].used))
			return false;
		if (old.number[k] != 0)
			ret[k].old_row = limit_budget_row(old.number[k], ret[k].window);
	}
	return true;
}

/* Inside the transaction: other servers give numbers, too. */
static bool
give_numbers(struct ledger *l, struct change changes[LIMIT_KIND_COUNT])
{
	int64_t number = 0;
	if (!sql_number(&l->store, store_sql(&l->store, SQL_limits_last), &number))
		return false;
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
		if (changes[k].given && changes[k].amount != 0 && !changes[k].amends)
			changes[k].number = ++number;
	return true;
}

static bool
write_all(struct ledger *l, uint64_t subject, uint64_t account, const struct wish *w, struct change changes[LIMIT_KIND_COUNT])
{
	bool of_key = subject != account, ok = give_numbers(l, changes);
	for (int k = 1; ok && k < LIMIT_KIND_COUNT; k++)
		if (changes[k].given)
			ok = write_kind(l, subject, account, k, &changes[k]);
	ok = ok && write_list(l, subject, LIMIT_MODELS, w->models) && write_list(l, subject, LIMIT_ADDRESSES, w->addresses);
	if (ok && w->policy_given)
		ok = policy_write(l, subject, &w->policy);
	if (ok && w->lane.given)
		ok = lane_write(l, subject, &w->lane.lane);
	if (ok && of_key && w->scopes_given) {
		struct query *st = store_sql(&l->store, SQL_key_scopes);
		sql_bind(st, (int64_t)subject, w->scopes);
		ok = sql_done(&l->store, st);
	}
	return ok && change_record(l, of_key ? CHANGE_KEY : CHANGE_ACCOUNT, subject);
}

/* A request may be under so many limits of money as a ticket has legs besides its account's. */
static json_t *
check_money(struct ledger *l, uint64_t subject, uint64_t account, const struct wish *w)
{
	struct limit_amounts own;
	int64_t others = 0;
	unsigned count = 0;
	struct query *st = store_sql(&l->store, SQL_limits_money_around);
	sql_bind(st, (int64_t)subject, (int64_t)account, LIMIT_MONEY_FIRST);
	if (!limits_read(l, subject, &own) || !sql_number(&l->store, st, &others))
		return control_store_failed(l);
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
		count += (w->given[k] ? w->amount[k] : own.amount[k]) != 0;
	if (count + (unsigned)others <= LIMIT_BUDGETS_MAX)
		return NULL;
	return control_error("too_many_limits",
		"a request can be under %d limits of money at most, its key's and its account's together: take one off first (none)", LIMIT_BUDGETS_MAX);
}

/* A new limit of money begins with what was spent. */
static bool
wants_money(const struct wish *w)
{
	bool any = false;
	for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
		any |= w->given[k] && w->amount[k] != 0;
	return any;
}

/* In one transaction with what it goes by: other servers change limits, too. */
static json_t *
change_limits(struct ledger *l, uint64_t subject, uint64_t account, const struct wish *w)
{
	struct change changes[LIMIT_KIND_COUNT];
	if ((wants_money(w) && !limits_freshen(l)) || !store_begin(&l->store))
		return control_store_failed(l);
	json_t *error = check_money(l, subject, account, w);
	if (error == NULL && (!plan_changes(l, subject, w, changes) || !write_all(l, subject, account, w, changes)))
		error = control_store_failed(l);
	return store_end(&l->store, error == NULL) || error != NULL ? error : control_store_failed(l);
}

json_t *
limits_set(struct ledger *l, const json_t *request, uint64_t subject, uint64_t account)
{
	struct wish w;
	json_t *error;
	if (!read_wish(l, request, &w, &error))
		return error;
	if ((error = check_lists(l, &w)) != NULL || (error = change_limits(l, subject, account, &w)) != NULL)
		return error;
	if (!share_limits_changed(l, subject))
		return control_store_failed(l);
	l->store.code = 0; /* of this, if it has one */
	if (!limits_publish(l, subject, account))
		return l->store.lost || l->store.code != 0 ? control_store_failed(l) : control_error("too_many_limits", "the server has no room for limits of another key (%d have some); they hold from its next start", LIMIT_ROWS);
	/* Of any limit's windows: one that another has in hand is for the next look, and no failure of this order, which is done. */
	return share_return_excess(l) || !l->store.lost ? NULL : control_store_failed(l);
}

bool
limits_copy(struct ledger *l, uint64_t from, uint64_t to)
{
	static const enum sql copies[] = {SQL_limits_copy, SQL_allowed_copy, SQL_key_scopes_copy, SQL_key_kin_copy, SQL_policy_copy, SQL_lane_copy};
	bool ok = true;
	for (size_t i = 0; ok && i < ARRAY_LEN(copies); i++) {
		struct query *st = store_sql(&l->store, copies[i]);
		sql_bind(st, (int64_t)from, (int64_t)to);
		ok = sql_done(&l->store, st);
	}
	return ok;
}

/* ---- showing ---- */

static void
put_lists(struct ledger *l, json_t *o, uint64_t subject)
{
	json_t *models = NULL, *addresses = NULL;
	struct query *st = store_sql(&l->store, SQL_allowed_of);
	sql_bind(st, (int64_t)subject);
	while (sql_step(&l->store, st) == SQL_ROW) {
		json_t **to = sql_int(st, 0) == LIMIT_MODELS ? &models : &addresses;
		if (*to == NULL)
			*to = json_array();
		json_array_append_new(*to, json_string(sql_str(st, 1)));
	}
	json_object_set_new(o, "models", models != NULL ? models : json_null());
	json_object_set_new(o, "addresses", addresses != NULL ? addresses : json_null());
}

void
limits_put_scopes(json_t *o, int64_t scopes)
{
	json_t *list = json_array();
#define X(NAME, bit, word, meaning) \
	if (scopes == 0 || (scopes & (bit))) \
		json_array_append_new(list, json_string(word));
	KEY_SCOPES(X)
#undef X
	json_object_set_new(o, "scopes", list);
}

static void
put_used(struct ledger *l, json_t *o, uint64_t subject, int kind, const struct limit_amounts *a)
{
	uint32_t window = limit_window((enum limit_kind)kind, clock_wall_us() / 1000000);
	struct limit_row *r = l->o.board != NULL ? limit_row(l->o.board, limit_find(l->o.board, subject)) : NULL;
	struct limit_spent spent = {0};
	int64_t used = 0;
	if (kind >= LIMIT_MONEY_FIRST) {
		(void)!budget_used(l, limit_budget_row(a->number[kind], window), a->amount[kind], &used);
		control_put_nano(o, kinds[kind].member, used);
	} else if (kind == LIMIT_REQUESTS_DAY) {
		if (r == NULL && limits_freshen(l))
			(void)!limits_spent(l, subject, LIMIT_REQUESTS_DAY, window, &spent);
		json_object_set_new(o, kinds[kind].member, json_integer(r != NULL ? (json_int_t)limit_day_count(&limit_counting(l->o.board, r)->day, window) : spent.requests));
	} else if (kind == LIMIT_STREAMS)
		json_object_set_new(o, kinds[kind].member, json_integer(r != NULL ? limit_streams(r) : 0));
}

void
limits_put(struct ledger *l, json_t *o, uint64_t subject)
{
	struct limit_amounts a;
	json_t *limits = json_object(), *used = json_object();
	if (limits_read(l, subject, &a))
		for (int k = 1; k < LIMIT_KIND_COUNT; k++) {
			if (a.amount[k] == 0)
				continue;
			if (kinds[k].money)
				control_put_nano(limits, kinds[k].member, a.amount[k]);
			else
				json_object_set_new(limits, kinds[k].member, json_integer(a.amount[k]));
			put_used(l, used, subject, k, &a);
		}
	json_object_set_new(o, "limits", limits);
	json_object_set_new(o, "used", used);
	put_lists(l, o, subject);
	policy_put(l, o, subject);
	lane_put(l, o, subject);
}
