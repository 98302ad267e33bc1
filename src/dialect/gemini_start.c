#include "dialect/gemini_start.h"

enum node {
	ROOT = JSON_NODE_ROOT,
	FILE_OBJECT,
	NAME,
	NODES,
};

static const struct json_edge root[] = {JSON_EDGE("file", FILE_OBJECT)};
static const struct json_edge file[] = {JSON_EDGE("name", NAME)};
static const struct json_node nodes[NODES] = {
	[ROOT] = {.edges = root, .edge_count = ARRAY_LEN(root)},
	[FILE_OBJECT] = {.edges = file, .edge_count = ARRAY_LEN(file)},
};

void
gemini_start_init(struct gemini_start *s)
{
	json_scan_init(&s->json, nodes);
	s->any = s->named = s->bad = false;
}

void
gemini_start_feed(struct gemini_start *s, struct span in)
{
	struct json_event ev;
	enum json_token t;
	s->any |= in.len != 0;
	if (s->bad)
		return;
	json_scan_feed(&s->json, in.at, in.len, 0);
	while ((t = json_scan_next(&s->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD || (ev.node == ROOT && t != JSON_OBJECT && t != JSON_OBJECT_END) || (ev.node == FILE_OBJECT && t != JSON_OBJECT && t != JSON_OBJECT_END && t != JSON_NULL)) {
			s->bad = true;
			return;
		}
		s->named |= ev.node == NAME && t != JSON_NULL;
	}
}

enum gemini_start_error
gemini_start_finish(const struct gemini_start *s)
{
	if (!s->any)
		return GEMINI_START_OK;
	if (s->bad || !json_scan_complete(&s->json))
		return GEMINI_START_BAD;
	return s->named ? GEMINI_START_NAMED : GEMINI_START_OK;
}
