/* Limits: what is asked, what stands on the board, and what windows of money remember. */
#include "ledger/ledger_world.h"
#include "ledger/limit_priv.h"
#include "ticket/ids.h"

#include <string.h>

#define DOLLAR 1000000000LL

static struct world w;

static int
begin(void **state)
{
	world_begin(&w);
	return 0;
}

static int
end(void **state)
{
	world_end(&w);
	return 0;
}

struct made {
	uint64_t account, key;
	char key_text[ID_TEXT_MAX];
	char secret[API_KEY_BYTES + 1];
};

static struct made
make(const char *name)
{
	struct made m = {.account = world_account(&w, name, "100.00")};
	json_t *answer = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", name);
	snprintf(m.key_text, sizeof m.key_text, "%s", json_string_value(json_object_get(answer, "key")));
	snprintf(m.secret, sizeof m.secret, "%s", json_string_value(json_object_get(answer, "secret")));
	assert_true(id_parse(ID_KEY, (struct span){m.key_text, strlen(m.key_text)}, &m.key));
	json_decref(answer);
	return m;
}

static struct made
rotate(const struct made *m, const char *overlap)
{
	struct made next = *m;
	json_t *answer = world_must(&w, "{s:s, s:s, s:s}", "op", "key.rotate", "key", m->key_text, "overlap", overlap);
	snprintf(next.secret, sizeof next.secret, "%s", json_string_value(json_object_get(answer, "secret")));
	snprintf(next.key_text, sizeof next.key_text, "%s", json_string_value(json_object_get(answer, "key")));
	assert_true(id_parse(ID_KEY, (struct span){next.key_text, strlen(next.key_text)}, &next.key));
	json_decref(answer);
	return next;
}

static struct key_facts
facts_of(const struct made *m)
{
	struct key_facts f;
	uint8_t hash[API_KEY_HASH_BYTES];
	api_key_hash(w.pepper, (struct span){m->secret, API_KEY_BYTES}, hash);
	assert_true(key_table_find(w.ledger->o.keys, hash, &f));
	return f;
}

static struct limit_row *
row_of(const struct made *m)
{
	return limit_row(w.edge_board, facts_of(m).limits);
}

static void
set(const char *op, const char *who, const char *member, const char *value)
{
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", op, strcmp(op, "key.limit") == 0 ? "key" : "account", who, member, value));
}

/* The row of this window on the board, as an edge asks for it. */
static uint64_t
window_row(const struct limit_row *r, enum limit_kind kind)
{
	return limit_budget_row(r->number[kind], limit_window(kind, clock_wall_us() / 1000000));
}

static uint32_t
load(uint64_t row)
{
	uint32_t slot = UINT32_MAX;
	assert_int_equal(ledger_load_row(w.ledger, row, 0, &slot), 0);
	return slot;
}

static int64_t
left(uint64_t row)
{
	return board_available(w.ledger_board, load(row)).v;
}

/* An exchange on the window and the account. NULL: SHORT. */
static struct ticket *
hold(const struct made *m, uint64_t row, int64_t nano)
{
	uint32_t slot;
	assert_true(board_find(w.ledger_board, m->account, &slot));
	const struct ticket_leg legs[] = {{row, load(row)}, {m->account, slot}};
	struct ticket *t = ticket_pick(w.desk);
	uint64_t id = ticket_next_id(w.desk, clock_wall_us() / 1000);
	if (ticket_take(w.desk, t, id, legs, 2, (struct nano){nano}, NULL) != MOVED) {
		ticket_unpick(w.desk, t);
		return NULL;
	}
	t->facts = (struct ticket_facts){.started_us = clock_wall_us(), .key = m->key, .account = m->account, .price = w.catalogue.price[0].id, .model = w.catalogue.model[0].id, .provider = w.catalogue.provider[0].id, .status = 200, .end_reason = 1, .tokens_input = 1000};
	ticket_state_cost(t, (struct nano){world_cost(&w, &(struct world_exchange){.input = 1000})});
	return t;
}

/* ---- what stands on the board ---- */

static void
a_key_without_limits_has_no_row(void **state)
{
	struct made m = make("acme");
	assert_int_equal(facts_of(&m).limits, 0);
	set("key.limit", m.key_text, "requests_per_minute", "none");
	assert_int_equal(facts_of(&m).limits, 0);
}

