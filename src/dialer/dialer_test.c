#include "dialer/dialer.h"

#include "core/ipc.h"
#include "dialer/names.h"
#include "ticket/messages.h"
#include "ticket/port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PROVIDERS = 5,
	OPEN,
	SHUT_PORT,
	BY_NAME,
	INNER_NAME,
	NO_NAME,
	WAIT_MS = 60000,
};

/* ---- a catalogue, and the two peers ---- */

struct block {
	struct catalogue head;
	struct catalogue_provider provider[PROVIDERS];
};

static uint16_t
listen_anywhere(int *ret_fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*ret_fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static void
provider(struct block *b, int which, const char *host, uint16_t port)
{
	struct catalogue_provider *p = &b->provider[which - OPEN];
	p->id = 1000 + which;
	p->port = port;
	strcpy(p->host, host);
	strcpy(p->name, host);
}

static void
block_init(struct block *b, uint16_t open_port, uint16_t shut_port)
{
	memset(b, 0, sizeof *b);
	uint64_t end = sizeof *b;
	b->head = (struct catalogue){.magic = CATALOGUE_MAGIC,
		.bytes = sizeof *b,
		.provider_count = PROVIDERS,
		.provider_at = offsetof(struct block, provider),
		.model_at = end,
		.price_at = end,
		.name_at = end,
		.price_ref_at = end,
		.lane_at = end,
		.target_at = end};
	provider(b, OPEN, "127.0.0.1", open_port);
	provider(b, SHUT_PORT, "127.0.0.1", shut_port);
	provider(b, BY_NAME, "localhost", open_port);
	provider(b, INNER_NAME, "inner.test", open_port);
	provider(b, NO_NAME, "missing.test", open_port);
	assert_non_null(catalogue_attach(b, sizeof *b));
}

/*
 * ---- a name server: answers A questions for names that begin with "i" (inner), "p" (public); everything else
 * does not exist ----
 */

static size_t
dns_answer(uint8_t *q, size_t bytes)
{
	static const uint8_t public_a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 8, 8, 8, 8};
	static const uint8_t inner_a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
	if (bytes < 18)
		return 0;
	size_t end = 12;
	while (end < bytes && q[end])
		end += q[end] + 1u;
	bool is_a = q[end + 2] == 1, known = q[13] == 'i' || q[13] == 'p';
	q[2] = 0x84;
	q[3] = known ? 0x80 : 0x83;
	memset(q + 6, 0, 6);
	size_t at = end + 5;
	if (is_a && known) {
		q[7] = 1;
		memcpy(q + at, q[13] == 'i' ? inner_a : public_a, sizeof inner_a);
		at += sizeof inner_a;
	}
	return at;
}

static pid_t
name_server(char *ret_address, size_t cap)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(ret_address, cap, "127.0.0.1:%u", ntohs(a.sin_port));
	pid_t pid = fork();
	if (pid == 0) {
		for (;;) {
			uint8_t packet[512];
			struct sockaddr_in from;
			socklen_t from_len = sizeof from;
			ssize_t n = recvfrom(fd, packet, sizeof packet - 32, 0, (struct sockaddr *)&from, &from_len);
			if (n <= 0)
				_exit(1);
			size_t answer = dns_answer(packet, (size_t)n);
			if (answer && sendto(fd, packet, answer, 0, (struct sockaddr *)&from, from_len) < 0)
				_exit(1);
		}
	}
	close(fd);
	return pid;
}

/* ---- a dialer in a process of its own ---- */

struct bench {
	struct block block;
	int listener, shut;
	int supervisor, edge, scribe;
	pid_t pid, server;
	char name_servers[64];
	const char *collector;
	uint16_t port;
};

static void
no_lock_down(void *arg)
{
}

static void
dialer_process_run(struct bench *b, int supervisor, int edge, int scribe)
{
	close(b->supervisor);
	close(b->edge);
	close(b->scribe);
	struct dialer_process p = {.catalogue = &b->block.head,
		.supervisor_fd = supervisor,
		.scribe_fd = scribe,
		.edge_fds = &edge,
		.edge_count = 1,
		.collector = b->collector ? b->collector : "inner.test",
		.collector_port = b->port,
		.name_servers = b->name_servers,
		.lock_down = no_lock_down};
	_exit(dialer_main(&p));
}

static void
bench_start(struct bench *b)
{
	int supervisor[2], edge[2], scribe[2];
	uint16_t port = listen_anywhere(&b->listener), shut_port = listen_anywhere(&b->shut);
	assert_int_equal(listen(b->listener, 64), 0);
	b->port = port;
	b->server = name_server(b->name_servers, sizeof b->name_servers);
	block_init(&b->block, port, shut_port);
	assert_int_equal(ipc_pair(supervisor), 0);
	assert_int_equal(ipc_pair(edge), 0);
	assert_int_equal(ipc_pair(scribe), 0);
	b->supervisor = supervisor[0];
	b->edge = edge[0];
	b->scribe = scribe[0];
	b->pid = fork();
	if (b->pid == 0)
		dialer_process_run(b, supervisor[1], edge[1], scribe[1]);
	close(supervisor[1]);
	close(edge[1]);
	close(scribe[1]);
}

