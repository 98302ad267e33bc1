/*
 * `lethe top`: pictures of samples, and the terminal. The server is a child that answers on a socket with numbers that grow by the same amount each
 * time, one second apart by its own clock, so that rates are the same on any machine.
 */
#include "proc/top.h"

#include "proc/serve.h"

#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

enum { WAIT_MS = 60000 };

int
serve_main(struct config *config, const char *data_dir)
{
	return 1;
}

/* ---- samples ---- */

/* The n-th second of a server's life. */
static json_t *
answer_of(int n, int started_ms)
{
	json_error_t error;
	json_t *o = json_pack_ex(&error, 0,
		"{s:b, s:I, s:I, s:I, s:i, s:s, s:s, s:s, s:i, s:i,"
		" s:{s:i, s:i, s:i, s:i, s:i, s:i},"
		" s:{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i},"
		" s:[{s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:i, s:{s:i, s:i, s:i}},"
		"    {s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:i, s:{}}],"
		" s:[{s:s, s:s, s:i}, {s:s, s:s, s:i}],"
		" s:[{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}]}",
		"ok", 1, "at_us", (json_int_t)n * 1000000, "time_ms", (json_int_t)n * 1000, "started_ms", (json_int_t)started_ms, "restarts", 1,
		"balances", "1250.000000000", "revenue", "3.000000000", "losses", "0.250000000", "vault_budget", 600 << 20, "tickets_per_edge", 100,
		"states", "free", 90, "reserving", 1, "waiting", 2, "answering", 4, "settled", 3, "giving", 0, "ledger", "gate", "open", "store", "ok",
		"bookings", 20 * n, "booked", 60 * n, "commit_us", 40000 * n, "quarantined", 0, "mismatched", 0, "interrupted", 0, "store_failures", 0,
		"slots", 65536, "slots_used", 7, "models", "model", "busy", "provider", "one", "waiting", 2, "answering", 4, "requests", 10 * n, "failed",
		2 * n, "cost", n == 1 ? "0.500000000" : n == 2 ? "1.000000000"
													   : "1.500000000",
		"duration_ms", 15000 * n, "tokens", "input", 1000 * n,
		"cached", 500 * n, "reasoning", 70 * n, "model", "a-quiet-one", "provider", "one", "waiting", 0, "answering", 0, "requests", 3, "failed", 0,
		"cost", "2.000000000", "duration_ms", 0, "tokens", "reasons", "reason", "COMPLETED", "severity", "info", "count", 8 * n, "reason", "PROVIDER_CUT",
		"severity", "warn", "count", 2 * n, "edges", "edge", 0, "exchanges", 5, "streams", 4, "connections", 9, "upstream", 6, "tickets", 95,
		"vault_used", 30 << 20, "vault_mapped", 64 << 20);
	if (o == NULL)
		fail_msg("%s at %d", error.text, error.position);
	return o;
}

static void
push(struct top_history *h, int n, int started_ms)
{
	struct top_sample s;
	json_t *answer = answer_of(n, started_ms);
	top_sample_read(answer, &s);
	top_history_push(h, &s);
	json_decref(answer);
}

static char page[1 << 16];

static const struct top_line *
draw(const struct top_screen *s, const struct top_history *h, size_t *ret_count)
{
	static struct top_line *lines;
	free(lines);
	lines = top_screen_lines(s, h, ret_count);
	page[0] = '\0';
	for (size_t i = 0; i < *ret_count; i++) {
		strncat(page, lines[i].text, sizeof page - strlen(page) - 2);
		strncat(page, "\n", sizeof page - strlen(page) - 1);
	}
	return lines;
}

static void
says(const char *text)
{
	if (strstr(page, text) == NULL)
		fail_msg("it does not say: %s\n%s", text, page);
}

