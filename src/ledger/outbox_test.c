/* A node whose PostgreSQL can't be reached: docs/decisions/0074-outbox.md. On PostgreSQL only. */
#include "ledger/away.h"
#include "ledger/ledger_world.h"
#include "ledger/share_priv.h"

#include "ticket/end_reasons.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct world_exchange small = {.input = 10, .cost = -1};

/* The only node of a store that several may have, with all of the account's balance on its board. */
static uint64_t
begin(struct world *w, const char *credit)
{
	uint32_t slot;
	world_begin(w);
	uint64_t alice = world_account(w, "alice", credit);
	world_kill_ledger(w);
	world_open(w, false);
	json_decref(world_must(w, "{s:s}", "op", "node.share"));
	world_close(w);
	world_lose_board(w);
	world_open(w, true);
	assert_int_equal(ledger_load_row(w->ledger, alice, 1, &slot), 0);
	return alice;
}

static bool
serve(struct world *w, uint64_t account)
{
	struct world_exchange e = small;
	e.account = account;
	return world_exchange(w, e) != 0;
}

/* The ledger dies, and its next one finds the store, or doesn't. */
static void
open_again(struct world *w, bool cut_off)
{
	if (w->ledger != NULL) {
		w->ledger->store.lost = true; /* no last words */
		world_kill_ledger(w);
	}
	w->cut_off = cut_off;
	world_open(w, true);
	assert_true((w->ledger->away != NULL) == cut_off);
}

static void
book_all(struct world *w)
{
	int booked;
	while ((booked = world_round(w)) > 0)
		;
	assert_int_equal(booked, 0);
}

static int64_t
on_board(struct world *w, uint64_t account)
{
	uint32_t slot;
	assert_true(board_find(w->ledger_board, account, &slot));
	return board_available(w->ledger_board, slot).v;
}

/* All that was handed in is in the books once, the slot has what the store says, and nothing waits. */
static void
is_right(struct world *w, uint64_t account, int64_t requests, int64_t left)
{
	struct nano share;
	book_all(w);
	assert_false(outbox_exists(w->dir));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM ticket"), requests);
	assert_int_equal(world_balance(w, account), left);
	assert_true(share_balance(w->ledger, account, &share));
	assert_int_equal(on_board(w, account), share.v);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM progress"), 0);
	assert_true(usage_flush(w->ledger));
	assert_int_equal(world_sql(w, "SELECT sum(requests)::bigint FROM usage_day"), requests);
	json_t *verified = world_must(w, "{s:s}", "op", "ledger.verify");
	if (!json_is_true(json_object_get(verified, "sound")))
		fail_msg("%s", json_dumps(verified, JSON_INDENT(1)));
	json_decref(verified);
}

static int64_t
waits(struct world *w, const char *what)
{
	json_t *answer = world_must(w, "{s:s}", "op", "node.list"), *row = json_array_get(json_object_get(answer, "rows"), 0);
	int64_t n = json_integer_value(json_object_get(row, what));
	json_decref(answer);
	return n;
}

static void
what_is_settled_while_the_store_is_away_is_booked_once(void **state)
{
	struct world w;
	uint32_t slot;
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small), all = 3 * NANO_PER_DOLLAR;
	assert_true(serve(&w, alice));
	book_all(&w);
	struct ticket *runs = world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20});
	assert_true(serve(&w, alice)); /* handed in, and its ledger dies before it is booked */
	open_again(&w, true);
	assert_int_equal(waits(&w, "waiting_requests"), 1);
	for (int i = 0; i < 5; i++)
		assert_true(serve(&w, alice));
	assert_int_equal(world_round(&w), 5);
	assert_int_equal(waits(&w, "waiting_requests"), 6);
	assert_int_equal(waits(&w, "waiting_batches"), 2);
	/* What it cost is gone from the slot, and the rest of the holds is there again. */
	assert_int_equal(on_board(&w, alice), all - 7 * cost - ticket_hold(runs).v);
	world_refused(&w, "store_away", "{s:s, s:s}", "op", "account.create", "name", "bob");
	world_refused(&w, "store_away", "{s:s}", "op", "ledger.verify");
	/* What is here is given, what is not is not asked for, and nobody is told that there is none. */
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	assert_int_equal(ledger_load_row(w.ledger, alice, all, &slot), 2);
	assert_int_equal(ledger_load_row(w.ledger, alice + 1, 1, &slot), 2);
	open_again(&w, true); /* as the next process that looks */
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(waits(&w, "waiting_requests"), 7);
	open_again(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 8);
	assert_int_equal(world_sql(&w, "SELECT cost_nano FROM progress"), 20);
	ticket_settle(w.desk, runs);
	is_right(&w, alice, 9, all - 8 * cost - 20);
	world_end(&w);
}

