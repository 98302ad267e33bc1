#include "edge/endpoints.h"

#include <string.h>

static const struct endpoint_path paths[] = {
#define X(path, form, method, goes, endpoint, dialect) \
	{{path, sizeof(path) - 1}, PATH_##form, HTTP1_##method, GOES_##goes, ENDPOINT_##endpoint, DIALECT_##dialect},
	PATHS(X)
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

static bool
path_fits(const struct endpoint_path *r, struct span path, struct span *ret_rest)
{
	switch (r->form) {
	case PATH_WHOLE:
		return span_is(path, r->path);
	case PATH_PREFIX:
		*ret_rest = (struct span){path.at + r->path.len, path.len > r->path.len ? path.len - r->path.len : 0};
		return span_begins(path, r->path);
	case PATH_METHOD:
		return method_fits(path, r->path, ret_rest);
	}
	return false;
}

const struct endpoint_path *
endpoint_find(struct span path, struct span *ret_rest)
{
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		*ret_rest = (struct span){0};
		if (path_fits(&paths[i], path, ret_rest))
			return &paths[i];
	}
	return NULL;
}

/* ---- what is known of an endpoint ---- */

static const struct {
	struct span upstream;
	bool billed, output;
	enum dialect dialect;
} endpoints[ENDPOINT_COUNT] = {
#define OF(NAME, text, has_output) [ENDPOINT_##NAME].upstream = {text, sizeof(text) - 1}, [ENDPOINT_##NAME].output = has_output
	OF(CHAT_COMPLETIONS, "/chat/completions", true),
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
	OF(IMAGES_GENERATIONS, "/images/generations", true),
	OF(IMAGES_EDITS, "/images/edits", true),
	OF(IMAGES_VARIATIONS, "/images/variations", true),
	OF(REALTIME, "/realtime", true),
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
