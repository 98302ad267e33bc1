/*
 * The simulator as a process: what it does to a connection, first in clear text, then by TLS. The arguments are the
 * executable and tool/certificate.sh.
 */
#include "core/base.h"
#include "fixture.h"
#include "link.h"
#include "net.h"

#include <errno.h>
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
	REPLY_MOST = 1 << 20,
	PATIENCE_MS = 60000,
};

/* How a connection ended: as meant, by TLS without saying that it is meant, or in clear text with an errno. */
enum { ENDED = 0,
	CUT = -2,
	HEARD = -1 };

static const char *executable;
static struct tls_client *client; /* NULL: in clear text */
static struct tls_sessions *sessions;
static char reply[REPLY_MOST];
static size_t reply_len;

static int
start(void **state)
{
	return fixture_start(executable) ? 0 : -1;
}

static int
stop(void **state)
{
	return fixture_stop() ? 0 : -1;
}

static void
await(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static struct link
dial(void)
{
	struct link l;
	int fd = net_connect(client ? &fixture.tls : &fixture.clear);
	assert_true(fd >= 0);
	await(fd, POLLOUT);
	assert_true(link_connect(&l, fd, client, "api.localhost", sessions));
	reply_len = 0;
	reply[0] = 0;
	for (char none; !link_is_ready(&l);) {
		assert_int_equal(link_receive(&l, &none, sizeof none), 0);
		if (!link_is_ready(&l))
			await(fd, POLLIN);
	}
	return l;
}

static void
say(struct link *l, const char *text)
{
	for (size_t len = strlen(text); len || link_is_full(l);) {
		ssize_t n = link_send(l, text, len);
		assert_true(n >= 0);
		text += n;
		len -= (size_t)n;
		if (len || link_is_full(l))
			await(l->fd, POLLOUT);
	}
}

/*
 * Reads until the reply contains the word (NULL: to the end). Returns HEARD when the word came, and else how the
 * connection ended.
 */
static int
hear(struct link *l, const char *word)
{
	while (!word || !strstr(reply, word)) {
		if (!link_has_more(l))
			await(l->fd, POLLIN);
		errno = 0;
		ssize_t n = link_receive(l, reply + reply_len, sizeof reply - reply_len - 1);
		if (n < 0 && l->tls)
			return l->last == TLS_CLOSED ? ENDED : CUT;
		if (n < 0)
			return errno;
		reply_len += (size_t)n;
		reply[reply_len] = 0;
	}
	return HEARD;
}

static void
ask(struct link *l, const char *script, const char *members)
{
	char body[512], text[2048];
	snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]%s}", members);
	snprintf(text, sizeof text,
		"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\nx-sim: %s\r\ncontent-length: %zu\r\n\r\n%s",
		script, strlen(body), body);
	say(l, text);
}

static const char *
body_of_reply(void)
{
	const char *end = strstr(reply, "\r\n\r\n");
	assert_non_null(end);
	return end + 4;
}

/* Asks a path that answers JSON, over a connection of its own. */
static void
look(const char *path)
{
	char text[256];
	struct link l = dial();
	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n", path);
	say(&l, text);
	assert_int_equal(hear(&l, NULL), 0);
	link_close(&l);
}

static unsigned long
counter(const char *name)
{
	char word[64];
	look("/stats");
	snprintf(word, sizeof word, "\"%s\":", name);
	const char *at = strstr(reply, word);
	assert_non_null(at);
	return strtoul(at + strlen(word), NULL, 10);
}

/* ---- */

static void
requests_of_one_connection_are_answered_in_order(void **state)
{
	struct link l = dial();
	ask(&l, "echo=1,chunks=1,tag=one,gap_ms=5", ",\"stream\":true");
	ask(&l, "status=429", "");
	ask(&l, "body_bytes=2000", "");
	hear(&l, "\"system_fingerprint\": \"fp_de604bd877\"\n}\n");
	const char *first = strstr(reply, "data: [DONE]"), *second = strstr(reply, " 429 ");
	const char *third = strstr(reply, "content-length: 2000");
	assert_true(first && second > first && third > second);
	link_close(&l);
}

