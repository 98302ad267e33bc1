/* Orders of every kind: what they do to balances and items, done once however often they are given, refused when they must be. */
#include "ledger/ledger_script.h"
#include "ledger/orders.h"
#include "ledger/store_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
balance(void *arg, uint64_t row, struct nano *ret)
{
	ret->v = world_balance(arg, row);
	return ret->v >= 0;
}

/* With a board, without one, and with one that holds nobody yet. */
static void
each_world(void (*test)(struct world *w, struct script_answers *a))
{
	for (int way = 0; way < 3; way++) {
		struct world w;
		struct script_answers a = {0};
		world_begin(&w);
		script_begin(&w);
		world_close(&w);
		if (way == 2)
			world_lose_board(&w);
		world_open(&w, way != 1);
		test(&w, &a);
		if (w.ledger_board != NULL)
			assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
		world_end(&w);
	}
}

static void
do_all(struct world *w, struct script_answers *a)
{
	script_all(w, a);
	script_is_done(w, 0);
}

static void
every_order_does_what_it_says(void **state)
{
	each_world(do_all);
}

/* In an order of its own each time; what builds on something that was not done yet is refused, and comes later. */
static void
do_a_thousand_times(struct world *w, struct script_answers *a)
{
	uint64_t random = 1;
	script_all(w, a);
	for (int i = 0; i < 1000 * (int)script_steps; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		json_t *answer = script_step(w, a, (random >> 33) % script_steps);
		if (!json_is_true(json_object_get(answer, "ok")))
			fail_msg("%s", json_dumps(answer, 0));
		json_decref(answer);
	}
	script_is_done(w, 0);
}

static void
a_thousand_times_is_once(void **state)
{
	each_world(do_a_thousand_times);
}

/* ---- other content under the same id ---- */

static const char *const others[] = {
	"'op':'credit.add','account':'alice','amount':'8','reason':'goodwill','id':'adjust'",
	"'op':'credit.add','account':'bob','amount':'7','reason':'goodwill','id':'adjust'",
	"'op':'credit.add','account':'alice','amount':'7','reason':'other','id':'adjust'",
	"'op':'credit.top_up','account':'alice','amount':'7','reason':'goodwill','id':'adjust'",
	"'op':'credit.top_up','account':'alice','amount':'21','reason':'invoice 17','id':'top_up'",
	"'op':'credit.refund','payment':'$top_up','amount':'2','reason':'asked for','id':'refund'",
	"'op':'credit.grant','account':'alice','amount':'2','expires':'2101-01-01','id':'grant'",
	"'op':'grant.revoke','grant':'$grant_two','reason':'other','id':'grant_back'",
	"'op':'grant.revoke','grant':'$grant','reason':'too much','id':'grant_back'",
	"'op':'credit.transfer','account':'alice','to':'carl','amount':'6.25','reason':'team','id':'transfer'",
	"'op':'voucher.create','amount':'5','expires':'2100-01-01','reason':'fair','id':'voucher'",
	"'op':'voucher.redeem','account':'alice','code':'%voucher','id':'redeem'",
	"'op':'voucher.revoke','voucher':'$voucher_two','reason':'other','id':'revoke'",
	"'op':'hold.create','account':'alice','amount':'5.01','expires':'2100-01-01','id':'hold'",
	"'op':'hold.settle','hold':'$hold','cost':'1.4','id':'settle'",
	"'op':'hold.release','hold':'$hold','id':'settle'",
	"'op':'hold.release','hold':'$hold','id':'release'",
	"'op':'dispute.open','payment':'$top_up','amount':'7','reason':'fraud','id':'dispute'",
	"'op':'dispute.won','dispute':'$dispute_two','id':'won'",
	"'op':'dispute.lost','dispute':'$dispute','id':'lost'",
	"'op':'proposal.create','account':'bob','amount':'0.31','day':'2026-01-31','provider':'sim','model':'m','id':'proposal'",
	"'op':'proposal.create','account':'bob','amount':'0.3','day':'2026-02-01','provider':'sim','model':'m','id':'proposal'",
	"'op':'proposal.create','account':'loss.estimate','amount':'0.46','day':'2026-01-31','provider':'sim','model':'m','id':'undercount'",
	"'op':'proposal.create','account':'bob','amount':'0.45','day':'2026-01-31','provider':'sim','model':'m','id':'undercount'",
};

static void
refuse_others(struct world *w, struct script_answers *a)
{
	script_all(w, a);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		script_refused(w, a, "id_conflict", others[i]);
	script_is_done(w, 0);
}

