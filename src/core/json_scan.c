#include "core/json_scan.h"

#include "core/bytes_priv.h"

#include <assert.h>
#include <string.h>

enum state {
	KEY_OR_END, /* after '{'; up to MEMBER_END: see members() */
	MEMBER_END, /* comma, or the object's end */
	VALUE, /* up to COMMA: between two texts, see structure() */
	VALUE_OR_END, /* after '[' */
	KEY,
	COLON,
	COMMA, /* or the array's end */
	IN_KEY,
	IN_STRING,
	IN_NUMBER,
	IN_LITERAL,
	DONE,
	BROKEN,
};

enum {
	MEMBER_MIN = 4, /* bytes that are there from a comma on to the key, and from the key's end into the value */
	LITERAL_MAX = 5,
};

enum escape {
	NO_ESCAPE,
	AFTER_BACKSLASH,
	HEX_1, /* \u seen */
	HEX_2,
	HEX_3,
	HEX_4,
};

/* clang-format off */
enum number_state {
	N_BAD, N_START, N_MINUS, N_ZERO, N_INT, N_POINT, N_FRACTION, N_E, N_E_SIGN, N_EXPONENT, N_STATES,
};
enum number_class { C_END, C_ZERO, C_DIGIT, C_POINT, C_E, C_PLUS, C_MINUS, C_CLASSES };

static const uint8_t number_class[256] = {
	['0'] = C_ZERO, ['1' ... '9'] = C_DIGIT, ['.'] = C_POINT, ['e'] = C_E, ['E'] = C_E, ['+'] = C_PLUS, ['-'] = C_MINUS,
};

static const uint8_t number_next[N_STATES][C_CLASSES] = {
	[N_START] = {[C_ZERO] = N_ZERO, [C_DIGIT] = N_INT, [C_MINUS] = N_MINUS},
	[N_MINUS] = {[C_ZERO] = N_ZERO, [C_DIGIT] = N_INT},
	[N_ZERO] = {[C_POINT] = N_POINT, [C_E] = N_E},
	[N_INT] = {[C_ZERO] = N_INT, [C_DIGIT] = N_INT, [C_POINT] = N_POINT, [C_E] = N_E},
	[N_POINT] = {[C_ZERO] = N_FRACTION, [C_DIGIT] = N_FRACTION},
	[N_FRACTION] = {[C_ZERO] = N_FRACTION, [C_DIGIT] = N_FRACTION, [C_E] = N_E},
	[N_E] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT, [C_PLUS] = N_E_SIGN, [C_MINUS] = N_E_SIGN},
	[N_E_SIGN] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT},
	[N_EXPONENT] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT},
};

