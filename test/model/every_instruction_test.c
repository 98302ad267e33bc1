/*
 * docs/ticket-protocol.md, section 13: every operation is killed after each of its instructions. T1 and T2
 * are computed from outside at that instant, after a neighbour has moved on the same slots, and at the end
 * of recovery; T3 by what the words said at that instant.
 *
 * A killed process leaves nothing but shared memory, so the instants at which that has just changed are
 * all that differ: there the short form kills, and at some others besides. LETHE_EVERY=1 takes them all (of recovery every 17th).
 * Where the child lives on after it was held up, its private state matters, and each instruction counts.
 */
#include "model/step.h"
#include "model/world.h"
#include "ticket/move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { CHILD,
	NEIGHBOUR,
	EDGES,
	PER_EDGE = 3,
	SHORT_STRIDE = 97,
	STEPS_MAX = 200000 };

static unsigned long kills;

/* ---- the scene: a board, two edges, a ledger; the child plays one of them ---- */

struct scene {
	struct world world;
	struct ticket_desk *desk[EDGES];
	struct ticket *ticket; /* the child edge's, where an operation needs one that is held */
	struct ticket *neighbours; /* held by the neighbour in between */
	uint64_t next_id[EDGES]; /* the child has its own copy */
	int wake_fd;
};

struct operation {
	const char *name;
	void (*prepare)(struct scene *s);
	void (*run)(void *scene);
	unsigned legs; /* of what the neighbour takes in between: rows legs − 1 .. 0 */
	bool ledger; /* who dies: the ledger, or edge CHILD */
};

static struct ticket *
hold(struct scene *s, unsigned edge, unsigned legs, int64_t amount)
{
	struct ticket_leg leg[TICKET_LEGS_MAX];
	for (unsigned k = 0; k < legs; k++) {
		leg[k].row = WORLD_FIRST_ROW + legs - 1 - k;
		leg[k].slot = legs - 1 - k;
	}
	struct ticket *t = ticket_pick(s->desk[edge]);
	if (!t)
		return NULL;
	if (ticket_take(s->desk[edge], t, s->next_id[edge]++, leg, legs, (struct nano){amount}, NULL) == MOVED)
		return t;
	ticket_unpick(s->desk[edge], t);
	return NULL;
}

static void
scene_create(struct scene *s, const struct operation *o)
{
	struct board_size size = {.edges = EDGES, .tickets_per_edge = PER_EDGE, .slots = 3};
	memset(s, 0, sizeof(*s));
	world_create(&s->world, &size, 4, (const int64_t[]){100, 60, 30, 20});
	s->world.below_zero[1] = true;
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned e = 0; e < EDGES; e++) {
		void *memory = calloc(1, ticket_desk_bytes(s->world.board));
		s->desk[e] = ticket_desk_open(memory, s->world.board, e, 1);
		board_set_wake_fd(s->desk[e], s->wake_fd);
		s->next_id[e] = 1000 + 1000 * e;
	}
	o->prepare(s);
}

static void
scene_destroy(struct scene *s)
{
	for (unsigned e = 0; e < EDGES; e++)
		free(s->desk[e]);
	close(s->wake_fd);
	world_destroy(&s->world);
}

/* ---- operations ---- */

static void
prepare_nothing(struct scene *s)
{
}

static void
run_take_one(void *scene)
{
	hold(scene, CHILD, 1, 10);
}

static void
run_take_three(void *scene)
{
	hold(scene, CHILD, 3, 10);
}

/* The last leg's hint names no slot. */
static void
run_take_with_a_bad_hint(void *scene)
{
	struct scene *s = scene;
	const struct ticket_leg leg[] = {{WORLD_FIRST_ROW + 1, 1}, {WORLD_FIRST_ROW, UINT32_MAX}};
	struct ticket *t = ticket_pick(s->desk[CHILD]);
	if (ticket_take(s->desk[CHILD], t, s->next_id[CHILD]++, leg, 2, (struct nano){10}, NULL) != GONE)
		abort();
}

