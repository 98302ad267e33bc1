/* How clients behave who do more, or less, than send a request and wait: in clear text, under a clock of our own. */
#include "loopback/rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define EVENT "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, friend\"},\"finish_reason\":null}],\"usage\":null}\n\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
opened(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
opened_strict(void **state)
{
	rig_open(&r, "1.00", DURABILITY_STRICT);
	return 0;
}

static int
closed(void **state)
{
	rig_book(&r);
	rig_check_books(&r);
	rig_close(&r);
	return 0;
}

static uint64_t
ended(enum end_reason reason)
{
	return r.counters.ended[reason];
}

static int
send_chat(const char *body, const char *version)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, body, "", in);
	memcpy(strstr(in, "HTTP/1.1"), version, 8);
	rig_send(&r, c, in, n);
	return c;
}

static void
answer_plain(int provider)
{
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" PLAIN_BODY, strlen(PLAIN_BODY));
	rig_send(&r, provider, in, n);
}

static void
answer_begins(int provider)
{
	size_t n = (size_t)sprintf(in, STREAM_HEAD "%zx\r\n" EVENT "\r\n", strlen(EVENT));
	rig_send(&r, provider, in, n);
}

/* ---- the page about the machine ---- */

static const char *
page(const char *accept)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "GET /transparency HTTP/1.1\r\nhost: a\r\naccept: %s\r\n\r\n", accept);
	rig_send(&r, c, in, n);
	out[rig_read(&r, c, out, &eof)] = '\0';
	close(c);
	rig_turn(&r);
	assert_non_null(strstr(out, "HTTP/1.1 200"));
	return out;
}

static void
the_page_tells_what_was_seen_last_and_when(void **state)
{
	static struct process_counters told;
	told.started_ms = 1000000000000;
	told.machine_looked_ms = 1500000000000;
	told.machine[MACHINE_SWAP].number = 7;
	told.machine[MACHINE_KERNEL].number = 6001;
	r.process.transparency = true;
	r.process.processes = &told;
	assert_non_null(strstr(page("*/*"), "{\"fact\":\"swap\",\"state\":\"ok\",\"number\":7,\"looked_at\":1500000000}"));
	assert_non_null(strstr(out, "{\"fact\":\"kernel\",\"state\":\"ok\",\"number\":6001,\"looked_at\":1000000000}"));
	/* The supervisor looks again: the same edge tells it. */
	told.machine_looked_ms = 1500000060000;
	told.machine[MACHINE_SWAP].state = FACT_WARN;
	told.machine[MACHINE_SWAP].number = 8;
	assert_non_null(strstr(page("*/*"), "{\"fact\":\"swap\",\"state\":\"warn\",\"number\":8,\"looked_at\":1500000060}"));
	assert_non_null(strstr(out, "\"number\":6001,\"looked_at\":1000000000}"));
	assert_non_null(strstr(page("text/html"), "<tr><td>swap<td>warn<td>8<td>bytes of swap on disk that are not encrypted<td>Fri, 14 Jul 2017 02:41:00 GMT"));
	assert_non_null(strstr(out, "<td>Sun, 09 Sep 2001 01:46:40 GMT"));
}

/* Another process writes them. */
static void
states_that_are_none_are_shown_as_the_worst(void **state)
{
	static struct process_counters told;
	told.started_ms = told.machine_looked_ms = UINT64_MAX;
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		told.machine[i].state = i ? UINT64_MAX : FACT_BAD + 1;
		told.machine[i].number = UINT64_MAX;
	}
	r.process.transparency = true;
	r.process.processes = &told;
	assert_non_null(strstr(page("*/*"), "{\"fact\":\"swap\",\"state\":\"bad\""));
	assert_non_null(strstr(out, "{\"fact\":\"kernel\",\"state\":\"bad\""));
	assert_non_null(strstr(page("text/html"), "<tr><td>swap<td>bad<td>"));
}

