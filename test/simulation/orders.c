/* Those who give orders, and the way to the ledger: what they ask is lost, doubled, late; what is answered does not always arrive. */
#include "simulation/sim.h"

#include "ledger/order_priv.h"
#include "ticket/nano.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MESSAGES_MAX = 128,
	NANO_MOST = 20000000 };

struct sim_order orders[ORDERS_MAX];
uint32_t order_count;

static struct message {
	uint32_t order, due;
	bool other; /* with another content */
} messages[MESSAGES_MAX];
static uint32_t message_count;
static bool revoked[SIM_ACCOUNTS];

static const char *const form_names[] = {
#define X(NAME) #NAME,
	ORDER_FORMS(X)
#undef X
};

static const char *const limit_members[LIMIT_KIND_COUNT] = {
#define X(NAME, number, member, unit, window, meaning) [number] = (member),
	LIMIT_KINDS(X)
#undef X
};

bool
key_must_be_revoked(int account)
{
	return revoked[account];
}

/* ---- on the way ---- */

static void
send_one(uint32_t order, bool other)
{
	if (message_count == MESSAGES_MAX)
		return;
	uint32_t late = below(4);
	if (strikes(FAULT_ORDER_LATE, 6)) {
		late = 5 + below(80);
		met(FAULT_ORDER_LATE);
	}
	messages[message_count++] = (struct message){order, sim.step + late, other};
}

static void
send(uint32_t order)
{
	if (strikes(FAULT_ORDER_LOST, 5)) {
		met(FAULT_ORDER_LOST);
		trace("order o%u gets lost", order);
		return;
	}
	send_one(order, false);
	if (!strikes(FAULT_ORDER_DOUBLED, 4))
		return;
	met(FAULT_ORDER_DOUBLED);
	for (uint32_t i = 1 + below(3); i > 0; i--)
		send_one(order, false);
}

static bool
is_on_its_way(uint32_t order)
{
	for (uint32_t i = 0; i < message_count; i++)
		if (messages[i].order == order)
			return true;
	return false;
}

/* ---- a new one ---- */

/* One of this form that is booked, to be about. */
static bool
find_about(struct sim_order *o, enum order_form form)
{
	if (o->about != 0 && (form != FORM_VOUCHER || orders[o->about].code[0] != '\0'))
		return true;
	for (uint32_t tries = 0; tries < 8 && order_count > 0; tries++) {
		uint32_t at = below(order_count);
		if (orders[at].form == form && orders[at].booking != 0 && (form != FORM_VOUCHER || orders[at].code[0] != '\0')) {
			o->about = at;
			return true;
		}
	}
	return false;
}

