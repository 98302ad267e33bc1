/* What a peer, a neighbour or a full memory can do to the edge, one fault a test: the connection, the scratch and the books stay right. */
#include "loopback/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define EVENT "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}],\"usage\":null}\n\n"
#define SHOWN "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}]}\n\n"
#define EVENT_USAGE "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n"
#define EVENT_DONE "data: [DONE]\n\n"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define HEALTH "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"

/* 10 × $1/M + 5 × $2/M */
enum { COST = 20000 };

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char drained_stream[] = "{\"model\":\"drained\",\"stream\":true,\"messages\":[]}";

static int
with_dollar(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
strict(void **state)
{
	rig_open(&r, "1.00", DURABILITY_STRICT);
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

static size_t
plain_answer(char *to)
{
	return (size_t)sprintf(to, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" PLAIN_BODY, strlen(PLAIN_BODY));
}

static size_t
chunk(char *to, const char *data)
{
	size_t len = strlen(data), at = (size_t)sprintf(to, "%zx\r\n", len);
	memcpy(to + at, data, len);
	memcpy(to + at + len, "\r\n", 2);
	return at + len + 2;
}

/* The data of a chunked message behind its head; *ret_whole: the last chunk came and nothing behind it. */
static size_t
unchunk(const char *message, size_t len, char *to, bool *ret_whole)
{
	const char *at = strstr(message, "\r\n\r\n") + 4, *end = message + len;
	struct http1_chunked c;
	size_t n = 0;
	http1_chunked_init(&c);
	*ret_whole = false;
	while (at < end) {
		size_t used;
		struct span data;
		enum http1_result result = http1_chunked_feed(&c, at, (size_t)(end - at), &used, &data);
		assert_int_not_equal(result, HTTP1_BAD);
		memcpy(to + n, data.at, data.len);
		n += data.len;
		at += used;
		*ret_whole = result == HTTP1_DONE && at == end;
		if (result == HTTP1_DONE || !used)
			break;
	}
	to[n] = 0;
	return n;
}

static int
send_chat(const char *body, const char *headers)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, body, headers, in);
	rig_send(&r, c, in, n);
	return c;
}

static size_t
count(const char *text, const char *word)
{
	size_t n = 0;
	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

static void
expect_status(const char *answer, const char *status)
{
	assert_int_equal(memcmp(answer, "HTTP/1.1 ", 9), 0);
	assert_int_equal(memcmp(answer + 9, status, 3), 0);
}

/* What an exchange's ticket says of its cost at each moment when the edge sends: if it were killed just behind that, this is what would be booked. */
static int64_t stated;

static void
look_at_tickets(void)
{
	if (r.edge)
		for (struct exchange *x = r.edge->exchanges; x; x = x->next)
			if (x->ticket)
				stated = atomic_load(&x->ticket->cost);
}

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	look_at_tickets();
	return sendto(fd, bytes, len, flags, NULL, 0);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	look_at_tickets();
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* ---- heads ---- */

static void
pipelined_requests_beyond_any_buffer_are_all_answered(void **state)
{
	enum { REQUESTS = PIPELINED_MAX - 1,
		FILLER = 20000 }; /* as few as may be pipelined, large enough to fill everything on the way */
	static char requests[REQUESTS * (FILLER + 100)];
	size_t bytes = 0;
	bool eof;
	for (size_t i = 0; i < REQUESTS; i++) {
		bytes += (size_t)sprintf(requests + bytes, "GET /healthz HTTP/1.1\r\nhost: x\r\nx-filler: ");
		memset(requests + bytes, 'a', FILLER);
		bytes += FILLER;
		bytes += (size_t)sprintf(requests + bytes, "\r\n\r\n");
	}
	int c = rig_client(&r);
	size_t at = 0, answers = 0;
	for (int idle = 0; answers < REQUESTS && idle < 1000; idle++) {
		ssize_t n = at < bytes ? send(c, requests + at, bytes - at, MSG_NOSIGNAL) : 0;
		at += n > 0 ? (size_t)n : 0;
		for (int turn = 0; turn < 20; turn++)
			rig_turn(&r);
		if (rig_read(&r, c, out, &eof) > 0)
			idle = 0;
		assert_false(eof);
		answers += count(out, "{\"status\":\"ok\"}");
	}
	assert_int_equal(answers, REQUESTS);
	close(c);
}

static void
a_head_may_not_be_larger_than_the_scratch_whatever_is_configured(void **state)
{
	bool eof;
	r.process.limits.head_bytes = 1 << 20;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "GET /healthz HTTP/1.1\r\nhost: x\r\nx-filler: ");
	memset(in + n, 'a', 400000);
	rig_send(&r, c, in, n + 400000);
	rig_read(&r, c, out, &eof);
	expect_status(out, "431");
	close(c);
}

static void
a_client_that_leaves_in_the_middle_of_its_head_is_let_go_at_once(void **state)
{
	int c = rig_client(&r);
	send(c, "GET /hea", 8, 0);
	close(c);
	rig_turn(&r);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
}

static void
a_pipelined_head_has_no_more_time_than_any_other(void **state)
{
	bool eof;
	int c = rig_client(&r);
	rig_send(&r, c, HEALTH "GET /hea", strlen(HEALTH) + 8);
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	rig_pass(&r, 11000);
	rig_read(&r, c, out, &eof);
	expect_status(out, "408");
	close(c);
}

/* ---- bodies ---- */

static void
a_body_that_comes_too_late_is_never_read_as_a_request(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %zu\r\n\r\n",
		r.key, 2 + strlen(HEALTH));
	rig_send(&r, c, in, n);
	rig_pass(&r, 21000);
	n = rig_read(&r, c, out, &eof);
	expect_status(out, "408");
	assert_non_null(strstr(out, "connection: close\r\n"));
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	rig_read(&r, c, out, &eof);
	assert_null(strstr(out, "200"));
	assert_true(eof);
	close(c);
}

