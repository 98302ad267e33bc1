/*
 * What the machine gives, as the supervisor last saw it (ticket/machine.h): kept in the memory where the processes are told of, read there by the
 * scribe, and by edges for their page.
 */
#ifndef PROC_MACHINE_H
#define PROC_MACHINE_H

struct handover;
struct supervisor;

/* Looks when it is time: all of it once, what changes every minute. */
void machine_watch(struct supervisor *s);
/* The program's hash, for an edge that shows the page. */
void machine_hand_over(struct handover *h);

#endif
