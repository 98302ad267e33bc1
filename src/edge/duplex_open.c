#include "edge/duplex.h"

#include "dialect/realtime.h"
#include "edge/endpoints.h"

#include <sodium.h>

/* ---- fields ---- */

static const char field_key[] = "sec-websocket-key", field_version[] = "sec-websocket-version", field_protocol[] = "sec-websocket-protocol",
				  field_accept[] = "sec-websocket-accept", field_extensions[] = "sec-websocket-extensions";

/* The value of a field that may stand once. False: it is there twice. */
static bool
one_field(const struct http1_head *h, const char *name, struct span *ret)
{
	size_t len = strlen(name);
	unsigned count = 0;
	*ret = (struct span){0};
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span n = http1_field_name(h, &h->fields[i]);
		if (n.len != len || strncasecmp(n.at, name, len) != 0)
			continue;
		*ret = http1_field_value(h, &h->fields[i]);
		count++;
	}
	return count < 2;
}

static bool
is(struct span a, struct span b)
{
	return a.len == b.len && !memcmp(a.at, b.at, a.len);
}

/* The next element of a list; what is left of it stays in *list. */
static struct span
next_element(struct span *list)
{
	const char *end = list->at + list->len, *p = list->at;
	while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
		p++;
	const char *start = p;
	while (p < end && *p != ',' && *p != ' ' && *p != '\t')
		p++;
	*list = (struct span){p, (size_t)(end - p)};
	return (struct span){start, (size_t)(p - start)};
}

/* Calls `each` for the elements of all fields of that name. */
static void
each_protocol(const struct http1_head *h, void (*each)(struct span protocol, void *arg), void *arg)
{
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span name = http1_field_name(h, &h->fields[i]), list = http1_field_value(h, &h->fields[i]), one;
		if (name.len != sizeof field_protocol - 1 || strncasecmp(name.at, field_protocol, name.len) != 0)
			continue;
		while ((one = next_element(&list)).len)
			each(one, arg);
	}
}

static const struct span protocol = SPAN_INIT("realtime"), protocol_beta = SPAN_INIT("openai-beta.realtime-v1"), protocol_key = SPAN_INIT("openai-insecure-api-key.");

static void
find_key(struct span p, void *arg)
{
	struct span *key = arg;
	if (p.len > protocol_key.len && !memcmp(p.at, protocol_key.at, protocol_key.len))
		*key = (struct span){p.at + protocol_key.len, p.len - protocol_key.len};
}

struct span
duplex_key(const struct http1_head *h)
{
	struct span key = {0};
	if (h->websocket)
		each_protocol(h, find_key, &key);
	return key;
}

static void
note_offer(struct span p, void *arg)
{
	struct duplex *d = arg;
	d->offers = d->offers || is(p, protocol);
	d->offers_beta = d->offers_beta || is(p, protocol_beta);
}

/* ---- what the client asks ---- */

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* The parser has seen to it that two hexadecimal digits follow each '%'. */
static bool
unescape(struct span s, struct duplex *d, struct span *ret)
{
	size_t len = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		if (c == '%') {
			c = (char)(digit(s.at[i + 1]) << 4 | digit(s.at[i + 2]));
			i += 2;
		}
		if (len == sizeof d->model || !c)
			return false;
		d->model[len++] = c;
	}
	*ret = (struct span){d->model, len};
	return true;
}

static bool
end_with(struct exchange *x, enum end_reason reason)
{
	exchange_end(x, reason);
	return false;
}

static bool
end_bad_request(struct exchange *x, enum request_error error)
{
	answer_request_error(x, error);
	return end_with(x, END_BAD_BODY);
}

static bool
target_fits(struct exchange *x, const struct http1_head *h, struct span *ret_named)
{
	struct span model = target_argument(h->target, SPAN("model"));
	if (target_argument(h->target, SPAN("call_id")).len) /* somebody's call at the provider */
		return end_bad_request(x, REQUEST_FOREIGN_OBJECT);
	if (!model.len)
		return end_bad_request(x, REQUEST_NO_MODEL);
	return unescape(model, x->duplex, ret_named) || end_bad_request(x, REQUEST_BAD_MODEL);
}

/* Over HTTP/2 there is no key: that a server answers CONNECT is proof enough (RFC 8441 5). */
static bool
handshake_fits(struct exchange *x, const struct http1_head *h)
{
	struct span key, version;
	bool once = one_field(h, field_key, &key) && one_field(h, field_version, &version);
	if (!h->websocket || !once || !is(version, SPAN("13")))
		return end_with(x, h->websocket && !once ? END_BAD_HEADER : END_UPGRADE_REQUIRED);
	if (x->client->is_stream)
		return true;
	if (!websocket_key_valid(key))
		return end_with(x, END_BAD_HEADER);
	websocket_accept(key, x->duplex->accept);
	return true;
}

