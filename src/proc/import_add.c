/* Models that the catalogue doesn't have, as entries behind the last of their provider. */
#include "proc/import_priv.h"

#include "proc/config_raw.h"
#include "proc/lint.h"
#include "ticket/capabilities.h"
#include "ticket/catalogue.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct added {
	const struct offer *offer;
	struct terms *terms;
	uint32_t provider; /* of the configuration */
	const char *upstream; /* NULL: the same name */
	const char *aliases[8];
	unsigned alias_count;
	bool merged; /* has become another's alias */
};

struct adding {
	struct importing *i;
	struct added *row;
	uint32_t count;
};

/* ---- which ---- */

/* The first provider of the configuration that is this one, and wanted. */
static const struct config_provider *
provider_for(const struct importing *i, enum import_provider p, uint32_t *ret_index)
{
	for (uint32_t k = 0; k < i->config->provider_count; k++) {
		const struct config_provider *c = &i->config->providers[k];
		if (import_provider_by_host(c->target.host) == p && import_provider_wanted(i->wish, c->name)) {
			*ret_index = k;
			return c;
		}
	}
	return NULL;
}

static bool
model_is(const struct importing *i, const struct config_model *m, const struct offer *o)
{
	struct source *s = &i->sources[o->source];
	if (offer_has_name(s, o, m->upstream, false) || offer_has_name(s, o, m->id, false))
		return true;
	for (uint32_t a = 0; a < m->alias_count; a++)
		if (offer_has_name(s, o, m->aliases[a], false))
			return true;
	return false;
}

/* In the catalogue, or in a list before this one. */
static bool
is_known(const struct importing *i, const struct offer *o)
{
	for (uint32_t k = 0; k < i->config->model_count; k++) {
		const struct config_model *m = &i->config->models[k];
		if (import_provider_by_host(i->config->providers[m->provider_index].target.host) == o->provider && model_is(i, m, o))
			return true;
	}
	for (uint32_t k = 0; k < o->position; k++) {
		const struct offer *before = &i->offers.row[k];
		if (before->provider == o->provider &&
			(strcmp(before->name, o->name) == 0 || (before->source != o->source && offer_has_name(&i->sources[o->source], o, before->name, false))))
			return true;
	}
	return false;
}

static bool
name_is_free(const struct adding *a, const char *name)
{
	const struct importing *i = a->i;
	for (uint32_t k = 0; k < i->config->model_count; k++) {
		const struct config_model *m = &i->config->models[k];
		bool taken = strcmp(m->id, name) == 0;
		for (uint32_t n = 0; n < m->alias_count; n++)
			taken = taken || strcmp(m->aliases[n], name) == 0;
		if (taken)
			return false;
	}
	for (uint32_t r = 0; r < a->count; r++)
		if (strcmp(a->row[r].offer->name, name) == 0)
			return false;
	return true;
}

