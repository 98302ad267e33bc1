/* Connections to providers that rest. Private to src/edge. */
#ifndef EDGE_UPSTREAM_H
#define EDGE_UPSTREAM_H

struct edge;

/* Each tick: closes those that have rested for a while, where they may be all that keeps a segment of the vault from being given back. */
void upstream_thin(struct edge *e);

#endif
