/*
 * OpenAI chat completions as a dialect: what routing needs from a request, and which bytes change. Answers: meter.h.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the structs in vault memory. Run by the edge.
 * Formats: platform.openai.com/docs/api-reference/chat.
 */
#ifndef DIALECT_CHAT_H
#define DIALECT_CHAT_H

#include "core/base.h"

enum {
	CHAT_MODEL_MAX = 128, /* bytes of a model's id */
	CHAT_DEPTH_MAX = 128,
};

/* Why a request body is refused: X(name, sentence, param that the error names or "") */
#define CHAT_REQUEST_ERRORS(X) \
	X(OK, "", "") \
	X(NOT_JSON, "The request body is not valid JSON.", "") \
	X(NOT_OBJECT, "The request body must be a JSON object.", "") \
	X(TOO_DEEP, "The request body is nested too deeply.", "") \
	X(DUPLICATE, "A top-level field is given twice.", "") \
	X(NO_MODEL, "You must provide a model parameter.", "model") \
	X(BAD_MODEL, "model must be a string of at most 128 bytes.", "model") \
	X(BAD_STREAM, "stream must be a boolean.", "stream") \
	X(BAD_MAX_TOKENS, "max_tokens must be a positive integer.", "max_tokens") \
	X(BAD_MAX_COMPLETION_TOKENS, "max_completion_tokens must be a positive integer.", "max_completion_tokens") \
	X(BAD_N, "n must be an integer between 1 and 128.", "n") \
	X(BAD_STREAM_OPTIONS, "stream_options must be an object, and is only allowed with stream: true.", "stream_options") \
	X(NO_MESSAGES, "You must provide a messages parameter.", "messages") \
	X(FOREIGN_OBJECT, "This request names an object stored at the provider (a file id, a stored audio id); these are not available here.", "") \
	X(STORE, "store: true would keep the answer at the provider, under an account that is not yours; leave it out.", "store")

enum chat_request_error {
#define X(name, text, param) CHAT_REQUEST_##name,
	CHAT_REQUEST_ERRORS(X)
#undef X
};

/* What is known once the whole body has been fed. Offsets count bytes from the body's start. */
struct chat_request {
	char model[CHAT_MODEL_MAX]; /* unescaped */
	uint8_t model_len;
	bool stream;
	bool include_usage; /* the caller asked for the usage chunk itself */
	bool has_stream_options; /* an object stands there (stream_options: null counts as absent for this flag) */
	bool store; /* store: true was asked */
	bool has_reasoning_effort, has_service_tier, has_tools;
	bool has_cap, cap_is_completion; /* max_completion_tokens (wins) or max_tokens; null counts as absent */
	uint32_t cap, n;
	uint32_t images, audios, files; /* content parts of those types, at any depth of messages */
	uint64_t inline_media_bytes; /* bytes inside data: URLs and base64 audio/file data: part of the body, not text */
	uint64_t body_bytes;
	/* Edits: the value's bytes including quotes; object_at is the offset right after the top-level '{'; empty_object says no member follows. */
	uint64_t model_at, model_bytes;
	uint64_t object_at;
	bool empty_object;
	uint64_t cap_at, cap_bytes; /* value of the cap in force, when has_cap; else of max_completion_tokens: null, when it is present at all */
	uint64_t stream_options_at, stream_options_bytes; /* its value, when the member is present at all (null included) */
	uint64_t stream_options_inner_at; /* right after its '{', when has_stream_options */
	bool stream_options_empty;
	uint64_t include_usage_at, include_usage_bytes; /* value of stream_options.include_usage, when present */
};

struct chat_request_scan {
	struct chat_request result;
	enum chat_request_error error;
	/* The scanner's own state follows; nobody else looks at it. */
	_Alignas(16) unsigned char state[1024];
};

void chat_request_init(struct chat_request_scan *s);
/* False when the body is already known to be bad: s->error. */
must_check bool chat_request_feed(struct chat_request_scan *s, const char *bytes, size_t len);
/* After the last byte: validates as a whole. */
must_check enum chat_request_error chat_request_finish(struct chat_request_scan *s);

#endif
