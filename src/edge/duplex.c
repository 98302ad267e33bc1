#include "edge/duplex.h"

#include "dialect/realtime.h"
#include "edge/h2.h"

#include <sodium.h>

enum { BATCH_PARTS = 32,
	FINAL_TEXT = 0x80 | WEBSOCKET_TEXT,
	FINAL_CLOSE = 0x80 | WEBSOCKET_CLOSE,
	GOODBYE_MS = 2000 }; /* before the edge's end, so that what is said then may arrive */

/* What goes out in one write. */
struct batch {
	struct iovec parts[BATCH_PARTS];
	int count, heads;
	char head[BATCH_PARTS][WEBSOCKET_HEAD_MAX];
};

static bool
going(const struct exchange *x)
{
	return x->step == STEP_RELAY;
}

static bool
end(struct exchange *x, enum end_reason reason)
{
	exchange_end(x, reason);
	return false;
}

static bool
closing(const struct duplex *d)
{
	return d->provider_closed || d->client_closed;
}

/* ---- the end ---- */

/* Both have said goodbye. */
static bool
finish(struct exchange *x, enum end_reason reason)
{
	x->answered = true;
	if (x->client)
		x->client->linger = true;
	if (x->client && x->client->is_stream)
		h2_reply(x->client, (struct span){0}, NULL, 0, true);
	return end(x, reason);
}

/* Did the provider end the session because of a fault? */
static enum end_reason
reason_of_close(const struct duplex *d)
{
	bool theirs = d->provider_closed && !d->client_closed;
	bool good = d->code == WEBSOCKET_NORMAL || d->code == WEBSOCKET_GOING_AWAY || d->code == WEBSOCKET_NO_CODE;
	return theirs && !good ? END_PROVIDER_CUT : END_COMPLETED;
}

static void
begin_closing(struct exchange *x, uint16_t code)
{
	struct edge *e = x->edge;
	if (!x->duplex->code)
		x->duplex->code = code;
	x->deadline_ms = e->loop.now_ms + e->p->timeouts.websocket_close;
	exchange_rearm(x);
}

/* ---- writing ---- */

static void
to_client(struct exchange *x, struct iovec *parts, int count)
{
	struct client *c = x->client;
	if (!c)
		return;
	if (!c->is_stream) {
		client_send(c, parts, count);
		return;
	}
	for (int i = 0; i < count; i++)
		h2_reply(c, (struct span){0}, parts[i].iov_base, parts[i].iov_len, false);
}

/* False: the exchange has ended. */
static bool
flush_down(struct exchange *x, struct batch *b)
{
	if (b->count)
		to_client(x, b->parts, b->count);
	b->count = b->heads = 0;
	return going(x);
}

/* It broke, or closed without a word. What it had said before is still there to be read. */
static bool
provider_gone(struct exchange *x)
{
	struct duplex *d = x->duplex;
	if (d->provider_closed)
		return finish(x, reason_of_close(d));
	return end(x, d->client_closed ? END_COMPLETED : END_PROVIDER_CUT);
}

static bool
flush_up(struct exchange *x, struct batch *b)
{
	struct edge *e = x->edge;
	uint64_t bytes = 0;
	enum wrote r = b->count ? conn_write(e, &x->up->conn, b->parts, b->count, &bytes) : WROTE_ALL;
	b->count = b->heads = 0;
	count_add(e->p->counters, bytes_to_providers, bytes);
	if (r == WROTE_BROKEN)
		return x->up->conn.watch.flags & LOOP_READABLE ? true : provider_gone(x);
	if (r == WROTE_SOME && !x->duplex->stuck_ms) {
		x->duplex->stuck_ms = e->loop.now_ms;
		uint64_t at = e->loop.now_ms + e->p->timeouts.between_bytes;
		if (at < x->deadline_ms) {
			x->deadline_ms = at;
			exchange_rearm(x);
		}
	}
	return true;
}

typedef bool flusher(struct exchange *x, struct batch *b);

static bool
add(struct exchange *x, struct batch *b, struct span s, flusher *flush)
{
	if (s.len == 0)
		return true;
	if (b->count == BATCH_PARTS && !flush(x, b))
		return false;
	b->parts[b->count++] = (struct iovec){(char *)s.at, s.len};
	return true;
}

static bool
add_head(struct exchange *x, struct batch *b, const struct websocket *w, const uint8_t *mask, flusher *flush)
{
	if (b->count == BATCH_PARTS && !flush(x, b))
		return false;
	char *at = b->head[b->heads++];
	return add(x, b, (struct span){at, websocket_head(at, w, mask)}, flush);
}

