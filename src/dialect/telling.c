#include "dialect/telling.h"

#include <assert.h>
#include <string.h>

_Static_assert(sizeof(struct telling) <= TRANSLATE_STATE_MAX, "the state fits its room");

static struct telling *
state_of(struct translation *t)
{
	return (struct telling *)(void *)t->state;
}

static const struct answer_decoder *const decoders[LANGUAGE_COUNT] = {
	[LANGUAGE_CHAT] = &answer_from_chat,
	[LANGUAGE_RESPONSES] = &answer_from_responses,
	[LANGUAGE_MESSAGES] = &answer_from_messages,
	[LANGUAGE_GEMINI] = &answer_from_gemini,
};

static const struct answer_encoder *const encoders[LANGUAGE_ALL] = {
	[LANGUAGE_CHAT] = &answer_to_chat,
	[LANGUAGE_RESPONSES] = &answer_to_responses,
	[LANGUAGE_MESSAGES] = &answer_to_messages,
	[LANGUAGE_GEMINI] = &answer_to_gemini,
	[LANGUAGE_COMPLETIONS] = &answer_to_completions,
};

/* ---- what decoders say ---- */

void
telling_fail(struct telling *g, enum translate_result why)
{
	if (g->result == TRANSLATE_MORE)
		g->result = why;
}

void
telling_tell(struct telling *g, const struct tell *what)
{
	if (g->result != TRANSLATE_MORE || g->ended)
		return;
	if (what->choice >= TELLING_CHOICES_MAX) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	struct telling_choice *c = &g->choices[what->choice];
	if (what->choice >= g->choice_count)
		g->choice_count = (uint8_t)(what->choice + 1);
	bool call = what->kind >= TELL_CALL && what->kind <= TELL_CALL_END;
	c->said |= what->kind == TELL_TEXT || what->kind == TELL_THINKING || what->kind == TELL_REFUSAL || call;
	c->refused |= what->kind == TELL_REFUSAL;
	c->logprobs |= what->kind == TELL_TEXT && what->logprobs.kind == JSON_ARRAY;
	c->called |= call;
	if (g->listener)
		g->listener(g, what);
	else if (call)
		calls_tell(g, what);
	else {
		calls_close(g);
		if (g->result == TRANSLATE_MORE)
			g->to->tell(g, what);
	}
	if (g->out->full)
		telling_fail(g, TRANSLATE_FULL);
}

void
telling_say(struct telling *g, enum tell_kind kind, unsigned choice, struct json_source *s, struct json_value text)
{
	if (json_says(text))
		telling_tell(g, &(struct tell){.kind = kind, .choice = (uint16_t)(choice < UINT16_MAX ? choice : UINT16_MAX), .source = s, .text = text});
}

void
telling_text(struct telling *g, unsigned choice, struct json_source *s, struct json_value text, struct json_value logprobs)
{
	struct json_value first, key;
	struct json_walk w = json_walk(logprobs);
	bool some = logprobs.kind == JSON_ARRAY ? json_next_element(s, &w, &first) : logprobs.kind == JSON_OBJECT && json_next_member(s, &w, &key, &first);
	if (some)
		telling_tell(g, &(struct tell){.kind = TELL_TEXT, .choice = (uint16_t)(choice < UINT16_MAX ? choice : UINT16_MAX), .source = s, .text = text, .logprobs = logprobs});
	else
		telling_say(g, TELL_TEXT, choice, s, text);
}

/* The id is kept if it is of the kind that ids are: no escaping, no surprise in a header. */
static void
take_id(struct telling *g, struct json_source *s, struct json_value id)
{
	char room[TELLING_ID_MAX];
	size_t len = id.kind == JSON_STRING ? json_text(s, id, room, sizeof room) : 0;
	if (!len || len > sizeof room)
		return;
	for (size_t i = 0; i < len; i++) {
		char c = room[i], low = (char)(c | 0x20);
		if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':'))
			return;
	}
	memcpy(g->id, room, len);
	g->id_len = (uint8_t)len;
}

