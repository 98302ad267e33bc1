#include "edge/h2_priv.h"

#include "edge/h2.h"

#include <assert.h>

enum { GATHER_BYTES = 64 << 10 };

/* ---- nghttp2's memory ---- */

static void *
take(size_t bytes, void *vault)
{
	return bytes && bytes <= VAULT_BLOCK_MAX ? vault_alloc(vault, bytes) : NULL;
}

static void
give(void *p, void *vault)
{
	if (p)
		vault_free(vault, p, vault_bytes_of(vault, p));
}

static void *
take_many(size_t count, size_t bytes, void *vault) /* the vault gives zeros */
{
	return bytes && count <= VAULT_BLOCK_MAX / bytes ? take(count * bytes, vault) : NULL;
}

static void *
change(void *p, size_t bytes, void *vault)
{
	if (!p || vault_bytes_of(vault, p) < bytes) {
		void *larger = take(bytes, vault);
		if (larger && p)
			memcpy(larger, p, vault_bytes_of(vault, p));
		if (larger)
			give(p, vault);
		return larger;
	}
	return p;
}

nghttp2_mem
h2_memory(struct edge *e)
{
	return (nghttp2_mem){e->vault, take, give, take_many, change};
}

bool
h2_prepare(struct edge *e)
{
	if (!e->h2_out)
		e->h2_out = vault_alloc(e->vault, GATHER_BYTES);
	return e->h2_out;
}

/* ---- what a peer may do for nothing ---- */

static void
refill(struct h2_allowance *a, uint32_t most, uint32_t each_second, uint64_t now_ms)
{
	uint64_t passed = now_ms - a->refilled_ms;
	if (passed >= 1000) {
		uint64_t left = a->left + passed / 1000 * each_second;
		a->left = left < most ? (uint32_t)left : most;
		a->refilled_ms = now_ms - passed % 1000;
	}
}

bool
h2_spend(struct h2_allowance *a, uint32_t most, uint32_t each_second, uint64_t now_ms)
{
	refill(a, most, each_second, now_ms);
	if (a->left == 0)
		return false;
	a->left--;
	return true;
}

bool
h2_is_spent(struct h2_allowance *a, uint32_t most, uint32_t each_second, uint64_t now_ms)
{
	refill(a, most, each_second, now_ms);
	return a->left < most - most / 8;
}

void
h2_earn(struct h2_allowance *a, uint32_t count, uint32_t most)
{
	a->left = a->left < most - count ? a->left + count : most;
}

bool
h2_moves_nothing(const nghttp2_frame *frame)
{
	switch (frame->hd.type) {
	case NGHTTP2_DATA: /* padding is none of the body, the byte that says how much there is included */
		return frame->hd.length <= frame->data.padlen && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_WINDOW_UPDATE:
		return true;
	default:
		return false;
	}
}

void
h2_count_unknown(nghttp2_option *o)
{
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
}

/* ---- writing ---- */

/* Room for one more frame of data, whatever else comes with it. */
static bool
has_room(const struct edge *e)
{
	return e->h2_out_len <= GATHER_BYTES - H2_FRAME_MAX - 64;
}

char *
h2_gather(struct edge *e, const uint8_t *head, size_t len)
{
	enum { HEAD_BYTES = 9 };
	if (!has_room(e))
		return NULL;
	char *at = e->h2_out + e->h2_out_len;
	assert(len <= H2_FRAME_MAX);
	memcpy(at, head, HEAD_BYTES);
	e->h2_out_len += (uint32_t)(HEAD_BYTES + len);
	return at + HEAD_BYTES;
}

/* nghttp2 keeps what it has written until it writes something else; fields may be somebody's words. */
static void
forget_fields(const uint8_t *frame, size_t len)
{
	enum { TYPE_AT = 3 };
	if (len > TYPE_AT && (frame[TYPE_AT] == NGHTTP2_HEADERS || frame[TYPE_AT] == NGHTTP2_CONTINUATION))
		explicit_bzero((void *)(uintptr_t)frame, len);
}

