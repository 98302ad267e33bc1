/*
 * Answers in the language of OpenAI's Responses (platform.openai.com/docs/api-reference/responses and .../responses-streaming).
 *
 * Read: the deltas of text, refusal, reasoning (summary or text) and arguments, by item; what an item repeats when it is done is passed over.
 * Written: one item after another. The .done events and the last repeat all of the answer, and SDKs read it there: so here, and only here, it is
 * kept, once, up to TRANSLATE_KEEP_MAX. Foreign signatures are left out: encrypted_content is OpenAI's alone.
 */
#include "dialect/telling.h"

#include <string.h>

/* ---- reading ---- */

static void
read_usage(struct telling *g, struct json_source *s, struct json_value object)
{
	enum { INPUT,
		OUTPUT,
		TOTAL,
		CACHED,
		WRITTEN,
		REASONING };
	static const struct span names[] = {SPAN_INIT("input_tokens"), SPAN_INIT("output_tokens"), SPAN_INIT("total_tokens"), SPAN_INIT("input_tokens_details"),
		SPAN_INIT("output_tokens_details")};
	struct json_value v[ARRAY_LEN(names)];
	struct counts c = {0};
	struct usage u = {.flags = USAGE_REPORTED};
	json_members(s, object, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = INPUT; i <= TOTAL; i++)
		telling_count(&c, i, s, v[i]);
	if (!c.given || counts_unusable(&c, 1u << INPUT | 1u << OUTPUT, 1u << TOTAL))
		return;
	telling_count(&c, CACHED, s, telling_member(s, v[3], SPAN("cached_tokens")));
	telling_count(&c, WRITTEN, s, telling_member(s, v[3], SPAN("cache_write_tokens")));
	telling_count(&c, REASONING, s, telling_member(s, v[4], SPAN("reasoning_tokens")));
	uint64_t in = c.value[INPUT], out = c.value[OUTPUT];
	if (c.value[TOTAL] > in + out)
		out = c.value[TOTAL] - in;
	counts_carve(&in, c.value[CACHED], &u.tokens[TOKEN_cached]);
	counts_carve(&in, c.value[WRITTEN], &u.tokens[TOKEN_cache_write]);
	counts_carve(&out, c.value[REASONING], &u.tokens[TOKEN_reasoning]);
	u.tokens[TOKEN_input] = in;
	u.tokens[TOKEN_output] = out;
	telling_usage(g, &u);
}

static void
read_texts(struct telling *g, enum tell_kind kind, struct json_source *s, struct json_value list)
{
	static const struct span names[] = {SPAN_INIT("text"), SPAN_INIT("refusal"), SPAN_INIT("logprobs")};
	static const char gap[] = "\"\\n\\n\"";
	struct span pieces[] = {{gap, sizeof gap - 1}};
	struct json_source between = json_source(pieces, 1);
	struct json_value part, v[ARRAY_LEN(names)];
	bool first = true;
	if (list.kind != JSON_ARRAY)
		return;
	for (struct json_walk w = json_walk(list); json_next_element(s, &w, &part);) {
		json_members(s, part, names, ARRAY_LEN(names), v, NULL);
		if (!first && kind == TELL_THINKING && json_says(v[0]))
			telling_say(g, kind, 0, &between, json_whole_value(&between));
		if (kind == TELL_TEXT)
			telling_text(g, 0, s, v[0], v[2]);
		else
			telling_say(g, kind, 0, s, v[0]);
		telling_say(g, TELL_REFUSAL, 0, s, v[1]);
		first = false;
	}
}

enum { ITEM_TYPE,
	ITEM_CONTENT,
	ITEM_SUMMARY,
	ITEM_CALL_ID,
	ITEM_NAME,
	ITEM_ARGUMENTS };
static const struct span item_names[] = {SPAN_INIT("type"), SPAN_INIT("content"), SPAN_INIT("summary"), SPAN_INIT("call_id"), SPAN_INIT("name"),
	SPAN_INIT("arguments")};

