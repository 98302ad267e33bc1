/* The meter against recorded answers of providers: the sums that it finds are those that the bodies themselves name. */
#include "dialect/meter.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *
corpus(void)
{
	const char *given = getenv("LETHE_CORPUS");
	return given ? given : getenv("LETHE_CORPUS_DEFAULT");
}

/* The file's bytes, ended with a zero, or NULL. The caller frees them. */
static char *
read_file(const char *name, size_t *ret_len)
{
	char path[4096];
	if (!corpus() || snprintf(path, sizeof path, "%s/%s", corpus(), name) >= (int)sizeof path)
		return NULL;
	FILE *f = fopen(path, "rb");
	if (!f)
		return NULL;
	char *bytes = malloc(8 << 20);
	*ret_len = fread(bytes, 1, (8 << 20) - 1, f);
	bytes[*ret_len] = 0;
	assert_true(feof(f));
	fclose(f);
	return bytes;
}

static uint64_t
number(const json_t *usage, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(usage, key));
}

static uint64_t
sum(const struct usage *u, enum token_kind from, enum token_kind to)
{
	uint64_t n = 0;
	for (enum token_kind k = from; k <= to; k++)
		n += u->tokens[k];
	return n;
}

static void
assert_sums(const struct usage *u, const json_t *usage)
{
	uint64_t p = number(usage, "prompt_tokens"), c = number(usage, "completion_tokens"), t = number(usage, "total_tokens");
	assert_int_equal(u->flags, USAGE_REPORTED);
	assert_int_equal(sum(u, TOKEN_input, TOKEN_image_in), p);
	assert_int_equal(sum(u, TOKEN_output, TOKEN_image_out), t > p + c ? t - p : c);
	const json_t *in = json_object_get(usage, "prompt_tokens_details"), *out = json_object_get(usage, "completion_tokens_details");
	if (json_object_get(in, "cached_tokens"))
		assert_int_equal(u->tokens[TOKEN_cached], number(in, "cached_tokens"));
	assert_int_equal(u->tokens[TOKEN_reasoning], number(out, "reasoning_tokens"));
	assert_int_equal(u->tokens[TOKEN_cache_write], number(in, "cache_write_tokens"));
}

/* Feed in pieces; what comes out goes to `out` (as large as the input), its length is returned. */
static size_t
meter(struct meter *m, struct span in, size_t step, bool streamed, bool hide, char *out)
{
	size_t settled = 0, given = 0, n = 0;
	meter_init(m, ENDPOINT_CHAT_COMPLETIONS, streamed, hide);
	while (settled < in.len || given < in.len) {
		struct span spans[METER_SPANS_MAX];
		size_t count;
		given = given + step < in.len ? given + step : in.len;
		settled += meter_feed(m, in.at + settled, given - settled, given == in.len, spans, &count);
		for (size_t i = 0; i < count; i++) {
			memcpy(out + n, spans[i].at, spans[i].len);
			n += spans[i].len;
		}
	}
	return n;
}

/* The last usage of a line-by-line recording, wherever it stands; a new reference. */
static json_t *
last_usage(const char *lines)
{
	json_t *last = NULL;
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		json_t *chunk = json_loadb(lines, len, 0, NULL), *usage = json_object_get(chunk, "usage");
		if (json_is_object(usage)) {
			json_decref(last);
			last = json_incref(usage);
		}
		json_decref(chunk);
		lines += len + (lines[len] == '\n');
	}
	return last;
}

/* A recording has one payload a line: put it on the wire again, with the line end given. */
static struct span
as_stream(const char *lines, const char *eol)
{
	char *out = malloc(2 * strlen(lines) + 4096);
	size_t n = 0;
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		if (len)
			n += (size_t)sprintf(out + n, "data: %.*s%s%s", (int)len, lines, eol, eol);
		lines += len + (lines[len] == '\n');
	}
	n += (size_t)sprintf(out + n, "data: [DONE]%s%s", eol, eol);
	return (struct span){out, n};
}

/*
 * What the client gets when usage is hidden: the same chunks as JSON, less usage, less the chunk that is
 * nothing but usage.
 */
static void
assert_hidden(const char *lines, struct span hidden)
{
	const char *p = hidden.at;
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		json_t *chunk = json_loadb(lines, len, 0, NULL);
		lines += len + (lines[len] == '\n');
		if (!chunk)
			continue;
		bool only_usage = json_is_object(json_object_get(chunk, "usage")) && json_array_size(json_object_get(chunk, "choices")) == 0;
		json_object_del(chunk, "usage");
		if (!only_usage) {
			assert_memory_equal(p, "data: ", 6);
			size_t got = strcspn(p, "\r\n");
			json_t *there = json_loadb(p + 6, got - 6, 0, NULL);
			assert_true(json_equal(chunk, there));
			json_decref(there);
			p += got + (p[got] == '\r' ? 4 : 2);
		}
		json_decref(chunk);
	}
	assert_memory_equal(p, "data: [DONE]", 12);
}

