/* Between tls_sign.c, tls_elsewhere.c and tls_server.c. Not for others. */
#ifndef CORE_TLS_SIGN_PRIV_H
#define CORE_TLS_SIGN_PRIV_H

#include "core/tls_sign.h"

#include <openssl/evp.h>

/* NULL: it can't be read. */
must_check EVP_PKEY *tls_private_key(struct span pem);
must_check bool tls_key_name(const EVP_PKEY *key, uint8_t ret[TLS_KEY_NAME_BYTES]);
/* NULL: there is no such number. */
const char *tls_sign_hash_name(uint32_t hash);
/* A key that asks, with this public half. NULL: no memory, or a kind of key that it does not know. */
must_check EVP_PKEY *tls_key_elsewhere(const struct tls_signer *signer, const EVP_PKEY *public);

#endif
