/*
 * The rules of metering a realtime session (the reference, and recorded sessions where it is silent):
 *
 *  1. Each response.done has the usage of its response, whatever its status; they add up. A response takes the whole conversation as its prompt.
 *  2. cached tokens are parts of the prompt's; cached_tokens_details says of which kind, without it they are text.
 *  3. conversation.item.input_audio_transcription.completed has the usage of the model that transcribes: a leg. It may count seconds instead of
 *     tokens: whole ones, a part counts as one.
 *  4. Until a response is reported it is counted: text by its bytes, audio by the time that it takes (pcm16 at 24 kHz, or G.711, as the session says):
 *     a token is 100 ms of the prompt and 50 ms of the answer. The conversation before it comes from the provider's cache.
 */
#include "dialect/realtime.h"

#include "dialect/counts.h"
#include "dialect/meter_priv.h"

#include <string.h>

/* X(name) */
#define NUMBERS(X) \
	X(INPUT) \
	X(OUTPUT) \
	X(TOTAL) \
	X(AUDIO_IN) \
	X(IMAGE_IN) \
	X(CACHED) \
	X(CACHED_TEXT) \
	X(CACHED_AUDIO) \
	X(CACHED_IMAGE) \
	X(AUDIO_OUT) \
	X(REASONING)

enum number {
#define X(name) name,
	NUMBERS(X)
#undef X
		NUMBER_COUNT,
};
_Static_assert((int)NUMBER_COUNT <= (int)COUNTS_MAX, "each number has its place");

/* ---- the server's messages ---- */

enum node {
	ROOT = JSON_NODE_ROOT,
	TYPE,
	RESPONSE,
	DELTA,
	SESSION,
	FORMAT_IN,
	FORMAT_OUT,
	FORMAT_IN_OBJECT,
	FORMAT_OUT_OBJECT,
	AUDIO,
	AUDIO_INPUT,
	AUDIO_OUTPUT,
	TRANSCRIPTION,
	TRANSCRIBER,
	USAGE,
	INPUT_DETAILS,
	CACHED_DETAILS,
	OUTPUT_DETAILS,
	SECONDS,
	OF_USAGE,
	NODES = OF_USAGE + NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

static const struct json_edge root_edges[] = {
	EDGE("type", TYPE),
	EDGE("response", RESPONSE),
	EDGE("delta", DELTA),
	EDGE("session", SESSION),
	EDGE("usage", USAGE),
};
static const struct json_edge response_edges[] = {EDGE("usage", USAGE)};
static const struct json_edge session_edges[] = {
	EDGE("audio", AUDIO),
	EDGE("input_audio_format", FORMAT_IN), /* the beta's */
	EDGE("output_audio_format", FORMAT_OUT),
	EDGE("input_audio_transcription", TRANSCRIPTION),
};
static const struct json_edge audio_edges[] = {EDGE("input", AUDIO_INPUT), EDGE("output", AUDIO_OUTPUT)};
static const struct json_edge audio_input_edges[] = {EDGE("format", FORMAT_IN_OBJECT), EDGE("transcription", TRANSCRIPTION)};
static const struct json_edge audio_output_edges[] = {EDGE("format", FORMAT_OUT_OBJECT)};
static const struct json_edge format_in_edges[] = {EDGE("type", FORMAT_IN)};
static const struct json_edge format_out_edges[] = {EDGE("type", FORMAT_OUT)};
static const struct json_edge transcription_edges[] = {EDGE("model", TRANSCRIBER)};
static const struct json_edge usage_edges[] = {
	EDGE("input_tokens", OF_USAGE + INPUT),
	EDGE("output_tokens", OF_USAGE + OUTPUT),
	EDGE("total_tokens", OF_USAGE + TOTAL),
	EDGE("input_token_details", INPUT_DETAILS),
	EDGE("output_token_details", OUTPUT_DETAILS),
	EDGE("seconds", SECONDS),
};
static const struct json_edge input_edges[] = {
	EDGE("audio_tokens", OF_USAGE + AUDIO_IN),
	EDGE("image_tokens", OF_USAGE + IMAGE_IN),
	EDGE("cached_tokens", OF_USAGE + CACHED),
	EDGE("cached_tokens_details", CACHED_DETAILS),
};
static const struct json_edge cached_edges[] = {
	EDGE("text_tokens", OF_USAGE + CACHED_TEXT),
	EDGE("audio_tokens", OF_USAGE + CACHED_AUDIO),
	EDGE("image_tokens", OF_USAGE + CACHED_IMAGE),
};
static const struct json_edge output_edges[] = {EDGE("audio_tokens", OF_USAGE + AUDIO_OUT), EDGE("reasoning_tokens", OF_USAGE + REASONING)};

static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[TYPE] = {.text = true},
	[RESPONSE] = {EDGES(response_edges)},
	[SESSION] = {EDGES(session_edges)},
	[FORMAT_IN] = {.text = true},
	[FORMAT_OUT] = {.text = true},
	[FORMAT_IN_OBJECT] = {EDGES(format_in_edges)},
	[FORMAT_OUT_OBJECT] = {EDGES(format_out_edges)},
	[AUDIO] = {EDGES(audio_edges)},
	[AUDIO_INPUT] = {EDGES(audio_input_edges)},
	[AUDIO_OUTPUT] = {EDGES(audio_output_edges)},
	[TRANSCRIPTION] = {EDGES(transcription_edges)},
	[TRANSCRIBER] = {.text = true},
	[USAGE] = {EDGES(usage_edges)},
	[INPUT_DETAILS] = {EDGES(input_edges)},
	[CACHED_DETAILS] = {EDGES(cached_edges)},
	[OUTPUT_DETAILS] = {EDGES(output_edges)},
};

