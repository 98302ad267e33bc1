#include "edge/h2_up.h"

#include "edge/connect.h"
#include "edge/h2.h"
#include "edge/h2_priv.h"
#include "edge/object.h"
#include "edge/relay.h"
#include "edge/stored.h"
#include "edge/upload.h"

#include <assert.h>

enum { HEAD_MAX = 32 << 10,
	END_MS = 5000 }; /* a stream whose answer is whole has so long to end */

struct h2_up {
	struct upstream *connection;
	nghttp2_session *session;
	struct h2_up_stream *streams;
	struct h2_allowance idle_frames;
	struct timer pulse; /* while there are streams */
	uint64_t heard_ms; /* when something came last */
	uint64_t asked_ms; /* whether it is there still; 0: not since it was heard */
	uint32_t stream_count;
	uint32_t holding; /* streams whose client does not take what has come */
	uint32_t wide_count; /* streams with a wide window */
	uint32_t error; /* why it ends: NGHTTP2_… */
	bool busy; /* within nghttp2: what is said now is written afterwards */
	bool settled; /* the provider has said how many streams it takes; until then there is one */
	bool leaving; /* no new streams: it ends with its last one */
};

struct h2_up_stream {
	struct upstream up; /* first: what its exchange sees */
	struct deferred deferred;
	struct h2_up *h2;
	struct h2_up_stream *next, **link;
	int32_t id;
	char *head; /* of the answer, as HTTP/1.1 would have said it */
	uint32_t head_len;
	char *held; /* body that the client does not take yet */
	uint32_t held_len, held_cap;
	bool sent; /* the provider may have seen the request */
	bool asked; /* all of the request is said */
	bool answered; /* its head has been passed on */
	bool ended; /* nothing follows what is kept */
	bool broken; /* it was cut */
	bool gone; /* closed: nghttp2 does not know it any more */
	bool freed;
	bool too_large; /* the head */
	bool wide; /* its window */
	uint32_t passed; /* bytes that the client took since */
	uint64_t counted_ms; /* … then */
};

static struct h2_up_stream *
stream_of(struct upstream *u)
{
	assert(u->is_stream);
	return container_of(u, struct h2_up_stream, up);
}

static void
write_soon(struct h2_up *h)
{
	if (!h->busy)
		loop_again(&h->connection->edge->loop, &h->connection->conn.watch);
}

/* ---- windows ---- */

/* As long as our settings are not acknowledged, the window is another's, and is going to change by itself. */
static bool
windows_are_ours(const struct h2_up *h)
{
	return nghttp2_session_get_local_settings(h->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) == H2_UP_STREAM_WINDOW;
}

/* A window can't be taken back, but what is read of it isn't given again until it has become narrow. */
static void
set_window(struct h2_up_stream *s, bool wide)
{
	struct h2_up *h = s->h2;
	if (s->wide == wide || s->gone || (wide && h->wide_count == H2_UP_WIDE_MAX) || !windows_are_ours(h))
		return;
	if (nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, s->id, wide ? H2_UP_WIDE_WINDOW : H2_UP_STREAM_WINDOW) != 0)
		return;
	s->wide = wide;
	h->wide_count += wide ? 1 : UINT32_MAX;
}

/* Has what was taken last come as quickly as it has to for a wide window? */
static bool
is_quick(const struct h2_up_stream *s)
{
	return s->up.edge->loop.now_ms - s->counted_ms <= H2_UP_QUICK_MS;
}

/* So many bytes of its answer have found their place. */
static void
passed(struct h2_up_stream *s, size_t len)
{
	if (!s->gone)
		(void)!nghttp2_session_consume_stream(s->h2->session, s->id, len);
	s->passed += (uint32_t)len;
	if (s->passed < H2_UP_QUICK_BYTES)
		return;
	set_window(s, is_quick(s));
	s->counted_ms = s->up.edge->loop.now_ms;
	s->passed = 0;
}

/* ---- streams ---- */

