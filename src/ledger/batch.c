#include "ledger/away.h"
#include "ledger/give_way.h"
#include "ledger/limit_priv.h"
#include "ledger/share_priv.h"
#include "ledger/ticket_same.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum tried { TRIED_BOOKED,
	TRIED_AGAIN,
	TRIED_WAITED,
	TRIED_FAILED }; /* AGAIN: a ticket was refused, roll back and book the others; WAITED: rolled back, another has a row of it in hand */

/* ---- sums ---- */

static struct account_sum *
sum_of(struct batch *b, uint64_t account)
{
	uint64_t place = account * 0x9e3779b97f4a7c15ULL >> 32;
	for (;; place++) {
		struct account_sum *s = &b->sums[place % BATCH_SUMS];
		if (s->batch != b->number) {
			*s = (struct account_sum){.account = account, .batch = b->number};
			s->chain = (uint16_t)b->sum_count;
			b->sums_used[b->sum_count++] = (uint16_t)(place % BATCH_SUMS);
			return s;
		}
		if (s->account == account)
			return s;
	}
}

static struct budget_sum *
budget_sum_of(struct batch *b, uint64_t row)
{
	uint64_t place = row * 0x9e3779b97f4a7c15ULL >> 32;
	for (;; place++) {
		struct budget_sum *s = &b->budgets[place % BATCH_BUDGETS];
		if (s->batch != b->number) {
			*s = (struct budget_sum){.row = row, .batch = b->number};
			b->budgets_used[b->budget_count++] = (uint16_t)(place % BATCH_BUDGETS);
			return s;
		}
		if (s->row == row)
			return s;
	}
}

static void
sums_start(struct batch *b)
{
	b->number++;
	b->sum_count = b->budget_count = 0;
	memset(b->house_nano, 0, sizeof(b->house_nano));
	b->first = UINT64_MAX;
	b->last = b->inserted = 0;
	b->paid_nano = 0;
	b->mismatched = b->interrupted = 0;
}

static void
sums_add(struct batch *b, struct account_sum *s, const struct ticket_copy *t, const struct appraisal *a)
{
	s->nano += t->cost.v;
	for (unsigned k = 0; k + 1 < t->legs; k++)
		budget_sum_of(b, t->row[k])->nano += t->cost.v;
	b->paid_nano += t->cost.v;
	b->house_nano[HOUSE_REVENUE] += t->cost.v;
	if (a->loss != HOUSE_NONE) {
		b->house_nano[HOUSE_REVENUE] += a->difference_nano;
		b->house_nano[a->loss] -= a->difference_nano;
	}
	b->first = t->id < b->first ? t->id : b->first;
	b->last = t->id > b->last ? t->id : b->last;
	b->inserted++;
	b->mismatched += a->difference_nano != 0 && a->loss == HOUSE_NONE;
	b->mismatched += !a->priced && t->cost.v != 0;
	b->interrupted += billing_cut_short(t->facts.end_reason);
}

/* ---- one ticket ---- */

static enum sql_put
insert_ticket(struct ledger *l, const struct ticket_copy *t, const struct appraisal *a, const struct chain_end *before)
{
	const struct ticket_facts *f = &t->facts;
#define X(name, type, unit, meaning, promise) (int64_t) f->name,
	const int64_t values[] = {(int64_t)t->id, l->next_booking, t->cost.v, t->hold.v, a->difference_nano, a->loss,
		(int64_t)l->receipts.next.size, before->leaf, (int64_t)before->place + 1, TICKET_FIELDS(X)};
#undef X
	return store_bulk_put(&l->store, values, ARRAY_LEN(values));
}

/*
 * The id is in the store already: the same ticket, booked by an attempt whose outcome was unknown,
 * or somebody else's?
 */
static enum tried
known_or_forged(struct ledger *l, const struct ticket_copy *t, uint8_t *ret_fate)
{
	struct ticket_copy there;
	struct query *st = store_sql(&l->store, SQL_ticket_by_id);
	sql_bind(st, (int64_t)t->id);
	enum sql_step step = sql_step(&l->store, st);
	*ret_fate = FATE_REFUSED;
	if (step == SQL_ROW) {
		ticket_of_row(st, &there);
		if (ticket_same(&there, t))
			*ret_fate = FATE_KNOWN;
	}
	sql_reset(st);
	return step == SQL_FAILED ? TRIED_FAILED : TRIED_BOOKED;
}

