/*
 * The scanner takes any body: how it is split changes no fact, what goes up is as good as what came and says what was wished,
 * and no body names an object of the operator's account.
 */
#include "dialect/dialect_fuzz.h"
#include "dialect/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum request_error
scan(struct request_scan *s, enum endpoint endpoint, struct span in, struct fuzz_splits splits)
{
	request_scan_init(s, endpoint);
	for (size_t at = 0, n; at < in.len; at += n) {
		n = fuzz_piece(&splits, in.len - at);
		char *piece = malloc(n);
		memcpy(piece, in.at + at, n);
		bool good = request_scan_feed(s, piece, n);
		free(piece);
		if (!good) {
			assert(!request_scan_feed(s, "{", 1));
			break;
		}
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
	assert(o->audios == r->audios && o->files == r->files && o->tier == r->tier && o->inline_media_bytes == r->inline_media_bytes);
	assert(o->server_tools == r->server_tools && o->tool_uses == r->tool_uses && o->geo_us == r->geo_us && o->has_tools == r->has_tools);
	assert(!wish->cap || (o->has_cap && o->cap == wish->cap));
	assert(wish->cap || (o->has_cap == r->has_cap && o->cap == r->cap));
	assert(!wish->ask_usage || o->include_usage);
	assert(!wish->no_store || o->store_bytes == 5 || r->store);
}

/* Places that repeat the path's model name the provider's now. */
static void
check_repeated(struct span out, const struct request_facts *o)
{
	static const char model[] = "\"models/zz\"";
	for (uint32_t i = 0; i < o->model_count; i++) {
		assert(o->models_bytes[i] == sizeof model - 1 && o->models_at[i] + o->models_bytes[i] <= out.len);
		assert(!memcmp(out.at + o->models_at[i], model, sizeof model - 1));
	}
}

/* Where objects were named the opened ids stand now, and nowhere else. */
static void
check_objects(struct span out, const struct request_facts *r, const struct request_facts *o)
{
	assert(o->object_count == r->object_count && o->cited_count == r->cited_count && o->may_name == r->may_name);
	for (uint32_t i = 0; i < o->object_count; i++)
		assert(o->objects[i].bytes == 8 && o->objects[i].at + 8 <= out.len && !memcmp(out.at + o->objects[i].at, "\"file-1\"", 8));
}

static bool
takes_cap(enum endpoint endpoint)
{
	switch (endpoint) {
	case ENDPOINT_CHAT_COMPLETIONS:
	case ENDPOINT_RESPONSES:
	case ENDPOINT_MESSAGES:
	case ENDPOINT_GENERATE_CONTENT:
	case ENDPOINT_STREAM_GENERATE_CONTENT:
		return true;
	default:
		return false;
	}
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
	bool chat = endpoint == ENDPOINT_CHAT_COMPLETIONS;
	struct span opened[REQUEST_OBJECTS_MAX];
	for (int i = 0; i < REQUEST_OBJECTS_MAX; i++)
		opened[i] = SPAN("\"file-1\"");
	const struct request_wish wish = {.model = SPAN("zz"),
		.objects = opened,
		.ask_usage = chat && r->stream,
		.no_store = endpoint == ENDPOINT_RESPONSES,
		.old_cap = in.len & 1,
		.cap = takes_cap(endpoint) && !r->has_cap ? 77 : 0};
	uint32_t count = request_edits(r, &wish, &room, edits);
	assert(count <= request_edit_count(r));
	struct span out = edited(in, edits, count);
	enum request_error e = scan(&s, endpoint, out, fuzz_whole());
	/* A bound of null by the one name stands beside ours by the other: the provider sees both, and null is none. */
	assert(e == REQUEST_OK || (e == REQUEST_DUPLICATE && chat && wish.cap && wish.old_cap));
	if (e == REQUEST_OK) {
		check_wish(r, &wish, &s.result);
		check_repeated(out, &s.result);
		check_objects(out, r, &s.result);
	}
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
		enum request_error e = scan(&s, ENDPOINT_CHAT_COMPLETIONS, more, fuzz_whole());
		assert(e == REQUEST_OK || e == REQUEST_DUPLICATE);
		if (e == REQUEST_OK && (completion || !r->cap_is_completion))
			assert(s.result.has_cap && s.result.cap == 77 && s.result.cap_is_completion == completion);
		else if (e == REQUEST_OK)
			assert(s.result.cap == r->cap && s.result.cap_is_completion);
		free((char *)more.at);
	}
}

