/*
 * SETTLE: usage × price row → cost, exactly once. What the provider reported is charged, an explicit zero included; when it reported nothing, or what
 * tells nothing (numbers below zero, or none), the counted estimate is, marked, and never more than the hold. Which ends are charged at all stands
 * in end_reasons.h.
 */
#include "edge/edge_priv.h"

#include "dialect/realtime.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/object.h"
#include "edge/relay.h"
#include "edge/spare.h"
#include "edge/stored.h"
#include "edge/tokens.h"
#include "ticket/billing.h"
#include "ticket/price.h"

enum { ESTIMATE_BYTES_PER_TOKEN = 4,
	ESTIMATE_BYTES_PER_SECOND = 16000 /* of audio: 128 kbit/s */ };

static uint64_t
tokens_of_bytes(uint64_t bytes)
{
	return (bytes + ESTIMATE_BYTES_PER_TOKEN - 1) / ESTIMATE_BYTES_PER_TOKEN;
}

/* By what was counted of a sample, when it has come to that. */
static uint64_t
tokens_of_words(const struct exchange *x, uint64_t bytes)
{
	return x->said_bytes ? (bytes * x->said_tokens + x->said_bytes - 1) / x->said_bytes : tokens_of_bytes(bytes);
}

static uint32_t
clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

void
request_estimate(struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	uint64_t text = r->body_bytes > r->inline_media_bytes ? r->body_bytes - r->inline_media_bytes : 0;
	uint64_t media = (uint64_t)r->images * x->model->image_tokens + (uint64_t)r->audios * x->model->audio_tokens +
		(uint64_t)r->files * x->model->file_tokens;
	x->input_estimate = tokens_of_bytes(text) + media;
	if (endpoint_of_audio((enum endpoint)x->endpoint))
		x->seconds_estimate = clamp32((r->inline_media_bytes + ESTIMATE_BYTES_PER_SECOND - 1) / ESTIMATE_BYTES_PER_SECOND);
}

uint64_t
settle_counted_output(const struct exchange *x)
{
	const struct meter *m = x->meter;
	uint64_t by_bytes = (m->content_bytes + m->reasoning_bytes) * 100 / x->model->bytes_per_token_x100;
	return m->events > by_bytes ? m->events : by_bytes;
}

static bool
has_output(const struct exchange *x)
{
	return x->meter && x->meter->content_bytes + x->meter->reasoning_bytes > 0;
}

static void
write_usage(struct ticket_facts *f, const struct usage *u)
{
#define X(name, meaning, fallback) f->tokens_##name = clamp32(u->tokens[TOKEN_##name]);
	TOKEN_KINDS(X)
#undef X
#define X(name, piece) f->tools_##name = u->tools[TOOL_##name];
	TOOL_KINDS(X)
#undef X
	f->tier = u->tier;
	f->flags = (uint16_t)((f->flags & (TICKET_STREAMED | TICKET_CAPPED | TICKET_OWN_KEY)) | (u->flags & USAGE_ESTIMATED ? TICKET_ESTIMATED : 0) |
		(u->flags & USAGE_ABSURD ? TICKET_ABSURD : 0) | (u->flags & USAGE_GEO_US ? TICKET_GEO_US : 0));
}

/* ---- legs: one answer that bills several models ---- */

/* The model as the provider calls it, maybe with the date of its version behind the name. */
static bool
is_named(const struct catalogue_target *t, struct span name)
{
	size_t len = strlen(t->upstream_id);
	if (name.len < len || memcmp(name.at, t->upstream_id, len) != 0)
		return false;
	return name.len == len || (name.at[len] == '-' && name.len > len + 1 && name.at[len + 1] >= '0' && name.at[len + 1] <= '9');
}

/*
 * Where in our catalogue a leg ran: at the same provider, in the same lane if there is one. NULL: the provider's model is not in it.
 */
