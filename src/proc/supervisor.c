#include "proc/supervisor_priv.h"

#include "core/text.h"
#include "proc/machine.h"
#include "proc/notify.h"
#include "proc/tls_hand.h"
#include "scribe/line.h"
#include "ticket/limit.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LOOK_MS = 1000,
	DRAIN_GRACE_MS = 3000, /* beyond the edges' own limit */
	STOP_GRACE_MS = 2000, /* from STOP to SIGKILL */
	BOOK_MS = 30000, /* the ledger, for its last rounds */
	CLOSE_MS = 3000,
	/* A stop takes no longer than this beyond `timeouts.drain`; each limit can be passed twice. */
	STOP_MOST_MS = DRAIN_GRACE_MS + BOOK_MS + CLOSE_MS + 2 * 3 * STOP_GRACE_MS,
};

/* ---- telling people ---- */

void
supervisor_say(const char *a, const char *b)
{
	char memory[PATH_MAX + 512];
	struct text t = text_on(memory, sizeof memory);
	text_lit(&t, "lethe: ");
	text_str(&t, a);
	text_str(&t, b);
	text_lit(&t, "\n");
	(void)!write(STDERR_FILENO, t.at, t.len);
}

static void
log_line(struct supervisor *s, const struct message_event *m)
{
	char memory[LINE_MAX_BYTES];
	struct text t = text_on(memory, sizeof memory);
	if (line_severity(m->event) >= s->plan->log_level && line_event_write(&t, clock_wall_us(), m, NULL))
		(void)!write(s->log_fd, t.at, t.len);
}

void
supervisor_report(struct supervisor *s, enum event_id event, const uint64_t numbers[4])
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	struct child *scribe = child_find(s, END_OF_SCRIBE, 0);
	m.event = (uint16_t)event;
	m.role = END_OF_SUPERVISOR;
	memcpy(m.numbers, numbers, sizeof m.numbers);
	/* The scribe counts it as well. While it is away nothing may be lost: this is how its own death is told. */
	if (scribe->state != CHILD_UP || port_send(&scribe->port, &m, sizeof m, -1) != IPC_OK)
		log_line(s, &m);
}

struct process_counters *
supervisor_processes(const struct supervisor *s)
{
	return shared_processes(&s->shared, s->plan->edges * s->generation_count);
}

uint32_t
supervisor_streams_per_account(const struct supervisor_plan *plan)
{
	return (uint32_t)((uint64_t)plan->tickets_per_edge * plan->limits.tickets_per_account_percent / 100);
}

/* ---- states ---- */

static void limit_fired(struct timer *t);

static void
enter(struct supervisor *s, enum supervisor_state state, uint64_t limit_ms)
{
	assert(state > s->state);
	s->state = state;
	s->limits_passed = 0;
	timer_cancel(&s->loop, &s->limit);
	if (limit_ms)
		timer_arm(&s->loop, &s->limit, s->loop.now_ms + limit_ms, limit_fired);
}

static bool
any_alive(struct supervisor *s, enum message_end role)
{
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].pid > 0 && (role == END_OF_ANY || s->child[i].role->end == role))
			return true;
	return false;
}

/* Tell those of a role to end; those that wait for a restart don't get one. */
static void
end_role(struct supervisor *s, enum message_end role, enum message_type how)
{
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		if (c->role->end != role)
			continue;
		timer_cancel(&s->loop, &c->restart);
		if (c->pid == 0)
			continue;
		child_tell(c, how);
		c->state = CHILD_ENDING;
	}
}

static void
kill_role(struct supervisor *s, enum message_end role)
{
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].pid > 0 && (role == END_OF_ANY || s->child[i].role->end == role))
			kill(s->child[i].pid, SIGKILL);
}

