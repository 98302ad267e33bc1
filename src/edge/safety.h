/*
 * Who asks, for a provider that wants to tell users apart and must not know them: a keyed hash of the account and of the caller's own word for its user. The
 * same for ever, whoever serves it, and never the same for two accounts. Edge; pure but for the request that it reads.
 */
#ifndef EDGE_SAFETY_H
#define EDGE_SAFETY_H

#include "core/text.h"

struct exchange;

enum { SAFETY_TEXT_BYTES = 53 }; /* "user_" and 48 hexadecimal digits: OpenAI takes 64 */

/* What goes up for the request, while its own body is there. Empty: its provider is told nothing. */
struct span safety_identifier(const struct exchange *x, char room[SAFETY_TEXT_BYTES + 1]);

#endif
