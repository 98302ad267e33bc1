/*
 * Answers in the language of Anthropic's messages (platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming).
 *
 * Read: message_start may come twice, also in mid-stream; blocks of kinds that nobody asked for are passed over, redacted thinking as well (it is
 * of use to its provider only). Written: one block at a time; message_delta waits for the usage. Each thinking ends by a signature: the
 * provider's, or TRANSLATE_UNSIGNED. Gemini's signature of a call stands as that of the thinking before it, an empty one if need be.
 */
#include "dialect/telling.h"

#include <string.h>

/* ---- reading: numbers. A number that an event leaves out stays as it was; the two hours of cache writes come in the first event only. ---- */

static void
read_usage(struct telling *g, struct json_source *s, struct json_value object)
{
	enum { INPUT,
		READ,
		WRITE,
		OUTPUT,
		WRITE_1H,
		THINKING };
	static const struct span names[] = {SPAN_INIT("input_tokens"), SPAN_INIT("cache_read_input_tokens"), SPAN_INIT("cache_creation_input_tokens"),
		SPAN_INIT("output_tokens"), SPAN_INIT("cache_creation"), SPAN_INIT("output_tokens_details")};
	struct json_value v[ARRAY_LEN(names)];
	struct counts c = {0};
	struct usage u = g->usage;
	if (object.kind != JSON_OBJECT)
		return;
	json_members(s, object, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = INPUT; i <= OUTPUT; i++)
		telling_count(&c, i, s, v[i]);
	telling_count(&c, WRITE_1H, s, telling_member(s, v[4], SPAN("ephemeral_1h_input_tokens")));
	telling_count(&c, THINKING, s, telling_member(s, v[5], SPAN("thinking_tokens")));
	if (counts_unusable(&c, 1u << INPUT | 1u << OUTPUT | 1u << READ | 1u << WRITE, 0))
		return;
	uint64_t writes = counts_given(&c, WRITE) ? c.value[WRITE] : telling_tokens_written(&u);
	uint64_t hour = counts_given(&c, WRITE_1H) ? c.value[WRITE_1H] : u.tokens[TOKEN_cache_write_1h];
	uint64_t output = counts_given(&c, OUTPUT) ? c.value[OUTPUT] : telling_tokens_out(&u);
	uint64_t thought = counts_given(&c, THINKING) ? c.value[THINKING] : u.tokens[TOKEN_reasoning];
	if (counts_given(&c, INPUT))
		u.tokens[TOKEN_input] = c.value[INPUT];
	if (counts_given(&c, READ))
		u.tokens[TOKEN_cached] = c.value[READ];
	counts_carve(&writes, hour, &u.tokens[TOKEN_cache_write_1h]);
	u.tokens[TOKEN_cache_write] = writes;
	counts_carve(&output, thought, &u.tokens[TOKEN_reasoning]);
	u.tokens[TOKEN_output] = output;
	telling_usage(g, &u);
}

/* ---- reading: events ---- */

static const struct span stop_names[] = {SPAN_INIT("stop_reason"), SPAN_INIT("stop_sequence"), SPAN_INIT("stop_details")};

/* Of a message, or of message_delta's delta. */
static void
read_stop(struct telling *g, struct json_source *s, struct json_value object)
{
	static const struct span words[] = {SPAN_INIT("end_turn"), SPAN_INIT("max_tokens"), SPAN_INIT("stop_sequence"), SPAN_INIT("tool_use"), SPAN_INIT("refusal"),
		SPAN_INIT("model_context_window_exceeded"), SPAN_INIT("pause_turn")};
	static const uint8_t finishes[] = {FINISH_STOP, FINISH_LENGTH, FINISH_SEQUENCE, FINISH_CALLS, FINISH_FILTER, FINISH_LENGTH, FINISH_NONE, FINISH_OTHER};
	struct json_value v[ARRAY_LEN(stop_names)], why = json_absent;
	json_members(s, object, stop_names, ARRAY_LEN(stop_names), v, NULL);
	if (v[0].kind != JSON_STRING)
		return;
	enum finish f = (enum finish)finishes[telling_word(s, v[0], words, ARRAY_LEN(words))];
	if (f == FINISH_SEQUENCE)
		why = v[1];
	else if (f == FINISH_FILTER)
		why = telling_member(s, v[2], SPAN("explanation"));
	else if (f == FINISH_OTHER)
		why = v[0];
	if (f == FINISH_NONE) /* only tools of the provider's own pause a turn, and those were not asked for */
		telling_error_words(g, SPAN("The provider paused the turn."), 502);
	else
		telling_finish(g, 0, f, s, why);
}