static void
the_page_has_room_for_the_largest_numbers(void **state)
{
	static struct process_counters told;
	told.started_ms = told.machine_looked_ms = 253402300799000; /* the last second of the year 9999 */
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		told.machine[i].state = FACT_WARN;
		told.machine[i].number = UINT64_MAX;
	}
	r.process.transparency = true;
	r.process.processes = &told;
	r.process.tls.listeners = 1;
	assert_non_null(strstr(page("text/html"), "</html>"));
	assert_non_null(strstr(page("*/*"), "]}"));
	r.process.tls.listeners = 0;
}

/* ---- half-closed connections ---- */

static void
who_ends_its_side_is_asked_and_answered(void **state)
{
	bool eof;
	int c = send_chat(hi, "HTTP/1.1"), p = rig_provider(&r, 0);
	shutdown(c, SHUT_WR);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, CONTINUE);
	assert_false(eof);
	answer_plain(p);
	size_t n = rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(out + n - strlen(PLAIN_BODY), PLAIN_BODY);
	assert_true(eof);
	assert_int_equal(ended(END_COMPLETED), 1);
	close(c);
}

static void
it_is_asked_once(void **state)
{
	bool eof;
	int c = send_chat(hi, "HTTP/1.1");
	rig_provider(&r, 0);
	shutdown(c, SHUT_WR);
	for (int i = 0; i < 50; i++)
		rig_turn(&r);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, CONTINUE);
	assert_null(r.edge->loop.again); /* and nobody looks at it each turn */
	close(c);
}

static void
who_has_gone_is_found_out(void **state)
{
	bool eof;
	int c = send_chat(hi, "HTTP/1.1"), p = rig_provider(&r, 0);
	close(c);
	rig_read(&r, p, out, &eof);
	assert_true(eof);
	assert_int_equal(ended(END_CLIENT_GONE), 1);
}

static void
requests_sent_together_are_all_answered(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	n += rig_request(&r, hi, "", in + n);
	rig_send(&r, c, in, n);
	shutdown(c, SHUT_WR);
	answer_plain(rig_provider(&r, 0));
	answer_plain(rig_provider(&r, 0));
	rig_read(&r, c, out, &eof);
	assert_true(eof);
	assert_int_equal(ended(END_COMPLETED), 2);
	close(c);
}

static void
a_stream_is_read_by_who_has_half_closed_before_it_began(void **state)
{
	bool eof;
	int c = send_chat(hi_stream, "HTTP/1.1"), p = rig_provider(&r, 0);
	shutdown(c, SHUT_WR);
	answer_begins(p);
	rig_send(&r, p, "0\r\n\r\n", 5);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, CONTINUE "HTTP/1.1 200 OK\r\n", strlen(CONTINUE) + 17);
	assert_non_null(strstr(out, "Hello there"));
	close(c);
}

static void
a_stream_ends_with_its_reader(void **state)
{
	bool eof;
	int c = send_chat(hi_stream, "HTTP/1.1"), p = rig_provider(&r, 0);
	answer_begins(p);
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "Hello there"));
	shutdown(c, SHUT_WR);
	rig_read(&r, p, out, &eof);
	assert_true(eof);
	assert_int_equal(ended(END_CLIENT_GONE), 1);
	close(c);
}

static void
old_clients_are_not_asked(void **state)
{
	bool eof;
	int c = send_chat(hi, "HTTP/1.0"), p = rig_provider(&r, 0);
	shutdown(c, SHUT_WR);
	rig_read(&r, p, out, &eof);
	assert_true(eof);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "");
	assert_int_equal(ended(END_CLIENT_GONE), 1);
	close(c);
}

static void
half_a_request_is_none(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	rig_send(&r, c, in, n - 1);
	shutdown(c, SHUT_WR);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "");
	assert_true(eof);
	assert_int_equal(ended(END_CLIENT_GONE_EARLY), 1);
	close(c);
}

static uint64_t
take_all_memory(void)
{
	uint64_t taken = 0;
	for (uint64_t piece = UINT64_C(1) << 40; piece; piece /= 2)
		while (vault_admit(r.edge->vault, piece))
			taken += piece;
	return taken;
}

