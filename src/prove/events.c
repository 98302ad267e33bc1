#include "prove/prove_priv.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { AGAIN_MS = 10000 };

static bool
end_process(struct instance *i, const char *name, int signal_number)
{
	pid_t pid = instance_process(i, name, 0);
	if (pid <= 0 || kill(pid, signal_number) != 0)
		return false;
	/* Until it is gone: what runs then is its successor. */
	const struct timespec pause = {.tv_nsec = 1000000};
	for (int ms = 0; ms < AGAIN_MS && process_status(pid, "PPid", 10) >= 0; ms++)
		nanosleep(&pause, NULL);
	return true;
}

static bool
edge_killed(struct traffic *t)
{
	return end_process(t->i, "lethe-edge", SIGKILL);
}

static bool
edge_faults(struct traffic *t)
{
	return end_process(t->i, "lethe-edge", SIGSEGV);
}

static bool
edge_aborts(struct traffic *t)
{
	return end_process(t->i, "lethe-edge", SIGABRT);
}

static bool
dialer_killed(struct traffic *t)
{
	return end_process(t->i, "lethe-dialer", SIGKILL);
}

static bool
ledger_killed(struct traffic *t)
{
	return end_process(t->i, "lethe-ledger", SIGKILL);
}

static bool
scribe_killed(struct traffic *t)
{
	return end_process(t->i, "lethe-scribe", SIGABRT);
}

static bool
configuration_changed(struct traffic *t)
{
	return instance_change(t->i);
}

/* The ledger; or, where a database has its books, those that work for that: they end when they can't write, and others begin. */
static unsigned
writers_of_books(const struct instance *i, pid_t ledger, pid_t ret[PROCESSES_OF_MAX])
{
	if (i->books.pid <= 0) {
		ret[0] = ledger;
		return ledger > 0;
	}
	unsigned count = processes_of(i->books.pid, ret);
	ret[0] = ret[count - 1]; /* but not the one that starts them */
	return count - 1;
}

/* Who writes the books may write no byte more, as if the disk were full; what is asked meanwhile ends somehow; then it may again. */
static bool
disk_full(struct traffic *t)
{
	pid_t writers[PROCESSES_OF_MAX], ledger = instance_process(t->i, "lethe-ledger", 0);
	unsigned count = writers_of_books(t->i, ledger, writers), full = 0, free_again = 0;
	for (unsigned n = 0; n < count; n++)
		full += instance_limit_files(t->i, writers[n], 0);
	for (int n = 0; full && n < RUNNING_MAX; n++)
		(void)traffic_one(t);
	for (unsigned n = 0; n < count; n++)
		free_again += instance_limit_files(t->i, writers[n], RLIM_INFINITY);
	return full > 0 && (free_again == full || t->i->books.pid > 0);
}

/* To the same binary, by its path; a user who may not go there can't be upgraded. */
static bool
upgraded(struct traffic *t)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	json_t *said = instance_command(t->i, (const char *const[]){"upgrade", "--binary", path, NULL});
	bool done = said != NULL;
	json_decref(said);
	return done;
}

static const struct {
	const char *words;
	bool (*happens)(struct traffic *t);
	bool only_own_user; /* not where the instance runs as somebody else */
} events[] = {
	{"edge killed", edge_killed},
	{"edge faults", edge_faults},
	{"edge aborts", edge_aborts},
	{"dialer killed", dialer_killed},
	{"ledger killed", ledger_killed},
	{"scribe aborts", scribe_killed},
	{"configuration changed", configuration_changed},
	{"disk full", disk_full},
	{"upgraded", upgraded, true},
};

unsigned
events_count(void)
{
	return ARRAY_LEN(events);
}

/*
 * Streams with a key of its own: two edges that die on one key would have it quarantined. What happened before may not be over: a ledger whose disk was full
 * takes neither orders nor requests until it has written again. So it is tried until streams run.
 */
static const char *
begin_in_flight(struct traffic *t, size_t e, struct running *ret)
{
	enum { PAUSE_MS = 100 };
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	char account[40], key[PROVE_KEY_MAX];
	const char *lacks = "";
	for (unsigned ms = 0, begun = 0; ms < AGAIN_MS && begun < TRAFFIC_TRIES; ms += PAUSE_MS) {
		snprintf(account, sizeof account, "event-%zu-%u", e, ms);
		bool has_key = instance_new_key(t->i, account, "100", key);
		lacks = has_key ? "; requests are not answered" : "; no account can be made";
		if (has_key) {
			begun++;
			traffic_begin_running(t, key, &prove_way_running, ret);
		}
		if (ret->count)
			return "";
		nanosleep(&pause, NULL);
	}
	return lacks;
}

static void
run_event(struct traffic *t, size_t e)
{
	struct running r = {0};
	const char *lacks = begin_in_flight(t, e, &r);
	unsigned ran = r.count;
	bool happened = events[e].happens(t), back = instance_await(t->i);
	traffic_end_running(&r);
	if (ran && happened)
		prove_tried(t->p->ways, events[e].words);
	prove_fact(t->p, t->i->kind->name, events[e].words, ran > 0 && happened && back, "%u streams ran%s%s%s", ran, lacks, happened ? "" : "; it could not be made to happen",
		back ? "" : "; the server did not recover");
}

/* Behind the last of them it serves as before. */
static bool
serves_again(struct traffic *t)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	for (int ms = 0; ms < AGAIN_MS; ms += 100) {
		if (traffic_one(t))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

void
events_run(struct traffic *t)
{
	for (size_t e = 0; e < ARRAY_LEN(events); e++) {
		prove_step(t->p, events[e].words);
		if (!events[e].only_own_user || !t->i->kind->readable)
			run_event(t, e);
	}
	bool serves = serves_again(t);
	prove_fact(t->p, t->i->kind->name, "it serves again after all that", serves, serves ? "answered" : "a request is not answered");
}