static bool
is_on_board(const struct ledger *l, const struct ticket_copy *t)
{
	return t->index < l->progress.count;
}

/* What is not on the board is forgotten with the others of its batch: forget_others(). */
static bool
forget_progress(struct ledger *l, const struct ticket_copy *t)
{
	if (!is_on_board(l, t) || l->progress.places[t->index].id != t->id)
		return true;
	struct query *st = store_sql(&l->store, SQL_progress_delete);
	sql_bind(st, (int64_t)t->id);
	return sql_done(&l->store, st);
}

bool
batch_is_sound(const struct ticket_copy *t)
{
	for (unsigned k = 0; k + 1 < t->legs; k++)
		if (!(t->row[k] & LIMIT_BUDGET_ROW))
			return false;
	return t->legs >= 1 && t->row[t->legs - 1] == t->facts.account && t->cost.v >= 0 && t->cost.v <= t->hold.v;
}

/* The account's chain as it is now, in this batch. */
static bool
find_chain(struct ledger *l, struct batch *b, struct account_sum *s)
{
	return s->chained || receipts_chain(l, s->account, &b->chains[s->chain]);
}

/* It is in the store: a leaf, and the end of its account's chain. */
static void
chain(struct ledger *l, struct batch *b, struct account_sum *s, const struct ticket_copy *t)
{
	struct chain_end *end = &b->chains[s->chain];
	const struct price_row *price = price_book_find(&l->prices, t->facts.price);
	struct receipt_row r = {.ticket = t, .booking = l->next_booking, .place = end->place + 1, .previous = end->hash};
	if (price != NULL)
		r.price = price->hash;
	end->leaf = (int64_t)l->receipts.next.size;
	end->place++;
	end->hash = b->leaves[b->inserted] = receipts_take(l, &r);
	s->chained = true;
}

static enum tried
book_exchange(struct ledger *l, struct batch *b, uint16_t i)
{
	const struct ticket_copy *t = &b->tickets[i];
	if (!batch_is_sound(t)) {
		b->fates[i] = FATE_REFUSED;
		return TRIED_BOOKED;
	}
	b->appraisals[i] = appraise(&l->prices, t);
	struct account_sum *s = sum_of(b, t->facts.account);
	if (!find_chain(l, b, s))
		return TRIED_FAILED;
	enum sql_put put = insert_ticket(l, t, &b->appraisals[i], &b->chains[s->chain]);
	if (put == SQL_PUT_FAILED)
		return TRIED_FAILED;
	b->fates[i] = FATE_BOOKED;
	if (put != SQL_PUT_NEW && known_or_forged(l, t, &b->fates[i]) == TRIED_FAILED)
		return TRIED_FAILED;
	if (b->fates[i] == FATE_BOOKED) {
		chain(l, b, s, t);
		sums_add(b, s, t, &b->appraisals[i]);
	}
	return b->fates[i] == FATE_REFUSED || forget_progress(l, t) ? TRIED_BOOKED : TRIED_FAILED;
}

static enum tried
book_order(struct ledger *l, struct batch *b, uint16_t i)
{
	enum ordered booked = share_on(l) ? share_book(l, &b->tickets[i]) : order_book(l, b->tickets[i].id);
	/* A move is REFUSED only when it was never booked, and then nothing has come of it. */
	if (booked == ORDER_REFUSED && share_on(l) && b->tickets[i].cost.v < 0) {
		b->fates[i] = FATE_DROPPED;
		return TRIED_AGAIN;
	}
	switch (booked) {
	case ORDER_BOOKED:
	case ORDER_KNOWN:
		b->fates[i] = FATE_ORDER;
		return TRIED_BOOKED;
	case ORDER_REFUSED:
		b->fates[i] = FATE_REFUSED;
		return TRIED_AGAIN;
	case ORDER_FAILED:
		break;
	}
	return TRIED_FAILED;
}

static bool
is_order(const struct ledger *l, const struct ticket_copy *t)
{
	return t->index < l->progress.count && board_is_ledger_ticket(l->o.board, t->index);
}

