/* Several servers on one store: docs/decisions/0070-nodes.md. On PostgreSQL only. */
#include "ledger/node_world.h"
#include "ledger/limit_priv.h"
#include "ledger/order_priv.h"
#include "ledger/postgres.h"
#include "ledger/share_priv.h"
#include "ledger/work.h"

#include <poll.h>

static void
a_node_that_was_replaced_writes_no_more(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t account = world_account(&w, "alice", "5.00");
	assert_true(world_exchange(&w, (struct world_exchange){.account = account, .input = 10, .cost = -1}) != 0);
	/* As the next server that calls itself by this number. */
	assert_true(world_sql(&w, "SELECT lethe_join(0)") > w.ledger->store.fence);
	assert_int_equal(world_round(&w), -1);
	assert_true(w.ledger->store.fenced);
	/* Not by itself either, and it is not asked again. */
	world_refused(&w, "store_failed", "{s:s, s:s}", "op", "account.create", "name", "bob");
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM account WHERE name = 'bob'"), 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1); /* by the one that has the board now */
	world_is_sound(&w);
	world_end(&w);
}

static void
each_statement_that_writes_shows_the_fence(void **state)
{
	struct world w;
	world_begin(&w);
	struct query *st = store_sql(&w.ledger->store, SQL_boot_raise);
	sql_bind(st, (int64_t)1, (int64_t)0);
	assert_true(sql_done(&w.ledger->store, st));
	world_sql(&w, "SELECT lethe_join(0)");
	sql_bind(st, INT64_MAX, (int64_t)0);
	assert_false(sql_done(&w.ledger->store, st));
	assert_true(w.ledger->store.fenced);
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM boot WHERE ceiling_ms = 9223372036854775807"), 0);
	world_end(&w);
}

static const char *
state_of(struct world *w)
{
	json_t *answer = world_must(w, "{s:s}", "op", "node.list"), *rows = json_object_get(answer, "rows");
	static char word[16];
	assert_int_equal(json_array_size(rows), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "node")), 0);
	snprintf(word, sizeof(word), "%s", json_string_value(json_object_get(json_array_get(rows, 0), "state")));
	json_decref(answer);
	return word;
}

static void
the_list_says_who_is_up_away_and_gone(void **state)
{
	struct world w;
	world_begin(&w);
	assert_string_equal(state_of(&w), "up");
	world_sql(&w, "UPDATE node SET seen_us = seen_us - 31000000 RETURNING id");
	assert_string_equal(state_of(&w), "away");
	world_progress(&w); /* an idle one is heard of as well */
	assert_string_equal(state_of(&w), "up");
	world_end(&w);
}

static void
another_pepper_is_refused_while_others_run(void **state)
{
	struct world w;
	char why[256];
	world_begin(&w);
	world_sql(&w, "UPDATE node SET id = 9 RETURNING id");
	world_kill_ledger(&w);
	w.pepper[0] ^= 1;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "another pepper"));
	w.pepper[0] ^= 1;
	world_open(&w, true);
	world_is_sound(&w);
	world_end(&w);
}

/* With the same secrets, as after a slip in its address, or in a restoration. */
static void
another_database_than_the_one_with_its_books_is_refused(void **state)
{
	struct world w;
	char why[256], right[sizeof(w.store)], others[sizeof(w.store)];
	world_begin(&w);
	world_account(&w, "alice", "5.00");
	memcpy(right, w.store, sizeof(right));
	world_close(&w);
	world_schema(getenv("LETHE_TEST_POSTGRES"), w.store);
	memcpy(others, w.store, sizeof(others));
	for (int served = 0; served < 2; served++) {
		assert_false(world_try_open(&w, served, why));
		assert_non_null(strstr(why, "there are no books"));
		world_on_server(w.store, "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace) THEN RAISE 'tables were made'; END IF; END $$");
	}
	world_forget_books(&w);
	world_open(&w, false);
	world_close(&w);
	memcpy(w.store, right, sizeof(right));
	assert_false(world_try_open(&w, false, why));
	assert_non_null(strstr(why, "these are other books"));
	world_forget_books(&w);
	world_open(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM account WHERE name = 'alice'"), 1);
	/* A copy of the books is the books. */
	char sql[160];
	int64_t identity = w.ledger->store.identity;
	world_close(&w);
	snprintf(sql, sizeof(sql), "UPDATE pen SET identity = %lld", (long long)identity);
	world_on_server(others, sql);
	memcpy(w.store, others, sizeof(others));
	world_open(&w, false);
	world_drop_schema(&w);
	memcpy(w.store, right, sizeof(right));
	world_end(&w);
}

static void
what_a_forgotten_node_left_is_settled_once(void **state)
{
	struct world a, b;
	char why[256];
	world_begin(&a);
	uint64_t account = world_account(&a, "alice", "5.00");
	struct world_exchange e = {.account = account, .input = 100, .output = 50, .cost = 20};
	struct ticket *t = world_hold(&a, &e);
	uint64_t booked = world_exchange(&a, (struct world_exchange){.account = account, .input = 10, .cost = -1});
	world_progress(&a);
	int64_t balance = world_balance(&a, account);
	a.ledger->store.lost = true; /* no last words */
	world_kill_ledger(&a); /* it had booked one, and its sums of usage are not in the store */
	node_begin_beside(&b, &a, 1);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM progress"), 1); /* it may come back */
	world_refused(&b, "node_is_up", "{s:s, s:s}", "op", "node.forget", "node", "0");
	world_refused(&b, "own_node", "{s:s, s:s}", "op", "node.forget", "node", "1");
	world_refused(&b, "no_such_node", "{s:s, s:s}", "op", "node.forget", "node", "7");
	world_refused(&b, "bad_request", "{s:s, s:s}", "op", "node.forget", "node", "255");
	world_sql(&b, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	for (int again = 0; again < 2; again++) {
		json_decref(world_must(&b, "{s:s, s:s}", "op", "node.forget", "node", "0"));
		assert_int_equal(world_balance(&b, account), balance - 20);
		assert_int_equal(world_sql(&b, "SELECT count(*) FROM ticket"), 2);
		/* What it had used, and nobody can be charged for, has a name. */
		assert_int_equal(world_balance(&b, HOUSE_LOSS_NODE), -(world_cost(&b, &e) - 20));
		assert_int_equal(world_balance(&b, HOUSE_LOSS_CRASH), 0);
		assert_int_equal(world_sql(&b, "SELECT end_reason FROM ticket WHERE cost_nano = 20"), END_NODE_FORGOTTEN);
		assert_int_equal(world_sql(&b, "SELECT sum(cost_nano)::bigint FROM usage_day"), 5 * NANO_PER_DOLLAR - balance + 20);
		world_is_sound(&b);
	}
	assert_true(world_sql(&b, "SELECT count(*) FROM ticket WHERE cost_nano = 20") == 1 && booked != 0);
	/* Its machine lives after all: what its board says does not count any more. */
	world_kill_ledger(&b);
	ticket_settle(a.desk, t);
	assert_false(world_try_open(&a, true, why));
	assert_true(a.ledger->store.fenced);
	world_kill_ledger(&a);
	assert_false(world_try_open(&a, true, why));
	world_lose_board(&a);
	world_open(&a, true);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), 2);
	assert_int_equal(world_balance(&a, account), balance - 20);
	assert_true(world_exchange(&a, (struct world_exchange){.account = account, .input = 10, .cost = -1}) != 0);
	world_round(&a);
	world_is_sound(&a);
	world_end(&a);
	world_end(&b);
}

