#include "gzip.h"

static uint32_t
crc32_of(uint32_t crc, struct span s)
{
	crc = ~crc;
	for (size_t i = 0; i < s.len; i++) {
		crc ^= (unsigned char)s.at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

static void
little_endian(struct text *t, uint32_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		char c = (char)(v >> 8 * i);
		text_add(t, &c, 1);
	}
}

static void
stored(struct text *t, struct span s, bool final)
{
	little_endian(t, final, 1);
	little_endian(t, (uint32_t)s.len, 2);
	little_endian(t, ~(uint32_t)s.len & 0xffff, 2);
	text_span(t, s);
}

void
sim_gzip_add(struct sim_gzip *g, struct span s, bool last, struct text *t)
{
	if (!g->begun)
		text_add(t, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
	g->begun = true;
	g->crc = crc32_of(g->crc, s);
	g->bytes += (uint32_t)s.len;
	while (s.len) {
		size_t n = s.len < 65535 ? s.len : 65535;
		stored(t, (struct span){s.at, n}, false);
		s = (struct span){s.at + n, s.len - n};
	}
	if (!last)
		return;
	stored(t, (struct span){"", 0}, true);
	little_endian(t, g->crc, 4);
	little_endian(t, g->bytes, 4);
}
