/* The ledger's process: rounds, the supervisor's orders, edges' requests for rows, the control socket. */
#include "ledger/away.h"
#include "ledger/control_clients.h"
#include "ledger/ledger_priv.h"
#include "ledger/share_priv.h"
#include "ledger/verify.h"
#include "ledger/object.h"
#include "ledger/work.h"

#include "core/ipc.h"
#include "ticket/messages.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	REST_MS = 10000, /* nothing to book for so long: memory goes back */
	ORPHAN_PATIENCE_MS = 4000, /* supervisor gone: so long may edges take to end */
	START_AGAIN_MS = 1000,
	ERRANDS_AT_ONCE = 16,
	ERRANDS_AGAIN_MS = 1000,
	STARTED_CLOSED = 1, /* exit statuses: not all is booked */
	STARTED_NEVER = 2,
	STARTED_AWAY = LEDGER_LOOKS_AGAIN,
};

enum mood {
	SERVING,
	HANDING_OVER, /* a successor is started when this one has ended: edges go on */
	DRAINING, /* told to end when all is booked */
	STOPPING, /* told to end now */
	ORPHANED, /* nobody is left to tell: end when the edges have, or after a while */
};

struct edge_arrow {
	int fd; /* -1: closed */
	bool answers; /* an answer did not fit: nothing is read until it went */
	struct message_row answer;
	char *text; /* or this receipt, of which `said` bytes went */
	uint32_t text_bytes, said;
	uint64_t token;
};

struct process {
	const struct ledger_process *arg;
	int catalogue_fd; /* of a CATALOGUE whose TALLY has not come yet; -1: none */
	size_t catalogue_bytes;
	struct ledger *ledger;
	struct board *board;
	enum mood mood;
	bool handed; /* edges may be another's by now: what their arrows say here means nothing */
	uint64_t orphaned_ms;
	uint64_t rest_due_ms; /* 0: nothing was booked since the last */
	int supervisor_fd, wake_fd, control_fd;
	uint32_t errands; /* that were sent: whose turn it is */
	uint32_t edge_count;
	struct edge_arrow edges[BOARD_EDGES_MAX];
	struct clients clients;
};

enum { POLLS_MAX = 3 + BOARD_EDGES_MAX + CLIENTS_MAX };

/* ---- the supervisor ---- */

static void
change_mood(struct process *p, enum mood mood)
{
	if (mood <= p->mood)
		return;
	p->mood = mood;
	if (mood == ORPHANED)
		p->orphaned_ms = clock_monotonic_ms();
	/* Edges take no new holds: nobody would restart us if we died over them. */
	if (mood != HANDING_OVER)
		atomic_store(board_gate(p->board), BOARD_DRAINING);
	ledger_woken(p->ledger);
}

static void
replace(int *fd, int fresh)
{
	if (*fd >= 0)
		close(*fd);
	*fd = fresh;
}

static void
drop_text(struct edge_arrow *e)
{
	free(e->text);
	e->text = NULL;
}

static void
take_peer(struct process *p, const struct message_peer *m, int fd)
{
	if (m->role == END_OF_SCRIBE) {
		replace(&p->ledger->scribe_fd, fd);
	} else if (m->role == END_OF_EDGE && m->instance < p->edge_count) {
		replace(&p->edges[m->instance].fd, fd);
		p->edges[m->instance].answers = false;
		drop_text(&p->edges[m->instance]);
	} else if (fd >= 0) {
		close(fd);
	}
}

static bool
adopt(struct process *p, const struct message_memory *m, int fd)
{
	struct ledger *l = p->ledger;
	const struct catalogue *catalogue, *old = l->o.catalogue;
	struct tally *tally, *old_tally = l->o.tally;
	if (!p->arg->map_pair((int[]){p->catalogue_fd, fd}, (size_t[]){p->catalogue_bytes, m->memory_bytes}, &catalogue, &tally))
		return false;
	if (!ledger_adopt(l, catalogue, tally)) {
		p->arg->unmap_pair(catalogue, &tally);
		return false;
	}
	p->arg->unmap_pair(old, &old_tally);
	l->o.batch_window_ms = m->batch_window_ms;
	l->o.streams_per_account = m->streams_per_account;
	return true;
}

