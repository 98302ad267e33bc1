/*
 * Where parts begin and end. A boundary counts behind CRLF; anywhere else in a content "--boundary" is refused, because some find it behind a bare LF as
 * well. So a content is searched for "--boundary" (memmem, at the speed of memory), and what stands in front of it decides. What may be its beginning at
 * the end of a piece is held until the next one comes.
 */
#include "core/multipart_priv.h"

#include <string.h>

enum state {
	START, /* held_len bytes of the first boundary were seen */
	AFTER, /* behind a boundary */
	AFTER_CR,
	AFTER_DASH,
	HEAD,
	CONTENT,
	CONTENT_END, /* the boundary behind it was seen: to be told */
	EPILOGUE,
	EPILOGUE_CR,
	EPILOGUE_END,
	BROKEN,
};

/* "--boundary", with CRLF in front when it counts. */
enum { CRLF_BYTES = 2 };

void
multipart_init(struct multipart *m, struct span boundary)
{
	*m = (struct multipart){.state = START, .needle_len = (uint8_t)(boundary.len + 4)};
	memcpy(m->needle, "\r\n--", 4);
	memcpy(m->needle + 4, boundary.at, boundary.len);
}

void
multipart_related_init(struct multipart *m, struct span boundary)
{
	multipart_init(m, boundary);
	m->related = true;
}

void
multipart_feed(struct multipart *m, const char *bytes, size_t len)
{
	m->p = bytes;
	m->end = bytes + len;
}

static enum multipart_token
bad(struct multipart *m, enum multipart_error error)
{
	m->state = BROKEN;
	m->error = error;
	return MULTIPART_BAD;
}

static void
advance(struct multipart *m, size_t bytes)
{
	m->p += bytes;
	m->offset += bytes;
}

/* ---- around parts ---- */

static enum multipart_token
start(struct multipart *m)
{
	const char *dashes = m->needle + CRLF_BYTES;
	while (m->p < m->end) {
		if (*m->p != dashes[m->held_len])
			return bad(m, MULTIPART_E_START);
		advance(m, 1);
		if (++m->held_len == m->needle_len - CRLF_BYTES) {
			m->held_len = 0;
			m->state = AFTER;
			break;
		}
	}
	return MULTIPART_MORE;
}

/* One byte behind a boundary, or behind the last one. */
static enum multipart_token
between(struct multipart *m)
{
	static const struct {
		uint8_t from, to;
		char c;
	} steps[] = {
		{AFTER, AFTER_CR, '\r'},
		{AFTER, AFTER_DASH, '-'},
		{AFTER_CR, HEAD, '\n'},
		{AFTER_DASH, EPILOGUE, '-'},
		{EPILOGUE, EPILOGUE_CR, '\r'},
		{EPILOGUE_CR, EPILOGUE_END, '\n'},
	};
	uint8_t from = m->state;
	char c = *m->p;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i].from == from && steps[i].c == c) {
			advance(m, 1);
			m->state = steps[i].to;
			m->head_len = 0;
			if (m->state == HEAD && ++m->parts > MULTIPART_PARTS_MAX)
				return bad(m, MULTIPART_E_TOO_MANY_PARTS);
			if (m->state == EPILOGUE && !m->parts) /* a form without any part */
				return bad(m, MULTIPART_E_START);
			return m->state == EPILOGUE ? MULTIPART_END : MULTIPART_MORE;
		}
	return bad(m, from >= EPILOGUE ? MULTIPART_E_EPILOGUE : MULTIPART_E_DELIMITER);
}

static enum multipart_token
head(struct multipart *m, struct multipart_event *ret)
{
	while (m->p < m->end) {
		if (m->head_len == MULTIPART_HEAD_MAX)
			return bad(m, MULTIPART_E_HEAD_TOO_LARGE);
		m->head[m->head_len++] = *m->p;
		advance(m, 1);
		bool begins_empty = m->head_len == 2 && !memcmp(m->head, "\r\n", 2);
		if (!begins_empty && (m->head_len < 4 || memcmp(m->head + m->head_len - 4, "\r\n\r\n", 4) != 0))
			continue;
		if (memmem(m->head, m->head_len, m->needle + CRLF_BYTES, m->needle_len - CRLF_BYTES))
			return bad(m, MULTIPART_E_STRAY_BOUNDARY);
		enum multipart_error error = multipart_head(m);
		if (error != MULTIPART_E_OK)
			return bad(m, error);
		m->state = CONTENT;
		m->held_len = m->held_sent = 0;
		*ret = (struct multipart_event){.name = {m->head + m->name_at, m->name_len}, .file = m->file, .at = m->offset};
		return MULTIPART_PART;
	}
	return MULTIPART_MORE;
}

