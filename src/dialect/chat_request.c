/* Requests of OpenAI's chat completions. Specification: platform.openai.com/docs/api-reference/chat/create. */
#include "dialect/conversation_priv.h"

/* ---- decoder: the body's fields ---- */

enum { ROOT_MESSAGES,
	ROOT_TOOLS,
	ROOT_CHOICE,
	ROOT_FORMAT,
	ROOT_EFFORT,
	ROOT_NAMED };

static const struct field root_fields[] = {
	[ROOT_MESSAGES] = FIELD("messages"),
	[ROOT_TOOLS] = FIELD("tools"),
	[ROOT_CHOICE] = FIELD("tool_choice"),
	[ROOT_FORMAT] = FIELD("response_format"),
	[ROOT_EFFORT] = FIELD("reasoning_effort"),
	FIELD_SET("max_completion_tokens", CAP),
	FIELD_SET("max_tokens", OLD_CAP),
	FIELD_SET("temperature", TEMPERATURE),
	FIELD_SET("top_p", TOP_P),
	FIELD_SET("stop", STOP),
	FIELD_SET("n", N),
	FIELD_SET("seed", SEED),
	FIELD_SET("presence_penalty", PRESENCE),
	FIELD_SET("frequency_penalty", FREQUENCY),
	FIELD_SET("logprobs", LOGPROBS),
	FIELD_SET("top_logprobs", TOP_LOGPROBS),
	FIELD_SET("logit_bias", LOGIT_BIAS),
	FIELD_SET("parallel_tool_calls", PARALLEL),
	FIELD_SET("prompt_cache_key", CACHE_KEY),
	FIELD_SET("safety_identifier", USER),
	FIELD_SET("user", OLD_USER),
	FIELD_SET("service_tier", TIER),
	FIELD_SET("verbosity", VERBOSITY),
	FIELD_IS("model", OURS),
	FIELD_IS("stream", OURS),
	FIELD_IS("stream_options", OURS),
	FIELD_IS("metadata", LEFT_OUT),
	FIELD_IS("prompt_cache_retention", LEFT_OUT),
	FIELD_IS("prompt_cache_options", LEFT_OUT),
	FIELD_UNLESS("store", REFUSED, FALSE, "Answers are not kept: leave it out."),
	FIELD_UNLESS("modalities", REFUSED, TEXT_ONLY, "Only text can be answered by this model."),
	FIELD_UNLESS("audio", REFUSED, NEVER, "Only text can be answered by this model."),
	FIELD_UNLESS("prediction", LENIENT, NEVER, "It only makes answers faster: leave it out."),
	FIELD_UNLESS("moderation", REFUSED, NEVER, "Ask a model of OpenAI's, or leave it out."),
	FIELD_UNLESS("web_search_options", REFUSED, NEVER, "Searching is a tool of OpenAI's: give the model a tool of yours."),
	FIELD_UNLESS("functions", REFUSED, EMPTY, "Use tools, which took its place."),
	FIELD_UNLESS("function_call", REFUSED, NEVER, "Use tool_choice, which took its place."),
};

enum { CALLED_TYPE,
	CALLED_FUNCTION,
	CALLED_ALLOWED,
	CALLED_CUSTOM,
	CALLED_NAMED };
static const char no_custom[] = "Only function tools are known to this model's provider.";
static const struct field choice_fields[] = {
	[CALLED_TYPE] = FIELD("type"),
	[CALLED_FUNCTION] = FIELD("function"),
	[CALLED_ALLOWED] = FIELD("allowed_tools"),
	[CALLED_CUSTOM] = FIELD_UNLESS("custom", REFUSED, NEVER, no_custom),
};
enum { ALLOWED_MODE,
	ALLOWED_TOOLS,
	ALLOWED_NAMED };
static const struct field allowed_fields[] = {
	[ALLOWED_MODE] = FIELD("mode"),
	[ALLOWED_TOOLS] = FIELD("tools"),
};
static const struct field name_field[] = {FIELD("name")};

static bool
choice_word(struct conversation *c, struct json_value v)
{
	uint8_t *choice = &c->settings.tools.choice;
	*choice = reads(c, v, "auto") ? CHOICE_AUTO : reads(c, v, "none") ? CHOICE_NONE
		: reads(c, v, "required")                                     ? CHOICE_ANY
																	  : CHOICE_UNSAID;
	return *choice != CHOICE_UNSAID || refuse(c, TRANSLATE_INVALID, "It must be none, auto, required, or an object that names tools.");
}

