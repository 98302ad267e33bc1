#include "dialect/meter_priv.h"

#include <string.h>

/* Endpoints without a row read their answers as chat does: usage where it stands, nothing is hidden. */
static const struct meter_language *const languages[ENDPOINT_COUNT] = {
	[ENDPOINT_CHAT_COMPLETIONS] = &meter_chat,
};

static const struct meter_language *
language_of(const struct meter *m)
{
	const struct meter_language *l = languages[m->endpoint];
	return l ? l : &meter_chat;
}

void
meter_init(struct meter *m, enum endpoint endpoint, bool streamed, bool hide)
{
	memset(m, 0, sizeof *m);
	m->endpoint = (uint8_t)endpoint;
	language_of(m)->begin(m, streamed, hide);
}

size_t
meter_feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	return language_of(m)->feed(m, in, len, last, spans, ret_count);
}
