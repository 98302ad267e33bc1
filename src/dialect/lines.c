#include "dialect/lines.h"

#include <assert.h>
#include <string.h>

enum node {
	NODE_LINE = JSON_NODE_ROOT,
	NODE_ID,
	NODE_METHOD,
	NODE_URL,
	NODE_BODY,
	NODE_LIST,
	NODE_ITEM,
	NODE_COUNT,
};

static const struct json_edge members[] = {
	JSON_EDGE("custom_id", NODE_ID),
	JSON_EDGE("method", NODE_METHOD),
	JSON_EDGE("url", NODE_URL),
	JSON_EDGE("body", NODE_BODY),
};
static const struct json_node nodes[NODE_COUNT] = {
	[NODE_LINE] = {.edges = members, .edge_count = ARRAY_LEN(members)},
	[NODE_METHOD] = {.text = true},
	[NODE_URL] = {.text = true},
};

static const struct json_edge list[] = {JSON_EDGE("requests", NODE_LIST)};
static const struct json_edge item[] = {JSON_EDGE("custom_id", NODE_ID), JSON_EDGE("params", NODE_BODY)};
static const struct json_node listed[NODE_COUNT] = {
	[NODE_LINE] = {.edges = list, .edge_count = ARRAY_LEN(list)},
	[NODE_LIST] = {.element = NODE_ITEM},
	[NODE_ITEM] = {.edges = item, .edge_count = ARRAY_LEN(item)},
};

static const struct {
	struct span url;
	enum endpoint endpoint;
} urls[] = {
	{SPAN_INIT("/v1/chat/completions"), ENDPOINT_CHAT_COMPLETIONS},
	{SPAN_INIT("/v1/responses"), ENDPOINT_RESPONSES},
	{SPAN_INIT("/v1/embeddings"), ENDPOINT_EMBEDDINGS},
};

enum endpoint
lines_endpoint(struct span url)
{
	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		if (url.len == urls[i].url.len && !memcmp(url.at, urls[i].url.at, url.len))
			return urls[i].endpoint;
	return ENDPOINT_NONE;
}

void
lines_init(struct lines_scan *s)
{
	memset(s, 0, sizeof *s);
	s->line = 1;
}

void
lines_init_listed(struct lines_scan *s)
{
	memset(s, 0, sizeof *s);
	s->listed = s->begun = true;
	json_scan_init(&s->json, listed);
}

/* ---- one request ---- */

static enum lines_error
judge(const struct lines_scan *s, const struct request_facts *f)
{
	const struct lines_facts *r = &s->result;
	if (f->stream || f->background)
		return LINES_STREAM;
	if (f->object_count)
		return LINES_OBJECTS;
	if (f->server_tools)
		return LINES_TOOLS;
	if (f->store || (s->endpoint == ENDPOINT_RESPONSES && !f->store_bytes))
		return LINES_STORE;
	if (s->listed && f->tier == TIER_fast)
		return LINES_FAST;
	if (r->count && s->endpoint != r->endpoint)
		return LINES_OTHER_URL;
	if (r->count && (f->model_len != r->model_len || memcmp(f->model, r->model, f->model_len) != 0))
		return LINES_OTHER_MODEL;
	if (s->listed)
		return r->count < LINES_LISTED_MAX ? LINES_OK : LINES_TOO_MANY_LISTED;
	return r->count < LINES_MAX ? LINES_OK : LINES_TOO_MANY;
}

static void
add(struct lines_scan *s, const struct request_facts *f)
{
	struct lines_facts *r = &s->result;
	uint64_t text = f->body_bytes > f->inline_media_bytes ? f->body_bytes - f->inline_media_bytes : 0;
	memcpy(r->model, f->model, f->model_len);
	r->model_len = f->model_len;
	r->endpoint = s->endpoint;
	r->count++;
	r->text_bytes += text;
	r->largest_bytes = text > r->largest_bytes ? text : r->largest_bytes;
	r->images += f->images;
	r->audios += f->audios;
	r->files += f->files;
	if (s->endpoint == ENDPOINT_EMBEDDINGS)
		return;
	r->capped += f->has_cap ? (uint64_t)f->cap * f->n : 0;
	r->open += f->has_cap ? 0 : f->n;
}

static enum lines_error
body_ends(struct lines_scan *s)
{
	s->in_body = false;
	s->had_body = true;
	s->inner = request_scan_finish(&s->request);
	if (s->inner != REQUEST_OK)
		return LINES_BODY;
	enum lines_error error = judge(s, &s->request.result);
	if (error == LINES_OK)
		add(s, &s->request.result);
	return error;
}

/* ---- one line ---- */

static enum lines_error
no_body(const struct lines_scan *s)
{
	return s->listed ? LINES_NO_PARAMS : LINES_NO_BODY;
}

/* Of a list. */
static enum lines_error
on_item(struct lines_scan *s, enum json_token t)
{
	s->line += t != JSON_OBJECT_END;
	if (t == JSON_OBJECT) {
		s->id = s->had_body = false;
		s->endpoint = ENDPOINT_MESSAGES;
		return LINES_OK;
	}
	if (t != JSON_OBJECT_END)
		return LINES_NOT_JSON;
	return !s->had_body ? LINES_NO_PARAMS : s->id ? LINES_OK
												  : LINES_NO_ID;
}

