/* READ_HEAD: which endpoint is it, and in whose words is the caller answered? */
#include "edge/edge_priv.h"

#include "edge/duplex.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/models.h"
#include "edge/object.h"
#include "edge/quote.h"
#include "edge/receipt.h"
#include "edge/transparency.h"

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
answer_options(struct exchange *x, struct span path)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES);
	answer_head(x, &t, 204);
	answer_allow(&t, endpoint_methods(path));
	text_lit(&t, "\r\n");
	x->head_sent = x->answered = true;
	reply(x, (struct span){t.at, t.len}, NULL, 0, true);
	exchange_end(x, END_COMPLETED);
}

static bool
argument_is(struct span target, struct span name, struct span value)
{
	struct span v = target_argument(target, name);
	return v.len == value.len && !memcmp(v.at, value.at, v.len);
}

/* Where a path doesn't tell, the headers do: Anthropic's SDKs always name a version, Google's always send their own key header. */
static enum dialect
dialect_of(const struct endpoint_path *r, const struct http1_head *h)
{
	if (r && r->goes == GOES_OBJECT && r->dialect != DIALECT_GEMINI) /* a path that all of them have */
		return http1_field_find(h, HTTP1_ANTHROPIC_VERSION) ? DIALECT_ANTHROPIC : r->dialect;
	bool told = r && (r->endpoint != ENDPOINT_NONE || r->dialect == DIALECT_GEMINI);
	if (told)
		return r->dialect;
	if (http1_field_find(h, HTTP1_ANTHROPIC_VERSION))
		return DIALECT_ANTHROPIC;
	if (http1_field_find(h, HTTP1_X_GOOG_API_KEY) || (h->target.len > 7 && !memcmp(h->target.at, "/v1beta", 7)))
		return DIALECT_GEMINI;
	return DIALECT_OPENAI;
}

static void
go_on(struct exchange *x, const struct endpoint_path *r, const struct http1_head *h, struct span named, struct span rest)
{
	switch (r->goes) {
	case GOES_BODY:
		x->endpoint = (uint8_t)r->endpoint;
		x->sse_asked = argument_is(h->target, SPAN("alt"), SPAN("sse"));
		x->beta_asked = argument_is(h->target, SPAN("beta"), SPAN("true"));
		authenticate(x, h, named, rest);
		return;
	case GOES_DUPLEX:
		x->endpoint = (uint8_t)r->endpoint;
		if (duplex_asked(x, h, &named))
			authenticate(x, h, named, rest);
		return;
	case GOES_OBJECT:
		x->endpoint = (uint8_t)r->endpoint;
		x->beta_asked = argument_is(h->target, SPAN("beta"), SPAN("true"));
		if (object_asked(x, h, r->operation, named, rest))
			authenticate(x, h, (struct span){0}, rest);
		return;
	case GOES_KEY:
		read_head_skip_body(x, h, rest.at, rest.len);
		own_key_answer(x, h);
		return;
	case GOES_QUOTE:
		quote_begin(x, h, rest);
		return;
	case GOES_MODELS:
		x->scope = KEY_SCOPE_MODELS;
		read_head_skip_body(x, h, rest.at, rest.len);
		if (authenticate_key(x, h))
			models_answer(x, named);
		return;
	case GOES_RECEIPT:
		x->scope = KEY_SCOPE_USAGE;
		read_head_skip_body(x, h, rest.at, rest.len);
		if (authenticate_key(x, h))
			receipt_asked(x, named);
		return;
	case GOES_HEALTH:
		read_head_skip_body(x, h, rest.at, rest.len);
		answer_json(x, 200, SPAN("{\"status\":\"ok\"}"));
		return;
	case GOES_TRANSPARENCY:
		read_head_skip_body(x, h, rest.at, rest.len);
		transparency_answer(x, h);
		return;
	}
}

static void
not_here(struct exchange *x, struct span path, enum end_reason reason)
{
	struct span advice = endpoint_advice(path, (enum dialect)x->dialect);
	if (advice.len)
		answer_sentence(x, reason, NULL, advice);
	exchange_end(x, reason);
}

void
read_head(struct client *c, const char *bytes, size_t len)
{
	const struct http1_head *h = &c->edge->head;
	struct span rest = {bytes + h->bytes, len - h->bytes}, named = {0};
	const struct endpoint_path *r = endpoint_find(target_path(h->target), h->method, http1_field_find(h, HTTP1_X_GOOG_API_KEY) != NULL, &named);
	struct exchange *x = exchange_begin(c);
	if (!x) {
		answer_overloaded(c, dialect_of(r, h));
		return;
	}
	x->method = (uint8_t)h->method;
	x->head_only = h->method == HTTP1_HEAD;
	x->keep_client = h->keep_alive && c->pipelined < PIPELINED_MAX;
	c->linger = c->linger || c->pipelined >= PIPELINED_MAX;
	c->http10 = h->minor_version == 0;
	x->dialect = (uint8_t)dialect_of(r, h);
	if (h->method == HTTP1_OPTIONS) {
		read_head_skip_body(x, h, rest.at, rest.len);
		answer_options(x, target_path(h->target));
	} else if (h->websocket && (!r || r->goes != GOES_DUPLEX)) { /* whatever follows the head is no HTTP */
		x->keep_client = false;
		c->linger = true;
		exchange_end(x, r ? END_BAD_HTTP : END_NOT_FOUND);
	} else if (!r || !endpoint_takes(r, h->method)) {
		read_head_skip_body(x, h, rest.at, rest.len);
		x->takes = endpoint_methods(target_path(h->target));
		not_here(x, target_path(h->target), r ? END_BAD_METHOD : END_NOT_FOUND);
	} else
		go_on(x, r, h, named, rest);
}
