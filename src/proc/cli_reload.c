/* `lethe reload`: the signal, and what came of it (reload.c). */
#include "proc/cli_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 20,
	RESULT_MAX = 32 << 10 };

struct result {
	uint64_t begun, done;
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
	if (read_file(cli, "lock", text, sizeof text) <= 0 || read_file(cli, "endpoint", endpoint, sizeof endpoint) < 0 || !is_held(cli))
		return 0;
	long pid = strtol(text, NULL, 10);
	return pid > 1 && may_be_supervisor((pid_t)pid) ? (pid_t)pid : 0;
}

/* No file: no reload yet. */
static void
read_result(const struct cli *cli, struct result *ret)
{
	char buf[RESULT_MAX], *end;
	*ret = (struct result){0};
	if (read_file(cli, "reload", buf, sizeof buf) <= 0)
		return;
	ret->begun = strtoull(buf, &end, 10);
	ret->done = strtoull(end, &end, 10);
	char *line = strchr(end, '\n');
	if (!line)
		return;
	*line = '\0';
	snprintf(ret->word, sizeof ret->word, "%s", end + strspn(end, " "));
	snprintf(ret->text, sizeof ret->text, "%s", line + 1);
}

/* False: the server is gone. One whose oldest edges still have work may take `timeouts.drain`. */
static bool
await(const struct cli *cli, pid_t pid, uint64_t beyond, struct result *ret)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	for (;;) {
		read_result(cli, ret);
		if (ret->done > beyond)
			return true;
		if (server(cli) != pid)
			return false;
		nanosleep(&pause, NULL);
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

int
cli_reload(struct cli *cli, json_t *request)
{
	static struct result before, now;
	pid_t pid = server(cli);
	if (pid == 0)
		return cli_fail(cli, CLI_UNREACHABLE, "no_server", "no server runs on %s that this user can see – give its directory with --data", cli->data_dir);
	read_result(cli, &before);
	if (kill(pid, SIGHUP) != 0)
		return cli_fail(cli, CLI_UNREACHABLE, "not_allowed", "process %ld can't be told: %s – run this command as the server's user or as root", (long)pid, strerror(errno));
	if (!await(cli, pid, before.begun, &now))
		return cli_fail(cli, CLI_UNREACHABLE, "server_gone", "the server ended meanwhile; its log says why");
	bool good = strcmp(now.word, "refused") != 0;
	show(cli, &now, good);
	return good ? CLI_OK : CLI_REFUSED;
}
