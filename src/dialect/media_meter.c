/*
 * The rules of metering OpenAI's audio and images (platform.openai.com/docs/api-reference/audio, …/images):
 *
 *  1. usage stands at the top, of the plain body or of the event that ends a stream (transcript.text.done, image_edit.completed,
 *     image_generation.completed). The last one counts. Its details are spelt input_token_details for audio and input_tokens_details for images.
 *  2. Audio and image tokens are parts of input_tokens. The output of images is image tokens but for what output_tokens_details says; that of audio is
 *     text.
 *  3. usage of the type `duration` counts seconds, and so does `duration` of a verbose_json answer that has no usage: whole ones, a part counts as one.
 *  4. Images that came are counted, for models whose answers have no usage.
 *  5. Speech in events (stream_format: sse): speech.audio.done has usage; all of its output is audio. An event of audio counts as one token while nothing is
 *     reported: how many bytes of it are a token depends on its format.
 *  6. Text, subtitles, audio as such: nothing is reported. What is due for them is known from the request.
 */
#include "dialect/counts.h"
#include "dialect/reader.h"

#include <string.h>

/* X(name) */
#define NUMBERS(X) \
	X(INPUT) \
	X(OUTPUT) \
	X(TOTAL) \
	X(CACHED) \
	X(AUDIO_IN) \
	X(IMAGE_IN) \
	X(TEXT_OUT) \
	X(IMAGE_OUT)

enum number {
#define X(name) name,
	NUMBERS(X)
#undef X
		NUMBER_COUNT,
};
_Static_assert((int)NUMBER_COUNT <= (int)COUNTS_MAX, "each number has its place");

enum node {
	ROOT = JSON_NODE_ROOT,
	ELEMENT = READER_ELEMENT,
	TYPE,
	ERROR,
	WORDS,
	SOUND,
	LIST,
	IMAGE,
	USAGE,
	INPUT_DETAILS,
	OUTPUT_DETAILS,
	SECONDS,
	DURATION,
	OF_USAGE,
	NODES = OF_USAGE + NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

static const struct json_edge root_edges[] = {
	EDGE("type", TYPE),
	EDGE("error", ERROR),
	EDGE("usage", USAGE),
	EDGE("duration", DURATION),
	EDGE("text", WORDS),
	EDGE("delta", WORDS),
	EDGE("audio", SOUND),
	EDGE("data", LIST),
};
static const struct json_edge usage_edges[] = {
	EDGE("seconds", SECONDS),
	EDGE("input_tokens", OF_USAGE + INPUT),
	EDGE("output_tokens", OF_USAGE + OUTPUT),
	EDGE("total_tokens", OF_USAGE + TOTAL),
	EDGE("input_token_details", INPUT_DETAILS),
	EDGE("input_tokens_details", INPUT_DETAILS),
	EDGE("output_token_details", OUTPUT_DETAILS),
	EDGE("output_tokens_details", OUTPUT_DETAILS),
};
static const struct json_edge input_edges[] = {
	EDGE("audio_tokens", OF_USAGE + AUDIO_IN),
	EDGE("image_tokens", OF_USAGE + IMAGE_IN),
	EDGE("cached_tokens", OF_USAGE + CACHED),
};
static const struct json_edge output_edges[] = {
	EDGE("image_tokens", OF_USAGE + IMAGE_OUT),
	EDGE("text_tokens", OF_USAGE + TEXT_OUT),
};

static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[TYPE] = {.text = true},
	[SECONDS] = {.text = true},
	[DURATION] = {.text = true}, /* some write it in quotes */
	[LIST] = {.element = IMAGE},
	[USAGE] = {EDGES(usage_edges)},
	[INPUT_DETAILS] = {EDGES(input_edges)},
	[OUTPUT_DETAILS] = {EDGES(output_edges)},
};

enum type { TYPE_OTHER,
	TYPE_DELTA,
	TYPE_END,
	TYPE_ERROR };

struct state {
	struct reader reader;
	/* The current document. */
	struct counts counts;
	uint64_t seconds, duration, words;
	enum type type;
	bool has_seconds, has_duration, has_error, has_sound, absurd;
};
_Static_assert(sizeof(struct state) <= sizeof((struct meter *)0)->state, "the state fits its room");

static struct state *
state_of(struct meter *m)
{
	return (struct state *)(void *)m->state;
}

static bool
of_images(const struct meter *m)
{
	return m->endpoint >= ENDPOINT_IMAGES_GENERATIONS && m->endpoint <= ENDPOINT_IMAGES_VARIATIONS;
}

/* Whole seconds; a part counts as one. False: that is no number of seconds. */
static bool
take_seconds(enum json_token t, const struct json_event *ev, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;
	bool part = false;
	if ((t != JSON_NUMBER && t != JSON_STRING) || ev->cut)
		return false;
	for (; i < ev->text.len && ev->text.at[i] >= '0' && ev->text.at[i] <= '9' && n <= UINT32_MAX; i++)
		n = n * 10 + (uint64_t)(ev->text.at[i] - '0');
	if (i == 0 || n > UINT32_MAX)
		return false;
	if (i < ev->text.len && ev->text.at[i] == '.')
		for (i++; i < ev->text.len && ev->text.at[i] >= '0' && ev->text.at[i] <= '9'; i++)
			part |= ev->text.at[i] != '0';
	*ret = n + part;
	return i == ev->text.len;
}

/* ---- numbers into kinds ---- */

