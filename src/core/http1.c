#include "core/http1_priv.h"

#include "core/bytes_priv.h"

#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define TOKEN HTTP1_CHAR_TOKEN
#define URI (HTTP1_CHAR_PATH | HTTP1_CHAR_QUERY)
#define HOST HTTP1_CHAR_HOST
#define HEX HTTP1_CHAR_HEX
#define DIGIT HTTP1_CHAR_DIGIT

/* clang-format off */
const uint8_t http1_chars[256] = {
	['0' ... '9'] = TOKEN | URI | HOST | HEX | DIGIT,
	['a' ... 'f'] = TOKEN | URI | HOST | HEX,
	['g' ... 'z'] = TOKEN | URI | HOST,
	['A' ... 'F'] = TOKEN | URI | HOST | HEX,
	['G' ... 'Z'] = TOKEN | URI | HOST,
	['-'] = TOKEN | URI | HOST, ['.'] = TOKEN | URI | HOST, ['_'] = TOKEN | URI | HOST, ['~'] = TOKEN | URI | HOST,
	['!'] = TOKEN | URI | HOST, ['$'] = TOKEN | URI | HOST, ['&'] = TOKEN | URI | HOST, ['\''] = TOKEN | URI | HOST,
	['*'] = TOKEN | URI | HOST, ['+'] = TOKEN | URI | HOST,
	['('] = URI | HOST, [')'] = URI | HOST, [','] = URI | HOST, [';'] = URI | HOST, ['='] = URI | HOST,
	[':'] = URI, ['@'] = URI, ['/'] = URI,
	['?'] = HTTP1_CHAR_QUERY, ['['] = HTTP1_CHAR_QUERY, [']'] = HTTP1_CHAR_QUERY,
	['{'] = HTTP1_CHAR_QUERY, ['}'] = HTTP1_CHAR_QUERY,
	['#'] = TOKEN, ['%'] = TOKEN, ['`'] = TOKEN,
	['^'] = TOKEN | HTTP1_CHAR_QUERY, ['|'] = TOKEN | HTTP1_CHAR_QUERY,
};
/* clang-format on */

#undef HOST

enum { KNOWN_SLOTS = 64 };

static const char known_names[HTTP1_FIELD_COUNT][HTTP1_KNOWN_LENGTH_MAX + 1] = {
#define X(id, name) [HTTP1_##id] = name,
	HTTP1_KNOWN_FIELDS(X)
#undef X
};

static const uint8_t known_lengths[HTTP1_FIELD_COUNT] = {
#define X(id, name) [HTTP1_##id] = sizeof(name) - 1,
	HTTP1_KNOWN_FIELDS(X)
#undef X
};

/*
 * Length, first and third byte leave one candidate. One more field may want other factors; http1_test.c holds this table against the list in the
 * header.
 */
static inline unsigned
known_slot(const char *name, size_t len)
{
	return ((unsigned)len + 51u * (unsigned char)(name[0] | 0x20) + 23u * (unsigned char)(name[2] | 0x20)) % KNOWN_SLOTS;
}

static const uint8_t known_at[KNOWN_SLOTS] = {
	[2] = HTTP1_X_SIM,
	[7] = HTTP1_ACCEPT_ENCODING,
	[11] = HTTP1_X_SHOULD_RETRY,
	[12] = HTTP1_AUTHORIZATION,
	[16] = HTTP1_ANTHROPIC_VERSION,
	[17] = HTTP1_HOST,
	[18] = HTTP1_ORIGIN,
	[20] = HTTP1_TE,
	[23] = HTTP1_UPGRADE,
	[25] = HTTP1_PROXY_CONNECTION,
	[26] = HTTP1_TRAILER,
	[28] = HTTP1_DATE,
	[36] = HTTP1_TRANSFER_ENCODING,
	[37] = HTTP1_CONNECTION,
	[39] = HTTP1_CONTENT_TYPE,
	[40] = HTTP1_X_API_KEY,
	[41] = HTTP1_CONTENT_LENGTH,
	[43] = HTTP1_CONTENT_ENCODING,
	[44] = HTTP1_USER_AGENT,
	[45] = HTTP1_RETRY_AFTER,
	[46] = HTTP1_KEEP_ALIVE,
	[48] = HTTP1_RETRY_AFTER_MS,
	[53] = HTTP1_EXPECT,
	[55] = HTTP1_X_GOOG_API_KEY,
	[56] = HTTP1_COOKIE,
	[58] = HTTP1_LETHE_LANE,
	[59] = HTTP1_LETHE_MODEL,
	[60] = HTTP1_LETHE_POLICY,
	[61] = HTTP1_LETHE_RECEIPT,
	[62] = HTTP1_ACCEPT,
	[63] = HTTP1_LETHE_TRANSLATE,
};

