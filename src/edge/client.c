#include "edge/edge_priv.h"

#include "edge/door.h"
#include "edge/duplex.h"
#include "edge/h2.h"
#include "edge/linger.h"
#include "edge/receipt_inline.h"
#include "edge/upload.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void client_ready(struct watch *w);
static void client_late(struct timer *t);

static void
client_bury(struct deferred *d, void *arg)
{
	struct client *c = container_of(d, struct client, deferred);
	vault_free(c->edge->vault, c, sizeof *c);
}

void
client_drop_pending(struct client *c)
{
	vault_free_dirty(c->edge->vault, c->pending, c->pending_cap, c->pending_len);
	c->pending = NULL;
	c->pending_len = c->pending_cap = 0;
	c->scanned = 0;
	c->incomplete = false;
}

void
client_close(struct client *c)
{
	struct edge *e = c->edge;
	if (c->conn.watch.fd < 0)
		return;
	if (c->h2)
		h2_end(c);
	timer_cancel(&e->loop, &c->timer);
	conn_close(e, &c->conn);
	client_drop_pending(c);
	visitor_leave(c->visitor);
	vault_free(e->vault, c->proxy, sizeof *c->proxy);
	c->proxy = NULL;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	e->connections--;
	count_add(e->p->counters, connections_open, -1);
	loop_defer(&e->loop, &c->deferred, client_bury);
}

static bool
client_open(struct client *c, int fd, const struct arrival *a)
{
	struct edge *e = c->edge;
	c->tls_follows = a->tls;
	if (a->proxied) {
		c->proxy = vault_alloc(e->vault, sizeof *c->proxy);
		if (!c->proxy)
			return false;
		proxy2_init(c->proxy);
	}
	return conn_open(e, &c->conn, fd, client_ready);
}

bool
client_adopt(struct edge *e, int fd, const struct arrival *a)
{
	struct client *c = vault_alloc(e->vault, sizeof *c);
	if (!c)
		return false;
	c->edge = e;
	c->loopback = a->loopback;
	c->trusted = a->trusted;
	if (!client_open(c, fd, a)) {
		vault_free(e->vault, c->proxy, sizeof *c->proxy);
		vault_free(e->vault, c, sizeof *c);
		return false;
	}
	c->visitor = a->visitor;
	c->address = a->address;
	c->next = e->clients;
	c->link = &e->clients;
	if (c->next)
		c->next->link = &c->next;
	e->clients = c;
	e->connections++;
	count_add(e->p->counters, connections_accepted, 1);
	count_add(e->p->counters, connections_open, 1);
	timer_arm(&e->loop, &c->timer, e->loop.now_ms + e->p->timeouts.head, client_late);
	return true;
}

/* The socket is broken or gone: whoever works for it is told first. */
static void
client_lost(struct client *c)
{
	if (c->x)
		exchange_client_gone(c->x);
	client_close(c);
}

/* Everything is written. */
static void
client_finish(struct client *c)
{
	if (c->linger)
		linger(c);
	else
		client_close(c);
}

void
client_part(struct client *c)
{
	if (c->h2)
		h2_end(c);
	c->linger = !c->conn.out.at && !(c->conn.watch.flags & (LOOP_ERROR | LOOP_HANGUP));
	client_finish(c);
}

void
client_send(struct client *c, struct iovec *parts, int count)
{
	struct edge *e = c->edge;
	uint64_t bytes;
	enum wrote r = conn_write(e, &c->conn, parts, count, &bytes);
	count_add(e->p->counters, bytes_to_clients, bytes);
	if (r == WROTE_BROKEN)
		client_lost(c);
	else if (r == WROTE_SOME && (bytes || !c->timer.link))
		client_arm_write(c);
}

void
client_arm_write(struct client *c)
{
	timer_arm(&c->edge->loop, &c->timer, c->edge->loop.now_ms + c->edge->p->timeouts.client_write, client_late);
}

enum { RETIRE_IDLE_MS = 5000 };

static uint32_t
idle_ms(const struct edge *e)
{
	return e->retiring && e->p->timeouts.idle > RETIRE_IDLE_MS ? RETIRE_IDLE_MS : e->p->timeouts.idle;
}

