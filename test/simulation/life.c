/* One seed: what happens, step by step, and what must be true then. */
#include "simulation/sim.h"

#include "ledger/ledger_fresh.h"
#include "ledger/limit_priv.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 400,
	CALLS_FOR_EVER = 1 << 30 };

struct sim sim;

/* ---- the clock, and what else an operating system gives: --wrap puts these in the place of the real ones ---- */

uint64_t __wrap_clock_monotonic_ms(void), __wrap_clock_monotonic_us(void), __wrap_clock_wall_us(void);

uint64_t
__wrap_clock_monotonic_us(void)
{
	return sim.mono_us;
}

uint64_t
__wrap_clock_monotonic_ms(void)
{
	return sim.mono_us / 1000;
}

uint64_t
__wrap_clock_wall_us(void)
{
	return sim.wall_us;
}

static void
pass(uint64_t us)
{
	sim.mono_us += us;
	sim.wall_us += us;
	if (sim.wall_us > sim.latest_us)
		sim.latest_us = sim.wall_us;
}

static void
jump(int64_t us)
{
	sim.wall_us = (uint64_t)((int64_t)sim.wall_us + us);
	pass(0);
	trace("the clock jumps by %lld s", (long long)(us / 1000000));
}

static void
time_passes(void)
{
	static const uint32_t hours[] = {1, 24, 31 * 24};
	if (strikes(FAULT_CLOCK_FROZEN, 8)) {
		met(FAULT_CLOCK_FROZEN);
		return;
	}
	pass(one_in(30) ? 1000 * below(20000) : 1000 * below(120));
	if (strikes(FAULT_CLOCK_AHEAD, 80)) {
		met(FAULT_CLOCK_AHEAD);
		jump(3600000000LL * (1 + below(hours[below(3)])));
	}
	if (strikes(FAULT_CLOCK_BACK, 80)) {
		met(FAULT_CLOCK_BACK);
		jump(-1000000LL * (1 + below(7200)));
	}
}

/* ---- the disk ---- */

static struct {
	enum fault kind;
	uint32_t calls; /* until it strikes */
	uint32_t count; /* so often */
	uint32_t mended; /* at this step */
} armed;

static const struct {
	enum fault kind;
	unsigned calls; /* bits of enum disk_call */
	enum disk_fate fate;
	int code; /* 0: that of the call */
	uint32_t within, most; /* calls until it strikes, and how often it does */
} disk_faults[] = {
	{FAULT_WRITE_FAILS, 1U << DISK_WRITE, FATE_FAILS, 0, 40, 1},
	{FAULT_WRITE_TORN, 1U << DISK_WRITE, FATE_HALF, 0, 40, 1},
	{FAULT_WRITE_UNTOLD, 1U << DISK_WRITE, FATE_UNTOLD, 0, 40, 1},
	{FAULT_DISK_FULL, 1U << DISK_WRITE, FATE_FAILS, SQLITE_FULL, 20, 30},
	{FAULT_DISK_DEAD, 1U << DISK_WRITE | 1U << DISK_SYNC | 1U << DISK_TRUNCATE, FATE_FAILS, 0, 20, CALLS_FOR_EVER},
	{FAULT_SYNC_FAILS, 1U << DISK_SYNC, FATE_FAILS, 0, 4, 3},
	{FAULT_SYNC_UNTOLD, 1U << DISK_SYNC, FATE_UNTOLD, 0, 4, 3},
	{FAULT_SYNC_DROPS, 1U << DISK_SYNC, FATE_DROPS, 0, 4, 2},
	{FAULT_TRUNCATE_FAILS, 1U << DISK_TRUNCATE, FATE_FAILS, 0, 2, 2},
	{FAULT_READ_FAILS, 1U << DISK_READ, FATE_FAILS, 0, 20, 2},
	{FAULT_OPEN_FAILS, 1U << DISK_OPEN, FATE_FAILS, 0, 2, 1},
	{FAULT_DISK_SLOW, 1U << DISK_WRITE | 1U << DISK_SYNC, FATE_DONE, 0, 10, 3},
};

