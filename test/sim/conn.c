#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECEIVE_BYTES = 256 * 1024,
	HEAD_MOST = 64 * 1024,
	STEPS_A_TURN = 64,
};
static const uint64_t BODY_MOST = 256u << 20;
static const uint64_t DRAIN_NS = UINT64_C(2000000000);

static char received[RECEIVE_BYTES];

char *
sim_scratch(size_t bytes)
{
	static char *memory;
	static size_t cap;
	if (bytes > cap) {
		free(memory);
		cap = bytes < 65536 ? 65536 : bytes;
		memory = malloc(cap);
		if (!memory)
			abort();
	}
	return memory;
}

/* ---- buffers ---- */

static void
buffer_add(struct sim_buffer *b, struct span s)
{
	if (!s.len)
		return;
	if (s.len > b->cap - b->len) {
		size_t cap = b->cap * 2 > b->len + s.len ? b->cap * 2 : b->len + s.len;
		b->at = realloc(b->at, cap);
		if (!b->at)
			abort();
		b->cap = cap;
	}
	memcpy(b->at + b->len, s.at, s.len);
	b->len += s.len;
}

static void
buffer_finish(struct sim_buffer *b)
{
	free(b->at);
	*b = (struct sim_buffer){0};
}

/* ---- life ---- */

static void
interest(struct sim_conn *c, bool write)
{
	struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
	if (c->blocked == write)
		return;
	c->blocked = write;
	epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->link.fd, &e);
}

void
sim_conn_open(struct sim_server *s, int fd, struct tls_server *tls)
{
	struct sim_conn *c = calloc(1, sizeof *c);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	if (!c || !link_accept(&c->link, fd, tls))
		abort();
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		link_close(&c->link);
		free(c);
		return;
	}
	c->server = s;
	c->id = ++s->stats.accepted;
	c->wire_left = UINT64_MAX;
	s->stats.open_connections++;
}

static void
destroy(struct sim_conn *c)
{
	if (c->exchange)
		sim_serve_end(c, SIM_NOTE_cancelled);
	sim_wheel_disarm(&c->server->wheel, &c->timer);
	buffer_finish(&c->in);
	buffer_finish(&c->head);
	buffer_finish(&c->body);
	buffer_finish(&c->out);
	if (c->reset)
		link_reset(&c->link);
	else
		link_close(&c->link);
	c->server->stats.open_connections--;
	free(c);
}

/*
 * A close with unread input sends RST, which may overtake the answer: then the end is announced
 * and the rest is read away first.
 */
static void
close_gracefully(struct sim_conn *c)
{
	if (!c->reading_body) {
		c->dead = true;
		return;
	}
	shutdown(c->link.fd, SHUT_WR);
	c->draining = true;
	sim_wheel_arm(&c->server->wheel, &c->timer, c->server->now_ns + DRAIN_NS);
}

/* ---- writing ---- */

static bool
waiting(const struct sim_conn *c)
{
	return c->out_at < c->out.len || link_is_full(&c->link);
}

static void
write_some(struct sim_conn *c)
{
	size_t left = c->out.len - c->out_at, n = c->split && c->split < left ? c->split : left;
	ssize_t sent = link_send(&c->link, n ? c->out.at + c->out_at : NULL, n);
	if (sent < 0) {
		c->dead = true;
		return;
	}
	c->out_at += (size_t)sent;
	if (c->out_at == c->out.len) {
		c->out.len = c->out_at = 0;
		if (c->out.cap > 65536)
			buffer_finish(&c->out);
	}
}

static struct span
within_limit(struct sim_conn *c, struct span s)
{
	if (c->wire_left == UINT64_MAX)
		return s;
	if (s.len > c->wire_left)
		s.len = c->wire_left;
	c->wire_left -= s.len;
	return s;
}

void
sim_conn_out(struct sim_conn *c, struct span s, bool more)
{
	s = within_limit(c, s);
	if (c->dead)
		return;
	if (!more && !c->split && !waiting(c)) {
		ssize_t sent = link_send(&c->link, s.at, s.len);
		if (sent < 0) {
			c->dead = true;
			return;
		}
		s = (struct span){s.at + sent, s.len - (size_t)sent};
	}
	buffer_add(&c->out, s);
	if (!more && !c->split && !c->blocked && waiting(c))
		write_some(c);
}

