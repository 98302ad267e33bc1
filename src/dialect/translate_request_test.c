#include "dialect/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a translation, whatever the pieces and the rooms ---- */

enum { OUT_MAX = 1 << 17,
	ROOM = 7 };

struct gathered {
	struct sink sink;
	char *all;
	size_t len, cap;
	char room[ROOM];
};

/* One small room after another: what was written is taken over each time. */
static bool
grow_gathered(struct sink *s)
{
	struct gathered *g = container_of(s, struct gathered, sink);
	if (g->len + s->len > g->cap)
		return false;
	memcpy(g->all + g->len, s->at, s->len);
	g->len += s->len;
	*s = (struct sink){.grow = grow_gathered, .at = g->room, .cap = sizeof g->room};
	return true;
}

static bool
translated(const char *in, size_t len, size_t piece, const struct translate_wish *wish, struct gathered *ret, struct translate_notes *notes)
{
	uint32_t count = 0;
	struct span *pieces = calloc(len / piece + 1, sizeof *pieces);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);
		memcpy(copy, in + at, n);
		pieces[count++] = (struct span){copy, n};
	}
	struct json_source s = json_source(pieces, count);
	ret->len = 0;
	ret->sink = (struct sink){.grow = grow_gathered, .at = ret->room, .cap = sizeof ret->room};
	bool well = translate_request(&s, wish, &ret->sink, notes);
	if (well)
		assert_true(grow_gathered(&ret->sink));
	for (uint32_t i = 0; i < count; i++)
		free((void *)(uintptr_t)pieces[i].at);
	free(pieces);
	return well;
}

static bool
is_json(const char *text, size_t len)
{
	static const struct json_node nodes[2] = {{0}, {0}};
	struct json_scan scan;
	struct json_event ev;
	json_scan_init(&scan, nodes);
	json_scan_feed(&scan, text, len, 0);
	enum json_token t;
	while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
		;
	return t == JSON_MORE && json_scan_complete(&scan);
}

/* ---- cells ---- */

struct cell {
	enum language from, to;
	const char *in;
	const char *out; /* NULL: refused */
	const char *path; /* refused at; with out: names that were left out */
	struct translate_wish wish; /* from, to, model are set */
};

#define CHAT LANGUAGE_CHAT
#define MESSAGES LANGUAGE_MESSAGES
#define GEMINI LANGUAGE_GEMINI
#define RESPONSES LANGUAGE_RESPONSES
#define COMPLETIONS LANGUAGE_COMPLETIONS
#define LENIENT \
	{ \
		.lenient = true, .output_tokens = 4096 \
	}
#define EFFORT \
	{ \
		.thinking = THINKING_EFFORT, .output_tokens = 64000 \
	}
#define BUDGET \
	{ \
		.thinking = THINKING_BUDGET, .output_tokens = 64000 \
	}

#define U "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CM(text) "{\"model\":\"m\",\"max_completion_tokens\":9,\"messages\":[" text "]}"
#define MM(text) "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" text "]}"
#define CU "{\"role\":\"user\",\"content\":\"hi\"}"
#define MU "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}"
#define GU "{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}"
#define CTOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"}}},\"strict\":true}}]"
#define MTOOLS "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"}}},\"strict\":true}]"

static const struct cell cells[] = {
#include "dialect/translate_request_cells.inc"
};

static bool
check_cell(const struct cell *cell, size_t piece, struct gathered *g)
{
	struct translate_wish wish = cell->wish;
	struct translate_notes notes;
	wish.from = cell->from;
	wish.to = cell->to;
	wish.model = SPAN("m");
	bool well = translated(cell->in, strlen(cell->in), piece, &wish, g, &notes);
	char said[TRANSLATE_PATH_MAX * 2 + 1];
	const struct text *t = well ? &notes.dropped : &notes.path;
	memcpy(said, t->at, t->len);
	said[t->len] = 0;
	g->all[g->len] = 0;
	bool as_wanted = well == !!cell->out && (!well || !strcmp(g->all, cell->out)) && !strcmp(said, cell->path ? cell->path : "") &&
		(well || (notes.refusal != TRANSLATE_NONE && notes.refusal != TRANSLATE_NO_MEMORY));
	if (!as_wanted)
		fprintf(stderr, "%d to %d, pieces of %zu:\n  in   %s\n  got  %s\n  want %s\n  says %s (%s)\n  want %s\n", cell->from, cell->to, piece, cell->in,
			well ? g->all : "refused", cell->out ? cell->out : "refused", said, notes.advice ? notes.advice : "", cell->path ? cell->path : "");
	return as_wanted;
}

