#include "dialect/dialect_fuzz.h"
#include "dialect/meter.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte: pieces of 1 to 32 bytes, and what the rest is. */
enum {
	STEP = 0x1f,
	GENERATED = 0x20,
	STREAMED = 0x40,
	HIDE = 0x80,
};

struct run {
	struct meter meter;
	struct span out;
};

static struct run
meter(struct span in, size_t step, bool streamed, bool hide)
{
	struct run r;
	char *out = malloc(in.len ? in.len : 1);
	size_t settled = 0, given = 0, n = 0;
	meter_init(&r.meter, ENDPOINT_CHAT_COMPLETIONS, streamed, hide);
	do {
		given = given + step < in.len ? given + step : in.len;
		size_t len = given - settled, count, took;
		struct span spans[METER_SPANS_MAX];
		char *piece = malloc(len ? len : 1);
		memcpy(piece, in.at + settled, len);
		took = meter_feed(&r.meter, piece, len, given == in.len, spans, &count);
		assert(took <= len && count <= METER_SPANS_MAX && (hide || took == len));
		for (size_t i = 0; i < count; i++) {
			assert(spans[i].len && spans[i].at >= piece && spans[i].at + spans[i].len <= piece + took);
			assert(!i || spans[i].at > spans[i - 1].at + spans[i - 1].len);
			memcpy(out + n, spans[i].at, spans[i].len);
			n += spans[i].len;
		}
		settled += took;
		free(piece);
		assert(given - settled <= METER_HOLD_MAX || given == in.len);
	} while (settled < in.len || given < in.len);
	r.out = (struct span){out, n};
	return r;
}

static void
assert_same(const struct run *a, const struct run *b)
{
	assert(!memcmp(&a->meter.usage, &b->meter.usage, sizeof a->meter.usage));
	assert(a->meter.answer == b->meter.answer && a->meter.finished == b->meter.finished && a->meter.malformed == b->meter.malformed);
	assert(a->meter.content_bytes == b->meter.content_bytes && a->meter.reasoning_bytes == b->meter.reasoning_bytes);
	assert(a->meter.content_reported == b->meter.content_reported && a->meter.reasoning_reported == b->meter.reasoning_reported);
	assert(a->meter.events == b->meter.events);
	assert(a->out.len == b->out.len && !memcmp(a->out.at, b->out.at, a->out.len));
}

static size_t
occurrences(struct span in, const char *what)
{
	size_t n = 0;
	for (const char *p = in.at, *end = in.at + in.len; (p = memmem(p, (size_t)(end - p), what, strlen(what))); p++)
		n++;
	return n;
}

/* What is left after hiding says the same but for usage, and has nothing left to hide. */
static void
check_hidden(struct span in, const struct run *hidden)
{
	struct run open = meter(in, in.len ? in.len : 1, true, false);
	assert(open.out.len == in.len && !memcmp(open.out.at, in.at, in.len));
	assert(!memcmp(&open.meter.usage, &hidden->meter.usage, sizeof open.meter.usage));
	assert(open.meter.answer == hidden->meter.answer && open.meter.malformed == hidden->meter.malformed);
	free((char *)open.out.at);
	struct run again = meter(hidden->out, hidden->out.len ? hidden->out.len : 1, true, true);
	assert(again.meter.content_bytes == hidden->meter.content_bytes && again.meter.events == hidden->meter.events);
	assert(again.meter.malformed == hidden->meter.malformed && again.meter.finished == hidden->meter.finished);
	/* More than the meter's limit of cuts may stay; a CR before what was cut may meet an LF behind it. */
	if (occurrences(in, "usage") + occurrences(in, "\\u") <= 6 && !memchr(in.at, '\r', in.len))
		assert(again.out.len == hidden->out.len);
	free((char *)again.out.at);
}

