#include "edge/receipt_inline.h"

#include "edge/answer.h"
#include "edge/endpoints.h"
#include "edge/object.h"
#include "edge/passage.h"
#include "edge/receipt.h"
#include "edge/relay.h"

#include <assert.h>
#include <sodium.h>

enum { ASK_AGAIN_MS = 50, /* it was not booked, or the ledger has enough of such questions */
	ANSWER_LOST_MS = 1000,
	TELL_BYTES = 64 << 10, /* at a time */
	TELL_BYTES_S = 16 << 10, /* as slow as a client may be: what it is told lies in memory. One that takes nothing has `timeouts.client_write` */
	WAITERS_MAX = 512, /* in an edge: as many as the ledger can serve while they wait */
	THIRST_MS = 2000, /* as long as memory is mapped, which is there but takes a moment */
	SPARE_BYTES = READ_BYTES, /* room for what is read next */
	SLACK = 2 * BLOCK_BODY_MAX /* what was read before the provider was no longer */ };

enum inline_state {
	ASKED, /* nothing of the answer was said yet */
	KEEPS, /* all of it */
	STREAMS, /* it goes out, but for its end */
	WAITS, /* for the receipt */
	TELLS, /* what was kept goes out */
	OVER, /* there is nothing more to do */
};

struct receipt_inline {
	enum inline_state state;
	enum end_reason reason; /* once it waits */
	char *head;
	uint32_t head_len, head_cap;
	uint32_t sent; /* of the first block */
	struct passage_blocks kept;
	struct block *fill; /* the first of them that is not full */
	uint64_t admitted; /* for these */
	char *text; /* the receipt, as far as it has come */
	uint32_t text_len, text_cap;
	uint64_t thirsty_ms; /* since when it waits for memory; 0: it does not */
	uint64_t tell_by_ms; /* once it goes out */
	uint64_t asked_ms, ask_at_ms; /* asked_ms 0: not, or not any more */
	bool streams; /* the receipt goes behind the answer, not in front */
	bool ends; /* all of the answer has been said */
	bool left; /* its exchange is over, but for what is kept */
	char said; /* the last byte */
};

/* ---- the wish ---- */

bool
receipt_inline_wish(const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_LETHE_RECEIPT);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	return !f || (v.len == 6 && !strncasecmp(v.at, "inline", 6));
}

void
receipt_inline_explain(struct exchange *x)
{
	answer_sentence(x, END_BAD_HEADER, "lethe-receipt",
		SPAN("lethe-receipt is `inline`: the signed receipt comes with the answer. Leave the header out to have its code alone, and the receipt from GET /v1/receipts/{id}."));
}

bool
receipt_inline_begin(struct exchange *x, const struct http1_head *h)
{
	bool asked = http1_field_find(h, HTTP1_LETHE_RECEIPT) && !x->duplex && endpoint_billed((enum endpoint)x->endpoint);
	if (!asked)
		return true;
	x->inlined = vault_alloc(x->edge->vault, sizeof *x->inlined);
	if (!x->inlined)
		return false;
	struct passage_blocks *k = &x->inlined->kept;
	k->x = x;
	k->admitted = &x->inlined->admitted;
	k->most = INLINE_KEPT_MAX;
	return true;
}

/* ---- what is kept ---- */

static void
drop_first(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	struct block *b = n->kept.first;
	n->kept.first = b->next;
	if (!n->kept.first)
		n->kept.last = NULL;
	if (n->fill == b)
		n->fill = b->next;
	n->kept.room -= b->cap;
	n->admitted -= b->cap;
	n->sent = 0;
	vault_release(x->edge->vault, b->cap);
	share_content(x->edge, x->account_row, -(int64_t)b->cap);
	block_free(x->edge, b);
}

static void
drop_head(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	vault_free(x->edge->vault, n->head, n->head_cap);
	n->head = NULL;
	n->head_len = n->head_cap = 0;
}

