/*
 * GET /transparency: what this machine and this process give, and the list of what is kept about a request, for anybody. Numbers and words of ours, as
 * HTML or JSON by the request's `accept`. Written anew for each who asks, with the time at which each fact was looked at. Private to src/edge.
 */
#ifndef EDGE_TRANSPARENCY_H
#define EDGE_TRANSPARENCY_H

#include "edge/edge_priv.h"

/* 200 with this body; fields: header lines of ours that say what it is. (answer.c) */
void answer_page(struct exchange *x, struct span fields, struct span body);

void transparency_answer(struct exchange *x, const struct http1_head *h);

#endif
