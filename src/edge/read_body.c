/* READ_BODY: the body goes into vault blocks, bounded in itself and in total, and the scanner reads along. */
#include "edge/edge_priv.h"

#include "edge/batch.h"
#include "edge/h2.h"
#include "edge/object_upload.h"
#include "edge/passage.h"
#include "edge/receipt_inline.h"
#include "edge/upload.h"

#include <assert.h>

enum { BLOCK_CHUNKED_FIRST = (2 << 10) - sizeof(struct block) }; /* doubled with each that follows */

/* ---- the fields that go up ---- */

static bool
name_is(struct span a, const char *b, size_t len)
{
	return a.len == len && (a.at[0] | 0x20) == (b[0] | 0x20) && !strncasecmp(a.at, b, len); /* a name has a first byte */
}

static bool
goes_up(const struct catalogue_provider *p, enum dialect dialect, struct span name)
{
#define X(direction, of, text, why) \
	if (HEADER_##direction == HEADER_UP && (HEADER_OF_##of == HEADER_OF_ALL || HEADER_OF_##of == (int)dialect) && \
		http1_name_is(name, text, sizeof(text) - 1)) \
		return true;
	HEADERS(X)
#undef X
	for (uint32_t i = 0; p && i < p->pass_header_count; i++)
		if (name_is(name, p->pass_header[i], strlen(p->pass_header[i])))
			return true;
	return false;
}

void
headers_prepare(struct edge *e)
{
	const struct catalogue *c = e->p->catalogue;
	for (int d = 0; d < DIALECT_COUNT; d++) {
#define X(direction, of, text, why) \
	if (HEADER_##direction == HEADER_UP && (HEADER_OF_##of == HEADER_OF_ALL || HEADER_OF_##of == d)) \
		e->up_lengths[d] |= UINT64_C(1) << (sizeof(text) - 1);
		HEADERS(X)
#undef X
		for (uint32_t i = 0; i < c->provider_count; i++)
			for (uint32_t k = 0; k < catalogue_provider(c, i)->pass_header_count; k++)
				e->up_lengths[d] |= UINT64_C(1) << (strlen(catalogue_provider(c, i)->pass_header[k]) & 63);
	}
}

/*
 * Any provider's: which one it will be is only known after the body. Those of another provider are left out by send.c. Most fields are told by
 * their length alone.
 */
static bool
may_go_up(const struct edge *e, enum dialect dialect, struct span name)
{
	if (!(e->up_lengths[dialect] >> (name.len & 63) & 1))
		return false;
	for (uint32_t i = 0; i < e->p->catalogue->provider_count; i++)
		if (goes_up(catalogue_provider(e->p->catalogue, i), dialect, name))
			return true;
	return false;
}

bool
header_goes_up(const struct catalogue_provider *p, enum dialect dialect, struct span name)
{
	return goes_up(p, dialect, name);
}

static bool
keep_headers(struct exchange *x, const struct http1_head *h)
{
	struct edge *e = x->edge;
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES / 2);
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span name = http1_field_name(h, &h->fields[i]);
		if (!may_go_up(e, (enum dialect)x->dialect, name))
			continue;
		text_span(&t, name);
		text_lit(&t, ": ");
		text_span(&t, http1_field_value(h, &h->fields[i]));
		text_lit(&t, "\r\n");
	}
	if (t.cut)
		return false;
	if (t.len == 0)
		return true;
	x->req->headers = vault_alloc(e->vault, t.len);
	if (!x->req->headers)
		return false;
	x->req->headers_len = (uint32_t)t.len;
	memcpy(x->req->headers, t.at, t.len);
	return true;
}

/* ---- bytes ---- */

static void
append(struct request *r, struct block *b)
{
	if (r->body_last)
		r->body_last->next = b;
	else
		r->body = r->body_fill = b;
	r->body_last = b;
}

/* One more behind the last. `ahead`: bytes for which there is room already. */
static struct block *
add_block(struct exchange *x, uint64_t ahead)
{
	struct request *r = x->req;
	uint64_t grown = r->body_bytes + ahead;
	uint64_t want = r->body_chunked ? (grown < BLOCK_CHUNKED_FIRST ? BLOCK_CHUNKED_FIRST : grown) : r->body_left - ahead;
	uint64_t most = (r->upload ? UPLOAD_BLOCK : BLOCK_BODY_MAX) - sizeof(struct block);
	if (want > most)
		want = most;
	struct block *b = block_new(x->edge, want);
	if (b)
		append(r, b);
	return b;
}

