/*
 * Server-sent events (WHATWG HTML 9.2.6) split into lines and events, resumable at any byte, without a buffer:
 * a line may be megabytes. Any process. The caller embeds the struct; values point into the input.
 */
#ifndef CORE_SSE_H
#define CORE_SSE_H

#include "core/base.h"

enum sse_token {
	SSE_MORE, /* the input is used up */
	SSE_VALUE, /* a piece of the value of the field sse.field; at least one byte */
	SSE_LINE, /* the line of sse.field is complete, its line end consumed */
	SSE_DISPATCH, /* an empty line: the event is complete. sse.p stands behind it */
	SSE_LATE_LF, /* the LF of a CR LF whose CR ended the input and was taken for the line's end then */
};

enum sse_field {
	SSE_FIELD_DATA, /* several lines are joined with LF; the joining is the reader's */
	SSE_FIELD_EVENT,
	SSE_FIELD_ID,
	SSE_FIELD_RETRY,
	SSE_FIELD_COMMENT,
	SSE_FIELD_UNKNOWN, /* to be ignored, says the standard; sse.name holds its beginning */
};

enum { SSE_NAME_MAX = 6 };

struct sse {
	const char *p, *end; /* what is left of the input */
	uint8_t state, name_len; /* name_len stops at SSE_NAME_MAX */
	bool after_cr;
	enum sse_field field;
	char name[SSE_NAME_MAX];
};

void sse_init(struct sse *s);

/* Give the next bytes, once sse_next() said SSE_MORE. */
void sse_feed(struct sse *s, const char *in, size_t len);

/* Does a line begin with the next byte? A reader that knows whole lines may then step over them: s->p moves behind their last LF. */
must_check bool sse_at_line(const struct sse *s);

/*
 * *ret is set on SSE_VALUE. At the stream's end an event without its empty line has not happened (the standard
 * drops it).
 */
must_check enum sse_token sse_next(struct sse *s, struct span *ret);

#endif