/* Each has an account of its own, for balances are not shared: all else of the books is. */
static void
two_ledgers_take_turns_at_one_set_of_books(void **state)
{
	enum { TURNS = 40 };
	struct world a, b;
	world_begin(&a);
	uint64_t alice = world_account(&a, "alice", "5.00"), bob = world_account(&a, "bob", "5.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	world_sql(&a, "UPDATE pen SET many = 1 RETURNING many");
	world_lose_board(&a);
	world_open(&a, true);
	node_begin_beside(&b, &a, 1);
	for (int i = 0; i < TURNS; i++) {
		assert_true(world_exchange(&a, (struct world_exchange){.account = alice, .input = 10, .cost = -1}) != 0);
		assert_true(world_exchange(&b, (struct world_exchange){.account = bob, .input = 10, .cost = -1}) != 0);
		/* Now one, now the other, now twice; and what is not a booking in between. */
		if (i % 3 != 1)
			assert_true(world_round(&a) >= 0);
		if (i % 4 == 2)
			json_decref(world_must(&b, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "bob", "amount", "1.00", "reason", "more"));
		if (i % 5 == 3) {
			assert_true(world_progress(&b) >= 0);
		}
	}
	while (world_round(&a) > 0 || world_round(&b) > 0)
		;
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), 2 * TURNS);
	assert_int_equal(world_balance(&b, alice), 5 * NANO_PER_DOLLAR - TURNS * cost);
	assert_int_equal(world_balance(&a, bob), 15 * NANO_PER_DOLLAR - TURNS * cost);
	/* One falls away in the middle of its sums; the other does not take them for its own. */
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_true(usage_flush(a.ledger) && usage_flush(b.ledger));
	assert_int_equal(world_sql(&b, "SELECT sum(requests)::bigint FROM usage_day"), 2 * TURNS);
	json_t *verified = world_must(&b, "{s:s}", "op", "ledger.verify");
	assert_true(json_is_true(json_object_get(verified, "sound")));
	json_decref(verified);
	world_end(&b);
	json_t *again = world_must(&a, "{s:s}", "op", "ledger.verify");
	assert_true(json_is_true(json_object_get(again, "sound")));
	json_decref(again);
	world_end(&a);
}

/* Fewer than it asks for at once, and more. */
static void
who_has_long_been_silent_knows_what_the_others_booked(void **state)
{
	struct world a, b;
	world_begin(&a);
	uint64_t alice = world_account(&a, "alice", "5.00"), bob = world_account(&a, "bob", "5.00");
	int64_t cost = world_cost(&a, &(struct world_exchange){.input = 10});
	world_sql(&a, "UPDATE pen SET many = 1 RETURNING many");
	world_lose_board(&a);
	world_open(&a, true);
	node_begin_beside(&b, &a, 1);
	static const int bookings[] = {1, 5, 63, 64, 70, 2};
	int all = 0;
	for (size_t k = 0; k < ARRAY_LEN(bookings); k++) {
		for (int i = 0; i < bookings[k]; i++) {
			/* Of two tickets now and then, so that subtrees end within bookings, too. */
			for (int t = 0; t <= i % 3; t++, all++)
				assert_true(world_exchange(&a, (struct world_exchange){.account = t % 2 ? bob : alice, .input = 10, .cost = -1}) != 0);
			assert_true(world_round(&a) >= 0);
		}
		assert_true(world_exchange(&b, (struct world_exchange){.account = bob, .input = 10, .cost = -1}) != 0);
		assert_true(world_round(&b) >= 0);
		all++;
	}
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), all);
	assert_int_equal(world_balance(&a, alice) + world_balance(&a, bob), 10 * NANO_PER_DOLLAR - all * cost);
	assert_true(usage_flush(a.ledger) && usage_flush(b.ledger));
	json_t *verified = world_must(&b, "{s:s}", "op", "ledger.verify");
	assert_true(json_is_true(json_object_get(verified, "sound")));
	json_decref(verified);
	world_end(&b);
	world_end(&a);
}

static void
no_two_have_one_number(void **state)
{
	struct world a, b;
	char why[256];
	world_begin(&a);
	world_sql(&a, "UPDATE pen SET many = 1 RETURNING many");
	world_lose_board(&a);
	world_open(&a, true);
	node_begin_beside(&b, &a, 1);
	world_lose_board(&b);
	b.size.node = 0;
	world_lose_board(&b);
	assert_false(world_try_open(&b, true, why)); /* after ten seconds: the first may be on its way out */
	assert_non_null(strstr(why, "no two may have one number"));
	assert_true(world_round(&a) >= 0);
	world_end(&b);
	world_end(&a);
}

static void
four_nodes_spend_an_account_to_its_end_and_no_further(void **state)
{
	enum { NODES = 4,
		MOST = 400 };
	struct world w[NODES];
	uint64_t alice = node_begin_shared(&w[0], "0.001000000");
	for (uint32_t n = 1; n < NODES; n++)
		node_begin_beside(&w[n], &w[0], n);
	int64_t cost = world_cost(&w[0], &(struct world_exchange){.input = 10}), served = 0, least = NANO_PER_DOLLAR / 1000 / cost;
	unsigned seed = 7;
	for (int idle = 0; idle < 100 && served < MOST; idle++) {
		unsigned n = (seed = seed * 1103515245 + 12345) >> 16 & 3;
		node_look(&w[n]);
		for (int i = 0; i < 7 && node_serve(&w[n], alice); i++, served++)
			idle = 0;
		if (seed >> 20 & 1)
			assert_true(world_round(&w[n]) >= 0);
	}
	for (unsigned n = 0; n < NODES; n++)
		while (world_round(&w[n]) > 0)
			;
	assert_int_equal(world_sql(&w[0], "SELECT count(*) FROM ticket"), served);
	assert_int_equal(world_balance(&w[0], alice), NANO_PER_DOLLAR / 1000 - served * cost);
	if (served < least - 1)
		fail_msg("%lld served, the credit is for %lld", (long long)served, (long long)least);
	/* T1 on each board: what its slot has is its share. */
	for (unsigned n = 0; n < NODES; n++) {
		struct nano share;
		assert_true(share_balance(w[n].ledger, alice, &share));
		assert_int_equal(node_has(&w[n], alice), share.v);
	}
	node_verify(&w[1]);
	for (unsigned n = NODES; n-- > 0;)
		world_end(&w[n]);
}