static void
the_same_id_with_other_content_is_an_error(void **state)
{
	each_world(refuse_others);
}

/* ---- what must be refused ---- */

static const char *const refusals[][2] = {
	{"resolved", "'op':'hold.settle','hold':'$hold','cost':'0.1'"},
	{"resolved", "'op':'hold.release','hold':'$hold'"},
	{"resolved", "'op':'voucher.redeem','account':'alice','code':'%voucher'"},
	{"resolved", "'op':'voucher.redeem','account':'alice','code':'%voucher_two'"},
	{"resolved", "'op':'voucher.revoke','voucher':'$voucher'"},
	{"resolved", "'op':'dispute.won','dispute':'$dispute_two'"},
	{"resolved", "'op':'dispute.lost','dispute':'$dispute'"},
	{"resolved", "'op':'proposal.reject','proposal':'$proposal'"},
	{"resolved", "'op':'proposal.accept','proposal':'$proposal_two'"},
	{"resolved", "'op':'proposal.reject','proposal':'$undercount'"},
	{"resolved", "'op':'proposal.accept','proposal':'$undercount_two'"},
	{"rejected", "'op':'proposal.create','account':'bob','amount':'0.11','day':'2026-01-31','provider':'sim','model':'m','id':'proposal_two'"},
	{"rejected", "'op':'proposal.create','account':'loss.estimate','amount':'0.21','day':'2026-02-01','provider':'sim','model':'m','id':'undercount_two'"},
	{"no_such_item", "'op':'proposal.accept','proposal':'prp_00000000000'"},
	{"bad_request", "'op':'proposal.create','account':'bob','amount':'-1','day':'2026-01-31','provider':'sim','model':'m'"},
	{"bad_request", "'op':'proposal.create','account':'bob','amount':'1','day':'yesterday','provider':'sim','model':'m'"},
	{"bad_request", "'op':'proposal.create','account':'bob','amount':'1','day':'2026-01-31','provider':'sim','model':''"},
	{"bad_request", "'op':'credit.top_up','account':'bob','amount':'1','id':'item:decision:prp_00000000000'"},
	{"not_a_customer", "'op':'proposal.create','account':'loss.retry','amount':'1','day':'2026-01-31','provider':'sim','model':'m'"},
	{"bad_request", "'op':'proposal.create','account':'loss.estimate','amount':'-1','day':'2026-01-31','provider':'sim','model':'m'"},
	{"not_a_customer", "'op':'credit.add','account':'loss.estimate','amount':'1','reason':'r'"},
	{"not_a_customer", "'op':'proposal.create','account':'revenue','amount':'1','day':'2026-01-31','provider':'sim','model':'m'"},
	{"no_such_voucher", "'op':'voucher.redeem','account':'alice','code':'00000-00000-00000-00000'"},
	{"no_such_voucher", "'op':'voucher.redeem','account':'alice','code':'abc'"},
	{"no_such_voucher", "'op':'voucher.redeem','account':'alice','code':'U0000-00000-00000-00000'"},
	{"no_such_item", "'op':'hold.settle','hold':'$voucher','cost':'1'"},
	{"no_such_item", "'op':'credit.refund','payment':'pay_00000000000','amount':'1'"},
	{"above_hold", "'op':'hold.settle','hold':'$hold_four','cost':'0.750000001'"},
	{"above_payment", "'op':'credit.refund','payment':'$top_up','amount':'7.000000001'"},
	{"above_payment", "'op':'dispute.open','payment':'$top_up','amount':'7.000000001'"},
	{"insufficient_balance", "'op':'hold.create','account':'alice','amount':'90.000000001'"},
	{"insufficient_balance", "'op':'credit.transfer','account':'carl','to':'alice','amount':'1.01'"},
	{"bad_request", "'op':'credit.transfer','account':'carl','to':'carl','amount':'1'"},
	{"bad_request", "'op':'credit.top_up','account':'alice','amount':'-1'"},
	{"bad_request", "'op':'credit.top_up','account':'alice','amount':'0'"},
	{"bad_request", "'op':'credit.top_up','account':'alice','amount':'9223372036.854775807'"},
	{"bad_request", "'op':'credit.grant','account':'alice','amount':'1'"},
	{"bad_request", "'op':'credit.grant','account':'alice','amount':'1','expires':'2020-01-01'"},
	{"bad_request", "'op':'credit.grant','account':'alice','amount':'1','expires':'soon'"},
	{"bad_request", "'op':'credit.add','account':'alice','amount':'1'"},
	{"bad_request", "'op':'hold.create','account':'alice','amount':'1','id':'item:expiry:hold_00000000001'"},
	{"not_a_customer", "'op':'credit.top_up','account':'revenue','amount':'1'"},
	{"not_a_customer", "'op':'credit.transfer','account':'alice','to':'transit','amount':'1'"},
	{"not_a_customer", "'op':'account.statement','account':'revenue'"},
	{"no_such_account", "'op':'credit.transfer','account':'alice','to':'nobody','amount':'1'"},
};

