/*
 * Looks for marks in bytes: any sixteen bytes in a row of any mark, in each of its forms, whatever lies around them. Each mark is cut into blocks of
 * eight; a run of sixteen holds at least one of them whole, so one look at each position finds them all. Command line only; the caller owns
 * the bytes, the search the findings.
 */
#ifndef PROVE_SEARCH_H
#define PROVE_SEARCH_H

#include "prove/canary.h"

enum { SEARCH_WHERE_MAX = 200,
	SEARCH_FINDINGS_MAX = 1000,
	/* Who cuts memory into pieces lets them overlap by this: the longest form. */
	SEARCH_OVERLAP = 6 * CANARY_BYTES };

struct finding {
	uint32_t canary;
	enum canary_form form;
	char where[SEARCH_WHERE_MAX];
};

struct search {
	const struct canaries *canaries;
	struct search_row *rows;
	uint64_t *filter;
	uint32_t row_mask, filter_shift;
	enum canary_form undone; /* RAW: what is looked at lies there as it is */
	struct finding *findings;
	uint32_t finding_count;
	uint64_t searched_bytes;
};

/* For the marks that there are now. */
void search_open(struct search *s, const struct canaries *c);
void search_close(struct search *s);

void search_bytes(struct search *s, const void *at, size_t len, const char *where);

#endif
