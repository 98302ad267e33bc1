/*
 * Bodies that begin an upload: in any pieces what they are whole; and none that a reader of JSON finds a name in, the plainest of which is looked for by its
 * bytes, passes as one without. Byte 0: pieces as dialect_fuzz.h says.
 */
#include "dialect/gemini_start.h"

#include "dialect/dialect_fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum gemini_start_error
judge(struct span in, struct fuzz_splits splits)
{
	static struct gemini_start s;
	gemini_start_init(&s);
	while (in.len) {
		size_t n = fuzz_piece(&splits, in.len);
		char *piece = malloc(n);
		memcpy(piece, in.at, n);
		gemini_start_feed(&s, (struct span){piece, n});
		free(piece);
		in = (struct span){in.at + n, in.len - n};
	}
	return gemini_start_finish(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char plain[] = "{\"file\":{\"name\":\"";
	if (size < 1)
		return 0;
	struct span in = {(const char *)data + 1, size - 1};
	enum gemini_start_error whole = judge(in, fuzz_whole());
	assert(judge(in, fuzz_splits(data[0])) == whole);
	assert(in.len || whole == GEMINI_START_OK);
	bool begins = in.len >= sizeof plain - 1 && !memcmp(in.at, plain, sizeof plain - 1);
	assert(!begins || whole != GEMINI_START_OK);
	return 0;
}
