/* The model of orders: what each must have moved, said once more. */
#include "simulation/books_priv.h"

#include <stdlib.h>
#include <string.h>

static struct book_item *
item_of(uint64_t id)
{
	for (uint32_t i = 0; i < books.items; i++)
		if (books.item[i].id == id)
			return &books.item[i];
	violation("there is a booking about item %llu, which nobody made", (unsigned long long)id);
}

static void
must_be(bool so, const struct booked_order *o, const char *what)
{
	if (!so)
		violation("booking %lld (%s, kind %lld, %lld): %s", (long long)o->booking, o->ref, (long long)o->what, (long long)o->nano, what);
}

static struct book_item *
open_item(const struct booked_order *o, enum item_kind kind)
{
	struct book_item *i = item_of(o->item);
	must_be(i->kind == kind && i->state == ITEM_OPEN, o, "what it is about was resolved before");
	return i;
}

/* The customer's, and the house's that has the other side. */
static void
move_money(const struct booked_order *o, int account, int64_t nano, enum house_account house)
{
	must_be(o->nano == nano, o, "the customer should get another amount");
	books.balance[account] += nano;
	books.house[house] -= nano;
	must_be(books.balance[account] >= 0, o, "the customer has less than nothing");
}

static void
make_item(const struct booked_order *b, struct sim_order *o, enum item_kind kind, int64_t open)
{
	must_be(b->item != 0 && books.items < ITEMS_MAX, b, "it makes no item");
	for (uint32_t i = 0; i < books.items; i++)
		must_be(books.item[i].id != b->item, b, "its item was there before");
	books.item[books.items++] = (struct book_item){.id = b->item, .kind = kind, .state = ITEM_OPEN, .a = o->a, .b = o->b, .amount = o->nano, .open = open, .expires_s = o->expires_s};
	o->item = b->item;
}

/* ---- by form ---- */

static void
top_up(const struct booked_order *b, struct sim_order *o)
{
	int64_t pays = books.owed[o->a] < o->nano ? books.owed[o->a] : o->nano;
	move_money(b, o->a, o->nano - pays, HOUSE_CLEARING);
	books.owed[o->a] -= pays;
	books.house[HOUSE_OWED] += pays;
	books.house[HOUSE_CLEARING] -= pays;
	make_item(b, o, ITEM_PAYMENT, o->nano);
}

static void
refund(const struct booked_order *b, const struct sim_order *o)
{
	struct book_item *i = open_item(b, ITEM_PAYMENT);
	must_be(i->open >= o->nano, b, "more than was paid goes back");
	move_money(b, i->a, -o->nano, HOUSE_CLEARING);
	i->open -= o->nano;
}

static void
voucher(const struct booked_order *b, struct sim_order *o)
{
	must_be(b->nano == 0, b, "a voucher moves nobody's money");
	books.house[HOUSE_ADJUSTMENT] -= o->nano;
	books.house[HOUSE_VOUCHER] += o->nano;
	make_item(b, o, ITEM_VOUCHER, o->nano);
}

static void
redeem(const struct booked_order *b, const struct sim_order *o)
{
	struct book_item *i = open_item(b, ITEM_VOUCHER);
	must_be(i->expires_s == 0 || o->asked_us < (uint64_t)i->expires_s * 1000000, b, "its time was over when it was asked for");
	move_money(b, o->a, i->amount, HOUSE_VOUCHER);
	i->state = ITEM_SETTLED;
}

static void
voucher_back(const struct booked_order *b, enum item_state state)
{
	struct book_item *i = open_item(b, ITEM_VOUCHER);
	must_be(b->nano == 0, b, "a voucher moves nobody's money");
	books.house[HOUSE_VOUCHER] -= i->amount;
	books.house[HOUSE_ADJUSTMENT] += i->amount;
	i->state = state;
}

static void
hold_settle(const struct booked_order *b, const struct sim_order *o)
{
	struct book_item *i = open_item(b, ITEM_HOLD);
	must_be(o->nano <= i->amount, b, "it costs more than its hold");
	move_money(b, i->a, i->amount - o->nano, HOUSE_STANDING);
	books.house[HOUSE_STANDING] -= o->nano;
	books.house[HOUSE_REVENUE] += o->nano;
	books_spent(i->a, o->nano);
	i->state = ITEM_SETTLED;
}

