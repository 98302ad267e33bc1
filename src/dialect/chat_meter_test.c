#include "dialect/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OUT_MAX = 1 << 18 };

struct run {
	struct meter meter;
	char out[OUT_MAX];
	size_t out_len;
	size_t held_most; /* largest unsettled tail */
};

/* As the edge does it: new bytes behind the tail that was not settled, every time in an exact allocation. */
static void
run_meter(struct run *r, const struct span in, size_t step, bool streamed, bool hide)
{
	size_t settled = 0, given = 0;
	r->out_len = r->held_most = 0;
	meter_init(&r->meter, ENDPOINT_CHAT_COMPLETIONS, streamed, hide);
	while (settled < in.len || given < in.len) {
		given = given + step < in.len ? given + step : in.len;
		size_t len = given - settled;
		char *piece = malloc(len ? len : 1);
		memcpy(piece, in.at + settled, len);
		struct span spans[METER_SPANS_MAX];
		size_t count = 0, took = meter_feed(&r->meter, piece, len, given == in.len, spans, &count);
		assert_true(took <= len && count <= METER_SPANS_MAX);
		const char *at = piece;
		for (size_t i = 0; i < count; i++) {
			assert_true(spans[i].at >= at && spans[i].at + spans[i].len <= piece + took);
			at = spans[i].at + spans[i].len;
			assert_true(r->out_len + spans[i].len <= OUT_MAX);
			memcpy(r->out + r->out_len, spans[i].at, spans[i].len);
			r->out_len += spans[i].len;
		}
		free(piece);
		settled += took;
		if (given - settled > r->held_most && given < in.len)
			r->held_most = given - settled;
		assert_true(hide || settled == given);
	}
}

static void
assert_same(const struct run *a, const struct run *b)
{
	assert_memory_equal(&a->meter.usage, &b->meter.usage, sizeof a->meter.usage);
	assert_int_equal(a->meter.answer, b->meter.answer);
	assert_int_equal(a->meter.finished, b->meter.finished);
	assert_int_equal(a->meter.malformed, b->meter.malformed);
	assert_int_equal(a->meter.content_bytes, b->meter.content_bytes);
	assert_int_equal(a->meter.reasoning_bytes, b->meter.reasoning_bytes);
	assert_int_equal(a->meter.events, b->meter.events);
	assert_int_equal(a->meter.content_reported, b->meter.content_reported);
	assert_int_equal(a->out_len, b->out_len);
	assert_memory_equal(a->out, b->out, a->out_len);
}

/* The caller frees it. */
static struct run *
run_every_way(struct span in, bool streamed, bool hide)
{
	struct run *whole = malloc(sizeof *whole), *pieces = malloc(sizeof *pieces);
	run_meter(whole, in, in.len ? in.len : 1, streamed, hide);
	for (size_t step = 1; step < in.len && step < 600; step += step < 40 ? 1 : 37) {
		run_meter(pieces, in, step, streamed, hide);
		assert_same(whole, pieces);
	}
	free(pieces);
	return whole;
}

/* ---- usage ---- */

struct kinds {
	uint64_t input, cached, cache_write, audio_in, image_in, output, reasoning, audio_out, image_out;
};

static void
assert_kinds(const struct usage *u, const struct kinds *k, bool absurd)
{
	assert_int_equal(u->flags, USAGE_REPORTED | (absurd ? USAGE_ABSURD : 0));
	assert_int_equal(u->tokens[TOKEN_input], k->input);
	assert_int_equal(u->tokens[TOKEN_cached], k->cached);
	assert_int_equal(u->tokens[TOKEN_cache_write], k->cache_write);
	assert_int_equal(u->tokens[TOKEN_cache_write_1h], 0);
	assert_int_equal(u->tokens[TOKEN_audio_in], k->audio_in);
	assert_int_equal(u->tokens[TOKEN_image_in], k->image_in);
	assert_int_equal(u->tokens[TOKEN_output], k->output);
	assert_int_equal(u->tokens[TOKEN_reasoning], k->reasoning);
	assert_int_equal(u->tokens[TOKEN_audio_out], k->audio_out);
	assert_int_equal(u->tokens[TOKEN_image_out], k->image_out);
}

