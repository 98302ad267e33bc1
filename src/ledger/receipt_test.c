/* Receipts in the store: the tree, its heads, the chains; and that `ledger verify` sees each alteration of them. */
#include "ledger/ledger_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
book(struct world *w, uint64_t account, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_true(world_exchange(w, (struct world_exchange){.account = account, .key = 5, .model = i % 2, .input = 10 + i, .output = 7, .cost = -1}) != 0);
	assert_int_equal(world_round(w), (int)count);
}

static void
each_ticket_is_a_leaf_and_a_link(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "10.00"), bob = world_account(&w, "bob", "10.00");
	for (int i = 0; i < 20; i++) {
		book(&w, alice, 37);
		book(&w, bob, 1);
	}
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE leaf >= 0 AND place > 0"), 20 * 38);
	assert_int_equal(world_sql(&w, "SELECT sum(count) FROM receipt_batch"), 20 * 38);
	assert_int_equal(world_sql(&w, "SELECT max(place) FROM ticket"), 20 * 37);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM receipt_node WHERE level = 8"), 2);
	world_is_sound(&w);
	world_kill_ledger(&w);
	world_open(&w, true);
	book(&w, bob, 3);
	world_is_sound(&w);
	world_end(&w);
}

static void
another_key_goes_on_with_the_same_tree(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "10.00");
	book(&w, alice, 3);
	w.pepper[0]++; /* the seed is the same in these tests */
	world_close(&w);
	world_open(&w, true);
	book(&w, alice, 4);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM receipt_key"), 2);
	assert_int_equal(world_sql(&w, "SELECT from_leaf FROM receipt_key WHERE id = 2"), 3);
	assert_int_equal(world_sql(&w, "SELECT max(key) FROM receipt_batch"), 2);
	world_is_sound(&w);
	world_end(&w);
}

/* Without the triggers, as somebody with the file has them. */
static void
alter(struct world *w, const char *sql)
{
	static const char *const off[] = {"ticket_is_final", "ticket_stays", "receipt_batch_is_final", "receipt_batch_stays", "receipt_node_is_final", "receipt_key_is_final"};
	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		char drop[80];
		snprintf(drop, sizeof(drop), "DROP TRIGGER IF EXISTS %s", off[i]);
		world_damage(w, drop);
	}
	world_damage(w, sql);
}

static void
every_alteration_is_seen(void **state)
{
	static const struct {
		const char *sql, *inv;
	} rows[] = {
		{"UPDATE ticket SET tokens_output = tokens_output + 1 WHERE leaf = 5", "INV-14"},
		{"UPDATE ticket SET duration_ms = 99 WHERE leaf = 5", "INV-14"},
		{"UPDATE ticket SET leaf = 6 WHERE leaf = 5", "INV-14"},
		{"UPDATE ticket SET leaf = -1 WHERE leaf = 5", "INV-14"},
		{"UPDATE ticket SET previous = 3 WHERE leaf = 5", "INV-15"},
		{"UPDATE ticket SET place = place + 1 WHERE leaf = 5", "INV-15"},
		{"DELETE FROM ticket WHERE leaf = 5", "INV-15"},
		{"UPDATE account SET chain_place = chain_place - 1 WHERE chain_place > 0", "INV-15"},
		{"UPDATE account SET chain_leaf = chain_leaf - 1 WHERE chain_place > 0", "INV-15"},
		{"UPDATE receipt_batch SET leaves = zeroblob(32 * count) WHERE first = 0", "INV-14"},
		{"UPDATE receipt_batch SET root = zeroblob(32) WHERE first = 0", "INV-14"},
		{"UPDATE receipt_batch SET time_us = time_us + 1 WHERE first = 0", "INV-14"},
		{"UPDATE receipt_batch SET signature = zeroblob(64) WHERE first = 0", "INV-14"},
		{"UPDATE receipt_key SET public = zeroblob(32)", "INV-14"},
		{"UPDATE receipt_node SET hash = zeroblob(32)", "INV-14"},
		{"DELETE FROM receipt_batch WHERE first = (SELECT max(first) FROM receipt_batch)", "INV-14"},
		{"UPDATE price SET pico_cached = pico_cached + 1", "INV-14"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		world_begin(&w);
		uint64_t alice = world_account(&w, "alice", "10.00");
		for (int k = 0; k < 3; k++)
			book(&w, alice, 100);
		world_is_sound(&w);
		world_damage(&w, "DROP TRIGGER price_is_final");
		alter(&w, rows[i].sql);
		if (!world_is_broken(&w, rows[i].inv))
			fail_msg("not seen: %s", rows[i].sql);
		world_end(&w);
	}
}

static void
a_tree_that_was_altered_is_not_signed_on(void **state)
{
	struct world w;
	char why[256];
	world_begin(&w);
	book(&w, world_account(&w, "alice", "10.00"), 3);
	alter(&w, "UPDATE receipt_batch SET root = zeroblob(32)");
	world_close(&w);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "restore"));
	world_close(&w);
	world_end(&w);
}

/* What was booked before stays without; what comes after has one. */
static void
an_older_store_begins_its_tree(void **state)
{
	struct world w;
	if (world_on_postgres())
		skip(); /* there was none */
	world_begin(&w);
	world_make_old(&w);
	world_open(&w, true);
	book(&w, 1000, 2);
	assert_int_equal(world_sql(&w, "SELECT min(leaf) FROM ticket"), 0);
	world_is_sound(&w);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_ticket_is_a_leaf_and_a_link),
		cmocka_unit_test(another_key_goes_on_with_the_same_tree),
		cmocka_unit_test(every_alteration_is_seen),
		cmocka_unit_test(a_tree_that_was_altered_is_not_signed_on),
		cmocka_unit_test(an_older_store_begins_its_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
