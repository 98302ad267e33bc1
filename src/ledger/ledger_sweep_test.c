/*
 * Every order, exchange and chore, stopped or disturbed at every system call: killed before it; the call fails with EIO or ENOSPC, once or from
 * then on, or does half of its work; an allocation fails. Beside a PostgreSQL (tool/with_postgres.sh) the connection is lost at every call on it instead: before the
 * call, or after it, so that nobody knows whether it was. Then a successor is started, and killed as well where points are left over; after it
 * everything must be there that was answered, everything is given again and done once, and the books must be sound.
 *
 * What a point begins from is made once for each scene and kept (ledger_kept.h); the calls of a life are caught by a filter (seccomp) and made, or not, by a handler
 * in the life itself. On a file clock and dice are the test's, so that a life is the same each time up to its fault; of faults that left the very same behind, on the
 * disk and in shared memory, the first is looked at. LETHE_CRASH_POINTS: how many of them; the default is a share of all that fits CI. LETHE_CRASH_PART=A..B: of those only the A-th to the B-th, each part an
 * even sample. LETHE_CRASH_JOBS: so many at a time. `./dev crash [--store postgres] --points N [--part A..B] [--jobs N]` sets them.
 */
#include "ledger/ledger_kept.h"
#include "ledger/ledger_script.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { POINTS_DEFAULT = 150,
	POINTS_POSTGRES = 8,
	JOBS_MAX = 16,
	TICKETS_BOOKED = 2,
	TICKETS_SETTLED = 2 };

#define LATER_US 4102531200000000ULL /* 2100-01-02 */

/* ---- clock and dice: on a file each life is the same up to its fault, so that two which left the same behind can be told ---- */

static uint64_t seed, wall_us = 1790000000000000ULL, dice;

uint64_t __wrap_clock_monotonic_ms(void), __wrap_clock_monotonic_us(void), __wrap_clock_wall_us(void);
uint64_t __real_clock_monotonic_us(void), __real_clock_wall_us(void);

uint64_t
__wrap_clock_wall_us(void)
{
	return world_on_postgres() ? __real_clock_wall_us() : ++wall_us;
}

uint64_t
__wrap_clock_monotonic_us(void)
{
	return world_on_postgres() ? __real_clock_monotonic_us() : ++wall_us / 2;
}

uint64_t
__wrap_clock_monotonic_ms(void)
{
	return __wrap_clock_monotonic_us() / 1000;
}

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static void
throw_many(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)next_random(&dice);
}

static uint32_t
throw_one(void)
{
	return (uint32_t)(next_random(&dice) << 8 ^ next_random(&dice));
}

static const char *
dice_name(void)
{
	return "dice";
}

static void
set_dice(uint64_t to)
{
	static struct randombytes_implementation ours = {.implementation_name = dice_name, .random = throw_one, .buf = throw_many};
	if (world_on_postgres())
		return;
	dice = to;
	randombytes_set_implementation(&ours);
	sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)to, NULL);
	sqlite3_randomness(0, NULL); /* the next asks for the seed */
}

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
	/* That of alice waits for a hold without an end. */
	json_decref(world_must(w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "bob", "amount", "1", "expires", "2100-01-01"));
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
	assert_int_equal(world_balance(w, HOUSE_FREE), -2000000000);
	assert_int_equal(world_sql(w, "SELECT balance_nano FROM account WHERE name = 'alice'"), 90000000000);
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

/* ---- a ledger's life, and its system calls ---- */

enum { LIFE_DONE = 10,
	LIFE_NOT_OPENED };

static const int failing_calls[] = {SYS_pwrite64, SYS_ftruncate, SYS_fallocate, SYS_openat, SYS_pread64, SYS_fsync, SYS_fdatasync, SYS_unlink, SYS_newfstatat, SYS_fstat,
	SYS_sendto, SYS_recvfrom, SYS_connect};

/* Of one life; shared with who waits for its end. */
static struct watched {
	int64_t calls; /* that could be disturbed */
	int64_t each[ARRAY_LEN(faults)]; /* where each fault could be, when nothing is */
	bool hit;
} *watched;

