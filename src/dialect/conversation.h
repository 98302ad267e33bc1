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

#include "dialect/translate.h"

/* ---- fields ---- */

enum field_way {
	FIELD_TAKEN, /* its decoder reads it */
	FIELD_SETTING, /* a scalar of the common form */
	FIELD_OURS, /* the gateway sees to it, whatever stands there */
	FIELD_LEFT_OUT, /* carries no meaning elsewhere: left out, and named in the notes */
	FIELD_LENIENT, /* refused; left out and named when the caller is lenient */
	FIELD_REFUSED,
};

/* Values that say no more than an absent field does. */
enum idle { IDLE_NEVER,
	IDLE_FALSE,
	IDLE_TRUE,
	IDLE_ZERO,
	IDLE_ONE,
	IDLE_EMPTY,
	IDLE_AUTO,
	IDLE_DISABLED,
	IDLE_TEXT_ONLY };

struct field {
	struct span name;
	uint8_t way, idle, setting;
	const char *advice;
};
#define FIELD(text) \
	{ \
		.name = SPAN_INIT(text), .way = FIELD_TAKEN \
	}
#define FIELD_SET(text, NAME) \
	{ \
		.name = SPAN_INIT(text), .way = FIELD_SETTING, .setting = SETTING_##NAME \
	}
#define FIELD_IS(text, WAY) \
	{ \
		.name = SPAN_INIT(text), .way = FIELD_##WAY \
	}
#define FIELD_UNLESS(text, WAY, IDLE, sentence) \
	{ \
		.name = SPAN_INIT(text), .way = FIELD_##WAY, .idle = IDLE_##IDLE, .advice = (sentence) \
	}

/* ---- settings ---- */

/* Scalars that are copied as they stand. X(NAME, kind, what says no more than its absence) */
#define SETTINGS(X) \
	X(CAP, NUMBER, NEVER) \
	X(OLD_CAP, NUMBER, NEVER) \
	X(TEMPERATURE, NUMBER, NEVER) \
	X(TOP_P, NUMBER, NEVER) \
	X(TOP_K, NUMBER, NEVER) \
	X(STOP, TEXTS, EMPTY) \
	X(N, NUMBER, ONE) \
	X(SEED, NUMBER, NEVER) \
	X(PRESENCE, NUMBER, ZERO) \
	X(FREQUENCY, NUMBER, ZERO) \
	X(LOGPROBS, BOOLEAN, FALSE) \
	X(TOP_LOGPROBS, NUMBER, ZERO) \
	X(LOGIT_BIAS, OBJECT, EMPTY) \
	X(PARALLEL, BOOLEAN, TRUE) \
	X(CACHE_KEY, TEXT, EMPTY) \
	X(USER, TEXT, EMPTY) \
	X(OLD_USER, TEXT, EMPTY) \
	X(TIER, TEXT, AUTO) \
	X(VERBOSITY, TEXT, NEVER)
enum setting_name {
#define X(NAME, kind, idle) SETTING_##NAME,
	SETTINGS(X)
#undef X
		SETTING_COUNT
};

struct setting {
	struct json_value value; /* JSON_MORE, which is zero: not given */
	const char *in, *name; /* its path: in may be NULL */
};

/* What a language can't say. */
struct unsaid {
	uint8_t setting, way; /* FIELD_LEFT_OUT, FIELD_LENIENT, FIELD_REFUSED */
	const char *advice;
};

/* Levels of thinking. X(NAME, OpenAI's word, Anthropic's, Gemini's, tokens when they are counted) */
#define LEVELS(X) \
	X(MINIMAL, "minimal", "low", "MINIMAL", 512) \
	X(LOW, "low", "low", "LOW", 1024) \
	X(MEDIUM, "medium", "medium", "MEDIUM", 8192) \
	X(HIGH, "high", "high", "HIGH", 24576) \
	X(XHIGH, "xhigh", "xhigh", "HIGH", 32768) \
	X(MAX, "max", "max", "HIGH", 32768)
