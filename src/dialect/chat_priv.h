/*
 * The numbers of a chat usage object as they stand on the wire, and what they mean. Private to src/dialect;
 * runs in the edge; owns nothing.
 */
#ifndef DIALECT_CHAT_PRIV_H
#define DIALECT_CHAT_PRIV_H

#include "dialect/counts.h"
#include "ticket/usage.h"

/* X(name, key) */
#define CHAT_USAGE_NUMBERS(X) \
	X(PROMPT) /* prompt_tokens */ \
	X(COMPLETION) /* completion_tokens */ \
	X(TOTAL) /* total_tokens */ \
	X(CACHED) /* prompt_tokens_details.cached_tokens */ \
	X(CACHED_FLAT) /* usage.cached_tokens (Moonshot), usage.prompt_cache_hit_tokens (DeepSeek) */ \
	X(CACHE_WRITE) /* prompt_tokens_details.cache_write_tokens */ \
	X(AUDIO_IN) /* prompt_tokens_details.audio_tokens */ \
	X(IMAGE_IN) /* prompt_tokens_details.image_tokens */ \
	X(REASONING) /* completion_tokens_details.reasoning_tokens */ \
	X(AUDIO_OUT) /* completion_tokens_details.audio_tokens */ \
	X(IMAGE_OUT) /* completion_tokens_details.image_tokens */ \
	X(SEARCHES) /* server_tool_use_details.web_search_requests (OpenRouter) */ \
	X(SOURCES) /* num_sources_used (xAI): each is billed */

enum chat_usage_number {
#define X(name) CHAT_USAGE_##name,
	CHAT_USAGE_NUMBERS(X)
#undef X
		CHAT_USAGE_NUMBER_COUNT
};

_Static_assert((int)CHAT_USAGE_NUMBER_COUNT <= (int)COUNTS_MAX, "each number has its place");

/* Disjoint kinds that add up to prompt and output. False when the object held no count at all: *ret is left alone. */
must_check bool chat_usage_normalise(const struct counts *raw, struct usage *ret);

#endif