static void
limits_are_on_the_board_when_the_order_is_answered(void **state)
{
	struct made m = make("acme"), other = make("other");
	set("key.limit", m.key_text, "requests_per_minute", "60");
	set("account.limit", "acme", "streams", "5");
	set("key.limit", m.key_text, "scopes", "inference,usage");
	const struct limit_row *r = row_of(&m);
	assert_int_equal(r->amount[LIMIT_REQUESTS_MINUTE], 60);
	assert_int_equal(limit_row(w.edge_board, r->parent)->amount[LIMIT_STREAMS], 5);
	assert_int_equal(facts_of(&m).scopes, KEY_SCOPE_INFERENCE | KEY_SCOPE_USAGE);
	assert_int_equal(facts_of(&other).limits, 0);
	set("key.limit", m.key_text, "requests_per_minute", "none");
	assert_int_equal(row_of(&m)->amount[LIMIT_REQUESTS_MINUTE], 0);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(limit_row(w.edge_board, row_of(&m)->parent ? row_of(&m)->parent : facts_of(&m).limits)->amount[LIMIT_STREAMS], 5);
	assert_int_equal(facts_of(&m).scopes, KEY_SCOPE_INFERENCE | KEY_SCOPE_USAGE);
}

static void
a_key_that_is_made_later_is_under_its_account_s_limits(void **state)
{
	world_account(&w, "early", "1.00");
	set("account.limit", "early", "requests_per_minute", "7");
	json_t *answer = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "early");
	struct made m = {0};
	snprintf(m.secret, sizeof m.secret, "%s", json_string_value(json_object_get(answer, "secret")));
	json_decref(answer);
	assert_int_equal(row_of(&m)->amount[LIMIT_REQUESTS_MINUTE], 7);
}

static void
what_makes_no_sense_is_refused_with_what_to_do(void **state)
{
	struct made m = make("acme");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "requests_per_minute", "0");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "streams", "70000");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "dollars_per_day", "-1");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "dollars_per_day", "1e9");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "addresses", "10.0.0.1/8");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "scopes", "inference,everything");
	world_refused(&w, "no_such_model", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "models", "nothing-*");
	world_refused(&w, "not_a_customer", "{s:s, s:s, s:s}", "op", "account.limit", "account", "revenue", "streams", "3");
	world_refused(&w, "too_many_limits", "{s:s, s:s, s:s, s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "dollars_per_day", "1", "dollars_per_week", "2",
		"dollars_per_month", "3", "dollars_per_hour", "1");
	set("key.limit", m.key_text, "dollars_per_hour", "1");
	set("key.limit", m.key_text, "dollars_per_day", "1");
	set("account.limit", "acme", "dollars_per_day", "1");
	world_refused(&w, "too_many_limits", "{s:s, s:s, s:s}", "op", "account.limit", "account", "acme", "dollars_per_week", "1");
	world_refused(&w, "too_many_limits", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "dollars_per_week", "1");
}

static void
lists_name_models_by_pattern(void **state)
{
	struct made m = make("acme");
	const char *name = w.catalogue.name[0].name;
	set("key.limit", m.key_text, "models", name);
	const struct limit_row *r = row_of(&m);
	assert_true(limit_allows_model(r, w.catalogue.model[w.catalogue.name[0].model].id));
	assert_false(limit_allows_model(r, w.catalogue.model[w.catalogue.name[1].model].id));
	set("key.limit", m.key_text, "models", "*");
	assert_true(limit_allows_model(r, w.catalogue.model[0].id) && limit_allows_model(r, w.catalogue.model[1].id));
	set("key.limit", m.key_text, "models", "any");
	assert_false(limit_names(r, LIMIT_MODELS));
	set("key.limit", m.key_text, "addresses", "192.0.2.0/24, 2001:db8::/32");
	assert_true(limit_names(r, LIMIT_ADDRESSES));
}

/* Of the key's row, or its account's if it has none. */
static const char *
lane_of(const struct made *m)
{
	static struct limit_lane lane;
	limit_lane(row_of(m), &lane);
	return lane.name;
}

