/* AWAIT: the head of the provider's answer. A good one begins the relay; an error is read whole before anything of it is passed on. */
#include "edge/edge_priv.h"

#include "edge/citing.h"
#include "edge/connect.h"
#include "edge/duplex.h"
#include "edge/route.h"
#include "edge/object_upload.h"
#include "edge/passage.h"
#include "edge/stored.h"
#include "edge/tokens.h"
#include "edge/upload.h"

/* ---- what comes down ---- */

/* Bit per length that a name of the list has: most fields are told by that. */
static const uint64_t down_lengths = 0
#define X(direction, of, text, why) | (uint64_t)(HEADER_##direction == HEADER_DOWN) << (sizeof(text) - 1)
	HEADERS(X)
#undef X
	;

static bool
comes_down(struct span name)
{
	if (name.len > 63 || !(down_lengths >> name.len & 1))
		return false;
#define X(direction, of, text, why) \
	if (HEADER_##direction == HEADER_DOWN && http1_name_is(name, text, sizeof(text) - 1)) \
		return true;
	HEADERS(X)
#undef X
	return false;
}

static void
add_provider_headers(struct text *t, const struct http1_head *h)
{
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span name = http1_field_name(h, &h->fields[i]);
		if (!comes_down(name))
			continue;
		text_span(t, name);
		text_lit(t, ": ");
		text_span(t, http1_field_value(h, &h->fields[i]));
		text_lit(t, "\r\n");
	}
}

static bool
value_begins(const struct http1_head *h, enum http1_field_id id, struct span with)
{
	const struct http1_field *f = http1_field_find(h, id);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	return v.len >= with.len && !strncasecmp(v.at, with.at, with.len);
}

static bool
encoded(const struct http1_head *h)
{
	for (unsigned i = 0; i < h->field_count && http1_field_find(h, HTTP1_CONTENT_ENCODING); i++) {
		struct span v = http1_field_value(h, &h->fields[i]);
		if (h->fields[i].id == HTTP1_CONTENT_ENCODING && (v.len != 8 || strncasecmp(v.at, "identity", 8) != 0))
			return true;
	}
	return false;
}

/* ---- the two ways on ---- */

static void
remember_framing(struct exchange *x, const struct http1_head *h)
{
	x->up_status = h->status;
	x->up_encoded = encoded(h);
	x->framing = h->chunked ? FRAMING_CHUNKED : h->until_close ? FRAMING_CLOSE
															   : FRAMING_LENGTH;
	x->answer_left = h->has_length ? h->content_length : 0;
	http1_chunked_init(&x->chunked);
	bool sent = x->req->sent && x->step == STEP_AWAIT;
	x->keep_upstream = sent && h->keep_alive && x->framing != FRAMING_CLOSE;
}

static void
add_framing(struct exchange *x, struct text *t)
{
	bool length = x->framing == FRAMING_LENGTH && !x->hide && !x->citing && !stored_rewrites(x) && !(x->inlined && x->streamed);
	if (length) {
		text_lit(t, "content-length: ");
		text_u64(t, x->answer_left);
		text_lit(t, "\r\n");
	} else if (x->client && x->client->http10)
		x->keep_client = false;
	else {
		x->client_chunked = true;
		text_lit(t, "transfer-encoding: chunked\r\n");
	}
}

/* A 2xx: the client's head is built, and goes out in one write with the first bytes of the body. */
static void
begin_relay(struct exchange *x, const struct http1_head *h, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	x->streamed = !object_is_plain(x) && value_begins(h, HTTP1_CONTENT_TYPE, SPAN("text/event-stream"));
	if (x->streamed)
		count_add(e->p->counters, streams_open, 1); /* until it ends, however */
	if (citing_begin(x)) /* a meter that is there is read at the end */
		x->meter = vault_alloc(e->vault, meter_bytes(passage_endpoint(x)));
	if (!x->meter) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	x->hide = x->hide && x->streamed;
	if (object_is_plain(x)) /* content is anything */
		meter_init_plain(x->meter, (enum endpoint)x->endpoint);
	else if (x->plain_answer && !x->streamed && !value_begins(h, HTTP1_CONTENT_TYPE, SPAN("application/json")))
		meter_init_plain(x->meter, (enum endpoint)x->endpoint);
	else
		meter_init(x->meter, passage_endpoint(x), x->streamed, x->hide);
	tokens_sample(x);
	if (x->passage) {
		passage_begin(x, rest, len, eof);
		return;
	}
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES);
	add_framing(x, &t);
	struct text whole = text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	answer_head(x, &whole, h->status);
	text_add(&whole, t.at, t.len);
	add_provider_headers(&whole, h);
	text_lit(&whole, "\r\n");
	if (whole.cut) {
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	request_estimate(x);
	request_free(x);
	exchange_step(x, STEP_RELAY);
	x->head_sent = true;
	relay_body(x, rest, 0, len, eof, (struct span){whole.at, whole.len});
}

