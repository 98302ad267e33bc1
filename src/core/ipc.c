#include "core/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
ipc_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds);
}

enum ipc_result
ipc_send(int fd, const void *message, size_t bytes, int pass_fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec part = {(void *)message, bytes};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (pass_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control.room;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return IPC_OK;
		if (errno == EAGAIN || errno == ENOBUFS)
			return IPC_AGAIN;
		if (errno != EINTR)
			return IPC_CLOSED;
	}
}

/* Takes the one descriptor that may come; anything more is closed by the kernel's truncation or by us. */
static int
passed_fd(struct msghdr *m)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int got;
			memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
			if (fd < 0)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

enum ipc_result
ipc_recv(int fd, void *buf, size_t *ret_bytes, int *ret_fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {buf, IPC_MESSAGE_MAX};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
	ssize_t n;
	do
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? IPC_AGAIN : IPC_CLOSED;
	if (n == 0)
		return IPC_CLOSED;
	*ret_fd = passed_fd(&m);
	*ret_bytes = (size_t)n;
	return IPC_OK;
}

bool
ipc_may_wait(int fd, uint32_t ms)
{
	const struct timeval most = {ms / 1000, (suseconds_t)(ms % 1000 * 1000)};
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

enum ipc_result
ipc_wait(int fd, void *buf, size_t *ret_bytes)
{
	ssize_t n;
	do
		n = recv(fd, buf, IPC_MESSAGE_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? IPC_AGAIN : IPC_CLOSED;
	*ret_bytes = (size_t)n;
	return IPC_OK;
}
