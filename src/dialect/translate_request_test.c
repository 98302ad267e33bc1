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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cell_is_as_it_should_be_whatever_the_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
