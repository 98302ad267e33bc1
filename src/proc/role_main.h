/*
 * The first steps of every child: find out that it is one, take the handover, wear its name, live its role.
 * Called by main() before anything else.
 */
#ifndef PROC_ROLE_MAIN_H
#define PROC_ROLE_MAIN_H

#include "core/base.h"

#define ROLE_ARGV0 "lethe: "

/* Was this process started by a supervisor? */
must_check bool role_is_child(int argc, char **argv);
/* Ends the process. */
_Noreturn void role_run(void);

#endif
