#include "ticket/layout.h"

#include "ticket/board.h"

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
		cmocka_unit_test(parts_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