/* Why it can't be an entry; NULL: it can. */
static const char *
flaw_of(const struct adding *a, const struct offer *o, const struct terms *t)
{
	size_t len = strlen(o->name);
	if (len >= CATALOGUE_NAME_MAX || strspn(o->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/@+") != len)
		return "was not added: the name has characters that a model's name can't have";
	if (!name_is_free(a, o->name))
		return "was not added: the name is another provider's model";
	return t->context == 0 ? "was not added: no list says how large its context is" : NULL;
}

/* Counted where the list itself says that nobody would want it. */
static bool
is_out_of_question(struct importing *i, const struct offer *o, const struct terms *t)
{
	struct import_result *r = i->result;
	bool tuned = strncmp(o->name, "ft:", 3) == 0, other = t->use == IMPORT_OTHER, gone = t->gone_ms != 0 && t->gone_ms <= i->wish->date_ms;
	r->tuned += tuned;
	r->other_use += !tuned && other;
	r->gone += !tuned && !other && gone;
	return tuned || other || gone;
}

static bool
names_some(const struct import_wish *w)
{
	for (size_t k = 0; k < w->models.count; k++)
		if (w->models.at[k][0] != '!')
			return true;
	return false;
}

/* What the lists say of it, when it is one to add. */
static struct terms *
terms_of(struct adding *a, const struct offer *o)
{
	struct importing *i = a->i;
	struct terms *t = calloc(1, sizeof *t);
	struct wanted wanted = {o->provider, &o->name, 1};
	const char *flaw = NULL;
	if (t == NULL)
		abort();
	bool usable = offer_terms(&i->sources[o->source], o, i->wish->date_ms, NULL, t);
	if (is_out_of_question(i, o, t))
		goto out;
	if (!i->wish->add && !names_some(i->wish)) {
		i->result->not_wanted += usable;
		goto out;
	}
	i->quiet = true;
	enum found found = import_terms(i, &wanted, t);
	i->quiet = false;
	if (found == FOUND && is_out_of_question(i, o, t)) /* another list may know better what it is for */
		goto out;
	flaw = found == FOUND ? flaw_of(a, o, t) : "was not added: it is free by the list, or has no prices that can be taken";
	if (flaw == NULL && import_terms(i, &wanted, t) == FOUND) {
		for (uint32_t k = 0; k < t->group_count; k++)
			price_drop_above(&t->group[k], t->output > t->context ? t->output : t->context);
		return t;
	}
	import_note(&i->result->notes, o->name, "model", flaw);
out:
	free(t);
	return NULL;
}

static bool
collect(struct adding *a, struct problems *problems)
{
	struct importing *i = a->i;
	for (uint32_t k = 0; k < i->offers.count; k++) {
		const struct offer *o = &i->offers.row[k];
		uint32_t provider;
		if (i->sources[o->source].rules >= RULES_MAX) /* import_run() says so */
			return true;
		if (!import_model_wanted(i->wish, &o->name, 1) || is_known(i, o))
			continue;
		if (provider_for(i, o->provider, &provider) == NULL) {
			i->result->other_provider++;
			continue;
		}
		struct terms *t = terms_of(a, o);
		if (t == NULL)
			continue;
		if (a->count == ADDED_MAX) {
			free(t);
			problems_error(problems, 0, "more than %d models would be added – name fewer with --model", ADDED_MAX);
			return false;
		}
		a->row[a->count++] = (struct added){.offer = o, .terms = t, .provider = provider};
	}
	return true;
}

/* ---- names of one model ---- */

/* "-2025-08-07", "-20250929", "-0709", "-001". */
static bool
is_version(const char *s)
{
	size_t digits = 0, len = strlen(s);
	for (size_t k = 0; k < len; k++)
		digits += isdigit((unsigned char)s[k]) != 0;
	if (s[0] != '-')
		return false;
	if (len == 11)
		return digits == 8 && s[5] == '-' && s[8] == '-';
	return digits == len - 1 && (digits == 8 || digits == 4 || digits == 3);
}

static bool
same_terms(const struct terms *a, const struct terms *b)
{
	bool same = a->context == b->context && a->output == b->output && a->use == b->use && a->group_count == b->group_count;
	for (uint32_t k = 0; same && k < a->group_count; k++)
		same = a->group[k].from_ms == b->group[k].from_ms && price_agree(&a->group[k], &b->group[k]);
	return same;
}

static void
nothing_differs(void *context, const struct price_row *kept, const struct price_row *other, enum price_column column)
{
}

/* What stands behind `base` in another name of the same provider and terms, or NULL. */
static const char *
suffix_of(const struct added *base, const struct added *other)
{
	size_t len = strlen(base->offer->name);
	if (other == base || other->merged || other->provider != base->provider ||
		strncmp(other->offer->name, base->offer->name, len) != 0)
		return NULL;
	return same_terms(base->terms, other->terms) ? other->offer->name + len : NULL;
}

static void
become_alias(struct added *base, struct added *other)
{
	if (base->alias_count == ARRAY_LEN(base->aliases))
		return;
	base->aliases[base->alias_count++] = other->offer->name;
	other->merged = true;
	for (uint32_t k = 0; k < base->terms->group_count; k++) { /* tiers that only one of the two entries has */
		if (!price_fill(&base->terms->group[k], &other->terms->group[k], nothing_differs, NULL))
			return;
		price_complete(&base->terms->group[k]);
	}
}

/*
 * A name with a date and the same name without: one model, asked for by the dated name, so that its price is that of what
 * answers. Only when there is no more than one of them: else nobody knows which the short name means. "-latest" is the
 * short name.
 */
static void
merge_names(struct adding *a, struct added *base)
{
	struct added *dated = NULL;
	unsigned versions = 0;
	for (uint32_t k = 0; k < a->count && !base->merged; k++) {
		const char *suffix = suffix_of(base, &a->row[k]);
		if (suffix == NULL)
			continue;
		if (strcmp(suffix, "-latest") == 0)
			become_alias(base, &a->row[k]);
		else if (is_version(suffix)) {
			dated = &a->row[k];
			versions++;
		}
	}
	if (versions == 1 && dated->alias_count == 0) {
		base->upstream = dated->offer->name;
		become_alias(base, dated);
	}
}

/* ---- writing ---- */

static void
write_rows(const struct added *m, uint64_t date_ms, const char *indent, const char *end, FILE *to)
{
	struct price_group g = {0};
	char row[PRICE_ROW_TEXT_MAX];
	fprintf(to, "%s  prices:%s", indent, end);
	for (uint32_t k = 0; k < m->terms->group_count; k++) {
		struct price_group before = g;
		g.from_ms = k == 0 ? date_ms : m->terms->group[k].from_ms;
		if (!price_overlay(&g, &m->terms->group[k]) || (k > 0 && price_same(&before, &g)))
			continue;
		for (uint32_t r = 0; r < g.count; r++)
			if (price_row_text(&g.row[r], g.from_ms, row) < PRICE_ROW_TEXT_MAX)
				fprintf(to, "%s    - %s%s", indent, row, end);
	}
}

/* By which vocabulary models of that name count, as far as it is published; NULL: none that is known. */
static const char *
tokenizer_of(const char *upstream)
{
	static const struct {
		const char *begins, *tokenizer;
	} rows[] = {
		{"gpt-4o", "o200k_base"},
		{"gpt-4.1", "o200k_base"},
		{"gpt-4.5", "o200k_base"},
		{"gpt-5", "o200k_base"},
		{"gpt-oss", "o200k_base"},
		{"chatgpt-4o", "o200k_base"},
		{"o1", "o200k_base"},
		{"o3", "o200k_base"},
		{"o4", "o200k_base"},
		{"gpt-4", "cl100k_base"},
		{"gpt-3.5", "cl100k_base"},
		{"text-embedding-3", "cl100k_base"},
		{"text-embedding-ada-002", "cl100k_base"},
	};
	const char *slash = strrchr(upstream, '/'), *name = slash == NULL ? upstream : slash + 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].begins);
		if (strncmp(name, rows[i].begins, len) == 0 && strchr("-.:", name[len]) != NULL)
			return rows[i].tokenizer;
	}
	return NULL;
}

