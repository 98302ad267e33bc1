#include "ticket/nano.h"

struct nano
nano_from_pico_up(unsigned __int128 pico)
{
	if (likely(pico <= INT64_MAX)) { /* 9.2 million dollars: a division of 64 bits by a constant is none */
		uint64_t small = (uint64_t)pico;
		return (struct nano){(int64_t)(small / PICO_PER_NANO + (small % PICO_PER_NANO != 0))};
	}
	unsigned __int128 nano = pico / PICO_PER_NANO + (pico % PICO_PER_NANO != 0);
	return (struct nano){nano > INT64_MAX ? INT64_MAX : (int64_t)nano};
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* *v = *v × 10 + digit, refused beyond limit. */
static bool
push_digit(uint64_t *v, char digit, uint64_t limit)
{
	uint64_t d = (uint64_t)(digit - '0');
	if (*v > (limit - d) / 10)
		return false;
	*v = *v * 10 + d;
	return true;
}

/*
 * "12.5" with scale 9 → 12500000000, at most limit. A point needs digits on both sides: ".5" and "5." are more
 * often a slip than meant.
 */
static bool
parse_scaled(struct span text, unsigned scale, uint64_t limit, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;
	for (; i < text.len && is_digit(text.at[i]); i++)
		if (!push_digit(&v, text.at[i], limit))
			return false;
	if (i == 0)
		return false;
	unsigned places = 0;
	if (i < text.len) {
		if (text.at[i++] != '.' || i == text.len)
			return false;
		for (; i < text.len; i++, places++)
			if (!is_digit(text.at[i]) || places == scale || !push_digit(&v, text.at[i], limit))
				return false;
	}
	for (; places < scale; places++)
		if (!push_digit(&v, '0', limit))
			return false;
	*ret = v;
	return true;
}

bool
nano_parse(struct span text, struct nano *ret)
{
	bool negative = text.len > 0 && text.at[0] == '-';
	if (negative)
		text = (struct span){text.at + 1, text.len - 1};
	uint64_t v, limit = (uint64_t)INT64_MAX + negative; /* INT64_MIN has a text and must be readable again */
	if (!parse_scaled(text, 9, limit, &v))
		return false;
	ret->v = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

bool
pico_per_token_parse(struct span dollars_per_million, int64_t *ret_pico)
{
	uint64_t v;
	if (!parse_scaled(dollars_per_million, 6, INT64_MAX, &v))
		return false;
	*ret_pico = (int64_t)v;
	return true;
}

size_t
nano_text(struct nano n, char *out)
{
	char digits[20];
	unsigned count = 0;
	uint64_t v = n.v < 0 ? 0 - (uint64_t)n.v : (uint64_t)n.v;
	while (v != 0 || count < 10) { /* nine behind the point and one before it */
		digits[count++] = (char)('0' + v % 10);
		v /= 10;
	}
	size_t len = 0;
	if (n.v < 0)
		out[len++] = '-';
	while (count > 0) {
		out[len++] = digits[--count];
		if (count == 9)
			out[len++] = '.';
	}
	out[len] = '\0';
	return len;
}
