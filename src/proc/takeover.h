/*
 * This process was a supervisor of another binary a moment ago, or looks on behalf of one at what it would be: the other side of upgrade.c.
 * main() finds out, serve.c reads the configuration, then the supervisor goes on where the other one stopped. One for the process.
 */
#ifndef PROC_TAKEOVER_H
#define PROC_TAKEOVER_H

#include "core/base.h"

enum takeover_mode {
	TAKEOVER_NONE,
	TAKEOVER_CHECK, /* a child of the supervisor: say whether it could be done, change nothing */
	TAKEOVER_TAKE,
	TAKEOVER_BACK, /* the other binary did not come up */
};

struct supervisor;
struct supervisor_plan;

enum { TAKEOVER_WHY_MAX = 1024 };

/* Before anything else. From here on, in TAKE, whatever ends or crashes this process before it is the supervisor makes it the old binary again. */
void takeover_begin(void);
enum takeover_mode takeover_mode(void);
/*
 * As much of the plan in force as the other binary tells: what is fixed while the server runs, and the listeners of the edges that serve.
 * ret_now is zeroed; settings are the caller's. False: ret_why.
 */
must_check bool takeover_plan(struct supervisor_plan *ret_now, char ret_why[TAKEOVER_WHY_MAX]);
/* Can this build work on what the other one has made? */
must_check bool takeover_fits(char ret_why[TAKEOVER_WHY_MAX]);
/* CHECK: the last word. */
void takeover_can(void);
/* supervisor_run() of the process. now: of the edges that serve; taken over also when it fails. */
must_check int takeover_run(const struct supervisor_plan *plan, struct supervisor_plan *now);
/* The new generation serves: there is no way back. */
void takeover_done(void);
/* The new generation did not come up. Comes back only when the server has to end. */
void takeover_go_back(struct supervisor *s);

#endif
