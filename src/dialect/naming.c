#include "dialect/naming.h"

#include <string.h>

enum node {
	ROOT = JSON_NODE_ROOT,
	NAME, /* a string */
	NAMES, /* a list of them */
	ANSWER, /* the members of an answer, or of an event: what is not listed is of no interest */
	LIST,
	ENTRY,
	INSIDE, /* anything that the provider made, at any depth */
	ASKED, /* items that the caller has sent */
	SENT, /* one of them */
	SAID, /* anything inside of it */
	TOOLS, /* that the caller offered, repeated */
	TOOL,
	BOX, /* a sandbox by its name, or what is to be in a new one */
	OFFERED, /* anything inside of a tool */
	NODES,
};

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)


/*
 * ---- OpenAI responses: `response` repeats the request's own metadata and schemas, which are not looked at, and its tools: there a name is looked for where the request's own would
 * be (request_languages.c), so that what comes back is what was opened, and nothing that a caller made up ----
 */

#define RESPONSES_ROOT EDGE("output", LIST), EDGE("tools", TOOLS)
static const struct json_edge responses_root[] = {
	EDGE("response", ANSWER),
	EDGE("item", INSIDE),
	EDGE("part", INSIDE),
	EDGE("annotation", INSIDE),
	RESPONSES_ROOT,
};
static const struct json_edge responses_answer[] = {RESPONSES_ROOT};
static const struct json_edge responses_inside[] = {
	EDGE("file_id", NAME),
	EDGE("container_id", NAME),
	EDGE("file_ids", NAMES),
	EDGE("arguments", JSON_NODE_NONE),
	EDGE("input", JSON_NODE_NONE),
	EDGE("tools", JSON_NODE_NONE),
	EDGE("action", JSON_NODE_NONE),
};
static const struct json_edge responses_tool[] = {EDGE("type", JSON_NODE_NONE), EDGE("container", BOX), EDGE("parameters", JSON_NODE_NONE), EDGE("vector_store_ids", JSON_NODE_NONE)};
static const struct json_edge responses_offered[] = {EDGE("file_id", NAME), EDGE("file_ids", NAMES), EDGE("container_id", NAME)};
#define RESPONSES_TOOLS \
	[TOOLS] = {.element = TOOL}, [TOOL] = {EDGES(responses_tool), .other = OFFERED}, [BOX] = {EDGES(responses_offered), .text = true, .other = OFFERED, .element = OFFERED}, \
	[OFFERED] = {EDGES(responses_offered), .other = OFFERED, .element = OFFERED}
static const struct json_node responses_nodes[NODES] = {
	RESPONSES_TOOLS,
	[ROOT] = {EDGES(responses_root)},
	[NAME] = {.text = true},
	[NAMES] = {.element = NAME},
	[ANSWER] = {EDGES(responses_answer)},
	[LIST] = {.element = INSIDE},
	[INSIDE] = {EDGES(responses_inside), .other = INSIDE, .element = INSIDE},
};

/* ---- … that are kept: what was asked as well. What the caller said that an answer had cited may be anybody's, and stays ---- */

static const struct json_edge kept_root[] = {
	EDGE("response", ANSWER),
	EDGE("item", INSIDE),
	EDGE("part", INSIDE),
	EDGE("annotation", INSIDE),
	EDGE("data", ASKED),
	RESPONSES_ROOT,
};
#define KEPT_SAID \
	EDGE("file_id", NAME), EDGE("container_id", NAME), EDGE("container", BOX), EDGE("type", JSON_NODE_NONE), EDGE("image_url", JSON_NODE_NONE), EDGE("file_data", JSON_NODE_NONE), \
		EDGE("data", JSON_NODE_NONE), EDGE("vector_store_ids", JSON_NODE_NONE), EDGE("annotations", JSON_NODE_NONE), EDGE("results", JSON_NODE_NONE), EDGE("result", JSON_NODE_NONE), \
		EDGE("parameters", JSON_NODE_NONE), EDGE("input_schema", JSON_NODE_NONE), EDGE("arguments", JSON_NODE_NONE), EDGE("input", JSON_NODE_NONE), EDGE("tools", JSON_NODE_NONE), \
		EDGE("action", JSON_NODE_NONE)