/* ---- reading ---- */

static void
body_done(struct sim_conn *c)
{
	c->reading_body = false;
	if (!c->discard_body) {
		struct http1_head h;
		enum http1_error error;
		size_t scanned = 0;
		if (http1_request_parse(c->head.at, c->head.len, &scanned, &h, &error) == HTTP1_DONE)
			sim_serve(c, &h, (struct span){c->body.at, c->body.len});
	}
	buffer_finish(&c->head);
	buffer_finish(&c->body);
}

static void
body_keep(struct sim_conn *c, struct span s)
{
	if (c->discard_body)
		return;
	if (c->body.len + s.len > BODY_MOST)
		sim_serve_bad(c, 413, "too large for the simulator");
	else
		buffer_add(&c->body, s);
}

static size_t
read_chunked(struct sim_conn *c, struct span s)
{
	size_t used = 0;
	while (used < s.len && !c->dead) {
		size_t consumed = 0;
		struct span data = {0};
		enum http1_result r = http1_chunked_feed(&c->chunked, s.at + used, s.len - used, &consumed, &data);
		used += consumed;
		if (r == HTTP1_BAD) {
			sim_serve_bad(c, 400, "malformed chunked body");
			return s.len;
		}
		body_keep(c, data);
		if (r == HTTP1_DONE) {
			body_done(c);
			break;
		}
	}
	return used;
}

static size_t
read_body(struct sim_conn *c, struct span s)
{
	if (c->body_chunked)
		return read_chunked(c, s);
	if (s.len > c->body_left)
		s.len = c->body_left;
	c->body_left -= s.len;
	body_keep(c, s);
	if (!c->body_left)
		body_done(c);
	return s.len;
}

static void
await_body(struct sim_conn *c, const struct http1_head *h, struct span head)
{
	c->reading_body = true;
	c->body_chunked = h->chunked;
	c->body_left = h->content_length;
	http1_chunked_init(&c->chunked);
	if (!c->discard_body)
		buffer_add(&c->head, head);
	if (h->expect_continue && !c->discard_body)
		sim_conn_out(c, SPAN("HTTP/1.1 100 Continue\r\n\r\n"), false);
}

static size_t
take_request(struct sim_conn *c, const struct http1_head *h, struct span s)
{
	uint64_t length = h->has_length ? h->content_length : 0;
	bool here = !h->chunked && s.len - h->bytes >= length;
	c->discard_body = sim_serve_early(h);
	if (here || c->discard_body)
		sim_serve(c, h, (struct span){s.at + h->bytes, here ? length : 0});
	if (here)
		return h->bytes + length;
	await_body(c, h, (struct span){s.at, h->bytes});
	return h->bytes;
}

static size_t
read_head(struct sim_conn *c, struct span s)
{
	struct http1_head h;
	enum http1_error error = HTTP1_E_OK;
	switch (http1_request_parse(s.at, s.len, &c->scanned, &h, &error)) {
	case HTTP1_DONE:
		c->scanned = 0;
		return take_request(c, &h, s);
	case HTTP1_MORE:
		if (s.len <= HEAD_MOST)
			return 0;
		sim_serve_bad(c, 431, "head too large");
		return s.len;
	case HTTP1_BAD:
		sim_serve_bad(c, 400, "malformed request head");
		return s.len;
	}
	return 0;
}

static size_t
read_session(struct sim_conn *c, struct span s)
{
	if (c->exchange->state != SIM_EXCHANGE_SOCKET)
		return 0;
	sim_realtime_feed(c, s);
	return s.len;
}

/* Parses until the input ends or an exchange is under way: one at a time, in order. */
static size_t
consume(struct sim_conn *c, struct span s)
{
	size_t used = 0;
	while (used < s.len && !c->dead && !c->draining && !c->closing) {
		struct span rest = {s.at + used, s.len - used};
		size_t n = c->reading_body ? read_body(c, rest) : c->exchange ? read_session(c, rest)
																	  : read_head(c, rest);
		if (!n)
			break;
		used += n;
	}
	return c->draining || c->closing ? s.len : used;
}