static void
check_stream_or_body(struct span in, uint8_t mode)
{
	bool streamed = mode & STREAMED, hide = mode & HIDE;
	struct run whole = meter(in, in.len ? in.len : 1, streamed, hide), pieces = meter(in, 1u + (mode & STEP), streamed, hide);
	const struct usage *u = &whole.meter.usage;
	assert_same(&whole, &pieces);
	assert(!(u->flags & ~(USAGE_REPORTED | USAGE_ABSURD)));
	assert(u->flags & USAGE_REPORTED || fuzz_sum(u, (enum token_kind)0, (enum token_kind)(TOKEN_KIND_COUNT - 1)) == 0);
	assert(fuzz_sum(u, TOKEN_input, TOKEN_image_in) <= UINT64_C(1) << 40);
	assert(fuzz_sum(u, TOKEN_output, TOKEN_image_out) <= UINT64_C(1) << 40);
	assert(whole.out.len <= in.len);
	if (streamed && hide)
		check_hidden(in, &whole);
	else
		assert(whole.out.len == in.len && !memcmp(whole.out.at, in.at, in.len));
	free((char *)whole.out.at);
	free((char *)pieces.out.at);
}

/* ---- numbers in, numbers out ---- */

/* A usage object of the input's numbers must come back as kinds that add up; its parts as they are where they fit. */
static void
check_generated(struct span in, size_t step)
{
	uint64_t limit = UINT64_C(1) << 40, p = fuzz_number(&in), c = fuzz_number(&in), t = fuzz_number(&in);
	uint64_t cached = fuzz_number(&in), write = fuzz_number(&in), audio = fuzz_number(&in), reasoning = fuzz_number(&in), audio_out = fuzz_number(&in);
	char text[1024];
	int n = snprintf(text, sizeof text,
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64
		",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 ",\"cache_write_tokens\":%" PRIu64 ",\"audio_tokens\":%" PRIu64
		"},\"completion_tokens_details\":{\"reasoning_tokens\":%" PRIu64 ",\"audio_tokens\":%" PRIu64 "}}}\n\n",
		p, c, t, cached, write, audio, reasoning, audio_out);
	struct run r = meter((struct span){text, (size_t)n}, step, true, true);
	const struct usage *u = &r.meter.usage;
	uint64_t prompt = fuzz_at_most(p, limit), output = fuzz_at_most(c, limit), total = fuzz_at_most(t, limit);
	output = total > prompt + output ? total - prompt : output;
	assert(r.out.len == 0 && u->flags & USAGE_REPORTED);
	assert(fuzz_sum(u, TOKEN_input, TOKEN_image_in) == prompt && fuzz_sum(u, TOKEN_output, TOKEN_image_out) == output);
	assert(u->tokens[TOKEN_cached] == fuzz_at_most(cached, prompt));
	assert(u->tokens[TOKEN_cache_write] == fuzz_at_most(fuzz_at_most(write, limit), prompt - u->tokens[TOKEN_cached]));
	assert(u->tokens[TOKEN_audio_in] == fuzz_at_most(fuzz_at_most(audio, limit), prompt - u->tokens[TOKEN_cached] - u->tokens[TOKEN_cache_write]));
	assert(u->tokens[TOKEN_reasoning] == fuzz_at_most(fuzz_at_most(reasoning, limit), output));
	assert(u->tokens[TOKEN_audio_out] == fuzz_at_most(fuzz_at_most(audio_out, limit), output - u->tokens[TOKEN_reasoning]));
	bool absurd = p > limit || c > limit || t > limit || cached > prompt || write > prompt - u->tokens[TOKEN_cached] || audio > limit ||
		reasoning > output || audio_out > limit;
	assert(!(u->flags & USAGE_ABSURD) == !absurd);
	free((char *)r.out.at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct span in = {(const char *)data + 1, size - 1};
	if (data[0] & GENERATED)
		check_generated(in, 1u + (data[0] & STEP));
	else
		check_stream_or_body(in, data[0]);
	return 0;
}
