#include "dialect/realtime.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines are messages: of the client behind '>', of the server else. Byte 0: pieces of at most so many bytes. */
static const struct realtime_rates rates = {.bytes_per_token_x100 = 200, .image_tokens = 1000, .context_tokens = 32000};

struct outcome {
	struct usage usage;
	uint64_t input, output, refused;
	unsigned legs;
	bool error, under_way, malformed;
};

static void
message(struct meter *m, const char *at, size_t len, size_t step, bool client, struct outcome *o)
{
	enum realtime_refusal refusal = REALTIME_OK;
	for (size_t done = 0; done < len || done == 0;) {
		size_t n = len - done < step ? len - done : step, count = 0;
		struct span spans[METER_SPANS_MAX];
		char *piece = malloc(n + 1);
		memcpy(piece, at + done, n);
		done += n;
		bool last = done == len;
		if (client)
			refusal = realtime_client(m, piece, n, last);
		else
			assert(meter_feed(m, piece, n, last, spans, &count) == n);
		free(piece);
		if (last)
			break;
	}
	o->refused += refusal != REALTIME_OK;
}

static void
session(const char *in, size_t len, size_t step, struct outcome *o)
{
	static struct meter m;
	memset(o, 0, sizeof *o);
	meter_init(&m, ENDPOINT_REALTIME, true, false);
	realtime_open(&m, SPAN("rt"), SPAN("gpt-realtime"));
	for (const char *p = in, *end = in + len; p < end;) {
		const char *line = memchr(p, '\n', (size_t)(end - p));
		const char *stop = line ? line : end;
		bool client = *p == '>';
		p += client;
		message(&m, p, (size_t)(stop - p), step, client, o);
		p = stop + (line != NULL);
	}
	realtime_usage(&m, &rates, &o->usage);
	realtime_bound(&m, &rates, &o->input, &o->output);
	o->legs = m.leg_count;
	o->error = realtime_is_error(&m);
	o->under_way = realtime_is_under_way(&m);
	o->malformed = m.malformed;
	assert(m.leg_count <= METER_LEGS_MAX && m.content_reported <= m.content_bytes && m.content_bytes <= len);
	for (unsigned i = 0; i < m.leg_count; i++)
		assert(m.legs[i].model_len && m.legs[i].model_len <= METER_MODEL_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	if (size < 1)
		return 0;
	const char *in = (const char *)data + 1;
	session(in, size - 1, size, &whole);
	session(in, size - 1, 1u + data[0] % 32, &pieces);
	assert(!memcmp(&whole, &pieces, sizeof whole));
	/* What is charged for what was not reported is never more than what is held for it. */
	assert(whole.input <= (uint64_t)rates.context_tokens * 9 + size);
	return 0;
}
