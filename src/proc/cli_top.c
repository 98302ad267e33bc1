/* `lethe top`: the terminal. What is on it is top_screen.c's. */
#include "proc/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	PLAIN_COLUMNS = 200, /* of what goes to a file */
	INTERVAL_MS_MIN = 100,
	INTERVAL_MS_MAX = 3600000,
};

struct top {
	struct cli *cli;
	json_t *ask;
	struct top_history history;
	struct top_screen screen;
	uint64_t interval_ms;
	char problem[160];
	bool quit;
};

/* ---- asking ---- */

/* The answer, or NULL with t->problem; the caller's. */
static json_t *
ask(struct top *t)
{
	json_t *answer = cli_ask_quietly(t->cli, t->ask);
	const char *message = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	t->screen.problem = NULL;
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	if (answer != NULL)
		snprintf(t->problem, sizeof t->problem, "%s", message == NULL ? "the server gives no answer that this version understands" : message);
	else if (errno == 0)
		snprintf(t->problem, sizeof t->problem, "the server does not answer");
	else if (errno == EACCES || errno == EPERM)
		snprintf(t->problem, sizeof t->problem, "%.80s/control.sock: %s – run this as the server's user or as root", t->cli->data_dir, strerror(errno));
	else
		snprintf(t->problem, sizeof t->problem, "no server answers in %.80s – start it, or name its data directory with --data", t->cli->data_dir);
	json_decref(answer);
	t->screen.problem = t->problem;
	return NULL;
}

static void
take(struct top *t, const json_t *answer)
{
	struct top_sample s;
	top_sample_read(answer, &s);
	top_history_push(&t->history, &s);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is not a live screen ---- */

static void
wait_interval(const struct top *t)
{
	struct timespec ts = {.tv_sec = (time_t)(t->interval_ms / 1000), .tv_nsec = (long)(t->interval_ms % 1000) * 1000000};
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

static void
print_page(struct top *t)
{
	size_t count;
	t->screen.columns = PLAIN_COLUMNS;
	struct top_line *lines = top_screen_lines(&t->screen, &t->history, &count);
	for (size_t i = 0; i < count; i++)
		printf("%s%s%s\n", cli_on(t->cli, stdout, lines[i].paint), lines[i].text, cli_off(t->cli, stdout, lines[i].paint));
	free(lines);
}

/* Two looks, with the interval between them, when one was given: rates need two. */
static int
print_once(struct top *t, bool twice)
{
	for (int looks = twice ? 2 : 1; looks > 0; looks--) {
		json_t *answer = ask(t);
		if (answer == NULL)
			return cli_fail(t->cli, CLI_UNREACHABLE, "no_server", "%s", t->problem);
		if (t->cli->json && looks == 1)
			cli_print_json(answer);
		take(t, answer);
		json_decref(answer);
		if (looks > 1)
			wait_interval(t);
	}
	if (!t->cli->json)
		print_page(t);
	return CLI_OK;
}

/* --json --interval: a line each time, until somebody ends it or stops reading. */
static int
print_lines(struct top *t)
{
	for (;;) {
		json_t *answer = ask(t);
		if (answer == NULL)
			return cli_fail(t->cli, CLI_UNREACHABLE, "no_server", "%s", t->problem);
		cli_print_json(answer);
		json_decref(answer);
		if (fflush(stdout) != 0)
			return CLI_OK;
		wait_interval(t);
	}
}

/* ---- the terminal, and giving it back ---- */

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios cooked; /* as it was */
static volatile sig_atomic_t caught, resized;

static void
write_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void
enter_screen(void)
{
	struct termios raw = cooked;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	write_all(ENTER, strlen(ENTER));
}

static void
leave_screen(void)
{
	write_all(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &cooked);
}

static void
on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else if (number != SIGCONT)
		caught = number;
	else
		resized = 2; /* and the screen is to be taken again */
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE};

/* They come while the loop waits, and at no other time. */
static void
take_signals(sigset_t *ret_while_waiting)
{
	struct sigaction act = {.sa_handler = on_signal};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &act, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, ret_while_waiting);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigdelset(ret_while_waiting, signals[i]);
}

/* As if it had not been caught: the caller's caller sees what ended us. */
static void
obey(int number)
{
	struct sigaction act = {.sa_handler = SIG_DFL}, before;
	sigset_t set;
	leave_screen();
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaction(number, &act, &before);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Only a stop comes back. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(number, &before, NULL);
	enter_screen();
}

static void
measure(struct top_screen *s)
{
	struct winsize size = {0};
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
	s->columns = known ? size.ws_col : 80;
	s->lines = known ? size.ws_row : 24;
}