static enum tried
book_those(struct ledger *l, struct batch *b, bool orders)
{
	enum tried tried = TRIED_BOOKED;
	for (size_t i = 0; i < b->count && tried == TRIED_BOOKED; i++) {
		uint16_t at = b->order[i];
		if (b->fates[at] != FATE_REFUSED && b->fates[at] != FATE_DROPPED && is_order(l, &b->tickets[at]) == orders)
			tried = orders ? book_order(l, b, at) : book_exchange(l, b, at);
	}
	return tried;
}

/* ---- the batch's own booking ---- */

static bool
insert_booking(struct ledger *l, const struct batch *b)
{
	struct query *st = store_sql(&l->store, SQL_booking_insert);
	sql_bind(st, l->next_booking, (int64_t)clock_wall_us(), (int64_t)b->inserted, (int64_t)b->first, (int64_t)b->last, b->paid_nano);
	return sql_later(&l->store, st);
}

static bool
post_house(struct ledger *l, enum house_account account, int64_t nano)
{
	struct query *st = store_sql(&l->store, SQL_posting_insert);
	sql_bind(st, l->next_booking, account, nano);
	if (!sql_later(&l->store, st))
		return false;
	st = store_sql(&l->store, SQL_house_add);
	sql_bind(st, account, nano);
	return sql_later(&l->store, st);
}

static bool
post_houses(struct ledger *l, const struct batch *b)
{
	bool ok = true;
	for (int a = 1; ok && a < HOUSE_COUNT; a++)
		if (b->house_nano[a] != 0)
			ok = post_house(l, a, b->house_nano[a]);
	return ok;
}

static bool
has_leg(const struct ticket_copy *t, uint64_t row)
{
	for (unsigned k = 0; k < t->legs; k++)
		if (t->row[k] == row)
			return true;
	return false;
}

static void
refuse_row(struct batch *b, uint64_t row)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->fates[i] == FATE_BOOKED && has_leg(&b->tickets[i], row))
			b->fates[i] = FATE_REFUSED;
}

static int
by_account(const void *x, const void *y, void *arg)
{
	const struct batch *b = arg;
	uint64_t a = b->sums[*(const uint16_t *)x].account, c = b->sums[*(const uint16_t *)y].account;
	return a < c ? -1 : a > c;
}

struct paying {
	struct batch *b;
	bool refused;
};

/* INV-2: one conditional statement an account; that it does not hold means that board and store disagree. Who has no ticket here has nothing to pay. */
static void
fill_charge(void *arg, size_t i, struct query *st)
{
	const struct batch *b = ((struct paying *)arg)->b;
	const struct account_sum *s = &b->sums[b->sums_used[i]];
	const struct chain_end *end = &b->chains[s->chain];
	sql_bind(st, (int64_t)s->account, s->nano, (int64_t)end->place, end->leaf);
	if (b->node >= 0)
		sql_bind_int(st, 5, b->node);
}

static void
take_charge(void *arg, size_t i, int changes)
{
	struct paying *p = arg;
	if (changes == 1)
		return;
	refuse_row(p->b, p->b->sums[p->b->sums_used[i]].account);
	p->refused = true;
}

static void
forget_unchained(struct batch *b)
{
	size_t count = 0;
	for (size_t i = 0; i < b->sum_count; i++)
		if (b->sums[b->sums_used[i]].chained)
			b->sums_used[count++] = b->sums_used[i];
	b->sum_count = count;
}

/* What was spent of limits of money, in the same transaction. */
static void
fill_budget(void *arg, size_t i, struct query *st)
{
	const struct batch *b = ((struct paying *)arg)->b;
	const struct budget_sum *s = &b->budgets[b->budgets_used[i]];
	sql_bind(st, (int64_t)s->row, s->nano);
	if (b->node >= 0)
		sql_bind_int(st, 3, b->node);
}

static void
take_budget(void *arg, size_t i, int changes)
{
	struct paying *p = arg;
	if (changes == 1)
		return;
	refuse_row(p->b, p->b->budgets[p->b->budgets_used[i]].row);
	p->refused = true;
}