static void
drop_kept(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	while (n->kept.first)
		drop_first(x);
	drop_head(x);
}

void
receipt_inline_free(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	if (!n)
		return;
	drop_kept(x);
	vault_free(x->edge->vault, n->text, n->text_cap);
	vault_free(x->edge->vault, n, sizeof *n);
	x->inlined = NULL;
}

static bool
add_block(struct receipt_inline *n, uint64_t want)
{
	if (!passage_add_block(&n->kept, want))
		return false;
	n->fill = n->fill ? n->fill : n->kept.last;
	return true;
}

/* Returns how many bytes of it are kept. */
static size_t
keep(struct receipt_inline *n, struct span data)
{
	struct passage_blocks *k = &n->kept;
	size_t at = 0;
	while (at < data.len && (n->fill || add_block(n, k->room))) {
		struct block *b = n->fill;
		size_t room = b->cap - b->len, part = data.len - at < room ? data.len - at : room;
		memcpy(b->bytes + b->len, data.at + at, part);
		b->len += (uint32_t)part;
		if (b == k->last)
			k->sink.len = b->len; /* passage_add_block() goes by it */
		if (b->len == b->cap)
			n->fill = b->next;
		at += part;
	}
	return at;
}

static bool
has_spare(const struct receipt_inline *n)
{
	size_t room = 0;
	for (const struct block *b = n->fill; b; b = b->next)
		room += b->cap - b->len;
	return room >= SPARE_BYTES;
}

/* Room for what comes next is had before it is read. False: there is none yet, and nothing is read meanwhile. */
static bool
get_spare(struct receipt_inline *n)
{
	uint64_t more = n->kept.room > 2 * SPARE_BYTES ? n->kept.room : 2 * SPARE_BYTES;
	return has_spare(n) || add_block(n, more);
}

static bool
keep_head(struct exchange *x, struct span head)
{
	struct receipt_inline *n = x->inlined;
	if (!head.len)
		return true;
	assert(!n->head);
	n->head = vault_alloc(x->edge->vault, head.len);
	if (!n->head)
		return false;
	memcpy(n->head, head.at, head.len);
	n->head_len = n->head_cap = (uint32_t)head.len;
	return true;
}

/* ---- the head, with the receipt or why there is none ---- */

/* Behind the code of the receipt's line, in front of the line's end. False: no memory. */
static bool
put_into_head(struct exchange *x, struct span front, struct span value)
{
	struct receipt_inline *n = x->inlined;
	static const char line[] = "\r\n" RECEIPT_LINE;
	const char *at = n->head ? memmem(n->head, n->head_len, line, sizeof line - 1) : NULL;
	if (!at)
		return true;
	const char *end = memmem(at + 2, (size_t)(n->head + n->head_len - at - 2), "\r\n", 2);
	size_t before = (size_t)(end - n->head), len = n->head_len + front.len + value.len;
	char *more = vault_alloc(x->edge->vault, len);
	if (!more)
		return false;
	struct text t = text_on(more, len);
	text_add(&t, n->head, before);
	text_span(&t, front);
	text_span(&t, value);
	text_add(&t, end, n->head_len - before);
	vault_free(x->edge->vault, n->head, n->head_cap);
	n->head = more;
	n->head_len = n->head_cap = (uint32_t)len;
	return true;
}

/* A second line: an answer goes without its receipt. Should there be no memory even for that, the code alone says it. */
static void
say_why_not(struct exchange *x, const char *why)
{
	(void)!put_into_head(x, SPAN("\r\nlethe-receipt-inline: "), (struct span){why, strlen(why)});
}

/* ---- it goes out ---- */

bool
receipt_inline_is_telling(const struct exchange *x)
{
	return x->inlined->state == TELLS || x->inlined->thirsty_ms;
}

static void
finished(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	n->state = OVER;
	if (n->left)
		exchange_end(x, n->reason);
}

