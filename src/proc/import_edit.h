/*
 * Changes to a text at places of it, and the unified diff that shows them: untouched lines stay byte by byte. Pure; the
 * command line.
 */
#ifndef PROC_IMPORT_EDIT_H
#define PROC_IMPORT_EDIT_H

#include "core/base.h"

#include <stdio.h>

struct edit {
	size_t at, remove;
	char *text; /* takes the place of what is removed */
	uint32_t order;
};

struct edits {
	struct edit *row;
	uint32_t count;
};

/* The text is copied. Edits don't overlap; those at one place come in the order in which they were added. */
void edits_add(struct edits *e, size_t at, size_t remove, const char *text);
/*
 * Whole lines, each with its end, in front of the line at `at`, or behind the last one, which may have no end (and the
 * new last one then has none either).
 */
void edits_add_lines(struct edits *e, struct span old, size_t at, const char *lines, const char *line_end);
/* The changed text, the caller's. */
char *edits_apply(struct edits *e, struct span old, size_t *ret_len);
/* For `patch -p0` and `git apply -p0`; nothing when nothing changes. */
void edits_diff(struct edits *e, struct span old, const char *path, FILE *to);
void edits_free(struct edits *e);

#endif
