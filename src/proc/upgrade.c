/*
 * `lethe upgrade` (SIGUSR2): the supervisor becomes another binary, and the processes after it.
 *
 *   1. as for a reload: configuration and files as they are now are in force, so that both binaries read the same
 *   2. the new binary, as a child, reads what it would take over and the configuration, and says whether it can (CHECKING)
 *   3. this process becomes it by execve: same process id, same children, same descriptors (takeover.c)
 *   4. there: a new scribe; the ledger makes place for its successor; a new generation of edges, as after a reload. When all are READY the old edges
 *      retire. Until then it can go back to this binary.
 *
 * Who asked learns of it from DIR/upgrade, in the form of DIR/reload (reload.c). The file is there from the start: a server without it is of a build
 * that SIGUSR2 would end. DIR/upgrade.request names another binary than that which runs.
 */
#include "proc/upgrade_priv.h"

#include "proc/environment.h"
#include "proc/spawn.h"
#include "proc/takeover.h"
#include "proc/tls_hand.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
	LOOK_MS = 20,
	CALM_LOOKS = 30000 / LOOK_MS, /* a server that does not come to rest is not upgraded */
	CHECK_MS = 60000,
	FAILURES_MAX = 3, /* of the new ledger and scribe together; one may have been killed */
	ARGUMENTS_MAX = 64,
	ARGUMENT_BYTES_MAX = 16 << 10,
};

static void look_fired(struct timer *t);

static void
look_soon(struct supervisor *s, uint64_t ms)
{
	timer_arm(&s->loop, &s->upgrade.look, s->loop.now_ms + ms, look_fired);
}

/* ---- what came of it ---- */

static void
finish(struct supervisor *s, const char *result)
{
	struct upgrade *u = &s->upgrade;
	timer_cancel(&s->loop, &u->look);
	if (u->binary_fd >= 0)
		close(u->binary_fd);
	u->binary_fd = -1;
	u->step = UPGRADE_NONE;
	u->done = u->begun;
	reload_write_result(s, "upgrade", result);
	s->reload.report = (struct plan_report){0};
	reload_go_on(s); /* one may have been asked for meanwhile */
}

static void
refuse(struct supervisor *s, const char *why)
{
	reload_note(s, "the server goes on as it is: ", why);
	supervisor_report(s, EVENT_UPGRADE_REFUSED, NUMBERS(0));
	finish(s, "refused");
}

static uint64_t
version_part(const char **at)
{
	char *end;
	uint64_t part = strtoull(*at, &end, 10);
	*at = *end == '.' ? end + 1 : end;
	return part;
}

static void
succeeded(struct supervisor *s)
{
	const char *at = LETHE_VERSION;
	uint64_t major = version_part(&at), minor = version_part(&at), patch = version_part(&at);
	struct process_counters *told = supervisor_processes(s);
	char line[128];
	snprintf(line, sizeof line, "version %.40s serves (before: %.40s)", LETHE_VERSION, s->upgrade.from);
	reload_note(s, line, "");
	atomic_fetch_add(&told->upgrades, 1);
	board_extend(s->shared.board);
	supervisor_report(s, EVENT_UPGRADED, NUMBERS(major, minor, patch, atomic_load(&told->generation)));
	finish(s, "applied");
}

void
upgrade_over(struct supervisor *s, const char *why)
{
	if (why)
		refuse(s, why);
	else
		succeeded(s);
}

void
upgrade_generation_over(struct supervisor *s, const char *why)
{
	if (!why) {
		succeeded(s);
		takeover_done();
		return;
	}
	reload_note(s, "the new binary can't serve: ", why);
	look_soon(s, 0); /* who calls has not finished with the generation */
}

void
upgrade_start_failed(struct supervisor *s, const struct child *c)
{
	struct upgrade *u = &s->upgrade;
	if (u->step == UPGRADE_TAKING_OVER && s->next && ++u->failures == FAILURES_MAX)
		generation_give_up(s, c->role->end == END_OF_LEDGER ? "its ledger ended at its start; the log says how" : "its scribe ended at its start; the log says how");
}

void
upgrade_announce(struct supervisor *s)
{
	char path[PATH_MAX] = "";
	static const char deleted[] = " (deleted)";
	struct upgrade *u = &s->upgrade;
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
	path[len > 0 ? len : 0] = '\0';
	char *end = len > (ssize_t)strlen(deleted) ? path + len - strlen(deleted) : NULL;
	if (end && strcmp(end, deleted) == 0)
		*end = '\0';
	memcpy(u->own, path, sizeof path);
	u->own_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (u->begun == u->done)
		reload_write_result(s, "upgrade", u->begun ? "applied" : "none");
}