static struct span
next_piece(const struct receipt_inline *n)
{
	const struct block *b = n->kept.first;
	size_t left = b ? b->len - n->sent : 0;
	return b ? (struct span){b->bytes + n->sent, left < TELL_BYTES ? left : TELL_BYTES} : (struct span){0};
}

void
receipt_inline_tell(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	assert(!n->left || !x->wait_link);
	while (x->step != STEP_DONE && n->state == TELLS && x->client && !reply_is_behind(x->client)) {
		struct block *b = n->kept.first;
		struct span head = {n->head, n->head_len}, part = next_piece(n);
		bool empties = !b || ((!b->next || !b->next->len) && n->sent + part.len == b->len), last = empties && n->ends;
		if (head.len || part.len || last)
			reply_now(x, head, part.at, part.len, last);
		if (x->step == STEP_DONE || !x->client) /* it is read on for its usage: nothing of what was kept is there */
			return;
		drop_head(x);
		n->sent += (uint32_t)part.len;
		while (n->kept.first && (empties || n->sent == n->kept.first->len))
			drop_first(x);
		if (empties)
			finished(x);
	}
}

static void
begin_telling(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	uint32_t most = x->edge->p->timeouts.request;
	uint64_t by_size = x->edge->p->timeouts.client_write + n->kept.room * 1000 / TELL_BYTES_S;
	n->state = TELLS;
	n->tell_by_ms = x->edge->loop.now_ms + (most ? most : by_size);
}

bool
receipt_inline_is_late(const struct exchange *x)
{
	return x->inlined->state == TELLS && x->edge->loop.now_ms >= x->inlined->tell_by_ms;
}

void
receipt_inline_drink(struct exchange *x)
{
	x->inlined->thirsty_ms = 0;
}

bool
receipt_inline_thirst(const struct exchange *x)
{
	return x->inlined->thirsty_ms != 0;
}

void
receipt_inline_leave_alone(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	if (n->left)
		return;
	if (n->thirsty_ms)
		exchange_stop_waiting(x);
	n->thirsty_ms = 0;
	n->state = OVER;
	drop_kept(x);
}

/* ---- what the client is told ---- */

/* More than may be kept, or can be: it goes out as it is, and what comes behind it too. */
static void
give_up(struct exchange *x, struct span rest, const char *why)
{
	struct receipt_inline *n = x->inlined;
	if (!x->client)
		return;
	say_why_not(x, why);
	begin_telling(x);
	n->kept.most += SLACK;
	receipt_inline_tell(x);
	if (x->step == STEP_DONE || !x->client || !rest.len)
		return;
	if (n->state != TELLS) {
		reply_now(x, (struct span){0}, rest.at, rest.len, false);
		return;
	}
	if (keep(n, rest) == rest.len)
		return;
	n->state = OVER;
	answer_cut(x);
	exchange_end(x, END_OVERLOADED);
}

static bool
is_too_large(const struct exchange *x)
{
	const struct receipt_inline *n = x->inlined;
	return (x->framing == FRAMING_LENGTH && x->answer_left > INLINE_KEPT_MAX) || n->kept.room + BLOCK_BODY_MAX > n->kept.most;
}

/* Nothing is kept yet: it can go by as it is. */
static void
let_pass(struct exchange *x, struct span data, bool last)
{
	struct receipt_inline *n = x->inlined;
	const char *why = is_too_large(x) ? "too-large" : "no-memory";
	while (n->kept.first)
		drop_first(x);
	say_why_not(x, why);
	n->state = OVER;
	reply_now(x, (struct span){n->head, n->head_len}, data.at, data.len, last);
}

static bool
is_crowded(const struct edge *e)
{
	unsigned count = 0;
	for (const struct exchange *w = e->wait_inlined.first; w && count < WAITERS_MAX; w = w->wait_next)
		count++;
	return count == WAITERS_MAX;
}

