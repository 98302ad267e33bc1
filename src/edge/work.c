#include "edge/work.h"

#include "core/ipc.h"
#include "edge/byok.h"
#include "edge/connect.h"
#include "edge/object_keep.h"
#include "edge/limit.h"
#include "edge/question.h"
#include "edge/stored.h"

#include <assert.h>

/* ---- asking the ledger ---- */

static enum ipc_result
say(const struct exchange *x, enum work_order order, uint64_t work, uint64_t nano, uint16_t of)
{
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.work = work;
	m.account = x->account_row;
	m.nano = nano;
	m.order = (uint16_t)order;
	m.of = of;
	m.errand = x->object->errand;
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

enum ipc_result
work_ask(const struct exchange *x)
{
	struct object *o = x->object;
	if (o->work == OBJECT_WORK_LISTING)
		return object_list_ask(x);
	if (o->work == OBJECT_WORK_KEEPING)
		return object_keep_ask(x);
	if (o->work == OBJECT_WORK_TELLING) {
		struct message_work_named n = MESSAGE_INIT(WORK_NAMED, message_work_named);
		n.work = x->id;
		n.account = x->account_row;
		n.object_bytes = o->text_len;
		memcpy(n.object, o->text, o->text_len);
		return ipc_send(x->edge->ledger.fd, &n, sizeof n, -1);
	}
	if (o->work == OBJECT_WORK_ENDING)
		return say(x, WORK_END, o->opened.ticket, 0, o->end_insists ? WORK_UNSEEN : 0) == IPC_OK ? IPC_OK : IPC_AGAIN; /* also when the ledger has gone: the next one is told */
	bool looking = o->work == OBJECT_WORK_LOOKING;
	struct message_work m = MESSAGE_INIT(WORK, message_work);
	m.work = looking ? o->opened.ticket : x->id;
	m.account = x->account_row;
	m.nano = o->nano;
	m.key = x->key;
	m.order = looking ? WORK_LOOK : WORK_BEGIN;
	enum ipc_result result = ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
	o->begin_said |= !looking && result == IPC_OK;
	return result;
}

/* Nobody waits for the answer. When it can't be said: an errand will see it again. */
static void
tell(struct exchange *x, enum work_order order, uint64_t work, uint64_t nano, bool silent)
{
	(void)!say(x, order, work, nano, silent ? WORK_SILENT : 0);
}

/* What was not paid yet could never be counted when its results are gone. */
static bool
is_looked_for(const struct object *o)
{
	return (o->operation == OPERATION_MESSAGES_BATCH_DELETE || o->operation == OPERATION_RESPONSE_DELETE) && o->opened.ticket;
}

bool
work_begins(struct exchange *x)
{
	struct object *o = x->object;
	if (!o || (!o->nano && !o->list && !is_looked_for(o)) || o->work == OBJECT_WORK_HELD)
		return false;
	o->work = o->nano ? OBJECT_WORK_ASKED : o->list ? OBJECT_WORK_LISTING
													: OBJECT_WORK_LOOKING;
	question_ask(x, QUESTION_WORK);
	return true;
}

void
work_tell(struct exchange *x, const struct sealed *s)
{
	struct object *o = x->object;
	o->opened = *s;
	o->text_len = (uint8_t)seal(x->edge->pepper, x->account_row, s, o->text);
	o->work = OBJECT_WORK_TELLING;
	question_ask(x, QUESTION_WORK);
}

bool
work_is_told(struct exchange *x, const struct sealed *s)
{
	struct upstream *u = x->up;
	if (x->object->work != OBJECT_WORK_HELD)
		return false;
	x->up = NULL;
	upstream_release(u, x->up_done && x->keep_upstream);
	work_tell(x, s);
	return true;
}

void
work_has_ended(struct exchange *x, const struct batch_seen *seen)
{
	const struct object *o = x->object;
	struct work_used used;
	uint64_t nano;
	if (!o->opened.ticket)
		return;
	if (batch_cost(x, seen, &nano, &used))
		work_costs(x, nano, &used);
	else
		work_is_unmeasured(x);
}

/* False: the ledger's queue is full. */
static bool
tell_counts(struct exchange *x, const struct work_used *u)
{
	uint64_t values[WORK_COUNT_MAX] = {
		[WORK_COUNT_model] = u->model,
		[WORK_COUNT_provider] = u->provider,
		[WORK_COUNT_endpoint] = u->endpoint,
		[WORK_COUNT_tier] = u->usage.tier,
		[WORK_COUNT_lane] = u->lane,
		[WORK_COUNT_requests] = u->requests,
#define X(name, meaning, fallback) [WORK_COUNT_tokens_##name] = u->usage.tokens[TOKEN_##name],
		TOKEN_KINDS(X)
#undef X
#define X(name, piece) +u->usage.tools[TOOL_##name]
			[WORK_COUNT_tool_calls] = SERVER_TOOLS(X),
#undef X
	};
	bool told = true;
	static_assert(WORK_COUNT_model == 0, "it comes first, and makes the ledger forget what was said before");
	for (unsigned i = 0; told && i < WORK_COUNT_MAX; i++) {
		struct message_work m = MESSAGE_INIT(WORK, message_work);
		m.work = x->object->opened.ticket;
		m.account = x->account_row;
		m.order = WORK_COUNT;
		m.of = (uint16_t)i;
		m.nano = values[i];
		told = (!values[i] && i != WORK_COUNT_model) || ipc_send(x->edge->ledger.fd, &m, sizeof m, -1) == IPC_OK;
	}
	return told;
}

void
work_costs(struct exchange *x, uint64_t nano, const struct work_used *used)
{
	if (tell_counts(x, used)) /* else an errand will see it again */
		tell(x, WORK_END, x->object->opened.ticket, nano, used->silent);
}

void
work_is_unmeasured(struct exchange *x)
{
	const struct sealed *s = &x->object->opened;
	edge_report(x->edge, EVENT_WORK_UNMEASURED, s->ticket, s->provider);
	tell(x, WORK_UNMEASURED, s->ticket, 0, false);
}

void
work_is_to_be_looked_at(struct exchange *x, bool silent)
{
	if (x->object->opened.ticket && !x->object->errand)
		tell(x, WORK_LOOK, x->object->opened.ticket, 0, silent);
}

bool
work_runs(const struct exchange *x)
{
	return x->object && x->object->work && x->object->work != OBJECT_WORK_TOLD;
}

bool
work_is_untold(const struct exchange *x)
{
	return x->object && (x->object->work == OBJECT_WORK_TELLING || x->object->work == OBJECT_WORK_KEEPING) && question_waits(x);
}

bool
work_is_begun(const struct exchange *x)
{
	return x->object && x->object->work == OBJECT_WORK_HELD;
}

bool
work_is_only_told(const struct exchange *x)
{
	return x->object && x->object->work == OBJECT_WORK_ENDING;
}

bool
work_runs_on(const struct exchange *x)
{
	return x->object && x->object->nano && x->object->work == OBJECT_WORK_TOLD;
}

/* An exchange of nobody's stays in line to say it, and has no time-out. When there is none: the ledger gives it back after an hour. */
static void
end_later(struct edge *e, uint64_t work, uint64_t account, bool held, uint64_t in_ms)
{
	struct object *o = vault_alloc(e->vault, sizeof *o);
	struct exchange *n = o ? exchange_of_nobody(e) : NULL;
	if (!n) {
		edge_report(e, EVENT_WORK_UNSAID, work, e->p->index);
		vault_free(e->vault, o, sizeof *o);
		return;
	}
	n->object = o;
	n->account_row = account;
	o->opened.ticket = work;
	o->work = OBJECT_WORK_ENDING;
	o->end_insists = held;
	question_line_up(n, QUESTION_WORK, in_ms);
}

/*
 * Who has begun this goes, and no errand will come of it: what was set aside is given back, by the ledger itself when it was never told what it was for. Where it is
 * not known to be set aside, that is said once: while the ledger's store is away each that asks and goes would stay to say it.
 */
static void
end_unseen(const struct exchange *x, bool held)
{
	if (say(x, WORK_END, x->id, 0, held ? WORK_UNSEEN : 0) != IPC_OK)
		end_later(x->edge, x->id, x->account_row, held, 0);
}

void
work_leave(struct exchange *x)
{
	struct edge *e = x->edge;
	struct object *o = x->object;
	if (o && o->work == OBJECT_WORK_TELLING) { /* it runs, and nobody waits for the ledger's word any more */
		if (work_ask(x) != IPC_OK || question_is_put_off(x)) /* nobody knows whether it is written down */
			edge_report(e, EVENT_WORK_ORPHANED, x->id, o->opened.provider);
		o->work = OBJECT_WORK_NONE;
		return;
	}
	if (work_is_only_told(x) && x->wait_link)
		edge_report(e, EVENT_WORK_UNSAID, o->opened.ticket, e->p->index);
	if (!o || (o->work != OBJECT_WORK_ASKED && o->work != OBJECT_WORK_HELD))
		return;
	bool held = o->work == OBJECT_WORK_HELD, asked = held && x->step >= STEP_AWAIT && (x->up_status == 0 || x->up_status < 300);
	o->work = OBJECT_WORK_NONE;
	if (asked)
		edge_report(e, EVENT_WORK_ORPHANED, x->id, catalogue_provider(e->p->catalogue, x->route.target->provider)->id);
	if (o->begin_said)
		end_unseen(x, held);
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
		if (x->limited.rows[0] && limit_is_short(x, need)) {
			exchange_end(x, END_LIMIT_SPENT);
			return;
		}
		if (x->slot < x->edge->slots)
			have = board_available(x->edge->p->board, x->slot);
		answer_money_short(x, need, (struct nano){have.v < 0 ? 0 : have.v});
		exchange_end(x, END_NO_MONEY);
		return;
	case WORK_REFUSED:
	case WORK_LATER: /* it is asked again */
		o->work = OBJECT_WORK_NONE;
		break;
	}
	exchange_end(x, END_LEDGER_AWAY);
}