static const struct fault *fault; /* of this life, and where */
static int64_t fault_at;

/* The one place from which a call goes through. */
long call_through(long number, const greg_t args[6]);
extern const char call_returns[];
__asm__(".text\n"
		"call_through: mov %rdi, %rax\n"
		"mov %rsi, %r11\n"
		"mov (%r11), %rdi\n"
		"mov 8(%r11), %rsi\n"
		"mov 16(%r11), %rdx\n"
		"mov 24(%r11), %r10\n"
		"mov 32(%r11), %r8\n"
		"mov 40(%r11), %r9\n"
		"syscall\n"
		"call_returns: ret\n");

static void
die(void)
{
	long pid = call_through(SYS_getpid, (greg_t[6]){0});
	call_through(SYS_kill, (greg_t[6]){pid, SIGKILL});
}

static long
disturbed(long number, greg_t args[6])
{
	switch (fault->what) {
	case KILL:
		die();
		break;
	case CUT:
		/* In its place, on the same descriptor: the other side hears of it as well, and what is asked next finds no connection. */
		if (number != SYS_connect)
			call_through(SYS_shutdown, (greg_t[6]){args[0], SHUT_RDWR});
		break;
	case LATE:
		call_through(number, args);
		break;
	case SHORT_WRITE:
		args[2] = args[2] > 1 ? args[2] / 2 : args[2];
		return call_through(number, args);
	case FAIL:
	case ALLOCATION:
		break;
	}
	return -fault->error;
}

static void
count_call(long number)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		watched->each[i] += can_fail(&faults[i], number);
}

/* In place of a call that the filter catches: what it returns is made here. */
static void
on_call(int signal, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	greg_t args[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
	long number = info->si_syscall;
	int64_t call = watched->calls++;
	if (fault_at == INT64_MAX)
		count_call(number);
	if (fault->ever ? call < fault_at : call != fault_at) {
		r[REG_RAX] = call_through(number, args);
		return;
	}
	watched->hit = true;
	r[REG_RAX] = disturbed(number, args);
}

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UPPER_IP BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4)
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, skipped)
#define PASSES BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define IS_CAUGHT BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)

/*
 * From here on each call that the fault is about is caught; all of them, for a kill. Not an allocator's: a sanitizer's come by the clock. A tracer would see them as
 * well, for two changes of process at each.
 */
static void
catch_calls(void)
{
	uintptr_t through = (uintptr_t)call_returns;
	struct sock_filter filter[2 * ARRAY_LEN(failing_calls) + 12] = {
		LOAD(instruction_pointer), UNLESS(through, 3), UPPER_IP, UNLESS(through >> 32, 1), PASSES,
		LOAD(nr), UNLESS(SYS_rt_sigreturn, 1), PASSES, UNLESS(SYS_madvise, 1), PASSES};
	unsigned short len = 10;
	for (size_t i = 0; fault->what != KILL && i < ARRAY_LEN(failing_calls); i++)
		if (can_fail(fault, failing_calls[i])) {
			filter[len++] = (struct sock_filter)UNLESS(failing_calls[i], 1);
			filter[len++] = (struct sock_filter)IS_CAUGHT;
		}
	filter[len++] = fault->what == KILL ? (struct sock_filter)IS_CAUGHT : (struct sock_filter)PASSES;
	struct sock_fprog program = {len, filter};
	struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
	if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(4);
}

static _Noreturn void
life(struct sweep *s, const struct scene *scene)
{
	char why[256];
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fault->what == ALLOCATION)
		fail_allocations(fault, fault_at);
	else
		catch_calls();
	if (!world_try_open(&s->w, scene->with_board, why))
		_exit(LIFE_NOT_OPENED);
	scene->live(s);
	world_close(&s->w);
	_exit(LIFE_DONE);
}

