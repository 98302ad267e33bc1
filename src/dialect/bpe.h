/*
 * How many tokens a text has, by a vocabulary that is known: OpenAI's o200k_base and cl100k_base. Equal to what their own tool counts, but for a run of
 * letters, blanks or signs of more than BPE_PIECE_MAX bytes, which is counted in parts of that length, and so as a few tokens more.
 *
 * Pure and resumable at any byte, no allocation, work linear in the text. The caller embeds the struct in vault memory, where what it holds of the text (a
 * window) is wiped with it. Special tokens (<|endoftext|>) count as the text that they are. Run by the edge.
 */
#ifndef DIALECT_BPE_H
#define DIALECT_BPE_H

#include "core/base.h"
#include "ticket/tokenizers.h"

enum {
	BPE_PIECE_MAX = 256, /* a bound of the work per byte */
	BPE_AHEAD = 8, /* bytes behind a piece that say where it ends */
	BPE_SEEN_MAX = BPE_PIECE_MAX + BPE_AHEAD,
	BPE_WINDOW = 1024,
};

struct bpe {
	uint64_t tokens; /* of what was fed and is not in the window any more */
	uint64_t steps; /* of work: grows by 1 to 150 per byte */
	uint8_t tokenizer; /* enum tokenizer */
	uint16_t len; /* of the window */
	char window[BPE_WINDOW];
	uint32_t token[BPE_SEEN_MAX], merged[BPE_SEEN_MAX]; /* of the piece that is being counted */
};

/* tokenizer: not none. */
void bpe_begin(struct bpe *b, enum tokenizer tokenizer);
void bpe_feed(struct bpe *b, struct span text);
/* The text ends here; what is fed behind that is another one, and adds up. Returns b->tokens. */
uint64_t bpe_end(struct bpe *b);

#endif