static void
how_much_waits_and_for_how_long_is_in_the_metrics(void **state)
{
	enum { AGO_S = 3600 };
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	const struct tally_ledger *s = tally_ledger(w.tally);
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_true(s->outbox_waiting == 0 && s->outbox_oldest_s == 0);
	open_again(&w, true);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = -1});
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(s->outbox_waiting, 1);
	t->facts.started_us -= AGO_S * 1000000ULL;
	int64_t began_us = (int64_t)t->facts.started_us;
	ticket_settle(w.desk, t);
	book_all(&w);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(s->outbox_waiting, 2);
		assert_true(s->outbox_oldest_s >= AGO_S && s->outbox_oldest_s < 2 * AGO_S);
		assert_int_equal(outbox_facts(w.ledger->away)->oldest_us, began_us);
		open_again(&w, true); /* it is read from the file */
		book_all(&w);
	}
	open_again(&w, false);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &small));
	assert_true(s->outbox_waiting == 0 && s->outbox_oldest_s == 0);
	/* A clock that was set back. */
	assert_int_equal(outbox_age_s(&(struct outbox_facts){.oldest_us = began_us}, (uint64_t)began_us - 1), 0);
	assert_int_equal(outbox_age_s(&(struct outbox_facts){.oldest_us = began_us}, (uint64_t)began_us + 2999999), 2);
	world_end(&w);
}

/* The row OUTBOX of `ledger verify`, as a command has it: where it says something of these numbers, or nothing. */
static void
verify_says(struct world *w, const char *what, int64_t waits_there, int64_t aside)
{
	json_t *verified = world_must(w, "{s:s}", "op", "ledger.verify"), *check, *row = NULL;
	size_t i;
	json_array_foreach(json_object_get(verified, "invariants"), i, check)
	{
		if (strcmp(json_string_value(json_object_get(check, "inv")), "OUTBOX") == 0)
			row = check;
		else
			assert_true(json_is_true(json_object_get(check, "ok")));
	}
	assert_non_null(row);
	if (what != NULL ? strstr(json_string_value(json_object_get(row, "detail")), what) == NULL : !json_is_true(json_object_get(verified, "sound")))
		fail_msg("not `%s`: %s", what, json_dumps(row, 0));
	assert_int_equal(json_integer_value(json_object_get(verified, "tickets_in_outbox")), waits_there);
	assert_int_equal(json_integer_value(json_object_get(verified, "tickets_put_aside")), aside);
	json_decref(verified);
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

/* The store is there again, and its server is not: a command looks at both. */
static void
only_a_command(struct world *w)
{
	world_kill_ledger(w);
	world_lose_board(w);
	w->cut_off = false;
	w->size.node = LEDGER_NODE_COMMANDS;
	world_open(w, false);
}

static void
server_again(struct world *w)
{
	world_close(w);
	w->size.node = 0;
	world_lose_board(w);
	world_open(w, true);
}

static void copy_file(const struct world *w, const char *from, const char *to);

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
	uint64_t alice = begin(&w, "3.00");
	assert_true(serve(&w, alice));
	book_all(&w);
	verify_says(&w, NULL, 0, 0);
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
	book_all(&w);
	only_a_command(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		verify_says(&w, NULL, 2, 0);
		change_outbox(&w, rows[i].damage);
		bool read = strstr(rows[i].says, "newer") == NULL && strstr(rows[i].says, "can't be read") == NULL;
		verify_says(&w, rows[i].says, read ? 2 : 0, 0);
		change_outbox(&w, rows[i].mend);
	}
	verify_says(&w, NULL, 2, 0);
	server_again(&w);
	verify_says(&w, NULL, 0, 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 3);
	world_end(&w);
}