#define T40 1099511627776

static const struct {
	const char *usage;
	struct kinds kinds;
	bool absurd;
} usages[] = {
	{"\"prompt_tokens\":16,\"completion_tokens\":300,\"total_tokens\":316", {.input = 16, .output = 300}, false},
	{"\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150,\"prompt_tokens_details\":{\"cached_tokens\":60,\"cache_write_tokens\":30,"
	 "\"audio_tokens\":4,\"image_tokens\":3},\"completion_tokens_details\":{\"reasoning_tokens\":20,\"audio_tokens\":10,\"image_tokens\":5,"
	 "\"accepted_prediction_tokens\":1,\"rejected_prediction_tokens\":2}",
		{3, 60, 30, 4, 3, 15, 20, 10, 5}, false},
	/* reasoning left out of completion_tokens: xAI, and Gemini's compatible endpoint */
	{"\"prompt_tokens\":12,\"completion_tokens\":2,\"total_tokens\":354,\"prompt_tokens_details\":{\"cached_tokens\":11},"
	 "\"completion_tokens_details\":{\"reasoning_tokens\":340}",
		{.input = 1, .cached = 11, .output = 2, .reasoning = 340}, false},
	{"\"prompt_tokens\":35,\"completion_tokens\":12,\"total_tokens\":109", {.input = 35, .output = 74}, false},
	{"\"prompt_tokens\":5,\"completion_tokens\":5,\"total_tokens\":4", {.input = 5, .output = 5}, false},
	/* DeepSeek, Moonshot */
	{"\"prompt_tokens\":18,\"completion_tokens\":9,\"prompt_cache_hit_tokens\":10,\"prompt_cache_miss_tokens\":8", {.input = 8, .cached = 10, .output = 9}, false},
	{"\"prompt_tokens\":18,\"prompt_cache_hit_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":6}", {.input = 12, .cached = 6}, false},
	{"\"prompt_tokens\":18,\"cached_tokens\":10,\"prompt_tokens_details\":null", {.input = 8, .cached = 10}, false},
	/* explicit zeros; parts of a prompt that overlap; numbers written as doubles */
	{"\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0", {0}, false},
	{"\"prompt_tokens\":100,\"prompt_tokens_details\":{\"cached_tokens\":90,\"image_tokens\":50}", {.cached = 90, .image_in = 10}, false},
	{"\"prompt_tokens\":7.0,\"completion_tokens\":1.000", {.input = 7, .output = 1}, false},
	{"\"prompt_tokens\":1099511627776", {.input = T40}, false},
	{"\"completion_tokens\":3,\"prompt_tokens\":null,\"completion_tokens_details\":{\"reasoning_tokens\":null}", {.output = 3}, false},
	{"\"prompt_tokens\":1,\"prompt_tokens\":2", {.input = 2}, false},
	{"\"prompt_tokens\":1,\"x\":{\"prompt_tokens\":9},\"y\":[{\"prompt_tokens\":9}]", {.input = 1}, false},
	/* what can't be */
	{"\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":-9", {.input = 5, .output = 2}, true},
	{"\"prompt_tokens\":5,\"total_tokens\":\"9\"", {.input = 5}, true},
	{"\"prompt_tokens\":-1,\"prompt_tokens\":2,\"completion_tokens\":1", {.input = 2, .output = 1}, true},
	{"\"prompt_tokens\":2.5", {.input = 2}, true},
	{"\"prompt_tokens\":1e3", {.input = 1}, true},
	{"\"prompt_tokens\":1099511627777", {.input = T40}, true},
	{"\"prompt_tokens\":99999999999999999999999999999999999999,\"completion_tokens\":99999999999999999999", {.input = T40, .output = T40}, true},
	{"\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":9}", {.cached = 5}, true},
	{"\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":3,\"cache_write_tokens\":3}", {.cached = 3, .cache_write = 2}, true},
	{"\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":-3}", {.input = 5}, true},
	{"\"prompt_tokens\":5,\"completion_tokens\":5,\"completion_tokens_details\":{\"reasoning_tokens\":9}", {.input = 5, .reasoning = 5}, true},
};

/* In every place where one is read, streamed or not. */
static void
usage_is_taken_apart_into_disjoint_kinds(void **state)
{
	static const struct {
		const char *before, *after;
		bool streamed;
	} places[] = {
		{"{\"choices\":[],\"usage\":{", "}}", false},
		{" {\"usage\" : {", "} , \"x\":1}\n", false},
		{"{\"choices\":[{\"usage\":{", "}}],\"usage\":null}", false},
		{"data: {\"choices\":[],\"usage\":{", "}}\n\ndata: [DONE]\n\n", true},
		{"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{", "}}]}\n\n", true},
		{"data: {\"choices\":[{}],\"x_groq\":{\"usage\":{", "}}}\n\n", true},
		{"data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":77}}\n\ndata: {\"usage\":{", "}}\n\ndata: {\"usage\":{}}\n\ndata: {\"usage\":null}\n\n", true},
		{"data: {\"usage\":{\ndata:", "\r\ndata:}}", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(usages); i++)
		for (size_t p = 0; p < ARRAY_LEN(places); p++) {
			char in[1024] = "";
			strcat(strcat(strcat(in, places[p].before), usages[i].usage), places[p].after);
			struct run *r = run_every_way((struct span){in, strlen(in)}, places[p].streamed, false);
			if (r->meter.usage.tokens[TOKEN_input] != usages[i].kinds.input)
				print_error("row %zu, place %zu\n", i, p);
			assert_kinds(&r->meter.usage, &usages[i].kinds, usages[i].absurd);
			assert_false(r->meter.malformed);
			free(r);
		}
}

/* Nothing may be made of it: a negative count would be a credit, and none at all would be free. */
static void
usage_that_tells_nothing_is_none_and_absurd(void **state)
{
	static const char *const rows[] = {
		"\"prompt_tokens\":-5,\"completion_tokens\":5",
		"\"prompt_tokens\":5,\"completion_tokens\":-5,\"total_tokens\":-9",
		"\"prompt_tokens\":-8,\"completion_tokens\":-9,\"total_tokens\":-16,\"prompt_tokens_details\":{\"cached_tokens\":0}",
		"\"prompt_tokens\":\"12\"",
		"\"prompt_tokens\":\"7\",\"completion_tokens\":\"8\",\"total_tokens\":\"15\",\"completion_tokens_details\":{\"reasoning_tokens\":3}",
		"\"prompt_tokens\":{}",
		"\"prompt_tokens\":4,\"completion_tokens\":[1]",
		"\"prompt_tokens\":true",
		"\"prompt_tokens\":2,\"prompt_tokens\":-1",
		"\"total_tokens\":-1",
		"\"total_tokens\":\"15\",\"prompt_tokens_details\":{\"cached_tokens\":3}",
	};
	static const struct {
		const char *before, *after;
		bool streamed;
	} places[] = {
		{"{\"choices\":[],\"usage\":{", "}}", false},
		{"data: {\"choices\":[],\"usage\":{", "}}\n\ndata: [DONE]\n\n", true},
		{"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":77}}\n\ndata: {\"x_groq\":{\"usage\":{", "}}}\n\ndata: {\"usage\":{}}\n\n", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t p = 0; p < ARRAY_LEN(places); p++) {
			char in[1024] = "";
			strcat(strcat(strcat(in, places[p].before), rows[i]), places[p].after);
			struct run *r = run_every_way((struct span){in, strlen(in)}, places[p].streamed, false);
			if (r->meter.usage.flags != USAGE_ABSURD)
				print_error("row %zu, place %zu\n", i, p);
			assert_int_equal(r->meter.usage.flags, USAGE_ABSURD);
			for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
				assert_int_equal(r->meter.usage.tokens[k], 0);
			assert_int_equal(r->meter.content_reported, 0);
			free(r);
		}
	static const char late[] = "data: {\"usage\":{\"prompt_tokens\":-1}}\n\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n";
	struct run *r = run_every_way(SPAN(late), true, false);
	assert_kinds(&r->meter.usage, &(struct kinds){.input = 3}, false);
	free(r);
}

static void
no_usage_is_none(void **state)
{
	static const char *const rows[] = {
		"{\"choices\":[]}",
		"{\"usage\":null}",
		"{\"usage\":{}}",
		"{\"usage\":{\"cost\":1}}",
		"{\"usage\":[{\"prompt_tokens\":1}]}",
		"{\"usage\":{\"prompt_tokens\":null}}",
		"{\"x\":{\"usage\":{\"prompt_tokens\":1}}}",
		"{\"usage\":{\"prompt_tokens\":1",
		"{\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":1}\"}}]}",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct run *r = run_every_way((struct span){rows[i], strlen(rows[i])}, false, false);
		assert_int_equal(r->meter.usage.flags, 0);
		assert_int_equal(r->meter.usage.tokens[TOKEN_input], 0);
		free(r);
	}
}