/* ---- is this a moment for it? ---- */

static bool
is_calm(const struct child *c)
{
	if (c->kill.link || (port_is_open(&c->port) && c->port.out.first))
		return false;
	if (c->own && c->own->state != GENERATION_SERVING)
		return c->state == CHILD_UNUSED || c->pid > 0;
	return c->state == CHILD_UP || (c->state == CHILD_UNUSED && !child_is_wanted(c));
}

/* Nothing is begun and not finished: no process is away, no message is half sent, no end of an arrow waits for its process. */
static bool
all_calm(const struct supervisor *s)
{
	if (s->state != SUPERVISOR_RUNNING || s->upgrade.predecessor > 0 || s->next || s->reload.waiting || s->ledger_has != s->now)
		return false;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (!is_calm(&s->child[i]))
			return false;
	for (uint32_t i = 0; i < s->arrow_count; i++)
		if (s->arrow[i].end[0] >= 0 || s->arrow[i].end[1] >= 0)
			return false;
	return true;
}

/* ---- execve ---- */

/* The command line as it was: the new one is the same server. NULL-terminated, into static memory; NULL: it is too long. */
static char **
own_arguments(void)
{
	static char bytes[ARGUMENT_BYTES_MAX], *list[ARGUMENTS_MAX + 1];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
	uint32_t count = 0;
	if (fd >= 0)
		close(fd);
	if (len <= 0 || len == (ssize_t)sizeof bytes || bytes[len - 1] != '\0')
		return NULL;
	for (char *at = bytes; at < bytes + len; at += strlen(at) + 1) {
		if (count == ARGUMENTS_MAX)
			return NULL;
		list[count++] = at;
	}
	list[count] = NULL;
	return list;
}

/* What was kept of the environment, with the state, and for a checker with its own process id at systemd's sockets. */
static char **
with_state(const char *how, int state_fd, bool checks)
{
	static char state[48], pid[32];
	size_t count = 0, n = 0;
	snprintf(state, sizeof state, UPGRADE_VARIABLE "=%s:%d", how, state_fd);
	snprintf(pid, sizeof pid, "LISTEN_PID=%ld", (long)getpid());
	environment_show();
	while (environ[count])
		count++;
	char **list = calloc(count + 2, sizeof *list);
	for (size_t i = 0; list && i < count; i++)
		list[n++] = checks && strncmp(environ[i], "LISTEN_PID=", strlen("LISTEN_PID=")) == 0 ? pid : environ[i];
	if (list)
		list[n] = state;
	environment_hide();
	return list;
}

static void
execute(int binary_fd, const char *how, int state_fd, bool checks)
{
	char **arguments = own_arguments(), **environment = with_state(how, state_fd, checks);
	if (arguments && environment)
		fexecve(binary_fd, arguments, environment);
	int error = errno;
	free(environment);
	errno = error;
}

void
upgrade_execute(int binary_fd, const char *how, int state_fd)
{
	execute(binary_fd, how, state_fd, false);
}

static void
take(struct supervisor *s)
{
	static struct upgrade_fds fds;
	char why[160];
	int state_fd = upgrade_state_write(s, &fds);
	if (state_fd >= 0) {
		supervisor_say("becomes version ", s->upgrade.to);
		for (uint32_t i = 0; i < s->child_count; i++)
			watch_flush(&s->child[i]);
		upgrade_fds_keep(&fds, true);
		upgrade_execute(s->upgrade.binary_fd, "take", state_fd);
	}
	snprintf(why, sizeof why, "the new binary can't be executed: %s", strerror(errno));
	upgrade_fds_keep(&fds, false);
	if (state_fd >= 0)
		close(state_fd);
	refuse(s, why);
}

/* ---- the new binary looks at what it would take over ---- */

static void
end_checker(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	if (u->said.fd < 0)
		return;
	loop_forget(&s->loop, &u->said);
	close(u->said.fd);
	u->said.fd = -1;
}

