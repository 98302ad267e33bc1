/* A sample is the whole of a short answer, and a fair part of a long one. */
#include "dialect/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "The quick brown fox jumps over the lazy dog, and 12 jugs of liquor are packed by Zw\\u00f6lf Boxk\\u00e4mpfer.\\n\\tint x = 0; \\\"quoted\\\"\\n";

/* Words as a provider sends them: `step` bytes at a time, never within an escape. */
static uint64_t
say(struct sample *s, uint64_t most, size_t step, uint64_t *ret_taken)
{
	uint64_t said = 0, taken = 0;
	for (size_t at = 0; said < most;) {
		size_t n = step < sizeof text - 1 - at ? step : sizeof text - 1 - at;
		if (n > most - said)
			n = (size_t)(most - said);
		if (sample_wants(s, said)) {
			sample_words(s, (struct span){text + at, n}, said);
			taken++;
		}
		said += n;
		at = (at + n) % (sizeof text - 1);
	}
	*ret_taken = taken;
	return said;
}

static void
test_short(void **state)
{
	uint64_t taken, bytes;
	for (uint64_t most = 1; most <= 190; most += 9) {
		struct sample s = {0};
		struct bpe b;
		(void)say(&s, most, 4, &taken);
		(void)sample_tokens(&s, false, &b, TOKENIZER_o200k_base, &bytes);
		assert_int_equal(bytes, most);
	}
	struct sample one = {0};
	struct bpe b;
	sample_words(&one, SPAN("Hello"), 0);
	sample_words(&one, SPAN(", w\\u006f"), 5);
	sample_words(&one, SPAN("rld!"), 14);
	assert_int_equal(sample_tokens(&one, false, &b, TOKENIZER_o200k_base, &bytes), 4);
	assert_int_equal(bytes, 18);
}

static void
test_long(void **state)
{
	enum { LEN = 100000 };
	static const size_t steps[] = {1, 4, 9, 63, 64, 65, 130};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct sample s = {0};
		struct bpe b;
		uint64_t taken, bytes;
		(void)say(&s, LEN, steps[i], &taken);
		assert_in_range(taken, 4, 16 * (SAMPLE_WINDOW / steps[i] + 2)); /* windows, whose distance doubles */
		uint64_t tokens = sample_tokens(&s, false, &b, TOKENIZER_o200k_base, &bytes);
		assert_in_range(bytes, SAMPLE_WINDOW * 3 / 2, SAMPLE_WINDOWS * SAMPLE_WINDOW);
		assert_in_range(tokens * 100 / bytes, 20, 50); /* it has 29 a hundred bytes */
	}
}

/* Pieces of a body are counted from word to word. */
static void
test_body(void **state)
{
	static const char piece[] = "uick brown fox jumps over the lazy dog and jugs of liquor are pa";
	struct sample s = {0};
	struct bpe b;
	uint64_t bytes;
	for (unsigned i = 0; i < SAMPLE_WINDOWS; i++) {
		memcpy(s.body[i], piece, sizeof piece - 1);
		s.body_len[i] = sizeof piece - 1;
	}
	s.body_len[3] = 4; /* a short one as it is */
	assert_int_equal(sample_tokens(&s, true, &b, TOKENIZER_o200k_base, &bytes), 3 * 13 + 2);
	assert_int_equal(bytes, 3 * (sizeof piece - 1 - 4 - 3) + 4);
}

static void
test_nothing(void **state)
{
	struct sample s = {0};
	struct bpe b;
	uint64_t bytes;
	assert_int_equal(sample_tokens(&s, false, &b, TOKENIZER_cl100k_base, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_false(sample_wants(NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
