/* Requests of Anthropic's messages. Specification: platform.claude.com/docs/en/api/messages. */
#include "dialect/conversation_priv.h"

/* ---- decoder: the body's fields ---- */

enum { ROOT_MESSAGES,
	ROOT_SYSTEM,
	ROOT_TOOLS,
	ROOT_CHOICE,
	ROOT_THINKING,
	ROOT_OUTPUT,
	ROOT_METADATA,
	ROOT_NAMED };

static const char ask_claude[] = "Ask a model of Anthropic's, or leave it out.";
static const struct field root_fields[] = {
	[ROOT_MESSAGES] = FIELD("messages"),
	[ROOT_SYSTEM] = FIELD("system"),
	[ROOT_TOOLS] = FIELD("tools"),
	[ROOT_CHOICE] = FIELD("tool_choice"),
	[ROOT_THINKING] = FIELD("thinking"),
	[ROOT_OUTPUT] = FIELD("output_config"),
	[ROOT_METADATA] = FIELD("metadata"),
	FIELD_SET("max_tokens", CAP),
	FIELD_SET("temperature", TEMPERATURE),
	FIELD_SET("top_p", TOP_P),
	FIELD_SET("top_k", TOP_K),
	FIELD_SET("stop_sequences", STOP),
	FIELD_SET("service_tier", TIER),
	FIELD_IS("model", OURS),
	FIELD_IS("stream", OURS),
	FIELD_IS("cache_control", LEFT_OUT),
	FIELD_UNLESS("container", REFUSED, NEVER, ask_claude),
	FIELD_UNLESS("inference_geo", REFUSED, NEVER, ask_claude),
	FIELD_UNLESS("mcp_servers", REFUSED, EMPTY, ask_claude),
	FIELD_UNLESS("context_management", REFUSED, EMPTY, ask_claude),
	FIELD_UNLESS("fallbacks", REFUSED, EMPTY, ask_claude),
	FIELD_UNLESS("speed", LENIENT, NEVER, ask_claude),
	FIELD_UNLESS("diagnostics", LENIENT, NEVER, ask_claude),
};

enum { CHOICE_TYPE,
	CHOICE_NAME,
	CHOICE_ALONE,
	CHOICE_NAMED };
static const struct field choice_fields[] = {
	[CHOICE_TYPE] = FIELD("type"),
	[CHOICE_NAME] = FIELD("name"),
	[CHOICE_ALONE] = FIELD("disable_parallel_tool_use"),
};

static bool
read_choice(struct conversation *c, struct json_value v)
{
	static const struct {
		struct span word;
		uint8_t choice;
	} rows[] = {{SPAN_INIT("auto"), CHOICE_AUTO}, {SPAN_INIT("none"), CHOICE_NONE}, {SPAN_INIT("any"), CHOICE_ANY}, {SPAN_INIT("tool"), CHOICE_ONE}};
	struct json_value is[CHOICE_NAMED];
	c->settings.tools.path = "tool_choice";
	if (!given(v))
		return true;
	at_name(c, "tool_choice");
	if (!fields_read(c, v, choice_fields, CHOICE_NAMED, is, NULL))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (json_reads(c->in, is[CHOICE_TYPE], rows[i].word))
			c->settings.tools.choice = rows[i].choice;
	if (c->settings.tools.choice == CHOICE_UNSAID)
		return refuse_at(c, "type", TRANSLATE_INVALID, "It must be auto, any, tool or none.");
	c->settings.tools.name = is[CHOICE_NAME];
	if (c->settings.tools.choice == CHOICE_ONE && is[CHOICE_NAME].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, "It says which tool is to be called.");
	if (is[CHOICE_ALONE].kind == JSON_TRUE)
		c->settings.alone = (struct setting){is[CHOICE_ALONE], "tool_choice", "disable_parallel_tool_use"};
	leave(c);
	return true;
}

enum { THINKING_TYPE,
	THINKING_TOKENS,
	THINKING_DISPLAY,
	THINKING_NAMED };
static const struct field thinking_fields[] = {
	[THINKING_TYPE] = FIELD("type"),
	[THINKING_TOKENS] = FIELD("budget_tokens"),
	[THINKING_DISPLAY] = FIELD("display"),
};

