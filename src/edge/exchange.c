#include "edge/edge_priv.h"

#include "edge/connect.h"
#include "edge/duplex.h"
#include "edge/h2_up.h"
#include "edge/keep_alive.h"
#include "edge/citing.h"
#include "edge/object.h"
#include "edge/passage.h"
#include "edge/question.h"
#include "edge/receipt_inline.h"
#include "edge/relay.h"
#include "edge/spare.h"
#include "edge/stored.h"
#include "edge/tokens.h"
#include "edge/upload.h"
#include "edge/work.h"

#include <assert.h>
#include <stddef.h>

/* ---- the table, as data ---- */
static const struct step_row {
	int32_t timeout_at; /* offset in struct edge_timeouts, -1: none */
	uint8_t late, gone;
} steps[] = {
#define TIMEOUT_none -1
#define TIMEOUT_head (int32_t) offsetof(struct edge_timeouts, head)
#define TIMEOUT_body (int32_t) offsetof(struct edge_timeouts, body)
#define TIMEOUT_connect (int32_t) offsetof(struct edge_timeouts, connect)
#define TIMEOUT_first_byte (int32_t) offsetof(struct edge_timeouts, first_byte)
#define TIMEOUT_between_bytes (int32_t) offsetof(struct edge_timeouts, between_bytes)
#define X(step, waits, timeout, late, gone) {TIMEOUT_##timeout, END_##late, END_##gone},
	EXCHANGE_STEPS(X)
#undef X
};

static uint32_t
step_timeout_ms(const struct edge *e, enum exchange_step step)
{
	int32_t at = steps[step].timeout_at;
	uint32_t ms = 0;
	if (at >= 0)
		memcpy(&ms, (const char *)&e->p->timeouts + at, sizeof ms);
	return ms;
}

static bool
waits_for_us(const struct exchange *x)
{
	return x->wait_link && (connect_waits_for_us(x) || x->step == STEP_READ_BODY || (x->req && x->req->translates));
}

/* When it must be over, whatever it waits for. */
static uint64_t
limit_ms(const struct exchange *x)
{
	uint32_t ms = x->edge->p->timeouts.request;
	return ms && x->step < STEP_SETTLE ? x->started_ms + ms : UINT64_MAX;
}

static uint64_t
first_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* … and nothing of its answer has gone to the client. */
static bool
awaits_provider(const struct exchange *x)
{
	return (x->step >= STEP_CONNECT && x->step <= STEP_AWAIT) || (x->step == STEP_RELAY && x->collect);
}

/* The delay. */
static bool
is_providers(const struct exchange *x)
{
	return awaits_provider(x) && !waits_for_us(x) && !upload_waits(x) && !question_waits(x) && !relay_waits_for_money(x);
}

static enum end_reason
reason_of_late(const struct exchange *x, bool over)
{
	if (waits_for_us(x))
		return END_OVERLOADED;
	if (upload_waits(x) && !over)
		return END_BODY_TIMEOUT;
	if ((question_waits(x) && !over) || (relay_waits_for_money(x) && x->step == STEP_SEND))
		return END_LEDGER_AWAY;
	return over && x->step == STEP_RELAY ? END_REQUEST_TIMEOUT : (enum end_reason)steps[x->step].late;
}

/* For money, or for a client that is slow. */
static bool
has_another_timer(const struct exchange *x)
{
	return relay_waits_for_money(x) || (x->client && reply_has_unsent(x->client) && x->step == STEP_RELAY && !receipt_inline_is_slow(x));
}

/* The timer isn't moved for each byte: the deadline is, and the timer looks at it when it fires. */
static void
exchange_late(struct timer *t)
{
	struct exchange *x = container_of(t, struct exchange, timer);
	struct edge *e = x->edge;
	bool over = e->loop.now_ms >= limit_ms(x);
	if (!over && e->loop.now_ms >= keep_alive_at_ms(x)) {
		keep_alive_tell(x);
		if (x->step == STEP_DONE)
			return;
	}
	if (!over && e->loop.now_ms < x->deadline_ms) {
		exchange_rearm(x);
		return;
	}
	if (!over && has_another_timer(x)) {
		x->deadline_ms = e->loop.now_ms + step_timeout_ms(e, (enum exchange_step)x->step);
		exchange_rearm(x);
		return;
	}
	if (x->duplex && x->step == STEP_RELAY && !over)
		duplex_late(x);
	else if (over || !is_providers(x) || !route_failed(x, ROUTE_TIMEOUT, 0))
		exchange_end(x, reason_of_late(x, over));
}

