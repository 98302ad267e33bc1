#include "proc/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3,
	FDS_MAX = 64 };

/* How many were handed to this very process; 0: none. */
static int
count_handed(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	long count = strtol(fds, NULL, 10);
	return count > 0 && count <= FDS_MAX ? (int)count : 0;
}

/* Place of `name` in "a:b:c", -1: it is not there. */
static int
place_of(const char *names, const char *name)
{
	size_t len = strlen(name);
	for (int i = 0; names; i++) {
		if (strncmp(names, name, len) == 0 && (names[len] == ':' || names[len] == '\0'))
			return i;
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	return -1;
}

static bool
is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

int
activation_find(const char *name, char ret_why[ACTIVATION_WHY_MAX])
{
	int count = count_handed(), place = place_of(getenv("LISTEN_FDNAMES"), name), fd = FIRST_FD + place;
	if (place < 0 || place >= count) {
		snprintf(ret_why, ACTIVATION_WHY_MAX,
			"systemd has handed over no socket that is called %.60s - write FileDescriptorName=%.60s in the .socket unit, and start that unit first", name, name);
		return -1;
	}
	if (!is_listening(fd)) {
		snprintf(ret_why, ACTIVATION_WHY_MAX, "the socket %.60s of systemd does not listen - write ListenStream= and Accept=no in its unit", name);
		return -1;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	snprintf(ret_why, ACTIVATION_WHY_MAX, "the socket %.60s of systemd can't be used", name);
	return -1;
}
