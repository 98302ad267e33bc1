#include "ticket/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/world.h"
#include "ticket/end_reasons.h"
#include "ticket/ledger_side_priv.h"

enum { EDGES = 2,
	PER_EDGE = 70 }; /* more than one leaf word */

struct bench {
	struct world world;
	struct ticket_desk *desk;
	uint64_t next_id;
};

static int
set_up(void **state)
{
	struct bench *s = calloc(1, sizeof(*s));
	struct board_size size = {.edges = EDGES, .tickets_per_edge = PER_EDGE, .slots = 2};
	world_create(&s->world, &size, 4, (const int64_t[]){1000, 50, 30, 20});
	struct board *b = s->world.board;
	s->desk = ticket_desk_open(calloc(1, ticket_desk_bytes(b)), b, 1, 1);
	s->next_id = 1;
	*state = s;
	return 0;
}

static int
tear_down(void **state)
{
	struct bench *s = *state;
	free(s->desk);
	world_destroy(&s->world);
	free(s);
	return 0;
}

static void
assert_rest(const struct world *w)
{
	const char *why = world_unrest(w);
	if (why)
		fail_msg("%s", why);
}

static struct ticket *
held(struct bench *s, unsigned row, int64_t hold, int64_t cost)
{
	struct ticket *t = ticket_pick(s->desk);
	struct ticket_leg leg = {.row = WORLD_FIRST_ROW + row};
	assert_true(board_find(s->world.board, leg.row, &leg.slot));
	assert_int_equal(ticket_take(s->desk, t, s->next_id++, &leg, 1, (struct nano){hold}, NULL), MOVED);
	ticket_state_cost(t, (struct nano){cost});
	return t;
}

static void
a_board_from_before_a_field_was_appended_is_used(void **state)
{
	struct bench *s = *state;
	struct board_shared *shared = s->world.board_memory;
	shared->fields--;
	assert_null(board_attach(shared, s->world.board_bytes));
	shared->layout = board_layout(shared->fields);
	struct board *newer = board_attach(shared, s->world.board_bytes);
	assert_non_null(newer);
	board_extend(newer);
	assert_int_equal(shared->fields, board_layout_fields());
	assert_true(shared->layout == board_layout(board_layout_fields()));
	board_detach(&newer);
	shared->fields++; /* by a build that knows one more */
	assert_null(board_attach(shared, s->world.board_bytes));
	shared->fields--;
}

static void
a_board_of_another_layout_is_refused(void **state)
{
	struct bench *s = *state;
	struct board_shared *shared = s->world.board_memory;
	assert_null(board_attach(shared, 64));
	assert_null(board_attach(shared, s->world.board_bytes - 1));
	shared->layout++;
	assert_null(board_attach(shared, s->world.board_bytes));
	shared->layout--;
	shared->size.slots += 100;
	assert_null(board_attach(shared, s->world.board_bytes));
	shared->size.slots -= 100;
	struct board *again = board_attach(shared, s->world.board_bytes);
	assert_non_null(again);
	board_detach(&again);
	assert_null(again);
	assert_int_equal(board_bytes(&(struct board_size){.edges = BOARD_EDGES_MAX + 1, .tickets_per_edge = 1, .slots = 1}), 0);
}

static void
a_batch_is_collected_once_until_it_is_given_back(void **state)
{
	struct bench *s = *state;
	struct ticket_copy batch[PER_EDGE];
	uint32_t quarantined;
	for (unsigned i = 0; i < PER_EDGE; i++)
		ticket_settle(s->desk, held(s, 0, 10, i % 11));
	size_t first = board_collect(s->world.board, batch, 50, &quarantined);
	assert_int_equal(first, 50);
	size_t second = board_collect(s->world.board, batch + first, PER_EDGE - first, &quarantined);
	assert_int_equal(second, PER_EDGE - 50);
	assert_int_equal(board_collect(s->world.board, batch, PER_EDGE, &quarantined), 0);
	assert_int_equal(quarantined, 0);
	world_commit(s->world.db, batch, PER_EDGE);
	for (unsigned i = 0; i < PER_EDGE; i++) {
		assert_null(world_broken(&s->world));
		board_give_back(s->world.board, batch[i].index);
	}
	assert_rest(&s->world);
}

