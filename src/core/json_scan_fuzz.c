#include "core/json_scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Half of what comes is reported, half is skipped. */
enum {
	ROOT = JSON_NODE_ROOT,
	A,
	B,
	QUIET,
	NODES,
};
#define EDGES(X) X("a", A) X("bb", B) X("usage", A) X("q", QUIET)
static const struct json_edge edges[] = JSON_EDGES_OF(EDGES);
static const struct json_node nodes[NODES] = {
	[ROOT] = {JSON_EDGES(edges, EDGES), .other = JSON_NODE_NONE, .element = B, .text = true},
	[A] = {.edges = edges, .edge_count = 3, .other = B, .element = A, .text = true},
	[B] = {.edges = edges, .edge_count = 2, .other = JSON_NODE_NONE, .element = B},
	[QUIET] = {JSON_EDGES(edges, EDGES), .other = QUIET, .element = A, .silent = true},
};

struct result {
	bool bad, complete;
	enum json_error error;
	uint64_t hash; /* of all events */
	size_t events;
};

static uint64_t
mix(uint64_t hash, uint64_t v)
{
	return (hash ^ v) * UINT64_C(0x100000001b3);
}

static void
note(struct result *r, enum json_token t, const struct json_event *e)
{
	uint64_t h = mix(mix(mix(r->hash, t), e->at), e->end);
	h = mix(mix(mix(mix(h, e->key_at), e->comma_at), e->cut), e->empty);
	h = mix(mix(h, e->node), e->text.len);
	for (size_t i = 0; i < e->text.len; i++)
		h = mix(h, (unsigned char)e->text.at[i]);
	r->hash = h;
	r->events++;
}

/* Every place that an event names holds what it should. */
static void
check_event(const char *in, size_t len, enum json_token t, const struct json_event *e)
{
	static const char first[] = {[JSON_OBJECT] = '{', [JSON_OBJECT_END] = '}', [JSON_ARRAY] = '[', [JSON_ARRAY_END] = ']', [JSON_STRING] = '"', [JSON_TRUE] = 't', [JSON_FALSE] = 'f', [JSON_NULL] = 'n', [JSON_SEPARATOR] = ','};
	assert(e->at < e->end && e->end <= len && e->text.len <= JSON_TEXT_MAX);
	assert(t == JSON_NUMBER || in[e->at] == first[t]);
	assert(t != JSON_STRING || (in[e->end - 1] == '"' && e->end - e->at >= 2));
	assert(e->key_at == JSON_NO_OFFSET || (in[e->key_at] == '"' && e->key_at < e->at));
	assert(e->comma_at == JSON_NO_OFFSET || in[e->comma_at] == ',');
	assert(t != JSON_NUMBER || (e->cut ? e->end - e->at > JSON_TEXT_MAX : e->text.len == e->end - e->at));
	assert(t != JSON_NUMBER || !memcmp(e->text.at, in + e->at, e->text.len));
}

static struct result
scan(const char *in, size_t len, size_t step, bool separators)
{
	struct json_scan s;
	struct json_event e;
	struct result r = {.hash = UINT64_C(0xcbf29ce484222325)};
	enum json_token t = JSON_MORE;
	json_scan_init(&s, nodes);
	for (size_t at = 0, n; at < len && t == JSON_MORE; at += n) {
		n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		json_scan_feed(&s, piece, n, at);
		while ((t = json_scan_next(&s, &e)) > JSON_BAD) {
			check_event(in, len, t, &e);
			note(&r, t, &e);
			if (separators && t > JSON_ARRAY && t != JSON_SEPARATOR)
				json_scan_want_separator(&s);
		}
		free(piece);
	}
	r.bad = t == JSON_BAD;
	r.error = s.error;
	r.complete = !r.bad && json_scan_complete(&s);
	return r;
}

/* ---- a second opinion: recursive descent over the whole text; NULL: not JSON ---- */

static const char *slow_value(const char *p, const char *end, int depth);

static const char *
slow_blanks(const char *p, const char *end)
{
	while (p && p < end && *p && strchr(" \t\r\n", *p))
		p++;
	return p;
}

static const char *
slow_string(const char *p, const char *end)
{
	if (!p || p == end || *p != '"')
		return NULL;
	for (p++; p < end && *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\')
			continue;
		if (++p == end || !*p || !strchr("\"\\/bfnrtu", *p))
			return NULL;
		for (int i = 0; *p == 'u' && i < 4; i++)
			if (end - p <= i + 1 || !p[i + 1] || !strchr("0123456789abcdefABCDEF", p[i + 1]))
				return NULL;
	}
	return p < end ? p + 1 : NULL;
}

static const char *
slow_digits(const char *p, const char *end)
{
	const char *start = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > start ? p : NULL;
}

static const char *
slow_number(const char *p, const char *end)
{
	p += p < end && *p == '-';
	p = p < end && *p == '0' ? p + 1 : slow_digits(p, end);
	if (p && p < end && *p == '.')
		p = slow_digits(p + 1, end);
	if (p && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		p = slow_digits(p, end);
	}
	return p;
}

static const char *
slow_container(const char *p, const char *end, int depth)
{
	char close = *p == '{' ? '}' : ']';
	p = slow_blanks(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			p = slow_blanks(slow_string(slow_blanks(p, end), end), end);
			if (!p || p == end || *p != ':')
				return NULL;
			p++;
		}
		p = slow_blanks(slow_value(slow_blanks(p, end), end, depth), end);
		if (!p || p == end || (*p != ',' && *p != close))
			return NULL;
		if (*p++ == close)
			return p;
	}
}

static const char *
slow_value(const char *p, const char *end, int depth)
{
	static const char *const words[] = {"true", "false", "null"};
	if (!p || p == end)
		return NULL;
	if (*p == '{' || *p == '[')
		return depth == JSON_DEPTH_MAX ? NULL : slow_container(p, end, depth + 1);
	if (*p == '"')
		return slow_string(p, end);
	for (size_t i = 0; i < 3; i++)
		if ((size_t)(end - p) >= strlen(words[i]) && !memcmp(p, words[i], strlen(words[i])))
			return p + strlen(words[i]);
	return slow_number(p, end);
}

static bool
slow_valid(const char *in, size_t len)
{
	const char *end = in + len, *p = slow_blanks(slow_value(slow_blanks(in, end), end, 0), end);
	return p == end;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const char *in = (const char *)data + 1;
	size_t len = size - 1;
	bool separators = data[0] & 0x80;
	struct result whole = scan(in, len, len ? len : 1, separators), pieces = scan(in, len, 1u + data[0] % 32, separators);
	assert(whole.bad == pieces.bad && whole.complete == pieces.complete && whole.error == pieces.error);
	assert(whole.events == pieces.events && whole.hash == pieces.hash);
	assert(whole.complete == slow_valid(in, len));
	return 0;
}