static void
read_item(struct telling *g, struct json_source *s, struct json_value item)
{
	static const struct span types[] = {SPAN_INIT("message"), SPAN_INIT("reasoning"), SPAN_INIT("function_call")};
	struct json_value v[ARRAY_LEN(item_names)];
	json_members(s, item, item_names, ARRAY_LEN(item_names), v, NULL);
	switch (telling_word(s, v[ITEM_TYPE], types, ARRAY_LEN(types))) {
	case 0:
		read_texts(g, TELL_TEXT, s, v[ITEM_CONTENT]);
		break;
	case 1:
		read_texts(g, TELL_THINKING, s, v[ITEM_SUMMARY]);
		read_texts(g, TELL_THINKING, s, v[ITEM_CONTENT]);
		break;
	case 2:
		telling_tell(g, &(struct tell){.kind = TELL_CALL, .call = g->in.blocks.count++, .source = s, .id = v[ITEM_CALL_ID], .name = v[ITEM_NAME], .text = v[ITEM_ARGUMENTS]});
		break;
	default: /* tools of the provider's own, which nobody could ask for */
		break;
	}
}

/* The end that its status names; false: it is an error, or none. */
static bool
read_status(struct telling *g, struct json_source *s, struct json_value response)
{
	static const struct span names[] = {SPAN_INIT("status"), SPAN_INIT("error"), SPAN_INIT("incomplete_details"), SPAN_INIT("usage")};
	static const struct span words[] = {SPAN_INIT("completed"), SPAN_INIT("incomplete")}, reasons[] = {SPAN_INIT("max_output_tokens"), SPAN_INIT("content_filter")};
	static const uint8_t finishes[] = {FINISH_LENGTH, FINISH_FILTER, FINISH_OTHER};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, response, names, ARRAY_LEN(names), v, NULL);
	read_usage(g, s, v[3]);
	unsigned status = telling_word(s, v[0], words, ARRAY_LEN(words));
	if (json_is(v[1], JSON_OBJECT) || json_says(v[1]) || status == ARRAY_LEN(words)) {
		telling_error(g, s, v[1], 0);
		return false;
	}
	if (status == 0)
		telling_finish(g, 0, FINISH_STOP, s, json_absent);
	else {
		struct json_value reason = telling_member(s, v[2], SPAN("reason"));
		telling_finish(g, 0, (enum finish)finishes[telling_word(s, reason, reasons, ARRAY_LEN(reasons))], s, reason);
		if (g->choices[0].finish != FINISH_OTHER)
			g->why_len = 0;
	}
	return true;
}

static void
responses_document_in(struct telling *g, struct json_source *s, struct json_value root)
{
	static const struct span names[] = {SPAN_INIT("id"), SPAN_INIT("output")};
	struct json_value v[ARRAY_LEN(names)], item;
	json_members(s, root, names, ARRAY_LEN(names), v, NULL);
	if (!read_status(g, s, root))
		return;
	if (v[1].kind != JSON_ARRAY) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	telling_start(g, s, v[0]);
	for (struct json_walk w = json_walk(v[1]); g->result == TRANSLATE_MORE && json_next_element(s, &w, &item);)
		read_item(g, s, item);
	telling_end(g);
}

/* ---- reading events ---- */

enum { EVENT_TYPE,
	EVENT_DELTA,
	EVENT_OUTPUT_INDEX,
	EVENT_ITEM,
	EVENT_RESPONSE,
	EVENT_ARGUMENTS,
	EVENT_SUMMARY_INDEX,
	EVENT_ERROR,
	EVENT_LOGPROBS };
static const struct span event_names[] = {SPAN_INIT("type"), SPAN_INIT("delta"), SPAN_INIT("output_index"), SPAN_INIT("item"), SPAN_INIT("response"),
	SPAN_INIT("arguments"), SPAN_INIT("summary_index"), SPAN_INIT("error"), SPAN_INIT("logprobs")};