static void
write_capabilities(const struct terms *t, const char *indent, const char *end, FILE *to)
{
	const char *before = "[";
	if (t->capabilities == 0)
		return;
	fprintf(to, "%s  capabilities: ", indent);
#define X(NAME, bit, word, meaning) \
	if (t->capabilities & CAPABILITY_##NAME) { \
		fprintf(to, "%s%s", before, word); \
		before = ", "; \
	}
	CAPABILITIES(X)
#undef X
	fprintf(to, "]%s", end);
}

static void
write_limits(const struct added *m, const char *indent, const char *end, FILE *to)
{
	const struct terms *t = m->terms;
	uint64_t output = t->output;
	if (output == 0)
		output = t->use == IMPORT_CHAT ? t->context : 1;
	if (t->responses_alone)
		fprintf(to, "%s  language: responses%s", indent, end);
	fprintf(to, "%s  context: %llu%s", indent, (unsigned long long)(output > t->context ? output : t->context), end);
	fprintf(to, "%s  output: %llu%s%s", indent, (unsigned long long)output,
		t->output == 0 && t->use == IMPORT_CHAT ? " # no list says it: the window stands in" : "", end);
	if (t->reasoning || lint_reasons_by_name(m->upstream != NULL ? m->upstream : m->offer->name))
		fprintf(to, "%s  reasoning: true%s", indent, end);
	write_capabilities(t, indent, end, to);
	const char *tokenizer = tokenizer_of(m->upstream != NULL ? m->upstream : m->offer->name);
	if (tokenizer != NULL)
		fprintf(to, "%s  tokenizer: %s%s", indent, tokenizer, end);
}

/* A name, in quotes where YAML would take it for something else. */
static const char *
quoted(const char *name, char out[CATALOGUE_NAME_MAX + 2])
{
	bool plain = isalnum((unsigned char)name[0]) && strpbrk(name, ":@") == NULL;
	snprintf(out, CATALOGUE_NAME_MAX + 2, plain ? "%s" : "'%s'", name);
	return out;
}

static void
write_model(const struct importing *i, const struct added *m, const char *indent, const char *end, FILE *to)
{
	char name[CATALOGUE_NAME_MAX + 2];
	fprintf(to, "%s- id: %s%s", indent, quoted(m->offer->name, name), end);
	if (m->upstream != NULL)
		fprintf(to, "%s  upstream: %s%s", indent, quoted(m->upstream, name), end);
	fprintf(to, "%s  provider: %s%s", indent, quoted(i->config->providers[m->provider].name, name), end);
	for (unsigned k = 0; k < m->alias_count; k++)
		fprintf(to, k == 0 ? "%s  aliases: [%s" : "%s, %s", k == 0 ? indent : "", quoted(m->aliases[k], name));
	if (m->alias_count > 0)
		fprintf(to, "]%s", end);
	write_limits(m, indent, end, to);
	write_rows(m, i->wish->date_ms, indent, end, to);
}