static void
refuse_all(struct world *w, struct script_answers *a)
{
	script_all(w, a);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		script_refused(w, a, refusals[i][0], refusals[i][1]);
	script_is_done(w, 0);
}

static void
what_must_not_be_is_refused_and_moves_nothing(void **state)
{
	each_world(refuse_all);
}

/* ---- likewise where one statement fails on the way, whichever: what can't be looked at is not taken for something new ---- */

static struct {
	struct store_kind kind;
	const struct store_kind *real;
	int64_t steps, fails; /* at this step */
	struct ticket_desk *desk;
	struct ticket *ends; /* settled when what an account has around a grant is looked at; NULL: none */
} failing;

/* To roll back is what the others' failures lead to. */
static enum sql_step
failing_step(struct query *st)
{
	if (failing.ends != NULL && st == store_sql(st->store, SQL_grant_around)) {
		ticket_settle(failing.desk, failing.ends);
		failing.ends = NULL;
	}
	if (st == store_sql(st->store, SQL_rollback) || failing.steps++ != failing.fails)
		return failing.real->step(st);
	return SQL_FAILED;
}

static void
fail_at(struct world *w, int64_t at)
{
	struct store *s = &w->ledger->store;
	failing.kind = *s->kind;
	failing.kind.step = failing_step;
	failing.real = s->kind;
	failing.steps = 0;
	failing.fails = at;
	s->kind = &failing.kind;
}

/* False: it had come to its end before. */
static bool
refuse_at(struct world *w, struct script_answers *a, const char *code, const char *request, int64_t at)
{
	fail_at(w, at);
	script_refused_or(w, a, code, "store_failed", request);
	w->ledger->store.kind = failing.real;
	return failing.steps > at;
}

/* Under an id, so that it is looked up. */
static void
refuse_at_each(struct world *w, struct script_answers *a, const char *const refusal[2])
{
	static int count;
	char text[256];
	int64_t at = 0;
	if (strstr(refusal[1], "'id'") != NULL)
		return;
	snprintf(text, sizeof(text), "%s,'id':'refused %d'", refusal[1], count++);
	while (refuse_at(w, a, refusal[0], text, at))
		at++;
}

static void
refuse_whatever_fails(struct world *w, struct script_answers *a)
{
	script_all(w, a);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		refuse_at_each(w, a, refusals[i]);
	script_is_done(w, 0);
}

static void
what_must_not_be_is_refused_whatever_fails(void **state)
{
	each_world(refuse_whatever_fails);
}

/* ---- what is set aside for a dispute ---- */

