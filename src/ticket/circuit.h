/*
 * Circuits: what all edges know about who answers and who does not. One for each target (provider and its name for the model) and for each key of a
 * provider, in memory that edges share (behind their counters), found by an id that means the same in every catalogue. Numbers only.
 *
 * A circuit never refuses anybody: it says who is asked last (docs/decisions/0055). Closed is 0, one load on the way of a request.
 */
#ifndef TICKET_CIRCUIT_H
#define TICKET_CIRCUIT_H

#include "core/base.h"
#include "ticket/catalogue.h"

#include <stdatomic.h>

/* X(NAME, label in metrics, meaning) */
#define CIRCUIT_STATES(X) \
	X(CLOSED, "closed", "it is asked") \
	X(RESTING, "resting", "it has said when to come again") \
	X(OPEN, "open", "it failed several times in a row; others are asked before it") \
	X(REFUSED, "refused", "it refuses the operator's account; others are asked before it") \
	X(PROBING, "probing", "one request finds out whether it answers again")

enum circuit_state {
#define X(NAME, label, meaning) CIRCUIT_##NAME,
	CIRCUIT_STATES(X)
#undef X
		CIRCUIT_STATE_COUNT
};

enum { CIRCUITS_MAX = 4096,
	CIRCUIT_FAILURES = 3, /* in a row open it */
	CIRCUIT_OPEN_MS = 5000, /* the first time; doubled with each probe that fails */
	CIRCUIT_OPEN_MOST_MS = 300000,
	CIRCUIT_REFUSED_MS = 30000,
	CIRCUIT_PROBE_MS = 60000, /* a probe that takes longer is followed by another */
	CIRCUIT_REST_MS = 1000, /* of who doesn't say how long */
	CIRCUIT_REST_MOST_MS = 600000 };

struct circuit {
	_Atomic uint64_t id; /* 0: free */
	_Atomic uint64_t word; /* until, failures, level, state; 0: closed */
	_Atomic uint64_t opened; /* how often */
	_Atomic uint64_t spare;
};

struct circuits {
	struct circuit row[CIRCUITS_MAX];
};

static inline uint64_t
circuit_target_id(uint32_t target)
{
	return UINT64_C(1) << 32 | target;
}

static inline uint64_t
circuit_key_id(uint32_t provider, uint32_t key)
{
	return (uint64_t)(key + 2) << 32 | provider;
}

/* The row of this id, claimed when there is none. NULL: the table is full. */
struct circuit *circuit_of(struct circuits *c, uint64_t id);
/* The row of this id, or NULL. */
const struct circuit *circuit_find(const struct circuits *c, uint64_t id);

/* How many targets and keys of this catalogue are open, refused or being probed: asked after others, if at all. */
uint32_t circuits_troubled(const struct circuits *all, const struct catalogue *c, uint64_t now_ms);

/* May it be asked before those that may not? True as well when the time has come for a probe, which circuit_claim() takes. */
bool circuit_may(const struct circuit *c, uint64_t now_ms);
/* It will be asked: if that is a probe, is it this one's? */
bool circuit_claim(struct circuit *c, uint64_t now_ms);
/* Whoever has claimed a probe does not ask after all: the next one may. */
void circuit_unclaim(struct circuit *c, uint64_t now_ms);
enum circuit_state circuit_state(const struct circuit *c, uint64_t now_ms);
/* When it rests no more; for who has to choose among those that may not be asked. */
uint64_t circuit_until_ms(const struct circuit *c);

/* It has answered. True: it was open. */
bool circuit_good(struct circuit *c);
/* It has failed. True: by that it opened. */
bool circuit_failed(struct circuit *c, uint64_t now_ms);
/* It refuses our account. True: by that it opened. */
bool circuit_refused(struct circuit *c, uint64_t now_ms);
/* It refuses this request, maybe for what that asks: only several in a row are about our account. True: by that it opened. */
bool circuit_forbidden(struct circuit *c, uint64_t now_ms);
/* It wants to be left alone for so long; 0: it did not say. */
void circuit_rest(struct circuit *c, uint64_t now_ms, uint64_t rest_ms);

#endif