static void
expire_some_day(struct sim_order *o)
{
	o->expires_s = (int64_t)(sim.wall_us / 1000000) + (sim.story == STORY_GIFTS ? 2 + below(3600) : 60 + below(90 * 86400));
	time_t t = (time_t)o->expires_s;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(o->expires, sizeof(o->expires), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static bool
fill(struct sim_order *o)
{
	switch (o->form) {
	case FORM_ADJUST:
	case FORM_DEBIT:
	case FORM_TOP_UP:
		return true;
	case FORM_GRANT:
		expire_some_day(o);
		return true;
	case FORM_VOUCHER:
	case FORM_HOLD:
		if (one_in(2))
			expire_some_day(o);
		return true;
	case FORM_TRANSFER:
		return o->a != o->b;
	case FORM_REFUND:
	case FORM_DISPUTE:
		return find_about(o, FORM_TOP_UP);
	case FORM_REDEEM:
	case FORM_VOUCHER_REVOKE:
		return find_about(o, FORM_VOUCHER);
	case FORM_GRANT_REVOKE:
		return find_about(o, FORM_GRANT);
	case FORM_HOLD_SETTLE:
	case FORM_HOLD_RELEASE:
		return find_about(o, FORM_HOLD);
	case FORM_DISPUTE_WON:
	case FORM_DISPUTE_LOST:
		return find_about(o, FORM_DISPUTE);
	case FORM_REVOKE:
		return strikes(FAULT_KEY_REVOKED, 3);
	case FORM_LIMIT:
		return strikes(FAULT_LIMIT_CHANGED, 2);
	}
	return false;
}

/* What comes of something that is there: an account that owes is paid in, a payment is disputed, a hold settled. */
static void
follow_up(struct sim_order *o)
{
	static const enum order_form next[][2] = {[FORM_TOP_UP] = {FORM_DISPUTE, FORM_REFUND},
		[FORM_VOUCHER] = {FORM_REDEEM, FORM_VOUCHER_REVOKE},
		[FORM_HOLD] = {FORM_HOLD_SETTLE, FORM_HOLD_RELEASE},
		[FORM_DISPUTE] = {FORM_DISPUTE_LOST, FORM_DISPUTE_WON}};
	uint32_t at = below(order_count);
	enum order_form form = orders[at].form;
	o->a = orders[at].a < SIM_MALLORY ? orders[at].a : 0;
	for (int i = 0; i < SIM_MALLORY; i++)
		if (books_owed(i) > 0 && one_in(2)) {
			o->a = i;
			o->form = FORM_TOP_UP;
			return;
		}
	bool rich = form == FORM_TOP_UP && books_balance(o->a) > orders[at].nano / 2;
	if (!rich && form < ARRAY_LEN(next) && next[form][0] != FORM_ADJUST && orders[at].booking != 0) {
		o->form = next[form][one_in(3)];
		o->about = at;
		if (o->form == FORM_DISPUTE && one_in(2))
			o->nano = orders[at].nano;
	} else if (rich || one_in(3)) { /* nearly all that there is: a payer who can't give it back */
		o->form = one_in(2) ? FORM_DEBIT : FORM_TRANSFER;
		o->nano = 1 + books_balance(o->a) - (books_balance(o->a) > 0 ? below(1000) : 0);
		o->nano = o->nano < 1 ? 1 : o->nano;
	}
}

/* One of this account and form that is booked, and that no other is about. */
static bool
find_open(struct sim_order *o, enum order_form form)
{
	bool told[ORDERS_MAX] = {false};
	for (uint32_t i = 0; i < order_count; i++)
		told[orders[i].about] = true;
	for (uint32_t i = 0, from = below(order_count); i < order_count; i++) {
		uint32_t at = (from + i) % order_count;
		if (orders[at].form == form && orders[at].a == o->a && orders[at].booking != 0 && !told[at]) {
			o->about = at;
			return true;
		}
	}
	return false;
}

/* Who has paid in several times spends it, and wants all of it back from the bank. */
static void
tell_of_debt(struct sim_order *o)
{
	o->a = one_in(4);
	int64_t there = books_surely_free(o->a);
	o->form = FORM_TOP_UP;
	if (there > 1000 && one_in(2)) {
		o->form = FORM_DEBIT;
		o->nano = there - below(1000);
	} else if (one_in(2) && find_open(o, FORM_DISPUTE)) {
		o->form = one_in(6) ? FORM_DISPUTE_WON : FORM_DISPUTE_LOST;
	} else if (!one_in(3) && find_open(o, FORM_TOP_UP)) {
		o->form = FORM_DISPUTE;
		o->nano = one_in(4) ? 1 + (orders[o->about].nano - 1) / 2 : orders[o->about].nano;
	}
}

static void
tell_of_gifts(struct sim_order *o)
{
	static const enum order_form forms[] = {FORM_GRANT, FORM_GRANT, FORM_VOUCHER, FORM_VOUCHER, FORM_REDEEM, FORM_REDEEM, FORM_HOLD, FORM_HOLD_SETTLE, FORM_GRANT_REVOKE};
	o->form = forms[below(ARRAY_LEN(forms))];
	o->a = (int)below(3);
}

/* Each key has a limit of money, that seldom stops anybody: what is held is held twice. */
static void
tell_of_limits(struct sim_order *o)
{
	if (!one_in(3))
		return;
	o->form = FORM_LIMIT;
	o->a = (int)below(SIM_ACCOUNTS);
	o->nano = 1000000001 + below(1000) * 5;
}

/* Limits of every kind on three accounts and their keys: set, raised, lowered below what is used, taken off. */
static void
tell_of_windows(struct sim_order *o)
{
	if (one_in(3)) {
		follow_up(o);
		return;
	}
	o->form = FORM_LIMIT;
	o->a = (int)below(3);
	o->of_account = one_in(3);
	o->kind = LIMIT_MONEY_FIRST + (int)below(LIMIT_KIND_COUNT - LIMIT_MONEY_FIRST);
	o->nano = 1 + below(one_in(4) ? 2000000 : one_in(2) ? NANO_MOST
														: 3 * NANO_MOST);
}

static void
give_new(void)
{
	struct sim_order *o = &orders[order_count];
	int accounts = SIM_MALLORY;
	*o = (struct sim_order){.form = (enum order_form)below(FORM_LIMIT + 1), .a = (int)below(accounts), .b = (int)below(accounts)};
	o->nano = 1 + below(one_in(8) ? 50 : NANO_MOST);
	o->kind = LIMIT_MONEY_HOUR;
	if (order_count < SIM_ACCOUNTS) { /* to begin with, everybody has something */
		o->form = FORM_ADJUST;
		o->a = (int)order_count;
		o->nano *= sim.story == STORY_WINDOWS ? 8 : 1; /* there is more than the limits let through */
	} else if (sim.story == STORY_DEBT)
		tell_of_debt(o);
	else if (sim.story == STORY_GIFTS)
		tell_of_gifts(o);
	else if (sim.story == STORY_LIMITS)
		tell_of_limits(o);
	else if (sim.story == STORY_WINDOWS)
		tell_of_windows(o);
	else if (one_in(2))
		follow_up(o);
	if (!fill(o))
		return;
	trace("order o%u: %s, account %d, %lld, about o%u", order_count, form_names[o->form], o->a, (long long)o->nano, o->about);
	send(order_count++);
}

void
orders_give(void)
{
	enum { PATIENT = 4 };
	bool eager = order_count < SIM_ACCOUNTS || (sim.story == STORY_DEBT && message_count < PATIENT);
	if (order_count < ORDERS_MAX && (eager || one_in(2))) {
		give_new();
		return;
	}
	uint32_t at = below(order_count);
	const struct sim_order *o = &orders[at];
	if (!o->answered && !o->refused && !is_on_its_way(at))
		send(at);
	else if (o->booking != 0 && o->form <= FORM_TOP_UP && strikes(FAULT_OTHER_CONTENT, 3))
		send_one(at, true);
	else if (o->answered && strikes(FAULT_ORDER_DOUBLED, 8)) /* long after */
		send_one(at, false);
}

/* ---- at the ledger ---- */

static json_t *
request_of(const struct sim_order *o, const char *id, const char *nano)
{
	const char *a = sim.account[o->a].name, *b = sim.account[o->b].name;
	char item[ID_TEXT_MAX] = "";
	const struct sim_order *about = &orders[o->about];
#define ITEM(kind) (id_text(item_prefix(kind), about->item, item), item)
	switch (o->form) {
	case FORM_ADJUST:
	case FORM_DEBIT:
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", a, "amount", nano, "reason", "r", "id", id);
	case FORM_TOP_UP:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "credit.top_up", "account", a, "amount", nano, "id", id);
	case FORM_REFUND:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "credit.refund", "payment", ITEM(ITEM_PAYMENT), "amount", nano, "id", id);
	case FORM_GRANT:
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", a, "amount", nano, "expires", o->expires, "id", id);
	case FORM_TRANSFER:
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", a, "to", b, "amount", nano, "id", id);
	case FORM_VOUCHER:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "voucher.create", "amount", nano, "expires", o->expires, "id", id);
	case FORM_REDEEM:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "voucher.redeem", "account", a, "code", about->code, "id", id);
	case FORM_VOUCHER_REVOKE:
		return json_pack("{s:s, s:s, s:s}", "op", "voucher.revoke", "voucher", ITEM(ITEM_VOUCHER), "id", id);
	case FORM_GRANT_REVOKE:
		return json_pack("{s:s, s:s, s:s}", "op", "grant.revoke", "grant", ITEM(ITEM_GRANT), "id", id);
	case FORM_HOLD:
		return json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "hold.create", "account", a, "amount", nano, "expires", o->expires, "id", id);
	case FORM_HOLD_SETTLE:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "hold.settle", "hold", ITEM(ITEM_HOLD), "cost", nano, "id", id);
	case FORM_HOLD_RELEASE:
		return json_pack("{s:s, s:s, s:s}", "op", "hold.release", "hold", ITEM(ITEM_HOLD), "id", id);
	case FORM_DISPUTE:
		return json_pack("{s:s, s:s, s:s, s:s}", "op", "dispute.open", "payment", ITEM(ITEM_PAYMENT), "amount", nano, "id", id);
	case FORM_DISPUTE_WON:
		return json_pack("{s:s, s:s, s:s}", "op", "dispute.won", "dispute", ITEM(ITEM_DISPUTE), "id", id);
	case FORM_DISPUTE_LOST:
		return json_pack("{s:s, s:s, s:s}", "op", "dispute.lost", "dispute", ITEM(ITEM_DISPUTE), "id", id);
	case FORM_REVOKE:
		return json_pack("{s:s, s:s}", "op", "key.revoke", "key", sim.account[o->a].key_text);
	case FORM_LIMIT:
		return json_pack("{s:s, s:s, s:s}", "op", o->of_account ? "account.limit" : "key.limit", o->of_account ? "account" : "key",
			o->of_account ? a : sim.account[o->a].key_text, limit_members[o->kind], o->nano % 5 == 0 ? "none" : nano);
	}