static bool
dispute_after_doubt(int64_t at)
{
	struct world w;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_t *payment = world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "5");
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1", "reason", "so that it is on the board"));
	fail_at(&w, at);
	json_decref(world_ask(&w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-6", "reason", "other", "id", "debit"));
	w.ledger->store.kind = failing.real;
	w.ledger->round_due_ms = 0; /* the time that it waits after a failure is over */
	json_t *answer = world_ask(&w, "{s:s, s:O, s:s}", "op", "dispute.open", "payment", json_object_get(payment, "item"), "amount", "5");
	if (json_is_true(json_object_get(answer, "ok")))
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM item WHERE kind = 5 AND open_nano = 0"), world_sql(&w, "SELECT count(*) FROM operation WHERE ref = 'debit'"));
	json_decref(answer);
	json_decref(payment);
	world_end(&w);
	return failing.steps > at;
}

/* Nothing, only where there is nothing: not where an order holds it of which nobody knows yet whether it will be booked. */
static void
what_there_is_is_set_aside(void **state)
{
	int64_t at = 0;
	while (dispute_after_doubt(at))
		at++;
	assert_true(at > 10);
}

/* ---- what is owed ---- */

static bool
top_up_after_doubt(int64_t at)
{
	struct world w;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_t *payment = world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "5");
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-4", "reason", "spent"));
	json_t *dispute = world_must(&w, "{s:s, s:O, s:s}", "op", "dispute.open", "payment", json_object_get(payment, "item"), "amount", "5");
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1", "reason", "so that some of it is paid"));
	fail_at(&w, at);
	json_decref(world_ask(&w, "{s:s, s:O, s:s}", "op", "dispute.lost", "dispute", json_object_get(dispute, "item"), "id", "lost"));
	w.ledger->store.kind = failing.real;
	w.ledger->round_due_ms = 0; /* the time that it waits after a failure is over */
	json_t *answer = world_ask(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "2", "id", "invoice");
	if (json_is_true(json_object_get(answer, "ok"))) { /* and the dispute was lost before, or is not yet */
		bool lost = world_sql(&w, "SELECT count(*) FROM operation WHERE ref = 'lost'") == 1;
		assert_int_equal(world_sql(&w, "SELECT balance_nano FROM account WHERE name = 'alice'"), lost ? 0 : 3 * NANO_PER_DOLLAR);
		assert_int_equal(world_sql(&w, "SELECT owed_nano FROM account WHERE name = 'alice'"), lost ? NANO_PER_DOLLAR : 0);
		json_t *shown = world_must(&w, "{s:s, s:s}", "op", "account.show", "account", "alice");
		assert_string_equal(json_string_value(json_object_get(shown, "owed")), lost ? "1.000000000" : "0.000000000");
		json_decref(shown);
	}
	world_is_sound(&w);
	json_decref(answer);
	json_decref(dispute);
	json_decref(payment);
	world_end(&w);
	return failing.steps > at;
}

/* By what is owed when it is booked: also where it became so by an order of which nobody knew yet whether it would be booked. */
static void
a_top_up_pays_what_is_owed(void **state)
{
	int64_t at = 0;
	while (top_up_after_doubt(at))
		at += world_on_postgres() ? 5 : 1; /* where a world takes its time */
	assert_true(at > 10);
}

static void
no_account_has_more_than_it_may(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL);
	/* So that what is there is known to the board, and a ticket that can't be booked would stay on it. */
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "1"));
	json_t *answer;
	int times = 0;
	do { /* from two accounts of the house, neither of which comes to its own bound */
		answer = times & 1 ? world_ask(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "9000000", "reason", "a present")
						   : world_ask(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "9000000");
		times++;
	} while (json_is_true(json_object_get(answer, "ok")) && (json_decref(answer), times < 1000));
	assert_int_equal(times, 445);
	assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "error"), "code")), "refused");
	json_decref(answer);
	assert_true(world_balance(&w, alice) <= ORDER_NANO_MAX);
	assert_int_equal(w.ledger->stats.quarantined, 0);
	world_is_sound(&w);
	world_end(&w);
}

/* Each customer has less than it may; what all of them paid is the other side of one account. */
static void
no_account_of_the_house_has_more_than_it_may(void **state)
{
	static const char *const names[] = {"alice", "bob"};
	struct world w;
	uint64_t account[2];
	json_t *answer = NULL;
	int64_t paid = 0;
	world_begin(&w);
	for (int i = 0; i < 2; i++)
		account[i] = world_account(&w, names[i], NULL);
	for (int i = 0; i < 2; i++)
		json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", names[i], "amount", "1"));
	for (int times = 0; times < 1000; times++) {
		answer = world_ask(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", names[times & 1], "amount", "9000000");
		if (!json_is_true(json_object_get(answer, "ok")))
			break;
		json_decref(answer);
	}
	const json_t *error = json_object_get(answer, "error");
	assert_string_equal(json_string_value(json_object_get(error, "code")), "refused");
	assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "clearing"));
	json_decref(answer);
	for (int i = 0; i < 2; i++)
		paid += world_balance(&w, account[i]);
	assert_true(paid <= ORDER_NANO_MAX && paid > ORDER_NANO_MAX - 9000000 * NANO_PER_DOLLAR);
	assert_int_equal(world_sql(&w, "SELECT balance_nano FROM account WHERE name = 'clearing'"), -paid);
	/* What fits does, to the last nano-dollar; another account's other side is another; and all goes on. */
	char rest[NANO_TEXT_MAX];
	nano_text((struct nano){ORDER_NANO_MAX - paid}, rest);
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "bob", "amount", rest));
	world_refused(&w, "refused", "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "bob", "amount", "0.000000001");
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "bob", "amount", "1", "reason", "more"));
	assert_int_equal(w.ledger->stats.quarantined, 0);
	world_is_sound(&w);
	world_end(&w);
}

