#include "edge/connect.h"

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
	use_streams(e, &e->pool[provider].wait, provider);
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
	if (!conn_may(e, c, TURNS_UPSTREAM_HANDS))
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

/* It waits for the answer. False: the arrow is full. Whom a dialer that has gone does not hear its successor is asked for. */
static bool
ask_dialer(struct exchange *x)
{
	struct edge *e = x->edge;
	struct message_connect m = MESSAGE_INIT(CONNECT, message_connect);
	m.token = x->id;
	m.provider = x->route.target->provider;
	m.timeout_ms = e->p->timeouts.connect;
	if (ipc_send(e->dialer.fd, &m, sizeof m, -1) == IPC_AGAIN)
		return false;
	pool_of(x)->dials++;
	move(x, &e->wait_dialer);
	x->deadline_ms = e->loop.now_ms + m.timeout_ms; /* the provider's time begins: it is not blamed for what went by before */
	return true;
}

/* One that will speak TLS is only asked for when there is memory to speak it. */
static bool
has_memory(const struct exchange *x)
{
	return !catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->tls || edge_has_room_for_tls(x->edge);
}

static bool
has_place(const struct edge *e)
{
	return e->connections < e->p->limits.connections;
}

/* Those that wait for their turn with this provider, as far as they may be dialled for. */
static void
dial(struct edge *e, uint32_t provider)
{
	struct provider_pool *p = &e->pool[provider];
	struct exchange *x;
	while ((x = p->wait.first) && p->dials < e->dials_most) {
		if (!has_memory(x))
			move(x, &e->wait_room);
		else if (!has_place(e) || !ask_dialer(x)) {
			e->dial_again = true;
			return;
		}
	}
}

/*
 * A connection from the dialer. Of one provider's only so many are made at a time, and a crowd fills the arrow: the others wait, first come, first served. An answer
 * makes room for the next of that provider; for room in the arrow each turn looks again.
 */
static void
want_connection(struct exchange *x)
{
	struct edge *e = x->edge;
	struct provider_pool *p = pool_of(x);
	bool others = p->wait.first;
	if (!has_place(e)) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	exchange_wait(x, &p->wait);
	if (!others && !e->dial_again)
		dial(e, x->route.target->provider);
}

/* With whom it begins moves on, or a crowd of one provider's would have all of the arrow each time. */
static void
fill_arrow(struct edge *e)
{
	uint32_t count = e->p->catalogue->provider_count;
	e->dial_again = false;
	for (uint32_t i = 0; i < count && !e->dial_again; i++)
		dial(e, e->dial_turn++ % count);
}

void
connect_go_on(struct edge *e)
{
	struct exchange *x;
	while ((x = e->wait_room.first) && edge_has_room_for_tls(e)) {
		exchange_stop_waiting(x);
		want_connection(x);
	}
	if (e->dial_again)
		fill_arrow(e);
}

bool
connect_waits_for_us(const struct exchange *x)
{
	return x->wait_line == &x->edge->wait_room || (x->step == STEP_CONNECT && x->wait_line == &pool_of(x)->wait && pool_of(x)->dials < x->edge->dials_most);
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
	for (uint32_t i = 0; i < count; i++) {
		while ((x = e->pool[i].wait.first))
			move(x, &e->wait_dialer);
		e->pool[i].dials = 0;
	}
	while ((x = e->wait_dialer.first))
		move(x, &pool_of(x)->wait);
	fill_arrow(e);
}

/* Who waits for that. */
static struct exchange *
asker(struct edge *e, uint64_t token, uint32_t provider)
{
	struct exchange *x = e->wait_dialer.first;
	while (x && (x->id != token || x->route.target->provider != provider))
		x = x->wait_next;
	return x;
}

/* What was asked for an attempt that was given up serves the next. */
static struct exchange *
heir(struct edge *e, uint32_t provider)
{
	struct exchange *x = e->pool[provider].wait.first;
	return x && has_memory(x) ? x : NULL;
}

static void
take_answer(struct edge *e, const struct message_connected *m, int fd)
{
	struct exchange *x = asker(e, m->token, m->provider);
	bool inherits = !x && fd >= 0 && (x = heir(e, m->provider));
	struct upstream *u = fd >= 0 ? upstream_adopt(e, m->provider, fd, !x || !x->duplex) : NULL;
	if (fd >= 0 && !u)
		close(fd);
	if (!x || (inherits && !u)) { /* nobody waits: the connection rests */
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

void
connect_done(struct edge *e, const struct message_connected *m, int fd)
{
	e->pool[m->provider].dials--;
	take_answer(e, m, fd);
	if (!e->dial_again)
		dial(e, m->provider);
}
