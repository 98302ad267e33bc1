/* Free quotas: given once for a window, paid by the free tier, and what is left goes back. */
#include "ledger/ledger_world.h"
#include "ticket/limit.h"

#include <stdio.h>
#include <string.h>

static struct world w;
static uint64_t account;

enum { CENT = 10000000 };
#define DAY_US (UINT64_C(86400) * 1000000)

static int
begin(void **state)
{
	world_begin(&w);
	account = world_account(&w, "customer", "1.00");
	return 0;
}

static int
end(void **state)
{
	world_end(&w);
	return 0;
}

static void
quota(const char *amount, const char *each)
{
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "account.quota", "account", "customer", "amount", amount, "each", each));
}

static void
shows(const char *text)
{
	json_t *a = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "customer"), *q = json_object_get(a, "quota");
	if (text == NULL)
		assert_true(json_is_null(q));
	else
		assert_string_equal(json_string_value(q), text);
	json_decref(a);
}

/* The customer's, and what the free tier has paid so far. */
static void
has(int64_t customer, int64_t paid)
{
	assert_int_equal(world_balance(&w, account), customer);
	assert_int_equal(world_sql(&w, "SELECT -balance_nano FROM account WHERE name = 'free'"), paid);
	world_is_sound(&w);
}

static void
later(uint64_t us)
{
	for (int i = 0; i < 3; i++)
		(void)ledger_chores(w.ledger, clock_wall_us() + us);
}

static void
the_free_tier_pays_what_is_used_of_it(void **state)
{
	quota("0.50", "day");
	shows("0.500000000 each day");
	has(150 * CENT, 50 * CENT);
	quota("0.60", "day"); /* from the next one on */
	shows("0.600000000 each day");
	has(150 * CENT, 50 * CENT);
	later(0);
	has(150 * CENT, 50 * CENT);
	assert_true(world_exchange(&w, (struct world_exchange){.account = account, .input = 1000, .cost = -1}) != 0);
	world_round(&w);
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	assert_true(cost > 0);
	has(150 * CENT - cost, 50 * CENT);
	later(DAY_US);
	has(160 * CENT, 60 * CENT + cost); /* the customer's own dollar is whole */
	quota("none", "day");
	shows(NULL);
	later(2 * DAY_US);
	has(100 * CENT, cost);
}

static void
what_goes_beyond_it_is_the_customers(void **state)
{
	int64_t cost = world_cost(&w, &(struct world_exchange){.input = 1000});
	char amount[NANO_TEXT_MAX];
	nano_text((struct nano){cost}, amount);
	quota(amount, "month");
	for (int i = 0; i < 3; i++)
		assert_true(world_exchange(&w, (struct world_exchange){.account = account, .input = 1000, .cost = -1}) != 0);
	world_round(&w);
	has(100 * CENT - 2 * cost, cost);
	later(32 * DAY_US);
	quota("none", "month");
	later(64 * DAY_US);
	has(100 * CENT - 2 * cost, cost);
}

/* What a standing hold has of it comes back after its end, and then goes back, too; what is given meanwhile stays the customer's until its own end. */
static void
what_a_hold_has_of_it_goes_back_when_it_is_over(void **state)
{
	char hold[64];
	quota("0.50", "day");
	has(150 * CENT, 50 * CENT);
	json_t *made = world_must(&w, "{s:s,s:s,s:s}", "op", "hold.create", "account", "customer", "amount", "1.50");
	snprintf(hold, sizeof hold, "%s", json_string_value(json_object_get(made, "item")));
	json_decref(made);
	has(0, 50 * CENT);
	later(DAY_US);
	has(50 * CENT, 100 * CENT);
	later(DAY_US);
	has(50 * CENT, 100 * CENT);
	json_decref(world_must(&w, "{s:s,s:s}", "op", "hold.release", "hold", hold));
	has(200 * CENT, 100 * CENT);
	later(DAY_US);
	has(150 * CENT, 50 * CENT);
	quota("none", "day");
	later(2 * DAY_US);
	has(100 * CENT, 0);
}

