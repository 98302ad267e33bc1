/* SEND: our own head, then the body with its edits, straight from the vault's blocks. Sent again from the start when a kept connection was closed. */
#include "edge/edge_priv.h"

#include "edge/byok.h"
#include "edge/connect.h"
#include "edge/duplex.h"
#include "edge/endpoints.h"
#include "edge/h2_up.h"
#include "edge/object_upload.h"
#include "edge/passage.h"
#include "edge/upload.h"

#include <assert.h>

enum { SEND_PARTS = 64 };

/* ---- the head ---- */

/* Of a body that is translated these are ours to say. */
static bool
is_about_body(struct span name)
{
	return (name.len == 6 && !strncasecmp(name.at, "accept", 6)) || (name.len == 12 && !strncasecmp(name.at, "content-type", 12));
}

/* Those kept lines that this provider may see. */
static void
add_client_headers(struct text *t, const struct exchange *x, const struct catalogue_provider *p)
{
	const struct request *r = x->req;
	const char *at = r->headers, *end = at ? at + r->headers_len : NULL;
	while (at < end) {
		const char *colon = memchr(at, ':', (size_t)(end - at)), *line_end = memchr(at, '\n', (size_t)(end - at));
		struct span name = {at, (size_t)(colon - at)};
		if (header_goes_up(p, (enum dialect)p->dialect, name) && object_upload_takes(x, name) && !(x->passage && is_about_body(name)))
			text_add(t, at, (size_t)(line_end + 1 - at));
		at = line_end + 1;
	}
}

/* How each API takes its key. */
static const struct span credentials[DIALECT_COUNT] = {
	[DIALECT_OPENAI] = {"authorization: Bearer ", 22},
	[DIALECT_ANTHROPIC] = {"x-api-key: ", 11},
	[DIALECT_GEMINI] = {"x-goog-api-key: ", 16},
};

static void
add_target(struct text *t, const struct exchange *x, const struct catalogue_provider *p)
{
	if (object_upload_add_target(t, x, p))
		return;
	text_str(t, p->base_path);
	if (p->dialect == DIALECT_GEMINI && !object_is_subject(x)) {
		text_lit(t, "/models/");
		text_str(t, x->route.target->upstream_id);
		text_lit(t, ":");
	}
	if (object_is_subject(x))
		object_add_path(t, x);
	else
		text_span(t, endpoint_upstream(passage_endpoint(x)));
	if (p->dialect == DIALECT_GEMINI && x->sse_asked)
		text_lit(t, "?alt=sse");
	if (p->dialect == DIALECT_ANTHROPIC && x->beta_asked && !x->passage)
		text_lit(t, "?beta=true");
	if (x->duplex)
		duplex_add_query(t, x);
}

static struct span
build_head(struct exchange *x)
{
	struct edge *e = x->edge;
	const struct catalogue_provider *p = catalogue_provider(e->p->catalogue, x->route.target->provider);
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES);
	const struct secret key = x->route.byok ? byok_secret(x->route.byok) : e->key[x->route.target->provider][x->route.key];
	text_span(&t, object_is_subject(x) ? object_method(x) : x->duplex ? SPAN("GET ")
																	  : SPAN("POST "));
	add_target(&t, x, p);
	text_lit(&t, " HTTP/1.1\r\nhost: ");
	text_str(&t, p->host);
	if (p->port != (p->tls ? 443 : 80)) {
		text_lit(&t, ":");
		text_u64(&t, p->port);
	}
	if (key.at) {
		text_lit(&t, "\r\n");
		text_span(&t, credentials[p->dialect]);
		text_add(&t, key.at, key.len);
	}
	text_lit(&t, "\r\nuser-agent: lethe\r\naccept-encoding: identity\r\n");
	if (x->duplex)
		duplex_add_handshake(&t, x);
	else if (!object_is_bodiless(x) || x->method == HTTP1_POST) {
		text_lit(&t, "content-length: ");
		text_u64(&t, x->req->total);
		text_lit(&t, "\r\n");
	}
	size_t before = t.len;
	add_client_headers(&t, x, p);
	if (x->passage)
		text_lit(&t, "content-type: application/json\r\n");
	if (p->dialect == DIALECT_ANTHROPIC && !memmem(t.at + before, t.len - before, "anthropic-version", 17))
		text_lit(&t, "anthropic-version: 2023-06-01\r\n");
	text_lit(&t, "\r\n");
	assert(!t.cut); /* the kept headers were bounded to half of this room */
	return (struct span){t.at, t.len};
}

/* ---- the body as parts, from byte `skip` of (head + edited body) ---- */

