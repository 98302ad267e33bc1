/* Requests that go up in another language than they came in, byte by byte and under a clock of our own; in clear text and with TLS on both sides. */
#include "edge/edge_priv.h"
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: words, url: http://127.0.0.1:9/v1, dialect: anthropic, keys: [{env: RIG_KEY}]}\n"
	"  - {name: patient, url: http://127.0.0.1:9/v1, dialect: anthropic, keys: [{env: RIG_KEY}], on_client_gone: drain}\n"
	"models:\n"
	"  - {id: c, upstream: claude-up, provider: words, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: d, upstream: claude-up, provider: patient, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

#define HI(more) "{\"model\":\"c\"" more ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
static const char hi[] = HI(""), hi_stream[] = HI(",\"stream\":true");
#define HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nanthropic-organization-id: org-1\r\n\r\n"
#define START "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-up\"," \
			  "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n" \
			  "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define DELTA(text) "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}\n\n"
#define STOP "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" \
			 "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n" \
			 "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
enum { PRICE = 10 * 1000 + 5 * 2000 }; /* nano-dollars of what STOP reports */
static const char plain[] = "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-up\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}],"
							"\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}";

static int
opened(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
strict(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_STRICT);
	return 0;
}

static int
closed(void **state)
{
	rig_close(&r);
	return 0;
}

static int
ask(const char *body, const char *headers)
{
	int c = rig_client(&r);
	rig_send(&r, c, in, rig_request(&r, body, headers, in));
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

static size_t
chunk(char *to, const char *bytes)
{
	return (size_t)sprintf(to, "%zx\r\n%s\r\n", strlen(bytes), bytes);
}

static void
say(int provider, const char *bytes)
{
	char room[8192];
	rig_send(&r, provider, room, chunk(room, bytes));
}

static void
say_plain(int provider, const char *body)
{
	char room[2048];
	rig_send(&r, provider, room, (size_t)sprintf(room, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(body), body));
}

static void
a_plain_answer_comes_back_in_the_callers_words(void **state)
{
	bool eof;
	int c = ask(hi, ""), p = rig_provider(&r, 0);
	rig_read(&r, p, out, &eof);
	assert_non_null(strstr(out, "POST /v1/messages HTTP/1.1\r\n"));
	assert_non_null(strstr(out, "x-api-key: "));
	assert_non_null(strstr(out, "anthropic-version: "));
	assert_null(strstr(out, "authorization"));
	assert_non_null(strstr(out, "\"model\":\"claude-up\""));
	assert_non_null(strstr(out, "\"max_tokens\":"));
	say_plain(p, plain);
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "HTTP/1.1 200 "));
	assert_non_null(strstr(out, "content-type: application/json\r\n"));
	assert_non_null(strstr(out, "\"chat.completion\""));
	assert_non_null(strstr(out, "\"Hello\""));
	assert_null(strstr(out, "org-1"));
	books_after(PRICE, 1);
	close(c);
}

static void
a_stream_is_told_as_it_comes(void **state)
{
	bool eof;
	int c = ask(hi_stream, ""), p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START DELTA("Hel"));
	size_t n = rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "content-type: text/event-stream"));
	assert_non_null(memmem(out, n, "\"content\":\"Hel\"", 15));
	assert_null(memmem(out, n, "[DONE]", 6));
	say(p, DELTA("lo") STOP);
	rig_send(&r, p, "0\r\n\r\n", 5);
	n = rig_read(&r, c, out, &eof);
	assert_non_null(memmem(out, n, "\"content\":\"lo\"", 14));
	assert_non_null(memmem(out, n, "data: [DONE]", 12));
	books_after(PRICE, 1);
	close(c);
}

/* In whatever pieces it comes, the same is told: framed anew, so compared without the chunks' sizes by what it ends with. */
static void
an_answer_may_be_cut_anywhere(void **state)
{
	static char whole[8192];
	size_t head = sizeof HEAD - 1, len = head, tickets = 0;
	bool eof;
	memcpy(whole, HEAD, head);
	len += chunk(whole + len, START DELTA("Hel") DELTA("lo") STOP);
	len += (size_t)sprintf(whole + len, "0\r\n\r\n");
	for (size_t at = head; at < len; at += 7) {
		int c = ask(hi_stream, ""), p = rig_provider(&r, r.dials - 1);
		(void)p;
		rig_turn(&r);
		p = rig_provider(&r, 0);
		rig_send(&r, p, whole, at);
		rig_send(&r, p, whole + at, len - at);
		size_t n = rig_read(&r, c, out, &eof);
		assert_non_null(memmem(out, n, "\"content\":\"Hel\"", 15));
		assert_non_null(memmem(out, n, "\"content\":\"lo\"", 14));
		assert_non_null(memmem(out, n, "data: [DONE]", 12));
		close(c);
		rig_turn(&r);
		tickets++;
		if (tickets % 16 == 0)
			rig_book(&r);
	}
	assert_int_equal(r.dials, 1);
	books_after((int64_t)tickets * PRICE, (long)tickets);
}

