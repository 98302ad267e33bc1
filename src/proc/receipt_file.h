/*
 * A receipt, or the growth between two heads, as a file: is it whole, and does it say what was signed? Offline; pure, any bytes may come. Command line.
 */
#ifndef PROC_RECEIPT_FILE_H
#define PROC_RECEIPT_FILE_H

#include "core/merkle.h"

#include <jansson.h>

enum { RECEIPT_WHY_MAX = 240,
	RECEIPT_PUBLIC_BYTES = 32,
	RECEIPT_FILE_MAX_MIB = 64 }; /* all of an answer, which ends with its receipt */

/* What holds. */
struct receipt_says {
	char request[32], account[32], cost[24], due[24]; /* due: usage × price, and the legs' part */
	char started[40]; /* empty: never */
	const char *end_reason;
	char origin[64], key[2 * RECEIPT_PUBLIC_BYTES + 1], time[40];
	uint64_t leaf, size, place;
	uint64_t from_size; /* of a growth; 0: a receipt */
	struct merkle_hash root;
};

/*
 * The receipt that came with an answer (`lethe-receipt: inline`), as JSON: text may be the header's value, the stream's last comment, or all of the answer that
 * they stand in. Decoded in place; returns its length, 0: there is none.
 */
size_t receipt_file_unwrap(char *text, size_t len, char **ret);

/*
 * What stands in front of the row or beside the head for people has to be what the row and the head say, or false. But the names of model and provider, and
 * `means`: the row has numbers of theirs, and no name was signed.
 *
 * public: the key that the gateway published; NULL: the file's own is taken, and stands in ret. False: ret_why is a sentence. merkle_ready() before.
 */
must_check bool receipt_file_check(const json_t *file, const uint8_t *public, struct receipt_says *ret, char ret_why[RECEIPT_WHY_MAX]);

#endif