static void
want_spare(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	if (get_spare(n))
		return;
	if (is_too_large(x)) {
		give_up(x, (struct span){0}, "too-large");
		return;
	}
	if (x->wait_link) /* what had been read already, behind what it waits for */
		return;
	if (is_crowded(x->edge)) {
		give_up(x, (struct span){0}, "no-memory");
		return;
	}
	n->thirsty_ms = x->edge->loop.now_ms;
	exchange_wait(x, &x->edge->wait_inlined);
}

static void
keep_all(struct exchange *x, struct span head, struct span data, bool last)
{
	struct receipt_inline *n = x->inlined;
	bool first = !n->kept.first, large = first && x->framing == FRAMING_LENGTH && x->answer_left > INLINE_KEPT_MAX;
	if (!keep_head(x, head)) {
		n->state = OVER;
		reply_now(x, head, data.at, data.len, last);
		return;
	}
	size_t kept = large ? 0 : keep(n, data);
	if (kept == data.len && !large) {
		n->ends |= last;
		if (!last)
			want_spare(x);
		return;
	}
	if (first) {
		let_pass(x, data, last);
		return;
	}
	give_up(x, (struct span){data.at + kept, data.len - kept}, is_too_large(x) ? "too-large" : "no-memory");
	if (last && x->step != STEP_DONE && n->state == TELLS)
		n->ends = true;
	else if (last && x->step != STEP_DONE)
		reply_now(x, (struct span){0}, NULL, 0, true);
}

/* More memory may have been mapped. */
static void
quench(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	bool late = x->edge->loop.now_ms >= n->thirsty_ms + THIRST_MS;
	if (!get_spare(n) && !late)
		return;
	exchange_stop_waiting(x);
	n->thirsty_ms = 0;
	if (late)
		give_up(x, (struct span){0}, "no-memory");
	if (x->step == STEP_RELAY && n->state != TELLS)
		relay_go_on(x);
}

/* A stream is events as they come. What has a length is complete with it, and what is one array can't have anything behind it. */
static void
decide(struct exchange *x, struct span head)
{
	struct receipt_inline *n = x->inlined;
	bool has_ticket = x->held || x->settled, elsewhere = x->object && x->object->nano; /* its price is paid by another ticket */
	bool length = memmem(head.at, head.len, "\r\ncontent-length: ", 18) != NULL;
	n->streams = x->streamed && !length && !(x->passage && x->passage->as_array);
	n->state = !has_ticket || elsewhere ? OVER : n->streams ? STREAMS
															: KEEPS;
}

bool
receipt_inline_take(struct exchange *x, struct span head, struct span data, bool *last)
{
	struct receipt_inline *n = x->inlined;
	if (n->state == ASKED && head.len)
		decide(x, head);
	switch (n->state) {
	case KEEPS:
		keep_all(x, head, data, *last);
		return true;
	case STREAMS:
		n->said = data.len ? data.at[data.len - 1] : n->said;
		n->ends |= *last;
		*last = false;
		return !head.len && !data.len;
	case TELLS:
		n->ends |= *last;
		if (keep(n, data) == data.len)
			receipt_inline_tell(x);
		else {
			n->state = OVER;
			answer_cut(x);
			exchange_end(x, END_OVERLOADED);
		}
		return true;
	case ASKED:
	case WAITS:
	case OVER:
		return false;
	}
	return false;
}

/* ---- the end of the exchange ---- */

enum end_reason
receipt_inline_reason_of(struct exchange *x, enum end_reason reason)
{
	struct receipt_inline *n = x->inlined;
	if (n->left)
		return n->reason;
	return receipt_inline_is_late(x) && reason == END_PROVIDER_STALLED ? END_CLIENT_SLOW : reason; /* nothing was read meanwhile */
}

