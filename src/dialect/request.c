#include "dialect/request_priv.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

_Static_assert((int)REQUEST_DEPTH_MAX == (int)JSON_DEPTH_MAX, "the scanner's depth is the dialect's");
_Static_assert(NODE_ONCE <= 32, "one bit for each member that may stand once");

struct scan_state {
	struct json_scan json;
	const struct request_language *language;
	uint32_t seen; /* bit per member that may stand once */
	bool content_given;
	bool source_is_text; /* of the source that is open */
	uint64_t source_bytes;
	uint32_t item; /* ITEM_… of the item that is open */
	bool cap_given[2];
	uint32_t caps[2]; /* the plain one, max_completion_tokens; 0: absent or null */
	uint64_t caps_at[2], caps_bytes[2];
};
_Static_assert(sizeof(struct scan_state) <= sizeof((struct request_scan *)0)->state, "the state fits its room");

static struct scan_state *
state_of(struct request_scan *s)
{
	return (struct scan_state *)(void *)s->state;
}

void
request_scan_init(struct request_scan *s, enum endpoint endpoint)
{
	struct scan_state *st = state_of(s);
	memset(&s->result, 0, offsetof(struct request_facts, objects)); /* what of the lists counts, their counts say */
	s->result.endpoint = (uint8_t)endpoint;
	s->result.n = 1;
	s->result.stream = endpoint == ENDPOINT_STREAM_GENERATE_CONTENT;
	s->error = REQUEST_OK;
	memset(st, 0, sizeof *st);
	st->language = request_language(endpoint);
	json_scan_init(&st->json, st->language->nodes);
}

size_t
request_scan_used(const struct request_scan *s)
{
	const struct request_facts *r = &s->result;
	bool lists = r->object_count || r->cited_count || r->model_count;
	return lists ? sizeof *s : offsetof(struct request_scan, result) + offsetof(struct request_facts, objects);
}

static bool
says(const struct json_event *ev, const char *text)
{
	size_t len = strlen(text);
	return !ev->cut && ev->text.len == len && !memcmp(ev->text.at, text, len);
}

static bool
begins(const struct json_event *ev, const char *text)
{
	size_t len = strlen(text);
	return ev->text.len >= len && !memcmp(ev->text.at, text, len);
}

static bool
is_end(enum json_token t)
{
	return t == JSON_OBJECT_END || t == JSON_ARRAY_END;
}

static enum request_error
on_model(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_NULL || (t == JSON_STRING && ev->end - ev->at == 2))
		return REQUEST_NO_MODEL;
	if (t != JSON_STRING || ev->cut || ev->text.len > REQUEST_MODEL_MAX)
		return REQUEST_BAD_MODEL;
	memcpy(r->model, ev->text.at, ev->text.len);
	r->model_len = (uint8_t)ev->text.len;
	r->model_at = ev->at;
	r->model_bytes = ev->end - ev->at;
	return REQUEST_OK;
}

/* The path decides; what the body repeats is written over. */
static enum request_error
on_repeated_model(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t != JSON_STRING || ev->end - ev->at > UINT16_MAX || ev->at > UINT32_MAX)
		return REQUEST_BAD_MODEL;
	if (r->model_count == REQUEST_MODELS_MAX)
		return REQUEST_TOO_MANY_MODELS;
	r->models_at[r->model_count] = (uint32_t)ev->at;
	r->models_bytes[r->model_count++] = (uint16_t)(ev->end - ev->at);
	return REQUEST_OK;
}

static enum request_error
on_flag(enum json_token t, enum request_error error, bool *ret)
{
	if (t != JSON_TRUE && t != JSON_FALSE && t != JSON_NULL)
		return error;
	*ret = t == JSON_TRUE;
	return REQUEST_OK;
}

static enum request_error
on_count(enum json_token t, const struct json_event *ev, uint64_t max, enum request_error error, uint32_t *ret)
{
	uint64_t v;
	if (t == JSON_NULL)
		return REQUEST_OK;
	if (t != JSON_NUMBER || !json_whole(ev, max, &v) || v == 0)
		return error;
	*ret = (uint32_t)v;
	return REQUEST_OK;
}

