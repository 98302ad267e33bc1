/*
 * Tokens of a request, counted here (dialect/prompt.h) where the model's catalogue row names its provider's vocabulary. Never on the way of a request that is
 * sent without more ado: only who asks for a count, or for a price, or has too little for a hold by the bytes, waits for it. Edge only.
 */
#ifndef EDGE_TOKENS_H
#define EDGE_TOKENS_H

#include "edge/edge_priv.h"

/* An estimate of its input, media as they are reserved; never more than reserve_input(). Without a vocabulary it is that. */
uint64_t tokens_input(struct exchange *x);
/*
 * A bound of its input by that count, for a hold: an eighth more, for what providers put around what they are sent. 0: it has none that is lower, since there is
 * no vocabulary, or since it is too long to be counted whole.
 */
uint64_t tokens_input_most(struct exchange *x);

#endif
