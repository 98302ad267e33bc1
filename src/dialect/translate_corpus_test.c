/*
 * Recorded answers of providers into every other language, and from there into a third: readers understand the same of both ways, but for what the
 * language between can't say: which tokens were written to a cache, that words were a refusal, signatures.
 */
#include "dialect/translate.h"
#include "dialect/translate_answer_read.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FILE_MAX = 8 << 20,
	OUT_MAX = 16 << 20 };

static const struct {
	const char *folder;
	enum language language;
} folders[] = {
	{"vercel-ai/openai/chat", LANGUAGE_CHAT},
	{"vercel-ai/deepseek/chat", LANGUAGE_CHAT},
	{"vercel-ai/mistral", LANGUAGE_CHAT},
	{"vercel-ai/groq", LANGUAGE_CHAT},
	{"vercel-ai/openai-compatible/chat", LANGUAGE_CHAT},
	{"vercel-ai/openai/responses", LANGUAGE_RESPONSES},
	{"vercel-ai/xai/responses", LANGUAGE_RESPONSES},
	{"vercel-ai/anthropic", LANGUAGE_MESSAGES},
	{"vercel-ai/google", LANGUAGE_GEMINI},
};

static const enum read_language readers[LANGUAGE_COUNT] = {
	[LANGUAGE_CHAT] = READ_CHAT,
	[LANGUAGE_RESPONSES] = READ_RESPONSES,
	[LANGUAGE_MESSAGES] = READ_MESSAGES,
	[LANGUAGE_GEMINI] = READ_GEMINI,
};

static bool
no_more(struct sink *s)
{
	(void)s;
	return false;
}

static void *
keep(void *owner, size_t bytes)
{
	++*(int *)owner;
	return malloc(bytes);
}

static void
drop(void *owner, void *at, size_t bytes)
{
	(void)bytes;
	--*(int *)owner;
	free(at);
}

/* ret: room for OUT_MAX and a zero */
static enum translate_result
translate(enum language from, enum language to, bool streamed, const char *in, size_t len, char *ret)
{
	static struct translation t;
	int kept = 0;
	size_t used;
	struct translate_answer_facts facts = {.from = from, .to = to, .model = SPAN("alias"), .id = SPAN("req1"), .now_s = 1, .streamed = streamed, .include_usage = true, .show_reasoning = true};
	struct sink out = {.grow = no_more, .at = ret, .cap = OUT_MAX};
	struct span piece = {in, len};
	struct json_source s = json_source(&piece, 1);
	t = (struct translation){.keep = keep, .drop = drop, .owner = &kept};
	translation_begin(&t, &facts);
	enum translate_result r = streamed ? translate_stream(&t, in, len, true, &out, &used) : translate_answer(&t, &s, &out);
	translation_end(&t);
	assert_int_equal(kept, 0);
	ret[out.len] = 0;
	return r;
}

/* Without what is lost on the way: each word that begins so, up to the next blank. */
static void
strip(char *digest, const char *word)
{
	for (char *at = digest, *end; (at = strstr(at, word)) && (end = strchr(at, ' '));)
		memmove(at, end + 1, strlen(end));
}

static void
normalise(char *digest)
{
	strip(digest, "written=");
	strip(digest, "signature(");
	strip(digest, "signed");
	for (char *at = digest; (at = strstr(at, "toolu_req1"));) /* ids of ours, where the provider gives none */
		memmove(at, "call_req1", 9), memmove(at + 9, at + 10, strlen(at + 9));
}

/* Where its words stand differs: beside the answer, in it, or in its end. */
static bool
is_refusal(const char *digest)
{
	return strstr(digest, "refusal") || strstr(digest, "SAFETY");
}

static const char *
last_of(const char *in, const char *what)
{
	const char *last = NULL;
	for (const char *at = in; (at = strstr(at, what)); at++)
		last = at;
	return last;
}

