/*
 * RELAY of a stream whose hold is used up: it pauses, nothing more is read of it, while the ledger books what others have settled, and gets what other
 * servers have of a balance that they share. Edge only.
 */
#ifndef EDGE_RELAY_H
#define EDGE_RELAY_H

#include "edge/edge_priv.h"

/*
 * reply.c: the same as reply() for bytes that nobody reads any more: those that lie in the loop's scratch, as most do, get the chunk's frame written
 * around them, and go out from there.
 */
void reply_from_scratch(struct exchange *x, struct span head, const char *data, size_t len);
bool relay_is_paused(const struct exchange *x);
bool relay_waits_for_money(const struct exchange *x); /* … and has not ended since */
/* False: it waits for something else, or there is nothing to wait for. */
must_check bool relay_pause(struct exchange *x);
enum pause { PAUSE_LASTS,
	PAUSE_IN_VAIN, /* the ledger has looked, or booked what there was, and nothing came */
	PAUSE_UNANSWERED };
enum pause relay_pause_of(const struct exchange *x);
/* By and by while any is: they go on, or end for want of money, or of the ledger's word. */
void relay_poll_paused(struct edge *e);
/* LOADED that nobody in line has asked for. */
void relay_more_answered(struct edge *e, const struct message_row *m);
/* reserve.c: more of this balance may be with other servers. */
bool reserve_is_shared(const struct exchange *x);

/* What has come, or comes, is read: the wait for something else is over. */
void relay_read_on(struct exchange *x);
void relay_go_on(struct exchange *x); /* … if that is paid; may end x */
void relay_stop_waiting(struct exchange *x); /* for money or memory */

#endif
