/*
 * What can be asked of a ledger: accounts, keys, credit, usage; each order done once, each refusal
 * with a way on.
 */
#include "ledger/ledger_world.h"

#include "ticket/circuit.h"
#include "ticket/messages.h"
#include "ticket/end_reasons.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	assert_non_null(s);
	return s;
}

static json_t *
credit(struct world *w, const char *account, const char *amount, const char *id)
{
	return world_ask(w, "{s:s, s:s, s:s, s:s, s:s*}", "op", "credit.add", "account", account, "amount", amount,
		"reason", "a test", "id", id);
}

static void
is_ok(json_t *answer)
{
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}

static void
is_error(json_t *answer, const char *code)
{
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_string_equal(text(json_object_get(answer, "error"), "code"), code);
	json_decref(answer);
}

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = world_balance(arg, row);
	return ret->v >= 0;
}

/* ---- accounts ---- */

static void
an_account_is_found_by_name_and_by_id(void **state)
{
	struct world w;
	world_begin(&w);
	json_t *made = world_must(&w, "{s:s, s:s}", "op", "account.create", "name", "alice & co");
	json_t *by_name = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "alice & co");
	json_t *by_id = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", text(made, "account"));
	assert_true(json_equal(by_name, by_id));
	assert_string_equal(text(by_id, "balance"), "0.000000000");
	world_refused(&w, "account_exists", "{s:s, s:s}", "op", "account.create", "name", "alice & co");
	world_refused(&w, "no_such_account", "{s:s, s:s}", "op", "account.show", "account", "bob");
	world_refused(&w, "no_such_account", "{s:s, s:s}", "op", "account.show", "account", "acc_00000000000");
	json_decref(made);
	json_decref(by_name);
	json_decref(by_id);
	world_end(&w);
}

static void
accounts_are_listed_page_by_page_without_the_operators_own(void **state)
{
	struct world w;
	world_begin(&w);
	char after[ID_TEXT_MAX] = "", name[16];
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		world_account(&w, name, NULL);
	}
	int seen = 0;
	for (bool more = true; more;) {
		json_t *page = world_must(&w, "{s:s, s:i, s:s}", "op", "account.list", "limit", 3, "after", after), *one;
		size_t i;
		json_array_foreach(json_object_get(page, "accounts"), i, one)
		{
			snprintf(name, sizeof(name), "n%d", seen++);
			assert_string_equal(text(one, "name"), name);
			snprintf(after, sizeof(after), "%s", text(one, "account"));
		}
		more = json_is_true(json_object_get(page, "more"));
		json_decref(page);
	}
	assert_int_equal(seen, 7);
	world_end(&w);
}

/* ---- keys ---- */

static bool
find_key(struct world *w, const char *secret, struct key_facts *ret)
{
	uint8_t hash[API_KEY_HASH_BYTES];
	api_key_hash(w->pepper, (struct span){secret, strlen(secret)}, hash);
	return key_table_find(w->ledger->o.keys, hash, ret);
}

static void
a_key_works_at_once_is_shown_once_and_is_refused_at_once(void **state)
{
	struct world w;
	struct key_facts f;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5");
	json_t *made = world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", "alice", "name", "laptop");
	const char *secret = text(made, "secret");
	assert_true(api_key_well_formed((struct span){secret, strlen(secret)}));
	assert_true(find_key(&w, secret, &f));
	assert_int_equal(f.state, KEY_ACTIVE);
	assert_int_equal(f.account, a);
	uint32_t slot;
	assert_true(board_find(w.ledger_board, a, &slot));
	assert_int_equal(f.slot, slot);
	assert_string_equal(text(made, "last4"), secret + strlen(secret) - 4);
	json_t *list = world_must(&w, "{s:s, s:s}", "op", "key.list", "account", "alice");
	assert_null(json_object_get(json_array_get(json_object_get(list, "keys"), 0), "secret"));
	is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(made, "key")));
	assert_true(find_key(&w, secret, &f));
	assert_int_equal(f.state, KEY_REVOKED);
	is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(made, "key")));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM change WHERE what = 3"), 1);
	json_decref(list);
	json_decref(made);
	world_end(&w);
}

static void
a_leaked_key_is_revoked_by_itself(void **state)
{
	struct world w;
	struct key_facts f;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_t *made = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice");
	is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(made, "secret")));
	assert_true(find_key(&w, text(made, "secret"), &f));
	assert_int_equal(f.state, KEY_REVOKED);
	world_refused(&w, "no_such_key", "{s:s, s:s}", "op", "key.revoke", "key", "lethe_live_x");
	json_decref(made);
	world_end(&w);
}

static void
a_rotated_key_holds_until_the_overlap_ends(void **state)
{
	struct world w;
	struct key_facts f;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", NULL);
	json_t *old = world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", "alice", "name", "ci");
	uint64_t before_ms = clock_wall_us() / 1000;
	json_t *made = world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", "2h", "id", "r1");
	assert_string_equal(text(made, "name"), "ci");
	assert_string_equal(text(made, "replaces"), text(old, "key"));
	assert_string_not_equal(text(made, "secret"), text(old, "secret"));
	for (int opened = 0; opened < 2; opened++) { /* also after the board was lost */
		assert_true(find_key(&w, text(made, "secret"), &f));
		assert_int_equal(f.account, a);
		assert_int_equal(f.expires_ms, 0);
		assert_true(find_key(&w, text(old, "secret"), &f));
		assert_int_equal(f.state, KEY_ACTIVE);
		assert_in_range(f.expires_ms, before_ms + 7200000, clock_wall_us() / 1000 + 7200000);
		if (opened == 0) {
			world_lose_board(&w);
			world_open(&w, true);
		}
	}
	world_refused(&w, "key_exists", "{s:s, s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", "2h", "id", "r1");
	world_refused(&w, "id_conflict", "{s:s, s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", "3h", "id", "r1");
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM key"), 2);
	/* A longer overlap does not lengthen what was set; none ends it at once. */
	json_t *longer = world_must(&w, "{s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", "9d");
	assert_true(find_key(&w, text(old, "secret"), &f));
	assert_true(f.expires_ms <= clock_wall_us() / 1000 + 7200000);
	json_t *now = world_must(&w, "{s:s, s:s, s:s}", "op", "key.rotate", "key", text(made, "secret"), "overlap", "0");
	assert_true(find_key(&w, text(made, "secret"), &f));
	assert_true(f.expires_ms != 0 && f.expires_ms <= clock_wall_us() / 1000);
	world_refused(&w, "key_ended", "{s:s, s:s}", "op", "key.rotate", "key", text(made, "key"));
	is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(now, "key")));
	world_refused(&w, "key_ended", "{s:s, s:s}", "op", "key.rotate", "key", text(now, "key"));
	json_decref(now);
	json_decref(longer);
	json_decref(made);
	json_decref(old);
	world_end(&w);
}

