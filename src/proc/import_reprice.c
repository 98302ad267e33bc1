/* Models that the catalogue has: where the lists charge otherwise, a row that holds from the import's date. */
#include "proc/import_priv.h"

#include "proc/config_raw.h"

#include <stdlib.h>
#include <string.h>

/* A model of the catalogue, with its prices as they are written. */
struct listed {
	const struct config_model *model;
	const struct config_provider *provider;
	unsigned file;
	const yaml_node_t *prices;
	struct price_group *groups; /* by start */
	uint32_t group_count;
};

/* ---- reading what is there ---- */

static struct price_group *
group_from(struct listed *m, uint64_t from_ms)
{
	uint32_t at = m->group_count;
	for (uint32_t k = 0; k < m->group_count; k++)
		if (m->groups[k].from_ms == from_ms)
			return &m->groups[k];
	for (; at > 0 && m->groups[at - 1].from_ms > from_ms; at--)
		m->groups[at] = m->groups[at - 1];
	m->groups[at] = (struct price_group){.from_ms = from_ms};
	m->group_count++;
	return &m->groups[at];
}

/* One entry of `prices:`. The reader of the configuration has found it right. */
static struct price_row
read_row(const struct import_yaml *y, const yaml_node_t *node)
{
	struct price_row row;
	for (unsigned c = 0; c < PRICE_COLUMN_COUNT; c++) {
		const struct setting *s = &config_sections[SECTION_PRICE].rows[c];
		const yaml_node_t *value = config_yaml_get(y->y, node, s->key);
		const char *text = node_text(value);
		row.v[c] = c == PRICE_above_tokens || c == PRICE_tier ? 0 : -1;
		if (value != NULL && !config_number(s->kind, (struct span){text, strlen(text)}, &row.v[c]))
			row.v[c] = -1;
	}
	return row;
}

static bool
read_groups(const struct import_yaml *y, struct listed *m)
{
	uint32_t count = config_yaml_count(m->prices);
	m->groups = calloc(count + 1, sizeof *m->groups);
	if (m->groups == NULL)
		abort();
	for (uint32_t k = 0; k < count; k++) {
		struct price_row row = read_row(y, config_yaml_item(y->y, m->prices, k));
		struct price_group *g = group_from(m, (uint64_t)row.v[PRICE_from_ms]);
		if (g->count == PRICE_ROWS_MAX)
			return false;
		row.v[PRICE_from_ms] = -1;
		g->row[g->count++] = row;
	}
	return true;
}

/* What is in force at a time. */
static const struct price_group *
group_at(const struct listed *m, uint64_t ms)
{
	const struct price_group *found = NULL;
	for (uint32_t k = 0; k < m->group_count && m->groups[k].from_ms <= ms; k++)
		found = &m->groups[k];
	return found;
}

/* ---- writing ---- */

/* Newest first, when the operator writes them so. */
static bool
goes_first(const struct import_yaml *y, const struct listed *m)
{
	uint32_t count = config_yaml_count(m->prices);
	if (count < 2)
		return false;
	struct price_row first = read_row(y, config_yaml_item(y->y, m->prices, 0)), last = read_row(y, config_yaml_item(y->y, m->prices, count - 1));
	return first.v[PRICE_from_ms] > last.v[PRICE_from_ms];
}

static void
insert_in_brackets(struct import_file *f, const struct list_place *place, bool first, const char *row)
{
	char text[PRICE_ROW_TEXT_MAX + 8];
	snprintf(text, sizeof text, first ? "%s, " : ", %s", row);
	edits_add(&f->edits, first ? place->first : place->last, 0, text);
}

static void
insert_line(const struct import_yaml *y, struct import_file *f, size_t at, unsigned indent, const char *row)
{
	char text[PRICE_ROW_TEXT_MAX + 264];
	snprintf(text, sizeof text, "%*s- %s%s", (int)(indent > 200 ? 200 : indent), "", row, y->line_end);
	edits_add_lines(&f->edits, f->text, at, text, y->line_end);
}