/* ---- the client's ---- */

enum said_node {
	SAID_ROOT = JSON_NODE_ROOT,
	SAID_SESSION,
	SAID_MODEL,
	SAID_PROMPT,
	SAID_RESPONSE,
	SAID_ITEMS,
	SAID_ITEM,
	SAID_CONTENT,
	SAID_PART,
	SAID_AUDIO,
	SAID_IMAGE,
	SAID_NODES,
};

static const struct json_edge said_root_edges[] = {
	EDGE("session", SAID_SESSION),
	EDGE("response", SAID_RESPONSE),
	EDGE("item", SAID_ITEM),
	EDGE("audio", SAID_AUDIO),
};
static const struct json_edge said_session_edges[] = {EDGE("model", SAID_MODEL), EDGE("prompt", SAID_PROMPT)};
static const struct json_edge said_response_edges[] = {EDGE("model", SAID_MODEL), EDGE("prompt", SAID_PROMPT), EDGE("input", SAID_ITEMS)};
static const struct json_edge said_item_edges[] = {EDGE("content", SAID_CONTENT)};
static const struct json_edge said_part_edges[] = {EDGE("audio", SAID_AUDIO), EDGE("image_url", SAID_IMAGE)};

static const struct json_node said_nodes[SAID_NODES] = {
	[SAID_ROOT] = {EDGES(said_root_edges)},
	[SAID_SESSION] = {EDGES(said_session_edges)},
	[SAID_MODEL] = {.text = true},
	[SAID_RESPONSE] = {EDGES(said_response_edges)},
	[SAID_ITEMS] = {.element = SAID_ITEM},
	[SAID_ITEM] = {EDGES(said_item_edges)},
	[SAID_CONTENT] = {.element = SAID_PART},
	[SAID_PART] = {EDGES(said_part_edges)},
};

/* ---- state ---- */

enum {
	/* Characters of base64 that a token of audio is at least: 8,000 bytes a second of G.711, 48,000 of pcm16; 10 tokens a second in, 20 out. */
	G711_CHARS_IN = 1066,
	PCM_CHARS_IN = 6400,
	G711_CHARS_OUT = 533,
	PCM_CHARS_OUT = 3200,
	CHARGED_BYTES_PER_TOKEN = 4,
	OPEN_MAX = 8, /* responses at a time that a bound reckons with */
};

enum type { TYPE_OTHER,
	TYPE_CREATED,
	TYPE_DONE,
	TYPE_TRANSCRIBED,
	TYPE_AUDIO,
	TYPE_WORDS,
	TYPE_SESSION,
	TYPE_ERROR };

