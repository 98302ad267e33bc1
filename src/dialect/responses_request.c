/* Requests of OpenAI's responses, as far as they need nothing kept at the provider. Specification: platform.openai.com/docs/api-reference/responses/create. */
#include "dialect/conversation_priv.h"

/* ---- decoder: the body's fields ---- */

enum { ROOT_INPUT,
	ROOT_INSTRUCTIONS,
	ROOT_TOOLS,
	ROOT_CHOICE,
	ROOT_TEXT,
	ROOT_REASONING,
	ROOT_INCLUDE };

static const char nothing_kept[] = "Nothing is kept between requests for this model: send the whole conversation as input.";
static const char no_hosted[] = "Tools that OpenAI runs are not known elsewhere: give the model function tools.";
static const struct field root_fields[] = {
	[ROOT_INPUT] = FIELD("input"),
	[ROOT_INSTRUCTIONS] = FIELD("instructions"),
	[ROOT_TOOLS] = FIELD("tools"),
	[ROOT_CHOICE] = FIELD("tool_choice"),
	[ROOT_TEXT] = FIELD("text"),
	[ROOT_REASONING] = FIELD("reasoning"),
	[ROOT_INCLUDE] = FIELD("include"),
	FIELD_SET("max_output_tokens", CAP),
	FIELD_SET("temperature", TEMPERATURE),
	FIELD_SET("top_p", TOP_P),
	FIELD_SET("top_logprobs", TOP_LOGPROBS),
	FIELD_SET("parallel_tool_calls", PARALLEL),
	FIELD_SET("prompt_cache_key", CACHE_KEY),
	FIELD_SET("safety_identifier", USER),
	FIELD_SET("user", OLD_USER),
	FIELD_SET("service_tier", TIER),
	FIELD_IS("model", OURS),
	FIELD_IS("stream", OURS),
	FIELD_IS("stream_options", OURS),
	FIELD_IS("metadata", LEFT_OUT),
	FIELD_IS("prompt_cache_retention", LEFT_OUT),
	FIELD_IS("prompt_cache_options", LEFT_OUT),
	FIELD_UNLESS("store", REFUSED, FALSE, nothing_kept),
	FIELD_UNLESS("background", REFUSED, FALSE, "Leave it out and stream the answer."),
	FIELD_UNLESS("previous_response_id", REFUSED, NEVER, nothing_kept),
	FIELD_UNLESS("conversation", REFUSED, NEVER, nothing_kept),
	FIELD_UNLESS("prompt", REFUSED, NEVER, nothing_kept),
	FIELD_UNLESS("context_management", REFUSED, EMPTY, "Ask a model of OpenAI's, or leave it out."),
	FIELD_UNLESS("moderation", REFUSED, NEVER, "Ask a model of OpenAI's, or leave it out."),
	FIELD_UNLESS("truncation", LENIENT, DISABLED, "Conversations are not shortened for this model: leave it out."),
	FIELD_UNLESS("max_tool_calls", LENIENT, NEVER, "It bounds tools that OpenAI runs: leave it out."),
};

enum { CHOICE_TYPE,
	CHOICE_NAME,
	CHOICE_MODE,
	CHOICE_TOOLS,
	CHOICE_NAMED };
static const struct field choice_fields[] = {
	[CHOICE_TYPE] = FIELD("type"),
	[CHOICE_NAME] = FIELD("name"),
	[CHOICE_MODE] = FIELD("mode"),
	[CHOICE_TOOLS] = FIELD("tools"),
};