static void
read_block_end(struct telling *g)
{
	struct blocks_input *in = &g->in.blocks;
	if (in->block == BLOCK_CALL)
		telling_tell(g, &(struct tell){.kind = TELL_CALL_END, .call = (uint16_t)(in->count - 1)});
	in->block = BLOCK_NONE;
}

enum { BLOCK_TYPE,
	BLOCK_TEXT_OF,
	BLOCK_THINKING_OF,
	BLOCK_SIGNATURE,
	BLOCK_ID,
	BLOCK_NAME,
	BLOCK_INPUT };
static const struct span block_names[] = {SPAN_INIT("type"), SPAN_INIT("text"), SPAN_INIT("thinking"), SPAN_INIT("signature"), SPAN_INIT("id"), SPAN_INIT("name"),
	SPAN_INIT("input")};

static enum block
block_kind(struct json_source *s, struct json_value type)
{
	static const struct span words[] = {SPAN_INIT("text"), SPAN_INIT("thinking"), SPAN_INIT("tool_use")};
	static const uint8_t kinds[] = {BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_OTHER};
	return (enum block)kinds[telling_word(s, type, words, ARRAY_LEN(words))];
}

/* A block that is all there, or the beginning of one. */
static void
read_block(struct telling *g, struct json_source *s, struct json_value block, bool whole)
{
	struct blocks_input *in = &g->in.blocks;
	struct json_value v[ARRAY_LEN(block_names)];
	json_members(s, block, block_names, ARRAY_LEN(block_names), v, NULL);
	in->block = (uint8_t)block_kind(s, v[BLOCK_TYPE]);
	if (in->block == BLOCK_TEXT)
		telling_say(g, TELL_TEXT, 0, s, v[BLOCK_TEXT_OF]);
	else if (in->block == BLOCK_THINKING) {
		telling_say(g, TELL_THINKING, 0, s, v[BLOCK_THINKING_OF]);
		telling_say(g, TELL_SIGNATURE, 0, s, v[BLOCK_SIGNATURE]);
	} else if (in->block == BLOCK_CALL) {
		struct tell what = {.kind = whole ? TELL_CALL : TELL_CALL_START, .call = in->count, .source = s, .id = v[BLOCK_ID], .name = v[BLOCK_NAME]};
		struct json_value empty, key, input = v[BLOCK_INPUT];
		struct json_walk w = json_walk(input);
		what.text = whole ? input : json_absent;
		if (in->count++ == TELLING_CALLS_MAX)
			telling_fail(g, TRANSLATE_FULL);
		telling_tell(g, &what);
		if (!whole && json_next_member(s, &w, &key, &empty)) {
			what.kind = TELL_CALL_ARGS;
			what.text = input;
			telling_tell(g, &what);
		}
	}
}

static void
read_delta(struct telling *g, struct json_source *s, struct json_value delta)
{
	static const struct span names[] = {SPAN_INIT("text"), SPAN_INIT("thinking"), SPAN_INIT("signature"), SPAN_INIT("partial_json")};
	struct blocks_input *in = &g->in.blocks;
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, delta, names, ARRAY_LEN(names), v, NULL);
	if (in->block == BLOCK_TEXT)
		telling_say(g, TELL_TEXT, 0, s, v[0]);
	else if (in->block == BLOCK_THINKING) {
		telling_say(g, TELL_THINKING, 0, s, v[1]);
		telling_say(g, TELL_SIGNATURE, 0, s, v[2]);
	} else if (in->block == BLOCK_CALL && json_says(v[3]))
		telling_tell(g, &(struct tell){.kind = TELL_CALL_ARGS, .call = (uint16_t)(in->count - 1), .source = s, .text = v[3]});
}

