/*
 * The numbers of a chat usage object as they stand on the wire, and what they mean. Private to src/dialect;
 * runs in the edge; owns nothing.
 */
#ifndef DIALECT_CHAT_PRIV_H
#define DIALECT_CHAT_PRIV_H

#include "core/json_scan.h"
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

struct chat_usage_raw {
	uint64_t value[CHAT_USAGE_NUMBER_COUNT];
	uint32_t given; /* bit per number that was there and not null */
	bool absurd;
};

/* Take one number's event; what can't be a count of tokens is made one and marked absurd. */
void chat_usage_take(struct chat_usage_raw *raw, enum chat_usage_number which, enum json_token t,
	const struct json_event *ev);

/* Disjoint kinds that add up to prompt and output. False when the object held no count at all: *ret is left alone. */
must_check bool chat_usage_normalise(const struct chat_usage_raw *raw, struct usage *ret);

#endif
