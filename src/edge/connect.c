/* CONNECT: a kept connection of the provider's pool, or a new one from the dialer. */
#include "edge/edge_priv.h"

#include "core/ipc.h"
#include "edge/h2_up.h"
#include "edge/route.h"
#include "edge/upload.h"
#include "edge/work.h"

#include <unistd.h>

static void
use(struct exchange *x, struct upstream *u)
{
	u->x = x;
	x->up = u;
	if (u->conn.tls && !u->conn.shaken)
		connect_handshake(x);
	else
		send_request(x);
}

static void
use_streams(struct edge *e, const struct line *l, uint32_t provider)
{
	for (struct exchange *x = l->first, *next; x; x = next) {
		next = x->wait_next;
		struct upstream *s = x->route.target->provider == provider && !x->duplex ? h2_up_stream(e, provider) : NULL;
		if (!s)
			continue;
		exchange_stop_waiting(x);
		use(x, s);
	}
}

/* Those that wait for connections of their own to this provider need none any more. What the dialer still brings is closed. */
void
connect_in_streams(struct edge *e, uint32_t provider)
{
	use_streams(e, &e->wait_dialer, provider);
	use_streams(e, &e->wait_dial, provider);
}

/* The connection speaks HTTP/2: it belongs to all from now on, and the exchange that made it takes its first stream. */
static void
share(struct exchange *x)
{
	struct edge *e = x->edge;
	struct upstream *u = x->up;
	uint32_t provider = u->provider;
	u->x = NULL;
	x->up = NULL;
	bool begun = h2_up_begin(u);
	if (!begun)
		upstream_close(u);
	struct upstream *s = begun ? h2_up_stream(e, provider) : NULL;
	if (s)
		use(x, s);
	else
		exchange_end(x, END_OVERLOADED);
}

void
connect_handshake(struct exchange *x)
{
	struct edge *e = x->edge;
	struct conn *c = &x->up->conn;
	uint64_t bytes;
	if (!conn_may_shake(e, c))
		return;
	if (c->out.at && conn_write(e, c, NULL, 0, &bytes) == WROTE_BROKEN) {
		route_fail(x, ROUTE_UNREACHABLE, END_PROVIDER_UNREACHABLE);
		return;
	}
	switch (conn_handshake(e, c)) {
	case TLS_OK:
		if (tls_is_h2(c->tls))
			share(x);
		else
			send_request(x);
		return;
	case TLS_AGAIN:
		return;
	case TLS_CLOSED:
	case TLS_CUT:
	case TLS_FAILED:
		edge_report_three(e, EVENT_PROVIDER_TLS, catalogue_provider(e->p->catalogue, x->route.target->provider)->id, tls_flaw(c->tls), tls_flaw_number(c->tls));
		route_fail(x, ROUTE_UNREACHABLE, END_PROVIDER_UNREACHABLE);
		return;
	}
}

static void
move(struct exchange *x, struct line *to)
{
	exchange_stop_waiting(x);
	exchange_wait(x, to);
}

static struct provider_pool *
pool_of(const struct exchange *x)
{
	return &x->edge->pool[x->route.target->provider];
}

/* It waits for the answer. IPC_AGAIN: the arrow is full. Whom a dialer that has gone does not hear its successor is asked for. */
static enum ipc_result
ask_dialer(struct exchange *x)
{
	struct edge *e = x->edge;
	struct message_connect m = MESSAGE_INIT(CONNECT, message_connect);
	m.token = x->id;
	m.provider = x->route.target->provider;
	m.timeout_ms = e->p->timeouts.connect;
	enum ipc_result result = ipc_send(e->dialer.fd, &m, sizeof m, -1);
	if (result == IPC_AGAIN)
		return result;
	pool_of(x)->dials++;
	move(x, &e->wait_dialer);
	return result;
}

/* One that will speak TLS is only asked for when there is memory to speak it. */
static bool
has_memory(const struct exchange *x)
{
	return !catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->tls || edge_has_room_for_tls(x->edge);
}

static bool
may_dial(const struct exchange *x)
{
	return pool_of(x)->dials < x->edge->dials_most;
}

