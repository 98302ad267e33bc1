#include "ticket/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/world.h"
#include "ticket/end_reasons.h"

enum { EDGES = 2,
	PER_EDGE = 4 };
#define NOW_MS 1700000000000ULL

struct bench {
	struct world world;
	struct ticket_desk *desk[EDGES];
};

static struct ticket_desk *
open_desk(struct board *b, uint32_t edge, uint32_t incarnation)
{
	return ticket_desk_open(calloc(1, ticket_desk_bytes(b)), b, edge, incarnation);
}

static int
set_up(void **state)
{
	struct bench *s = calloc(1, sizeof(*s));
	struct board_size size = {.edges = EDGES, .tickets_per_edge = PER_EDGE, .slots = 3, .node = 7};
	world_create(&s->world, &size, 3, (const int64_t[]){100, 50, 10});
	for (uint32_t e = 0; e < EDGES; e++)
		s->desk[e] = open_desk(s->world.board, e, 1);
	*state = s;
	return 0;
}

static int
tear_down(void **state)
{
	struct bench *s = *state;
	for (uint32_t e = 0; e < EDGES; e++)
		free(s->desk[e]);
	world_destroy(&s->world);
	free(s);
	return 0;
}

static void
assert_right(const struct world *w)
{
	const char *why = world_broken(w);
	if (why)
		fail_msg("%s", why);
}

static int64_t
available(struct bench *s, unsigned row)
{
	return board_available(s->world.board, row).v; /* set_up: row i lies in slot i */
}

static enum moved
take(struct bench *s, uint32_t edge, struct ticket *t, unsigned legs, int64_t hold)
{
	struct ticket_leg leg[3];
	/* Most specific first: rows 2, 1, 0. */
	for (unsigned k = 0; k < legs; k++)
		leg[k] = (struct ticket_leg){.row = WORLD_FIRST_ROW + legs - 1 - k, .slot = legs - 1 - k};
	struct nano there = {-1};
	enum moved m =
		ticket_take(s->desk[edge], t, ticket_next_id(s->desk[edge], NOW_MS), leg, legs, (struct nano){hold}, &there);
	assert_int_equal(there.v >= 0, m == SHORT);
	assert_right(&s->world);
	return m;
}

static void
a_hold_leaves_available_and_a_settled_cost_stays_away(void **state)
{
	struct bench *s = *state;
	struct ticket *t = ticket_pick(s->desk[0]);
	assert_int_equal(take(s, 0, t, 1, 30), MOVED);
	assert_int_equal(available(s, 0), 70);
	assert_int_equal(ticket_hold(t).v, 30);
	ticket_state_cost(t, (struct nano){12});
	uint64_t seq = ticket_seq(t);
	ticket_settle(s->desk[0], t);
	assert_false(ticket_booked(t, seq));
	assert_int_equal(ticket_desk_in_flight(s->desk[0]), 1);
	assert_int_equal(world_round(&s->world), 1);
	assert_true(ticket_booked(t, seq));
	assert_int_equal(ticket_desk_in_flight(s->desk[0]), 0);
	assert_int_equal(available(s, 0), 88);
	assert_null(world_unrest(&s->world));
}

static void
too_large_a_hold_takes_nothing(void **state)
{
	struct bench *s = *state;
	struct ticket *t = ticket_pick(s->desk[0]);
	struct nano there;
	struct ticket_leg leg = {.row = WORLD_FIRST_ROW, .slot = 0};
	assert_int_equal(ticket_take(s->desk[0], t, 5, &leg, 1, (struct nano){101}, &there), SHORT);
	assert_int_equal(there.v, 100);
	assert_int_equal(available(s, 0), 100);
	/* Still the caller's: it may try again with less. */
	assert_int_equal(take(s, 0, t, 1, 100), MOVED);
	assert_int_equal(available(s, 0), 0);
}

