#include "edge/edge_priv.h"
#include "edge/connect.h"
#include "edge/upstream.h"

#include "edge/duplex.h"
#include "edge/h2_up.h"


static void
upstream_bury(struct deferred *d, void *arg)
{
	struct upstream *u = container_of(d, struct upstream, deferred);
	vault_free(u->edge->vault, u, sizeof *u);
}

static void
pool_remove(struct upstream *u)
{
	if (!u->link)
		return;
	*u->link = u->next;
	if (u->next)
		u->next->link = u->link;
	u->link = NULL;
	if (u->shared)
		return;
	u->edge->pool[u->provider].idle_count--;
	count_add(u->edge->p->counters, upstream_idle, -1);
}

void
upstream_close(struct upstream *u)
{
	struct edge *e = u->edge;
	if (u->h2)
		h2_up_end(u);
	pool_remove(u);
	timer_cancel(&e->loop, &u->timer);
	conn_close(e, &u->conn);
	e->connections--;
	count_add(e->p->counters, upstream_open, -1);
	loop_defer(&e->loop, &u->deferred, upstream_bury);
}

/* The rest of a sealed request. Whoever reads or writes next sees that it is broken. */
static void
upstream_flush(struct upstream *u)
{
	uint64_t bytes;
	if (conn_write(u->edge, &u->conn, NULL, 0, &bytes) == WROTE_BROKEN)
		u->conn.watch.flags |= LOOP_ERROR;
}

static void
upstream_ready(struct watch *w)
{
	struct upstream *u = container_of(w, struct upstream, conn.watch);
	struct exchange *x = u->x;
	if (u->h2) {
		h2_up_ready(u);
		return;
	}
	if (!x) { /* idle: what has come means that it can't be used again, unless it only concerns TLS */
		if (w->flags & (LOOP_HANGUP | LOOP_ERROR) || (w->flags & LOOP_READABLE && !conn_is_quiet(u->edge, &u->conn)))
			upstream_close(u);
		return;
	}
	if (x->step == STEP_CONNECT) {
		connect_handshake(x);
		if (u->x != x || x->step == STEP_CONNECT)
			return;
	} else if (w->flags & LOOP_WRITABLE && u->conn.out.at)
		upstream_flush(u);
	if (x->duplex && x->step == STEP_RELAY && !u->conn.out.at) {
		duplex_room(x);
		if (u->x != x)
			return;
	}
	if (x->step == STEP_SEND && w->flags & LOOP_WRITABLE) {
		send_request(x);
		if (u->x != x) /* it ended, or took another connection */
			return;
	}
	if (w->flags & (LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR))
		relay_read(x);
}

struct upstream *
upstream_adopt(struct edge *e, uint32_t provider, int fd, bool http2)
{
	const struct catalogue_provider *p = catalogue_provider(e->p->catalogue, provider);
	struct upstream *u = vault_alloc(e->vault, sizeof *u);
	if (!u)
		return NULL;
	u->edge = e;
	u->provider = provider;
	u->conn.upstream = true;
	u->conn.tls = p->tls ? identity_connect(e, provider, fd, http2) : NULL;
	if ((p->tls && !u->conn.tls) || !conn_open(e, &u->conn, fd, upstream_ready)) {
		tls_free(&u->conn.tls);
		vault_free(e->vault, u, sizeof *u);
		return NULL;
	}
	e->connections++;
	count_add(e->p->counters, upstream_opened, 1);
	count_add(e->p->counters, upstream_open, 1);
	return u;
}

static void
idle_over(struct timer *t)
{
	upstream_close(container_of(t, struct upstream, timer));
}

/* Whatever came unasked would be taken for the answer. */
static struct upstream *
quiet_one(struct edge *e, struct upstream **list, bool look)
{
	struct upstream *u;
	enum { CAME = LOOP_READABLE | LOOP_HANGUP | LOOP_ERROR };
	while ((u = *list) && (look || u->conn.watch.flags & CAME) && !conn_is_quiet(e, &u->conn))
		upstream_close(u);
	return u;
}