struct parts {
	struct iovec iov[SEND_PARTS];
	int count;
	uint64_t skip; /* bytes still to be left out at the front */
};

static bool
add_part(struct parts *p, const char *at, uint64_t len)
{
	if (p->skip >= len) {
		p->skip -= len;
		return true;
	}
	if (p->count == SEND_PARTS)
		return false;
	p->iov[p->count++] = (struct iovec){(char *)at + p->skip, (size_t)(len - p->skip)};
	p->skip = 0;
	return true;
}

/* Original bytes [from, to) of the body; *b and *b_at remember the block that was reached. What stood in front of the first one has been sent. */
static bool
add_body(struct parts *p, const struct block **b, uint64_t *b_at, uint64_t from, uint64_t to)
{
	if (from < *b_at) {
		uint64_t gone = (to < *b_at ? to : *b_at) - from;
		assert(p->skip >= gone);
		p->skip -= gone;
		from += gone;
	}
	while (from < to) {
		while (from >= *b_at + (*b)->len) {
			*b_at += (*b)->len;
			*b = (*b)->next;
		}
		uint64_t end = *b_at + (*b)->len < to ? *b_at + (*b)->len : to;
		if (!add_part(p, (*b)->bytes + (from - *b_at), end - from))
			return false;
		from = end;
	}
	return true;
}

static void
gather(const struct request *r, struct span head, struct parts *p)
{
	const struct block *b = r->body;
	uint64_t b_at = r->upload ? r->upload->dropped : 0, at = 0, end = r->upload ? upload_end(r) : r->body_bytes;
	p->count = 0;
	p->skip = r->sent;
	if (!add_part(p, head.at, head.len))
		return;
	for (uint32_t i = 0; i < r->edit_count && r->edits[i].at <= end; i++) {
		const struct request_edit *d = &r->edits[i];
		if (d->at + d->remove > end)
			break;
		if (!add_body(p, &b, &b_at, at, d->at) || !add_part(p, d->text, d->text_len))
			return;
		at = d->at + d->remove;
	}
	(void)add_body(p, &b, &b_at, at, end);
}

/* ---- writing ---- */

static bool
keep_head(struct exchange *x, struct span head)
{
	struct request *r = x->req;
	if (r->head)
		return true;
	r->head = vault_alloc(x->edge->vault, head.len);
	if (!r->head)
		return false;
	r->head_len = (uint32_t)head.len;
	memcpy(r->head, head.at, head.len);
	return true;
}

static ssize_t
push(struct exchange *x, struct span head)
{
	struct parts p;
	gather(x->req, head, &p);
	return conn_write_some(x->edge, &x->up->conn, p.iov, p.count);
}

static void
send_broken(struct exchange *x)
{
	bool again = x->up->reused && !x->route.fresh && !x->interim && !x->carry_len && !upload_has_left(x);
	struct upstream *u = x->up;
	if (u->conn.watch.flags & LOOP_READABLE) { /* it may have answered before it closed */
		relay_read(x);
		return;
	}
	if (!again) {
		route_fail(x, ROUTE_UNREACHABLE, END_PROVIDER_UNREACHABLE);
		return;
	}
	x->route.fresh = true;
	x->up = NULL;
	upstream_release(u, false);
	x->req->sent = 0;
	connect_upstream(x);
}

void
send_copy(struct exchange *x, char *to, size_t len)
{
	struct parts p;
	while (len) {
		gather(x->req, (struct span){0}, &p);
		for (int i = 0; i < p.count && len; i++) {
			size_t some = p.iov[i].iov_len < len ? p.iov[i].iov_len : len;
			memcpy(to, p.iov[i].iov_base, some);
			to += some;
			len -= some;
			x->req->sent += some;
		}
	}
}

void
send_request(struct exchange *x)
{
	struct request *r = x->req;
	if (x->up->is_stream) {
		h2_up_send(x, build_head(x));
		return;
	}
	struct span head = r->head ? (struct span){r->head, r->head_len} : build_head(x);
	uint64_t total = head.len + r->total, ready = head.len + (r->upload ? upload_ready(r) : r->total);
	exchange_step(x, STEP_SEND);
	while (r->sent < ready) {
		ssize_t n = push(x, head);
		if (n < 0) {
			send_broken(x);
			return;
		}
		count_add(x->edge->p->counters, bytes_to_providers, n);
		r->sent += (uint64_t)n;
		if (r->sent < total && !keep_head(x, head)) {
			exchange_end(x, END_OVERLOADED);
			return;
		}
		if (n == 0) /* writable again: here again */
			break;
	}
	if (r->sent < total) {
		upload_went(x);
		return;
	}
	exchange_step(x, STEP_AWAIT);
}