static void
stream_bury(struct deferred *d, void *arg)
{
	struct h2_up_stream *s = container_of(d, struct h2_up_stream, deferred);
	vault_free(s->up.edge->vault, s, sizeof *s);
}

static void
head_free(struct h2_up_stream *s)
{
	if (s->head)
		vault_free_dirty(s->up.edge->vault, s->head, HEAD_MAX, s->head_len);
	s->head = NULL;
	s->head_len = 0;
}

static void
held_free(struct h2_up_stream *s)
{
	s->h2->holding -= s->held_len > 0;
	vault_free_dirty(s->up.edge->vault, s->held, s->held_cap, s->held_len);
	s->held = NULL;
	s->held_len = s->held_cap = 0;
}

/* When nghttp2 has let go of it (or never knew it), and its exchange too. The memory lasts until the turn is over. */
static void
free_if_over(struct h2_up_stream *s)
{
	struct edge *e = s->up.edge;
	if (s->freed || s->up.x || !(s->gone || s->id < 0))
		return;
	s->freed = true;
	timer_cancel(&e->loop, &s->up.timer);
	head_free(s);
	held_free(s);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->h2->stream_count--;
	s->h2->wide_count -= s->wide;
	if (s->h2->stream_count == 0)
		upstream_arm_idle(s->h2->connection);
	loop_defer(&e->loop, &s->deferred, stream_bury);
}

/* ---- is it there still? ---- */

/*
 * A connection that went without a word takes everything that is asked, and answers nothing: TCP tells after a quarter of an hour. So who has been silent is
 * asked, and closed without an answer; its streams end as with any connection that breaks, and what comes next takes another.
 */
static void
feel_pulse(struct timer *t)
{
	struct h2_up *h = container_of(t, struct h2_up, pulse);
	struct upstream *c = h->connection;
	struct edge *e = c->edge;
	uint64_t now = e->loop.now_ms;
	if (h->stream_count == 0)
		return;
	if (h->asked_ms) {
		edge_report(e, EVENT_PROVIDER_UNREACHABLE, catalogue_provider(e->p->catalogue, c->provider)->id, CONNECT_TIMEOUT);
		upstream_close(c);
		return;
	}
	if (now - h->heard_ms < H2_UP_QUIET_MS) {
		timer_arm(&e->loop, t, h->heard_ms + H2_UP_QUIET_MS, feel_pulse);
		return;
	}
	h->asked_ms = now;
	(void)!nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL); /* without memory it is taken for dead, which it is for us */
	write_soon(h);
	timer_arm(&e->loop, t, now + H2_UP_PULSE_MS, feel_pulse);
}

static void
heard(struct h2_up *h)
{
	struct edge *e = h->connection->edge;
	h->heard_ms = e->loop.now_ms;
	if (!h->asked_ms)
		return;
	h->asked_ms = 0;
	timer_arm(&e->loop, &h->pulse, h->heard_ms + H2_UP_QUIET_MS, feel_pulse);
}

static bool
has_room(const struct h2_up *h)
{
	uint32_t most = h->settled ? nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) : 1;
	return !h->leaving && h->stream_count < (most < H2_UP_STREAMS_MAX ? most : H2_UP_STREAMS_MAX) && nghttp2_session_check_request_allowed(h->session);
}

struct upstream *
h2_up_stream(struct edge *e, uint32_t provider)
{
	struct upstream *c = e->pool[provider].h2;
	while (c && !has_room(c->h2))
		c = c->next;
	struct h2_up_stream *s = c ? vault_alloc(e->vault, sizeof *s) : NULL;
	if (!s)
		return NULL;
	s->up.edge = e;
	s->up.provider = provider;
	s->up.is_stream = true;
	s->up.conn.watch.fd = -1;
	s->h2 = c->h2;
	s->id = -1;
	s->next = s->h2->streams;
	s->link = &s->h2->streams;
	if (s->next)
		s->next->link = &s->next;
	s->h2->streams = s;
	if (s->h2->stream_count++ == 0)
		heard(s->h2); /* nobody has listened for a while */
	if (!s->h2->pulse.link)
		timer_arm(&e->loop, &s->h2->pulse, e->loop.now_ms + H2_UP_QUIET_MS, feel_pulse);
	timer_cancel(&e->loop, &c->timer);
	return &s->up;
}