static void
live(struct sweep *s, const struct scene *scene, const struct fault *f, int64_t at)
{
	int status;
	fault = f;
	fault_at = at;
	*watched = (struct watched){0};
	*allocations = 0;
	pid_t pid = fork();
	if (pid == 0)
		life(s, scene);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (f->what == ALLOCATION) {
		watched->calls = *allocations;
		watched->hit = watched->calls > at;
	}
	if (WIFSIGNALED(status) && (WTERMSIG(status) != SIGKILL || f->what != KILL || !watched->hit))
		fail_msg("the ledger ended by signal %d", WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) != LIFE_DONE && WEXITSTATUS(status) != LIFE_NOT_OPENED)
		fail_msg("the ledger could not be watched: %d", WEXITSTATUS(status));
}

/* ---- what each point begins from ---- */

static struct start {
	struct sweep sweep;
	struct world_kept *world;
	struct script_answers answers;
	uint64_t wall_us;
	bool own; /* of this process */
} starts[ARRAY_LEN(scenes)];

static void *
shared_memory(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	return m;
}

static void
make_start(size_t scene)
{
	struct start *x = &starts[scene];
	struct world *w = &x->sweep.w;
	x->sweep.answers = shared_memory(sizeof(*x->sweep.answers));
	set_dice(seed);
	world_begin(w);
	scenes[scene].begin(&x->sweep);
	if (w->ledger != NULL)
		world_kill_ledger(w);
	x->world = world_keep(w);
	memcpy(&x->answers, x->sweep.answers, sizeof(x->answers));
	x->wall_us = wall_us;
	world_forget(w);
}

static struct sweep *
begin(size_t scene, unsigned name)
{
	struct start *x = &starts[scene];
	if (!x->own) {
		x->sweep.answers = shared_memory(sizeof(*x->sweep.answers));
		world_own(&x->sweep.w, x->world, name * (unsigned)ARRAY_LEN(scenes) + (unsigned)scene);
		x->own = true;
	} else
		world_put_back(&x->sweep.w, x->world);
	memcpy(x->sweep.answers, &x->answers, sizeof(x->answers));
	return &x->sweep;
}

/* The time of the first life, of the second, and of who looks: the same each time, however far one came. */
static void
be_at(size_t scene, unsigned stage)
{
	enum { STAGE_US = 300000000 };
	wall_us = starts[scene].wall_us + (uint64_t)stage * STAGE_US;
	set_dice(seed + stage);
}

static void
end_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		if (starts[i].own)
			world_disown(&starts[i].sweep.w);
}

/* ---- what was looked at already ---- */

enum { KNOWN_MAX = 1 << 20 };

/* States in which a successor found the books sound: it would do the same on the same again. Between the processes. */
static struct {
	_Atomic int64_t count;
	struct {
		_Atomic uint64_t a, b;
	} digest[KNOWN_MAX];
} * known;

static struct world_digest
digest_of(const struct sweep *s, size_t scene)
{
	struct world_digest d = world_digest(&s->w, starts[scene].world);
	world_digest_add(&d, s->answers, sizeof(*s->answers));
	world_digest_add(&d, &scene, sizeof(scene));
	return d;
}

static bool
is_known(const struct world_digest *d)
{
	for (uint64_t i = d->a;; i++) {
		uint64_t a = atomic_load(&known->digest[i % KNOWN_MAX].a);
		if (a == 0)
			return false;
		if (a == d->a && atomic_load(&known->digest[i % KNOWN_MAX].b) == d->b)
			return true;
	}
}

static void
remember(const struct world_digest *d)
{
	if (atomic_fetch_add(&known->count, 1) >= KNOWN_MAX / 2)
		return;
	for (uint64_t i = d->a;; i++) {
		uint64_t none = 0;
		if (atomic_compare_exchange_strong(&known->digest[i % KNOWN_MAX].a, &none, d->a)) {
			atomic_store(&known->digest[i % KNOWN_MAX].b, d->b);
			return;
		}
	}
}

/* ---- one point ---- */

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
	world_kill_ledger(w);
}

