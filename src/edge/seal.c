#include "edge/seal.h"

#include <sodium.h>
#include <string.h>

enum {
	VERSION = 1,
	VERSION_LINES = 2, /* what is asked for stands behind the fixed part */
	VERSION_RUNS = 3, /* … what it is charged by */
	VERSION_TARGET = 4, /* of a place: its provider and itself */
	OWN = 3, /* more, of lines and what runs: begun with an own key */
	VERSION_OWN = 7, /* a plain one, kept by an own key */
	VERSION_TARGET_OWN = 8,
	NONCE_BYTES = 16, /* what HChaCha20 takes of a nonce; the other eight bytes are zero */
	TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
	FIXED_BYTES = 2 + 4 + 8, /* version, kind, provider, ticket */
	LINES_BYTES = 8 + 4 + 4 + 1 + 8 + 8,
	RUNS_BYTES = 8 + 4 + 4,
	PLAIN_MAX = FIXED_BYTES + LINES_BYTES + SEAL_ID_MAX,
	SEALED_MAX = NONCE_BYTES + PLAIN_MAX + TAG_BYTES,
	TARGET_FIXED_BYTES = 1 + 4,
	TARGET_SEALED_MAX = NONCE_BYTES + TARGET_FIXED_BYTES + SEAL_TARGET_MAX + TAG_BYTES,
};

static const struct span prefixes[OBJECT_KIND_COUNT] = {
#define X(name, number, prefix) [number] = {prefix, sizeof(prefix) - 1},
	OBJECT_KINDS(X)
#undef X
};
#define X(name, number, prefix) \
	_Static_assert(sizeof(prefix) - 1 + ((size_t)SEALED_MAX * 4 + 2) / 3 <= SEAL_TEXT_MAX, "the longest id of this kind fits");
OBJECT_KINDS(X)
#undef X
_Static_assert(1 + ((size_t)(SEALED_MAX - LINES_BYTES) * 8 + 4) / 5 <= SEAL_TEXT_MAX, "Gemini's, which have no lines");
_Static_assert(((size_t)TARGET_SEALED_MAX * 4 + 2) / 3 < SEAL_TARGET_TEXT_MAX, "and a place");

struct span
object_prefix(enum object_kind kind)
{
	return prefixes[kind];
}

/* ---- keys ---- */

struct keys {
	uint8_t nonce[32]; /* makes nonces */
	uint8_t cipher[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
};
_Static_assert(sizeof(struct keys) <= crypto_generichash_BYTES_MAX, "one hash gives both");

/* API keys are hashed under the pepper to fewer bytes, and none of them reads like this label: the two uses don't meet. */
static void
derive(const uint8_t *pepper, struct keys *ret)
{
	static const uint8_t label[] = "lethe: sealed ids of objects, 1";
	crypto_generichash((uint8_t *)ret, sizeof *ret, label, sizeof label, pepper, API_KEY_PEPPER_BYTES);
}

static void
bind(uint64_t account, uint8_t ret[8])
{
	for (int i = 0; i < 8; i++)
		ret[i] = (uint8_t)(account >> 8 * i);
}

static void
make_nonce(const struct keys *k, const uint8_t bound[8], const uint8_t *plain, size_t len, uint8_t ret[NONCE_BYTES])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, k->nonce, sizeof k->nonce, NONCE_BYTES);
	crypto_generichash_update(&state, bound, 8);
	crypto_generichash_update(&state, plain, len);
	crypto_generichash_final(&state, ret, NONCE_BYTES);
}

/* ---- what is sealed ---- */

/* Of base64url. */
static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* It will stand in a path: nothing that means something there, and no "..". */
static bool
is_id(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_letter(at[i]) && (at[i] != '.' || i == 0))
			return false;
	return len > 0 && len <= SEAL_ID_MAX;
}

static void
put(uint8_t **at, uint64_t number, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*(*at)++ = (uint8_t)(number >> 8 * i);
}

static uint64_t
get(const uint8_t **at, unsigned bytes)
{
	uint64_t number = 0;
	for (unsigned i = 0; i < bytes; i++)
		number |= (uint64_t) * (*at)++ << 8 * i;
	return number;
}

static uint8_t
version_of(const struct sealed *s)
{
	uint8_t own = s->own ? OWN : 0;
	if (s->lines.model)
		return VERSION_LINES + own;
	if (s->target)
		return VERSION_RUNS + own;
	return s->own ? VERSION_OWN : VERSION;
}

