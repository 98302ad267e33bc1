/* A node whose PostgreSQL can't be reached: docs/decisions/0074-outbox.md. What it settles meanwhile is booked, once. On PostgreSQL only. */
#include "ledger/away.h"
#include "ledger/outbox_world.h"
#include "ledger/share_priv.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static void
what_is_settled_while_the_store_is_away_is_booked_once(void **state)
{
	struct world w;
	uint32_t slot;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small), all = 3 * NANO_PER_DOLLAR;
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	struct ticket *runs = world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20});
	assert_true(outbox_world_serve(&w, alice)); /* handed in, and its ledger dies before it is booked */
	outbox_world_open_again(&w, true);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 1);
	for (int i = 0; i < 5; i++)
		assert_true(outbox_world_serve(&w, alice));
	assert_int_equal(world_round(&w), 5);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 6);
	assert_int_equal(outbox_world_waits(&w, "waiting_batches"), 2);
	/* What it cost is gone from the slot, and the rest of the holds is there again. */
	assert_int_equal(outbox_world_on_board(&w, alice), all - 7 * cost - ticket_hold(runs).v);
	world_refused(&w, "store_away", "{s:s, s:s}", "op", "account.create", "name", "bob");
	world_refused(&w, "store_away", "{s:s}", "op", "ledger.verify");
	/* What is here is given, what is not is not asked for, and nobody is told that there is none. */
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	assert_int_equal(ledger_load_row(w.ledger, alice, all, &slot), 2);
	assert_int_equal(ledger_load_row(w.ledger, alice + 1, 1, &slot), 2);
	outbox_world_open_again(&w, true); /* as the next process that looks */
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 7);
	outbox_world_open_again(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 8);
	assert_int_equal(world_sql(&w, "SELECT cost_nano FROM progress"), 20);
	ticket_settle(w.desk, runs);
	outbox_world_is_right(&w, alice, 9, all - 8 * cost - 20);
	world_end(&w);
}

static void
how_much_waits_and_for_how_long_is_in_the_metrics(void **state)
{
	enum { AGO_S = 3600 };
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	const struct tally_ledger *s = tally_ledger(w.tally);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_true(s->outbox_waiting == 0 && s->outbox_oldest_s == 0);
	outbox_world_open_again(&w, true);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = -1});
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(s->outbox_waiting, 1);
	t->facts.started_us -= AGO_S * 1000000ULL;
	int64_t began_us = (int64_t)t->facts.started_us;
	ticket_settle(w.desk, t);
	outbox_world_book_all(&w);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(s->outbox_waiting, 2);
		assert_true(s->outbox_oldest_s >= AGO_S && s->outbox_oldest_s < 2 * AGO_S);
		assert_int_equal(outbox_facts(w.ledger->away)->oldest_us, began_us);
		outbox_world_open_again(&w, true); /* it is read from the file */
		outbox_world_book_all(&w);
	}
	outbox_world_open_again(&w, false);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &outbox_world_small));
	assert_true(s->outbox_waiting == 0 && s->outbox_oldest_s == 0);
	/* A clock that was set back. */
	assert_int_equal(outbox_age_s(&(struct outbox_facts){.oldest_us = began_us}, (uint64_t)began_us - 1), 0);
	assert_int_equal(outbox_age_s(&(struct outbox_facts){.oldest_us = began_us}, (uint64_t)began_us + 2999999), 2);
	world_end(&w);
}

