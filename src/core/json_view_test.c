#include "core/json_view.h"
#include "core/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES_MAX = 512 };

/* The text in pieces of `size` bytes each, every one at the end of a block of its own, so that a byte too far is seen by the sanitizer. */
static struct json_source
in_pieces(const char *text, size_t size, struct span *pieces)
{
	size_t len = strlen(text);
	uint32_t n = 0;
	for (size_t at = 0; at < len; at += size) {
		size_t part = len - at < size ? len - at : size;
		char *copy = malloc(part);
		assert_non_null(copy);
		memcpy(copy, text + at, part);
		assert_true(n < PIECES_MAX);
		pieces[n++] = (struct span){copy, part};
	}
	return json_source(pieces, n);
}

static void
let_go(struct json_source *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		free((void *)(uintptr_t)s->pieces[i].at);
}

static void
assert_value(struct json_source *s, struct json_value v, const char *expected)
{
	char got[256];
	size_t len = 0;
	for (uint64_t at = v.at; at < v.end;) {
		struct span r = json_run(s, at, v.end);
		assert_true(r.len && len + r.len < sizeof got);
		memcpy(got + len, r.at, r.len);
		len += r.len;
		at += r.len;
	}
	got[len] = 0;
	assert_string_equal(got, expected);
}

static const char sample[] = " { \"a\" : [1, -2.50e3 ,{\"x\":[]},\"q\\\"}\"] ,\"\\u0062\":\"\\ud83d\\ude00\\n\\ud800z\", \"c\":{},\"d\":null,\"e\":true,\"a\":false } ";

static void
values_are_found_in_whatever_pieces(void **state)
{
	(void)state;
	static const struct span names[] = {SPAN_INIT("b"), SPAN_INIT("a"), SPAN_INIT("zz"), SPAN_INIT("d")};
	for (size_t size = 1; size <= sizeof sample; size++) {
		struct span pieces[PIECES_MAX];
		struct json_source s = in_pieces(sample, size, pieces);
		struct json_value whole = json_whole_value(&s), key, value, found[4], unknown;
		assert_int_equal(whole.kind, JSON_OBJECT);
		assert_int_equal(whole.at, 1);
		assert_int_equal(whole.end, sizeof sample - 2);

		struct json_walk w = json_walk(whole);
		assert_true(json_next_member(&s, &w, &key, &value));
		assert_value(&s, key, "\"a\"");
		struct json_walk in = json_walk(value);
		static const char *const elements[] = {"1", "-2.50e3", "{\"x\":[]}", "\"q\\\"}\""};
		static const uint8_t kinds[] = {JSON_NUMBER, JSON_NUMBER, JSON_OBJECT, JSON_STRING};
		for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
			assert_true(json_next_element(&s, &in, &value));
			assert_value(&s, value, elements[i]);
			assert_int_equal(value.kind, kinds[i]);
		}
		assert_false(json_next_element(&s, &in, &value));
		assert_true(json_next_member(&s, &w, &key, &value));
		char text[16];
		size_t len = json_text(&s, value, text, sizeof text);
		assert_int_equal(len, 9);
		assert_memory_equal(text, "\xf0\x9f\x98\x80\n\xef\xbf\xbdz", 9);
		assert_int_equal(json_text(&s, value, text, 2), 9);

		assert_int_equal(json_members(&s, whole, names, ARRAY_LEN(names), found, &unknown), 2);
		assert_value(&s, unknown, "\"c\"");
		assert_int_equal(found[0].kind, JSON_STRING);
		assert_int_equal(found[1].kind, JSON_FALSE); /* the last of two */
		assert_int_equal(found[2].kind, JSON_MORE);
		assert_int_equal(found[3].kind, JSON_NULL);
		let_go(&s);
	}
}