static void
rates_are_over_the_time_between_samples(void **state)
{
	struct top_history h = {0};
	struct top_screen s = {.columns = 160};
	size_t count;
	push(&h, 1, 0);
	draw(&s, &h, &count);
	says("requests  -/s, failed -/s; 13 since the start, 2 failed");
	says("ended     COMPLETED 8 PROVIDER_CUT 2\n");
	push(&h, 3, 0);
	draw(&s, &h, &count);
	says("lethe top  00:00:03 UTC, up 0d 00:00:03, rates over 2.0 s\n");
	says("open      2 waiting, 4 answering, 1 reserving, 3 to be booked\n");
	says("requests  10/s, failed 2/s; 33 since the start, 6 failed\n");
	says("tokens    in 1.50k/s, out 70/s\n");
	says("money     $30.00/min; $3.50 since the start; customers have $1250.00; losses $0.2500\n");
	says("ledger    open, store ok; 20 bookings/s, 3 tickets and 2 ms each; 7 of 65.5k accounts on the board\n");
	says("ended     COMPLETED 8/s PROVIDER_CUT 2/s\n");
	says("\nbusy        one           2      4      10       2    1.50k       70    $30.00    1.50      $1.50\na-quiet-one one           0      0       0       0        0        0     $0.00       -      $2.00\n");
	says("\n0            9         5         4         6          95/100          30.0/600\n");
	says("processes were restarted 1 times");
	top_history_free(&h);
}

static void
a_server_that_was_restarted_begins_anew(void **state)
{
	struct top_history h = {0};
	push(&h, 5, 0);
	push(&h, 6, 0);
	assert_int_equal(h.count, 2);
	push(&h, 7, 6500);
	assert_int_equal(h.count, 1);
	assert_true(top_span_s(&h) == 0);
	/* A clock that does not go on is another machine's. */
	push(&h, 7, 6500);
	assert_int_equal(h.count, 1);
	for (int n = 8; n < 30; n++)
		push(&h, n, 6500);
	assert_int_equal(h.count, TOP_SAMPLES);
	assert_true(top_span_s(&h) == TOP_SAMPLES - 1);
	top_history_free(&h);
}

static void
the_order_is_the_one_that_was_asked_for(void **state)
{
	struct top_history h = {0};
	size_t count;
	push(&h, 1, 0);
	push(&h, 2, 0);
	struct top_screen s = {.columns = 160, .sort = TOP_BY_NAME};
	draw(&s, &h, &count);
	assert_true(strstr(page, "\na-quiet-one") < strstr(page, "\nbusy"));
	for (s.sort = 0; s.sort < TOP_BY_NAME; s.sort++) {
		draw(&s, &h, &count);
		assert_true(strstr(page, "\na-quiet-one") > strstr(page, "\nbusy"));
	}
	s.by_provider = true;
	draw(&s, &h, &count);
	says("\none           2      4      10       2    1.50k       70    $30.00    1.50      $3.00\n");
	assert_null(strstr(page, "busy"));
	top_history_free(&h);
}

static void
a_picture_fits_any_screen(void **state)
{
	struct top_history h = {0};
	push(&h, 1, 0);
	push(&h, 2, 0);
	for (int columns = 1; columns < 140; columns += 7)
		for (int lines = 2; lines < 40; lines++)
			for (int help = 0; help < 2; help++) {
				struct top_screen s = {.columns = columns, .lines = lines, .help = help, .problem = lines % 5 ? NULL : "gone"};
				size_t count;
				const struct top_line *l = draw(&s, &h, &count);
				assert_in_range(count, 1, lines);
				for (size_t i = 0; i < count; i++)
					assert_true(cli_width(l[i].text) <= columns);
				assert_memory_equal(l[count - 1].text, "q quit", columns < 6 ? columns : 6);
			}
	top_history_free(&h);
}

static void
what_is_wrong_stands_out(void **state)
{
	struct top_history h = {0};
	struct top_sample sample;
	size_t count;
	json_t *answer = answer_of(2, 0), *ledger = json_object_get(answer, "ledger");
	json_object_set_new(ledger, "gate", json_string("stalled"));
	json_object_set_new(ledger, "quarantined", json_integer(3));
	push(&h, 1, 0);
	top_sample_read(answer, &sample);
	top_history_push(&h, &sample);
	struct top_screen s = {.columns = 160};
	const struct top_line *l = draw(&s, &h, &count);
	for (size_t i = 0, seen = 0; i < count || (assert_int_equal(seen, 3), false); i++) {
		bool bad = strstr(l[i].text, "ledger    stalled") || strstr(l[i].text, "3 quarantined") || strstr(l[i].text, "95/100");
		if (bad)
			assert_int_equal(l[i].paint, CLI_BAD);
		seen += bad;
	}
	json_decref(answer);
	top_history_free(&h);
}

