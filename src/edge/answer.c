/* What Lethe itself says, in the words and shapes of the caller's dialect, so that the SDK raises its own right error. */
#include "edge/answer.h"

#include "edge/duplex.h"
#include "edge/endpoints.h"
#include "edge/h2.h"
#include "edge/limit.h"
#include "edge/object_keep.h"
#include "edge/passage.h"
#include "edge/receipt.h"
#include "edge/stored.h"
#include "edge/transparency.h"
#include "ticket/ids.h"

#include <assert.h>

static const struct reason_row {
	uint16_t status;
	const char *type, *code, *text;
} reasons[COUNTER_END_REASONS] = {
#define X(name, number, status, severity, type, code, billing, text) [number] = {status, type, code, text},
	END_REASONS(X)
#undef X
};

/* X(status, reason phrase) */
#define STATUSES(X) \
	X(101, "Switching Protocols") \
	X(200, "OK") \
	X(204, "No Content") \
	X(400, "Bad Request") \
	X(401, "Unauthorized") \
	X(402, "Payment Required") \
	X(403, "Forbidden") \
	X(404, "Not Found") \
	X(405, "Method Not Allowed") \
	X(408, "Request Timeout") \
	X(409, "Conflict") \
	X(413, "Content Too Large") \
	X(414, "URI Too Long") \
	X(415, "Unsupported Media Type") \
	X(417, "Expectation Failed") \
	X(422, "Unprocessable Content") \
	X(426, "Upgrade Required") \
	X(429, "Too Many Requests") \
	X(431, "Request Header Fields Too Large") \
	X(500, "Internal Server Error") \
	X(501, "Not Implemented") \
	X(502, "Bad Gateway") \
	X(503, "Service Unavailable") \
	X(504, "Gateway Timeout") \
	X(505, "HTTP Version Not Supported")

static const char *
phrase(uint16_t status)
{
	switch (status) {
#define X(number, text) \
	case number: \
		return text;
		STATUSES(X)
#undef X
	default:
		return "";
	}
}

/* What we say ourselves is JSON, whatever a browser would make of it. */
#define OURS "content-type: application/json\r\nx-content-type-options: nosniff\r\n"

uint16_t
reason_status(enum end_reason reason)
{
	uint16_t status = reasons[reason].status;
	return status ? status : 502;
}

static void
status_line(struct text *t, uint16_t status)
{
	text_lit(t, "HTTP/1.1 ");
	text_u64(t, status);
	text_lit(t, " ");
	text_str(t, phrase(status));
	text_lit(t, "\r\n");
}

void
answer_head(struct exchange *x, struct text *t, uint16_t status)
{
	struct edge *e = x->edge;
	char id[ID_TEXT_MAX];
	struct span text = {id, id_text(ID_REQUEST, x->id, id)};
	status_line(t, status);
	text_add(t, e->date, e->date_len);
	text_lit(t, "x-request-id: ");
	text_span(t, text);
	text_lit(t, "\r\n");
	if (x->dialect == DIALECT_ANTHROPIC) { /* where its SDKs look */
		text_lit(t, "request-id: ");
		text_span(t, text);
		text_lit(t, "\r\n");
	}
	if (x->limited.rows[0])
		limit_headers(x, t);
	receipt_head_line(x, text, t);
	if (e->p->expose_route && x->route.target && x->route.count) {
		text_lit(t, "lethe-provider: ");
		text_str(t, catalogue_provider(e->p->catalogue, x->route.target->provider)->name);
		text_lit(t, "\r\nlethe-lane: ");
		text_str(t, catalogue_lane(e->p->catalogue, x->route.target->lane)->name);
		text_lit(t, "\r\n");
	}
	if (x->capped) {
		text_lit(t, "lethe-capped: ");
		text_u64(t, x->capped);
		text_lit(t, "\r\n");
	}
	passage_add_headers(t, x);
	if (status == 101) /* its connection field is another */
		return;
	if (!x->keep_client || e->draining || e->retiring) {
		x->keep_client = false;
		text_lit(t, "connection: close\r\n");
	} else if (x->client && x->client->http10)
		text_lit(t, "connection: keep-alive\r\n");
}