static void
draw(struct top *t)
{
	size_t count, len = 0, cap;
	measure(&t->screen);
	struct top_line *lines = top_screen_lines(&t->screen, &t->history, &count);
	char *text = NULL;
	FILE *f = open_memstream(&text, &cap);
	if (f == NULL)
		abort();
	fputs("\033[H", f);
	for (size_t i = 0; i < count; i++)
		fprintf(f, "%s%s%s\033[K%s", cli_on(t->cli, stdout, lines[i].paint), lines[i].text, cli_off(t->cli, stdout, lines[i].paint),
			i + 1 < count ? "\r\n" : "");
	fputs("\033[J", f);
	len = (size_t)ftell(f);
	fclose(f);
	write_all(text, len);
	free(text);
	free(lines);
}

static void
press(struct top *t, char key)
{
	struct top_screen *s = &t->screen;
	switch (key) {
	case 'q':
	case 'Q':
		t->quit = true;
		break;
	case ' ':
		s->paused = !s->paused;
		break;
	case 's':
		s->sort = (enum top_sort)((s->sort + 1) % TOP_SORT_COUNT);
		break;
	case 'm':
		s->by_provider = false;
		break;
	case 'p':
		s->by_provider = true;
		break;
	case '?':
	case 'h':
		s->help = !s->help;
		break;
	default:
		break; /* others mean nothing here */
	}
}

static void
read_keys(struct top *t, short revents)
{
	char keys[32];
	ssize_t n = revents & POLLIN ? read(STDIN_FILENO, keys, sizeof keys) : 0;
	/* Its terminal is gone. */
	if (revents & (POLLHUP | POLLERR) || (revents & POLLIN && n == 0))
		t->quit = true;
	/* An escape begins what a cursor key sends: none of that is a command. */
	for (ssize_t i = 0; i < n && keys[i] != '\033'; i++)
		press(t, keys[i]);
}

/* Until it is time to ask again. Draws after each key, resize and stop. */
static void
attend(struct top *t, uint64_t until_ms, const sigset_t *while_waiting)
{
	for (uint64_t now = now_ms(); !t->quit && now < until_ms; now = now_ms()) {
		struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
		struct timespec wait = {.tv_sec = (time_t)((until_ms - now) / 1000), .tv_nsec = (long)((until_ms - now) % 1000) * 1000000};
		int ready = ppoll(&in, 1, &wait, while_waiting);
		if (ready > 0)
			read_keys(t, in.revents);
		if (caught != 0) {
			int number = caught;
			caught = 0;
			obey(number);
		}
		if (resized == 2)
			enter_screen();
		resized = 0;
		if (!t->quit && (ready > 0 || ready < 0))
			draw(t);
	}
}

static int
live(struct top *t)
{
	sigset_t while_waiting;
	if (tcgetattr(STDIN_FILENO, &cooked) != 0)
		return cli_fail(t->cli, CLI_UNREACHABLE, "terminal", "the terminal can't be used: %s – `lethe top --once` needs none", strerror(errno));
	take_signals(&while_waiting);
	enter_screen();
	while (!t->quit) {
		uint64_t next_ms = now_ms() + t->interval_ms;
		json_t *answer = t->screen.paused ? NULL : ask(t);
		if (answer != NULL)
			take(t, answer);
		json_decref(answer);
		draw(t);
		attend(t, next_ms, &while_waiting);
	}
	leave_screen();
	return CLI_OK;
}

/* ---- the command ---- */

static bool
read_interval(const json_t *request, uint64_t *ret_ms)
{
	const char *text = json_string_value(json_object_get(request, "interval"));
	char *end = NULL;
	if (text == NULL)
		return true;
	double seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds * 1000 >= INTERVAL_MS_MIN) || seconds * 1000 > INTERVAL_MS_MAX)
		return false;
	*ret_ms = (uint64_t)(seconds * 1000);
	return true;
}

int
cli_top(struct cli *cli, json_t *request)
{
	struct top t = {.cli = cli, .interval_ms = 1000};
	bool once = json_is_true(json_object_get(request, "once")), timed = json_object_get(request, "interval") != NULL;
	if (!read_interval(request, &t.interval_ms))
		return cli_fail(cli, CLI_USAGE, "usage", "--interval: seconds from 0.1 to 3600, for example 2");
	const char *term = getenv("TERM");
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	t.ask = json_pack("{s:s}", "op", "top");
	t.screen.by_provider = json_is_true(json_object_get(request, "providers"));
	int status;
	if (cli->json && timed && !once)
		status = print_lines(&t);
	else if (once || cli->json || !terminal)
		status = print_once(&t, timed);
	else
		status = live(&t);
	json_decref(t.ask);
	top_history_free(&t.history);
	return status;
}
