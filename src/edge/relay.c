/*
 * RELAY: bytes move when the client can take them. One read, one write a turn: the read lands in the loop's scratch, is unframed and metered in
 * place, and goes out from there; only what must wait (half an event, a slow socket's rest) is copied.
 */
#include "edge/edge_priv.h"

#include "edge/batch.h"
#include "edge/citing.h"
#include "edge/duplex.h"
#include "edge/h2_up.h"
#include "edge/keep_alive.h"
#include "edge/object.h"
#include "edge/passage.h"
#include "edge/question.h"
#include "edge/receipt_inline.h"
#include "edge/relay.h"
#include "edge/spare.h"
#include "edge/stored.h"
#include "edge/upload.h"
#include "edge/work.h"

#include <assert.h>

/* ---- bytes that wait for what follows ---- */

bool
carry_keep(struct exchange *x, const char *bytes, size_t len)
{
	struct edge *e = x->edge;
	if (len == 0)
		return true;
	if (x->carry_len + len > CARRY_MAX)
		return false;
	if (x->carry_len + len > x->carry_cap) {
		size_t cap = vault_block_bytes(x->carry_len + len);
		char *at = vault_alloc(e->vault, cap);
		if (!at)
			return false;
		if (x->carry)
			memcpy(at, x->carry, x->carry_len);
		vault_free_dirty(e->vault, x->carry, x->carry_cap, x->carry_len);
		x->carry = at;
		x->carry_cap = (uint32_t)cap;
	}
	memcpy(x->carry + x->carry_len, bytes, len);
	x->carry_len += (uint32_t)len;
	return true;
}

void
carry_drop(struct exchange *x)
{
	vault_free_dirty(x->edge->vault, x->carry, x->carry_cap, x->carry_len);
	x->carry = NULL;
	x->carry_len = x->carry_cap = 0;
}

/* ---- framing of the provider's side ---- */

/* Data bytes of raw[0..len), moved together at raw's start. False: the framing is broken. */
static bool
unchunk(struct exchange *x, char *raw, size_t len, char **ret_data, size_t *ret_len)
{
	char *out = NULL, *at = raw;
	size_t out_len = 0;
	for (;;) {
		size_t used;
		struct span data;
		enum http1_result r = http1_chunked_feed(&x->chunked, at, len, &used, &data);
		if (r == HTTP1_BAD)
			return false;
		if (data.len && !out)
			out = (char *)data.at;
		else if (data.len && out + out_len != data.at)
			memmove(out + out_len, data.at, data.len);
		out_len += data.len;
		at += used;
		len -= used;
		if (r == HTTP1_DONE) {
			x->up_done = true;
			x->keep_upstream = x->keep_upstream && len == 0;
			break;
		}
		if (len == 0 || used == 0)
			break;
	}
	*ret_data = out ? out : raw;
	*ret_len = out_len;
	return true;
}

static bool
unframe(struct exchange *x, char *raw, size_t len, bool eof, char **ret_data, size_t *ret_len)
{
	*ret_data = raw;
	*ret_len = len;
	switch ((enum framing)x->framing) {
	case FRAMING_CHUNKED:
		return unchunk(x, raw, len, ret_data, ret_len);
	case FRAMING_LENGTH:
		if (len > x->answer_left) { /* more than it said: the rest is nobody's */
			*ret_len = (size_t)x->answer_left;
			x->keep_upstream = false;
		}
		x->answer_left -= *ret_len;
		x->up_done = x->answer_left == 0;
		return true;
	case FRAMING_CLOSE:
		x->up_done = eof && !x->up_cut;
		return true;
	case FRAMING_NONE:
		x->up_done = true;
		*ret_len = 0;
		return true;
	}
	return false;
}

/* ---- the client's side ---- */

