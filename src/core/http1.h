/*
 * HTTP/1.1 messages (RFC 9112), parsed strictly: what is ambiguous is refused, never repaired.
 *
 * Pure functions over bytes that the caller owns; spans point into the caller's buffer. Run by the edge; the provider simulator and
 * the load generator share them. No allocation.
 */
#ifndef CORE_HTTP1_H
#define CORE_HTTP1_H

#include "core/base.h"

#include <string.h>

enum { HTTP1_FIELDS_MAX = 100 };

/* Header fields that the edge or the parser itself must know; everything else is HTTP1_FIELD_OTHER. */
#define HTTP1_KNOWN_FIELDS(X) \
	X(ACCEPT, "accept") \
	X(ACCEPT_ENCODING, "accept-encoding") \
	X(ANTHROPIC_VERSION, "anthropic-version") \
	X(AUTHORIZATION, "authorization") \
	X(CONNECTION, "connection") \
	X(CONTENT_ENCODING, "content-encoding") \
	X(CONTENT_LENGTH, "content-length") \
	X(CONTENT_TYPE, "content-type") \
	X(COOKIE, "cookie") \
	X(DATE, "date") \
	X(EXPECT, "expect") \
	X(HOST, "host") \
	X(KEEP_ALIVE, "keep-alive") \
	X(LETHE_LANE, "lethe-lane") \
	X(LETHE_MODEL, "lethe-model") \
	X(LETHE_POLICY, "lethe-policy") \
	X(LETHE_RECEIPT, "lethe-receipt") \
	X(LETHE_TRANSLATE, "lethe-translate") \
	X(ORIGIN, "origin") \
	X(PROXY_CONNECTION, "proxy-connection") \
	X(RETRY_AFTER, "retry-after") \
	X(RETRY_AFTER_MS, "retry-after-ms") \
	X(TE, "te") \
	X(TRAILER, "trailer") \
	X(TRANSFER_ENCODING, "transfer-encoding") \
	X(UPGRADE, "upgrade") \
	X(USER_AGENT, "user-agent") \
	X(X_API_KEY, "x-api-key") \
	X(X_GOOG_API_KEY, "x-goog-api-key") \
	X(X_SHOULD_RETRY, "x-should-retry") \
	X(X_SIM, "x-sim")

enum http1_field_id {
	HTTP1_FIELD_OTHER,
#define X(id, name) HTTP1_##id,
	HTTP1_KNOWN_FIELDS(X)
#undef X
		HTTP1_FIELD_COUNT
};

#define HTTP1_METHODS(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(OPTIONS) X(PATCH)

enum http1_method {
	HTTP1_METHOD_OTHER,
#define X(m) HTTP1_##m,
	HTTP1_METHODS(X)
#undef X
};

struct http1_field {
	uint32_t name_at, value_at; /* offsets from the head's first byte */
	uint32_t name_len, value_len; /* value without leading and trailing blanks */
	enum http1_field_id id;
};

