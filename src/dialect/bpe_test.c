/* What the vocabularies' own tool counts of texts (tokenizers/cells.inc, written with it), and what is promised of any text. */
#include "dialect/bpe.h"

#include "dialect/bpe_reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	struct span text;
	uint32_t counts[2];
} cells[] = {
#include "dialect/tokenizers/cells.inc"
};
static const enum tokenizer both[] = {TOKENIZER_o200k_base, TOKENIZER_cl100k_base};

static uint64_t
count(enum tokenizer tokenizer, struct span text, size_t part)
{
	struct bpe b;
	bpe_begin(&b, tokenizer);
	for (size_t at = 0; at < text.len; at += part)
		bpe_feed(&b, (struct span){text.at + at, part < text.len - at ? part : text.len - at});
	return bpe_end(&b);
}

static void
test_counts(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		for (size_t k = 0; k < ARRAY_LEN(both); k++) {
			uint64_t n = count(both[k], cells[i].text, SIZE_MAX);
			if (n != cells[i].counts[k])
				fail_msg("cell %zu by %d: %llu tokens instead of %u: %.*s", i, both[k], (unsigned long long)n, cells[i].counts[k], (int)cells[i].text.len, cells[i].text.at);
			assert_int_equal(bpe_reference(both[k], cells[i].text), n);
		}
}

static void
test_any_pieces(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		for (size_t k = 0; k < ARRAY_LEN(both); k++)
			for (size_t cut = 0; cut <= cells[i].text.len; cut++) {
				struct bpe b;
				bpe_begin(&b, both[k]);
				bpe_feed(&b, (struct span){cells[i].text.at, cut});
				bpe_feed(&b, (struct span){cells[i].text.at + cut, cells[i].text.len - cut});
				assert_int_equal(bpe_end(&b), cells[i].counts[k]);
			}
}

/* All cells one behind the other, several windows long, with something between that ends what would be too long a run: the same in pieces of any size. */
static void
test_long(void **state)
{
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		len += cells[i].text.len + 2;
	char *all = malloc(len), *end = all;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		memcpy(end, cells[i].text.at, cells[i].text.len);
		end += cells[i].text.len;
		*end++ = 'x';
		*end++ = '1';
	}
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		uint64_t n = count(both[k], (struct span){all, len}, SIZE_MAX);
		assert_int_equal(n, bpe_reference(both[k], (struct span){all, len}));
		for (size_t part = 1; part < 3000; part += part < 20 ? 1 : 331)
			assert_int_equal(count(both[k], (struct span){all, len}, part), n);
	}
	free(all);
}

/* A run without an end takes no more work per byte than the bound of a piece allows, and is counted as a little more than it has. */
static void
test_runs(void **state)
{
	enum { LEN = 1 << 18,
		STEPS_MOST = 150 };
	static const char *const units[] = {"a", "A", " ", "\n", "-", "ab", "中", "Aa", "1", "'", "\xff", "é", "\xe2\x80\x83", "xyzzy"};
	char *text = malloc(LEN);
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		size_t unit = strlen(units[u]), len = LEN / unit * unit;
		for (size_t at = 0; at < len; at += unit)
			memcpy(text + at, units[u], unit);
		for (size_t k = 0; k < ARRAY_LEN(both); k++) {
			struct bpe b;
			bpe_begin(&b, both[k]);
			bpe_feed(&b, (struct span){text, len});
			uint64_t n = bpe_end(&b), part = bpe_reference(both[k], (struct span){text, 1024 / unit * unit});
			assert_in_range(b.steps, 1, (uint64_t)len * STEPS_MOST);
			uint64_t exact = part * len / (1024 / unit * unit);
			assert_in_range(n, exact - exact / 50, exact + exact / 4);
		}
	}
	free(text);
}

static void
test_texts_add_up(void **state)
{
	struct bpe b;
	bpe_begin(&b, TOKENIZER_o200k_base);
	bpe_feed(&b, SPAN("Hello"));
	assert_int_equal(bpe_end(&b), 1);
	bpe_feed(&b, SPAN("Hello"));
	assert_int_equal(bpe_end(&b), 2);
	assert_int_equal(bpe_end(&b), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_any_pieces),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_texts_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
