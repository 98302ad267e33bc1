/*
 * The rules of metering an Anthropic message (platform.claude.com/docs/en/api/messages; seen in recorded traffic where the reference is silent):
 *
 *  1. message_start.message.usage, then each message_delta.usage: totals so far, not differences. A number that an event gives replaces the one
 *     before, also with a smaller one; a number that it leaves out stays. message_start begins anew, also in mid-stream.
 *  2. Input is what was not read from or written to a cache: input_tokens + cache_read + cache_creation is the prompt.
 *  3. Cache writes: cache_creation.ephemeral_1h is the hour's part, the rest of cache_creation_input_tokens lives five minutes.
 *  4. With iterations, those are billed and not the top level: an entry that names a model is a leg on that model, the others are the answer's.
 *     A `message` entry without output before a `fallback_message` was declined and is not billed.
 *  5. A refusal before any content (stop_reason refusal, no content block) is reported and not billed: everything is zero.
 *  6. Tier: speed fast, else service_tier. inference_geo us is marked.
 *  7. Searches are billed by the piece: server_tool_use.web_search_requests.
 *  8. The proper end is message_stop, or the close of a plain body. An `error` event, or a body of type error, makes the answer an error.
 *  9. A count of input, cache or output that is negative or no number tells nothing: while it stands the answer has reported nothing, and is marked absurd.
 * 10. Numbers of a half event don't count: an event's numbers are taken when its object closes.
 */
#include "dialect/counts.h"
#include "dialect/reader.h"

#include <string.h>

/* X(name) */
#define NUMBERS(X) \
	X(INPUT) \
	X(OUTPUT) \
	X(WRITE) \
	X(READ) \
	X(WRITE_1H) \
	X(WRITE_5M) \
	X(THINKING) \
	X(SEARCHES)

enum number {
#define X(name) name,
	NUMBERS(X)
#undef X
		NUMBER_COUNT,
};

enum node {
	ROOT = JSON_NODE_ROOT,
	ELEMENT = READER_ELEMENT,
	TYPE,
	ERROR,
	MESSAGE,
	STOP_REASON,
	CONTENT,
	BLOCK,
	BLOCK_START,
	DELTA,
	WORDS,
	THOUGHTS,
	ARGUMENTS, /* a whole object: its bytes count when it closes */
	USAGE,
	WRITES,
	DETAILS,
	TOOLS,
	TIER,
	SPEED,
	GEO,
	ITERATIONS,
	ITERATION,
	ITERATION_TYPE,
	ITERATION_MODEL,
	ITERATION_WRITES,
	ITERATION_DETAILS,
	OF_USAGE,
	OF_ITERATION = OF_USAGE + NUMBER_COUNT,
	NODES = OF_ITERATION + NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

static const struct json_edge root_edges[] = {
	EDGE("type", TYPE),
	EDGE("message", MESSAGE),
	EDGE("usage", USAGE),
	EDGE("delta", DELTA),
	EDGE("content_block", BLOCK_START),
	EDGE("content", CONTENT),
	EDGE("stop_reason", STOP_REASON),
	EDGE("error", ERROR),
};
static const struct json_edge message_edges[] = {EDGE("usage", USAGE), EDGE("content", CONTENT), EDGE("stop_reason", STOP_REASON)};
static const struct json_edge block_edges[] = {
	EDGE("text", WORDS),
	EDGE("thinking", THOUGHTS),
	EDGE("input", ARGUMENTS),
	EDGE("partial_json", WORDS),
	EDGE("stop_reason", STOP_REASON),
};
#define USAGE_EDGES(of, writes, details) \
	EDGE("input_tokens", of + INPUT), EDGE("output_tokens", of + OUTPUT), EDGE("cache_creation_input_tokens", of + WRITE), \
		EDGE("cache_read_input_tokens", of + READ), EDGE("cache_creation", writes), EDGE("output_tokens_details", details)
static const struct json_edge usage_edges[] = {
	USAGE_EDGES(OF_USAGE, WRITES, DETAILS),
	EDGE("server_tool_use", TOOLS),
	EDGE("service_tier", TIER),
	EDGE("speed", SPEED),
	EDGE("inference_geo", GEO),
	EDGE("iterations", ITERATIONS),
};
static const struct json_edge iteration_edges[] = {
	USAGE_EDGES(OF_ITERATION, ITERATION_WRITES, ITERATION_DETAILS),
	EDGE("type", ITERATION_TYPE),
	EDGE("model", ITERATION_MODEL),
};
#define WRITE_EDGES(of) \
	{ \
		EDGE("ephemeral_1h_input_tokens", of + WRITE_1H), EDGE("ephemeral_5m_input_tokens", of + WRITE_5M) \
	}
static const struct json_edge write_edges[] = WRITE_EDGES(OF_USAGE), iteration_write_edges[] = WRITE_EDGES(OF_ITERATION);
static const struct json_edge detail_edges[] = {EDGE("thinking_tokens", OF_USAGE + THINKING)};
static const struct json_edge iteration_detail_edges[] = {EDGE("thinking_tokens", OF_ITERATION + THINKING)};
static const struct json_edge tool_edges[] = {EDGE("web_search_requests", OF_USAGE + SEARCHES)};

#define NUMBER_NODE(name) [OF_USAGE + name] = {.text = true}, [OF_ITERATION + name] = {.text = true},
static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[TYPE] = {.text = true},
	[MESSAGE] = {EDGES(message_edges)},
	[STOP_REASON] = {.text = true},
	[CONTENT] = {.element = BLOCK},
	[BLOCK] = {EDGES(block_edges)},
	[BLOCK_START] = {EDGES(block_edges)},
	[DELTA] = {EDGES(block_edges)},
	[USAGE] = {EDGES(usage_edges)},
	[WRITES] = {EDGES(write_edges)},
	[DETAILS] = {EDGES(detail_edges)},
	[TOOLS] = {EDGES(tool_edges)},
	[TIER] = {.text = true},
	[SPEED] = {.text = true},
	[GEO] = {.text = true},
	[ITERATIONS] = {.element = ITERATION},
	[ITERATION] = {EDGES(iteration_edges)},
	[ITERATION_TYPE] = {.text = true},
	[ITERATION_MODEL] = {.text = true},
	[ITERATION_WRITES] = {EDGES(iteration_write_edges)},
	[ITERATION_DETAILS] = {EDGES(iteration_detail_edges)},
#define X NUMBER_NODE
	NUMBERS(X)
#undef X
};

