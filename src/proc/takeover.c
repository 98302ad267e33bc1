/* The guard: between execve and the first turn of the loop nothing has been changed, and every way to end leads back to the old binary. */
#include "proc/takeover.h"

#include "proc/environment.h"
#include "proc/takeover_priv.h"
#include "proc/tls_hand.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	STATE_BYTES_MAX = 64 << 20,
	GUARD_S = 60,
	SUCCEED_MS = 5000, /* the ledger, for answers that its clients wait for */
	FLUSHES = 400,
};

static struct takeover now_taking = {.state_fd = -1, .exe_fd = -1};
static volatile sig_atomic_t armed;
static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS, SIGALRM};

enum takeover_mode
takeover_mode(void)
{
	return now_taking.mode;
}

const struct takeover *
takeover_now(void)
{
	return &now_taking;
}

/* ---- the guard ---- */

/* System calls only, but for what upgrade_execute() allocates: a heap that is damaged ends in the next signal, which then is fatal. */
static void
fall_back(void)
{
	sigset_t set;
	if (!armed)
		return;
	armed = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		sigaddset(&set, fatal[i]);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	alarm(0);
	upgrade_fds_keep(&now_taking.fds, true);
	upgrade_execute(now_taking.exe_fd, "crash", now_taking.state_fd);
}

static void
fatal_signal(int number)
{
	fall_back();
	signal(number, SIG_DFL);
	raise(number);
}

static void
arm(void)
{
	armed = 1;
	atexit(fall_back);
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		signal(fatal[i], fatal_signal);
	alarm(GUARD_S);
}

static void
disarm(void)
{
	alarm(0);
	armed = 0;
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		signal(fatal[i], SIG_DFL);
}

/* ---- what is handed over ---- */

static json_t *
read_state(int fd)
{
	struct stat st;
	if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > STATE_BYTES_MAX)
		return NULL;
	char *text = malloc((size_t)st.st_size);
	ssize_t len = text ? pread(fd, text, (size_t)st.st_size, 0) : -1;
	json_t *state = len == st.st_size ? json_loadb(text, (size_t)len, 0, NULL) : NULL;
	free(text);
	return state;
}

static enum takeover_mode
mode_of(const char *word, bool *ret_crashed)
{
	*ret_crashed = strncmp(word, "crash:", 6) == 0;
	if (strncmp(word, "check:", 6) == 0)
		return TAKEOVER_CHECK;
	if (strncmp(word, "take:", 5) == 0)
		return TAKEOVER_TAKE;
	return *ret_crashed || strncmp(word, "back:", 5) == 0 ? TAKEOVER_BACK : TAKEOVER_NONE;
}

/* Every descriptor that the state names is open. They are not to be inherited by anybody else. */
static bool
take_fds(struct takeover *t)
{
	takeover_list_fds(t->state, &t->fds);
	t->fds.fd[t->fds.count++] = t->state_fd;
	for (uint32_t i = 0; i < t->fds.count; i++)
		if (fcntl(t->fds.fd[i], F_GETFD) < 0)
			return false;
	upgrade_fds_keep(&t->fds, false);
	return true;
}

void
takeover_begin(void)
{
	struct takeover *t = &now_taking;
	const char *word = getenv(UPGRADE_VARIABLE);
	enum takeover_mode mode = word ? mode_of(word, &t->crashed) : TAKEOVER_NONE;
	if (mode == TAKEOVER_NONE)
		return;
	t->state_fd = (int)strtol(strchr(word, ':') + 1, NULL, 10);
	unsetenv(UPGRADE_VARIABLE);
	t->state = read_state(t->state_fd);
	json_int_t pid = mode == TAKEOVER_CHECK ? getppid() : getpid();
	/* Somebody else's variable, or a state of another process. */
	if (!t->state || json_integer_value(json_object_get(t->state, "pid")) != pid)
		return;
	if (mode != TAKEOVER_CHECK)
		prctl(PR_SET_NAME, "lethe-super");
	t->knows_signers = json_object_get(t->state, "signers") != NULL;
	t->exe_fd = (int)takeover_number(json_object_get(t->state, "upgrade"), "exe_fd");
	bool kept = sodium_init() >= 0 && environment_keep(), whole = take_fds(t);
	t->mode = mode;
	if (mode == TAKEOVER_TAKE && kept)
		arm();
	if (!whole || !kept)
		exit(1); /* back, when it can be */
}

/* ---- the supervisor goes on ---- */

static bool
restore(struct supervisor *s, struct supervisor_plan *now)
{
	char why[TAKEOVER_WHY_MAX];
	if (takeover_restore(s, now, why))
		return true;
	supervisor_say("what runs can't be taken over: ", why);
	return false;
}

static void
predecessor_stays(struct timer *t)
{
	struct supervisor *s = container_of(t, struct supervisor, upgrade.predecessor_limit);
	if (s->upgrade.predecessor > 0)
		kill(s->upgrade.predecessor, SIGKILL);
}

/*
 * There is a ledger at any moment, also if we are killed now: the old one knows that another comes, then that one is started, and waits for its
 * end; then the old one is told to end. False: errno, and nothing has changed.
 */
