/*
 * A day's history, replayed: tickets, and between them orders of every kind, as they come to a server; the ledger is killed four times meanwhile. A model of plain
 * arithmetic, which knows nothing of the ledger's tables, says what becomes of each: who is short, what is set aside, what of free credit nobody has spent in time. Each
 * hour every balance, debt and house account must be the model's, to the last nano-dollar.
 *
 * LETHE_DAY_TICKETS: so many tickets (10,000): ./dev book --day. The clock is the day's: linked in place of the real one.
 */
#include "ledger/ledger_world.h"
#include "ledger/order_priv.h"

#include "ticket/end_reasons.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAYERS = 48,
	TICKETS = 10000,
	PENDING_MAX = 300, /* handed in and not booked */
	ORDER_EACH = 20, /* tickets */
	DAY_S = 86400,
	HOURS = 24,
	KILLED_EACH = 6, /* hours */
	CHORES_EACH_S = 600 };

struct payer {
	uint64_t id;
	char name[24];
	int64_t balance, owed, held;
};

struct pending {
	int payer;
	int64_t cost, hold, worth; /* worth: usage by its price */
};

struct thing {
	enum item_kind kind;
	int payer;
	int64_t amount, open, expires_s; /* expires_s: 0: never */
	size_t payment; /* of a dispute */
	char id[ID_TEXT_MAX], code[32];
};

/* Things that are open, by kind: indices. */
struct list {
	size_t *at, count, cap;
};

struct day {
	struct world w;
	struct payer payer[PAYERS];
	int64_t house[HOUSE_COUNT];
	struct pending pending[PENDING_MAX];
	size_t pending_count;
	struct thing *things;
	size_t thing_count, thing_cap;
	struct list open[ITEM_KIND_COUNT];
	int houses; /* that there are */
	uint64_t random, tickets, made, shorts, refused, repeated, expired, killed;
	uint64_t *orders; /* done, by form */
	uint64_t chores_s;
	unsigned order;
	int64_t charged;
};

/* ---- clock and dice ---- */

static uint64_t wall_us = 1767225600000000ULL, mono_us = 1000000000; /* 2026-01-01 */

uint64_t __wrap_clock_monotonic_ms(void), __wrap_clock_monotonic_us(void), __wrap_clock_wall_us(void);

uint64_t
__wrap_clock_monotonic_us(void)
{
	return mono_us;
}

uint64_t
__wrap_clock_monotonic_ms(void)
{
	return mono_us / 1000;
}

uint64_t
__wrap_clock_wall_us(void)
{
	return wall_us;
}

static uint64_t
below(struct day *d, uint64_t most)
{
	d->random = d->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (d->random >> 33) % most;
}

static struct payer *
any_payer(struct day *d)
{
	return &d->payer[below(d, PAYERS)];
}

static int
number_of(const struct day *d, const struct payer *p)
{
	return (int)(p - d->payer);
}

static int64_t
available(const struct payer *p)
{
	return p->balance - p->held;
}

/* ---- things ---- */

static void
list_add(struct list *l, size_t at)
{
	if (l->count == l->cap) {
		l->cap = l->cap * 2 + 64;
		l->at = realloc(l->at, l->cap * sizeof(*l->at));
		assert_non_null(l->at);
	}
	l->at[l->count++] = at;
}

static struct thing *
add_thing(struct day *d, const struct thing *t, const json_t *answer)
{
	if (d->thing_count == d->thing_cap) {
		d->thing_cap = d->thing_cap * 2 + 256;
		d->things = realloc(d->things, d->thing_cap * sizeof(*d->things));
		assert_non_null(d->things);
	}
	struct thing *new = &d->things[d->thing_count];
	*new = *t;
	const char *id = json_string_value(json_object_get(answer, "item")), *code = json_string_value(json_object_get(answer, "code"));
	assert_non_null(id);
	snprintf(new->id, sizeof(new->id), "%s", id);
	snprintf(new->code, sizeof(new->code), "%s", code != NULL ? code : "");
	list_add(&d->open[t->kind], d->thing_count++);
	return new;
}

/* Any that is open; NULL: none is. ret_at: where in the list. */
static struct thing *
any_open(struct day *d, enum item_kind kind, size_t *ret_at)
{
	const struct list *l = &d->open[kind];
	if (l->count == 0)
		return NULL;
	*ret_at = below(d, l->count);
	return &d->things[l->at[*ret_at]];
}

