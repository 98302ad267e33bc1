#include "edge/h2.h"

#include "edge/duplex.h"
#include "edge/h2_priv.h"
#include "edge/receipt_inline.h"
#include "edge/upload.h"

#include <assert.h>

/* Fields that HTTP/1.1 has in its request line. X(ID, name) */
#define HTTP2_PSEUDO(X) \
	X(METHOD, ":method") \
	X(SCHEME, ":scheme") \
	X(AUTHORITY, ":authority") \
	X(PATH, ":path") \
	X(PROTOCOL, ":protocol")

enum {
#define X(id, name) HTTP2_PSEUDO_##id,
	HTTP2_PSEUDO(X)
#undef X
		PSEUDO_MAX
};

enum {
	FRONT = 12 << 10, /* room before the fields for the request line and the host */
};

/* What is collected of a request's head: one at a time, its frames follow each other (RFC 9113 4.3). */
struct h2_head {
	struct h2_stream *of; /* whose head is not complete yet */
	char *at; /* FRONT, then the fields as "name: value\r\n" */
	uint32_t len, cap; /* of the fields */
	uint32_t fields, decoded; /* that came, also those that are not kept, and their bytes */
	struct span pseudo[PSEUDO_MAX]; /* in front of the fields, see keep_pseudo() */
	uint32_t pseudo_len;
	struct {
		uint32_t pseudo, line, fields;
	} dirty; /* what heads since it was taken have written, at most */
	uint16_t refused; /* status of an answer that says why; 0: none */
	bool has_host, has_length;
};

/* What the connection's timer is armed for. */
enum timing { TIMING_NOTHING,
	TIMING_IDLE,
	TIMING_HEAD,
	TIMING_WRITE };

struct h2 {
	struct client *connection;
	nghttp2_session *session;
	struct h2_stream *streams;
	struct h2_head head;
	struct h2_allowance idle_frames, resets;
	uint32_t fields; /* of the head, or the trailers, that are being read */
	uint32_t stream_count;
	uint32_t cut_short; /* streams reset in this turn, whose memory and whose exchanges' memory come back when it ends */
	uint64_t turn; /* that one */
	uint64_t unsent; /* bytes in the boxes of all its streams */
	uint32_t error; /* why it ends: NGHTTP2_… */
	enum timing timing;
	bool reading; /* within nghttp2: what is said now is written afterwards */
	bool leaving; /* GOAWAY was said: it ends with its last stream */
	bool look; /* some stream has not been taken all of, or was not read for that */
};

