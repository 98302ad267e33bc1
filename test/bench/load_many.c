/*
 * The load generator in several processes, where one could not open all the descriptors or would
 * not keep up. Each opens its part and says so; then all count between the same two instants, and
 * the one that began them reads the CPU time at these.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_NS = 10000000 };

struct part {
	struct load_counts counts;
	struct histogram latency;
	unsigned streaming, alive, resumed_now;
	char first_error[512];
};

struct many {
	atomic_uint settled; /* processes that have opened all they could */
	atomic_uint_fast64_t begin_ns, end_ns; /* 0: not known yet */
	atomic_bool read; /* CPU times at the end are taken: the processes may go */
	struct part part[LOAD_PROCESSES_MAX];
};

static void
sleep_until(uint64_t at_ns)
{
	struct timespec t = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static struct load_options
options_of(const struct load_options *all, unsigned process)
{
	struct load_options o = *all;
	o.process = process;
	o.connections = all->connections / all->processes + (process < all->connections % all->processes);
	o.opens = all->opens / all->processes ? all->opens / all->processes : 1;
	o.rate = all->mode == LOAD_REQUESTS ? all->rate / all->processes : all->rate;
	return o;
}

/* ---- a part ---- */

static void
run_part(struct many *m, const struct load_options *o)
{
	static struct load l;
	struct part *p = &m->part[o->process];
	load_init(&l, o);
	load_open_all(&l);
	atomic_fetch_add(&m->settled, 1);
	while (!atomic_load(&m->begin_ns))
		load_run(&l, net_now_ns() + SLICE_NS);
	load_run(&l, atomic_load(&m->begin_ns));
	uint64_t opening_errors = l.counts.errors;
	load_reset_counts(&l);
	l.counts.errors = opening_errors;
	load_run(&l, atomic_load(&m->end_ns));
	*p = (struct part){.counts = l.counts, .latency = l.latency, .streaming = l.streaming, .alive = l.alive, .resumed_now = load_resumed_now(&l)};
	memcpy(p->first_error, l.first_error, sizeof p->first_error);
	while (!atomic_load(&m->read))
		load_run(&l, net_now_ns() + SLICE_NS);
	load_finish(&l);
}

static int
begin_part(struct many *m, const struct load_options *all, unsigned process)
{
	pid_t parent = getpid(), child = fork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	struct load_options o = options_of(all, process);
	run_part(m, &o);
	_exit(0);
}

/* ---- all parts ---- */

static bool
one_ended(const struct cpu_group *parts)
{
	for (size_t i = 0; i < parts->pids; i++)
		if (waitpid(parts->pid[i], NULL, WNOHANG) != 0)
			return true;
	return false;
}

/* False: one of them ended before. */
static bool
wait_settled(struct many *m, const struct cpu_group *parts)
{
	while (atomic_load(&m->settled) < parts->pids) {
		if (one_ended(parts))
			return false;
		sleep_until(net_now_ns() + SLICE_NS);
	}
	return true;
}

static bool
wait_ended(const struct cpu_group *parts)
{
	bool good = true;
	for (size_t i = 0; i < parts->pids; i++) {
		int status = 0;
		good = waitpid(parts->pid[i], &status, 0) == parts->pid[i] && status == 0 && good;
	}
	return good;
}

static void
add_part(struct load *l, const struct part *p)
{
#define X(name) l->counts.name += p->counts.name;
	LOAD_COUNTERS(X)
#undef X
	for (size_t i = 0; i < ARRAY_LEN(p->latency.bucket); i++)
		l->latency.bucket[i] += p->latency.bucket[i];
	l->latency.count += p->latency.count;
	l->streaming += p->streaming;
	l->alive += p->alive;
	l->resumed_now += p->resumed_now;
	if (!l->first_error[0])
		memcpy(l->first_error, p->first_error, sizeof l->first_error);
}

static int
measure(struct many *m, const struct load_options *o, const struct cpu_group *parts)
{
	static struct load sum;
	sum.options = o;
	uint64_t begin_ns = net_now_ns() + SLICE_NS + (uint64_t)(o->warmup * 1e9), end_ns = begin_ns + (uint64_t)(o->seconds * 1e9);
	atomic_store(&m->end_ns, end_ns);
	atomic_store(&m->begin_ns, begin_ns);
	sleep_until(begin_ns);
	struct load_reading before = load_read_cpu(o, parts);
	sleep_until(end_ns);
	struct load_reading spent = load_since(&before, load_read_cpu(o, parts));
	atomic_store(&m->read, true);
	if (!wait_ended(parts))
		return 1;
	for (size_t i = 0; i < parts->pids; i++)
		add_part(&sum, &m->part[i]);
	load_report(&sum, "end", (double)(end_ns - begin_ns) / 1e9, &spent);
	return 0;
}

int
load_many(const struct load_options *o)
{
	struct many *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cpu_group parts = {.label = "self"};
	if (m == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < o->processes; i++) {
		int pid = begin_part(m, o, i);
		if (pid < 0)
			break;
		parts.pid[parts.pids++] = pid;
	}
	int status = parts.pids == o->processes && wait_settled(m, &parts) ? measure(m, o, &parts) : 1;
	if (status)
		fputs("lethe-load: one of its processes ended\n", stderr); /* and the others will, with this one */
	munmap(m, sizeof *m);
	return status;
}
