/* What encoders of several languages write alike. */
#include "dialect/conversation_priv.h"

void
put_name(struct conversation *c, struct span name)
{
	if (c->e.body_members)
		sink_lit(c->out, ",");
	c->e.body_members = true;
	sink_lit(c->out, "\"");
	sink_span(c->out, name);
	sink_lit(c->out, "\":");
}

void
put_u32_member(struct conversation *c, struct span name, uint32_t v)
{
	put_name(c, name);
	sink_u64(c->out, v);
}

void
put_word_member(struct conversation *c, struct span name, struct span word)
{
	put_name(c, name);
	sink_lit(c->out, "\"");
	sink_span(c->out, word);
	sink_lit(c->out, "\"");
}

const struct setting *
cap_said(const struct conversation *c)
{
	const struct setting *s = setting(c, SETTING_CAP);
	return given(s->value) ? s : setting(c, SETTING_OLD_CAP);
}

bool
put_cap(struct conversation *c, struct span name)
{
	const struct setting *s = cap_said(c);
	if (c->wish->cap) {
		put_u32_member(c, name, c->wish->cap);
	} else if (given(s->value)) {
		put_name(c, name);
		sink_value(c->out, c->in, s->value);
	} else
		return false;
	return true;
}

uint64_t
cap_known(struct conversation *c)
{
	uint64_t v;
	const struct setting *s = cap_said(c);
	if (c->wish->cap)
		return c->wish->cap;
	return given(s->value) && number_whole(c, s->value, &v) ? v : UINT64_MAX;
}

uint32_t
count_elements(struct conversation *c, struct json_value list)
{
	struct json_walk w = json_walk(list);
	uint32_t n = 0;
	for (struct json_value v; json_next_element(c->in, &w, &v);)
		n++;
	return n;
}

void
put_stop_list(struct conversation *c, struct span name)
{
	struct json_value v = setting(c, SETTING_STOP)->value;
	if (!given(v) || says_nothing(c, v, IDLE_EMPTY))
		return;
	put_name(c, name);
	if (v.kind == JSON_STRING)
		sink_lit(c->out, "[");
	sink_value(c->out, c->in, v);
	if (v.kind == JSON_STRING)
		sink_lit(c->out, "]");
}

void
put_inside(struct conversation *c, struct json_value v)
{
	if (v.kind == JSON_STRING)
		sink_inside(c->out, c->in, v);
	else if (given(v))
		sink_quoted(c->out, c->in, v);
}

void
put_text(struct conversation *c, struct json_value v)
{
	sink_lit(c->out, "\"");
	put_inside(c, v);
	sink_lit(c->out, "\"");
}

bool
is_object_text(struct conversation *c, struct json_value v)
{
	static const struct json_node nodes[2] = {{0}, {0}};
	struct json_scan scan;
	struct json_event ev;
	struct json_text_walk w = json_text_walk(v);
	bool object = false, well = true;
	if (v.kind != JSON_STRING)
		return v.kind == JSON_OBJECT;
	json_scan_init(&scan, nodes);
	uint64_t at = 0;
	for (struct span part; well && (part = json_next_text(c->in, &w)).len; at += part.len) {
		json_scan_feed(&scan, part.at, part.len, at);
		enum json_token t;
		while ((t = json_scan_next(&scan, &ev)) != JSON_MORE && t != JSON_BAD)
			object |= t == JSON_OBJECT;
		well = t != JSON_BAD;
	}
	return well && object && json_scan_complete(&scan);
}

bool
put_object(struct conversation *c, struct json_value v)
{
	if (is_empty(v)) {
		sink_lit(c->out, "{}");
		return true;
	}
	if (!is_object_text(c, v))
		return refuse(c, TRANSLATE_INVALID, "It must be one JSON object, as the provider takes no other arguments.");
	if (v.kind == JSON_STRING)
		sink_unquoted(c->out, c->in, v);
	else
		sink_value(c->out, c->in, v);
	return true;
}

void
put_object_text(struct conversation *c, struct json_value v)
{
	if (given(v))
		put_text(c, v);
	else
		sink_lit(c->out, "\"{}\"");
}

void
put_media_type(struct conversation *c, const struct media_type *t)
{
	if (t->ours.at)
		sink_span(c->out, t->ours);
	else
		put_inside(c, t->text);
}

void
put_data_url(struct conversation *c, const struct conversation_part *p)
{
	sink_lit(c->out, "\"");
	if (p->from == MEDIA_BASE64) {
		sink_lit(c->out, "data:");
		put_media_type(c, &p->type);
		sink_lit(c->out, ";base64,");
	}
	put_inside(c, p->text);
	sink_lit(c->out, "\"");
}

void
put_made_up(struct conversation *c, struct span prefix, struct json_value from)
{
	char hex[16];
	uint64_t h = text_hash(c, from);
	for (int i = 15; i >= 0; i--, h >>= 4)
		hex[i] = "0123456789abcdef"[h & 15];
	sink_lit(c->out, "\"");
	sink_span(c->out, prefix);
	sink_add(c->out, hex, sizeof hex);
	sink_lit(c->out, "\"");
}

