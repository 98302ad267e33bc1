#include "proc/import_source.h"

#include "proc/import_decimal.h"

#include <stdlib.h>
#include <string.h>

/* Beyond these no list of prices goes, and a reader of YAML would take more memory or time than the list is worth. */
enum { SEPARATORS_MAX = 4000000,
	ANCHORS_MAX = 1000,
	DEPTH_MAX = 500 };

static const struct {
	const char *host;
} hosts[] = {
#define X(name, host, litellm, genai) [IMPORT_##name] = {host},
	IMPORT_PROVIDERS(X)
#undef X
};

enum import_provider
import_provider_by_host(const char *host)
{
	size_t len = strlen(host);
	for (unsigned i = 0; i < IMPORT_PROVIDER_COUNT; i++) {
		size_t own = strlen(hosts[i].host);
		if (len >= own && strcmp(host + len - own, hosts[i].host) == 0 && (len == own || host[len - own - 1] == '.'))
			return i;
	}
	return IMPORT_PROVIDER_COUNT;
}

/* ---- opening ---- */

static bool
is_json(struct span text)
{
	size_t i = 0;
	while (i < text.len && strchr(" \t\r\n", text.at[i]) != NULL)
		i++;
	return i < text.len && (text.at[i] == '{' || text.at[i] == '[');
}

/* How much of a tree the text can become, without making it. */
static bool
is_bounded(struct span text, struct problems *problems)
{
	uint32_t separators = 0, anchors = 0;
	int depth = 0, deepest = 0;
	if (text.len > SOURCE_BYTES_MAX) {
		problems_error(problems, 0, "more than 64 MiB – is it the right file?");
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		separators += strchr(",:\n[{-?", text.at[i]) != NULL;
		depth += (text.at[i] == '[' || text.at[i] == '{') - (text.at[i] == ']' || text.at[i] == '}');
		deepest = depth > deepest ? depth : deepest;
		anchors += text.at[i] == '&' && i + 1 < text.len && strchr(" \n\t", text.at[i + 1]) == NULL;
	}
	if (separators > SEPARATORS_MAX || anchors > ANCHORS_MAX || deepest > DEPTH_MAX) {
		problems_error(problems, 0, "has more values, or deeper ones, than any list of prices – is it the right file?");
		return false;
	}
	return true;
}

/* \uD800 to \uDFFF, at its backslash. */
static bool
is_surrogate(const char *at)
{
	return at[1] == 'u' && (at[2] == 'd' || at[2] == 'D') && at[3] != '\0' && strchr("89abcdefABCDEF", at[3]) != NULL;
}

/*
 * JSON is read as the YAML that it is, but for one thing: YAML has no surrogates. They stand in descriptions only
 * and become U+FFFD each.
 */
