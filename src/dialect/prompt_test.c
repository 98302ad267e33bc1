/* Which words of a body count, by what they have as a text of their own; and that a body of any size is done with soon. */
#include "dialect/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TURN = PROMPT_TURN_TOKENS,
	ANSWER = PROMPT_ANSWER_TOKENS };

/* "Hello, world!" has four tokens, and "weather" and "Hello" one. */
#define HELLO "\"Hello, world!\""
static const struct {
	const char *body;
	uint32_t tokens;
} rows[] = {
	{"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" HELLO "}]}", TURN + 4 + ANSWER},
	{"{\"messages\":[{\"role\":\"system\",\"content\":" HELLO "},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":" HELLO "}]}],\"user\":" HELLO "}", 2 * TURN + 8 + ANSWER},
	{"{\"messages\":[{\"content\":\"\\u0048ello\\u002c\\u0020world!\"}]}", TURN + 4 + ANSWER}, /* the same words */
	{"{\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}]}]}", TURN + ANSWER},
	{"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"Hello\"}}]}]}", TURN + 2 + ANSWER},
	{"{\"input\":" HELLO "}", 4},
	{"{\"input\":[" HELLO "," HELLO "]}", 8},
	{"{\"input\":[[1,2,3],[4]]}", 4},
	{"{\"input\":[17,18]}", 2},
	{"{\"instructions\":" HELLO ",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":" HELLO "}]},{\"type\":\"function_call_output\",\"output\":\"Hello\"}]}", 3 * TURN + 9 + ANSWER},
	{"{\"system\":[{\"type\":\"text\",\"text\":" HELLO "}],\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}]}]}]}", 2 * TURN + 5 + ANSWER},
	{"{\"system_instruction\":{\"parts\":[{\"text\":" HELLO "}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hello\"}]}]}", 2 * TURN + 5 + ANSWER},
	{"{\"contents\":" HELLO "}", 4},
	{"{\"requests\":[{\"model\":\"x\",\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}]}", TURN + 1 + ANSWER},
	{"{\"prompt\":[" HELLO ",[1,2]],\"suffix\":\"Hello\"}", 7},
	{"{\"tools\":[{\"name\":\"weather\"}],\"messages\":[]}", 7}, /* [{" name ":" weather "}] and so on, as JSON */
	{"{}", 0},
};

static void
count(struct span body, size_t part, struct prompt_count *ret)
{
	struct span *pieces = calloc(body.len / part + 1, sizeof *pieces);
	struct prompt *p = malloc(sizeof *p);
	uint32_t n = 0;
	for (size_t at = 0; at < body.len; at += part)
		pieces[n++] = (struct span){body.at + at, part < body.len - at ? part : body.len - at};
	assert_true(prompt_tokens(p, TOKENIZER_o200k_base, pieces, n, ret));
	free(p);
	free(pieces);
}

static void
test_words(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t part = strlen(rows[i].body); part > 0; part--) {
			struct prompt_count c;
			count((struct span){rows[i].body, strlen(rows[i].body)}, part, &c);
			if (c.tokens != rows[i].tokens)
				fail_msg("%s: %u tokens instead of %u", rows[i].body, (unsigned)c.tokens, (unsigned)rows[i].tokens);
			assert_true(c.whole);
		}
}

/* More words than are counted, in one text or in many, or dear ones: it says how far it came, and the rest is like it. */
static void
test_bounds(void **state)
{
	enum { LEN = 3 << 20 };
	static const char *const units[] = {"one word more ", "aaaaaaaaaaaaaaaa", "\\u4e2d", "\"},{\"content\":\"Hello, world! "};
	char *body = malloc(LEN);
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		size_t len = (size_t)snprintf(body, LEN, "{\"messages\":[{\"content\":\"");
		for (; len + strlen(units[u]) + 5 < LEN; len += strlen(units[u]))
			memcpy(body + len, units[u], strlen(units[u]));
		memcpy(body + len, "\"}]}", 4);
		struct prompt_count c;
		count((struct span){body, len + 4}, 100000, &c);
		assert_false(c.whole);
		assert_in_range(c.seen, PROMPT_TEXT_MAX / 16, LEN / 2);
		assert_in_range(c.tokens, c.seen / 32, c.seen);
	}
	free(body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