struct h2_stream {
	struct client client; /* first: what its exchange sees */
	struct deferred deferred;
	struct h2 *h2;
	struct h2_stream *next, **link;
	int32_t id;
	char *out; /* body that the peer has not taken yet */
	uint32_t out_len, out_cap, out_sent;
	char *held; /* body of the request that waits for memory */
	uint32_t held_len, held_cap;
	bool begun; /* the head of the answer is submitted */
	bool ended; /* nothing follows what is in the box */
	bool body_ended; /* the request is complete */
	bool gone; /* closed: only its memory is left */
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

bool
h2_is_preface(const char *bytes, size_t len)
{
	return len > 0 && memcmp(bytes, preface, len < H2_PREFACE_BYTES ? len : H2_PREFACE_BYTES) == 0;
}

static struct h2_stream *
stream_of(const struct client *c)
{
	assert(c->is_stream);
	return container_of(c, struct h2_stream, client);
}

static uint64_t
now_ms(const struct h2 *h)
{
	return h->connection->edge->loop.now_ms;
}

static int
enough(struct h2 *h)
{
	count_add(h->connection->edge->p->counters, h2_calmed, 1);
	nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

/* ---- streams ---- */

static void stream_late(struct timer *t);

static void
stream_bury(struct deferred *d, void *arg)
{
	struct h2_stream *s = container_of(d, struct h2_stream, deferred);
	vault_free(s->client.edge->vault, s, sizeof *s);
}

static struct h2_stream *
stream_begin(struct h2 *h, int32_t id)
{
	struct edge *e = h->connection->edge;
	struct h2_stream *s = vault_alloc(e->vault, sizeof *s);
	if (!s)
		return NULL;
	s->client.edge = e;
	s->client.is_stream = true;
	s->client.conn.watch.fd = -1;
	s->client.trusted = h->connection->trusted;
	s->client.visitor = h->connection->visitor;
	s->client.address = h->connection->address;
	s->h2 = h;
	s->id = id;
	s->next = h->streams;
	s->link = &h->streams;
	if (s->next)
		s->next->link = &s->next;
	h->streams = s;
	h->stream_count++;
	count_add(e->p->counters, h2_streams, 1);
	return s;
}

static void
box_free(struct h2_stream *s)
{
	vault_free_dirty(s->client.edge->vault, s->out, s->out_cap, s->out_len);
	s->out = NULL;
	s->out_len = s->out_cap = s->out_sent = 0;
}

static void
held_free(struct h2_stream *s)
{
	vault_free_dirty(s->client.edge->vault, s->held, s->held_cap, s->held_len);
	s->held = NULL;
	s->held_len = s->held_cap = 0;
}

static void head_done(struct h2 *h);

/* nghttp2 has let go of it. Its exchange hears that the client has gone, if it still runs. */
static void
stream_end(struct h2_stream *s)
{
	struct edge *e = s->client.edge;
	s->gone = true;
	if (s->client.x)
		exchange_client_gone(s->client.x);
	if (s->h2->head.of == s)
		head_done(s->h2);
	timer_cancel(&e->loop, &s->client.timer);
	s->h2->unsent -= s->out_len - s->out_sent;
	box_free(s);
	(void)!nghttp2_session_consume_connection(s->h2->session, s->held_len); /* the window of the connection outlives it */
	held_free(s);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->h2->stream_count--;
	loop_defer(&e->loop, &s->deferred, stream_bury);
}

static void
reset(struct h2_stream *s, uint32_t error)
{
	if (!s->gone)
		(void)!nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, error);
}

/* Somebody has something to say: after all that this turn brings, together. */
static void
write_soon(struct h2 *h)
{
	if (!h->reading)
		loop_again(&h->connection->edge->loop, &h->connection->conn.watch);
}

/* ---- a request's head ---- */

static bool
head_room(struct h2_stream *s)
{
	struct edge *e = s->client.edge;
	struct h2_head *d = &s->h2->head;
	head_done(s->h2);
	d->of = s;
	if (s->h2->timing == TIMING_HEAD) /* each has its own time */
		s->h2->timing = TIMING_NOTHING;
	uint32_t most = e->p->limits.head_bytes < READ_BYTES / 2 ? e->p->limits.head_bytes : READ_BYTES / 2;
	d->cap = most;
	if (!d->at)
		d->at = vault_alloc(e->vault, FRONT + most + 64);
	d->len = d->fields = d->decoded = d->pseudo_len = 0;
	memset(d->pseudo, 0, sizeof d->pseudo);
	d->refused = 0;
	d->has_host = d->has_length = false;
	return d->at != NULL;
}

static void
soil(uint32_t *most, size_t len)
{
	if (len > *most)
		*most = (uint32_t)len;
}

/* It is complete, or nobody's any more. The room is kept for the next one of the same read. */
static void
head_done(struct h2 *h)
{
	struct h2_head *d = &h->head;
	soil(&d->dirty.pseudo, d->pseudo_len);
	soil(&d->dirty.fields, d->len + 2);
	d->of = NULL;
}

/* Most of the room was never touched: only what was is wiped. */
static void
head_free(struct h2 *h)
{
	struct h2_head *d = &h->head;
	if (!d->at || d->of)
		return;
	explicit_bzero(d->at, d->dirty.pseudo);
	explicit_bzero(d->at + FRONT / 2, d->dirty.line);
	explicit_bzero(d->at + FRONT - d->dirty.line, d->dirty.line + d->dirty.fields);
	vault_free_dirty(h->connection->edge->vault, d->at, FRONT + d->cap + 64, 0);
	d->at = NULL;
	memset(&d->dirty, 0, sizeof d->dirty);
}

static const struct span pseudo_names[PSEUDO_MAX] = {
#define X(id, name) [HTTP2_PSEUDO_##id] = SPAN_INIT(name),
	HTTP2_PSEUDO(X)
#undef X
};

/* The front half of FRONT keeps their values until the request line is written behind them. */
static void
keep_pseudo(struct h2_head *d, struct span name, struct span value)
{
	for (int i = 0; i < PSEUDO_MAX; i++) {
		if (name.len != pseudo_names[i].len || memcmp(name.at, pseudo_names[i].at, name.len) != 0)
			continue;
		if (d->pseudo_len + value.len > FRONT / 2 - 64) {
			d->refused = i == HTTP2_PSEUDO_PATH ? 414 : 431;
			return;
		}
		char *at = d->at + d->pseudo_len;
		memcpy(at, value.at, value.len);
		d->pseudo[i] = (struct span){at, value.len};
		d->pseudo_len += (uint32_t)value.len;
		return;
	}
	d->refused = 400; /* nghttp2 lets no other through */
}

static bool
same(struct span a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.at, b, a.len) == 0;
}

