/*
 * Where an answer names what is kept at its provider: files that it cites or has made, the sandbox that they lie in. Only names count that the provider gives: in what
 * a tool is called with, in schemas and in what the caller said itself such members are the caller's own words.
 *
 * Pure and resumable at any byte; owns nothing. Edge: for answers to requests that can have led to such names (request_facts.may_name).
 */
#ifndef DIALECT_NAMING_H
#define DIALECT_NAMING_H

#include "core/json_scan.h"
#include "core/sse.h"
#include "ticket/endpoints.h"

enum { NAMING_HOLD_MAX = JSON_TEXT_MAX }; /* a longer text is no name */

enum naming_document { NAMING_NONE,
	NAMING_JSON,
	NAMING_OTHER };

struct naming {
	struct sse sse;
	struct json_scan json;
	const struct json_node *nodes;
	uint64_t settled, parsed; /* bytes of the answer */
	enum naming_document document;
	bool streamed;
};

/* A whole name: in[at, end) is its string, quotes included; text is what that says, until found() returns. */
struct naming_found {
	size_t at, end;
	struct span text;
};

/* False: answers of that endpoint name nothing. */
must_check bool naming_init(struct naming *n, enum endpoint endpoint, bool streamed);

/*
 * in: what was not settled of the last call's, and what follows. Calls found() for each name in it, in order; returns how many bytes are settled. The rest, at most
 * NAMING_HOLD_MAX and its quotes, begins a name. last: nothing follows, all is settled.
 */
must_check size_t naming_feed(struct naming *n, struct span in, bool last, void (*found)(void *owner, const struct naming_found *f), void *owner);

#endif