static bool
choice_word(struct conversation *c, struct json_value v)
{
	static const struct {
		struct span word;
		uint8_t choice;
	} rows[] = {{SPAN_INIT("auto"), CHOICE_AUTO}, {SPAN_INIT("none"), CHOICE_NONE}, {SPAN_INIT("required"), CHOICE_ANY}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (json_reads(c->in, v, rows[i].word)) {
			c->settings.tools.choice = rows[i].choice;
			return true;
		}
	return refuse(c, TRANSLATE_INVALID, "It must be none, auto, required, or an object that names functions.");
}

static bool
choice_object(struct conversation *c, struct json_value v)
{
	struct json_value is[CHOICE_NAMED];
	if (!fields_read(c, v, choice_fields, CHOICE_NAMED, is, NULL))
		return false;
	if (reads(c, is[CHOICE_TYPE], "function") && is[CHOICE_NAME].kind == JSON_STRING) {
		c->settings.tools.choice = CHOICE_ONE;
		c->settings.tools.name = is[CHOICE_NAME];
		return true;
	}
	if (!reads(c, is[CHOICE_TYPE], "allowed_tools"))
		return refuse_at(c, "type", TRANSLATE_CANT, no_hosted);
	c->settings.tools.allowed = is[CHOICE_TOOLS];
	if (count_elements(c, is[CHOICE_TOOLS]) > ALLOWED_MAX)
		return refuse_at(c, "tools", TRANSLATE_CANT, "At most 128 tools may be named here: send only the tools that may be called.");
	return choice_word(c, is[CHOICE_MODE]);
}

static bool
read_choice(struct conversation *c, struct json_value v)
{
	c->settings.tools.path = "tool_choice";
	if (!given(v))
		return true;
	at_name(c, "tool_choice");
	bool well = v.kind == JSON_OBJECT ? choice_object(c, v) : choice_word(c, v);
	leave(c);
	return well;
}

static bool
allowed_name(struct conversation *c, struct json_value element, struct json_value *ret)
{
	static const struct span name[] = {SPAN_INIT("name")};
	json_members(c->in, element, name, 1, ret, NULL);
	return ret->kind == JSON_STRING;
}

enum { FORMAT_TYPE,
	FORMAT_NAME,
	FORMAT_SCHEMA,
	FORMAT_STRICT,
	FORMAT_ABOUT,
	FORMAT_NAMED };
static const struct field format_fields[] = {
	[FORMAT_TYPE] = FIELD("type"),
	[FORMAT_NAME] = FIELD("name"),
	[FORMAT_SCHEMA] = FIELD("schema"),
	[FORMAT_STRICT] = FIELD("strict"),
	[FORMAT_ABOUT] = FIELD("description"),
};
static const struct field text_fields[] = {FIELD("format"), FIELD_SET("verbosity", VERBOSITY)};

static bool
read_format(struct conversation *c, struct json_value v)
{
	struct json_value is[FORMAT_NAMED];
	if (!fields_read(c, v, format_fields, FORMAT_NAMED, is, NULL))
		return false;
	if (reads(c, is[FORMAT_TYPE], "text"))
		return true;
	if (reads(c, is[FORMAT_TYPE], "json_object")) {
		c->settings.answer.form = ANSWER_JSON;
		return true;
	}
	if (!reads(c, is[FORMAT_TYPE], "json_schema"))
		return refuse_at(c, "type", TRANSLATE_INVALID, "It must be text, json_object or json_schema.");
	if (is[FORMAT_SCHEMA].kind != JSON_OBJECT)
		return refuse_at(c, "schema", TRANSLATE_INVALID, "It must be an object: the schema of the answer.");
	c->settings.answer.form = ANSWER_SCHEMA;
	c->settings.answer.schema = is[FORMAT_SCHEMA];
	c->settings.answer.name = is[FORMAT_NAME];
	c->settings.answer.strict = is[FORMAT_STRICT];
	c->settings.answer.description = is[FORMAT_ABOUT];
	return true;
}

static bool
read_text(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(text_fields)];
	c->settings.answer.path = "text.format";
	if (!given(v))
		return true;
	at_name(c, "text");
	if (!fields_read(c, v, text_fields, ARRAY_LEN(text_fields), is, "text"))
		return false;
	at_name(c, "format");
	if (given(is[0]) && !read_format(c, is[0]))
		return false;
	leave(c);
	leave(c);
	return true;
}

enum { REASONING_EFFORT,
	REASONING_SUMMARY,
	REASONING_OLD_SUMMARY };
static const char ask_openai[] = "Ask a model of OpenAI's, or leave it out.";
static const struct field reasoning_fields[] = {
	[REASONING_EFFORT] = FIELD("effort"),
	[REASONING_SUMMARY] = FIELD("summary"),
	[REASONING_OLD_SUMMARY] = FIELD("generate_summary"),
	FIELD_UNLESS("context", LENIENT, AUTO, ask_openai),
	FIELD_UNLESS("mode", LENIENT, AUTO, ask_openai),
};

static bool
read_reasoning(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(reasoning_fields)];
	c->settings.thinking.path = "reasoning.effort";
	if (!given(v))
		return true;
	at_name(c, "reasoning");
	if (!fields_read(c, v, reasoning_fields, ARRAY_LEN(reasoning_fields), is, "reasoning"))
		return false;
	c->settings.thinking.show = given(is[REASONING_SUMMARY]) || given(is[REASONING_OLD_SUMMARY]);
	if (given(is[REASONING_EFFORT])) {
		c->settings.thinking.level = level_named(c, is[REASONING_EFFORT]);
		if (c->settings.thinking.level == LEVEL_UNSAID)
			return refuse_at(c, "effort", TRANSLATE_INVALID, "It must be none, minimal, low, medium, high, xhigh or max.");
	}
	leave(c);
	return true;
}