enum type { TYPE_OTHER,
	TYPE_MESSAGE,
	TYPE_START,
	TYPE_DELTA,
	TYPE_STOP,
	TYPE_ERROR,
	TYPE_BLOCK };

/* One entry of iterations. */
struct iteration {
	struct counts counts;
	char model[METER_MODEL_MAX];
	uint8_t model_len;
	bool is_message, is_fallback;
};

struct state {
	struct reader reader;
	struct meter_leg billed[METER_LEGS_MAX];
	struct counts total; /* what stands after all documents so far */
	uint8_t tier;
	bool fast, geo_us, refused, has_content;
	/* The current document. */
	struct counts counts;
	enum type type;
	bool has_usage, has_iterations, unusable, has_error, refused_here, tier_given;
	uint8_t tier_here;
	bool fast_here, geo_here;
	struct usage sum; /* of the iterations without a model of their own */
	struct meter_leg legs[METER_LEGS_MAX];
	uint8_t leg_count;
	bool waiting; /* an entry that a fallback may follow */
	struct iteration held, entry;
	uint64_t words, thoughts, arguments_at;
};
_Static_assert(sizeof(struct state) <= sizeof((struct meter *)0)->state, "the state fits its room");
_Static_assert((int)NUMBER_COUNT <= (int)COUNTS_MAX, "each number has its place");

static struct state *
state_of(struct meter *m)
{
	return (struct state *)(void *)m->state;
}

static void
document_reset(struct state *st)
{
	memset(&st->counts, 0, sizeof *st - offsetof(struct state, counts));
}

/* ---- numbers into kinds ---- */

static struct usage
normalise(const struct counts *c)
{
	struct usage u = {.flags = USAGE_REPORTED | (c->absurd ? USAGE_ABSURD : 0)};
	uint64_t split = c->value[WRITE_1H] + c->value[WRITE_5M];
	uint64_t writes = counts_given(c, WRITE) && c->value[WRITE] >= c->value[WRITE_1H] ? c->value[WRITE] : split;
	uint64_t output = c->value[OUTPUT];
	if (counts_given(c, WRITE) && c->value[WRITE] < c->value[WRITE_1H])
		u.flags |= USAGE_ABSURD;
	if (c->value[THINKING] > output)
		u.flags |= USAGE_ABSURD;
	u.tokens[TOKEN_input] = c->value[INPUT];
	u.tokens[TOKEN_cached] = c->value[READ];
	counts_carve(&writes, c->value[WRITE_1H], &u.tokens[TOKEN_cache_write_1h]);
	u.tokens[TOKEN_cache_write] = writes;
	counts_carve(&output, c->value[THINKING], &u.tokens[TOKEN_reasoning]);
	u.tokens[TOKEN_output] = output;
	u.tools[TOOL_web_search] = counts_clamp32(c->value[SEARCHES]);
	return u;
}