/* The answer with its secret was lost: asked again, it says which key nobody can use, and how to get one. */
static void
a_key_whose_secret_was_lost_is_named_and_replaced(void **state)
{
	static const char *const overlaps[] = {"2h", "0"}, *const again[] = {"rotate the old one once more with another id", "`lethe key create`"};
	struct world w;
	struct key_facts f;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	for (int ended = 0; ended < 2; ended++) {
		const char *id = ended ? "r2" : "r1";
		json_t *old = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice");
		json_t *lost = world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", overlaps[ended], "id", id);
		json_t *told = world_ask(&w, "{s:s, s:s, s:s, s:s}", "op", "key.rotate", "key", text(old, "key"), "overlap", overlaps[ended], "id", id);
		assert_string_equal(text(json_object_get(told, "error"), "code"), "key_exists");
		assert_string_equal(text(told, "key"), text(lost, "key"));
		assert_null(json_object_get(told, "secret"));
		assert_non_null(strstr(text(json_object_get(told, "error"), "message"), again[ended]));
		is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(told, "key")));
		json_t *other = world_must(&w, "{s:s, s:s, s:s}", "op", ended ? "key.create" : "key.rotate", ended ? "account" : "key", ended ? "alice" : text(old, "key"), "id", ended ? "c3" : "r3");
		assert_true(find_key(&w, text(other, "secret"), &f));
		assert_int_equal(f.state, KEY_ACTIVE);
		json_decref(other);
		json_decref(told);
		json_decref(lost);
		json_decref(old);
	}
	world_end(&w);
}

static void
keys_survive_the_board(void **state)
{
	struct world w;
	struct key_facts f;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_t *good =
		world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", "alice", "expires", "2099-01-01");
	json_t *bad = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice");
	is_ok(world_ask(&w, "{s:s, s:s}", "op", "key.revoke", "key", text(bad, "key")));
	world_lose_board(&w);
	world_open(&w, true);
	assert_int_equal(key_table_count(w.ledger->o.keys), 2);
	assert_true(find_key(&w, text(good, "secret"), &f));
	assert_int_equal(f.state, KEY_ACTIVE);
	assert_int_equal(f.expires_ms, 4070908800000ULL);
	assert_true(find_key(&w, text(bad, "secret"), &f));
	assert_int_equal(f.state, KEY_REVOKED);
	json_decref(good);
	json_decref(bad);
	world_end(&w);
}

/* The file and its WAL hold a hash and four characters; the key itself is nowhere. */
static void
no_file_holds_a_key(void **state)
{
	struct world w;
	if (world_on_postgres())
		skip(); /* the statements are the same */
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_t *made = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice");
	const char *names[] = {"ledger.db", "ledger.db-wal"};
	size_t seen = 0;
	for (size_t i = 0; i < 2; i++) {
		char path[128], bytes[1 << 20];
		snprintf(path, sizeof(path), "%s/%s", w.dir, names[i]);
		FILE *f = fopen(path, "rb");
		assert_non_null(f);
		size_t len = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		assert_null(memmem(bytes, len, text(made, "secret") + 11, 16));
		seen += memmem(bytes, len, text(made, "last4"), 4) != NULL;
	}
	assert_true(seen > 0);
	json_decref(made);
	world_end(&w);
}

/* ---- credit ---- */

static void
credit_is_spendable_at_once(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "0.000001");
	struct world_exchange e = {.account = a, .model = 1, .input = 1000, .output = 10, .cost = -1};
	assert_int_equal(world_exchange(&w, e), 0);
	is_ok(credit(&w, "alice", "1", NULL));
	assert_int_not_equal(world_exchange(&w, e), 0);
	assert_int_equal(world_round(&w), 1);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR + 1000 - world_cost(&w, &e));
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
credit_is_given_once_for_one_id(bool with_board)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1");
	world_account(&w, "bob", "1");
	if (!with_board) {
		world_close(&w);
		world_open(&w, false);
	}
	json_t *first = credit(&w, "alice", "2.50", "invoice-1"), *second = credit(&w, "alice", "2.500", "invoice-1");
	assert_true(json_equal(first, second));
	assert_int_equal(world_balance(&w, a), 3500000000);
	is_error(credit(&w, "alice", "2.51", "invoice-1"), "id_conflict");
	is_error(credit(&w, "bob", "2.50", "invoice-1"), "id_conflict");
	world_refused(&w, "id_conflict", "{s:s, s:s, s:s}", "op", "account.create", "name", "carol", "id", "invoice-1");
	assert_int_equal(world_balance(&w, a), 3500000000);
	world_is_sound(&w);
	json_decref(first);
	json_decref(second);
	world_end(&w);
}

static void
credit_is_given_once_for_one_id_by_the_server(void **state)
{
	credit_is_given_once_for_one_id(true);
}

static void
credit_is_given_once_for_one_id_by_the_command_line(void **state)
{
	credit_is_given_once_for_one_id(false);
}

