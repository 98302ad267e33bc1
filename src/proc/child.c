#include "proc/supervisor_priv.h"

#include "core/text.h"
#include "ledger/ledger.h"
#include "proc/collector.h"
#include "proc/machine.h"
#include "proc/role_main.h"
#include "proc/spawn.h"
#include "proc/tls_hand.h"
#include "signer/signer.h"
#include "ticket/limit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- messages to it ---- */

void
child_tell(struct child *c, enum message_type plain)
{
	struct message_plain m = {.head = {.type = (uint16_t)plain, .bytes = sizeof m}};
	(void)!port_send(&c->port, &m, sizeof m, -1); /* one that is gone already needs no telling */
}

static bool
send_secret(struct child *c, enum secret_kind kind, const struct plan_key *key)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	m.kind = (uint16_t)kind;
	m.provider = key->provider;
	m.key = key->key;
	m.secret_bytes = key->secret_bytes;
	memcpy(m.secret, key->secret, key->secret_bytes);
	bool sent = port_send(&c->port, &m, sizeof m, -1) == IPC_OK;
	explicit_bzero(&m, sizeof m);
	return sent;
}

static bool
send_pepper(struct child *c)
{
	struct plan_key pepper = {.secret_bytes = API_KEY_PEPPER_BYTES};
	memcpy(pepper.secret, c->s->plan->pepper, API_KEY_PEPPER_BYTES);
	bool sent = send_secret(c, SECRET_PEPPER, &pepper);
	explicit_bzero(&pepper, sizeof pepper);
	return sent;
}

/* An edge sees what strangers send and can't sign: it gets the code's key alone. */
static bool
send_receipt_key(struct child *c)
{
	bool is_edge = child_is_edge(c);
	struct plan_key key = {.secret_bytes = is_edge ? RECEIPT_CODE_KEY_BYTES : RECEIPT_SEED_BYTES};
	if (is_edge)
		receipt_code_key(c->s->plan->receipt_seed, (uint8_t *)key.secret);
	else
		memcpy(key.secret, c->s->plan->receipt_seed, RECEIPT_SEED_BYTES);
	bool sent = send_secret(c, SECRET_RECEIPT, &key);
	explicit_bzero(&key, sizeof key);
	return sent;
}

/* Edges open customers' own keys; the ledger, which keeps them, learns only what others seal them for. */
static bool
send_master(struct child *c)
{
	struct plan_key key = {.secret_bytes = BYOK_SEED_BYTES};
	if (child_is_edge(c))
		memcpy(key.secret, c->s->plan->master, BYOK_SEED_BYTES);
	else
		byok_public(c->s->plan->master, (uint8_t *)key.secret);
	bool sent = send_secret(c, SECRET_BYOK, &key);
	explicit_bzero(&key, sizeof key);
	return sent;
}

static bool
send_segment(struct child *c, size_t bytes)
{
	struct message_segment m = MESSAGE_INIT(SEGMENT, message_segment);
	if (c->role->end == END_OF_SIGNER)
		m.head.type = MESSAGE_SIGNER_SEGMENT;
	int fd = vault_segment_create(child_generation(c)->plan->grade, bytes);
	if (fd < 0)
		return false;
	m.segment_bytes = bytes;
	if (port_send(&c->port, &m, sizeof m, fd) == IPC_OK)
		return true;
	close(fd);
	return false;
}

static bool
send_provider_keys(struct child *c, const struct supervisor_plan *plan)
{
	for (uint32_t i = 0; i < plan->key_count; i++)
		if (!send_secret(c, SECRET_PROVIDER_KEY, &plan->keys[i]))
			return false;
	return true;
}