/* The house's account for corrections has room for one of two orders, and nobody knows yet whether the first was booked. */
static bool
bound_after_doubt(int64_t at)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL), bob = world_account(&w, "bob", NULL);
	for (int i = 0; i < 2; i++)
		json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", i ? "bob" : "alice", "amount", "1", "reason", "so that it is on the board"));
	assert_true(store_exec(&w.ledger->store, "UPDATE account SET balance_nano = -3996000000000000000 WHERE name = 'adjustment'"));
	fail_at(&w, at);
	json_decref(world_ask(&w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "3000000", "reason", "large", "id", "first"));
	w.ledger->store.kind = failing.real;
	w.ledger->round_due_ms = 0; /* the time that it waits after a failure is over */
	json_t *answer = world_ask(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "bob", "amount", "3000000", "reason", "large");
	bool booked = json_is_true(json_object_get(answer, "ok")), first = world_sql(&w, "SELECT count(*) FROM operation WHERE ref = 'first'") == 1;
	assert_int_equal(booked, !first);
	if (!booked)
		assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "error"), "code")), "refused");
	assert_int_equal(world_balance(&w, alice) + world_balance(&w, bob), 3000002 * NANO_PER_DOLLAR);
	assert_int_equal(w.ledger->stats.quarantined, 0);
	/* Back from there it may always come. */
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", booked ? "bob" : "alice", "amount", "-2000000", "reason", "less"));
	json_decref(answer);
	world_end(&w);
	return failing.steps > at;
}

static void
no_order_stays_on_the_board_for_what_the_house_may_not_have(void **state)
{
	int64_t at = 0;
	while (bound_after_doubt(at))
		at++;
	assert_true(at > 10);
}

/* However far it has come without an order: what brings it back is booked. */
static void
the_house_may_always_come_back(void **state)
{
	struct world w;
	world_begin(&w);
	world_account(&w, "alice", NULL);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "5", "reason", "a present"));
	assert_true(store_exec(&w.ledger->store, "UPDATE account SET balance_nano = -4500000000000000000 WHERE name = 'adjustment'"));
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "-2", "reason", "less"));
	world_refused(&w, "refused", "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", "alice", "amount", "1", "reason", "more");
	world_end(&w);
}

/* ---- what time brings ---- */

#define LATER_US 4102531200000000ULL /* 2100-01-02 */

static int64_t
house(struct world *w, enum house_account a)
{
	return world_balance(w, a);
}

static void
let_time_pass(struct world *w, struct script_answers *a)
{
	script_all(w, a);
	json_decref(world_must(w, "{s:s, s:s, s:s}", "op", "voucher.create", "amount", "5", "expires", "2100-01-01"));
	json_decref(world_must(w, "{s:s, s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "4", "expires", "2100-01-01"));
	assert_true(ledger_chores(w->ledger, clock_wall_us()));
	assert_int_equal(house(w, HOUSE_STANDING), 4750000000);
	for (int i = 0; i < 3; i++)
		assert_true(ledger_chores(w->ledger, LATER_US));
	assert_int_equal(house(w, HOUSE_STANDING), 750000000);
	assert_int_equal(house(w, HOUSE_VOUCHER), 1000000000);
	/* Of the grant of 2, 1.5 were spent; the rest may be what the hold of 0.75 has, which has no end. */
	assert_int_equal(house(w, HOUSE_FREE), -2000000000);
	assert_int_equal(world_sql(w, "SELECT balance_nano FROM account WHERE name = 'alice'"), 90000000000);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM item WHERE state = 4"), 2);
	assert_int_equal(world_sql(w, "SELECT open_nano FROM item WHERE kind = 2 AND state = 1"), 500000000);
	world_is_sound(w);
}

static void
what_is_not_used_in_time_goes_back_once(void **state)
{
	each_world(let_time_pass);
}

static void
a_grant_is_used_before_other_money_and_what_runs_keeps_the_rest_of_it(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "1", "expires", "2100-01-01"));
	struct world_exchange done = {.account = alice, .key = 4, .input = 1000, .output = 10, .cost = -1},
						  runs = {.account = alice, .key = 4, .input = 10, .output = 10, .hold = 600000000, .cost = -1};
	int64_t cost = world_cost(&w, &done), later = world_cost(&w, &runs);
	assert_int_not_equal(world_exchange(&w, done), 0);
	struct ticket *held = world_hold(&w, &runs);
	world_round(&w);
	assert_false(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 600000000);
	assert_false(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 600000000);
	ticket_settle(w.desk, held);
	world_round(&w);
	assert_true(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 0);
	assert_int_equal(house(&w, HOUSE_FREE), -(cost + later));
	world_is_sound(&w);
	assert_int_equal(board_check(w.ledger_board, balance, &w), 0);
	world_end(&w);
}

