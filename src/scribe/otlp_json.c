/* OTLP's JSON: ids in hexadecimal, 64-bit numbers as text. Attributes by the semantic conventions for generative AI; what they have no name for is lethe.*. */
#include "scribe/otlp.h"

#include "ticket/end_reasons.h"
#include "ticket/endpoints.h"
#include "ticket/ids.h"

#include <string.h>

enum { KIND_CLIENT = 3,
	STATUS_ERROR = 2 };

static const char *const reasons[256] = {
#define X(name, number, status, severity, type, code, billing, text) [number] = #name,
	END_REASONS(X)
#undef X
};

static const char *const endpoints[256] = {
#define X(NAME, number, dialect, word, billed) [number] = word,
	ENDPOINTS(X)
#undef X
};

/* Where the conventions have a word of their own for what an endpoint does. */
static const char *const operations[256] = {
	[ENDPOINT_CHAT_COMPLETIONS] = "chat",
	[ENDPOINT_COMPLETIONS] = "text_completion",
	[ENDPOINT_RESPONSES] = "chat",
	[ENDPOINT_MESSAGES] = "chat",
	[ENDPOINT_REALTIME] = "chat",
	[ENDPOINT_GENERATE_CONTENT] = "generate_content",
	[ENDPOINT_STREAM_GENERATE_CONTENT] = "generate_content",
	[ENDPOINT_EMBEDDINGS] = "embeddings",
	[ENDPOINT_EMBED_CONTENT] = "embeddings",
	[ENDPOINT_BATCH_EMBED_CONTENTS] = "embeddings",
};

static const char *const dialects[DIALECT_COUNT] = {[DIALECT_OPENAI] = "openai", [DIALECT_ANTHROPIC] = "anthropic", [DIALECT_GEMINI] = "gcp.gemini"};

static void
add_hex(struct text *t, uint64_t v)
{
	static const char digits[] = "0123456789abcdef";
	for (int shift = 60; shift >= 0; shift -= 4)
		text_add(t, &digits[v >> shift & 15], 1);
}

static void
key(struct text *t, const char *name)
{
	if (t->len && t->at[t->len - 1] == '}')
		text_lit(t, ",");
	text_lit(t, "{\"key\":\"");
	text_str(t, name);
	text_lit(t, "\",\"value\":{");
}

static void
put_text(struct text *t, const char *name, const char *value)
{
	key(t, name);
	text_lit(t, "\"stringValue\":\"");
	text_json(t, (struct span){value, strlen(value)});
	text_lit(t, "\"}}");
}

static void
put_number(struct text *t, const char *name, uint64_t value)
{
	key(t, name);
	text_lit(t, "\"intValue\":\"");
	text_u64(t, value);
	text_lit(t, "\"}}");
}

static void
put_id(struct text *t, const char *name, const char *prefix, uint64_t id)
{
	char text[ID_TEXT_MAX];
	if (!id)
		return;
	(void)id_text(prefix, id, text);
	put_text(t, name, text);
}

static const struct catalogue_model *
model_of(const struct catalogue *c, uint32_t id)
{
	for (uint32_t i = 0; i < c->model_count; i++)
		if (catalogue_model(c, i)->id == id)
			return catalogue_model(c, i);
	return NULL;
}

static const struct catalogue_provider *
provider_of(const struct catalogue *c, uint32_t id)
{
	for (uint32_t i = 0; i < c->provider_count; i++)
		if (catalogue_provider(c, i)->id == id)
			return catalogue_provider(c, i);
	return NULL;
}