/* Whatever else a body says: with one of these in it, it is refused. */
static void
check_foreign(struct span in, const struct request_facts *r)
{
	static const struct {
		enum endpoint endpoint;
		struct span member;
	} rows[] = {
		{ENDPOINT_RESPONSES, SPAN_INIT("\"previous_response_id\":{\"id\":\"resp_1\"},")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"conversation\":[\"conv_1\"],")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"prompt\":{},")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"background\":1,")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1\"}],")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"tools\":[{\"type\":\"file_search\",\"vector_store_ids\":[\"vs_1\"]}],")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"tools\":[{\"container\":[\"cntr_1\"]}],")},
		{ENDPOINT_RESPONSES, SPAN_INIT("\"tools\":[{\"container\":{\"type\":\"auto\",\"file_ids\":\"file_1\"}}],")},
		{ENDPOINT_MESSAGES, SPAN_INIT("\"container\":\"container_1\",")},
		{ENDPOINT_MESSAGES_COUNT_TOKENS, SPAN_INIT("\"system\":[{\"source\":{\"file_id\":[]}}],")},
		{ENDPOINT_GENERATE_CONTENT, SPAN_INIT("\"cachedContent\":\"cachedContents/1\",")},
		{ENDPOINT_STREAM_GENERATE_CONTENT, SPAN_INIT("\"cached_content\":\"cachedContents/1\",")},
		{ENDPOINT_CHAT_COMPLETIONS, SPAN_INIT("\"messages\":[{\"audio\":{\"id\":\"audio_1\"}}],")},
		{ENDPOINT_CHAT_COMPLETIONS, SPAN_INIT("\"messages\":[{\"content\":[{\"file\":{\"file_id\":[\"file_1\"]}}]}],")},
	};
	static struct request_scan s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].endpoint != (enum endpoint)r->endpoint)
			continue;
		const struct request_edit front = {.at = r->object_at, .text = rows[i].member.at, .text_len = (uint32_t)rows[i].member.len};
		struct span more = edited(in, &front, 1);
		assert(scan(&s, rows[i].endpoint, more, fuzz_whole()) != REQUEST_OK);
		assert(s.error != REQUEST_DUPLICATE);
		free((char *)more.at);
	}
}

static void
check_bounds(struct span in, const struct request_facts *r)
{
	bool optional = r->endpoint == ENDPOINT_MODERATIONS || r->endpoint >= ENDPOINT_GENERATE_CONTENT;
	assert(r->body_bytes == in.len && r->object_at > 0 && in.at[r->object_at - 1] == '{' && !r->empty_object);
	assert((optional && !r->model_len) || (r->model_len <= REQUEST_MODEL_MAX && r->model_bytes >= 2u + 1));
	assert(r->n >= 1 && r->n <= 128 && r->inline_media_bytes <= r->body_bytes && r->model_count <= REQUEST_MODELS_MAX && r->object_count <= REQUEST_OBJECTS_MAX);
	assert((uint64_t)r->images + r->audios + r->files <= in.len && r->server_tools < 1u << TOOL_KIND_COUNT && r->tier < TIER_COUNT);
	assert(!r->has_stream_options || r->stream);
	assert(r->endpoint != ENDPOINT_MESSAGES || r->has_cap);
	assert(!r->has_cap || r->cap || r->endpoint == ENDPOINT_MESSAGES || r->endpoint == ENDPOINT_MESSAGES_COUNT_TOKENS);
	assert(r->cap_is_completion <= r->has_cap);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct request_scan whole, pieces;
	if (size < 2 || fuzz_endpoint(data[0]) == ENDPOINT_NONE)
		return 0;
	struct span in = {(const char *)data + 2, size - 2};
	enum endpoint endpoint = fuzz_endpoint(data[0]);
	enum request_error e = scan(&whole, endpoint, in, fuzz_whole());
	assert(scan(&pieces, endpoint, in, fuzz_splits(data[1])) == e);
	if (e != REQUEST_OK)
		return 0;
	assert(!memcmp(&whole.result, &pieces.result, sizeof whole.result));
	check_bounds(in, &whole.result);
	check_edits(in, &whole.result);
	check_foreign(in, &whole.result);
	if (endpoint == ENDPOINT_CHAT_COMPLETIONS)
		check_caps(in, &whole.result);
	return 0;
}
