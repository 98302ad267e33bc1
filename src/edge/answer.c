/* What Lethe itself says, in the words and shapes of the caller's dialect, so that the SDK raises its own right error. */
#include "edge/edge_priv.h"

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
	X(417, "Expectation Failed") \
	X(422, "Unprocessable Content") \
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
	if (x->capped) {
		text_lit(t, "lethe-capped: ");
		text_u64(t, x->capped);
		text_lit(t, "\r\n");
	}
	if (!x->keep_client || e->draining) {
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
	struct iovec parts[2] = {{head->at, head->len}, {(char *)body.at, body.len}};
	x->head_sent = x->answered = true;
	if (x->client)
		client_send(x->client, parts, x->head_only ? 1 : 2);
}

void
answer_json(struct exchange *x, uint16_t status, struct span body)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	answer_head(x, &t, status);
	text_lit(&t, "content-type: application/json\r\n");
	x->up_status = status;
	send_whole(x, &t, body);
	exchange_end(x, END_COMPLETED);
}

/* ---- errors ---- */

static void
error_json(struct text *t, struct span message, const char *type, const char *param, const char *code)
{
	text_lit(t, "{\"error\":{\"message\":\"");
	text_json(t, message);
	text_lit(t, "\",\"type\":\"");
	text_str(t, type);
	text_lit(t, "\",\"param\":");
	if (param && *param) {
		text_lit(t, "\"");
		text_str(t, param);
		text_lit(t, "\"");
	} else
		text_lit(t, "null");
	text_lit(t, ",\"code\":\"");
	text_str(t, code);
	text_lit(t, "\"");
}

/* A retry helps when the fault is neither the caller's nor lasting. */
static bool
retry_helps(uint16_t status)
{
	return status == 408 || status == 429 || status >= 500;
}

void
answer_allow(struct text *t, uint8_t method)
{
	text_lit(t, "allow: OPTIONS");
	if (method != HTTP1_POST)
		text_lit(t, ", GET, HEAD");
	if (method != HTTP1_GET)
		text_lit(t, ", POST");
	text_lit(t, "\r\n");
}

static void
send_error(struct exchange *x, uint16_t status, struct text *body)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	text_lit(body, "}}");
	assert(!body->cut);
	answer_head(x, &t, status);
	text_lit(&t, "content-type: application/json\r\n");
	if (status == 405) /* RFC 9110 15.5.6 */
		answer_allow(&t, x->takes);
	if (!retry_helps(status))
		text_lit(&t, "x-should-retry: false\r\n");
	else if (status == 503)
		text_lit(&t, "retry-after: 1\r\n");
	x->up_status = status;
	send_whole(x, &t, (struct span){body->at, body->len});
}

/* The upper half of the head's room: bodies of ours are built there. */
static struct text
body_room(struct edge *e)
{
	return text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
}

static void
no_model_message(struct text *t, struct span model)
{
	text_lit(t, "The model `");
	text_span(t, model);
	text_lit(t, "` does not exist or you do not have access to it.");
}

void
answer_error(struct exchange *x, enum end_reason reason, const char *param, struct span name)
{
	const struct reason_row *r = &reasons[reason];
	struct text body = body_room(x->edge);
	char room[256];
	struct text named = text_on(room, sizeof room);
	struct span message = {r->text, strlen(r->text)};
	if (reason == END_NO_MODEL && name.len) {
		no_model_message(&named, name);
		message = (struct span){named.at, named.len};
	}
	error_json(&body, message, *r->type ? r->type : "server_error", param, *r->code ? r->code : "internal_error");
	send_error(x, reason_status(reason), &body);
	explicit_bzero(room, sizeof room);
}

void
answer_request_error(struct exchange *x, enum chat_request_error error)
{
	static const struct {
		struct span text;
		const char *param;
	} rows[] = {
#define X(name, text, param) {{text, sizeof(text) - 1}, param},
		CHAT_REQUEST_ERRORS(X)
#undef X
	};
	struct text body = body_room(x->edge);
	error_json(&body, rows[error].text, "invalid_request_error", rows[error].param, "bad_request");
	send_error(x, 400, &body);
}

static void
add_money(struct text *t, struct nano n)
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
	struct text body = body_room(x->edge);
	char room[256];
	struct text m = text_on(room, sizeof room);
	text_lit(&m, "This request can cost up to $");
	add_money(&m, need);
	text_lit(&m, " and the balance has $");
	add_money(&m, have);
	text_lit(&m, " available. Add credit, or lower max_completion_tokens.");
	error_json(&body, (struct span){m.at, m.len}, "insufficient_quota", NULL, "insufficient_quota");
	text_lit(&body, ",\"needed\":\"");
	add_money(&body, need);
	text_lit(&body, "\",\"available\":\"");
	add_money(&body, have);
	text_lit(&body, "\"");
	send_error(x, 402, &body);
}