static void
keep_field(struct h2_head *d, struct span name, struct span value)
{
	if (++d->fields > HTTP1_FIELDS_MAX - 2 || d->decoded + name.len + value.len + 4 > d->cap) {
		d->refused = 431;
		return;
	}
	d->decoded += (uint32_t)(name.len + value.len + 4);
	if (same(name, "cookie")) /* counted, never passed on */
		return;
	d->has_length = d->has_length || same(name, "content-length");
	if (same(name, "host")) {
		struct span a = d->pseudo[HTTP2_PSEUDO_AUTHORITY];
		if (a.at && (a.len != value.len || strncasecmp(a.at, value.at, a.len) != 0)) /* RFC 9113 8.3.1 */
			d->refused = 400;
		if (a.at)
			return;
		d->has_host = true;
	}
	char *at = d->at + FRONT + d->len;
	memcpy(at, name.at, name.len);
	memcpy(at + name.len, ": ", 2);
	memcpy(at + name.len + 2, value.at, value.len);
	memcpy(at + name.len + 2 + value.len, "\r\n", 2);
	d->len += (uint32_t)(name.len + value.len + 4);
}

/* Extended CONNECT (RFC 8441 4). */
static bool
opens_websocket(const struct h2_head *d)
{
	return same(d->pseudo[HTTP2_PSEUDO_METHOD], "CONNECT") && same(d->pseudo[HTTP2_PSEUDO_PROTOCOL], "websocket");
}

/*
 * The head as HTTP/1.1 would have said it, so that there is one parser of heads and one set of rules: nothing in it can be misread, since nghttp2 has seen
 * to it that no name and no value holds a line's end. Returns where it begins.
 */
static struct span
compose(struct h2_head *d, bool body)
{
	char *fields = d->at + FRONT;
	struct text t = text_on(d->at + FRONT / 2, FRONT / 2);
	bool websocket = opens_websocket(d);
	text_span(&t, websocket ? SPAN("GET") : d->pseudo[HTTP2_PSEUDO_METHOD]);
	text_lit(&t, " ");
	if (d->pseudo[HTTP2_PSEUDO_PATH].at) /* CONNECT has none: the parser's to refuse */
		text_span(&t, d->pseudo[HTTP2_PSEUDO_PATH]);
	text_lit(&t, " HTTP/1.1\r\n");
	if (d->pseudo[HTTP2_PSEUDO_AUTHORITY].at) {
		text_lit(&t, "host: ");
		text_span(&t, d->pseudo[HTTP2_PSEUDO_AUTHORITY]);
		text_lit(&t, "\r\n");
	} else if (!d->has_host)
		text_lit(&t, "host: \r\n"); /* the parser's to refuse */
	if (websocket)
		text_lit(&t, "connection: Upgrade\r\nupgrade: websocket\r\n");
	else if (body && !d->has_length)
		text_lit(&t, "transfer-encoding: chunked\r\n"); /* of unknown length; the frames say where it ends */
	if (t.cut)
		d->refused = 414;
	memcpy(fields + d->len, "\r\n", 2);
	memmove(fields - t.len, t.at, t.len);
	soil(&d->dirty.line, t.len);
	return (struct span){fields - t.len, t.len + d->len + 2};
}

static const struct {
	uint16_t status;
	const char *message;
} refusals[] = {
#define X(name, status, text) {status, text},
	HTTP1_ERRORS(X)
#undef X
};

static void
refuse(struct h2_stream *s, uint16_t status, const char *message)
{
	count_add(s->client.edge->p->counters, ended[END_BAD_HTTP], 1);
	answer_text(&s->client, status, "bad_http", message);
}

static void
head_complete(struct h2_stream *s, bool body)
{
	struct h2 *h = s->h2;
	struct edge *e = s->client.edge;
	enum http1_error error;
	size_t scanned = 0;
	s->body_ended = !body;
	struct span head = compose(&h->head, body);
	if (h->head.refused)
		refuse(s, h->head.refused, h->head.refused == 400 ? "the request's fields contradict each other" : "the request's head is too large");
	else if (http1_request_parse(head.at, head.len, &scanned, &e->head, &error) != HTTP1_DONE)
		refuse(s, refusals[error].status, refusals[error].message);
	else
		read_head(&s->client, head.at, head.len);
}

/* ---- a request's body ---- */

static void
used(struct h2_stream *s, size_t len)
{
	(void)!nghttp2_session_consume(s->h2->session, s->id, len); /* fails only for a stream that is gone */
}

static bool
wants_body(const struct h2_stream *s)
{
	return s->client.x && s->client.x->step == STEP_READ_BODY;
}