/* What is beyond the room is read and dropped: it must not wait for us. */
static void
said_ready(struct watch *w)
{
	struct upgrade *u = container_of(w, struct upgrade, said);
	char more[1024];
	ssize_t n;
	while ((n = read(w->fd, more, sizeof more)) > 0) {
		size_t room = sizeof u->text - 1 - u->text_len, take = (size_t)n < room ? (size_t)n : room;
		memcpy(u->text + u->text_len, more, take);
		u->text_len += take;
	}
	u->text[u->text_len] = '\0';
	w->flags = 0;
}

/* The version of a binary that can take over: its last line says it. False: any other program, or it can't. */
static bool
check_passed(struct upgrade *u, int wait_status)
{
	char *line = NULL, *at = u->text;
	while ((at = strstr(at, UPGRADE_CAN)))
		line = at++;
	if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0 || !line)
		return false;
	char *version = line + strlen(UPGRADE_CAN);
	snprintf(u->to, sizeof u->to, "%.*s", (int)strcspn(version, "\n"), version);
	return true;
}

static void
not_passed(struct supervisor *s, int wait_status)
{
	struct upgrade *u = &s->upgrade;
	char why[PATH_MAX + 160];
	for (char *at = u->text, *next; *at; at = next) {
		next = at + strcspn(at, "\n");
		if (*next)
			*next++ = '\0';
		if (*at)
			reload_note(s, at, "");
	}
	if (WIFSIGNALED(wait_status))
		snprintf(why, sizeof why, "%.900s ended by signal %d when it looked at what it would take over", u->binary, WTERMSIG(wait_status));
	else if (WEXITSTATUS(wait_status) == SPAWN_FAILED && u->text_len == 0)
		snprintf(why, sizeof why, "%.900s can't be executed - is it a program for this machine?", u->binary);
	else if (u->text_len == 0)
		snprintf(why, sizeof why, "%.900s is no lethe that can take over a running server", u->binary);
	else
		snprintf(why, sizeof why, "%.900s can't take over", u->binary);
	refuse(s, why);
}

void
upgrade_predecessor_ended(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	u->predecessor = 0;
	timer_cancel(&s->loop, &u->predecessor_limit);
	close(u->predecessor_pidfd);
	close(u->predecessor_line);
}

bool
upgrade_reaped(struct supervisor *s, pid_t pid, int wait_status)
{
	struct upgrade *u = &s->upgrade;
	if (u->predecessor == pid) {
		upgrade_predecessor_ended(s);
		return true;
	}
	if (u->checker != pid)
		return false;
	u->checker = 0;
	if (u->said.fd >= 0)
		said_ready(&u->said); /* it is dead: all that it said is there */
	end_checker(s);
	if (u->step != UPGRADE_CHECKING)
		return true;
	if (!check_passed(u, wait_status)) {
		not_passed(s, wait_status);
		return true;
	}
	u->step = UPGRADE_CHECKED;
	u->looks = 0;
	look_soon(s, 0);
	return true;
}

/* After fork. Never returns. */
static _Noreturn void
check_as_child(const struct supervisor *s, const struct upgrade_fds *fds, int state_fd, int pipe_fd)
{
	sigset_t none;
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(pipe_fd, STDOUT_FILENO) < 0 || dup2(pipe_fd, STDERR_FILENO) < 0)
		_exit(SPAWN_FAILED);
	upgrade_fds_keep(fds, true);
	execute(s->upgrade.binary_fd, "check", state_fd, true);
	_exit(SPAWN_FAILED);
}

/* False: errno. */
static bool
start_checker(struct supervisor *s)
{
	static struct upgrade_fds fds;
	struct upgrade *u = &s->upgrade;
	int said[2], state_fd = upgrade_state_write(s, &fds);
	if (state_fd < 0)
		return false;
	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) != 0) {
		close(state_fd);
		return false;
	}
	u->checker = fork();
	if (u->checker == 0)
		check_as_child(s, &fds, state_fd, said[1]);
	close(said[1]);
	close(state_fd);
	u->text_len = 0;
	u->text[0] = '\0';
	if (u->checker > 0 && loop_watch(&s->loop, &u->said, said[0], said_ready))
		return true;
	close(said[0]);
	u->said.fd = -1;
	if (u->checker > 0)
		kill(u->checker, SIGKILL);
	u->checker = 0;
	return false;
}

static void
check(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	u->step = UPGRADE_CHECKING;
	if (start_checker(s))
		look_soon(s, CHECK_MS);
	else
		refuse(s, strerror(errno));
}

/* ---- step by step ---- */

