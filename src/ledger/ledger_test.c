/* What is booked: once, at its cost, whatever dies; and that `ledger verify` sees it when it was not. */
#include "ledger/ledger_script.h"

#include "ledger/limit_priv.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t
house(struct world *w, enum house_account account)
{
	return world_balance(w, account);
}

static void
an_exchange_costs_its_account_what_it_used(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .key = 9, .model = 1, .input = 1000, .output = 500, .cost = -1};
	assert_int_not_equal(world_exchange(&w, e), 0);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - world_cost(&w, &e));
	assert_int_equal(house(&w, HOUSE_REVENUE), world_cost(&w, &e));
	assert_int_equal(ticket_desk_in_flight(w.desk), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
many_exchanges_of_many_accounts_are_one_booking(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t accounts[20];
	int64_t spent[20] = {0};
	for (int i = 0; i < 20; i++) {
		char name[16];
		snprintf(name, sizeof(name), "a%d", i);
		accounts[i] = world_account(&w, name, "100");
	}
	int64_t before = world_sql(&w, "SELECT count(*) FROM booking");
	for (uint32_t i = 0; i < 1000; i++) {
		struct world_exchange e = {
			.account = accounts[i % 20], .key = i % 7, .model = i % 2, .input = i, .output = i / 2 + 1, .cost = -1};
		assert_int_not_equal(world_exchange(&w, e), 0);
		spent[i % 20] += world_cost(&w, &e);
	}
	assert_int_equal(world_round(&w), 1000);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM booking") - before, 1);
	for (int i = 0; i < 20; i++)
		assert_int_equal(world_balance(&w, accounts[i]), 100 * NANO_PER_DOLLAR - spent[i]);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1000);
	world_is_sound(&w);
	world_end(&w);
}

static void
use_beyond_the_hold_is_the_operators_loss(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00");
	struct world_exchange e = {.account = a, .model = 1, .input = 1000, .output = 1000, .hold = 1000, .cost = 1000};
	world_exchange(&w, e);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR - 1000);
	assert_int_equal(house(&w, HOUSE_LOSS_OVERRUN), -(world_cost(&w, &e) - 1000));
	assert_int_equal(house(&w, HOUSE_REVENUE), world_cost(&w, &e));
	assert_int_equal(w.ledger->stats.mismatched, 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
used_by_an_attempt_that_is_free_is_the_operators_loss(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00");
	struct world_exchange e = {
		.account = a, .input = 1000, .output = 10, .cost = 0, .end_reason = END_PROVIDER_MALFORMED};
	world_exchange(&w, e);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR);
	assert_int_equal(house(&w, HOUSE_LOSS_RETRY), -world_cost(&w, &e));
	world_is_sound(&w);
	world_end(&w);
}

static void
a_stated_cost_that_fits_no_rule_is_charged_as_stated_and_counted(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00");
	struct world_exchange less = {.account = a, .input = 1000, .output = 10, .cost = 5}, more = less;
	more.cost = world_cost(&w, &more) + 1;
	world_exchange(&w, less);
	world_exchange(&w, more);
	assert_int_equal(world_round(&w), 2);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR - less.cost - more.cost);
	assert_int_equal(w.ledger->stats.mismatched, 2);
	world_is_sound(&w);
	world_end(&w);
}

static void
a_ticket_that_names_another_account_is_not_booked(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00"), b = world_account(&w, "bob", "1.00");
	struct world_exchange e = {.account = a, .input = 10, .output = 10, .cost = -1};
	struct ticket *t = world_hold(&w, &e);
	t->facts.account = b;
	ticket_settle(w.desk, t);
	world_exchange(&w, e);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(w.ledger->stats.quarantined, 1);
	assert_int_equal(world_balance(&w, b), NANO_PER_DOLLAR);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR - world_cost(&w, &e));
	world_is_sound(&w);
	world_end(&w);
}

/* They are copied from the board in pieces. */
static void
of_many_tickets_one_that_is_none_is_counted_wherever_it_stands(void **state)
{
	enum { MANY = 150 };
	static const int none[] = {3, 100, MANY - 1};
	for (size_t k = 0; k < ARRAY_LEN(none); k++) {
		struct world w;
		world_begin(&w);
		uint64_t a = world_account(&w, "alice", "1.00");
		struct world_exchange e = {.account = a, .input = 10, .output = 10, .cost = -1};
		for (int i = 0; i < MANY; i++) {
			struct ticket *t = world_hold(&w, &e);
			if (i == none[k])
				t->id = 0;
			ticket_settle(w.desk, t);
		}
		assert_int_equal(world_round(&w), MANY - 1);
		assert_int_equal(w.ledger->stats.quarantined, 1);
		assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR - (MANY - 1) * world_cost(&w, &e));
		world_is_sound(&w);
		world_end(&w);
	}
}