static void
a_body_that_found_no_memory_is_never_read_as_a_request(void **state)
{
	bool eof, filled = vault_admit(r.edge->vault, 8 << 20);
	assert_true(filled);
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %zu\r\n\r\n" HEALTH,
		r.key, strlen(HEALTH));
	rig_send(&r, c, in, n);
	rig_pass(&r, 5000);
	rig_read(&r, c, out, &eof);
	expect_status(out, "503");
	assert_int_equal(count(out, "HTTP/1.1"), 1);
	assert_non_null(strstr(out, "connection: close\r\n"));
	vault_release(r.edge->vault, 8 << 20);
	close(c);
}

static void
who_waits_for_memory_goes_on_when_the_one_in_front_has_left(void **state)
{
	char big[512];
	bool eof, filled = vault_admit(r.edge->vault, 8 << 20);
	assert_true(filled);
	int first = rig_client(&r);
	sprintf(big, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: 500000\r\n\r\n", r.key);
	rig_send(&r, first, big, strlen(big));
	int second = send_chat(hi, "");
	vault_release(r.edge->vault, 1000); /* not enough for the first */
	rig_turn(&r);
	assert_int_equal(r.dials, 0);
	close(first);
	rig_turn(&r);
	assert_int_equal(r.dials, 1);
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	rig_read(&r, second, out, &eof);
	expect_status(out, "200");
	vault_release(r.edge->vault, (8 << 20) - 1000);
	close(second);
}

static void
who_waited_for_memory_is_told_to_continue(void **state)
{
	bool eof, filled = vault_admit(r.edge->vault, 8 << 20);
	assert_true(filled);
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "expect: 100-continue\r\n", in);
	rig_send(&r, c, in, n - strlen(hi));
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	vault_release(r.edge->vault, 8 << 20);
	rig_read(&r, c, out, &eof);
	assert_string_equal(out, "HTTP/1.1 100 Continue\r\n\r\n");
	rig_send(&r, c, hi, strlen(hi));
	assert_int_equal(r.dials, 1);
	close(c);
}

static void
a_body_that_fits_what_is_mapped_does_not_wait(void **state)
{
	enum { BLOCKS = 10,
		BODY = 3 << 20 };
	static char body[BODY];
	void *block[BLOCKS];
	r.process.limits.body_bytes = 4 << 20;
	for (int i = 0; i < BLOCKS; i++)
		block[i] = vault_alloc(r.edge->vault, 1 << 20);
	memset(body, ' ', sizeof body);
	memcpy(body, hi, strlen(hi));
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %d\r\n\r\n", r.key, BODY);
	rig_send(&r, c, in, n);
	rig_send(&r, c, body, sizeof body);
	assert_int_equal(r.dials, 1);
	for (int i = 0; i < BLOCKS; i++)
		vault_free(r.edge->vault, block[i], 1 << 20);
	close(c);
}

/* ---- what goes up ---- */

