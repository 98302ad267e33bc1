/*
 * Sealed ids: the ids that customers are given for what lies at a provider (files). They are Lethe's own: the provider's id, encrypted and bound to the account that
 * it belongs to, so that whose it is needs no table, and an id that was altered, made up, or given to somebody else opens nothing. Edge; pure; the
 * caller owns all memory.
 *
 *   text   prefix of its kind, then base64url of: 16 bytes synthetic nonce, ciphertext, 16 bytes tag. Gemini's are base32: its ids have small letters and
 *          digits only, and its SDKs cut what comes behind
 *   sealed version, kind, provider (hash of its name), ticket of the exchange that made it or 0, what a batch file asks for (version 2) or what a response
 *          that runs is charged by (version 3), the provider's id; versions 5, 6 and 7 are 2, 3 and 1 by an own key
 *   bound  the account (additional data)
 *
 * XChaCha20-Poly1305; keys and nonce come from the pepper by BLAKE2b, the nonce from all that is sealed: the same object always has the same id, as SDKs
 * expect, and a nonce never meets another plaintext (docs/decisions/0036).
 */
#ifndef EDGE_SEAL_H
#define EDGE_SEAL_H

#include "core/base.h"
#include "ticket/api_key.h"

/* X(NAME, number for ever, prefix of the provider's ids and of ours) */
#define OBJECT_KINDS(X) \
	X(FILE, 1, "file-") \
	X(BATCH, 2, "batch_") \
	X(RESPONSE, 3, "resp_") \
	X(ANTHROPIC_FILE, 4, "file_") \
	X(MESSAGES_BATCH, 5, "msgbatch_") \
	X(CONVERSATION, 6, "conv_") \
	X(CONTAINER, 7, "cntr_") \
	X(CONTAINER_FILE, 8, "cfile_") \
	X(GEMINI_FILE, 9, "f")

enum object_kind {
	OBJECT_NONE,
#define X(name, number, prefix) OBJECT_##name = number,
	OBJECT_KINDS(X)
#undef X
		OBJECT_KIND_COUNT
};

enum {
	SEAL_ID_MAX = 93, /* bytes of a provider's id */
	SEAL_TEXT_MAX = 240, /* bytes of ours; no terminator */
	SEAL_TARGET_MAX = 512, /* bytes of a place at a provider */
	SEAL_TARGET_TEXT_MAX = 752,
};

/* What a file of requests can cost at most, counted when it was uploaded; a batch of them has it from there. */
struct sealed_lines {
	uint32_t model; /* of the catalogue; 0: it is no such file */
	uint32_t count; /* of requests */
	uint8_t endpoint; /* enum endpoint: of all of them */
	uint64_t input, output; /* tokens */
};

struct sealed {
	uint64_t ticket; /* 0: none */
	uint64_t price; /* of a batch, or a response that runs: row of the price book */
	uint32_t target; /* of a response that runs, of the catalogue */
	uint32_t input; /* … tokens that it was asked with, should its provider not say */
	struct sealed_lines lines;
	uint32_t provider;
	uint8_t kind; /* enum object_kind */
	bool own; /* it lies there by the account's own key at the provider, which alone finds it */
	uint8_t id_len;
	char id[SEAL_ID_MAX];
};

struct span object_prefix(enum object_kind kind);

/* Bytes written to ret. 0: its id is empty, too long, or has bytes that no id has (letters, digits, '-', '_', '.'). */
must_check size_t seal(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, const struct sealed *s, char ret[SEAL_TEXT_MAX]);

/* False: it is nothing of that kind that this account was given; *ret is untouched. */
must_check bool unseal(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, enum object_kind kind, struct span text, struct sealed *ret);

/*
 * The same for a place at a provider (path and query) that whoever knows it may write to: an upload that has begun. It is longer than an id, and of no kind that
 * stands in a body.
 */
struct sealed_target {
	uint32_t provider;
	uint16_t len;
	bool own; /* begun with the account's own key */
	char at[SEAL_TARGET_MAX];
};

/* Bytes written to ret. 0: it is no path, is too long, or has bytes that no target has (RFC 9112 3.2: what is printed, but blanks and #). */
must_check size_t seal_target(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, const struct sealed_target *t, char ret[SEAL_TARGET_TEXT_MAX]);
must_check bool unseal_target(const uint8_t pepper[API_KEY_PEPPER_BYTES], uint64_t account, struct span text, struct sealed_target *ret);

#endif
