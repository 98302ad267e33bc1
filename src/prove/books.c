#include "prove/books.h"

#include "prove/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 30000,
	END_MS = 20000,
	WORDS_MAX = 24 };

/* One of its programs, as its user; what that says goes into the file `said`. */
static pid_t
begin(const struct books *g, const char *program, const char *const words[])
{
	char path[BOOKS_PATH_MAX];
	const char *all[WORDS_MAX + 2] = {path}; /* they look for each other beside it */
	static const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
	snprintf(path, sizeof path, "%s/%s", g->programs, program);
	for (size_t n = 0; n < WORDS_MAX && words[n]; n++)
		all[n + 1] = words[n];
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(g->user, g->user, g->user) != 0 || setresuid(g->user, g->user, g->user) != 0))
		_exit(126);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = chdir(g->folder) == 0 ? open("said", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (in >= 0 && out >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
		execve(path, (char *const *)(uintptr_t)all, (char *const *)(uintptr_t)environment);
	_exit(127);
}

static bool
runs_well(const struct books *g, const char *program, const char *const words[])
{
	int status = 1;
	pid_t pid = begin(g, program, words);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool
has_ended(struct books *g)
{
	if (g->pid > 0 && waitpid(g->pid, NULL, WNOHANG) == g->pid)
		g->pid = 0;
	return g->pid <= 0;
}

static bool
make_folder(struct books *g, const char *below)
{
	snprintf(g->folder, sizeof g->folder, "%s/postgres", below);
	snprintf(g->pages, sizeof g->pages, "%s/books/base", g->folder);
	snprintf(g->journal, sizeof g->journal, "%s/books/pg_wal", g->folder);
	return mkdir(g->folder, 0700) == 0 && chown(g->folder, g->user, (gid_t)-1) == 0;
}

/* What is made here is thrown away: nothing is synced. WAL segments of a megabyte, so that searching them takes no time. */
static bool
make_books(const struct books *g)
{
	return runs_well(g, "initdb",
		(const char *const[]){"-D", "books", "-U", "lethe", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync", "--wal-segsize=1", NULL});
}

static bool
start(struct books *g)
{
	char sockets[BOOKS_PATH_MAX + 32];
	snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", g->folder);
	g->pid = begin(g, "postgres",
		(const char *const[]){"-D", "books", "-c", "listen_addresses=", "-c", sockets, "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_wal_size=64MB", NULL});
	guard_holds_store(g->pid > 0 ? g->pid : 0);
	for (int ms = 0; ms < START_MS && !has_ended(g); ms += 50, pause_ms(50))
		if (runs_well(g, "pg_isready", (const char *const[]){"-q", "-h", g->folder, NULL}))
			return true;
	return false;
}

static void
read_end(const struct books *g, char *ret, size_t cap)
{
	char path[BOOKS_PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/said", g->folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = fd < 0 ? 0 : pread(fd, ret, cap - 1, size > (off_t)cap - 1 ? size - (off_t)cap + 1 : 0);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
}

bool
books_can_be(const char *programs, char why[BOOKS_WHY_MAX])
{
	static const char *const wanted[] = {"initdb", "postgres", "pg_isready", "psql"};
	for (size_t n = 0; n < ARRAY_LEN(wanted); n++) {
		char path[BOOKS_PATH_MAX];
		snprintf(path, sizeof path, "%s/%s", programs, wanted[n]);
		if (access(path, X_OK) == 0)
			continue;
		snprintf(why, BOOKS_WHY_MAX, "%.400s: %s – give the folder of PostgreSQL's programs, for example /usr/lib/postgresql/15/bin", path, strerror(errno));
		return false;
	}
	return true;
}

bool
books_open(struct books *g, const char *programs, const char *below, uid_t user, char why[BOOKS_WHY_MAX])
{
	*g = (struct books){.programs = programs, .user = user};
	if (make_folder(g, below) && make_books(g) && start(g))
		return true;
	size_t len = (size_t)snprintf(why, BOOKS_WHY_MAX, "PostgreSQL does not start: ");
	read_end(g, why + len, BOOKS_WHY_MAX - len);
	books_stop(g);
	return false;
}

void
books_address(const struct books *g, char *ret, size_t cap)
{
	snprintf(ret, cap, "postgres://lethe@/postgres?host=%s", g->folder);
}

bool
books_say(const struct books *g, const char *sql)
{
	return runs_well(g, "psql", (const char *const[]){"-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", g->folder, "-U", "lethe", "-d", "postgres", "-c", sql, "-c", "CHECKPOINT", NULL});
}

void
books_stop(struct books *g)
{
	if (g->pid > 0) {
		kill(g->pid, SIGINT); /* sessions are ended, then all is written */
		for (int ms = 0; ms < END_MS && !has_ended(g); ms += 5)
			pause_ms(5);
	}
	if (g->pid > 0) {
		kill(g->pid, SIGQUIT);
		waitpid(g->pid, NULL, 0);
		g->pid = 0;
	}
	guard_holds_store(0);
}
