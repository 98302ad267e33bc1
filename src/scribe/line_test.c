#include "scribe/line.h"

#include "ticket/events.h"
#include "ticket/house_accounts.h"

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
	const struct message_event m = {.event = EVENT_CHILD_DIED, .role = END_OF_SUPERVISOR, .numbers = {END_OF_EDGE, 1, 9, 400}};
	assert_true(line_event_write(&t, 1709210096123456, &m, NULL));
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
		const struct message_event m = {.event = EVENT_ENDED, .role = END_OF_EDGE, .instance = 3};
		assert_true(line_event_write(&t, cases[i].s * 1000000, &m, NULL));
		assert_memory_equal(t.at + strlen("{\"time\":\""), cases[i].want, strlen(cases[i].want));
	}
}

static void
every_event_fits_with_the_largest_numbers(void **state)
{
	struct message_event m = {
		.role = END_OF_SUPERVISOR, .instance = UINT16_MAX, .numbers = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	for (m.event = 1; m.event < EVENT_COUNT; m.event++) {
		struct text t = text_on(memory, sizeof memory);
		assert_true(line_event_write(&t, UINT32_MAX * 1000000ULL, &m, NULL));
		assert_false(t.cut);
		assert_null(memchr(t.at + 1, '{', t.len - 1)); /* no number was left out */
	}
}

static void
numbers_that_stand_for_names_are_written_as_names(void **state)
{
	static struct {
		struct catalogue head;
		struct catalogue_provider provider[2];
	} c = {.head = {.provider_count = 2, .provider_at = offsetof(typeof(c), provider)},
		.provider = {{.id = 700, .name = "one"}, {.id = 800, .name = "two"}}};
	static const struct {
		struct message_event m;
		const char *want;
	} cases[] = {
		{{.event = EVENT_PROVIDER_ACCOUNT, .numbers = {800, 401}}, "\"provider two refuses our account, status 401\"}\n"},
		{{.event = EVENT_PROVIDER_ACCOUNT, .numbers = {801, 401}}, "\"provider 801 refuses our account, status 401\"}\n"},
		{{.event = EVENT_PROVIDER_UNREACHABLE, .numbers = {700, CONNECT_REFUSED}}, "\"provider one can't be reached, reason: refused\"}\n"},
		{{.event = EVENT_LOSS, .numbers = {HOUSE_LOSS_CRASH, 5}}, "\"loss account loss.crash grew by 5 nano\"}\n"},
		{{.event = EVENT_LOSS, .numbers = {99, 5}}, "\"loss account ? grew by 5 nano\"}\n"},
		{{.event = EVENT_CHILD_WROTE, .numbers = {END_OF_LEDGER, 0, 7}}, "\"role ledger instance 0 wrote 7 bytes to its standard error, not shown\"}\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text t = text_on(memory, sizeof memory);
		size_t len = strlen(cases[i].want);
		assert_true(line_event_write(&t, 0, &cases[i].m, &c.head));
		assert_true(t.len > len);
		assert_memory_equal(t.at + t.len - len, cases[i].want, len);
	}
}

static void
an_unknown_event_is_not_written(void **state)
{
	struct text t = text_on(memory, sizeof memory);
	const struct message_event none = {.event = EVENT_NONE}, beyond = {.event = EVENT_COUNT};
	assert_false(line_event_write(&t, 0, &none, NULL));
	assert_false(line_event_write(&t, 0, &beyond, NULL));
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
		cmocka_unit_test(numbers_that_stand_for_names_are_written_as_names),
		cmocka_unit_test(an_unknown_event_is_not_written),
		cmocka_unit_test(foreign_text_is_bounded_and_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
