#include "dialect/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum request_error
scan(struct request_scan *s, enum endpoint endpoint, struct span in, size_t step)
{
	request_scan_init(s, endpoint);
	for (size_t at = 0, n; at < in.len; at += n) {
		n = in.len - at < step ? in.len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in.at + at, n);
		bool good = request_scan_feed(s, piece, n);
		free(piece);
		if (!good)
			break;
	}
	return request_scan_finish(s);
}

/* `in` after the edits; the caller frees it. */
static struct span
edited(struct span in, const struct request_edit *edits, uint32_t count)
{
	size_t len = in.len;
	for (uint32_t i = 0; i < count; i++)
		len += edits[i].text_len;
	char *out = malloc(len + 1), *p = out;
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		assert(edits[i].at >= at && edits[i].at + edits[i].remove <= in.len);
		p = mempcpy(p, in.at + at, edits[i].at - at);
		p = mempcpy(p, edits[i].text, edits[i].text_len);
		at = edits[i].at + edits[i].remove;
	}
	p = mempcpy(p, in.at + at, in.len - at);
	return (struct span){out, (size_t)(p - out)};
}

/* o: what is known of the edited body. */
static void
check_wish(const struct request_facts *r, const struct request_wish *wish, const struct request_facts *o)
{
	assert(!r->model_len || (o->model_len == 2 && !memcmp(o->model, "zz", 2)));
	assert(o->stream == r->stream && o->images == r->images && o->n == r->n && o->model_count == r->model_count);
	assert(!wish->cap || (o->has_cap && o->cap == wish->cap));
	assert(!wish->ask_usage || o->include_usage);
	assert(!wish->no_store || o->store_bytes == 5 || r->store);
}

/* The edited body is as good as the caller's, and says what was wished. */
static void
check_edits(struct span in, const struct request_facts *r)
{
	static struct request_scan s;
	static struct request_edit edits[REQUEST_EDITS_MAX];
	char made[REQUEST_EDIT_TEXT_MAX];
	struct text room = text_on(made, sizeof made);
	enum endpoint endpoint = (enum endpoint)r->endpoint;
	bool chat = endpoint == ENDPOINT_CHAT_COMPLETIONS, bounded = endpoint == ENDPOINT_RESPONSES || endpoint == ENDPOINT_GENERATE_CONTENT || chat;
	const struct request_wish wish = {.model = SPAN("zz"), .ask_usage = chat && r->stream, .no_store = endpoint == ENDPOINT_RESPONSES, .old_cap = in.len & 1, .cap = bounded && !r->has_cap ? 77 : 0};
	uint32_t count = request_edits(r, &wish, &room, edits);
	assert(count <= request_edit_count(r));
	struct span out = edited(in, edits, count);
	enum request_error e = scan(&s, endpoint, out, out.len);
	/* A bound of null by the one name stands beside ours by the other: the provider sees both, and null is none. */
	assert(e == REQUEST_OK || (e == REQUEST_DUPLICATE && chat && wish.cap && wish.old_cap));
	if (e == REQUEST_OK)
		check_wish(r, &wish, &s.result);
	free((char *)out.at);
}

/* A chat bound put in front is the one in force, or a second of its kind; one for completions wins, null does not. */
static void
check_caps(struct span in, const struct request_facts *r)
{
	static struct request_scan s;
	for (int completion = 0; completion < 2; completion++) {
		struct span text = completion ? SPAN("\"max_completion_tokens\":77,") : SPAN("\"max_tokens\":77,");
		const struct request_edit front = {.at = r->object_at, .text = text.at, .text_len = (uint32_t)text.len};
		struct span more = edited(in, &front, 1);
		enum request_error e = scan(&s, ENDPOINT_CHAT_COMPLETIONS, more, more.len);
		assert(e == REQUEST_OK || e == REQUEST_DUPLICATE);
		if (e == REQUEST_OK && (completion || !r->cap_is_completion))
			assert(s.result.has_cap && s.result.cap == 77 && s.result.cap_is_completion == completion);
		else if (e == REQUEST_OK)
			assert(s.result.cap == r->cap && s.result.cap_is_completion);
		free((char *)more.at);
	}
}

static void
check_bounds(struct span in, const struct request_facts *r)
{
	static const char foreign[] = "\"file\":{\"file_id\":\"", messages[] = "{\"messages\":[{\"content\":[{";
	bool in_path = request_edit_count(r) >= 4 && !r->model_len;
	assert(r->body_bytes == in.len && r->object_at > 0 && in.at[r->object_at - 1] == '{');
	assert(in_path || (r->model_len <= REQUEST_MODEL_MAX && r->model_bytes >= 2u + 1));
	assert(r->n >= 1 && r->n <= 128 && r->inline_media_bytes <= r->body_bytes);
	assert(!r->has_stream_options || r->stream);
	size_t at = sizeof messages - 1;
	if (r->endpoint == ENDPOINT_CHAT_COMPLETIONS && in.len >= at + sizeof foreign - 1 && !memcmp(in.at, messages, at))
		assert(memcmp(in.at + at, foreign, sizeof foreign - 1) != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum endpoint endpoints[8] = {ENDPOINT_CHAT_COMPLETIONS, ENDPOINT_CHAT_COMPLETIONS, ENDPOINT_RESPONSES, ENDPOINT_EMBEDDINGS,
		ENDPOINT_MESSAGES, ENDPOINT_GENERATE_CONTENT, ENDPOINT_STREAM_GENERATE_CONTENT, ENDPOINT_BATCH_EMBED_CONTENTS};
	static struct request_scan whole, pieces;
	if (size < 1)
		return 0;
	struct span in = {(const char *)data + 1, size - 1};
	enum endpoint endpoint = endpoints[data[0] / 32];
	enum request_error e = scan(&whole, endpoint, in, in.len ? in.len : 1);
	assert(scan(&pieces, endpoint, in, 1u + data[0] % 32) == e);
	if (e != REQUEST_OK)
		return 0;
	assert(!memcmp(&whole.result, &pieces.result, sizeof whole.result));
	check_bounds(in, &whole.result);
	check_edits(in, &whole.result);
	if (endpoint == ENDPOINT_CHAT_COMPLETIONS)
		check_caps(in, &whole.result);
	return 0;
}
