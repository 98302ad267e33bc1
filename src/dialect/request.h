/*
 * What routing needs from a request's body, and which bytes of it change on the way up. One scanner for every endpoint; the paths of each
 * provider language are tables in request_languages.c.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the structs in vault memory. Run by the edge.
 * Formats: platform.openai.com/docs/api-reference, platform.claude.com/docs/en/api, ai.google.dev/api.
 */
#ifndef DIALECT_REQUEST_H
#define DIALECT_REQUEST_H

#include "core/base.h"
#include "core/text.h"
#include "ticket/endpoints.h"
#include "ticket/usage.h"

enum {
	REQUEST_MODEL_MAX = 128, /* bytes of a model's id */
	REQUEST_DEPTH_MAX = 128,
	REQUEST_N_MAX = 128, /* answers to one request */
	REQUEST_MODELS_MAX = 128, /* places where a body names its model: requests of one batchEmbedContents */
	REQUEST_OBJECTS_MAX = 32, /* places where a body names an object of the caller's */
	REQUEST_CITED_MAX = 64, /* … where an earlier answer did, as far as they are looked at */
	REQUEST_EDITS_MAX = REQUEST_MODELS_MAX + REQUEST_OBJECTS_MAX + REQUEST_CITED_MAX + 6,
	REQUEST_EDIT_TEXT_MAX = 640, /* room that request_edits() needs */
	REQUEST_STATE_MAX = 464,
};

/* What an id in a body is of. */
enum request_object_kind { REQUEST_FILE,
	REQUEST_RESPONSE, /* previous_response_id */
	REQUEST_CONVERSATION };

/* Why a request body is refused: X(name, sentence, param that the error names or "") */
#define REQUEST_ERRORS(X) \
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
	X(BAD_MAX_OUTPUT_TOKENS, "max_output_tokens must be a positive integer.", "max_output_tokens") \
	X(BAD_GENERATION_CONFIG, "generationConfig must be an object; its maxOutputTokens must be a positive integer.", "generationConfig") \
	X(NO_MAX_TOKENS, "max_tokens: Field required", "max_tokens") \
	X(BAD_N, "n must be an integer between 1 and 128.", "n") \
	X(BAD_CANDIDATES, "candidateCount must be an integer between 1 and 128.", "generationConfig.candidateCount") \
	X(BAD_STREAM_OPTIONS, "stream_options must be an object, and is only allowed with stream: true.", "stream_options") \
	X(NO_REQUESTS, "requests: Field required", "requests") \
	X(NO_MESSAGES, "You must provide a messages parameter.", "messages") \
	X(NO_INPUT, "You must provide an input parameter.", "input") \
	X(NO_CONTENTS, "You must provide contents.", "contents") \
	X(NO_ENDPOINT, "You must provide an endpoint parameter.", "endpoint") \
	X(NO_INPUT_FILE, "You must provide input_file_id, once: a file that was uploaded here with purpose batch.", "input_file_id") \
	X(TOO_MANY_MODELS, "A batch may hold at most 128 requests.", "requests") \
	X(FOREIGN_OBJECT, \
		"This request names an object stored at the provider (an item, a container, a prompt, a cache); these are not available here.", "") \
	X(TOO_MANY_OBJECTS, "A request may name files in at most 32 places.", "") \
	X(NO_FILE, "A file is uploaded as the form's field `file`, with a file name.", "file") \
	X(BACKGROUND, "background must be a boolean.", "background") \
	X(NOT_FORM, "This endpoint takes a form: Content-Type: multipart/form-data with a boundary.", "") \
	X(BAD_FORM, "The request body is not a valid form.", "") \
	X(BAD_FORM_FIELD, "model, stream, n, response_format and purpose must be plain fields of the form, without brackets and no files.", "") \
	X(OTHER_MODEL, "The form names another model than the header lethe-model.", "model") \
	X(NO_PROMPT, "You must provide a prompt parameter.", "prompt") \
	X(BAD_BEST_OF, "best_of must be an integer between 1 and 128.", "best_of") \
	X(TOO_MANY_ANSWERS, "n (or best_of) times the number of prompts may be at most 128.", "n") \
	X(STREAM_OF_MANY, "stream: true makes one image at a time; leave n out.", "n") \
	X(UNBILLED_FORMAT, \
		"An answer of this format does not say how long the audio is, which this model is billed by: use json, verbose_json or diarized_json.", \
		"response_format") \
	X(BAD_STREAM_FORMAT, "stream_format must be sse or audio.", "stream_format") \
	X(UNBILLED_SPEECH, \
		"Audio as such does not say what it costs, which this model is billed by: use stream_format: sse.", \
		"stream_format") \
	X(SPEECH_BY_SECONDS, "This model is billed by the second of audio, and speech does not say how long it is. Ask for another model.", "model") \
	X(STORE, "store: true would keep the answer at the provider, under an account that is not yours; leave it out.", "store")

enum request_error {
#define X(name, text, param) REQUEST_##name,
	REQUEST_ERRORS(X)
#undef X
};

