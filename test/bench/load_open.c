/* Opens the connections: requests all at once, streams at a pace. */
#include "load.h"

#define OPEN_PATIENCE_NS UINT64_C(60000000000)

static bool
all_settled(const struct load *l)
{
	return l->opened == l->options->connections && l->streaming + l->counts.errors >= l->opened;
}

/*
 * One at a time, evenly: streams that begin together write together, for as long as they live.
 * The default of 1,987 a second is prime so that beginnings spread over the period of every round
 * rate.
 */
static void
open_streams(struct load *l)
{
	uint64_t begin_ns = net_now_ns(), step_ns = 1000000000u / l->options->opens;
	uint64_t give_up_ns = begin_ns + l->options->connections * step_ns + OPEN_PATIENCE_NS;
	while (!all_settled(l) && net_now_ns() < give_up_ns) {
		uint64_t next_ns = begin_ns + l->opened * step_ns;
		if (l->opened < l->options->connections && next_ns <= net_now_ns())
			load_open(l, 1);
		else
			load_run(l, l->opened < l->options->connections ? next_ns : net_now_ns() + UINT64_C(10000000));
	}
}

void
load_open_all(struct load *l)
{
	if (l->options->mode == LOAD_REQUESTS)
		load_open(l, l->options->connections);
	else
		open_streams(l);
}
