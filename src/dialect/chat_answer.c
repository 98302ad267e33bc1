/*
 * Answers in the language of chat completions (platform.openai.com/docs/api-reference/chat), and in that of the many who speak nearly the same:
 * reasoning beside content by two names, content as a list (Mistral), calls without an index (Mistral) or all with the index 0 (Google), usage
 * in any chunk, chunks without choices (Azure, moderation), errors in a chunk or in the body of a 200 (OpenRouter).
 *
 * Written: a role chunk per choice, then what is told; finish, usage if it was asked for, [DONE]. Signatures of thinking have no place there;
 * those of a call go where Google's own chat endpoint has them.
 */
#include "dialect/chat_priv.h"
#include "dialect/telling.h"

#include <string.h>

/* ---- reading: numbers ---- */

static void
read_details(struct json_source *s, struct json_value object, struct counts *c, bool prompt)
{
	static const struct span names[] = {SPAN_INIT("cached_tokens"), SPAN_INIT("cache_write_tokens"), SPAN_INIT("audio_tokens"), SPAN_INIT("image_tokens"),
		SPAN_INIT("reasoning_tokens")};
	static const uint8_t of_prompt[] = {CHAT_USAGE_CACHED, CHAT_USAGE_CACHE_WRITE, CHAT_USAGE_AUDIO_IN, CHAT_USAGE_IMAGE_IN};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, object, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = 0; prompt && i < ARRAY_LEN(of_prompt); i++)
		telling_count(c, of_prompt[i], s, v[i]);
	if (prompt)
		return;
	telling_count(c, CHAT_USAGE_REASONING, s, v[4]);
	telling_count(c, CHAT_USAGE_AUDIO_OUT, s, v[2]);
	telling_count(c, CHAT_USAGE_IMAGE_OUT, s, v[3]);
}

static void
read_usage(struct telling *g, struct json_source *s, struct json_value object)
{
	static const struct span names[] = {SPAN_INIT("prompt_tokens"), SPAN_INIT("completion_tokens"), SPAN_INIT("total_tokens"), SPAN_INIT("cached_tokens"),
		SPAN_INIT("prompt_cache_hit_tokens"), SPAN_INIT("prompt_tokens_details"), SPAN_INIT("completion_tokens_details")};
	static const uint8_t places[] = {CHAT_USAGE_PROMPT, CHAT_USAGE_COMPLETION, CHAT_USAGE_TOTAL, CHAT_USAGE_CACHED_FLAT, CHAT_USAGE_CACHED_FLAT};
	struct json_value v[ARRAY_LEN(names)];
	struct counts c = {0};
	struct usage u;
	if (object.kind != JSON_OBJECT)
		return;
	json_members(s, object, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(places); i++)
		telling_count(&c, places[i], s, v[i]);
	read_details(s, v[5], &c, true);
	read_details(s, v[6], &c, false);
	if (chat_usage_normalise(&c, &u) && u.flags & USAGE_REPORTED)
		telling_usage(g, &u);
}

/* ---- reading: what is said ---- */

static void
read_thoughts(struct telling *g, unsigned choice, struct json_source *s, struct json_value list)
{
	struct json_value part;
	telling_say(g, TELL_THINKING, choice, s, list);
	for (struct json_walk w = json_walk(list); json_next_element(s, &w, &part);)
		telling_say(g, TELL_THINKING, choice, s, telling_member(s, part, SPAN("text")));
}

static void
read_content(struct telling *g, unsigned choice, struct json_source *s, struct json_value content, struct json_value logprobs)
{
	static const struct span names[] = {SPAN_INIT("text"), SPAN_INIT("refusal"), SPAN_INIT("thinking")};
	struct json_value part, v[ARRAY_LEN(names)];
	telling_text(g, choice, s, content.kind == JSON_STRING ? content : json_absent, logprobs);
	if (content.kind != JSON_ARRAY)
		return;
	for (struct json_walk w = json_walk(content); json_next_element(s, &w, &part);) {
		json_members(s, part, names, ARRAY_LEN(names), v, NULL);
		telling_say(g, TELL_TEXT, choice, s, v[0]);
		telling_say(g, TELL_REFUSAL, choice, s, v[1]);
		read_thoughts(g, choice, s, v[2]);
	}
}

