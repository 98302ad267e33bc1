/* Whose an outbox is: nodes that were forgotten, numbers and stores that are another's meanwhile (docs/decisions/0074-outbox.md). On PostgreSQL only. */
#include "ledger/away.h"
#include "ledger/outbox_world.h"

#include "ticket/end_reasons.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
stand_beside(struct world *ret, const struct world *first, uint32_t node)
{
	world_begin(ret);
	world_lose_board(ret);
	memcpy(ret->store, first->store, sizeof(ret->store));
	world_forget_books(ret);
	ret->size.node = node;
	world_lose_board(ret);
}

static void
begin_beside(struct world *ret, const struct world *first)
{
	stand_beside(ret, first, 1);
	world_open(ret, true);
}

/* Whoever forgets a node gives its share back; what comes from it afterwards is the house's loss, and nobody pays twice. */
static void
what_a_forgotten_node_sends_is_charged_to_nobody(void **state)
{
	struct world w, other;
	char why[256];
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	begin_beside(&other, &w);
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(&other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	world_kill_ledger(&w);
	w.cut_off = false;
	assert_false(world_try_open(&w, true, why)); /* its board is of a boot that has ended */
	assert_true(w.ledger->store.fenced);
	assert_int_equal(atomic_load(board_gate(w.ledger_board)), BOARD_STALLED);
	assert_true(outbox_exists(w.dir));
	/* A store that goes after that opens nothing again. */
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	w.cut_off = false;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0"), 3);
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -3 * world_cost(&w, &outbox_world_small));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_CRASH), 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE end_reason = 53 AND loss = 9"), 3); /* NODE_FORGOTTEN, loss.node */
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR);
	world_end(&other);
	world_end(&w);
}

static void
is_forgotten_by(struct world *other)
{
	world_sql(other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
}

/* What it had begun while the store was away the store had never heard of when its share was given back. */
static void
what_ran_on_a_forgotten_node_is_charged_to_nobody(void **state)
{
	struct world w, other;
	uint32_t slot;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	const struct world_exchange e = {.account = alice, .input = 100, .output = 50, .cost = 20};
	outbox_world_open_again(&w, true);
	assert_non_null(world_hold(&w, &e));
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	outbox_world_book_all(&w);
	begin_beside(&other, &w);
	is_forgotten_by(&other);
	world_kill_ledger(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0 AND end_reason = 53 AND loss = 9"), 1); /* NODE_FORGOTTEN, loss.node */
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -world_cost(&w, &e));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_CRASH), 0);
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	outbox_world_is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR);
	world_end(&other);
	world_end(&w);
}

/* An attempt that failed was nobody's to pay before its node was forgotten, and what the provider may ask for it has an account of its own. */
static void
what_failed_on_a_forgotten_node_stays_what_it_was(void **state)
{
	struct world w, other;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	struct world_exchange e = outbox_world_small;
	e.account = alice;
	outbox_world_open_again(&w, true);
	e.parent = world_exchange(&w, e);
	e.cost = 0;
	e.end_reason = END_PROVIDER_TIMEOUT;
	assert_true(e.parent != 0 && world_exchange(&w, e) != 0);
	outbox_world_book_all(&w);
	begin_beside(&other, &w);
	is_forgotten_by(&other);
	world_kill_ledger(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0 AND end_reason = 9 AND loss = 7"), 1); /* PROVIDER_TIMEOUT, loss.retry */
	assert_int_equal(world_balance(&w, HOUSE_LOSS_RETRY), -world_cost(&w, &outbox_world_small));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -world_cost(&w, &outbox_world_small));
	outbox_world_verify_says(&w, NULL, 0, 0);
	world_end(&other);
	world_end(&w);
}