static void
moves_that_a_killed_ledger_began_are_booked_or_dropped(void **state)
{
	struct world a;
	uint32_t index;
	uint64_t alice = node_begin_shared(&a, "3.00");
	struct nano share;
	assert_true(node_serve(&a, alice));
	while (world_round(&a) > 0)
		;
	assert_true(share_return(a.ledger, alice));
	int64_t balance = world_balance(&a, alice);
	assert_int_equal(node_has(&a, alice), 0);
	/* Begun and not booked: there is so much, and then there is not. */
	assert_true(board_credit_begin(a.ledger_board, ledger_next_id(a.ledger), alice, (struct nano){NANO_PER_DOLLAR}, &index));
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_int_equal(node_has(&a, alice), NANO_PER_DOLLAR);
	assert_true(board_credit_begin(a.ledger_board, ledger_next_id(a.ledger), alice, (struct nano){4 * NANO_PER_DOLLAR}, &index));
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_int_equal(node_has(&a, alice), NANO_PER_DOLLAR);
	/* Back, likewise. */
	assert_int_equal(board_debit_begin(a.ledger_board, ledger_next_id(a.ledger), alice, (struct nano){NANO_PER_DOLLAR / 4}, &index), MOVED);
	a.ledger->store.lost = true;
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_int_equal(node_has(&a, alice), NANO_PER_DOLLAR * 3 / 4);
	assert_true(share_balance(a.ledger, alice, &share));
	assert_int_equal(share.v, NANO_PER_DOLLAR * 3 / 4);
	assert_int_equal(world_balance(&a, alice), balance);
	node_verify(&a);
	/* Orders: what comes is nobody's share; what goes is taken back from here. */
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1.00", "reason", "more"));
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-3.50", "reason", "less"));
	world_refused(&a, "insufficient_balance", "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-3.50", "reason", "less");
	assert_int_equal(world_balance(&a, alice), balance - 5 * NANO_PER_DOLLAR / 2);
	node_verify(&a);
	world_end(&a);
}

/* What the clock says now is before it. */
static void
a_move_has_an_id_after_those_before_it(void **state)
{
	struct world a;
	uint64_t alice = node_begin_shared(&a, "3.00");
	int64_t later = (int64_t)ledger_next_id(a.ledger) + (3600000LL << 23);
	struct query *st = sql_prepare(&a.ledger->store, "UPDATE node SET moved = ?1 WHERE id = 0");
	sql_bind_int(st, 1, later);
	assert_true(sql_done(&a.ledger->store, st));
	sql_free(st);
	world_lose_board(&a);
	world_open(&a, true);
	assert_true(node_serve(&a, alice));
	assert_true(node_serve(&a, alice));
	assert_int_equal(world_sql(&a, "SELECT sum(nano)::bigint FROM share"), 3 * NANO_PER_DOLLAR);
	assert_true(world_sql(&a, "SELECT moved FROM node WHERE id = 0") > later);
	world_end(&a);
}

