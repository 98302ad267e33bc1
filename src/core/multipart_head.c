/* The lines in front of a part, and the boundary that Content-Type names: values with parameters (RFC 9110 5.6.6, RFC 7578 4.2). */
#include "core/http1_priv.h"
#include "core/multipart_priv.h"

#include <string.h>
#include <strings.h>

static bool
same(struct span a, struct span b)
{
	return a.len == b.len && !strncasecmp(a.at, b.at, b.len);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
skip_blanks(struct span *s)
{
	while (s->len && is_blank(s->at[0])) {
		s->at++;
		s->len--;
	}
}

/* The token at the front of s, taken away from it; may be empty. */
static struct span
take_token(struct span *s)
{
	struct span t = {s->at, 0};
	while (t.len < s->len && http1_is(t.at[t.len], HTTP1_CHAR_TOKEN))
		t.len++;
	s->at += t.len;
	s->len -= t.len;
	return t;
}

/*
 * What stands in quotes. A backslash in front of a quote is an escape to some and the end of the value to others, so none may stand there; elsewhere it is
 * itself (names of files on Windows).
 */
static bool
take_quoted(struct span *s, struct span *ret)
{
	const char *close = memchr(s->at + 1, '"', s->len - 1);
	if (!close || close[-1] == '\\')
		return false;
	*ret = (struct span){s->at + 1, (size_t)(close - s->at - 1)};
	s->len -= ret->len + 2;
	s->at = close + 1;
	return true;
}

struct parameter {
	struct span name, value;
};

/* 1: one more; 0: there is none; -1: it can't be read. */
static int
take_parameter(struct span *s, struct parameter *ret)
{
	skip_blanks(s);
	if (!s->len)
		return 0;
	if (s->at[0] != ';')
		return -1;
	s->at++;
	s->len--;
	skip_blanks(s);
	ret->name = take_token(s);
	if (!ret->name.len || !s->len || s->at[0] != '=')
		return -1;
	s->at++;
	s->len--;
	if (s->len && s->at[0] == '"')
		return take_quoted(s, &ret->value) ? 1 : -1;
	ret->value = take_token(s);
	return ret->value.len ? 1 : -1;
}

/* RFC 2046 5.1.1, without the blank: nobody uses it, and where it ends is read in two ways. */
static bool
is_boundary(struct span s)
{
	if (!s.len || s.len > MULTIPART_BOUNDARY_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
		if (!letter && !digit && (c == 0 || !strchr("'()+_,-./:=?", c)))
			return false;
	}
	return true;
}

/* `only`: there is nothing else but "type". */
static bool
boundary_of(struct span type, bool only, struct span content_type, struct span *ret)
{
	struct span boundary = {0};
	struct parameter p;
	int more;
	if (content_type.len < type.len || !same((struct span){content_type.at, type.len}, type))
		return false;
	content_type.at += type.len;
	content_type.len -= type.len;
	while ((more = take_parameter(&content_type, &p)) > 0) {
		if (only && !same(p.name, SPAN("boundary")) && !same(p.name, SPAN("type")))
			return false;
		if (!same(p.name, SPAN("boundary")))
			continue;
		if (boundary.len)
			return false;
		boundary = p.value;
		if (!is_boundary(boundary))
			return false;
	}
	if (more < 0 || !boundary.len)
		return false;
	*ret = boundary;
	return true;
}

bool
multipart_boundary(struct span content_type, struct span *ret)
{
	return boundary_of(SPAN("multipart/form-data"), false, content_type, ret);
}

/* "start" would say which part is the first. */
bool
multipart_related_boundary(struct span content_type, struct span *ret)
{
	return boundary_of(SPAN("multipart/related"), true, content_type, ret);
}

static bool
is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] == '\\')
			return false;
	return true;
}

/* name once, filename and filename* each at most once; name* would be a second name. */
static bool
disposition(struct multipart *m, struct span v)
{
	enum { NAME = 1,
		FILENAME = 2,
		FILENAME_STAR = 4 };
	struct parameter p;
	unsigned seen = 0;
	int more;
	if (!same(take_token(&v), SPAN("form-data")))
		return false;
	while ((more = take_parameter(&v, &p)) > 0) {
		unsigned which = same(p.name, SPAN("name")) ? NAME : same(p.name, SPAN("filename")) ? FILENAME
			: same(p.name, SPAN("filename*"))                                               ? FILENAME_STAR
																							: 0;
		if (seen & which || same(p.name, SPAN("name*")) || (which == NAME && !is_plain(p.value)))
			return false;
		seen |= which;
		if (which == NAME) {
			m->name_at = (uint16_t)(p.value.at - m->head);
			m->name_len = (uint16_t)p.value.len;
		}
	}
	m->file = (seen & (FILENAME | FILENAME_STAR)) != 0;
	return more == 0 && seen & NAME;
}

/* Content-Transfer-Encoding: those that change nothing. */
static bool
is_identity(struct span v)
{
	return same(v, SPAN("binary")) || same(v, SPAN("8bit")) || same(v, SPAN("7bit"));
}

static bool
is_text(struct span v)
{
	for (size_t i = 0; i < v.len; i++)
		if (((unsigned char)v.at[i] < 0x20 && v.at[i] != '\t') || v.at[i] == 0x7f)
			return false;
	return true;
}

/* What a part without a name is of: said once. */
static bool
take_type(struct multipart *m, struct span value)
{
	if (!value.len || m->name_len)
		return false;
	m->name_at = (uint16_t)(value.at - m->head);
	m->name_len = (uint16_t)value.len;
	return true;
}

static enum multipart_error
field(struct multipart *m, struct span name, struct span value, bool *disposed)
{
	static const struct span nested = SPAN_INIT("multipart/");
	if (!is_text(value) || (m->related && same(name, SPAN("content-type")) && !take_type(m, value)))
		return MULTIPART_E_HEAD;
	if (!m->related && same(name, SPAN("content-disposition"))) {
		if (*disposed || !disposition(m, value))
			return MULTIPART_E_DISPOSITION;
		*disposed = true;
	} else if (same(name, SPAN("content-transfer-encoding")) && !is_identity(value))
		return MULTIPART_E_TRANSFER;
	else if (same(name, SPAN("content-type")) && value.len >= nested.len && same((struct span){value.at, nested.len}, nested))
		return MULTIPART_E_NESTED;
	return MULTIPART_E_OK;
}

/* "name: value", without its line's end. */
static enum multipart_error
line(struct multipart *m, struct span l, bool *disposed)
{
	struct span name = take_token(&l);
	if (!name.len || !l.len || l.at[0] != ':')
		return MULTIPART_E_HEAD;
	l.at++;
	l.len--;
	skip_blanks(&l);
	while (l.len && is_blank(l.at[l.len - 1]))
		l.len--;
	return field(m, name, l, disposed);
}

enum multipart_error
multipart_head(struct multipart *m)
{
	const char *at = m->head, *end = m->head + m->head_len - 2; /* the last line's end is that of the empty line */
	bool disposed = m->related;
	m->name_len = 0;
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		if (!lf || lf == at || lf[-1] != '\r')
			return MULTIPART_E_HEAD;
		enum multipart_error error = line(m, (struct span){at, (size_t)(lf - 1 - at)}, &disposed);
		if (error != MULTIPART_E_OK)
			return error;
		at = lf + 1;
	}
	return disposed ? MULTIPART_E_OK : MULTIPART_E_DISPOSITION;
}