static void
a_stream_that_breaks_off_says_so(void **state)
{
	bool eof;
	int c = ask(hi_stream, ""), p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START DELTA("Hel"));
	close(p);
	rig_turn(&r);
	size_t n = rig_read(&r, c, out, &eof);
	assert_non_null(memmem(out, n, "\"upstream_cut\"", 14));
	assert_null(memmem(out, n, "[DONE]", 6));
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(r.counters.ended[END_PROVIDER_CUT], 1);
	close(c);
}

/* Gone in the middle: it is charged what was counted, or, where the provider is read on, what it reports. */
static void
a_client_that_goes_is_charged_once(void **state)
{
	int c = ask(hi_stream, ""), p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START DELTA("12345678"));
	close(c);
	rig_turn(&r);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(r.counters.ended[END_CLIENT_GONE], 1);
	int64_t left = rig_balance(&r);
	assert_in_range(1000000000 - left, 10 * 1000 + 1, 10 * 1000 + 8 * 2000);

	static const char drained[] = "{\"model\":\"d\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
	c = ask(drained, "");
	p = rig_provider(&r, 1);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START DELTA("12345678"));
	close(c);
	rig_turn(&r);
	say(p, DELTA("more") STOP);
	rig_send(&r, p, "0\r\n\r\n", 5);
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), left - PRICE);
}

/* What is kept of a tool's arguments counts as content; it is given back once, whoever ends the exchange. */
static void
arguments_that_are_never_whole_are_given_back_once(void **state)
{
	static const char body[] = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"d\"}]}]}";
	static const char tool[] = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
							   "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\n";
	enum { PIECES = 24, PIECE = 4000 };
	char piece[PIECE + 256];
	struct vault_facts before, while_kept, after;
	vault_facts(r.edge->vault, &before);
	int c = rig_client(&r);
	rig_send(&r, c, in, (size_t)sprintf(in, "POST /v1beta/models/c:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: t\r\nx-goog-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", r.key, sizeof body - 1, body));
	int p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-up\","
		   "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n");
	say(p, tool);
	for (unsigned i = 0; i < PIECES; i++) {
		sprintf(piece, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"%s%0*d\"}}\n\n", i ? "" : "{\\\"a\\\":\\\"", PIECE, 0);
		say(p, piece);
	}
	vault_facts(r.edge->vault, &while_kept);
	assert_true(while_kept.used_bytes > before.used_bytes + PIECES * PIECE / 2);
	close(c);
	rig_turn(&r);
	rig_book(&r);
	rig_check_books(&r);
	vault_facts(r.edge->vault, &after);
	assert_true(after.used_bytes < while_kept.used_bytes - PIECES * PIECE / 2); /* and no assert of the budget ended us */
}

/* A client that does not read stops the provider; when it reads, everything is there. */
static void
a_slow_reader_stops_the_provider(void **state)
{
	enum { EVENTS = 20000 };
	static char event[512];
	bool eof;
	int c = ask(hi_stream, ""), p = rig_provider(&r, 0);
	size_t len = chunk(event, DELTA("0123456789")), sent = 0, told = 0, n;
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START);
	for (; sent < EVENTS; sent++) {
		ssize_t wrote = r.tls ? -1 : send(p, event, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (wrote != (ssize_t)len) {
			if (wrote > 0)
				rig_send(&r, p, event + wrote, len - (size_t)wrote);
			break;
		}
		rig_turn(&r);
	}
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	assert_true(facts.used_bytes < 4 << 20);
	while ((n = rig_read(&r, c, out, &eof)) > 0)
		for (char *at = out; (at = memmem(at, n - (size_t)(at - out), "0123456789", 10)); at += 10)
			told++;
	say(p, STOP);
	rig_send(&r, p, "0\r\n\r\n", 5);
	while ((n = rig_read(&r, c, out, &eof)) > 0)
		for (char *at = out; (at = memmem(at, n - (size_t)(at - out), "0123456789", 10)); at += 10)
			told++;
	assert_true(told + 2 >= sent);
	rig_book(&r);
	rig_check_books(&r);
	close(c);
}

