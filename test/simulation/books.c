/*
 * The model: one account after another, one booking after another, by plain arithmetic. What the store has is looked at from outside; each new
 * booking must be explained by an order that was given, a ticket that was handed in, or an item whose time was over.
 */
#include "simulation/books_priv.h"

#include "ticket/end_reasons.h"

#include <stdio.h>
#include <string.h>

struct books books;

/* ---- exchanges ---- */

uint32_t
books_reserve(const struct exchange_facts *f)
{
	if (books.count == TICKETS_MAX)
		violation("the simulation has no room for another exchange");
	uint32_t at = books.count++;
	books.ticket[at] = (struct book_ticket){.f = *f, .state = RESERVING, .said = 1, .certain = 0};
	return at;
}

void
books_held(uint32_t at)
{
	books.ticket[at].state = HELD;
	windows_took(&books.ticket[at]);
}

void
books_not_held(uint32_t at)
{
	books.ticket[at].state = NOTHING;
}

void
books_extending(uint32_t at, int64_t hold)
{
	books.ticket[at].more = hold;
}

void
books_extended(uint32_t at, int64_t hold)
{
	struct book_ticket *t = &books.ticket[at];
	bool took = hold > t->f.hold;
	t->f.hold = hold;
	t->more = 0;
	if (took && t->state == HELD)
		windows_took(t);
}

bool
books_states(uint32_t at, int64_t cost, bool last)
{
	struct book_ticket *t = &books.ticket[at];
	if (t->said == (last ? SAID_MAX : SAID_MAX - 1))
		return false;
	t->say[t->said++] = cost;
	return true;
}

void
books_stated(uint32_t at)
{
	books.ticket[at].certain = books.ticket[at].said - 1;
}

void
books_settling(uint32_t at)
{
	books.ticket[at].state = SETTLING;
}

void
books_settled(uint32_t at)
{
	if (books.ticket[at].state == SETTLING) /* or it is booked already */
		books.ticket[at].state = SETTLED;
}

void
books_forged(uint32_t at)
{
	books.ticket[at].state = FORGED;
	books.ticket[at].written = false; /* nobody knows under which name */
}

void
books_orphan(uint32_t at, uint32_t slab)
{
	struct book_ticket *t = &books.ticket[at];
	t->slab = slab;
	if (t->state == RESERVING)
		t->state = UNBORN;
	else if (t->state == HELD || t->state == SETTLING)
		t->state = ORPHAN;
}

/* Its edge is reaped: the ledger sweeps it away with its next round. */
void
books_reaped(uint32_t slab)
{
	for (uint32_t i = 0; i < books.count; i++)
		books.ticket[i].reaped |= books.ticket[i].slab == slab;
}

void
books_round(void)
{
	for (uint32_t i = 0; i < books.count; i++)
		if (books.ticket[i].reaped && books.ticket[i].state == UNBORN)
			books.ticket[i].state = NOTHING;
}

void
books_round_begins(void)
{
	for (uint32_t i = 0; i < books.count; i++) {
		struct book_ticket *t = &books.ticket[i];
		t->was_held = t->state == HELD && t->more == 0; /* while it is being extended the board does not call it held */
		t->was_certain = t->certain;
	}
}

void
books_progress_written(void)
{
	for (uint32_t i = 0; i < books.count; i++) {
		struct book_ticket *t = &books.ticket[i];
		if (!t->was_held)
			continue;
		t->written = true;
		t->written_at = t->was_certain;
	}
}

void
books_power_cut(void)
{
	for (uint32_t i = 0; i < books.count; i++) {
		enum ticket_fate *s = &books.ticket[i].state;
		if (*s == NOTHING || *s == BOOKED || *s == CUT || *s == LOST)
			continue;
		books.ticket[i].was_orphan = *s == ORPHAN;
		*s = CUT;
	}
}

void
books_after_power_cut(void)
{
	for (uint32_t i = 0; i < books.count; i++) {
		struct book_ticket *t = &books.ticket[i];
		if (t->state != CUT)
			continue;
		if (t->written)
			violation("ticket %lld was written while it was held, and is lost with the power", (long long)t->f.id);
		t->state = LOST;
	}
}