static void
a_lane_stands_on_the_board_and_in_the_store_until_it_is_taken_off(void **state)
{
	struct made m = make("acme"), other = make("other"), next;
	world_refused(&w, "no_such_lane", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "lane", "econom");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "lane", "a-name-that-is-longer-than-any-lane");
	assert_int_equal(facts_of(&m).limits, 0);
	set("account.limit", "acme", "lane", "Direct");
	assert_string_equal(lane_of(&m), "direct");
	json_t *shown = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "acme");
	assert_string_equal(json_string_value(json_object_get(shown, "lane")), "direct");
	json_decref(shown);
	shown = world_must(&w, "{s:s, s:s}", "op", "key.show", "key", m.key_text);
	assert_true(json_is_null(json_object_get(shown, "lane"))); /* not its own */
	json_decref(shown);
	set("key.limit", m.key_text, "lane", "direct");
	set("account.limit", "acme", "lane", "none");
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_string_equal(lane_of(&m), "direct");
	assert_int_equal(row_of(&m)->parent, 0);
	assert_int_equal(facts_of(&other).limits, 0);
	next = rotate(&m, "24h");
	assert_string_equal(lane_of(&next), "direct");
	set("key.limit", m.key_text, "requests_per_minute", "5"); /* what is not named stays as it is */
	assert_string_equal(lane_of(&m), "direct");
	set("key.limit", m.key_text, "lane", "none");
	assert_string_equal(lane_of(&m), "");
	assert_string_equal(lane_of(&next), "direct");
}

static void
a_key_and_an_account_may_have_a_lane_from_the_beginning(void **state)
{
	struct made m = {0};
	world_refused(&w, "no_such_lane", "{s:s, s:s, s:s}", "op", "account.create", "name", "acme", "lane", "econom");
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "account.create", "name", "acme", "lane", "direct"));
	json_t *shown = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "acme");
	assert_string_equal(json_string_value(json_object_get(shown, "lane")), "direct");
	json_decref(shown);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "account.create", "name", "other"));
	world_refused(&w, "no_such_lane", "{s:s, s:s, s:s}", "op", "key.create", "account", "other", "lane", "econom");
	for (int i = 0; i < 2; i++) {
		json_t *answer = world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", i == 0 ? "acme" : "other", i == 0 ? "name" : "lane", "direct");
		snprintf(m.secret, sizeof m.secret, "%s", json_string_value(json_object_get(answer, "secret")));
		json_decref(answer);
		assert_string_equal(lane_of(&m), "direct");
	}
}

static void
a_rotated_key_has_the_limits_and_shares_the_windows(void **state)
{
	struct made m = make("acme"), next;
	set("key.limit", m.key_text, "dollars_per_day", "5");
	set("key.limit", m.key_text, "scopes", "inference");
	next = rotate(&m, "24h");
	assert_int_equal(row_of(&next)->amount[LIMIT_MONEY_DAY], 5 * DOLLAR);
	assert_int_equal(window_row(row_of(&next), LIMIT_MONEY_DAY), window_row(row_of(&m), LIMIT_MONEY_DAY));
	assert_int_equal(facts_of(&next).scopes, KEY_SCOPE_INFERENCE);
}

/* Else each of the two would have all of it. */
static void
a_changed_limit_of_money_is_changed_for_all_keys_that_share_it(void **state)
{
	struct made m = make("acme"), next;
	set("key.limit", m.key_text, "dollars_per_day", "5");
	next = rotate(&m, "24h");
	const struct made *const asked[] = {&m, &next};
	for (int i = 0; i < 2; i++) {
		set("key.limit", asked[i]->key_text, "dollars_per_day", i == 0 ? "3" : "4");
		for (int again = 0; again < 2; again++) { /* now, and by the store */
			uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
			assert_int_equal(row_of(&m)->amount[LIMIT_MONEY_DAY], (3 + i) * DOLLAR);
			assert_int_equal(row_of(&next)->amount[LIMIT_MONEY_DAY], (3 + i) * DOLLAR);
			assert_int_equal(window_row(row_of(&next), LIMIT_MONEY_DAY), row);
			assert_int_equal(left(row), (3 + i) * DOLLAR);
			world_kill_ledger(&w);
			world_lose_board(&w);
			world_open(&w, true);
		}
	}
	set("key.limit", m.key_text, "dollars_per_day", "none");
	assert_int_equal(row_of(&m)->number[LIMIT_MONEY_DAY], 0);
	assert_int_equal(row_of(&next)->amount[LIMIT_MONEY_DAY], 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM limits"), 0);
	world_is_sound(&w);
}

/* From here on the store fails at this statement alone, until it has what it had. */
static struct query
fail_at(enum sql name, struct query **ret_failing)
{
	struct query *st = store_sql(&w.ledger->store, name), whole = *st;
	*ret_failing = sql_prepare(&w.ledger->store, "SELECT abs(-9223372036854775807 - 1) WHERE ?1 <> 0");
	assert_non_null(*ret_failing);
	*st = **ret_failing;
	return whole;
}

static void
who_shares_a_limit_is_not_guessed_while_the_store_fails(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "5");
	struct made next = rotate(&m, "24h");
	struct query *failing, whole = fail_at(SQL_key_root, &failing);
	world_refused(&w, "store_failed", "{s:s, s:s, s:s}", "op", "key.limit", "key", next.key_text, "dollars_per_day", "3");
	*store_sql(&w.ledger->store, SQL_key_root) = whole;
	sql_free(failing);
	set("key.limit", next.key_text, "dollars_per_day", "3");
	assert_int_equal(row_of(&m)->amount[LIMIT_MONEY_DAY], 3 * DOLLAR);
	assert_int_equal(row_of(&next)->amount[LIMIT_MONEY_DAY], 3 * DOLLAR);
	assert_int_equal(window_row(row_of(&next), LIMIT_MONEY_DAY), window_row(row_of(&m), LIMIT_MONEY_DAY));
}

