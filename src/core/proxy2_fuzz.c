#include "core/proxy2.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum proxy2_result result;
	size_t used;
	bool known;
	struct address source;
};

/* Pieces are copies, so that a read behind one is seen. */
static struct outcome
parse(const uint8_t *in, size_t len, size_t step)
{
	struct outcome o = {PROXY2_MORE, 0, false, {{0}}};
	struct proxy2 p;
	proxy2_init(&p);
	while (o.result == PROXY2_MORE && o.used < len) {
		size_t n = proxy2_wants(&p);
		assert(n > 0);
		n = n < step ? n : step;
		n = n < len - o.used ? n : len - o.used;
		uint8_t *piece = malloc(n);
		memcpy(piece, in + o.used, n);
		o.result = proxy2_feed(&p, piece, (uint32_t)n);
		free(piece);
		o.used += n;
	}
	if (o.result == PROXY2_DONE)
		o.known = proxy2_source(&p, &o.source);
	return o;
}

/* The same read by the letter of the specification, from a header that is there whole. */
static struct outcome
slowly(const uint8_t *in, size_t len)
{
	struct outcome bad = {PROXY2_BAD, 0, false, {{0}}}, o = {PROXY2_DONE, 0, false, {{0}}};
	if (len < 16 || memcmp(in, "\r\n\r\n\0\r\nQUIT\n", 12) != 0 || in[12] >> 4 != 2 || (in[12] & 15) > 1)
		return bad;
	uint16_t length;
	memcpy(&length, in + 14, 2);
	length = ntohs(length);
	if (length > 4096 - 16 || len < 16u + length)
		return bad;
	o.used = 16u + length;
	if ((in[12] & 15) == 0)
		return o;
	const char *text = NULL;
	char buffer[INET6_ADDRSTRLEN];
	if (in[13] == 0x11 && length >= 12)
		text = inet_ntop(AF_INET, in + 16, buffer, sizeof buffer);
	else if (in[13] == 0x21 && length >= 36)
		text = inet_ntop(AF_INET6, in + 16, buffer, sizeof buffer);
	else if (in[13] != 0x00 && (in[13] != 0x31 || length < 216))
		return bad;
	o.known = text && address_parse((struct span){text, strlen(text)}, &o.source);
	assert(o.known == (text != NULL));
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct outcome whole = parse(data + 1, size - 1, size), pieces = parse(data + 1, size - 1, 1u + data[0] % 32);
	assert(whole.result == pieces.result);
	if (whole.result == PROXY2_MORE) { /* more could still make it a header: not more than it says, and not more than the most */
		assert(size - 1 < PROXY2_BYTES_MAX);
		return 0;
	}
	struct outcome want = slowly(data + 1, size - 1);
	if (whole.result == PROXY2_BAD) {
		assert(want.result == PROXY2_BAD);
		return 0;
	}
	assert(want.result == PROXY2_DONE && whole.used == pieces.used && whole.used == want.used);
	assert(whole.known == want.known && pieces.known == want.known);
	assert(!want.known || (!memcmp(&whole.source, &want.source, sizeof want.source) && !memcmp(&pieces.source, &want.source, sizeof want.source)));
	return 0;
}