/* Value of a hexadecimal digit plus one, so that zero means "not one". */
static const uint8_t hex_digit[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* What the byte after a backslash stands for; zero: nothing. */
static const char escape_value[256] = {
	['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};
/* clang-format on */

static const struct {
	const char *word;
	uint8_t len;
	enum json_token token;
} literals[] = {{"true", 4, JSON_TRUE}, {"false", 5, JSON_FALSE}, {"null", 4, JSON_NULL}};

static inline bool
is_blank(char c)
{
	return unlikely((unsigned char)c <= ' ') && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

static inline bool
is_digit(char c)
{
	return (unsigned char)(c - '0') <= 9;
}

static bool
number_may_end(uint8_t state)
{
	return state == N_ZERO || state == N_INT || state == N_FRACTION || state == N_EXPONENT;
}

void
json_scan_init(struct json_scan *s, const struct json_node *nodes)
{
	memset(s, 0, offsetof(struct json_scan, open));
	s->nodes = s->inside = nodes;
	s->state = VALUE;
	s->after = DONE;
	s->child = JSON_NODE_ROOT;
	s->key_at = s->comma_at = JSON_NO_OFFSET;
}

void
json_scan_feed(struct json_scan *s, const char *in, size_t len, uint64_t offset)
{
	assert(s->p == s->end || s->state == BROKEN);
	s->p = in;
	s->end = len ? in + len : in;
	s->turned = offset - (uint64_t)(uintptr_t)in; /* modulo 2^64 */
}

void
json_scan_want_separator(struct json_scan *s)
{
	s->want_separator = true;
}

bool
json_scan_complete(const struct json_scan *s)
{
	return s->state == DONE || (s->state == IN_NUMBER && s->depth == 0 && number_may_end(s->number_state));
}

uint64_t
json_scan_open_text(const struct json_scan *s)
{
	return s->state == IN_STRING && s->capture ? s->value_at : JSON_NO_OFFSET;
}

static inline uint64_t
offset_of(const struct json_scan *s, const char *p)
{
	return s->turned + (uint64_t)(uintptr_t)p;
}

static enum json_token
broken(struct json_scan *s, enum json_error error)
{
	s->error = error;
	s->state = BROKEN;
	return JSON_BAD;
}

/* ---- texts that are escaped, or cut by the end of the input, are put together here ---- */

static void
text_begin(struct json_scan *s, bool capture)
{
	s->capture = capture;
	s->text_len = 0;
	s->text_cut = false;
	s->high_surrogate = 0;
}

/* All or nothing, so that a character is never shown in part; then no more, so that none is left out. */
static void
text_put(struct json_scan *s, const char *bytes, size_t len)
{
	if (len > (size_t)(JSON_TEXT_MAX - s->text_len)) {
		s->text_cut = true;
		s->capture = false;
		return;
	}
	memcpy(s->text + s->text_len, bytes, len);
	s->text_len = (uint8_t)(s->text_len + len);
}

static void
text_code_point(struct json_scan *s, uint32_t c)
{
	char u[4];
	if (c < 0x80) {
		u[0] = (char)c;
		text_put(s, u, 1);
	} else if (c < 0x800) {
		u[0] = (char)(0xc0 | c >> 6);
		u[1] = (char)(0x80 | (c & 0x3f));
		text_put(s, u, 2);
	} else if (c < 0x10000) {
		u[0] = (char)(0xe0 | c >> 12);
		u[1] = (char)(0x80 | (c >> 6 & 0x3f));
		u[2] = (char)(0x80 | (c & 0x3f));
		text_put(s, u, 3);
	} else {
		u[0] = (char)(0xf0 | c >> 18);
		u[1] = (char)(0x80 | (c >> 12 & 0x3f));
		u[2] = (char)(0x80 | (c >> 6 & 0x3f));
		u[3] = (char)(0x80 | (c & 0x3f));
		text_put(s, u, 4);
	}
}

/* A high surrogate that no low one followed. */
static void
text_settle_surrogate(struct json_scan *s)
{
	if (unlikely(s->high_surrogate)) {
		s->high_surrogate = 0;
		text_code_point(s, 0xfffd);
	}
}

static void
text_plain(struct json_scan *s, const char *at, size_t len)
{
	if (len == 0)
		return;
	text_settle_surrogate(s);
	size_t room = JSON_TEXT_MAX - (size_t)s->text_len;
	if (s->capture)
		text_put(s, at, len < room ? len : room);
	if (len > room) {
		s->text_cut = true;
		s->capture = false;
	}
}

static void
text_utf16(struct json_scan *s, uint16_t unit)
{
	if (unit >= 0xdc00 && unit <= 0xdfff && s->high_surrogate) {
		uint32_t high = s->high_surrogate;
		s->high_surrogate = 0;
		text_code_point(s, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00u));
		return;
	}
	text_settle_surrogate(s);
	if (unit >= 0xd800 && unit <= 0xdbff)
		s->high_surrogate = unit;
	else
		text_code_point(s, unit >= 0xdc00 && unit <= 0xdfff ? 0xfffd : unit);
}

/* ---- events ---- */

static inline bool
is_told(const struct json_scan *s, uint8_t node)
{
	return node != JSON_NODE_NONE && !s->nodes[node].silent;
}

static inline enum json_token
report(struct json_scan *s, struct json_event *ret, enum json_token token, const char *end)
{
	ret->at = s->value_at;
	ret->end = offset_of(s, end);
	ret->key_at = s->key_at;
	ret->comma_at = s->comma_at;
	ret->text = (struct span){NULL, 0};
	ret->cut = ret->empty = false;
	ret->node = s->child;
	return token;
}

/* A scalar ends before `end`. Its text is whole where it stands, or what text_*() put together. */
static inline enum json_token
scalar(struct json_scan *s, struct json_event *ret, enum json_token token, const char *end)
{
	s->p = end;
	s->state = s->after;
	return is_told(s, s->child) ? report(s, ret, token, end) : JSON_MORE;
}

static inline enum json_token
scalar_text(struct json_scan *s, struct json_event *ret, enum json_token token, const char *end, struct span text)
{
	enum json_token t = scalar(s, ret, token, end);
	if (t != JSON_MORE) {
		ret->cut = text.at == s->text ? s->text_cut : text.len > JSON_TEXT_MAX;
		ret->text = (struct span){text.at, text.len < JSON_TEXT_MAX ? text.len : JSON_TEXT_MAX};
	}
	return t;
}

static enum json_token
open_container(struct json_scan *s, struct json_event *ret, bool object)
{
	unsigned d = s->depth;
	if (unlikely(d == JSON_DEPTH_MAX))
		return broken(s, JSON_E_DEPTH);
	uint64_t bit = UINT64_C(1) << (d & 63);
	s->objects[d >> 6] = object ? s->objects[d >> 6] | bit : s->objects[d >> 6] & ~bit;
	s->open[d] = s->child;
	s->depth++;
	s->inside = &s->nodes[s->child];
	s->after = object ? MEMBER_END : COMMA;
	s->p++;
	enum json_token t = JSON_MORE;
	if (is_told(s, s->child))
		t = report(s, ret, object ? JSON_OBJECT : JSON_ARRAY, s->p);
	s->state = object ? KEY_OR_END : VALUE_OR_END;
	s->child = object ? JSON_NODE_NONE : s->inside->element;
	s->comma_at = s->key_at = JSON_NO_OFFSET;
	return t;
}

/*
 * Keys and commas of the members around are not remembered per level: whoever needs them has them from the
 * opening event.
 */
static enum json_token
close_container(struct json_scan *s, struct json_event *ret)
{
	bool object = s->after == MEMBER_END, empty = s->state != s->after;
	unsigned d = --s->depth;
	s->child = s->open[d];
	s->after = DONE;
	if (likely(d-- > 0)) {
		s->inside = &s->nodes[s->open[d]];
		s->after = s->objects[d >> 6] >> (d & 63) & 1 ? MEMBER_END : COMMA;
	}
	s->value_at = offset_of(s, s->p);
	s->key_at = s->comma_at = JSON_NO_OFFSET;
	enum json_token t = scalar(s, ret, object ? JSON_OBJECT_END : JSON_ARRAY_END, s->p + 1);
	if (t != JSON_MORE)
		ret->empty = empty;
	return t;
}

/* ---- strings and keys ---- */

/* Of the same length. Two words that may overlap, without a call, for nearly all. */
static inline bool
is_key(const char *a, const char *b, size_t len)
{
	uint64_t a8, b8, a8_end, b8_end;
	uint32_t a4, b4, a4_end, b4_end;
	if (len > 16 || len < 4)
		return !memcmp(a, b, len);
	if (len >= 8) {
		memcpy(&a8, a, 8);
		memcpy(&b8, b, 8);
		memcpy(&a8_end, a + len - 8, 8);
		memcpy(&b8_end, b + len - 8, 8);
		return a8 == b8 && a8_end == b8_end;
	}
	memcpy(&a4, a, 4);
	memcpy(&b4, b, 4);
	memcpy(&a4_end, a + len - 4, 4);
	memcpy(&b4_end, b + len - 4, 4);
	return a4 == b4 && a4_end == b4_end;
}

static inline uint8_t
edge_to(const struct json_node *n, struct span key)
{
	const struct json_edge *e = n->edges;
	uint16_t mark = JSON_MARK(*key.at, key.len);
	unsigned left = n->absent >> JSON_BIT(*key.at, key.len) & 1 ? 0 : n->edge_count;
	for (; left >= 4; left -= 4, e += 4) /* most of the time it is none of them */
		if (e[0].mark == mark || e[1].mark == mark || e[2].mark == mark || e[3].mark == mark)
			break;
	for (; left; left--, e++)
		if (e->mark == mark && e->key_len == key.len && is_key(e->key, key.at, key.len))
			return e->node;
	return n->other;
}

static enum json_token value_begin(struct json_scan *s, struct json_event *ret, char c);

/* Usually the value stands right behind it. */
static inline enum json_token
key_end(struct json_scan *s, struct json_event *ret, const char *end, struct span key)
{
	s->child = edge_to(s->inside, key);
	s->p = end;
	s->state = COLON;
	if (unlikely(end == s->end || *end != ':'))
		return JSON_MORE;
	s->p++;
	s->state = VALUE;
	return likely(s->p < s->end && !is_blank(*s->p)) ? value_begin(s, ret, *s->p) : JSON_MORE;
}

static enum json_token
string_end(struct json_scan *s, struct json_event *ret)
{
	if (s->capture)
		text_settle_surrogate(s);
	struct span text = {s->text, s->text_len};
	s->p++;
	if (s->state == IN_KEY) /* a key that was cut equals none: a length that no edge has says so */
		return key_end(s, ret, s->p, s->text_cut ? (struct span){s->text, SIZE_MAX} : text);
	return scalar_text(s, ret, JSON_STRING, s->p, text);
}

/* One byte of an escape sequence. */
static bool
escape_byte(struct json_scan *s, unsigned char c)
{
	if (s->escape == AFTER_BACKSLASH) {
		char value = escape_value[c];
		s->code = 0;
		s->escape = c == 'u' ? HEX_1 : NO_ESCAPE;
		if (c != 'u' && s->capture && value)
			text_plain(s, &value, 1);
		return c == 'u' || value;
	}
	if (!hex_digit[c])
		return false;
	s->code = (uint16_t)(s->code << 4 | (hex_digit[c] - 1));
	s->escape = s->escape == HEX_4 ? NO_ESCAPE : s->escape + 1;
	if (s->escape == NO_ESCAPE && s->capture)
		text_utf16(s, s->code);
	return true;
}

/* Length of the escape sequence at p, six readable bytes; 0 when it is none. */
static inline size_t
escape_length(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;
	if (u[1] != 'u')
		return escape_value[u[1]] ? 2 : 0;
	return hex_digit[u[2]] && hex_digit[u[3]] && hex_digit[u[4]] && hex_digit[u[5]] ? 6 : 0;
}

const char *
json_string_end(const char *p, const char *end)
{
	enum { ESCAPE_MAX = 6 };
	for (;;) {
		p = bytes_find_string_end(p, end);
		if (p == end)
			return NULL;
		if (*p == '"')
			return p;
		size_t len = *p == '\\' && end - p >= ESCAPE_MAX ? escape_length(p) : 0;
		if (len == 0)
			return NULL;
		p += len;
	}
}

/*
 * Long strings that nobody wants to read, such as chat messages, with an escape every few words: whole blocks,
 * their escapes found by one look. Stops before whatever is not plainly good, and short of the input's end;
 * the byte-wise way decides there.
 */
static const char *
skip_blocks(const char *p, const char *end)
{
	while (end - p >= BYTES_BLOCK + 6) {
		size_t done = BYTES_BLOCK;
		uint64_t hits = bytes_string_stops_in_block(p);
		if (!hits) {
			p = bytes_skip_string(p + BYTES_BLOCK, end);
			continue;
		}
		while (hits) {
			size_t at = (size_t)__builtin_ctzll(hits), len = p[at] == '\\' ? escape_length(p + at) : 0;
			if (!len)
				return p + at;
			if (at + len >= BYTES_BLOCK) {
				done = at + len;
				break;
			}
			hits &= ~UINT64_C(0) << (at + len);
		}
		p += done;
	}
	return p;
}

/* Inside of a key or a string, at any byte. */
static enum json_token
string_go_on(struct json_scan *s, struct json_event *ret)
{
	while (s->p < s->end) {
		if (s->escape) {
			if (!escape_byte(s, (unsigned char)*s->p++))
				return broken(s, JSON_E_SYNTAX);
			continue;
		}
		if (!s->capture)
			s->p = skip_blocks(s->p, s->end);
		const char *stop = bytes_find_string_end(s->p, s->end);
		if (s->capture)
			text_plain(s, s->p, (size_t)(stop - s->p));
		s->p = stop;
		if (stop == s->end)
			break;
		if (*stop == '"')
			return string_end(s, ret);
		if (*stop != '\\')
			return broken(s, JSON_E_SYNTAX);
		s->escape = AFTER_BACKSLASH;
		s->p++;
	}
	return JSON_MORE;
}

/* At the opening quote. Most strings lie whole and unescaped in the input: they need no copy. */
static inline enum json_token
string_begin(struct json_scan *s, struct json_event *ret)
{
	const char *start = s->p + 1, *stop = bytes_find_string_end(start, s->end);
	bool shown = s->nodes[s->child].text;
	if (likely(stop < s->end && *stop == '"'))
		return scalar_text(s, ret, JSON_STRING, stop + 1, (struct span){start, shown ? (size_t)(stop - start) : 0});
	s->state = IN_STRING;
	s->p = shown ? start : stop;
	text_begin(s, shown);
	return string_go_on(s, ret);
}

static inline enum json_token
key_begin(struct json_scan *s, struct json_event *ret)
{
	const char *start = s->p + 1, *stop = bytes_find_string_end(start, s->end);
	s->key_at = offset_of(s, s->p);
	if (likely(stop < s->end && *stop == '"'))
		return key_end(s, ret, stop + 1, (struct span){start, (size_t)(stop - start)});
	s->state = IN_KEY;
	s->p = start;
	text_begin(s, true);
	return string_go_on(s, ret);
}

/* ---- numbers and literals ---- */

/* From s->p on. A number that the input's end cut is put together in s->text; usually it is shown where it stands. */
static enum json_token
number_go_on(struct json_scan *s, struct json_event *ret)
{
	const char *start = s->p, *p = start;
	uint8_t state = s->number_state, class;
	if (state == N_START && p < s->end && *p >= '1' && *p <= '9') /* nearly all of them are whole and positive */
		for (state = N_INT, p++; p < s->end && (unsigned char)(*p - '0') <= 9;)
			p++;
	for (; p < s->end && (class = number_class[(unsigned char)*p]) != C_END; p++)
		if ((state = number_next[state][class]) == N_BAD)
			return broken(s, JSON_E_SYNTAX);
	s->number_state = state;
	struct span text = {start, (size_t)(p - start)};
	if (p == s->end || s->text_len) {
		text_plain(s, text.at, text.len);
		text = (struct span){s->text, s->text_len};
	}
	s->p = p;
	if (p == s->end)
		return JSON_MORE;
	if (!number_may_end(state))
		return broken(s, JSON_E_SYNTAX);
	return scalar_text(s, ret, JSON_NUMBER, p, text);
}

static enum json_token
literal_go_on(struct json_scan *s, struct json_event *ret)
{
	const char *word = literals[s->literal].word;
	while (s->p < s->end && word[s->literal_at]) {
		if (*s->p != word[s->literal_at])
			return broken(s, JSON_E_SYNTAX);
		s->p++;
		s->literal_at++;
	}
	if (word[s->literal_at])
		return JSON_MORE;
	return scalar(s, ret, literals[s->literal].token, s->p);
}

static enum json_token
literal_begin(struct json_scan *s, struct json_event *ret, char c)
{
	unsigned i = c == 't' ? 0 : c == 'f' ? 1
										 : 2;
	size_t len = literals[i].len;
	if (likely((size_t)(s->end - s->p) >= 5) && !memcmp(s->p, literals[i].word, 4) && (len == 4 || s->p[4] == 'e'))
		return scalar(s, ret, literals[i].token, s->p + len);
	s->literal = (uint8_t)i;
	s->literal_at = 0;
	s->state = IN_LITERAL;
	return literal_go_on(s, ret);
}

static enum json_token
value_begin(struct json_scan *s, struct json_event *ret, char c)
{
	s->value_at = offset_of(s, s->p);
	switch (c) {
	case '"':
		return string_begin(s, ret);
	case '{':
	case '[':
		return open_container(s, ret, c == '{');
	case 't':
	case 'f':
	case 'n':
		return literal_begin(s, ret, c);
	default:
		s->state = IN_NUMBER;
		s->number_state = N_START;
		text_begin(s, true);
		return number_class[(unsigned char)c] == C_END ? broken(s, JSON_E_SYNTAX) : number_go_on(s, ret);
	}
}

static inline const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static inline enum json_token
comma(struct json_scan *s, struct json_event *ret, char c)
{
	bool object = s->state == MEMBER_END, wanted = s->want_separator;
	s->want_separator = false;
	if (c == (object ? '}' : ']'))
		return close_container(s, ret);
	if (c != ',')
		return broken(s, JSON_E_SYNTAX);
	s->comma_at = offset_of(s, s->p++);
	s->state = object ? KEY : VALUE;
	s->child = object ? JSON_NODE_NONE : s->inside->element;
	s->key_at = JSON_NO_OFFSET;
	if (!wanted)
		return object && likely(s->p < s->end && *s->p == '"') ? key_begin(s, ret) : JSON_MORE;
	s->value_at = s->comma_at;
	return report(s, ret, JSON_SEPARATOR, s->p);
}

/* One bracket, colon, comma, or the beginning of a key or value. */
static inline enum json_token
structure(struct json_scan *s, struct json_event *ret)
{
	s->p = skip_blanks(s->p, s->end);
	if (s->p == s->end)
		return JSON_MORE;
	char c = *s->p;
	switch ((enum state)s->state) {
	case VALUE_OR_END:
		if (c == ']')
			return close_container(s, ret);
		return value_begin(s, ret, c);
	case VALUE:
		return value_begin(s, ret, c);
	case KEY_OR_END:
		if (c == '}')
			return close_container(s, ret);
		return c == '"' ? key_begin(s, ret) : broken(s, JSON_E_SYNTAX);
	case KEY:
		return c == '"' ? key_begin(s, ret) : broken(s, JSON_E_SYNTAX);
	case COLON:
		if (c != ':')
			return broken(s, JSON_E_SYNTAX);
		s->p++;
		s->state = VALUE;
		return JSON_MORE;
	case MEMBER_END:
	case COMMA:
		return comma(s, ret, c);
	case IN_KEY:
	case IN_STRING:
	case IN_NUMBER:
	case IN_LITERAL:
	case DONE:
	case BROKEN:
		break;
	}
	return broken(s, JSON_E_SYNTAX);
}

/* What begins so, if it is plain. */
static const uint8_t plain_token[256] = {
	['{'] = JSON_OBJECT,
	['['] = JSON_ARRAY,
	['"'] = JSON_STRING,
	['0' ... '9'] = JSON_NUMBER,
	['t'] = JSON_TRUE,
	['f'] = JSON_FALSE,
	['n'] = JSON_NULL,
};

/* The byte after a scalar that lies whole and plain at p. NULL: it doesn't, or this is not the place to say. */
static inline const char *
plain_end(const char *p, const char *end, enum json_token token)
{
	if (token == JSON_STRING) {
		p = bytes_find_string_end(p + 1, end);
		return likely(p < end && *p == '"') ? p + 1 : NULL;
	}
	if (token == JSON_NUMBER) {
		bool zero = *p++ == '0';
		while (p < end && !zero && is_digit(*p))
			p++;
		return p == end || number_class[(unsigned char)*p] != C_END ? NULL : p;
	}
	if (token < JSON_TRUE || end - p < LITERAL_MAX)
		return NULL;
	uint32_t word;
	memcpy(&word, p, sizeof word);
	if (token == JSON_FALSE)
		return p[4] == 'e' && !memcmp(&word, "fals", 4) ? p + 5 : NULL;
	return !memcmp(&word, token == JSON_TRUE ? "true" : "null", 4) ? p + 4 : NULL;
}

/* What somebody asks for, or what is not so plain; key and comma are known. */
static inline enum json_token
member_value(struct json_scan *s, struct json_event *ret, enum json_token token, const char *value, const char *after)
{
	s->value_at = offset_of(s, value);
	if (after) {
		bool shown = token == JSON_NUMBER || (token == JSON_STRING && s->nodes[s->child].text);
		size_t quote = token == JSON_STRING;
		return scalar_text(s, ret, token, after, (struct span){value + quote, shown ? (size_t)(after - value) - 2 * quote : 0});
	}
	s->p = value;
	s->state = VALUE;
	if (likely(token == JSON_OBJECT || token == JSON_ARRAY))
		return open_container(s, ret, token == JSON_OBJECT);
	return is_blank(*value) ? JSON_MORE : value_begin(s, ret, *value);
}

/*
 * Members as nearly all of them are: compact, or with a blank behind comma and colon, and whole in the input. Those that nobody asks for are passed
 * over without a word to the struct. What is not plainly good is left as it was found to structure(), which decides.
 */
static enum json_token
members(struct json_scan *s, struct json_event *ret)
{
	const char *p = s->p, *const end = s->end, *comma = s->state == MEMBER_END ? p : NULL;
	const struct json_node *n = s->inside;
	for (;;) {
		const char *key = p;
		if (likely(comma)) {
			if (unlikely(end - p < MEMBER_MIN || *p != ','))
				break;
			key += 1 + (p[1] == ' ');
		}
		if (unlikely(*key != '"'))
			break;
		const char *stop = bytes_find_string_end(key + 1, end);
		if (unlikely(end - stop < MEMBER_MIN || stop[0] != '"' || stop[1] != ':'))
			break;
		const char *value = stop + 2 + (stop[2] == ' ');
		uint8_t child = edge_to(n, (struct span){key + 1, (size_t)(stop - key) - 1});
		enum json_token token = plain_token[(unsigned char)*value];
		const char *after = plain_end(value, end, token);
		if (likely(after) && !is_told(s, child)) {
			p = comma = after;
			continue;
		}
		s->child = child;
		s->key_at = offset_of(s, key);
		s->comma_at = comma ? offset_of(s, comma) : JSON_NO_OFFSET;
		return member_value(s, ret, token, value, after);
	}
	s->p = p;
	s->state = comma ? MEMBER_END : KEY_OR_END;
	return p < end && *p == '}' ? close_container(s, ret) : structure(s, ret);
}

/* Within a text that the end of the input cut. */
static enum json_token
in_text(struct json_scan *s, struct json_event *ret)
{
	if (s->state == IN_STRING || s->state == IN_KEY)
		return string_go_on(s, ret);
	if (s->state == IN_NUMBER)
		return number_go_on(s, ret);
	return s->state == IN_LITERAL ? literal_go_on(s, ret) : structure(s, ret);
}

enum json_token
json_scan_next(struct json_scan *s, struct json_event *ret)
{
	enum json_token t = s->state == BROKEN ? JSON_BAD : JSON_MORE;
	while (t == JSON_MORE && s->p < s->end)
		t = likely(s->state <= MEMBER_END && !s->want_separator) ? members(s, ret) : s->state <= COMMA ? structure(s, ret)
																									   : in_text(s, ret);
	return t;
}

bool
json_whole(const struct json_event *e, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;
	if (e->cut)
		return false;
	for (size_t i = 0; i < e->text.len; i++) {
		unsigned digit = (unsigned)(e->text.at[i] - '0');
		if (digit > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
			return false;
	}
	if (n > max)
		return false;
	*ret = n;
	return true;
}
