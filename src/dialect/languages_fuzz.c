/*
 * Every meter takes any bytes: nothing is lost of them, how they are split changes no number, no number is more than was
 * said, and what is free has none. Usage that the fuzzer writes itself comes back as kinds that add up.
 */
#include "dialect/dialect_fuzz.h"
#include "dialect/meter_text.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- reading along ---- */

static void
feed(struct meter *m, const char *at, size_t n, bool last)
{
	char *piece = malloc(n ? n : 1);
	struct span spans[METER_SPANS_MAX];
	size_t count;
	memcpy(piece, at, n);
	assert(meter_feed(m, piece, n, last, spans, &count) == n);
	assert(count == (n != 0) && (n == 0 || (spans[0].at == piece && spans[0].len == n)));
	free(piece);
}

/* The end comes with the last piece, or, with an odd draw, by itself. */
static void
read_along(struct meter *m, enum endpoint endpoint, bool streamed, struct span in, struct fuzz_splits splits)
{
	bool end_alone = splits.state & 1;
	if (endpoint == ENDPOINT_AUDIO_TRANSLATIONS && !streamed && in.len && in.at[0] != '{') /* subtitles */
		meter_init_plain(m, endpoint);
	else
		meter_init(m, endpoint, streamed, false);
	for (size_t at = 0, n; at < in.len; at += n) {
		n = fuzz_piece(&splits, in.len - at);
		feed(m, in.at + at, n, at + n == in.len && !end_alone);
	}
	if (!in.len || end_alone)
		feed(m, "", 0, true);
}

static struct span
said(const struct meter *m, struct text t)
{
	const uint64_t rest[] = {m->content_bytes, m->reasoning_bytes, m->content_reported, m->reasoning_reported, m->events, m->answer};
	meter_text(&t, m);
	for (size_t i = 0; i < ARRAY_LEN(rest); i++) {
		text_lit(&t, ",");
		text_u64(&t, rest[i]);
	}
	assert(!t.cut);
	return (struct span){t.at, t.len};
}

static bool
is_nothing(const struct usage *u)
{
	return fuzz_sum(u, (enum token_kind)0, (enum token_kind)(TOKEN_KIND_COUNT - 1)) == 0;
}

static void
check_usage(const struct usage *u, struct span in)
{
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		assert(u->tokens[k] <= (uint64_t)in.len << 40);
	assert(!(u->flags & ~(uint32_t)(USAGE_REPORTED | USAGE_ABSURD | USAGE_GEO_US | USAGE_PIECES)) && u->tier < TIER_COUNT);
	assert(u->flags & USAGE_REPORTED || is_nothing(u));
}

static void
check_meter(const struct meter *m, struct span in)
{
	check_usage(&m->usage, in);
	assert(m->leg_count <= METER_LEGS_MAX && (!m->leg_count || m->usage.flags & USAGE_REPORTED));
	for (unsigned i = 0; i < m->leg_count; i++) {
		const struct meter_leg *l = &m->legs[i];
		check_usage(&l->usage, in);
		assert(l->usage.flags & USAGE_REPORTED && l->usage.tier == m->usage.tier && l->model_len && l->model_len <= METER_MODEL_MAX);
		for (unsigned k = 0; k < i; k++)
			assert(m->legs[k].model_len != l->model_len || memcmp(m->legs[k].model, l->model, l->model_len) != 0);
	}
	assert(m->content_reported <= m->content_bytes && m->reasoning_reported <= m->reasoning_bytes);
	assert(m->content_bytes + m->reasoning_bytes <= in.len && m->events <= in.len);
	assert(m->answer == ANSWER_ERROR || m->finished == (m->answer == ANSWER_FINISHED));
	if (m->endpoint == ENDPOINT_MESSAGES_COUNT_TOKENS || m->endpoint == ENDPOINT_COUNT_TOKENS)
		assert(!(m->usage.flags & USAGE_REPORTED) && is_nothing(&m->usage) && !m->leg_count);
}