/* Those first that somebody has to do something about; and not so many that the models have no place. */
static void
providers_in_trouble_are_told(void **state)
{
	struct top_history h = {0};
	struct top_sample sample;
	struct top_screen s = {.columns = 160};
	size_t count, told = 0, bad = 0;
	push(&h, 1, 0);
	draw(&s, &h, &count);
	assert_null(strstr(page, "provider  "));
	json_t *answer = answer_of(2, 0), *list = json_pack("[{s:s, s:n, s:s, s:s, s:i}, {s:s, s:i, s:n, s:s, s:n}]", "provider", "slow", "key", "upstream", "large-1", "state", "open", "asked_again_in_ms", 4200, "provider", "poor", "key", 1, "upstream", "state", "refused", "asked_again_in_ms");
	for (int i = 0; i < 7; i++)
		json_array_append_new(list, json_pack("{s:s, s:n, s:s, s:s, s:i}", "provider", "slow", "key", "upstream", "small", "state", "resting", "asked_again_in_ms", 1000));
	json_object_set_new(answer, "providers", list);
	top_sample_read(answer, &sample);
	top_history_push(&h, &sample);
	const struct top_line *l = draw(&s, &h, &count);
	says("\nprovider  poor key 1: refused, top up its account or replace it, asked again by the next\n          slow large-1: open, asked again in 5 s\n          slow small: resting, asked again in 1 s\n");
	says("          and 3 more: lethe provider list\n");
	for (size_t i = 0; i < count; i++) {
		bad += strncmp(l[i].text, "provider  poor", 14) == 0 && l[i].paint == CLI_BAD;
		told += strstr(l[i].text, "asked again") != NULL;
	}
	assert_int_equal(bad, 1);
	assert_int_equal(told, TOP_TROUBLES_MAX);
	json_decref(answer);
	top_history_free(&h);
}

/* ---- the terminal ---- */

static char dir[64];
static pid_t server;

/* One sample further at each question. */
static _Noreturn void
answer_for_ever(int listener)
{
	char line[256];
	for (int n = 1;; n++) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			_exit(0);
		if (read(fd, line, sizeof line) > 0) {
			json_t *answer = answer_of(n, 0);
			char *text = json_dumps(answer, JSON_COMPACT);
			if (write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0)
				n--;
			free(text);
			json_decref(answer);
		}
		close(fd);
	}
}

static int
start_server(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(dir, "/tmp/lethe-top-XXXXXX");
	if (mkdtemp(dir) == NULL || setenv("LETHE_DATA", dir, 1) != 0)
		return -1;
	snprintf(a.sun_path, sizeof a.sun_path, "%s/control.sock", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 8) != 0)
		return -1;
	server = fork();
	if (server == 0)
		answer_for_ever(fd);
	close(fd);
	return server > 0 ? 0 : -1;
}

static int
stop_server(void **state)
{
	char path[128];
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	snprintf(path, sizeof path, "%s/control.sock", dir);
	unlink(path);
	return rmdir(dir);
}

struct terminal {
	int fd;
	pid_t pid;
	struct termios before;
	char said[1 << 20];
	size_t len;
	int slave; /* stays open: its settings can be looked at when the child is gone */
	int statuses; /* from the shell */
};

static _Noreturn void
be_top(void)
{
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	exit(cli_main(4, (char **)(const char *const[]){"lethe", "top", "--interval", "0.1", NULL}));
}

/*
 * What a shell does: a job of its own in the foreground, whose stops and end it sees. (A process without anybody in its session to bring it back
 * is not stopped at all.)
 */
static _Noreturn void
be_shell(int to)
{
	int status;
	signal(SIGTTOU, SIG_IGN);
	pid_t job = fork();
	if (job == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpid());
		signal(SIGTTOU, SIG_DFL);
		be_top();
	}
	while (write(to, &job, sizeof job) == sizeof job && waitpid(job, &status, WUNTRACED) == job && write(to, &status, sizeof status) == sizeof status &&
		WIFSTOPPED(status))
		;
	_exit(0);
}