static bool
read_include(struct conversation *c, struct json_value list)
{
	struct json_walk w = json_walk(list);
	uint32_t i = 0;
	at_name(c, "include");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (reads(c, v, "message.output_text.logprobs"))
			c->settings.logprobs_included = true;
		else if (reads(c, v, "reasoning.encrypted_content"))
			note_left_out(c, "reasoning.encrypted_content");
		else
			return refuse(c, TRANSLATE_CANT, ask_openai);
		leave(c);
	}
	leave(c);
	return true;
}

static bool
settings_of_responses(struct conversation *c)
{
	struct json_value is[ARRAY_LEN(root_fields)];
	if (!fields_read(c, json_whole_value(c->in), root_fields, ARRAY_LEN(root_fields), is, NULL))
		return false;
	c->items = is[ROOT_INPUT];
	c->tools = is[ROOT_TOOLS];
	c->system = is[ROOT_INSTRUCTIONS];
	if (c->items.kind != JSON_ARRAY && c->items.kind != JSON_STRING)
		return refuse_at(c, "input", TRANSLATE_INVALID, "It must be a string or a list of items.");
	if (given(c->system) && c->system.kind != JSON_STRING)
		return refuse_at(c, "instructions", TRANSLATE_INVALID, "It must be a string.");
	return read_choice(c, is[ROOT_CHOICE]) && read_text(c, is[ROOT_TEXT]) && read_reasoning(c, is[ROOT_REASONING]) && read_include(c, is[ROOT_INCLUDE]);
}

static bool
system_of_responses(struct conversation *c)
{
	const struct conversation_part p = {.text = c->system};
	return !given(c->system) || tell_system(c, &p);
}

/* ---- decoder: tools ---- */

enum { TOOL_TYPE,
	TOOL_NAME,
	TOOL_ABOUT,
	TOOL_PARAMETERS,
	TOOL_STRICT,
	TOOL_NAMED };
static const struct field tool_fields[] = {
	[TOOL_TYPE] = FIELD("type"),
	[TOOL_NAME] = FIELD("name"),
	[TOOL_ABOUT] = FIELD("description"),
	[TOOL_PARAMETERS] = FIELD("parameters"),
	[TOOL_STRICT] = FIELD("strict"),
	FIELD_UNLESS("defer_loading", REFUSED, FALSE, ask_openai),
};

static bool
tool_of_responses(struct conversation *c, struct json_value v)
{
	static const struct span type[] = {SPAN_INIT("type")};
	struct json_value is[ARRAY_LEN(tool_fields)], is_type;
	json_members(c->in, v, type, 1, &is_type, NULL);
	if (!reads(c, is_type, "function"))
		return refuse_at(c, "type", TRANSLATE_CANT, no_hosted);
	if (!fields_read(c, v, tool_fields, ARRAY_LEN(tool_fields), is, NULL))
		return false;
	if (is[TOOL_NAME].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, NULL);
	const struct conversation_tool t = {
		.name = is[TOOL_NAME], .description = is[TOOL_ABOUT], .schema = is[TOOL_PARAMETERS], .strict = is[TOOL_STRICT]};
	return tell_tool(c, &t);
}

static bool
tools_of_responses(struct conversation *c)
{
	struct json_walk w = json_walk(c->tools);
	uint32_t i = 0;
	at_name(c, "tools");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!tool_of_responses(c, v))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

/* ---- decoder: items ---- */

enum { ITEM_TYPE,
	ITEM_ROLE,
	ITEM_CONTENT,
	ITEM_CALL_ID,
	ITEM_NAME,
	ITEM_ARGUMENTS,
	ITEM_OUTPUT };
static const struct field item_fields[] = {
	[ITEM_TYPE] = FIELD("type"),
	[ITEM_ROLE] = FIELD("role"),
	[ITEM_CONTENT] = FIELD("content"),
	[ITEM_CALL_ID] = FIELD("call_id"),
	[ITEM_NAME] = FIELD("name"),
	[ITEM_ARGUMENTS] = FIELD("arguments"),
	[ITEM_OUTPUT] = FIELD("output"),
	FIELD_IS("id", OURS),
	FIELD_IS("status", OURS),
	FIELD_IS("phase", LEFT_OUT),
	FIELD_IS("created_by", OURS),
	FIELD_IS("summary", OURS), /* thoughts belong to the provider that had them: the whole item is left out */
	FIELD_IS("encrypted_content", LEFT_OUT),
	FIELD_IS("parsed_arguments", OURS), /* from OpenAI's own SDK */
};