static enum tried
pay_all(struct ledger *l, struct batch *b)
{
	struct paying p = {.b = b};
	forget_unchained(b);
	/* Neighbours lie on the same page. */
	qsort_r(b->sums_used, b->sum_count, sizeof(b->sums_used[0]), by_account, b);
	if (!sql_many(&l->store, store_sql(&l->store, b->node >= 0 ? SQL_share_charge : SQL_account_charge), b->sum_count, fill_charge, take_charge, &p))
		return TRIED_FAILED;
	if (!p.refused && !sql_many(&l->store, store_sql(&l->store, b->node >= 0 ? SQL_budget_share_pay : SQL_budget_pay), b->budget_count, fill_budget, take_budget, &p))
		return TRIED_FAILED;
	return p.refused ? TRIED_AGAIN : TRIED_BOOKED;
}

static enum tried
close_booking(struct ledger *l, struct batch *b)
{
	if (b->inserted == 0)
		return TRIED_BOOKED;
	enum tried tried = pay_all(l, b);
	if (tried != TRIED_BOOKED)
		return tried;
	bool ok = post_houses(l, b) && insert_booking(l, b);
	give_way();
	ok = ok && receipts_sign(l, b->leaves, b->inserted);
	give_way();
	/* Also where one of them could not even be sent. */
	if (!sql_all_done(&l->store) || !ok)
		return TRIED_FAILED;
	l->next_booking++;
	return TRIED_BOOKED;
}

/* Their ids, in order, and the accounts that they are of: PostgreSQL asks for all of them at once which it has, and where their chains end. */
static bool
announce_tickets(struct ledger *l, struct batch *b)
{
	static int64_t ids[BATCH_MAX], accounts[BATCH_MAX];
	size_t count = 0;
	for (size_t i = 0; i < b->count; i++) {
		const struct ticket_copy *t = &b->tickets[b->order[i]];
		if (b->fates[b->order[i]] != FATE_REFUSED && !is_order(l, t) && batch_is_sound(t)) {
			ids[count++] = (int64_t)t->id;
			sum_of(b, t->facts.account);
		}
	}
	for (size_t i = 0; i < b->sum_count; i++)
		accounts[i] = (int64_t)b->sums[b->sums_used[i]].account;
	return count == 0 || (store_bulk_begin(&l->store, ids, count) && receipts_chains(l, accounts, b->sum_count));
}

static void
fill_id(void *arg, size_t i, struct query *st)
{
	sql_bind(st, ((const int64_t *)arg)[i]);
}

/* Out of an outbox or out of the store itself come hundreds at once, and others wait for the pen meanwhile. */
static bool
forget_others(struct ledger *l, const struct batch *b)
{
	static int64_t ids[BATCH_MAX];
	size_t count = 0;
	for (size_t i = 0; i < b->count; i++)
		if ((b->fates[i] == FATE_BOOKED || b->fates[i] == FATE_KNOWN) && !is_on_board(l, &b->tickets[i]))
			ids[count++] = (int64_t)b->tickets[i].id;
	return sql_many(&l->store, store_sql(&l->store, SQL_progress_delete), count, fill_id, NULL, ids);
}

/* Orders first: each is a booking of its own, and the one booking of all tickets has the number after them. */
static enum tried
fill_transaction(struct ledger *l, struct batch *b)
{
	enum tried tried = book_those(l, b, true);
	if (tried == TRIED_BOOKED && !announce_tickets(l, b))
		return TRIED_FAILED;
	if (tried == TRIED_BOOKED)
		tried = book_those(l, b, false);
	if (tried == TRIED_BOOKED && (!store_bulk_end(&l->store) || !forget_others(l, b)))
		return TRIED_FAILED;
	give_way();
	return tried == TRIED_BOOKED ? close_booking(l, b) : tried;
}