/* ---- asking ---- */

/* Is there something that can still be said for it? Not when it was answered before it was asked to the end: the answer comes, and then the stream is reset. */
static struct exchange *
asking(const struct h2_up_stream *s)
{
	struct exchange *x = s->up.x;
	return x && x->req && x->step == STEP_SEND ? x : NULL;
}

/* How much goes into the next frame: from there it is taken by write_request() at once, or when there is room to write again. */
static ssize_t
more_of_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	const struct exchange *x = asking(source->ptr);
	if (!x)
		return NGHTTP2_ERR_DEFERRED;
	const struct request *r = x->req;
	uint64_t left = (r->upload ? upload_ready(r) : r->total) - r->sent;
	if (left == 0 && r->sent < r->total)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY | (left <= most && r->sent + left == r->total ? NGHTTP2_DATA_FLAG_EOF : 0);
	return (ssize_t)(left < most ? left : most);
}

static int
write_request(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source, void *arg)
{
	struct h2_up_stream *s = source->ptr;
	struct exchange *x = asking(s);
	if (!x || x->req->total - x->req->sent < len) /* it ended while this frame waited for room */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	char *to = h2_gather(x->edge, head, len);
	if (!to)
		return NGHTTP2_ERR_WOULDBLOCK;
	send_copy(x, to, len);
	x->deadline_ms = x->edge->loop.now_ms + x->edge->p->timeouts.between_bytes;
	if (x->req->sent == x->req->total) {
		s->asked = true;
		exchange_step(x, STEP_AWAIT);
	} else
		upload_went(x);
	return 0;
}

void
h2_up_more(struct exchange *x)
{
	struct h2_up_stream *s = stream_of(x->up);
	(void)!nghttp2_session_resume_data(s->h2->session, s->id); /* fails when nothing is deferred: then it goes on by itself */
	write_soon(s->h2);
}

void
h2_up_send(struct exchange *x, struct span head)
{
	struct h2_up_stream *s = stream_of(x->up);
	const nghttp2_data_provider provider = {.source.ptr = s, .read_callback = more_of_request};
	nghttp2_nv fields[H2_FIELDS_OUT];
	size_t count = h2_request_fields(head, fields);
	exchange_step(x, STEP_SEND);
	bool bodiless = object_is_bodiless(x); /* the head ends what is asked: no empty frame follows, which some take for a body */
	s->id = nghttp2_submit_request(s->h2->session, NULL, fields, count, bodiless ? NULL : &provider, s);
	if (s->id < 0) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	if (bodiless) {
		s->asked = true;
		exchange_step(x, STEP_AWAIT);
	}
	write_soon(s->h2);
}

/* ---- what comes ---- */

static bool
hold(struct h2_up_stream *s, const char *bytes, size_t len)
{
	struct edge *e = s->up.edge;
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
	if (s->wide && !is_quick(s))
		set_window(s, false);
	s->h2->holding += s->held_len == 0 && len;
	s->held_len += (uint32_t)len;
	return true;
}

static bool
takes_more(const struct exchange *x)
{
	return x->step == STEP_RELAY && !(x->client && reply_is_full(x->client)) && !stored_waits(x) && !relay_is_paused(x);
}

/* Of so many bytes: a client's box is not filled beyond its bound. */
static size_t
taken_at_once(const struct exchange *x, size_t len)
{
	size_t most = reply_read_most(x->client);
	most = most < H2_FRAME_MAX ? most : H2_FRAME_MAX;
	return len < most ? len : most;
}