static const struct meter *
read_both_ways(enum endpoint endpoint, bool streamed, struct span in, uint8_t seed)
{
	static struct meter whole, pieces;
	static char a[4096], b[4096];
	read_along(&whole, endpoint, streamed, in, fuzz_whole());
	read_along(&pieces, endpoint, streamed, in, fuzz_splits(seed));
	struct span x = said(&whole, text_on(a, sizeof a)), y = said(&pieces, text_on(b, sizeof b));
	assert(x.len == y.len && !memcmp(x.at, y.at, x.len));
	check_meter(&whole, in);
	return &whole;
}

/* ---- numbers in, numbers out ---- */

struct made {
	struct text t;
	bool streamed;
	uint8_t seed;
	char room[8192];
};

#define lit(m, literal) text_lit(&(m)->t, literal)

static void
number(struct made *m, const char *before, uint64_t v)
{
	text_str(&m->t, before);
	text_u64(&m->t, v);
}

static void
event_begin(struct made *m)
{
	if (m->streamed)
		lit(m, "data: ");
}

static void
event_end(struct made *m)
{
	if (m->streamed)
		lit(m, "\n\n");
}

static const struct meter *
read_made(struct made *m, enum endpoint endpoint)
{
	assert(!m->t.cut);
	const struct meter *r = read_both_ways(endpoint, m->streamed, (struct span){m->t.at, m->t.len}, m->seed);
	assert(r->usage.flags & USAGE_REPORTED && !r->malformed);
	return r;
}

struct messages_numbers {
	uint64_t input, read, hour, short_lived, write, output, thinking, searches;
	bool has_write;
};

static void
messages_usage(struct made *m, const struct messages_numbers *n)
{
	number(m, "{\"input_tokens\":", n->input);
	number(m, ",\"cache_read_input_tokens\":", n->read);
	if (n->has_write)
		number(m, ",\"cache_creation_input_tokens\":", n->write);
	number(m, ",\"cache_creation\":{\"ephemeral_1h_input_tokens\":", n->hour);
	number(m, ",\"ephemeral_5m_input_tokens\":", n->short_lived);
	number(m, "},\"output_tokens\":", n->output);
	number(m, ",\"output_tokens_details\":{\"thinking_tokens\":", n->thinking);
	number(m, "},\"server_tool_use\":{\"web_search_requests\":", n->searches);
	lit(m, "}}");
}

/* What the start says is said again, and anew, by a delta. */
static void
check_messages(struct made *m, struct span in)
{
	bool has_write = fuzz_number(&in) & 1;
	struct messages_numbers n = {fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in),
		fuzz_number(&in), fuzz_number(&in), has_write};
	struct messages_numbers before = {n.output, n.input, n.read, n.hour, n.write, n.thinking, n.searches, n.short_lived, has_write};
	event_begin(m);
	if (m->streamed) {
		lit(m, "{\"type\":\"message_start\",\"message\":{\"usage\":");
		messages_usage(m, &before);
		lit(m, "}}\n\ndata: {\"type\":\"message_delta\",\"usage\":");
	} else
		lit(m, "{\"type\":\"message\",\"usage\":");
	messages_usage(m, &n);
	lit(m, "}");
	event_end(m);
	const struct usage *u = &read_made(m, ENDPOINT_MESSAGES)->usage;
	uint64_t writes = has_write && n.write >= n.hour ? n.write : n.hour + n.short_lived;
	assert(u->tokens[TOKEN_input] == n.input && u->tokens[TOKEN_cached] == n.read && u->tokens[TOKEN_cache_write_1h] == n.hour);
	assert(u->tokens[TOKEN_cache_write] + n.hour == writes);
	assert(u->tokens[TOKEN_output] + u->tokens[TOKEN_reasoning] == n.output);
	assert(u->tokens[TOKEN_reasoning] == fuzz_at_most(n.thinking, n.output));
	assert(u->tools[TOOL_web_search] == fuzz_at_most(n.searches, UINT32_MAX));
}