static enum request_error
on_cap(struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	bool completion = ev->node == NODE_CAP_COMPLETION;
	uint64_t v;
	st->caps_at[completion] = ev->at;
	st->caps_bytes[completion] = ev->end - ev->at;
	if (st->language->cap_may_be_zero && t == JSON_NUMBER && json_whole(ev, 0, &v)) {
		st->cap_given[completion] = true;
		return REQUEST_OK;
	}
	enum request_error error = completion ? REQUEST_BAD_MAX_COMPLETION_TOKENS : st->language->bad_cap;
	error = on_count(t, ev, UINT32_MAX, error, &st->caps[completion]);
	st->cap_given[completion] = st->caps[completion] != 0;
	return error;
}

static void
on_place(struct request_place *p, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_OBJECT || t == JSON_ARRAY || is_end(t)) /* none that a provider takes */
		return;
	*p = (struct request_place){ev->at, ev->end - ev->at, 0};
	if (t != JSON_STRING || p->bytes <= 2)
		return;
	p->hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < ev->text.len; i++)
		p->hash = (p->hash ^ (unsigned char)ev->text.at[i]) * 0x100000001b3;
	p->hash ^= ev->cut ? p->bytes : 0;
	p->hash |= !p->hash;
}

/* stream_options, generationConfig. */
static enum request_error
on_object(struct request_object *o, enum json_token t, const struct json_event *ev, enum request_error error)
{
	if (t == JSON_OBJECT_END) {
		o->bytes = ev->end - o->at;
		o->empty = ev->empty;
		return REQUEST_OK;
	}
	if (t != JSON_OBJECT && t != JSON_NULL)
		return error;
	o->at = ev->at;
	o->bytes = ev->end - ev->at;
	if (t == JSON_OBJECT)
		o->inner_at = ev->end;
	return REQUEST_OK;
}

static enum request_error
on_stream_options(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	enum request_error error = on_object(&r->stream_options, t, ev, REQUEST_BAD_STREAM_OPTIONS);
	r->has_stream_options = r->stream_options.inner_at != 0;
	return error;
}

static enum request_error
on_include_usage(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (r->include_usage_bytes)
		return REQUEST_BAD_STREAM_OPTIONS; /* twice: ours to edit would be only one of them */
	r->include_usage_at = ev->at;
	r->include_usage_bytes = ev->end - ev->at;
	return on_flag(t, REQUEST_BAD_STREAM_OPTIONS, &r->include_usage);
}

static enum request_error
on_store(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	r->store |= t == JSON_TRUE;
	if (!is_end(t)) {
		r->store_at = ev->at;
		r->store_bytes = ev->end - ev->at;
	}
	return t == JSON_TRUE || t == JSON_FALSE || t == JSON_NULL ? REQUEST_OK : REQUEST_STORE;
}

static void
on_tier(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	r->has_service_tier |= t != JSON_NULL && !is_end(t);
	if (t != JSON_STRING)
		return;
	if (says(ev, "flex"))
		r->tier = TIER_flex;
	else if (says(ev, "priority") || says(ev, "fast"))
		r->tier = TIER_priority;
}

static enum request_error
on_root(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_OBJECT)
		r->object_at = ev->end;
	else if (t == JSON_OBJECT_END)
		r->empty_object = ev->empty;
	else
		return REQUEST_NOT_OBJECT;
	return REQUEST_OK;
}

static void
on_content(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	bool list = st->language->no_content == REQUEST_NO_MESSAGES;
	if (!is_end(t) && !r->begins_at)
		r->begins_at = ev->at;
	st->content_given |= list ? t == JSON_ARRAY : t != JSON_NULL && !is_end(t);
}

