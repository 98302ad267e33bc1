#include "ticket/nano.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
an_amount_is_read_exactly(void **state)
{
	static const struct {
		const char *text;
		int64_t nano;
	} rows[] = {
		{"0", 0},
		{"-0", 0},
		{"12.5", 12500000000},
		{"-12.5", -12500000000},
		{"0.000000001", 1},
		{"007.10", 7100000000},
		{"0.100000000", 100000000},
		{"9223372036.854775807", INT64_MAX},
		{"-9223372036.854775808", INT64_MIN},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nano n = {-77};
		assert_true(nano_parse(text(rows[i].text), &n));
		assert_int_equal(n.v, rows[i].nano);
	}
}

static void
what_is_not_an_amount_is_refused_and_leaves_the_result(void **state)
{
	static const char *const rows[] = {"", "-", "+1", ".", ".5", "5.", "1.2.3", "1e3", "1,5", " 1", "1 ", "--1",
		"0x10", "1_000", "$1", "NaN", "0.0000000001", "9223372036.854775808", "-9223372036.854775809",
		"99999999999999999999999", "1.-5"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nano n = {-77};
		assert_false(nano_parse(text(rows[i]), &n));
		assert_int_equal(n.v, -77);
	}
	struct nano n = {-77};
	assert_false(nano_parse((struct span){"1\0"
										  "2",
								3},
		&n));
	assert_int_equal(n.v, -77);
}

static void
an_amount_is_written_with_nine_places(void **state)
{
	static const struct {
		int64_t nano;
		const char *text;
	} rows[] = {
		{0, "0.000000000"},
		{1, "0.000000001"},
		{-1, "-0.000000001"},
		{12500000000, "12.500000000"},
		{-999999999, "-0.999999999"},
		{1000000000, "1.000000000"},
		{INT64_MAX, "9223372036.854775807"},
		{INT64_MIN, "-9223372036.854775808"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[NANO_TEXT_MAX];
		assert_int_equal(nano_text((struct nano){rows[i].nano}, out), strlen(rows[i].text));
		assert_string_equal(out, rows[i].text);
	}
}

static void
every_amount_survives_writing_and_reading(void **state)
{
	uint64_t seed = 0x1234567;
	for (int i = 0; i < 200000; i++) {
		uint64_t bits = next_random(&seed);
		struct nano before = {(int64_t)bits >> (bits & 63)}, after;
		char out[NANO_TEXT_MAX];
		size_t len = nano_text(before, out);
		assert_true(len < NANO_TEXT_MAX);
		assert_true(nano_parse((struct span){out, len}, &after));
		assert_int_equal(before.v, after.v);
	}
}

static void
pico_is_rounded_up_once_and_saturates(void **state)
{
	assert_int_equal(nano_from_pico_up(0).v, 0);
	assert_int_equal(nano_from_pico_up(1).v, 1);
	assert_int_equal(nano_from_pico_up(999).v, 1);
	assert_int_equal(nano_from_pico_up(1000).v, 1);
	assert_int_equal(nano_from_pico_up(1001).v, 2);
	unsigned __int128 top = (unsigned __int128)INT64_MAX * PICO_PER_NANO;
	assert_int_equal(nano_from_pico_up(top - 1).v, INT64_MAX);
	assert_int_equal(nano_from_pico_up(top).v, INT64_MAX);
	assert_int_equal(nano_from_pico_up(top - 1000).v, INT64_MAX - 1);
	assert_int_equal(nano_from_pico_up(top + 1).v, INT64_MAX);
	assert_int_equal(nano_from_pico_up(~(unsigned __int128)0).v, INT64_MAX);
}

static void
a_price_per_million_is_read_in_pico_per_token(void **state)
{
	static const struct {
		const char *text;
		int64_t pico;
	} rows[] = {{"1.25", 1250000}, {"0.000001", 1}, {"0", 0}, {"75", 75000000}, {"9223372036854.775807", INT64_MAX}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t pico = -77;
		assert_true(pico_per_token_parse(text(rows[i].text), &pico));
		assert_int_equal(pico, rows[i].pico);
	}
	static const char *const bad[] = {
		"", "-1", "-0", "0.0000001", "9223372036854.775808", "1.", ".1", "1.25e0", "free"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t pico = -77;
		assert_false(pico_per_token_parse(text(bad[i]), &pico));
		assert_int_equal(pico, -77);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_amount_is_read_exactly),
		cmocka_unit_test(what_is_not_an_amount_is_refused_and_leaves_the_result),
		cmocka_unit_test(an_amount_is_written_with_nine_places),
		cmocka_unit_test(every_amount_survives_writing_and_reading),
		cmocka_unit_test(pico_is_rounded_up_once_and_saturates),
		cmocka_unit_test(a_price_per_million_is_read_in_pico_per_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