static bool
choice_object(struct conversation *c, struct json_value v)
{
	struct json_value is[CALLED_NAMED], allowed[ALLOWED_NAMED];
	if (!fields_read(c, v, choice_fields, CALLED_NAMED, is, NULL))
		return false;
	if (given(is[CALLED_FUNCTION])) {
		c->settings.tools.choice = CHOICE_ONE;
		return fields_read(c, is[CALLED_FUNCTION], name_field, 1, &c->settings.tools.name, NULL);
	}
	if (!given(is[CALLED_ALLOWED]))
		return refuse(c, TRANSLATE_INVALID, "It must name a function, or allowed tools.");
	if (!fields_read(c, is[CALLED_ALLOWED], allowed_fields, ALLOWED_NAMED, allowed, NULL))
		return false;
	c->settings.tools.allowed = allowed[ALLOWED_TOOLS];
	if (count_elements(c, allowed[ALLOWED_TOOLS]) > ALLOWED_MAX)
		return refuse(c, TRANSLATE_CANT, "At most 128 tools may be named here: send only the tools that may be called.");
	return choice_word(c, allowed[ALLOWED_MODE]);
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
	static const struct span function[] = {SPAN_INIT("function")}, name[] = {SPAN_INIT("name")};
	struct json_value v;
	json_members(c->in, element, function, 1, &v, NULL);
	json_members(c->in, v, name, 1, ret, NULL);
	return ret->kind == JSON_STRING;
}

enum { FORMAT_TYPE,
	FORMAT_SCHEMA,
	FORMAT_NAMED };
static const struct field format_fields[] = {
	[FORMAT_TYPE] = FIELD("type"),
	[FORMAT_SCHEMA] = FIELD("json_schema"),
};
enum { SCHEMA_NAME,
	SCHEMA_IS,
	SCHEMA_STRICT,
	SCHEMA_ABOUT,
	SCHEMA_NAMED };
static const struct field schema_fields[] = {
	[SCHEMA_NAME] = FIELD("name"),
	[SCHEMA_IS] = FIELD("schema"),
	[SCHEMA_STRICT] = FIELD("strict"),
	[SCHEMA_ABOUT] = FIELD("description"),
};

static bool
read_schema(struct conversation *c, struct json_value v)
{
	struct json_value is[SCHEMA_NAMED];
	at_name(c, "json_schema");
	if (!fields_read(c, v, schema_fields, SCHEMA_NAMED, is, NULL))
		return false;
	if (is[SCHEMA_IS].kind != JSON_OBJECT)
		return refuse_at(c, "schema", TRANSLATE_INVALID, "It must be an object: the schema of the answer.");
	leave(c);
	c->settings.answer.form = ANSWER_SCHEMA;
	c->settings.answer.schema = is[SCHEMA_IS];
	c->settings.answer.name = is[SCHEMA_NAME];
	c->settings.answer.strict = is[SCHEMA_STRICT];
	c->settings.answer.description = is[SCHEMA_ABOUT];
	return true;
}

static bool
read_format(struct conversation *c, struct json_value v)
{
	struct json_value is[FORMAT_NAMED];
	c->settings.answer.path = "response_format";
	if (!given(v))
		return true;
	at_name(c, "response_format");
	if (!fields_read(c, v, format_fields, FORMAT_NAMED, is, NULL))
		return false;
	if (reads(c, is[FORMAT_TYPE], "json_object"))
		c->settings.answer.form = ANSWER_JSON;
	else if (reads(c, is[FORMAT_TYPE], "json_schema")) {
		if (!read_schema(c, is[FORMAT_SCHEMA]))
			return false;
	} else if (!reads(c, is[FORMAT_TYPE], "text"))
		return refuse_at(c, "type", TRANSLATE_INVALID, "It must be text, json_object or json_schema.");
	leave(c);
	return true;
}

static bool
settings_of_chat(struct conversation *c)
{
	struct json_value is[ARRAY_LEN(root_fields)];
	if (!fields_read(c, json_whole_value(c->in), root_fields, ARRAY_LEN(root_fields), is, NULL))
		return false;
	c->items = is[ROOT_MESSAGES];
	c->tools = is[ROOT_TOOLS];
	if (c->items.kind != JSON_ARRAY)
		return refuse_at(c, "messages", TRANSLATE_INVALID, "It must be a list of messages.");
	c->settings.thinking.path = "reasoning_effort";
	if (given(is[ROOT_EFFORT])) {
		c->settings.thinking.level = level_named(c, is[ROOT_EFFORT]);
		if (c->settings.thinking.level == LEVEL_UNSAID)
			return refuse_at(c, "reasoning_effort", TRANSLATE_INVALID, "It must be none, minimal, low, medium, high, xhigh or max.");
	}
	return read_choice(c, is[ROOT_CHOICE]) && read_format(c, is[ROOT_FORMAT]);
}

