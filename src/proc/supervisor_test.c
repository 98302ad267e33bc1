/*
 * The supervisor with the real scribe and dialer, and an edge and a ledger that only play their part in the
 * protocol of processes. The test is the subreaper of all, so nobody can survive a test unseen. What the
 * children do is read from the log: EVENT_LOSS carries their reports.
 */
#include "proc/supervisor.h"

#include "core/sanitized.h"
#include "proc/notify.h"
#include "proc/role_main.h"
#include "proc/role_priv.h"
#include "proc/shared.h"
#include "ticket/events.h"
#include "ticket/port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

enum {
	EDGES = 2,
	WAIT_MS = 60000,
	TICK_MS = 20,
	AGAIN_MS = 50,
	KEYS = 40,
};

/* What a child reports: the first number of EVENT_LOSS. */
enum {
	SAYS_READY = 1,
	SAYS_LEDGER_ANSWERS,
	SAYS_DIALER_ANSWERS,
	SAYS_SCRIBE_NEW,
	SAYS_LEDGER_UP,
	SAYS_ADOPTED,
	SAYS_TOLD_TO_RETIRE,
};

/* How children are asked to misbehave, by values of their slices. */
enum {
	HEAD_HANGS = 1001,
	HEAD_BAD_MESSAGE,
	HEAD_DIES,
	HEAD_ONE_DIES, /* the first; the others don't come to say that they are ready */
	WINDOW_REFUSED = 4000, /* a ledger that is to adopt this does not */
	NODE_FAILS = 250,
	NODE_FAILS_LATER,
};

/* ---- the edge of this test ---- */

static struct fake {
	struct loop loop;
	struct handover *h;
	struct port supervisor, dialer, ledger, scribe;
	struct timer tick;
	uint32_t secrets, segments, descriptors;
	bool ledger_waits, dialer_waits;
} fake;

static void
says(uint64_t what, uint64_t a, uint64_t b, uint64_t c)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = EVENT_LOSS;
	memcpy(m.numbers, (uint64_t[4]){what, a, b, c}, sizeof m.numbers);
	(void)!port_send(&fake.scribe, &m, sizeof m, -1);
}

static void
fake_tick(struct timer *t)
{
	struct message_row load = MESSAGE_INIT(LOAD, message_row);
	struct message_connect connect = MESSAGE_INIT(CONNECT, message_connect);
	connect.provider = 99;
	if (fake.ledger_waits)
		(void)!port_send(&fake.ledger, &load, sizeof load, -1);
	if (fake.dialer_waits)
		(void)!port_send(&fake.dialer, &connect, sizeof connect, -1);
	timer_arm(&fake.loop, t, fake.loop.now_ms + TICK_MS, fake_tick);
}

static void
ledger_answers(struct port *p, const void *message, int fd)
{
	if (fake.ledger_waits)
		says(SAYS_LEDGER_ANSWERS, fake.h->instance, fake.h->incarnation, 0);
	fake.ledger_waits = false;
}

static void
dialer_answers(struct port *p, const void *message, int fd)
{
	if (fake.dialer_waits)
		says(SAYS_DIALER_ANSWERS, fake.h->instance, fake.h->incarnation, 0);
	fake.dialer_waits = false;
}

static void
fake_ready(void)
{
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	if (port_send(&fake.supervisor, &ready, sizeof ready, -1) != IPC_OK)
		abort();
	says(SAYS_READY, fake.secrets, fake.descriptors, environ[0] != NULL);
}

static void
fake_new_peer(const struct message_peer *m, int fd)
{
	struct port *p = m->role == END_OF_DIALER ? &fake.dialer
		: m->role == END_OF_LEDGER            ? &fake.ledger
											  : &fake.scribe;
	if (!port_open(p, &fake.loop, fd))
		abort();
	fake.ledger_waits |= m->role == END_OF_LEDGER;
	fake.dialer_waits |= m->role == END_OF_DIALER;
	if (m->role == END_OF_SCRIBE)
		says(SAYS_SCRIBE_NEW, fake.h->instance, 0, 0);
	struct message_event wrong = MESSAGE_INIT(EVENT, message_event);
	if (fake.h->edge_limits.head_bytes == HEAD_BAD_MESSAGE && fake.h->incarnation == 1)
		(void)!port_send(&fake.supervisor, &wrong, sizeof wrong, -1);
}