/* Killed between the store's commit and the outbox's: what is in both is the same, or has been altered in one. */
static void
verify_compares_what_waits_with_what_is_booked(void **state)
{
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(serve(&w, alice));
	book_all(&w);
	world_kill_ledger(&w);
	copy_file(&w, "outbox.db", "outbox.db.copy");
	open_again(&w, false);
	w.ledger->store.lost = true;
	only_a_command(&w);
	copy_file(&w, "outbox.db.copy", "outbox.db");
	verify_says(&w, NULL, 3, 0);
	change_outbox(&w, "UPDATE settled SET tokens_input = tokens_input + 1 WHERE id = (SELECT max(id) FROM settled)");
	verify_says(&w, "1 broken, the first: ticket ", 3, 0);
	change_outbox(&w, "UPDATE settled SET tokens_input = tokens_input - 1, cost_nano = cost_nano - 1 WHERE id = (SELECT max(id) FROM settled)");
	verify_says(&w, "waits, and is booked with other contents", 3, 0);
	change_outbox(&w, "UPDATE settled SET cost_nano = cost_nano + 1 WHERE id = (SELECT max(id) FROM settled)");
	change_outbox(&w, "INSERT INTO refused SELECT * FROM settled WHERE id = (SELECT max(id) FROM settled); DELETE FROM settled WHERE id = (SELECT max(id) FROM settled)");
	verify_says(&w, NULL, 2, 1);
	server_again(&w);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 3);
	verify_says(&w, NULL, 0, 1); /* it stays for people */
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
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
	book_all(&w);
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
			assert_int_equal(waits(&w, "waiting_requests"), 2);
		}
	open_again(&w, false);
	is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - 2 * world_cost(&w, &small));
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
	uint64_t alice = begin(&w, "3.00");
	assert_int_equal(outbox_open_reader(w.dir, &reader), OUTBOX_ABSENT);
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
	book_all(&w);
	assert_int_equal(outbox_open_reader(w.dir, &reader), OUTBOX_SEEN);
	assert_int_equal(outbox_facts(reader)->requests, 2);
	assert_int_equal(outbox_read_settled(reader, 0, t, 1), 1);
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(waits(&w, "waiting_requests"), 3);
	/* As the next ledger does before anything else: it needs all who read to be away. */
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(outbox_read_settled(reader, (int64_t)t[0].id, t, 3), 2);
	assert_false(outbox_drop_settled(reader, INT64_MAX));
	outbox_close(&reader);
	open_again(&w, false);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &small));
	world_end(&w);
}

static void
what_ran_when_the_machine_fell_over_is_paid_by_its_last_progress(void **state)
{
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20});
	world_progress(&w); /* the store has 20 */
	open_again(&w, true);
	assert_true(serve(&w, alice));
	book_all(&w);
	ticket_state_cost(t, (struct nano){35});
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	book_all(&w);
	w.ledger->store.lost = true;
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT sum(cost_nano)::bigint FROM ticket"), cost + 35);
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - cost - 35);
	world_end(&w);
}

static void
copy_file(const struct world *w, const char *from, const char *to)
{
	static char bytes[1 << 22];
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, from);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t len = fread(bytes, 1, sizeof(bytes), f);
	assert_true(len > 0 && len < sizeof(bytes) && fclose(f) == 0);
	snprintf(path, sizeof(path), "%s/%s", w->dir, to);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

/* Killed between the store's commit and the outbox's, so that all of it is sent again. */
static void
what_was_booked_and_not_dropped_is_not_booked_again(void **state)
{
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small);
	open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(serve(&w, alice));
	book_all(&w);
	world_kill_ledger(&w);
	copy_file(&w, "outbox.db", "outbox.db.copy");
	open_again(&w, false);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
	for (int fresh = 0; fresh < 2; fresh++) {
		w.ledger->store.lost = true;
		world_kill_ledger(&w);
		copy_file(&w, "outbox.db.copy", "outbox.db");
		if (fresh)
			world_lose_board(&w);
		world_open(&w, true);
		uint32_t slot;
		assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
		is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
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
		uint64_t alice = begin(&w, "3.00");
		int64_t cost = world_cost(&w, &small);
		open_again(&w, true);
		for (int i = 0; i < 3; i++)
			assert_true(serve(&w, alice));
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
		open_again(&w, back == 0);
		if (back == 0) {
			assert_int_equal(waits(&w, "waiting_requests"), 3);
			assert_int_equal(on_board(&w, alice), 3 * NANO_PER_DOLLAR - 3 * cost);
			open_again(&w, false);
		}
		is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
		world_end(&w);
	}
}

/* A move between balance and share that was begun when the store went is nobody's business but the ledger's that finds it again. */
static void
a_move_waits_for_the_store(void **state)
{
	struct world w;
	uint32_t index;
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small);
	assert_int_equal(board_debit_begin(w.ledger_board, ledger_next_id(w.ledger), alice, (struct nano){NANO_PER_DOLLAR}, &index), MOVED);
	open_again(&w, true);
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(waits(&w, "waiting_requests"), 1);
	assert_int_equal(w.ledger->stats.quarantined, 0);
	assert_int_equal(on_board(&w, alice), 2 * NANO_PER_DOLLAR - cost);
	open_again(&w, false);
	assert_int_equal(world_sql(&w, "SELECT nano FROM share"), 2 * NANO_PER_DOLLAR - cost);
	is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - cost);
	world_end(&w);
}