static void
close_thing(struct day *d, enum item_kind kind, size_t at)
{
	struct list *l = &d->open[kind];
	l->at[at] = l->at[--l->count];
}

/* ---- tickets ---- */

/* Free credit is spent first, and of it what ends first. */
static void
spend_gifts(struct day *d, int payer, int64_t nano)
{
	const struct list *l = &d->open[ITEM_GRANT];
	while (nano > 0) {
		struct thing *first = NULL;
		for (size_t i = 0; i < l->count; i++) {
			struct thing *t = &d->things[l->at[i]];
			if (t->payer == payer && t->open > 0 && (first == NULL || t->expires_s < first->expires_s))
				first = t;
		}
		if (first == NULL)
			return;
		int64_t part = smaller(nano, first->open);
		first->open -= part;
		nano -= part;
	}
}

/* What is left of them. */
static int64_t
gifts_of(const struct day *d, int payer)
{
	const struct list *l = &d->open[ITEM_GRANT];
	int64_t sum = 0;
	for (size_t i = 0; i < l->count; i++)
		sum += d->things[l->at[i]].payer == payer ? d->things[l->at[i]].open : 0;
	return sum;
}

/* What it has besides them, which alone goes elsewhere, or back to who paid. */
static int64_t
own_of(const struct day *d, const struct payer *p)
{
	int64_t own = p->balance - gifts_of(d, number_of(d, p));
	return own > 0 ? own : 0;
}

static void
book_pending(struct day *d)
{
	while (world_round(&d->w) > 0)
		;
	for (size_t i = 0; i < d->pending_count; i++) {
		const struct pending *p = &d->pending[i];
		struct payer *who = &d->payer[p->payer];
		who->held -= p->hold;
		who->balance -= p->cost;
		d->charged += p->cost;
		d->house[HOUSE_REVENUE] += p->worth;
		d->house[HOUSE_LOSS_OVERRUN] -= p->worth - p->cost;
		spend_gifts(d, p->payer, p->cost);
	}
	d->pending_count = 0;
}

static void
one_ticket(struct day *d)
{
	struct payer *who = any_payer(d);
	struct world_exchange e = {.account = who->id, .key = 1 + below(d, 7), .model = below(d, 2) != 0, .cost = -1};
	bool failed = below(d, 40) == 0;
	e.input = failed ? 0 : 1 + (uint32_t)below(d, 2000);
	e.output = failed ? 0 : 1 + (uint32_t)below(d, 500);
	e.end_reason = failed ? END_PROVIDER_TIMEOUT : END_COMPLETED;
	int64_t worth = failed ? 0 : world_cost(&d->w, &e);
	e.hold = worth + 1 + (int64_t)below(d, 3000000);
	e.cost = worth;
	if (below(d, 50) == 0 && worth > 1) /* more came than was held: the house's loss */
		e.hold = e.cost = 1 + (int64_t)below(d, (uint64_t)worth - 1);
	bool enough = e.hold <= available(who);
	if ((world_exchange(&d->w, e) != 0) != enough)
		fail_msg("%s has %lld free, %lld are held, and the board says otherwise", who->name, (long long)available(who), (long long)e.hold);
	d->shorts += !enough;
	if (!enough)
		return;
	who->held += e.hold;
	d->pending[d->pending_count++] = (struct pending){number_of(d, who), e.cost, e.hold, worth};
	d->made++;
}

/* ---- orders ---- */

static bool
is_same(const json_t *a, const json_t *b, const char *member)
{
	const json_t *x = json_object_get(a, member), *y = json_object_get(b, member);
	return x == NULL || y == NULL ? x == y : json_equal(x, y);
}

