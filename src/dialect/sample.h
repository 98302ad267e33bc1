/*
 * Some of the words of a stream and of its request, for the case that nobody says in the end how many tokens they were: to count each word as it passes would
 * cost every stream what only those need that are cut. Kept as they came (JSON's escapes included) and counted when it has come to that (bpe.h).
 *
 * Of an answer the first 704 bytes, and then windows of 176 that begin where twice as much has been said, in place of older ones; of a body four pieces at even
 * distances, whose ends are words' where they can be. Pure, no allocation; the caller embeds the struct in the vault, where it is wiped with the answer. Run by the edge.
 */
#ifndef DIALECT_SAMPLE_H
#define DIALECT_SAMPLE_H

#include "dialect/bpe.h"

enum {
	SAMPLE_WINDOWS = 4,
	SAMPLE_WINDOW = 176,
	SAMPLE_BODY = 256,
};

struct sample {
	uint64_t from; /* words are taken once so many bytes have been said */
	uint64_t body_text, body_media; /* bytes of text in the body, and tokens of what is none */
	uint8_t window, len[SAMPLE_WINDOWS], body_len[SAMPLE_WINDOWS];
	bool open; /* the window has room */
	char said[SAMPLE_WINDOWS][SAMPLE_WINDOW];
	char body[SAMPLE_WINDOWS][SAMPLE_BODY / SAMPLE_WINDOWS];
};
_Static_assert(sizeof(struct sample) <= 1024, "a KiB a stream");

static inline bool
sample_wants(const struct sample *s, uint64_t said)
{
	return s && said >= s->from;
}

/* The inside of a JSON string, behind `said` bytes of such. */
void sample_words(struct sample *s, struct span words, uint64_t said);

/* Tokens in the windows that were taken of the answer or of the body; *ret_bytes: of how many bytes. */
uint64_t sample_tokens(const struct sample *s, bool body, struct bpe *b, enum tokenizer tokenizer, uint64_t *ret_bytes);

#endif