static void
stand_beside(struct world *ret, const struct world *first, uint32_t node)
{
	world_begin(ret);
	world_lose_board(ret);
	memcpy(ret->store, first->store, sizeof(ret->store));
	world_forget_books(ret);
	ret->size.node = node;
	world_lose_board(ret);
}

static void
begin_beside(struct world *ret, const struct world *first)
{
	stand_beside(ret, first, 1);
	world_open(ret, true);
}

/* Whoever forgets a node gives its share back; what comes from it afterwards is the house's loss, and nobody pays twice. */
static void
what_a_forgotten_node_sends_is_charged_to_nobody(void **state)
{
	struct world w, other;
	char why[256];
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	for (int i = 0; i < 3; i++)
		assert_true(serve(&w, alice));
	book_all(&w);
	begin_beside(&other, &w);
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(&other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	world_kill_ledger(&w);
	w.cut_off = false;
	assert_false(world_try_open(&w, true, why)); /* its board is of a boot that has ended */
	assert_true(w.ledger->store.fenced);
	assert_int_equal(atomic_load(board_gate(w.ledger_board)), BOARD_STALLED);
	assert_true(outbox_exists(w.dir));
	/* A store that goes after that opens nothing again. */
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	w.cut_off = false;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0"), 3);
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -3 * world_cost(&w, &small));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_CRASH), 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE end_reason = 53 AND loss = 9"), 3); /* NODE_FORGOTTEN, loss.node */
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR);
	world_end(&other);
	world_end(&w);
}

static void
is_forgotten_by(struct world *other)
{
	world_sql(other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
}

/* What it had begun while the store was away the store had never heard of when its share was given back. */
static void
what_ran_on_a_forgotten_node_is_charged_to_nobody(void **state)
{
	struct world w, other;
	uint32_t slot;
	uint64_t alice = begin(&w, "3.00");
	const struct world_exchange e = {.account = alice, .input = 100, .output = 50, .cost = 20};
	open_again(&w, true);
	assert_non_null(world_hold(&w, &e));
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	book_all(&w);
	begin_beside(&other, &w);
	is_forgotten_by(&other);
	world_kill_ledger(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0 AND end_reason = 53 AND loss = 9"), 1); /* NODE_FORGOTTEN, loss.node */
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -world_cost(&w, &e));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_CRASH), 0);
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR);
	world_end(&other);
	world_end(&w);
}

/* An attempt that failed was nobody's to pay before its node was forgotten, and what the provider may ask for it has an account of its own. */
static void
what_failed_on_a_forgotten_node_stays_what_it_was(void **state)
{
	struct world w, other;
	uint64_t alice = begin(&w, "3.00");
	struct world_exchange e = small;
	e.account = alice;
	open_again(&w, true);
	e.parent = world_exchange(&w, e);
	e.cost = 0;
	e.end_reason = END_PROVIDER_TIMEOUT;
	assert_true(e.parent != 0 && world_exchange(&w, e) != 0);
	book_all(&w);
	begin_beside(&other, &w);
	is_forgotten_by(&other);
	world_kill_ledger(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0 AND end_reason = 9 AND loss = 7"), 1); /* PROVIDER_TIMEOUT, loss.retry */
	assert_int_equal(world_balance(&w, HOUSE_LOSS_RETRY), -world_cost(&w, &small));
	assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -world_cost(&w, &small));
	verify_says(&w, NULL, 0, 0);
	world_end(&other);
	world_end(&w);
}

/* What `node forget` booked by its last progress is the customer's last word; what the node did after that is known once it comes back, and is the house's. */
static void
what_a_forgotten_node_did_after_its_last_progress_is_a_loss_once(void **state)
{
	for (int way = 0; way < 3; way++) { /* it ran; it had ended; it had, and the provider counted less than we had reckoned */
		bool ended = way > 0, less = way == 2;
		struct world w, other;
		uint32_t slot;
		uint64_t alice = begin(&w, "3.00");
		struct world_exchange e = {.account = alice, .input = 100, .output = 50, .cost = 20};
		struct ticket *t = world_hold(&w, &e);
		world_progress(&w); /* the store has 20 */
		open_again(&w, true);
		t->facts.tokens_output = less ? 30 : 70;
		ticket_state_cost(t, (struct nano){less ? 15 : 35});
		if (ended)
			ticket_settle(w.desk, t);
		w.now_ms += 2 * PROGRESS_PERIOD_MS;
		book_all(&w);
		assert_int_equal(waits(&w, "waiting_requests"), ended);
		begin_beside(&other, &w);
		is_forgotten_by(&other);
		assert_int_equal(world_sql(&other, "SELECT cost_nano FROM ticket WHERE end_reason = 53"), 20); /* NODE_FORGOTTEN */
		world_kill_ledger(&w);
		copy_file(&w, "outbox.db", "outbox.db.copy");
		world_open(&w, true);
		only_a_command(&w);
		verify_says(&w, NULL, ended, 0);
		world_close(&w);
		w.size.node = 0;
		e.output = less ? 50 : 70;
		/* Killed between the store's commit and the outbox's, it comes again. */
		for (int again = 0; again < 2; again++) {
			copy_file(&w, "outbox.db.copy", "outbox.db");
			world_lose_board(&w);
			world_open(&w, true);
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 20 AND tokens_output = 50"), 1);
			assert_int_equal(world_balance(&w, HOUSE_LOSS_NODE), -(world_cost(&w, &e) - 20));
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM booking WHERE what = 20"), !less);
			assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
			is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - 20);
			world_kill_ledger(&w);
		}
		world_open(&w, true);
		world_end(&other);
		world_end(&w);
	}
}

