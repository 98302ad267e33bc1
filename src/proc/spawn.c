#include "proc/spawn.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

/*
 * Only the supervisor speaks to children: a signal to the whole group or control group must not end an edge in
 * mid-stream.
 */
static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};

static void
signals_for_child(void)
{
	sigset_t none;
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN); /* stays so through execve */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between fork and execve: system calls only. Never returns. */
static _Noreturn void
become(const char *argv0, int stderr_fd, const int *fds, uint32_t count)
{
	int above[SPAWN_FDS_MAX];
	int free_fd = FIRST_FD + (int)count;
	/* First out of the way of the numbers that are to be taken, then into place. */
	int out = fcntl(stderr_fd, F_DUPFD_CLOEXEC, free_fd);
	for (uint32_t i = 0; i < count; i++) {
		above[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, free_fd);
		if (above[i] < 0 || out < 0)
			_exit(SPAWN_FAILED);
	}
	for (int i = 0; i < FIRST_FD; i++)
		if (dup2(out, i) < 0)
			_exit(SPAWN_FAILED);
	for (uint32_t i = 0; i < count; i++)
		if (dup2(above[i], FIRST_FD + (int)i) < 0)
			_exit(SPAWN_FAILED);
	if (close_range((unsigned)free_fd, ~0U, 0) != 0)
		_exit(SPAWN_FAILED);
	signals_for_child();
	char *const argv[] = {(char *)argv0, NULL}, *const environment[] = {NULL};
	execve("/proc/self/exe", argv, environment);
	_exit(SPAWN_FAILED);
}

pid_t
spawn_self(const char *argv0, int stderr_fd, const int *fds, uint32_t count)
{
	assert(count <= SPAWN_FDS_MAX);
	pid_t pid = fork();
	if (pid == 0)
		become(argv0, stderr_fd, fds, count);
	return pid;
}