/* Elsewhere it would have no end. What was spent is taken to have come from it. */
static void
free_credit_is_not_moved(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "3"), bob = world_account(&w, "bob", NULL);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "1", "expires", "2100-01-01"));
	world_refused(&w, "free_credit", "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "3.000000001");
	world_refused(&w, "insufficient_balance", "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "4.1");
	struct world_exchange spends = {.account = alice, .key = 4, .input = 1000, .output = 10, .cost = -1};
	int64_t cost = world_cost(&w, &spends);
	assert_int_not_equal(world_exchange(&w, spends), 0);
	for (int again = 0; again < 2; again++)
		json_decref(world_must(&w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "3", "id", "all of it"));
	world_round(&w);
	assert_int_equal(world_balance(&w, alice), NANO_PER_DOLLAR - cost);
	assert_int_equal(world_balance(&w, bob), 3 * NANO_PER_DOLLAR);
	assert_true(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 0);
	assert_int_equal(house(&w, HOUSE_FREE), -cost);
	world_is_sound(&w);
	world_end(&w);
}

/* No more than that, and that. */
static void
move_all_of(struct world *w, const char *own, const char *more)
{
	world_refused(w, "free_credit", "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", more);
	json_decref(world_must(w, "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", own));
}

/* What was used stays used, and what a request or a standing hold has is not taken. */
static void
a_grant_is_taken_back_but_for_what_is_used_or_held(void **state)
{
	static const char *const revoke = "{s:s, s:s, s:s}";
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "3");
	json_t *grant = world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "5", "expires", "2100-01-01");
	const char *id = json_string_value(json_object_get(grant, "item"));
	struct world_exchange spends = {.account = alice, .key = 4, .input = 1000, .output = 10, .cost = -1},
						  runs = {.account = alice, .key = 4, .input = 10, .output = 10, .hold = 2 * NANO_PER_DOLLAR, .cost = -1};
	int64_t cost = world_cost(&w, &spends), later = world_cost(&w, &runs);
	assert_int_not_equal(world_exchange(&w, spends), 0);
	struct ticket *held = world_hold(&w, &runs);
	for (int again = 0; again < 2; again++) {
		json_t *part = world_must(&w, revoke, "op", "grant.revoke", "grant", id, "id", "part");
		assert_string_equal(json_string_value(json_object_get(part, "state")), "open");
		json_decref(part);
	}
	assert_int_equal(world_balance(&w, alice), 5 * NANO_PER_DOLLAR);
	world_refused(&w, "insufficient_balance", revoke, "op", "grant.revoke", "grant", id, "id", "rest");
	ticket_settle(w.desk, held);
	world_round(&w);
	json_t *hold = world_must(&w, "{s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "1");
	json_decref(world_must(&w, revoke, "op", "grant.revoke", "grant", id, "id", "rest"));
	assert_int_equal(world_balance(&w, alice), 3 * NANO_PER_DOLLAR);
	json_decref(world_must(&w, "{s:s, s:s}", "op", "hold.release", "hold", json_string_value(json_object_get(hold, "item"))));
	json_t *rest = world_must(&w, revoke, "op", "grant.revoke", "grant", id, "id", "last");
	assert_string_equal(json_string_value(json_object_get(rest, "state")), "revoked");
	assert_int_equal(world_balance(&w, alice), 3 * NANO_PER_DOLLAR);
	assert_int_equal(house(&w, HOUSE_FREE), -(cost + later));
	world_refused(&w, "resolved", revoke, "op", "grant.revoke", "grant", id, "id", "none");
	assert_true(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 3 * NANO_PER_DOLLAR);
	world_is_sound(&w);
	json_decref(rest);
	json_decref(hold);
	json_decref(grant);
	world_end(&w);
}