/* Row 0, the last leg, is short: legs 1 and 0 are undone. */
static void
prepare_short(struct scene *s)
{
	hold(s, NEIGHBOUR, 1, 95);
}

static void
prepare_held(struct scene *s)
{
	s->ticket = hold(s, CHILD, 2, 10);
	ticket_state_cost(s->ticket, (struct nano){4});
}

static void
prepare_held_short(struct scene *s)
{
	hold(s, NEIGHBOUR, 1, 85);
	s->ticket = hold(s, CHILD, 3, 10);
	ticket_state_cost(s->ticket, (struct nano){4});
}

static void
run_extend(void *scene)
{
	struct scene *s = scene;
	if (ticket_extend(s->desk[CHILD], s->ticket, (struct nano){25}) == MOVED)
		ticket_state_cost(s->ticket, (struct nano){20});
}

static void
run_state_and_settle(void *scene)
{
	struct scene *s = scene;
	ticket_state_cost(s->ticket, (struct nano){5});
	ticket_state_cost(s->ticket, (struct nano){7});
	ticket_settle(s->desk[CHILD], s->ticket);
}

static void
prepare_asleep(struct scene *s)
{
	prepare_held(s);
	if (!board_sleep_begin(s->world.board))
		abort();
}

/* A whole life: what is left over, whatever was reached. */
static void
run_exchange(void *scene)
{
	struct scene *s = scene;
	s->ticket = hold(s, CHILD, 2, 10);
	run_extend(s);
	ticket_settle(s->desk[CHILD], s->ticket);
}

static void
prepare_batch(struct scene *s)
{
	static const struct {
		unsigned legs;
		int64_t hold, cost;
	} exchanges[] = {{1, 10, 3}, {3, 5, 0}, {2, 4, 4}};
	for (unsigned i = 0; i < ARRAY_LEN(exchanges); i++) {
		struct ticket *t = hold(s, CHILD, exchanges[i].legs, exchanges[i].hold);
		ticket_state_cost(t, (struct nano){exchanges[i].cost});
		ticket_settle(s->desk[CHILD], t);
	}
}

static void
run_round(void *scene)
{
	struct scene *s = scene;
	world_round(&s->world);
}

static void
run_credit(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_credit_begin(s->world.board, 1, WORLD_FIRST_ROW, (struct nano){40}, &index))
		world_round(&s->world);
}

static void
run_debit(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_debit_begin(s->world.board, 2, WORLD_FIRST_ROW, (struct nano){40}, &index) == MOVED)
		world_round(&s->world);
}

static void
run_debit_refused(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_debit_begin(s->world.board, 3, WORLD_FIRST_ROW, (struct nano){101}, &index) == MOVED)
		abort();
}

static const struct board_rows three = {.row = {WORLD_FIRST_ROW + 2, WORLD_FIRST_ROW + 1, WORLD_FIRST_ROW}, .count = 3};

static void
run_credit_of_three(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_credit_rows(s->world.board, 5, &three, (struct nano){40}, &index))
		world_round(&s->world);
}

static void
run_debit_of_three(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_debit_rows(s->world.board, 6, &three, (struct nano){40}, &index) == MOVED)
		world_round(&s->world);
}

static void
run_lower(void *scene)
{
	struct scene *s = scene;
	uint32_t index;
	if (board_lower_begin(s->world.board, 4, WORLD_FIRST_ROW + 1, (struct nano){90}, &index) == MOVED)
		world_round(&s->world);
}

static void
run_evict(void *scene)
{
	struct scene *s = scene;
	if (board_evict(s->world.board, WORLD_FIRST_ROW))
		return;
}

static void
prepare_closed(struct scene *s)
{
	if (!board_evict(s->world.board, WORLD_FIRST_ROW))
		abort();
}

static void
run_load(void *scene)
{
	struct scene *s = scene;
	uint32_t slot;
	struct nano balance;
	if (world_balance(s->world.db, WORLD_FIRST_ROW + 3, &balance) &&
		board_load(s->world.board, WORLD_FIRST_ROW + 3, balance, &slot))
		return;
}

