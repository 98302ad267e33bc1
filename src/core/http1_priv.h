/*
 * What request and response parsing share. Private to src/core; same processes and ownership as http1.h.
 */
#ifndef CORE_HTTP1_PRIV_H
#define CORE_HTTP1_PRIV_H

#include "core/http1.h"

/* Longest request target that is read; RFC 9112 3 asks for at least 8000. */
enum { HTTP1_TARGET_MAX = 8192 };

/* Character classes, OR-ed. PATH and QUERY leave out '%', which needs its two digits checked. */
enum {
	HTTP1_CHAR_TOKEN = 1, /* RFC 9110 5.6.2 */
	HTTP1_CHAR_PATH = 2, /* RFC 3986 pchar and '/' */
	HTTP1_CHAR_QUERY = 4, /* the same, '?', and what browsers and Node leave raw there: []{}|^ */
	HTTP1_CHAR_HOST = 8, /* RFC 3986 reg-name without '%' */
	HTTP1_CHAR_HEX = 16,
	HTTP1_CHAR_DIGIT = 32,
};

extern const uint8_t http1_chars[256];

static inline bool
http1_is(char c, unsigned class)
{
	return http1_chars[(unsigned char)c] & class;
}

/* What the fields said, gathered while they were read. */
struct http1_seen {
	uint64_t ids, again; /* bit per enum http1_field_id; again: more than once */
	bool close, keep_alive, upgrade; /* options of all Connection fields */
};

static inline bool
http1_has(const struct http1_seen *seen, enum http1_field_id id)
{
	return seen->ids >> id & 1;
}

/*
 * Look for the empty line. HTTP1_DONE: *ret_end is the offset after it, and no LF before it lacks its CR.
 * HTTP1_BAD: such an LF, at offset *ret_end.
 */
enum http1_result http1_head_end(const char *buf, size_t len, size_t *scanned, size_t *ret_end);

/* Is there no LF before `at`, other than that of one leading empty line? */
bool http1_in_first_line(const char *buf, size_t at);

/* Read the fields in buf[at, end), end being what http1_head_end() found; fills h->fields. */
enum http1_error http1_fields_parse(const char *buf, size_t at, size_t end, struct http1_head *h,
	struct http1_seen *seen);

/* Content-Length, Transfer-Encoding, Connection: h's framing and keep_alive. RFC 9112 6.3 and 9.3. */
enum http1_error http1_framing(struct http1_head *h, const struct http1_seen *seen);

/* Do the fields agree on a change to WebSocket, and to nothing else? */
bool http1_is_websocket(const struct http1_head *h, const struct http1_seen *seen);

/*
 * "HTTP/1.0" or "HTTP/1.1" at 8 readable bytes; OK, BAD_VERSION for another digit pair, BAD_START_LINE for
 * anything else.
 */
enum http1_error http1_version(const char *at, uint8_t *ret_minor);

#endif
