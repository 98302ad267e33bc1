#include "core/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct outcome {
	enum http1_result result;
	enum http1_error error;
	struct http1_head head;
};

enum kind {
	REQUEST,
	RESPONSE,
	RESPONSE_TO_HEAD,
};

static enum http1_result
parse(enum kind kind, const char *buf, size_t len, size_t *scanned, struct outcome *o)
{
	if (kind == REQUEST)
		return http1_request_parse(buf, len, scanned, &o->head, &o->error);
	return http1_response_parse(buf, len, scanned, kind == RESPONSE_TO_HEAD, &o->head, &o->error);
}

/*
 * Parse at once, and again as if each byte came alone; both must say the same. The bytes stand at the end of
 * an exact allocation.
 */
static struct outcome
parse_both_ways(enum kind kind, const char *text, size_t len)
{
	struct outcome whole = {0}, grown = {0};
	size_t scanned = 0;
	char *buf = malloc(len ? len : 1);
	memcpy(buf, text, len);
	whole.result = parse(kind, buf, len, &scanned, &whole);
	scanned = 0;
	for (size_t n = 0; n <= len && grown.result == HTTP1_MORE; n++)
		grown.result = parse(kind, buf, n, &scanned, &grown);
	assert_int_equal(whole.result, grown.result);
	assert_int_equal(whole.error, grown.error);
	if (whole.result == HTTP1_DONE) {
		assert_int_equal(whole.head.bytes, grown.head.bytes);
		assert_int_equal(whole.head.field_count, grown.head.field_count);
		whole.head.base = text; /* buf is gone when the caller looks */
		if (whole.head.target.at >= buf && whole.head.target.at < buf + len)
			whole.head.target.at = text + (whole.head.target.at - buf);
	}
	free(buf);
	return whole;
}

struct refused {
	enum http1_error error;
	const char *bytes;
	size_t len;
};
#define REFUSED(error, bytes) \
	{ \
		HTTP1_E_##error, (bytes), sizeof(bytes) - 1 \
	}

