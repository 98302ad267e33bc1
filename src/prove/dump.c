/*
 * What a debugger gets that stops an edge while content is in flight, and writes down its memory and registers, as gcore does: by root, from outside. Where the
 * kernel gives content memory to nobody it must get no content; where it can be read this must find some, or it is blind.
 */
#include "prove/prove_priv.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shorter than the second in which the supervisor sees it. */
enum { STOPS = 200,
	BETWEEN_US = 500,
	REGISTERS_MAX = 16 << 10 };

struct dump {
	unsigned stops;
	uint64_t searched_bytes, sealed_bytes;
	bool began;
};

static bool
stop_again(pid_t pid)
{
	int status;
	return ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
}

#if defined(__x86_64__)
/* In the middle of its work a few bytes pass through registers: that is no secret. But none may stay there where it waits. */
static bool
is_waiting(pid_t pid)
{
	struct user_regs_struct r;
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) != 0)
		return false;
	return r.orig_rax == SYS_epoll_wait || r.orig_rax == SYS_epoll_pwait || r.orig_rax == SYS_epoll_pwait2;
}
#else
static bool
is_waiting(pid_t pid)
{
	return false;
}
#endif

/* General ones, and those that memory is copied through. */
static void
search_registers(struct search *s, pid_t pid)
{
	static const unsigned sets[] = {NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE};
	unsigned char at[REGISTERS_MAX];
	for (size_t n = 0; n < ARRAY_LEN(sets); n++) {
		struct iovec v = {at, sizeof at};
		if (ptrace(PTRACE_GETREGSET, pid, (void *)(uintptr_t)sets[n], &v) == 0)
			search_bytes(s, at, v.iov_len, "registers of lethe-edge, which waits");
	}
}

/* Registers many times, then memory. */
static void
dump_edge(struct search *s, pid_t pid, struct dump *d)
{
	const struct timespec between = {.tv_nsec = BETWEEN_US * 1000L};
	struct place place = {0};
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return;
	d->began = true;
	for (unsigned n = 0; n < STOPS && stop_again(pid); n++) {
		if (is_waiting(pid)) {
			search_registers(s, pid);
			d->stops++;
		}
		if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
			break;
		nanosleep(&between, NULL);
	}
	if (stop_again(pid))
		place_process(s, pid, &place);
	d->searched_bytes += place.searched_bytes;
	d->sealed_bytes += place.sealed_bytes;
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

void
dump_run(struct traffic *t, bool sealed)
{
	char key[PROVE_KEY_MAX];
	struct running r = {0};
	struct dump d = {0};
	struct search s;
	pid_t edge = 0;
	bool readable = t->i->kind->readable;
	if (geteuid() != 0 || (!readable && !sealed))
		return;
	prove_step(t->p, "a debugger that dumps");
	if (instance_new_key(t->i, "dumped", "100", key))
		traffic_begin_running(t, key, &prove_way_running, &r);
	unsigned ran = r.count;
	search_open(&s, &t->p->canaries);
	for (unsigned tries = 0; tries < 2 && (!readable || s.finding_count == 0); tries++) { /* streams may all be the other's */
		edge = instance_process(t->i, "lethe-edge", edge);
		if (edge)
			dump_edge(&s, edge, &d);
	}
	bool found = s.finding_count > 0, back = instance_await(t->i);
	traffic_end_running(&r);
	if (found && !readable)
		prove_findings(t->p, t->i->kind->name, "dumped in flight", &s);
	prove_fact(t->p, t->i->kind->name, readable ? "a debugger's dump has content where memory can be read" : "a debugger's dump of an edge has no content",
		d.began && d.stops && ran && back && found == readable, "%u streams ran, memory %llu bytes, %llu more given to nobody, registers at %u stops in its wait: %u marks", ran,
		(unsigned long long)d.searched_bytes, (unsigned long long)d.sealed_bytes, d.stops, s.finding_count);
	search_close(&s);
}