static const struct operation operations[] = {
	{"take, one leg", prepare_nothing, run_take_one, 1},
	{"take, three legs", prepare_nothing, run_take_three, 3},
	{"take, three legs, refused and undone", prepare_short, run_take_three, 3},
	{"take, two legs, the last hint out of range", prepare_nothing, run_take_with_a_bad_hint, 2},
	{"extend, two legs", prepare_held, run_extend, 2},
	{"extend, three legs, refused and undone", prepare_held_short, run_extend, 3},
	{"state and settle", prepare_held, run_state_and_settle, 2},
	{"settle while the ledger sleeps", prepare_asleep, run_state_and_settle, 2},
	{"a whole exchange", prepare_nothing, run_exchange, 2},
	{"collect, commit, give back, free", prepare_batch, run_round, 3, true},
	{"credit", prepare_nothing, run_credit, 1, true},
	{"debit", prepare_nothing, run_debit, 1, true},
	{"debit that is refused", prepare_nothing, run_debit_refused, 1, true},
	{"credit of three rows", prepare_nothing, run_credit_of_three, 3, true},
	{"debit of three rows", prepare_nothing, run_debit_of_three, 3, true},
	{"debit of three rows, refused and undone", prepare_short, run_debit_of_three, 3, true},
	{"budget lowered below zero", prepare_nothing, run_lower, 2, true},
	{"evict", prepare_nothing, run_evict, 1, true},
	{"load into a closed slot", prepare_closed, run_load, 2, true},
	{"load that evicts", prepare_nothing, run_load, 1, true},
};

/* ---- what must be booked in the end, by the words at the instant of the kill ---- */

struct expectation {
	uint64_t id;
	bool booked;
	int64_t cost;
};

static unsigned
expect(const struct world *w, struct expectation *out)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < w->board->ticket_count; i++) {
		const struct ticket *t = &w->board->tickets[i];
		enum ticket_kind kind = word_kind(t->word);
		if (kind == TICKET_FREE)
			continue;
		bool to_nothing = kind == TICKET_TAKE || (kind == TICKET_UNDO && !t->hold[!word_p(t->word)]);
		out[n++] = (struct expectation){.id = t->id, .booked = !to_nothing, .cost = t->cost};
	}
	return n;
}

struct where {
	const struct operation *operation;
	unsigned long step;
	const char *when;
};

/* A witness is a fork of the test that looks what would become of a scene; only its exit status comes back. */
static bool witness;

static void
assert_right(const struct where *at, const char *why)
{
	if (!why)
		return;
	print_error("%s, after %lu instructions, %s: %s\n", at->operation->name, at->step, at->when, why);
	if (witness)
		_exit(1);
	fail();
}

static void
assert_booked(const struct where *at, const struct world *w, const struct expectation *e, unsigned n)
{
	for (; n--; e++) {
		struct world_booking last = {0};
		unsigned times = world_booked(w, e->id, &last);
		if (times == e->booked && (!times || last.cost == e->cost))
			continue;
		print_error("id %lu: booked %u times with %ld, expected %u with %ld\n", e->id, times, last.cost, e->booked, e->cost);
		assert_right(at, "T3: booked once, as stated");
	}
}

/* ---- after the kill ---- */

/* What others do before anybody recovers. */
enum meanwhile { NOTHING,
	NEIGHBOUR_MOVES,
	LEDGER_EVICTS };

static void
neighbour_moves(struct scene *s, const struct operation *o)
{
	s->neighbours = hold(s, NEIGHBOUR, o->legs, 2);
	if (!s->neighbours)
		return;
	enum moved m = ticket_extend(s->desk[NEIGHBOUR], s->neighbours, (struct nano){3});
	if (m == MOVED)
		ticket_state_cost(s->neighbours, (struct nano){1});
}

/* Whatever keeps nothing is closed and opened again, also where the dead were in the middle of something. */
static void
ledger_evicts(struct scene *s)
{
	for (unsigned row = 0; row < 3; row++)
		if (board_evict(s->world.board, WORLD_FIRST_ROW + row))
			world_load(&s->world, row);
}