static struct terminal *
terminal_open(bool shell)
{
	struct winsize size = {.ws_row = 24, .ws_col = 120};
	struct terminal *t = calloc(1, sizeof *t);
	int statuses[2];
	assert_non_null(t);
	assert_int_equal(openpty(&t->fd, &t->slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(t->slave, &t->before), 0);
	assert_int_equal(pipe(statuses), 0);
	t->pid = fork();
	if (t->pid == 0) {
		close(t->fd);
		close(statuses[0]);
		if (login_tty(t->slave) != 0)
			_exit(9);
		if (shell)
			be_shell(statuses[1]);
		be_top();
	}
	close(statuses[1]);
	t->statuses = statuses[0];
	return t;
}

/* Reads until this text comes, behind all that was awaited before. */
static void
await(struct terminal *t, size_t *from, const char *text)
{
	char *at;
	while (!(at = strstr(t->said + *from, text))) {
		struct pollfd p = {.fd = t->fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? read(t->fd, t->said + t->len, sizeof t->said - t->len - 1) : 0;
		if (n <= 0)
			fail_msg("the screen does not show %s; it shows:\n%s", text, t->said + *from);
		t->len += (size_t)n;
		t->said[t->len] = '\0';
	}
	*from = (size_t)(at - t->said) + strlen(text);
}

static int
terminal_end(struct terminal *t, size_t from)
{
	struct termios after;
	int status;
	await(t, &from, "\033[?25h\033[?1049l");
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	assert_int_equal(tcgetattr(t->slave, &after), 0);
	assert_int_equal(after.c_lflag, t->before.c_lflag);
	assert_memory_equal(after.c_cc, t->before.c_cc, sizeof after.c_cc);
	close(t->statuses);
	close(t->slave);
	close(t->fd);
	free(t);
	return status;
}

static void
keys_change_the_picture_and_q_gives_the_terminal_back(void **state)
{
	struct terminal *t = terminal_open(false);
	size_t from = 0;
	await(t, &from, "\033[?1049h\033[?25l\033[H");
	await(t, &from, "rates over 5.0 s");
	await(t, &from, "busy        one");
	assert_int_equal(write(t->fd, "p", 1), 1);
	await(t, &from, "PROVIDER   WAIT");
	assert_int_equal(write(t->fd, "ms", 2), 2);
	await(t, &from, "s sort: requests");
	assert_int_equal(write(t->fd, "?", 1), 1);
	await(t, &from, "pause and go on");
	assert_int_equal(write(t->fd, "? ", 2), 2);
	await(t, &from, "PAUSED");
	assert_int_equal(write(t->fd, " ", 1), 1);
	/* What a cursor key sends is no command, whatever letters are in it. */
	assert_int_equal(write(t->fd, "\033[q", 3), 3);
	struct winsize narrow = {.ws_row = 9, .ws_col = 30};
	assert_int_equal(ioctl(t->fd, TIOCSWINSZ, &narrow), 0);
	await(t, &from, "q quit  space pause  m models \033");
	assert_int_equal(write(t->fd, "q", 1), 1);
	int status = terminal_end(t, from);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK);
}

static void
signals_give_the_terminal_back_and_end_it(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		struct terminal *t = terminal_open(false);
		size_t from = 0;
		await(t, &from, "lethe top");
		assert_int_equal(kill(t->pid, signals[i]), 0);
		int status = terminal_end(t, from);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
	}
}

static void
a_stop_gives_the_terminal_back_and_going_on_takes_it_again(void **state)
{
	struct terminal *t = terminal_open(true);
	size_t from = 0;
	int status;
	pid_t job;
	assert_int_equal(read(t->statuses, &job, sizeof job), sizeof job);
	await(t, &from, "lethe top");
	assert_int_equal(write(t->fd, "\032", 1), 1); /* Ctrl-Z */
	await(t, &from, "\033[?25h\033[?1049l");
	assert_int_equal(read(t->statuses, &status, sizeof status), sizeof status);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(job, SIGCONT), 0);
	await(t, &from, "\033[?1049h");
	await(t, &from, "lethe top");
	assert_int_equal(write(t->fd, "q", 1), 1);
	assert_int_equal(read(t->statuses, &job, sizeof job), sizeof job);
	assert_int_equal(read(t->statuses, &status, sizeof status), sizeof status);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK);
	terminal_end(t, from);
}