void
client_arm_head(struct client *c)
{
	timer_arm(&c->edge->loop, &c->timer, c->edge->loop.now_ms + c->edge->p->timeouts.head, client_late);
}

void
client_arm_idle(struct client *c)
{
	timer_arm(&c->edge->loop, &c->timer, c->edge->loop.now_ms + idle_ms(c->edge), client_late);
}

void
client_retire(struct client *c)
{
	bool idle = !c->x && !c->conn.out.at && !c->pending_len && !c->closing && !c->lingering;
	if (c->h2)
		h2_retire(c);
	if (idle && c->timer.link && c->timer.at_ms > c->edge->loop.now_ms + idle_ms(c->edge))
		client_arm_idle(c);
}

/* The outbox has room again. */
static void
client_writable(struct client *c)
{
	if (!c->conn.out.at)
		return;
	client_send(c, NULL, 0);
	if (c->conn.watch.fd < 0 || c->conn.out.at)
		return;
	if (c->conn.tls && !c->conn.shaken) /* it was ours of the handshake, which has no more time for that */
		return;
	timer_cancel(&c->edge->loop, &c->timer);
	if (c->x) { /* what was kept may end its exchange, which then has said how it goes on here; or the client is lost */
		receipt_inline_more(c->x);
		if (c->conn.watch.fd < 0 || !c->x || c->conn.out.at)
			return;
	}
	if (c->x && c->x->up)
		relay_read(c->x);
	else if (!c->x && c->closing)
		client_finish(c);
	else if (!c->x)
		client_next(c, true);
}

/* ---- reading heads ---- */

static const struct refusal {
	uint16_t status;
	const char *message;
} refusals[] = {
#define X(name, status, text) {status, text},
	HTTP1_ERRORS(X)
#undef X
};

static void
head_refused(struct client *c, enum http1_error error)
{
	count_add(c->edge->p->counters, ended[END_BAD_HTTP], 1);
	c->linger = true; /* it may be in the middle of sending: a reset would take the answer with it */
	answer_text(c, refusals[error].status, "bad_http", refusals[error].message);
}

void
client_keep_rest(struct client *c, const char *bytes, size_t len)
{
	struct edge *e = c->edge;
	if (len == 0)
		return;
	assert(!c->pending);
	c->pending_cap = (uint32_t)vault_block_bytes(len);
	c->pending = vault_alloc(e->vault, c->pending_cap);
	if (!c->pending) {
		c->pending_cap = 0;
		c->closing = c->linger = true; /* no memory: after this exchange the connection ends */
		return;
	}
	memcpy(c->pending, bytes, len);
	c->pending_len = (uint32_t)len;
}

/* Whatever is configured: an incomplete head and one more read fit the scratch. */
static size_t
head_limit(const struct edge *e)
{
	return e->p->limits.head_bytes < READ_BYTES ? e->p->limits.head_bytes : READ_BYTES;
}

static void
wait_for_rest(struct client *c, const char *bytes, size_t len)
{
	client_keep_rest(c, bytes, len);
	c->incomplete = true;
	if (c->closing) /* no memory to wait with */
		answer_overloaded(c, DIALECT_OPENAI);
	else if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)) /* what has been reported already won't be again */
		loop_again(&c->edge->loop, &c->conn.watch);
}

static void
client_input(struct client *c, const char *bytes, size_t len)
{
	struct edge *e = c->edge;
	enum http1_error error = HTTP1_E_OK;
	switch (http1_request_parse(bytes, len, &c->scanned, &e->head, &error)) {
	case HTTP1_BAD:
		head_refused(c, error);
		return;
	case HTTP1_MORE:
		if (len >= head_limit(e)) {
			head_refused(c, HTTP1_E_HEAD_TOO_LARGE);
			return;
		}
		wait_for_rest(c, bytes, len);
		return;
	case HTTP1_DONE:
		c->scanned = 0;
		c->late = false;
		timer_cancel(&e->loop, &c->timer);
		if (e->head.bytes > head_limit(e))
			head_refused(c, HTTP1_E_HEAD_TOO_LARGE);
		else
			read_head(c, bytes, len);
		return;
	}
}