static void
what_the_ledger_before_booked_is_booked_once(void **state)
{
	struct bench *s = *state;
	struct ticket_copy batch[4];
	ticket_settle(s->desk, held(s, 0, 10, 10));
	ticket_settle(s->desk, held(s, 0, 10, 3));
	size_t n = board_collect(s->world.board, batch, 4, NULL);
	world_commit(s->world.db, batch, n);
	/* It dies here. */
	world_ledger_start(&s->world);
	assert_int_equal(world_booked(&s->world, 1, NULL), 1);
	assert_int_equal(world_booked(&s->world, 2, NULL), 1);
	assert_rest(&s->world);
}

static void
a_dead_edges_exchange_is_interrupted_and_charged_what_it_stated(void **state)
{
	struct bench *s = *state;
	struct world_booking booked;
	held(s, 0, 10, 4);
	board_mark_dead(s->world.board, 1, 1);
	assert_false(board_sleep_begin(s->world.board));
	assert_int_equal(world_round(&s->world), 1);
	assert_int_equal(world_booked(&s->world, 1, &booked), 1);
	assert_int_equal(booked.cost, 4);
	assert_int_equal(booked.end_reason, END_INTERRUPTED);
	assert_rest(&s->world);
}

static void
the_living_are_left_alone(void **state)
{
	struct bench *s = *state;
	struct ticket *t = held(s, 0, 10, 4);
	board_mark_dead(s->world.board, 0, 5); /* the neighbour */
	assert_int_equal(world_round(&s->world), 0);
	world_ledger_start(&s->world);
	assert_int_equal(ticket_hold(t).v, 10);
	ticket_settle(s->desk, t);
	assert_int_equal(world_round(&s->world), 1);
	assert_rest(&s->world);
}

static void
all_dead_at_once_are_all_resolved(void **state)
{
	struct bench *s = *state;
	held(s, 0, 10, 4);
	held(s, 1, 10, 0);
	board_mark_all_dead(s->world.board);
	assert_int_equal(board_dead(s->world.board, 1), board_incarnation(s->world.board, 1));
	world_ledger_start(&s->world);
	assert_rest(&s->world);
	assert_int_equal(world_booked(&s->world, 1, NULL) + world_booked(&s->world, 2, NULL), 2);
}

static void
a_credit_and_a_debit_pass_through_tickets(void **state)
{
	struct bench *s = *state;
	struct board *b = s->world.board;
	uint32_t slot, index;
	assert_true(board_find(b, WORLD_FIRST_ROW, &slot));
	assert_true(board_credit_begin(b, 501, WORLD_FIRST_ROW, (struct nano){200}, &index));
	assert_true(board_is_ledger_ticket(b, index));
	assert_null(world_broken(&s->world));
	assert_int_equal(board_available(b, slot).v, 1000); /* not before it is booked */
	assert_int_equal(world_round(&s->world), 1);
	assert_int_equal(board_available(b, slot).v, 1200);
	assert_int_equal(board_debit_begin(b, 502, WORLD_FIRST_ROW, (struct nano){1201}, &index), SHORT);
	assert_int_equal(board_debit_begin(b, 503, WORLD_FIRST_ROW, (struct nano){1200}, &index), MOVED);
	assert_int_equal(board_available(b, slot).v, 0);
	assert_int_equal(world_round(&s->world), 1);
	assert_int_equal(board_available(b, slot).v, 0);
	assert_rest(&s->world);
	/* Not on the board. */
	assert_false(board_credit_begin(b, 504, WORLD_FIRST_ROW + 3, (struct nano){1}, &index));
	assert_int_equal(board_debit_begin(b, 505, WORLD_FIRST_ROW + 3, (struct nano){1}, &index), GONE);
}