static uint32_t
number_of(struct json_source *s, struct json_value v)
{
	struct counts c = {0};
	telling_count(&c, 0, s, v);
	return counts_clamp32(c.value[0]);
}

/* The call of that item; TELLING_CALLS_MAX: none. */
static unsigned
call_of(const struct telling *g, uint32_t item)
{
	const struct blocks_input *in = &g->in.blocks;
	for (unsigned i = 0; i < in->count; i++)
		if (in->items[i].item == item)
			return i;
	return TELLING_CALLS_MAX;
}

static void
read_item_added(struct telling *g, struct json_source *s, const struct json_value *event)
{
	struct blocks_input *in = &g->in.blocks;
	struct json_value v[ARRAY_LEN(item_names)];
	json_members(s, event[EVENT_ITEM], item_names, ARRAY_LEN(item_names), v, NULL);
	if (!json_reads(s, v[ITEM_TYPE], SPAN("function_call")))
		return;
	if (in->count == TELLING_CALLS_MAX) {
		telling_fail(g, TRANSLATE_FULL);
		return;
	}
	in->items[in->count].item = number_of(s, event[EVENT_OUTPUT_INDEX]);
	in->items[in->count].got_args = false;
	telling_tell(g, &(struct tell){.kind = TELL_CALL_START, .call = in->count, .source = s, .id = v[ITEM_CALL_ID], .name = v[ITEM_NAME]});
	in->count++;
}

static void
read_args(struct telling *g, struct json_source *s, const struct json_value *event, struct json_value args, bool done)
{
	unsigned call = call_of(g, number_of(s, event[EVENT_OUTPUT_INDEX]));
	if (call == TELLING_CALLS_MAX || !json_says(args) || (done && g->in.blocks.items[call].got_args))
		return;
	g->in.blocks.items[call].got_args = true;
	telling_tell(g, &(struct tell){.kind = TELL_CALL_ARGS, .call = (uint16_t)call, .source = s, .text = args});
}

static void
read_item_done(struct telling *g, struct json_source *s, const struct json_value *event)
{
	unsigned call = call_of(g, number_of(s, event[EVENT_OUTPUT_INDEX]));
	if (call == TELLING_CALLS_MAX)
		return;
	read_args(g, s, event, telling_member(s, event[EVENT_ITEM], SPAN("arguments")), true);
	telling_tell(g, &(struct tell){.kind = TELL_CALL_END, .call = (uint16_t)call});
}

static void
read_summary_part(struct telling *g, struct json_source *s, const struct json_value *event)
{
	static const char gap[] = "\"\\n\\n\"";
	struct span pieces[] = {{gap, sizeof gap - 1}};
	struct json_source between = json_source(pieces, 1);
	if (number_of(s, event[EVENT_SUMMARY_INDEX]))
		telling_say(g, TELL_THINKING, 0, &between, json_whole_value(&between));
}