static bool
read_thinking(struct conversation *c, struct json_value v)
{
	struct json_value is[THINKING_NAMED];
	uint64_t tokens = 0;
	if (!given(v))
		return true;
	at_name(c, "thinking");
	if (!fields_read(c, v, thinking_fields, THINKING_NAMED, is, NULL))
		return false;
	if (reads(c, is[THINKING_TYPE], "disabled"))
		c->settings.thinking.level = LEVEL_NONE;
	else if (reads(c, is[THINKING_TYPE], "adaptive"))
		c->settings.thinking.level = LEVEL_FREE;
	else if (!reads(c, is[THINKING_TYPE], "enabled"))
		return refuse_at(c, "type", TRANSLATE_INVALID, "It must be enabled, adaptive or disabled.");
	else if (!number_whole(c, is[THINKING_TOKENS], &tokens) || !tokens)
		return refuse_at(c, "budget_tokens", TRANSLATE_INVALID, "It must be a whole number of tokens.");
	leave(c);
	c->settings.thinking.tokens = (uint32_t)tokens;
	c->settings.thinking.hide = reads(c, is[THINKING_DISPLAY], "omitted");
	c->settings.thinking.show = c->settings.thinking.level != LEVEL_NONE && !c->settings.thinking.hide;
	return true;
}

enum { OUTPUT_EFFORT,
	OUTPUT_FORMAT,
	OUTPUT_NAMED };
static const struct field output_fields[] = {
	[OUTPUT_EFFORT] = FIELD("effort"),
	[OUTPUT_FORMAT] = FIELD("format"),
	FIELD_UNLESS("task_budget", LENIENT, NEVER, ask_claude),
};
static const struct field format_fields[] = {FIELD("type"), FIELD("schema")};

static bool
read_output(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(output_fields)], format[2];
	c->settings.answer.path = "output_config.format";
	if (!given(v))
		return true;
	at_name(c, "output_config");
	if (!fields_read(c, v, output_fields, ARRAY_LEN(output_fields), is, "output_config"))
		return false;
	if (given(is[OUTPUT_EFFORT])) {
		enum level level = level_named(c, is[OUTPUT_EFFORT]);
		if (level == LEVEL_UNSAID)
			return refuse_at(c, "effort", TRANSLATE_INVALID, "It must be low, medium, high, xhigh or max.");
		if (c->settings.thinking.level != LEVEL_NONE)
			c->settings.thinking.level = (uint8_t)level;
	}
	if (given(is[OUTPUT_FORMAT])) {
		at_name(c, "format");
		if (!fields_read(c, is[OUTPUT_FORMAT], format_fields, 2, format, NULL))
			return false;
		if (!reads(c, format[0], "json_schema") || format[1].kind != JSON_OBJECT)
			return refuse(c, TRANSLATE_INVALID, "It must be a json_schema with its schema, an object.");
		c->settings.answer.form = ANSWER_SCHEMA;
		c->settings.answer.schema = format[1];
		leave(c);
	}
	leave(c);
	return true;
}

static bool
settings_of_messages(struct conversation *c)
{
	static const struct field metadata_fields[] = {FIELD_SET("user_id", USER)};
	struct json_value is[ARRAY_LEN(root_fields)], metadata[1];
	if (!fields_read(c, json_whole_value(c->in), root_fields, ARRAY_LEN(root_fields), is, NULL))
		return false;
	c->items = is[ROOT_MESSAGES];
	c->tools = is[ROOT_TOOLS];
	c->system = is[ROOT_SYSTEM];
	c->settings.thinking.path = "thinking";
	if (c->items.kind != JSON_ARRAY)
		return refuse_at(c, "messages", TRANSLATE_INVALID, "It must be a list of messages.");
	if (given(is[ROOT_METADATA])) {
		at_name(c, "metadata");
		if (!fields_read(c, is[ROOT_METADATA], metadata_fields, 1, metadata, "metadata"))
			return false;
		leave(c);
	}
	return read_choice(c, is[ROOT_CHOICE]) && read_thinking(c, is[ROOT_THINKING]) && read_output(c, is[ROOT_OUTPUT]);
}

/* ---- decoder: tools, system ---- */

enum { TOOL_NAME,
	TOOL_ABOUT,
	TOOL_SCHEMA,
	TOOL_STRICT,
	TOOL_TYPE,
	TOOL_CACHE,
	TOOL_NAMED };
static const struct field tool_fields[] = {
	[TOOL_NAME] = FIELD("name"),
	[TOOL_ABOUT] = FIELD("description"),
	[TOOL_SCHEMA] = FIELD("input_schema"),
	[TOOL_STRICT] = FIELD("strict"),
	[TOOL_TYPE] = FIELD("type"),
	[TOOL_CACHE] = FIELD("cache_control"),
	FIELD_IS("input_examples", LEFT_OUT),
	FIELD_IS("eager_input_streaming", LEFT_OUT),
	FIELD_UNLESS("defer_loading", REFUSED, FALSE, ask_claude),
};

