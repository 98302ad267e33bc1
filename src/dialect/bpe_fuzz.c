/*
 * Tokens of any text in any pieces are as many as the slow reference counts (bpe_reference.h); of runs longer than a piece may be, at most an eighth more, and a few at each cut. Byte 0:
 * which vocabulary; byte 1: how long the pieces are.
 */
#include "dialect/bpe.h"

#include "dialect/bpe_reference.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 800,
	CUT = 8 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bpe b;
	if (size < 2 || size > TEXT_MAX)
		return 0;
	enum tokenizer tokenizer = data[0] & 1 ? TOKENIZER_cl100k_base : TOKENIZER_o200k_base;
	size_t part = (size_t)data[1] + 1, len = size - 2;
	bpe_begin(&b, tokenizer);
	for (size_t at = 0; at < len; at += part) {
		size_t n = part < len - at ? part : len - at;
		char *piece = malloc(n); /* so that what is read behind it is seen */
		memcpy(piece, data + 2 + at, n);
		bpe_feed(&b, (struct span){piece, n});
		free(piece);
	}
	uint64_t tokens = bpe_end(&b), slow = bpe_reference(tokenizer, (struct span){(const char *)data + 2, len});
	if (len <= BPE_PIECE_MAX)
		assert(tokens == slow);
	else
		assert(tokens >= slow - slow / 8 - 2 && tokens <= slow + slow / 8 + CUT * (len / BPE_PIECE_MAX));
	assert(b.steps <= 150 * len);
	return 0;
}
