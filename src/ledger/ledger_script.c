#include "ledger/ledger_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILLED_MAX = 512 };

/*
 * X(name, request without its id, which is the name). '…' are quotes; $step stands for the item, and %step for the code, that this step answered.
 */
#define SCRIPT(X) \
	X(adjust, "'op':'credit.add','account':'alice','amount':'7','reason':'goodwill','actor':'ann'") \
	X(debit, "'op':'credit.add','account':'alice','amount':'-0.5','reason':'mistake'") \
	X(top_up, "'op':'credit.top_up','account':'alice','amount':'20','reason':'invoice 17'") \
	X(refund, "'op':'credit.refund','payment':'$top_up','amount':'3','reason':'asked for'") \
	X(grant, "'op':'credit.grant','account':'alice','amount':'2','expires':'2100-01-01'") \
	X(grant_two, "'op':'credit.grant','account':'bob','amount':'4','expires':'2100-02-01'") \
	X(grant_back, "'op':'grant.revoke','grant':'$grant_two','reason':'too much'") \
	X(transfer, "'op':'credit.transfer','account':'alice','to':'bob','amount':'6.25','reason':'team'") \
	X(transfer_cold, "'op':'credit.transfer','account':'alice','to':'carl','amount':'1'") \
	X(voucher, "'op':'voucher.create','amount':'4','expires':'2100-01-01','reason':'fair'") \
	X(redeem, "'op':'voucher.redeem','account':'bob','code':'%voucher'") \
	X(voucher_two, "'op':'voucher.create','amount':'9'") \
	X(revoke, "'op':'voucher.revoke','voucher':'$voucher_two','reason':'lost'") \
	X(voucher_three, "'op':'voucher.create','amount':'1'") \
	X(hold, "'op':'hold.create','account':'alice','amount':'5','expires':'2100-01-01'") \
	X(settle, "'op':'hold.settle','hold':'$hold','cost':'1.5'") \
	X(hold_two, "'op':'hold.create','account':'alice','amount':'3'") \
	X(release, "'op':'hold.release','hold':'$hold_two'") \
	X(hold_three, "'op':'hold.create','account':'bob','amount':'0.25'") \
	X(settle_all, "'op':'hold.settle','hold':'$hold_three','cost':'0.25'") \
	X(hold_four, "'op':'hold.create','account':'alice','amount':'0.75'") \
	X(dispute, "'op':'dispute.open','payment':'$top_up','amount':'8','reason':'fraud'") \
	X(won, "'op':'dispute.won','dispute':'$dispute'") \
	X(dispute_two, "'op':'dispute.open','payment':'$top_up','amount':'10'") \
	X(lost, "'op':'dispute.lost','dispute':'$dispute_two'") \
	X(top_up_bob, "'op':'credit.top_up','account':'bob','amount':'30'") \
	X(transfer_back, "'op':'credit.transfer','account':'bob','to':'alice','amount':'34'") \
	X(dispute_short, "'op':'dispute.open','payment':'$top_up_bob','amount':'28'") \
	X(lost_short, "'op':'dispute.lost','dispute':'$dispute_short'") \
	X(top_up_debt, "'op':'credit.top_up','account':'bob','amount':'29'") \
	X(proposal, "'op':'proposal.create','account':'bob','amount':'0.3','day':'2026-01-31','provider':'sim','model':'m','reason':'counted less'") \
	X(accept, "'op':'proposal.accept','proposal':'$proposal'") \
	X(proposal_two, "'op':'proposal.create','account':'bob','amount':'0.1','day':'2026-01-31','provider':'sim','model':'m'") \
	X(reject, "'op':'proposal.reject','proposal':'$proposal_two'") \
	X(undercount, "'op':'proposal.create','account':'loss.estimate','amount':'0.45','day':'2026-01-31','provider':'sim','model':'m','reason':'counted more'") \
	X(bear, "'op':'proposal.accept','proposal':'$undercount'") \
	X(undercount_two, "'op':'proposal.create','account':'loss.estimate','amount':'0.2','day':'2026-02-01','provider':'sim','model':'m'") \
	X(reject_loss, "'op':'proposal.reject','proposal':'$undercount_two'") \
	X(account, "'op':'account.create','name':'dora'")

static const char *const requests[] = {
#define X(name, request) request,
	SCRIPT(X)
#undef X
};

const char *const script_names[] = {
#define X(name, request) #name,
	SCRIPT(X)
#undef X
};

const size_t script_steps = ARRAY_LEN(requests);
_Static_assert(ARRAY_LEN(requests) <= SCRIPT_STEPS_MAX, "answers have room");

static size_t
step_named(const char *name, size_t len)
{
	for (size_t i = 0; i < script_steps; i++)
		if (strlen(script_names[i]) == len && memcmp(script_names[i], name, len) == 0)
			return i;
	fail_msg("no step %.*s", (int)len, name);
	return 0;
}

/* False: what it builds on has no answer. */
static bool
fill_in(const struct script_answers *a, const char *from, char to[FILLED_MAX])
{
	const char *end = to + FILLED_MAX;
	for (; *from != '\0'; from++) {
		if (*from != '$' && *from != '%') {
			*to++ = (char)(*from == '\'' ? '"' : *from);
			continue;
		}
		size_t len = strspn(from + 1, "abcdefghijklmnopqrstuvwxyz_");
		const struct script_answer *x = &a->step[step_named(from + 1, len)];
		if (!atomic_load(&x->answered))
			return false;
		to += snprintf(to, (size_t)(end - to), "%s", *from == '$' ? x->item : x->code);
		from += len;
	}
	*to = '\0';
	return true;
}