/* Memory first: the secrets go into it. */
static bool
send_all(struct child *c)
{
	const struct supervisor_plan *plan = child_generation(c)->plan;
	bool is_edge = child_is_edge(c), tls = is_edge && c->own->tls && c->own->tls->count > 0;
	if (is_edge && !(send_segment(c, VAULT_FIRST_SEGMENT) && send_segment(c, VAULT_SEGMENT))) /* the second to spare */
		return false;
	if (c->role->end == END_OF_SIGNER && (!send_segment(c, SIGNER_SEGMENT) || !tls_hand_over(c)))
		return false;
	if (tls && !tls_hand_over(c))
		return false;
	if ((is_edge || c->role->end == END_OF_LEDGER) && !(send_pepper(c) && send_receipt_key(c) && send_master(c)))
		return false;
	if (c->role->end == END_OF_SCRIBE && !collector_hand_over(c, &plan->collector))
		return false;
	if (is_edge && !send_provider_keys(c, plan))
		return false;
	child_tell(c, MESSAGE_GO);
	return true;
}

/* ---- what metrics tell of it ---- */

static struct process_counters *
told_of(const struct child *c)
{
	return supervisor_processes(c->s);
}

/* There is room for all but the last few that there could be. */
static struct process_numbers *
row_of(const struct child *c)
{
	static struct process_numbers nowhere;
	size_t i = (size_t)(c - c->s->child);
	return i < PROCESSES_MAX ? &told_of(c)->process[i] : &nowhere;
}

#define TELL(c, name, value) atomic_store_explicit(&row_of(c)->name, (value), memory_order_relaxed)

static void
tell_started(const struct child *c)
{
	TELL(c, role, c->role->end);
	TELL(c, instance, c->instance);
	TELL(c, up, 0);
	TELL(c, started_ms, clock_wall_us() / 1000);
	TELL(c, restarts, c->restarts);
	if (child_is_edge(c))
		atomic_fetch_or(&told_of(c)->edges_known[c->instance / 64], 1ULL << c->instance % 64);
}

/* What it counted stays; what it had open, it has no more. */
static void
tell_ended(const struct child *c)
{
	TELL(c, up, 0);
	if (!child_is_edge(c))
		return;
	struct counters *k = shared_counters(&c->s->shared, c->instance);
#define ZERO_counter(name)
#define ZERO_gauge(name) count_set(k, name, 0);
#define X(name, kind, metric, meaning) ZERO_##kind(name)
	COUNTERS(X)
#undef X
}

/* ---- messages from it ---- */

/* What the edge has mapped it says itself; the kernel's limit holds where it lies. */
static void
segment_wanted(struct child *c, const struct message_segment *m)
{
	const struct supervisor_plan *plan = child_generation(c)->plan;
	uint64_t mapped = atomic_load_explicit(
		&shared_counters(&c->s->shared, c->instance)->vault_mapped_bytes, memory_order_relaxed);
	uint64_t most = plan->limits.content_bytes + plan->limits.library_bytes + VAULT_FIRST_SEGMENT + VAULT_SEGMENT;
	bool sound =
		m->segment_bytes > 0 && m->segment_bytes <= VAULT_SEGMENT && m->segment_bytes % VAULT_BLOCK_MAX == 0;
	if (!sound || mapped + m->segment_bytes > most || !send_segment(c, m->segment_bytes))
		supervisor_report(c->s, EVENT_VAULT_FULL, NUMBERS(c->instance, most));
}

static void
port_message(struct port *p, const void *message, int pass_fd)
{
	struct child *c = container_of(p, struct child, port);
	const struct message_head *h = message;
	if (h->type == MESSAGE_COLLECTOR_DIALLED) {
		collector_dialled(c, pass_fd);
		return;
	}
	if (pass_fd >= 0)
		close(pass_fd); /* no other of its messages carries one */
	if (h->type == MESSAGE_READY && c->state == CHILD_STARTING) {
		c->state = CHILD_UP;
		TELL(c, up, 1);
		supervisor_child_ready(c->s, c);
	} else if (h->type == MESSAGE_ADOPTED) {
		generation_adopted(c->s, message);
	} else if (h->type == MESSAGE_SEGMENT_WANTED) {
		segment_wanted(c, message);
	} else if (h->type == MESSAGE_KEYS_HELD) {
		tls_keys_held(c, message);
	} else if (h->type == MESSAGE_COLLECTOR_WANTED) {
		collector_wanted(c);
	} else if (h->type == MESSAGE_DRAIN_WANTED) {
		supervisor_drain(c->s);
	} else if (h->type != MESSAGE_READY) {
		kill(c->pid, SIGKILL);
	}
}