static void
a_refusal_of_a_later_leg_gives_the_earlier_ones_back(void **state)
{
	struct bench *s = *state;
	struct ticket *all = ticket_pick(s->desk[1]), *t = ticket_pick(s->desk[0]);
	assert_int_equal(take(s, 1, all, 1, 95), MOVED); /* the account has 5 left */
	assert_int_equal(take(s, 0, t, 3, 8), SHORT);
	assert_int_equal(available(s, 0), 5);
	assert_int_equal(available(s, 1), 50);
	assert_int_equal(available(s, 2), 10);
	assert_int_equal(take(s, 0, t, 3, 5), MOVED);
	assert_int_equal(available(s, 2), 5);
}

static void
a_stale_hint_is_gone_and_takes_nothing(void **state)
{
	struct bench *s = *state;
	struct ticket *t = ticket_pick(s->desk[0]);
	struct nano there;
	const struct ticket_leg wrong[] = {{.row = WORLD_FIRST_ROW, .slot = 1}, {.row = WORLD_FIRST_ROW, .slot = UINT32_MAX}};
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(ticket_take(s->desk[0], t, 5 + i, &wrong[i], 1, (struct nano){1}, &there), GONE);
	assert_true(board_evict(s->world.board, WORLD_FIRST_ROW + 2));
	const struct ticket_leg closed = {.row = WORLD_FIRST_ROW + 2, .slot = 2};
	assert_int_equal(ticket_take(s->desk[0], t, 9, &closed, 1, (struct nano){1}, &there), GONE);
	ticket_unpick(s->desk[0], t);
	assert_null(world_unrest(&s->world));
}

static void
an_extension_raises_the_hold_or_leaves_the_old_one(void **state)
{
	struct bench *s = *state;
	struct ticket *t = ticket_pick(s->desk[0]);
	assert_int_equal(take(s, 0, t, 2, 10), MOVED);
	assert_int_equal(ticket_extend(s->desk[0], t, (struct nano){40}), MOVED);
	assert_int_equal(ticket_hold(t).v, 40);
	assert_int_equal(available(s, 1), 10);
	assert_int_equal(ticket_extend(s->desk[0], t, (struct nano){51}), SHORT);
	assert_int_equal(ticket_hold(t).v, 40);
	assert_right(&s->world);
	/* The second leg is the one that is short. */
	struct ticket *other = ticket_pick(s->desk[1]);
	assert_int_equal(take(s, 1, other, 1, 59), MOVED);
	assert_int_equal(ticket_extend(s->desk[0], t, (struct nano){45}), SHORT);
	assert_int_equal(ticket_hold(t).v, 40);
	assert_int_equal(available(s, 1), 10);
	ticket_state_cost(t, (struct nano){40});
	ticket_settle(s->desk[0], t);
	world_round(&s->world);
	assert_int_equal(available(s, 1), 10);
	assert_int_equal(available(s, 0), 1);
	assert_right(&s->world);
}

static void
an_exhausted_slab_has_no_ticket_until_the_ledger_frees_one(void **state)
{
	struct bench *s = *state;
	struct ticket *t[PER_EDGE];
	for (unsigned i = 0; i < PER_EDGE; i++) {
		t[i] = ticket_pick(s->desk[0]);
		assert_int_equal(take(s, 0, t[i], 1, 1), MOVED);
	}
	assert_null(ticket_pick(s->desk[0]));
	ticket_settle(s->desk[0], t[2]);
	assert_null(ticket_pick(s->desk[0]));
	world_round(&s->world);
	assert_ptr_equal(ticket_pick(s->desk[0]), t[2]);
	assert_null(ticket_pick(s->desk[0]));
}