/* A command without its server: as node 255 it is no other server, and yet somebody else. */
static void
who_is_alone_hears_what_commands_want_and_change(void **state)
{
	struct world a, b;
	uint64_t alice = node_begin_shared(&a, "3.00");
	assert_true(node_serve(&a, alice));
	while (world_round(&a) > 0)
		;
	node_begin_beside(&b, &a, LEDGER_NODE_COMMANDS);
	world_close(&b);
	world_open(&b, false);
	world_refused(&b, "insufficient_balance", "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-2.00", "reason", "less");
	node_look(&a);
	assert_int_equal(node_has(&a, alice), 0);
	json_decref(world_must(&b, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-2.00", "reason", "less"));
	/* One that can't be told here does not keep back those after it. */
	world_sql(&b, "INSERT INTO change (number, time_us, what, subject) SELECT max(number) + 1, 1, 2, 12345 FROM change RETURNING number");
	json_decref(world_must(&b, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1.00", "reason", "more"));
	node_look(&a);
	assert_int_equal(a.ledger->change_seen, world_sql(&b, "SELECT max(number) FROM change"));
	world_end(&b);
	world_end(&a);
}

/* Each part of settling is a transaction: the node may be back before any of them. */
static void
a_node_that_comes_back_settles_the_rest_itself(void **state)
{
	struct world a, b;
	world_begin(&a);
	uint64_t account = world_account(&a, "alice", "5.00");
	struct ticket *t = world_hold(&a, &(struct world_exchange){.account = account, .input = 100, .output = 50, .cost = 20});
	world_progress(&a);
	assert_non_null(t);
	world_close(&a);
	assert_true(a.ledger == NULL);
	node_begin_beside(&b, &a, 1);
	/* It ended, and its board may have another ledger any moment: it has not left. */
	world_refused(&b, "node_is_up", "{s:s, s:s}", "op", "node.forget", "node", "0");
	b.ledger->store.forgotten = 0;
	b.ledger->store.forgotten_fence = world_sql(&b, "UPDATE node SET state = 3 WHERE id = 0 RETURNING fence");
	world_sql(&b, "SELECT lethe_join(0)");
	assert_false(progress_settle(b.ledger, 0));
	assert_false(ledger_forget_orders(b.ledger, 0));
	assert_false(share_return_all(b.ledger, 0));
	assert_false(b.ledger->store.lost);
	b.ledger->store.forgotten_fence = 0;
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM progress"), 1);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM ticket"), 0);
	assert_true(world_round(&b) >= 0);
	/* Away once more: now for good. */
	world_sql(&b, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(&b, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM ticket"), 1);
	world_is_sound(&b);
	world_end(&b);
	world_end(&a);
}

static void
who_has_ended_with_all_booked_has_left(void **state)
{
	struct world a, b;
	uint64_t alice = node_begin_shared(&a, "3.00");
	assert_true(node_serve(&a, alice));
	while (world_round(&a) > 0)
		;
	node_begin_beside(&b, &a, 1);
	assert_true(ledger_last(a.ledger));
	world_close(&a);
	assert_int_equal(world_sql(&b, "SELECT state FROM node WHERE id = 0"), NODE_LEFT);
	assert_int_equal(world_sql(&b, "SELECT sum(lent_nano)::bigint FROM account"), 0);
	json_decref(world_must(&b, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	world_close(&b);
	world_lose_board(&a);
	world_open(&a, true);
	assert_int_equal(world_sql(&a, "SELECT state FROM node WHERE id = 1"), NODE_UP);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

static void
a_share_whose_account_left_the_board_goes_back(void **state)
{
	struct world a;
	uint64_t alice = node_begin_shared(&a, "3.00");
	assert_true(node_serve(&a, alice));
	while (world_round(&a) > 0)
		;
	assert_true(board_evict(a.ledger_board, alice));
	assert_true(world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'") > 0);
	assert_true(share_return(a.ledger, alice));
	assert_int_equal(world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'"), 0);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM share"), 0);
	assert_true(node_serve(&a, alice));
	node_verify(&a);
	world_end(&a);
}

/* Without a moment in between. */
static void
who_lacks_less_than_what_was_refused_is_not_refused(void **state)
{
	struct world a;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	struct share_refusal *refusals = a.ledger->refusals;
	assert_int_equal(ledger_load_row(a.ledger, alice, 5 * NANO_PER_DOLLAR, &slot), ROW_SHORT);
	assert_int_equal(node_has(&a, alice), 0);
	for (int i = 0; i < SHARE_REFUSALS; i++)
		refusals[i].until_ms = UINT64_MAX;
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 0);
	assert_int_equal(node_has(&a, alice), 3 * NANO_PER_DOLLAR);
	/* And whoever lacks as much is, until there is more. */
	assert_int_equal(ledger_load_row(a.ledger, alice, 8 * NANO_PER_DOLLAR, &slot), ROW_SHORT);
	for (int i = 0; i < SHARE_REFUSALS; i++)
		refusals[i].until_ms = UINT64_MAX;
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "5.00", "reason", "more"));
	assert_int_equal(ledger_load_row(a.ledger, alice, 8 * NANO_PER_DOLLAR, &slot), 0);
	assert_int_equal(node_has(&a, alice), 8 * NANO_PER_DOLLAR);
	node_verify(&a);
	world_end(&a);
}

/* Refused is who lacks more than all have together; whoever lacks less hears that it may come, at no more cost than a refusal. */
static void
who_lacks_what_others_have_is_to_ask_again(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_int_equal(ledger_load_row(a.ledger, alice, 3 * NANO_PER_DOLLAR, &slot), ROW_LOADED);
	assert_int_equal(node_has(&a, alice), 3 * NANO_PER_DOLLAR);
	/* Of its own money nobody has any. */
	assert_int_equal(ledger_load_row(a.ledger, alice, 4 * NANO_PER_DOLLAR, &slot), ROW_SHORT);
	/* An edge that does not know yet what it needs gets the row. */
	assert_int_equal(ledger_load_row(b.ledger, alice, 0, &slot), ROW_LOADED);
	slot = UINT32_MAX;
	assert_int_equal(ledger_load_row(b.ledger, alice, NANO_PER_DOLLAR, &slot), ROW_LATER);
	assert_true(slot != UINT32_MAX && node_has(&b, alice) == 0);
	struct share_refusal *refusals = b.ledger->refusals;
	for (int i = 0; i < SHARE_REFUSALS; i++) {
		/* Nobody who asks again after an edge's while meets this one. */
		assert_true(refusals[i].until_ms <= clock_monotonic_ms() + 50);
		refusals[i].until_ms = refusals[i].account == alice ? UINT64_MAX : 0;
	}
	node_count_questions(true);
	assert_int_equal(ledger_load_row(b.ledger, alice, NANO_PER_DOLLAR, &slot), ROW_LATER);
	assert_int_equal(ledger_load_row(b.ledger, alice, 3 * NANO_PER_DOLLAR, &slot), ROW_LATER);
	assert_int_equal(ledger_load_row(b.ledger, alice, 3 * NANO_PER_DOLLAR + 1, &slot), ROW_SHORT);
	assert_int_equal(node_asked, 0);
	node_count_questions(false);
	node_look(&a);
	node_look(&b);
	assert_int_equal(ledger_load_row(b.ledger, alice, 2 * NANO_PER_DOLLAR, &slot), ROW_LOADED);
	assert_true(node_has(&b, alice) >= 2 * NANO_PER_DOLLAR);
	/* What is held there may not come back, and counts all the same: the edge asks only so often. */
	assert_int_equal(ledger_load_row(a.ledger, alice, 3 * NANO_PER_DOLLAR, &slot), ROW_LATER);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static enum work_result
begin_work(struct world *w, uint64_t id, uint64_t account, int64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = WORK_BEGIN;
	m.work = id;
	m.account = account;
	m.nano = (uint64_t)nano;
	return ledger_work(w->ledger, &m);
}

/* As a request does, and no longer than one that asks three times. */
static void
work_waits_for_what_lies_idle_on_others(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_int_equal(ledger_load_row(a.ledger, alice, 3 * NANO_PER_DOLLAR, &slot), ROW_LOADED);
	assert_int_equal(begin_work(&b, 7, alice, 4 * NANO_PER_DOLLAR), WORK_SHORT); /* all together have not so much */
	assert_int_equal(begin_work(&b, 8, alice, 2 * NANO_PER_DOLLAR), WORK_LATER);
	assert_int_equal(begin_work(&b, 8, alice, 2 * NANO_PER_DOLLAR), WORK_LATER);
	node_look(&a);
	assert_int_equal(begin_work(&b, 8, alice, 2 * NANO_PER_DOLLAR), WORK_DONE);
	assert_int_equal(begin_work(&b, 8, alice, 2 * NANO_PER_DOLLAR), WORK_DONE);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM work WHERE hold <> 0"), 1);
	/* What is held there does not come. */
	const struct world_exchange e = {.account = alice, .input = 10, .hold = NANO_PER_DOLLAR / 2, .cost = -1};
	node_ask(&a, alice, NANO_PER_DOLLAR);
	assert_non_null(world_hold(&a, &e));
	assert_int_equal(begin_work(&b, 9, alice, NANO_PER_DOLLAR), WORK_LATER);
	node_look(&a);
	assert_int_equal(begin_work(&b, 9, alice, NANO_PER_DOLLAR), WORK_LATER);
	assert_true(postgres_exec(&b.ledger->store, "UPDATE work SET created_us = created_us - 300000"));
	assert_int_equal(begin_work(&b, 9, alice, NANO_PER_DOLLAR), WORK_SHORT);
	/* However long the first question took: nobody had heard of it. */
	assert_int_equal(begin_work(&b, 10, alice, NANO_PER_DOLLAR), WORK_LATER);
	/* Who goes without having been given it takes nothing, though it has come meanwhile. */
	json_decref(world_must(&b, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "5.00", "reason", "more"));
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = WORK_END;
	m.work = 10;
	m.account = alice;
	int64_t items = world_sql(&b, "SELECT count(*) FROM item");
	assert_int_equal(ledger_work(b.ledger, &m), WORK_DONE);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM item"), items);
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM work"), 1);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

/* A server that is gone for good has nobody but the others to look at what it has begun. */
static void
work_of_one_server_is_looked_at_by_the_others(void **state)
{
	enum { HOUR_S = 3600 };
	struct world a, b;
	struct message_errand e;
	uint64_t next_us, now_us = clock_wall_us();
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_false(ledger_work_due(b.ledger, now_us, &e, &next_us));
	assert_in_range(next_us, now_us + 1, now_us + UINT64_C(60000000));
	assert_int_equal(begin_work(&a, 7, alice, NANO_PER_DOLLAR), WORK_DONE);
	assert_false(ledger_work_due(b.ledger, now_us, &e, &next_us));
	assert_in_range(next_us, now_us + 1, now_us + UINT64_C(60000000));
	world_kill_ledger(&a);
	/* It was never named: what was set aside comes back. */
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM item WHERE state = 1"), 1);
	assert_false(ledger_work_due(b.ledger, now_us + 2 * UINT64_C(1000000) * HOUR_S, &e, &next_us));
	assert_int_equal(world_sql(&b, "SELECT count(*) FROM item WHERE state = 1"), 0);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

/* A portion is for whoever takes it first: each is told that it is there, and who finds it gone asks again, until nobody has enough. */
static void
who_is_too_late_for_a_portion_gets_the_next(void **state)
{
	enum { ASKERS = 6,
		SERVED = 5 };
	struct world a, b;
	uint32_t slot;
	int64_t need = 3 * NANO_PER_DOLLAR;
	uint64_t alice = node_begin_shared(&a, "16.00");
	const struct world_exchange e = {.account = alice, .input = 10, .hold = need, .cost = -1};
	node_begin_beside(&b, &a, 1);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(ledger_load_row(b.ledger, alice, need, &slot), ROW_LOADED);
	assert_true(node_has(&b, alice) >= need && node_has(&b, alice) < 2 * need); /* of one */
	for (int served = 0; served < SERVED; served++) {
		for (int i = served; i < ASKERS; i++)
			assert_int_equal(ledger_load_row(b.ledger, alice, need, &slot), ROW_LOADED);
		assert_non_null(world_hold(&b, &e));
	}
	assert_int_equal(ledger_load_row(b.ledger, alice, need, &slot), ROW_SHORT);
	assert_null(world_hold(&b, &e));
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

/* What the database would not let happen, once its guards are taken away. */
static void
every_damage_to_nodes_and_shares_is_found(void **state)
{
	static const struct {
		const char *inv, *sql;
	} damages[] = {
		{"INV-17", "DROP TRIGGER node_fence ON node; UPDATE node SET fence = fence + 1"},
		{"INV-18", "UPDATE share SET nano = nano + 1"},
		{"INV-18", "UPDATE account SET lent_nano = lent_nano - 1 WHERE name = 'alice'"},
		{"INV-18", "DELETE FROM share"},
		{"INV-18", "ALTER TABLE account DROP CONSTRAINT lent_is_there; UPDATE account SET lent_nano = balance_nano + 1 WHERE name = 'alice'; "
				   "UPDATE share SET nano = (SELECT lent_nano FROM account WHERE name = 'alice')"},
		{"INV-5", "DROP TRIGGER pen_whole ON pen"},
		{"INV-5", "ALTER TABLE posting DISABLE TRIGGER posting_whole"},
	};
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		struct world a;
		uint64_t alice = node_begin_shared(&a, "3.00");
		assert_true(node_serve(&a, alice));
		while (world_round(&a) > 0)
			;
		node_verify(&a);
		assert_true(postgres_exec(&a.ledger->store, damages[i].sql));
		if (!world_is_broken(&a, damages[i].inv))
			fail_msg("not found: %s", damages[i].sql);
		world_end(&a);
	}
}

static void
no_table_whose_rows_stay_can_be_emptied(void **state)
{
	static const char *const tables[] = {"posting", "ticket", "booking", "operation", "price", "account", "item", "change", "receipt_key", "receipt_batch", "receipt_node", "reconciliation",
		"proposal", "work", "work_usage", "node", "pen"};
	struct world w;
	char sql[120];
	world_begin(&w);
	assert_true(world_exchange(&w, (struct world_exchange){.account = world_account(&w, "alice", "5.00"), .input = 10, .cost = -1}) != 0);
	assert_true(world_round(&w) >= 0);
	struct store *s = &w.ledger->store;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		snprintf(sql, sizeof(sql), "TRUNCATE %s CASCADE", tables[i]);
		if (postgres_exec(s, sql))
			fail_msg("allowed: %s", sql);
		const struct postgres *g = s->own;
		if (strstr(g->trouble, "deleted") == NULL)
			fail_msg("%s: %s", sql, g->trouble);
	}
	assert_false(postgres_exec(s, "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || min(inhrelid)::regclass FROM pg_inherits WHERE inhparent = 'ticket'::regclass); END $$"));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
	world_is_sound(&w);
	world_end(&w);
}

/* As many as a second has room for, not as many as answers can be waited for in it. */
static void
what_runs_is_written_in_few_questions_however_many_there_are(void **state)
{
	enum { STREAMS = 300 };
	struct world w;
	static struct ticket *t[STREAMS];
	uint64_t alice = node_begin_shared(&w, "3.00");
	assert_true(node_serve(&w, alice));
	while (world_round(&w) > 0)
		;
	world_progress(&w); /* all that is prepared once is */
	for (int i = 0; i < STREAMS; i++)
		assert_non_null(t[i] = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = 1}));
	for (int more = 0; more < 2; more++) {
		node_count_questions(true);
		world_progress(&w);
		node_count_questions(false);
		if (node_asked > 40)
			fail_msg("%d questions for %d streams", node_asked, STREAMS);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), STREAMS);
		assert_int_equal(world_sql(&w, "SELECT sum(cost_nano)::bigint FROM progress"), more == 0 ? STREAMS : 2 * STREAMS);
		for (int i = 0; i < STREAMS; i++)
			ticket_state_cost(t[i], (struct nano){2});
	}
	for (int i = 0; i < STREAMS; i++)
		ticket_settle(w.desk, t[i]);
	while (world_round(&w) > 0)
		;
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 0);
	world_is_sound(&w);
	world_end(&w);
}

/* An edge that does what it likes may write another ticket's id into one of its own: that costs it its own, and nobody else the ledger. */
static void
two_that_say_they_are_one_stop_nobody(void **state)
{
	struct world w;
	struct ticket *t[2];
	uint64_t alice = node_begin_shared(&w, "3.00");
	assert_true(node_serve(&w, alice));
	for (int i = 0; i < 2; i++)
		assert_non_null(t[i] = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = 1}));
	uint64_t own = t[1]->id;
	t[1]->id = t[0]->id;
	ticket_state_cost(t[1], (struct nano){3});
	assert_true(world_progress(&w) >= 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 1);
	t[1]->id = own;
	for (int i = 0; i < 2; i++)
		ticket_settle(w.desk, t[i]);
	while (world_round(&w) > 0)
		;
	world_is_sound(&w);
	world_end(&w);
}

/* Whoever waits for a share waits for this; and while another books, it need not wait for the pen. */
static void
a_share_is_taken_and_given_in_few_questions_and_without_the_pen(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_true(node_serve(&a, alice));
	assert_true(share_return(a.ledger, alice)); /* all that is prepared once is */
	int64_t turn = world_sql(&a, "SELECT turn FROM pen");
	a.ledger->count_due_ms = UINT64_MAX; /* how many others there are is asked once a second */
	assert_true(store_begin(&b.ledger->store)); /* it has the pen throughout */
	node_count_questions(true);
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 0);
	assert_int_equal(node_asked, 2);
	assert_true(node_has(&a, alice) >= NANO_PER_DOLLAR);
	assert_true(share_return(a.ledger, alice));
	assert_int_equal(node_asked, 3);
	assert_int_equal(node_turns, 0);
	node_count_questions(false);
	store_rollback(&b.ledger->store);
	assert_int_equal(world_sql(&a, "SELECT turn FROM pen"), turn);
	/* Who may write no more takes nothing this way either. */
	world_sql(&b, "SELECT lethe_join(0)");
	int64_t lent = world_sql(&b, "SELECT sum(lent_nano)::bigint FROM account");
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 2);
	assert_true(a.ledger->store.lost && a.ledger->store.fenced);
	assert_int_equal(world_sql(&b, "SELECT sum(lent_nano)::bigint FROM account"), lent);
	world_kill_ledger(&a);
	world_open(&a, true);
	node_verify(&b);
	world_end(&b);
	world_end(&a);
}