static void
a_cap_of_null_does_not_undo_ours(void **state)
{
	bool eof;
	int c = send_chat("{\"model\":\"alias-model\",\"max_completion_tokens\":null,\"messages\":[]}", "");
	rig_read(&r, rig_provider(&r, 0), out, &eof);
	assert_int_equal(count(out, "max_completion_tokens"), 1);
	unsigned cap = 0;
	assert_int_equal(sscanf(strstr(out, "\"max_completion_tokens\":"), "\"max_completion_tokens\":%u,", &cap), 1);
	assert_true(cap > 0);
	close(c);
}

/* ---- providers ---- */

static void
a_burst_of_events_reaches_the_client_whole(void **state)
{
	bool eof, whole;
	int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	for (int i = 0; i < 200; i++)
		n += chunk(in + n, EVENT);
	rig_send(&r, p, in, n);
	n = rig_read(&r, c, out, &eof);
	unchunk(out, n, in, &whole);
	assert_int_equal(count(in, SHOWN), 200); /* before anything else comes */
	n = 0;
	for (int i = 0; i < 200; i++)
		n += chunk(in + n, EVENT);
	n += chunk(in + n, EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	rig_send(&r, p, in, n);
	memcpy(out, STREAM_HEAD, strlen(STREAM_HEAD));
	n = strlen(STREAM_HEAD) + rig_read(&r, c, out + strlen(STREAM_HEAD), &eof);
	unchunk(out, n, in, &whole);
	assert_true(whole);
	assert_int_equal(count(in, SHOWN), 200);
	assert_int_equal(count(in, EVENT_DONE), 1);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - COST);
	close(c);
}

static void
header_lines_of_an_error_may_be_as_long_as_a_provider_likes(void **state)
{
	bool eof;
	int c = send_chat(hi, ""), p = rig_provider(&r, 0);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 400 No\r\nretry-after: ");
	memset(in + n, '1', 9000);
	n += 9000;
	n += (size_t)sprintf(in + n, "\r\ncontent-length: 2\r\n\r\n{}");
	rig_send(&r, p, in, n);
	rig_read(&r, c, out, &eof);
	expect_status(out, "502");
	close(c);
}

static void
an_answer_that_may_have_no_body_is_not_framed_as_one(void **state)
{
	bool eof;
	int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 204 None\r\ncontent-type: text/event-stream\r\n\r\n");
	rig_send(&r, p, in, n);
	rig_read(&r, c, out, &eof);
	expect_status(out, "502");
	close(c);
}

static void
bytes_that_a_kept_connection_holds_are_nobodys_answer(void **state)
{
	bool eof;
	int c = send_chat(hi, ""), p = rig_provider(&r, 0);
	rig_send(&r, p, in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	size_t n = rig_request(&r, hi, "", in);
	/* In the same turn: first the next request, then what the provider sends unasked. */
	send(c, in, n, 0);
	n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nstale");
	send(p, in, n, 0);
	rig_turn(&r);
	assert_int_equal(r.dials, 2);
	rig_send(&r, rig_provider(&r, 1), in, plain_answer(in));
	n = rig_read(&r, c, out, &eof);
	assert_null(strstr(out, "stale"));
	assert_string_equal(out + n - strlen(PLAIN_BODY), PLAIN_BODY);
	close(c);
}

static void
a_connection_given_back_in_this_turn_serves_the_next_request(void **state)
{
	bool eof;
	int c = send_chat(hi, ""), other = rig_client(&r), p = rig_provider(&r, 0);
	/* First the answer, then, while it is being passed on, another client. */
	size_t n = plain_answer(in);
	send(p, in, n, 0);
	n = rig_request(&r, hi, "", in);
	send(other, in, n, 0);
	rig_turn(&r);
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	rig_read(&r, other, out, &eof);
	expect_status(out, "200");
	assert_int_equal(r.dials, 1);
	close(c);
	close(other);
}

static void
an_answer_of_given_length_gets_no_error_event_behind_it(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.0\r\nconnection: keep-alive\r\nx-api-key: %s\r\ncontent-length: %zu\r\n\r\n%s",
		r.key, strlen("{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}"),
		"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}");
	rig_send(&r, c, in, n);
	n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 1000\r\n\r\n" SHOWN);
	int p = rig_provider(&r, 0);
	rig_send(&r, p, in, n);
	shutdown(p, SHUT_RDWR);
	n = rig_read(&r, c, out, &eof);
	assert_string_equal(out + n - strlen(SHOWN), SHOWN);
	assert_true(eof);
	close(c);
}