/* That it may write no more is all that it heard before the store went, too. */
static void
who_was_replaced_goes_on_with_no_shares(void **state)
{
	struct world w;
	char why[256];
	uint64_t alice = begin(&w, "3.00");
	assert_true(serve(&w, alice));
	world_sql(&w, "SELECT lethe_join(0)");
	assert_int_equal(world_round(&w), -1);
	assert_true(w.ledger->store.fenced);
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	/* It was itself under another fence: the store says so, and then it may again. */
	w.cut_off = false;
	world_open(&w, true);
	is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - world_cost(&w, &small));
	open_again(&w, true);
	open_again(&w, false);
	world_end(&w);
}

static void
a_machine_s_own_node_is_not_forgotten_while_its_outbox_waits(void **state)
{
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	assert_true(serve(&w, alice));
	book_all(&w);
	world_lose_board(&w);
	w.cut_off = false;
	w.size.node = LEDGER_NODE_COMMANDS;
	world_open(&w, false);
	world_sql(&w, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	world_refused(&w, "outbox_waits", "{s:s, s:s}", "op", "node.forget", "node", "0");
	world_close(&w);
	/* Another number would charge another node's shares. */
	char why[256];
	w.size.node = 3;
	world_lose_board(&w);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 1 requests of node 0"));
	w.size.node = 0;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 1);
	world_end(&w);
}

/* Nor while nothing waits but what was held, or what can't be read may. */
static void
an_outbox_with_progress_or_one_that_can_t_be_read_counts(void **state)
{
	struct world w;
	char path[128];
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	assert_non_null(world_hold(&w, &(struct world_exchange){.account = alice, .input = 100, .output = 50, .cost = 20}));
	w.now_ms += 2 * PROGRESS_PERIOD_MS;
	book_all(&w);
	assert_int_equal(waits(&w, "waiting_requests"), 0);
	world_lose_board(&w);
	w.cut_off = false;
	w.size.node = LEDGER_NODE_COMMANDS;
	world_open(&w, false);
	world_sql(&w, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	world_refused(&w, "outbox_waits", "{s:s, s:s}", "op", "node.forget", "node", "0");
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("no table at all, and longer than the head of a file of SQLite: 0123456789012345678901234567890123456789", f) >= 0 && fclose(f) == 0);
	world_refused(&w, "outbox_unreadable", "{s:s, s:s}", "op", "node.forget", "node", "0");
	assert_int_equal(unlink(path), 0);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	world_close(&w);
	w.size.node = 0;
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

/* Neither another PostgreSQL nor books in a file get what waits for these. */
static void
what_waits_goes_to_no_other_store(void **state)
{
	struct world w;
	char why[256], right[sizeof(w.store)];
	uint64_t alice = begin(&w, "3.00");
	memcpy(right, w.store, sizeof(right));
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
	book_all(&w);
	world_lose_board(&w);
	w.cut_off = false;
	world_schema(getenv("LETHE_TEST_POSTGRES"), w.store);
	world_forget_books(&w);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 2 requests that are not booked yet, for another store"));
	world_lose_board(&w);
	world_forget_books(&w);
	world_open(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 0);
	world_drop_schema(&w);
	w.store[0] = '\0';
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "has 2 requests that are not booked yet, and they belong to PostgreSQL"));
	memcpy(w.store, right, sizeof(right));
	world_forget_books(&w);
	world_lose_board(&w);
	world_open(&w, true);
	uint32_t slot;
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	is_right(&w, alice, 2, 3 * NANO_PER_DOLLAR - 2 * world_cost(&w, &small));
	/* Empty, it is in nobody's way. */
	world_close(&w);
	struct outbox *o = outbox_open(w.dir, 0, 77, why);
	assert_non_null(o);
	outbox_close(&o);
	o = outbox_open(w.dir, 0, 78, why);
	assert_non_null(o);
	outbox_close(&o);
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