static bool
side_of_message(struct conversation *c, struct json_value role, enum side *ret)
{
	static const struct span roles[] = {
		[SIDE_SYSTEM] = SPAN_INIT("system"), [SIDE_DEVELOPER] = SPAN_INIT("developer"), [SIDE_USER] = SPAN_INIT("user"), [SIDE_ASSISTANT] = SPAN_INIT("assistant")};
	for (unsigned i = 0; i < ARRAY_LEN(roles); i++)
		if (json_reads(c->in, role, roles[i])) {
			*ret = (enum side)i;
			return true;
		}
	return refuse_at(c, "role", TRANSLATE_INVALID, "It must be system, developer, user or assistant.");
}

static bool
side_of_responses(struct conversation *c, struct json_value item, enum side *ret)
{
	static const struct span names[] = {SPAN_INIT("type"), SPAN_INIT("role")};
	struct json_value is[2];
	json_members(c->in, item, names, 2, is, NULL);
	if (is[0].kind != JSON_STRING || reads(c, is[0], "message"))
		return side_of_message(c, is[1], ret);
	*ret = SIDE_ASSISTANT;
	if (reads(c, is[0], "function_call_output"))
		*ret = SIDE_TOOL;
	else if (!reads(c, is[0], "function_call") && !reads(c, is[0], "reasoning"))
		return refuse_at(c, "type", TRANSLATE_CANT, "Items may be message, function_call, function_call_output or reasoning.");
	return true;
}

enum { PART_TYPE,
	PART_TEXT_IS,
	PART_REFUSAL_IS,
	PART_IMAGE_URL,
	PART_FILE_DATA,
	PART_FILE_URL,
	PART_FILE_NAME,
	PART_INPUT_AUDIO };
static const char no_file_id[] = "Files that are stored at a provider can't be sent to another: send file_data.";
static const struct field part_fields[] = {
	[PART_TYPE] = FIELD("type"),
	[PART_TEXT_IS] = FIELD("text"),
	[PART_REFUSAL_IS] = FIELD("refusal"),
	[PART_IMAGE_URL] = FIELD("image_url"),
	[PART_FILE_DATA] = FIELD("file_data"),
	[PART_FILE_URL] = FIELD("file_url"),
	[PART_FILE_NAME] = FIELD("filename"),
	[PART_INPUT_AUDIO] = FIELD("input_audio"),
	FIELD_UNLESS("file_id", REFUSED, NEVER, no_file_id),
	FIELD_UNLESS("detail", LEFT_OUT, AUTO, NULL),
	FIELD_IS("parsed", OURS), /* from OpenAI's own SDK */
	FIELD_UNLESS("annotations", LEFT_OUT, EMPTY, NULL),
	FIELD_UNLESS("logprobs", LEFT_OUT, EMPTY, NULL),
	FIELD_IS("prompt_cache_breakpoint", LEFT_OUT),
};

static bool
read_media(struct conversation *c, const char *name, struct json_value url, struct conversation_part *p)
{
	at_name(c, name);
	bool well = media_url(c, url, p);
	leave(c);
	return well;
}

static bool
read_audio(struct conversation *c, struct json_value v, struct conversation_part *p)
{
	static const struct field fields[] = {FIELD("data"), FIELD("format")};
	struct json_value is[2];
	at_name(c, "input_audio");
	if (!fields_read(c, v, fields, 2, is, NULL))
		return false;
	bool wav = reads(c, is[1], "wav");
	if (is[0].kind != JSON_STRING || (!wav && !reads(c, is[1], "mp3")))
		return refuse(c, TRANSLATE_INVALID, "It must hold data in base64, and a format: wav or mp3.");
	leave(c);
	p->kind = PART_AUDIO;
	p->text = is[0];
	p->type = media_known(wav ? SPAN("audio/wav") : SPAN("audio/mp3"));
	return true;
}

