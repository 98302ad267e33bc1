/*
 * Numbers of a usage object as they stand on the wire, by an index that each language gives them. Private to src/dialect; owns nothing.
 */
#ifndef DIALECT_COUNTS_H
#define DIALECT_COUNTS_H

#include "core/json_scan.h"
#include "ticket/usage.h"

enum { COUNTS_MAX = 20 };

struct counts {
	uint64_t value[COUNTS_MAX];
	uint32_t given; /* bit per number that was there and not null */
	uint32_t unread; /* those of them that are below zero or no number: they tell nothing */
	bool absurd;
};

/*
 * Take one number's event; what can't be a count of tokens is made one and marked absurd. Whole numbers in quotes count as such (proto3's
 * int64).
 */
void counts_take(struct counts *c, unsigned which, enum json_token t, const struct json_event *ev);

static inline bool
counts_given(const struct counts *c, unsigned which)
{
	return c->given >> which & 1;
}

/*
 * Do these numbers tell nothing? So it is when one of the main ones, those that a bill is the sum of, can't be read, or when there is none of them but a
 * total that can't. What is too large to be true is read: it tells that there was much.
 */
static inline bool
counts_unusable(const struct counts *c, uint32_t main, uint32_t total)
{
	return c->unread & main || (c->unread & total && !(c->given & main));
}

/* Move at most what is left from *rest to *kind. */
static inline void
counts_carve(uint64_t *rest, uint64_t want, uint64_t *kind)
{
	*kind = want < *rest ? want : *rest;
	*rest -= *kind;
}

static inline uint32_t
counts_clamp32(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* The tier that a word of the answer names; standard when it is none of ours. */
enum service_tier counts_tier(struct span word);

#endif