static void
a_ledger_ticket_may_be_booked_without_collecting(void **state)
{
	struct bench *s = *state;
	struct board *b = s->world.board;
	for (uint64_t id = 600; id < 900; id++) {
		uint32_t index;
		assert_true(board_credit_begin(b, id, WORLD_FIRST_ROW, (struct nano){3}, &index));
		struct ticket_copy c = {.index = index, .id = id, .legs = 1, .cost = {-3}, .row = {WORLD_FIRST_ROW}};
		world_commit(s->world.db, &c, 1);
		board_give_back(b, index);
		if (id % 3 == 0)
			assert_int_equal(world_round(&s->world), 0);
	}
	assert_rest(&s->world);
}

static void
when_all_ledger_tickets_are_in_use_the_caller_is_told(void **state)
{
	struct bench *s = *state;
	uint32_t index;
	for (uint64_t i = 0; i < BOARD_LEDGER_TICKETS; i++)
		assert_true(board_credit_begin(s->world.board, 700 + i, WORLD_FIRST_ROW, (struct nano){1}, &index));
	assert_false(board_credit_begin(s->world.board, 800, WORLD_FIRST_ROW, (struct nano){1}, &index));
	while (world_round(&s->world))
		;
	assert_true(board_credit_begin(s->world.board, 800, WORLD_FIRST_ROW, (struct nano){1}, &index));
}

static void
a_budget_may_be_lowered_below_zero(void **state)
{
	struct bench *s = *state;
	uint32_t index, slot;
	s->world.below_zero[1] = true;
	struct ticket *t = held(s, 1, 40, 0);
	assert_int_equal(board_lower_begin(s->world.board, 550, WORLD_FIRST_ROW + 1, (struct nano){30}, &index), MOVED);
	assert_int_equal(world_round(&s->world), 1);
	assert_true(board_find(s->world.board, WORLD_FIRST_ROW + 1, &slot));
	assert_int_equal(board_available(s->world.board, slot).v, -20);
	assert_null(world_broken(&s->world));
	ticket_settle(s->desk, t);
	world_round(&s->world);
	assert_int_equal(board_available(s->world.board, slot).v, 20);
}

static void
an_idle_row_makes_room_and_a_busy_one_stays(void **state)
{
	struct bench *s = *state;
	struct board *b = s->world.board;
	uint32_t slot, other;
	struct ticket *t = held(s, 0, 10, 0);
	assert_false(board_evict(b, WORLD_FIRST_ROW));
	slot = world_load(&s->world, 2); /* both slots were taken */
	assert_true(board_find(b, WORLD_FIRST_ROW, &other));
	assert_false(board_find(b, WORLD_FIRST_ROW + 1, &other));
	assert_int_equal(world_load(&s->world, 2), slot); /* it is there already */
	struct ticket *u = held(s, 2, 30, 0);
	assert_false(board_load(b, WORLD_FIRST_ROW + 1, (struct nano){50}, &slot));
	ticket_settle(s->desk, t);
	ticket_settle(s->desk, u);
	while (world_round(&s->world))
		;
	assert_rest(&s->world);
	world_load(&s->world, 1);
	world_load(&s->world, 3);
	assert_false(board_find(b, WORLD_FIRST_ROW, &other));
	assert_rest(&s->world);
}

