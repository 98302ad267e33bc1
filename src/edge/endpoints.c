#include "edge/endpoints.h"

#include <string.h>

static const struct endpoint_path paths[] = {
#define X(path, form, method, goes, endpoint, dialect) \
	{{path, sizeof(path) - 1}, PATH_##form, HTTP1_##method, GOES_##goes, ENDPOINT_##endpoint, DIALECT_##dialect, OPERATION_NONE},
	PATHS(X)
#undef X
#define X(path, form, method, endpoint, dialect, operation) \
	{{path, sizeof(path) - 1}, PATH_##form, HTTP1_##method, GOES_OBJECT, ENDPOINT_##endpoint, DIALECT_##dialect, OPERATION_##operation},
		OBJECT_PATHS(X) OBJECT_ALIASES(X)
#undef X
};

/* Versions under which Gemini's methods are called. */
static const struct span method_prefixes[] = {
	{"/v1beta/models/", 15},
	{"/v1/models/", 11},
	{"/v1alpha/models/", 16},
};

static bool
span_is(struct span a, struct span b)
{
	return a.len == b.len && !memcmp(a.at, b.at, a.len);
}

static bool
span_begins(struct span a, struct span with)
{
	return a.len > with.len && !memcmp(a.at, with.at, with.len);
}

/* "{prefix}{model}:{method}" */
static bool
method_fits(struct span path, struct span method, struct span *ret_model)
{
	const char *colon = memrchr(path.at, ':', path.len);
	if (!colon || !span_is((struct span){colon + 1, path.len - (size_t)(colon + 1 - path.at)}, method))
		return false;
	path.len = (size_t)(colon - path.at);
	for (size_t i = 0; i < sizeof method_prefixes / sizeof *method_prefixes; i++)
		if (span_begins(path, method_prefixes[i])) {
			*ret_model = (struct span){path.at + method_prefixes[i].len, path.len - method_prefixes[i].len};
			return true;
		}
	return false;
}

/* "before*behind": one segment stands for the star. */
static bool
star_fits(struct span pattern, struct span path, struct span *ret_rest)
{
	const char *star = memchr(pattern.at, '*', pattern.len);
	struct span before = {pattern.at, (size_t)(star - pattern.at)}, behind = {star + 1, pattern.len - before.len - 1};
	if (path.len <= before.len + behind.len || memcmp(path.at, before.at, before.len) != 0 ||
		memcmp(path.at + path.len - behind.len, behind.at, behind.len) != 0)
		return false;
	*ret_rest = (struct span){path.at + before.len, path.len - before.len - behind.len};
	return !memchr(ret_rest->at, '/', ret_rest->len);
}

/* "before*middle*behind" */
static bool
pair_fits(struct span pattern, struct span path, struct span *ret_rest)
{
	const char *star = memchr(pattern.at, '*', pattern.len), *second = memrchr(pattern.at, '*', pattern.len);
	struct span before = {pattern.at, (size_t)(star - pattern.at)}, middle = {star + 1, (size_t)(second - star - 1)};
	struct span behind = {second + 1, (size_t)(pattern.at + pattern.len - second - 1)};
	if (path.len < before.len + behind.len || memcmp(path.at, before.at, before.len) != 0 || memcmp(path.at + path.len - behind.len, behind.at, behind.len) != 0)
		return false;
	struct span both = {path.at + before.len, path.len - before.len - behind.len};
	const char *between = memchr(both.at, '/', both.len), *end = both.at + both.len;
	if (!between || between == both.at || (size_t)(end - between) <= middle.len || memcmp(between, middle.at, middle.len) != 0)
		return false;
	*ret_rest = both;
	return !memchr(between + middle.len, '/', (size_t)(end - between) - middle.len);
}

static bool
path_fits(const struct endpoint_path *r, struct span path, struct span *ret_rest)
{
	switch (r->form) {
	case PATH_WHOLE:
		return span_is(path, r->path);
	case PATH_STAR:
		return star_fits(r->path, path, ret_rest);
	case PATH_PAIR:
		return pair_fits(r->path, path, ret_rest);
	case PATH_PREFIX:
		*ret_rest = (struct span){path.at + r->path.len, path.len > r->path.len ? path.len - r->path.len : 0};
		return span_begins(path, r->path);
	case PATH_METHOD:
		return method_fits(path, r->path, ret_rest);
	}
	return false;
}

bool
endpoint_takes(const struct endpoint_path *r, enum http1_method method)
{
	return method == r->method || (method == HTTP1_HEAD && r->method == HTTP1_GET && r->goes != GOES_OBJECT);
}

/* Gemini's things, and others', have one path under /v1. */
static bool
is_for(const struct endpoint_path *r, bool google)
{
	static const struct span shared = {"/v1/", 4};
	bool gemini = r->dialect == DIALECT_GEMINI;
	return r->goes != GOES_OBJECT || gemini == google || (gemini && !span_begins(r->path, shared));
}

const struct endpoint_path *
endpoint_find(struct span path, enum http1_method method, bool google, struct span *ret_rest)
{
	const struct endpoint_path *found = NULL;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct span rest = {0};
		if ((found && !endpoint_takes(&paths[i], method)) || !is_for(&paths[i], google) || !path_fits(&paths[i], path, &rest))
			continue;
		found = &paths[i];
		*ret_rest = rest;
		if (endpoint_takes(found, method))
			break;
	}
	return found;
}

uint8_t
endpoint_methods(struct span path)
{
	unsigned methods = 0, all = 0;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct span rest;
		unsigned own = 1u << paths[i].method | (endpoint_takes(&paths[i], HTTP1_HEAD) ? 1u << HTTP1_HEAD : 0);
		all |= own;
		if (path_fits(&paths[i], path, &rest))
			methods |= own;
	}
	return (uint8_t)(methods ? methods : all);
}