/* Each server gives ids by its own clock: a key may have a smaller one than that whose place it took. */
static void
the_first_of_kin_is_who_took_nobody_s_place_whatever_its_id_is(void **state)
{
	char sql[160];
	struct made later = make("acme");
	set("key.limit", later.key_text, "dollars_per_day", "5");
	set("key.limit", later.key_text, "requests_per_day", "10");
	struct made first = rotate(&later, "24h");
	snprintf(sql, sizeof sql, "UPDATE key SET kin = CASE WHEN id = %lld THEN %lld ELSE 0 END", (long long)later.key, (long long)first.key);
	world_damage(&w, sql);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(row_of(&later)->counts, limit_find(w.ledger_board, first.key));
	assert_int_equal(row_of(&first)->counts, 0);
	set("key.limit", later.key_text, "dollars_per_day", "3");
	assert_int_equal(row_of(&later)->amount[LIMIT_MONEY_DAY], 3 * DOLLAR);
	assert_int_equal(row_of(&first)->amount[LIMIT_MONEY_DAY], 3 * DOLLAR);
	assert_int_equal(window_row(row_of(&later), LIMIT_MONEY_DAY), window_row(row_of(&first), LIMIT_MONEY_DAY));
}

static void
count_together(const struct made *const kin[], size_t count)
{
	uint64_t row = window_row(row_of(kin[0]), LIMIT_MONEY_DAY);
	assert_int_equal(row_of(kin[0])->counts, 0);
	for (size_t i = 1; i < count; i++) {
		assert_int_equal(row_of(kin[i])->counts, facts_of(kin[0]).limits);
		assert_int_equal(window_row(row_of(kin[i]), LIMIT_MONEY_DAY), row);
	}
}

/* Whoever lost the second one's secret makes a third in the place of the first: what names its heir can name one. */
static void
keys_count_together_however_often_each_of_them_is_rotated(void **state)
{
	struct made a = make("acme");
	set("key.limit", a.key_text, "dollars_per_day", "5");
	set("key.limit", a.key_text, "requests_per_day", "10");
	struct made b = rotate(&a, "24h"), c = rotate(&a, "24h"), d = rotate(&b, "24h");
	const struct made *const kin[] = {&a, &b, &c, &d};
	count_together(kin, ARRAY_LEN(kin));
	assert_int_not_equal(world_exchange(&w, (struct world_exchange){.account = b.account, .key = b.key, .input = 1000, .cost = -1}), 0);
	world_round(&w);
	set("key.limit", c.key_text, "dollars_per_day", "3");
	for (size_t i = 0; i < ARRAY_LEN(kin); i++)
		assert_int_equal(row_of(kin[i])->amount[LIMIT_MONEY_DAY], 3 * DOLLAR);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	count_together(kin, ARRAY_LEN(kin));
	assert_int_equal(limit_day_count(&row_of(&a)->day, (uint32_t)(clock_wall_us() / 86400000000)), 1);
}

