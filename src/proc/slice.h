/*
 * How a process takes its turns on a processor that it shares with an edge (Linux's fair scheduler; sched_setattr(2)). Its share stays what it was.
 *
 * Asked for by the ledger and the scribe, before they lock themselves down: a commit is half a millisecond of work and more, and a request must not wait for
 * the end of it. Decision 0039.
 */
#ifndef PROC_SLICE_H
#define PROC_SLICE_H

/*
 * From now on it interrupts nobody when it wakes, and whoever wakes while it has run for 0.1 ms interrupts it. The administrator's choice of another policy
 * stands. Kernels before 6.12 know no such short turns, and do only the first.
 */
void slice_in_background(void);

#endif