static const char *const streams[] = {
	"vercel-ai/openai/chat/openai-text.chunks.txt",
	"vercel-ai/openai/chat/azure-model-router.1.chunks.txt",
	"vercel-ai/openai-compatible/chat/xai-text.chunks.txt",
	"vercel-ai/openai-compatible/chat/xai-tool-call.chunks.txt",
	"vercel-ai/xai/xai-text.chunks.txt",
	"vercel-ai/xai/xai-tool-call.chunks.txt",
	"vercel-ai/deepseek/chat/deepseek-text.chunks.txt",
	"vercel-ai/deepseek/chat/deepseek-reasoning.chunks.txt",
	"vercel-ai/deepseek/chat/deepseek-tool-call.chunks.txt",
	"vercel-ai/groq/groq-text.chunks.txt",
	"vercel-ai/groq/groq-reasoning.chunks.txt",
	"vercel-ai/groq/groq-tool-call.chunks.txt",
	"vercel-ai/mistral/mistral-text.chunks.txt",
	"vercel-ai/mistral/mistral-reasoning.chunks.txt",
	"vercel-ai/mistral/mistral-tool-call.chunks.txt",
	"vercel-ai/mistral/mistral-incremental-tool-call.chunks.txt",
	"vercel-ai/azure/azure-deepseek-reasoning.1.chunks.txt",
};

static void
check_stream(const char *lines, struct span in, size_t step)
{
	struct meter m;
	char *out = malloc(in.len + 1);
	json_t *usage = last_usage(lines);
	assert_int_equal(meter(&m, in, step, true, false, out), in.len);
	assert_memory_equal(out, in.at, in.len);
	assert_true(m.finished && !m.malformed && m.answer == ANSWER_FINISHED && m.content_bytes + m.reasoning_bytes > 0);
	if (usage)
		assert_sums(&m.usage, usage);
	size_t n = meter(&m, in, step, true, true, out);
	out[n] = 0;
	if (usage)
		assert_sums(&m.usage, usage);
	assert_hidden(lines, (struct span){out, n});
	json_decref(usage);
	free(out);
}

static void
recorded_streams_are_metered(void **state)
{
	size_t found = 0;
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		size_t len;
		char *lines = read_file(streams[i], &len);
		if (!lines)
			continue;
		found++;
		for (int crlf = 0; crlf < 2; crlf++) {
			struct span in = as_stream(lines, crlf ? "\r\n" : "\n");
			check_stream(lines, in, 1);
			check_stream(lines, in, 1000);
			check_stream(lines, in, in.len);
			free((char *)in.at);
		}
		free(lines);
	}
	if (!found)
		skip();
	assert_int_equal(found, ARRAY_LEN(streams));
}

static const char *const bodies[] = {
	"vercel-ai/openai/chat/openai-text.json",
	"vercel-ai/openai-compatible/chat/xai-text.json",
	"vercel-ai/openai-compatible/chat/xai-tool-call.json",
	"vercel-ai/xai/xai-text.json",
	"vercel-ai/xai/xai-tool-call.json",
	"vercel-ai/deepseek/chat/deepseek-text.json",
	"vercel-ai/deepseek/chat/deepseek-json.json",
	"vercel-ai/deepseek/chat/deepseek-reasoning.json",
	"vercel-ai/deepseek/chat/deepseek-tool-call.json",
	"vercel-ai/groq/groq-text.json",
	"vercel-ai/groq/groq-reasoning.json",
	"vercel-ai/groq/groq-tool-call.json",
	"vercel-ai/mistral/mistral-text.json",
	"vercel-ai/mistral/mistral-reasoning.json",
	"vercel-ai/mistral/mistral-tool-call.json",
	"vercel-ai/azure/azure-deepseek-reasoning.1.json",
};

static void
recorded_answers_are_metered(void **state)
{
	size_t found = 0;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct span in = {NULL, 0};
		char *bytes = read_file(bodies[i], &in.len);
		if (!bytes)
			continue;
		found++;
		in.at = bytes;
		json_t *body = json_loadb(bytes, in.len, 0, NULL);
		assert_non_null(body);
		char *out = malloc(in.len);
		for (size_t step = 1; step < 2 * in.len; step = step * 7 + 1) {
			struct meter m;
			assert_int_equal(meter(&m, in, step, false, false, out), in.len);
			assert_true(m.finished && !m.malformed && m.answer == ANSWER_FINISHED);
			if (json_is_object(json_object_get(body, "usage")))
				assert_sums(&m.usage, json_object_get(body, "usage"));
		}
		free(out);
		json_decref(body);
		free(bytes);
	}
	if (!found)
		skip();
	assert_int_equal(found, ARRAY_LEN(bodies));
}

static void
recorded_usages_add_up(void **state)
{
	size_t len, checked = 0, i;
	char *bytes = read_file("genai-prices/usages.json", &len);
	if (!bytes)
		skip();
	json_t *all = json_loadb(bytes, len, 0, NULL), *entry;
	json_array_foreach(all, i, entry)
	{
		json_t *body = json_object_get(entry, "body"), *usage = json_object_get(body, "usage");
		if (!json_object_get(usage, "prompt_tokens"))
			continue;
		char *text = json_dumps(body, JSON_COMPACT), *out = malloc(strlen(text));
		struct meter m;
		meter(&m, (struct span){text, strlen(text)}, 64, false, false, out);
		assert_sums(&m.usage, usage);
		checked++;
		free(out);
		free(text);
	}
	assert_true(checked > 100);
	json_decref(all);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_streams_are_metered),
		cmocka_unit_test(recorded_answers_are_metered),
		cmocka_unit_test(recorded_usages_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