struct span
endpoint_advice(struct span path, enum dialect dialect)
{
	static const struct {
		struct endpoint_path path;
		struct span words, gemini;
	} rows[] = {
#define X(text, where, advice, google) {{.path = {text, sizeof(text) - 1}, .form = PATH_##where}, {advice, sizeof(advice) - 1}, {google, sizeof(google) - 1}},
		ELSEWHERE(X)
#undef X
	};
	struct span rest;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (path_fits(&rows[i].path, path, &rest))
			return dialect == DIALECT_GEMINI ? rows[i].gemini : rows[i].words;
	return (struct span){0};
}

/* ---- what is known of an endpoint ---- */

static const struct {
	struct span upstream;
	bool billed, output;
	enum dialect dialect;
} endpoints[ENDPOINT_COUNT] = {
#define OF(NAME, text, has_output) [ENDPOINT_##NAME].upstream = {text, sizeof(text) - 1}, [ENDPOINT_##NAME].output = has_output
	OF(CHAT_COMPLETIONS, "/chat/completions", true),
	OF(COMPLETIONS, "/completions", true),
	OF(RESPONSES, "/responses", true),
	OF(EMBEDDINGS, "/embeddings", false),
	OF(MODERATIONS, "/moderations", false),
	OF(MESSAGES, "/messages", true),
	OF(MESSAGES_COUNT_TOKENS, "/messages/count_tokens", false),
	OF(GENERATE_CONTENT, "generateContent", true),
	OF(STREAM_GENERATE_CONTENT, "streamGenerateContent", true),
	OF(COUNT_TOKENS, "countTokens", false),
	OF(EMBED_CONTENT, "embedContent", false),
	OF(BATCH_EMBED_CONTENTS, "batchEmbedContents", false),
	OF(AUDIO_TRANSCRIPTIONS, "/audio/transcriptions", true),
	OF(AUDIO_TRANSLATIONS, "/audio/translations", true),
	OF(AUDIO_SPEECH, "/audio/speech", true),
	OF(IMAGES_GENERATIONS, "/images/generations", true),
	OF(IMAGES_EDITS, "/images/edits", true),
	OF(IMAGES_VARIATIONS, "/images/variations", true),
	OF(REALTIME, "/realtime", true),
	OF(FILES, "/files", false),
	OF(BATCHES, "/batches", false),
	OF(MESSAGES_BATCHES, "/messages/batches", false),
	OF(RESPONSES_KEPT, "/responses", false),
#undef OF
#define X(NAME, number, of, word, is_billed) [number].billed = is_billed, [number].dialect = DIALECT_##of,
	ENDPOINTS(X)
#undef X
};

struct span
endpoint_upstream(enum endpoint endpoint)
{
	return endpoints[endpoint].upstream;
}

bool
endpoint_billed(enum endpoint endpoint)
{
	return endpoints[endpoint].billed;
}

bool
endpoint_has_output(enum endpoint endpoint)
{
	return endpoints[endpoint].output;
}

bool
endpoint_of_audio(enum endpoint endpoint)
{
	return endpoint == ENDPOINT_AUDIO_TRANSCRIPTIONS || endpoint == ENDPOINT_AUDIO_TRANSLATIONS;
}

bool
endpoint_of_images(enum endpoint endpoint)
{
	return endpoint >= ENDPOINT_IMAGES_GENERATIONS && endpoint <= ENDPOINT_IMAGES_VARIATIONS;
}

enum dialect
endpoint_dialect(enum endpoint endpoint)
{
	return endpoints[endpoint].dialect;
}

/* ---- the target ---- */

struct span
target_path(struct span target)
{
	const char *query = memchr(target.at, '?', target.len);
	if (query)
		target.len = (size_t)(query - target.at);
	return target;
}

struct span
target_argument(struct span target, struct span name)
{
	const char *end = target.at + target.len, *p = memchr(target.at, '?', target.len);
	while (p && ++p < end) {
		const char *next = memchr(p, '&', (size_t)(end - p));
		size_t len = (size_t)((next ? next : end) - p);
		if (len > name.len && !memcmp(p, name.at, name.len) && p[name.len] == '=')
			return (struct span){p + name.len + 1, len - name.len - 1};
		p = next;
	}
	return (struct span){0};
}
