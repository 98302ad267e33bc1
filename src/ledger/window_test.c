/* Limits of money that several servers on one PostgreSQL share. */
#include "ledger/limit_priv.h"
#include "ledger/node_world.h"
#include "ledger/order_priv.h"
#include "ledger/postgres.h"
#include "ledger/share_priv.h"
#include "ticket/ids.h"

#include <string.h>

/* Of a day, on the account. */
static void
limit(struct world *w, int64_t nano)
{
	char dollars[NANO_TEXT_MAX];
	if (nano > 0)
		nano_text((struct nano){nano}, dollars);
	json_decref(world_must(w, "{s:s, s:s, s:s}", "op", "account.limit", "account", "alice", "dollars_per_day", nano > 0 ? dollars : "none"));
}

/* Its window, so many days from now. */
static uint64_t
window_of(struct world *w, uint64_t account, int days)
{
	struct limit_amounts a;
	assert_true(limits_read(w->ledger, account, &a) && a.number[LIMIT_MONEY_DAY] != 0);
	return limit_budget_row(a.number[LIMIT_MONEY_DAY], (uint32_t)((int)limit_window(LIMIT_MONEY_DAY, clock_wall_us() / 1000000) + days));
}

/* -1: it is not there. */
static int64_t
window_has(struct world *w, uint64_t window, const char *what)
{
	char sql[160];
	snprintf(sql, sizeof(sql), "SELECT coalesce((SELECT %s FROM budget WHERE id = %lld), -1)", what, (long long)window);
	return world_sql(w, sql);
}

/* As an edge: what is here of both; else what the ledger can get of either. */
static struct ticket *
hold_limited(struct world *w, uint64_t account, uint64_t window, int64_t nano)
{
	const struct world_exchange e = {.account = account, .window = window, .input = 10, .hold = nano, .cost = -1};
	struct ticket *t = world_hold(w, &e);
	if (t != NULL)
		return t;
	node_ask(w, window, nano);
	node_ask(w, account, nano);
	return world_hold(w, &e);
}

/* The hold is the price. */
static bool
serve_limited(struct world *w, uint64_t account, uint64_t window)
{
	struct ticket *t = hold_limited(w, account, window, world_cost(w, &(struct world_exchange){.input = 10}));
	if (t != NULL)
		ticket_settle(w->desk, t);
	return t != NULL;
}

static void
book_all(struct world *const nodes[], unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		while (world_round(nodes[n]) > 0)
			;
}

/* Now one, now the other, until for long nobody gets any more. */
static int64_t
serve_all(struct world *const nodes[], unsigned count, uint64_t account, uint64_t window)
{
	int64_t served = 0;
	unsigned seed = 7;
	for (int idle = 0; idle < 40; idle++) {
		struct world *w = nodes[((seed = seed * 1103515245 + 12345) >> 16) % count];
		node_look(w);
		for (int i = 0; i < 7 && serve_limited(w, account, window); i++, served++)
			idle = 0;
		if (seed >> 20 & 1)
			assert_true(world_round(w) >= 0);
	}
	book_all(nodes, count);
	return served;
}

static void
two_nodes_spend_a_limit_of_money_to_its_end_and_no_further(void **state)
{
	enum { MOST = 150 };
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, MOST * cost);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_int_equal(serve_all(both, 2, alice, window), MOST);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), MOST);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM budget_share"), 2);
	assert_int_equal(window_has(&a, window, "used_nano"), MOST * cost);
	assert_int_equal(window_has(&a, window, "lent_nano"), 0);
	assert_int_equal(world_balance(&a, alice), 3 * NANO_PER_DOLLAR - MOST * cost);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static void
