/*
 * What is wrong with a file of the operator, and with the one that it names for its catalogue: a bounded list of
 * "file:line: what – remedy". Supervisor and command line; the caller owns the list and what it prints.
 *
 * A line is a place: its lowest bits count the lines of its file, from 1 (0: the file as a whole), PLACE_CATALOGUE
 * says that it is a line of the catalogue's file. Files have at most 8 MiB, so fewer lines than that.
 */
#ifndef PROC_PROBLEMS_H
#define PROC_PROBLEMS_H

#include "core/base.h"

#include <limits.h>
#include <stdio.h>

enum { PROBLEMS_MAX = 24,
	PROBLEM_TEXT_MAX = 400,
	PLACE_CATALOGUE = 1 << 24,
	PLACE_TEXT_MAX = PATH_MAX + 40 };

struct problem {
	uint32_t line; /* a place */
	bool warning;
	char text[PROBLEM_TEXT_MAX];
};

struct problems {
	const char *file; /* as the operator named it; must live as long as the list */
	char catalogue[PATH_MAX]; /* the file of lines with PLACE_CATALOGUE */
	uint32_t count; /* kept; what is beyond PROBLEMS_MAX only counts */
	uint32_t errors, warnings;
	struct problem row[PROBLEMS_MAX];
};

void problems_init(struct problems *p, const char *file);
/* NULL: there is none. */
void problems_set_catalogue(struct problems *p, const char *file);
void problems_error(struct problems *p, uint32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void problems_warn(struct problems *p, uint32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* In the order of lines, errors and warnings together. */
void problems_print(const struct problems *p, FILE *to);
/* The file of a place, and the line in it. */
const char *place_file(const struct problems *p, uint32_t place);
uint32_t place_line(uint32_t place);
/* "line 12", or "line 12 of FILE" when that is another file than `seen_from`'s. */
const char *place_text(const struct problems *p, uint32_t place, uint32_t seen_from, char out[PLACE_TEXT_MAX]);
/* "file:12: text" without a line end; the length as snprintf says it. */
int problem_text(const struct problems *p, uint32_t index, char *out, size_t cap);

#endif
