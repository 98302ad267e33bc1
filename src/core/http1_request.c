#include "core/http1_priv.h"

#include "core/bytes_priv.h"

#include <string.h>

static enum http1_method
method_of(const char *at, size_t len)
{
#define X(m) \
	if (len == sizeof(#m) - 1 && !memcmp(at, #m, sizeof(#m) - 1)) \
		return HTTP1_##m;
	HTTP1_METHODS(X)
#undef X
	return HTTP1_METHOD_OTHER;
}

static inline const char *
skip_chars(const char *p, unsigned class)
{
	for (;;) {
		while (http1_is(*p, class))
			p++;
		if (*p != '%' || !http1_is(p[1], HTTP1_CHAR_HEX) || !http1_is(p[2], HTTP1_CHAR_HEX))
			return p;
		p += 3;
	}
}

/* 1 to 5 digits, at most 65535, up to the end. */
static bool
port_valid(const char *p, const char *end)
{
	unsigned port = 0;
	if (p == end || end - p > 5)
		return false;
	for (; p < end; p++) {
		if (!http1_is(*p, HTTP1_CHAR_DIGIT))
			return false;
		port = port * 10 + (unsigned)(*p - '0');
	}
	return port <= 65535;
}

/* uri-host [ ":" port ] (RFC 9110 7.2), neither part empty; no percent-encoding: nobody's host name needs it. */
static bool
authority_valid(struct span a)
{
	const char *p = a.at, *end = a.at + a.len;
	if (p < end && *p == '[') {
		for (p++; p < end && (http1_is(*p, HTTP1_CHAR_HEX) || *p == ':' || *p == '.');)
			p++;
		if (p == end || *p != ']' || p == a.at + 1)
			return false;
		p++;
	} else {
		while (p < end && http1_is(*p, HTTP1_CHAR_HOST))
			p++;
		if (p == a.at)
			return false;
	}
	return p == end || (*p == ':' && port_valid(p + 1, end));
}

/* The length of "http://" or "https://" at p, or 0. The head's end stops every comparison before the buffer's. */
static size_t
scheme_length(const char *p)
{
	if (bytes_equal_nocase(p, "http://", 7))
		return 7;
	return bytes_equal_nocase(p, "https://", 8) ? 8 : 0;
}

struct request_line {
	struct span authority; /* of an absolute-form target */
	const char *end; /* the SP after the target */
};

static bool
absolute_form(const char *p, struct http1_head *h, struct request_line *line)
{
	size_t scheme = scheme_length(p);
	if (!scheme)
		return false;
	const char *start = p += scheme;
	while (http1_is(*p, HTTP1_CHAR_HOST) || *p == ':' || *p == '[' || *p == ']')
		p++;
	line->authority = (struct span){start, (size_t)(p - start)};
	if (!authority_valid(line->authority))
		return false;
	if (*p == ' ') {
		h->target = SPAN("/"); /* RFC 9112 3.2.1: an empty path is sent as "/" */
		line->end = p;
		return true;
	}
	h->target.at = p;
	return *p == '/';
}

/* Sets h->target and line->end. */
static bool
target_parse(const char *p, struct http1_head *h, struct request_line *line)
{
	if (*p == '*') {
		h->target = (struct span){p, 1};
		line->end = p + 1;
		return h->method == HTTP1_OPTIONS && p[1] == ' ';
	}
	h->target.at = p;
	if (*p != '/' && !absolute_form(p, h, line))
		return false;
	if (line->end)
		return true;
	p = skip_chars(h->target.at, HTTP1_CHAR_PATH);
	if (*p == '?')
		p = skip_chars(p + 1, HTTP1_CHAR_QUERY);
	h->target.len = (size_t)(p - h->target.at);
	line->end = p;
	return *p == ' ';
}

/*
 * Parses the line at p; *ret_next is the offset of the first field. Reads no further than the head's final
 * empty line.
 */
static enum http1_error
request_line(const char *p, struct http1_head *h, struct request_line *line, const char **ret_next)
{
	const char *start = p;
	while (http1_is(*p, HTTP1_CHAR_TOKEN))
		p++;
	if (p == start || *p != ' ')
		return HTTP1_E_BAD_START_LINE;
	h->method = method_of(start, (size_t)(p - start));
	if (h->method == HTTP1_METHOD_OTHER)
		return HTTP1_E_BAD_METHOD;
	p++;
	bool good = target_parse(p, h, line);
	if (line->end && line->end - p > HTTP1_TARGET_MAX)
		return HTTP1_E_TARGET_TOO_LONG;
	if (!good)
		return HTTP1_E_BAD_TARGET;
	const char *version = line->end + 1;
	const char *cr = bytes_find_line_end(version, version + 9);
	if (cr != version + 8 || cr[0] != '\r' || cr[1] != '\n')
		return HTTP1_E_BAD_START_LINE;
	*ret_next = cr + 2;
	return http1_version(version, &h->minor_version);
}

static enum http1_error
check_host(const struct http1_head *h, const struct http1_seen *seen, const struct request_line *line)
{
	if (!http1_has(seen, HTTP1_HOST))
		return h->minor_version == 0 && !line->authority.len ? HTTP1_E_OK : HTTP1_E_BAD_HOST;
	struct span host = http1_field_value(h, http1_field_find(h, HTTP1_HOST));
	if (!authority_valid(host))
		return HTTP1_E_BAD_HOST;
	if (!line->authority.len)
		return HTTP1_E_OK;
	if (host.len != line->authority.len)
		return HTTP1_E_BAD_HOST;
	for (size_t i = 0; i < host.len; i++)
		if ((host.at[i] | 0x20) != (line->authority.at[i] | 0x20))
			return HTTP1_E_BAD_HOST; /* both are known to hold no byte that |0x20 could confuse */
	return HTTP1_E_OK;
}

static enum http1_error
check_expect(struct http1_head *h, const struct http1_seen *seen)
{
	if (!http1_has(seen, HTTP1_EXPECT))
		return HTTP1_E_OK;
	struct span v = http1_field_value(h, http1_field_find(h, HTTP1_EXPECT));
	if (v.len != 12 || !bytes_equal_nocase(v.at, "100-continue", 12))
		return HTTP1_E_BAD_EXPECT;
	h->expect_continue = h->minor_version > 0; /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
	return HTTP1_E_OK;
}

/* Who asks, and what the body is: of two values each reader along the way could choose another (RFC 9110 5.3). */
static enum http1_error
check_repeated(const struct http1_seen *seen)
{
#define BIT(id) UINT64_C(1) << HTTP1_##id
	static const uint64_t once = BIT(AUTHORIZATION) | BIT(X_API_KEY) | BIT(X_GOOG_API_KEY) | BIT(CONTENT_TYPE) | BIT(CONTENT_ENCODING) |
		BIT(ANTHROPIC_VERSION) | BIT(LETHE_LANE) | BIT(LETHE_MODEL) | BIT(LETHE_POLICY) | BIT(LETHE_RECEIPT) | BIT(LETHE_TRANSLATE);
#undef BIT
	return seen->again & once ? HTTP1_E_REPEATED_FIELD : HTTP1_E_OK;
}

/* A WebSocket is opened by a GET without a body (RFC 6455 4.1); who may, is for the edge to know. Nothing else is changed to. */
static enum http1_error
check_upgrade(struct http1_head *h, const struct http1_seen *seen)
{
	if (!seen->upgrade || !http1_has(seen, HTTP1_UPGRADE))
		return HTTP1_E_OK;
	h->websocket = h->method == HTTP1_GET && !h->chunked && !h->content_length && !h->expect_continue && http1_is_websocket(h, seen);
	return h->websocket ? HTTP1_E_OK : HTTP1_E_UNEXPECTED_UPGRADE;
}

static enum http1_error
request_parse(const char *buf, size_t end, struct http1_head *h)
{
	struct http1_seen seen;
	struct request_line line = {{NULL, 0}, NULL};
	const char *next = buf;
	size_t skip = buf[0] == '\r' && buf[1] == '\n' ? 2 : 0;
	enum http1_error e = request_line(buf + skip, h, &line, &next);
	if (e == HTTP1_E_OK)
		e = http1_fields_parse(buf, (size_t)(next - buf), end, h, &seen);
	if (e == HTTP1_E_OK)
		e = check_host(h, &seen, &line);
	if (e == HTTP1_E_OK)
		e = http1_framing(h, &seen);
	if (e == HTTP1_E_OK)
		e = check_repeated(&seen);
	if (e == HTTP1_E_OK)
		e = check_expect(h, &seen);
	return e == HTTP1_E_OK ? check_upgrade(h, &seen) : e;
}

enum http1_result
http1_request_parse(const char *buf, size_t len, size_t *scanned, struct http1_head *ret, enum http1_error *ret_error)
{
	size_t end = 0;
	if (len == 0)
		return HTTP1_MORE;
	if (!http1_is(buf[0], HTTP1_CHAR_TOKEN) && buf[0] != '\r') {
		*ret_error = HTTP1_E_BAD_START_LINE; /* TLS or noise: its empty line may never come */
		return HTTP1_BAD;
	}
	enum http1_result r = http1_head_end(buf, len, scanned, &end);
	if (r == HTTP1_MORE)
		return r;
	if (r == HTTP1_BAD) {
		*ret_error = http1_in_first_line(buf, end) ? HTTP1_E_BAD_START_LINE : HTTP1_E_BAD_FIELD;
		return r;
	}
	if (end > UINT32_MAX) {
		*ret_error = HTTP1_E_HEAD_TOO_LARGE;
		return HTTP1_BAD;
	}
	memset(ret, 0, offsetof(struct http1_head, fields));
	ret->base = buf;
	ret->bytes = (uint32_t)end;
	enum http1_error e = request_parse(buf, end, ret);
	if (e == HTTP1_E_OK)
		return HTTP1_DONE;
	*ret_error = e;
	return HTTP1_BAD;
}