bool
ticket_keeps(const struct book_ticket *t)
{
	switch (t->state) {
	case RESERVING:
	case HELD:
	case SETTLING:
	case SETTLED:
	case ORPHAN:
	case UNBORN:
	case FORGED:
		return true;
	case NOTHING:
	case BOOKED:
	case CUT:
	case LOST:
		break;
	}
	return false;
}

bool
account_is_busy(int account)
{
	for (uint32_t i = 0; i < books.count; i++)
		if (books.ticket[i].f.account == account && (ticket_keeps(&books.ticket[i]) || books.ticket[i].state == CUT || books.ticket[i].looked == books.looks))
			return true;
	return false;
}

int64_t
books_balance(int account)
{
	return books.balance[account];
}

int64_t
books_owed(int account)
{
	return books.owed[account];
}

int64_t
books_surely_free(int account)
{
	int64_t free = books.balance[account];
	for (uint32_t i = 0; i < books.count; i++) {
		const struct book_ticket *t = &books.ticket[i];
		if (t->f.account == account && ticket_keeps(t))
			free -= t->more > t->f.hold ? t->more : t->f.hold;
	}
	return free;
}

uint64_t
books_booked_id(int64_t *ret_cost)
{
	for (uint32_t i = books.count; i-- > 0;)
		if (books.ticket[i].state == BOOKED) {
			*ret_cost = books.ticket[i].booked;
			return books.ticket[i].f.id;
		}
	return 0;
}

uint32_t
books_forged_now(void)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < books.count; i++)
		count += books.ticket[i].state == FORGED;
	return count;
}

/* ---- a batch of tickets ---- */

struct row {
	int64_t id, cost, hold, difference, loss, account, input, output, reason;
};

static struct book_ticket *
ticket_of(const struct row *r)
{
	for (uint32_t i = books.count; i-- > 0;)
		if (books.ticket[i].f.id == (uint64_t)r->id && books.ticket[i].state != NOTHING && books.ticket[i].state != FORGED)
			return &books.ticket[i];
	violation("ticket %lld is booked, and nobody had handed it in", (long long)r->id);
}

/* Which of what its edge has said is it? */
static bool
was_said(const struct book_ticket *t, const struct row *r, uint32_t from)
{
	for (uint32_t i = from; i < t->said; i++)
		if (t->say[i] == r->cost)
			return true;
	return false;
}

static void
check_ticket(const struct book_ticket *t, const struct row *r)
{
	bool interrupted = r->reason == END_INTERRUPTED;
	long long id = (long long)r->id, cost = (long long)r->cost;
	switch (t->state) {
	case SETTLING:
	case SETTLED:
		if (r->cost != t->say[t->said - 1] || interrupted)
			violation("ticket %lld was handed in for %lld and is booked for %lld", id, (long long)t->say[t->said - 1], cost);
		break;
	case HELD:
		violation("ticket %lld is booked for %lld, and its exchange is not over", id, cost);
	case ORPHAN:
		if (!was_said(t, r, t->certain))
			violation("ticket %lld of a dead edge is booked for %lld, which it did not say last", id, cost);
		break;
	case UNBORN:
		if (r->cost != 0)
			violation("ticket %lld was never held and is booked for %lld", id, cost);
		break;
	case CUT:
		if (!was_said(t, r, t->written ? t->written_at : 0))
			violation("after the power cut ticket %lld is booked for %lld, which its edge never said, or not since it was written", id, cost);
		break;
	case LOST:
		violation("ticket %lld was lost with the power and is booked for %lld now", id, cost);
	case BOOKED:
		violation("ticket %lld is booked again", id);
	case RESERVING:
	case NOTHING:
	case FORGED:
		violation("ticket %lld is booked, and nobody had handed it in", id);
	}
	if (r->account != (int64_t)sim.account[t->f.account].id)
		violation("ticket %lld is charged to account %lld, not %lld", id, (long long)r->account, (long long)sim.account[t->f.account].id);
}