/* What is known once the whole body has been fed. Offsets count bytes from the body's start. */
struct request_facts {
	char model[REQUEST_MODEL_MAX]; /* unescaped; empty when the path names it */
	uint8_t model_len;
	uint8_t endpoint; /* enum endpoint */
	bool stream;
	bool include_usage; /* chat: the caller asked for the usage chunk itself */
	bool has_stream_options; /* an object stands there (stream_options: null counts as absent for this flag) */
	bool store; /* store: true was asked */
	bool background; /* responses: it goes on without this connection */
	bool has_reasoning_effort, has_service_tier, has_tools;
	bool has_cap, cap_is_completion; /* chat: max_completion_tokens (wins) or max_tokens; null counts as absent */
	bool form; /* multipart/form-data: values stand without quotes */
	bool plain_answer; /* text, subtitles or the sound itself were asked for: an answer without usage */
	bool geo_us; /* inference in one country was asked, which costs more */
	uint8_t tier; /* enum service_tier that was asked; standard when nothing or the provider's choice */
	bool may_name; /* a tool of the provider's may be used whose answers name files (naming.h) */
	uint8_t server_tools; /* bit per enum tool_kind that the provider may use and bill */
	uint32_t tool_uses; /* bound that the caller gave them, 0: none */
	uint32_t cap, n; /* n: answers that are made, for all prompts together */
	uint32_t best_of, prompts; /* best_of: 0 when none is said; prompts: texts or lists of tokens in a list, of completions or embeddings */
	uint32_t prompt_tokens; /* … that stand there as numbers */
	uint32_t images, audios, files; /* content parts of those kinds, at any depth */
	uint64_t inline_media_bytes; /* bytes inside data: URLs and base64 data: part of the body, not text */
	uint64_t body_bytes;
	/* Places for edits: the value's bytes including quotes; object_at is the offset right after the top-level '{'; empty_object says no member
	   follows. */
	uint64_t model_at, model_bytes;
	uint64_t object_at;
	bool empty_object;
	uint64_t cap_at, cap_bytes; /* value of the cap in force, when has_cap; else of a cap of null, when one is present at all */
	uint64_t store_at, store_bytes; /* value of store, when the member is present at all */
	/* An object that takes options: stream_options, generationConfig. */
	struct request_object {
		uint64_t at, bytes; /* its value, when the member is present at all (null included) */
		uint64_t inner_at; /* right after its '{', when it is an object */
		bool empty;
	} stream_options, config;
	uint64_t include_usage_at, include_usage_bytes; /* value of stream_options.include_usage, when present */
	/* Whose requests belong together (route_hint.c), and by what the provider tells users apart: values with their quotes, when they are present. */
	struct request_place {
		uint64_t at, bytes, hash; /* hash: 0 when it is no string, or an empty one */
	} cache_key, user, safety, user_id;
	struct request_object metadata;
	uint64_t begins_at; /* the value of the system text, else of the turns */
	uint32_t object_count, cited_count, model_count; /* of the lists that follow */
	/* Ids of objects that the caller may have: strings with their quotes. The lists stand last and are written one by one: most bodies leave them as they were. */
	struct request_object_name {
		uint32_t at;
		uint32_t bytes : 28;
		uint32_t kind : 4; /* enum request_object_kind */
	} objects[REQUEST_OBJECTS_MAX];
	/* The same in what the provider said before: they may be anything. */
	struct request_object_name cited[REQUEST_CITED_MAX];
	/* Gemini: places that repeat the path's model, each of models_bytes[i] bytes */
	uint32_t models_at[REQUEST_MODELS_MAX];
	uint16_t models_bytes[REQUEST_MODELS_MAX];
};

struct request_scan {
	/* The scanner's own state; nobody else looks at it. */
	_Alignas(16) unsigned char state[REQUEST_STATE_MAX];
	enum request_error error;
	struct request_facts result;
};

/* What of it was written since request_scan_init(), from its first byte on: who wipes it need not wipe what is behind that. */
size_t request_scan_used(const struct request_scan *s);

void request_scan_init(struct request_scan *s, enum endpoint endpoint);
/* False when the body is already known to be bad: s->error. */
must_check bool request_scan_feed(struct request_scan *s, const char *bytes, size_t len);
/* After the last byte: validates as a whole. */
must_check enum request_error request_scan_finish(struct request_scan *s);

/* A replacement in the body: [at, at + remove) becomes text. */
struct request_edit {
	uint64_t at;
	uint32_t remove, text_len;
	const char *text;
};

/* What the gateway wants of the body that goes up. */
struct request_wish {
	struct span model; /* the provider's name for it; needs no escaping */
	bool ask_usage; /* chat streams: the usage chunk */
	bool old_cap; /* chat: the provider knows max_tokens only */
	bool no_store; /* responses: store: false, where the default would keep the answer */
	uint32_t cap; /* 0: none */
	struct span user; /* … put in place of who the caller says that asks, or where it says nothing; needs no escaping; empty: the caller's stands */
	const struct span *objects; /* what stands in the places of facts.objects, as JSON strings */
	const struct span *cited; /* the same for facts.cited; empty ones, and all of them if this is NULL: the caller's stands */
};

/*
 * Edits in order of place, without overlap; the number of them. Made-up text goes into room (REQUEST_EDIT_TEXT_MAX bytes that live as long as
 * the edits). ret has room for request_edit_count() of them.
 */
uint32_t request_edits(const struct request_facts *r, const struct request_wish *wish, struct text *room, struct request_edit *ret);
/* At most so many edits will this request need. */
uint32_t request_edit_count(const struct request_facts *r);

#endif
