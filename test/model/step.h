/*
 * Runs a function in a child that is stepped one instruction at a time, so that it can be killed or held
 * between any two. Tests only. The child lives until step_kill().
 */
#ifndef MODEL_STEP_H
#define MODEL_STEP_H

#include <stdbool.h>
#include <sys/types.h>

struct step_child {
	pid_t pid;
	volatile int *finished; /* shared with the child */
};

/* Fork; the child stands before the first instruction of run(arg). */
void step_start(struct step_child *c, void (*run)(void *arg), void *arg);
/* One instruction. False: run() has returned. */
bool step_one(struct step_child *c);
/* Let it run to the end of run(). */
void step_finish(struct step_child *c);
void step_kill(struct step_child *c);

#endif
