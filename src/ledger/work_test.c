/* Work that outlives its connection: set aside once, paid once, whoever dies when. */
#include "ledger/ledger_world.h"
#include "ledger/work.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world w;
static uint64_t account;

static int
begin(void **state)
{
	world_begin(&w);
	account = world_account(&w, "customer", "1.00");
	return 0;
}

static int
end(void **state)
{
	world_end(&w);
	return 0;
}

static enum work_result
ask(enum work_order order, uint64_t id, uint64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = order;
	m.work = id;
	m.account = account;
	m.nano = nano;
	return ledger_work(w.ledger, &m);
}

static enum work_result
name(uint64_t id, const char *object)
{
	struct message_work_named m = MESSAGE_INIT(WORK_NAMED, message_work_named);
	m.work = id;
	m.account = account;
	m.object_bytes = (uint16_t)strlen(object);
	memcpy(m.object, object, strlen(object));
	return ledger_work_named(w.ledger, &m);
}

enum { NANO = 1,
	CENT = 10000000 };

static void
balance_is(int64_t nano)
{
	assert_int_equal(world_balance(&w, account), nano);
	world_is_sound(&w);
}

static void
what_was_set_aside_is_paid_once(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	balance_is(90 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE); /* asked again: the answer was lost */
	assert_int_equal(ask(WORK_BEGIN, 7, 11 * CENT), WORK_REFUSED);
	assert_int_equal(ask(WORK_END, 7, 1), WORK_REFUSED); /* it does not run */
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(name(7, "batch_y"), WORK_REFUSED);
	balance_is(90 * CENT);
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	balance_is(97 * CENT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(WORK_END, 7, (uint64_t)i * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_REFUSED);
	balance_is(97 * CENT);
}

static void
what_costs_nothing_comes_back(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 8, CENT), WORK_DONE);
	assert_int_equal(ask(WORK_END, 8, 0), WORK_DONE);
	balance_is(100 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 9, CENT), WORK_DONE);
	assert_int_equal(name(9, "batch_z"), WORK_DONE);
	assert_int_equal(ask(WORK_END, 9, 0), WORK_DONE);
	balance_is(100 * CENT);
}

static void
nobody_pays_more_than_was_set_aside(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 10, CENT), WORK_DONE);
	assert_int_equal(name(10, "batch_z"), WORK_DONE);
	assert_int_equal(ask(WORK_END, 10, 5 * CENT), WORK_DONE);
	balance_is(99 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 11, 100 * CENT), WORK_SHORT);
	balance_is(99 * CENT);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE id = 11"), 0);
	assert_int_equal(ask(WORK_BEGIN, 12, 0), WORK_REFUSED);
	assert_int_equal(ask(WORK_END, 404, 1), WORK_REFUSED);
	assert_int_equal(name(404, "x"), WORK_REFUSED);
}

static void
nobody_ends_anothers(void **state)
{
	uint64_t mine = account;
	assert_int_equal(ask(WORK_BEGIN, 13, CENT), WORK_DONE);
	assert_int_equal(name(13, "batch_z"), WORK_DONE);
	account = world_account(&w, "other", "1.00");
	assert_int_equal(ask(WORK_END, 13, CENT), WORK_REFUSED);
	assert_int_equal(name(13, "batch_z"), WORK_REFUSED);
	assert_int_equal(ask(WORK_BEGIN, 13, CENT), WORK_REFUSED);
	account = mine;
	balance_is(99 * CENT);
}

/* ---- errands ---- */

#define SECOND UINT64_C(1000000)

static void
it_is_looked_at_less_and_less_often(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us(), last = 0;
	assert_false(ledger_work_due(w.ledger, now, &m, &next));
	assert_int_equal(next, 0);
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_false(ledger_work_due(w.ledger, now, &m, &next));
	for (int i = 0; i < 10; i++) {
		assert_true(next > now);
		if (i > 1) /* the first is by the clock that it was named by */
			assert_true(next - now >= last);
		last = next - now;
		now = next;
		assert_true(ledger_work_due(w.ledger, now, &m, &next));
		assert_int_equal(m.work, 7);
		assert_int_equal(m.account, account);
		assert_int_equal(m.object_bytes, 7);
		assert_memory_equal(m.object, "batch_x", 7);
		assert_false(ledger_work_due(w.ledger, now, &m, &next));
	}
	assert_int_equal(last, 960 * SECOND);
	assert_int_equal(ask(WORK_END, 7, CENT), WORK_DONE);
	assert_false(ledger_work_due(w.ledger, next, &m, &next));
	assert_int_equal(next, 0);
}

static void
what_never_got_a_name_comes_back(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us();
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	world_kill_edge(&w);
	assert_false(ledger_work_due(w.ledger, now + 3500 * SECOND, &m, &next));
	balance_is(99 * CENT);
	assert_false(ledger_work_due(w.ledger, now + 3700 * SECOND, &m, &next));
	balance_is(100 * CENT);
	assert_int_equal(name(7, "batch_x"), WORK_REFUSED + 0 * (int)next);
}

/* ---- the ledger killed before each system call of all this ---- */

static void
live(void)
{
	world_open(&w, true);
	(void)!ask(WORK_BEGIN, 7, 10 * CENT);
	(void)!name(7, "batch_x");
	(void)!ask(WORK_END, 7, 3 * CENT);
	(void)!ask(WORK_BEGIN, 8, 10 * CENT);
	(void)!ask(WORK_END, 8, 0);
	world_close(&w);
}

/* False: it had ended before. */
static bool
killed_before_call(uint64_t at)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(3);
		raise(SIGSTOP);
		live();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (uint64_t calls = 0;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		/* Stops come in pairs, before and after a call. */
		if (WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) && calls++ == 2 * at)
			break;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

static uint64_t
stride(void)
{
	const char *text = getenv("LETHE_CRASH_STRIDE");
	uint64_t n = text != NULL ? strtoull(text, NULL, 10) : 0;
	return n != 0 ? n : 19;
}

/* Whoever asks for the same again gets it once. */
static void
killed_anywhere_it_is_paid_once(void **state)
{
	bool more = true;
	for (uint64_t at = 0; more; at += stride()) {
		begin(NULL);
		world_kill_ledger(&w);
		more = killed_before_call(at);
		world_open(&w, true);
		world_is_sound(&w);
		(void)!ask(WORK_BEGIN, 7, 10 * CENT);
		assert_int_equal(name(7, "batch_x"), WORK_DONE);
		assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
		if (ask(WORK_END, 8, 0) == WORK_DONE) /* else it was never written down */
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE id = 8 AND state < 3"), 0);
		balance_is(97 * CENT);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE state = 3 AND id = 7"), 1);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM item WHERE state = 1"), 0);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
		end(NULL);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(what_was_set_aside_is_paid_once),
		TEST(what_costs_nothing_comes_back),
		TEST(nobody_pays_more_than_was_set_aside),
		TEST(nobody_ends_anothers),
		TEST(it_is_looked_at_less_and_less_often),
		TEST(what_never_got_a_name_comes_back),
		cmocka_unit_test(killed_anywhere_it_is_paid_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
