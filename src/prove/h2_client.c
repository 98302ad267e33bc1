#include "prove/h2_client.h"

#include "prove/provider.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 24 };

static ssize_t
give_body(nghttp2_session *s, int32_t stream, uint8_t *to, size_t cap, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_client *c = source->ptr;
	size_t left = c->body_len - c->body_sent, n = left < cap ? left : cap;
	memcpy(to, c->body + c->body_sent, n);
	c->body_sent += n;
	if (c->body_sent == c->body_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int
take_field(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2_client *c = arg;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0)
		c->status = (unsigned)strtoul((const char *)value, NULL, 10);
	return 0;
}

static int
take_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *at, size_t len, void *arg)
{
	struct h2_client *c = arg;
	size_t room = H2_KEPT_MAX - c->kept_len, n = len < room ? len : room;
	memcpy(c->kept + c->kept_len, at, n);
	c->kept_len += n;
	return 0;
}

static int
stream_ended(nghttp2_session *s, int32_t stream, uint32_t error, void *arg)
{
	((struct h2_client *)arg)->ended = true;
	return 0;
}

static bool
send_pending(struct link *l)
{
	const uint8_t *at;
	ssize_t n;
	while ((n = nghttp2_session_mem_send(l->h2->session, &at)) > 0)
		if (!link_write(l, at, (size_t)n))
			return false;
	return n == 0;
}

static nghttp2_nv
field(const char *name, size_t name_len, const char *value, size_t value_len)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, value_len, NGHTTP2_NV_FLAG_NONE};
}

#define FIELD(name, value) field(name, sizeof(name) - 1, value, strlen(value))

/* "name: value\r\n", some of them. */
static size_t
add_lines(const char *lines, nghttp2_nv *fields, size_t count)
{
	for (const char *at = lines, *end; (end = strstr(at, "\r\n")) && count < FIELDS_MAX; at = end + 2) {
		const char *colon = strstr(at, ": ");
		if (colon && colon < end)
			fields[count++] = field(at, (size_t)(colon - at), colon + 2, (size_t)(end - colon - 2));
	}
	return count;
}

static bool
submit(struct link *l, const struct h2_request *r)
{
	char key[256] = "Bearer ";
	strncat(key, r->key, sizeof key - 8);
	nghttp2_nv fields[FIELDS_MAX] = {FIELD(":method", r->method), FIELD(":scheme", l->ssl ? "https" : "http"), FIELD(":authority", "127.0.0.1"), FIELD(":path", r->path),
		FIELD("content-type", r->type), FIELD("authorization", key), FIELD(PROVE_HEADER, r->number)};
	size_t count = add_lines(r->more, fields, 7);
	const nghttp2_data_provider body = {{.ptr = l->h2}, give_body};
	return nghttp2_submit_settings(l->h2->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0 && nghttp2_submit_request(l->h2->session, NULL, fields, count, r->body_len ? &body : NULL, NULL) > 0;
}

static bool
open_session(struct h2_client *c)
{
	nghttp2_session_callbacks *callbacks;
	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return false;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_ended);
	bool opened = nghttp2_session_client_new(&c->session, callbacks, c) == 0;
	nghttp2_session_callbacks_del(callbacks);
	return opened;
}

bool
h2_client_begin(struct link *l, const struct h2_request *r)
{
	l->h2 = calloc(1, sizeof *l->h2);
	if (!l->h2 || !open_session(l->h2))
		return false;
	l->h2->body = r->body;
	l->h2->body_len = r->body_len;
	bool sent = submit(l, r) && send_pending(l) && l->h2->body_sent == r->body_len;
	l->h2->body = NULL; /* the caller's no longer */
	return sent;
}

bool
h2_client_pump(struct link *l)
{
	uint8_t in[16 << 10];
	size_t n = l->h2->ended ? 0 : link_read(l, in, sizeof in);
	return n > 0 && nghttp2_session_mem_recv(l->h2->session, in, n) == (ssize_t)n && send_pending(l);
}

void
h2_client_free(struct h2_client **c)
{
	if (!*c)
		return;
	nghttp2_session_del((*c)->session);
	free(*c);
	*c = NULL;
}
