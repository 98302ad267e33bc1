/*
 * The rules of metering an OpenAI response (platform.openai.com/docs/api-reference/responses; seen in recorded traffic where the reference is
 * silent):
 *
 *  1. usage stands in the response object: the plain body, or `response` of an event. The last one that is not null counts; events in between
 *     carry null. One whose input or output is negative or no number tells nothing: it is absurd, and no report.
 *  2. cached_tokens and cache_write_tokens are parts of input_tokens, reasoning_tokens of output_tokens. If total_tokens is more than both
 *     together, the output is total - input.
 *  3. Searches: tool_usage.web_search.num_requests where it is given, else the web_search_call items whose action is a search; those of the
 *     final response, else those that were done. File searches and sandboxes (distinct container ids) are counted from the items alike.
 *  4. Tokens of the image tool (tool_usage.image_gen) are not in usage: a leg on the image model.
 *  5. The tier is the response's service_tier.
 *  6. A response is kept under the ids that stand in it; it has ended when its status is completed, incomplete, failed or cancelled.
 *  7. The proper end is response.completed, .incomplete or .failed, or the close of a plain body. `error` events, response.failed and a status
 *     of failed make the answer an error.
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
	X(CACHE_WRITE) \
	X(REASONING) \
	X(SEARCHES) \
	X(DRAWN_TEXT_IN) \
	X(DRAWN_IMAGE_IN) \
	X(DRAWN_IN) \
	X(DRAWN_OUT)

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
	RESPONSE,
	ID,
	PREVIOUS,
	CONVERSATION,
	CONVERSATION_ID,
	STATUS,
	TIER,
	ERROR,
	DELTA,
	ITEM,
	OUTPUT_LIST,
	OUTPUT_ITEM,
	ITEM_TYPE,
	ACTION,
	ACTION_TYPE,
	CONTAINER,
	ITEM_CONTENT,
	ITEM_PART,
	WORDS,
	SUMMARY,
	SUMMARY_PART,
	THOUGHTS,
	USAGE,
	INPUT_DETAILS,
	OUTPUT_DETAILS,
	TOOL_USAGE,
	WEB_SEARCH,
	IMAGE_GEN,
	IMAGE_GEN_DETAILS,
	OF_USAGE,
	NODES = OF_USAGE + NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

#define RESPONSE_EDGES \
	EDGE("id", ID), EDGE("previous_response_id", PREVIOUS), EDGE("conversation", CONVERSATION), EDGE("status", STATUS), EDGE("error", ERROR), EDGE("output", OUTPUT_LIST), EDGE("usage", USAGE), EDGE("tool_usage", TOOL_USAGE), \
		EDGE("service_tier", TIER)
static const struct json_edge root_edges[] = {
	EDGE("type", TYPE),
	EDGE("response", RESPONSE),
	EDGE("delta", DELTA),
	EDGE("item", ITEM),
	RESPONSE_EDGES,
};
static const struct json_edge response_edges[] = {RESPONSE_EDGES};
static const struct json_edge conversation_edges[] = {EDGE("id", CONVERSATION_ID)};
static const struct json_edge item_edges[] = {
	EDGE("type", ITEM_TYPE),
	EDGE("action", ACTION),
	EDGE("container_id", CONTAINER),
	EDGE("content", ITEM_CONTENT),
	EDGE("summary", SUMMARY),
	EDGE("arguments", WORDS),
	EDGE("input", WORDS),
};
static const struct json_edge action_edges[] = {EDGE("type", ACTION_TYPE)};
static const struct json_edge part_edges[] = {EDGE("text", WORDS), EDGE("refusal", WORDS)};
static const struct json_edge summary_edges[] = {EDGE("text", THOUGHTS)};
static const struct json_edge usage_edges[] = {
	EDGE("input_tokens", OF_USAGE + INPUT),
	EDGE("output_tokens", OF_USAGE + OUTPUT),
	EDGE("total_tokens", OF_USAGE + TOTAL),
	EDGE("input_tokens_details", INPUT_DETAILS),
	EDGE("output_tokens_details", OUTPUT_DETAILS),
	EDGE("num_sources_used", OF_USAGE + SEARCHES), /* xAI */
};
static const struct json_edge input_edges[] = {
	EDGE("cached_tokens", OF_USAGE + CACHED),
	EDGE("cache_write_tokens", OF_USAGE + CACHE_WRITE),
};
static const struct json_edge output_edges[] = {EDGE("reasoning_tokens", OF_USAGE + REASONING)};
static const struct json_edge tool_edges[] = {EDGE("web_search", WEB_SEARCH), EDGE("image_gen", IMAGE_GEN)};
static const struct json_edge search_edges[] = {EDGE("num_requests", OF_USAGE + SEARCHES)};
static const struct json_edge drawn_edges[] = {
	EDGE("input_tokens", OF_USAGE + DRAWN_IN),
	EDGE("output_tokens", OF_USAGE + DRAWN_OUT),
	EDGE("input_tokens_details", IMAGE_GEN_DETAILS),
};
static const struct json_edge drawn_detail_edges[] = {
	EDGE("text_tokens", OF_USAGE + DRAWN_TEXT_IN),
	EDGE("image_tokens", OF_USAGE + DRAWN_IMAGE_IN),
};

