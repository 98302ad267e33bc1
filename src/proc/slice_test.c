/* What works in the background says so to the scheduler, and leaves an administrator's choice alone. */
#include "proc/slice.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The policy in which a child is that asked, having begun in this one. */
static int
policy_after(int before)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct sched_param none = {0};
		int nice_before = getpriority(PRIO_PROCESS, 0);
		if (sched_setscheduler(0, before, &none) != 0)
			_exit(100);
		slice_in_background();
		_exit(getpriority(PRIO_PROCESS, 0) == nice_before ? sched_getscheduler(0) : 101);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
what_works_in_the_background_interrupts_nobody(void **state)
{
	assert_int_equal(policy_after(SCHED_OTHER), SCHED_BATCH);
}

static void
another_policy_stands(void **state)
{
	assert_int_equal(policy_after(SCHED_IDLE), SCHED_IDLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_works_in_the_background_interrupts_nobody),
		cmocka_unit_test(another_policy_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