static uint32_t
hash_of(struct json_source *s, struct json_value v)
{
	uint32_t h = 2166136261u;
	if (!json_says(v))
		return 0;
	struct json_text_walk w = json_text_walk(v);
	for (struct span part; (part = json_next_text(s, &w)).len;)
		for (size_t i = 0; i < part.len; i++)
			h = (h ^ (unsigned char)part.at[i]) * 16777619u;
	return h ? h : 1;
}

enum { CALL_INDEX,
	CALL_ID,
	CALL_FUNCTION,
	CALL_EXTRA };
static const struct span call_names[] = {SPAN_INIT("index"), SPAN_INIT("id"), SPAN_INIT("function"), SPAN_INIT("extra_content")};

static struct tell
call_of(struct json_source *s, const struct json_value *v, unsigned choice)
{
	struct json_value google = telling_member(s, v[CALL_EXTRA], SPAN("google"));
	return (struct tell){
		.kind = TELL_CALL,
		.choice = (uint16_t)choice,
		.source = s,
		.id = v[CALL_ID],
		.name = telling_member(s, v[CALL_FUNCTION], SPAN("name")),
		.text = telling_member(s, v[CALL_FUNCTION], SPAN("arguments")),
		.signature = telling_member(s, google, SPAN("thought_signature")),
	};
}

static unsigned
small_number(struct json_source *s, struct json_value v, unsigned otherwise)
{
	char room[5];
	size_t len = v.kind == JSON_NUMBER ? json_text(s, v, room, sizeof room) : 0;
	unsigned n = 0;
	if (!len || len > 4)
		return len ? UINT16_MAX : otherwise;
	for (size_t i = 0; i < len; i++) {
		if (room[i] < '0' || room[i] > '9')
			return UINT16_MAX;
		n = n * 10 + (unsigned)(room[i] - '0');
	}
	return n;
}

/* The place of a call in in.chat.calls; a new one when its index, or else its id, was not seen before. */
static unsigned
place_of(struct telling *g, unsigned choice, unsigned index, uint32_t id_hash, bool *ret_new)
{
	struct chat_input *in = &g->in.chat;
	*ret_new = false;
	for (unsigned i = in->count; i-- > 0;) {
		if (in->calls[i].choice != choice || in->calls[i].index != index)
			continue;
		if (id_hash && in->calls[i].id_hash && in->calls[i].id_hash != id_hash)
			continue;
		return i;
	}
	if (in->count == TELLING_CALLS_MAX) {
		telling_fail(g, TRANSLATE_FULL);
		return 0;
	}
	*ret_new = true;
	in->calls[in->count].choice = (uint16_t)choice;
	in->calls[in->count].index = (uint16_t)index;
	in->calls[in->count].id_hash = id_hash;
	return in->count++;
}

static void
read_call_piece(struct telling *g, unsigned choice, struct json_source *s, struct json_value call)
{
	struct json_value v[ARRAY_LEN(call_names)];
	bool is_new;
	json_members(s, call, call_names, ARRAY_LEN(call_names), v, NULL);
	struct tell what = call_of(s, v, choice);
	struct json_value args = what.text;
	what.call = (uint16_t)place_of(g, choice, small_number(s, v[CALL_INDEX], UINT16_MAX - 1), hash_of(s, v[CALL_ID]), &is_new);
	if (is_new) {
		what.kind = TELL_CALL_START;
		what.text = json_absent;
		telling_tell(g, &what);
	}
	what.kind = TELL_CALL_ARGS;
	what.text = args;
	what.signature = json_absent;
	if (json_says(args) || json_is(args, JSON_OBJECT))
		telling_tell(g, &what);
}

