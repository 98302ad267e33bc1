/*
 * A disk that fails: every write, sync and truncation of the store in turn, once or for a while,
 * with the work done or not done when the error comes. New requests are refused meanwhile, nothing
 * is lost, nothing is doubled, and it goes on by itself.
 */
#include "ledger/ledger_world.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a file system between SQLite and the real one ---- */

enum kind { FAULT_WRITE = 1,
	FAULT_SYNC = 2,
	FAULT_TRUNCATE = 4,
	FAULT_READ = 8 };

static struct fault {
	bool armed, after; /* after: the work is done, then the error is told */
	int kinds, code;
	int64_t first, count; /* calls first … first + count − 1 fail */
	int64_t calls, failed;
} fault;

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *
real(sqlite3_file *f)
{
	return ((struct faulty_file *)f)->real;
}

static bool
fails(enum kind kind)
{
	if (!fault.armed || !(fault.kinds & (int)kind))
		return false;
	int64_t call = fault.calls++;
	bool now = call >= fault.first && call < fault.first + fault.count;
	fault.failed += now;
	return now;
}

static int
told(bool bad, int rc)
{
	return bad ? fault.code : rc;
}

#define REAL(f) real(f)->pMethods

static int
f_close(sqlite3_file *f)
{
	return REAL(f)->xClose(real(f));
}

static int
f_read(sqlite3_file *f, void *to, int bytes, sqlite3_int64 at)
{
	return fails(FAULT_READ) ? fault.code : REAL(f)->xRead(real(f), to, bytes, at);
}

static int
f_write(sqlite3_file *f, const void *from, int bytes, sqlite3_int64 at)
{
	bool bad = fails(FAULT_WRITE);
	if (bad && !fault.after)
		/* A torn write: half of it is there. */
		return REAL(f)->xWrite(real(f), from, bytes / 2, at) == SQLITE_OK ? fault.code : fault.code;
	return told(bad, REAL(f)->xWrite(real(f), from, bytes, at));
}

static int
f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	bool bad = fails(FAULT_TRUNCATE);
	return bad && !fault.after ? fault.code : told(bad, REAL(f)->xTruncate(real(f), size));
}

static int
f_sync(sqlite3_file *f, int flags)
{
	bool bad = fails(FAULT_SYNC);
	return bad && !fault.after ? fault.code : told(bad, REAL(f)->xSync(real(f), flags));
}

static int
f_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return REAL(f)->xFileSize(real(f), size);
}

static int
f_lock(sqlite3_file *f, int level)
{
	return REAL(f)->xLock(real(f), level);
}

static int
f_unlock(sqlite3_file *f, int level)
{
	return REAL(f)->xUnlock(real(f), level);
}

static int
f_reserved(sqlite3_file *f, int *out)
{
	return REAL(f)->xCheckReservedLock(real(f), out);
}

static int
f_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->xFileControl(real(f), op, arg);
}

static int
f_sector(sqlite3_file *f)
{
	return REAL(f)->xSectorSize(real(f));
}

static int
f_device(sqlite3_file *f)
{
	return REAL(f)->xDeviceCharacteristics(real(f));
}

static int
f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **to)
{
	return REAL(f)->xShmMap(real(f), page, size, extend, to);
}

static int
f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return REAL(f)->xShmLock(real(f), offset, n, flags);
}

static void
f_shm_barrier(sqlite3_file *f)
{
	REAL(f)->xShmBarrier(real(f));
}

static int
f_shm_unmap(sqlite3_file *f, int delete)
{
	return REAL(f)->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods methods = {2, f_close, f_read, f_write, f_truncate, f_sync, f_size, f_lock,
	f_unlock, f_reserved, f_control, f_sector, f_device, f_shm_map, f_shm_lock, f_shm_barrier, f_shm_unmap, NULL,
	NULL};

static int
open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct faulty_file *f = (void *)file;
	f->real = (sqlite3_file *)(f + 1);
	int rc = real_vfs->xOpen(real_vfs, name, f->real, flags, ret_flags);
	f->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
	return rc;
}