enum { ITERATIONS_MAX = 12,
	MODELS = 7 }; /* model 0: none is named, the asked one */

struct made_iteration {
	unsigned model, type;
	uint64_t input, output;
};

static const char *const iteration_types[] = {"message", "fallback_message", "compaction", "advisor_message"};

static void
iterations_body(struct made *m, const struct made_iteration *list, unsigned count)
{
	event_begin(m);
	lit(m, "{\"type\":\"message\",\"content\":[{}],\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"iterations\":[");
	for (unsigned i = 0; i < count; i++) {
		lit(m, "{\"type\":\"");
		text_str(&m->t, iteration_types[list[i].type]);
		number(m, "\",\"input_tokens\":", list[i].input);
		number(m, ",\"output_tokens\":", list[i].output);
		if (list[i].model)
			number(m, ",\"model\":\"", list[i].model);
		text_str(&m->t, list[i].model ? "\"}" : "}");
		text_str(&m->t, i + 1 < count ? "," : "");
	}
	lit(m, "]}}");
	event_end(m);
}

/* Each model is billed what its entries say, except that one which declined is free; those above the limit at the answer's own price. */
static void
check_iterations(struct made *m, struct span in)
{
	struct made_iteration list[ITERATIONS_MAX];
	uint64_t input[MODELS] = {0}, output[MODELS] = {0};
	bool seen[MODELS] = {true};
	unsigned count = 1 + (unsigned)(fuzz_number(&in) % ITERATIONS_MAX), models = 0;
	for (unsigned i = 0; i < count; i++)
		list[i] = (struct made_iteration){
			(unsigned)(fuzz_number(&in) % MODELS), (unsigned)(fuzz_number(&in) % 4), fuzz_number(&in), fuzz_number(&in)};
	iterations_body(m, list, count);
	const struct meter *r = read_made(m, ENDPOINT_MESSAGES);
	for (unsigned i = 0; i < count; i++) {
		if (list[i].type == 0 && list[i].output == 0 && i + 1 < count && list[i + 1].type == 1)
			continue;
		bool fits = seen[list[i].model] || models < METER_LEGS_MAX;
		models += fits && !seen[list[i].model];
		unsigned k = fits ? list[i].model : 0;
		seen[k] = true;
		input[k] += list[i].input;
		output[k] += list[i].output;
	}
	assert(r->usage.tokens[TOKEN_input] == input[0] && r->usage.tokens[TOKEN_output] == output[0] && r->leg_count == models);
	for (unsigned i = 0; i < models; i++) {
		unsigned k = (unsigned)(r->legs[i].model[0] - '0');
		assert(r->legs[i].model_len == 1 && k > 0 && k < MODELS && seen[k]);
		assert(r->legs[i].usage.tokens[TOKEN_input] == input[k] && r->legs[i].usage.tokens[TOKEN_output] == output[k]);
	}
}

struct gemini_numbers {
	uint64_t prompt, tool, cached, candidates, thoughts;
	uint64_t audio, image, video, cached_audio, cached_image, audio_out, image_out;
};

