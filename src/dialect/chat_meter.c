/*
 * The rules of metering a chat answer:
 *
 *  1. A usage object counts wherever it appears: `usage`, `choices[].usage`, `x_groq.usage`, in whatever
 *     chunk, with or without choices. Null is none. The last one wins (some send running totals in every
 *     chunk); an object without any count is passed over.
 *  2. Prompt: cached, cache_write, audio and image are parts of prompt_tokens; input is the rest, so that the
 *     kinds add up to it. Cached is prompt_tokens_details.cached_tokens, else usage.cached_tokens or
 *     prompt_cache_hit_tokens.
 *  3. Output is completion_tokens, unless total_tokens is more than prompt and completion together: then it is
 *     total - prompt (reasoning or thoughts were left out of completion_tokens). Reasoning, audio and image
 *     are parts of it, output is the rest.
 *  4. Fractional, above 2^40, or parts larger than their whole: the nearest possible count, and USAGE_ABSURD.
 *     A prompt or completion that is negative or no number tells nothing: USAGE_ABSURD without USAGE_REPORTED,
 *     whatever stands beside it or came before. An explicit zero is a report like any other.
 *  5. A truthy top-level `error` makes the answer ANSWER_ERROR, for good, whatever comes around it; usage
 *     beside it counts.
 *  6. The proper end is `data: [DONE]`, or the close of the outer object. The stream's end alone is not.
 *  7. An event that is neither JSON nor [DONE], or a bare JSON line, marks the answer malformed; what follows
 *     is still read.
 *  8. content_bytes and reasoning_bytes are the escaped lengths of what the model said: the ground for
 *     estimates (no usage came).
 *  9. The tier is service_tier as the answer names it.
 * 10. An event that says the same as the one before (echo.h) counts as that one did, with the lengths of its own words.
 * 11. Hiding: an event whose object has a usage object and no choices and no error goes, with its empty line.
 *     From the others each top-level `usage` that is null or an object goes, with one comma. Events over
 *     METER_HOLD_MAX and those with a bare JSON line between stay as they are. Everything else passes byte for byte.
 */
#include "core/json_scan.h"
#include "core/sse.h"
#include "dialect/chat_priv.h"
#include "dialect/echo.h"
#include "dialect/meter_priv.h"
#include "dialect/sample.h"

#include <string.h>

enum node {
	NONE = JSON_NODE_NONE,
	ROOT = JSON_NODE_ROOT,
	ERROR,
	X_GROQ,
	TIER,
	FILLER, /* of any length, so that the length of an event doesn't tell that of its words */
	USAGE, /* top level: this one can be hidden */
	USAGE_INNER,
	PROMPT_DETAILS,
	COMPLETION_DETAILS,
	TOOL_DETAILS,
	CHOICES,
	CHOICE,
	MESSAGE, /* or delta */
	CONTENT, /* or text, refusal, arguments, transcript */
	CONTENT_PART,
	THINKING, /* Mistral: a content part's list of thoughts */
	THINKING_PART,
	REASONING_TEXT,
	TOOL_CALLS,
	TOOL_CALL,
	FUNCTION,
	AUDIO,
	NUMBERS,
	NODES = NUMBERS + CHAT_USAGE_NUMBER_COUNT,
};

#define EDGE JSON_EDGE
#define NUMBER(name) (NUMBERS + CHAT_USAGE_##name)
#define ROOT_EDGES(X) \
	X("choices", CHOICES) \
	X("usage", USAGE) \
	X("error", ERROR) \
	X("x_groq", X_GROQ) \
	X("service_tier", TIER) \
	X("obfuscation", FILLER)
static const struct json_edge root_edges[] = JSON_EDGES_OF(ROOT_EDGES);
static const struct json_edge x_groq_edges[] = {EDGE("usage", USAGE_INNER)};
#define USAGE_EDGES(X) \
	X("prompt_tokens", NUMBER(PROMPT)) \
	X("completion_tokens", NUMBER(COMPLETION)) \
	X("total_tokens", NUMBER(TOTAL)) \
	X("prompt_tokens_details", PROMPT_DETAILS) \
	X("completion_tokens_details", COMPLETION_DETAILS) \
	X("prompt_cache_hit_tokens", NUMBER(CACHED_FLAT)) \
	X("cached_tokens", NUMBER(CACHED_FLAT)) \
	X("server_tool_use_details", TOOL_DETAILS) \
	X("num_sources_used", NUMBER(SOURCES))
