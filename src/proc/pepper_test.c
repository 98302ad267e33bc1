#include "proc/pepper.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int
make_dir(void **state)
{
	strcpy(dir, "/tmp/lethe-pepper-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/pepper", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void
write_bytes(const char *name, size_t bytes, mode_t mode)
{
	char full[160];
	snprintf(full, sizeof full, "%s/%s", dir, name);
	int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void
the_first_use_makes_it_and_later_ones_find_it(void **state)
{
	uint8_t first[API_KEY_PEPPER_BYTES], second[API_KEY_PEPPER_BYTES] = {0}, zero[API_KEY_PEPPER_BYTES] = {0};
	char why[PEPPER_WHY_MAX];
	struct stat st;
	assert_true(pepper_load_or_create(dir, first, why));
	assert_true(pepper_load_or_create(dir, second, why));
	assert_memory_equal(first, second, sizeof first);
	assert_memory_not_equal(first, zero, sizeof first);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, API_KEY_PEPPER_BYTES);
	assert_int_equal(st.st_nlink, 1);
}

static void
of_many_that_start_at_once_all_get_the_same(void **state)
{
	enum { MANY = 16 };
	int pipes[MANY];
	for (int i = 0; i < MANY; i++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			uint8_t mine[API_KEY_PEPPER_BYTES];
			char why[PEPPER_WHY_MAX];
			bool ok = pepper_load_or_create(dir, mine, why) && write(ends[1], mine, sizeof mine) == sizeof mine;
			_exit(ok ? 0 : 1);
		}
		close(ends[1]);
		pipes[i] = ends[0];
	}
	uint8_t first[API_KEY_PEPPER_BYTES], other[API_KEY_PEPPER_BYTES];
	for (int i = 0; i < MANY; i++) {
		int status;
		assert_int_equal(read(pipes[i], i == 0 ? first : other, sizeof first), sizeof first);
		if (i > 0)
			assert_memory_equal(first, other, sizeof first);
		close(pipes[i]);
		wait(&status);
		assert_int_equal(status, 0);
	}
}

static void
a_missing_one_is_not_made_anew_for_a_ledger_that_exists(void **state)
{
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	char why[PEPPER_WHY_MAX] = "";
	write_bytes("ledger.db", 0, 0600);
	assert_false(pepper_load_or_create(dir, pepper, why));
	assert_non_null(strstr(why, "restore it from a backup"));
	assert_int_equal(access(path, F_OK), -1);
}

static void
one_that_is_damaged_or_open_to_others_is_refused(void **state)
{
	static const struct {
		size_t bytes;
		mode_t mode;
		const char *says;
	} rows[] = {{0, 0600, "damaged"}, {31, 0600, "damaged"}, {33, 0600, "damaged"}, {32, 0640, "chmod 600"},
		{32, 0604, "chmod 600"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t pepper[API_KEY_PEPPER_BYTES];
		char why[PEPPER_WHY_MAX] = "";
		write_bytes("pepper", rows[i].bytes, rows[i].mode);
		assert_false(pepper_load_or_create(dir, pepper, why));
		assert_non_null(strstr(why, rows[i].says));
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	char why[PEPPER_WHY_MAX] = "";
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	assert_false(pepper_load_or_create(dir, pepper, why));
}

static void
a_directory_that_is_not_there_has_a_remedy(void **state)
{
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	char why[PEPPER_WHY_MAX] = "";
	assert_false(pepper_load_or_create("/nowhere/data", pepper, why));
	assert_non_null(strstr(why, "mkdir -m 700"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_use_makes_it_and_later_ones_find_it),
		TEST(of_many_that_start_at_once_all_get_the_same),
		TEST(a_missing_one_is_not_made_anew_for_a_ledger_that_exists),
		TEST(one_that_is_damaged_or_open_to_others_is_refused),
		TEST(a_directory_that_is_not_there_has_a_remedy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