static bool
tool_of_messages(struct conversation *c, struct json_value v)
{
	static const struct span type[] = {SPAN_INIT("type")};
	struct json_value is[ARRAY_LEN(tool_fields)], is_type;
	json_members(c->in, v, type, 1, &is_type, NULL);
	if (is_type.kind == JSON_STRING && !reads(c, is_type, "custom"))
		return refuse_at(c, "type", TRANSLATE_CANT, "Tools that Anthropic runs are not known elsewhere: give the model tools of yours.");
	if (!fields_read(c, v, tool_fields, ARRAY_LEN(tool_fields), is, NULL))
		return false;
	if (is[TOOL_NAME].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, NULL);
	const struct conversation_tool t = {.name = is[TOOL_NAME], .description = is[TOOL_ABOUT], .schema = is[TOOL_SCHEMA], .strict = is[TOOL_STRICT], .cached = given(is[TOOL_CACHE])};
	return tell_tool(c, &t);
}

static bool
tools_of_messages(struct conversation *c)
{
	struct json_walk w = json_walk(c->tools);
	uint32_t i = 0;
	at_name(c, "tools");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!tool_of_messages(c, v))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

enum { BLOCK_TYPE,
	BLOCK_TEXT,
	BLOCK_SOURCE,
	BLOCK_TITLE,
	BLOCK_CITATIONS,
	BLOCK_CACHE,
	BLOCK_ID,
	BLOCK_NAME,
	BLOCK_INPUT,
	BLOCK_USE_ID,
	BLOCK_CONTENT,
	BLOCK_FAILED,
	BLOCK_NAMED };
static const struct field block_fields[] = {
	[BLOCK_TYPE] = FIELD("type"),
	[BLOCK_TEXT] = FIELD("text"),
	[BLOCK_SOURCE] = FIELD("source"),
	[BLOCK_TITLE] = FIELD("title"),
	[BLOCK_CITATIONS] = FIELD("citations"),
	[BLOCK_CACHE] = FIELD("cache_control"),
	[BLOCK_ID] = FIELD("id"),
	[BLOCK_NAME] = FIELD("name"),
	[BLOCK_INPUT] = FIELD("input"),
	[BLOCK_USE_ID] = FIELD("tool_use_id"),
	[BLOCK_CONTENT] = FIELD("content"),
	[BLOCK_FAILED] = FIELD("is_error"),
	FIELD_IS("context", LEFT_OUT),
	FIELD_IS("thinking", OURS), /* thoughts belong to the provider that had them: the whole block is left out */
	FIELD_IS("signature", OURS),
	FIELD_IS("data", OURS),
	FIELD_IS("caller", LEFT_OUT),
};