static bool
fits(struct conversation *c, struct json_value id, uint32_t most, bool strict)
{
	size_t len = 0;
	struct json_text_walk w = json_text_walk(id);
	for (struct span part; (part = json_next_text(c->in, &w)).len;) {
		len += part.len;
		if (len > most)
			return false;
		for (size_t i = 0; strict && i < part.len; i++) {
			char ch = part.at[i], low = ch | 0x20;
			if (!(low >= 'a' && low <= 'z') && !(ch >= '0' && ch <= '9') && ch != '_' && ch != '-')
				return false;
		}
	}
	return len > 0;
}

void
put_call_id(struct conversation *c, const struct conversation_part *p, uint32_t most, bool strict)
{
	if (!given(p->id)) {
		sink_lit(c->out, "\"call_");
		sink_u64(c->out, p->order);
		sink_lit(c->out, "\"");
	} else if (fits(c, p->id, most, strict))
		put_text(c, p->id);
	else
		put_made_up(c, SPAN("call_"), p->id);
}

void
put_user(struct conversation *c, uint32_t most)
{
	struct json_value v = setting(c, SETTING_USER)->value;
	if (c->wish->user.len) {
		sink_lit(c->out, "\"");
		sink_span(c->out, c->wish->user);
		sink_lit(c->out, "\"");
		return;
	}
	if (is_empty(v))
		v = setting(c, SETTING_OLD_USER)->value;
	if (fits(c, v, most, false))
		put_text(c, v);
	else
		put_made_up(c, SPAN("user_"), v);
}

bool
user_said(const struct conversation *c)
{
	return c->wish->user.len || !is_empty(setting(c, SETTING_USER)->value) || !is_empty(setting(c, SETTING_OLD_USER)->value);
}

/* Where the schema came from a language that always holds to it, OpenAI's must be told to. */
void
put_answer_strict(struct conversation *c)
{
	bool openai = c->wish->from == LANGUAGE_CHAT || c->wish->from == LANGUAGE_RESPONSES;
	if (openai ? c->settings.answer.strict.kind == JSON_TRUE : c->settings.answer.strict.kind != JSON_FALSE)
		sink_lit(c->out, ",\"strict\":true");
}

bool
logprobs_wanted(const struct conversation *c)
{
	return c->settings.logprobs_included || setting(c, SETTING_LOGPROBS)->value.kind == JSON_TRUE;
}

bool
calls_one_by_one(const struct conversation *c)
{
	return given(c->settings.alone.value) || setting(c, SETTING_PARALLEL)->value.kind == JSON_FALSE;
}

bool
put_tier(struct conversation *c, struct span name)
{
	static const struct {
		struct span openai, anthropic, gemini;
	} rows[] = {
		{SPAN_INIT("default"), SPAN_INIT("standard_only"), SPAN_INIT("standard")},
		{SPAN_INIT("flex"), {0}, SPAN_INIT("flex")},
		{SPAN_INIT("priority"), {0}, SPAN_INIT("priority")},
	};
	const struct setting *s = setting(c, SETTING_TIER);
	if (!given(s->value) || says_nothing(c, s->value, IDLE_AUTO))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!json_reads(c->in, s->value, rows[i].openai) && !json_reads(c->in, s->value, rows[i].gemini) &&
			!(rows[i].anthropic.len && json_reads(c->in, s->value, rows[i].anthropic)))
			continue;
		struct span word = c->wish->to == LANGUAGE_MESSAGES ? rows[i].anthropic : c->wish->to == LANGUAGE_GEMINI ? rows[i].gemini
																												 : rows[i].openai;
		if (word.len)
			put_word_member(c, name, word);
		if (word.len)
			return true;
	}
	if (c->wish->lenient)
		note_left_out(c, s->name);
	return c->wish->lenient || refuse_path(c, s->in, s->name, TRANSLATE_CANT, "This model's provider has no such tier: leave it out.");
}

/* The string that begins there. */
struct json_value
string_at(struct conversation *c, uint64_t at, uint64_t end)
{
	struct json_walk w = {at, end};
	struct json_value v;
	return json_next_element(c->in, &w, &v) ? v : (struct json_value){at, end, JSON_MORE};
}

/* Walked once: however long it is, a tool costs no more than its own name. */
static void
know_allowed(struct conversation *c)
{
	struct json_walk w = json_walk(c->settings.tools.allowed);
	for (struct json_value e, name; c->allowed_count < ALLOWED_MAX && json_next_element(c->in, &w, &e);)
		if (c->from->allowed_name(c, e, &name))
			c->allowed[c->allowed_count++] = text_hash(c, name);
	c->allowed_known = true;
}

bool
tool_allowed(struct conversation *c, struct json_value name)
{
	if (!given(c->settings.tools.allowed))
		return true;
	if (!c->allowed_known)
		know_allowed(c);
	uint64_t h = text_hash(c, name);
	for (uint32_t i = 0; i < c->allowed_count; i++)
		if (c->allowed[i] == h)
			return true;
	return false;
}

/* ---- Gemini's schemas ---- */

