/*
 * What a configuration may say of models and prices, and an operator hardly means. Every rule is a row of the table in lint_rules.h; a
 * finding names its place, what is odd, and what to do. Pure; command line; the caller frees the list.
 */
#ifndef PROC_LINT_H
#define PROC_LINT_H

#include "proc/config.h"

enum { LINT_TEXT_MAX = 320,
	LINT_FINDINGS_MAX = 100000 };

struct lint_finding {
	uint32_t place; /* of problems.h */
	const char *rule;
	char text[LINT_TEXT_MAX];
};

struct lint {
	/* asked */
	const struct config *c;
	uint64_t now_ms;
	uint32_t old_days; /* a price that is in force for longer is worth a look */
	const char *skip; /* names of rules with commas between; NULL: none */
	/* found, in the order of places */
	struct lint_finding *findings;
	size_t count;
};

void lint_run(struct lint *l);
void lint_finish(struct lint *l);

/* By their names, models whose reasoning is hidden and charged. */
bool lint_reasons_by_name(const char *upstream);

#endif
