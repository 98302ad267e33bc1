#include "ledger/away.h"
#include "ledger/limit_priv.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"

enum { CHUNK = 2048,
	PACE_MS = 50 /* between the chunks of a sweep */ };

static void
fill_row(void *arg, size_t i, struct query *st)
{
	const struct ticket_copy *t = (const struct ticket_copy *)arg + i;
	const struct ticket_facts *f = &t->facts;
	/* Read while the edge runs: a cost from after an extension may stand beside the hold from before it. */
	int64_t cost = t->cost.v < t->hold.v ? t->cost.v : t->hold.v;
#define X(name, type, unit, meaning, promise) (int64_t) f->name,
	sql_bind(st, (int64_t)t->id, t->index, cost, t->hold.v, TICKET_FIELDS(X));
#undef X
}

bool
progress_put(struct ledger *l, struct ticket_copy *tickets, size_t count)
{
	return sql_many(&l->store, store_sql(&l->store, SQL_progress_put), count, fill_row, NULL, tickets);
}

static bool
put(struct ledger *l, struct ticket_copy *tickets, uint32_t count)
{
	if (l->away == NULL)
		return progress_put(l, tickets, count);
	for (uint32_t i = 0; i < count; i++)
		if (!outbox_progress(l->away, &tickets[i]))
			return false;
	return true;
}

/* Is it held, and has it cost more than what is written? */
static bool
has_news(const struct ledger *l, uint32_t index, struct ticket_copy *ret)
{
	const struct progress_place *p = &l->progress.places[index];
	if (board_is_ledger_ticket(l->o.board, index) || !board_held_copy(l->o.board, index, ret))
		return false;
	return p->id != ret->id || p->cost != ret->cost.v;
}

static bool
write_chunk(struct ledger *l)
{
	static struct ticket_copy some[CHUNK];
	struct progress *p = &l->progress;
	uint32_t count = 0;
	for (; p->next < p->count && count < CHUNK; p->next++) {
		struct ticket_copy *t = &some[count];
		observe_ticket(l, p->next);
		if (!has_news(l, p->next, t))
			continue;
		/*
		 * Noted before the commit: where its outcome is unknown there may be a row, and booking
		 * will delete it.
		 */
		p->places[p->next] = (struct progress_place){.id = t->id, .cost = t->cost.v};
		count++;
	}
	if (!put(l, some, count))
		return false;
	if (p->next == p->count)
		observe_swept(l);
	return true;
}

/* Without this a failed chunk's costs would pass for written. */
static void
begin_again(struct progress *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		p->places[i].cost = -1;
	p->next = 0;
}

bool
progress_write(struct ledger *l, uint64_t now_ms)
{
	struct progress *p = &l->progress;
	if (p->next >= p->count) {
		if (now_ms < p->due_ms)
			return true;
		p->due_ms = now_ms + PROGRESS_PERIOD_MS;
		p->next = 0;
	}
	if (!(l->away != NULL ? outbox_begin(l->away) : store_begin(&l->store)))
		return false;
	bool ok = write_chunk(l);
	if (l->away != NULL ? outbox_end(l->away, ok) : store_end(&l->store, ok))
		return true;
	begin_again(p);
	return false;
}

uint64_t
progress_due_ms(const struct ledger *l, uint64_t now_ms)
{
	const struct progress *p = &l->progress;
	return p->next < p->count ? now_ms + PACE_MS : p->due_ms;
}

bool
progress_recall(struct ledger *l)
{
	struct query *st = store_sql(&l->store, SQL_progress_places);
	sql_bind(st, l->store.node);
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		int64_t index = sql_int(st, 0);
		if (index < l->progress.count)
			l->progress.places[index] =
				(struct progress_place){.id = (uint64_t)sql_int(st, 1), .cost = -1};
	}
	return step == SQL_END;
}

static bool
read_rows(struct ledger *l, struct batch *b, int64_t node, enum end_reason end)
{
	struct query *st = store_sql(&l->store, SQL_progress_all);
	sql_bind(st, BATCH_MAX, node);
	b->count = 0;
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		struct ticket_copy *t = &b->tickets[b->count];
		ticket_of_row(st, t);
		t->facts.end_reason = (uint8_t)end;
		budget_legs(l, t);
		b->fates[b->count++] = FATE_OPEN;
	}
	return step == SQL_END;
}

/* For nothing, no share is needed: there may be none any more. What nobody was to pay ended as it did, and is the loss that it was (loss.retry). */
bool
progress_free_of_charge(struct ledger *l, struct batch *b, enum end_reason end)
{
	int64_t paying = b->node;
	batch_keep_refused(b);
	for (size_t i = 0; i < b->count; i++) {
		struct ticket_copy *t = &b->tickets[i];
		t->cost.v = 0;
		if (billing_of(t->facts.end_reason) != BILLING_NONE)
			t->facts.end_reason = (uint8_t)end;
	}
	b->node = -1;
	bool ok = b->count == 0 || batch_book(l);
	b->node = paying;
	return ok;
}

static bool
delete_rows(struct ledger *l, const struct batch *b)
{
	bool ok = true;
	for (size_t i = 0; ok && i < b->count; i++) {
		struct query *st = store_sql(&l->store, SQL_progress_delete);
		sql_bind(st, (int64_t)b->tickets[i].id);
		ok = sql_done(&l->store, st);
	}
	return ok;
}

/*
 * Not even that: an edge that was captured may have written the id of a booked ticket or a hold below
 * 0. The row must not come back for ever.
 */
static bool
forget_rest(struct ledger *l, struct batch *b)
{
	batch_keep_refused(b);
	return b->count == 0 || (store_begin(&l->store) && store_end(&l->store, delete_rows(l, b)));
}

bool
progress_settle(struct ledger *l, int64_t node)
{
	struct batch *b = l->batch;
	int64_t own = b->node;
	/* Another's are settled here only when it was forgotten; and whose share would not pay has none, for it was forgotten. */
	enum end_reason end = node == l->store.node ? END_INTERRUPTED : END_NODE_FORGOTTEN;
	enum end_reason unpaid = own >= 0 ? END_NODE_FORGOTTEN : end;
	bool ok;
	b->node = own >= 0 ? node : -1; /* its shares pay */
	do
		ok = read_rows(l, b, node, end);
	while (ok && b->count != 0 && (ok = batch_book(l) && late_settle(l, b) && progress_free_of_charge(l, b, unpaid) && forget_rest(l, b)));
	b->count = 0;
	b->node = own;
	return ok;
}