static void
a_debit_takes_no_money_that_a_running_exchange_holds(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	struct world_exchange e = {.account = a, .input = 10, .output = 10, .hold = 3 * NANO_PER_DOLLAR, .cost = -1};
	struct ticket *t = world_hold(&w, &e);
	is_error(credit(&w, "alice", "-2.01", "d1"), "insufficient_balance");
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
	is_ok(credit(&w, "alice", "-2.00", "d1"));
	assert_int_equal(world_balance(&w, a), 3 * NANO_PER_DOLLAR);
	ticket_settle(w.desk, t);
	is_ok(credit(&w, "alice", "-2.99", "d2"));
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	is_error(credit(&w, "alice", "-1", "d3"), "insufficient_balance");
	world_is_sound(&w);
	world_end(&w);
}

static void
a_debit_without_a_server_stops_at_zero(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5.00");
	world_close(&w);
	world_open(&w, false);
	is_error(credit(&w, "alice", "-5.000000001", NULL), "insufficient_balance");
	is_ok(credit(&w, "alice", "-5", NULL));
	assert_int_equal(world_balance(&w, a), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
credit_on_the_board_of_a_dead_ledger_is_booked_by_the_next(void **state)
{
	struct world w;
	uint32_t index;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00");
	/* As if killed between the intent and the booking. */
	assert_true(store_exec(&w.ledger->store,
		"INSERT INTO intent (id, ref, content, account, amount_nano, reason) "
		"SELECT 4000000000000000000, 'x', zeroblob(32), id, 2000000000, 'r' FROM account WHERE name = 'alice'"));
	assert_true(
		board_credit_begin(w.ledger_board, 4000000000000000000, a, (struct nano){2 * NANO_PER_DOLLAR}, &index));
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, a), 3 * NANO_PER_DOLLAR);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	world_end(&w);
}

static void
an_order_that_never_reached_the_board_is_forgotten(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "1.00");
	assert_true(store_exec(&w.ledger->store,
		"INSERT INTO intent (id, ref, content, account, amount_nano, reason) "
		"SELECT 4000000000000000000, 'x', zeroblob(32), id, 2000000000, 'r' FROM account WHERE name = 'alice'"));
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, a), NANO_PER_DOLLAR);
	is_ok(credit(&w, "alice", "2", "x"));
	assert_int_equal(world_balance(&w, a), 3 * NANO_PER_DOLLAR);
	world_is_sound(&w);
	world_end(&w);
}

/* ---- usage ---- */

static void
exchange(struct world *w, uint64_t account, uint64_t key, unsigned model)
{
	struct world_exchange e = {
		.account = account, .key = key, .model = model, .input = 100, .output = 10, .cost = -1};
	assert_int_not_equal(world_exchange(w, e), 0);
}

static int64_t
requests(json_t *sums)
{
	return json_integer_value(json_object_get(sums, "requests"));
}

static void
usage_adds_up_by_model_key_account_and_day(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "100"), b = world_account(&w, "bob", "100");
	for (int i = 0; i < 10; i++) {
		exchange(&w, a, 11, 0);
		exchange(&w, a, 12, 1);
		exchange(&w, b, 13, 1);
	}
	world_round(&w);
	json_t *all = world_must(&w, "{s:s, s:s}", "op", "usage", "group", "model");
	assert_int_equal(requests(json_object_get(all, "total")), 30);
	json_t *rows = json_object_get(all, "rows");
	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(text(json_array_get(rows, 0), "model"), "large");
	assert_int_equal(requests(json_array_get(rows, 0)), 20);
	json_decref(all);
	exchange(&w, a, 11, 0);
	world_round(&w);
	json_t *one = world_must(&w, "{s:s, s:s, s:s, s:s, s:s, s:s}", "op", "usage", "account", "alice", "model",
		"small", "group", "key", "since", "2020-01-01", "until", "2098-12-31");
	assert_int_equal(requests(json_object_get(one, "total")), 11);
	assert_int_equal(json_array_size(json_object_get(one, "rows")), 1);
	json_t *tokens = json_object_get(json_object_get(one, "total"), "tokens");
	assert_int_equal(json_integer_value(json_object_get(tokens, "input")), 1100);
	json_decref(one);
	json_t *none = world_must(&w, "{s:s, s:s, s:s}", "op", "usage", "until", "2020-01-01", "group", "day");
	assert_int_equal(requests(json_object_get(none, "total")), 0);
	assert_int_equal(json_array_size(json_object_get(none, "rows")), 0);
	json_decref(none);
	world_is_sound(&w);
	world_end(&w);
}

/* One request that was answered at the second attempt. Returned is the one that failed. */
static struct world_exchange
second_attempt(struct world *w)
{
	uint64_t a = world_account(w, "alice", "100");
	struct world_exchange e = {.account = a, .key = 11, .input = 100, .output = 10, .cost = -1};
	struct world_exchange failed = {.account = a, .key = 11, .model = 1, .input = 70, .cost = 0, .end_reason = END_PROVIDER_UNREACHABLE};
	failed.parent = world_exchange(w, e);
	assert_int_not_equal(world_exchange(w, failed), 0);
	return failed;
}

/* By the sums per day, by the tickets, before and after they are flushed. */
static void
usage_is_without_attempts_that_are_free(void **state)
{
	struct world w;
	world_begin(&w);
	struct world_exchange failed = second_attempt(&w);
	world_round(&w);
	static const char *const groups[] = {"model", "provider", "end_reason"};
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		json_t *all = world_must(&w, "{s:s, s:s}", "op", "usage", "group", groups[i]), *total = json_object_get(all, "total");
		assert_int_equal(requests(total), 1);
		assert_int_equal(json_integer_value(json_object_get(total, "failed")), 0);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(total, "tokens"), "input")), 100);
		assert_int_equal(json_array_size(json_object_get(all, "rows")), 1);
		json_decref(all);
		world_is_sound(&w);
	}
	assert_int_not_equal(world_exchange(&w, failed), 0); /* alone in its booking */
	world_round(&w);
	world_kill_ledger(&w);
	world_open(&w, true);
	json_t *again = world_must(&w, "{s:s}", "op", "usage");
	assert_int_equal(requests(json_object_get(again, "total")), 1);
	json_decref(again);
	world_is_sound(&w);
	world_end(&w);
}