static size_t
pack(const struct sealed *s, uint8_t ret[PLAIN_MAX])
{
	uint8_t *at = ret;
	put(&at, version_of(s), 1);
	put(&at, s->kind, 1);
	put(&at, s->provider, 4);
	put(&at, s->ticket, 8);
	if (s->lines.model) {
		put(&at, s->price, 8);
		put(&at, s->lines.model, 4);
		put(&at, s->lines.count, 4);
		put(&at, s->lines.endpoint, 1);
		put(&at, s->lines.input, 8);
		put(&at, s->lines.output, 8);
	} else if (s->target) {
		put(&at, s->price, 8);
		put(&at, s->target, 4);
		put(&at, s->input, 4);
	}
	memcpy(at, s->id, s->id_len);
	return (size_t)(at - ret) + s->id_len;
}

/* Of the same without an own key. */
static uint8_t
version_without(uint8_t version)
{
	if (version == VERSION_OWN)
		return VERSION;
	return version == VERSION_LINES + OWN || version == VERSION_RUNS + OWN ? version - OWN : version;
}

static bool
unpack(const uint8_t *plain, size_t len, enum object_kind kind, struct sealed *ret)
{
	uint8_t version = len > 0 ? version_without(plain[0]) : 0;
	bool lines = version == VERSION_LINES, runs = version == VERSION_RUNS;
	size_t fixed = FIXED_BYTES + (lines ? LINES_BYTES : runs ? RUNS_BYTES
															 : 0);
	const uint8_t *at = plain + 2;
	if (len <= fixed || (version != VERSION && !lines && !runs) || plain[1] != kind || !is_id((const char *)plain + fixed, len - fixed))
		return false;
	*ret = (struct sealed){.kind = plain[1], .own = version != plain[0], .id_len = (uint8_t)(len - fixed)};
	ret->provider = (uint32_t)get(&at, 4);
	ret->ticket = get(&at, 8);
	if (lines) {
		ret->price = get(&at, 8);
		ret->lines.model = (uint32_t)get(&at, 4);
		ret->lines.count = (uint32_t)get(&at, 4);
		ret->lines.endpoint = (uint8_t)get(&at, 1);
		ret->lines.input = get(&at, 8);
		ret->lines.output = get(&at, 8);
	} else if (runs) {
		ret->price = get(&at, 8);
		ret->target = (uint32_t)get(&at, 4);
		ret->input = (uint32_t)get(&at, 4);
	}
	memcpy(ret->id, at, ret->id_len);
	return true;
}

/* ---- both ways ---- */

/* Bytes of ret that are written: the nonce, what is sealed, the tag. */
static size_t
close_bytes(const uint8_t *pepper, uint64_t account, const uint8_t *plain, size_t len, uint8_t *ret)
{
	struct keys k;
	uint8_t bound[8], nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = {0};
	unsigned long long sealed_len;
	derive(pepper, &k);
	bind(account, bound);
	make_nonce(&k, bound, plain, len, nonce);
	memcpy(ret, nonce, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret + NONCE_BYTES, &sealed_len, plain, len, bound, sizeof bound, NULL, nonce, k.cipher);
	sodium_memzero(&k, sizeof k);
	return NONCE_BYTES + (size_t)sealed_len;
}

/* Bytes of plain, which has room for all that `in` may hold. 0: it was not sealed so. */
static size_t
open_bytes(const uint8_t *pepper, uint64_t account, const uint8_t *in, size_t len, uint8_t *plain)
{
	struct keys k;
	uint8_t bound[8], nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = {0};
	unsigned long long plain_len = 0;
	if (len <= NONCE_BYTES + TAG_BYTES)
		return 0;
	derive(pepper, &k);
	bind(account, bound);
	memcpy(nonce, in, NONCE_BYTES);
	bool ok = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &plain_len, NULL, in + NONCE_BYTES, len - NONCE_BYTES, bound, sizeof bound, nonce, k.cipher) == 0;
	sodium_memzero(&k, sizeof k);
	return ok ? (size_t)plain_len : 0;
}

/* ---- as text ---- */

/* No padding. */
static size_t
put_base64(const uint8_t *bytes, size_t len, char *ret)
{
	char text[SEAL_TARGET_TEXT_MAX + 1];
	sodium_bin2base64(text, sizeof text, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	size_t n = strlen(text);
	memcpy(ret, text, n);
	return n;
}

/* Strict, so that no two texts open the same: bits that would be left over must be zero; and libsodium takes '_' with its highest bit set for '_'. 0: it is none. */
static size_t
get_base64(struct span text, uint8_t *ret, size_t cap)
{
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++)
		if (!is_letter(text.at[i]))
			return 0;
	return sodium_base642bin(ret, cap, text.at, text.len, NULL, &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 ? len : 0;
}

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648 6, in small letters */

static size_t
put_base32(const uint8_t *bytes, size_t len, char *ret)
{
	size_t n = 0;
	uint32_t bits = 0;
	unsigned held = 0;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 5; held -= 5)
			ret[n++] = base32[bits >> (held - 5) & 31];
	}
	if (held)
		ret[n++] = base32[bits << (5 - held) & 31];
	return n;
}

