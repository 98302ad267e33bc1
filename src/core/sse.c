#include "core/sse.h"

#include "core/bytes_priv.h"

#include <string.h>

enum state {
	BOM_1, /* U+FEFF may open the stream */
	BOM_2,
	BOM_3,
	NAME,
	SPACE, /* one may follow the colon */
	IN_VALUE,
};

static const char bom[] = "\xef\xbb\xbf";

static const struct {
	struct span name;
	enum sse_field field;
} fields[] = {
	{{"data", 4}, SSE_FIELD_DATA},
	{{"event", 5}, SSE_FIELD_EVENT},
	{{"id", 2}, SSE_FIELD_ID},
	{{"retry", 5}, SSE_FIELD_RETRY},
};

void
sse_init(struct sse *s)
{
	*s = (struct sse){.state = BOM_1, .field = SSE_FIELD_UNKNOWN};
}

void
sse_feed(struct sse *s, const char *in, size_t len)
{
	s->p = in;
	s->end = in + len;
}

bool
sse_at_line(const struct sse *s)
{
	return s->state == NAME && s->name_len == 0 && !s->after_cr;
}

static enum sse_field
field_of(const struct sse *s, bool colon)
{
	if (s->name_len == 0 && colon)
		return SSE_FIELD_COMMENT;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (s->name_len == fields[i].name.len && !memcmp(s->name, fields[i].name.at, s->name_len))
			return fields[i].field;
	return SSE_FIELD_UNKNOWN;
}

/* At CR or LF. */
static enum sse_token
line_end(struct sse *s)
{
	bool empty = s->state == NAME && s->name_len == 0;
	if (s->state == NAME)
		s->field = field_of(s, false);
	if (*s->p++ == '\r') {
		if (s->p == s->end)
			s->after_cr = true;
		else if (*s->p == '\n')
			s->p++;
	}
	s->state = NAME;
	s->name_len = 0;
	return empty ? SSE_DISPATCH : SSE_LINE;
}

static enum sse_token
value_bytes(struct sse *s, struct span *ret)
{
	if (bytes_ends_line((unsigned char)*s->p))
		return line_end(s);
	const char *start = s->p;
	s->p = bytes_find_line_end(start, s->end);
	*ret = (struct span){start, (size_t)(s->p - start)};
	return SSE_VALUE;
}

static enum sse_token
name_byte(struct sse *s)
{
	char c = *s->p;
	if (bytes_ends_line((unsigned char)c))
		return line_end(s);
	s->p++;
	if (c == ':') {
		s->field = field_of(s, true);
		s->state = SPACE;
	} else if (s->name_len < SSE_NAME_MAX)
		s->name[s->name_len++] = c;
	return SSE_MORE;
}

/* Nearly every line begins so. */
static inline bool
data_line(struct sse *s)
{
	if (s->name_len || s->end - s->p < 6 || memcmp(s->p, "data:", 5))
		return false;
	s->field = SSE_FIELD_DATA;
	s->state = IN_VALUE;
	s->p += s->p[5] == ' ' ? 6 : 5;
	return true;
}

static void
bom_byte(struct sse *s)
{
	if (*s->p == bom[s->state - BOM_1]) {
		s->p++;
		s->state++; /* BOM_3 is followed by NAME */
		return;
	}
	/* Not a BOM after all: what looked like one begins a name, and no field that we know begins so. */
	s->name_len = (uint8_t)(s->state - BOM_1);
	memcpy(s->name, bom, s->name_len);
	s->state = NAME;
}

enum sse_token
sse_next(struct sse *s, struct span *ret)
{
	enum sse_token t = SSE_MORE;
	while (t == SSE_MORE && s->p < s->end) {
		if (unlikely(s->after_cr)) {
			s->after_cr = false;
			if (*s->p == '\n') {
				s->p++;
				return SSE_LATE_LF;
			}
		}
		switch ((enum state)s->state) {
		case BOM_1:
		case BOM_2:
		case BOM_3:
			bom_byte(s);
			break;
		case NAME:
			if (!data_line(s))
				t = name_byte(s);
			break;
		case SPACE:
			s->p += *s->p == ' ';
			s->state = IN_VALUE;
			break;
		case IN_VALUE:
			t = value_bytes(s, ret);
			break;
		}
	}
	return t;
}
