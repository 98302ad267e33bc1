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

/* Those that wait for connections of their own to this provider need none any more. What the dialer still brings is closed. */
void
connect_in_streams(struct edge *e, uint32_t provider)
{
	for (struct exchange *x = e->wait_dialer.first, *next; x; x = next) {
		next = x->wait_next;
		struct upstream *s = x->route.target->provider == provider && !x->duplex ? h2_up_stream(e, provider) : NULL;
		if (!s)
			continue;
		exchange_stop_waiting(x);
		use(x, s);
	}
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

static enum ipc_result
ask_dialer(struct exchange *x)
{
	struct message_connect m = MESSAGE_INIT(CONNECT, message_connect);
	m.token = x->id;
	m.provider = x->route.target->provider;
	m.timeout_ms = x->edge->p->timeouts.connect;
	return ipc_send(x->edge->dialer.fd, &m, sizeof m, -1);
}

/* A connection from the dialer. One that will speak TLS is only asked for when there is memory to speak it. */
static void
want_connection(struct exchange *x)
{
	struct edge *e = x->edge;
	if (catalogue_provider(e->p->catalogue, x->route.target->provider)->tls && !edge_has_room_for_tls(e))
		exchange_wait(x, &e->wait_room);
	else if (e->connections >= e->p->limits.connections || ask_dialer(x) == IPC_AGAIN)
		exchange_end(x, END_OVERLOADED);
	else /* also when it is gone: its successor is asked again */
		exchange_wait(x, &e->wait_dialer);
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

void
connect_ask_again(struct edge *e)
{
	for (struct exchange *x = e->wait_dialer.first; x; x = x->wait_next)
		(void)!ask_dialer(x); /* what a full queue loses ends by its time-out */
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