static void
install(void)
{
	static sqlite3_vfs vfs;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "faulty";
	vfs.szOsFile = (int)sizeof(struct faulty_file) + real_vfs->szOsFile;
	vfs.xOpen = open_file;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- what goes on meanwhile ---- */

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = world_balance(arg, row);
	return ret->v >= 0;
}

static bool
credit(struct world *w, const char *id)
{
	json_t *answer = world_ask(w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount",
		"1", "reason", "r", "id", id);
	bool ok = json_is_true(json_object_get(answer, "ok"));
	json_decref(answer);
	return ok;
}

static int64_t
some_business(struct world *w, uint64_t account)
{
	int64_t spent = 0;
	for (uint32_t i = 1; i <= 5; i++) {
		struct world_exchange e = {
			.account = account, .key = 4, .model = i % 2, .input = 10 * i, .output = i, .cost = -1};
		assert_int_not_equal(world_exchange(w, e), 0);
		spent += world_cost(w, &e);
	}
	return spent;
}

static void
begin(struct world *w, uint64_t *ret_account)
{
	fault = (struct fault){0};
	world_begin(w);
	*ret_account = world_account(w, "alice", "5.00");
}

/* As long as the fault lasts the gate says so; then it opens. */
static void
rounds_until_well(struct world *w)
{
	for (int i = 0; i < 200; i++) {
		int booked = world_round(w);
		uint32_t gate = atomic_load(board_gate(w->ledger_board));
		assert_int_equal(gate, booked < 0 ? BOARD_STALLED : BOARD_OPEN);
		if (booked == 0)
			return;
	}
	fail_msg("the store did not come back");
}

static bool
one_fault(struct fault f)
{
	struct world w;
	uint64_t alice;
	begin(&w, &alice);
	int64_t spent = some_business(&w, alice);
	struct world_exchange e = {.account = alice, .input = 3, .output = 3, .cost = -1};
	struct ticket *held = world_hold(&w, &e);
	spent += world_cost(&w, &e);
	w.now_ms += USAGE_PERIOD_MS; /* progress and sums are due as well */
	fault = f;
	world_round(&w);
	int credits = 0;
	if (credit(&w, "c"))
		credits = 1;
	bool hit = fault.failed > 0;
	rounds_until_well(&w);
	if (credit(&w, "c"))
		credits = 1;
	ticket_settle(w.desk, held);
	rounds_until_well(&w);
	fault.armed = false;
	assert_true(credits == 1 || credit(&w, "c"));
	assert_int_equal(world_balance(&w, alice), 6 * NANO_PER_DOLLAR - spent);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 6);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM progress"), 0);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_is_sound(&w);
	/* What the process believed is what a successor finds in the file. */
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_int_equal(world_balance(&w, alice), 6 * NANO_PER_DOLLAR - spent);
	world_is_sound(&w);
	world_end(&w);
	return hit;
}

static int64_t
every_call_in_turn(struct fault f)
{
	int64_t tried = 0;
	f.armed = true;
	for (f.first = 0; one_fault(f); f.first++)
		tried++;
	return tried;
}

static void
a_failed_write_is_made_good(void **state)
{
	assert_true(
		every_call_in_turn((struct fault){.kinds = FAULT_WRITE, .code = SQLITE_IOERR_WRITE, .count = 1}) > 5);
}

static void
a_full_disk_stops_new_requests_only(void **state)
{
	assert_true(every_call_in_turn((struct fault){.kinds = FAULT_WRITE, .code = SQLITE_FULL, .count = 6}) > 5);
}

static void
a_failed_sync_is_made_good(void **state)
{
	assert_true(
		every_call_in_turn((struct fault){.kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = 1}) >= 3);
	assert_true(
		every_call_in_turn((struct fault){.kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = 4}) >= 3);
}

static void
a_commit_that_is_on_disk_but_was_called_failed_is_not_doubled(void **state)
{
	assert_true(every_call_in_turn((struct fault){
					.kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = 1, .after = true}) >= 3);
	assert_true(every_call_in_turn((struct fault){
					.kinds = FAULT_WRITE, .code = SQLITE_IOERR_WRITE, .count = 1, .after = true}) > 5);
}