/* Of the body: "all", "some" and the "rest" of it, or all as a "chunk"; else nothing. */
static size_t
part(char *at, const char *what)
{
	size_t all = strlen(hi), some = 10;
	if (!strcmp(what, "chunk"))
		return (size_t)sprintf(at, "%zx\r\n%s\r\n0\r\n\r\n", all, hi);
	size_t from = strcmp(what, "rest") ? 0 : some, to = !strcmp(what, "some") ? some : *what ? all
																							 : 0;
	memcpy(at, hi + from, to - from);
	return to - from;
}

/* TCP may take a moment, even on one machine. */
static void
has_come(int fd, short what)
{
	struct pollfd p = {.fd = fd, .events = what};
	assert_int_equal(poll(&p, 1, -1), 1);
}

/* Nobody reads it meanwhile: who has said all of it is asked, like anybody; who has not won't, and is let go. */
static void
who_ends_its_side_while_its_body_waits_for_memory_has_said_it_or_not(void **state)
{
	static const struct {
		const char *version, *framing, *with_head, *behind;
		bool whole;
	} rows[] = {
		{"1.1", "", "all", "", true},
		{"1.1", "", "some", "rest", true},
		{"1.1", "", "", "all", true},
		{"1.1", "expect: 100-continue", "", "all", true},
		{"1.1", "transfer-encoding: chunked", "", "chunk", true},
		{"1.1", "", "some", "", false},
		{"1.1", "", "", "some", false},
		{"1.1", "expect: 100-continue", "", "", false},
		{"1.1", "transfer-encoding: chunked", "", "", false},
		{"1.0", "", "", "all", false}, /* it can't be asked */
	};
	int gone = 0, asked = 0;
	for (size_t k = 0; k < 2 * ARRAY_LEN(rows); k++) {
		bool eof, tcp = k >= ARRAY_LEN(rows);
		size_t i = k % ARRAY_LEN(rows);
		uint64_t taken = take_all_memory();
		int c = tcp ? rig_tcp_client(&r) : rig_client(&r);
		size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/%s\r\nhost: x\r\nauthorization: Bearer %s\r\n", rows[i].version, r.key);
		n += *rows[i].framing ? (size_t)sprintf(in + n, "%s\r\n", rows[i].framing) : 0;
		n += strstr(rows[i].framing, "chunked") ? 0 : (size_t)sprintf(in + n, "content-length: %zu\r\n", strlen(hi));
		n += (size_t)sprintf(in + n, "\r\n");
		n += part(in + n, rows[i].with_head);
		rig_send(&r, c, in, n);
		for (int turns = 0; turns < 1000 && !r.edge->wait_memory.first; turns++)
			rig_turn(&r);
		assert_non_null(r.edge->wait_memory.first);
		rig_send(&r, c, in, part(in, rows[i].behind));
		shutdown(c, SHUT_WR);
		has_come(r.edge->clients->conn.watch.fd, POLLRDHUP);
		rig_turn(&r);
		has_come(c, POLLIN);
		rig_read(&r, c, out, &eof);
		assert_int_equal(eof, !rows[i].whole);
		assert_string_equal(out, rows[i].whole ? CONTINUE : "");
		vault_release(r.edge->vault, taken);
		rig_turn(&r);
		if (rows[i].whole) {
			answer_plain(rig_provider(&r, 0));
			asked++;
			has_come(c, POLLIN);
			rig_read(&r, c, out, &eof);
			assert_non_null(strstr(out, "HTTP/1.1 200 OK\r\n"));
		}
		gone += !rows[i].whole;
		assert_int_equal(ended(END_CLIENT_GONE_EARLY), gone);
		assert_int_equal(ended(END_COMPLETED), asked);
		close(c);
		rig_turn(&r);
	}
}

/* The answer waits for its booking: nothing more is asked of a client that went on listening. */
static void
half_closed_while_the_ticket_is_booked(void **state)
{
	bool eof;
	int c = send_chat(hi, "HTTP/1.1"), p = rig_provider(&r, 0);
	answer_plain(p);
	shutdown(c, SHUT_WR);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "");
	rig_book(&r);
	rig_pass(&r, 100);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 200 OK\r\n", 17);
	assert_true(eof);
	close(c);
}

/* ---- pipelining ---- */

