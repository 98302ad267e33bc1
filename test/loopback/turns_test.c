/* What connections take turns with (enum turns): of many who want it a few in a turn of the loop, first come, first served. Handshakes are in tls_test.c. */
#include "edge/h2.h"
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 12 };

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];
static int c[MANY];

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
closed(void **state)
{
	rig_turn(&r);
	assert_true(!r.edge->takes_turns && !r.edge->loop.again);
	rig_close(&r);
	return 0;
}

static void
many_say(const char *bytes, size_t len)
{
	for (int i = 0; i < MANY; i++) {
		c[i] = rig_client(&r);
		ssize_t n = send(c[i], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_int_equal(n, len);
	}
}

static void
all_leave(void)
{
	for (int i = 0; i < MANY; i++)
		close(c[i]);
	rig_turn(&r);
	assert_null(r.edge->clients);
}

static int
answers_so_far(int client)
{
	int count = 0;
	ssize_t n = recv(client, out, sizeof out - 1, MSG_PEEK | MSG_DONTWAIT);
	out[n > 0 ? n : 0] = 0;
	for (const char *at = out; (at = strstr(at, "HTTP/1.1 200")); at++)
		count++;
	return count;
}

static int
all_answers(void)
{
	int count = 0;
	for (int i = 0; i < MANY; i++)
		count += answers_so_far(c[i]);
	return count;
}

static void
requests_before_their_answers_take_turns(void **state)
{
	enum { EACH = 5 };
	size_t n = 0;
	for (int i = 0; i < EACH; i++)
		n += (size_t)sprintf(in + n, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
	many_say(in, n);
	loop_turn(&r.edge->loop, 0);
	for (int turns = 1; turns <= MANY / PIPELINED_A_TURN; turns++) {
		assert_int_equal(all_answers(), MANY + turns * PIPELINED_A_TURN); /* the first of each is before nobody's answer */
		loop_turn(&r.edge->loop, 0);
	}
	for (int i = 0; i < MANY; i++)
		assert_in_range(answers_so_far(c[i]), 2, 3); /* nobody has had two turns before another's first */
	for (int i = 0; i < MANY * EACH; i++)
		loop_turn(&r.edge->loop, 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(answers_so_far(c[i]), EACH);
	all_leave();
}

static uint64_t
dropped(const struct client *one)
{
	return (64 << 20) - one->linger_left;
}

static void
what_refused_clients_pour_is_dropped_in_turns(void **state)
{
	static const char bad[] = "GET /\x01 HTTP/1.1\r\n\r\n";
	many_say(bad, sizeof bad - 1);
	rig_turn(&r);
	for (int i = 0; i < MANY; i++) {
		ssize_t n = send(c[i], in, 100000, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n > 0);
	}
	int asks = rig_client(&r);
	static const char hi[] = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
	assert_int_equal(send(asks, hi, sizeof hi - 1, MSG_DONTWAIT | MSG_NOSIGNAL), sizeof hi - 1);
	for (int turns = 1; turns <= MANY / LINGER_READS_A_TURN; turns++) {
		int had = 0;
		loop_turn(&r.edge->loop, 0);
		assert_int_equal(answers_so_far(asks), 1); /* at once */
		for (const struct client *one = r.edge->clients; one; one = one->next)
			had += one->lingering && dropped(one) > 0;
		assert_int_equal(had, turns * LINGER_READS_A_TURN); /* each has one read before anybody has two */
	}
	rig_turn(&r);
	for (const struct client *one = r.edge->clients; one; one = one->next)
		assert_true(!one->lingering || dropped(one) >= 64 << 10);
	close(asks);
	all_leave();
}

static int
window_of(const struct client *one)
{
	int bytes;
	socklen_t size = sizeof bytes;
	assert_int_equal(getsockopt(one->conn.watch.fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size), 0);
	return bytes;
}

/* What the kernel takes in for somebody is taken from everybody: the sender is slowed down where it is. */
static void
refused_clients_who_wait_for_each_other_have_small_windows(void **state)
{
	static const char bad[] = "GET /\x01 HTTP/1.1\r\n\r\n";
	bool eof;
	int alone = rig_tcp_client(&r);
	rig_send(&r, alone, bad, sizeof bad - 1);
	rig_read(&r, alone, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 400", 12);
	assert_true(eof);
	rig_send(&r, alone, in, 100000);
	assert_int_not_equal(window_of(r.edge->clients), 2 * (128 << 10)); /* who refuses nobody else lets it finish as fast as it can */
	close(alone);
	rig_turn(&r);
	int two[] = {rig_tcp_client(&r), rig_tcp_client(&r)};
	for (int i = 0; i < 2; i++)
		rig_send(&r, two[i], bad, sizeof bad - 1);
	for (int i = 0; i < 2; i++)
		assert_true(send(two[i], in, 100000, MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
	rig_turn(&r);
	int narrow = 0;
	for (const struct client *one = r.edge->clients; one; one = one->next)
		narrow += window_of(one) == 2 * (128 << 10); /* the kernel doubles what it is told (socket(7)), and tunes it no more */
	assert_in_range(narrow, 1, 2);
	for (int i = 0; i < 2; i++)
		close(two[i]);
	rig_turn(&r);
	assert_null(r.edge->clients);
}

static void
a_turn_accepts_some(void **state)
{
	for (int i = 0; i < MANY; i++)
		c[i] = rig_connect(&r);
	loop_turn(&r.edge->loop, 0);
	assert_int_equal(r.edge->connections, ACCEPTS_A_TURN);
	loop_turn(&r.edge->loop, 0);
	assert_int_equal(r.edge->connections, MANY);
	all_leave();
}

static int
all_unread(void)
{
	int sum = 0;
	for (const struct client *one = r.edge->clients; one; one = one->next) {
		int unread;
		assert_int_equal(ioctl(one->conn.watch.fd, FIONREAD, &unread), 0);
		sum += unread;
	}
	return sum;
}

/* Windows that hardly open, of which each connection has some to spare: who has used an eighth of those up is read a little at a time. */
static void
noise_takes_turns(void **state)
{
	enum { UPDATES = 900,
		FRAME = 9,
		UPDATE = FRAME + 4 };
	static const char settings[FRAME] = {0, 0, 0, 4}, update[UPDATE] = {0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	size_t n = (size_t)sprintf(in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	memcpy(in + n, settings, sizeof settings);
	n += sizeof settings;
	many_say(in, n);
	rig_turn(&r);
	n = 0;
	for (int i = 0; i < UPDATES; i++, n += UPDATE)
		memcpy(in + n, update, UPDATE);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(send(c[i], in, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
	loop_turn(&r.edge->loop, 0); /* what they are shows when they have been looked at */
	for (int left = all_unread(), last; left; left = last) {
		loop_turn(&r.edge->loop, 0);
		last = all_unread();
		assert_in_range(left - last, 1, NOISE_A_TURN * (2 << 10));
	}
	assert_int_equal(atomic_load(&r.counters.h2_calmed), 0);
	all_leave();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_before_their_answers_take_turns),
		TEST(what_refused_clients_pour_is_dropped_in_turns),
		TEST(refused_clients_who_wait_for_each_other_have_small_windows),
		TEST(a_turn_accepts_some),
		TEST(noise_takes_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