static void
read_start(struct telling *g, struct json_source *s, struct json_value message)
{
	static const struct span names[] = {SPAN_INIT("id"), SPAN_INIT("usage")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, message, names, ARRAY_LEN(names), v, NULL);
	g->usage = (struct usage){0};
	read_block_end(g);
	read_usage(g, s, v[1]);
	telling_start(g, s, v[0]);
}

enum { EVENT_TYPE,
	EVENT_MESSAGE,
	EVENT_BLOCK,
	EVENT_DELTA,
	EVENT_USAGE,
	EVENT_ERROR };
static const struct span event_names[] = {SPAN_INIT("type"), SPAN_INIT("message"), SPAN_INIT("content_block"), SPAN_INIT("delta"), SPAN_INIT("usage"),
	SPAN_INIT("error")};

static void
messages_event(struct telling *g, struct json_source *s, struct json_value root)
{
	enum { START,
		BLOCK_START,
		BLOCK_DELTA,
		BLOCK_STOP,
		DELTA,
		STOP,
		ERROR };
	static const struct span words[] = {SPAN_INIT("message_start"), SPAN_INIT("content_block_start"), SPAN_INIT("content_block_delta"),
		SPAN_INIT("content_block_stop"), SPAN_INIT("message_delta"), SPAN_INIT("message_stop"), SPAN_INIT("error")};
	struct json_value v[ARRAY_LEN(event_names)];
	json_members(s, root, event_names, ARRAY_LEN(event_names), v, NULL);
	unsigned type = telling_word(s, v[EVENT_TYPE], words, ARRAY_LEN(words));
	if (!g->started && (type == BLOCK_START || type == BLOCK_DELTA || type == DELTA)) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	switch (type) {
	case START:
		read_start(g, s, v[EVENT_MESSAGE]);
		break;
	case BLOCK_START:
		read_block_end(g);
		read_block(g, s, v[EVENT_BLOCK], false);
		break;
	case BLOCK_DELTA:
		read_delta(g, s, v[EVENT_DELTA]);
		break;
	case BLOCK_STOP:
		read_block_end(g);
		break;
	case DELTA:
		read_usage(g, s, v[EVENT_USAGE]);
		read_stop(g, s, v[EVENT_DELTA]);
		break;
	case STOP:
		read_block_end(g);
		telling_end(g);
		break;
	case ERROR:
		telling_error(g, s, v[EVENT_ERROR], 0);
		break;
	default: /* ping, and what may yet be invented */
		break;
	}
}

static void
messages_document_in(struct telling *g, struct json_source *s, struct json_value root)
{
	static const struct span names[] = {SPAN_INIT("id"), SPAN_INIT("content"), SPAN_INIT("usage"), SPAN_INIT("error")};
	struct json_value v[ARRAY_LEN(names)], block;
	json_members(s, root, names, ARRAY_LEN(names), v, NULL);
	if (json_is(v[3], JSON_OBJECT) || json_says(v[3])) {
		telling_error(g, s, v[3], 0);
		return;
	}
	if (v[1].kind != JSON_ARRAY) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	g->usage = (struct usage){0};
	read_usage(g, s, v[2]);
	telling_start(g, s, v[0]);
	for (struct json_walk w = json_walk(v[1]); g->result == TRANSLATE_MORE && json_next_element(s, &w, &block);)
		read_block(g, s, block, true);
	read_stop(g, s, root);
	telling_end(g);
}

const struct answer_decoder answer_from_messages = {.event = messages_event, .document = messages_document_in};

/* ---- writing: blocks, as events or as elements of a list ---- */

static void
add_str(struct telling *g, const char *words)
{
	sink_add(g->out, words, strlen(words));
}

static void
event_begin(struct telling *g, const char *type, const char *rest)
{
	sink_lit(g->out, "event: ");
	add_str(g, type);
	sink_lit(g->out, "\ndata: {\"type\":\"");
	add_str(g, type);
	sink_lit(g->out, "\"");
	add_str(g, rest);
}

