#include "core/json_view.h"

#include "core/bytes_priv.h"

#include <string.h>

struct json_source
json_source(const struct span *pieces, uint32_t count)
{
	struct json_source s = {.pieces = pieces, .count = count};
	for (uint32_t i = 0; i < count; i++)
		s.bytes += pieces[i].len;
	return s;
}

struct span
json_run(struct json_source *s, uint64_t at, uint64_t end)
{
	if (end > s->bytes)
		end = s->bytes;
	if (at >= end)
		return (struct span){0};
	while (at < s->at_offset)
		s->at_offset -= s->pieces[--s->at_piece].len;
	while (at - s->at_offset >= s->pieces[s->at_piece].len)
		s->at_offset += s->pieces[s->at_piece++].len;
	size_t in = (size_t)(at - s->at_offset), len = s->pieces[s->at_piece].len - in;
	return (struct span){s->pieces[s->at_piece].at + in, len < end - at ? len : (size_t)(end - at)};
}

/* False: that was one too many. */
static bool
step(struct json_source *s)
{
	s->steps++;
	return !json_is_tired(s);
}

static char
byte_at(struct json_source *s, uint64_t at)
{
	struct span r = json_run(s, at, s->bytes);
	return r.len ? *r.at : 0;
}

/* The first byte from `at` on that is neither blank nor one of the two separators. */
static uint64_t
skip_between(struct json_source *s, uint64_t at, uint64_t end)
{
	for (;;) {
		struct span r = json_run(s, at, end);
		if (!r.len)
			return end;
		for (size_t i = 0; i < r.len; i++) {
			char c = r.at[i];
			if (c != ' ' && c != '\n' && c != '\r' && c != '\t' && c != ',' && c != ':')
				return at + i;
		}
		at += r.len;
	}
}

/* Behind the closing quote of the string that begins at `at`. */
static uint64_t
skip_string(struct json_source *s, uint64_t at, uint64_t end)
{
	at++;
	for (;;) {
		struct span r = json_run(s, at, end);
		if (!r.len)
			return end;
		const char *p = bytes_find_string_end(r.at, r.at + r.len);
		at += (uint64_t)(p - r.at);
		if (p == r.at + r.len)
			continue;
		if (*p == '"')
			return at + 1;
		at += *p == '\\' ? 2 : 1;
		if (!step(s))
			return end;
	}
}

static uint64_t
skip_container(struct json_source *s, uint64_t at, uint64_t end)
{
	uint64_t depth = 0;
	for (;;) {
		struct span r = json_run(s, at, end);
		if (!r.len)
			return end;
		size_t i = 0;
		while (i < r.len && r.at[i] != '"') {
			char c = r.at[i++];
			if (c == '{' || c == '[')
				depth++;
			else if ((c == '}' || c == ']') && --depth == 0)
				return at + i;
		}
		if (i < r.len && !step(s))
			return end;
		at = i < r.len ? skip_string(s, at + i, end) : at + i;
	}
}

static uint64_t
skip_word(struct json_source *s, uint64_t at, uint64_t end)
{
	for (;;) {
		struct span r = json_run(s, at, end);
		if (!r.len)
			return end;
		for (size_t i = 0; i < r.len; i++) {
			char c = r.at[i];
			if (c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t')
				return at + i;
		}
		at += r.len;
	}
}

static struct json_value
value_at(struct json_source *s, uint64_t at, uint64_t end)
{
	struct json_value v = {at, at, JSON_MORE};
	switch (at < end ? byte_at(s, at) : 0) {
	case '{':
		return (struct json_value){at, skip_container(s, at, end), JSON_OBJECT};
	case '[':
		return (struct json_value){at, skip_container(s, at, end), JSON_ARRAY};
	case '"':
		return (struct json_value){at, skip_string(s, at, end), JSON_STRING};
	case 't':
		v.kind = JSON_TRUE;
		break;
	case 'f':
		v.kind = JSON_FALSE;
		break;
	case 'n':
		v.kind = JSON_NULL;
		break;
	case '-':
	case '0' ... '9':
		v.kind = JSON_NUMBER;
		break;
	default: /* the container's end */
		return v;
	}
	v.end = skip_word(s, at, end);
	return v;
}

struct json_value
json_whole_value(struct json_source *s)
{
	return value_at(s, skip_between(s, 0, s->bytes), s->bytes);
}

struct json_walk
json_walk(struct json_value in)
{
	if ((in.kind != JSON_OBJECT && in.kind != JSON_ARRAY) || in.end - in.at < 2)
		return (struct json_walk){in.end, in.end};
	return (struct json_walk){in.at + 1, in.end - 1};
}

bool
json_next_element(struct json_source *s, struct json_walk *w, struct json_value *ret)
{
	if (step(s))
		*ret = value_at(s, skip_between(s, w->at, w->end), w->end);
	else
		*ret = (struct json_value){w->end, w->end, JSON_MORE};
	w->at = ret->end;
	return ret->kind != JSON_MORE;
}

bool
json_next_member(struct json_source *s, struct json_walk *w, struct json_value *ret_key, struct json_value *ret_value)
{
	return json_next_element(s, w, ret_key) && json_next_element(s, w, ret_value);
}

/* ---- texts ---- */

static uint32_t
hex_value(char c)
{
	return c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
}

static uint32_t
hex_four(struct json_source *s, uint64_t at)
{
	uint32_t code = 0;
	for (int i = 0; i < 4; i++)
		code = code << 4 | (hex_value(byte_at(s, at + (uint64_t)i)) & 15);
	return code;
}

static size_t
utf8(uint32_t c, char out[4])
{
	if (c < 0x80)
		return out[0] = (char)c, 1;
	if (c < 0x800)
		return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
	if (c < 0x10000)
		return out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)), 3;
	out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63)), out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* What the escape that begins at *at stands for; *at moves behind it. */
