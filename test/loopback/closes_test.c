/* How a connection ends on which a request comes, or from which one is still coming: its sender reads an answer. */
#include "loopback/rig.h"
#include "loopback/rig_tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char out[RIG_OUT_MAX];

#define HEALTH "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

static void
expect_status(const char *status)
{
	char head[32];
	int n = sprintf(head, "HTTP/1.1 %s ", status);
	assert_memory_equal(out, head, (size_t)n);
}

static int
served_once(void)
{
	bool eof;
	int c = rig_client(&r);
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_false(eof);
	return c;
}

/* ---- an idle connection ---- */

/* Bytes that a client sends when this turn's events have been seen already, and timers run. */
static struct late_bytes {
	struct timer timer;
	int fd;
	const char *bytes;
	size_t len;
} late;

static void
send_late(struct timer *t)
{
	ssize_t n = send(late.fd, late.bytes, late.len, MSG_NOSIGNAL);
	assert_int_equal(n, late.len);
	while (r.tls && rig_tls_move())
		;
}

/* In the turn in which its connection's time is over, just before. */
static void
sends_so_late(int c, const char *bytes, size_t len)
{
	uint64_t over_ms = r.edge->clients->timer.at_ms;
	late = (struct late_bytes){.fd = c, .bytes = bytes, .len = len};
	timer_arm(&r.edge->loop, &late.timer, over_ms - 2 * WHEEL_TICK_MS, send_late);
	rig_pass(&r, over_ms - r.edge->loop.now_ms - 500);
	assert_non_null(late.timer.link);
	rig_pass(&r, 1000);
	assert_null(late.timer.link);
}

static void
sends_at_the_last_moment(int c, const char *bytes)
{
	sends_so_late(c, bytes, strlen(bytes));
}

static void
a_request_that_comes_when_the_time_of_idle_connections_is_over_is_served(void **state)
{
	bool eof;
	int c = served_once();
	sends_at_the_last_moment(c, HEALTH);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_false(eof);
	close(c);
}

/* The reload's own limit for them is the same moment, earlier. */
static void
a_request_that_comes_when_a_retired_edge_closes_is_served(void **state)
{
	bool eof;
	int c = served_once();
	rig_tell(&r, MESSAGE_RETIRE);
	rig_turn(&r);
	sends_at_the_last_moment(c, HEALTH);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_non_null(strstr(out, "connection: close"));
	close(c);
}

/* It has a head's time from there, and no more. */
static void
a_piece_of_a_request_that_comes_so_late_is_not_waited_for_long(void **state)
{
	bool eof;
	int c = served_once();
	sends_at_the_last_moment(c, "GET /healthz HT");
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "");
	assert_false(eof);
	rig_pass(&r, 11000);
	rig_read(&r, c, out, &eof);
	expect_status("408");
	close(c);
}

static int
half_a_head(void)
{
	bool eof;
	int c = served_once();
	rig_send(&r, c, "GET /healthz HTTP/1.1\r\nhost", 27);
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	return c;
}

static void
the_rest_of_a_head_that_comes_when_its_time_is_over_is_read(void **state)
{
	bool eof;
	int c = half_a_head();
	sends_at_the_last_moment(c, ": x\r\n\r\n");
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_false(eof);
	close(c);
}

/* Else it would have another moment for each byte. */
static void
a_head_that_is_late_a_second_time_is_a_408(void **state)
{
	bool eof;
	int c = half_a_head();
	sends_at_the_last_moment(c, ": ");
	rig_pass(&r, 1000);
	rig_read(&r, c, out, &eof);
	expect_status("408");
	close(c);
}

static void
who_says_nothing_is_left(void **state)
{
	bool eof;
	int c = served_once();
	rig_pass(&r, 76000);
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	assert_true(eof);
	close(c);
}

/* ---- the same by HTTP/2 ---- */