static void
gemini_usage(struct made *m, const struct gemini_numbers *n)
{
	number(m, "{\"usageMetadata\":{\"promptTokenCount\":", n->prompt);
	number(m, ",\"tool_use_prompt_token_count\":", n->tool);
	number(m, ",\"cachedContentTokenCount\":\"", n->cached);
	number(m, "\",\"candidatesTokenCount\":", n->candidates);
	number(m, ",\"thoughtsTokenCount\":", n->thoughts);
	number(m, ",\"promptTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":", n->audio);
	number(m, "},{\"modality\":\"IMAGE\",\"tokenCount\":", n->image);
	number(m, "},{\"tokenCount\":", n->video);
	number(m, ",\"modality\":\"VIDEO\"}],\"cacheTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":", n->cached_audio);
	number(m, "},{\"modality\":\"IMAGE\",\"tokenCount\":", n->cached_image);
	number(m, "}],\"candidatesTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":", n->audio_out);
	number(m, "},{\"modality\":\"IMAGE\",\"tokenCount\":", n->image_out);
	lit(m, "}]}}");
}

/* Parts are what they are when they are parts indeed, and never more than the whole. */
static void
check_gemini_parts(const struct usage *u, const struct gemini_numbers *n)
{
	uint64_t whole = n->prompt + n->tool, cached = fuzz_at_most(n->cached, whole);
	bool parts = n->cached <= whole && n->cached_audio <= n->audio && n->cached_image <= n->image &&
		n->cached_audio + n->cached_image <= n->cached && n->audio + n->image + n->video + n->cached <= whole + n->cached_audio + n->cached_image;
	assert(u->tokens[TOKEN_cached] + u->tokens[TOKEN_cached_audio] + u->tokens[TOKEN_cached_image] == cached);
	assert(fuzz_sum(u, TOKEN_input, TOKEN_cached_image) == whole);
	if (!parts)
		return;
	assert(u->tokens[TOKEN_cached_audio] == n->cached_audio && u->tokens[TOKEN_cached_image] == n->cached_image);
	assert(u->tokens[TOKEN_audio_in] == n->audio - n->cached_audio && u->tokens[TOKEN_image_in] == n->image - n->cached_image);
	assert(u->tokens[TOKEN_video_in] == n->video);
}

/* The last object wins as a whole. */
static void
check_gemini(struct made *m, struct span in)
{
	struct gemini_numbers n = {fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in),
		fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in)};
	struct gemini_numbers before = {
		.prompt = n.thoughts, .thoughts = n.prompt, .video = n.audio, .cached_image = n.image_out, .audio_out = n.tool};
	event_begin(m);
	if (m->streamed) {
		gemini_usage(m, &before);
		lit(m, "\n\ndata: ");
	}
	gemini_usage(m, &n);
	if (m->streamed)
		lit(m, "\n\ndata: {\"usageMetadata\":{\"trafficType\":\"ON_DEMAND_FLEX\"}}");
	event_end(m);
	const struct usage *u = &read_made(m, ENDPOINT_GENERATE_CONTENT)->usage;
	check_gemini_parts(u, &n);
	assert(u->tokens[TOKEN_reasoning] == n.thoughts && u->tier == (m->streamed ? TIER_flex : TIER_standard));
	assert(u->tokens[TOKEN_output] + u->tokens[TOKEN_audio_out] + u->tokens[TOKEN_image_out] == n.candidates);
	assert(u->tokens[TOKEN_audio_out] == fuzz_at_most(n.audio_out, n.candidates));
	assert(u->tokens[TOKEN_image_out] == fuzz_at_most(n.image_out, n.candidates - u->tokens[TOKEN_audio_out]));
}

enum { ITEMS_MAX = 24 };

/* Items that were billed by the piece: as events of a stream, else as the answer's list. */
static void
responses_items(struct made *m, struct span *in, uint32_t ret_tools[TOOL_KIND_COUNT])
{
	static const char *const items[] = {"{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}",
		"{\"type\":\"web_search_call\",\"action\":{\"type\":\"open_page\"}}", "{\"type\":\"file_search_call\"}", "{\"type\":\"message\"}"};
	unsigned count = (unsigned)(fuzz_number(in) % ITEMS_MAX), boxes = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned kind = (unsigned)fuzz_number(in) & 0xff, box = kind % 8;
		text_str(&m->t, m->streamed ? "data: {\"type\":\"response.output_item.done\",\"item\":" : "");
		if (kind & 0x80)
			number(m, "{\"type\":\"code_interpreter_call\",\"container_id\":\"cntr_", box);
		text_str(&m->t, kind & 0x80 ? "\"}" : items[kind % 4]);
		text_str(&m->t, m->streamed ? "}\n\n" : i + 1 < count ? ","
															  : "");
		boxes |= kind & 0x80 ? 1u << box : 0;
		ret_tools[TOOL_web_search] += !(kind & 0x80) && kind % 4 == 0;
		ret_tools[TOOL_file_search] += !(kind & 0x80) && kind % 4 == 2;
	}
	ret_tools[TOOL_code_session] = (uint32_t)__builtin_popcount(boxes);
}