static const struct json_edge usage_edges[] = JSON_EDGES_OF(USAGE_EDGES);
#define PROMPT_EDGES(X) \
	X("cached_tokens", NUMBER(CACHED)) \
	X("cache_write_tokens", NUMBER(CACHE_WRITE)) \
	X("audio_tokens", NUMBER(AUDIO_IN)) \
	X("image_tokens", NUMBER(IMAGE_IN))
static const struct json_edge prompt_edges[] = JSON_EDGES_OF(PROMPT_EDGES);
#define COMPLETION_EDGES(X) \
	X("reasoning_tokens", NUMBER(REASONING)) \
	X("audio_tokens", NUMBER(AUDIO_OUT)) \
	X("image_tokens", NUMBER(IMAGE_OUT))
static const struct json_edge completion_edges[] = JSON_EDGES_OF(COMPLETION_EDGES);
static const struct json_edge tool_edges[] = {EDGE("web_search_requests", NUMBER(SEARCHES))};
#define CHOICE_EDGES(X) \
	X("delta", MESSAGE) \
	X("message", MESSAGE) \
	X("usage", USAGE_INNER) \
	X("text", CONTENT)
static const struct json_edge choice_edges[] = JSON_EDGES_OF(CHOICE_EDGES);
#define MESSAGE_EDGES(X) \
	X("content", CONTENT) \
	X("tool_calls", TOOL_CALLS) \
	X("refusal", CONTENT) \
	X("reasoning_content", REASONING_TEXT) \
	X("reasoning", REASONING_TEXT) \
	X("audio", AUDIO) \
	X("function_call", FUNCTION)
static const struct json_edge message_edges[] = JSON_EDGES_OF(MESSAGE_EDGES);
static const struct json_edge part_edges[] = {
	EDGE("text", CONTENT),
	EDGE("refusal", CONTENT),
	EDGE("thinking", THINKING),
};
static const struct json_edge thinking_edges[] = {EDGE("text", REASONING_TEXT)};
static const struct json_edge tool_call_edges[] = {EDGE("function", FUNCTION), EDGE("custom", FUNCTION)};
static const struct json_edge function_edges[] = {EDGE("arguments", CONTENT), EDGE("input", CONTENT)};
static const struct json_edge audio_edges[] = {EDGE("transcript", CONTENT)};

#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)
static const struct json_node nodes[NODES] = {
	[ROOT] = {JSON_EDGES(root_edges, ROOT_EDGES)},
	[TIER] = {.text = true},
	[X_GROQ] = {EDGES(x_groq_edges), .silent = true},
	[USAGE] = {JSON_EDGES(usage_edges, USAGE_EDGES)},
	[USAGE_INNER] = {JSON_EDGES(usage_edges, USAGE_EDGES)},
	[PROMPT_DETAILS] = {JSON_EDGES(prompt_edges, PROMPT_EDGES), .silent = true},
	[COMPLETION_DETAILS] = {JSON_EDGES(completion_edges, COMPLETION_EDGES), .silent = true},
	[TOOL_DETAILS] = {EDGES(tool_edges), .silent = true},
	[CHOICES] = {.element = CHOICE, .silent = true},
	[CHOICE] = {JSON_EDGES(choice_edges, CHOICE_EDGES)},
	[MESSAGE] = {JSON_EDGES(message_edges, MESSAGE_EDGES), .silent = true},
	[CONTENT] = {.element = CONTENT_PART},
	[CONTENT_PART] = {EDGES(part_edges), .silent = true},
	[THINKING] = {.element = THINKING_PART, .silent = true},
	[THINKING_PART] = {EDGES(thinking_edges), .silent = true},
	[TOOL_CALLS] = {.element = TOOL_CALL, .silent = true},
	[TOOL_CALL] = {EDGES(tool_call_edges)},
	[FUNCTION] = {EDGES(function_edges)},
	[AUDIO] = {EDGES(audio_edges)},
};

