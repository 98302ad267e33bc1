/*
 * How long a process may run before another that has just become ready takes its turn (Linux 6.12 and later: a slice of one's own in the fair
 * scheduler, sched_setattr(2)). Who asks for a short one runs soon after it wakes, in exchange for shorter turns; its share of the processor stays the same.
 *
 * Asked for by the edge, before it locks itself down: on a processor that it shares with the ledger, a request does not wait for the end of a commit.
 */
#ifndef PROC_SLICE_H
#define PROC_SLICE_H

/* The shortest that there is, 0.1 ms. Older kernels take no notice. */
void slice_shortest(void);

#endif