static enum request_error
on_member(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	bool given = t != JSON_NULL && !is_end(t);
	switch ((enum request_node)ev->node) {
	case NODE_MODEL:
		return on_model(r, t, ev);
	case NODE_STREAM:
		return on_flag(t, REQUEST_BAD_STREAM, &r->stream);
	case NODE_STREAM_FORMAT:
		r->stream = t == JSON_STRING && says(ev, "sse");
		return r->stream || t == JSON_NULL || (t == JSON_STRING && says(ev, "audio")) ? REQUEST_OK : REQUEST_BAD_STREAM_FORMAT;
	case NODE_STREAM_OPTIONS:
		return on_stream_options(r, t, ev);
	case NODE_CAP:
	case NODE_CAP_COMPLETION:
		return on_cap(st, t, ev);
	case NODE_N:
		return on_count(t, ev, REQUEST_N_MAX, st->language->bad_n, &r->n);
	case NODE_STORE:
		return on_store(r, t, ev);
	case NODE_CONFIG:
		return on_object(&r->config, t, ev, REQUEST_BAD_GENERATION_CONFIG);
	case NODE_BACKGROUND:
		return on_flag(t, REQUEST_BACKGROUND, &r->background);
	case NODE_TIER:
		on_tier(r, t, ev);
		break;
	case NODE_EFFORT:
		r->has_reasoning_effort |= given;
		break;
	case NODE_TOOLS:
	case NODE_FUNCTIONS:
		r->has_tools |= t == JSON_ARRAY_END && !ev->empty;
		break;
	case NODE_TOOL_CALLS_MAX: { /* its form is the provider's to judge: here it only bounds */
		uint64_t v;
		if (t == JSON_NUMBER && json_whole(ev, UINT32_MAX, &v))
			r->tool_uses = (uint32_t)v;
		break;
	}
	case NODE_BEST_OF:
		return on_count(t, ev, REQUEST_N_MAX, REQUEST_BAD_BEST_OF, &r->best_of);
	case NODE_CACHE_KEY:
		on_place(&r->cache_key, t, ev);
		break;
	case NODE_USER:
		on_place(&r->user, t, ev);
		break;
	case NODE_SAFETY:
		on_place(&r->safety, t, ev);
		break;
	case NODE_METADATA: /* its form is the provider's to judge */
		return on_object(&r->metadata, t, ev, REQUEST_OK);
	case NODE_SYSTEM:
		if (t == JSON_STRING || t == JSON_ARRAY || t == JSON_OBJECT)
			r->begins_at = ev->at;
		break;
	case NODE_SEARCH_OPTIONS:
		r->server_tools |= (uint8_t)((unsigned)given << TOOL_web_search);
		break;
	case NODE_CONTENT:
		on_content(r, st, t, ev);
		break;
	default:
		break;
	}
	return REQUEST_OK;
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

/* What kind of part it is; the words of all languages together, since they don't collide. */
static enum request_error
on_part_type(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t != JSON_STRING)
		return REQUEST_OK;
	if (says(ev, "item_reference") || says(ev, "container_upload"))
		return REQUEST_FOREIGN_OBJECT;
	r->images += says(ev, "image") || says(ev, "input_image") || says(ev, "computer_screenshot");
	r->files += says(ev, "document") || says(ev, "input_file");
	r->audios += says(ev, "input_audio");
	return REQUEST_OK;
}

/* What an item of the input consists of; of a member that stands twice the last one holds, as it does for the provider. */
enum { ITEM_TYPED = 1 << 0,
	ITEM_MESSAGE = 1 << 1,
	ITEM_REASONING = 1 << 2,
	ITEM_IMAGE = 1 << 3,
	ITEM_ID = 1 << 4,
	ITEM_HAS_CONTENT = 1 << 5, /* be it empty */
	ITEM_CONTENT = 1 << 6,
	ITEM_SUMMARY = 1 << 7,
	ITEM_SEALED = 1 << 8,
	ITEM_RESULT = 1 << 9,
	ITEM_OTHER = 1 << 10 };

static void
put_bit(uint32_t *bits, uint32_t bit, bool on)
{
	*bits = on ? *bits | bit : *bits & ~bit;
}

/* An id alone makes the provider look among what it has stored, which may be somebody else's; without a type, it is a message or a reference. */
static enum request_error
on_item_end(uint32_t item)
{
	uint32_t needs = ITEM_CONTENT | ITEM_SUMMARY | ITEM_SEALED | ITEM_RESULT | ITEM_OTHER;
	if (!(item & ITEM_ID))
		return REQUEST_OK;
	if (item & ITEM_REASONING)
		needs = ITEM_CONTENT | ITEM_SUMMARY | ITEM_SEALED;
	else if (item & ITEM_IMAGE)
		needs = ITEM_RESULT;
	else if (!(item & ITEM_TYPED) || item & ITEM_MESSAGE)
		needs = ITEM_HAS_CONTENT;
	return item & needs ? REQUEST_OK : REQUEST_FOREIGN_OBJECT;
}

