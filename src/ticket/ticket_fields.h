/*
 * Everything that is kept about a request. The struct, the SQL columns, the CSV and JSON columns, the API schema and the table in the
 * privacy notice are made from this list; what is not here is not kept. A field that could hold text does not compile (ticket.h).
 * New ones are appended: then a server can be upgraded while it runs (layout.h).
 *
 * X(name, C type, unit, meaning, promise that allows it)
 */
#ifndef TICKET_FIELDS_H
#define TICKET_FIELDS_H

#define TICKET_FIELDS(X) \
	X(started_us, uint64_t, "microseconds since 1970", "when the request's head was complete", "P4 time") \
	X(key, uint64_t, "id", "the API key that was used", "P4 key") \
	X(user, uint64_t, "id", "the user that owns the key, 0 when none; filled in by the ledger", "P4 user") \
	X(account, uint64_t, "id", "the account that pays: the workspace", "P4 workspace") \
	X(price, uint64_t, "id", "the row of the price book that was applied", "P4 cost") \
	X(parent, uint64_t, "id", "the ticket of which this is a leg, 0 when none; that one bears the cost", "P4 request id") \
	X(legs_nano, uint64_t, "nano-dollars", "part of the cost that the legs' usage makes, at their own prices", "P4 cost") \
	X(model, uint32_t, "id", "the catalogue's model", "P4 model") \
	X(provider, uint32_t, "id", "the catalogue's provider", "P4 provider") \
	X(duration_ms, uint32_t, "milliseconds", "head complete to last byte", "P4 latency") \
	X(first_byte_ms, uint32_t, "milliseconds", "head complete to the answer's first byte; 0 when none came", "P4 time to first byte") \
	X(tokens_input, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_cached, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_cache_write, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_cache_write_1h, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_audio_in, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_image_in, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_video_in, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_cached_audio, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_cached_image, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_output, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_reasoning, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_audio_out, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tokens_image_out, uint32_t, "tokens", "see usage.h", "P4 token counts by kind") \
	X(tools_web_search, uint32_t, "calls", "billed server tools, see usage.h", "P4 token counts by kind") \
	X(tools_file_search, uint32_t, "calls", "see usage.h", "P4 token counts by kind") \
	X(tools_code_session, uint32_t, "calls", "see usage.h", "P4 token counts by kind") \
	X(status, uint16_t, "HTTP status", "what the client was answered", "P4 status") \
	X(lane, uint16_t, "id", "the delivery lane, 0 for the default", "P4 lane") \
	X(target, uint16_t, "index", "which key and region of the provider", "P4 provider") \
	X(flags, uint16_t, "bits", "enum ticket_flag", "P4 streamed or not") \
	X(end_reason, uint8_t, "row of end_reasons.h", "how the exchange ended", "P4 error class") \
	X(endpoint, uint8_t, "enum endpoint", "which endpoint was called", "P4 endpoint") \
	X(client_family, uint8_t, "enum client_family", "which kind of client library called", "P4 client family") \
	X(tier, uint8_t, "enum service_tier", "the provider's tier that served", "P4 cost") \
	X(attempts, uint8_t, "count", "targets that were tried", "P4 provider") \
	X(tools_audio_second, uint32_t, "seconds", "of audio, see usage.h", "P4 token counts by kind") \
	X(tools_image, uint32_t, "images", "that were made, see usage.h", "P4 token counts by kind")

enum ticket_flag {
	TICKET_STREAMED = 1,
	TICKET_ESTIMATED = 2,
	TICKET_CAPPED = 4,
	TICKET_ABSURD = 8,
	TICKET_GEO_US = 16,
	TICKET_TIER_UNPRICED = 32, /* the answer's tier has no price of its own: charged as standard */
	TICKET_OWN_KEY = 64, /* by the account's own key at the provider: the fee is charged */
};

enum client_family {
	CLIENT_OTHER,
	CLIENT_OPENAI_PYTHON,
	CLIENT_OPENAI_NODE,
	CLIENT_CURL,
	CLIENT_BROWSER,
	CLIENT_ANTHROPIC_PYTHON,
	CLIENT_ANTHROPIC_NODE,
	CLIENT_GOOGLE_PYTHON,
	CLIENT_GOOGLE_NODE,
};

#endif
