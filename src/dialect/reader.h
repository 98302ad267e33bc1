/*
 * What the meters that hide nothing share: a stream of events, or one plain body, becomes JSON documents, and these become events on the paths
 * of a language's table. Private to src/dialect; resumable at any byte; owns nothing.
 *
 * A document is the outermost object of an event's data or of a plain body; Gemini's stream without alt=sse is an array of such objects.
 * "data: [DONE]" is legal everywhere and ends nothing: these languages have ends of their own. A line of bare JSON within a stream is an error of the provider, by experience Gemini's.
 */
#ifndef DIALECT_READER_H
#define DIALECT_READER_H

#include "core/json_scan.h"
#include "core/sse.h"
#include "dialect/meter_priv.h"

enum { READER_ELEMENT = 2 }; /* node of the objects in an outermost array; they have the same members as the root */

struct reader_language {
	const struct json_node *nodes;
	void (*event)(struct meter *m, enum json_token t, const struct json_event *ev);
	/* An outermost object is complete: what was collected from it counts. */
	void (*document)(struct meter *m);
};

enum reader_document { READER_NONE,
	READER_JSON,
	READER_MARK,
	READER_BAD };

struct reader {
	const struct reader_language *language;
	struct sse sse;
	struct json_scan json;
	uint64_t at; /* bytes seen */
	enum reader_document document;
	uint8_t mark_at;
	bool streamed, ended, line_ended;
};

void reader_begin(struct meter *m, struct reader *r, const struct reader_language *language, bool streamed);
/* As meter_feed(): every byte is settled, in one span. */
size_t reader_feed(struct meter *m, struct reader *r, struct span in, bool last, struct span *spans, size_t *ret_count);

#endif