static void
responses_event(struct telling *g, struct json_source *s, struct json_value root)
{
	enum { CREATED,
		ADDED,
		TEXT,
		REFUSAL,
		SUMMARY,
		REASONING,
		SUMMARY_PART,
		ARGS,
		ARGS_DONE,
		DONE,
		COMPLETED,
		INCOMPLETE,
		FAILED,
		ERROR };
	static const struct span types[] = {SPAN_INIT("response.created"), SPAN_INIT("response.output_item.added"), SPAN_INIT("response.output_text.delta"),
		SPAN_INIT("response.refusal.delta"), SPAN_INIT("response.reasoning_summary_text.delta"), SPAN_INIT("response.reasoning_text.delta"),
		SPAN_INIT("response.reasoning_summary_part.added"), SPAN_INIT("response.function_call_arguments.delta"),
		SPAN_INIT("response.function_call_arguments.done"), SPAN_INIT("response.output_item.done"), SPAN_INIT("response.completed"),
		SPAN_INIT("response.incomplete"), SPAN_INIT("response.failed"), SPAN_INIT("error")};
	static const uint8_t kinds[] = {[REFUSAL] = TELL_REFUSAL, [SUMMARY] = TELL_THINKING, [REASONING] = TELL_THINKING};
	struct json_value v[ARRAY_LEN(event_names)];
	json_members(s, root, event_names, ARRAY_LEN(event_names), v, NULL);
	unsigned type = telling_word(s, v[EVENT_TYPE], types, ARRAY_LEN(types));
	if (!g->started && type > CREATED && type < COMPLETED) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	switch (type) {
	case CREATED:
		telling_start(g, s, telling_member(s, v[EVENT_RESPONSE], SPAN("id")));
		break;
	case ADDED:
		read_item_added(g, s, v);
		break;
	case TEXT:
		telling_text(g, 0, s, v[EVENT_DELTA], v[EVENT_LOGPROBS]);
		break;
	case REFUSAL:
	case SUMMARY:
	case REASONING:
		telling_say(g, (enum tell_kind)kinds[type], 0, s, v[EVENT_DELTA]);
		break;
	case SUMMARY_PART:
		read_summary_part(g, s, v);
		break;
	case ARGS:
		read_args(g, s, v, v[EVENT_DELTA], false);
		break;
	case ARGS_DONE:
		read_args(g, s, v, v[EVENT_ARGUMENTS], true);
		break;
	case DONE:
		read_item_done(g, s, v);
		break;
	case COMPLETED:
	case INCOMPLETE:
	case FAILED:
		if (read_status(g, s, v[EVENT_RESPONSE]))
			telling_end(g);
		break;
	case ERROR: /* nested as its servers send it, flat as its reference says */
		telling_error(g, s, v[EVENT_ERROR].kind == JSON_OBJECT ? v[EVENT_ERROR] : root, 0);
		break;
	default:
		break;
	}
}

const struct answer_decoder answer_from_responses = {.event = responses_event, .document = responses_document_in};

/* ---- writing: the output, an item at a time, into the rope (streams) or where it goes (documents) ---- */

static struct sink *
output(struct telling *g)
{
	return g->t->facts.streamed ? &g->rope.sink : g->out;
}

static void
add(struct sink *out, const char *words)
{
	sink_add(out, words, strlen(words));
}

/* From that offset of the output on. */
static void
repeat(struct telling *g, uint64_t from, uint64_t end)
{
	struct span pieces[TELLING_PARTS_MAX + 2];
	struct json_source s = json_source(pieces, rope_pieces(&g->rope, pieces));
	sink_value(g->out, &s, (struct json_value){from, end, JSON_OBJECT});
}

static void
write_item_id(struct telling *g, struct sink *out)
{
	static const char *const prefixes[] = {[BLOCK_TEXT] = "msg_", [BLOCK_REFUSAL] = "msg_", [BLOCK_THINKING] = "rs_", [BLOCK_CALL] = "fc_"};
	add(out, "\"");
	add(out, prefixes[g->block]);
	sink_escaped(out, g->t->facts.id);
	add(out, "_");
	sink_u64(out, g->index);
	add(out, "\"");
}

static void
event_begin(struct telling *g, const char *type)
{
	sink_lit(g->out, "event: ");
	add(g->out, type);
	sink_lit(g->out, "\ndata: {\"type\":\"");
	add(g->out, type);
	sink_lit(g->out, "\",\"sequence_number\":");
	sink_u64(g->out, g->sequence++);
}

static void
event_end(struct telling *g)
{
	sink_lit(g->out, "}\n\n");
}

static void
item_event(struct telling *g, const char *type)
{
	event_begin(g, type);
	sink_lit(g->out, ",\"output_index\":");
	sink_u64(g->out, g->index);
}

/* Of a part within the open item. */
static void
part_event(struct telling *g, const char *type)
{
	item_event(g, type);
	sink_lit(g->out, ",\"item_id\":");
	write_item_id(g, g->out);
	if (g->block == BLOCK_THINKING)
		sink_lit(g->out, ",\"summary_index\":0");
	else if (g->block != BLOCK_CALL)
		sink_lit(g->out, ",\"content_index\":0");
}