/* Said once more than price.c does: a sum of pico-dollars, and one rounding. */
static int64_t
price_of(unsigned model, int64_t input, int64_t output)
{
	const struct catalogue_price *p = &sim.w.catalogue.price[model];
	int64_t pico = 1000 * p->request_nano + input * p->pico[TOKEN_input] + output * p->pico[TOKEN_output];
	return (pico + 999) / 1000;
}

/* Usage by its price is cost, or the difference is somebody's by name. */
static void
check_difference(const struct book_ticket *t, const struct row *r)
{
	bool used = r->input != 0 || r->output != 0;
	int64_t should = !used && r->cost == 0 ? 0 : price_of(t->f.model, r->input, r->output) - r->cost;
	if (r->difference != should)
		violation("ticket %lld has a difference of %lld, not %lld", (long long)r->id, (long long)r->difference, (long long)should);
	int64_t loss = r->cost == r->hold ? HOUSE_LOSS_OVERRUN : -1;
	if (r->reason == END_INTERRUPTED)
		loss = HOUSE_LOSS_CRASH;
	if (should < 0)
		violation("ticket %lld is charged %lld too much", (long long)r->id, (long long)-should);
	if (r->loss != (should == 0 ? HOUSE_NONE : loss))
		violation("ticket %lld: %lld are the loss of house account %lld", (long long)r->id, (long long)should, (long long)r->loss);
}

static void
book_ticket(const struct row *r)
{
	struct book_ticket *t = ticket_of(r);
	check_ticket(t, r);
	check_difference(t, r);
	windows_paid(t, r->cost, r->reason == END_INTERRUPTED);
	t->state = BOOKED;
	t->booked = r->cost;
	t->looked = books.looks;
	t->more = 0;
	books.balance[t->f.account] -= r->cost;
	books_spent(t->f.account, r->cost);
	books.house[HOUSE_REVENUE] += r->cost;
	if (r->loss != 0) {
		books.house[HOUSE_REVENUE] += r->difference;
		books.house[r->loss] -= r->difference;
	}
	books.tickets++;
	books.tickets_nano += r->cost;
}

static void
book_tickets(int64_t booking)
{
	struct query *st = look_sql("SELECT id, cost_nano, hold_nano, difference_nano, loss, account, tokens_input, tokens_output, end_reason FROM ticket WHERE booking = ?");
	sql_bind(st, booking);
	while (sql_step(&sim.w.ledger->store, st) == SQL_ROW) {
		struct row r = {sql_int(st, 0), sql_int(st, 1), sql_int(st, 2), sql_int(st, 3), sql_int(st, 4), sql_int(st, 5), sql_int(st, 6), sql_int(st, 7), sql_int(st, 8)};
		trace("  ticket %lld of account %lld is booked for %lld", (long long)r.id, (long long)r.account, (long long)r.cost);
		book_ticket(&r);
	}
	sql_reset(st);
}

/* ---- looking ---- */

/* Prepared once for each ledger: to prepare them at each look was a sixth of a run. */
static struct {
	const char *text; /* the same literal each time */
	struct query *st;
} prepared[LOOKS_MAX];
static uint32_t prepared_count;

struct query *
look_sql(const char *text)
{
	for (uint32_t i = 0; i < prepared_count; i++)
		if (prepared[i].text == text)
			return prepared[i].st;
	struct query *st = sql_prepare(&sim.w.ledger->store, text);
	if (st == NULL || prepared_count == LOOKS_MAX)
		violation("%s: %s", text, store_error(&sim.w.ledger->store));
	prepared[prepared_count].text = text;
	prepared[prepared_count++].st = st;
	return st;
}

void
books_close(void)
{
	while (prepared_count > 0)
		sql_free(prepared[--prepared_count].st);
}