static bool
read_part(struct conversation *c, const struct json_value *is, struct conversation_part *p)
{
	struct json_value type = is[PART_TYPE];
	if (reads(c, type, "input_image")) {
		p->kind = PART_IMAGE;
		return read_media(c, "image_url", is[PART_IMAGE_URL], p);
	}
	if (reads(c, type, "input_file")) {
		bool url = given(is[PART_FILE_URL]);
		p->kind = PART_FILE;
		p->name = is[PART_FILE_NAME];
		return read_media(c, url ? "file_url" : "file_data", is[url ? PART_FILE_URL : PART_FILE_DATA], p);
	}
	if (reads(c, type, "input_audio"))
		return read_audio(c, is[PART_INPUT_AUDIO], p);
	bool refusal = reads(c, type, "refusal");
	p->kind = refusal ? PART_REFUSAL : PART_TEXT;
	p->text = is[refusal ? PART_REFUSAL_IS : PART_TEXT_IS];
	if (!refusal && !reads(c, type, "input_text") && !reads(c, type, "output_text") && !reads(c, type, "text"))
		return refuse_at(c, "type", TRANSLATE_CANT, "Parts may be input_text, output_text, input_image, input_file or refusal.");
	return p->text.kind == JSON_STRING || refuse_at(c, refusal ? "refusal" : "text", TRANSLATE_INVALID, "It must be a string.");
}

static bool
tell_parts(struct conversation *c, struct json_value content, bool only_media)
{
	struct json_walk w = json_walk(content);
	struct json_value is[ARRAY_LEN(part_fields)];
	const struct conversation_part text = {.text = content};
	uint32_t i = 0;
	if (content.kind == JSON_STRING)
		return only_media || tell(c, &text);
	if (given(content) && content.kind != JSON_ARRAY)
		return refuse(c, TRANSLATE_INVALID, "It must be a string or a list of parts.");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		struct conversation_part p = {0};
		at_index(c, i);
		if (!fields_read(c, v, part_fields, ARRAY_LEN(part_fields), is, NULL) || !read_part(c, is, &p))
			return false;
		bool media = p.kind == PART_IMAGE || p.kind == PART_FILE || p.kind == PART_AUDIO;
		if ((media || !only_media) && !tell(c, &p))
			return false;
		leave(c);
	}
	return true;
}

static bool
tell_call(struct conversation *c, const struct json_value *is)
{
	if (is[ITEM_CALL_ID].kind != JSON_STRING || is[ITEM_NAME].kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "Its call_id and name must be strings.");
	const struct conversation_part p = {.kind = PART_CALL, .id = is[ITEM_CALL_ID], .name = is[ITEM_NAME], .text = is[ITEM_ARGUMENTS]};
	at_name(c, "arguments");
	if (given(p.text) && p.text.kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "It must be a string.");
	bool well = tell(c, &p);
	leave(c);
	return well;
}

static bool
tell_result(struct conversation *c, const struct json_value *is)
{
	struct json_value output = only_text_of(c, is[ITEM_OUTPUT]);
	struct conversation_part p = {.kind = PART_RESULT, .id = is[ITEM_CALL_ID]};
	if (p.id.kind != JSON_STRING)
		return refuse_at(c, "call_id", TRANSLATE_MISSING, "It says which call is answered.");
	if (output.kind == JSON_STRING)
		p.text = output;
	at_name(c, "call_id");
	if (!tell(c, &p))
		return false;
	leave(c);
	at_name(c, "output");
	if (output.kind != JSON_STRING && !tell_parts(c, output, false))
		return false;
	leave(c);
	p.kind = PART_RESULT_END;
	return tell(c, &p);
}

static bool
tell_message(struct conversation *c, struct json_value content)
{
	at_name(c, "content");
	bool well = tell_parts(c, content, false);
	leave(c);
	return well;
}

static bool
item_of_responses(struct conversation *c, struct json_value item, unsigned says)
{
	struct json_value is[ARRAY_LEN(item_fields)];
	const struct conversation_part text = {.text = item}, thought = {.kind = PART_THOUGHT};
	if (item.kind == JSON_STRING)
		return !(says & SAYS_TEXT) || tell(c, &text);
	if (!fields_read(c, item, item_fields, ARRAY_LEN(item_fields), is, NULL))
		return false;
	if (!given(is[ITEM_TYPE]) || reads(c, is[ITEM_TYPE], "message"))
		return !(says & SAYS_TEXT) || tell_message(c, is[ITEM_CONTENT]);
	if (reads(c, is[ITEM_TYPE], "reasoning"))
		return !(says & SAYS_TEXT) || tell(c, &thought);
	if (reads(c, is[ITEM_TYPE], "function_call"))
		return !(says & SAYS_CALLS) || tell_call(c, is);
	if (says & SAYS_RESULTS)
		return tell_result(c, is);
	at_name(c, "output");
	bool well = !(says & SAYS_RESULT_MEDIA) || tell_parts(c, is[ITEM_OUTPUT], true);
	leave(c);
	return well;
}