/* What was said to the model, not counted by it yet. */
struct heap {
	uint64_t text_bytes, audio_chars, images;
};

struct state {
	struct json_scan json, said;
	struct span public_id, upstream_id;
	struct meter_leg legs[METER_LEGS_MAX];
	char transcriber[METER_MODEL_MAX];
	uint8_t transcriber_len;
	struct usage before; /* the conversation at the last report: text, audio and images */
	struct heap earlier, fresh; /* what came before the last response began, and since */
	uint64_t out_text_bytes, out_audio_chars; /* of responses that were not reported */
	uint32_t under_way;
	bool narrow_in, narrow_out; /* G.711 */
	bool mid_message, mid_said, said_whole;
	uint64_t at, said_at; /* bytes of the current messages */
	uint64_t said_audio, said_images, said_media;
	enum realtime_refusal refusal; /* of the client's current message */
	/* The server's current message. */
	struct counts counts;
	enum type type;
	bool has_usage, bad, whole;
	uint64_t delta, seconds;
};
_Static_assert(sizeof(struct state) <= sizeof((struct meter *)0)->state, "the state fits its room");

static struct state *
state_of(struct meter *m)
{
	return (struct state *)(void *)m->state;
}

static const struct state *
state_in(const struct meter *m)
{
	return (const struct state *)(const void *)m->state;
}

static bool
is(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !memcmp(a.at, b.at, a.len));
}

static bool
has_word(struct span s, const char *word)
{
	return s.len && memmem(s.at, s.len, word, strlen(word));
}

static uint64_t
parts(uint64_t n, uint64_t each)
{
	return (n + each - 1) / each;
}

/* ---- the client's messages ---- */

static void
on_said(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum said_node)ev->node) {
	case SAID_MODEL:
		if (t != JSON_NULL && (t != JSON_STRING || ev->cut || (!is(ev->text, st->public_id) && !is(ev->text, st->upstream_id))))
			st->refusal = REALTIME_OTHER_MODEL;
		return;
	case SAID_PROMPT:
		if (t != JSON_NULL)
			st->refusal = REALTIME_FOREIGN_OBJECT;
		return;
	case SAID_AUDIO:
		if (t == JSON_STRING) {
			st->said_audio += ev->end - ev->at - 2;
			st->said_media += ev->end - ev->at - 2;
		}
		return;
	case SAID_IMAGE:
		if (t == JSON_STRING) {
			st->said_images++;
			st->said_media += ev->end - ev->at - 2;
		}
		return;
	case SAID_ROOT:
		st->said_whole = t == JSON_OBJECT_END;
		return;
	default:
		return;
	}
}

static void
said_ends(struct state *st)
{
	if (!st->refusal && (!st->said_whole || !json_scan_complete(&st->said)))
		st->refusal = REALTIME_NOT_JSON;
	st->fresh.text_bytes += st->said_at - st->said_media;
	st->fresh.audio_chars += st->said_audio;
	st->fresh.images += st->said_images;
	st->mid_said = false;
}

enum realtime_refusal
realtime_client(struct meter *m, const char *in, size_t len, bool last)
{
	struct state *st = state_of(m);
	struct json_event ev;
	enum json_token t;
	if (!st->mid_said) {
		json_scan_init(&st->said, said_nodes);
		st->said_at = st->said_audio = st->said_images = st->said_media = 0;
		st->refusal = REALTIME_OK;
		st->mid_said = true;
		st->said_whole = false;
	}
	json_scan_feed(&st->said, in, len, st->said_at);
	while ((t = json_scan_next(&st->said, &ev)) != JSON_MORE && t != JSON_BAD)
		on_said(st, t, &ev);
	if (t == JSON_BAD)
		st->refusal = REALTIME_NOT_JSON;
	st->said_at += len;
	if (last)
		said_ends(st);
	return st->refusal;
}

/* ---- numbers into kinds ---- */

