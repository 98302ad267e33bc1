/*
 * What the simulator remembers of requests, for tests to look at: the last one, and the last of
 * each of 64 tags. Single-threaded; the table owns its copies.
 */
#ifndef SIM_NOTE_H
#define SIM_NOTE_H

#include "core/text.h"
#include "script.h"

/* How the answer to a noted request ended. */
#define SIM_NOTE_STATES(X) X(open) X(done) X(cancelled) X(cut)

enum sim_note_state {
#define X(name) SIM_NOTE_##name,
	SIM_NOTE_STATES(X)
#undef X
};

enum { SIM_NOTE_TAGS = 64 };

struct sim_note {
	char tag[SIM_TAG_MAX + 1];
	char *bytes; /* head, then body */
	size_t head_len, body_len, cap;
	uint64_t count; /* requests with this tag */
	uint64_t connection; /* that the last one came on */
	uint64_t chunks; /* content chunks said */
	enum sim_note_state state;
	uint64_t generation; /* changes with every request: a late run must not write into its successor's note */
};

struct sim_notes {
	struct sim_note last, tagged[SIM_NOTE_TAGS];
	uint64_t requests;
	size_t oldest;
};

/* Remembers a request; returns its note. tag empty: only as the last one. */
struct sim_note *sim_note_take(struct sim_notes *n, const char *tag, struct span head,
	struct span body, uint64_t connection);

/* The note of a tag, of the last request when tag is empty; NULL: never seen or forgotten. */
const struct sim_note *sim_note_find(const struct sim_notes *n, struct span tag);

/* As JSON. */
void sim_note_write(const struct sim_note *n, struct text *t);

#endif