who_lacks_what_others_have_of_a_window_is_to_ask_again(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	limit(&a, NANO_PER_DOLLAR);
	uint64_t window = window_of(&a, alice, 0);
	node_begin_beside(&b, &a, 1);
	assert_int_equal(ledger_load_row(a.ledger, window, NANO_PER_DOLLAR, &slot), ROW_LOADED);
	assert_int_equal(node_has(&a, window), NANO_PER_DOLLAR);
	assert_int_equal(ledger_load_row(b.ledger, window, NANO_PER_DOLLAR / 2, &slot), ROW_LATER);
	assert_int_equal(ledger_load_row(b.ledger, window, 2 * NANO_PER_DOLLAR, &slot), ROW_SHORT); /* the limit is not so high */
	node_look(&a);
	node_look(&b);
	assert_int_equal(ledger_load_row(b.ledger, window, NANO_PER_DOLLAR / 2, &slot), ROW_LOADED);
	assert_true(node_has(&b, window) >= NANO_PER_DOLLAR / 2);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static void
a_share_of_a_window_costs_two_questions_as_well(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	limit(&a, NANO_PER_DOLLAR);
	uint64_t window = window_of(&a, alice, 0);
	node_begin_beside(&b, &a, 1);
	assert_true(serve_limited(&a, alice, window));
	assert_true(share_return(a.ledger, window)); /* all that is prepared once is */
	a.ledger->count_due_ms = UINT64_MAX; /* how many others there are is asked once a second */
	assert_true(store_begin(&b.ledger->store)); /* it has the pen throughout */
	node_count_questions(true);
	assert_int_equal(ledger_load_row(a.ledger, window, NANO_PER_DOLLAR / 2, &slot), 0);
	assert_int_equal(node_asked, 2);
	assert_true(share_return(a.ledger, window));
	assert_int_equal(node_asked, 3);
	assert_int_equal(node_turns, 0);
	node_count_questions(false);
	store_rollback(&b.ledger->store);
	world_end(&b);
	world_end(&a);
}

static void
another_amount_of_a_limit_holds_for_what_nodes_have_of_it(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, NANO_PER_DOLLAR / 2);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_true(serve_limited(&a, alice, window) && serve_limited(&b, alice, window));
	struct ticket *runs = hold_limited(&b, alice, window, 10 * cost);
	assert_non_null(runs);
	assert_true(node_has(&a, window) > 40 * cost && node_has(&b, window) > 40 * cost);
	/* Less: what lies idle here goes back with the order, elsewhere when it is heard; what runs counts. */
	limit(&a, 30 * cost);
	assert_int_equal(window_of(&a, alice, 0), window);
	assert_int_equal(node_has(&a, window), 0);
	node_look(&b);
	assert_int_equal(node_has(&b, window), 0);
	assert_int_equal(serve_all(both, 2, alice, window), 18);
	ticket_settle(b.desk, runs);
	assert_int_equal(serve_all(both, 2, alice, window), 9); /* it cost one, and nine come back */
	/* Below what is used, then above. */
	limit(&b, 5 * cost);
	node_look(&a);
	assert_int_equal(serve_all(both, 2, alice, window), 0);
	limit(&b, 70 * cost);
	assert_int_equal(serve_all(both, 2, alice, window), 40);
	node_verify(&a);
	/* None, while one runs; and one again, which knows what was spent. */
	limit(&b, 80 * cost);
	runs = hold_limited(&b, alice, window, cost);
	assert_non_null(runs);
	limit(&a, 0);
	ticket_settle(b.desk, runs);
	book_all(both, 2);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), 71);
	limit(&a, 80 * cost);
	assert_int_not_equal(window_of(&a, alice, 0), window);
	assert_int_equal(serve_all(both, 2, alice, window_of(&a, alice, 0)), 9);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