static void
send_whole(struct exchange *x, struct text *head, struct span body)
{
	text_lit(head, "content-length: ");
	text_u64(head, body.len);
	text_lit(head, "\r\n\r\n");
	assert(!head->cut);
	x->head_sent = x->answered = true;
	x->client_chunked = false; /* whatever was begun before it */
	reply(x, (struct span){head->at, head->len}, body.at, x->head_only ? 0 : body.len, true);
}

void
answer_json(struct exchange *x, uint16_t status, struct span body)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	answer_head(x, &t, status);
	text_lit(&t, OURS);
	x->up_status = status;
	send_whole(x, &t, body);
	exchange_end(x, END_COMPLETED);
}

void
answer_page(struct exchange *x, struct span fields, struct span body)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	answer_head(x, &t, 200);
	text_span(&t, fields);
	text_lit(&t, "x-content-type-options: nosniff\r\nvary: accept\r\ncache-control: no-store\r\n");
	x->up_status = 200;
	send_whole(x, &t, body);
	exchange_end(x, END_COMPLETED);
}

/* ---- errors ---- */

/* A retry helps when the fault is neither the caller's nor lasting. */
static bool
retry_helps(uint16_t status)
{
	return status == 408 || status == 429 || status >= 500;
}

void
answer_allow(struct text *t, uint8_t methods)
{
	text_lit(t, "allow: OPTIONS");
#define X(method) \
	if (methods >> HTTP1_##method & 1) \
		text_lit(t, ", " #method);
	HTTP1_METHODS(X)
#undef X
	text_lit(t, "\r\n");
}

/* The upper half of the head's room: bodies of ours are built there. */
static struct text
body_room(struct edge *e)
{
	return text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
}

void
answer_send_error(struct exchange *x, struct error_says *e)
{
	uint16_t status = e->status;
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2), body = body_room(x->edge);
	char id[ID_TEXT_MAX];
	e->request_id = (struct span){id, id_text(ID_REQUEST, x->id, id)};
	error_write(&body, (enum dialect)x->dialect, e);
	assert(!body.cut);
	answer_head(x, &t, status);
	text_lit(&t, OURS);
	if (status == 405) /* RFC 9110 15.5.6 */
		answer_allow(&t, x->takes);
	if (status == 415) /* RFC 9110 15.5.16 */
		text_lit(&t, "accept-encoding: identity\r\n");
	if (status == 426) /* RFC 9110 15.5.22, RFC 6455 4.4 */
		text_lit(&t, "upgrade: websocket\r\nsec-websocket-version: 13\r\n");
	if (!retry_helps(status) || e->lasting)
		text_lit(&t, "x-should-retry: false\r\n");
	if (status == 503)
		text_lit(&t, "retry-after: 1\r\n");
	else if (retry_helps(status) && e->wait_s) {
		text_lit(&t, "retry-after: ");
		text_u64(&t, e->wait_s);
		text_lit(&t, "\r\n");
	}
	x->up_status = status;
	send_whole(x, &t, (struct span){body.at, body.len});
}

static void
no_model_message(struct text *t, struct span model)
{
	text_lit(t, "The model `");
	text_span(t, model);
	text_lit(t, "` does not exist or you do not have access to it.");
}

struct error_says
answer_says(enum end_reason reason)
{
	const struct reason_row *r = &reasons[reason];
	return (struct error_says){
		.status = reason_status(reason),
		.message = {r->text, strlen(r->text)},
		.type = *r->type ? r->type : "server_error",
		.code = *r->code ? r->code : "internal_error",
	};
}

void
answer_error(struct exchange *x, enum end_reason reason, const char *param, struct span name)
{
	if (limit_answer(x, reason))
		return;
	struct error_says e = answer_says(reason);
	char room[256];
	struct text named = text_on(room, sizeof room);
	e.param = param;
	e.wait_s = reason == END_TOO_MANY_BAD_KEYS ? x->limited.wait_s : 0;
	if (reason == END_NO_MODEL && name.len) {
		no_model_message(&named, name);
		e.message = (struct span){named.at, named.len};
	}
	answer_send_error(x, &e);
	explicit_bzero(room, sizeof room);
}

void
answer_sentence(struct exchange *x, enum end_reason reason, const char *param, struct span sentence)
{
	struct error_says e = answer_says(reason);
	e.param = param;
	e.message = sentence;
	answer_send_error(x, &e);
}

/* The model is there, but speaks another provider language. */
void
answer_wrong_endpoint(struct exchange *x)
{
	static const struct span ways[DIALECT_COUNT] = {
		[DIALECT_OPENAI] = SPAN_INIT("at OpenAI's endpoints (/v1/chat/completions, /v1/responses, /v1/embeddings)."),
		[DIALECT_ANTHROPIC] = SPAN_INIT("at Anthropic's endpoint (/v1/messages)."),
		[DIALECT_GEMINI] = SPAN_INIT("at Gemini's endpoints (/v1beta/models/{model}:generateContent)."),
	};
	const struct catalogue *c = x->edge->p->catalogue;
	struct error_says e = answer_says(END_NO_MODEL);
	char room[320];
	struct text t = text_on(room, sizeof room);
	text_lit(&t, "The model `");
	text_str(&t, x->model->public_id);
	text_lit(&t, "` is served ");
	text_span(&t, ways[catalogue_provider(c, catalogue_target(c, x->route.first)->provider)->dialect]);
	e.message = (struct span){t.at, t.len};
	e.param = "model";
	answer_send_error(x, &e);
}

void
answer_request_error(struct exchange *x, enum request_error error)
{
	static const struct {
		struct span text;
		const char *param;
	} rows[] = {
#define X(name, text, param) {{text, sizeof(text) - 1}, param},
		REQUEST_ERRORS(X)
#undef X
	};
	static const struct span flaws[] = {
#define X(name, text) {text, sizeof(text) - 1},
		MULTIPART_ERRORS(X)
#undef X
	};
	struct error_says e = answer_says(END_BAD_BODY);
	char room[256];
	struct text t = text_on(room, sizeof room);
	e.message = rows[error].text;
	e.param = rows[error].param;
	if (error == REQUEST_BAD_FORM && x->req->form->multipart.error) {
		text_span(&t, e.message);
		text_lit(&t, " ");
		text_span(&t, flaws[x->req->form->multipart.error]);
		e.message = (struct span){t.at, t.len};
	}
	answer_send_error(x, &e);
}

void
answer_add_money(struct text *t, struct nano n)
{
	char amount[NANO_TEXT_MAX];
	size_t len = nano_text(n, amount);
	while (amount[len - 1] == '0' && amount[len - 3] != '.') /* at least cents */
		len--;
	text_add(t, amount, len);
}

void
answer_money_short(struct exchange *x, struct nano need, struct nano have)
{
	struct error_says e = answer_says(END_NO_MONEY);
	char room[256], amounts[2 * NANO_TEXT_MAX];
	struct text m = text_on(room, sizeof room), a = text_on(amounts, sizeof amounts);
	answer_add_money(&a, need);
	e.needed = (struct span){a.at, a.len};
	answer_add_money(&a, have);
	e.available = (struct span){a.at + e.needed.len, a.len - e.needed.len};
	text_lit(&m, "This request can cost up to $");
	text_span(&m, e.needed);
	text_lit(&m, " and the balance has $");
	text_span(&m, e.available);
	text_lit(&m, " available. Add credit, or lower the bound on the answer's tokens.");
	e.message = (struct span){m.at, m.len};
	answer_send_error(x, &e);
}

static void
send_text(struct client *c, enum dialect dialect, const struct error_says *error)
{
	struct edge *e = c->edge;
	struct text body = body_room(e), t = text_on(e->head_out, HEAD_OUT_BYTES / 2);
	error_write(&body, dialect, error);
	status_line(&t, error->status);
	text_add(&t, e->date, e->date_len);
	text_lit(&t, OURS "connection: close\r\n");
	if (error->status == 503)
		text_lit(&t, "retry-after: 1\r\n");
	text_lit(&t, "content-length: ");
	text_u64(&t, body.len);
	text_lit(&t, "\r\n\r\n");
	struct iovec parts[2] = {{t.at, t.len}, {body.at, body.len}};
	if (c->is_stream) {
		h2_reply(c, (struct span){t.at, t.len}, body.at, body.len, true);
		return;
	}
	c->closing = c->linger = true;
	client_send(c, parts, 2);
	if (c->conn.watch.fd >= 0)
		client_next(c, false);
}

/* The head could not be read. */
void
answer_text(struct client *c, uint16_t status, const char *code, const char *message)
{
	send_text(c, DIALECT_OPENAI, &(struct error_says){.status = status, .message = {message, strlen(message)}, .code = code, .type = "invalid_request_error"});
}

void
answer_overloaded(struct client *c, enum dialect dialect)
{
	struct error_says e = answer_says(END_OVERLOADED);
	count_add(c->edge->p->counters, ended[END_OVERLOADED], 1);
	send_text(c, dialect, &e);
}

void
answer_cut(struct exchange *x)
{
	x->keep_client = false;
	x->client->conn.cut = true;
}

/* Inside a stream: the dialect's error event, then the proper end of the body. */
void
answer_stream_error(struct exchange *x, enum end_reason reason)
{
	bool length_given = x->framing == FRAMING_LENGTH && !x->hide && !x->passage && !stored_rewrites(x) && !x->inlined;
	bool can_end = x->client_chunked || (x->client->http10 && !length_given);
	if (!*reasons[reason].text || !can_end) {
		answer_cut(x);
		return;
	}
	struct text body = body_room(x->edge);
	struct error_says e = answer_says(reason);
	char id[ID_TEXT_MAX];
	e.request_id = (struct span){id, id_text(ID_REQUEST, x->id, id)};
	passage_write_event(x, &body, &e);
	x->answered = true;
	reply(x, (struct span){0}, body.at, body.len, true);
}

struct span
answer_session_error(struct exchange *x, enum end_reason reason, struct span message)
{
	struct text body = body_room(x->edge);
	struct error_says e = answer_says(reason);
	char id[ID_TEXT_MAX];
	if (!*reasons[reason].text)
		return (struct span){0};
	if (message.len)
		e.message = message;
	e.request_id = (struct span){id, id_text(ID_REQUEST, x->id, id)};
	error_write_event(&body, (enum endpoint)x->endpoint, &e);
	return (struct span){body.at, body.len};
}

/* ---- a provider's error ---- */

/* Words that only occur in texts about the operator's own account. */
static const char *const private_words[] = {"sk-", "org-", "proj_", "Bearer ", "organization", "billing", "quota", "api key", "API key", "api_key"};

static bool
contains(struct span s, const void *word, size_t len)
{
	return len && memmem(s.at, s.len, word, len) != NULL;
}

bool
answer_is_private(const struct exchange *x, struct span body)
{
	const struct edge *e = x->edge;
	if (x->route.byok) /* about their own account */
		return object_is_told(x, body);
	for (size_t i = 0; i < ARRAY_LEN(private_words); i++)
		if (contains(body, private_words[i], strlen(private_words[i])))
			return true;
	for (int k = 0; k < CATALOGUE_KEYS_MAX; k++) {
		const struct secret *s = &e->key[x->route.target->provider][k];
		if (s->at && contains(body, s->at, s->len < 12 ? s->len : 12))
			return true;
	}
	return object_is_told(x, body);
}

/* It refuses our account, whatever status it chose for that: not the customer's affair. */
static bool
about_our_account(const struct exchange *x, struct span body)
{
	static const char *const always[] = {"API_KEY_INVALID", "SERVICE_DISABLED", "CONSUMER_SUSPENDED", "credit balance"},
							 *const limits[] = {"insufficient_quota", "billing", "credit_balance", "spend"};
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (contains(body, always[i], strlen(always[i])))
			return true;
	const struct catalogue_provider *p = catalogue_provider(x->edge->p->catalogue, x->route.target->provider);
	bool limit = x->up_status == 429 && p->dialect != DIALECT_GEMINI; /* Google's speaks of billing in each */
	for (size_t i = 0; limit && i < ARRAY_LEN(limits); i++)
		if (contains(body, limits[i], strlen(limits[i])))
			return true;
	return false;
}

static void
generic_error(struct exchange *x, struct text *body)
{
	bool theirs = x->up_status >= 500, rate = x->up_status == 429;
	char id[ID_TEXT_MAX];
	const struct error_says e = {
		.status = (uint16_t)x->up_status,
		.message = rate ? SPAN("The provider is receiving too many requests; try again in a moment.")
			: theirs    ? SPAN("The provider failed to answer this request.")
						: SPAN("The provider refused this request."),
		.type = rate ? "rate_limit_error" : theirs ? "server_error"
												   : "invalid_request_error",
		.code = rate ? "rate_limit_exceeded" : "upstream_error",
		.request_id = {id, id_text(ID_REQUEST, x->id, id)},
	};
	error_write(body, (enum dialect)x->dialect, &e);
}

/* Google says in the body when to try again ("retryDelay": "34.4s"); every client reads the header. */
static void
add_retry_delay(struct text *t, struct span body)
{
	static const char word[] = "\"retryDelay\"";
	const char *end = body.at + body.len, *p = memmem(body.at, body.len, word, sizeof word - 1);
	if (!p)
		return;
	for (p += sizeof word - 1; p < end && (*p == ' ' || *p == ':' || *p == '"');)
		p++;
	uint64_t seconds = 0;
	const char *digits = p;
	for (; p < end && *p >= '0' && *p <= '9' && seconds < 100000; p++)
		seconds = seconds * 10 + (uint64_t)(*p - '0');
	if (p == digits)
		return;
	text_lit(t, "retry-after: ");
	text_u64(t, seconds + (p < end && *p == '.')); /* a fraction counts as one more */
	text_lit(t, "\r\n");
}

/* The provider's header lines, but for the type of a body that we replace. */
static void
add_retry_lines(struct text *t, struct span lines)
{
	const char *at = lines.at, *end = lines.at + lines.len;
	while (at < end) {
		const char *next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
		if (strncasecmp(at, "content-type:", 13) != 0)
			text_add(t, at, (size_t)(next - at));
		at = next;
	}
}

void
answer_rewritten(struct exchange *x, struct span lines, struct span body)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	answer_head(x, &t, (uint16_t)x->up_status);
	text_span(&t, lines);
	send_whole(x, &t, body);
	exchange_end(x, END_COMPLETED);
}

