/* The process as its neighbours see it: a supervisor, an edge, somebody at the control socket. */
#include "ledger/control_clients.h"
#include "ledger/ledger_world.h"

#include "core/ipc.h"
#include "ticket/end_reasons.h"
#include "ticket/messages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

struct server {
	struct world w;
	int supervisor, edge, wake, listener; /* our ends */
	char socket_path[108];
	uint64_t alice;
	pid_t pid;
};

static void
listen_at(struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", s->w.dir);
	memcpy(s->socket_path, a.sun_path, sizeof(s->socket_path));
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->listener, 32), 0);
}

static _Noreturn void
child(struct server *s, int supervisor, int edge)
{
	close(s->supervisor);
	close(s->edge);
	struct ledger_process p = {.options = {.data_dir = s->w.dir,
								   .pepper = s->w.pepper,
								   .receipt_seed = s->w.pepper,
								   .batch_window_ms = 50,
								   .catalogue = &s->w.catalogue.head,
								   .board = board_attach(s->w.board_memory, board_bytes(&s->w.size)),
								   .keys = key_table_attach(s->w.keys_memory, key_table_bytes())},
		.supervisor_fd = supervisor,
		.wake_fd = s->wake,
		.control_fd = s->listener,
		.scribe_fd = -1,
		.edge_fds = &edge,
		.edge_count = 1};
	_exit(ledger_main(&p));
}

static void
wait_readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
}

static void
receive(int fd, void *buf, enum message_type type)
{
	size_t bytes;
	int passed;
	wait_readable(fd);
	assert_int_equal(ipc_recv(fd, buf, &bytes, &passed), IPC_OK);
	assert_int_equal(((struct message_head *)buf)->type, type);
}

static void
start(struct server *s)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	int supervisor[2], edge[2];
	assert_int_equal(ipc_pair(supervisor), 0);
	assert_int_equal(ipc_pair(edge), 0);
	s->supervisor = supervisor[0];
	s->edge = edge[0];
	s->pid = fork();
	if (s->pid == 0)
		child(s, supervisor[1], edge[1]);
	close(supervisor[1]);
	close(edge[1]);
	receive(s->supervisor, buf, MESSAGE_READY);
}

/* A world whose ledger is a process of its own. */
static void
begin(struct server *s)
{
	*s = (struct server){0};
	world_begin(&s->w);
	s->alice = world_account(&s->w, "alice", "5.00");
	world_close(&s->w);
	s->w.ledger_board = NULL;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	board_set_wake_fd(s->w.desk, s->wake);
	listen_at(s);
	start(s);
}

static int
ended(struct server *s)
{
	int status;
	alarm(PATIENCE_MS / 1000);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	alarm(0);
	s->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
tell(struct server *s, enum message_type type)
{
	struct message_plain m = MESSAGE_INIT(DRAIN, message_plain);
	m.head.type = (uint16_t)type;
	assert_int_equal(ipc_send(s->supervisor, &m, sizeof(m), -1), IPC_OK);
}

/* The books, when no process has them any longer. */
static void
look_at_books(struct server *s)
{
	world_open(&s->w, false);
	world_is_sound(&s->w);
}

static void
end(struct server *s)
{
	if (s->pid != 0) {
		kill(s->pid, SIGKILL);
		ended(s);
	}
	close(s->wake);
	close(s->listener);
	unlink(s->socket_path);
	if (s->w.ledger == NULL)
		world_open(&s->w, false);
	world_end(&s->w);
}

/* ---- as an edge ---- */

static uint32_t
load(struct server *s, uint64_t row, uint32_t *ret_result)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	struct message_row m = MESSAGE_INIT(LOAD, message_row);
	m.token = 7;
	m.row = row;
	assert_int_equal(ipc_send(s->edge, &m, sizeof(m), -1), IPC_OK);
	receive(s->edge, buf, MESSAGE_LOADED);
	const struct message_row *answer = (const void *)buf;
	assert_int_equal(answer->token, 7);
	assert_int_equal(answer->row, row);
	*ret_result = answer->result;
	return answer->slot;
}

static struct ticket *
hold(struct server *s, const struct world_exchange *e)
{
	uint32_t result, slot = load(s, s->alice, &result);
	assert_int_equal(result, 0);
	struct ticket *t = ticket_pick(s->w.desk);
	t->facts.account = s->alice;
	t->facts.started_us = clock_wall_us();
	t->facts.price = s->w.catalogue.price[0].id;
	t->facts.model = 10;
	t->facts.tokens_input = e->input;
	t->facts.end_reason = END_COMPLETED;
	struct ticket_leg leg = {s->alice, slot};
	struct nano available, cost = {world_cost(&s->w, e)};
	uint64_t id = ticket_next_id(s->w.desk, clock_wall_us() / 1000);
	assert_int_equal(ticket_take(s->w.desk, t, id, &leg, 1, (struct nano){cost.v + 1}, &available), MOVED);
	ticket_state_cost(t, cost);
	return t;
}

