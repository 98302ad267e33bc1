/*
 * Answers of each language into each other: what a reader of the caller's language understands of them, in every split of the provider's stream and
 * with rooms of a few bytes. The readers here know nothing of the code that they read after.
 */
#include "dialect/translate.h"
#include "dialect/translate_answer_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a translation ---- */

enum { OUT_MAX = 1 << 19,
	ROOM = 7 };

struct run {
	struct sink sink; /* rooms of a few bytes: what was written is taken over each time */
	char *all;
	size_t len;
	char room[ROOM];
	enum translate_result result;
	uint16_t status;
	char error[256];
	size_t kept, kept_most, keep_limit;
};

static bool
grow(struct sink *s)
{
	struct run *r = container_of(s, struct run, sink);
	if (r->len + s->len > OUT_MAX)
		return false;
	if (s->len)
		memcpy(r->all + r->len, s->at, s->len);
	r->len += s->len;
	*s = (struct sink){.grow = grow, .at = r->room, .cap = sizeof r->room};
	return true;
}

static void *
keep(void *owner, size_t bytes)
{
	struct run *r = owner;
	if (r->kept + bytes > r->keep_limit)
		return NULL;
	r->kept += bytes;
	r->kept_most = r->kept > r->kept_most ? r->kept : r->kept_most;
	return malloc(bytes);
}

static void
drop(void *owner, void *at, size_t bytes)
{
	struct run *r = owner;
	r->kept -= bytes;
	free(at);
}

static struct translate_answer_facts
facts_of(enum language from, enum language to, bool streamed)
{
	return (struct translate_answer_facts){.from = from, .to = to, .model = SPAN("alias"), .id = SPAN("req1"), .now_s = 1700000000, .streamed = streamed, .include_usage = true, .show_reasoning = true};
}

static void
feed(struct translation *t, struct run *r, const char *in, size_t len, size_t step)
{
	size_t done = 0, given = 0, used;
	do {
		given = given + step < len ? given + step : len;
		char *piece = malloc(given - done + 1);
		memcpy(piece, in + done, given - done);
		r->result = translate_stream(t, piece, given - done, given == len, &r->sink, &used);
		assert_true(used <= given - done);
		done += used;
		if (r->result == TRANSLATE_ERROR)
			snprintf(r->error, sizeof r->error, "%.*s", (int)t->error_text.len, t->error_text.at);
		free(piece);
	} while (r->result == TRANSLATE_MORE && given < len);
}

static void
whole(struct translation *t, struct run *r, const char *in, size_t len, size_t step)
{
	struct span *pieces = calloc(len / step + 1, sizeof *pieces);
	uint32_t count = 0;
	for (size_t at = 0; at < len; at += step)
		pieces[count++] = (struct span){in + at, len - at < step ? len - at : step};
	struct json_source s = json_source(pieces, count);
	r->result = translate_answer(t, &s, &r->sink);
	if (r->result == TRANSLATE_ERROR)
		snprintf(r->error, sizeof r->error, "%.*s", (int)t->error_text.len, t->error_text.at);
	free(pieces);
}

static struct run
translated(const struct translate_answer_facts *facts, const char *in, size_t len, size_t step)
{
	struct run r = {.sink.grow = grow, .all = malloc(OUT_MAX + 1), .keep_limit = SIZE_MAX};
	struct translation *t = calloc(1, sizeof *t);
	*t = (struct translation){.keep = keep, .drop = drop, .owner = &r};
	translation_begin(t, facts);
	if (facts->streamed)
		feed(t, &r, in, len, step);
	else
		whole(t, &r, in, len, step);
	assert_true(grow(&r.sink));
	r.all[r.len] = 0;
	r.status = t->error_status;
	translation_end(t);
	translation_end(t);
	assert_int_equal(r.kept, 0);
	free(t);
	return r;
}

#include "dialect/translate_answer_cells.inc"

static const enum read_language readers[LANGUAGE_COUNT] = {
	[LANGUAGE_CHAT] = READ_CHAT,
	[LANGUAGE_RESPONSES] = READ_RESPONSES,
	[LANGUAGE_MESSAGES] = READ_MESSAGES,
	[LANGUAGE_GEMINI] = READ_GEMINI,
};