enum {
	CUTS_MAX = 6, /* usage members of one event that are hidden; a seventh would be no mistake but mischief */
	/*
	 * One token of the stream settles one event: at most so many spans. Two more events may end after the last
	 * token.
	 */
	ECHO_CUTS_MAX = 2, /* an event with more is not remembered */
	HOLES_TOO_MANY = ECHO_HOLES_MAX + 1,
	SPANS_PER_EVENT = CUTS_MAX + 1,
	SPANS_SPARE = 3 * SPANS_PER_EVENT,
};

enum document { /* the payload of the current event, or of the whole answer */
	DOC_NONE,
	DOC_JSON,
	DOC_DONE_MARK,
	DOC_BAD,
};

static const char done_mark[] = "[DONE]";

struct cut {
	uint64_t from, to;
};

/* What the event that is remembered means. Its cuts are of the text without the insides of holes. */
struct echo_meaning {
	struct echo_hole cuts[ECHO_CUTS_MAX];
	uint8_t cut_holes[ECHO_CUTS_MAX]; /* so many of the holes stand before it */
	uint8_t cut_count;
	uint8_t kinds[ECHO_HOLES_MAX]; /* enum node of each hole */
	bool has_choice;
};

struct meter_state {
	struct sse sse;
	uint8_t tier;
	bool streamed, hide, ended;
	/* The current event; offsets count from the stream's first byte. */
	enum document document;
	uint8_t done_mark_at;
	bool data_line_ended; /* another data line would be joined with LF */
	bool has_lines; /* fields other than comments were seen */
	bool has_choice, has_usage, has_error;
	bool has_bare; /* a JSON line without a field name: a cut could reach across it */
	bool comma_wanted; /* the last cut takes the comma behind it */
	uint8_t cut_count;
	struct cut cuts[CUTS_MAX];
	uint64_t usage_key_at, usage_comma_at; /* of the usage object that is open */
	uint64_t event_at;
	uint64_t settled; /* what was forwarded or cut so far; the input begins here */
	uint64_t parsed; /* >= settled: an event that is held back is not read again */
	bool last_cut; /* the event before was hidden */
	bool remembers; /* the event before, in echo */
	bool is_once; /* it reports usage or an error: not to be repeated by rote */
	uint8_t hole_count;
	struct echo_hole holes[ECHO_HOLES_MAX]; /* of the current event */
	uint8_t kinds[ECHO_HOLES_MAX];
	/* While a document is read the one before is forgotten: it costs a stream no memory of its own. */
	union {
		struct {
			struct json_scan json;
			struct counts raw;
		};
		struct {
			struct echo_meaning meaning;
			struct echo echo;
		};
	};
};
_Static_assert(offsetof(struct meter, state) + sizeof(struct meter_state) <= 1024, "a stream's meter takes one block of a KiB");
_Static_assert(sizeof(struct meter_state) <= sizeof((struct meter *)0)->state, "the state fits its room");

static struct meter_state *
state_of(struct meter *m)
{
	return (struct meter_state *)(void *)m->state;
}

/* Forget the event that ended, and its document. */
static void
event_reset(struct meter_state *st, uint64_t at)
{
	st->document = DOC_NONE;
	st->done_mark_at = 0;
	st->data_line_ended = st->has_lines = st->has_choice = st->has_usage = st->has_error = st->has_bare = st->comma_wanted = false;
	st->is_once = false;
	st->cut_count = st->hole_count = 0;
	st->event_at = at;
}

static void
chat_begin(struct meter *m, bool streamed, bool hide)
{
	struct meter_state *st = state_of(m);
	st->streamed = streamed;
	st->hide = streamed && hide;
	sse_init(&st->sse);
	event_reset(st, 0);
}

/* ---- the JSON of an event or of the whole answer ---- */

