/*
 * The form in which the program has a vocabulary's merges: a table of pairs of tokens by hash, made when the program is built (tool/bpe_table.c) and never
 * written, so that all processes share its pages and none has those that nobody looked at. Private to src/dialect.
 */
#ifndef DIALECT_BPE_TABLE_H
#define DIALECT_BPE_TABLE_H

#include "core/base.h"
#include "ticket/tokenizers.h"

enum { BPE_TOKEN_BITS = 18,
	BPE_BYTES = 256 };

#define BPE_TOKEN_MASK ((UINT64_C(1) << BPE_TOKEN_BITS) - 1)
#define BPE_EMPTY UINT64_MAX

/* A row is the pair above, and what it becomes below. */
static inline uint64_t
bpe_pair(uint32_t left, uint32_t right)
{
	return (uint64_t)left << BPE_TOKEN_BITS | right;
}

/* Where to begin to look in a table of 2^bits rows; the next is looked at until one is empty. */
static inline uint32_t
bpe_slot(uint64_t pair, unsigned bits)
{
	return (uint32_t)(pair * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits));
}

#define X(name, number, tokens, bits) \
	extern const unsigned char bpe_##name##_bytes[BPE_BYTES]; \
	extern const uint64_t bpe_##name##_pairs[1u << (bits)];
TOKENIZERS(X)
#undef X

#endif