/* ---- decoder: tools ---- */

enum { FUNCTION_NAME,
	FUNCTION_ABOUT,
	FUNCTION_PARAMETERS,
	FUNCTION_STRICT,
	FUNCTION_NAMED };
static const struct field function_fields[] = {
	[FUNCTION_NAME] = FIELD("name"),
	[FUNCTION_ABOUT] = FIELD("description"),
	[FUNCTION_PARAMETERS] = FIELD("parameters"),
	[FUNCTION_STRICT] = FIELD("strict"),
};

static bool
tool_of_chat(struct conversation *c, struct json_value v)
{
	struct json_value is[CALLED_NAMED], f[FUNCTION_NAMED];
	if (!fields_read(c, v, choice_fields, CALLED_NAMED, is, NULL))
		return false;
	if (!reads(c, is[CALLED_TYPE], "function"))
		return refuse_at(c, "type", TRANSLATE_CANT, no_custom);
	at_name(c, "function");
	if (!fields_read(c, is[CALLED_FUNCTION], function_fields, FUNCTION_NAMED, f, NULL))
		return false;
	const struct conversation_tool t = {
		.name = f[FUNCTION_NAME], .description = f[FUNCTION_ABOUT], .schema = f[FUNCTION_PARAMETERS], .strict = f[FUNCTION_STRICT]};
	bool well = tell_tool(c, &t);
	leave(c);
	return well;
}

static bool
tools_of_chat(struct conversation *c)
{
	struct json_walk w = json_walk(c->tools);
	uint32_t i = 0;
	at_name(c, "tools");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!tool_of_chat(c, v))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

/* ---- decoder: messages ---- */

enum { MESSAGE_ROLE,
	MESSAGE_CONTENT,
	MESSAGE_CALLS,
	MESSAGE_CALL_ID,
	MESSAGE_REFUSAL,
	MESSAGE_NAMED };
static const struct field message_fields[] = {
	[MESSAGE_ROLE] = FIELD("role"),
	[MESSAGE_CONTENT] = FIELD("content"),
	[MESSAGE_CALLS] = FIELD("tool_calls"),
	[MESSAGE_CALL_ID] = FIELD("tool_call_id"),
	[MESSAGE_REFUSAL] = FIELD("refusal"),
	FIELD_IS("name", LEFT_OUT),
	FIELD_IS("annotations", LEFT_OUT),
	/* Thoughts told by other models: they belong to the provider that had them. */
	FIELD_IS("reasoning_content", LEFT_OUT),
	FIELD_IS("reasoning", LEFT_OUT),
	FIELD_IS("reasoning_details", LEFT_OUT),
	FIELD_IS("parsed", OURS), /* from OpenAI's own SDK */
	FIELD_UNLESS("audio", REFUSED, NEVER, "An audio answer is kept at its provider: send its transcript as content."),
	FIELD_UNLESS("function_call", REFUSED, NEVER, "Use tool_calls, which took its place."),
};

static bool
side_of_chat(struct conversation *c, struct json_value item, enum side *ret)
{
	static const struct span names[] = {SPAN_INIT("role")};
	static const struct span roles[] = {[SIDE_SYSTEM] = SPAN_INIT("system"), [SIDE_DEVELOPER] = SPAN_INIT("developer"), [SIDE_USER] = SPAN_INIT("user"), [SIDE_ASSISTANT] = SPAN_INIT("assistant"), [SIDE_TOOL] = SPAN_INIT("tool")};
	struct json_value role;
	json_members(c->in, item, names, 1, &role, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(roles); i++)
		if (json_reads(c->in, role, roles[i])) {
			*ret = (enum side)i;
			return true;
		}
	return refuse_at(c, "role", TRANSLATE_INVALID, "It must be system, developer, user, assistant or tool.");
}

enum { PART_TYPE,
	PART_TEXT_IS,
	PART_IMAGE_URL,
	PART_INPUT_AUDIO,
	PART_FILE_IS,
	PART_REFUSAL_IS,
	PART_BREAKPOINT,
	PART_NAMED };