/* Anywhere else a bad message ends the receiver. Here that would end everybody, so it ends the sender. */
static void
port_refused(struct port *p)
{
	kill(container_of(p, struct child, port)->pid, SIGKILL);
}

/* ---- start ---- */

struct fd_list {
	int fd[SPAWN_FDS_MAX];
	uint32_t count;
};

/* Returns the number that it will have in the child. */
static int32_t
list(struct fd_list *l, int fd)
{
	if (fd < 0)
		return -1;
	assert(l->count < SPAWN_FDS_MAX);
	l->fd[l->count] = fd;
	return (int32_t)(3 + l->count++);
}

static int
grant_fd(const struct child *c, enum grant g)
{
	const struct supervisor *s = c->s;
	const struct shared_catalogue *own = &child_generation(c)->memory;
	switch (g) {
	case GRANT_BOARD:
		return s->shared.board_fd;
	case GRANT_KEYS:
		return s->shared.keys_read_fd;
	case GRANT_KEYS_WRITE:
		return s->shared.keys_fd;
	case GRANT_CATALOGUE:
		return own->catalogue_fd;
	case GRANT_COUNTERS:
		return s->shared.counters_fd;
	case GRANT_COUNTERS_READ:
		return s->shared.counters_read_fd;
	case GRANT_TALLY:
		return own->tally_fd;
	case GRANT_TALLY_READ:
		return own->tally_read_fd;
	case GRANT_WAKE:
		return s->wake_fd;
	case GRANT_CONTROL:
		return s->control_fd;
	case GRANT_LOG:
		return s->log_fd;
	case GRANT_METRICS:
		return s->metrics_fd;
	case GRANT_LOCK:
		return s->plan->lock_fd;
	case GRANT_PREDECESSOR:
		return s->upgrade.predecessor > 0 ? s->upgrade.predecessor_pidfd : -1;
	case GRANT_COUNT:
		break;
	}
	return -1;
}

static void
list_descriptors(const struct child *c, struct handover *h, struct fd_list *l)
{
	const struct generation *own = child_generation(c);
	for (int g = 0; g < GRANT_COUNT; g++)
		h->grant_fd[g] = list(l, c->role->grants & 1u << g ? grant_fd(c, (enum grant)g) : -1);
	for (uint32_t i = 0; c->role->listens && i < own->plan->listen_count; i++)
		h->listen_fd[h->listen_count++] = list(l, own->listen_fd[i]);
	for (uint32_t i = 0; i < h->peer_count; i++)
		h->peer[i].fd = list(l, h->peer[i].fd);
}

static void
fill_slices(const struct child *c, struct handover *h)
{
	const struct supervisor_plan *plan = child_generation(c)->plan;
	h->magic = HANDOVER_MAGIC;
	h->bytes = sizeof *h;
	h->role = (uint16_t)c->role->end;
	h->instance = (uint16_t)c->instance;
	h->incarnation = c->incarnation;
	h->edges = plan->edges * c->s->generation_count;
	if (child_is_edge(c)) {
		h->edge_limits = plan->limits;
		h->edge_timeouts = plan->timeouts;
		h->edge_tls = plan->edge_tls;
		h->edge_proxies = plan->edge_proxies;
		h->http2 = plan->http2;
		h->expose_route = plan->expose_route;
		h->transparency = plan->transparency;
		machine_hand_over(h);
		h->vault_grade = plan->grade;
		h->durability = plan->durability;
	} else if (c->role->end == END_OF_SIGNER) {
		h->vault_grade = plan->grade;
	} else if (c->role->end == END_OF_SCRIBE) {
		h->log_level = plan->log_level;
		memcpy(h->otlp_name, plan->collector.name, sizeof h->otlp_name);
		h->otlp_tls = plan->collector.tls;
		memcpy(h->otlp_host, plan->collector.host, sizeof h->otlp_host);
		memcpy(h->otlp_path, plan->collector.path, sizeof h->otlp_path);
	} else if (c->role->end == END_OF_DIALER) {
		memcpy(h->otlp_name, plan->collector.name, sizeof h->otlp_name);
		h->otlp_port = plan->collector.port;
	} else if (c->role->end == END_OF_LEDGER) {
		h->ledger_node = plan->node;
		h->ledger_spans = plan->collector.on;
		h->ledger_batch_window_ms = plan->batch_window_ms;
		h->ledger_outbox_ms = plan->outbox_ms;
		h->ledger_outbox_requests = plan->outbox_requests;
		h->ledger_streams_per_account = supervisor_streams_per_account(plan);
		memcpy(h->ledger_data_dir, plan->data_dir, sizeof h->ledger_data_dir);
	}
}

