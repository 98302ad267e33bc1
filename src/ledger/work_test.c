/* Work that outlives its connection: set aside once, paid once, whoever dies when. */
#include "ledger/ledger_world.h"
#include "ledger/limit_priv.h"
#include "ledger/object.h"
#include "ledger/work.h"

#include <stdio.h>
#include <string.h>

static struct world w;
static uint64_t account, key;

static int
begin(void **state)
{
	world_begin(&w);
	key = 0;
	account = world_account(&w, "customer", "1.00");
	return 0;
}

static int
end(void **state)
{
	world_end(&w);
	return 0;
}

static enum work_result
ask(enum work_order order, uint64_t id, uint64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = order;
	m.work = id;
	m.account = account;
	m.nano = nano;
	m.key = order == WORK_BEGIN ? key : 0;
	return ledger_work(w.ledger, &m);
}

static uint64_t errand; /* that was sent last, or whose word is said next */

static bool
is_due(uint64_t now_us, struct message_errand *ret, uint64_t *ret_next_us)
{
	bool due = ledger_work_due(w.ledger, now_us, ret, ret_next_us);
	if (due)
		errand = ret->number;
	return due;
}

/* Its provider does not say what it used. */
static enum work_result
ask_of_silence(enum work_order order, uint64_t id, uint64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = order;
	m.work = id;
	m.account = account;
	m.nano = nano;
	m.of = WORK_SILENT;
	m.errand = errand;
	return ledger_work(w.ledger, &m);
}

static enum work_result
name(uint64_t id, const char *object)
{
	struct message_work_named m = MESSAGE_INIT(WORK_NAMED, message_work_named);
	m.work = id;
	m.account = account;
	m.object_bytes = (uint16_t)strlen(object);
	memcpy(m.object, object, strlen(object));
	return ledger_work_named(w.ledger, &m);
}

enum { NANO = 1,
	CENT = 10000000 };

static void
balance_is(int64_t nano)
{
	assert_int_equal(world_balance(&w, account), nano);
	world_is_sound(&w);
}

static void
what_was_set_aside_is_paid_once(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	balance_is(90 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE); /* asked again: the answer was lost */
	assert_int_equal(ask(WORK_BEGIN, 7, 11 * CENT), WORK_REFUSED);
	assert_int_equal(ask(WORK_END, 7, 1), WORK_REFUSED); /* it does not run */
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(name(7, "batch_y"), WORK_REFUSED);
	balance_is(90 * CENT);
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	balance_is(97 * CENT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(WORK_END, 7, (uint64_t)i * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_REFUSED);
	balance_is(97 * CENT);
}

static void
what_costs_nothing_comes_back(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 8, CENT), WORK_DONE);
	assert_int_equal(ask(WORK_END, 8, 0), WORK_DONE);
	balance_is(100 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 9, CENT), WORK_DONE);
	assert_int_equal(name(9, "batch_z"), WORK_DONE);
	assert_int_equal(ask(WORK_END, 9, 0), WORK_DONE);
	balance_is(100 * CENT);
}

static void
nobody_pays_more_than_was_set_aside(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 10, CENT), WORK_DONE);
	assert_int_equal(name(10, "batch_z"), WORK_DONE);
	assert_int_equal(ask(WORK_END, 10, 5 * CENT), WORK_DONE);
	balance_is(99 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 11, 100 * CENT), WORK_SHORT);
	balance_is(99 * CENT);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE id = 11"), 0);
	assert_int_equal(ask(WORK_BEGIN, 12, 0), WORK_REFUSED);
	assert_int_equal(ask(WORK_END, 404, 1), WORK_REFUSED);
	assert_int_equal(name(404, "x"), WORK_REFUSED);
}

static void
nobody_ends_anothers(void **state)
{
	uint64_t mine = account;
	assert_int_equal(ask(WORK_BEGIN, 13, CENT), WORK_DONE);
	assert_int_equal(name(13, "batch_z"), WORK_DONE);
	account = world_account(&w, "other", "1.00");
	assert_int_equal(ask(WORK_END, 13, CENT), WORK_REFUSED);
	assert_int_equal(name(13, "batch_z"), WORK_REFUSED);
	assert_int_equal(ask(WORK_BEGIN, 13, CENT), WORK_REFUSED);
	account = mine;
	balance_is(99 * CENT);
}

/* ---- what it used ---- */

static void
count(uint64_t id, enum work_count of, uint64_t value)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.order = WORK_COUNT;
	m.work = id;
	m.account = account;
	m.of = (uint16_t)of;
	m.nano = value;
	assert_int_equal(ledger_work(w.ledger, &m), WORK_DONE);
}