enum level { LEVEL_UNSAID,
	LEVEL_NONE,
	LEVEL_FREE, /* as much as the model likes */
#define X(NAME, openai, anthropic, gemini, tokens) LEVEL_##NAME,
	LEVELS(X)
#undef X
		LEVEL_COUNT };

enum choice { CHOICE_UNSAID,
	CHOICE_AUTO,
	CHOICE_NONE,
	CHOICE_ANY,
	CHOICE_ONE /* this tool */ };
enum answer_form { ANSWER_TEXT,
	ANSWER_JSON,
	ANSWER_SCHEMA };
enum schema_kind { SCHEMA_JSON,
	SCHEMA_OPENAPI /* Gemini's: types may be in capitals */ };

struct conversation_settings {
	struct setting scalars[SETTING_COUNT];
	bool logprobs_included; /* responses: asked for by `include` */
	struct setting alone; /* true: Anthropic's way of saying that calls come one by one */
	struct {
		uint8_t level;
		bool show, hide; /* its thoughts, as was asked */
		uint32_t tokens; /* 0: told by the level */
		const char *path;
	} thinking;
	struct {
		uint8_t form, schema_kind;
		struct json_value schema, name, description, strict;
		const char *path;
	} answer;
	struct {
		uint8_t choice;
		struct json_value name; /* CHOICE_ONE */
		struct json_value allowed; /* names of the tools that may be called; JSON_MORE: all */
		const char *path;
	} tools;
};

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

extern const struct conversation_decoder chat_request_decoder, messages_request_decoder, gemini_request_decoder, responses_request_decoder;
extern const struct conversation_encoder chat_request_encoder, messages_request_encoder, gemini_request_encoder, responses_request_encoder;

/* ---- for decoders ---- */

void at_name(struct conversation *c, const char *name);
void at_key(struct conversation *c, struct json_value key);
void at_index(struct conversation *c, uint32_t index);
void leave(struct conversation *c);
/* All return false. */
bool refuse(struct conversation *c, enum translate_refusal why, const char *advice);
bool refuse_at(struct conversation *c, const char *name, enum translate_refusal why, const char *advice);
/* A setting's whole path. */
bool refuse_path(struct conversation *c, const char *in, const char *name, enum translate_refusal why, const char *advice);
/* By the way of a field. name: of ours. False: it is refused. */
must_check bool leave_out(struct conversation *c, const char *name, enum field_way way, const char *advice);
void note_left_out(struct conversation *c, const char *name);

/*
 * The members of an object by a table: ret[i] for each row (JSON_MORE: absent or null); settings go where they belong, `in` in front of their names. Unknown
 * fields are refused.
 */
must_check bool fields_read(
	struct conversation *c, struct json_value object, const struct field *fields, uint32_t count, struct json_value *ret, const char *in);
bool says_nothing(struct conversation *c, struct json_value v, enum idle idle);
static inline bool
given(struct json_value v)
{
	return v.kind != JSON_MORE;
}
bool is_empty(struct json_value v);
/* The text of a list of one text part, else the list as it is. */
struct json_value only_text_of(struct conversation *c, struct json_value list);
#define reads(c, v, literal) json_reads((c)->in, (v), SPAN(literal))

must_check bool tell(struct conversation *c, const struct conversation_part *p);
must_check bool tell_tool(struct conversation *c, const struct conversation_tool *t);
must_check bool tell_system(struct conversation *c, const struct conversation_part *p);
/* A level by its word, OpenAI's or Gemini's. */
enum level level_named(struct conversation *c, struct json_value word);
enum level level_of_tokens(uint64_t tokens);
/* A whole number, at most UINT32_MAX; false when it isn't. */
must_check bool number_whole(struct conversation *c, struct json_value v, uint64_t *ret);
double number_about(struct conversation *c, struct json_value v);
/* "data:image/png;base64,…" into type and base64, "https://…" as it stands; else it is refused. */
must_check bool media_url(struct conversation *c, struct json_value url, struct conversation_part *p);
must_check bool media_type_fine(struct conversation *c, struct json_value v);
must_check bool web_url(struct conversation *c, struct json_value url);
struct media_type media_known(struct span ours);
bool media_is(struct conversation *c, const struct media_type *t, struct span prefix);
/* Which call a result without an id answers: the first of p->name that has none yet. Sets p->id or p->order. */
must_check bool call_by_name(struct conversation *c, struct conversation_part *p);

