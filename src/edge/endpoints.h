/*
 * Which request is which: paths that customers call, and where each goes at the provider. Private to src/edge.
 *
 * A path stands whole, as a prefix of one more segment, with one segment in place of its star, or of each of two, or, for Gemini, as "/v1beta/models/{model}:{method}".
 */
#ifndef EDGE_ENDPOINTS_H
#define EDGE_ENDPOINTS_H

#include "core/http1.h"
#include "ticket/endpoints.h"

enum goes { GOES_BODY,
	GOES_DUPLEX, /* a WebSocket */
	GOES_OBJECT, /* something that is kept at a provider (object.h) */
	GOES_MODELS,
	GOES_KEY,
	GOES_QUOTE,
	GOES_RECEIPT,
	GOES_HEALTH,
	GOES_TRANSPARENCY };

/* X(path, its form, method, how it goes on, endpoint, dialect) */
#define PATHS(X) \
	X("/v1/chat/completions", WHOLE, POST, BODY, CHAT_COMPLETIONS, OPENAI) \
	X("/v1/completions", WHOLE, POST, BODY, COMPLETIONS, OPENAI) \
	X("/v1/responses", WHOLE, POST, BODY, RESPONSES, OPENAI) \
	X("/v1/embeddings", WHOLE, POST, BODY, EMBEDDINGS, OPENAI) \
	X("/v1/moderations", WHOLE, POST, BODY, MODERATIONS, OPENAI) \
	X("/v1/audio/transcriptions", WHOLE, POST, BODY, AUDIO_TRANSCRIPTIONS, OPENAI) \
	X("/v1/audio/speech", WHOLE, POST, BODY, AUDIO_SPEECH, OPENAI) \
	X("/v1/audio/translations", WHOLE, POST, BODY, AUDIO_TRANSLATIONS, OPENAI) \
	X("/v1/images/generations", WHOLE, POST, BODY, IMAGES_GENERATIONS, OPENAI) \
	X("/v1/images/edits", WHOLE, POST, BODY, IMAGES_EDITS, OPENAI) \
	X("/v1/images/variations", WHOLE, POST, BODY, IMAGES_VARIATIONS, OPENAI) \
	X("/v1/messages", WHOLE, POST, BODY, MESSAGES, ANTHROPIC) \
	X("/v1/messages/count_tokens", WHOLE, POST, BODY, MESSAGES_COUNT_TOKENS, ANTHROPIC) \
	X("generateContent", METHOD, POST, BODY, GENERATE_CONTENT, GEMINI) \
	X("streamGenerateContent", METHOD, POST, BODY, STREAM_GENERATE_CONTENT, GEMINI) \
	X("countTokens", METHOD, POST, BODY, COUNT_TOKENS, GEMINI) \
	X("embedContent", METHOD, POST, BODY, EMBED_CONTENT, GEMINI) \
	X("batchEmbedContents", METHOD, POST, BODY, BATCH_EMBED_CONTENTS, GEMINI) \
	X("/v1/realtime", WHOLE, GET, DUPLEX, REALTIME, OPENAI) \
	X("/v1/models", WHOLE, GET, MODELS, NONE, OPENAI) /* Anthropic's as well: the headers tell */ \
	X("/v1/models/", PREFIX, GET, MODELS, NONE, OPENAI) \
	X("/v1beta/models", WHOLE, GET, MODELS, NONE, GEMINI) \
	X("/v1beta/models/", PREFIX, GET, MODELS, NONE, GEMINI) \
	X("/v1/key", WHOLE, GET, KEY, NONE, OPENAI) \
	X("/v1/quote", WHOLE, POST, QUOTE, NONE, OPENAI) \
	X("/v1/receipts/", PREFIX, GET, RECEIPT, NONE, OPENAI) \
	X("/healthz", WHOLE, GET, HEALTH, NONE, OPENAI) \
	X("/transparency", WHOLE, GET, TRANSPARENCY, NONE, OPENAI)