/*
 * One that has rested for a turn, if there is one: of those the loop tells what has come, up to the beginning of this turn. What is on its way
 * nobody knows, and a turn is no longer than that. Those that were given back in this turn are asked.
 */
struct upstream *
upstream_take_idle(struct edge *e, uint32_t provider)
{
	struct provider_pool *pool = &e->pool[provider];
	struct upstream *u = quiet_one(e, &pool->idle, false);
	if (!u)
		u = quiet_one(e, &pool->fresh, true);
	if (!u)
		return NULL;
	pool_remove(u);
	timer_cancel(&e->loop, &u->timer);
	count_add(e->p->counters, upstream_reused, 1);
	return u;
}

static void
list_add(struct upstream **list, struct upstream *u)
{
	u->next = *list;
	u->link = list;
	if (u->next)
		u->next->link = &u->next;
	*list = u;
}

static void
pool_add(struct upstream *u)
{
	struct edge *e = u->edge;
	struct provider_pool *pool = &e->pool[u->provider];
	u->x = NULL;
	u->reused = true;
	list_add(&pool->fresh, u);
	e->fresh = true;
	pool->idle_count++;
	count_add(e->p->counters, upstream_idle, 1);
	upstream_arm_idle(u);
}

void
upstream_rest(struct edge *e)
{
	if (!e->fresh)
		return;
	e->fresh = false;
	for (uint32_t i = 0; i < e->p->catalogue->provider_count; i++) {
		struct provider_pool *pool = &e->pool[i];
		for (struct upstream *u; (u = pool->fresh);) {
			pool->fresh = u->next;
			if (u->next)
				u->next->link = &pool->fresh;
			list_add(&pool->idle, u);
		}
	}
}

static bool
has_rested(const struct edge *e, const struct upstream *u)
{
	enum { RESTED_MS = 10000 };
	return u->timer.at_ms <= e->loop.now_ms + UPSTREAM_IDLE_MS - RESTED_MS;
}

/* They must not count as what is needed: a thousand that a crowd has left would keep each other. */
static uint64_t
rested_bytes(const struct edge *e)
{
	enum { TLS_BYTES = 16 << 10 }; /* of OpenSSL's, about */
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < e->p->catalogue->provider_count; i++)
		for (const struct upstream *u = e->pool[i].idle; u; u = u->next)
			if (has_rested(e, u))
				bytes += vault_block_bytes(sizeof *u) + (u->conn.tls ? TLS_BYTES : 0);
	return bytes;
}

/*
 * A connection that nobody has used for a while may be all that lies in a segment: 16 MiB that can't be given back as long as it does. What is in use
 * keeps a busy edge from coming here.
 */
void
upstream_thin(struct edge *e)
{
	if (!vault_is_spread(e->vault, rested_bytes(e)))
		return;
	for (uint32_t i = 0; i < e->p->catalogue->provider_count; i++)
		for (struct upstream *u = e->pool[i].idle, *next; u; u = next) {
			next = u->next;
			if (has_rested(e, u))
				upstream_close(u);
		}
}

void
upstream_arm_idle(struct upstream *u)
{
	timer_arm(&u->edge->loop, &u->timer, u->edge->loop.now_ms + UPSTREAM_IDLE_MS, idle_over);
}

void
upstream_share(struct upstream *u)
{
	struct provider_pool *pool = &u->edge->pool[u->provider];
	u->shared = true;
	list_add(&pool->h2, u);
}

void
upstream_release(struct upstream *u, bool keep)
{
	struct edge *e = u->edge;
	if (u->is_stream) {
		h2_up_release(u, keep);
		return;
	}
	bool quiet = keep && (!(u->conn.watch.flags & LOOP_READABLE) || (u->conn.tls && conn_is_quiet(e, &u->conn)));
	bool usable = quiet && !u->conn.out.at && !(u->conn.watch.flags & (LOOP_HANGUP | LOOP_ERROR));
	u->x = NULL;
	if (usable && e->pool[u->provider].idle_count < UPSTREAM_IDLE_MAX && !e->draining)
		pool_add(u);
	else
		upstream_close(u);
}
