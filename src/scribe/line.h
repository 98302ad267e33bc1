/*
 * One event as one line of JSON:
 * {"time":…,"severity":…,"role":…,"instance":…,"event":…,"numbers":[…],"text":…}. Scribe and supervisor; pure,
 * the caller owns the memory.
 */
#ifndef SCRIBE_LINE_H
#define SCRIBE_LINE_H

#include "core/text.h"
#include "ticket/catalogue.h"
#include "ticket/messages.h"
#include "ticket/severities.h"

enum {
	LINE_TEXT_MAX = 600,
	LINE_MAX_BYTES = 4096,
}; /* escaping makes six bytes of one at worst */

/* "edge"; "?" for what is no process. */
const char *line_role(enum message_end role);
/* Lower case; NULL: no such event. */
const char *line_event(uint32_t event);
enum severity line_severity(uint32_t event);
/* "loss.crash"; "?" for what is no account of the operator's own. */
const char *line_house(uint64_t account);

/* False: no such event; nothing is written. The line ends with a newline. c: its providers' names; may be NULL. */
must_check bool line_event_write(
	struct text *t, uint64_t wall_us, const struct message_event *m, const struct catalogue *c);

/*
 * A line of text that a process without content wrote to its standard error; at most LINE_TEXT_MAX bytes of it
 * are kept.
 */
void line_text_write(
	struct text *t, uint64_t wall_us, enum message_end role, uint16_t instance, struct span said);

#endif