#undef ITEM
	return NULL;
}

static json_t *
ask(uint32_t at, bool other)
{
	char id[16], nano[NANO_TEXT_MAX];
	const struct sim_order *o = &orders[at];
	int64_t amount = o->nano + other;
	snprintf(id, sizeof(id), "o%u", at);
	nano_text((struct nano){o->form == FORM_DEBIT ? -amount : amount}, nano);
	json_t *request = request_of(o, id, nano);
	assert_non_null(request);
	json_t *answer = ledger_control(sim.w.ledger, request);
	json_decref(request);
	return answer;
}

static const char *
code_of(const json_t *answer)
{
	const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	return code != NULL ? code : "ok";
}

static bool
moves_money(const struct sim_order *o)
{
	return o->form != FORM_REVOKE && o->form != FORM_LIMIT;
}

static void
done(uint32_t at, const json_t *answer)
{
	struct sim_order *o = &orders[at];
	uint64_t booking = 0;
	const char *text = json_string_value(json_object_get(answer, "booking")), *code = json_string_value(json_object_get(answer, "code"));
	if (o->form == FORM_REVOKE) {
		revoked[o->a] = true;
		met(FAULT_KEY_REVOKED);
	} else if (o->form == FORM_LIMIT) {
		met(FAULT_LIMIT_CHANGED);
		limit_done(o);
	}
	if (moves_money(o) && (text == NULL || !id_parse(ID_BOOKING, (struct span){text, strlen(text)}, &booking) || (int64_t)booking != o->booking))
		violation("order o%u is answered with booking %s, and the store has %lld for it", at, text, (long long)o->booking);
	if (o->refused)
		violation("order o%u was refused for good, and is done now", at);
	if (strikes(FAULT_ANSWER_LOST, 4)) {
		met(FAULT_ANSWER_LOST);
		return;
	}
	o->answered = true;
	if (code != NULL)
		snprintf(o->code, sizeof(o->code), "%s", code);
}