/* RFC 6455 5.3: fresh ones, that nobody can foresee. */
static void
fresh_mask(struct duplex *d)
{
	if (d->masks_left == 0) {
		randombytes_buf(d->masks, sizeof d->masks);
		d->masks_left = DUPLEX_MASKS;
	}
	memcpy(d->mask, d->masks[--d->masks_left], sizeof d->mask);
	d->mask_at = 0;
}

/* A control frame that both sides may see, as it came. Its bytes are the reader's: they go out at once. */
static bool
pass_control(struct exchange *x, struct batch *b, struct websocket *w, bool up)
{
	struct duplex *d = x->duplex;
	flusher *flush = up ? flush_up : flush_down;
	if (up) {
		fresh_mask(d);
		websocket_mask(w->control, w->control_len, d->mask, 0);
	}
	return add_head(x, b, w, up ? d->mask : NULL, flush) && add(x, b, (struct span){w->control, w->control_len}, flush) && flush(x, b);
}

/* ---- money ---- */

/* Is there money for what may still be reported? The hold grows with what passes. */
static bool
paid(struct exchange *x)
{
	const struct catalogue_model *m = x->model;
	const struct realtime_rates rates = {m->bytes_per_token_x100, m->image_tokens, m->context_tokens};
	uint64_t input, output;
	settle_state_cost(x);
	realtime_bound(x->meter, &rates, &input, &output);
	return reserve_cover(x, input, output);
}

/* ---- from the provider ---- */

/* What tells of our own account reaches nobody. `whole`: the message is all here. */
static bool
is_private(const struct exchange *x, struct span piece, bool whole)
{
	return realtime_is_error(x->meter) && (!whole || answer_is_private(x, piece));
}

static bool
meter_piece(struct exchange *x, struct batch *b, struct span piece, bool last, bool whole)
{
	struct span spans[METER_SPANS_MAX];
	size_t count;
	struct edge *e = x->edge;
	if (!x->duplex->from_provider.text)
		return true;
	(void)!meter_feed(x->meter, piece.at, piece.len, last, spans, &count);
	if (!is_private(x, piece, whole))
		return true;
	edge_report(e, EVENT_PROVIDER_ACCOUNT, catalogue_provider(e->p->catalogue, x->route.target->provider)->id, x->up_status);
	return flush_down(x, b) && end(x, END_PROVIDER_CUT);
}

static bool
down_begins(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	d->direct = (struct span){0};
	if (d->from_provider.length <= DUPLEX_WHOLE)
		return true;
	d->down_frame = d->down_message = true;
	return add_head(x, b, &d->from_provider, NULL, flush_down);
}

static bool
down_piece(struct exchange *x, struct batch *b, struct span piece)
{
	struct duplex *d = x->duplex;
	if (d->from_provider.length > DUPLEX_WHOLE)
		return meter_piece(x, b, piece, false, false) && add(x, b, piece, flush_down);
	if (piece.len == d->from_provider.length) {
		d->direct = piece;
		return true;
	}
	return carry_keep(x, piece.at, piece.len) || end(x, END_INTERRUPTED);
}

/* A small frame goes out when it has been looked at. */
static bool
pass_whole(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	struct websocket *w = &d->from_provider;
	bool kept = x->carry_len > 0, single = w->final && w->opcode != WEBSOCKET_CONTINUATION;
	struct span payload = kept ? (struct span){x->carry, x->carry_len} : d->direct;
	if (!meter_piece(x, b, payload, w->final, single) || !add_head(x, b, w, NULL, flush_down) || !add(x, b, payload, flush_down))
		return false;
	d->down_message = true;
	if (kept && !flush_down(x, b))
		return false;
	carry_drop(x);
	return true;
}

static bool
down_ends(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	struct websocket *w = &d->from_provider;
	bool passed = w->length <= DUPLEX_WHOLE ? pass_whole(x, b) : !w->final || meter_piece(x, b, (struct span){0}, true, false);
	if (!passed)
		return false;
	d->down_frame = false;
	if (!w->final)
		return true;
	d->down_message = false;
	if (!closing(d))
		x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.websocket_idle;
	if (!x->client && !realtime_is_under_way(x->meter))
		return end(x, END_CLIENT_GONE);
	return paid(x) || (flush_down(x, b) && end(x, END_BUDGET_EXHAUSTED));
}