/* A node's number is one machine's: another has it only when no id that it gives out can be one that the first gives out without the store. */
static void
a_number_is_another_s_only_when_ids_can_t_meet(void **state)
{
	struct world w, other, third;
	char why[256];
	uint32_t slot;
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small);
	stand_beside(&third, &w, 0);
	assert_false(world_try_open(&third, true, why)); /* it is up */
	assert_non_null(strstr(why, "another server"));
	assert_true(serve(&w, alice)); /* and nobody has taken its fence */
	book_all(&w);
	assert_false(w.ledger->store.fenced);
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
	book_all(&w);
	begin_beside(&other, &w);
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = 0 RETURNING id");
	json_decref(world_must(&other, "{s:s, s:s}", "op", "node.forget", "node", "0"));
	assert_false(world_try_open(&third, true, why)); /* it may go on for ten minutes */
	assert_non_null(strstr(why, "another server"));
	world_sql(&other, "UPDATE node SET seen_us = seen_us - 600000000 WHERE id = 0 RETURNING id");
	world_lose_board(&third);
	world_open(&third, true);
	/* However its clock goes: */
	w.ledger->newest_ticket_ms = clock_wall_us() / 1000 + 100000000;
	book_all(&w);
	/* Its ids are above what the store had last heard of, as after a time. */
	assert_true(atomic_load(board_id_ceiling_ms(w.edge_board)) > atomic_load(board_id_floor_ms(w.edge_board)) + 120000);
	atomic_store(board_id_floor_ms(w.edge_board), atomic_load(board_id_ceiling_ms(w.edge_board)) - 1000);
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_true(atomic_load(board_id_floor_ms(third.ledger_board)) > atomic_load(board_id_ceiling_ms(w.ledger_board)));
	assert_int_equal(ledger_load_row(third.ledger, alice, NANO_PER_DOLLAR, &slot), 0);
	assert_true(serve(&third, alice));
	book_all(&third);
	/* The first finds the store again, and takes nothing from who has its number now. */
	world_kill_ledger(&w);
	w.cut_off = false;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "another server"));
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_true(serve(&third, alice));
	book_all(&third);
	assert_false(third.ledger->store.fenced);
	assert_true(ledger_last(third.ledger));
	world_close(&third);
	w.cut_off = false;
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket WHERE cost_nano = 0"), 3);
	assert_int_equal(ledger_load_row(w.ledger, alice, 1, &slot), 0);
	is_right(&w, alice, 6, 3 * NANO_PER_DOLLAR - 3 * cost);
	world_end(&third);
	world_end(&other);
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
	uint64_t alice = begin(&w, "3.00");
	int64_t cost = world_cost(&w, &small);
	open_again(&w, true);
	w.ledger->o.away_requests = 2;
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(gate(&w), BOARD_OPEN);
	struct ticket *t = world_hold(&w, &(struct world_exchange){.account = alice, .input = 10, .cost = -1});
	assert_true(serve(&w, alice));
	book_all(&w);
	assert_int_equal(gate(&w), BOARD_STALLED);
	ticket_settle(w.desk, t); /* what runs is kept all the same */
	book_all(&w);
	assert_int_equal(waits(&w, "waiting_requests"), 3);
	open_again(&w, true);
	assert_int_equal(gate(&w), BOARD_OPEN); /* there is room for a thousand now */
	w.ledger->o.away_ms = 1;
	do
		book_all(&w);
	while (gate(&w) == BOARD_OPEN);
	assert_int_equal(gate(&w), BOARD_STALLED);
	open_again(&w, false);
	assert_int_equal(gate(&w), BOARD_OPEN);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * cost);
	world_end(&w);
}

/* Its number may be another's after that. */
static void
nobody_goes_on_for_longer_than_the_store_was_told(void **state)
{
	enum { LESS = 300000 };
	struct world w;
	char why[256];
	begin(&w, "3.00");
	assert_int_equal(atomic_load(board_away(w.edge_board)), w.ledger->o.away_ms + 1);
	atomic_store(board_away(w.edge_board), LESS + 1); /* the configuration has more since */
	int64_t ceiling = (int64_t)atomic_load(board_id_ceiling_ms(w.edge_board));
	open_again(&w, true);
	assert_int_equal(w.ledger->o.away_ms, LESS);
	assert_int_equal(outbox_facts(w.ledger->away)->limit_ms, ceiling + LESS);
	open_again(&w, false);
	atomic_store(board_away(w.edge_board), 1);
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	w.cut_off = false;
	world_open(&w, true);
	world_end(&w);
}