static void
advance(struct supervisor *s)
{
	if (s->state == SUPERVISOR_DRAINING && !any_alive(s, END_OF_EDGE)) {
		/*
		 * No ticket moves any more. The ledger ends by itself when it has booked them all; one that is just
		 * away is told when it is READY.
		 */
		enter(s, SUPERVISOR_BOOKING, BOOK_MS);
		end_role(s, END_OF_DIALER, MESSAGE_STOP);
		end_role(s, END_OF_SIGNER, MESSAGE_STOP);
		/*
		 * An end that is kept for an edge that will not start again looks to the ledger like an edge that
		 * lives; also one that is made for a ledger that is only started now.
		 */
		for (uint32_t i = 0; i < s->child_count; i++)
			if (child_is_edge(&s->child[i])) {
				arrows_drop(s, &s->child[i]);
				s->child[i].state = CHILD_UNUSED;
			}
		struct child *ledger = child_find(s, END_OF_LEDGER, 0);
		if (ledger->state == CHILD_UP) {
			child_tell(ledger, MESSAGE_DRAIN);
			ledger->state = CHILD_ENDING;
		}
	}
	if (s->state == SUPERVISOR_CLOSING && !any_alive(s, END_OF_ANY))
		s->loop.stop = true;
}

/* The scribe is the last: it writes what the others said at their end. */
static void
close_rest(struct supervisor *s)
{
	enter(s, SUPERVISOR_CLOSING, CLOSE_MS);
	end_role(s, END_OF_LEDGER, MESSAGE_STOP);
	end_role(s, END_OF_DIALER, MESSAGE_STOP);
	end_role(s, END_OF_SIGNER, MESSAGE_STOP);
	end_role(s, END_OF_SCRIBE, MESSAGE_STOP);
}

static void
drain(struct supervisor *s)
{
	uint64_t limit_ms = s->plan->timeouts.drain + DRAIN_GRACE_MS;
	enter(s, SUPERVISOR_DRAINING, limit_ms);
	listen_withdraw(s);
	listen_close(s);
	upgrade_stop(s);
	if (s->next)
		generation_give_up(s, "the server stops");
	supervisor_report(s, EVENT_DRAINING, NUMBERS(s->plan->timeouts.drain));
	notify_stopping(s->plan->notify_fd, (uint64_t)s->plan->timeouts.drain + STOP_MOST_MS);
	end_role(s, END_OF_EDGE, MESSAGE_DRAIN);
	advance(s);
}

/* A state took too long: ask harder, then force. */
static void
limit_fired(struct timer *t)
{
	struct supervisor *s = container_of(t, struct supervisor, limit);
	bool force = s->limits_passed++ > 0;
	switch (s->state) {
	case SUPERVISOR_STARTING:
	case SUPERVISOR_RUNNING:
		return;
	case SUPERVISOR_DRAINING:
		if (force)
			kill_role(s, END_OF_EDGE);
		else
			end_role(s, END_OF_EDGE, MESSAGE_STOP);
		break;
	case SUPERVISOR_BOOKING:
		if (!force)
			supervisor_say(
				"the ledger could not book everything in time; what is left is booked at the next start as far as it is on disk",
				"");
		s->status = 1;
		if (force)
			kill_role(s, END_OF_LEDGER);
		else
			end_role(s, END_OF_LEDGER, MESSAGE_STOP);
		/* It was away, and gets no other restart: no death will tell us to go on. */
		if (!any_alive(s, END_OF_LEDGER)) {
			close_rest(s);
			advance(s);
			return;
		}
		break;
	case SUPERVISOR_CLOSING:
		kill_role(s, END_OF_ANY);
		break;
	}
	timer_arm(&s->loop, t, s->loop.now_ms + STOP_GRACE_MS, limit_fired);
}

