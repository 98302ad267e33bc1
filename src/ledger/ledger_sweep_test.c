/*
 * Every order, exchange and chore, stopped or disturbed at every system call: killed before it; the call fails with EIO or ENOSPC, once or from
 * then on, or does half of its work; an allocation fails. Beside a PostgreSQL (tool/with_postgres.sh) the connection is lost at every call on it instead: before the
 * call, or after it, so that nobody knows whether it was. Then a successor is started, and killed as well where points are left over; after it
 * everything must be there that was answered, everything is given again and done once, and the books must be sound.
 *
 * LETHE_CRASH_POINTS: how many of them; the default is a share of all that fits CI. `./dev crash [--store postgres] --points N` sets it.
 */
#include "ledger/ledger_script.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POINTS_DEFAULT = 150,
	POINTS_POSTGRES = 8,
	TICKETS_BOOKED = 2,
	TICKETS_SETTLED = 2 };

#define LATER_US 4102531200000000ULL /* 2100-01-02 */

/* ---- worlds: what goes on when it happens, and what must be true in the end ---- */

struct sweep {
	struct world w;
	struct script_answers *answers; /* outlive the process */
	struct ticket *held;
	int64_t spent;
};

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = world_balance(arg, row);
	return ret->v >= 0;
}

static struct world_exchange
exchange_of(struct sweep *s, uint32_t i)
{
	uint64_t alice = (uint64_t)world_sql(&s->w, "SELECT id FROM account WHERE name = 'alice'");
	struct world_exchange e = {.account = alice, .key = 5, .model = i % 2, .input = 100 * (i + 1), .output = 7, .cost = -1};
	s->spent += world_cost(&s->w, &e);
	return e;
}

static void
begin_traffic(struct sweep *s)
{
	script_begin(&s->w);
	for (uint32_t i = 0; i < TICKETS_BOOKED; i++)
		assert_int_not_equal(world_exchange(&s->w, exchange_of(s, i)), 0);
	world_round(&s->w);
	for (uint32_t i = 0; i < TICKETS_SETTLED; i++)
		assert_int_not_equal(world_exchange(&s->w, exchange_of(s, i)), 0);
	struct world_exchange e = exchange_of(s, 9);
	s->held = world_hold(&s->w, &e);
}

static void
live_traffic(struct sweep *s)
{
	struct world *w = &s->w;
	w->now_ms += PROGRESS_PERIOD_MS;
	for (int pass = 0; pass < 2; pass++) {
		world_round(w);
		script_try_all(w, s->answers);
		w->now_ms += USAGE_PERIOD_MS;
		world_round(w);
	}
}

static void
check_traffic(struct sweep *s)
{
	struct world *w = &s->w;
	script_all(w, s->answers);
	ticket_settle(w->desk, s->held);
	while (world_round(w) > 0)
		;
	script_is_done(w, s->spent);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM ticket"), TICKETS_BOOKED + TICKETS_SETTLED + 1);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(ticket_desk_in_flight(w->desk), 0);
}

/* The command line as the ledger: no board. */
static void
begin_alone(struct sweep *s)
{
	script_begin(&s->w);
}

static void
live_alone(struct sweep *s)
{
	for (int pass = 0; pass < 2; pass++)
		script_try_all(&s->w, s->answers);
}

static void
check_alone(struct sweep *s)
{
	script_all(&s->w, s->answers);
	script_is_done(&s->w, 0);
}