/* Their sums of usage may be a minute young. */
static void
a_new_limit_knows_what_other_nodes_have_booked_and_not_summed_up(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00"), bob = world_account(&a, "bob", "1.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	node_begin_beside(&b, &a, 1);
	assert_true(node_serve(&b, alice) && node_serve(&b, alice) && node_serve(&b, bob) && node_serve(&a, alice));
	book_all(both, 2);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM usage_day"), 0);
	limit(&a, 100 * cost);
	assert_int_equal(window_has(&a, window_of(&a, alice, 0), "used_nano"), 3 * cost);
	/* Once: what is summed up is not counted by its tickets as well, here or there. */
	for (int i = 0; i < 2; i++) {
		limit(&a, 0);
		assert_true(usage_flush(both[i]->ledger));
		limit(both[i], 100 * cost);
		assert_int_equal(window_has(&a, window_of(&a, alice, 0), "used_nano"), 3 * cost);
	}
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* How far the sums of the second node are behind what is booked. */
static int64_t
behind_its_mark(struct world *w)
{
	return world_sql(w, "SELECT (SELECT max(id) FROM booking) - booking FROM usage_node WHERE node = 1");
}

/* A new limit looks for what nodes have not summed up behind their marks: not among all that others booked in a month. */
static void
the_mark_of_a_node_that_books_nothing_goes_with_the_others_bookings(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	node_begin_beside(&b, &a, 1);
	assert_true(node_serve(&a, alice));
	book_all(both, 2);
	assert_true(usage_flush(a.ledger));
	assert_true(behind_its_mark(&a) > 0);
	b.ledger->follow_due_ms = 0;
	assert_int_equal(world_round(&b), 0);
	assert_int_equal(behind_its_mark(&a), 0);
	/* Of one that has booked it stays, whatever that one remembers, and moves with its sums. */
	assert_true(node_serve(&b, alice));
	book_all(both, 2);
	int64_t behind = behind_its_mark(&a);
	assert_true(behind > 0);
	struct usage_sums own = b.ledger->usage;
	b.ledger->usage = (struct usage_sums){.node = own.node, .mark = own.mark, .last = own.mark};
	assert_true(usage_follow(b.ledger, UINT64_MAX / 2));
	assert_int_equal(behind_its_mark(&a), behind);
	b.ledger->usage = own;
	limit(&a, 100 * cost);
	assert_int_equal(window_has(&a, window_of(&a, alice, 0), "used_nano"), 2 * cost);
	assert_true(usage_flush(b.ledger));
	assert_int_equal(world_sql(&a, "SELECT sum(requests) FROM usage_day"), 2);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* The key whose text this is, on this server: how many of its day's requests are counted here. */
static uint64_t
counted_today(struct world *w, const char *key_text)
{
	uint64_t key;
	assert_true(id_parse(ID_KEY, (struct span){key_text, strlen(key_text)}, &key));
	struct limit_row *r = limit_row(w->edge_board, limit_find(w->edge_board, key));
	assert_non_null(r);
	assert_int_equal(r->amount[LIMIT_REQUESTS_DAY], 5);
	return limit_day_count(&limit_counting(w->edge_board, r)->day, limit_window(LIMIT_REQUESTS_DAY, clock_wall_us() / 1000000));
}

/* As an edge, of a key with such a limit; all of it is booked and summed up. */
static void
serve_counted(struct world *w, uint64_t account, const char *key_text, int times)
{
	uint64_t key;
	uint32_t slot;
	assert_true(id_parse(ID_KEY, (struct span){key_text, strlen(key_text)}, &key));
	struct limit_row *r = limit_row(w->edge_board, limit_find(w->edge_board, key));
	const struct world_exchange e = {.account = account, .key = key, .input = 10, .cost = -1};
	for (int i = 0; i < times; i++) {
		assert_true(limit_day_take(&limit_counting(w->edge_board, r)->day, 5, limit_window(LIMIT_REQUESTS_DAY, clock_wall_us() / 1000000)));
		assert_int_equal(ledger_load_row(w->ledger, account, 2 * world_cost(w, &e), &slot), 0);
		assert_int_not_equal(world_exchange(w, e), 0);
	}
	book_all(&w, 1);
	assert_true(usage_flush(w->ledger));
}

static void
requests_a_day(struct world *w, const char *key_text, const char *amount)
{
	json_decref(world_must(w, "{s:s, s:s, s:s}", "op", "key.limit", "key", key_text, "requests_per_day", amount));
}

/* The sums are of all of them: one that took theirs for its own would refuse what it never served. */
static void
each_node_counts_requests_a_day_for_itself_whatever_becomes_of_the_key_and_its_limit(void **state)
{
	struct world a, b, c;
	uint64_t alice = node_begin_shared(&a, "3.00");
	json_t *made = world_must(&a, "{s:s, s:s}", "op", "key.create", "account", "alice");
	const char *key = json_string_value(json_object_get(made, "key"));
	requests_a_day(&a, key, "5");
	node_begin_beside(&b, &a, 1);
	serve_counted(&a, alice, key, 3);
	json_t *second = world_must(&a, "{s:s, s:s, s:s}", "op", "key.rotate", "key", key, "overlap", "24h");
	const char *next = json_string_value(json_object_get(second, "key"));
	node_look(&b);
	assert_int_equal(counted_today(&a, next), 3);
	assert_int_equal(counted_today(&b, next), 0);
	serve_counted(&b, alice, next, 2);
	requests_a_day(&a, next, "none");
	node_look(&b);
	requests_a_day(&a, next, "5");
	node_look(&b);
	assert_int_equal(counted_today(&a, next), 3);
	assert_int_equal(counted_today(&b, next), 2);
	/* Who has counted nothing today begins with what all have served. */
	node_begin_beside(&c, &a, 2);
	assert_int_equal(counted_today(&c, next), 5);
	json_decref(second);
	json_decref(made);
	world_end(&c);
	world_end(&b);
	world_end(&a);
}

/* A disk that is full fails once, and not for each. */
static void
many_limits_that_begin_try_once_to_write_the_sums(void **state)
{
	enum { LIMITS = 4 };
	struct world a;
	json_t *made[LIMITS];
	uint64_t alice = node_begin_shared(&a, "3.00");
	for (int i = 0; i < LIMITS; i++) {
		made[i] = world_must(&a, "{s:s, s:s}", "op", "key.create", "account", "alice");
		requests_a_day(&a, json_string_value(json_object_get(made[i], "key")), "5");
	}
	assert_true(node_serve(&a, alice) && world_round(&a) == 1);
	assert_true(postgres_exec(&a.ledger->store, "CREATE FUNCTION no_sums() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; "
												"CREATE TRIGGER no_sums BEFORE UPDATE ON usage_node FOR EACH ROW EXECUTE FUNCTION no_sums()"));
	for (uint32_t i = 1; i <= limit_count(a.ledger_board); i++)
		atomic_store(&limit_row(a.ledger_board, i)->amount[LIMIT_REQUESTS_DAY], 0);
	node_count_questions(true);
	limits_adopt(a.ledger);
	assert_int_equal(node_turns, 1);
	node_count_questions(false);
	for (int i = 0; i < LIMITS; i++) {
		assert_int_equal(counted_today(&a, json_string_value(json_object_get(made[i], "key"))), 0);
		json_decref(made[i]);
	}
	assert_true(postgres_exec(&a.ledger->store, "DROP TRIGGER no_sums ON usage_node"));
	node_verify(&a);
	world_end(&a);
}

static void
remember_refusals_for_ever(struct world *w)
{
	for (int i = 0; i < SHARE_REFUSALS; i++)
		w->ledger->refusals[i].until_ms = UINT64_MAX;
}

/* Who was told that there was no more is not told so again; and what is too much goes back before the order is answered. */
static void
a_changed_limit_is_felt_at_once_by_who_had_none_and_who_has_too_much(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, 4 * cost);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_int_equal(serve_all(both, 2, alice, window), 4);
	for (int n = 0; n < 2; n++) {
		assert_false(serve_limited(both[n], alice, window));
		remember_refusals_for_ever(both[n]);
	}
	limit(&a, 100 * cost);
	node_look(&b);
	for (int n = 0; n < 2; n++)
		assert_true(serve_limited(both[n], alice, window));
	book_all(both, 2);
	assert_true(node_has(&a, window) > 0 && node_has(&b, window) > 0);
	limit(&a, 2 * cost);
	assert_int_equal(node_has(&a, window), 0);
	node_look(&b);
	assert_int_equal(window_has(&a, window, "lent_nano"), 0);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* The order is carried out: what another has in hand, and is of another limit, goes back later. */
static void
a_limit_is_changed_and_felt_while_somebody_has_a_window_of_which_there_is_too_much_in_hand(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	char sql[120];
	uint64_t alice = node_begin_shared(&a, "3.00"), bob = world_account(&a, "bob", "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, 100 * cost);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_true(serve_limited(&a, alice, window));
	book_all(both, 2);
	limit(&b, 2 * cost);
	assert_true(node_has(&a, window) > 2 * cost);
	snprintf(sql, sizeof(sql), "SELECT 1 FROM budget WHERE id = %lld FOR UPDATE", (long long)window);
	assert_true(postgres_exec(&b.ledger->store, "BEGIN") && postgres_exec(&b.ledger->store, sql));
	assert_true(postgres_exec(&a.ledger->store, "SET lock_timeout = 20"));
	json_decref(world_must(&a, "{s:s, s:s, s:s}", "op", "account.limit", "account", "bob", "requests_per_minute", "7"));
	const struct limit_row *r = limit_row(a.edge_board, limit_find(a.edge_board, bob));
	assert_non_null(r);
	assert_int_equal(r->amount[LIMIT_REQUESTS_MINUTE], 7);
	assert_false(a.ledger->store.lost);
	assert_true(window_has(&a, window, "lent_nano") > 2 * cost);
	assert_true(postgres_exec(&b.ledger->store, "COMMIT"));
	for (int n = 0; n < 2; n++)
		node_look(&a);
	assert_int_equal(window_has(&a, window, "lent_nano"), 0);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* As many as are looked at in one go, all of them held: those behind them have their turn. */
static void
many_windows_of_which_too_much_is_held_are_in_nobody_s_way(void **state)
{
	enum { HELD = 70 };
	struct world a;
	uint32_t slot;
	uint64_t alice = node_begin_shared_sized(&a, "3.00", 4 * HELD);
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	world_sql(&a, "INSERT INTO budget (id, limit_nano, used_nano, lent_nano) SELECT -9223372036854775807 + n, 1, 5, 10 FROM generate_series(1, 70) AS n RETURNING 1");
	world_sql(&a, "INSERT INTO budget_share (budget, node, nano) SELECT -9223372036854775807 + n, min(node.id), 10 FROM generate_series(1, 70) AS n, node WHERE node.id < 255 GROUP BY n RETURNING 1");
	for (int n = 1; n <= HELD; n++)
		assert_true(board_load(a.ledger_board, limit_budget_row(0, (uint32_t)n + 1), (struct nano){0}, &slot));
	limit(&a, 100 * cost);
	uint64_t window = window_of(&a, alice, 0);
	assert_true(serve_limited(&a, alice, window));
	assert_int_equal(world_round(&a), 1);
	limit(&a, 2 * cost);
	node_look(&a);
	assert_int_equal(node_has(&a, window), 0);
	assert_int_equal(window_has(&a, window, "lent_nano"), 0);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM budget WHERE lent_nano = 10"), HELD);
	assert_true(a.ledger->excess);
	world_end(&a);
}

/* What is held while a limit is lowered below it can't come back then. */
static void
what_a_lowered_limit_has_lent_comes_back_when_it_is_free(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, 100 * cost);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	struct ticket *runs = hold_limited(&b, alice, window, 20 * cost);
	assert_non_null(runs);
	limit(&a, 3 * cost);
	node_look(&b);
	ticket_settle(b.desk, runs);
	book_all(both, 2);
	node_look(&b);
	assert_int_equal(node_has(&b, window), 0);
	assert_int_equal(window_has(&a, window, "lent_nano"), 0);
	assert_int_equal(serve_all(both, 2, alice, window), 2);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

static void
a_window_that_is_over_goes_when_nobody_has_any_of_it(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint32_t slot;
	char sql[160];
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, NANO_PER_DOLLAR / 2);
	node_begin_beside(&b, &a, 1);
	uint64_t old = window_of(&a, alice, -4), today = window_of(&a, alice, 0), next = window_of(&a, alice, 1);
	snprintf(sql, sizeof(sql), "INSERT INTO budget (id, limit_nano, used_nano) VALUES (%lld, 500000000, 0) RETURNING id", (long long)old);
	world_sql(&a, sql);
	/* What begins in one window counts there, whatever the clock says when it ends. */
	struct ticket *runs = hold_limited(&a, alice, today, 10 * cost);
	assert_non_null(runs);
	assert_true(serve_limited(&a, alice, old) && serve_limited(&b, alice, old));
	book_all(both, 2);
	assert_int_equal(ledger_load_row(a.ledger, window_of(&a, alice, -1), cost, &slot), 0);
	assert_int_equal(window_has(&a, old, "lent_nano"), node_has(&b, old)); /* the other's */
	node_look(&b);
	assert_int_equal(window_has(&a, old, "lent_nano"), 0);
	assert_true(serve_limited(&a, alice, next));
	assert_int_equal(window_has(&a, old, "used_nano"), -1);
	ticket_settle(a.desk, runs);
	book_all(both, 2);
	assert_int_equal(window_has(&a, today, "used_nano"), cost);
	assert_int_equal(window_has(&a, next, "used_nano"), cost);
	/* Whoever had a share makes room on its board, and asks for it in vain. */
	assert_true(board_evict(b.ledger_board, old));
	assert_true(share_return(b.ledger, old));
	assert_int_equal(ledger_load_row(b.ledger, old, cost, &slot), 1);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static void
moves_of_windows_that_a_killed_ledger_began_are_booked_or_dropped(void **state)
{
	struct world a, b;
	uint32_t index;
	uint64_t alice = node_begin_shared(&a, "3.00");
	limit(&a, NANO_PER_DOLLAR);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_true(serve_limited(&a, alice, window));
	while (world_round(&a) > 0)
		;
	assert_true(share_return(a.ledger, window));
	int64_t used = window_has(&a, window, "used_nano");
	assert_true(used > 0 && node_has(&a, window) == 0);
	static const int64_t credits[] = {NANO_PER_DOLLAR / 2, NANO_PER_DOLLAR}; /* there is so much, and then there is not */
	for (size_t i = 0; i < ARRAY_LEN(credits); i++) {
		assert_true(board_credit_begin(a.ledger_board, ledger_next_id(a.ledger), window, (struct nano){credits[i]}, &index));
		a.ledger->store.lost = true;
		world_kill_ledger(&a);
		world_open(&a, true);
		assert_int_equal(node_has(&a, window), NANO_PER_DOLLAR / 2);
		assert_int_equal(window_has(&a, window, "lent_nano"), NANO_PER_DOLLAR / 2);
	}
	assert_int_equal(board_debit_begin(a.ledger_board, ledger_next_id(a.ledger), window, (struct nano){NANO_PER_DOLLAR / 8}, &index), MOVED);
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_int_equal(node_has(&a, window), NANO_PER_DOLLAR * 3 / 8);
	assert_int_equal(window_has(&a, window, "lent_nano"), NANO_PER_DOLLAR * 3 / 8);
	assert_int_equal(window_has(&a, window, "used_nano"), used);
	node_verify(&a);
	/* Who may write no more takes nothing of it; the next ledger over its board does what that had begun. */
	world_sql(&b, "SELECT lethe_join(0)");
	assert_int_equal(ledger_load_row(a.ledger, window, NANO_PER_DOLLAR / 2, &index), 2);
	assert_true(a.ledger->store.lost && a.ledger->store.fenced);
	assert_int_equal(window_has(&b, window, "lent_nano"), NANO_PER_DOLLAR * 3 / 8);
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_true(node_has(&a, window) >= NANO_PER_DOLLAR / 2);
	assert_int_equal(window_has(&b, window, "lent_nano"), node_has(&a, window));
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static void
what_a_dead_node_had_of_a_limit_comes_back_when_it_is_forgotten(void **state)
{
	struct world a, b, *const one[] = {&b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, 100 * cost);
	uint64_t window = window_of(&a, alice, 0);
	node_begin_beside(&b, &a, 1);
	assert_non_null(hold_limited(&a, alice, window, 20 * cost)); /* it has cost one by its last word */
	assert_true(share_return(a.ledger, window));
	world_progress(&a);
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_sql(&b, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	assert_int_equal(serve_all(one, 1, alice, window), 80);
	for (int again = 0; again < 2; again++) {
		json_decref(world_must(&b, "{s:s, s:s}", "op", "node.forget", "node", "0"));
		assert_int_equal(window_has(&b, window, "used_nano"), 81 * cost);
		assert_int_equal(window_has(&b, window, "lent_nano"), 0);
	}
	assert_int_equal(serve_all(one, 1, alice, window), 19);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

/* As of keys whose clients go on asking when their limit is used up. */
static void
many_wants_of_what_nobody_has_are_in_nobody_s_way(void **state)
{
	struct world a, b;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_true(node_serve(&a, alice));
	assert_int_equal(world_round(&a), 1);
	assert_true(node_has(&a, alice) > 0);
	world_sql(&b, "INSERT INTO want (account, node, time_us) SELECT -n, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM generate_series(1, 100) AS n RETURNING 1");
	world_sql(&b, "INSERT INTO want (account, node, time_us) SELECT id, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM account WHERE name = 'alice' RETURNING 1");
	node_look(&a);
	node_look(&a);
	assert_int_equal(node_has(&a, alice), 0);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static json_t *
set_aside(struct world *w, int64_t nano, uint64_t window)
{
	const uint64_t windows[ITEM_WINDOWS_MAX] = {window};
	char dollars[NANO_TEXT_MAX];
	nano_text((struct nano){nano}, dollars);
	json_t *request = json_pack("{s:s, s:s, s:s}", "account", "alice", "amount", dollars, "reason", "batch");
	json_t *answer = hold_create(w->ledger, request, windows);
	json_decref(request);
	return answer;
}

static void
what_is_set_aside_counts_in_a_window_that_nodes_share(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	limit(&a, 100 * cost);
	node_begin_beside(&b, &a, 1);
	uint64_t window = window_of(&a, alice, 0);
	assert_true(serve_limited(&a, alice, window) && serve_limited(&b, alice, window));
	book_all(both, 2);
	/* What lies idle here is there at once, the other's when it has heard of it. */
	json_t *answer = set_aside(&a, 95 * cost, window);
	assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "error"), "code")), "insufficient_balance");
	json_decref(answer);
	node_look(&b);
	answer = set_aside(&a, 95 * cost, window);
	const char *item = json_string_value(json_object_get(answer, "item"));
	assert_non_null(item);
	assert_int_equal(window_has(&a, window, "used_nano"), 97 * cost);
	assert_int_equal(serve_all(both, 2, alice, window), 3);
	/* The other server's errand ends it; what it did not cost comes back there. */
	char charged[NANO_TEXT_MAX];
	nano_text((struct nano){15 * cost}, charged);
	json_decref(world_must(&b, "{s:s, s:s, s:s, s:s}", "op", "hold.settle", "hold", item, "cost", charged, "reason", "done"));
	json_decref(answer);
	assert_int_equal(window_has(&a, window, "used_nano"), 20 * cost);
	assert_int_equal(serve_all(both, 2, alice, window), 80);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

static int64_t
day_limit(struct world *w, const char *key)
{
	uint64_t id;
	assert_true(id_parse(ID_KEY, (struct span){key, strlen(key)}, &id));
	struct limit_row *r = limit_row(w->ledger_board, limit_find(w->ledger_board, id));
	return r != NULL ? atomic_load(&r->amount[LIMIT_MONEY_DAY]) : -1;
}

/* Which one is named, and where, is all the same. */
static void
keys_that_share_a_limit_are_told_of_another_amount_on_every_node(void **state)
{
	struct world a, b, *const both[] = {&a, &b};
	(void)node_begin_shared(&a, "3.00");
	json_t *old = world_must(&a, "{s:s, s:s}", "op", "key.create", "account", "alice");
	const char *old_key = json_string_value(json_object_get(old, "key"));
	json_decref(world_must(&a, "{s:s, s:s, s:s}", "op", "key.limit", "key", old_key, "dollars_per_day", "0.50"));
	node_begin_beside(&b, &a, 1);
	json_t *next = world_must(&a, "{s:s, s:s}", "op", "key.rotate", "key", old_key);
	const char *keys[] = {old_key, json_string_value(json_object_get(next, "key"))};
	static const char *const amounts[] = {"0.40", "0.60", "none"};
	static const int64_t nano[] = {NANO_PER_DOLLAR * 2 / 5, NANO_PER_DOLLAR * 3 / 5, 0};
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		json_decref(world_must(both[i % 2], "{s:s, s:s, s:s}", "op", "key.limit", "key", keys[i % 2], "dollars_per_day", amounts[i]));
		node_look(&a);
		node_look(&b);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(day_limit(&a, keys[k]), nano[i]);
			assert_int_equal(day_limit(&b, keys[k]), nano[i]);
		}
	}
	json_decref(old);
	json_decref(next);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

static struct {
	struct world *by;
	const char *key, *amounts[2];
} meanwhile;
static int (*asked_before)(PGconn *, const char *);

/* Another server is first, once. */
static int
let_another_begin(PGconn *conn, const char *sql)
{
	struct world *by = meanwhile.by;
	if (strncmp(sql, "BEGIN", 5) == 0 && by != NULL) {
		meanwhile.by = NULL;
		for (size_t i = 0; i < ARRAY_LEN(meanwhile.amounts); i++)
			json_decref(world_must(by, "{s:s, s:s, s:s}", "op", "key.limit", "key", meanwhile.key, "dollars_per_day", meanwhile.amounts[i]));
	}
	return asked_before(conn, sql);
}

/* What an order finds is what it changes, whoever was first. */
static void
orders_of_two_nodes_about_one_limit_are_done_one_after_the_other(void **state)
{
	static const struct {
		const char *first[2], *then;
		int64_t left;
	} rows[] = {
		{{"none", "0.60"}, "none", 0},
		{{"0.30", "none"}, "0.40", NANO_PER_DOLLAR * 2 / 5},
		{{"none", "0.60"}, "0.70", NANO_PER_DOLLAR * 7 / 10},
	};
	struct world a, b;
	(void)node_begin_shared(&a, "3.00");
	json_t *old = world_must(&a, "{s:s, s:s}", "op", "key.create", "account", "alice");
	const char *key = json_string_value(json_object_get(old, "key"));
	node_begin_beside(&b, &a, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_decref(world_must(&a, "{s:s, s:s, s:s}", "op", "key.limit", "key", key, "dollars_per_day", "0.50"));
		meanwhile.by = &b;
		meanwhile.key = key;
		memcpy(meanwhile.amounts, rows[i].first, sizeof meanwhile.amounts);
		asked_before = pq.PQsendQuery;
		pq.PQsendQuery = let_another_begin;
		json_decref(world_must(&a, "{s:s, s:s, s:s}", "op", "key.limit", "key", key, "dollars_per_day", rows[i].then));
		pq.PQsendQuery = asked_before;
		assert_null(meanwhile.by);
		node_look(&a);
		node_look(&b);
		assert_int_equal(world_sql(&a, "SELECT coalesce(sum(amount), 0) FROM limits"), rows[i].left);
		assert_int_equal(day_limit(&a, key), rows[i].left);
		assert_int_equal(day_limit(&b, key), rows[i].left);
	}
	json_decref(old);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_nodes_spend_a_limit_of_money_to_its_end_and_no_further),
		cmocka_unit_test(who_lacks_what_others_have_of_a_window_is_to_ask_again),
		cmocka_unit_test(a_share_of_a_window_costs_two_questions_as_well),
		cmocka_unit_test(another_amount_of_a_limit_holds_for_what_nodes_have_of_it),
		cmocka_unit_test(a_new_limit_knows_what_other_nodes_have_booked_and_not_summed_up),
		cmocka_unit_test(the_mark_of_a_node_that_books_nothing_goes_with_the_others_bookings),
		cmocka_unit_test(each_node_counts_requests_a_day_for_itself_whatever_becomes_of_the_key_and_its_limit),
		cmocka_unit_test(many_limits_that_begin_try_once_to_write_the_sums),
		cmocka_unit_test(a_changed_limit_is_felt_at_once_by_who_had_none_and_who_has_too_much),
		cmocka_unit_test(a_limit_is_changed_and_felt_while_somebody_has_a_window_of_which_there_is_too_much_in_hand),
		cmocka_unit_test(many_windows_of_which_too_much_is_held_are_in_nobody_s_way),
		cmocka_unit_test(what_a_lowered_limit_has_lent_comes_back_when_it_is_free),
		cmocka_unit_test(many_wants_of_what_nobody_has_are_in_nobody_s_way),
		cmocka_unit_test(a_window_that_is_over_goes_when_nobody_has_any_of_it),
		cmocka_unit_test(moves_of_windows_that_a_killed_ledger_began_are_booked_or_dropped),
		cmocka_unit_test(what_a_dead_node_had_of_a_limit_comes_back_when_it_is_forgotten),
		cmocka_unit_test(keys_that_share_a_limit_are_told_of_another_amount_on_every_node),
		cmocka_unit_test(orders_of_two_nodes_about_one_limit_are_done_one_after_the_other),
		cmocka_unit_test(what_is_set_aside_counts_in_a_window_that_nodes_share),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