static void
server_tools_are_counted(void **state)
{
	static const char in[] = "{\"usage\":{\"prompt_tokens\":1,\"server_tool_use_details\":{\"web_search_requests\":3},\"num_sources_used\":2}}";
	struct run *r = run_every_way(SPAN(in), false, false);
	assert_int_equal(r->meter.usage.tools[TOOL_web_search], 5);
	free(r);
}

/* ---- what kind of answer it was ---- */

static const struct {
	const char *in;
	bool streamed, finished, malformed;
	enum answer answer;
	uint64_t events, content, reasoning;
} answers[] = {
	{"", true, false, false, ANSWER_NOTHING, 0, 0, 0},
	{": ping\n\n", true, false, false, ANSWER_NOTHING, 0, 0, 0},
	{"data:\n\n", true, false, false, ANSWER_NOTHING, 0, 0, 0},
	{"data: {\"choices\":[]}\n\n", true, false, false, ANSWER_STARTED, 0, 0, 0},
	{"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n", true, false, false, ANSWER_STARTED, 1, 0, 0},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"a\\n\\u00e9\"}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 9, 0},
	{"data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"}},{\"delta\":{\"content\":\"x\"}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 3, 0},
	{"data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"abc\"}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 0, 3},
	{"data: {\"choices\":[{\"delta\":{\"reasoning\":\"abcd\",\"content\":null}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 0, 4},
	{"data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"abc\"}]},{\"text\":\"de\"}]}}]}\n\n", true,
		false, false, ANSWER_CONTENT, 1, 2, 3},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n", true, false, false,
		ANSWER_CONTENT, 1, 0, 0},
	{"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"\"}},{\"custom\":{\"input\":\"xy\"}}]}}]}\n\n", true, false, false,
		ANSWER_CONTENT, 1, 5, 0},
	{"data: {\"choices\":[{\"delta\":{\"function_call\":{\"arguments\":\"12\"}}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 2, 0},
	{"data: {\"choices\":[{\"delta\":{\"audio\":{\"transcript\":\"la\",\"data\":\"AAAA\"}}}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 2, 0},
	{"data: {\"choices\":[{\"text\":\"old\"}]}\n\n", true, false, false, ANSWER_CONTENT, 1, 3, 0},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n", true, true, false, ANSWER_FINISHED, 1, 1, 0},
	{"data:[DONE]  \r\n\r\n", true, true, false, ANSWER_FINISHED, 0, 0, 0},
	{"data: [DONE]", true, true, false, ANSWER_FINISHED, 0, 0, 0},
	{"data: [DON", true, false, false, ANSWER_STARTED, 0, 0, 0},
	{"data: [DON\n\n", true, false, true, ANSWER_STARTED, 0, 0, 0},
	{"data: [DONE]x\n\n", true, false, true, ANSWER_STARTED, 0, 0, 0},
	{"data: [DO\ndata: NE]\n\n", true, false, true, ANSWER_STARTED, 0, 0, 0},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}\n\n", true, false, true, ANSWER_CONTENT, 1, 1, 0},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}", true, false, false, ANSWER_CONTENT, 1, 1, 0},
	{"data: hello\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", true, false, true, ANSWER_CONTENT, 1, 1, 0},
	{"data: {}{}\n\n", true, false, true, ANSWER_STARTED, 0, 0, 0},
	{"{\"error\": {\n\"code\": 500}}\n", true, false, true, ANSWER_NOTHING, 0, 0, 0},
	{"data: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n", true, true, false, ANSWER_ERROR, 0, 0, 0},
	{"event: error\ndata: {\"error\":\"x\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", true, false, false, ANSWER_ERROR, 1, 1, 0},
	{"data: {\"error\":null,\"choices\":[]}\n\ndata: {\"error\":false}\n\ndata: {\"error\":0}\n\ndata: {\"error\":\"\"}\n\n", true, false, false,
		ANSWER_STARTED, 0, 0, 0},
	{"data: {\"error\":1}\n\n", true, false, false, ANSWER_ERROR, 0, 0, 0},
	{"\xef\xbb\xbf"
	 "data: {\"choices\":[{\"delta\":\ndata:{\"content\":\"x\"}}]}\n\n",
		true, false, false, ANSWER_CONTENT, 1, 1, 0},
	{"data: {\"choices\":[{\"delta\":{\"content\":\"x\ndata: y\"}}]}\n\n", true, false, true, ANSWER_STARTED, 1, 0, 0},
	{"{\"choices\":[{\"message\":{\"content\":\"hello\",\"reasoning_content\":\"hm\"}}]}\n", false, true, false, ANSWER_FINISHED, 1, 5, 2},
	{"{\"choices\":[{\"message\":{\"content\":\"hello\"", false, false, false, ANSWER_CONTENT, 1, 5, 0},
	{"{\"error\":{\"code\":502}}", false, true, false, ANSWER_ERROR, 0, 0, 0},
	{"[{\"error\":{\"code\":502}}]", false, false, true, ANSWER_NOTHING, 0, 0, 0},
	{"<html>", false, false, true, ANSWER_NOTHING, 0, 0, 0},
	{"{}x", false, true, true, ANSWER_FINISHED, 0, 0, 0},
	{"", false, false, false, ANSWER_NOTHING, 0, 0, 0},
};

static void
the_kind_of_answer_is_seen(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		for (int hide = 0; hide < 2; hide++) {
			struct span in = {answers[i].in, strlen(answers[i].in)};
			struct run *r = run_every_way(in, answers[i].streamed, hide);
			const struct meter *m = &r->meter;
			if (m->answer != answers[i].answer || m->finished != answers[i].finished || m->malformed != answers[i].malformed)
				print_error("row %zu: answer %d, finished %d, malformed %d\n", i, m->answer, m->finished, m->malformed);
			assert_int_equal(m->answer, answers[i].answer);
			assert_int_equal(m->finished, answers[i].finished);
			assert_int_equal(m->malformed, answers[i].malformed);
			assert_int_equal(m->events, answers[i].events);
			assert_int_equal(m->content_bytes, answers[i].content);
			assert_int_equal(m->reasoning_bytes, answers[i].reasoning);
			assert_int_equal(r->out_len, in.len);
			assert_memory_equal(r->out, in.at, in.len);
			free(r);
		}
}

/* ---- hiding ---- */

#define CHUNK "{\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]"

static const struct {
	const char *in, *out;
} hidings[] = {
	/* the usage chunk, in all line ends */
	{"data: " CHUNK "}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n", "data: " CHUNK "}\n\ndata: [DONE]\n\n"},
	{"data: {\"choices\":[],\"usage\":{}}\r\n\r\ndata: [DONE]\r\n\r\n", "data: [DONE]\r\n\r\n"},
	{"data: {\"choices\":[],\"usage\":{}}\r\rdata: [DONE]\r\r", "data: [DONE]\r\r"},
	{"data: {\"usage\":{}}\n\n", ""},
	{"data: {\"usage\":{}}\n", ""},
	{"data: {\"usage\":{}}", ""},
	{"event: x\nid: 1\ndata: {\"usage\":\ndata: {}}\n\n\n", "\n"},
	{"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"moderation\":{}}\n\n", "data: {\"choices\":[],\"moderation\":{}}\n\n"},
	{": keep\n: alive\ndata: {\"usage\":{}}\n\n: ping\n\n", ": keep\n: alive\n: ping\n\n"},
	{"data: {\"usage\":{}}\r\n\r\n: ping\r\n\r\n", ": ping\r\n\r\n"},
	{"\r\n\r\ndata: {\"usage\":{}}\r\n\r\n\r\n", "\r\n\r\n\r\n"},
	/* members, with one comma */
	{"data: " CHUNK ",\"usage\":null}\n\n", "data: " CHUNK "}\n\n"},
	{"data: " CHUNK ",\"usage\":null,\"obfuscation\":\"x\"}\n\n", "data: " CHUNK ",\"obfuscation\":\"x\"}\n\n"},
	{"data: " CHUNK " , \"us\\u0061ge\" : null }\n\n", "data: " CHUNK "  }\n\n"},
	{"data: {\"usage\":null,\"choices\":[]}\n\n", "data: {\"choices\":[]}\n\n"},
	{"data: { \"usage\":null , \"choices\":[]}\n\n", "data: {  \"choices\":[]}\n\n"},
	{"data: {\"usage\":null}\n\n", "data: {}\n\n"},
	{"data: {\"usage\":null,\"usage\":null}\n\n", "data: {}\n\n"},
	{"data: {\"usage\":null,\"usage\":null,\"a\":1}\n\n", "data: {\"a\":1}\n\n"},
	{"data: {\"usage\":null,\"a\":1,\"usage\":null,\"usage\":null,\"b\":2}\n\n", "data: {\"a\":1,\"b\":2}\n\n"},
	{"data: " CHUNK ",\"usage\":{\"prompt_tokens\":1,\"a\":[{}]}}\n\n", "data: " CHUNK "}\n\n"},
	{"data: {\"usage\":{\"prompt_tokens\":1},\"choices\":[{}]}\n\n", "data: {\"choices\":[{}]}\n\n"},
	{"data: {\"error\":{\"code\":1},\"usage\":{}}\n\n", "data: {\"error\":{\"code\":1}}\n\n"},
	{"data: {\"choices\":[{}],\ndata: \"usage\":null}\n\n", "data: {\"choices\":[{}]}\n\n"},
	/* what is not ours to hide */
	{"data: {\"usage\":{}}\n{\"error\":1}\n\n", "data: {\"usage\":{}}\n{\"error\":1}\n\n"},
	{"data: {\"usage\":\n{\"error\":1}\ndata: {}}\n\n", "data: {\"usage\":\n{\"error\":1}\ndata: {}}\n\n"},
	{"data: {\"choices\":[{\"usage\":{\"prompt_tokens\":1}}]}\n\n", "data: {\"choices\":[{\"usage\":{\"prompt_tokens\":1}}]}\n\n"},
	{"data: {\"x_groq\":{\"usage\":null}}\n\n", "data: {\"x_groq\":{\"usage\":null}}\n\n"},
	{"data: {\"usage\":7,\"x\":\"\\\"usage\\\":null\"}\n\n", "data: {\"usage\":7,\"x\":\"\\\"usage\\\":null\"}\n\n"},
	{"data: {\"usage\":{}}}\n\n", "data: {\"usage\":{}}}\n\n"},
	{"data: {\"usage\":null\n\n", "data: {\"usage\":null\n\n"},
	{"data: {\"usage\":nul", "data: {\"usage\":nul"},
	{"event: usage\n\nretry: 1\n\n", "event: usage\n\nretry: 1\n\n"},
};

static void
our_usage_is_hidden_and_nothing_else(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(hidings); i++) {
		struct span in = {hidings[i].in, strlen(hidings[i].in)};
		struct run *r = run_every_way(in, true, true), *open = run_every_way(in, true, false);
		r->out[r->out_len] = 0;
		if (strcmp(r->out, hidings[i].out))
			print_error("row %zu\n", i);
		assert_string_equal(r->out, hidings[i].out);
		assert_memory_equal(&r->meter.usage, &open->meter.usage, sizeof r->meter.usage);
		assert_int_equal(open->out_len, in.len);
		free(r);
		free(open);
	}
}

