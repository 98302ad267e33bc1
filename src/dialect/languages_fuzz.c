/* Every meter takes any bytes: nothing is lost of them, and how they are split changes no number. */
#include "dialect/meter_text.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span
said(struct meter *m, struct span in, size_t step, struct text t)
{
	for (size_t at = 0, n; at < in.len || at == 0; at += n ? n : 1) {
		n = in.len - at < step ? in.len - at : step;
		char *piece = malloc(n ? n : 1);
		struct span spans[METER_SPANS_MAX];
		size_t count;
		memcpy(piece, in.at + at, n);
		assert(meter_feed(m, piece, n, at + n >= in.len, spans, &count) == n);
		assert(count == (n != 0) && (n == 0 || (spans[0].at == piece && spans[0].len == n)));
		free(piece);
	}
	meter_text(&t, m);
	text_u64(&t, m->content_bytes);
	text_lit(&t, ",");
	text_u64(&t, m->reasoning_bytes);
	text_lit(&t, ",");
	text_u64(&t, m->content_reported);
	text_lit(&t, ",");
	text_u64(&t, m->reasoning_reported);
	assert(m->content_reported <= m->content_bytes && m->reasoning_reported <= m->reasoning_bytes);
	assert(!t.cut && m->leg_count <= METER_LEGS_MAX);
	return (struct span){t.at, t.len};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum endpoint endpoints[] = {ENDPOINT_RESPONSES, ENDPOINT_MESSAGES, ENDPOINT_STREAM_GENERATE_CONTENT, ENDPOINT_EMBED_CONTENT};
	static struct meter whole, pieces;
	static char a[4096], b[4096];
	if (size < 1)
		return 0;
	enum endpoint endpoint = endpoints[data[0] / 64];
	bool streamed = data[0] & 1;
	struct span in = {(const char *)data + 1, size - 1};
	meter_init(&whole, endpoint, streamed, false);
	meter_init(&pieces, endpoint, streamed, false);
	struct span x = said(&whole, in, in.len ? in.len : 1, text_on(a, sizeof a));
	struct span y = said(&pieces, in, 1 + data[0] % 64 / 2, text_on(b, sizeof b));
	assert(x.len == y.len && !memcmp(x.at, y.at, x.len));
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		assert(whole.usage.tokens[k] <= UINT64_C(1) << 60);
	return 0;
}
