/*
 * Tokens of a request, counted here (dialect/prompt.h) where the model's catalogue row names its provider's vocabulary. Never on the way of a request that is
 * sent without more ado: only who asks for a count, or for a price, or has too little for a hold by the bytes, waits for it. Of a stream a sample is kept, for the
 * case that it is cut. Edge only.
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

/*
 * The answer's meter is ready, and the request is still there: a stream that may never say what it used gets a sample of both (dialect/sample.h). Without memory for
 * it, it has none.
 */
void tokens_sample(struct exchange *x);
/* It has ended, and has not said it: its input is estimated by the sample, and its words by tokens_of_words(). */
void tokens_count_sample(struct exchange *x);
void tokens_free_sample(struct exchange *x);

#endif