static void
look_whether_calm(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	if (!generation_free(s)) {
		if (u->looks++ == 0)
			supervisor_report(s, EVENT_RELOAD_WAITS, NUMBERS(0));
		u->looks = 1;
		look_soon(s, LOOK_MS);
	} else if (all_calm(s) && u->step == UPGRADE_CHECKED) {
		take(s);
	} else if (all_calm(s)) {
		check(s);
	} else if (u->looks++ < CALM_LOOKS) {
		look_soon(s, LOOK_MS);
	} else {
		refuse(s, "a process does not come up, the log says which and why; once it does, ask again - or restart");
	}
}

static void
look_fired(struct timer *t)
{
	struct supervisor *s = container_of(t, struct supervisor, upgrade.look);
	switch (s->upgrade.step) {
	case UPGRADE_NONE:
	case UPGRADE_RELOADING:
		break;
	case UPGRADE_WAITING:
	case UPGRADE_CHECKED:
		look_whether_calm(s);
		break;
	case UPGRADE_CHECKING: /* it takes too long */
		kill(s->upgrade.checker, SIGKILL);
		break;
	case UPGRADE_TAKING_OVER:
		takeover_go_back(s);
		break;
	}
}

void
upgrade_reloaded(struct supervisor *s, bool refused)
{
	if (refused) {
		refuse(s, "the configuration can't be used, see above");
		return;
	}
	s->upgrade.step = UPGRADE_WAITING;
	s->upgrade.looks = 0;
	look_soon(s, 0);
}

/* ---- asked for ---- */

static const char *
request_path(const struct supervisor *s)
{
	static char path[PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/upgrade.request", s->plan->data_dir);
	return path;
}

/* Which binary; the file is used once. */
static void
read_request(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	int fd = open(request_path(s), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t len = fd >= 0 ? read(fd, u->binary, sizeof u->binary - 1) : -1;
	if (fd >= 0)
		close(fd);
	unlink(request_path(s));
	if (len <= 0)
		memcpy(u->binary, u->own, sizeof u->binary);
	else
		u->binary[len] = '\0';
	u->binary[strcspn(u->binary, "\n")] = '\0';
}

/*
 * Whoever may write the binary is the server. The data directory is the ledger's to write in, which is locked in so that it can't execute
 * anything: also not by asking us.
 */
static const char *
binary_is_unsafe(const struct supervisor *s, int fd)
{
	char link[40], path[PATH_MAX];
	struct stat st;
	size_t dir = strlen(s->plan->data_dir);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof path - 1);
	if (len <= 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return " is no file";
	path[len] = '\0';
	if ((st.st_mode & 0111) == 0)
		return " is not executable - chmod 755";
	if ((st.st_mode & 0022) != 0)
		return " can be written by others - chmod go-w";
	if (strncmp(path, s->plan->data_dir, dir) == 0 && path[dir] == '/')
		return " is in the data directory - put it elsewhere";
	return NULL;
}

static bool
open_binary(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	char why[PATH_MAX + 160];
	u->binary_fd = u->binary[0] == '/' ? open(u->binary, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	if (u->binary_fd < 0) {
		snprintf(why, sizeof why, "%.900s can't be opened: %s", u->binary, u->binary[0] == '/' ? strerror(errno) : "give its whole path");
		refuse(s, why);
		return false;
	}
	const char *unsafe = binary_is_unsafe(s, u->binary_fd);
	if (unsafe) {
		snprintf(why, sizeof why, "%.900s%s", u->binary, unsafe);
		refuse(s, why);
	}
	return !unsafe;
}

void
supervisor_upgrade(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	if (s->state != SUPERVISOR_RUNNING || u->step != UPGRADE_NONE)
		return; /* who asks now waits for the one that runs */
	u->begun++;
	s->reload.report = (struct plan_report){0};
	reload_write_result(s, "upgrade", "begun");
	read_request(s);
	if (!open_binary(s))
		return;
	if (s->generation_count < 2) {
		refuse(s, "`streams_per_edge` times `edges` is so much that there is no room for new edges beside the old ones - restart instead");
		return;
	}
	u->step = UPGRADE_RELOADING;
	supervisor_reload(s);
}

void
upgrade_stop(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;
	if (u->checker > 0)
		kill(u->checker, SIGKILL);
	if (u->step != UPGRADE_NONE && u->step != UPGRADE_TAKING_OVER)
		refuse(s, "it was told to stop");
	unlink(request_path(s));
}
