/* `lethe reload`, `lethe upgrade`: the signal, and what came of it (reload.c, upgrade.c). */
#include "proc/cli_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 20,
	NAMED_WITHIN_MS = 5000, /* a supervisor that becomes another binary has no name of its own for a moment */
	RESULT_MAX = 32 << 10 };

struct result {
	uint64_t begun, done;
	long pid; /* who wrote it */
	char word[16]; /* of what is done: applied, same, refused; or begun */
	char text[RESULT_MAX];
};

static ssize_t
read_file(const struct cli *cli, const char *name, char *buf, size_t cap)
{
	char path[PATH_MAX];
	if ((size_t)snprintf(path, sizeof path, "%s/%s", cli->data_dir, name) >= sizeof path)
		return -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, buf, cap - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

static bool
is_held(const struct cli *cli)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/lock", cli->data_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	return held;
}

static void
look_again_later(void)
{
	nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

/* False only where it can be seen: a unit with ProtectProc= shows nobody a process that lets nobody look. */
static bool
may_be_supervisor(pid_t pid)
{
	char path[64], comm[32] = "";
	snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return kill(pid, 0) == 0 || errno == EPERM;
	ssize_t n = read(fd, comm, sizeof comm - 1);
	close(fd);
	return n > 0 && strcmp(comm, "lethe-super\n") == 0;
}

/* Who holds the lock and says so, with an endpoint: a command that is the ledger for a moment has none. 0: no server. */
static pid_t
server(const struct cli *cli)
{
	char text[32], endpoint[8];
	for (int waited = 0; waited < NAMED_WITHIN_MS; waited += LOOK_MS) {
		if (read_file(cli, "lock", text, sizeof text) <= 0 || read_file(cli, "endpoint", endpoint, sizeof endpoint) < 0 || !is_held(cli))
			return 0;
		long pid = strtol(text, NULL, 10);
		if (pid > 1 && may_be_supervisor((pid_t)pid))
			return (pid_t)pid;
		look_again_later();
	}
	return 0;
}

/* False: no such file. */
static bool
read_result(const struct cli *cli, const char *name, struct result *ret)
{
	char buf[RESULT_MAX], *end;
	*ret = (struct result){0};
	if (read_file(cli, name, buf, sizeof buf) <= 0)
		return false;
	ret->begun = strtoull(buf, &end, 10);
	ret->done = strtoull(end, &end, 10);
	char *line = strchr(end, '\n');
	if (!line)
		return true;
	*line = '\0';
	end += strspn(end, " ");
	size_t word = strcspn(end, " ");
	snprintf(ret->word, sizeof ret->word, "%.*s", (int)word, end);
	ret->pid = strtol(end + word, NULL, 10);
	snprintf(ret->text, sizeof ret->text, "%s", line + 1);
	return true;
}

/*
 * False: the server is gone. One whose oldest edges still have work may take `timeouts.drain`. It keeps its lock when it becomes another binary,
 * and its name does not.
 */
static bool
await(const struct cli *cli, const char *name, uint64_t beyond, struct result *ret)
{
	for (;;) {
		(void)!read_result(cli, name, ret);
		if (ret->done > beyond)
			return true;
		if (!is_held(cli))
			return false;
		look_again_later();
	}
}

static void
show(const struct cli *cli, const struct result *r, bool good)
{
	if (!cli->json) {
		fputs(r->text, good ? stdout : stderr);
		return;
	}
	json_t *lines = json_array();
	for (const char *at = r->text, *end; (end = strchr(at, '\n')); at = end + 1)
		json_array_append_new(lines, json_stringn(at, (size_t)(end - at)));
	json_t *answer = good ? json_pack("{s:b, s:s, s:o}", "ok", 1, "result", r->word, "said", lines)
						  : json_pack("{s:b, s:{s:s, s:s}, s:o}", "ok", 0, "error", "code", "refused", "message",
								"nothing was changed: `said` tells why", "said", lines);
	cli_print_json(answer);
	json_decref(answer);
}

static int
tell(const struct cli *cli, pid_t pid, const char *name, int number)
{
	static struct result before, now;
	(void)!read_result(cli, name, &before);
	if (kill(pid, number) != 0)
		return cli_fail(cli, CLI_UNREACHABLE, "not_allowed", "process %ld can't be told: %s – run this command as the server's user or as root", (long)pid, strerror(errno));
	/* An upgrade that runs already is waited for; a reload that does may have read the files before they were changed. */
	if (!await(cli, name, number == SIGHUP ? before.begun : before.done, &now))
		return cli_fail(cli, CLI_UNREACHABLE, "server_gone", "the server ended meanwhile; its log says why");
	bool good = strcmp(now.word, "refused") != 0;
	show(cli, &now, good);
	return good ? CLI_OK : CLI_REFUSED;
}

static int
no_server(const struct cli *cli)
{
	return cli_fail(cli, CLI_UNREACHABLE, "no_server", "no server runs on %s that this user can see – give its directory with --data", cli->data_dir);
}

int
cli_reload(struct cli *cli, json_t *request)
{
	pid_t pid = server(cli);
	return pid ? tell(cli, pid, "reload", SIGHUP) : no_server(cli);
}

/* For the supervisor to read, as whoever it runs as: the directory is his and closed to others. */
static bool
write_request(const struct cli *cli, const char *binary)
{
	char path[PATH_MAX];
	size_t len = strlen(binary);
	if ((size_t)snprintf(path, sizeof path, "%s/upgrade.request", cli->data_dir) >= sizeof path)
		return false;
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool written = fd >= 0 && write(fd, binary, len) == (ssize_t)len && fchmod(fd, 0644) == 0;
	if (fd >= 0)
		close(fd);
	return written;
}

int
cli_upgrade(struct cli *cli, json_t *request)
{
	static struct result is;
	char binary[PATH_MAX];
	const char *given = json_string_value(json_object_get(request, "binary"));
	pid_t pid = server(cli);
	if (pid == 0)
		return no_server(cli);
	/* The signal would end a server of such a version; the file may be another's that was killed. */
	if (!read_result(cli, "upgrade", &is) || is.pid != (long)pid)
		return cli_fail(cli, CLI_REFUSED, "too_old", "the version that runs can't be upgraded while it runs (or this user may not look into %s) – restart it, this once", cli->data_dir);
	if (given && !realpath(given, binary))
		return cli_fail(cli, CLI_REFUSED, "no_binary", "%s can't be found: %s", given, strerror(errno));
	if (given && !write_request(cli, binary))
		return cli_fail(cli, CLI_UNREACHABLE, "not_allowed", "%s can't be written: %s – run this command as the server's user or as root", cli->data_dir, strerror(errno));
	return tell(cli, pid, "upgrade", SIGUSR2);
}