/* What `node forget` booked by its last progress is the customer's last word; what the node did after that is known once it comes back, and is the house's. */
static void
what_a_forgotten_node_did_after_its_last_progress_is_a_loss_once(void **state)
{
	for (int way = 0; way < 3; way++) { /* it ran; it had ended; it had, and the provider counted less than we had reckoned */
		bool ended = way > 0, less = way == 2;
		struct world w, other;
		uint32_t slot;
		uint64_t alice = outbox_world_begin(&w, "3.00");
		struct world_exchange e = {.account = alice, .input = 100, .output = 50, .cost = 20};
		struct ticket *t = world_hold(&w, &e);
		world_progress(&w); /* the store has 20 */
		outbox_world_open_again(&w, true);
		t->facts.tokens_output = less ? 30 : 70;
		ticket_state_cost(t, (struct nano){less ? 15 : 35});
		if (ended)
			ticket_settle(w.desk, t);
		w.now_ms += 2 * PROGRESS_PERIOD_MS;
		outbox_world_book_all(&w);
		assert_int_equal(outbox_world_waits(&w, "waiting_requests"), ended);
		begin_beside(&other, &w);
		is_forgotten_by(&other);
		assert_int_equal(world_sql(&other, "SELECT cost_nano FROM ticket WHERE end_reason = 53"), 20); /* NODE_FORGOTTEN */
		world_kill_ledger(&w);
		outbox_world_copy_file(&w, "outbox.db", "outbox.db.copy");
		world_open(&w, true);
		outbox_world_only_a_command(&w);
		outbox_world_verify_says(&w, NULL, ended, 0);
		world_close(&w);
		w.size.node = 0;
		e.output = less ? 50 : 70;
		/* Killed between the store's commit and the outbox's, it comes again. */
		for (int again = 0; again < 2; again++) {
			outbox_world_copy_file(&w, "outbox.db.copy", "outbox.db");
			world_lose_board(&w);
			world_open(&w, true);
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 20 AND tokens_output = 50"), 1);
			assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -(world_cost(&w, &e) - 20));
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM booking WHERE what = 20"), !less);
			assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
			outbox_world_is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - 20);
			world_kill_ledger(&w);
		}
		world_open(&w, true);
		world_end(&other);
		world_end(&w);
	}
}

/* That it may write no more is all that it heard before the store went, too. */
static void
who_was_replaced_goes_on_with_no_shares(void **state)
{
	struct world w;
	char why[256];
	uint64_t alice = outbox_world_begin(&w, "3.00");
	assert_true(outbox_world_serve(&w, alice));
	world_sql(&w, "SELECT lethe_join(0)");
	assert_int_equal(world_round(&w), -1);
	assert_true(w.ledger->store.fenced);
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	/* It was itself under another fence: the store says so, and then it may again. */
	w.cut_off = false;
	world_open(&w, true);
	outbox_world_is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - world_cost(&w, &outbox_world_small));
	outbox_world_open_again(&w, true);
	outbox_world_open_again(&w, false);
	world_end(&w);
}

static void
a_machine_s_own_node_is_not_forgotten_while_its_outbox_waits(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_lose_board(&w);
	w.cut_off = false;
	w.size.node = LEDGER_NODE_COMMANDS;
	world_open(&w, false);
	world_sql(&w, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	world_refused(&w, "outbox_waits", "{s:s, s:s}", "op", "node.forget", "node", "0");
	world_close(&w);
	/* Another number would charge another node's shares. */
	char why[256];
	w.size.node = 3;
	world_lose_board(&w);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 1 requests of node 0"));
	w.size.node = 0;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
	world_end(&w);
}

/* Nor while nothing waits but what was held, or what can't be read may. */
static void
an_outbox_with_progress_or_one_that_can_t_be_read_counts(void **state)
{
	struct world w;
	char path[128];
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	assert_non_null(world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20}));
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	outbox_world_book_all(&w);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 0);
	world_lose_board(&w);
	w.cut_off = false;
	w.size.node = LEDGER_NODE_COMMANDS;
	world_open(&w, false);
	world_sql(&w, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	world_refused(&w, "outbox_waits", "{s:s, s:s}", "op", "node.forget", "node", "0");
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("no table at all, and longer than the head of a file of SQLite: 0123456789012345678901234567890123456789", f) >= 0 && fclose(f) == 0);
	world_refused(&w, "outbox_unreadable", "{s:s, s:s}", "op", "node.forget", "node", "0");
	assert_int_equal(unlink(path), 0);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	world_close(&w);
	w.size.node = 0;
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