bool
answer_is_about_us(struct exchange *x)
{
	struct edge *e = x->edge;
	if (!x->carry || x->route.byok || !about_our_account(x, (struct span){x->carry + x->collect_at, x->carry_len - x->collect_at}))
		return false;
	edge_report(e, EVENT_PROVIDER_ACCOUNT, catalogue_provider(e->p->catalogue, x->route.target->provider)->id, x->up_status);
	route_fail(x, x->up_status == 429 ? ROUTE_ACCOUNT : ROUTE_WORDS, END_PROVIDER_ACCOUNT);
	return true;
}

/* What it says is no answer for the customer, or not yet. True: another one is asked, or it has ended. */
static bool
asks_elsewhere(struct exchange *x, struct span lines, struct span body)
{
	uint32_t status = x->up_status;
	bool rate = status == 429, own = x->route.byok;
	if (own && (status == 401 || status == 402 || status == 403)) /* their account: if nobody else may be asked, it is theirs to know */
		return route_failed(x, ROUTE_ACCOUNT, 0);
	if (answer_is_about_us(x))
		return true;
	return (rate || status >= 500) && route_failed(x, rate ? ROUTE_RATE : ROUTE_BUSY, route_rest_ms(lines, body));
}

void
answer_provider_error(struct exchange *x)
{
	struct edge *e = x->edge;
	const char *kept = x->carry ? x->carry : ""; /* neither a line nor a body */
	struct span lines = {kept, x->collect_at}, body = {kept + x->collect_at, x->carry_len - x->collect_at};
	if (asks_elsewhere(x, lines, body))
		return;
	if (x->passage) {
		passage_error(x, lines, body);
		return;
	}
	bool missing = object_is_missing(x, x->up_status);
	if (missing)
		object_is_gone(x);
	if (missing || stored_is_gone(x, body)) { /* it was there once: in the words that say the same of others' */
		exchange_end(x, END_NO_OBJECT);
		return;
	}
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES / 2), own = body_room(e);
	uint16_t status = (uint16_t)x->up_status;
	answer_head(x, &t, status);
	if (x->dialect == DIALECT_GEMINI && status == 429)
		add_retry_delay(&t, body);
	if (!x->up_done || body.len == 0 || (body.at[0] != '{' && body.at[0] != '[') || answer_is_private(x, body)) {
		generic_error(x, &own);
		body = (struct span){own.at, own.len};
		text_lit(&t, OURS);
		add_retry_lines(&t, lines);
	} else
		text_span(&t, lines);
	send_whole(x, &t, body);
	exchange_end(x, END_PROVIDER_ERROR);
}
