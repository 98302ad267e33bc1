/*
 * Timers of the simulator: a hashed wheel of 4,096 slots of 250 µs, so that tens of thousands of
 * slow streams cost one list step per second each. Single-threaded; a timer lies inside what it
 * wakes, the wheel owns nothing.
 */
#ifndef SIM_WHEEL_H
#define SIM_WHEEL_H

#include "core/base.h"

enum {
	SIM_WHEEL_SLOTS = 4096,
	SIM_WHEEL_TICK_NS = 250000,
};

struct sim_timer {
	struct sim_timer *next, **link; /* link: what points here; NULL while not armed */
	uint64_t tick;
};

struct sim_wheel {
	struct sim_timer *slot[SIM_WHEEL_SLOTS];
	struct sim_timer *ready;
	uint64_t used[SIM_WHEEL_SLOTS / 64]; /* bit: slot may hold a timer */
	uint64_t cursor; /* first tick not looked at yet */
	size_t armed; /* timers in slots, without the ready ones */
};

void sim_wheel_init(struct sim_wheel *w, uint64_t now_ns);

/* Arms (or moves) t to the first tick not before at_ns; never fires inside this call. */
void sim_wheel_arm(struct sim_wheel *w, struct sim_timer *t, uint64_t at_ns);
void sim_wheel_disarm(struct sim_wheel *w, struct sim_timer *t);

/*
 * Takes one timer that is due off the wheel; NULL when there is none. A timer armed meanwhile is
 * due in a later tick.
 */
struct sim_timer *sim_wheel_due(struct sim_wheel *w, uint64_t now_ns);

/* How long until something may be due: 0 now, -1 never. */
int64_t sim_wheel_wait_ns(const struct sim_wheel *w, uint64_t now_ns);

#endif