/* Thoughts, words and calls that alternate: a chat message has one place for each. */
static bool
alternates(const char *digest)
{
	const char *call = strstr(digest, "call("), *text = strstr(digest, "text<"), *last_text = last_of(digest, "text<"), *thought = last_of(digest, "think<");
	return (call && last_text > call) || (thought && ((call && thought > call) || (text && thought > text)));
}

static void
third_way(enum language between, enum language to, bool streamed, const char *name, const char *in, const char *direct)
{
	static char out[OUT_MAX + 1], digest[READ_DIGEST_MAX];
	enum translate_result r = translate(between, to, streamed, in, strlen(in), out);
	if (r == TRANSLATE_ERROR && strstr(in, "MALFORMED_FUNCTION_CALL")) /* a call that broke off, in the recording as well */
		return;
	if (r != TRANSLATE_END)
		fail_msg("%s: by %d to %d: result %d", name, between, to, r);
	read_answer(readers[to], streamed, out, digest, sizeof digest);
	normalise(digest);
	if (between == LANGUAGE_CHAT && !streamed && alternates(direct))
		return;
	if (strcmp(digest, direct) != 0 && !is_refusal(digest) && !is_refusal(direct))
		fail_msg("%s: by %d to %d: %s\nand not %s", name, between, to, digest, direct);
}

/* Returns whether it is an answer of its language that can be translated. */
static bool
check_answer(enum language from, bool streamed, const char *name, const char *in, size_t len)
{
	static char out[LANGUAGE_COUNT][OUT_MAX + 1], digest[READ_DIGEST_MAX], copy[OUT_MAX + 1];
	for (enum language to = LANGUAGE_CHAT; to < LANGUAGE_COUNT; to++)
		if (to != from && translate(from, to, streamed, in, len, out[to]) != TRANSLATE_END)
			return false;
	for (enum language to = LANGUAGE_CHAT; to < LANGUAGE_COUNT; to++) {
		if (to == from)
			continue;
		memcpy(copy, out[to], strlen(out[to]) + 1);
		read_answer(readers[to], streamed, copy, digest, sizeof digest);
		normalise(digest);
		for (enum language between = LANGUAGE_CHAT; between < LANGUAGE_COUNT; between++)
			if (between != from && between != to)
				third_way(between, to, streamed, name, out[between], digest);
	}
	return true;
}

/* One JSON text a line, into events. */
static size_t
into_events(const char *bytes, enum language of, char *ret)
{
	size_t len = 0;
	for (const char *line = bytes, *end; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (end > line)
			len += (size_t)sprintf(ret + len, "data: %.*s\n\n", (int)(end - line), line);
	}
	if (of == LANGUAGE_CHAT)
		len += (size_t)sprintf(ret + len, "data: [DONE]\n\n");
	return len;
}

static bool
check_file(const char *path, enum language of)
{
	static char bytes[FILE_MAX], events[FILE_MAX * 2];
	bool streamed = strstr(path, ".chunks.txt") != NULL;
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t len = fread(bytes, 1, sizeof bytes - 1, f);
	bytes[len] = 0;
	fclose(f);
	if (!streamed)
		return check_answer(of, false, path, bytes, len);
	len = into_events(bytes, of, events);
	return check_answer(of, true, path, events, len);
}

static void
recorded_answers_say_the_same_by_every_way(void **state)
{
	const char *corpus = getenv("LETHE_CORPUS") ? getenv("LETHE_CORPUS") : getenv("LETHE_CORPUS_DEFAULT");
	unsigned checked = 0;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folders) && corpus; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", corpus, folders[i].folder);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));) {
			if (!strstr(e->d_name, ".chunks.txt") && !strstr(e->d_name, ".json"))
				continue;
			char file[4096 + 300];
			snprintf(file, sizeof file, "%s/%s", path, e->d_name);
			checked += check_file(file, folders[i].language);
		}
		if (d)
			closedir(d);
	}
	if (!checked)
		skip();
	assert_true(checked > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_answers_say_the_same_by_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