/* Frames of data put themselves behind the others (h2_gather). Returns what nghttp2 said last. */
static ssize_t
gather(struct edge *e, nghttp2_session *session)
{
	const uint8_t *some;
	ssize_t n = 0;
	while (has_room(e) && (n = nghttp2_session_mem_send(session, &some)) > 0) {
		assert(e->h2_out_len + (size_t)n <= GATHER_BYTES);
		memcpy(e->h2_out + e->h2_out_len, some, (size_t)n);
		e->h2_out_len += (uint32_t)n;
		forget_fields(some, (size_t)n);
	}
	return n;
}

bool
h2_write(struct edge *e, struct conn *c, nghttp2_session *session, uint64_t *ret_bytes)
{
	uint64_t bytes;
	*ret_bytes = 0;
	assert(e->h2_out_len == 0);
	if (c->out.at && conn_write(e, c, NULL, 0, ret_bytes) == WROTE_BROKEN)
		return false;
	while (!c->out.at) {
		ssize_t n = gather(e, session);
		size_t len = e->h2_out_len;
		e->h2_out_len = 0;
		if (len == 0)
			return n == 0;
		struct iovec part = {e->h2_out, len};
		enum wrote r = conn_write(e, c, &part, 1, &bytes);
		explicit_bzero(e->h2_out, len);
		*ret_bytes += bytes;
		if (r == WROTE_BROKEN)
			return false;
	}
	return true;
}

/* ---- fields ---- */

static bool
is(struct span a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.at, b, a.len) == 0;
}

static bool
is_of_connection(struct span name)
{
	static const char *const names[] = {"connection", "transfer-encoding", "keep-alive", "proxy-connection", "upgrade"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is(name, names[i]))
			return true;
	return false;
}

static void
lower(char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] >= 'A' && at[i] <= 'Z')
			at[i] = (char)(at[i] | 0x20);
}

/*
 * What both ends may keep in their tables for as long as the connection lives (RFC 7541 2.3.2): what is the same each time, and nobody's secret. All else
 * would only push that out again, and a table forgets late.
 */
static bool
may_be_kept(struct span name, struct span value)
{
	static const char *const names[] = {"date", "user-agent", "accept-encoding"}, *const types[] = {"application/json", "text/event-stream"};
	if (name.at[0] == ':')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is(name, names[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (is(name, "content-type") && is(value, types[i]))
			return true;
	return false;
}

nghttp2_nv
h2_field(const char *name, size_t name_len, const char *value, size_t value_len)
{
	bool kept = may_be_kept((struct span){name, name_len}, (struct span){value, value_len});
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, name_len, value_len, kept ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX};
}

/* The lines behind the first. A `host` becomes :authority, which stands at out[authority]. */
static size_t
add_lines(struct span head, nghttp2_nv *out, size_t count, size_t authority)
{
	char *at = memchr(head.at, '\n', head.len), *end = (char *)head.at + head.len;
	for (at++; at + 2 < end && count < H2_FIELDS_OUT;) {
		char *line_end = memchr(at, '\r', (size_t)(end - at)), *colon = memchr(at, ':', (size_t)(line_end - at));
		size_t name_len = (size_t)(colon - at);
		char *value = colon + 1 < line_end && colon[1] == ' ' ? colon + 2 : colon + 1;
		lower(at, name_len);
		if (authority && name_len == 4 && memcmp(at, "host", 4) == 0)
			out[authority] = h2_field(":authority", 10, value, (size_t)(line_end - value));
		else if (!is_of_connection((struct span){at, name_len}))
			out[count++] = h2_field(at, name_len, value, (size_t)(line_end - value));
		at = line_end + 2;
	}
	return count;
}

size_t
h2_answer_fields(struct span head, nghttp2_nv out[H2_FIELDS_OUT])
{
	out[0] = h2_field(":status", 7, head.at + 9, 3);
	return add_lines(head, out, 1, 0);
}

size_t
h2_request_fields(struct span head, nghttp2_nv out[H2_FIELDS_OUT])
{
	const char *method_end = memchr(head.at, ' ', head.len), *path = method_end + 1;
	const char *path_end = memchr(path, ' ', head.len - (size_t)(path - head.at));
	out[0] = h2_field(":method", 7, head.at, (size_t)(method_end - head.at));
	out[1] = h2_field(":scheme", 7, "https", 5);
	out[2] = h2_field(":path", 5, path, (size_t)(path_end - path));
	return add_lines(head, out, 4, 3);
}