static void
a_body_for_which_there_is_no_room_is_503(void **state)
{
	enum { LONG = 900000,
		CONTENT = 8 << 20,
		LEFT = LONG + LONG / 2 };
	bool eof;
	char *body = malloc(LONG + 256);
	size_t n = (size_t)sprintf(body, "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(body + n, 'x', LONG);
	strcpy(body + n + LONG, "\"}]}");
	char *request = malloc(LONG + 1024);
	assert_true(vault_admit(r.edge->vault, CONTENT - LEFT)); /* somebody else has it */
	int c = rig_client(&r);
	rig_send(&r, c, request, rig_request(&r, body, "", request));
	rig_pass(&r, MEMORY_WAIT_MS + 1000);
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "HTTP/1.1 503 "));
	assert_int_equal(r.dials, 0);
	close(c);
	free(body);
	free(request);
	vault_release(r.edge->vault, CONTENT - LEFT);
	c = ask(hi, ""); /* and all of it was given back */
	assert_true(rig_provider(&r, 0) >= 0);
	close(c);
	rig_turn(&r);
	rig_book(&r);
	rig_check_books(&r);
}

static void
what_cant_be_said_is_refused_and_costs_nothing(void **state)
{
	bool eof;
	int c = ask(HI(",\"logit_bias\":{\"5\":1}"), "");
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "HTTP/1.1 400 "));
	assert_non_null(strstr(out, "\"param\":\"logit_bias\""));
	assert_int_equal(r.dials, 0);
	close(c);
	rig_turn(&r);
	c = ask(HI(",\"logit_bias\":{\"5\":1}"), "lethe-translate: lenient\r\n");
	int p = rig_provider(&r, 0);
	say_plain(p, plain);
	rig_read(&r, c, out, &eof);
	assert_non_null(strstr(out, "lethe-dropped: logit_bias\r\n"));
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - PRICE);
	close(c);
}

/* durability: strict. The end is told when the ticket is on disk, and not before. */
static void
the_end_waits_for_the_disk(void **state)
{
	bool eof;
	int c = ask(hi_stream, ""), p = rig_provider(&r, 0);
	rig_send(&r, p, HEAD, sizeof HEAD - 1);
	say(p, START DELTA("Hel") STOP);
	size_t n = rig_read(&r, c, out, &eof);
	assert_null(memmem(out, n, "[DONE]", 6));
	rig_send(&r, p, "0\r\n\r\n", 5);
	n = rig_read(&r, c, out, &eof);
	assert_null(memmem(out, n, "[DONE]", 6));
	rig_book(&r);
	rig_pass(&r, 10);
	n = rig_read(&r, c, out, &eof);
	assert_non_null(memmem(out, n, "[DONE]", 6));
	books_after(PRICE, 1);
	close(c);
}

/* ---- memory and time ---- */

/* All of the budget but so much. */
static size_t
take_budget(size_t but)
{
	size_t taken = 0;
	for (size_t some = 1 << 20; some >= 1024; some /= 2)
		while (vault_admit(r.edge->vault, some))
			taken += some;
	vault_release(r.edge->vault, but);
	return taken - but;
}

