#include "scribe/scribe.h"

#include "core/ipc.h"
#include "ticket/events.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WAIT_MS = 60000,
	EDGES = 2,
};

/* No models: what is counted by model is metrics_test.c's. */
static struct catalogue catalogue = {.provider_count = 0};

enum { STRIDE = 4096 };

struct bench {
	_Alignas(128) char counters[(EDGES + 2) * STRIDE]; /* the processes have two */
	void *tally_memory;
	struct tally *tally;
	int supervisor, edge, log, listener;
	enum severity level;
	struct sockaddr_in address;
	pid_t pid;
};

static void
no_lock_down(void *arg)
{
}

static void
scribe_process_run(struct bench *b, int supervisor, int edge, int log)
{
	struct scribe_peer peer = {END_OF_EDGE, 1, edge};
	struct scribe_process p = {.supervisor_fd = supervisor,
		.log_fd = log,
		.log_level = b->level,
		.metrics_fd = b->listener,
		.peers = &peer,
		.peer_count = 1,
		.counters = b->counters,
		.counters_stride = STRIDE,
		.edge_count = EDGES,
		.catalogue = &catalogue,
		.tally = b->tally,
		.lock_down = no_lock_down};
	close(b->supervisor);
	close(b->edge);
	close(b->log);
	_exit(scribe_main(&p));
}

/* Receives from a pipe or a socket until the text is complete. */
static void
read_until(int fd, char *at, size_t cap, const char *end)
{
	size_t len = 0;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		ssize_t n = read(fd, at + len, cap - len - 1);
		assert_true(n >= 0);
		len += (size_t)n;
		at[len] = '\0';
		if (n == 0 || (end && strstr(at, end)))
			return;
	}
}

static void
bench_start(struct bench *b)
{
	int supervisor[2], edge[2], log[2];
	socklen_t len = sizeof b->address;
	enum severity level = b->level;
	memset(b, 0, sizeof *b);
	b->level = level;
	b->tally_memory = calloc(1, tally_bytes(0));
	assert_non_null(b->tally_memory);
	tally_format(b->tally_memory, 0);
	b->tally = tally_attach(b->tally_memory, tally_bytes(0), &catalogue);
	assert_non_null(b->tally);
	struct counters *second = (void *)(b->counters + STRIDE);
	b->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(b->listener, (struct sockaddr *)&b->address, len), 0);
	assert_int_equal(getsockname(b->listener, (struct sockaddr *)&b->address, &len), 0);
	assert_int_equal(listen(b->listener, 64), 0);
	atomic_store(&((struct process_counters *)(void *)(b->counters + EDGES * STRIDE))->edges_known[0], 3);
	atomic_store(&second->bytes_to_clients, 4711);
	atomic_store(&second->ended[1], 17);
	assert_int_equal(ipc_pair(supervisor), 0);
	assert_int_equal(ipc_pair(edge), 0);
	assert_int_equal(pipe(log), 0);
	b->supervisor = supervisor[0];
	b->edge = edge[0];
	b->log = log[0];
	b->pid = fork();
	if (b->pid == 0)
		scribe_process_run(b, supervisor[1], edge[1], log[1]);
	close(supervisor[1]);
	close(edge[1]);
	close(log[1]);
}

static int
bench_end(struct bench *b)
{
	int status;
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	close(b->supervisor);
	close(b->edge);
	close(b->log);
	close(b->listener);
	tally_detach(&b->tally);
	free(b->tally_memory);
	return status;
}

static void
bench_stop(struct bench *b)
{
	struct message_plain stop = MESSAGE_INIT(STOP, message_plain);
	assert_int_equal(ipc_send(b->supervisor, &stop, sizeof stop, -1), IPC_OK);
	assert_int_equal(bench_end(b), 0);
}

static enum ipc_result
say(int fd, enum event_id event, uint64_t number)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = (uint16_t)event;
	m.role = END_OF_LEDGER; /* a lie */
	m.numbers[0] = number;
	return ipc_send(fd, &m, sizeof m, -1);
}

static void
ask(struct bench *b, const char *request, char *ret, size_t cap)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&b->address, sizeof b->address), 0);
	assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	read_until(fd, ret, cap, NULL);
	close(fd);
}

static void
an_event_becomes_a_line_of_who_sent_it(void **state)
{
	struct bench b = {0};
	char log[4096];
	bench_start(&b);
	assert_int_equal(say(b.edge, EVENT_ACCEPT_FAILED, 24), IPC_OK);
	read_until(b.log, log, sizeof log, "\n");
	assert_non_null(strstr(log,
		"\"role\":\"edge\",\"instance\":1,\"event\":\"ACCEPT_FAILED\",\"numbers\":[24,0,0,0],\"text\":\"accept failed, errno 24\"}\n"));
	bench_stop(&b);
}

static void
what_is_below_the_level_is_counted_and_not_written(void **state)
{
	struct bench b = {.level = SEVERITY_WARN};
	char log[4096];
	static char answer[1 << 20];
	bench_start(&b);
	assert_int_equal(say(b.edge, EVENT_STORE_BACK, 0), IPC_OK);
	assert_int_equal(say(b.edge, EVENT_ACCEPT_FAILED, 24), IPC_OK);
	read_until(b.log, log, sizeof log, "\n");
	assert_non_null(strstr(log, "ACCEPT_FAILED"));
	assert_null(strstr(log, "STORE_BACK"));
	ask(&b, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer);
	assert_non_null(strstr(answer, "\nlethe_events_total{role=\"edge\",event=\"STORE_BACK\",severity=\"info\"} 1\n"));
	bench_stop(&b);
}