static void
each_cell_is_as_it_should_be_whatever_the_pieces(void **state)
{
	(void)state;
	static char all[OUT_MAX + 1];
	struct gathered g = {.all = all, .cap = OUT_MAX};
	size_t wrong = 0;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		const struct cell *cell = &cells[i];
		if (!is_json(cell->in, strlen(cell->in)) || (cell->out && !is_json(cell->out, strlen(cell->out))))
			fail_msg("row %zu is not JSON: %s", i, cell->in);
		static const size_t pieces[] = {1 << 20, 1, 2, 13};
		bool well = true;
		for (size_t k = 0; well && k < ARRAY_LEN(pieces); k++)
			well = check_cell(cell, pieces[k], &g);
		wrong += !well;
	}
	assert_int_equal(wrong, 0);
}

/* ---- there and back ---- */

struct round_trip {
	enum language from, by;
	const char *in; /* and out */
};

static const struct round_trip round_trips[] = {
#define THROUGH(from, in) {from, CHAT, in}, {from, MESSAGES, in}, {from, GEMINI, in}, {from, RESPONSES, in},
	THROUGH(CHAT, C99(CU))
		THROUGH(CHAT, C99("{\"role\":\"system\",\"content\":\"S\\n\\u00e9\"}," CU "," CCALLS ",{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"{\\\"n\\\": -1.50e-7}\"},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"plain\"}," CU))
			THROUGH(CHAT, "{\"model\":\"m\",\"max_completion_tokens\":99,\"temperature\":0.30,\"top_p\":1E-1,\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{ \"type\" : \"object\",\"properties\":{\"z\":{\"minimum\":1.0e2},\"a\":{}}}}}],\"messages\":[" CU "]}")
				THROUGH(CHAT, C99("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a/b.png\"}}]}"))
					THROUGH(MESSAGES, M99(MU))
						THROUGH(MESSAGES, "{\"model\":\"m\",\"max_tokens\":99,\"system\":[{\"type\":\"text\",\"text\":\"S\"}],\"messages\":[" MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"b\": 12345678901234567890, \"a\":\"\\\\\\\"\"}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t2\",\"content\":\"r\"},{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"s\"},{\"type\":\"text\",\"text\":\"u\"}]}]}")
							THROUGH(GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":99,\"temperature\":0.5},\"systemInstruction\":{\"parts\":[{\"text\":\"S\"}]},\"contents\":[" GU ",{\"role\":\"model\",\"parts\":[{\"text\":\"a\"},{\"functionCall\":{\"id\":\"i\",\"name\":\"f\",\"args\":{\"x\":[1.0,{}]}}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"i\",\"name\":\"f\",\"response\":{\"k\":1e3}}}]}]}")
								THROUGH(RESPONSES, "{\"model\":\"m\",\"store\":false,\"max_output_tokens\":99,\"input\":[{\"type\":\"message\",\"role\":\"system\",\"content\":\"S\"}," RU ",{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]},{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1.0}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"r\"}," RU "]}")};

static void
what_goes_there_and_back_is_the_same_bytes(void **state)
{
	(void)state;
	static char there_room[OUT_MAX + 1], back_room[OUT_MAX + 1];
	struct gathered there = {.all = there_room, .cap = OUT_MAX}, back = {.all = back_room, .cap = OUT_MAX};
	for (size_t i = 0; i < ARRAY_LEN(round_trips); i++) {
		const struct round_trip *r = &round_trips[i];
		struct translate_wish wish = {.from = r->from, .to = r->by, .model = SPAN("m")};
		struct translate_notes notes;
		assert_true(translated(r->in, strlen(r->in), 5, &wish, &there, &notes));
		wish.from = r->by;
		wish.to = r->from;
		assert_true(translated(there_room, there.len, 3, &wish, &back, &notes));
		back_room[back.len] = 0;
		assert_string_equal(back_room, r->in);
	}
}

/* ---- sizes ---- */

enum { BIG = 8 << 20,
	MANY = 10000 };

struct big {
	char *at;
	size_t len;
};

static void
add(struct big *b, const char *text)
{
	size_t n = strlen(text);
	assert_true(b->len + n < BIG);
	memcpy(b->at + b->len, text, n);
	b->len += n;
}

static void
add_numbered(struct big *b, const char *before, unsigned n, const char *after)
{
	char digits[16];
	snprintf(digits, sizeof digits, "%u", n);
	add(b, before);
	add(b, digits);
	add(b, after);
}

/* A place in 0..MANY - 1 for each number, far from its neighbours' when `shuffled`. */
static unsigned
place(unsigned i, bool shuffled)
{
	return shuffled ? (unsigned)((uint64_t)i * 7919 % MANY) : i;
}

static void
many_calls(struct big *b, unsigned count, bool shuffled)
{
	b->len = 0;
	add(b, "{\"max_tokens\":99,\"messages\":[" CU ",{\"role\":\"assistant\",\"tool_calls\":[");
	for (unsigned i = 0; i < count; i++) {
		add_numbered(b, i ? ",{\"id\":\"c" : "{\"id\":\"c", i, "\",\"type\":\"function\",\"function\":{\"name\":\"f");
		add_numbered(b, "", i, "\",\"arguments\":\"{}\"}}");
	}
	add(b, "]}");
	for (unsigned i = 0; i < count; i++)
		add_numbered(b, ",{\"role\":\"tool\",\"tool_call_id\":\"c", place(i, shuffled), "\",\"content\":\"r\"}");
	add(b, "]}");
}

static void
ten_thousand_results_find_their_calls_or_are_refused_soon(void **state)
{
	(void)state;
	struct big in = {malloc(BIG), 0};
	struct gathered out = {.all = malloc(BIG), .cap = BIG};
	const struct translate_wish wish = {.from = CHAT, .to = GEMINI, .model = SPAN("m")};
	struct translate_notes notes;
	many_calls(&in, MANY, false);
	assert_true(translated(in.at, in.len, 1 << 16, &wish, &out, &notes));
	out.all[out.len] = 0;
	assert_non_null(strstr(out.all, "{\"functionResponse\":{\"id\":\"c9999\",\"name\":\"f9999\""));
	assert_non_null(strstr(out.all, "{\"functionResponse\":{\"id\":\"c512\",\"name\":\"f512\""));
	many_calls(&in, MANY, true);
	assert_false(translated(in.at, in.len, 1 << 16, &wish, &out, &notes));
	assert_int_equal(notes.refusal, TRANSLATE_CANT);
	free(in.at);
	free(out.all);
}

struct growth {
	enum language from, to;
	const char *before, *again, *after;
};

static void
repeated(struct big *b, const struct growth *g)
{
	b->len = 0;
	add(b, g->before);
	for (bool first = true; b->len < 200000; first = false) {
		if (!first && *g->after == ']')
			add(b, ",");
		add(b, g->again);
	}
	add(b, g->after);
}

/* However a body is made, what is written of it is at most twice as long, and a little; what would grow more is refused. */
static void
what_is_written_is_bounded_by_the_body(void **state)
{
	(void)state;
	static const struct growth rows[] = {
		{MESSAGES, CHAT, "{\"max_tokens\":9,\"messages\":[" MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":\"",
			"\\\"\\\\", "\"}}]}," MU "]}"},
		{MESSAGES, CHAT, "{\"max_tokens\":9,\"messages\":[" MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":[", "\"\"", "]}}]}," MU "]}"},
		{GEMINI, RESPONSES, "{\"contents\":[{\"parts\":[", "{\"text\":\"\"}", "]}]}"},
		{GEMINI, CHAT, "{\"contents\":[{\"parts\":[", "{\"text\":\"a\"}", "]}]}"},
		{GEMINI, MESSAGES, "{\"contents\":[" GU ",{\"role\":\"model\",\"parts\":[", "{\"functionCall\":{\"name\":\"\"}}", "]}," GU "]}"},
		{CHAT, RESPONSES, "{\"max_tokens\":99,\"messages\":[", "{\"role\":\"user\",\"content\":\"\"}", "]}"},
		{CHAT, GEMINI, "{\"max_tokens\":99,\"stop\":[],\"messages\":[", "{\"role\":\"user\",\"content\":\"a\"}", "]}"},
	};
	struct big in = {malloc(BIG), 0};
	struct gathered out = {.all = malloc(BIG), .cap = BIG};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct translate_wish wish = {.from = rows[i].from, .to = rows[i].to, .model = SPAN("m"), .output_tokens = 99};
		struct translate_notes notes;
		repeated(&in, &rows[i]);
		assert_true(is_json(in.at, in.len));
		bool well = translated(in.at, in.len, 1 << 12, &wish, &out, &notes);
		assert_true(out.len <= 2 * in.len + (32 << 10));
		if (well)
			assert_true(is_json(out.all, out.len));
		else
			assert_int_equal(notes.refusal, TRANSLATE_CANT);
	}
	free(in.at);
	free(out.all);
}

