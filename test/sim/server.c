#include "server.h"

#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENTS_A_TURN = 512 };

static void
tell_time(struct sim_server *s)
{
	time_t now = time(NULL);
	struct tm utc;
	s->now_ns = net_now_ns();
	if ((uint64_t)now == s->unix_time)
		return;
	s->unix_time = (uint64_t)now;
	gmtime_r(&now, &utc);
	strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static void
accept_all(struct sim_server *s, const struct sim_listener *from)
{
	int fd;
	while ((fd = net_accept(from->fd)) >= 0)
		sim_conn_open(s, fd, from->tls);
}

/* An event's pointer is a connection's or a listener's. */
static bool
is_listener(const struct sim_server *s, const void *pointer)
{
	return pointer == &s->listener[SIM_CLEAR] || pointer == &s->listener[SIM_TLS];
}

static int
wait_for_events(struct sim_server *s, struct epoll_event *ret_events)
{
	int64_t wait_ns = sim_wheel_wait_ns(&s->wheel, net_now_ns());
	struct timespec t = {wait_ns / 1000000000, wait_ns % 1000000000};
	int n = epoll_pwait2(s->epoll, ret_events, EVENTS_A_TURN, wait_ns < 0 ? NULL : &t, NULL);
	return n < 0 && errno == EINTR ? 0 : n;
}

void
sim_server_run(struct sim_server *s)
{
	static struct epoll_event events[EVENTS_A_TURN];
	struct sim_timer *t;
	int n;
	while ((n = wait_for_events(s, events)) >= 0) {
		tell_time(s);
		for (int i = 0; i < n; i++) {
			if (is_listener(s, events[i].data.ptr))
				accept_all(s, events[i].data.ptr);
			else
				sim_conn_event(events[i].data.ptr, events[i].events);
		}
		while ((t = sim_wheel_due(&s->wheel, s->now_ns)))
			sim_conn_timer(container_of(t, struct sim_conn, timer));
	}
	perror("epoll_pwait2");
}