/*
 * The process dies with the unknown outcome: the file says it was done, the process was told that
 * it was not.
 */
static void
a_ledger_that_dies_of_doubt_is_followed_by_one_that_knows(void **state)
{
	for (int64_t at = 0; at < 4; at++) {
		struct world w;
		uint64_t alice;
		begin(&w, &alice);
		int64_t spent = some_business(&w, alice);
		fault = (struct fault){.armed = true,
			.kinds = FAULT_SYNC,
			.code = SQLITE_IOERR_FSYNC,
			.first = at,
			.count = 1000,
			.after = true};
		world_round(&w);
		credit(&w, "c");
		fault.armed = false;
		world_kill_ledger(&w);
		world_open(&w, true);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM ticket"), 5);
		assert_true(credit(&w, "c"));
		assert_int_equal(world_balance(&w, alice), 6 * NANO_PER_DOLLAR - spent);
		assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
		world_is_sound(&w);
		world_end(&w);
	}
}

static void
progress_that_could_not_be_written_is_written_later(void **state)
{
	struct world w;
	uint64_t alice;
	begin(&w, &alice);
	struct world_exchange e = {.account = alice, .input = 3, .output = 3, .cost = -1};
	assert_non_null(world_hold(&w, &e));
	fault = (struct fault){.armed = true, .kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = 1};
	assert_int_equal(world_progress(&w), -1);
	assert_int_equal(atomic_load(board_gate(w.ledger_board)), BOARD_STALLED);
	rounds_until_well(&w);
	assert_int_equal(world_sql(&w, "SELECT cost_nano FROM progress"), world_cost(&w, &e));
	world_end(&w);
}

static void
a_key_is_revoked_while_the_store_is_away(void **state)
{
	struct world w;
	uint64_t alice;
	begin(&w, &alice);
	json_t *made = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice");
	const char *secret = json_string_value(json_object_get(made, "secret")),
			   *id = json_string_value(json_object_get(made, "key"));
	fault =
		(struct fault){.armed = true, .kinds = FAULT_WRITE | FAULT_SYNC, .code = SQLITE_FULL, .count = INT64_MAX};
	world_refused(&w, "store_failed", "{s:s, s:s}", "op", "key.revoke", "key", id);
	uint8_t hash[API_KEY_HASH_BYTES];
	struct key_facts f;
	api_key_hash(w.pepper, (struct span){secret, strlen(secret)}, hash);
	assert_true(key_table_find(w.ledger->o.keys, hash, &f));
	assert_int_equal(f.state, KEY_REVOKED);
	fault.armed = false;
	json_decref(world_must(&w, "{s:s, s:s}", "op", "key.revoke", "key", id));
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM key WHERE revoked_us <> 0"), 1);
	json_decref(made);
	world_end(&w);
}

static bool
refund(struct world *w, const char *payment, const char *id, const char **ret_code)
{
	static char code[40];
	w->ledger->round_due_ms = 0; /* whatever the back-off says */
	json_t *answer = world_ask(
		w, "{s:s, s:s, s:s, s:s}", "op", "credit.refund", "payment", payment, "amount", "15", "id", id);
	const char *said = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	snprintf(code, sizeof(code), "%s", said != NULL ? said : "");
	*ret_code = code;
	json_decref(answer);
	return said == NULL;
}

/* An order whose outcome is not known is on the board already; another about the same payment comes before it is asked again. */
static void
an_order_that_another_has_overtaken_is_refused_and_leaves_nothing_on_the_board(void **state)
{
	struct world w;
	uint64_t alice;
	const char *code;
	begin(&w, &alice);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "20", "reason", "r"));
	json_t *paid = world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "20");
	const char *payment = json_string_value(json_object_get(paid, "item"));
	fault = (struct fault){.armed = true, .kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .first = 1, .count = 1};
	assert_false(refund(&w, payment, "first", &code));
	assert_string_equal(code, "store_failed");
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 1);
	fault.armed = false;
	assert_false(refund(&w, payment, "second", &code));
	assert_string_equal(code, "refused");
	assert_true(refund(&w, payment, "first", &code));
	assert_int_equal(world_balance(&w, alice), 30 * NANO_PER_DOLLAR);
	assert_int_equal(w.ledger->stats.quarantined, 0);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	json_decref(paid);
	world_is_sound(&w);
	world_end(&w);
}

