#include "ticket/receipt.h"

#include <sodium.h>

static const char CONTEXT[crypto_kdf_CONTEXTBYTES] = "receipts";

enum { SUBKEY_CODE = 1,
	SUBKEY_SIGNING = 2 };

void
receipt_code_key(const uint8_t seed[RECEIPT_SEED_BYTES], uint8_t ret[RECEIPT_KEY_BYTES])
{
	crypto_kdf_derive_from_key(ret, RECEIPT_KEY_BYTES, SUBKEY_CODE, CONTEXT, seed);
}

void
receipt_signing_seed(const uint8_t seed[RECEIPT_SEED_BYTES], uint8_t ret[RECEIPT_KEY_BYTES])
{
	crypto_kdf_derive_from_key(ret, RECEIPT_KEY_BYTES, SUBKEY_SIGNING, CONTEXT, seed);
}

void
receipt_code(const uint8_t code_key[RECEIPT_KEY_BYTES], const struct receipt_ids *ids, uint8_t ret[RECEIPT_CODE_BYTES])
{
	const uint64_t words[] = {ids->request, ids->account, ids->key};
	uint8_t text[sizeof words];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(words[i / 8] >> (56 - i % 8 * 8));
	crypto_generichash(ret, RECEIPT_CODE_BYTES, text, sizeof text, code_key, RECEIPT_KEY_BYTES);
}
