/*
 * Who runs: one row per role, one row per arrow. What is not connected here can't talk, what is not granted
 * here is not in the process. Supervisor (starts them) and each child (finds its row); all constant.
 *
 * A role's number is its end in ticket/messages.h: END_OF_EDGE is the edge's, in messages, events and here.
 */
#ifndef PROC_ROLES_H
#define PROC_ROLES_H

#include "core/base.h"
#include "proc/profiles.h"
#include "ticket/board.h"
#include "ticket/counters.h"
#include "ticket/messages.h"

/*
 * Descriptors that a role may get, besides its control socket, its arrows and the pipe on 0 to 2. X(NAME, what
 * it is)
 */
#define GRANTS(X) \
	X(BOARD, "slots and tickets, read and write") \
	X(KEYS, "the key table, read-only") \
	X(KEYS_WRITE, "the key table, read and write") \
	X(CATALOGUE, "providers, models and prices, sealed") \
	X(COUNTERS, "counters, read and write; an edge maps its own page and closes it") \
	X(COUNTERS_READ, "counters, read-only; an edge maps what the supervisor tells and closes it") \
	X(TALLY, "sums over booked tickets, read and write") \
	X(TALLY_READ, "sums over booked tickets, read-only") \
	X(WAKE, "eventfd by which a hand-in wakes the ledger") \
	X(CONTROL, "listening Unix socket of the command line") \
	X(LOG, "the log") \
	X(METRICS, "listener of Prometheus; absent when not configured") \
	X(LOCK, "the data directory's server lock: held until the books are closed, whoever dies first") \
	X(PREDECESSOR, "pidfd of the ledger before, whose end is waited for; absent when there is none")

enum grant {
#define X(name, meaning) GRANT_##name,
	GRANTS(X)
#undef X
		GRANT_COUNT
};

#define GRANTED(name) (1u << GRANT_##name)

/*
 * X(ROLE, name, how many, listeners of the public?, grants). The order is the order of starting, and of the list of processes that outlives an
 * upgrade: new ones are appended; profile and
 * main function go by the name: PROFILE_<ROLE>, role_<name>().
 */
#define ROLES(X) \
	X(SCRIBE, scribe, 1, false, GRANTED(CATALOGUE) | GRANTED(COUNTERS_READ) | GRANTED(TALLY_READ) | GRANTED(LOG) | GRANTED(METRICS)) \
	X(LEDGER, ledger, 1, false, GRANTED(BOARD) | GRANTED(KEYS_WRITE) | GRANTED(CATALOGUE) | GRANTED(COUNTERS_READ) | GRANTED(TALLY) | GRANTED(WAKE) | GRANTED(CONTROL) | GRANTED(LOCK) | GRANTED(PREDECESSOR)) \
	X(DIALER, dialer, ROLE_PER_GENERATION, false, GRANTED(CATALOGUE)) \
	X(EDGE, edge, ROLE_PER_EDGE, true, GRANTED(BOARD) | GRANTED(KEYS) | GRANTED(CATALOGUE) | GRANTED(COUNTERS) | GRANTED(COUNTERS_READ) | GRANTED(WAKE)) \
	X(SIGNER, signer, ROLE_PER_GENERATION, false, 0)

/* X(ROLE, ROLE): a socket pair between each instance of the one and each of the other; those of a generation know its own only. */
#define ARROWS(X) \
	X(EDGE, DIALER) \
	X(EDGE, LEDGER) \
	X(EDGE, SCRIBE) \
	X(EDGE, SIGNER) \
	X(DIALER, SCRIBE) \
	X(LEDGER, SCRIBE) \
	X(SIGNER, SCRIBE)

enum {
	ROLE_PER_EDGE = 0, /* and generation */
	ROLE_PER_GENERATION = UINT16_MAX,
	GENERATIONS_MAX = 3, /* of edges: one that serves, and those whose exchanges are still running */
	CHILDREN_MAX = BOARD_EDGES_MAX + 2 * GENERATIONS_MAX + 2,
	ARROWS_MAX = 4 * BOARD_EDGES_MAX + 2 * GENERATIONS_MAX + 1,
};
_Static_assert(CHILDREN_MAX - GENERATIONS_MAX <= (int)PROCESSES_MAX, "each child is told of, but for the signers beside a hundred edges");

struct handover;

struct role {
	enum message_end end;
	const char *name; /* "edge" */
	const char *comm; /* "lethe-edge" */
	uint32_t count; /* or ROLE_PER_EDGE, ROLE_PER_GENERATION */
	bool listens;
	uint32_t grants;
	enum profile_role profile;
	int (*main)(struct handover *h); /* the child's life; returns its exit status */
};

/* NULL: no such role. */
const struct role *role_of(enum message_end end);
/* In the order of starting; NULL behind the last. */
const struct role *role_at(uint32_t i);

struct arrow_row {
	enum message_end a, b;
};
const struct arrow_row *arrow_row_at(uint32_t i);

#define X(ROLE, name, count, listens, grants) int role_##name(struct handover *h);
ROLES(X)
#undef X

#endif