static void
take_tally(struct process *p, const struct message_memory *m, int fd)
{
	struct message_adopted answer = MESSAGE_INIT(ADOPTED, message_adopted);
	answer.generation = m->generation;
	answer.refused = !adopt(p, m, fd);
	p->catalogue_fd = -1;
	/* Not sent: the supervisor waits for it only so long. */
	(void)!ipc_send(p->supervisor_fd, &answer, sizeof answer, -1);
}

static void
take_order(struct process *p, const struct message_head *m, int fd)
{
	switch ((enum message_type)m->type) {
	case MESSAGE_DRAIN:
		change_mood(p, DRAINING);
		break;
	case MESSAGE_STOP:
		change_mood(p, STOPPING);
		break;
	case MESSAGE_SUCCEED: /* the first time: he is being started; then: he is there and waits for our end */
		if (p->handed)
			change_mood(p, HANDING_OVER);
		p->handed = true;
		break;
	case MESSAGE_PEER:
		take_peer(p, (const void *)m, fd);
		break;
	case MESSAGE_QUARANTINE:
		ledger_quarantine_key(p->ledger, ((const struct message_key *)(const void *)m)->key);
		break;
	case MESSAGE_CATALOGUE:
		p->catalogue_fd = fd;
		p->catalogue_bytes = ((const struct message_memory *)(const void *)m)->memory_bytes;
		break;
	case MESSAGE_TALLY:
		take_tally(p, (const void *)m, fd);
		break;
	default:
		break; /* GO, and secrets that only others use */
	}
}

static void
supervisor_ready(struct process *p)
{
	_Alignas(struct message_secret) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	enum ipc_result r;
	while ((r = ipc_recv(p->supervisor_fd, buf, &bytes, &fd)) == IPC_OK) {
		/* Only the supervisor writes here: an unknown message means that we are not of one build. */
		if (!message_check(buf, bytes, END_OF_SUPERVISOR, END_OF_LEDGER, fd >= 0))
			abort();
		take_order(p, (const void *)buf, fd);
		explicit_bzero(buf, bytes);
	}
	if (r != IPC_CLOSED)
		return;
	replace(&p->supervisor_fd, -1);
	change_mood(p, ORPHANED);
}

/* ---- edges ---- */

/* False: nothing more goes for now; it waits, or the edge is gone. */
static bool
say_to_edge(struct edge_arrow *e, const void *message, size_t bytes)
{
	enum ipc_result r = ipc_send(e->fd, message, bytes, -1);
	e->answers = r == IPC_AGAIN;
	if (r == IPC_CLOSED) {
		replace(&e->fd, -1);
		drop_text(e);
	}
	return r == IPC_OK;
}

static void
say_text(struct edge_arrow *e)
{
	struct message_receipt m = MESSAGE_INIT(RECEIPT, message_receipt);
	m.token = e->token;
	m.total = e->text_bytes;
	while (e->said < e->text_bytes) {
		uint32_t left = e->text_bytes - e->said;
		m.at = e->said;
		m.text_bytes = (uint16_t)(left < RECEIPT_PIECE ? left : RECEIPT_PIECE);
		memcpy(m.text, e->text + e->said, m.text_bytes);
		if (!say_to_edge(e, &m, sizeof(m)))
			return;
		e->said += m.text_bytes;
	}
	drop_text(e);
}

static void
answer_edge(struct edge_arrow *e)
{
	if (e->text != NULL)
		say_text(e);
	else
		(void)!say_to_edge(e, &e->answer, sizeof(e->answer));
}

