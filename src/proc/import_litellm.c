/*
 * LiteLLM's model_prices_and_context_window.json: one object, a member for each model of each provider. Token prices are
 * dollars per token; their names are a kind, then "_above_200k_tokens", then a tier.
 */
#include "proc/import_source.h"

#include "ticket/capabilities.h"

#include <stdlib.h>
#include <string.h>

enum { PER_TOKEN = 12, /* dollars per token to pico */
	DOLLARS = 9, /* dollars to nano */
	PER_THOUSAND = 6 };

static const struct {
	const char *litellm;
} providers[] = {
#define X(name, host, litellm, genai) [IMPORT_##name] = {litellm},
	IMPORT_PROVIDERS(X)
#undef X
};

/* X(field, column, shift) */
#define LITELLM_FIELDS(X) \
	X("input_cost_per_token", input, PER_TOKEN) \
	X("output_cost_per_token", output, PER_TOKEN) \
	X("cache_read_input_token_cost", cached, PER_TOKEN) \
	X("input_cost_per_token_cache_hit", cached, PER_TOKEN) \
	X("cache_creation_input_token_cost", cache_write, PER_TOKEN) \
	X("cache_creation_input_token_cost_above_1hr", cache_write_1h, PER_TOKEN) \
	X("input_cost_per_audio_token", audio_in, PER_TOKEN) \
	X("output_cost_per_audio_token", audio_out, PER_TOKEN) \
	X("cache_read_input_audio_token_cost", cached_audio, PER_TOKEN) \
	X("cache_read_input_token_cost_per_audio_token", cached_audio, PER_TOKEN) \
	X("cache_read_input_image_token_cost", cached_image, PER_TOKEN) \
	X("input_cost_per_image_token", image_in, PER_TOKEN) \
	X("output_cost_per_image_token", image_out, PER_TOKEN) \
	X("input_cost_per_video_token", video_in, PER_TOKEN) \
	X("output_cost_per_reasoning_token", reasoning, PER_TOKEN) \
	X("input_cost_per_request", per_request_nano, DOLLARS) \
	X("file_search_cost_per_1k_calls", file_search_nano, PER_THOUSAND) \
	X("code_interpreter_cost_per_session", code_session_nano, DOLLARS)

static const struct {
	const char *name;
	enum price_column column;
	int shift;
} fields[] = {
#define X(name, column, shift) {name, PRICE_##column, shift},
	LITELLM_FIELDS(X)
#undef X
};

/* Why a field that has to do with money is not taken: the first row whose text is in its name. */
static const struct {
	const char *part, *why;
} reasons[] = {
	{"uplift", "holds for a regional URL, which answers don't name: multiply by hand when that is your `url`"},
	{"per_second", "is by the second: Lethe counts tokens"},
	{"per_character", "is by the character: Lethe counts tokens"},
	{"per_image", "is by the image: Lethe counts tokens"},
	{"per_pixel", "is by the pixel: Lethe counts tokens"},
	{"per_page", "is by the page: Lethe counts tokens"},
	{"per_video_token", "the catalogue has no price for video in answers"},
	{"vector_store", "is by size and day: Lethe stores nothing there"},
	{"per_gb", "is by size and day: Lethe stores nothing there"},
	{"", "the catalogue has no such price"},
};

static bool
is_about_money(const char *field)
{
	return strstr(field, "cost") != NULL || strstr(field, "pric") != NULL || strstr(field, "uplift") != NULL ||
		strstr(field, "multiplier") != NULL;
}

static void
note_untaken(const struct taking *t, const yaml_node_t *value)
{
	const char *text = node_text(value);
	bool zero = value->type == YAML_SCALAR_NODE && strspn(text, "0.") == strlen(text);
	if (zero || !is_about_money(t->field)) /* a zero adds nothing */
		return;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (strstr(t->field, reasons[i].part) != NULL) {
			import_note(t->notes, t->offer->name, t->field, reasons[i].why);
			return;
		}
}

/* ---- names of fields ---- */

struct field_name {
	char base[64];
	int64_t tier, above;
};

static void
cut_tier(struct field_name *f)
{
	static const struct {
		const char *suffix;
		enum service_tier tier;
	} tiers[] = {{"_flex", TIER_flex}, {"_priority", TIER_priority}, {"_batches", TIER_batch}, {"_batch", TIER_batch}};
	size_t len = strlen(f->base);
	for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
		size_t suffix = strlen(tiers[i].suffix);
		if (len > suffix && strcmp(f->base + len - suffix, tiers[i].suffix) == 0) {
			f->base[len - suffix] = '\0';
			f->tier = tiers[i].tier;
			return;
		}
	}
}

