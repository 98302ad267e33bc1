/*
 * The books moved between ledger.db and PostgreSQL: every table of the schema, each row of it; killed at each of its steps, and then asked again; taken back. Beside
 * a PostgreSQL of its own (tool/with_postgres.sh); the world begins in a file.
 */
#include "ledger/ledger_script.h"
#include "ledger/store_address.h"
#include "ledger/store_mark.h"
#include "ledger/store_move.h"
#include "ledger/work.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICKETS = 300, /* more than a whole subtree of the receipts' tree has */
	TABLES_MAX = 96 };

static struct world w;
static char server[200], address[256];
static int64_t spent;

static struct store_move
order(const char *to)
{
	return (struct store_move){.data_dir = w.dir, .to = to, .pepper = w.pepper, .receipt_seed = w.pepper};
}

static void
must_move(const char *to)
{
	const struct store_move m = order(to);
	char why[STORE_MOVE_WHY_MAX];
	json_t *answer = store_move(&m, why);
	if (answer == NULL)
		fail_msg("%s", why);
	json_decref(answer);
}

static void
must_not_move(const char *to, const char *because)
{
	const struct store_move m = order(to);
	char why[STORE_MOVE_WHY_MAX];
	assert_null(store_move(&m, why));
	if (strstr(why, because) == NULL)
		fail_msg("%s, not: %s", why, because);
}

static void
take_back(bool discard, const char *refused)
{
	struct store_move m = order(NULL);
	char why[STORE_MOVE_WHY_MAX] = "";
	m.discard = discard;
	json_t *answer = store_take_back(&m, why);
	if ((answer == NULL) != (refused != NULL) || (refused != NULL && strstr(why, refused) == NULL))
		fail_msg("%s", why);
	json_decref(answer);
}

/* ---- a world with something in each table ---- */

static void
order_work(enum work_order order, uint64_t id, uint64_t account, uint64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = order;
	m.work = id;
	m.account = account;
	m.nano = nano;
	assert_int_equal(ledger_work(w.ledger, &m), WORK_DONE);
}

/* One that goes on, and one that was paid. */
static void
work_some(uint64_t account)
{
	struct message_work_named m = MESSAGE_INIT(WORK_NAMED, message_work_named);
	order_work(WORK_BEGIN, 7, account, 10000000);
	order_work(WORK_BEGIN, 8, account, 10000000);
	m.work = 8;
	m.account = account;
	m.object_bytes = 7;
	memcpy(m.object, "batch_x", 7);
	assert_int_equal(ledger_work_named(w.ledger, &m), WORK_DONE);
	order_work(WORK_END, 8, account, 3000000);
}

/* By statements, where an order would want a server's parts that this world has not. */
static void
fill_by_hand(uint64_t account)
{
	char sql[1200];
	snprintf(sql, sizeof(sql),
		"INSERT INTO byok (id, account, provider, fallback, last4, master, box, created_us, removed_us) VALUES (1, %lld, 1, 0, 'abcd', x'0001020304050607', x'00ff00', 1, 0), "
		"(2, %lld, 2, 1, '', x'ffffffffffffffff', NULL, 1, 9);"
		"INSERT INTO policy (subject, zero_retention, region) VALUES (%lld, 1, '');"
		"INSERT INTO quota (account, kind, nano, due_us) VALUES (%lld, 8, 5, 4102444800000000);"
		"INSERT INTO lane (subject, name) VALUES (%lld, 'direct');"
		"INSERT INTO allowed (subject, what, pattern) VALUES (%lld, 1, 'small'), (%lld, 1, 'S*'), (%lld, 1, 'ö');"
		"INSERT INTO object (id, account, kind, purpose, name, gone_us) VALUES (8, %lld, 1, 8, x'0066ff', 9);"
		"INSERT INTO gone (work) VALUES (7);"
		"INSERT INTO budget (id, limit_nano, used_nano) VALUES (9223372036854775807, 4000000000000000000, 0)",
		(long long)account, (long long)account, (long long)account, (long long)account, (long long)account, (long long)account, (long long)account, (long long)account, (long long)account);
	if (!store_exec(&w.ledger->store, sql))
		fail_msg("%s", store_error(&w.ledger->store));
}

static void
exchange_all(uint64_t account, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct world_exchange e = {.account = account, .key = 5, .model = i % 2, .input = 1 + i, .output = 7, .cost = -1};
		spent += world_cost(&w, &e);
		assert_int_not_equal(world_exchange(&w, e), 0);
	}
	while (world_round(&w) > 0)
		;
}

