/*
 * Numbers as price lists write them, to whole units without a rounding on the way: "1.25e-06" dollars per token are
 * 1250000 pico. Pure; the command line.
 */
#ifndef PROC_IMPORT_DECIMAL_H
#define PROC_IMPORT_DECIMAL_H

#include "core/base.h"

enum decimal {
	DECIMAL_OK,
	DECIMAL_NO_NUMBER,
	DECIMAL_NEGATIVE,
	DECIMAL_TOO_FINE, /* not a whole number of units */
	DECIMAL_TOO_LARGE,
};

/* text × 10^shift, at most `most`. *ret is untouched unless it is DECIMAL_OK. */
must_check enum decimal decimal_units(struct span text, int shift, int64_t most, int64_t *ret);

/* Why not, for a person. */
const char *decimal_flaw(enum decimal flaw);

enum { DECIMAL_TEXT_MAX = 32 };

/* units ÷ 10^places, with at least `least` digits behind the point: 1250000, 6, 2 is "1.25". */
void decimal_text(int64_t units, unsigned places, unsigned least, char out[DECIMAL_TEXT_MAX]);

#endif
