#include "proc/role_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void
an_id_is_known_where_a_line_holds_it(void **state)
{
	static const struct {
		const char *map;
		uid_t id;
		bool known;
	} cases[] = {
		{"         0          0 4294967295\n", ROLE_USERS, true},
		{"         0     100000      65536\n", ROLE_USERS, false},
		{"         0     100000      65536\n", 65535, true},
		{"         0     100000      65536\n", 65536, false},
		{"0 1000 1\n1 100000 65535\n", 65535, true},
		{"0 1000 1\n1 100000 65535\n", 65536, false},
		{"0 1000 1\n1900000000 100000 8192", ROLE_USERS + 8191, true},
		{"1 1000 5\n", 0, false},
		{"", 0, false},
		{"no map", 0, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(role_user_mapped(cases[i].map, cases[i].id), cases[i].known);
}

static void
only_what_needs_no_files_gets_a_user_of_its_own(void **state)
{
	uid_t id, other;
	assert_false(role_user(PROFILE_LEDGER, 0, &id));
	if (!role_user(PROFILE_EDGE, 0, &id)) {
		if (geteuid() == 0)
			skip(); /* in a namespace that is too small, or without the right */
		return;
	}
	assert_int_equal(geteuid(), 0);
	assert_true(role_user(PROFILE_EDGE, 1, &other) && other != id);
	assert_true(role_user(PROFILE_DIALER, 0, &other) && other != id);
	assert_true(role_user(PROFILE_EDGE, ROLE_USERS_EACH, &other) && other == id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_known_where_a_line_holds_it),
		cmocka_unit_test(only_what_needs_no_files_gets_a_user_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