/* All is done, and the time of what has one is over. */
static void
begin_late(struct sweep *s)
{
	struct world *w = &s->w;
	script_begin(w);
	script_all(w, s->answers);
	json_decref(world_must(w, "{s:s, s:s, s:s}", "op", "voucher.create", "amount", "5", "expires", "2100-01-01"));
	json_decref(world_must(
		w, "{s:s, s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "4", "expires", "2100-01-01"));
}

static void
live_late(struct sweep *s)
{
	for (int pass = 0; pass < 3; pass++)
		ledger_chores(&s->w.ledger[0], LATER_US);
}

static void
check_late(struct sweep *s)
{
	struct world *w = &s->w;
	assert_true(ledger_chores(w->ledger, LATER_US));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM item WHERE state = 4"), 3);
	assert_int_equal(world_balance(w, HOUSE_STANDING), 750000000);
	assert_int_equal(world_balance(w, HOUSE_VOUCHER), 1000000000);
	assert_int_equal(world_balance(w, HOUSE_FREE), -1500000000);
	assert_int_equal(world_sql(w, "SELECT balance_nano FROM account WHERE name = 'alice'"), 89500000000);
	script_all(w, s->answers);
}

static void
begin_old(struct sweep *s)
{
	world_make_old(&s->w);
}

static void
live_old(struct sweep *s)
{
	world_round(&s->w);
}

static void
check_old(struct sweep *s)
{
	assert_int_equal(world_balance(&s->w, 1000), 7000000000);
	assert_int_equal(world_sql(&s->w, "SELECT count(*) FROM posting"), 4);
	assert_int_equal(world_balance(&s->w, HOUSE_TRANSIT), 0);
}

static const struct scene {
	const char *name;
	bool with_board;
	void (*begin)(struct sweep *s), (*live)(struct sweep *s), (*check)(struct sweep *s);
} scenes[] = {
	{"orders beside traffic", true, begin_traffic, live_traffic, check_traffic},
	{"orders without a server", false, begin_alone, live_alone, check_alone},
	{"what time brings", true, begin_late, live_late, check_late},
	{"an older store", true, begin_old, live_old, check_old},
};

/* ---- faults ---- */

enum what { KILL,
	FAIL,
	SHORT_WRITE,
	CUT, /* the connection ends, and this call says so */
	LATE, /* the call is made, and an error is all that is heard of it */
	ALLOCATION };

enum { FILES = 1,
	POSTGRES = 2 };

static const struct fault {
	const char *name;
	enum what what;
	int error;
	bool ever;
	unsigned stores; /* where there is such a thing */
} faults[] = {
	{"killed", KILL, 0, false, FILES | POSTGRES},
	{"EIO once", FAIL, EIO, false, FILES},
	{"EIO from then on", FAIL, EIO, true, FILES},
	{"ENOSPC once", FAIL, ENOSPC, false, FILES},
	{"ENOSPC from then on", FAIL, ENOSPC, true, FILES},
	{"half a write", SHORT_WRITE, 0, false, FILES},
	{"cut, ECONNRESET", CUT, ECONNRESET, false, POSTGRES},
	{"cut, EPIPE", CUT, EPIPE, false, POSTGRES},
	{"cut, EIO", CUT, EIO, false, POSTGRES},
	{"cut from then on", CUT, ECONNRESET, true, POSTGRES},
	{"done, said ECONNRESET", LATE, ECONNRESET, false, POSTGRES},
	{"done, said EIO", LATE, EIO, false, POSTGRES},
	{"half of it", SHORT_WRITE, 0, false, POSTGRES},
	{"no memory once", ALLOCATION, 0, false, FILES},
	{"no memory from then on", ALLOCATION, 0, true, FILES},
};

static unsigned
store_here(void)
{
	return world_on_postgres() ? POSTGRES : FILES;
}

/* Which system calls on files can fail like that. Locks don't: SQLite would wait ten seconds for each. */
static bool
file_can_fail(const struct fault *f, long number)
{
	switch (number) {
	case SYS_pwrite64:
		return true;
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_openat:
		return f->what == FAIL;
	case SYS_pread64:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_unlink:
	case SYS_newfstatat:
	case SYS_fstat:
		return f->what == FAIL && f->error == EIO;
	default:
		return false;
	}
}

static bool
can_fail(const struct fault *f, long number)
{
	switch (f->what) {
	case FAIL:
	case SHORT_WRITE:
		return f->stores == FILES ? file_can_fail(f, number) : number == SYS_sendto || number == SYS_recvfrom;
	case CUT:
		return number == SYS_sendto || number == SYS_recvfrom || number == SYS_connect;
	case LATE: /* after a send, it is a cut of the next read */
		return number == SYS_recvfrom;
	case KILL:
		return true;
	case ALLOCATION:
		return false;
	}
	return false;
}

/* ---- an allocator that fails ---- */

static sqlite3_mem_methods real_memory;
static int64_t *allocations; /* shared with the one that watches */
static int64_t first_failing, last_failing;

static bool
refuses(void)
{
	int64_t n = (*allocations)++;
	return n >= first_failing && n <= last_failing;
}

static void *
a_malloc(int bytes)
{
	return refuses() ? NULL : real_memory.xMalloc(bytes);
}

static void *
a_realloc(void *p, int bytes)
{
	return refuses() ? NULL : real_memory.xRealloc(p, bytes);
}

static void
fail_allocations(const struct fault *f, int64_t at)
{
	static sqlite3_mem_methods methods;
	*allocations = 0;
	first_failing = at;
	last_failing = f->ever ? INT64_MAX : at;
	sqlite3_shutdown();
	if (real_memory.xMalloc == NULL)
		sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
	methods = real_memory;
	methods.xMalloc = a_malloc;
	methods.xRealloc = a_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

/* ---- a ledger's life, watched ---- */

enum { LIFE_DONE = 10,
	LIFE_NOT_OPENED };

static _Noreturn void
life(struct sweep *s, const struct scene *scene, const struct fault *f, int64_t at)
{
	char why[256];
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	if (f->what == ALLOCATION)
		fail_allocations(f, at);
	else if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(3);
	else
		raise(SIGSTOP);
	if (!world_try_open(&s->w, scene->with_board, why))
		_exit(LIFE_NOT_OPENED);
	scene->live(s);
	world_close(&s->w);
	_exit(LIFE_DONE);
}

struct watched {
	int64_t calls; /* that could be disturbed */
	bool hit;
	int status;
};

static bool
next_stop(pid_t pid, int *status)
{
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	assert_int_equal(waitpid(pid, status, 0), pid);
	return WIFSTOPPED(*status);
}

/* Stopped before a call: let it do half, or nothing. */
static void
disturb(pid_t pid, const struct fault *f, struct user_regs_struct *regs)
{
	if (f->what == LATE)
		return;
	if (f->what == SHORT_WRITE)
		regs->rdx = regs->rdx > 1 ? regs->rdx / 2 : regs->rdx;
	else if (f->what == CUT && regs->orig_rax != SYS_connect) {
		/* In its place, on the same descriptor: the other side hears of it as well, and what is asked next finds no connection. */
		regs->orig_rax = SYS_shutdown;
		regs->rsi = SHUT_RDWR;
	} else
		regs->orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGS, pid, NULL, regs);
}

static void
tell(pid_t pid, const struct fault *f)
{
	struct user_regs_struct regs;
	if (f->what != FAIL && f->what != CUT && f->what != LATE)
		return;
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	regs.rax = (unsigned long long)-(long long)f->error;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

static int64_t calls_seen[ARRAY_LEN(faults)]; /* by one life: where each fault could be */

static void
count_calls(long number)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		calls_seen[i] += can_fail(&faults[i], number);
}

/* One stop before a call. False: killed. */
static bool
before_call(pid_t pid, const struct fault *f, int64_t at, struct watched *x, bool *ret_disturbed)
{
	struct user_regs_struct regs;
	*ret_disturbed = false;
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	if (regs.orig_rax == SYS_madvise) /* an allocator's, and a sanitizer's comes by the clock */
		return true;
	count_calls((long)regs.orig_rax);
	if (f->what == KILL) {
		x->hit = x->calls++ == at;
		return !x->hit;
	}
	if (!can_fail(f, (long)regs.orig_rax))
		return true;
	bool now = f->ever ? x->calls >= at : x->calls == at;
	x->calls++;
	if (now) {
		x->hit = *ret_disturbed = true;
		disturb(pid, f, &regs);
	}
	return true;
}

static struct watched
watch(pid_t pid, const struct fault *f, int64_t at)
{
	struct watched x = {0};
	bool before = true, disturbed = false;
	assert_int_equal(waitpid(pid, &x.status, 0), pid);
	assert_true(WIFSTOPPED(x.status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (next_stop(pid, &x.status)) {
		if (WSTOPSIG(x.status) != (SIGTRAP | 0x80)) {
			kill(pid, SIGKILL); /* a signal: an assertion of its own */
			assert_int_equal(waitpid(pid, &x.status, 0), pid);
			fail_msg("the ledger raised a signal");
		}
		if (!before && disturbed)
			tell(pid, f);
		if (before && !before_call(pid, f, at, &x, &disturbed)) {
			kill(pid, SIGKILL);
			assert_int_equal(waitpid(pid, &x.status, 0), pid);
			break;
		}
		before = !before;
	}
	return x;
}

static struct watched
live(struct sweep *s, const struct scene *scene, const struct fault *f, int64_t at)
{
	struct watched x = {0};
	pid_t pid = fork();
	if (pid == 0)
		life(s, scene, f, at);
	if (f->what != ALLOCATION) {
		x = watch(pid, f, at);
	} else {
		assert_int_equal(waitpid(pid, &x.status, 0), pid);
		x.calls = *allocations;
		x.hit = x.calls > at;
	}
	if (WIFSIGNALED(x.status) && WTERMSIG(x.status) != SIGKILL)
		fail_msg("the ledger ended by signal %d", WTERMSIG(x.status));
	return x;
}

/* ---- one point ---- */

static void
begin(struct sweep *s, const struct scene *scene)
{
	*s = (struct sweep){0};
	s->answers = mmap(NULL, sizeof(*s->answers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_begin(&s->w);
	scene->begin(s);
	if (s->w.ledger != NULL)
		world_kill_ledger(&s->w);
}

static void
end(struct sweep *s)
{
	munmap(s->answers, sizeof(*s->answers));
	world_drop_schema(&s->w);
	world_end(&s->w);
}

static void
check(struct sweep *s, const struct scene *scene)
{
	struct world *w = &s->w;
	world_open(w, scene->with_board);
	if (scene->with_board)
		assert_int_equal(board_check(w->ledger_board, balance, w), 0);
	world_is_sound(w);
	scene->check(s);
	if (scene->with_board)
		assert_int_equal(board_check(w->ledger_board, balance, w), 0);
	world_is_sound(w);
}

static const char *doing; /* for who looks at a failure */

/* again ≥ 0: the successor is killed before that call of its own. */
static bool
point(const struct scene *scene, const struct fault *f, int64_t at, int64_t again)
{
	static char text[160];
	struct sweep s;
	snprintf(text, sizeof(text), "%s, %s, at %lld, again at %lld", scene->name, f->name, (long long)at, (long long)again);
	doing = text;
	begin(&s, scene);
	bool hit = live(&s, scene, f, at).hit;
	if (again >= 0)
		live(&s, scene, &faults[0], again);
	check(&s, scene);
	end(&s);
	return hit;
}

/* One life shows for all faults that are of calls, one more for each of allocations. */
static void
measure(const struct scene *scene, int64_t ret[ARRAY_LEN(faults)])
{
	struct sweep s;
	memset(calls_seen, 0, sizeof(calls_seen));
	begin(&s, scene);
	live(&s, scene, &faults[0], INT64_MAX);
	end(&s);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		ret[i] = calls_seen[i];
		if (faults[i].what != ALLOCATION || !(faults[i].stores & store_here()))
			continue;
		begin(&s, scene);
		ret[i] = live(&s, scene, &faults[i], INT64_MAX).calls;
		end(&s);
	}
}

/* ---- all of them, or an even share ---- */

struct row {
	const struct scene *scene;
	const struct fault *fault;
	int64_t calls, weight, done, missed;
};

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static void
sweep(struct row *r, int64_t share, uint64_t seed)
{
	uint64_t random = seed;
	for (int64_t i = 0; i < share; i++) {
		bool all = i < r->calls && share >= r->calls;
		int64_t at = all ? i : share >= r->calls ? (int64_t)(next_random(&random) % (uint64_t)r->calls)
												 : (i * r->calls + (int64_t)(seed % 7)) / share;
		int64_t again = all || share < r->calls ? -1 : (int64_t)(next_random(&random) % 500);
		r->missed += !point(r->scene, r->fault, at < r->calls ? at : r->calls - 1, again);
		r->done++;
	}
	print_message("%-24s %-24s %6lld calls, %6lld points\n", r->scene->name, r->fault->name, (long long)r->calls, (long long)r->done);
}

/* Allocations are many, and neighbours alike. */
static void
weigh(struct row *r)
{
	r->weight = r->fault->what == ALLOCATION ? 1 + r->calls / 32 : r->calls;
}

static int64_t
points_wanted(void)
{
	const char *text = getenv("LETHE_CRASH_POINTS");
	int64_t n = text != NULL ? strtoll(text, NULL, 10) : 0;
	return n > 0 ? n : world_on_postgres() ? POINTS_POSTGRES
										   : POINTS_DEFAULT;
}

static void
nothing_is_lost_or_doubled_wherever_the_ledger_is_stopped(void **state)
{
	struct row rows[ARRAY_LEN(scenes) * ARRAY_LEN(faults)];
	int64_t all = 0, possible = 0, done = 0, wanted = points_wanted();
	const char *seed = getenv("LETHE_CRASH_SEED");
	size_t count = 0;
	for (size_t s = 0; s < ARRAY_LEN(scenes); s++) {
		int64_t calls[ARRAY_LEN(faults)];
		measure(&scenes[s], calls);
		for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
			if (!(faults[f].stores & store_here()))
				continue;
			rows[count] = (struct row){.scene = &scenes[s], .fault = &faults[f], .calls = calls[f]};
			weigh(&rows[count]);
			possible += rows[count].calls;
			all += rows[count++].weight;
		}
	}
	for (size_t i = 0; i < count; i++) {
		int64_t share = wanted >= possible ? rows[i].calls : rows[i].weight * wanted / all;
		/* The short form on PostgreSQL has fewer points than rows: a few of these, spread. */
		if (share == 0 && wanted < (int64_t)count && (int64_t)i * wanted / (int64_t)count == ((int64_t)i + 1) * wanted / (int64_t)count)
			continue;
		sweep(&rows[i], share > 0 ? share : 1, seed != NULL ? strtoull(seed, NULL, 10) : 1);
		done += rows[i].done;
		assert_true(rows[i].missed <= rows[i].done / 2); /* a fault in each of them, or nearly */
	}
	print_message("%lld points of %lld, nothing lost, nothing doubled\n", (long long)done, (long long)possible);
}

static int
say_where(void **state)
{
	if (doing != NULL)
		print_message("the last point: %s\n", doing);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_is_lost_or_doubled_wherever_the_ledger_is_stopped, say_where),
	};
	/* Two processes that wait for each other at each call: on one processor they don't wake another one each time. */
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	allocations = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* What was written is there after a kill, wherever it was written: memory is as good as a disk, and quicker. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
