/*
 * What the fuzzers of requests and answers share: what their first two bytes choose, and numbers out of the rest.
 * Fuzzing only; owns nothing.
 *
 * byte 0  a letter: A to K is the endpoint by its number, L to O what the fuzzer makes itself, P to T five endpoints more; a small letter is a stream
 * byte 1  how the rest is split: pieces of at most 1 + byte % 32 bytes, their lengths drawn from it
 */
#ifndef DIALECT_DIALECT_FUZZ_H
#define DIALECT_DIALECT_FUZZ_H

#include "core/base.h"
#include "ticket/endpoints.h"
#include "ticket/usage.h"

enum { FUZZ_CHOICE = 0x1f,
	FUZZ_MADE = 12, /* L */
	FUZZ_MADE_END = 16,
	FUZZ_STREAMED = 0x20 };

/* ENDPOINT_NONE: none. */
static inline enum endpoint
fuzz_endpoint(uint8_t letter)
{
	unsigned choice = letter & FUZZ_CHOICE;
	if (choice >= FUZZ_MADE_END)
		choice -= FUZZ_MADE_END - FUZZ_MADE;
	else if (choice >= FUZZ_MADE)
		choice = ENDPOINT_NONE;
	return choice < ENDPOINT_COUNT ? (enum endpoint)choice : ENDPOINT_NONE;
}

struct fuzz_splits {
	uint32_t state, most;
};

static inline struct fuzz_splits
fuzz_splits(uint8_t seed)
{
	return (struct fuzz_splits){0x9e3779b9u ^ seed, 1u + seed % 32};
}

/* Everything at once. */
static inline struct fuzz_splits
fuzz_whole(void)
{
	return (struct fuzz_splits){0, UINT32_MAX};
}

/* Length of the next piece of what is left; 0 only when nothing is. */
static inline size_t
fuzz_piece(struct fuzz_splits *s, size_t left)
{
	if (s->most == UINT32_MAX)
		return left;
	s->state = s->state * 1664525u + 1013904223u;
	size_t n = 1 + (s->state >> 16) % s->most;
	return n < left ? n : left;
}

/* A number below 2^40 from the front of the input; 0 when it is used up. */
static inline uint64_t
fuzz_number(struct span *in)
{
	uint64_t v = 0;
	size_t bytes = in->len ? (unsigned char)in->at[0] % 6 : 0;
	if (in->len)
		*in = (struct span){in->at + 1, in->len - 1};
	for (; in->len && bytes; bytes--, in->at++, in->len--)
		v = v << 8 | (unsigned char)in->at[0];
	return v;
}

static inline uint64_t
fuzz_at_most(uint64_t v, uint64_t most)
{
	return v < most ? v : most;
}

static inline uint64_t
fuzz_sum(const struct usage *u, enum token_kind from, enum token_kind to)
{
	uint64_t n = 0;
	for (unsigned k = from; k <= (unsigned)to; k++)
		n += u->tokens[k];
	return n;
}

#endif
