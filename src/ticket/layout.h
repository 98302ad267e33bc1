/*
 * What two builds must have in common to share memory and messages: `lethe upgrade` puts processes of a new build beside those of an old one,
 * on the same board. Supervisor; pure.
 *
 * Each part is a list of rows and has a hash for any number of its first rows. A build can take over when its list begins with the other's:
 * what is appended, the older processes never see. Parts with one row must be alike.
 */
#ifndef TICKET_LAYOUT_H
#define TICKET_LAYOUT_H

#include "core/base.h"

/* X(PART, name in what one build tells the next, what people call it) */
#define LAYOUTS(X) \
	X(BOARD, "board", "the board, with the fields of a ticket") \
	X(KEYS, "keys", "the key table") \
	X(COUNTERS, "counters", "the counters of edges") \
	X(PROCESSES, "processes", "the list of processes") \
	X(EVENTS, "events", "the events") \
	X(ENDS, "ends", "the end reasons") \
	X(MESSAGES, "messages", "the messages between processes")

enum layout_part {
#define X(PART, name, words) LAYOUT_##PART,
	LAYOUTS(X)
#undef X
		LAYOUT_COUNT
};

struct layout {
	uint32_t rows;
	uint64_t hash; /* of these rows */
};

const char *layout_name(enum layout_part part);
const char *layout_words(enum layout_part part);
/* This build's. */
struct layout layout_of(enum layout_part part);
/* Does this build's list begin with the other's? */
bool layout_extends(enum layout_part part, struct layout other);

/* Catalogue and sums: with the same number a ledger can go on with the memory that an older build made, else sums begin anew. */
uint64_t layout_of_catalogue(void);

#endif
