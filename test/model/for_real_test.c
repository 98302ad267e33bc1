/*
 * docs/ticket-protocol.md, section 13: processes for real. Three edges and a ledger do all that the protocol
 * knows, on few rows and fewer slots. Between any two of their accesses to shared memory a hook (TICKET_HOOK)
 * dawdles or raises a real SIGKILL; others come from outside. After each epoch traffic stops: T4 is checked,
 * and each edge's witness is compared with the database.
 *
 * LETHE_SECONDS (default 8) and LETHE_SEED choose how long and which run.
 */
#include "model/world.h"

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { EDGES = 3,
	PER_EDGE = 6,
	SLOTS = 3,
	ROWS = 4,
	WITNESS_MAX = 1 << 16,
	EPOCH_MS = 700 };
enum { EDGE_LIFE = 6000,
	LEDGER_LIFE = 3000 }; /* accesses to shared memory, at most */
#define NOW_MS 1700000000000ULL

/* ---- chance ---- */

static uint64_t chance_state = 1;

static uint64_t
chance(uint64_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (chance_state >> 11) % below;
}

/* ---- the hook ---- */

static uint64_t accesses_left; /* 0: this process is not killed by the hook */
static bool dawdles;

void ticket_hook(void);

void
ticket_hook(void)
{
	if (accesses_left && !--accesses_left)
		kill(getpid(), SIGKILL);
	if (dawdles && !chance(48))
		sched_yield();
}

/* ---- what all processes share beside the board ---- */

/* The edges stop first; the ledger when they are gone and nothing is left to book. */
enum stage { TRAFFIC,
	EDGES_STOP,
	ALL_STOP };

enum phase { BEGUN,
	REFUSED,
	HELD_ON };

/* What an edge knows about one of its exchanges; written before and after the deed. */
struct witness {
	uint64_t id;
	int64_t intended, stated;
	enum phase phase;
};

struct control {
	_Atomic enum stage stage;
	_Atomic uint32_t hint[ROWS];
	_Atomic bool wanted[ROWS];
	_Atomic uint64_t refusals, moves_away, exchanges; /* that all of it happens is checked */
	_Atomic uint32_t witnesses[EDGES];
	struct witness witness[EDGES][WITNESS_MAX];
};

static struct world world;
static struct control *control;
static int wake_fd;
static uint64_t seed;