static const struct json_edge kept_said[] = {KEPT_SAID};
/* What the request's own table does not look into either: an id that nobody has opened there would be sealed here, whosever it is. */
static const struct json_edge kept_sent[] = {
	EDGE("id", JSON_NODE_NONE),
	EDGE("role", JSON_NODE_NONE),
	EDGE("status", JSON_NODE_NONE),
	EDGE("phase", JSON_NODE_NONE),
	EDGE("summary", JSON_NODE_NONE),
	EDGE("encrypted_content", JSON_NODE_NONE),
	KEPT_SAID,
};
static const struct json_node kept_nodes[NODES] = {
	RESPONSES_TOOLS,
	[ROOT] = {EDGES(kept_root)},
	[NAME] = {.text = true},
	[NAMES] = {.element = NAME},
	[ANSWER] = {EDGES(responses_answer)},
	[LIST] = {.element = INSIDE},
	[INSIDE] = {EDGES(responses_inside), .other = INSIDE, .element = INSIDE},
	[ASKED] = {.element = SENT},
	[SENT] = {EDGES(kept_sent), .other = SAID, .element = SAID},
	[SAID] = {EDGES(kept_said), .other = SAID, .element = SAID},
};

/* ---- OpenAI chat completions ---- */

static const struct json_edge chat_root[] = {EDGE("choices", LIST)};
static const struct json_edge chat_choice[] = {EDGE("message", INSIDE), EDGE("delta", INSIDE)};
static const struct json_edge chat_inside[] = {EDGE("file_id", NAME), EDGE("tool_calls", JSON_NODE_NONE), EDGE("function_call", JSON_NODE_NONE)};
static const struct json_node chat_nodes[NODES] = {
	[ROOT] = {EDGES(chat_root)},
	[NAME] = {.text = true},
	[LIST] = {.element = ENTRY},
	[ENTRY] = {EDGES(chat_choice)},
	[INSIDE] = {EDGES(chat_inside), .other = INSIDE, .element = INSIDE},
};

/* ---- Anthropic messages ---- */

static const struct json_edge messages_root[] = {
	EDGE("message", ANSWER),
	EDGE("content_block", INSIDE),
	EDGE("delta", INSIDE),
	EDGE("content", LIST),
};
static const struct json_edge messages_answer[] = {EDGE("content", LIST)};
static const struct json_edge messages_inside[] = {EDGE("file_id", NAME), EDGE("input", JSON_NODE_NONE)};
static const struct json_node messages_nodes[NODES] = {
	[ROOT] = {EDGES(messages_root)},
	[NAME] = {.text = true},
	[ANSWER] = {EDGES(messages_answer)},
	[LIST] = {.element = INSIDE},
	[INSIDE] = {EDGES(messages_inside), .other = INSIDE, .element = INSIDE},
};

/* ---- Gemini; a stream without alt=sse is an array of answers ---- */

static const struct json_edge gemini_root[] = {EDGE("candidates", LIST)};
static const struct json_edge gemini_candidate[] = {EDGE("content", INSIDE)};
static const struct json_edge gemini_inside[] = {
	EDGE("fileUri", NAME),
	EDGE("file_uri", NAME),
	EDGE("args", JSON_NODE_NONE),
	EDGE("response", JSON_NODE_NONE),
};
static const struct json_node gemini_nodes[NODES] = {
	[ROOT] = {EDGES(gemini_root), .element = ANSWER},
	[NAME] = {.text = true},
	[ANSWER] = {EDGES(gemini_root)},
	[LIST] = {.element = ENTRY},
	[ENTRY] = {EDGES(gemini_candidate)},
	[INSIDE] = {EDGES(gemini_inside), .other = INSIDE, .element = INSIDE},
};

