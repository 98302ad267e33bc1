#include "core/sse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines and events written down: field letter, value, 0xff for a line's end; 0xfe for an event's end. */
struct log {
	char *at;
	size_t len;
};

static void
add(struct log *l, const char *bytes, size_t len)
{
	memcpy(l->at + l->len, bytes, len);
	l->len += len;
}

static const char letters[] = "deirc?";

static struct log
split(const char *in, size_t len, size_t step)
{
	struct log l = {malloc(3 * len + 4), 0};
	struct sse s;
	bool in_line = false;
	sse_init(&s);
	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		sse_feed(&s, piece, n);
		struct span value = {NULL, 0};
		for (enum sse_token t; (t = sse_next(&s, &value)) != SSE_MORE;) {
			assert(s.p > piece && s.p <= piece + n);
			if (t == SSE_LATE_LF) {
				assert(s.p == piece + 1 && *piece == '\n' && at && in[at - 1] == '\r');
				continue;
			}
			if (t != SSE_DISPATCH && !in_line)
				add(&l, &letters[s.field], 1);
			if (t == SSE_VALUE)
				add(&l, value.at, value.len);
			else
				add(&l, t == SSE_LINE ? "\xff" : "\xfe", 1);
			in_line = t == SSE_VALUE;
		}
		free(piece);
	}
	return l;
}

static char
letter_of(struct span name, bool colon)
{
	static const char *const names[] = {"data", "event", "id", "retry"};
	if (name.len == 0 && colon)
		return 'c';
	for (size_t i = 0; i < 4; i++)
		if (name.len == strlen(names[i]) && !memcmp(name.at, names[i], name.len))
			return letters[i];
	return '?';
}

static void
slow_line(struct log *l, struct span line)
{
	const char *colon = memchr(line.at, ':', line.len), *end = line.at + line.len;
	char letter = letter_of((struct span){line.at, colon ? (size_t)(colon - line.at) : line.len}, colon);
	const char *value = colon ? colon + 1 : end;
	if (value < end && *value == ' ')
		value++;
	add(l, &letter, 1);
	add(l, value, (size_t)(end - value));
	add(l, "\xff", 1);
}

/* The standard's algorithm as it is written, with the whole stream at hand. What has no line end yet is left out. */
static struct log
slow_split(const char *in, size_t len)
{
	struct log l = {malloc(3 * len + 4), 0};
	const char *p = in, *end = in + len;
	if (len >= 3 && !memcmp(in, "\xef\xbb\xbf", 3))
		p += 3;
	while (p < end) {
		const char *eol = p;
		while (eol < end && *eol != '\r' && *eol != '\n')
			eol++;
		if (eol == end)
			break;
		if (eol == p)
			add(&l, "\xfe", 1);
		else
			slow_line(&l, (struct span){p, (size_t)(eol - p)});
		p = eol + (*eol == '\r' && eol + 1 < end && eol[1] == '\n' ? 2 : 1);
	}
	return l;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const char *in = (const char *)data + 1;
	size_t len = size - 1;
	struct log whole = split(in, len, len ? len : 1), pieces = split(in, len, 1u + data[0] % 16), slow = slow_split(in, len);
	assert(whole.len == pieces.len && !memcmp(whole.at, pieces.at, whole.len));
	assert(whole.len >= slow.len && !memcmp(whole.at, slow.at, slow.len));
	free(whole.at);
	free(pieces.at);
	free(slow.at);
	return 0;
}
