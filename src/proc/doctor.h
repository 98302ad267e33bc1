/*
 * What this machine, this user and these limits allow: a list of facts (ticket/machine.h), each with its state and the command that mends it. Looked at
 * by `lethe doctor`, and as numbers by the supervisor. Writes nothing but a page into a file without a name; the caller owns what is returned.
 */
#ifndef PROC_DOCTOR_H
#define PROC_DOCTOR_H

#include "ticket/circuit.h"
#include "ticket/machine.h"

struct tls_files;

struct fact {
	enum fact_state state;
	const char *name;
	uint64_t number; /* as machine.h says */
	char value[160];
	char remedy[400]; /* empty when there is nothing to do */
};

struct doctor {
	const char *root; /* what the kernel tells is below it; "" but in tests */
	const char *data_dir; /* may not exist yet */
	const char *store; /* PostgreSQL's address, which may have a password; NULL or "": the books are in ledger.db */
	const struct tls_files *tls; /* certificates and keys of ours; NULL: no configuration to look at, or no TLS in it */
	bool configured; /* a configuration was looked at */
	/* What edges know of providers; NULL: no server of ours runs here. */
	const struct catalogue *catalogue;
	const struct circuits *circuits;
	const char *tls_why; /* its files can't be read: why; NULL: they can */
};

void doctor_facts(const struct doctor *d, struct fact out[MACHINE_FACT_COUNT]);
/* As numbers. again: only what changes while a server runs, the rest of *ret stays. */
void doctor_look(const struct doctor *d, bool again, struct machine *ret);

#endif