static void
check_says(const struct cell *c, enum language to, struct run *r)
{
	char digest[2048];
	if (r->result != TRANSLATE_END)
		fail_msg("%s, %d to %d, %s: result %d", c->name, c->from, to, c->streamed ? "streamed" : "plain", r->result);
	if (strstr(c->body, "1.50")) /* a number is never read as one */
		assert_non_null(strstr(r->all, "1.50"));
	read_answer(readers[to], c->streamed, r->all, digest, sizeof digest);
	if (strcmp(digest, c->says[to]) != 0)
		fail_msg("%s, %d to %d, %s, says: %s\nand not: %s", c->name, c->from, to, c->streamed ? "streamed" : "plain", digest, c->says[to]);
}

static void
check_fails(const struct cell *c, enum language to, const struct run *r)
{
	static const char *const ends[] = {"[DONE]", "message_stop", "finishReason", "response.completed", "finish_reason\":\"", "response.incomplete"};
	if (r->result != c->result)
		fail_msg("%s, %d to %d: result %d", c->name, c->from, to, r->result);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		assert_null(strstr(r->all, ends[i]));
	if (c->result == TRANSLATE_ERROR) {
		assert_int_equal(r->status, c->status);
		assert_string_equal(r->error, c->error);
	}
}

static void
check_cell(const struct cell *c, enum language to)
{
	struct translate_answer_facts facts = facts_of(c->from, to, c->streamed);
	size_t len = strlen(c->body);
	struct run r = translated(&facts, c->body, len, len);
	for (size_t step = 1; step < len; step += step < 64 ? 1 : 61) {
		struct run split = translated(&facts, c->body, len, step);
		if (split.len != r.len || memcmp(split.all, r.all, r.len) != 0 || split.result != r.result || strcmp(split.error, r.error) != 0)
			fail_msg("%s, %d to %d, in pieces of %zu: %s\nand not %s", c->name, c->from, to, step, split.all, r.all);
		free(split.all);
	}
	if (c->result == TRANSLATE_MORE)
		check_says(c, to, &r);
	else
		check_fails(c, to, &r);
	free(r.all);
}

static void
every_pair_says_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		for (enum language to = LANGUAGE_CHAT; to < LANGUAGE_COUNT; to++)
			if (to != cells[i].from)
				check_cell(&cells[i], to);
}

/* ---- what no table holds ---- */

static void
usage_is_not_told_to_who_did_not_ask(void **state)
{
	struct translate_answer_facts facts = facts_of(LANGUAGE_MESSAGES, LANGUAGE_CHAT, true);
	(void)state;
	facts.include_usage = false;
	struct run r = translated(&facts, messages_text, strlen(messages_text), 11);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_null(strstr(r.all, "usage"));
	assert_non_null(strstr(r.all, "data: [DONE]\n\n"));
	free(r.all);
}

static void
reasoning_is_not_shown_to_who_may_not_see_it(void **state)
{
	struct translate_answer_facts facts = facts_of(LANGUAGE_MESSAGES, LANGUAGE_CHAT, true);
	(void)state;
	facts.show_reasoning = false;
	struct run r = translated(&facts, messages_think, strlen(messages_think), 11);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_null(strstr(r.all, "hmm"));
	free(r.all);
}

static void
a_gemini_caller_without_sse_gets_one_array(void **state)
{
	struct translate_answer_facts facts = facts_of(LANGUAGE_MESSAGES, LANGUAGE_GEMINI, true);
	(void)state;
	facts.as_array = true;
	struct run r = translated(&facts, messages_text, strlen(messages_text), 11);
	char digest[512];
	assert_true(read_array(r.all, digest, sizeof digest) >= 2);
	assert_string_equal(digest, "text<Hel\"lo> STOP in=20 cached=5 out=9 ");
	free(r.all);
}