static void
edge_is_told(struct port *p, const void *message, int fd)
{
	const struct message_head *h = message;
	const struct message_secret *secret = message;
	switch ((enum message_type)h->type) {
	case MESSAGE_SEGMENT:
		fake.segments++;
		close(fd);
		break;
	case MESSAGE_SECRET:
		if (fake.segments == 0 ||
			(secret->kind != SECRET_RECEIPT && secret->kind != SECRET_BYOK && secret->secret[0] != (uint8_t)(secret->kind == SECRET_PEPPER ? 'p' : secret->key)))
			abort();
		fake.secrets++;
		break;
	case MESSAGE_GO:
		if (fake.h->edge_limits.head_bytes != HEAD_ONE_DIES)
			fake_ready();
		break;
	case MESSAGE_PEER:
		fake_new_peer(message, fd);
		break;
	case MESSAGE_DRAIN:
	case MESSAGE_RETIRE:
		if (h->type == MESSAGE_RETIRE)
			says(SAYS_TOLD_TO_RETIRE, fake.h->instance, 0, 0);
		fake.loop.stop = fake.h->edge_limits.head_bytes != HEAD_HANGS;
		break;
	default:
		fake.loop.stop = true;
	}
}

static void
stop_loop(struct port *p)
{
	p->loop->stop = true;
}

static void
fake_port(struct port *p, enum message_end peer, int fd)
{
	p->self = (enum message_end)fake.h->role;
	p->peer = peer;
	if (!port_open(p, &fake.loop, fd))
		abort();
}

static uint32_t
count_descriptors(void)
{
	uint32_t count = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	return count - 3; /* ".", ".." and the directory's own */
}

int
role_edge(struct handover *h)
{
	static const char whisper[] = "the edge whispers";
	fake.h = h;
	fake.descriptors = count_descriptors();
	fake.ledger_waits = fake.dialer_waits = true;
	struct board *board = shared_map_board(h->grant_fd[GRANT_BOARD]);
	/*
	 * The keys can't be written through an edge's descriptor, and its predecessor is declared dead before it
	 * starts.
	 */
	if (!board || board_dead(board, h->instance) != h->incarnation - 1 ||
		shared_map_keys(dup(h->grant_fd[GRANT_KEYS]), true))
		return 3;
	if (!shared_map_keys(h->grant_fd[GRANT_KEYS], false) ||
		!shared_map_counters(h->grant_fd[GRANT_COUNTERS], h->instance))
		return 4;
	/* What the supervisor tells can be read, and through this descriptor not be written. */
	if (mmap(NULL, COUNTERS_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, h->grant_fd[GRANT_COUNTERS_READ], 0) != MAP_FAILED)
		return 7;
	const struct process_counters *told = shared_map_processes(h->grant_fd[GRANT_COUNTERS_READ], h->edges);
	if (!told || !atomic_load(&told->started_ms))
		return 8;
	if (h->edge_limits.head_bytes == HEAD_DIES || (h->edge_limits.head_bytes == HEAD_ONE_DIES && h->instance % EDGES == 0))
		return 6;
	if (write(STDERR_FILENO, whisper, strlen(whisper)) < 0 || !loop_init(&fake.loop))
		return 5;
	fake.supervisor.closed = stop_loop;
	fake.supervisor.message = edge_is_told;
	fake.dialer.message = dialer_answers;
	fake.ledger.message = ledger_answers;
	fake_port(&fake.supervisor, END_OF_SUPERVISOR, h->supervisor_fd);
	fake_port(&fake.dialer, END_OF_DIALER, handover_only_peer_fd(h, END_OF_DIALER));
	fake_port(&fake.ledger, END_OF_LEDGER, handover_peer_fd(h, END_OF_LEDGER, 0));
	fake_port(&fake.scribe, END_OF_SCRIBE, handover_peer_fd(h, END_OF_SCRIBE, 0));
	fake_tick(&fake.tick);
	loop_run(&fake.loop);
	return 0;
}

/* ---- the ledger of this test: ends when it is told to drain, or when all others are gone ---- */

static struct port fake_edges[GENERATIONS_MAX * EDGES];

static void
answer_load(struct port *p, const void *message, int fd)
{
	struct message_row answer = MESSAGE_INIT(LOADED, message_row);
	(void)!port_send(p, &answer, sizeof answer, -1);
}

static void
open_edge(uint32_t i, int fd)
{
	fake_edges[i].message = answer_load;
	fake_port(&fake_edges[i], END_OF_EDGE, fd);
}

static void
adopted(const struct message_memory *m)
{
	struct message_adopted answer = MESSAGE_INIT(ADOPTED, message_adopted);
	answer.generation = m->generation;
	answer.refused = m->batch_window_ms == WINDOW_REFUSED;
	says(SAYS_ADOPTED, m->generation, answer.refused, 0);
	if (port_send(&fake.supervisor, &answer, sizeof answer, -1) != IPC_OK)
		abort();
}

