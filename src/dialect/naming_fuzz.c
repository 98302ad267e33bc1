/*
 * Names in answers: found at the same places in any pieces, and what is not one passes byte for byte. Bytes 0 and 1 as dialect_fuzz.h says.
 */
#include "dialect/naming.h"

#include "dialect/dialect_fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 16 };

struct telling {
	struct span in;
	size_t at, len; /* read of in; written */
	unsigned names;
	char out[ROOM];
};

static void
put(struct telling *t, const char *at, size_t len)
{
	assert(t->len + len <= ROOM);
	memcpy(t->out + t->len, at, len);
	t->len += len;
}

static void
found(void *owner, const struct naming_found *f)
{
	struct telling *t = owner;
	assert(f->at >= t->at && f->end <= t->in.len && f->end - f->at >= 2 && t->in.at[f->at] == '"' && t->in.at[f->end - 1] == '"');
	assert(f->text.len <= NAMING_HOLD_MAX);
	put(t, t->in.at + t->at, f->at - t->at);
	put(t, "<", 1);
	put(t, f->text.at, f->text.len);
	put(t, ">", 1);
	t->at = f->end;
	t->names++;
}

static bool
tell(enum endpoint endpoint, bool streamed, struct span in, struct fuzz_splits splits, struct telling *ret)
{
	struct naming n;
	char held[NAMING_HOLD_MAX + 2];
	size_t held_len = 0;
	*ret = (struct telling){.len = 0};
	if (!naming_init(&n, endpoint, streamed))
		return false;
	for (bool last = false; !last;) {
		size_t more = fuzz_piece(&splits, in.len), len = held_len + more;
		char *piece = malloc(len + 1);
		last = more == 0;
		memcpy(piece, held, held_len);
		memcpy(piece + held_len, in.at, more);
		in = (struct span){in.at + more, in.len - more};
		ret->in = (struct span){piece, len};
		ret->at = 0;
		size_t settled = naming_feed(&n, ret->in, last, found, ret);
		assert(settled >= ret->at && settled <= len && len - settled <= sizeof held && (!last || settled == len));
		put(ret, piece + ret->at, settled - ret->at);
		held_len = len - settled;
		memcpy(held, piece + settled, held_len);
		free(piece);
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct telling whole, pieces;
	if (size < 2)
		return 0;
	enum endpoint endpoint = fuzz_endpoint(data[0]);
	bool streamed = data[0] & FUZZ_STREAMED;
	struct span in = {(const char *)data + 2, size - 2};
	if (!tell(endpoint, streamed, in, fuzz_whole(), &whole))
		return 0;
	(void)tell(endpoint, streamed, in, fuzz_splits(data[1]), &pieces);
	assert(whole.names == pieces.names && whole.len == pieces.len && !memcmp(whole.out, pieces.out, whole.len));
	assert(whole.names || (whole.len == in.len && !memcmp(whole.out, in.at, in.len)));
	return 0;
}