static bool
is_struck(enum disk_call call)
{
	for (size_t i = 0; i < ARRAY_LEN(disk_faults); i++)
		if (disk_faults[i].kind == armed.kind && (disk_faults[i].calls >> call & 1))
			return armed.calls == 0 || --armed.calls == 0;
	return false;
}

static enum disk_fate
struck(int *ret_code)
{
	size_t i = 0;
	while (disk_faults[i].kind != armed.kind)
		i++;
	met(armed.kind);
	trace("  the disk: %zu", i);
	if (disk_faults[i].kind == FAULT_DISK_SLOW)
		pass(1000ULL * below(30000));
	if (disk_faults[i].code != 0)
		*ret_code = disk_faults[i].code;
	if (armed.count != CALLS_FOR_EVER && --armed.count == 0)
		armed.kind = FAULT_NONE;
	return disk_faults[i].fate;
}

void ticket_hook(void);

static enum disk_fate
at_disk(enum disk_call call, int *ret_code)
{
	if (call == DISK_WRITE || call == DISK_SYNC)
		ticket_hook(); /* edges go on meanwhile */
	ghost_at_disk();
	return !ghost_walks() && is_struck(call) ? struck(ret_code) : FATE_DONE;
}

static int64_t
disk_now_ms(void)
{
	return (int64_t)(sim.wall_us / 1000);
}

static void
mend(void)
{
	armed.kind = FAULT_NONE;
	if (disk_allocation_failed())
		trace("allocations failed");
	disk_fail_allocations(0, 0);
}

static enum fault memory_fault;

static void
fail_allocations(enum fault kind, int64_t count)
{
	memory_fault = kind;
	disk_fail_allocations(1 + below(300), count);
}

static void
arm(void)
{
	size_t i = below(ARRAY_LEN(disk_faults));
	if (armed.kind != FAULT_NONE && sim.step >= armed.mended)
		mend();
	if (armed.kind == FAULT_NONE && strikes(disk_faults[i].kind, 12)) {
		armed.kind = disk_faults[i].kind;
		armed.calls = 1 + below(disk_faults[i].within);
		armed.count = disk_faults[i].most == CALLS_FOR_EVER ? CALLS_FOR_EVER : 1 + below(disk_faults[i].most);
		armed.mended = sim.step + 5 + below(40);
	}
	if (strikes(FAULT_NO_MEMORY, 40))
		fail_allocations(FAULT_NO_MEMORY, 1);
	if (strikes(FAULT_MEMORY_GONE, 60))
		fail_allocations(FAULT_MEMORY_GONE, 1 + below(2000));
}

/* ---- the ledger ---- */

static struct actor *ledger_actor;
static bool is_up, held_up;

bool
ledger_was_held_up(void)
{
	return held_up;
}

bool
life_quiet(void)
{
	return is_up && !actor_busy(ledger_actor) && sim.w.ledger->batch->count == 0 && sim.w.ledger->back_off_ms == 0;
}

void
life_look(void)
{
	disk_look(true);
	books_look();
	disk_look(false);
}

static void
bury(void)
{
	books_close();
	if (sim.w.ledger != NULL)
		world_kill_ledger(&sim.w);
	ghost_end();
	is_up = false;
	trace("the ledger is dead");
}

/* SIGKILL, wherever it stands. */
static void
kill_ledger(void)
{
	if (!is_up && !actor_busy(ledger_actor))
		return;
	ghost_begin();
	if (actor_busy(ledger_actor))
		actor_go_on(ledger_actor, 0);
	bury();
}

/* What the operation met on its way. */
static void
after_operation(void)
{
	if (disk_allocation_failed()) {
		met(memory_fault);
		disk_fail_allocations(0, 0);
	}
	if (ghost_walks())
		bury();
}

