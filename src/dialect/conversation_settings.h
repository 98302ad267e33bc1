/*
 * What a request sets besides its words, in the common form: scalars, bounds, thinking, the form of the answer; and what becomes of each field of a
 * language (conversation.h).
 */
#ifndef DIALECT_CONVERSATION_SETTINGS_H
#define DIALECT_CONVERSATION_SETTINGS_H

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

#endif