static json_t *
request_of(const struct script_answers *a, size_t step)
{
	char filled[FILLED_MAX], text[640];
	if (!fill_in(a, requests[step], filled))
		return NULL;
	snprintf(text, sizeof(text), "{\"id\":\"%s\",%s}", script_names[step], filled);
	json_t *request = json_loads(text, 0, NULL);
	if (request == NULL)
		fail_msg("%s", text);
	return request;
}

/* The same answer each time. */
static void
keep(char kept[SCRIPT_TEXT], const json_t *answer, const char *member, bool again)
{
	const char *text = json_string_value(json_object_get(answer, member));
	if (text == NULL)
		text = "";
	if (again)
		assert_string_equal(text, kept);
	else
		snprintf(kept, SCRIPT_TEXT, "%s", text);
}

json_t *
script_step(struct world *w, struct script_answers *a, size_t step)
{
	json_t *request = request_of(a, step);
	if (request == NULL)
		return json_pack("{s:b}", "ok", 0);
	struct script_answer *x = &a->step[step];
	json_t *answer = ledger_control(w->ledger, request);
	json_decref(request);
	if (!json_is_true(json_object_get(answer, "ok")))
		return answer;
	bool again = atomic_load(&x->answered);
	keep(x->booking, answer, "booking", again);
	keep(x->item, answer, "item", again);
	keep(x->amount, answer, "amount", again);
	keep(x->code, answer, "code", again);
	atomic_store(&x->answered, 1);
	return answer;
}

void
script_try_all(struct world *w, struct script_answers *a)
{
	bool ok = true;
	for (size_t i = 0; ok && i < script_steps; i++) {
		json_t *answer = script_step(w, a, i);
		ok = json_is_true(json_object_get(answer, "ok"));
		json_decref(answer);
	}
}

void
script_all(struct world *w, struct script_answers *a)
{
	for (size_t i = 0; i < script_steps; i++) {
		json_t *answer = script_step(w, a, i);
		if (!json_is_true(json_object_get(answer, "ok")))
			fail_msg("%s: %s", script_names[i], json_dumps(answer, 0));
		json_decref(answer);
	}
}

void
script_begin(struct world *w)
{
	world_account(w, "alice", "50");
	world_account(w, "bob", NULL);
	world_account(w, "carl", NULL);
}

static int64_t
balance_of(struct world *w, const char *name)
{
	char sql[96];
	snprintf(sql, sizeof(sql), "SELECT balance_nano FROM account WHERE name = '%s'", name);
	return world_sql(w, sql);
}

#define CENTS(n) ((int64_t)(n) * (NANO_PER_DOLLAR / 100))

static const struct {
	const char *name;
	int64_t cents;
} balances[] = {
	/* 50 + 7 − 0.5 + 20 − 3 + 2 − 6.25 − 1 − 1.5 − 0.75 − 10 + 34 */
	{"alice", 9000},
	/* 6.25 + 4 − 0.25 + 30 − 34 = 6; the dispute takes all of it, 22 are owed, and paid by the next top-up: 7; 0.3 are given back */
	{"bob", 730},
	{"carl", 100},
	/* 1.5 + 0.25 − 0.3, and 0.45 that the house bears */
	{"revenue", 190},
	{"loss.estimate", -45},
	/* −20 + 3 + 10 − 30 + 28 − 29 */
	{"clearing", -3800},
	/* −50 − 7 + 0.5 − 4 − 9 + 9 − 1 */
	{"adjustment", -6150},
	{"free", -200},
	{"standing", 75},
	{"voucher", 100},
	{"dispute", 0},
	{"owed", 0},
	{"transit", 0},
};

void
script_is_done(struct world *w, int64_t spent)
{
	for (size_t i = 0; i < ARRAY_LEN(balances); i++) {
		int64_t nano = CENTS(balances[i].cents);
		nano += strcmp(balances[i].name, "alice") == 0 ? -spent : strcmp(balances[i].name, "revenue") == 0 ? spent
																										   : 0;
		if (balance_of(w, balances[i].name) != nano)
			fail_msg("%s has %lld, not %lld", balances[i].name, (long long)balance_of(w, balances[i].name), (long long)nano);
	}
	/* The first credit, each step but the account, four proposals and two that are rejected, and three arrivals. */
	assert_int_equal(world_sql(w, "SELECT count(*) FROM booking WHERE kind <> 1"), 1 + script_steps - 7 + 3);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM operation"), script_steps + 3);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM intent"), 0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM item WHERE state = 0"), 0);
	world_is_sound(w);
}

void
script_refused_or(struct world *w, const struct script_answers *a, const char *code, const char *other, const char *request)
{
	char filled[FILLED_MAX], text[640];
	assert_true(fill_in(a, request, filled));
	snprintf(text, sizeof(text), "{%s}", filled);
	json_t *asked = json_loads(text, 0, NULL);
	assert_non_null(asked);
	json_t *answer = ledger_control(w->ledger, asked);
	const char *said = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	if (said == NULL || (strcmp(said, code) != 0 && strcmp(said, other) != 0))
		fail_msg("%s\n%s, not %s", text, json_dumps(answer, 0), code);
	json_decref(asked);
	json_decref(answer);
}

void
script_refused(struct world *w, const struct script_answers *a, const char *code, const char *request)
{
	script_refused_or(w, a, code, code, request);
}