/* Given once, or twice; it must be done, or refused, as the model says. The answer of what was done; NULL: refused. */
static json_t *
give(struct day *d, bool should, const char *format, ...)
{
	char id[24];
	va_list args;
	va_start(args, format);
	json_t *request = json_vpack_ex(NULL, 0, format, args), *answer = NULL;
	va_end(args);
	assert_non_null(request);
	snprintf(id, sizeof(id), "day-%u", d->order++);
	json_object_set_new(request, "id", json_string(id));
	for (uint64_t times = 1 + (below(d, 4) == 0); times > 0; times--) {
		json_t *again = ledger_control(d->w.ledger, request);
		if (json_is_true(json_object_get(again, "ok")) != should)
			fail_msg("%s: %s; the model says that it is %s", json_dumps(request, 0), json_dumps(again, 0), should ? "done" : "refused");
		if (answer != NULL && should) {
			d->repeated++;
			assert_true(is_same(answer, again, "booking") && is_same(answer, again, "item"));
		}
		json_decref(answer);
		answer = again;
	}
	json_decref(request);
	if (should)
		return answer;
	d->refused++;
	json_decref(answer);
	return NULL;
}

static const char *
dollars(int64_t nano)
{
	static char text[2][NANO_TEXT_MAX];
	static unsigned at;
	nano_text((struct nano){nano}, text[++at % 2]);
	return text[at % 2];
}

static void
move_money(struct day *d, struct payer *p, int64_t nano, enum house_account house)
{
	p->balance += nano;
	d->house[house] -= nano;
}

static int64_t
some_nano(struct day *d)
{
	return 1 + (int64_t)below(d, below(d, 3) == 0 ? 5000 : 4000000000ULL);
}

/* Of what there is, mostly; sometimes more than that. */
static int64_t
part_of(struct day *d, int64_t nano)
{
	if (nano <= 0 || below(d, 8) == 0)
		return nano + 1 + (int64_t)below(d, 1000000);
	return below(d, 6) == 0 ? nano : 1 + (int64_t)below(d, (uint64_t)nano);
}

/* An order that is short has what is handed in booked first, and then looks again. */
static bool
can_pay(struct day *d, const struct payer *p, int64_t nano)
{
	if (nano > available(p))
		book_pending(d);
	return nano <= available(p);
}

