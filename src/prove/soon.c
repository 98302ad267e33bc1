/*
 * How soon content is gone: endpoints are answered, a few at a time, and within 100 ms of the last byte of each answer the edges are held still and all of their
 * memory is searched. Needs memory that can be read.
 */
#include "prove/prove_priv.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * A machine that has much to do may not have let an edge run in all that time: then it is tried again. An edge that waits has done all that it had to do; what is
 * found in such a one, and not once only, is wiped late by construction. Few at a time, so that none is old when it is looked at.
 */
enum { SOON_MS = 100,
	LOOK_MS = 90,
	AT_A_TIME = 6,
	SOON_TRIES = 20,
	SOON_LATE = 3 };

static uint64_t
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned
edges_of(const struct instance *i, pid_t ret[PROCESSES_OF_MAX])
{
	pid_t pids[PROCESSES_OF_MAX];
	char name[32];
	unsigned count = i->pid > 0 ? processes_of(i->pid, pids) : 0, edges = 0;
	for (unsigned n = 0; n < count; n++) {
		process_name(pids[n], name);
		if (strcmp(name, "lethe-edge") == 0)
			ret[edges++] = pids[n];
	}
	return edges;
}

struct seen {
	unsigned answered, by_h2, again;
	uint64_t oldest_us; /* at most so long ago the last byte of any had come when memory was looked at */
	bool left; /* in edges that waited */
};

struct group {
	enum prove_endpoint first;
	unsigned count, late; /* late: how often something was left in edges that waited */
};

enum looked { LOOKED_GONE,
	LOOKED_LEFT,
	LOOKED_UNSURE };

/* It sleeps, as the kernel says: nothing is there that it would have to do. */
static bool
waits(pid_t pid)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	FILE *stat = fopen(path, "re");
	const char *name_end = stat && fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
	if (stat)
		fclose(stat);
	return name_end && strncmp(name_end, ") S", 3) == 0;
}

/* Whether all of them waited when they were stopped. */
static bool
search_edges(struct traffic *t, struct search *s)
{
	pid_t edges[PROCESSES_OF_MAX];
	struct place place = {0};
	unsigned count = edges_of(t->i, edges), waited = 0;
	for (unsigned n = 0; n < count; n++) {
		waited += waits(edges[n]);
		(void)kill(edges[n], SIGSTOP);
	}
	for (unsigned n = 0; n < count; n++) {
		place_process(s, edges[n], &place);
		(void)kill(edges[n], SIGCONT);
	}
	return count > 0 && waited == count;
}

/* From before they are asked, so no last byte is older. */
static enum looked
look_at_group(struct traffic *t, const struct client *c, struct group *g, struct seen *seen)
{
	uint64_t from = now_us(), look = from + LOOK_MS * 1000;
	unsigned h2_before = t->passed_h2, passed = traffic_answered(t, c, g->first, g->count), by_h2 = t->passed_h2 - h2_before;
	for (uint64_t now = now_us(); now < look; now = now_us()) {
		const struct timespec pause = {.tv_nsec = (long)(look - now) * 1000};
		nanosleep(&pause, NULL);
	}
	uint64_t age = now_us() - from;
	struct search s;
	search_open(&s, &t->p->canaries);
	bool waited = search_edges(t, &s), left = s.finding_count > 0;
	g->late += waited && left;
	if (g->late == SOON_LATE)
		prove_findings(t->p, t->i->kind->name, "100 ms after its end", &s);
	search_close(&s);
	if (left || age > SOON_MS * 1000)
		return g->late == SOON_LATE ? LOOKED_LEFT : LOOKED_UNSURE;
	seen->answered += passed;
	seen->by_h2 += by_h2;
	seen->oldest_us = age > seen->oldest_us ? age : seen->oldest_us;
	return LOOKED_GONE;
}

static void
try_all(struct traffic *t, const struct client *c, struct seen *seen)
{
	for (unsigned e = 0; e < PROVE_ENDPOINT_COUNT && !seen->left; e += AT_A_TIME) {
		struct group g = {(enum prove_endpoint)e, PROVE_ENDPOINT_COUNT - e < AT_A_TIME ? PROVE_ENDPOINT_COUNT - e : AT_A_TIME, 0};
		enum looked looked = LOOKED_UNSURE;
		for (unsigned tries = 0; tries < SOON_TRIES && looked == LOOKED_UNSURE; tries++) {
			looked = look_at_group(t, c, &g, seen);
			seen->again += looked == LOOKED_UNSURE;
		}
		seen->left = looked == LOOKED_LEFT;
	}
}

unsigned
soon_room(void)
{
	return 2 * SOON_TRIES * PROVE_ENDPOINT_COUNT;
}

void
soon_run(struct traffic *t)
{
	struct client c = t->i->client;
	struct seen seen = {0};
	if (!t->i->kind->readable)
		return;
	prove_step(t->p, "right behind the last byte");
	c.h2 = c.h2_alone = false;
	try_all(t, &c, &seen);
	c.h2_alone = true;
	try_all(t, &c, &seen);
	prove_fact(t->p, t->i->kind->name, "right behind the last byte of an answer nothing is left of it in an edge", !seen.left && seen.answered == 2 * PROVE_ENDPOINT_COUNT,
		"%u answers, %u by HTTP/2, none older than %.1f ms when all memory was searched; %u looks once more", seen.answered, seen.by_h2, (double)seen.oldest_us / 1000, seen.again);
}
