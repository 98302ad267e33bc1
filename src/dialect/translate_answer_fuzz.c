/*
 * Answers of each language into each other. Whatever the bytes: the same comes out however they are split and however small the rooms are, what
 * comes out is legal JSON in legal events, no error leaves half a document for a whole one, and nothing is kept when it is over.
 *
 * byte 0  the provider's language (2 bits), the caller's (2), streamed (1), one array for Gemini (1), reasoning hidden (1), usage unasked (1)
 * byte 1  how the rest is split
 */
#include "dialect/dialect_fuzz.h"
#include "dialect/translate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20,
	ROOM = 5 };

static char outputs[2][OUT_MAX + ROOM];

struct run {
	struct sink sink;
	char *all;
	size_t len;
	char room[ROOM];
	bool small;
	enum translate_result result;
	char error[512];
	size_t error_len, kept;
};

static bool
grow(struct sink *s)
{
	struct run *r = container_of(s, struct run, sink);
	if (!r->small || r->len + s->len > OUT_MAX)
		return false;
	if (s->len)
		memcpy(r->all + r->len, s->at, s->len);
	r->len += s->len;
	s->at = r->room;
	s->cap = r->len + ROOM <= OUT_MAX ? ROOM : OUT_MAX - r->len;
	s->len = 0;
	return s->cap > 0;
}

static void *
keep(void *owner, size_t bytes)
{
	struct run *r = owner;
	r->kept += bytes;
	assert(r->kept <= TRANSLATE_KEEP_MAX);
	return malloc(bytes);
}

static void
drop(void *owner, void *at, size_t bytes)
{
	struct run *r = owner;
	assert(r->kept >= bytes);
	r->kept -= bytes;
	free(at);
}

static void
stream(struct translation *t, struct run *r, struct span in, struct fuzz_splits splits)
{
	size_t done = 0, given = 0, used;
	do {
		given += fuzz_piece(&splits, in.len - given);
		char *piece = malloc(given - done + 1);
		memcpy(piece, in.at + done, given - done);
		r->result = translate_stream(t, piece, given - done, given == in.len, &r->sink, &used);
		assert(used <= given - done);
		done += used;
		if (r->result == TRANSLATE_ERROR) {
			assert(t->error_status >= 400 && t->error_text.len <= sizeof r->error);
			memcpy(r->error, t->error_text.at, t->error_text.len);
			r->error_len = t->error_text.len;
		}
		free(piece);
	} while (r->result == TRANSLATE_MORE && given < in.len);
	assert(r->result != TRANSLATE_MORE);
}

static void
document(struct translation *t, struct run *r, struct span in, struct fuzz_splits splits)
{
	struct span *pieces = calloc(in.len + 1, sizeof *pieces);
	uint32_t count = 0;
	for (size_t at = 0; at < in.len; at += pieces[count++].len)
		pieces[count] = (struct span){in.at + at, fuzz_piece(&splits, in.len - at)};
	struct json_source s = json_source(pieces, count);
	r->result = translate_answer(t, &s, &r->sink);
	assert(r->result != TRANSLATE_MORE);
	free(pieces);
}

static struct run
translate(const struct translate_answer_facts *facts, struct span in, struct fuzz_splits splits, bool small)
{
	struct run r = {.sink.grow = grow, .all = outputs[small], .small = small};
	struct translation *t = aligned_alloc(16, (sizeof *t + 15) / 16 * 16);
	memset(t, 0xa5, sizeof *t);
	t->keep = keep;
	t->drop = drop;
	t->owner = &r;
	if (!small) {
		r.sink.at = r.all;
		r.sink.cap = OUT_MAX;
	}
	translation_begin(t, facts);
	if (facts->streamed)
		stream(t, &r, in, splits);
	else
		document(t, &r, in, splits);
	if (small && r.sink.len)
		memcpy(r.all + r.len, r.sink.at, r.sink.len);
	r.len += r.sink.len;
	translation_end(t);
	assert(r.kept == 0);
	free(t);
	return r;
}

static const struct json_node no_interest[2];

static void
assert_json(const char *at, size_t len)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	json_scan_init(&scan, no_interest);
	json_scan_feed(&scan, at, len, 0);
	while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
		;
	assert(t != JSON_BAD && json_scan_complete(&scan));
}

/* Events as they are written: their lines, and an empty one behind each. */
static void
assert_events(const struct run *r, enum language to)
{
	const char *eol = to == LANGUAGE_GEMINI ? "\r\n" : "\n", *at = r->all, *end = r->all + r->len;
	size_t eol_len = strlen(eol);
	for (bool after_data = false; at < end;) {
		const char *line_end = memmem(at, (size_t)(end - at), eol, eol_len);
		assert(line_end);
		size_t len = (size_t)(line_end - at);
		if (after_data)
			assert(len == 0);
		else if (len > 6 && !memcmp(at, "data: ", 6)) {
			bool done = to == LANGUAGE_CHAT && len == 12 && !memcmp(at + 6, "[DONE]", 6);
			if (!done)
				assert_json(at + 6, len - 6);
		} else
			assert(len > 7 && !memcmp(at, "event: ", 7) && to != LANGUAGE_CHAT && to != LANGUAGE_GEMINI);
		after_data = !after_data && *at == 'd';
		at = line_end + eol_len;
	}
}

static bool
contains(const struct run *r, const char *what)
{
	return memmem(r->all, r->len, what, strlen(what)) != NULL;
}

static void
check(const struct run *r, const struct translate_answer_facts *facts)
{
	static const char *const ends[LANGUAGE_COUNT] = {[LANGUAGE_CHAT] = "data: [DONE]\n\n", [LANGUAGE_MESSAGES] = "event: message_stop\n", [LANGUAGE_GEMINI] = "\"finishReason\":\"", [LANGUAGE_RESPONSES] = ",\"output\":["};
	if (r->result == TRANSLATE_FULL)
		return;
	if (facts->streamed && !facts->as_array)
		assert_events(r, facts->to);
	if (r->result == TRANSLATE_END && (!facts->streamed || facts->as_array))
		assert_json(r->all, r->len);
	if (r->result == TRANSLATE_END)
		assert(!facts->streamed || contains(r, ends[facts->to]));
	else if (facts->streamed && facts->to != LANGUAGE_RESPONSES && facts->to != LANGUAGE_GEMINI)
		assert(!contains(r, ends[facts->to]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct span in = {(const char *)data + 2, size - 2};
	struct translate_answer_facts facts = {.from = 1 + (data[0] & 3), .to = 1 + (data[0] >> 2 & 3), .model = SPAN("alias"), .id = SPAN("req1"), .now_s = 1700000000, .streamed = data[0] & 16, .as_array = (data[0] & 0x3c) == 0x3c, .show_reasoning = !(data[0] & 64), .include_usage = !(data[0] & 128)};
	struct run whole = translate(&facts, in, fuzz_whole(), false), split = translate(&facts, in, fuzz_splits(data[1]), true);
	assert(whole.result == split.result && whole.len == split.len && !memcmp(whole.all, split.all, whole.len));
	assert(whole.error_len == split.error_len && !memcmp(whole.error, split.error, whole.error_len));
	check(&whole, &facts);
	char sentence[600];
	struct text t = text_on(sentence, sizeof sentence);
	translate_error(in.at, in.len, &t);
	assert(!t.cut && t.len <= 404);
	return 0;
}
