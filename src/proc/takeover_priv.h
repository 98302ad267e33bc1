/* Between takeover.c and takeover_state.c. */
#ifndef PROC_TAKEOVER_PRIV_H
#define PROC_TAKEOVER_PRIV_H

#include "proc/takeover.h"
#include "proc/upgrade_priv.h"

struct takeover {
	enum takeover_mode mode;
	bool crashed; /* BACK: the new binary never was the supervisor */
	bool knows_signers; /* the binary that this one was taken over from */
	int state_fd, exe_fd; /* of the old binary; -1: this is the old one */
	json_t *state;
	struct upgrade_fds fds; /* all that it names */
};

const struct takeover *takeover_now(void);

/* ---- takeover_state.c ---- */
/* A member; 0: it is not there. */
uint64_t takeover_number(const json_t *o, const char *name);
void takeover_list_fds(const json_t *state, struct upgrade_fds *ret);
/* All but what runs by itself: nothing is started, told or closed. */
must_check bool takeover_restore(struct supervisor *s, struct supervisor_plan *now, char ret_why[TAKEOVER_WHY_MAX]);

#endif
