#include "edge/keep_alive.h"

#include "edge/edge_priv.h"

#include "edge/passage.h"
#include "edge/stored.h"

/*
 * Anthropic has an event for it. Comments are legal in every stream of events, and OpenAI's clients pass over them; some of Google's read each line that is
 * not empty as JSON: an empty one says as much to a proxy.
 */
static struct span
word_for(enum endpoint endpoint)
{
	switch (endpoint) {
	case ENDPOINT_MESSAGES:
		return SPAN("event: ping\ndata: {\"type\": \"ping\"}\n\n");
	case ENDPOINT_STREAM_GENERATE_CONTENT:
		return SPAN("\r\n");
	default:
		return SPAN(": keep-alive\n\n");
	}
}

uint64_t
keep_alive_at_ms(const struct exchange *x)
{
	uint32_t every_ms = x->edge->p->timeouts.keep_alive;
	bool quiet = every_ms && x->step == STEP_RELAY && x->streamed && x->client && !stored_keeps_back(x);
	return quiet ? x->said_ms + every_ms : UINT64_MAX;
}

/* What has gone before ends with an empty line, or is nothing. */
static bool
is_between_events(const struct exchange *x)
{
	const char *t = x->tail;
	if (x->passage && x->passage->as_array) /* whole elements; white space may stand anywhere between */
		return true;
	return !t[3] || (t[3] == '\n' && (t[2] == '\n' || (t[2] == '\r' && t[1] == '\n'))) || (t[3] == '\r' && t[2] == '\r');
}

void
keep_alive_tell(struct exchange *x)
{
	struct span word = word_for((enum endpoint)x->endpoint);
	x->said_ms = x->edge->loop.now_ms; /* if not now, then after as long again */
	if (is_between_events(x) && !reply_is_full(x->client) && !reply_has_unsent(x->client))
		reply(x, (struct span){0}, word.at, word.len, false);
}

void
keep_alive_said(struct exchange *x, struct span data)
{
	x->said_ms = x->edge->loop.now_ms;
	if (data.len >= sizeof x->tail) {
		memcpy(x->tail, data.at + data.len - sizeof x->tail, sizeof x->tail);
		return;
	}
	for (size_t i = 0; i < data.len; i++) {
		memmove(x->tail, x->tail + 1, sizeof x->tail - 1);
		x->tail[sizeof x->tail - 1] = data.at[i];
	}
}