static void
count(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* ---- an edge ---- */

struct exchange {
	struct ticket *ticket;
	struct witness *witness;
};

struct edge {
	struct ticket_desk *desk;
	struct exchange open[PER_EDGE];
	unsigned count, number;
};

static struct witness *
begin_witness(struct edge *e, uint64_t id)
{
	uint32_t n = atomic_load(&control->witnesses[e->number]);
	struct witness *w = &control->witness[e->number][n];
	*w = (struct witness){.id = id, .phase = BEGUN};
	keep_order();
	atomic_store(&control->witnesses[e->number], n + 1);
	return w;
}

/* Rows 0; 3; 1 and 0; 2, 1 and 0: accounts and the budgets in front of them. */
static unsigned
choose_legs(struct ticket_leg *leg)
{
	unsigned legs = (unsigned)chance(4), n = legs ? legs : 1;
	for (unsigned k = 0; k < n; k++) {
		unsigned row = legs ? legs - 1 - k : 3;
		leg[k].row = WORLD_FIRST_ROW + row;
		leg[k].slot = chance(16) ? atomic_load(&control->hint[row]) : (uint32_t)chance(SLOTS + 1);
	}
	return n;
}

static void
begin_exchange(struct edge *e)
{
	struct ticket_leg leg[TICKET_LEGS_MAX];
	struct nano there;
	if (e->count == PER_EDGE || atomic_load(&control->witnesses[e->number]) == WITNESS_MAX)
		return;
	struct ticket *t = ticket_pick(e->desk);
	if (!t) {
		sched_yield(); /* all handed in */
		return;
	}
	unsigned legs = choose_legs(leg);
	uint64_t id = ticket_next_id(e->desk, NOW_MS + chance(1000));
	struct witness *w = begin_witness(e, id);
	enum moved m = ticket_take(e->desk, t, id, leg, legs, (struct nano){1 + (int64_t)chance(40)}, &there);
	keep_order();
	w->phase = m == MOVED ? HELD_ON : REFUSED;
	if (m == MOVED) {
		e->open[e->count++] = (struct exchange){t, w};
		return;
	}
	count(m == SHORT ? &control->refusals : &control->moves_away);
	for (unsigned k = 0; m == GONE && k < legs; k++)
		atomic_store(&control->wanted[leg[k].row - WORLD_FIRST_ROW], true);
	ticket_unpick(e->desk, t);
}

static void
state(struct exchange *x)
{
	int64_t hold = ticket_hold(x->ticket).v;
	int64_t cost = x->witness->stated + (int64_t)chance((uint64_t)(hold - x->witness->stated) + 1);
	x->witness->intended = cost;
	keep_order();
	ticket_state_cost(x->ticket, (struct nano){cost});
	keep_order();
	x->witness->stated = cost;
}

static void
extend(struct edge *e, struct exchange *x)
{
	struct nano more = {ticket_hold(x->ticket).v + 1 + (int64_t)chance(20)};
	if (ticket_extend(e->desk, x->ticket, more) == SHORT)
		count(&control->refusals);
}

static void
finish(struct edge *e, unsigned i)
{
	ticket_settle(e->desk, e->open[i].ticket);
	e->open[i] = e->open[--e->count];
	count(&control->exchanges);
}

static void
edge_main(unsigned number, uint32_t incarnation)
{
	struct edge e = {.number = number};
	e.desk = ticket_desk_open(calloc(1, ticket_desk_bytes(world.board)), world.board, number, incarnation);
	board_set_wake_fd(e.desk, wake_fd);
	while (atomic_load(&control->stage) == TRAFFIC) {
		unsigned i = e.count ? (unsigned)chance(e.count) : 0;
		uint64_t what = chance(10);
		if (what < 4 || !e.count)
			begin_exchange(&e);
		else if (what < 7)
			state(&e.open[i]);
		else if (what < 8)
			extend(&e, &e.open[i]);
		else
			finish(&e, i);
	}
	while (e.count)
		finish(&e, 0);
}

/* ---- the ledger ---- */

static void
load_wanted(void)
{
	for (unsigned row = 0; row < ROWS; row++) {
		struct nano balance;
		uint32_t slot;
		if (!atomic_exchange(&control->wanted[row], false))
			continue;
		if (world_balance(world.db, WORLD_FIRST_ROW + row, &balance) &&
			board_load(world.board, WORLD_FIRST_ROW + row, balance, &slot))
			atomic_store(&control->hint[row], slot);
	}
	if (!chance(8) && board_evict(world.board, WORLD_FIRST_ROW + chance(ROWS)))
		return;
}

/* One request after the other; the one that was begun when the ledger before died is found again by its id. */
static void
serve_request(void)
{
	uint64_t id = world_last_request(world.db) + 1;
	uint64_t row = WORLD_FIRST_ROW + id % ROWS;
	struct nano balance, amount = {(int64_t)(id * 7 % 60 + 1)};
	uint32_t slot, index;
	bool poor = world_balance(world.db, row, &balance) && balance.v < 600;
	bool budget = row == WORLD_FIRST_ROW + 1, debit = !poor && id % 3;
	if (!board_find(world.board, row, &slot)) {
		bool possible = !debit || budget || balance.v >= amount.v;
		world_commit_request(world.db, id, row, !possible ? 0 : debit ? amount.v
																	  : -amount.v);
		return;
	}
	if (!debit) {
		if (!board_credit_begin(world.board, id, row, amount, &index))
			abort();
		return;
	}
	enum moved m = budget ? board_lower_begin(world.board, id, row, amount, &index)
						  : board_debit_begin(world.board, id, row, amount, &index);
	if (m == SHORT)
		world_commit_request(world.db, id, row, 0);
	else if (m == GONE)
		abort();
}

static void
sleep_until_called(int timeout_ms)
{
	uint64_t calls;
	if (!board_sleep_begin(world.board))
		return;
	struct pollfd p = {.fd = wake_fd, .events = POLLIN};
	if (poll(&p, 1, timeout_ms) > 0 && read(wake_fd, &calls, sizeof(calls)) < 0)
		abort(); /* nobody else reads it */
	board_sleep_end(world.board);
}

static void
ledger_main(void)
{
	world_ledger_start(&world);
	for (;;) {
		enum stage stage = atomic_load(&control->stage);
		bool idle = !world_round(&world);
		if (stage == ALL_STOP && idle)
			return;
		if (stage == TRAFFIC && !chance(6)) {
			load_wanted();
			serve_request();
		} else if (idle) {
			sleep_until_called(1);
		}
	}
}

/* ---- the supervisor ---- */

struct cast {
	pid_t pid[EDGES + 1]; /* the ledger last */
	uint32_t incarnation[EDGES];
	uint64_t deaths[2]; /* of edges, of ledgers */
};

static uint64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Nobody outlives the test, also when it ended before this child could ask for the signal. */
static void
end_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(0);
}

