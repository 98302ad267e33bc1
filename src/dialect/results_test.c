#include "dialect/results.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RESULT(of) "{\"custom_id\":\"a\",\"result\":" of "}"
#define USED(more) "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":3,\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,\"ephemeral_1h_input_tokens\":4},\"output_tokens\":7,\"service_tier\":\"batch\"" more "}"
#define MESSAGE(usage) "{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"}\\n{\\\"usage\\\":1\"}],\"stop_reason\":\"end_turn\"," usage "}}"
#define FAILED "{\"type\":\"errored\",\"error\":{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}}"

static bool
scan(struct results_scan *s, const char *text, size_t step)
{
	size_t len = strlen(text);
	results_init(s);
	for (size_t at = 0; at < len; at += step)
		results_feed(s, text + at, len - at < step ? len - at : step);
	return results_finish(s);
}

static void
usage_of_all_messages_in_any_split(void **state)
{
	static const char text[] = RESULT(MESSAGE(USED(""))) "\r\n" RESULT(FAILED) "\n\n" RESULT(MESSAGE(USED(",\"inference_geo\":\"us\""))) "\n" RESULT("{\"type\":\"expired\"}") "\n" RESULT(MESSAGE(USED("")));
	static struct results_scan s;
	for (size_t step = 1; step < sizeof text; step++) {
		assert_true(scan(&s, text, step));
		assert_int_equal(s.result.lines, 5);
		assert_int_equal(s.result.answered, 3);
		for (unsigned geo = 0; geo < 2; geo++) {
			const uint64_t *tokens = s.result.usage[geo].tokens;
			unsigned times = geo ? 1 : 2;
			assert_int_equal(tokens[TOKEN_input], 10 * times);
			assert_int_equal(tokens[TOKEN_cached], 3 * times);
			assert_int_equal(tokens[TOKEN_cache_write], 1 * times);
			assert_int_equal(tokens[TOKEN_cache_write_1h], 4 * times);
			assert_int_equal(tokens[TOKEN_output], 7 * times);
		}
	}
}

static void
what_can_not_be_counted_is_said_to_be(void **state)
{
	static const char *const rows[] = {
		"{",
		"[]",
		RESULT("1"),
		RESULT("{}"),
		"{\"custom_id\":\"a\"}",
		RESULT("{\"type\":\"succeeded\"}"),
		RESULT("{\"type\":\"expired\",\"message\":{" USED("") "}}"),
		RESULT("{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_1\"}}"),
		RESULT("{\"type\":\"succeeded\",\"message\":null}"),
		RESULT("{\"type\":\"succeeded\",\"message\":{" USED("") "},\"message\":{" USED("") "}}"),
		RESULT("{\"type\":\"succeeded\",\"message\":{\"type\":\"message\",\"usage\":{\"input_tokens\":-1,\"output_tokens\":7}}}"),
		RESULT(MESSAGE(USED(",\"iterations\":[{\"type\":\"message\",\"input_tokens\":1,\"output_tokens\":1},{\"type\":\"advisor_message\",\"model\":\"other\",\"input_tokens\":1,\"output_tokens\":1}]"))),
		RESULT(FAILED) RESULT(FAILED),
	};
	static struct results_scan s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 300; step += 41)
			if (scan(&s, rows[i], step))
				fail_msg("row %zu in steps of %zu", i, step);
	assert_true(scan(&s, "", 1));
	assert_int_equal(s.result.lines, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_of_all_messages_in_any_split),
		cmocka_unit_test(what_can_not_be_counted_is_said_to_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
