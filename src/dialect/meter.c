#include "dialect/meter_priv.h"

#include <string.h>

/* Endpoints without a row read their answers as chat does: usage where it stands, nothing is hidden. */
static const struct meter_language *const languages[ENDPOINT_COUNT] = {
	[ENDPOINT_CHAT_COMPLETIONS] = &meter_chat,
	[ENDPOINT_RESPONSES] = &meter_responses,
	[ENDPOINT_RESPONSES_KEPT] = &meter_responses,
	[ENDPOINT_MESSAGES] = &meter_messages,
	[ENDPOINT_MESSAGES_COUNT_TOKENS] = &meter_messages,
	[ENDPOINT_GENERATE_CONTENT] = &meter_gemini,
	[ENDPOINT_STREAM_GENERATE_CONTENT] = &meter_gemini,
	[ENDPOINT_COUNT_TOKENS] = &meter_gemini,
	[ENDPOINT_EMBED_CONTENT] = &meter_gemini,
	[ENDPOINT_BATCH_EMBED_CONTENTS] = &meter_gemini,
	[ENDPOINT_AUDIO_TRANSCRIPTIONS] = &meter_media,
	[ENDPOINT_AUDIO_TRANSLATIONS] = &meter_media,
	[ENDPOINT_AUDIO_SPEECH] = &meter_media,
	[ENDPOINT_IMAGES_GENERATIONS] = &meter_media,
	[ENDPOINT_IMAGES_EDITS] = &meter_media,
	[ENDPOINT_IMAGES_VARIATIONS] = &meter_media,
	[ENDPOINT_REALTIME] = &meter_realtime,
};

static const struct meter_language *
language_of(enum endpoint endpoint)
{
	const struct meter_language *l = languages[endpoint];
	return l ? l : &meter_chat;
}

size_t
meter_bytes(enum endpoint endpoint)
{
	return offsetof(struct meter, state) + language_of(endpoint)->state_bytes;
}

void
meter_init(struct meter *m, enum endpoint endpoint, bool streamed, bool hide)
{
	memset(m, 0, meter_bytes(endpoint));
	m->endpoint = (uint8_t)endpoint;
	language_of(endpoint)->begin(m, streamed, hide);
}

/*
 * Neither JSON nor SSE nor any text: gzip, zlib, zstd, or what else is packed. Text that is no answer passes: it costs nobody anything, and says what is
 * wrong.
 */
static bool
looks_packed(const char *in, size_t len)
{
	unsigned char c = (unsigned char)in[0];
	if (c == 'x') /* zlib: 32 KiB of window, and a sum over both bytes */
		return len > 1 && memchr("\x01\x5e\x9c\xda", in[1], 4) != NULL;
	bool blank = c == '\t' || c == '\n' || c == '\r';
	return c == '(' || (c < 0x20 && !blank) || (c >= 0x80 && c != 0xef); /* '(': zstd; 0xef: a byte order mark */
}

void
meter_init_plain(struct meter *m, enum endpoint endpoint)
{
	meter_init(m, endpoint, false, false);
	m->plain = true;
}

/* Words as they are: a byte counts like one of a JSON string. */
static size_t
feed_plain(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	m->content_bytes += len;
	m->finished |= last;
	if (len)
		meter_raise(m, ANSWER_CONTENT);
	if (last)
		meter_raise(m, ANSWER_FINISHED);
	*ret_count = len != 0;
	spans[0] = (struct span){in, len};
	return len;
}

size_t
meter_feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	if (m->plain)
		return feed_plain(m, in, len, last, spans, ret_count);
	if (!m->begun && len) {
		m->begun = true;
		m->packed = looks_packed(in, len);
	}
	return language_of((enum endpoint)m->endpoint)->feed(m, in, len, last, spans, ret_count);
}