/* What the provider says of our account in the middle of an answer is no more the customer's than an error status. */
static void
an_error_inside_an_answer_does_not_tell_of_our_account(void **state)
{
	static const char error[] = "data: {\"error\":{\"message\":\"You exceeded your current quota, org-XYZ\",\"code\":\"insufficient_quota\"}}\n\n";
	bool eof, whole;
	for (int with_content = 0; with_content < 2; with_content++) {
		r.dials = 0;
		int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
		size_t n = (size_t)sprintf(in, STREAM_HEAD);
		if (with_content) {
			n += chunk(in + n, EVENT);
			rig_send(&r, p, in, n);
			n = 0;
		}
		n += chunk(in + n, error);
		rig_send(&r, p, in, n);
		n = rig_read(&r, c, out, &eof);
		assert_null(strstr(out, "org-"));
		expect_status(out, with_content ? "200" : "503");
		if (with_content) {
			unchunk(out, n, in, &whole);
			assert_true(whole);
			assert_int_equal(count(in, "\"code\":\"upstream_cut\""), 1);
		}
		close(c);
		rig_turn(&r);
		close(p);
	}
	r.dials = 0;
	rig_book(&r);
	rig_check_books(&r);
	assert_true(rig_balance(&r) < 1000000000);
}

/* ---- clients that go ---- */

static void
a_client_that_leaves_with_its_last_byte_is_noticed(void **state)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	send(c, in, n, 0);
	close(c);
	rig_turn(&r);
	assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000); /* the provider was not asked yet */
}

static void
a_drained_answer_is_read_to_its_end_when_a_slow_client_goes(void **state)
{
	bool eof;
	int small = 1, c = send_chat(drained_stream, ""), p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	setsockopt(r.edge->clients->conn.watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	for (int i = 0; i < 300; i++)
		n += chunk(in + n, EVENT);
	rig_send(&r, p, in, n);
	n = chunk(in, EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_int_equal(send(p, in, n, 0), n);
	rig_turn(&r);
	assert_non_null(r.edge->clients->conn.out.at); /* it is slow indeed */
	close(c);
	rig_turn(&r);
	assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - COST);
}

static void
nobodys_request_is_not_sent_again(void **state)
{
	bool eof;
	int c = send_chat(drained_stream, ""), p = rig_provider(&r, 0);
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	n += chunk(in + n, EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	rig_send(&r, p, in, n);
	rig_read(&r, c, out, &eof);
	n = rig_request(&r, drained_stream, "", in);
	rig_send(&r, c, in, n);
	assert_int_equal(r.dials, 1);
	close(c);
	rig_turn(&r);
	shutdown(p, SHUT_RDWR);
	rig_turn(&r);
	assert_int_equal(r.dials, 1);
	assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - COST);
}

/* ---- money ---- */

static void
an_uncapped_stream_that_comes_at_once_is_paid_as_reported(void **state)
{
	bool eof;
	int c = send_chat(drained_stream, "");
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	n += chunk(in + n, EVENT "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":50000,\"total_tokens\":50010}}\n\n" EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	rig_send(&r, rig_provider(&r, 0), in, n);
	rig_read(&r, c, out, &eof);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - 10 * 1000 - 50000 * 2000);
	close(c);
}

static void
the_hold_of_a_fast_stream_follows_what_was_counted(void **state)
{
	static char words[60001];
	bool eof;
	int c = send_chat(drained_stream, ""), p = rig_provider(&r, 0);
	memset(words, 'w', 60000);
	rig_send(&r, p, in, (size_t)sprintf(in, STREAM_HEAD));
	size_t n = (size_t)sprintf(out, "data: {\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}\n\n", words);
	for (int i = 0; i < 4; i++)
		rig_send(&r, p, in, chunk(in, out));
	shutdown(p, SHUT_RDWR);
	rig_read(&r, c, out, &eof);
	assert_true(n > 60000);
	rig_book(&r);
	rig_check_books(&r);
	/* 4 × 60,000 bytes at 4 a token, $2/M, and the little prompt; an even smaller hold would have cut the price */
	assert_true(rig_balance(&r) <= 1000000000 - 60000 * 2000);
	close(c);
}

/* ---- secrets ---- */

static bool
all_zero(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i])
			return false;
	return true;
}