/* The one row of the sums, by this. */
static void
sums_are(const char *group, json_int_t requests, const char *cost, json_int_t input)
{
	json_t *a = world_must(&w, "{s:s, s:s}", "op", "usage", "group", group), *rows = json_object_get(a, "rows"), *row = json_array_get(rows, 0);
	assert_int_equal(json_array_size(rows), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "requests")), requests);
	assert_string_equal(json_string_value(json_object_get(row, "cost")), cost);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "tokens"), "input")), input);
	json_decref(a);
}

static void
what_ended_stands_in_the_sums_once(void **state)
{
	static const char *const groups[] = {"day", "month,model", "key", "hour", "provider,endpoint", "tier", "status,end_reason", "account,lane"};
	key = 77;
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	for (int i = 0; i < 2; i++) {
		count(7, WORK_COUNT_model, w.catalogue.model[0].id);
		count(7, WORK_COUNT_requests, 12);
		count(7, WORK_COUNT_tokens_input, 5000);
		assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	}
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		sums_are(groups[i], 12, "0.030000000", 5000);
	balance_is(97 * CENT);
	world_damage(&w, world_on_postgres() ? "ALTER TABLE work_usage DISABLE TRIGGER work_usage_is_final; UPDATE work_usage SET cost_nano = cost_nano + 1" : "DROP TRIGGER work_usage_is_final; UPDATE work_usage SET cost_nano = cost_nano + 1");
	json_t *verified = world_must(&w, "{s:s}", "op", "ledger.verify");
	assert_false(json_is_true(json_object_get(verified, "sound")));
	json_decref(verified);
}

/* The END after it failed: what is said for the next one is all there is. */
static void
what_was_counted_for_an_end_that_failed_is_forgotten(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	count(7, WORK_COUNT_model, w.catalogue.model[0].id);
	count(7, WORK_COUNT_tokens_input, 5000);
	count(7, WORK_COUNT_model, w.catalogue.model[0].id);
	count(7, WORK_COUNT_requests, 12);
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	sums_are("day", 12, "0.030000000", 0);
}

/* ---- limits of money by time ---- */

static void
limit(const char *op, const char *who, const char *id, const char *kind, const char *dollars)
{
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", op, who, id, kind, dollars));
}

/* Used of the window of today or of this month: what people see (the board, when it is there), and what the store has. */
static void
window_has(uint64_t subject, enum limit_kind kind, int64_t nano)
{
	struct limit_amounts a;
	struct nano left;
	assert_true(limits_read(w.ledger, subject, &a) && a.number[kind] != 0);
	uint64_t row = limit_budget_row(a.number[kind], limit_window(kind, clock_wall_us() / 1000000));
	int64_t used;
	assert_true(budget_used(w.ledger, row, a.amount[kind], &used));
	assert_int_equal(used, nano);
	assert_true(budget_balance(w.ledger, row, &left));
	assert_int_equal(a.amount[kind] - left.v, nano);
}

static void
what_is_set_aside_counts_in_the_windows_of_key_and_account(void **state)
{
	char id[ID_TEXT_MAX], hold[64];
	json_t *made = world_must(&w, "{s:s, s:s}", "op", "key.create", "account", "customer");
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(made, "key")));
	assert_true(id_parse(ID_KEY, (struct span){id, strlen(id)}, &key));
	json_decref(made);
	limit("key.limit", "key", id, "dollars_per_day", "0.20");
	limit("account.limit", "account", "customer", "dollars_per_month", "0.30");
	assert_int_equal(ask(WORK_BEGIN, 7, 15 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	window_has(key, LIMIT_MONEY_DAY, 15 * CENT);
	window_has(account, LIMIT_MONEY_MONTH, 15 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 8, 6 * CENT), WORK_SHORT); /* the key's */
	window_has(account, LIMIT_MONEY_MONTH, 15 * CENT); /* all of them, or none */
	uint64_t limited = key;
	key = 0;
	assert_int_equal(ask(WORK_BEGIN, 8, 16 * CENT), WORK_SHORT); /* the account's */
	assert_int_equal(ask(WORK_BEGIN, 8, 14 * CENT), WORK_DONE);
	key = limited;
	window_has(key, LIMIT_MONEY_DAY, 15 * CENT);
	window_has(account, LIMIT_MONEY_MONTH, 29 * CENT);
	assert_int_equal(ask(WORK_END, 7, 4 * CENT), WORK_DONE);
	window_has(key, LIMIT_MONEY_DAY, 4 * CENT);
	window_has(account, LIMIT_MONEY_MONTH, 18 * CENT);
	assert_int_equal(ask(WORK_END, 8, 0), WORK_DONE);
	window_has(account, LIMIT_MONEY_MONTH, 4 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 9, 16 * CENT), WORK_DONE);
	window_has(key, LIMIT_MONEY_DAY, 20 * CENT);
	json_t *answer = world_must(&w, "{s:s, s:b}", "op", "hold.list", "open", 1);
	snprintf(hold, sizeof hold, "%s", json_string_value(json_object_get(json_array_get(json_object_get(answer, "items"), 0), "item")));
	json_decref(answer);
	json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "hold.release", "hold", hold, "id", "by-hand", "reason", "x"));
	window_has(key, LIMIT_MONEY_DAY, 4 * CENT);
	balance_is(96 * CENT);
}