/* Metered bytes to forward, together at *ret_data; the undecided tail goes into the carry. False: no memory for it. */
static bool
meter(struct exchange *x, char *data, size_t len, bool last, char **ret_data, size_t *ret_len)
{
	struct span spans[METER_SPANS_MAX];
	char *out = data;
	size_t out_len = 0, at = 0;
	for (;;) {
		size_t count = 0;
		size_t settled = meter_feed(x->meter, data + at, len - at, last, spans, &count);
		for (size_t i = 0; i < count; i++) {
			if (out_len == 0)
				out = (char *)spans[i].at;
			else if (out + out_len != spans[i].at)
				memmove(out + out_len, spans[i].at, spans[i].len);
			out_len += spans[i].len;
		}
		at += settled;
		if (settled == 0 || at == len) /* it may stop before its spans are full: only no progress means that it waits for more */
			break;
	}
	*ret_data = out;
	*ret_len = out_len;
	return at == len || carry_keep(x, data + at, len - at);
}

static enum end_reason
reason_of_end(const struct exchange *x)
{
	const struct meter *m = x->meter;
	if (m->answer == ANSWER_ERROR)
		return END_PROVIDER_ERROR_INSIDE;
	bool whole = x->up_done || (x->framing != FRAMING_LENGTH && !object_is_subject(x));
	return m->finished && whole ? END_COMPLETED : END_PROVIDER_CUT;
}

/* durability: strict. The last bytes wait in the carry until the ticket is on disk. False: no memory for them. */
static bool
hold_back(struct exchange *x, struct span head, const char *data, size_t len)
{
	return carry_keep(x, head.at, head.len) && (x->collect_at = x->carry_len, carry_keep(x, data, len));
}

static void
finish_strict(struct exchange *x, struct span head, const char *data, size_t len, bool complete)
{
	enum { HELD_MAX = 32 << 10 };
	enum end_reason reason = reason_of_end(x);
	if (len > HELD_MAX) {
		size_t early = len - HELD_MAX;
		reply(x, head, data, early, false);
		if (x->step == STEP_DONE)
			return;
		head.len = 0;
		data += early;
		len = HELD_MAX;
	}
	if (hold_back(x, head, data, len)) {
		settle_strict(x, reason, complete);
		return;
	}
	x->head_sent = x->head_sent && !head.len;
	exchange_end(x, END_OVERLOADED);
}

static void
finish(struct exchange *x, struct span head, const char *data, size_t len)
{
	enum end_reason reason = reason_of_end(x);
	bool complete = x->up_done || (x->meter->finished && x->client_chunked && !object_is_subject(x)); /* behind [DONE] a cut changes nothing for the client */
	if (x->edge->p->durability == DURABILITY_STRICT && x->client) {
		finish_strict(x, head, data, len, complete);
		return;
	}
	if (complete && reason == END_COMPLETED)
		settle_state_completed(x);
	reply(x, head, data, len, complete);
	if (x->step == STEP_DONE)
		return;
	x->answered = complete;
	exchange_end(x, reason);
}

void
relay_finish_strict(struct exchange *x)
{
	struct edge *e = x->edge;
	exchange_stop_waiting(x);
	size_t head = x->collect_at, len = x->carry_len - head;
	if (x->carry)
		memcpy(e->in, x->carry, x->carry_len);
	edge_in_used(e, x->carry_len);
	carry_drop(x);
	reply(x, (struct span){e->in, head}, e->in + head, len, x->strict_complete);
	if (x->step != STEP_DONE) {
		x->answered = x->strict_complete;
		exchange_end(x, (enum end_reason)x->strict_reason);
	}
}

/* The stream goes on: is there money for more of it? */
static bool
still_paid(struct exchange *x)
{
	settle_state_cost(x);
	uint64_t counted = settle_counted_output(x);
	while (x->extendable && counted >= x->extend_at)
		if (!reserve_extend(x))
			return counted < x->hold_output;
	return true;
}

bool
relay_is_paused(const struct exchange *x)
{
	return x->paused_ms != 0;
}