static void
a_new_incarnation_takes_only_what_is_free(void **state)
{
	struct bench *s = *state;
	struct ticket *held = ticket_pick(s->desk[0]);
	assert_int_equal(take(s, 0, held, 1, 5), MOVED);
	board_mark_dead(s->world.board, 0, 1);
	struct ticket_desk *next = open_desk(s->world.board, 0, 2);
	for (unsigned i = 0; i < PER_EDGE - 1; i++) {
		struct ticket *t = ticket_pick(next);
		assert_non_null(t);
		assert_ptr_not_equal(t, held);
	}
	assert_null(ticket_pick(next));
	assert_int_equal(world_round(&s->world), 1); /* the dead one's exchange, interrupted */
	assert_ptr_equal(ticket_pick(next), held);
	free(next);
}

static void
facts_of_the_exchange_before_are_not_seen_again(void **state)
{
	struct bench *s = *state;
	struct ticket *t = ticket_pick(s->desk[0]);
	t->facts.tokens_input = 1234;
	assert_int_equal(take(s, 0, t, 1, 5), MOVED);
	ticket_settle(s->desk[0], t);
	world_round(&s->world);
	struct ticket *again = ticket_pick(s->desk[0]);
	assert_ptr_equal(again, t);
	assert_int_equal(again->facts.tokens_input, 0);
}

static void
ids_go_on_after_a_death(void **state)
{
	struct bench *s = *state;
	uint64_t last = ticket_next_id(s->desk[0], NOW_MS);
	board_mark_dead(s->world.board, 0, 1);
	struct ticket_desk *next = open_desk(s->world.board, 0, 2);
	assert_true(ticket_next_id(next, NOW_MS - 1000) > last);
	free(next);
	atomic_store(board_id_ceiling_ms(s->world.board), 0);
	assert_int_equal(ticket_next_id(s->desk[1], NOW_MS), 0);
}

static uint64_t
wakes(int fd)
{
	uint64_t n = 0;
	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void
a_hand_in_wakes_a_sleeping_ledger_once(void **state)
{
	struct bench *s = *state;
	struct ticket *t[3];
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	board_set_wake_fd(s->desk[0], fd);
	for (unsigned i = 0; i < 3; i++) {
		t[i] = ticket_pick(s->desk[0]);
		assert_int_equal(take(s, 0, t[i], 1, 1), MOVED);
	}
	ticket_settle(s->desk[0], t[0]);
	assert_int_equal(wakes(fd), 0); /* awake: no call */
	assert_false(board_sleep_begin(s->world.board)); /* there is work */
	assert_int_equal(world_round(&s->world), 1);
	assert_true(board_sleep_begin(s->world.board));
	ticket_settle(s->desk[0], t[1]);
	ticket_settle(s->desk[0], t[2]);
	assert_int_equal(wakes(fd), 1);
	board_sleep_end(s->world.board);
	assert_int_equal(world_round(&s->world), 2);
	close(fd);
}

static void
who_wants_a_round_wakes_the_ledger_once_until_it_begins_one(void **state)
{
	struct bench *s = *state;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < 2; i++)
		board_set_wake_fd(s->desk[i], fd);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 4; i++)
			board_want_round(s->desk[i % 2]);
		assert_int_equal(atomic_load(board_wanted(s->world.board)), 1);
		assert_int_equal(wakes(fd), 1);
		atomic_store(board_wanted(s->world.board), 0);
	}
	close(fd);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_hold_leaves_available_and_a_settled_cost_stays_away),
		TEST(too_large_a_hold_takes_nothing),
		TEST(a_refusal_of_a_later_leg_gives_the_earlier_ones_back),
		TEST(a_stale_hint_is_gone_and_takes_nothing),
		TEST(an_extension_raises_the_hold_or_leaves_the_old_one),
		TEST(an_exhausted_slab_has_no_ticket_until_the_ledger_frees_one),
		TEST(a_new_incarnation_takes_only_what_is_free),
		TEST(facts_of_the_exchange_before_are_not_seen_again),
		TEST(ids_go_on_after_a_death),
		TEST(a_hand_in_wakes_a_sleeping_ledger_once),
		TEST(who_wants_a_round_wakes_the_ledger_once_until_it_begins_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