static void
assert_refused(enum kind kind, const struct refused *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct outcome o = parse_both_ways(kind, table[i].bytes, table[i].len);
		if (o.result != HTTP1_BAD || o.error != table[i].error)
			print_error("row %zu: result %d, error %d instead of %d:\n%s\n", i, o.result, o.error, table[i].error, table[i].bytes);
		assert_int_equal(o.result, HTTP1_BAD);
		assert_int_equal(o.error, table[i].error);
	}
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct refused bad_requests[] = {
	/* start line */
	REFUSED(BAD_START_LINE, "\x16\x03\x01\x02"),
	REFUSED(BAD_START_LINE, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / \r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / a HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / http/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET / HTTPS/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_START_LINE, "GET\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_VERSION, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_VERSION, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_VERSION, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_METHOD, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_METHOD, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
	REFUSED(BAD_METHOD, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_METHOD, "POSTS / HTTP/1.1\r\nHost: a\r\n\r\n"),
	/* target */
	REFUSED(BAD_TARGET, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /?#f HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /a\x80 HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /[a] HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /% HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /%1 HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(BAD_TARGET, "GET http://a:/ HTTP/1.1\r\nHost: a:\r\n\r\n"),
	/* host */
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
	REFUSED(BAD_HOST, GET "Host: a\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a,b\xff\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
	REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [g]\r\n\r\n"),
	REFUSED(BAD_HOST, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
	REFUSED(BAD_HOST, "GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
	REFUSED(BAD_HOST, "GET http://a/ HTTP/1.0\r\n\r\n"),
	/* fields */
	REFUSED(BAD_FIELD, GET "a\r\n\r\n"),
	REFUSED(BAD_FIELD, GET ": a\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a : b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a\t: b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET " a: b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\r\n c\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\r\n\tc\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\n\n"),
	REFUSED(BAD_FIELD, GET "\n"),
	REFUSED(BAD_FIELD, GET "a: b\rc\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\r\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\0c\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: b\x0b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a: 0123456789012345678901234567890123456789b\x7f\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a\0: b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a\xe9: b\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a\r\nb: c\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "a[b]: c\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "Connection: close; x\r\n\r\n"),
	REFUSED(BAD_FIELD, GET "Connection: close \xff\r\n\r\n"),
	REFUSED(REPEATED_FIELD, POST "Content-Type: a\r\ncontent-type: a\r\n\r\n"),
	REFUSED(REPEATED_FIELD, GET "Authorization: a\r\nX: y\r\nAuthorization: b\r\n\r\n"),
	REFUSED(REPEATED_FIELD, GET "x-api-key: a\r\nx-api-key: b\r\n\r\n"),
	/* length */
	REFUSED(BAD_LENGTH, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1\r\ncontent-length: 2\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length:\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: +1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: -1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 0x1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1_0\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 010\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 00\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1Z\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1, 1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1 1\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 1.0\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 18446744073709551617\r\n\r\n"),
	REFUSED(BAD_LENGTH, POST "Content-Length: 10000000000000000000\r\n\r\n"),
	/* coding */
	REFUSED(BAD_CODING, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding:\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: ,chunked\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked,\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked;ext=v\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: chunked\x80\r\n\r\n"),
	REFUSED(BAD_CODING, POST "Transfer-Encoding: \xa0"
							 "chunked\r\n\r\n"),
	REFUSED(BAD_FIELD, POST "Transfer-Encoding: \x0b"
							"chunked\r\n\r\n"),
	REFUSED(BAD_FIELD, POST "Transfer-Encoding : chunked\r\n\r\n"),
	REFUSED(BAD_FIELD, POST "Transfer-Encoding\r\n : chunked\r\n\r\n"),
	REFUSED(BAD_FIELD, POST "Transfer-Encoding:\r\n chunked\r\n\r\n"),
	REFUSED(BAD_FIELD, POST "Transfer\xc4\xb0-Encoding: chunked\r\n\r\n"),
	REFUSED(UNKNOWN_CODING, POST "Transfer-Encoding: xchunked\r\n\r\n"),
	REFUSED(UNKNOWN_CODING, POST "Transfer-Encoding: chunkedchunked\r\n\r\n"),
	REFUSED(UNKNOWN_CODING, POST "Transfer-Encoding: gzip\r\n\r\n"),
	REFUSED(UNKNOWN_CODING, POST "Transfer-Encoding: identity\r\n\r\n"),
	REFUSED(BAD_CODING, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	/* expectations and upgrades */
	REFUSED(BAD_EXPECT, POST "Expect: 200-ok\r\n\r\n"),
	REFUSED(BAD_EXPECT, POST "Expect: 100-continue, x\r\n\r\n"),
	REFUSED(BAD_EXPECT, POST "Expect:\r\n\r\n"),
	REFUSED(BAD_EXPECT, POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: Upgrade\r\nUpgrade: websocket/13\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Connection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, POST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	REFUSED(UNEXPECTED_UPGRADE, GET "Upgrade: h2c\r\nConnection: HTTP2-Settings\r\nConnection: upgrade\r\n\r\n"),
};

static void
ambiguous_requests_are_refused(void **state)
{
	assert_refused(REQUEST, bad_requests, ARRAY_LEN(bad_requests));
}

/* A control byte, DEL, or a byte that is no token in a name; anywhere in a request each of them is refused. */
static void
no_control_byte_gets_through(void **state)
{
	static const char good[] = "POST /v1/x HTTP/1.1\r\nHost: api.example\r\nA-b: some value 0123456789\r\nContent-Length: 3\r\n\r\n";
	for (int c = 0; c < 0x20; c++)
		for (size_t at = 0; at < sizeof good - 1; at++) {
			char bad[sizeof good];
			memcpy(bad, good, sizeof good);
			if (c == good[at] || c == '\t' || ((c == '\r' || c == '\n') && (good[at] == '\r' || good[at] == '\n')))
				continue;
			bad[at] = (char)c;
			struct outcome o = parse_both_ways(REQUEST, bad, sizeof good - 1);
			if (o.result == HTTP1_DONE)
				print_error("byte %02x at %zu\n", c, at);
			assert_int_not_equal(o.result, HTTP1_DONE);
		}
}

static void
assert_field(const struct http1_head *h, size_t i, const char *name, const char *value, enum http1_field_id id)
{
	struct span n = http1_field_name(h, &h->fields[i]), v = http1_field_value(h, &h->fields[i]);
	assert_int_equal(n.len, strlen(name));
	assert_memory_equal(n.at, name, n.len);
	assert_int_equal(v.len, strlen(value));
	assert_memory_equal(v.at, value, v.len);
	assert_int_equal(h->fields[i].id, id);
}

static void
a_request_is_taken_apart(void **state)
{
	static const char text[] = "\r\nPOST /v1/chat/completions?a=%20b[]={|}^ HTTP/1.1\r\nHost: Api.Example:8080\r\nX-Empty:\r\nx-blank: \t \r\n"
							   "AUTHORIZATION:Bearer k \t\r\nContent-Length: 9223372036854775807\r\nX-Obs: caf\xe9\tok\r\n\r\nrest";
	struct outcome o = parse_both_ways(REQUEST, text, sizeof text - 1);
	assert_int_equal(o.result, HTTP1_DONE);
	assert_int_equal(o.head.method, HTTP1_POST);
	assert_int_equal(o.head.minor_version, 1);
	assert_true(o.head.keep_alive && o.head.has_length && !o.head.chunked && !o.head.until_close && !o.head.expect_continue);
	assert_true(o.head.content_length == INT64_MAX);
	assert_int_equal(o.head.bytes, sizeof text - 1 - 4);
	assert_int_equal(o.head.target.len, strlen("/v1/chat/completions?a=%20b[]={|}^"));
	assert_memory_equal(o.head.target.at, "/v1/chat/completions?a=%20b[]={|}^", o.head.target.len);
	assert_int_equal(o.head.field_count, 6);
	assert_field(&o.head, 0, "Host", "Api.Example:8080", HTTP1_HOST);
	assert_field(&o.head, 1, "X-Empty", "", HTTP1_FIELD_OTHER);
	assert_field(&o.head, 2, "x-blank", "", HTTP1_FIELD_OTHER);
	assert_field(&o.head, 3, "AUTHORIZATION", "Bearer k", HTTP1_AUTHORIZATION);
	assert_field(&o.head, 5, "X-Obs", "caf\xe9\tok", HTTP1_FIELD_OTHER);
	assert_ptr_equal(http1_field_find(&o.head, HTTP1_HOST), &o.head.fields[0]);
	assert_null(http1_field_find(&o.head, HTTP1_COOKIE));
}

static void
to_upper(char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] >= 'a' && at[i] <= 'z')
			at[i] = (char)(at[i] - 0x20);
}

static void
every_known_field_is_recognised(void **state)
{
	static const char *const names[] = {
#define X(id, name) [HTTP1_##id] = name,
		HTTP1_KNOWN_FIELDS(X)
#undef X
	};
	for (enum http1_field_id id = 1; id < HTTP1_FIELD_COUNT; id++)
		for (int change = 0; change < 3; change++) {
			char text[128] = "HTTP/1.1 200 OK\r\n";
			size_t at = strlen(text), len = strlen(names[id]);
			memcpy(text + at, names[id], len);
			if (change == 1)
				to_upper(text + at, len);
			if (change == 2)
				text[at + len - 1] ^= 1; /* a neighbour of its last letter */
			strcat(text, id == HTTP1_CONTENT_LENGTH ? ": 1\r\n\r\n" : id == HTTP1_TRANSFER_ENCODING ? ": chunked\r\n\r\n"
																									: ": x\r\n\r\n");
			struct outcome o = parse_both_ways(RESPONSE, text, strlen(text));
			assert_int_equal(o.result, HTTP1_DONE);
			assert_int_equal(o.head.fields[0].id, change == 2 ? HTTP1_FIELD_OTHER : id);
		}
}

static void
targets_are_reduced_to_origin_form(void **state)
{
	static const struct {
		const char *line, *host, *target;
	} rows[] = {
		{"GET http://a HTTP/1.1", "a", "/"},
		{"GET HTTP://A:80/x?y HTTP/1.1", "a:80", "/x?y"},
		{"GET https://[2001:db8::1]:443/ HTTP/1.1", "[2001:DB8::1]:443", "/"},
		{"OPTIONS * HTTP/1.1", "a", "*"},
		{"GET //a/../b;c=d:@!$&'()*+, HTTP/1.1", "a", "//a/../b;c=d:@!$&'()*+,"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256] = "";
		strcat(strcat(strcat(strcat(text, rows[i].line), "\r\nHost: "), rows[i].host), "\r\n\r\n");
		struct outcome o = parse_both_ways(REQUEST, text, strlen(text));
		assert_int_equal(o.result, HTTP1_DONE);
		assert_int_equal(o.head.target.len, strlen(rows[i].target));
		assert_memory_equal(o.head.target.at, rows[i].target, o.head.target.len);
	}
}

static void
a_long_target_is_refused_as_such(void **state)
{
	static char text[9000] = "GET /";
	memset(text + 5, 'a', 8191);
	strcat(text, " HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(parse_both_ways(REQUEST, text, strlen(text)).result, HTTP1_DONE);
	memset(text + 5, 'a', 8192);
	memcpy(text + 5 + 8192, " HTTP/1.1\r\nHost: a\r\n\r\n", 23);
	assert_int_equal(parse_both_ways(REQUEST, text, strlen(text)).error, HTTP1_E_TARGET_TOO_LONG);
}

static void
a_hundred_fields_are_the_limit(void **state)
{
	char text[2048] = "GET / HTTP/1.1\r\nHost: a\r\n";
	for (int i = 1; i < HTTP1_FIELDS_MAX; i++)
		strcat(text, "a: b\r\n");
	size_t len = strlen(text);
	strcat(text, "\r\n");
	assert_int_equal(parse_both_ways(REQUEST, text, len + 2).head.field_count, HTTP1_FIELDS_MAX);
	memcpy(text + len, "a: b\r\n\r\n", 9);
	assert_int_equal(parse_both_ways(REQUEST, text, len + 8).error, HTTP1_E_TOO_MANY_FIELDS);
}

static void
connection_options_decide_about_reuse(void **state)
{
	static const struct {
		const char *head;
		bool keep_alive, expect;
	} rows[] = {
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", false, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive ,, close\r\n\r\n", false, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", true, false},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", true, false},
		{"GET / HTTP/1.0\r\n\r\n", false, false},
		{"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true, false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true, true},
		{"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome o = parse_both_ways(REQUEST, rows[i].head, strlen(rows[i].head));
		assert_int_equal(o.result, HTTP1_DONE);
		assert_int_equal(o.head.keep_alive, rows[i].keep_alive);
		assert_int_equal(o.head.expect_continue, rows[i].expect);
	}
}

#define OK200 "HTTP/1.1 200 OK\r\n"

static void
responses_tell_where_their_body_ends(void **state)
{
	static const struct {
		const char *head;
		enum kind kind;
		uint16_t status;
		bool keep_alive, chunked, has_length, until_close;
		uint64_t length;
	} rows[] = {
		{OK200 "Content-Length: 5\r\n\r\n", RESPONSE, 200, true, false, true, false, 5},
		{OK200 "Transfer-Encoding: Chunked\r\n\r\n", RESPONSE, 200, true, true, false, false, 0},
		{OK200 "\r\n", RESPONSE, 200, false, false, false, true, 0},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", RESPONSE, 200, true, false, true, false, 0},
		{"HTTP/1.0 404 \r\n\r\n", RESPONSE, 404, false, false, false, true, 0},
		{"HTTP/1.1 599\r\nContent-Length: 1\r\n\r\n", RESPONSE, 599, true, false, true, false, 1},
		{"HTTP/1.1 100 Continue\r\n\r\n", RESPONSE, 100, true, false, true, false, 0},
		{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", RESPONSE, 103, true, false, true, false, 0},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", RESPONSE, 204, true, false, true, false, 0},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", RESPONSE, 304, true, false, true, false, 0},
		{OK200 "Content-Length: 77\r\n\r\n", RESPONSE_TO_HEAD, 200, true, false, true, false, 0},
		{OK200 "Transfer-Encoding: chunked\r\n\r\n", RESPONSE_TO_HEAD, 200, true, false, true, false, 0},
		{OK200 "Upgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\n", RESPONSE, 200, true, false, true, false, 1},
		{"HTTP/1.1 200 caf\xe9 \t ok\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", RESPONSE, 200, false, false, true, false, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome o = parse_both_ways(rows[i].kind, rows[i].head, strlen(rows[i].head));
		assert_int_equal(o.result, HTTP1_DONE);
		assert_int_equal(o.head.status, rows[i].status);
		assert_int_equal(o.head.keep_alive, rows[i].keep_alive);
		assert_int_equal(o.head.chunked, rows[i].chunked);
		assert_int_equal(o.head.has_length, rows[i].has_length);
		assert_int_equal(o.head.until_close, rows[i].until_close);
		assert_int_equal(o.head.content_length, rows[i].length);
	}
}

static void
ambiguous_responses_are_refused(void **state)
{
	static const struct refused rows[] = {
		REFUSED(BAD_STATUS_LINE, "data: left over"),
		REFUSED(BAD_STATUS_LINE, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/2 200 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.2 200 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1  200 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 20 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 2000 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 099 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 600 OK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 200\tOK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 200 O\x01K\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 200 O\rK\r\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "HTTP/1.1 200 OK\n\r\n"),
		REFUSED(BAD_STATUS_LINE, "H\r\n\r\n"),
		REFUSED(BAD_FIELD, OK200 "a: b\n\r\n"),
		REFUSED(BAD_FIELD, OK200 "a: b\r\n c\r\n\r\n"),
		REFUSED(BAD_CODING, OK200 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
		REFUSED(BAD_CODING, OK200 "Transfer-Encoding: chunked, gzip\r\n\r\n"),
		REFUSED(UNKNOWN_CODING, OK200 "Transfer-Encoding: gzip\r\n\r\n"),
		REFUSED(BAD_CODING, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		REFUSED(BAD_CODING, "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
		REFUSED(BAD_LENGTH, "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"),
		REFUSED(BAD_LENGTH, "HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n"),
		REFUSED(BAD_LENGTH, OK200 "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
	};
	assert_refused(RESPONSE, rows, ARRAY_LEN(rows));
	assert_int_equal(parse_both_ways(RESPONSE_TO_HEAD, OK200 "Content-Length: x\r\n\r\n", 38).error, HTTP1_E_BAD_LENGTH);
}

/* ---- chunked bodies ---- */

struct body {
	enum http1_result result;
	char data[256];
	size_t data_len, consumed;
};

static struct body
decode(const char *in, size_t len, size_t step)
{
	struct http1_chunked c;
	struct body b = {HTTP1_MORE, {0}, 0, 0};
	http1_chunked_init(&c);
	while (b.result == HTTP1_MORE && b.consumed < len) {
		size_t n = len - b.consumed < step ? len - b.consumed : step, consumed;
		struct span data;
		b.result = http1_chunked_feed(&c, in + b.consumed, n, &consumed, &data);
		assert_true(consumed <= n);
		b.consumed += consumed;
		assert_true(b.data_len + data.len <= sizeof b.data);
		if (b.result == HTTP1_MORE) {
			memcpy(b.data + b.data_len, data.at, data.len);
			b.data_len += data.len;
			assert_true(consumed > 0);
		} else
			assert_int_equal(data.len, 0);
	}
	return b;
}

static struct body
decode_every_way(const char *in, size_t len)
{
	struct body whole = decode(in, len, len);
	for (size_t step = 1; step < len; step++) {
		struct body b = decode(in, len, step);
		assert_int_equal(b.result, whole.result);
		assert_int_equal(b.data_len, whole.data_len);
		assert_int_equal(b.consumed, whole.consumed);
		assert_memory_equal(b.data, whole.data, whole.data_len);
	}
	return whole;
}

static void
chunks_are_joined(void **state)
{
	static const struct {
		const char *in, *data;
		size_t rest;
	} rows[] = {
		{"0\r\n\r\n", "", 0},
		{"5\r\nhello\r\n0\r\n\r\nGET", "hello", 3},
		{"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world", 0},
		{"A;x\r\n0123456789\r\na;x=y;z=\"q\\\"\t;\r\"\r\n", NULL, 0},
		{"A;x\r\n0123456789\r\n0a;x=y;z=\"q\\\"\t;\"\r\n0123456789\r\n0;a=b\r\nTrailer: x\r\nA-b:\r\n\r\n!", "01234567890123456789", 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct body b = decode_every_way(rows[i].in, strlen(rows[i].in));
		assert_int_equal(b.result, rows[i].data ? HTTP1_DONE : HTTP1_BAD);
		if (!rows[i].data)
			continue;
		assert_int_equal(b.data_len, strlen(rows[i].data));
		assert_memory_equal(b.data, rows[i].data, b.data_len);
		assert_int_equal(strlen(rows[i].in) - b.consumed, rows[i].rest);
	}
}

static void
malformed_chunks_are_refused(void **state)
{
	static const struct span rows[] = {
		{"\r\n", 2},
		{" 5\r\n", 4},
		{"5 \r\n", 4},
		{"5\t;a\r\n", 6},
		{"0x5\r\n", 5},
		{"+5\r\n", 4},
		{"-1\r\n", 4},
		{"g\r\n", 3},
		{"5_0\r\n", 5},
		{"5\n", 2},
		{"5\rx", 3},
		{"5;\r\n", 4},
		{"5;\n", 3},
		{"5;a\n", 4},
		{"5;a\rb", 5},
		{"5; a\r\n", 6},
		{"5;=b\r\n", 6},
		{"5;a=\r\n", 6},
		{"5;a=b=c\r\n", 9},
		{"5;a=\"\n\"\r\n", 9},
		{"5;a=\"b\"c\r\n", 10},
		{"5;a=\"\\\r\"\r\n", 10},
		{"5;a\0\r\n", 6},
		{"11111111111111111\r\n", 19},
		{"00000000000000000\r\n", 19},
		{"1\r\nab", 5},
		{"1\r\na\n", 5},
		{"1\r\na\rb", 6},
		{"1\r\na\r\n\r\n", 8},
		{"1\r\naa\r\n", 7},
		{"0\r\n\n", 4},
		{"0\r\n a: b\r\n", 10},
		{"0\r\na b: c\r\n", 11},
		{"0\r\na: \x01\r\n", 10},
		{"0\r\na: b\n", 8},
		{"0\r\na: b\rc", 9},
		{"0\r\n\r\r", 5},
		{"0\r\n: b\r\n", 8},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct body b = decode_every_way(rows[i].at, rows[i].len);
		if (b.result != HTTP1_BAD)
			print_error("row %zu\n", i);
		assert_int_equal(b.result, HTTP1_BAD);
	}
}

static void
extensions_and_trailers_have_limits(void **state)
{
	static char text[9000];
	memcpy(text, "1;", 2);
	memset(text + 2, 'a', 255);
	memcpy(text + 257, "\r\nx", 4);
	assert_int_equal(decode(text, 260, 260).data_len, 1);
	memset(text + 2, 'a', 257);
	assert_int_equal(decode(text, 259, 259).result, HTTP1_BAD);
	memcpy(text, "0\r\na:", 5);
	memset(text + 5, 'b', 8184);
	memcpy(text + 5 + 8184, "\r\n\r\n", 4);
	assert_int_equal(decode(text, 5 + 8184 + 4, 9000).result, HTTP1_DONE);
	memset(text + 5, 'b', 8200);
	memcpy(text + 5 + 8200, "\r\n\r\n", 4);
	assert_int_equal(decode(text, 5 + 8200 + 4, 9000).result, HTTP1_BAD);
}

static void
what_means_something_in_a_head_is_no_trailer_of_a_request(void **state)
{
	static const struct {
		const char *in;
		enum http1_result request;
	} rows[] = {
		{"0\r\nContent-Length: 5\r\n\r\n", HTTP1_BAD},
		{"0\r\ntransfer-encoding:chunked\r\n\r\n", HTTP1_BAD},
		{"0\r\nX-More: 1\r\nHOST: b\r\n\r\n", HTTP1_BAD},
		{"0\r\nte: trailers\r\n\r\n", HTTP1_BAD},
		{"0\r\nt: x\r\n\r\n", HTTP1_DONE},
		{"0\r\nHosts: b\r\nHos: b\r\n\r\n", HTTP1_DONE},
		{"0\r\nTransfer-Encodings: chunked\r\n\r\n", HTTP1_DONE},
		{"0\r\nX-A-Name-That-Is-Longer-Than-All-That-Are-Known: host\r\n\r\n", HTTP1_DONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step <= strlen(rows[i].in); step++)
			for (int of_request = 0; of_request < 2; of_request++) {
				enum http1_result result = HTTP1_MORE;
				struct http1_chunked c;
				struct span data;
				size_t len = strlen(rows[i].in), took;
				http1_chunked_init(&c);
				c.of_request = of_request;
				for (size_t at = 0; at < len && result == HTTP1_MORE; at += took)
					result = http1_chunked_feed(&c, rows[i].in + at, len - at < step ? len - at : step, &took, &data);
				assert_int_equal(result, of_request ? rows[i].request : HTTP1_DONE);
			}
}

static void
an_ended_body_takes_nothing_more(void **state)
{
	struct http1_chunked c;
	struct span data;
	size_t consumed;
	http1_chunked_init(&c);
	assert_int_equal(http1_chunked_feed(&c, "0\r\n\r\n", 5, &consumed, &data), HTTP1_DONE);
	assert_int_equal(http1_chunked_feed(&c, "0\r\n\r\n", 5, &consumed, &data), HTTP1_DONE);
	assert_int_equal(consumed, 0);
	http1_chunked_init(&c);
	assert_int_equal(http1_chunked_feed(&c, "x", 1, &consumed, &data), HTTP1_BAD);
	assert_int_equal(http1_chunked_feed(&c, "0\r\n\r\n", 5, &consumed, &data), HTTP1_BAD);
	assert_int_equal(consumed, 0);
}

static void
a_websocket_is_asked_for_and_agreed_to(void **state)
{
	static const struct {
		const char *text;
		bool response;
		enum http1_asked asked;
		enum http1_result result;
		bool websocket;
	} rows[] = {
		{GET "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", false, HTTP1_ASKED, HTTP1_DONE, true},
		{GET "Connection: Upgrade\r\n\r\n", false, HTTP1_ASKED, HTTP1_DONE, false},
		{GET "Upgrade: websocket\r\n\r\n", false, HTTP1_ASKED, HTTP1_DONE, false},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true, HTTP1_ASKED_WEBSOCKET, HTTP1_DONE, true},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true, HTTP1_ASKED, HTTP1_BAD, false},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", true, HTTP1_ASKED_WEBSOCKET, HTTP1_DONE, false},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true, HTTP1_ASKED_WEBSOCKET, HTTP1_DONE, false},
		{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", true, HTTP1_ASKED_WEBSOCKET, HTTP1_BAD, false},
		{"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", true, HTTP1_ASKED_WEBSOCKET, HTTP1_DONE, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http1_head h;
		enum http1_error error;
		size_t scanned = 0, len = strlen(rows[i].text);
		enum http1_result r = rows[i].response ? http1_response_parse(rows[i].text, len, &scanned, rows[i].asked, &h, &error)
											   : http1_request_parse(rows[i].text, len, &scanned, &h, &error);
		assert_int_equal(r, rows[i].result);
		if (r == HTTP1_DONE)
			assert_int_equal(h.websocket, rows[i].websocket);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ambiguous_requests_are_refused),
		cmocka_unit_test(no_control_byte_gets_through),
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(every_known_field_is_recognised),
		cmocka_unit_test(targets_are_reduced_to_origin_form),
		cmocka_unit_test(a_long_target_is_refused_as_such),
		cmocka_unit_test(a_hundred_fields_are_the_limit),
		cmocka_unit_test(connection_options_decide_about_reuse),
		cmocka_unit_test(responses_tell_where_their_body_ends),
		cmocka_unit_test(ambiguous_responses_are_refused),
		cmocka_unit_test(chunks_are_joined),
		cmocka_unit_test(malformed_chunks_are_refused),
		cmocka_unit_test(extensions_and_trailers_have_limits),
		cmocka_unit_test(what_means_something_in_a_head_is_no_trailer_of_a_request),
		cmocka_unit_test(an_ended_body_takes_nothing_more),
		cmocka_unit_test(a_websocket_is_asked_for_and_agreed_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
