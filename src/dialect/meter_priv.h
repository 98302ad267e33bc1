/* How a provider language plugs into the meter. Private to src/dialect. */
#ifndef DIALECT_METER_PRIV_H
#define DIALECT_METER_PRIV_H

#include "dialect/meter.h"

/* Contracts as meter_init() and meter_feed(). The struct is zeroed and its endpoint set before begin. */
struct meter_language {
	size_t state_bytes;
	void (*begin)(struct meter *m, bool streamed, bool hide);
	size_t (*feed)(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count);
};

extern const struct meter_language meter_chat, meter_messages, meter_gemini, meter_responses, meter_media, meter_realtime;

/* The answer is at least this; an error stays. */
static inline void
meter_raise(struct meter *m, enum answer a)
{
	if (m->answer < a && m->answer != ANSWER_ERROR)
		m->answer = a;
}

#endif
