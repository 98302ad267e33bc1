/*
 * The rules of metering a Gemini answer (ai.google.dev/api/generate-content; seen in recorded traffic where the reference is silent):
 *
 *  1. usageMetadata holds totals so far; the last object with a count in it wins as a whole. Vertex may send one with its trafficType alone.
 *  2. The prompt is promptTokenCount, cached tokens included, and toolUsePromptTokenCount beside it. Parts by modality come from
 *     promptTokensDetails (their cached share from cacheTokensDetails) and are parts of it.
 *  3. The output is candidatesTokenCount and thoughtsTokenCount beside it; either may be absent.
 *  4. Numbers may stand in quotes (int64), members that are zero are absent, names come in both spellings.
 *  5. Tier: serviceTier, or Vertex's trafficType.
 *  6. Searches: groundingMetadata.webSearchQueries; each object repeats those before it, so the longest list counts.
 *  7. A prompt that was blocked has no candidates and is an answer with its usage. `error`, in the stream or as a bare line, makes it an error.
 *  8. There is no end mark: a stream is whole once a candidate has its finishReason, or the prompt its blockReason.
 *  9. A count of the prompt, the candidates or thoughts that is negative or no number tells nothing: the object is absurd, and no report.
 * 10. countTokens is free.
 */
#include "dialect/counts.h"
#include "dialect/reader.h"

#include <string.h>

/* X(name, member, the same in proto's spelling) */
#define NUMBERS(X) \
	X(PROMPT, "promptTokenCount", "prompt_token_count") \
	X(CACHED, "cachedContentTokenCount", "cached_content_token_count") \
	X(CANDIDATES, "candidatesTokenCount", "candidates_token_count") \
	X(THOUGHTS, "thoughtsTokenCount", "thoughts_token_count") \
	X(TOOL_PROMPT, "toolUsePromptTokenCount", "tool_use_prompt_token_count") \
	X(TOTAL, "totalTokenCount", "total_token_count")

enum modality { TEXT,
	AUDIO,
	IMAGE,
	VIDEO,
	MODALITIES };

enum number {
#define X(name, member, proto) name,
	NUMBERS(X)
#undef X
		NUMBER_COUNT,
	/* By modality, from the lists. */
	OF_PROMPT = NUMBER_COUNT,
	OF_CACHED = OF_PROMPT + MODALITIES,
	OF_CANDIDATES = OF_CACHED + MODALITIES,
	PLACES = OF_CANDIDATES + MODALITIES,
};
_Static_assert((int)PLACES <= (int)COUNTS_MAX, "each number has its place");

enum node {
	ROOT = JSON_NODE_ROOT,
	ELEMENT = READER_ELEMENT,
	ERROR,
	FEEDBACK,
	BLOCK_REASON,
	CANDIDATE_LIST,
	CANDIDATE,
	FINISH_REASON,
	CONTENT,
	PARTS,
	PART,
	WORDS,
	THOUGHT,
	CALL,
	GROUNDING,
	QUERIES,
	QUERY,
	USAGE,
	TIER,
	PROMPT_LIST,
	CACHED_LIST,
	CANDIDATES_LIST,
	PROMPT_ENTRY,
	CACHED_ENTRY,
	CANDIDATES_ENTRY,
	MODALITY,
	ENTRY_COUNT,
	OF_USAGE,
	NODES = OF_USAGE + NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

static const struct json_edge root_edges[] = {
	EDGE("candidates", CANDIDATE_LIST),
	EDGE("usageMetadata", USAGE),
	EDGE("usage_metadata", USAGE),
	EDGE("promptFeedback", FEEDBACK),
	EDGE("prompt_feedback", FEEDBACK),
	EDGE("error", ERROR),
};
static const struct json_edge feedback_edges[] = {EDGE("blockReason", BLOCK_REASON), EDGE("block_reason", BLOCK_REASON)};
static const struct json_edge candidate_edges[] = {
	EDGE("content", CONTENT),
	EDGE("finishReason", FINISH_REASON),
	EDGE("finish_reason", FINISH_REASON),
	EDGE("groundingMetadata", GROUNDING),
	EDGE("grounding_metadata", GROUNDING),
};
static const struct json_edge content_edges[] = {EDGE("parts", PARTS)};
static const struct json_edge part_edges[] = {
	EDGE("text", WORDS),
	EDGE("thought", THOUGHT),
	EDGE("functionCall", CALL),
	EDGE("function_call", CALL),
	EDGE("inlineData", CALL),
	EDGE("executableCode", CALL),
	EDGE("codeExecutionResult", CALL),
};
static const struct json_edge grounding_edges[] = {EDGE("webSearchQueries", QUERIES), EDGE("web_search_queries", QUERIES)};
#define X(name, member, proto) EDGE(member, OF_USAGE + name), EDGE(proto, OF_USAGE + name),
static const struct json_edge usage_edges[] = {
	NUMBERS(X) EDGE("promptTokensDetails", PROMPT_LIST),
	EDGE("promptTokenDetails", PROMPT_LIST),
	EDGE("prompt_tokens_details", PROMPT_LIST),
	EDGE("cacheTokensDetails", CACHED_LIST),
	EDGE("cache_tokens_details", CACHED_LIST),
	EDGE("candidatesTokensDetails", CANDIDATES_LIST),
	EDGE("candidates_tokens_details", CANDIDATES_LIST),
	EDGE("serviceTier", TIER),
	EDGE("service_tier", TIER),
	EDGE("trafficType", TIER),
	EDGE("traffic_type", TIER),
};
#undef X
static const struct json_edge entry_edges[] = {EDGE("modality", MODALITY), EDGE("tokenCount", ENTRY_COUNT), EDGE("token_count", ENTRY_COUNT)};

static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges), .element = ELEMENT},
	[ELEMENT] = {EDGES(root_edges)},
	[FEEDBACK] = {EDGES(feedback_edges)},
	[CANDIDATE_LIST] = {.element = CANDIDATE},
	[CANDIDATE] = {EDGES(candidate_edges)},
	[CONTENT] = {EDGES(content_edges)},
	[PARTS] = {.element = PART},
	[PART] = {EDGES(part_edges)},
	[GROUNDING] = {EDGES(grounding_edges)},
	[QUERIES] = {.element = QUERY},
	[USAGE] = {EDGES(usage_edges)},
	[TIER] = {.text = true},
	[PROMPT_LIST] = {.element = PROMPT_ENTRY},
	[CACHED_LIST] = {.element = CACHED_ENTRY},
	[CANDIDATES_LIST] = {.element = CANDIDATES_ENTRY},
	[PROMPT_ENTRY] = {EDGES(entry_edges)},
	[CACHED_ENTRY] = {EDGES(entry_edges)},
	[CANDIDATES_ENTRY] = {EDGES(entry_edges)},
	[MODALITY] = {.text = true},
	[ENTRY_COUNT] = {.text = true},
