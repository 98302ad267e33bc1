/*
 * A connection's bytes, in clear text or through TLS: the same calls for both, so that no step needs to know. What a socket does not take waits in its
 * outbox, sealed already when it goes through TLS.
 */
#include "edge/edge_priv.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what waits to be written ---- */

static void
outbox_free(struct edge *e, struct outbox *o)
{
	vault_free_dirty(e->vault, o->at, o->cap, o->len);
	*o = (struct outbox){0};
}

/* Keep what stands behind `skip` bytes of the parts. False: no memory. */
static bool
keep_rest(struct edge *e, struct outbox *o, const struct iovec *parts, int count, size_t skip)
{
	size_t rest = 0;
	for (int i = 0; i < count; i++)
		rest += parts[i].iov_len;
	rest -= skip;
	size_t unsent = o->len - o->sent;
	if (rest + unsent > VAULT_BLOCK_MAX)
		return false;
	if (o->len + rest > o->cap) {
		uint32_t cap = (uint32_t)vault_block_bytes(rest + unsent);
		char *at = vault_alloc(e->vault, cap);
		if (!at)
			return false;
		if (unsent)
			memcpy(at, o->at + o->sent, unsent);
		outbox_free(e, o);
		*o = (struct outbox){.at = at, .cap = cap, .len = (uint32_t)unsent};
	}
	for (int i = 0; i < count; i++) {
		size_t off = skip < parts[i].iov_len ? skip : parts[i].iov_len;
		skip -= off;
		memcpy(o->at + o->len, (char *)parts[i].iov_base + off, parts[i].iov_len - off);
		o->len += (uint32_t)(parts[i].iov_len - off);
	}
	return true;
}

/*
 * A short message in several parts is put together first: that takes the kernel 0.2 µs less than a list of parts, and a copy of so few bytes far less
 * than that.
 */
static struct span
together(struct edge *e, const struct iovec *parts, int count)
{
	size_t len = 0;
	if (count == 1)
		return (struct span){parts->iov_base, parts->iov_len};
	for (int i = 0; i < count; i++) {
		if (parts[i].iov_len > TOGETHER_MAX - len)
			return (struct span){0};
		memcpy(e->together + len, parts[i].iov_base, parts[i].iov_len);
		len += parts[i].iov_len;
		if (len > e->together_used)
			e->together_used = len;
	}
	return (struct span){e->together, len};
}

/* One system call; -1 broken, 0 would block. Not write(): it needs no check of arguments by the filter and yet takes longer (docs/performance.md). */
static ssize_t
send_parts(struct edge *e, struct watch *w, struct iovec *parts, int count)
{
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)count};
	struct span one = together(e, parts, count);
	ssize_t n;
	do
		n = one.at ? send(w->fd, one.at, one.len, MSG_NOSIGNAL | MSG_DONTWAIT) : sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		w->flags &= (uint16_t)~LOOP_WRITABLE;
		return 0;
	}
	return n;
}

static enum wrote
flush_box(struct edge *e, struct watch *w, struct outbox *o, uint64_t *ret_bytes)
{
	while (o->sent < o->len) {
		struct iovec part = {o->at + o->sent, o->len - o->sent};
		ssize_t n = send_parts(e, w, &part, 1);
		if (n < 0)
			return WROTE_BROKEN;
		if (n == 0)
			return WROTE_SOME;
		o->sent += (uint32_t)n;
		*ret_bytes += (uint64_t)n;
	}
	outbox_free(e, o);
	return WROTE_ALL;
}

/* Write what is in the box and then the parts; what the socket does not take is kept in the box. */
static enum wrote
outbox_write(struct edge *e, struct watch *w, struct outbox *o, struct iovec *parts, int count, uint64_t *ret_bytes)
{
	if (o->at) {
		enum wrote r = flush_box(e, w, o, ret_bytes);
		if (r == WROTE_BROKEN)
			return r;
		if (r == WROTE_SOME)
			return keep_rest(e, o, parts, count, 0) ? WROTE_SOME : WROTE_BROKEN;
	}
	size_t total = 0;
	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (total == 0)
		return WROTE_ALL;
	ssize_t n = send_parts(e, w, parts, count);
	if (n < 0)
		return WROTE_BROKEN;
	*ret_bytes += (uint64_t)n;
	if ((size_t)n == total)
		return WROTE_ALL;
	w->flags &= (uint16_t)~LOOP_WRITABLE;
	return keep_rest(e, o, parts, count, (size_t)n) ? WROTE_SOME : WROTE_BROKEN;
}

/* ---- TLS ---- */

/* What the calls before had to say to the peer. */
static enum wrote
write_wire(struct edge *e, struct conn *c, uint64_t *ret_bytes)
{
	struct span wire = tls_wire();
	struct iovec part = {(char *)wire.at, wire.len};
	if (wire.len == 0)
		return c->out.at ? WROTE_SOME : WROTE_ALL;
	enum wrote r = outbox_write(e, &c->watch, &c->out, &part, 1, ret_bytes);
	tls_wire_taken();
	return r;
}

