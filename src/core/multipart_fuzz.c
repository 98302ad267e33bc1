#include "core/multipart.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 64,
	CONTENT_MAX = 4096 };

struct part {
	char name[64];
	size_t name_len, content_len;
	uint64_t from, to;
	bool file, ended;
};

struct outcome {
	enum multipart_error error;
	bool complete, ended;
	unsigned count;
	struct part parts[PARTS];
	char content[CONTENT_MAX]; /* all of them, one behind the other */
	size_t content_len;
};

static void
note(struct outcome *o, enum multipart_token t, const struct multipart_event *ev)
{
	struct part *p = &o->parts[(o->count ? o->count - 1 : 0) % PARTS];
	if (t == MULTIPART_PART) {
		assert(o->count == 0 || p->ended);
		p = &o->parts[o->count++ % PARTS];
		*p = (struct part){.name_len = ev->name.len, .from = ev->at, .file = ev->file};
		memcpy(p->name, ev->name.at, ev->name.len < sizeof p->name ? ev->name.len : sizeof p->name);
	} else if (t == MULTIPART_DATA) {
		assert(o->count && !p->ended && ev->data.len);
		p->content_len += ev->data.len;
		memcpy(o->content + o->content_len, ev->data.at, ev->data.len);
		o->content_len += ev->data.len;
	} else if (t == MULTIPART_PART_END) {
		assert(o->count && !p->ended);
		p->ended = true;
		p->to = ev->at;
		assert(p->to - p->from == p->content_len);
	} else if (t == MULTIPART_END)
		o->ended = true;
}

/* Pieces are copies, so that a read behind one is seen. */
static void
parse(struct span boundary, bool related, const char *in, size_t len, size_t step, struct outcome *o)
{
	struct multipart m;
	struct multipart_event ev = {0};
	memset(o, 0, sizeof *o);
	(related ? multipart_related_init : multipart_init)(&m, boundary);
	for (size_t at = 0; at < len && !o->error; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		multipart_feed(&m, piece, n);
		enum multipart_token t;
		while ((t = multipart_next(&m, &ev)) != MULTIPART_MORE && t != MULTIPART_BAD)
			note(o, t, &ev);
		o->error = m.error;
		assert((t == MULTIPART_BAD) == (m.error != MULTIPART_E_OK));
		free(piece);
	}
	o->complete = !o->error && multipart_complete(&m);
	assert(!o->complete || o->ended);
}

/* "--boundary" in [at, end), or NULL. */
static const char *
find(struct span boundary, const char *at, const char *end)
{
	for (; at + 2 + boundary.len <= end; at++)
		if (at[0] == '-' && at[1] == '-' && !memcmp(at + 2, boundary.at, boundary.len))
			return at;
	return NULL;
}

/*
 * A form that was accepted, taken apart by the letter of RFC 2046: each boundary found stands at the body's start or behind CRLF, and is followed by
 * CRLF or is the last one. Whoever looks for boundaries in another way finds the same ones.
 */
static void
check(struct span boundary, const char *in, size_t len, const struct outcome *o)
{
	const char *at = in, *end = in + len;
	unsigned count = 0;
	assert(find(boundary, in, end) == in);
	for (;;) {
		at += 2 + boundary.len;
		assert(end - at >= 2);
		if (!memcmp(at, "--", 2))
			break;
		assert(!memcmp(at, "\r\n", 2));
		const struct part *p = &o->parts[count++ % PARTS];
		const char *empty = memmem(at, (size_t)(end - at), "\r\n\r\n", 4), *next = find(boundary, at, end);
		assert(empty && next && next - 2 >= empty + 4 && !memcmp(next - 2, "\r\n", 2));
		assert(o->count > PARTS || (p->from == (size_t)(empty + 4 - in) && p->to == (size_t)(next - 2 - in) && p->ended));
		at = next;
	}
	assert(count == o->count);
	assert(end - at == 2 || (end - at == 4 && !memcmp(at + 2, "\r\n", 2)));
}