void
supervisor_child_ready(struct supervisor *s, struct child *c)
{
	if (s->state == SUPERVISOR_BOOKING && c->role->end == END_OF_LEDGER) {
		child_tell(c, MESSAGE_DRAIN);
		c->state = CHILD_ENDING;
	}
	generation_child_ready(s, c);
	if (s->state != SUPERVISOR_STARTING)
		return;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].state != CHILD_UP && s->child[i].state != CHILD_UNUSED)
			return;
	supervisor_serves(s);
	const struct catalogue *catalogue = s->plan->catalogue;
	supervisor_report(s, EVENT_CATALOGUE, NUMBERS(catalogue->version, catalogue->model_count));
	if (!listen_announce(s))
		supervisor_say("can't write the file `endpoint` in the data directory: ", strerror(errno));
	upgrade_announce(s);
	notify_ready(s->plan->notify_fd);
	reload_go_on(s); /* one may have been asked for meanwhile */
}

static void
start_failed(struct supervisor *s, const struct child *c)
{
	char why[PATH_MAX + 80];
	const char *file = s->plan->log_file;
	snprintf(why, sizeof why, "the server does not start; its log says why (%s). First to end: ", file[0] ? file : "standard error");
	supervisor_say(why, c->role->comm);
	s->status = 1;
	/* Nothing was accepted, so nothing is to be drained or booked. */
	for (uint32_t i = 0; i < s->child_count; i++)
		timer_cancel(&s->loop, &s->child[i].restart);
	enter(s, SUPERVISOR_DRAINING, 0);
	end_role(s, END_OF_EDGE, MESSAGE_STOP);
	close_rest(s);
}

/* BOOKING: how the ledger ended decides. It ended well: all is booked. */
static bool
ledger_again(struct supervisor *s, int wait_status)
{
	if (wait_status != 0 && s->limits_passed == 0)
		return true;
	if (wait_status != 0)
		s->status = 1;
	close_rest(s);
	return false;
}

bool
supervisor_child_ended(struct supervisor *s, struct child *c, int wait_status)
{
	bool again = false;
	if (c->role->end == END_OF_LEDGER)
		s->ledger_has = s->ledger_told = NULL;
	switch (s->state) {
	case SUPERVISOR_STARTING:
		start_failed(s, c);
		break;
	case SUPERVISOR_RUNNING:
		again = true;
		break;
	case SUPERVISOR_DRAINING:
		again = !child_is_edge(c);
		break;
	case SUPERVISOR_BOOKING:
		again =
			c->role->end == END_OF_SCRIBE || (c->role->end == END_OF_LEDGER && ledger_again(s, wait_status));
		break;
	case SUPERVISOR_CLOSING:
		break;
	}
	advance(s);
	return again && generation_lives(c);
}

/* ---- signals and the clock ---- */

void
supervisor_drain(struct supervisor *s)
{
	if (s->state <= SUPERVISOR_RUNNING)
		drain(s);
}

static void
stop_signal(struct supervisor *s)
{
	if (s->state <= SUPERVISOR_RUNNING) {
		drain(s);
	} else if (s->state == SUPERVISOR_DRAINING) {
		end_role(s, END_OF_EDGE, MESSAGE_STOP);
		s->limits_passed = 1;
		timer_arm(&s->loop, &s->limit, s->loop.now_ms + STOP_GRACE_MS, limit_fired);
	}
}

