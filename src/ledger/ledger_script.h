/*
 * Every order that the ledger takes, as a list of requests that build on each other: for tests that give each of them a thousand times, kill the
 * ledger within each of them, or cut the power. Tests only.
 */
#ifndef LEDGER_LEDGER_SCRIPT_H
#define LEDGER_LEDGER_SCRIPT_H

#include "ledger/ledger_world.h"

enum { SCRIPT_STEPS_MAX = 48,
	SCRIPT_TEXT = 64 };

/* What each step answered; may lie in memory that outlives a process. */
struct script_answers {
	struct script_answer {
		_Atomic int answered; /* ok, and everything below is filled */
		char booking[SCRIPT_TEXT], item[SCRIPT_TEXT], amount[SCRIPT_TEXT], code[SCRIPT_TEXT];
	} step[SCRIPT_STEPS_MAX];
};

extern const char *const script_names[];
extern const size_t script_steps;

/* "alice" with 50 dollars, "bob" and "carl" without. */
void script_begin(struct world *w);
/* The answer is the caller's; kept in `a` when it is ok. It must be the same as one that is there already. */
json_t *script_step(struct world *w, struct script_answers *a, size_t step);
/* Each of them, which must all be ok. */
void script_all(struct world *w, struct script_answers *a);
/* Each in this order, until one is not done. */
void script_try_all(struct world *w, struct script_answers *a);
/* A request of this text, filled in, must be refused with this code. */
void script_refused(struct world *w, const struct script_answers *a, const char *code, const char *request);
/* With this code or the other one. */
void script_refused_or(struct world *w, const struct script_answers *a, const char *code, const char *other, const char *request);
/* All were done, each once: balances and bookings are what they are to be. spent: what alice's requests cost besides. */
void script_is_done(struct world *w, int64_t spent);

#endif