/* A token and a name in lower case, letters and '-' alone: no other character of a token becomes one of these by the bit that tells cases apart. */
static inline bool
is_name(const char *token, const char *name, size_t len)
{
	static const uint64_t lower = UINT64_C(0x2020202020202020);
	uint64_t a, b, c, d;
	uint32_t a4, b4, c4, d4;
	if (len >= 8) {
		memcpy(&a, token, 8);
		memcpy(&b, name, 8);
		memcpy(&c, token + len - 8, 8);
		memcpy(&d, name + len - 8, 8);
		return (a | lower) == b && (c | lower) == d && (len <= 16 || (token[8] | 0x20) == name[8]);
	}
	if (len < 4) /* te */
		return (token[0] | 0x20) == name[0] && (token[1] | 0x20) == name[1];
	memcpy(&a4, token, 4);
	memcpy(&b4, name, 4);
	memcpy(&c4, token + len - 4, 4);
	memcpy(&d4, name + len - 4, 4);
	return (a4 | (uint32_t)lower) == b4 && (c4 | (uint32_t)lower) == d4;
}
_Static_assert(HTTP1_KNOWN_LENGTH_MAX == 17, "two words and what is between them");

/* Two bytes behind its first are readable, whatever its length: a line has its end. */
static inline enum http1_field_id
field_id(const char *name, size_t len)
{
	enum http1_field_id id = known_at[known_slot(name, len)];
	return known_lengths[id] == len && is_name(name, known_names[id], len) ? id : HTTP1_FIELD_OTHER;
}

bool
http1_is_known(const char *name, size_t len)
{
	char at[HTTP1_KNOWN_LENGTH_MAX + 2] = {0};
	if (len == 0 || len > HTTP1_KNOWN_LENGTH_MAX)
		return false;
	memcpy(at, name, len);
	at[len] = ':'; /* as in a head: te is told by it */
	return field_id(at, len) != HTTP1_FIELD_OTHER;
}

/* LF at offset i: HTTP1_MORE when it merely ends a line. */
static inline enum http1_result
line_feed(const char *buf, size_t i, size_t *ret_end)
{
	if (unlikely(i == 0 || buf[i - 1] != '\r')) {
		*ret_end = i;
		return HTTP1_BAD;
	}
	if (i < 3 || buf[i - 2] != '\n')
		return HTTP1_MORE;
	*ret_end = i + 1;
	return HTTP1_DONE;
}

#ifdef __SSE2__
__attribute__((target("avx2"))) static inline uint64_t
equal_in_block(__m256i low, __m256i high, char c)
{
	__m256i v = _mm256_set1_epi8(c);
	uint64_t l = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, v));
	uint64_t h = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, v));
	return h << 32 | l;
}

/* By whole blocks: a bit for each LF, of those that lack their CR, and of those that follow an LF and its CR. */
__attribute__((target("avx2"))) static enum http1_result
head_end_avx2(const char *buf, size_t len, size_t *at, size_t *ret_end)
{
	size_t i = *at;
	uint64_t cr_before = i > 0 && buf[i - 1] == '\r';
	uint64_t lf_before = (i > 1 && buf[i - 2] == '\n') | (uint64_t)(i > 0 && buf[i - 1] == '\n') << 1;
	for (; len - i >= BYTES_BLOCK; i += BYTES_BLOCK) {
		__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(buf + i));
		__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(buf + i + 32));
		uint64_t lf = equal_in_block(low, high, '\n'), cr = equal_in_block(low, high, '\r');
		uint64_t bare = lf & ~(cr << 1 | cr_before), last = lf & (lf << 2 | lf_before), stops = bare | last;
		if (stops) {
			size_t stop = (size_t)__builtin_ctzll(stops);
			bool bad = bare >> stop & 1;
			*ret_end = i + stop + !bad;
			return bad ? HTTP1_BAD : HTTP1_DONE;
		}
		cr_before = cr >> 63;
		lf_before = lf >> 62;
	}
	*at = i;
	return HTTP1_MORE;
}
#endif

