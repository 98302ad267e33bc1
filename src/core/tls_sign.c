/* Keys, in the process that has nothing else. */
#include "core/tls_sign_priv.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <string.h>

struct tls_key {
	EVP_PKEY *key;
	uint8_t name[TLS_KEY_NAME_BYTES];
};

static const char *const hashes[] = {
#define X(NAME, name) [TLS_SIGN_##NAME] = name,
	TLS_SIGN_HASHES(X)
#undef X
};

/* ---- what may be signed ---- */

enum {
	RANDOMS = 64, /* of client and server */
	SPACES = 64,
	NAMED_CURVE = 3,
	CURVE_HEAD = 4, /* its type, its number, the length of the point */
};

/* RFC 8446 4.4.3; the hash is that of the suite. */
static bool
is_certificate_verify(const uint8_t *at, size_t len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify"; /* with its NUL */
	const size_t before = SPACES + sizeof context;
	for (size_t i = 0; i < SPACES && i < len; i++)
		if (at[i] != ' ')
			return false;
	return (len == before + 32 || len == before + 48) && memcmp(at + SPACES, context, sizeof context) == 0;
}

/* RFC 8422 5.4: randoms, then the curve and a point on it. */
static bool
is_key_exchange(const uint8_t *at, size_t len)
{
	static const struct {
		uint8_t curve, bytes;
	} curves[] = {{23, 65}, {24, 97}, {25, 133}, {29, 32}, {30, 56}};
	const uint8_t *head = at + RANDOMS;
	if (len < RANDOMS + CURVE_HEAD || head[0] != NAMED_CURVE || head[1] != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (head[2] == curves[i].curve)
			return head[3] == curves[i].bytes && len == (size_t)RANDOMS + CURVE_HEAD + curves[i].bytes;
	return false;
}

bool
tls_statement_is_sound(const uint8_t *at, size_t len)
{
	return is_certificate_verify(at, len) || is_key_exchange(at, len);
}

/* ---- names ---- */

const char *
tls_sign_hash_name(uint32_t hash)
{
	return hash < TLS_SIGN_HASH_COUNT ? hashes[hash] : NULL;
}

static bool
add_number(EVP_MD_CTX *md, const EVP_PKEY *key, const char *what)
{
	BIGNUM *n = NULL;
	unsigned char bytes[2048];
	if (!EVP_PKEY_get_bn_param(key, what, &n))
		return false;
	bool fits = BN_num_bytes(n) <= (int)sizeof bytes;
	bool added = fits && EVP_DigestUpdate(md, bytes, (size_t)BN_bn2bin(n, bytes));
	BN_free(n);
	return added;
}

static bool
add_raw(EVP_MD_CTX *md, const EVP_PKEY *key)
{
	unsigned char bytes[128];
	size_t len = sizeof bytes;
	return EVP_PKEY_get_raw_public_key(key, bytes, &len) && EVP_DigestUpdate(md, bytes, len);
}

/* Of the numbers, not of an encoding: a certificate and a key file may write a point differently. */
bool
tls_key_name(const EVP_PKEY *key, uint8_t ret[TLS_KEY_NAME_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool named = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	if (EVP_PKEY_is_a(key, "EC"))
		named = named && add_number(md, key, OSSL_PKEY_PARAM_EC_PUB_X) && add_number(md, key, OSSL_PKEY_PARAM_EC_PUB_Y);
	else if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		named = named && add_number(md, key, OSSL_PKEY_PARAM_RSA_N);
	else
		named = named && add_raw(md, key);
	named = named && EVP_DigestFinal_ex(md, ret, NULL);
	EVP_MD_CTX_free(md);
	return named;
}

/* ---- keys ---- */

EVP_PKEY *
tls_private_key(struct span pem)
{
	static char none[] = ""; /* a passphrase is never asked for at the terminal */
	BIO *in = pem.len ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, none) : NULL;
	BIO_free(in);
	return key;
}

/* What is fetched for a signature is fetched here, while there still may be something to open. */
static bool
try_once(const struct tls_key *k)
{
	struct tls_sign what = {.hash = TLS_SIGN_SHA256, .statement_bytes = RANDOMS + CURVE_HEAD + 32};
	uint8_t signature[TLS_SIGNATURE_MAX];
	const uint8_t head[] = {NAMED_CURVE, 0, 29, 32};
	memcpy(what.statement + RANDOMS, head, sizeof head);
	what.pss = EVP_PKEY_is_a(k->key, "RSA") || EVP_PKEY_is_a(k->key, "RSA-PSS");
	if (EVP_PKEY_is_a(k->key, "ED25519") || EVP_PKEY_is_a(k->key, "ED448"))
		what.hash = TLS_SIGN_NONE;
	/* A key of RSA-PSS may be bound to one hash. */
	while (tls_key_sign(k, &what, signature) == 0)
		if (!what.pss || ++what.hash >= TLS_SIGN_HASH_COUNT)
			return false;
	return true;
}

struct tls_key *
tls_key_read(struct span pem)
{
	struct tls_key *k = NULL;
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		k = OPENSSL_zalloc(sizeof *k);
	if (!k)
		return NULL;
	k->key = tls_private_key(pem);
	if (!k->key || !tls_key_name(k->key, k->name) || !try_once(k))
		tls_key_free(&k);
	ERR_clear_error();
	return k;
}

void
tls_key_free(struct tls_key **k)
{
	if (*k)
		EVP_PKEY_free((*k)->key);
	OPENSSL_free(*k);
	*k = NULL;
}

void
tls_key_put_name(const struct tls_key *k, uint8_t ret[TLS_KEY_NAME_BYTES])
{
	memcpy(ret, k->name, TLS_KEY_NAME_BYTES);
}

bool
tls_key_is(const struct tls_key *k, const uint8_t name[TLS_KEY_NAME_BYTES])
{
	return memcmp(k->name, name, TLS_KEY_NAME_BYTES) == 0;
}

static bool
sign(EVP_PKEY *key, EVP_MD_CTX *md, const struct tls_sign *what, uint8_t *ret, size_t *len)
{
	EVP_PKEY_CTX *ctx;
	const char *hash = what->hash == TLS_SIGN_NONE ? NULL : hashes[what->hash];
	if (EVP_DigestSignInit_ex(md, &ctx, hash, NULL, NULL, key, NULL) != 1)
		return false;
	if (what->pss && (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) <= 0 || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) <= 0))
		return false;
	return EVP_DigestSign(md, ret, len, what->statement, what->statement_bytes) == 1;
}

size_t
tls_key_sign(const struct tls_key *k, const struct tls_sign *what, uint8_t ret[TLS_SIGNATURE_MAX])
{
	size_t len = TLS_SIGNATURE_MAX;
	if (what->hash >= TLS_SIGN_HASH_COUNT || what->pss > 1 || what->statement_bytes > TLS_STATEMENT_MAX || !tls_statement_is_sound(what->statement, what->statement_bytes))
		return 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool signed_it = md && EVP_PKEY_get_size(k->key) <= TLS_SIGNATURE_MAX && sign(k->key, md, what, ret, &len);
	EVP_MD_CTX_free(md);
	if (!signed_it)
		ERR_clear_error();
	return signed_it ? len : 0;
}