static void
hold_back(const struct booked_order *b, enum item_state state)
{
	struct book_item *i = open_item(b, ITEM_HOLD);
	move_money(b, i->a, i->amount, HOUSE_STANDING);
	i->state = state;
}

static int64_t
gifts_left(int account)
{
	const struct book_gifts *g = &books.gifts[account];
	return g->given - g->spent - g->gone;
}

/* What there is of it, less only where requests hold the rest, or free credit is it. */
static void
dispute(const struct booked_order *b, struct sim_order *o)
{
	struct book_item *payment = item_of(orders[o->about].item);
	must_be(payment->open >= o->nano, b, "more is disputed than was paid");
	int64_t most = books.balance[payment->a] < o->nano ? books.balance[payment->a] : o->nano;
	must_be(b->nano <= 0 && -b->nano <= most, b, "more is set aside than there is, or is disputed");
	int64_t paid = books.balance[payment->a] - gifts_left(payment->a), least = paid < 0 ? 0 : paid < most ? paid : most;
	must_be(-b->nano >= least || account_is_busy(payment->a), b, "less is set aside than there is");
	payment->open -= o->nano;
	o->a = payment->a;
	move_money(b, payment->a, b->nano, HOUSE_DISPUTE);
	make_item(b, o, ITEM_DISPUTE, -b->nano);
	books.item[books.items - 1].peer = payment->id;
}

static void
dispute_won(const struct booked_order *b)
{
	struct book_item *i = open_item(b, ITEM_DISPUTE);
	move_money(b, i->a, i->open, HOUSE_DISPUTE);
	item_of(i->peer)->open += i->amount;
	i->state = ITEM_RELEASED;
}

static void
dispute_lost(const struct booked_order *b)
{
	struct book_item *i = open_item(b, ITEM_DISPUTE);
	int64_t missing = i->amount - i->open, pays = -b->nano;
	must_be(pays >= 0 && pays <= missing && pays <= books.balance[i->a], b, "more is taken than is missing");
	books.balance[i->a] -= pays;
	books.owed[i->a] += missing - pays;
	books.house[HOUSE_OWED] -= missing - pays;
	books.house[HOUSE_CLEARING] += i->amount;
	books.house[HOUSE_DISPUTE] -= i->open;
	i->state = ITEM_SETTLED;
}

/* What goes back is what nobody has spent, or else it is the customer's own. */
static void
gift_back(const struct booked_order *b, int account)
{
	struct book_gifts *g = &books.gifts[account];
	g->loose |= g->looked == books.looks || account_is_busy(account);
	g->gone += -b->nano;
	must_be(g->loose || g->given - g->spent - g->gone >= 0, b, "free credit goes back that was spent");
}

static void
grant_back(const struct booked_order *b, bool all, enum item_state state)
{
	struct book_item *i = open_item(b, ITEM_GRANT);
	must_be(b->nano <= 0 && -b->nano <= i->open, b, "more free credit goes back than was given");
	move_money(b, i->a, b->nano, HOUSE_FREE);
	gift_back(b, i->a);
	i->open += b->nano;
	if (all)
		i->state = state;
}

