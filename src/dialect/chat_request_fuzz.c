#include "dialect/chat.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum chat_request_error
scan(struct chat_request_scan *s, struct span in, size_t step)
{
	chat_request_init(s);
	for (size_t at = 0, n; at < in.len; at += n) {
		n = in.len - at < step ? in.len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in.at + at, n);
		bool good = chat_request_feed(s, piece, n);
		free(piece);
		if (!good)
			break;
	}
	return chat_request_finish(s);
}

/* `in` with `bytes` bytes at `at` replaced; the caller frees it. */
static struct span
replaced(struct span in, uint64_t at, uint64_t bytes, const char *with)
{
	size_t len = strlen(with);
	char *out = malloc(in.len + len), *p = out;
	assert(at + bytes <= in.len);
	p = mempcpy(p, in.at, at);
	p = mempcpy(p, with, len);
	p = mempcpy(p, in.at + at + bytes, in.len - at - bytes);
	return (struct span){out, (size_t)(p - out)};
}

/* A value's place is right when another value there gives a body that is as good, and says the other value. */
static void
check_edit(struct span in, uint64_t at, uint64_t bytes, const char *with, struct chat_request *ret)
{
	static struct chat_request_scan s;
	struct span edited = replaced(in, at, bytes, with);
	assert(scan(&s, edited, edited.len) == CHAT_REQUEST_OK);
	*ret = s.result;
	free((char *)edited.at);
}

static void
check_edits(struct span in, const struct chat_request *r)
{
	struct chat_request other;
	check_edit(in, r->model_at, r->model_bytes, "\"zz\"", &other);
	assert(other.model_len == 2 && !memcmp(other.model, "zz", 2) && other.stream == r->stream && other.images == r->images);
	if (r->has_cap) {
		check_edit(in, r->cap_at, r->cap_bytes, "77", &other);
		assert(other.has_cap && other.cap == 77 && other.cap_is_completion == r->cap_is_completion);
	}
	if (!r->stream)
		return;
	if (r->include_usage_bytes)
		check_edit(in, r->include_usage_at, r->include_usage_bytes, "true", &other);
	else if (r->has_stream_options)
		check_edit(in, r->stream_options_inner_at, 0, r->stream_options_empty ? "\"include_usage\":true" : "\"include_usage\":true,", &other);
	else if (r->stream_options_bytes)
		check_edit(in, r->stream_options_at, r->stream_options_bytes, "{\"include_usage\":true}", &other);
	else
		check_edit(in, r->object_at, 0, "\"stream_options\":{\"include_usage\":true},", &other);
	assert(other.include_usage && other.model_len == r->model_len && other.cap == r->cap);
	if (r->has_stream_options) {
		check_edit(in, r->stream_options_at, r->stream_options_bytes, "{}", &other);
		assert(other.stream_options_empty && !other.include_usage);
	}
}

/* A cap put in front is the one in force, or a second of its kind; one for completions wins. */
static void
check_caps(struct span in, const struct chat_request *r)
{
	static struct chat_request_scan s;
	for (int completion = 0; completion < 2; completion++) {
		struct span more = replaced(in, r->object_at, 0, completion ? "\"max_completion_tokens\":77," : "\"max_tokens\":77,");
		enum chat_request_error e = scan(&s, more, more.len);
		assert(e == CHAT_REQUEST_OK || e == CHAT_REQUEST_DUPLICATE);
		if (e == CHAT_REQUEST_OK && (completion || !r->cap_is_completion))
			assert(s.result.has_cap && s.result.cap == 77 && s.result.cap_is_completion == completion);
		else if (e == CHAT_REQUEST_OK)
			assert(s.result.cap == r->cap && s.result.cap_is_completion);
		free((char *)more.at);
	}
}

static void
check_bounds(struct span in, const struct chat_request *r)
{
	assert(r->body_bytes == in.len && r->object_at > 0 && in.at[r->object_at - 1] == '{');
	assert(r->model_len > 0 && r->model_len <= CHAT_MODEL_MAX && r->model_bytes >= 2u + 1);
	assert(r->n >= 1 && r->n <= 128 && (!r->has_cap || r->cap > 0));
	assert(r->inline_media_bytes <= r->body_bytes);
	assert(!r->has_stream_options || r->stream);
	static const char foreign[] = "\"file\":{\"file_id\":\"", *const messages = "{\"messages\":[{\"content\":[{";
	if (in.len > strlen(messages) && !memcmp(in.at, messages, strlen(messages)))
		assert(memcmp(in.at + strlen(messages), foreign, in.len - strlen(messages) < sizeof foreign - 1 ? in.len - strlen(messages) : sizeof foreign - 1));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chat_request_scan whole, pieces;
	if (size < 1)
		return 0;
	struct span in = {(const char *)data + 1, size - 1};
	enum chat_request_error e = scan(&whole, in, in.len ? in.len : 1);
	assert(scan(&pieces, in, 1u + data[0] % 32) == e);
	if (e != CHAT_REQUEST_OK)
		return 0;
	assert(!memcmp(&whole.result, &pieces.result, sizeof whole.result));
	check_bounds(in, &whole.result);
	check_edits(in, &whole.result);
	check_caps(in, &whole.result);
	return 0;
}
