/*
 * What there is to know of a PostgreSQL before, or while, books are in it: reached how, set how, allowed what. Reads only, takes no lock, changes nothing. Command line, and the ledger over its own connection (store_examine()).
 */
#ifndef LEDGER_POSTGRES_DOCTOR_H
#define LEDGER_POSTGRES_DOCTOR_H

#include "ticket/tally_fields.h"

#include "core/base.h"

enum postgres_finding {
#define X(NAME, label, name, number) POSTGRES_##NAME,
	STORE_FACTS(X)
#undef X
		POSTGRES_FINDING_COUNT
};

enum finding_state { FINDING_OK,
	FINDING_WARN,
	FINDING_BAD };

struct store_finding {
	enum finding_state state;
	const char *name;
	uint64_t number; /* as STORE_FACTS says */
	char value[160];
	char remedy[400]; /* empty when there is nothing to do */
};

/* How many there are: all, or the first alone when it can't be reached. *ret_identity: which store it is (store.identity); 0: not known. */
size_t postgres_examine(const char *address, struct store_finding out[POSTGRES_FINDING_COUNT], int64_t *ret_identity);
/* The same of a store that is open, outside of transactions; one that breaks off meanwhile is lost, as with any statement. */
struct store;
size_t postgres_examine_own(struct store *s, struct store_finding out[POSTGRES_FINDING_COUNT]);

#endif