static bool
down_control(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	struct websocket *w = &d->from_provider;
	if (w->opcode == WEBSOCKET_CLOSE && w->control_len > 2 && answer_is_private(x, (struct span){w->control + 2, w->control_len - 2u}))
		w->length = w->control_len = 2; /* the code alone */
	if (!pass_control(x, b, w, false))
		return false;
	if (w->opcode != WEBSOCKET_CLOSE)
		return true;
	d->provider_closed = true;
	begin_closing(x, w->code);
	return !d->client_closed || finish(x, END_COMPLETED);
}

static void
from_provider(struct exchange *x, char *bytes, size_t len)
{
	struct duplex *d = x->duplex;
	struct batch b = {.count = 0};
	struct span piece = {0};
	bool on = true;
	websocket_feed(&d->from_provider, bytes, len);
	while (on)
		switch (websocket_next(&d->from_provider, &piece)) {
		case WEBSOCKET_FRAME:
			on = down_begins(x, &b);
			break;
		case WEBSOCKET_DATA:
			on = down_piece(x, &b, piece);
			break;
		case WEBSOCKET_FRAME_END:
			on = down_ends(x, &b);
			break;
		case WEBSOCKET_CONTROL:
			on = down_control(x, &b);
			break;
		case WEBSOCKET_BAD:
			if (flush_down(x, &b))
				exchange_end(x, END_PROVIDER_CUT);
			return;
		case WEBSOCKET_MORE:
			(void)!flush_down(x, &b);
			return;
		}
}

/* ---- from the client ---- */

/* So many frames a second, empty ones and pings included. */
static bool
may_send(struct exchange *x)
{
	struct duplex *d = x->duplex;
	uint64_t now = x->edge->loop.now_ms;
	if (now - d->window_ms >= 1000) {
		d->window_ms = now;
		d->frames = 0;
	}
	return ++d->frames <= x->edge->p->limits.websocket_frames_per_second;
}

static bool
up_begins(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	if (!may_send(x))
		return end(x, END_TOO_FAST);
	if (!d->from_client.text) { /* the protocol that is spoken here has none */
		d->refused_kind = true;
		return end(x, END_BAD_WEBSOCKET);
	}
	fresh_mask(d);
	d->up_frame = true;
	return add_head(x, b, &d->from_client, d->mask, flush_up);
}

static bool
allowed(struct exchange *x, struct span piece, bool last)
{
	enum realtime_refusal r = realtime_client(x->meter, piece.at, piece.len, last);
	if (r == REALTIME_OK)
		return true;
	x->duplex->refusal = (uint8_t)r;
	return end(x, END_BAD_MESSAGE);
}

static bool
up_piece(struct exchange *x, struct batch *b, struct span piece)
{
	struct duplex *d = x->duplex;
	if (!allowed(x, piece, false))
		return false;
	websocket_mask((char *)piece.at, piece.len, d->mask, d->mask_at);
	d->mask_at += piece.len;
	return add(x, b, piece, flush_up);
}

static bool
up_ends(struct exchange *x)
{
	struct duplex *d = x->duplex;
	if (!d->from_client.final) {
		d->up_frame = false;
		return true;
	}
	if (!allowed(x, (struct span){0}, true))
		return false;
	if (!closing(d))
		x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.websocket_idle;
	if (!paid(x))
		return end(x, END_BUDGET_EXHAUSTED);
	d->up_frame = false;
	return true;
}

static bool
up_control(struct exchange *x, struct batch *b)
{
	struct duplex *d = x->duplex;
	struct websocket *w = &d->from_client;
	if (!may_send(x))
		return end(x, END_TOO_FAST);
	if (!pass_control(x, b, w, true))
		return false;
	if (w->opcode != WEBSOCKET_CLOSE)
		return true;
	enum end_reason reason = reason_of_close(d);
	d->client_closed = true;
	begin_closing(x, w->code);
	return !d->provider_closed || finish(x, reason);
}

/* False: the exchange has ended. */
static bool
from_client(struct exchange *x, char *bytes, size_t len)
{
	struct duplex *d = x->duplex;
	struct batch b = {.count = 0};
	struct span piece = {0};
	bool on = true;
	websocket_feed(&d->from_client, bytes, len);
	while (on)
		switch (websocket_next(&d->from_client, &piece)) {
		case WEBSOCKET_FRAME:
			on = up_begins(x, &b);
			break;
		case WEBSOCKET_DATA:
			on = up_piece(x, &b, piece);
			break;
		case WEBSOCKET_FRAME_END:
			on = up_ends(x);
			break;
		case WEBSOCKET_CONTROL:
			on = up_control(x, &b);
			break;
		case WEBSOCKET_BAD:
			return end(x, END_BAD_WEBSOCKET);
		case WEBSOCKET_MORE:
			return flush_up(x, &b);
		}
	return false;
}

