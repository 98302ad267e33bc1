/* The nightly look at the books: when, how often, and that it sees what is wrong. */
#include "ledger/ledger_script.h"
#include "ledger/verify.h"

#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define TODAY_S ((int64_t)(clock_wall_us() / 1000000) / DAY_S * DAY_S)

static void
once_a_night(void **state)
{
	struct world w;
	struct script_answers a = {0};
	world_begin(&w);
	script_begin(&w);
	script_all(&w, &a);
	/* The row says when it was made, which is now: these are nights to come. */
	int64_t night = TODAY_S + 7 * DAY_S;
	assert_false(reconcile_nightly(w.ledger, night + 3 * 3600 - 1));
	assert_false(reconcile_nightly(w.ledger, night + 6 * 3600));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM reconciliation"), 0);
	assert_true(reconcile_nightly(w.ledger, night + 3 * 3600));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM reconciliation WHERE broken = 0"), 1);
	assert_false(reconcile_nightly(w.ledger, TODAY_S + 4 * 3600));
	assert_true(reconcile_nightly(w.ledger, night + DAY_S + 6 * 3600 - 1));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM reconciliation"), 2);
	assert_int_equal(world_sql(&w, "SELECT balances_nano FROM reconciliation LIMIT 1"), world_sql(&w, "SELECT sum(balance_nano) FROM account WHERE kind = 0"));
	script_is_done(&w, 0);
	world_end(&w);
}

/* And the invariant that names it: a trigger that is gone is seen by itself. */
static const char *const mistakes[][2] = {
	{"UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'alice'", "INV-3"},
	{"DROP TRIGGER proposal_stays", "INV-5"},
	{"DROP TRIGGER proposal_stays; DELETE FROM proposal WHERE amount_nano = 300000000", "INV-16"},
	{"DROP TRIGGER proposal_is_final; UPDATE proposal SET amount_nano = 1", "INV-16"},
	{"DROP TRIGGER proposal_is_final; UPDATE proposal SET account = (SELECT id FROM account WHERE name = 'alice')", "INV-16"},
	{"DROP TRIGGER proposal_is_final; UPDATE proposal SET amount_nano = 450000001 WHERE amount_nano = 450000000", "INV-16"},
	{"DROP TRIGGER proposal_is_final; UPDATE proposal SET account = 7 WHERE amount_nano = 200000000", "INV-16"},
	{"DROP TRIGGER proposal_stays; DELETE FROM proposal WHERE amount_nano = 450000000", "INV-16"},
};

static void
what_is_wrong_is_counted(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		struct world w;
		struct script_answers a = {0};
		world_begin(&w);
		script_begin(&w);
		script_all(&w, &a);
		world_damage(&w, mistakes[i][0]);
		json_t *answer = world_ask(&w, "{s:s}", "op", "reconcile.run");
		if (!json_is_false(json_object_get(answer, "sound")) || world_sql(&w, "SELECT broken FROM reconciliation") == 0)
			fail_msg("%s: %s", mistakes[i][0], json_dumps(answer, 0));
		json_decref(answer);
		assert_true(world_is_broken(&w, mistakes[i][1]));
		world_end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_a_night),
		cmocka_unit_test(what_is_wrong_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
