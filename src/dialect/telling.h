/*
 * The common form of an answer: what a provider tells, piece by piece, in the order in which it comes. A decoder per language makes tellings of
 * documents, an encoder per language writes them; neither knows another. Private to src/dialect; state lies in struct translation.
 *
 *   telling_stream.c  events and documents out of a stream        telling.c        what is common to all, and the two entries
 *   telling_calls.c   calls in an order that the caller's         telling_usage.c  numbers
 *                     language can say                            X_answer.c       decoder and encoder of a language
 */
#ifndef DIALECT_TELLING_H
#define DIALECT_TELLING_H

#include "core/sse.h"
#include "dialect/counts.h"
#include "dialect/translate.h"

enum tell_kind {
	TELL_START, /* the first of an answer */
	TELL_TEXT,
	TELL_REFUSAL,
	TELL_THINKING,
	TELL_SIGNATURE, /* of the thinking before it */
	TELL_CALL, /* a whole one: text is a JSON object, or a string that holds one or nothing */
	TELL_CALL_START,
	TELL_CALL_ARGS, /* text: a string with a piece of the arguments, or an object with all of them */
	TELL_CALL_END,
	TELL_END, /* finish and usage are known */
};

struct tell {
	enum tell_kind kind;
	uint16_t choice;
	uint16_t call; /* counts the calls of an answer; the same in all pieces of one */
	struct json_source *source; /* of the values; each lasts for the telling. JSON_MORE: there is none */
	struct json_value text, id, name, signature;
	struct json_value logprobs; /* of a text, which may be absent then: OpenAI's list, or Gemini's logprobsResult, an object */
};

enum finish { FINISH_NONE,
	FINISH_STOP,
	FINISH_SEQUENCE, /* why: the sequence */
	FINISH_LENGTH,
	FINISH_CALLS,
	FINISH_REFUSAL, /* the model itself */
	FINISH_FILTER, /* why: what the provider says about it, if anything */
	FINISH_OTHER }; /* why: the provider's word for it */

enum {
	TELLING_CHOICES_MAX = 8,
	TELLING_CALLS_MAX = 128,
	TELLING_WAITING_MAX = 24, /* calls that wait while another is told */
	TELLING_LINES_MAX = 32, /* of one event's data */
	TELLING_ID_MAX = 96,
	TELLING_WHY_MAX = 400,
	TELLING_PARTS_MAX = 96, /* of one rope: see telling_calls.c */
};

/* Text of a length that is not known beforehand, kept until it can be told. */
struct rope_part;
struct rope {
	struct sink sink; /* writes here; full when no more is kept */
	struct telling *owner;
	struct rope_part *first, *last;
	uint32_t parts;
	uint64_t before; /* bytes in the parts before the last */
};

struct telling_choice {
	uint8_t finish; /* enum finish */
	bool said, refused, called, broken_call, logprobs;
};

struct waiting_call {
	struct rope rope; /* id, name, signature as JSON texts, then a quote and the inside of a string: the arguments */
	uint32_t id_end, name_end, signature_end;
	uint16_t choice, call;
	bool used, ended;
};

struct chat_input {
	struct {
		uint16_t choice, index;
		uint32_t id_hash;
		bool ended;
	} calls[TELLING_CALLS_MAX];
	uint16_t count;
};

struct blocks_input { /* messages; responses: calls by their item */
	uint8_t block;
	bool got_args;
	uint16_t count;
	struct {
		uint32_t item;
		bool got_args;
	} items[TELLING_CALLS_MAX];
};

/* What an encoder has open. */
enum block { BLOCK_NONE,
	BLOCK_TEXT,
	BLOCK_REFUSAL,
	BLOCK_THINKING,
	BLOCK_CALL,
	BLOCK_OTHER };

struct telling {
	struct translation *t;
	struct sink *out;
	const struct answer_decoder *from;
	const struct answer_encoder *to;
	enum translate_result result;
	/* The answer so far. */
	bool started, ended, usage_given;
	struct usage usage;
	struct telling_choice choices[TELLING_CHOICES_MAX];
	uint8_t choice_count;
	uint8_t id_len;
	uint16_t why_len, error_len;
	char id[TELLING_ID_MAX]; /* the provider's; needs no escaping */
	char why[TELLING_WHY_MAX]; /* the inside of a JSON string */
	char error[TELLING_WHY_MAX];
	/* The provider's stream (telling_stream.c). */
	struct sse sse;
	size_t fed; /* of the input, from its first byte */
	uint64_t position; /* of the input's first byte in the stream */
	uint32_t line_count;
	struct {
		uint32_t at, len;
	} lines[TELLING_LINES_MAX];
	bool line_ended, bare, array, array_over, any_byte;
	uint64_t element_at;
	union {
		struct json_scan array_scan; /* of a stream that is an array */
		struct json_scan open_scan; /* of the open call's arguments; decoders of arrays tell whole calls */
	};
	/* Calls (telling_calls.c). */
	uint64_t kept;
	bool open, open_bad;
	uint16_t open_choice, open_call;
	struct waiting_call waiting[TELLING_WAITING_MAX];
	/* A document that is all there: who is told now. */
	struct json_source *body;
	void (*listener)(struct telling *g, const struct tell *what);
	uint16_t only_choice;
	/* The decoder's. */
	union {
		struct chat_input chat;
		struct blocks_input blocks;
		uint16_t calls_of[TELLING_CHOICES_MAX];
	} in;
	/* The encoder's. */
	uint8_t block; /* enum block */
	bool signature_given, began;
	uint16_t roles; /* chat: choices whose role was said */
	uint32_t index; /* of the open block, and of the next */
	uint64_t sequence;
	struct rope rope; /* responses: its output so far */
	struct rope logprobs; /* responses: those of the open item */
	uint64_t item_at, text_at;
};