static void
run_in_ledger(void (*run)(void *arg))
{
	held_up = strikes(FAULT_LEDGER_HELD_UP, 5);
	if (strikes(FAULT_LEDGER_KILLED_GIVING, 2))
		ghost_plan_giving(1 + below(12));
	else if (strikes(FAULT_LEDGER_KILLED_DISK, 25))
		ghost_plan(1 + below(40), 0);
	else if (strikes(FAULT_LEDGER_KILLED_BOARD, sim.story == STORY_LIMITS ? 6 : 25))
		ghost_plan(0, 1 + below(sim.story == STORY_LIMITS ? 240 : 60));
	actor_start(ledger_actor, run, NULL, held_up ? 1 + below(100) : 0);
	if (actor_busy(ledger_actor)) {
		met(FAULT_LEDGER_HELD_UP);
		trace("the ledger is held up");
		return;
	}
	ghost_plan(0, 0);
	after_operation();
}

static void
ledger_goes_on(void)
{
	actor_go_on(ledger_actor, strikes(FAULT_LEDGER_HELD_UP, 3) ? 1 + below(100) : 0);
	if (actor_busy(ledger_actor))
		return;
	ghost_plan(0, 0);
	after_operation();
}

/* Where it was ordered is no board any more, or all that was on it is booked. Who asks again drops an intent as well: later it would not be seen. */
static void
look_for_intents(void)
{
	disk_look(true);
	int64_t intents = world_sql(&sim.w, "SELECT count(*) FROM intent");
	disk_look(false);
	if (intents != 0)
		violation("the ledger has begun, and %lld orders from before are intents still", (long long)intents);
}

static void
start_ledger(void *arg)
{
	char why[256];
	bool started = world_try_open(&sim.w, true, why);
	is_up = started && !ghost_walks();
	const char *told = strstr(why, "ledger.db"); /* the folder has another name each time */
	trace("the ledger begins: %s", started ? "up" : told != NULL ? told
																 : why);
	if (ghost_walks()) {
		met(FAULT_LEDGER_KILLED_START);
		return;
	}
	if (!started) {
		if (sim.w.ledger != NULL)
			world_kill_ledger(&sim.w);
		return;
	}
	look_for_intents();
	life_look();
	if (sim.board_is_new)
		books_after_power_cut();
	sim.board_is_new = false;
}

static void
round_of_ledger(void *arg)
{
	uint64_t due_ms = sim.w.ledger->progress.due_ms;
	books_round_begins();
	int booked = ledger_round(sim.w.ledger, sim.mono_us / 1000);
	trace("round: %d", booked);
	if (ghost_walks())
		return;
	if (booked >= 0 && !held_up)
		books_round();
	if (booked >= 0 && !held_up && sim.w.ledger->progress.due_ms != due_ms)
		books_progress_written();
	life_look();
}

static void
chores_of_ledger(void *arg)
{
	bool done = ledger_chores(sim.w.ledger, sim.wall_us);
	trace("chores: %s", done ? "done" : "not all");
	if (!ghost_walks())
		life_look();
}

static void
something_arrives(void *arg)
{
	/* An exchange needs all of its rows. */
	for (int i = 0; sim.story == STORY_WINDOWS && i < TICKET_LEGS_MAX && !ghost_walks() && loads_arrive(); i++)
		;
	if (ghost_walks())
		return;
	if (one_in(2) ? !orders_arrive() : !loads_arrive())
		if (!loads_arrive() && !orders_arrive())
			round_of_ledger(arg);
}

static void
ledger_step(void)
{
	if (actor_busy(ledger_actor))
		ledger_goes_on();
	else if (!is_up)
		run_in_ledger(start_ledger);
	else if (one_in(3))
		run_in_ledger(round_of_ledger);
	else if (one_in(12))
		run_in_ledger(chores_of_ledger);
	else
		run_in_ledger(something_arrives);
}

/* ---- the power ---- */

static void
power_cut(enum fault kind)
{
	trace("the power goes");
	if (actor_busy(ledger_actor))
		met(FAULT_POWER_MIDWAY);
	kill_ledger();
	edges_power_cut();
	books_power_cut();
	disk_power((enum power)(kind - FAULT_POWER_LOST));
	world_lose_board(&sim.w);
	sim.keys = key_table_attach(sim.w.keys_memory, key_table_bytes());
	sim.board_is_new = true;
	met(kind);
}