/* In so many seconds, as text; no two of them end in one. */
static const char *
soon(struct day *d, int64_t *ret_s)
{
	static char text[24];
	static int64_t last;
	time_t t = (time_t)(wall_us / 1000000 + 60 + below(d, 7200));
	if (t == last)
		t++;
	struct tm tm;
	last = *ret_s = (int64_t)t;
	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

static bool
adjust_up(struct day *d)
{
	struct payer *p = any_payer(d);
	int64_t nano = some_nano(d);
	json_decref(give(d, true, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", p->name, "amount", dollars(nano), "reason", "goodwill"));
	move_money(d, p, nano, HOUSE_ADJUSTMENT);
	return true;
}

static bool
adjust_down(struct day *d)
{
	struct payer *p = any_payer(d);
	int64_t nano = part_of(d, available(p));
	bool should = can_pay(d, p, nano);
	json_decref(give(d, should, "{s:s, s:s, s:s, s:s}", "op", "credit.add", "account", p->name, "amount", dollars(-nano), "reason", "mistake"));
	if (should)
		move_money(d, p, -nano, HOUSE_ADJUSTMENT);
	return should;
}

/* What is owed is paid first. */
static bool
top_up(struct day *d)
{
	struct payer *p = any_payer(d);
	for (int i = 0; p->owed == 0 && i < PAYERS && below(d, 2) == 0; i++)
		p = &d->payer[i];
	struct thing t = {.kind = ITEM_PAYMENT, .payer = number_of(d, p), .amount = some_nano(d)};
	json_t *answer = give(d, true, "{s:s, s:s, s:s}", "op", "credit.top_up", "account", p->name, "amount", dollars(t.amount));
	int64_t pays = smaller(p->owed, t.amount);
	p->owed -= pays;
	d->house[HOUSE_OWED] += pays;
	d->house[HOUSE_CLEARING] -= pays;
	move_money(d, p, t.amount - pays, HOUSE_CLEARING);
	t.open = t.amount;
	add_thing(d, &t, answer);
	json_decref(answer);
	return true;
}

static bool
refund(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_PAYMENT, &at);
	if (t == NULL || t->open == 0)
		return false;
	struct payer *p = &d->payer[t->payer];
	int64_t nano = part_of(d, smaller(t->open, available(p)));
	book_pending(d);
	bool should = nano <= t->open && can_pay(d, p, nano) && nano <= own_of(d, p);
	json_decref(give(d, should, "{s:s, s:s, s:s}", "op", "credit.refund", "payment", t->id, "amount", dollars(nano)));
	if (!should)
		return false;
	t->open -= nano;
	move_money(d, p, -nano, HOUSE_CLEARING);
	return true;
}

/* Free credit goes to those with an even number, standing holds are the others': which of the two has what the other set aside is order_test.c's matter. */
static bool
grant(struct day *d)
{
	struct payer *p = &d->payer[2 * below(d, PAYERS / 2)];
	struct thing t = {.kind = ITEM_GRANT, .payer = number_of(d, p), .amount = some_nano(d)};
	book_pending(d); /* what was spent before is not this one's */
	const char *expires = soon(d, &t.expires_s);
	json_t *answer = give(d, true, "{s:s, s:s, s:s, s:s}", "op", "credit.grant", "account", p->name, "amount", dollars(t.amount), "expires", expires);
	t.open = t.amount;
	move_money(d, p, t.amount, HOUSE_FREE);
	add_thing(d, &t, answer);
	json_decref(answer);
	return true;
}

static bool
grant_revoke(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_GRANT, &at);
	if (t == NULL)
		return false;
	book_pending(d);
	struct payer *p = &d->payer[t->payer];
	int64_t back = smaller(t->open, p->balance);
	json_decref(give(d, back > 0, "{s:s, s:s}", "op", "grant.revoke", "grant", t->id));
	if (back <= 0)
		return false;
	move_money(d, p, -back, HOUSE_FREE);
	t->open -= back;
	if (t->open == 0)
		close_thing(d, ITEM_GRANT, at);
	return true;
}

static bool
transfer(struct day *d)
{
	struct payer *from = any_payer(d), *to = any_payer(d);
	int64_t nano = part_of(d, available(from));
	book_pending(d);
	bool should = from != to && can_pay(d, from, nano) && nano <= own_of(d, from);
	json_decref(give(d, should, "{s:s, s:s, s:s, s:s}", "op", "credit.transfer", "account", from->name, "to", to->name, "amount", dollars(nano)));
	if (!should)
		return false;
	from->balance -= nano;
	to->balance += nano;
	return true;
}

static bool
voucher(struct day *d)
{
	struct thing t = {.kind = ITEM_VOUCHER, .amount = some_nano(d)};
	const char *expires = below(d, 2) == 0 ? "" : soon(d, &t.expires_s);
	json_t *answer = give(d, true, "{s:s, s:s, s:s}", "op", "voucher.create", "amount", dollars(t.amount), "expires", expires);
	d->house[HOUSE_ADJUSTMENT] -= t.amount;
	d->house[HOUSE_VOUCHER] += t.amount;
	add_thing(d, &t, answer);
	json_decref(answer);
	return true;
}

static bool
redeem(struct day *d)
{
	size_t at;
	struct payer *p = any_payer(d);
	struct thing *t = any_open(d, ITEM_VOUCHER, &at);
	if (t == NULL)
		return false;
	bool should = t->expires_s == 0 || (uint64_t)t->expires_s * 1000000 > wall_us;
	json_decref(give(d, should, "{s:s, s:s, s:s}", "op", "voucher.redeem", "account", p->name, "code", t->code));
	if (!should)
		return false;
	move_money(d, p, t->amount, HOUSE_VOUCHER);
	close_thing(d, ITEM_VOUCHER, at);
	return true;
}

static void
voucher_ends(struct day *d, const struct thing *t)
{
	d->house[HOUSE_VOUCHER] -= t->amount;
	d->house[HOUSE_ADJUSTMENT] += t->amount;
}

static bool
voucher_revoke(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_VOUCHER, &at);
	if (t == NULL)
		return false;
	json_decref(give(d, true, "{s:s, s:s}", "op", "voucher.revoke", "voucher", t->id));
	voucher_ends(d, t);
	close_thing(d, ITEM_VOUCHER, at);
	return true;
}

