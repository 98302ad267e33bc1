#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t
net_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool
net_address_parse(const char *text, struct net_address *ret)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
		return false;
	size_t len = (size_t)(colon - text);
	bool bracketed = text[0] == '[' && text[len - 1] == ']';
	memcpy(host, text + bracketed, len - 2 * bracketed);
	host[len - 2 * bracketed] = 0;
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
		return false;
	memset(ret, 0, sizeof *ret);
	memcpy(&ret->at, found->ai_addr, found->ai_addrlen);
	ret->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_storage s;
	socklen_t len = sizeof s;
	if (getsockname(fd, (struct sockaddr *)&s, &len) != 0)
		return 0;
	/* The port lies at the same place in both families. */
	return ntohs(((struct sockaddr_in *)&s)->sin_port);
}

int
net_listen(const struct net_address *a, uint16_t *ret_port)
{
	int one = 1;
	int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&a->at, a->len) != 0 || listen(fd, 16384) != 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	*ret_port = port_of(fd);
	return fd;
}

static void
no_delay(int fd)
{
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int
net_connect(const struct net_address *a)
{
	int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	no_delay(fd);
	if (connect(fd, (const struct sockaddr *)&a->at, a->len) != 0 && errno != EINPROGRESS) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int
net_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		no_delay(fd);
	return fd;
}

ssize_t
net_send(int fd, const void *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

ssize_t
net_receive(int fd, void *ret_bytes, size_t cap)
{
	ssize_t n = recv(fd, ret_bytes, cap, 0);
	if (n > 0)
		return n;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void
net_reset(int fd)
{
	struct linger abort_now = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof abort_now);
	close(fd);
}

void
net_raise_descriptor_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

bool
net_write_port_file(const char *path, const uint16_t *ports, size_t count)
{
	char unfinished[4096];
	if ((size_t)snprintf(unfinished, sizeof unfinished, "%s.new", path) >= sizeof unfinished) {
		errno = ENAMETOOLONG;
		return false;
	}
	FILE *f = fopen(unfinished, "w");
	if (!f)
		return false;
	bool written = true;
	for (size_t i = 0; i < count; i++)
		written = fprintf(f, "%u\n", ports[i]) > 0 && written;
	if (fclose(f) != 0 || !written)
		return false;
	return rename(unfinished, path) == 0;
}
