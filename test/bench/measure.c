#include "measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Up to HISTOGRAM_FINE a bucket each; then as many buckets for every doubling. */
static size_t
bucket_of(uint64_t ns)
{
	if (ns < HISTOGRAM_FINE)
		return ns;
	unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_FINE_BITS;
	size_t at = (shift + 1) * HISTOGRAM_FINE + (ns >> shift) % HISTOGRAM_FINE;
	size_t most = HISTOGRAM_OCTAVES * HISTOGRAM_FINE - 1;
	return at < most ? at : most;
}

/* Largest value of a bucket. */
static uint64_t
bucket_end(size_t at)
{
	size_t octave = at / HISTOGRAM_FINE, fine = at % HISTOGRAM_FINE;
	return octave ? ((HISTOGRAM_FINE + fine + 1) << (octave - 1)) - 1 : fine;
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
	h->bucket[bucket_of(ns)]++;
	h->count++;
}

uint64_t
histogram_percentile(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count + 0.999999), seen = 0;
	for (size_t i = 0; i < ARRAY_LEN(h->bucket); i++) {
		seen += h->bucket[i];
		if (seen && seen >= wanted)
			return bucket_end(i);
	}
	return 0;
}

bool
cpu_group_parse(char *text, struct cpu_group *ret)
{
	char *equals = strchr(text, '=');
	struct cpu_group g = {.label = text};
	if (!equals)
		return false;
	*equals = 0;
	for (char *at = equals + 1, *end; *at; at = *end ? end + 1 : end) {
		long pid = strtol(at, &end, 10);
		if (end == at || pid <= 0 || (*end && *end != ',') || g.pids == CPU_PIDS_MAX)
			return false;
		g.pid[g.pids++] = (int)pid;
	}
	*ret = g;
	return g.pids > 0;
}

static bool
thread_read(const char *path, uint64_t *sum)
{
	unsigned long long run;
	FILE *f = fopen(path, "r");
	if (!f)
		return false;
	bool read = fscanf(f, "%llu", &run) == 1;
	fclose(f);
	*sum += read ? run : 0;
	return read;
}

static bool
process_read(int pid, uint64_t *sum)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *d = opendir(path);
	size_t threads = 0;
	if (!d)
		return false;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
		threads += thread_read(path, sum);
	}
	closedir(d);
	return threads > 0;
}

bool
cpu_group_read(const struct cpu_group *g, uint64_t *ret_ns)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < g->pids; i++)
		if (!process_read(g->pid[i], &sum))
			return false;
	*ret_ns = sum;
	return true;
}

bool
cpu_machine_read(uint64_t *ret_ns)
{
	enum { IDLE = 3,
		IOWAIT = 4,
		KINDS = 7 }; /* what follows is time of others: stolen, or counted already */
	unsigned long long ticks[KINDS], sum = 0;
	FILE *f = fopen("/proc/stat", "r");
	if (!f)
		return false;
	int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1], &ticks[2], &ticks[3],
		&ticks[4], &ticks[5], &ticks[6]);
	fclose(f);
	if (n != KINDS)
		return false;
	for (int i = 0; i < KINDS; i++)
		sum += i == IDLE || i == IOWAIT ? 0 : ticks[i];
	*ret_ns = sum * (1000000000u / (unsigned long long)sysconf(_SC_CLK_TCK));
	return true;
}

uint64_t
cpu_self_read(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
