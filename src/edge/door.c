/*
 * ACCEPT: who comes in, and from whom. A connection's address is looked at here and turned into a visitor; it lies in the vault while the connection does, for keys that work from
 * some addresses only, and goes nowhere. A trusted proxy may say on whose behalf it speaks, for a connection (PROXY protocol) or for a request (a header).
 */
#include "edge/door.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a connection ---- */

static bool
is_trusted(const struct edge *e, const struct address *a)
{
	const struct edge_proxies *p = &e->p->proxies;
	return address_in_any(a, p->trusted, p->trusted_count);
}

/* Trusted proxies and this machine are not counted: they stand for many. False: its address has its number of connections. */
static bool
admit(struct edge *e, const struct address *from, struct arrival *a)
{
	a->loopback = address_is_loopback(from);
	a->address = *from;
	a->trusted = is_trusted(e, from);
	a->visitor = a->loopback || a->trusted ? NULL : visitor_of(e->visitors, from, e->loop.now_ms);
	if (visitor_enter(e->visitors, a->visitor))
		return true;
	a->visitor = NULL;
	e->turned_away.connections++;
	count_add(e->p->counters, connections_refused, 1);
	return false;
}

static bool
admit_peer(struct edge *e, const struct sockaddr *peer, struct arrival *a)
{
	struct address from;
	if (address_of_peer(peer, &from)) {
		if (!a->proxied)
			return admit(e, &from, a);
		a->trusted = is_trusted(e, &from);
	} else { /* a Unix socket: who may open it is a matter of its mode */
		a->loopback = true;
		a->trusted = e->p->proxies.trust_unix;
	}
	if (a->proxied && !a->trusted)
		count_add(e->p->counters, proxy_headers_refused, 1);
	return a->trusted || !a->proxied;
}

void
door_accept(struct edge *e, int listener, const struct door *d)
{
	static const int on = 1;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) { /* a bounded turn: the listener is level-triggered and reports the rest again */
		if (!edge_may_accept(e)) { /* whom nobody could read yet waits outside, or goes to another edge */
			edge_pause_listeners(e, 0);
			return;
		}
		struct sockaddr_in6 from = {0}; /* longer ones are cut: of a Unix socket only the family counts */
		socklen_t from_len = sizeof from;
		int fd = accept4(listener, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
				edge_report(e, EVENT_ACCEPT_FAILED, (uint64_t)errno, 0);
				edge_pause_listeners(e, TICK_MS);
			}
			return;
		}
		struct arrival a = {.tls = d->tls, .proxied = d->proxied};
		bool admitted = admit_peer(e, (const struct sockaddr *)&from, &a);
		if (admitted && from.sin6_family != AF_UNIX)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (!admitted || !client_adopt(e, fd, &a)) {
			visitor_leave(a.visitor);
			close(fd);
		}
	}
}

/* ---- the PROXY protocol ---- */

/* Whose it is is known now; what it is is as if they had connected themselves. */
static bool
proxied_for(struct client *c)
{
	struct edge *e = c->edge;
	struct arrival a = {0};
	struct address from;
	if (!proxy2_source(c->proxy, &from)) /* the proxy's own: a health check */
		return true;
	if (!admit(e, &from, &a))
		return false;
	c->loopback = a.loopback;
	c->trusted = a.trusted;
	c->visitor = a.visitor;
	c->address = a.address;
	return true;
}

bool
door_proxy_header(struct client *c)
{
	struct edge *e = c->edge;
	enum proxy2_result r = PROXY2_MORE;
	while (r == PROXY2_MORE) {
		uint32_t wants = proxy2_wants(c->proxy);
		ssize_t n = conn_read(e, &c->conn, e->in, wants);
		if (n == CONN_NOTHING)
			return false;
		if (n < 0) {
			client_close(c);
			return false;
		}
		edge_in_used(e, (size_t)n);
		r = proxy2_feed(c->proxy, e->in, (uint32_t)n);
	}
	if (r == PROXY2_BAD)
		count_add(e->p->counters, proxy_headers_refused, 1);
	bool good = r == PROXY2_DONE && proxied_for(c);
	vault_free(e->vault, c->proxy, sizeof *c->proxy);
	c->proxy = NULL;
	if (!good)
		client_close(c);
	return good;
}

/* ---- a request ---- */

enum named { NAMED_NOBODY,
	NAMED_UNREADABLE,
	NAMED_ADDRESS };

/* Whom a trusted proxy names in its header. */
static enum named
named_by_proxy(const struct edge *e, const struct http1_head *h, struct address *ret)
{
	const struct edge_proxies *p = &e->p->proxies;
	struct forwarded f;
	struct span name = forwarded_field((enum forwarded_header)p->header);
	forwarded_init(&f, (enum forwarded_header)p->header, p->trusted, p->trusted_count);
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span field = http1_field_name(h, &h->fields[i]);
		if (field.len == name.len && !strncasecmp(field.at, name.at, name.len))
			forwarded_feed(&f, http1_field_value(h, &h->fields[i]));
	}
	if (!f.any)
		return NAMED_NOBODY;
	return forwarded_finish(&f, ret) ? NAMED_ADDRESS : NAMED_UNREADABLE;
}

/* NULL: nobody is counted. Those of whom a proxy says what can't be read are all one: else a client could write itself out of the limit. */
struct visitor *
door_visitor(const struct client *c, const struct http1_head *h)
{
	struct edge *e = c->edge;
	struct address a = {{0}};
	if (!c->trusted)
		return c->visitor;
	enum named named = named_by_proxy(e, h, &a);
	if (named == NAMED_NOBODY || (named == NAMED_ADDRESS && (address_is_loopback(&a) || is_trusted(e, &a))))
		return NULL;
	return visitor_of(e->visitors, &a, e->loop.now_ms);
}

/* What can't be read is nobody's address, "::", which is in no range but all. */
struct address
door_address(const struct client *c, const struct http1_head *h)
{
	struct address a = {{0}};
	enum named named = c->trusted ? named_by_proxy(c->edge, h, &a) : NAMED_NOBODY;
	return named == NAMED_NOBODY ? c->address : named == NAMED_ADDRESS ? a
																	   : (struct address){{0}};
}

/* Once a minute, and only if something was: the operator is to know that limits are at work. */
void
door_tell(struct edge *e)
{
	enum { EACH_MS = 60000 };
	if (e->loop.now_ms < e->turned_away.told_ms + EACH_MS || (!e->turned_away.connections && !e->turned_away.keys))
		return;
	edge_report_three(e, EVENT_TURNED_AWAY, e->p->index, e->turned_away.connections, e->turned_away.keys);
	e->turned_away.connections = e->turned_away.keys = 0;
	e->turned_away.told_ms = e->loop.now_ms;
}
