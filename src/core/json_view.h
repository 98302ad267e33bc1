/*
 * JSON that is all there, looked at by place: members and elements one by one, in any order and as often as wanted, without a tree. For who
 * translates: a value is a range of the text, to be copied as it stands (numbers are never read as such).
 *
 * Pure, no allocation. The text lies in pieces, as bodies do, and outlives what points into it; it has passed json_scan.h as one whole value, which
 * bounds its depth: on other text the answers are of no use, but nothing outside of it is touched and every walk ends. Any process.
 */
#ifndef CORE_JSON_VIEW_H
#define CORE_JSON_VIEW_H

#include "core/json_scan.h"

struct json_source {
	const struct span *pieces; /* none of them empty */
	uint32_t count;
	uint32_t at_piece; /* where the last look was: neighbours are found at once */
	uint64_t at_offset;
	uint64_t bytes; /* of all pieces */
	uint64_t steps, steps_most; /* values and escapes that were looked at; beyond the most (0: none) every walk ends: json_is_tired() */
};

/* A value: offsets of its first byte and after its last; strings with their quotes. JSON_MORE: there is none. */
struct json_value {
	uint64_t at, end;
	uint8_t kind; /* JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL */
};

struct json_source json_source(const struct span *pieces, uint32_t count);
/* More was to be looked at than may be: what was found is of no use. */
static inline bool
json_is_tired(const struct json_source *s)
{
	return s->steps_most && s->steps > s->steps_most;
}

/* The outermost value. */
struct json_value json_whole_value(struct json_source *s);

/* Through an object or an array; of anything else there is nothing in it. */
struct json_walk {
	uint64_t at, end;
};
struct json_walk json_walk(struct json_value in);
must_check bool json_next_member(struct json_source *s, struct json_walk *w, struct json_value *ret_key, struct json_value *ret_value);
must_check bool json_next_element(struct json_source *s, struct json_walk *w, struct json_value *ret);

/* As much of [at, ...) as lies together, at most up to end; empty only when at >= end. */
struct span json_run(struct json_source *s, uint64_t at, uint64_t end);

/* Is it a string that reads as this (compared unescaped)? */
must_check bool json_reads(struct json_source *s, struct json_value v, struct span text);
/*
 * A string unescaped (a lone surrogate reads as U+FFFD), or the text of a number: its length, of which at most cap bytes were written. More
 * than cap: it did not fit.
 */
size_t json_text(struct json_source *s, struct json_value v, char *to, size_t cap);

/* The same text part by part; an empty part: that was all. Each lasts until the next call. */
struct json_text_walk {
	uint64_t at, end;
	char room[4];
};
struct json_text_walk json_text_walk(struct json_value v);
struct span json_next_text(struct json_source *s, struct json_text_walk *w);

/*
 * The members of an object by a table of names: ret[i] is the value of names[i], JSON_MORE when absent, the last one when given more than once. Members
 * that no name fits are counted; *ret_unknown (NULL allowed) is the key of the first of them.
 */
uint32_t json_members(
	struct json_source *s, struct json_value object, const struct span *names, uint32_t count, struct json_value *ret, struct json_value *ret_unknown);

#endif