static void
choices_keep_their_index(void **state)
{
	static const char chunks[] = "data: {\"id\":\"c1\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"B\"},\"finish_reason\":\"length\"}]}\n\n"
								 "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
	static const char candidates[] = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"A\"}]},\"finishReason\":\"STOP\"},"
									 "{\"index\":1,\"content\":{\"parts\":[{\"text\":\"B\"}]},\"finishReason\":\"MAX_TOKENS\"}]}";
	struct translate_answer_facts facts = facts_of(LANGUAGE_CHAT, LANGUAGE_GEMINI, true);
	(void)state;
	struct run r = translated(&facts, chunks, sizeof chunks - 1, 9);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_non_null(strstr(r.all, "{\"content\":{\"parts\":[{\"text\":\"B\"}],\"role\":\"model\"},\"index\":1}"));
	assert_non_null(strstr(r.all, "\"finishReason\":\"STOP\",\"index\":0}"));
	assert_non_null(strstr(r.all, "\"finishReason\":\"MAX_TOKENS\",\"index\":1}"));
	free(r.all);
	facts = facts_of(LANGUAGE_GEMINI, LANGUAGE_CHAT, false);
	r = translated(&facts, candidates, sizeof candidates - 1, 9);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_non_null(strstr(r.all, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A\""));
	assert_non_null(strstr(r.all, "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"B\""));
	assert_non_null(strstr(r.all, "\"finish_reason\":\"length\"}]"));
	free(r.all);
}

/* Text alone, in the form that the oldest of OpenAI's SDKs read. */
static void
the_old_completions_are_told_text_alone(void **state)
{
#define HEAD "{\"id\":\"cmpl-msg_1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"alias\",\"choices\":["
#define CHOICE(text, finish) "{\"text\":\"" text "\",\"index\":0,\"logprobs\":null,\"finish_reason\":" finish "}]"
#define USED \
	",\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":9,\"total_tokens\":29,\"prompt_tokens_details\":{\"cached_tokens\":5,\"cache_write_tokens\":3," \
	"\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0," \
	"\"rejected_prediction_tokens\":0}}}"
	static const char streamed[] = "data: " HEAD CHOICE("Hel", "null") ",\"usage\":null}\n\ndata: " HEAD CHOICE("\\\"lo", "null") ",\"usage\":null}\n\n"
																																  "data: " HEAD CHOICE("", "\"stop\"") ",\"usage\":null}\n\ndata: " HEAD "]" USED "\n\ndata: [DONE]\n\n";
	static const char plain[] = HEAD CHOICE("Hel\\\"lo", "\"length\"") USED;
	static const char body[] = MESSAGE_PLAIN("{\"type\":\"thinking\",\"thinking\":\"hmm\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"Hel\"},{\"type\":\"text\",\"text\":\"\\\"lo\"}", "\"max_tokens\"");
	struct translate_answer_facts facts = facts_of(LANGUAGE_MESSAGES, LANGUAGE_COMPLETIONS, true);
	(void)state;
	struct run r = translated(&facts, messages_think, strlen(messages_think), 11);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_string_equal(r.all, streamed);
	free(r.all);
	facts.include_usage = false;
	r = translated(&facts, messages_think, strlen(messages_think), 11);
	assert_null(strstr(r.all, "usage"));
	free(r.all);
	facts = facts_of(LANGUAGE_MESSAGES, LANGUAGE_COMPLETIONS, false);
	r = translated(&facts, body, sizeof body - 1, 11);
	assert_int_equal(r.result, TRANSLATE_END);
	assert_string_equal(r.all, plain);
	free(r.all);
}

