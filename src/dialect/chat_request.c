#include "dialect/chat.h"

#include "core/json_scan.h"

#include <string.h>

_Static_assert((int)CHAT_DEPTH_MAX == (int)JSON_DEPTH_MAX, "the scanner's depth is the dialect's");

enum { N_MAX = 128 };

enum node {
	NONE = JSON_NODE_NONE,
	ROOT = JSON_NODE_ROOT,
	MODEL,
	STREAM,
	STREAM_OPTIONS,
	MAX_TOKENS,
	MAX_COMPLETION_TOKENS,
	N,
	STORE,
	REASONING_EFFORT,
	SERVICE_TIER,
	TOOLS,
	FUNCTIONS,
	MESSAGES,
	TOP_NODES, /* those before are members of the body, each at most once */
	INCLUDE_USAGE = TOP_NODES,
	MESSAGE,
	PART, /* anything inside of a message, at any depth */
	MESSAGE_AUDIO,
	AUDIO_ID,
	IMAGE_URL,
	IMAGE_DATA,
	INPUT_AUDIO,
	AUDIO_DATA,
	FILE_PART,
	FILE_ID,
	FILE_DATA,
	NODES,
};

#define EDGE JSON_EDGE
static const struct json_edge root_edges[] = {
	EDGE("model", MODEL),
	EDGE("stream", STREAM),
	EDGE("stream_options", STREAM_OPTIONS),
	EDGE("max_tokens", MAX_TOKENS),
	EDGE("max_completion_tokens", MAX_COMPLETION_TOKENS),
	EDGE("n", N),
	EDGE("store", STORE),
	EDGE("tools", TOOLS),
	EDGE("reasoning_effort", REASONING_EFFORT),
	EDGE("service_tier", SERVICE_TIER),
	EDGE("functions", FUNCTIONS),
	EDGE("messages", MESSAGES),
};
static const struct json_edge stream_options_edges[] = {EDGE("include_usage", INCLUDE_USAGE)};
/* A stored audio answer is named by a message itself; media stand in its parts. */
static const struct json_edge message_edges[] = {
	EDGE("image_url", IMAGE_URL),
	EDGE("input_audio", INPUT_AUDIO),
	EDGE("file", FILE_PART),
	EDGE("audio", MESSAGE_AUDIO),
};
enum { PART_EDGES = ARRAY_LEN(message_edges) - 1 };
static const struct json_edge message_audio_edges[] = {EDGE("id", AUDIO_ID)};
static const struct json_edge image_edges[] = {EDGE("url", IMAGE_DATA)};
static const struct json_edge audio_edges[] = {EDGE("data", AUDIO_DATA)};
static const struct json_edge file_edges[] = {EDGE("file_id", FILE_ID), EDGE("file_data", FILE_DATA)};

#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)
static const struct json_node nodes[NODES] = {
	[ROOT] = {EDGES(root_edges)},
	[MODEL] = {.text = true},
	[STREAM_OPTIONS] = {EDGES(stream_options_edges)},
	[MESSAGES] = {.element = MESSAGE},
	[MESSAGE] = {EDGES(message_edges), .other = PART, .element = PART},
	[PART] = {.edges = message_edges, .edge_count = PART_EDGES, .other = PART, .element = PART},
	[MESSAGE_AUDIO] = {EDGES(message_audio_edges)},
	[IMAGE_URL] = {EDGES(image_edges), .text = true},
	[IMAGE_DATA] = {.text = true},
	[INPUT_AUDIO] = {EDGES(audio_edges)},
	[FILE_PART] = {EDGES(file_edges)},
};

struct scan_state {
	struct json_scan json;
	uint32_t seen; /* bit per top node */
	bool messages_given;
	uint32_t caps[2]; /* max_tokens, max_completion_tokens; 0: absent */
	uint64_t caps_at[2], caps_bytes[2];
};
_Static_assert(sizeof(struct scan_state) <= sizeof((struct chat_request_scan *)0)->state, "the state fits its room");

static struct scan_state *
state_of(struct chat_request_scan *s)
{
	return (struct scan_state *)(void *)s->state;
}

