#include "edge/work.h"

#include "core/ipc.h"

/* ---- asking the ledger ---- */

static enum ipc_result
ask(const struct exchange *x)
{
	const struct object *o = x->object;
	if (o->work == OBJECT_WORK_TELLING) {
		struct message_work_named n = MESSAGE_INIT(WORK_NAMED, message_work_named);
		n.work = x->id;
		n.account = x->account_row;
		n.object_bytes = o->text_len;
		memcpy(n.object, o->text, o->text_len);
		return ipc_send(x->edge->ledger.fd, &n, sizeof n, -1);
	}
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.work = x->id;
	m.account = x->account_row;
	m.nano = o->nano;
	m.order = WORK_BEGIN;
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

static bool
tell_end(struct exchange *x, uint64_t work, uint64_t nano)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.work = work;
	m.account = x->account_row;
	m.nano = nano;
	m.order = WORK_END;
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1) == IPC_OK; /* if not: an errand will see it again */
}

bool
work_begins(struct exchange *x)
{
	struct object *o = x->object;
	if (!o || !o->nano)
		return false;
	if (ask(x) == IPC_AGAIN) {
		exchange_end(x, END_LEDGER_AWAY);
		return true;
	}
	o->work = OBJECT_WORK_ASKED;
	exchange_step(x, STEP_RESERVE);
	exchange_wait(x, &x->edge->wait_work);
	return true;
}

bool
work_is_told(struct exchange *x, const struct sealed *s)
{
	struct object *o = x->object;
	struct upstream *u = x->up;
	if (o->work != OBJECT_WORK_HELD)
		return false;
	o->opened = *s;
	o->text_len = (uint8_t)seal(x->edge->pepper, x->account_row, s, o->text);
	o->work = OBJECT_WORK_TELLING;
	x->up = NULL;
	upstream_release(u, x->up_done && x->keep_upstream);
	if (ask(x) == IPC_AGAIN) {
		o->work = OBJECT_WORK_HELD;
		exchange_end(x, END_LEDGER_AWAY);
		return true;
	}
	exchange_wait(x, &x->edge->wait_work);
	return true;
}

void
work_ask_again(struct edge *e)
{
	for (struct exchange *x = e->wait_work; x; x = x->wait_next)
		(void)!ask(x); /* a full queue: its time-out ends it */
}

void
work_has_ended(struct exchange *x, const struct batch_seen *seen)
{
	const struct object *o = x->object;
	uint64_t nano;
	if (!o->opened.ticket)
		return;
	if (batch_cost(x, seen, &nano))
		(void)!tell_end(x, o->opened.ticket, nano);
	else
		edge_report(x->edge, EVENT_WORK_UNMEASURED, o->opened.ticket, o->opened.provider);
}

bool
work_runs(const struct exchange *x)
{
	return x->object && x->object->work;
}

void
work_leave(struct exchange *x)
{
	struct edge *e = x->edge;
	struct object *o = x->object;
	if (!o || (o->work != OBJECT_WORK_ASKED && o->work != OBJECT_WORK_HELD))
		return;
	bool asked = o->work == OBJECT_WORK_HELD && x->step >= STEP_AWAIT && (x->up_status == 0 || x->up_status < 300);
	o->work = OBJECT_WORK_NONE;
	if (asked)
		edge_report(e, EVENT_WORK_ORPHANED, x->id, catalogue_provider(e->p->catalogue, x->route.target->provider)->id);
	(void)!tell_end(x, x->id, 0);
}

/* ---- its answers ---- */

static void
begun(struct exchange *x, enum work_result result)
{
	struct object *o = x->object;
	struct nano need = {(int64_t)o->nano}, have = {0};
	switch (result) {
	case WORK_DONE:
		o->work = OBJECT_WORK_HELD;
		connect_upstream(x);
		return;
	case WORK_SHORT:
		o->work = OBJECT_WORK_NONE;
		if (x->slot < x->edge->slots)
			have = board_available(x->edge->p->board, x->slot);
		answer_money_short(x, need, (struct nano){have.v < 0 ? 0 : have.v});
		exchange_end(x, END_NO_MONEY);
		return;
	case WORK_REFUSED:
		o->work = OBJECT_WORK_NONE;
		break;
	case WORK_LATER:
		break;
	}
	exchange_end(x, END_LEDGER_AWAY);
}

void
work_answered(struct edge *e, const void *message)
{
	const struct message_work *m = message;
	struct exchange *x = e->wait_work;
	while (x && x->id != m->work)
		x = x->wait_next;
	if (!x)
		return;
	bool told = x->object->work == OBJECT_WORK_TELLING;
	if (told && m->order == WORK_BEGIN && m->nano) /* of before the ledger was started anew */
		return;
	exchange_stop_waiting(x);
	if (!told) {
		begun(x, (enum work_result)m->result);
		return;
	}
	if (m->result == WORK_DONE) {
		x->object->work = OBJECT_WORK_TOLD;
		object_answer(x);
		return;
	}
	x->object->work = OBJECT_WORK_HELD; /* nobody will ever look for it */
	exchange_end(x, END_LEDGER_AWAY);
}

/* ---- errands ---- */

/* An exchange of nobody's: it holds nothing, its ticket is never handed in. */
static bool
prepare(struct exchange *x, const struct message_errand *m)
{
	struct edge *e = x->edge;
	struct object *o = x->object = vault_alloc(e->vault, sizeof *o);
	x->account_row = m->account;
	x->method = HTTP1_GET;
	x->endpoint = ENDPOINT_BATCHES;
	x->dialect = DIALECT_OPENAI;
	if (!o || m->object_bytes > sizeof o->text || !request_begin(x) || !share_take(e, x->account_row))
		return false;
	x->ticket = ticket_pick(e->desk);
	if (!x->ticket) {
		share_give(e, x->account_row);
		return false;
	}
	x->ticket->facts = (struct ticket_facts){.account = m->account, .endpoint = x->endpoint};
	o->operation = OPERATION_BATCH_GET;
	o->kind = OBJECT_BATCH;
	o->errand = true;
	o->text_len = (uint8_t)m->object_bytes;
	memcpy(o->text, m->object, m->object_bytes);
	return true;
}

void
work_errand(struct edge *e, const void *message)
{
	struct exchange *x = e->draining ? NULL : exchange_of_nobody(e);
	if (!x)
		return; /* the ledger sends somebody again */
	if (!prepare(x, message)) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	if (!object_route(x))
		return;
	x->route.fresh = true;
	connect_upstream(x);
}
