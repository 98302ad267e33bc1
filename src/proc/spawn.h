/*
 * Start this executable anew as a child: fresh address space, empty environment, exactly the descriptors that
 * it is given. Supervisor.
 */
#ifndef PROC_SPAWN_H
#define PROC_SPAWN_H

#include "core/base.h"

#include <sys/types.h>

enum { SPAWN_FDS_MAX = 192 };

/*
 * argv0   the whole command line
 * stderr_fd  becomes 0, 1 and 2
 * fds     fds[i] becomes descriptor 3 + i; all others are closed
 *
 * The caller's descriptors stay its own. -1 with errno. A child that can't be started ends with status
 * SPAWN_FAILED.
 */
enum { SPAWN_FAILED = 127 };
must_check pid_t spawn_self(const char *argv0, int stderr_fd, const int *fds, uint32_t count);

#endif
