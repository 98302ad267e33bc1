/*
 * What the service manager is told by the protocol of sd_notify(3): that the server is ready, that it stops and how long that may take at
 * most. Without a manager, nothing. Supervisor.
 */
#ifndef PROC_NOTIFY_H
#define PROC_NOTIFY_H

#include "core/base.h"

/*
 * A socket to the manager that NOTIFY_SOCKET in the environment names, and the name taken out of there: nobody but the supervisor
 * speaks for the service. The caller's to close. -1: there is no manager, or, said on standard error, it can't be reached.
 */
must_check int notify_open(void);

/* fd -1 is allowed. A manager that does not take the message is not waited for. */
void notify_ready(int fd);
/* The manager's own time-out for a stop is moved, so that it holds for any `timeouts.drain`. */
void notify_stopping(int fd, uint64_t most_ms);

#endif
