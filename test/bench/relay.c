/*
 * A bare TCP relay: one thread, epoll, one buffer of 128 KiB. It is the floor of the bench: what
 * any proxy pays the kernel for moving the same bytes over two connections. It parses nothing,
 * and needs no more memory than the pairs of descriptors.
 */
#include "net.h"
#include "relay_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 128 * 1024,
	EVENTS_A_TURN = 512,
};

/* One of two ends; `unsent` is what the other end received and this one could not take yet. */
struct end {
	int fd;
	struct end *other;
	bool connecting, ended; /* ended: no more comes from it */
	char *unsent;
	size_t unsent_len;
};

struct pair {
	struct end client, upstream;
	struct pair *next_dead;
	bool dead;
};

static int epoll_fd, listener;
static struct net_address upstream_address;
static char buffer[BUFFER_BYTES];
static struct pair *dead; /* freed after the turn: the same turn may hold an event for the other end */

static struct pair *
pair_of(struct end *e)
{
	return e->other > e ? container_of(e, struct pair, client) : container_of(e, struct pair, upstream);
}

static void
kill_pair(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	p->next_dead = dead;
	dead = p;
	close(p->client.fd);
	close(p->upstream.fd);
}

static void
bury(void)
{
	while (dead) {
		struct pair *p = dead;
		dead = p->next_dead;
		free(p->client.unsent);
		free(p->upstream.unsent);
		free(p);
	}
}

static void
watch(struct end *e, int op)
{
	bool readable = !e->ended && !e->other->unsent_len && !e->other->connecting;
	bool writable = e->connecting || e->unsent_len;
	struct epoll_event ev = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.ptr = e};
	if (epoll_ctl(epoll_fd, op, e->fd, &ev) != 0)
		kill_pair(pair_of(e));
}

static void
keep(struct end *to, const char *bytes, size_t len)
{
	to->unsent = malloc(len);
	if (!to->unsent)
		abort();
	memcpy(to->unsent, bytes, len);
	to->unsent_len = len;
	watch(to, EPOLL_CTL_MOD);
	watch(to->other, EPOLL_CTL_MOD);
}

static void
flush(struct end *e)
{
	ssize_t n = net_send(e->fd, e->unsent, e->unsent_len);
	if (n < 0) {
		kill_pair(pair_of(e));
		return;
	}
	e->unsent_len -= (size_t)n;
	memmove(e->unsent, e->unsent + n, e->unsent_len);
	if (e->unsent_len)
		return;
	free(e->unsent);
	e->unsent = NULL;
	watch(e, EPOLL_CTL_MOD);
	watch(e->other, EPOLL_CTL_MOD);
	if (e->other->ended)
		shutdown(e->fd, SHUT_WR);
}

static void
connected(struct end *e)
{
	int error = 0;
	socklen_t len = sizeof error;
	getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		kill_pair(pair_of(e));
		return;
	}
	e->connecting = false;
	watch(e, EPOLL_CTL_MOD);
	watch(e->other, EPOLL_CTL_MOD);
}

static void
end_of_input(struct end *e)
{
	e->ended = true;
	if (e->other->ended) {
		kill_pair(pair_of(e));
		return;
	}
	watch(e, EPOLL_CTL_MOD);
	if (!e->other->unsent_len)
		shutdown(e->other->fd, SHUT_WR);
}

static void
forward(struct end *from)
{
	struct end *to = from->other;
	ssize_t n = net_receive(from->fd, buffer, sizeof buffer);
	if (n == 0)
		return;
	if (n < 0) {
		end_of_input(from);
		return;
	}
	ssize_t sent = net_send(to->fd, buffer, (size_t)n);
	if (sent < 0)
		kill_pair(pair_of(from));
	else if (sent < n)
		keep(to, buffer + sent, (size_t)(n - sent));
}

static void
on_event(struct end *e, uint32_t events)
{
	if (pair_of(e)->dead)
		return;
	if (events & EPOLLERR)
		kill_pair(pair_of(e));
	else if (e->connecting)
		connected(e);
	else if (e->unsent_len && events & (EPOLLOUT | EPOLLHUP))
		flush(e);
	else if (events & EPOLLIN)
		forward(e);
	else if (events & EPOLLHUP)
		kill_pair(pair_of(e));
}

static void
accept_all(void)
{
	for (int fd; (fd = net_accept(listener)) >= 0;) {
		int up = net_connect(&upstream_address);
		struct pair *p = up < 0 ? NULL : calloc(1, sizeof *p);
		if (!p) {
			close(fd);
			if (up >= 0)
				close(up);
			continue;
		}
		p->client = (struct end){.fd = fd, .other = &p->upstream};
		p->upstream = (struct end){.fd = up, .other = &p->client, .connecting = true};
		watch(&p->client, EPOLL_CTL_ADD);
		if (!p->dead)
			watch(&p->upstream, EPOLL_CTL_ADD);
	}
}

static void
run(void)
{
	static struct epoll_event events[EVENTS_A_TURN];
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all();
		}
		bury();
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	struct relay_options o = relay_options_parse("lethe-relay", argc, argv);
	upstream_address = o.connect;
	listener = relay_listen(&o);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) != 0) {
		perror("lethe-relay: epoll");
		return 1;
	}
	run();
}