bool
duplex_asked(struct exchange *x, const struct http1_head *h, struct span *ret_named)
{
	uint8_t key[WEBSOCKET_KEY_BYTES];
	x->duplex = vault_alloc(x->edge->vault, sizeof *x->duplex);
	if (!x->duplex)
		return end_with(x, END_OVERLOADED);
	if (!handshake_fits(x, h) || !target_fits(x, h, ret_named))
		return false;
	each_protocol(h, note_offer, x->duplex);
	randombytes_buf(key, sizeof key);
	websocket_key_text(key, x->duplex->key);
	return true;
}

/* ---- what the provider is asked ---- */

static bool
is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

void
duplex_add_query(struct text *t, const struct exchange *x)
{
	static const char hex[] = "0123456789ABCDEF";
	text_lit(t, "?model=");
	for (const char *p = x->route.target->upstream_id; *p; p++) {
		char escaped[3] = {'%', hex[(uint8_t)*p >> 4], hex[(uint8_t)*p & 15]};
		if (is_unreserved(*p))
			text_add(t, p, 1);
		else
			text_add(t, escaped, sizeof escaped);
	}
}

/* The key and what else a client offers stays here; no extension is ever asked for. */
void
duplex_add_handshake(struct text *t, struct exchange *x)
{
	const struct duplex *d = x->duplex;
	text_lit(t, "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ");
	text_add(t, d->key, sizeof d->key);
	text_lit(t, "\r\n");
	if (d->offers || d->offers_beta) {
		text_lit(t, "sec-websocket-protocol: ");
		text_span(t, d->offers ? protocol : protocol_beta);
		if (d->offers && d->offers_beta) {
			text_lit(t, ", ");
			text_span(t, protocol_beta);
		}
		text_lit(t, "\r\n");
	}
}

/* ---- what it answers ---- */

static bool
agreed(const struct duplex *d, const struct http1_head *h)
{
	char want[WEBSOCKET_ACCEPT_TEXT];
	struct span accept, extensions, chosen;
	bool once = one_field(h, field_accept, &accept) && one_field(h, field_extensions, &extensions) && one_field(h, field_protocol, &chosen);
	websocket_accept((struct span){d->key, sizeof d->key}, want);
	bool offered = !chosen.len || (d->offers && is(chosen, protocol)) || (d->offers_beta && is(chosen, protocol_beta));
	return h->websocket && once && is(accept, (struct span){want, sizeof want}) && !extensions.len && offered;
}

/* A client that offers protocols wants one of them to be chosen (browsers fail otherwise), whatever the provider did. */
static void
answer_client(struct exchange *x)
{
	const struct duplex *d = x->duplex;
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	bool stream = x->client->is_stream;
	answer_head(x, &t, stream ? 200 : 101);
	if (!stream) {
		text_lit(&t, "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ");
		text_add(&t, d->accept, sizeof d->accept);
		text_lit(&t, "\r\n");
	}
	if (d->offers || d->offers_beta) {
		text_lit(&t, "sec-websocket-protocol: ");
		text_span(&t, d->offers ? protocol : protocol_beta);
		text_lit(&t, "\r\n");
	}
	text_lit(&t, "\r\n");
	x->up_status = stream ? 200 : 101;
	x->head_sent = true;
	reply(x, (struct span){t.at, t.len}, NULL, 0, false);
}

void
duplex_begin(struct exchange *x, const struct http1_head *h, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	if (!agreed(x->duplex, h)) {
		exchange_end(x, END_PROVIDER_MALFORMED);
		return;
	}
	x->meter = vault_alloc(e->vault, meter_bytes((enum endpoint)x->endpoint));
	if (!x->meter) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	meter_init(x->meter, (enum endpoint)x->endpoint, true, false);
	realtime_open(x->meter, (struct span){x->model->public_id, strlen(x->model->public_id)}, (struct span){x->route.target->upstream_id, strlen(x->route.target->upstream_id)});
	x->streamed = true;
	count_add(e->p->counters, streams_open, 1);
	request_free(x);
	exchange_step(x, STEP_RELAY);
	x->keep_client = true; /* no "connection: close" beside "upgrade" */
	answer_client(x);
	x->keep_client = false;
	if (x->step == STEP_RELAY)
		duplex_run(x, rest, len, eof);
}