static void
change_outbox(const struct world *w, const char *sql)
{
	char path[128];
	sqlite3 *db;
	snprintf(path, sizeof(path), "%s/outbox.db", w->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
server_again(struct world *w)
{
	world_close(w);
	w->size.node = 0;
	world_lose_board(w);
	world_open(w, true);
}

static void
verify_looks_at_what_waits(void **state)
{
	static const struct {
		const char *damage, *mend, *says;
	} rows[] = {
		{"UPDATE settled SET cost_nano = hold_nano + 1 WHERE id = (SELECT min(id) FROM settled)", "UPDATE settled SET cost_nano = hold_nano WHERE cost_nano > hold_nano", "and can't be booked"},
		{"UPDATE settled SET account = account + 1 WHERE id = (SELECT max(id) FROM settled)", "UPDATE settled SET account = row_0", "and can't be booked"},
		{"UPDATE state SET node = 3", "UPDATE state SET node = 0", "is node 0's, and waits in node 3's outbox"},
		{"UPDATE state SET store = store + 2", "UPDATE state SET store = store - 2", "2 requests wait for store "},
		{"PRAGMA user_version = 3", "PRAGMA user_version = 2", "was written by a newer lethe"},
		{"ALTER TABLE settled ADD COLUMN tokens_of_tomorrow INTEGER NOT NULL DEFAULT 1", "ALTER TABLE settled DROP COLUMN tokens_of_tomorrow", "was written by a newer lethe"},
		{"ALTER TABLE settled RENAME TO other", "ALTER TABLE other RENAME TO settled", "can't be read"},
	};
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	outbox_world_verify_says(&w, NULL, 0, 0);
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	outbox_world_only_a_command(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		outbox_world_verify_says(&w, NULL, 2, 0);
		change_outbox(&w, rows[i].damage);
		bool read = strstr(rows[i].says, "newer") == NULL && strstr(rows[i].says, "can't be read") == NULL;
		outbox_world_verify_says(&w, rows[i].says, read ? 2 : 0, 0);
		change_outbox(&w, rows[i].mend);
	}
	outbox_world_verify_says(&w, NULL, 2, 0);
	server_again(&w);
	outbox_world_verify_says(&w, NULL, 0, 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 3);
	world_end(&w);
}

/* Killed between the store's commit and the outbox's: what is in both is the same, or has been altered in one. */
static void
verify_compares_what_waits_with_what_is_booked(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_kill_ledger(&w);
	outbox_world_copy_file(&w, "outbox.db", "outbox.db.copy");
	outbox_world_open_again(&w, false);
	w.ledger->store.lost = true;
	outbox_world_only_a_command(&w);
	outbox_world_copy_file(&w, "outbox.db.copy", "outbox.db");
	outbox_world_verify_says(&w, NULL, 3, 0);
	change_outbox(&w, "UPDATE settled SET tokens_input = tokens_input + 1 WHERE id = (SELECT max(id) FROM settled)");
	outbox_world_verify_says(&w, "1 broken, the first: ticket ", 3, 0);
	change_outbox(&w, "UPDATE settled SET tokens_input = tokens_input - 1, cost_nano = cost_nano - 1 WHERE id = (SELECT max(id) FROM settled)");
	outbox_world_verify_says(&w, "waits, and is booked with other contents", 3, 0);
	change_outbox(&w, "UPDATE settled SET cost_nano = cost_nano + 1 WHERE id = (SELECT max(id) FROM settled)");
	change_outbox(&w, "INSERT INTO refused SELECT * FROM settled WHERE id = (SELECT max(id) FROM settled); DELETE FROM settled WHERE id = (SELECT max(id) FROM settled)");
	outbox_world_verify_says(&w, NULL, 2, 1);
	server_again(&w);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 3);
	outbox_world_verify_says(&w, NULL, 0, 1); /* it stays for people */
	world_end(&w);
}

/* What another lethe wrote is not guessed at: the server does not start, says why, and all is there for the one that knows it. */
static void
an_outbox_of_a_layout_that_is_not_known_is_refused_and_left_alone(void **state)
{
	static const struct {
		const char *change, *back, *says;
	} rows[] = {
		{"PRAGMA user_version = 3", "PRAGMA user_version = 2", "was written by a newer lethe (its layout is not known here): run that one"},
		{"ALTER TABLE settled ADD COLUMN tokens_of_tomorrow INTEGER NOT NULL DEFAULT 1", "ALTER TABLE settled DROP COLUMN tokens_of_tomorrow", "was written by a newer lethe (it keeps facts of a ticket that are not known here): run that one"},
		{"ALTER TABLE progress ADD COLUMN tokens_of_tomorrow INTEGER NOT NULL DEFAULT 1", "ALTER TABLE progress DROP COLUMN tokens_of_tomorrow", "was written by a newer lethe (it keeps facts of a ticket that are not known here): run that one"},
	};
	struct world w;
	struct outbox_facts f;
	char why[STORE_WHY_MAX];
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int cut_off = 0; cut_off < 2; cut_off++) {
			world_kill_ledger(&w);
			change_outbox(&w, rows[i].change);
			w.cut_off = cut_off != 0;
			assert_false(world_try_open(&w, true, why));
			assert_non_null(strstr(why, rows[i].says));
			assert_false(outbox_look(w.dir, &f));
			if (w.ledger != NULL)
				world_kill_ledger(&w);
			change_outbox(&w, rows[i].back);
			w.cut_off = true;
			world_open(&w, true);
			assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 2);
		}
	outbox_world_open_again(&w, false);
	outbox_world_is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - 2 * world_cost(&w, &outbox_world_small));
	world_end(&w);
}

