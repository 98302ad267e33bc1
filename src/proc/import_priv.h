/* Between the parts of the import. */
#ifndef PROC_IMPORT_PRIV_H
#define PROC_IMPORT_PRIV_H

#include "proc/import.h"
#include "proc/import_yaml.h"

enum { ADDED_MAX = 2000 };

/* One import under way. */
struct importing {
	const struct config *config;
	struct import_file *files;
	struct import_yaml yaml[2];
	struct source *sources;
	size_t source_count;
	struct offers offers;
	const struct import_wish *wish;
	struct import_result *result;
	bool quiet; /* for a look only: no notes */
};

/* Where notes go; NULL: nowhere. */
struct import_notes *import_notes_of(struct importing *i);

/* A model of the catalogue, or one that shall become one: what its names are, and who serves it. */
struct wanted {
	enum import_provider provider;
	const char *const *names; /* the most telling first */
	size_t name_count;
};

/* import_terms.c: what the lists say of a model together, complete. False: none of them, or nothing usable. */
enum found { FOUND_NOTHING,
	FOUND_UNUSABLE,
	FOUND };
must_check enum found import_terms(struct importing *i, const struct wanted *w, struct terms *ret);
/* import_reprice.c: new rows for the models that are there. */
void import_reprice(struct importing *i);

/* import_add.c: new models. False: too many. */
must_check bool import_add(struct importing *i, struct problems *problems);

/* import_change.c: the changes as objects. */
json_t *import_rows_json(const struct price_group *g);
void import_change_add(struct importing *i, const char *change, const char *model, const char *provider, const char *file, json_t *more);

bool import_provider_wanted(const struct import_wish *w, const char *name);
bool import_model_wanted(const struct import_wish *w, const char *const *names, size_t count);

#endif
