/* What goes to the caller, in the framing of its connection: HTTP/1.1's here, HTTP/2's in h2.c. */
#include "edge/edge_priv.h"

#include "edge/h2.h"
#include "edge/receipt_inline.h"

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