/* Neither another PostgreSQL nor books in a file get what waits for these. */
static void
what_waits_goes_to_no_other_store(void **state)
{
	struct world w;
	char why[256], right[sizeof(w.store)];
	uint64_t alice = outbox_world_begin(&w, "3.00");
	memcpy(right, w.store, sizeof(right));
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_schema(getenv("LETHE_TEST_POSTGRES"), w.store);
	world_forget_books(&w);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 2 requests that are not booked yet, for another store"));
	world_lose_board(&w);
	world_forget_books(&w);
	world_open(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 0);
	world_drop_schema(&w);
	w.store[0] = '\0';
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 2 requests that are not booked yet, and they belong to PostgreSQL"));
	memcpy(w.store, right, sizeof(right));
	world_forget_books(&w);
	world_lose_board(&w);
	world_open(&w, true);
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	outbox_world_is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - 2 * world_cost(&w, &outbox_world_small));
	/* Empty, it is in nobody's way. */
	world_close(&w);
	struct outbox *o = outbox_open(w.dir, 0, 77, why);
	assert_non_null(o);
	outbox_close(&o);
	o = outbox_open(w.dir, 0, 78, why);
	assert_non_null(o);
	outbox_close(&o);
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

/* A node's number is one machine's: another has it only when no id that it gives out can be one that the first gives out without the store. */
static void
a_number_is_another_s_only_when_ids_can_t_meet(void **state)
{
	struct world w, other, third;
	char why[256];
	uint32_t slot;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small);
	stand_beside(&third, &w, 0);
	assert_false(world_try_open(&third, true, why)); /* it is up */
	assert_non_null(strstr(why, "another server"));
	assert_true(outbox_world_serve(&w, alice)); /* and nobody has taken its fence */
	outbox_world_book_all(&w);
	assert_false(w.ledger->store.fenced);
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	begin_beside(&other, &w);
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(&other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	assert_false(world_try_open(&third, true, why)); /* it may go on for ten minutes */
	assert_non_null(strstr(why, "another server"));
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 600000000 WHERE id = 0 RETURNING id");
	world_lose_board(&third);
	world_open(&third, true);
	/* However its clock goes: */
	w.ledger->newest_ticket_ms = clock_wall_us() / 1000 + 100000000;
	outbox_world_book_all(&w);
	/* Its ids are above what the store had last heard of, as after a time. */
	assert_true(atomic_load(board_id_ceiling_ms(w.edge_board)) > atomic_load(board_id_floor_ms(w.edge_board)) + 120000);
	atomic_store(board_id_floor_ms(w.edge_board), atomic_load(board_id_ceiling_ms(w.edge_board)) - 1000);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_true(atomic_load(board_id_floor_ms(third.ledger_board)) > atomic_load(board_id_ceiling_ms(w.ledger_board)));
	assert_int_equal(ledger_load_row(third.ledger, alice, NANO_PER_DOLLAR, &slot), 0);
	assert_true(outbox_world_serve(&third, alice));
	outbox_world_book_all(&third);
	/* The first finds the store again, and takes nothing from who has its number now. */
	world_kill_ledger(&w);
	w.cut_off = false;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "another server"));
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_true(outbox_world_serve(&third, alice));
	outbox_world_book_all(&third);
	assert_false(third.ledger->store.fenced);
	assert_true(ledger_last(third.ledger));
	world_close(&third);
	w.cut_off = false;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0"), 3);
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	outbox_world_is_right(&w, alice, 6, 3 * NANO_PER_DOLLAR - 3 * cost);
	world_end(&third);
	world_end(&other);
	world_end(&w);
}

/* Its number may be another's after that. */
static void
nobody_goes_on_for_longer_than_the_store_was_told(void **state)
{
	enum { LESS = 300000 };
	struct world w;
	char why[256];
	outbox_world_begin(&w, "3.00");
	assert_int_equal(atomic_load(board_away(w.edge_board)), w.ledger->o.away_ms + 1);
	atomic_store(board_away(w.edge_board), LESS + 1); /* the configuration has more since */
	int64_t ceiling = (int64_t)atomic_load(board_id_ceiling_ms(w.edge_board));
	outbox_world_open_again(&w, true);
	assert_int_equal(w.ledger->o.away_ms, LESS);
	assert_int_equal(outbox_facts(w.ledger->away)->limit_ms, ceiling + LESS);
	outbox_world_open_again(&w, false);
	atomic_store(board_away(w.edge_board), 1);
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	w.cut_off = false;
	world_open(&w, true);
	world_end(&w);
}