static void
read_calls(struct telling *g, unsigned choice, struct json_source *s, struct json_value list, bool whole)
{
	struct json_value call, v[ARRAY_LEN(call_names)];
	for (struct json_walk w = json_walk(list); json_next_element(s, &w, &call);) {
		if (!whole) {
			read_call_piece(g, choice, s, call);
			continue;
		}
		json_members(s, call, call_names, ARRAY_LEN(call_names), v, NULL);
		struct tell what = call_of(s, v, choice);
		what.call = g->in.chat.count++;
		telling_tell(g, &what);
	}
}

/* A message, or the delta of one. */
static void
read_message(struct telling *g, unsigned choice, struct json_source *s, const struct json_value *of_choice, bool whole)
{
	static const struct span names[] = {SPAN_INIT("reasoning_content"), SPAN_INIT("reasoning"), SPAN_INIT("content"), SPAN_INIT("refusal"), SPAN_INIT("tool_calls")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, of_choice[whole ? 2 : 1], names, ARRAY_LEN(names), v, NULL);
	telling_say(g, TELL_THINKING, choice, s, json_says(v[0]) ? v[0] : v[1]);
	read_content(g, choice, s, v[2], telling_member(s, of_choice[5], SPAN("content")));
	telling_say(g, TELL_REFUSAL, choice, s, v[3]);
	read_calls(g, choice, s, v[4], whole);
}

static void
read_finish(struct telling *g, unsigned choice, struct json_source *s, struct json_value v)
{
	static const struct span words[] = {SPAN_INIT("stop"), SPAN_INIT("length"), SPAN_INIT("tool_calls"), SPAN_INIT("function_call"), SPAN_INIT("content_filter"),
		SPAN_INIT("model_length"), SPAN_INIT("error")};
	static const uint8_t finishes[] = {FINISH_STOP, FINISH_LENGTH, FINISH_CALLS, FINISH_CALLS, FINISH_FILTER, FINISH_LENGTH, FINISH_NONE, FINISH_OTHER};
	if (v.kind != JSON_STRING || (choice < TELLING_CHOICES_MAX && g->choices[choice].finish && !g->listener))
		return;
	enum finish f = (enum finish)finishes[telling_word(s, v, words, ARRAY_LEN(words))];
	if (f == FINISH_NONE)
		telling_error_words(g, SPAN("The provider ended the answer by an error."), 502);
	else
		telling_finish(g, choice, f, s, f == FINISH_OTHER ? v : json_absent);
}

static void
read_choice(struct telling *g, struct json_source *s, struct json_value choice, bool whole)
{
	static const struct span names[] = {SPAN_INIT("index"), SPAN_INIT("delta"), SPAN_INIT("message"), SPAN_INIT("finish_reason"), SPAN_INIT("usage"), SPAN_INIT("logprobs")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, choice, names, ARRAY_LEN(names), v, NULL);
	unsigned index = small_number(s, v[0], 0);
	if (index >= TELLING_CHOICES_MAX) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	read_message(g, index, s, v, whole);
	read_usage(g, s, v[4]);
	read_finish(g, index, s, v[3]);
}

static void
read_answer(struct telling *g, struct json_source *s, struct json_value root, bool whole)
{
	static const struct span names[] = {SPAN_INIT("error"), SPAN_INIT("id"), SPAN_INIT("choices"), SPAN_INIT("usage"), SPAN_INIT("x_groq")};
	static const struct span groq[] = {SPAN_INIT("usage"), SPAN_INIT("error")};
	struct json_value v[ARRAY_LEN(names)], of_groq[ARRAY_LEN(groq)], choice;
	json_members(s, root, names, ARRAY_LEN(names), v, NULL);
	json_members(s, v[4], groq, ARRAY_LEN(groq), of_groq, NULL);
	struct json_value error = json_is(v[0], JSON_OBJECT) || json_says(v[0]) ? v[0] : of_groq[1];
	if (json_is(error, JSON_OBJECT) || json_says(error)) {
		telling_error(g, s, error, 0);
		return;
	}
	read_usage(g, s, of_groq[0]);
	read_usage(g, s, v[3]);
	for (struct json_walk w = json_walk(v[2]); g->result == TRANSLATE_MORE && json_next_element(s, &w, &choice);) {
		telling_start(g, s, v[1]);
		read_choice(g, s, choice, whole);
	}
}

