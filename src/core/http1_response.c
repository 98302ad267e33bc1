#include "core/http1_priv.h"

#include "core/bytes_priv.h"

#include <string.h>

/*
 * HTTP-version SP status-code SP [ reason-phrase ]. The SP before an absent reason is often left out; nothing
 * hangs on it. 101 is refused where nobody asked for an upgrade: what follows it would not be HTTP.
 */
static enum http1_error
status_line(const char *p, const char *end, struct http1_head *h, const char **ret_next)
{
	if (end - p < 14)
		return HTTP1_E_BAD_STATUS_LINE;
	if (http1_version(p, &h->minor_version) != HTTP1_E_OK || p[8] != ' ')
		return HTTP1_E_BAD_STATUS_LINE;
	unsigned status = 0;
	for (int i = 9; i < 12; i++) {
		if (!http1_is(p[i], HTTP1_CHAR_DIGIT))
			return HTTP1_E_BAD_STATUS_LINE;
		status = status * 10 + (unsigned)(p[i] - '0');
	}
	if (status < 100 || status > 599 || (p[12] != ' ' && p[12] != '\r'))
		return HTTP1_E_BAD_STATUS_LINE;
	p = bytes_find_value_end(p + 12, end);
	if (*p != '\r' || p[1] != '\n')
		return HTTP1_E_BAD_STATUS_LINE;
	h->status = (uint16_t)status;
	*ret_next = p + 2;
	return HTTP1_E_OK;
}

/* RFC 9112 6.3. A 1xx or 204 that announces a body contradicts itself: its bytes would be taken for the next answer. */
static enum http1_error
response_body(struct http1_head *h, enum http1_asked asked)
{
	bool never = h->status < 200 || h->status == 204;
	if (never && h->chunked)
		return HTTP1_E_BAD_CODING;
	if (never && h->content_length)
		return HTTP1_E_BAD_LENGTH;
	if (never || h->status == 304 || asked == HTTP1_ASKED_HEAD) {
		h->chunked = false;
		h->has_length = true;
		h->content_length = 0;
	} else if (!h->chunked && !h->has_length) {
		h->until_close = true;
		h->keep_alive = false;
	}
	return HTTP1_E_OK;
}

static enum http1_error
response_parse(const char *buf, size_t end, enum http1_asked asked, struct http1_head *h)
{
	struct http1_seen seen;
	const char *next = buf;
	enum http1_error e = status_line(buf, buf + end, h, &next);
	if (e == HTTP1_E_OK && h->status == 101 && asked != HTTP1_ASKED_WEBSOCKET)
		e = HTTP1_E_BAD_STATUS_LINE;
	if (e == HTTP1_E_OK)
		e = http1_fields_parse(buf, (size_t)(next - buf), end, h, &seen);
	if (e == HTTP1_E_OK)
		e = http1_framing(h, &seen);
	h->websocket = e == HTTP1_E_OK && h->status == 101 && http1_is_websocket(h, &seen);
	return e == HTTP1_E_OK ? response_body(h, asked) : e;
}

enum http1_result
http1_response_parse(const char *buf, size_t len, size_t *scanned, enum http1_asked asked, struct http1_head *ret,
	enum http1_error *ret_error)
{
	size_t end = 0;
	if (len == 0)
		return HTTP1_MORE;
	if (buf[0] != 'H') {
		*ret_error = HTTP1_E_BAD_STATUS_LINE; /* left-over body bytes: don't wait for more of them */
		return HTTP1_BAD;
	}
	enum http1_result r = http1_head_end(buf, len, scanned, &end);
	if (r == HTTP1_MORE)
		return r;
	if (r == HTTP1_BAD) {
		*ret_error = http1_in_first_line(buf, end) ? HTTP1_E_BAD_STATUS_LINE : HTTP1_E_BAD_FIELD;
		return r;
	}
	if (end > UINT32_MAX) {
		*ret_error = HTTP1_E_HEAD_TOO_LARGE;
		return HTTP1_BAD;
	}
	memset(ret, 0, offsetof(struct http1_head, fields));
	ret->base = buf;
	ret->bytes = (uint32_t)end;
	enum http1_error e = response_parse(buf, end, asked, ret);
	if (e == HTTP1_E_OK)
		return HTTP1_DONE;
	*ret_error = e;
	return HTTP1_BAD;
}
