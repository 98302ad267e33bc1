/*
 * Files of requests: in any pieces they are what they are whole; all of a file is what its lines are one by one, each of which is a request that may be one of a batch,
 * counted as such. Byte 0: pieces of at most 1 + byte % 32 bytes; from 128 on it is Anthropic's list of requests.
 */
#include "dialect/lines.h"

#include "dialect/dialect_fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum lines_error error;
	struct lines_facts facts;
	size_t why_len;
	char why[LINES_WHY_MAX];
};

static struct lines_scan scan;

/* Each piece in memory of its own: a byte beside it is seen to be touched. */
static void
read_in(struct span in, bool listed, struct fuzz_splits splits, struct outcome *ret)
{
	memset(ret, 0, sizeof *ret);
	if (listed)
		lines_init_listed(&scan);
	else
		lines_init(&scan);
	while (in.len) {
		size_t n = fuzz_piece(&splits, in.len);
		char *piece = malloc(n);
		memcpy(piece, in.at, n);
		bool good = lines_feed(&scan, piece, n);
		assert(good == (scan.error == LINES_OK));
		free(piece);
		in = (struct span){in.at + n, in.len - n};
	}
	ret->error = lines_finish(&scan);
	ret->facts = scan.result;
	struct span why = lines_why(&scan, ret->why);
	ret->why_len = why.len;
	memset(ret->why + why.len, 0, sizeof ret->why - why.len);
	assert(why.at == ret->why && why.len > 6 && why.len < LINES_WHY_MAX);
}

/* What one line may say, and costs. */
static void
check_one(const struct outcome *o, size_t len)
{
	const struct request_facts *f = &scan.request.result;
	const struct lines_facts *r = &o->facts;
	bool answers = r->endpoint != ENDPOINT_EMBEDDINGS;
	assert(r->count == 1 && f->endpoint == r->endpoint && f->model_len == r->model_len && !memcmp(f->model, r->model, f->model_len));
	assert(r->endpoint == ENDPOINT_CHAT_COMPLETIONS || r->endpoint == ENDPOINT_RESPONSES || r->endpoint == ENDPOINT_EMBEDDINGS);
	assert(!f->stream && !f->object_count && !f->server_tools && !f->store && (r->endpoint != ENDPOINT_RESPONSES || f->store_bytes == 5));
	assert(f->body_bytes <= len && r->text_bytes + f->inline_media_bytes == f->body_bytes && r->largest_bytes == r->text_bytes);
	assert(r->capped == (answers && f->has_cap ? (uint64_t)f->cap * f->n : 0) && r->open == (answers && !f->has_cap ? f->n : 0));
	assert(r->images == f->images && r->audios == f->audios && r->files == f->files);
}

static void
add(struct lines_facts *sum, const struct lines_facts *one)
{
	uint64_t largest = sum->largest_bytes > one->largest_bytes ? sum->largest_bytes : one->largest_bytes;
	memcpy(sum->model, one->model, sizeof sum->model);
	sum->model_len = one->model_len;
	sum->endpoint = one->endpoint;
	sum->count += one->count;
	sum->text_bytes += one->text_bytes;
	sum->largest_bytes = largest;
	sum->images += one->images;
	sum->audios += one->audios;
	sum->files += one->files;
	sum->capped += one->capped;
	sum->open += one->open;
}

static bool
is_blank(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (!memchr(" \t\r", line.at[i], 3))
			return false;
	return true;
}

/* Line by line, as if each were the only one. False: one of them is bad, or does not belong to the others. */
static bool
one_by_one(struct span in, struct lines_facts *sum)
{
	static struct outcome o;
	memset(sum, 0, sizeof *sum);
	while (in.len) {
		const char *end = memchr(in.at, '\n', in.len);
		struct span line = {in.at, end ? (size_t)(end - in.at) : in.len};
		size_t gone = line.len + (end != NULL);
		in = (struct span){in.at + gone, in.len - gone};
		if (is_blank(line))
			continue;
		read_in(line, false, fuzz_whole(), &o);
		if (o.error != LINES_OK)
			return false;
		check_one(&o, line.len);
		const struct lines_facts *f = &o.facts;
		if (sum->count && (f->endpoint != sum->endpoint || f->model_len != sum->model_len || memcmp(f->model, sum->model, f->model_len) != 0))
			return false;
		add(sum, f);
	}
	return sum->count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	struct lines_facts sum;
	if (size < 1)
		return 0;
	struct span in = {(const char *)data + 1, size - 1};
	bool listed = data[0] & 0x80;
	read_in(in, listed, fuzz_whole(), &whole);
	read_in(in, listed, fuzz_splits(data[0]), &pieces);
	assert(whole.error == pieces.error && whole.why_len == pieces.why_len && !memcmp(whole.why, pieces.why, sizeof whole.why));
	assert(!memcmp(&whole.facts, &pieces.facts, sizeof whole.facts));
	if (listed) {
		assert(whole.error != LINES_OK || (whole.facts.count && whole.facts.endpoint == ENDPOINT_MESSAGES && !whole.facts.open));
		return 0;
	}
	assert(one_by_one(in, &sum) == (whole.error == LINES_OK));
	assert(whole.error != LINES_OK || !memcmp(&whole.facts, &sum, sizeof sum));
	return 0;
}