/* The first `len` bytes of the parts are done with. */
static void
advance(struct iovec **parts, int *count, size_t len)
{
	while (*count && len >= (*parts)->iov_len) {
		len -= (*parts)->iov_len;
		(*parts)++;
		(*count)--;
	}
	if (*count) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + len;
		(*parts)->iov_len -= len;
	}
}

static enum wrote
write_sealed(struct edge *e, struct conn *c, struct iovec *parts, int count, uint64_t *ret_bytes)
{
	enum wrote r = outbox_write(e, &c->watch, &c->out, NULL, 0, ret_bytes);
	while (r != WROTE_BROKEN) {
		size_t taken;
		if (tls_write(c->tls, parts, count, &taken) != TLS_OK) {
			tls_wire_taken();
			return WROTE_BROKEN;
		}
		if (taken == 0)
			break;
		advance(&parts, &count, taken);
		r = write_wire(e, c, ret_bytes);
	}
	return r;
}

static void
count_handshake(struct edge *e, struct conn *c)
{
	c->shaken = true;
	e->shaking[c->upstream]--;
	if (c->upstream) {
		count_add(e->p->counters, upstream_tls_handshakes, 1);
		count_add(e->p->counters, upstream_tls_resumed, tls_was_resumed(c->tls));
	} else {
		count_add(e->p->counters, tls_handshakes, 1);
		count_add(e->p->counters, tls_resumed, tls_was_resumed(c->tls));
	}
}

/* It stands behind what was read, was reported with it, and won't be again. */
static bool
end_is_near(const struct conn *c, enum tls_result r)
{
	return r == TLS_AGAIN && c->watch.flags & (LOOP_HANGUP | LOOP_ERROR) && !tls_has_more(c->tls) && !tls_is_ended(c->tls);
}

/* After TLS_AGAIN. */
static void
wait_for_more(struct edge *e, struct conn *c)
{
	if (tls_has_more(c->tls)) /* others first */
		loop_again(&e->loop, &c->watch);
	else
		c->watch.flags &= (uint16_t)~LOOP_READABLE;
}

static ssize_t
read_sealed(struct edge *e, struct conn *c, char *at, size_t cap)
{
	enum tls_result r;
	uint64_t bytes = 0;
	size_t len;
	do
		r = tls_read(c->tls, at, cap, &len);
	while (end_is_near(c, r));
	if (write_wire(e, c, &bytes) == WROTE_BROKEN) {
		if (r == TLS_OK)
			explicit_bzero(at, len); /* nobody hears of it, and so nobody would wipe it */
		return CONN_CUT;
	}
	if (!c->shaken && tls_is_ready(c->tls))
		count_handshake(e, c);
	switch (r) {
	case TLS_OK:
		if (tls_is_drained(c->tls) && !(c->watch.flags & (LOOP_HANGUP | LOOP_ERROR)))
			c->watch.flags &= (uint16_t)~LOOP_READABLE;
		return (ssize_t)len;
	case TLS_AGAIN:
		wait_for_more(e, c);
		return CONN_NOTHING;
	case TLS_CLOSED:
		return CONN_END;
	case TLS_CUT:
	case TLS_FAILED:
		break;
	}
	if (!c->shaken && !c->upstream)
		count_add(e->p->counters, tls_failed, 1);
	return CONN_CUT;
}

enum tls_result
conn_handshake(struct edge *e, struct conn *c)
{
	uint64_t bytes = 0;
	enum tls_result r;
	do
		r = tls_handshake(c->tls);
	while (end_is_near(c, r));
	if (write_wire(e, c, &bytes) == WROTE_BROKEN)
		return TLS_CUT;
	if (r == TLS_OK)
		count_handshake(e, c);
	else if (r == TLS_AGAIN)
		wait_for_more(e, c);
	return r;
}

/* ---- turns ---- */

static const uint8_t most[TURNS_COUNT] = {
	[TURNS_UPSTREAM_HANDS] = HANDSHAKES_A_TURN,
	[TURNS_CLIENT_HANDS] = HANDSHAKES_A_TURN,
	[TURNS_PIPELINED] = PIPELINED_A_TURN,
	[TURNS_NOISE] = NOISE_A_TURN,
	[TURNS_LINGER] = LINGER_READS_A_TURN,
};

void
conn_leave(struct edge *e, struct conn *c)
{
	if (!c->turn_link)
		return;
	*c->turn_link = c->turn_next;
	if (c->turn_next)
		c->turn_next->turn_link = c->turn_link;
	else
		e->turns[c->turns].end = c->turn_link;
	c->turn_link = NULL;
	e->takes_turns--;
}