/* ---- content ---- */

/* How much of the end of s may be the beginning of a boundary, with or without its CRLF; all of one is no beginning. */
static size_t
beginning(const struct multipart *m, struct span s)
{
	size_t most = s.len < m->needle_len - 1u ? s.len : m->needle_len - 1u;
	for (size_t k = most; k; k--) {
		const char *at = s.at + s.len - k;
		if (!memcmp(at, m->needle, k) || (k + CRLF_BYTES < m->needle_len && !memcmp(at, m->needle + CRLF_BYTES, k)))
			return k;
	}
	return 0;
}

static enum multipart_token
data(struct multipart_event *ret, const char *at, size_t len)
{
	ret->data = (struct span){at, len};
	return MULTIPART_DATA;
}

/* One more byte behind those that are held. */
static enum multipart_token
held_byte(struct multipart *m, struct multipart_event *ret)
{
	m->held[m->held_len++] = *m->p;
	advance(m, 1);
	size_t dashes = m->needle_len - CRLF_BYTES;
	if (m->held_len == m->needle_len && !memcmp(m->held, m->needle, m->needle_len)) {
		m->held_len = 0;
		m->state = CONTENT_END;
		return MULTIPART_MORE;
	}
	if (m->held_len >= dashes && !memcmp(m->held + m->held_len - dashes, m->needle + CRLF_BYTES, dashes))
		return bad(m, MULTIPART_E_STRAY_BOUNDARY);
	m->held_sent = (uint8_t)(m->held_len - beginning(m, (struct span){m->held, m->held_len}));
	return m->held_sent ? data(ret, m->held, m->held_sent) : MULTIPART_MORE;
}

/* Nothing is held: look for the boundary in all that is there. */
static enum multipart_token
search(struct multipart *m, struct multipart_event *ret)
{
	const char *from = m->p;
	size_t len = (size_t)(m->end - from), dashes = m->needle_len - (size_t)CRLF_BYTES;
	const char *found = memmem(from, len, m->needle + CRLF_BYTES, dashes);
	if (!found) {
		size_t hold = beginning(m, (struct span){from, len});
		memcpy(m->held, m->end - hold, hold);
		m->held_len = (uint8_t)hold;
		advance(m, len);
		return len > hold ? data(ret, from, len - hold) : MULTIPART_MORE;
	}
	size_t before = (size_t)(found - from);
	if (before < CRLF_BYTES || memcmp(found - CRLF_BYTES, m->needle, CRLF_BYTES) != 0)
		return bad(m, MULTIPART_E_STRAY_BOUNDARY);
	advance(m, before + dashes);
	m->state = CONTENT_END;
	return before > CRLF_BYTES ? data(ret, from, before - CRLF_BYTES) : MULTIPART_MORE;
}

static enum multipart_token
content(struct multipart *m, struct multipart_event *ret)
{
	if (m->held_sent) { /* told with the last call */
		m->held_len = (uint8_t)(m->held_len - m->held_sent);
		memmove(m->held, m->held + m->held_sent, m->held_len);
		m->held_sent = 0;
	}
	if (m->p == m->end)
		return MULTIPART_MORE;
	return m->held_len ? held_byte(m, ret) : search(m, ret);
}

enum multipart_token
multipart_next(struct multipart *m, struct multipart_event *ret)
{
	enum multipart_token t = MULTIPART_MORE;
	while (t == MULTIPART_MORE) {
		if (m->state == CONTENT_END) {
			m->state = AFTER;
			ret->at = m->offset - m->needle_len;
			return MULTIPART_PART_END;
		}
		if (m->state == BROKEN)
			return MULTIPART_BAD;
		if (m->p == m->end && !(m->state == CONTENT && m->held_sent))
			return MULTIPART_MORE;
		t = m->state == START ? start(m) : m->state == HEAD ? head(m, ret)
			: m->state == CONTENT                           ? content(m, ret)
															: between(m);
	}
	return t;
}

bool
multipart_complete(const struct multipart *m)
{
	return m->state == EPILOGUE || m->state == EPILOGUE_END;
}