/* Not known whether the window is over: nothing is begun that would leave it out. */
static void
a_window_that_can_not_be_read_is_not_taken_for_one_that_is_over(void **state)
{
	limit("account.limit", "account", "customer", "dollars_per_month", "0.30");
	assert_int_equal(ask(WORK_BEGIN, 7, 15 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	world_damage(&w, "ALTER TABLE budget RENAME TO budget_away");
	assert_int_equal(ask(WORK_END, 7, 4 * CENT), WORK_LATER);
	world_damage(&w, "ALTER TABLE budget_away RENAME TO budget");
	assert_int_equal(ask(WORK_END, 7, 4 * CENT), WORK_DONE);
	window_has(account, LIMIT_MONEY_MONTH, 4 * CENT);
	balance_is(96 * CENT);
}

/* What is set aside then moves with what was used, and comes back where it counts. */
static void
a_limit_that_is_changed_has_back_what_is_not_used(void **state)
{
	limit("account.limit", "account", "customer", "dollars_per_month", "0.30");
	assert_int_equal(ask(WORK_BEGIN, 7, 15 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	limit("account.limit", "account", "customer", "dollars_per_month", "0.40");
	window_has(account, LIMIT_MONEY_MONTH, 15 * CENT);
	assert_int_equal(ask(WORK_END, 7, 4 * CENT), WORK_DONE);
	window_has(account, LIMIT_MONEY_MONTH, 4 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 8, 37 * CENT), WORK_SHORT);
	assert_int_equal(ask(WORK_BEGIN, 8, 36 * CENT), WORK_DONE);
}

/* Neither the windows' rows nor the account's need be on the board, nor a board there at all. */
static void
windows_are_right_without_a_board_and_on_a_new_one(void **state)
{
	limit("account.limit", "account", "customer", "dollars_per_month", "0.30");
	assert_int_equal(ask(WORK_BEGIN, 7, 15 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	world_kill_ledger(&w);
	world_lose_board(&w);
	world_open(&w, true);
	window_has(account, LIMIT_MONEY_MONTH, 15 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 8, 16 * CENT), WORK_SHORT);
	assert_int_equal(ask(WORK_END, 7, 4 * CENT), WORK_DONE);
	window_has(account, LIMIT_MONEY_MONTH, 4 * CENT);
	assert_int_equal(ask(WORK_BEGIN, 8, 16 * CENT), WORK_DONE);
	assert_int_equal(name(8, "batch_y"), WORK_DONE);
	world_close(&w);
	world_open(&w, false);
	assert_int_equal(ask(WORK_BEGIN, 9, 11 * CENT), WORK_SHORT);
	assert_int_equal(ask(WORK_END, 8, 16 * CENT), WORK_DONE);
	window_has(account, LIMIT_MONEY_MONTH, 20 * CENT);
	balance_is(80 * CENT);
}

/* ---- what can't be paid ---- */

/* The one hold, as people see it. */
static void
hold_is(const char *state, const char *work, char ret_item[64])
{
	json_t *answer = world_must(&w, "{s:s}", "op", "hold.list"), *items = json_object_get(answer, "items");
	assert_int_equal(json_array_size(items), 1);
	json_t *o = json_array_get(items, 0);
	assert_string_equal(json_string_value(json_object_get(o, "state")), state);
	assert_string_equal(json_string_value(json_object_get(o, "work")), work);
	assert_memory_equal(json_string_value(json_object_get(o, "request")), "req_", 4);
	snprintf(ret_item, 64, "%s", json_string_value(json_object_get(o, "item")));
	json_decref(answer);
}

static void
troubles_are(int unmeasured, int refused)
{
	json_t *o = json_object();
	work_put_troubles(w.ledger, o);
	assert_int_equal(json_integer_value(json_object_get(o, "holds_of_unmeasured_work")), unmeasured);
	assert_int_equal(json_integer_value(json_object_get(o, "holds_of_refused_work")), refused);
	json_decref(o);
}

static void
what_can_not_be_measured_says_so_until_somebody_settles_it(void **state)
{
	struct message_errand m;
	uint64_t next;
	char hold[64];
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	hold_is("open", "begun", hold);
	assert_int_equal(ask(WORK_UNMEASURED, 7, 0), WORK_REFUSED); /* it does not run */
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	hold_is("open", "runs", hold);
	troubles_are(0, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(WORK_UNMEASURED, 7, 0), WORK_REFUSED);
		hold_is("open", "unmeasured", hold);
		troubles_are(1, 0);
		balance_is(90 * CENT);
	}
	assert_int_equal(ask(WORK_LOOK, 7, 0), WORK_SHORT);
	json_decref(world_must(&w, "{s:s,s:s,s:s,s:s,s:s}", "op", "hold.settle", "hold", hold, "cost", "0.04", "id", "by-hand", "reason", "the provider's bill"));
	troubles_are(0, 0);
	balance_is(96 * CENT);
	assert_false(is_due(clock_wall_us() + 10000000000, &m, &next)); /* nobody is sent any more */
	assert_int_equal(next, 0);
	hold_is("settled", "paid", hold);
	assert_int_equal(ask(WORK_LOOK, 7, 0), WORK_DONE);
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	balance_is(96 * CENT);
}

static void
what_was_not_measured_is_paid_when_it_is(void **state)
{
	char hold[64];
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_int_equal(ask(WORK_UNMEASURED, 7, 0), WORK_REFUSED);
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	hold_is("settled", "paid", hold);
	troubles_are(0, 0);
	balance_is(97 * CENT);
}

/* The order's name is taken, by an order of other content: it will be refused each time. */
static void
what_is_refused_stays_open_and_says_so(void **state)
{
	struct message_errand m;
	uint64_t next;
	char hold[64], id[ID_TEXT_MAX], ref[80], account_id[ID_TEXT_MAX];
	id_text(ID_REQUEST, 7, id);
	id_text(ID_ACCOUNT, account, account_id);
	snprintf(ref, sizeof ref, "work:%s:end", id);
	json_decref(world_must(&w, "{s:s,s:s,s:s,s:s,s:s}", "op", "credit.add", "account", account_id, "amount", "0.01", "id", ref, "reason", "x"));
	assert_int_equal(ask(WORK_BEGIN, 7, 10 * CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_REFUSED);
		hold_is("open", "refused", hold);
		troubles_are(0, 1);
		balance_is(91 * CENT);
	}
	assert_true(is_due(clock_wall_us() + 16000000, &m, &next)); /* somebody looks still */
	json_decref(world_must(&w, "{s:s,s:s,s:s,s:s}", "op", "hold.release", "hold", hold, "id", "by-hand", "reason", "x"));
	assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
	hold_is("released", "paid", hold);
	troubles_are(0, 0);
	balance_is(101 * CENT);
}

/* ---- lists ---- */

static void
list_is(const char *prefix, uint64_t beyond, uint16_t most, const uint64_t *ids, uint16_t count, bool more)
{
	struct message_work_list_wanted m = MESSAGE_INIT(WORK_LIST_WANTED, message_work_list_wanted);
	struct message_work_listed found;
	m.token = 5;
	m.account = account;
	m.beyond = beyond;
	m.most = most;
	m.prefix_bytes = (uint16_t)strlen(prefix);
	memcpy(m.prefix, prefix, m.prefix_bytes);
	ledger_work_list(w.ledger, &m, &found);
	assert_false(found.failed);
	assert_int_equal(found.token, 5);
	assert_int_equal(found.more, more);
	assert_int_equal(found.count, count);
	for (int i = 0; i < count; i++) {
		assert_int_equal(found.rows[i].work, ids[i]);
		assert_int_equal(found.rows[i].object_bytes, 7);
	}
}

static void
an_accounts_work_of_a_kind_is_listed_from_the_youngest_on(void **state)
{
	for (uint64_t id = 20; id < 40; id++) {
		assert_int_equal(ask(WORK_BEGIN, id, CENT), WORK_DONE);
		if (id != 30)
			assert_int_equal(name(id, id & 1 ? "batch_x" : "msgbatc"), WORK_DONE);
	}
	assert_int_equal(ask(WORK_END, 37, CENT), WORK_DONE);
	list_is("batch_", 0, 3, (const uint64_t[]){39, 37, 35}, 3, true);
	list_is("batch_", 25, 3, (const uint64_t[]){23, 21}, 2, false);
	list_is("batch_", 27, 3, (const uint64_t[]){25, 23, 21}, 3, false);
	list_is("msgbat", 34, 2, (const uint64_t[]){32, 28}, 2, true);
	list_is("resp_", 0, 3, NULL, 0, false);
	list_is("batch_", 0, 1000, (const uint64_t[]){39, 37, 35, 33, 31, 29, 27, 25, 23, 21}, 10, false);
	account = world_account(&w, "other", "1.00");
	list_is("batch_", 0, 3, NULL, 0, false);
}

/* ---- what is paid nothing for ---- */

static enum work_result
object(enum object_order order, uint64_t number, const char *name, uint16_t purpose)
{
	struct message_object m = MESSAGE_INIT(OBJECT, message_object);
	m.token = number;
	m.account = account;
	m.order = (uint16_t)order;
	m.kind = 1;
	m.purpose = purpose;
	m.object_bytes = (uint16_t)strlen(name);
	memcpy(m.object, name, m.object_bytes);
	return ledger_object(w.ledger, &m);
}

struct page {
	enum objects_order order;
	const char *from;
	uint64_t beyond;
	uint16_t purpose, most;
};

/* ids: up to a zero. */
static void
objects_are(struct page p, const uint64_t *ids, bool more)
{
	struct message_object_list_wanted m = MESSAGE_INIT(OBJECT_LIST_WANTED, message_object_list_wanted);
	struct message_work_listed found;
	m.token = 5;
	m.account = account;
	m.beyond = p.beyond;
	m.kind = 1;
	m.purpose = p.purpose;
	m.order = (uint16_t)p.order;
	m.most = p.most;
	m.object_bytes = (uint16_t)strlen(p.from);
	memcpy(m.object, p.from, m.object_bytes);
	ledger_object_list(w.ledger, &m, &found);
	assert_int_equal(found.failed, 0);
	assert_int_equal(found.token, 5);
	assert_int_equal(found.more, more);
	uint16_t count = 0;
	for (; ids[count]; count++)
		assert_int_equal(found.rows[count].work, ids[count]);
	assert_int_equal(found.count, count);
}

static void
what_an_account_keeps_is_listed_until_it_is_gone(void **state)
{
	char name[16];
	for (uint64_t id = 20; id < 40; id++) {
		snprintf(name, sizeof name, "file-%d", (int)id);
		assert_int_equal(object(OBJECT_KEEP, id, name, (uint16_t)(id % 2)), WORK_DONE);
		assert_int_equal(object(OBJECT_KEEP, id + 100, name, 0), WORK_DONE); /* said again */
	}
	objects_are((struct page){OBJECTS_DOWN, "", 0, 0, 3}, (const uint64_t[]){39, 38, 37, 0}, true);
	objects_are((struct page){OBJECTS_DOWN, "", 0, 1, 3}, (const uint64_t[]){39, 37, 35, 0}, true);
	objects_are((struct page){OBJECTS_DOWN, "file-22", 0, 0, 3}, (const uint64_t[]){21, 20, 0}, false);
	objects_are((struct page){OBJECTS_DOWN, "file-22", 25, 0, 1}, (const uint64_t[]){24, 0}, true);
	objects_are((struct page){OBJECTS_UP, "", 0, 0, 2}, (const uint64_t[]){20, 21, 0}, true);
	objects_are((struct page){OBJECTS_UP, "file-37", 0, 0, 2}, (const uint64_t[]){38, 39, 0}, false);
	objects_are((struct page){OBJECTS_BEFORE, "file-30", 0, 0, 3}, (const uint64_t[]){33, 32, 31, 0}, true);
	objects_are((struct page){OBJECTS_BEFORE, "file-38", 0, 0, 3}, (const uint64_t[]){39, 0}, false);
	assert_int_equal(object(OBJECT_DROP, 21, "file-21", 0), WORK_DONE); /* not older than that */
	objects_are((struct page){OBJECTS_DOWN, "file-22", 0, 0, 3}, (const uint64_t[]){21, 20, 0}, false);
	assert_int_equal(object(OBJECT_DROP, 22, "file-21", 0), WORK_DONE);
	assert_int_equal(object(OBJECT_DROP, 0, "file-21", 0), WORK_DONE);
	objects_are((struct page){OBJECTS_DOWN, "file-22", 0, 0, 3}, (const uint64_t[]){20, 0}, false);
	/* A page may begin behind it, for some days. */
	objects_are((struct page){OBJECTS_DOWN, "file-21", 0, 0, 3}, (const uint64_t[]){20, 0}, false);
	objects_are((struct page){OBJECTS_UP, "file-21", 0, 0, 1}, (const uint64_t[]){22, 0}, true);
	assert_true(store_exec(&w.ledger->store, "UPDATE object SET gone_us = 1 WHERE gone_us > 0"));
	assert_int_equal(object(OBJECT_DROP, 0, "file-20", 0), WORK_DONE);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM object"), 19);
	objects_are((struct page){OBJECTS_DOWN, "file-20", 0, 0, 3}, (const uint64_t[]){0}, false);
	struct message_object_list_wanted m = MESSAGE_INIT(OBJECT_LIST_WANTED, message_object_list_wanted);
	struct message_work_listed found;
	m.account = account;
	m.kind = 1;
	m.most = 3;
	m.object_bytes = 7;
	memcpy(m.object, "file-21", 7);
	ledger_object_list(w.ledger, &m, &found);
	assert_int_equal(found.failed, LIST_UNKNOWN);
	/* What an edge may say, but nobody is told of: */
	assert_int_equal(object(OBJECT_KEEP, 50, "", 0), WORK_REFUSED);
	assert_int_equal(object(OBJECT_KEEP, 50, "file-x", 256), WORK_REFUSED);
	assert_int_equal(object((enum object_order)9, 50, "file-x", 0), WORK_REFUSED);
	uint64_t own = account;
	account = world_account(&w, "another", "1.00");
	objects_are((struct page){OBJECTS_DOWN, "", 0, 0, 3}, (const uint64_t[]){0}, false);
	assert_int_equal(object(OBJECT_DROP, 0, "file-39", 0), WORK_DONE);
	account = own;
	objects_are((struct page){OBJECTS_DOWN, "", 0, 0, 1}, (const uint64_t[]){39, 0}, true);
	world_is_sound(&w);
}

static void
work_that_is_gone_is_in_no_list(void **state)
{
	for (uint64_t id = 20; id < 23; id++) {
		assert_int_equal(ask(WORK_BEGIN, id, CENT), WORK_DONE);
		assert_int_equal(name(id, id == 20 ? "batch_x" : id == 21 ? "batch_y"
																  : "batch_z"),
			WORK_DONE);
	}
	assert_int_equal(ask(WORK_END, 21, CENT), WORK_DONE);
	assert_int_equal(object(OBJECT_WORK_IS_GONE, 21, "batch_y", 0), WORK_DONE); /* not older than that */
	list_is("batch_", 0, 3, (const uint64_t[]){22, 21, 20}, 3, false);
	assert_int_equal(object(OBJECT_WORK_IS_GONE, 22, "batch_y", 0), WORK_DONE);
	assert_int_equal(object(OBJECT_WORK_IS_GONE, 0, "batch_y", 0), WORK_DONE);
	assert_int_equal(object(OBJECT_WORK_IS_GONE, 0, "batch_?", 0), WORK_DONE);
	list_is("batch_", 0, 3, (const uint64_t[]){22, 20}, 2, false);
}

/* ---- errands ---- */

#define SECOND UINT64_C(1000000)

static void
it_is_looked_at_less_and_less_often(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us(), last = 0;
	assert_false(is_due(now, &m, &next));
	assert_int_equal(next, 0);
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "batch_x"), WORK_DONE);
	assert_false(is_due(now, &m, &next));
	for (int i = 0; i < 10; i++) {
		assert_true(next > now);
		if (i > 1) /* the first is by the clock that it was named by */
			assert_true(next - now >= last);
		last = next - now;
		now = next;
		assert_true(is_due(now, &m, &next));
		assert_int_equal(m.work, 7);
		assert_int_equal(m.account, account);
		assert_int_equal(m.object_bytes, 7);
		assert_memory_equal(m.object, "batch_x", 7);
		assert_false(is_due(now, &m, &next));
	}
	assert_int_equal(last, 960 * SECOND);
	assert_int_equal(ask(WORK_END, 7, CENT), WORK_DONE);
	assert_false(is_due(next, &m, &next));
	assert_int_equal(next, 0);
}

/* Neither who happens to look first, nor an errand that was on its way before a second was over. */
static void
silence_is_the_last_word_only_a_second_after_it_was_heard(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us();
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "resp_x"), WORK_DONE);
	assert_int_equal(ask_of_silence(WORK_LOOK, 7, 0), WORK_SHORT);
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_REFUSED);
	world_damage(&w, "UPDATE work SET due_us = 2"); /* somebody was to look anyway */
	assert_true(is_due(now, &m, &next));
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_REFUSED);
	assert_int_equal(ask_of_silence(WORK_END, 7, 3 * NANO), WORK_REFUSED); /* nor what was estimated */
	balance_is(99 * CENT);
	assert_false(is_due(now, &m, &next));
	uint64_t due = next;
	assert_true(due >= now + SECOND && due < now + 15 * SECOND);
	assert_int_equal(ask_of_silence(WORK_LOOK, 7, 0), WORK_SHORT); /* who asks again puts nothing off */
	assert_false(is_due(now, &m, &next));
	assert_int_equal(next, due);
	assert_true(is_due(due + SECOND, &m, &next));
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_DONE);
	balance_is(100 * CENT);
}