/* Ids go on, and none is given out again after a power cut. */
static void
ids_are_kept_in_the_outbox_before_they_are_given(void **state)
{
	struct world w;
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	uint64_t low_ms = clock_wall_us() / 1000 + 1000;
	w.ledger->ceiling_ms = low_ms;
	atomic_store(board_id_ceiling_ms(w.ledger_board), low_ms);
	book_all(&w);
	uint64_t ceiling_ms = atomic_load(board_id_ceiling_ms(w.ledger_board));
	assert_true(ceiling_ms > low_ms && (int64_t)ceiling_ms == outbox_facts(w.ledger->away)->ceiling_ms);
	/* So far ahead that no clock says why. */
	assert_true(outbox_raise(w.ledger->away, (int64_t)ceiling_ms + 1000000));
	assert_true(serve(&w, alice));
	book_all(&w);
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
	uint64_t alice = begin(&w, "3.00");
	struct world_exchange e = small;
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "account.limit", "account", "alice", "dollars_per_day", "1.00"));
	e.account = alice;
	e.window = (uint64_t)world_sql(&w, "SELECT max(id) FROM budget");
	assert_true(e.window != 0 && world_exchange(&w, e) != 0);
	book_all(&w);
	open_again(&w, true);
	assert_true(world_exchange(&w, e) != 0 && serve(&w, alice));
	book_all(&w);
	world_kill_ledger(&w);
	w.cut_off = false;
	world_open(&w, false);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM budget WHERE used_nano > 0"), 1);
	struct query *st = store_sql(&w.ledger->store, SQL_budget_delete);
	sql_bind(st, (int64_t)e.window);
	assert_true(sql_done(&w.ledger->store, st));
	world_close(&w);
	world_open(&w, true);
	is_right(&w, alice, 3, 3 * NANO_PER_DOLLAR - 3 * world_cost(&w, &small));
	world_end(&w);
}

/* Who has a balance and no share of it can lose it meanwhile to somebody else: it waits, as before. */
static void
who_has_the_store_alone_and_who_begins_wait_for_it(void **state)
{
	struct world w;
	char why[256];
	world_begin(&w);
	w.ledger->store.lost = true;
	world_kill_ledger(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	w.cut_off = false;
	world_open(&w, true);
	world_end(&w);
	begin(&w, "3.00");
	world_lose_board(&w);
	w.cut_off = true;
	assert_false(world_try_open(&w, true, why));
	assert_false(outbox_exists(w.dir));
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
	uint64_t alice = begin(&w, "3.00");
	open_again(&w, true);
	assert_true(serve(&w, alice) && serve(&w, alice));
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
	assert_int_equal(world_balance(&w, alice), 3 * NANO_PER_DOLLAR - world_cost(&w, &small));
	/* Nor one that has another number from now on. */
	assert_true(ledger_last(w.ledger));
	world_close(&w);
	w.size.node = 1;
	world_lose_board(&w);
	world_open(&w, true);
	world_end(&w);
}

static int64_t
ceiling_of(struct world *w, int node)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "SELECT max(ceiling_ms) FROM boot WHERE node = %d", node);
	return world_sql(w, sql);
}

/* Its number may be somebody else's meanwhile, and it is told to take another. */
static void
who_has_nothing_that_waits_comes_back_as_any_node(void **state)
{
	struct world w;
	begin(&w, "3.00");
	int64_t before = ceiling_of(&w, 0);
	open_again(&w, true);
	w.ledger->newest_ticket_ms = clock_wall_us() / 1000 + 100000;
	book_all(&w);
	int64_t given = (int64_t)atomic_load(board_id_ceiling_ms(w.ledger_board));
	assert_true(given > before);
	world_kill_ledger(&w);
	w.cut_off = false;
	w.size.node = 1;
	world_lose_board(&w);
	world_open(&w, true);
	assert_false(outbox_exists(w.dir));
	assert_int_equal(ceiling_of(&w, 0), given); /* who is node 0 next gives out none of those ids */
	world_end(&w);
}

