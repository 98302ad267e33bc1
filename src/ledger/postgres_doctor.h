/*
 * What there is to know of a PostgreSQL before, or while, books are in it: reached how, set how, allowed what. Reads only, takes no lock, changes nothing. Command line.
 */
#ifndef LEDGER_POSTGRES_DOCTOR_H
#define LEDGER_POSTGRES_DOCTOR_H

#include "core/base.h"

/* X(NAME, name) */
#define POSTGRES_FINDINGS(X) \
	X(REACHED, "store") \
	X(VERSION, "store version") \
	X(ENCODING, "store encoding") \
	X(KEPT, "store on disk") \
	X(RIGHTS, "store rights") \
	X(SCHEMA, "store tables") \
	X(LATENCY, "store latency") \
	X(TLS, "store connection") \
	X(CLOCK, "store clock")

enum postgres_finding {
#define X(NAME, name) POSTGRES_##NAME,
	POSTGRES_FINDINGS(X)
#undef X
		POSTGRES_FINDING_COUNT
};

enum finding_state { FINDING_OK,
	FINDING_WARN,
	FINDING_BAD };

struct finding {
	enum finding_state state;
	const char *name;
	uint64_t number; /* LATENCY: µs; CLOCK: µs of difference; VERSION, SCHEMA: the number; 0 otherwise */
	char value[160];
	char remedy[400]; /* empty when there is nothing to do */
};

/* How many there are: all, or the first alone when it can't be reached. *ret_identity: which store it is (store.identity); 0: not known. */
size_t postgres_examine(const char *address, struct finding out[POSTGRES_FINDING_COUNT], int64_t *ret_identity);

#endif