static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[TYPE] = {.text = true},
	[RESPONSE] = {EDGES(response_edges)},
	[ID] = {.text = true},
	[PREVIOUS] = {.text = true},
	[CONVERSATION] = {EDGES(conversation_edges), .text = true},
	[CONVERSATION_ID] = {.text = true},
	[STATUS] = {.text = true},
	[TIER] = {.text = true},
	[ITEM] = {EDGES(item_edges)},
	[OUTPUT_LIST] = {.element = OUTPUT_ITEM},
	[OUTPUT_ITEM] = {EDGES(item_edges)},
	[ITEM_TYPE] = {.text = true},
	[ACTION] = {EDGES(action_edges)},
	[ACTION_TYPE] = {.text = true},
	[CONTAINER] = {.text = true},
	[ITEM_CONTENT] = {.element = ITEM_PART},
	[ITEM_PART] = {EDGES(part_edges)},
	[SUMMARY] = {.element = SUMMARY_PART},
	[SUMMARY_PART] = {EDGES(summary_edges)},
	[USAGE] = {EDGES(usage_edges)},
	[INPUT_DETAILS] = {EDGES(input_edges)},
	[OUTPUT_DETAILS] = {EDGES(output_edges)},
	[TOOL_USAGE] = {EDGES(tool_edges)},
	[WEB_SEARCH] = {EDGES(search_edges)},
	[IMAGE_GEN] = {EDGES(drawn_edges)},
	[IMAGE_GEN_DETAILS] = {EDGES(drawn_detail_edges)},
};

enum { SANDBOXES_MAX = 8 };

/* Billed items; sandboxes by a hash of their id, so that each counts once. */
struct pieces {
	uint32_t searches, file_searches, sandboxes;
	uint32_t sandbox[SANDBOXES_MAX];
};

enum type { TYPE_OTHER,
	TYPE_END,
	TYPE_FAILED,
	TYPE_ERROR,
	TYPE_WORDS,
	TYPE_THOUGHTS,
	TYPE_ITEM_DONE };

struct state {
	struct reader reader;
	struct meter_leg drawn;
	struct pieces done; /* by events */
	struct meter_stored stored;
	uint8_t tier;
	/* The current document. */
	struct counts counts;
	struct pieces listed; /* in its list of output */
	enum type type;
	bool has_usage, has_list, has_error, failed, ended, tier_given;
	uint8_t tier_here;
	uint64_t delta, words, thoughts;
	/* The current item. */
	struct item {
		bool search, looks, file_search, code;
		uint32_t sandbox;
	} item;
};
_Static_assert(sizeof(struct state) <= sizeof((struct meter *)0)->state, "the state fits its room");

static struct state *
state_of(struct meter *m)
{
	return (struct state *)(void *)m->state;
}

static bool
says(const struct json_event *ev, const char *text)
{
	size_t len = strlen(text);
	return !ev->cut && ev->text.len == len && !memcmp(ev->text.at, text, len);
}

/* ---- items ---- */

/* FNV-1a; never 0, which stands for none. */
static uint32_t
hash_of(struct span s)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.at[i]) * 16777619u;
	return h ? h : 1;
}

static void
count_sandbox(struct pieces *p, uint32_t id)
{
	for (uint32_t i = 0; i < p->sandboxes && i < SANDBOXES_MAX; i++)
		if (p->sandbox[i] == id)
			return;
	if (p->sandboxes < SANDBOXES_MAX)
		p->sandbox[p->sandboxes] = id;
	p->sandboxes++;
}

static void
count_item(struct pieces *p, const struct item *i)
{
	p->searches += i->search && !i->looks;
	p->file_searches += i->file_search;
	if (i->code && i->sandbox)
		count_sandbox(p, i->sandbox);
}