/* An error: its header lines first, its body behind, until it is complete. */
static void
begin_collect(struct exchange *x, const struct http1_head *h, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES / 4); /* beside our own lines they must fit the head of an answer */
	add_provider_headers(&t, h);
	x->collect = true;
	bool told = h->status >= 300 || object_upload_take_url(x, h, &t);
	if (!told || t.cut || !carry_keep(x, t.at, t.len)) {
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	x->collect_at = x->carry_len;
	if (!route_has_more(x) && !(x->object && x->object->list)) /* what it says may be a reason to ask somebody else; a list asks for the next */
		request_free(x);
	exchange_step(x, STEP_RELAY);
	relay_body(x, rest, 0, len, eof, (struct span){0});
}

/* With an own key it is the customer's account that it speaks of. */
static bool
refuses_us(const struct exchange *x, uint32_t status)
{
	return (status == 401 || status == 402 || status == 403) && !x->route.byok && !object_is_missing(x, status);
}

/* Whatever it says, it is there and takes requests of ours. */
static bool
is_answer(uint32_t status)
{
	return status < 500 && status != 429 && status != 401 && status != 402 && status != 403;
}

static void
begin(struct exchange *x, const struct http1_head *h, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	uint64_t waited_ms = e->loop.now_ms - x->started_ms;
	x->ticket->facts.first_byte_ms = waited_ms > 0 ? (uint32_t)waited_ms : 1; /* 0: none came */
	remember_framing(x, h);
	if (is_answer(h->status))
		route_good(x);
	if (x->duplex && h->status == 101)
		duplex_begin(x, h, rest, len, eof);
	else if ((x->duplex && h->status < 300) || !upload_may_be_answered(x, h->status))
		route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
	else if (h->status < 200 || h->status == 204 || h->status == 205 || (h->status >= 300 && h->status < 400)) /* no answer to this question */
		route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
	else if (refuses_us(x, h->status)) {
		edge_report(e, EVENT_PROVIDER_ACCOUNT, catalogue_provider(e->p->catalogue, x->route.target->provider)->id, h->status);
		route_fail(x, h->status == 403 ? ROUTE_FORBIDDEN : ROUTE_ACCOUNT, END_PROVIDER_ACCOUNT);
	} else if (x->up_encoded && h->status < 400) /* it could not be counted; of an error the status says enough */
		exchange_end(x, END_PROVIDER_ENCODED);
	else if (h->status >= 400 || object_is_read_whole(x))
		begin_collect(x, h, rest, len, eof);
	else
		begin_relay(x, h, rest, len, eof);
}

/*
 * A kept connection that closes without a byte had nearly always been closed before the request came: once more, on a fresh one (RFC 9112 9.3.1), for a
 * resting connection's end is no mistake of the caller's. A POST may have been seen all the same (RFC 9110 9.2.2): that is the operator's loss.
 */
static bool
try_again(struct exchange *x)
{
	if (!x->up->reused || x->route.fresh || x->interim || !x->client || upload_has_left(x))
		return false;
	route_asks_again(x);
	x->route.fresh = true;
	struct upstream *u = x->up;
	x->up = NULL;
	upstream_release(u, false);
	x->req->sent = 0;
	connect_upstream(x);
	return true;
}

static void
head_incomplete(struct exchange *x, const char *bytes, size_t len, bool eof)
{
	if (eof && len == 0 && try_again(x))
		return;
	if (eof)
		route_fail(x, ROUTE_CUT, len ? END_PROVIDER_MALFORMED : END_PROVIDER_UNREACHABLE);
	else if (len >= READ_BYTES || !carry_keep(x, bytes, len))
		route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
}

void
await_answer(struct exchange *x, char *bytes, size_t len, bool eof)
{
	struct edge *e = x->edge;
	enum http1_asked asked = x->duplex ? HTTP1_ASKED_WEBSOCKET : HTTP1_ASKED;
	edge_works_for(x);
	for (;;) {
		enum http1_error error;
		switch (http1_response_parse(bytes, len, &x->scanned, asked, &e->head, &error)) {
		case HTTP1_MORE:
			head_incomplete(x, bytes, len, eof);
			return;
		case HTTP1_BAD:
			route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
			return;
		case HTTP1_DONE:
			if (e->head.bytes > READ_BYTES) { /* one bound, in however many reads it came */
				route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
				return;
			}
			bytes += e->head.bytes;
			len -= e->head.bytes;
			x->scanned = 0;
			if (e->head.status >= 200 || e->head.status == 101) {
				begin(x, &e->head, bytes, len, eof);
				return;
			}
			if (++x->interim > 8) {
				route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
				return;
			}
		}
	}
}