/* Somebody who speaks HTTP to a port of TLS gets an answer that they can read; everybody else is gone. */
static void
client_ended(struct client *c)
{
	if (!c->conn.tls || c->conn.shaken || tls_flaw(c->conn.tls) != TLS_FLAW_PLAIN_HTTP) {
		client_close(c);
		return;
	}
	conn_drop_tls(c->edge, &c->conn);
	count_add(c->edge->p->counters, ended[END_BAD_HTTP], 1);
	c->linger = true;
	answer_text(c, 400, "https_expected", "This port speaks TLS: write https:// instead of http://.");
}

static bool
is_h2(const struct client *c)
{
	return c->conn.tls && c->conn.shaken && tls_is_h2(c->conn.tls);
}

/*
 * What was kept and, when that is known to be no whole request, what the socket has, together at *ret_at. 0: nothing to look at. So
 * what was pipelined is answered before its sender's end is seen, and doesn't grow by a read with each request that is taken away.
 */
static size_t
client_gather(struct client *c, char **ret_at)
{
	struct edge *e = c->edge;
	size_t have = c->pending_len, scanned = c->scanned;
	char *at = *ret_at = have ? e->in : e->read->bytes;
	if (!edge_has_room(e)) { /* read when a segment has come: turn_end looks */
		e->thirsty = true;
		return 0;
	}
	if (have)
		memcpy(at, c->pending, have);
	edge_in_used(e, have);
	ssize_t n = 0;
	if ((!have || c->incomplete) && have < head_limit(e) && c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)) {
		n = conn_read(e, &c->conn, at + have, have ? READ_BYTES : is_h2(c) ? H2_LOOK : BLOCK_READ);
		if (n < 0) {
			client_ended(c);
			return 0;
		}
		count_add(e->p->counters, bytes_from_clients, n);
	}
	if (have)
		edge_in_used(e, have + (size_t)n);
	else if (n > e->read->len)
		e->read->len = (uint32_t)n;
	client_drop_pending(c);
	c->scanned = scanned;
	if (scanned == 0 && have + (size_t)n > 0) /* the first byte of a head, maybe one that was pipelined: from now on it has its time */
		timer_arm(&e->loop, &c->timer, e->loop.now_ms + e->p->timeouts.head, client_late);
	return have + (size_t)n;
}

static void
begin_h2(struct client *c, const char *bytes, size_t len)
{
	if (h2_begin(c))
		h2_ready(c, bytes, len);
	else
		h2_refuse(c);
}

/* By ALPN, or from this machine by prior knowledge (RFC 9113 3.2, 3.3). The preface may come in pieces. */
static bool
speaks_h2(const struct client *c, const char *bytes, size_t len)
{
	if (!c->edge->p->http2)
		return false;
	return c->conn.tls ? is_h2(c) : c->loopback && len >= H2_PREFACE_BYTES && h2_is_preface(bytes, len);
}

static void
client_read(struct client *c)
{
	char *bytes;
	size_t len = client_gather(c, &bytes);
	if (c->conn.watch.fd < 0)
		return;
	if (speaks_h2(c, bytes, len))
		begin_h2(c, bytes, len);
	else if (c->edge->p->http2 && c->loopback && !c->conn.tls && len < H2_PREFACE_BYTES && len > 3 && h2_is_preface(bytes, len))
		wait_for_rest(c, bytes, len);
	else if (len)
		client_input(c, bytes, len);
}

