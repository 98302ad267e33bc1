#include "proc/collector.h"

#include "proc/supervisor_priv.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Does not wait: whether it comes about, the scribe finds out. When there is none, its own limit passes. */
void
collector_wanted(struct child *scribe)
{
	const struct plan_address *to = &scribe->s->plan->otlp;
	struct message_plain m = MESSAGE_INIT(COLLECTOR, message_plain);
	if (!scribe->s->plan->otlp_on)
		return;
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)!connect(fd, &to->any, to->len); /* the socket says how it went */
	if (port_send(&scribe->port, &m, sizeof m, fd) != IPC_OK)
		close(fd);
}