static void
a_request_that_comes_byte_by_byte_is_understood(void **state)
{
	static const char TEXT[] = "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\n"
							   "transfer-encoding: chunked\r\nx-sim: tag=bytes\r\n\r\n"
							   "b\r\n{\"model\":\"m\r\n17\r\n\",\"messages\":[]       }\r\n0\r\n\r\n";
	struct link l = dial();
	for (size_t i = 0; TEXT[i]; i++)
		say(&l, (char[]){TEXT[i], 0});
	hear(&l, "\r\n\r\n");
	assert_non_null(strstr(reply, "HTTP/1.1 200 "));
	link_close(&l);
	look("/last?tag=bytes&raw=body");
	assert_string_equal(body_of_reply(), "{\"model\":\"m\",\"messages\":[]       }");
	look("/last?tag=bytes");
	assert_non_null(strstr(reply, "x-sim: tag=bytes\\u000d\\u000a"));
}

static void
an_answer_is_cut_at_its_byte(void **state)
{
	static const struct {
		const char *script, *members;
		int end;
		size_t bytes;
		bool of_head;
	} CASES[] = {
		{"cut_after=50", "", 0, 50, false},
		{"cut_after=0", "", 0, 0, false},
		{"cut_after=700", ",\"stream\":true", 0, 700, false},
		{"cut_after=50,split=7", "", 0, 50, false},
		{"cut_head=20", "", 0, 20, true},
		{"cut_after=50,reset=1", "", ECONNRESET, 50, false},
		{"cut_after=400,reset=1", ",\"stream\":true", ECONNRESET, 400, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct link l = dial();
		ask(&l, CASES[i].script, CASES[i].members);
		assert_int_equal(hear(&l, NULL), client ? CUT : CASES[i].end);
		size_t got = CASES[i].of_head ? reply_len : reply_len - (size_t)(body_of_reply() - reply);
		assert_int_equal(got, CASES[i].bytes);
		link_close(&l);
	}
}

static void
a_client_that_leaves_a_stream_is_counted_as_cancelled(void **state)
{
	unsigned long before = counter("cancelled");
	struct link l = dial();
	ask(&l, "chunks=1000000,gap_ms=1,tag=left", ",\"stream\":true");
	hear(&l, "\"index\":0");
	link_close(&l);
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_MS * UINT64_C(1000000); counter("cancelled") == before;)
		assert_true(net_now_ns() < give_up_ns);
	assert_int_equal(counter("open_exchanges"), 1); /* the question itself */
	look("/last?tag=left");
	assert_non_null(strstr(reply, "\"state\":\"cancelled\""));
}

static void
an_early_answer_does_not_wait_for_the_body(void **state)
{
	struct link l = dial();
	say(&l, "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\nx-sim: early=1,status=413\r\n"
			"content-length: 10\r\n\r\n123");
	hear(&l, "}\n}\n");
	assert_non_null(strstr(reply, "HTTP/1.1 413 "));
	say(&l, "4567890");
	reply_len = 0;
	ask(&l, "", "");
	hear(&l, "fp_de604bd877");
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	link_close(&l);
}

static void
chunks_keep_their_distance(void **state)
{
	uint64_t begin_ns = net_now_ns();
	struct link l = dial();
	ask(&l, "chunks=5,gap_ms=20,delay_ms=30", ",\"stream\":true");
	hear(&l, "[DONE]");
	uint64_t took_ns = net_now_ns() - begin_ns;
	assert_true(took_ns >= UINT64_C(130000000));
	link_close(&l);
}

static void
faults_stop_after_so_many_requests_of_a_tag(void **state)
{
	struct link l = dial();
	for (int i = 0; i < 3; i++) {
		reply_len = 0;
		reply[0] = 0;
		ask(&l, "status=500,times=2,tag=twice", "");
		hear(&l, "}\n");
		assert_memory_equal(reply, i < 2 ? "HTTP/1.1 500" : "HTTP/1.1 200", 12);
		if (i == 2)
			hear(&l, "fp_de604bd877");
	}
	link_close(&l);
	look("/last?tag=twice");
	assert_non_null(strstr(reply, "\"count\":3"));
}

