/*
 * What the machine gives, as the supervisor last saw it (ticket/machine.h): kept in the memory where the processes are told of, read there by the
 * scribe, and handed to each edge as it starts, for its page.
 */
#ifndef PROC_MACHINE_H
#define PROC_MACHINE_H

struct supervisor;
struct handover;

/* Looks when it is time: all of it once, what changes every minute. */
void machine_watch(struct supervisor *s);
void machine_hand_over(const struct supervisor *s, struct handover *h);

#endif