static void
recover(struct scene *s, const struct operation *o)
{
	if (!o->ledger)
		board_mark_dead(s->world.board, CHILD, 1);
	else
		world_ledger_start(&s->world); /* the successor; it knows nothing */
	while (world_round(&s->world))
		;
}

/* Everybody hands in, everything is booked. */
static void
come_to_rest(struct scene *s)
{
	for (unsigned e = 0; e < EDGES; e++)
		for (uint32_t i = e * PER_EDGE; i < (e + 1) * PER_EDGE; i++) {
			struct ticket *t = &s->world.board->tickets[i];
			if (word_kind(t->word) == TICKET_HELD)
				ticket_settle(s->desk[e], t);
		}
	while (world_round(&s->world))
		;
}

static void
aftermath(struct scene *s, struct where *at, enum meanwhile meanwhile)
{
	struct expectation expected[WORLD_TICKETS_MAX];
	kills++;
	at->when = "at the kill";
	assert_right(at, world_broken(&s->world));
	unsigned n = expect(&s->world, expected);
	at->when = meanwhile == NEIGHBOUR_MOVES ? "after the neighbour moved" : "after the ledger evicted";
	if (meanwhile == NEIGHBOUR_MOVES)
		neighbour_moves(s, at->operation);
	else if (meanwhile == LEDGER_EVICTS)
		ledger_evicts(s);
	assert_right(at, world_broken(&s->world));
	at->when = "after recovery";
	recover(s, at->operation);
	assert_right(at, world_broken(&s->world));
	at->when = "at rest";
	come_to_rest(s);
	assert_right(at, world_unrest(&s->world));
	assert_booked(at, &s->world, expected, n);
}

/* ---- where to kill ---- */

static unsigned char changed[STEPS_MAX];

static bool
every_instruction(void)
{
	const char *every = getenv("LETHE_EVERY");
	return every && *every == '1';
}

/* Sees whether what others can see has changed. */
struct onlooker {
	void *before;
	uint32_t db_before;
};

static struct onlooker
look_at(const struct world *w)
{
	struct onlooker o = {.before = malloc(w->board_bytes), .db_before = w->db->current};
	memcpy(o.before, w->board_memory, w->board_bytes);
	return o;
}

static bool
anything_new(struct onlooker *o, const struct world *w)
{
	if (!memcmp(o->before, w->board_memory, w->board_bytes) && o->db_before == w->db->current)
		return false;
	memcpy(o->before, w->board_memory, w->board_bytes);
	o->db_before = w->db->current;
	return true;
}

/* One run without a kill: how many instructions there are, and which of them changed something. */
static unsigned long
profile(const struct operation *o)
{
	struct scene s;
	struct step_child child;
	unsigned long n = 0;
	scene_create(&s, o);
	struct onlooker seen = look_at(&s.world);
	step_start(&child, o->run, &s);
	for (bool more = true; more; n++) {
		assert_true(n < STEPS_MAX);
		more = step_one(&child);
		changed[n] = anything_new(&seen, &s.world);
	}
	step_kill(&child);
	free(seen.before);
	scene_destroy(&s);
	return n;
}

static void
kill_after(const struct operation *o, unsigned long steps, enum meanwhile meanwhile)
{
	struct where at = {.operation = o, .step = steps};
	struct scene s;
	struct step_child child;
	scene_create(&s, o);
	step_start(&child, o->run, &s);
	for (unsigned long i = 0; i < steps; i++)
		if (!step_one(&child))
			break;
	step_kill(&child);
	aftermath(&s, &at, meanwhile);
	scene_destroy(&s);
}

/*
 * What would become of this instant if the child never ran again: a fork of the test does all that follows a
 * kill, then shared memory is put back. Thus the way to the next instant need not be stepped again from the
 * start, which would take hours.
 */
static void
kill_here(struct scene *s, struct where *at, enum meanwhile meanwhile)
{
	size_t bytes = s->world.board_bytes;
	void *board = malloc(bytes);
	struct world_half half[2];
	uint32_t current = s->world.db->current;
	memcpy(board, s->world.board_memory, bytes);
	memcpy(half, s->world.db->half, sizeof(half));
	pid_t pid = fork();
	if (!pid) {
		witness = true;
		aftermath(s, at, meanwhile);
		_exit(0);
	}
	int status;
	if (waitpid(pid, &status, 0) != pid || status)
		fail();
	memcpy(s->world.board_memory, board, bytes);
	memcpy(s->world.db->half, half, sizeof(half));
	s->world.db->current = current;
	free(board);
	kills++;
}

