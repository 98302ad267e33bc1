#include "witness.h"

#include "net.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t
always(const void *arg, uint64_t at_ns)
{
	return at_ns;
}

/* As a host does that has other things to do: nobody of the processor's runs meanwhile. */
static void *
take_the_processor(void *arg)
{
	uint64_t *from_ns = arg;
	*from_ns = net_now_ns();
	while (net_now_ns() < *from_ns + 20 * (uint64_t)WITNESS_LATE_NS)
		;
	return NULL;
}

/* False: this process may not. */
static bool
stand_still(uint64_t *ret_from_ns)
{
	struct sched_param above = {.sched_priority = sched_get_priority_min(SCHED_FIFO) + 1};
	pthread_attr_t a;
	pthread_t thread;
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	assert_int_equal(pthread_attr_init(&a), 0);
	pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&a, SCHED_FIFO);
	pthread_attr_setschedparam(&a, &above);
	pthread_attr_setaffinity_np(&a, sizeof first, &first);
	bool good = pthread_create(&thread, &a, take_the_processor, ret_from_ns) == 0;
	pthread_attr_destroy(&a);
	return good && pthread_join(thread, NULL) == 0;
}

static void
a_processor_that_runs_nobody_is_seen(void **state)
{
	uint64_t from_ns = 0;
	struct standstill *seen;
	struct witness *w = witness_start(always, NULL);
	bool may = w && stand_still(&from_ns);
	size_t count = witness_end(w, &seen);
	if (!may) {
		free(seen);
		skip(); /* real-time priority is root's */
	}
	count = standstills_settle(seen, count);
	assert_true(standstills_have(seen, count, from_ns + WITNESS_LATE_NS));
	assert_true(standstills_have(seen, count, from_ns + 10 * (uint64_t)WITNESS_LATE_NS));
	free(seen);
}

static void
nobody_who_may_not_look_has_seen_anything(void **state)
{
	struct standstill *seen;
	assert_int_equal(witness_end(NULL, &seen), 0);
	assert_null(seen);
}

static void
what_was_under_way_and_what_piled_up_is_late_of_it(void **state)
{
	enum { BEFORE = WITNESS_BEFORE_NS };
	struct standstill s[] = {{9000000, 9400000}, {1000000, 5000000}, {5500000, 5600000}, {100000, 200000}};
	size_t count = standstills_settle(s, ARRAY_LEN(s));
	assert_int_equal(count, 3);
	static const struct standstill WANTED[] = {{0, 225000}, {1000000 - BEFORE, 6000000}, {9000000 - BEFORE, 9500000}};
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(s[i].from_ns, WANTED[i].from_ns);
		assert_int_equal(s[i].until_ns, WANTED[i].until_ns);
		assert_true(standstills_have(s, count, s[i].from_ns) && standstills_have(s, count, s[i].until_ns));
		assert_false(standstills_have(s, count, s[i].until_ns + 1));
	}
	assert_false(standstills_have(s, count, 1000000 - BEFORE - 1));
	assert_false(standstills_have(s, 0, 1000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_processor_that_runs_nobody_is_seen),
		cmocka_unit_test(nobody_who_may_not_look_has_seen_anything),
		cmocka_unit_test(what_was_under_way_and_what_piled_up_is_late_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
