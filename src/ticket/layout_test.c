#include "ticket/layout.h"

#include "ticket/board.h"
#include "ticket/end_reasons.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
a_build_takes_over_from_itself(void **state)
{
	for (int p = 0; p < LAYOUT_COUNT; p++) {
		struct layout own = layout_of((enum layout_part)p);
		assert_true(own.rows > 0 && own.hash != 0);
		assert_true(layout_extends((enum layout_part)p, own));
	}
}

static void
other_rows_and_more_of_them_are_refused(void **state)
{
	for (int p = 0; p < LAYOUT_COUNT; p++) {
		struct layout own = layout_of((enum layout_part)p);
		assert_false(layout_extends((enum layout_part)p, (struct layout){own.rows, own.hash + 1}));
		assert_false(layout_extends((enum layout_part)p, (struct layout){own.rows + 1, own.hash}));
		assert_false(layout_extends((enum layout_part)p, (struct layout){own.rows - 1, own.hash}));
		assert_false(layout_extends((enum layout_part)p, (struct layout){own.rows + 1, 0}));
		assert_false(layout_extends((enum layout_part)p, (struct layout){0, 0}));
		assert_false(layout_extends((enum layout_part)p, (struct layout){UINT32_MAX, own.hash}));
	}
}

static void
a_list_that_has_grown_takes_over(void **state)
{
	uint32_t fields = board_layout_fields();
	for (uint32_t n = 1; n <= fields; n++)
		assert_true(layout_extends(LAYOUT_BOARD, (struct layout){n, board_layout(n)}));
	assert_false(layout_extends(LAYOUT_BOARD, (struct layout){fields, board_layout(fields - 1)}));
}

/* Rows are appended: so those of a build before stay the first ones. */
static void
the_end_reasons_of_an_older_build_are_taken_over(void **state)
{
	const struct layout older = {52, 0xde5ba37350954642ULL}; /* up to NO_TARGET, with TOO_LONG_FOR_MODEL among them */
	assert_true(layout_extends(LAYOUT_ENDS, older));
	assert_true(layout_of(LAYOUT_ENDS).rows > older.rows);
}

static void
a_number_of_an_end_reason_is_not_given_again(void **state)
{
	static const struct {
		const char *name;
		unsigned number;
	} rows[] = {
#define X(NAME, number, status, severity, type, code, billing, text) {#NAME, number},
#define GONE(NAME, number) {#NAME, number},
		END_ROWS(X, GONE)
#undef GONE
#undef X
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(rows[i].number, rows[j].number);
			assert_string_not_equal(rows[i].name, rows[j].name);
		}
}

static void
parts_are_told_apart(void **state)
{
	for (int p = 0; p < LAYOUT_COUNT; p++)
		for (int q = 0; q < p; q++) {
			assert_string_not_equal(layout_name((enum layout_part)p), layout_name((enum layout_part)q));
			assert_true(layout_of((enum layout_part)p).hash != layout_of((enum layout_part)q).hash);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_build_takes_over_from_itself),
		cmocka_unit_test(other_rows_and_more_of_them_are_refused),
		cmocka_unit_test(a_list_that_has_grown_takes_over),
		cmocka_unit_test(the_end_reasons_of_an_older_build_are_taken_over),
		cmocka_unit_test(a_number_of_an_end_reason_is_not_given_again),
		cmocka_unit_test(parts_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