/* ---- reading ---- */

void
duplex_provider_ready(struct exchange *x)
{
	struct edge *e = x->edge;
	struct conn *c = &x->up->conn;
	if (!(c->watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR)))
		return;
	ssize_t n = conn_read(e, c, e->in, READ_BYTES);
	if (n == CONN_NOTHING)
		return;
	if (n < 0) {
		(void)!provider_gone(x);
		return;
	}
	count_add(e->p->counters, bytes_from_providers, n);
	edge_in_used(e, (size_t)n);
	if (c->watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR))
		loop_again(&e->loop, &c->watch);
	from_provider(x, e->in, (size_t)n);
}

bool
duplex_is_full(const struct exchange *x)
{
	return x->up->conn.out.at != NULL;
}

/* What it sent before it had the answer: that may only be frames. */
static bool
take_pending(struct exchange *x)
{
	struct client *c = x->client;
	struct edge *e = x->edge;
	size_t len = c->pending_len;
	memcpy(e->in, c->pending, len);
	edge_in_used(e, len);
	client_drop_pending(c);
	return from_client(x, e->in, len);
}

void
duplex_client_ready(struct exchange *x)
{
	struct edge *e = x->edge;
	struct client *c = x->client;
	edge_works_for(x);
	if (duplex_is_full(x)) {
		c->half_closed = c->half_closed || c->conn.watch.flags & LOOP_HANGUP; /* seen; its end is read when there is room */
		return;
	}
	if (c->pending_len && (!take_pending(x) || duplex_is_full(x)))
		return;
	if (!(c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)))
		return;
	ssize_t n = conn_read(e, &c->conn, e->in, READ_BYTES);
	if (n == CONN_NOTHING)
		return;
	if (n < 0) {
		exchange_client_gone(x);
		client_close(c);
		return;
	}
	count_add(e->p->counters, bytes_from_clients, n);
	edge_in_used(e, (size_t)n);
	if (from_client(x, e->in, (size_t)n) && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
}

void
duplex_push(struct exchange *x, const char *bytes, size_t len)
{
	struct edge *e = x->edge;
	edge_works_for(x);
	while (len && going(x)) {
		size_t n = len < READ_BYTES ? len : READ_BYTES;
		memcpy(e->in, bytes, n);
		edge_in_used(e, n);
		bytes += n;
		len -= n;
		if (!from_client(x, e->in, n))
			return;
	}
}

void
duplex_room(struct exchange *x)
{
	x->duplex->stuck_ms = 0;
	if (!x->client)
		return;
	if (x->client->is_stream)
		h2_resume(x->client);
	else
		duplex_client_ready(x);
}

void
duplex_run(struct exchange *x, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	struct duplex *d = x->duplex;
	websocket_init(&d->from_provider, false, e->p->limits.websocket_message_bytes);
	websocket_init(&d->from_client, true, e->p->limits.websocket_message_bytes);
	x->deadline_ms = e->loop.now_ms + e->p->timeouts.websocket_idle;
	exchange_rearm(x);
	from_provider(x, rest, len);
	if (going(x) && eof)
		(void)!provider_gone(x);
	if (!going(x) || !x->client)
		return;
	if (x->client->is_stream)
		h2_resume(x->client);
	else
		duplex_client_ready(x);
}

/* ---- ends ---- */

void
duplex_late(struct exchange *x)
{
	struct edge *e = x->edge;
	struct duplex *d = x->duplex;
	if (closing(d)) {
		if (d->provider_closed)
			(void)!finish(x, reason_of_close(d)); /* the client has its goodbye */
		else
			exchange_end(x, END_COMPLETED);
	} else if (d->stuck_ms && e->loop.now_ms >= d->stuck_ms + e->p->timeouts.between_bytes)
		exchange_end(x, END_PROVIDER_STALLED);
	else
		exchange_end(x, x->client ? END_SESSION_IDLE : END_CLIENT_GONE);
}

bool
duplex_is_closed(const struct exchange *x)
{
	return closing(x->duplex);
}

bool
duplex_may_drain(const struct exchange *x)
{
	return !closing(x->duplex) && realtime_is_under_way(x->meter);
}