static size_t
unescape(struct json_source *s, uint64_t *at, char out[4])
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = byte_at(s, *at + 1);
	const char *known = c ? strchr(from, c) : NULL;
	if (c != 'u' || known) {
		*at += 2;
		return out[0] = known ? to[known - from] : c, 1;
	}
	uint32_t code = hex_four(s, *at + 2);
	*at += 6;
	if (code >= 0xd800 && code < 0xdc00 && byte_at(s, *at) == '\\' && byte_at(s, *at + 1) == 'u') {
		uint32_t low = hex_four(s, *at + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			*at += 6;
			return utf8(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), out);
		}
	}
	return utf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : code, out);
}

struct json_text_walk
json_text_walk(struct json_value v)
{
	if (v.kind == JSON_STRING && v.end - v.at >= 2)
		return (struct json_text_walk){.at = v.at + 1, .end = v.end - 1};
	return (struct json_text_walk){.at = v.at, .end = v.end};
}

struct span
json_next_text(struct json_source *s, struct json_text_walk *w)
{
	struct span r = json_run(s, w->at, w->end);
	if (!r.len)
		return r;
	if (!step(s)) {
		w->at = w->end;
		return (struct span){0};
	}
	if (*r.at == '\\')
		return (struct span){w->room, unescape(s, &w->at, w->room)};
	const char *stop = memchr(r.at, '\\', r.len);
	if (stop)
		r.len = (size_t)(stop - r.at);
	w->at += r.len;
	return r;
}

bool
json_reads(struct json_source *s, struct json_value v, struct span text)
{
	if (v.kind != JSON_STRING)
		return false;
	struct json_text_walk in = json_text_walk(v);
	size_t have = 0;
	for (;;) {
		struct span part = json_next_text(s, &in);
		if (!part.len)
			return have == text.len;
		if (part.len > text.len - have || memcmp(part.at, text.at + have, part.len) != 0)
			return false;
		have += part.len;
	}
}

size_t
json_text(struct json_source *s, struct json_value v, char *to, size_t cap)
{
	struct json_text_walk in = json_text_walk(v);
	size_t len = 0;
	for (;;) {
		struct span part = json_next_text(s, &in);
		if (!part.len)
			return len;
		if (len < cap)
			memcpy(to + len, part.at, part.len < cap - len ? part.len : cap - len);
		len += part.len;
	}
}

/* Nearly every key lies together and has no escapes: *ret are its bytes then. */
static bool
plain_key(struct json_source *s, struct json_value key, struct span *ret)
{
	*ret = json_run(s, key.at + 1, key.end - 1);
	return ret->len == key.end - key.at - 2 && !memchr(ret->at, '\\', ret->len);
}

uint32_t
json_members(
	struct json_source *s, struct json_value object, const struct span *names, uint32_t count, struct json_value *ret, struct json_value *ret_unknown)
{
	uint32_t unknown = 0;
	struct json_value key, value;
	for (uint32_t i = 0; i < count; i++)
		ret[i] = (struct json_value){.kind = JSON_MORE};
	if (object.kind != JSON_OBJECT)
		return 0;
	for (struct json_walk w = json_walk(object); json_next_member(s, &w, &key, &value);) {
		uint32_t i = 0;
		struct span plain;
		if (key.end - key.at > 2 && plain_key(s, key, &plain))
			while (i < count && (names[i].len != plain.len || memcmp(names[i].at, plain.at, plain.len) != 0))
				i++;
		else
			while (i < count && !json_reads(s, key, names[i]))
				i++;
		if (i < count)
			ret[i] = value;
		else if (unknown++ == 0 && ret_unknown)
			*ret_unknown = key;
	}
	return unknown;
}