/* One that was sent before the silence was a second old, and whose answer comes after another was sent, has heard nothing that is new; nor has a caller. */
static void
an_older_errand_s_silence_is_not_the_last_word(void **state)
{
	struct message_errand early, late;
	uint64_t next, now = clock_wall_us();
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "resp_x"), WORK_DONE);
	assert_int_equal(ask_of_silence(WORK_LOOK, 7, 0), WORK_SHORT);
	world_damage(&w, "UPDATE work SET due_us = 2");
	assert_true(is_due(now, &early, &next));
	assert_true(is_due(now + 40 * SECOND, &late, &next));
	assert_true(early.number != 0 && late.number != early.number);
	errand = early.number;
	assert_int_equal(ask_of_silence(WORK_END, 7, 3 * NANO), WORK_REFUSED);
	errand = 0;
	assert_int_equal(ask_of_silence(WORK_END, 7, 3 * NANO), WORK_REFUSED);
	balance_is(99 * CENT);
	errand = late.number;
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_DONE);
	balance_is(100 * CENT);
}

static void
what_is_said_of_it_is_its_last_word_at_once(void **state)
{
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "resp_x"), WORK_DONE);
	assert_int_equal(ask_of_silence(WORK_LOOK, 7, 0), WORK_SHORT);
	assert_int_equal(ask(WORK_END, 7, 3 * NANO), WORK_DONE);
	balance_is(100 * CENT - 3 * NANO);
	assert_int_equal(ask(WORK_BEGIN, 8, CENT), WORK_DONE);
	assert_int_equal(name(8, "msgbatch_x"), WORK_DONE);
	assert_int_equal(ask(WORK_LOOK, 8, 0), WORK_SHORT);
	assert_int_equal(ask(WORK_END, 8, 0), WORK_DONE); /* of a batch nothing was done */
	balance_is(100 * CENT - 3 * NANO);
}

