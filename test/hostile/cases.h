/*
 * The hostile corpus, the .txt files here: cases of bytes and of what must happen to them. README.md describes the format. Read whole at
 * the start; everything lives until the process ends.
 */
#ifndef HOSTILE_CASES_H
#define HOSTILE_CASES_H

#include "core/base.h"

enum case_kind { CASE_REQUEST,
	CASE_RESPONSE,
	CASE_RESPONSE_TO_HEAD };

struct hostile_case {
	enum case_kind kind;
	const char *file; /* without its folder */
	unsigned line;
	const char *source; /* which corpus taught it */
	char *id; /* its name there; of a template with the byte that was put in */
	const char *why;
	char *bytes;
	size_t len;
	const char *expect; /* outcomes, separated by ", " */
};

struct hostile_corpus {
	struct hostile_case *cases;
	size_t count, cap;
};

/* Adds the cases of one file. A malformed one is told on stderr, and false. */
must_check bool hostile_load(struct hostile_corpus *corpus, const char *path);

#endif