bool
conn_may(struct edge *e, struct conn *c, enum turns turns)
{
	if (e->turn == c && c->turns == turns)
		return true;
	if (c->turn_link)
		return false;
	if (!e->turns[turns].first)
		e->turns[turns].end = &e->turns[turns].first;
	c->turns = (uint8_t)turns;
	c->turn_next = NULL;
	c->turn_link = e->turns[turns].end;
	*c->turn_link = c;
	e->turns[turns].end = &c->turn_next;
	e->takes_turns++;
	return false;
}

/* Handshakes that have begun go on in any case: only so their memory comes back. */
static struct conn *
next_in(struct edge *e, int turns)
{
	struct conn *c = e->turns[turns].first;
	if (!c || c->tls || turns > TURNS_CLIENT_HANDS || edge_has_room_for_hello(e))
		return c;
	e->short_of_room = true;
	while (c && !c->tls)
		c = c->turn_next;
	return c;
}

void
conn_take_turns(struct edge *e)
{
	struct conn *c;
	for (int turns = 0; turns < TURNS_COUNT; turns++) {
		for (int i = 0; i < most[turns] && (c = next_in(e, turns)); i++) {
			conn_leave(e, c);
			e->turn = c;
			c->watch.ready(&c->watch);
			e->turn = NULL;
		}
	}
	for (int turns = 0; turns < TURNS_COUNT; turns++)
		if ((c = next_in(e, turns))) /* not to sleep meanwhile */
			loop_again(&e->loop, &c->watch);
}

/* ---- for both ---- */

bool
conn_open(struct edge *e, struct conn *c, int fd, void (*ready)(struct watch *w))
{
	if (!loop_watch(&e->loop, &c->watch, fd, ready))
		return false;
	e->shaking[c->upstream] += c->tls != NULL;
	return true;
}

bool
conn_begin_tls(struct edge *e, struct conn *c)
{
	c->tls = tls_accept(e->identity->server, c->watch.fd);
	e->shaking[false] += c->tls != NULL;
	return c->tls != NULL;
}

void
conn_end(struct edge *e, struct conn *c)
{
	uint64_t bytes = 0;
	if (c->tls && !c->cut) {
		tls_end(c->tls);
		(void)!write_wire(e, c, &bytes); /* it is closed in any case */
	}
}

void
conn_drop_tls(struct edge *e, struct conn *c)
{
	if (c->tls && !c->shaken)
		e->shaking[c->upstream]--;
	tls_free(&c->tls);
	conn_leave(e, c);
}

void
conn_close(struct edge *e, struct conn *c)
{
	int fd = c->watch.fd;
	if (c->tls && !c->out.at && !(c->watch.flags & LOOP_ERROR))
		conn_end(e, c);
	conn_drop_tls(e, c);
	loop_forget(&e->loop, &c->watch);
	close(fd);
	outbox_free(e, &c->out);
}

ssize_t
conn_read(struct edge *e, struct conn *c, char *at, size_t cap)
{
	struct watch *w = &c->watch;
	ssize_t n;
	if (c->tls)
		return read_sealed(e, c, at, cap);
	do
		n = recv(w->fd, at, cap, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		w->flags &= (uint16_t)~LOOP_READABLE;
		return CONN_NOTHING;
	}
	if (n <= 0)
		return n == 0 ? CONN_END : CONN_CUT;
	if ((size_t)n < cap && !(w->flags & (LOOP_HANGUP | LOOP_ERROR))) /* a short read has emptied the socket; more will be reported */
		w->flags &= (uint16_t)~LOOP_READABLE;
	return n;
}

enum wrote
conn_write(struct edge *e, struct conn *c, struct iovec *parts, int count, uint64_t *ret_bytes)
{
	*ret_bytes = 0;
	return c->tls ? write_sealed(e, c, parts, count, ret_bytes) : outbox_write(e, &c->watch, &c->out, parts, count, ret_bytes);
}

ssize_t
conn_write_some(struct edge *e, struct conn *c, struct iovec *parts, int count)
{
	uint64_t bytes = 0;
	size_t taken;
	if (!c->tls)
		return send_parts(e, &c->watch, parts, count);
	enum wrote r = outbox_write(e, &c->watch, &c->out, NULL, 0, &bytes);
	if (r != WROTE_ALL)
		return r == WROTE_SOME ? 0 : -1;
	if (tls_write(c->tls, parts, count, &taken) != TLS_OK) {
		tls_wire_taken();
		return -1;
	}
	return write_wire(e, c, &bytes) == WROTE_BROKEN ? -1 : (ssize_t)taken;
}

bool
conn_is_quiet(struct edge *e, struct conn *c)
{
	char byte;
	uint64_t bytes = 0;
	if (!c->tls)
		return recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
	bool quiet = tls_is_quiet(c->tls);
	if (write_wire(e, c, &bytes) == WROTE_BROKEN || c->watch.flags & (LOOP_HANGUP | LOOP_ERROR))
		return false;
	if (quiet)
		c->watch.flags &= (uint16_t)~LOOP_READABLE;
	return quiet;
}