#define X(name, member, proto) [OF_USAGE + name] = {.text = true},
	NUMBERS(X)
#undef X
};

struct state {
	struct reader reader;
	uint8_t tier;
	uint32_t searches;
	/* The current document. */
	struct counts counts;
	bool tier_given, finished, has_error;
	uint8_t tier_here;
	uint32_t queries;
	uint64_t words, thoughts;
	/* The current part and entry. */
	uint64_t part_words, part_at;
	bool part_is_thought;
	enum modality modality;
	struct counts entry;
};
_Static_assert(sizeof(struct state) <= sizeof((struct meter *)0)->state, "the state fits its room");

static struct state *
state_of(struct meter *m)
{
	return (struct state *)(void *)m->state;
}

/* ---- numbers into kinds ---- */

/* What of the prompt is of this modality and was not read from the cache. */
static uint64_t
fresh(const struct counts *c, enum modality of)
{
	uint64_t all = c->value[OF_PROMPT + of], cached = c->value[OF_CACHED + of];
	return all > cached ? all - cached : 0;
}

static void
split_prompt(const struct counts *c, struct usage *u)
{
	uint64_t rest = c->value[PROMPT] + c->value[TOOL_PROMPT], cached = c->value[CACHED];
	if (cached > rest)
		u->flags |= USAGE_ABSURD;
	counts_carve(&cached, c->value[OF_CACHED + AUDIO], &u->tokens[TOKEN_cached_audio]);
	counts_carve(&cached, c->value[OF_CACHED + IMAGE], &u->tokens[TOKEN_cached_image]);
	counts_carve(&rest, u->tokens[TOKEN_cached_audio], &u->tokens[TOKEN_cached_audio]);
	counts_carve(&rest, u->tokens[TOKEN_cached_image], &u->tokens[TOKEN_cached_image]);
	counts_carve(&rest, cached, &u->tokens[TOKEN_cached]);
	counts_carve(&rest, fresh(c, AUDIO), &u->tokens[TOKEN_audio_in]);
	counts_carve(&rest, fresh(c, IMAGE), &u->tokens[TOKEN_image_in]);
	counts_carve(&rest, fresh(c, VIDEO), &u->tokens[TOKEN_video_in]);
	u->tokens[TOKEN_input] = rest;
}

static struct usage
normalise(const struct counts *c)
{
	struct usage u = {.flags = USAGE_REPORTED | (c->absurd ? USAGE_ABSURD : 0)};
	uint64_t output = c->value[CANDIDATES];
	split_prompt(c, &u);
	counts_carve(&output, c->value[OF_CANDIDATES + AUDIO], &u.tokens[TOKEN_audio_out]);
	counts_carve(&output, c->value[OF_CANDIDATES + IMAGE], &u.tokens[TOKEN_image_out]);
	u.tokens[TOKEN_output] = output;
	u.tokens[TOKEN_reasoning] = c->value[THOUGHTS];
	return u;
}

