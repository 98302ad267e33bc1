#include "head.h"

/* X(status, phrase, error type, error code (JSON), message) */
#define STATUSES(X) \
	X(400, "Bad Request", "invalid_request_error", "null", "The request could not be understood by the server.") \
	X(401, "Unauthorized", "invalid_request_error", "\"invalid_api_key\"", "Incorrect API key provided.") \
	X(402, "Payment Required", "insufficient_quota", "\"credit_balance_exhausted\"", "Your credit balance is exhausted.") \
	X(403, "Forbidden", "invalid_request_error", "\"unsupported_country_region_territory\"", \
		"Country, region, or territory not supported") \
	X(404, "Not Found", "invalid_request_error", "\"model_not_found\"", "The model does not exist or you do not have access to it.") \
	X(405, "Method Not Allowed", "invalid_request_error", "\"method_not_supported\"", "Not allowed to use this method on this path.") \
	X(408, "Request Timeout", "server_error", "\"timeout\"", "The request timed out.") \
	X(409, "Conflict", "invalid_request_error", "\"conflict\"", "The resource was updated by another request.") \
	X(413, "Payload Too Large", "invalid_request_error", "null", "Maximum content size limit (26214400) exceeded.") \
	X(422, "Unprocessable Entity", "invalid_request_error", "null", "The request was well-formed but was unable to be followed.") \
	X(429, "Too Many Requests", "requests", "\"rate_limit_exceeded\"", \
		"Rate limit reached for gpt-sim on requests per min (RPM): Limit 10000, Used 10000, Requested 1. Please try again in 6ms.") \
	X(500, "Internal Server Error", "server_error", "null", \
		"The server had an error while processing your request. Sorry about that!") \
	X(502, "Bad Gateway", "server_error", "null", "Bad gateway.") \
	X(503, "Service Unavailable", "service_unavailable_error", "\"server_is_overloaded\"", \
		"The server is currently overloaded. Please try again later.") \
	X(504, "Gateway Timeout", "server_error", "null", "Gateway timeout.") \
	X(529, "Overloaded", "service_unavailable_error", "\"slow_down\"", "Slow down.")

struct status {
	unsigned status;
	const char *phrase, *type, *code, *message;
};

static const struct status *
status_find(unsigned status)
{
	static const struct status TABLE[] = {
#define X(s, phrase, type, code, message) {s, phrase, type, code, message},
		STATUSES(X)
#undef X
	};
	for (size_t i = 0; i < ARRAY_LEN(TABLE); i++)
		if (TABLE[i].status == status)
			return &TABLE[i];
	return NULL;
}

static const char *
phrase(unsigned status)
{
	const struct status *s = status_find(status);
	if (s)
		return s->phrase;
	return status == 200 ? "OK" : status == 204 ? "No Content"
		: status / 100 == 3                     ? "Redirect"
												: "Status";
}

static void
decimal(struct text *t, const char *name, uint64_t v)
{
	text_str(t, name);
	text_u64(t, v);
	text_lit(t, "\r\n");
}

static void
request_id(struct text *t, uint64_t id)
{
	char hex[32];
	for (size_t i = 0; i < sizeof hex; i++) {
		id = id * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		hex[i] = "0123456789abcdef"[id >> 60];
	}
	text_lit(t, "x-request-id: req_");
	text_add(t, hex, sizeof hex);
	text_lit(t, "\r\n");
}

static void
framing(const struct sim_head *h, const struct sim_script *s, struct text *t)
{
	bool both = s && s->malformed == SIM_MALFORMED_length;
	uint64_t length = both && h->length > 10 ? h->length - 10 : h->length;
	switch (h->framing) {
	case SIM_FRAMING_LENGTH:
		decimal(t, "content-length: ", length);
		text_lit(t, "connection: keep-alive\r\n");
		return;
	case SIM_FRAMING_CHUNKED:
		text_lit(t, "transfer-encoding: chunked\r\nconnection: keep-alive\r\n");
		if (both)
			text_lit(t, "content-length: 10\r\n");
		return;
	case SIM_FRAMING_CLOSE:
		text_lit(t, "connection: close\r\n");
		return;
	}
}

