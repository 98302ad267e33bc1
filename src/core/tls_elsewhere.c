/*
 * A provider of OpenSSL (provider(7)) whose keys are public halves and whose only operation is to ask for a signature. Its own library context keeps
 * it apart: nothing else finds it by the names of its algorithms, and peers' certificates are read and checked as ever.
 *
 * Not the methods of RSA and EC that earlier versions of OpenSSL had for this: those see a digest or a padded block, with which anything could have
 * been meant, and the signer could not tell.
 */
#include "core/tls_sign_priv.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <string.h>

/* X(kind, names, whose signature, kind in OpenSSL's own provider) */
#define KINDS(X) \
	X(rsa, "RSA:rsaEncryption", "RSA", "RSA") \
	X(rsa_pss, "RSA-PSS:RSASSA-PSS", "RSA", "RSA-PSS") \
	X(ec, "EC:id-ecPublicKey", "ECDSA", "EC") \
	X(ed25519, "ED25519", "ED25519", "ED25519") \
	X(ed448, "ED448", "ED448", "ED448")

struct half {
	EVP_PKEY *public;
	const struct tls_signer *signer;
	uint8_t name[TLS_KEY_NAME_BYTES];
};

/* For the key that is being made just now: OpenSSL has no way through for it. */
static const struct tls_signer *signer_of_next;

/* ---- keys ---- */

static void *
half_new(void *provider)
{
	return OPENSSL_zalloc(sizeof(struct half));
}

static void
half_free(void *key)
{
	struct half *h = key;
	if (h)
		EVP_PKEY_free(h->public);
	OPENSSL_free(h);
}

/* The private part too, for who asks: it can be used. */
static int
half_has(const void *key, int selection)
{
	const struct half *h = key;
	return h && h->public;
}

static int
half_match(const void *a, const void *b, int selection)
{
	return EVP_PKEY_eq(((const struct half *)a)->public, ((const struct half *)b)->public) == 1;
}

static int
take_public(struct half *h, const char *kind, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	bool taken = ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &h->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) == 1;
	EVP_PKEY_CTX_free(ctx);
	h->signer = signer_of_next;
	return taken && tls_key_name(h->public, h->name);
}

static const OSSL_PARAM no_params[] = {OSSL_PARAM_END};

static const OSSL_PARAM *
half_import_types(int selection)
{
	return no_params;
}

static int
half_get_params(void *key, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((const struct half *)key)->public, params);
}

static const OSSL_PARAM *
half_gettable(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_END,
	};
	return params;
}

#define CALL(number, function) \
	{ \
		number, (void (*)(void))(function) \
	}

#define X(kind, names, signature, own) \
	static int kind##_import(void *key, int selection, const OSSL_PARAM params[]) \
	{ \
		return take_public(key, own, params); \
	} \
	static const char *kind##_signature(int operation) \
	{ \
		return operation == OSSL_OP_SIGNATURE ? signature : NULL; \
	} \
	static const OSSL_DISPATCH kind##_key[] = { \
		CALL(OSSL_FUNC_KEYMGMT_NEW, half_new), \
		CALL(OSSL_FUNC_KEYMGMT_FREE, half_free), \
		CALL(OSSL_FUNC_KEYMGMT_HAS, half_has), \
		CALL(OSSL_FUNC_KEYMGMT_MATCH, half_match), \
		CALL(OSSL_FUNC_KEYMGMT_IMPORT, kind##_import), \
		CALL(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, half_import_types), \
		CALL(OSSL_FUNC_KEYMGMT_GET_PARAMS, half_get_params), \
		CALL(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, half_gettable), \
		CALL(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, kind##_signature), \
		{0, NULL}, \
	};
KINDS(X)
#undef X

/* ---- signatures ---- */

struct signing {
	const struct half *key;
	uint16_t hash, pss;
};

static void *
signing_new(void *provider, const char *properties)
{
	return OPENSSL_zalloc(sizeof(struct signing));
}

static void
signing_free(void *signing)
{
	OPENSSL_free(signing);
}

/* Their numbers in this provider are names in others: "SHA256", "SHA2-256". */
static bool
hash_of(const char *name, uint16_t *ret)
{
	EVP_MD *md = name && *name ? EVP_MD_fetch(NULL, name, NULL) : NULL;
	bool found = !name || !*name;
	if (found)
		*ret = TLS_SIGN_NONE;
	for (uint16_t i = TLS_SIGN_NONE + 1; md && !found && i < TLS_SIGN_HASH_COUNT; i++) {
		found = EVP_MD_is_a(md, tls_sign_hash_name(i));
		*ret = i;
	}
	EVP_MD_free(md);
	return found;
}

static bool
take_padding(struct signing *s, const OSSL_PARAM *p)
{
	int number = 0;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		number = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ? RSA_PKCS1_PSS_PADDING : strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0 ? RSA_PKCS1_PADDING
																																				 : 0;
	else if (!OSSL_PARAM_get_int(p, &number))
		return false;
	s->pss = number == RSA_PKCS1_PSS_PADDING;
	return s->pss || number == RSA_PKCS1_PADDING;
}

/* TLS has one length of the salt only: that of the hash. */
static bool
salt_is_ours(const OSSL_PARAM *p)
{
	int number;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		return strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0 || strcmp(p->data, "-1") == 0;
	return OSSL_PARAM_get_int(p, &number) && number == RSA_PSS_SALTLEN_DIGEST;
}

static int
signing_set_params(void *signing, const OSSL_PARAM params[])
{
	const OSSL_PARAM *padding = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	const OSSL_PARAM *salt = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN) : NULL;
	return (!padding || take_padding(signing, padding)) && (!salt || salt_is_ours(salt));
}