/* Money that comes meanwhile is not taken in its place: what the hold is charged was free, whenever that is known. */
static void
what_a_hold_is_charged_after_the_end_was_free(void **state)
{
	static const struct {
		const char *settled;
		int64_t free;
	} rows[] = {{"0.50", 50 * CENT}, {"0.30", 30 * CENT}, {NULL, 0}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char hold[64];
		end(NULL);
		begin(NULL);
		json_decref(world_must(&w, "{s:s,s:s,s:s}", "op", "hold.create", "account", "customer", "amount", "0.20")); /* before it: of the customer's own */
		json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "credit.grant", "account", "customer", "amount", "0.50", "expires", "2100-01-01"));
		json_t *made = world_must(&w, "{s:s,s:s,s:s}", "op", "hold.create", "account", "customer", "amount", "1.30");
		snprintf(hold, sizeof hold, "%s", json_string_value(json_object_get(made, "item")));
		json_decref(made);
		json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "credit.add", "account", "customer", "amount", "8", "reason", "paid"));
		has(INT64_C(800) * CENT, 50 * CENT);
		later(UINT64_C(36525) * DAY_US);
		has(INT64_C(800) * CENT, 50 * CENT);
		if (rows[i].settled)
			json_decref(world_must(&w, "{s:s,s:s,s:s}", "op", "hold.settle", "hold", hold, "cost", rows[i].settled));
		else
			json_decref(world_must(&w, "{s:s,s:s}", "op", "hold.release", "hold", hold));
		later(UINT64_C(36525) * DAY_US);
		has(INT64_C(880) * CENT, rows[i].free);
	}
}

/* A page full of grants that have to wait for a hold is not in the way of the others' end. */
static void
what_has_to_wait_keeps_nothing_else_from_its_end(void **state)
{
	enum { PAGE = 64 };
	char hold[64];
	json_t *made;
	for (int i = 0; i < PAGE; i++)
		json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "credit.grant", "account", "customer", "amount", "0.01", "expires", "2100-01-01"));
	made = world_must(&w, "{s:s,s:s,s:s}", "op", "hold.create", "account", "customer", "amount", "1.64");
	snprintf(hold, sizeof hold, "%s", json_string_value(json_object_get(made, "item")));
	json_decref(made);
	uint64_t other = world_account(&w, "other", "1.00");
	json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "credit.grant", "account", "other", "amount", "0.50", "expires", "2100-01-02"));
	later(UINT64_C(36525) * DAY_US);
	assert_int_equal(world_balance(&w, other), 100 * CENT);
	has(0, PAGE * CENT);
	json_decref(world_must(&w, "{s:s,s:s}", "op", "hold.release", "hold", hold));
	later(UINT64_C(36525) * DAY_US);
	has(100 * CENT, 0);
	assert_true(ledger_chores(w.ledger, clock_wall_us()));
}

static void
what_makes_no_sense_is_refused(void **state)
{
	world_refused(&w, "bad_request", "{s:s, s:s, s:s, s:s}", "op", "account.quota", "account", "customer", "amount", "1", "each", "hour");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "account.quota", "account", "customer", "amount", "-1");
	world_refused(&w, "bad_request", "{s:s, s:s}", "op", "account.quota", "account", "customer");
	world_refused(&w, "not_a_customer", "{s:s, s:s, s:s}", "op", "account.quota", "account", "free", "amount", "1");
	shows(NULL);
	has(100 * CENT, 0);
}

/* ---- the ledger killed before each system call of all this ---- */

static void
live(void *arg)
{
	struct world *mine = arg;
	world_open(mine, true);
	json_decref(world_ask(mine, "{s:s, s:s, s:s, s:s}", "op", "account.quota", "account", "customer", "amount", "0.50", "each", "day"));
	(void)ledger_chores(mine->ledger, clock_wall_us() + DAY_US);
	world_close(mine);
}

static void
killed_anywhere_it_is_given_once(void **state)
{
	bool more = true;
	for (uint64_t at = 0; more; at += world_stride()) {
		begin(NULL);
		world_kill_ledger(&w);
		more = world_killed_before_call(live, &w, at);
		world_open(&w, true);
		world_is_sound(&w);
		quota("0.50", "day");
		later(DAY_US);
		has(150 * CENT, 50 * CENT);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM item WHERE kind = 2"), 2);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM item WHERE kind = 2 AND state = 1"), 1);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
		end(NULL);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_free_tier_pays_what_is_used_of_it),
		TEST(what_goes_beyond_it_is_the_customers),
		TEST(what_a_hold_has_of_it_goes_back_when_it_is_over),
		TEST(what_a_hold_is_charged_after_the_end_was_free),
		TEST(what_has_to_wait_keeps_nothing_else_from_its_end),
		TEST(what_makes_no_sense_is_refused),
		cmocka_unit_test(killed_anywhere_it_is_given_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
