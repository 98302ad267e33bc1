/*
 * Answers in the language of Gemini (ai.google.dev/api/generate-content).
 *
 * Read: each event is a whole answer with the next pieces in it; calls come whole; a call ends by STOP like anything else; there is no end mark:
 * the stream is whole once it closes after a finishReason or blockReason. Written: an event per piece, with CRLF, or an array of the same; finish
 * and usage in the last. Signatures of thinking that others gave have no place there; those of calls have.
 */
#include "dialect/telling.h"

#include <string.h>

/* ---- reading: numbers ---- */

enum { PROMPT,
	TOOL_PROMPT,
	CACHED,
	CANDIDATES,
	THOUGHTS,
	NUMBERS };
enum { AUDIO,
	IMAGE,
	VIDEO,
	MODALITIES };

struct totals {
	struct counts c;
	uint64_t prompt[MODALITIES], cached[MODALITIES], said[MODALITIES];
};

static void
read_modalities(struct json_source *s, struct json_value list, uint64_t *to)
{
	static const struct span names[] = {SPAN_INIT("modality"), SPAN_INIT("tokenCount")};
	static const struct span words[] = {SPAN_INIT("AUDIO"), SPAN_INIT("IMAGE"), SPAN_INIT("VIDEO")};
	struct json_value entry, v[ARRAY_LEN(names)];
	if (list.kind != JSON_ARRAY)
		return;
	for (struct json_walk w = json_walk(list); json_next_element(s, &w, &entry);) {
		struct counts c = {0};
		json_members(s, entry, names, ARRAY_LEN(names), v, NULL);
		unsigned m = telling_word(s, v[0], words, ARRAY_LEN(words));
		telling_count(&c, 0, s, v[1]);
		if (m < MODALITIES)
			to[m] += c.value[0];
	}
}

static uint64_t
less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static struct usage
usage_of(const struct totals *t)
{
	struct usage u = {.flags = USAGE_REPORTED};
	uint64_t rest = t->c.value[PROMPT] + t->c.value[TOOL_PROMPT], said = t->c.value[CANDIDATES], cached = 0;
	counts_carve(&rest, t->c.value[CACHED], &cached);
	counts_carve(&cached, t->cached[AUDIO], &u.tokens[TOKEN_cached_audio]);
	counts_carve(&cached, t->cached[IMAGE], &u.tokens[TOKEN_cached_image]);
	u.tokens[TOKEN_cached] = cached;
	counts_carve(&rest, less(t->prompt[AUDIO], t->cached[AUDIO]), &u.tokens[TOKEN_audio_in]);
	counts_carve(&rest, less(t->prompt[IMAGE], t->cached[IMAGE]), &u.tokens[TOKEN_image_in]);
	counts_carve(&rest, less(t->prompt[VIDEO], t->cached[VIDEO]), &u.tokens[TOKEN_video_in]);
	u.tokens[TOKEN_input] = rest;
	counts_carve(&said, t->said[AUDIO], &u.tokens[TOKEN_audio_out]);
	counts_carve(&said, t->said[IMAGE], &u.tokens[TOKEN_image_out]);
	u.tokens[TOKEN_output] = said;
	u.tokens[TOKEN_reasoning] = t->c.value[THOUGHTS];
	return u;
}

static void
read_usage(struct telling *g, struct json_source *s, struct json_value object)
{
	static const struct span names[] = {SPAN_INIT("promptTokenCount"), SPAN_INIT("toolUsePromptTokenCount"), SPAN_INIT("cachedContentTokenCount"),
		SPAN_INIT("candidatesTokenCount"), SPAN_INIT("thoughtsTokenCount"), SPAN_INIT("promptTokensDetails"), SPAN_INIT("cacheTokensDetails"),
		SPAN_INIT("candidatesTokensDetails")};
	struct json_value v[ARRAY_LEN(names)];
	struct totals t = {0};
	json_members(s, object, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = 0; i < NUMBERS; i++)
		telling_count(&t.c, i, s, v[i]);
	if (!t.c.given || counts_unusable(&t.c, 1u << PROMPT | 1u << CANDIDATES | 1u << THOUGHTS | 1u << TOOL_PROMPT, 0)) /* Vertex: its trafficType alone */
		return;
	read_modalities(s, v[5], t.prompt);
	read_modalities(s, v[6], t.cached);
	read_modalities(s, v[7], t.said);
	struct usage u = usage_of(&t);
	telling_usage(g, &u);
}

