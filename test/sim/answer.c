#include "answer.h"

#include <stdlib.h>

static const char FILLER[] =
	"The quick brown fox jumps over the lazy dog while a patient gateway counts every token that passes by and keeps none of the "
	"words, because the ledger needs numbers and the conversation belongs to the people who have it. ";
static const char PLAIN_TEXT[] =
	"**Holiday Name:** Galaxy Day  \\n\\n**Date:** October 31st, aligning with the night sky's peak viewing of constellations and "
	"celestial events.  \\n\\n**Purpose:** Galaxy Day celebrates the universe's vastness, beauty, and our collective curiosity about "
	"the cosmos. It's a time to honor science, imagination, and our shared human wonder.";
static const char REFUSAL[] = "I'm sorry, but I can't help with that request.";
static const char ARGUMENTS[] =
	"{\\\"location\\\":\\\"San Francisco, \\\\\\\"CA\\\\\\\"\\\",\\\"unit\\\":\\\"celsius\\\",\\\"days\\\":3}";
static const char *const WORDS[] = {
	" the", " quick", " brown", " fox", " jumps", " over", " a", " lazy",
	" dog", ",", " then", " rests", " in", " sunlight", " until", "."};

enum {
	ARGUMENT_PIECE = 7,
	BODY_OVERHEAD = 2048,
};

static bool
on(int64_t key)
{
	return key > 0;
}

static uint64_t
or_default(int64_t key, uint64_t otherwise)
{
	return key >= 0 ? (uint64_t)key : otherwise;
}

static void
copy_word(char *to, size_t cap, struct span from, const char *otherwise)
{
	if (!from.len || from.len >= cap)
		from = (struct span){otherwise, strlen(otherwise)};
	memcpy(to, from.at, from.len);
	to[from.len] = 0;
}

/* ---- what is said ---- */

static struct span
said(const struct sim_run *r)
{
	if (on(r->script.refusal))
		return (struct span){REFUSAL, sizeof REFUSAL - 1};
	return (struct span){r->said, r->said_len};
}

static uint64_t
pieces_of(struct span text, size_t want)
{
	uint64_t pieces = 0;
	while (text.len) {
		size_t n = sim_json_piece(text, want);
		text = (struct span){text.at + n, text.len - n};
		pieces++;
	}
	return pieces;
}

static size_t
piece_want(const struct sim_run *r)
{
	uint64_t chunks = or_default(r->script.chunks, 8);
	size_t len = said(r).len;
	return chunks && len > chunks ? (len + chunks - 1) / chunks : 1;
}

static void
filler(struct text *t, uint64_t from, size_t bytes)
{
	size_t at = from * 7 % (sizeof FILLER - 1);
	while (bytes && !t->cut) {
		size_t n = sizeof FILLER - 1 - at;
		n = n < bytes ? n : bytes;
		text_add(t, FILLER + at, n);
		bytes -= n;
		at = 0;
	}
}

/*
 * Fixed width, so that a reader finds it without a JSON parser and every chunk has the same size.
 */
static void
stamp(struct text *t, uint64_t now_ns)
{
	char digits[22] = "@t";
	for (size_t i = sizeof digits; i-- > 2; now_ns /= 10)
		digits[i] = (char)('0' + now_ns % 10);
	text_add(t, digits, sizeof digits);
}

static void
made_up_piece(const struct sim_run *r, uint64_t index, uint64_t now_ns, struct text *t)
{
	size_t before = t->len;
	if (on(r->script.stamp))
		stamp(t, now_ns);
	size_t have = t->len - before;
	if (r->script.chunk_bytes >= 0)
		filler(t, index, (size_t)r->script.chunk_bytes > have ? (size_t)r->script.chunk_bytes - have : 0);
	else
		text_str(t, WORDS[index % ARRAY_LEN(WORDS)]);
}