/* Closing a store in order moves its log over, by what this process has seen of it: a killed one doesn't. */
static void
kill_without_last_words(struct world *w)
{
	fault = (struct fault){.armed = true, .kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = INT64_MAX};
	world_kill_ledger(w);
	fault.armed = false;
	world_open(w, true);
}

/*
 * The commit of an order is on the disk and was called failed. The process does not see it, its successor would: until then nothing is put on the
 * board, and nobody is told that the order was not carried out, by what this one sees.
 */
static void
nothing_is_concluded_from_a_store_whose_last_commit_is_in_doubt(void **state)
{
	for (int way = 0; way < 4; way++) {
		bool asked_again = way & 1, idle_commit = way & 2;
		struct world w;
		uint64_t alice, bob;
		uint32_t slot;
		begin(&w, &alice);
		bob = world_account(&w, "bob", "3.00");
		json_decref(world_must(&w, "{s:s}", "op", "status"));
		if (board_find(w.ledger_board, bob, &slot))
			assert_true(board_evict(w.ledger_board, bob));
		fault = (struct fault){.armed = true, .kinds = FAULT_SYNC, .code = SQLITE_IOERR_FSYNC, .count = 1, .after = true};
		world_refused(&w, "store_failed", "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "bob", "amount", "-2", "reason", "r", "id", "d");
		assert_int_equal(fault.failed, 1);
		fault.armed = false;
		if (idle_commit) /* has nothing to write, and makes nothing sure */
			assert_true(store_begin(&w.ledger->store) && store_end(&w.ledger->store, true));
		assert_int_equal(ledger_load_row(w.ledger, bob, 0, &slot), 0);
		if (asked_again)
			json_decref(world_must(&w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "bob", "amount", "-2", "reason", "r", "id", "d"));
		kill_without_last_words(&w);
		assert_int_equal(world_balance(&w, bob), (asked_again ? 1 : 3) * NANO_PER_DOLLAR);
		assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
		world_is_sound(&w);
		world_end(&w);
	}
}

static void
while_the_store_can_t_be_read_nobody_is_told_that_there_is_no_such_account(void **state)
{
	struct world w;
	uint64_t alice;
	begin(&w, &alice);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "alice"));
	/* Nothing is in SQLite's memory any more, so that it has to read. */
	assert_true(store_exec(&w.ledger->store, "PRAGMA shrink_memory"));
	fault = (struct fault){.armed = true, .kinds = FAULT_READ, .code = SQLITE_IOERR_READ, .count = INT64_MAX};
	world_refused(&w, "store_failed", "{s:s, s:s}", "op", "account.show", "account", "alice");
	world_refused(&w, "store_failed", "{s:s}", "op", "account.list");
	world_refused(&w, "store_failed", "{s:s, s:s}", "op", "key.revoke", "key", "key_00000000001");
	world_refused(&w, "store_failed", "{s:s}", "op", "key.list");
	fault.armed = false;
	world_refused(&w, "no_such_account", "{s:s, s:s}", "op", "account.show", "account", "nobody");
	json_decref(world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "alice"));
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_write_is_made_good),
		cmocka_unit_test(a_full_disk_stops_new_requests_only),
		cmocka_unit_test(a_failed_sync_is_made_good),
		cmocka_unit_test(a_commit_that_is_on_disk_but_was_called_failed_is_not_doubled),
		cmocka_unit_test(a_ledger_that_dies_of_doubt_is_followed_by_one_that_knows),
		cmocka_unit_test(progress_that_could_not_be_written_is_written_later),
		cmocka_unit_test(a_key_is_revoked_while_the_store_is_away),
		cmocka_unit_test(nothing_is_concluded_from_a_store_whose_last_commit_is_in_doubt),
		cmocka_unit_test(while_the_store_can_t_be_read_nobody_is_told_that_there_is_no_such_account),
		cmocka_unit_test(an_order_that_another_has_overtaken_is_refused_and_leaves_nothing_on_the_board),
	};
	install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