enum { FRAME_HEAD = 9,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7 };
static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", ping[] = "\0\0\10\6\0\0\0\0\0pingpong";

/* Frames alone, SETTINGS first, GOAWAY last, which looked at no stream and finds no fault; then the end, and no reset. */
static void
expect_goaway(int c, bool first)
{
	size_t at = 0, n = 0;
	ssize_t got;
	for (int i = 0; i < 8; i++) {
		rig_turn(&r);
		got = recv(c, out + n, sizeof out - n, 0);
		assert_true(got >= 0 || errno == EAGAIN);
		n += got > 0 ? (size_t)got : 0;
	}
	assert_int_equal(got, 0);
	const uint8_t *frame = (const uint8_t *)out;
	assert_true(n >= FRAME_HEAD);
	assert_true(!first || frame[3] == SETTINGS);
	for (size_t len; at < n; at += FRAME_HEAD + len) {
		frame = (const uint8_t *)out + at;
		len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
		assert_true(at + FRAME_HEAD + len <= n);
	}
	assert_int_equal(frame[3], GOAWAY);
	assert_memory_equal(frame + FRAME_HEAD, "\0\0\0\0\0\0\0\0", 8);
	close(c);
}

/* By prior knowledge, which is for clear text. */
static void
who_sends_by_http2_when_its_time_is_over_is_told_to_go_and_not_reset(void **state)
{
	bool eof;
	int c = rig_client(&r);
	if (r.tls) {
		close(c);
		return;
	}
	rig_send(&r, c, hello, sizeof hello - 1);
	rig_read(&r, c, out, &eof);
	assert_int_equal(out[3], SETTINGS);
	sends_so_late(c, ping, sizeof ping - 1);
	expect_goaway(c, false);
	rig_pass(&r, 3000);
	assert_int_equal(r.counters.connections_open, 0);
}

static void
who_finds_no_memory_by_http2_is_told_to_go(void **state)
{
	int c = rig_client(&r);
	if (r.tls) {
		close(c);
		return;
	}
	rig_hoard(&r, 4096, 4096);
	rig_give_back(&r, 4096, 2);
	assert_true(edge_has_room(r.edge));
	rig_send(&r, c, hello, sizeof hello - 1);
	expect_goaway(c, true);
	rig_give_back(&r, 0, 1);
	rig_pass(&r, 3000);
	assert_int_equal(r.counters.connections_open, 0);
}

/* ---- an answer before the request has ended ---- */

static const char piece[] = "not looked at";

/* The answer to an upload that is too large is there while most of it is still to come. */
static int
refused_upload(void)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(out, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 100000000\r\n\r\n", r.key);
	rig_send(&r, c, out, n);
	rig_read(&r, c, out, &eof);
	expect_status("413");
	assert_non_null(strstr(out, "\r\nconnection: close\r\n"));
	return c;
}

static void
sends_on(int c, unsigned ms)
{
	rig_pass(&r, ms);
	send(c, piece, sizeof piece, MSG_NOSIGNAL);
	rig_turn(&r);
}

/* Closed while it sends, a reset could take the answer from it (RFC 9112 9.6). */
static void
who_sends_on_after_an_answer_is_read_for_as_long_as_that_takes(void **state)
{
	int c = refused_upload();
	for (unsigned ms = 0; ms < 28500; ms += 1500) {
		sends_on(c, 1500);
		assert_int_equal(r.counters.connections_open, 1);
	}
	sends_on(c, 1000); /* there is an end to it */
	rig_pass(&r, 1000);
	assert_int_equal(r.counters.connections_open, 0);
	close(c);
}

static void
is_left_after_two_seconds(int c)
{
	sends_on(c, 1500);
	assert_int_equal(r.counters.connections_open, 1);
	sends_on(c, 1000);
	rig_pass(&r, 1000);
	assert_int_equal(r.counters.connections_open, 0);
	close(c);
}

