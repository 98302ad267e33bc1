/* Several servers on one store: docs/decisions/0070-nodes.md. On PostgreSQL only. */
#include "ledger/ledger_world.h"

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
	w.now_ms += PROGRESS_PERIOD_MS;
	world_round(&w); /* an idle one is heard of as well */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_that_was_replaced_writes_no_more),
		cmocka_unit_test(each_statement_that_writes_shows_the_fence),
		cmocka_unit_test(the_list_says_who_is_up_away_and_gone),
		cmocka_unit_test(another_pepper_is_refused_while_others_run),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