/* "_above_200k_tokens" at the end. */
static void
cut_size(struct field_name *f)
{
	static const char before[] = "_above_", behind[] = "k_tokens";
	char *at = strstr(f->base, before), *end;
	for (char *next = at; next != NULL; next = strstr(next + 1, before))
		at = next;
	if (at == NULL)
		return;
	long thousands = strtol(at + sizeof before - 1, &end, 10);
	if (end == at + sizeof before - 1 || strcmp(end, behind) != 0 || thousands <= 0 || thousands > 1000000)
		return;
	*at = '\0';
	f->above = thousands * 1000;
}

static void
take_field(const struct taking *t, struct price_group *g, const yaml_node_t *value)
{
	struct field_name f = {.tier = TIER_standard};
	if (snprintf(f.base, sizeof f.base, "%s", t->field) < (int)sizeof f.base) {
		cut_tier(&f);
		cut_size(&f);
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (strcmp(f.base, fields[i].name) != 0)
			continue;
		struct price_row *row = price_row(g, f.tier, f.above, true);
		if (row == NULL)
			import_note(t->notes, t->offer->name, t->field, "more tiers and sizes than a model can have");
		else
			take_price(t, row, fields[i].column, value, fields[i].shift);
		return;
	}
	note_untaken(t, value);
}

/* ---- fields with an inside ---- */

/* Three prices by how much of the web is read; answers don't say which it was. */
static void
take_searches(const struct taking *t, const struct source *s, struct price_group *g, const yaml_node_t *node)
{
	const yaml_node_t *usual = config_yaml_get(s->y, node, "search_context_size_medium"), *key, *value;
	if (usual == NULL && !config_yaml_pair(s->y, node, 0, &key, &usual)) {
		note_untaken(t, node);
		return;
	}
	take_price(t, price_row(g, TIER_standard, 0, true), PRICE_web_search_nano, usual, DOLLARS);
	for (uint32_t i = 0; config_yaml_pair(s->y, node, i, &key, &value); i++)
		if (strcmp(node_text(value), node_text(usual)) != 0) {
			import_note(t->notes, t->offer->name, t->field,
				"differs by size of context, which answers don't name: `medium`, the default, was taken");
			return;
		}
}

/* Multiples: of the place of inference, and of Anthropic's fast mode. */
static void
take_multiples(const struct taking *t, const struct source *s, struct price_group *g, const yaml_node_t *node)
{
	const yaml_node_t *key, *value;
	for (uint32_t i = 0; config_yaml_pair(s->y, node, i, &key, &value); i++) {
		struct taking inner = {t->offer, t->notes, node_text(key)};
		bool us = strcmp(inner.field, "us") == 0;
		if (us)
			take_price(&inner, price_row(g, TIER_standard, 0, true), PRICE_geo_us_x100, value, 2);
		else if (strcmp(inner.field, "fast") == 0 && price_row(g, TIER_fast, 0, true) != NULL)
			take_price(&inner, price_row(g, TIER_fast, 0, true), PRICE_times_x100, value, 2);
		else
			import_note(t->notes, t->offer->name, inner.field, "a multiple that the catalogue doesn't know");
	}
}

/* ---- models ---- */

static enum import_use
use_of(const char *mode)
{
	if (strcmp(mode, "chat") == 0 || strcmp(mode, "responses") == 0)
		return IMPORT_CHAT;
	if (strcmp(mode, "embedding") == 0)
		return IMPORT_EMBEDDING;
	return strcmp(mode, "moderation") == 0 ? IMPORT_MODERATION : IMPORT_OTHER;
}

/* What it says that a model can do. X(field, word in it that says so: of a list, or `true`, capability) */
#define LITELLM_CAPABILITIES(X) \
	X("supports_vision", "true", IMAGES) \
	X("supported_modalities", "image", IMAGES) \
	X("supports_audio_input", "true", AUDIO) \
	X("supported_modalities", "audio", AUDIO) \
	X("supports_video_input", "true", VIDEO) \
	X("supported_modalities", "video", VIDEO) \
	X("supports_pdf_input", "true", FILES) \
	X("supports_function_calling", "true", TOOLS) \
	X("supports_response_schema", "true", JSON_SCHEMA) \
	X("supported_output_modalities", "image", IMAGE_OUTPUT) \
	X("supports_audio_output", "true", AUDIO_OUTPUT) \
	X("supported_output_modalities", "audio", AUDIO_OUTPUT)

static bool
says(const struct source *s, const yaml_node_t *field, const char *word)
{
	const yaml_node_t *item;
	if (field == NULL)
		return false;
	for (uint32_t i = 0; (item = config_yaml_item(s->y, field, i)) != NULL; i++)
		if (strcmp(node_text(item), word) == 0)
			return true;
	return strcmp(node_text(field), word) == 0;
}