/* Another ledger, or more of them than one remembers: it is looked at once more. */
static void
silence_that_was_forgotten_is_heard_again(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us();
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	assert_int_equal(name(7, "resp_x"), WORK_DONE);
	assert_int_equal(ask_of_silence(WORK_LOOK, 7, 0), WORK_SHORT);
	world_kill_ledger(&w);
	world_open(&w, true);
	assert_true(is_due(now + 20 * SECOND, &m, &next));
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_REFUSED);
	balance_is(99 * CENT);
	assert_true(is_due(now + 40 * SECOND, &m, &next));
	assert_int_equal(ask_of_silence(WORK_END, 7, 0), WORK_DONE);
	balance_is(100 * CENT);
}

/* Who is sent now, and hears nothing. */
static int
silent_errands(uint64_t now)
{
	struct message_errand m;
	uint64_t next;
	int sent = 0;
	while (is_due(now, &m, &next)) {
		(void)ask_of_silence(WORK_END, m.work, 0);
		assert_true(++sent < 1000);
	}
	return sent;
}

static void
many_silent_ones_end_all_in_their_turn(void **state)
{
	enum { MANY = WORK_SILENCES + 36 };
	uint64_t now = clock_wall_us();
	for (uint64_t id = 1; id <= MANY; id++) {
		assert_int_equal(ask(WORK_BEGIN, id, CENT / 2), WORK_DONE);
		assert_int_equal(name(id, "resp_x"), WORK_DONE);
	}
	world_damage(&w, "UPDATE work SET due_us = due_us + 3600000000"); /* however long all this takes: none is due by itself */
	for (int i = 0; i < 2; i++)
		for (uint64_t id = 1; id <= MANY; id++)
			assert_int_equal(ask_of_silence(WORK_LOOK, id, 0), WORK_SHORT);
	for (uint64_t id = WORK_SILENCES + 1; id <= MANY; id++)
		assert_int_equal(ask_of_silence(WORK_END, id, 0), WORK_REFUSED);
	assert_int_equal(silent_errands(now + 600 * SECOND), WORK_SILENCES); /* nobody is sent to the others out of turn */
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE state = 3"), WORK_SILENCES);
	assert_int_equal(silent_errands(now + 7200 * SECOND), 2 * 36);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE state = 3"), MANY);
	balance_is(100 * CENT);
}