static void
an_account_that_the_store_says_is_poorer_stops_its_own_tickets_only(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00"), b = world_account(&w, "bob", "1.00");
	struct world_exchange ea = {.account = a, .input = 10, .output = 10, .cost = -1},
						  eb = {.account = b, .input = 10, .output = 10, .cost = -1};
	world_exchange(&w, ea);
	world_exchange(&w, eb);
	assert_true(store_exec(&w.ledger->store, "UPDATE account SET balance_nano = 1 WHERE name = 'alice'"));
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(w.ledger->stats.quarantined, 1);
	assert_int_equal(world_balance(&w, a), 1);
	assert_int_equal(world_balance(&w, b), NANO_PER_DOLLAR - world_cost(&w, &eb));
	assert_true(world_is_broken(&w, "INV-3"));
	world_end(&w);
}

/* ---- deaths ---- */

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = world_balance(arg, row);
	return ret->v >= 0;
}

static void
a_new_ledger_books_what_the_dead_one_left(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .model = 1, .input = 100, .output = 50, .cost = -1};
	for (int i = 0; i < 10; i++)
		world_exchange(&w, e);
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - 10 * world_cost(&w, &e));
	assert_int_equal(ticket_desk_in_flight(w.desk), 0);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
an_id_that_was_booked_with_other_content_is_not_taken_for_it(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00"), bob = world_account(&w, "bob", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	struct batch *b = w.ledger->batch;
	uint32_t quarantined = 0;
	world_exchange(&w, e);
	b->count = board_collect(w.ledger_board, b->tickets, BATCH_MAX, &quarantined);
	assert_true(b->count == 1 && batch_book(w.ledger));
	for (int more = 1; more >= 0; more--) {
		b->tickets[0].cost.v += more ? 1 : -1;
		b->tickets[0].hold.v += more ? 1 : -1;
		b->fates[0] = FATE_OPEN;
		assert_true(batch_book(w.ledger));
		assert_int_equal(b->fates[0], more ? FATE_REFUSED : FATE_KNOWN);
	}
	/* Nor for the same money of somebody else's. */
	for (int other = 1; other >= 0; other--) {
		struct ticket_copy *t = &b->tickets[0];
		t->facts.account = t->row[t->legs - 1] = other ? bob : a;
		b->fates[0] = FATE_OPEN;
		assert_true(batch_book(w.ledger));
		assert_int_equal(b->fates[0], other ? FATE_REFUSED : FATE_KNOWN);
	}
	/* Nor for the same money of the same account with any other field. */
	uint64_t refused = 2;
#define X(name, type, unit, meaning, promise) \
	for (int other = 1; other >= 0; other--) { \
		b->tickets[0].facts.name ^= 1; \
		b->tickets[0].row[0] = b->tickets[0].facts.account; \
		b->fates[0] = FATE_OPEN; \
		assert_true(batch_book(w.ledger)); \
		assert_int_equal(b->fates[0], other ? FATE_REFUSED : FATE_KNOWN); \
		refused += (uint64_t)other; \
	}
	TICKET_FIELDS(X)
#undef X
	assert_int_equal(w.ledger->stats.quarantined, refused);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - world_cost(&w, &e));
	assert_int_equal(world_balance(&w, bob), 5 * NANO_PER_DOLLAR);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	world_end(&w);
}

/* What is told later may be more, how it did end included; but not of another's money, nor of other money. */
static void
what_was_cut_short_is_known_by_what_it_was_about(void **state)
{
	struct world w;
	world_begin(&w);
	struct world_exchange e = {.account = world_account(&w, "alice", "5.00"), .input = 100, .output = 50, .cost = 30};
	struct batch *b = w.ledger->batch;
	uint32_t quarantined = 0;
	assert_non_null(world_hold(&w, &e));
	world_kill_edge(&w);
	board_sweep_start(w.ledger_board);
	b->count = board_collect(w.ledger_board, b->tickets, BATCH_MAX, &quarantined);
	assert_int_equal(b->count, 1);
	assert_true(batch_book(w.ledger));
	struct ticket_facts *f = &b->tickets[0].facts;
	f->duration_ms += 1000;
	f->tokens_output += 7;
	assert_true(batch_book(w.ledger));
	assert_int_equal(b->fates[0], FATE_KNOWN);
	f->key ^= 1;
	assert_true(batch_book(w.ledger));
	assert_int_equal(b->fates[0], FATE_REFUSED);
	f->key ^= 1;
	f->end_reason = END_COMPLETED;
	f->price ^= 1;
	b->fates[0] = FATE_OPEN;
	assert_true(batch_book(w.ledger));
	assert_int_equal(b->fates[0], FATE_KNOWN);
	b->tickets[0].cost.v++;
	b->fates[0] = FATE_OPEN;
	assert_true(batch_book(w.ledger));
	assert_int_equal(b->fates[0], FATE_REFUSED);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
	world_end(&w);
}

