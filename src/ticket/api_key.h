/*
 * Lethe's API keys: "lethe_live_" + 32 characters base62 (≥ 190 bits) + "_" + 6 characters: CRC-32
 * of what stands before, base62. Prefix and checksum can be verified offline (by secret scanners as
 * well); stored is only a keyed hash. Edge: check and hash; ledger: make.
 */
#ifndef TICKET_API_KEY_H
#define TICKET_API_KEY_H

#include "core/base.h"

enum { API_KEY_BYTES = 11 + 32 + 1 + 6,
	API_KEY_HASH_BYTES = 24,
	API_KEY_PEPPER_BYTES = 32 };

/* Fill out[API_KEY_BYTES + 1] with a new key, terminated. */
void api_key_make(char *out);
/* Right length, prefix, alphabet and checksum? */
must_check bool api_key_well_formed(struct span key);
/* Keyed BLAKE2b. */
void api_key_hash(const uint8_t pepper[API_KEY_PEPPER_BYTES], struct span key, uint8_t ret[API_KEY_HASH_BYTES]);

#endif