/* Those whose provider never answers the errand don't keep others waiting for ever. */
static void
the_oldest_silence_makes_room_after_a_while(void **state)
{
	for (uint64_t id = 1; id <= WORK_SILENCES + 1; id++) {
		assert_int_equal(ask(WORK_BEGIN, id, CENT / 2), WORK_DONE);
		assert_int_equal(name(id, "resp_x"), WORK_DONE);
		assert_int_equal(ask_of_silence(WORK_LOOK, id, 0), WORK_SHORT);
	}
	for (int i = 0; i < WORK_SILENCES; i++)
		assert_int_not_equal(w.ledger->silences[i].work, WORK_SILENCES + 1);
	w.ledger->silences[5].seen_us -= 60 * SECOND;
	assert_int_equal(ask_of_silence(WORK_LOOK, WORK_SILENCES + 1, 0), WORK_SHORT);
	assert_int_equal(w.ledger->silences[5].work, WORK_SILENCES + 1);
}

static void
what_never_got_a_name_comes_back(void **state)
{
	struct message_errand m;
	uint64_t next, now = clock_wall_us();
	assert_int_equal(ask(WORK_BEGIN, 7, CENT), WORK_DONE);
	world_kill_edge(&w);
	assert_false(is_due(now + 3500 * SECOND, &m, &next));
	balance_is(99 * CENT);
	assert_false(is_due(now + 3700 * SECOND, &m, &next));
	balance_is(100 * CENT);
	assert_int_equal(name(7, "batch_x"), WORK_REFUSED + 0 * (int)next);
}