static enum request_error
on_item(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	static const uint16_t bits[NODE_COUNT] = {
		[NODE_ITEM_SUMMARY] = ITEM_SUMMARY,
		[NODE_ITEM_SEALED] = ITEM_SEALED,
		[NODE_ITEM_RESULT] = ITEM_RESULT,
	};
	uint32_t *item = &st->item;
	bool full = is_end(t) ? !ev->empty : t == JSON_STRING ? ev->end - ev->at > 2
														  : t != JSON_NULL && t != JSON_OBJECT && t != JSON_ARRAY;
	switch ((enum request_node)ev->node) {
	case NODE_ITEM:
		if (t == JSON_OBJECT)
			*item = 0;
		return t == JSON_OBJECT_END ? on_item_end(*item) : REQUEST_OK;
	case NODE_ITEM_ID:
		put_bit(item, ITEM_ID, t != JSON_NULL);
		return REQUEST_OK;
	case NODE_ITEM_TYPE:
		put_bit(item, ITEM_TYPED, t == JSON_STRING);
		put_bit(item, ITEM_MESSAGE, t == JSON_STRING && says(ev, "message"));
		put_bit(item, ITEM_REASONING, t == JSON_STRING && says(ev, "reasoning"));
		put_bit(item, ITEM_IMAGE, t == JSON_STRING && says(ev, "image_generation_call"));
		return on_part_type(r, t, ev);
	case NODE_ITEM_OTHER: /* any of them will do */
		*item |= full ? ITEM_OTHER : 0;
		return REQUEST_OK;
	case NODE_ITEM_CONTENT:
		put_bit(item, ITEM_HAS_CONTENT, t == JSON_STRING || t == JSON_ARRAY || t == JSON_ARRAY_END);
		put_bit(item, ITEM_CONTENT, full);
		return REQUEST_OK;
	default:
		put_bit(item, bits[ev->node], full);
		return REQUEST_OK;
	}
}

static void
on_mime(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	bool image = t == JSON_STRING && begins(ev, "image/"), audio = t == JSON_STRING && begins(ev, "audio/");
	if (r->files && (image || audio)) {
		r->files--;
		r->images += image;
		r->audios += audio;
	}
}

static bool
has_word(struct span s, struct span word)
{
	for (size_t i = 0; i + word.len <= s.len; i++)
		if (!strncasecmp(s.at + i, word.at, word.len))
			return true;
	return false;
}

/* A host has no case; what hides it (a user's name in front, escapes, more than is shown) is taken for Google's. */
static bool
is_stored_at_google(struct span uri, bool cut)
{
	const char *end = uri.at + uri.len, *colon = memmem(uri.at, uri.len, "://", 3), *host = colon ? colon + 3 : end, *p = host;
	while (p < end && !memchr("/?#\\", *p, 4))
		p++;
	bool hidden = (p == end && cut) || memchr(host, '%', (size_t)(p - host)) || memchr(host, '@', (size_t)(p - host));
	return (uri.len && !colon) || hidden || has_word(uri, SPAN("generativelanguage"));
}


/* Tools that the caller runs itself, and those of the provider's that make no files: by how their names begin. */
static bool
names_nothing(const struct json_event *ev)
{
	static const char *const known[] = {"function", "custom", "web_search", "web_fetch", "image_generation", "local_shell", "apply_patch", "computer", "bash_",
		"text_editor", "memory", "tool_search", "mcp"};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (begins(ev, known[i]))
			return true;
	return false;
}

static enum request_error
on_tool_type(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t != JSON_STRING)
		return REQUEST_OK;
	unsigned tools = (unsigned)begins(ev, "web_search") << TOOL_web_search | (unsigned)begins(ev, "file_search") << TOOL_file_search |
		(unsigned)begins(ev, "code_interpreter") << TOOL_code_session;
	r->server_tools |= (uint8_t)tools;
	r->may_name |= !names_nothing(ev);
	return REQUEST_OK;
}