static void
leave(struct exchange *x, enum end_reason reason)
{
	struct receipt_inline *n = x->inlined;
	struct upstream *u = x->up;
	n->left = true;
	n->reason = reason;
	x->up = NULL;
	if (u)
		upstream_release(u, x->up_done && x->keep_upstream);
	if (x->step < STEP_SETTLE)
		exchange_step(x, STEP_SETTLE);
}

static void go_without(struct exchange *x, const char *why);

static void
begin_waiting(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	n->state = WAITS;
	x->receipt_of = x->id;
	x->answered = true;
	if (is_crowded(x->edge)) {
		go_without(x, "busy");
		return;
	}
	x->deadline_ms = x->edge->loop.now_ms + INLINE_WAIT_MS;
	exchange_rearm(x);
	exchange_wait(x, &x->edge->wait_inlined);
}

/* Its end, behind what a stream has said; or in front of what was kept. */
static void
let_go(struct exchange *x, struct span behind)
{
	struct receipt_inline *n = x->inlined;
	if (!n->streams) {
		begin_telling(x);
		x->deadline_ms = n->tell_by_ms;
		exchange_rearm(x);
		receipt_inline_tell(x);
		return;
	}
	n->state = OVER;
	reply_now(x, (struct span){0}, behind.at, behind.len, true);
	if (x->step != STEP_DONE)
		exchange_end(x, n->reason);
}

/* The receipt didn't come in time, or could not. */
static void
go_without(struct exchange *x, const char *why)
{
	char room[256];
	struct text t = text_on(room, sizeof room);
	struct receipt_inline *n = x->inlined;
	exchange_stop_waiting(x);
	say_why_not(x, why);
	if (n->streams && x->endpoint != ENDPOINT_STREAM_GENERATE_CONTENT) {
		text_str(&t, n->said == '\n' || n->said == '\r' ? "" : "\n\n");
		text_lit(&t, ": lethe-receipt ");
		receipt_add_code(x, &t);
		text_lit(&t, "\n: lethe-receipt-inline ");
		text_str(&t, why);
		text_lit(&t, "\n\n");
	}
	let_go(x, (struct span){t.at, t.len});
}

bool
receipt_inline_hold(struct exchange *x, enum end_reason reason)
{
	struct receipt_inline *n = x->inlined;
	if (!x->client)
		return false;
	switch (n->state) {
	case KEEPS: /* one that breaks off too: as far as it has come, in the shape that it would have had */
	case STREAMS:
		if ((n->state == STREAMS && !n->ends) || !x->settled)
			return false;
		leave(x, reason);
		n->thirsty_ms = 0;
		begin_waiting(x);
		return true;
	case WAITS: /* time is over */
		go_without(x, "late");
		return true;
	case TELLS:
		if (n->left || receipt_inline_is_late(x)) { /* it has to go */
			answer_cut(x);
			return false;
		}
		leave(x, reason);
		x->deadline_ms = n->tell_by_ms;
		exchange_rearm(x);
		return true;
	case ASKED:
	case OVER:
		return false;
	}
	return false;
}

/* ---- the ledger's word ---- */

/* One question at a time for an account. */
static bool
is_asked(const struct edge *e, uint64_t account)
{
	for (const struct exchange *x = e->wait_inlined.first; x; x = x->wait_next)
		if (x->account_row == account && x->inlined->asked_ms)
			return true;
	return false;
}

static void
may_ask(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	uint64_t now_ms = x->edge->loop.now_ms;
	if (n->asked_ms && now_ms >= n->asked_ms + ANSWER_LOST_MS)
		n->asked_ms = 0;
	if (!ticket_booked(x->settled, x->settled_seq)) {
		board_want_round(x->edge->desk);
		return;
	}
	if (n->asked_ms || now_ms < n->ask_at_ms || is_asked(x->edge, x->account_row))
		return;
	n->text_len = 0;
	if (!x->edge->wait_question.first && receipt_ask(x) == IPC_OK) /* not past those who wait in line */
		n->asked_ms = now_ms;
	else
		n->ask_at_ms = now_ms + ASK_AGAIN_MS;
}