/* Who has enough is not told that it lacks something. */
static void
check_refusal(uint32_t at, const char *code)
{
	const struct sim_order *o = &orders[at];
	bool takes = o->form == FORM_DEBIT || o->form == FORM_TRANSFER || o->form == FORM_HOLD;
	/* One more of a key's may be too many by now. */
	if (o->form != FORM_LIMIT && (o->answered || o->booking != 0))
		violation("order o%u was done, and is answered now with %s", at, code);
	if (strcmp(code, "id_conflict") == 0)
		violation("order o%u comes with its own content, and is answered with %s", at, code);
	if (takes && !ledger_was_held_up() && strcmp(code, "insufficient_balance") == 0 && books_surely_free(o->a) >= o->nano)
		violation("order o%u wants %lld, and is refused where %lld are free", at, (long long)o->nano, (long long)books_surely_free(o->a));
}

static void
arrived(uint32_t at, bool other)
{
	if (orders[at].asked_us == 0 || sim.wall_us < orders[at].asked_us)
		orders[at].asked_us = sim.wall_us;
	bool was_pending = orders[at].pending;
	if (orders[at].form == FORM_LIMIT)
		limit_asked(&orders[at]);
	json_t *answer = ask(at, other);
	if (ghost_walks()) { /* nobody hears it */
		json_decref(answer);
		return;
	}
	char code[40];
	snprintf(code, sizeof(code), "%s", code_of(answer));
	trace("order o%u%s is answered: %s", at, other ? " with another content" : "", code);
	life_look();
	if (strcmp(code, "store_failed") == 0 || strcmp(code, "busy") == 0) {
		/* Not known, or not now. */
	} else if (other) {
		met(FAULT_OTHER_CONTENT);
		if (strcmp(code, "id_conflict") != 0)
			violation("order o%u came with another content, and is answered with %s", at, code);
	} else if (strcmp(code, "ok") == 0) {
		done(at, answer);
	} else {
		check_refusal(at, code);
		orders[at].pending = was_pending;
		orders[at].refused = !is_on_its_way(at); /* one that comes after may be done */
	}
	json_decref(answer);
}

bool
orders_arrive(void)
{
	uint32_t from = message_count > 0 ? below(message_count) : 0;
	for (uint32_t i = 0; i < message_count; i++) {
		uint32_t at = (from + i) % message_count;
		struct message m = messages[at];
		if (m.due > sim.step)
			continue;
		messages[at] = messages[--message_count];
		arrived(m.order, m.other);
		return true;
	}
	return false;
}

bool
orders_all_answered(void)
{
	for (uint32_t i = 0; i < order_count; i++)
		if (!orders[i].answered && !orders[i].refused)
			return false;
	return true;
}

void
orders_finish(void)
{
	message_count = 0;
	for (uint32_t i = 0; i < order_count; i++)
		if (!orders[i].answered && !orders[i].refused)
			arrived(i, false);
}

void
orders_begin(void)
{
	order_count = message_count = 0;
	memset(revoked, 0, sizeof(revoked));
}