static void
on_item(struct state *st, enum json_token t, const struct json_event *ev)
{
	struct item *i = &st->item;
	switch ((enum node)ev->node) {
	case ITEM:
	case OUTPUT_ITEM:
		if (t == JSON_OBJECT)
			*i = (struct item){0};
		else if (t == JSON_OBJECT_END && ev->node == OUTPUT_ITEM)
			count_item(&st->listed, i);
		break;
	case ITEM_TYPE:
		i->search = t == JSON_STRING && says(ev, "web_search_call");
		i->file_search = t == JSON_STRING && says(ev, "file_search_call");
		i->code = t == JSON_STRING && says(ev, "code_interpreter_call");
		break;
	case ACTION_TYPE: /* opening a page that was found is no search */
		i->looks = t == JSON_STRING && !says(ev, "search");
		break;
	case CONTAINER:
		if (t == JSON_STRING)
			i->sandbox = hash_of(ev->text);
		break;
	default:
		break;
	}
}

/* ---- numbers into kinds ---- */

static struct usage
normalise(const struct counts *c)
{
	struct usage u = {.flags = USAGE_REPORTED | (c->absurd ? USAGE_ABSURD : 0)};
	uint64_t input = c->value[INPUT], output = c->value[OUTPUT];
	if (c->value[TOTAL] > input + output)
		output = c->value[TOTAL] - input;
	if (c->value[CACHED] > input || c->value[CACHE_WRITE] > input - (c->value[CACHED] < input ? c->value[CACHED] : input) ||
		c->value[REASONING] > output)
		u.flags |= USAGE_ABSURD;
	counts_carve(&input, c->value[CACHED], &u.tokens[TOKEN_cached]);
	counts_carve(&input, c->value[CACHE_WRITE], &u.tokens[TOKEN_cache_write]);
	u.tokens[TOKEN_input] = input;
	counts_carve(&output, c->value[REASONING], &u.tokens[TOKEN_reasoning]);
	u.tokens[TOKEN_output] = output;
	return u;
}

/* The image tool's own tokens: it is a model of its own, whose name the answer leaves out. */
static void
take_drawn(struct meter *m, struct state *st)
{
	static const char model[] = "gpt-image-1";
	const struct counts *c = &st->counts;
	uint64_t input = c->value[DRAWN_IN], image = c->value[DRAWN_IMAGE_IN];
	if (!input && !c->value[DRAWN_OUT])
		return;
	struct meter_leg *l = &st->drawn;
	*l = (struct meter_leg){.usage = {.flags = USAGE_REPORTED, .tier = st->tier}, .model_len = sizeof model - 1};
	memcpy(l->model, model, sizeof model - 1);
	counts_carve(&input, image, &l->usage.tokens[TOKEN_image_in]);
	l->usage.tokens[TOKEN_input] = input;
	l->usage.tokens[TOKEN_image_out] = c->value[DRAWN_OUT];
	m->legs = l;
	m->leg_count = 1;
}

static void
take_usage(struct meter *m, struct state *st)
{
	if (counts_unusable(&st->counts, 1u << INPUT | 1u << OUTPUT, 1u << TOTAL)) {
		m->usage = (struct usage){.flags = USAGE_ABSURD};
		m->leg_count = 0;
		return;
	}
	const struct pieces *p = st->has_list ? &st->listed : &st->done;
	uint64_t searches = counts_given(&st->counts, SEARCHES) ? st->counts.value[SEARCHES] : p->searches;
	m->usage = normalise(&st->counts);
	m->usage.tools[TOOL_web_search] = counts_clamp32(searches);
	m->usage.tools[TOOL_file_search] = p->file_searches;
	m->usage.tools[TOOL_code_session] = p->sandboxes;
	take_drawn(m, st);
}

/* ---- documents ---- */

static void
count_output(struct meter *m, struct state *st)
{
	uint64_t words = 0, thoughts = 0;
	if (!st->reader.streamed) {
		words = st->words;
		thoughts = st->thoughts;
	} else if (st->type == TYPE_WORDS)
		words = st->delta;
	else if (st->type == TYPE_THOUGHTS)
		thoughts = st->delta;
	m->content_bytes += words;
	m->reasoning_bytes += thoughts;
	if (words + thoughts) {
		m->events++;
		meter_raise(m, ANSWER_CONTENT);
	}
}

