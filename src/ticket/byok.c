#include "ticket/byok.h"

#include <sodium.h>
#include <string.h>

/* What lies in a box. */
struct content {
	uint64_t account;
	uint32_t provider, len;
	char secret[BYOK_SECRET_MAX];
};
_Static_assert(sizeof(struct content) + crypto_box_SEALBYTES == BYOK_BOX_BYTES, "a box is a content and its seal");
_Static_assert((int)BYOK_SEED_BYTES == (int)crypto_box_SEEDBYTES && (int)BYOK_PUBLIC_BYTES == (int)crypto_box_PUBLICKEYBYTES, "libsodium's sizes");

void
byok_public(const uint8_t seed[BYOK_SEED_BYTES], uint8_t ret[BYOK_PUBLIC_BYTES])
{
	uint8_t secret[crypto_box_SECRETKEYBYTES];
	crypto_box_seed_keypair(ret, secret, seed);
	sodium_memzero(secret, sizeof secret);
}

/* It goes into a header as it is. */
static bool
may_be_a_key(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~')
			return false;
	return s.len > 0 && s.len <= BYOK_SECRET_MAX;
}

bool
byok_seal(const uint8_t public_key[BYOK_PUBLIC_BYTES], const struct byok_owner *o, struct span secret, uint8_t ret[BYOK_BOX_BYTES])
{
	if (!may_be_a_key(secret))
		return false;
	struct content c = {.account = o->account, .provider = o->provider, .len = (uint32_t)secret.len};
	memcpy(c.secret, secret.at, secret.len);
	bool sealed = crypto_box_seal(ret, (const uint8_t *)&c, sizeof c, public_key) == 0;
	sodium_memzero(&c, sizeof c);
	return sealed;
}

size_t
byok_open(const uint8_t seed[BYOK_SEED_BYTES], const struct byok_owner *o, const uint8_t box[BYOK_BOX_BYTES], char ret[BYOK_SECRET_MAX])
{
	uint8_t public_key[crypto_box_PUBLICKEYBYTES], secret_key[crypto_box_SECRETKEYBYTES];
	struct content c = {0};
	size_t len = 0;
	crypto_box_seed_keypair(public_key, secret_key, seed);
	bool opened = crypto_box_seal_open((uint8_t *)&c, box, BYOK_BOX_BYTES, public_key, secret_key) == 0;
	if (opened && c.account == o->account && c.provider == o->provider && c.len <= BYOK_SECRET_MAX && may_be_a_key((struct span){c.secret, c.len})) {
		len = c.len;
		memcpy(ret, c.secret, len);
	}
	sodium_memzero(secret_key, sizeof secret_key);
	sodium_memzero(&c, sizeof c);
	return len;
}
