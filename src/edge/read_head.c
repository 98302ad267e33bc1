/* READ_HEAD: which endpoint is it? */
#include "edge/edge_priv.h"

/* X(path, is a prefix, method, how it goes on) */
#define PATHS(X) \
	X("/v1/chat/completions", false, HTTP1_POST, GOES_BODY) \
	X("/v1/models", false, HTTP1_GET, GOES_MODELS) \
	X("/v1/models/", true, HTTP1_GET, GOES_MODELS) \
	X("/healthz", false, HTTP1_GET, GOES_HEALTH)

enum goes { GOES_BODY, GOES_MODELS, GOES_HEALTH };

static const struct endpoint_row {
	struct span path;
	bool prefix;
	enum http1_method method;
	enum goes goes;
} endpoints[] = {
#define X(path, prefix, method, goes) {{path, sizeof(path) - 1}, prefix, method, goes},
	PATHS(X)
#undef X
};

static struct span
path_of(struct span target)
{
	const char *query = memchr(target.at, '?', target.len);
	if (query)
		target.len = (size_t)(query - target.at);
	return target;
}

static const struct endpoint_row *
find(struct span path)
{
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		const struct endpoint_row *r = &endpoints[i];
		bool fits = r->prefix ? path.len > r->path.len : path.len == r->path.len;
		if (fits && !memcmp(path.at, r->path.at, r->path.len))
			return r;
	}
	return NULL;
}

/* The body won't be read: if it is here whole, step over it; else the connection ends after the answer. */
void
read_head_skip_body(struct exchange *x, const struct http1_head *h, const char *rest, size_t len)
{
	struct client *c = x->client;
	if (h->chunked || (h->has_length && h->content_length > len)) {
		x->keep_client = false;
		c->linger = true;
		return;
	}
	size_t body = h->has_length ? (size_t)h->content_length : 0;
	client_keep_rest(c, rest + body, len - body);
}

static void
answer_options(struct exchange *x, const struct endpoint_row *r)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES);
	answer_head(x, &t, 204);
	answer_allow(&t, r ? (uint8_t)r->method : HTTP1_METHOD_OTHER);
	text_lit(&t, "\r\n");
	x->head_sent = x->answered = true;
	struct iovec part = {t.at, t.len};
	client_send(x->client, &part, 1);
	exchange_end(x, END_COMPLETED);
}

static bool
method_fits(const struct endpoint_row *r, enum http1_method method)
{
	return method == r->method || (method == HTTP1_HEAD && r->method == HTTP1_GET);
}

static void
go_on(struct exchange *x, const struct endpoint_row *r, const struct http1_head *h, struct span rest)
{
	struct span path = path_of(h->target);
	switch (r->goes) {
	case GOES_BODY:
		authenticate(x, h, rest.at, rest.len);
		return;
	case GOES_MODELS:
		read_head_skip_body(x, h, rest.at, rest.len);
		if (authenticate_key(x, h))
			models_answer(x, r->prefix ? (struct span){path.at + r->path.len, path.len - r->path.len} : (struct span){0});
		return;
	case GOES_HEALTH:
		read_head_skip_body(x, h, rest.at, rest.len);
		answer_json(x, 200, SPAN("{\"status\":\"ok\"}"));
		return;
	}
}

void
read_head(struct client *c, const char *bytes, size_t len)
{
	const struct http1_head *h = &c->edge->head;
	struct span rest = {bytes + h->bytes, len - h->bytes};
	struct exchange *x = exchange_begin(c);
	if (!x) {
		answer_text(c, 503, "overloaded", "The gateway is at capacity; try again in a moment.");
		return;
	}
	x->method = (uint8_t)h->method;
	x->head_only = h->method == HTTP1_HEAD;
	x->keep_client = h->keep_alive;
	c->http10 = h->minor_version == 0;
	const struct endpoint_row *r = h->method == HTTP1_OPTIONS && h->target.len == 1 ? NULL : find(path_of(h->target));
	if (h->method == HTTP1_OPTIONS) {
		read_head_skip_body(x, h, rest.at, rest.len);
		answer_options(x, r);
	} else if (!r || !method_fits(r, h->method)) {
		read_head_skip_body(x, h, rest.at, rest.len);
		x->takes = r ? (uint8_t)r->method : HTTP1_METHOD_OTHER;
		exchange_end(x, r ? END_BAD_METHOD : END_NOT_FOUND);
	} else
		go_on(x, r, h, rest);
}