static void
check_unless_known(struct sweep *s, size_t scene)
{
	be_at(scene, 2);
	if (world_on_postgres()) {
		check(s, &scenes[scene]);
		return;
	}
	struct world_digest d = digest_of(s, scene);
	if (is_known(&d))
		return;
	check(s, &scenes[scene]);
	remember(&d);
}

/* again ≥ 0: the successor is killed before that call of its own. */
static bool
point(size_t scene, const struct fault *f, int64_t at, int64_t again, unsigned name)
{
	struct sweep *s = begin(scene, name);
	be_at(scene, 0);
	live(s, &scenes[scene], f, at);
	bool hit = watched->hit;
	if (again >= 0) {
		be_at(scene, 1);
		live(s, &scenes[scene], &faults[0], again);
	}
	check_unless_known(s, scene);
	return hit;
}

static struct world_digest
live_undisturbed(size_t scene, const struct fault *f)
{
	struct sweep *s = begin(scene, JOBS_MAX);
	be_at(scene, 0);
	live(s, &scenes[scene], f, INT64_MAX);
	return world_on_postgres() ? (struct world_digest){0} : digest_of(s, scene);
}

/* One life shows for all faults that are of calls, one more for each of allocations; each leaves the same behind. */
static void
measure(size_t scene, int64_t ret[ARRAY_LEN(faults)])
{
	struct world_digest d = live_undisturbed(scene, &faults[0]);
	memcpy(ret, watched->each, sizeof(watched->each));
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (faults[i].what == ALLOCATION && (faults[i].stores & store_here())) {
			struct world_digest other = live_undisturbed(scene, &faults[i]);
			assert_memory_equal(&other, &d, sizeof(d));
			ret[i] = watched->calls;
		}
}

/* ---- all of them, or an even share ---- */

struct row {
	size_t scene;
	const struct fault *fault;
	int64_t calls, weight, share;
};

enum { ROWS = ARRAY_LEN(scenes) * ARRAY_LEN(faults) };

static struct plan {
	struct row rows[ROWS];
	size_t count;
	int64_t possible, points, step; /* step: between one point and the next, so that any part is an even sample */
} plan;

/* Between the processes. */
static struct {
	_Atomic int64_t next, done[ROWS], missed[ROWS];
	_Atomic int64_t number[JOBS_MAX]; /* of the point that each is at */
	char doing[JOBS_MAX][160]; /* for who looks at a failure */
} * seen;

/* The i-th of its row. Where points are left over, the successor is killed as well. */
static bool
point_of(const struct row *r, int64_t i, unsigned job, unsigned name)
{
	uint64_t random = seed + 0x9e3779b97f4a7c15ULL * ((uint64_t)i + 1);
	next_random(&random);
	bool all = i < r->calls && r->share >= r->calls, fewer = r->share < r->calls;
	int64_t at = all ? i : fewer ? (i * r->calls + (int64_t)(seed % 7)) / r->share
								 : (int64_t)(next_random(&random) % (uint64_t)r->calls);
	int64_t again = all || fewer ? -1 : (int64_t)(next_random(&random) % 500);
	at = at < r->calls ? at : r->calls - 1;
	snprintf(seen->doing[job], sizeof(seen->doing[job]), "%s, %s, at %lld, again at %lld", scenes[r->scene].name, r->fault->name, (long long)at, (long long)again);
	return point(r->scene, r->fault, at, again, name);
}

static void
numbered_point(int64_t number, unsigned job, unsigned name)
{
	int64_t i = (int64_t)((unsigned __int128)number * (uint64_t)plan.step % (uint64_t)plan.points);
	size_t row = 0;
	for (; i >= plan.rows[row].share; row++)
		i -= plan.rows[row].share;
	atomic_fetch_add(&seen->missed[row], !point_of(&plan.rows[row], i, job, name));
	atomic_fetch_add(&seen->done[row], 1);
}

static int64_t
number_of(const char *name, int64_t fallback)
{
	const char *text = getenv(name);
	int64_t n = text != NULL ? strtoll(text, NULL, 10) : 0;
	return n > 0 ? n : fallback;
}