static void
booked_but_not_given_back_is_not_booked_again(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	for (int i = 0; i < 10; i++)
		world_exchange(&w, e);
	uint32_t quarantined = 0;
	w.ledger->batch->count = board_collect(w.ledger_board, w.ledger->batch->tickets, BATCH_MAX, &quarantined);
	assert_int_equal(w.ledger->batch->count, 10);
	assert_true(batch_book(w.ledger));
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - 10 * world_cost(&w, &e));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 10);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
an_exchange_of_a_dead_edge_is_booked_as_interrupted(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 30};
	assert_non_null(world_hold(&w, &e));
	world_kill_edge(&w);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - 30);
	assert_int_equal(house(&w, HOUSE_LOSS_CRASH), -(world_cost(&w, &e) - 30));
	assert_int_equal(world_sql(&w, "SELECT end_reason FROM ticket"), END_INTERRUPTED);
	assert_int_equal(w.ledger->stats.interrupted, 1);
	world_is_sound(&w);
	world_end(&w);
}

static void
after_a_power_cut_held_exchanges_are_booked_from_their_progress(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 20};
	struct ticket *t = world_hold(&w, &e);
	uint64_t id = t->id;
	world_progress(&w);
	assert_int_equal(world_sql(&w, "SELECT cost_nano FROM progress"), 20);
	ticket_state_cost(t, (struct nano){25});
	world_progress(&w);
	assert_int_equal(world_sql(&w, "SELECT cost_nano FROM progress"), 25);
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - 25);
	assert_int_equal(world_sql(&w, "SELECT id FROM ticket"), id);
	assert_int_equal(world_sql(&w, "SELECT end_reason FROM ticket"), END_INTERRUPTED);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
the_command_line_books_them_as_well(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 20};
	assert_non_null(world_hold(&w, &e));
	world_progress(&w);
	world_kill_ledger(&w);
	world_open(&w, false);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - 20);
	world_is_sound(&w);
	world_end(&w);
}

static void
a_booked_exchange_leaves_no_progress(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	struct ticket *early = world_hold(&w, &e), *late = world_hold(&w, &e);
	world_progress(&w);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 2);
	ticket_settle(w.desk, early);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 1);
	world_kill_ledger(&w);
	ticket_settle(w.desk, late);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE end_reason = 1"), 2);
	world_is_sound(&w);
	world_end(&w);
}

static void
a_live_exchange_survives_the_ledgers_death(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	struct ticket *t = world_hold(&w, &e);
	world_progress(&w);
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 0);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR);
	ticket_settle(w.desk, t);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - world_cost(&w, &e));
	world_is_sound(&w);
	world_end(&w);
}

static void
ids_of_a_new_board_are_above_all_of_the_old_one(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00"), last = 0;
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	for (int boot = 0; boot < 3; boot++) {
		uint64_t ceiling_ms = atomic_load(board_id_ceiling_ms(w.ledger_board));
		uint64_t id = world_exchange(&w, e);
		assert_true(id > last);
		last = id;
		world_round(&w);
		world_lose_board(&w);
		world_open(&w, true);
		assert_true(atomic_load(board_id_floor_ms(w.ledger_board)) > ceiling_ms);
	}
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM boot"), 4);
	world_is_sound(&w);
	world_end(&w);
}

/* ---- one at a time ---- */

static void
a_second_ledger_is_told_who_holds_the_lock(void **state)
{
	struct world w;
	world_begin(&w);
	struct ledger *second = NULL;
	char why[256], pid[24];
	struct ledger_options o = {.data_dir = w.dir, .pepper = w.pepper, .receipt_seed = w.pepper};
	assert_int_equal(ledger_open(&o, &second, why), LEDGER_LOCKED);
	assert_null(second);
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_non_null(strstr(why, pid));
	world_end(&w);
}