static const struct catalogue_target *
leg_target(const struct exchange *x, const struct meter_leg *l)
{
	const struct catalogue *c = x->edge->p->catalogue;
	const struct catalogue_target *asked = x->route.target, *found = NULL;
	struct span name = {l->model, l->model_len};
	if (is_named(asked, name))
		return asked;
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		if (t->provider == asked->provider && (!found || t->lane == asked->lane) && is_named(t, name)) {
			found = t;
			if (t->lane == asked->lane)
				break;
		}
	}
	return found;
}

/* The row that this usage is charged by. */
static const struct catalogue_price *
price_of(const struct exchange *x, const struct catalogue_target *t, const struct catalogue_price *base, const struct usage *u)
{
	bool unpriced;
	return catalogue_price_for(x->edge->p->catalogue, t, base, u, &unpriced);
}

static const struct catalogue_price *
leg_price(const struct exchange *x, const struct catalogue_target *t, const struct usage *u)
{
	struct edge *e = x->edge;
	bool own = x->ticket->facts.flags & TICKET_OWN_KEY;
	const struct catalogue_price *p = !t ? NULL : own ? catalogue_target_fee_now(e->p->catalogue, t, edge_wall_ms(e))
													  : catalogue_target_price_now(e->p->catalogue, t, edge_wall_ms(e));
	return p ? price_of(x, t, p, u) : price_of(x, x->route.target, x->price, u); /* an unknown model is not free: it costs what the asked one does */
}

static bool
prices_tokens(const struct catalogue_price *p)
{
	struct catalogue_price measured = *p;
	measured.request_nano = 0;
	return price_upper_bound(&measured, 1, 1).v > 0;
}

/* Tokens of what was listened to; without a word about which they are, all of the prompt. */
static uint64_t
heard(const struct usage *u)
{
	uint64_t audio = u->tokens[TOKEN_audio_in] + u->tokens[TOKEN_cached_audio];
	return audio ? audio : u->tokens[TOKEN_input] + u->tokens[TOKEN_cached];
}

/* Seconds of audio cost what audio tokens do where the row has no price for them, and the other way round: nothing is free by mistake. */
static struct usage
leg_usage(const struct exchange *x, const struct catalogue_target *m, const struct meter_leg *l)
{
	enum { TOKENS_A_SECOND = 10 };
	struct usage u = l->usage;
	const struct catalogue_price *row = leg_price(x, m, &u);
	bool by_seconds = row->tool_nano[TOOL_audio_second] > 0, told = u.tools[TOOL_audio_second];
	if (told && !by_seconds) {
		u.tokens[TOKEN_audio_in] += (uint64_t)u.tools[TOOL_audio_second] * TOKENS_A_SECOND;
		u.tools[TOOL_audio_second] = 0;
	} else if (!told && by_seconds && !prices_tokens(row))
		u.tools[TOOL_audio_second] = clamp32((heard(&u) + TOKENS_A_SECOND - 1) / TOKENS_A_SECOND);
	return u;
}

static void
add_usage(struct usage *to, const struct usage *u)
{
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		to->tokens[k] += u->tokens[k];
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		to->tools[k] += u->tools[k];
	to->flags |= u->flags;
}

static unsigned
leg_count(const struct exchange *x)
{
	return x->meter && x->meter->usage.flags & USAGE_REPORTED ? x->meter->leg_count : 0;
}

/* What the legs on other models cost at their own prices. */
static struct nano
legs_cost(const struct exchange *x)
{
	struct nano sum = {0};
	for (unsigned i = 0; i < leg_count(x); i++) {
		const struct meter_leg *l = &x->meter->legs[i];
		const struct catalogue_target *m = leg_target(x, l);
		struct usage u = leg_usage(x, m, l);
		if (m != x->route.target)
			sum.v += price_cost(leg_price(x, m, &u), &u).v;
	}
	return sum;
}

