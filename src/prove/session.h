/*
 * A realtime session (WebSocket) as both sides inside `lethe prove` live through it: the client's messages and their end, the provider's answer in each
 * way. Command line only; the links are the callers'.
 */
#ifndef PROVE_SESSION_H
#define PROVE_SESSION_H

#include "prove/exchange.h"

#include <stdatomic.h>

struct session_request {
	const char *path, *key, *more; /* more: lines of fields */
	const char *body; /* the message that is asked */
	size_t body_len;
	uint32_t number;
};

/* The client: opens it and says what its way says. False: there is no connection any more. */
must_check bool session_ask(struct link *l, const struct exchange *x, const struct session_request *r);
/* Hears it to its end, which it begins itself behind an answer. True: the answer's mark came through. */
must_check bool session_hear(struct link *l, const struct exchange *x);

/* The provider: whether it agrees to one at all in this way, and then the rest. key: what the head says, to the end of its line. */
bool session_is_agreed(enum provider_does way);
void session_serve(struct link *l, struct exchange *x, const char *key, const _Atomic bool *stop);

#endif
