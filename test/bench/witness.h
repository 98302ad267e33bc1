/*
 * Whether the machine itself stood still. On each processor a thread of real-time priority (SCHED_FIFO, sched(7)) wants to wake every 100 us and notes when it could not:
 * nothing of any target can keep it from that for as long, but a host that gives the processor to somebody else can, an interrupt can, and a call that the kernel
 * does not let anybody interrupt. What was due meanwhile says nothing about who was asked.
 */
#ifndef BENCH_WITNESS_H
#define BENCH_WITNESS_H

#include "core/base.h"

enum { WITNESS_PERIOD_NS = 100000,
	WITNESS_LATE_NS = 100000, /* it wakes some 20 us late where nothing is amiss */
	WITNESS_BEFORE_NS = 300000 }; /* what was due so long before may have been under way */

struct standstill {
	uint64_t from_ns, until_ns; /* CLOCK_MONOTONIC */
};

struct witness;

/* The first instant at or after this one at which to look. */
typedef uint64_t witness_turn(const void *arg, uint64_t at_ns);

/* NULL: this process may not have the priority (root). All processors of the machine are watched; turn and arg are used by the threads until the end. */
must_check struct witness *witness_start(witness_turn *turn, const void *arg);

/* What was seen until now, on all processors; the caller frees *ret. Returns when all have woken once more. NULL may be ended too, and has seen nothing. */
must_check size_t witness_end(struct witness *w, struct standstill **ret);

/*
 * To the times in which what is due may be late of them: from a little before until what had piled up is worked off, for which a quarter of the time is enough. In order,
 * and none touches the next. Returns how many are left.
 */
must_check size_t standstills_settle(struct standstill *s, size_t count);

/* Of settled ones. */
must_check bool standstills_have(const struct standstill *s, size_t count, uint64_t at_ns);

#endif