struct block *
body_add_block(struct exchange *x)
{
	return add_block(x, 0);
}

/* Who was let in at the same time may have taken it first. */
static bool
make_room(struct exchange *x, size_t len)
{
	uint64_t have = 0;
	for (const struct block *b = x->req->body_fill; b; b = b->next)
		have += b->cap - b->len;
	while (have < len) {
		const struct block *b = add_block(x, have);
		if (!b)
			return false;
		have += b->cap;
	}
	return true;
}

/* The block that is filled now, after make_room(). */
static struct block *
room(struct request *r)
{
	while (r->body_fill->len == r->body_fill->cap)
		r->body_fill = r->body_fill->next;
	return r->body_fill;
}

/* Bytes that say nothing to anybody here. */
static bool
is_raw(const struct exchange *x)
{
	return x->duplex || object_is_bodiless(x) || object_upload_is_raw(x);
}

static bool
scan(struct exchange *x, const char *at, size_t len)
{
	struct request *r = x->req;
	if (is_raw(x))
		return true;
	if (x->object && x->object->asks)
		(void)lines_feed(x->object->asks, at, len); /* which of them is bad is said when it is known who may ask */
	return r->form ? form_scan_feed(r->form, &r->scan, at, len) : request_scan_feed(&r->scan, at, len);
}

bool
body_grew(struct exchange *x, struct block *b, size_t len)
{
	struct request *r = x->req;
	const char *at = b->bytes + b->len;
	b->len += (uint32_t)len;
	r->body_bytes += len;
	r->wait_until_ms = 0;
	if (!r->body_chunked)
		r->body_left -= len;
	return scan(x, at, len);
}

/* There is room for it. */
static enum end_reason
take_data(struct exchange *x, const char *bytes, size_t len)
{
	struct request *r = x->req;
	if (r->body_chunked && r->body_bytes + len > x->edge->p->limits.body_bytes)
		return END_BODY_TOO_LARGE;
	if (len && !admit_now(x, len))
		return END_OVERLOADED;
	while (len) {
		struct block *b = room(r);
		size_t n = b->cap - b->len < len ? b->cap - b->len : len;
		memcpy(b->bytes + b->len, bytes, n);
		if (!body_grew(x, b, n))
			return END_BAD_BODY;
		bytes += n;
		len -= n;
	}
	return END_NONE;
}

void
read_body_failed(struct exchange *x, enum end_reason reason)
{
	struct client *c = x->client;
	c->linger = true;
	x->keep_client = false;
	if (reason == END_BAD_BODY && x->req->scan.error) {
		answer_request_error(x, x->req->scan.error);
		exchange_end(x, reason);
	} else
		exchange_end(x, reason);
}

static void
body_complete(struct exchange *x)
{
	struct request *r = x->req;
	enum request_error error = is_raw(x) ? REQUEST_OK
		: r->form                        ? form_scan_finish(r->form, &r->scan)
										 : request_scan_finish(&r->scan);
	if (error != REQUEST_OK) {
		answer_request_error(x, error);
		exchange_end(x, END_BAD_BODY);
		return;
	}
	reserve(x);
}

/* ---- input that was read together with the head, or with the body's end ---- */

/* Not mapped yet: it waits with what has come. */
static void
wait_with(struct exchange *x, const char *bytes, size_t len)
{
	client_keep_rest(x->client, bytes, len);
	if (x->client->closing) /* not even for that */
		read_body_failed(x, END_OVERLOADED);
	else
		admit_mapping(x);
}

static bool
take_chunked(struct exchange *x, const char *bytes, size_t len)
{
	struct request *r = x->req;
	if (!make_room(x, len)) {
		wait_with(x, bytes, len);
		return false;
	}
	for (;;) {
		size_t used;
		struct span data;
		enum http1_result result = http1_chunked_feed(&r->chunked, bytes, len, &used, &data);
		enum end_reason reason = result == HTTP1_BAD ? END_BAD_HTTP : data.len ? take_data(x, data.at, data.len)
																			   : END_NONE;
		if (reason != END_NONE) {
			read_body_failed(x, reason);
			return false;
		}
		bytes += used;
		len -= used;
		if (result == HTTP1_DONE) {
			client_keep_rest(x->client, bytes, len);
			return true;
		}
		if (used == 0 || len == 0)
			return false;
	}
}

