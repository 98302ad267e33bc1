#include "ledger/give_way.h"

#include "core/loop.h"

#include <sched.h>

void
give_way(void)
{
	enum { SPAN_US = 100000,
		GIVEN_MOST_US = SPAN_US / 10 };
	static uint64_t span_us, given_us;
	uint64_t before_us = clock_monotonic_us();
	if (before_us - span_us >= SPAN_US) {
		span_us = before_us;
		given_us = 0;
	}
	if (given_us >= GIVEN_MOST_US)
		return;
	(void)sched_yield();
	given_us += clock_monotonic_us() - before_us;
}