void
chat_request_init(struct chat_request_scan *s)
{
	struct scan_state *st = state_of(s);
	memset(&s->result, 0, sizeof s->result);
	s->result.n = 1;
	s->error = CHAT_REQUEST_OK;
	memset(st, 0, sizeof *st);
	json_scan_init(&st->json, nodes);
}

static enum chat_request_error
on_model(struct chat_request *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_NULL || (t == JSON_STRING && ev->end - ev->at == 2))
		return CHAT_REQUEST_NO_MODEL;
	if (t != JSON_STRING || ev->cut || ev->text.len > CHAT_MODEL_MAX)
		return CHAT_REQUEST_BAD_MODEL;
	memcpy(r->model, ev->text.at, ev->text.len);
	r->model_len = (uint8_t)ev->text.len;
	r->model_at = ev->at;
	r->model_bytes = ev->end - ev->at;
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_flag(enum json_token t, enum chat_request_error error, bool *ret)
{
	if (t != JSON_TRUE && t != JSON_FALSE && t != JSON_NULL)
		return error;
	*ret = t == JSON_TRUE;
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_count(enum json_token t, const struct json_event *ev, uint64_t max, enum chat_request_error error, uint32_t *ret)
{
	uint64_t v;
	if (t == JSON_NULL)
		return CHAT_REQUEST_OK;
	if (t != JSON_NUMBER || !json_whole(ev, max, &v) || v == 0)
		return error;
	*ret = (uint32_t)v;
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_cap(struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	bool completion = ev->node == MAX_COMPLETION_TOKENS;
	st->caps_at[completion] = ev->at;
	st->caps_bytes[completion] = ev->end - ev->at;
	enum chat_request_error error =
		completion ? CHAT_REQUEST_BAD_MAX_COMPLETION_TOKENS : CHAT_REQUEST_BAD_MAX_TOKENS;
	return on_count(t, ev, UINT32_MAX, error, &st->caps[completion]);
}

static enum chat_request_error
on_stream_options(struct chat_request *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_OBJECT_END) {
		r->stream_options_bytes = ev->end - r->stream_options_at;
		r->stream_options_empty = ev->empty;
		return CHAT_REQUEST_OK;
	}
	if (t != JSON_OBJECT && t != JSON_NULL)
		return CHAT_REQUEST_BAD_STREAM_OPTIONS;
	r->stream_options_at = ev->at;
	r->stream_options_bytes = ev->end - ev->at;
	r->has_stream_options = t == JSON_OBJECT;
	if (r->has_stream_options)
		r->stream_options_inner_at = ev->end;
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_include_usage(struct chat_request *r, enum json_token t, const struct json_event *ev)
{
	if (r->include_usage_bytes)
		return CHAT_REQUEST_BAD_STREAM_OPTIONS; /* twice: ours to edit would be only one of them */
	r->include_usage_at = ev->at;
	r->include_usage_bytes = ev->end - ev->at;
	return on_flag(t, CHAT_REQUEST_BAD_STREAM_OPTIONS, &r->include_usage);
}

static enum chat_request_error
on_root(struct chat_request *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_OBJECT)
		r->object_at = ev->end;
	else if (t == JSON_OBJECT_END)
		r->empty_object = ev->empty;
	else
		return CHAT_REQUEST_NOT_OBJECT;
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_top(struct chat_request *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	bool given = t != JSON_NULL && t != JSON_OBJECT_END && t != JSON_ARRAY_END;
	switch (ev->node) {
	case MODEL:
		return on_model(r, t, ev);
	case STREAM:
		return on_flag(t, CHAT_REQUEST_BAD_STREAM, &r->stream);
	case STREAM_OPTIONS:
		return on_stream_options(r, t, ev);
	case MAX_TOKENS:
	case MAX_COMPLETION_TOKENS:
		return on_cap(st, t, ev);
	case N:
		return on_count(t, ev, N_MAX, CHAT_REQUEST_BAD_N, &r->n);
	case STORE:
		r->store |= t == JSON_TRUE;
		break;
	case REASONING_EFFORT:
		r->has_reasoning_effort |= given;
		break;
	case SERVICE_TIER:
		r->has_service_tier |= given;
		break;
	case TOOLS:
	case FUNCTIONS:
		r->has_tools |= t == JSON_ARRAY_END && !ev->empty;
		break;
	case MESSAGES:
		st->messages_given |= t == JSON_ARRAY;
		break;
	}
	return CHAT_REQUEST_OK;
}

static void
on_media(struct chat_request *r, const struct json_event *ev)
{
	r->inline_media_bytes += ev->end - ev->at - 2;
}

/* RFC 3986: a scheme has no case. */
static bool
is_data_url(struct span s)
{
	static const char scheme[] = "data:";
	for (size_t i = 0; i < sizeof scheme - 1; i++)
		if (i >= s.len || (i < 4 ? s.at[i] | 0x20 : s.at[i]) != scheme[i])
			return false;
	return true;
}

static enum chat_request_error
on_message(struct chat_request *r, enum json_token t, const struct json_event *ev)
{
	switch (ev->node) {
	case AUDIO_ID:
	case FILE_ID:
		return t == JSON_NULL ? CHAT_REQUEST_OK : CHAT_REQUEST_FOREIGN_OBJECT;
	case IMAGE_URL: /* some write the URL without the object around it */
		r->images += t == JSON_OBJECT || t == JSON_STRING;
		break;
	case INPUT_AUDIO:
		r->audios += t == JSON_OBJECT;
		break;
	case FILE_PART:
		r->files += t == JSON_OBJECT;
		break;
	}
	if (t == JSON_STRING && (ev->node == AUDIO_DATA || ev->node == FILE_DATA))
		on_media(r, ev);
	else if (t == JSON_STRING && (ev->node == IMAGE_DATA || ev->node == IMAGE_URL) && is_data_url(ev->text))
		on_media(r, ev);
	return CHAT_REQUEST_OK;
}

static enum chat_request_error
on_event(struct chat_request *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	if (ev->node > INCLUDE_USAGE)
		return on_message(r, t, ev);
	if (ev->node == INCLUDE_USAGE)
		return on_include_usage(r, t, ev);
	if (ev->node == ROOT)
		return on_root(r, t, ev);
	if (t != JSON_OBJECT_END && t != JSON_ARRAY_END) {
		if (st->seen >> ev->node & 1)
			return CHAT_REQUEST_DUPLICATE;
		st->seen |= 1u << ev->node;
	}
	return on_top(r, st, t, ev);
}

static enum chat_request_error
json_failure(const struct json_scan *j)
{
	return j->error == JSON_E_DEPTH ? CHAT_REQUEST_TOO_DEEP : CHAT_REQUEST_NOT_JSON;
}

bool
chat_request_feed(struct chat_request_scan *s, const char *bytes, size_t len)
{
	struct scan_state *st = state_of(s);
	struct json_event ev;
	enum json_token t;
	if (s->error != CHAT_REQUEST_OK)
		return false;
	json_scan_feed(&st->json, bytes, len, s->result.body_bytes);
	s->result.body_bytes += len;
	while ((t = json_scan_next(&st->json, &ev)) != JSON_MORE) {
		s->error = t == JSON_BAD ? json_failure(&st->json) : on_event(&s->result, st, t, &ev);
		if (s->error != CHAT_REQUEST_OK)
			return false;
	}
	return true;
}

static void
choose_cap(struct chat_request *r, const struct scan_state *st)
{
	int i = st->caps[1] || !st->caps[0];
	r->has_cap = st->caps[i] != 0;
	r->cap_is_completion = r->has_cap && i;
	r->cap = st->caps[i];
	r->cap_at = st->caps_at[i];
	r->cap_bytes = st->caps_bytes[i];
}

enum chat_request_error
chat_request_finish(struct chat_request_scan *s)
{
	struct scan_state *st = state_of(s);
	if (s->error != CHAT_REQUEST_OK)
		return s->error;
	if (!json_scan_complete(&st->json))
		s->error = CHAT_REQUEST_NOT_JSON;
	else if (!s->result.object_at)
		s->error = CHAT_REQUEST_NOT_OBJECT; /* a bare number: it ends only here */
	else if (!s->result.model_len)
		s->error = CHAT_REQUEST_NO_MODEL;
	else if (s->result.has_stream_options && !s->result.stream)
		s->error = CHAT_REQUEST_BAD_STREAM_OPTIONS;
	else if (!st->messages_given)
		s->error = CHAT_REQUEST_NO_MESSAGES;
	choose_cap(&s->result, st);
	return s->error;
}