static bool
succeed(struct supervisor *s, struct child *ledger)
{
	struct upgrade *u = &s->upgrade;
	struct message_plain m = MESSAGE_INIT(SUCCEED, message_plain);
	u->predecessor_pidfd = (int)syscall(SYS_pidfd_open, ledger->pid, 0);
	u->predecessor_line = u->predecessor_pidfd >= 0 ? fcntl(ledger->port.watch.fd, F_DUPFD_CLOEXEC, 3) : -1;
	if (u->predecessor_line < 0)
		return false;
	(void)!ipc_send(u->predecessor_line, &m, sizeof m, -1); /* one that is dying needs no telling */
	u->predecessor = ledger->pid;
	child_leave(ledger);
	child_start(ledger);
	(void)!ipc_send(u->predecessor_line, &m, sizeof m, -1);
	timer_arm(&s->loop, &u->predecessor_limit, s->loop.now_ms + SUCCEED_MS, predecessor_stays);
	return true;
}

/* A new scribe beside the old one, which ends when nobody reports to it any more. Who is away is ours when it comes back. */
static bool
replace_shared(struct supervisor *s)
{
	struct child *scribe = child_find(s, END_OF_SCRIBE, 0), *ledger = child_find(s, END_OF_LEDGER, 0);
	if (scribe->pid > 0) {
		child_leave(scribe);
		child_start(scribe);
	}
	return ledger->pid == 0 || succeed(s, ledger);
}

static void
take(struct supervisor *s, const struct supervisor_plan *plan)
{
	if (!replace_shared(s))
		upgrade_generation_over(s, strerror(errno));
	else if (!generation_begin(s, generation_free(s), plan))
		upgrade_generation_over(s, "see above");
}

/* Whoever is away is started. What the other binary has started makes place. */
static void
be_back(struct supervisor *s)
{
	if (!now_taking.crashed && !replace_shared(s))
		supervisor_say("the new binary's ledger stays: ", strerror(errno));
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		bool serves = !c->own || c->own == s->now;
		if (!serves || c->pid > 0 || !child_is_wanted(c))
			continue;
		timer_cancel(&s->loop, &c->restart); /* whose end was seen just now would be started a second time */
		c->state = CHILD_DOWN;
		child_start(c);
	}
	if (now_taking.crashed && child_find(s, END_OF_LEDGER, 0)->state == CHILD_UP)
		s->ledger_has = s->now;
	tls_begin(s, s->plan);
	(void)!tls_renew(s); /* signer and edges have what was read last: they are to have the same */
	upgrade_over(s, now_taking.crashed ? "the new binary ended before it could take over" : "the new binary did not come up, see above");
}

int
takeover_run(const struct supervisor_plan *plan, struct supervisor_plan *now)
{
	struct supervisor *s = supervisor_begin(now_taking.mode == TAKEOVER_TAKE ? now : plan);
	if (!supervisor_set_up(s) || !restore(s, now))
		return 1;
	disarm();
	supervisor_serves(s);
	child_reap(s); /* whose deaths nobody was told of */
	upgrade_announce(s);
	if (now_taking.mode == TAKEOVER_TAKE) {
		s->upgrade.step = UPGRADE_TAKING_OVER;
		take(s, plan);
	} else {
		be_back(s);
		takeover_done();
		now->drop(now);
	}
	json_decref(now_taking.state);
	now_taking.state = NULL;
	close(now_taking.state_fd);
	return supervisor_live(s);
}

void
takeover_done(void)
{
	if (now_taking.exe_fd >= 0)
		close(now_taking.exe_fd);
	now_taking.exe_fd = -1;
}

/* ---- back ---- */

/* What was said to those that go on has to be out. Nobody is called back meanwhile. */
static void
flush_all(struct supervisor *s)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	bool waits = true;
	for (int n = 0; waits && n < FLUSHES; n++) {
		waits = false;
		for (uint32_t i = 0; i < s->child_count; i++) {
			struct port *p = &s->child[i].port;
			waits = (port_is_open(p) && ipc_queue_flush(&p->out, p->watch.fd) == IPC_AGAIN) || waits;
		}
		if (waits)
			nanosleep(&pause, NULL);
	}
}

/* The old binary has edges with keys of their own, and would not know who these are. */
static void
end_signers(struct supervisor *s)
{
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].role->end == END_OF_SIGNER && s->child[i].pid > 0) {
			kill(s->child[i].pid, SIGKILL);
			child_leave(&s->child[i]);
		}
}

void
takeover_go_back(struct supervisor *s)
{
	static struct upgrade_fds fds;
	if (s->state != SUPERVISOR_RUNNING)
		return;
	/* Two that wait for each other would be one too many. */
	if (s->upgrade.predecessor > 0) {
		kill(s->upgrade.predecessor, SIGKILL);
		while (waitpid(s->upgrade.predecessor, NULL, 0) < 0 && errno == EINTR)
			;
		upgrade_predecessor_ended(s);
	}
	if (!now_taking.knows_signers)
		end_signers(s);
	/* Edges that came up finish what they have, as children of the old binary's. */
	flush_all(s);
	int state_fd = upgrade_state_write(s, &fds);
	if (state_fd >= 0) {
		supervisor_say("becomes the old binary again", "");
		upgrade_fds_keep(&fds, true);
		upgrade_execute(now_taking.exe_fd, "back", state_fd);
	}
	supervisor_say("the old binary can't be executed: ", strerror(errno));
	s->status = 1;
	kill(getpid(), SIGTERM);
}
