#include "model/step.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void
child_main(const struct step_child *c, pid_t parent, void (*run)(void *), void *arg)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(1);
	__asm__ volatile("int3");
	run(arg);
	*c->finished = 1;
	__asm__ volatile("int3");
	_exit(0);
}

/* It stopped as expected, or the test can't go on. */
static void
await_trap(const struct step_child *c)
{
	int status;
	if (waitpid(c->pid, &status, 0) == c->pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return;
	fprintf(stderr, "the stepped child did not stop as expected (status %x)\n", status);
	abort();
}

void
step_start(struct step_child *c, void (*run)(void *arg), void *arg)
{
	c->finished = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(c->finished != MAP_FAILED);
	pid_t parent = getpid();
	c->pid = fork();
	assert(c->pid >= 0);
	if (!c->pid)
		child_main(c, parent, run, arg);
	await_trap(c);
}

bool
step_one(struct step_child *c)
{
	if (*c->finished)
		return false;
	if (ptrace(PTRACE_SINGLESTEP, c->pid, NULL, NULL))
		abort();
	await_trap(c);
	return !*c->finished;
}

void
step_finish(struct step_child *c)
{
	if (*c->finished)
		return;
	if (ptrace(PTRACE_CONT, c->pid, NULL, NULL))
		abort();
	await_trap(c);
	assert(*c->finished);
}

void
step_kill(struct step_child *c)
{
	int status;
	kill(c->pid, SIGKILL);
	if (waitpid(c->pid, &status, 0) != c->pid || !WIFSIGNALED(status))
		abort();
	munmap((void *)c->finished, 4096);
}