static void
begin_world(unsigned tickets)
{
	static struct script_answers answers;
	memset(&answers, 0, sizeof(answers));
	spent = 0;
	world_begin(&w);
	world_schema(server, address);
	script_begin(&w);
	script_all(&w, &answers);
	uint64_t zoe = world_account(&w, "Zoë 漢字", "100");
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "account.limit", "account", "alice", "requests_per_day", "5000"));
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "key.create", "account", "alice", "name", ""));
	exchange_all(zoe, tickets);
	json_decref(world_must(&w, "{s:s}", "op", "reconcile.run"));
	work_some(zoe);
	fill_by_hand(zoe);
	world_close(&w);
}

/* ---- what is in a store, by its schema alone ---- */

struct content {
	unsigned count;
	struct {
		char name[64];
		int64_t rows;
	} table[TABLES_MAX];
};

static bool
in_file(void)
{
	return w.ledger->store.node < 0;
}

/* These alone are each kind's own: another one has to be moved, or to be named here as well. */
static bool
is_exempt(const char *name)
{
	static const char *const own[] = {"usage_mark", "usage_node", "store_schema", "pen", "node", "share", "budget_share", "want", STORE_MOVED, STORE_ARRIVING};
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i], name) == 0)
			return true;
	return false;
}

static void
read_content(struct content *ret)
{
	struct query *st = sql_prepare(&w.ledger->store,
		in_file() ? "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
				  : "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname");
	assert_non_null(st);
	ret->count = 0;
	while (sql_step(&w.ledger->store, st) == SQL_ROW)
		if (!is_exempt(sql_str(st, 0)) && strncmp(sql_str(st, 0), "sqlite_", 7) != 0)
			snprintf(ret->table[ret->count++].name, 64, "%s", sql_str(st, 0));
	sql_free(st);
	for (unsigned i = 0; i < ret->count; i++) {
		char sql[128];
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM \"%s\"", ret->table[i].name);
		ret->table[i].rows = world_sql(&w, sql);
	}
}

static void
are_equal(const struct content *a, const struct content *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		assert_string_equal(a->table[i].name, b->table[i].name);
		if (a->table[i].rows != b->table[i].rows)
			fail_msg("%s: %lld rows, not %lld", a->table[i].name, (long long)b->table[i].rows, (long long)a->table[i].rows);
	}
}

/* Nothing is ever at rest in these: they are what runs. */
static void
is_full(const struct content *c)
{
	for (unsigned i = 0; i < c->count; i++)
		if (c->table[i].rows == 0 && strcmp(c->table[i].name, "progress") != 0 && strcmp(c->table[i].name, "intent") != 0)
			fail_msg("%s is empty: put a row of it into this test, or nobody knows whether it is moved", c->table[i].name);
}

/* Of some rows that are easily bent on the way: numbers, letters, bytes, nothing. */
static void
odd_values_are_there(void)
{
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM account WHERE name = 'Zoë 漢字'"), 1);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM budget WHERE id = 9223372036854775807 AND limit_nano = 4000000000000000000"), 1);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM byok WHERE box IS NULL AND last4 = ''"), 1);
	assert_int_equal(world_sql(&w, in_file() ? "SELECT count(*) FROM byok WHERE box = x'00ff00'" : "SELECT count(*) FROM byok WHERE box = '\\x00ff00'"), 1);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM allowed WHERE pattern = 'ö'"), 1);
}

/* By a command without a server, as the books are now. */
static int64_t
look(struct content *ret)
{
	world_open(&w, false);
	read_content(ret);
	odd_values_are_there();
	world_is_sound(&w);
	int64_t sum = world_sql(&w, "SELECT sum(balance_nano * (id % 89)) FROM account");
	world_close(&w);
	return sum;
}

static void
is_refused(const char *because)
{
	char why[256] = "";
	if (world_try_open(&w, false, why))
		fail_msg("opened, not: %s", because);
	if (strstr(why, because) == NULL)
		fail_msg("%s, not: %s", why, because);
}

/* ---- tests ---- */

