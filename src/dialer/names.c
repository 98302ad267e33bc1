#include "dialer/names.h"

#include "dialer/dialer.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	FAILED_MS = 1000,
	TRY_MS = 2000,
	TRIES = 3,
	SOCKETS_PER_TURN = 16,
};

static void arm(struct names *n);

static void
arm_fired(struct timer *t)
{
	struct names *n = container_of(t, struct names, timer);
	ares_process_fd(n->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(n);
}

static void
arm(struct names *n)
{
	struct timeval tv;
	if (ares_timeout(n->channel, NULL, &tv))
		timer_arm(n->loop, &n->timer,
			n->loop->now_ms + (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1, arm_fired);
	else
		timer_cancel(n->loop, &n->timer);
}

/* The inner set is level-triggered, as c-ares expects, so it is asked until it has nothing more. */
static void
sockets_ready(struct watch *w)
{
	struct names *n = container_of(w, struct names, watch);
	struct epoll_event e[SOCKETS_PER_TURN];
	int count = epoll_wait(w->fd, e, SOCKETS_PER_TURN, 0);
	for (int i = 0; i < count; i++) {
		bool in = e[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = e[i].events & EPOLLOUT;
		ares_process_fd(n->channel, in ? e[i].data.fd : ARES_SOCKET_BAD, out ? e[i].data.fd : ARES_SOCKET_BAD);
	}
	if (count > 0)
		loop_again(n->loop, w);
	w->flags = 0;
	arm(n);
}

static void
socket_wanted(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct names *n = arg;
	struct epoll_event e = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.fd = fd};
	if (!readable && !writable)
		epoll_ctl(n->watch.fd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(n->watch.fd, EPOLL_CTL_MOD, fd, &e) != 0)
		(void)!epoll_ctl(n->watch.fd, EPOLL_CTL_ADD, fd, &e); /* refused: the query runs into its time-out */
}

static void
answer_all(struct name *name)
{
	/* Taken off first: an answered question may ask again. */
	struct name_question *due = name->waiting, *q;
	name->waiting = NULL;
	if (due)
		due->link = &due;
	while ((q = due)) {
		names_forget(q);
		q->answered(q);
	}
}

/* Puts the families in turns (RFC 8305), the one that last connected first. */
static void
interleave(struct address *a, uint32_t count, sa_family_t first)
{
	for (uint32_t at = 0; at + 1 < count; at++) {
		sa_family_t second = first == AF_INET6 ? AF_INET : AF_INET6;
		sa_family_t want = at % 2 == 0 ? first : second;
		uint32_t from = at;
		while (from < count && a[from].any.sa_family != want)
			from++;
		if (from == count)
			return;
		struct address found = a[from];
		memmove(&a[at + 1], &a[at], (from - at) * sizeof *a);
		a[at] = found;
	}
}

/* Takes the addresses of an answer that may be used, which are the public ones unless the name is an inner one; returns how many, and the shortest life among them. */
static uint32_t
take_addresses(const struct ares_addrinfo *info, bool inner, struct address *ret, int *ret_ttl_s)
{
	uint32_t count = 0;
	int ttl_s = NAME_TTL_S_MAX;
	for (const struct ares_addrinfo_node *a = info->nodes; a && count < NAME_ADDRESSES_MAX; a = a->ai_next) {
		struct address one = {.len = a->ai_addrlen};
		if (a->ai_addrlen > sizeof one.v6)
			continue;
		memcpy(&one.v6, a->ai_addr, a->ai_addrlen);
		if (!inner && !address_is_global(&one))
			continue;
		ret[count++] = one;
		ttl_s = a->ai_ttl < ttl_s ? a->ai_ttl : ttl_s;
	}
	*ret_ttl_s = ttl_s < NAME_TTL_S_MIN ? NAME_TTL_S_MIN : ttl_s;
	return count;
}

static void
name_failed(struct name *name, uint64_t now_ms)
{
	bool stale_serves = name->count > 0 && now_ms - name->good_ms < NAME_STALE_MS;
	name->state = stale_serves ? NAME_KNOWN : NAME_FAILED;
	name->until_ms = now_ms + (stale_serves ? NAME_TTL_S_MIN * 1000 : FAILED_MS);
}

static void
resolved(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct name *name = arg;
	if (status == ARES_EDESTRUCTION)
		return;
	uint64_t now_ms = name->names->loop->now_ms;
	struct address found[NAME_ADDRESSES_MAX];
	int ttl_s = 0;
	uint32_t count = info ? take_addresses(info, name->inner, found, &ttl_s) : 0;
	name->asking = false;
	name->refused_inner = info && info->nodes && count == 0;
	if (count > 0) {
		interleave(found, count, name->last_family ? name->last_family : AF_INET6);
		memcpy(name->address, found, count * sizeof found[0]);
		name->count = count;
		name->state = NAME_KNOWN;
		name->good_ms = now_ms;
		name->until_ms = now_ms + (uint64_t)ttl_s * 1000;
	} else {
		if (name->refused_inner)
			name->count = 0; /* a name that now points inside is not served from memory either */
		name_failed(name, now_ms);
	}
	if (info)
		ares_freeaddrinfo(info);
	answer_all(name);
}

static void
ask_servers(struct name *name)
{
	char service[8];
	unsigned port = name->port, at = sizeof service - 1;
	service[at] = '\0';
	do
		service[--at] = (char)('0' + port % 10);
	while ((port /= 10) > 0);
	struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	name->asking = true;
	ares_getaddrinfo(name->names->channel, name->host, service + at, &hints, resolved, name);
	arm(name->names);
}

static void
wait_for(struct name *name, struct name_question *q)
{
	q->next = name->waiting;
	if (q->next)
		q->next->link = &q->next;
	name->waiting = q;
	q->link = &name->waiting;
}

void
names_forget(struct name_question *q)
{
	if (!q->link)
		return;
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	q->link = NULL;
}

enum name_state
names_ask(struct names *n, uint32_t provider, struct name_question *q)
{
	struct name *name = &n->name[provider];
	if (name->fixed)
		return NAME_KNOWN;
	/*
	 * c-ares may answer inside its call (hosts file, no server); the state then says so and nobody was waiting
	 * yet.
	 */
	if (name->until_ms <= n->loop->now_ms && !name->asking) {
		if (name->state == NAME_FAILED)
			name->state = NAME_UNKNOWN;
		ask_servers(name);
	}
	if (name->state == NAME_UNKNOWN)
		wait_for(name, q);
	return name->state;
}

static void
name_init(struct name *name, struct names *n, const char *host, uint16_t port, bool inner)
{
	*name = (struct name){.names = n, .host = host, .port = port, .inner = inner};
	bool local = strcmp(host, "localhost") == 0;
	if (local && address_literal("127.0.0.1", port, &name->address[0]) &&
		address_literal("::1", port, &name->address[1]))
		name->count = 2;
	else if (address_literal(host, port, &name->address[0]))
		name->count = 1;
	name->fixed = name->count > 0;
	name->state = name->fixed ? NAME_KNOWN : NAME_UNKNOWN;
}

bool
names_init(struct names *n, struct loop *l, const struct catalogue *c, const char *more_host, uint16_t more_port, const char *servers)
{
	struct ares_options o = {
		.timeout = TRY_MS, .tries = TRIES, .sock_state_cb = socket_wanted, .sock_state_cb_data = n};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	*n = (struct names){.loop = l, .count = c->provider_count + (more_host != NULL)};
	n->name = calloc(c->provider_count + 1, sizeof *n->name);
	if (!n->name)
		return false;
	for (uint32_t i = 0; i < c->provider_count; i++) {
		const struct catalogue_provider *p = catalogue_provider(c, i);
		name_init(&n->name[i], n, p->host, p->port, p->inner);
	}
	if (more_host)
		name_init(&n->name[c->provider_count], n, more_host, more_port, true);
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || !loop_watch(l, &n->watch, set, sockets_ready))
		return false;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
		ares_init_options(&n->channel, &o, mask) != ARES_SUCCESS)
		return false;
	return !servers || ares_set_servers_ports_csv(n->channel, servers) == ARES_SUCCESS;
}

void
names_finish(struct names *n)
{
	if (n->channel)
		ares_destroy(n->channel);
	timer_cancel(n->loop, &n->timer);
	int set = n->watch.fd;
	loop_forget(n->loop, &n->watch);
	close(set);
	free(n->name);
}