static enum lines_error
on_event(struct lines_scan *s, enum json_token t, const struct json_event *ev)
{
	bool string = t == JSON_STRING && !ev->cut;
	switch ((enum node)ev->node) {
	case NODE_LINE:
		return t == JSON_OBJECT || t == JSON_OBJECT_END ? LINES_OK : LINES_NOT_JSON;
	case NODE_ID:
		if (t != JSON_STRING || s->id)
			return LINES_NO_ID;
		s->id = true;
		return LINES_OK;
	case NODE_METHOD:
		if (!string || s->method || ev->text.len != 4 || memcmp(ev->text.at, "POST", 4) != 0)
			return LINES_NO_METHOD;
		s->method = true;
		return LINES_OK;
	case NODE_URL:
		if (!string || s->endpoint)
			return LINES_NO_URL;
		s->endpoint = (uint8_t)lines_endpoint(ev->text);
		return s->endpoint ? LINES_OK : LINES_NO_URL;
	case NODE_BODY:
		if (t == JSON_OBJECT_END)
			return LINES_OK; /* its end: lines_feed() has fed it */
		if (t != JSON_OBJECT || s->had_body || s->in_body)
			return no_body(s);
		if (!s->endpoint)
			return LINES_NO_URL;
		request_scan_init(&s->request, (enum endpoint)s->endpoint);
		s->body_from = ev->at;
		s->in_body = true;
		return LINES_OK;
	case NODE_ITEM:
		return on_item(s, t);
	case NODE_LIST:
	case NODE_COUNT:
		break;
	}
	return LINES_OK;
}

/* The part of the body that lies in this piece, which begins at s->at of the line. */
static enum lines_error
feed_body(struct lines_scan *s, const char *bytes, uint64_t until)
{
	uint64_t from = s->body_from > s->at ? s->body_from : s->at;
	assert(from <= until);
	if (request_scan_feed(&s->request, bytes + (from - s->at), (size_t)(until - from)))
		return LINES_OK;
	s->inner = s->request.error;
	return LINES_BODY;
}

/* What is wrong with the body in front of that place is said first, in whatever pieces it came. */
static enum lines_error
broken(struct lines_scan *s, const char *bytes)
{
	uint64_t at = s->at + (uint64_t)(s->json.p - bytes);
	enum lines_error error = s->in_body ? feed_body(s, bytes, at) : LINES_OK;
	return error == LINES_OK ? LINES_NOT_JSON : error;
}

static enum lines_error
feed_line(struct lines_scan *s, const char *bytes, size_t len)
{
	struct json_event ev;
	enum json_token t;
	enum lines_error error = LINES_OK;
	json_scan_feed(&s->json, bytes, len, s->at);
	while (error == LINES_OK && (t = json_scan_next(&s->json, &ev)) != JSON_MORE) {
		if (t == JSON_BAD)
			return broken(s, bytes);
		error = on_event(s, t, &ev);
		if (error == LINES_OK && ev.node == NODE_BODY && t == JSON_OBJECT_END) {
			error = feed_body(s, bytes, ev.end);
			if (error == LINES_OK)
				error = body_ends(s);
		}
	}
	if (error == LINES_OK && s->in_body)
		error = feed_body(s, bytes, s->at + len);
	s->at += len;
	return error;
}

static bool
is_blank(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r')
			return false;
	return true;
}

static enum lines_error
more_of_line(struct lines_scan *s, const char *bytes, size_t len)
{
	if (!s->begun && is_blank(bytes, len))
		return LINES_OK;
	if (!s->begun) {
		json_scan_init(&s->json, nodes);
		s->at = 0;
		s->begun = true;
	}
	return feed_line(s, bytes, len);
}

static enum lines_error
line_ends(struct lines_scan *s)
{
	if (s->begun && !json_scan_complete(&s->json))
		return LINES_NOT_JSON;
	if (s->begun && !s->had_body)
		return LINES_NO_BODY;
	if (s->begun && !s->id)
		return LINES_NO_ID;
	if (s->begun && !s->method)
		return LINES_NO_METHOD;
	s->begun = s->id = s->method = s->in_body = s->had_body = false;
	s->endpoint = ENDPOINT_NONE;
	return LINES_OK;
}

bool
lines_feed(struct lines_scan *s, const char *bytes, size_t len)
{
	if (s->listed && s->error == LINES_OK)
		s->error = feed_line(s, bytes, len);
	while (!s->listed && len && s->error == LINES_OK) {
		const char *end = memchr(bytes, '\n', len);
		size_t piece = end ? (size_t)(end - bytes) : len;
		s->error = more_of_line(s, bytes, piece);
		if (end && s->error == LINES_OK)
			s->error = line_ends(s);
		if (end && s->error == LINES_OK)
			s->line++;
		bytes += piece + (end != NULL);
		len -= piece + (end != NULL);
	}
	return s->error == LINES_OK;
}

enum lines_error
lines_finish(struct lines_scan *s)
{
	if (s->error == LINES_OK && s->listed && !json_scan_complete(&s->json))
		s->error = LINES_NOT_JSON;
	else if (s->error == LINES_OK && !s->listed)
		s->error = line_ends(s);
	if (s->error == LINES_OK && !s->result.count)
		s->error = no_body(s);
	return s->error;
}

struct span
lines_why(const struct lines_scan *s, char room[LINES_WHY_MAX])
{
	static const struct span sentences[] = {
#define X(name, text) SPAN_INIT(text),
		LINES_ERRORS(X)
#undef X
	};
	static const struct span inner[] = {
#define X(name, text, param) SPAN_INIT(text),
		REQUEST_ERRORS(X)
#undef X
	};
	struct text t = text_on(room, LINES_WHY_MAX);
	text_str(&t, s->listed ? "requests." : "Line ");
	text_u64(&t, s->listed && s->line ? s->line - 1 : s->line); /* the one counts from 0, as its errors do */
	text_str(&t, s->listed ? ": " : " of the file: ");
	text_span(&t, s->error == LINES_BODY ? inner[s->inner] : sentences[s->error]);
	return (struct span){t.at, t.len};
}
