/*
 * What `lethe prove` sends, and how it ends: endpoints, ways, and one exchange of them with its marked texts. The client makes an exchange, the
 * provider finds it by the number in its header. Command line only.
 */
#ifndef PROVE_EXCHANGE_H
#define PROVE_EXCHANGE_H

#include "prove/canary.h"
#include "prove/link.h"

#include <stdatomic.h>

/*
 * X(NAME, words, method, path, how it is answered, ends in all ways)
 * In a path, and in what is asked, {file}, {request}, {batch} and so on stand for what an earlier answer named. Answered: whole, as a stream of events or as a WebSocket
 * by the provider, by a head that says all, or by Lethe itself. LONELY: a stream that is never left running, since Lethe would look after what runs in the background
 * at a time of its own.
 */
#define PROVE_ENDPOINTS(X) \
	X(CHAT, "chat.completions", POST, "/v1/chat/completions", WHOLE, true) \
	X(CHAT_STREAM, "chat.completions, streamed", POST, "/v1/chat/completions", STREAM, true) \
	X(CHAT_TARGETS, "chat.completions, of a model with two targets", POST, "/v1/chat/completions", WHOLE, true) \
	X(CHAT_RECEIPT, "chat.completions, with its receipt", POST, "/v1/chat/completions", WHOLE, true) \
	X(CHAT_RECEIPT_STREAM, "chat.completions, streamed, with its receipt", POST, "/v1/chat/completions", STREAM, true) \
	X(COMPLETIONS, "completions", POST, "/v1/completions", WHOLE, true) \
	X(COMPLETIONS_MESSAGES_STREAM, "completions, translated into messages, streamed", POST, "/v1/completions", STREAM, true) \
	X(RESPONSES, "responses", POST, "/v1/responses", WHOLE, true) \
	X(RESPONSES_STREAM, "responses, streamed", POST, "/v1/responses", STREAM, true) \
	X(MESSAGES, "messages", POST, "/v1/messages", WHOLE, true) \
	X(MESSAGES_STREAM, "messages, streamed", POST, "/v1/messages", STREAM, true) \
	X(GENERATE, "generateContent", POST, "/v1beta/models/g:generateContent", WHOLE, true) \
	X(GENERATE_STREAM, "streamGenerateContent", POST, "/v1beta/models/g:streamGenerateContent?alt=sse", STREAM, true) \
	X(CHAT_MESSAGES, "chat.completions, translated into messages", POST, "/v1/chat/completions", WHOLE, true) \
	X(CHAT_MESSAGES_STREAM, "chat.completions, translated into messages, streamed", POST, "/v1/chat/completions", STREAM, true) \
	X(CHAT_GEMINI, "chat.completions, translated into generateContent", POST, "/v1/chat/completions", WHOLE, false) \
	X(CHAT_GEMINI_STREAM, "chat.completions, translated into streamGenerateContent", POST, "/v1/chat/completions", STREAM, true) \
	X(RESPONSES_MESSAGES, "responses, translated into messages", POST, "/v1/responses", WHOLE, false) \
	X(RESPONSES_MESSAGES_STREAM, "responses, translated into messages, streamed", POST, "/v1/responses", STREAM, true) \
	X(RESPONSES_GEMINI, "responses, translated into generateContent", POST, "/v1/responses", WHOLE, false) \
	X(RESPONSES_GEMINI_STREAM, "responses, translated into streamGenerateContent", POST, "/v1/responses", STREAM, true) \
	X(MESSAGES_CHAT, "messages, translated into chat.completions", POST, "/v1/messages", WHOLE, false) \
	X(MESSAGES_CHAT_STREAM, "messages, translated into chat.completions, streamed", POST, "/v1/messages", STREAM, true) \
	X(MESSAGES_GEMINI, "messages, translated into generateContent", POST, "/v1/messages", WHOLE, false) \
	X(MESSAGES_GEMINI_STREAM, "messages, translated into streamGenerateContent", POST, "/v1/messages", STREAM, true) \
	X(GENERATE_CHAT, "generateContent, translated into chat.completions", POST, "/v1beta/models/c:generateContent", WHOLE, false) \
	X(GENERATE_CHAT_STREAM, "streamGenerateContent, translated into chat.completions", POST, "/v1beta/models/c:streamGenerateContent?alt=sse", STREAM, true) \
	X(GENERATE_MESSAGES, "generateContent, translated into messages", POST, "/v1beta/models/m:generateContent", WHOLE, false) \
	X(GENERATE_MESSAGES_STREAM, "streamGenerateContent, translated into messages", POST, "/v1beta/models/m:streamGenerateContent?alt=sse", STREAM, true) \
	X(EMBEDDINGS, "embeddings", POST, "/v1/embeddings", WHOLE, false) \
	X(MODERATIONS, "moderations", POST, "/v1/moderations", WHOLE, false) \
	X(COUNT, "messages.count_tokens", POST, "/v1/messages/count_tokens", WHOLE, false) \
	X(COUNT_GEMINI, "countTokens", POST, "/v1beta/models/g:countTokens", WHOLE, false) \
	X(EMBED, "embedContent", POST, "/v1beta/models/g:embedContent", WHOLE, false) \
	X(EMBED_BATCH, "batchEmbedContents", POST, "/v1beta/models/g:batchEmbedContents", WHOLE, false) \
	X(SPEECH, "audio.speech", POST, "/v1/audio/speech", WHOLE, false) \
	X(SPEECH_STREAM, "audio.speech, in events", POST, "/v1/audio/speech", STREAM, true) \
	X(REALTIME, "realtime", GET, "/v1/realtime?model=c", DUPLEX, true) \
	X(TRANSCRIPTIONS, "audio.transcriptions", POST, "/v1/audio/transcriptions", WHOLE, true) \
	X(TRANSLATIONS, "audio.translations", POST, "/v1/audio/translations", WHOLE, false) \
	X(IMAGES, "images.generations", POST, "/v1/images/generations", WHOLE, false) \
	X(EDITS, "images.edits", POST, "/v1/images/edits", WHOLE, false) \
	X(VARIATIONS, "images.variations", POST, "/v1/images/variations", WHOLE, false) \
	X(FILES, "files", POST, "/v1/files", WHOLE, true) \
	X(FILE, "files, one", GET, "/v1/files/{file}", WHOLE, false) \
	X(FILE_CONTENT, "files, the content of one", GET, "/v1/files/{file}/content", WHOLE, true) \
	X(FILE_DELETED, "files, one deleted", DELETE, "/v1/files/{file}", WHOLE, false) \
	X(FILE_LIST, "files, a list", GET, "/v1/files", WHOLE, false) \
	X(UPLOAD, "Gemini's files, an upload that begins", POST, "/upload/v1beta/files", HEAD, true) \
	X(UPLOAD_SENT, "Gemini's files, bytes of an upload", POST, "/upload/v1beta/files/{upload}", WHOLE, true) \
	X(GEMINI_FILE, "Gemini's files, one", GET, "/v1beta/files/{gemini_file}", WHOLE, false) \
	X(GEMINI_FILE_CONTENT, "Gemini's files, the content of one", GET, "/v1beta/files/{gemini_file}:download?alt=media", WHOLE, false) \
	X(GEMINI_FILE_LIST, "Gemini's files, a list", GET, "/v1beta/files", WHOLE, false) \
	X(GEMINI_FILE_DELETED, "Gemini's files, one deleted", DELETE, "/v1beta/files/{gemini_file}", WHOLE, false) \
	X(KEPT, "responses, kept", POST, "/v1/responses", WHOLE, true) \
	X(KEPT_STREAM, "responses, kept, streamed", POST, "/v1/responses", STREAM, true) \
	X(BACKGROUND, "responses, in the background", POST, "/v1/responses", WHOLE, false) \
	X(BACKGROUND_STREAM, "responses, in the background, streamed", POST, "/v1/responses", LONELY, false) \
	X(KEPT_ONE, "responses, one", GET, "/v1/responses/{response}", WHOLE, false) \
	X(KEPT_ITEMS, "responses, what was asked in one", GET, "/v1/responses/{response}/input_items", WHOLE, false) \
	X(KEPT_CANCELLED, "responses, one cancelled", POST, "/v1/responses/{response}/cancel", WHOLE, false) \
	X(BACKGROUND_CANCELLED, "responses, one in the background cancelled", POST, "/v1/responses/{background}/cancel", WHOLE, false) \
	X(KEPT_DELETED, "responses, one deleted", DELETE, "/v1/responses/{response}", WHOLE, false) \
	X(BATCH_FILE, "files, requests of a batch", POST, "/v1/files", WHOLE, true) \
	X(BATCH_FILE_LIST, "files, a list of OpenAI's", GET, "/v1/files?purpose=batch&order=asc", WHOLE, false) \
	X(BATCH, "batches", POST, "/v1/batches", WHOLE, true) \
	X(BATCH_ONE, "batches, one", GET, "/v1/batches/{batch}", WHOLE, false) \
	X(BATCH_CANCELLED, "batches, one cancelled", POST, "/v1/batches/{batch}/cancel", WHOLE, false) \
	X(BATCH_LIST, "batches, a list", GET, "/v1/batches", WHOLE, false) \
	X(MESSAGES_BATCH, "messages.batches", POST, "/v1/messages/batches", WHOLE, true) \
	X(MESSAGES_BATCH_ONE, "messages.batches, one", GET, "/v1/messages/batches/{messages_batch}", WHOLE, false) \
	X(MESSAGES_BATCH_RESULTS, "messages.batches, results of one", GET, "/v1/messages/batches/{messages_batch}/results", WHOLE, false) \
	X(MESSAGES_BATCH_CANCELLED, "messages.batches, one cancelled", POST, "/v1/messages/batches/{messages_batch}/cancel", WHOLE, false) \
	X(MESSAGES_BATCH_DELETED, "messages.batches, one deleted", DELETE, "/v1/messages/batches/{messages_batch}", WHOLE, false) \
	X(MESSAGES_BATCH_LIST, "messages.batches, a list", GET, "/v1/messages/batches", WHOLE, false) \
	X(QUOTE, "quote", POST, "/v1/quote", HERE, true) \
	X(KEY, "key", GET, "/v1/key", HERE, false) \
	X(RECEIPT, "receipts", GET, "/v1/receipts/{request}", HERE, false) \
	X(MODELS, "models", GET, "/v1/models", HERE, false)

