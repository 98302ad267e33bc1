/* What stored.c knows before the answer, and stored_answer.c learns from it. Private to the two. */
#ifndef EDGE_STORED_PRIV_H
#define EDGE_STORED_PRIV_H

#include "edge/stored.h"

enum { PAIR_OWN,
	PAIR_PREVIOUS,
	PAIR_CONVERSATION,
	PAIRS };

struct stored {
	struct stored_pair {
		uint8_t raw_len, text_len; /* 0: not known */
		char raw[SEAL_ID_MAX], text[SEAL_TEXT_MAX]; /* the provider's id, the account's */
	} pairs[PAIRS];
	bool paid; /* its end was seen, and the ledger told */
	uint8_t tail_len;
	char tail[SEAL_ID_MAX + 1]; /* may be the beginning of an id */
	/* Until the ledger knows the id: head lines, then metered bytes. */
	char *kept;
	uint32_t kept_len, kept_cap, kept_head;
	bool kept_last;
	char *out; /* what went down last */
	size_t out_cap;
};

#endif
