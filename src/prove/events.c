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

/* The ledger may write no byte more, as if the disk were full; what is asked meanwhile ends somehow; then it may again. */
static bool
disk_full(struct traffic *t)
{
	pid_t ledger = instance_process(t->i, "lethe-ledger", 0);
	if (ledger <= 0 || !instance_limit_files(t->i, ledger, 0))
		return false;
	for (int n = 0; n < RUNNING_MAX; n++)
		(void)traffic_one(t);
	bool given_back = instance_limit_files(t->i, ledger, RLIM_INFINITY), again = false;
	const struct timespec pause = {.tv_nsec = 100000000};
	for (int ms = 0; ms < AGAIN_MS && !again; ms += 100) {
		again = traffic_one(t);
		if (!again)
			nanosleep(&pause, NULL);
	}
	return given_back && again;
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

/* With a key of its own: two edges that die on one key would have it quarantined. */
static void
run_event(struct traffic *t, size_t e)
{
	char account[32], key[PROVE_KEY_MAX];
	struct running r = {0};
	snprintf(account, sizeof account, "event-%zu", e);
	bool has_key = instance_new_key(t->i, account, "100", key);
	if (has_key)
		traffic_begin_running(t, key, &prove_way_running, &r);
	unsigned ran = r.count;
	bool happened = events[e].happens(t), back = instance_await(t->i);
	traffic_end_running(&r);
	prove_fact(t->p, t->i->kind->name, events[e].words, ran > 0 && happened && back, "%u streams ran%s%s", ran, happened ? "" : "; it could not be made to happen",
		back ? "" : "; the server did not recover");
}

void
events_run(struct traffic *t)
{
	for (size_t e = 0; e < ARRAY_LEN(events); e++) {
		prove_step(t->p, events[e].words);
		if (!events[e].only_own_user || !t->i->kind->readable)
			run_event(t, e);
	}
}