static bool
booked_within(struct server *s, struct ticket *t, uint64_t seq, uint64_t ms)
{
	uint64_t end_ms = clock_monotonic_ms() + ms;
	while (clock_monotonic_ms() < end_ms) {
		if (ticket_booked(t, seq))
			return true;
		sched_yield();
	}
	return false;
}

static const struct world_exchange some = {.input = 1000};

/* ---- as a client of the control socket ---- */

static int
connect_client(struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, s->socket_path, sizeof(a.sun_path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void
send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line, parsed; NULL when the server closed. */
static json_t *
next_line(int fd)
{
	static char line[1 << 20];
	size_t len = 0;
	while (len < sizeof(line) && recv(fd, line + len, 1, 0) == 1)
		if (line[len++] == '\n')
			return json_loadb(line, len, 0, NULL);
	return NULL;
}

static bool
is_ok(json_t *answer)
{
	assert_non_null(answer);
	bool ok = json_is_true(json_object_get(answer, "ok"));
	json_decref(answer);
	return ok;
}

/* ---- tests ---- */

static void
a_hand_in_wakes_the_sleeping_ledger(void **state)
{
	struct server s;
	begin(&s);
	/* Far below the time after which an idle ledger looks by itself. A machine that stops now and then makes some slow, and none quick. */
	int quick = 0;
	for (int i = 0; i < 20 && quick < 5; i++) {
		struct ticket *t = hold(&s, &some);
		uint64_t seq = ticket_seq(t), until = clock_monotonic_ms() + PATIENCE_MS;
		while (atomic_load(board_sleeping(s.w.edge_board)) == 0 && clock_monotonic_ms() < until)
			sched_yield();
		ticket_settle(s.w.desk, t);
		bool soon = booked_within(&s, t, seq, 300);
		assert_true(soon || booked_within(&s, t, seq, PATIENCE_MS));
		quick += soon;
	}
	assert_int_equal(quick, 5);
	tell(&s, MESSAGE_DRAIN);
	close(s.edge);
	assert_int_equal(ended(&s), 0);
	look_at_books(&s);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket"), 5);
	end(&s);
}

static void
rows_are_loaded_for_edges(void **state)
{
	struct server s;
	uint32_t result;
	begin(&s);
	load(&s, 99, &result);
	assert_int_equal(result, 1);
	load(&s, s.alice, &result);
	assert_int_equal(result, 0);
	end(&s);
	close(s.edge);
}

static void
orders_are_answered_one_line_each(void **state)
{
	struct server s;
	begin(&s);
	int fd = connect_client(&s);
	send_text(fd,
		"{\"op\": \"account.create\", \"name\": \"bob\"}\n{\"op\": \"credit.add\", \"account\": "
		"\"bob\", \"amount\": \"3\", \"reason\": \"r\"}\n{\"op\"");
	assert_true(is_ok(next_line(fd)));
	assert_true(is_ok(next_line(fd)));
	send_text(fd, ": \"status\"}\nnonsense\n{\"op\": \"ledger.verify\"}\n");
	assert_true(is_ok(next_line(fd)));
	assert_false(is_ok(next_line(fd)));
	json_t *sound = next_line(fd);
	assert_true(json_is_true(json_object_get(sound, "sound")));
	json_decref(sound);
	close(fd);
	end(&s);
	close(s.edge);
}

static void
a_request_without_end_is_refused(void **state)
{
	struct server s;
	begin(&s);
	int fd = connect_client(&s);
	static char much[CLIENT_REQUEST_MAX + 1];
	memset(much, 'x', CLIENT_REQUEST_MAX);
	send_text(fd, much);
	json_t *answer = next_line(fd);
	assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "error"), "code")), "too_large");
	json_decref(answer);
	assert_null(next_line(fd));
	close(fd);
	end(&s);
	close(s.edge);
}

static void
more_clients_than_places_wait_for_their_turn(void **state)
{
	struct server s;
	begin(&s);
	int fds[CLIENTS_MAX + 4];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_client(&s);
		send_text(fds[i], "{\"op\": \"status\"}\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_true(is_ok(next_line(fds[i])));
		close(fds[i]);
	}
	end(&s);
	close(s.edge);
}