/* Before there is an exchange: the head could not be read. The connection ends. */
void
answer_text(struct client *c, uint16_t status, const char *code, const char *message)
{
	struct edge *e = c->edge;
	struct text body = body_room(e), t = text_on(e->head_out, HEAD_OUT_BYTES / 2);
	error_json(&body, (struct span){message, strlen(message)}, status < 500 ? "invalid_request_error" : "server_error", NULL, code);
	text_lit(&body, "}}");
	status_line(&t, status);
	text_add(&t, e->date, e->date_len);
	text_lit(&t, "content-type: application/json\r\nconnection: close\r\ncontent-length: ");
	text_u64(&t, body.len);
	text_lit(&t, "\r\n\r\n");
	struct iovec parts[2] = {{t.at, t.len}, {body.at, body.len}};
	c->closing = c->linger = true;
	client_send(c, parts, 2);
	if (c->watch.fd >= 0)
		client_next(c, false);
}

/* Inside a stream: the dialect's error event, then the proper end of the body. */
void
answer_stream_error(struct exchange *x, enum end_reason reason)
{
	const struct reason_row *r = &reasons[reason];
	bool length_given = x->framing == FRAMING_LENGTH && !x->hide;
	bool can_end = x->client_chunked || (x->client->http10 && !length_given);
	if (!*r->text || !can_end) {
		x->keep_client = false;
		return;
	}
	struct text body = body_room(x->edge), t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	text_lit(&body, "\n\ndata: "); /* whatever half event went before ends here */
	error_json(&body, (struct span){r->text, strlen(r->text)}, r->type, NULL, r->code);
	text_lit(&body, "}}\n\n");
	if (x->client_chunked) {
		text_hex(&t, body.len);
		text_lit(&t, "\r\n");
		text_lit(&body, "\r\n0\r\n\r\n");
	}
	struct iovec parts[2] = {{t.at, t.len}, {body.at, body.len}};
	x->answered = true;
	client_send(x->client, parts, 2);
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
	for (size_t i = 0; i < ARRAY_LEN(private_words); i++)
		if (contains(body, private_words[i], strlen(private_words[i])))
			return true;
	for (int k = 0; k < CATALOGUE_KEYS_MAX; k++) {
		const struct secret *s = &e->key[x->model->provider][k];
		if (s->at && contains(body, s->at, s->len < 12 ? s->len : 12))
			return true;
	}
	return false;
}

/* Our account's quota is used up: not the customer's affair. */
static bool
about_our_account(const struct exchange *x, struct span body)
{
	static const char *const words[] = {"insufficient_quota", "billing", "credit_balance", "spend"};
	for (size_t i = 0; x->up_status == 429 && i < ARRAY_LEN(words); i++)
		if (contains(body, words[i], strlen(words[i])))
			return true;
	return false;
}

static void
generic_error(struct exchange *x, struct text *body)
{
	bool theirs = x->up_status >= 500, rate = x->up_status == 429;
	struct span message = rate     ? SPAN("The provider is receiving too many requests; try again in a moment.")
	                      : theirs ? SPAN("The provider failed to answer this request.")
	                               : SPAN("The provider refused this request.");
	error_json(body, message, rate ? "rate_limit_error" : theirs ? "server_error" : "invalid_request_error", NULL,
	    rate ? "rate_limit_exceeded" : "upstream_error");
	text_lit(body, "}}");
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
answer_provider_error(struct exchange *x)
{
	struct edge *e = x->edge;
	struct span lines = {x->carry, x->collect_at}, body = {x->carry + x->collect_at, x->carry_len - x->collect_at};
	if (about_our_account(x, body)) {
		edge_report(e, EVENT_PROVIDER_ACCOUNT, catalogue_provider(e->p->catalogue, x->model->provider)->id, x->up_status);
		exchange_end(x, END_PROVIDER_ACCOUNT);
		return;
	}
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES / 2), own = body_room(e);
	uint16_t status = (uint16_t)x->up_status;
	answer_head(x, &t, status);
	if (!x->up_done || body.len == 0 || body.at[0] != '{' || answer_is_private(x, body)) {
		generic_error(x, &own);
		body = (struct span){own.at, own.len};
		text_lit(&t, "content-type: application/json\r\n");
		add_retry_lines(&t, lines);
	} else
		text_span(&t, lines);
	send_whole(x, &t, body);
	exchange_end(x, END_PROVIDER_ERROR);
}