static bool
insert_rows(struct importing *i, const struct listed *m, const struct price_group *g)
{
	const struct import_yaml *y = &i->yaml[m->file];
	struct import_file *f = &i->files[m->file];
	struct list_place place;
	char row[PRICE_ROW_TEXT_MAX];
	if (!import_list_place(y, m->prices, &place))
		return false;
	bool first = goes_first(y, m);
	for (uint32_t k = 0; k < g->count; k++) {
		if (price_row_text(&g->row[k], g->from_ms, row) >= PRICE_ROW_TEXT_MAX)
			return false;
		if (place.flow)
			insert_in_brackets(f, &place, first, row);
		else
			insert_line(y, f, first ? place.first : place.last, place.indent, row);
	}
	return true;
}

static void
add_difference(void *context, const struct price_row *now, enum price_column column, int64_t was, int64_t is)
{
	char was_text[32] = "", is_text[32] = "", tier[32];
	json_t *o = json_pack("{s:s}", "key", price_key(column));
	if (column == PRICE_tier)
		price_value_text(column, is, is_text);
	else {
		if (was >= 0)
			price_value_text(column, was, was_text);
		price_value_text(column, is, is_text);
	}
	price_value_text(PRICE_tier, now->v[PRICE_tier], tier);
	json_object_set_new(o, "tier", json_string(tier));
	json_object_set_new(o, "above", json_integer(now->v[PRICE_above_tokens]));
	json_object_set_new(o, "was", was_text[0] == '\0' ? json_null() : json_string(was_text));
	json_object_set_new(o, "is", json_string(is_text));
	json_array_append_new(context, o);
}

/* The rows of a new start, in the file and in the result. */
static void
put(struct importing *i, const struct listed *m, const struct price_group *before, const struct price_group *g)
{
	static const struct price_group none;
	char from[32];
	price_from_text(g->from_ms, from);
	if (!insert_rows(i, m, g)) {
		import_note(&i->result->notes, m->model->id, "prices",
			"changed, and the list of this model's prices is written so that no row can be inserted: write one row a line");
		return;
	}
	json_t *differences = json_array();
	price_differences(before != NULL ? before : &none, g, add_difference, differences);
	i->result->repriced++;
	import_change_add(i, "price", m->model->id, m->provider->name, i->files[m->file].path,
		json_pack("{s:s, s:o, s:o}", "from", from, "differences", differences, "rows", import_rows_json(g)));
}

/* ---- comparing ---- */

static void
note_taken_date(struct importing *i, const struct listed *m, uint64_t ms)
{
	char why[160], day[32];
	price_from_text(ms, day);
	snprintf(why, sizeof why, "differ from the list, and the catalogue has a row from %s already: import with a later --date", day);
	import_note(&i->result->notes, m->model->id, "prices", why);
}

/* *now becomes what holds from then on. */
static void
compare(struct importing *i, const struct listed *m, const struct price_group *stated, uint64_t from_ms,
	struct price_group *now)
{
	struct price_group next = *now;
	next.from_ms = from_ms;
	if (!price_overlay(&next, stated)) {
		import_note(&i->result->notes, m->model->id, "prices", "have more tiers and sizes than a model can have");
		return;
	}
	if (price_same(now, &next))
		return;
	const struct price_group *own = group_at(m, from_ms);
	if (own != NULL && own->from_ms == from_ms)
		note_taken_date(i, m, from_ms);
	else {
		put(i, m, now->count == 0 ? NULL : now, &next);
		*now = next;
	}
}

