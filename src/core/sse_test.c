#include "core/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct log {
	char text[512];
	size_t len;
};

static void
add(struct log *l, const char *bytes, size_t len)
{
	assert_true(l->len + len < sizeof l->text);
	memcpy(l->text + l->len, bytes, len);
	l->len += len;
	l->text[l->len] = 0;
}

/*
 * A line as its field's letter, its value, and a bar; an event as "!\n". Late LFs are left out: they only say
 * where a CR LF was cut.
 */
static struct log
split(const char *in, size_t len, size_t step)
{
	static const char letters[] = "deirc?";
	struct log l = {{0}, 0};
	struct sse s;
	bool in_line = false;
	sse_init(&s);
	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		sse_feed(&s, piece, n);
		struct span value = {NULL, 0};
		for (enum sse_token t; (t = sse_next(&s, &value)) != SSE_MORE;) {
			if ((t == SSE_VALUE || t == SSE_LINE) && !in_line)
				add(&l, &letters[s.field], 1);
			if (t == SSE_VALUE) {
				assert_true(value.len > 0);
				add(&l, value.at, value.len);
			} else if (t == SSE_LINE)
				add(&l, "|", 1);
			else if (t == SSE_DISPATCH)
				add(&l, "!\n", 2);
			else
				assert_true(s.p == piece + 1 && piece[0] == '\n');
			in_line = t == SSE_VALUE || (t == SSE_LATE_LF && in_line);
		}
		assert_true(s.p == s.end);
		free(piece);
	}
	return l;
}

static void
streams_are_split_by_the_standard(void **state)
{
	static const struct {
		const char *in, *log;
	} rows[] = {
		{"data: a\n\ndata:b\n\n", "da|!\ndb|!\n"},
		{"data: a\r\n\r\ndata:b\r\n\r\n", "da|!\ndb|!\n"},
		{"data: a\r\rdata:b\r\r", "da|!\ndb|!\n"},
		{"data: a\r\n\n\rdata:b\n\r\n", "da|!\n!\ndb|!\n"},
		{"data:  a \n\n", "d a |!\n"},
		{"data\n\ndata:\n\ndata: \n\n", "d|!\nd|!\nd|!\n"},
		{"data: a\ndata: b\n\n", "da|db|!\n"},
		{": comment\n\n:\n\ndata: x\n\n", "ccomment|!\nc|!\ndx|!\n"},
		{"event: e\nid: 7\nretry: 10\ndata: x\n\n", "ee|i7|r10|dx|!\n"},
		{"data: x\nevent: e\n\n", "dx|ee|!\n"},
		{"\xef\xbb\xbf"
		 "data: x\n\n",
			"dx|!\n"},
		{"\xef\xbb\xbf\xef\xbb\xbf"
		 "data: x\n\n",
			"?x|!\n"},
		{"\xef\xbb"
		 "data: x\n\n",
			"?x|!\n"},
		{"\xef", ""},
		{"datum: x\nDATA: x\n data: x\ndatas: x\ndataset\neventually: 1\n\n", "?x|?x|?x|?x|?|?1|!\n"},
		{"{\"error\": {\n}}\n\n", "?{|?|!\n"},
		{"data: a:b: c\n\n", "da:b: c|!\n"},
		{"data: no end", "dno end"},
		{"\n\n\r\n\r", "!\n!\n!\n!\n"},
		{"data: a\nid\nretry\nevent\n:\n\n", "da|i|r|e|c|!\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].in);
		for (size_t step = 1; step <= len; step++) {
			struct log l = split(rows[i].in, len, step);
			if (strcmp(l.text, rows[i].log))
				print_error("row %zu, step %zu\n", i, step);
			assert_string_equal(l.text, rows[i].log);
		}
	}
}

static void
a_huge_line_comes_in_pieces(void **state)
{
	enum { SIZE = 3 << 20 };
	char *in = malloc(SIZE);
	struct sse s;
	size_t got = 0;
	memset(in, 'x', SIZE);
	memcpy(in, "data: ", 6);
	memcpy(in + SIZE - 2, "\n\n", 2);
	sse_init(&s);
	for (size_t at = 0; at < SIZE; at += 65536) {
		struct span value;
		enum sse_token t;
		sse_feed(&s, in + at, SIZE - at < 65536 ? SIZE - at : 65536);
		while ((t = sse_next(&s, &value)) == SSE_VALUE)
			got += value.len;
		if (t == SSE_LINE)
			assert_int_equal(sse_next(&s, &value), SSE_DISPATCH);
	}
	assert_int_equal(got, SIZE - 8);
	free(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_split_by_the_standard),
		cmocka_unit_test(a_huge_line_comes_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