static void
comments_do_not_wait_for_an_event(void **state)
{
	struct meter m;
	struct span spans[METER_SPANS_MAX];
	size_t count;
	meter_init(&m, ENDPOINT_CHAT_COMPLETIONS, true, true);
	assert_int_equal(meter_feed(&m, ": keep-alive\n", 13, false, spans, &count), 13);
	assert_int_equal(count, 1);
	assert_int_equal(spans[0].len, 13);
	assert_int_equal(meter_feed(&m, "data: {", 7, false, spans, &count), 0);
	assert_int_equal(count, 0);
}

static void
many_events_in_one_call_settle_in_several(void **state)
{
	enum { EVENTS = 500 };
	static const char event[] = "data: {\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null,\"a\":1}\n\n",
					  clean[] = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"a\":1}\n\n";
	struct span in = {NULL, EVENTS * (sizeof event - 1)};
	char *bytes = malloc(in.len);
	for (size_t i = 0; i < EVENTS; i++)
		memcpy(bytes + i * (sizeof event - 1), event, sizeof event - 1);
	in.at = bytes;
	struct run *r = malloc(sizeof *r);
	for (size_t step = 100; step <= in.len; step *= 3) {
		run_meter(r, in, step, true, true);
		assert_int_equal(r->meter.events, EVENTS);
		assert_int_equal(r->out_len, EVENTS * (sizeof clean - 1));
		for (size_t i = 0; i < EVENTS; i++)
			assert_memory_equal(r->out + i * (sizeof clean - 1), clean, sizeof clean - 1);
	}
	free(r);
	free(bytes);
}

