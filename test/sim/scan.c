#include "scan.h"

#include <string.h>

/* Reading position; on an error `at` is NULL and every further step fails. */
struct scan {
	const char *at, *end;
};

static char
peek(struct scan *s)
{
	while (s->at && s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
	return s->at && s->at < s->end ? *s->at : 0;
}

static bool
fail(struct scan *s)
{
	s->at = NULL;
	return false;
}

static bool
take(struct scan *s, char c)
{
	if (peek(s) != c)
		return false;
	s->at++;
	return true;
}

static bool
escaped(const char *first, const char *quote)
{
	size_t backslashes = 0;
	while (quote > first && quote[-1] == '\\')
		quote--, backslashes++;
	return backslashes & 1;
}

/* memchr makes a long prompt cost what its memory costs to read. */
static bool
string(struct scan *s, struct span *ret)
{
	if (!take(s, '"'))
		return fail(s);
	const char *first = s->at, *quote = first;
	while ((quote = memchr(quote, '"', (size_t)(s->end - quote))) && escaped(first, quote))
		quote++;
	if (!quote)
		return fail(s);
	*ret = (struct span){first, (size_t)(quote - first)};
	s->at = quote + 1;
	return true;
}

static bool
scalar(struct scan *s, struct span *ret)
{
	const char *first = s->at;
	while (s->at < s->end && !strchr(",]} \t\r\n", *s->at))
		s->at++;
	*ret = (struct span){first, (size_t)(s->at - first)};
	return ret->len > 0 || fail(s);
}

static bool
skip(struct scan *s)
{
	struct span ignored;
	size_t depth = 0;
	do {
		char c = peek(s);
		if (c == '{' || c == '[') {
			depth++;
			s->at++;
		} else if (c == '}' || c == ']') {
			if (!depth--)
				return fail(s);
			s->at++;
		} else if (depth && (c == ',' || c == ':'))
			s->at++;
		else if (!(c == '"' ? string(s, &ignored) : c && scalar(s, &ignored)))
			return fail(s);
	} while (depth);
	return true;
}

/*
 * Steps to the next member's value: true with its key, false at the end of the object or on an
 * error.
 */
static bool
member(struct scan *s, bool *first, struct span *ret_key)
{
	if (*first ? !take(s, '{') : peek(s) != ',' && peek(s) != '}')
		return fail(s);
	bool comma = !*first && take(s, ',');
	if (take(s, '}'))
		return comma ? fail(s) : false;
	if (!*first && !comma)
		return fail(s);
	*first = false;
	return string(s, ret_key) && (take(s, ':') || fail(s));
}

static bool
element(struct scan *s, bool *first)
{
	if (*first ? !take(s, '[') : peek(s) != ',' && peek(s) != ']')
		return fail(s);
	bool comma = !*first && take(s, ',');
	if (take(s, ']'))
		return comma ? fail(s) : false;
	if (!*first && !comma)
		return fail(s);
	*first = false;
	return true;
}

static bool
is(struct span a, const char *word)
{
	return a.len == strlen(word) && memcmp(a.at, word, a.len) == 0;
}

static void
flag(struct scan *s, bool *ret)
{
	struct span v;
	if (!peek(s) || !scalar(s, &v))
		return;
	if (is(v, "true") || is(v, "false"))
		*ret = is(v, "true");
	else if (!is(v, "null"))
		fail(s);
}

static void
number(struct scan *s, int64_t *ret)
{
	struct span v;
	int64_t n = 0;
	if (!peek(s) || !scalar(s, &v) || is(v, "null"))
		return;
	for (size_t i = 0; i < v.len; i++) {
		if (v.at[i] < '0' || v.at[i] > '9' || n > INT64_MAX / 10 - 10) {
			fail(s);
			return;
		}
		n = n * 10 + (v.at[i] - '0');
	}
	*ret = n;
}

static void
text_value(struct scan *s, struct span *ret, uint64_t *bytes)
{
	if (peek(s) != '"') {
		skip(s);
		return;
	}
	if (string(s, ret))
		*bytes += ret->len;
}

/* Content parts: the last text is the message's text, all of them count. */
static void
parts(struct scan *s, struct span *ret, uint64_t *bytes)
{
	struct span key;
	for (bool first = true; element(s, &first);) {
		if (peek(s) != '{') {
			skip(s);
			continue;
		}
		for (bool head = true; member(s, &head, &key);) {
			if (is(key, "text"))
				text_value(s, ret, bytes);
			else
				skip(s);
		}
	}
}

static void
message(struct scan *s, struct sim_request *r)
{
	struct span key, role = {0}, text = {0};
	uint64_t unused = 0;
	for (bool first = true; member(s, &first, &key);) {
		if (is(key, "role"))
			text_value(s, &role, &unused);
		else if (is(key, "content") && peek(s) == '[')
			parts(s, &text, &r->text_bytes);
		else if (is(key, "content"))
			text_value(s, &text, &r->text_bytes);
		else
			skip(s);
	}
	if (is(role, "user"))
		r->last_user = text;
}

static void
stream_options(struct scan *s, struct sim_request *r)
{
	struct span key;
	if (peek(s) != '{') {
		skip(s);
		return;
	}
	for (bool first = true; member(s, &first, &key);) {
		if (is(key, "include_usage"))
			flag(s, &r->include_usage);
		else if (is(key, "include_obfuscation"))
			flag(s, &r->obfuscation);
		else
			skip(s);
	}
}

/* {"type":"function","function":{"name":"..."}}, the shape that tools[] and tool_choice share. */
static void
function_name(struct scan *s, struct span *ret)
{
	struct span key;
	uint64_t unused = 0;
	for (bool first = true; member(s, &first, &key);) {
		if (!is(key, "function") || peek(s) != '{') {
			skip(s);
			continue;
		}
		for (bool head = true; member(s, &head, &key);) {
			if (is(key, "name"))
				text_value(s, ret, &unused);
			else
				skip(s);
		}
	}
}

static void
tools(struct scan *s, struct span *ret)
{
	for (bool first = true; element(s, &first);) {
		if (peek(s) == '{' && !ret->len)
			function_name(s, ret);
		else
			skip(s);
	}
}

static void
tool_choice(struct scan *s, struct sim_request *r, struct span *ret_chosen)
{
	struct span choice = {0};
	uint64_t unused = 0;
	if (peek(s) == '{') {
		function_name(s, ret_chosen);
		r->tool_forced = ret_chosen->len > 0;
		return;
	}
	text_value(s, &choice, &unused);
	r->tool_forced = is(choice, "required");
}

/* Audio is as it is, unless it is asked for in events. */
static void
stream_format(struct scan *s, bool *ret_stream)
{
	struct span format = {0};
	uint64_t unused = 0;
	text_value(s, &format, &unused);
	*ret_stream = is(format, "sse");
}

static void
top_level(struct scan *s, struct span key, struct sim_request *r, struct span *chosen)
{
	uint64_t unused = 0;
	int64_t n = -1;
	if (is(key, "model"))
		text_value(s, &r->model, &unused);
	else if (is(key, "messages") && peek(s) == '[')
		for (bool first = true; element(s, &first);)
			message(s, r);
	else if (is(key, "stream"))
		flag(s, &r->stream);
	else if (is(key, "input"))
		text_value(s, &r->last_user, &r->text_bytes);
	else if (is(key, "stream_format"))
		stream_format(s, &r->stream);
	else if (is(key, "stream_options"))
		stream_options(s, r);
	else if (is(key, "n")) {
		number(s, &n);
		r->n = n > 0 && n <= 128 ? (uint32_t)n : 1;
	} else if (is(key, "max_tokens") || is(key, "max_completion_tokens"))
		number(s, &r->max_tokens);
	else if (is(key, "tools") && peek(s) == '[')
		tools(s, &r->tool);
	else if (is(key, "tool_choice"))
		tool_choice(s, r, chosen);
	else
		skip(s);
}

bool
sim_request_scan(struct span body, struct sim_request *ret)
{
	struct sim_request r = {.n = 1, .max_tokens = -1, .obfuscation = true};
	struct scan s = {body.at, body.at + body.len};
	struct span key, chosen = {0};
	if (!body.len)
		return false;
	for (bool first = true; member(&s, &first, &key);)
		top_level(&s, key, &r, &chosen);
	if (!s.at || peek(&s) || s.at != s.end)
		return false;
	if (chosen.len)
		r.tool = chosen;
	*ret = r;
	return true;
}

static size_t
unit_bytes(struct span s)
{
	unsigned char c = (unsigned char)s.at[0];
	if (c == '\\' && s.len >= 2 && s.at[1] == 'u') {
		bool high = s.len >= 12 && (s.at[2] | 0x20) == 'd' && strchr("89abAB", s.at[3]) && s.at[6] == '\\';
		return high ? 12 : 6;
	}
	if (c == '\\')
		return 2;
	return c < 0x80 ? 1 : c < 0xe0 ? 2
		: c < 0xf0                 ? 3
								   : 4;
}

size_t
sim_json_piece(struct span inside, size_t want)
{
	size_t used = 0;
	while (used < inside.len && used < want) {
		size_t unit = unit_bytes((struct span){inside.at + used, inside.len - used});
		used = unit > inside.len - used ? inside.len : used + unit;
	}
	return used;
}