bool
relay_waits_for_money(const struct exchange *x)
{
	return x->wait_link && x->wait_line == &x->edge->wait_more;
}

bool
relay_pause(struct exchange *x)
{
	struct board *b = x->edge->p->board;
	if (x->wait_link) /* already: what a connection that is gone had sent before */
		return relay_is_paused(x);
	if (!reserve_is_shared(x) && atomic_load(board_sleeping(b)))
		return false;
	x->wait_rounds = atomic_load(board_rounds(b)) + 2;
	x->paused_ms = x->edge->loop.now_ms;
	x->more_answered = false;
	exchange_wait(x, &x->edge->wait_more);
	return true;
}

static bool
pause_for_more(struct exchange *x)
{
	if (receipt_inline_is_thirsty(x)) /* nothing is read meanwhile; then it is asked again */
		return true;
	return relay_pause(x);
}

void
relay_read_on(struct exchange *x)
{
	if (x->up && x->up->is_stream)
		h2_up_wake(x->up);
	else if (x->up)
		loop_again(&x->edge->loop, &x->up->conn.watch);
}

void
relay_go_on(struct exchange *x)
{
	if (still_paid(x))
		relay_read_on(x);
	else if (!pause_for_more(x))
		exchange_end(x, END_BUDGET_EXHAUSTED);
}

void
relay_stop_waiting(struct exchange *x)
{
	exchange_stop_waiting(x);
	x->paused_ms = 0;
	receipt_inline_drinks(x);
}

void
relay_more_answered(struct edge *e, const struct message_row *m)
{
	struct exchange *x = e->wait_more.first;
	while (x && x->id != m->token)
		x = x->wait_next;
	if (!x || x->more_answered || !row_is_there(m->result))
		return;
	x->more_answered = true;
	x->paused_ms = e->loop.now_ms;
}

/* The ledger was asked, or is to be as soon as it takes questions, and has not said a word since. */
static bool
is_unanswered(const struct exchange *x)
{
	return !x->more_answered && (x->edge->wait_question.first || x->lacking_ms + QUESTION_AGAIN_MS > x->paused_ms);
}

enum pause
relay_pause_of(const struct exchange *x)
{
	enum { PAUSE_MS = 1000 }; /* what lies idle with other servers is here within a fifth of it, or there is none */
	bool shared = reserve_is_shared(x), unanswered = !shared || is_unanswered(x);
	if (!shared && reserve_round_is_over(x))
		return PAUSE_IN_VAIN;
	if (x->edge->loop.now_ms < x->paused_ms + (unanswered ? SPARE_WAIT_MS : PAUSE_MS))
		return PAUSE_LASTS;
	return unanswered ? PAUSE_UNANSWERED : PAUSE_IN_VAIN;
}

static void
poll_paused(struct exchange *x)
{
	enum pause pause = relay_pause_of(x); /* before it is looked whether it came: else a round that ends in between gives in vain */
	bool paid = still_paid(x);
	if (!paid && pause == PAUSE_LASTS)
		return;
	exchange_stop_waiting(x);
	x->paused_ms = 0;
	x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.between_bytes;
	if (paid)
		relay_read_on(x);
	else
		exchange_end(x, pause == PAUSE_UNANSWERED ? END_INTERRUPTED : END_BUDGET_EXHAUSTED);
}

void
relay_poll_paused(struct edge *e)
{
	for (struct exchange *x = e->wait_more.first, *next; x; x = next) {
		next = x->wait_next;
		if (upload_is_unsure(x))
			upload_poll(x);
		else
			poll_paused(x);
	}
}

/* An error within a 200 that tells of our account: its text reaches nobody, as with an error status. */
static void
end_private(struct exchange *x, struct span head)
{
	struct edge *e = x->edge;
	edge_report(e, EVENT_PROVIDER_ACCOUNT, catalogue_provider(e->p->catalogue, x->route.target->provider)->id, x->up_status);
	x->head_sent = x->head_sent && !head.len;
	exchange_end(x, x->head_sent ? END_PROVIDER_CUT : END_PROVIDER_ACCOUNT);
}