/* However long the answer: nothing is kept, except towards Responses, where the end repeats it. */
static void
nothing_is_kept_that_need_not_be(void **state)
{
	enum { CHUNKS = 2000 };
	static const char chunk[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"some words \"}}]}\n\n";
	size_t len = CHUNKS * (sizeof chunk - 1);
	char *in = malloc(len + 1);
	(void)state;
	for (size_t i = 0; i < CHUNKS; i++)
		memcpy(in + i * (sizeof chunk - 1), chunk, sizeof chunk - 1);
	for (enum language to = LANGUAGE_RESPONSES; to < LANGUAGE_COUNT; to++) {
		struct translate_answer_facts facts = facts_of(LANGUAGE_CHAT, to, true);
		struct run r = {.sink.grow = grow, .all = malloc(OUT_MAX * 2), .keep_limit = to == LANGUAGE_RESPONSES ? 8 << 10 : 0};
		struct translation *t = calloc(1, sizeof *t);
		*t = (struct translation){.keep = keep, .drop = drop, .owner = &r};
		translation_begin(t, &facts);
		for (size_t done = 0; done < len && r.result == TRANSLATE_MORE; done += sizeof chunk - 1) {
			size_t used;
			r.result = translate_stream(t, in + done, sizeof chunk - 1, false, &r.sink, &used);
			assert_true(r.result != TRANSLATE_MORE || used == sizeof chunk - 1);
			r.len = 0;
		}
		assert_int_equal(r.result, to == LANGUAGE_RESPONSES ? TRANSLATE_FULL : TRANSLATE_MORE);
		translation_end(t);
		assert_int_equal(r.kept, 0);
		free(t);
		free(r.all);
	}
	free(in);
}

static void
an_event_without_end_is_refused(void **state)
{
	size_t len = TRANSLATE_EVENT_MAX + 100, used;
	char *in = malloc(len);
	struct translate_answer_facts facts = facts_of(LANGUAGE_CHAT, LANGUAGE_MESSAGES, true);
	struct run r = translated(&facts, "", 0, 1);
	(void)state;
	assert_int_equal(r.result, TRANSLATE_MALFORMED);
	struct translation *t = calloc(1, sizeof *t);
	*t = (struct translation){.keep = keep, .drop = drop, .owner = &r};
	translation_begin(t, &facts);
	memset(in, 'x', len);
	memcpy(in, "data: {\"a\":\"", 12);
	assert_int_equal(translate_stream(t, in, TRANSLATE_EVENT_MAX / 2, false, &r.sink, &used), TRANSLATE_MORE);
	assert_int_equal(used, 0);
	assert_int_equal(translate_stream(t, in, len, false, &r.sink, &used), TRANSLATE_MALFORMED);
	translation_end(t);
	free(t);
	free(in);
	free(r.all);
}

static void
a_providers_sentence_is_found_in_any_shape(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{"{\"error\":{\"message\":\"No \\\"such\\\" model\",\"type\":\"x\"}}", "No \"such\" model"},
		{"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", "Overloaded"},
		{"[{\"error\":{\"code\":400,\"message\":\"API key not valid.\",\"status\":\"INVALID_ARGUMENT\"}}]", "API key not valid."},
		{"{\"code\":\"x\",\"error\":\"Some text\"}", "Some text"},
		{"{\"object\":\"error\",\"message\":\"Flat\",\"type\":\"y\"}", "Flat"},
		{"{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\"}]}", "field required"},
		{"{\"detail\":\"Not Found\"}", "Not Found"},
		{"{\"message\":\"The model is not there\"}", "The model is not there"},
		{"{\"id\":\"1\",\"message\":\"too many tokens\"}", "too many tokens"},
		{"  upstream connect error\r\nand more", "upstream connect error"},
		{"<html><body>502</body></html>", ""},
		{"{\"error\":", ""},
		{"{\"error\":null}", ""},
		{"", ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char room[512];
		struct text t = text_on(room, sizeof room - 1);
		translate_error(rows[i].body, strlen(rows[i].body), &t);
		room[t.len] = 0;
		assert_string_equal(room, rows[i].says);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_says_the_same),
		cmocka_unit_test(usage_is_not_told_to_who_did_not_ask),
		cmocka_unit_test(reasoning_is_not_shown_to_who_may_not_see_it),
		cmocka_unit_test(a_gemini_caller_without_sse_gets_one_array),
		cmocka_unit_test(choices_keep_their_index),
		cmocka_unit_test(the_old_completions_are_told_text_alone),
		cmocka_unit_test(nothing_is_kept_that_need_not_be),
		cmocka_unit_test(an_event_without_end_is_refused),
		cmocka_unit_test(a_providers_sentence_is_found_in_any_shape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