static void
give_receipt(struct process *p, struct edge_arrow *e, const struct message_receipt_wanted *m)
{
	struct message_receipt none = MESSAGE_INIT(RECEIPT, message_receipt);
	enum receipt_answer answer = ledger_receipt(p->ledger, m->request, m->account, &e->text);
	size_t bytes = answer == RECEIPT_HERE ? strlen(e->text) : 0;
	if (bytes > 0 && bytes <= RECEIPT_TEXT_MAX) {
		e->token = m->token;
		e->text_bytes = (uint32_t)bytes;
		e->said = 0;
		say_text(e);
		return;
	}
	drop_text(e);
	none.token = m->token;
	none.result = answer == RECEIPT_NONE ? RECEIPT_UNKNOWN : answer == RECEIPT_RUNNING ? RECEIPT_NOT_YET
																					   : RECEIPT_LATER;
	/* Not sent: the edge asks no more than one at a time for an account, and waits only so long. */
	if (ipc_send(e->fd, &none, sizeof(none), -1) == IPC_CLOSED)
		replace(&e->fd, -1);
}

static void
give_byok(struct process *p, struct edge_arrow *e, const struct message_byok_wanted *m)
{
	struct message_byok answer;
	ledger_byok(p->ledger, m->id, &answer);
	/* Not sent: the edge asks for each but once at a time, and those who wait for it wait only so long. */
	if (ipc_send(e->fd, &answer, sizeof(answer), -1) == IPC_CLOSED)
		replace(&e->fd, -1);
}

static void
load(struct process *p, struct edge_arrow *e, const struct message_row *m)
{
	e->answer = MESSAGE_INIT(LOADED, message_row);
	e->answer.token = m->token;
	e->answer.row = m->row;
	int64_t need_nano = m->need_nano < INT64_MAX / 2 ? (int64_t)m->need_nano : INT64_MAX / 2;
	e->answer.result = row_result_for(m->result, ledger_load_row(p->ledger, m->row, need_nano, &e->answer.slot));
	answer_edge(e);
}

static void
answer_work(struct edge_arrow *e, const struct message_work *m, enum work_result result)
{
	struct message_work answer = *m;
	answer.head = MESSAGE_INIT(WORK_ANSWER, message_work).head;
	answer.result = (uint16_t)result;
	/* Not sent: it waits only so long, and what was done is done once. */
	if (ipc_send(e->fd, &answer, sizeof(answer), -1) == IPC_CLOSED)
		replace(&e->fd, -1);
}

static void
order_work(struct process *p, struct edge_arrow *e, const struct message_work *m)
{
	enum work_result result = ledger_work(p->ledger, m);
	if (m->order != WORK_COUNT)
		answer_work(e, m, result);
}

static void
name_work(struct process *p, struct edge_arrow *e, const struct message_work_named *m)
{
	const struct message_work answer = {.work = m->work, .account = m->account};
	answer_work(e, &answer, ledger_work_named(p->ledger, m));
}

static void
list_work(struct process *p, struct edge_arrow *e, const struct message_work_list_wanted *m)
{
	struct message_work_listed answer;
	ledger_work_list(p->ledger, m, &answer);
	if (ipc_send(e->fd, &answer, sizeof(answer), -1) == IPC_CLOSED) /* not sent: it waits only so long */
		replace(&e->fd, -1);
}

static void
list_objects(struct process *p, struct edge_arrow *e, const struct message_object_list_wanted *m)
{
	struct message_work_listed answer;
	ledger_object_list(p->ledger, m, &answer);
	if (ipc_send(e->fd, &answer, sizeof(answer), -1) == IPC_CLOSED)
		replace(&e->fd, -1);
}

static void
keep_object(struct process *p, struct edge_arrow *e, const struct message_object *m)
{
	const struct message_work answer = {.work = m->token, .account = m->account, .order = WORK_KEPT};
	enum work_result result = ledger_object(p->ledger, m);
	if (m->order == OBJECT_KEEP)
		answer_work(e, &answer, result);
}

