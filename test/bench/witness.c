#include "witness.h"

#include "net.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SEEN_MOST = 100000 }; /* of a processor: more than all of a run's, if it stood still every time */

struct watch {
	pthread_t thread;
	unsigned processor;
	const struct witness *of;
	struct standstill *seen;
	size_t count;
};

struct witness {
	witness_turn *turn;
	const void *arg;
	size_t count;
	atomic_bool over;
	struct watch watch[];
};

static void *
look(void *arg)
{
	struct watch *w = arg;
	prctl(PR_SET_TIMERSLACK, 1ul); /* of this thread */
	for (uint64_t due_ns = net_now_ns(); !atomic_load(&w->of->over);) {
		due_ns = w->of->turn(w->of->arg, due_ns + WITNESS_PERIOD_NS);
		struct timespec t = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		uint64_t now_ns = net_now_ns();
		if (now_ns < due_ns + WITNESS_LATE_NS)
			continue;
		if (w->count < SEEN_MOST)
			w->seen[w->count++] = (struct standstill){due_ns - WITNESS_PERIOD_NS, now_ns};
		due_ns = now_ns;
	}
	return NULL;
}

/* False: it may not. */
static bool
begin(struct watch *w)
{
	struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_FIFO)}; /* already above whoever is not of real time */
	pthread_attr_t a;
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET(w->processor, &here);
	w->seen = calloc(SEEN_MOST, sizeof *w->seen);
	if (!w->seen || pthread_attr_init(&a) != 0)
		abort();
	bool good = pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED) == 0 && pthread_attr_setschedpolicy(&a, SCHED_FIFO) == 0 && pthread_attr_setschedparam(&a, &lowest) == 0 &&
		pthread_attr_setaffinity_np(&a, sizeof here, &here) == 0 && pthread_create(&w->thread, &a, look, w) == 0;
	pthread_attr_destroy(&a);
	if (!good)
		free(w->seen);
	return good;
}

struct witness *
witness_start(witness_turn *turn, const void *arg)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct witness *w = calloc(1, sizeof *w + (size_t)processors * sizeof *w->watch);
	struct standstill *none;
	if (!w)
		abort();
	w->turn = turn;
	w->arg = arg;
	for (; w->count < (size_t)processors; w->count++) {
		struct watch *one = &w->watch[w->count];
		one->processor = (unsigned)w->count;
		one->of = w;
		if (begin(one))
			continue;
		(void)!witness_end(w, &none);
		free(none);
		return NULL;
	}
	return w;
}

size_t
witness_end(struct witness *w, struct standstill **ret)
{
	size_t count = 0;
	*ret = NULL;
	if (!w)
		return 0;
	atomic_store(&w->over, true);
	for (size_t i = 0; i < w->count; i++) {
		pthread_join(w->watch[i].thread, NULL);
		count += w->watch[i].count;
	}
	struct standstill *all = calloc(count + 1, sizeof *all);
	if (!all)
		abort();
	for (size_t i = 0, at = 0; i < w->count; i++) {
		memcpy(all + at, w->watch[i].seen, w->watch[i].count * sizeof *all);
		at += w->watch[i].count;
		free(w->watch[i].seen);
	}
	free(w);
	*ret = all;
	return count;
}

/* ---- what they disturb ---- */

static int
by_beginning(const void *x, const void *y)
{
	const struct standstill *a = x, *b = y;
	return a->from_ns < b->from_ns ? -1 : a->from_ns > b->from_ns;
}

size_t
standstills_settle(struct standstill *s, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		s[i].until_ns += (s[i].until_ns - s[i].from_ns) / 4;
		s[i].from_ns -= s[i].from_ns < WITNESS_BEFORE_NS ? s[i].from_ns : WITNESS_BEFORE_NS;
	}
	if (count)
		qsort(s, count, sizeof *s, by_beginning);
	for (size_t i = 0; i < count; i++) {
		if (kept && s[i].from_ns <= s[kept - 1].until_ns)
			s[kept - 1].until_ns = s[i].until_ns > s[kept - 1].until_ns ? s[i].until_ns : s[kept - 1].until_ns;
		else
			s[kept++] = s[i];
	}
	return kept;
}

bool
standstills_have(const struct standstill *s, size_t count, uint64_t at_ns)
{
	size_t from = 0, to = count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (s[middle].until_ns < at_ns)
			from = middle + 1;
		else
			to = middle;
	}
	return from < count && s[from].from_ns <= at_ns;
}