/* Whoever only reads stands in nobody's way, between two of its calls. */
static void
who_reads_an_outbox_holds_up_nobody_who_writes(void **state)
{
	struct world w;
	struct outbox *reader = NULL;
	struct ticket_copy t[3];
	char path[128];
	sqlite3 *db;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	assert_int_equal(outbox_open_reader(w.dir, &reader), OUTBOX_ABSENT);
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(outbox_open_reader(w.dir, &reader), OUTBOX_SEEN);
	assert_int_equal(outbox_facts(reader)->requests, 2);
	assert_int_equal(outbox_read_settled(reader, 0, t, 1), 1);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 3);
	/* As the next ledger does before anything else: it needs all who read to be away. */
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(outbox_read_settled(reader, (int64_t)t[0].id, t, 3), 2);
	assert_false(outbox_drop_settled(reader, INT64_MAX));
	outbox_close(&reader);
	outbox_world_open_again(&w, false);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &outbox_world_small));
	world_end(&w);
}

static void
what_ran_when_the_machine_fell_over_is_paid_by_its_last_progress(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20});
	world_progress(&w); /* the store has 20 */
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	ticket_state_cost(t, (struct nano){35});
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	outbox_world_book_all(&w);
	w.ledger->store.lost = true;
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT sum(cost_nano)::bigint FROM ticket"), cost + 35);
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	outbox_world_is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - cost - 35);
	world_end(&w);
}

/* Killed between the store's commit and the outbox's, so that all of it is sent again. */
static void
what_was_booked_and_not_dropped_is_not_booked_again(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small);
	outbox_world_open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_kill_ledger(&w);
	outbox_world_copy_file(&w, "outbox.db", "outbox.db.copy");
	outbox_world_open_again(&w, false);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
	for (int fresh = 0; fresh < 2; fresh++) {
		w.ledger->store.lost = true;
		world_kill_ledger(&w);
		outbox_world_copy_file(&w, "outbox.db.copy", "outbox.db");
		if (fresh)
			world_lose_board(&w);
		world_open(&w, true);
		uint32_t slot;
		assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
		outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
	}
	world_end(&w);
}

/* Killed between the outbox's commit and what is given back on the board. */
static void
what_is_in_the_outbox_and_on_the_board_is_booked_once(void **state)
{
	for (int back = 0; back < 2; back++) {
		struct world w;
		uint32_t quarantined;
		uint64_t alice = outbox_world_begin(&w, "3.00");
		int64_t cost = world_cost(&w, &outbox_world_small);
		outbox_world_open_again(&w, true);
		for (int i = 0; i < 3; i++)
			assert_true(outbox_world_serve(&w, alice));
		struct batch *b = w.ledger->batch;
		b->count = board_collect(w.ledger_board, b->tickets, BATCH_MAX, &quarantined);
		assert_int_equal(b->count, 3);
		assert_true(away_book(w.ledger));
		assert_int_equal(b->fates[0], FATE_BOOKED);
		assert_true(away_book(w.ledger)); /* as one whose outcome was not known */
		assert_int_equal(b->fates[0], FATE_KNOWN);
		b->tickets[0].facts.tokens_input++; /* the same id with other content is none of those */
		assert_true(away_book(w.ledger));
		assert_true(b->fates[0] == FATE_REFUSED && b->fates[1] == FATE_KNOWN);
		outbox_world_open_again(&w, back == 0);
		if (back == 0) {
			assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 3);
			assert_int_equal(outbox_world_on_board(&w, alice), 3 * NANO_PER_DOLLAR - 3 * cost);
			outbox_world_open_again(&w, false);
		}
		outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
		world_end(&w);
	}
}