static const struct field part_fields[] = {
	[PART_TYPE] = FIELD("type"),
	[PART_TEXT_IS] = FIELD("text"),
	[PART_IMAGE_URL] = FIELD("image_url"),
	[PART_INPUT_AUDIO] = FIELD("input_audio"),
	[PART_FILE_IS] = FIELD("file"),
	[PART_REFUSAL_IS] = FIELD("refusal"),
	[PART_BREAKPOINT] = FIELD("prompt_cache_breakpoint"),
	FIELD_IS("cache_control", LEFT_OUT),
};

static const struct field image_fields[] = {FIELD("url"), FIELD_IS("detail", LEFT_OUT)};

static bool
read_image(struct conversation *c, struct json_value v, struct conversation_part *p)
{
	struct json_value is[ARRAY_LEN(image_fields)] = {v}; /* some write the URL without the object around it */
	p->kind = PART_IMAGE;
	if (v.kind != JSON_STRING && !fields_read(c, v, image_fields, ARRAY_LEN(image_fields), is, NULL))
		return false;
	return media_url(c, is[0], p);
}

static const struct field audio_fields[] = {FIELD("data"), FIELD("format")};

static bool
read_audio(struct conversation *c, struct json_value v, struct conversation_part *p)
{
	struct json_value is[2];
	if (!fields_read(c, v, audio_fields, 2, is, NULL))
		return false;
	p->kind = PART_AUDIO;
	p->text = is[0];
	if (reads(c, is[1], "wav"))
		p->type = media_known(SPAN("audio/wav"));
	else if (reads(c, is[1], "mp3"))
		p->type = media_known(SPAN("audio/mp3"));
	else
		return refuse_at(c, "format", TRANSLATE_INVALID, "It must be wav or mp3.");
	return is[0].kind == JSON_STRING || refuse_at(c, "data", TRANSLATE_INVALID, "It must be the audio in base64.");
}

enum { FILE_DATA,
	FILE_NAME,
	FILE_ID,
	FILE_NAMED };
static const struct field file_fields[] = {
	[FILE_DATA] = FIELD("file_data"),
	[FILE_NAME] = FIELD("filename"),
	[FILE_ID] = FIELD_UNLESS("file_id", REFUSED, NEVER, "Files that are stored at a provider can't be sent to another: send file_data."),
};

static bool
read_file(struct conversation *c, struct json_value v, struct conversation_part *p)
{
	struct json_value is[FILE_NAMED];
	if (!fields_read(c, v, file_fields, FILE_NAMED, is, NULL))
		return false;
	p->kind = PART_FILE;
	p->name = is[FILE_NAME];
	at_name(c, "file_data");
	bool well = media_url(c, is[FILE_DATA], p);
	leave(c);
	return well;
}

static bool
read_part(struct conversation *c, const struct json_value is[static PART_NAMED], struct conversation_part *p)
{
	static const struct {
		struct span type;
		uint8_t member;
		const char *name;
		bool (*read)(struct conversation *c, struct json_value v, struct conversation_part *p);
	} rows[] = {
		{SPAN_INIT("image_url"), PART_IMAGE_URL, "image_url", read_image},
		{SPAN_INIT("input_audio"), PART_INPUT_AUDIO, "input_audio", read_audio},
		{SPAN_INIT("file"), PART_FILE_IS, "file", read_file},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!json_reads(c->in, is[PART_TYPE], rows[i].type))
			continue;
		at_name(c, rows[i].name);
		bool well = rows[i].read(c, is[rows[i].member], p);
		leave(c);
		return well;
	}
	bool refusal = reads(c, is[PART_TYPE], "refusal");
	p->kind = refusal ? PART_REFUSAL : PART_TEXT;
	p->text = is[refusal ? PART_REFUSAL_IS : PART_TEXT_IS];
	if (!refusal && !reads(c, is[PART_TYPE], "text"))
		return refuse_at(c, "type", TRANSLATE_CANT, "Parts may be text, image_url, input_audio or file.");
	return p->text.kind == JSON_STRING || refuse_at(c, refusal ? "refusal" : "text", TRANSLATE_INVALID, "It must be a string.");
}

