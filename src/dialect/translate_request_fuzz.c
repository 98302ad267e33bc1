/*
 * Requests from one language into another: no body does harm, what goes up is JSON that its own language reads, it is bounded, and how the body is split
 * changes nothing.
 *
 * byte 0  from × 4 + to          byte 1  what is wished, a bit each          byte 2  how the rest is split          the rest is the body
 */
#include "dialect/dialect_fuzz.h"
#include "dialect/translate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3,
	ROOM = 61,
	LANGUAGES = LANGUAGE_COUNT - 1,
	GROWTH_EXTRA = 32 << 10 };

struct gathered {
	struct sink sink;
	char *all;
	size_t len, cap;
	char room[ROOM];
};

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

static void
gathered_init(struct gathered *g, size_t body)
{
	g->cap = 2 * body + GROWTH_EXTRA + ROOM;
	g->all = malloc(g->cap);
	g->len = 0;
	g->sink = (struct sink){.grow = grow_gathered, .at = g->room, .cap = sizeof g->room};
}

static enum json_error
scanned(struct span in, bool *ret_object)
{
	static const struct json_node nodes[2] = {{0}, {0}};
	struct json_scan scan;
	struct json_event ev;
	json_scan_init(&scan, nodes);
	json_scan_feed(&scan, in.at, in.len, 0);
	enum json_token t;
	*ret_object = false;
	while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
		*ret_object |= t == JSON_OBJECT;
	if (t == JSON_BAD)
		return scan.error;
	return json_scan_complete(&scan) ? JSON_E_NONE : JSON_E_SYNTAX;
}

/* The body in blocks of their own, so that a byte too far is seen. */
static bool
translated(struct span in, struct fuzz_splits splits, const struct translate_wish *wish, struct gathered *ret, struct translate_notes *notes)
{
	struct span *pieces = malloc((in.len + 1) * sizeof *pieces);
	uint32_t count = 0;
	for (size_t at = 0, n; at < in.len; at += n) {
		n = fuzz_piece(&splits, in.len - at);
		char *copy = malloc(n);
		memcpy(copy, in.at + at, n);
		pieces[count++] = (struct span){copy, n};
	}
	struct json_source s = json_source(pieces, count);
	gathered_init(ret, in.len);
	bool well = translate_request(&s, wish, &ret->sink, notes);
	bool taken = grow_gathered(&ret->sink);
	assert(taken && ret->len <= 2 * in.len + GROWTH_EXTRA);
	while (count)
		free((char *)pieces[--count].at);
	free(pieces);
	return well;
}

/* What goes up is a request in its own language: on the way from there it may be refused for what the next can't say, not for its form. */
static void
check_form(struct span out, const struct translate_wish *wish)
{
	struct translate_wish back = *wish;
	struct translate_notes notes;
	struct gathered g;
	back.from = wish->to;
	back.to = wish->from;
	back.lenient = true;
	if (!translated(out, fuzz_whole(), &back, &g, &notes))
		assert(notes.refusal == TRANSLATE_CANT);
	free(g.all);
}

static void
check_notes(bool well, const struct translate_notes *notes)
{
	assert(well == (notes->refusal == TRANSLATE_NONE));
	assert(notes->refusal != TRANSLATE_NO_MEMORY);
	assert(notes->path.len <= notes->path.cap && notes->dropped.len <= notes->dropped.cap);
}

static void
check(struct span in, const struct translate_wish *wish, struct fuzz_splits splits, bool valid)
{
	struct translate_notes whole_notes, notes;
	struct gathered whole, split;
	bool well = translated(in, fuzz_whole(), wish, &whole, &whole_notes), object;
	bool again = translated(in, splits, wish, &split, &notes);
	if (valid) {
		check_notes(well, &whole_notes);
		assert(well == again && whole_notes.refusal == notes.refusal && whole_notes.path.len == notes.path.len);
		assert(!memcmp(whole_notes.path_room, notes.path_room, notes.path.len));
		assert(whole_notes.dropped.len == notes.dropped.len && !memcmp(whole_notes.dropped_room, notes.dropped_room, notes.dropped.len));
		assert(whole.len == split.len && !memcmp(whole.all, split.all, whole.len));
	}
	if (valid && well) {
		enum json_error e = scanned((struct span){whole.all, whole.len}, &object);
		assert(e == JSON_E_DEPTH || (e == JSON_E_NONE && object));
		if (e == JSON_E_NONE)
			check_form((struct span){whole.all, whole.len}, wish);
	}
	free(whole.all);
	free(split.all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool object;
	if (size <= HEAD)
		return 0;
	uint8_t flags = data[1];
	const struct translate_wish wish = {
		.from = (enum language)(1 + data[0] / LANGUAGES % (LANGUAGE_ALL - 1)),
		.to = (enum language)(1 + data[0] % LANGUAGES),
		.model = SPAN("m"),
		.lenient = flags & 1,
		.stream = flags & 2,
		.old_cap = flags & 4,
		.ask_usage = flags & 8,
		.thinking = (uint8_t)((flags >> 4 & 3) % 3),
		.cap = flags & 0x40 ? 2000 : 0,
		.output_tokens = flags & 0x80 ? 0 : 64000,
	};
	const struct span in = {(const char *)data + HEAD, size - HEAD};
	bool valid = scanned(in, &object) == JSON_E_NONE && object;
	check(in, &wish, fuzz_splits(data[2]), valid);
	return 0;
}
