#include "proc/notify.h"

#include "core/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An absolute path, or '@' and a name in the abstract namespace. 0: neither. */
static socklen_t
address_of(const char *name, struct sockaddr_un *ret)
{
	size_t len = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof ret->sun_path)
		return 0;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, name, len);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int
connect_to(const char *name)
{
	struct sockaddr_un address;
	socklen_t len = address_of(name, &address);
	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, len) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	if (name == NULL || name[0] == '\0')
		return -1;
	int fd = connect_to(name);
	if (fd < 0)
		fprintf(stderr, "lethe: the service manager's NOTIFY_SOCKET %.120s can't be reached: %s\n", name, strerror(errno));
	unsetenv("NOTIFY_SOCKET");
	return fd;
}

static void
tell(int fd, const struct text *t)
{
	if (fd >= 0)
		(void)!send(fd, t->at, t->len, MSG_NOSIGNAL); /* there is nobody to complain to, and the service goes on */
}

void
notify_ready(int fd)
{
	char memory[64];
	struct text t = text_on(memory, sizeof memory);
	text_lit(&t, "READY=1\nSTATUS=Serving.\n");
	tell(fd, &t);
}

void
notify_stopping(int fd, uint64_t most_ms)
{
	char memory[160];
	struct text t = text_on(memory, sizeof memory);
	text_lit(&t, "STOPPING=1\nSTATUS=No new requests; answers that run are finished and booked.\nEXTEND_TIMEOUT_USEC=");
	text_u64(&t, most_ms * 1000);
	text_lit(&t, "\n");
	tell(fd, &t);
}