static bool
tell_content(struct conversation *c, struct json_value content, struct json_value calls)
{
	struct json_walk w = json_walk(content);
	uint32_t i = 0;
	if (content.kind == JSON_STRING) {
		/* Next to calls an empty text is how some clients write that there is none. */
		struct conversation_part p = {0};
		p.text = content;
		return (is_empty(content) && given(calls)) || tell(c, &p);
	}
	if (given(content) && content.kind != JSON_ARRAY)
		return refuse(c, TRANSLATE_INVALID, "It must be a string or a list of parts.");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		struct json_value is[ARRAY_LEN(part_fields)];
		struct conversation_part p = {0};
		at_index(c, i);
		if (!fields_read(c, v, part_fields, ARRAY_LEN(part_fields), is, NULL) || !read_part(c, is, &p))
			return false;
		p.cached = given(is[PART_BREAKPOINT]);
		if (!tell(c, &p))
			return false;
		leave(c);
	}
	return true;
}

enum { CALL_ID,
	CALL_TYPE,
	CALL_FUNCTION,
	CALL_EXTRA,
	CALL_NAMED };
static const struct field call_fields[] = {
	[CALL_ID] = FIELD("id"),
	[CALL_TYPE] = FIELD("type"),
	[CALL_FUNCTION] = FIELD("function"),
	[CALL_EXTRA] = FIELD("extra_content"),
	FIELD_IS("index", OURS),
	FIELD_UNLESS("custom", REFUSED, NEVER, no_custom),
};
static const struct field called_fields[] = {FIELD("name"), FIELD("arguments"), FIELD_IS("parsed_arguments", OURS) /* from OpenAI's own SDK */};

/* Google's way for its signatures: extra_content.google.thought_signature. */
static struct json_value
signature_of(struct conversation *c, struct json_value extra)
{
	static const struct span google[] = {SPAN_INIT("google")}, signature[] = {SPAN_INIT("thought_signature")};
	struct json_value v;
	json_members(c->in, extra, google, 1, &v, NULL);
	json_members(c->in, v, signature, 1, &v, NULL);
	if (v.kind != JSON_STRING)
		v.kind = JSON_MORE;
	return v;
}

static bool
tell_call(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(call_fields)], f[ARRAY_LEN(called_fields)];
	if (!fields_read(c, v, call_fields, ARRAY_LEN(call_fields), is, NULL))
		return false;
	if (given(is[CALL_TYPE]) && !reads(c, is[CALL_TYPE], "function"))
		return refuse_at(c, "type", TRANSLATE_CANT, no_custom);
	if (is[CALL_ID].kind != JSON_STRING)
		return refuse_at(c, "id", TRANSLATE_INVALID, "It must be a string.");
	at_name(c, "function");
	if (!fields_read(c, is[CALL_FUNCTION], called_fields, ARRAY_LEN(called_fields), f, NULL))
		return false;
	if (f[0].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_INVALID, "It must be a string.");
	struct conversation_part p = {0};
	p.kind = PART_CALL;
	p.id = is[CALL_ID];
	p.name = f[0];
	p.text = f[1];
	p.signature = signature_of(c, is[CALL_EXTRA]);
	at_name(c, "arguments");
	if (given(f[1]) && f[1].kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "It must be a string.");
	bool well = tell(c, &p);
	leave(c);
	leave(c);
	return well;
}

static bool
tell_calls(struct conversation *c, struct json_value calls)
{
	struct json_walk w = json_walk(calls);
	uint32_t i = 0;
	at_name(c, "tool_calls");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!tell_call(c, v))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

static bool
tell_result(struct conversation *c, const struct json_value *is)
{
	struct conversation_part p = {0};
	struct json_value content = only_text_of(c, is[MESSAGE_CONTENT]);
	if (is[MESSAGE_CALL_ID].kind != JSON_STRING)
		return refuse_at(c, "tool_call_id", TRANSLATE_MISSING, "It says which call is answered.");
	p.kind = PART_RESULT;
	p.id = is[MESSAGE_CALL_ID];
	if (content.kind == JSON_STRING)
		p.text = content;
	at_name(c, "tool_call_id");
	if (!tell(c, &p))
		return false;
	leave(c);
	p.kind = PART_RESULT_END;
	at_name(c, "content");
	bool well = content.kind == JSON_STRING || tell_content(c, content, (struct json_value){.kind = JSON_MORE});
	leave(c);
	return well && tell(c, &p);
}

