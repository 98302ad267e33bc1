/*
 * The edge's side of the signer: one question for each full handshake of a client, whose answer is waited for, SIGNER_WAIT_MS at most. Who gets none in
 * time asks no more until the late answer has come, so that a signer that stands still costs one wait and not one for each handshake. Edge only.
 */
#ifndef EDGE_SIGN_H
#define EDGE_SIGN_H

#include "core/tls_sign.h"

struct edge;

struct sign_line {
	struct tls_signer signer;
	uint64_t token; /* of the last question */
	bool owed; /* it was not answered in time */
};

void sign_line_open(struct sign_line *l, struct edge *e);
/* The signer was started anew. */
void sign_line_renewed(struct sign_line *l);

#endif
