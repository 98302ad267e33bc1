#include "edge/visitor.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct address
v4(uint32_t n)
{
	struct address a = {{[10] = 0xff, [11] = 0xff, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
	return a;
}

static struct visitors *
opened(uint32_t connections, uint32_t bad_keys)
{
	struct visitors *v = visitors_open(1000, &(struct visitors_limits){connections, bad_keys});
	assert_non_null(v);
	return v;
}

static void
an_address_has_its_number_of_connections(void **state)
{
	struct visitors *v = opened(3, 0);
	struct address a = v4(1), b = v4(2);
	struct visitor *w = visitor_of(v, &a, 1000);
	for (int i = 0; i < 3; i++)
		assert_true(visitor_enter(v, visitor_of(v, &a, 1000)));
	assert_false(visitor_enter(v, w));
	assert_true(visitor_enter(v, visitor_of(v, &b, 1000)));
	visitor_leave(w);
	assert_true(visitor_enter(v, w));
	assert_false(visitor_enter(v, w));
	assert_true(visitor_enter(v, NULL));
	visitors_close(&v);
}

static void
a_64_is_one_visitor(void **state)
{
	struct visitors *v = opened(1, 0);
	struct address a = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, [15] = 1}}, b = a, c = a;
	b.at[15] = 2;
	c.at[7] = 8;
	assert_true(visitor_enter(v, visitor_of(v, &a, 0)));
	assert_false(visitor_enter(v, visitor_of(v, &b, 0)));
	assert_true(visitor_enter(v, visitor_of(v, &c, 0)));
	visitors_close(&v);
}

static void
wrong_keys_are_counted_by_the_minute(void **state)
{
	struct visitors *v = opened(0, 6);
	struct address a = v4(1), b = v4(2);
	struct visitor *w = visitor_of(v, &a, 5000);
	for (int i = 0; i < 6; i++)
		assert_true(visitor_may_fail(v, w, 5000));
	assert_false(visitor_may_fail(v, w, 5000));
	assert_true(visitor_may_fail(v, visitor_of(v, &b, 5000), 5000));
	assert_false(visitor_may_fail(v, w, 14999)); /* one each ten seconds */
	assert_true(visitor_may_fail(v, w, 15000));
	assert_false(visitor_may_fail(v, w, 15000));
	for (int i = 0; i < 6; i++)
		assert_true(visitor_may_fail(v, w, 75000));
	assert_false(visitor_may_fail(v, w, 75000));
	visitors_close(&v);
}

static void
who_never_had_a_right_key_is_shut_out_until_its_time(void **state)
{
	struct visitors *v = opened(0, 6);
	struct address a = v4(1), b = v4(2);
	struct visitor *w = visitor_of(v, &a, 5000), *good = visitor_of(v, &b, 5000);
	assert_true(visitor_may_use(v, good, 77, 5000));
	assert_false(visitor_is_shut(v, w, 5000));
	assert_int_equal(visitor_wait_s(v, w, 5000), 1);
	for (int i = 0; i < 6; i++)
		assert_true(visitor_may_fail(v, w, 5000) && visitor_may_fail(v, good, 5000));
	assert_true(visitor_is_shut(v, w, 5000));
	assert_false(visitor_is_shut(v, good, 5000)); /* its key works still */
	assert_false(visitor_is_shut(v, NULL, 5000));
	assert_int_equal(visitor_wait_s(v, w, 5000), 10);
	assert_int_equal(visitor_wait_s(v, w, 14001), 1);
	assert_true(visitor_is_shut(v, w, 14999));
	assert_false(visitor_is_shut(v, w, 15000));
	visitors_close(&v);
}