struct schema_copy {
	struct conversation *c;
	uint64_t maps[JSON_DEPTH_MAX / 64 + 1]; /* bit per open object: its members are names of properties */
	uint64_t objects[JSON_DEPTH_MAX / 64 + 1];
	uint32_t depth;
	bool key_next, type_next, map_next;
};

static bool
bit(const uint64_t *bits, uint32_t at)
{
	return bits[at / 64] >> at % 64 & 1;
}

static void
set_bit(uint64_t *bits, uint32_t at, bool on)
{
	bits[at / 64] = (bits[at / 64] & ~(1ull << at % 64)) | (uint64_t)on << at % 64;
}

static void
copy_string(struct schema_copy *k, struct json_value v)
{
	struct conversation *c = k->c;
	if (k->key_next) {
		k->type_next = !bit(k->maps, k->depth) && reads(c, v, "type");
		k->map_next = !bit(k->maps, k->depth) && (reads(c, v, "properties") || reads(c, v, "$defs") || reads(c, v, "definitions"));
		k->key_next = false;
		sink_value(c->out, c->in, v);
		return;
	}
	if (!k->type_next) {
		sink_value(c->out, c->in, v);
		return;
	}
	for (uint64_t at = v.at; at < v.end; at++) {
		char ch = *json_run(c->in, at, v.end).at;
		sink_add(c->out, &(char){ch >= 'A' && ch <= 'Z' ? (char)(ch | 0x20) : ch}, 1);
	}
}

static void
copy_bracket(struct schema_copy *k, char ch)
{
	bool open = ch == '{' || ch == '[';
	if (open && k->depth < JSON_DEPTH_MAX) {
		k->depth++;
		set_bit(k->objects, k->depth, ch == '{');
		set_bit(k->maps, k->depth, ch == '{' && k->map_next);
	} else if (!open && k->depth)
		k->depth--;
	k->key_next = ch == '{';
	k->map_next = false;
	k->type_next &= ch == '[';
}

/* Types in small letters, wherever a schema says its type: one pass, however deep. */
static void
copy_schema(struct conversation *c, struct json_value schema)
{
	struct schema_copy k = {.c = c};
	for (uint64_t at = schema.at; at < schema.end;) {
		char ch = *json_run(c->in, at, schema.end).at;
		if (ch == '"') {
			struct json_value v = string_at(c, at, schema.end);
			copy_string(&k, v);
			at = v.end;
			continue;
		}
		if (ch == '{' || ch == '[' || ch == '}' || ch == ']')
			copy_bracket(&k, ch);
		else if (ch == ',')
			k.key_next = bit(k.objects, k.depth);
		sink_add(c->out, &ch, 1);
		at++;
	}
}

void
put_schema(struct conversation *c, struct json_value schema, enum schema_kind kind)
{
	if (kind == SCHEMA_OPENAPI && given(schema))
		copy_schema(c, schema);
	else if (given(schema))
		sink_value(c->out, c->in, schema);
	else
		sink_lit(c->out, "{\"type\":\"object\",\"properties\":{}}");
}

/* ---- thinking ---- */

static const struct {
	struct span openai, anthropic, gemini;
	uint32_t tokens;
} level_rows[LEVEL_COUNT] = {
	[LEVEL_NONE] = {SPAN_INIT("none"), SPAN_INIT(""), SPAN_INIT(""), 0},
#define X(NAME, o, a, g, tokens) [LEVEL_##NAME] = {SPAN_INIT(o), SPAN_INIT(a), SPAN_INIT(g), tokens},
	LEVELS(X)
#undef X
};

enum level
level_named(struct conversation *c, struct json_value word)
{
	for (unsigned i = LEVEL_NONE; i < LEVEL_COUNT; i++)
		if (level_rows[i].openai.len && (json_reads(c->in, word, level_rows[i].openai) || json_reads(c->in, word, level_rows[i].gemini)))
			return (enum level)i;
	return LEVEL_UNSAID;
}

/* The lowest that is given so many tokens. */
enum level
level_of_tokens(uint64_t tokens)
{
	unsigned i = LEVEL_MINIMAL;
	while (i < LEVEL_XHIGH && level_rows[i].tokens < tokens)
		i++;
	return (enum level)i;
}

struct span
level_word(enum level level, enum language language)
{
	return language == LANGUAGE_MESSAGES ? level_rows[level].anthropic : language == LANGUAGE_GEMINI ? level_rows[level].gemini
																									 : level_rows[level].openai;
}

uint32_t
level_tokens(enum level level)
{
	return level_rows[level].tokens;
}

bool
thinking_level(struct conversation *c, enum level *ret)
{
	enum level level = c->settings.thinking.level;
	if (c->settings.thinking.tokens)
		level = level_of_tokens(c->settings.thinking.tokens);
	*ret = level;
	if (c->wish->thinking != THINKING_NONE || level == LEVEL_UNSAID)
		return true;
	*ret = LEVEL_UNSAID;
	if (level == LEVEL_NONE || level == LEVEL_FREE)
		return true;
	return leave_out_setting(c, c->settings.thinking.path, "This model can't be told how much to think: leave it out.");
}
