#include "scribe/line.h"

#include "ticket/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static char memory[LINE_MAX_BYTES];

static void
assert_line(const struct text *t, const char *want)
{
	assert_false(t->cut);
	assert_int_equal(t->len, strlen(want));
	assert_memory_equal(t->at, want, t->len);
}

static void
an_event_is_one_line_of_json(void **state)
{
	struct text t = text_on(memory, sizeof memory);
	const uint64_t numbers[4] = {END_OF_EDGE, 1, 9, 400};
	assert_true(line_event_write(&t, 1709210096123456, END_OF_SUPERVISOR, 0, EVENT_CHILD_DIED, numbers));
	assert_line(&t,
		"{\"time\":\"2024-02-29T12:34:56.123Z\",\"severity\":\"alarm\",\"role\":\"supervisor\",\"instance\":0,\"event\":\"CHILD_DIED\","
		"\"numbers\":[2,1,9,400],\"text\":\"role edge instance 1 ended, status 9, restarted in 400 ms\"}\n");
}

static void
times_are_right_around_the_turns_of_years(void **state)
{
	static const struct {
		uint64_t s;
		const char *want;
	} cases[] = {
		{0, "1970-01-01T00:00:00"},
		{951782399, "2000-02-28T23:59:59"},
		{951782400, "2000-02-29T00:00:00"},
		{951868800, "2000-03-01T00:00:00"},
		{1735689599, "2024-12-31T23:59:59"},
		{1735689600, "2025-01-01T00:00:00"},
		{4107542400, "2100-03-01T00:00:00"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text t = text_on(memory, sizeof memory);
		const uint64_t none[4] = {0};
		assert_true(line_event_write(&t, cases[i].s * 1000000, END_OF_EDGE, 3, EVENT_ENDED, none));
		assert_memory_equal(t.at + strlen("{\"time\":\""), cases[i].want, strlen(cases[i].want));
	}
}

static void
every_event_fits_with_the_largest_numbers(void **state)
{
	const uint64_t most[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
	for (uint16_t e = 1; e < EVENT_COUNT; e++) {
		struct text t = text_on(memory, sizeof memory);
		assert_true(line_event_write(&t, UINT32_MAX * 1000000ULL, END_OF_SUPERVISOR, UINT16_MAX, e, most));
		assert_false(t.cut);
		assert_null(memchr(t.at + 1, '{', t.len - 1)); /* no number was left out */
	}
}

static void
an_unknown_event_is_not_written(void **state)
{
	struct text t = text_on(memory, sizeof memory);
	const uint64_t none[4] = {0};
	assert_false(line_event_write(&t, 0, END_OF_EDGE, 0, EVENT_NONE, none));
	assert_false(line_event_write(&t, 0, END_OF_EDGE, 0, EVENT_COUNT, none));
	assert_int_equal(t.len, 0);
}

static void
foreign_text_is_bounded_and_escaped(void **state)
{
	struct text t = text_on(memory, sizeof memory);
	char said[2 * LINE_TEXT_MAX];
	line_text_write(&t, 0, END_OF_LEDGER, 0, SPAN("a \"b\"\n\xff"));
	assert_line(&t,
		"{\"time\":\"1970-01-01T00:00:00.000Z\",\"severity\":\"warn\",\"role\":\"ledger\",\"instance\":0,\"event\":\"STDERR\","
		"\"text\":\"a \\\"b\\\"\\u000a?\"}\n");
	memset(said, 1, sizeof said); /* the worst to escape */
	t = text_on(memory, sizeof memory);
	line_text_write(&t, 0, END_OF_SUPERVISOR, UINT16_MAX, (struct span){said, sizeof said});
	assert_false(t.cut);
	assert_memory_equal(t.at + t.len - 6, "...\"}\n", 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_one_line_of_json),
		cmocka_unit_test(times_are_right_around_the_turns_of_years),
		cmocka_unit_test(every_event_fits_with_the_largest_numbers),
		cmocka_unit_test(an_unknown_event_is_not_written),
		cmocka_unit_test(foreign_text_is_bounded_and_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
