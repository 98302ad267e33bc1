/*
 * A realtime session (platform.openai.com/docs/api-reference/realtime-client-events and -server-events): its server's messages are read by a meter like
 * any answer, meter_feed() with `last` at the end of each; what else a session needs is here. Run by the edge.
 */
#ifndef DIALECT_REALTIME_H
#define DIALECT_REALTIME_H

#include "dialect/meter.h"

/* What a client's message may not say: X(NAME, sentence, param) */
#define REALTIME_REFUSALS(X) \
	X(OK, "", "") \
	X(NOT_JSON, "A message of the client is not a JSON object.", "") \
	X(OTHER_MODEL, "session.model must be the model that the session was opened with.", "session.model") \
	X(FOREIGN_OBJECT, "prompt names an object stored at the provider; these are not available here.", "prompt")

enum realtime_refusal {
#define X(name, text, param) REALTIME_##name,
	REALTIME_REFUSALS(X)
#undef X
};

/* Its model by the names that a client may call it: its own and the provider's. They must outlive the meter. */
void realtime_open(struct meter *m, struct span public_id, struct span upstream_id);

/* A piece of a message of the client, before it is passed on; `last`: the message is complete. */
must_check enum realtime_refusal realtime_client(struct meter *m, const char *in, size_t len, bool last);

/* Is the server's current, or last, message an error event? */
bool realtime_is_error(const struct meter *m);
/* Has a response begun that was not reported yet? */
bool realtime_is_under_way(const struct meter *m);

struct realtime_rates {
	uint32_t bytes_per_token_x100, image_tokens;
	uint64_t context_tokens;
};

/* The most that responses can still report, by what has passed so far: those under way and one that may begin without being asked for. */
void realtime_bound(const struct meter *m, const struct realtime_rates *r, uint64_t *ret_input, uint64_t *ret_output);

/* What was reported, and for a response that will not be any more what was counted of it. */
void realtime_usage(const struct meter *m, const struct realtime_rates *r, struct usage *ret);

#endif
