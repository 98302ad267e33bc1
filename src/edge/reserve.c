/*
 * RESERVE: the most that this exchange can cost is taken from the account before anything is sent.
 *
 *   hold = input + output + fees
 *   input   bytes seen ÷ the model's bytes-per-token floor, media by the catalogue's table; never more than the context window
 *   output  the caller's cap × n; without a cap a stream whose output is visible takes a step and extends it while it runs; what can't be
 *           watched (hidden reasoning, a plain answer) takes a share of the balance and is sent with that cap (lethe-capped)
 *
 * A share, not all: min(model's maximum, max(min(16,384 tokens, a quarter of the balance), an eighth of the balance)), so that a small balance
 * can carry several requests at once (docs/decisions/0004).
 */
#include "edge/edge_priv.h"

#include "core/ipc.h"
#include "edge/byok.h"
#include "edge/duplex.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/object.h"
#include "edge/question.h"
#include "edge/quote.h"
#include "edge/relay.h"
#include "edge/spare.h"
#include "edge/stored.h"
#include "edge/tokens.h"
#include "edge/upload.h"
#include "ticket/price.h"

enum { AUDIO_BYTES_PER_SECOND_LEAST = 1000, /* 8 kbit/s: what speech is stored with at least */
	AUDIO_SECONDS_LEAST = 60, /* providers have a least duration that they bill */
	STEP_TOKENS = 4096,
	CAP_TOKENS = 16384,
	STEP_TOKENS_MIN = 16,
	TOOL_USES = 10,
	TOOL_USES_MOST = 1000,
	PUT_OFF_MOST = 3, /* other servers look every 100 ms at what is wanted of them */
	AT_ONCE_MOST = 16, /* times that it asks again at once when it was overtaken; a portion is for many requests, but for the last few */
	LOOK_AHEAD = 8 /* requests like this one */ };

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t
reserve_input(const struct catalogue_model *m, const struct request_facts *r)
{
	if (r->object_count) /* what they hold is not seen here */
		return m->context_tokens;
	uint64_t text = r->body_bytes - min64(r->body_bytes, r->inline_media_bytes);
	uint64_t tokens = text * 100 / m->bytes_per_token_x100 + 1 + r->prompt_tokens;
	tokens += (uint64_t)r->images * m->image_tokens + (uint64_t)r->audios * m->audio_tokens + (uint64_t)r->files * m->file_tokens;
	/* Each of several texts, or requests in one, may fill a window of its own. */
	uint64_t texts = max64(max64(r->prompts, r->model_count), 1);
	return min64(tokens, m->context_tokens * texts);
}

/* Output tokens that the model can give to this request. */
static uint64_t
output_most(const struct exchange *x)
{
	return endpoint_has_output((enum endpoint)x->endpoint) ? (uint64_t)x->model->output_tokens * x->req->scan.result.n : 0;
}

/* Pieces of the provider's own tools that the request may lead to, at their prices. */
static int64_t
tool_fees(const struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	uint64_t uses = min64(r->tool_uses ? r->tool_uses : TOOL_USES, TOOL_USES_MOST);
	unsigned __int128 nano = 0;
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		if (r->server_tools >> k & 1)
			nano += (unsigned __int128)uses * (uint64_t)x->bound->tool_nano[k];
	if (endpoint_of_audio((enum endpoint)x->endpoint))
		nano += (unsigned __int128)(r->inline_media_bytes / AUDIO_BYTES_PER_SECOND_LEAST + 1 + AUDIO_SECONDS_LEAST) * (uint64_t)x->bound->tool_nano[TOOL_audio_second];
	if (endpoint_of_images((enum endpoint)x->endpoint))
		nano += (unsigned __int128)r->n * (uint64_t)x->bound->tool_nano[TOOL_image];
	return nano > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)nano;
}

/* There is no field that could bound the answer: all that the model can make is held. */
static bool
no_cap(const struct exchange *x)
{
	return endpoint_of_audio((enum endpoint)x->endpoint) || endpoint_of_images((enum endpoint)x->endpoint) || x->endpoint == ENDPOINT_AUDIO_SPEECH;
}