/* Megabytes of blanks between the names, and a hundred thousand tools: a time-out, if each walked the list anew. */
static void
tools_are_looked_up_without_walking_the_list_again(void **state)
{
	(void)state;
	struct big in = {malloc(BIG), 0};
	struct gathered out = {.all = malloc(BIG), .cap = BIG};
	const struct translate_wish wish = {.from = CHAT, .to = MESSAGES, .model = SPAN("m")};
	struct translate_notes notes;
	add(&in, "{\"max_tokens\":9," U ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[");
	memset(in.at + in.len, ' ', BIG / 4);
	in.len += BIG / 4;
	add(&in, "{\"type\":\"function\",\"function\":{\"name\":\"f\\u0031\"}}]}},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f1\"}}");
	while (in.len < BIG / 4 * 3)
		add(&in, ",{\"type\":\"function\",\"function\":{\"name\":\"g\"}}");
	add(&in, "]}");
	assert_true(translated(in.at, in.len, 1 << 16, &wish, &out, &notes));
	out.all[out.len] = 0;
	assert_non_null(strstr(out.all, "\"tools\":[{\"name\":\"f1\","));
	assert_null(strstr(out.all, "\"g\""));
	free(in.at);
	free(out.all);
}

static void
no_room_is_said(void **state)
{
	(void)state;
	static char all[4];
	struct gathered out = {.all = all, .cap = sizeof all};
	const struct translate_wish wish = {.from = CHAT, .to = GEMINI, .model = SPAN("m")};
	struct translate_notes notes;
	static const char in[] = "{\"max_tokens\":99," U "}";
	assert_false(translated(in, sizeof in - 1, 100, &wish, &out, &notes));
	assert_int_equal(notes.refusal, TRANSLATE_NO_MEMORY);
}

static void
only_conversations_have_a_language(void **state)
{
	(void)state;
	assert_int_equal(translate_language(ENDPOINT_CHAT_COMPLETIONS), LANGUAGE_CHAT);
	assert_int_equal(translate_language(ENDPOINT_STREAM_GENERATE_CONTENT), LANGUAGE_GEMINI);
	assert_int_equal(translate_language(ENDPOINT_EMBEDDINGS), LANGUAGE_NONE);
	assert_int_equal(translate_language(ENDPOINT_MESSAGES_COUNT_TOKENS), LANGUAGE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cell_is_as_it_should_be_whatever_the_pieces),
		cmocka_unit_test(what_goes_there_and_back_is_the_same_bytes),
		cmocka_unit_test(ten_thousand_results_find_their_calls_or_are_refused_soon),
		cmocka_unit_test(tools_are_looked_up_without_walking_the_list_again),
		cmocka_unit_test(what_is_written_is_bounded_by_the_body),
		cmocka_unit_test(no_room_is_said),
		cmocka_unit_test(only_conversations_have_a_language),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