/* The exchange waits for memory: what the window lets through is kept, and not yet given back to the window. */
static bool
hold(struct h2_stream *s, const char *bytes, size_t len)
{
	struct edge *e = s->client.edge;
	if (s->held_len + len > s->held_cap) {
		uint32_t cap = (uint32_t)vault_block_bytes(s->held_len + len);
		char *at = vault_alloc(e->vault, cap);
		if (!at)
			return false;
		if (s->held_len)
			memcpy(at, s->held, s->held_len);
		vault_free_dirty(e->vault, s->held, s->held_cap, s->held_len);
		s->held = at;
		s->held_cap = cap;
	}
	memcpy(s->held + s->held_len, bytes, len);
	s->held_len += (uint32_t)len;
	return true;
}

/* Frames of a WebSocket: what the provider does not take yet waits here, as far as the window lets it in. */
static void
session_bytes(struct h2_stream *s, const char *bytes, size_t len)
{
	struct exchange *x = s->client.x;
	bool waits = x->step != STEP_RELAY || s->held_len || duplex_is_full(x);
	if (waits && hold(s, bytes, len))
		return;
	used(s, len);
	if (waits)
		exchange_end(x, x->step == STEP_RELAY ? END_INTERRUPTED : END_OVERLOADED);
	else
		duplex_push(x, bytes, len);
}

/* The end of a stream is that of a connection of TCP (RFC 8441 5). */
static void
session_end(struct h2_stream *s)
{
	struct exchange *x = s->client.x;
	if (x && x->step == STEP_RELAY && !s->held_len && !duplex_is_closed(x))
		reset(s, NGHTTP2_CANCEL);
}

static void
session_resume(struct h2_stream *s)
{
	struct vault *vault = s->client.edge->vault;
	char *held = s->held;
	uint32_t len = s->held_len, cap = s->held_cap;
	s->held = NULL;
	s->held_len = s->held_cap = 0;
	used(s, len);
	if (len)
		duplex_push(s->client.x, held, len);
	vault_free_dirty(vault, held, cap, len);
	if (s->body_ended)
		session_end(s);
	write_soon(s->h2);
}

/* A form that goes up while it comes: what there is no room for waits here, as far as the window lets it in. */
static void
upload_bytes(struct h2_stream *s, const char *bytes, size_t len)
{
	size_t n = s->held_len ? 0 : upload_push(s->client.x, bytes, len);
	used(s, n);
	if (n == len || (s->client.x && hold(s, bytes + n, len - n)))
		return;
	used(s, len - n);
	if (s->client.x)
		exchange_end(s->client.x, END_OVERLOADED);
}

static void
upload_resume(struct h2_stream *s)
{
	size_t n = upload_push(s->client.x, s->held, s->held_len);
	if (n == 0 && s->client.x)
		return;
	if (!s->client.x) /* it has ended: nobody reads the rest */
		n = s->held_len;
	used(s, n);
	if (n == s->held_len)
		held_free(s);
	else {
		memmove(s->held, s->held + n, s->held_len - n);
		explicit_bzero(s->held + s->held_len - n, n);
		s->held_len -= (uint32_t)n;
	}
	write_soon(s->h2);
}

void
h2_upload_room(struct client *c)
{
	struct h2_stream *s = stream_of(c);
	s->h2->look = s->h2->look || s->held_len;
	if (s->held_len)
		write_soon(s->h2);
}

static void
body_bytes(struct h2_stream *s, const char *bytes, size_t len)
{
	count_add(s->client.edge->p->counters, bytes_from_clients, len);
	if (s->client.x && s->client.x->duplex) {
		session_bytes(s, bytes, len);
		return;
	}
	if (s->client.x && upload_is_coming(s->client.x)) {
		upload_bytes(s, bytes, len);
		return;
	}
	if (!wants_body(s)) { /* already answered: what still comes is read and dropped */
		used(s, len);
		return;
	}
	bool waits = s->client.x->wait_link || s->held_len || !read_body_may_push(s->client.x, len);
	if (waits && wants_body(s)) {
		if (hold(s, bytes, len))
			return;
		used(s, len);
		exchange_end(s->client.x, END_OVERLOADED);
		return;
	}
	used(s, len);
	if (!waits)
		read_body_push(s->client.x, bytes, len, false);
}

static void
body_end(struct h2_stream *s)
{
	s->body_ended = true;
	if (s->client.x && s->client.x->duplex)
		session_end(s);
	else if (wants_body(s) && !s->client.x->wait_link && !s->held_len)
		read_body_push(s->client.x, NULL, 0, true);
}