void
telling_start(struct telling *g, struct json_source *s, struct json_value id)
{
	if (g->started)
		return;
	take_id(g, s, id);
	telling_tell(g, &(struct tell){.kind = TELL_START, .source = s});
	g->started = true;
}

void
telling_finish(struct telling *g, unsigned choice, enum finish finish, struct json_source *s, struct json_value why)
{
	if (choice >= TELLING_CHOICES_MAX) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	if (choice >= g->choice_count)
		g->choice_count = (uint8_t)(choice + 1);
	g->choices[choice].finish = (uint8_t)finish;
	if (why.kind != JSON_STRING || why.end - why.at - 2 > sizeof g->why)
		return;
	g->why_len = 0;
	for (uint64_t at = why.at + 1; at < why.end - 1;) {
		struct span r = json_run(s, at, why.end - 1);
		memcpy(g->why + g->why_len, r.at, r.len);
		g->why_len = (uint16_t)(g->why_len + r.len);
		at += r.len;
	}
}

enum finish
telling_finish_of(const struct telling *g, unsigned choice)
{
	const struct telling_choice *c = &g->choices[choice];
	enum finish f = (enum finish)c->finish;
	if (f == FINISH_OTHER)
		f = FINISH_STOP;
	if (f == FINISH_STOP && c->refused)
		return FINISH_REFUSAL;
	return f == FINISH_STOP && c->called ? FINISH_CALLS : f;
}

/* The provider's end. What finished for a reason that nobody knows, without a word, has failed. */
void
telling_end(struct telling *g)
{
	if (g->ended || g->result != TRANSLATE_MORE)
		return;
	for (unsigned i = 0; i < g->choice_count; i++)
		if (g->choices[i].finish == FINISH_OTHER && !g->choices[i].said) {
			telling_error_words(g, (struct span){g->why, g->why_len}, 502);
			return;
		}
	if (!g->started || !g->choices[0].finish) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	telling_tell(g, &(struct tell){.kind = TELL_END});
	g->ended = true;
}

/* ---- errors ---- */

static const struct {
	struct span word;
	uint16_t status;
} error_words[] = {
	{SPAN_INIT("overloaded_error"), 503},
	{SPAN_INIT("server_is_overloaded"), 503},
	{SPAN_INIT("slow_down"), 503},
	{SPAN_INIT("UNAVAILABLE"), 503},
	{SPAN_INIT("rate_limit_error"), 429},
	{SPAN_INIT("rate_limit_exceeded"), 429},
	{SPAN_INIT("insufficient_quota"), 429},
	{SPAN_INIT("RESOURCE_EXHAUSTED"), 429},
	{SPAN_INIT("invalid_request_error"), 400},
	{SPAN_INIT("invalid_prompt"), 400},
	{SPAN_INIT("INVALID_ARGUMENT"), 400},
	{SPAN_INIT("context_length_exceeded"), 400},
	{SPAN_INIT("authentication_error"), 401},
	{SPAN_INIT("UNAUTHENTICATED"), 401},
	{SPAN_INIT("permission_error"), 403},
	{SPAN_INIT("PERMISSION_DENIED"), 403},
	{SPAN_INIT("not_found_error"), 404},
	{SPAN_INIT("NOT_FOUND"), 404},
	{SPAN_INIT("timeout_error"), 504},
	{SPAN_INIT("DEADLINE_EXCEEDED"), 504},
	{SPAN_INIT("api_error"), 500},
	{SPAN_INIT("server_error"), 500},
	{SPAN_INIT("INTERNAL"), 500},
};