static void
sums_are(struct world *w, const char *member, json_int_t count, json_int_t input)
{
	static const char *const groups[] = {"day", "provider"};
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		json_t *all = world_must(w, "{s:s, s:s, s:b}", "op", "usage", "group", groups[i], member, 1), *total = json_object_get(all, "total");
		assert_int_equal(requests(total), count);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(total, "tokens"), "input")), input);
		json_decref(all);
	}
}

/* What a provider may have counted of us: failed attempts too, and nothing by a customer's own key. */
static void
usage_can_be_asked_for_as_a_provider_has_it(void **state)
{
	struct world w;
	world_begin(&w);
	struct world_exchange e = {.account = second_attempt(&w).account, .key = 11, .input = 1000, .cost = -1};
	struct ticket *own = world_hold(&w, &e);
	assert_non_null(own);
	own->facts.flags |= TICKET_OWN_KEY;
	ticket_settle(w.desk, own);
	world_round(&w);
	sums_are(&w, "neither", 2, 1100);
	sums_are(&w, "free_attempts", 3, 1170);
	sums_are(&w, "no_own_keys", 1, 100);
	world_is_sound(&w);
	world_end(&w);
}

static void
a_key_shows_the_limits_that_hold_for_it(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "10"), id;
	json_t *key = world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", "alice", "name", "ci");
	assert_true(id_parse(ID_KEY, (struct span){text(key, "key"), strlen(text(key, "key"))}, &id));
	json_t *fresh = world_must(&w, "{s:s, s:s}", "op", "key.show", "key", text(key, "secret"));
	assert_string_equal(text(fresh, "account_name"), "alice");
	assert_true(json_is_null(json_object_get(fresh, "last_used")));
	assert_true(json_is_null(json_object_get(fresh, "replaced_by")));
	assert_null(json_object_get(fresh, "secret"));
	json_decref(fresh);
	exchange(&w, a, id, 0);
	world_round(&w);
	struct world_exchange running = {.account = a, .key = id, .model = 1, .input = 10, .output = 1, .hold = NANO_PER_DOLLAR, .cost = -1};
	assert_non_null(world_hold(&w, &running));
	json_t *next = world_must(&w, "{s:s, s:s, s:s}", "op", "key.rotate", "key", text(key, "key"), "overlap", "24h");
	json_t *old = world_must(&w, "{s:s, s:s}", "op", "key.show", "key", text(key, "key"));
	assert_string_equal(text(old, "state"), "active");
	assert_string_equal(text(old, "replaced_by"), text(next, "key"));
	assert_string_equal(text(old, "expires"), text(next, "replaced_expires"));
	assert_int_equal(strlen(text(old, "last_used")), strlen("2026-01-31"));
	assert_int_equal(json_integer_value(json_object_get(old, "running")), 1);
	assert_int_equal(json_integer_value(json_object_get(old, "streams_per_edge")), 7);
	struct nano balance_nano, held, available;
	assert_true(nano_parse((struct span){text(old, "balance"), strlen(text(old, "balance"))}, &balance_nano));
	assert_true(nano_parse((struct span){text(old, "held"), strlen(text(old, "held"))}, &held));
	assert_true(nano_parse((struct span){text(old, "available"), strlen(text(old, "available"))}, &available));
	assert_int_equal(held.v, NANO_PER_DOLLAR);
	assert_int_equal(available.v, balance_nano.v - held.v);
	json_t *list = world_must(&w, "{s:s}", "op", "key.list"), *first = json_array_get(json_object_get(list, "keys"), 0);
	assert_string_equal(text(first, "replaced_by"), text(next, "key"));
	json_t *account = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "alice");
	assert_string_equal(text(account, "held"), text(old, "held"));
	assert_int_equal(json_integer_value(json_object_get(account, "keys")), 2);
	json_decref(account);
	json_decref(list);
	json_decref(old);
	json_decref(next);
	json_decref(key);
	world_end(&w);
}

/* Five requests: three small ones of alice, two large ones of bob that their client left. */
static void
five_requests(struct world *w)
{
	uint64_t a = world_account(w, "alice", "100"), b = world_account(w, "bob", "100");
	for (int i = 0; i < 3; i++)
		exchange(w, a, 11, 0);
	for (int i = 0; i < 2; i++) {
		struct world_exchange e = {.account = b, .key = 12, .model = 1, .input = 50, .output = 5, .cost = -1, .end_reason = END_CLIENT_GONE};
		assert_int_not_equal(world_exchange(w, e), 0);
	}
	world_round(w);
}

static const json_t *
row_at(const json_t *answer, size_t i)
{
	return json_array_get(json_object_get(answer, "rows"), i);
}

static void
usage_is_summed_up_by_two_dimensions(void **state)
{
	struct world w;
	world_begin(&w);
	five_requests(&w);
	json_t *answer = world_must(&w, "{s:s, s:s}", "op", "usage", "group", "account,model");
	assert_string_equal(text(answer, "group"), "account,model");
	assert_int_equal(json_array_size(json_object_get(answer, "rows")), 2);
	assert_string_equal(text(row_at(answer, 0), "account_name"), "bob"); /* the dearest first */
	assert_string_equal(text(row_at(answer, 0), "model"), "large");
	assert_string_equal(text(row_at(answer, 1), "model"), "small");
	json_t *columns = json_object_get(answer, "columns");
	assert_int_equal(json_array_size(columns), 3);
	assert_string_equal(json_string_value(json_array_get(columns, 1)), "account_name");
	json_decref(answer);
	answer = world_must(&w, "{s:s, s:s, s:i}", "op", "usage", "group", "model,end_reason", "limit", 1);
	assert_true(json_is_true(json_object_get(answer, "more")));
	assert_int_equal(json_array_size(json_object_get(answer, "rows")), 1);
	assert_string_equal(text(row_at(answer, 0), "end_reason"), "CLIENT_GONE");
	assert_int_equal(requests(json_object_get(answer, "total")), 5);
	json_decref(answer);
	world_end(&w);
}