static pid_t
spawn(const struct child *c, struct handover *h, int control_fd, int pipe_fd)
{
	char argv0[32];
	struct fd_list l = {.count = 1}; /* the handover itself is the first */
	struct text t = text_on(argv0, sizeof argv0 - 1);
	text_lit(&t, ROLE_ARGV0);
	text_str(&t, c->role->name);
	text_lit(&t, " ");
	text_u64(&t, c->instance);
	argv0[t.len] = '\0';
	fill_slices(c, h);
	h->supervisor_fd = list(&l, control_fd);
	list_descriptors(c, h, &l);
	l.fd[0] = handover_write(h);
	if (l.fd[0] < 0)
		return -1;
	pid_t pid = spawn_self(argv0, pipe_fd, l.fd, l.count);
	close(l.fd[0]);
	return pid;
}

static void
close_pair(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static pid_t
spawn_with_arrows(const struct child *c, const int control_fd, const int pipe_fd)
{
	struct handover h = {0};
	int mine[HANDOVER_PEERS_MAX];
	bool taken = arrows_take(c->s, c, &h);
	for (uint32_t i = 0; i < h.peer_count; i++)
		mine[i] = h.peer[i].fd;
	pid_t pid = taken ? spawn(c, &h, control_fd, pipe_fd) : -1;
	for (uint32_t i = 0; i < h.peer_count; i++)
		if (mine[i] >= 0)
			close(mine[i]);
	return pid;
}

/* False: the kernel gave too little; tried again after the back-off. */
static bool
try_start(struct child *c)
{
	int control[2] = {-1, -1}, said[2] = {-1, -1};
	if (ipc_pair(control) == 0 && pipe2(said, O_CLOEXEC) == 0)
		c->pid = spawn_with_arrows(c, control[1], said[1]);
	if (c->pid <= 0) {
		c->pid = 0;
		close_pair(control);
		close_pair(said);
		arrows_drop(c->s, c);
		return false;
	}
	close(control[1]);
	close(said[1]);
	bool opened = port_open(&c->port, &c->s->loop, control[0]), watched = watch_pipe(c, said[0]);
	if (!opened || !watched || !send_all(c))
		kill(c->pid, SIGKILL); /* reaped like any other death */
	return true;
}

static void
restart_fired(struct timer *t)
{
	struct child *c = container_of(t, struct child, restart);
	c->restarts++;
	child_start(c);
}

static void
start_later(struct child *c)
{
	timer_arm(&c->s->loop, &c->restart, c->s->loop.now_ms + c->backoff_ms, restart_fired);
	c->backoff_ms = c->backoff_ms * 2 < RESTART_MS_MAX ? c->backoff_ms * 2 : RESTART_MS_MAX;
}

void
child_start(struct child *c)
{
	assert(c->state == CHILD_DOWN && c->pid == 0);
	c->incarnation++;
	c->foreign = false;
	c->started_ms = c->s->loop.now_ms;
	c->traced = false;
	tell_started(c);
	if (try_start(c))
		c->state = CHILD_STARTING;
	else
		start_later(c);
}

void
child_init(struct child *c, struct supervisor *s, const struct role *role, uint32_t instance)
{
	*c =
		(struct child){.s = s, .role = role, .instance = instance, .backoff_ms = RESTART_MS_MIN, .pipe.fd = -1};
	c->port.self = END_OF_SUPERVISOR;
	c->port.peer = role->end;
	c->port.instance = (uint16_t)instance;
	c->port.message = port_message;
	c->port.refused = port_refused;
	c->port.queue_max = 16 * CATALOGUE_KEYS_MAX * 64; /* its secrets, all queued before it looks */
}

const struct generation *
child_generation(const struct child *c)
{
	const struct supervisor *s = c->s;
	if (c->own)
		return c->own;
	return s->next && s->upgrade.fresh_sums ? s->next : s->now;
}

struct child *
child_find(struct supervisor *s, enum message_end role, uint32_t instance)
{
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].role->end == role && s->child[i].instance == instance)
			return &s->child[i];
	return NULL;
}