static bool
watchable(const struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	return x->duplex || (r->stream && !x->model->reasoning && !no_cap(x) && !r->background);
}

/* Output tokens that the hold is to cover, as far as the balance is known. */
static uint64_t
output_wanted(struct exchange *x, uint64_t input, struct nano available)
{
	const struct request_facts *r = &x->req->scan.result;
	uint64_t most = output_most(x);
	if (!most)
		return 0;
	if (r->has_cap)
		return min64((uint64_t)r->cap * r->n, most);
	if (no_cap(x) || (x->req->as_is && !watchable(x)))
		return most;
	uint64_t all = price_affordable_output(x->bound, input, available);
	uint64_t quarter = all / 4 ? all / 4 : all;
	uint64_t step = watchable(x) ? STEP_TOKENS * (uint64_t)r->n : max64(CAP_TOKENS, all / 8);
	uint64_t tokens = min64(most, max64(min64(step, quarter), watchable(x) ? 0 : all / 8));
	return tokens;
}

/* A 402 only after what has been settled is given back: one booking round, when one is under way. */
static bool
wait_for_round(struct exchange *x)
{
	struct edge *e = x->edge;
	if (x->wait_rounds || atomic_load(board_sleeping(e->p->board)))
		return false;
	x->wait_rounds = atomic_load(board_rounds(e->p->board)) + 2;
	(void)!spare_wait(x, &e->wait_booking); /* else it has ended */
	return true;
}