static bool
is_answered(const struct exchange *x, const struct message_work *m)
{
	return m->order == WORK_LOOK ? x->object->work == OBJECT_WORK_LOOKING && x->object->opened.ticket == m->work : x->id == m->work;
}

static void
looked(struct exchange *x, enum work_result result)
{
	x->object->work = OBJECT_WORK_NONE;
	exchange_stop_waiting(x);
	if (result == WORK_DONE) {
		connect_upstream(x);
		return;
	}
	if (result != WORK_SHORT) {
		exchange_end(x, END_LEDGER_AWAY);
		return;
	}
	answer_sentence(x, END_BAD_BODY, NULL,
		x->object->kind == OBJECT_RESPONSE
			? SPAN("This response has not been counted yet. Cancel it or wait for its end, look at it once, and delete it then.")
			: SPAN("This batch has not been paid for yet: what it used is only known from its results. Once it has ended, read them, or wait some minutes, and delete it then."));
	exchange_end(x, END_BAD_BODY);
}

/* Nobody waits for it. */
static void
end_answered(struct edge *e, const struct message_work *m)
{
	if (m->result != WORK_LATER || m->of != WORK_UNSEEN)
		return;
	if (e->draining || (e->retiring && !e->clients)) /* it does not live for this alone */
		edge_report(e, EVENT_WORK_UNSAID, m->work, e->p->index);
	else
		end_later(e, m->work, m->account, true, QUESTION_AGAIN_MS);
}

