/*
 * The common form of a request: what callers of every provider language say, in one order and under one name. A decoder walks the caller's body and
 * tells an encoder, which writes the provider's: settings, tools, system text, turns with their parts. Nobody builds a tree: a value is a range of the
 * body, and a decoder may be asked to tell the same again.
 *
 * What a language has and the common form has not is a row of that language's table of fields: taken, the gateway's own affair, left out, or refused.
 * The struct holds offsets and counts, no text; it lives as long as one translation. Run by the edge.
 */
#ifndef DIALECT_CONVERSATION_H
#define DIALECT_CONVERSATION_H

#include "dialect/conversation_settings.h"

/* ---- tools, turns, parts ---- */

struct conversation_tool {
	struct json_value name, description, schema, strict;
	uint8_t schema_kind;
	bool cached; /* what stands up to here is to be cached */
};

enum side { SIDE_SYSTEM,
	SIDE_DEVELOPER,
	SIDE_USER,
	SIDE_ASSISTANT,
	SIDE_TOOL };

enum part_kind { PART_TEXT,
	PART_REFUSAL,
	PART_IMAGE,
	PART_AUDIO,
	PART_FILE,
	PART_THOUGHT,
	PART_CALL,
	PART_RESULT,
	PART_RESULT_END,
	PART_KINDS };

/* Which parts a decoder is asked for. */
enum { SAYS_TEXT = 1,
	SAYS_CALLS = 2,
	SAYS_RESULTS = 4,
	SAYS_RESULT_MEDIA = 8 /* as parts of their own */,
	SAYS_MEDIA_ONLY = 16,
	SAYS_IN_RESULT = 32 };

enum media_from { MEDIA_BASE64,
	MEDIA_URL };

/* A media type: the caller's text, or one of ours when .at is set. */
struct media_type {
	struct json_value text;
	struct span ours;
};

struct conversation_part {
	uint8_t kind, from;
	bool cached, failed; /* failed: a result that is an error */
	struct json_value text; /* text, refusal; media: base64 or URL; a call's arguments; a result's text or object, JSON_MORE: parts follow up to RESULT_END */
	struct media_type type;
	struct json_value name; /* of the tool, of the file */
	struct json_value id; /* JSON_MORE: the order says which call it is */
	uint32_t order; /* of the call among all calls */
	struct json_value signature; /* Gemini's thoughtSignature */
};

/* What a turn will tell, counted beforehand. */
struct turn_shape {
	uint32_t parts[PART_KINDS];
	uint32_t texts; /* that aren't empty */
};

/* ---- the translation ---- */

struct place {
	const char *name; /* a member's name of ours; NULL: */
	struct json_value key; /* one as the caller wrote it; not a string: */
	uint32_t index;
};
enum { PLACES_MAX = 16,
	CALLS_MAX = 1024,
	LOOKS_MAX = 16,
	ALLOWED_MAX = 128 /* tools that tool_choice names */ };

/* A call that was told: which name belongs to an id, which id to a name. */
struct known_call {
	uint64_t id, name; /* hashes */
	uint64_t name_at, id_at;
	uint32_t name_bytes, id_bytes, order;
	bool answered, named; /* named: it came with an id */
};

struct conversation;
struct conversation_decoder {
	const char *items; /* path of the list of turns */
	const char *cap; /* path of the bound on the output */
	bool snake; /* names of fields may stand in snake_case */
	bool prefills; /* a conversation that ends with an answer wants it continued */
	/* Reads the whole body's fields: settings; c->items; what tools() and system() walk. */
	bool (*settings)(struct conversation *c);
	bool (*tools)(struct conversation *c);
	bool (*system)(struct conversation *c); /* the text that stands apart from the turns */
	bool (*side)(struct conversation *c, struct json_value item, enum side *ret);
	/* Tells parts of the item, those that `says` names. */
	bool (*item)(struct conversation *c, struct json_value item, unsigned says);
	/* The name of one element of settings.tools.allowed. */
	bool (*allowed_name)(struct conversation *c, struct json_value element, struct json_value *ret);
};

/* How a list of the body is written: "name":open…close */
struct list_form {
	struct span name, open, close;
};

struct conversation_encoder {
	struct list_form tools, system_list, turns;
	bool hoists_system; /* system text stands apart from the turns */
	bool filters_tools; /* tools that may not be called are not told */
	bool calls_behind; /* a turn's calls stand behind all of its text */
	bool media_aside; /* results hold no media: they stand in the turn behind */
	bool prefills; /* an answer that was begun is continued */
	bool (*settings)(struct conversation *c);
	bool (*tool)(struct conversation *c, const struct conversation_tool *t);
	bool (*system)(struct conversation *c, const struct conversation_part *p);
	bool (*turn)(struct conversation *c, enum side side, const struct turn_shape *shape);
	bool (*part)(struct conversation *c, const struct conversation_part *p);
	bool (*turn_end)(struct conversation *c);
	bool (*finish)(struct conversation *c);
};

/* Between the encoder's own room and the caller's sink: bounds what is written. */
struct measured_sink {
	struct sink sink;
	struct sink *to;
	uint64_t before, most; /* before: what was written into earlier rooms */
	bool over;
};

struct conversation {
	struct json_source *in;
	const struct translate_wish *wish;
	struct translate_notes *notes;
	const struct conversation_decoder *from;
	const struct conversation_encoder *to;
	struct sink *out; /* &room.sink */
	struct measured_sink room;
	struct conversation_settings settings;
	struct json_value items, tools, system; /* as the decoder found them */
	struct place places[PLACES_MAX];
	uint32_t place_count;

	/* What is told is only counted or looked through, not written. */
	struct turn_shape *counting;
	uint8_t media_depth; /* documents hold parts, but no documents of parts */
	bool telling_system; /* text of a turn is told as system text */
	struct {
		bool on, found;
		uint64_t id;
		uint64_t until; /* a call before this offset; 0: the calls of the run are kept anew */
		uint32_t skip; /* calls to pass over before calls are kept */
		struct json_value name;
	} seeking;

	struct known_call calls[CALLS_MAX]; /* of the run of answers before */
	uint32_t calls_known, calls_first, calls_in_run, calls_told;
	struct json_walk run; /* from its first item on */
	uint32_t looks;

	uint64_t allowed[ALLOWED_MAX]; /* hashes of the names in settings.tools.allowed */
	uint32_t allowed_count;
	bool allowed_known;

	/* The encoder's own. */
	struct {
		bool body_members, tools, system, items; /* something stands there */
		bool turn, parts, text_alone, calls, signed_call; /* of the turn */
		bool result, result_parts; /* of a result whose parts follow */
		uint8_t side;
		uint32_t cached;
		struct turn_shape shape;
	} e;
};

extern const struct conversation_decoder chat_request_decoder, messages_request_decoder, gemini_request_decoder, responses_request_decoder, completions_request_decoder;
extern const struct conversation_encoder chat_request_encoder, messages_request_encoder, gemini_request_encoder, responses_request_encoder;

#endif
