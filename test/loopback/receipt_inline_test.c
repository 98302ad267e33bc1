/* lethe-receipt: inline. What waits, what goes out meanwhile, and what happens when there is no receipt. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define INLINE "lethe-receipt: inline\r\n"
#define PLAIN_FRONT "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
#define PLAIN_END "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"
#define BROKEN "{\"id\":\"c\",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15},\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello"
#define EVENT "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there, friend\"},\"finish_reason\":null}]}\n\n"
#define STOP "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n"
#define DONE "data: [DONE]\n\n"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

enum { COST = 20000, /* nano */
	WORDS = 700 << 10 };

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
batched(void **state)
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

static int
ask(const char *body)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, body, INLINE, in);
	rig_send(&r, c, in, n);
	return c;
}

/* A plain answer with so many bytes of words. */
static void
say_plain(size_t words)
{
	int p = rig_provider(&r, 0);
	size_t len = sizeof PLAIN_FRONT - 1 + words + sizeof PLAIN_END - 1;
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n" PLAIN_FRONT, len);
	memset(in + n, 'x', words);
	n += words;
	n += (size_t)sprintf(in + n, PLAIN_END);
	rig_send(&r, p, in, n);
}

static void
say(const char *text)
{
	rig_send(&r, rig_provider(&r, 0), text, strlen(text));
}

/* What has come; in pieces, as long as more does. */
static size_t
gets(int c)
{
	bool eof;
	size_t n = 0, more;
	static char piece[RIG_OUT_MAX];
	do {
		rig_turn(&r);
		more = rig_read(&r, c, piece, &eof);
		assert_true(n + more < sizeof out);
		memcpy(out + n, piece, more);
		n += more;
	} while (more > 0);
	out[n] = '\0';
	return n;
}

static void
book(void)
{
	rig_book(&r);
	rig_pass(&r, 20);
	rig_pass(&r, 20);
}

static void
books_after(int64_t cost)
{
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - cost);
	assert_int_equal(rig_tickets(&r), 1);
	rig_check_books(&r);
}

static bool
has_receipt(const char *front)
{
	const char *at = strstr(out, front), *dot = at ? strchr(at, '.') : NULL;
	return dot && strncmp(dot + 33, ".eyJ", 4) == 0;
}

static void
a_plain_answer_waits_for_its_receipt(void **state)
{
	int c = ask(hi);
	say_plain(6);
	assert_int_equal(gets(c), 0);
	rig_pass(&r, 100);
	assert_int_equal(gets(c), 0);
	book();
	size_t n = gets(c);
	assert_true(has_receipt("\r\nlethe-receipt: req_"));
	assert_null(strstr(out, "lethe-receipt-inline"));
	assert_string_equal(out + n - (sizeof PLAIN_END - 1), PLAIN_END);
	books_after(COST);
	close(c);
}

static void
an_answer_that_the_socket_does_not_take_at_once_arrives_whole(void **state)
{
	int c = ask(hi);
	say_plain(WORDS);
	for (int i = 0; i < 50; i++) /* memory is mapped meanwhile */
		rig_pass(&r, 20);
	book();
	gets(c);
	assert_true(has_receipt("\r\nlethe-receipt: req_"));
	const char *body = strstr(out, "\r\n\r\n") + 4;
	assert_int_equal(strlen(body), sizeof PLAIN_FRONT - 1 + WORDS + sizeof PLAIN_END - 1);
	assert_int_equal(strspn(body + sizeof PLAIN_FRONT - 1, "x"), WORDS);
	books_after(COST);
	close(c);
}

static void
a_stream_passes_and_its_end_waits(void **state)
{
	int c = ask(hi_stream);
	say(STREAM_HEAD EVENT);
	gets(c);
	assert_non_null(strstr(out, "Hello there, friend"));
	say(STOP USAGE DONE);
	shutdown(rig_provider(&r, 0), SHUT_WR);
	gets(c);
	assert_non_null(strstr(out, DONE));
	assert_null(strstr(out, "lethe-receipt"));
	assert_null(strstr(out, "\r\n0\r\n"));
	book();
	gets(c);
	assert_true(has_receipt(": lethe-receipt req_"));
	assert_non_null(strstr(out, "\n\n\r\n0\r\n\r\n"));
	books_after(COST);
	close(c);
}

/* The ledger answers nobody: what is paid is given all the same. */
static void
an_answer_goes_without_when_no_receipt_comes(void **state)
{
	for (int stream = 0; stream < 2; stream++) {
		if (stream) {
			closed(state);
			batched(state);
		}
		int c = ask(stream ? hi_stream : hi);
		r.deaf = true;
		if (stream)
			say(STREAM_HEAD EVENT STOP USAGE DONE);
		else
			say_plain(6);
		shutdown(rig_provider(&r, 0), SHUT_WR);
		book();
		gets(c);
		assert_null(strstr(out, stream ? ": lethe-receipt" : "HTTP/1.1"));
		rig_pass(&r, 5100);
		gets(c);
		assert_non_null(strstr(out, stream ? "\n: lethe-receipt-inline late\n\n" : "\r\nlethe-receipt-inline: late\r\n"));
		assert_false(has_receipt(stream ? ": lethe-receipt req_" : "lethe-receipt: req_"));
		assert_non_null(strstr(out, stream ? "0\r\n\r\n" : PLAIN_END));
		r.deaf = false;
		books_after(COST);
		close(c);
	}
}

static void
another_ledger_is_asked_again(void **state)
{
	int c = ask(hi);
	r.deaf = true;
	say_plain(6);
	book();
	assert_int_equal(gets(c), 0);
	rig_renew(&r, END_OF_LEDGER);
	r.deaf = false;
	rig_pass(&r, 20);
	rig_pass(&r, 20);
	gets(c);
	assert_true(has_receipt("\r\nlethe-receipt: req_"));
	books_after(COST);
	close(c);
}

