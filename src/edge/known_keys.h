/*
 * Hashes of API keys that were found a moment ago, so that the next request with one of them costs a tenth of hashing it anew. Only the hash is remembered,
 * never what it says about the key: whether it still exists is asked of the board each time. Edge; a table of fixed size.
 *
 * A key is known again by a code of 128 bits under a secret of this process (SipHash-2-4), not by its text: no key stays in memory, and who doesn't know
 * the secret can't find a text that is taken for another.
 */
#ifndef EDGE_KNOWN_KEYS_H
#define EDGE_KNOWN_KEYS_H

#include "ticket/api_key.h"

enum { KNOWN_KEY_TAG_BYTES = 16 };

struct known_key {
	uint8_t tag[KNOWN_KEY_TAG_BYTES], hash[API_KEY_HASH_BYTES];
};

struct known_keys;

/* NULL: no memory. */
must_check struct known_keys *known_keys_open(void);
void known_keys_close(struct known_keys **k);

/* True: ret->hash is that of api_key_hash(). False: the caller makes it, and hands the same struct to known_key_keep() if such a key exists. */
must_check bool known_key_find(const struct known_keys *k, struct span key, struct known_key *ret);
void known_key_keep(struct known_keys *k, const struct known_key *known);

#endif