static void
rounds_go_by_twice_before_the_ledger_sleeps(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = -1};
	while (!ledger_may_sleep(w.ledger))
		world_round(&w);
	uint64_t rounds = atomic_load(board_rounds(w.ledger_board));
	world_exchange(&w, e);
	do
		world_round(&w);
	while (!ledger_may_sleep(w.ledger));
	assert_true(atomic_load(board_rounds(w.ledger_board)) >= rounds + 2);
	assert_true(ledger_wait_ms(w.ledger, w.now_ms) > 50);
	world_end(&w);
}

/* Called when it says that it wants to be, as by its process. */
static void
progress_waits_for_no_window_and_no_sleep(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 20};
	struct ticket *t = world_hold(&w, &e);
	uint64_t written_ms = 0;
	w.ledger->o.batch_window_ms = 5000;
	world_round(&w);
	for (int64_t cost = 21, writes = 0; writes < 4; cost++) {
		ticket_state_cost(t, (struct nano){cost});
		w.now_ms += (uint64_t)ledger_wait_ms(w.ledger, w.now_ms);
		assert_int_equal(ledger_round(w.ledger, w.now_ms), 0);
		if (world_sql(&w, "SELECT cost_nano FROM progress") != cost)
			continue;
		assert_true(writes++ == 0 || w.now_ms - written_ms == PROGRESS_PERIOD_MS);
		written_ms = w.now_ms;
	}
	world_end(&w);
}

static void
who_waits_for_a_round_does_not_wait_for_the_window_s_end(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 20};
	w.ledger->o.batch_window_ms = 5000;
	for (unsigned i = 0; i < 2; i++) { /* the round that was wanted is the only one */
		ticket_settle(w.desk, world_hold(&w, &e));
		assert_int_equal(world_round(&w), 1);
		assert_in_range(ledger_wait_ms(w.ledger, w.now_ms), 1000, 5000);
		board_want_round(w.desk);
		assert_in_range(ledger_wait_ms(w.ledger, w.now_ms), 1, 25);
	}
	w.ledger->back_off_ms = 400; /* the store has failed: nobody hurries it */
	w.ledger->round_due_ms = w.now_ms + 400;
	assert_int_equal(ledger_wait_ms(w.ledger, w.now_ms), 400);
	world_end(&w);
}

static void
many_tickets_do_not_wait_for_the_window_s_end(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 100, .output = 50, .cost = 20};
	w.ledger->o.batch_window_ms = 5000;
	for (unsigned n = 0; n < TICKETS_COLLECTED + 500; n++) /* that they were more once makes no difference */
		ticket_settle(w.desk, world_hold(&w, &e));
	assert_int_equal(world_round(&w), TICKETS_COLLECTED + 500);
	for (unsigned i = 0; i < 2; i++) { /* those that have come back don't count */
		for (unsigned n = 1; n < TICKETS_COLLECTED; n++)
			ticket_settle(w.desk, world_hold(&w, &e));
		assert_in_range(ledger_wait_ms(w.ledger, w.now_ms), 100, 5000); /* progress may be due before */
		ticket_settle(w.desk, world_hold(&w, &e));
		assert_in_range(ledger_wait_ms(w.ledger, w.now_ms), 0, 25);
		assert_int_equal(world_round(&w), TICKETS_COLLECTED);
	}
	world_end(&w);
}

static void
a_row_that_is_not_there_or_finds_no_room_is_not_loaded(void **state)
{
	struct world w;
	world_begin_sized(&w, 1);
	uint64_t a = world_account(&w, "alice", "5.00"), b = world_account(&w, "bob", "5.00");
	uint32_t slot;
	struct world_exchange e = {.account = a, .input = 10, .output = 10, .cost = -1};
	assert_int_equal(ledger_load_row(w.ledger, 12345, 0, &slot), 1);
	assert_int_equal(ledger_load_row(w.ledger, HOUSE_REVENUE, 0, &slot), 1);
	assert_int_equal(ledger_load_row(w.ledger, a, 0, &slot), 0);
	struct ticket *t = world_hold(&w, &e);
	assert_int_equal(ledger_load_row(w.ledger, b, 0, &slot), 2);
	ticket_settle(w.desk, t);
	world_round(&w);
	assert_int_equal(ledger_load_row(w.ledger, b, 0, &slot), 0);
	assert_int_equal(slot, 0);
	assert_int_equal(ledger_load_row(w.ledger, a, 0, &slot), 0);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_end(&w);
}

