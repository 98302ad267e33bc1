#include "measure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void
a_percentile_is_never_too_small_and_at_most_a_five_hundredth_too_large(void **state)
{
	static struct histogram h;
	for (uint64_t v = 1; v < UINT64_C(50000000000); v = v * 5 / 4 + 1) {
		memset(&h, 0, sizeof h);
		histogram_add(&h, v);
		uint64_t got = histogram_percentile(&h, 0.5);
		assert_in_range(got, v, v + v / 500);
	}
}

static void
percentiles_split_the_values_by_share(void **state)
{
	static struct histogram h;
	memset(&h, 0, sizeof h);
	assert_int_equal(histogram_percentile(&h, 0.5), 0);
	for (uint64_t v = 1; v <= 60; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_percentile(&h, 0.5), 30);
	assert_int_equal(histogram_percentile(&h, 0.99), 60);
	assert_int_equal(histogram_percentile(&h, 0), 1);
}

static void
the_cpu_time_of_a_process_grows_by_what_it_burns(void **state)
{
	char text[64] = "me=", *digits = text + 3;
	char reversed[16];
	size_t n = 0;
	for (int pid = getpid(); pid; pid /= 10)
		reversed[n++] = (char)('0' + pid % 10);
	while (n)
		*digits++ = reversed[--n];
	struct cpu_group g;
	uint64_t before, after;
	struct timespec from, to;
	assert_true(cpu_group_parse(text, &g));
	assert_string_equal(g.label, "me");
	assert_true(cpu_group_read(&g, &before));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	while ((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec < 50000000);
	assert_true(cpu_group_read(&g, &after));
	/* The kernel adds up at ticks and switches: within 10 ms. */
	assert_in_range(after - before, 40000000, 80000000);
}

static void
the_machine_spends_at_least_what_this_process_spends(void **state)
{
	uint64_t machine[2], self[2];
	self[0] = cpu_self_read();
	assert_true(cpu_machine_read(&machine[0]));
	while (cpu_self_read() - self[0] < 200000000)
		;
	assert_true(cpu_machine_read(&machine[1]));
	self[1] = cpu_self_read();
	/* The machine's time is counted in ticks, by what runs when one ends. */
	assert_true(machine[1] - machine[0] + 60000000 >= self[1] - self[0]);
}

static void
a_malformed_group_is_refused(void **state)
{
	static const char *const BAD[] = {"x", "x=", "x=a", "x=1,,2", "x=-1", "x=1;2"};
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		char text[16];
		struct cpu_group g;
		strcpy(text, BAD[i]);
		assert_false(cpu_group_parse(text, &g));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_percentile_is_never_too_small_and_at_most_a_five_hundredth_too_large),
		cmocka_unit_test(percentiles_split_the_values_by_share),
		cmocka_unit_test(the_cpu_time_of_a_process_grows_by_what_it_burns),
		cmocka_unit_test(the_machine_spends_at_least_what_this_process_spends),
		cmocka_unit_test(a_malformed_group_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