/* Before 029_kin.sql a key named its heir, and nothing else said who shares a limit. */
static void
keys_of_an_older_store_count_together_with_those_that_took_their_place(void **state)
{
	enum { BEFORE_KIN = 28,
		ACCOUNT = 1000 };
	/* Ids are not in the order of the rotations. One names only the last that took its place, so that the one between is nobody's kin. */
	static const struct {
		int64_t id, replaced_by, kin;
	} rows[] = {{30, 10, 0}, {10, 20, 30}, {20, 0, 30}, {40, 0, 0}, {50, 52, 0}, {51, 0, 0}, {52, 0, 50}};
	char business[2048], sql[80];
	size_t n = (size_t)snprintf(business, sizeof business, "INSERT INTO account (id, kind, name, created_us) VALUES (%d, 0, 'old', 1);", ACCOUNT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		n += (size_t)snprintf(business + n, sizeof business - n,
			"INSERT INTO key (id, account, created_us, hash, last4, name, replaced_by) VALUES (%lld, %d, 1, %s%048lld', 'last', '', %lld);"
			"INSERT INTO limits (subject, kind, amount, number) VALUES (%lld, %d, 5, 0);",
			(long long)rows[i].id, ACCOUNT, world_on_postgres() ? "'\\x" : "x'", (long long)rows[i].id, (long long)rows[i].replaced_by, (long long)rows[i].id, LIMIT_REQUESTS_MINUTE);
	assert_true(n < sizeof business);
	world_make_older(&w, BEFORE_KIN, business);
	world_open(&w, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(sql, sizeof sql, "SELECT kin FROM key WHERE id = %lld", (long long)rows[i].id);
		assert_int_equal(world_sql(&w, sql), rows[i].kin);
		uint32_t row = limit_find(w.ledger_board, (uint64_t)rows[i].id);
		assert_int_not_equal(row, 0);
		assert_int_equal(limit_row(w.edge_board, row)->counts, rows[i].kin != 0 ? limit_find(w.ledger_board, (uint64_t)rows[i].kin) : 0);
	}
}

/* Rows that nobody needs, until so many are left. */
static void
fill_board(uint32_t left_over)
{
	for (uint64_t n = 1; w.size.limits - limit_count(w.ledger_board) > left_over; n++)
		assert_int_not_equal(limit_make(w.ledger_board, UINT64_MAX - n), 0);
}

/* Two of its kin work no more, and so many rows are left. */
static struct made
last_of_three(uint32_t left_over)
{
	char sql[200];
	struct made gone = make("acme"), revoked = rotate(&gone, "0"), live = rotate(&revoked, "24h");
	json_decref(world_must(&w, "{s:s, s:s}", "op", "key.revoke", "key", revoked.key_text));
	snprintf(sql, sizeof sql, "INSERT INTO limits (subject, kind, amount, number) VALUES (%lld, %d, 5, 0), (%lld, %d, 5, 0), (%lld, %d, 5, 0)", (long long)gone.key, LIMIT_REQUESTS_MINUTE,
		(long long)revoked.key, LIMIT_REQUESTS_MINUTE, (long long)live.key, LIMIT_REQUESTS_MINUTE);
	world_damage(&w, sql);
	fill_board(left_over);
	return live;
}

static void
keys_that_work_no_more_take_no_room_from_those_that_took_their_place(void **state)
{
	struct made live = last_of_three(2), other = make("other"); /* its own, and that which counts for all of them */
	set("key.limit", live.key_text, "requests_per_minute", "7");
	assert_int_equal(row_of(&live)->amount[LIMIT_REQUESTS_MINUTE], 7);
	world_refused(&w, "too_many_limits", "{s:s, s:s, s:s}", "op", "key.limit", "key", other.key_text, "requests_per_minute", "7");
}

static void
a_key_is_rotated_though_there_is_no_room_for_those_before_it(void **state)
{
	struct made live = last_of_three(3), next = rotate(&live, "24h");
	assert_int_equal(row_of(&next)->amount[LIMIT_REQUESTS_MINUTE], 5);
	assert_int_equal(row_of(&live)->amount[LIMIT_REQUESTS_MINUTE], 5);
}

/* What was committed before that was a key whose secret nobody knows, and its id was used up. */
static void
a_key_for_which_there_is_no_room_is_not_made(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "requests_per_day", "10");
	fill_board(0);
	world_refused(&w, "too_many_keys", "{s:s, s:s, s:s}", "op", "key.rotate", "key", m.key_text, "id", "again");
	world_refused(&w, "too_many_keys", "{s:s, s:s, s:s, s:s}", "op", "key.create", "account", "acme", "id", "another", "lane", "direct");
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM key"), 1);
	assert_int_equal(facts_of(&m).expires_ms, 0);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "acme")); /* it needs none */
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	json_t *made = world_must(&w, "{s:s, s:s, s:s}", "op", "key.rotate", "key", m.key_text, "id", "again");
	assert_non_null(json_object_get(made, "secret"));
	json_decref(made);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "key.create", "account", "acme", "id", "another", "lane", "direct"));
}

