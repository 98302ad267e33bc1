#include "core/proxy2.h"

#include <assert.h>
#include <string.h>

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { AT_COMMAND = 12,
	AT_FAMILY = 13,
	AT_LENGTH = 14 };
enum { LOCAL = 0x20,
	PROXY = 0x21 };

/* Others are refused: so is UDP, which no stream comes from. */
static const struct family {
	uint8_t byte;
	uint8_t addresses; /* their bytes */
	uint8_t source; /* where the first is an internet address: its bytes */
} families[] = {
	{0x00, 0, 0}, /* not known */
	{0x11, 12, 4}, /* TCP over IPv4 */
	{0x21, 36, 16}, /* … IPv6 */
	{0x31, 216, 0}, /* a Unix socket */
};

static const struct family *
family_of(const struct proxy2 *p)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (families[i].byte == p->head[AT_FAMILY])
			return &families[i];
	return NULL;
}

static uint32_t
announced(const struct proxy2 *p)
{
	return (uint32_t)p->head[AT_LENGTH] << 8 | p->head[AT_LENGTH + 1];
}

void
proxy2_init(struct proxy2 *p)
{
	*p = (struct proxy2){0};
}

uint32_t
proxy2_wants(const struct proxy2 *p)
{
	uint32_t whole = p->have < PROXY2_FIXED ? PROXY2_FIXED : PROXY2_FIXED + announced(p);
	return whole - p->have;
}

/* As far as it has come. The family of LOCAL means nothing. */
static bool
sound(const struct proxy2 *p)
{
	uint32_t signed_bytes = p->have < sizeof signature ? p->have : sizeof signature;
	if (memcmp(p->head, signature, signed_bytes) != 0)
		return false;
	if (p->have > AT_COMMAND && p->head[AT_COMMAND] != LOCAL && p->head[AT_COMMAND] != PROXY)
		return false;
	const struct family *f = p->head[AT_COMMAND] == PROXY ? family_of(p) : &families[0];
	if (p->have > AT_FAMILY && !f)
		return false;
	return p->have < PROXY2_FIXED || (announced(p) >= f->addresses && announced(p) <= PROXY2_BYTES_MAX - PROXY2_FIXED);
}

enum proxy2_result
proxy2_feed(struct proxy2 *p, const void *bytes, uint32_t len)
{
	assert(len <= proxy2_wants(p));
	if (p->have < PROXY2_KEPT) {
		uint32_t room = PROXY2_KEPT - p->have;
		memcpy(p->head + p->have, bytes, len < room ? len : room);
	}
	p->have += len;
	if (!sound(p))
		return PROXY2_BAD;
	return proxy2_wants(p) ? PROXY2_MORE : PROXY2_DONE;
}

bool
proxy2_source(const struct proxy2 *p, struct address *ret)
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	const struct family *f = family_of(p);
	if (p->head[AT_COMMAND] == LOCAL || !f || f->source == 0)
		return false;
	memcpy(ret->at, v4, sizeof v4);
	memcpy(ret->at + sizeof ret->at - f->source, p->head + PROXY2_FIXED, f->source);
	return true;
}