static void
a_translation_waits_for_memory_in_turn(void **state)
{
	bool eof;
	static char body[300000];
	size_t n = (size_t)sprintf(body, "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(body + n, 'x', 200000);
	strcpy(body + n + 200000, "\"}]}");
	size_t taken = take_budget(250000 + r.edge->kept_for_little);
	int c = ask(body, "");
	assert_int_equal(r.dials, 0);
	assert_non_null(r.edge->wait_memory.first);
	int other = ask(hi, ""); /* behind it, of the same account */
	assert_int_equal(r.dials, 0);
	vault_release(r.edge->vault, taken);
	int p = rig_provider(&r, 0);
	assert_true(p >= 0);
	assert_null(r.edge->wait_memory.first);
	rig_read(&r, p, out, &eof);
	assert_non_null(strstr(out, "xxxx\"}]"));
	say_plain(p, plain);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 200 ", 13);
	close(c);
	close(other);
	rig_turn(&r);
}

static void
a_translation_without_memory_is_told_to_come_again(void **state)
{
	bool eof;
	static char body[300000];
	size_t n = (size_t)sprintf(body, "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"");
	memset(body + n, 'x', 200000);
	strcpy(body + n + 200000, "\"}]}");
	size_t taken = take_budget(250000 + r.edge->kept_for_little);
	int c = ask(body, ""), left = ask(body, "");
	close(left); /* who goes while waiting is let go */
	rig_turn(&r);
	rig_pass(&r, MEMORY_WAIT_MS + 1000);
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(out, "retry-after: "));
	assert_null(r.edge->exchanges);
	vault_release(r.edge->vault, taken);
	close(c);
	rig_turn(&r);
	assert_int_equal(r.dials, 0);
	books_after(0, 1); /* the one that left was not let in */
}

static void
too_many_small_parts_are_refused(void **state)
{
	bool eof;
	static char body[900000];
	size_t n = (size_t)sprintf(body, "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}");
	while (n < 600000)
		n += (size_t)sprintf(body + n, ",{\"role\":\"user\",\"content\":\"a\"}");
	strcpy(body + n, "]}");
	int c = ask(body, "");
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 413 ", 13);
	assert_non_null(strstr(out, "too many small parts"));
	close(c);
	n = (size_t)sprintf(body, "{\"model\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"");
	while (n < 600000)
		n += (size_t)sprintf(body + n, "\\n\\n");
	strcpy(body + n, "\"}]}");
	c = ask(body, "");
	rig_read(&r, c, out, &eof);
	assert_memory_equal(out, "HTTP/1.1 413 ", 13);
	assert_int_equal(r.dials, 0);
	close(c);
	books_after(0, 2);
}

/* An answer holds everybody up as long as a request may at most; who lets it take longer gets it. */
static void
an_answer_of_too_many_small_parts_is_not_told(void **state)
{
	static char body[900000], answer[1000000];
	static const uint16_t status[] = {502, 200};
	bool eof;
	size_t n = (size_t)sprintf(body, "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-up\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}");
	while (n < 800000)
		n += (size_t)sprintf(body + n, ",{\"type\":\"text\",\"text\":\"a\"}");
	strcpy(body + n, "],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}");
	for (unsigned i = 0; i < ARRAY_LEN(status); i++) {
		char line[32];
		r.edge->p->limits.translation_steps = status[i] == 200 ? 10000000 : 100000;
		int c = ask(hi, ""), p = rig_provider(&r, 0);
		rig_send(&r, p, answer, (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(body), body));
		rig_read(&r, c, out, &eof);
		assert_memory_equal(out, line, (size_t)sprintf(line, "HTTP/1.1 %u ", status[i]));
		close(c);
		rig_turn(&r);
	}
	assert_int_equal(r.counters.ended[END_PROVIDER_MALFORMED], 1);
	books_after(PRICE, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_plain_answer_comes_back_in_the_callers_words, opened, closed),
		cmocka_unit_test_setup_teardown(a_stream_is_told_as_it_comes, opened, closed),
		cmocka_unit_test_setup_teardown(an_answer_may_be_cut_anywhere, opened, closed),
		cmocka_unit_test_setup_teardown(a_stream_that_breaks_off_says_so, opened, closed),
		cmocka_unit_test_setup_teardown(a_client_that_goes_is_charged_once, opened, closed),
		cmocka_unit_test_setup_teardown(arguments_that_are_never_whole_are_given_back_once, opened, closed),
		cmocka_unit_test_setup_teardown(a_slow_reader_stops_the_provider, opened, closed),
		cmocka_unit_test_setup_teardown(a_body_for_which_there_is_no_room_is_503, opened, closed),
		cmocka_unit_test_setup_teardown(what_cant_be_said_is_refused_and_costs_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(the_end_waits_for_the_disk, strict, closed),
		cmocka_unit_test_setup_teardown(a_translation_waits_for_memory_in_turn, opened, closed),
		cmocka_unit_test_setup_teardown(a_translation_without_memory_is_told_to_come_again, opened, closed),
		cmocka_unit_test_setup_teardown(too_many_small_parts_are_refused, opened, closed),
		cmocka_unit_test_setup_teardown(an_answer_of_too_many_small_parts_is_not_told, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
