/*
 * A workspace's own key at a provider, as it is kept: a box that whoever has the public key can close, and only edges can open, who have the seed of the
 * operator's master key. It names account and provider inside, so that a row which is mixed up in the store opens for nobody else. All boxes are of one
 * size: the length of a key says nothing.
 *
 * Command line and others that take keys seal; the ledger keeps and hands out boxes; edges open them into their vault.
 */
#ifndef TICKET_BYOK_H
#define TICKET_BYOK_H

#include "core/base.h"

enum {
	BYOK_SEED_BYTES = 32,
	BYOK_PUBLIC_BYTES = 32,
	BYOK_SECRET_MAX = 256, /* bytes of a provider's key */
	BYOK_BOX_BYTES = 320, /* 16 + BYOK_SECRET_MAX + what sealing adds */
};

/* In messages and commands: hexadecimal. */
enum { BYOK_PUBLIC_TEXT = 2 * BYOK_PUBLIC_BYTES,
	BYOK_BOX_TEXT = 2 * BYOK_BOX_BYTES };

/* Whose it is, and for whom. */
struct byok_owner {
	uint64_t account;
	uint32_t provider; /* catalogue id */
};

void byok_public(const uint8_t seed[BYOK_SEED_BYTES], uint8_t ret[BYOK_PUBLIC_BYTES]);
/* False: it is empty, too long, or has a byte that no header may have. */
must_check bool byok_seal(const uint8_t public_key[BYOK_PUBLIC_BYTES], const struct byok_owner *o, struct span secret, uint8_t ret[BYOK_BOX_BYTES]);
/* Its length; 0: it was sealed for another master key, is damaged, or another's. ret: memory that may hold secrets. */
must_check size_t byok_open(const uint8_t seed[BYOK_SEED_BYTES], const struct byok_owner *o, const uint8_t box[BYOK_BOX_BYTES], char ret[BYOK_SECRET_MAX]);

#endif