/* A ticket for each leg on another model, without cost of its own: the parent's has it. */
static void
hand_in_legs(struct exchange *x)
{
	struct edge *e = x->edge;
	for (unsigned i = 0; i < leg_count(x); i++) {
		const struct meter_leg *l = &x->meter->legs[i];
		const struct catalogue_target *m = leg_target(x, l);
		struct ticket *t = m == x->route.target ? NULL : ticket_pick(e->desk);
		if (!t)
			continue;
		struct usage u = leg_usage(x, m, l);
		t->facts = x->ticket->facts;
		t->facts.parent = x->id;
		t->facts.legs_nano = 0;
		t->facts.model = m ? catalogue_model(e->p->catalogue, m->model)->id : 0;
		t->facts.price = leg_price(x, m, &u)->id;
		write_usage(&t->facts, &u);
		struct ticket_leg row = {x->account_row, x->slot};
		if (ticket_take(e->desk, t, ticket_next_id(e->desk, edge_wall_ms(e)), &row, 1, (struct nano){1}, NULL) == MOVED) {
			ticket_state_cost(t, (struct nano){0});
			ticket_settle(e->desk, t);
		} else
			ticket_unpick(e->desk, t);
	}
}

void
settle_attempt(struct exchange *x, const struct ticket_facts *facts, enum end_reason reason)
{
	struct edge *e = x->edge;
	bool ours = endpoint_billed((enum endpoint)x->endpoint) && !(facts->flags & TICKET_OWN_KEY); /* else it is the customer's own bill at the provider */
	struct ticket *t = ours ? ticket_pick(e->desk) : NULL;
	struct usage u = {.flags = USAGE_ESTIMATED};
	if (!t)
		return;
	request_estimate(x);
	u.tokens[TOKEN_input] = x->input_estimate;
	t->facts = *facts;
	t->facts.parent = x->id;
	t->facts.end_reason = (uint8_t)reason;
	t->facts.status = reason_status(reason);
	t->facts.duration_ms = clamp32(e->loop.now_ms - x->started_ms);
	write_usage(&t->facts, &u);
	struct ticket_leg row = {x->account_row, x->slot};
	if (ticket_take(e->desk, t, ticket_next_id(e->desk, edge_wall_ms(e)), &row, 1, (struct nano){1}, NULL) == MOVED) {
		ticket_state_cost(t, (struct nano){0});
		ticket_settle(e->desk, t);
	} else
		ticket_unpick(e->desk, t);
}

/*
 * An answer that breaks off in its middle was last reported earlier than that: Anthropic counts the prompt at the beginning and the answer at the
 * end, and so do some of Gemini's models. What was said since is counted. Output in a report before the first word is part of what follows it.
 */
static void
add_unreported(const struct exchange *x, struct usage *u)
{
	const struct meter *m = x->meter;
	uint64_t said = tokens_of_words(x, m->content_bytes - m->content_reported);
	uint64_t thought = tokens_of_words(x, m->reasoning_bytes - m->reasoning_reported);
	uint64_t ahead = m->content_reported + m->reasoning_reported == 0 ? u->tokens[TOKEN_output] : 0;
	if (m->finished || said + thought <= ahead)
		return;
	uint64_t thought_ahead = thought < ahead ? thought : ahead;
	u->tokens[TOKEN_reasoning] += thought - thought_ahead;
	u->tokens[TOKEN_output] += said > ahead - thought_ahead ? said - (ahead - thought_ahead) : 0;
	u->flags |= USAGE_ESTIMATED;
}

/* By the second of audio, or by the image: what this endpoint's answers may be charged by where there are no tokens. */
static bool
prices_pieces(const struct exchange *x)
{
	enum tool_kind piece = endpoint_of_images((enum endpoint)x->endpoint) ? TOOL_image : TOOL_audio_second;
	return x->price->tool_nano[piece] > 0;
}

/*
 * Audio and images of which the answer doesn't say what they cost: by the piece where the model has a price for it, else by tokens as they were held. What
 * did not come is not counted.
 */