/* All instants of one run: those that changed something, and every stride-th. Returns how many there were. */
static unsigned long
kill_along(const struct operation *o, unsigned long stride)
{
	struct where at = {.operation = o};
	struct scene s;
	struct step_child child;
	scene_create(&s, o);
	struct onlooker seen = look_at(&s.world);
	step_start(&child, o->run, &s);
	do {
		at.step++;
		if (!anything_new(&seen, &s.world) && at.step % stride)
			continue;
		kill_here(&s, &at, NOTHING);
		kill_here(&s, &at, NEIGHBOUR_MOVES);
	} while (step_one(&child));
	step_kill(&child);
	free(seen.before);
	scene_destroy(&s);
	return at.step;
}

static void
a_kill_after_any_instruction_costs_and_makes_nothing(void **state)
{
	const struct operation *o = *state;
	unsigned long n = profile(o), changes = 0;
	for (unsigned long k = 0; k <= n; k++) {
		bool seen = k == 0 || changed[k - 1];
		changes += k && seen;
		if (seen || k % SHORT_STRIDE == 0)
			kill_after(o, k, NEIGHBOUR_MOVES);
		if (seen)
			kill_after(o, k, NOTHING);
		if (seen && !o->ledger)
			kill_after(o, k, LEDGER_EVICTS);
	}
	if (every_instruction())
		kill_along(o, 1);
	print_message("    %s: %lu instructions, %lu of them visible\n", o->name, n, changes);
	assert_true(changes > 0);
}

/* ---- recovery itself is killed ---- */

/* Where the first kill fell; the scene is then a ledger's that starts. */
static const struct operation *first;
static unsigned long first_steps;

static void
prepare_a_death(struct scene *s)
{
	struct step_child child;
	first->prepare(s);
	step_start(&child, first->run, s);
	for (unsigned long i = 0; i < first_steps; i++)
		if (!step_one(&child))
			break;
	step_kill(&child);
	if (!first->ledger)
		board_mark_dead(s->world.board, CHILD, 1);
}

static void
run_recovery(void *scene)
{
	struct scene *s = scene;
	world_ledger_start(&s->world);
}

static void
a_kill_after_any_instruction_of_recovery_costs_and_makes_nothing(void **state)
{
	static unsigned long deaths[STEPS_MAX];
	first = *state;
	const struct operation second = {"recovery", prepare_a_death, run_recovery, first->legs, true};
	unsigned long n = profile(first), visible = 0, before = kills;
	for (unsigned long k = 0; k < n; k++)
		if (changed[k])
			deaths[visible++] = k + 1;
	for (unsigned long i = 0; i < visible; i += every_instruction() ? 1 : 4) {
		first_steps = deaths[i];
		kill_along(&second, every_instruction() ? 17 : STEPS_MAX);
	}
	print_message("    %s: %lu deaths, in their recoveries %lu\n", first->name, visible, kills - before);
	assert_true(kills > before);
}

/* ---- held up, not killed ---- */

/*
 * While the child is held up, available goes down and up again, and the mover who brought it back dies with
 * its bit still pending: only the tag tells the child that its slot has moved.
 */
static struct ticket *given;

static void
prepare_give(struct scene *s, const struct operation *o)
{
	struct ticket_copy copy;
	o->prepare(s);
	given = hold(s, NEIGHBOUR, 1, 5);
	ticket_settle(s->desk[NEIGHBOUR], given);
	if (board_collect(s->world.board, &copy, 1, NULL) != 1)
		abort();
	world_commit(s->world.db, &copy, 1);
}

static void
prepare_take_and_give(struct scene *s)
{
	prepare_give(s, &operations[0]);
}

static void
prepare_extend_and_give(struct scene *s)
{
	prepare_give(s, &(struct operation){.prepare = prepare_held});
}