/* What the kinds of items differ by. */
static const struct item_words {
	const char *begin, *end; /* of the item as it is done, around its text and that one's closing quote */
	const char *part_begin, *part_end; /* of the part, around the text; NULL: it has no parts */
	const char *added, *delta, *done, *part_added, *part_done; /* events */
	const char *member; /* that holds the text in `done` */
} kinds[] = {
	[BLOCK_TEXT] = {"\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"",
		"}]}", "{\"type\":\"output_text\",\"annotations\":[],\"text\":\"", "}",
		"\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}", "response.output_text.delta", "response.output_text.done",
		"response.content_part.added", "response.content_part.done", ",\"text\":\""},
	[BLOCK_REFUSAL] = {"\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"", "}]}",
		"{\"type\":\"refusal\",\"refusal\":\"", "}", "\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}",
		"response.refusal.delta", "response.refusal.done", "response.content_part.added", "response.content_part.done", ",\"refusal\":\""},
	[BLOCK_THINKING] = {"\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"", "}]}", "{\"type\":\"summary_text\",\"text\":\"", "}",
		"\"type\":\"reasoning\",\"summary\":[]}", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
		"response.reasoning_summary_part.added", "response.reasoning_summary_part.done", ",\"text\":\""},
	[BLOCK_CALL] = {"", "}", NULL, NULL, NULL, "response.function_call_arguments.delta", "response.function_call_arguments.done", NULL, NULL,
		",\"arguments\":\""},
};

/* Behind a text: its closing quote, and its log probabilities. */
static void
text_end(struct telling *g, struct sink *out)
{
	struct span pieces[TELLING_PARTS_MAX + 2];
	add(out, "\"");
	if (g->block != BLOCK_TEXT)
		return;
	add(out, ",\"logprobs\":[");
	for (uint32_t i = 0, count = rope_pieces(&g->logprobs, pieces); i < count; i++)
		sink_span(out, pieces[i]);
	add(out, "]");
}

static void
part_around(struct telling *g, const char *type, uint64_t end)
{
	const struct item_words *k = &kinds[g->block];
	if (!k->part_begin)
		return;
	part_event(g, type);
	sink_lit(g->out, ",\"part\":");
	add(g->out, k->part_begin);
	repeat(g, g->text_at, end);
	text_end(g, g->out);
	add(g->out, k->part_end);
	event_end(g);
}

/* The text has ended at `end` of the output. */
static void
say_done(struct telling *g, uint64_t end)
{
	const struct item_words *k = &kinds[g->block];
	part_event(g, k->done);
	add(g->out, k->member);
	repeat(g, g->text_at, end);
	text_end(g, g->out);
	event_end(g);
	part_around(g, k->part_done, end);
	item_event(g, "response.output_item.done");
	sink_lit(g->out, ",\"item\":");
	repeat(g, g->item_at, rope_bytes(&g->rope));
	event_end(g);
}

static void
item_end(struct telling *g)
{
	if (g->block == BLOCK_NONE)
		return;
	if (g->block == BLOCK_CALL && !g->signature_given) /* no arguments came */
		add(output(g), "{}");
	uint64_t end = rope_bytes(&g->rope);
	text_end(g, output(g));
	add(output(g), kinds[g->block].end);
	if (g->t->facts.streamed && !g->rope.sink.full)
		say_done(g, end);
	g->block = BLOCK_NONE;
	g->index++;
}

static void
item_open(struct telling *g, enum block block)
{
	item_end(g);
	rope_drop(&g->logprobs);
	g->block = (uint8_t)block;
	g->signature_given = false;
	if (g->index)
		add(output(g), ",");
	g->item_at = rope_bytes(&g->rope);
	add(output(g), "{\"id\":");
	write_item_id(g, output(g));
	add(output(g), ",");
}