enum http1_result
http1_head_end(const char *buf, size_t len, size_t *scanned, size_t *ret_end)
{
	size_t i = *scanned;
	enum http1_result r;
#ifdef __SSE2__
	if (len - i >= BYTES_BLOCK && __builtin_cpu_supports("avx2"))
		if ((r = head_end_avx2(buf, len, &i, ret_end)) != HTTP1_MORE)
			return r;
	for (; len - i >= 16; i += 16) {
		unsigned hits = (unsigned)_mm_movemask_epi8(bytes_equal(bytes_load(buf + i), '\n'));
		for (; hits; hits &= hits - 1)
			if ((r = line_feed(buf, i + (size_t)__builtin_ctz(hits), ret_end)) != HTTP1_MORE)
				return r;
	}
#endif
	for (; i < len; i++)
		if (buf[i] == '\n' && (r = line_feed(buf, i, ret_end)) != HTTP1_MORE)
			return r;
	*scanned = len;
	return HTTP1_MORE;
}

bool
http1_in_first_line(const char *buf, size_t at)
{
	size_t skip = at >= 2 && buf[0] == '\r' && buf[1] == '\n' ? 2 : 0;
	return !memchr(buf + skip, '\n', at - skip);
}

enum http1_error
http1_version(const char *at, uint8_t *ret_minor)
{
	if (memcmp(at, "HTTP/", 5) || !http1_is(at[5], DIGIT) || at[6] != '.' || !http1_is(at[7], DIGIT))
		return HTTP1_E_BAD_START_LINE;
	if (at[5] != '1' || at[7] > '1')
		return HTTP1_E_BAD_VERSION;
	*ret_minor = (uint8_t)(at[7] - '0');
	return HTTP1_E_OK;
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
connection_option(struct http1_seen *seen, const char *at, size_t len)
{
	if (len == 5 && bytes_equal_nocase(at, "close", 5))
		seen->close = true;
	else if (len == 10 && bytes_equal_nocase(at, "keep-alive", 10))
		seen->keep_alive = true;
	else if (len == 7 && bytes_equal_nocase(at, "upgrade", 7))
		seen->upgrade = true;
}

/* A list of tokens; empty elements are legal (RFC 9110 5.6.1.2). */
static bool
connection_options(struct http1_seen *seen, const char *at, size_t len)
{
	const char *end = at + len;
	while (at < end) {
		const char *start = at;
		while (at < end && http1_is(*at, TOKEN))
			at++;
		connection_option(seen, start, (size_t)(at - start));
		while (at < end && is_blank(*at))
			at++;
		if (at < end && *at != ',')
			return false;
		at += at < end;
		while (at < end && is_blank(*at))
			at++;
	}
	return true;
}

/* These decide where the message ends or to whom it goes: a second one is an attack even if it says the same. */
static enum http1_error
repeated(enum http1_field_id id)
{
	switch ((int)id) {
	case HTTP1_HOST:
		return HTTP1_E_BAD_HOST;
	case HTTP1_CONTENT_LENGTH:
		return HTTP1_E_BAD_LENGTH;
	case HTTP1_TRANSFER_ENCODING:
		return HTTP1_E_BAD_CODING;
	case HTTP1_EXPECT:
		return HTTP1_E_BAD_EXPECT;
	default:
		return HTTP1_E_OK;
	}
}

static inline enum http1_error
note(struct http1_seen *seen, const char *value, const struct http1_field *f)
{
	if (f->id == HTTP1_CONNECTION && !connection_options(seen, value, f->value_len))
		return HTTP1_E_BAD_FIELD;
	if (unlikely(http1_has(seen, f->id))) {
		seen->again |= UINT64_C(1) << f->id;
		return repeated(f->id);
	}
	seen->ids |= UINT64_C(1) << f->id;
	return HTTP1_E_OK;
}

/* One line at p, which the caller knows to end in CR LF before end. Returns the next line, NULL when malformed. */
static inline const char *
field_line(const char *buf, const char *p, const char *end, struct http1_field *f)
{
	const char *name = p;
	p = bytes_skip_name(p, end);
	while (http1_is(*p, TOKEN))
		p++;
	if (unlikely(p == name || *p != ':'))
		return NULL;
	f->name_at = (uint32_t)(name - buf);
	f->name_len = (uint32_t)(p - name);
	f->id = field_id(name, f->name_len);
	do
		p++;
	while (is_blank(*p));
	const char *value = p;
	p = bytes_find_value_end(p, end);
	if (unlikely(*p != '\r' || p[1] != '\n'))
		return NULL;
	const char *last = p;
	while (last > value && is_blank(last[-1]))
		last--;
	f->value_at = (uint32_t)(value - buf);
	f->value_len = (uint32_t)(last - value);
	return p + 2;
}

enum http1_error
http1_fields_parse(const char *buf, size_t at, size_t end, struct http1_head *h, struct http1_seen *seen)
{
	const char *p = buf + at, *stop = buf + end - 2;
	*seen = (struct http1_seen){0};
	h->field_count = 0;
	h->present = 0;
	while (p < stop) {
		if (unlikely(h->field_count == HTTP1_FIELDS_MAX))
			return HTTP1_E_TOO_MANY_FIELDS;
		struct http1_field *f = &h->fields[h->field_count++];
		if (!(p = field_line(buf, p, buf + end, f)))
			return HTTP1_E_BAD_FIELD;
		enum http1_error e;
		if (!f->id)
			continue;
		if (!http1_has(seen, f->id))
			h->first[f->id] = (uint8_t)(f - h->fields);
		if ((e = note(seen, buf + f->value_at, f)) != HTTP1_E_OK)
			return e;
	}
	h->present = seen->ids;
	return HTTP1_E_OK;
}

static enum http1_error
content_length(struct http1_head *h)
{
	struct span v = http1_field_value(h, http1_field_find(h, HTTP1_CONTENT_LENGTH));
	uint64_t n = 0;
	if (v.len == 0 || v.len > 19 || (v.len > 1 && v.at[0] == '0'))
		return HTTP1_E_BAD_LENGTH; /* 19 digits can't overflow; a leading zero is octal to somebody */
	for (size_t i = 0; i < v.len; i++) {
		if (!http1_is(v.at[i], DIGIT))
			return HTTP1_E_BAD_LENGTH;
		n = n * 10 + (uint64_t)(v.at[i] - '0');
	}
	h->content_length = n;
	h->has_length = true;
	return HTTP1_E_OK;
}

/*
 * One token other than chunked is a coding that we don't speak; anything else is no answer to "where does the
 * body end".
 */
static enum http1_error
transfer_coding(struct http1_head *h)
{
	struct span v = http1_field_value(h, http1_field_find(h, HTTP1_TRANSFER_ENCODING));
	if (h->minor_version == 0)
		return HTTP1_E_BAD_CODING;
	if (v.len == 7 && bytes_equal_nocase(v.at, "chunked", 7)) {
		h->chunked = true;
		return HTTP1_E_OK;
	}
	for (size_t i = 0; i < v.len; i++)
		if (!http1_is(v.at[i], TOKEN))
			return HTTP1_E_BAD_CODING;
	return v.len ? HTTP1_E_UNKNOWN_CODING : HTTP1_E_BAD_CODING;
}

enum http1_error
http1_framing(struct http1_head *h, const struct http1_seen *seen)
{
	bool length = http1_has(seen, HTTP1_CONTENT_LENGTH), coding = http1_has(seen, HTTP1_TRANSFER_ENCODING);
	h->keep_alive = !seen->close && (h->minor_version > 0 || seen->keep_alive);
	if (length && coding)
		return HTTP1_E_BAD_CODING;
	if (coding)
		return transfer_coding(h);
	return length ? content_length(h) : HTTP1_E_OK;
}

bool
http1_is_websocket(const struct http1_head *h, const struct http1_seen *seen)
{
	if (!seen->upgrade || !http1_has(seen, HTTP1_UPGRADE) || seen->again >> HTTP1_UPGRADE & 1)
		return false;
	struct span to = http1_field_value(h, http1_field_find(h, HTTP1_UPGRADE));
	return h->minor_version > 0 && to.len == 9 && bytes_equal_nocase(to.at, "websocket", 9);
}
