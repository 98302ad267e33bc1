/*
 * What is wrong with a file of the operator: a bounded list of "file:line: what – remedy". Supervisor and
 * command line; the caller owns the list and what it prints.
 */
#ifndef PROC_PROBLEMS_H
#define PROC_PROBLEMS_H

#include "core/base.h"

#include <stdio.h>

enum { PROBLEMS_MAX = 24,
	PROBLEM_TEXT_MAX = 400 };

struct problem {
	uint32_t line; /* from 1; 0: the file as a whole */
	bool warning;
	char text[PROBLEM_TEXT_MAX];
};

struct problems {
	const char *file; /* as the operator named it; must live as long as the list */
	uint32_t count; /* kept; what is beyond PROBLEMS_MAX only counts */
	uint32_t errors, warnings;
	struct problem row[PROBLEMS_MAX];
};

void problems_init(struct problems *p, const char *file);
void problems_error(struct problems *p, uint32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void problems_warn(struct problems *p, uint32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* In the order of lines, errors and warnings together. */
void problems_print(const struct problems *p, FILE *to);
/* "file:12: text" without a line end; the length as snprintf says it. */
int problem_text(const struct problems *p, uint32_t index, char *out, size_t cap);

#endif