static bool
grant_is_given_after_doubt(int64_t at)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", "10");
	uint32_t slot;
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "0.001", "expires", "2100-01-01"));
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "0.000001"));
	struct world_exchange runs = {.account = alice, .key = 4, .input = 10, .output = 10, .hold = NANO_PER_DOLLAR, .cost = -1};
	int64_t cost = world_cost(&w, &runs);
	failing.desk = w.desk;
	failing.ends = world_hold(&w, &runs);
	fail_at(&w, at);
	(void)!ledger_chores(w.ledger, LATER_US); /* not all, or it failed */
	w.ledger->store.kind = failing.real;
	w.ledger->round_due_ms = 0; /* the time that it waits after a failure is over */
	if (failing.ends != NULL)
		ticket_settle(w.desk, failing.ends);
	failing.ends = NULL;
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "account.quota", "account", "alice", "amount", "0.5", "each", "day"));
	for (int i = 0; i < 3; i++)
		world_round(&w);
	assert_int_equal(world_sql(&w, "SELECT count(*) FROM intent"), 0);
	assert_true(board_find(w.ledger_board, alice, &slot));
	assert_int_equal(board_available(w.ledger_board, slot).v, world_balance(&w, alice));
	assert_in_range(world_balance(&w, alice), 10499999000 - cost, 10500999000 - cost);
	world_is_sound(&w);
	world_end(&w);
	return failing.steps > at;
}

/* Part of a grant is on its way back, and not booked, when less of it is open: it would wait on the board for ever. */
static void
what_is_on_its_way_back_is_booked_before_less_is_open(void **state)
{
	int64_t at = 0;
	while (grant_is_given_after_doubt(at))
		at++;
	assert_true(at > 10);
}

/* It has left the balance: what came in since is all the account's own. */
static void
what_holds_have_of_grants_is_not_kept_twice(void **state)
{
	static const char *const grant = "{s:s, s:s, s:s, s:s}";
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL), bob = world_account(&w, "bob", NULL);
	json_decref(world_must(&w, grant, "op", "credit.grant", "account", "alice", "amount", "5", "expires", "2100-01-01"));
	json_t *hold = world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "4", "expires", "2100-01-01");
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "9"));
	move_all_of(&w, "8", "9.000000001"); /* 1 of the grant is in the balance */
	json_decref(world_must(&w, grant, "op", "credit.grant", "account", "alice", "amount", "10", "expires", "2090-01-01"));
	move_all_of(&w, "1", "1.000000001"); /* none of the later grant is in that hold */
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "12"));
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "hold.create", "account", "alice", "amount", "10", "expires", "2100-01-01"));
	move_all_of(&w, "12", "12.000000001"); /* the two have 14 of the grants' 15 */
	json_decref(world_must(&w, "{s:s, s:O}", "op", "hold.release", "hold", json_object_get(hold, "item")));
	json_decref(hold);
	world_round(&w);
	assert_int_equal(world_balance(&w, bob), 21 * NANO_PER_DOLLAR);
	assert_int_equal(world_balance(&w, alice), 5 * NANO_PER_DOLLAR);
	world_is_sound(&w);
	world_end(&w);
}

/* Neither to who paid, nor to a bank: what is missing is owed, as where there is nothing. */
static void
free_credit_is_not_paid_out(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL);
	world_account(&w, "bob", NULL);
	json_t *payment = world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "20");
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "10", "expires", "2100-01-01"));
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "14"));
	world_refused(&w, "free_credit", "{s:s, s:O, s:s}", "op", "credit.refund", "payment", json_object_get(payment, "item"), "amount", "6.000000001");
	json_decref(world_must(&w, "{s:s, s:O, s:s}", "op", "credit.refund", "payment", json_object_get(payment, "item"), "amount", "2"));
	json_t *dispute = world_must(&w, "{s:s, s:O, s:s}", "op", "dispute.open", "payment", json_object_get(payment, "item"), "amount", "9");
	assert_string_equal(json_string_value(json_object_get(dispute, "amount")), "-4.000000000");
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "1"));
	json_decref(world_must(&w, "{s:s, s:O}", "op", "dispute.lost", "dispute", json_object_get(dispute, "item")));
	assert_int_equal(world_balance(&w, alice), 10 * NANO_PER_DOLLAR);
	assert_int_equal(world_sql(&w, "SELECT owed_nano FROM account WHERE name = 'alice'"), 4 * NANO_PER_DOLLAR);
	assert_true(ledger_chores(w.ledger, LATER_US));
	assert_int_equal(world_balance(&w, alice), 0);
	assert_int_equal(house(&w, HOUSE_FREE), 0);
	world_is_sound(&w);
	json_decref(dispute);
	json_decref(payment);
	world_end(&w);
}