static void
who_sends_on_is_left_soon_when_places_are_few(void **state)
{
	r.process.limits.connections = 5;
	int c = refused_upload();
	sends_on(c, 1500);
	sends_on(c, 1500);
	assert_int_equal(r.counters.connections_open, 1);
	close(c);
	rig_turn(&r);
	r.process.limits.connections = 3;
	is_left_after_two_seconds(refused_upload());
}

static void
who_sends_on_is_left_soon_when_the_edge_retires(void **state)
{
	int c = refused_upload();
	rig_tell(&r, MESSAGE_RETIRE);
	is_left_after_two_seconds(c);
}

static void
who_pauses_after_an_answer_is_left(void **state)
{
	int c = refused_upload();
	sends_on(c, 1500);
	rig_pass(&r, 1500);
	assert_int_equal(r.counters.connections_open, 1);
	rig_pass(&r, 1000);
	assert_int_equal(r.counters.connections_open, 0);
	close(c);
}

/* ---- no memory ---- */

static void
refused_for_want_of_memory(int c)
{
	bool eof;
	rig_read(&r, c, out, &eof);
	expect_status("503");
	assert_non_null(strstr(out, "\r\nretry-after: 1\r\n"));
	assert_non_null(strstr(out, "\r\nconnection: close\r\n"));
	assert_non_null(strstr(out, "\"code\":\"overloaded\""));
	assert_true(eof);
	close(c);
}

/* Much is free, but no block that takes what has come of a head. */
static void
a_piece_of_a_head_that_finds_no_block_is_a_503(void **state)
{
	enum { PIECE = 20000 };
	static char head[PIECE];
	int c = served_once();
	rig_hoard(&r, 4096, 4096);
	rig_give_back(&r, 4096, 2);
	assert_true(edge_has_room(r.edge));
	memset(head, 'a', sizeof head);
	memcpy(head, "GET /healthz HTTP/1.1\r\nx: ", 26);
	rig_send(&r, c, head, sizeof head);
	refused_for_want_of_memory(c);
	rig_give_back(&r, 0, 1);
	assert_int_equal(r.counters.ended[END_OVERLOADED], 1);
}

static void
who_could_not_be_read_for_want_of_memory_is_told(void **state)
{
	int c = served_once();
	rig_hoard(&r, VAULT_BLOCK_MAX, 8192);
	assert_false(edge_has_room(r.edge));
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	rig_pass(&r, 74000);
	assert_int_equal(r.counters.ended[END_OVERLOADED], 0);
	rig_pass(&r, 2000);
	refused_for_want_of_memory(c);
	rig_give_back(&r, 0, 1);
}

static void
give_back(struct timer *t)
{
	rig_give_back(&r, 0, 1);
}

/* A request that has come whole behind another one, and lay there: it is not late. */
static void
a_request_that_lay_there_for_want_of_memory_is_served_when_there_is_some(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
	static struct timer timer;
	bool eof;
	int c = rig_client(&r);
	size_t n = rig_request(&r, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "", out);
	memcpy(out + n, HEALTH, strlen(HEALTH));
	rig_send(&r, c, out, n + strlen(HEALTH));
	int p = rig_provider(&r, 0);
	rig_hoard(&r, VAULT_BLOCK_MAX, 8192);
	rig_send(&r, p, answer, sizeof answer - 1);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_null(strstr(out + 1, "HTTP/1.1"));
	assert_false(eof);
	uint64_t over_ms = r.edge->clients->timer.at_ms;
	timer_arm(&r.edge->loop, &timer, over_ms - 2 * WHEEL_TICK_MS, give_back);
	rig_pass(&r, over_ms - r.edge->loop.now_ms - 500);
	assert_non_null(timer.link);
	rig_pass(&r, 1000);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	assert_null(strstr(out + 1, "HTTP/1.1"));
	assert_false(eof);
	close(c);
}