static void
chat_event(struct telling *g, struct json_source *s, struct json_value root)
{
	read_answer(g, s, root, false);
}

static void
chat_document_in(struct telling *g, struct json_source *s, struct json_value root)
{
	read_answer(g, s, root, true);
	telling_end(g);
}

const struct answer_decoder answer_from_chat = {.event = chat_event, .mark = telling_end, .document = chat_document_in};

/* ---- writing ---- */

const char *const chat_finish_words[] = {
	[FINISH_NONE] = "stop",
	[FINISH_STOP] = "stop",
	[FINISH_SEQUENCE] = "stop",
	[FINISH_LENGTH] = "length",
	[FINISH_CALLS] = "tool_calls",
	[FINISH_REFUSAL] = "stop",
	[FINISH_FILTER] = "content_filter",
	[FINISH_OTHER] = "stop",
};

static void
add_number(struct sink *out, const char *name, uint64_t n)
{
	sink_add(out, name, strlen(name));
	sink_u64(out, n);
}

void
chat_write_usage(struct sink *out, const struct usage *u)
{
	uint64_t in = telling_tokens_in(u), written = telling_tokens_written(u), said = telling_tokens_out(u);
	add_number(out, "{\"prompt_tokens\":", in);
	add_number(out, ",\"completion_tokens\":", said);
	add_number(out, ",\"total_tokens\":", in + said);
	add_number(out, ",\"prompt_tokens_details\":{\"cached_tokens\":", telling_tokens_cached(u));
	if (written)
		add_number(out, ",\"cache_write_tokens\":", written);
	add_number(out, ",\"audio_tokens\":", u->tokens[TOKEN_audio_in] + u->tokens[TOKEN_cached_audio]);
	if (u->tokens[TOKEN_image_in])
		add_number(out, ",\"image_tokens\":", u->tokens[TOKEN_image_in] + u->tokens[TOKEN_cached_image]);
	add_number(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":", u->tokens[TOKEN_reasoning]);
	add_number(out, ",\"audio_tokens\":", u->tokens[TOKEN_audio_out]);
	sink_lit(out, ",\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}");
}

static void
write_head(struct telling *g, const char *object)
{
	sink_lit(g->out, "{\"id\":\"");
	telling_id(g, g->out, "chatcmpl-");
	sink_lit(g->out, "\",\"object\":\"");
	sink_add(g->out, object, strlen(object));
	sink_lit(g->out, "\",\"created\":");
	sink_u64(g->out, g->t->facts.now_s);
	sink_lit(g->out, ",\"model\":\"");
	sink_escaped(g->out, g->t->facts.model);
	sink_lit(g->out, "\",\"choices\":[");
}

static void
chunk_begin(struct telling *g, unsigned choice)
{
	sink_lit(g->out, "data: ");
	write_head(g, "chat.completion.chunk");
	sink_lit(g->out, "{\"index\":");
	sink_u64(g->out, choice);
	sink_lit(g->out, ",\"delta\":{");
}

static void
chunk_end_with(struct telling *g, const struct tell *what, const char *finish)
{
	sink_lit(g->out, "},\"logprobs\":");
	if (what && !json_is(what->logprobs, JSON_MORE)) {
		sink_lit(g->out, "{\"content\":[");
		telling_logprobs(g->out, what, "null");
		sink_lit(g->out, "],\"refusal\":null}");
	} else
		sink_lit(g->out, "null");
	sink_lit(g->out, ",\"finish_reason\":");
	if (finish) {
		sink_lit(g->out, "\"");
		sink_add(g->out, finish, strlen(finish));
		sink_lit(g->out, "\"}]");
	} else
		sink_lit(g->out, "null}]");
	if (g->t->facts.include_usage)
		sink_lit(g->out, ",\"usage\":null");
	sink_lit(g->out, "}\n\n");
}

static void
chunk_end(struct telling *g, const char *finish)
{
	chunk_end_with(g, NULL, finish);
}

