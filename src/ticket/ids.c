#include "ticket/ids.h"

#include "ticket/base62_priv.h"

#include <assert.h>
#include <string.h>

const char base62_digits[62] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void
base62_put(uint64_t value, unsigned width, char *out)
{
	while (width-- > 0) {
		out[width] = base62_digits[value % 62];
		value /= 62;
	}
}

int
base62_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 36;
	return -1;
}

size_t
id_text(const char *prefix, uint64_t id, char *out)
{
	size_t len = strlen(prefix);
	assert(len <= ID_PREFIX_MAX);
	memcpy(out, prefix, len);
	base62_put(id, ID_DIGITS, out + len);
	out[len + ID_DIGITS] = '\0';
	return len + ID_DIGITS;
}

bool
id_parse(const char *prefix, struct span text, uint64_t *ret)
{
	size_t len = strlen(prefix);
	if (text.len != len + ID_DIGITS || memcmp(text.at, prefix, len) != 0)
		return false;
	uint64_t id = 0;
	for (size_t i = len; i < text.len; i++) {
		int digit = base62_value(text.at[i]);
		if (digit < 0 || __builtin_mul_overflow(id, 62, &id) || __builtin_add_overflow(id, (uint64_t)digit, &id))
			return false;
	}
	*ret = id;
	return true;
}