static void
estimate_media(const struct exchange *x, struct usage *ret)
{
	uint64_t made = x->meter ? x->meter->images : 0;
	*ret = (struct usage){.flags = USAGE_ESTIMATED};
	bool by_seconds = endpoint_of_audio((enum endpoint)x->endpoint) && prices_pieces(x);
	if (by_seconds && x->meter && x->meter->has_seconds) { /* told beside tokens */
		*ret = (struct usage){.flags = USAGE_REPORTED};
		ret->tools[TOOL_audio_second] = x->meter->seconds;
		return;
	}
	if (by_seconds)
		ret->tools[TOOL_audio_second] = x->seconds_estimate;
	else
		ret->tokens[TOKEN_input] = x->input_estimate;
	if (endpoint_of_images((enum endpoint)x->endpoint) && prices_pieces(x)) {
		*ret = (struct usage){.flags = made ? USAGE_REPORTED : USAGE_ESTIMATED}; /* they were counted; where none came, the provider has reported nothing */
		ret->tools[TOOL_image] = clamp32(made);
	} else if (made && x->pieces)
		ret->tokens[TOKEN_image_out] = x->hold_output / x->pieces * (made < x->pieces ? made : x->pieces);
	if (x->meter && !made)
		ret->tokens[TOKEN_output] = tokens_of_bytes(x->meter->content_bytes);
}

static bool
is_nothing(const struct usage *u)
{
	uint64_t sum = 0;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		sum |= u->tokens[k];
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		sum |= u->tools[k];
	return sum == 0;
}

/*
 * Reported in a measure that the row has no price for (tokens where seconds are charged), while it has one for the other: as if nothing had been reported.
 * What each request costs besides doesn't make up for it, and a zero in the wrong measure is not one in the right one.
 */
static bool
unpriced_measure(const struct exchange *x, const struct usage *u)
{
	struct catalogue_price measured = *x->price;
	measured.request_nano = 0;
	bool tokens = prices_tokens(x->price), pieces = prices_pieces(x);
	if (!(u->flags & USAGE_PIECES ? pieces : tokens))
		return tokens || pieces;
	return pieces && price_cost(&measured, u).v == 0 && !(u->flags & USAGE_PIECES && is_nothing(u));
}

static void
session_usage(const struct exchange *x, struct usage *ret)
{
	const struct realtime_rates rates = {x->model->bytes_per_token_x100, x->model->image_tokens, x->model->context_tokens};
	realtime_usage(x->meter, &rates, ret);
}

static bool
is_words(const struct exchange *x)
{
	return !endpoint_of_audio((enum endpoint)x->endpoint) && !endpoint_of_images((enum endpoint)x->endpoint);
}

/*
 * A provider bills tokens or pieces, and who tells tokens is charged by those: a row with prices for both has one price in two ways. Where it has none for
 * tokens of images, which those of such an answer are unless it says text, it has one for the picture alone.
 */
static void
add_images(const struct exchange *x, struct usage *ret)
{
	bool told = x->price->pico[TOKEN_image_out] > 0;
	if (endpoint_of_images((enum endpoint)x->endpoint) && prices_pieces(x) && !told)
		ret->tools[TOOL_image] = clamp32(x->meter->images);
}

/* There was a report, and it told nothing: an estimate says that as well. */
static uint32_t
unusable_report(const struct exchange *x)
{
	return x->meter && !(x->meter->usage.flags & USAGE_REPORTED) ? x->meter->usage.flags & USAGE_ABSURD : 0;
}

