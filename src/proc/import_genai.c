/*
 * genai-prices: a provider's file (providers/NAME.yml) or all of them (data.json, an array). Prices are dollars per million
 * tokens, plain or with steps by the size of the prompt; a model has one set of them or several with conditions. Models are told by
 * clauses about their names.
 */
#include "proc/import_source.h"

#include <string.h>

enum { PER_MILLION = 6, /* dollars per million tokens to pico per token */
	PER_THOUSAND = 6, /* dollars per thousand pieces to nano per piece */
	CONDITIONS_MAX = 32,
	STEPS_MAX = 8,
	CLAUSE_DEPTH_MAX = 4 };

static const struct {
	const char *genai;
} providers[] = {
#define X(name, host, litellm, genai) [IMPORT_##name] = {genai},
	IMPORT_PROVIDERS(X)
#undef X
};

/* X(field, column, shift) */
#define GENAI_FIELDS(X) \
	X("input_mtok", input, PER_MILLION) \
	X("input_text_mtok", input, PER_MILLION) \
	X("output_mtok", output, PER_MILLION) \
	X("output_text_mtok", output, PER_MILLION) \
	X("cache_read_mtok", cached, PER_MILLION) \
	X("cache_text_read_mtok", cached, PER_MILLION) \
	X("cache_write_mtok", cache_write, PER_MILLION) \
	X("cache_write_5m_mtok", cache_write, PER_MILLION) \
	X("cache_write_1h_mtok", cache_write_1h, PER_MILLION) \
	X("input_audio_mtok", audio_in, PER_MILLION) \
	X("output_audio_mtok", audio_out, PER_MILLION) \
	X("cache_audio_read_mtok", cached_audio, PER_MILLION) \
	X("input_image_mtok", image_in, PER_MILLION) \
	X("output_image_mtok", image_out, PER_MILLION) \
	X("cache_image_read_mtok", cached_image, PER_MILLION) \
	X("input_video_mtok", video_in, PER_MILLION) \
	X("output_reasoning_mtok", reasoning, PER_MILLION) \
	X("requests_kcount", per_request_nano, PER_THOUSAND) \
	X("web_searches_kcount", web_search_nano, PER_THOUSAND)

static const struct {
	const char *name;
	enum price_column column;
	int shift;
} fields[] = {
#define X(name, column, shift) {name, PRICE_##column, shift},
	GENAI_FIELDS(X)
#undef X
};

/* ---- prices ---- */

/* {base: 1.25, tiers: [{start: 200000, price: 2.5}]}: above the start, and then for all tokens. */
static void
take_steps(const struct taking *t, const struct source *s, struct price_group *g, const yaml_node_t *value, size_t field)
{
	const yaml_node_t *tiers = config_yaml_get(s->y, value, "tiers"), *step;
	take_price(t, price_row(g, TIER_standard, 0, true), fields[field].column, config_yaml_get(s->y, value, "base"), fields[field].shift);
	for (uint32_t i = 0; (step = config_yaml_item(s->y, tiers, i)) != NULL; i++) {
		uint64_t start = node_whole(config_yaml_get(s->y, step, "start"));
		struct price_row *row = i < STEPS_MAX && start > 0 &&
				start <= 1000000000
			? price_row(g, TIER_standard, (int64_t)start, true)
			: NULL;
		if (row != NULL)
			take_price(t, row, fields[field].column, config_yaml_get(s->y, step, "price"), fields[field].shift);
		else {
			import_note(t->notes, t->offer->name, t->field, "has a step that the catalogue can't have");
			return;
		}
	}
}

static void
take_set(struct taking *t, const struct source *s, struct price_group *g, const yaml_node_t *prices)
{
	const yaml_node_t *key, *value;
	price_row(g, TIER_standard, 0, true);
	for (uint32_t i = 0; config_yaml_pair(s->y, prices, i, &key, &value); i++) {
		size_t f = 0;
		t->field = node_text(key);
		while (f < ARRAY_LEN(fields) && strcmp(t->field, fields[f].name) != 0)
			f++;
		if (f == ARRAY_LEN(fields))
			import_note(t->notes, t->offer->name, t->field, "the catalogue has no such price");
		else if (value->type == YAML_MAPPING_NODE)
			take_steps(t, s, g, value, f);
		else
			take_price(t, price_row(g, TIER_standard, 0, true), fields[f].column, value, fields[f].shift);
	}
}

static enum import_use
use_of(const struct source *s, const yaml_node_t *prices)
{
	bool answers = config_yaml_get(s->y, prices, "output_mtok") != NULL ||
		config_yaml_get(s->y, prices, "output_text_mtok") != NULL;
	return answers ? IMPORT_CHAT : IMPORT_EMBEDDING;
}

/* From when one of several sets holds. False: for hours of the day, or for something not known here. */
static bool
start_of(const struct source *s, const yaml_node_t *set, uint64_t *ret)
{
	const yaml_node_t *constraint = config_yaml_get(s->y, set, "constraint");
	*ret = 0;
	return constraint == NULL || node_day(config_yaml_get(s->y, constraint, "start_date"), ret);
}