/* A stand-in for sound: letters, so that they are base64 as well. What is echoed is `said` as it was written. */
static void
sound(const struct sim_run *r, uint64_t index, size_t bytes, struct text *t)
{
	for (size_t i = 0; i < bytes && !t->cut; i++)
		text_add(t, &"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(index + i) % 26], 1);
}

/* ---- decisions ---- */

static void
decide_content(struct sim_run *r, const struct sim_request *q)
{
	const struct sim_script *s = &r->script;
	r->tool_calls = (uint32_t)or_default(s->tools, q->tool_forced && q->tool.len ? 1 : 0);
	if (on(s->echo) && q->last_user.len && (r->said = malloc(q->last_user.len))) {
		memcpy(r->said, q->last_user.at, q->last_user.len);
		r->said_len = q->last_user.len;
	}
	if (r->tool_calls)
		r->chunks = r->tool_calls * (1 + pieces_of((struct span){ARGUMENTS, sizeof ARGUMENTS - 1}, ARGUMENT_PIECE));
	else if (said(r).len)
		r->chunks = pieces_of(said(r), piece_want(r));
	else
		r->chunks = or_default(s->chunks, 8);
}

static uint64_t
made_up_tokens(const struct sim_run *r)
{
	if (r->stream || r->tool_calls || said(r).len || r->script.chunks >= 0)
		return r->chunks;
	uint64_t bytes = or_default(r->script.body_bytes, sizeof PLAIN_TEXT - 1);
	return (bytes + 3) / 4;
}

/*
 * The request's bound holds for what is made up; what the script asks for is said whatever the
 * request's bound.
 */
static bool
bounded(struct sim_run *r, const struct sim_request *q, uint64_t *tokens)
{
	bool free = r->script.chunks < 0 && r->script.body_bytes < 0 && !r->tool_calls && !said(r).len;
	if (!free || q->max_tokens < 0 || *tokens <= (uint64_t)q->max_tokens)
		return false;
	*tokens = (uint64_t)q->max_tokens;
	r->chunks = r->stream ? *tokens : r->chunks;
	return true;
}

static void
decide_counts(struct sim_run *r, const struct sim_request *q)
{
	const struct sim_script *s = &r->script;
	uint64_t text = (q->text_bytes + 3) / 4, tokens = made_up_tokens(r);
	bool cut = bounded(r, q, &tokens);
	r->prompt_tokens = or_default(s->prompt_tokens, text ? text : 1);
	r->completion_tokens = or_default(s->completion_tokens, tokens * r->n + or_default(s->reasoning, 0));
	r->finish_reason = cut || on(s->length) ? "length" : r->tool_calls ? "tool_calls"
																	   : "stop";
}

void
sim_run_init(struct sim_run *r, const struct sim_request *q, uint64_t id, uint64_t created)
{
	r->id = id;
	r->created = created;
	copy_word(r->model, sizeof r->model, q->model, "gpt-sim");
	copy_word(r->tool, sizeof r->tool, q->tool, "get_weather");
	r->stream = q->stream;
	r->include_usage = q->include_usage;
	r->obfuscation = q->obfuscation;
	r->n = q->n ? q->n : 1;
	decide_content(r, q);
	decide_counts(r, q);
	r->phase = r->speech ? SIM_PHASE_CONTENT : SIM_PHASE_ROLE;
}

void
sim_run_finish(struct sim_run *r)
{
	free(r->said);
	r->said = NULL;
}

/* ---- pieces of JSON that both forms share ---- */

static void
chat_id(struct text *t, const char *prefix, uint64_t id, size_t len)
{
	static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char out[32];
	for (size_t i = 0; i < len; i++) {
		id = id * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		out[i] = ALPHABET[(id >> 33) % (sizeof ALPHABET - 1)];
	}
	text_str(t, prefix);
	text_add(t, out, len);
}

static void
amount(const struct sim_run *r, uint64_t v, struct text *t)
{
	switch (r->script.usage) {
	case SIM_USAGE_zero:
		text_lit(t, "0");
		return;
	case SIM_USAGE_negative:
		text_lit(t, "-");
		text_u64(t, v + 1);
		return;
	case SIM_USAGE_huge:
		text_u64(t, v + UINT64_C(4000000000000000));
		return;
	case SIM_USAGE_overflow:
		text_lit(t, "99999999999999999999");
		return;
	case SIM_USAGE_string:
		text_lit(t, "\"");
		text_u64(t, v);
		text_lit(t, "\"");
		return;
	case SIM_USAGE_plain:
	case SIM_USAGE_none:
	case SIM_USAGE_early:
	case SIM_USAGE_twice:
	case SIM_USAGE_each:
		text_u64(t, v);
		return;
	}
}

static void
usage(const struct sim_run *r, uint64_t completion, struct text *t)
{
	text_lit(t, "{\"prompt_tokens\":");
	amount(r, r->prompt_tokens, t);
	text_lit(t, ",\"completion_tokens\":");
	amount(r, completion, t);
	text_lit(t, ",\"total_tokens\":");
	amount(r, r->prompt_tokens + completion, t);
	text_lit(t, ",\"prompt_tokens_details\":{\"cached_tokens\":");
	text_u64(t, or_default(r->script.cached, 0));
	text_lit(t, ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":");
	text_u64(t, or_default(r->script.reasoning, 0));
	text_lit(t, ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}");
}

/* ---- the plain form ---- */

static void
call_head(const struct sim_run *r, uint32_t call, struct text *t)
{
	chat_id(t, "\"id\":\"call_", ~r->id - call, 24);
	text_lit(t, "\",\"type\":\"function\",\"function\":{\"name\":\"");
	text_str(t, r->tool);
	text_lit(t, "\",\"arguments\":\"");
}

static void
plain_calls(const struct sim_run *r, struct text *t)
{
	text_lit(t, ",\n        \"tool_calls\": [");
	for (uint32_t i = 0; i < r->tool_calls; i++) {
		text_str(t, i ? ",{" : "{");
		call_head(r, i, t);
		text_lit(t, ARGUMENTS);
		text_lit(t, "\"}}");
	}
	text_lit(t, "]");
}

static void
plain_made_up(const struct sim_run *r, size_t room, uint64_t now_ns, struct text *t)
{
	if (on(r->script.stamp))
		stamp(t, now_ns);
	if (r->script.body_bytes >= 0)
		filler(t, 0, room);
	else if (r->script.chunks >= 0)
		for (uint64_t i = 0; i < r->chunks && !t->cut; i++)
			made_up_piece(r, i, now_ns, t);
	else if (strcmp(r->finish_reason, "length") == 0 && r->completion_tokens * 4 < sizeof PLAIN_TEXT - 1)
		filler(t, 0, (size_t)r->completion_tokens * 4); /* PLAIN_TEXT has escapes, which must not be torn */
	else
		text_lit(t, PLAIN_TEXT);
}

static void
plain_content(const struct sim_run *r, size_t room, uint64_t now_ns, struct text *t)
{
	text_lit(t, "\"content\": ");
	if (on(r->script.refusal) || r->tool_calls)
		text_lit(t, "null");
	else {
		text_lit(t, "\"");
		if (r->said_len)
			text_span(t, said(r));
		else
			plain_made_up(r, room, now_ns, t);
		text_lit(t, "\"");
	}
	text_lit(t, ",\n        \"refusal\": ");
	text_str(t, on(r->script.refusal) ? "\"" : "null");
	if (on(r->script.refusal)) {
		text_span(t, said(r));
		text_lit(t, "\"");
	}
}

static void
plain_choice(const struct sim_run *r, uint32_t index, size_t room, uint64_t now_ns, struct text *t)
{
	text_str(t, index ? ",\n    {\n      \"index\": " : "\n    {\n      \"index\": ");
	text_u64(t, index);
	text_lit(t, ",\n      \"message\": {\n        \"role\": \"assistant\",\n        ");
	plain_content(r, room, now_ns, t);
	if (r->tool_calls)
		plain_calls(r, t);
	text_lit(t, ",\n        \"annotations\": []\n      },\n      \"logprobs\": null,\n      \"finish_reason\": \"");
	text_str(t, r->finish_reason);
	text_lit(t, "\"\n    }");
}

static void
plain_body(const struct sim_run *r, size_t room, uint64_t now_ns, struct text *t)
{
	text_lit(t, "{\n  \"id\": ");
	chat_id(t, "\"chatcmpl-", r->id, 29);
	text_lit(t, "\",\n  \"object\": \"chat.completion\",\n  \"created\": ");
	text_u64(t, r->created);
	text_lit(t, ",\n  \"model\": \"");
	text_str(t, r->model);
	text_lit(t, "\",\n  \"choices\": [");
	for (uint32_t i = 0; i < r->n && !t->cut; i++)
		plain_choice(r, i, i ? 0 : room, now_ns, t);
	text_lit(t, "\n  ],\n");
	if (r->script.usage != SIM_USAGE_none) {
		text_lit(t, "  \"usage\": ");
		usage(r, r->completion_tokens, t);
		text_lit(t, ",\n");
	}
	text_lit(t, "  \"service_tier\": \"default\",\n  \"system_fingerprint\": \"fp_de604bd877\"\n}\n");
}

enum { SOUND_BYTES = 3000,
	SOUND_PIECE = 64 };

static size_t
sound_piece(const struct sim_run *r)
{
	return or_default(r->script.chunk_bytes, SOUND_PIECE);
}

/* Audio as such. */
static void
speech_body(const struct sim_run *r, struct text *t)
{
	if (r->said_len)
		text_span(t, said(r));
	else if (r->script.chunks >= 0)
		sound(r, 0, (size_t)r->chunks * sound_piece(r), t);
	else
		sound(r, 0, or_default(r->script.body_bytes, SOUND_BYTES), t);
}

/* A wished size is met exactly: the body is measured with no filler first. */
void
sim_run_body(const struct sim_run *r, uint64_t now_ns, struct text *t)
{
	size_t before = t->len, room = 0;
	if (r->speech) {
		speech_body(r, t);
		return;
	}
	if (r->script.body_bytes >= 0 && !r->said_len && !r->tool_calls) {
		plain_body(r, 0, now_ns, t);
		size_t empty = t->len - before;
		room = (size_t)r->script.body_bytes > empty ? (size_t)r->script.body_bytes - empty : 0;
		t->len = before;
	}
	plain_body(r, room, now_ns, t);
	if (r->script.malformed == SIM_MALFORMED_json && t->len - before > 20)
		t->len -= 20;
}

size_t
sim_run_body_most(const struct sim_run *r)
{
	if (r->speech)
		return BODY_OVERHEAD + r->said_len + SOUND_BYTES + or_default(r->script.body_bytes, 0) + (size_t)r->chunks * sound_piece(r);
	size_t content = or_default(r->script.body_bytes, 0) + r->said_len + sizeof PLAIN_TEXT + r->tool_calls * 400u;
	if (r->script.chunks >= 0)
		content += (size_t)r->chunks * (or_default(r->script.chunk_bytes, 16) + 24);
	return BODY_OVERHEAD + r->n * (content + 512);
}

/* ---- the streamed form ---- */

static void
line_end(const struct sim_run *r, struct text *t)
{
	if (on(r->script.crlf))
		text_lit(t, "\r\n");
	else
		text_lit(t, "\n");
}

static void
chunk_begin(const struct sim_run *r, struct text *t)
{
	text_lit(t, "data: {\"id\":");
	chat_id(t, "\"chatcmpl-", r->id, 29);
	text_lit(t, "\",\"object\":\"chat.completion.chunk\",\"created\":");
	text_u64(t, r->created);
	text_lit(t, ",\"model\":\"");
	text_str(t, r->model);
	text_lit(t, "\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_de604bd877\",\"choices\":[");
}

static void
chunk_end(const struct sim_run *r, struct text *t)
{
	if (r->obfuscation) {
		text_lit(t, ",\"obfuscation\":\"");
		text_add(t, "Qup1BsQ3yhjoJbEF", 4 + r->events * 5 % 12);
		text_lit(t, "\"");
	}
	text_lit(t, "}");
	line_end(r, t);
	line_end(r, t);
}

/* Before the usage chunk, usage is null for who asked for it and absent for who did not. */
static void
chunk_usage(const struct sim_run *r, struct text *t)
{
	if (r->script.usage == SIM_USAGE_each) {
		text_lit(t, ",\"usage\":");
		usage(r, r->completion_tokens * (r->index + 1) / (r->chunks ? r->chunks : 1), t);
	} else if (r->include_usage && r->script.usage != SIM_USAGE_none)
		text_lit(t, ",\"usage\":null");
}

static void
delta_begin(const struct sim_run *r, struct text *t)
{
	chunk_begin(r, t);
	text_lit(t, "{\"index\":");
	text_u64(t, r->choice);
	text_lit(t, ",\"delta\":{");
}

static void
delta_end(const struct sim_run *r, const char *finish_reason, struct text *t)
{
	text_lit(t, "},\"logprobs\":null,\"finish_reason\":");
	if (finish_reason) {
		text_lit(t, "\"");
		text_str(t, finish_reason);
		text_lit(t, "\"}]");
	} else
		text_lit(t, "null}]");
	chunk_usage(r, t);
	chunk_end(r, t);
}

static void
role_event(const struct sim_run *r, struct text *t)
{
	delta_begin(r, t);
	if (r->tool_calls)
		text_lit(t, "\"role\":\"assistant\",\"content\":null,\"refusal\":null");
	else
		text_lit(t, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
	delta_end(r, NULL, t);
}

static struct span
next_argument_piece(const struct sim_run *r)
{
	struct span left = {ARGUMENTS + r->at, sizeof ARGUMENTS - 1 - r->at};
	return (struct span){left.at, sim_json_piece(left, ARGUMENT_PIECE)};
}

static void
call_event(const struct sim_run *r, struct text *t)
{
	delta_begin(r, t);
	text_lit(t, "\"tool_calls\":[{\"index\":");
	text_u64(t, r->call);
	text_lit(t, ",");
	if (r->call_open) {
		text_lit(t, "\"function\":{\"arguments\":\"");
		text_span(t, next_argument_piece(r));
	} else
		call_head(r, r->call, t);
	text_lit(t, "\"}}]");
	delta_end(r, NULL, t);
}

static struct span
next_said_piece(const struct sim_run *r)
{
	struct span all = said(r), left = {all.at + r->at, all.len - r->at};
	return (struct span){left.at, sim_json_piece(left, piece_want(r))};
}

static void
content_event(const struct sim_run *r, uint64_t now_ns, struct text *t)
{
	size_t before = t->len;
	if (r->tool_calls) {
		call_event(r, t);
		return;
	}
	delta_begin(r, t);
	text_str(t, on(r->script.refusal) ? "\"refusal\":\"" : "\"content\":\"");
	if (said(r).len)
		text_span(t, next_said_piece(r));
	else
		made_up_piece(r, r->index, now_ns, t);
	text_lit(t, "\"");
	delta_end(r, NULL, t);
	if (r->script.malformed == SIM_MALFORMED_json && r->index == 1) {
		t->len = before + (t->len - before) / 2;
		line_end(r, t);
		line_end(r, t);
	}
}

static void
content_advance(struct sim_run *r)
{
	if (++r->choice < r->n)
		return;
	r->choice = 0;
	r->index++;
	if (r->tool_calls && !r->call_open)
		r->call_open = true;
	else if (r->tool_calls) {
		r->at += next_argument_piece(r).len;
		if (r->at == sizeof ARGUMENTS - 1) {
			r->call++;
			r->call_open = false;
			r->at = 0;
		}
	} else if (said(r).len)
		r->at += next_said_piece(r).len;
}

static void
usage_event(const struct sim_run *r, uint64_t completion, struct text *t)
{
	chunk_begin(r, t);
	text_lit(t, "],\"usage\":");
	usage(r, completion, t);
	chunk_end(r, t);
}

static void
error_event(const struct sim_run *r, struct text *t)
{
	text_lit(t, "data: {\"error\":{\"message\":"
				"\"The server had an error while processing your request. Sorry about that!\","
				"\"type\":\"server_error\",\"param\":null,\"code\":null}}");
	line_end(r, t);
	line_end(r, t);
}

/*
 * An error object without "data:", over several lines, in the middle of events: seen in recorded
 * streams.
 */
static void
bare_json(const struct sim_run *r, struct text *t)
{
	text_lit(t, "{");
	line_end(r, t);
	text_lit(t, "  \"error\": {\"code\": 503, \"message\": \"The model is overloaded.\", \"status\": \"UNAVAILABLE\"}");
	line_end(r, t);
	text_lit(t, "}");
	line_end(r, t);
	line_end(r, t);
}

static enum sim_phase
after_role(const struct sim_run *r)
{
	return r->script.usage == SIM_USAGE_early ? SIM_PHASE_EARLY_USAGE : SIM_PHASE_CONTENT;
}

static bool
says_usage(const struct sim_run *r)
{
	switch (r->script.usage) {
	case SIM_USAGE_none:
	case SIM_USAGE_early:
	case SIM_USAGE_each:
		return false;
	case SIM_USAGE_plain:
	case SIM_USAGE_zero:
	case SIM_USAGE_negative:
	case SIM_USAGE_huge:
	case SIM_USAGE_overflow:
	case SIM_USAGE_string:
	case SIM_USAGE_twice:
		return r->include_usage;
	}
	return false;
}

static enum sim_phase
before_done(const struct sim_run *r)
{
	return on(r->script.no_done) ? SIM_PHASE_END : SIM_PHASE_DONE;
}

/* Content may be empty, and an error may come before its end. */
static enum sim_phase
content_or_later(const struct sim_run *r)
{
	if (r->script.mid_error >= 0 && r->index >= (uint64_t)r->script.mid_error && r->choice == 0)
		return SIM_PHASE_ERROR;
	return r->index < r->chunks ? SIM_PHASE_CONTENT : SIM_PHASE_FINISH;
}

static void
enter(struct sim_run *r, enum sim_phase phase)
{
	r->phase = phase == SIM_PHASE_CONTENT ? content_or_later(r) : phase;
}

static void
say(struct sim_run *r, uint64_t now_ns, struct text *t)
{
	switch (r->phase) {
	case SIM_PHASE_ROLE:
		role_event(r, t);
		if (++r->choice == r->n) {
			r->choice = 0;
			enter(r, after_role(r));
		}
		return;
	case SIM_PHASE_EARLY_USAGE:
		usage_event(r, 1, t);
		enter(r, SIM_PHASE_CONTENT);
		return;
	case SIM_PHASE_CONTENT:
		content_event(r, now_ns, t);
		content_advance(r);
		enter(r, SIM_PHASE_CONTENT);
		return;
	case SIM_PHASE_ERROR:
		error_event(r, t);
		enter(r, before_done(r));
		return;
	case SIM_PHASE_FINISH:
		delta_begin(r, t);
		delta_end(r, r->finish_reason, t);
		if (++r->choice == r->n) {
			r->choice = 0;
			enter(r, says_usage(r) ? SIM_PHASE_USAGE : before_done(r));
		}
		return;
	case SIM_PHASE_USAGE:
		usage_event(r, r->completion_tokens, t);
		enter(r, r->script.usage == SIM_USAGE_twice ? SIM_PHASE_SECOND_USAGE : before_done(r));
		return;
	case SIM_PHASE_SECOND_USAGE:
		usage_event(r, r->completion_tokens + 1, t);
		enter(r, before_done(r));
		return;
	case SIM_PHASE_DONE:
		text_lit(t, "data: [DONE]");
		line_end(r, t);
		line_end(r, t);
		enter(r, SIM_PHASE_END);
		return;
	case SIM_PHASE_END:
		return;
	}
}

static void
speech_end(const struct sim_run *r, struct text *t)
{
	text_lit(t, "data: {\"type\":\"speech.audio.done\"");
	if (r->script.usage != SIM_USAGE_none) {
		text_lit(t, ",\"usage\":{\"input_tokens\":");
		amount(r, r->prompt_tokens, t);
		text_lit(t, ",\"output_tokens\":");
		amount(r, r->completion_tokens, t);
		text_lit(t, ",\"total_tokens\":");
		amount(r, r->prompt_tokens + r->completion_tokens, t);
		text_lit(t, "}");
	}
	text_lit(t, "}");
	line_end(r, t);
	line_end(r, t);
}

/* Without [DONE]: the last event says that it is the last. */
static void
say_speech(struct sim_run *r, struct text *t)
{
	switch (r->phase == SIM_PHASE_CONTENT ? content_or_later(r) : r->phase) {
	case SIM_PHASE_CONTENT:
		text_lit(t, "data: {\"type\":\"speech.audio.delta\",\"audio\":\"");
		if (said(r).len)
			text_span(t, next_said_piece(r));
		else
			sound(r, r->index, sound_piece(r), t);
		text_lit(t, "\"}");
		line_end(r, t);
		line_end(r, t);
		content_advance(r);
		return;
	case SIM_PHASE_ERROR:
		error_event(r, t);
		break;
	default:
		speech_end(r, t);
		break;
	}
	r->phase = SIM_PHASE_END;
}

bool
sim_run_event(struct sim_run *r, uint64_t now_ns, struct text *t)
{
	if (on(r->script.comments)) {
		text_str(t, r->events ? ": keep-alive" : ": OPENROUTER PROCESSING");
		line_end(r, t);
		line_end(r, t);
	}
	if (r->script.malformed == SIM_MALFORMED_sse && r->events == 2)
		bare_json(r, t);
	if (r->speech)
		say_speech(r, t);
	else
		say(r, now_ns, t);
	r->events++;
	return r->phase != SIM_PHASE_END;
}

uint64_t
sim_run_due_ns(const struct sim_run *r, uint64_t start_ns)
{
	uint64_t gaps = r->phase == SIM_PHASE_CONTENT && r->choice == 0 ? r->index + 1 : 0;
	return start_ns + gaps * sim_script_gap_ns(&r->script);
}
