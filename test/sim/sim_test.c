/*
 * The simulator as a process: what it does to a connection. The first argument is the executable.
 */
#include "core/base.h"
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
	PATIENCE_MS = 10000,
};

static const char *executable;
static struct net_address address;
static pid_t simulator;
static char reply[REPLY_MOST];
static size_t reply_len;

static int
start(void **state)
{
	int out[2];
	unsigned port = 0;
	if (pipe(out) != 0 || (simulator = fork()) < 0)
		return -1;
	if (simulator == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl(executable, executable, "--listen", "127.0.0.1:0", "--key", "k1", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	bool said = f && fscanf(f, "listening on 127.0.0.1:%u", &port) == 1;
	if (f)
		fclose(f);
	char text[32];
	snprintf(text, sizeof text, "127.0.0.1:%u", port);
	return said && net_address_parse(text, &address) ? 0 : -1;
}

static int
stop(void **state)
{
	int status = 0;
	kill(simulator, SIGTERM);
	return waitpid(simulator, &status, 0) == simulator && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void
await(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static int
dial(void)
{
	int fd = net_connect(&address);
	assert_true(fd >= 0);
	await(fd, POLLOUT);
	reply_len = 0;
	reply[0] = 0;
	return fd;
}

static void
say(int fd, const char *text)
{
	for (size_t len = strlen(text); len;) {
		ssize_t n = net_send(fd, text, len);
		assert_true(n >= 0);
		text += n;
		len -= (size_t)n;
		if (len)
			await(fd, POLLOUT);
	}
}

/*
 * Reads until the reply contains the word (NULL: to the end). Returns errno of the end, 0 for an
 * orderly one, -1 when the word came.
 */
static int
hear(int fd, const char *word)
{
	while (!word || !strstr(reply, word)) {
		await(fd, POLLIN);
		ssize_t n = recv(fd, reply + reply_len, sizeof reply - reply_len - 1, 0);
		if (n <= 0)
			return n < 0 ? errno : 0;
		reply_len += (size_t)n;
		reply[reply_len] = 0;
	}
	return -1;
}

static void
ask(int fd, const char *script, const char *members)
{
	char body[512], text[2048];
	snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]%s}", members);
	snprintf(text, sizeof text,
		"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\nx-sim: %s\r\ncontent-length: %zu\r\n\r\n%s",
		script, strlen(body), body);
	say(fd, text);
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
	int fd = dial();
	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n", path);
	say(fd, text);
	assert_int_equal(hear(fd, NULL), 0);
	close(fd);
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
	int fd = dial();
	ask(fd, "echo=1,chunks=1,tag=one,gap_ms=5", ",\"stream\":true");
	ask(fd, "status=429", "");
	ask(fd, "body_bytes=2000", "");
	hear(fd, "\"system_fingerprint\": \"fp_de604bd877\"\n}\n");
	const char *first = strstr(reply, "data: [DONE]"), *second = strstr(reply, " 429 ");
	const char *third = strstr(reply, "content-length: 2000");
	assert_true(first && second > first && third > second);
	close(fd);
}

static void
a_request_that_comes_byte_by_byte_is_understood(void **state)
{
	static const char TEXT[] = "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\n"
							   "transfer-encoding: chunked\r\nx-sim: tag=bytes\r\n\r\n"
							   "b\r\n{\"model\":\"m\r\n17\r\n\",\"messages\":[]       }\r\n0\r\n\r\n";
	int fd = dial();
	for (size_t i = 0; TEXT[i]; i++)
		say(fd, (char[]){TEXT[i], 0});
	hear(fd, "\r\n\r\n");
	assert_non_null(strstr(reply, "HTTP/1.1 200 "));
	close(fd);
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
		int fd = dial();
		ask(fd, CASES[i].script, CASES[i].members);
		assert_int_equal(hear(fd, NULL), CASES[i].end);
		size_t got = CASES[i].of_head ? reply_len : reply_len - (size_t)(body_of_reply() - reply);
		assert_int_equal(got, CASES[i].bytes);
		close(fd);
	}
}

static void
a_client_that_leaves_a_stream_is_counted_as_cancelled(void **state)
{
	unsigned long before = counter("cancelled");
	int fd = dial();
	ask(fd, "chunks=1000000,gap_ms=1,tag=left", ",\"stream\":true");
	hear(fd, "\"index\":0");
	close(fd);
	for (uint64_t give_up_ns = net_now_ns() + PATIENCE_MS * UINT64_C(1000000); counter("cancelled") == before;)
		assert_true(net_now_ns() < give_up_ns);
	assert_int_equal(counter("open_exchanges"), 1); /* the question itself */
	look("/last?tag=left");
	assert_non_null(strstr(reply, "\"state\":\"cancelled\""));
}

static void
an_early_answer_does_not_wait_for_the_body(void **state)
{
	int fd = dial();
	say(fd, "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k1\r\nx-sim: early=1,status=413\r\n"
			"content-length: 10\r\n\r\n123");
	hear(fd, "}\n}\n");
	assert_non_null(strstr(reply, "HTTP/1.1 413 "));
	say(fd, "4567890");
	reply_len = 0;
	ask(fd, "", "");
	hear(fd, "fp_de604bd877");
	assert_memory_equal(reply, "HTTP/1.1 200 ", 13);
	close(fd);
}

static void
chunks_keep_their_distance(void **state)
{
	uint64_t begin_ns = net_now_ns();
	int fd = dial();
	ask(fd, "chunks=5,gap_ms=20,delay_ms=30", ",\"stream\":true");
	hear(fd, "[DONE]");
	uint64_t took_ns = net_now_ns() - begin_ns;
	assert_true(took_ns >= UINT64_C(130000000));
	close(fd);
}

static void
faults_stop_after_so_many_requests_of_a_tag(void **state)
{
	int fd = dial();
	for (int i = 0; i < 3; i++) {
		reply_len = 0;
		reply[0] = 0;
		ask(fd, "status=500,times=2,tag=twice", "");
		hear(fd, "}\n");
		assert_memory_equal(reply, i < 2 ? "HTTP/1.1 500" : "HTTP/1.1 200", 12);
		if (i == 2)
			hear(fd, "fp_de604bd877");
	}
	close(fd);
	look("/last?tag=twice");
	assert_non_null(strstr(reply, "\"count\":3"));
}

static void
a_wrong_key_and_a_misspelt_script_are_refused(void **state)
{
	int fd = dial();
	say(fd, "GET /v1/models HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k2\r\n\r\n");
	hear(fd, "invalid_api_key");
	assert_memory_equal(reply, "HTTP/1.1 401", 12);
	close(fd);
	fd = dial();
	ask(fd, "chunk=8", "");
	hear(fd, "not understood: chunk=8");
	assert_memory_equal(reply, "HTTP/1.1 400", 12);
	close(fd);
}

static void
a_leak_shows_what_must_not_pass(void **state)
{
	int fd = dial();
	ask(fd, "status=401,leak=1", "");
	hear(fd, "}\n}\n");
	assert_non_null(strstr(reply, "sk-proj-"));
	assert_non_null(strstr(reply, "openai-organization: org-"));
	assert_non_null(strstr(reply, "set-cookie: "));
	close(fd);
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
	};
	if (argc != 2)
		return 2;
	executable = argv[1];
	return cmocka_run_group_tests(tests, start, stop);
}
