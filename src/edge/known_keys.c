#include "edge/known_keys.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 1024 }; /* 40 KiB, those in use in the processor's cache */

struct known_keys {
	uint8_t secret[crypto_shorthash_siphashx24_KEYBYTES];
	struct known_key at[PLACES]; /* by the tag; a tag of zeros: nobody */
};

struct known_keys *
known_keys_open(void)
{
	struct known_keys *k = calloc(1, sizeof *k);
	if (k)
		randombytes_buf(k->secret, sizeof k->secret);
	return k;
}

void
known_keys_close(struct known_keys **k)
{
	if (*k)
		sodium_memzero(*k, sizeof **k);
	free(*k);
	*k = NULL;
}

static size_t
place(const struct known_key *known)
{
	return (known->tag[0] | (size_t)known->tag[1] << 8) % PLACES;
}

bool
known_key_find(const struct known_keys *k, struct span key, struct known_key *ret)
{
	static const uint8_t nobody[KNOWN_KEY_TAG_BYTES];
	_Static_assert(KNOWN_KEY_TAG_BYTES == crypto_shorthash_siphashx24_BYTES, "a tag is such a code");
	crypto_shorthash_siphashx24(ret->tag, (const uint8_t *)key.at, key.len, k->secret);
	const struct known_key *there = &k->at[place(ret)];
	if (memcmp(there->tag, ret->tag, sizeof ret->tag) != 0 || !memcmp(ret->tag, nobody, sizeof nobody))
		return false;
	memcpy(ret->hash, there->hash, sizeof ret->hash);
	return true;
}

void
known_key_keep(struct known_keys *k, const struct known_key *known)
{
	k->at[place(known)] = *known;
}