struct answer_decoder {
	/* One event of a stream; it is one valid JSON object. */
	void (*event)(struct telling *g, struct json_source *s, struct json_value root);
	/* data: [DONE]. NULL: means nothing in this language. */
	void (*mark)(struct telling *g);
	/* The provider closed properly. Not yet ended by then: the answer broke off. NULL: no end. */
	void (*closed)(struct telling *g);
	/* A whole answer: tellings from START to END. May be asked for several times. */
	void (*document)(struct telling *g, struct json_source *s, struct json_value root);
};

enum call_order { ORDER_FREE, /* pieces of several calls may mix */
	ORDER_ONE, /* one call after another */
	ORDER_WHOLE }; /* a call is told as a whole */

struct answer_encoder {
	enum call_order order;
	void (*tell)(struct telling *g, const struct tell *what);
	/* After a first walk, which found no error: writes the document, walking it as often as needed. */
	void (*document)(struct telling *g);
};

extern const struct answer_decoder answer_from_chat, answer_from_messages, answer_from_gemini, answer_from_responses;
extern const struct answer_encoder answer_to_chat, answer_to_messages, answer_to_gemini, answer_to_responses, answer_to_completions;

/* ---- for decoders ---- */

void telling_start(struct telling *g, struct json_source *s, struct json_value id);
void telling_say(struct telling *g, enum tell_kind kind, unsigned choice, struct json_source *s, struct json_value text);
/* Text with its log probabilities, if there are any (JSON_MORE, null or empty: none). */
void telling_text(struct telling *g, unsigned choice, struct json_source *s, struct json_value text, struct json_value logprobs);
void telling_tell(struct telling *g, const struct tell *what);
/* finish, and why (JSON_MORE: none) */
void telling_finish(struct telling *g, unsigned choice, enum finish finish, struct json_source *s, struct json_value why);
void telling_end(struct telling *g);
void telling_fail(struct telling *g, enum translate_result why);
/* By the error member of an event or a document; status 0: by its words. */
void telling_error(struct telling *g, struct json_source *s, struct json_value error, unsigned status);
void telling_error_words(struct telling *g, struct span words, unsigned status);
/* One number of a usage object. */
void telling_count(struct counts *c, unsigned which, struct json_source *s, struct json_value v);
void telling_usage(struct telling *g, const struct usage *u);
/* A word of a table, by place; count when it is none. */
unsigned telling_word(struct json_source *s, struct json_value v, const struct span *words, unsigned count);
struct json_value telling_member(struct json_source *s, struct json_value object, struct span name);

/* ---- for encoders ---- */

void telling_walk(struct telling *g, void (*listener)(struct telling *g, const struct tell *what));
/* Is it an object, or a string whose text is one, or nothing? */
bool telling_is_object(struct json_source *s, struct json_value v);
/* The arguments as an object: {} for none. */
void telling_object(struct sink *out, struct json_source *s, struct json_value v);
/* The arguments, or a piece of them, as the inside of a string. */
void telling_inside(struct sink *out, struct json_source *s, struct json_value v);
/* Entries of OpenAI's list, without its brackets; no_bytes stands where Gemini tells no bytes of a token. */
void telling_logprobs(struct sink *out, const struct tell *what, const char *no_bytes);
/* A string with its quotes; an absent one: "" */
void telling_string(struct sink *out, struct json_source *s, struct json_value v);
/* A call's id with its quotes; the provider's, or prefix, our request's and the call's number. */
void telling_call_id(struct telling *g, const struct tell *what, const char *prefix);
/* The answer's own id, without quotes. */
void telling_id(struct telling *g, struct sink *out, const char *prefix);
uint64_t telling_tokens_in(const struct usage *u);
uint64_t telling_tokens_cached(const struct usage *u);
uint64_t telling_tokens_written(const struct usage *u);
uint64_t telling_tokens_out(const struct usage *u);
/* What it ends by, all considered: a stop after calls is FINISH_CALLS. */
enum finish telling_finish_of(const struct telling *g, unsigned choice);

/* ---- chat_answer.c, for completions as well ---- */

void chat_write_usage(struct sink *out, const struct usage *u);
extern const char *const chat_finish_words[]; /* by enum finish */

/* ---- telling_calls.c ---- */

void calls_tell(struct telling *g, const struct tell *what);
void calls_close(struct telling *g);
void calls_drop(struct telling *g);
void rope_init(struct rope *r, struct telling *owner);
void rope_drop(struct rope *r);
uint64_t rope_bytes(const struct rope *r);
/* Pieces for a source; room for TELLING_PARTS_MAX + 2 of them. */
uint32_t rope_pieces(const struct rope *r, struct span *pieces);

/* ---- telling_stream.c ---- */

void telling_stream_begin(struct telling *g);
void telling_stream_bytes(struct telling *g, const char *in, size_t len, bool last, size_t *ret_used);

#define telling_lit(s, literal) sink_lit((s), literal)
static const struct json_value json_absent = {.kind = JSON_MORE};

static inline bool
json_is(struct json_value v, enum json_token kind)
{
	return v.kind == (uint8_t)kind;
}

/* A string with something in it. */
static inline bool
json_says(struct json_value v)
{
	return v.kind == JSON_STRING && v.end - v.at > 2;
}

#endif
