/* Names of what a provider keeps, in its answers: each example whole, in every split in two, and byte by byte. */
#include "dialect/naming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 4096 };

struct telling {
	char out[ROOM];
	size_t len;
	const char *in;
	size_t at;
};

static void
put(struct telling *t, const char *bytes, size_t len)
{
	assert_true(t->len + len < ROOM);
	memcpy(t->out + t->len, bytes, len);
	t->len += len;
	t->out[t->len] = 0;
}

/* <text> in place of the string. */
static void
found(void *owner, const struct naming_found *f)
{
	struct telling *t = owner;
	assert_true(f->at >= t->at && f->end > f->at && t->in[f->at] == '"' && t->in[f->end - 1] == '"');
	put(t, t->in + t->at, f->at - t->at);
	put(t, "<", 1);
	put(t, f->text.at, f->text.len);
	put(t, ">", 1);
	t->at = f->end;
}

struct held {
	char at[ROOM];
	size_t len;
};

static void
feed(struct naming *n, struct telling *t, struct held *h, struct span in, bool last)
{
	char joined[ROOM];
	size_t len = h->len + in.len;
	assert_true(len < ROOM);
	memcpy(joined, h->at, h->len);
	memcpy(joined + h->len, in.at, in.len);
	t->in = joined;
	t->at = 0;
	size_t settled = naming_feed(n, (struct span){joined, len}, last, found, t);
	put(t, joined + t->at, settled - t->at);
	h->len = len - settled;
	assert_true(h->len <= NAMING_HOLD_MAX + 2);
	memcpy(h->at, joined + settled, h->len);
}

/* cuts: where it is split; step: else into pieces of so many bytes. */
static void
tell(enum endpoint endpoint, bool streamed, const char *text, size_t cut, size_t step, char ret[ROOM])
{
	struct naming n;
	struct telling t = {.len = 0};
	struct held held = {.len = 0};
	size_t len = strlen(text);
	assert_true(naming_init(&n, endpoint, streamed));
	for (size_t at = 0; at < len;) {
		size_t some = step ? step : at < cut ? cut - at
											 : len - at;
		some = some < len - at ? some : len - at;
		feed(&n, &t, &held, (struct span){text + at, some}, false);
		at += some;
	}
	feed(&n, &t, &held, SPAN(""), true);
	assert_int_equal(held.len, 0);
	memcpy(ret, t.out, t.len + 1);
}

static void
assert_told(enum endpoint endpoint, bool streamed, const char *text, const char *expected)
{
	char out[ROOM];
	for (size_t cut = 0; cut < strlen(text); cut++) {
		tell(endpoint, streamed, text, cut, 0, out);
		assert_string_equal(out, expected);
	}
	for (size_t step = 1; step < 9; step++) {
		tell(endpoint, streamed, text, 0, step, out);
		assert_string_equal(out, expected);
	}
}

