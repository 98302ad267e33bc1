/* Bodies: of requests, however they come and however large, and answers that can't be read. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

static const char hi[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char hi_stream[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static int
with_dollar(void **state)
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

static int
send_chat(const char *body, const char *headers)
{
	int c = rig_client(&r);
	size_t n = rig_request(&r, body, headers, in);
	rig_send(&r, c, in, n);
	return c;
}

static void
expect_status(const char *answer, const char *status)
{
	assert_int_equal(memcmp(answer, "HTTP/1.1 ", 9), 0);
	assert_memory_equal(answer + 9, status, 3);
}

static void
books_after(int64_t spent, long tickets)
{
	rig_book(&r);
	rig_check_books(&r);
	assert_int_equal(rig_balance(&r), 1000000000 - spent);
	assert_int_equal(rig_tickets(&r), tickets);
}

/* ---- compressed ---- */

static void
a_compressed_request_is_refused_and_told_so(void **state)
{
	static const char *const codings[] = {"gzip", "br", "zstd", "deflate", "identity, gzip", "x"};
	bool eof;
	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		char header[64];
		sprintf(header, "content-encoding: %s\r\n", codings[i]);
		int c = send_chat(hi, header);
		rig_read(&r, c, out, &eof);
		expect_status(out, "415");
		assert_non_null(strstr(out, "accept-encoding: identity\r\n"));
		assert_non_null(strstr(out, "\"code\":\"unsupported_encoding\""));
		close(c);
	}
	assert_int_equal(r.dials, 0);
	books_after(0, 0);
}

static void
a_request_that_says_it_is_not_compressed_is_served(void **state)
{
	int c = send_chat(hi, "content-encoding: Identity\r\n");
	assert_true(rig_provider(&r, 0) >= 0);
	close(c);
}

/* Labelled or not: it can't be read, so it is not passed on, and not charged. */
static void
a_compressed_answer_is_refused(void **state)
{
	static const struct {
		const char *headers, *begins;
	} rows[] = {
		{"content-encoding: gzip\r\n", "\x1f\x8b\x08"},
		{"content-encoding: br\r\n", "\x1b"},
		{"content-encoding: zstd\r\n", "\x28\xb5\x2f\xfd"},
		{"content-encoding: deflate\r\n", "\x78\x9c"},
		{"content-encoding: x-of-tomorrow\r\n", "{"},
		{"transfer-encoding: gzip, chunked\r\n", "\x1f\x8b"},
		{"", "\x1f\x8b\x08"},
		{"", "\x28\xb5\x2f\xfd"},
		{"", "\x78\x9c"},
		{"", "<html>"},
	};
	bool eof;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool stream = i & 1;
		int c = send_chat(stream ? hi_stream : hi, ""), p = rig_provider(&r, (int)i);
		size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%sconnection: close\r\n\r\n%szzzz",
			stream ? "text/event-stream" : "application/json", rows[i / 2].headers, rows[i / 2].begins);
		rig_send(&r, p, in, n);
		n = rig_read(&r, c, out, &eof);
		expect_status(out, "502");
		assert_null(memmem(out, n, "zzzz", 4));
		close(c);
		close(p);
		rig_turn(&r);
	}
	books_after(0, 2 * ARRAY_LEN(rows));
}

/* The head is out before it is known: what follows is still nobody's. */
static void
a_compressed_answer_behind_its_head_is_cut(void **state)
{
	bool eof;
	int c = send_chat(hi, ""), p = rig_provider(&r, 0);
	size_t n = (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n");
	rig_send(&r, p, in, n);
	rig_send(&r, p, "\x1f\x8bzzzzz", 7);
	n = rig_read(&r, c, out, &eof);
	expect_status(out, "200");
	assert_true(eof);
	assert_null(memmem(out, n, "zzzz", 4));
	books_after(0, 1);
	close(c);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, with_dollar, closed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_compressed_request_is_refused_and_told_so),
		CASE(a_request_that_says_it_is_not_compressed_is_served),
		CASE(a_compressed_answer_is_refused),
		CASE(a_compressed_answer_behind_its_head_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