static char *
without_surrogates(struct span text)
{
	char *copy = malloc(text.len + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	for (size_t i = 0; i + 6 <= text.len; i++)
		if (copy[i] == '\\') {
			if (is_surrogate(copy + i))
				memcpy(copy + i, "\\ufffd", 6);
			i++; /* the escaped character begins no escape */
		}
	return copy;
}

/* A provider of genai-prices. */
static bool
is_provider(const struct config_yaml *y, const yaml_node_t *node)
{
	return config_yaml_get(y, node, "id") != NULL && config_yaml_get(y, node, "models") != NULL;
}

static enum source_format
detect(const struct config_yaml *y)
{
	const yaml_node_t *root = config_yaml_root(y), *first = config_yaml_item(y, root, 0);
	const yaml_node_t *key, *value;
	if (is_provider(y, root) || is_provider(y, first))
		return FORMAT_GENAI;
	for (uint32_t i = 0; config_yaml_pair(y, root, i, &key, &value); i++)
		if (config_yaml_get(y, value, "litellm_provider") != NULL)
			return FORMAT_LITELLM;
	return FORMAT_DETECT;
}

static bool
is_usable(struct source *s, struct problems *problems)
{
	const yaml_node_t *alias = config_yaml_alias(s->y);
	enum source_format found = detect(s->y);
	if (alias != NULL)
		problems_error(problems, config_yaml_line(alias),
			"something is used again through an alias (*name) – lists of prices write everything out");
	else if (found == FORMAT_DETECT)
		problems_error(problems, 0,
			"neither LiteLLM's model_prices_and_context_window.json nor a provider's file or data.json of genai-prices – `lethe help catalogue import` says where they are");
	else if (s->format != FORMAT_DETECT && s->format != found)
		problems_error(problems, 0, "looks like a list of %s – leave --from out, or correct it",
			found == FORMAT_GENAI ? "genai-prices" : "litellm");
	s->format = found;
	return problems->errors == 0;
}

bool
source_open(struct span text, enum source_format format, struct problems *problems, struct source *ret)
{
	struct source s = {.name = problems->file, .format = format};
	for (unsigned i = 0; i < IMPORT_PROVIDER_COUNT; i++)
		s.code_session[i] = -1;
	if (!is_bounded(text, problems))
		return false;
	if (is_json(text)) {
		s.text = without_surrogates(text);
		text.at = s.text;
	}
	if (!config_yaml_parse(text.at, text.len, 0, problems, &s.y) || !is_usable(&s, problems)) {
		source_close(&s);
		return false;
	}
	*ret = s;
	return true;
}

void
source_close(struct source *s)
{
	config_yaml_free(&s->y);
	free(s->text);
	s->text = NULL;
}

/* ---- offers ---- */

bool
offers_add(struct offers *to, struct offer o)
{
	if (to->count == OFFERS_MAX)
		return false;
	if ((to->count & (to->count - 1)) == 0) { /* a power of two: full */
		struct offer *more = reallocarray(to->row, to->count == 0 ? 1 : 2 * to->count, sizeof *more);
		if (more == NULL)
			abort();
		to->row = more;
	}
	o.position = to->count;
	to->row[to->count++] = o;
	return true;
}

bool
source_offers(struct source *s, uint32_t number, struct offers *to)
{
	return s->format == FORMAT_GENAI ? genai_offers(s, number, to) : litellm_offers(s, number, to);
}

bool
offer_has_name(struct source *s, const struct offer *o, const char *name, bool exact)
{
	if (strcmp(o->name, name) == 0)
		return true;
	return s->format == FORMAT_GENAI && genai_has_name(s, o, name, exact);
}

bool
offer_terms(const struct source *s, const struct offer *o, uint64_t date_ms, struct import_notes *notes, struct terms *ret)
{
	memset(ret, 0, sizeof *ret);
	if (s->format == FORMAT_GENAI)
		return genai_terms(s, o, date_ms, notes, ret);
	return litellm_terms(s, o, notes, ret);
}

/* ---- values ---- */

const char *
node_text(const yaml_node_t *node)
{
	return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

uint64_t
node_whole(const yaml_node_t *node)
{
	int64_t n = 0;
	const char *text = node_text(node);
	return decimal_units((struct span){text, strlen(text)}, 0, 1 << 30, &n) == DECIMAL_OK ? (uint64_t)n : 0;
}

bool
node_day(const yaml_node_t *node, uint64_t *ret_ms)
{
	int64_t ms;
	const char *text = node_text(node);
	if (!config_number(SETTING_DAY, (struct span){text, strlen(text)}, &ms) || ms < 0)
		return false;
	*ret_ms = (uint64_t)ms;
	return true;
}

void
take_price(const struct taking *t, struct price_row *row, enum price_column column, const yaml_node_t *value, int shift)
{
	int64_t v = 0;
	const char *text = node_text(value);
	enum decimal flaw = DECIMAL_NO_NUMBER;
	if (value != NULL && value->type == YAML_SCALAR_NODE)
		flaw = decimal_units((struct span){text, strlen(text)}, shift, PRICE_MOST, &v);
	if (flaw != DECIMAL_OK)
		import_note(t->notes, t->offer->name, t->field, decimal_flaw(flaw));
	else if (row->v[column] < 0)
		row->v[column] = v;
	else if (row->v[column] != v)
		import_note(t->notes, t->offer->name, t->field, "states another price for the same than a field before it");
}

bool
take_no_gifts(const struct taking *t, struct price_group *g, enum import_use use)
{
	struct price_row *base = price_row(g, TIER_standard, 0, false);
	if (base == NULL || base->v[PRICE_input] < 0)
		return false;
	if (base->v[PRICE_output] < 0 && use != IMPORT_CHAT)
		base->v[PRICE_output] = 0;
	for (uint32_t i = 0; i < g->count; i++)
		for (unsigned c = PRICE_KINDS_AT; c < PRICE_FEES_AT; c++) {
			if (g->row[i].v[c] != 0 || c == PRICE_input || c == PRICE_output || base->v[PRICE_input] == 0)
				continue;
			g->row[i].v[c] = -1;
			import_note(t->notes, t->offer->name, price_key(c),
				"is 0 in the list and was not taken: what is free by mistake stays unnoticed");
		}
	bool charged = base->v[PRICE_input] > 0 && (base->v[PRICE_output] > 0 || use != IMPORT_CHAT);
	return base->v[PRICE_output] >= 0 && (charged || use == IMPORT_MODERATION);
}