/* ---- end ---- */

static void
kill_fired(struct timer *t)
{
	struct child *c = container_of(t, struct child, kill);
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

void
child_kill_after(struct child *c, uint32_t ms)
{
	timer_arm(&c->s->loop, &c->kill, c->s->loop.now_ms + ms, kill_fired);
}

/* Exit status, or 128 + the signal. */
static uint64_t
status_number(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128u + (unsigned)WTERMSIG(wait_status)
									: (unsigned)WEXITSTATUS(wait_status);
}

/* Only now, when it is reaped, is nothing of it under way any more: its tickets may be taken over. */
static void
bury_edge(struct child *c)
{
	uint64_t one = 1;
	limit_forget_edge(c->s->shared.board, c->instance);
	board_mark_dead(c->s->shared.board, c->instance, c->incarnation);
	(void)!write(
		c->s->wake_fd, &one, sizeof one); /* fails only when the ledger has a wake-up waiting already */
}

/* What we have of it. */
static void
lose(struct child *c)
{
	port_close(&c->port);
	watch_pipe_close(c);
	timer_cancel(&c->s->loop, &c->kill);
	arrows_drop(c->s, c);
}

/* A ledger whose store can't be reached ends so that the next one looks whether it is back. It has done all that it could. */
static bool
looks_again(const struct child *c, int wait_status)
{
	return c->role->end == END_OF_LEDGER && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == LEDGER_LOOKS_AGAIN;
}

static void
child_ended(struct child *c, int wait_status)
{
	struct supervisor *s = c->s;
	bool looks = looks_again(c, wait_status);
	bool expected = looks || (c->state == CHILD_ENDING && !c->traced && wait_status == 0), starting = c->state == CHILD_STARTING;
	c->pid = 0;
	c->state = CHILD_DOWN;
	tell_ended(c);
	lose(c);
	if (child_is_edge(c)) {
		poison_edge_died(c, wait_status);
		bury_edge(c);
	}
	if (looks || s->loop.now_ms - c->started_ms >= RESTART_HEALTHY_MS)
		c->backoff_ms = RESTART_MS_MIN;
	uint32_t wait_ms = c->backoff_ms;
	bool again = supervisor_child_ended(s, c, wait_status);
	if (!expected)
		supervisor_report(s, EVENT_CHILD_DIED,
			NUMBERS(c->role->end, c->instance, status_number(wait_status), again ? wait_ms : 0));
	if (again)
		start_later(c);
	else if (c->own && !generation_lives(c)) {
		c->state = CHILD_UNUSED;
		TELL(c, role, 0);
		generation_child_ended(c);
	}
	if (starting && !c->own)
		upgrade_start_failed(s, c);
}

void
child_reap(struct supervisor *s)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (uint32_t i = 0; !upgrade_reaped(s, pid, status) && i < s->child_count; i++)
			if (s->child[i].pid == pid) {
				child_ended(&s->child[i], status);
				break;
			}
}

/* ---- of another supervisor, or not ours any more ---- */

bool
child_adopt(struct child *c, int port_fd, int pipe_fd)
{
	c->foreign = true;
	/* One whose port is closed is about to be reaped. */
	bool heard = port_fd < 0 || port_open(&c->port, &c->s->loop, port_fd);
	return (pipe_fd < 0 || watch_pipe(c, pipe_fd)) && heard;
}

void
child_leave(struct child *c)
{
	c->pid = 0;
	c->state = CHILD_DOWN;
	lose(c);
}