static void
put_usage(struct text *t, const struct ticket_facts *f)
{
	uint64_t read = (uint64_t)f->tokens_cached + f->tokens_cached_audio + f->tokens_cached_image;
	uint64_t written = (uint64_t)f->tokens_cache_write + f->tokens_cache_write_1h;
	/* The conventions' input has the cached in it, their output the reasoning; here the kinds are disjoint. */
	put_number(t, "gen_ai.usage.input_tokens", read + written + f->tokens_input + f->tokens_audio_in + f->tokens_image_in + f->tokens_video_in);
	put_number(t, "gen_ai.usage.output_tokens", (uint64_t)f->tokens_output + f->tokens_reasoning + f->tokens_audio_out + f->tokens_image_out);
	put_number(t, "gen_ai.usage.cache_read.input_tokens", read);
	put_number(t, "gen_ai.usage.cache_creation.input_tokens", written);
}

static void
put_attributes(struct text *t, const struct message_span *m, const char *operation, const struct catalogue_model *model, const struct catalogue_provider *p)
{
	const struct ticket_facts *f = &m->facts;
	put_text(t, "gen_ai.operation.name", operation);
	if (p) {
		put_text(t, "gen_ai.provider.name", dialects[p->dialect]);
		put_text(t, "lethe.provider", p->name);
	}
	if (model)
		put_text(t, "gen_ai.request.model", model->public_id);
	put_usage(t, f);
	put_number(t, "http.response.status_code", f->status);
	if (f->end_reason != END_COMPLETED && reasons[f->end_reason])
		put_text(t, "error.type", reasons[f->end_reason]);
	put_id(t, "lethe.request_id", ID_REQUEST, m->ticket);
	put_id(t, "lethe.account", ID_ACCOUNT, f->account);
	put_id(t, "lethe.key", ID_KEY, f->key);
	put_number(t, "lethe.cost_nano", m->cost_nano);
	put_number(t, "lethe.first_byte_ms", f->first_byte_ms);
	put_number(t, "lethe.attempts", f->attempts);
	key(t, "lethe.streamed");
	text_str(t, f->flags & TICKET_STREAMED ? "\"boolValue\":true}}" : "\"boolValue\":false}}");
}

/* A leg lies under the ticket that it is a leg of, and in its trace. */
void
otlp_span_write(struct text *t, const struct message_span *m, uint64_t trace, const struct catalogue *c)
{
	const struct ticket_facts *f = &m->facts;
	const struct catalogue_model *model = model_of(c, f->model);
	const char *word = endpoints[f->endpoint] ? endpoints[f->endpoint] : "other", *operation = operations[f->endpoint] ? operations[f->endpoint] : word;
	text_lit(t, "{\"traceId\":\"");
	add_hex(t, trace);
	add_hex(t, f->parent ? f->parent : m->ticket);
	text_lit(t, "\",\"spanId\":\"");
	add_hex(t, m->ticket);
	if (f->parent) {
		text_lit(t, "\",\"parentSpanId\":\"");
		add_hex(t, f->parent);
	}
	text_lit(t, "\",\"name\":\"");
	text_str(t, operation);
	if (model) {
		text_lit(t, " ");
		text_json(t, (struct span){model->public_id, strlen(model->public_id)});
	}
	text_lit(t, "\",\"kind\":");
	text_u64(t, KIND_CLIENT);
	text_lit(t, ",\"startTimeUnixNano\":\"");
	text_u64(t, f->started_us * 1000);
	text_lit(t, "\",\"endTimeUnixNano\":\"");
	text_u64(t, f->started_us * 1000 + f->duration_ms * 1000000ULL);
	text_lit(t, "\",\"attributes\":[");
	put_attributes(t, m, operation, model, provider_of(c, f->provider));
	text_lit(t, "],\"status\":{");
	if (f->status >= 500 || (f->end_reason != END_COMPLETED && f->status < 400)) {
		text_lit(t, "\"code\":");
		text_u64(t, STATUS_ERROR);
	}
	text_lit(t, "}}");
}

void
otlp_begin_write(struct text *t)
{
	text_lit(t, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	put_text(t, "service.name", "lethe");
	put_text(t, "service.version", LETHE_VERSION);
	text_lit(t, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"lethe\",\"version\":\"" LETHE_VERSION "\"},\"spans\":[");
}

void
otlp_end_write(struct text *t)
{
	text_lit(t, "]}]}]}");
}