static void
nothing_is_evicted_between_booking_and_freeing(void **state)
{
	struct bench *s = *state;
	struct ticket_copy batch[2];
	uint32_t index;
	ticket_settle(s->desk, held(s, 0, 10, 10)); /* once booked it keeps nothing */
	assert_int_equal(board_collect(s->world.board, batch, 2, NULL), 1);
	world_commit(s->world.db, batch, 1);
	assert_false(board_evict(s->world.board, WORLD_FIRST_ROW));
	board_give_back(s->world.board, batch[0].index);
	assert_true(board_credit_begin(s->world.board, 9, WORLD_FIRST_ROW, (struct nano){1}, &index)); /* keeps nothing yet */
	assert_false(board_evict(s->world.board, WORLD_FIRST_ROW));
	board_sweep_start(s->world.board); /* the next ledger does not know whether it was booked */
	board_set_balance(s->world.board, world_balance, s->world.db);
	assert_false(board_evict(s->world.board, WORLD_FIRST_ROW));
	world_round(&s->world);
	assert_true(board_evict(s->world.board, WORLD_FIRST_ROW));
	assert_rest(&s->world);
}

static void
rows_are_found_again_from_the_slots(void **state)
{
	struct bench *s = *state;
	uint32_t before, after;
	assert_true(board_find(s->world.board, WORLD_FIRST_ROW + 1, &before));
	assert_true(board_evict(s->world.board, WORLD_FIRST_ROW));
	world_ledger_start(&s->world);
	assert_true(board_find(s->world.board, WORLD_FIRST_ROW + 1, &after));
	assert_int_equal(before, after);
	assert_false(board_find(s->world.board, WORLD_FIRST_ROW, &after));
}

/* X(what is wrong, how a captured edge might write it) */
#define NONSENSE(X) \
	X("no legs", t->legs = 0) \
	X("too many legs", t->legs = 5) \
	X("a slot that does not exist", t->slot[0] = 99) \
	X("another row's slot", t->slot[0] ^= 1) \
	X("another row", t->row[0]++) \
	X("one row twice", t->legs = 2; t->row[1] = t->row[0]; t->slot[1] = t->slot[0]) \
	X("more cost than hold", t->cost = 11) \
	X("a negative cost", t->cost = -1) \
	X("no hold", t->hold[0] = 0; t->cost = 0) \
	X("no id", t->id = 0)

static void
a_ticket_that_makes_no_sense_is_left_and_reported_once(void **state)
{
	struct bench *s = *state;
	struct board *b = s->world.board;
	struct ticket_copy batch[4];
	uint32_t quarantined, total = 0;
#define X(what, how) \
	{ \
		struct ticket *t = held(s, 0, 10, 5); \
		how; \
		ticket_settle(s->desk, t); \
		assert_int_equal(board_collect(b, batch, 4, &quarantined), 0); \
		assert_int_equal(quarantined, 1); \
		assert_int_equal(word_kind(t->word), TICKET_SETTLED); \
		total++; \
	}
	NONSENSE(X)
#undef X
	assert_int_equal(board_collect(b, batch, 4, &quarantined), 0);
	assert_int_equal(quarantined, 0);
	ticket_settle(s->desk, held(s, 0, 10, 5)); /* others go on */
	assert_int_equal(world_round(&s->world), 1);
	assert_int_equal(ticket_desk_in_flight(s->desk), total);
	/* Those that are kept do not hide the free ones behind them. */
	for (unsigned i = 0; i < 3 * PER_EDGE; i++) {
		ticket_settle(s->desk, held(s, 0, 10, 0));
		assert_int_equal(world_round(&s->world), 1);
	}
}

static void
a_dead_edges_nonsense_is_left_alone(void **state)
{
	struct bench *s = *state;
	uint32_t quarantined;
	struct ticket_copy batch[4];
	struct ticket *t = held(s, 0, 10, 5);
	atomic_store(&t->word, word_pack(word_seq(t->word) + 1, TICKET_EXTEND, 0, 1, true));
	t->slot[0] = 12345;
	struct ticket *u = held(s, 0, 10, 5);
	atomic_store(&u->word, word_pack(word_seq(u->word) + 1, TICKET_UNDO, 3, 0, true));
	struct ticket *v = held(s, 0, 10, 5);
	atomic_store(&v->word, word_pack(word_seq(v->word) + 1, 7, 0, 0, true));
	board_mark_dead(s->world.board, 1, 1);
	assert_int_equal(board_collect(s->world.board, batch, 4, &quarantined), 0);
	assert_int_equal(quarantined, 3);
}

