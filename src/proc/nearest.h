/*
 * Which of the known words somebody meant who wrote another: the one with the fewest changed letters, if they are few. Pure; supervisor
 * and command line; keeps the callers' texts, owns nothing.
 */
#ifndef PROC_NEAREST_H
#define PROC_NEAREST_H

#include "core/base.h"

struct nearest {
	const char *word;
	const char *best; /* NULL: none is near */
	size_t distance; /* of the best, or what is too far */
};

void nearest_init(struct nearest *n, const char *word);
void nearest_try(struct nearest *n, const char *known);

#endif
