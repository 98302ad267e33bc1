/*
 * An event of a stream that says what the one before said, but for the inside of a few strings. Nearly all do: a chunk carries the next word and
 * repeats everything else. To know such an event takes a comparison of bytes instead of a scan, and what it means is what the one before meant,
 * because outside of the strings it is the same to the last byte, and inside of them only their length counts.
 *
 * Pure; private to src/dialect, run by the edge. The caller embeds the struct in the memory of the answer, where it is wiped with it.
 */
#ifndef DIALECT_ECHO_H
#define DIALECT_ECHO_H

#include "core/base.h"

enum {
	ECHO_HOLES_MAX = 4,
	ECHO_TEXT_MAX = 480, /* an event without the insides of its holes; of a longer one nothing is remembered */
	ECHO_EVENT_MAX = 32 << 10, /* an event that is remembered, with them */
};

/* The inside of a string, between its quotes, counted from the event's first byte. */
struct echo_hole {
	uint16_t from, to;
};

struct echo {
	uint16_t len; /* of text */
	uint16_t at[ECHO_HOLES_MAX]; /* where in text the insides were */
	uint8_t hole_count;
	char text[ECHO_TEXT_MAX];
};

/* Remember an event, whole, with its holes in order. False: it is too long, and *ret is as it was. */
must_check bool echo_learn(struct echo *ret, struct span event, const struct echo_hole *holes, size_t count);

/*
 * Does `in` begin with such an event? Its length, and in ret_insides what stands in each hole: escaped as it came, and a valid JSON string's inside. 0: it
 * does not, or is not whole yet, or stands too near to the end of `in` for its escapes to be judged.
 */
must_check size_t echo_match(const struct echo *e, struct span in, struct span *ret_insides);

#endif