static bool
system_of_messages(struct conversation *c)
{
	struct json_walk w = json_walk(c->system);
	struct conversation_part p = {.text = c->system};
	uint32_t i = 0;
	if (c->system.kind == JSON_STRING)
		return tell_system(c, &p);
	at_name(c, "system");
	if (given(c->system) && c->system.kind != JSON_ARRAY)
		return refuse(c, TRANSLATE_INVALID, "It must be a string or a list of text blocks.");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		struct json_value is[ARRAY_LEN(block_fields)];
		at_index(c, i);
		if (!fields_read(c, v, block_fields, ARRAY_LEN(block_fields), is, NULL))
			return false;
		if (!reads(c, is[BLOCK_TYPE], "text") || is[BLOCK_TEXT].kind != JSON_STRING)
			return refuse(c, TRANSLATE_INVALID, "It must be a block of text.");
		p.text = is[BLOCK_TEXT];
		p.cached = given(is[BLOCK_CACHE]);
		if (!tell_system(c, &p))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

/* ---- decoder: messages ---- */

static const struct field message_fields[] = {FIELD("role"), FIELD("content")};

static bool
side_of_messages(struct conversation *c, struct json_value item, enum side *ret)
{
	static const struct span names[] = {SPAN_INIT("role")};
	struct json_value role;
	json_members(c->in, item, names, 1, &role, NULL);
	*ret = SIDE_USER;
	if (reads(c, role, "assistant"))
		*ret = SIDE_ASSISTANT;
	else if (reads(c, role, "system"))
		*ret = SIDE_SYSTEM;
	else if (!reads(c, role, "user"))
		return refuse_at(c, "role", TRANSLATE_INVALID, "It must be user or assistant.");
	return true;
}

enum { SOURCE_TYPE,
	SOURCE_MEDIA_TYPE,
	SOURCE_DATA,
	SOURCE_URL,
	SOURCE_CONTENT,
	SOURCE_NAMED };
static const struct field source_fields[] = {
	[SOURCE_TYPE] = FIELD("type"),
	[SOURCE_MEDIA_TYPE] = FIELD("media_type"),
	[SOURCE_DATA] = FIELD("data"),
	[SOURCE_URL] = FIELD("url"),
	[SOURCE_CONTENT] = FIELD("content"),
	FIELD_UNLESS("file_id", REFUSED, NEVER, "Files that are stored at a provider can't be sent to another: send base64."),
};

static bool tell_blocks(struct conversation *c, struct json_value content, unsigned says);

static bool
tell_media(struct conversation *c, const struct json_value *is, struct conversation_part *p)
{
	struct json_value from[ARRAY_LEN(source_fields)];
	at_name(c, "source");
	if (!fields_read(c, is[BLOCK_SOURCE], source_fields, ARRAY_LEN(source_fields), from, NULL))
		return false;
	p->name = is[BLOCK_TITLE];
	if (reads(c, from[SOURCE_TYPE], "base64")) {
		p->text = from[SOURCE_DATA];
		p->type.text = from[SOURCE_MEDIA_TYPE];
		p->from = MEDIA_BASE64;
		at_name(c, "media_type");
		if (!media_type_fine(c, p->type.text))
			return false;
		leave(c);
	} else if (reads(c, from[SOURCE_TYPE], "url")) {
		p->text = from[SOURCE_URL];
		p->from = MEDIA_URL;
		at_name(c, "url");
		if (!web_url(c, p->text))
			return false;
		leave(c);
	} else if (reads(c, from[SOURCE_TYPE], "text")) {
		p->kind = PART_TEXT;
		p->text = from[SOURCE_DATA];
	} else if (reads(c, from[SOURCE_TYPE], "content") && c->media_depth == 0) {
		at_name(c, "content");
		c->media_depth++;
		bool well = tell_blocks(c, from[SOURCE_CONTENT], SAYS_TEXT);
		c->media_depth--;
		leave(c);
		leave(c);
		return well;
	} else
		return refuse_at(c, "type", TRANSLATE_CANT, "It must be base64, url, text or content.");
	if (p->text.kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "What it holds must be a string.");
	bool well = tell(c, p);
	leave(c);
	return well;
}

static bool
tell_result(struct conversation *c, const struct json_value *is, struct conversation_part *p)
{
	struct json_value content = only_text_of(c, is[BLOCK_CONTENT]);
	bool whole = content.kind == JSON_STRING;
	if (is[BLOCK_USE_ID].kind != JSON_STRING)
		return refuse_at(c, "tool_use_id", TRANSLATE_MISSING, "It says which call is answered.");
	p->kind = PART_RESULT;
	p->id = is[BLOCK_USE_ID];
	p->failed = is[BLOCK_FAILED].kind == JSON_TRUE;
	if (whole)
		p->text = content;
	at_name(c, "tool_use_id");
	if (!tell(c, p))
		return false;
	leave(c);
	at_name(c, "content");
	if (!whole && !tell_blocks(c, content, SAYS_TEXT | SAYS_IN_RESULT))
		return false;
	leave(c);
	p->kind = PART_RESULT_END;
	return tell(c, p);
}

static bool
tell_call(struct conversation *c, const struct json_value *is, struct conversation_part *p)
{
	if (is[BLOCK_ID].kind != JSON_STRING || is[BLOCK_NAME].kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "Its id and name must be strings.");
	p->kind = PART_CALL;
	p->id = is[BLOCK_ID];
	p->name = is[BLOCK_NAME];
	p->text = is[BLOCK_INPUT];
	at_name(c, "input");
	if (given(p->text) && p->text.kind != JSON_OBJECT)
		return refuse(c, TRANSLATE_INVALID, "It must be an object.");
	bool well = tell(c, p);
	leave(c);
	return well;
}

static bool
asks_citations(struct conversation *c, struct json_value v)
{
	static const struct span names[] = {SPAN_INIT("enabled")};
	struct json_value enabled;
	json_members(c->in, v, names, 1, &enabled, NULL);
	return enabled.kind == JSON_TRUE;
}

static bool
tell_tool_block(struct conversation *c, const struct json_value *is, bool call, unsigned says)
{
	struct conversation_part p = {.cached = given(is[BLOCK_CACHE])};
	/* Looked into, they would be walked once more at each depth. */
	if (says & (SAYS_IN_RESULT | SAYS_MEDIA_ONLY))
		return refuse_at(c, "type", TRANSLATE_CANT, "A result may hold text, images and documents.");
	if (call)
		return !(says & SAYS_CALLS) || tell_call(c, is, &p);
	if (says & SAYS_RESULTS)
		return tell_result(c, is, &p);
	at_name(c, "content");
	bool well = !(says & SAYS_RESULT_MEDIA) || tell_blocks(c, is[BLOCK_CONTENT], SAYS_RESULT_MEDIA | SAYS_MEDIA_ONLY);
	leave(c);
	return well;
}

static bool
tell_block(struct conversation *c, const struct json_value *is, unsigned says)
{
	struct json_value type = is[BLOCK_TYPE];
	struct conversation_part p = {.cached = given(is[BLOCK_CACHE])};
	bool call = reads(c, type, "tool_use");
	if (call || reads(c, type, "tool_result"))
		return tell_tool_block(c, is, call, says);
	bool image = reads(c, type, "image"), document = reads(c, type, "document");
	if (!(says & SAYS_TEXT) && !((says & SAYS_MEDIA_ONLY) && (image || document)))
		return true;
	if (reads(c, type, "thinking") || reads(c, type, "redacted_thinking")) {
		p.kind = PART_THOUGHT;
		return tell(c, &p);
	}
	if (document && asks_citations(c, is[BLOCK_CITATIONS]))
		return refuse_at(c, "citations", TRANSLATE_CANT, "Citations are Anthropic's: leave them out.");
	if (image || document) {
		p.kind = image ? PART_IMAGE : PART_FILE;
		return tell_media(c, is, &p);
	}
	if (!reads(c, type, "text"))
		return refuse_at(c, "type", TRANSLATE_CANT, "Blocks may be text, image, document, tool_use, tool_result or thinking.");
	p.text = is[BLOCK_TEXT];
	return p.text.kind == JSON_STRING ? tell(c, &p) : refuse_at(c, "text", TRANSLATE_INVALID, "It must be a string.");
}

static bool
tell_blocks(struct conversation *c, struct json_value content, unsigned says)
{
	struct json_walk w = json_walk(content);
	struct conversation_part text = {.text = content};
	uint32_t i = 0;
	if (content.kind == JSON_STRING)
		return !(says & SAYS_TEXT) || tell(c, &text);
	if (given(content) && content.kind != JSON_ARRAY)
		return refuse(c, TRANSLATE_INVALID, "It must be a string or a list of blocks.");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		struct json_value is[ARRAY_LEN(block_fields)];
		at_index(c, i);
		if (!fields_read(c, v, block_fields, ARRAY_LEN(block_fields), is, NULL))
			return false;
		if (!tell_block(c, is, says))
			return false;
		leave(c);
	}
	return true;
}

