/* The pipeline as a whole, in one thread: what clients and providers see, and that the books are right after it. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define PLAIN_BODY "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]," \
				   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define EVENT_1 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n"
#define EVENT_2 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, friend\"},\"finish_reason\":null}],\"usage\":null}\n\n"
#define EVENT_3 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
#define EVENT_USAGE "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n"
#define EVENT_DONE "data: [DONE]\n\n"
#define SHOWN_1 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
#define SHOWN_2 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, friend\"},\"finish_reason\":null}]}\n\n"
#define SHOWN_3 "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"

/* 10 × $1/M + 5 × $2/M = 20 µ$ = 20,000 nano */
enum { COST = 20000 };

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
with_dollar(void **state)
{
	rig_open(&r, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
with_nothing(void **state)
{
	rig_open(&r, "0", DURABILITY_BATCHED);
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
	return (size_t)sprintf(to, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\nopenai-organization: org-1\r\n"
							   "content-length: %zu\r\n\r\n" PLAIN_BODY,
		strlen(PLAIN_BODY));
}

static size_t
chunk(char *to, const char *data)
{
	return (size_t)sprintf(to, "%zx\r\n%s\r\n", strlen(data), data);
}

static size_t
stream_answer(char *to)
{
	size_t n = (size_t)sprintf(to, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
	static const char *const events[] = {EVENT_1, EVENT_2, EVENT_3, EVENT_USAGE, EVENT_DONE};
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		n += chunk(to + n, events[i]);
	return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

/* The data of a chunked message behind its head; *ret_whole: the last chunk came. */
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
		if (result == HTTP1_DONE)
			*ret_whole = true;
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

static void
books_after(int64_t spent, long tickets)
{
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - spent);
	assert_int_equal(rig_tickets(&r), tickets);
}

static void
a_plain_answer_is_forwarded_and_paid(void **state)
{
	bool eof;
	int c = send_chat(hi, "");
	int p = rig_provider(&r, 0);
	size_t n = rig_read(&r, p, out, &eof);
	assert_non_null(strstr(out, "POST /v1/chat/completions HTTP/1.1\r\n"));
	assert_non_null(strstr(out, "authorization: Bearer sk-rig-0123456789abcdefg\r\n"));
	assert_null(strstr(out, r.key));
	assert_true(n > strlen(hi));
	rig_send(&r, p, in, plain_answer(in));
	n = rig_read(&r, c, out, &eof);
	assert_false(eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_string_equal(out + n - strlen(PLAIN_BODY), PLAIN_BODY);
	assert_null(strstr(out, "cookie"));
	assert_null(strstr(out, "org-1"));
	assert_non_null(strstr(out, "x-request-id: req_"));
	books_after(COST, 1);
	close(c);
}

static void
an_uncapped_plain_request_is_sent_with_a_cap_when_money_is_short(void **state)
{
	bool eof;
	int c = send_chat("{\"model\":\"alias-model\",\"messages\":[]}", "");
	rig_read(&r, rig_provider(&r, 0), out, &eof);
	const char *body = strstr(out, "\r\n\r\n") + 4;
	unsigned cap = 0;
	assert_int_equal(sscanf(body, "{\"max_completion_tokens\":%u,\"model\":\"upstream-model\",\"messages\":[]}", &cap), 1);
	assert_true(cap > 100 && cap < 1700);
	rig_send(&r, r.provider[0], in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "lethe-capped: "));
	close(c);
}

static void
a_stream_hides_what_was_injected(void **state)
{
	bool eof, whole;
	int c = send_chat(hi_stream, "");
	int p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	assert_non_null(strstr(out, "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true,"));
	rig_send(&r, p, in, stream_answer(in));
	size_t n = rig_read(&r, c, out, &eof);
	n = unchunk(out, n, in, &whole);
	assert_true(whole);
	assert_string_equal(in, SHOWN_1 SHOWN_2 SHOWN_3 EVENT_DONE);
	books_after(COST, 1);
	close(c);
}

static void
any_split_of_the_answer_gives_the_same_bytes_and_the_same_ticket(void **state)
{
	static char answer[8192];
	size_t len = stream_answer(answer);
	bool eof, whole;
	for (size_t cut = 1; cut < len; cut++) {
		int c = send_chat(hi_stream, "");
		int p = rig_provider(&r, 0); /* one connection, kept */
		assert_int_equal(r.dials, 1);
		rig_read(&r, p, out, &eof);
		rig_send(&r, p, answer, cut);
		rig_send(&r, p, answer + cut, len - cut);
		size_t n = rig_read(&r, c, out, &eof);
		unchunk(out, n, in, &whole);
		assert_true(whole);
		assert_string_equal(in, SHOWN_1 SHOWN_2 SHOWN_3 EVENT_DONE);
		close(c);
		rig_book(&r);
	}
	books_after((int64_t)COST * (int64_t)(len - 1), (long)len - 1);
}

static void
a_provider_may_cut_at_any_byte(void **state)
{
	static char answer[8192];
	size_t len = stream_answer(answer);
	bool eof, whole;
	int64_t before = rig_balance(&r);
	for (size_t cut = 0; cut < len; cut++) {
		r.dials = 0;
		int c = send_chat(hi_stream, "");
		int p = rig_provider(&r, 0);
		assert_true(p >= 0);
		rig_read(&r, p, out, &eof);
		rig_send(&r, p, answer, cut);
		close(p);
		size_t n = rig_read(&r, c, out, &eof);
		assert_true(n > 0);
		if (!memcmp(out, "HTTP/1.1 200", 12)) {
			n = unchunk(out, n, in, &whole);
			assert_true(whole);
			assert_non_null(strstr(in, strstr(in, "[DONE]") ? "[DONE]" : "\"code\":\"upstream_cut\""));
		} else
			assert_int_equal(memcmp(out, "HTTP/1.1 502", 12), 0);
		close(c);
		rig_turn(&r);
		rig_book(&r);
		int64_t now = rig_balance(&r);
		assert_in_range(before - now, 0, COST + 10000);
		before = now;
		assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
	}
	r.dials = 0;
	rig_check_books(&r);
	assert_int_equal(rig_tickets(&r), len);
}

static void
a_client_may_go_at_any_byte_of_its_request(void **state)
{
	static char request[4096];
	size_t len = rig_request(&r, hi_stream, "", request);
	for (size_t cut = 0; cut <= len; cut++) {
		int c = rig_client(&r);
		rig_send(&r, c, request, cut);
		close(c);
		rig_turn(&r);
		assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
		assert_int_equal(atomic_load(&r.counters.connections_open), 0);
	}
	assert_true(r.dials <= 1);
	rig_book(&r);
	rig_check_books(&r);
	assert_true(rig_tickets(&r) <= 1);
}

static void
a_client_may_go_at_any_byte_of_its_answer(void **state)
{
	static char answer[8192];
	size_t len = stream_answer(answer);
	bool eof;
	for (size_t cut = 0; cut < len; cut += 3) {
		r.dials = 0;
		int c = send_chat(hi_stream, "");
		int p = rig_provider(&r, 0);
		assert_true(p >= 0);
		rig_read(&r, p, out, &eof);
		rig_send(&r, p, answer, cut);
		rig_read(&r, c, out, &eof);
		close(c);
		rig_turn(&r);
		assert_int_equal(atomic_load(&r.counters.exchanges_open), 0);
		rig_read(&r, p, out, &eof);
		assert_true(eof); /* the provider is told to stop */
		close(p);
		rig_book(&r);
	}
	r.dials = 0;
	rig_check_books(&r);
	assert_int_equal(rig_tickets(&r), (len + 2) / 3);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
	bool eof;
	size_t n = rig_request(&r, hi, "", in);
	n += (size_t)sprintf(in + n, "GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
	int c = rig_client(&r);
	rig_send(&r, c, in, n);
	int p = rig_provider(&r, 0);
	rig_send(&r, p, in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	const char *first = strstr(out, "HTTP/1.1 200 OK"), *second = strstr(out, "HTTP/1.1 404 Not Found");
	assert_true(first == out && second > first);
	assert_non_null(strstr(second, "{\"status\":\"ok\"}"));
	assert_true(eof);
	close(c);
}

static void
a_client_that_sends_head_and_body_byte_by_byte_is_served(void **state)
{
	bool eof;
	static char request[4096];
	size_t len = rig_request(&r, hi, "", request);
	int c = rig_client(&r);
	for (size_t i = 0; i < len; i++)
		rig_send(&r, c, request + i, 1);
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	size_t n = rig_read(&r, c, out, &eof);
	assert_string_equal(out + n - strlen(PLAIN_BODY), PLAIN_BODY);
	books_after(COST, 1);
	close(c);
}

static void
a_chunked_request_body_arrives_whole(void **state)
{
	bool eof;
	int c = rig_client(&r);
	size_t n = (size_t)sprintf(in, "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ntransfer-encoding: chunked\r\n\r\n", r.key);
	for (size_t i = 0; i < strlen(hi); i += 7)
		n += (size_t)sprintf(in + n, "%zx\r\n%.7s\r\n", strlen(hi + i) < 7 ? strlen(hi + i) : 7, hi + i);
	n += (size_t)sprintf(in + n, "0\r\n\r\n");
	rig_send(&r, c, in, n);
	rig_read(&r, rig_provider(&r, 0), out, &eof);
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, hi);
	close(c);
}

static void
without_money_it_is_402_with_the_amounts(void **state)
{
	bool eof;
	int c = send_chat(hi, "");
	rig_book(&r);
	rig_pass(&r, 100);
	rig_book(&r);
	rig_pass(&r, 100);
	rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 402 ", 13), 0);
	assert_non_null(strstr(out, "\"needed\":\"0.0"));
	assert_non_null(strstr(out, "\"available\":\"0.00\""));
	assert_int_equal(r.dials, 0);
	close(c);
}

static void
a_silent_provider_is_a_504_after_the_first_byte_time_out(void **state)
{
	bool eof;
	int c = send_chat(hi, "");
	assert_true(rig_provider(&r, 0) >= 0);
	rig_pass(&r, 599000);
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	rig_pass(&r, 2000);
	rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 504 ", 13), 0);
	books_after(0, 1);
	close(c);
}

static void
a_stalled_stream_ends_with_an_error_event(void **state)
{
	bool eof, whole;
	int c = send_chat(hi_stream, "");
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
	n += chunk(in + n, EVENT_2);
	rig_send(&r, rig_provider(&r, 0), in, n);
	rig_pass(&r, 61000);
	n = rig_read(&r, c, out, &eof);
	unchunk(out, n, in, &whole);
	assert_true(whole);
	assert_non_null(strstr(in, "\"code\":\"upstream_timeout\""));
	rig_book(&r);
	rig_check_books(&r);
	assert_true(rig_balance(&r) < 1000000000);
	close(c);
}

static void
a_slow_head_is_a_408(void **state)
{
	bool eof;
	int c = rig_client(&r);
	rig_send(&r, c, "POST /v1", 8);
	rig_pass(&r, 11000);
	rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 408 ", 13), 0);
	close(c);
}

static void
a_closed_kept_connection_is_tried_again_once(void **state)
{
	bool eof;
	int c = send_chat(hi, "");
	rig_send(&r, rig_provider(&r, 0), in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	size_t n = rig_request(&r, hi, "", in);
	/* The provider closes at the same instant as the next request goes out. */
	send(c, in, n, 0);
	shutdown(r.provider[0], SHUT_RDWR);
	rig_turn(&r);
	int p = rig_provider(&r, 1);
	assert_true(p >= 0);
	rig_read(&r, p, out, &eof);
	assert_string_equal(strstr(out, "\r\n\r\n") + 4, hi);
	rig_send(&r, p, in, plain_answer(in));
	rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 200 ", 13), 0);
	books_after(2 * COST, 2);
	close(c);
}

static void
a_providers_error_about_our_account_is_a_503_without_its_text(void **state)
{
	bool eof;
	static const char text[] = "{\"error\":{\"message\":\"Incorrect API key provided: sk-rig-0123****cdefg. org-XYZ\"}}";
	static const int statuses[] = {401, 403, 429};
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		r.dials = 0;
		int c = send_chat(hi, "");
		int p = rig_provider(&r, 0);
		size_t n = (size_t)sprintf(in, "HTTP/1.1 %d No\r\ncontent-type: application/json\r\nretry-after: 7\r\ncontent-length: %zu\r\n\r\n%s",
			statuses[i], strlen(text), text);
		rig_send(&r, p, in, n);
		rig_read(&r, c, out, &eof);
		assert_int_equal(memcmp(out, statuses[i] == 429 ? "HTTP/1.1 429 " : "HTTP/1.1 503 ", 13), 0);
		assert_null(strstr(out, "sk-"));
		assert_null(strstr(out, "org-"));
		assert_true(statuses[i] != 429 || strstr(out, "retry-after: 7\r\n"));
		close(c);
		shutdown(p, SHUT_RDWR);
		rig_turn(&r);
		close(p);
	}
	r.dials = 0;
	books_after(0, 3);
}

static void
a_providers_ordinary_error_passes(void **state)
{
	bool eof;
	static const char text[] = "{\"error\":{\"message\":\"Unsupported parameter: 'x'.\",\"type\":\"invalid_request_error\",\"param\":\"x\",\"code\":null}}";
	int c = send_chat(hi, "");
	size_t n = (size_t)sprintf(in, "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(text), text);
	rig_send(&r, rig_provider(&r, 0), in, n);
	n = rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 400 ", 13), 0);
	assert_string_equal(out + n - strlen(text), text);
	books_after(0, 1);
	close(c);
}

static void
strict_keeps_the_last_bytes_until_the_ticket_is_on_disk(void **state)
{
	bool eof, whole;
	int c = send_chat(hi_stream, "");
	rig_send(&r, rig_provider(&r, 0), in, stream_answer(in));
	assert_int_equal(rig_read(&r, c, out, &eof), 0); /* all came in one read, so all is kept back */
	rig_pass(&r, 20);
	assert_int_equal(rig_read(&r, c, out, &eof), 0);
	assert_int_equal(atomic_load(board_wanted(r.process.board)), 1);
	rig_book(&r);
	rig_pass(&r, 20);
	size_t n = rig_read(&r, c, out, &eof);
	unchunk(out, n, in, &whole);
	assert_true(whole);
	assert_string_equal(in, SHOWN_1 SHOWN_2 SHOWN_3 EVENT_DONE);
	books_after(COST, 1);
	assert_int_equal(atomic_load(board_wanted(r.process.board)), 0); /* nobody waits any more */
	close(c);
}

/* What came in many small chunks goes on in one, whose size may take more digits than any of theirs left room for. */
static void
chunks_that_come_together_go_on_as_they_were(void **state)
{
	enum { MOST = 300 };
	static char want[MOST * MOST * 2], many[MOST * 16];
	bool eof, whole;
	int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"), len = 0, got = 0;
	rig_send(&r, p, in, n);
	for (size_t count = 1; count <= MOST; count += count < 20 ? 1 : 40) {
		n = 0;
		for (size_t i = 0; i < count; i++) {
			char word[4] = {':', (char)('a' + (count + i) % 26), '\n', 0};
			n += chunk(many + n, word);
			len += (size_t)sprintf(want + len, "%s", word);
		}
		rig_send(&r, p, many, n);
		got += rig_read(&r, c, out + got, &eof);
	}
	len += (size_t)sprintf(want + len, "\n" EVENT_DONE);
	n = chunk(many, "\n" EVENT_DONE);
	n += (size_t)sprintf(many + n, "0\r\n\r\n");
	rig_send(&r, p, many, n);
	got += rig_read(&r, c, out + got, &eof);
	assert_int_equal(unchunk(out, got, in, &whole), len);
	assert_true(whole);
	assert_string_equal(in, want);
	close(c);
}

static void
a_slow_reader_stops_the_provider_and_costs_one_buffer(void **state)
{
	bool eof;
	int c = send_chat(hi_stream, ""), p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
	rig_send(&r, p, in, n);
	uint64_t sent = 0;
	int idle = 0;
	n = chunk(in, EVENT_2);
	while (idle < 3 && sent < 64 << 20) { /* whole events only */
		ssize_t w = send(p, in, n, MSG_NOSIGNAL);
		if (w == (ssize_t)n) {
			sent += n;
			idle = 0;
		} else {
			assert_true(w < 0);
			idle++;
		}
		rig_turn(&r);
	}
	assert_true(sent < 4 << 20);
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	assert_true(facts.used_bytes < 1 << 20);
	uint64_t got = 0;
	size_t k;
	while ((k = rig_read(&r, c, out, &eof)) > 0)
		got += k;
	assert_true(got * 2 > sent);
	close(c);
}

static void
one_account_can_not_use_up_the_slab(void **state)
{
	bool eof;
	int c[33];
	for (int i = 0; i < 33; i++)
		c[i] = send_chat("{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}", "");
	rig_read(&r, c[32], out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 429 ", 13), 0);
	assert_int_equal(rig_read(&r, c[31], out, &eof), 0);
	close(c[31]);
	rig_turn(&r);
	close(c[32]);
	c[32] = send_chat("{\"model\":\"m\",\"max_tokens\":5,\"messages\":[]}", "");
	assert_int_equal(rig_read(&r, c[32], out, &eof), 0);
	for (int i = 0; i < 33; i++)
		if (i != 31)
			close(c[i]);
}

static void
an_answer_that_the_provider_would_keep_is_refused(void **state)
{
	bool eof;
	int c = send_chat("{\"model\":\"m\",\"store\":true,\"messages\":[]}", "");
	rig_read(&r, c, out, &eof);
	assert_int_equal(memcmp(out, "HTTP/1.1 400 ", 13), 0);
	assert_non_null(strstr(out, "\"param\":\"store\""));
	assert_int_equal(r.dials, 0);
	close(c);
}

#define CASE(f, setup) cmocka_unit_test_setup_teardown(f, setup, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_plain_answer_is_forwarded_and_paid, with_dollar),
		CASE(an_uncapped_plain_request_is_sent_with_a_cap_when_money_is_short, with_dollar),
		CASE(a_stream_hides_what_was_injected, with_dollar),
		CASE(any_split_of_the_answer_gives_the_same_bytes_and_the_same_ticket, with_dollar),
		CASE(a_provider_may_cut_at_any_byte, with_dollar),
		CASE(a_client_may_go_at_any_byte_of_its_request, with_dollar),
		CASE(a_client_may_go_at_any_byte_of_its_answer, with_dollar),
		CASE(pipelined_requests_are_answered_in_order, with_dollar),
		CASE(a_client_that_sends_head_and_body_byte_by_byte_is_served, with_dollar),
		CASE(a_chunked_request_body_arrives_whole, with_dollar),
		CASE(without_money_it_is_402_with_the_amounts, with_nothing),
		CASE(a_silent_provider_is_a_504_after_the_first_byte_time_out, with_dollar),
		CASE(a_stalled_stream_ends_with_an_error_event, with_dollar),
		CASE(a_slow_head_is_a_408, with_dollar),
		CASE(a_closed_kept_connection_is_tried_again_once, with_dollar),
		CASE(a_providers_error_about_our_account_is_a_503_without_its_text, with_dollar),
		CASE(a_providers_ordinary_error_passes, with_dollar),
		CASE(strict_keeps_the_last_bytes_until_the_ticket_is_on_disk, strict),
		CASE(one_account_can_not_use_up_the_slab, with_dollar),
		CASE(an_answer_that_the_provider_would_keep_is_refused, with_dollar),
		CASE(chunks_that_come_together_go_on_as_they_were, with_dollar),
		CASE(a_slow_reader_stops_the_provider_and_costs_one_buffer, with_dollar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