/* The store fails at the last ticket of those that are summed up anew, until it has back what it had. */
static struct query
fail_amid_tickets(struct world *w, struct query **ret_failing)
{
	char text[4000];
	struct store *s = &w->ledger->store;
	struct query *st = store_sql(s, SQL_tickets_from), whole = *st;
	snprintf(text, sizeof(text), "SELECT * FROM (%s) AS tickets WHERE CASE id WHEN (SELECT max(id) FROM ticket) THEN abs(-9223372036854775807 - 1 + id - id) ELSE 1 END <> 0", sql_text(s, SQL_tickets_from));
	*ret_failing = sql_prepare(s, text);
	assert_non_null(*ret_failing);
	*st = **ret_failing;
	return whole;
}

/* A part of them, written with the mark of all, would be all that usage ever has. */
static void
sums_that_could_be_read_in_part_are_read_again_before_they_are_written(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "5.00");
	const struct world_exchange e = {.account = alice, .input = 10, .output = 10, .cost = -1};
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(world_exchange(&w, e), 0);
	assert_int_equal(world_round(&w), 3);
	struct query *failing, whole = fail_amid_tickets(&w, &failing);
	assert_false(usage_recover(w.ledger));
	assert_false(usage_flush(w.ledger));
	assert_false(usage_known_once(w.ledger));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM usage_day"), 0);
	assert_int_not_equal(world_exchange(&w, e), 0);
	assert_int_equal(world_round(&w), 1);
	assert_false(usage_flush(w.ledger));
	*store_sql(&w.ledger->store, SQL_tickets_from) = whole;
	sql_free(failing);
	assert_true(usage_known_once(w.ledger));
	assert_int_equal(usage_requests(&w.ledger->usage, 0, alice), 4);
	assert_true(usage_flush(w.ledger));
	assert_int_equal(world_sql(&w, "SELECT sum(requests) FROM usage_day"), 4);
	world_is_sound(&w);
	world_end(&w);
}

/* Nobody asks for usage: a round that has nothing to sum up does it when it is time. */
static void
a_round_reads_again_what_could_be_read_in_part(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "5.00");
	for (int i = 0; i < 2; i++)
		assert_int_not_equal(world_exchange(&w, (struct world_exchange){.account = alice, .input = 10, .output = 10, .cost = -1}), 0);
	assert_int_equal(world_round(&w), 2);
	struct query *failing, whole = fail_amid_tickets(&w, &failing);
	assert_false(usage_recover(w.ledger));
	*store_sql(&w.ledger->store, SQL_tickets_from) = whole;
	sql_free(failing);
	w.now_ms += 2 * USAGE_PERIOD_MS;
	(void)!world_round(&w);
	w.now_ms += 2 * USAGE_PERIOD_MS;
	(void)!world_round(&w);
	assert_int_equal(world_sql(&w, "SELECT coalesce(sum(requests), 0) FROM usage_day"), 2);
	world_end(&w);
}

/* ---- verify sees it ---- */

/* A store of the first schema that was released, with some business in it. */
static void
an_older_store_is_brought_up_to_date(void **state)
{
	if (world_on_postgres())
		skip(); /* there was none */
	struct world w;
	world_begin(&w);
	world_make_old(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, 1000), 7 * NANO_PER_DOLLAR);
	assert_int_equal(house(&w, HOUSE_TRANSIT), 0);
	world_is_sound(&w);
	struct world_exchange e = {.account = 1000, .key = 9, .input = 10, .output = 7, .cost = -1};
	assert_int_not_equal(world_exchange(&w, e), 0);
	assert_int_equal(world_round(&w), 1);
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "old", "amount", "1"));
	json_t *s = world_must(&w, "{s:s, s:s}", "op", "account.statement", "account", "old");
	assert_int_equal(json_array_size(json_object_get(s, "rows")), 4);
	json_decref(s);
	world_close(&w);
	world_open(&w, false);
	world_is_sound(&w);
	world_end(&w);
}


static void
begin_some_business(struct world *w)
{
	struct script_answers a = {0};
	world_begin(w);
	script_begin(w);
	script_all(w, &a);
	uint64_t alice = (uint64_t)world_sql(w, "SELECT id FROM account WHERE name = 'alice'");
	for (uint32_t i = 1; i < 20; i++)
		world_exchange(w,
			(struct world_exchange){
				.account = alice, .key = 3, .model = i % 2, .input = 10 * i, .output = 5 * i, .cost = -1});
	world_round(w);
	assert_true(usage_flush(w->ledger));
	world_is_sound(w);
}