static void
words_open(struct telling *g, enum block block)
{
	const struct item_words *k = &kinds[block];
	item_open(g, block);
	add(output(g), k->begin);
	g->text_at = rope_bytes(&g->rope);
	if (!g->t->facts.streamed)
		return;
	item_event(g, "response.output_item.added");
	sink_lit(g->out, ",\"item\":{\"id\":");
	write_item_id(g, g->out);
	sink_lit(g->out, ",");
	add(g->out, k->added);
	event_end(g);
	part_around(g, k->part_added, g->text_at);
}

static void
write_call(struct telling *g, struct sink *out, const struct tell *what, const char *status)
{
	struct sink *before = g->out;
	add(out, "\"type\":\"function_call\",\"status\":\"");
	add(out, status);
	add(out, "\",\"call_id\":");
	g->out = out;
	telling_call_id(g, what, "call_");
	g->out = before;
	add(out, ",\"name\":");
	telling_string(out, what->source, what->name);
	add(out, ",\"arguments\":\"");
}

static void
call_open(struct telling *g, const struct tell *what)
{
	item_open(g, BLOCK_CALL);
	write_call(g, output(g), what, "completed");
	g->text_at = rope_bytes(&g->rope);
	if (!g->t->facts.streamed)
		return;
	item_event(g, "response.output_item.added");
	sink_lit(g->out, ",\"item\":{\"id\":");
	write_item_id(g, g->out);
	sink_lit(g->out, ",");
	write_call(g, g->out, what, "in_progress");
	sink_lit(g->out, "\"}");
	event_end(g);
}

static void
say(struct telling *g, const struct tell *what)
{
	bool logprobs = !json_is(what->logprobs, JSON_MORE);
	telling_inside(output(g), what->source, what->text);
	g->signature_given = true;
	if (logprobs && rope_bytes(&g->logprobs))
		add(&g->logprobs.sink, ",");
	if (logprobs)
		telling_logprobs(&g->logprobs.sink, what, "[]");
	if (!g->t->facts.streamed)
		return;
	part_event(g, kinds[g->block].delta);
	sink_lit(g->out, ",\"delta\":\"");
	telling_inside(g->out, what->source, what->text);
	sink_lit(g->out, "\"");
	if (g->block == BLOCK_TEXT) {
		sink_lit(g->out, ",\"logprobs\":[");
		if (logprobs)
			telling_logprobs(g->out, what, "[]");
		sink_lit(g->out, "]");
	}
	event_end(g);
}

static void
say_words(struct telling *g, const struct tell *what, enum block block)
{
	if (g->block != block)
		words_open(g, block);
	say(g, what);
}

/* ---- writing the response around it ---- */

static void
write_head(struct telling *g, const char *status, const char *reason)
{
	sink_lit(g->out, "{\"id\":\"");
	telling_id(g, g->out, "resp_");
	sink_lit(g->out, "\",\"object\":\"response\",\"created_at\":");
	sink_u64(g->out, g->t->facts.now_s);
	sink_lit(g->out, ",\"status\":\"");
	add(g->out, status);
	sink_lit(g->out, "\",\"error\":null,\"incomplete_details\":");
	if (reason) {
		sink_lit(g->out, "{\"reason\":\"");
		add(g->out, reason);
		sink_lit(g->out, "\"}");
	} else
		sink_lit(g->out, "null");
	sink_lit(g->out, ",\"instructions\":null,\"max_output_tokens\":null,\"metadata\":{},\"model\":\"");
	sink_escaped(g->out, g->t->facts.model);
	sink_lit(g->out, "\",\"parallel_tool_calls\":true,\"previous_response_id\":null,\"store\":false,\"temperature\":null,\"text\":{\"format\":{\"type\":\"text\"}},"
					 "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,\"truncation\":\"disabled\",\"output\":[");
}

