#include "proc/import_priv.h"

#include <fnmatch.h>
#include <string.h>

struct import_notes *
import_notes_of(struct importing *i)
{
	return i->quiet ? NULL : &i->result->notes;
}

json_t *
import_rows_json(const struct price_group *g)
{
	json_t *rows = json_array();
	char text[32];
	for (uint32_t i = 0; i < g->count; i++) {
		json_t *row = json_object();
		for (unsigned c = 0; c < PRICE_COLUMN_COUNT; c++) {
			if (!price_worth_saying(&g->row[i], c))
				continue;
			price_value_text(c, g->row[i].v[c], text);
			json_object_set_new(row, price_key(c), json_string(text));
		}
		json_array_append_new(rows, row);
	}
	return rows;
}

void
import_change_add(struct importing *i, const char *change, const char *model, const char *provider,
	const char *file, json_t *more)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "change", change, "model", model, "provider", provider, "file", file);
	json_object_update(o, more);
	json_decref(more);
	json_array_append_new(i->result->changes, o);
}

bool
import_provider_wanted(const struct import_wish *w, const char *name)
{
	for (size_t k = 0; k < w->providers.count; k++)
		if (strcmp(w->providers.at[k], name) == 0)
			return true;
	return w->providers.count == 0;
}

static bool
fits_any(const char *pattern, const char *const *names, size_t count)
{
	for (size_t k = 0; k < count; k++)
		if (fnmatch(pattern, names[k], 0) == 0)
			return true;
	return false;
}

bool
import_model_wanted(const struct import_wish *w, const char *const *names, size_t count)
{
	bool some = false, wanted = false;
	for (size_t k = 0; k < w->models.count; k++) {
		const char *pattern = w->models.at[k];
		if (pattern[0] == '!' && fits_any(pattern + 1, names, count))
			return false;
		some = some || pattern[0] != '!';
		wanted = wanted || (pattern[0] != '!' && fits_any(pattern, names, count));
	}
	return wanted || !some;
}