/* ---- for encoders ---- */

/* A comma, between the elements of the list of turns. */
void next_item(struct conversation *c);
/* Where neighbours of one role become one turn, which is opened by its first part: empty ones are refused by providers. */
struct merged_form {
	struct span user, assistant; /* up to the list of parts */
};
void merge_turn(struct conversation *c, enum side side);
void begin_merged_part(struct conversation *c, const struct merged_form *form);
void close_merged_turn(struct conversation *c);

/* Left out when lenient, else refused with its whole path. */
must_check bool leave_out_setting(struct conversation *c, const char *path, const char *advice);
must_check bool refuse_unsaid(struct conversation *c, const struct unsaid *rows, uint32_t count);
static inline const struct setting *
setting(const struct conversation *c, enum setting_name name)
{
	return &c->settings.scalars[name];
}
/* The setting as a member, when it is given and says something. */
void put_setting(struct conversation *c, struct span name, enum setting_name which);
/* `"name":` with a comma in front where one belongs. */
void put_name(struct conversation *c, struct span name);
void put_u32_member(struct conversation *c, struct span name, uint32_t v);
void put_word_member(struct conversation *c, struct span name, struct span word);
/* The bound on the output: what was wished, else the caller's. False: neither. */
bool put_cap(struct conversation *c, struct span name);
const struct setting *cap_said(const struct conversation *c);
uint64_t cap_known(struct conversation *c); /* UINT64_MAX: none */
void put_stop_list(struct conversation *c, struct span name);
uint32_t count_elements(struct conversation *c, struct json_value list);
/* A JSON string of the value's text: strings as they stand, all else as JSON in a string. inside: without the quotes around it. */
void put_text(struct conversation *c, struct json_value v);
void put_inside(struct conversation *c, struct json_value v);
/* A call's arguments as an object. A string is checked to be one; "" is {}. False: refused. */
must_check bool put_object(struct conversation *c, struct json_value v);
/* A call's arguments as a string. */
void put_object_text(struct conversation *c, struct json_value v);
bool is_object_text(struct conversation *c, struct json_value v);
void put_media_type(struct conversation *c, const struct media_type *t);
/* Base64 as a data: URL, a URL as it stands. */
void put_data_url(struct conversation *c, const struct conversation_part *p);
void put_schema(struct conversation *c, struct json_value schema, enum schema_kind kind);
/* An id between quotes: of at most `most` bytes, and of letters, digits, _ and - alone when strict; else one that is made from it. */
void put_call_id(struct conversation *c, const struct conversation_part *p, uint32_t most, bool strict);
/* The prefix and a hash of the text, between quotes. */
void put_made_up(struct conversation *c, struct span prefix, struct json_value from);
/* OpenAI's `strict` of the answer's schema, as a further member. */
void put_answer_strict(struct conversation *c);
bool logprobs_wanted(const struct conversation *c);
bool calls_one_by_one(const struct conversation *c);
/* The service tier as a member, in the language's word. False: refused. */
must_check bool put_tier(struct conversation *c, struct span name);
/* The user's id between quotes, hashed when it is longer. */
bool user_said(const struct conversation *c);
void put_user(struct conversation *c, uint32_t most);
uint64_t text_hash(struct conversation *c, struct json_value text);
struct json_value string_at(struct conversation *c, uint64_t at, uint64_t end);
/* Which tool a result's call had. */
must_check bool name_of_call(struct conversation *c, const struct conversation_part *p, struct json_value *ret);
/* May this tool be called, by tool_choice? */
bool tool_allowed(struct conversation *c, struct json_value name);
struct span level_word(enum level level, enum language language);
uint32_t level_tokens(enum level level);
/* The level to tell by, from whatever was said. LEVEL_UNSAID: nothing is to be told. */
must_check bool thinking_level(struct conversation *c, enum level *ret);

#endif
