/*
 * What the fuzzers of HTTP/1 heads share: a slow second opinion, by other means than the parser's. Fuzzing
 * only; owns nothing.
 */
#ifndef CORE_HTTP1_FUZZ_H
#define CORE_HTTP1_FUZZ_H

#include "core/http1.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static inline struct span
fuzz_trimmed(struct span s)
{
	for (; s.len && (s.at[0] == ' ' || s.at[0] == '\t'); s.len--)
		s.at++;
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static inline bool
fuzz_is(struct span s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

/* How many fields of that name stand in the head's lines; *ret_value is the last one's. */
static inline unsigned
fuzz_fields_named(struct span head, const char *name, struct span *ret_value)
{
	unsigned n = 0;
	const char *end = head.at + head.len, *p = memchr(head.at, '\n', head.len);
	for (p = p ? p + 1 : end; p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p)), *colon = memchr(p, ':', (size_t)(end - p));
		if (colon && eol && colon < eol && fuzz_is((struct span){p, (size_t)(colon - p)}, name)) {
			*ret_value = fuzz_trimmed((struct span){colon + 1, (size_t)(eol - 1 - colon - 1)});
			n++;
		}
		p = eol ? eol + 1 : end;
	}
	return n;
}

static inline void
fuzz_check_length(struct span v, const struct http1_head *h, bool body_allowed)
{
	char digits[32];
	assert(v.len > 0 && v.len < sizeof digits);
	memcpy(digits, v.at, v.len);
	digits[v.len] = 0;
	assert(strspn(digits, "0123456789") == v.len && (v.len == 1 || digits[0] != '0'));
	if (body_allowed)
		assert(h->has_length && h->content_length == strtoull(digits, NULL, 10));
}

/*
 * Of a head that was accepted: no line break but CR LF, no folding, no control bytes; and one framing, which
 * is what the fields say.
 */
static inline void
fuzz_check_head(struct span head, const struct http1_head *h, bool body_allowed)
{
	struct span length = {NULL, 0}, coding = {NULL, 0};
	for (size_t i = 0; i < head.len; i++) {
		unsigned char c = (unsigned char)head.at[i];
		assert(c >= 0x20 || c == '\t' || c == '\r' || c == '\n');
		assert(c != 0x7f);
		assert((c == '\r') == (i + 1 < head.len && head.at[i + 1] == '\n'));
		assert(c != '\n' || (i && head.at[i - 1] == '\r'));
		assert(c != '\n' || i + 1 == head.len || (head.at[i + 1] != ' ' && head.at[i + 1] != '\t'));
	}
	assert(head.len >= 4 && !memcmp(head.at + head.len - 4, "\r\n\r\n", 4));
	for (size_t i = 0; i < h->field_count; i++) {
		struct span name = http1_field_name(h, &h->fields[i]);
		assert(name.len > 0 && name.at[name.len] == ':');
		for (size_t k = 0; k < name.len; k++)
			assert(name.at[k] > 0x20 && !strchr(" \t\"(),/:;<=>?@[\\]{}", name.at[k]));
	}
	for (enum http1_field_id id = 1; id < HTTP1_FIELD_COUNT; id++) {
		const struct http1_field *first = NULL;
		for (size_t i = h->field_count; i-- > 0;)
			first = h->fields[i].id == id ? &h->fields[i] : first;
		assert(http1_field_find(h, id) == first);
	}
	unsigned lengths = fuzz_fields_named(head, "content-length", &length);
	unsigned codings = fuzz_fields_named(head, "transfer-encoding", &coding);
	assert(lengths + codings <= 1);
	assert(!codings || (fuzz_is(coding, "chunked") && h->minor_version == 1));
	assert(!h->chunked || codings);
	if (codings && body_allowed)
		assert(h->chunked && !h->has_length);
	if (lengths)
		fuzz_check_length(length, h, body_allowed);
}

#endif