static void
block_event(struct telling *g, const char *type, const char *rest)
{
	event_begin(g, type, ",\"index\":");
	sink_u64(g->out, g->index);
	add_str(g, rest);
}

static void
delta_begin(struct telling *g, const char *kind)
{
	block_event(g, "content_block_delta", ",\"delta\":{\"type\":\"");
	add_str(g, kind);
}

static void
delta_end(struct telling *g)
{
	sink_lit(g->out, "\"}}\n\n");
}

static void
sign(struct telling *g, struct json_source *s, struct json_value signature)
{
	bool stream = g->t->facts.streamed;
	if (stream)
		delta_begin(g, "signature_delta\",\"signature\":\"");
	else
		sink_lit(g->out, "\",\"signature\":\"");
	if (signature.kind == JSON_STRING)
		sink_inside(g->out, s, signature);
	else
		sink_lit(g->out, TRANSLATE_UNSIGNED);
	if (stream)
		delta_end(g);
	g->signature_given = true;
}

static void
block_end(struct telling *g)
{
	if (g->block == BLOCK_NONE)
		return;
	if (g->block == BLOCK_THINKING && !g->signature_given)
		sign(g, NULL, json_absent);
	if (g->t->facts.streamed)
		block_event(g, "content_block_stop", "}\n\n");
	else if (g->block == BLOCK_CALL)
		sink_lit(g->out, "}");
	else
		sink_lit(g->out, "\"}");
	g->block = BLOCK_NONE;
	g->index++;
}

/* Leaves a string open in a document; in a stream it is closed at once. */
static void
block_begin(struct telling *g, enum block block)
{
	bool stream = g->t->facts.streamed, text = block == BLOCK_TEXT;
	if (g->block == block)
		return;
	block_end(g);
	g->block = (uint8_t)block;
	g->signature_given = false;
	if (!stream) {
		if (g->index)
			sink_lit(g->out, ",");
		add_str(g, text ? "{\"type\":\"text\",\"text\":\"" : "{\"type\":\"thinking\",\"thinking\":\"");
		return;
	}
	block_event(g, "content_block_start", ",\"content_block\":");
	add_str(g, text ? "{\"type\":\"text\",\"text\":\"\"}}\n\n" : "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n");
}

static void
say(struct telling *g, const struct tell *what, enum block block, const char *delta)
{
	block_begin(g, block);
	if (g->t->facts.streamed)
		delta_begin(g, delta);
	sink_inside(g->out, what->source, what->text);
	if (g->t->facts.streamed)
		delta_end(g);
}

static void
write_call_head(struct telling *g, const struct tell *what)
{
	if (json_says(what->signature)) {
		block_begin(g, BLOCK_THINKING);
		sign(g, what->source, what->signature);
	}
	block_end(g);
	g->block = BLOCK_CALL;
	if (g->t->facts.streamed)
		block_event(g, "content_block_start", ",\"content_block\":");
	else if (g->index)
		sink_lit(g->out, ",");
	sink_lit(g->out, "{\"type\":\"tool_use\",\"id\":");
	telling_call_id(g, what, "toolu_");
	sink_lit(g->out, ",\"name\":");
	telling_string(g->out, what->source, what->name);
	sink_lit(g->out, ",\"input\":");
}

static void
write_usage(struct telling *g, bool start)
{
	const struct usage *u = &g->usage;
	uint64_t cached = telling_tokens_cached(u), written = telling_tokens_written(u);
	sink_lit(g->out, "{\"input_tokens\":");
	sink_u64(g->out, telling_tokens_in(u) - cached - written);
	sink_lit(g->out, ",\"cache_creation_input_tokens\":");
	sink_u64(g->out, written);
	sink_lit(g->out, ",\"cache_read_input_tokens\":");
	sink_u64(g->out, cached);
	sink_lit(g->out, ",\"output_tokens\":");
	sink_u64(g->out, start ? 0 : telling_tokens_out(u));
	if (!start && u->tokens[TOKEN_reasoning]) {
		sink_lit(g->out, ",\"output_tokens_details\":{\"thinking_tokens\":");
		sink_u64(g->out, u->tokens[TOKEN_reasoning]);
		sink_lit(g->out, "}");
	}
	sink_lit(g->out, "}");
}