static void
check_equal(const struct outcome *a, const struct outcome *b)
{
	size_t least = a->content_len < b->content_len ? a->content_len : b->content_len;
	assert(a->error == b->error && a->complete == b->complete && a->count == b->count);
	assert(a->error || a->content_len == b->content_len); /* what is in front of a mistake may be told or not */
	assert(!memcmp(a->content, b->content, least));
	for (unsigned i = 0; i < a->count && i < PARTS; i++) {
		const struct part *p = &a->parts[i], *q = &b->parts[i];
		assert(p->name_len == q->name_len && p->file == q->file && p->from == q->from && p->to == q->to);
		assert(!memcmp(p->name, q->name, sizeof p->name));
	}
}

/* A name as it stands between "name=" and what ends it, wherever that is: in the head there must not be another. */
static void
check_names(const struct outcome *o)
{
	for (unsigned i = 0; i < o->count && i < PARTS; i++) {
		const struct part *p = &o->parts[i];
		size_t n = p->name_len < sizeof p->name ? p->name_len : sizeof p->name;
		assert(!memchr(p->name, '\\', n) && !memchr(p->name, '"', n) && !memchr(p->name, '\n', n) && !memchr(p->name, '\r', n));
	}
}

/* The value of the one line that tells a part's type, found by looking for no more than that; each part of multipart/related that was accepted has its own or none. */
static void
check_types(struct span boundary, const char *in, size_t len, const struct outcome *o)
{
	static const char line[] = "\r\ncontent-type";
	enum { LINE = sizeof line - 1 };
	for (unsigned i = 0; i < o->count && i < PARTS && o->count <= PARTS; i++) {
		const struct part *p = &o->parts[i];
		const char *at = in + (i ? o->parts[i - 1].to + 4 + boundary.len : 2 + boundary.len), *end = in + p->from - 2, *found = NULL;
		assert(end <= in + len && !p->file);
		for (; at + LINE < end; at++)
			if (!strncasecmp(at, line, LINE) && at[LINE] == ':') {
				assert(!found);
				found = at + LINE + 1;
			}
		assert(!found == !p->name_len);
		if (!found)
			continue;
		found += strspn(found, " \t");
		assert(!memcmp(found, p->name, p->name_len < sizeof p->name ? p->name_len : sizeof p->name));
		found += p->name_len;
		found += strspn(found, " \t");
		assert(!memcmp(found, "\r\n", 2));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	const char *line = memchr(data, '\n', size);
	struct span boundary;
	if (size < 3 || size > CONTENT_MAX || !line || line == (const char *)data)
		return 0;
	char *type = malloc((size_t)(line - (const char *)data));
	memcpy(type, data + 1, (size_t)(line - (const char *)data) - 1);
	struct span told = {type, (size_t)(line - (const char *)data) - 1};
	bool related = multipart_related_boundary(told, &boundary), good = related || multipart_boundary(told, &boundary);
	if (!good) { /* no header: the usual one */
		static const char usual[] = "multipart/form-data; boundary=x";
		good = multipart_boundary(SPAN(usual), &boundary);
		assert(good);
	}
	assert(boundary.len >= 1 && boundary.len <= MULTIPART_BOUNDARY_MAX && !memchr(boundary.at, ' ', boundary.len) && !memchr(boundary.at, '"', boundary.len));
	const char *body = line + 1;
	size_t len = size - (size_t)(body - (const char *)data);
	parse(boundary, related, body, len, len + 1, &whole);
	parse(boundary, related, body, len, 1u + data[0] % 32, &pieces);
	check_equal(&whole, &pieces);
	if (whole.complete)
		check(boundary, body, len, &whole);
	if (whole.complete && related)
		check_types(boundary, body, len, &whole);
	if (!related)
		check_names(&whole);
	free(type);
	return 0;
}