/* An event that is larger than what is held back passes as it is, in time, and is still metered. */
static void
a_huge_event_is_not_held_back(void **state)
{
	static const size_t sizes[] = {METER_HOLD_MAX - 60, METER_HOLD_MAX + 60, 3 * METER_HOLD_MAX};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		bool small = sizes[i] < METER_HOLD_MAX;
		struct span in = {NULL, sizes[i]};
		char *bytes = malloc(sizes[i]);
		static const char head[] = "data: {\"choices\":[{\"delta\":{\"content\":\"", tail[] = "\"}}],\"usage\":null}\n\n";
		memset(bytes, 'x', sizes[i]);
		memcpy(bytes, head, sizeof head - 1);
		memcpy(bytes + sizes[i] - (sizeof tail - 1), tail, sizeof tail - 1);
		in.at = bytes;
		struct run *r = malloc(sizeof *r);
		for (size_t step = 4096; step <= 4 * METER_HOLD_MAX; step *= 4) {
			run_meter(r, in, step, true, true);
			assert_int_equal(r->out_len, small ? sizes[i] - strlen(",\"usage\":null") : sizes[i]);
			assert_int_equal(r->meter.content_bytes, sizes[i] - (sizeof head - 1) - (sizeof tail - 1));
			assert_true(r->held_most <= METER_HOLD_MAX);
		}
		free(r);
		free(bytes);
	}
}