static void
a_server_that_goes_is_told_on_the_screen(void **state)
{
	struct terminal *t = terminal_open(false);
	size_t from = 0;
	await(t, &from, "lethe top");
	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
	server = 0;
	await(t, &from, "no server answers in");
	/* The last numbers stay. */
	await(t, &from, "busy        one");
	assert_int_equal(write(t->fd, "q", 1), 1);
	int status = terminal_end(t, from);
	assert_true(WIFEXITED(status));
}

/* ---- without a terminal ---- */

static char out[1 << 16];

static int
run(const char *const words[])
{
	int pipes[2], status, argc = 0;
	while (words[argc] != NULL)
		argc++;
	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		close(pipes[0]);
		close(pipes[1]);
		exit(cli_main(argc, (char **)words));
	}
	close(pipes[1]);
	size_t len = 0;
	for (ssize_t n; (n = read(pipes[0], out + len, sizeof out - 1 - len)) > 0;)
		len += (size_t)n;
	out[len] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define LETHE(...) run((const char *const[]){"lethe", __VA_ARGS__, NULL})

static void
a_pipe_gets_one_picture_without_escapes(void **state)
{
	assert_int_equal(LETHE("top"), CLI_OK);
	assert_non_null(strstr(out, "requests  -/s"));
	assert_null(strchr(out, 033));
	assert_null(strstr(out, "q quit"));
	assert_int_equal(LETHE("top", "--once", "--interval", "0.1"), CLI_OK);
	assert_non_null(strstr(out, "rates over 1.0 s"));
	assert_int_equal(LETHE("top", "--once", "--color=always", "--providers"), CLI_OK);
	assert_non_null(strstr(out, "\033[1mPROVIDER"));
}

static void
json_is_the_answer_as_it_came(void **state)
{
	assert_int_equal(LETHE("top", "--json"), CLI_OK);
	json_t *answer = json_loads(out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(answer, "models")), 2);
	json_decref(answer);
}

static void
what_can_not_be_done_is_said(void **state)
{
	static const char *const intervals[] = {"0", "-1", "x", "", "5s", "nan", "1e9"};
	for (size_t i = 0; i < ARRAY_LEN(intervals); i++) {
		assert_int_equal(LETHE("top", "--once", "--interval", intervals[i]), CLI_USAGE);
		assert_non_null(strstr(out, "--interval"));
	}
	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
	server = 0;
	assert_int_equal(LETHE("top"), CLI_UNREACHABLE);
	assert_non_null(strstr(out, "no server answers in "));
	assert_int_equal(LETHE("top", "--json"), CLI_UNREACHABLE);
	assert_non_null(strstr(out, "\"code\":\"no_server\""));
	/* It has not become the ledger for that. */
	char path[128];
	snprintf(path, sizeof path, "%s/ledger.db", dir);
	assert_int_not_equal(access(path, F_OK), 0);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_over_the_time_between_samples),
		cmocka_unit_test(a_server_that_was_restarted_begins_anew),
		cmocka_unit_test(the_order_is_the_one_that_was_asked_for),
		cmocka_unit_test(a_picture_fits_any_screen),
		cmocka_unit_test(what_is_wrong_stands_out),
		cmocka_unit_test(providers_in_trouble_are_told),
		WITH_SERVER(keys_change_the_picture_and_q_gives_the_terminal_back),
		WITH_SERVER(signals_give_the_terminal_back_and_end_it),
		WITH_SERVER(a_stop_gives_the_terminal_back_and_going_on_takes_it_again),
		WITH_SERVER(a_server_that_goes_is_told_on_the_screen),
		WITH_SERVER(a_pipe_gets_one_picture_without_escapes),
		WITH_SERVER(json_is_the_answer_as_it_came),
		WITH_SERVER(what_can_not_be_done_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