static void
feed(struct sim_conn *c, struct span s)
{
	if (!c->in.len) {
		size_t used = consume(c, s);
		buffer_add(&c->in, (struct span){s.at + used, s.len - used});
		return;
	}
	buffer_add(&c->in, s);
	size_t used = consume(c, (struct span){c->in.at, c->in.len});
	c->in.len -= used;
	memmove(c->in.at, c->in.at + used, c->in.len);
	if (!c->in.len)
		buffer_finish(&c->in);
}

/* ---- the turn of one connection ---- */

static void
cut(struct sim_conn *c)
{
	c->reset = c->exchange && c->exchange->run.script.reset > 0;
	if (c->exchange)
		sim_serve_end(c, SIM_NOTE_cut);
	if (c->reset)
		c->dead = true;
	else
		close_gracefully(c);
}

/*
 * What the exchange can do now that nothing waits to be written. False: nothing more in this
 * turn.
 */
static bool
exchange_turn(struct sim_conn *c)
{
	uint64_t at_ns = 0;
	switch (c->exchange->state) {
	case SIM_EXCHANGE_DELAYED:
	case SIM_EXCHANGE_HUNG:
		return false;
	case SIM_EXCHANGE_STREAMING:
		if (sim_serve_step(c, &at_ns))
			return true;
		sim_wheel_arm(&c->server->wheel, &c->timer, at_ns);
		return false;
	case SIM_EXCHANGE_SOCKET:
		if (sim_realtime_step(c, &at_ns))
			return true;
		if (at_ns)
			sim_wheel_arm(&c->server->wheel, &c->timer, at_ns);
		return false;
	case SIM_EXCHANGE_SAID:
		sim_serve_end(c, SIM_NOTE_done);
		if (c->close_after) {
			link_end(&c->link);
			c->closing = true;
		}
		return true;
	}
	return false;
}

static bool
idle_turn(struct sim_conn *c)
{
	size_t before = c->in.len;
	if (!before)
		return false;
	feed(c, (struct span){NULL, 0});
	return c->in.len < before;
}

static bool
output_turn(struct sim_conn *c)
{
	if (!c->split || link_is_full(&c->link)) {
		interest(c, true);
		return false;
	}
	if (c->piece_due) {
		c->piece_due = false;
		write_some(c);
		return true;
	}
	sim_wheel_arm(&c->server->wheel, &c->timer, c->server->now_ns + SIM_WHEEL_TICK_NS);
	return false;
}

static bool
one_turn(struct sim_conn *c)
{
	if (c->dead || c->draining)
		return false;
	if (waiting(c))
		return output_turn(c);
	interest(c, false);
	if (c->closing) {
		close_gracefully(c);
		return false;
	}
	if (!c->wire_left) {
		cut(c);
		return false;
	}
	return c->exchange ? exchange_turn(c) : idle_turn(c);
}

static void
advance(struct sim_conn *c)
{
	int steps = 0;
	while (steps < STEPS_A_TURN && one_turn(c))
		steps++;
	if (c->dead)
		destroy(c);
	else if (steps == STEPS_A_TURN)
		sim_wheel_arm(&c->server->wheel, &c->timer, c->server->now_ns);
}

static void
count_handshake(struct sim_conn *c)
{
	c->server->stats.handshakes++;
	c->server->stats.resumed += tls_was_resumed(c->link.tls);
}

static void
receive(struct sim_conn *c)
{
	ssize_t n;
	do {
		bool was_ready = link_is_ready(&c->link);
		n = link_receive(&c->link, received, sizeof received);
		if (!was_ready && link_is_ready(&c->link))
			count_handshake(c);
		if (n < 0)
			c->dead = true;
		else if (n > 0 && !c->draining)
			feed(c, (struct span){received, (size_t)n});
	} while (n > 0 && !c->dead && link_has_more(&c->link));
}

void
sim_conn_event(struct sim_conn *c, uint32_t events)
{
	if (events & EPOLLOUT && waiting(c))
		write_some(c);
	if (events & ~(uint32_t)EPOLLOUT && !c->dead)
		receive(c);
	advance(c);
}

void
sim_conn_timer(struct sim_conn *c)
{
	if (c->draining)
		c->dead = true;
	else if (c->exchange && c->exchange->state == SIM_EXCHANGE_DELAYED)
		sim_serve_begin(c);
	else
		c->piece_due = true;
	advance(c);
}