/* 0: it names none */
static unsigned
status_of(struct json_source *s, struct json_value v)
{
	char digits[4];
	if (v.kind == JSON_NUMBER) {
		if (json_text(s, v, digits, sizeof digits) != 3 || digits[0] < '4' || digits[0] > '5')
			return 0;
		return (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
	}
	for (size_t i = 0; i < ARRAY_LEN(error_words); i++)
		if (json_reads(s, v, error_words[i].word))
			return error_words[i].status;
	return 0;
}

void
telling_error_words(struct telling *g, struct span words, unsigned status)
{
	if (g->result != TRANSLATE_MORE)
		return;
	size_t len = words.len < sizeof g->error ? words.len : sizeof g->error;
	while (len && len < words.len && ((unsigned char)words.at[len] & 0xc0) == 0x80)
		len--;
	memmove(g->error, words.at, len);
	g->error_len = (uint16_t)len;
	g->t->error_text = (struct span){g->error, len};
	g->t->error_status = (uint16_t)status;
	g->result = TRANSLATE_ERROR;
}

void
telling_error(struct telling *g, struct json_source *s, struct json_value error, unsigned status)
{
	static const struct span names[] = {SPAN_INIT("message"), SPAN_INIT("code"), SPAN_INIT("status"), SPAN_INIT("status_code"), SPAN_INIT("type")};
	struct json_value v[ARRAY_LEN(names)];
	char room[TELLING_WHY_MAX + 4];
	json_members(s, error, names, ARRAY_LEN(names), v, NULL);
	for (unsigned i = 1; i < ARRAY_LEN(names) && !status; i++)
		status = status_of(s, v[i]);
	struct json_value sentence = error.kind == JSON_STRING ? error : v[0];
	size_t len = sentence.kind == JSON_STRING ? json_text(s, sentence, room, sizeof room) : 0;
	telling_error_words(g, (struct span){room, len < sizeof room ? len : sizeof room}, status ? status : 502);
}

/* ---- small things ---- */

unsigned
telling_word(struct json_source *s, struct json_value v, const struct span *words, unsigned count)
{
	unsigned i = 0;
	while (i < count && !json_reads(s, v, words[i]))
		i++;
	return i;
}

struct json_value
telling_member(struct json_source *s, struct json_value object, struct span name)
{
	struct json_value v;
	json_members(s, object, &name, 1, &v, NULL);
	return v;
}

/* One of Gemini's candidates for a token as OpenAI writes it, but for the closing brace. */
static void
add_candidate(struct sink *out, struct json_source *s, struct json_value candidate, const char *no_bytes)
{
	static const struct span names[] = {SPAN_INIT("token"), SPAN_INIT("logProbability")};
	struct json_value v[ARRAY_LEN(names)];
	json_members(s, candidate, names, ARRAY_LEN(names), v, NULL);
	sink_lit(out, "{\"token\":");
	telling_string(out, s, v[0]);
	sink_lit(out, ",\"logprob\":");
	if (v[1].kind == JSON_NUMBER)
		sink_value(out, s, v[1]);
	else
		sink_lit(out, "0");
	sink_lit(out, ",\"bytes\":");
	sink_add(out, no_bytes, strlen(no_bytes));
}

void
telling_logprobs(struct sink *out, const struct tell *what, const char *no_bytes)
{
	static const struct span names[] = {SPAN_INIT("chosenCandidates"), SPAN_INIT("topCandidates")};
	struct json_source *s = what->source;
	struct json_value v[ARRAY_LEN(names)], chosen, top, other;
	if (what->logprobs.kind == JSON_ARRAY) {
		sink_value(out, s, (struct json_value){what->logprobs.at + 1, what->logprobs.end - 1, JSON_ARRAY});
		return;
	}
	json_members(s, what->logprobs, names, ARRAY_LEN(names), v, NULL);
	struct json_walk tops = json_walk(v[1]);
	bool any = false;
	for (struct json_walk w = json_walk(v[0]); json_next_element(s, &w, &chosen); any = true) {
		if (any)
			sink_lit(out, ",");
		add_candidate(out, s, chosen, no_bytes);
		sink_lit(out, ",\"top_logprobs\":[");
		bool more = json_next_element(s, &tops, &top), first = true;
		struct json_walk others = json_walk(more ? telling_member(s, top, SPAN("candidates")) : json_absent);
		for (; json_next_element(s, &others, &other); first = false) {
			if (!first)
				sink_lit(out, ",");
			add_candidate(out, s, other, no_bytes);
			sink_lit(out, "}");
		}
		sink_lit(out, "]}");
	}
}

static const struct json_node no_interest[2];

bool
telling_is_object(struct json_source *s, struct json_value v)
{
	if (v.kind != JSON_STRING)
		return v.kind == JSON_OBJECT || v.kind == JSON_MORE || v.kind == JSON_NULL;
	struct json_scan scan;
	struct json_text_walk w = json_text_walk(v);
	struct json_event ev;
	bool first = true, object = false;
	json_scan_init(&scan, no_interest);
	for (struct span part; (part = json_next_text(s, &w)).len;) {
		enum json_token t;
		json_scan_feed(&scan, part.at, part.len, 0);
		while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD) {
			object |= first && t == JSON_OBJECT;
			first = false;
		}
		if (t == JSON_BAD)
			return false;
	}
	return v.end - v.at == 2 || (object && json_scan_complete(&scan));
}