enum prove_answered { ANSWERED_WHOLE,
	ANSWERED_STREAM,
	ANSWERED_LONELY,
	ANSWERED_DUPLEX,
	ANSWERED_HEAD,
	ANSWERED_HERE };

enum prove_endpoint {
#define X(name, words, method, path, how, all) PROVE_##name,
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
	const char *words, *method, *path;
	bool streams, lonely, duplex, head_alone, here, in_all_ways;
};
extern const struct prove_form prove_forms[PROVE_ENDPOINT_COUNT];

const char *prove_content_type(enum prove_endpoint endpoint);
/* Whether there is anything to do in that way: a request without a body can't end in it, and where no provider is asked none can be silent. */
bool prove_way_fits(enum prove_endpoint endpoint, const struct prove_way *way);
/* It leaves something at the provider, or goes on there. */
bool prove_stays(enum prove_endpoint endpoint);

enum { TEXT_MAX = 1200 };

struct exchange {
	enum prove_endpoint endpoint;
	const struct prove_way *way;
	char asked[TEXT_MAX], answered[TEXT_MAX]; /* marks in every form that text can have, fit for the inside of a JSON string */
	char answered_mark[CANARY_BYTES + 1]; /* the one that is there as it is */
	_Atomic uint32_t number; /* its own, or of the exchange that made what it names: stands in ids of the provider's */
	_Atomic uint32_t seen; /* by the provider: its body is complete */
};

void exchange_make(struct exchange *x, struct canaries *c, const char *instance, enum prove_endpoint endpoint, const struct prove_way *way);

enum { BODY_MAX = 4096,
	EXCHANGE_DIGITS = 8 /* of the number in an id of the provider's */ };

/* Text written into a request's body, an answer, a piece of a stream. Each returns its length. */
size_t exchange_request(const struct exchange *x, char *ret, size_t cap);
size_t exchange_answer(const struct exchange *x, char *ret, size_t cap);
/* Lines of a good answer's head beside the usual ones. */
size_t exchange_answer_lines(const struct exchange *x, char *ret, size_t cap);
/* What was made of an exchange: its words, as that endpoint answers. */
size_t exchange_answer_as(const struct exchange *x, enum prove_endpoint endpoint, char *ret, size_t cap);
size_t exchange_stream_begin(const struct exchange *x, char *ret, size_t cap);
size_t exchange_stream_piece(const struct exchange *x, char *ret, size_t cap);
size_t exchange_stream_end(const struct exchange *x, char *ret, size_t cap);

#endif