static void
every_row_of_every_table_is_moved_and_comes_back(void **state)
{
	struct content before, after, again;
	begin_world(TICKETS);
	int64_t sum = look(&before);
	is_full(&before);
	must_move(address);
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	must_move(address); /* asked again: it is done */
	/* A server goes on there: the next tickets, the next leaves, the next links of the chains. */
	world_lose_board(&w);
	world_open(&w, true);
	exchange_all((uint64_t)world_sql(&w, "SELECT id FROM account WHERE name = 'bob'"), 20);
	world_is_sound(&w);
	assert_true(ledger_last(w.ledger));
	world_close(&w);
	sum = look(&after);
	take_back(false, "has been written since");
	must_move(NULL);
	assert_true(look(&again) == sum);
	are_equal(&after, &again);
	must_not_move(NULL, "already");
	must_not_move(address, "is not empty");
	char second[256];
	world_schema(server, second);
	must_move(second);
	assert_true(look(&again) == sum);
	are_equal(&after, &again);
	world_end(&w);
}

static void
a_move_is_taken_back_as_long_as_nothing_was_written(void **state)
{
	struct content before, after;
	char path[128], kept[300];
	begin_world(10);
	int64_t sum = look(&before);
	take_back(false, "nothing to take back");
	must_move(address);
	/* Whoever loses DIR/store does not begin again where the books were. */
	snprintf(path, sizeof(path), "%s/store", w.dir);
	snprintf(kept, sizeof(kept), "%s.new", path);
	assert_int_equal(rename(path, kept), 0);
	is_refused("were moved to postgres://");
	assert_int_equal(rename(kept, path), 0);
	take_back(false, NULL);
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	/* Nobody goes on there either. */
	snprintf(w.store, sizeof(w.store), "%s", address);
	is_refused("were moved to");
	w.store[0] = '\0';
	char second[256];
	world_schema(server, second);
	must_move(second);
	world_open(&w, false);
	world_account(&w, "later", "3");
	world_close(&w);
	take_back(false, "has been written since");
	take_back(true, NULL);
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	world_end(&w);
}

static void
has_no_table(const char *database)
{
	world_on_server(database, "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace) THEN RAISE 'tables were made'; END IF; END $$");
}

/* DIR/store names an empty database in place of that with the books. */
static int64_t
begin_moved_and_misdirected(struct content *before, char empty[256])
{
	begin_world(3);
	int64_t sum = look(before);
	must_move(address);
	world_schema(server, empty);
	assert_true(store_address_change(w.dir, empty));
	return sum;
}

/* It is only looked at: whoever made it for something else finds it as it was. */
static void
an_empty_database_is_left_as_it_is_when_a_move_is_taken_back(void **state)
{
	struct content before, after;
	char empty[256];
	int64_t sum = begin_moved_and_misdirected(&before, empty);
	take_back(false, "has not the books");
	has_no_table(empty);
	take_back(true, NULL);
	has_no_table(empty);
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	world_end(&w);
}

/* A take-back that ended before DIR/store went, with an address that is not that of the books. */
static void
where_nothing_is_to_take_back_the_way_out_is_one_that_works(void **state)
{
	struct content before, after;
	char empty[256];
	int64_t sum = begin_moved_and_misdirected(&before, empty);
	take_back(true, NULL);
	assert_true(store_address_change(w.dir, empty));
	take_back(false, "nothing to take back. Correct the address in `store`, or remove `store`");
	take_back(true, "nothing to take back. Correct the address in `store`, or remove `store`");
	has_no_table(empty);
	assert_true(store_address_forget(w.dir));
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	world_end(&w);
}

static void
books_that_are_not_right_are_not_moved_and_what_is_broken_is_said(void **state)
{
	begin_world(3);
	world_open(&w, false);
	if (!store_exec(&w.ledger->store, "UPDATE usage_day SET requests = requests + 1"))
		fail_msg("%s", store_error(&w.ledger->store));
	world_close(&w);
	must_not_move(address, "nothing was changed here: INV-10, ");
	world_end(&w);
}

static void
what_is_not_possible_is_refused_and_changes_nothing(void **state)
{
	struct content before, after;
	begin_world(3);
	int64_t sum = look(&before);
	must_not_move("mysql://x/y", "postgres://user@host");
	must_not_move(NULL, "already");
	must_not_move("postgres://lethe@/none?host=/nowhere", "no connection");
	int lock = -1;
	char why[256];
	assert_int_equal(ledger_lock(w.dir, &lock, why), LEDGER_OPENED);
	must_not_move(address, "only while no server runs");
	close(lock);
	/* Somebody's table, or another lethe's books. */
	struct world other = w;
	snprintf(w.store, sizeof(w.store), "%s", address);
	world_open(&w, false);
	world_close(&w);
	world_forget_books(&w);
	w.store[0] = '\0';
	must_not_move(address, "is not empty");
	w = other;
	assert_true(look(&after) == sum);
	are_equal(&before, &after);
	world_end(&w);
}

