/*
 * Price lists of others, read: LiteLLM's model_prices_and_context_window.json, and genai-prices' providers/NAME.yml or
 * data.json. Hostile as far as the reader knows: sizes, nesting and counts are bounded. Numbers keep their text until
 * they are whole units. Pure; the command line. A source owns its tree; names of offers point into it.
 */
#ifndef PROC_IMPORT_SOURCE_H
#define PROC_IMPORT_SOURCE_H

#include "proc/config_scalar.h"
#include "proc/config_yaml.h"
#include "proc/import_price.h"

/*
 * Providers by the names that lists give them, told from the host of a catalogue's `url` (or a name below it).
 * X(name, host, LiteLLM's name, genai-prices' id)
 */
#define IMPORT_PROVIDERS(X) \
	X(openai, "api.openai.com", "openai", "openai") \
	X(anthropic, "api.anthropic.com", "anthropic", "anthropic") \
	X(gemini, "generativelanguage.googleapis.com", "gemini", "google") \
	X(xai, "api.x.ai", "xai", "x-ai") \
	X(deepseek, "api.deepseek.com", "deepseek", "deepseek") \
	X(groq, "api.groq.com", "groq", "groq") \
	X(mistral, "api.mistral.ai", "mistral", "mistral") \
	X(openrouter, "openrouter.ai", "openrouter", "openrouter")

enum import_provider {
#define X(name, host, litellm, genai) IMPORT_##name,
	IMPORT_PROVIDERS(X)
#undef X
		IMPORT_PROVIDER_COUNT
};

/* IMPORT_PROVIDER_COUNT: no list has it. */
enum import_provider import_provider_by_host(const char *host);

/* What a model is for: those that Lethe has endpoints for, and the rest. */
enum import_use { IMPORT_CHAT,
	IMPORT_EMBEDDING,
	IMPORT_MODERATION,
	IMPORT_OTHER };

enum { TERMS_GROUPS_MAX = 4,
	OFFERS_MAX = 10000,
	RULES_MAX = 30000000, /* looks at a rule about names, in one import */
	SOURCE_BYTES_MAX = 64 << 20 };

/* What one list says of one model. */
struct terms {
	uint64_t context, output; /* 0: not stated */
	uint64_t gone_ms; /* no longer served from then on; 0: not stated, 1: already */
	bool reasoning;
	bool responses_alone; /* OpenAI serves it by the Responses API, and not by chat completions */
	uint16_t capabilities; /* bits of enum capability, as far as the list says */
	enum import_use use;
	bool use_known; /* the list says so; else it is a guess from its prices */
	uint32_t group_count;
	struct price_group group[TERMS_GROUPS_MAX]; /* the first is in force at the import's date, the others begin later */
};

/* What could not be taken over, by reason. */
struct import_notes;
void import_note(struct import_notes *notes, const char *model, const char *what, const char *reason);

struct offer {
	enum import_provider provider;
	const char *name; /* without the list's prefix */
	const yaml_node_t *node;
	uint32_t source;
	uint32_t position; /* in all sources */
};

enum source_format { FORMAT_DETECT,
	FORMAT_LITELLM,
	FORMAT_GENAI };

struct source {
	const char *name;
	char *text; /* only when it had to be changed */
	struct config_yaml *y;
	enum source_format format;
	uint64_t rules; /* looked at; beyond RULES_MAX none holds */
	int64_t code_session[IMPORT_PROVIDER_COUNT]; /* stated once for all models of a provider; −1 */
};

struct offers {
	struct offer *row;
	uint32_t count;
};

/* Read a text. format: what the user says it is. False: problems (whose file is the source's name) says why. */
must_check bool source_open(struct span text, enum source_format format, struct problems *problems, struct source *ret);
void source_close(struct source *s);

/* Add what it offers. False: too many. */
must_check bool source_offers(struct source *s, uint32_t number, struct offers *to);

/* Is the model that clients call `name` this one? `exact`: only when the list says the name itself. */
bool offer_has_name(struct source *s, const struct offer *o, const char *name, bool exact);

/* What it says of a model, in force on a day. False: nothing that could be used, said in notes. */
must_check bool offer_terms(
	const struct source *s, const struct offer *o, uint64_t date_ms, struct import_notes *notes, struct terms *ret);

/* ---- between the readers of the two formats ---- */

must_check bool litellm_offers(struct source *s, uint32_t number, struct offers *to);
must_check bool litellm_terms(const struct source *s, const struct offer *o, struct import_notes *notes, struct terms *ret);
must_check bool genai_offers(struct source *s, uint32_t number, struct offers *to);
bool genai_has_name(struct source *s, const struct offer *o, const char *name, bool exact);
must_check bool genai_terms(
	const struct source *s, const struct offer *o, uint64_t date_ms, struct import_notes *notes, struct terms *ret);

must_check bool offers_add(struct offers *to, struct offer o);
/* The text of a scalar; "" for other nodes. */
const char *node_text(const yaml_node_t *node);
uint64_t node_whole(const yaml_node_t *node); /* 0: not a whole number below 2^30 */
bool node_day(const yaml_node_t *node, uint64_t *ret_ms);

/* A row that is being read, and for whose sake. */
struct taking {
	const struct offer *offer;
	struct import_notes *notes;
	const char *field; /* as the list calls it */
};

/* A price × 10^shift into a column that is still empty; what is no such price is noted. */
void take_price(const struct taking *t, struct price_row *row, enum price_column column, const yaml_node_t *value, int shift);
/*
 * Zeros that would make something free for which the rest of the row charges. False: the row has no price that could
 * be charged at all, or is free.
 */
must_check bool take_no_gifts(const struct taking *t, struct price_group *g, enum import_use use);

#endif