static void
say_role(struct telling *g, unsigned choice)
{
	if (g->roles >> choice & 1)
		return;
	g->roles = (uint16_t)(g->roles | 1u << choice);
	chunk_begin(g, choice);
	sink_lit(g->out, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
	chunk_end(g, NULL);
}

static void
say_words(struct telling *g, const struct tell *what, const char *member)
{
	chunk_begin(g, what->choice);
	sink_add(g->out, member, strlen(member));
	sink_inside(g->out, what->source, what->text);
	sink_lit(g->out, "\"");
	chunk_end_with(g, what, NULL);
}

static void
write_signature(struct telling *g, const struct tell *what)
{
	if (!json_says(what->signature))
		return;
	sink_lit(g->out, ",\"extra_content\":{\"google\":{\"thought_signature\":");
	sink_value(g->out, what->source, what->signature);
	sink_lit(g->out, "}}");
}

static void
write_call_head(struct telling *g, const struct tell *what)
{
	sink_lit(g->out, "\"id\":");
	telling_call_id(g, what, "call_");
	sink_lit(g->out, ",\"type\":\"function\",\"function\":{\"name\":");
	telling_string(g->out, what->source, what->name);
	sink_lit(g->out, ",\"arguments\":\"");
}

static void
say_call(struct telling *g, const struct tell *what)
{
	bool start = what->kind == TELL_CALL_START, none = what->kind == TELL_CALL_END;
	if (none && g->began) /* arguments came */
		return;
	g->began = !start;
	chunk_begin(g, what->choice);
	sink_lit(g->out, "\"tool_calls\":[{\"index\":");
	sink_u64(g->out, what->call);
	sink_lit(g->out, ",");
	if (start)
		write_call_head(g, what);
	else
		sink_lit(g->out, "\"function\":{\"arguments\":\"");
	if (none)
		sink_lit(g->out, "{}");
	else if (!start)
		telling_inside(g->out, what->source, what->text);
	sink_lit(g->out, "\"}");
	if (start)
		write_signature(g, what);
	sink_lit(g->out, "}]");
	chunk_end(g, NULL);
}

/* What the provider says about a filter stands where a refusal would. */
static void
say_finish(struct telling *g, unsigned choice)
{
	enum finish f = telling_finish_of(g, choice);
	say_role(g, choice);
	if (f == FINISH_FILTER && g->why_len && !g->choices[choice].refused) {
		chunk_begin(g, choice);
		sink_lit(g->out, "\"refusal\":\"");
		sink_add(g->out, g->why, g->why_len);
		sink_lit(g->out, "\"");
		chunk_end(g, NULL);
	}
	chunk_begin(g, choice);
	chunk_end(g, chat_finish_words[f]);
}

static void
say_end(struct telling *g)
{
	for (unsigned i = 0; i < g->choice_count; i++)
		say_finish(g, i);
	if (g->t->facts.include_usage && g->usage_given) {
		sink_lit(g->out, "data: ");
		write_head(g, "chat.completion.chunk");
		sink_lit(g->out, "],\"usage\":");
		chat_write_usage(g->out, &g->usage);
		sink_lit(g->out, "}\n\n");
	}
	sink_lit(g->out, "data: [DONE]\n\n");
}

static void
chat_tell(struct telling *g, const struct tell *what)
{
	if (what->kind != TELL_END)
		say_role(g, what->choice);
	switch (what->kind) {
	case TELL_START:
	case TELL_SIGNATURE:
	case TELL_CALL:
		break;
	case TELL_TEXT:
		say_words(g, what, "\"content\":\"");
		break;
	case TELL_REFUSAL:
		say_words(g, what, "\"refusal\":\"");
		break;
	case TELL_THINKING:
		if (g->t->facts.show_reasoning)
			say_words(g, what, "\"reasoning_content\":\"");
		break;
	case TELL_CALL_START:
	case TELL_CALL_ARGS:
	case TELL_CALL_END:
		say_call(g, what);
		break;
	case TELL_END:
		say_end(g);
		break;
	}
}

/* ---- writing a document: a walk per member, as the pieces of each lie scattered ---- */

static void
add_words(struct telling *g, const struct tell *what, enum tell_kind kind, const char *begin)
{
	if (what->kind != kind || what->choice != g->only_choice)
		return;
	if (!g->began)
		sink_add(g->out, begin, strlen(begin));
	g->began = true;
	sink_inside(g->out, what->source, what->text);
}

static void
add_text(struct telling *g, const struct tell *what)
{
	add_words(g, what, TELL_TEXT, ",\"content\":\"");
}

static void
add_logprobs(struct telling *g, const struct tell *what)
{
	if (what->kind != TELL_TEXT || what->choice != g->only_choice || json_is(what->logprobs, JSON_MORE))
		return;
	if (g->began)
		sink_lit(g->out, ",");
	else
		sink_lit(g->out, "{\"content\":[");
	g->began = true;
	telling_logprobs(g->out, what, "null");
}

static void
add_refusal(struct telling *g, const struct tell *what)
{
	add_words(g, what, TELL_REFUSAL, ",\"refusal\":\"");
}

static void
add_thinking(struct telling *g, const struct tell *what)
{
	add_words(g, what, TELL_THINKING, ",\"reasoning_content\":\"");
}

static void
add_call(struct telling *g, const struct tell *what)
{
	if (what->kind != TELL_CALL || what->choice != g->only_choice)
		return;
	if (g->began)
		sink_lit(g->out, ",{");
	else
		sink_lit(g->out, ",\"tool_calls\":[{");
	g->began = true;
	write_call_head(g, what);
	if (json_says(what->text) || json_is(what->text, JSON_OBJECT))
		telling_inside(g->out, what->source, what->text);
	else
		sink_lit(g->out, "{}");
	sink_lit(g->out, "\"}");
	write_signature(g, what);
	sink_lit(g->out, "}");
}

/* The member, or what stands for its absence. */
static void
write_member(struct telling *g, void (*add)(struct telling *g, const struct tell *what), const char *end, const char *none)
{
	g->began = false;
	telling_walk(g, add);
	const char *rest = g->began ? end : none;
	sink_add(g->out, rest, strlen(rest));
}

static void
write_refusal(struct telling *g, enum finish finish)
{
	if (finish == FINISH_FILTER && g->why_len && !g->choices[g->only_choice].refused) {
		sink_lit(g->out, ",\"refusal\":\"");
		sink_add(g->out, g->why, g->why_len);
		sink_lit(g->out, "\"");
	} else
		write_member(g, add_refusal, "\"", ",\"refusal\":null");
}

static void
write_choice(struct telling *g, unsigned choice)
{
	enum finish f = telling_finish_of(g, choice);
	g->only_choice = (uint16_t)choice;
	if (choice)
		sink_lit(g->out, ",");
	sink_lit(g->out, "{\"index\":");
	sink_u64(g->out, choice);
	sink_lit(g->out, ",\"message\":{\"role\":\"assistant\"");
	write_member(g, add_text, "\"", g->choices[choice].called || f == FINISH_REFUSAL ? ",\"content\":null" : ",\"content\":\"\"");
	write_refusal(g, f);
	if (g->t->facts.show_reasoning)
		write_member(g, add_thinking, "\"", "");
	write_member(g, add_call, "]", "");
	sink_lit(g->out, "},\"logprobs\":");
	write_member(g, add_logprobs, "],\"refusal\":null}", "null");
	sink_lit(g->out, ",\"finish_reason\":\"");
	sink_add(g->out, chat_finish_words[f], strlen(chat_finish_words[f]));
	sink_lit(g->out, "\"}");
}

static void
chat_document_out(struct telling *g)
{
	write_head(g, "chat.completion");
	for (unsigned i = 0; i < g->choice_count && g->result == TRANSLATE_MORE; i++)
		write_choice(g, i);
	sink_lit(g->out, "]");
	if (g->usage_given) {
		sink_lit(g->out, ",\"usage\":");
		chat_write_usage(g->out, &g->usage);
	}
	sink_lit(g->out, "}");
}

const struct answer_encoder answer_to_chat = {.order = ORDER_FREE, .tell = chat_tell, .document = chat_document_out};