static bool
item_of_chat(struct conversation *c, struct json_value item, unsigned says)
{
	struct json_value is[ARRAY_LEN(message_fields)];
	enum side side;
	if (!fields_read(c, item, message_fields, ARRAY_LEN(message_fields), is, NULL) || !side_of_chat(c, item, &side))
		return false;
	if (side == SIDE_TOOL)
		return !(says & SAYS_RESULTS) || tell_result(c, is);
	if (says & SAYS_TEXT) {
		at_name(c, "content");
		if (!tell_content(c, is[MESSAGE_CONTENT], is[MESSAGE_CALLS]))
			return false;
		leave(c);
		struct conversation_part p = {0};
		p.kind = PART_REFUSAL;
		p.text = is[MESSAGE_REFUSAL];
		if (p.text.kind == JSON_STRING && !tell(c, &p))
			return false;
	}
	return side != SIDE_ASSISTANT || !(says & SAYS_CALLS) || tell_calls(c, is[MESSAGE_CALLS]);
}

static bool
no_system(struct conversation *c)
{
	(void)c;
	return true;
}

const struct conversation_decoder chat_request_decoder = {
	.items = "messages",
	.cap = "max_completion_tokens",
	.settings = settings_of_chat,
	.tools = tools_of_chat,
	.system = no_system,
	.side = side_of_chat,
	.item = item_of_chat,
	.allowed_name = allowed_name,
};

/* ---- encoder ---- */

enum { STOPS_MAX = 4,
	ID_MAX = 40,
	USER_MAX = 64 };

static const struct unsaid unsaid[] = {
	{SETTING_TOP_K, FIELD_LENIENT, "Chat completions have no such bound: use top_p."},
};

