/*
 * What somebody could do who has taken over an edge, or is root beside it: calls made by the edge itself, at the instruction where it waits; and a
 * debugger that attaches. Needs root, and x86-64, whose registers it sets.
 */
#include "prove/guard.h"
#include "prove/prove_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The supervisor looks each second, and gives the edge one more to wipe; the rest is for machines with much to do. */
enum { WATCH_MS = 20000,
	REPORT_MS = 10000,
	SYSCALL_BYTES = 2 };

enum end { ENDED, /* by its filter */
	REFUSED, /* by its filter, and lives on */
	WATCHED, /* ended because it was traced */
	WENT_ON,
	NOT_TRIED };

static const char *const end_words[] = {"the edge ended at once", "refused", "the edge was ended as traced", "IT WENT ON", "it could not be tried"};

/* Lines of the log that have these words. */
static unsigned
log_lines(const struct instance *i, const char *words)
{
	char path[INSTANCE_PATH_MAX + 32], line[2048];
	unsigned count = 0;
	snprintf(path, sizeof path, "%s/lethe.log", i->folder);
	FILE *log = fopen(path, "re");
	while (log && fgets(line, sizeof line, log))
		count += strstr(line, words) != NULL;
	if (log)
		fclose(log);
	return count;
}

#if defined(__x86_64__)
#define DIED "\"CHILD_DIED\""

/* A path or an address is not needed: the filter answers before anybody looks at it. */
static const struct attack {
	const char *words;
	long nr;
	unsigned long long args[3];
} attacks[] = {
	{"a file is opened to be written", SYS_openat, {(unsigned long long)-100, 0, 0101}},
	{"a file is opened to be read", SYS_open, {0, 0, 0}},
	{"a file is made", SYS_creat, {0, 0600, 0}},
	{"a file is written to", SYS_pwrite64, {1, 0, 1}},
	{"a socket is made", SYS_socket, {2, 1, 0}},
	{"a socket is connected", SYS_connect, {3, 0, 16}},
	{"a program is executed", SYS_execve, {0, 0, 0}},
	{"a process is made", SYS_fork, {0, 0, 0}},
};

static bool
stop_it(pid_t pid)
{
	int status;
	return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 && ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
}

static enum end
outcome_of(pid_t pid, int status, const struct user_regs_struct *before)
{
	struct user_regs_struct now;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? ENDED : WATCHED;
	if (!WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, pid, NULL, &now) != 0)
		return WATCHED;
	bool refused = (long long)now.rax == -EACCES;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, before);
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return refused ? REFUSED : WENT_ON;
}

static enum end
make_it_call(pid_t pid, const struct attack *a)
{
	struct user_regs_struct before, then;
	int status;
	if (!stop_it(pid) || ptrace(PTRACE_GETREGS, pid, NULL, &before) != 0)
		return NOT_TRIED;
	then = before;
	then.rip -= SYSCALL_BYTES; /* it waits in a system call: the same instruction once more */
	then.rax = (unsigned long long)a->nr;
	then.orig_rax = (unsigned long long)-1;
	then.rdi = a->args[0];
	then.rsi = a->args[1];
	then.rdx = a->args[2];
	then.r10 = then.r8 = then.r9 = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &then) != 0 || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, __WALL) != pid)
		return NOT_TRIED;
	return outcome_of(pid, status, &before);
}

/* Its end is reported; what the scribe has not written down yet is waited for. */
static bool
is_reported(const struct instance *i, enum end end, unsigned before)
{
	for (int ms = 0; end == ENDED && log_lines(i, DIED) <= before; ms++) {
		if (ms == REPORT_MS)
			return false;
		pause_ms(1);
	}
	return true;
}

static void
attack_all(struct prove *p, struct instance *i)
{
	for (size_t a = 0; a < ARRAY_LEN(attacks); a++) {
		unsigned died = log_lines(i, DIED);
		pid_t edge = instance_process(i, "lethe-edge", 0);
		enum end end = edge ? make_it_call(edge, &attacks[a]) : NOT_TRIED;
		bool back = instance_await(i), told = is_reported(i, end, died);
		char fact[100];
		snprintf(fact, sizeof fact, "from inside an edge: %s", attacks[a].words);
		prove_fact(p, i->kind->name, fact, back && told && (end == ENDED || end == WATCHED), "%s%s%s", end_words[end], told ? "" : "; the log says nothing",
			back ? "" : "; the server did not recover");
	}
}
#else
static void
attack_all(struct prove *p, struct instance *i)
{
}
#endif

/* A debugger that does nothing but hold on. Milliseconds until the edge is gone; WATCH_MS: it stays. */
static int
hold_on(pid_t pid)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct timespec from, now;
	int status, ms = 0;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return WATCH_MS;
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (ms < WATCH_MS) {
		pid_t got = waitpid(pid, &status, WNOHANG | __WALL);
		if (got == pid && (WIFEXITED(status) || WIFSIGNALED(status)))
			return ms;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		ms = (int)((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000);
	}
	return WATCH_MS;
}

void
attack_edges(struct prove *p, struct instance *i)
{
	prove_step(p, "attacks from inside");
	if (geteuid() != 0)
		return;
	attack_all(p, i);
	pid_t edge = instance_process(i, "lethe-edge", 0);
	int ms = edge ? hold_on(edge) : WATCH_MS;
	bool back = instance_await(i), told = log_lines(i, "\"TRACED\"") > 0;
	prove_fact(p, i->kind->name, "an edge that is traced wipes and ends, and the log says so", ms < WATCH_MS && told && back,
		"gone after %d ms%s%s", ms, told ? "" : "; the log says nothing", back ? "" : "; the server did not recover");
}