static enum ipc_result
load(const struct exchange *x, uint64_t row, uint64_t need_nano)
{
	struct message_row m = MESSAGE_INIT(LOAD, message_row);
	m.token = x->id;
	m.row = row;
	m.need_nano = need_nano;
	m.result = ROW_SHORT;
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

enum ipc_result
reserve_ask(const struct exchange *x)
{
	return x->limited.asked ? load(x, x->limited.asked, x->limited.lacking_nano) : load(x, x->account_row, x->lacking_nano);
}

static void
ask_for_row(struct exchange *x)
{
	bool again = limit_wants_row(x) ? x->limited.loads++ == LIMIT_LOADS_MOST : x->loaded;
	if (again) {
		exchange_end(x, END_LEDGER_AWAY);
		return;
	}
	x->loaded |= !x->limited.asked;
	if (x->limited.asked) { /* another day's, maybe: what was said of the windows before is not about this one */
		x->limited.more = 0;
		x->refused = false;
	}
	question_ask(x, QUESTION_ROW);
}

bool
reserve_is_shared(const struct exchange *x)
{
	return atomic_load_explicit(board_many(x->edge->p->board), memory_order_relaxed) != 0;
}

/* The least that is left of what its ticket holds of: the windows are those in which it began. */
static struct nano
left_of_legs(const struct exchange *x)
{
	struct nano least = {INT64_MAX};
	for (int i = 0; i < TICKET_LEGS_MAX; i++) {
		if (!atomic_load_explicit(&x->ticket->row[i], memory_order_relaxed))
			continue;
		struct nano left = board_available(x->edge->p->board, atomic_load_explicit(&x->ticket->slot[i], memory_order_relaxed));
		least = left.v < least.v ? left : least;
	}
	return least.v < 0 ? (struct nano){0} : least; /* a hint that is out of date: only the move decides */
}

/*
 * What is here of the balance, or of a limit's window, will not do for long, and other servers may have more: the ledger is asked, and this exchange goes on.
 * Nobody waits for the answer; when somebody needs it, there is more, or not.
 */
static void
ask_ahead(struct exchange *x, struct nano need)
{
	uint64_t now_ms = x->edge->loop.now_ms;
	if (now_ms < x->lacking_ms + QUESTION_AGAIN_MS || x->edge->wait_question.first)
		return;
	x->lacking_ms = now_ms;
	for (int i = 0; i < TICKET_LEGS_MAX; i++) {
		uint64_t row = atomic_load_explicit(&x->ticket->row[i], memory_order_relaxed);
		if (row && board_available(x->edge->p->board, atomic_load_explicit(&x->ticket->slot[i], memory_order_relaxed)).v < need.v)
			(void)!load(x, row, (uint64_t)(need.v > 0 ? need.v : 1)); /* not sent: it is asked again */
	}
}

/* Those that come next are not to wait while the ledger takes more of the balance, nor to be cut to what is left here of a window. */
static void
look_ahead(struct exchange *x)
{
	struct nano hold = ticket_hold(x->ticket), next = {hold.v < INT64_MAX / LOOK_AHEAD ? hold.v * LOOK_AHEAD : INT64_MAX};
	if (reserve_is_shared(x) && left_of_legs(x).v < next.v)
		ask_ahead(x, next);
}

static void
reserved(struct exchange *x, uint64_t input, uint64_t output)
{
	const struct request_facts *r = &x->req->scan.result;
	x->held = true;
	look_ahead(x);
	if (output && !r->has_cap && watchable(x)) {
		x->extendable = true;
		x->extend_at = output - output / 4;
		x->hold_output = output;
	} else if (!r->has_cap && output < output_most(x))
		x->capped = (uint32_t)(output / r->n);
	x->hold_input = input;
	x->hold_output = output;
	x->pieces = r->n;
	x->ticket->facts.flags = (uint16_t)((r->stream ? TICKET_STREAMED : 0) | (x->capped ? TICKET_CAPPED : 0) | (x->route.byok ? TICKET_OWN_KEY : 0));
	route_edited(x);
}

static struct nano
available(const struct exchange *x)
{
	struct board *b = x->edge->p->board;
	struct nano have = x->slot < x->edge->slots ? board_available(b, x->slot) : (struct nano){0};
	if (x->limited.rows[0])
		have = limit_left(x, have);
	return have.v < 0 ? (struct nano){0} : have; /* closed, or a hint that is out of date: only the move decides */
}

/* Each window that has too little, then the balance; each once. */
static bool
pick_lacking(struct exchange *x, struct nano need)
{
	if (limit_lacks(x, need, &x->limited.more))
		return true;
	if (x->lacking_nano)
		return false;
	x->lacking_nano = (uint64_t)need.v;
	return true;
}

/* It waits, and will for a while: for what others have. */
static void
count_put_off(struct exchange *x)
{
	if (x->put_off_now || !x->patient)
		return;
	x->put_off_now = true;
	share_put_off(x->edge, x->account_row, 1);
}

/*
 * There was enough of all of it, says the ledger, and then somebody else here was first: it asks again, and by itself that ends, for each time somebody is served.
 * After so many times it asks no oftener than others look, until its patience ends.
 */
static void
ask_overtaken(struct exchange *x, struct nano need)
{
	x->limited.more = 0;
	x->lacking_nano = 0;
	x->loaded = false;
	x->limited.loads = 0;
	(void)!pick_lacking(x, need); /* the balance at least */
	if (x->overtaken++ < AT_ONCE_MOST)
		question_ask(x, QUESTION_ROW);
	else if (share_is_crowded(x->edge, x->account_row))
		exchange_end(x, END_OVERLOADED);
	else if (question_put_off(x, QUESTION_ROW))
		count_put_off(x);
}

/*
 * What this server has of the balance, or of a window, is used up: other servers may have some of it that they don't need. Where there are none the answer is
 * at once the same.
 */
static bool
ask_for_more(struct exchange *x, struct nano need)
{
	if (!reserve_is_shared(x))
		return false;
	if (pick_lacking(x, need)) {
		question_ask(x, QUESTION_ROW);
		return true;
	}
	if (x->refused)
		return false;
	ask_overtaken(x, need);
	return true;
}

static bool
is_free(const struct catalogue_price *p)
{
	return price_upper_bound(p, 1, 1).v == 0 && p->tool_nano[TOOL_audio_second] == 0;
}

struct nano
reserve_most(const struct exchange *x, uint64_t input, uint64_t *ret_output)
{
	const struct request_facts *r = &x->req->scan.result;
	uint64_t most = output_most(x);
	*ret_output = most && r->has_cap ? min64((uint64_t)r->cap * r->n, most) : most;
	struct nano cost = price_upper_bound(x->bound, input, *ret_output);
	cost.v = cost.v > INT64_MAX / 2 ? cost.v : cost.v + tool_fees(x);
	return cost;
}

/* A hold is at least one nano: docs/ticket-protocol.md T2. */
static struct nano
most_of(const struct exchange *x, uint64_t input, uint64_t output)
{
	struct nano need = price_upper_bound(x->bound, input, output);
	need.v = need.v > INT64_MAX / 2 ? need.v : need.v + tool_fees(x);
	return need.v < 1 ? (struct nano){1} : need;
}

/* What goes on in the background the ledger holds, and not the board. False: it has been answered, and has ended. */
static bool
take_apart(struct exchange *x, struct nano *need)
{
	/* Each time anew: with the account's row on the board, or after a wait, more may go up than a moment ago. */
	if (x->req->scan.result.background && !stored_begins(x, *need))
		return false;
	if (x->object)
		need->v = 1;
	return true;
}

/* By its bytes the request costs more than there is: does it by its tokens? Counted once, and only where it can be. */
static bool
counts_as_less(struct exchange *x, uint64_t input, uint64_t output, struct nano have)
{
	enum { BYTES_PER_TOKEN_MOST = 16 };
	bool known = endpoint_billed((enum endpoint)x->endpoint) && board_has(x->edge->p->board, x->slot, x->account_row);
	if (x->counted || !known || most_of(x, input / BYTES_PER_TOKEN_MOST, output).v > have.v)
		return false;
	x->counted = true;
	x->input_most = tokens_input_most(x);
	return x->input_most != 0;
}

static uint64_t
input_most(const struct exchange *x)
{
	uint64_t by_bytes = reserve_input(x->model, &x->req->scan.result);
	return x->input_most ? min64(x->input_most, by_bytes) : by_bytes;
}

static void
tell_quote(struct exchange *x, uint64_t input, uint64_t output, struct nano need)
{
	if (x->loaded || board_has(x->edge->p->board, x->slot, x->account_row))
		quote(x, input, output, need);
	else
		ask_for_row(x);
}

static void
take(struct exchange *x)
{
	struct edge *e = x->edge;
	struct nano have = available(x);
	bool billed = endpoint_billed((enum endpoint)x->endpoint);
	bool output_due = endpoint_has_output((enum endpoint)x->endpoint);
	uint64_t input = input_most(x);
	if (billed) {
		x->bound = route_bound(x, input);
		if (!x->bound) {
			exchange_end(x, END_OVERLOADED);
			return;
		}
	}
	uint64_t output = output_due ? max64(output_wanted(x, input, have), x->req->scan.result.n) : 0;
	struct nano need = billed ? most_of(x, input, output) : (struct nano){1};
	if (need.v > have.v && counts_as_less(x, input, output, have)) {
		take(x);
		return;
	}
	if (x->quote) {
		tell_quote(x, input, output, need);
		return;
	}
	if (!take_apart(x, &need))
		return;
	if (x->limited.rows[0] && !limit_tokens(x)) {
		exchange_end(x, END_RATE_LIMITED);
		return;
	}
	struct ticket_leg legs[TICKET_LEGS_MAX];
	unsigned count = x->limited.rows[0] ? limit_legs(x, legs) : 0;
	legs[count++] = (struct ticket_leg){x->account_row, x->slot};
	enum moved moved = x->slot < e->slots ? ticket_take(e->desk, x->ticket, x->id, legs, count, need, &have) : GONE;
	switch (moved) {
	case MOVED:
		reserved(x, input, output);
		return;
	case SHORT:
		if (ask_for_more(x, need))
			return;
		if (!wait_for_round(x)) {
			if (x->limited.rows[0] && limit_is_short(x, need)) {
				exchange_end(x, END_LIMIT_SPENT);
				return;
			}
			answer_money_short(x, need, have);
			exchange_end(x, END_NO_MONEY);
		}
		return;
	case GONE:
		ask_for_row(x);
		return;
	}
}

/* Nothing but the request costs. */
static bool
is_flat(const struct catalogue_price *p)
{
	return price_upper_bound(p, 1000, 1000).v == p->request_nano;
}

/* Of speech tokens are told, in events, or nothing; never seconds. */
static enum request_error
speech_unbilled(const struct exchange *x, const struct catalogue_price *p)
{
	if (!is_flat(p))
		return x->plain_answer ? REQUEST_UNBILLED_SPEECH : REQUEST_OK;
	return p->tool_nano[TOOL_audio_second] ? REQUEST_SPEECH_BY_SECONDS : REQUEST_OK;
}

static enum request_error
format_unbilled(const struct exchange *x, const struct catalogue_price *p)
{
	if (x->endpoint == ENDPOINT_AUDIO_SPEECH)
		return speech_unbilled(x, p);
	bool tells = !x->plain_answer || !endpoint_of_audio((enum endpoint)x->endpoint);
	return tells || p->request_nano || is_free(p) ? REQUEST_OK : REQUEST_UNBILLED_FORMAT;
}

static bool
bills_format(const struct exchange *x, const struct catalogue_price *p)
{
	return format_unbilled(x, p) == REQUEST_OK;
}

/* Can an answer of the format that is asked for be charged, by whoever answers? False: the exchange has ended. */
static bool
format_is_billed(struct exchange *x)
{
	x->plain_answer = x->req->scan.result.plain_answer;
	enum request_error error = format_unbilled(x, x->price);
	if (error == REQUEST_OK) {
		route_keep(x, bills_format);
		return true;
	}
	answer_request_error(x, error);
	exchange_end(x, END_BAD_BODY);
	return false;
}

void
reserve(struct exchange *x)
{
	x->step = STEP_RESERVE;
	if (spare_ready(x) && byok_ready(x) && (object_is_subject(x) ? object_route(x) : route_model(x)) && format_is_billed(x))
		take(x);
}

/* What it holds is its own, and counts as left. */
static void
end_dearer(struct exchange *x, struct nano need, struct nano held)
{
	struct nano more = {need.v - held.v};
	if (x->limited.rows[0] && limit_is_short(x, more)) {
		x->limited.left_nano += (uint64_t)held.v;
		x->limited.need_nano = (uint64_t)need.v;
		exchange_end(x, END_LIMIT_SPENT);
		return;
	}
	answer_money_short(x, need, (struct nano){available(x).v + held.v});
	exchange_end(x, END_NO_MONEY);
}

bool
reserve_round_is_over(const struct exchange *x)
{
	struct board *b = x->edge->p->board;
	return atomic_load(board_rounds(b)) >= x->wait_rounds || atomic_load(board_sleeping(b));
}

/* For what others have, or for what has been settled and is not given back yet. False: there is nothing to wait for. */
static bool
wait_for_dearer(struct exchange *x, struct nano more)
{
	if (!relay_is_paused(x) && !relay_pause(x))
		return false;
	if (reserve_is_shared(x))
		ask_ahead(x, more);
	x->req->upload->unsure = true;
	return true;
}

/* By the same rules as before, which for a form know no cap. */
bool
reserve_confirm(struct exchange *x, bool last)
{
	const struct request_facts *r = &x->req->scan.result;
	if (object_is_subject(x))
		return object_confirm(x);
	if (!format_is_billed(x))
		return false;
	uint64_t input = reserve_input(x->model, r), output = max64(output_most(x), r->n);
	x->bound = route_bound(x, input);
	if (!x->bound) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	struct nano have = ticket_hold(x->ticket), need = price_upper_bound(x->bound, input, output);
	need.v = need.v > INT64_MAX / 2 ? need.v : need.v + tool_fees(x);
	if (need.v > have.v && ticket_extend(x->edge->desk, x->ticket, need) != MOVED) {
		if (!last && wait_for_dearer(x, (struct nano){need.v - have.v}))
			return true;
		end_dearer(x, need, have);
		return false;
	}
	x->hold_input = input;
	x->hold_output = output;
	x->pieces = r->n;
	x->ticket->facts.flags = (uint16_t)((x->ticket->facts.flags & ~TICKET_STREAMED) | (r->stream ? TICKET_STREAMED : 0));
	return true;
}

void
reserve_retry(struct exchange *x)
{
	exchange_stop_waiting(x);
	take(x);
}

/*
 * Others have it, and are to have the time to give it back: SDKs take a 402 as final. But each that waits has a place that others may need more, who are not
 * to hear for that that we are at capacity.
 */
static bool
may_be_put_off(const struct exchange *x)
{
	return x->put_off < PUT_OFF_MOST && !x->refused && (x->put_off_now || !share_is_crowded(x->edge, x->account_row));
}

/* Meanwhile its other rows may leave the board: they are asked for again. */
static void
put_off(struct exchange *x)
{
	x->put_off++;
	count_put_off(x);
	x->loaded = false;
	x->limited.loads = 0;
	question_ask_later(x);
}

/* Midnight came while it waited: nothing that was said of the window before matters. */
static void
begin_anew(struct exchange *x)
{
	exchange_stop_waiting(x);
	x->limited.asked = 0;
	x->limited.more = 0;
	x->refused = false;
	take(x);
}

void
reserve_row_loaded(struct edge *e, const struct message_row *m)
{
	struct exchange *x = e->wait_row.first;
	while (x && x->id != m->token)
		x = x->wait_next;
	if (!x)
		relay_more_answered(e, m);
	/* What it asked ahead for may be answered while it waits for another. */
	if (!x || m->row != (x->limited.asked ? x->limited.asked : x->account_row))
		return;
	if (limit_row_is_over(x)) {
		begin_anew(x);
		return;
	}
	if (m->result == ROW_LATER && may_be_put_off(x)) {
		put_off(x);
		return;
	}
	exchange_stop_waiting(x);
	if (!row_is_there(m->result)) {
		exchange_end(x, m->result == ROW_UNKNOWN && !x->limited.asked ? END_BAD_KEY : END_LEDGER_AWAY);
		return;
	}
	if (x->limited.asked)
		limit_row_loaded(x, m->slot);
	else
		x->slot = m->slot;
	x->refused |= m->result != ROW_LOADED;
	take(x);
}

/*
 * The stream has nearly used up what is held: take another step. False: nothing is left, the stream has to end.
 */
bool
reserve_extend(struct exchange *x)
{
	struct edge *e = x->edge;
	struct nano have = left_of_legs(x);
	struct nano old = ticket_hold(x->ticket);
	uint64_t affordable = price_affordable_output(x->bound, 0, have);
	uint64_t most = (uint64_t)x->model->output_tokens * 128; /* n is at most 128 */
	uint64_t step = min64(STEP_TOKENS, max64(affordable / 4, min64(affordable, STEP_TOKENS_MIN)));
	if (reserve_is_shared(x) && affordable < STEP_TOKENS)
		ask_ahead(x, price_upper_bound(x->bound, 0, step ? STEP_TOKENS : STEP_TOKENS_MIN));
	if (!step || x->hold_output >= most)
		return false;
	struct nano more = price_upper_bound(x->bound, 0, step);
	if (ticket_extend(e->desk, x->ticket, (struct nano){old.v + (more.v ? more.v : 1)}) != MOVED)
		return false;
	x->hold_output += step;
	x->extend_at = x->hold_output - step / 4;
	return true;
}

enum { COVER_TOKENS = 1024 }; /* taken at once when a session needs more, so that not each message does */

bool
reserve_cover(struct exchange *x, uint64_t input, uint64_t output)
{
	struct edge *e = x->edge;
	struct nano have = ticket_hold(x->ticket), need = price_upper_bound(x->bound, input, output), ahead = price_upper_bound(x->bound, 0, COVER_TOKENS);
	int64_t stated = atomic_load_explicit(&x->ticket->cost, memory_order_relaxed);
	if (need.v > INT64_MAX / 4 || stated > INT64_MAX / 4 || ahead.v > INT64_MAX / 4)
		return false;
	need.v += stated;
	if (need.v <= have.v)
		return true;
	if (reserve_is_shared(x) && left_of_legs(x).v - (need.v - have.v) < 4 * ahead.v)
		ask_ahead(x, (struct nano){need.v - have.v + 4 * ahead.v});
	return ticket_extend(e->desk, x->ticket, (struct nano){need.v + ahead.v}) == MOVED || ticket_extend(e->desk, x->ticket, need) == MOVED;
}