void
telling_object(struct sink *out, struct json_source *s, struct json_value v)
{
	if (v.kind == JSON_OBJECT)
		sink_value(out, s, v);
	else if (json_says(v))
		sink_unquoted(out, s, v);
	else
		sink_lit(out, "{}");
}

void
telling_inside(struct sink *out, struct json_source *s, struct json_value v)
{
	if (v.kind == JSON_OBJECT)
		sink_quoted(out, s, v);
	else
		sink_inside(out, s, v);
}

void
telling_string(struct sink *out, struct json_source *s, struct json_value v)
{
	if (v.kind == JSON_STRING)
		sink_value(out, s, v);
	else
		sink_lit(out, "\"\"");
}

static void
add_word(struct sink *out, const char *word)
{
	sink_add(out, word, strlen(word));
}

void
telling_id(struct telling *g, struct sink *out, const char *prefix)
{
	struct span id = {g->id, g->id_len};
	size_t len = strlen(prefix);
	if (!id.len)
		id = g->t->facts.id;
	if (id.len < len || memcmp(id.at, prefix, len) != 0)
		add_word(out, prefix);
	sink_escaped(out, id);
}

void
telling_call_id(struct telling *g, const struct tell *what, const char *prefix)
{
	if (json_says(what->id)) {
		sink_value(g->out, what->source, what->id);
		return;
	}
	sink_lit(g->out, "\"");
	add_word(g->out, prefix);
	sink_escaped(g->out, g->t->facts.id);
	sink_lit(g->out, "_");
	sink_u64(g->out, (uint64_t)what->choice * TELLING_CALLS_MAX + what->call);
	sink_lit(g->out, "\"");
}

/* ---- numbers ---- */

void
telling_count(struct counts *c, unsigned which, struct json_source *s, struct json_value v)
{
	char room[JSON_TEXT_MAX];
	if (v.kind == JSON_MORE)
		return;
	size_t len = v.kind == JSON_NUMBER || v.kind == JSON_STRING ? json_text(s, v, room, sizeof room) : 0;
	struct json_event ev = {.text = {room, len < sizeof room ? len : sizeof room}, .cut = len > sizeof room};
	counts_take(c, which, (enum json_token)v.kind, &ev);
}

void
telling_usage(struct telling *g, const struct usage *u)
{
	g->usage = *u;
	g->usage_given = true;
}

uint64_t
telling_tokens_cached(const struct usage *u)
{
	return u->tokens[TOKEN_cached] + u->tokens[TOKEN_cached_audio] + u->tokens[TOKEN_cached_image];
}

uint64_t
telling_tokens_written(const struct usage *u)
{
	return u->tokens[TOKEN_cache_write] + u->tokens[TOKEN_cache_write_1h];
}

uint64_t
telling_tokens_in(const struct usage *u)
{
	return telling_tokens_cached(u) + telling_tokens_written(u) + u->tokens[TOKEN_input] + u->tokens[TOKEN_audio_in] + u->tokens[TOKEN_image_in] +
		u->tokens[TOKEN_video_in];
}