static const struct {
	const char *inv, *sql;
} damages[] = {
	{"INV-1", "DROP TRIGGER posting_in_time; INSERT INTO posting (booking, account, amount_nano) VALUES (1, 1, 7)"},
	{"INV-1", "PRAGMA foreign_keys = OFF; INSERT INTO posting (booking, account, amount_nano) VALUES (999, 3, 7)"},
	{"INV-1", "DROP TRIGGER ticket_stays; DELETE FROM ticket WHERE id = (SELECT min(id) FROM ticket)"},
	{"INV-1", "DROP TRIGGER booking_is_final; UPDATE booking SET tickets = tickets + 1 WHERE kind = 1"},
	{"INV-2", "PRAGMA ignore_check_constraints = ON; UPDATE account SET balance_nano = -1 WHERE name = 'bob'"},
	{"INV-3", "UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'alice'"},
	{"INV-3", "UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'revenue'"},
	{"INV-4",
		"DROP TRIGGER ticket_is_final; UPDATE ticket SET cost_nano = cost_nano - 1 WHERE id = "
		"(SELECT max(id) FROM ticket)"},
	{"INV-4",
		"DROP TRIGGER ticket_is_final; UPDATE ticket SET tokens_output = tokens_output + 1 WHERE "
		"id = (SELECT max(id) FROM ticket)"},
	{"INV-4", "DROP TRIGGER price_is_final; UPDATE price SET pico_output = pico_output * 2"},
	{"INV-5", "DROP TRIGGER posting_stays"},
	{"INV-6", "INSERT INTO operation (ref, content, subject, time_us) VALUES ('x', x'00', 777, 1)"},
	{"INV-7", "DROP TRIGGER booking_stays; PRAGMA foreign_keys = OFF; DELETE FROM booking WHERE id = 1"},
	{"INV-7", "UPDATE boot SET floor_ms = floor_ms + 1, ceiling_ms = floor_ms + 1"},
	{"INV-8", "DROP TRIGGER price_stays; DELETE FROM price"},
	{"INV-8", "DROP TRIGGER ticket_is_final; UPDATE ticket SET price = 2 WHERE model = 11"},
	{"INV-8", "DROP TRIGGER ticket_is_final; UPDATE ticket SET price = 0, model = 0, endpoint = 18 WHERE cost_nano > 0"},
	{"INV-9", "UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'alice'"},
	{"INV-10", "UPDATE usage_day SET requests = requests + 1"},
	{"INV-10", "DELETE FROM usage_day WHERE model = 10"},
	{"INV-11", "UPDATE item SET open_nano = open_nano - 1 WHERE kind = 4 AND state = 1"},
	{"INV-11", "UPDATE item SET open_nano = open_nano - 1 WHERE kind = 1"},
	{"INV-11", "UPDATE item SET state = 3, open_nano = 0 WHERE kind = 3 AND state = 1"},
	{"INV-11", "DROP TRIGGER item_resolves_once; UPDATE item SET state = 1 WHERE kind = 4 AND state = 2"},
	{"INV-11", "UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'transit'"},
	{"INV-12", "DROP TRIGGER posting_in_time; INSERT INTO posting SELECT booking, (SELECT id FROM account WHERE name = 'bob'), 1 FROM posting WHERE account = (SELECT id FROM account WHERE name = 'alice') LIMIT 1"},
	{"INV-13", "UPDATE account SET owed_nano = 1 WHERE name = 'alice'"},
	{"FILE",
		"DROP TRIGGER posting_in_time; PRAGMA foreign_keys = OFF; INSERT INTO posting (booking, account, amount_nano) VALUES (1, 424242, 1)"},
};

static void
every_damage_to_the_books_is_found(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		struct world w;
		if (world_on_postgres() && strcmp(damages[i].inv, "FILE") == 0)
			continue; /* its files are its own affair */
		begin_some_business(&w);
		world_close(&w);
		world_open(&w, false);
		world_is_sound(&w);
		world_damage(&w, damages[i].sql);
		if (!world_is_broken(&w, damages[i].inv))
			fail_msg("not found: %s", damages[i].sql);
		world_end(&w);
	}
}

