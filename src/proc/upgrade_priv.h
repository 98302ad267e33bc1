/*
 * From one binary to the next under the same process id (docs/decisions/0033). Supervisor.
 *   upgrade.c        asked for; the new binary checks itself; execve; what came of it
 *   upgrade_state.c  what the one tells the next
 *   takeover.c       the next: reads it, is the supervisor of the children that run, or goes back
 *   takeover_state.c reads it
 */
#ifndef PROC_UPGRADE_PRIV_H
#define PROC_UPGRADE_PRIV_H

#include "ledger/store_schema.h"
#include "proc/supervisor_priv.h"

#include <jansson.h>
#include <stdio.h>

enum {
	UPGRADE_FORMAT = 1, /* of the state; a supervisor that reads another one refuses to take over */
	UPGRADE_FDS_MAX = 2 * CHILDREN_MAX + GENERATIONS_MAX * (HANDOVER_LISTENERS_MAX + 3) + 32,
};

/* "check:FD", "take:FD", "back:FD": of the state */
#define UPGRADE_VARIABLE "LETHE_TAKEOVER"
/* The last line of a binary that can take over. */
#define UPGRADE_CAN "lethe can take over: version "

struct upgrade_fds {
	uint32_t count;
	int fd[UPGRADE_FDS_MAX];
};

/* ---- upgrade_state.c ---- */
/* A sealed memfd; the descriptors that have to stay open for it, itself with them. -1 with errno. */
must_check int upgrade_state_write(const struct supervisor *s, struct upgrade_fds *ret_fds);
/* Over execve, or not. */
void upgrade_fds_keep(const struct upgrade_fds *fds, bool keep);
const char *upgrade_child_state(enum child_state state);

/* ---- upgrade.c ---- */
/* Only comes back when it could not be done: errno. how: a word of UPGRADE_VARIABLE. */
void upgrade_execute(int binary_fd, const char *how, int state_fd);
/* The new one serves (why NULL), or does not and the old one goes on. */
void upgrade_over(struct supervisor *s, const char *why);

#endif