/* ---- reading: what is said ---- */

static void
read_call(struct telling *g, unsigned choice, struct json_source *s, struct json_value call, struct json_value signature)
{
	static const struct span names[] = {SPAN_INIT("id"), SPAN_INIT("name"), SPAN_INIT("args"), SPAN_INIT("willContinue"), SPAN_INIT("partialArgs")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, call, names, ARRAY_LEN(names), v, NULL);
	if (v[3].kind == JSON_TRUE || v[4].kind == JSON_ARRAY) { /* by Vertex, if asked for */
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	telling_tell(g, &(struct tell){.kind = TELL_CALL, .choice = (uint16_t)choice, .call = g->in.calls_of[choice]++, .source = s, .id = v[0], .name = v[1], .text = v[2].kind == JSON_OBJECT ? v[2] : json_absent, .signature = signature});
}

enum { PART_TEXT,
	PART_THOUGHT,
	PART_SIGNATURE,
	PART_CALL,
	PART_FOREIGN };
static const struct span part_names[] = {SPAN_INIT("text"), SPAN_INIT("thought"), SPAN_INIT("thoughtSignature"), SPAN_INIT("functionCall"),
	SPAN_INIT("inlineData"), SPAN_INIT("executableCode"), SPAN_INIT("codeExecutionResult"), SPAN_INIT("fileData")};

static void
read_part(struct telling *g, unsigned choice, struct json_source *s, struct json_value part)
{
	struct json_value v[ARRAY_LEN(part_names)];
	json_members(s, part, part_names, ARRAY_LEN(part_names), v, NULL);
	for (unsigned i = PART_FOREIGN; i < ARRAY_LEN(part_names); i++)
		if (v[i].kind == JSON_OBJECT) /* nothing of the sort was asked for, and nobody else has words for it */
			telling_fail(g, TRANSLATE_MALFORMED);
	if (v[PART_CALL].kind == JSON_OBJECT) {
		read_call(g, choice, s, v[PART_CALL], v[PART_SIGNATURE]);
		return;
	}
	telling_say(g, v[PART_THOUGHT].kind == JSON_TRUE ? TELL_THINKING : TELL_TEXT, choice, s, v[PART_TEXT]);
	telling_say(g, TELL_SIGNATURE, choice, s, v[PART_SIGNATURE]);
}

static void
read_finish(struct telling *g, unsigned choice, struct json_source *s, struct json_value reason, struct json_value message)
{
	enum { FILTERS = 4,
		BROKEN = 14 };
	static const struct span words[] = {SPAN_INIT("STOP"), SPAN_INIT("MAX_TOKENS"), SPAN_INIT("FINISH_REASON_UNSPECIFIED"), SPAN_INIT(""),
		/* filters */ SPAN_INIT("SAFETY"), SPAN_INIT("RECITATION"), SPAN_INIT("BLOCKLIST"), SPAN_INIT("PROHIBITED_CONTENT"), SPAN_INIT("SPII"),
		SPAN_INIT("IMAGE_SAFETY"), SPAN_INIT("IMAGE_PROHIBITED_CONTENT"), SPAN_INIT("IMAGE_RECITATION"), SPAN_INIT("IMAGE_OTHER"), SPAN_INIT("MODEL_ARMOR"),
		/* not an end but a failure */ SPAN_INIT("MALFORMED_FUNCTION_CALL"), SPAN_INIT("UNEXPECTED_TOOL_CALL"), SPAN_INIT("TOO_MANY_TOOL_CALLS")};
	if (reason.kind != JSON_STRING)
		return;
	unsigned word = telling_word(s, reason, words, ARRAY_LEN(words));
	if (word == 2 || word == 3)
		return;
	if (word == 0)
		telling_finish(g, choice, FINISH_STOP, s, json_absent);
	else if (word == 1)
		telling_finish(g, choice, FINISH_LENGTH, s, json_absent);
	else if (word >= FILTERS && word < BROKEN)
		telling_finish(g, choice, FINISH_FILTER, s, json_says(message) ? message : reason);
	else if (word >= BROKEN && word < ARRAY_LEN(words))
		telling_error(g, s, json_says(message) ? message : reason, 502);
	else
		telling_finish(g, choice, FINISH_OTHER, s, reason);
}

static unsigned
index_of(struct json_source *s, struct json_value v)
{
	struct counts c = {0};
	telling_count(&c, 0, s, v);
	return c.value[0] < TELLING_CHOICES_MAX && !c.absurd ? (unsigned)c.value[0] : TELLING_CHOICES_MAX;
}

static void
read_candidate(struct telling *g, struct json_source *s, struct json_value candidate)
{
	static const struct span names[] = {SPAN_INIT("index"), SPAN_INIT("content"), SPAN_INIT("finishReason"), SPAN_INIT("finishMessage"), SPAN_INIT("logprobsResult")};
	struct json_value v[ARRAY_LEN(names)], part;
	json_members(s, candidate, names, ARRAY_LEN(names), v, NULL);
	unsigned choice = index_of(s, v[0]);
	if (choice == TELLING_CHOICES_MAX) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	struct json_value parts = telling_member(s, v[1], SPAN("parts"));
	if (parts.kind == JSON_ARRAY)
		for (struct json_walk w = json_walk(parts); g->result == TRANSLATE_MORE && json_next_element(s, &w, &part);)
			read_part(g, choice, s, part);
	telling_text(g, choice, s, json_absent, v[4]);
	read_finish(g, choice, s, v[2], v[3]);
}

static void
gemini_event(struct telling *g, struct json_source *s, struct json_value root)
{
	static const struct span names[] = {
		SPAN_INIT("error"), SPAN_INIT("responseId"), SPAN_INIT("usageMetadata"), SPAN_INIT("candidates"), SPAN_INIT("promptFeedback")};
	static const struct span feedback[] = {SPAN_INIT("blockReason"), SPAN_INIT("blockReasonMessage")};
	struct json_value v[ARRAY_LEN(names)], block[ARRAY_LEN(feedback)], candidate;
	json_members(s, root, names, ARRAY_LEN(names), v, NULL);
	json_members(s, v[4], feedback, ARRAY_LEN(feedback), block, NULL);
	if (v[0].kind == JSON_OBJECT || json_says(v[0])) {
		telling_error(g, s, v[0], 0);
		return;
	}
	read_usage(g, s, v[2]);
	if (v[3].kind == JSON_ARRAY || json_says(block[0]))
		telling_start(g, s, v[1]);
	if (v[3].kind == JSON_ARRAY)
		for (struct json_walk w = json_walk(v[3]); g->result == TRANSLATE_MORE && json_next_element(s, &w, &candidate);)
			read_candidate(g, s, candidate);
	if (json_says(block[0]))
		telling_finish(g, 0, FINISH_FILTER, s, json_says(block[1]) ? block[1] : block[0]);
}

/* Every candidate that began has finished. */
static void
gemini_closed(struct telling *g)
{
	for (unsigned i = 0; i < g->choice_count; i++)
		if (!g->choices[i].finish)
			return;
	if (g->started && g->choice_count)
		telling_end(g);
}

static void
gemini_document_in(struct telling *g, struct json_source *s, struct json_value root)
{
	gemini_event(g, s, root);
	telling_end(g);
}

const struct answer_decoder answer_from_gemini = {.event = gemini_event, .closed = gemini_closed, .document = gemini_document_in};

/* ---- writing ---- */

static void
add_str(struct telling *g, const char *words)
{
	sink_add(g->out, words, strlen(words));
}

static void
event_begin(struct telling *g)
{
	if (!g->t->facts.as_array)
		sink_lit(g->out, "data: ");
	else if (g->began)
		sink_lit(g->out, ",\r\n");
	else
		sink_lit(g->out, "[");
	g->began = true;
	sink_lit(g->out, "{\"candidates\":[");
}

static void
write_usage(struct telling *g)
{
	const struct usage *u = &g->usage;
	uint64_t in = telling_tokens_in(u), out = telling_tokens_out(u), cached = telling_tokens_cached(u), thought = u->tokens[TOKEN_reasoning];
	sink_lit(g->out, ",\"usageMetadata\":{\"promptTokenCount\":");
	sink_u64(g->out, in);
	if (cached) {
		sink_lit(g->out, ",\"cachedContentTokenCount\":");
		sink_u64(g->out, cached);
	}
	sink_lit(g->out, ",\"candidatesTokenCount\":");
	sink_u64(g->out, out - thought);
	if (thought) {
		sink_lit(g->out, ",\"thoughtsTokenCount\":");
		sink_u64(g->out, thought);
	}
	sink_lit(g->out, ",\"totalTokenCount\":");
	sink_u64(g->out, in + out);
	sink_lit(g->out, "}");
}

static void
write_tail(struct telling *g)
{
	sink_lit(g->out, ",\"modelVersion\":\"");
	sink_escaped(g->out, g->t->facts.model);
	sink_lit(g->out, "\",\"responseId\":\"");
	telling_id(g, g->out, "");
	sink_lit(g->out, "\"}");
}

static void
event_end(struct telling *g)
{
	write_tail(g);
	if (!g->t->facts.as_array)
		sink_lit(g->out, "\r\n\r\n");
}

static void
write_call(struct telling *g, const struct tell *what)
{
	sink_lit(g->out, "{\"functionCall\":{");
	if (json_says(what->id)) {
		sink_lit(g->out, "\"id\":");
		sink_value(g->out, what->source, what->id);
		sink_lit(g->out, ",");
	}
	sink_lit(g->out, "\"name\":");
	telling_string(g->out, what->source, what->name);
	sink_lit(g->out, ",\"args\":");
	telling_object(g->out, what->source, what->text);
	sink_lit(g->out, "}");
	if (json_says(what->signature)) {
		sink_lit(g->out, ",\"thoughtSignature\":");
		sink_value(g->out, what->source, what->signature);
	}
	sink_lit(g->out, "}");
}

static void
write_words_begin(struct telling *g, enum tell_kind kind)
{
	add_str(g, kind == TELL_THINKING ? "{\"thought\":true,\"text\":\"" : "{\"text\":\"");
}

/* OpenAI's entry, or one of those beside it. */
static void
write_candidate(struct telling *g, struct json_source *s, struct json_value entry)
{
	static const struct span names[] = {SPAN_INIT("token"), SPAN_INIT("logprob")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, entry, names, ARRAY_LEN(names), v, NULL);
	sink_lit(g->out, "{\"token\":");
	telling_string(g->out, s, v[0]);
	sink_lit(g->out, ",\"logProbability\":");
	if (v[1].kind == JSON_NUMBER)
		sink_value(g->out, s, v[1]);
	else
		sink_lit(g->out, "0");
	sink_lit(g->out, "}");
}

/* Entries of chosenCandidates, or of topCandidates; g->began: there were some before. */
static void
write_candidates(struct telling *g, const struct tell *what, bool top)
{
	struct json_value entry, other;
	for (struct json_walk w = json_walk(what->logprobs); json_next_element(what->source, &w, &entry);) {
		if (g->began)
			sink_lit(g->out, ",");
		g->began = true;
		if (!top) {
			write_candidate(g, what->source, entry);
			continue;
		}
		struct json_walk others = json_walk(telling_member(what->source, entry, SPAN("top_logprobs")));
		sink_lit(g->out, "{\"candidates\":[");
		for (const char *comma = ""; json_next_element(what->source, &others, &other); comma = ",") {
			add_str(g, comma);
			write_candidate(g, what->source, other);
		}
		sink_lit(g->out, "]}");
	}
}

static void
write_logprobs(struct telling *g, const struct tell *what)
{
	bool began = g->began;
	sink_lit(g->out, ",\"logprobsResult\":{\"chosenCandidates\":[");
	g->began = false;
	write_candidates(g, what, false);
	sink_lit(g->out, "],\"topCandidates\":[");
	g->began = false;
	write_candidates(g, what, true);
	sink_lit(g->out, "]}");
	g->began = began;
}

static void
write_finish(struct telling *g, unsigned choice)
{
	static const char *const words[] = {
		[FINISH_NONE] = "OTHER",
		[FINISH_STOP] = "STOP",
		[FINISH_SEQUENCE] = "STOP",
		[FINISH_LENGTH] = "MAX_TOKENS",
		[FINISH_CALLS] = "STOP",
		[FINISH_REFUSAL] = "STOP",
		[FINISH_FILTER] = "SAFETY",
		[FINISH_OTHER] = "OTHER",
	};
	enum finish f = telling_finish_of(g, choice);
	bool broken = g->choices[choice].broken_call && f != FINISH_LENGTH;
	sink_lit(g->out, ",\"finishReason\":\"");
	add_str(g, broken ? "MALFORMED_FUNCTION_CALL" : words[f]);
	sink_lit(g->out, "\"");
	if (f == FINISH_FILTER && g->why_len) {
		sink_lit(g->out, ",\"finishMessage\":\"");
		sink_add(g->out, g->why, g->why_len);
		sink_lit(g->out, "\"");
	}
	sink_lit(g->out, ",\"index\":");
	sink_u64(g->out, choice);
	sink_lit(g->out, "}");
}

static void
say_end(struct telling *g)
{
	event_begin(g);
	for (unsigned i = 0; i < g->choice_count; i++) {
		if (i)
			sink_lit(g->out, ",");
		sink_lit(g->out, "{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}");
		write_finish(g, i);
	}
	sink_lit(g->out, "]");
	if (g->usage_given)
		write_usage(g);
	event_end(g);
	if (g->t->facts.as_array)
		sink_lit(g->out, "]\r\n");
}

static void
gemini_tell(struct telling *g, const struct tell *what)
{
	if (what->kind == TELL_END) {
		say_end(g);
		return;
	}
	if (what->kind == TELL_START || what->kind == TELL_SIGNATURE)
		return;
	event_begin(g);
	sink_lit(g->out, "{\"content\":{\"parts\":[");
	if (what->kind == TELL_CALL)
		write_call(g, what);
	else {
		write_words_begin(g, what->kind);
		sink_inside(g->out, what->source, what->text);
		sink_lit(g->out, "\"}");
	}
	sink_lit(g->out, "],\"role\":\"model\"}");
	if (what->kind == TELL_TEXT && what->logprobs.kind == JSON_ARRAY)
		write_logprobs(g, what);
	sink_lit(g->out, ",\"index\":");
	sink_u64(g->out, what->choice);
	sink_lit(g->out, "}]");
	event_end(g);
}

/* ---- writing a document: pieces of a kind make one part ---- */

static void
part_end(struct telling *g)
{
	if (g->block == BLOCK_TEXT || g->block == BLOCK_THINKING)
		sink_lit(g->out, "\"}");
	g->block = BLOCK_NONE;
}

static void
add_part(struct telling *g, const struct tell *what)
{
	bool call = what->kind == TELL_CALL, words = what->kind == TELL_TEXT || what->kind == TELL_REFUSAL || what->kind == TELL_THINKING;
	uint8_t block = what->kind == TELL_THINKING ? BLOCK_THINKING : BLOCK_TEXT;
	if (what->choice != g->only_choice || (!call && (!words || !json_says(what->text))))
		return;
	if (call && !telling_is_object(what->source, what->text)) /* cut by the bound on the output, which the finish reason says */
		return;
	if (call || g->block != block) {
		part_end(g);
		if (g->began)
			sink_lit(g->out, ",");
		g->began = true;
		if (call) {
			write_call(g, what);
			return;
		}
		write_words_begin(g, what->kind);
		g->block = block;
	}
	sink_inside(g->out, what->source, what->text);
}

static void
add_chosen(struct telling *g, const struct tell *what)
{
	if (what->kind == TELL_TEXT && what->choice == g->only_choice && what->logprobs.kind == JSON_ARRAY)
		write_candidates(g, what, false);
}

static void
add_top(struct telling *g, const struct tell *what)
{
	if (what->kind == TELL_TEXT && what->choice == g->only_choice && what->logprobs.kind == JSON_ARRAY)
		write_candidates(g, what, true);
}

static void
write_all_logprobs(struct telling *g)
{
	if (!g->choices[g->only_choice].logprobs)
		return;
	g->began = false;
	sink_lit(g->out, ",\"logprobsResult\":{\"chosenCandidates\":[");
	telling_walk(g, add_chosen);
	g->began = false;
	sink_lit(g->out, "],\"topCandidates\":[");
	telling_walk(g, add_top);
	sink_lit(g->out, "]}");
}

static void
gemini_document_out(struct telling *g)
{
	sink_lit(g->out, "{\"candidates\":[");
	for (unsigned i = 0; i < g->choice_count && g->result == TRANSLATE_MORE; i++) {
		if (i)
			sink_lit(g->out, ",");
		sink_lit(g->out, "{\"content\":{\"parts\":[");
		g->only_choice = (uint16_t)i;
		g->began = false;
		telling_walk(g, add_part);
		part_end(g);
		sink_lit(g->out, "],\"role\":\"model\"}");
		write_all_logprobs(g);
		write_finish(g, i);
	}
	sink_lit(g->out, "]");
	if (g->usage_given)
		write_usage(g);
	write_tail(g);
}

const struct answer_encoder answer_to_gemini = {.order = ORDER_WHOLE, .tell = gemini_tell, .document = gemini_document_out};