/* What can be done with what is kept at a provider. X(path, its form, method, endpoint, dialect, operation) */
#define OBJECT_PATHS(X) \
	X("/v1/files", WHOLE, POST, FILES, OPENAI, FILE_CREATE) \
	X("/v1/files", WHOLE, GET, FILES, OPENAI, FILE_LIST) \
	X("/v1/files/*", STAR, GET, FILES, OPENAI, FILE_GET) \
	X("/v1/files/*", STAR, DELETE, FILES, OPENAI, FILE_DELETE) \
	X("/v1/files/*/content", STAR, GET, FILES, OPENAI, FILE_CONTENT) \
	X("/upload/v1beta/files", WHOLE, POST, FILES, GEMINI, UPLOAD_START) \
	X("/upload/v1beta/files/*", STAR, POST, FILES, GEMINI, UPLOAD_SEND) \
	X("/v1beta/files", WHOLE, GET, FILES, GEMINI, GEMINI_FILE_LIST) \
	X("/v1beta/files/*:download", STAR, GET, FILES, GEMINI, GEMINI_FILE_CONTENT) \
	X("/v1beta/files/*", STAR, GET, FILES, GEMINI, GEMINI_FILE_GET) \
	X("/v1beta/files/*", STAR, DELETE, FILES, GEMINI, GEMINI_FILE_DELETE) \
	X("/v1/containers/*/files/*", PAIR, GET, FILES, OPENAI, CONTAINER_FILE_GET) \
	X("/v1/containers/*/files/*/content", PAIR, GET, FILES, OPENAI, CONTAINER_FILE_CONTENT) \
	X("/v1/batches", WHOLE, POST, BATCHES, OPENAI, BATCH_CREATE) \
	X("/v1/batches", WHOLE, GET, BATCHES, OPENAI, BATCH_LIST) \
	X("/v1/batches/*", STAR, GET, BATCHES, OPENAI, BATCH_GET) \
	X("/v1/batches/*/cancel", STAR, POST, BATCHES, OPENAI, BATCH_CANCEL) \
	X("/v1/messages/batches", WHOLE, POST, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_CREATE) \
	X("/v1/messages/batches", WHOLE, GET, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_LIST) \
	X("/v1/messages/batches/*", STAR, GET, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_GET) \
	X("/v1/messages/batches/*", STAR, DELETE, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_DELETE) \
	X("/v1/messages/batches/*/results", STAR, GET, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_RESULTS) \
	X("/v1/messages/batches/*/cancel", STAR, POST, MESSAGES_BATCHES, ANTHROPIC, MESSAGES_BATCH_CANCEL) \
	X("/v1/responses/*", STAR, GET, RESPONSES_KEPT, OPENAI, RESPONSE_GET) \
	X("/v1/responses/*", STAR, DELETE, RESPONSES_KEPT, OPENAI, RESPONSE_DELETE) \
	X("/v1/responses/*/cancel", STAR, POST, RESPONSES_KEPT, OPENAI, RESPONSE_CANCEL) \
	X("/v1/responses/*/input_items", STAR, GET, RESPONSES_KEPT, OPENAI, RESPONSE_ITEMS)

/* The same by other paths: Google's SDKs call either version. Under /v1 they are told from OpenAI's by how the key comes. */
#define OBJECT_ALIASES(X) \
	X("/upload/v1/files", WHOLE, POST, FILES, GEMINI, UPLOAD_START) \
	X("/v1/files", WHOLE, GET, FILES, GEMINI, GEMINI_FILE_LIST) \
	X("/v1/files/*:download", STAR, GET, FILES, GEMINI, GEMINI_FILE_CONTENT) \
	X("/v1/files/*", STAR, GET, FILES, GEMINI, GEMINI_FILE_GET) \
	X("/v1/files/*", STAR, DELETE, FILES, GEMINI, GEMINI_FILE_DELETE)

enum object_operation {
	OPERATION_NONE,
#define X(path, form, method, endpoint, dialect, operation) OPERATION_##operation,
	OBJECT_PATHS(X)
#undef X
		OPERATION_UPLOAD_WHOLE, /* where one begins in parts, too (object_upload.h) */
};

enum path_form { PATH_WHOLE,
	PATH_STAR,
	PATH_PAIR, /* two stars, a segment each: what they stand for is told with what is between them */
	PATH_PREFIX,
	PATH_METHOD };