static bool
item_of_messages(struct conversation *c, struct json_value item, unsigned says)
{
	struct json_value is[2];
	if (!fields_read(c, item, message_fields, 2, is, NULL))
		return false;
	at_name(c, "content");
	bool well = tell_blocks(c, is[1], says);
	leave(c);
	return well;
}

const struct conversation_decoder messages_request_decoder = {
	.items = "messages",
	.cap = "max_tokens",
	.prefills = true,
	.settings = settings_of_messages,
	.tools = tools_of_messages,
	.system = system_of_messages,
	.side = side_of_messages,
	.item = item_of_messages,
};

/* ---- encoder: settings ---- */

enum { USER_MAX = 512,
	ID_MAX = 64,
	CACHED_MAX = 4,
	BUDGET_MIN = 1024 };

static const struct unsaid unsaid[] = {
	{SETTING_N, FIELD_REFUSED, "One answer is given to a request: send it several times."},
	{SETTING_LOGPROBS, FIELD_REFUSED, "Claude tells no probabilities: leave it out."},
	{SETTING_TOP_LOGPROBS, FIELD_REFUSED, "Claude tells no probabilities: leave it out."},
	{SETTING_SEED, FIELD_LENIENT, "Claude takes no seed: leave it out."},
	{SETTING_PRESENCE, FIELD_LENIENT, "Claude takes no penalties: leave it out."},
	{SETTING_FREQUENCY, FIELD_LENIENT, "Claude takes no penalties: leave it out."},
	{SETTING_LOGIT_BIAS, FIELD_LENIENT, "Claude takes no bias: leave it out."},
	{SETTING_VERBOSITY, FIELD_LENIENT, "Claude can't be told how much to say but by text: leave it out."},
	{SETTING_CACHE_KEY, FIELD_LEFT_OUT, NULL},
};