static void
text_is_compared_unescaped(void **state)
{
	(void)state;
	for (size_t size = 1; size < 20; size++) {
		struct span pieces[PIECES_MAX];
		struct json_source s = in_pieces("\"a\\u0041\\/\\\\\"", size, pieces);
		struct json_value v = json_whole_value(&s);
		assert_true(json_reads(&s, v, SPAN("aA/\\")));
		assert_false(json_reads(&s, v, SPAN("aA/")));
		assert_false(json_reads(&s, v, SPAN("aA/\\x")));
		assert_false(json_reads(&s, v, SPAN("aB/\\")));
		let_go(&s);
	}
}

static void
text_that_is_no_json_ends_all_the_same(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "{", "[", "\"", "\"\\", "{\"a", "{\"a\":", "[1,", "]", "tru", "\"\\u12", "{]}", "[[[[", "\"\\ud800\\u"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t size = 1; size < 4; size++) {
			struct span pieces[PIECES_MAX];
			struct json_source s = in_pieces(bad[i], size, pieces);
			struct json_value v = json_whole_value(&s), key, value;
			char text[8];
			assert_true(v.end <= s.bytes);
			(void)json_text(&s, v, text, sizeof text);
			assert_false(json_reads(&s, v, SPAN("a")));
			size_t steps = 0;
			for (struct json_walk w = json_walk(v); json_next_member(&s, &w, &key, &value); steps++)
				assert_true(steps < 8);
			let_go(&s);
		}
}

/* Rooms of `step` bytes, one behind the other in one buffer. */
struct rooms {
	struct sink sink;
	char all[512];
	size_t used, step, limit;
};

static bool
next_room(struct sink *s)
{
	struct rooms *r = container_of(s, struct rooms, sink);
	r->used += s->len;
	s->len = 0;
	s->at = r->all + r->used;
	s->cap = r->limit - r->used < r->step ? r->limit - r->used : r->step;
	return s->cap > 0;
}

static void
a_sink_takes_values_in_every_form(void **state)
{
	(void)state;
	for (size_t size = 1; size < 40; size++)
		for (size_t step = 1; step < 40; step++) {
			struct span pieces[PIECES_MAX];
			struct json_source s = in_pieces("[\"x\\n\\u00e9\\\"\",{\"k\" : \"\\\\\"}]", size, pieces);
			struct rooms r = {.sink = {.grow = next_room}, .step = step, .limit = sizeof r.all};
			struct json_value a, b;
			struct json_walk w = json_walk(json_whole_value(&s));
			assert_true(json_next_element(&s, &w, &a));
			assert_true(json_next_element(&s, &w, &b));
			sink_value(&r.sink, &s, a);
			sink_inside(&r.sink, &s, a);
			sink_unquoted(&r.sink, &s, a);
			sink_quoted(&r.sink, &s, b);
			sink_escaped(&r.sink, SPAN("\x01\t\"z"));
			sink_u64(&r.sink, 1234567890123456789ull);
			assert_false(r.sink.full);
			static const char expected[] = "\"x\\n\\u00e9\\\"\"" "x\\n\\u00e9\\\"" "x\n\xc3\xa9\"" "{\\\"k\\\" : \\\"\\\\\\\\\\\"}" "\\u0001\\t\\\"z" "1234567890123456789";
			assert_int_equal(r.used + r.sink.len, sizeof expected - 1);
			assert_memory_equal(r.all, expected, sizeof expected - 1);
			let_go(&s);
		}
}

static void
a_full_sink_says_so_and_takes_nothing_more(void **state)
{
	(void)state;
	struct rooms r = {.sink = {.grow = next_room}, .step = 3, .limit = 7};
	sink_lit(&r.sink, "123456");
	assert_false(r.sink.full);
	sink_lit(&r.sink, "789");
	assert_true(r.sink.full);
	sink_lit(&r.sink, "");
	sink_lit(&r.sink, "a");
	assert_int_equal(r.used + r.sink.len, 7);
	assert_memory_equal(r.all, "1234567", 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_in_whatever_pieces),
		cmocka_unit_test(text_is_compared_unescaped),
		cmocka_unit_test(text_that_is_no_json_ends_all_the_same),
		cmocka_unit_test(a_sink_takes_values_in_every_form),
		cmocka_unit_test(a_full_sink_says_so_and_takes_nothing_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