static bool
hold(struct day *d)
{
	struct payer *p = &d->payer[2 * below(d, PAYERS / 2) + 1];
	struct thing t = {.kind = ITEM_HOLD, .payer = number_of(d, p), .amount = part_of(d, available(p) / 4)};
	bool should = can_pay(d, p, t.amount);
	const char *expires = below(d, 2) == 0 ? "" : soon(d, &t.expires_s);
	json_t *answer = give(d, should, "{s:s, s:s, s:s, s:s}", "op", "hold.create", "account", p->name, "amount", dollars(t.amount), "expires", expires);
	if (answer == NULL)
		return false;
	move_money(d, p, -t.amount, HOUSE_STANDING);
	add_thing(d, &t, answer);
	json_decref(answer);
	return true;
}

static bool
hold_settle(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_HOLD, &at);
	if (t == NULL)
		return false;
	int64_t cost = part_of(d, t->amount);
	bool should = cost <= t->amount;
	json_decref(give(d, should, "{s:s, s:s, s:s}", "op", "hold.settle", "hold", t->id, "cost", dollars(cost)));
	if (!should)
		return false;
	move_money(d, &d->payer[t->payer], t->amount - cost, HOUSE_STANDING);
	d->house[HOUSE_STANDING] -= cost;
	d->house[HOUSE_REVENUE] += cost;
	close_thing(d, ITEM_HOLD, at);
	return true;
}

static bool
hold_release(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_HOLD, &at);
	if (t == NULL)
		return false;
	json_decref(give(d, true, "{s:s, s:s}", "op", "hold.release", "hold", t->id));
	move_money(d, &d->payer[t->payer], t->amount, HOUSE_STANDING);
	close_thing(d, ITEM_HOLD, at);
	return true;
}

/* Of a payment what the account has is set aside. */
static bool
dispute(struct day *d)
{
	size_t at;
	struct thing *payment = any_open(d, ITEM_PAYMENT, &at);
	if (payment == NULL || payment->open == 0)
		return false;
	struct payer *p = &d->payer[payment->payer];
	struct thing t = {.kind = ITEM_DISPUTE, .payer = payment->payer, .payment = d->open[ITEM_PAYMENT].at[at], .amount = part_of(d, payment->open)};
	bool should = t.amount <= payment->open;
	book_pending(d); /* what a request holds now can't be set aside */
	json_t *answer = give(d, should, "{s:s, s:s, s:s}", "op", "dispute.open", "payment", payment->id, "amount", dollars(t.amount));
	if (answer == NULL)
		return false;
	t.open = smaller(t.amount, own_of(d, p));
	payment->open -= t.amount;
	move_money(d, p, -t.open, HOUSE_DISPUTE);
	add_thing(d, &t, answer);
	json_decref(answer);
	return true;
}

static bool
dispute_won(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_DISPUTE, &at);
	if (t == NULL)
		return false;
	json_decref(give(d, true, "{s:s, s:s}", "op", "dispute.won", "dispute", t->id));
	move_money(d, &d->payer[t->payer], t->open, HOUSE_DISPUTE);
	d->things[t->payment].open += t->amount;
	close_thing(d, ITEM_DISPUTE, at);
	return true;
}

/* What was set aside goes to the bank, then what else there is; the rest is owed. */
static bool
dispute_lost(struct day *d)
{
	size_t at;
	struct thing *t = any_open(d, ITEM_DISPUTE, &at);
	if (t == NULL)
		return false;
	book_pending(d);
	json_decref(give(d, true, "{s:s, s:s}", "op", "dispute.lost", "dispute", t->id));
	struct payer *p = &d->payer[t->payer];
	int64_t missing = t->amount - t->open, pays = smaller(missing, own_of(d, p));
	p->balance -= pays;
	p->owed += missing - pays;
	d->house[HOUSE_OWED] -= missing - pays;
	d->house[HOUSE_DISPUTE] -= t->open;
	d->house[HOUSE_CLEARING] += t->amount;
	close_thing(d, ITEM_DISPUTE, at);
	return true;
}

/* Proposed and accepted, or rejected. */
static bool
is_accepted(struct day *d, const char *account, int64_t nano)
{
	bool accepted = below(d, 3) != 0;
	json_t *made = give(d, true, "{s:s, s:s, s:s, s:s, s:s, s:s}", "op", "proposal.create", "account", account, "amount", dollars(nano), "day", "2025-12-31", "provider", "sim", "model", "small");
	const char *id = json_string_value(json_object_get(made, "item"));
	json_decref(give(d, true, "{s:s, s:s}", "op", accepted ? "proposal.accept" : "proposal.reject", "proposal", id));
	json_decref(made);
	return accepted;
}