static bool
put_temperature(struct conversation *c)
{
	const struct setting *s = setting(c, SETTING_TEMPERATURE);
	if (!given(s->value) || number_about(c, s->value) <= 1) {
		put_setting(c, SPAN("temperature"), SETTING_TEMPERATURE);
		return true;
	}
	if (!c->wish->lenient)
		return refuse_path(c, s->in, s->name, TRANSLATE_CANT, "Claude takes 0 to 1.");
	note_left_out(c, s->name);
	put_u32_member(c, SPAN("temperature"), 1);
	return true;
}

static bool
put_bound(struct conversation *c)
{
	if (put_cap(c, SPAN("max_tokens")))
		return true;
	if (!c->wish->output_tokens)
		return refuse_path(c, NULL, c->from->cap, TRANSLATE_MISSING, "This model's provider wants a bound on the answer: give one.");
	put_u32_member(c, SPAN("max_tokens"), c->wish->output_tokens);
	return true;
}

/* Does the conversation end with results of tools? Then thoughts stand between its calls, and they aren't ours to send. */
static bool
amid_calls(struct conversation *c)
{
	struct json_walk w = json_walk(c->items);
	struct json_value item, last = {0};
	struct turn_shape shape = {0};
	enum side side;
	while (json_next_element(c->in, &w, &item))
		last = item;
	c->counting = &shape;
	bool well = given(last) && c->from->side(c, last, &side) && side != SIDE_ASSISTANT && c->from->item(c, last, SAYS_RESULTS);
	c->counting = NULL;
	return well && shape.parts[PART_RESULT];
}

static bool
put_budget(struct conversation *c, enum level level)
{
	uint64_t cap = cap_known(c), tokens = c->settings.thinking.tokens;
	if (!tokens)
		tokens = level_tokens(level == LEVEL_FREE ? LEVEL_MEDIUM : level);
	if (tokens < BUDGET_MIN)
		tokens = BUDGET_MIN;
	if (cap == UINT64_MAX)
		cap = c->wish->output_tokens;
	if (cap <= BUDGET_MIN)
		return leave_out_setting(c, c->settings.thinking.path, "Claude thinks with 1,024 tokens at least, which count as output: allow more of it.");
	/* A tool that must be called and thinking exclude each other as well. */
	if (c->settings.tools.choice >= CHOICE_ANY || amid_calls(c)) {
		note_left_out(c, c->settings.thinking.path);
		return true;
	}
	if (tokens >= cap)
		tokens = cap / 2 > BUDGET_MIN ? cap / 2 : BUDGET_MIN;
	put_name(c, SPAN("thinking"));
	sink_lit(c->out, "{\"type\":\"enabled\",\"budget_tokens\":");
	sink_u64(c->out, tokens);
	sink_lit(c->out, "}");
	return true;
}

static bool
put_thinking(struct conversation *c, enum level level)
{
	if (level == LEVEL_UNSAID)
		return true;
	if (level != LEVEL_NONE && c->wish->thinking == THINKING_BUDGET)
		return put_budget(c, level);
	put_name(c, SPAN("thinking"));
	if (level == LEVEL_NONE)
		sink_lit(c->out, "{\"type\":\"disabled\"}");
	else if (c->settings.thinking.show)
		sink_lit(c->out, "{\"type\":\"adaptive\",\"display\":\"summarized\"}");
	else
		sink_lit(c->out, "{\"type\":\"adaptive\"}");
	return true;
}

static bool
put_output(struct conversation *c, enum level level)
{
	bool effort = level > LEVEL_FREE && c->wish->thinking == THINKING_EFFORT, schema = c->settings.answer.form == ANSWER_SCHEMA;
	if (c->settings.answer.form == ANSWER_JSON)
		return refuse_path(c, NULL, c->settings.answer.path, TRANSLATE_CANT, "Give Claude a JSON schema, or ask for JSON in the text.");
	if (!effort && !schema)
		return true;
	put_name(c, SPAN("output_config"));
	sink_lit(c->out, "{");
	if (effort) {
		sink_lit(c->out, "\"effort\":\"");
		sink_span(c->out, level_word(level, LANGUAGE_MESSAGES));
		sink_lit(c->out, "\"");
	}
	if (effort && schema)
		sink_lit(c->out, ",");
	if (schema) {
		sink_lit(c->out, "\"format\":{\"type\":\"json_schema\",\"schema\":");
		put_schema(c, c->settings.answer.schema, c->settings.answer.schema_kind);
		sink_lit(c->out, "}");
	}
	sink_lit(c->out, "}");
	return true;
}