/* ---- killed ---- */

struct steps {
	int seen, last; /* -1: none is the last */
};

static void
count_or_die(void *arg, const char *doing, const char *table, int64_t done, int64_t all)
{
	struct steps *s = arg;
	if (s->seen++ == s->last)
		raise(SIGKILL);
}

static int
steps_of(const char *to, int last, bool take)
{
	struct steps *s = calloc(1, sizeof(*s));
	struct store_move m = order(to);
	char why[STORE_MOVE_WHY_MAX];
	s->last = last;
	m.say = count_or_die;
	m.arg = s;
	json_t *answer = take ? store_take_back(&m, why) : store_move(&m, why);
	int seen = answer != NULL ? s->seen : -1;
	if (answer == NULL)
		fprintf(stderr, "%s\n", why);
	json_decref(answer);
	free(s);
	return seen;
}

/* In a process of its own. Returns how many steps it had; 0: it was killed. */
static int
move_in_child(const char *to, int last)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		int seen = steps_of(to, last, false);
		_exit(seen > 0 && seen < 200 ? seen : 255);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return 0;
	}
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return WEXITSTATUS(status);
}

static bool
opens(const char *store)
{
	char why[256];
	snprintf(w.store, sizeof(w.store), "%s", store);
	bool ok = world_try_open(&w, false, why);
	if (ok)
		world_close(&w);
	w.store[0] = '\0';
	return ok;
}

/* At no time two stores open, and each open one has all there is. */
static void
killed_at(const char *to, int step, int64_t sum, const struct content *before)
{
	struct content after;
	char file[128];
	assert_int_equal(move_in_child(to, step), 0);
	snprintf(file, sizeof(file), "%s/ledger.db", w.dir);
	bool in_there = access(file, F_OK) == 0 && opens(file), in_postgres = opens(address);
	if (in_there && in_postgres)
		fail_msg("killed at step %d, both stores can be opened", step);
	if (!in_there && !in_postgres)
		is_refused("moved");
	assert_true(move_in_child(to, -1) > 0);
	assert_true(look(&after) == sum);
	are_equal(before, &after);
	assert_true(opens(to != NULL ? address : file));
	if (to != NULL)
		assert_false(opens(file));
	else
		assert_false(opens(address));
}

static void
killed_at_any_step_nothing_is_moved_or_all_of_it(void **state)
{
	struct content before;
	begin_world(5);
	int64_t sum = look(&before);
	int steps = move_in_child(address, -1), back = move_in_child(NULL, -1);
	assert_true(steps > 20 && back > 20);
	/* Between the last ones the books change hands. LETHE_MOVE_STEPS: at each of them. */
	const int last = steps > back ? steps : back, chosen[] = {last / 2, last - 3, last - 2, last - 1};
	bool all = getenv("LETHE_MOVE_STEPS") != NULL;
	for (int i = 0; i < (all ? last : (int)ARRAY_LEN(chosen)); i++) {
		int from_end = last - (all ? i : chosen[i]);
		world_schema(server, address);
		killed_at(address, steps > from_end ? steps - from_end : 0, sum, &before);
		killed_at(NULL, back > from_end ? back - from_end : 0, sum, &before);
	}
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_every_table_is_moved_and_comes_back),
		cmocka_unit_test(a_move_is_taken_back_as_long_as_nothing_was_written),
		cmocka_unit_test(an_empty_database_is_left_as_it_is_when_a_move_is_taken_back),
		cmocka_unit_test(where_nothing_is_to_take_back_the_way_out_is_one_that_works),
		cmocka_unit_test(books_that_are_not_right_are_not_moved_and_what_is_broken_is_said),
		cmocka_unit_test(what_is_not_possible_is_refused_and_changes_nothing),
		cmocka_unit_test(killed_at_any_step_nothing_is_moved_or_all_of_it),
	};
	/* What was written is there after a kill, wherever it was written: memory is as good as a disk, and quicker. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	/* The worlds' own stores are files. */
	const char *there = getenv("LETHE_TEST_POSTGRES");
	if (there == NULL)
		return 77;
	snprintf(server, sizeof(server), "%s", there);
	unsetenv("LETHE_TEST_POSTGRES");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
