/*
 * The ledger killed before every system call that it makes while it starts, books, writes progress,
 * takes orders and ends. The board survives, a successor is started on it; then the books must be
 * sound, each exchange booked once, each order carried out once, and what was answered be true.
 *
 * LETHE_CRASH_STRIDE=1 tries every call; the default takes every few, shifted by the run of calls,
 * so that it stays short.
 */
#include "ledger/ledger_world.h"
#include "ledger/limit_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXCHANGES = 6,
	ROUND_ONE = 3 };

/* What the child says has been answered; shared with the parent. */
struct answered {
	_Atomic int credit, debit, created;
};

struct crash {
	struct world w;
	struct answered *answered;
	struct ticket *held; /* stays open over the ledger's death */
	int64_t spent;
	uint64_t alice, window; /* of her limit of money */
	uint64_t calls;
};

static bool
order(struct crash *c, const char *amount, const char *id)
{
	json_t *answer = world_ask(&c->w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount",
		amount, "reason", "r", "id", id);
	bool ok = json_is_true(json_object_get(answer, "ok"));
	json_decref(answer);
	return ok;
}

static void
settle_some(struct crash *c, int count)
{
	for (int i = 0; i < count; i++) {
		struct world_exchange e = {.account = c->alice, .window = c->window,
			.key = 5,
			.model = (unsigned)i % 2,
			.input = 100U * (unsigned)(i + 1),
			.output = 7,
			.cost = -1};
		assert_int_not_equal(world_exchange(&c->w, e), 0);
		c->spent += world_cost(&c->w, &e);
	}
}

/* All that a ledger does in its life, from what the edges left. Ends by itself or is killed. */
static void
live(struct crash *c)
{
	struct world *w = &c->w;
	world_open(w, true);
	world_progress(w);
	if (order(c, "2", "credit-1"))
		atomic_store(&c->answered->credit, 1);
	if (order(c, "-0.5", "debit-1"))
		atomic_store(&c->answered->debit, 1);
	json_t *made = world_ask(w, "{s:s, s:s, s:s}", "op", "account.create", "name", "bob", "id", "account-1");
	if (json_is_true(json_object_get(made, "ok")))
		atomic_store(&c->answered->created, 1);
	json_decref(made);
	w->now_ms += USAGE_PERIOD_MS;
	world_round(w);
	world_close(w);
}

static _Noreturn void
traced_child(struct crash *c)
{
	/* In the child only; the parent's ledger is closed. */
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(3);
	raise(SIGSTOP);
	live(c);
	_exit(0);
}

/* Kill it before its call number `at`; false: it had ended before. */
static bool
kill_before_call(struct crash *c, uint64_t at)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		traced_child(c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (c->calls = 0;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		/* Stops come in pairs, before and after a call. */
		if (WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) && c->calls++ == 2 * at)
			break;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

static void
begin(struct crash *c)
{
	*c = (struct crash){0};
	c->answered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_begin(&c->w);
	c->alice = world_account(&c->w, "alice", "5.00");
	json_decref(world_must(&c->w, "{s:s, s:s, s:s}", "op", "account.limit", "account", "alice", "dollars_per_month", "5"));
	const struct limit_row *limits = limit_row(c->w.edge_board, limit_find(c->w.edge_board, c->alice));
	c->window = limit_budget_row(limits->number[LIMIT_MONEY_MONTH], limit_window(LIMIT_MONEY_MONTH, clock_wall_us() / 1000000));
	settle_some(c, ROUND_ONE);
	world_round(&c->w);
	settle_some(c, EXCHANGES - ROUND_ONE);
	struct world_exchange e = {.account = c->alice, .window = c->window, .key = 5, .model = 1, .input = 10, .output = 7, .cost = -1};
	c->held = world_hold(&c->w, &e);
	c->spent += world_cost(&c->w, &e);
	world_kill_ledger(&c->w);
}

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	struct world *w = arg;
	if (row & LIMIT_BUDGET_ROW)
		return budget_balance(w->ledger, row, ret);
	ret->v = world_balance(w, row);
	return ret->v >= 0;
}