/* In the middle of something only by seeds that are about that. */
static void
power_trouble(void)
{
	enum fault kind = (enum fault)(FAULT_POWER_LOST + below(POWERS));
	if (!actor_busy(ledger_actor) ? strikes(kind, 150) : strikes(FAULT_POWER_MIDWAY, 10))
		power_cut(kind);
}

/* ---- upgrade ---- */

static void
upgrade(void)
{
	edges_upgrade();
	met(FAULT_UPGRADE);
	trace("upgrade");
	if (!is_up || actor_busy(ledger_actor))
		return;
	books_close();
	world_close(&sim.w);
	is_up = false;
}

/* ---- steps ---- */

static void
trouble(void)
{
	arm();
	edges_trouble();
	power_trouble();
	if (is_up && strikes(FAULT_LEDGER_KILLED, 100)) {
		met(FAULT_LEDGER_KILLED);
		kill_ledger();
	}
	if (strikes(FAULT_UPGRADE, 150))
		upgrade();
}

/* board_check() asks what the store has. */
static bool
balance_of_row(void *arg, uint64_t row, struct nano *ret)
{
	if (row & LIMIT_BUDGET_ROW)
		return budget_balance(sim.w.ledger, row, ret);
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		if (sim.account[i].id == row) {
			ret->v = books_balance(i);
			return true;
		}
	return false;
}

/* What is free on the board is the balance without what is held: T1 of docs/ticket-protocol.md. */
static void
check_board(void)
{
	if (!life_quiet() || sim.board_is_new)
		return;
	disk_look(true);
	uint32_t wrong = board_check(sim.w.ledger_board, balance_of_row, NULL);
	disk_look(false);
	if (wrong != 0)
		violation("%u slots of the board don't have what the store and the tickets say", wrong);
}

static void
step(void)
{
	time_passes();
	trouble();
	if (one_in(5))
		orders_give();
	bool of_edges = sim.story == STORY_DEBT ? one_in(3) : !one_in(3); /* what is about orders is about the ledger */
	if (of_edges)
		edges_step();
	else
		ledger_step();
	if (one_in(4))
		check_board();
}

/* ---- the end: nothing goes wrong any more, and all comes to rest ---- */

static void
finish_orders(void *arg)
{
	orders_finish();
}

static void
rounds_until_rest(void)
{
	for (int i = 0; i < 12; i++) {
		pass(3000000);
		if (actor_busy(ledger_actor) || !is_up)
			ledger_step();
		else
			run_in_ledger(i % 3 == 2 ? chores_of_ledger : round_of_ledger);
	}
	if (!is_up)
		violation("nothing goes wrong any more, and the ledger does not come up");
}

/* Nothing is held any more, but by tickets that were forged; what was ordered is booked or was never begun. */
static void
check_rest(void)
{
	uint32_t slot;
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		if (board_find(sim.w.ledger_board, sim.account[i].id, &slot) && board_available(sim.w.ledger_board, slot).v != books_surely_free(i))
			violation("account %d has %lld free on the board in the end, not %lld", i, (long long)board_available(sim.w.ledger_board, slot).v,
				(long long)books_surely_free(i));
	if (world_sql(&sim.w, "SELECT count(*) FROM intent") != 0)
		violation("an order is an intent still");
}

static void
finish(void)
{
	sim.calm = true;
	ghost_plan(0, 0);
	mend();
	rounds_until_rest();
	edges_finish();
	rounds_until_rest();
	for (int i = 0; i < 4 && !orders_all_answered(); i++)
		run_in_ledger(finish_orders);
	if (!orders_all_answered())
		violation("nothing goes wrong any more, and an order is not answered");
	jump(400LL * 86400 * 1000000);
	rounds_until_rest();
	life_look();
	check_board();
	books_at_rest();
	check_rest();
	world_is_sound(&sim.w);
}

/* ---- a world ---- */

