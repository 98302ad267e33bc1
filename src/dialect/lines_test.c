#include "dialect/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CHAT(body) "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" body "}"
#define HI "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"}\\n{\"}]}"
#define CAPPED "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}],\"n\":2,\"max_tokens\":7}"

static enum lines_error
scan(struct lines_scan *s, const char *file, size_t step)
{
	size_t len = strlen(file);
	lines_init(s);
	for (size_t at = 0; at < len; at += step)
		(void)lines_feed(s, file + at, len - at < step ? len - at : step);
	return lines_finish(s);
}

static void
sums_of_all_lines_in_any_split(void **state)
{
	static const char file[] = CHAT(HI) "\r\n\n  \n" CHAT(CAPPED) "\n" CHAT(HI);
	for (size_t step = 1; step < sizeof file; step++) {
		struct lines_scan s;
		assert_int_equal(scan(&s, file, step), LINES_OK);
		assert_int_equal(s.result.count, 3);
		assert_int_equal(s.result.endpoint, ENDPOINT_CHAT_COMPLETIONS);
		assert_int_equal(s.result.model_len, 1);
		assert_int_equal(s.result.text_bytes, 2 * (sizeof HI - 1) + sizeof CAPPED - 1);
		assert_int_equal(s.result.largest_bytes, sizeof CAPPED - 1);
		assert_int_equal(s.result.capped, 14);
		assert_int_equal(s.result.open, 2);
	}
}