/* What is about to be told names objects, or says what a batch has used. False: no memory. */
static bool
read_along(struct exchange *x, struct span *told, bool last)
{
	if (x->object)
		batch_passes(x, *told, last && x->up_done);
	return !x->citing || !x->client || citing_tell(x, told, last);
}

/* What was metered goes to the caller. */
static void
pass_on(struct exchange *x, struct span told, bool last, struct span head)
{
	bool translated = x->passage && x->client;
	if (!translated && x->meter->answer == ANSWER_ERROR && answer_is_private(x, told)) {
		end_private(x, head);
		return;
	}
	if (!read_along(x, &told, last)) {
		x->head_sent = x->head_sent && !head.len;
		exchange_end(x, END_OVERLOADED);
		return;
	}
	if (last) {
		finish(x, head, told.at, told.len);
		return;
	}
	reply_from_scratch(x, head, told.at, told.len);
	if (x->step != STEP_RELAY)
		return;
	keep_alive_said(x, told);
	if (translated)
		passage_told(x);
	x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.between_bytes;
	if (!still_paid(x) && !pause_for_more(x))
		exchange_end(x, END_BUDGET_EXHAUSTED);
}

static void
relay_data(struct exchange *x, char *data, size_t len, bool eof, struct span head)
{
	bool last = x->up_done || eof;
	char *out;
	size_t out_len;
	if (!meter(x, data, len, last, &out, &out_len)) {
		x->head_sent = x->head_sent && !head.len;
		exchange_end(x, END_OVERLOADED);
		return;
	}
	if (x->meter->packed) { /* nothing of it was passed on, and nothing is: what can't be read can't be counted */
		x->head_sent = x->head_sent && !head.len;
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	struct span told = {out, out_len};
	bool translated = x->passage && x->client;
	if (translated && !passage_translate(x, &told, last, &head))
		return;
	if (stored_rewrites(x) && !stored_pass(x, &told, last, head))
		return;
	pass_on(x, told, last, head);
}

void
relay_kept(struct exchange *x, struct span told, bool last, struct span head)
{
	pass_on(x, told, last, head);
	if (x->step == STEP_RELAY && !last)
		relay_read_on(x);
}

/* As if it had come without a body. */
static void
forget_unreadable(struct exchange *x)
{
	if (!x->up_encoded || !x->carry)
		return;
	explicit_bzero(x->carry + x->collect_at, x->carry_len - x->collect_at);
	x->carry_len = x->collect_at;
}

/* An error answer is kept until it is whole; what doesn't fit is not needed. */
static void
collect_data(struct exchange *x, const char *data, size_t len, bool eof)
{
	size_t room = ERROR_BODY_MAX - (x->carry_len - x->collect_at);
	if (!carry_keep(x, data, len < room ? len : room)) {
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	if (!x->up_done && !eof && len < room)
		return;
	forget_unreadable(x);
	if (x->up_status < 300)
		object_answer(x);
	else if (object_is_errand(x))
		work_errand_failed(x);
	else if (x->object && x->object->list && object_is_missing(x, x->up_status)) { /* deleted, or expired: it is in no list */
		if (!answer_is_about_us(x))
			object_list_skip(x);
	} else
		answer_provider_error(x);
}

/*
 * base[0..have) is data that was carried, base[have..have+raw) came just now and is still framed.
 */
void
relay_body(struct exchange *x, char *base, size_t have, size_t raw, bool eof, struct span head)
{
	char *data;
	size_t len;
	if (!unframe(x, base + have, raw, eof, &data, &len)) {
		x->keep_upstream = false;
		eof = true; /* broken framing: what came before it is all there is */
		data = base + have;
		len = 0;
	}
	if (have && data != base + have)
		memmove(base + have, data, len);
	if (have)
		data = base;
	if (x->collect)
		collect_data(x, data, have + len, eof);
	else
		relay_data(x, data, have + len, eof, head);
}

/* ---- reading ---- */

/*
 * Of thousands of streams none is in the processor's caches when something comes for it. What it will be counted by is fetched while the kernel copies
 * the bytes.
 */
static void
expect(const struct exchange *x)
{
	enum { LINE = 64 };
	if (!x->streamed || !x->meter || !x->ticket)
		return;
	meter_expect(x->meter);
	for (size_t at = 0; at < sizeof *x->ticket; at += LINE)
		__builtin_prefetch((const char *)x->ticket + at);
}

/* Bytes read; -1: nothing now. */
static ssize_t
read_some(struct exchange *x, char *at, bool *ret_eof)
{
	struct edge *e = x->edge;
	struct conn *c = &x->up->conn;
	expect(x);
	ssize_t n = conn_read(e, c, at, reply_read_most(x->client));
	if (n == CONN_NOTHING)
		return -1;
	*ret_eof = n < 0;
	if (n < 0) {
		x->keep_upstream = false;
		x->up_cut = n == CONN_CUT;
		return 0;
	}
	count_add(e->p->counters, bytes_from_providers, n);
	if (c->watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR))
		loop_again(&e->loop, &c->watch);
	return n;
}

/* The same for bytes that were not read here: those of a stream of HTTP/2, without a framing of their own. */
static void
push(struct exchange *x, const char *bytes, size_t len, bool eof)
{
	struct edge *e = x->edge;
	size_t have = x->collect ? 0 : x->carry_len;
	edge_in_used(e, have + len);
	if (have) {
		memcpy(e->in, x->carry, have);
		carry_drop(x);
	}
	if (len)
		memcpy(e->in + have, bytes, len);
	relay_body(x, e->in, have, len, eof, (struct span){0});
}

void
relay_push_bytes(struct exchange *x, const char *bytes, size_t len)
{
	push(x, bytes, len, false);
}

void
relay_push_end(struct exchange *x, bool cut)
{
	x->up_cut = cut;
	push(x, NULL, 0, true);
}

/*
 * Others had the processor since the request was sent, and its memory has left the cache. When the answer begins it is read a last time, wiped and given back: it comes while the kernel
 * copies, and the body, whose place stands in it, after that.
 */
static void
fetch_request(const struct exchange *x)
{
	vault_fetch(x, sizeof *x);
	vault_fetch(x->req, REQUEST_USUAL_BYTES);
}

static void
fetch_body(const struct request *r)
{
	if (r->body)
		vault_fetch(r->body, r->body_bytes < VAULT_FETCH_MOST ? sizeof *r->body + r->body_bytes : VAULT_FETCH_MOST);
}

void
relay_read(struct exchange *x)
{
	struct edge *e = x->edge;
	edge_works_for(x);
	if (!x->up || x->step < STEP_SEND || x->step > STEP_RELAY || (x->client && reply_is_full(x->client)) || stored_waits(x) || relay_is_paused(x))
		return;
	if (x->duplex && x->step == STEP_RELAY) {
		duplex_provider_ready(x);
		return;
	}
	if (x->up->is_stream) {
		h2_up_pull(x->up);
		return;
	}
	if (!(x->up->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR)))
		return;
	size_t have = x->collect ? 0 : x->carry_len;
	bool eof = false;
	if (x->req)
		fetch_request(x);
	ssize_t n = read_some(x, e->in + have, &eof);
	if (n < 0)
		return;
	if (x->req)
		fetch_body(x->req);
	edge_in_used(e, have + (size_t)n);
	if (have) {
		memcpy(e->in, x->carry, have);
		carry_drop(x);
	}
	if (x->step == STEP_RELAY)
		relay_body(x, e->in, have, (size_t)n, eof, (struct span){0});
	else
		await_answer(x, e->in, have + (size_t)n, eof);
}