static void
usage_now(const struct exchange *x, struct usage *ret)
{
	bool media = !is_words(x);
	bool reported = x->meter && x->meter->usage.flags & USAGE_REPORTED;
	if (media && (!reported || unpriced_measure(x, &x->meter->usage))) {
		estimate_media(x, ret);
		ret->flags |= unusable_report(x);
		return;
	}
	if (x->meter && x->meter->usage.flags & USAGE_REPORTED) {
		*ret = x->meter->usage;
		if (x->duplex)
			session_usage(x, ret);
		else
			add_unreported(x, ret);
		add_images(x, ret);
		for (unsigned i = 0; i < x->meter->leg_count; i++)
			if (leg_target(x, &x->meter->legs[i]) == x->route.target) {
				struct usage u = leg_usage(x, x->route.target, &x->meter->legs[i]);
				add_usage(ret, &u);
			}
		return;
	}
	*ret = (struct usage){.flags = USAGE_ESTIMATED | unusable_report(x)};
	ret->tokens[TOKEN_input] = x->input_estimate;
	if (x->meter) {
		ret->tokens[TOKEN_output] = tokens_of_words(x, x->meter->content_bytes);
		ret->tokens[TOKEN_reasoning] = tokens_of_words(x, x->meter->reasoning_bytes);
	}
}

struct nano
settle_elsewhere(struct exchange *x, const struct catalogue_target *t, const struct catalogue_price *row, uint64_t input, struct usage *ret_usage)
{
	const struct catalogue_target *asked = x->route.target;
	const struct catalogue_price *price = x->price;
	struct usage u = x->meter->usage;
	if (!(u.flags & USAGE_REPORTED)) {
		u.tokens[TOKEN_input] = input;
		u.tokens[TOKEN_output] = tokens_of_bytes(x->meter->content_bytes);
		u.tokens[TOKEN_reasoning] = tokens_of_bytes(x->meter->reasoning_bytes);
	}
	x->route.target = t;
	x->price = row;
	for (unsigned i = 0; i < leg_count(x); i++)
		if (leg_target(x, &x->meter->legs[i]) == t) {
			struct usage own = leg_usage(x, t, &x->meter->legs[i]);
			add_usage(&u, &own);
		}
	struct nano cost = price_cost(price_of(x, t, row, &u), &u), legs = legs_cost(x);
	x->route.target = asked;
	x->price = price;
	*ret_usage = u;
	cost.v = legs.v > INT64_MAX / 4 - cost.v ? INT64_MAX / 4 : cost.v + legs.v;
	return cost;
}

/* What the ledger holds for it is paid another time (work.h). */
static bool
is_billed(const struct exchange *x)
{
	return endpoint_billed((enum endpoint)x->endpoint) && !(x->object && x->object->nano);
}

/* On the ticket, within its hold; what is stated is what was stated. */
static struct nano
state_within_hold(struct exchange *x, struct nano cost)
{
	struct nano hold = ticket_hold(x->ticket);
	/* An uncapped stream may have come in fewer reads than it would have needed steps. */
	if (cost.v > hold.v && x->extendable && ticket_extend(x->edge->desk, x->ticket, cost) == MOVED)
		hold = cost;
	if (cost.v > hold.v) /* what goes beyond the hold is the operator's: loss.overrun */
		cost = hold;
	ticket_state_cost(x->ticket, cost);
	return cost;
}

static struct nano
state(struct exchange *x, const struct usage *u)
{
	bool unpriced;
	const struct catalogue_price *row = catalogue_price_for(x->edge->p->catalogue, x->route.target, x->price, u, &unpriced);
	struct nano cost = price_cost(row, u), legs = legs_cost(x);
	write_usage(&x->ticket->facts, u);
	x->ticket->facts.price = row->id;
	x->ticket->facts.flags |= unpriced ? TICKET_TIER_UNPRICED : 0;
	x->ticket->facts.legs_nano = (uint64_t)legs.v;
	cost.v = legs.v > INT64_MAX - cost.v ? INT64_MAX : cost.v + legs.v;
	x->words_by = u->flags == USAGE_ESTIMATED && is_words(x) ? row : NULL;
	x->words_base = x->price;
	x->words_input = u->tokens[TOKEN_input];
	return state_within_hold(x, cost);
}

/*
 * A stream that has reported nothing yet says more and more words, and each time all that was stated stays as it is but for their number: the row that
 * they are counted by depends on the prompt. False: that is not known, or something else has changed.
 */