static const struct json_node *const languages[ENDPOINT_COUNT] = {
	[ENDPOINT_CHAT_COMPLETIONS] = chat_nodes,
	[ENDPOINT_RESPONSES] = responses_nodes,
	[ENDPOINT_RESPONSES_KEPT] = kept_nodes,
	[ENDPOINT_MESSAGES] = messages_nodes,
	[ENDPOINT_GENERATE_CONTENT] = gemini_nodes,
	[ENDPOINT_STREAM_GENERATE_CONTENT] = gemini_nodes,
};

bool
naming_init(struct naming *n, enum endpoint endpoint, bool streamed)
{
	n->nodes = languages[endpoint];
	n->settled = n->parsed = 0;
	n->document = NAMING_NONE;
	n->streamed = streamed;
	sse_init(&n->sse);
	return n->nodes != NULL;
}

/* ---- documents ---- */

struct looking {
	struct naming *n;
	void (*found)(void *owner, const struct naming_found *f);
	void *owner;
};

static void
json_bytes(const struct looking *l, struct span bytes, uint64_t offset)
{
	struct naming *n = l->n;
	struct json_event ev;
	enum json_token t;
	json_scan_feed(&n->json, bytes.at, bytes.len, offset);
	while ((t = json_scan_next(&n->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD) {
			n->document = NAMING_OTHER;
			return;
		}
		if (t != JSON_STRING || (ev.node != NAME && ev.node != BOX) || ev.cut || ev.end - ev.at > NAMING_HOLD_MAX + 2)
			continue;
		const struct naming_found f = {(size_t)(ev.at - n->settled), (size_t)(ev.end - n->settled), ev.text};
		l->found(l->owner, &f);
	}
}

static void
document_bytes(const struct looking *l, struct span bytes, uint64_t offset)
{
	struct naming *n = l->n;
	if (n->document == NAMING_NONE) {
		size_t i = 0;
		while (i < bytes.len && memchr(" \t\r\n", bytes.at[i], 4))
			i++;
		if (i == bytes.len)
			return;
		bool json = bytes.at[i] == '{' || (bytes.at[i] == '[' && !n->streamed);
		n->document = json ? NAMING_JSON : NAMING_OTHER;
		if (json)
			json_scan_init(&n->json, n->nodes);
	}
	if (n->document == NAMING_JSON)
		json_bytes(l, bytes, offset);
}

/* Lines of data are joined by what JSON takes for a blank: no string goes over the end of one. */
static void
stream_bytes(const struct looking *l, struct span in)
{
	struct naming *n = l->n;
	struct span value = {in.at, 0};
	enum sse_token t;
	sse_feed(&n->sse, in.at, in.len);
	while ((t = sse_next(&n->sse, &value)) != SSE_MORE) {
		uint64_t end = n->parsed + (uint64_t)(n->sse.p - in.at);
		if (t == SSE_VALUE && n->sse.field == SSE_FIELD_DATA)
			document_bytes(l, value, end - value.len);
		else if (t == SSE_DISPATCH)
			n->document = NAMING_NONE;
	}
}

size_t
naming_feed(struct naming *n, struct span in, bool last, void (*found)(void *owner, const struct naming_found *f), void *owner)
{
	const struct looking l = {n, found, owner};
	size_t held = (size_t)(n->parsed - n->settled);
	struct span fresh = {in.at + held, in.len - held};
	if (n->streamed)
		stream_bytes(&l, fresh);
	else
		document_bytes(&l, fresh, n->parsed);
	n->parsed += fresh.len;
	uint64_t open = n->document == NAMING_JSON ? json_scan_open_text(&n->json) : JSON_NO_OFFSET;
	bool begun = !last && open != JSON_NO_OFFSET && open >= n->settled && n->parsed - open <= NAMING_HOLD_MAX + 2;
	size_t settled = begun ? (size_t)(open - n->settled) : in.len;
	n->settled += settled;
	return settled;
}