static void
ledger_is_told(struct port *p, const void *message, int fd)
{
	const struct message_head *h = message;
	const struct message_peer *peer = message;
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	if (h->type == MESSAGE_GO) {
		if (port_send(&fake.supervisor, &ready, sizeof ready, -1) != IPC_OK)
			abort();
		says(SAYS_LEDGER_UP, fake.h->incarnation, 0, 0);
	} else if (h->type == MESSAGE_CATALOGUE) {
		close(fd);
	} else if (h->type == MESSAGE_TALLY) {
		close(fd);
		adopted(message);
	} else if (h->type == MESSAGE_PEER && peer->role == END_OF_EDGE) {
		open_edge(peer->instance, fd);
	} else if (h->type == MESSAGE_PEER) {
		if (!port_open(&fake.scribe, &fake.loop, fd))
			abort();
	} else if (h->type != MESSAGE_SECRET) {
		fake.loop.stop = true;
	}
}

int
role_ledger(struct handover *h)
{
	static const char speech[] = "the ledger speaks\n";
	fake.h = h;
	if (write(STDERR_FILENO, speech, strlen(speech)) < 0 || h->ledger_node == NODE_FAILS ||
		(h->ledger_node == NODE_FAILS_LATER && h->incarnation > 1) || !loop_init(&fake.loop))
		return 9;
	fake.supervisor.closed = stop_loop;
	fake.supervisor.message = ledger_is_told;
	fake_port(&fake.supervisor, END_OF_SUPERVISOR, h->supervisor_fd);
	fake_port(&fake.scribe, END_OF_SCRIBE, handover_peer_fd(h, END_OF_SCRIBE, 0));
	for (uint32_t i = 0; i < h->edges; i++)
		if (handover_peer_fd(h, END_OF_EDGE, i) >= 0)
			open_edge(i, handover_peer_fd(h, END_OF_EDGE, i));
	loop_run(&fake.loop);
	return 0;
}

/* ---- a server of this test ---- */

struct block {
	struct catalogue head;
};

static _Atomic uint32_t *ahead_s; /* so far the clock of supervisor and test runs ahead; NULL: not */

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	long r = syscall(SYS_clock_gettime, clock, ret);
	ret->tv_sec += ahead_s && clock == CLOCK_MONOTONIC ? *ahead_s : 0;
	return (int)r;
}

struct server {
	struct supervisor_plan plan;
	struct block block;
	char dir[64];
	pid_t pid;
	int log; /* read end */
	char said[1 << 18];
	size_t len, seen;
};

static void
plan_init(struct server *s)
{
	struct supervisor_plan *p = &s->plan;
	uint64_t end = sizeof s->block;
	s->block.head = (struct catalogue){.magic = CATALOGUE_MAGIC,
		.bytes = end,
		.provider_at = end,
		.model_at = end,
		.price_at = end,
		.name_at = end,
		.price_ref_at = end,
		.lane_at = end,
		.target_at = end};
	*p = (struct supervisor_plan){.edges = EDGES,
		.tickets_per_edge = 64,
		.accounts = 64,
		.batch_window_ms = 50,
		.grade = VAULT_PLAIN,
		.timeouts.drain = 1000,
		.catalogue = &s->block,
		.catalogue_bytes = end,
		.listen_count = 2,
		.key_count = KEYS,
		.notify_fd = -1,
		.lock_fd = -1};
	p->limits.content_bytes = p->limits.library_bytes = VAULT_SEGMENT;
	for (uint32_t i = 0; i < p->listen_count; i++) {
		p->listen[i].len = sizeof p->listen[i].v4;
		p->listen[i].v4 =
			(struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	memset(p->pepper, 'p', sizeof p->pepper);
	p->keys = calloc(KEYS, sizeof *p->keys);
	for (uint16_t k = 0; k < KEYS; k++) {
		p->keys[k] = (struct plan_key){.key = k, .secret_bytes = SECRET_BYTES_MAX};
		memset(p->keys[k].secret, k, SECRET_BYTES_MAX);
	}
	strcpy(s->dir, "/tmp/lethe-supervisor-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	strcpy(p->data_dir, s->dir);
}

static void
server_run(struct server *s)
{
	int log[2];
	assert_int_equal(pipe2(log, O_CLOEXEC), 0);
	s->log = log[0];
	s->plan.log_fd = log[1];
	s->pid = fork();
	if (s->pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDERR_FILENO);
		setenv("LETHE_TEST_SECRET", "must not be inherited", 1);
		_exit(supervisor_run(&s->plan));
	}
	close(log[1]);
}

static struct server *
server_new(void)
{
	struct server *s = calloc(1, sizeof *s);
	plan_init(s);
	return s;
}

/* Reads more of the log. False: nothing came in time, or its writers are gone. */
static bool
read_log(struct server *s)
{
	struct pollfd p = {.fd = s->log, .events = POLLIN};
	if (poll(&p, 1, WAIT_MS) != 1)
		return false;
	ssize_t n = read(s->log, s->said + s->len, sizeof s->said - s->len - 1);
	if (n <= 0)
		return false;
	s->len += (size_t)n;
	s->said[s->len] = '\0';
	return true;
}

/* Waits for this text behind all that was awaited before. */
static void
await(struct server *s, const char *text)
{
	char *at;
	while (!(at = strstr(s->said + s->seen, text)))
		if (!read_log(s))
			fail_msg("the log does not say %s; it says:\n%s", text, s->said);
	s->seen = (size_t)(at - s->said) + strlen(text);
}

/* The same, wherever in the log: for reports whose order is open. */
static void
await_any(struct server *s, const char *text)
{
	size_t seen = s->seen;
	s->seen = 0;
	await(s, text);
	s->seen = seen;
}

static void
await_all_ready(struct server *s)
{
	char path[128];
	struct timespec pause = {.tv_nsec = 5000000};
	snprintf(path, sizeof path, "%s/endpoint", s->dir);
	for (uint64_t until = clock_monotonic_ms() + WAIT_MS; access(path, F_OK) != 0; nanosleep(&pause, NULL))
		assert_true(clock_monotonic_ms() < until);
}

static bool
comm_is(pid_t pid, const char *comm)
{
	char path[64], name[32] = "";
	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	FILE *f = fopen(path, "r");
	bool is = f && fgets(name, sizeof name, f) && strncmp(name, comm, strlen(comm)) == 0 &&
		name[strlen(comm)] == '\n';
	if (f)
		fclose(f);
	return is;
}

/* A child of the supervisor by its name; 0: none. */
static pid_t
child_named(const struct server *s, const char *comm)
{
	char path[64];
	int pid;
	pid_t found = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)s->pid, (int)s->pid);
	FILE *f = fopen(path, "r");
	while (f && !found && fscanf(f, "%d", &pid) == 1)
		if (comm_is(pid, comm))
			found = pid;
	if (f)
		fclose(f);
	return found;
}

