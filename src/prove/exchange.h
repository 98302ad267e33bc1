/*
 * What `lethe prove` sends, and how it ends: endpoints, ways, and one exchange of them with its marked texts. The client makes an exchange, the
 * provider finds it by the number in its header. Command line only.
 */
#ifndef PROVE_EXCHANGE_H
#define PROVE_EXCHANGE_H

#include "prove/canary.h"
#include "prove/link.h"

#include <stdatomic.h>

/* X(NAME, words, path, streams, ends in all ways) */
#define PROVE_ENDPOINTS(X) \
	X(CHAT, "chat.completions", "/v1/chat/completions", false, true) \
	X(CHAT_STREAM, "chat.completions, streamed", "/v1/chat/completions", true, true) \
	X(RESPONSES, "responses", "/v1/responses", false, true) \
	X(RESPONSES_STREAM, "responses, streamed", "/v1/responses", true, true) \
	X(MESSAGES, "messages", "/v1/messages", false, true) \
	X(MESSAGES_STREAM, "messages, streamed", "/v1/messages", true, true) \
	X(GENERATE, "generateContent", "/v1beta/models/g:generateContent", false, true) \
	X(GENERATE_STREAM, "streamGenerateContent", "/v1beta/models/g:streamGenerateContent?alt=sse", true, true) \
	X(TOLD, "chat.completions, translated into messages", "/v1/chat/completions", false, true) \
	X(TOLD_STREAM, "chat.completions, translated into messages, streamed", "/v1/chat/completions", true, true) \
	X(EMBEDDINGS, "embeddings", "/v1/embeddings", false, false) \
	X(MODERATIONS, "moderations", "/v1/moderations", false, false) \
	X(COUNT, "messages.count_tokens", "/v1/messages/count_tokens", false, false) \
	X(COUNT_GEMINI, "countTokens", "/v1beta/models/g:countTokens", false, false) \
	X(EMBED, "embedContent", "/v1beta/models/g:embedContent", false, false) \
	X(EMBED_BATCH, "batchEmbedContents", "/v1beta/models/g:batchEmbedContents", false, false) \
	X(TRANSCRIPTIONS, "audio.transcriptions", "/v1/audio/transcriptions", false, true) \
	X(IMAGES, "images.generations", "/v1/images/generations", false, false) \
	X(EDITS, "images.edits", "/v1/images/edits", false, false) \
	X(FILES, "files", "/v1/files", false, true)

enum prove_endpoint {
#define X(name, words, path, streams, all) PROVE_##name,
	PROVE_ENDPOINTS(X)
#undef X
		PROVE_ENDPOINT_COUNT
};

/* What the client does. */
enum client_does { CLIENT_ASKS,
	CLIENT_ASKS_IN_PIECES,
	CLIENT_GONE_IN_HEAD,
	CLIENT_GONE_IN_BODY,
	CLIENT_GONE_WAITING,
	CLIENT_GONE_IN_ANSWER,
	CLIENT_BREAKS_JSON,
	CLIENT_NESTS_DEEP,
	CLIENT_BREAKS_HTTP,
	CLIENT_TOO_LARGE,
	CLIENT_COMPRESSES,
	CLIENT_BAD_KEY,
	CLIENT_POOR,
	CLIENT_NO_MODEL,
	CLIENT_NO_PATH,
	CLIENT_IN_HEADER,
	CLIENT_IN_QUERY };

/* What the provider does. */
enum provider_does { PROVIDER_ANSWERS,
	PROVIDER_DRIPS, /* in pieces of a few bytes */
	PROVIDER_GZIPS,
	PROVIDER_400,
	PROVIDER_401,
	PROVIDER_404,
	PROVIDER_429,
	PROVIDER_500,
	PROVIDER_529,
	PROVIDER_RESETS,
	PROVIDER_CUTS,
	PROVIDER_BREAKS_HEAD,
	PROVIDER_BREAKS_JSON,
	PROVIDER_BREAKS_CHUNKS,
	PROVIDER_HUGE_HEAD,
	PROVIDER_FAILS_LATE, /* an error event in mid-stream */
	PROVIDER_EARLY, /* before it has read the body */
	PROVIDER_SILENT,
	PROVIDER_FALLS_SILENT,
	PROVIDER_GOES_ON /* until somebody ends it */ };