static void
the_store_itself_refuses_what_must_not_happen(void **state)
{
	static const char *const never[] = {
		"UPDATE account SET balance_nano = -1 WHERE name = 'alice'",
		"UPDATE ticket SET cost_nano = 0",
		"DELETE FROM ticket",
		"UPDATE posting SET amount_nano = 0",
		"DELETE FROM posting",
		"UPDATE booking SET time_us = 0",
		"DELETE FROM booking",
		"UPDATE price SET pico_input = 0",
		"DELETE FROM operation WHERE 1 OR ref = 'x'",
		"INSERT OR REPLACE INTO operation (ref, content, subject, time_us) VALUES ('x', x'00', 1, 1)",
		"INSERT OR REPLACE INTO booking (id, kind, time_us) VALUES (1, 2, 1)",
		"INSERT OR REPLACE INTO posting (booking, account, amount_nano) SELECT booking, account, amount_nano + 1 FROM posting",
		"INSERT OR REPLACE INTO ticket SELECT * FROM ticket",
		"INSERT INTO posting (booking, account, amount_nano) VALUES (1, 1, 1)",
		"INSERT INTO booking (id, kind, time_us) SELECT max(id) + 2, 2, 1 FROM booking",
		"INSERT INTO posting (booking, account, amount_nano) SELECT max(id) + 1, 3, 1 FROM booking",
		"INSERT INTO posting (booking, account, amount_nano) SELECT max(id) + 1, 3, 1 FROM booking; INSERT INTO booking (id, kind, time_us) SELECT max(id) + 1, 2, 1 FROM booking",
		"UPDATE account SET balance_nano = 4000000000000000001 WHERE name = 'alice'",
		"UPDATE account SET balance_nano = balance_nano + 9223372036854775807 WHERE name = 'alice'",
		"UPDATE account SET balance_nano = balance_nano + 9223372036854775807 WHERE name = 'revenue'",
		"UPDATE account SET kind = 3 WHERE name = 'alice'",
		"DELETE FROM account WHERE name = 'bob'",
		"DELETE FROM item",
		"UPDATE item SET amount_nano = 5",
		"UPDATE item SET state = 1 WHERE state = 2",
		"UPDATE item SET open_nano = amount_nano + 1 WHERE state = 1",
		"INSERT INTO ticket (id, booking, cost_nano, hold_nano, difference_nano, loss) VALUES (1, 1, 5, 4, 0, 0)",
		"INSERT INTO ticket (id, booking, cost_nano, hold_nano, difference_nano, loss) VALUES (1, 1, -5, 4, 0, 0)",
		"INSERT INTO account (id, kind, name, created_us) VALUES (100, 0, 'alice', 0)",
	};
	struct world w;
	begin_some_business(&w);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1",
		"reason", "r", "id", "x"));
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (store_exec(&w.ledger->store, never[i]))
			fail_msg("allowed: %s", never[i]);
	world_is_sound(&w);
	world_end(&w);
}

/* While the ledger commits, its edges go on: after each commit there is another exchange to book. */
struct busy_edge {
	struct world *w;
	struct world_exchange exchange;
	int left;
};

static int
settle_another(void *arg)
{
	struct busy_edge *e = arg;
	if (e->left > 0 && --e->left > 0)
		assert_int_not_equal(world_exchange(e->w, e->exchange), 0);
	return 0;
}