/* A connection from the dialer. Of one provider's only so many are made at a time, and a crowd fills the arrow: the others wait until some have been answered. */
static void
want_connection(struct exchange *x)
{
	struct edge *e = x->edge;
	if (!has_memory(x))
		exchange_wait(x, &e->wait_room);
	else if (e->connections >= e->p->limits.connections)
		exchange_end(x, END_OVERLOADED);
	else if (!may_dial(x) || ask_dialer(x) == IPC_AGAIN)
		exchange_wait(x, &e->wait_dial);
}

/* One was answered, of this provider: there is a place for another of its own, and one in the arrow. */
static void
dial_next(struct edge *e, uint32_t provider)
{
	for (struct exchange *x = e->wait_dial.first, *next; x; x = next) {
		next = x->wait_next;
		bool own = x->route.target->provider == provider;
		if (!may_dial(x))
			continue;
		if (!has_memory(x))
			move(x, &e->wait_room);
		else if (ask_dialer(x) == IPC_AGAIN || own)
			return;
	}
}

void
connect_in_room(struct edge *e)
{
	struct exchange *x;
	while ((x = e->wait_room.first) && edge_has_room_for_tls(e)) {
		exchange_stop_waiting(x);
		want_connection(x);
	}
}

void
connect_upstream(struct exchange *x)
{
	struct edge *e = x->edge;
	uint32_t provider = x->route.target->provider;
	exchange_step(x, STEP_CONNECT);
	x->attempts++;
	x->route.probes = false;
	if (x->duplex) { /* of its own, and of HTTP/1.1 */
		want_connection(x);
		return;
	}
	struct upstream *u = h2_up_stream(e, provider);
	if (u)
		count_add(e->p->counters, upstream_reused, 1);
	else if (!x->route.fresh && !upload_is_coming(x) && !work_is_begun(x)) /* one that is closed as it is used would take along what can't be sent again, or must not */
		u = upstream_take_idle(e, provider);
	if (u) {
		use(x, u);
		return;
	}
	want_connection(x);
}

/* Those for whom it had been asked come first. */
void
connect_ask_again(struct edge *e)
{
	uint32_t count = e->p->catalogue->provider_count;
	struct exchange *x;
	while ((x = e->wait_dial.first))
		move(x, &e->wait_dialer);
	while ((x = e->wait_dialer.first))
		move(x, &e->wait_dial);
	for (uint32_t i = 0; i < count; i++)
		e->pool[i].dials = 0;
	dial_next(e, count);
}

/* Who waits for that; what was asked for an attempt that is given up serves somebody else. */
static struct exchange *
waiting(struct edge *e, uint64_t token, uint32_t provider)
{
	struct exchange *x = e->wait_dialer.first;
	while (x && (x->id != token || x->route.target->provider != provider))
		x = x->wait_next;
	return x;
}

void
connect_done(struct edge *e, const struct message_connected *m, int fd)
{
	struct exchange *x = waiting(e, m->token, m->provider);
	e->pool[m->provider].dials--;
	dial_next(e, m->provider);
	struct upstream *u = fd >= 0 ? upstream_adopt(e, m->provider, fd, !x || !x->duplex) : NULL;
	if (fd >= 0 && !u)
		close(fd);
	if (!x) { /* its client has gone meanwhile: the connection serves the next */
		if (u)
			upstream_release(u, !u->conn.tls); /* without a handshake it is of no use to others */
		return;
	}
	exchange_stop_waiting(x);
	if (u) {
		use(x, u);
		return;
	}
	if (fd < 0)
		edge_report(e, EVENT_PROVIDER_UNREACHABLE, catalogue_provider(e->p->catalogue, m->provider)->id, m->result);
	if (fd >= 0)
		exchange_end(x, END_OVERLOADED);
	else if (m->result == CONNECT_TIMEOUT)
		route_fail(x, ROUTE_UNREACHABLE, END_PROVIDER_TIMEOUT);
	else
		route_fail(x, ROUTE_UNREACHABLE, END_PROVIDER_UNREACHABLE);
}