const struct conversation_decoder responses_request_decoder = {
	.items = "input",
	.cap = "max_output_tokens",
	.settings = settings_of_responses,
	.tools = tools_of_responses,
	.system = system_of_responses,
	.side = side_of_responses,
	.item = item_of_responses,
	.allowed_name = allowed_name,
};

/* ---- encoder: settings ---- */

enum { CAP_MIN = 16,
	ID_MAX = 64,
	USER_MAX = 64 };

static const struct unsaid unsaid[] = {
	{SETTING_STOP, FIELD_REFUSED, "This model's provider takes none: leave it out."},
	{SETTING_N, FIELD_REFUSED, "One answer is given to a request: send it several times."},
	{SETTING_TOP_K, FIELD_LENIENT, "This model's provider has no such bound: use top_p."},
	{SETTING_SEED, FIELD_LENIENT, "This model's provider takes none: leave it out."},
	{SETTING_PRESENCE, FIELD_LENIENT, "This model's provider takes none: leave it out."},
	{SETTING_FREQUENCY, FIELD_LENIENT, "This model's provider takes none: leave it out."},
	{SETTING_LOGIT_BIAS, FIELD_LENIENT, "This model's provider takes none: leave it out."},
};

static void
put_format(struct conversation *c)
{
	if (c->settings.answer.form == ANSWER_JSON) {
		sink_lit(c->out, "{\"type\":\"json_object\"}");
		return;
	}
	sink_lit(c->out, "{\"type\":\"json_schema\",\"name\":");
	if (given(c->settings.answer.name))
		put_text(c, c->settings.answer.name);
	else
		sink_lit(c->out, "\"response\"");
	if (given(c->settings.answer.description)) {
		sink_lit(c->out, ",\"description\":");
		put_text(c, c->settings.answer.description);
	}
	sink_lit(c->out, ",\"schema\":");
	put_schema(c, c->settings.answer.schema, c->settings.answer.schema_kind);
	put_answer_strict(c);
	sink_lit(c->out, "}");
}

static void
put_text_settings(struct conversation *c)
{
	bool format = c->settings.answer.form != ANSWER_TEXT;
	if (!format && !given(setting(c, SETTING_VERBOSITY)->value))
		return;
	put_name(c, SPAN("text"));
	sink_lit(c->out, "{");
	c->e.body_members = false;
	if (format) {
		put_name(c, SPAN("format"));
		put_format(c);
	}
	put_setting(c, SPAN("verbosity"), SETTING_VERBOSITY);
	sink_lit(c->out, "}");
	c->e.body_members = true;
}

static void
put_reasoning(struct conversation *c, enum level level)
{
	bool effort = level != LEVEL_UNSAID && level != LEVEL_FREE, show = c->settings.thinking.show && c->wish->thinking != THINKING_NONE;
	if (!effort && !show)
		return;
	put_name(c, SPAN("reasoning"));
	sink_lit(c->out, "{");
	c->e.body_members = false;
	if (effort)
		put_word_member(c, SPAN("effort"), level_word(level, LANGUAGE_RESPONSES));
	if (show)
		put_word_member(c, SPAN("summary"), SPAN("auto"));
	sink_lit(c->out, "}");
	c->e.body_members = true;
}

static void
put_allowed(struct conversation *c)
{
	struct json_walk w = json_walk(c->settings.tools.allowed);
	bool any = false;
	sink_lit(c->out, "{\"type\":\"allowed_tools\",\"mode\":");
	if (c->settings.tools.choice == CHOICE_ANY)
		sink_lit(c->out, "\"required\"");
	else
		sink_lit(c->out, "\"auto\"");
	sink_lit(c->out, ",\"tools\":[");
	for (struct json_value e, name; json_next_element(c->in, &w, &e);) {
		if (!c->from->allowed_name(c, e, &name))
			continue;
		if (any)
			sink_lit(c->out, ",");
		any = true;
		sink_lit(c->out, "{\"type\":\"function\",\"name\":");
		put_text(c, name);
		sink_lit(c->out, "}");
	}
	sink_lit(c->out, "]}");
}

static void
put_choice(struct conversation *c)
{
	static const struct span words[] = {[CHOICE_AUTO] = SPAN_INIT("auto"), [CHOICE_NONE] = SPAN_INIT("none"), [CHOICE_ANY] = SPAN_INIT("required")};
	enum choice choice = c->settings.tools.choice;
	if (choice == CHOICE_UNSAID)
		return;
	if (choice != CHOICE_ONE && (!given(c->settings.tools.allowed) || choice == CHOICE_NONE)) {
		put_word_member(c, SPAN("tool_choice"), words[choice]);
		return;
	}
	put_name(c, SPAN("tool_choice"));
	if (choice != CHOICE_ONE) {
		put_allowed(c);
		return;
	}
	sink_lit(c->out, "{\"type\":\"function\",\"name\":");
	put_text(c, c->settings.tools.name);
	sink_lit(c->out, "}");
}

