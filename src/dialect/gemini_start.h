/*
 * The body that begins an upload of a file to Gemini ({"file": {"displayName": …}}): does it choose the file's name itself? Names are of all customers of the
 * operator's key together, so nobody may.
 *
 * Pure and resumable at any byte; no allocation. Run by the edge. Format: ai.google.dev/api/files (media.upload).
 */
#ifndef DIALECT_GEMINI_START_H
#define DIALECT_GEMINI_START_H

#include "core/json_scan.h"

struct gemini_start {
	struct json_scan json;
	bool any, named, bad; /* any: it has a byte */
};

enum gemini_start_error { GEMINI_START_OK,
	GEMINI_START_BAD, /* neither empty nor one JSON object */
	GEMINI_START_NAMED };

void gemini_start_init(struct gemini_start *s);
void gemini_start_feed(struct gemini_start *s, struct span in);
must_check enum gemini_start_error gemini_start_finish(const struct gemini_start *s);

#endif