static uint16_t
close_code(const struct exchange *x, enum end_reason reason)
{
	static const struct {
		uint8_t reason;
		uint16_t code;
	} rows[] = {
		{END_BUDGET_EXHAUSTED, WEBSOCKET_POLICY},
		{END_BAD_MESSAGE, WEBSOCKET_POLICY},
		{END_TOO_FAST, WEBSOCKET_POLICY},
		{END_SESSION_IDLE, WEBSOCKET_GOING_AWAY},
		{END_REQUEST_TIMEOUT, WEBSOCKET_GOING_AWAY},
		{END_PROVIDER_CUT, WEBSOCKET_BAD_GATEWAY},
		{END_PROVIDER_STALLED, WEBSOCKET_BAD_GATEWAY},
	};
	const struct duplex *d = x->duplex;
	if (d->client_closed) /* its own, said back */
		return d->code == WEBSOCKET_NO_CODE ? WEBSOCKET_NORMAL : d->code;
	if (reason == END_BAD_WEBSOCKET)
		return d->refused_kind ? WEBSOCKET_UNSUPPORTED : websocket_error_code(d->from_client.error);
	if (reason == END_INTERRUPTED)
		return x->edge->retiring ? WEBSOCKET_RESTART : WEBSOCKET_GOING_AWAY;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].reason == reason)
			return rows[i].code;
	return WEBSOCKET_INTERNAL;
}

static size_t
close_frame(char out[WEBSOCKET_HEAD_MAX + 2], uint16_t code, const uint8_t *mask)
{
	char payload[2] = {(char)(code >> 8), (char)code};
	size_t head = websocket_head_of(out, FINAL_CLOSE, sizeof payload, mask);
	if (mask)
		websocket_mask(payload, sizeof payload, mask, 0);
	memcpy(out + head, payload, sizeof payload);
	return head + sizeof payload;
}

/* A session that ends here ends there as well: it costs money. */
static void
tell_provider(struct exchange *x)
{
	struct duplex *d = x->duplex;
	char frame[WEBSOCKET_HEAD_MAX + 2];
	uint64_t bytes;
	if (!x->up || d->up_frame || d->client_closed || x->up->conn.out.at || x->up->conn.watch.flags & (LOOP_ERROR | LOOP_HANGUP))
		return;
	fresh_mask(d);
	struct iovec part = {frame, close_frame(frame, WEBSOCKET_GOING_AWAY, d->mask)};
	(void)!conn_write(x->edge, &x->up->conn, &part, 1, &bytes); /* its end says the same */
}

/* The refused message's reason, or the end's own. */
static struct span
sentence(const struct exchange *x, enum end_reason reason)
{
	static const struct span refusals[] = {
#define X(name, text, param) {text, sizeof(text) - 1},
		REALTIME_REFUSALS(X)
#undef X
	};
	const struct duplex *d = x->duplex;
	if (reason == END_BAD_MESSAGE)
		return refusals[d->refusal];
	if (reason == END_BAD_WEBSOCKET && d->refused_kind)
		return SPAN("Messages are text here, JSON in UTF-8.");
	return reason == END_BAD_WEBSOCKET ? websocket_error_text(d->from_client.error) : (struct span){0};
}

void
duplex_tell(struct exchange *x, enum end_reason reason)
{
	struct duplex *d = x->duplex;
	struct client *c = x->client;
	char head[WEBSOCKET_HEAD_MAX], close[WEBSOCKET_HEAD_MAX + 2];
	struct iovec parts[3];
	int n = 0;
	c->linger = true;
	if (d->down_frame || d->provider_closed) { /* in the middle of a frame nothing can be said; after a close nothing may be */
		if (d->down_frame)
			answer_cut(x);
		return;
	}
	struct span event = d->down_message || d->client_closed ? (struct span){0} : answer_session_error(x, reason, sentence(x, reason));
	if (event.len) {
		parts[n++] = (struct iovec){head, websocket_head_of(head, FINAL_TEXT, event.len, NULL)};
		parts[n++] = (struct iovec){(char *)event.at, event.len};
	}
	parts[n++] = (struct iovec){close, close_frame(close, close_code(x, reason), NULL)};
	x->answered = true;
	tell_provider(x);
	to_client(x, parts, n);
	if (x->client && c->is_stream)
		h2_reply(c, (struct span){0}, NULL, 0, true);
}

void
duplex_goodbye(struct edge *e)
{
	if (!(e->draining || e->retiring) || e->loop.now_ms + GOODBYE_MS < e->stop_at_ms)
		return;
	for (struct exchange *x = e->exchanges, *next; x; x = next) {
		next = x->next;
		if (x->duplex && going(x))
			exchange_end(x, END_INTERRUPTED);
	}
}