/* Its end was seen by another edge a moment ago, which has told its caller and the ledger: that may come behind this question. */
static bool
may_be_counted_soon(const struct exchange *x, const struct message_work *m)
{
	enum { AGAIN_MOST = 3 };
	bool is_time = x->edge->loop.now_ms + AGAIN_MOST * QUESTION_AGAIN_MS < x->patience_ms;
	return m->order == WORK_LOOK && m->result == WORK_SHORT && is_time && x->put_off < AGAIN_MOST;
}

void
work_answered(struct edge *e, const void *message)
{
	const struct message_work *m = message;
	if (m->order == WORK_KEPT) {
		object_kept(e, m);
		return;
	}
	if (m->order == WORK_END) {
		end_answered(e, m);
		return;
	}
	struct exchange *x = e->wait_work.first;
	while (x && !is_answered(x, m))
		x = x->wait_next;
	if (!x)
		return;
	bool told = x->object->work == OBJECT_WORK_TELLING;
	if (told && m->order == WORK_BEGIN && m->nano) /* of before the ledger was started anew */
		return;
	bool again = may_be_counted_soon(x, m);
	if (again)
		x->put_off++;
	if (again || m->result == WORK_LATER) {
		question_ask_later(x);
		return;
	}
	if (m->order == WORK_LOOK) {
		looked(x, (enum work_result)m->result);
		return;
	}
	exchange_stop_waiting(x);
	if (!told) {
		begun(x, (enum work_result)m->result);
		return;
	}
	exchange_step(x, (enum exchange_step)x->step); /* what it waits for now has its own time */
	if (m->result == WORK_DONE) {
		x->object->work = OBJECT_WORK_TOLD;
		if (x->object->stored)
			stored_told(x);
		else
			object_answer(x);
		return;
	}
	x->object->work = OBJECT_WORK_HELD; /* nobody will ever look for it */
	exchange_end(x, END_LEDGER_AWAY);
}