static void
kill_child(const struct server *s, const char *comm)
{
	pid_t pid = child_named(s, comm);
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

/* Everybody's end, within that time; the status of the supervisor. */
static int
await_end(struct server *s, uint64_t within_ms)
{
	int status, supervisor_status = -1;
	uint64_t until = clock_monotonic_ms() + within_ms;
	struct timespec pause = {.tv_nsec = 5000000};
	for (;;) {
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return supervisor_status;
		if (pid == s->pid)
			supervisor_status = status;
		if (pid == 0) {
			if (clock_monotonic_ms() > until)
				fail_msg("processes are left; the log says:\n%s", s->said);
			nanosleep(&pause, NULL);
		}
	}
}

static void
server_free(struct server *s)
{
	char path[128];
	/* What is .new was being written as the supervisor was killed. */
	static const char *const files[] = {"control.sock", "endpoint", "endpoint.new", "log", "reload", "reload.new", "upgrade", "upgrade.new"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof path, "%s/%s", s->dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(s->dir), 0);
	close(s->log);
	free(s->plan.keys);
	free(s);
}

static struct server *
server_start(void)
{
	struct server *s = server_new();
	server_run(s);
	await_all_ready(s);
	return s;
}

static void
server_stop(struct server *s)
{
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	assert_int_equal(await_end(s, WAIT_MS), 0);
	server_free(s);
}

#define SAID(what, a, b, c) "\"event\":\"LOSS\",\"numbers\":[" #what "," #a "," #b "," #c "]"

/* ---- tests ---- */

static void
children_get_what_their_row_says(void **state)
{
	struct server *s = server_start();
	char want[128];
	/*
	 * 0 to 2, supervisor, board, keys, catalogue, counters twice, wake, two listeners, three arrows (the handover is
	 * closed); pepper, receipts' and master key, and keys.
	 */
	snprintf(want, sizeof want, "\"event\":\"LOSS\",\"numbers\":[%d,%d,%d,0]", SAYS_READY, KEYS + 3,
		3 + 1 + 6 + 2 + 3);
	await(s, want);
	await(s, want);
	static const char *const comms[] = {"lethe-edge", "lethe-dialer", "lethe-ledger", "lethe-scribe"};
	for (size_t i = 0; i < ARRAY_LEN(comms); i++)
		assert_true(child_named(s, comms[i]) > 0);
	assert_true(comm_is(s->pid, "lethe-super"));
	server_stop(s);
}

static void
a_dead_edge_is_followed_by_its_next_incarnation(void **state)
{
	struct server *s = server_start();
	kill_child(s, "lethe-edge");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[2,0,137,100]");
	await(s, SAID(2, 0, 2, 0));
	await_any(s, SAID(3, 0, 2, 0));
	server_stop(s);
}

static void
a_dead_dialer_is_replaced_for_every_edge(void **state)
{
	struct server *s = server_start();
	await_any(s, SAID(3, 0, 1, 0));
	await_any(s, SAID(3, 1, 1, 0));
	kill_child(s, "lethe-dialer");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[3,0,137,100]");
	size_t from = s->seen;
	await(s, SAID(3, 0, 1, 0));
	s->seen = from;
	await(s, SAID(3, 1, 1, 0));
	server_stop(s);
}

static void
a_dead_ledger_is_replaced_for_every_edge(void **state)
{
	struct server *s = server_start();
	await_any(s, SAID(2, 0, 1, 0));
	await_any(s, SAID(2, 1, 1, 0));
	kill_child(s, "lethe-ledger");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[4,0,137,100]");
	size_t from = s->seen;
	await(s, SAID(2, 0, 1, 0));
	s->seen = from;
	await(s, SAID(2, 1, 1, 0));
	server_stop(s);
}

static void
a_dead_scribe_is_replaced_and_its_death_is_told(void **state)
{
	struct server *s = server_start();
	kill_child(s, "lethe-scribe");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[5,0,137,100]");
	size_t from = s->seen;
	await(s, SAID(4, 0, 0, 0));
	s->seen = from;
	await(s, SAID(4, 1, 0, 0));
	server_stop(s);
}

static void
all_children_killed_at_once_come_back(void **state)
{
	struct server *s = server_start();
	static const char *const comms[] = {"lethe-scribe", "lethe-dialer", "lethe-ledger", "lethe-edge"};
	await_any(s, SAID(2, 0, 1, 0));
	kill(s->pid, SIGSTOP); /* it learns of all deaths in one turn */
	for (size_t i = 0; i < ARRAY_LEN(comms); i++)
		kill_child(s, comms[i]);
	kill(s->pid, SIGCONT);
	await(s, SAID(2, 0, 2, 0));
	await_any(s, SAID(3, 0, 2, 0));
	server_stop(s);
}

static void
the_back_off_doubles(void **state)
{
	static const char *const deaths[] = {"137,100]", "137,200]", "137,400]"};
	struct server *s = server_start();
	for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
		char want[80];
		kill_child(s, "lethe-ledger");
		snprintf(want, sizeof want, "\"event\":\"CHILD_DIED\",\"numbers\":[4,0,%s", deaths[i]);
		await(s, want);
		snprintf(want, sizeof want, "\"event\":\"LOSS\",\"numbers\":[%d,%zu,0,0]", SAYS_LEDGER_UP, i + 2);
		await(s, want);
	}
	server_stop(s);
}

