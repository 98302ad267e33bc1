/*
 * A provider's stream into documents: events, a bare line of JSON (an error, Gemini's by experience), or one array of answers (Gemini without
 * alt=sse). Each byte is looked at once, however the stream is split; what belongs to an event that is not whole yet stays with the caller.
 */
#include "dialect/telling.h"

#include <string.h>

enum { BARE_MAX = 64 << 10,
	ELEMENT = 2 };

static const struct json_node no_interest[2];
static const struct json_node array_nodes[] = {[JSON_NODE_ROOT] = {.element = ELEMENT}, [ELEMENT] = {0}};

void
telling_stream_begin(struct telling *g)
{
	sse_init(&g->sse);
	g->element_at = JSON_NO_OFFSET;
}

enum whole { WHOLE_NO, /* more is wanted */
	WHOLE_YES,
	WHOLE_BAD };

static enum whole
is_whole(const struct span *pieces, uint32_t count)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token first = JSON_MORE;
	json_scan_init(&scan, no_interest);
	for (uint32_t i = 0; i < count; i++) {
		enum json_token t;
		json_scan_feed(&scan, pieces[i].at, pieces[i].len, 0);
		while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
			first = first == JSON_MORE ? t : first;
		if (t == JSON_BAD)
			return WHOLE_BAD;
	}
	if (!json_scan_complete(&scan))
		return WHOLE_NO;
	return first == JSON_OBJECT ? WHOLE_YES : WHOLE_BAD;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Without the blanks around it. */
static bool
is_mark(const struct span *pieces, uint32_t count)
{
	static const char mark[] = "[DONE]";
	size_t have = 0;
	for (uint32_t i = 0; i < count; i++)
		for (size_t k = 0; k < pieces[i].len; k++) {
			char c = pieces[i].at[k];
			if (is_blank(c) && (have == 0 || have == sizeof mark - 1))
				continue;
			if (have == sizeof mark - 1 || c != mark[have])
				return false;
			have++;
		}
	return have == sizeof mark - 1;
}

static void
document(struct telling *g, const struct span *pieces, uint32_t count)
{
	if (is_mark(pieces, count)) {
		if (g->from->mark)
			g->from->mark(g);
		return;
	}
	if (is_whole(pieces, count) != WHOLE_YES) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	struct json_source s = json_source(pieces, count);
	g->from->event(g, &s, json_whole_value(&s));
}

/* ---- events ---- */

static void
add_piece(struct telling *g, size_t at, size_t len, bool joins)
{
	if (!joins && g->line_count && g->lines[g->line_count - 1].at + g->lines[g->line_count - 1].len == at) {
		g->lines[g->line_count - 1].len += (uint32_t)len;
		return;
	}
	if (g->line_count == TELLING_LINES_MAX) {
		telling_fail(g, TRANSLATE_MALFORMED);
		return;
	}
	g->lines[g->line_count].at = (uint32_t)at;
	g->lines[g->line_count++].len = (uint32_t)len;
}

static void
event_end(struct telling *g, const char *in)
{
	struct span pieces[TELLING_LINES_MAX * 2];
	uint32_t count = 0;
	for (uint32_t i = 0; i < g->line_count; i++) {
		if (i)
			pieces[count++] = SPAN("\n");
		pieces[count++] = (struct span){in + g->lines[i].at, g->lines[i].len};
	}
	g->line_count = 0;
	g->line_ended = false;
	if (count)
		document(g, pieces, count);
}

/* The length of the object that the text begins with; 0: it is not all there, SIZE_MAX: it is none. */
static size_t
object_length(struct span text)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	json_scan_init(&scan, no_interest);
	json_scan_feed(&scan, text.at, text.len, 0);
	while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
		if (t == JSON_OBJECT_END && ev.node == JSON_NODE_ROOT)
			return (size_t)ev.end;
	return t == JSON_BAD ? SIZE_MAX : 0;
}

/* What never had a field's name: an object that ends the stream, whatever comes behind it. */
static void
bare(struct telling *g, const char *in, size_t len, bool last)
{
	struct span text = {in, len < BARE_MAX ? len : BARE_MAX};
	while (text.len && *text.at != '{')
		text.at++, text.len--;
	size_t object = object_length(text);
	if (object == 0 && len < BARE_MAX && !last)
		return;
	if (object != 0 && object != SIZE_MAX) {
		text.len = object;
		struct json_source s = json_source(&text, 1);
		struct json_value error = telling_member(&s, json_whole_value(&s), SPAN("error"));
		if (error.kind == JSON_OBJECT || error.kind == JSON_STRING)
			telling_error(g, &s, error, 0);
	}
	telling_fail(g, TRANSLATE_MALFORMED);
}

