/* A provider's sentence out of an error answer, whatever shape it has: see translate.h. */
#include "dialect/translate.h"

#include <string.h>

enum { SENTENCE_MAX = 400 };

static const struct json_node no_interest[2];

static bool
is_whole(struct span body)
{
	struct json_scan scan;
	struct json_event ev;
	enum json_token t;
	json_scan_init(&scan, no_interest);
	json_scan_feed(&scan, body.at, body.len, 0);
	while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
		;
	return t != JSON_BAD && json_scan_complete(&scan);
}

static struct json_value
first_element(struct json_source *s, struct json_value v)
{
	struct json_value first;
	struct json_walk w = json_walk(v);
	return v.kind == JSON_ARRAY && json_next_element(s, &w, &first) ? first : v;
}

/* The string that says it: of an object, of the object in its `error`, of the first in a list; FastAPI calls it msg, others detail. */
static struct json_value
sentence_in(struct json_source *s, struct json_value v)
{
	static const struct span names[] = {SPAN_INIT("error"), SPAN_INIT("message"), SPAN_INIT("detail"), SPAN_INIT("msg"), SPAN_INIT("Message")};
	struct json_value members[ARRAY_LEN(names)], inner;
	for (int depth = 0; depth < 4; depth++) {
		v = first_element(s, v);
		if (v.kind != JSON_OBJECT)
			break;
		json_members(s, v, names, ARRAY_LEN(names), members, NULL);
		inner = (struct json_value){.kind = JSON_MORE};
		for (unsigned i = 0; i < ARRAY_LEN(names) && inner.kind == JSON_MORE; i++)
			if (members[i].kind == JSON_STRING || members[i].kind == JSON_OBJECT || members[i].kind == JSON_ARRAY)
				inner = members[i];
		v = inner;
	}
	return v;
}

/* Up to so many bytes, no half character. */
static size_t
cut_at(const char *text, size_t len, size_t most)
{
	if (len <= most)
		return len;
	while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}

static bool
reads_as_text(struct span text)
{
	if (!text.len || *text.at == '<' || *text.at == '{' || *text.at == '[')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < 0x20 && text.at[i] != '\t')
			return false;
	return true;
}

void
translate_error(const char *body, size_t len, struct text *room)
{
	struct span all = {body, len};
	char sentence[SENTENCE_MAX + 4];
	while (all.len && memchr(" \t\r\n", *all.at, 4))
		all.at++, all.len--;
	while (all.len && memchr(" \t\r\n", all.at[all.len - 1], 4))
		all.len--;
	if (!all.len)
		return;
	struct json_source s = json_source(&all, 1);
	if (is_whole(all)) {
		struct json_value v = sentence_in(&s, json_whole_value(&s));
		size_t n = v.kind == JSON_STRING ? json_text(&s, v, sentence, sizeof sentence) : 0;
		n = n < sizeof sentence ? n : sizeof sentence;
		text_add(room, sentence, cut_at(sentence, n, SENTENCE_MAX));
		return;
	}
	const char *line = memchr(all.at, '\n', all.len);
	if (line)
		all.len = (size_t)(line - all.at) - (line > all.at && line[-1] == '\r');
	if (reads_as_text(all))
		text_add(room, all.at, cut_at(all.at, all.len, SENTENCE_MAX));
}