static void
sigterm_ends_all_and_the_endpoint_is_gone(void **state)
{
	struct server *s = server_start();
	char path[128];
	kill(s->pid, SIGTERM);
	assert_int_equal(await_end(s, WAIT_MS), 0);
	snprintf(path, sizeof path, "%s/endpoint", s->dir);
	assert_int_equal(access(path, F_OK), -1);
	while (read_log(s))
		;
	assert_non_null(strstr(s->said, "\"event\":\"DRAINING\""));
	assert_null(strstr(s->said, "CHILD_DIED"));
	server_free(s);
}

static void
a_second_sigterm_does_not_wait(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_HANGS;
	s->plan.timeouts.drain = 600000;
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGTERM);
	await(s, "\"event\":\"DRAINING\"");
	assert_true(child_named(s, "lethe-edge") > 0);
	kill(s->pid, SIGTERM);
	assert_int_equal(await_end(s, WAIT_MS), 0);
	server_free(s);
}

static void
edges_that_do_not_drain_are_ended(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_HANGS;
	s->plan.timeouts.drain = 0;
	server_run(s);
	await_all_ready(s);
	server_stop(s);
}

static void
a_ledger_that_dies_while_edges_drain_is_replaced(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_HANGS;
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGTERM);
	await(s, "\"event\":\"DRAINING\"");
	kill_child(s, "lethe-ledger");
	await(s, SAID(5, 2, 0, 0));
	assert_int_equal(await_end(s, WAIT_MS), 0);
	server_free(s);
}

static bool
ends_within(pid_t pid, int ms)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	assert_true(end.fd >= 0);
	bool ended = poll(&end, 1, ms) == 1;
	close(end.fd);
	return ended;
}