static void
without_a_supervisor_it_books_all_and_ends(void **state)
{
	struct server s;
	begin(&s);
	struct ticket *settled = hold(&s, &some);
	assert_non_null(hold(&s, &some));
	ticket_settle(s.w.desk, settled);
	close(s.supervisor);
	close(s.edge);
	assert_int_equal(ended(&s), 0);
	assert_int_equal(atomic_load(board_gate(s.w.edge_board)), BOARD_DRAINING);
	look_at_books(&s);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket WHERE end_reason = 1"), 1);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket WHERE end_reason = 13"), 1);
	end(&s);
}

static void
one_that_makes_place_leaves_edges_alone(void **state)
{
	struct server s;
	begin(&s);
	struct ticket *settled = hold(&s, &some), *runs = hold(&s, &some);
	ticket_settle(s.w.desk, settled);
	tell(&s, MESSAGE_SUCCEED);
	tell(&s, MESSAGE_SUCCEED);
	assert_int_equal(ended(&s), 0);
	/* They take holds meanwhile, and what runs goes on. */
	assert_int_equal(atomic_load(board_gate(s.w.edge_board)), BOARD_OPEN);
	assert_true(ticket_hold(runs).v > 0);
	close(s.edge);
	look_at_books(&s);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket WHERE end_reason = 1"), 1);
	end(&s);
}

static void
a_drain_waits_for_the_last_exchange(void **state)
{
	struct server s;
	begin(&s);
	struct ticket *t = hold(&s, &some);
	tell(&s, MESSAGE_DRAIN);
	while (atomic_load(board_gate(s.w.edge_board)) != BOARD_DRAINING)
		sched_yield();
	assert_int_equal(waitpid(s.pid, NULL, WNOHANG), 0);
	ticket_settle(s.w.desk, t);
	close(s.edge);
	assert_int_equal(ended(&s), 0);
	look_at_books(&s);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket"), 1);
	end(&s);
}

static void
nonsense_from_an_edge_ends_its_arrow_only(void **state)
{
	struct server s;
	begin(&s);
	struct message_plain m = MESSAGE_INIT(DRAIN, message_plain);
	assert_int_equal(ipc_send(s.edge, &m, sizeof(m), -1), IPC_OK);
	wait_readable(s.edge);
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int passed;
	assert_int_equal(ipc_recv(s.edge, buf, &bytes, &passed), IPC_CLOSED);
	int fd = connect_client(&s);
	send_text(fd, "{\"op\": \"status\"}\n");
	assert_true(is_ok(next_line(fd)));
	close(fd);
	end(&s);
	close(s.edge);
}

static void
a_successor_goes_on_where_the_killed_one_was(void **state)
{
	struct server s;
	begin(&s);
	for (int i = 0; i < 20; i++) {
		struct ticket *t = hold(&s, &some);
		uint64_t seq = ticket_seq(t);
		ticket_settle(s.w.desk, t);
		kill(s.pid, SIGKILL);
		assert_int_equal(ended(&s), -SIGKILL);
		close(s.supervisor);
		close(s.edge);
		start(&s);
		assert_true(booked_within(&s, t, seq, PATIENCE_MS));
	}
	tell(&s, MESSAGE_DRAIN);
	close(s.edge);
	assert_int_equal(ended(&s), 0);
	look_at_books(&s);
	assert_int_equal(world_sql(&s.w, "SELECT count(*) FROM ticket"), 20);
	end(&s);
}

static void
a_fresh_edge_is_heard_on_its_fresh_arrow(void **state)
{
	struct server s;
	uint32_t result;
	int fresh[2];
	begin(&s);
	assert_int_equal(ipc_pair(fresh), 0);
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	m.role = END_OF_EDGE;
	assert_int_equal(ipc_send(s.supervisor, &m, sizeof(m), fresh[1]), IPC_OK);
	close(fresh[1]);
	close(s.edge);
	s.edge = fresh[0];
	load(&s, s.alice, &result);
	assert_int_equal(result, 0);
	end(&s);
	close(s.edge);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hand_in_wakes_the_sleeping_ledger),
		cmocka_unit_test(rows_are_loaded_for_edges),
		cmocka_unit_test(orders_are_answered_one_line_each),
		cmocka_unit_test(a_request_without_end_is_refused),
		cmocka_unit_test(more_clients_than_places_wait_for_their_turn),
		cmocka_unit_test(without_a_supervisor_it_books_all_and_ends),
		cmocka_unit_test(one_that_makes_place_leaves_edges_alone),
		cmocka_unit_test(a_drain_waits_for_the_last_exchange),
		cmocka_unit_test(nonsense_from_an_edge_ends_its_arrow_only),
		cmocka_unit_test(a_successor_goes_on_where_the_killed_one_was),
		cmocka_unit_test(a_fresh_edge_is_heard_on_its_fresh_arrow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