static struct usage
normalise(const struct counts *c)
{
	struct usage u = {.flags = USAGE_REPORTED | (c->absurd ? USAGE_ABSURD : 0)};
	uint64_t rest = c->value[INPUT], output = c->value[OUTPUT], audio = c->value[AUDIO_IN], image = c->value[IMAGE_IN];
	if (c->value[TOTAL] > rest + output)
		output = c->value[TOTAL] - rest;
	uint64_t kinds = c->value[CACHED_AUDIO] + c->value[CACHED_IMAGE];
	uint64_t text = counts_given(c, CACHED_TEXT) ? c->value[CACHED_TEXT] : c->value[CACHED] > kinds ? c->value[CACHED] - kinds
																									: 0;
	if (audio + image > rest || c->value[CACHED_AUDIO] > audio || c->value[CACHED_IMAGE] > image || text > rest - audio - image ||
		c->value[AUDIO_OUT] + c->value[REASONING] > output)
		u.flags |= USAGE_ABSURD;
	uint64_t audio_left, image_left;
	counts_carve(&rest, audio, &audio_left);
	counts_carve(&audio_left, c->value[CACHED_AUDIO], &u.tokens[TOKEN_cached_audio]);
	u.tokens[TOKEN_audio_in] = audio_left;
	counts_carve(&rest, image, &image_left);
	counts_carve(&image_left, c->value[CACHED_IMAGE], &u.tokens[TOKEN_cached_image]);
	u.tokens[TOKEN_image_in] = image_left;
	counts_carve(&rest, text, &u.tokens[TOKEN_cached]);
	u.tokens[TOKEN_input] = rest;
	counts_carve(&output, c->value[AUDIO_OUT], &u.tokens[TOKEN_audio_out]);
	counts_carve(&output, c->value[REASONING], &u.tokens[TOKEN_reasoning]);
	u.tokens[TOKEN_output] = output;
	return u;
}

static void
add(struct usage *to, const struct usage *u)
{
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		to->tokens[k] += u->tokens[k];
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		to->tools[k] += u->tools[k];
	to->flags |= u->flags;
}

/* The prompt and the answer are the next response's conversation. */
static void
remember(struct state *st, const struct usage *u)
{
	const uint64_t *n = u->tokens;
	st->before = (struct usage){0};
	st->before.tokens[TOKEN_cached] = n[TOKEN_input] + n[TOKEN_cached] + n[TOKEN_output];
	st->before.tokens[TOKEN_cached_audio] = n[TOKEN_audio_in] + n[TOKEN_cached_audio] + n[TOKEN_audio_out];
	st->before.tokens[TOKEN_cached_image] = n[TOKEN_image_in] + n[TOKEN_cached_image];
}

/* The leg of the model that transcribes now; when there are too many of them, the last. */
static struct meter_leg *
leg_of(struct meter *m, struct state *st)
{
	static const char unnamed[] = "transcription";
	unsigned i = 0;
	if (!st->transcriber_len) {
		st->transcriber_len = sizeof unnamed - 1;
		memcpy(st->transcriber, unnamed, sizeof unnamed - 1);
	}
	while (i < m->leg_count && !is((struct span){st->legs[i].model, st->legs[i].model_len}, (struct span){st->transcriber, st->transcriber_len}))
		i++;
	if (i == METER_LEGS_MAX)
		return &st->legs[METER_LEGS_MAX - 1];
	if (i == m->leg_count) {
		memcpy(st->legs[i].model, st->transcriber, st->transcriber_len);
		st->legs[i].model_len = st->transcriber_len;
		m->leg_count++;
	}
	m->legs = st->legs;
	return &st->legs[i];
}

static void
take_transcription(struct meter *m, struct state *st)
{
	struct usage u = normalise(&st->counts);
	u.tools[TOOL_audio_second] = counts_clamp32(st->seconds);
	m->usage.flags |= USAGE_REPORTED;
	add(&leg_of(m, st)->usage, &u);
}

/* ---- the server's messages: what each means when it is complete ---- */

static void
response_begins(struct state *st)
{
	st->under_way++;
	st->earlier.text_bytes += st->fresh.text_bytes;
	st->earlier.audio_chars += st->fresh.audio_chars;
	st->earlier.images += st->fresh.images;
	st->fresh = (struct heap){0};
}

static bool
counts_anything(const struct counts *c)
{
	return counts_given(c, INPUT) || counts_given(c, OUTPUT) || counts_given(c, TOTAL);
}