void
client_next(struct client *c, bool keep)
{
	struct edge *e = c->edge;
	if (c->is_stream) {
		h2_next(c);
		return;
	}
	c->x = NULL;
	c->pipelined = c->pending_len ? c->pipelined + 1 : 0;
	if (!keep || e->draining)
		c->closing = true;
	if (c->conn.out.at)
		return; /* client_writable goes on here */
	if (c->closing) {
		client_finish(c);
		return;
	}
	client_arm_idle(c);
	if (c->pending_len || c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
}

/*
 * Its time to be idle is over: does a request lie in the socket, one that came after the events of this turn were seen? Closed over it the socket would answer with a
 * reset, and its sender could not tell whether it was served (RFC 9112 9.5). Of a handshake, or of what a proxy says first, that is no question.
 */
static bool
has_come(struct client *c)
{
	char byte;
	if (c->h2 || c->proxy || c->closing || c->tls_follows || (c->conn.tls && !c->conn.shaken))
		return false;
	return recv(c->conn.watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Read in the next turn, and given a head's time; one that has had that hears then that it was too slow, unless that was the rest. */
static void
client_look(struct client *c)
{
	c->conn.watch.flags |= LOOP_READABLE;
	c->late = c->incomplete;
	if (c->late)
		timer_arm(&c->edge->loop, &c->timer, c->edge->loop.now_ms + 1, client_late);
	else
		client_arm_head(c);
	loop_again(&c->edge->loop, &c->conn.watch);
}

/* It waits for nothing of anybody's. */
static void
idle_too_long(struct client *c)
{
	bool come = has_come(c), unread = come || (c->pending_len && !c->incomplete && !c->closing);
	if (unread && !edge_has_room(c->edge)) /* in all this time */
		answer_overloaded(c, DIALECT_OPENAI);
	else if (unread && !c->late)
		client_look(c);
	else if (c->pending_len && !c->closing) {
		count_add(c->edge->p->counters, ended[END_HEAD_TIMEOUT], 1);
		answer_text(c, 408, "request_timeout", "The request's head did not arrive in time.");
	} else if (c->h2)
		client_part(c); /* what it sent meanwhile is in no stream that the GOAWAY names: it may ask elsewhere, and is not reset over it */
	else
		client_close(c);
}

static void
client_late(struct timer *t)
{
	struct client *c = container_of(t, struct client, timer);
	if (c->conn.out.at) {
		struct exchange *x = c->x;
		if (x) {
			x->client = NULL;
			c->x = NULL;
			exchange_end(x, END_CLIENT_SLOW);
		}
		client_close(c);
	} else if (!c->x)
		idle_too_long(c);
}

/*
 * It sends nothing more. Has it gone, or does it listen still? TCP doesn't tell before something is written. So ask: 100 (Continue), which every
 * client of HTTP/1.1 must be able to read (RFC 9110 15.2), is taken by who listens, and answered with a reset by who has gone. Once the head of
 * the answer is out nothing can be asked: it costs money with each word, and who wants to read it half-closes before it begins. Nor is TLS asked, where
 * an end is one.
 */
static bool
listens_still(struct client *c)
{
	struct exchange *x = c->x;
	if (c->half_closed)
		return true;
	bool made = x->step >= STEP_SETTLE; /* nothing is spent any more: it is only kept back until it is booked */
	if (c->conn.tls || c->http10 || (x->head_sent && !made))
		return false;
	c->half_closed = true;
	if (!made)
		reply_continue(x); /* if that breaks, the client is lost on its way */
	return true;
}

/*
 * It sends nothing more, and of the body that it announced less stands in the socket than is missing: that will never be whole. Where a chunked one ends is
 * not known, but it does not end here when nothing of it is left. The bytes are counted where they are, by TCP without a copy of them (MSG_TRUNC), all in one
 * place of the scratch.
 */
static bool
ended_short(struct client *c)
{
	enum { PIECES = 128 }; /* 8 MiB: more than a socket holds */
	struct edge *e = c->edge;
	const struct request *r = c->x->req;
	uint64_t whole = r->body_chunked ? 1 : r->body_left, missing = whole < c->pending_len ? 0 : whole - c->pending_len;
	struct iovec pieces[PIECES];
	size_t count = missing / READ_BYTES < PIECES ? (size_t)(missing / READ_BYTES + 1) : PIECES;
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct iovec){e->in, READ_BYTES};
	struct msghdr m = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t n = recvmsg(c->conn.watch.fd, &m, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN;
	edge_in_used(e, (size_t)n < READ_BYTES ? (size_t)n : READ_BYTES);
	return (uint64_t)n < missing && (size_t)n < count * READ_BYTES;
}

bool
client_left_its_body(struct client *c)
{
	return c->conn.watch.flags & LOOP_HANGUP && (c->conn.tls || ended_short(c) || !listens_still(c));
}

/* Something may have come for the exchange: its body, or the client's end. */
static void
exchange_ready(struct client *c)
{
	uint16_t flags = c->conn.watch.flags;
	if (c->x->duplex && c->x->step == STEP_RELAY)
		duplex_client_ready(c->x);
	else if (c->x->step == STEP_READ_BODY) {
		if (c->pending_len || c->x->req->expects || flags & (LOOP_READABLE | LOOP_HANGUP))
			read_body_more(c->x);
	} else if (upload_is_coming(c->x)) { /* that it has gone shows where its bytes end, which may never be read that far while there is no room for them */
		if (flags & (LOOP_READABLE | LOOP_HANGUP))
			upload_client_ready(c->x);
		if (c->x && upload_is_unread(c->x) && client_left_its_body(c))
			client_lost(c);
	} else if (flags & LOOP_HANGUP && (c->x->duplex || !listens_still(c)))
		client_lost(c);
}

/*
 * TLS begins when the first record has come as a whole: who only connects, or promises a hello and does not send it, costs the memory of a connection in
 * clear text. Until then it waits in the socket.
 */
static bool
has_greeted(struct client *c)
{
	enum { HANDSHAKE = 22,
		HEAD = 5,
		RECORD_MAX = 16384 }; /* RFC 8446 5.1 */
	struct edge *e = c->edge;
	const uint8_t *at = (const uint8_t *)e->in;
	if (!(c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)))
		return false;
	ssize_t n = recv(c->conn.watch.fd, e->in, HEAD + RECORD_MAX, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0)
		edge_in_used(e, (size_t)n);
	size_t record = n < HEAD ? HEAD : HEAD + (at[3] << 8 | at[4]);
	if (n > 0 && (at[0] != HANDSHAKE || (size_t)n >= record || record > HEAD + RECORD_MAX))
		return true; /* if it is none, that is for TLS to say */
	if (n == 0 || (n < 0 && errno != EAGAIN) || c->conn.watch.flags & LOOP_HANGUP) {
		count_add(e->p->counters, tls_failed, 1);
		client_close(c);
	} else
		c->conn.watch.flags &= (uint16_t)~LOOP_READABLE;
	return false;
}

/* False: there is nothing to do before more has come, or before it is its turn. */
static bool
shakes(struct client *c)
{
	struct edge *e = c->edge;
	if (c->conn.shaken || !(c->tls_follows || c->conn.tls) || c->lingering)
		return true;
	bool queued = c->conn.turn_link || e->turn == &c->conn;
	if (c->tls_follows && !queued && !has_greeted(c))
		return false;
	if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP) && !conn_may(e, &c->conn, TURNS_CLIENT_HANDS))
		return false;
	if (c->tls_follows && !conn_begin_tls(e, &c->conn)) {
		client_close(c);
		return false;
	}
	c->tls_follows = false;
	return true;
}