static const OSSL_PARAM *
signing_settable(void *signing, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};
	return params;
}

static int
signing_begin(void *signing, const char *hash, void *key, const OSSL_PARAM params[])
{
	struct signing *s = signing;
	s->key = key;
	s->pss = key && EVP_PKEY_is_a(s->key->public, "RSA-PSS");
	return key && hash_of(hash, &s->hash) && signing_set_params(s, params);
}

static int
signing_end(void *signing, unsigned char *at, size_t *len, size_t cap, const unsigned char *statement, size_t statement_bytes)
{
	const struct signing *s = signing;
	struct tls_sign what = {.hash = s->hash, .pss = s->pss, .statement_bytes = (uint16_t)statement_bytes};
	uint8_t signature[TLS_SIGNATURE_MAX];
	if (!at) {
		*len = (size_t)EVP_PKEY_get_size(s->key->public);
		return 1;
	}
	if (statement_bytes > TLS_STATEMENT_MAX || !s->key->signer)
		return 0;
	memcpy(what.key, s->key->name, sizeof what.key);
	memcpy(what.statement, statement, statement_bytes);
	size_t got = 0;
	if (!s->key->signer->sign(s->key->signer->arg, &what, signature, &got) || got == 0 || got > cap || got > sizeof signature)
		return 0;
	memcpy(at, signature, got);
	*len = got;
	return 1;
}

static const OSSL_DISPATCH signing_calls[] = {
	CALL(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	CALL(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	CALL(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
	CALL(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_end),
	CALL(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	CALL(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable),
	{0, NULL},
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *
algorithms(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
#define X(kind, names, signature, own) {names, "provider=elsewhere", kind##_key, NULL},
		KINDS(X)
#undef X
			{NULL, NULL, NULL, NULL},
	};
	static const OSSL_ALGORITHM signatures[] = {
		{"RSA", "provider=elsewhere", signing_calls, NULL},
		{"ECDSA", "provider=elsewhere", signing_calls, NULL},
		{"ED25519", "provider=elsewhere", signing_calls, NULL},
		{"ED448", "provider=elsewhere", signing_calls, NULL},
		{NULL, NULL, NULL, NULL},
	};
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures
																				: NULL;
}

static int
provider_begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **ret)
{
	static const OSSL_DISPATCH calls[] = {CALL(OSSL_FUNC_PROVIDER_QUERY_OPERATION, algorithms), {0, NULL}};
	*out = calls;
	*ret = (void *)(uintptr_t)core;
	return 1;
}

static OSSL_LIB_CTX *
own_context(void)
{
	static OSSL_LIB_CTX *context;
	if (context)
		return context;
	OSSL_LIB_CTX *c = OSSL_LIB_CTX_new();
	if (c && OSSL_PROVIDER_add_builtin(c, "elsewhere", provider_begin) == 1 && OSSL_PROVIDER_load(c, "elsewhere"))
		return context = c;
	OSSL_LIB_CTX_free(c);
	return NULL;
}

EVP_PKEY *
tls_key_elsewhere(const struct tls_signer *signer, const EVP_PKEY *public)
{
	OSSL_LIB_CTX *own = own_context();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;
	const char *kind = EVP_PKEY_get0_type_name(public);
	EVP_PKEY_CTX *ctx = own && kind ? EVP_PKEY_CTX_new_from_name(own, kind, NULL) : NULL;
	signer_of_next = signer;
	if (ctx && EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &params) == 1 && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	signer_of_next = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}