static void
ordered(const struct booked_order *b, struct sim_order *o)
{
	must_be(o->booking == 0, b, "that order is booked already");
	must_be(!o->refused, b, "its giver was told that it is not done");
	o->booking = b->booking;
	switch (o->form) {
	case FORM_ADJUST:
		move_money(b, o->a, o->nano, HOUSE_ADJUSTMENT);
		break;
	case FORM_DEBIT:
		move_money(b, o->a, -o->nano, HOUSE_ADJUSTMENT);
		break;
	case FORM_TOP_UP:
		top_up(b, o);
		break;
	case FORM_REFUND:
		refund(b, o);
		break;
	case FORM_GRANT:
		move_money(b, o->a, o->nano, HOUSE_FREE);
		books.gifts[o->a].given += o->nano;
		make_item(b, o, ITEM_GRANT, o->nano);
		break;
	case FORM_TRANSFER:
		move_money(b, o->a, -o->nano, HOUSE_TRANSIT);
		make_item(b, o, ITEM_TRANSFER, o->nano);
		break;
	case FORM_VOUCHER:
		voucher(b, o);
		break;
	case FORM_REDEEM:
		redeem(b, o);
		break;
	case FORM_VOUCHER_REVOKE:
		voucher_back(b, ITEM_RELEASED);
		break;
	case FORM_GRANT_REVOKE:
		must_be(b->nano < 0, b, "nothing is taken back");
		grant_back(b, b->what == ORDER_GRANT_REVOKE, ITEM_RELEASED);
		break;
	case FORM_HOLD:
		move_money(b, o->a, -o->nano, HOUSE_STANDING);
		make_item(b, o, ITEM_HOLD, o->nano);
		break;
	case FORM_HOLD_SETTLE:
		hold_settle(b, o);
		break;
	case FORM_HOLD_RELEASE:
		hold_back(b, ITEM_RELEASED);
		break;
	case FORM_DISPUTE:
		dispute(b, o);
		break;
	case FORM_DISPUTE_WON:
		dispute_won(b);
		break;
	case FORM_DISPUTE_LOST:
		dispute_lost(b);
		break;
	case FORM_REVOKE:
	case FORM_LIMIT:
		must_be(false, b, "an order that moves no money");
	}
}

/* ---- what time brings ---- */

static void
must_be_over(const struct booked_order *b, const struct book_item *i)
{
	must_be(i->expires_s != 0 && (uint64_t)i->expires_s * 1000000 <= sim.latest_us, b, "its time is not over");
}

void
books_spent(int account, int64_t nano)
{
	struct book_gifts *g = &books.gifts[account];
	int64_t left = gifts_left(account);
	g->spent += nano < left ? nano : left;
	g->looked = books.looks;
}

static void
arrival(const struct booked_order *b)
{
	struct book_item *i = open_item(b, ITEM_TRANSFER);
	move_money(b, i->b, i->amount, HOUSE_TRANSIT);
	i->state = ITEM_SETTLED;
}

static void
by_itself(const struct booked_order *b)
{
	switch (b->what) {
	case ORDER_GRANT_PART:
	case ORDER_GRANT_EXPIRY:
		must_be_over(b, item_of(b->item));
		grant_back(b, b->what == ORDER_GRANT_EXPIRY, ITEM_EXPIRED);
		break;
	case ORDER_VOUCHER_EXPIRY:
		must_be_over(b, item_of(b->item));
		voucher_back(b, ITEM_EXPIRED);
		break;
	case ORDER_HOLD_EXPIRY:
		must_be_over(b, item_of(b->item));
		hold_back(b, ITEM_EXPIRED);
		break;
	case ORDER_TRANSFER_ARRIVAL:
		arrival(b);
		break;
	default:
		must_be(false, b, "nobody has ordered that");
	}
}

void
books_order(const struct booked_order *o)
{
	trace("  booking %lld: %s, %lld", (long long)o->booking, o->ref, (long long)o->nano);
	if (o->ref[0] != 'o') {
		by_itself(o);
		return;
	}
	unsigned long at = strtoul(o->ref + 1, NULL, 10);
	must_be(at < order_count, o, "nobody has ordered that");
	ordered(o, &orders[at]);
}

static bool
has_hold(int account)
{
	for (uint32_t i = 0; i < books.items; i++)
		if (books.item[i].kind == ITEM_HOLD && books.item[i].state == ITEM_OPEN && books.item[i].a == account)
			return true;
	return false;
}

void
books_items_at_rest(void)
{
	for (uint32_t i = 0; i < books.items; i++) {
		const struct book_item *x = &books.item[i];
		bool ends = x->kind == ITEM_TRANSFER || ((x->kind == ITEM_GRANT || x->kind == ITEM_VOUCHER || x->kind == ITEM_HOLD) && x->expires_s != 0);
		/* The mad edges' tickets hold what is left of a grant for ever; it waits for standing holds as well, and those may have no end. */
		if (ends && x->state == ITEM_OPEN && x->a != SIM_MALLORY && !(x->kind == ITEM_GRANT && has_hold(x->a)))
			violation("item %llu of kind %d is still open at the end", (unsigned long long)x->id, (int)x->kind);
	}
}
