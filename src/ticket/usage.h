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
	X(video_in, "video tokens of the prompt", input) \
	X(cached_audio, "audio tokens of the prompt read from the provider's cache", cached) \
	X(cached_image, "image tokens of the prompt read from the provider's cache", cached) \
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

/* What the provider does itself while it answers and bills by the piece. X(name, what one piece is) */
#define SERVER_TOOLS(X) \
	X(web_search, "searches of the web, or sources that they used") \
	X(file_search, "searches of stored files") \
	X(code_session, "sandboxes in which code was run")
/* What is measured by the piece where the provider counts no tokens. */
#define MEASURES(X) \
	X(audio_second, "seconds of audio, where the provider bills by duration") \
	X(image, "images made, where the provider reports no tokens")
#define TOOL_KINDS(X) SERVER_TOOLS(X) MEASURES(X)

enum tool_kind {
#define X(name, piece) TOOL_##name,
	TOOL_KINDS(X)
#undef X
		TOOL_KIND_COUNT
};

/* By what tier the provider served, as it said in the answer. X(name, the words for it) */
#define SERVICE_TIERS(X) \
	X(standard) /* default, standard, on_demand, unspecified; scale: capacity is paid for elsewhere */ \
	X(flex) \
	X(priority) /* OpenAI echoes `fast` as priority */ \
	X(batch) \
	X(fast) /* Anthropic: speed: fast */

enum service_tier {
#define X(name) TIER_##name,
	SERVICE_TIERS(X)
#undef X
		TIER_COUNT
};

/* How the numbers came about; OR-ed. */
enum usage_flag {
	USAGE_REPORTED = 1, /* the provider said so */
	USAGE_ESTIMATED = 2, /* counted by us */
	USAGE_ABSURD = 4, /* the provider reported an impossible or overflowing number: clamped; without USAGE_REPORTED: what it reported tells nothing */
	USAGE_GEO_US = 8, /* Anthropic: inference_geo: us */
	USAGE_PIECES = 16, /* the report is in pieces (MEASURES) and says nothing about tokens; else it is the other way round */
};

struct usage {
	uint64_t tokens[TOKEN_KIND_COUNT];
	uint32_t flags;
	uint32_t tools[TOOL_KIND_COUNT];
	uint8_t tier; /* enum service_tier */
};

#endif