static void
start(struct cast *c, unsigned who)
{
	uint64_t its_chance = chance(UINT64_MAX) | 1;
	uint32_t incarnation = who < EDGES ? ++c->incarnation[who] : 0;
	pid_t parent = getpid();
	c->pid[who] = fork();
	if (c->pid[who])
		return;
	end_with(parent);
	chance_state = its_chance;
	dawdles = true;
	accesses_left = 1 + chance(who < EDGES ? EDGE_LIFE : LEDGER_LIFE);
	if (who < EDGES)
		edge_main(who, incarnation);
	else
		ledger_main();
	_exit(0);
}

static void
call_ledger(void)
{
	if (write(wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		abort();
}

/* Somebody is dead and reaped: say so on the board, only then start the next. */
static void
bury(struct cast *c, pid_t pid, int status)
{
	unsigned who = 0;
	while (who <= EDGES && c->pid[who] != pid)
		who++;
	assert_true(who <= EDGES);
	bool expected = WIFEXITED(status) ? !WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL;
	if (!expected)
		fail_msg("%s ended with status %x", who < EDGES ? "an edge" : "the ledger", status);
	c->pid[who] = 0;
	c->deaths[who == EDGES]++;
	if (who < EDGES) {
		board_mark_dead(world.board, who, c->incarnation[who]);
		call_ledger();
	}
	bool done = WIFEXITED(status) || (who < EDGES && atomic_load(&control->stage) != TRAFFIC);
	if (!done)
		start(c, who);
}

static void
reap(struct cast *c)
{
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);
	if (pid > 0)
		bury(c, pid, status);
	else
		poll(NULL, 0, 1);
}

static void
await_end(struct cast *c, unsigned from, unsigned to)
{
	uint64_t until = now_ms() + 20000;
	for (unsigned who = from; who <= to; who++)
		while (c->pid[who]) {
			if (now_ms() > until)
				fail_msg("the run does not come to rest");
			reap(c);
		}
}

static void
run_epoch(struct cast *c)
{
	uint64_t until = now_ms() + EPOCH_MS;
	atomic_store(&control->stage, TRAFFIC);
	for (unsigned e = 0; e < EDGES; e++)
		atomic_store(&control->witnesses[e], 0);
	for (unsigned who = 0; who <= EDGES; who++)
		start(c, who);
	while (now_ms() < until) {
		reap(c);
		pid_t victim = c->pid[chance(EDGES + 1)];
		if (!chance(40) && victim)
			kill(victim, SIGKILL);
	}
	atomic_store(&control->stage, EDGES_STOP);
	await_end(c, 0, EDGES - 1);
	atomic_store(&control->stage, ALL_STOP);
	await_end(c, EDGES, EDGES);
}

/* ---- what must be true when all is still ---- */

static int
by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct world_booking *)a)->id, y = ((const struct world_booking *)b)->id;
	return (x > y) - (x < y);
}

static const struct world_booking *
booking_of(struct world_half *h, uint64_t id)
{
	struct world_booking key = {.id = id};
	return bsearch(&key, world.db->log, h->bookings, sizeof(key), by_id);
}

/* Killed between the deed and the word about it, an edge's witness knows two answers; else one. */
static void
compare_with(const struct witness *w, const struct world_booking *b)
{
	bool right = w->phase == REFUSED ? !b
		: w->phase == BEGUN          ? !b || b->cost == 0
									 : b && (b->cost == w->stated || b->cost == w->intended);
	if (!right)
		fail_msg("T3: id %lu, phase %d, stated %ld, intended %ld: booked %s with %ld", w->id, w->phase, w->stated,
			w->intended, b ? "once" : "never", b ? b->cost : 0);
}

static uint64_t
compare_witnesses(void)
{
	struct world_half *h = &world.db->half[world.db->current];
	uint64_t of_edges = 0, seen = 0;
	qsort(world.db->log, h->bookings, sizeof(world.db->log[0]), by_id);
	for (uint32_t i = 0; i < h->bookings; i++) {
		of_edges += world.db->log[i].id >= WORLD_REQUEST_MAX;
		if (i && world.db->log[i].id == world.db->log[i - 1].id)
			fail_msg("T3: id %lu is booked twice", world.db->log[i].id);
	}
	for (unsigned e = 0; e < EDGES; e++)
		for (uint32_t i = 0; i < control->witnesses[e]; i++) {
			const struct world_booking *b = booking_of(h, control->witness[e][i].id);
			compare_with(&control->witness[e][i], b);
			seen += b != NULL;
		}
	assert_int_equal(seen, of_edges); /* nothing is booked that nobody began */
	uint64_t bookings = h->bookings;
	world.db->half[0].bookings = world.db->half[1].bookings = 0;
	return bookings;
}