static bool
correction(struct day *d)
{
	struct payer *p = any_payer(d);
	int64_t nano = 1 + (int64_t)below(d, 1000000);
	bool accepted = is_accepted(d, p->name, nano);
	if (accepted)
		move_money(d, p, nano, HOUSE_REVENUE);
	return accepted;
}

/* No customer has less by it. */
static bool
undercount(struct day *d)
{
	int64_t nano = 1 + (int64_t)below(d, 1000000);
	if (!is_accepted(d, "loss.estimate", nano))
		return false;
	d->house[HOUSE_LOSS_ESTIMATE] -= nano;
	d->house[HOUSE_REVENUE] += nano;
	return true;
}

#define FORMS(X) \
	X(adjust_up) \
	X(adjust_down) \
	X(top_up) \
	X(refund) \
	X(grant) \
	X(transfer) \
	X(voucher) \
	X(redeem) \
	X(voucher_revoke) \
	X(grant_revoke) \
	X(hold) \
	X(hold_settle) \
	X(hold_release) \
	X(dispute) \
	X(dispute_won) \
	X(dispute_lost) \
	X(correction) \
	X(undercount)

static const struct {
	const char *name;
	bool (*run)(struct day *d);
} forms[] = {
#define X(name) {#name, name},
	FORMS(X)
#undef X
};

static void
one_order(struct day *d)
{
	size_t form = below(d, ARRAY_LEN(forms));
	if (below(d, 2) == 0)
		book_pending(d);
	d->orders[form] += forms[form].run(d);
	book_pending(d); /* some orders have what was handed in booked before they are done */
}

/* ---- what time brings ---- */

static void
end_of(struct day *d, const struct thing *t)
{
	struct payer *p = &d->payer[t->payer];
	if (t->kind == ITEM_VOUCHER)
		voucher_ends(d, t);
	else if (t->kind == ITEM_HOLD)
		move_money(d, p, t->amount, HOUSE_STANDING);
	else
		move_money(d, p, -smaller(t->open, p->balance), HOUSE_FREE);
	d->expired++;
}

static void
see_to_ends(struct day *d)
{
	static const enum item_kind kinds[] = {ITEM_GRANT, ITEM_VOUCHER, ITEM_HOLD};
	book_pending(d);
	for (int i = 0; !ledger_chores(d->w.ledger, wall_us); i++)
		assert_true(i < 1000);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = d->open[kinds[k]].count; i-- > 0;) {
			const struct thing *t = &d->things[d->open[kinds[k]].at[i]];
			if (t->expires_s == 0 || (uint64_t)t->expires_s * 1000000 > wall_us)
				continue;
			end_of(d, t);
			close_thing(d, kinds[k], i);
		}
}

/* ---- the books ---- */

static void
check_account(const struct day *d, int64_t id, int64_t balance, int64_t owed)
{
	int64_t should = id < HOUSE_COUNT ? d->house[id] : INT64_MIN, owes = 0;
	for (int i = 0; i < PAYERS; i++)
		if (d->payer[i].id == (uint64_t)id) {
			should = d->payer[i].balance;
			owes = d->payer[i].owed;
		}
	if (balance != should || (id >= HOUSE_COUNT && owed != owes))
		fail_msg("after %llu tickets account %lld has %lld and owes %lld, not %lld and %lld", (unsigned long long)d->made, (long long)id, (long long)balance, (long long)owed, (long long)should, (long long)owes);
}

static void
check_payments(struct day *d)
{
	struct query *st = sql_prepare(&d->w.ledger->store, "SELECT open_nano FROM item WHERE id = ?");
	assert_non_null(st);
	for (size_t i = 0; i < d->open[ITEM_PAYMENT].count; i++) {
		const struct thing *t = &d->things[d->open[ITEM_PAYMENT].at[i]];
		uint64_t id;
		assert_true(id_parse(item_prefix(ITEM_PAYMENT), (struct span){t->id, strlen(t->id)}, &id));
		sql_bind(st, (int64_t)id);
		assert_int_equal(sql_step(&d->w.ledger->store, st), SQL_ROW);
		assert_int_equal(sql_int(st, 0), t->open);
		sql_reset(st);
	}
	sql_free(st);
}