static struct usage
of_tokens(const struct meter *m, const struct counts *c)
{
	struct usage u = {.flags = USAGE_REPORTED | (c->absurd ? USAGE_ABSURD : 0)};
	uint64_t input = c->value[INPUT], output = c->value[OUTPUT];
	if (c->value[TOTAL] > input + output)
		output = c->value[TOTAL] - input;
	if (c->value[AUDIO_IN] + c->value[IMAGE_IN] + c->value[CACHED] > input || c->value[IMAGE_OUT] + c->value[TEXT_OUT] > output)
		u.flags |= USAGE_ABSURD;
	counts_carve(&input, c->value[AUDIO_IN], &u.tokens[TOKEN_audio_in]);
	counts_carve(&input, c->value[IMAGE_IN], &u.tokens[TOKEN_image_in]);
	counts_carve(&input, c->value[CACHED], &u.tokens[TOKEN_cached]);
	u.tokens[TOKEN_input] = input;
	if (of_images(m)) {
		counts_carve(&output, counts_given(c, IMAGE_OUT) ? c->value[IMAGE_OUT] : output - (c->value[TEXT_OUT] < output ? c->value[TEXT_OUT] : output),
			&u.tokens[TOKEN_image_out]);
	} else if (m->endpoint == ENDPOINT_AUDIO_SPEECH)
		counts_carve(&output, output, &u.tokens[TOKEN_audio_out]);
	else
		counts_carve(&output, c->value[IMAGE_OUT], &u.tokens[TOKEN_image_out]);
	u.tokens[TOKEN_output] = output;
	return u;
}

static void
take_usage(struct meter *m, const struct state *st)
{
	const struct counts *c = &st->counts;
	if (st->has_seconds || st->has_duration) {
		m->seconds = counts_clamp32(st->has_seconds ? st->seconds : st->duration);
		m->has_seconds = true;
	}
	if (counts_given(c, INPUT) || counts_given(c, OUTPUT) || counts_given(c, TOTAL))
		m->usage = counts_unusable(c, 1u << INPUT | 1u << OUTPUT, 1u << TOTAL) ? (struct usage){.flags = USAGE_ABSURD} : of_tokens(m, c);
	else if (st->has_seconds || st->has_duration) {
		m->usage = (struct usage){.flags = USAGE_REPORTED | USAGE_PIECES | (st->absurd ? USAGE_ABSURD : 0)};
		m->usage.tools[TOOL_audio_second] = m->seconds;
	} else if (st->absurd)
		m->usage.flags |= USAGE_ABSURD;
}

/* ---- documents ---- */

static void
on_document(struct meter *m)
{
	struct state *st = state_of(m);
	if (!st->reader.streamed || st->type == TYPE_DELTA)
		m->content_bytes += st->words;
	m->images += st->reader.streamed && st->type == TYPE_END && of_images(m);
	if (st->words || st->has_sound || m->images) {
		m->events++;
		meter_raise(m, ANSWER_CONTENT);
	}
	take_usage(m, st);
	if (st->has_error || st->type == TYPE_ERROR)
		m->answer = ANSWER_ERROR;
	if (st->reader.streamed && st->type == TYPE_END) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
	memset(&st->counts, 0, sizeof *st - offsetof(struct state, counts));
}

static bool
ends(const struct json_event *ev, const char *with)
{
	size_t len = strlen(with);
	return !ev->cut && ev->text.len >= len && !memcmp(ev->text.at + ev->text.len - len, with, len);
}

static enum type
type_of(const struct json_event *ev)
{
	static const struct {
		const char *end;
		enum type type;
	} rows[] = {
		{".delta", TYPE_DELTA},
		{"transcript.text.done", TYPE_END},
		{"speech.audio.done", TYPE_END},
		{".completed", TYPE_END},
		{"error", TYPE_ERROR},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ends(ev, rows[i].end))
			return rows[i].type;
	return TYPE_OTHER;
}

static void
on_event(struct meter *m, enum json_token t, const struct json_event *ev)
{
	struct state *st = state_of(m);
	switch ((enum node)ev->node) {
	case TYPE:
		if (t == JSON_STRING)
			st->type = type_of(ev);
		break;
	case ERROR:
		st->has_error |= t == JSON_OBJECT || t == JSON_STRING;
		break;
	case WORDS:
		if (t == JSON_STRING)
			st->words += ev->end - ev->at - 2;
		break;
	case SOUND:
		st->has_sound |= t == JSON_STRING && m->endpoint == ENDPOINT_AUDIO_SPEECH;
		break;
	case IMAGE:
		m->images += t == JSON_OBJECT && of_images(m);
		m->content_bytes += t == JSON_OBJECT && of_images(m); /* so that one which is broken off in its middle has been seen */
		break;
	case SECONDS:
		if (t != JSON_NULL && !of_images(m))
			st->absurd |= !(st->has_seconds = take_seconds(t, ev, &st->seconds));
		break;
	case DURATION:
		if (t != JSON_NULL && !of_images(m))
			st->absurd |= !(st->has_duration = take_seconds(t, ev, &st->duration));
		break;
	default:
		if (ev->node >= OF_USAGE)
			counts_take(&st->counts, ev->node - OF_USAGE, t, ev);
	}
}

static const struct reader_language language = {.nodes = nodes, .event = on_event, .document = on_document};

static void
begin(struct meter *m, bool streamed, bool hide)
{
	(void)hide;
	reader_begin(m, &state_of(m)->reader, &language, streamed);
}

static size_t
feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	return reader_feed(m, &state_of(m)->reader, (struct span){in, len}, last, spans, ret_count);
}

const struct meter_language meter_media = {sizeof(struct state), begin, feed};