/* Whatever it is told apart by, and whichever table it comes from, the sum is the same to the last digit. */
static void
usage_by_any_dimension_adds_up_to_the_same_total(void **state)
{
	static const char *const groups[] = {"none", "month", "day", "hour", "account", "key", "model", "provider", "endpoint", "tier", "end_reason",
		"status", "day,model", "hour,account", "provider,end_reason"};
	struct world w;
	world_begin(&w);
	five_requests(&w);
	int64_t cost = world_sql(&w, "SELECT sum(cost_nano) FROM ticket");
	char expected[NANO_TEXT_MAX];
	nano_text((struct nano){cost}, expected);
	assert_true(cost > 0);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		json_t *answer = world_must(&w, "{s:s, s:s}", "op", "usage", "group", groups[i]), *total = json_object_get(answer, "total");
		assert_string_equal(text(total, "cost"), expected);
		assert_int_equal(requests(total), 5);
		assert_int_equal(json_integer_value(json_object_get(total, "failed")), 2);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(total, "tokens"), "input")), 400);
		assert_int_equal(json_array_size(json_object_get(answer, "rows")) > 0, i > 0);
		json_decref(answer);
	}
	world_end(&w);
}

static void
usage_is_filtered_by_what_only_tickets_know(void **state)
{
	static const struct {
		const char *filter;
		int requests;
	} rows[] = {{"\"end_reason\": \"client_gone\"", 2}, {"\"end_reason\": \"COMPLETED\"", 3}, {"\"end_reason\": \"NO_MONEY\"", 0},
		{"\"provider\": \"sim\"", 5}, {"\"status\": 200", 5}, {"\"status\": 404", 0}, {"\"since\": \"1h\"", 5}, {"\"since\": \"yesterday\"", 5},
		{"\"since\": \"7d\"", 5}, {"\"since\": \"2w\", \"until\": \"2d\"", 0}, {"\"until\": \"1h\"", 0}, {"\"until\": \"3d\"", 0},
		{"\"until\": \"today\"", 5}, {"\"since\": \"2098-01-01T00:00:00Z\"", 0}, {"\"until\": \"2098-01-01T12:30Z\"", 5},
		{"\"since\": \"2020-01-01T00:00:01Z\", \"account\": \"alice\"", 3}, {"\"model\": \"large\", \"since\": \"24h\"", 2}};
	struct world w;
	world_begin(&w);
	five_requests(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char request[200];
		snprintf(request, sizeof(request), "{\"op\": \"usage\", %s}", rows[i].filter);
		json_t *asked = json_loads(request, 0, NULL);
		assert_non_null(asked);
		json_t *answer = ledger_control(w.ledger, asked);
		if (requests(json_object_get(answer, "total")) != rows[i].requests || !json_is_true(json_object_get(answer, "ok")))
			fail_msg("%s: %s", request, json_dumps(answer, 0));
		json_decref(asked);
		json_decref(answer);
	}
	world_end(&w);
}

static void
usage_by_more_groups_than_fit_is_refused(void **state)
{
	struct world w;
	world_begin(&w);
	assert_true(store_exec(&w.ledger->store,
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 200000) INSERT INTO usage_day"
		" SELECT i, 1, 1, 10, 1, 0, 1000, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0 FROM n"));
	world_refused(&w, "too_many_rows", "{s:s, s:s}", "op", "usage", "group", "day");
	json_t *answer = world_must(&w, "{s:s, s:s}", "op", "usage", "group", "model");
	assert_int_equal(requests((json_t *)row_at(answer, 0)), 200001);
	assert_string_equal(text(json_object_get(answer, "total"), "cost"), "0.200001000");
	json_decref(answer);
	world_end(&w);
}

static void
usage_is_not_lost_or_doubled_by_a_dead_ledger(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "100");
	for (int round = 0; round < 6; round++) {
		exchange(&w, a, 1, 0);
		exchange(&w, a, 2, 1);
		world_round(&w);
		if (round % 3 == 1)
			assert_true(usage_flush(w.ledger));
		world_kill_ledger(&w);
		world_open(&w, true);
		world_is_sound(&w);
	}
	json_t *all = world_must(&w, "{s:s}", "op", "usage");
	assert_int_equal(requests(json_object_get(all, "total")), 12);
	json_decref(all);
	world_end(&w);
}

static void
sums_whose_commit_was_not_known_to_have_succeeded_are_not_added_twice(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "100");
	exchange(&w, a, 1, 0);
	world_round(&w);
	struct usage_sums before = w.ledger->usage;
	assert_int_equal(before.count, 1);
	before.sums = calloc(before.size, sizeof(*before.sums));
	memcpy(before.sums, w.ledger->usage.sums, before.size * sizeof(*before.sums));
	assert_true(usage_flush(w.ledger));
	w.ledger->usage = before;
	exchange(&w, a, 1, 0);
	world_round(&w);
	assert_true(usage_flush(w.ledger));
	json_t *all = world_must(&w, "{s:s}", "op", "usage");
	assert_int_equal(requests(json_object_get(all, "total")), 2);
	json_decref(all);
	world_is_sound(&w);
	world_end(&w);
}

/* ---- one request ---- */

static void
a_request_is_shown_while_it_runs_and_when_it_is_booked(void **state)
{
	struct world w;
	char id[ID_TEXT_MAX];
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5");
	struct world_exchange e = {.account = a, .key = 77, .model = 1, .input = 100, .output = 10, .cost = -1};
	struct ticket *t = world_hold(&w, &e);
	t->facts.flags |= TICKET_ABSURD;
	id_text(ID_REQUEST, t->id, id);
	json_t *runs = world_must(&w, "{s:s, s:s}", "op", "ticket.show", "id", id);
	assert_string_equal(text(runs, "state"), "running");
	ticket_settle(w.desk, t);
	json_t *booked = world_must(&w, "{s:s, s:s}", "op", "ticket.show", "id", id);
	assert_string_equal(text(booked, "state"), "booked");
	assert_string_equal(text(booked, "model"), "large");
	assert_string_equal(text(booked, "end_reason"), "COMPLETED");
	assert_string_equal(text(booked, "endpoint"), "chat.completions");
	assert_string_equal(text(booked, "tier"), "standard");
	assert_true(json_is_false(json_object_get(booked, "estimated")));
	assert_true(json_is_true(json_object_get(booked, "absurd")));
	assert_string_equal(text(booked, "price"), "0000000000000003"); /* as price.list shows it */
	assert_int_equal(json_integer_value(json_object_get(json_object_get(booked, "facts"), "tokens_input")), 100);
	world_refused(&w, "no_such_request", "{s:s, s:s}", "op", "ticket.show", "id", "req_00000000001");
	json_decref(runs);
	json_decref(booked);
	world_end(&w);
}

