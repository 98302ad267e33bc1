/*
 * `ledger verify`: every balance derived again from the rows, every invariant of ledger.h checked.
 * Reads a snapshot through a second, read-only connection, so that rounds go on in between.
 */
#include "ledger/verify.h"

#include "ledger/away.h"
#include "ledger/order_priv.h"
#include "ledger/store_kind.h"
#include "ledger/ticket_same.h"
#include "ledger/work.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* X(name, what is said of it) */
#define INVARIANTS(X) \
	X(INV_1, "INV-1", "every booking's postings sum to zero") \
	X(INV_2, "INV-2", "no customer's balance is below zero") \
	X(INV_3, "INV-3", "every balance is the sum of its postings") \
	X(INV_4, "INV-4", "every ticket costs what its usage and price row give, at most its hold") \
	X(INV_5, "INV-5", "the database itself refuses to change or delete accounts, bookings, postings, tickets") \
	X(INV_6, "INV-6", "every order was carried out once") \
	X(INV_7, "INV-7", "ids lie in the range of their boot, bookings are numbered without a gap") \
	X(INV_8, "INV-8", "every ticket's price row is in the book and was in force") \
	X(INV_9, "INV-9", "all postings and all balances sum to zero") \
	X(INV_10, "INV-10", "usage per day is the sum of its tickets") \
	X(INV_11, "INV-11", "what is set aside is resolved once, and house accounts keep what is open") \
	X(INV_12, "INV-12", "no order moves the money of two customers") \
	X(INV_13, "INV-13", "amounts lie within bounds, what is owed is on its account") \
	X(INV_14, "INV-14", "every ticket is a leaf of the tree of receipts, and every head is the tree's and signed") \
	X(INV_15, "INV-15", "every account's tickets are one chain") \
	X(INV_16, "INV-16", "what proposals give back, or the house bears by them, was accepted, once, for what they say") \
	X(INV_17, "INV-17", "every node writes with the fence that it was given last, and none is above the highest") \
	X(INV_18, "INV-18", "what nodes may spend of an account or of a limit of money is lent to them, and of an account never more than its balance") \
	X(INV_OUTBOX, "OUTBOX", "what waits beside the store is this node's and this store's, and what is booked of it already is the same") \
	X(INV_FILE, "FILE", "the file is whole")

enum invariant {
#define X(name, text, meaning) name,
	INVARIANTS(X)
#undef X
		INVARIANT_COUNT
};

enum { SHOWN = 10 };

struct check {
	int64_t checked, broken;
	char first[SHOWN][200]; /* what the first broken ones are */
};

struct audit_account {
	uint64_t id;
	int64_t kind, balance_nano, derived_nano, owed_nano;
};

struct audit_booking {
	int64_t posted_nano, revenue_nano, ticket_nano, loss_nano, tickets;
	uint64_t first, last;
};

struct audit_boot {
	int64_t node;
	uint64_t floor_ms, ceiling_ms;
};

struct audit {
	struct store store;
	struct price_book prices;
	struct audit_account *accounts; /* by id */
	struct audit_booking *bookings; /* number − 1 */
	struct audit_boot *boots;
	size_t account_count, booking_count, boot_count;
	struct usage_sums usage;
	int64_t marks[TICKET_ID_NODES_MAX]; /* by node; a store with one writer has one */
	int64_t open_nano[ITEM_KIND_COUNT]; /* of items, by kind */
	int64_t charged_nano, booked_nano; /* by tickets; by bookings */
	int64_t tickets, explained, unexplained; /* tickets; with a difference that a loss account bears; without */
	int64_t interrupted; /* booked by what they had cost at their last progress */
	uint64_t cut_short[SHOWN]; /* those of them that were read last */
	struct outbox_facts outbox; /* what waits beside the store */
	struct receipt_audit *receipts;
	bool unread; /* something to compare with could not be read */
	struct check checks[INVARIANT_COUNT];
};

static void __attribute__((format(printf, 4, 5)))
expect(struct audit *a, enum invariant i, bool holds, const char *format, ...)
{
	struct check *c = &a->checks[i];
	c->checked++;
	if (holds)
		return;
	va_list args;
	va_start(args, format);
	if (c->broken < SHOWN)
		vsnprintf(c->first[c->broken], sizeof(c->first[0]), format, args);
	c->broken++;
	va_end(args);
}

/* ---- reading ---- */

typedef void each_row(struct audit *a, struct query *st);

static bool
each(struct audit *a, const char *sql, each_row *row)
{
	struct query *st = sql_prepare(&a->store, sql);
	if (st == NULL)
		return false;
	enum sql_step step;
	while ((step = sql_step(&a->store, st)) == SQL_ROW)
		row(a, st);
	sql_free(st);
	return step == SQL_END;
}

static int64_t
column(struct query *st, int at)
{
	return sql_int(st, at);
}