static void
a_wrong_key_and_a_misspelt_script_are_refused(void **state)
{
	struct link l = dial();
	say(&l, "GET /v1/models HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k2\r\n\r\n");
	hear(&l, "invalid_api_key");
	assert_memory_equal(reply, "HTTP/1.1 401", 12);
	link_close(&l);
	l = dial();
	ask(&l, "chunk=8", "");
	hear(&l, "not understood: chunk=8");
	assert_memory_equal(reply, "HTTP/1.1 400", 12);
	link_close(&l);
}

static void
a_leak_shows_what_must_not_pass(void **state)
{
	struct link l = dial();
	ask(&l, "status=401,leak=1", "");
	hear(&l, "}\n}\n");
	assert_non_null(strstr(reply, "sk-proj-"));
	assert_non_null(strstr(reply, "openai-organization: org-"));
	assert_non_null(strstr(reply, "set-cookie: "));
	link_close(&l);
}

static void
a_session_is_resumed(void **state)
{
	unsigned long before = counter("resumed");
	sessions = tls_sessions_create();
	assert_non_null(sessions);
	for (int i = 0; i < 2; i++) {
		struct link l = dial();
		ask(&l, "tag=again", "");
		hear(&l, "fp_de604bd877");
		assert_int_equal(tls_was_resumed(l.tls), i == 1);
		link_close(&l);
	}
	tls_sessions_destroy(&sessions);
	assert_int_equal(counter("resumed"), before + 1);
}

/* More than the kernel takes at once: what is kept back comes in order, and the end after it. */
static void
a_large_answer_comes_whole(void **state)
{
	const size_t body = 32u << 20;
	struct link l = dial();
	size_t got = 0;
	ask(&l, "body_bytes=33554432,close=1", "");
	hear(&l, "\r\n\r\n");
	got = reply_len - (size_t)(body_of_reply() - reply);
	for (;;) {
		reply_len = 0;
		if (!link_has_more(&l))
			await(l.fd, POLLIN);
		ssize_t n = link_receive(&l, reply, sizeof reply);
		if (n < 0)
			break;
		got += (size_t)n;
	}
	assert_int_equal(got, body);
	assert_true(!l.tls || l.last == TLS_CLOSED);
	link_close(&l);
}

static void
clear_text_is_refused_where_tls_is_expected(void **state)
{
	struct link l;
	int fd = net_connect(&fixture.tls);
	assert_true(fd >= 0);
	await(fd, POLLOUT);
	assert_true(link_connect(&l, fd, NULL, NULL, NULL));
	say(&l, "GET /health HTTP/1.1\r\nhost: sim\r\n\r\n");
	reply_len = 0;
	reply[0] = 0;
	assert_int_equal(hear(&l, NULL), ENDED);
	assert_null(strstr(reply, "HTTP/1.1"));
	link_close(&l);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_one_connection_are_answered_in_order),
		cmocka_unit_test(a_request_that_comes_byte_by_byte_is_understood),
		cmocka_unit_test(an_answer_is_cut_at_its_byte),
		cmocka_unit_test(a_client_that_leaves_a_stream_is_counted_as_cancelled),
		cmocka_unit_test(an_early_answer_does_not_wait_for_the_body),
		cmocka_unit_test(chunks_keep_their_distance),
		cmocka_unit_test(faults_stop_after_so_many_requests_of_a_tag),
		cmocka_unit_test(a_wrong_key_and_a_misspelt_script_are_refused),
		cmocka_unit_test(a_leak_shows_what_must_not_pass),
		cmocka_unit_test(a_large_answer_comes_whole),
	};
	const struct CMUnitTest only_tls[] = {
		cmocka_unit_test(a_session_is_resumed),
		cmocka_unit_test(clear_text_is_refused_where_tls_is_expected),
	};
	if (argc != 3)
		return 2;
	executable = argv[1];
	if (!fixture_certificate(argv[2]))
		return 2;
	int failed = cmocka_run_group_tests_name("clear text", tests, start, stop);
	client = link_client_of(fixture_file("ca.pem"));
	failed += cmocka_run_group_tests_name("by TLS", tests, start, stop);
	failed += cmocka_run_group_tests_name("TLS", only_tls, start, stop);
	tls_client_unref(&client);
	fixture_finish();
	return failed;
}
