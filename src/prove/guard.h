/*
 * Who clears up behind `lethe prove` when it can't itself: a process of its own that waits until the run has ended, however it did, SIGKILL included, and
 * then ends the private server and removes its folder. Command line only; one for each run.
 */
#ifndef PROVE_GUARD_H
#define PROVE_GUARD_H

#include "core/base.h"

#include <sys/types.h>

/* Before there are threads. False: there can't be one. */
must_check bool guard_open(void);
/* What is to be cleared up from now on: a folder that is removed with all in it ("": none), and the process that uses it (0: none). Copied. */
void guard_holds(const char *folder, pid_t server);
/* The database that the server keeps its books in (0: none): ended behind it. */
void guard_holds_store(pid_t store);
/* Nothing is left to be cleared up. */
void guard_close(void);

/* With all that is in it; links are not followed. */
void remove_folder(const char *path);
/* Between two looks at something that tells nobody when it comes. */
void pause_ms(long ms);

#endif
