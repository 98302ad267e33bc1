/* A model in each dialect's shape, with what no dialect has: prices, lanes, capabilities. */
#include "edge/models.h"

#include "ticket/capabilities.h"

#include <string.h>

enum { MODEL_JSON_MAX = 2560, /* without its names */
	NAMES_MAX = 4,
	NAME_BYTE_MAX = 6, /* what one may become */
	LANE_JSON_MAX = CATALOGUE_LANE_NAME_MAX + 256 };

size_t
models_shape_most(const struct catalogue *c, size_t id_len)
{
	return MODEL_JSON_MAX + id_len * NAMES_MAX * NAME_BYTE_MAX + (size_t)c->lane_count * LANE_JSON_MAX;
}

/* ---- prices, in dollars per million tokens ---- */

static void
add_price(struct text *t, const char *before, int64_t pico)
{
	char digits[6];
	size_t len = sizeof digits;
	uint64_t rest = (uint64_t)pico % 1000000;
	for (size_t i = len; i-- > 0; rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	while (len > 2 && digits[len - 1] == '0')
		len--;
	text_str(t, before);
	text_u64(t, (uint64_t)pico / 1000000);
	text_lit(t, ".");
	text_add(t, digits, len);
	text_lit(t, "\"");
}

/* Of the standard tier, now; nothing where it is not known. */
static void
add_pricing(struct text *t, const struct model_view *v, int lane)
{
	const struct catalogue_target *first = lane >= 0 ? v->first[lane] : NULL;
	const struct catalogue_price *p = first ? catalogue_target_price_now(v->catalogue, first, v->now_ms) : NULL;
	if (!p)
		return;
	add_price(t, ",\"pricing\":{\"unit\":\"dollars per million tokens\",\"input\":\"", p->pico[TOKEN_input]);
	add_price(t, ",\"cached_input\":\"", p->pico[TOKEN_cached]);
	add_price(t, ",\"cache_write\":\"", p->pico[TOKEN_cache_write]);
	add_price(t, ",\"output\":\"", p->pico[TOKEN_output]);
	text_lit(t, "}");
}

/* The lane by which it goes, what it costs there, and all that may be chosen. */
static void
add_lanes(struct text *t, const struct model_view *v)
{
	bool first = true;
	text_lit(t, ",\"lane\":");
	text_str(t, v->lane >= 0 ? "\"" : "null");
	if (v->lane >= 0) {
		text_str(t, catalogue_lane(v->catalogue, (uint32_t)v->lane)->name);
		text_lit(t, "\"");
	}
	add_pricing(t, v, v->lane);
	text_lit(t, ",\"lanes\":[");
	for (uint32_t i = 0; i < v->catalogue->lane_count; i++) {
		if (!v->first[i])
			continue;
		text_str(t, first ? "{\"lane\":\"" : ",{\"lane\":\"");
		text_str(t, catalogue_lane(v->catalogue, i)->name);
		text_lit(t, "\"");
		add_pricing(t, v, (int)i);
		text_lit(t, "}");
		first = false;
	}
	text_lit(t, "]");
}

static void
add_capabilities(struct text *t, const struct catalogue_model *m)
{
	const char *before = "";
	text_lit(t, ",\"capabilities\":[");
	if (m->reasoning) {
		text_lit(t, "\"reasoning\"");
		before = ",";
	}
#define X(NAME, bit, word, meaning) \
	if (m->capabilities & (bit)) { \
		text_str(t, before); \
		text_lit(t, "\"" word "\""); \
		before = ","; \
	}
	CAPABILITIES(X)
#undef X
	text_lit(t, "]");
}

/* ---- a model in each shape ---- */

void
models_shape_openai(struct text *t, const struct model_view *v)
{
	const struct catalogue_model *m = v->model;
	text_lit(t, "{\"id\":\"");
	text_json(t, v->id);
	text_lit(t, "\",\"object\":\"model\",\"created\":");
	text_u64(t, m->created_s);
	text_lit(t, ",\"owned_by\":\"lethe\",\"context_window\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"max_output_tokens\":");
	text_u64(t, m->output_tokens);
	text_str(t, m->reasoning ? ",\"reasoning\":true" : ",\"reasoning\":false");
	add_capabilities(t, m);
	add_lanes(t, v);
	text_lit(t, "}");
}

static void
add_supported(struct text *t, const char *name, bool is)
{
	text_lit(t, "\"");
	text_str(t, name);
	text_str(t, is ? "\":{\"supported\":true}," : "\":{\"supported\":false},");
}

/* Anthropic's own object has all of its members, or is null: where the operator declares nothing. What isn't known is not promised. */
static void
add_anthropic_capabilities(struct text *t, const struct catalogue_model *m)
{
	if (!m->capabilities) {
		text_lit(t, ",\"capabilities\":null");
		return;
	}
	text_lit(t, ",\"capabilities\":{");
	add_supported(t, "batch", false);
	add_supported(t, "citations", false);
	add_supported(t, "code_execution", false);
	add_supported(t, "image_input", m->capabilities & CAPABILITY_IMAGES);
	add_supported(t, "pdf_input", m->capabilities & CAPABILITY_FILES);
	add_supported(t, "structured_outputs", m->capabilities & CAPABILITY_JSON_SCHEMA);
	text_lit(t, "\"context_management\":{\"clear_thinking_20251015\":null,\"clear_tool_uses_20250919\":null,\"compact_20260112\":null,\"supported\":false},"
				"\"effort\":{");
	add_supported(t, "high", m->reasoning);
	add_supported(t, "low", m->reasoning);
	add_supported(t, "max", false);
	add_supported(t, "medium", m->reasoning);
	text_str(t, m->reasoning ? "\"supported\":true" : "\"supported\":false");
	text_lit(t, ",\"xhigh\":null},\"server_tools\":{");
	add_supported(t, "code_execution", false);
	add_supported(t, "web_search", false);
	text_lit(t, "\"supported\":false},\"thinking\":{\"types\":{");
	add_supported(t, "adaptive", m->reasoning);
	add_supported(t, "between_tools", false);
	add_supported(t, "disabled", !m->reasoning);
	text_str(t, m->reasoning ? "\"enabled\":{\"supported\":true}},\"supported\":true}}" : "\"enabled\":{\"supported\":false}},\"supported\":false}}");
}

void
models_shape_anthropic(struct text *t, const struct model_view *v)
{
	const struct catalogue_model *m = v->model;
	text_lit(t, "{\"type\":\"model\",\"id\":\"");
	text_json(t, v->id);
	text_lit(t, "\",\"display_name\":\"");
	text_json(t, v->id);
	text_lit(t, "\",\"created_at\":\"");
	text_time(t, m->created_s);
	text_lit(t, "\",\"lifecycle\":\"active\",\"deprecated_at\":null,\"retires_at\":null,\"line\":null,\"max_input_tokens\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"max_tokens\":");
	text_u64(t, m->output_tokens);
	add_anthropic_capabilities(t, m);
	add_lanes(t, v);
	text_lit(t, "}");
}

void
models_shape_gemini(struct text *t, const struct model_view *v)
{
	const struct catalogue_model *m = v->model;
	text_lit(t, "{\"name\":\"models/");
	text_json(t, v->id);
	text_lit(t, "\",\"baseModelId\":\"");
	text_json(t, v->id);
	text_lit(t, "\",\"version\":\"1\",\"displayName\":\"");
	text_json(t, v->id);
	text_lit(t, "\",\"inputTokenLimit\":");
	text_u64(t, m->context_tokens);
	text_lit(t, ",\"outputTokenLimit\":");
	text_u64(t, m->output_tokens);
	text_lit(t, ",\"supportedGenerationMethods\":[");
	if (!m->capabilities)
		text_lit(t, "\"generateContent\",\"countTokens\",\"embedContent\",\"batchEmbedContents\"]");
	else
		text_str(t, m->capabilities & CAPABILITY_EMBEDDINGS ? "\"embedContent\",\"batchEmbedContents\"]" : "\"generateContent\",\"countTokens\"]");
	text_str(t, m->reasoning ? ",\"thinking\":true" : "");
	add_capabilities(t, m);
	add_lanes(t, v);
	text_lit(t, "}");
}