static void
put_choice(struct conversation *c)
{
	static const struct span words[] = {[CHOICE_UNSAID] = SPAN_INIT("auto"), [CHOICE_AUTO] = SPAN_INIT("auto"), [CHOICE_NONE] = SPAN_INIT("none"), [CHOICE_ANY] = SPAN_INIT("any"), [CHOICE_ONE] = SPAN_INIT("tool")};
	enum choice choice = c->settings.tools.choice;
	bool alone = calls_one_by_one(c);
	if ((choice == CHOICE_UNSAID && !alone) || !count_elements(c, c->tools))
		return;
	put_name(c, SPAN("tool_choice"));
	sink_lit(c->out, "{\"type\":\"");
	sink_span(c->out, words[choice]);
	sink_lit(c->out, "\"");
	if (choice == CHOICE_ONE) {
		sink_lit(c->out, ",\"name\":");
		put_text(c, c->settings.tools.name);
	}
	if (alone && choice != CHOICE_NONE)
		sink_lit(c->out, ",\"disable_parallel_tool_use\":true");
	sink_lit(c->out, "}");
}

static bool
settings_for_messages(struct conversation *c)
{
	enum level level;
	if (!refuse_unsaid(c, unsaid, ARRAY_LEN(unsaid)) || !thinking_level(c, &level))
		return false;
	if (c->settings.logprobs_included)
		return refuse_path(c, NULL, "include", TRANSLATE_CANT, "Claude tells no probabilities: leave it out.");
	put_word_member(c, SPAN("model"), c->wish->model);
	if (!put_bound(c))
		return false;
	if (c->wish->stream) {
		put_name(c, SPAN("stream"));
		sink_lit(c->out, "true");
	}
	if (!put_temperature(c))
		return false;
	put_setting(c, SPAN("top_p"), SETTING_TOP_P);
	put_setting(c, SPAN("top_k"), SETTING_TOP_K);
	put_stop_list(c, SPAN("stop_sequences"));
	if (user_said(c)) {
		put_name(c, SPAN("metadata"));
		sink_lit(c->out, "{\"user_id\":");
		put_user(c, USER_MAX);
		sink_lit(c->out, "}");
	}
	if (!put_tier(c, SPAN("service_tier")) || !put_thinking(c, level) || !put_output(c, level))
		return false;
	put_choice(c);
	return true;
}

/* ---- encoder: tools, turns ---- */

static void
put_cache_mark(struct conversation *c, bool cached)
{
	if (cached && c->e.cached++ < CACHED_MAX)
		sink_lit(c->out, ",\"cache_control\":{\"type\":\"ephemeral\"}");
}

static bool
tool_for_messages(struct conversation *c, const struct conversation_tool *t)
{
	sink_lit(c->out, "{\"name\":");
	put_text(c, t->name);
	if (given(t->description)) {
		sink_lit(c->out, ",\"description\":");
		put_text(c, t->description);
	}
	sink_lit(c->out, ",\"input_schema\":");
	put_schema(c, t->schema, t->schema_kind);
	if (t->strict.kind == JSON_TRUE)
		sink_lit(c->out, ",\"strict\":true");
	put_cache_mark(c, t->cached);
	sink_lit(c->out, "}");
	return true;
}

static bool
text_for_messages(struct conversation *c, const struct conversation_part *p)
{
	sink_lit(c->out, "{\"type\":\"text\",\"text\":");
	put_text(c, p->text);
	put_cache_mark(c, p->cached);
	sink_lit(c->out, "}");
	return true;
}

static bool
turn_for_messages(struct conversation *c, enum side side, const struct turn_shape *shape)
{
	(void)shape;
	merge_turn(c, side);
	return true;
}

static void
begin_block(struct conversation *c)
{
	static const struct merged_form form = {SPAN_INIT("{\"role\":\"user\",\"content\":["), SPAN_INIT("{\"role\":\"assistant\",\"content\":[")};
	begin_merged_part(c, &form);
}