void
h2_resume(struct client *c)
{
	struct h2_stream *s = stream_of(c);
	size_t len = s->held_len;
	if (c->x->duplex) {
		session_resume(s);
		return;
	}
	if (c->x->req->expects && !len && !s->body_ended)
		h2_continue(c);
	c->x->req->expects = false;
	if (len && !read_body_may_push(c->x, len)) /* what was to be had is gone again: it waits on, or has ended */
		return;
	if (len)
		read_body_push(c->x, s->held, len, false);
	held_free(s);
	used(s, len);
	if (wants_body(s) && s->body_ended)
		read_body_push(c->x, NULL, 0, true);
	write_soon(s->h2);
}

/* ---- nghttp2's calls ---- */

/* It costs nothing of ours, and may come again (RFC 9113 8.7). */
static int
turn_away(struct h2 *h, int32_t id)
{
	if (!h2_spend(&h->resets, H2_RESETS, H2_RESETS_SECOND, now_ms(h)))
		return enough(h);
	return nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM) == 0 ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	h->fields = 0;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (h->cut_short >= H2_CUT_SHORT_TURN)
		return turn_away(h, frame->hd.stream_id);
	struct h2_stream *s = stream_begin(h, frame->hd.stream_id);
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	(void)!nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
	return head_room(s) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* What means something in a head does not come behind the body (RFC 9110 6.5.1): the stream is reset before its request is complete. */
static int
refuse_trailer(struct h2 *h, int32_t id)
{
	if (!h2_spend(&h->resets, H2_RESETS, H2_RESETS_SECOND, now_ms(h)))
		return enough(h);
	(void)!nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR); /* without memory it is another error */
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	nghttp2_vec a = nghttp2_rcbuf_get_buf(name), b = nghttp2_rcbuf_get_buf(value);
	struct span n = {(const char *)a.base, a.len}, v = {(const char *)b.base, b.len};
	if (++h->fields > H2_FIELDS_END) { /* it need not be refused only when it is through: a byte may be a field, and all others wait */
		count_add(h->connection->edge->p->counters, h2_calmed, 1);
		h->error = NGHTTP2_ENHANCE_YOUR_CALM;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	bool ours = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST; /* trailers mean nothing here */
	if (!ours && http1_is_known(n.at, n.len))
		return refuse_trailer(h, frame->hd.stream_id);
	if (!ours || h->head.refused || !h->head.of || h->head.of->id != frame->hd.stream_id)
		return 0;
	if (n.len && n.at[0] == ':')
		keep_pseudo(&h->head, n, v);
	else
		keep_field(&h->head, n, v);
	return 0;
}

/* Who has the answer, or its beginning, may break it off as often as it likes: that each earned it one is in on_sent(). */
static bool
may_reset(struct h2 *h, const struct h2_stream *s)
{
	if (s && !s->begun)
		return h2_spend(&h->resets, H2_RESETS, H2_RESETS_SECOND, now_ms(h));
	return h2_spend(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, now_ms(h));
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (h2_moves_nothing(frame) && !h2_spend(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, now_ms(h)))
		return enough(h);
	if (frame->hd.type == NGHTTP2_RST_STREAM && !may_reset(h, s))
		return enough(h);
	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		head_complete(s, !end);
		head_done(h);
	} else if (end && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
		body_end(s);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s)
		body_bytes(s, (const char *)bytes, len);
	else
		(void)!nghttp2_session_consume(session, id, len);
	return 0;
}

/* The answer is out whole, the request is not: nobody reads the rest of it (RFC 9113 8.1). */
static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	bool last = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h2_earn(&((struct h2 *)arg)->idle_frames, 1, H2_IDLE_FRAMES);
	if (s && last && !s->body_ended)
		reset(s, NGHTTP2_NO_ERROR);
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s)
		stream_end(s);
	if (s && h->reading)
		h->cut_short++;
	return 0;
}

static int
on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2 *h = arg;
	if (!h2_spend(&h->resets, H2_RESETS, H2_RESETS_SECOND, now_ms(h)))
		return enough(h);
	return 0;
}

/* Of a type that nobody knows: passed over (RFC 9113 5.5), but not for ever. */
static int
on_unknown(nghttp2_session *session, void **payload, const nghttp2_frame_hd *frame, void *arg)
{
	struct h2 *h = arg;
	if (!h2_spend(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, now_ms(h)))
		(void)enough(h);
	return NGHTTP2_ERR_CANCEL;
}

/* ---- answers ---- */

/* How much of the box goes into the next frame: from there it is taken by write_body() at once, or when there is room to write again. */
static ssize_t
more_of_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	const struct h2_stream *s = source->ptr;
	size_t left = s->out_len - s->out_sent, len = left < most ? left : most;
	if (len == left && s->ended)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (len == 0)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	return (ssize_t)len;
}