static void
prices_are_listed_as_people_write_them(void **state)
{
	struct world w;
	world_begin(&w);
	json_t *answer = world_must(&w, "{s:s}", "op", "price.list"), *list = json_object_get(answer, "prices");
	assert_int_equal(json_array_size(list), 3);
	const json_t *small = json_array_get(list, 2);
	assert_string_equal(text(small, "model"), "small");
	assert_string_equal(text(small, "price"), "f000000000000001");
	assert_string_equal(text(json_object_get(small, "dollars_per_million_tokens"), "input"), "0.250000");
	assert_string_equal(text(small, "from"), "2020-09-13T12:26:40.000Z");
	json_decref(answer);
	world_end(&w);
}

static void
a_price_row_that_changed_its_contents_is_refused_at_start(void **state)
{
	struct world w;
	char why[256] = "";
	struct ledger *l = NULL;
	world_begin(&w);
	world_close(&w);
	w.catalogue.price[0].pico[TOKEN_output]++;
	struct ledger_options o = {.data_dir = w.dir, .store = w.store[0] != '\0' ? w.store : NULL, .pepper = w.pepper, .receipt_seed = w.pepper, .catalogue = &w.catalogue.head};
	assert_int_equal(ledger_open(&o, &l, why), LEDGER_FAILED);
	assert_non_null(strstr(why, "price row f000000000000001"));
	w.catalogue.price[0].pico[TOKEN_output]--;
	world_open(&w, true);
	world_end(&w);
}

static void
a_price_is_shown_as_it_was_at_a_moment(void **state)
{
	struct world w;
	world_begin(&w);
	/* `large` costs 4 from 1600000000, 3 from 1700000000 */
	json_t *now = world_must(&w, "{s:s, s:s}", "op", "price.show", "model", "large");
	json_t *row = json_array_get(json_object_get(now, "rows"), 0);
	assert_string_equal(text(json_object_get(row, "dollars_per_million_tokens"), "input"), "3.000000");
	assert_string_equal(text(row, "per_request"), "0.000005000");
	assert_string_equal(text(now, "from"), "2023-11-14T22:13:20.000Z");
	assert_true(json_is_null(json_object_get(now, "next")));
	assert_string_equal(text(now, "provider"), "sim");
	json_decref(now);
	json_t *then = world_must(&w, "{s:s, s:s, s:s}", "op", "price.show", "model", "large", "at", "2023-11-14");
	row = json_array_get(json_object_get(then, "rows"), 0);
	assert_string_equal(text(json_object_get(row, "dollars_per_million_tokens"), "input"), "4.000000");
	assert_string_equal(text(then, "next"), "2023-11-14T22:13:20.000Z");
	json_decref(then);
	world_refused(&w, "no_price", "{s:s, s:s, s:s}", "op", "price.show", "model", "large", "at", "2020-01-01");
	world_refused(&w, "no_such_model", "{s:s, s:s}", "op", "price.show", "model", "huge");
	world_refused(&w, "bad_request", "{s:s, s:s, s:s}", "op", "price.show", "model", "large", "at", "soon");
	/* Without a catalogue, from the book; a row that was corrected later does not count. */
	world_close(&w);
	world_open(&w, false);
	w.ledger->o.catalogue = NULL;
	struct price_row *rows = w.ledger->prices.rows;
	for (size_t i = 0; i < w.ledger->prices.count; i++)
		if (rows[i].price.id == 2)
			rows[i].price.from_ms = 1700000000000ULL; /* same start as row 3 … */
		else if (rows[i].price.id == 3)
			rows[i].added_us += 1000000; /* … which was added after it */
	json_t *book = world_must(&w, "{s:s, s:s}", "op", "price.show", "model", "large");
	assert_int_equal(json_array_size(json_object_get(book, "rows")), 1);
	assert_string_equal(text(json_array_get(json_object_get(book, "rows"), 0), "price"), "0000000000000003");
	assert_null(json_object_get(book, "provider"));
	json_decref(book);
	world_end(&w);
}

/* ---- refusals ---- */

