#include "core/sink.h"

void
sink_add_slowly(struct sink *s, const char *bytes, size_t len)
{
	while (len && !s->full) {
		if (s->len == s->cap && !s->grow(s)) {
			s->full = true;
			return;
		}
		size_t part = len < s->cap - s->len ? len : s->cap - s->len;
		memcpy(s->at + s->len, bytes, part);
		s->len += part;
		bytes += part;
		len -= part;
	}
}

void
sink_u64(struct sink *s, uint64_t v)
{
	char digits[20], *p = digits + sizeof digits;
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	sink_add(s, p, (size_t)(digits + sizeof digits - p));
}

static void
escape(struct sink *s, unsigned char c)
{
	static const char hex[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *known = c ? strchr(from, c) : NULL;
	char long_form[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
	if (known)
		sink_add(s, (char[2]){'\\', to[known - from]}, 2);
	else
		sink_add(s, long_form, sizeof long_form);
}

void
sink_escaped(struct sink *s, struct span text)
{
	const char *end = text.at + text.len;
	for (const char *p = text.at; p < end; p++) {
		const char *plain = p;
		while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
			p++;
		sink_add(s, plain, (size_t)(p - plain));
		if (p == end)
			return;
		escape(s, (unsigned char)*p);
	}
}

static void
copy(struct sink *s, struct json_source *source, uint64_t at, uint64_t end)
{
	for (struct span r; (r = json_run(source, at, end)).len; at += r.len)
		sink_span(s, r);
}

void
sink_value(struct sink *s, struct json_source *source, struct json_value v)
{
	copy(s, source, v.at, v.end);
}

void
sink_inside(struct sink *s, struct json_source *source, struct json_value string)
{
	if (string.kind == JSON_STRING && string.end - string.at >= 2)
		copy(s, source, string.at + 1, string.end - 1);
}

void
sink_quoted(struct sink *s, struct json_source *source, struct json_value v)
{
	uint64_t at = v.at;
	for (struct span r; (r = json_run(source, at, v.end)).len; at += r.len)
		sink_escaped(s, r);
}

void
sink_unquoted(struct sink *s, struct json_source *source, struct json_value string)
{
	struct json_text_walk w = json_text_walk(string);
	for (struct span part; (part = json_next_text(source, &w)).len;)
		sink_span(s, part);
}
