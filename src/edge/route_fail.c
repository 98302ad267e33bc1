/* ROUTE, once more: what a failed attempt says about its target and key, and who is asked next. Nothing has gone to the client yet. */
#include "edge/edge_priv.h"

#include "edge/duplex.h"
#include "edge/route.h"
#include "edge/upload.h"
#include "ticket/circuit.h"

enum { TRIES_MAX = 6 }; /* attempts of one request */

static const struct flaw {
	enum end_reason end;
	bool charges;
} flaws[] = {
#define X(NAME, end, charges) [ROUTE_##NAME] = {END_##end, charges},
	ROUTE_FLAWS(X)
#undef X
};

static uint32_t
provider_id(const struct exchange *x)
{
	return catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->id;
}

void
route_good(struct exchange *x)
{
	struct edge *e = x->edge;
	if (x->route.count == 0 || x->route.byok)
		return;
	route_timed(x, false);
	struct circuit *target = route_target_circuit(x), *key = route_key_circuit(x);
	if (unlikely(circuit_good(target)))
		edge_report(e, EVENT_TARGET_BACK, provider_id(x), x->route.target->id);
	if (key && unlikely(circuit_good(key)))
		edge_report(e, EVENT_KEY_BACK, provider_id(x), x->route.key);
}

/* What all edges are to know. A key rests, or is refused; the rest is about the target. */
static bool
note(struct exchange *x, enum route_flaw flaw, uint64_t rest_ms)
{
	struct edge *e = x->edge;
	uint64_t now = e->loop.now_ms;
	struct circuit *target = route_target_circuit(x), *key = route_key_circuit(x);
	bool several = catalogue_provider(e->p->catalogue, x->route.target->provider)->key_count > 1;
	if (flaw == ROUTE_WORDS)
		return true;
	if ((flaw == ROUTE_ACCOUNT || flaw == ROUTE_FORBIDDEN) && key) {
		if (flaw == ROUTE_ACCOUNT ? circuit_refused(key, now) : circuit_forbidden(key, now))
			edge_report_three(e, EVENT_KEY_REFUSED, provider_id(x), x->route.key, circuit_until_ms(key) - now);
		return true;
	}
	if (flaw == ROUTE_RATE || (flaw == ROUTE_BUSY && rest_ms)) {
		circuit_rest(flaw == ROUTE_RATE && several ? key : target, now, rest_ms);
		return flaw == ROUTE_RATE && several;
	}
	if (circuit_failed(target, now)) {
		count_add(e->p->counters, circuits_opened, 1);
		edge_report_three(e, EVENT_TARGET_FAILS, provider_id(x), x->route.target->id, circuit_until_ms(target) - now);
	}
	return false;
}

void
route_forget_attempt(struct exchange *x)
{
	struct edge *e = x->edge;
	struct request *r = x->req;
	struct upstream *u = x->up;
	bool whole = x->step == STEP_RELAY && x->up_done && x->keep_upstream;
	exchange_stop_waiting(x);
	x->up = NULL;
	if (u)
		upstream_release(u, whole);
	carry_drop(x);
	vault_free(e->vault, r->head, r->head_len);
	r->head = NULL;
	r->head_len = 0;
	r->sent = 0;
	x->collect = x->up_done = x->up_cut = x->keep_upstream = x->route.fresh = false;
	x->scanned = 0;
	x->collect_at = x->up_status = 0;
	x->interim = 0;
	x->framing = FRAMING_NONE;
	x->ticket->facts.first_byte_ms = 0;
}

static bool
went_up_whole(const struct exchange *x)
{
	return x->step >= STEP_SEND && x->req->sent >= x->req->total && x->req->sent;
}

void
route_asks_again(struct exchange *x)
{
	if (!x->ticket || x->route.count == 0 || !went_up_whole(x))
		return;
	struct ticket_facts before = x->ticket->facts;
	before.attempts = x->attempts;
	settle_attempt(x, &before, flaws[ROUTE_CUT].end);
}

static bool
take_next(struct exchange *x, enum route_flaw flaw, bool of_key)
{
	struct route *r = &x->route;
	if (r->byok)
		return route_own_failed(x, flaw);
	if (of_key && route_next_key(x))
		return true;
	r->out |= (uint16_t)(1u << (r->target - catalogue_target(x->edge->p->catalogue, r->first)));
	return route_next(x);
}

bool
route_failed(struct exchange *x, enum route_flaw flaw, uint64_t rest_ms)
{
	struct edge *e = x->edge;
	struct route *r = &x->route;
	if (!r->target || r->count == 0 || !x->ticket)
		return false;
	if (!r->byok)
		route_timed(x, true);
	bool of_key = !r->byok && note(x, flaw, rest_ms);
	if (!x->req || !x->client || x->head_sent || upload_has_left(x) || e->draining || r->tries + 1 >= TRIES_MAX || !route_has_more(x))
		return false;
	struct ticket_facts before = x->ticket->facts;
	bool asked = went_up_whole(x);
	before.attempts = x->attempts;
	if (!take_next(x, flaw, of_key))
		return false;
	if (flaws[flaw].charges && asked)
		settle_attempt(x, &before, flaws[flaw].end);
	r->tries++;
	count_add(e->p->counters, upstream_failovers, 1);
	route_forget_attempt(x);
	route_edited(x);
	return true;
}

void
route_fail(struct exchange *x, enum route_flaw flaw, enum end_reason reason)
{
	if (!route_failed(x, flaw, 0))
		exchange_end(x, reason);
}

/* ---- when to come again ---- */

/* Digits with a fraction, × 1,000. */
static uint64_t
thousandths(const char *p, const char *end)
{
	uint64_t whole = 0, part = 0;
	unsigned places = 0;
	for (; p < end && *p >= '0' && *p <= '9' && whole < 1000000; p++)
		whole = whole * 10 + (uint64_t)(*p - '0');
	if (p < end && *p == '.')
		for (p++; p < end && *p >= '0' && *p <= '9' && places < 3; p++, places++)
			part = part * 10 + (uint64_t)(*p - '0');
	for (; places < 3; places++)
		part *= 10;
	return whole * 1000 + part;
}

static uint64_t
after(struct span in, const char *word, size_t len)
{
	for (size_t i = 0; i + len <= in.len; i++) {
		if (strncasecmp(in.at + i, word, len) != 0)
			continue;
		const char *p = in.at + i + len, *end = in.at + in.len;
		while (p < end && (*p == ' ' || *p == ':' || *p == '"'))
			p++;
		return thousandths(p, end);
	}
	return 0;
}

uint64_t
route_rest_ms(struct span lines, struct span body)
{
	uint64_t ms = after(lines, "retry-after-ms:", 15) / 1000;
	if (!ms)
		ms = after(lines, "retry-after:", 12); /* a date counts as not said */
	return ms ? ms : after(body, "\"retryDelay\"", 12);
}