/* What is committed is not undone: the old key's end holds, whoever learns of the new one. */
static void
a_key_that_was_replaced_ends_though_who_replaced_it_can_t_be_made_known(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "requests_per_day", "10");
	assert_int_equal(facts_of(&m).expires_ms, 0);
	struct query *failing, whole = fail_at(SQL_key_root, &failing);
	world_refused(&w, "store_failed", "{s:s, s:s, s:s}", "op", "key.rotate", "key", m.key_text, "overlap", "1h");
	*store_sql(&w.ledger->store, SQL_key_root) = whole;
	sql_free(failing);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM key"), 2);
	assert_true(facts_of(&m).expires_ms != 0);
	assert_int_equal(facts_of(&m).expires_ms, world_sql(&w, "SELECT max(expires_ms) FROM key"));
}

/* ---- money ---- */

static void
a_window_has_what_the_limit_is_and_pays_what_requests_cost(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	assert_int_equal(left(row), DOLLAR);
	struct ticket *t = hold(&m, row, DOLLAR / 2);
	assert_non_null(t);
	assert_int_equal(left(row), DOLLAR / 2);
	assert_null(hold(&m, row, DOLLAR));
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	ticket_settle(w.desk, t);
	world_round(&w);
	assert_int_equal(left(row), DOLLAR - cost);
	assert_int_equal(world_balance(&w, m.account), 100 * DOLLAR - cost);
	assert_int_equal(world_sql(&w, "SELECT sum(used_nano) FROM budget"), cost);
	world_is_sound(&w);
}

static void
a_dead_edge_s_hold_comes_back_to_its_window(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	assert_non_null(hold(&m, row, DOLLAR));
	assert_int_equal(left(row), 0);
	world_kill_edge(&w);
	world_round(&w);
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	assert_int_equal(left(row), DOLLAR - cost); /* interrupted: what it had stated */
	world_is_sound(&w);
}

static void
what_was_spent_outlives_ledger_and_board(void **state)
{
	struct made m = make("acme");
	set("account.limit", "acme", "dollars_per_month", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_MONTH);
	struct ticket *t = hold(&m, row, DOLLAR);
	ticket_settle(w.desk, t);
	world_round(&w);
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(left(row), DOLLAR - cost);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(left(row), DOLLAR - cost);
}

static void
after_a_power_cut_what_ran_is_paid_from_its_windows_too(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	set("account.limit", "acme", "dollars_per_month", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	uint64_t month = window_row(limit_row(w.edge_board, row_of(&m)->parent), LIMIT_MONEY_MONTH);
	assert_int_equal(left(month), DOLLAR);
	assert_non_null(hold(&m, row, DOLLAR / 2));
	for (int i = 0; i < 2 * PROGRESS_PERIOD_MS / 50; i++)
		world_round(&w);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 1);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	assert_int_equal(world_balance(&w, m.account), 100 * DOLLAR - cost);
	assert_int_equal(left(row), DOLLAR - cost);
	assert_int_equal(left(month), DOLLAR - cost);
	world_is_sound(&w);
}

static void
another_amount_begins_with_what_was_used_and_is_held(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	assert_non_null(hold(&m, row, DOLLAR / 4));
	set("key.limit", m.key_text, "dollars_per_day", "2.00");
	uint64_t next = window_row(row_of(&m), LIMIT_MONEY_DAY);
	assert_int_not_equal(next, row);
	assert_int_equal(left(next), 2 * DOLLAR - DOLLAR / 4);
	set("key.limit", m.key_text, "dollars_per_day", "0.10");
	assert_true(left(window_row(row_of(&m), LIMIT_MONEY_DAY)) < 0);
}

static void
a_new_limit_knows_what_was_spent_today(void **state)
{
	struct made m = make("acme");
	struct world_exchange e = {.account = m.account, .key = m.key, .input = 1000, .cost = -1};
	assert_true(world_exchange(&w, e) != 0);
	world_round(&w);
	set("key.limit", m.key_text, "dollars_per_month", "1.00");
	set("key.limit", m.key_text, "requests_per_day", "10");
	assert_int_equal(left(window_row(row_of(&m), LIMIT_MONEY_MONTH)), DOLLAR - world_cost(&w, &e));
	assert_int_equal(limit_day_count(&row_of(&m)->day, (uint32_t)(clock_wall_us() / 86400000000)), 1);
}