static void
a_ledger_that_can_not_come_back_does_not_keep_the_server_from_ending(void **state)
{
	struct server *s = server_new();
	ahead_s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s->plan.node = NODE_FAILS_LATER;
	server_run(s);
	await_all_ready(s);
	kill_child(s, "lethe-ledger");
	kill(s->pid, SIGTERM);
	/* SIGHUP makes it look at the clock; several are one, where it is not let run in between. */
	for (uint64_t until = clock_monotonic_ms() + WAIT_MS; !ends_within(s->pid, AGAIN_MS);) {
		assert_true(clock_monotonic_ms() < until + *ahead_s * 1000ull);
		++*ahead_s;
		kill(s->pid, SIGHUP);
	}
	assert_int_equal(WEXITSTATUS(await_end(s, WAIT_MS)), 1);
	ahead_s = NULL;
	server_free(s);
}

static void
nobody_survives_a_killed_supervisor(void **state)
{
	struct server *s = server_start();
	kill(s->pid, SIGKILL);
	assert_true(WIFSIGNALED(await_end(s, WAIT_MS)));
	server_free(s);
}

static void
a_child_that_can_not_start_ends_the_start(void **state)
{
	struct server *s = server_new();
	s->plan.node = NODE_FAILS;
	server_run(s);
	int status = await_end(s, WAIT_MS);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	server_free(s);
}