/* As strict. */
static size_t
get_base32(struct span text, uint8_t *ret, size_t cap)
{
	size_t n = 0;
	uint32_t bits = 0;
	unsigned held = 0;
	for (size_t i = 0; i < text.len; i++) {
		const char *digit = memchr(base32, text.at[i], 32);
		if (!digit)
			return 0;
		bits = bits << 5 | (uint32_t)(digit - base32);
		if ((held += 5) < 8)
			continue;
		if (n == cap)
			return 0;
		held -= 8;
		ret[n++] = (uint8_t)(bits >> held);
	}
	return held < 5 && !(bits & ((1u << held) - 1)) ? n : 0;
}

/* ---- both ways ---- */

size_t
seal(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, const struct sealed *s, char ret[SEAL_TEXT_MAX])
{
	uint8_t plain[PLAIN_MAX], out[SEALED_MAX];
	struct span prefix = prefixes[s->kind];
	bool gemini = s->kind == OBJECT_GEMINI_FILE;
	if (!is_id(s->id, s->id_len) || (gemini && s->lines.model))
		return 0;
	size_t len = pack(s, plain), bytes = close_bytes(pepper, account, plain, len, out);
	sodium_memzero(plain, sizeof plain);
	memcpy(ret, prefix.at, prefix.len);
	return prefix.len + (gemini ? put_base32 : put_base64)(out, bytes, ret + prefix.len);
}

bool
unseal(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, enum object_kind kind, struct span text, struct sealed *ret)
{
	uint8_t bytes[SEALED_MAX], plain[PLAIN_MAX];
	struct span prefix = prefixes[kind];
	if (text.len <= prefix.len || text.len > SEAL_TEXT_MAX || memcmp(text.at, prefix.at, prefix.len) != 0)
		return false;
	struct span coded = {text.at + prefix.len, text.len - prefix.len};
	size_t len = (kind == OBJECT_GEMINI_FILE ? get_base32 : get_base64)(coded, bytes, sizeof bytes);
	size_t plain_len = open_bytes(pepper, account, bytes, len, plain);
	bool ok = plain_len && unpack(plain, plain_len, kind, ret);
	sodium_memzero(plain, sizeof plain);
	return ok;
}

/* ---- places ---- */

static bool
is_target(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] <= ' ' || at[i] > '~' || at[i] == '#')
			return false;
	return len > 1 && len <= SEAL_TARGET_MAX && at[0] == '/';
}

size_t
seal_target(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, const struct sealed_target *t, char ret[SEAL_TARGET_TEXT_MAX])
{
	uint8_t plain[TARGET_FIXED_BYTES + SEAL_TARGET_MAX], out[TARGET_SEALED_MAX], *at = plain;
	if (!is_target(t->at, t->len))
		return 0;
	put(&at, t->own ? VERSION_TARGET_OWN : VERSION_TARGET, 1);
	put(&at, t->provider, 4);
	memcpy(at, t->at, t->len);
	size_t bytes = close_bytes(pepper, account, plain, TARGET_FIXED_BYTES + (size_t)t->len, out);
	sodium_memzero(plain, sizeof plain);
	return put_base64(out, bytes, ret);
}

bool
unseal_target(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, struct span text, struct sealed_target *ret)
{
	uint8_t bytes[TARGET_SEALED_MAX], plain[TARGET_SEALED_MAX];
	const uint8_t *at = plain + 1;
	size_t len = text.len < SEAL_TARGET_TEXT_MAX ? get_base64(text, bytes, sizeof bytes) : 0;
	size_t plain_len = open_bytes(pepper, account, bytes, len, plain);
	bool ok = plain_len > TARGET_FIXED_BYTES && (plain[0] == VERSION_TARGET || plain[0] == VERSION_TARGET_OWN) && is_target((const char *)plain + TARGET_FIXED_BYTES, plain_len - TARGET_FIXED_BYTES);
	if (ok) {
		ret->provider = (uint32_t)get(&at, 4);
		ret->own = plain[0] == VERSION_TARGET_OWN;
		ret->len = (uint16_t)(plain_len - TARGET_FIXED_BYTES);
		memcpy(ret->at, plain + TARGET_FIXED_BYTES, ret->len);
	}
	sodium_memzero(plain, sizeof plain);
	return ok;
}