static void
put_user_settings(struct conversation *c)
{
	put_setting(c, SPAN("prompt_cache_key"), SETTING_CACHE_KEY);
	if (user_said(c)) {
		put_name(c, SPAN("safety_identifier"));
		put_user(c, USER_MAX);
	}
}

static bool
settings_for_responses(struct conversation *c)
{
	enum level level;
	if (!refuse_unsaid(c, unsaid, ARRAY_LEN(unsaid)) || !thinking_level(c, &level))
		return false;
	if (cap_known(c) < CAP_MIN)
		return refuse_path(c, cap_said(c)->in, cap_said(c)->name ? cap_said(c)->name : c->from->cap, TRANSLATE_CANT,
			"This model's provider takes 16 at least.");
	put_word_member(c, SPAN("model"), c->wish->model);
	if (c->wish->stream) {
		put_name(c, SPAN("stream"));
		sink_lit(c->out, "true");
	}
	put_name(c, SPAN("store"));
	sink_lit(c->out, "false");
	put_cap(c, SPAN("max_output_tokens"));
	put_setting(c, SPAN("temperature"), SETTING_TEMPERATURE);
	put_setting(c, SPAN("top_p"), SETTING_TOP_P);
	if (logprobs_wanted(c)) {
		put_name(c, SPAN("include"));
		sink_lit(c->out, "[\"message.output_text.logprobs\"]");
	}
	put_setting(c, SPAN("top_logprobs"), SETTING_TOP_LOGPROBS);
	put_user_settings(c);
	if (!put_tier(c, SPAN("service_tier")))
		return false;
	put_text_settings(c);
	put_reasoning(c, level);
	if (count_elements(c, c->tools)) {
		if (calls_one_by_one(c)) {
			put_name(c, SPAN("parallel_tool_calls"));
			sink_lit(c->out, "false");
		}
		put_choice(c);
	}
	return true;
}

/* ---- encoder: tools, turns ---- */

static bool
tool_for_responses(struct conversation *c, const struct conversation_tool *t)
{
	sink_lit(c->out, "{\"type\":\"function\",\"name\":");
	put_text(c, t->name);
	if (given(t->description)) {
		sink_lit(c->out, ",\"description\":");
		put_text(c, t->description);
	}
	sink_lit(c->out, ",\"parameters\":");
	put_schema(c, t->schema, t->schema_kind);
	/* Left out it would mean true here, and false where the request came from. */
	sink_lit(c->out, ",\"strict\":");
	if (given(t->strict))
		sink_value(c->out, c->in, t->strict);
	else
		sink_lit(c->out, "false");
	sink_lit(c->out, "}");
	return true;
}

static bool
turn_for_responses(struct conversation *c, enum side side, const struct turn_shape *shape)
{
	const uint32_t *n = shape->parts;
	c->e.side = (uint8_t)side;
	c->e.turn = c->e.parts = false;
	c->e.text_alone = side != SIDE_ASSISTANT && side != SIDE_TOOL && n[PART_TEXT] + n[PART_REFUSAL] == 1 && !n[PART_IMAGE] && !n[PART_FILE] && !n[PART_AUDIO];
	return true;
}

static void
close_item(struct conversation *c)
{
	if (c->e.turn && !c->e.text_alone)
		sink_lit(c->out, "]}");
	else if (c->e.turn)
		sink_lit(c->out, "}");
	c->e.turn = c->e.parts = false;
}

static void
begin_part(struct conversation *c)
{
	static const struct span roles[] = {
		[SIDE_SYSTEM] = SPAN_INIT("system"), [SIDE_DEVELOPER] = SPAN_INIT("developer"), [SIDE_USER] = SPAN_INIT("user"), [SIDE_ASSISTANT] = SPAN_INIT("assistant")};
	if (!c->e.turn) {
		next_item(c);
		sink_lit(c->out, "{\"type\":\"message\",\"role\":\"");
		sink_span(c->out, roles[c->e.side]);
		sink_lit(c->out, "\",\"content\":");
		if (!c->e.text_alone)
			sink_lit(c->out, "[");
	}
	if (c->e.parts)
		sink_lit(c->out, ",");
	c->e.turn = c->e.parts = true;
}

