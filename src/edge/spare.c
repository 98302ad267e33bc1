#include "edge/spare.h"

#include "ticket/board.h"

static void
put_back(struct exchange *x)
{
	vault_free(x->edge->vault, x->ticket, sizeof *x->ticket);
	x->ticket = NULL;
	x->spare = false;
	x->edge->spares--;
}

bool
spare_pick(struct exchange *x)
{
	struct edge *e = x->edge;
	x->ticket = e->wait_ticket.first ? NULL : ticket_pick(e->desk); /* not before those who wait */
	if (x->ticket)
		return true;
	if (!e->spares)
		edge_report(e, EVENT_SLAB_EXHAUSTED, e->p->index, 0);
	if (e->spares >= e->spares_most || !(x->ticket = vault_alloc(e->vault, sizeof *x->ticket)))
		return false;
	x->spare = true;
	e->spares++;
	return true;
}

void
spare_unpick(struct exchange *x)
{
	if (x->spare)
		put_back(x);
	else
		ticket_unpick(x->edge->desk, x->ticket);
	x->ticket = NULL;
}

static bool
change(struct exchange *x)
{
	struct ticket *t = ticket_pick(x->edge->desk);
	if (!t)
		return false;
	t->facts = x->ticket->facts;
	put_back(x);
	x->ticket = t;
	return true;
}

/* With a ticket of the board. */
static bool
may_wait(struct exchange *x)
{
	struct edge *e = x->edge;
	if (e->patient >= e->patient_most || !share_waits(e, x->account_row))
		return false;
	e->patient++;
	x->patient = true;
	return true;
}

void
spare_waited(struct exchange *x)
{
	if (x->put_off_now)
		share_put_off(x->edge, x->account_row, -1);
	x->put_off_now = false;
	share_waited(x->edge, x->account_row);
	x->edge->patient--;
	x->patient = false;
}

bool
spare_wait(struct exchange *x, struct line *l)
{
	if (!x->patience_ms)
		x->patience_ms = x->edge->loop.now_ms + SPARE_WAIT_MS;
	exchange_step(x, STEP_RESERVE);
	if (x->ticket && !x->spare && !may_wait(x)) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	exchange_wait(x, l);
	x->deadline_ms = x->patience_ms;
	exchange_rearm(x);
	return true;
}

bool
spare_ready(struct exchange *x)
{
	struct edge *e = x->edge;
	if (!x->spare || (!e->wait_ticket.first && change(x)))
		return true;
	(void)!spare_wait(x, &e->wait_ticket); /* it has its spare one: the bound is theirs */
	return false;
}

void
spare_poll(struct edge *e)
{
	bool open = atomic_load_explicit(board_gate(e->p->board), memory_order_acquire) == BOARD_OPEN;
	struct exchange *x;
	while ((x = e->wait_ticket.first) && (!open || change(x))) {
		exchange_stop_waiting(x);
		if (open)
			reserve(x);
		else
			exchange_end(x, END_LEDGER_AWAY);
	}
}