static void
what_would_have_to_be_changed_is_refused(void **state)
{
	static const struct {
		const char *file;
		enum lines_error error;
		const char *why;
	} rows[] = {
		{"", LINES_NO_BODY, "Line 1 of the file: it needs one \"body\", an object."},
		{CHAT(HI) "\n{", LINES_NOT_JSON, "Line 2 of the file: it is not one JSON object."},
		{CHAT(HI) CHAT(HI), LINES_NOT_JSON, NULL},
		{"[]", LINES_NOT_JSON, NULL},
		{CHAT("1"), LINES_NO_BODY, NULL},
		{CHAT(HI ",\"body\":" HI), LINES_NO_BODY, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"POST\",\"body\":" HI ",\"url\":\"/v1/chat/completions\"}", LINES_NO_URL, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/files\",\"body\":" HI "}", LINES_NO_URL, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"GET\",\"url\":\"/v1/chat/completions\",\"body\":" HI "}", LINES_NO_METHOD, NULL},
		{"{\"custom_id\":\"a\",\"url\":\"/v1/chat/completions\",\"body\":" HI "}", LINES_NO_METHOD, NULL},
		{"{\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" HI "}", LINES_NO_ID, NULL},
		{CHAT("{\"model\":\"m\",\"max_tokens\":-1,$"), LINES_BODY, NULL},
		{CHAT("{\"messages\":[]}"), LINES_BODY, "Line 1 of the file: You must provide a model parameter."},
		{CHAT("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}]}]}"), LINES_OBJECTS, NULL},
		{CHAT("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"), LINES_STREAM, NULL},
		{CHAT("{\"model\":\"m\",\"store\":true,\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"), LINES_STORE, NULL},
		{CHAT("{\"model\":\"m\",\"web_search_options\":{},\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"), LINES_TOOLS, NULL},
		{CHAT(HI) "\n" CHAT("{\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"), LINES_OTHER_MODEL, NULL},
		{CHAT(HI) "\n{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\",\"input\":\"x\"}}", LINES_OTHER_URL, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"model\":\"m\",\"input\":\"x\"}}", LINES_STORE, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"model\":\"m\",\"input\":\"x\",\"store\":false,\"previous_response_id\":\"resp_1\"}}", LINES_OBJECTS, NULL},
		{"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"model\":\"m\",\"input\":\"x\",\"store\":false}}", LINES_OK, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 300; step += 41) {
			struct lines_scan s;
			char room[LINES_WHY_MAX];
			if (scan(&s, rows[i].file, step) != rows[i].error)
				fail_msg("row %zu in steps of %zu: %d", i, step, s.error);
			struct span why = lines_why(&s, room);
			if (rows[i].why && (why.len != strlen(rows[i].why) || memcmp(why.at, rows[i].why, why.len) != 0))
				fail_msg("row %zu: %.*s", i, (int)why.len, why.at);
		}
}

static void
more_lines_than_a_batch_has_are_refused(void **state)
{
	static struct lines_scan s;
	lines_init(&s);
	for (int i = 0; i < LINES_MAX; i++)
		assert_true(lines_feed(&s, CHAT(HI) "\n", sizeof(CHAT(HI))));
	assert_false(lines_feed(&s, CHAT(HI) "\n", sizeof(CHAT(HI))));
	assert_int_equal(lines_finish(&s), LINES_TOO_MANY);
	assert_int_equal(s.result.count, LINES_MAX);
}

/* ---- a list ---- */

#define ASKS(params) "{\"custom_id\":\"a\",\"params\":" params "}"
#define SAYS(more) "{\"model\":\"m\",\"max_tokens\":7,\"messages\":[{\"role\":\"user\",\"content\":\"}]{\"}]" more "}"
#define LIST(items) " {\"a\":[{\"params\":1}],\"requests\" : [" items "] }\n"

static enum lines_error
scan_list(struct lines_scan *s, const char *body, size_t step)
{
	size_t len = strlen(body);
	lines_init_listed(s);
	for (size_t at = 0; at < len; at += step)
		(void)lines_feed(s, body + at, len - at < step ? len - at : step);
	return lines_finish(s);
}

static void
sums_of_a_list_in_any_split(void **state)
{
	static const char body[] = LIST(ASKS(SAYS("")) ", {\"params\":" SAYS(",\"system\":\"be brief\"") ",\"custom_id\":\"b\"}");
	for (size_t step = 1; step < sizeof body; step++) {
		struct lines_scan s;
		assert_int_equal(scan_list(&s, body, step), LINES_OK);
		assert_int_equal(s.result.count, 2);
		assert_int_equal(s.result.endpoint, ENDPOINT_MESSAGES);
		assert_int_equal(s.result.text_bytes, sizeof SAYS("") + sizeof SAYS(",\"system\":\"be brief\"") - 2);
		assert_int_equal(s.result.largest_bytes, sizeof SAYS(",\"system\":\"be brief\"") - 1);
		assert_int_equal(s.result.capped, 14);
		assert_int_equal(s.result.open, 0);
	}
}

static void
what_would_have_to_be_changed_in_a_list_is_refused(void **state)
{
	static const struct {
		const char *body;
		enum lines_error error;
		const char *why;
	} rows[] = {
		{LIST(""), LINES_NO_PARAMS, "requests.0: it needs one \"params\", an object."},
		{"{}", LINES_NO_PARAMS, NULL},
		{"{\"requests\":{}}", LINES_NO_PARAMS, NULL},
		{"{\"requests\":[", LINES_NOT_JSON, NULL},
		{LIST(ASKS(SAYS("")) ",7"), LINES_NOT_JSON, "requests.1: it is not one JSON object."},
		{LIST(ASKS(SAYS("")) "," ASKS("[]")), LINES_NO_PARAMS, "requests.1: it needs one \"params\", an object."},
		{LIST(ASKS(SAYS("") ",\"params\":" SAYS(""))), LINES_NO_PARAMS, NULL},
		{LIST("{\"custom_id\":\"a\"}"), LINES_NO_PARAMS, NULL},
		{LIST(ASKS(SAYS("")) ",{\"params\":" SAYS("") "}"), LINES_NO_ID, "requests.1: it needs a \"custom_id\", a string."},
		{LIST("{\"custom_id\":1,\"params\":" SAYS("") "}"), LINES_NO_ID, NULL},
		{LIST(ASKS("{\"model\":\"m\",\"messages\":[]}")), LINES_BODY, "requests.0: max_tokens: Field required"},
		{LIST(ASKS(SAYS(",\"stream\":true"))), LINES_STREAM, NULL},
		{LIST(ASKS(SAYS(",\"speed\":\"fast\""))), LINES_FAST, NULL},
		{LIST(ASKS(SAYS(",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"))), LINES_TOOLS, NULL},
		{LIST(ASKS("{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]}]}")), LINES_OBJECTS, NULL},
		{LIST(ASKS(SAYS("")) "," ASKS("{\"model\":\"n\",\"max_tokens\":1,\"messages\":[]}")), LINES_OTHER_MODEL, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 300; step += 41) {
			struct lines_scan s;
			char room[LINES_WHY_MAX];
			if (scan_list(&s, rows[i].body, step) != rows[i].error)
				fail_msg("row %zu in steps of %zu: %d", i, step, s.error);
			struct span why = lines_why(&s, room);
			if (rows[i].why && (why.len != strlen(rows[i].why) || memcmp(why.at, rows[i].why, why.len) != 0))
				fail_msg("row %zu: %.*s", i, (int)why.len, why.at);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_all_lines_in_any_split),
		cmocka_unit_test(what_would_have_to_be_changed_is_refused),
		cmocka_unit_test(more_lines_than_a_batch_has_are_refused),
		cmocka_unit_test(sums_of_a_list_in_any_split),
		cmocka_unit_test(what_would_have_to_be_changed_in_a_list_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