static void
nothing_is_left_in_the_scratch_after_a_turn(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	for (int part = 0; part < 4; part++) {
		send(c, in + n * (size_t)part / 4, n * (size_t)(part + 1) / 4 - n * (size_t)part / 4, 0);
		rig_turn(&r);
		assert_true(all_zero(r.edge->in, CARRY_MAX + READ_BYTES));
		assert_true(all_zero(r.edge->head_out, HEAD_OUT_BYTES));
	}
	assert_int_equal(r.dials, 1);
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	assert_true(all_zero(r.edge->in, CARRY_MAX + READ_BYTES));
	assert_true(all_zero(r.edge->head_out, HEAD_OUT_BYTES));
	c = rig_client(&r);
	send(c, "GET /hea", 8, 0);
	rig_turn(&r);
	close(c);
	rig_turn(&r);
	assert_true(all_zero(r.edge->in, CARRY_MAX + READ_BYTES));
}

/* ---- neighbours ---- */

static int
descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
neighbours_that_are_started_anew_cost_no_descriptor(void **state)
{
	static const enum message_end roles[] = {END_OF_DIALER, END_OF_LEDGER, END_OF_SCRIBE};
	bool eof;
	int before = descriptors();
	for (int i = 0; i < 9; i++) {
		rig_renew(&r, roles[i % 3]);
		rig_turn(&r);
	}
	assert_int_equal(descriptors(), before);
	int c = send_chat(hi, "");
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	close(c);
}

static void
who_waits_for_a_connection_asks_the_new_dialer(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "", in);
	send(c, in, n, 0);
	loop_turn(&r.edge->loop, 0); /* the question is on its way to the old one */
	rig_renew(&r, END_OF_DIALER);
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	assert_int_equal(r.dials, 1);
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	close(c);
}

/* ---- limits ---- */

static void
a_full_edge_does_not_spin_on_who_waits_outside(void **state)
{
	bool eof;
	struct epoll_event e;
	r.process.limits.connections = 3;
	int a = rig_connect(&r), b = rig_connect(&r), c = rig_connect(&r);
	rig_turn(&r);
	assert_int_equal(atomic_load(&r.counters.connections_open), 2);
	assert_int_equal(epoll_wait(r.edge->loop.epoll_fd, &e, 1, 0), 0);
	close(a);
	rig_turn(&r);
	rig_send(&r, c, HEALTH, strlen(HEALTH));
	rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	close(b);
	close(c);
}

/* ---- no memory ---- */

