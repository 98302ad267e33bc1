/*
 * OpenAI chat completions as a dialect: what routing needs from a request, which bytes change, and what an answer cost.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the structs in vault memory. Run by the edge.
 * Formats: platform.openai.com/docs/api-reference/chat; metering rules are listed at the head of chat_meter.c.
 */
#ifndef DIALECT_CHAT_H
#define DIALECT_CHAT_H

#include "core/base.h"
#include "ticket/usage.h"

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

/* ---- the meter ---- */
enum chat_answer { /* what kind of answer the meter has seen; only grows */
	CHAT_ANSWER_NOTHING,
	CHAT_ANSWER_STARTED, /* at least one event or a JSON object began */
	CHAT_ANSWER_CONTENT, /* a choice with content, tool call, refusal or reasoning came */
	CHAT_ANSWER_ERROR, /* an error object in a 200 answer or in the stream; stays, whatever follows: `finished` tells the end then */
	CHAT_ANSWER_FINISHED, /* [DONE] seen, or the JSON body is complete, and no error before */
};

enum {
	CHAT_SPANS_MAX = 64,
	CHAT_HOLD_MAX = 64 << 10, /* an incomplete event larger than this is passed on: it can't be the usage chunk */
};

struct chat_meter {
	struct usage usage; /* last usage object seen, normalised; usage.flags & USAGE_REPORTED says whether there was one */
	enum chat_answer answer;
	bool finished; /* the proper end was seen: [DONE], or the outer object closed */
	bool malformed; /* not JSON / not SSE where it had to be: metering is by estimate */
	uint64_t content_bytes; /* bytes of visible output text, tool arguments, refusals (JSON-escaped length) */
	uint64_t reasoning_bytes; /* the same for reasoning_content / reasoning deltas */
	uint64_t events; /* data events with a choice */
	_Alignas(16) unsigned char state[1536];
};

/*
 * streamed  the answer is text/event-stream; else one JSON object
 * hide      include_usage was injected by us: the usage-only chunk and `"usage":null` members are cut from what goes to the client
 */
void chat_meter_init(struct chat_meter *m, bool streamed, bool hide);

/*
 * Read along. Returns how many bytes of `in` are settled: those to forward are in spans[0..*ret_count) (they point into `in`; at most
 * CHAT_SPANS_MAX, when that many are full the call returns early). The caller keeps the unsettled tail and passes it again, in front of
 * what follows. Without `hide` every byte is settled at once, in one span. With `hide` a tail is left only when an event is incomplete,
 * never more than CHAT_HOLD_MAX.
 * last: no more input comes; everything is settled.
 */
must_check size_t chat_meter_feed(struct chat_meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count);

#endif
