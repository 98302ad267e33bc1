/*
 * What the results of an Anthropic batch say about its cost: JSON lines, one for each request, those that went well with a message and its usage in it. The counterpart
 * of lines.h for what comes back.
 *
 * Pure and resumable at any byte, no allocation: the caller embeds the struct in vault memory. Run by the edge.
 * Format: platform.claude.com/docs/en/api/retrieving-message-batch-results.
 */
#ifndef DIALECT_RESULTS_H
#define DIALECT_RESULTS_H

#include "core/json_scan.h"
#include "dialect/meter.h"

struct results_facts {
	uint32_t lines; /* results */
	uint32_t answered; /* of them, with a message */
	struct usage usage[2]; /* of all messages; [1]: of those whose place costs more (USAGE_GEO_US) */
};

struct results_scan {
	struct results_facts result;
	bool bad; /* what they cost can't be told */
	/* The scanner's own from here on. */
	bool begun, in_message, had_message, has_kind, succeeded;
	uint64_t at, message_from;
	struct json_scan json;
	struct meter meter;
};

void results_init(struct results_scan *s);
void results_feed(struct results_scan *s, const char *bytes, size_t len);
/* After the last byte. False: a line was no result, or had a message without usage, or one that another model took part in. */
must_check bool results_finish(struct results_scan *s);

#endif