/* Why a message is refused; each names its status. X(name, status, sentence for the caller) */
#define HTTP1_ERRORS(X) \
	X(OK, 0, "") \
	X(BAD_START_LINE, 400, "the request line is malformed") \
	X(BAD_TARGET, 400, "the request target is malformed") \
	X(BAD_VERSION, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here") \
	X(BAD_METHOD, 501, "this method is not known") \
	X(BAD_FIELD, 400, "a header field is malformed") \
	X(REPEATED_FIELD, 400, "a header field that has one value is repeated") \
	X(BAD_HOST, 400, "the Host header is missing, repeated, malformed or disagrees with the target") \
	X(BAD_LENGTH, 400, "Content-Length is malformed or repeated") \
	X(BAD_CODING, 400, "Transfer-Encoding is malformed, repeated or combined with Content-Length") \
	X(UNKNOWN_CODING, 501, "only the transfer coding chunked is spoken here") \
	X(BAD_EXPECT, 417, "only Expect: 100-continue is understood") \
	X(BAD_CHUNK, 400, "the chunked body is malformed") \
	X(BAD_STATUS_LINE, 502, "the status line is malformed") \
	X(TOO_MANY_FIELDS, 431, "too many header fields") \
	X(HEAD_TOO_LARGE, 431, "the header section is too large") \
	X(TARGET_TOO_LONG, 414, "the request target is too long") \
	X(UNEXPECTED_UPGRADE, 400, "Upgrade is not accepted here")

enum http1_error {
#define X(name, status, text) HTTP1_E_##name,
	HTTP1_ERRORS(X)
#undef X
		HTTP1_E_COUNT
};

struct http1_head {
	enum http1_method method; /* requests */
	struct span target; /* origin-form path and query; absolute-form is reduced to it and its authority checked against Host */
	uint16_t status; /* responses */
	uint8_t minor_version; /* HTTP/1.minor */
	bool keep_alive; /* may the connection carry another message after this one */
	bool chunked; /* the body is chunked */
	bool has_length; /* content_length is given */
	bool until_close; /* responses: the body ends with the connection */
	bool expect_continue; /* requests: the client waits for 100 */
	bool websocket; /* requests: a WebSocket is asked for (RFC 6455 4.2.1); responses: 101 agrees to one */
	uint64_t content_length;
	uint32_t bytes; /* length of the whole head, final empty line included */
	uint16_t field_count;
	uint64_t present; /* bit per enum http1_field_id that some field has */
	const char *base; /* the head's first byte: field offsets count from it */
	struct http1_field fields[HTTP1_FIELDS_MAX];
	uint8_t first[HTTP1_FIELD_COUNT]; /* the first field of each id that is present */
};

enum http1_result { HTTP1_MORE,
	HTTP1_DONE,
	HTTP1_BAD };

/*
 * Parse a request head that starts at buf[0]. `scanned` remembers across calls how far the end was looked for (start with 0), so a
 * head that arrives byte by byte costs linear time. One empty line (CRLF) before the request line is skipped (RFC 9112 2.2) and is
 * counted in ret->bytes.
 *
 * HTTP1_MORE: not complete (the caller bounds len). HTTP1_BAD: *ret_error says why. HTTP1_DONE: *ret is filled.
 * Refused besides the grammar: bare CR or LF, NUL, obs-fold, blank before the colon, any doubt about framing (RFC 9112 6.3),
 * repeated Host / Content-Length / Transfer-Encoding, Transfer-Encoding in HTTP/1.0, codings other than exactly "chunked"; a repeated
 * field that says who asks or what the body is (Authorization, Content-Type, ...); an Upgrade to anything but WebSocket, or of a request with a body.
 */
must_check enum http1_result http1_request_parse(const char *buf, size_t len, size_t *scanned, struct http1_head *ret,
	enum http1_error *ret_error);

/* What was asked: the answer to HEAD has no body whatever it says (RFC 9112 6.3), and 101 only answers to an Upgrade. */
enum http1_asked { HTTP1_ASKED,
	HTTP1_ASKED_HEAD,
	HTTP1_ASKED_WEBSOCKET };

/* The same for a response head. */
must_check enum http1_result http1_response_parse(const char *buf, size_t len, size_t *scanned, enum http1_asked asked, struct http1_head *ret,
	enum http1_error *ret_error);

/* First field with this id, or NULL. */
static inline const struct http1_field *
http1_field_find(const struct http1_head *h, enum http1_field_id id)
{
	return h->present >> id & 1 ? &h->fields[h->first[id]] : NULL;
}

static inline struct span
http1_field_name(const struct http1_head *h, const struct http1_field *f)
{
	return (struct span){h->base + f->name_at, f->name_len};
}

static inline struct span
http1_field_value(const struct http1_head *h, const struct http1_field *f)
{
	return (struct span){h->base + f->value_at, f->value_len};
}

/*
 * Is this name of a field `lower`, in whatever case? `lower` consists of lower-case letters, digits and '-': no other character of a token becomes one
 * of these by the bit that tells cases apart.
 */
static inline bool
http1_name_is(struct span name, const char *lower, size_t len)
{
	static const uint64_t bits = UINT64_C(0x2020202020202020);
	uint64_t a, b;
	if (name.len != len || (name.at[0] | 0x20) != lower[0])
		return false;
	size_t i = 0;
	for (; len - i >= sizeof a; i += sizeof a) {
		memcpy(&a, name.at + i, sizeof a);
		memcpy(&b, lower + i, sizeof b);
		if ((a | bits) != b)
			return false;
	}
	for (; i < len; i++)
		if ((name.at[i] | 0x20) != lower[i])
			return false;
	return true;
}

/* Is it one of HTTP1_KNOWN_FIELDS? What means something in a head may not come in the trailers of a request (RFC 9110 6.5.1). */
bool http1_is_known(const char *name, size_t len);

enum { HTTP1_KNOWN_LENGTH_MAX = 17 };

/* Chunked transfer coding (RFC 9112 7.1), any split of the input. Extensions are refused beyond 256 bytes, trailers are read and dropped (≤ 8 KiB). */
struct http1_chunked {
	uint64_t left; /* data bytes of the current chunk still to come */
	uint32_t line_bytes;
	uint8_t state;
	bool of_request; /* set behind http1_chunked_init(): a trailer with a known name is refused */
	uint8_t name_len; /* of the trailer that is being read; more than what is kept of it: it is not known */
	char name[HTTP1_KNOWN_LENGTH_MAX];
};

void http1_chunked_init(struct http1_chunked *c);

/*
 * Take bytes from in; the next run of data is *ret_data (maybe empty). Returns HTTP1_MORE (call again with what follows the
 * *ret_consumed bytes; when nothing was left, with more input), HTTP1_DONE (last chunk and trailers read; what follows belongs to the
 * next message), HTTP1_BAD.
 */
must_check enum http1_result http1_chunked_feed(struct http1_chunked *c, const char *in, size_t len, size_t *ret_consumed,
	struct span *ret_data);

#endif
