#include "proc/supervisor_priv.h"

#include "core/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096,
	URL_MAX = 128,
};

static void
url_of(const struct plan_address *a, char ret[URL_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";
	if (a->any.sa_family == AF_UNIX) {
		snprintf(ret, URL_MAX, "unix:%.*s", (int)sizeof a->local.sun_path, a->local.sun_path);
	} else if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
		snprintf(ret, URL_MAX, "http%s://[%s]:%u", a->tls ? "s" : "", host, ntohs(a->v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
		snprintf(ret, URL_MAX, "http%s://%s:%u", a->tls ? "s" : "", host, ntohs(a->v4.sin_port));
	}
}

/* One whose server is gone is in the way. One that is served, or is no socket, stays. */
static bool
clear_the_place(const struct plan_address *a)
{
	struct stat st;
	if (lstat(a->local.sun_path, &st) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return false;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool gone = fd >= 0 && connect(fd, &a->any, a->len) != 0 && errno == ECONNREFUSED;
	close(fd);
	if (gone)
		return unlink(a->local.sun_path) == 0;
	errno = EADDRINUSE;
	return false;
}

static int
listen_local(const struct plan_address *a)
{
	if (!clear_the_place(a))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	mode_t before = umask(0777 & ~a->mode);
	bool bound = bind(fd, &a->any, a->len) == 0;
	umask(before);
	if (bound && listen(fd, BACKLOG) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int
listen_on(const struct plan_address *a)
{
	if (a->inherited)
		return a->fd;
	if (a->any.sa_family == AF_UNIX)
		return listen_local(a);
	int on = 1, one_stack = !a->dual_stack, fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		goto out;
	if (a->any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one_stack, sizeof one_stack) != 0)
		goto out;
	if (bind(fd, &a->any, a->len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
out:
	close(fd);
	return -1;
}

static const char *
remedy(int error, bool local)
{
	switch (error) {
	case EADDRINUSE:
		return local ? " - another program serves it; stop that or choose another path" : " - another program has it; stop that or choose another port in `listen`";
	case EEXIST:
		return " - a file that is no socket is there; remove it or choose another path";
	case ENOENT:
		return " - create its folder (RuntimeDirectory= in the unit)";
	case EACCES:
		return local ? " - the folder is not this user's to write in" : " - ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in the unit)";
	case EADDRNOTAVAIL:
		return " - this machine does not have that address";
	default:
		return "";
	}
}

static int
listen_or_say(struct supervisor *s, const struct plan_address *a)
{
	char url[URL_MAX], line[256];
	int fd = listen_on(a);
	if (fd >= 0)
		return fd;
	int error = errno;
	url_of(a, url);
	snprintf(line, sizeof line, "can't listen on %s: %s", url, strerror(error));
	reload_note(s, line, remedy(error, a->any.sa_family == AF_UNIX));
	return -1;
}

bool
listen_metrics(struct supervisor *s)
{
	s->metrics_fd = s->plan->metrics_on ? listen_or_say(s, &s->plan->metrics) : -1;
	return !s->plan->metrics_on || s->metrics_fd >= 0;
}

static bool
same_address(const struct plan_address *a, const struct plan_address *b)
{
	if (a->inherited || b->inherited)
		return a->inherited && b->inherited && a->fd == b->fd;
	return a->len == b->len && memcmp(&a->any, &b->any, a->len) == 0;
}

/* The socket stays, whatever else is said of it; -1: that can't be. */
static int
take_over(const struct generation *from, int place, const struct plan_address *a)
{
	const struct plan_address *was = &from->plan->listen[place];
	if (a->dual_stack != was->dual_stack) {
		reload_note(from->s, "`dual_stack` of a listener can't be changed while it listens - restart to apply", "");
		return -1;
	}
	if (a->any.sa_family == AF_UNIX && a->mode != was->mode && chmod(a->local.sun_path, a->mode) != 0)
		supervisor_say("the mode of a Unix socket can't be changed: ", strerror(errno));
	return from->listen_fd[place];
}

static bool
has(const struct generation *g, int fd)
{
	for (uint32_t i = 0; g && i < g->plan->listen_count; i++)
		if (g->listen_fd[i] == fd)
			return true;
	return false;
}

/* Place in `from`, -1: it does not listen there. Port 0 twice are two ports: what g has already is not meant. */
static int
place_in(const struct generation *from, const struct plan_address *a, const struct generation *g)
{
	for (uint32_t i = 0; from && i < from->plan->listen_count; i++)
		if (from->listen_fd[i] >= 0 && same_address(&from->plan->listen[i], a) && !has(g, from->listen_fd[i]))
			return (int)i;
	return -1;
}

bool
listen_all(struct generation *g, const struct generation *before)
{
	const struct supervisor_plan *plan = g->plan;
	memset(g->listen_fd, -1, sizeof g->listen_fd);
	for (uint32_t i = 0; i < plan->listen_count; i++) {
		int place = place_in(before, &plan->listen[i], g);
		g->listen_fd[i] = place >= 0 ? take_over(before, place, &plan->listen[i]) : listen_or_say(g->s, &plan->listen[i]);
		if (g->listen_fd[i] < 0) {
			listen_drop(g, before);
			return false;
		}
	}
	return true;
}

void
listen_drop(struct generation *g, const struct generation *other)
{
	for (uint32_t i = 0; i < g->plan->listen_count; i++) {
		const struct plan_address *a = &g->plan->listen[i];
		bool drop = g->listen_fd[i] >= 0 && !has(other, g->listen_fd[i]);
		if (drop && a->any.sa_family == AF_UNIX && !a->inherited)
			unlink(a->local.sun_path);
		if (drop && !(a->inherited && other)) /* by its number it may be asked for again */
			close(g->listen_fd[i]);
		g->listen_fd[i] = -1;
	}
}

void
listen_close(struct supervisor *s)
{
	if (s->next)
		listen_drop(s->next, s->now);
	listen_drop(s->now, NULL);
}

bool
listen_same(const struct generation *a, const struct generation *b)
{
	if (a->plan->listen_count != b->plan->listen_count)
		return false;
	for (uint32_t i = 0; i < a->plan->listen_count; i++)
		if (a->listen_fd[i] != b->listen_fd[i] || a->plan->listen[i].tls != b->plan->listen[i].tls)
			return false;
	return true;
}

static void
path_in(const struct supervisor *s, const char *name, char ret[PATH_MAX + 32])
{
	snprintf(ret, PATH_MAX + 32, "%s/%s", s->plan->data_dir, name);
}

static bool
write_whole(const struct supervisor *s, const char *name, const struct text *t)
{
	char path[PATH_MAX + 32], fresh[PATH_MAX + 32];
	path_in(s, name, path);
	path_in(s, "endpoint.new", fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	bool written = write(fd, t->at, t->len) == (ssize_t)t->len;
	close(fd);
	return written && rename(fresh, path) == 0;
}

static bool
announce(int listener, bool tls, const char *what, struct text *t)
{
	struct plan_address bound = {.len = sizeof bound.local, .tls = tls};
	char url[URL_MAX];
	if (getsockname(listener, &bound.any, &bound.len) != 0)
		return false;
	url_of(&bound, url);
	text_str(t, url);
	text_lit(t, "\n");
	supervisor_say(what, url);
	return true;
}

/* First the one whose reader waits for the other. */
bool
listen_announce(const struct supervisor *s)
{
	char urls[HANDOVER_LISTENERS_MAX * URL_MAX], metrics[URL_MAX];
	struct text t = text_on(urls, sizeof urls), m = text_on(metrics, sizeof metrics);
	if (s->metrics_fd >= 0 && !(announce(s->metrics_fd, false, "metrics on ", &m) && write_whole(s, "endpoint.metrics", &m)))
		return false;
	for (uint32_t i = 0; i < s->plan->listen_count; i++)
		if (!announce(s->now->listen_fd[i], s->plan->listen[i].tls, "listening on ", &t))
			return false;
	return write_whole(s, "endpoint", &t);
}

void
listen_withdraw(const struct supervisor *s)
{
	static const char *const names[] = {"endpoint", "endpoint.metrics", "upgrade"};
	char path[PATH_MAX + 32];
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(s, names[i], path);
		unlink(path);
	}
}

int
listen_control(const char *data_dir)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int length = snprintf(a.sun_path, sizeof a.sun_path, "%s/control.sock", data_dir);
	if (length < 0 || (size_t)length >= sizeof a.sun_path) {
		supervisor_say("the path of the data directory is too long for a socket in it: ", data_dir);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	unlink(a.sun_path); /* of a server that is gone: the lock is ours */
	mode_t before = umask(0177);
	bool bound = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
	umask(before);
	if (bound && listen(fd, 16) == 0)
		return fd;
	supervisor_say("can't bind the control socket: ", strerror(errno));
	close(fd);
	return -1;
}