/* The answer's end, or what is left of a stream that broke. */
static void
push_end(struct h2_up_stream *s)
{
	struct exchange *x = s->up.x;
	if (!x || s->held_len || !(s->ended || s->broken))
		return;
	if (x->step == STEP_RELAY)
		relay_push_end(x, s->broken);
	else if (s->broken && x->step >= STEP_SEND && x->step <= STEP_AWAIT)
		await_answer(x, x->edge->in, 0, true);
}

void
h2_up_pull(struct upstream *u)
{
	struct h2_up_stream *s = stream_of(u);
	struct exchange *x = u->x;
	uint32_t at = 0;
	while (x && at < s->held_len && takes_more(x)) {
		uint32_t len = (uint32_t)taken_at_once(x, s->held_len - at);
		relay_push_bytes(x, s->held + at, len);
		at += len;
		x = u->x; /* it may have ended, and with it what was kept */
	}
	if (at == 0 || !x) {
		push_end(s);
		return;
	}
	passed(s, at);
	if (at == s->held_len)
		held_free(s);
	else {
		memmove(s->held, s->held + at, s->held_len - at);
		explicit_bzero(s->held + s->held_len - at, at);
		s->held_len -= at;
	}
	push_end(s);
	write_soon(s->h2);
}

void
h2_up_wake(struct upstream *u)
{
	struct h2_up_stream *s = stream_of(u);
	loop_again(&u->edge->loop, &s->h2->connection->conn.watch);
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *arg)
{
	struct h2_up *h = arg;
	struct h2_up_stream *s = nghttp2_session_get_stream_user_data(session, id);
	struct exchange *x = s ? s->up.x : NULL;
	/* A client that does not read closes its own stream's window, never that of the connection. */
	(void)!nghttp2_session_consume_connection(session, len);
	count_add(h->connection->edge->p->counters, bytes_from_providers, len);
	while (x && len && !s->held_len && takes_more(x)) {
		size_t n = taken_at_once(x, len);
		relay_push_bytes(x, (const char *)bytes, n);
		passed(s, n);
		bytes += n;
		len -= n;
		x = s->up.x; /* it may have ended */
	}
	if (x && len && !hold(s, (const char *)bytes, len))
		exchange_end(x, END_OVERLOADED);
	return 0;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_up_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s || s->answered)
		return 0;
	if (!s->head)
		s->head = vault_alloc(s->up.edge->vault, HEAD_MAX);
	s->head_len = 0;
	return s->head ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void
add(struct h2_up_stream *s, const char *bytes, size_t len)
{
	if (s->head_len + len > HEAD_MAX - 2)
		s->too_large = true;
	else {
		memcpy(s->head + s->head_len, bytes, len);
		s->head_len += (uint32_t)len;
	}
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2_up_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
	if (!s || s->answered || !s->head) /* trailers mean nothing here */
		return 0;
	if (n.len == 7 && memcmp(n.base, ":status", 7) == 0) {
		add(s, "HTTP/1.1 ", 9);
		add(s, (const char *)v.base, v.len);
		add(s, " ", 1);
	} else {
		add(s, (const char *)n.base, n.len);
		add(s, ": ", 2);
		add(s, (const char *)v.base, v.len);
	}
	add(s, "\r\n", 2);
	return 0;
}

/* One parser of heads, as for requests (h2.c). Names and values hold no line's end: nghttp2 has seen to it. */
static void
head_complete(struct h2_up_stream *s)
{
	struct exchange *x = s->up.x;
	if (!x || s->answered || !s->head)
		return;
	if (s->too_large) {
		route_fail(x, ROUTE_MALFORMED, END_PROVIDER_MALFORMED);
		return;
	}
	memcpy(s->head + s->head_len, "\r\n", 2);
	s->head_len += 2;
	s->answered = s->head[9] != '1'; /* an interim answer is followed by another head */
	s->counted_ms = s->up.edge->loop.now_ms;
	await_answer(x, s->head, s->head_len, false);
	head_free(s);
}

