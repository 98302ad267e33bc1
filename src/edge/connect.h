/* CONNECT: a kept connection of the provider's pool, or a new one from the dialer. Private to src/edge. */
#ifndef EDGE_CONNECT_H
#define EDGE_CONNECT_H

#include "edge/edge_priv.h"

void connect_upstream(struct exchange *x);
/* One step of it; then the request is sent. */
void connect_handshake(struct exchange *x);
/* Those that waited for memory for TLS or for the dialer's arrow, as far as there is room. */
void connect_go_on(struct edge *e);
/* … for one of the two, and not for a provider. */
bool connect_waits_for_us(const struct exchange *x);
/* A connection carries streams: who waits for one of their own may have one of these. */
void connect_in_streams(struct edge *e, uint32_t provider);
/* The dialer was started anew. */
void connect_ask_again(struct edge *e);
void connect_done(struct edge *e, const struct message_connected *m, int fd);

#endif