/* First there is none for the meter, then none for the half event that has to wait. */
static void
an_answer_that_finds_no_memory_is_a_503(void **state)
{
	bool eof;
	for (int round = 0; round < 2; round++) {
		r.dials = 0;
		int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
		rig_hoard(&r, VAULT_BLOCK_MAX, VAULT_BLOCK_MIN);
		if (round)
			rig_give_back(&r, vault_block_bytes(sizeof(struct meter)), 1);
		size_t n = (size_t)sprintf(in, STREAM_HEAD "8000\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"");
		memset(in + n, 'x', 20000); /* more than the request gives back */
		send(p, in, n + 20000, 0);
		rig_turn(&r);
		rig_give_back(&r, 0, 1);
		rig_read(&r, c, out, &eof);
		expect_status(out, "503");
		assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
		assert_int_equal(atomic_load(&r.counters.streams_open), 0);
		close(c);
		close(p);
		rig_turn(&r);
	}
	r.dials = 0;
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
}

/* ---- durability: strict ---- */

static void
what_is_kept_back_is_not_followed_by_an_error(void **state)
{
	bool eof;
	int c = send_chat(hi_stream, "");
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	n += chunk(in + n, EVENT EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	rig_send(&r, rig_provider(&r, 0), in, n);
	rig_tell(&r, MESSAGE_STOP);
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	assert_true(eof);
	rig_book(&r);
	rig_check_books(&r);
	close(c);
}

static void
a_large_last_read_is_acknowledged_only_when_booked(void **state)
{
	bool eof, whole;
	int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0), all = 400000;
	setsockopt(p, SOL_SOCKET, SO_SNDBUF, &all, sizeof all);
	static const char front[] = "data: {\"choices\":[{\"delta\":{\"content\":\"", back[] = "\"}}]}\n\n";
	size_t n = (size_t)sprintf(in, STREAM_HEAD "%zx\r\n%s", strlen(front) + 60000 + strlen(back), front);
	rig_send(&r, p, in, n); /* the head, and the beginning of an event that waits in the carry */
	memset(in, 'x', 60000);
	n = 60000;
	rig_send(&r, p, in, n);
	n = (size_t)sprintf(in, "%s\r\n", back);
	for (int i = 0; i < 430; i++)
		n += chunk(in + n, SHOWN);
	n += chunk(in + n, EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	assert_true(n < READ_BYTES);
	assert_int_equal(send(p, in, n, 0), n);
	rig_turn(&r);
	n = rig_read(&r, c, out, &eof);
	assert_null(memmem(out, n, "[DONE]", 6));
	rig_book(&r);
	rig_pass(&r, 20);
	n += rig_read(&r, c, out + n, &eof);
	static char data[RIG_OUT_MAX];
	unchunk(out, n, data, &whole);
	assert_true(whole);
	assert_int_equal(count(data, SHOWN), 430);
	assert_int_equal(count(data, EVENT_DONE), 1);
	close(c);
}

static void
an_answer_s_cost_is_stated_before_its_last_bytes_are_sent(void **state)
{
	if (r.tls) /* OpenSSL does the sending */
		skip();
	int c = send_chat(hi, "");
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	assert_int_equal(stated, COST);
	c = send_chat(hi_stream, "");
	size_t n = (size_t)sprintf(in, STREAM_HEAD);
	n += chunk(in + n, EVENT);
	n += chunk(in + n, EVENT_USAGE EVENT_DONE);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	stated = -1;
	rig_send(&r, rig_provider(&r, 0), in, n); /* the kept connection */
	assert_int_equal(stated, COST);
	close(c);
	rig_check_books(&r);
}

#define CASE(f, setup) cmocka_unit_test_setup_teardown(f, setup, closed)

int
main(void)
{
	const char *only = getenv("LETHE_TEST");
	if (only)
		cmocka_set_test_filter(only);
	const struct CMUnitTest tests[] = {
		CASE(pipelined_requests_beyond_any_buffer_are_all_answered, with_dollar),
		CASE(a_head_may_not_be_larger_than_the_scratch_whatever_is_configured, with_dollar),
		CASE(a_client_that_leaves_in_the_middle_of_its_head_is_let_go_at_once, with_dollar),
		CASE(a_pipelined_head_has_no_more_time_than_any_other, with_dollar),
		CASE(a_body_that_comes_too_late_is_never_read_as_a_request, with_dollar),
		CASE(a_body_that_found_no_memory_is_never_read_as_a_request, with_dollar),
		CASE(who_waits_for_memory_goes_on_when_the_one_in_front_has_left, with_dollar),
		CASE(who_waited_for_memory_is_told_to_continue, with_dollar),
		CASE(a_body_that_fits_what_is_mapped_does_not_wait, with_dollar),
		CASE(a_cap_of_null_does_not_undo_ours, with_dollar),
		CASE(a_burst_of_events_reaches_the_client_whole, with_dollar),
		CASE(header_lines_of_an_error_may_be_as_long_as_a_provider_likes, with_dollar),
		CASE(an_answer_that_may_have_no_body_is_not_framed_as_one, with_dollar),
		CASE(bytes_that_a_kept_connection_holds_are_nobodys_answer, with_dollar),
		CASE(a_connection_given_back_in_this_turn_serves_the_next_request, with_dollar),
		CASE(an_answer_of_given_length_gets_no_error_event_behind_it, with_dollar),
		CASE(an_error_inside_an_answer_does_not_tell_of_our_account, with_dollar),
		CASE(a_client_that_leaves_with_its_last_byte_is_noticed, with_dollar),
		CASE(a_drained_answer_is_read_to_its_end_when_a_slow_client_goes, with_dollar),
		CASE(nobodys_request_is_not_sent_again, with_dollar),
		CASE(nothing_is_left_in_the_scratch_after_a_turn, with_dollar),
		CASE(neighbours_that_are_started_anew_cost_no_descriptor, with_dollar),
		CASE(who_waits_for_a_connection_asks_the_new_dialer, with_dollar),
		CASE(a_full_edge_does_not_spin_on_who_waits_outside, with_dollar),
		CASE(an_answer_that_finds_no_memory_is_a_503, with_dollar),
		CASE(what_is_kept_back_is_not_followed_by_an_error, strict),
		CASE(a_large_last_read_is_acknowledged_only_when_booked, strict),
		CASE(an_uncapped_stream_that_comes_at_once_is_paid_as_reported, with_dollar),
		CASE(an_answer_s_cost_is_stated_before_its_last_bytes_are_sent, with_dollar),
		CASE(the_hold_of_a_fast_stream_follows_what_was_counted, with_dollar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