static void
a_grant_ends_by_what_is_open_of_it_then(void **state)
{
	struct world a;
	struct item i;
	node_begin_shared(&a, "3.00");
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "1.00", "expires", "2099-01-01", "reason", "free"));
	assert_int_equal(item_find(a.ledger, (uint64_t)world_sql(&a, "SELECT id FROM item WHERE kind = 2"), &i), SQL_ROW);
	for (int late = 1; late >= 0; late--) {
		struct order o = {.kind = ORDER_GRANT_EXPIRY, .nano = -i.open_nano};
		assert_true(order_of_item(a.ledger, &o, "expiry", &i));
		o.open_nano = i.open_nano + late; /* another server has taken that off it since */
		json_t *error = order_do(a.ledger, &o);
		assert_int_equal(error != NULL, late);
		json_decref(error);
	}
	assert_int_equal(world_sql(&a, "SELECT balance_nano FROM account WHERE name = 'alice'"), 3 * NANO_PER_DOLLAR);
	node_verify(&a);
	world_end(&a);
}

static void
free_credit_is_not_moved_where_others_book_as_well(void **state)
{
	struct world a;
	node_begin_shared(&a, "3.00");
	world_account(&a, "bob", NULL);
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "1.00", "expires", "2099-01-01"));
	world_refused(&a, "free_credit", "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "3.000000001");
	world_refused(&a, "insufficient_balance", "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "4.1");
	json_decref(world_must(&a, "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "3"));
	assert_int_equal(world_sql(&a, "SELECT balance_nano FROM account WHERE name = 'alice'"), NANO_PER_DOLLAR);
	node_verify(&a);
	world_end(&a);
}

static void
who_is_to_be_emptied_hears_it_until_it_begins_anew(void **state)
{
	struct world a, b;
	node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	json_decref(world_must(&b, "{s:s, s:s}", "op", "node.drain", "node", "0"));
	assert_false(a.ledger->drain_wanted || b.ledger->drain_wanted);
	node_look(&b);
	node_look(&a);
	assert_true(a.ledger->drain_wanted && !b.ledger->drain_wanted);
	json_decref(world_must(&b, "{s:s, s:s}", "op", "node.drain", "node", "1"));
	assert_true(b.ledger->drain_wanted);
	/* The next ledger over its board hears it as well, the next server does not. */
	world_kill_ledger(&a);
	world_open(&a, true);
	node_look(&a);
	assert_true(a.ledger->drain_wanted);
	world_lose_board(&a);
	world_open(&a, true);
	node_look(&a);
	assert_false(a.ledger->drain_wanted);
	world_refused(&b, "node_is_not_up", "{s:s, s:s}", "op", "node.drain", "node", "7");
	world_sql(&b, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	world_refused(&b, "node_is_not_up", "{s:s, s:s}", "op", "node.drain", "node", "0");
	world_end(&b);
	world_end(&a);
}

/* The server waits for its next row, or the rest of a message, without end. */
static void
who_is_stopped_with_the_pen_in_hand_loses_it(void **state)
{
	struct world a, b;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	struct postgres *g = b.ledger->store.own;
	assert_int_equal(g->silent_us, 5000000);
	g->silent_us = 1;
	assert_true(postgres_exec(&b.ledger->store, "SET lock_timeout = 20"));
	assert_true(node_serve(&a, alice));
	for (int copies = 1; copies >= 0; copies--) {
		assert_true(store_begin(&a.ledger->store));
		assert_true(!copies || postgres_exec(&a.ledger->store, "COPY want FROM STDIN"));
		assert_true(node_serve(&b, alice) && world_round(&b) >= 0);
		/* As if its connection had been cut: the next ledger over its board goes on. */
		struct postgres *stopped = a.ledger->store.own;
		bool ok = true;
		if (copies && pq.PQputCopyEnd(stopped->conn, NULL) == 1)
			pq.PQclear(postgres_await(&a.ledger->store, &ok));
		assert_true(ok == !copies && !store_commit(&a.ledger->store));
		assert_true(a.ledger->store.lost && !a.ledger->store.fenced);
		world_kill_ledger(&a);
		world_open(&a, true);
	}
	while (world_round(&a) > 0 || world_round(&b) > 0)
		;
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), 3);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* Another session has a row in hand, and lets it go when who waits for it has rolled back so often; 0: by itself never. */
static int (*real_query)(PGconn *, const char *);
static struct {
	PGconn *waits;
	struct store *has;
	int times, seen;
} held_row;

static int
let_go_in_time(PGconn *conn, const char *sql)
{
	if (conn == held_row.waits && strncmp(sql, "ROLLBACK", 8) == 0 && ++held_row.seen == held_row.times) {
		pq.PQsendQuery = real_query;
		assert_true(postgres_exec(held_row.has, "COMMIT"));
		pq.PQsendQuery = let_go_in_time;
	}
	return real_query(conn, sql);
}

static void
hold_row(struct world *a, struct world *b, const char *sql, int times)
{
	const struct postgres *g = a->ledger->store.own;
	held_row = (__typeof__(held_row)){.waits = g->conn, .has = &b->ledger->store, .times = times};
	assert_true(postgres_exec(held_row.has, "BEGIN") && postgres_exec(held_row.has, sql));
	assert_true(postgres_exec(&a->ledger->store, "SET lock_timeout = 20"));
	real_query = pq.PQsendQuery;
	if (times != 0)
		pq.PQsendQuery = let_go_in_time;
}

/* The pen is anybody's meanwhile, and the requests of this node wait for nothing else. */
static void
a_booking_that_meets_a_row_in_hand_is_tried_again_at_once(void **state)
{
	enum { TRIES = 5 };
	static const struct {
		int let_go, tries, booked;
	} cases[] = {{1, 1, 1}, {TRIES - 1, TRIES - 1, 1}, {TRIES + 1, TRIES, -1}};
	struct world a, b;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(node_serve(&a, alice));
		hold_row(&a, &b, "SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE", cases[i].let_go);
		assert_int_equal(world_round(&a), cases[i].booked);
		pq.PQsendQuery = real_query;
		assert_int_equal(held_row.seen, cases[i].tries);
		assert_false(a.ledger->store.lost);
		assert_true(held_row.seen >= held_row.times || postgres_exec(held_row.has, "COMMIT"));
	}
	a.now_ms += 10000; /* as when its back-off is over */
	assert_int_equal(world_round(&a), 1);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM ticket"), ARRAY_LEN(cases));
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* 503, and the ledger serves on: a credit is dropped, a debit, which the board has made already, is booked before the next move. */
static void
a_move_that_waits_too_long_for_a_row_is_for_later(void **state)
{
	struct world a, b;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	assert_true(node_serve(&a, alice) && world_round(&a) == 1);
	int64_t share = node_has(&a, alice), lent = world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'");
	assert_true(share > 0 && share == lent);
	hold_row(&a, &b, "SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE", 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(ledger_load_row(a.ledger, alice, 2 * share, &slot), 2);
		assert_false(a.ledger->store.lost);
		assert_int_equal(node_has(&a, alice), share);
	}
	assert_int_equal(world_round(&a), 0);
	assert_false(share_return(a.ledger, alice));
	assert_false(a.ledger->store.lost);
	assert_int_equal(node_has(&a, alice), 0);
	/* Not before that one is booked; and what becomes of a round that waits as well is its own affair. */
	assert_int_equal(ledger_load_row(a.ledger, alice, share, &slot), 2);
	assert_false(a.ledger->store.lost);
	assert_true(postgres_exec(held_row.has, "COMMIT"));
	assert_int_equal(world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'"), lent);
	a.now_ms = clock_monotonic_ms() + 10000;
	assert_int_equal(world_round(&a), 1);
	assert_int_equal(world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'"), 0);
	assert_int_equal(ledger_load_row(a.ledger, alice, share, &slot), 0);
	assert_true(node_has(&a, alice) >= share);
	/* And when the row is free at once, the next move books the one before. */
	share = node_has(&a, alice);
	hold_row(&a, &b, "SELECT 1 FROM account WHERE name = 'alice' FOR UPDATE", 0);
	assert_false(share_return(a.ledger, alice));
	assert_true(postgres_exec(held_row.has, "COMMIT"));
	assert_int_equal(ledger_load_row(a.ledger, alice, share, &slot), 0);
	assert_true(node_has(&a, alice) >= share);
	assert_int_equal(node_has(&a, alice), world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'"));
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

/* As often as it looks there is enough, and when it takes it somebody else was first. */
static void
who_is_never_first_is_not_refused(void **state)
{
	struct world a;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	struct store *s = &a.ledger->store;
	assert_true(postgres_exec(s, "CREATE FUNCTION never_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
								 "CREATE TRIGGER never_first BEFORE UPDATE OF lent_nano ON account FOR EACH ROW EXECUTE FUNCTION never_first()"));
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 2);
	assert_false(s->lost);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM want"), 0);
	assert_true(postgres_exec(s, "DROP TRIGGER never_first ON account"));
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 0);
	assert_true(node_has(&a, alice) >= NANO_PER_DOLLAR);
	/* Too little stays a refusal. */
	assert_int_equal(ledger_load_row(a.ledger, alice, 4 * NANO_PER_DOLLAR, &slot), ROW_SHORT);
	assert_int_equal(world_sql(&a, "SELECT count(*) FROM want"), 1);
	node_verify(&a);
	world_end(&a);
}

static void
half_a_move_is_none(void **state)
{
	struct world a;
	uint32_t slot;
	uint64_t alice = node_begin_shared(&a, "3.00");
	struct store *s = &a.ledger->store;
	int64_t moved = world_sql(&a, "SELECT moved FROM node WHERE id = 0");
	assert_true(postgres_exec(s, "CREATE FUNCTION no_share() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
								 "CREATE TRIGGER no_share BEFORE INSERT OR UPDATE ON share FOR EACH ROW EXECUTE FUNCTION no_share()"));
	assert_int_equal(ledger_load_row(a.ledger, alice, NANO_PER_DOLLAR, &slot), 2);
	assert_true(s->lost); /* nothing is known of such a store */
	world_kill_ledger(&a);
	world_open(&a, true);
	assert_int_equal(world_sql(&a, "SELECT lent_nano FROM account WHERE name = 'alice'"), 0);
	assert_int_equal(world_sql(&a, "SELECT moved FROM node WHERE id = 0"), moved);
	assert_true(postgres_exec(&a.ledger->store, "DROP TRIGGER no_share ON share"));
	assert_true(node_serve(&a, alice));
	node_verify(&a);
	world_end(&a);
}

/* Somebody waits for a row: the one who has it lets it go. */
static bool
somebody_waits(struct store *s)
{
	int64_t waiting = 0;
	assert_true(postgres_number(s, "SELECT count(*) FROM pg_locks WHERE NOT granted", NULL, 0, &waiting));
	return waiting != 0;
}

static int (*real_busy)(PGconn *);

static int
commit_when_waited_for(PGconn *conn)
{
	if (conn != held_row.waits || held_row.seen != 0 || !real_busy(conn))
		return real_busy(conn);
	pq.PQisBusy = real_busy;
	struct pollfd answered = {.fd = pq.PQsocket(conn), .events = POLLIN};
	bool waits = false;
	while (poll(&answered, 1, 0) == 0 && !(waits = somebody_waits(held_row.has)))
		;
	if (waits) {
		held_row.seen = 1;
		assert_true(postgres_exec(held_row.has, "COMMIT"));
	}
	pq.PQisBusy = commit_when_waited_for;
	return real_busy(conn);
}

/* Its move is not committed yet when another forgets it, and is before it is forgotten. */
static void
who_moves_while_it_is_being_forgotten_was_heard_of(void **state)
{
	struct world a, b;
	node_begin_shared(&a, "3.00");
	node_begin_beside(&b, &a, 1);
	struct postgres *g = b.ledger->store.own;
	world_sql(&b, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	held_row = (__typeof__(held_row)){.waits = g->conn, .has = &a.ledger->store};
	assert_true(postgres_exec(held_row.has, "BEGIN; UPDATE node SET seen_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE id = 0"));
	real_busy = pq.PQisBusy;
	pq.PQisBusy = commit_when_waited_for;
	world_refused(&b, "node_is_up", "{s:s, s:s}", "op", "node.forget", "node", "0");
	pq.PQisBusy = real_busy;
	assert_int_equal(held_row.seen, 1);
	assert_int_equal(world_sql(&b, "SELECT state FROM node WHERE id = 0"), NODE_UP);
	assert_true(world_round(&a) >= 0);
	node_verify(&a);
	world_end(&b);
	world_end(&a);
}

static int
reads_nothing(PGconn *conn)
{
	return 0;
}

/* libpq takes errors that it has no name for, as EIO, for none of the connection's: what was asked stays unanswered, and the transaction open. */
static void
a_read_that_fails_is_a_lost_connection(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t account = world_account(&w, "alice", "5.00");
	for (int in_transaction = 0; in_transaction < 2; in_transaction++) {
		__typeof__(pq.PQconsumeInput) real = pq.PQconsumeInput;
		assert_true(world_exchange(&w, (struct world_exchange){.account = account, .input = 10, .cost = -1}) != 0);
		assert_true(!in_transaction || store_begin(&w.ledger->store));
		pq.PQconsumeInput = reads_nothing;
		if (in_transaction) {
			assert_false(sql_done(&w.ledger->store, store_sql(&w.ledger->store, SQL_intents_drop)));
			store_rollback(&w.ledger->store);
		} else
			assert_int_equal(world_round(&w), -1);
		assert_true(w.ledger->store.lost);
		assert_int_equal(world_round(&w), -1); /* nothing is begun on what is still open */
		pq.PQconsumeInput = real;
		world_kill_ledger(&w);
		world_open(&w, true);
		world_is_sound(&w);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1 + in_transaction);
	}
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_that_was_replaced_writes_no_more),
		cmocka_unit_test(each_statement_that_writes_shows_the_fence),
		cmocka_unit_test(the_list_says_who_is_up_away_and_gone),
		cmocka_unit_test(what_a_forgotten_node_left_is_settled_once),
		cmocka_unit_test(two_ledgers_take_turns_at_one_set_of_books),
		cmocka_unit_test(who_has_long_been_silent_knows_what_the_others_booked),
		cmocka_unit_test(no_two_have_one_number),
		cmocka_unit_test(four_nodes_spend_an_account_to_its_end_and_no_further),
		cmocka_unit_test(moves_that_a_killed_ledger_began_are_booked_or_dropped),
		cmocka_unit_test(a_move_has_an_id_after_those_before_it),
		cmocka_unit_test(who_is_alone_hears_what_commands_want_and_change),
		cmocka_unit_test(a_node_that_comes_back_settles_the_rest_itself),
		cmocka_unit_test(who_has_ended_with_all_booked_has_left),
		cmocka_unit_test(a_share_whose_account_left_the_board_goes_back),
		cmocka_unit_test(who_lacks_less_than_what_was_refused_is_not_refused),
		cmocka_unit_test(who_lacks_what_others_have_is_to_ask_again),
		cmocka_unit_test(work_waits_for_what_lies_idle_on_others),
		cmocka_unit_test(work_of_one_server_is_looked_at_by_the_others),
		cmocka_unit_test(who_is_too_late_for_a_portion_gets_the_next),
		cmocka_unit_test(what_runs_is_written_in_few_questions_however_many_there_are),
		cmocka_unit_test(two_that_say_they_are_one_stop_nobody),
		cmocka_unit_test(a_share_is_taken_and_given_in_few_questions_and_without_the_pen),
		cmocka_unit_test(a_grant_ends_by_what_is_open_of_it_then),
		cmocka_unit_test(free_credit_is_not_moved_where_others_book_as_well),
		cmocka_unit_test(another_pepper_is_refused_while_others_run),
		cmocka_unit_test(another_database_than_the_one_with_its_books_is_refused),
		cmocka_unit_test(who_is_to_be_emptied_hears_it_until_it_begins_anew),
		cmocka_unit_test(who_is_stopped_with_the_pen_in_hand_loses_it),
		cmocka_unit_test(a_booking_that_meets_a_row_in_hand_is_tried_again_at_once),
		cmocka_unit_test(a_move_that_waits_too_long_for_a_row_is_for_later),
		cmocka_unit_test(who_is_never_first_is_not_refused),
		cmocka_unit_test(half_a_move_is_none),
		cmocka_unit_test(who_moves_while_it_is_being_forgotten_was_heard_of),
		cmocka_unit_test(every_damage_to_nodes_and_shares_is_found),
		cmocka_unit_test(no_table_whose_rows_stay_can_be_emptied),
		cmocka_unit_test(a_read_that_fails_is_a_lost_connection),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