static void
response_ends(struct meter *m, struct state *st)
{
	if (st->under_way)
		st->under_way--;
	if (!st->has_usage || !counts_anything(&st->counts)) /* what was counted of it stays counted */
		return;
	if (counts_unusable(&st->counts, 1u << INPUT | 1u << OUTPUT, 1u << TOTAL)) {
		m->usage.flags |= USAGE_ABSURD; /* and stays counted likewise */
		return;
	}
	struct usage u = normalise(&st->counts);
	add(&m->usage, &u);
	remember(st, &u);
	st->earlier = (struct heap){0};
	if (!st->under_way)
		st->out_text_bytes = st->out_audio_chars = 0;
	m->content_reported = m->content_bytes;
}

static void
message_ends(struct meter *m, struct state *st)
{
	bool words = st->type == TYPE_WORDS, audio = st->type == TYPE_AUDIO;
	if (words || audio) {
		*(audio ? &st->out_audio_chars : &st->out_text_bytes) += st->delta;
		m->content_bytes += st->delta;
		m->events++;
		meter_raise(m, ANSWER_CONTENT);
	} else if (st->type == TYPE_CREATED)
		response_begins(st);
	else if (st->type == TYPE_DONE)
		response_ends(m, st);
	else if (st->type == TYPE_TRANSCRIBED && st->has_usage)
		take_transcription(m, st);
	else if (!st->whole)
		m->malformed = true;
}

/* ---- … and how it is read ---- */

static enum type
type_of(const struct json_event *ev)
{
	static const struct {
		struct span word;
		enum type type;
	} rows[] = {
		{SPAN_INIT("response.created"), TYPE_CREATED},
		{SPAN_INIT("response.done"), TYPE_DONE},
		{SPAN_INIT("conversation.item.input_audio_transcription.completed"), TYPE_TRANSCRIBED},
		{SPAN_INIT("response.output_audio.delta"), TYPE_AUDIO},
		{SPAN_INIT("response.audio.delta"), TYPE_AUDIO}, /* the beta's */
		{SPAN_INIT("session.created"), TYPE_SESSION},
		{SPAN_INIT("session.updated"), TYPE_SESSION},
		{SPAN_INIT("error"), TYPE_ERROR},
	};
	static const struct span answer = SPAN_INIT("response.");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!ev->cut && is(ev->text, rows[i].word))
			return rows[i].type;
	/* Whatever else of a response has a delta: text, transcripts, arguments. */
	return ev->text.len > answer.len && !memcmp(ev->text.at, answer.at, answer.len) ? TYPE_WORDS : TYPE_OTHER;
}

static void
take_seconds(struct state *st, enum json_token t, const struct json_event *ev)
{
	enum { SECONDS_MAX = 1000000 };
	uint64_t whole = 0;
	size_t i = 0;
	if (t != JSON_NUMBER || ev->cut)
		return;
	for (; i < ev->text.len && ev->text.at[i] >= '0' && ev->text.at[i] <= '9' && whole < SECONDS_MAX; i++)
		whole = whole * 10 + (uint64_t)(ev->text.at[i] - '0');
	while (i < ev->text.len && (ev->text.at[i] == '.' || ev->text.at[i] == '0'))
		i++;
	st->seconds = whole + (i < ev->text.len); /* a part counts as one */
}

static void
on_session(struct state *st, const struct json_event *ev)
{
	bool narrow = has_word(ev->text, "g711") || has_word(ev->text, "pcmu") || has_word(ev->text, "pcma");
	if (ev->node == FORMAT_IN)
		st->narrow_in = narrow;
	else if (ev->node == FORMAT_OUT)
		st->narrow_out = narrow;
	else {
		st->transcriber_len = (uint8_t)(ev->text.len < METER_MODEL_MAX ? ev->text.len : METER_MODEL_MAX);
		memcpy(st->transcriber, ev->text.at, st->transcriber_len);
	}
}

