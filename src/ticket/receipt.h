/*
 * What an edge and the ledger know of a receipt: the code that stands in an answer's head, and the secrets behind it. Edge, ledger, supervisor.
 *
 * lethe-receipt: req_….<code>: a code of authentication (SipHash-2-4 of 128 bits) over the ids of request, account and key. Only who has the key can make it,
 * so it shows that this gateway gave this id to a request with this key, whatever became of the row. What was charged is told by the signed receipt (ledger).
 */
#ifndef TICKET_RECEIPT_H
#define TICKET_RECEIPT_H

#include "core/base.h"

enum { RECEIPT_SEED_BYTES = 32,
	RECEIPT_KEY_BYTES = 32,
	RECEIPT_CODE_KEY_BYTES = 16,
	RECEIPT_CODE_BYTES = 16 };

/* From the one secret that is kept: what edges get, and what the ledger signs with. */
void receipt_code_key(const uint8_t seed[RECEIPT_SEED_BYTES], uint8_t ret[RECEIPT_CODE_KEY_BYTES]);
void receipt_signing_seed(const uint8_t seed[RECEIPT_SEED_BYTES], uint8_t ret[RECEIPT_KEY_BYTES]);

struct receipt_ids {
	uint64_t request, account, key;
};
void receipt_code(const uint8_t code_key[RECEIPT_CODE_KEY_BYTES], const struct receipt_ids *ids, uint8_t ret[RECEIPT_CODE_BYTES]);

/* Was this code made with this seed for these ids? Also by an edge of before: codes that callers have kept stay good. */
must_check bool receipt_code_is_ours(const uint8_t seed[RECEIPT_SEED_BYTES], const struct receipt_ids *ids, const uint8_t code[RECEIPT_CODE_BYTES]);

#endif