static int
enough(struct h2_up *h)
{
	nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_up *h = arg;
	struct h2_up_stream *s = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	uint64_t now = h->connection->edge->loop.now_ms;
	/* Providers send a window for what they take, so more than clients: it costs us nothing but the look. */
	if (h2_moves_nothing(frame) && frame->hd.type != NGHTTP2_WINDOW_UPDATE && !h2_spend(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, now))
		return enough(h);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h->leaving = true;
	if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK) && !h->settled) {
		h->settled = true;
		connect_in_streams(h->connection->edge, h->connection->provider);
	}
	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		head_complete(s);
	if (end && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
		s->ended = true;
		push_end(s);
	}
	return 0;
}

/* Of a type that nobody knows: passed over (RFC 9113 5.5), but not for ever. */
static int
on_unknown(nghttp2_session *session, void **payload, const nghttp2_frame_hd *frame, void *arg)
{
	struct h2_up *h = arg;
	if (!h2_spend(&h->idle_frames, H2_IDLE_FRAMES, H2_IDLE_FRAMES_SECOND, h->connection->edge->loop.now_ms))
		(void)enough(h);
	return NGHTTP2_ERR_CANCEL;
}

/* It was never looked at (RFC 9113 8.7): whoever asks again asks the first time. */
static bool
ask_again(struct h2_up_stream *s, uint32_t error)
{
	struct exchange *x = s->up.x;
	if (error != NGHTTP2_REFUSED_STREAM || x->step > STEP_AWAIT || !x->req || x->route.fresh || x->interim || !x->client || upload_has_left(x))
		return false;
	x->route.fresh = true;
	s->up.x = NULL;
	x->up = NULL;
	x->req->sent = 0;
	connect_upstream(x);
	return true;
}

static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_up_stream *s = frame->hd.type == NGHTTP2_HEADERS ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	if (s)
		s->sent = true;
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2_up_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (!s)
		return 0;
	s->gone = true;
	s->broken = !s->ended;
	if (s->up.x && !ask_again(s, error))
		push_end(s);
	free_if_over(s);
	return 0;
}

static void
break_off(struct h2_up_stream *s)
{
	(void)!nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	write_soon(s->h2);
}

/* The length was said and has come, but the end has not. */
static void
stream_late(struct timer *t)
{
	break_off(stream_of(container_of(t, struct upstream, timer)));
}

void
h2_up_release(struct upstream *u, bool whole)
{
	struct h2_up_stream *s = stream_of(u);
	u->x = NULL;
	free_if_over(s);
	if (s->freed)
		return;
	held_free(s);
	if (!s->asked || (!s->ended && !whole))
		break_off(s);
	else if (!s->ended)
		timer_arm(&u->edge->loop, &u->timer, u->edge->loop.now_ms + END_MS, stream_late);
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
	nghttp2_session_callbacks_set_send_data_callback(all, write_request);
	nghttp2_session_callbacks_set_on_frame_send_callback(all, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(all, on_stream_close);
	nghttp2_session_callbacks_set_unpack_extension_callback(all, on_unknown);
	return all;
}

static nghttp2_option *
options(void)
{
	static nghttp2_option *all;
	if (all || nghttp2_option_new(&all) != 0)
		return all;
	nghttp2_option_set_no_auto_window_update(all, 1);
	nghttp2_option_set_no_closed_streams(all, 1);
	nghttp2_option_set_max_outbound_ack(all, 100);
	nghttp2_option_set_max_settings(all, 32);
	nghttp2_option_set_peer_max_concurrent_streams(all, H2_UP_STREAMS_MAX);
	h2_count_unknown(all);
	return all;
}

bool
h2_up_begin(struct upstream *c)
{
	struct edge *e = c->edge;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_UP_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX},
	};
	struct h2_up *h = h2_prepare(e) ? vault_alloc(e->vault, sizeof *h) : NULL;
	nghttp2_mem memory = h2_memory(e);
	if (!h)
		return false;
	h->connection = c;
	h->idle_frames = (struct h2_allowance){H2_IDLE_FRAMES, e->loop.now_ms};
	c->h2 = h;
	if (!callbacks() || !options() || nghttp2_session_client_new3(&h->session, callbacks(), h, options(), &memory) != 0)
		return false;
	upstream_share(c);
	upstream_arm_idle(c); /* until its first stream */
	loop_again(&e->loop, &c->conn.watch);
	return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0 &&
		nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, H2_UP_CONNECTION_WINDOW) == 0;
}

