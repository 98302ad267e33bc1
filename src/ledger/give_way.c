#include "ledger/give_way.h"

#include "core/loop.h"

#include <sched.h>

bool
given_may(struct given *g, uint64_t now_us)
{
	enum { SPAN_US = 100000,
		MOST_US = SPAN_US / 10,
		PIECE_US = 20 };
	if (now_us - g->last_us < PIECE_US)
		return false;
	uint64_t passed_us = now_us - g->span_us;
	if (passed_us >= SPAN_US) { /* a turn that took more than its span's share is paid back in those that follow */
		uint64_t share_us = passed_us / 10;
		g->given_us -= share_us < g->given_us ? share_us : g->given_us;
		g->span_us = now_us;
	}
	return g->given_us < MOST_US;
}

void
given_add(struct given *g, uint64_t now_us, uint64_t us)
{
	enum { DEBT_MOST_US = 1000000 }; /* a process that was stopped meanwhile gave nothing to an edge */
	g->last_us = now_us;
	g->given_us = us < DEBT_MOST_US - g->given_us ? g->given_us + us : DEBT_MOST_US;
}

static bool is_allowed;

void
give_way_allow(bool allowed)
{
	is_allowed = allowed;
}

void
give_way(void)
{
	static struct given given;
	if (!is_allowed)
		return;
	uint64_t before_us = clock_monotonic_us();
	if (!given_may(&given, before_us))
		return;
	(void)sched_yield();
	uint64_t now_us = clock_monotonic_us();
	given_add(&given, now_us, now_us - before_us);
}