static void
on_media(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	bool base64 = ev->node == NODE_MEDIA_DATA || is_data_url(ev->text);
	if (t == JSON_STRING && base64)
		r->inline_media_bytes += ev->end - ev->at - 2;
}

/* Data of an image or a document, Anthropic's or Gemini's. Text in a document is charged as text, whatever stands around it. */
static void
on_source(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum request_node)ev->node) {
	case NODE_SOURCE_TYPE:
		st->source_is_text = t == JSON_STRING && says(ev, "text");
		break;
	case NODE_MIME:
		st->source_is_text = t == JSON_STRING && begins(ev, "text/");
		on_mime(r, t, ev);
		break;
	case NODE_SOURCE_DATA:
		st->source_bytes = t == JSON_STRING ? ev->end - ev->at - 2 : 0;
		break;
	default: /* the object itself */
		r->files += ev->node == NODE_BLOB && t == JSON_OBJECT;
		r->inline_media_bytes += t == JSON_OBJECT_END && !st->source_is_text ? st->source_bytes : 0;
		st->source_is_text = false;
		st->source_bytes = 0;
	}
}

static void
on_tool_uses(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	uint64_t v;
	if (t == JSON_NUMBER && json_whole(ev, UINT32_MAX, &v) && v > r->tool_uses)
		r->tool_uses = (uint32_t)v;
}

/* Where it stands has room in a struct request_object_name. */
static bool
is_near(const struct json_event *ev)
{
	return ev->end <= UINT32_MAX && ev->end - ev->at < 1u << 28;
}

/* Whose it is, the edge finds out. */
static enum request_error
on_object_name(struct request_facts *r, enum request_object_kind kind, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_NULL)
		return REQUEST_OK;
	if (t != JSON_STRING || !is_near(ev))
		return REQUEST_FOREIGN_OBJECT;
	if (r->object_count == REQUEST_OBJECTS_MAX)
		return REQUEST_TOO_MANY_OBJECTS;
	r->objects[r->object_count++] = (struct request_object_name){(uint32_t)ev->at, (uint32_t)(ev->end - ev->at) & 0xfffffff, kind & 0xf};
	return REQUEST_OK;
}

/* Gemini's files are named by URLs: Google's, and ours, of whatever host. Others are the caller's own pages. */
static enum request_error
on_file_uri(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	static const struct span path = SPAN_INIT("/v1beta/files/");
	bool kept = t == JSON_STRING && (is_stored_at_google(ev->text, ev->cut) || memmem(ev->text.at, ev->text.len, path.at, path.len));
	return kept ? on_object_name(r, REQUEST_FILE, t, ev) : REQUEST_OK;
}

static void
on_cited(struct request_facts *r, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_STRING && r->cited_count < REQUEST_CITED_MAX && is_near(ev))
		r->cited[r->cited_count++] = (struct request_object_name){.at = (uint32_t)ev->at, .bytes = (uint32_t)(ev->end - ev->at) & 0xfffffff};
}

