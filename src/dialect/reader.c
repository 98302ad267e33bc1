#include "dialect/reader.h"

#include <string.h>

static const char mark[] = "[DONE]";

void
reader_begin(struct meter *m, struct reader *r, const struct reader_language *language, bool streamed)
{
	r->language = language;
	r->streamed = streamed;
	sse_init(&r->sse);
	(void)m;
}

static void
bad(struct meter *m, struct reader *r)
{
	r->document = READER_BAD;
	m->malformed = true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
on_outer(struct meter *m, struct reader *r, enum json_token t, const struct json_event *ev)
{
	bool root = ev->node == JSON_NODE_ROOT;
	if (t == JSON_OBJECT) {
		meter_raise(m, ANSWER_STARTED);
		r->language->event(m, t, ev);
	} else if (t == JSON_OBJECT_END) {
		r->language->event(m, t, ev);
		r->language->document(m);
	} else if (!root || r->streamed || (t != JSON_ARRAY && t != JSON_ARRAY_END))
		m->malformed = true;
	if (root && !r->streamed && (t == JSON_OBJECT_END || t == JSON_ARRAY_END)) {
		m->finished = true;
		meter_raise(m, ANSWER_FINISHED);
	}
}

static void
json_bytes(struct meter *m, struct reader *r, const char *at, size_t len, uint64_t offset)
{
	struct json_event ev;
	enum json_token t;
	json_scan_feed(&r->json, at, len, offset);
	while ((t = json_scan_next(&r->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD) {
			bad(m, r);
			return;
		}
		if (ev.node == JSON_NODE_ROOT || ev.node == READER_ELEMENT)
			on_outer(m, r, t, &ev);
		else
			r->language->event(m, t, &ev);
	}
}

static void
mark_bytes(struct meter *m, struct reader *r, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char want = mark[r->mark_at];
		if (want && at[i] == want)
			r->mark_at++;
		else if (want || !is_blank(at[i])) {
			bad(m, r);
			return;
		}
	}
}

static void
document_begin(struct meter *m, struct reader *r, char c)
{
	if (c == '{' || (c == '[' && !r->streamed)) {
		json_scan_init(&r->json, r->language->nodes);
		r->document = READER_JSON;
	} else if (c == '[')
		r->document = READER_MARK;
	else
		bad(m, r);
	meter_raise(m, ANSWER_STARTED);
}

static void
document_bytes(struct meter *m, struct reader *r, const char *at, size_t len, uint64_t offset)
{
	size_t i = 0;
	if (r->document == READER_NONE) {
		while (i < len && is_blank(at[i]))
			i++;
		if (i < len)
			document_begin(m, r, at[i]);
	}
	if (r->document == READER_JSON)
		json_bytes(m, r, at + i, len - i, offset + i);
	else if (r->document == READER_MARK)
		mark_bytes(m, r, at + i, len - i);
}

/* ---- the lines of a stream ---- */

/* A data line continues the one before after an LF. */
static void
join(struct meter *m, struct reader *r, uint64_t offset)
{
	if (r->line_ended)
		document_bytes(m, r, "\n", 1, offset);
	r->line_ended = false;
}

static void
line_end(struct meter *m, struct reader *r, uint64_t offset)
{
	if (r->sse.field == SSE_FIELD_DATA) {
		join(m, r, offset);
		r->line_ended = true;
	} else if (r->sse.field == SSE_FIELD_UNKNOWN && r->sse.name[0] == '{') {
		m->malformed = true;
		m->answer = ANSWER_ERROR;
	}
}

static void
event_end(struct meter *m, struct reader *r)
{
	bool done = r->document == READER_MARK && !mark[r->mark_at];
	/* What the stream's end cut short was no mistake of the format; `finished` tells. */
	bool whole = r->document == READER_NONE || done || (r->document == READER_JSON && json_scan_complete(&r->json));
	if (!whole && !r->ended)
		m->malformed = true;
	r->document = READER_NONE;
	r->mark_at = 0;
	r->line_ended = false;
}

static void
stream_bytes(struct meter *m, struct reader *r, const char *in, size_t len)
{
	struct span value = {in, 0};
	enum sse_token t;
	sse_feed(&r->sse, in, len);
	while ((t = sse_next(&r->sse, &value)) != SSE_MORE) {
		uint64_t end = r->at + (uint64_t)(r->sse.p - in);
		if (t == SSE_VALUE && r->sse.field == SSE_FIELD_DATA) {
			join(m, r, end - value.len);
			document_bytes(m, r, value.at, value.len, end - value.len);
		} else if (t == SSE_LINE)
			line_end(m, r, end);
		else if (t == SSE_DISPATCH)
			event_end(m, r);
	}
}

size_t
reader_feed(struct meter *m, struct reader *r, struct span in, bool last, struct span *spans, size_t *ret_count)
{
	if (r->streamed)
		stream_bytes(m, r, in.at, in.len);
	else
		document_bytes(m, r, in.at, in.len, r->at);
	r->at += in.len;
	if (last && !r->ended) {
		r->ended = true;
		if (r->streamed)
			event_end(m, r);
	}
	*ret_count = in.len != 0;
	spans[0] = in;
	return in.len;
}