/* Who has a balance and no share of it can lose it meanwhile to somebody else: it waits, as before. */
static void
who_has_the_store_alone_and_who_begins_wait_for_it(void **state)
{
	struct world w;
	char why[256];
	world_begin(&w);
	w.ledger->store.lost = true;
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	w.cut_off = false;
	world_open(&w, true);
	world_end(&w);
	outbox_world_begin(&w, "3.00");
	world_lose_board(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_false(outbox_exists(w.dir));
	world_end(&w);
}

static int64_t
ceiling_of(struct world *w, int node)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "SELECT max(ceiling_ms) FROM boot WHERE node = %d", node);
	return world_sql(w, sql);
}

/* Its number may be somebody else's meanwhile, and it is told to take another. */
static void
who_has_nothing_that_waits_comes_back_as_any_node(void **state)
{
	struct world w;
	outbox_world_begin(&w, "3.00");
	int64_t before = ceiling_of(&w, 0);
	outbox_world_open_again(&w, true);
	w.ledger->newest_ticket_ms = clock_wall_us() / 1000 + 100000;
	outbox_world_book_all(&w);
	int64_t given = (int64_t)atomic_load(board_id_ceiling_ms(w.ledger_board));
	assert_true(given > before);
	world_kill_ledger(&w);
	w.cut_off = false;
	w.size.node = 1;
	world_lose_board(&w);
	world_open(&w, true);
	assert_false(outbox_exists(w.dir));
	assert_int_equal(ceiling_of(&w, 0), given); /* who is node 0 next gives out none of those ids */
	world_end(&w);
}

/* Of which store it was an older lethe has not said: whoever may not have it does not say so for it. */
static void
an_older_outbox_is_not_bound_by_who_may_not_have_it(void **state)
{
	struct world w;
	char path[128], why[256];
	sqlite3 *db;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t right = w.ledger->store.identity;
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_kill_ledger(&w);
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE state SET store = 0", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_null(outbox_open(w.dir, 5, right + 1, why));
	assert_non_null(strstr(why, "has 1 requests of node 0"));
	struct outbox *o = outbox_open(w.dir, 0, right, why);
	assert_non_null(o);
	assert_int_equal(outbox_facts(o)->store, right);
	outbox_close(&o);
	assert_null(outbox_open(w.dir, 0, right + 1, why));
	w.cut_off = false;
	world_open(&w, true);
	outbox_world_is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - world_cost(&w, &outbox_world_small));
	world_end(&w);
}

/* A database that answers and lets nobody in is not away: what stands in its way has to be mended, and others may go on meanwhile. */
static void
who_is_refused_by_the_store_has_not_lost_it(void **state)
{
	struct world w;
	char why[256], right[sizeof(w.store)];
	outbox_world_begin(&w, "3.00");
	w.ledger->store.lost = true;
	world_kill_ledger(&w);
	memcpy(right, w.store, sizeof(right));
	const char *at = strchr(right, '@');
	assert_non_null(at);
	snprintf(w.store, sizeof(w.store), "postgres://nobody-that-is-known%.200s", at);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	assert_false(outbox_exists(w.dir));
	memcpy(w.store, right, sizeof(right));
	world_open(&w, true);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_forgotten_node_sends_is_charged_to_nobody),
		cmocka_unit_test(what_ran_on_a_forgotten_node_is_charged_to_nobody),
		cmocka_unit_test(what_failed_on_a_forgotten_node_stays_what_it_was),
		cmocka_unit_test(what_a_forgotten_node_did_after_its_last_progress_is_a_loss_once),
		cmocka_unit_test(who_was_replaced_goes_on_with_no_shares),
		cmocka_unit_test(a_machine_s_own_node_is_not_forgotten_while_its_outbox_waits),
		cmocka_unit_test(an_outbox_with_progress_or_one_that_can_t_be_read_counts),
		cmocka_unit_test(what_waits_goes_to_no_other_store),
		cmocka_unit_test(a_number_is_another_s_only_when_ids_can_t_meet),
		cmocka_unit_test(nobody_goes_on_for_longer_than_the_store_was_told),
		cmocka_unit_test(who_has_the_store_alone_and_who_begins_wait_for_it),
		cmocka_unit_test(who_has_nothing_that_waits_comes_back_as_any_node),
		cmocka_unit_test(an_older_outbox_is_not_bound_by_who_may_not_have_it),
		cmocka_unit_test(who_is_refused_by_the_store_has_not_lost_it),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