/* A move between balance and share that was begun when the store went is nobody's business but the ledger's that finds it again. */
static void
a_move_waits_for_the_store(void **state)
{
	struct world w;
	uint32_t index;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small);
	assert_int_equal(board_debit_begin(w.ledger_board, ledger_next_id(w.ledger), alice, (struct nano){NANO_PER_DOLLAR}, &index), MOVED);
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 1);
	assert_int_equal(w.ledger->stats.quarantined, 0);
	assert_int_equal(outbox_world_on_board(&w, alice), 2 * NANO_PER_DOLLAR - cost);
	outbox_world_open_again(&w, false);
	assert_int_equal(world_sql(&w, "SELECT nano FROM share"), 2 * NANO_PER_DOLLAR - cost);
	outbox_world_is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - cost);
	world_end(&w);
}

static enum board_gate
gate(struct world *w)
{
	return (enum board_gate)atomic_load(board_gate(w->ledger_board));
}

static void
nothing_new_is_taken_when_it_is_full_or_too_long(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	int64_t cost = world_cost(&w, &outbox_world_small);
	outbox_world_open_again(&w, true);
	w.ledger->o.away_requests = 2;
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(gate(&w), BOARD_OPEN);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = -1});
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	assert_int_equal(gate(&w), BOARD_STALLED);
	ticket_settle(w.desk, t); /* what runs is kept all the same */
	outbox_world_book_all(&w);
	assert_int_equal(outbox_world_waits(&w, "waiting_requests"), 3);
	outbox_world_open_again(&w, true);
	assert_int_equal(gate(&w), BOARD_OPEN); /* there is room for a thousand now */
	w.ledger->o.away_ms = 1;
	do
		outbox_world_book_all(&w);
	while (gate(&w) == BOARD_OPEN);
	assert_int_equal(gate(&w), BOARD_STALLED);
	outbox_world_open_again(&w, false);
	assert_int_equal(gate(&w), BOARD_OPEN);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
	world_end(&w);
}

/* Ids go on, and none is given out again after a power cut. */
static void
ids_are_kept_in_the_outbox_before_they_are_given(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	uint64_t low_ms = clock_wall_us() / 1000 + 1000;
	w.ledger->ceiling_ms = low_ms;
	atomic_store(board_id_ceiling_ms(w.ledger_board), low_ms);
	outbox_world_book_all(&w);
	uint64_t ceiling_ms = atomic_load(board_id_ceiling_ms(w.ledger_board));
	assert_true(ceiling_ms > low_ms && (int64_t)ceiling_ms == outbox_facts(w.ledger->away)->ceiling_ms);
	/* So far ahead that no clock says why. */
	assert_true(outbox_raise(w.ledger->away, (int64_t)ceiling_ms + 1000000));
	assert_true(outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_true(atomic_load(board_id_floor_ms(w.ledger_board)) > ceiling_ms + 1000000);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
	world_end(&w);
}

static void
a_window_that_was_forgotten_meanwhile_is_paid_no_more(void **state)
{
	struct world w;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	struct world_exchange e = outbox_world_small;
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "account.limit", "account", "alice", "dollars_per_day", "1.00"));
	e.account = alice;
	e.window = (uint64_t)world_sql(&w, "SELECT max(id) FROM budget");
	assert_true(e.window != 0 && world_exchange(&w, e) != 0);
	outbox_world_book_all(&w);
	outbox_world_open_again(&w, true);
	assert_true(world_exchange(&w, e) != 0 && outbox_world_serve(&w, alice));
	outbox_world_book_all(&w);
	world_kill_ledger(&w);
	w.cut_off = false;
	world_open(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM budget WHERE used_nano > 0"), 1);
	struct query *st = store_sql(&w.ledger->store, SQL_budget_delete);
	sql_bind(st, (int64_t)e.window);
	assert_true(sql_done(&w.ledger->store, st));
	world_close(&w);
	world_open(&w, true);
	outbox_world_is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &outbox_world_small));
	world_end(&w);
}