/* The block that its beginning was read into with the head, if it may stay there. Not of a large form, which has blocks in turn. */
static struct block *
keep_block(struct exchange *x, const char *bytes, size_t len)
{
	struct request *r = x->req;
	struct block *b = r->body || r->upload || !admit_now(x, len) ? NULL : block_keep(x->edge, bytes, len, r->body_left);
	if (b)
		append(r, b);
	return b;
}

/* True: the body is complete. False: more is needed, or the exchange has ended. */
static bool
take_input(struct exchange *x, const char *bytes, size_t len)
{
	struct request *r = x->req;
	if (r->body_chunked)
		return take_chunked(x, bytes, len);
	size_t body = len < r->body_left ? len : (size_t)r->body_left;
	struct block *stays = body == len ? keep_block(x, bytes, len) : NULL;
	if (!stays && !make_room(x, body)) {
		wait_with(x, bytes, len);
		return false;
	}
	enum end_reason reason = !stays ? take_data(x, bytes, body)
		: body_grew(x, stays, len)  ? END_NONE
									: END_BAD_BODY;
	if (reason != END_NONE) {
		read_body_failed(x, reason);
		return false;
	}
	if (r->body_left)
		return false;
	client_keep_rest(x->client, bytes + body, len - body);
	return true;
}

static void
begin_reading(struct exchange *x, const char *rest, size_t len)
{
	if (take_input(x, rest, len)) {
		body_complete(x);
		return;
	}
	if (x->step == STEP_DONE)
		return;
	if (!x->wait_link && upload_is_due(x)) {
		upload_begin(x);
		return;
	}
	struct client *c = x->client;
	if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&x->edge->loop, &c->conn.watch);
}

static enum end_reason
prepare_form(struct exchange *x, const struct http1_head *h)
{
	struct request *r = x->req;
	const struct http1_field *f = http1_field_find(h, HTTP1_CONTENT_TYPE);
	r->form = vault_alloc(x->edge->vault, sizeof *r->form);
	if (!r->form)
		return END_OVERLOADED;
	enum request_error error = form_scan_init(r->form, &r->scan, f ? http1_field_value(h, f) : (struct span){0});
	if (error != REQUEST_OK)
		return END_BAD_BODY;
	if (x->object && !(r->form->lines = batch_lines(x)))
		return END_OVERLOADED;
	if (upload_prepare(x, h))
		return END_NONE;
	r->scan.error = REQUEST_BAD_MODEL;
	return END_BAD_BODY;
}

static enum end_reason
prepare(struct exchange *x, const struct http1_head *h, struct span named)
{
	struct request *r = request_begin(x);
	if (!r)
		return END_OVERLOADED;
	if (named.len > REQUEST_MODEL_MAX)
		return END_NO_MODEL;
	if (named.len)
		memcpy(r->scan.result.model, named.at, named.len);
	r->scan.result.model_len = (uint8_t)named.len;
	r->body_chunked = h->chunked;
	r->body_left = h->has_length ? h->content_length : 0;
	http1_chunked_init(&r->chunked);
	r->chunked.of_request = true;
	if (!route_read_wish(x, h) || !passage_read_wish(x, h) || !receipt_inline_wish(h))
		return END_BAD_HEADER;
	if (!receipt_inline_begin(x, h))
		return END_OVERLOADED;
	if (!keep_headers(x, h) || !batch_prepare(x))
		return END_OVERLOADED;
	if (x->object && x->object->operation == OPERATION_UPLOAD_SEND)
		(void)!upload_prepare(x, h); /* without memory for it, it is held */
	return form_endpoint((enum endpoint)x->endpoint) && !is_raw(x) ? prepare_form(x, h) : END_NONE;
}

/* It waits for memory: what came with its head is kept. */
static void
keep_waiting(struct exchange *x, struct span rest)
{
	if (x->step == STEP_DONE)
		return;
	client_keep_rest(x->client, rest.at, rest.len);
	if (x->client->closing) /* not even for that */
		read_body_failed(x, END_OVERLOADED);
}

static void
explain_header(struct exchange *x, const struct http1_head *h)
{
	if (!receipt_inline_wish(h))
		receipt_inline_explain(x);
	else if (!passage_read_wish(x, h))
		passage_explain_wish(x);
	else
		route_explain(x, h);
}