static void
pipelining_has_an_end(void **state)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
	bool eof;
	int c = rig_client(&r), answers = 0, closes = 0;
	size_t n = 0;
	for (int i = 0; i < 500; i++)
		n += (size_t)sprintf(in + n, "%s", one);
	rig_send(&r, c, in, n);
	for (int i = 0; i < 600; i++)
		rig_turn(&r);
	rig_read(&r, c, out, &eof);
	for (const char *at = out; (at = strstr(at, "HTTP/1.1 ")); at++)
		answers++;
	for (const char *at = out; (at = strstr(at, "connection: close")); at++)
		closes++;
	assert_true(eof);
	assert_int_equal(answers, PIPELINED_MAX + 1);
	assert_int_equal(closes, 1);
	close(c);
}

static void
who_waits_for_answers_may_ask_for_ever(void **state)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
	bool eof;
	int c = rig_client(&r);
	for (int i = 0; i < 500; i++) {
		rig_send(&r, c, one, sizeof one - 1);
		assert_true(rig_read(&r, c, out, &eof) > 0);
		assert_false(eof);
	}
	close(c);
}

/* ---- the time that a request may take ---- */

static void
a_request_as_a_whole_has_its_time(void **state)
{
	bool eof;
	r.process.timeouts.request = 30000;
	int c = send_chat(hi, "HTTP/1.1"), p = rig_provider(&r, 0);
	rig_pass(&r, 29000);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "");
	rig_pass(&r, 1500);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 504 ", 13);
	assert_int_equal(ended(END_PROVIDER_TIMEOUT), 1);
	rig_read(&r, p, out, &eof);
	assert_true(eof);
	close(c);
}

static void
a_stream_that_goes_on_and_on_ends_when_its_time_is_over(void **state)
{
	bool eof;
	r.process.timeouts.request = 30000;
	int c = send_chat(hi_stream, "HTTP/1.1"), p = rig_provider(&r, 0);
	answer_begins(p);
	for (int i = 0; i < 2; i++) {
		size_t n = (size_t)sprintf(in, "%zx\r\n" EVENT "\r\n", strlen(EVENT));
		rig_pass(&r, 14000);
		rig_send(&r, p, in, n);
	}
	assert_int_equal(ended(END_REQUEST_TIMEOUT), 0);
	rig_pass(&r, 2500);
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "request_timeout"));
	assert_int_equal(ended(END_REQUEST_TIMEOUT), 1);
	rig_book(&r);
	assert_true(rig_balance(&r) < 1000000000); /* what came is paid for */
	close(c);
}

/* A body that comes byte by byte keeps the step's own time alive, not the whole's. */
static void
a_slow_body_has_no_more_than_the_whole_time(void **state)
{
	bool eof;
	r.process.timeouts.request = 30000;
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	rig_send(&r, c, in, n - 10);
	for (int i = 0; i < 3; i++) {
		rig_pass(&r, 9000);
		rig_send(&r, c, "x", 1);
	}
	assert_int_equal(ended(END_BODY_TIMEOUT), 0);
	rig_pass(&r, 4000);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 408 ", 13);
	assert_int_equal(ended(END_BODY_TIMEOUT), 1);
	close(c);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(the_page_tells_what_was_seen_last_and_when),
		TEST(states_that_are_none_are_shown_as_the_worst),
		TEST(the_page_has_room_for_the_largest_numbers),
		TEST(who_ends_its_side_is_asked_and_answered),
		TEST(it_is_asked_once),
		TEST(who_has_gone_is_found_out),
		TEST(requests_sent_together_are_all_answered),
		TEST(a_stream_is_read_by_who_has_half_closed_before_it_began),
		TEST(a_stream_ends_with_its_reader),
		TEST(old_clients_are_not_asked),
		TEST(half_a_request_is_none),
		TEST(who_ends_its_side_while_its_body_waits_for_memory_has_said_it_or_not),
		cmocka_unit_test_setup_teardown(half_closed_while_the_ticket_is_booked, opened_strict, closed),
		TEST(pipelining_has_an_end),
		TEST(who_waits_for_answers_may_ask_for_ever),
		TEST(a_request_as_a_whole_has_its_time),
		TEST(a_stream_that_goes_on_and_on_ends_when_its_time_is_over),
		TEST(a_slow_body_has_no_more_than_the_whole_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