/* Where entries go: behind the last of the same provider in that file, else behind the last of all. */
static size_t
place_for(const struct importing *i, unsigned file, const char *provider, const yaml_node_t *list, size_t last)
{
	const struct import_yaml *y = &i->yaml[file];
	size_t at = last;
	for (uint32_t k = 0; k < config_yaml_count(list); k++) {
		const yaml_node_t *model = config_yaml_item(y->y, list, k);
		if (strcmp(node_text(config_yaml_get(y->y, model, "provider")), provider) == 0)
			at = import_behind(y, model);
	}
	return at;
}

/* The list to write to: the catalogue's when there is one. */
struct target {
	unsigned file;
	const yaml_node_t *list;
	struct list_place place;
	bool begin; /* `models:` itself comes with the first entry */
	bool empty; /* [], which goes with the first entry */
};

static bool
find_target(const struct importing *i, struct target *t)
{
	t->file = i->files[1].path != NULL ? 1 : 0;
	const struct import_yaml *y = &i->yaml[t->file];
	const yaml_node_t *root = config_yaml_root(y->y);
	t->list = config_yaml_get(y->y, root, "models");
	t->begin = t->list == NULL;
	if (t->begin) {
		t->place = (struct list_place){.indent = 2, .first = y->text.len, .last = y->text.len};
		return root->data.mapping.style != YAML_FLOW_MAPPING_STYLE;
	}
	bool room = import_list_place(y, t->list, &t->place);
	t->empty = t->place.flow && config_yaml_count(t->list) == 0;
	if (t->empty)
		t->place = (struct list_place){.indent = 2, .first = import_behind(y, t->list), .last = import_behind(y, t->list)};
	return room && !t->place.flow;
}

static void
remove_brackets(const struct importing *i, const struct target *t)
{
	const struct import_yaml *y = &i->yaml[t->file];
	size_t at = import_byte(y, t->list->start_mark), end = import_byte(y, t->list->end_mark);
	while (at > 0 && y->text.at[at - 1] == ' ')
		at--;
	edits_add(&i->files[t->file].edits, at, end - at, "");
}

static void
write_entry(const struct importing *i, struct target *t, const struct added *m)
{
	const struct import_yaml *y = &i->yaml[t->file];
	const char *provider = i->config->providers[m->provider].name;
	char indent[64], *text = NULL;
	size_t len, at = t->begin ? y->text.len : place_for(i, t->file, provider, t->list, t->place.last);
	FILE *to = open_memstream(&text, &len);
	if (to == NULL)
		abort();
	snprintf(indent, sizeof indent, "%*s", (int)(t->place.indent > 60 ? 60 : t->place.indent), "");
	if (t->begin)
		fprintf(to, "models:%s", y->line_end);
	if (t->empty)
		remove_brackets(i, t);
	write_model(i, m, indent, y->line_end, to);
	if (fclose(to) != 0)
		abort();
	edits_add_lines(&i->files[t->file].edits, y->text, at, text, y->line_end);
	free(text);
	t->begin = t->empty = false;
}

static void
write_all(struct adding *a)
{
	struct importing *i = a->i;
	struct target t;
	bool room = find_target(i, &t);
	for (uint32_t p = 0; p < i->config->provider_count; p++)
		for (uint32_t k = 0; k < a->count; k++) {
			const struct added *m = &a->row[k];
			if (m->merged || m->provider != p)
				continue;
			if (!room) {
				import_note(&i->result->notes, m->offer->name, "model",
					"was not added: `models` is written in brackets: write its entries on lines that begin with '- '");
				continue;
			}
			write_entry(i, &t, m);
			i->result->added++;
			import_change_add(i, "model", m->offer->name, i->config->providers[p].name, i->files[t.file].path,
				json_pack("{s:o}", "rows", import_rows_json(&m->terms->group[0])));
		}
}

bool
import_add(struct importing *i, struct problems *problems)
{
	struct adding a = {.i = i, .row = calloc(ADDED_MAX, sizeof *a.row)};
	if (a.row == NULL)
		abort();
	bool ok = collect(&a, problems);
	for (uint32_t k = 0; ok && k < a.count; k++)
		merge_names(&a, &a.row[k]);
	if (ok)
		write_all(&a);
	for (uint32_t k = 0; k < a.count; k++)
		free(a.row[k].terms);
	free(a.row);
	return ok;
}