static void
signals_ready(struct watch *w)
{
	struct supervisor *s = container_of(w, struct supervisor, signals);
	struct signalfd_siginfo info;
	while (read(w->fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			child_reap(s);
		else if (info.ssi_signo == SIGHUP)
			supervisor_reload(s);
		else if (info.ssi_signo == SIGUSR2)
			supervisor_upgrade(s);
		else
			stop_signal(s);
	}
	w->flags = 0;
}

static void
second_fired(struct timer *t)
{
	struct supervisor *s = container_of(t, struct supervisor, second);
	watch_tracers(s);
	machine_watch(s);
	timer_arm(&s->loop, t, s->loop.now_ms + LOOK_MS, second_fired);
}

/* ---- life ---- */

static bool
watch_signals(struct supervisor *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return false;
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && loop_watch(&s->loop, &s->signals, fd, signals_ready);
}

/* Children inherit it; an edge holds two descriptors per stream, the vault locks memory. */
static void
raise_limit(int which)
{
	struct rlimit limit;
	if (getrlimit(which, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)!setrlimit(which, &limit);
}

void
supervisor_init_children(struct supervisor *s)
{
	const struct role *role;
	for (uint32_t r = 0; (role = role_at(r)); r++) {
		/* Of a role that each generation has: how many of those. */
		uint32_t own = role->count == ROLE_PER_EDGE ? s->plan->edges : role->count == ROLE_PER_GENERATION ? 1
																										  : 0;
		uint32_t count = own ? own * s->generation_count : role->count;
		for (uint32_t i = 0; i < count; i++) {
			assert(s->child_count < CHILDREN_MAX);
			struct child *c = &s->child[s->child_count++];
			child_init(c, s, role, i);
			c->own = own ? &s->generation[i / own] : NULL;
			if (c->own && (c->own != s->now || !child_is_wanted(c)))
				c->state = CHILD_UNUSED;
		}
	}
	arrows_init(s);
}

static void
tell_of_all(const struct supervisor *s)
{
	struct process_counters *told = supervisor_processes(s);
	atomic_store(&told->started_ms, clock_wall_us() / 1000);
	atomic_store(&told->generation, 1);
	atomic_store(&told->vault_budget_bytes, s->plan->limits.content_bytes + s->plan->limits.library_bytes);
	atomic_store(&told->count, s->child_count);
}

static bool
create_all(struct supervisor *s)
{
	const struct supervisor_plan *plan = s->plan;
	generations_init(s);
	const struct board_size size = {plan->edges * s->generation_count, plan->tickets_per_edge, plan->accounts, plan->node, LIMIT_ROWS};
	const char *part;
	if (!generation_first(s) || !listen_metrics(s))
		return false;
	s->control_fd = listen_control(plan->data_dir);
	if (s->control_fd < 0)
		return false;
	if (!shared_create(&s->shared, &size, &part)) {
		supervisor_say("there is no memory for ", part);
		return false;
	}
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->wake_fd >= 0;
}

bool
supervisor_set_up(struct supervisor *s)
{
	prctl(PR_SET_NAME, "lethe-super");
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_MEMLOCK);
	if (!sandbox_basics() || !loop_init(&s->loop) || !watch_signals(s)) {
		supervisor_say("the supervisor can't be set up: ", strerror(errno));
		return false;
	}
	return true;
}

static bool
start(struct supervisor *s)
{
	if (!supervisor_set_up(s) || !create_all(s))
		return false;
	supervisor_init_children(s);
	tell_of_all(s);
	tls_begin(s, s->plan);
	machine_watch(s);
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].state != CHILD_UNUSED)
			child_start(&s->child[i]);
	return true;
}

struct supervisor *
supervisor_begin(const struct supervisor_plan *plan)
{
	static struct supervisor supervisor; /* the wheel and the children are too large for a stack */
	struct supervisor *s = &supervisor;
	*s = (struct supervisor){.plan = plan, .wake_fd = -1, .control_fd = -1, .metrics_fd = -1, .log_fd = plan->log_fd};
	s->upgrade.own_fd = s->upgrade.binary_fd = s->upgrade.said.fd = -1;
	return s;
}

void
supervisor_serves(struct supervisor *s)
{
	enter(s, SUPERVISOR_RUNNING, 0);
}

int
supervisor_live(struct supervisor *s)
{
	timer_arm(&s->loop, &s->second, s->loop.now_ms + LOOK_MS, second_fired);
	loop_run(&s->loop);
	listen_withdraw(s);
	return s->status;
}

int
supervisor_run(const struct supervisor_plan *plan)
{
	struct supervisor *s = supervisor_begin(plan);
	return start(s) ? supervisor_live(s) : 1;
}