static void
cut_member(struct meter_state *st, uint64_t key_at, uint64_t comma_at, uint64_t end)
{
	if (!st->hide || st->cut_count == CUTS_MAX)
		return;
	struct cut *c = &st->cuts[st->cut_count];
	/*
	 * The comma in front goes too; with none left there, because the member is first or follows one that was
	 * cut, the one behind.
	 */
	bool first = comma_at == JSON_NO_OFFSET || (st->cut_count > 0 && comma_at < c[-1].to);
	*c = (struct cut){first ? key_at : comma_at, end};
	st->cut_count++;
	st->comma_wanted = first;
	if (first)
		json_scan_want_separator(&st->json);
}

static void
usage_end(struct meter *m, struct meter_state *st, const struct json_event *ev)
{
	struct usage u = {0};
	if (chat_usage_normalise(&st->raw, &u)) {
		m->usage = u;
		m->usage.tier = st->tier;
	}
	if (u.flags & USAGE_REPORTED) {
		m->content_reported = m->content_bytes;
		m->reasoning_reported = m->reasoning_bytes;
	}
	if (ev->node == USAGE)
		cut_member(st, st->usage_key_at, st->usage_comma_at, ev->end);
}

static void
on_usage(struct meter *m, struct meter_state *st, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_OBJECT_END)
		usage_end(m, st, ev);
	else if (t == JSON_OBJECT) {
		st->is_once = true;
		st->raw = (struct counts){0};
		if (ev->node == USAGE) {
			st->has_usage = true;
			st->usage_key_at = ev->key_at;
			st->usage_comma_at = ev->comma_at;
		}
	} else if (t == JSON_NULL && ev->node == USAGE)
		cut_member(st, ev->key_at, ev->comma_at, ev->end);
}

static void
on_error(struct meter *m, struct meter_state *st, enum json_token t, const struct json_event *ev)
{
	uint64_t zero;
	bool truthy = t == JSON_OBJECT || t == JSON_ARRAY || t == JSON_TRUE || (t == JSON_STRING && ev->end - ev->at > 2) ||
		(t == JSON_NUMBER && !json_whole(ev, 0, &zero));
	if (!truthy)
		return;
	st->has_error = st->is_once = true;
	m->answer = m->answer == ANSWER_FINISHED ? ANSWER_FINISHED : ANSWER_ERROR;
}

/* Its inside may be another in the next event, without meaning anything else. */
static void
note_hole(struct meter_state *st, const struct json_event *ev)
{
	uint64_t from = ev->at + 1 - st->event_at, to = ev->end - 1 - st->event_at;
	if (st->hole_count >= ECHO_HOLES_MAX || to > ECHO_EVENT_MAX) {
		st->hole_count = HOLES_TOO_MANY;
		return;
	}
	st->holes[st->hole_count] = (struct echo_hole){(uint16_t)from, (uint16_t)to};
	st->kinds[st->hole_count++] = ev->node;
}

static void
count_words(struct meter *m, unsigned node, uint64_t bytes)
{
	if (bytes == 0 || node == FILLER)
		return;
	meter_raise(m, ANSWER_CONTENT);
	if (node == REASONING_TEXT)
		m->reasoning_bytes += bytes;
	else
		m->content_bytes += bytes;
}

/* Words of an event like the one before: of these a sample is taken, since nearly all are, and since they lie together. */
static void __attribute__((noinline))
take_sample(const struct meter *m, const struct meter_state *st, const struct span *insides)
{
	uint64_t said = m->content_bytes + m->reasoning_bytes;
	for (size_t i = 0; i < st->echo.hole_count; i++)
		if (st->meaning.kinds[i] != FILLER && sample_wants(m->sample, said)) {
			sample_words(m->sample, insides[i], said);
			said += insides[i].len;
		}
}

static void
on_words(struct meter *m, struct meter_state *st, enum json_token t, const struct json_event *ev)
{
	if (t != JSON_STRING)
		return;
	note_hole(st, ev);
	count_words(m, ev->node, ev->end - ev->at - 2);
}

static void
on_root(struct meter *m, struct meter_state *st, enum json_token t)
{
	if (t == JSON_OBJECT)
		meter_raise(m, ANSWER_STARTED);
	else if (t == JSON_OBJECT_END) {
		m->finished |= !st->streamed;
		if (!st->streamed)
			meter_raise(m, ANSWER_FINISHED);
	} else
		m->malformed = true;
}