static enum request_error
on_inner(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	switch ((enum request_node)ev->node) {
	case NODE_FOREIGN:
		return t == JSON_NULL ? REQUEST_OK : REQUEST_FOREIGN_OBJECT;
	case NODE_REPEATED_MODEL:
		return on_repeated_model(r, t, ev);
	case NODE_OBJECT:
		return on_object_name(r, REQUEST_FILE, t, ev);
	case NODE_OBJECT_OR_MORE:
		return t == JSON_OBJECT || t == JSON_OBJECT_END ? REQUEST_OK : on_object_name(r, REQUEST_FILE, t, ev);
	case NODE_OBJECTS:
		return t == JSON_ARRAY || t == JSON_ARRAY_END || t == JSON_NULL ? REQUEST_OK : REQUEST_FOREIGN_OBJECT;
	case NODE_CITED:
		on_cited(r, t, ev);
		break;
	case NODE_PREVIOUS:
		return on_object_name(r, REQUEST_RESPONSE, t, ev);
	case NODE_CONVERSATION: /* an object has the id inside */
		return t == JSON_OBJECT || t == JSON_OBJECT_END ? REQUEST_OK : on_object_name(r, REQUEST_CONVERSATION, t, ev);
	case NODE_CONVERSATION_ID:
		return on_object_name(r, REQUEST_CONVERSATION, t, ev);
	case NODE_USER_ID:
		if (r->user_id.bytes) /* ours to edit would be only one of them */
			return REQUEST_DUPLICATE;
		on_place(&r->user_id, t, ev);
		break;
	case NODE_PROMPT:
		r->prompts += t == JSON_STRING || t == JSON_ARRAY;
		r->prompt_tokens += t == JSON_NUMBER;
		break;
	case NODE_PART_TYPE:
		return on_part_type(r, t, ev);
	case NODE_FILE_URI:
		return on_file_uri(r, t, ev);
	case NODE_TOOL_TYPE:
		return on_tool_type(r, t, ev);
	case NODE_TOOL_USES:
		on_tool_uses(r, t, ev);
		break;
	case NODE_TOOL_SEARCH:
		r->server_tools |= 1u << TOOL_web_search;
		break;
	case NODE_SPEED:
		if (t == JSON_STRING && says(ev, "fast"))
			r->tier = TIER_fast;
		break;
	case NODE_GEO:
		r->geo_us |= t == JSON_STRING && says(ev, "us");
		break;
	case NODE_IMAGE_URL: /* some write the URL without the object around it */
		r->images += t == JSON_OBJECT || t == JSON_STRING;
		if (t == JSON_STRING)
			on_media(r, t, ev);
		break;
	case NODE_AUDIO_PART:
		r->audios += t == JSON_OBJECT;
		break;
	case NODE_FILE_PART:
		r->files += t == JSON_OBJECT;
		break;
	case NODE_BLOB:
	case NODE_MIME:
	case NODE_SOURCE:
	case NODE_SOURCE_TYPE:
	case NODE_SOURCE_DATA:
		on_source(r, st, t, ev);
		break;
	case NODE_IMAGE_DATA:
	case NODE_MEDIA_DATA:
		on_media(r, t, ev);
		break;
	default:
		break;
	}
	return REQUEST_OK;
}

static enum request_error
on_event(struct request_facts *r, struct scan_state *st, enum json_token t, const struct json_event *ev)
{
	if (ev->node == NODE_INCLUDE_USAGE)
		return on_include_usage(r, t, ev);
	if (ev->node >= NODE_ITEM && ev->node <= NODE_ITEM_OTHER)
		return on_item(r, st, t, ev);
	if (ev->node > NODE_ONCE)
		return on_inner(r, st, t, ev);
	if (ev->node == NODE_ROOT)
		return on_root(r, t, ev);
	if (!is_end(t)) {
		if (st->seen >> ev->node & 1)
			return REQUEST_DUPLICATE;
		st->seen |= 1u << ev->node;
	}
	return on_member(r, st, t, ev);
}

static enum request_error
json_failure(const struct json_scan *j)
{
	return j->error == JSON_E_DEPTH ? REQUEST_TOO_DEEP : REQUEST_NOT_JSON;
}

bool
request_scan_feed(struct request_scan *s, const char *bytes, size_t len)
{
	struct scan_state *st = state_of(s);
	struct json_event ev;
	enum json_token t;
	if (s->error != REQUEST_OK)
		return false;
	json_scan_feed(&st->json, bytes, len, s->result.body_bytes);
	s->result.body_bytes += len;
	while ((t = json_scan_next(&st->json, &ev)) != JSON_MORE) {
		s->error = t == JSON_BAD ? json_failure(&st->json) : on_event(&s->result, st, t, &ev);
		if (s->error != REQUEST_OK)
			return false;
	}
	return true;
}

static void
choose_cap(struct request_facts *r, const struct scan_state *st)
{
	int i = st->language->completion_cap && (st->caps[1] || !st->caps[0]);
	r->has_cap = st->cap_given[i];
	r->cap_is_completion = r->has_cap && i;
	r->cap = st->caps[i];
	r->cap_at = st->caps_at[i];
	r->cap_bytes = st->caps_bytes[i];
}

