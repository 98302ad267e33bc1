/* What goes to the caller, in the framing of its connection: HTTP/1.1's here, HTTP/2's in h2.c. */
#include "edge/edge_priv.h"

#include "edge/h2.h"
#include "edge/receipt_inline.h"
#include "edge/relay.h"

void
reply(struct exchange *x, struct span head, const char *data, size_t len, bool last)
{
	if (!receipt_inline_takes(x, head, (struct span){data, len}, &last))
		reply_now(x, head, data, len, last);
}

/* One write: head, chunk size, data, the end. */
void
reply_now(struct exchange *x, struct span head, const char *data, size_t len, bool last)
{
	char size[24];
	struct text t = text_on(size, sizeof size);
	struct iovec parts[5];
	int n = 0;
	if (!x->client)
		return;
	if (x->client->is_stream) {
		h2_reply(x->client, head, data, len, last);
		return;
	}
	if (head.len)
		parts[n++] = (struct iovec){(char *)head.at, head.len};
	if (len && x->client_chunked) {
		text_hex(&t, len);
		text_lit(&t, "\r\n");
		parts[n++] = (struct iovec){t.at, t.len};
	}
	if (len)
		parts[n++] = (struct iovec){(char *)data, len};
	if (len && x->client_chunked)
		parts[n++] = (struct iovec){(char *)"\r\n", 2};
	if (last && x->client_chunked)
		parts[n++] = (struct iovec){(char *)"0\r\n\r\n", 5};
	if (n)
		client_send(x->client, parts, n);
}

/* Bytes of the first line of a chunk, which is not empty. */
static size_t
size_line(size_t len)
{
	return (64 - (size_t)__builtin_clzll(len) + 3) / 4 + 2;
}

/* A provider that chunks its answer has left room for our size, which is seldom larger than its own. */
static bool
has_room_around(const struct edge *e, const char *data, size_t len)
{
	uintptr_t in = (uintptr_t)e->in, end = in + CARRY_MAX + READ_BYTES, at = (uintptr_t)data;
	return at >= in + size_line(len) && at <= end && end - at >= len + 2;
}

void
reply_from_scratch(struct exchange *x, struct span head, const char *data, size_t len)
{
	struct client *c = x->client;
	if (!c || c->is_stream || x->inlined || !x->client_chunked || head.len || len == 0 || !has_room_around(x->edge, data, len)) {
		reply(x, head, data, len, false);
		return;
	}
	char *at = (char *)data, *end = at + len;
	*end++ = '\r';
	*end++ = '\n';
	edge_in_used(x->edge, (size_t)(end - x->edge->in));
	*--at = '\n';
	*--at = '\r';
	for (size_t left = len; left; left >>= 4)
		*--at = "0123456789abcdef"[left & 15];
	client_send(c, &(struct iovec){at, (size_t)(end - at)}, 1);
}

void
reply_continue(struct exchange *x)
{
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct iovec part = {text, sizeof text - 1};
	if (x->client->is_stream)
		h2_continue(x->client);
	else
		client_send(x->client, &part, 1);
}

bool
reply_is_full(const struct client *c)
{
	return reply_is_behind(c) || (c->x && receipt_inline_waits(c->x));
}

bool
reply_is_behind(const struct client *c)
{
	return c->is_stream ? h2_is_full(c) : c->conn.out.at != NULL;
}

size_t
reply_read_most(const struct client *c)
{
	return c && c->is_stream ? h2_read_most(c) : READ_BYTES;
}

bool
reply_has_unsent(const struct client *c)
{
	return c->is_stream ? h2_has_unsent(c) : c->conn.out.at != NULL;
}