static void
an_order_is_answered_while_edges_hand_in_without_a_pause(void **state)
{
	struct world w;
	if (world_on_postgres())
		skip(); /* it looks in on SQLite's commit */
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "100");
	struct busy_edge e = {
		.w = &w, .exchange = {.account = a, .model = 1, .input = 10, .output = 1, .cost = -1}, .left = 500};
	world_exchange(&w, e.exchange);
	sqlite3_commit_hook(w.ledger->store.own, settle_another, &e);
	json_decref(world_must(
		&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1", "reason", "r"));
	assert_true(e.left > 480);
	sqlite3_commit_hook(w.ledger->store.own, NULL, NULL);
	assert_true(world_round(&w) >= 0);
	world_is_sound(&w);
	world_end(&w);
}

/* What an edge that was captured can leave in the progress: no booking fits it. */
static void
progress_that_can_not_be_booked_does_not_stop_the_start(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5");
	struct world_exchange e = {.account = a, .model = 1, .input = 10, .output = 1, .cost = -1};
	uint64_t id = world_exchange(&w, e);
	assert_int_equal(world_round(&w), 1);
	char sql[400];
	snprintf(sql, sizeof(sql),
		"INSERT INTO progress (id, board_index, cost_nano, hold_nano, account, model, provider, price, started_us) "
		"SELECT column1, 1, column2, column3, account, model, provider, price, started_us FROM ticket, "
		"(VALUES (%llu, 7, 8), (5, -7, 8), (6, -9, -8)) AS three",
		(unsigned long long)id);
	if (!store_exec(&w.ledger->store, sql))
		fail_msg("%s", store_error(&w.ledger->store));
	world_lose_board(&w);
	alarm(120);
	world_open(&w, true);
	alarm(0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(world_balance(&w, a), 5 * NANO_PER_DOLLAR - world_cost(&w, &e));
	world_is_sound(&w);
	world_end(&w);
}

/* Killed between the commit and the sums, with another booking before it, so that both copies had something. */
static void
what_a_ledger_booked_and_did_not_sum_up_is_summed_up_by_the_next(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5");
	struct world_exchange e = {.account = a, .key = 9, .model = 1, .input = 100, .output = 50, .cost = -1};
	for (int booking = 0; booking < 2; booking++) {
		world_exchange(&w, e);
		assert_int_equal(world_round(&w), 1);
	}
	e.model = 0;
	for (int i = 0; i < 3; i++)
		world_exchange(&w, e);
	w.ledger->o.tally = NULL;
	assert_int_equal(world_round(&w), 3);
	world_kill_ledger(&w);
	world_open(&w, true);
	world_is_sound(&w);
	/* Both copies: the next bookings are added to the one and the other. */
	for (int booking = 0; booking < 2; booking++) {
		world_exchange(&w, e);
		assert_int_equal(world_round(&w), 1);
		world_is_sound(&w);
	}
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_that_could_be_read_in_part_are_read_again_before_they_are_written),
		cmocka_unit_test(a_round_reads_again_what_could_be_read_in_part),
		cmocka_unit_test(an_older_store_is_brought_up_to_date),
		cmocka_unit_test(an_exchange_costs_its_account_what_it_used),
		cmocka_unit_test(many_exchanges_of_many_accounts_are_one_booking),
		cmocka_unit_test(use_beyond_the_hold_is_the_operators_loss),
		cmocka_unit_test(used_by_an_attempt_that_is_free_is_the_operators_loss),
		cmocka_unit_test(a_stated_cost_that_fits_no_rule_is_charged_as_stated_and_counted),
		cmocka_unit_test(a_ticket_that_names_another_account_is_not_booked),
		cmocka_unit_test(of_many_tickets_one_that_is_none_is_counted_wherever_it_stands),
		cmocka_unit_test(an_account_that_the_store_says_is_poorer_stops_its_own_tickets_only),
		cmocka_unit_test(a_new_ledger_books_what_the_dead_one_left),
		cmocka_unit_test(an_id_that_was_booked_with_other_content_is_not_taken_for_it),
		cmocka_unit_test(what_was_cut_short_is_known_by_what_it_was_about),
		cmocka_unit_test(booked_but_not_given_back_is_not_booked_again),
		cmocka_unit_test(an_exchange_of_a_dead_edge_is_booked_as_interrupted),
		cmocka_unit_test(after_a_power_cut_held_exchanges_are_booked_from_their_progress),
		cmocka_unit_test(the_command_line_books_them_as_well),
		cmocka_unit_test(a_booked_exchange_leaves_no_progress),
		cmocka_unit_test(a_live_exchange_survives_the_ledgers_death),
		cmocka_unit_test(ids_of_a_new_board_are_above_all_of_the_old_one),
		cmocka_unit_test(a_second_ledger_is_told_who_holds_the_lock),
		cmocka_unit_test(rounds_go_by_twice_before_the_ledger_sleeps),
		cmocka_unit_test(progress_waits_for_no_window_and_no_sleep),
		cmocka_unit_test(who_waits_for_a_round_does_not_wait_for_the_window_s_end),
		cmocka_unit_test(many_tickets_do_not_wait_for_the_window_s_end),
		cmocka_unit_test(a_row_that_is_not_there_or_finds_no_room_is_not_loaded),
		cmocka_unit_test(every_damage_to_the_books_is_found),
		cmocka_unit_test(the_store_itself_refuses_what_must_not_happen),
		cmocka_unit_test(an_order_is_answered_while_edges_hand_in_without_a_pause),
		cmocka_unit_test(progress_that_can_not_be_booked_does_not_stop_the_start),
		cmocka_unit_test(what_a_ledger_booked_and_did_not_sum_up_is_summed_up_by_the_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