static void
a_held_ticket_can_be_copied_for_progress(void **state)
{
	struct bench *s = *state;
	struct ticket *t = held(s, 0, 10, 7);
	struct ticket_copy c;
	t->facts.tokens_output = 77;
	uint32_t index = ticket_index(s->world.board, t);
	assert_true(board_held_copy(s->world.board, index, &c));
	assert_int_equal(c.cost.v, 7);
	assert_int_equal(c.hold.v, 10);
	assert_int_equal(c.row[0], WORLD_FIRST_ROW);
	assert_int_equal(c.facts.tokens_output, 77);
	ticket_settle(s->desk, t);
	assert_false(board_held_copy(s->world.board, index, &c));
	assert_false(board_held_copy(s->world.board, board_ticket_count(s->world.board), &c));
}

static void
the_boards_own_check_sees_a_wrong_slot(void **state)
{
	struct bench *s = *state;
	struct board *b = s->world.board;
	held(s, 0, 10, 7);
	assert_int_equal(board_check(b, world_balance, s->world.db), 0);
	b->slots[1].available++;
	assert_int_equal(board_check(b, world_balance, s->world.db), 1);
	b->slots[0].available--;
	assert_int_equal(board_check(b, world_balance, s->world.db), 2);
}

static bool
four(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = 4;
	return true;
}

static void
many_rows_come_and_go_and_are_always_found(void **state)
{
	struct board_size size = {.edges = 1, .tickets_per_edge = 1, .slots = 61};
	struct world w;
	world_create(&w, &size, 0, NULL);
	board_set_balance(w.board, four, NULL);
	for (uint64_t i = 1; i < 20000; i++) {
		uint64_t row = i * i % 1009 + 1;
		uint32_t slot, found;
		assert_true(board_load(w.board, row, (struct nano){4}, &slot));
		assert_true(board_find(w.board, row, &found));
		assert_int_equal(slot, found);
		assert_int_equal(w.board->slots[slot].row, row);
		if (i % 7 == 0)
			assert_true(board_evict(w.board, row));
	}
	uint32_t open = 0, found = 0, slot;
	for (uint32_t i = 0; i < size.slots; i++)
		open += w.board->slots[i].available != BOARD_CLOSED;
	for (uint64_t row = 1; row <= 1009; row++)
		found += board_find(w.board, row, &slot) && w.board->slots[slot].row == row;
	assert_int_equal(open, found);
	world_destroy(&w);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_board_from_before_a_field_was_appended_is_used),
		TEST(a_board_of_another_layout_is_refused),
		TEST(a_batch_is_collected_once_until_it_is_given_back),
		TEST(what_the_ledger_before_booked_is_booked_once),
		TEST(a_dead_edges_exchange_is_interrupted_and_charged_what_it_stated),
		TEST(the_living_are_left_alone),
		TEST(all_dead_at_once_are_all_resolved),
		TEST(a_credit_and_a_debit_pass_through_tickets),
		TEST(a_ledger_ticket_may_be_booked_without_collecting),
		TEST(when_all_ledger_tickets_are_in_use_the_caller_is_told),
		TEST(a_budget_may_be_lowered_below_zero),
		TEST(an_idle_row_makes_room_and_a_busy_one_stays),
		TEST(nothing_is_evicted_between_booking_and_freeing),
		TEST(rows_are_found_again_from_the_slots),
		TEST(a_ticket_that_makes_no_sense_is_left_and_reported_once),
		TEST(a_dead_edges_nonsense_is_left_alone),
		TEST(a_held_ticket_can_be_copied_for_progress),
		TEST(the_boards_own_check_sees_a_wrong_slot),
		cmocka_unit_test(many_rows_come_and_go_and_are_always_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