/* What was seen once is there for ever. */
static void
check_past(void)
{
	struct query *st = look_sql("SELECT (SELECT count(*) FROM booking WHERE id <= ?1), (SELECT count(*) FROM ticket WHERE booking <= ?1),"
								" (SELECT ifnull(sum(cost_nano), 0) FROM ticket WHERE booking <= ?1)");
	sql_bind(st, books.last);
	if (sql_step(&sim.w.ledger->store, st) != SQL_ROW)
		violation("the store can't be read: %s", store_error(&sim.w.ledger->store));
	if (sql_int(st, 0) != books.last || sql_int(st, 1) != books.tickets || sql_int(st, 2) != books.tickets_nano)
		violation("of %lld bookings with %lld tickets for %lld there are %lld, %lld and %lld", (long long)books.last, (long long)books.tickets,
			(long long)books.tickets_nano, (long long)sql_int(st, 0), (long long)sql_int(st, 1), (long long)sql_int(st, 2));
	sql_reset(st);
}

static int
account_of(int64_t id)
{
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		if (sim.account[i].id == (uint64_t)id)
			return i;
	violation("there is an account %lld that nobody made", (long long)id);
}

static int64_t *
balance_of(int64_t id)
{
	return id < HOUSE_COUNT ? &books.house[id] : &books.balance[account_of(id)];
}

static int64_t *
owed_of(int64_t id)
{
	return &books.owed[account_of(id)];
}

static void
check_balances(void)
{
	struct query *st = look_sql("SELECT id, balance_nano, name, owed_nano FROM account WHERE id > 0");
	while (sql_step(&sim.w.ledger->store, st) == SQL_ROW) {
		int64_t should = *balance_of(sql_int(st, 0));
		if (sql_int(st, 1) != should)
			violation("%s has %lld, not %lld", sql_str(st, 2), (long long)sql_int(st, 1), (long long)should);
		if (sql_int(st, 0) >= HOUSE_COUNT && sql_int(st, 3) != *owed_of(sql_int(st, 0)))
			violation("%s owes %lld, not %lld", sql_str(st, 2), (long long)sql_int(st, 3), (long long)*owed_of(sql_int(st, 0)));
		if (sql_int(st, 0) >= HOUSE_COUNT && should < 0)
			violation("%s is below zero: %lld", sql_str(st, 2), (long long)should);
	}
	sql_reset(st);
}

static void
take_new(void)
{
	struct query *st = look_sql("SELECT b.id, b.kind, b.what, b.item, ifnull((SELECT min(ref) FROM operation WHERE subject = b.id AND (ref GLOB 'o[0-9]*' OR ref GLOB 'item:*')), ''),"
								" ifnull((SELECT amount_nano FROM posting WHERE booking = b.id AND account > 99), 0) FROM booking b WHERE b.id > ? ORDER BY b.id");
	sql_bind(st, books.last);
	while (sql_step(&sim.w.ledger->store, st) == SQL_ROW) {
		struct booked_order o = {.booking = sql_int(st, 0), .what = sql_int(st, 2), .item = (uint64_t)sql_int(st, 3), .nano = sql_int(st, 5)};
		snprintf(o.ref, sizeof(o.ref), "%s", sql_str(st, 4));
		if (o.booking != books.last + 1)
			violation("booking %lld comes after %lld", (long long)o.booking, (long long)books.last);
		if (sql_int(st, 1) == BOOKING_TICKETS)
			book_tickets(o.booking);
		else
			books_order(&o);
		books.last = o.booking;
	}
	sql_reset(st);
}

void
books_look(void)
{
	books.looks++;
	check_past();
	if (windows_on())
		windows_look_at_limits();
	take_new();
	if (windows_on())
		windows_look();
	check_balances();
}

void
books_begin(void)
{
	memset(&books, 0, sizeof(books));
	windows_begin();
}

void
books_at_rest(void)
{
	int64_t lost = 0;
	for (uint32_t i = 0; i < books.count; i++) {
		const struct book_ticket *t = &books.ticket[i];
		if (t->state == LOST)
			lost += t->say[t->certain];
		if (t->state == HELD || t->state == RESERVING || t->state == SETTLED || (t->state == ORPHAN && t->f.hold > 0))
			violation("ticket %llu is still %s at the end", (unsigned long long)t->f.id, t->state == SETTLED ? "to be booked" : "held");
	}
	books_items_at_rest();
	trace("at rest: %lld tickets booked for %lld, %lld lost with the power", (long long)books.tickets, (long long)books.tickets_nano, (long long)lost);
}