static void
on_event(struct meter *m, struct meter_state *st, enum json_token t, const struct json_event *ev)
{
	if (ev->node >= NUMBERS) {
		counts_take(&st->raw, ev->node - NUMBERS, t, ev);
		return;
	}
	switch ((enum node)ev->node) {
	case ROOT:
		on_root(m, st, t);
		break;
	case USAGE:
	case USAGE_INNER:
		on_usage(m, st, t, ev);
		break;
	case ERROR:
		on_error(m, st, t, ev);
		break;
	case TIER:
		if (t == JSON_STRING)
			m->usage.tier = st->tier = (uint8_t)counts_tier(ev->text);
		break;
	case CHOICE:
		if (!st->has_choice)
			m->events++;
		st->has_choice = true;
		break;
	case TOOL_CALL:
	case AUDIO:
	case FUNCTION:
		if (t == JSON_OBJECT)
			meter_raise(m, ANSWER_CONTENT);
		break;
	case FILLER:
	case CONTENT:
	case REASONING_TEXT:
		on_words(m, st, t, ev);
		break;
	default: /* on the way to others */
		break;
	}
}

static void
json_bytes(struct meter *m, struct meter_state *st, const char *at, size_t len, uint64_t offset)
{
	struct json_event ev;
	enum json_token t;
	json_scan_feed(&st->json, at, len, offset);
	while ((t = json_scan_next(&st->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD) {
			m->malformed = true;
			st->document = DOC_BAD;
			return;
		}
		if (st->comma_wanted) {
			st->comma_wanted = false;
			if (t == JSON_SEPARATOR)
				st->cuts[st->cut_count - 1].to = ev.end;
		}
		if (t != JSON_SEPARATOR)
			on_event(m, st, t, &ev);
	}
}

/* ---- the lines of a stream ---- */

static void
bad_document(struct meter *m, struct meter_state *st)
{
	st->document = DOC_BAD;
	m->malformed = true;
}

static void
document_begin(struct meter *m, struct meter_state *st, char c)
{
	meter_raise(m, ANSWER_STARTED);
	if (c == '{') {
		st->remembers = false;
		json_scan_init(&st->json, nodes);
		st->document = DOC_JSON;
	} else if (c == '[')
		st->document = DOC_DONE_MARK;
	else
		bad_document(m, st);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static void
done_mark_bytes(struct meter *m, struct meter_state *st, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char want = done_mark[st->done_mark_at];
		if (want && at[i] == want)
			st->done_mark_at++;
		else if (want || !is_blank(at[i])) {
			bad_document(m, st);
			return;
		}
	}
}

static void
data_bytes(struct meter *m, struct meter_state *st, const char *at, size_t len, uint64_t offset)
{
	size_t i = 0;
	if (st->document == DOC_NONE) {
		while (i < len && is_blank(at[i]))
			i++;
		if (i < len)
			document_begin(m, st, at[i]);
	}
	if (st->document == DOC_JSON)
		json_bytes(m, st, at + i, len - i, offset + i);
	else if (st->document == DOC_DONE_MARK)
		done_mark_bytes(m, st, at + i, len - i);
}

/*
 * A data line continues the one before after an LF, which is nowhere in the input as such; a blank needs no
 * offset of its own.
 */
static void
data_join(struct meter *m, struct meter_state *st, uint64_t offset)
{
	if (st->data_line_ended)
		data_bytes(m, st, "\n", 1, offset);
	st->data_line_ended = false;
}

static void
document_end(struct meter *m, struct meter_state *st)
{
	bool done = st->document == DOC_DONE_MARK && !done_mark[st->done_mark_at];
	if (done) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
	/* What the stream's end cut short was no mistake of the format; `finished` tells. */
	if (!st->ended && !done && st->document != DOC_NONE && !(st->document == DOC_JSON && json_scan_complete(&st->json)))
		m->malformed = true;
}

/* ---- what goes on to the client ---- */

struct output {
	const char *in;
	uint64_t base; /* the stream's offset of in[0] */
	struct span *spans;
	size_t count;
};

static void
forward(struct output *o, uint64_t from, uint64_t to)
{
	if (to <= from)
		return;
	const char *at = o->in + (from - o->base);
	struct span *last = o->count ? &o->spans[o->count - 1] : NULL;
	if (last && last->at + last->len == at)
		last->len += to - from;
	else
		o->spans[o->count++] = (struct span){at, to - from};
}

/* Everything up to `to` is decided: forward it but for the cuts. */
static void
settle(struct meter_state *st, struct output *o, uint64_t to, bool with_cuts)
{
	for (size_t i = 0; with_cuts && i < st->cut_count; i++) {
		forward(o, st->settled, st->cuts[i].from);
		st->settled = st->cuts[i].to;
	}
	forward(o, st->settled, to);
	st->settled = to;
}

/* ---- events like the one before ---- */

/*
 * The document is read: its scanner's place is free. Whatever else than words it said must not change when it is said again: usage is taken once, and
 * a CR at the end may belong to an LF behind it.
 */
static void
remember(struct meter_state *st, const struct output *o, uint64_t end)
{
	if (st->ended || st->is_once || st->has_bare || st->event_at < o->base || st->cut_count > ECHO_CUTS_MAX || o->in[end - o->base - 1] != '\n')
		return;
	struct span event = {o->in + (st->event_at - o->base), (size_t)(end - st->event_at)};
	if (event.at[0] == '\xef') /* a byte order mark: nothing at the stream's begin, and a name of its own elsewhere */
		return;
	if (!echo_learn(&st->echo, event, st->holes, st->hole_count))
		return;
	struct echo_meaning *e = &st->meaning;
	e->has_choice = st->has_choice;
	e->cut_count = st->cut_count;
	memcpy(e->kinds, st->kinds, sizeof e->kinds);
	for (size_t i = 0; i < st->cut_count; i++) {
		uint64_t from = st->cuts[i].from - st->event_at, len = st->cuts[i].to - st->cuts[i].from;
		uint8_t holes = 0;
		uint16_t inside = 0;
		for (; holes < st->hole_count && st->holes[holes].to <= from; holes++)
			inside = (uint16_t)(inside + st->holes[holes].to - st->holes[holes].from);
		e->cut_holes[i] = holes;
		e->cuts[i] = (struct echo_hole){(uint16_t)(from - inside), (uint16_t)(from - inside + len)};
	}
	st->remembers = true;
}

/* What is to be cut from this one, which begins at st->event_at. */
static void
echo_cuts(struct meter_state *st, const struct span *insides)
{
	const struct echo_meaning *e = &st->meaning;
	uint64_t at = st->event_at;
	st->cut_count = e->cut_count;
	for (size_t i = 0, hole = 0; i < e->cut_count; i++) {
		for (; hole < e->cut_holes[i]; hole++)
			at += insides[hole].len;
		st->cuts[i] = (struct cut){at + e->cuts[i].from, at + e->cuts[i].to};
	}
}

/* If the next event is like the one before, take it. */
static bool
take_echo(struct meter *m, struct meter_state *st, struct output *o)
{
	struct span rest = {st->sse.p, (size_t)(st->sse.end - st->sse.p)}, insides[ECHO_HOLES_MAX];
	if (!st->remembers || o->base + (uint64_t)(rest.at - o->in) != st->event_at || !sse_at_line(&st->sse))
		return false;
	size_t len = echo_match(&st->echo, rest, insides);
	if (len == 0 || len > METER_HOLD_MAX)
		return false;
	uint64_t end = st->event_at + len;
	if (m->sample && sample_wants(m->sample, m->content_bytes + m->reasoning_bytes))
		take_sample(m, st, insides);
	for (size_t i = 0; i < st->echo.hole_count; i++)
		count_words(m, st->meaning.kinds[i], insides[i].len);
	m->events += st->meaning.has_choice;
	m->echoes++;
	st->last_cut = false;
	if (st->hide) {
		echo_cuts(st, insides);
		settle(st, o, end, true);
	}
	event_reset(st, end);
	st->sse.p += len;
	return true;
}

static void
event_end(struct meter *m, struct meter_state *st, struct output *o, uint64_t end)
{
	document_end(m, st);
	bool whole = st->document == DOC_JSON && json_scan_complete(&st->json);
	bool edit = st->hide && whole && !st->has_bare && end - st->event_at <= METER_HOLD_MAX;
	st->last_cut = edit && st->has_usage && !st->has_choice && !st->has_error;
	if (st->last_cut)
		st->settled = end;
	else if (st->hide)
		settle(st, o, end, edit);
	if (whole)
		remember(st, o, end);
	event_reset(st, end);
}

/* A comment before an event's first field need not wait for that event: it keeps the connection alive. */
static void
comment_end(struct meter_state *st, struct output *o, uint64_t end)
{
	if (st->has_lines || !st->hide)
		return;
	settle(st, o, end, false);
	st->event_at = end;
	st->last_cut = false;
}

static void
line_end(struct meter *m, struct meter_state *st, struct output *o, uint64_t end)
{
	if (st->sse.field == SSE_FIELD_COMMENT) {
		comment_end(st, o, end);
		return;
	}
	st->has_lines = true;
	if (st->sse.field == SSE_FIELD_DATA) {
		data_join(m, st, end);
		st->data_line_ended = true;
	} else if (st->sse.field == SSE_FIELD_UNKNOWN && st->sse.name[0] == '{') {
		m->malformed = true;
		st->has_bare = true; /* an error, by experience; the client shall see it, whatever stands around it */
	}
}

/* The second half of a line end whose first half was settled goes the same way. */
static void
late_lf(struct meter_state *st, struct output *o, uint64_t end)
{
	if (!st->hide || st->event_at != end - 1)
		return;
	if (st->last_cut)
		st->settled = end;
	else
		settle(st, o, end, false);
	st->event_at = end;
}

static void
on_token(struct meter *m, struct meter_state *st, struct output *o, enum sse_token t, struct span value)
{
	uint64_t end = o->base + (uint64_t)(st->sse.p - o->in);
	switch (t) {
	case SSE_VALUE:
		if (st->sse.field == SSE_FIELD_DATA) {
			data_join(m, st, end - value.len);
			data_bytes(m, st, value.at, value.len, end - value.len);
		}
		break;
	case SSE_LINE:
		line_end(m, st, o, end);
		break;
	case SSE_DISPATCH:
		event_end(m, st, o, end);
		break;
	case SSE_LATE_LF:
		late_lf(st, o, end);
		break;
	case SSE_MORE:
		break;
	}
}

static size_t
feed_stream(struct meter *m, struct meter_state *st, struct output *o, size_t len, bool last)
{
	enum sse_token t = SSE_VALUE;
	struct span value = {o->in, 0};
	size_t known = (size_t)(st->parsed - st->settled);
	sse_feed(&st->sse, o->in + known, len - known);
	while (o->count <= METER_SPANS_MAX - SPANS_SPARE) {
		if (take_echo(m, st, o))
			continue;
		if ((t = sse_next(&st->sse, &value)) == SSE_MORE)
			break;
		on_token(m, st, o, t, value);
	}
	st->parsed = o->base + (uint64_t)(st->sse.p - o->in);
	if (t == SSE_MORE && last && !st->ended) {
		st->ended = true;
		event_end(m, st, o, st->parsed);
	} else if (st->hide && st->parsed - st->event_at > METER_HOLD_MAX)
		settle(st, o, st->parsed, false);
	if (!st->hide)
		st->settled = st->parsed;
	return (size_t)(st->settled - o->base);
}

static void
feed_plain(struct meter *m, struct meter_state *st, const char *in, size_t len)
{
	if (st->document == DOC_NONE) {
		json_scan_init(&st->json, nodes);
		st->document = DOC_JSON;
	}
	if (st->document == DOC_JSON)
		json_bytes(m, st, in, len, st->settled);
	st->settled += len;
}

static size_t
chat_feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count)
{
	struct meter_state *st = state_of(m);
	struct output o = {in, st->settled, spans, 0};
	size_t settled = len;
	if (st->streamed)
		settled = feed_stream(m, st, &o, len, last);
	else
		feed_plain(m, st, in, len);
	if (!st->hide && len)
		spans[o.count++] = (struct span){in, len};
	*ret_count = o.count;
	return settled;
}

const struct meter_language meter_chat = {sizeof(struct meter_state), chat_begin, chat_feed};
