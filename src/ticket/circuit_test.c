#include "ticket/circuit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
three_failures_in_a_row_open_it_and_one_probe_closes_it(void **state)
{
	struct circuit c = {0};
	assert_false(circuit_failed(&c, 1000));
	assert_false(circuit_good(&c)); /* in a row */
	assert_false(circuit_failed(&c, 1000));
	assert_false(circuit_failed(&c, 1001));
	assert_true(circuit_may(&c, 1001));
	assert_true(circuit_failed(&c, 1002));
	assert_int_equal(circuit_state(&c, 1002), CIRCUIT_OPEN);
	assert_int_equal(circuit_until_ms(&c), 1002 + CIRCUIT_OPEN_MS);
	assert_false(circuit_failed(&c, 1003)); /* was under way */
	assert_int_equal(circuit_until_ms(&c), 1002 + CIRCUIT_OPEN_MS);
	assert_false(circuit_may(&c, 6001));
	assert_false(circuit_claim(&c, 6001));
	assert_true(circuit_may(&c, 6002));
	assert_true(circuit_claim(&c, 6002));
	assert_int_equal(circuit_state(&c, 6002), CIRCUIT_PROBING);
	assert_false(circuit_may(&c, 6003)); /* one at a time */
	assert_false(circuit_claim(&c, 6003));
	assert_true(circuit_good(&c));
	assert_int_equal(circuit_state(&c, 6004), CIRCUIT_CLOSED);
	assert_true(circuit_claim(&c, 6004));
	assert_int_equal(c.opened, 1);
}

static void
each_probe_that_fails_doubles_the_time(void **state)
{
	static const uint64_t lasts[] = {5000, 10000, 20000, 40000, 80000, 160000, 300000, 300000};
	struct circuit c = {0};
	uint64_t now = 1;
	for (int i = 0; i < CIRCUIT_FAILURES; i++)
		(void)circuit_failed(&c, now);
	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		assert_int_equal(circuit_until_ms(&c), now + lasts[i]);
		now = circuit_until_ms(&c);
		assert_true(circuit_claim(&c, now));
		assert_false(circuit_failed(&c, now)); /* told once */
		assert_int_equal(circuit_state(&c, now), CIRCUIT_OPEN);
	}
	assert_int_equal(c.opened, ARRAY_LEN(lasts) + 1);
	now = circuit_until_ms(&c);
	assert_true(circuit_claim(&c, now));
	assert_true(circuit_claim(&c, now + CIRCUIT_PROBE_MS)); /* a probe that never came back */
	circuit_unclaim(&c, now + CIRCUIT_PROBE_MS);
	assert_int_equal(circuit_state(&c, now + CIRCUIT_PROBE_MS), CIRCUIT_OPEN);
	assert_true(circuit_claim(&c, now + CIRCUIT_PROBE_MS));
}

static void
a_refused_account_opens_at_once_and_a_rest_ends_by_itself(void **state)
{
	struct circuit c = {0};
	assert_true(circuit_refused(&c, 10));
	assert_int_equal(circuit_state(&c, 10), CIRCUIT_REFUSED);
	assert_false(circuit_may(&c, 10 + CIRCUIT_REFUSED_MS - 1));
	circuit_rest(&c, 11, 5); /* of one that was under way */
	assert_int_equal(circuit_state(&c, 11), CIRCUIT_REFUSED);
	assert_true(circuit_claim(&c, 10 + CIRCUIT_REFUSED_MS));
	assert_true(circuit_good(&c));
	for (int i = 0; i < 2; i++) { /* an answer between them begins anew */
		assert_false(circuit_forbidden(&c, 20));
		assert_false(circuit_forbidden(&c, 20));
		assert_true(circuit_may(&c, 20));
		assert_false(circuit_good(&c));
	}
	for (int i = 1; i <= CIRCUIT_FAILURES; i++)
		assert_int_equal(circuit_forbidden(&c, 20), i == CIRCUIT_FAILURES);
	assert_int_equal(circuit_state(&c, 20), CIRCUIT_REFUSED);
	assert_true(circuit_good(&c));
	circuit_rest(&c, 100, 0);
	assert_false(circuit_may(&c, 100 + CIRCUIT_REST_MS - 1));
	assert_int_equal(circuit_state(&c, 100), CIRCUIT_RESTING);
	assert_true(circuit_may(&c, 100 + CIRCUIT_REST_MS));
	assert_int_equal(circuit_state(&c, 100 + CIRCUIT_REST_MS), CIRCUIT_CLOSED);
	circuit_rest(&c, 100, UINT64_MAX);
	assert_int_equal(circuit_until_ms(&c), 100 + CIRCUIT_REST_MOST_MS);
	assert_false(circuit_good(&c));
}

static void
rows_are_found_by_id_until_the_table_is_full(void **state)
{
	struct circuits *c = calloc(1, sizeof *c);
	assert_non_null(c);
	assert_null(circuit_find(c, circuit_target_id(7)));
	for (uint32_t i = 0; i < CIRCUITS_MAX; i++)
		assert_non_null(circuit_of(c, circuit_target_id(i)));
	assert_null(circuit_of(c, circuit_key_id(1, 0)));
	assert_null(circuit_find(c, circuit_key_id(1, 0)));
	for (uint32_t i = 0; i < CIRCUITS_MAX; i++)
		assert_ptr_equal(circuit_of(c, circuit_target_id(i)), circuit_find(c, circuit_target_id(i)));
	free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_failures_in_a_row_open_it_and_one_probe_closes_it),
		cmocka_unit_test(each_probe_that_fails_doubles_the_time),
		cmocka_unit_test(a_refused_account_opens_at_once_and_a_rest_ends_by_itself),
		cmocka_unit_test(rows_are_found_by_id_until_the_table_is_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