struct responses_numbers {
	uint64_t input, output, total, cached, write, reasoning, drawn_text, drawn_image, drawn_out;
};

static void
responses_usage(struct made *m, const struct responses_numbers *n)
{
	number(m, "\"usage\":{\"input_tokens\":", n->input);
	number(m, ",\"output_tokens\":", n->output);
	number(m, ",\"total_tokens\":", n->total);
	number(m, ",\"input_tokens_details\":{\"cached_tokens\":", n->cached);
	number(m, ",\"cache_write_tokens\":", n->write);
	number(m, "},\"output_tokens_details\":{\"reasoning_tokens\":", n->reasoning);
	number(m, "}},\"tool_usage\":{\"image_gen\":{\"input_tokens\":", n->drawn_text + n->drawn_image);
	number(m, ",\"input_tokens_details\":{\"image_tokens\":", n->drawn_image);
	number(m, "},\"output_tokens\":", n->drawn_out);
	lit(m, "}}");
}

static void
check_responses(struct made *m, struct span in)
{
	/* Halves, so that their sum is still a number that no meter clamps. */
	struct responses_numbers n = {fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in), fuzz_number(&in),
		fuzz_number(&in) / 2, fuzz_number(&in) / 2, fuzz_number(&in)};
	uint32_t tools[TOOL_KIND_COUNT] = {0};
	if (!m->streamed)
		lit(m, "{\"output\":[");
	responses_items(m, &in, tools);
	text_str(&m->t, m->streamed ? "data: {\"type\":\"response.completed\",\"response\":{" : "],");
	responses_usage(m, &n);
	text_str(&m->t, m->streamed ? "}}\n\n" : "}");
	const struct meter *r = read_made(m, ENDPOINT_RESPONSES);
	const struct usage *u = &r->usage;
	uint64_t output = n.total > n.input + n.output ? n.total - n.input : n.output;
	assert(fuzz_sum(u, TOKEN_input, TOKEN_cached_image) == n.input && fuzz_sum(u, TOKEN_output, TOKEN_image_out) == output);
	assert(u->tokens[TOKEN_cached] == fuzz_at_most(n.cached, n.input));
	assert(u->tokens[TOKEN_cache_write] == fuzz_at_most(n.write, n.input - u->tokens[TOKEN_cached]));
	assert(u->tokens[TOKEN_reasoning] == fuzz_at_most(n.reasoning, output));
	assert(!memcmp(u->tools, tools, sizeof tools) && r->finished);
	assert(r->leg_count == (n.drawn_text + n.drawn_image + n.drawn_out > 0));
	if (r->leg_count) {
		const uint64_t *drawn = r->legs[0].usage.tokens;
		assert(drawn[TOKEN_input] == n.drawn_text && drawn[TOKEN_image_in] == n.drawn_image && drawn[TOKEN_image_out] == n.drawn_out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const made_checks[])(struct made * m, struct span in) = {check_messages, check_iterations, check_gemini, check_responses};
	static struct made made;
	if (size < 2)
		return 0;
	struct span in = {(const char *)data + 2, size - 2};
	unsigned choice = data[0] & FUZZ_CHOICE;
	bool streamed = data[0] & FUZZ_STREAMED;
	if (choice < FUZZ_MADE || choice >= FUZZ_MADE_END) {
		read_both_ways(fuzz_endpoint(data[0]), streamed, in, data[1]);
		return 0;
	}
	made.t = text_on(made.room, sizeof made.room);
	made.streamed = streamed;
	made.seed = data[1];
	made_checks[choice - FUZZ_MADE](&made, in);
	return 0;
}
