/*
 * What a batch of requests asks for: each is looked at like a request of its own, and the sums say what all of them can cost. They go up as they came, so nothing in
 * them may need a change: what would is refused, with the request's number.
 *
 *   a file   JSON lines, as OpenAI's batches take them
 *   a list   the member "requests" of one JSON object, as Anthropic's do
 *
 * Pure and resumable at any byte, fixed state, no allocation: the caller embeds the struct in vault memory. Run by the edge.
 * Formats: platform.openai.com/docs/guides/batch, platform.claude.com/docs/en/api/creating-message-batches.
 */
#ifndef DIALECT_LINES_H
#define DIALECT_LINES_H

#include "core/json_scan.h"
#include "dialect/request.h"

enum { LINES_MAX = 50000, /* the providers' bounds */
	LINES_LISTED_MAX = 100000,
	LINES_WHY_MAX = 512 };

/* X(NAME, sentence behind "Line N of the file: " or "requests.N: ") */
#define LINES_ERRORS(X) \
	X(OK, "") \
	X(NOT_JSON, "it is not one JSON object.") \
	X(NO_URL, "it needs \"url\" in front of \"body\": one of /v1/chat/completions, /v1/responses, /v1/embeddings.") \
	X(NO_ID, "it needs a \"custom_id\", a string.") \
	X(NO_METHOD, "its \"method\" must be \"POST\".") \
	X(NO_BODY, "it needs one \"body\", an object.") \
	X(NO_PARAMS, "it needs one \"params\", an object.") \
	X(OTHER_URL, "its \"url\" is another than that of the lines before; all must be the same.") \
	X(OTHER_MODEL, "its model is another than that of the requests before; all must be the same. Make a batch for each model.") \
	X(STREAM, "\"stream\" and \"background\" are of no use in a batch; leave them out.") \
	X(OBJECTS, "a request of a batch can't name files, or earlier responses; put their content into it.") \
	X(TOOLS, "the provider's own tools can't be used in a batch here; leave them out.") \
	X(STORE, "the answer would be kept at the provider; put \"store\": false into its body.") \
	X(FAST, "\"speed\" has no meaning in a batch; leave it out.") \
	X(TOO_MANY, "a batch has 50,000 requests at most.") \
	X(TOO_MANY_LISTED, "a batch has 100,000 requests at most.") \
	X(BODY, "")

enum lines_error {
#define X(name, text) LINES_##name,
	LINES_ERRORS(X)
#undef X
};

struct lines_facts {
	char model[REQUEST_MODEL_MAX]; /* of all of them */
	uint8_t model_len;
	uint8_t endpoint; /* enum endpoint, of all of them */
	uint32_t count;
	uint64_t text_bytes, largest_bytes; /* of bodies without media in them; of the largest */
	uint64_t images, audios, files;
	uint64_t capped; /* output tokens, of requests that say how many */
	uint64_t open; /* answers to requests that do not */
};

struct lines_scan {
	struct lines_facts result;
	enum lines_error error;
	/* The scanner's own from here on. */
	enum request_error inner; /* LINES_BODY: why */
	uint32_t line; /* or how many items of the list have begun */
	uint64_t at, body_from;
	bool listed, begun, id, method, in_body, had_body;
	uint8_t endpoint; /* of this line */
	struct json_scan json;
	struct request_scan request;
};

void lines_init(struct lines_scan *s);
/* … of a list. That the object around it is one, and has it once, is for others to judge. */
void lines_init_listed(struct lines_scan *s);
/* False when it is already known to be bad. */
bool lines_feed(struct lines_scan *s, const char *bytes, size_t len);
/* After the last byte. */
must_check enum lines_error lines_finish(struct lines_scan *s);
/* A sentence about what is wrong; the room is the caller's. */
struct span lines_why(const struct lines_scan *s, char room[LINES_WHY_MAX]);

/* "/v1/…" as a batch may be of; ENDPOINT_NONE: it is none of these. */
enum endpoint lines_endpoint(struct span url);

#endif