static void
provider_fields(uint64_t id, struct text *t)
{
	text_lit(t, "access-control-expose-headers: X-Request-ID\r\n"
				"openai-processing-ms: 42\r\n"
				"openai-version: 2020-10-01\r\n");
	request_id(t, id);
}

static void
limit_fields(struct text *t)
{
	text_lit(t, "x-ratelimit-limit-requests: 10000\r\n"
				"x-ratelimit-limit-tokens: 10000000\r\n"
				"x-ratelimit-remaining-requests: 9999\r\n"
				"x-ratelimit-remaining-tokens: 9999985\r\n"
				"x-ratelimit-reset-requests: 6ms\r\n"
				"x-ratelimit-reset-tokens: 0s\r\n");
}

static void
leak_fields(struct text *t)
{
	text_lit(t, "openai-organization: org-SimLeak0123456789abcdef\r\n"
				"openai-project: proj_SimLeak0123456789abcdef\r\n"
				"set-cookie: __cf_bm=SimLeakCookie; path=/; HttpOnly; Secure\r\n"
				"x-ratelimit-limit-tokens_usage_based: 10000000\r\n"
				"x-sim-internal-host: upstream-leak.internal.example\r\n");
}

static void
script_fields(const struct sim_script *s, unsigned status, struct text *t)
{
	if (s->leak > 0)
		leak_fields(t);
	if (s->retry_after >= 0)
		decimal(t, "retry-after: ", (uint64_t)s->retry_after);
	if (s->gzip > 0)
		text_lit(t, "content-encoding: gzip\r\n");
	if (status / 100 == 3)
		text_lit(t, "location: http://127.0.0.1:1/elsewhere\r\n");
	if (s->malformed == SIM_MALFORMED_head)
		text_lit(t, "this line has no colon\r\n bad\x01: name\r\n");
}

void
sim_head_write(const struct sim_head *h, const struct sim_script *s, struct text *t)
{
	text_str(t, s && s->http10 > 0 ? "HTTP/1.0 " : "HTTP/1.1 ");
	text_u64(t, h->status);
	text_lit(t, " ");
	text_str(t, phrase(h->status));
	text_lit(t, "\r\ndate: ");
	text_str(t, h->date);
	text_lit(t, "\r\ncontent-type: ");
	text_str(t, h->content_type);
	text_lit(t, "\r\n");
	framing(h, s, t);
	provider_fields(h->id, t);
	limit_fields(t);
	if (s)
		script_fields(s, h->status, t);
	text_lit(t, "server: cloudflare\r\n\r\n");
}

void
sim_head_interim(struct text *t)
{
	text_lit(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
}

static void
error_message(const struct sim_script *script, const char *message, struct text *t)
{
	text_str(t, message);
	if (script && script->leak > 0)
		text_lit(t, " Incorrect API key provided: sk-proj-SimLeak0123456789abcdefghijklmnopqrstuvwxyz. Organization: "
					"org-SimLeak0123456789abcdef, project proj_SimLeak0123456789abcdef.");
}

void
sim_error_body(unsigned status, const struct sim_script *script, const char *message, struct text *t)
{
	static const struct status OTHER = {0, "", "server_error", "null", "The server had an error."};
	const struct status *s = status_find(status);
	if (!s)
		s = &OTHER;
	text_lit(t, "{\n  \"error\": {\n    \"message\": \"");
	error_message(script, message ? message : s->message, t);
	text_lit(t, "\",\n    \"type\": \"");
	text_str(t, script && script->error_type[0] ? script->error_type : s->type);
	text_lit(t, "\",\n    \"param\": null,\n    \"code\": ");
	if (script && script->error_code[0]) {
		text_lit(t, "\"");
		text_str(t, script->error_code);
		text_lit(t, "\"");
	} else
		text_str(t, s->code);
	text_lit(t, "\n  }\n}\n");
}