static void
compare_all(struct importing *i, const struct listed *m, struct terms *t)
{
	uint64_t date = i->wish->date_ms;
	for (uint32_t k = 0; k < t->group_count; k++)
		price_drop_above(&t->group[k], m->model->context_tokens);
	const struct price_group *own = group_at(m, date);
	struct price_group now = own != NULL ? *own : (struct price_group){.from_ms = date};
	compare(i, m, &t->group[0], date, &now);
	for (uint32_t k = 1; k < t->group_count; k++) {
		const struct price_group *later = group_at(m, t->group[k].from_ms);
		if (later != NULL && later->from_ms > date && later->from_ms > now.from_ms)
			now = *later;
		compare(i, m, &t->group[k], t->group[k].from_ms, &now);
	}
}

/* Limits are the operator's to change: more may be wanted here than what the list says, or less. */
static void
note_rest(struct importing *i, const struct listed *m, const struct terms *t)
{
	char why[120], day[32];
	struct import_notes *notes = &i->result->notes;
	if (t->output != 0 && t->output != m->model->output_tokens) {
		snprintf(why, sizeof why, "is %llu here and %llu in the list: not changed", (unsigned long long)m->model->output_tokens,
			(unsigned long long)t->output);
		import_note(notes, m->model->id, "output", why);
	}
	if (t->context > m->model->context_tokens) {
		snprintf(why, sizeof why, "is %llu here and %llu in the list: not changed", (unsigned long long)m->model->context_tokens,
			(unsigned long long)t->context);
		import_note(notes, m->model->id, "context", why);
	}
	if (t->gone_ms > 1) {
		price_from_text(t->gone_ms, day);
		snprintf(why, sizeof why, "is served until %s by the list", day);
		import_note(notes, m->model->id, "model", why);
	} else if (t->gone_ms == 1)
		import_note(notes, m->model->id, "model", "is no longer served by the list");
}

static bool
list_has_provider(const struct importing *i, enum import_provider p)
{
	for (uint32_t k = 0; k < i->offers.count; k++)
		if (i->offers.row[k].provider == p)
			return true;
	return false;
}

static void
reprice(struct importing *i, struct listed *m, const struct wanted *w)
{
	struct terms *t = malloc(sizeof *t);
	if (t == NULL)
		abort();
	enum found found = import_terms(i, w, t);
	if (found == FOUND && !read_groups(&i->yaml[m->file], m))
		import_note(&i->result->notes, m->model->id, "prices", "have more rows of one start than can be compared");
	else if (found == FOUND) {
		compare_all(i, m, t);
		note_rest(i, m, t);
	} else if (found == FOUND_UNUSABLE)
		import_note(&i->result->notes, m->model->id, "prices", "are left as they are: the list has none that can be taken");
	else if (list_has_provider(i, w->provider))
		import_note(&i->result->notes, m->model->id, "model", "is in no list: is it still served? It stays as it is");
	free(m->groups);
	free(t);
}

void
import_reprice(struct importing *i)
{
	const yaml_node_t *lists[2] = {NULL, NULL};
	for (unsigned f = 0; f < 2 && i->files[f].path != NULL; f++)
		lists[f] = config_yaml_get(i->yaml[f].y, config_yaml_root(i->yaml[f].y), "models");
	uint32_t own = config_yaml_count(lists[0]);
	for (uint32_t k = 0; k < i->config->model_count; k++) {
		const struct config_model *model = &i->config->models[k];
		struct listed m = {.model = model, .provider = &i->config->providers[model->provider_index], .file = k < own ? 0 : 1};
		const char *names[66] = {model->upstream, model->id};
		size_t count = 2;
		for (uint32_t a = 0; a < model->alias_count && count < ARRAY_LEN(names); a++)
			names[count++] = model->aliases[a];
		enum import_provider p = import_provider_by_host(m.provider->target.host);
		if (p == IMPORT_PROVIDER_COUNT || !import_provider_wanted(i->wish, m.provider->name) ||
			!import_model_wanted(i->wish, names, count))
			continue;
		const yaml_node_t *node = config_yaml_item(i->yaml[m.file].y, lists[m.file], k < own ? k : k - own);
		m.prices = config_yaml_get(i->yaml[m.file].y, node, "prices");
		reprice(i, &m, &(struct wanted){p, names, count});
	}
}