static void
write_tail(struct telling *g, bool usage)
{
	const struct usage *u = &g->usage;
	uint64_t in = telling_tokens_in(u), out = telling_tokens_out(u), written = telling_tokens_written(u);
	if (!usage) {
		sink_lit(g->out, "],\"usage\":null}");
		return;
	}
	sink_lit(g->out, "],\"usage\":{\"input_tokens\":");
	sink_u64(g->out, in);
	sink_lit(g->out, ",\"input_tokens_details\":{\"cached_tokens\":");
	sink_u64(g->out, telling_tokens_cached(u));
	if (written) {
		sink_lit(g->out, ",\"cache_write_tokens\":");
		sink_u64(g->out, written);
	}
	sink_lit(g->out, "},\"output_tokens\":");
	sink_u64(g->out, out);
	sink_lit(g->out, ",\"output_tokens_details\":{\"reasoning_tokens\":");
	sink_u64(g->out, u->tokens[TOKEN_reasoning]);
	sink_lit(g->out, "},\"total_tokens\":");
	sink_u64(g->out, in + out);
	sink_lit(g->out, "}}");
}

static const char *
incomplete(const struct telling *g)
{
	enum finish f = telling_finish_of(g, 0);
	return f == FINISH_LENGTH ? "max_output_tokens" : f == FINISH_FILTER ? "content_filter"
																		 : NULL;
}

/* What a provider says about its filter reads as a refusal. */
static void
say_why(struct telling *g)
{
	struct span pieces[] = {SPAN("\""), {g->why, g->why_len}, SPAN("\"")};
	struct json_source s = json_source(pieces, ARRAY_LEN(pieces));
	if (telling_finish_of(g, 0) == FINISH_FILTER && g->why_len && !g->choices[0].refused)
		say_words(g, &(struct tell){.kind = TELL_REFUSAL, .source = &s, .text = {0, s.bytes, JSON_STRING}}, BLOCK_REFUSAL);
	item_end(g);
}

static void
say_start(struct telling *g)
{
	static const char *const types[] = {"response.created", "response.in_progress"};
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		event_begin(g, types[i]);
		sink_lit(g->out, ",\"response\":");
		write_head(g, "in_progress", NULL);
		write_tail(g, false);
		event_end(g);
	}
}

static void
say_end(struct telling *g)
{
	const char *reason = incomplete(g);
	say_why(g);
	event_begin(g, reason ? "response.incomplete" : "response.completed");
	sink_lit(g->out, ",\"response\":");
	write_head(g, reason ? "incomplete" : "completed", reason);
	repeat(g, 0, rope_bytes(&g->rope));
	write_tail(g, g->usage_given);
	event_end(g);
}

static void
responses_tell(struct telling *g, const struct tell *what)
{
	bool stream = g->t->facts.streamed;
	if (what->choice) /* no request in this language can ask for a second */
		return;
	switch (what->kind) {
	case TELL_START:
		if (stream)
			say_start(g);
		break;
	case TELL_TEXT:
		say_words(g, what, BLOCK_TEXT);
		break;
	case TELL_REFUSAL:
		say_words(g, what, BLOCK_REFUSAL);
		break;
	case TELL_THINKING:
		say_words(g, what, BLOCK_THINKING);
		break;
	case TELL_SIGNATURE:
		break;
	case TELL_CALL: /* of a document */
		call_open(g, what);
		if (json_says(what->text) || json_is(what->text, JSON_OBJECT))
			say(g, what);
		item_end(g);
		break;
	case TELL_CALL_START:
		call_open(g, what);
		break;
	case TELL_CALL_ARGS:
		say(g, what);
		break;
	case TELL_CALL_END:
		item_end(g);
		break;
	case TELL_END:
		if (stream)
			say_end(g);
		break;
	}
	if (g->rope.sink.full || g->logprobs.sink.full)
		telling_fail(g, TRANSLATE_FULL);
}

static void
responses_document_out(struct telling *g)
{
	const char *reason = incomplete(g);
	write_head(g, reason ? "incomplete" : "completed", reason);
	telling_walk(g, responses_tell);
	say_why(g);
	write_tail(g, g->usage_given);
}

const struct answer_encoder answer_to_responses = {.order = ORDER_ONE, .tell = responses_tell, .document = responses_document_out};