static uint64_t
day_count(const struct made *m)
{
	return limit_day_count(&row_of(m)->day, (uint32_t)(clock_wall_us() / 86400000000));
}

static void
serve_one(const struct made *m)
{
	assert_int_not_equal(world_exchange(&w, (struct world_exchange){.account = m->account, .key = m->key, .input = 1000, .cost = -1}), 0);
	world_round(&w);
}

/* The store's sums are up to a minute old: a board that began with them let through again what came since. */
static void
a_new_board_knows_what_was_served_today_though_its_sums_can_t_be_written(void **state)
{
	bool postgres = world_on_postgres();
	struct made m = make("acme");
	set("key.limit", m.key_text, "requests_per_day", "10");
	set("account.limit", "acme", "requests_per_day", "10");
	struct made next = rotate(&m, "24h"), other = make("other");
	serve_one(&m);
	assert_true(usage_flush(w.ledger));
	for (int i = 0; i < 2; i++)
		serve_one(&next);
	serve_one(&other);
	if (postgres)
		world_damage(&w, "CREATE FUNCTION no_sums() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'");
	world_damage(&w, postgres ? "CREATE TRIGGER no_sums BEFORE INSERT ON usage_day FOR EACH ROW EXECUTE FUNCTION no_sums()" : "CREATE TRIGGER no_sums BEFORE INSERT ON usage_day BEGIN SELECT RAISE(ABORT, 'no'); END");
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(day_count(&m), 3);
	assert_int_equal(limit_day_count(&limit_row(w.edge_board, row_of(&m)->parent)->day, (uint32_t)(clock_wall_us() / 86400000000)), 3);
	assert_int_equal(world_sql(&w, "SELECT sum(requests) FROM usage_day"), 1);
	world_damage(&w, postgres ? "DROP FUNCTION no_sums CASCADE" : "DROP TRIGGER no_sums");
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(day_count(&m), 3);
}

/* It counts on from what is booked, not from what was counted while it was there. */
static void
a_day_s_limit_that_comes_back_knows_what_was_served_without_it(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "requests_per_day", "10");
	assert_true(limit_day_take(&row_of(&m)->day, 10, (uint32_t)(clock_wall_us() / 86400000000)));
	serve_one(&m);
	set("key.limit", m.key_text, "requests_per_day", "none");
	serve_one(&m);
	serve_one(&m);
	set("key.limit", m.key_text, "requests_per_day", "10");
	assert_int_equal(day_count(&m), 3);
	set("key.limit", m.key_text, "requests_per_day", "9");
	assert_int_equal(day_count(&m), 3);
}

/* Of its kin one may have served without a limit, while an older one that is not used any more has one. */
static void
a_limit_that_comes_back_after_two_rotations_knows_what_was_served_without_it(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "requests_per_day", "10");
	struct made next = rotate(&m, "24h");
	set("key.limit", next.key_text, "requests_per_day", "none");
	struct made later = rotate(&next, "24h");
	for (int i = 0; i < 3; i++)
		serve_one(&later);
	set("key.limit", later.key_text, "requests_per_day", "5");
	assert_int_equal(limit_day_count(&limit_counting(w.edge_board, row_of(&later))->day, (uint32_t)(clock_wall_us() / 86400000000)), 3);
}

/* Nor is the whole of it let through where nobody can read how much was used. */
static void
a_day_s_limit_does_not_begin_while_nobody_knows_what_was_served(void **state)
{
	struct made m = make("acme");
	struct query *failing, whole = fail_at(SQL_limits_requests, &failing);
	world_refused(&w, "store_failed", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "requests_per_day", "3");
	assert_int_equal(row_of(&m) != NULL ? row_of(&m)->amount[LIMIT_REQUESTS_DAY] : 0, 0);
	*store_sql(&w.ledger->store, SQL_limits_requests) = whole;
	sql_free(failing);
	set("key.limit", m.key_text, "requests_per_day", "3");
	assert_int_equal(row_of(&m)->amount[LIMIT_REQUESTS_DAY], 3);
}