static void
write_stop(struct telling *g)
{
	static const char *const words[] = {
		[FINISH_NONE] = "end_turn",
		[FINISH_STOP] = "end_turn",
		[FINISH_SEQUENCE] = "stop_sequence",
		[FINISH_LENGTH] = "max_tokens",
		[FINISH_CALLS] = "tool_use",
		[FINISH_REFUSAL] = "refusal",
		[FINISH_FILTER] = "refusal",
		[FINISH_OTHER] = "end_turn",
	};
	enum finish f = telling_finish_of(g, 0);
	sink_lit(g->out, "\"stop_reason\":\"");
	add_str(g, words[f]);
	sink_lit(g->out, "\",\"stop_sequence\":null");
	if (f == FINISH_REFUSAL || f == FINISH_FILTER) {
		sink_lit(g->out, ",\"stop_details\":{\"type\":\"refusal\",\"category\":null,\"explanation\":");
		if (g->why_len) {
			sink_lit(g->out, "\"");
			sink_add(g->out, g->why, g->why_len);
			sink_lit(g->out, "\"}");
		} else
			sink_lit(g->out, "null}");
	}
}

static void
write_message_head(struct telling *g)
{
	sink_lit(g->out, "{\"id\":\"");
	telling_id(g, g->out, "msg_");
	sink_lit(g->out, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"");
	sink_escaped(g->out, g->t->facts.model);
	sink_lit(g->out, "\",\"content\":[");
}

static void
say_start(struct telling *g)
{
	event_begin(g, "message_start", ",\"message\":");
	write_message_head(g);
	sink_lit(g->out, "],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
	write_usage(g, true);
	sink_lit(g->out, "}}\n\n");
}

static void
say_end(struct telling *g)
{
	block_end(g);
	event_begin(g, "message_delta", ",\"delta\":{");
	write_stop(g);
	sink_lit(g->out, "},\"usage\":");
	write_usage(g, false);
	sink_lit(g->out, "}\n\n");
	event_begin(g, "message_stop", "}\n\n");
}

static void
messages_tell(struct telling *g, const struct tell *what)
{
	bool stream = g->t->facts.streamed;
	if (what->choice) /* no request to this language can ask for a second */
		return;
	switch (what->kind) {
	case TELL_START:
		if (stream)
			say_start(g);
		break;
	case TELL_TEXT: /* without log probabilities: there is no way to ask for them */
	case TELL_REFUSAL:
		if (json_says(what->text))
			say(g, what, BLOCK_TEXT, "text_delta\",\"text\":\"");
		break;
	case TELL_THINKING:
		if (g->block == BLOCK_THINKING && g->signature_given)
			block_end(g);
		say(g, what, BLOCK_THINKING, "thinking_delta\",\"thinking\":\"");
		break;
	case TELL_SIGNATURE:
		if (g->block == BLOCK_THINKING && !g->signature_given)
			sign(g, what->source, what->text);
		break;
	case TELL_CALL: /* of a document */
		if (!telling_is_object(what->source, what->text)) /* the bound on the output cut it, and the stop reason says so */
			break;
		write_call_head(g, what);
		telling_object(g->out, what->source, what->text);
		break;
	case TELL_CALL_START:
		write_call_head(g, what);
		sink_lit(g->out, "{}}}\n\n");
		break;
	case TELL_CALL_ARGS:
		delta_begin(g, "input_json_delta\",\"partial_json\":\"");
		telling_inside(g->out, what->source, what->text);
		delta_end(g);
		break;
	case TELL_CALL_END:
		block_end(g);
		break;
	case TELL_END:
		if (stream)
			say_end(g);
		break;
	}
}

static void
messages_document_out(struct telling *g)
{
	write_message_head(g);
	telling_walk(g, messages_tell);
	block_end(g);
	sink_lit(g->out, "],");
	write_stop(g);
	sink_lit(g->out, ",\"usage\":");
	write_usage(g, false);
	sink_lit(g->out, "}");
}

const struct answer_encoder answer_to_messages = {.order = ORDER_ONE, .tell = messages_tell, .document = messages_document_out};