/* Looking is free and may be done twice: any edge will do. */
static bool
send_errand(struct process *p, const struct message_errand *m)
{
	for (uint32_t n = 0; n < p->edge_count; n++) {
		struct edge_arrow *e = &p->edges[(p->errands + n) % p->edge_count];
		if (e->fd >= 0 && !e->answers && ipc_send(e->fd, m, sizeof(*m), -1) == IPC_OK) {
			p->errands += n + 1;
			return true;
		}
	}
	return false;
}

static void
run_errands(struct process *p, uint64_t now_ms)
{
	struct ledger *l = p->ledger;
	struct message_errand m;
	uint64_t next_us, now_us = clock_wall_us();
	if (l->back_off_ms != 0 || now_ms < l->work_due_ms)
		return;
	for (int n = 0; n < ERRANDS_AT_ONCE; n++) {
		bool due = ledger_work_due(l, now_us, &m, &next_us);
		if (!due) {
			l->work_due_ms = next_us == 0 ? UINT64_MAX : now_ms + (next_us > now_us ? (next_us - now_us) / 1000 + 1 : 0);
			return;
		}
		if (!send_errand(p, &m))
			break;
	}
	l->work_due_ms = now_ms + ERRANDS_AGAIN_MS;
}

static void
edge_ready(struct process *p, struct edge_arrow *e)
{
	_Alignas(struct message_work_named) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	if (e->answers)
		answer_edge(e);
	/* As many as it has tickets, at most: then others' turn. */
	for (int n = 0; n < 256 && e->fd >= 0 && !e->answers; n++) {
		enum ipc_result r = ipc_recv(e->fd, buf, &bytes, &fd);
		if (r == IPC_AGAIN)
			return;
		/*
		 * An edge sees content of strangers and may be captured: its nonsense ends its arrow, not
		 * the bookings of all.
		 */
		uint16_t type = r == IPC_CLOSED || !message_check(buf, bytes, END_OF_EDGE, END_OF_LEDGER, fd >= 0) ? MESSAGE_NONE
																										   : ((struct message_head *)buf)->type;
		if (type == MESSAGE_LOAD)
			load(p, e, (const void *)buf);
		else if (type == MESSAGE_RECEIPT_WANTED)
			give_receipt(p, e, (const void *)buf);
		else if (type == MESSAGE_BYOK_WANTED)
			give_byok(p, e, (const void *)buf);
		else if (type == MESSAGE_WORK)
			order_work(p, e, (const void *)buf);
		else if (type == MESSAGE_WORK_LIST_WANTED)
			list_work(p, e, (const void *)buf);
		else if (type == MESSAGE_OBJECT)
			keep_object(p, e, (const void *)buf);
		else if (type == MESSAGE_OBJECT_LIST_WANTED)
			list_objects(p, e, (const void *)buf);
		else if (type == MESSAGE_WORK_NAMED)
			name_work(p, e, (const void *)buf);
		else {
			replace(&e->fd, -1);
			return;
		}
	}
}

static bool
edges_are_gone(const struct process *p)
{
	for (uint32_t i = 0; i < p->edge_count; i++)
		if (p->edges[i].fd >= 0)
			return false;
	return true;
}

/* ---- poll ---- */

static size_t
fill_polls(struct process *p, struct pollfd *polls, uint64_t now_ms, int *wait_ms)
{
	bool hears = p->mood == SERVING && p->clients.count < CLIENTS_MAX;
	size_t count = 0;
	polls[count++] = (struct pollfd){.fd = p->supervisor_fd, .events = POLLIN};
	polls[count++] = (struct pollfd){.fd = p->wake_fd, .events = POLLIN};
	polls[count++] = (struct pollfd){.fd = hears ? p->control_fd : -1, .events = POLLIN};
	for (uint32_t i = 0; i < p->edge_count; i++)
		polls[count++] = (struct pollfd){.fd = p->edges[i].fd, .events = p->edges[i].answers ? POLLOUT : POLLIN};
	return count + clients_poll(&p->clients, polls + count, now_ms, wait_ms);
}

static void
drain_wake(struct process *p)
{
	uint64_t wakes;
	if (read(p->wake_fd, &wakes, sizeof(wakes)) == (ssize_t)sizeof(wakes))
		ledger_woken(p->ledger);
}