static bool
media_for_messages(struct conversation *c, const struct conversation_part *p)
{
	if (p->kind == PART_AUDIO)
		return refuse(c, TRANSLATE_CANT, "Claude can't hear: send a transcript.");
	if (p->kind == PART_IMAGE)
		sink_lit(c->out, "{\"type\":\"image\"");
	else if (p->from == MEDIA_URL || media_is(c, &p->type, SPAN("application/pdf")))
		sink_lit(c->out, "{\"type\":\"document\"");
	else
		return refuse(c, TRANSLATE_CANT, "Claude reads PDF: send other documents as text.");
	if (p->from == MEDIA_URL) {
		sink_lit(c->out, ",\"source\":{\"type\":\"url\",\"url\":");
	} else {
		sink_lit(c->out, ",\"source\":{\"type\":\"base64\",\"media_type\":\"");
		put_media_type(c, &p->type);
		sink_lit(c->out, "\",\"data\":");
	}
	put_text(c, p->text);
	sink_lit(c->out, "}");
	if (p->kind == PART_FILE && !is_empty(p->name)) {
		sink_lit(c->out, ",\"title\":");
		put_text(c, p->name);
	}
	put_cache_mark(c, p->cached);
	sink_lit(c->out, "}");
	return true;
}

static bool
call_for_messages(struct conversation *c, const struct conversation_part *p)
{
	begin_block(c);
	sink_lit(c->out, "{\"type\":\"tool_use\",\"id\":");
	put_call_id(c, p, ID_MAX, true);
	sink_lit(c->out, ",\"name\":");
	put_text(c, p->name);
	sink_lit(c->out, ",\"input\":");
	if (!put_object(c, p->text))
		return false;
	put_cache_mark(c, p->cached);
	sink_lit(c->out, "}");
	return true;
}

static bool
result_for_messages(struct conversation *c, const struct conversation_part *p)
{
	begin_block(c);
	sink_lit(c->out, "{\"type\":\"tool_result\",\"tool_use_id\":");
	put_call_id(c, p, ID_MAX, true);
	if (p->failed)
		sink_lit(c->out, ",\"is_error\":true");
	put_cache_mark(c, p->cached);
	sink_lit(c->out, ",\"content\":");
	c->e.result = true;
	c->e.result_parts = false;
	if (given(p->text))
		put_text(c, p->text);
	else
		sink_lit(c->out, "[");
	return true;
}

static bool
part_for_messages(struct conversation *c, const struct conversation_part *p)
{
	switch ((enum part_kind)p->kind) {
	case PART_THOUGHT: /* its provider's alone */
		return true;
	case PART_CALL:
		return call_for_messages(c, p);
	case PART_RESULT:
		return result_for_messages(c, p);
	case PART_RESULT_END:
		c->e.result = false;
		if (given(p->text))
			sink_lit(c->out, "}");
		else
			sink_lit(c->out, "]}");
		return true;
	case PART_TEXT:
	case PART_REFUSAL:
	case PART_IMAGE:
	case PART_AUDIO:
	case PART_FILE:
	case PART_KINDS:
		break;
	}
	bool text = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
	if (text && is_empty(p->text))
		return true;
	if (!c->e.result)
		begin_block(c);
	else if (c->e.result_parts)
		sink_lit(c->out, ",");
	c->e.result_parts = c->e.result;
	return text ? text_for_messages(c, p) : media_for_messages(c, p);
}

static bool
turn_end_for_messages(struct conversation *c)
{
	(void)c;
	return true;
}

static bool
finish_messages(struct conversation *c)
{
	if (!c->e.items)
		return refuse_at(c, c->from->items, TRANSLATE_CANT, "Claude wants at least one turn that says something.");
	close_merged_turn(c);
	return true;
}

const struct conversation_encoder messages_request_encoder = {
	.tools = {SPAN_INIT("tools"), SPAN_INIT("["), SPAN_INIT("]")},
	.system_list = {SPAN_INIT("system"), SPAN_INIT("["), SPAN_INIT("]")},
	.turns = {SPAN_INIT("messages"), SPAN_INIT("["), SPAN_INIT("]")},
	.hoists_system = true,
	.filters_tools = true,
	.prefills = true,
	.settings = settings_for_messages,
	.tool = tool_for_messages,
	.system = text_for_messages,
	.turn = turn_for_messages,
	.part = part_for_messages,
	.turn_end = turn_end_for_messages,
	.finish = finish_messages,
};