static void
a_client_that_goes_while_it_waits_has_paid(void **state)
{
	int c = ask(hi);
	say_plain(6);
	assert_int_equal(gets(c), 0);
	close(c);
	rig_turn(&r);
	book();
	assert_null(r.edge->exchanges);
	books_after(COST);
}

/* What is charged is what was told, as far as it came: the same as without the header. */
static void
an_answer_that_breaks_off_costs_and_says_what_it_does_without(void **state)
{
	int64_t left[2];
	for (int inlined = 0; inlined < 2; inlined++) {
		if (inlined) {
			closed(state);
			batched(state);
		}
		int c = rig_client(&r);
		size_t n = rig_request(&r, hi, inlined ? INLINE : "", in);
		rig_send(&r, c, in, n);
		int p = rig_provider(&r, 0);
		n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" BROKEN);
		rig_send(&r, p, in, n);
		close(p);
		r.provider[0] = -1;
		n = gets(c);
		assert_int_equal(n == 0, inlined);
		if (inlined) {
			book();
			n = gets(c);
		}
		assert_memory_equal(out, "HTTP/1.1 200 ", 13);
		assert_non_null(strstr(out, "content-length: 500\r\n"));
		assert_string_equal(strstr(out, "\r\n\r\n") + 4, BROKEN);
		assert_int_equal(has_receipt("\r\nlethe-receipt: req_"), inlined);
		bool eof;
		rig_turn(&r);
		assert_int_equal(rig_read(&r, c, in, &eof), 0);
		assert_true(eof);
		rig_book(&r);
		left[inlined] = rig_balance(&r);
		assert_int_equal(rig_tickets(&r), 1);
		rig_check_books(&r);
		close(c);
	}
	assert_true(left[0] < 1000000000);
	assert_int_equal(left[0], left[1]);
}

/* It lies in memory for as long as its size allows, and no longer. */
static void
who_takes_what_was_kept_byte_by_byte_is_cut(void **state)
{
	int c = ask(hi);
	say_plain(WORDS);
	for (int i = 0; i < 50; i++)
		rig_pass(&r, 20);
	book();
	rig_turn(&r);
	assert_non_null(r.edge->exchanges);
	assert_true(r.edge->exchanges->deadline_ms <= r.edge->loop.now_ms + 30000 + 2 * WORDS / 16);
	char some[16 << 10];
	for (int i = 0; i < 5 && r.edge->exchanges; i++) {
		rig_pass(&r, 20000);
		(void)!recv(c, some, sizeof some, MSG_DONTWAIT);
		rig_turn(&r);
	}
	assert_null(r.edge->exchanges);
	books_after(COST);
	close(c);
}

static void
who_goes_in_the_middle_of_what_was_kept_is_gone(void **state)
{
	int c = ask(hi);
	say_plain(WORDS);
	for (int i = 0; i < 50; i++)
		rig_pass(&r, 20);
	book();
	rig_turn(&r);
	assert_non_null(r.edge->exchanges);
	(void)!recv(c, out, 100 << 10, MSG_DONTWAIT);
	close(c);
	rig_turn(&r);
	assert_null(r.edge->exchanges);
	rig_pass(&r, 80000);
	assert_null(r.edge->clients);
	books_after(COST);
}

/* The last of it is held back until it is booked: what comes before that may not wait for memory meanwhile. */
static void
the_end_of_an_answer_may_come_before_memory(void **state)
{
	for (size_t words = 40 << 10; words < 300 << 10; words += 12 << 10) {
		if (words > 40 << 10) {
			closed(state);
			strict(state);
		}
		int c = ask(hi);
		say_plain(words);
		for (int i = 0; i < 50; i++)
			rig_pass(&r, 20);
		book();
		gets(c);
		assert_string_equal(out + strlen(out) - (sizeof PLAIN_END - 1), PLAIN_END);
		books_after(COST);
		close(c);
	}
}

static void
another_word_is_refused_before_anything_is_asked(void **state)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, hi, "lethe-receipt: later\r\n", in);
	rig_send(&r, c, in, n);
	gets(c);
	assert_memory_equal(out, "HTTP/1.1 400 ", 13);
	assert_non_null(strstr(out, "lethe-receipt is `inline`"));
	assert_int_equal(rig_provider(&r, 0), -1);
	close(c);
}

#define CASE(name, open) cmocka_unit_test_setup_teardown(name, open, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_plain_answer_waits_for_its_receipt, batched),
		CASE(a_plain_answer_waits_for_its_receipt, strict),
		CASE(an_answer_that_the_socket_does_not_take_at_once_arrives_whole, batched),
		CASE(an_answer_that_the_socket_does_not_take_at_once_arrives_whole, strict),
		CASE(a_stream_passes_and_its_end_waits, batched),
		CASE(an_answer_goes_without_when_no_receipt_comes, batched),
		CASE(another_ledger_is_asked_again, batched),
		CASE(a_client_that_goes_while_it_waits_has_paid, batched),
		CASE(a_client_that_goes_while_it_waits_has_paid, strict),
		CASE(an_answer_that_breaks_off_costs_and_says_what_it_does_without, batched),
		CASE(who_takes_what_was_kept_byte_by_byte_is_cut, batched),
		CASE(who_goes_in_the_middle_of_what_was_kept_is_gone, batched),
		CASE(who_goes_in_the_middle_of_what_was_kept_is_gone, strict),
		CASE(the_end_of_an_answer_may_come_before_memory, strict),
		CASE(another_word_is_refused_before_anything_is_asked, batched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