static const struct {
	const char *code, *request;
} refusals[] = {
	{"bad_request", "[]"},
	{"bad_request", "{}"},
	{"bad_request", "{\"op\": 7}"},
	{"unknown_op", "{\"op\": \"account.destroy\"}"},
	{"bad_request", "{\"op\": \"account.create\"}"},
	{"bad_request", "{\"op\": \"account.create\", \"name\": \"\"}"},
	{"bad_request", "{\"op\": \"account.create\", \"name\": 5}"},
	{"bad_request", "{\"op\": \"account.create\", \"name\": \"a\\nb\"}"},
	{"bad_request", "{\"op\": \"account.create\", \"name\": \"acc_00000000001\"}"},
	{"account_exists", "{\"op\": \"account.create\", \"name\": \"revenue\"}"},
	{"bad_request", "{\"op\": \"account.list\", \"limit\": 0}"},
	{"bad_request", "{\"op\": \"account.list\", \"limit\": 10001}"},
	{"bad_request", "{\"op\": \"account.list\", \"after\": \"x\"}"},
	{"bad_request", "{\"op\": \"key.rotate\"}"},
	{"no_such_key", "{\"op\": \"key.rotate\", \"key\": \"key_00000000001\"}"},
	{"bad_request", "{\"op\": \"key.rotate\", \"key\": \"key_00000000001\", \"overlap\": \"5\"}"},
	{"bad_request", "{\"op\": \"key.rotate\", \"key\": \"key_00000000001\", \"overlap\": \"-1h\"}"},
	{"bad_request", "{\"op\": \"key.rotate\", \"key\": \"key_00000000001\", \"overlap\": \"400d\"}"},
	{"bad_request", "{\"op\": \"key.rotate\", \"key\": \"key_00000000001\", \"overlap\": \"99999999999999999999d\"}"},
	{"bad_request", "{\"op\": \"key.create\"}"},
	{"not_a_customer", "{\"op\": \"key.create\", \"account\": \"revenue\"}"},
	{"bad_request", "{\"op\": \"key.create\", \"account\": \"alice\", \"expires\": \"tomorrow\"}"},
	{"bad_request", "{\"op\": \"key.create\", \"account\": \"alice\", \"expires\": \"2020-01-01\"}"},
	{"bad_request", "{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": \"1\"}"},
	{"bad_request", "{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": 1, \"reason\": \"r\"}"},
	{"bad_request", "{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": \"0\", \"reason\": \"r\"}"},
	{"bad_request", "{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": \"1e3\", \"reason\": \"r\"}"},
	{"bad_request",
		"{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": \"0.0000000001\", \"reason\": \"r\"}"},
	{"bad_request",
		"{\"op\": \"credit.add\", \"account\": \"alice\", \"amount\": \"9223372036\", \"reason\": \"r\"}"},
	{"not_a_customer",
		"{\"op\": \"credit.add\", \"account\": \"loss.crash\", \"amount\": \"1\", \"reason\": \"r\"}"},
	{"no_such_account", "{\"op\": \"credit.add\", \"account\": \"nobody\", \"amount\": \"1\", \"reason\": \"r\"}"},
	{"no_such_account", "{\"op\": \"usage\", \"account\": \"nobody\"}"},
	{"no_such_model", "{\"op\": \"usage\", \"model\": \"gpt-99\"}"},
	{"bad_request", "{\"op\": \"usage\", \"group\": \"minute\"}"},
	{"bad_request", "{\"op\": \"usage\", \"group\": \"day,day\"}"},
	{"bad_request", "{\"op\": \"usage\", \"group\": \"day,key,model\"}"},
	{"bad_request", "{\"op\": \"usage\", \"group\": \"day,\"}"},
	{"no_such_provider", "{\"op\": \"usage\", \"provider\": \"nobody\"}"},
	{"bad_request", "{\"op\": \"usage\", \"end_reason\": \"UNKNOWN\"}"},
	{"bad_request", "{\"op\": \"usage\", \"status\": \"200\"}"},
	{"bad_request", "{\"op\": \"usage\", \"status\": 1000}"},
	{"bad_request", "{\"op\": \"usage\", \"since\": \"7\"}"},
	{"bad_request", "{\"op\": \"usage\", \"since\": \"9999999d\"}"},
	{"bad_request", "{\"op\": \"usage\", \"since\": \"2026-02-30\"}"},
	{"bad_request", "{\"op\": \"usage\", \"since\": \"today\", \"until\": \"yesterday\"}"},
	{"bad_request", "{\"op\": \"key.create\", \"account\": \"alice\", \"expires\": \"2098-02-30\"}"},
	{"bad_request", "{\"op\": \"usage\", \"since\": \"2026-02-30T00:00:00Z\"}"},
	{"bad_request", "{\"op\": \"usage\", \"key\": \"lethe_live_x\"}"},
	{"bad_request", "{\"op\": \"ticket.show\", \"id\": \"acc_00000000001\"}"},
};

static void
every_refusal_says_why(void **state)
{
	struct world w;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		json_t *request = json_loads(refusals[i].request, 0, NULL);
		assert_non_null(request);
		json_t *answer = ledger_control(w.ledger, request);
		json_t *error = json_object_get(answer, "error");
		if (error == NULL || strcmp(text(error, "code"), refusals[i].code) != 0 ||
			strlen(text(error, "message")) < 10)
			fail_msg("%s: %s", refusals[i].request, json_dumps(answer, 0));
		json_decref(request);
		json_decref(answer);
	}
	world_is_sound(&w);
	world_end(&w);
}

/* ---- top ---- */

