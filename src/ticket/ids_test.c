#include "ticket/ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct span
span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void
an_id_reads_back_as_it_was_written(void **state)
{
	uint64_t ids[] = {0, 1, 61, 62, 0x7fffffffffffffffULL, UINT64_MAX, 1234567890123456789ULL};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char text[ID_TEXT_MAX];
		uint64_t back = ids[i] + 1;
		assert_int_equal(id_text(ID_REQUEST, ids[i], text), 15);
		assert_int_equal(strlen(text), 15);
		assert_true(id_parse(ID_REQUEST, span_of(text), &back));
		assert_true(back == ids[i]);
	}
}

static void
texts_sort_as_the_numbers_do(void **state)
{
	char before[ID_TEXT_MAX], after[ID_TEXT_MAX];
	uint64_t id = 1;
	for (int i = 0; i < 60; i++, id = id * 2 + 1) {
		id_text(ID_ACCOUNT, id - 1, before);
		id_text(ID_ACCOUNT, id, after);
		assert_true(strcmp(before, after) < 0);
	}
}

static void
what_is_not_an_id_is_refused(void **state)
{
	const char *bad[] = {"", "req_", "req_0000000000", "req_000000000000", "acc_00000000001", "req_0000000000-",
		"req_zzzzzzzzzzz", "00000000001", "REQ_00000000001", "req_ 0000000001"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t id = 7;
		assert_false(id_parse(ID_REQUEST, span_of(bad[i]), &id));
		assert_int_equal(id, 7);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_reads_back_as_it_was_written),
		cmocka_unit_test(texts_sort_as_the_numbers_do),
		cmocka_unit_test(what_is_not_an_id_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