/* ---- errands ---- */

/* How each kind of work is looked at. */
static const struct errand {
	enum object_kind kind;
	enum object_operation operation;
	enum endpoint endpoint;
} errands[] = {
	{OBJECT_BATCH, OPERATION_BATCH_GET, ENDPOINT_BATCHES},
	{OBJECT_MESSAGES_BATCH, OPERATION_MESSAGES_BATCH_RESULTS, ENDPOINT_MESSAGES_BATCHES},
	{OBJECT_RESPONSE, OPERATION_RESPONSE_GET, ENDPOINT_RESPONSES_KEPT},
};

static const struct errand *
errand_of(const struct message_errand *m)
{
	for (size_t i = 0; i < ARRAY_LEN(errands); i++) {
		struct span prefix = object_prefix(errands[i].kind);
		if (m->object_bytes > prefix.len && !memcmp(m->object, prefix.at, prefix.len))
			return &errands[i];
	}
	return NULL;
}

/* An exchange of nobody's: it holds nothing, its ticket is never handed in. */
static bool
prepare(struct exchange *x, const struct message_errand *m)
{
	struct edge *e = x->edge;
	struct object *o = x->object = vault_alloc(e->vault, sizeof *o);
	x->account_row = m->account;
	x->method = HTTP1_GET;
	const struct errand *how = errand_of(m);
	if (!how)
		return false;
	x->endpoint = (uint8_t)how->endpoint;
	x->dialect = (uint8_t)endpoint_dialect(how->endpoint);
	if (!o || m->object_bytes > sizeof o->text || !request_begin(x) || !share_take(e, x->account_row))
		return false;
	x->ticket = ticket_pick(e->desk);
	if (!x->ticket) {
		share_give(e, x->account_row);
		return false;
	}
	x->ticket->facts = (struct ticket_facts){.account = m->account, .endpoint = x->endpoint};
	o->operation = (uint8_t)how->operation;
	o->kind = (uint8_t)how->kind;
	o->errand = m->number;
	o->text_len = (uint8_t)m->object_bytes;
	memcpy(o->text, m->object, m->object_bytes);
	x->limited.rows[0] = e->p->catalogue->byok ? limit_find(e->p->board, m->account) : 0; /* it names the account's own keys */
	return true;
}

void
work_errand_goes_on(struct exchange *x)
{
	if (!byok_ready(x) || !object_route(x))
		return;
	x->route.fresh = true;
	connect_upstream(x);
}

/* A key of the customer's that isn't taken any more, or is another organisation's, which has never heard of this: until another one is there, nobody can tell what was used. */
void
work_errand_failed(struct exchange *x)
{
	if (x->route.byok && (x->up_status == 401 || x->up_status == 403 || x->up_status == 404 || x->up_status == 410))
		work_is_unmeasured(x);
	exchange_end(x, END_PROVIDER_ERROR);
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
	work_errand_goes_on(x);
}