static void *
map_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int
set_up(void **state)
{
	struct board_size size = {.edges = EDGES, .tickets_per_edge = PER_EDGE, .slots = SLOTS, .node = 3};
	world_create(&world, &size, ROWS, (const int64_t[]){3000, 2000, 1000, 500});
	world.below_zero[1] = true;
	control = map_shared(sizeof(*control));
	for (unsigned row = 0; row < ROWS; row++)
		atomic_store(&control->hint[row], row);
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	seed = setting("LETHE_SEED", (uint64_t)time(NULL));
	chance_state = seed * 2 + 1;
	return 0;
}

static int
tear_down(void **state)
{
	munmap(control, sizeof(*control));
	close(wake_fd);
	world_destroy(&world);
	return 0;
}

static void
money_is_right_whoever_is_killed(void **state)
{
	struct cast c = {0};
	uint64_t until = now_ms() + setting("LETHE_SECONDS", 8) * 1000, bookings = 0, requests = 0;
	while (now_ms() < until) {
		run_epoch(&c);
		const char *why = world_unrest(&world);
		if (why)
			fail_msg("%s (LETHE_SEED=%lu)", why, seed);
		bookings += compare_witnesses();
		requests = world_last_request(world.db);
	}
	print_message("    seed %lu: %lu exchanges handed in, %lu refused, %lu on stale hints, %lu requests, %lu bookings, "
				  "%lu deaths of edges, %lu of ledgers\n",
		seed, control->exchanges, control->refusals, control->moves_away, requests, bookings, c.deaths[0], c.deaths[1]);
	assert_true(control->exchanges && control->refusals && control->moves_away && requests);
	assert_true(c.deaths[0] > 10 && c.deaths[1] > 10);
}

/* ---- T5 ---- */

enum { HAND_INS = 3000 };

static void
hand_in_and_wait(unsigned number)
{
	struct ticket_desk *d = ticket_desk_open(calloc(1, ticket_desk_bytes(world.board)), world.board, number, 1);
	const struct ticket_leg leg = {.row = WORLD_FIRST_ROW, .slot = 0};
	board_set_wake_fd(d, wake_fd);
	for (unsigned i = 0; i < HAND_INS; i++) {
		struct ticket *t = ticket_pick(d);
		if (!t || ticket_take(d, t, ticket_next_id(d, NOW_MS), &leg, 1, (struct nano){1}, NULL) != MOVED)
			abort();
		ticket_settle(d, t);
		while (ticket_desk_in_flight(d))
			sched_yield();
	}
}

static void
book_and_sleep(void)
{
	world_ledger_start(&world);
	for (;;)
		if (!world_round(&world))
			sleep_until_called(-1); /* without the belt */
}

static pid_t
fork_dawdling(void)
{
	uint64_t its_chance = chance(UINT64_MAX) | 1;
	pid_t parent = getpid(), pid = fork();
	if (pid)
		return pid;
	end_with(parent);
	chance_state = its_chance;
	dawdles = true;
	return 0;
}

static void
no_hand_in_sleeps(void **state)
{
	pid_t ledger = fork_dawdling(), edge[2];
	if (!ledger)
		book_and_sleep();
	for (unsigned e = 0; e < ARRAY_LEN(edge); e++) {
		edge[e] = fork_dawdling();
		if (edge[e])
			continue;
		hand_in_and_wait(e);
		_exit(0);
	}
	uint64_t until = now_ms() + 30000;
	unsigned left = ARRAY_LEN(edge);
	while (left && now_ms() < until) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		assert_true(pid != ledger && (pid <= 0 || !status));
		left -= pid > 0;
		poll(NULL, 0, 1);
	}
	kill(ledger, SIGKILL);
	waitpid(ledger, NULL, 0);
	if (left) {
		for (unsigned e = 0; e < ARRAY_LEN(edge); e++)
			kill(edge[e], SIGKILL);
		fail_msg("T5: %u edges wait for a ledger that sleeps (LETHE_SEED=%lu)", left, seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(money_is_right_whoever_is_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_hand_in_sleeps, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("for real", tests, NULL, NULL);
}
