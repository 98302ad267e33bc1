#include "prove/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { END_MS = 20000, /* a server that was asked to end has its drain behind it by then */
	AGAIN_MS = 50,
	TRIES = 100,
	HOLD_PATH_MAX = 1024 };

/* At most PIPE_BUF bytes: whole, or not at all. */
struct hold {
	pid_t server, store;
	char folder[HOLD_PATH_MAX];
};
_Static_assert(sizeof(struct hold) <= PIPE_BUF, "written in one piece");

static int to_guard = -1;
static struct hold held; /* as it was last told */
static pid_t guard;

void
remove_folder(const char *path)
{
	char below[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || (size_t)snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= sizeof below)
			continue;
		if (unlink(below) != 0)
			remove_folder(below);
	}
	if (dir)
		closedir(dir);
	(void)rmdir(path);
}

/* By a descriptor: the number of a process that has ended may be given to another one. */
static void
end_server(int server)
{
	if (server < 0)
		return;
	struct pollfd p = {.fd = server, .events = POLLIN};
	(void)syscall(SYS_pidfd_send_signal, server, SIGTERM, NULL, 0);
	if (poll(&p, 1, END_MS) <= 0)
		(void)syscall(SYS_pidfd_send_signal, server, SIGKILL, NULL, 0);
	(void)poll(&p, 1, END_MS);
}

/* What the server's processes still write while they end may come in between. */
static void
remove_until_gone(const char *folder)
{
	for (int n = 0; n < TRIES; n++) {
		remove_folder(folder);
		if (access(folder, F_OK) != 0)
			return;
		pause_ms(AGAIN_MS);
	}
}

static void
keep_hold_of(pid_t next, pid_t last, int *fd)
{
	if (next == last)
		return;
	if (*fd >= 0)
		close(*fd);
	*fd = next > 0 ? (int)syscall(SYS_pidfd_open, next, 0) : -1;
}

/* Signals of the terminal are for the run itself; this one ends behind it. */
static _Noreturn void
be_guard(int from_run)
{
	struct hold hold = {0}, next;
	int server = -1, store = -1;
	(void)setsid();
	(void)prctl(PR_SET_NAME, "lethe-guard");
	for (int s = 1; s < NSIG; s++)
		if (s != SIGCHLD)
			(void)signal(s, SIG_IGN);
	while (read(from_run, &next, sizeof next) == (ssize_t)sizeof next) {
		keep_hold_of(next.server, hold.server, &server);
		keep_hold_of(next.store, hold.store, &store);
		hold = next;
	}
	end_server(server);
	end_server(store);
	if (hold.folder[0] != '\0')
		remove_until_gone(hold.folder);
	_exit(0);
}

bool
guard_open(void)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	guard = fork();
	if (guard == 0) {
		close(ends[1]);
		be_guard(ends[0]);
	}
	close(ends[0]);
	if (guard > 0) {
		to_guard = ends[1];
		return true;
	}
	close(ends[1]);
	return false;
}

static void
tell(void)
{
	if (to_guard >= 0)
		(void)!write(to_guard, &held, sizeof held);
}

void
guard_holds(const char *folder, pid_t server)
{
	memset(held.folder, 0, sizeof held.folder);
	snprintf(held.folder, sizeof held.folder, "%s", folder);
	held.server = server;
	tell();
}

void
guard_holds_store(pid_t store)
{
	held.store = store;
	tell();
}

void
guard_close(void)
{
	if (to_guard < 0)
		return;
	close(to_guard);
	to_guard = -1;
	waitpid(guard, NULL, 0);
}

void
pause_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
}
