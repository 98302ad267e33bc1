#include "dialect/prompt.h"

/* One table for every language: what they call by one name means one thing. */
enum node {
	NONE = JSON_NODE_NONE,
	ROOT = JSON_NODE_ROOT,
	TURNS, /* a text, or turns, or texts, or tokens as numbers */
	TURN,
	WORDS, /* a text, or a list of parts */
	PART,
	TEXT,
	RAW, /* as it stands */
	CALLS,
	CALL,
	FUNCTION,
	SYSTEM,
	TEXTS, /* a text, or texts, or tokens as numbers */
	REQUESTS,
	REQUEST,
	NODES,
};

#define EDGE JSON_EDGE
static const struct json_edge root_edges[] = {
	EDGE("messages", TURNS),
	EDGE("input", TURNS),
	EDGE("contents", TURNS),
	EDGE("content", TURN),
	EDGE("requests", REQUESTS),
	EDGE("system", SYSTEM),
	EDGE("instructions", SYSTEM),
	EDGE("systemInstruction", SYSTEM),
	EDGE("system_instruction", SYSTEM),
	EDGE("prompt", TEXTS),
	EDGE("suffix", TEXT),
	EDGE("tools", RAW),
	EDGE("functions", RAW),
	EDGE("response_format", RAW),
	EDGE("text", RAW),
	EDGE("output_config", RAW),
};
static const struct json_edge turn_edges[] = {
	EDGE("content", WORDS),
	EDGE("parts", WORDS),
	EDGE("name", TEXT),
	EDGE("text", TEXT),
	EDGE("refusal", TEXT),
	EDGE("reasoning_content", TEXT),
	EDGE("tool_calls", CALLS),
	EDGE("function_call", FUNCTION),
	EDGE("arguments", TEXT),
	EDGE("input", WORDS),
	EDGE("output", WORDS),
	EDGE("summary", WORDS),
};
static const struct json_edge part_edges[] = {
	EDGE("text", TEXT),
	EDGE("refusal", TEXT),
	EDGE("thinking", TEXT),
	EDGE("name", TEXT),
	EDGE("title", TEXT),
	EDGE("context", TEXT),
	EDGE("content", WORDS),
	EDGE("input", RAW),
	EDGE("functionCall", RAW),
	EDGE("functionResponse", RAW),
	EDGE("function_call", RAW),
	EDGE("function_response", RAW),
};
static const struct json_edge call_edges[] = {EDGE("function", FUNCTION), EDGE("custom", FUNCTION)};
static const struct json_edge function_edges[] = {EDGE("name", TEXT), EDGE("arguments", TEXT), EDGE("input", TEXT)};
static const struct json_edge system_edges[] = {EDGE("parts", WORDS)};
static const struct json_edge request_edges[] = {EDGE("content", TURN)};

#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)
static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[TURNS] = {.element = TURN},
	[TURN] = {EDGES(turn_edges), .element = TEXTS},
	[WORDS] = {.element = PART},
	[PART] = {EDGES(part_edges)},
	[CALLS] = {.element = CALL},
	[CALL] = {EDGES(call_edges)},
	[FUNCTION] = {EDGES(function_edges)},
	[SYSTEM] = {EDGES(system_edges), .element = PART},
	[TEXTS] = {.element = TEXTS},
	[REQUESTS] = {.element = REQUEST},
	[REQUEST] = {EDGES(request_edges)},
};

static void
count_text(struct prompt *p, const struct json_event *ev)
{
	struct json_text_walk w = json_text_walk((struct json_value){ev->at, ev->end, JSON_STRING});
	struct span part;
	while (p->bpe.steps < PROMPT_STEPS_MAX && p->text < PROMPT_TEXT_MAX && (part = json_next_text(&p->source, &w)).len) {
		part.len = part.len < PROMPT_TEXT_MAX - p->text ? part.len : (size_t)(PROMPT_TEXT_MAX - p->text);
		for (size_t n; part.len && p->bpe.steps < PROMPT_STEPS_MAX; part = (struct span){part.at + n, part.len - n}) {
			n = part.len < BPE_WINDOW ? part.len : BPE_WINDOW; /* so that the bound is kept */
			bpe_feed(&p->bpe, (struct span){part.at, n});
			p->text += n;
		}
	}
	p->reached = w.at;
	(void)bpe_end(&p->bpe);
}

static void
count_raw(struct prompt *p, uint64_t at, uint64_t end)
{
	while (at < end && p->bpe.steps < PROMPT_STEPS_MAX && p->text < PROMPT_TEXT_MAX) {
		struct span run = json_run(&p->source, at, end);
		run.len = run.len < BPE_WINDOW ? run.len : BPE_WINDOW;
		bpe_feed(&p->bpe, run);
		p->text += run.len;
		at += run.len;
	}
	p->reached = at;
	(void)bpe_end(&p->bpe);
}

static void
on_event(struct prompt *p, enum json_token t, const struct json_event *ev)
{
	bool opens = t == JSON_OBJECT || t == JSON_ARRAY, closes = t == JSON_OBJECT_END || t == JSON_ARRAY_END;
	if (ev->node == RAW) {
		if (opens)
			p->raw_at = ev->at;
		else
			count_raw(p, closes ? p->raw_at : ev->at, ev->end);
	} else if (t == JSON_STRING)
		count_text(p, ev);
	else if (t == JSON_NUMBER && (ev->node == TEXTS || ev->node == TURN))
		p->tokens++;
	if (ev->node == TURN && t == JSON_OBJECT) {
		p->tokens += PROMPT_TURN_TOKENS;
		p->turns = true;
	} else if (ev->node == SYSTEM && (t == JSON_STRING || opens))
		p->tokens += PROMPT_TURN_TOKENS;
}

bool
prompt_tokens(struct prompt *p, enum tokenizer tokenizer, const struct span *pieces, uint32_t count, struct prompt_count *ret)
{
	struct json_event ev = {0};
	enum json_token t = JSON_MORE;
	uint64_t fed = 0;
	bool enough = false;
	json_scan_init(&p->scan, nodes);
	p->source = json_source(pieces, count);
	bpe_begin(&p->bpe, tokenizer);
	p->tokens = p->text = p->raw_at = p->reached = ret->seen = 0;
	p->turns = false;
	for (uint32_t i = 0; i < count && !enough && t != JSON_BAD; i++) {
		json_scan_feed(&p->scan, pieces[i].at, pieces[i].len, fed);
		fed += pieces[i].len;
		while (!enough && (t = json_scan_next(&p->scan, &ev)) != JSON_MORE && t != JSON_BAD) {
			on_event(p, t, &ev);
			ret->seen = ev.end;
			enough = p->text >= PROMPT_TEXT_MAX || p->bpe.steps >= PROMPT_STEPS_MAX;
			if (enough)
				ret->seen = p->reached;
		}
		enough |= fed >= PROMPT_BODY_MAX && i + 1 < count;
	}
	ret->whole = !enough && t != JSON_BAD && json_scan_complete(&p->scan);
	ret->tokens = p->bpe.tokens + p->tokens + (p->turns ? PROMPT_ANSWER_TOKENS : 0);
	ret->text = p->text;
	return ret->whole || (enough && ret->seen > 0);
}
