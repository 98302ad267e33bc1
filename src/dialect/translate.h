/*
 * From one provider language into another, by way of a common form: a request that came in the caller's language goes up in the provider's, the
 * answer comes back in the caller's. Each language has a codec; none knows another.
 *
 *   request   caller's text ──decode──► conversation (conversation.h) ──encode──► provider's text
 *   answer    provider's text or events ──decode──► telling (telling.h) ──encode──► caller's
 *
 * Pure; memory is the caller's: state is embedded in vault memory, what is written goes into a sink. Values are copied as text; a number is never read as
 * one. The same request always gives the same bytes, so that providers' prompt caches hit. Run by the edge.
 *
 * What the other language can't say is refused with the path of the field; with `lenient` what may be left out is, and is named in the notes.
 */
#ifndef DIALECT_TRANSLATE_H
#define DIALECT_TRANSLATE_H

#include "core/json_view.h"
#include "core/sink.h"
#include "core/text.h"
#include "ticket/endpoints.h"
#include "ticket/usage.h"

enum language { LANGUAGE_NONE, /* not translated: embeddings, audio, … */
	LANGUAGE_CHAT,
	LANGUAGE_RESPONSES,
	LANGUAGE_MESSAGES,
	LANGUAGE_GEMINI,
	LANGUAGE_COUNT, /* those before are spoken in both directions */
	LANGUAGE_COMPLETIONS = LANGUAGE_COUNT, /* OpenAI's old ones: callers ask in it, no provider is told in it */
	LANGUAGE_ALL };

/* That of an endpoint that is translated, else LANGUAGE_NONE. */
enum language translate_language(enum endpoint endpoint);

/* How a model is told to think. X(NAME, word in the catalogue, meaning) */
#define THINKING_WAYS(X) \
	X(NONE, "none", "it does not think, or can't be told to") \
	X(EFFORT, "effort", "by a level: OpenAI's reasoning effort, Gemini's thinkingLevel, Anthropic's adaptive thinking with an effort") \
	X(BUDGET, "budget", "by a number of tokens: Gemini's thinkingBudget, Anthropic's budget_tokens")
enum thinking_way {
#define X(NAME, word, meaning) THINKING_##NAME,
	THINKING_WAYS(X)
#undef X
};

struct translate_wish {
	enum language from, to;
	struct span model; /* the provider's name for it; needs no escaping */
	struct span user; /* who asks, in place of whom the caller names; needs no escaping; empty: the caller's stands */
	uint32_t cap; /* bound on the output to be set in place of the caller's; 0: the caller's stands */
	uint32_t output_tokens; /* the model's most: where the provider wants a bound and the caller gave none */
	bool stream; /* the answer is asked for as a stream */
	bool lenient;
	bool old_cap; /* chat: the provider knows max_tokens only */
	bool ask_usage; /* chat: it may be asked for usage in a stream */
	uint8_t thinking; /* enum thinking_way */
};

enum { TRANSLATE_PATH_MAX = 160 };

/*
 * Why a request is not translated. X(NAME, sentence; the path of the field stands before it)
 * A path reads as the caller wrote the body: messages[2].content[0].image_url
 */
#define TRANSLATE_REFUSALS(X) \
	X(NONE, "") \
	X(CANT, "can't be said in the language of this model's provider") \
	X(INVALID, "is not valid") \
	X(MISSING, "is required") \
	X(TOO_MUCH, "") /* the source is tired */ \
	X(NO_MEMORY, "")
enum translate_refusal {
#define X(NAME, sentence) TRANSLATE_##NAME,
	TRANSLATE_REFUSALS(X)
#undef X
};

struct translate_notes {
	uint8_t refusal; /* enum translate_refusal */
	struct text path; /* of the field that is refused, in path_room */
	const char *advice; /* what can be done about it, a sentence, or NULL */
	struct text dropped; /* lenient: names of fields that were left out, "seed, logit_bias", for a header; names of ours, nothing of the caller's */
	char path_room[TRANSLATE_PATH_MAX], dropped_room[TRANSLATE_PATH_MAX * 2];
};

/* The body (one valid JSON object, json_scan.h) in the provider's language. False: notes say why. */
must_check bool translate_request(struct json_source *body, const struct translate_wish *wish, struct sink *out, struct translate_notes *ret_notes);

/* What an answer's translation is told at its beginning; the spans outlive it. */
struct translate_answer_facts {
	enum language from, to; /* provider's, caller's */
	struct span model; /* as the caller named it */
	struct span id; /* our request id, for answers whose provider gives none */
	uint64_t now_s; /* wall clock */
	bool streamed;
	bool include_usage; /* chat callers: the usage chunk was asked for */
	bool show_reasoning; /* chat callers: reasoning_content may be sent */
	bool as_array; /* Gemini callers, streamed, without alt=sse: the stream is one JSON array of answers */
};

enum translate_result {
	TRANSLATE_MORE, /* all is well so far */
	TRANSLATE_END, /* the answer is complete, and so is its translation */
	TRANSLATE_ERROR, /* the provider ended it by an error: see error_* ; nothing of it was written */
	TRANSLATE_MALFORMED, /* not of its language, or too large a piece; what was written before stands */
	TRANSLATE_FULL, /* the sink, or the room for what must wait, was full */
};

/* Anthropic's SDKs want a signature behind each thinking; where the provider gave none this stands there. It goes to no provider. */
#define TRANSLATE_UNSIGNED "lethe-unsigned"

enum { TRANSLATE_STATE_MAX = 8192, TRANSLATE_KEEP_MAX = 4 << 20 /* most that one translation keeps */, TRANSLATE_EVENT_MAX = 1 << 20 /* bytes of one event that are translated as a whole */ };

struct translation {
	struct translate_answer_facts facts;
	/* Room for what can't be told yet (arguments of a second call that come while the first still runs): asked for and given back through these. */
	void *(*keep)(void *owner, size_t bytes);
	void (*drop)(void *owner, void *at, size_t bytes);
	void *owner;
	struct span error_text; /* TRANSLATE_ERROR: the provider's sentence; lasts until the next call */
	uint16_t error_status; /* what it would have been as an HTTP status */
	_Alignas(16) unsigned char state[TRANSLATE_STATE_MAX];
};

void translation_begin(struct translation *t, const struct translate_answer_facts *facts);
/* Gives back what is kept. May be called at any time after begin, twice as well. */
void translation_end(struct translation *t);

/* An answer that is one JSON document and is all there: whether it is one is checked. A source that gets tired is MALFORMED. */
must_check enum translate_result translate_answer(struct translation *t, struct json_source *body, struct sink *out);

/*
 * A stream: as many whole events as are there. *ret_used: bytes that are done with; the rest is passed again, in front of what follows. last: the
 * provider's stream is over. The end that the caller's language wants (finish, usage, [DONE], message_stop) is written when the provider's end was seen,
 * never before: a stream that breaks off stays broken.
 */
must_check enum translate_result translate_stream(struct translation *t, const char *in, size_t len, bool last, struct sink *out, size_t *ret_used);

/*
 * A provider's error answer (status ≥ 400, any of the shapes that providers use, or no JSON at all): the sentence, into room; empty when there is
 * none that reads as text. The caller puts it into its own dialect's shape (error.h).
 */
void translate_error(const char *body, size_t len, struct text *room);

#endif
