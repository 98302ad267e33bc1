/*
 * Where bytes of a length that is not known beforehand are written: room is asked for as it is needed, from whoever owns the memory (for content, the
 * vault). A write for which there is no room is dropped and sets `full`, as do all that follow: ask once, at the end.
 *
 * Pure; the owner of the room is told by grow(). Any process.
 */
#ifndef CORE_SINK_H
#define CORE_SINK_H

#include "core/json_view.h"

#include <string.h>

struct sink {
	/* More room: at, len = 0 and cap anew, after what was written there was taken over. False: there is none. */
	bool (*grow)(struct sink *s);
	char *at;
	size_t len, cap;
	bool full;
};

void sink_add_slowly(struct sink *s, const char *bytes, size_t len);

static inline void
sink_add(struct sink *s, const char *bytes, size_t len)
{
	if (unlikely(len > s->cap - s->len || s->full)) {
		sink_add_slowly(s, bytes, len);
		return;
	}
	memcpy(s->at + s->len, bytes, len);
	s->len += len;
}

static inline void
sink_span(struct sink *s, struct span text)
{
	sink_add(s, text.at, text.len);
}

#define sink_lit(s, literal) sink_add((s), (literal), sizeof(literal) - 1)

void sink_u64(struct sink *s, uint64_t v);
/* As the inside of a JSON string: what must be escaped is. */
void sink_escaped(struct sink *s, struct span text);
/* The value as it stands in its source. */
void sink_value(struct sink *s, struct json_source *source, struct json_value v);
/* What stands between a string's quotes, still escaped: parts of several make one string. */
void sink_inside(struct sink *s, struct json_source *source, struct json_value string);
/* The value's own text as the inside of a JSON string: {"a":1} becomes {\"a\":1}. */
void sink_quoted(struct sink *s, struct json_source *source, struct json_value v);
/* A string's text, unescaped: the way back. It is not checked to be JSON. */
void sink_unquoted(struct sink *s, struct json_source *source, struct json_value string);

#endif