/* Each prompt has as many answers as are chosen from; those that are only embedded have none. */
static bool
count_answers(struct request_facts *r, const struct request_language *l)
{
	if (!l->cap_member.len)
		return true;

	uint64_t each = r->best_of > r->n ? r->best_of : r->n, all = each * (r->prompts ? r->prompts : 1);
	if (all > REQUEST_N_MAX)
		return false;
	r->n = (uint32_t)all;
	return true;
}

enum request_error
request_scan_finish(struct request_scan *s)
{
	struct scan_state *st = state_of(s);
	const struct request_language *l = st->language;
	struct request_facts *r = &s->result;
	if (s->error != REQUEST_OK)
		return s->error;
	choose_cap(r, st);
	r->plain_answer = r->endpoint == ENDPOINT_AUDIO_SPEECH && !r->stream;
	if (!json_scan_complete(&st->json))
		s->error = REQUEST_NOT_JSON;
	else if (!r->object_at)
		s->error = REQUEST_NOT_OBJECT; /* a bare number: it ends only here */
	else if (!r->model_len && !l->model_in_path && !l->model_optional)
		s->error = REQUEST_NO_MODEL;
	else if (r->has_stream_options && !r->stream)
		s->error = REQUEST_BAD_STREAM_OPTIONS;
	else if (!st->content_given)
		s->error = l->no_content;
	else if (l->cap_required && !r->has_cap)
		s->error = REQUEST_NO_MAX_TOKENS;
	else if (l->one_in_a_stream && r->stream && r->n > 1)
		s->error = REQUEST_STREAM_OF_MANY;
	else if (!count_answers(r, l))
		s->error = REQUEST_TOO_MANY_ANSWERS;
	return s->error;
}

/* ---- edits ---- */

struct edits {
	struct request_edit *list;
	uint32_t count;
	struct text *room;
};

static void
add(struct edits *e, uint64_t at, uint64_t remove, struct span text)
{
	uint32_t i = e->count++;
	for (; i && e->list[i - 1].at > at; i--)
		e->list[i] = e->list[i - 1];
	e->list[i] = (struct request_edit){.at = at, .remove = (uint32_t)remove, .text_len = (uint32_t)text.len, .text = text.at};
}

/* What was written into the room since `from`. */
static struct span
made(const struct edits *e, size_t from)
{
	return (struct span){e->room->at + from, e->room->len - from};
}

static void
edit_model(struct edits *e, const struct request_facts *r, struct span model)
{
	bool same = model.len == r->model_len && !memcmp(model.at, r->model, model.len);
	if (!r->model_bytes || same) /* the path names it, or nothing changes */
		return;
	size_t from = e->room->len;
	text_str(e->room, r->form ? "" : "\"");
	text_span(e->room, model);
	text_str(e->room, r->form ? "" : "\"");
	add(e, r->model_at, r->model_bytes, made(e, from));
}

static void
edit_repeated_models(struct edits *e, const struct request_facts *r, struct span model)
{
	if (!r->model_count)
		return;
	size_t from = e->room->len;
	text_lit(e->room, "\"models/");
	text_span(e->room, model);
	text_lit(e->room, "\"");
	struct span text = made(e, from);
	for (uint32_t i = 0; i < r->model_count; i++)
		add(e, r->models_at[i], r->models_bytes[i], text);
}

static void
edit_usage(struct edits *e, const struct request_facts *r)
{
	static const struct span value = SPAN_INIT("true"), object = SPAN_INIT("{\"include_usage\":true}"),
							 inner = SPAN_INIT("\"include_usage\":true,"), member = SPAN_INIT("\"stream_options\":{\"include_usage\":true},");
	const struct request_object *o = &r->stream_options;
	if (r->include_usage_bytes)
		add(e, r->include_usage_at, r->include_usage_bytes, value);
	else if (r->has_stream_options)
		add(e, o->inner_at, 0, (struct span){inner.at, inner.len - o->empty});
	else if (o->bytes) /* null */
		add(e, o->at, o->bytes, object);
	else
		add(e, r->object_at, 0, member);
}