/* Receives the next message of this type; its descriptor or −1. */
static int
await(int fd, enum message_type type, void *ret, size_t bytes)
{
	char buf[IPC_MESSAGE_MAX];
	size_t got;
	int passed;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(ipc_recv(fd, buf, &got, &passed), IPC_OK);
	assert_int_equal(got, bytes);
	memcpy(ret, buf, bytes);
	assert_int_equal(((struct message_head *)ret)->type, type);
	return passed;
}

static void
bench_ready(struct bench *b)
{
	struct message_plain ready;
	bench_start(b);
	assert_int_equal(await(b->supervisor, MESSAGE_READY, &ready, sizeof ready), -1);
}

static int
wait_end(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
bench_stop(struct bench *b)
{
	struct message_plain stop = MESSAGE_INIT(STOP, message_plain);
	assert_int_equal(ipc_send(b->supervisor, &stop, sizeof stop, -1), IPC_OK);
	assert_int_equal(wait_end(b->pid), 0);
	kill(b->server, SIGKILL);
	wait_end(b->server);
	close(b->supervisor);
	close(b->edge);
	close(b->scribe);
	close(b->listener);
	close(b->shut);
}

static enum connect_result
dial(struct bench *b, int which, int *ret_fd)
{
	struct message_connect ask = MESSAGE_INIT(CONNECT, message_connect);
	struct message_connected answer;
	ask.token = 0x1122334455667788 + (uint64_t)which;
	ask.provider = (uint32_t)(which - OPEN);
	ask.timeout_ms = 3000;
	assert_int_equal(ipc_send(b->edge, &ask, sizeof ask, -1), IPC_OK);
	*ret_fd = await(b->edge, MESSAGE_CONNECTED, &answer, sizeof answer);
	assert_int_equal(answer.token, ask.token);
	assert_int_equal(answer.provider, ask.provider);
	assert_int_equal(*ret_fd >= 0, answer.result == CONNECT_OK);
	return (enum connect_result)answer.result;
}

static void
assert_carries(struct bench *b, int fd)
{
	char got[5];
	int accepted = accept(b->listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(write(accepted, "hello", 5), 5);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(fd, got, sizeof got), 5);
	assert_memory_equal(got, "hello", 5);
	close(accepted);
	close(fd);
}

/* ---- tests ---- */

static void
an_edge_gets_a_connected_socket(void **state)
{
	struct bench b = {0};
	int fd;
	bench_ready(&b);
	assert_int_equal(dial(&b, OPEN, &fd), CONNECT_OK);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_carries(&b, fd);
	assert_int_equal(dial(&b, BY_NAME, &fd), CONNECT_OK);
	assert_carries(&b, fd);
	bench_stop(&b);
}

static int
dial_collector(struct bench *b)
{
	struct message_plain ask = MESSAGE_INIT(DIAL_COLLECTOR, message_plain), answer;
	assert_int_equal(ipc_send(b->supervisor, &ask, sizeof ask, -1), IPC_OK);
	return await(b->supervisor, MESSAGE_COLLECTOR_DIALLED, &answer, sizeof answer);
}

/* Its name is the operator's: it may lead inside. Only the supervisor has it dialled. */
static void
the_collector_is_dialled_for_the_supervisor(void **state)
{
	struct bench b = {0};
	int fd;
	bench_ready(&b);
	for (int n = 0; n < 2; n++) {
		fd = dial_collector(&b);
		assert_true(fd >= 0);
		assert_carries(&b, fd);
	}
	assert_int_equal(dial(&b, OPEN + PROVIDERS, &fd), CONNECT_REFUSED);
	bench_stop(&b);
	b = (struct bench){.collector = "missing.test"};
	bench_ready(&b);
	assert_int_equal(dial_collector(&b), -1);
	bench_stop(&b);
}

static void
a_refused_connection_is_named(void **state)
{
	struct bench b = {0};
	int fd;
	bench_ready(&b);
	assert_int_equal(dial(&b, SHUT_PORT, &fd), CONNECT_REFUSED);
	assert_int_equal(dial(&b, OPEN + PROVIDERS, &fd), CONNECT_REFUSED);
	bench_stop(&b);
}

static void
a_name_that_leads_inside_is_not_used(void **state)
{
	struct bench b = {0};
	struct message_event event;
	int fd;
	bench_ready(&b);
	assert_int_equal(dial(&b, INNER_NAME, &fd), CONNECT_NAME);
	assert_int_equal(await(b.scribe, MESSAGE_EVENT, &event, sizeof event), -1);
	assert_int_equal(event.numbers[0], 1000 + INNER_NAME);
	assert_int_equal(dial(&b, NO_NAME, &fd), CONNECT_NAME);
	bench_stop(&b);
}

static void
a_restarted_edge_is_served_over_its_fresh_arrow(void **state)
{
	struct bench b = {0};
	int fresh[2], fd;
	bench_ready(&b);
	struct message_peer peer = MESSAGE_INIT(PEER, message_peer);
	peer.role = END_OF_EDGE;
	assert_int_equal(ipc_pair(fresh), 0);
	assert_int_equal(ipc_send(b.supervisor, &peer, sizeof peer, fresh[1]), IPC_OK);
	close(fresh[1]);
	close(b.edge);
	b.edge = fresh[0];
	assert_int_equal(dial(&b, OPEN, &fd), CONNECT_OK);
	assert_carries(&b, fd);
	bench_stop(&b);
}

static void
many_dials_at_once_are_all_answered(void **state)
{
	enum { MANY = 3000 };
	struct bench b = {0};
	uint32_t sent = 0, answered = 0;
	bench_ready(&b);
	struct message_connect ask = MESSAGE_INIT(CONNECT, message_connect);
	ask.provider = SHUT_PORT - OPEN;
	ask.timeout_ms = 3000;
	while (answered < MANY) {
		struct pollfd p = {.fd = b.edge, .events = (short)(POLLIN | (sent < MANY ? POLLOUT : 0))};
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		/* Writes before it reads: the queues fill up first. */
		if (p.revents & POLLOUT && ipc_send(b.edge, &ask, sizeof ask, -1) == IPC_OK) {
			sent++;
			continue;
		}
		struct message_connected answer;
		assert_int_equal(await(b.edge, MESSAGE_CONNECTED, &answer, sizeof answer), -1);
		answered++;
	}
	bench_stop(&b);
}

static void
it_ends_when_supervisor_and_edges_are_gone(void **state)
{
	struct bench b = {0};
	bench_ready(&b);
	close(b.supervisor);
	close(b.edge);
	assert_int_equal(wait_end(b.pid), 0);
	kill(b.server, SIGKILL);
	wait_end(b.server);
	close(b.scribe);
	close(b.listener);
	close(b.shut);
}

static void
a_message_that_is_not_an_edges_ends_it(void **state)
{
	struct bench b = {0};
	bench_ready(&b);
	struct message_plain stop = MESSAGE_INIT(STOP, message_plain);
	assert_int_equal(ipc_send(b.edge, &stop, sizeof stop, -1), IPC_OK);
	int status = wait_end(b.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	kill(b.server, SIGKILL);
	wait_end(b.server);
	close(b.supervisor);
	close(b.edge);
	close(b.scribe);
	close(b.listener);
	close(b.shut);
}

struct asked {
	struct name_question q;
	bool answered;
};

static void
mark_answered(struct name_question *q)
{
	container_of(q, struct asked, q)->answered = true;
}

static void
a_public_name_is_resolved_once_in_its_life(void **state)
{
	static struct loop l;
	struct names n;
	struct block block;
	struct asked a = {.q.answered = mark_answered};
	char servers[64];
	pid_t server = name_server(servers, sizeof servers);
	block_init(&block, 443, 443);
	strcpy(block.provider[0].host, "public.test");
	assert_true(loop_init(&l));
	assert_true(names_init(&n, &l, &block.head, NULL, 0, servers));
	assert_int_equal(names_ask(&n, 0, &a.q), NAME_UNKNOWN);
	uint64_t until = clock_monotonic_ms() + WAIT_MS;
	while (!a.answered && clock_monotonic_ms() < until)
		loop_turn(&l, 100);
	assert_true(a.answered);
	assert_int_equal(n.name[0].count, 1);
	assert_int_equal(n.name[0].address[0].v4.sin_addr.s_addr, htonl(0x08080808));
	assert_int_equal(ntohs(n.name[0].address[0].v4.sin_port), 443);
	kill(server, SIGKILL);
	wait_end(server);
	a.answered = false;
	assert_int_equal(names_ask(&n, 0, &a.q), NAME_KNOWN);
	assert_false(n.name[0].asking);
	assert_in_range(n.name[0].until_ms - l.now_ms, 50000, 60000);
	/* Its time is over and nobody answers: the old address serves on while it is asked again. */
	l.now_ms = n.name[0].until_ms;
	assert_int_equal(names_ask(&n, 0, &a.q), NAME_KNOWN);
	assert_true(n.name[0].asking);
	names_finish(&n);
	loop_finish(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_gets_a_connected_socket),
		cmocka_unit_test(the_collector_is_dialled_for_the_supervisor),
		cmocka_unit_test(a_refused_connection_is_named),
		cmocka_unit_test(a_name_that_leads_inside_is_not_used),
		cmocka_unit_test(a_restarted_edge_is_served_over_its_fresh_arrow),
		cmocka_unit_test(many_dials_at_once_are_all_answered),
		cmocka_unit_test(it_ends_when_supervisor_and_edges_are_gone),
		cmocka_unit_test(a_message_that_is_not_an_edges_ends_it),
		cmocka_unit_test(a_public_name_is_resolved_once_in_its_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