/* Each of these is a part of the bill of its own. */
static bool
is_unusable(const struct counts *c)
{
	return counts_unusable(c, 1u << INPUT | 1u << OUTPUT | 1u << READ | 1u << WRITE, 0);
}

static void
add_usage(struct usage *to, const struct usage *u)
{
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		to->tokens[k] += u->tokens[k];
	to->flags |= u->flags;
}

/* ---- iterations ---- */

static void
bill_iteration(struct state *st, const struct iteration *i)
{
	struct usage u = normalise(&i->counts);
	st->unusable |= is_unusable(&i->counts);
	if (!i->model_len) {
		add_usage(&st->sum, &u);
		return;
	}
	for (unsigned k = 0; k < st->leg_count; k++) {
		struct meter_leg *l = &st->legs[k];
		if (l->model_len == i->model_len && !memcmp(l->model, i->model, i->model_len)) {
			add_usage(&l->usage, &u);
			return;
		}
	}
	if (st->leg_count == METER_LEGS_MAX) { /* more models than anybody names: at the answer's own price, and marked */
		u.flags |= USAGE_ABSURD;
		add_usage(&st->sum, &u);
		return;
	}
	struct meter_leg *l = &st->legs[st->leg_count++];
	l->usage = u;
	l->model_len = i->model_len;
	memcpy(l->model, i->model, i->model_len);
}

static void
iteration_end(struct state *st)
{
	bool declined = st->waiting && st->held.is_message && st->held.counts.value[OUTPUT] == 0 && st->entry.is_fallback;
	if (st->waiting && !declined)
		bill_iteration(st, &st->held);
	st->held = st->entry;
	st->waiting = true;
}

static bool
says(const struct json_event *ev, const char *text)
{
	size_t len = strlen(text);
	return !ev->cut && ev->text.len == len && !memcmp(ev->text.at, text, len);
}

static void
on_iteration(struct state *st, enum json_token t, const struct json_event *ev)
{
	struct iteration *i = &st->entry;
	if (ev->node == ITERATION && t == JSON_OBJECT)
		*i = (struct iteration){0};
	else if (ev->node == ITERATION && t == JSON_OBJECT_END)
		iteration_end(st);
	else if (ev->node == ITERATION_TYPE && t == JSON_STRING) {
		i->is_message = says(ev, "message");
		i->is_fallback = says(ev, "fallback_message");
	} else if (ev->node == ITERATION_MODEL && t == JSON_STRING) {
		i->model_len = (uint8_t)(ev->text.len < METER_MODEL_MAX ? ev->text.len : METER_MODEL_MAX);
		memcpy(i->model, ev->text.at, i->model_len);
	}
}

/* ---- documents ---- */

/* Numbers that this document gives replace those before it. */
static void
merge(struct state *st)
{
	if (st->type == TYPE_START || st->type == TYPE_MESSAGE)
		st->total = (struct counts){0};
	for (unsigned k = 0; k < NUMBER_COUNT; k++)
		if (counts_given(&st->counts, k)) {
			st->total.value[k] = st->counts.value[k];
			st->total.given |= 1u << k;
			st->total.unread = (st->total.unread & ~(1u << k)) | (st->counts.unread & 1u << k);
		}
	st->total.absurd |= st->counts.absurd;
	if (st->tier_given)
		st->tier = st->tier_here;
	st->fast |= st->fast_here;
	st->geo_us |= st->geo_here;
}

static void
take_usage(struct meter *m, struct state *st)
{
	merge(st);
	bool unusable = is_unusable(&st->total);
	m->usage = normalise(&st->total);
	m->leg_count = 0;
	if (st->has_iterations) {
		if (st->waiting)
			bill_iteration(st, &st->held);
		unusable = st->unusable;
		st->sum.tools[TOOL_web_search] = m->usage.tools[TOOL_web_search];
		st->sum.flags |= m->usage.flags;
		m->usage = st->sum;
		m->leg_count = st->leg_count;
		memcpy(st->billed, st->legs, sizeof st->billed);
		m->legs = st->billed;
	}
	if (unusable) {
		m->usage = (struct usage){.flags = USAGE_ABSURD};
		m->leg_count = 0;
	} else {
		m->content_reported = m->content_bytes;
		m->reasoning_reported = m->reasoning_bytes;
	}
	uint8_t tier = st->fast ? TIER_fast : st->tier;
	uint32_t geo = st->geo_us ? USAGE_GEO_US : 0;
	m->usage.tier = tier;
	m->usage.flags |= geo;
	for (unsigned i = 0; i < m->leg_count; i++) {
		st->billed[i].usage.tier = tier;
		st->billed[i].usage.flags |= geo;
	}
}