static int
write_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s = source->ptr;
	struct edge *e = s->client.edge;
	char *to = h2_gather(e, head, len);
	if (!to)
		return NGHTTP2_ERR_WOULDBLOCK;
	if (len) /* it takes something: it has its time anew */
		timer_cancel(&e->loop, &s->client.timer);
	if (len)
		memcpy(to, s->out + s->out_sent, len);
	s->out_sent += (uint32_t)len;
	s->h2->unsent -= len;
	if (len >= H2_DATA_LEAST || (len && s->out_sent == s->out_len))
		h2_earn(&s->h2->idle_frames, H2_IDLE_FRAMES_DATA, H2_IDLE_FRAMES);
	if (s->out_sent == s->out_len)
		box_free(s);
	return 0;
}

static bool
box_add(struct h2_stream *s, const char *bytes, size_t len)
{
	struct edge *e = s->client.edge;
	uint32_t left = s->out_len - s->out_sent;
	if (len == 0)
		return true;
	if (s->out_len + len > s->out_cap) {
		if (left + len > VAULT_BLOCK_MAX)
			return false;
		uint32_t cap = (uint32_t)vault_block_bytes(left + len);
		char *at = vault_alloc(e->vault, cap);
		if (!at)
			return false;
		if (left)
			memcpy(at, s->out + s->out_sent, left);
		box_free(s);
		s->out = at;
		s->out_cap = cap;
		s->out_len = left;
	}
	memcpy(s->out + s->out_len, bytes, len);
	s->out_len += (uint32_t)len;
	s->h2->unsent += len;
	return true;
}

static bool
submit(struct h2_stream *s, struct span head, bool body)
{
	nghttp2_nv fields[H2_FIELDS_OUT];
	const nghttp2_data_provider provider = {.source.ptr = s, .read_callback = more_of_body};
	size_t count = h2_answer_fields(head, fields);
	s->begun = true;
	return nghttp2_submit_response(s->h2->session, s->id, fields, count, body ? &provider : NULL) == 0;
}

bool
h2_is_private(const struct client *c)
{
	return stream_of(c)->h2->connection->conn.tls != NULL;
}

void
h2_reply(struct client *c, struct span head, const char *data, size_t len, bool last)
{
	struct h2_stream *s = stream_of(c);
	if (s->gone || s->ended)
		return;
	bool kept = box_add(s, data, len);
	s->ended = last;
	if (head.len)
		kept = submit(s, head, !last || s->out_len > 0) && kept;
	else if (s->begun)
		(void)!nghttp2_session_resume_data(s->h2->session, s->id); /* fails when nothing is deferred: then it goes on by itself */
	if (!kept)
		reset(s, NGHTTP2_INTERNAL_ERROR);
	write_soon(s->h2);
}

void
h2_continue(struct client *c)
{
	struct h2_stream *s = stream_of(c);
	const nghttp2_nv status = h2_field(":status", 7, "100", 3);
	if (!s->gone)
		(void)!nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status, 1, NULL);
	write_soon(s->h2);
}

/* Where much waits for a peer that keeps its windows shut, the more streams there are the less of each. */
static uint32_t
box_most(const struct h2_stream *s)
{
	uint32_t share = s->h2->unsent < H2_UNSENT_MAX / 2 ? H2_STREAM_FULL : H2_UNSENT_MAX / (s->h2->stream_count + 1);
	return share < H2_STREAM_FULL ? share : H2_STREAM_FULL;
}

size_t
h2_read_most(const struct client *c)
{
	const struct h2_stream *s = stream_of(c);
	return box_most(s) - (s->out_len - s->out_sent);
}

bool
h2_is_full(const struct client *c)
{
	const struct h2_stream *s = stream_of(c);
	bool full = s->out_len - s->out_sent >= box_most(s);
	s->h2->look = s->h2->look || full;
	return full;
}

bool
h2_has_unsent(const struct client *c)
{
	const struct h2_stream *s = stream_of(c);
	return s->out_len > s->out_sent;
}

void
h2_next(struct client *c)
{
	struct h2_stream *s = stream_of(c);
	c->x = NULL;
	if (!s->ended) /* cut short: it must not look complete */
		reset(s, NGHTTP2_INTERNAL_ERROR);
	if (!s->gone)
		write_soon(s->h2);
}

void
h2_leave(struct client *c)
{
	(void)!h2_drain(stream_of(c)->h2->connection); /* ours is among its streams: it ends later */
}

/* ---- writing ---- */

static bool
write_all(struct h2 *h, uint64_t *ret_bytes)
{
	struct edge *e = h->connection->edge;
	bool good = h2_write(e, &h->connection->conn, h->session, ret_bytes);
	count_add(e->p->counters, bytes_to_clients, *ret_bytes);
	return good;
}