void
read_body_begin(struct exchange *x, const struct http1_head *h, struct span named, struct span rest)
{
	bool expects = h->expect_continue && rest.len == 0 && h->minor_version > 0;
	enum end_reason reason = prepare(x, h, named);
	if (reason != END_NONE) {
		read_head_skip_body(x, h, rest.at, rest.len);
		if (reason == END_BAD_BODY)
			answer_request_error(x, x->req->scan.error);
		if (reason == END_BAD_HEADER)
			explain_header(x, h);
		exchange_end(x, reason);
		return;
	}
	exchange_step(x, STEP_READ_BODY);
	x->req->expects = expects;
	if (!x->duplex && (!object_is_bodiless(x) || x->req->body_left) && !admit_body(x)) {
		keep_waiting(x, rest);
		return;
	}
	x->req->expects = false;
	if (expects)
		reply_continue(x);
	if (x->step == STEP_READ_BODY)
		begin_reading(x, rest.at, rest.len);
}

/* What was kept while the exchange waited for memory. */
static bool
take_kept(struct exchange *x)
{
	struct client *c = x->client;
	struct edge *e = x->edge;
	size_t len = c->pending_len;
	memcpy(e->in, c->pending, len);
	edge_in_used(e, len);
	client_drop_pending(c);
	if (take_input(x, e->in, len)) {
		body_complete(x);
		return false;
	}
	if (x->step == STEP_READ_BODY && !x->wait_link && upload_is_due(x)) {
		upload_begin(x);
		return false;
	}
	return x->step == STEP_READ_BODY && !x->wait_link;
}

static void
read_straight(struct exchange *x)
{
	struct edge *e = x->edge;
	struct client *c = x->client;
	if (!admit_more(x, 1))
		return;
	if (!make_room(x, 1)) {
		admit_mapping(x);
		return;
	}
	struct block *b = room(x->req);
	size_t want = b->cap - b->len < x->req->body_left ? b->cap - b->len : (size_t)x->req->body_left;
	uint64_t admitted = x->req->admitted - x->req->body_bytes;
	want = want < admitted ? want : (size_t)admitted;
	ssize_t n = conn_read(e, &c->conn, b->bytes + b->len, want);
	if (n == CONN_NOTHING)
		return;
	if (n < 0) {
		exchange_client_gone(x);
		client_close(c);
		return;
	}
	count_add(e->p->counters, bytes_from_clients, n);
	x->deadline_ms = e->loop.now_ms + e->p->timeouts.body;
	if (!body_grew(x, b, (size_t)n))
		read_body_failed(x, END_BAD_BODY);
	else if (x->req->body_left == 0)
		body_complete(x);
	else if (upload_is_due(x))
		upload_begin(x);
	else if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
}

static void
read_chunked(struct exchange *x)
{
	struct edge *e = x->edge;
	struct client *c = x->client;
	if (!admit_more(x, READ_BYTES))
		return;
	ssize_t n = conn_read(e, &c->conn, e->in, READ_BYTES);
	if (n == CONN_NOTHING)
		return;
	if (n < 0) {
		exchange_client_gone(x);
		client_close(c);
		return;
	}
	edge_in_used(e, (size_t)n);
	count_add(e->p->counters, bytes_from_clients, n);
	x->deadline_ms = e->loop.now_ms + e->p->timeouts.body;
	if (take_chunked(x, e->in, (size_t)n))
		body_complete(x);
	else if (x->step == STEP_READ_BODY && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
}

bool
read_body_may_push(struct exchange *x, size_t len)
{
	const struct request *r = x->req;
	bool too_much = !r->body_chunked && len > r->body_left;
	if (too_much)
		return true;
	if (!admit_more(x, len))
		return false;
	bool made = make_room(x, len);
	if (!made)
		admit_mapping(x);
	return made;
}

void
read_body_push(struct exchange *x, const char *bytes, size_t len, bool end)
{
	struct request *r = x->req;
	bool fits = r->body_chunked || (len <= r->body_left && (!end || len == r->body_left));
	enum end_reason reason = fits ? take_data(x, bytes, len) : END_BAD_BODY;
	x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.body;
	if (reason != END_NONE)
		read_body_failed(x, reason);
	else if (end)
		body_complete(x);
	else if (r->body_left && upload_is_due(x))
		upload_begin(x);
}

void
read_body_more(struct exchange *x)
{
	edge_works_for(x);
	if (x->wait_link) { /* for memory: nothing is read; but a client that goes is let go */
		struct client *c = x->client;
		if (client_left_its_body(c)) {
			exchange_client_gone(x);
			client_close(c);
		}
		return;
	}
	if (x->req->expects) {
		x->req->expects = false;
		reply_continue(x);
		if (x->step == STEP_DONE)
			return;
	}
	if (x->client->pending_len && !take_kept(x))
		return;
	if (x->req->body_chunked)
		read_chunked(x);
	else
		read_straight(x);
}