/* A line without a field's name that begins so is JSON; the line that is not over yet as well. */
static bool
begins_bare(const struct telling *g, enum sse_token t)
{
	if (t == SSE_LINE)
		return g->sse.field == SSE_FIELD_UNKNOWN && g->sse.name[0] == '{';
	return t == SSE_MORE && g->sse.name_len && g->sse.name[0] == '{';
}

static void
events(struct telling *g, const char *in, size_t len, bool last, size_t *ret_used)
{
	struct span value;
	enum sse_token t;
	sse_feed(&g->sse, in + g->fed, len - g->fed);
	while (g->result == TRANSLATE_MORE && !g->ended) {
		t = sse_next(&g->sse, &value);
		if (begins_bare(g, t)) {
			g->bare = true;
			break;
		}
		if (t == SSE_MORE)
			break;
		if (t == SSE_VALUE && g->sse.field == SSE_FIELD_DATA) {
			/* Offsets count from the event's beginning: it is what the caller passes again. */
			add_piece(g, (size_t)(value.at - in) - *ret_used, value.len, g->line_ended);
			g->line_ended = false;
		} else if (t == SSE_LINE && g->sse.field == SSE_FIELD_DATA)
			g->line_ended = true;
		else if (t == SSE_DISPATCH && (size_t)(g->sse.p - in) - *ret_used > TRANSLATE_EVENT_MAX)
			telling_fail(g, TRANSLATE_MALFORMED);
		else if (t == SSE_DISPATCH) {
			event_end(g, in + *ret_used);
			*ret_used = (size_t)(g->sse.p - in);
		}
	}
	g->fed = len - *ret_used;
	if (g->result != TRANSLATE_MORE || g->ended)
		return;
	if (g->bare)
		bare(g, in + *ret_used, len - *ret_used, last);
	else if (g->fed > TRANSLATE_EVENT_MAX)
		telling_fail(g, TRANSLATE_MALFORMED);
	else if (last && g->line_count) /* the blank line behind the last event is missing more often than its text */
		event_end(g, in + *ret_used);
}

/* ---- one array ---- */

static void
element(struct telling *g, const char *in, const struct json_event *ev, enum json_token t, size_t *ret_used)
{
	if (t == JSON_OBJECT)
		g->element_at = ev->at;
	else if (t == JSON_OBJECT_END) {
		struct span all = {in + (g->element_at - g->position), (size_t)(ev->end - g->element_at)};
		struct json_source s = json_source(&all, 1);
		g->element_at = JSON_NO_OFFSET;
		g->from->event(g, &s, json_whole_value(&s));
		*ret_used = (size_t)(ev->end - g->position);
	} else
		telling_fail(g, TRANSLATE_MALFORMED);
}

static void
array(struct telling *g, const char *in, size_t len, size_t *ret_used)
{
	struct json_event ev;
	enum json_token t;
	json_scan_feed(&g->array_scan, in + g->fed, len - g->fed, g->position + g->fed);
	while (g->result == TRANSLATE_MORE && (t = json_scan_next(&g->array_scan, &ev)) != JSON_MORE) {
		if (t == JSON_BAD)
			telling_fail(g, TRANSLATE_MALFORMED);
		else if (ev.node == ELEMENT)
			element(g, in, &ev, t, ret_used);
		else if (t == JSON_ARRAY_END)
			g->array_over = true;
	}
	if (g->element_at == JSON_NO_OFFSET)
		*ret_used = len;
	g->fed = len - *ret_used;
	g->position += *ret_used;
	if (g->fed > TRANSLATE_EVENT_MAX)
		telling_fail(g, TRANSLATE_MALFORMED);
}

void
telling_stream_bytes(struct telling *g, const char *in, size_t len, bool last, size_t *ret_used)
{
	size_t i = 0;
	while (!g->any_byte && i < len && is_blank(in[i]))
		i++;
	if (!g->any_byte && i < len) {
		g->any_byte = true;
		g->array = in[i] == '[' && g->t->facts.from == LANGUAGE_GEMINI;
		json_scan_init(&g->array_scan, array_nodes);
	}
	if (g->any_byte && g->array)
		array(g, in, len, ret_used);
	else if (g->bare)
		bare(g, in, len, last);
	else
		events(g, in, len, last, ret_used);
	if (g->result != TRANSLATE_MORE)
		return;
	if (last && !g->ended && g->from->closed && (!g->array || g->array_over))
		g->from->closed(g);
	if (last && !g->ended)
		telling_fail(g, TRANSLATE_MALFORMED);
	if (g->result == TRANSLATE_MORE && g->ended)
		g->result = TRANSLATE_END;
}