static void
put_schema_format(struct conversation *c)
{
	sink_lit(c->out, "{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
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
	sink_lit(c->out, "}}");
}

static void
put_format(struct conversation *c)
{
	if (c->settings.answer.form == ANSWER_TEXT)
		return;
	put_name(c, SPAN("response_format"));
	if (c->settings.answer.form == ANSWER_JSON)
		sink_lit(c->out, "{\"type\":\"json_object\"}");
	else
		put_schema_format(c);
}

static void
put_allowed(struct conversation *c)
{
	struct json_walk w = json_walk(c->settings.tools.allowed);
	bool any = false;
	sink_lit(c->out, "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":");
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
		sink_lit(c->out, "{\"type\":\"function\",\"function\":{\"name\":");
		put_text(c, name);
		sink_lit(c->out, "}}");
	}
	sink_lit(c->out, "]}}");
}

static void
put_choice(struct conversation *c)
{
	static const struct span words[] = {[CHOICE_AUTO] = SPAN_INIT("auto"), [CHOICE_NONE] = SPAN_INIT("none"), [CHOICE_ANY] = SPAN_INIT("required")};
	enum choice choice = c->settings.tools.choice;
	if (choice == CHOICE_UNSAID)
		return;
	if (choice != CHOICE_ONE && !given(c->settings.tools.allowed)) {
		put_word_member(c, SPAN("tool_choice"), words[choice]);
		return;
	}
	put_name(c, SPAN("tool_choice"));
	if (choice != CHOICE_ONE) {
		put_allowed(c);
		return;
	}
	sink_lit(c->out, "{\"type\":\"function\",\"function\":{\"name\":");
	put_text(c, c->settings.tools.name);
	sink_lit(c->out, "}}");
}

static bool
check_for_chat(struct conversation *c)
{
	const struct setting *stop = setting(c, SETTING_STOP);
	if (!refuse_unsaid(c, unsaid, ARRAY_LEN(unsaid)))
		return false;
	if (stop->value.kind == JSON_ARRAY && count_elements(c, stop->value) > STOPS_MAX)
		return refuse_path(c, stop->in, stop->name, TRANSLATE_CANT, "At most 4 of them are taken by this model's provider.");
	if (cap_known(c) == 0)
		return refuse_path(c, cap_said(c)->in, cap_said(c)->name, TRANSLATE_CANT, "An answer of no tokens can't be asked for: give at least 1.");
	return true;
}

static bool
settings_for_chat(struct conversation *c)
{
	enum level level;
	if (!check_for_chat(c) || !thinking_level(c, &level))
		return false;
	put_word_member(c, SPAN("model"), c->wish->model);
	if (c->wish->stream) {
		put_name(c, SPAN("stream"));
		sink_lit(c->out, "true");
	}
	if (c->wish->stream && c->wish->ask_usage) {
		put_name(c, SPAN("stream_options"));
		sink_lit(c->out, "{\"include_usage\":true}");
	}
	put_cap(c, c->wish->old_cap ? SPAN("max_tokens") : SPAN("max_completion_tokens"));
	put_setting(c, SPAN("temperature"), SETTING_TEMPERATURE);
	put_setting(c, SPAN("top_p"), SETTING_TOP_P);
	put_stop_list(c, SPAN("stop"));
	put_setting(c, SPAN("n"), SETTING_N);
	put_setting(c, SPAN("seed"), SETTING_SEED);
	put_setting(c, SPAN("presence_penalty"), SETTING_PRESENCE);
	put_setting(c, SPAN("frequency_penalty"), SETTING_FREQUENCY);
	put_setting(c, SPAN("logit_bias"), SETTING_LOGIT_BIAS);
	if (logprobs_wanted(c)) {
		put_name(c, SPAN("logprobs"));
		sink_lit(c->out, "true");
	}
	put_setting(c, SPAN("top_logprobs"), SETTING_TOP_LOGPROBS);
	put_setting(c, SPAN("prompt_cache_key"), SETTING_CACHE_KEY);
	put_setting(c, SPAN("verbosity"), SETTING_VERBOSITY);
	if (user_said(c)) {
		put_name(c, SPAN("safety_identifier"));
		put_user(c, USER_MAX);
	}
	if (level != LEVEL_UNSAID && level != LEVEL_FREE)
		put_word_member(c, SPAN("reasoning_effort"), level_word(level, LANGUAGE_CHAT));
	put_format(c);
	if (!put_tier(c, SPAN("service_tier")))
		return false;
	if (count_elements(c, c->tools)) {
		if (calls_one_by_one(c)) {
			put_name(c, SPAN("parallel_tool_calls"));
			sink_lit(c->out, "false");
		}
		put_choice(c);
	}
	return true;
}

static bool
tool_for_chat(struct conversation *c, const struct conversation_tool *t)
{
	sink_lit(c->out, "{\"type\":\"function\",\"function\":{\"name\":");
	put_text(c, t->name);
	if (given(t->description)) {
		sink_lit(c->out, ",\"description\":");
		put_text(c, t->description);
	}
	sink_lit(c->out, ",\"parameters\":");
	put_schema(c, t->schema, t->schema_kind);
	if (t->strict.kind == JSON_TRUE)
		sink_lit(c->out, ",\"strict\":true");
	sink_lit(c->out, "}}");
	return true;
}

static bool
turn_for_chat(struct conversation *c, enum side side, const struct turn_shape *shape)
{
	static const struct span roles[] = {[SIDE_SYSTEM] = SPAN_INIT("system"), [SIDE_DEVELOPER] = SPAN_INIT("developer"), [SIDE_USER] = SPAN_INIT("user"), [SIDE_ASSISTANT] = SPAN_INIT("assistant")};
	const uint32_t *n = shape->parts;
	c->e.side = (uint8_t)side;
	c->e.parts = c->e.calls = false;
	c->e.shape = *shape;
	if (side == SIDE_TOOL)
		return true; /* a message for each result */
	next_item(c);
	sink_lit(c->out, "{\"role\":\"");
	sink_span(c->out, roles[side]);
	sink_lit(c->out, "\",\"content\":");
	uint32_t media = n[PART_IMAGE] + n[PART_AUDIO] + n[PART_FILE], said = n[PART_TEXT] + n[PART_REFUSAL];
	c->e.text_alone = media == 0 && said == 1;
	if (c->e.text_alone)
		return true;
	if (media + said)
		sink_lit(c->out, "[");
	else if (n[PART_CALL])
		sink_lit(c->out, "null");
	else
		sink_lit(c->out, "\"\"");
	c->e.turn = media + said > 0;
	return true;
}

/* The list of parts ends where the calls begin, or the message. */
static void
end_content(struct conversation *c)
{
	if (c->e.turn)
		sink_lit(c->out, "]");
	c->e.turn = false;
}

static bool
call_for_chat(struct conversation *c, const struct conversation_part *p)
{
	end_content(c);
	if (c->e.calls)
		sink_lit(c->out, ",{\"id\":");
	else
		sink_lit(c->out, ",\"tool_calls\":[{\"id\":");
	c->e.calls = true;
	put_call_id(c, p, ID_MAX, false);
	sink_lit(c->out, ",\"type\":\"function\",\"function\":{\"name\":");
	put_text(c, p->name);
	sink_lit(c->out, ",\"arguments\":");
	put_object_text(c, p->text);
	sink_lit(c->out, "}}");
	return true;
}

static bool
result_for_chat(struct conversation *c, const struct conversation_part *p)
{
	next_item(c);
	sink_lit(c->out, "{\"role\":\"tool\",\"tool_call_id\":");
	put_call_id(c, p, ID_MAX, false);
	sink_lit(c->out, ",\"content\":\"");
	if (p->failed)
		sink_lit(c->out, "Error: ");
	put_inside(c, p->text);
	c->e.result = true;
	c->e.result_parts = false;
	return true;
}

static bool
part_of_result(struct conversation *c, const struct conversation_part *p)
{
	if (p->kind == PART_RESULT_END) {
		c->e.result = false;
		sink_lit(c->out, "\"}");
		return true;
	}
	if (p->kind != PART_TEXT) {
		if (!c->wish->lenient)
			return refuse(c, TRANSLATE_CANT, "Results may only hold text for this model: send media in a message of the user.");
		note_left_out(c, "media of tool results moved");
		return true;
	}
	if (c->e.result_parts)
		sink_lit(c->out, "\\n");
	c->e.result_parts = true;
	put_inside(c, p->text);
	return true;
}

static bool
media_for_chat(struct conversation *c, const struct conversation_part *p)
{
	if (p->kind == PART_AUDIO) {
		bool wav = media_is(c, &p->type, SPAN("audio/wav")) || media_is(c, &p->type, SPAN("audio/x-wav"));
		if (p->from != MEDIA_BASE64 || (!wav && !media_is(c, &p->type, SPAN("audio/mp3")) && !media_is(c, &p->type, SPAN("audio/mpeg"))))
			return refuse(c, TRANSLATE_CANT, "Audio must be WAV or MP3, in base64.");
		sink_lit(c->out, "{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
		put_text(c, p->text);
		if (wav)
			sink_lit(c->out, ",\"format\":\"wav\"}}");
		else
			sink_lit(c->out, ",\"format\":\"mp3\"}}");
		return true;
	}
	if (p->kind == PART_IMAGE) {
		sink_lit(c->out, "{\"type\":\"image_url\",\"image_url\":{\"url\":");
		put_data_url(c, p);
		sink_lit(c->out, "}}");
		return true;
	}
	if (p->from == MEDIA_URL)
		return refuse(c, TRANSLATE_CANT, "Documents must be sent in base64.");
	sink_lit(c->out, "{\"type\":\"file\",\"file\":{\"filename\":");
	if (is_empty(p->name))
		sink_lit(c->out, "\"document.pdf\"");
	else
		put_text(c, p->name);
	sink_lit(c->out, ",\"file_data\":");
	put_data_url(c, p);
	sink_lit(c->out, "}}");
	return true;
}

static bool
part_for_chat(struct conversation *c, const struct conversation_part *p)
{
	bool refusal = p->kind == PART_REFUSAL && c->e.side == SIDE_ASSISTANT;
	if (c->e.result)
		return part_of_result(c, p);
	if (p->kind == PART_CALL)
		return call_for_chat(c, p);
	if (p->kind == PART_RESULT)
		return result_for_chat(c, p);
	if (p->kind == PART_THOUGHT)
		return true; /* its provider's alone */
	if (c->e.text_alone) {
		if (refusal)
			sink_lit(c->out, "null,\"refusal\":");
		put_text(c, p->text);
		return true;
	}
	if (c->e.parts)
		sink_lit(c->out, ",");
	c->e.parts = true;
	if (p->kind != PART_TEXT && p->kind != PART_REFUSAL)
		return media_for_chat(c, p);
	if (refusal)
		sink_lit(c->out, "{\"type\":\"refusal\",\"refusal\":");
	else
		sink_lit(c->out, "{\"type\":\"text\",\"text\":");
	put_text(c, p->text);
	sink_lit(c->out, "}");
	return true;
}

static bool
turn_end_for_chat(struct conversation *c)
{
	if (c->e.side == SIDE_TOOL)
		return true;
	end_content(c);
	if (c->e.calls)
		sink_lit(c->out, "]");
	sink_lit(c->out, "}");
	return true;
}

static bool
nothing_more(struct conversation *c)
{
	(void)c;
	return true;
}

const struct conversation_encoder chat_request_encoder = {
	.tools = {SPAN_INIT("tools"), SPAN_INIT("["), SPAN_INIT("]")},
	.turns = {SPAN_INIT("messages"), SPAN_INIT("["), SPAN_INIT("]")},
	.calls_behind = true,
	.media_aside = true,
	.settings = settings_for_chat,
	.tool = tool_for_chat,
	.turn = turn_for_chat,
	.part = part_for_chat,
	.turn_end = turn_end_for_chat,
	.finish = nothing_more,
};