static void
a_traced_edge_is_ended(void **state)
{
	struct server *s = server_start();
	int status;
	pid_t edge = child_named(s, "lethe-edge");
	assert_int_equal(ptrace(PTRACE_SEIZE, edge, NULL, NULL), 0);
	await(s, "\"event\":\"TRACED\"");
	/* A tracer is told first; until it has looked, the parent is told nothing. */
	assert_int_equal(waitpid(edge, &status, 0), edge);
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[2,0,");
	await(s, SAID(2, 0, 2, 0));
	server_stop(s);
}

static void
only_children_without_content_are_quoted(void **state)
{
	struct server *s = server_start();
	await_any(s, "\"role\":\"ledger\",\"instance\":0,\"event\":\"STDERR\",\"text\":\"the ledger speaks\"");
#if !SANITIZED
	await_any(s, "\"event\":\"CHILD_WROTE\",\"numbers\":[2,0,17,0]");
	assert_null(strstr(s->said, "whisper"));
#endif
	server_stop(s);
}

static void
an_edge_that_sends_what_is_not_its_to_send_is_killed(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_BAD_MESSAGE;
	server_run(s);
	await_all_ready(s);
	kill_child(s, "lethe-ledger");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[2,");
	await_any(s, SAID(2, 0, 2, 0));
	await_any(s, SAID(2, 1, 2, 0));
	server_stop(s);
}

/* A pipe with a name: what is written to it can be awaited. */
static void
name_a_log(struct server *s)
{
	snprintf(s->plan.log_file, sizeof s->plan.log_file, "%s/log", s->dir);
	assert_int_equal(mkfifo(s->plan.log_file, 0600), 0);
}

static void
read_the_named_log(struct server *s)
{
	int fd = open(s->plan.log_file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	close(s->log);
	s->log = fd;
}

static void
sighup_opens_the_log_anew_for_all_who_write_it(void **state)
{
	struct server *s = server_new();
	name_a_log(s);
	server_run(s);
	await_all_ready(s);
	int old = dup(s->log);
	read_the_named_log(s);
	kill(s->pid, SIGHUP);
	await(s, "\"role\":\"supervisor\",\"instance\":0,\"event\":\"LOG_OPENED\"");
	kill_child(s, "lethe-edge");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[2,0,");
	/* The next scribe has the new log as well. */
	kill_child(s, "lethe-scribe");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[5,0,");
	await(s, "\"role\":\"edge\"");
	/* Nobody holds the old one. */
	static char rest[1 << 16];
	while (read(old, rest, sizeof rest) > 0)
		;
	close(old);
	server_stop(s);
}

static void
a_log_that_can_not_be_opened_anew_is_told_in_the_old_one(void **state)
{
	struct server *s = server_new();
	snprintf(s->plan.log_file, sizeof s->plan.log_file, "%s/missing/log", s->dir);
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGHUP);
	await(s, "\"event\":\"LOG_FAILED\",\"numbers\":[2,0,0,0]");
	server_stop(s);
}

/* ---- another configuration ---- */

static struct supervisor_plan changed; /* what is read at a SIGHUP */

static struct supervisor_plan *
read_changed(const struct supervisor_plan *now, struct plan_report *report)
{
	return &changed;
}

static void
can_change(struct server *s)
{
	s->plan.generations = GENERATIONS_MAX;
	s->plan.again = read_changed;
	changed = s->plan;
}

static void
a_changed_configuration_is_a_new_generation_of_edges(void **state)
{
	struct server *s = server_new();
	can_change(s);
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGHUP);
	await(s, SAID(6, 1, 0, 0));
	await(s, "\"event\":\"RELOADED\",\"numbers\":[1,0,0,0]");
	await(s, "\"event\":\"RETIRED\",\"numbers\":[0,0,0,0]");
	assert_null(strstr(s->said, "CHILD_DIED"));
	/* Its edges are replaced as those before were, and the generation that is free is used again, with the next incarnation of each. */
	kill_child(s, "lethe-edge");
	await(s, "\"event\":\"CHILD_DIED\",\"numbers\":[2,2,137,100]");
	await(s, SAID(2, 2, 2, 0));
	kill(s->pid, SIGHUP);
	await(s, "\"event\":\"RELOADED\",\"numbers\":[0,0,0,0]");
	await_any(s, SAID(2, 0, 2, 0));
	server_stop(s);
}

static void
a_generation_whose_edges_die_is_given_up(void **state)
{
	struct server *s = server_new();
	can_change(s);
	changed.limits.head_bytes = HEAD_DIES;
	server_run(s);
	await_all_ready(s);
	pid_t edge = child_named(s, "lethe-edge");
	kill(s->pid, SIGHUP);
	await_any(s, SAID(6, 1, 0, 0));
	await_any(s, "\"event\":\"RELOAD_REFUSED\"");
	await(s, SAID(6, 0, 0, 0)); /* the ledger goes back */
	await_any(s, "\"event\":\"RETIRED\",\"numbers\":[1,0,0,0]");
	assert_int_equal(child_named(s, "lethe-edge"), edge);
	/* And again: all of it is free. */
	kill(s->pid, SIGHUP);
	await(s, SAID(6, 1, 0, 0));
	await(s, SAID(6, 0, 0, 0));
	server_stop(s);
}

/* Its READY may be on the way, and then it has requests. */
static void
an_edge_that_has_not_said_that_it_is_ready_may_finish_what_it_has(void **state)
{
	struct server *s = server_new();
	can_change(s);
	changed.limits.head_bytes = HEAD_ONE_DIES;
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGHUP);
	await_any(s, "\"event\":\"RELOAD_REFUSED\"");
	await_any(s, SAID(7, 3, 0, 0));
	await_any(s, "\"event\":\"RETIRED\",\"numbers\":[1,0,0,0]");
	server_stop(s);
}

static void
a_generation_that_the_ledger_refuses_is_given_up(void **state)
{
	struct server *s = server_new();
	can_change(s);
	changed.batch_window_ms = WINDOW_REFUSED;
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGHUP);
	await(s, SAID(6, 1, 1, 0));
	await_any(s, "\"event\":\"RELOAD_REFUSED\"");
	await_any(s, "\"event\":\"RETIRED\",\"numbers\":[1,0,0,0]");
	server_stop(s);
}

static void
a_generation_that_does_not_end_is_ended(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_HANGS;
	s->plan.timeouts.drain = 0;
	can_change(s);
	server_run(s);
	await_all_ready(s);
	kill(s->pid, SIGHUP);
	await(s, "\"event\":\"RELOADED\",\"numbers\":[1,0,0,0]");
	await(s, "\"event\":\"RETIRED\",\"numbers\":[0,0,0,0]");
	server_stop(s);
}

static void
a_stop_ends_all_generations(void **state)
{
	struct server *s = server_new();
	s->plan.limits.head_bytes = HEAD_HANGS;
	can_change(s);
	server_run(s);
	await_all_ready(s);
	for (int i = 1; i < GENERATIONS_MAX; i++) {
		char want[80];
		kill(s->pid, SIGHUP);
		snprintf(want, sizeof want, "\"event\":\"RELOADED\",\"numbers\":[%d,0,0,0]", i);
		await(s, want);
	}
	kill(s->pid, SIGHUP);
	await(s, "\"event\":\"RELOAD_WAITS\"");
	server_stop(s);
}

/* ---- the service manager ---- */

/* A manager's socket, in the abstract namespace when the name begins with '@'. */
static int
manager_open(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, name);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
	return fd;
}

static const char *
manager_hears(int fd)
{
	static char said[512];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	ssize_t n = recv(fd, said, sizeof said - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	return said;
}

static bool
manager_hears_nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) == 0;
}