static void
a_flood_is_cut_and_counted(void **state)
{
	enum { FLOOD = 5 * SCRIBE_LINES_PER_S };
	struct bench b = {0};
	static char log[1 << 20];
	bench_start(&b);
	for (int sent = 0; sent < FLOOD;) {
		struct pollfd p = {.fd = b.edge, .events = POLLOUT};
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		if (say(b.edge, EVENT_ACCEPT_FAILED, 24) == IPC_OK)
			sent++;
	}
	read_until(b.log, log, sizeof log, "EVENTS_DROPPED");
	size_t lines = 0;
	for (const char *at = log; (at = strstr(at, "ACCEPT_FAILED")); at++)
		lines++;
	assert_in_range(
		lines, SCRIBE_LINES_PER_S, 2 * SCRIBE_LINES_PER_S); /* the flood may lie across two seconds */
	bench_stop(&b);
}

static void
prometheus_gets_the_counters(void **state)
{
	struct bench b = {0};
	static char answer[1 << 20];
	bench_start(&b);
	ask(&b, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer);
	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(answer,
		"\n# TYPE lethe_client_sent_bytes_total counter\nlethe_client_sent_bytes_total{edge=\"0\"} 0\nlethe_client_sent_bytes_total{edge=\"1\"} 4711\n"));
	assert_non_null(strstr(answer, "\nlethe_exchanges_ended_total{edge=\"1\",reason=\"COMPLETED\",severity=\"info\"} 17\n"));
	assert_non_null(strstr(answer, "\n# TYPE lethe_streams_open gauge\n"));
	unsigned long length = strtoul(strstr(answer, "Content-Length: ") + 16, NULL, 10);
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), length);
	assert_null(strstr(answer, "# EOF"));
	ask(&b, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n", answer, sizeof answer);
	assert_non_null(strstr(answer, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
	assert_string_equal(answer + strlen(answer) - 6, "# EOF\n");
	bench_stop(&b);
}

static void
another_log_takes_what_comes_behind_it(void **state)
{
	struct bench b = {0};
	char text[4096];
	int fresh[2];
	struct message_plain m = MESSAGE_INIT(LOG, message_plain);
	bench_start(&b);
	assert_int_equal(say(b.edge, EVENT_ACCEPT_FAILED, 1), IPC_OK);
	read_until(b.log, text, sizeof text, "errno 1\"}\n");
	assert_int_equal(pipe(fresh), 0);
	assert_int_equal(ipc_send(b.supervisor, &m, sizeof m, fresh[1]), IPC_OK);
	close(fresh[1]);
	/* The old one has no writer any more. */
	read_until(b.log, text, sizeof text, NULL);
	assert_int_equal(say(b.edge, EVENT_ACCEPT_FAILED, 2), IPC_OK);
	read_until(fresh[0], text, sizeof text, "errno 2\"}\n");
	close(fresh[0]);
	bench_stop(&b);
}

static void
other_requests_are_answered_with_their_status(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
		{"GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "},
		{"GET /metrics\r\n\r\n", "HTTP/1.1 400 "},
	};
	struct bench b = {0};
	static char answer[1 << 20];
	bench_start(&b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask(&b, cases[i].request, answer, sizeof answer);
		assert_memory_equal(answer, cases[i].status, strlen(cases[i].status));
	}
	bench_stop(&b);
}

static void
more_connections_than_it_keeps_do_not_block_it(void **state)
{
	enum { IDLE = 40 };
	struct bench b = {0};
	int idle[IDLE];
	static char answer[1 << 20];
	bench_start(&b);
	for (int i = 0; i < IDLE; i++) {
		idle[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(idle[i], (struct sockaddr *)&b.address, sizeof b.address), 0);
	}
	/* The first that is beyond the limit is closed at once: it reads its end. */
	char byte;
	struct pollfd p = {.fd = idle[IDLE - 1], .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(idle[IDLE - 1], &byte, 1), 0);
	/* It has room again once it has seen that they left. */
	for (int i = 0; i < IDLE; i++) {
		shutdown(idle[i], SHUT_WR);
		read_until(idle[i], answer, sizeof answer, NULL);
		close(idle[i]);
	}
	ask(&b, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer);
	bench_stop(&b);
}

static void
it_ends_when_all_others_have(void **state)
{
	struct bench b = {0};
	char log[4096];
	bench_start(&b);
	shutdown(b.supervisor, SHUT_RDWR);
	assert_int_equal(say(b.edge, EVENT_ENDED, 0), IPC_OK);
	read_until(b.log, log, sizeof log, "ENDED");
	shutdown(b.edge, SHUT_RDWR);
	assert_int_equal(bench_end(&b), 0);
}

static void
an_unknown_event_ends_it(void **state)
{
	struct bench b = {0};
	bench_start(&b);
	assert_int_equal(say(b.edge, EVENT_COUNT, 0), IPC_OK);
	int status = bench_end(&b);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_becomes_a_line_of_who_sent_it),
		cmocka_unit_test(what_is_below_the_level_is_counted_and_not_written),
		cmocka_unit_test(a_flood_is_cut_and_counted),
		cmocka_unit_test(prometheus_gets_the_counters),
		cmocka_unit_test(another_log_takes_what_comes_behind_it),
		cmocka_unit_test(other_requests_are_answered_with_their_status),
		cmocka_unit_test(more_connections_than_it_keeps_do_not_block_it),
		cmocka_unit_test(it_ends_when_all_others_have),
		cmocka_unit_test(an_unknown_event_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
