#include "dialect/error.h"

static void
add_member(struct text *t, const char *name, const char *value)
{
	text_lit(t, "\"");
	text_str(t, name);
	text_lit(t, "\":\"");
	text_str(t, value);
	text_lit(t, "\"");
}

static void
add_message(struct text *t, struct span message)
{
	text_lit(t, "\"message\":\"");
	text_json(t, message);
	text_lit(t, "\"");
}

/* ---- OpenAI ---- */

static void
openai_object(struct text *t, const struct error_says *e)
{
	text_lit(t, "{");
	add_message(t, e->message);
	text_lit(t, ",");
	add_member(t, "type", e->type);
	if (e->param && *e->param) {
		text_lit(t, ",");
		add_member(t, "param", e->param);
	} else
		text_lit(t, ",\"param\":null");
	text_lit(t, ",");
	add_member(t, "code", e->code);
	if (e->needed.len) {
		text_lit(t, ",\"needed\":\"");
		text_span(t, e->needed);
		text_lit(t, "\",\"available\":\"");
		text_span(t, e->available);
		text_lit(t, "\"");
	}
	text_lit(t, "}");
}

static void
openai_body(struct text *t, const struct error_says *e)
{
	text_lit(t, "{\"error\":");
	openai_object(t, e);
	text_lit(t, "}");
}

/* ---- Anthropic ---- */

static const char *
anthropic_type(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *type;
	} rows[] = {
		{401, "authentication_error"},
		{402, "billing_error"},
		{403, "permission_error"},
		{404, "not_found_error"},
		{409, "conflict_error"},
		{413, "request_too_large"},
		{429, "rate_limit_error"},
		{503, "overloaded_error"},
		{504, "timeout_error"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			return rows[i].type;
	return status < 500 ? "invalid_request_error" : "api_error";
}

static void
anthropic_body(struct text *t, const struct error_says *e)
{
	text_lit(t, "{\"type\":\"error\",\"error\":{");
	add_member(t, "type", anthropic_type(e->status));
	text_lit(t, ",");
	add_message(t, e->message);
	text_lit(t, "}");
	if (e->request_id.len) {
		text_lit(t, ",\"request_id\":\"");
		text_span(t, e->request_id);
		text_lit(t, "\"");
	}
	text_lit(t, "}");
}

/* ---- Gemini ---- */

static const char *
google_status(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *name;
	} rows[] = {
		{401, "UNAUTHENTICATED"},
		{402, "FAILED_PRECONDITION"},
		{403, "PERMISSION_DENIED"},
		{404, "NOT_FOUND"},
		{405, "UNIMPLEMENTED"},
		{408, "DEADLINE_EXCEEDED"},
		{429, "RESOURCE_EXHAUSTED"},
		{499, "CANCELLED"},
		{500, "INTERNAL"},
		{504, "DEADLINE_EXCEEDED"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			return rows[i].name;
	return status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE";
}

/* google.rpc.ErrorInfo: a reason is in capitals. */
static void
add_reason(struct text *t, const char *code)
{
	for (; *code; code++) {
		char c = *code >= 'a' && *code <= 'z' ? (char)(*code - 0x20) : *code;
		text_add(t, &c, 1);
	}
}

static void
gemini_body(struct text *t, const struct error_says *e)
{
	text_lit(t, "{\"error\":{\"code\":");
	text_u64(t, e->status);
	text_lit(t, ",");
	add_message(t, e->message);
	text_lit(t, ",");
	add_member(t, "status", google_status(e->status));
	text_lit(t, ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"");
	add_reason(t, e->code);
	text_lit(t, "\",\"domain\":\"lethe\"}");
	if (e->wait_s) { /* where Google's clients look */
		text_lit(t, ",{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"");
		text_u64(t, e->wait_s);
		text_lit(t, "s\"}");
	}
	text_lit(t, "]}}");
}

/* ---- the tables ---- */

void
error_write(struct text *t, enum dialect dialect, const struct error_says *e)
{
	static void (*const bodies[DIALECT_COUNT])(struct text *, const struct error_says *) = {
		[DIALECT_OPENAI] = openai_body,
		[DIALECT_ANTHROPIC] = anthropic_body,
		[DIALECT_GEMINI] = gemini_body,
	};
	bodies[dialect](t, e);
}

/* Flat as its reference says and nested as its servers send: both are read. */
static void
responses_event(struct text *t, const struct error_says *e)
{
	text_lit(t, "\n\nevent: error\ndata: {\"type\":\"error\",\"sequence_number\":0,");
	add_member(t, "code", e->code);
	text_lit(t, ",");
	add_message(t, e->message);
	text_lit(t, ",\"param\":null,\"error\":");
	openai_object(t, e);
	text_lit(t, "}\n\n");
}

/* A message of its own; event_id is the server's, the one inside would be that of the client's event which it is about. */
static void
realtime_event(struct text *t, const struct error_says *e)
{
	text_lit(t, "{\"type\":\"error\",\"event_id\":\"event_");
	text_span(t, e->request_id);
	text_lit(t, "\",\"error\":");
	openai_object(t, e);
	text_lit(t, "}");
}

void
error_write_event(struct text *t, enum endpoint endpoint, const struct error_says *e)
{
	switch (endpoint) {
	case ENDPOINT_RESPONSES:
	case ENDPOINT_RESPONSES_KEPT:
		responses_event(t, e);
		return;
	case ENDPOINT_REALTIME:
		realtime_event(t, e);
		return;
	case ENDPOINT_MESSAGES:
		text_lit(t, "\n\nevent: error\ndata: ");
		anthropic_body(t, e);
		text_lit(t, "\n\n");
		return;
	case ENDPOINT_STREAM_GENERATE_CONTENT:
		text_lit(t, "\r\n\r\ndata: ");
		gemini_body(t, e);
		text_lit(t, "\r\n\r\n");
		return;
	default:
		text_lit(t, "\n\ndata: ");
		openai_body(t, e);
		text_lit(t, "\n\n");
	}
}