static void
on_document(struct meter *m)
{
	struct state *st = state_of(m);
	count_output(m, st);
	if (st->type == TYPE_ITEM_DONE)
		count_item(&st->done, &st->item);
	if (st->tier_given)
		st->tier = st->tier_here;
	if (st->has_usage && (counts_given(&st->counts, INPUT) || counts_given(&st->counts, OUTPUT) || counts_given(&st->counts, TOTAL)))
		take_usage(m, st);
	m->usage.tier = st->tier;
	st->stored.ended |= st->ended || st->failed;
	st->stored.failed |= st->failed;
	if (st->type == TYPE_ERROR || st->type == TYPE_FAILED || st->failed || (st->has_error && !st->reader.streamed))
		m->answer = ANSWER_ERROR;
	if (st->reader.streamed && (st->type == TYPE_END || st->type == TYPE_FAILED)) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
	memset(&st->counts, 0, sizeof *st - offsetof(struct state, counts));
}

static bool
begins(const struct json_event *ev, const char *text)
{
	size_t len = strlen(text);
	return ev->text.len >= len && !memcmp(ev->text.at, text, len);
}

static enum type
type_of(const struct json_event *ev)
{
	static const struct {
		const char *word;
		bool whole;
		enum type type;
	} rows[] = {
		{"response.completed", true, TYPE_END},
		{"response.incomplete", true, TYPE_END},
		{"response.failed", true, TYPE_FAILED},
		{"response.output_item.done", true, TYPE_ITEM_DONE},
		{"error", true, TYPE_ERROR},
		{"response.reasoning", false, TYPE_THOUGHTS},
		{"response.", false, TYPE_WORDS}, /* whatever has a delta: text, arguments, refusals, code */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].whole ? says(ev, rows[i].word) : begins(ev, rows[i].word))
			return rows[i].type;
	return TYPE_OTHER;
}

static void
take_id(struct meter_id *id, enum json_token t, const struct json_event *ev)
{
	if (t != JSON_STRING || ev->cut || ev->text.len > sizeof id->at)
		return;
	id->len = (uint8_t)ev->text.len;
	memcpy(id->at, ev->text.at, ev->text.len);
}

static void
on_response(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum node)ev->node) {
	case ID:
		take_id(&st->stored.own, t, ev);
		break;
	case PREVIOUS:
		take_id(&st->stored.previous, t, ev);
		break;
	case CONVERSATION:
	case CONVERSATION_ID:
		take_id(&st->stored.conversation, t, ev);
		break;
	case STATUS:
		st->failed |= t == JSON_STRING && says(ev, "failed");
		st->ended |= t == JSON_STRING && (says(ev, "completed") || says(ev, "incomplete") || says(ev, "cancelled"));
		break;
	case TIER:
		st->tier_given |= t == JSON_STRING;
		if (t == JSON_STRING)
			st->tier_here = (uint8_t)counts_tier(ev->text);
		break;
	case ERROR:
		st->has_error |= t == JSON_OBJECT || t == JSON_STRING;
		break;
	case OUTPUT_LIST:
		st->has_list |= t == JSON_ARRAY_END && !ev->empty;
		break;
	case USAGE:
		st->has_usage |= t == JSON_OBJECT;
		break;
	default:
		if (ev->node >= OF_USAGE)
			counts_take(&st->counts, ev->node - OF_USAGE, t, ev);
	}
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
	case DELTA:
		if (t == JSON_STRING)
			st->delta += ev->end - ev->at - 2;
		break;
	case WORDS:
		if (t == JSON_STRING)
			st->words += ev->end - ev->at - 2;
		break;
	case THOUGHTS:
		if (t == JSON_STRING)
			st->thoughts += ev->end - ev->at - 2;
		break;
	case ITEM:
	case OUTPUT_ITEM:
	case ITEM_TYPE:
	case ACTION_TYPE:
	case CONTAINER:
		on_item(st, t, ev);
		break;
	default:
		on_response(st, t, ev);
	}
}

static const struct reader_language language = {.nodes = nodes, .event = on_event, .document = on_document};

static void
begin(struct meter *m, bool streamed, bool hide)
{
	(void)hide;
	reader_begin(m, &state_of(m)->reader, &language, streamed);
	m->stored = &state_of(m)->stored;
}

static size_t
feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	return reader_feed(m, &state_of(m)->reader, (struct span){in, len}, last, spans, ret_count);
}

const struct meter_language meter_responses = {sizeof(struct state), begin, feed};
