/*
 * What an answer consumed, by kind. The kinds are disjoint: they add up, each has its own price. Written by the meter, kept in the
 * ticket. Edge and ledger.
 */
#ifndef TICKET_USAGE_H
#define TICKET_USAGE_H

#include "core/base.h"

/* X(name, meaning, kind whose price stands in when the catalogue gives none; itself = a price is required) */
#define TOKEN_KINDS(X) \
	X(input, "prompt tokens that no other kind counts", input) \
	X(cached, "prompt tokens read from the provider's cache", input) \
	X(cache_write, "prompt tokens written to the provider's cache (default lifetime)", input) \
	X(cache_write_1h, "prompt tokens written to the provider's cache for one hour", cache_write) \
	X(audio_in, "audio tokens of the prompt", input) \
	X(image_in, "image tokens of the prompt", input) \
	X(output, "visible output tokens that no other kind counts", output) \
	X(reasoning, "hidden reasoning tokens", output) \
	X(audio_out, "audio tokens of the answer", output) \
	X(image_out, "image tokens of the answer", output)

enum token_kind {
#define X(name, meaning, fallback) TOKEN_##name,
	TOKEN_KINDS(X)
#undef X
	TOKEN_KIND_COUNT
};

/* How the numbers came about; OR-ed. */
enum usage_flag {
	USAGE_REPORTED = 1, /* the provider said so */
	USAGE_ESTIMATED = 2, /* counted by us */
	USAGE_ABSURD = 4, /* the provider reported a negative, impossible or overflowing number: clamped */
};

struct usage {
	uint64_t tokens[TOKEN_KIND_COUNT];
	uint32_t flags;
	uint32_t tool_calls; /* billed server tool uses */
};

#endif
