/* Giving way: how much of it, and whose files do. */
#include "ledger/give_way.h"

#include "ledger/store_sqlite_file.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND_US = 1000000 };

/* Who asks all the time, and gets the processor back so much later: a tick, or where many others want it, many. */
static void
behind_who_never_rests_a_tenth_is_given_and_one_turn_more(void **state)
{
	enum { WORK_US = 50,
		SECONDS = 20 };
	static const uint64_t turns_us[] = {4000, 20000, 50000, 150000, 300000};
	for (size_t i = 0; i < ARRAY_LEN(turns_us); i++) {
		struct given g = {0};
		uint64_t given_us = 0;
		for (uint64_t now_us = 0; now_us < SECONDS * SECOND_US; now_us += WORK_US)
			if (given_may(&g, now_us)) {
				given_us += turns_us[i];
				now_us += turns_us[i];
				given_add(&g, now_us, turns_us[i]);
			}
		assert_in_range(given_us, SECONDS * SECOND_US / 11, SECONDS * SECOND_US * 11 / 100 + turns_us[i]);
	}
}

static void
turns_that_nobody_wants_are_always_given(void **state)
{
	struct given g = {0};
	for (uint64_t now_us = SECOND_US; now_us < 2 * SECOND_US; now_us += 50) {
		assert_true(given_may(&g, now_us));
		given_add(&g, now_us + 1, 1);
	}
}

static void
a_piece_of_work_is_20_us_however_often_it_is_asked(void **state)
{
	struct given g = {0};
	uint64_t turns = 0;
	for (uint64_t now_us = SECOND_US; now_us < SECOND_US + 3000; now_us++)
		if (given_may(&g, now_us)) {
			given_add(&g, now_us, 0);
			turns++;
		}
	assert_int_equal(turns, 150);
}

static void
a_ledger_that_was_stopped_in_a_turn_gives_way_again_soon(void **state)
{
	struct given g = {0};
	assert_true(given_may(&g, SECOND_US));
	given_add(&g, SECOND_US, UINT64_C(600) * SECOND_US);
	given_add(&g, SECOND_US, UINT64_MAX);
	assert_false(given_may(&g, 5 * SECOND_US));
	assert_true(given_may(&g, 12 * SECOND_US));
}

static const void *
writes_by(const char *path, const char *files, int which)
{
	sqlite3 *db;
	sqlite3_file *f;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, files), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_file_control(db, "main", which, &f), SQLITE_OK);
	int (*write)(sqlite3_file *, const void *, int, sqlite3_int64) = f->pMethods->xWrite;
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return (const void *)(uintptr_t)write;
}

/* Log and main file, of the first store and of further ones. */
static void
the_files_of_a_store_give_way_while_they_are_written(void **state)
{
	static const int kinds[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
	char dir[] = "/tmp/lethe-give-way-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/t.db", dir);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const void *plain = writes_by(path, NULL, kinds[i]), *first = writes_by(path, store_sqlite_file(), kinds[i]);
		assert_ptr_not_equal(plain, first);
		assert_ptr_equal(first, writes_by(path, store_sqlite_file(), kinds[i]));
	}
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_who_never_rests_a_tenth_is_given_and_one_turn_more),
		cmocka_unit_test(a_piece_of_work_is_20_us_however_often_it_is_asked),
		cmocka_unit_test(turns_that_nobody_wants_are_always_given),
		cmocka_unit_test(a_ledger_that_was_stopped_in_a_turn_gives_way_again_soon),
		cmocka_unit_test(the_files_of_a_store_give_way_while_they_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
