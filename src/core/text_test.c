#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
numbers_are_written_whole(void **state)
{
	static const struct {
		uint64_t v;
		const char *decimal, *hex;
	} rows[] = {
		{0, "0", "0"},
		{9, "9", "9"},
		{10, "10", "a"},
		{255, "255", "ff"},
		{4096, "4096", "1000"},
		{UINT64_MAX, "18446744073709551615", "ffffffffffffffff"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char a[32], b[32];
		struct text t = text_on(a, sizeof a), h = text_on(b, sizeof b);
		text_u64(&t, rows[i].v);
		text_hex(&h, rows[i].v);
		assert_int_equal(t.len, strlen(rows[i].decimal));
		assert_memory_equal(a, rows[i].decimal, t.len);
		assert_int_equal(h.len, strlen(rows[i].hex));
		assert_memory_equal(b, rows[i].hex, h.len);
	}
}

static void
strings_are_escaped_for_json(void **state)
{
	char m[64];
	struct text t = text_on(m, sizeof m);
	text_json(&t, SPAN("a\"b\\c\nd\x1f\x7f\xc3\xa9\0"));
	static const char want[] = "a\\\"b\\\\c\\u000ad\\u001f\x7f\xc3\xa9\\u0000";
	assert_false(t.cut);
	assert_int_equal(t.len, sizeof want - 1);
	assert_memory_equal(m, want, t.len);
}

static void
what_does_not_fit_is_left_out_and_said(void **state)
{
	char m[8] = "xxxxxxx!";
	struct text t = text_on(m, 7);
	text_lit(&t, "1234");
	text_str(&t, "567");
	assert_false(t.cut);
	text_span(&t, SPAN(""));
	assert_false(t.cut);
	text_u64(&t, 8);
	assert_true(t.cut);
	assert_int_equal(t.len, 7);
	assert_memory_equal(m, "1234567!", 8);
	t = text_on(m, 2);
	text_lit(&t, "abc");
	assert_true(t.cut);
	assert_int_equal(t.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_written_whole),
		cmocka_unit_test(strings_are_escaped_for_json),
		cmocka_unit_test(what_does_not_fit_is_left_out_and_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