struct endpoint_path {
	struct span path;
	enum path_form form;
	enum http1_method method;
	enum goes goes;
	enum endpoint endpoint;
	enum dialect dialect;
	enum object_operation operation;
};

/*
 * google: by its key it is a caller of Google's API. NULL: there is no such path. Of several rows for it the one that takes the method, else any: see endpoint_takes(). *ret_rest: what the path names behind
 * the prefix, in place of the star, or Gemini's model.
 */
const struct endpoint_path *endpoint_find(struct span path, enum http1_method method, bool google, struct span *ret_rest);
bool endpoint_takes(const struct endpoint_path *r, enum http1_method method);
/* A bit for each enum http1_method that the path takes; of no path: that any takes. */
uint8_t endpoint_methods(struct span path);

/* Where a request goes at the provider, behind its base path. Gemini's has the model in front: "/models/{model}:{this}". */
struct span endpoint_upstream(enum endpoint endpoint);
bool endpoint_billed(enum endpoint endpoint);
bool endpoint_has_output(enum endpoint endpoint); /* tokens of an answer: else nothing is reserved for any */
/* What they make can't be bounded by a field of the request, and may be billed by the piece. */
bool endpoint_of_audio(enum endpoint endpoint);
bool endpoint_of_images(enum endpoint endpoint);
enum dialect endpoint_dialect(enum endpoint endpoint);

/* What is not here, and what to do instead: where callers look for it by their provider's reference. X(path, whole or what lies under it as well, words, in Gemini's) */
#define ELSEWHERE(X) \
	X("/v1/files", WHOLE, "", ELSEWHERE_GEMINI) \
	X("/v1/files/", PREFIX, "", ELSEWHERE_GEMINI) \
	X("/v1/containers", WHOLE, ELSEWHERE_CONTAINERS, ELSEWHERE_CONTAINERS) \
	X("/v1/containers/", PREFIX, ELSEWHERE_CONTAINERS, ELSEWHERE_CONTAINERS) \
	X("/v1/conversations", WHOLE, ELSEWHERE_CONVERSATIONS, ELSEWHERE_CONVERSATIONS) \
	X("/v1/conversations/", PREFIX, ELSEWHERE_CONVERSATIONS, ELSEWHERE_CONVERSATIONS) \
	X("/v1/uploads", WHOLE, ELSEWHERE_UPLOADS, ELSEWHERE_UPLOADS) \
	X("/v1/uploads/", PREFIX, ELSEWHERE_UPLOADS, ELSEWHERE_UPLOADS) \
	X("/v1beta/files", WHOLE, ELSEWHERE_GEMINI, ELSEWHERE_GEMINI) \
	X("/v1beta/files:register", WHOLE, ELSEWHERE_GEMINI, ELSEWHERE_GEMINI) \
	X("/v1beta/files/", PREFIX, ELSEWHERE_GEMINI, ELSEWHERE_GEMINI) \
	X("/upload/", PREFIX, ELSEWHERE_GEMINI, ELSEWHERE_GEMINI)
#define ELSEWHERE_CONTAINERS "Sandboxes are not made or listed here: {\"type\": \"auto\"} as the container of a tool makes one, and GET /v1/containers/{container_id}/files/{file_id}, and its /content, are for what a tool has made in it."
#define ELSEWHERE_CONVERSATIONS "There are no conversations here: go on from a response with previous_response_id, or send the turns so far in input."
#define ELSEWHERE_UPLOADS "There are no uploads in parts here: send the file whole to POST /v1/files. A large one goes on while it comes."
#define ELSEWHERE_GEMINI "Gemini's files go up at POST /upload/v1beta/files, and are shown and deleted at /v1beta/files/{name}; small content may stand inline (inlineData)."

/* For a path, or a method of one, that is not there; empty: nothing to say. */
struct span endpoint_advice(struct span path, enum dialect dialect);

/* The part of the target before the query, and one argument of the query ("" when absent); percent-escapes stay as they are. */
struct span target_path(struct span target);
struct span target_argument(struct span target, struct span name);

#endif