static uint64_t
look_at_ms(const struct exchange *x)
{
	return first_of(first_of(x->deadline_ms, limit_ms(x)), keep_alive_at_ms(x));
}

void
exchange_rearm(struct exchange *x)
{
	timer_arm(&x->edge->loop, &x->timer, look_at_ms(x), exchange_late);
}

/* Steps only go forward, but for the ways back to CONNECT: a kept connection that turned out to be closed, and another target. */
void
exchange_step(struct exchange *x, enum exchange_step step)
{
	struct edge *e = x->edge;
	assert(step >= x->step || (step == STEP_CONNECT && x->req && !x->head_sent));
	x->step = (uint8_t)step;
	uint32_t ms = step_timeout_ms(e, step);
	if (step == STEP_AWAIT && e->p->timeouts.target && e->p->timeouts.target < ms && route_has_more(x))
		ms = e->p->timeouts.target;
	x->deadline_ms = ms ? e->loop.now_ms + ms : UINT64_MAX;
	x->said_ms = e->loop.now_ms;
	uint64_t at_ms = look_at_ms(x);
	if (at_ms != UINT64_MAX && (!x->timer.link || x->timer.at_ms > at_ms))
		exchange_rearm(x);
}

struct exchange *
exchange_of_nobody(struct edge *e)
{
	struct exchange *x = vault_alloc(e->vault, sizeof *x);
	if (!x)
		return NULL;
	x->edge = e;
	x->step = STEP_READ_HEAD;
	x->id = ticket_next_id(e->desk, edge_wall_ms(e));
	x->started_ms = e->loop.now_ms;
	x->next = e->exchanges;
	x->link = &e->exchanges;
	if (x->next)
		x->next->link = &x->next;
	e->exchanges = x;
	count_add(e->p->counters, exchanges_open, 1);
	return x;
}

struct exchange *
exchange_begin(struct client *c)
{
	struct exchange *x = exchange_of_nobody(c->edge);
	if (!x)
		return NULL;
	x->client = c;
	c->x = x;
	return x;
}

void
exchange_wait(struct exchange *x, struct line *l)
{
	assert(!x->wait_link);
	x->wait_line = l;
	x->wait_link = l->end ? l->end : &l->first;
	x->wait_next = NULL;
	*x->wait_link = x;
	l->end = &x->wait_next;
}

void
exchange_stop_waiting(struct exchange *x)
{
	if (!x->wait_link)
		return;
	*x->wait_link = x->wait_next;
	*(x->wait_next ? &x->wait_next->wait_link : &x->wait_line->end) = x->wait_link;
	x->wait_link = NULL;
	if (x->patient)
		spare_waited(x);
}

_Static_assert(sizeof(struct request) <= 4096, "it takes one page of the vault");

struct request *
request_begin(struct exchange *x)
{
	x->req = vault_alloc(x->edge->vault, sizeof *x->req);
	if (x->req)
		request_scan_init(&x->req->scan, (enum endpoint)x->endpoint);
	return x->req;
}

void
request_free(struct exchange *x)
{
	struct request *r = x->req;
	struct edge *e = x->edge;
	if (!r)
		return;
	blocks_free(e, r->body);
	passage_free_original(x);
	if (r->form && r->form->lines)
		vault_free(e->vault, r->form->lines, sizeof *r->form->lines);
	vault_free(e->vault, r->form, sizeof *r->form);
	vault_free(e->vault, r->upload, sizeof *r->upload);
	vault_free(e->vault, r->headers, r->headers_len);
	vault_free(e->vault, r->head, r->head_len);
	if (r->edits_cap)
		vault_free(e->vault, r->edits, r->edits_cap * sizeof *r->edits);
	admit_release(x);
	vault_free_dirty(e->vault, r, sizeof *r, offsetof(struct request, scan) + request_scan_used(&r->scan));
	x->req = NULL;
}