/* Room for one more; doubles at powers of two. */
static void *
more(void *rows, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return rows;
	rows = reallocarray(rows, count == 0 ? 1 : 2 * count, size);
	if (rows == NULL)
		abort();
	return rows;
}

static struct audit_account *
account_of(struct audit *a, uint64_t id)
{
	size_t from = 0, to = a->account_count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (a->accounts[middle].id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from < a->account_count && a->accounts[from].id == id ? &a->accounts[from] : NULL;
}

static struct audit_booking *
booking_of(struct audit *a, int64_t number)
{
	return number >= 1 && (uint64_t)number <= a->booking_count ? &a->bookings[number - 1] : NULL;
}

static void
read_account(struct audit *a, struct query *st)
{
	a->accounts = more(a->accounts, a->account_count, sizeof(*a->accounts));
	a->accounts[a->account_count++] =
		(struct audit_account){.id = (uint64_t)column(st, 0), .kind = column(st, 1), .balance_nano = column(st, 2), .owed_nano = column(st, 3)};
}

static void
read_booking(struct audit *a, struct query *st)
{
	int64_t number = column(st, 0);
	expect(a, INV_7, number == (int64_t)a->booking_count + 1, "booking %lld follows %zu", (long long)number,
		a->booking_count);
	a->bookings = more(a->bookings, a->booking_count, sizeof(*a->bookings));
	a->bookings[a->booking_count++] = (struct audit_booking){.first = UINT64_MAX};
}

static void
read_boot(struct audit *a, struct query *st)
{
	struct audit_boot boot = {column(st, 3), (uint64_t)column(st, 1), (uint64_t)column(st, 2)};
	const struct audit_boot *before = a->boot_count != 0 ? &a->boots[a->boot_count - 1] : NULL;
	expect(a, INV_7, before == NULL || before->node != boot.node || boot.floor_ms > before->ceiling_ms,
		"boot %lld begins below its predecessor's ceiling", (long long)column(st, 0));
	a->boots = more(a->boots, a->boot_count, sizeof(*a->boots));
	a->boots[a->boot_count++] = boot;
}

/* ---- tickets ---- */

static bool
in_a_boot(const struct audit *a, uint64_t id)
{
	uint64_t ms = ticket_id_unix_ms(id);
	for (size_t i = a->boot_count; i-- > 0;)
		if (ms >= a->boots[i].floor_ms && a->boots[i].node == ticket_id_node(id))
			return ms <= a->boots[i].ceiling_ms;
	return false;
}

/*
 * The edge picks the row when it reserves, up to a body's time-out after the head was complete,
 * which is when the ticket says it started.
 */
#define PICKED_LATER_US 600000000ULL

static bool
superseded(const struct audit *a, const struct price_row *r, uint64_t started_us)
{
	for (size_t i = 0; i < a->prices.count; i++) {
		const struct price_row *other = &a->prices.rows[i];
		if (other->model == r->model && other->price.from_ms > r->price.from_ms &&
			other->price.from_ms * 1000 <= started_us && other->added_us <= started_us)
			return true;
	}
	return false;
}

/* About something that is kept at a provider: no model was asked, and nothing may be charged. */
static bool
asks_no_model(const struct ticket_copy *t)
{
	switch ((enum endpoint)t->facts.endpoint) {
	case ENDPOINT_FILES:
	case ENDPOINT_BATCHES:
	case ENDPOINT_MESSAGES_BATCHES:
	case ENDPOINT_RESPONSES_KEPT:
		return t->facts.model == 0 && t->facts.price == 0;
	default:
		return false;
	}
}

static void
check_price(struct audit *a, const struct ticket_copy *t)
{
	if (asks_no_model(t)) {
		expect(a, INV_8, t->cost.v == 0, "ticket %llu: charged without a price", (unsigned long long)t->id);
		return;
	}
	const struct price_row *r = price_book_find(&a->prices, t->facts.price);
	uint64_t started_us = t->facts.started_us;
	bool in_force =
		r != NULL && r->price.from_ms * 1000 <= started_us + PICKED_LATER_US && !superseded(a, r, started_us);
	expect(a, INV_8, in_force, "ticket %llu: price row %016llx %s", (unsigned long long)t->id,
		(unsigned long long)t->facts.price, r == NULL ? "is not in the book" : "was not in force");
}

/* Absurd use beyond the hold was `loss.overrun` before it had an account of its own. */
static bool
same_loss(enum house_account due, int64_t loss)
{
	return (int64_t)due == loss || (due == HOUSE_LOSS_ABSURD && loss == HOUSE_LOSS_OVERRUN);
}

static void
check_cost(struct audit *a, const struct ticket_copy *t, int64_t difference, int64_t loss)
{
	struct appraisal due = appraise(&a->prices, t);
	bool holds =
		t->cost.v >= 0 && t->cost.v <= t->hold.v && due.difference_nano == difference && same_loss(due.loss, loss);
	expect(a, INV_4, holds, "ticket %llu: cost %lld, usage × price differs by %lld, the row says %lld",
		(unsigned long long)t->id, (long long)t->cost.v, (long long)due.difference_nano, (long long)difference);
	a->explained += difference != 0 && loss != HOUSE_NONE;
	a->unexplained += difference != 0 && loss == HOUSE_NONE;
	if (billing_cut_short(t->facts.end_reason))
		a->cut_short[a->interrupted++ % SHOWN] = t->id;
}

static void
add_to_booking(struct audit *a, struct query *st, const struct ticket_copy *t)
{
	struct audit_booking *b = booking_of(a, column(st, 1));
	struct audit_account *payer = account_of(a, t->facts.account);
	expect(a, INV_1, b != NULL && payer != NULL, "ticket %llu has no booking or no account",
		(unsigned long long)t->id);
	if (b == NULL || payer == NULL)
		return;
	payer->derived_nano -= t->cost.v;
	a->charged_nano += t->cost.v;
	b->ticket_nano += t->cost.v;
	b->loss_nano += column(st, 5) != HOUSE_NONE ? column(st, 4) : 0;
	b->tickets++;
	b->first = t->id < b->first ? t->id : b->first;
	b->last = t->id > b->last ? t->id : b->last;
}

static void
read_ticket(struct audit *a, struct query *st)
{
	struct ticket_copy t;
	ticket_of_row(st, &t);
	a->tickets++;
	expect(a, INV_7, in_a_boot(a, t.id), "ticket %llu lies in no boot's range", (unsigned long long)t.id);
	check_price(a, &t);
	check_cost(a, &t, column(st, 4), column(st, 5));
	add_to_booking(a, st, &t);
	if (!receipt_audit_ticket(a->receipts, st, &t, price_book_find(&a->prices, t.facts.price)))
		a->unread = true;
	if (column(st, 1) <= a->marks[a->store.node < 0 ? 0 : ticket_id_node(t.id)])
		usage_add(&a->usage, &t, 0);
}

static void
say_receipt(void *arg, bool chain, bool holds, const char *what, long long number)
{
	expect(arg, chain ? INV_15 : INV_14, holds, "%s %lld", what, number);
}

static bool
read_tickets(struct audit *a)
{
	a->receipts = receipt_audit_begin(&a->store, say_receipt, a);
	if (a->receipts == NULL)
		return false;
	struct query *st = sql_prepare(&a->store, sql_text(&a->store, SQL_tickets_from));
	if (st == NULL)
		return false;
	sql_bind(st, INT64_MIN, -1);
	enum sql_step step;
	while ((step = sql_step(&a->store, st)) == SQL_ROW)
		read_ticket(a, st);
	sql_free(st);
	return step == SQL_END && !a->unread && receipt_audit_end(a->receipts);
}

/* ---- postings, bookings, balances ---- */

static void
read_posting(struct audit *a, struct query *st)
{
	struct audit_booking *b = booking_of(a, column(st, 0));
	struct audit_account *account = account_of(a, (uint64_t)column(st, 1));
	expect(a, INV_1, b != NULL && account != NULL, "a posting of booking %lld has no booking or no account",
		(long long)column(st, 0));
	if (b == NULL || account == NULL)
		return;
	b->posted_nano += column(st, 2);
	b->revenue_nano += account->id == HOUSE_REVENUE ? column(st, 2) : 0;
	account->derived_nano += column(st, 2);
}

/* Tickets are their customers' postings; what the house got for them is what they say. */
static void
check_booking(struct audit *a, struct query *st)
{
	const struct audit_booking *b = booking_of(a, column(st, 0));
	a->booked_nano += column(st, 5);
	bool tickets = column(st, 1) == BOOKING_TICKETS;
	bool holds = b != NULL && b->posted_nano == b->ticket_nano && b->tickets == column(st, 2) && b->ticket_nano == column(st, 5);
	if (holds && tickets)
		holds = b->revenue_nano == b->ticket_nano + b->loss_nano && (int64_t)b->first == column(st, 3) &&
			(int64_t)b->last == column(st, 4);
	expect(a, INV_1, holds, "booking %lld: postings %lld, tickets %lld (%lld of %lld)", (long long)column(st, 0),
		(long long)(b != NULL ? b->posted_nano : 0), (long long)(b != NULL ? b->ticket_nano : 0),
		(long long)(b != NULL ? b->tickets : 0), (long long)column(st, 2));
}

static void
check_balances(struct audit *a)
{
	__int128 balances = 0, derived = 0;
	for (size_t i = 0; i < a->account_count; i++) {
		const struct audit_account *x = &a->accounts[i];
		expect(a, INV_2, x->kind != 0 || x->balance_nano >= 0, "account %llu has %lld", (unsigned long long)x->id,
			(long long)x->balance_nano);
		expect(a, INV_3, x->balance_nano == x->derived_nano, "account %llu: balance %lld, postings %lld",
			(unsigned long long)x->id, (long long)x->balance_nano, (long long)x->derived_nano);
		balances += x->balance_nano;
		derived += x->derived_nano;
	}
	expect(a, INV_9, derived == 0, "postings sum to %lld", (long long)derived);
	expect(a, INV_9, balances == 0, "balances sum to %lld", (long long)balances);
}

/* ---- usage ---- */

static void
check_usage_row(struct audit *a, struct query *st)
{
	struct usage_sum group = {
		.day = column(st, 0), .account = column(st, 1), .key = column(st, 2), .model = column(st, 3)};
	const struct usage_sum *s = usage_find(&a->usage, &group);
	bool holds = s != NULL;
	for (int i = 0; i < USAGE_COUNTS && holds; i++)
		holds = s->counts[i] == column(st, 4 + i);
	expect(a, INV_10, holds, "day %lld, account %lld, key %lld, model %lld", (long long)group.day,
		(long long)group.account, (long long)group.key, (long long)group.model);
}

static void
read_mark(struct audit *a, struct query *st)
{
	a->marks[column(st, 0) & (TICKET_ID_NODES_MAX - 1)] = column(st, 1);
}

static bool
check_usage(struct audit *a)
{
	if (!each(a, "SELECT * FROM usage_day", check_usage_row))
		return false;
	expect(a, INV_10, a->checks[INV_10].checked == (int64_t)a->usage.count, "tickets of %zu groups, rows of %lld",
		a->usage.count, (long long)a->checks[INV_10].checked);
	return true;
}

/* ---- the rest ---- */

static const char *const triggers[] = {"posting_is_final", "posting_stays", "ticket_is_final", "ticket_stays",
	"posting_in_time", "booking_is_final",
	"booking_stays", "booking_closes", "operation_is_final", "operation_stays", "operation_is_one", "price_is_final", "price_stays",
	"change_is_final", "change_stays", "account_stays", "account_is_one", "item_stays", "item_is_one", "item_resolves_once",
	"receipt_key_is_final", "receipt_key_stays", "receipt_batch_is_final", "receipt_batch_stays", "receipt_batch_follows", "receipt_node_is_final", "receipt_node_stays",
	"reconciliation_is_final", "reconciliation_stays", "proposal_is_final", "proposal_stays", "work_ends_once", "work_stays", "work_usage_is_final", "work_usage_stays"};

static void
check_unguarded(struct audit *a, struct query *st)
{
	expect(a, INV_5, false, "%.60s can be emptied: its trigger before TRUNCATE is missing", sql_str(st, 0));
}

static bool
check_triggers(struct audit *a)
{
	struct query *st = sql_prepare(&a->store, sql_text(&a->store, SQL_trigger_there));
	bool ok = st != NULL;
	for (size_t i = 0; ok && i < ARRAY_LEN(triggers); i++) {
		int64_t there = 0;
		sql_bind_text(st, 1, triggers[i]);
		ok = sql_number(&a->store, st, &there);
		expect(a, INV_5, there == 1, "the trigger %s is missing", triggers[i]);
	}
	sql_free(st);
	return ok && each(a, sql_text(&a->store, SQL_tables_unguarded), check_unguarded);
}

static void
check_operation(struct audit *a, struct query *st)
{
	expect(a, INV_6, column(st, 1) == 1, "what came of the order \"%.64s\" is not there",
		sql_str(st, 0));
}

static void
check_order(struct audit *a, struct query *st)
{
	expect(a, INV_6, column(st, 1) == 0, "booking %lld is still waiting as an intent", (long long)column(st, 0));
}

static void
check_file(struct audit *a, struct query *st)
{
	const char *said = sql_str(st, 0);
	expect(a, INV_FILE, strcmp(said, "ok") == 0, "%.150s", said);
}

static void
check_foreign_key(struct audit *a, struct query *st)
{
	expect(a, INV_FILE, false, "a row of %.40s refers to nothing", sql_str(st, 0));
}

/* The file's own check is one long step in which no round could run: without a server only. */
static bool
check_whole_file(struct ledger *l, struct audit *a)
{
	const char *const *whole = l->store.kind->whole;
	return l->o.board != NULL || whole[0] == NULL || (each(a, whole[0], check_file) && each(a, whole[1], check_foreign_key));
}

static bool
check_orders(struct audit *a)
{
	return each(a,
			   "SELECT ref, (SELECT count(*) FROM account WHERE id = subject AND kind = 0) + (SELECT count(*) FROM key WHERE id = subject)"
			   " + (SELECT count(*) FROM booking WHERE id = subject AND kind <> 1 AND subject > 0) + (SELECT count(*) FROM proposal WHERE id = subject) FROM operation",
			   check_operation) &&
		each(a,
			"SELECT booking.id, EXISTS (SELECT 1 FROM intent WHERE intent.id = booking.intent) "
			"FROM booking WHERE intent IS NOT NULL",
			check_order);
}

static bool
read_all(struct audit *a)
{
	return each(a, "SELECT id, kind, balance_nano, owed_nano FROM account ORDER BY id", read_account) &&
		each(a, "SELECT id FROM booking ORDER BY id", read_booking) &&
		each(a, "SELECT number, floor_ms, ceiling_ms, node FROM boot ORDER BY node, number", read_boot) &&
		each(a, a->store.node < 0 ? "SELECT 0, booking FROM usage_mark" : "SELECT node, booking FROM usage_node", read_mark) && price_book_load(&a->store, &a->prices) &&
		read_tickets(a) && each(a, "SELECT booking, account, amount_nano FROM posting", read_posting);
}

/* ---- proposals ---- */

static void
check_proposal(struct audit *a, struct query *st)
{
	int64_t account = column(st, 1), subject = column(st, 3);
	bool loss = account == HOUSE_LOSS_ESTIMATE, rejected = subject == (loss ? column(st, 0) : account);
	bool given = column(st, 4) == (loss ? ORDER_UNDERCOUNT : ORDER_CORRECTION) && column(st, 5) == (loss ? -column(st, 2) : column(st, 2));
	expect(a, INV_16, rejected || given, "proposal %lld of %lld was decided, and booking %lld gives %lld", (long long)column(st, 0), (long long)column(st, 2), (long long)subject,
		(long long)column(st, 5));
}

static void
check_correction(struct audit *a, struct query *st)
{
	expect(a, INV_16, column(st, 1) == 1, "booking %lld is what %lld proposals say", (long long)column(st, 0), (long long)column(st, 1));
}

/* Open ones too: what an operator may accept is a customer's, or the house's one account for it. */
static void
check_of_whom(struct audit *a, struct query *st)
{
	expect(a, INV_16, false, "proposal %lld is of account %lld", (long long)column(st, 0), (long long)column(st, 1));
}

static bool
check_proposals(struct audit *a)
{
	return each(a,
			   "SELECT p.id, p.account, p.amount_nano, o.subject, coalesce((SELECT what FROM booking WHERE booking.id = o.subject), -1), "
			   "coalesce((SELECT amount_nano FROM posting WHERE posting.booking = o.subject AND posting.account = p.account), 0) "
			   "FROM proposal AS p JOIN operation AS o ON o.ref = p.ref",
			   check_proposal) &&
		each(a,
			"SELECT booking.id, (SELECT count(*) FROM operation AS o JOIN proposal AS p ON p.ref = o.ref WHERE o.subject = booking.id) FROM booking WHERE what IN (19, 21)",
			check_correction) &&
		each(a, "SELECT p.id, p.account FROM proposal AS p JOIN account ON account.id = p.account WHERE account.kind NOT IN (0, 8)", check_of_whom);
}

/* ---- what is set aside ---- */

static void
check_item(struct audit *a, struct query *st)
{
	int64_t kind = column(st, 1), state = column(st, 2), amount = column(st, 3), open = column(st, 4), used = column(st, 5);
	bool sound = kind >= 1 && kind < ITEM_KIND_COUNT && open >= 0 && used >= 0 && open <= amount && used <= amount &&
		(state <= ITEM_OPEN || open == 0);
	expect(a, INV_11, sound, "item %lld: state %lld, %lld of %lld open, %lld charged", (long long)column(st, 0), (long long)state,
		(long long)open, (long long)amount, (long long)used);
	expect(a, INV_13, amount >= 1 && amount <= ORDER_NANO_MAX, "item %lld is worth %lld", (long long)column(st, 0), (long long)amount);
	if (sound && state == ITEM_OPEN)
		a->open_nano[kind] += open;
}

/* Each is opened by one booking and resolved by one at most; what is only ordered has none. */
static void
check_item_bookings(struct audit *a, struct query *st)
{
	int64_t state = column(st, 1), opened = column(st, 2), resolved = column(st, 3);
	expect(a, INV_11, opened == (state != ITEM_ORDERED) && resolved == (state > ITEM_OPEN),
		"item %lld: state %lld, opened by %lld bookings, resolved by %lld", (long long)column(st, 0), (long long)state,
		(long long)opened, (long long)resolved);
}

/* Of a payment is open what was neither refunded nor lost, nor is disputed. */
static void
check_payment(struct audit *a, struct query *st)
{
	expect(a, INV_11, column(st, 1) == column(st, 2) + column(st, 3), "payment %lld: %lld are gone, %lld refunded and %lld disputed",
		(long long)column(st, 0), (long long)column(st, 1), (long long)column(st, 2), (long long)column(st, 3));
}

static void
check_two_customers(struct audit *a, struct query *st)
{
	expect(a, INV_12, column(st, 1) <= 1, "booking %lld posts to %lld customers", (long long)column(st, 0), (long long)column(st, 1));
}

static void
check_houses(struct audit *a)
{
	__int128 owed = 0;
	for (size_t i = 0; i < a->account_count; i++) {
		const struct audit_account *x = &a->accounts[i];
		expect(a, INV_13, x->kind != 0 || x->balance_nano <= ORDER_NANO_MAX, "account %llu has %lld", (unsigned long long)x->id,
			(long long)x->balance_nano);
		owed += x->owed_nano;
		for (int kind = 1; kind < ITEM_KIND_COUNT; kind++)
			if (item_house(kind) != HOUSE_NONE && x->id == item_house(kind))
				expect(a, INV_11, x->balance_nano == a->open_nano[kind], "account %llu has %lld, open items are %lld",
					(unsigned long long)x->id, (long long)x->balance_nano, (long long)a->open_nano[kind]);
	}
	const struct audit_account *house = account_of(a, HOUSE_OWED);
	expect(a, INV_13, house != NULL && house->balance_nano == -owed, "customers owe %lld, the account for it has %lld", (long long)owed,
		(long long)(house != NULL ? house->balance_nano : 0));
}

/* Which kinds open and which resolve is in the table. */
static const char *
items_sql(void)
{
	static char sql[1200];
	char opening[300] = "-1", resolving[300] = "-1";
	size_t o = 2, r = 2;
#define X(name, number, word, first, second, third, effect, meaning) \
	if (EFFECT_##effect == EFFECT_OPEN) \
		o += (size_t)snprintf(opening + o, sizeof(opening) - o, ", %d", number); \
	else if (EFFECT_##effect >= EFFECT_SETTLE) \
		r += (size_t)snprintf(resolving + r, sizeof(resolving) - r, ", %d", number);
	ORDER_KINDS(X)
#undef X
	snprintf(sql, sizeof(sql),
		"SELECT id, state, (SELECT count(*) FROM booking WHERE booking.item = item.id AND booking.item <> 0 AND what IN (%s)), "
		"(SELECT count(*) FROM booking WHERE booking.item = item.id AND booking.item <> 0 AND what IN (%s)) FROM item",
		opening, resolving);
	return sql;
}

static void
check_work(struct audit *a, struct query *st)
{
	int64_t state = column(st, 1), item = column(st, 2);
	expect(a, INV_11, item >= ITEM_OPEN && column(st, 3) == 1 && (state != 3 || item > ITEM_OPEN), "work %lld: state %lld, its hold is in state %lld",
		(long long)column(st, 0), (long long)state, (long long)item);
	expect(a, INV_11, column(st, 4) == 0, "work %lld: the sums have %lld more than its hold was charged", (long long)column(st, 0), (long long)column(st, 4));
}

static bool
check_items(struct audit *a)
{
	return each(a, "SELECT id, kind, state, amount_nano, open_nano, used_nano FROM item", check_item) &&
		each(a, "SELECT work.id, work.state, coalesce(item.state, 0), CASE WHEN work.nano = item.amount_nano THEN 1 ELSE 0 END, coalesce((SELECT cost_nano FROM work_usage WHERE work_usage.id = work.id) - item.used_nano, 0) FROM work LEFT JOIN item ON item.id = work.hold AND item.account = work.account WHERE work.state > 0", check_work) &&
		each(a, items_sql(), check_item_bookings) &&
		each(a,
			"SELECT id, amount_nano - open_nano, -(SELECT coalesce(sum(posting.amount_nano), 0) FROM booking JOIN posting ON posting.booking = "
			"booking.id AND posting.account = item.account WHERE booking.item = item.id AND booking.item <> 0 AND what = 2), "
			"(SELECT coalesce(sum(amount_nano), 0) FROM item AS d WHERE d.account = item.account AND d.kind = 5 AND d.peer = item.id AND d.state IN (1, 2)) "
			"FROM item WHERE kind = 1 AND state = 1",
			check_payment) &&
		each(a, "SELECT booking, count(*) FROM posting WHERE account > 99 GROUP BY booking", check_two_customers);
}

static void
breathe(void *arg)
{
	ledger_breathe(arg);
}

static void
check_node(struct audit *a, struct query *st)
{
	expect(a, INV_17, column(st, 1) <= column(st, 2), "node %lld has fence %lld, the highest is %lld", (long long)column(st, 0), (long long)column(st, 1), (long long)column(st, 2));
}

static void
check_lent(struct audit *a, struct query *st)
{
	int64_t lent = column(st, 1), shares = column(st, 2), balance = column(st, 3);
	expect(a, INV_18, lent == shares && lent >= 0 && lent <= balance, "account %lld has %lld, lent %lld, and its shares are %lld", (long long)column(st, 0), (long long)balance, (long long)lent, (long long)shares);
}

/* What a limit was lowered by may be used and lent already. */
static void
check_window(struct audit *a, struct query *st)
{
	int64_t lent = column(st, 1), shares = column(st, 2);
	uint64_t row = (uint64_t)column(st, 0);
	expect(a, INV_18, lent == shares && lent >= 0, "window %lld of limit %lld: lent %lld, and its shares are %lld", (long long)(uint32_t)row, (long long)(row >> 32 & INT32_MAX), (long long)lent, (long long)shares);
}

/* Only where there can be several. */
static bool
check_nodes(struct audit *a)
{
	return a->store.node < 0 ||
		(each(a, "SELECT id, fence, (SELECT fence FROM pen) FROM node", check_node) &&
			each(a, "SELECT id, lent_nano, coalesce((SELECT sum(nano) FROM share WHERE share.account = account.id), 0), balance_nano FROM account WHERE kind = 0", check_lent) &&
			each(a, "SELECT id, lent_nano, coalesce((SELECT sum(nano) FROM budget_share WHERE budget_share.budget = budget.id), 0) FROM budget", check_window));
}

/* ---- what waits beside the store (outbox.h) ---- */

enum { OUTBOX_CHUNK = 256 };

static bool
check_booked(struct audit *a, struct query *by_id, const struct ticket_copy *t)
{
	struct ticket_copy there;
	sql_bind(by_id, (int64_t)t->id);
	enum sql_step step = sql_step(&a->store, by_id);
	if (step == SQL_ROW) {
		ticket_of_row(by_id, &there);
		expect(a, INV_OUTBOX, ticket_same(&there, t) || ticket_was_forgotten(&there, t), "ticket %llu waits, and is booked with other contents", (unsigned long long)t->id);
		sql_reset(by_id);
	}
	return step != SQL_FAILED;
}

/* What only ran may be settled in the store already, by what it had cost before: its node was forgotten. */
static bool
check_progress(struct audit *a, struct query *by_id, const struct ticket_copy *t)
{
	expect(a, INV_OUTBOX, ticket_id_node(t->id) == a->outbox.node, "ticket %llu is node %lld's, and waits in node %lld's outbox", (unsigned long long)t->id, (long long)ticket_id_node(t->id),
		(long long)a->outbox.node);
	return true;
}

static bool
check_settled(struct audit *a, struct query *by_id, const struct ticket_copy *t)
{
	(void)check_progress(a, by_id, t);
	expect(a, INV_OUTBOX, batch_is_sound(t), "ticket %llu waits, with a cost of %lld and a hold of %lld, and can't be booked", (unsigned long long)t->id, (long long)t->cost.v, (long long)t->hold.v);
	return check_booked(a, by_id, t);
}

static const struct {
	int (*read)(struct outbox *o, int64_t after, struct ticket_copy *ret, int max);
	bool (*check)(struct audit *a, struct query *by_id, const struct ticket_copy *t);
} waiting[] = {{outbox_read_settled, check_settled}, {outbox_read_progress, check_progress}};

static bool
each_waiting(struct audit *a, struct outbox *o, size_t which, struct query *by_id)
{
	static struct ticket_copy tickets[OUTBOX_CHUNK];
	int64_t after = 0;
	int count;
	bool ok = true;
	while (ok && (count = waiting[which].read(o, after, tickets, OUTBOX_CHUNK)) > 0) {
		for (int i = 0; ok && i < count; i++)
			ok = waiting[which].check(a, by_id, &tickets[i]);
		after = (int64_t)tickets[count - 1].id;
	}
	expect(a, INV_OUTBOX, !ok || count == 0, "the outbox can't be read behind ticket %lld: SQLite says %d", (long long)after, outbox_code(o));
	return ok;
}

/* Books in a file have none, and who came with a command has no number of its own. */
static void
check_whose(struct ledger *l, struct audit *a)
{
	const struct outbox_facts *f = &a->outbox;
	if (f->requests + f->running == 0)
		return;
	expect(a, INV_OUTBOX, l->store.node >= 0 && (f->store == 0 || f->store == l->store.identity), "%lld requests wait for store %lld, this is %lld", (long long)(f->requests + f->running),
		(long long)f->store, (long long)l->store.identity);
	expect(a, INV_OUTBOX, l->store.node < 0 || l->store.node == LEDGER_NODE_COMMANDS || l->store.node == f->node, "%lld requests wait for node %lld, this is %lld",
		(long long)(f->requests + f->running), (long long)f->node, (long long)l->store.node);
}

static bool
check_outbox(struct ledger *l, struct audit *a)
{
	struct outbox *o = NULL;
	enum outbox_seen seen = outbox_open_reader(l->o.data_dir, &o);
	expect(a, INV_OUTBOX, seen != OUTBOX_NEWER, "the outbox was written by a newer lethe");
	expect(a, INV_OUTBOX, seen != OUTBOX_UNREADABLE, "the outbox can't be read");
	if (seen != OUTBOX_SEEN)
		return true;
	a->outbox = *outbox_facts(o);
	check_whose(l, a);
	struct query *by_id = sql_prepare(&a->store, sql_text(&a->store, SQL_ticket_by_id));
	bool ok = by_id != NULL && each_waiting(a, o, 0, by_id) && each_waiting(a, o, 1, by_id);
	sql_free(by_id);
	outbox_close(&o);
	return ok;
}

static bool
audit(struct ledger *l, struct audit *a, char why[STORE_WHY_MAX])
{
	if (!store_open_reader(&a->store, &l->store, why))
		return false;
	store_breathe(&a->store, breathe, l);
	bool ok = store_snapshot(&a->store) && read_all(a) &&
		each(a, "SELECT id, kind, tickets, first_ticket, last_ticket, tickets_nano FROM booking", check_booking) &&
		check_usage(a) && check_triggers(a) && check_orders(a) && check_items(a) && check_proposals(a) && check_nodes(a) && check_outbox(l, a) && check_whole_file(l, a);
	if (ok) {
		check_balances(a);
		check_houses(a);
	} else
		snprintf(why, STORE_WHY_MAX, "%.100s can't be read: %.100s", l->store.name, store_error(&a->store));
	return ok;
}

static void
audit_free(struct audit *a)
{
	receipt_audit_free(&a->receipts);
	store_close(&a->store);
	price_book_free(&a->prices);
	free(a->accounts);
	free(a->bookings);
	free(a->boots);
	free(a->usage.sums);
}

/* ---- answer ---- */

static const char *const names[][2] = {
#define X(name, text, meaning) [name] = {text, meaning},
	INVARIANTS(X)
#undef X
};

static json_t *
check_json(const struct check *c, const char *const name[2])
{
	char detail[320];
	json_t *list = json_array();
	for (int64_t i = 0; i < c->broken && i < SHOWN; i++)
		json_array_append_new(list, json_string(c->first[i]));
	if (c->checked == 0 && name == names[INV_FILE])
		snprintf(detail, sizeof(detail), "not looked at while a server runs");
	else if (c->broken == 0)
		snprintf(detail, sizeof(detail), "%s", name[1]);
	else
		snprintf(detail, sizeof(detail), "%lld broken, the first: %s", (long long)c->broken, c->first[0]);
	json_t *text = json_string(detail);
	return json_pack("{s:s, s:b, s:I, s:o, s:I, s:o}", "inv", name[0], "ok", c->broken == 0, "checked",
		(json_int_t)c->checked, "detail", text != NULL ? text : json_string("broken"), "broken", (json_int_t)c->broken, "which", list);
}

/* Some of them, by which a customer's question is answered: each lost what it did after its last progress, PROGRESS_PERIOD_MS before its end at most. */
static json_t *
interrupted_json(const struct audit *a)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < a->interrupted && i < SHOWN; i++) {
		char text[ID_TEXT_MAX];
		id_text(ID_REQUEST, a->cut_short[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *
answer(const struct audit *a)
{
	json_t *o = control_ok(), *list = json_array();
	bool sound = true;
	for (int i = 0; i < INVARIANT_COUNT; i++) {
		sound = sound && a->checks[i].broken == 0;
		json_array_append_new(list, check_json(&a->checks[i], names[i]));
	}
	json_object_set_new(o, "sound", json_boolean(sound));
	json_object_set_new(o, "invariants", list);
	json_object_set_new(o, "tickets", json_integer(a->tickets));
	json_object_set_new(o, "bookings", json_integer((json_int_t)a->booking_count));
	json_object_set_new(o, "accounts", json_integer((json_int_t)a->account_count));
	json_object_set_new(o, "tickets_with_a_loss", json_integer(a->explained));
	json_object_set_new(o, "tickets_with_an_unexplained_difference", json_integer(a->unexplained));
	json_object_set_new(o, "tickets_interrupted", json_integer(a->interrupted));
	json_object_set_new(o, "interrupted", interrupted_json(a));
	json_object_set_new(o, "tickets_in_outbox", json_integer(a->outbox.requests));
	json_object_set_new(o, "tickets_put_aside", json_integer(a->outbox.refused));
	return o;
}

static void
sum_up(const struct audit *a, struct verify_sums *s)
{
	*s = (struct verify_sums){.tickets = a->tickets, .bookings = (int64_t)a->booking_count, .charged_nano = a->charged_nano, .booked_nano = a->booked_nano};
	for (int i = 0; i < INVARIANT_COUNT; i++)
		s->broken += a->checks[i].broken;
	for (size_t i = 0; i < a->account_count; i++) {
		s->derived_nano += a->accounts[i].kind == 0 ? a->accounts[i].derived_nano : 0;
		s->balances_nano += a->accounts[i].kind == 0 ? a->accounts[i].balance_nano : 0;
	}
}

json_t *
verify_books(struct ledger *l, struct verify_sums *ret)
{
	char why[STORE_WHY_MAX] = "";
	struct audit *a = calloc(1, sizeof(*a));
	if (a == NULL)
		abort();
	bool read = audit(l, a, why);
	json_t *o = read ? answer(a) : control_error("store_failed", "%s", why);
	if (read)
		work_put_troubles(l, o);
	sum_up(a, ret);
	audit_free(a);
	free(a);
	return o;
}

json_t *
control_ledger_verify(struct ledger *l, const json_t *request)
{
	struct verify_sums s;
	return verify_books(l, &s);
}