/*
 * The successor: what was answered must be there, what was not may be ordered again; then
 * everything is booked once.
 */
static void
check(struct crash *c)
{
	struct world *w = &c->w;
	world_open(w, true);
	int64_t credit = world_sql(w, "SELECT count(*) FROM booking WHERE kind = 2"),
			debit = world_sql(w, "SELECT count(*) FROM booking WHERE kind = 3");
	assert_true(credit >= 1 + atomic_load(&c->answered->credit) && credit <= 2);
	assert_true(debit >= atomic_load(&c->answered->debit) && debit <= 1);
	if (atomic_load(&c->answered->created))
		assert_int_equal(world_sql(w, "SELECT count(*) FROM account WHERE name = 'bob'"), 1);
	assert_int_equal(board_check(w->ledger_board, balance, w), 0);
	world_is_sound(w);
	assert_true(order(c, "2", "credit-1"));
	assert_true(order(c, "-0.5", "debit-1"));
	ticket_settle(w->desk, c->held);
	while (world_round(w) > 0)
		;
	assert_int_equal(world_balance(w, c->alice), 6500000000 - c->spent);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM ticket"), EXCHANGES + 1);
	assert_int_equal(world_sql(w, "SELECT used_nano FROM budget"), c->spent);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM intent"), 0);
	assert_int_equal(ticket_desk_in_flight(w->desk), 0);
	assert_int_equal(board_check(w->ledger_board, balance, w), 0);
	world_is_sound(w);
}

static void
end(struct crash *c)
{
	munmap(c->answered, 4096);
	world_end(&c->w);
}

static uint64_t
stride(void)
{
	const char *text = getenv("LETHE_CRASH_STRIDE");
	uint64_t n = text != NULL ? strtoull(text, NULL, 10) : 0;
	return n != 0 ? n : 5;
}

static void
killed_before_any_call_nothing_is_lost_or_doubled(void **state)
{
	struct crash c;
	uint64_t kills = 0;
	bool killed = true;
	for (uint64_t at = 0; killed; at += stride()) {
		begin(&c);
		killed = kill_before_call(&c, at);
		check(&c);
		kills += killed;
		end(&c);
	}
	print_message("killed %llu times, in a life of %llu system calls\n", (unsigned long long)kills,
		(unsigned long long)c.calls / 2);
	assert_true(kills > 20);
}

static void
killed_twice_in_a_row_nothing_is_lost_or_doubled(void **state)
{
	struct crash c;
	bool killed = true;
	for (uint64_t at = 3; killed; at += 7 * stride()) {
		begin(&c);
		killed = kill_before_call(&c, at);
		for (uint64_t again = 1; killed && again <= 2; again++)
			kill_before_call(&c, again * at * 3 / 5);
		check(&c);
		end(&c);
	}
}

/* The power is gone: the board with it, the file as the last commit left it. */
static void
killed_before_any_call_and_the_board_lost_the_books_are_sound(void **state)
{
	struct crash c;
	bool killed = true;
	for (uint64_t at = 1; killed; at += 2 * stride()) {
		begin(&c);
		killed = kill_before_call(&c, at);
		world_lose_board(&c.w);
		world_open(&c.w, true);
		world_is_sound(&c.w);
		assert_int_equal(world_sql(&c.w, "SELECT count(*) FROM progress"), 0);
		assert_int_equal(world_sql(&c.w, "SELECT used_nano FROM budget"), world_sql(&c.w, "SELECT coalesce(sum(cost_nano), 0) FROM ticket"));
		assert_int_equal(board_check(c.w.ledger_board, balance, &c.w), 0);
		end(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_before_any_call_nothing_is_lost_or_doubled),
		cmocka_unit_test(killed_twice_in_a_row_nothing_is_lost_or_doubled),
		cmocka_unit_test(killed_before_any_call_and_the_board_lost_the_books_are_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