/* Refused before anything was said: reported, not billed. */
static void
free_of_charge(struct meter *m)
{
	m->usage = (struct usage){.flags = USAGE_REPORTED, .tier = m->usage.tier};
	m->leg_count = 0;
}

static void
on_document(struct meter *m)
{
	struct state *st = state_of(m);
	bool billed = m->endpoint != ENDPOINT_MESSAGES_COUNT_TOKENS;
	m->content_bytes += st->words;
	m->reasoning_bytes += st->thoughts;
	if (st->words + st->thoughts) {
		m->events++;
		meter_raise(m, ANSWER_CONTENT);
	}
	if (billed && st->has_usage && st->counts.given)
		take_usage(m, st);
	st->refused |= st->refused_here;
	if (st->refused && !st->has_content && m->usage.flags & (USAGE_REPORTED | USAGE_ABSURD))
		free_of_charge(m);
	if (st->has_error || st->type == TYPE_ERROR)
		m->answer = ANSWER_ERROR;
	if (st->type == TYPE_STOP) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
	document_reset(st);
}

static enum type
type_of(const struct json_event *ev)
{
	static const struct {
		const char *word;
		enum type type;
	} rows[] = {
		{"message", TYPE_MESSAGE},
		{"message_start", TYPE_START},
		{"message_delta", TYPE_DELTA},
		{"message_stop", TYPE_STOP},
		{"error", TYPE_ERROR},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (says(ev, rows[i].word))
			return rows[i].type;
	return TYPE_OTHER;
}

static void
on_usage(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum node)ev->node) {
	case USAGE:
		if (t == JSON_OBJECT) {
			st->counts = (struct counts){0};
			st->has_usage = true;
		}
		break;
	case TIER:
		st->tier_given = t == JSON_STRING;
		if (t == JSON_STRING)
			st->tier_here = (uint8_t)counts_tier(ev->text);
		break;
	case SPEED:
		st->fast_here = t == JSON_STRING && says(ev, "fast");
		break;
	case GEO:
		st->geo_here = t == JSON_STRING && says(ev, "us");
		break;
	case ITERATIONS:
		st->has_iterations |= t == JSON_ARRAY_END && !ev->empty;
		break;
	default:
		break;
	}
}

static void
on_words(struct state *st, enum json_token t, const struct json_event *ev)
{
	if (ev->node == ARGUMENTS && t == JSON_OBJECT)
		st->arguments_at = ev->at;
	else if (ev->node == ARGUMENTS && t == JSON_OBJECT_END && !ev->empty)
		st->words += ev->end - st->arguments_at;
	else if (t == JSON_STRING && ev->node == THOUGHTS)
		st->thoughts += ev->end - ev->at - 2;
	else if (t == JSON_STRING)
		st->words += ev->end - ev->at - 2;
}

static void
on_event(struct meter *m, enum json_token t, const struct json_event *ev)
{
	struct state *st = state_of(m);
	switch (ev->node) {
	case TYPE:
		if (t == JSON_STRING)
			st->type = type_of(ev);
		break;
	case ERROR:
		st->has_error |= t == JSON_OBJECT || t == JSON_STRING;
		break;
	case STOP_REASON:
		st->refused_here |= t == JSON_STRING && says(ev, "refusal");
		break;
	case BLOCK:
	case BLOCK_START:
		st->has_content |= t == JSON_OBJECT;
		break;
	case WORDS:
	case THOUGHTS:
	case ARGUMENTS:
		on_words(st, t, ev);
		break;
	case USAGE:
	case TIER:
	case SPEED:
	case GEO:
	case ITERATIONS:
		on_usage(st, t, ev);
		break;
	case ITERATION:
	case ITERATION_TYPE:
	case ITERATION_MODEL:
		on_iteration(st, t, ev);
		break;
	default:
		if (ev->node >= OF_ITERATION)
			counts_take(&st->entry.counts, ev->node - OF_ITERATION, t, ev);
		else if (ev->node >= OF_USAGE)
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

const struct meter_language meter_messages = {sizeof(struct state), begin, feed};
