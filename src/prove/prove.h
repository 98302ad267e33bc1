/*
 * `lethe prove`: tries to find content where none may be. It starts a Lethe of its own with a provider inside, sends marked texts through every
 * endpoint, in every way that an exchange can end, and looks for them in files, logs, metrics and the memory of every process. Before, it looks for
 * what it has planted itself: a search that does not find that is blind, and proves nothing.
 *
 * Command line only. The report is a JSON object, the caller's.
 */
#ifndef PROVE_PROVE_H
#define PROVE_PROVE_H

#include "core/base.h"

#include <jansson.h>

struct prove_options {
	const char *version;
	bool quick; /* one private instance less */
	bool first; /* the first that is not as promised ends it; memory that can be read comes first, where most would show */
	uint32_t marks; /* rounds go on until so many were sent */
	/* Told as it goes on; may be NULL. */
	void (*progress)(void *arg, const char *what, unsigned done, unsigned of);
	void *progress_arg;
	/* A server that runs on this machine, instead of private ones; all four, or target NULL. */
	const char *target, *key, *model, *data_dir;
	/* Files and folders that are searched besides: a log that lies elsewhere. An array of strings, or NULL. */
	const json_t *also;
	/* Folder of PostgreSQL's programs: one private instance keeps its books in one. NULL: none does. */
	const char *postgres;
};

/* Member `ok` says whether all was found to be as promised; NULL: it could not be tried, and why says so. */
json_t *prove_run(const struct prove_options *o, char why[600]);

#endif