static void
on_event(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum node)ev->node) {
	case ROOT:
		st->whole = t == JSON_OBJECT_END;
		return;
	case TYPE:
		if (t == JSON_STRING)
			st->type = type_of(ev);
		return;
	case DELTA:
		if (t == JSON_STRING)
			st->delta += ev->end - ev->at - 2;
		return;
	case USAGE:
		st->has_usage |= t == JSON_OBJECT;
		return;
	case SECONDS:
		take_seconds(st, t, ev);
		return;
	case FORMAT_IN:
	case FORMAT_OUT:
	case TRANSCRIBER:
		if (t == JSON_STRING)
			on_session(st, ev);
		return;
	default:
		if (ev->node >= OF_USAGE)
			counts_take(&st->counts, ev->node - OF_USAGE, t, ev);
	}
}

static void
message_begins(struct state *st)
{
	json_scan_init(&st->json, nodes);
	st->mid_message = true;
	st->at = 0;
	memset(&st->counts, 0, sizeof *st - offsetof(struct state, counts));
}

static void
begin(struct meter *m, bool streamed, bool hide)
{
	(void)streamed;
	(void)hide;
	m->usage.flags = USAGE_REPORTED; /* a session without a response costs nothing, and that is known */
}

static size_t
feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	struct state *st = state_of(m);
	struct json_event ev;
	enum json_token t;
	if (!st->mid_message)
		message_begins(st);
	json_scan_feed(&st->json, in, len, st->at);
	while ((t = json_scan_next(&st->json, &ev)) != JSON_MORE && t != JSON_BAD)
		on_event(st, t, &ev);
	st->bad |= t == JSON_BAD;
	st->at += len;
	if (last) {
		st->whole = st->whole && !st->bad && json_scan_complete(&st->json);
		message_ends(m, st);
		st->mid_message = false;
	}
	spans[0] = (struct span){in, len};
	*ret_count = len > 0;
	return len;
}

const struct meter_language meter_realtime = {sizeof(struct state), begin, feed};

/* ---- for the edge ---- */

void
realtime_open(struct meter *m, struct span public_id, struct span upstream_id)
{
	struct state *st = state_of(m);
	st->public_id = public_id;
	st->upstream_id = upstream_id;
}

bool
realtime_is_error(const struct meter *m)
{
	return state_in(m)->type == TYPE_ERROR;
}

bool
realtime_is_under_way(const struct meter *m)
{
	return state_in(m)->under_way > 0;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
realtime_bound(const struct meter *m, const struct realtime_rates *r, uint64_t *ret_input, uint64_t *ret_output)
{
	const struct state *st = state_in(m);
	uint64_t text = st->earlier.text_bytes + st->fresh.text_bytes, images = st->earlier.images + st->fresh.images;
	uint64_t audio = parts(st->earlier.audio_chars + st->fresh.audio_chars, st->narrow_in ? G711_CHARS_IN : PCM_CHARS_IN);
	uint64_t prompt = parts(text * 100, r->bytes_per_token_x100) + audio + images * r->image_tokens;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		prompt += st->before.tokens[k];
	*ret_input = least(prompt, r->context_tokens) * (1 + least(st->under_way, OPEN_MAX));
	if (st->transcriber_len)
		*ret_input += audio;
	*ret_output = parts(st->out_text_bytes * 100, r->bytes_per_token_x100) + parts(st->out_audio_chars, st->narrow_out ? G711_CHARS_OUT : PCM_CHARS_OUT);
}

void
realtime_usage(const struct meter *m, const struct realtime_rates *r, struct usage *ret)
{
	const struct state *st = state_in(m);
	*ret = m->usage;
	if (!st->under_way && !st->out_text_bytes && !st->out_audio_chars)
		return;
	struct usage u = st->before;
	u.flags = USAGE_ESTIMATED;
	u.tokens[TOKEN_input] = parts(st->earlier.text_bytes, CHARGED_BYTES_PER_TOKEN);
	u.tokens[TOKEN_audio_in] = parts(st->earlier.audio_chars, st->narrow_in ? G711_CHARS_IN : PCM_CHARS_IN);
	u.tokens[TOKEN_image_in] = st->earlier.images * r->image_tokens;
	u.tokens[TOKEN_output] = parts(st->out_text_bytes, CHARGED_BYTES_PER_TOKEN);
	u.tokens[TOKEN_audio_out] = parts(st->out_audio_chars, st->narrow_out ? G711_CHARS_OUT : PCM_CHARS_OUT);
	add(ret, &u);
}
