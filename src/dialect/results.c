#include "dialect/results.h"

#include <string.h>

enum node {
	NODE_LINE = JSON_NODE_ROOT,
	NODE_RESULT,
	NODE_TYPE,
	NODE_MESSAGE,
	NODE_COUNT,
};

static const struct json_edge members[] = {JSON_EDGE("result", NODE_RESULT)};
static const struct json_edge result[] = {JSON_EDGE("type", NODE_TYPE), JSON_EDGE("message", NODE_MESSAGE)};
static const struct json_node nodes[NODE_COUNT] = {
	[NODE_LINE] = {.edges = members, .edge_count = ARRAY_LEN(members)},
	[NODE_RESULT] = {.edges = result, .edge_count = ARRAY_LEN(result)},
	[NODE_TYPE] = {.text = true},
};

void
results_init(struct results_scan *s)
{
	memset(s, 0, sizeof *s);
}

/* ---- a message ---- */

static void
feed_meter(struct results_scan *s, const char *bytes, size_t len, bool last)
{
	struct span spans[METER_SPANS_MAX];
	for (size_t at = 0;;) {
		size_t count = 0, settled = meter_feed(&s->meter, bytes + at, len - at, last, spans, &count);
		at += settled;
		if (!settled || at == len)
			return;
	}
}

/* The part of it that lies in this piece, which begins at s->at of the line. */
static void
feed_message(struct results_scan *s, const char *bytes, uint64_t until, bool last)
{
	uint64_t from = s->message_from > s->at ? s->message_from : s->at;
	feed_meter(s, bytes + (from - s->at), (size_t)(until - from), last);
}

static void
message_ends(struct results_scan *s)
{
	const struct usage *u = &s->meter.usage;
	struct usage *sum = &s->result.usage[(u->flags & USAGE_GEO_US) != 0];
	s->in_message = false;
	s->had_message = true;
	s->result.answered++;
	s->bad = s->bad || !(u->flags & USAGE_REPORTED) || u->flags & USAGE_ABSURD || s->meter.leg_count;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		s->bad = s->bad || __builtin_add_overflow(sum->tokens[k], u->tokens[k], &sum->tokens[k]);
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		s->bad = s->bad || __builtin_add_overflow(sum->tools[k], u->tools[k], &sum->tools[k]);
	sum->flags |= u->flags;
}

/* ---- a line ---- */

static bool
on_event(struct results_scan *s, enum json_token t, const struct json_event *ev)
{
	static const struct span good = SPAN_INIT("succeeded");
	switch ((enum node)ev->node) {
	case NODE_TYPE:
		if (t != JSON_STRING || s->has_kind)
			return false;
		s->has_kind = true;
		s->succeeded = !ev->cut && ev->text.len == good.len && !memcmp(ev->text.at, good.at, good.len);
		return true;
	case NODE_MESSAGE:
		if (t == JSON_OBJECT_END)
			return true; /* feed_line() has fed it */
		if (t != JSON_OBJECT || s->had_message || s->in_message)
			return false;
		meter_init(&s->meter, ENDPOINT_MESSAGES, false, false);
		s->message_from = ev->at;
		s->in_message = true;
		return true;
	case NODE_LINE:
	case NODE_RESULT:
		return t == JSON_OBJECT || t == JSON_OBJECT_END;
	case NODE_COUNT:
		break;
	}
	return true;
}

static bool
feed_line(struct results_scan *s, const char *bytes, size_t len)
{
	struct json_event ev;
	enum json_token t;
	json_scan_feed(&s->json, bytes, len, s->at);
	while ((t = json_scan_next(&s->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD || !on_event(s, t, &ev))
			return false;
		if (ev.node == NODE_MESSAGE && t == JSON_OBJECT_END) {
			feed_message(s, bytes, ev.end, true);
			message_ends(s);
		}
	}
	if (s->in_message)
		feed_message(s, bytes, s->at + len, false);
	s->at += len;
	return true;
}

static bool
is_blank(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r')
			return false;
	return true;
}

static bool
more_of_line(struct results_scan *s, const char *bytes, size_t len)
{
	if (!s->begun && is_blank(bytes, len))
		return true;
	if (!s->begun) {
		json_scan_init(&s->json, nodes);
		s->at = 0;
		s->begun = true;
	}
	return feed_line(s, bytes, len);
}

static bool
line_ends(struct results_scan *s)
{
	bool ok = !s->begun || (json_scan_complete(&s->json) && s->has_kind && s->succeeded == s->had_message);
	s->result.lines += s->begun;
	s->begun = s->in_message = s->had_message = s->has_kind = s->succeeded = false;
	return ok;
}

void
results_feed(struct results_scan *s, const char *bytes, size_t len)
{
	while (len && !s->bad) {
		const char *end = memchr(bytes, '\n', len);
		size_t piece = end ? (size_t)(end - bytes) : len;
		bool ok = more_of_line(s, bytes, piece) && (!end || line_ends(s));
		s->bad = s->bad || !ok;
		bytes += piece + (end != NULL);
		len -= piece + (end != NULL);
	}
}

bool
results_finish(struct results_scan *s)
{
	if (!s->bad)
		s->bad = !line_ends(s);
	return !s->bad;
}