static uint16_t
capabilities_of(const struct source *s, const yaml_node_t *model, enum import_use use)
{
	unsigned can = 0;
	if (use == IMPORT_EMBEDDING)
		return CAPABILITY_EMBEDDINGS;
#define X(field, word, capability) \
	if (says(s, config_yaml_get(s->y, model, field), word)) \
		can |= CAPABILITY_##capability;
	LITELLM_CAPABILITIES(X)
#undef X
	return use == IMPORT_CHAT ? (uint16_t)can : 0;
}

static void
take_limits(const struct source *s, const yaml_node_t *model, struct terms *ret)
{
	ret->context = node_whole(config_yaml_get(s->y, model, "max_input_tokens"));
	ret->output = node_whole(config_yaml_get(s->y, model, "max_output_tokens"));
	if (ret->context == 0)
		ret->context = node_whole(config_yaml_get(s->y, model, "max_tokens"));
	ret->reasoning = strcmp(node_text(config_yaml_get(s->y, model, "supports_reasoning")), "true") == 0;
	ret->responses_alone = strcmp(node_text(config_yaml_get(s->y, model, "litellm_provider")), "openai") == 0 &&
		strcmp(node_text(config_yaml_get(s->y, model, "mode")), "responses") == 0 &&
		!says(s, config_yaml_get(s->y, model, "supported_endpoints"), "/v1/chat/completions");
	ret->use_known = true;
	ret->use = use_of(node_text(config_yaml_get(s->y, model, "mode")));
	ret->capabilities = capabilities_of(s, model, ret->use);
	if (!node_day(config_yaml_get(s->y, model, "deprecation_date"), &ret->gone_ms))
		ret->gone_ms = 0;
}

bool
litellm_terms(const struct source *s, const struct offer *o, struct import_notes *notes, struct terms *ret)
{
	const yaml_node_t *key, *value;
	struct price_group *g = &ret->group[0];
	struct taking t = {o, notes, ""};
	ret->group_count = 1;
	take_limits(s, o->node, ret);
	price_row(g, TIER_standard, 0, true);
	for (uint32_t i = 0; config_yaml_pair(s->y, o->node, i, &key, &value); i++) {
		t.field = node_text(key);
		if (strcmp(t.field, "search_context_cost_per_query") == 0)
			take_searches(&t, s, g, value);
		else if (strcmp(t.field, "provider_specific_entry") == 0)
			take_multiples(&t, s, g, value);
		else
			take_field(&t, g, value);
	}
	if (ret->use == IMPORT_CHAT && g->row[0].v[PRICE_code_session_nano] < 0)
		g->row[0].v[PRICE_code_session_nano] = s->code_session[o->provider];
	return take_no_gifts(&t, g, ret->use);
}

static enum import_provider
provider_of(const char *name)
{
	for (unsigned i = 0; i < IMPORT_PROVIDER_COUNT; i++)
		if (strcmp(name, providers[i].litellm) == 0)
			return i;
	return IMPORT_PROVIDER_COUNT;
}

/* "xai/grok-4" is grok-4 to xAI. OpenRouter's own names have a slash, too, so only the list's prefix goes. */
static const char *
without_prefix(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	return strncmp(name, prefix, len) == 0 && name[len] == '/' ? name + len + 1 : name;
}

/* An entry without token prices, for the sandboxes that all models of the provider may use. */
static bool
is_sandbox(const struct source *s, const yaml_node_t *model)
{
	return config_yaml_get(s->y, model, "code_interpreter_cost_per_session") != NULL &&
		config_yaml_get(s->y, model, "input_cost_per_token") == NULL;
}

bool
litellm_offers(struct source *s, uint32_t number, struct offers *to)
{
	const yaml_node_t *key, *value, *root = config_yaml_root(s->y);
	for (uint32_t i = 0; config_yaml_pair(s->y, root, i, &key, &value); i++) {
		enum import_provider p = provider_of(node_text(config_yaml_get(s->y, value, "litellm_provider")));
		if (p == IMPORT_PROVIDER_COUNT)
			continue;
		struct offer o = {.provider = p, .name = without_prefix(node_text(key), providers[p].litellm), .node = value, .source = number};
		if (is_sandbox(s, value)) {
			struct price_row row;
			memset(&row, -1, sizeof row);
			take_price(&(struct taking){&o, NULL, "code_interpreter_cost_per_session"}, &row, PRICE_code_session_nano,
				config_yaml_get(s->y, value, "code_interpreter_cost_per_session"), DOLLARS);
			s->code_session[p] = row.v[PRICE_code_session_nano];
		} else if (!offers_add(to, o))
			return false;
	}
	return true;
}
