#include "ticket/api_key.h"

#include "ticket/base62_priv.h"

#include <sodium.h>
#include <string.h>

#define PREFIX "lethe_live_"

enum { PREFIX_BYTES = sizeof(PREFIX) - 1,
	RANDOM_BYTES = 32,
	SUMMED_BYTES = PREFIX_BYTES + RANDOM_BYTES,
	SUM_DIGITS = 6 };

_Static_assert(SUMMED_BYTES + 1 + SUM_DIGITS == API_KEY_BYTES, "prefix, random part, '_', checksum");

/*
 * CRC-32 as in zlib and PNG: anybody's scanner has it. By four bits: 43 bytes, and a table of one line of
 * the cache, not of a kilobyte.
 */
static uint32_t
crc32_of(const char *at, size_t len)
{
	static const uint32_t four_bits[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344,
		0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	uint32_t crc = ~0U;
	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)at[i];
		crc = (crc >> 4) ^ four_bits[crc & 15];
		crc = (crc >> 4) ^ four_bits[crc & 15];
	}
	return ~crc;
}

/* 62 × 4 = 248 of 256 values are used, so that all digits are equally likely. */
static char
random_digit(void)
{
	uint8_t byte;
	do
		randombytes_buf(&byte, 1);
	while (byte >= 248);
	return base62_digits[byte % 62];
}

void
api_key_make(char *out)
{
	memcpy(out, PREFIX, PREFIX_BYTES);
	for (unsigned i = 0; i < RANDOM_BYTES; i++)
		out[PREFIX_BYTES + i] = random_digit();
	out[SUMMED_BYTES] = '_';
	base62_put(crc32_of(out, SUMMED_BYTES), SUM_DIGITS, out + SUMMED_BYTES + 1);
	out[API_KEY_BYTES] = '\0';
}

bool
api_key_well_formed(struct span key)
{
	if (key.len != API_KEY_BYTES || memcmp(key.at, PREFIX, PREFIX_BYTES) != 0 || key.at[SUMMED_BYTES] != '_')
		return false;
	for (unsigned i = 0; i < RANDOM_BYTES; i++)
		if (base62_value(key.at[PREFIX_BYTES + i]) < 0)
			return false;
	char sum[SUM_DIGITS];
	base62_put(crc32_of(key.at, SUMMED_BYTES), SUM_DIGITS, sum);
	return memcmp(sum, key.at + SUMMED_BYTES + 1, SUM_DIGITS) == 0;
}

void
api_key_hash(const uint8_t pepper[API_KEY_PEPPER_BYTES], struct span key, uint8_t ret[API_KEY_HASH_BYTES])
{
	crypto_generichash(ret, API_KEY_HASH_BYTES, (const uint8_t *)key.at, key.len, pepper, API_KEY_PEPPER_BYTES);
}