/* What is in no books at all, and can be in none, is kept for people, and stops nobody. */
static void
what_the_store_refuses_for_nothing_too_is_put_aside(void **state)
{
	struct world w;
	char path[128];
	uint32_t quarantined;
	int64_t aside = 0;
	uint64_t alice = outbox_world_begin(&w, "3.00");
	outbox_world_open_again(&w, true);
	assert_true(outbox_world_serve(&w, alice) && outbox_world_serve(&w, alice));
	struct batch *b = w.ledger->batch;
	b->count = board_collect(w.ledger_board, b->tickets, BATCH_MAX, &quarantined);
	assert_int_equal(b->count, 2);
	b->tickets[0].facts.account = b->tickets[0].row[b->tickets[0].legs - 1] = alice + 1000;
	assert_true(away_book(w.ledger));
	world_lose_board(&w);
	w.cut_off = false;
	for (int again = 0; again < 2; again++) {
		world_open(&w, true);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
		world_kill_ledger(&w);
		sqlite3 *db;
		sqlite3_stmt *st;
		snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
		assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(db, "SELECT account FROM refused WHERE cost_nano > 0 AND NOT EXISTS (SELECT 1 FROM settled)", -1, &st, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		aside = sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
		sqlite3_close(db);
		assert_int_equal(aside, alice + 1000);
	}
	world_open(&w, true);
	assert_int_equal(world_balance(&w, alice), 3 * NANO_PER_DOLLAR - world_cost(&w, &outbox_world_small));
	/* Nor one that has another number from now on. */
	assert_true(ledger_last(w.ledger));
	world_close(&w);
	w.size.node = 1;
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

/* ---- killed anywhere ---- */

struct life {
	struct world w;
	uint64_t alice;
};

static void
find_the_store(void *arg)
{
	struct life *l = arg;
	world_open(&l->w, true);
	outbox_world_book_all(&l->w);
}

static void
do_without(void *arg)
{
	struct life *l = arg;
	l->w.cut_off = true;
	world_open(&l->w, true);
	l->w.now_ms += 2 * PROGRESS_PERIOD_MS;
	outbox_world_book_all(&l->w);
}

static void
nothing_is_lost_or_double_wherever_a_ledger_is_killed(void **state)
{
	enum { APART = 12 }; /* most of what it calls is connecting */
	struct life l;
	l.alice = outbox_world_begin(&l.w, "3.00");
	int64_t cost = world_cost(&l.w, &outbox_world_small), served = 0;
	bool ended[2] = {false};
	l.w.ledger->store.lost = true;
	world_kill_ledger(&l.w);
	for (uint64_t at = 0; !ended[0] || !ended[1]; at += APART * world_stride())
		for (int away = 1; away >= 0; away--) {
			/* Some wait in the outbox, some on the board. */
			outbox_world_open_again(&l.w, true);
			assert_true(outbox_world_serve(&l.w, l.alice) && outbox_world_serve(&l.w, l.alice));
			outbox_world_book_all(&l.w);
			assert_true(outbox_world_serve(&l.w, l.alice));
			served += 3;
			world_kill_ledger(&l.w);
			l.w.cut_off = false;
			ended[away] = !world_killed_before_call(away ? do_without : find_the_store, &l, at) || ended[away];
			outbox_world_open_again(&l.w, false);
			outbox_world_is_right(&l.w, l.alice, served, 3 * NANO_PER_DOLLAR - served * cost);
			l.w.ledger->store.lost = true;
			world_kill_ledger(&l.w);
		}
	world_end(&l.w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_settled_while_the_store_is_away_is_booked_once),
		cmocka_unit_test(how_much_waits_and_for_how_long_is_in_the_metrics),
		cmocka_unit_test(verify_looks_at_what_waits),
		cmocka_unit_test(verify_compares_what_waits_with_what_is_booked),
		cmocka_unit_test(an_outbox_of_a_layout_that_is_not_known_is_refused_and_left_alone),
		cmocka_unit_test(who_reads_an_outbox_holds_up_nobody_who_writes),
		cmocka_unit_test(what_ran_when_the_machine_fell_over_is_paid_by_its_last_progress),
		cmocka_unit_test(what_was_booked_and_not_dropped_is_not_booked_again),
		cmocka_unit_test(what_is_in_the_outbox_and_on_the_board_is_booked_once),
		cmocka_unit_test(a_move_waits_for_the_store),
		cmocka_unit_test(nothing_new_is_taken_when_it_is_full_or_too_long),
		cmocka_unit_test(ids_are_kept_in_the_outbox_before_they_are_given),
		cmocka_unit_test(a_window_that_was_forgotten_meanwhile_is_paid_no_more),
		cmocka_unit_test(what_the_store_refuses_for_nothing_too_is_put_aside),
		cmocka_unit_test(nothing_is_lost_or_double_wherever_a_ledger_is_killed),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