/* Each exchange under three limits has four rows. */
static struct board_size
size_in(enum story story)
{
	return (struct board_size){.edges = SIM_SLABS, .tickets_per_edge = SIM_TICKETS, .slots = story == STORY_WINDOWS ? 2 * SIM_SLOTS : SIM_SLOTS, .limits = 2 * SIM_ACCOUNTS};
}

static void
make_accounts(void)
{
	for (int i = 0; i < SIM_ACCOUNTS; i++) {
		struct sim_account *a = &sim.account[i];
		snprintf(a->name, sizeof(a->name), "account%d", i);
		a->id = world_account(&sim.w, a->name, NULL);
		json_t *answer = world_must(&sim.w, "{s:s, s:s}", "op", "key.create", "account", a->name);
		const char *secret = json_string_value(json_object_get(answer, "secret"));
		snprintf(a->key_text, sizeof(a->key_text), "%s", json_string_value(json_object_get(answer, "key")));
		api_key_hash(sim.w.pepper, (struct span){secret, strlen(secret)}, a->hash);
		bool good = id_parse(ID_KEY, (struct span){a->key_text, strlen(a->key_text)}, &a->key);
		assert_true(good);
		json_decref(answer);
	}
}

/* Accounts and their keys are there when a seed begins. */
void
life_prepare(void)
{
	ledger_fresh_none();
	disk_install(at_disk, draw, disk_now_ms);
	ledger_actor = actor_create(true);
	sim.calm = true;
	sim.random = 1;
	sim.wall_us = sim.latest_us = 1750000000000000ULL;
	sim.mono_us = 1000000000;
	struct board_size size = size_in(STORY_ANY);
	disk_clear();
	world_begin_with(&sim.w, &size);
	make_accounts();
	world_close(&sim.w);
	disk_remember();
	world_end(&sim.w);
}

static void
choose_faults(void)
{
	/* The last by the seed's story, not by dice: it came when there were seeds to be kept. */
	for (int f = 1; f < FAULT_LEDGER_KILLED_GIVING; f++)
		sim.wanted[f] = one_in(3);
	sim.wanted[FAULT_LEDGER_KILLED_GIVING] = sim.story == STORY_LIMITS || sim.story == STORY_WINDOWS;
}

static enum story
story_of(uint64_t seed)
{
	static const enum story stories[16] = {[2] = STORY_WINDOWS, [3] = STORY_DEBT, [5] = STORY_LIMITS, [6] = STORY_GIFTS, [7] = STORY_DEBT, [9] = STORY_WINDOWS, [11] = STORY_DEBT, [13] = STORY_LIMITS, [14] = STORY_GIFTS, [15] = STORY_DEBT};
	return stories[seed % ARRAY_LEN(stories)];
}

uint64_t
life_run(uint64_t seed, uint32_t steps)
{
	sim.seed = sim.random = seed;
	sim.trace = 0xcbf29ce484222325ULL;
	sim.wall_us = sim.latest_us = 1750000000000000ULL + 1000000ULL * below(30 * 86400);
	sim.mono_us = 1000000000 + 1000ULL * below(1000000);
	sim.calm = true;
	sim.story = story_of(seed);
	sim.step = 0;
	sim.steps = steps;
	armed.kind = FAULT_NONE;
	choose_faults();
	if (sim.story == STORY_LIMITS)
		sim.wanted[FAULT_LIMIT_CHANGED] = sim.wanted[FAULT_LEDGER_KILLED_BOARD] = true;
	if (sim.story == STORY_WINDOWS)
		sim.wanted[FAULT_LIMIT_CHANGED] = sim.wanted[FAULT_CLOCK_AHEAD] = true;
	disk_recall();
	struct board_size size = size_in(sim.story);
	world_begin_with(&sim.w, &size);
	sim.keys = key_table_attach(sim.w.keys_memory, key_table_bytes());
	is_up = true;
	sim.board_is_new = false;
	books_begin();
	orders_begin();
	edges_begin();
	life_look();
	sim.calm = false;
	for (; sim.step < steps; sim.step++)
		step();
	finish();
	books_close();
	world_end(&sim.w);
	return sim.trace;
}