/* Whose box has been emptied may read its provider again; whose has not has so long for it. */
static void
look_at_streams(struct h2 *h)
{
	struct edge *e = h->connection->edge;
	if (!h->look && !h->unsent)
		return;
	h->look = h->unsent > 0;
	for (struct h2_stream *s = h->streams, *next; s; s = next) {
		next = s->next;
		struct exchange *x = s->client.x;
		if (s->gone)
			continue;
		if (!h2_has_unsent(&s->client))
			timer_cancel(&e->loop, &s->client.timer);
		else if (!s->client.timer.link)
			timer_arm(&e->loop, &s->client.timer, e->loop.now_ms + e->p->timeouts.client_write, stream_late);
		if (x && s->held_len && upload_is_coming(x))
			upload_resume(s);
		else if (x && !h2_is_full(&s->client)) {
			receipt_inline_more(x);
			if (s->client.x && x->up)
				relay_read(x); /* may end x, but not s: nghttp2 closes streams, and not in here */
		}
	}
}

/* It takes nothing for too long. */
static void
stream_late(struct timer *t)
{
	struct client *c = container_of(t, struct client, timer);
	struct h2_stream *s = stream_of(c);
	struct exchange *x = c->x;
	if (x) {
		x->client = NULL;
		c->x = NULL;
		exchange_end(x, END_CLIENT_SLOW);
	}
	reset(s, NGHTTP2_CANCEL);
	write_soon(s->h2);
}

/* ---- the connection ---- */

static nghttp2_session_callbacks *
callbacks(void)
{
	static nghttp2_session_callbacks *all;
	if (all || nghttp2_session_callbacks_new(&all) != 0)
		return all;
	nghttp2_session_callbacks_set_on_begin_headers_callback(all, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(all, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(all, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, on_data);
	nghttp2_session_callbacks_set_send_data_callback(all, write_body);
	nghttp2_session_callbacks_set_on_frame_send_callback(all, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(all, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(all, on_invalid);
	nghttp2_session_callbacks_set_unpack_extension_callback(all, on_unknown);
	return all;
}

static nghttp2_option *
options(void)
{
	static nghttp2_option *all;
	if (all || nghttp2_option_new(&all) != 0)
		return all;
	nghttp2_option_set_no_auto_window_update(all, 1); /* windows open when bytes have found their place */
	nghttp2_option_set_no_closed_streams(all, 1);
	nghttp2_option_set_max_outbound_ack(all, 100);
	nghttp2_option_set_max_settings(all, 32);
	nghttp2_option_set_stream_reset_rate_limit(all, UINT32_MAX, UINT32_MAX); /* may_reset() knows more of them */
	nghttp2_option_set_max_reserved_remote_streams(all, 0);
	h2_count_unknown(all);
	return all;
}

static bool
open_session(struct h2 *h)
{
	struct edge *e = h->connection->edge;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, e->p->limits.head_bytes},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 */
	};
	nghttp2_mem memory = h2_memory(e);
	if (!callbacks() || !options() || nghttp2_session_server_new3(&h->session, callbacks(), h, options(), &memory) != 0)
		return false;
	return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0 &&
		nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW) == 0;
}

bool
h2_begin(struct client *c)
{
	struct edge *e = c->edge;
	struct h2 *h = h2_prepare(e) ? vault_alloc(e->vault, sizeof *h) : NULL;
	if (!h)
		return false;
	h->connection = c;
	h->idle_frames = (struct h2_allowance){H2_IDLE_FRAMES, e->loop.now_ms};
	h->resets = (struct h2_allowance){H2_RESETS, e->loop.now_ms};
	h->timing = TIMING_IDLE;
	if (!open_session(h)) {
		nghttp2_session_del(h->session);
		vault_free(e->vault, h, sizeof *h);
		return false;
	}
	c->h2 = h;
	count_add(e->p->counters, h2_connections, 1);
	client_arm_idle(c);
	return true;
}

void
h2_refuse(struct client *c)
{
	/* What a server says first, and that none of its streams was looked at (RFC 9113 3.4, 6.8). */
	static const uint8_t words[] = {0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0, 0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NGHTTP2_NO_ERROR};
	struct iovec part = {(void *)words, sizeof words};
	count_add(c->edge->p->counters, ended[END_OVERLOADED], 1);
	client_send(c, &part, 1);
	if (c->conn.watch.fd >= 0)
		client_part(c);
}

static bool
feed(struct h2 *h, const char *bytes, size_t len)
{
	h->reading = true;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, len);
	h->reading = false;
	head_free(h);
	if (n == NGHTTP2_ERR_FLOODED) { /* of answers to pings and settings, which it does not take */
		count_add(h->connection->edge->p->counters, h2_calmed, 1);
		h->error = NGHTTP2_ENHANCE_YOUR_CALM;
	} else if (n < 0 && !h->error)
		h->error = n == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR;
	return n == (ssize_t)len; /* errors that nghttp2 has told the peer of itself show by want_read and want_write */
}