static bool
media_for_responses(struct conversation *c, const struct conversation_part *p)
{
	if (c->e.side == SIDE_ASSISTANT)
		return refuse(c, TRANSLATE_CANT, "Answers may only hold text for this model.");
	if (p->kind == PART_AUDIO)
		return refuse(c, TRANSLATE_CANT, "This model's provider takes no audio here: send a transcript.");
	if (p->kind == PART_IMAGE) {
		sink_lit(c->out, "{\"type\":\"input_image\",\"detail\":\"auto\",\"image_url\":");
		put_data_url(c, p);
		sink_lit(c->out, "}");
		return true;
	}
	sink_lit(c->out, "{\"type\":\"input_file\"");
	if (p->from == MEDIA_URL) {
		sink_lit(c->out, ",\"file_url\":");
	} else {
		sink_lit(c->out, ",\"filename\":");
		if (is_empty(p->name))
			sink_lit(c->out, "\"document.pdf\"");
		else
			put_text(c, p->name);
		sink_lit(c->out, ",\"file_data\":");
	}
	put_data_url(c, p);
	sink_lit(c->out, "}");
	return true;
}

static bool
text_for_responses(struct conversation *c, const struct conversation_part *p)
{
	if (c->e.text_alone && !c->e.result) {
		put_text(c, p->text);
		return true;
	}
	if (c->e.side != SIDE_ASSISTANT)
		sink_lit(c->out, "{\"type\":\"input_text\",\"text\":");
	else if (p->kind == PART_REFUSAL)
		sink_lit(c->out, "{\"type\":\"refusal\",\"refusal\":");
	else
		sink_lit(c->out, "{\"type\":\"output_text\",\"text\":");
	put_text(c, p->text);
	sink_lit(c->out, "}");
	return true;
}

static bool
call_for_responses(struct conversation *c, const struct conversation_part *p)
{
	close_item(c);
	next_item(c);
	sink_lit(c->out, "{\"type\":\"function_call\",\"call_id\":");
	put_call_id(c, p, ID_MAX, false);
	sink_lit(c->out, ",\"name\":");
	put_text(c, p->name);
	sink_lit(c->out, ",\"arguments\":");
	put_object_text(c, p->text);
	sink_lit(c->out, "}");
	return true;
}

static bool
result_for_responses(struct conversation *c, const struct conversation_part *p)
{
	next_item(c);
	sink_lit(c->out, "{\"type\":\"function_call_output\",\"call_id\":");
	put_call_id(c, p, ID_MAX, false);
	sink_lit(c->out, ",\"output\":");
	c->e.result = true;
	c->e.result_parts = false;
	if (!given(p->text)) {
		sink_lit(c->out, "[");
		if (p->failed)
			sink_lit(c->out, "{\"type\":\"input_text\",\"text\":\"Error:\"}");
		c->e.result_parts = p->failed;
		return true;
	}
	sink_lit(c->out, "\"");
	if (p->failed)
		sink_lit(c->out, "Error: ");
	put_inside(c, p->text);
	sink_lit(c->out, "\"");
	return true;
}

static bool
part_for_responses(struct conversation *c, const struct conversation_part *p)
{
	if (p->kind == PART_CALL)
		return call_for_responses(c, p);
	if (p->kind == PART_RESULT)
		return result_for_responses(c, p);
	if (p->kind == PART_THOUGHT)
		return true; /* its provider's alone */
	if (p->kind == PART_RESULT_END) {
		if (given(p->text))
			sink_lit(c->out, "}");
		else
			sink_lit(c->out, "]}");
		c->e.result = false;
		return true;
	}
	if (!c->e.result)
		begin_part(c);
	else if (c->e.result_parts)
		sink_lit(c->out, ",");
	c->e.result_parts = c->e.result;
	bool text = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
	return text ? text_for_responses(c, p) : media_for_responses(c, p);
}

static bool
turn_end_for_responses(struct conversation *c)
{
	close_item(c);
	return true;
}

static bool
nothing_more(struct conversation *c)
{
	(void)c;
	return true;
}

const struct conversation_encoder responses_request_encoder = {
	.tools = {SPAN_INIT("tools"), SPAN_INIT("["), SPAN_INIT("]")},
	.turns = {SPAN_INIT("input"), SPAN_INIT("["), SPAN_INIT("]")},
	.settings = settings_for_responses,
	.tool = tool_for_responses,
	.turn = turn_for_responses,
	.part = part_for_responses,
	.turn_end = turn_end_for_responses,
	.finish = nothing_more,
};
