/*
 * What the lives of the roles share (role_edge.c, role_dialer.c, role_ledger.c, role_scribe.c, role_signer.c). Run by each
 * child; owns nothing.
 */
#ifndef PROC_ROLE_PRIV_H
#define PROC_ROLE_PRIV_H

#include "proc/handover.h"

/*
 * The lock_down of each role's process struct; arg: its handover. Ends the process when it can't be locked.
 * Reports EVENT_STARTED.
 */
void role_lock_down(void *arg);
/* Says what was handed over and is of no use; returns the exit status. */
int role_fail(const char *what);

#endif
