#include "dialect/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct error_says no_model = {
	.status = 404,
	.message = {"no \"x\"", 6},
	.type = "invalid_request_error",
	.code = "model_not_found",
	.param = "model",
	.request_id = {"req_1", 5},
};

static void
an_error_has_each_dialects_shape(void **state)
{
	static const char openai[] =
		"{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}";
	static const char anthropic[] =
		"{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"no \\\"x\\\"\"},\"request_id\":\"req_1\"}";
	static const char gemini[] = "{\"error\":{\"code\":404,\"message\":\"no \\\"x\\\"\",\"status\":\"NOT_FOUND\",\"details\":[{\"@type\":"
								 "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"MODEL_NOT_FOUND\",\"domain\":\"lethe\"}]}}";
	static const char *const bodies[DIALECT_COUNT] = {openai, anthropic, gemini};
	for (int d = 0; d < DIALECT_COUNT; d++) {
		char room[512];
		struct text t = text_on(room, sizeof room);
		error_write(&t, (enum dialect)d, &no_model);
		assert_false(t.cut);
		assert_int_equal(t.len, strlen(bodies[d]));
		assert_memory_equal(t.at, bodies[d], t.len);
	}
}

static void
money_is_named_where_it_is_short(void **state)
{
	struct error_says e = {.status = 402, .message = SPAN("m"), .type = "insufficient_quota", .code = "insufficient_quota", .needed = SPAN("1.00"), .available = SPAN("0.50")};
	char room[512];
	struct text t = text_on(room, sizeof room - 1);
	error_write(&t, DIALECT_OPENAI, &e);
	room[t.len] = 0;
	assert_non_null(strstr(room, "\"param\":null,\"code\":\"insufficient_quota\",\"needed\":\"1.00\",\"available\":\"0.50\"}}"));
}

static void
a_stream_ends_with_the_dialects_event(void **state)
{
	static const struct {
		enum endpoint endpoint;
		const char *begins, *ends;
	} rows[] = {
		{ENDPOINT_CHAT_COMPLETIONS, "\n\ndata: {\"error\":{", "}}\n\n"},
		{ENDPOINT_RESPONSES, "\n\nevent: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":\"model_not_found\",", "}}\n\n"},
		{ENDPOINT_MESSAGES, "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{", "\"}\n\n"},
		{ENDPOINT_STREAM_GENERATE_CONTENT, "\r\n\r\ndata: {\"error\":{\"code\":404,", "}]}}\r\n\r\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char room[512];
		struct text t = text_on(room, sizeof room);
		error_write_event(&t, rows[i].endpoint, &no_model);
		size_t begins = strlen(rows[i].begins), ends = strlen(rows[i].ends);
		assert_true(!t.cut && t.len > begins + ends);
		assert_memory_equal(t.at, rows[i].begins, begins);
		assert_memory_equal(t.at + t.len - ends, rows[i].ends, ends);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_has_each_dialects_shape),
		cmocka_unit_test(money_is_named_where_it_is_short),
		cmocka_unit_test(a_stream_ends_with_the_dialects_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