/* A list says it, though nothing else has looked since. */
static void
what_was_spent_of_a_grant_is_not_shown_as_open(void **state)
{
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", "1", "expires", "2100-01-01"));
	struct world_exchange spends = {.account = alice, .key = 4, .input = 1000, .output = 10, .cost = -1};
	int64_t left = NANO_PER_DOLLAR - world_cost(&w, &spends);
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){left}, text);
	assert_int_not_equal(world_exchange(&w, spends), 0);
	world_round(&w);
	json_t *list = world_must(&w, "{s:s}", "op", "grant.list");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(list, "items"), 0), "open")), text);
	json_decref(list);
	world_is_sound(&w);
	world_end(&w);
}

/* However many there are: what was spent is off all of them before anybody says what is left. */
static void
spent_grants_without_number_keep_nothing_back(void **state)
{
	enum { GRANTS = 150 };
	struct world w;
	world_begin(&w);
	uint64_t alice = world_account(&w, "alice", NULL);
	world_account(&w, "bob", NULL);
	struct world_exchange spends = {.account = alice, .key = 4, .input = 1000, .output = 10, .cost = -1};
	char each[NANO_TEXT_MAX];
	int64_t cost = world_cost(&w, &spends), grant = (cost + GRANTS - 1) / GRANTS;
	nano_text((struct nano){grant}, each);
	for (int i = 0; i < GRANTS; i++)
		json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", "alice", "amount", each, "expires", "2100-01-01"));
	json_decref(world_must(&w, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", "alice", "amount", "1"));
	assert_int_not_equal(world_exchange(&w, spends), 0);
	json_decref(world_must(&w, "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", "alice", "to", "bob", "amount", "1"));
	world_is_sound(&w);
	world_end(&w);
}

/* The statement adds up to the balance, whatever happened. */
static void
read_statement(struct world *w, struct script_answers *a)
{
	static const char *const names[] = {"alice", "bob", "carl"};
	script_all(w, a);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *s = world_must(w, "{s:s, s:s}", "op", "account.statement", "account", names[i]), *line;
		json_t *shown = world_must(w, "{s:s, s:s}", "op", "account.show", "account", names[i]);
		const char *now = json_string_value(json_object_get(shown, "balance"));
		int64_t sum = 0;
		size_t at;
		json_array_foreach(json_object_get(s, "rows"), at, line)
		{
			struct nano n;
			const char *text = json_string_value(json_object_get(line, "amount"));
			assert_true(nano_parse((struct span){text, strlen(text)}, &n));
			sum += n.v;
		}
		assert_true(at > 0);
		assert_string_equal(json_string_value(json_object_get(s, "balance")), now);
		char text[NANO_TEXT_MAX];
		nano_text((struct nano){sum}, text);
		assert_string_equal(text, now);
		json_decref(s);
		json_decref(shown);
	}
}

static void
a_statement_adds_up_to_the_balance(void **state)
{
	each_world(read_statement);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_does_what_it_says),
		cmocka_unit_test(a_thousand_times_is_once),
		cmocka_unit_test(the_same_id_with_other_content_is_an_error),
		cmocka_unit_test(what_must_not_be_is_refused_and_moves_nothing),
		cmocka_unit_test(what_must_not_be_is_refused_whatever_fails),
		cmocka_unit_test(what_there_is_is_set_aside),
		cmocka_unit_test(a_top_up_pays_what_is_owed),
		cmocka_unit_test(no_account_has_more_than_it_may),
		cmocka_unit_test(no_account_of_the_house_has_more_than_it_may),
		cmocka_unit_test(no_order_stays_on_the_board_for_what_the_house_may_not_have),
		cmocka_unit_test(the_house_may_always_come_back),
		cmocka_unit_test(what_is_not_used_in_time_goes_back_once),
		cmocka_unit_test(a_grant_is_used_before_other_money_and_what_runs_keeps_the_rest_of_it),
		cmocka_unit_test(free_credit_is_not_moved),
		cmocka_unit_test(what_holds_have_of_grants_is_not_kept_twice),
		cmocka_unit_test(a_grant_is_taken_back_but_for_what_is_used_or_held),
		cmocka_unit_test(what_is_on_its_way_back_is_booked_before_less_is_open),
		cmocka_unit_test(free_credit_is_not_paid_out),
		cmocka_unit_test(what_was_spent_of_a_grant_is_not_shown_as_open),
		cmocka_unit_test(spent_grants_without_number_keep_nothing_back),
		cmocka_unit_test(a_statement_adds_up_to_the_balance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