#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct row {
	enum endpoint endpoint;
	bool streamed;
	const char *text, *expected;
} rows[] = {
	/* Responses: in items, parts and annotations, wherever they stand. */
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"content\":[{\"annotations\":[{\"type\":\"file_citation\",\"file_id\" : \"file-a\",\"index\":1}]}]}]}",
		"{\"output\":[{\"content\":[{\"annotations\":[{\"type\":\"file_citation\",\"file_id\" : <file-a>,\"index\":1}]}]}]}"},
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"type\":\"code_interpreter_call\",\"container_id\":\"cntr_1\",\"outputs\":[{\"files\":[{\"file_id\":\"b\"}]}]}]}",
		"{\"output\":[{\"type\":\"code_interpreter_call\",\"container_id\":<cntr_1>,\"outputs\":[{\"files\":[{\"file_id\":<b>}]}]}]}"},
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"file_ids\":[\"a\",\"b\"],\"file_id\":null},{\"file_id\":7},{\"file_id\":{\"file_id\":\"c\"}}]}",
		"{\"output\":[{\"file_ids\":[<a>,<b>],\"file_id\":null},{\"file_id\":7},{\"file_id\":{\"file_id\":\"c\"}}]}"},
	/* Tools, which are repeated: where the request names what is kept, and nowhere else. */
	{ENDPOINT_RESPONSES, false,
		"{\"tools\":[{\"type\":\"code_interpreter\",\"container\":\"cntr_1\"},{\"container\":{\"type\":\"auto\",\"file_ids\":[\"a\",\"b\"]}},{\"input_image_mask\":{\"file_id\":\"c\"},\"name\":\"d\"}],\"output\":[]}",
		"{\"tools\":[{\"type\":\"code_interpreter\",\"container\":<cntr_1>},{\"container\":{\"type\":\"auto\",\"file_ids\":[<a>,<b>]}},{\"input_image_mask\":{\"file_id\":<c>},\"name\":\"d\"}],\"output\":[]}"},
	{ENDPOINT_RESPONSES, true, "data: {\"response\":{\"tools\":[{\"environment\":{\"container_id\":\"e\"}},{\"parameters\":{\"file_id\":\"x\",\"container\":\"x\"}}]}}\n\n",
		"data: {\"response\":{\"tools\":[{\"environment\":{\"container_id\":<e>}},{\"parameters\":{\"file_id\":\"x\",\"container\":\"x\"}}]}}\n\n"},
	/* A member that the request's own table does not look into is none here: what was never opened is not sealed for who wrote it. */
	{ENDPOINT_RESPONSES, false, "{\"tools\":[{\"type\":{\"file_id\":\"a\",\"file_ids\":[\"b\"],\"x\":{\"container_id\":\"c\"}},\"filter\":{\"type\":{\"file_id\":\"d\"}}}],\"output\":[]}",
		"{\"tools\":[{\"type\":{\"file_id\":\"a\",\"file_ids\":[\"b\"],\"x\":{\"container_id\":\"c\"}},\"filter\":{\"type\":{\"file_id\":<d>}}}],\"output\":[]}"},
	{ENDPOINT_RESPONSES_KEPT, false, "{\"data\":[{\"type\":{\"file_id\":\"a\"},\"role\":{\"file_id\":\"a\"},\"summary\":[{\"file_id\":\"a\"}],\"container\":\"c\",\"content\":[{\"image_url\":{\"file_id\":\"a\"},\"type\":{\"file_id\":\"a\"},\"file_id\":\"b\",\"status\":{\"file_id\":\"d\"}}]}]}",
		"{\"data\":[{\"type\":{\"file_id\":\"a\"},\"role\":{\"file_id\":\"a\"},\"summary\":[{\"file_id\":\"a\"}],\"container\":<c>,\"content\":[{\"image_url\":{\"file_id\":\"a\"},\"type\":{\"file_id\":\"a\"},\"file_id\":<b>,\"status\":{\"file_id\":<d>}}]}]}"},
	{ENDPOINT_RESPONSES_KEPT, false, "{\"tools\":[{\"container\":{\"file_ids\":[\"a\"]}}],\"container\":\"x\",\"metadata\":{\"container\":\"x\"}}",
		"{\"tools\":[{\"container\":{\"file_ids\":[<a>]}}],\"container\":\"x\",\"metadata\":{\"container\":\"x\"}}"},
	/* The caller's own words. */
	{ENDPOINT_RESPONSES, false, "{\"metadata\":{\"file_id\":\"a\"},\"tools\":[{\"parameters\":{\"default\":{\"file_id\":\"a\"}}}],\"output\":[]}",
		"{\"metadata\":{\"file_id\":\"a\"},\"tools\":[{\"parameters\":{\"default\":{\"file_id\":\"a\"}}}],\"output\":[]}"},
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"arguments\":\"{\\\"file_id\\\":\\\"a\\\"}\",\"input\":{\"file_id\":\"a\"}},{\"content\":[{\"text\":\"\\\"file_id\\\":\\\"a\\\"\"}]}]}",
		"{\"output\":[{\"arguments\":\"{\\\"file_id\\\":\\\"a\\\"}\",\"input\":{\"file_id\":\"a\"}},{\"content\":[{\"text\":\"\\\"file_id\\\":\\\"a\\\"\"}]}]}"},
	{ENDPOINT_RESPONSES, true,
		"event: x\r\ndata: {\"annotation\":{\"file_id\":\"a\"}}\r\n\r\n: c\n\ndata: {\"item\":{\"container_id\":\"c\"},\ndata: \"part\":{\"annotations\":[{\"file_id\":\"d\"}]}}\n\ndata: {\"response\":{\"metadata\":{\"file_id\":\"x\"},\"output\":[{\"file_id\":\"e\"}]}}\n\ndata: [DONE]\n\n",
		"event: x\r\ndata: {\"annotation\":{\"file_id\":<a>}}\r\n\r\n: c\n\ndata: {\"item\":{\"container_id\":<c>},\ndata: \"part\":{\"annotations\":[{\"file_id\":<d>}]}}\n\ndata: {\"response\":{\"metadata\":{\"file_id\":\"x\"},\"output\":[{\"file_id\":<e>}]}}\n\ndata: [DONE]\n\n"},
	/* An event that is broken, or cut, passes; the next one is looked at. */
	{ENDPOINT_RESPONSES, true, "data: {\"item\":{]\"file_id\":\"a\"\n\ndata: {\"item\":{\"file_id\":\"b\n\ndata: {\"item\":{\"file_id\":\"c\"}}\n\ndata: {\"item\":{\"file_id\":\"d",
		"data: {\"item\":{]\"file_id\":\"a\"\n\ndata: {\"item\":{\"file_id\":\"b\n\ndata: {\"item\":{\"file_id\":<c>}}\n\ndata: {\"item\":{\"file_id\":\"d"},
	{ENDPOINT_RESPONSES, false, "words", "words"},
	{ENDPOINT_RESPONSES, false, "", ""},
	/* Escapes are undone; what is too long for a name is none, and is not waited for. */
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"f\\u0069le_id\":\"a\\u0062\"}]}", "{\"output\":[{\"f\\u0069le_id\":<ab>}]}"},
	{ENDPOINT_RESPONSES, false, "{\"output\":[{\"file_id\":\"" HUNDRED HUNDRED "\",\"x\":{\"file_id\":\"a\"}}]}", "{\"output\":[{\"file_id\":\"" HUNDRED HUNDRED "\",\"x\":{\"file_id\":<a>}}]}"},
	{ENDPOINT_CHAT_COMPLETIONS, false, "{\"choices\":[{\"message\":{\"annotations\":[{\"file_citation\":{\"file_id\":\"a\"}}],\"tool_calls\":[{\"file_id\":\"a\"}]}}],\"file_id\":\"a\"}",
		"{\"choices\":[{\"message\":{\"annotations\":[{\"file_citation\":{\"file_id\":<a>}}],\"tool_calls\":[{\"file_id\":\"a\"}]}}],\"file_id\":\"a\"}"},
	{ENDPOINT_MESSAGES, false, "{\"content\":[{\"citations\":[{\"file_id\":\"file_1\"}]},{\"type\":\"tool_use\",\"input\":{\"file_id\":\"x\"}},{\"content\":{\"content\":[{\"file_id\":\"b\"}]}}]}",
		"{\"content\":[{\"citations\":[{\"file_id\":<file_1>}]},{\"type\":\"tool_use\",\"input\":{\"file_id\":\"x\"}},{\"content\":{\"content\":[{\"file_id\":<b>}]}}]}"},
	{ENDPOINT_MESSAGES, true, "data: {\"delta\":{\"type\":\"citations_delta\",\"citation\":{\"file_id\":\"a\"}}}\n\ndata: {\"content_block\":{\"content\":{\"content\":[{\"file_id\":\"b\"}]}}}\n\n",
		"data: {\"delta\":{\"type\":\"citations_delta\",\"citation\":{\"file_id\":<a>}}}\n\ndata: {\"content_block\":{\"content\":{\"content\":[{\"file_id\":<b>}]}}}\n\n"},
	{ENDPOINT_STREAM_GENERATE_CONTENT, false, "[{\"candidates\":[{\"content\":{\"parts\":[{\"fileData\":{\"fileUri\":\"u\"}},{\"functionCall\":{\"args\":{\"fileUri\":\"u\"}}}]}}]},\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"file_data\":{\"file_uri\":\"v\"}}]}}]}]",
		"[{\"candidates\":[{\"content\":{\"parts\":[{\"fileData\":{\"fileUri\":<u>}},{\"functionCall\":{\"args\":{\"fileUri\":\"u\"}}}]}}]},\r\n{\"candidates\":[{\"content\":{\"parts\":[{\"file_data\":{\"file_uri\":<v>}}]}}]}]"},
};

static void
names_are_found_in_any_split(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_told(rows[i].endpoint, rows[i].streamed, rows[i].text, rows[i].expected);
}

static void
what_names_nothing_is_not_looked_at(void **state)
{
	struct naming n;
	assert_false(naming_init(&n, ENDPOINT_EMBEDDINGS, false));
	assert_false(naming_init(&n, ENDPOINT_FILES, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_in_any_split),
		cmocka_unit_test(what_names_nothing_is_not_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