static void
check_books(struct day *d)
{
	int seen = 0;
	d->houses = 0;
	struct query *st = sql_prepare(&d->w.ledger->store, "SELECT id, balance_nano, owed_nano FROM account WHERE id > 0");
	assert_non_null(st);
	while (sql_step(&d->w.ledger->store, st) == SQL_ROW) {
		check_account(d, sql_int(st, 0), sql_int(st, 1), sql_int(st, 2));
		*(sql_int(st, 0) < HOUSE_COUNT ? &d->houses : &seen) += 1;
	}
	sql_free(st);
	assert_int_equal(seen, PAYERS);
	assert_int_equal(world_sql(&d->w, "SELECT count(*) FROM ticket"), d->made);
	assert_int_equal(world_sql(&d->w, "SELECT sum(cost_nano) FROM ticket"), d->charged);
}

/* ---- the day ---- */

static void
open_payers(struct day *d)
{
	for (int i = 0; i < PAYERS; i++) {
		struct payer *p = &d->payer[i];
		snprintf(p->name, sizeof(p->name), "payer%d", i);
		p->id = world_account(&d->w, p->name, "20");
		move_money(d, p, 20 * NANO_PER_DOLLAR, HOUSE_ADJUSTMENT);
	}
}

/* With tickets handed in that nobody has booked. */
static void
kill_ledger(struct day *d)
{
	world_kill_ledger(&d->w);
	world_open(&d->w, true);
	d->killed++;
}

static void
an_hour_is_over(struct day *d, unsigned hour)
{
	if (hour % KILLED_EACH == 3)
		kill_ledger(d);
	see_to_ends(d);
	check_books(d);
}

static void
live(struct day *d)
{
	uint64_t begin = wall_us, step = (uint64_t)DAY_S * 1000000 / d->tickets;
	for (unsigned hour = 0; hour < HOURS; hour++) {
		while (d->made < d->tickets * (hour + 1) / HOURS) {
			wall_us += step;
			mono_us += step;
			one_ticket(d);
			if (below(d, ORDER_EACH) == 0)
				one_order(d);
			if (d->pending_count == PENDING_MAX)
				book_pending(d);
			if (wall_us / 1000000 < d->chores_s)
				continue;
			see_to_ends(d);
			d->chores_s = wall_us / 1000000 + CHORES_EACH_S;
		}
		an_hour_is_over(d, hour);
	}
	assert_true(wall_us - begin >= (uint64_t)DAY_S * 1000000 - step * HOURS);
}

static void
tell(const struct day *d)
{
	uint64_t done = 0;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		print_message("%10llu  %s\n", (unsigned long long)d->orders[i], forms[i].name);
		assert_true(d->orders[i] > 0);
		done += d->orders[i];
	}
	print_message("%10llu  of them ended by their time\n", (unsigned long long)d->expired);
	print_message("a day of %llu tickets and %llu orders (%llu of them given twice), %llu requests and %llu orders refused, the ledger killed %llu times: each of %d balances and %d house accounts is the model's, each hour\n",
		(unsigned long long)d->made, (unsigned long long)done, (unsigned long long)d->repeated, (unsigned long long)d->shorts, (unsigned long long)d->refused, (unsigned long long)d->killed, PAYERS, d->houses);
	assert_true(d->expired > 0 && d->shorts > 0 && d->refused > 0 && d->repeated > 0);
}

static void
a_day_is_explained_to_the_last_nano_dollar(void **state)
{
	static struct day d;
	static uint64_t orders[ARRAY_LEN(forms)];
	const char *tickets = getenv("LETHE_DAY_TICKETS");
	d = (struct day){.random = 1, .orders = orders, .tickets = tickets != NULL ? strtoull(tickets, NULL, 10) : TICKETS};
	assert_true(d.tickets >= HOURS);
	world_begin(&d.w);
	open_payers(&d);
	live(&d);
	check_payments(&d);
	world_is_sound(&d.w);
	tell(&d);
	world_end(&d.w);
	free(d.things);
	for (int k = 0; k < ITEM_KIND_COUNT; k++)
		free(d.open[k].at);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_day_is_explained_to_the_last_nano_dollar)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