static int64_t
count(const json_t *o, const char *name)
{
	const json_t *n = json_object_get(o, name);
	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

static void
top_shows_what_runs_and_what_was_booked(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t a = world_account(&w, "alice", "5");
	struct counters *edge = w.counters;
	struct process_counters *processes = (void *)((char *)w.counters + WORLD_COUNTERS);
	atomic_store(&edge->streams_open, 3);
	atomic_store(&edge->ended[END_COMPLETED], 7);
	atomic_store(&edge->ended[END_BAD_KEY], 2);
	atomic_store(&processes->count, 2);
	atomic_store(&processes->process[0].role, END_OF_EDGE);
	atomic_store(&processes->process[1].restarts, 4);
	struct world_exchange e = {.account = a, .key = 9, .model = 1, .input = 1000, .output = 500, .cost = -1};
	world_exchange(&w, e);
	e.end_reason = END_PROVIDER_CUT;
	world_exchange(&w, e);
	assert_int_equal(world_round(&w), 2);
	struct ticket *waits = world_hold(&w, &e), *answers = world_hold(&w, &e);
	answers->facts.first_byte_ms = 12;
	json_t *top = world_must(&w, "{s:s}", "op", "top");
	json_t *states = json_object_get(top, "states"), *models = json_object_get(top, "models");
	assert_int_equal(count(states, "waiting"), 1);
	assert_int_equal(count(states, "answering"), 1);
	assert_int_equal(count(states, "free"), WORLD_TICKETS - 2);
	assert_int_equal(json_array_size(models), 1);
	json_t *large = json_array_get(models, 0);
	assert_string_equal(text(large, "model"), "large");
	assert_string_equal(text(large, "provider"), "sim");
	assert_int_equal(count(large, "waiting"), 1);
	assert_int_equal(count(large, "answering"), 1);
	assert_int_equal(count(large, "requests"), 2);
	assert_int_equal(count(large, "failed"), 1);
	assert_int_equal(count(json_object_get(large, "tokens"), "input"), 2000);
	char cost[NANO_TEXT_MAX], rest[NANO_TEXT_MAX];
	nano_text((struct nano){2 * world_cost(&w, &e)}, cost);
	nano_text((struct nano){5 * NANO_PER_DOLLAR - 2 * world_cost(&w, &e)}, rest);
	assert_string_equal(text(large, "cost"), cost);
	assert_string_equal(text(top, "balances"), rest);
	assert_string_equal(text(top, "revenue"), cost);
	assert_int_equal(count(top, "restarts"), 4);
	json_t *shown = json_array_get(json_object_get(top, "edges"), 0), *reasons = json_object_get(top, "reasons");
	assert_int_equal(count(shown, "streams"), 3);
	assert_int_equal(count(shown, "tickets"), 2);
	assert_int_equal(json_array_size(reasons), 2);
	assert_string_equal(text(json_array_get(reasons, 1), "reason"), "BAD_KEY");
	assert_string_equal(text(json_array_get(reasons, 1), "severity"), "note");
	assert_int_equal(count(json_object_get(top, "ledger"), "booked"), 2);
	assert_string_equal(text(json_object_get(top, "ledger"), "gate"), "open");
	json_decref(top);
	ticket_settle(w.desk, waits);
	ticket_settle(w.desk, answers);
	world_is_sound(&w);
	world_close(&w);
	world_open(&w, false);
	world_refused(&w, "no_server", "{s:s}", "op", "top");
	world_end(&w);
}

/* Who is put behind the others is seen before customers notice. */
static void
providers_are_shown_with_their_circuits(void **state)
{
	static struct circuits all;
	struct world w;
	(void)state;
	world_begin(&w);
	world_refused(&w, "no_server", "{s:s}", "op", "provider.list");
	world_close(&w);
	w.circuits = &all;
	world_open(&w, true);
	const struct catalogue_provider *p = catalogue_provider(&w.catalogue.head, 0);
	uint32_t target = catalogue_target(&w.catalogue.head, 0)->id;
	json_t *quiet = world_must(&w, "{s:s}", "op", "provider.list"), *rows = json_object_get(quiet, "providers");
	size_t many = json_array_size(rows), i;
	json_t *row;
	assert_true(many >= 1);
	json_array_foreach(rows, i, row) assert_string_equal(text(row, "state"), "closed");
	json_decref(quiet);
	for (int k = 0; k < CIRCUIT_FAILURES; k++)
		(void)circuit_failed(circuit_of(&all, circuit_target_id(target)), clock_monotonic_ms());
	json_t *loud = world_must(&w, "{s:s, s:s}", "op", "provider.list", "provider", p->name);
	int open = 0;
	json_array_foreach(json_object_get(loud, "providers"), i, row)
	{
		bool is = strcmp(text(row, "state"), "open") == 0;
		open += is;
		if (is) {
			assert_in_range(count(row, "asked_again_in_ms"), 1, CIRCUIT_OPEN_MS);
			assert_int_equal(count(row, "opened"), 1);
		}
	}
	assert_int_equal(open, 1);
	json_decref(loud);
	world_refused(&w, "no_such_provider", "{s:s, s:s}", "op", "provider.list", "provider", "nobody");
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_is_found_by_name_and_by_id),
		cmocka_unit_test(accounts_are_listed_page_by_page_without_the_operators_own),
		cmocka_unit_test(a_key_works_at_once_is_shown_once_and_is_refused_at_once),
		cmocka_unit_test(a_leaked_key_is_revoked_by_itself),
		cmocka_unit_test(a_rotated_key_holds_until_the_overlap_ends),
		cmocka_unit_test(a_key_whose_secret_was_lost_is_named_and_replaced),
		cmocka_unit_test(keys_survive_the_board),
		cmocka_unit_test(no_file_holds_a_key),
		cmocka_unit_test(credit_is_spendable_at_once),
		cmocka_unit_test(credit_is_given_once_for_one_id_by_the_server),
		cmocka_unit_test(credit_is_given_once_for_one_id_by_the_command_line),
		cmocka_unit_test(a_debit_takes_no_money_that_a_running_exchange_holds),
		cmocka_unit_test(a_debit_without_a_server_stops_at_zero),
		cmocka_unit_test(credit_on_the_board_of_a_dead_ledger_is_booked_by_the_next),
		cmocka_unit_test(an_order_that_never_reached_the_board_is_forgotten),
		cmocka_unit_test(usage_adds_up_by_model_key_account_and_day),
		cmocka_unit_test(usage_is_without_attempts_that_are_free),
		cmocka_unit_test(usage_can_be_asked_for_as_a_provider_has_it),
		cmocka_unit_test(a_key_shows_the_limits_that_hold_for_it),
		cmocka_unit_test(a_price_is_shown_as_it_was_at_a_moment),
		cmocka_unit_test(usage_is_summed_up_by_two_dimensions),
		cmocka_unit_test(usage_by_any_dimension_adds_up_to_the_same_total),
		cmocka_unit_test(usage_is_filtered_by_what_only_tickets_know),
		cmocka_unit_test(usage_by_more_groups_than_fit_is_refused),
		cmocka_unit_test(usage_is_not_lost_or_doubled_by_a_dead_ledger),
		cmocka_unit_test(sums_whose_commit_was_not_known_to_have_succeeded_are_not_added_twice),
		cmocka_unit_test(a_request_is_shown_while_it_runs_and_when_it_is_booked),
		cmocka_unit_test(prices_are_listed_as_people_write_them),
		cmocka_unit_test(a_price_row_that_changed_its_contents_is_refused_at_start),
		cmocka_unit_test(top_shows_what_runs_and_what_was_booked),
		cmocka_unit_test(providers_are_shown_with_their_circuits),
		cmocka_unit_test(every_refusal_says_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
