/*
 * Texts as a manual page's source: escapes, `x` in bold, letters beyond ASCII as groff names them, so that the pages need no preprocessor.
 * Command line.
 */
#ifndef PROC_ROFF_H
#define PROC_ROFF_H

#include "core/base.h"

#include <stdio.h>

/* Running text; a line end becomes a space, but lines that begin with a blank stand alone. Ends the line. */
void roff_text(const char *text, FILE *to);
/* Examples: as they are, line by line. */
void roff_lines(const char *text, FILE *to);
/* The head of a page and its NAME section. */
void roff_title(const char *name, int section, const char *version, const char *summary, FILE *to);

#endif
