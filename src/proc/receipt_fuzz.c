/* Any bytes as a receipt: refused, or it holds, and then not with another key. No crash, no overflow. */
#include "proc/receipt_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t other[RECEIPT_PUBLIC_BYTES] = {1};
	struct receipt_says says;
	char why[RECEIPT_WHY_MAX];
	if (!merkle_ready())
		abort();
	json_t *o = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	if (!o) { /* what came with an answer */
		char *text = malloc(size + 1), *at = NULL;
		memcpy(text, data, size);
		size_t len = receipt_file_unwrap(text, size, &at);
		if (len && (at < text || len > size - (size_t)(at - text)))
			abort();
		o = len ? json_loadb(at, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
		free(text);
	}
	if (receipt_file_check(o, NULL, &says, why) && receipt_file_check(o, other, &says, why))
		abort();
	json_decref(o);
	return 0;
}