static bool
read_more(struct h2_up *h)
{
	enum { READS_A_TURN = 4 };
	struct upstream *c = h->connection;
	struct edge *e = c->edge;
	char *in = e->read->bytes;
	for (int i = 0; i < READS_A_TURN && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR); i++) {
		ssize_t n = conn_read(e, &c->conn, in, BLOCK_READ);
		if (n == CONN_NOTHING)
			return true;
		if (n < 0)
			return false;
		heard(h);
		h->busy = true;
		ssize_t fed = nghttp2_session_mem_recv(h->session, (const uint8_t *)in, (size_t)n);
		h->busy = false;
		explicit_bzero(in, (size_t)n);
		if (fed != n) {
			h->error = fed == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
			return false;
		}
	}
	if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR))
		loop_again(&e->loop, &c->conn.watch);
	return true;
}

static bool
write_all(struct h2_up *h)
{
	struct edge *e = h->connection->edge;
	uint64_t bytes;
	h->busy = true; /* streams may close in here, too */
	bool good = h2_write(e, &h->connection->conn, h->session, &bytes);
	h->busy = false;
	count_add(e->p->counters, bytes_to_providers, bytes);
	return good;
}

/* Clients that have made room are told by nobody else. */
static void
look_at_streams(struct h2_up *h)
{
	if (!h->holding)
		return;
	for (struct h2_up_stream *s = h->streams, *next; s; s = next) {
		next = s->next;
		if (s->up.x && s->held_len && takes_more(s->up.x))
			h2_up_pull(&s->up);
	}
}

void
h2_up_ready(struct upstream *c)
{
	struct h2_up *h = c->h2;
	bool good = read_more(h);
	if (good)
		look_at_streams(h);
	good = good && write_all(h); /* what was not sent on a broken connection may be sent on another */
	bool over = !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
	if (!good || (over && !c->conn.out.at) || (h->leaving && h->stream_count == 0))
		upstream_close(c);
}

/* The connection is gone: what is kept, a window's worth, goes to the client's own box, and then the answer ends as it is. */
static void
stream_end(struct h2_up_stream *s)
{
	s->gone = true;
	s->broken = !s->ended;
	if (s->up.x && !s->sent)
		(void)ask_again(s, NGHTTP2_REFUSED_STREAM);
	for (uint32_t at = 0; s->up.x && at < s->held_len && s->up.x->step == STEP_RELAY; at += H2_FRAME_MAX)
		relay_push_bytes(s->up.x, s->held + at, s->held_len - at < H2_FRAME_MAX ? s->held_len - at : H2_FRAME_MAX);
	held_free(s);
	push_end(s);
	if (s->up.x)
		exchange_end(s->up.x, END_PROVIDER_CUT);
	free_if_over(s);
}

void
h2_up_end(struct upstream *c)
{
	struct h2_up *h = c->h2;
	timer_cancel(&c->edge->loop, &h->pulse);
	h->leaving = true;
	if (h->session && !(c->conn.watch.flags & LOOP_ERROR)) {
		(void)!nghttp2_session_terminate_session(h->session, h->error);
		(void)!write_all(h);
	}
	h->busy = true;
	while (h->streams) {
		struct h2_up_stream *s = h->streams;
		if (s->id >= 0)
			(void)!nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
		stream_end(s);
	}
	assert(h->holding == 0);
	nghttp2_session_del(h->session);
	vault_free(c->edge->vault, h, sizeof *h);
	c->h2 = NULL;
}