static void
look_at_polls(struct process *p, const struct pollfd *polls, size_t count)
{
	uint64_t now_ms = clock_monotonic_ms();
	size_t at = 3;
	if (polls[0].revents != 0)
		supervisor_ready(p);
	if (polls[1].revents != 0)
		drain_wake(p);
	for (uint32_t i = 0; i < p->edge_count; i++, at++)
		if (polls[at].revents != 0 && p->edges[i].fd == polls[at].fd)
			edge_ready(p, &p->edges[i]);
	for (; at < count; at++)
		clients_ready(&p->clients, &polls[at], now_ms);
	if (polls[2].revents != 0)
		clients_accept(&p->clients, p->control_fd, now_ms);
	clients_tend(&p->clients, now_ms);
}

/* What many tickets at once have taken of memory goes back to the kernel when none has come for a while. */
static void
rest(struct process *p, uint64_t now_ms)
{
	if (p->rest_due_ms == 0 || now_ms < p->rest_due_ms)
		return;
	p->rest_due_ms = 0;
	store_rest(&p->ledger->store);
	(void)malloc_trim(0);
}

static int
until_rest(const struct process *p, uint64_t now_ms, int wait_ms)
{
	if (p->rest_due_ms == 0)
		return wait_ms;
	int left_ms = p->rest_due_ms > now_ms ? (int)(p->rest_due_ms - now_ms) : 0;
	return wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
}

static void
wait_for_something(struct process *p)
{
	struct pollfd polls[POLLS_MAX];
	bool sleeps = ledger_may_sleep(p->ledger) && board_sleep_begin(p->board);
	if (!sleeps)
		ledger_woken(p->ledger);
	uint64_t now_ms = clock_monotonic_ms();
	int wait_ms = ledger_wait_ms(p->ledger, now_ms);
	size_t count = fill_polls(p, polls, now_ms, &wait_ms);
	int ready = poll(polls, count, until_rest(p, now_ms, wait_ms));
	if (sleeps)
		board_sleep_end(p->board);
	if (ready > 0)
		look_at_polls(p, polls, count);
	else
		clients_tend(&p->clients, clock_monotonic_ms());
}

/* ---- life ---- */

/* Not free yet: held by an exchange that nobody has declared dead. */
static bool
anything_runs(const struct process *p)
{
	struct ticket_copy t;
	for (uint32_t i = 0; i < board_ticket_count(p->board); i++)
		if (!board_is_ledger_ticket(p->board, i) && board_held_copy(p->board, i, &t))
			return true;
	return false;
}

/* Somebody is there to start the next one. */
static bool
looks_again(const struct process *p)
{
	return (p->mood == SERVING || p->mood == DRAINING) && away_is_over(p->ledger, clock_monotonic_ms()) && !clients_busy(&p->clients);
}

static bool
is_over(const struct process *p)
{
	if (p->ledger->store.lost || looks_again(p))
		return true;
	switch (p->mood) {
	case SERVING:
		return false;
	case HANDING_OVER:
		return !clients_busy(&p->clients);
	case DRAINING:
		return edges_are_gone(p) && ledger_may_sleep(p->ledger) && !clients_busy(&p->clients) && !anything_runs(p);
	case STOPPING:
		return true;
	case ORPHANED:
		return (!p->handed && edges_are_gone(p)) || clock_monotonic_ms() >= p->orphaned_ms + ORPHAN_PATIENCE_MS;
	}
	return true;
}

/* It ends as with SIGTERM, which only the supervisor can see to. */
static void
tell_drain(struct process *p)
{
	struct message_plain m = MESSAGE_INIT(DRAIN_WANTED, message_plain);
	if (p->ledger->drain_wanted && ipc_send(p->supervisor_fd, &m, sizeof(m), -1) == IPC_OK)
		p->ledger->drain_wanted = false;
}