/* Who sends requests without waiting for answers gets some of those in a turn, together with everybody who does. */
static bool
may_read(struct client *c)
{
	bool pipelined = c->pending_len && !c->incomplete;
	return !pipelined || conn_may(c->edge, &c->conn, TURNS_PIPELINED);
}

static void
client_ready(struct watch *w)
{
	struct client *c = container_of(w, struct client, conn.watch);
	if (w->flags & LOOP_ERROR) {
		client_lost(c);
		return;
	}
	if ((c->proxy && !door_proxy_header(c)) || !shakes(c))
		return;
	if (c->h2) {
		h2_ready(c, NULL, 0);
		return;
	}
	if (c->lingering) {
		linger_ready(c);
		return;
	}
	if (w->flags & LOOP_WRITABLE)
		client_writable(c);
	if (w->fd < 0)
		return;
	if (c->x)
		exchange_ready(c);
	else if (!c->closing && !c->conn.out.at && (c->pending_len || w->flags & (LOOP_READABLE | LOOP_HANGUP)) && may_read(c))
		client_read(c);
	if (c->x && w->flags & LOOP_HANGUP && !c->half_closed && (!upload_is_coming(c->x) || upload_is_unread(c->x))) /* who sent the last byte and went at once is reported only once */
		loop_again(&c->edge->loop, w);
}