static void
edit_cap(struct edits *e, const struct request_facts *r, const struct request_language *l, const struct request_wish *wish)
{
	size_t from = e->room->len;
	bool within = l->cap_in_config && r->config.inner_at;
	struct span member = wish->old_cap && l->completion_cap ? SPAN("max_tokens") : l->cap_member;
	if (r->cap_bytes) { /* a cap of null stands there */
		text_u64(e->room, wish->cap);
		add(e, r->cap_at, r->cap_bytes, made(e, from));
		return;
	}
	bool object = l->cap_in_config && !within, replaces = object && r->config.bytes;
	if (object && !replaces)
		text_lit(e->room, "\"generationConfig\":");
	if (object)
		text_lit(e->room, "{");
	text_lit(e->room, "\"");
	text_span(e->room, member);
	text_lit(e->room, "\":");
	text_u64(e->room, wish->cap);
	if (object)
		text_lit(e->room, "}");
	if (!replaces && !(within && r->config.empty))
		text_lit(e->room, ",");
	struct span text = made(e, from);
	if (replaces)
		add(e, r->config.at, r->config.bytes, text);
	else
		add(e, within ? r->config.inner_at : r->object_at, 0, text);
}

static void
edit_store(struct edits *e, const struct request_facts *r)
{
	static const struct span value = SPAN_INIT("false"), member = SPAN_INIT("\"store\":false,");
	if (r->store_bytes)
		add(e, r->store_at, r->store_bytes, value);
	else
		add(e, r->object_at, 0, member);
}

/* `before` and `behind` around the text, between quotes. */
static struct span
user_text(struct edits *e, const char *before, struct span user, const char *behind)
{
	size_t from = e->room->len;
	text_str(e->room, before);
	text_lit(e->room, "\"");
	text_span(e->room, user);
	text_lit(e->room, "\"");
	text_str(e->room, behind);
	return made(e, from);
}

static void
edit_user(struct edits *e, const struct request_facts *r, const struct request_language *l, struct span user)
{
	const struct request_object *o = &r->metadata;
	const struct request_place *p = l->user == USER_IN_METADATA ? &r->user_id : l->user == USER_AS_SAFETY ? &r->safety
																										  : &r->user;
	if (l->user == USER_NOWHERE)
		return;
	if (l->user == USER_AS_SAFETY && r->user.bytes)
		add(e, r->user.at, r->user.bytes, user_text(e, "", user, ""));
	if (p->bytes)
		add(e, p->at, p->bytes, user_text(e, "", user, ""));
	else if (l->user == USER_AS_SAFETY)
		add(e, r->object_at, 0, user_text(e, "\"safety_identifier\":", user, ","));
	else if (l->user == USER_PLAIN)
		add(e, r->object_at, 0, user_text(e, "\"user\":", user, ","));
	else if (o->inner_at)
		add(e, o->inner_at, 0, user_text(e, "\"user_id\":", user, o->empty ? "" : ","));
	else if (o->bytes) /* null */
		add(e, o->at, o->bytes, user_text(e, "{\"user_id\":", user, "}"));
	else
		add(e, r->object_at, 0, user_text(e, "\"metadata\":{\"user_id\":", user, "},"));
}

uint32_t
request_edit_count(const struct request_facts *r)
{
	return r->model_count + r->object_count + r->cited_count + 6;
}

uint32_t
request_edits(const struct request_facts *r, const struct request_wish *wish, struct text *room, struct request_edit *ret)
{
	struct edits e = {ret, 0, room};
	const struct request_language *l = request_language((enum endpoint)r->endpoint);
	edit_model(&e, r, wish->model);
	edit_repeated_models(&e, r, wish->model);
	for (uint32_t i = 0; i < r->object_count; i++)
		add(&e, r->objects[i].at, r->objects[i].bytes, wish->objects[i]);
	for (uint32_t i = 0; wish->cited && i < r->cited_count; i++)
		if (wish->cited[i].len)
			add(&e, r->cited[i].at, r->cited[i].bytes, wish->cited[i]);
	if (wish->ask_usage)
		edit_usage(&e, r);
	if (wish->cap)
		edit_cap(&e, r, l, wish);
	if (wish->user.len)
		edit_user(&e, r, l, wish->user);
	if (wish->no_store && !(r->store_bytes && r->store_bytes == 5))
		edit_store(&e, r);
	assert(!room->cut); /* the catalogue bounds names and refuses what would need escaping */
	return e.count;
}