static void
serve(struct process *p)
{
	for (;;) {
		uint64_t now_ms = clock_monotonic_ms();
		if (ledger_wait_ms(p->ledger, now_ms) == 0 && ledger_round(p->ledger, now_ms) > 0)
			p->rest_due_ms = now_ms + REST_MS;
		rest(p, now_ms);
		if (p->mood == SERVING && p->ledger->away == NULL) {
			ledger_chores_when_due(p->ledger, now_ms);
			ledger_reconcile_when_due(p->ledger, now_ms);
			ledger_share_when_due(p->ledger, now_ms);
			run_errands(p, now_ms);
			tell_drain(p);
		}
		observe_store(p->ledger, now_ms);
		if (is_over(p))
			return;
		wait_for_something(p);
	}
}

/* Everything that is known, booked. The edges are gone or had their time. */
static bool
last_rounds(struct process *p)
{
	/* Nobody is left who could declare them dead, and closed descriptors say that they are. */
	if (p->mood == ORPHANED && !p->handed && edges_are_gone(p))
		board_mark_all_dead(p->board);
	/* Once more, whatever the back-off says. */
	p->ledger->round_due_ms = 0;
	return ledger_drain(p->ledger);
}

/* The store may be away when the server starts: the gate stays shut, the supervisor is heard. */
static bool
start(struct process *p)
{
	while (!ledger_start(p->ledger)) {
		struct pollfd wait = {.fd = p->supervisor_fd, .events = POLLIN};
		ledger_event(p->ledger, EVENT_STORE_FAILED, (uint64_t)p->ledger->store.code, 0);
		if (p->ledger->store.lost || away_is_over(p->ledger, clock_monotonic_ms())) /* nobody can connect after the lock-down: the next one does */
			return false;
		if (poll(&wait, 1, START_AGAIN_MS) > 0)
			supervisor_ready(p);
		if (p->mood != SERVING)
			return false;
	}
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	if (ipc_send(p->supervisor_fd, &ready, sizeof(ready), -1) == IPC_OK)
		return true;
	supervisor_ready(p); /* it has ended, perhaps while this one waited for the end of the ledger before: the last to book is this one */
	return p->mood == ORPHANED;
}

static void
init(struct process *p, const struct ledger_process *arg, struct ledger *l)
{
	*p = (struct process){
		.arg = arg,
		.catalogue_fd = -1,
		.ledger = l,
		.board = arg->options.board,
		.supervisor_fd = arg->supervisor_fd,
		.wake_fd = arg->wake_fd,
		.control_fd = arg->control_fd,
		.edge_count = arg->edge_count,
	};
	for (uint32_t i = 0; i < arg->edge_count; i++)
		p->edges[i].fd = arg->edge_fds[i];
	clients_init(&p->clients, l);
	l->scribe_fd = arg->scribe_fd;
}

static void
say(const char *why)
{
	/* To the supervisor's pipe, which shows what this role writes. */
	if (write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		return;
}

int
ledger_main(struct ledger_process *arg)
{
	static struct process process; /* too large for a stack */
	struct process *p = &process;
	struct ledger *l = NULL;
	char why[STORE_WHY_MAX];
	if (ledger_open(&arg->options, &l, why) != LEDGER_OPENED) {
		say(why);
		return STARTED_NEVER;
	}
	init(p, arg, l);
	if (arg->lock_down != NULL)
		arg->lock_down(arg->lock_down_arg);
	bool booked = false;
	if (start(p)) {
		serve(p);
		booked = last_rounds(p);
		if (booked && p->mood == DRAINING && !anything_runs(p))
			booked = ledger_last(l);
	}
	if (l->store.fenced)
		say("this node may write no more: another server has begun as the same node, or `lethe node forget` was given while this one was away. When this is said again and again, "
			"stop this server and start it anew: what it had not booked by then is the house's loss");
	clients_finish(&p->clients);
	bool away = l->away != NULL;
	ledger_close(&l);
	return away ? STARTED_AWAY : booked ? 0
										: STARTED_CLOSED;
}
