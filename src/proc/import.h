/*
 * `lethe catalogue import`: the operator's catalogue beside price lists of others. Prices that changed become dated rows,
 * models that are wanted become entries, and everything else stays as it is; no row of the past is touched. Pure: texts
 * in, changed texts out. The command line.
 */
#ifndef PROC_IMPORT_H
#define PROC_IMPORT_H

#include "proc/config.h"
#include "proc/import_edit.h"
#include "proc/import_source.h"

#include <jansson.h>

struct import_words {
	const char *const *at;
	size_t count;
};

struct import_wish {
	struct import_words providers, models; /* names; patterns of the shell. None: all */
	bool add; /* models that the catalogue doesn't have */
	uint64_t date_ms; /* from when new prices hold */
};

/* The configuration's file, and the catalogue's when it has one. */
struct import_file {
	const char *path; /* NULL: there is none */
	struct span text;
	struct edits edits;
};

struct import_notes {
	json_t *list; /* {what, reason, models, count} */
	uint32_t more; /* notes that didn't fit */
};

struct import_input {
	const struct config *config; /* read from the files */
	struct import_file *files; /* two; they get their edits */
	struct source *sources; /* the first to say something is taken */
	size_t source_count;
	struct import_wish wish;
};

struct import_result {
	json_t *changes;
	struct import_notes notes;
	uint32_t repriced, added;
	uint32_t not_wanted; /* could have been added */
	uint32_t gone, other_use, other_provider, tuned; /* were not considered */
};

/*
 * False: problems says why (the changed files would not load, or there is more than a catalogue can have).
 */
must_check bool import_run(const struct import_input *input, struct problems *problems, struct import_result *ret);
void import_result_free(struct import_result *r);

#endif