static bool
state_words(struct exchange *x)
{
	const struct meter *m = x->meter;
	if (!x->words_by || x->words_base != x->price || x->words_input != x->input_estimate || m->usage.flags & USAGE_REPORTED)
		return false;
	struct ticket_facts *f = &x->ticket->facts;
	uint64_t said = tokens_of_bytes(m->content_bytes), thought = tokens_of_bytes(m->reasoning_bytes);
	f->tokens_output = clamp32(said);
	f->tokens_reasoning = clamp32(thought);
	(void)state_within_hold(x, price_words(x->words_by, x->words_input, said, thought));
	return true;
}

void
settle_state_cost(struct exchange *x)
{
	struct usage u;
	if (!x->held || !has_output(x) || !is_billed(x) || state_words(x))
		return;
	usage_now(x, &u);
	(void)state(x, &u);
}

/* Is this end charged, and if so with what? */
static bool
charged(struct exchange *x, enum end_reason reason, struct usage *ret)
{
	if (billing_of((uint8_t)reason) == BILLING_NONE || !is_billed(x))
		return false;
	if (x->req && x->model)
		request_estimate(x);
	if (x->sample && !(x->meter->usage.flags & USAGE_REPORTED && x->meter->finished))
		tokens_count_sample(x);
	usage_now(x, ret);
	bool failed = x->meter && x->meter->answer == ANSWER_ERROR; /* also when the client went because of it */
	bool theirs = !failed && (reason == END_CLIENT_GONE || reason == END_COMPLETED || reason == END_CLIENT_SLOW);
	return ret->flags & USAGE_REPORTED || theirs || has_output(x); /* a provider that fails before the first token is not paid for */
}

static void
state_end(struct exchange *x, enum end_reason reason)
{
	struct usage u = {0};
	if (charged(x, reason, &u)) {
		(void)state(x, &u);
		return;
	}
	write_usage(&x->ticket->facts, &(struct usage){0}); /* what was counted is not charged, and not shown as if it were */
	ticket_state_cost(x->ticket, (struct nano){0});
}

void
settle_state_completed(struct exchange *x)
{
	if (!x->ticket || !x->held)
		return;
	state_end(x, END_COMPLETED);
	x->completed_stated = true;
}

static void
hand_in(struct exchange *x, enum end_reason reason)
{
	struct edge *e = x->edge;
	struct ticket_facts *f = &x->ticket->facts;
	if (reason != END_COMPLETED || !x->completed_stated)
		state_end(x, reason);
	f->duration_ms = clamp32(e->loop.now_ms - x->started_ms);
	f->end_reason = (uint8_t)reason;
	f->attempts = x->attempts;
	f->status = x->head_sent ? (uint16_t)x->up_status : reason_status(reason);
	hand_in_legs(x);
	limit_end(x);
	x->settled = x->ticket;
	x->settled_seq = ticket_seq(x->ticket);
	ticket_settle(e->desk, x->ticket);
	x->ticket = NULL;
	x->held = false;
}

void
settle(struct exchange *x, enum end_reason reason)
{
	if (!x->ticket)
		return;
	share_give(x->edge, x->account_row);
	if (x->held) {
		hand_in(x, reason);
		return;
	}
	limit_end(x);
	spare_unpick(x);
}

/* ---- durability: strict ---- */

void
settle_strict(struct exchange *x, enum end_reason reason, bool complete)
{
	struct edge *e = x->edge;
	struct upstream *u = x->up;
	relay_stop_waiting(x); /* for more of an answer that has ended */
	settle(x, reason);
	x->strict_reason = (uint8_t)reason;
	x->strict_complete = complete;
	x->up = NULL;
	upstream_release(u, x->up_done && x->keep_upstream);
	exchange_step(x, STEP_SETTLE);
	exchange_wait(x, &e->wait_booked);
}

void
settle_poll_strict(struct edge *e)
{
	struct exchange *x = e->wait_booked.first, *next;
	for (; x; x = next) {
		next = x->wait_next;
		if (ticket_booked(x->settled, x->settled_seq))
			relay_finish_strict(x);
	}
}
