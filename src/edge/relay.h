/*
 * RELAY where several servers share a balance: a stream whose hold is used up pauses, nothing more is read of it, while the ledger gets what other
 * servers have of the balance. Edge only.
 */
#ifndef EDGE_RELAY_H
#define EDGE_RELAY_H

#include "edge/edge_priv.h"

bool relay_is_paused(const struct exchange *x);
/* By and by while any is: they go on, or end for want of money. */
void relay_poll_paused(struct edge *e);
/* reserve.c: more of this balance may be with other servers. */
bool reserve_is_shared(const struct exchange *x);

/* What has come, or comes, is read: the wait for something else is over. */
void relay_read_on(struct exchange *x);

#endif