/* A connection that the edge could not keep is left in the listener's queue, not closed. */
static void
who_connects_while_there_is_no_memory_is_served_when_there_is_some(void **state)
{
	bool eof;
	rig_hoard(&r, VAULT_BLOCK_MAX, VAULT_BLOCK_MIN);
	int c = rig_connect(&r);
	rig_turn(&r);
	assert_int_equal(r.counters.connections_open, 0);
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	assert_false(eof);
	rig_give_back(&r, 0, 1);
	rig_turn(&r);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	close(c);
}

/* It would be woken for who comes next, and no other edge be told. */
static void
who_has_no_memory_asks_for_nobody(void **state)
{
	assert_int_equal(r.edge->accept_at_ms, 0);
	rig_hoard(&r, VAULT_BLOCK_MAX, VAULT_BLOCK_MIN);
	rig_turn(&r);
	assert_int_not_equal(r.edge->accept_at_ms, 0);
	rig_give_back(&r, 0, 1);
	rig_turn(&r);
	assert_int_equal(r.edge->accept_at_ms, 0);
}

/* Another edge, in its sleep. It is woken for the first connection, and takes none. */
static struct sleeper {
	pthread_t thread;
	int epoll_fd;
	_Atomic pid_t tid;
} sleeper;

static void *
sleeps(void *arg)
{
	struct sleeper *s = arg;
	struct epoll_event e;
	atomic_store(&s->tid, (pid_t)syscall(SYS_gettid));
	int n = epoll_wait(s->epoll_fd, &e, 1, -1);
	assert(n == 1);
	return NULL;
}

static char
state_of(pid_t tid)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	const char *end = n > 0 ? strrchr(text, ')') : NULL;
	return end ? end[2] : 0;
}

static void
fall_asleep(struct sleeper *s)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, r.listener, &e), 0);
	close(rig_connect(&r)); /* who has accepted goes behind it */
	rig_turn(&r);
	atomic_store(&s->tid, 0);
	assert_int_equal(pthread_create(&s->thread, NULL, sleeps, s), 0);
	while (!atomic_load(&s->tid) || state_of(atomic_load(&s->tid)) != 'S')
		sched_yield();
}

static void
whom_another_edge_did_not_take_is_served(void **state)
{
	bool eof;
	r.edge->several = true;
	fall_asleep(&sleeper);
	int c = rig_connect(&r);
	pthread_join(sleeper.thread, NULL);
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	rig_pass(&r, TICK_MS + 1000);
	rig_read(&r, c, out, &eof);
	expect_status("200");
	close(c);
	close(sleeper.epoll_fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, opened, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_request_that_comes_when_the_time_of_idle_connections_is_over_is_served),
		CASE(a_request_that_comes_when_a_retired_edge_closes_is_served),
		CASE(a_piece_of_a_request_that_comes_so_late_is_not_waited_for_long),
		CASE(the_rest_of_a_head_that_comes_when_its_time_is_over_is_read),
		CASE(a_head_that_is_late_a_second_time_is_a_408),
		CASE(who_says_nothing_is_left),
		CASE(who_sends_by_http2_when_its_time_is_over_is_told_to_go_and_not_reset),
		CASE(who_finds_no_memory_by_http2_is_told_to_go),
		CASE(who_sends_on_after_an_answer_is_read_for_as_long_as_that_takes),
		CASE(who_sends_on_is_left_soon_when_places_are_few),
		CASE(who_sends_on_is_left_soon_when_the_edge_retires),
		CASE(who_pauses_after_an_answer_is_left),
		CASE(a_piece_of_a_head_that_finds_no_block_is_a_503),
		CASE(who_could_not_be_read_for_want_of_memory_is_told),
		CASE(a_request_that_lay_there_for_want_of_memory_is_served_when_there_is_some),
		CASE(who_connects_while_there_is_no_memory_is_served_when_there_is_some),
		CASE(who_has_no_memory_asks_for_nobody),
		CASE(whom_another_edge_did_not_take_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