static enum tried
book_once(struct ledger *l, struct batch *b)
{
	sums_start(b);
	for (size_t i = 0; i < b->count; i++)
		b->fates[i] = b->fates[i] == FATE_REFUSED || b->fates[i] == FATE_DROPPED ? b->fates[i] : FATE_OPEN;
	if (!ledger_begin(l))
		return TRIED_FAILED;
	l->store.code = 0;
	int64_t booking = l->next_booking;
	enum tried tried = receipts_begin(l) ? fill_transaction(l, b) : TRIED_FAILED;
	if (tried == TRIED_BOOKED && store_commit(&l->store))
		return TRIED_BOOKED;
	tried = tried == TRIED_BOOKED ? TRIED_FAILED : tried;
	if (tried == TRIED_FAILED)
		receipts_unknown(l);
	int code = l->store.code;
	store_rollback(&l->store);
	l->store.code = code;
	l->next_booking = booking;
	return tried == TRIED_FAILED && store_waited(&l->store) ? TRIED_WAITED : tried;
}

/* ---- after the commit ---- */

static void
note_losses(struct ledger *l, const struct batch *b)
{
	for (int a = HOUSE_LOSS_CRASH; a < HOUSE_COUNT; a++)
		if (b->house_nano[a] != 0)
			ledger_event(l, EVENT_LOSS, (uint64_t)a, (uint64_t)-b->house_nano[a]);
	l->stats.mismatched += b->mismatched;
	l->stats.interrupted += b->interrupted;
	if (b->mismatched != 0)
		ledger_event(l, EVENT_COST_MISMATCH, b->mismatched, 0);
	if (b->interrupted != 0)
		ledger_event(l, EVENT_BOOKED_INTERRUPTED, b->interrupted, 0);
}

/* Those that another attempt had booked have their links in the store. */
static void
know_chains(struct ledger *l, const struct batch *b)
{
	receipts_committed(l);
	for (size_t i = 0; i < b->sum_count; i++) {
		const struct account_sum *s = &b->sums[b->sums_used[i]];
		if (s->chained)
			receipts_known(l, s->account, &b->chains[s->chain]);
	}
}

static void
take_note(struct ledger *l, struct batch *b, int64_t booking)
{
	uint64_t refused = 0;
	for (size_t i = 0; i < b->count; i++) {
		const struct ticket_copy *t = &b->tickets[i];
		refused += b->fates[i] == FATE_REFUSED;
		if (b->fates[i] == FATE_BOOKED && ledger_is_ours(l, t))
			usage_add(&l->usage, t, booking);
		if (b->fates[i] != FATE_REFUSED && t->index < l->progress.count)
			l->progress.places[t->index] = (struct progress_place){0};
	}
	know_chains(l, b);
	l->stats.booked += b->inserted;
	l->stats.quarantined += refused;
	if (refused != 0)
		ledger_event(l, EVENT_QUARANTINED, refused, 0);
	if (b->last != 0 && ticket_id_unix_ms(b->last) > l->newest_ticket_ms)
		l->newest_ticket_ms = ticket_id_unix_ms(b->last);
	note_losses(l, b);
}

void
batch_keep_refused(struct batch *b)
{
	size_t kept = 0;
	for (size_t i = 0; i < b->count; i++)
		if (b->fates[i] == FATE_REFUSED) {
			b->tickets[kept] = b->tickets[i];
			b->fates[kept++] = FATE_OPEN;
		}
	b->count = kept;
}

static int
by_ticket_id(const void *x, const void *y, void *arg)
{
	const struct batch *b = arg;
	uint64_t a = b->tickets[*(const uint16_t *)x].id, c = b->tickets[*(const uint16_t *)y].id;
	return a < c ? -1 : a > c;
}

bool
batch_book(struct ledger *l)
{
	struct batch *b = l->batch;
	for (size_t i = 0; i < b->count; i++)
		b->order[i] = (uint16_t)i;
	qsort_r(b->order, b->count, sizeof(b->order[0]), by_ticket_id, b);
	give_way();
	uint64_t begin_us = clock_monotonic_us();
	enum tried tried;
	int waited = 0;
	/* Who has such a row has it for one statement, or is stopped: a stall would be for longer than either. */
	do
		tried = book_once(l, b);
	while (tried == TRIED_AGAIN || (tried == TRIED_WAITED && store_try_again(&l->store, ++waited)));
	give_way();
	if (tried == TRIED_BOOKED) {
		observe_batch(l, l->next_booking - 1, clock_monotonic_us() - begin_us);
		take_note(l, b, l->next_booking - 1);
	}
	return tried == TRIED_BOOKED;
}