/* Allocations are many, and neighbours alike. */
static void
add_row(size_t scene, const struct fault *f, int64_t calls)
{
	struct row r = {.scene = scene, .fault = f, .calls = calls};
	if (!(f->stores & store_here()) || calls == 0)
		return;
	r.weight = f->what == ALLOCATION ? 1 + calls / 32 : calls;
	plan.rows[plan.count++] = r;
	plan.possible += calls;
}

static bool
have_a_divisor(int64_t a, int64_t b)
{
	while (b != 0) {
		int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a > 1;
}

static void
share_out(int64_t wanted)
{
	int64_t all = 0;
	for (size_t i = 0; i < plan.count; i++)
		all += plan.rows[i].weight;
	for (size_t i = 0; i < plan.count; i++) {
		struct row *r = &plan.rows[i];
		r->share = wanted == plan.possible ? r->calls : r->weight * wanted / all;
		/* The short form on PostgreSQL has fewer points than rows: a few of these, spread. */
		bool left_out = wanted < (int64_t)plan.count && (int64_t)i * wanted / (int64_t)plan.count == ((int64_t)i + 1) * wanted / (int64_t)plan.count;
		if (r->share == 0 && !left_out)
			r->share = 1;
		plan.points += r->share;
	}
	plan.step = plan.points * 618 / 1000 + 1;
	while (have_a_divisor(plan.points, plan.step))
		plan.step++;
}

static void
make_plan(void)
{
	seed = (uint64_t)number_of("LETHE_CRASH_SEED", 1);
	for (size_t s = 0; s < ARRAY_LEN(scenes); s++) {
		int64_t calls[ARRAY_LEN(faults)];
		make_start(s);
		measure(s, calls);
		for (size_t f = 0; f < ARRAY_LEN(faults); f++)
			add_row(s, &faults[f], calls[f]);
	}
	end_all();
	share_out(number_of("LETHE_CRASH_POINTS", world_on_postgres() ? POINTS_POSTGRES : POINTS_DEFAULT));
}

/* ---- at work ---- */

/* Two processes that wait for each other at each call: on one processor they don't wake another one each time. */
static void
stay_on(unsigned processor)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

enum { FAILED_MAX = 20 };

struct run {
	int64_t first, end;
	time_t began;
	pid_t pids[JOBS_MAX];
	unsigned jobs, running, failed;
};

/* name: no other one of this run has it */
static _Noreturn void
work(unsigned job, unsigned name, int64_t end)
{
	int64_t number;
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	stay_on((unsigned)(sched_getcpu() + (int)job) % (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
	allocations = shared_memory(sizeof(*allocations));
	watched = shared_memory(sizeof(*watched));
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		starts[i].own = false;
	while ((number = atomic_fetch_add(&seen->next, 1)) < end) {
		atomic_store(&seen->number[job], number);
		numbered_point(number, job, name);
	}
	atomic_store(&seen->number[job], end);
	end_all();
	_exit(0);
}

static volatile sig_atomic_t enough; /* somebody wants it to end: with the points that are under way */

static void
stop(int signal)
{
	enough = 1;
}

static int64_t
points_done(void)
{
	int64_t sum = 0;
	for (size_t i = 0; i < plan.count; i++)
		sum += atomic_load(&seen->done[i]);
	return sum;
}

/* All before it were done: where another run could go on. */
static int64_t
first_under_way(unsigned jobs, int64_t end)
{
	int64_t first = end;
	for (unsigned i = 0; i < jobs; i++) {
		int64_t number = atomic_load(&seen->number[i]);
		first = number < first ? number : first;
	}
	return first;
}

static void
tell_progress(const struct run *r)
{
	enum { LONG_RUN = 1000,
		EACH_S = 30 };
	static time_t told;
	time_t now = time(NULL);
	int64_t wanted = r->end - r->first, done = points_done();
	if (wanted < LONG_RUN || now < told + EACH_S)
		return;
	told = now;
	fprintf(stderr, "%lld of %lld points, %.1f a second, %u violations; to go on from here: --part %lld..%lld\n", (long long)done, (long long)wanted,
		now > r->began ? (double)done / (double)(now - r->began) : 0.0, r->failed, (long long)first_under_way(r->jobs, r->end) + 1, (long long)r->end);
}

static void
start_job(struct run *r, unsigned i, unsigned name)
{
	atomic_store(&seen->number[i], r->first);
	fflush(NULL);
	r->pids[i] = fork();
	if (r->pids[i] == 0)
		work(i, name, r->end);
	r->running++;
}

/* One that failed is said, and the next points are looked at all the same: not for ever. */
static void
job_ended(struct run *r, unsigned i, int status)
{
	r->running--;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	print_message("the point that failed: %s\n", seen->doing[i]);
	if (++r->failed < FAILED_MAX)
		start_job(r, i, JOBS_MAX + r->failed);
	else
		enough = 1;
}

static void
run_jobs(struct run *r)
{
	for (unsigned i = 0; i < r->jobs; i++)
		start_job(r, i, i);
	while (r->running > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		tell_progress(r);
		if (enough)
			atomic_store(&seen->next, r->end);
		if (pid <= 0) {
			usleep(20000);
			continue;
		}
		for (unsigned i = 0; i < r->jobs; i++)
			if (r->pids[i] == pid)
				job_ended(r, i, status);
	}
}

static void
report(int64_t first, int64_t end, int64_t done, unsigned failed)
{
	for (size_t i = 0; i < plan.count; i++) {
		const struct row *r = &plan.rows[i];
		if (seen->done[i] != 0)
			print_message("%-24s %-24s %6lld calls, %6lld points\n", scenes[r->scene].name, r->fault->name, (long long)r->calls, (long long)seen->done[i]);
	}
	if (done < end - first)
		print_message("ended early: what is left of these %lld points is about --part %lld..%lld\n", (long long)plan.points, (long long)(first + done + 1), (long long)end);
	if (known->count != 0)
		print_message("%lld different states were left behind, each looked at once\n", (long long)known->count);
	print_message(failed == 0 ? "%lld points of %lld, nothing lost, nothing doubled\n" : "%lld points of %lld, %u violations\n", (long long)done, (long long)plan.possible, failed);
}

static void
nothing_is_lost_or_doubled_wherever_the_ledger_is_stopped(void **state)
{
	const char *part = getenv("LETHE_CRASH_PART");
	char *rest;
	seen = shared_memory(sizeof(*seen));
	make_plan();
	int64_t first = 0, end = plan.points;
	if (part != NULL) {
		first = strtoll(part, &rest, 10) - 1;
		end = strncmp(rest, "..", 2) == 0 ? strtoll(rest + 2, NULL, 10) : 0;
		end = end < plan.points ? end : plan.points;
		if (first < 0 || end <= first)
			fail_msg("LETHE_CRASH_PART is A..B of 1..%lld, not %s", (long long)plan.points, part);
	}
	atomic_store(&seen->next, first);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	int64_t jobs = number_of("LETHE_CRASH_JOBS", 1);
	struct run r = {.first = first, .end = end, .began = time(NULL), .jobs = (unsigned)(jobs < JOBS_MAX ? jobs : JOBS_MAX)};
	run_jobs(&r);
	report(first, end, points_done(), r.failed);
	assert_int_equal(r.failed, 0);
	for (size_t i = 0; i < plan.count; i++)
		assert_true(seen->missed[i] <= (seen->done[i] + 1) / 2); /* a fault in each of them, or nearly */
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		world_kept_free(&starts[i].world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_or_doubled_wherever_the_ledger_is_stopped),
	};
	stay_on((unsigned)sched_getcpu());
	/* As long as it moves, large pieces come from what was freed before, and are cleared and copied for nothing. */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	allocations = shared_memory(sizeof(*allocations));
	watched = shared_memory(sizeof(*watched));
	known = shared_memory(sizeof(*known));
	/* What was written is there after a kill, wherever it was written: memory is as good as a disk, and quicker. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
