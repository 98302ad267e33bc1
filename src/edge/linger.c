#include "edge/linger.h"

#include "edge/edge_priv.h"

#include <errno.h>
#include <sys/socket.h>

enum {
	SILENT_MS = 2000, /* it may finish without a longer pause than this */
	MOST_MS = 30000, /* … for so long, and not beyond that first time when places are few or the edge retires */
	MOST_BYTES = 64 << 20, /* … and so much */
	WINDOW_BYTES = 128 << 10, /* … of which so much may be under way where several do */
};

/* Others wait for the connection's place, or the edge for its end. */
static bool
is_crowded(const struct edge *e)
{
	return e->retiring || e->connections > e->p->limits.connections / 4 * 3;
}

static void
silent_too_long(struct timer *t)
{
	client_close(container_of(t, struct client, timer));
}

/* Each byte that it still sends gives it time for the next one, up to the whole time. */
static void
arm(struct client *c)
{
	struct edge *e = c->edge;
	uint64_t at_ms = e->loop.now_ms + SILENT_MS, until_ms = c->linger_began_ms + (is_crowded(e) ? SILENT_MS : MOST_MS);
	timer_arm(&e->loop, &c->timer, at_ms < until_ms ? at_ms : until_ms, silent_too_long);
}

/* TCP drops it where it is, without a copy (tcp(7), MSG_TRUNC); a Unix socket hands it over. */
static ssize_t
drop_some(struct client *c)
{
	struct edge *e = c->edge;
	ssize_t n = recv(c->conn.watch.fd, e->in, READ_BYTES, MSG_TRUNC | MSG_DONTWAIT);
	if (n > 0)
		edge_in_used(e, (size_t)n);
	return n;
}

/* What an opened window lets in the kernel takes in at once, and everybody waits for that. One that is alone may send as fast as it can. */
static void
narrow(struct client *c)
{
	static const int window = WINDOW_BYTES;
	if (!c->narrow)
		setsockopt(c->conn.watch.fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
	c->narrow = true;
}

void
linger_ready(struct client *c)
{
	struct edge *e = c->edge;
	if (!(c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)))
		return;
	if (!conn_may(e, &c->conn, TURNS_LINGER)) {
		if (e->turns[TURNS_LINGER].first != &c->conn)
			narrow(c);
		return;
	}
	ssize_t n = drop_some(c);
	if (n < 0 && errno == EAGAIN) {
		c->conn.watch.flags &= (uint16_t)~LOOP_READABLE;
		return;
	}
	if (n <= 0 || (uint64_t)n > c->linger_left) {
		client_close(c);
		return;
	}
	c->linger_left -= (uint64_t)n;
	arm(c);
	loop_again(&e->loop, &c->conn.watch);
}

void
linger(struct client *c)
{
	struct edge *e = c->edge;
	c->lingering = true;
	c->linger_left = MOST_BYTES;
	conn_leave(e, &c->conn);
	conn_end(e, &c->conn);
	shutdown(c->conn.watch.fd, SHUT_WR);
	c->linger_began_ms = e->loop.now_ms;
	arm(c);
	linger_ready(c);
}