/* The last set that has begun, then those to come. */
static bool
take_sets(struct taking *t, const struct source *s, uint64_t date_ms, const yaml_node_t *list, struct terms *ret)
{
	const yaml_node_t *set;
	ret->group_count = 1;
	for (uint32_t i = 0; (set = config_yaml_item(s->y, list, i)) != NULL; i++) {
		uint64_t start;
		if (i == CONDITIONS_MAX || !start_of(s, set, &start)) {
			import_note(t->notes, t->offer->name, "prices",
				"hold for hours of the day or under conditions that the catalogue can't have: nothing was taken");
			return false;
		}
		bool later = start > date_ms;
		if (later && ret->group_count == TERMS_GROUPS_MAX)
			continue;
		struct price_group *g = &ret->group[later ? ret->group_count++ : 0];
		*g = (struct price_group){.from_ms = later ? start : 0};
		take_set(t, s, g, config_yaml_get(s->y, set, "prices"));
	}
	return true;
}

bool
genai_terms(const struct source *s, const struct offer *o, uint64_t date_ms, struct import_notes *notes, struct terms *ret)
{
	const yaml_node_t *prices = config_yaml_get(s->y, o->node, "prices");
	struct taking t = {o, notes, "prices"};
	bool several = prices != NULL && prices->type == YAML_SEQUENCE_NODE;
	ret->context = node_whole(config_yaml_get(s->y, o->node, "context_window"));
	ret->use = use_of(s, several ? config_yaml_get(s->y, config_yaml_item(s->y, prices, 0), "prices") : prices);
	bool gone = strcmp(node_text(config_yaml_get(s->y, o->node, "deprecated")), "true") == 0 ||
		config_yaml_get(s->y, o->node, "removed") != NULL;
	ret->gone_ms = gone ? 1 : 0;
	if (several && !take_sets(&t, s, date_ms, prices, ret))
		return false;
	if (!several) {
		ret->group_count = 1;
		take_set(&t, s, &ret->group[0], prices);
	}
	for (uint32_t i = 0; i < ret->group_count; i++)
		if (!take_no_gifts(&t, &ret->group[i], ret->use))
			return false;
	return true;
}

/* ---- names ---- */

static bool
clause_holds(struct source *s, const yaml_node_t *clause, const char *name, bool exact, unsigned depth)
{
	const yaml_node_t *key, *value, *part;
	if (depth == CLAUSE_DEPTH_MAX || s->rules++ >= RULES_MAX || !config_yaml_pair(s->y, clause, 0, &key, &value))
		return false;
	const char *verb = node_text(key), *text = node_text(value);
	size_t len = strlen(text), name_len = strlen(name);
	bool all = strcmp(verb, "and") == 0, any = strcmp(verb, "or") == 0;
	if (any || (all && !exact)) {
		for (uint32_t i = 0; (part = config_yaml_item(s->y, value, i)) != NULL; i++)
			if (clause_holds(s, part, name, exact, depth + 1) != all)
				return any;
		return all;
	}
	if (strcmp(verb, "equals") == 0)
		return strcmp(name, text) == 0;
	if (exact || len == 0)
		return false;
	if (strcmp(verb, "starts_with") == 0)
		return strncmp(name, text, len) == 0;
	if (strcmp(verb, "ends_with") == 0)
		return name_len >= len && strcmp(name + name_len - len, text) == 0;
	return strcmp(verb, "contains") == 0 && strstr(name, text) != NULL; /* a regular expression holds for nothing */
}

bool
genai_has_name(struct source *s, const struct offer *o, const char *name, bool exact)
{
	return clause_holds(s, config_yaml_get(s->y, o->node, "match"), name, exact, 0);
}

/* ---- models ---- */

static bool
provider_offers(struct source *s, uint32_t number, const yaml_node_t *provider, struct offers *to)
{
	const char *id = node_text(config_yaml_get(s->y, provider, "id"));
	const yaml_node_t *models = config_yaml_get(s->y, provider, "models"), *model;
	unsigned p = 0;
	while (p < IMPORT_PROVIDER_COUNT && strcmp(id, providers[p].genai) != 0)
		p++;
	for (uint32_t i = 0; p < IMPORT_PROVIDER_COUNT && (model = config_yaml_item(s->y, models, i)) != NULL; i++) {
		const char *name = node_text(config_yaml_get(s->y, model, "id"));
		if (name[0] != '\0' && !offers_add(to, (struct offer){.provider = p, .name = name, .node = model, .source = number}))
			return false;
	}
	return true;
}

bool
genai_offers(struct source *s, uint32_t number, struct offers *to)
{
	const yaml_node_t *root = config_yaml_root(s->y), *provider;
	if (root->type == YAML_MAPPING_NODE)
		return provider_offers(s, number, root, to);
	for (uint32_t i = 0; (provider = config_yaml_item(s->y, root, i)) != NULL; i++)
		if (!provider_offers(s, number, provider, to))
			return false;
	return true;
}