/* ---- the ledger killed before each system call of all this ---- */

static void
live(void *arg)
{
	world_open(&w, true);
	(void)!ask(WORK_BEGIN, 7, 10 * CENT);
	(void)!name(7, "batch_x");
	(void)!ask(WORK_END, 7, 3 * CENT);
	(void)!ask(WORK_BEGIN, 8, 10 * CENT);
	(void)!ask(WORK_END, 8, 0);
	world_close(&w);
}

/* Whoever asks for the same again gets it once. */
static void
killed_anywhere_it_is_paid_once(void **state)
{
	bool more = true;
	for (uint64_t at = 0; more; at += world_stride()) {
		begin(NULL);
		limit("account.limit", "account", "customer", "dollars_per_month", "0.50");
		world_kill_ledger(&w);
		more = world_killed_before_call(live, &w, at);
		world_open(&w, true);
		world_is_sound(&w);
		(void)!ask(WORK_BEGIN, 7, 10 * CENT);
		assert_int_equal(name(7, "batch_x"), WORK_DONE);
		assert_int_equal(ask(WORK_END, 7, 3 * CENT), WORK_DONE);
		if (ask(WORK_END, 8, 0) == WORK_DONE) /* else it was never written down */
			assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE id = 8 AND state < 3"), 0);
		balance_is(97 * CENT);
		window_has(account, LIMIT_MONEY_MONTH, 3 * CENT);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM work WHERE state = 3 AND id = 7"), 1);
		assert_int_equal(world_sql(&w, "SELECT sum(cost_nano) FROM work_usage"), 3 * CENT);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM item WHERE state = 1"), 0);
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
		end(NULL);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(what_was_set_aside_is_paid_once),
		TEST(what_costs_nothing_comes_back),
		TEST(nobody_pays_more_than_was_set_aside),
		TEST(nobody_ends_anothers),
		TEST(what_ended_stands_in_the_sums_once),
		TEST(what_was_counted_for_an_end_that_failed_is_forgotten),
		TEST(what_is_set_aside_counts_in_the_windows_of_key_and_account),
		TEST(a_window_that_can_not_be_read_is_not_taken_for_one_that_is_over),
		TEST(a_limit_that_is_changed_has_back_what_is_not_used),
		TEST(windows_are_right_without_a_board_and_on_a_new_one),
		TEST(what_can_not_be_measured_says_so_until_somebody_settles_it),
		TEST(what_was_not_measured_is_paid_when_it_is),
		TEST(what_is_refused_stays_open_and_says_so),
		TEST(an_accounts_work_of_a_kind_is_listed_from_the_youngest_on),
		TEST(what_an_account_keeps_is_listed_until_it_is_gone),
		TEST(work_that_is_gone_is_in_no_list),
		TEST(it_is_looked_at_less_and_less_often),
		TEST(silence_is_the_last_word_only_a_second_after_it_was_heard),
		TEST(an_older_errand_s_silence_is_not_the_last_word),
		TEST(what_is_said_of_it_is_its_last_word_at_once),
		TEST(silence_that_was_forgotten_is_heard_again),
		TEST(many_silent_ones_end_all_in_their_turn),
		TEST(the_oldest_silence_makes_room_after_a_while),
		TEST(what_never_got_a_name_comes_back),
		cmocka_unit_test(killed_anywhere_it_is_paid_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
