/*
 * A bounded builder for heads and small JSON bodies: literals, numbers, escaped text. It can't format, allocate or overrun; a write that
 * does not fit sets `cut`. Any process; the caller owns the memory.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/base.h"

#include <string.h>

struct text {
	char *at;
	size_t len, cap;
	bool cut;
};

static inline struct text
text_on(char *memory, size_t cap)
{
	return (struct text){memory, 0, cap, false};
}

static inline void
text_add(struct text *t, const void *bytes, size_t len)
{
	if (unlikely(len > t->cap - t->len)) {
		t->cut = true;
		return;
	}
	memcpy(t->at + t->len, bytes, len);
	t->len += len;
}

static inline void
text_span(struct text *t, struct span s)
{
	text_add(t, s.at, s.len);
}

#define text_lit(t, literal) text_add((t), (literal), sizeof(literal) - 1)

void text_str(struct text *t, const char *s);
void text_u64(struct text *t, uint64_t v);
void text_hex(struct text *t, uint64_t v); /* no leading zeros, lower case: chunk sizes */
void text_time(struct text *t, uint64_t unix_s); /* RFC 3339, UTC */
void text_json(struct text *t, struct span s); /* as the inside of a JSON string; bytes < 0x20, '"', '\\' escaped */

#endif