/* Of which store it was an older lethe has not said: whoever may not have it does not say so for it. */
static void
an_older_outbox_is_not_bound_by_who_may_not_have_it(void **state)
{
	struct world w;
	char path[128], why[256];
	sqlite3 *db;
	uint64_t alice = begin(&w, "3.00");
	int64_t right = w.ledger->store.identity;
	open_again(&w, true);
	assert_true(serve(&w, alice));
	book_all(&w);
	world_kill_ledger(&w);
	snprintf(path, sizeof(path), "%s/outbox.db", w.dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE state SET store = 0", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_null(outbox_open(w.dir, 5, right + 1, why));
	assert_non_null(strstr(why, "has 1 requests of node 0"));
	struct outbox *o = outbox_open(w.dir, 0, right, why);
	assert_non_null(o);
	assert_int_equal(outbox_facts(o)->store, right);
	outbox_close(&o);
	assert_null(outbox_open(w.dir, 0, right + 1, why));
	w.cut_off = false;
	world_open(&w, true);
	is_right(&w, alice, 1, 3 * NANO_PER_DOLLAR - world_cost(&w, &small));
	world_end(&w);
}

/* A database that answers and lets nobody in is not away: what stands in its way has to be mended, and others may go on meanwhile. */
static void
who_is_refused_by_the_store_has_not_lost_it(void **state)
{
	struct world w;
	char why[256], right[sizeof(w.store)];
	begin(&w, "3.00");
	w.ledger->store.lost = true;
	world_kill_ledger(&w);
	memcpy(right, w.store, sizeof(right));
	const char *at = strchr(right, '@');
	assert_non_null(at);
	snprintf(w.store, sizeof(w.store), "postgres://nobody-that-is-known%.200s", at);
	assert_false(world_try_open(&w, true, why));
	assert_non_null(strstr(why, "no connection"));
	assert_false(outbox_exists(w.dir));
	memcpy(w.store, right, sizeof(right));
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
	book_all(&l->w);
}

static void
do_without(void *arg)
{
	struct life *l = arg;
	l->w.cut_off = true;
	world_open(&l->w, true);
	l->w.now_ms += 2 * PROGRESS_PERIOD_MS;
	book_all(&l->w);
}

static void
nothing_is_lost_or_double_wherever_a_ledger_is_killed(void **state)
{
	enum { APART = 12 }; /* most of what it calls is connecting */
	struct life l;
	l.alice = begin(&l.w, "3.00");
	int64_t cost = world_cost(&l.w, &small), served = 0;
	bool ended[2] = {false};
	l.w.ledger->store.lost = true;
	world_kill_ledger(&l.w);
	for (uint64_t at = 0; !ended[0] || !ended[1]; at += APART * world_stride())
		for (int away = 1; away >= 0; away--) {
			/* Some wait in the outbox, some on the board. */
			open_again(&l.w, true);
			assert_true(serve(&l.w, l.alice) && serve(&l.w, l.alice));
			book_all(&l.w);
			assert_true(serve(&l.w, l.alice));
			served += 3;
			world_kill_ledger(&l.w);
			l.w.cut_off = false;
			ended[away] = !world_killed_before_call(away ? do_without : find_the_store, &l, at) || ended[away];
			open_again(&l.w, false);
			is_right(&l.w, l.alice, served, 3 * NANO_PER_DOLLAR - served * cost);
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
		cmocka_unit_test(what_a_forgotten_node_sends_is_charged_to_nobody),
		cmocka_unit_test(what_ran_on_a_forgotten_node_is_charged_to_nobody),
		cmocka_unit_test(what_failed_on_a_forgotten_node_stays_what_it_was),
		cmocka_unit_test(what_a_forgotten_node_did_after_its_last_progress_is_a_loss_once),
		cmocka_unit_test(who_was_replaced_goes_on_with_no_shares),
		cmocka_unit_test(a_machine_s_own_node_is_not_forgotten_while_its_outbox_waits),
		cmocka_unit_test(an_outbox_with_progress_or_one_that_can_t_be_read_counts),
		cmocka_unit_test(what_waits_goes_to_no_other_store),
		cmocka_unit_test(a_number_is_another_s_only_when_ids_can_t_meet),
		cmocka_unit_test(nothing_new_is_taken_when_it_is_full_or_too_long),
		cmocka_unit_test(nobody_goes_on_for_longer_than_the_store_was_told),
		cmocka_unit_test(ids_are_kept_in_the_outbox_before_they_are_given),
		cmocka_unit_test(a_window_that_was_forgotten_meanwhile_is_paid_no_more),
		cmocka_unit_test(who_has_the_store_alone_and_who_begins_wait_for_it),
		cmocka_unit_test(what_the_store_refuses_for_nothing_too_is_put_aside),
		cmocka_unit_test(who_has_nothing_that_waits_comes_back_as_any_node),
		cmocka_unit_test(an_older_outbox_is_not_bound_by_who_may_not_have_it),
		cmocka_unit_test(who_is_refused_by_the_store_has_not_lost_it),
		cmocka_unit_test(nothing_is_lost_or_double_wherever_a_ledger_is_killed),
	};
	return world_on_postgres() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