/* X(words, what the client does, what the provider does) */
#define PROVE_WAYS(X) \
	X("answered", ASKS, ANSWERS) \
	X("asked in pieces", ASKS_IN_PIECES, ANSWERS) \
	X("client gone in the head", GONE_IN_HEAD, ANSWERS) \
	X("client gone in the body", GONE_IN_BODY, ANSWERS) \
	X("client gone while it waits", GONE_WAITING, SILENT) \
	X("client gone in the answer", GONE_IN_ANSWER, GOES_ON) \
	X("JSON broken", BREAKS_JSON, ANSWERS) \
	X("JSON too deep", NESTS_DEEP, ANSWERS) \
	X("HTTP broken", BREAKS_HTTP, ANSWERS) \
	X("body too large", TOO_LARGE, ANSWERS) \
	X("body compressed", COMPRESSES, ANSWERS) \
	X("key unknown", BAD_KEY, ANSWERS) \
	X("no money", POOR, ANSWERS) \
	X("model unknown", NO_MODEL, ANSWERS) \
	X("path unknown", NO_PATH, ANSWERS) \
	X("in a header", IN_HEADER, ANSWERS) \
	X("in the query", IN_QUERY, ANSWERS) \
	X("provider drips", ASKS, DRIPS) \
	X("provider compresses", ASKS, GZIPS) \
	X("provider says 400", ASKS, 400) \
	X("provider says 401", ASKS, 401) \
	X("provider says 404", ASKS, 404) \
	X("provider says 429", ASKS, 429) \
	X("provider says 500", ASKS, 500) \
	X("provider says 529", ASKS, 529) \
	X("provider resets", ASKS, RESETS) \
	X("provider cuts", ASKS, CUTS) \
	X("provider's head broken", ASKS, BREAKS_HEAD) \
	X("provider's JSON broken", ASKS, BREAKS_JSON) \
	X("provider's chunks broken", ASKS, BREAKS_CHUNKS) \
	X("provider's head huge", ASKS, HUGE_HEAD) \
	X("provider fails in mid-answer", ASKS, FAILS_LATE) \
	X("provider answers early", ASKS, EARLY) \
	X("provider silent", ASKS, SILENT) \
	X("provider falls silent", ASKS, FALLS_SILENT)

struct prove_way {
	const char *words;
	enum client_does client;
	enum provider_does provider;
};

extern const struct prove_way prove_ways[];
extern const size_t prove_way_count;
/* What processes are ended during, and what is looked at in flight. */
extern const struct prove_way prove_way_running, prove_way_waiting;

struct prove_form {
	const char *words, *path;
	bool streams, in_all_ways;
};
extern const struct prove_form prove_forms[PROVE_ENDPOINT_COUNT];

const char *prove_content_type(enum prove_endpoint endpoint);

enum { TEXT_MAX = 1200 };

struct exchange {
	enum prove_endpoint endpoint;
	const struct prove_way *way;
	char asked[TEXT_MAX], answered[TEXT_MAX]; /* marks in every form that text can have, fit for the inside of a JSON string */
	char answered_mark[CANARY_BYTES + 1]; /* the one that is there as it is */
	_Atomic uint32_t seen; /* by the provider: its body is complete */
};

void exchange_make(struct exchange *x, struct canaries *c, const char *instance, enum prove_endpoint endpoint, const struct prove_way *way);

enum { BODY_MAX = 4096 };

/* Text written into a request's body, an answer, a piece of a stream. Each returns its length. */
size_t exchange_request(const struct exchange *x, char *ret, size_t cap);
size_t exchange_answer(const struct exchange *x, char *ret, size_t cap);
size_t exchange_stream_begin(const struct exchange *x, char *ret, size_t cap);
size_t exchange_stream_piece(const struct exchange *x, char *ret, size_t cap);
size_t exchange_stream_end(const struct exchange *x, char *ret, size_t cap);

#endif
