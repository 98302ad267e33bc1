/*
 * Errors of our own in each dialect's shape, so that each SDK raises its own right class. Pure; run by the edge; writes into the caller's text.
 *
 * Shapes: platform.openai.com/docs/guides/error-codes, platform.claude.com/docs/en/api/errors, google.rpc.Status (ai.google.dev/api).
 */
#ifndef DIALECT_ERROR_H
#define DIALECT_ERROR_H

#include "core/base.h"
#include "core/text.h"
#include "ticket/endpoints.h"

struct error_says {
	uint16_t status; /* HTTP */
	struct span message; /* needs no escaping but JSON's */
	const char *type, *code; /* OpenAI's words (end_reasons.h); the others' follow from status and code */
	const char *param; /* NULL or "": none */
	uint32_t wait_s; /* for a retry-after; 0: none */
	bool lasting; /* it is not to be tried again by itself */
	struct span request_id; /* our own, for Anthropic's member of that name */
	struct span needed, available; /* dollars, for 402; empty otherwise */
};

/* The body of an error answer. */
void error_write(struct text *t, enum dialect dialect, const struct error_says *e);

/* The event that ends a stream, from the blank line that ends whatever half event went before to the blank line behind it. Realtime: a message. */
void error_write_event(struct text *t, enum endpoint endpoint, const struct error_says *e);

#endif
