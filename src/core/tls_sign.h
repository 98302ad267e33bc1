/*
 * Private keys that lie in another process than the connections they are for (docs/decisions/0041). Who speaks TLS has the public half and asks for
 * signatures (tls_elsewhere.c); who has the keys gives them, and only those that a handshake of a server wants (tls_sign.c).
 *
 * What is to be signed goes over whole, not as a digest: so the signer sees that it is the statement of a TLS server, and whoever takes over an edge
 * can have nothing else signed.
 */
#ifndef CORE_TLS_SIGN_H
#define CORE_TLS_SIGN_H

#include "core/base.h"

struct tls_key;

enum {
	TLS_KEY_NAME_BYTES = 32,
	TLS_STATEMENT_MAX = 208, /* RFC 8422 5.4 with the longest point; RFC 8446 4.4.3 is shorter */
	TLS_SIGNATURE_MAX = 1024, /* RSA with 8192 bits */
};

/* X(NAME, OpenSSL's name): what is hashed with before it is signed. */
#define TLS_SIGN_HASHES(X) \
	X(NONE, "") \
	X(SHA256, "SHA2-256") \
	X(SHA384, "SHA2-384") \
	X(SHA512, "SHA2-512")

enum tls_sign_hash {
#define X(NAME, name) TLS_SIGN_##NAME,
	TLS_SIGN_HASHES(X)
#undef X
		TLS_SIGN_HASH_COUNT
};

/* One question, as it passes between processes. */
struct tls_sign {
	uint8_t key[TLS_KEY_NAME_BYTES]; /* a hash of the public half: it is the same after a restart and a renewal */
	uint16_t hash; /* enum tls_sign_hash */
	uint16_t pss; /* 1: RSA-PSS with a salt as long as the hash; 0: PKCS#1, or not RSA */
	uint16_t statement_bytes, zero;
	uint8_t statement[TLS_STATEMENT_MAX];
};

/* ---- who has keys ---- */

/* A PEM text without passphrase. NULL: it can't be read, or there is no memory. Signs something once, so that later nothing is loaded any more. */
must_check struct tls_key *tls_key_read(struct span pem);
/* Takes a pointer to NULL. */
void tls_key_free(struct tls_key **k);
bool tls_key_is(const struct tls_key *k, const uint8_t name[TLS_KEY_NAME_BYTES]);
void tls_key_put_name(const struct tls_key *k, uint8_t ret[TLS_KEY_NAME_BYTES]);
/* The signature's length; 0: the question is not that of a TLS server, or not for this kind of key. */
must_check size_t tls_key_sign(const struct tls_key *k, const struct tls_sign *what, uint8_t ret[TLS_SIGNATURE_MAX]);
/* A statement of a server: of TLS 1.3 (RFC 8446 4.4.3), or of an ephemeral key of TLS 1.2 (RFC 8422 5.4). Pure. */
must_check bool tls_statement_is_sound(const uint8_t *at, size_t len);

/* ---- who asks ---- */

/* Outlives the servers that were made with it. */
struct tls_signer {
	/* False: there is no signature now, and the handshake fails. Called within tls_handshake(), which waits for it. */
	bool (*sign)(void *arg, const struct tls_sign *what, uint8_t ret[TLS_SIGNATURE_MAX], size_t *ret_len);
	void *arg;
};

#endif