/* One that began with nothing would let all of it through again. */
static void
a_limit_does_not_begin_while_nobody_knows_what_was_spent(void **state)
{
	struct made m = make("acme");
	assert_int_not_equal(world_exchange(&w, (struct world_exchange){.account = m.account, .key = m.key, .input = 1000, .cost = -1}), 0);
	world_round(&w);
	world_damage(&w, "ALTER TABLE usage_day RENAME TO usage_away");
	world_refused(&w, "store_failed", "{s:s, s:s, s:s}", "op", "key.limit", "key", m.key_text, "dollars_per_day", "1.00");
	world_damage(&w, "ALTER TABLE usage_away RENAME TO usage_day");
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM limits"), 0);
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	assert_int_equal(left(window_row(row_of(&m), LIMIT_MONEY_DAY)), DOLLAR - world_cost(&w, &(struct world_exchange){.input = 1000}));
}

static void
windows_of_other_times_and_numbers_are_not_opened(void **state)
{
	struct made m = make("acme");
	uint32_t slot;
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	assert_int_equal(ledger_load_row(w.ledger, row + 5, 0, &slot), 1);
	assert_int_equal(ledger_load_row(w.ledger, row + (1ULL << 32), 0, &slot), 1);
	assert_int_equal(ledger_load_row(w.ledger, LIMIT_BUDGET_ROW, 0, &slot), 1);
	assert_int_equal(ledger_load_row(w.ledger, row + 1, 0, &slot), 0); /* by the edge's clock it may be tomorrow */
}

static void
windows_that_are_over_are_forgotten(void **state)
{
	struct made m = make("acme");
	set("key.limit", m.key_text, "dollars_per_day", "1.00");
	uint64_t row = window_row(row_of(&m), LIMIT_MONEY_DAY);
	for (int i = 2; i < 8; i++) {
		struct query *st = store_sql(&w.ledger->store, SQL_budget_insert);
		sql_bind(st, (int64_t)(row - (uint64_t)i), DOLLAR, 5);
		assert_true(sql_done(&w.ledger->store, st));
	}
	load(row - 4);
	load(row + 1);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM budget"), 2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_key_without_limits_has_no_row),
		TEST(limits_are_on_the_board_when_the_order_is_answered),
		TEST(a_key_that_is_made_later_is_under_its_account_s_limits),
		TEST(what_makes_no_sense_is_refused_with_what_to_do),
		TEST(lists_name_models_by_pattern),
		TEST(a_lane_stands_on_the_board_and_in_the_store_until_it_is_taken_off),
		TEST(a_key_and_an_account_may_have_a_lane_from_the_beginning),
		TEST(a_rotated_key_has_the_limits_and_shares_the_windows),
		TEST(a_changed_limit_of_money_is_changed_for_all_keys_that_share_it),
		TEST(who_shares_a_limit_is_not_guessed_while_the_store_fails),
		TEST(the_first_of_kin_is_who_took_nobody_s_place_whatever_its_id_is),
		TEST(keys_count_together_however_often_each_of_them_is_rotated),
		TEST(keys_of_an_older_store_count_together_with_those_that_took_their_place),
		TEST(keys_that_work_no_more_take_no_room_from_those_that_took_their_place),
		TEST(a_key_is_rotated_though_there_is_no_room_for_those_before_it),
		TEST(a_key_for_which_there_is_no_room_is_not_made),
		TEST(a_key_that_was_replaced_ends_though_who_replaced_it_can_t_be_made_known),
		TEST(a_window_has_what_the_limit_is_and_pays_what_requests_cost),
		TEST(a_dead_edge_s_hold_comes_back_to_its_window),
		TEST(what_was_spent_outlives_ledger_and_board),
		TEST(after_a_power_cut_what_ran_is_paid_from_its_windows_too),
		TEST(another_amount_begins_with_what_was_used_and_is_held),
		TEST(a_new_limit_knows_what_was_spent_today),
		TEST(a_new_board_knows_what_was_served_today_though_its_sums_can_t_be_written),
		TEST(a_day_s_limit_that_comes_back_knows_what_was_served_without_it),
		TEST(a_limit_that_comes_back_after_two_rotations_knows_what_was_served_without_it),
		TEST(a_day_s_limit_does_not_begin_while_nobody_knows_what_was_served),
		TEST(a_limit_does_not_begin_while_nobody_knows_what_was_spent),
		TEST(windows_of_other_times_and_numbers_are_not_opened),
		TEST(windows_that_are_over_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