/* The first bytes lie in the scratch that exchanges use meanwhile. */
static bool
feed_first(struct h2 *h, const char *bytes, size_t len)
{
	struct vault *vault = h->connection->edge->vault;
	char *own = vault_alloc(vault, len);
	if (!own)
		return false;
	memcpy(own, bytes, len);
	bool fed = feed(h, own, len);
	vault_free(vault, own, len);
	return fed;
}

/* It sends much that moves nothing: maybe too much soon. */
static bool
is_noisy(struct h2 *h)
{
	uint64_t now = now_ms(h);
	return h2_is_spent(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, now) || h2_is_spent(&h->resets, H2_RESETS, H2_RESETS_SECOND, now);
}

/* A bounded turn. A frame of a few bytes may cost as much as a request, so that a little is read first, and of who makes noise no more than that. */
static bool
read_more(struct h2 *h)
{
	struct client *c = h->connection;
	struct edge *e = c->edge;
	char *in = e->read->bytes;
	size_t piece = H2_LOOK, had = 0;
	if (is_noisy(h) && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP) && !conn_may(e, &c->conn, TURNS_NOISE))
		return true;
	while (had < BLOCK_READ && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP) && !(had && is_noisy(h))) {
		if (!edge_has_room(e)) {
			e->thirsty = true;
			return true;
		}
		ssize_t n = conn_read(e, &c->conn, in, piece < BLOCK_READ - had ? piece : BLOCK_READ - had);
		if (n < 0)
			return false;
		bool fed = n == 0 || feed(h, in, (size_t)n);
		explicit_bzero(in, (size_t)n);
		if (!fed)
			return false;
		if (n == 0)
			return true;
		had += (size_t)n;
		piece *= 4;
	}
	if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
	return true;
}

/* It has its time to take what is written, to finish a head, or, without a request, to ask something. */
static void
arm(struct client *c, bool wrote)
{
	struct h2 *h = c->h2;
	enum timing now = c->conn.out.at ? TIMING_WRITE
		: h->head.of                 ? TIMING_HEAD
		: h->stream_count            ? TIMING_NOTHING
									 : TIMING_IDLE;
	if (now == h->timing && !(now == TIMING_WRITE && wrote))
		return;
	h->timing = now;
	switch (now) {
	case TIMING_NOTHING:
		timer_cancel(&c->edge->loop, &c->timer);
		return;
	case TIMING_IDLE:
		client_arm_idle(c);
		return;
	case TIMING_HEAD:
		client_arm_head(c);
		return;
	case TIMING_WRITE:
		client_arm_write(c);
		return;
	}
}

void
h2_ready(struct client *c, const char *bytes, size_t len)
{
	struct h2 *h = c->h2;
	uint64_t wrote = 0;
	if (h->turn != c->edge->loop.turns)
		h->cut_short = 0;
	h->turn = c->edge->loop.turns;
	bool good = (len == 0 || feed_first(h, bytes, len)) && read_more(h);
	good = write_all(h, &wrote) && good;
	if (good)
		look_at_streams(h);
	bool over = !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
	if (!good || (over && !c->conn.out.at) || (h->leaving && h->stream_count == 0 && !c->conn.out.at)) {
		if (h->leaving)
			client_close(c);
		else
			client_part(c); /* why, is in the GOAWAY: a reset would take it along */
		return;
	}
	arm(c, wrote > 0);
}

bool
h2_drain(struct client *c)
{
	struct h2 *h = c->h2;
	if (!h->leaving)
		(void)!nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
	h->leaving = true;
	if (h->stream_count)
		write_soon(h);
	return h->stream_count == 0;
}

void
h2_retire(struct client *c)
{
	if (c->h2->leaving)
		return;
	(void)!nghttp2_submit_shutdown_notice(c->h2->session); /* without memory it learns by the end of the connection */
	write_soon(c->h2);
}

void
h2_end(struct client *c)
{
	struct h2 *h = c->h2;
	uint64_t bytes = 0;
	if (h->session && !(c->conn.watch.flags & LOOP_ERROR)) {
		(void)!nghttp2_session_terminate_session(h->session, h->error);
		(void)!write_all(h, &bytes);
	}
	h->reading = true; /* nothing is written any more */
	while (h->streams) {
		struct h2_stream *s = h->streams;
		(void)!nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
		stream_end(s);
	}
	assert(h->unsent == 0);
	head_free(h);
	nghttp2_session_del(h->session);
	vault_free(c->edge->vault, h, sizeof *h);
	c->h2 = NULL;
}