uint64_t
telling_tokens_out(const struct usage *u)
{
	return u->tokens[TOKEN_output] + u->tokens[TOKEN_reasoning] + u->tokens[TOKEN_audio_out] + u->tokens[TOKEN_image_out];
}

/* ---- the entries ---- */

void
translation_begin(struct translation *t, const struct translate_answer_facts *facts)
{
	struct telling *g = state_of(t);
	assert(facts->from < LANGUAGE_COUNT && decoders[facts->from] && facts->to < LANGUAGE_ALL && encoders[facts->to]);
	memset(g, 0, sizeof *g);
	t->facts = *facts;
	t->error_text = (struct span){0};
	t->error_status = 0;
	g->t = t;
	g->from = decoders[facts->from];
	g->to = encoders[facts->to];
	rope_init(&g->rope, g);
	rope_init(&g->logprobs, g);
	telling_stream_begin(g);
}

void
translation_end(struct translation *t)
{
	struct telling *g = state_of(t);
	if (!g->t)
		return;
	calls_drop(g);
	rope_drop(&g->rope);
	rope_drop(&g->logprobs);
	assert(g->kept == 0);
}

void
telling_walk(struct telling *g, void (*listener)(struct telling *g, const struct tell *what))
{
	g->listener = listener;
	g->ended = g->started = false;
	memset(&g->in, 0, sizeof g->in);
	g->from->document(g, g->body, json_whole_value(g->body));
}

/* Finds an error, finish and usage before anything is written. */
static void
survey(struct telling *g, const struct tell *what)
{
	bool must_be_object = what->kind == TELL_CALL && (g->t->facts.to == LANGUAGE_MESSAGES || g->t->facts.to == LANGUAGE_GEMINI);
	if (must_be_object && !telling_is_object(what->source, what->text))
		g->choices[what->choice].broken_call = true;
}

static bool
is_one_object(struct json_source *s)
{
	struct json_scan scan;
	struct json_event ev;
	bool object = false;
	json_scan_init(&scan, no_interest);
	for (uint32_t i = 0; i < s->count; i++) {
		enum json_token t;
		json_scan_feed(&scan, s->pieces[i].at, s->pieces[i].len, 0);
		while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
			object |= t == JSON_OBJECT;
		if (t == JSON_BAD)
			return false;
	}
	return object && json_scan_complete(&scan);
}

enum translate_result
translate_answer(struct translation *t, struct json_source *body, struct sink *out)
{
	struct telling *g = state_of(t);
	if (g->result != TRANSLATE_MORE)
		return g->result;
	g->out = out;
	g->body = body;
	if (!is_one_object(body)) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return g->result;
	}
	telling_walk(g, survey);
	for (unsigned i = 0; i < g->choice_count; i++)
		if (g->choices[i].broken_call && g->choices[i].finish != FINISH_LENGTH)
			telling_fail(g, TRANSLATE_MALFORMED);
	if (g->result == TRANSLATE_MORE && !g->ended)
		telling_fail(g, TRANSLATE_MALFORMED);
	if (g->result == TRANSLATE_MORE)
		g->to->document(g);
	if (out->full)
		telling_fail(g, TRANSLATE_FULL);
	if (g->result == TRANSLATE_MORE)
		g->result = TRANSLATE_END;
	if (json_is_tired(body)) /* whatever was found or told, it may be a part */
		g->result = TRANSLATE_MALFORMED;
	return g->result;
}

enum translate_result
translate_stream(struct translation *t, const char *in, size_t len, bool last, struct sink *out, size_t *ret_used)
{
	struct telling *g = state_of(t);
	*ret_used = 0;
	g->out = out;
	if (g->result == TRANSLATE_MORE)
		telling_stream_bytes(g, in, len, last, ret_used);
	if (out->full)
		telling_fail(g, TRANSLATE_FULL);
	if (g->result != TRANSLATE_MORE)
		*ret_used = len;
	return g->result;
}