void
receipt_inline_poll(struct edge *e)
{
	for (struct exchange *x = e->wait_inlined.first, *next; x; x = next) {
		next = x->wait_next;
		if (x->inlined && x->inlined->thirsty_ms) /* one before it may have ended it */
			quench(x);
		else if (x->inlined)
			may_ask(x);
	}
}

void
receipt_inline_ask_again(struct edge *e)
{
	for (struct exchange *x = e->wait_inlined.first; x; x = x->wait_next)
		x->inlined->asked_ms = 0;
}

/* "req_….<code>.<receipt>", the last in the base64 of URLs without padding. Empty: no memory, or more than a head may have. */
static struct span
value_of(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	size_t bytes = sodium_base64_ENCODED_LEN(n->text_len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	char *at = bytes <= INLINE_VALUE_MAX ? vault_alloc(x->edge->vault, bytes) : NULL;
	if (!at)
		return (struct span){0};
	sodium_bin2base64(at, bytes, (const uint8_t *)n->text, n->text_len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return (struct span){at, bytes - 1};
}

/* Some of Google's clients take every line that is not empty for an event: there it is one, of an answer that says nothing. */
static void
write_behind(struct exchange *x, struct text *t, struct span receipt)
{
	bool gemini = x->endpoint == ENDPOINT_STREAM_GENERATE_CONTENT;
	char said = x->inlined->said;
	text_str(t, said == '\n' || said == '\r' ? "" : "\n\n");
	text_str(t, gemini ? "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"index\":0}],\"letheReceipt\":\"" : ": lethe-receipt ");
	receipt_add_code(x, t);
	text_lit(t, ".");
	text_span(t, receipt);
	text_str(t, gemini ? "\"}\r\n\r\n" : "\n\n");
}

static void
tell_receipt(struct exchange *x)
{
	struct receipt_inline *n = x->inlined;
	struct edge *e = x->edge;
	struct span receipt = value_of(x);
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES);
	exchange_stop_waiting(x);
	if (!receipt.len)
		say_why_not(x, "no-memory");
	else if (n->streams)
		write_behind(x, &t, receipt);
	else if (!put_into_head(x, SPAN("."), receipt))
		say_why_not(x, "no-memory");
	vault_free(e->vault, (char *)receipt.at, receipt.len ? receipt.len + 1 : 0);
	let_go(x, (struct span){t.at, t.len});
}

/* False: no memory, or not what follows what is there. */
static bool
add(struct exchange *x, const struct message_receipt *m)
{
	struct receipt_inline *n = x->inlined;
	if (m->total == 0 || m->total > RECEIPT_TEXT_MAX || m->text_bytes > sizeof m->text)
		return false;
	if (m->at == 0) { /* from its beginning, maybe once more */
		vault_free(x->edge->vault, n->text, n->text_cap);
		n->text = vault_alloc(x->edge->vault, m->total);
		n->text_cap = n->text ? m->total : 0;
		n->text_len = 0;
	}
	if (!n->text || m->at != n->text_len || m->total != n->text_cap || m->text_bytes > m->total - m->at)
		return false;
	memcpy(n->text + m->at, m->text, m->text_bytes);
	n->text_len += m->text_bytes;
	return true;
}

void
receipt_inline_came(struct exchange *x, const struct message_receipt *m)
{
	struct receipt_inline *n = x->inlined;
	if (n->state != WAITS)
		return;
	if (m->result == RECEIPT_COMES && add(x, m)) {
		if (n->text_len == n->text_cap)
			tell_receipt(x);
		return;
	}
	n->asked_ms = 0; /* not booked yet, or not now */
	n->ask_at_ms = x->edge->loop.now_ms + ASK_AGAIN_MS;
}