#define WORDS(content, after) "data: {\"id\":\"c1\",\"service_tier\":\"flex\",\"choices\":[{\"delta\":{\"content\":\"" content "\"}}]" after "}\n\n"
#define FILLED(content, filler) WORDS(content, ",\"usage\":null,\"obfuscation\":\"" filler "\"")

/* What an event means that says what the one before said: the same, with the length of its own words. */
static const struct {
	const char *in;
	uint32_t echoes; /* when it comes whole */
	uint64_t events, content, reasoning;
	const char *out;
} echoes[] = {
	{WORDS("ab", "") WORDS("c", "") WORDS("", "") WORDS("\\n\\u00e9\\\"", ""), 3, 4, 13, 0,
		WORDS("ab", "") WORDS("c", "") WORDS("", "") WORDS("\\n\\u00e9\\\"", "")},
	{FILLED("ab", "x") FILLED("longer than sixteen bytes", "xyzxyzxyzxyzxyzxyzxyz") FILLED("", ""), 2, 3, 27, 0,
		WORDS("ab", ",\"obfuscation\":\"x\"") WORDS("longer than sixteen bytes", ",\"obfuscation\":\"xyzxyzxyzxyzxyzxyzxyz\"")
			WORDS("", ",\"obfuscation\":\"\"")},
	/* what is cut may stand first, and twice */
	{"data: {\"usage\":null,\"choices\":[{\"text\":\"a\"}],\"usage\":null}\n\ndata: {\"usage\":null,\"choices\":[{\"text\":\"bcd\"}],\"usage\":null}\n\n", 1, 2, 4, 0,
		"data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"bcd\"}]}\n\n"},
	/* usage counts each time, and with it what came before it */
	{WORDS("a", ",\"x_groq\":{\"usage\":{\"total_tokens\":3}}") WORDS("bc", ",\"x_groq\":{\"usage\":{\"total_tokens\":3}}"), 0, 2, 3, 0,
		WORDS("a", ",\"x_groq\":{\"usage\":{\"total_tokens\":3}}") WORDS("bc", ",\"x_groq\":{\"usage\":{\"total_tokens\":3}}")},
	{WORDS("a", "") WORDS("a", ",\"usage\":{\"total_tokens\":3}") WORDS("b", ",\"usage\":{\"total_tokens\":3}") WORDS("c", ""), 0, 4, 4, 0,
		WORDS("a", "") WORDS("a", "") WORDS("b", "") WORDS("c", "")},
	/* other lines and other ends of lines; a comment belongs to nothing */
	{"event: x\r\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"ab\",\"content\":null}}]}\r\n\r\n"
	 ": still here\r\n\r\n"
	 "event: x\r\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"abc\",\"content\":null}}]}\r\n\r\ndata: [DONE]\n\n",
		1, 2, 0, 5,
		"event: x\r\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"ab\",\"content\":null}}]}\r\n\r\n"
		": still here\r\n\r\n"
		"event: x\r\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"abc\",\"content\":null}}]}\r\n\r\ndata: [DONE]\n\n"},
	/* a byte order mark belongs to the stream's begin */
	{"\xef\xbb\xbf" "data: {\"choices\":[{\"text\":\"a\"}]}\n\n\xef\xbb\xbf" "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", 0, 1, 1, 0,
		"\xef\xbb\xbf" "data: {\"choices\":[{\"text\":\"a\"}]}\n\n\xef\xbb\xbf" "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"},
	/* a lone CR may have an LF behind it */
	{"data: {\"choices\":[{\"text\":\"a\"}]}\r\rdata: {\"choices\":[{\"text\":\"a\"}]}\r\r\ndata: {}\n\n", 0, 2, 2, 0,
		"data: {\"choices\":[{\"text\":\"a\"}]}\r\rdata: {\"choices\":[{\"text\":\"a\"}]}\r\r\ndata: {}\n\n"},
	/* more words in one event than are remembered */
	{"data: {\"choices\":[{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"}]}\n\n"
	 "data: {\"choices\":[{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"}]}\n\n",
		0, 2, 10, 0,
		"data: {\"choices\":[{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"}]}\n\n"
		"data: {\"choices\":[{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"},{\"text\":\"a\"}]}\n\n"},
};