static void
the_manager_is_told_when_all_are_up_and_how_long_a_stop_may_take(void **state)
{
	struct server *s = server_new();
	char name[128];
	snprintf(name, sizeof name, "%s/notify", s->dir);
	int manager = manager_open(name);
	setenv("NOTIFY_SOCKET", name, 1);
	s->plan.notify_fd = notify_open();
	assert_true(s->plan.notify_fd >= 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	s->plan.timeouts.drain = 600000;
	server_run(s);
	assert_non_null(strstr(manager_hears(manager), "READY=1\n"));
	await_all_ready(s);
	assert_true(manager_hears_nothing(manager));
	kill(s->pid, SIGTERM);
	const char *said = manager_hears(manager), *most = strstr(said, "EXTEND_TIMEOUT_USEC=");
	assert_non_null(strstr(said, "STOPPING=1\n"));
	assert_true(most && strtoull(strchr(most, '=') + 1, NULL, 10) > 630ULL * 1000000);
	assert_int_equal(await_end(s, WAIT_MS), 0);
	assert_true(manager_hears_nothing(manager));
	unlink(name);
	close(manager);
	close(s->plan.notify_fd);
	server_free(s);
}

static void
a_manager_is_never_told_of_a_start_that_fails(void **state)
{
	struct server *s = server_new();
	char name[64];
	snprintf(name, sizeof name, "@lethe-supervisor-test-%d", (int)getpid());
	int manager = manager_open(name);
	setenv("NOTIFY_SOCKET", name, 1);
	s->plan.notify_fd = notify_open();
	assert_true(s->plan.notify_fd >= 0);
	s->plan.node = NODE_FAILS;
	server_run(s);
	assert_int_equal(WEXITSTATUS(await_end(s, WAIT_MS)), 1);
	assert_true(manager_hears_nothing(manager));
	close(manager);
	close(s->plan.notify_fd);
	server_free(s);
}

static void
without_a_manager_that_can_be_reached_there_is_none(void **state)
{
	static const char *const names[] = {"", "@", "relative", "/nonexistent/notify", "vsock:2:1"};
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(), -1);
	dup2(null, STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		int fd = notify_open();
		if (fd != -1)
			fail_msg("%s is taken for a socket", names[i]);
	}
	unsetenv("NOTIFY_SOCKET");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	notify_ready(-1);
}

/* A failed test leaves its server: killing the supervisor makes its children this process' own. */
static void
end_all(void)
{
	char path[64];
	int pid;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	do {
		FILE *f = fopen(path, "r");
		while (f && fscanf(f, "%d", &pid) == 1)
			kill(pid, SIGKILL);
		if (f)
			fclose(f);
	} while (waitpid(-1, NULL, 0) > 0);
}

int
main(int argc, char **argv)
{
	if (role_is_child(argc, argv))
		role_run();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_get_what_their_row_says),
		cmocka_unit_test(a_dead_edge_is_followed_by_its_next_incarnation),
		cmocka_unit_test(a_dead_dialer_is_replaced_for_every_edge),
		cmocka_unit_test(a_dead_ledger_is_replaced_for_every_edge),
		cmocka_unit_test(a_dead_scribe_is_replaced_and_its_death_is_told),
		cmocka_unit_test(all_children_killed_at_once_come_back),
		cmocka_unit_test(the_back_off_doubles),
		cmocka_unit_test(sigterm_ends_all_and_the_endpoint_is_gone),
		cmocka_unit_test(a_second_sigterm_does_not_wait),
		cmocka_unit_test(edges_that_do_not_drain_are_ended),
		cmocka_unit_test(a_ledger_that_dies_while_edges_drain_is_replaced),
		cmocka_unit_test(a_ledger_that_can_not_come_back_does_not_keep_the_server_from_ending),
		cmocka_unit_test(nobody_survives_a_killed_supervisor),
		cmocka_unit_test(a_child_that_can_not_start_ends_the_start),
		cmocka_unit_test(a_traced_edge_is_ended),
		cmocka_unit_test(only_children_without_content_are_quoted),
		cmocka_unit_test(an_edge_that_sends_what_is_not_its_to_send_is_killed),
		cmocka_unit_test(sighup_opens_the_log_anew_for_all_who_write_it),
		cmocka_unit_test(a_log_that_can_not_be_opened_anew_is_told_in_the_old_one),
		cmocka_unit_test(a_changed_configuration_is_a_new_generation_of_edges),
		cmocka_unit_test(a_generation_whose_edges_die_is_given_up),
		cmocka_unit_test(an_edge_that_has_not_said_that_it_is_ready_may_finish_what_it_has),
		cmocka_unit_test(a_generation_that_the_ledger_refuses_is_given_up),
		cmocka_unit_test(a_generation_that_does_not_end_is_ended),
		cmocka_unit_test(a_stop_ends_all_generations),
		cmocka_unit_test(the_manager_is_told_when_all_are_up_and_how_long_a_stop_may_take),
		cmocka_unit_test(a_manager_is_never_told_of_a_start_that_fails),
		cmocka_unit_test(without_a_manager_that_can_be_reached_there_is_none),
	};
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	end_all();
	return failed;
}