static void
exchange_bury(struct deferred *d, void *arg)
{
	struct exchange *x = container_of(d, struct exchange, deferred);
	vault_free(x->edge->vault, x, sizeof *x);
}

static void
exchange_free(struct exchange *x)
{
	struct edge *e = x->edge;
	exchange_stop_waiting(x);
	timer_cancel(&e->loop, &x->timer);
	route_end(x);
	request_free(x);
	if (x->meter)
		vault_free(e->vault, x->meter, meter_bytes(passage_endpoint(x)));
	x->meter = NULL;
	vault_free_dirty(e->vault, x->carry, x->carry_cap, x->carry_len);
	x->carry = NULL;
	if (x->duplex)
		vault_free(e->vault, x->duplex, sizeof *x->duplex);
	x->duplex = NULL;
	tokens_free_sample(x);
	stored_free(x);
	object_free(x);
	passage_free(x);
	citing_free(x);
	receipt_inline_free(x);
	*x->link = x->next;
	if (x->next)
		x->next->link = x->link;
	count_add(e->p->counters, exchanges_open, -1);
	loop_defer(&e->loop, &x->deferred, exchange_bury);
}

/* What the client still has to be told when the exchange ends in this way. */
static void
tell_client(struct exchange *x, enum end_reason reason)
{
	if (x->answered)
		return;
	if (x->step == STEP_SETTLE) /* what is kept back, maybe the head, is not followed by anything else */
		answer_cut(x);
	else if (!x->head_sent)
		answer_error(x, reason, NULL, (struct span){0});
	else if (x->duplex)
		duplex_tell(x, reason);
	else if (x->streamed)
		answer_stream_error(x, reason);
	else
		answer_cut(x);
}

void
exchange_end(struct exchange *x, enum end_reason reason)
{
	struct edge *e = x->edge;
	if (x->step == STEP_DONE)
		return;
	reason = receipt_inline_reason(x, reason);
	work_leave(x);
	exchange_stop_waiting(x);
	settle(x, reason);
	if (x->client && (x->step == STEP_READ_BODY || upload_is_coming(x)) && !x->answered) { /* what is left of the body must never be read as a request */
		x->keep_client = false;
		x->client->linger = true;
	}
	if (x->client)
		tell_client(x, reason);
	if (x->step == STEP_DONE || receipt_inline_holds(x, reason)) /* telling failed: the client went, and ended this exchange on its way; or its receipt is to come */
		return;
	x->step = STEP_DONE;
	if (!work_is_only_told(x))
		count_add(e->p->counters, ended[reason], 1);
	if (x->streamed)
		count_add(e->p->counters, streams_open, -1);
	struct upstream *u = x->up;
	x->up = NULL;
	if (u)
		upstream_release(u, x->up_done && x->keep_upstream);
	struct client *c = x->client;
	x->client = NULL;
	bool keep = x->keep_client;
	exchange_free(x);
	if (c)
		client_next(c, keep);
}

void
exchange_client_gone(struct exchange *x)
{
	struct edge *e = x->edge;
	enum end_reason reason = (enum end_reason)steps[x->step].gone;
	x->client->x = NULL;
	x->client = NULL;
	if (work_is_untold(x))
		return;
	bool running = x->up && (x->step == STEP_AWAIT || x->step == STEP_RELAY);
	if (x->duplex && x->step == STEP_RELAY) {
		running = duplex_may_drain(x);
		reason = duplex_is_closed(x) ? END_COMPLETED : reason;
	} else if (x->duplex)
		running = false;
	if (!running || e->draining || (!work_runs(x) && catalogue_provider(e->p->catalogue, x->route.target->provider)->cancel != DRAIN_UPSTREAM)) {
		exchange_end(x, reason);
		return;
	}
	receipt_inline_alone(x);
	/* Read on for the usage; the steps' time-outs bound it. What came while the client was slow won't be reported again. */
	if (x->up->is_stream)
		h2_up_wake(x->up);
	else
		loop_again(&e->loop, &x->up->conn.watch);
}