static void
a_key_that_has_worked_goes_on_working(void **state)
{
	struct visitors *v = opened(0, 1);
	struct address a = v4(1);
	struct visitor *w = visitor_of(v, &a, 0);
	assert_true(visitor_may_use(v, w, 77, 0));
	assert_true(visitor_may_fail(v, w, 0));
	assert_false(visitor_may_fail(v, w, 0));
	assert_true(visitor_may_use(v, w, 77, 0));
	assert_false(visitor_may_use(v, w, 78, 0)); /* right, and nobody learns it */
	assert_false(visitor_may_use(v, w, 78, 59999));
	assert_true(visitor_may_use(v, w, 78, 60001));
	for (uint64_t key = 100; key < 100 + VISITOR_KEYS; key++)
		assert_true(visitor_may_use(v, w, key, 60001));
	assert_true(visitor_may_fail(v, w, 60001));
	assert_false(visitor_may_use(v, w, 77, 60001)); /* so many are remembered, no more */
	assert_true(visitor_may_use(v, w, 101, 60001));
	visitors_close(&v);
}

/* A flood of addresses pushes out those that don't matter; who is here and who has just guessed is remembered. */
static void
the_table_keeps_who_matters(void **state)
{
	struct visitors *v = opened(1, 1);
	struct address here = v4(1), guesser = v4(2), stranger;
	assert_true(visitor_enter(v, visitor_of(v, &here, 0)));
	assert_true(visitor_may_fail(v, visitor_of(v, &guesser, 0), 0));
	for (uint32_t i = 10; i < 200000; i++) {
		stranger = v4(i);
		assert_non_null(visitor_of(v, &stranger, 1000));
	}
	assert_false(visitor_enter(v, visitor_of(v, &here, 1000)));
	assert_false(visitor_may_fail(v, visitor_of(v, &guesser, 1000), 1000));
	visitors_close(&v);
}

static void
a_full_table_shuts_nobody_out(void **state)
{
	struct visitors *v = opened(1, 1);
	uint32_t uncounted = 0;
	for (uint32_t i = 1; i < 20000; i++) {
		struct address a = v4(i);
		struct visitor *w = visitor_of(v, &a, 0);
		assert_true(visitor_enter(v, w));
		uncounted += w == NULL;
	}
	assert_true(uncounted > 0);
	visitors_close(&v);
}

static void
who_has_left_is_forgotten(void **state)
{
	struct visitors *v = opened(1, 1);
	struct address a = v4(1), b = v4(2);
	struct visitor *w = visitor_of(v, &a, 1000);
	assert_true(visitor_may_use(v, w, 5, 1000));
	assert_true(visitor_enter(v, visitor_of(v, &b, 1000)));
	for (uint64_t now = 2000; now < 1000 + 2 * VISITOR_FORGET_MS; now += 1000)
		visitors_tend(v, now);
	assert_false(visitor_enter(v, visitor_of(v, &b, 1000)));
	w = visitor_of(v, &a, 2 * VISITOR_FORGET_MS);
	assert_true(visitor_may_fail(v, w, 2 * VISITOR_FORGET_MS));
	assert_false(visitor_may_use(v, w, 5, 2 * VISITOR_FORGET_MS));
	visitors_close(&v);
}

static void
without_limits_everybody_may_everything(void **state)
{
	struct visitors *v = opened(0, 0);
	struct address a = v4(1);
	struct visitor *w = visitor_of(v, &a, 0);
	for (int i = 0; i < 10000; i++)
		assert_true(visitor_enter(v, w) && visitor_may_fail(v, w, 0) && visitor_may_use(v, w, (uint64_t)i + 1, 0));
	assert_true(visitor_may_fail(v, NULL, 0) && visitor_may_use(v, NULL, 1, 0));
	visitor_leave(NULL);
	visitors_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_its_number_of_connections),
		cmocka_unit_test(a_64_is_one_visitor),
		cmocka_unit_test(wrong_keys_are_counted_by_the_minute),
		cmocka_unit_test(who_never_had_a_right_key_is_shut_out_until_its_time),
		cmocka_unit_test(a_key_that_has_worked_goes_on_working),
		cmocka_unit_test(the_table_keeps_who_matters),
		cmocka_unit_test(a_full_table_shuts_nobody_out),
		cmocka_unit_test(who_has_left_is_forgotten),
		cmocka_unit_test(without_limits_everybody_may_everything),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