static void
down_and_up_again(struct scene *s)
{
	struct board *b = s->world.board;
	int64_t before = b->slots[0].available;
	s->neighbours = hold(s, NEIGHBOUR, 1, 5);
	struct move_leg leg = move_leg_of(given, 0, 5);
	uint64_t seq = move_announce(given, TICKET_GIVE, 0, word_p(given->word));
	assert_int_equal(move(b, ticket_index(b, given), seq, &leg, NULL), MOVED);
	assert_int_equal(b->slots[0].available, before);
}

static void
hold_up_after(const struct operation *o, unsigned long steps, bool same_available)
{
	struct where at = {.operation = o, .step = steps, .when = "held up"};
	struct expectation expected[WORLD_TICKETS_MAX];
	struct scene s;
	struct step_child child;
	scene_create(&s, o);
	step_start(&child, o->run, &s);
	for (unsigned long i = 0; i < steps; i++)
		if (!step_one(&child))
			break;
	if (same_available)
		down_and_up_again(&s);
	else
		neighbour_moves(&s, o);
	assert_right(&at, world_broken(&s.world));
	step_finish(&child);
	at.when = "after it went on";
	assert_right(&at, world_broken(&s.world));
	step_kill(&child);
	kills++;
	unsigned n = expect(&s.world, expected);
	if (!o->ledger)
		board_mark_dead(s.world.board, CHILD, 1);
	world_ledger_start(&s.world);
	at.when = "after recovery";
	assert_right(&at, world_broken(&s.world));
	come_to_rest(&s);
	at.when = "at rest";
	assert_right(&at, world_unrest(&s.world));
	assert_booked(&at, &s.world, expected, n);
	scene_destroy(&s);
}

static const struct operation give_operations[] = {
	{"take, one leg, beside a give-back", prepare_take_and_give, run_take_one, 1},
	{"extend, two legs, beside a give-back", prepare_extend_and_give, run_extend, 2},
};

static void
who_is_held_up_sees_that_the_slot_moved(void **state)
{
	const struct operation *o = *state;
	unsigned long n = profile(o);
	for (unsigned long k = 0; k < n; k++)
		hold_up_after(o, k, true);
}

static void
who_is_held_up_goes_on_rightly(void **state)
{
	const struct operation *o = *state;
	unsigned long n = profile(o);
	for (unsigned long k = 0; k < n; k += every_instruction() ? 1 : n / 40 + 1)
		hold_up_after(o, k, false);
}

/* ---- all of them ---- */

static const struct operation *
operation_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	abort();
}

static struct CMUnitTest
test_of(const char *name, CMUnitTestFunction run, const struct operation *o)
{
	return (struct CMUnitTest){.name = name, .test_func = run, .initial_state = (void *)(uintptr_t)o};
}

int
main(void)
{
	static const char *const deaths[] = {"take, three legs, refused and undone",
		"extend, three legs, refused and undone", "a whole exchange", "collect, commit, give back, free", "debit"};
	static const char *const held_up[] = {
		"take, three legs", "extend, three legs, refused and undone", "credit", "debit", "evict", "load that evicts"};
	struct CMUnitTest tests[64];
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		tests[n++] = test_of(operations[i].name, a_kill_after_any_instruction_costs_and_makes_nothing, &operations[i]);
	for (size_t i = 0; i < ARRAY_LEN(deaths); i++)
		tests[n++] = test_of("recovery", a_kill_after_any_instruction_of_recovery_costs_and_makes_nothing,
			operation_named(deaths[i]));
	for (size_t i = 0; i < ARRAY_LEN(give_operations); i++)
		tests[n++] = test_of(give_operations[i].name, who_is_held_up_sees_that_the_slot_moved, &give_operations[i]);
	for (size_t i = 0; i < ARRAY_LEN(held_up); i++)
		tests[n++] = test_of("held up", who_is_held_up_goes_on_rightly, operation_named(held_up[i]));
	int failed = _cmocka_run_group_tests("every instruction", tests, n, NULL, NULL);
	print_message("%lu kills\n", kills);
	return failed;
}
