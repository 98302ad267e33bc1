/*
 * What this machine, this user and these limits allow: a list of facts, each with its state and the command
 * that mends it. Looked at by `lethe doctor` and, for the log, by the supervisor at its start. Reads only;
 * the caller owns what is returned.
 */
#ifndef PROC_DOCTOR_H
#define PROC_DOCTOR_H

#include "core/base.h"

enum fact_state { FACT_OK,
	FACT_WARN,
	FACT_BAD };

struct fact {
	enum fact_state state;
	const char *name;
	char value[160];
	char remedy[400]; /* empty when there is nothing to do */
};

enum { FACTS_MAX = 20 };

/* Fill out[FACTS_MAX]; data_dir may not exist yet. Returns the number of facts. */
size_t doctor_facts(const char *data_dir, struct fact *out);

#endif
