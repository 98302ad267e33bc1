/*
 * Counts tokens the slow way, for tests: the patterns are tried alternative by alternative, character by character, and in a piece every pair of neighbours
 * is looked for by its bytes among those of all tokens. It has the table of merges and that of classes in common with bpe.c, and no code.
 */
#ifndef DIALECT_BPE_REFERENCE_H
#define DIALECT_BPE_REFERENCE_H

#include "core/base.h"
#include "ticket/tokenizers.h"

/* Without memory the process ends. */
uint64_t bpe_reference(enum tokenizer tokenizer, struct span text);

#endif
