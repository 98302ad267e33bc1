#include "proc/import.h"

#include "proc/config_priv.h"
#include "proc/import_priv.h"

#include <stdlib.h>
#include <string.h>

static bool
open_files(struct importing *i, struct problems *problems)
{
	for (unsigned f = 0; f < 2 && i->files[f].path != NULL; f++)
		if (!import_yaml_open(i->files[f].text, problems, &i->yaml[f]))
			return false;
	return true;
}

static bool
read_sources(struct importing *i, struct problems *problems)
{
	for (uint32_t s = 0; s < i->source_count; s++)
		if (!source_offers(&i->sources[s], s, &i->offers)) {
			problems_error(problems, 0, "the lists have more than %d models of the providers that are known here – give fewer", OFFERS_MAX);
			return false;
		}
	return true;
}

static bool
give_catalogue(const struct config_texts *t, const char *path, uint32_t line, struct problems *problems, struct span *ret)
{
	char *copy = malloc(t->catalogue.len + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, t->catalogue.at, t->catalogue.len);
	*ret = (struct span){copy, t->catalogue.len};
	return true;
}

/* What comes out must be a configuration as what went in was. */
static bool
still_loads(struct importing *i, struct problems *problems)
{
	struct config *c = NULL;
	struct config_texts texts = {.open = give_catalogue};
	char *text[2] = {NULL, NULL};
	for (unsigned f = 0; f < 2 && i->files[f].path != NULL; f++) {
		size_t len;
		text[f] = edits_apply(&i->files[f].edits, i->files[f].text, &len);
		*(f == 0 ? &texts.text : &texts.catalogue) = (struct span){text[f], len};
	}
	bool ok = config_load_texts(&texts, problems, &c);
	config_free(&c);
	free(text[0]);
	free(text[1]);
	return ok;
}

static bool
rules_sufficed(const struct importing *i, struct problems *problems)
{
	for (size_t s = 0; s < i->source_count; s++)
		if (i->sources[s].rules >= RULES_MAX) {
			problems_error(problems, 0, "%.200s has more rules about names than can be looked at – give the file of one provider", i->sources[s].name);
			return false;
		}
	return true;
}

bool
import_run(const struct import_input *input, struct problems *problems, struct import_result *ret)
{
	struct import_result result = {.changes = json_array(), .notes.list = json_array()};
	struct importing i = {.config = input->config,
		.files = input->files,
		.sources = input->sources,
		.source_count = input->source_count,
		.wish = &input->wish,
		.result = &result};
	bool ok = open_files(&i, problems) && read_sources(&i, problems);
	if (ok) {
		import_reprice(&i);
		ok = import_add(&i, problems) && rules_sufficed(&i, problems) && still_loads(&i, problems);
	}
	for (unsigned f = 0; f < 2; f++)
		import_yaml_close(&i.yaml[f]);
	free(i.offers.row);
	if (ok)
		*ret = result;
	else
		import_result_free(&result);
	return ok;
}

void
import_result_free(struct import_result *r)
{
	json_decref(r->changes);
	json_decref(r->notes.list);
	r->changes = r->notes.list = NULL;
}