static void
an_event_like_the_one_before_counts_as_that_did(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(echoes); i++) {
		struct span in = {echoes[i].in, strlen(echoes[i].in)};
		struct run *r = run_every_way(in, true, true), *open = run_every_way(in, true, false);
		assert_int_equal(r->meter.echoes, echoes[i].echoes);
		assert_int_equal(r->meter.events, echoes[i].events);
		assert_int_equal(r->meter.content_bytes, echoes[i].content);
		assert_int_equal(r->meter.reasoning_bytes, echoes[i].reasoning);
		assert_int_equal(r->out_len, strlen(echoes[i].out));
		assert_memory_equal(r->out, echoes[i].out, r->out_len);
		assert_int_equal(open->meter.echoes, echoes[i].echoes);
		assert_int_equal(open->meter.content_bytes, echoes[i].content);
		assert_false(r->meter.malformed || open->meter.malformed);
		free(r);
		free(open);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_is_taken_apart_into_disjoint_kinds),
		cmocka_unit_test(usage_that_tells_nothing_is_none_and_absurd),
		cmocka_unit_test(no_usage_is_none),
		cmocka_unit_test(server_tools_are_counted),
		cmocka_unit_test(the_kind_of_answer_is_seen),
		cmocka_unit_test(our_usage_is_hidden_and_nothing_else),
		cmocka_unit_test(comments_do_not_wait_for_an_event),
		cmocka_unit_test(many_events_in_one_call_settle_in_several),
		cmocka_unit_test(a_huge_event_is_not_held_back),
		cmocka_unit_test(an_event_like_the_one_before_counts_as_that_did),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
