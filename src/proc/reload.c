#include "proc/supervisor_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
reload_open_log(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

/* The scribe can't open files: it gets the descriptor. One that is being started finds it in its handover. */
static void
hand_over_log(struct supervisor *s)
{
	struct message_plain m = MESSAGE_INIT(LOG, message_plain);
	struct child *scribe = child_find(s, END_OF_SCRIBE, 0);
	if (scribe->pid == 0 || scribe->state == CHILD_ENDING)
		return;
	int fd = fcntl(s->log_fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && port_send(&scribe->port, &m, sizeof m, fd) != IPC_OK)
		close(fd);
}

/* After a rotation: the file by that name is another one now, and the old one is not written any more. */
static void
reopen_log(struct supervisor *s)
{
	if (s->plan->log_file[0] == '\0')
		return;
	int fd = reload_open_log(s->plan->log_file);
	if (fd < 0) {
		supervisor_say("can't open the log anew, the old one is written on: ", s->plan->log_file);
		supervisor_report(s, EVENT_LOG_FAILED, NUMBERS((uint64_t)errno));
		return;
	}
	close(s->log_fd);
	s->log_fd = fd;
	hand_over_log(s);
	supervisor_report(s, EVENT_LOG_OPENED, NUMBERS(0));
}

void
supervisor_reload(struct supervisor *s)
{
	supervisor_say("SIGHUP: files that are named in the configuration are opened anew; the configuration itself is read at start only", "");
	reopen_log(s);
	tls_renew(s);
}