/* ---- documents ---- */

static bool
counts_anything(const struct counts *c)
{
	return counts_given(c, PROMPT) || counts_given(c, CANDIDATES) || counts_given(c, THOUGHTS) || counts_given(c, TOTAL);
}

static void
take_usage(struct meter *m, const struct counts *c)
{
	if (counts_unusable(c, 1u << PROMPT | 1u << CANDIDATES | 1u << THOUGHTS | 1u << TOOL_PROMPT, 1u << TOTAL)) {
		m->usage = (struct usage){.flags = USAGE_ABSURD};
		return;
	}
	m->usage = normalise(c);
	/* Some models count nothing but the prompt until the last chunk. */
	if (counts_given(c, CANDIDATES))
		m->content_reported = m->content_bytes;
	if (counts_given(c, THOUGHTS))
		m->reasoning_reported = m->reasoning_bytes;
}

static void
on_document(struct meter *m)
{
	struct state *st = state_of(m);
	m->content_bytes += st->words;
	m->reasoning_bytes += st->thoughts;
	if (st->words + st->thoughts) {
		m->events++;
		meter_raise(m, ANSWER_CONTENT);
	}
	if (st->tier_given)
		st->tier = st->tier_here;
	if (st->queries > st->searches)
		st->searches = st->queries;
	if (counts_anything(&st->counts) && m->endpoint != ENDPOINT_COUNT_TOKENS)
		take_usage(m, &st->counts);
	m->usage.tier = st->tier;
	m->usage.tools[TOOL_web_search] = st->searches;
	if (st->has_error)
		m->answer = ANSWER_ERROR;
	else if (st->finished && st->reader.streamed) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
	memset(&st->counts, 0, sizeof *st - offsetof(struct state, counts));
}

static enum modality
modality_of(const struct json_event *ev)
{
	static const char *const words[MODALITIES] = {"TEXT", "AUDIO", "IMAGE", "VIDEO"};
	for (unsigned i = 0; i < MODALITIES; i++)
		if (!ev->cut && ev->text.len == strlen(words[i]) && !memcmp(ev->text.at, words[i], ev->text.len))
			return (enum modality)i;
	return TEXT;
}

/* An entry of a list by modality. */
static void
on_entry(struct state *st, unsigned place, enum json_token t)
{
	if (t == JSON_OBJECT) {
		st->modality = TEXT;
		st->entry = (struct counts){0};
	} else if (t == JSON_OBJECT_END) {
		st->counts.value[place + st->modality] += st->entry.value[0];
		st->counts.absurd |= st->entry.absurd;
	}
}

static void
on_part(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum node)ev->node) {
	case PART:
		if (t == JSON_OBJECT) {
			st->part_words = 0;
			st->part_is_thought = false;
		} else if (t == JSON_OBJECT_END)
			*(st->part_is_thought ? &st->thoughts : &st->words) += st->part_words;
		break;
	case WORDS:
		if (t == JSON_STRING)
			st->part_words += ev->end - ev->at - 2;
		break;
	case THOUGHT:
		st->part_is_thought = t == JSON_TRUE;
		break;
	case CALL:
		if (t == JSON_OBJECT)
			st->part_at = ev->at;
		else if (t == JSON_OBJECT_END)
			st->part_words += ev->end - st->part_at;
		break;
	default:
		break;
	}
}

static void
on_usage(struct state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum node)ev->node) {
	case USAGE:
		if (t == JSON_OBJECT)
			st->counts = (struct counts){0};
		break;
	case TIER:
		st->tier_given |= t == JSON_STRING;
		if (t == JSON_STRING)
			st->tier_here = (uint8_t)counts_tier(ev->text);
		break;
	case PROMPT_ENTRY:
		on_entry(st, OF_PROMPT, t);
		break;
	case CACHED_ENTRY:
		on_entry(st, OF_CACHED, t);
		break;
	case CANDIDATES_ENTRY:
		on_entry(st, OF_CANDIDATES, t);
		break;
	case MODALITY:
		if (t == JSON_STRING)
			st->modality = modality_of(ev);
		break;
	case ENTRY_COUNT:
		counts_take(&st->entry, 0, t, ev);
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
	case ERROR:
		st->has_error |= t == JSON_OBJECT || t == JSON_STRING;
		break;
	case BLOCK_REASON:
	case FINISH_REASON:
		st->finished |= t == JSON_STRING;
		break;
	case PART:
	case WORDS:
	case THOUGHT:
	case CALL:
		on_part(st, t, ev);
		break;
	case QUERY:
		st->queries += t == JSON_STRING;
		break;
	default:
		on_usage(st, t, ev);
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

const struct meter_language meter_gemini = {sizeof(struct state), begin, feed};
