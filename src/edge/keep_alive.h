/*
 * A stream that says nothing for a while is kept alive by what its language takes for nothing, so that nobody between takes it for dead. Edge only. It
 * begins with the provider's head and never before: what has gone to the client can't be asked of another target.
 */
#ifndef EDGE_KEEP_ALIVE_H
#define EDGE_KEEP_ALIVE_H

#include "core/base.h"

struct exchange;

/* When the next one is due; UINT64_MAX: never, as things stand. */
uint64_t keep_alive_at_ms(const struct exchange *x);
/* It is due: it is sent, if the stream stands between two events and the client takes what it gets. The exchange may have ended. */
void keep_alive_tell(struct exchange *x);
/* This has gone to the client. */
void keep_alive_said(struct exchange *x, struct span data);

#endif
