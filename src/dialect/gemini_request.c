/* Requests of Gemini's generateContent. Specification: ai.google.dev/api/generate-content. */
#include "dialect/conversation_priv.h"

/* ---- decoder: the body's fields ---- */

enum { ROOT_CONTENTS,
	ROOT_SYSTEM,
	ROOT_TOOLS,
	ROOT_TOOL_CONFIG,
	ROOT_CONFIG };

static const char ask_gemini[] = "Ask a model of Google's, or leave it out.";
static const struct field root_fields[] = {
	[ROOT_CONTENTS] = FIELD("contents"),
	[ROOT_SYSTEM] = FIELD("systemInstruction"),
	[ROOT_TOOLS] = FIELD("tools"),
	[ROOT_TOOL_CONFIG] = FIELD("toolConfig"),
	[ROOT_CONFIG] = FIELD("generationConfig"),
	FIELD_SET("serviceTier", TIER),
	FIELD_IS("model", OURS),
	FIELD_IS("labels", LEFT_OUT),
	FIELD_UNLESS("safetySettings", LENIENT, EMPTY, ask_gemini),
	FIELD_UNLESS("cachedContent", REFUSED, EMPTY, ask_gemini),
	FIELD_UNLESS("store", REFUSED, FALSE, "Answers are not kept: leave it out."),
};

enum { CONFIG_MIME,
	CONFIG_SCHEMA,
	CONFIG_JSON_SCHEMA,
	CONFIG_THINKING };
static const char only_text[] = "Only text can be answered by this model.";
static const struct field config_fields[] = {
	[CONFIG_MIME] = FIELD("responseMimeType"),
	[CONFIG_SCHEMA] = FIELD("responseSchema"),
	[CONFIG_JSON_SCHEMA] = FIELD("responseJsonSchema"),
	[CONFIG_THINKING] = FIELD("thinkingConfig"),
	FIELD_SET("maxOutputTokens", CAP),
	FIELD_SET("temperature", TEMPERATURE),
	FIELD_SET("topP", TOP_P),
	FIELD_SET("topK", TOP_K),
	FIELD_SET("stopSequences", STOP),
	FIELD_SET("candidateCount", N),
	FIELD_SET("seed", SEED),
	FIELD_SET("presencePenalty", PRESENCE),
	FIELD_SET("frequencyPenalty", FREQUENCY),
	FIELD_SET("responseLogprobs", LOGPROBS),
	FIELD_SET("logprobs", TOP_LOGPROBS),
	FIELD_UNLESS("responseModalities", REFUSED, TEXT_ONLY, only_text),
	FIELD_UNLESS("speechConfig", REFUSED, NEVER, only_text),
	FIELD_UNLESS("imageConfig", REFUSED, NEVER, only_text),
	FIELD_UNLESS("mediaResolution", LENIENT, NEVER, ask_gemini),
	FIELD_UNLESS("enableEnhancedCivicAnswers", LENIENT, FALSE, ask_gemini),
};

enum { THINKING_SHOWN,
	THINKING_TOKENS,
	THINKING_LEVEL,
	THINKING_NAMED };
static const struct field thinking_fields[] = {
	[THINKING_SHOWN] = FIELD("includeThoughts"),
	[THINKING_TOKENS] = FIELD("thinkingBudget"),
	[THINKING_LEVEL] = FIELD("thinkingLevel"),
};

static bool
read_thinking(struct conversation *c, struct json_value v)
{
	struct json_value is[THINKING_NAMED];
	uint64_t tokens = 0;
	if (!given(v))
		return true;
	at_name(c, "thinkingConfig");
	if (!fields_read(c, v, thinking_fields, THINKING_NAMED, is, NULL))
		return false;
	c->settings.thinking.show = is[THINKING_SHOWN].kind == JSON_TRUE;
	if (given(is[THINKING_TOKENS])) {
		bool free = is[THINKING_TOKENS].kind == JSON_NUMBER && number_about(c, is[THINKING_TOKENS]) == -1;
		if (!free && !number_whole(c, is[THINKING_TOKENS], &tokens))
			return refuse_at(c, "thinkingBudget", TRANSLATE_INVALID, "It must be a whole number of tokens, or -1.");
		c->settings.thinking.level = free ? LEVEL_FREE : tokens ? LEVEL_UNSAID
																: LEVEL_NONE;
		c->settings.thinking.tokens = (uint32_t)tokens;
	}
	if (given(is[THINKING_LEVEL]) && !reads(c, is[THINKING_LEVEL], "THINKING_LEVEL_UNSPECIFIED")) {
		c->settings.thinking.level = level_named(c, is[THINKING_LEVEL]);
		if (c->settings.thinking.level == LEVEL_UNSAID)
			return refuse_at(c, "thinkingLevel", TRANSLATE_INVALID, "It must be MINIMAL, LOW, MEDIUM or HIGH.");
	}
	leave(c);
	return true;
}

static bool
read_format(struct conversation *c, const struct json_value *is)
{
	struct json_value mime = is[CONFIG_MIME];
	bool json = reads(c, mime, "application/json");
	c->settings.answer.path = "generationConfig.responseMimeType";
	if (given(mime) && !json && !reads(c, mime, "text/plain"))
		return refuse_at(c, "responseMimeType", TRANSLATE_CANT, "Only text/plain and application/json are known to this model's provider.");
	c->settings.answer.form = json ? ANSWER_JSON : ANSWER_TEXT;
	c->settings.answer.schema = given(is[CONFIG_JSON_SCHEMA]) ? is[CONFIG_JSON_SCHEMA] : is[CONFIG_SCHEMA];
	c->settings.answer.schema_kind = given(is[CONFIG_JSON_SCHEMA]) ? SCHEMA_JSON : SCHEMA_OPENAPI;
	if (!given(c->settings.answer.schema))
		return true;
	if (c->settings.answer.schema.kind != JSON_OBJECT || !json)
		return refuse_at(c, given(is[CONFIG_JSON_SCHEMA]) ? "responseJsonSchema" : "responseSchema", TRANSLATE_INVALID,
			"It must be an object, and responseMimeType application/json.");
	c->settings.answer.form = ANSWER_SCHEMA;
	return true;
}

static const struct field calling_config_fields[] = {FIELD("mode"), FIELD("allowedFunctionNames")};

static bool
read_mode(struct conversation *c, const struct json_value *is)
{
	static const struct {
		struct span word;
		uint8_t choice;
	} rows[] = {{SPAN_INIT("AUTO"), CHOICE_AUTO}, {SPAN_INIT("VALIDATED"), CHOICE_AUTO}, {SPAN_INIT("ANY"), CHOICE_ANY}, {SPAN_INIT("NONE"), CHOICE_NONE},
		{SPAN_INIT("MODE_UNSPECIFIED"), CHOICE_UNSAID}};
	struct json_walk w = json_walk(is[1]);
	struct json_value first;
	size_t i = 0;
	while (given(is[0]) && i < ARRAY_LEN(rows) && !json_reads(c->in, is[0], rows[i].word))
		i++;
	if (i == ARRAY_LEN(rows))
		return refuse_at(c, "mode", TRANSLATE_INVALID, "It must be AUTO, ANY, VALIDATED or NONE.");
	c->settings.tools.choice = given(is[0]) ? rows[i].choice : CHOICE_UNSAID;
	uint32_t named = count_elements(c, is[1]);
	if (named > ALLOWED_MAX)
		return refuse_at(c, "allowedFunctionNames", TRANSLATE_CANT, "At most 128 tools may be named here: send only those that may be called.");
	if (!named || !json_next_element(c->in, &w, &first))
		return true;
	c->settings.tools.allowed = is[1];
	if (named == 1 && c->settings.tools.choice == CHOICE_ANY && first.kind == JSON_STRING) {
		c->settings.tools.choice = CHOICE_ONE;
		c->settings.tools.name = first;
		c->settings.tools.allowed = (struct json_value){0};
	}
	return true;
}

static bool
read_tool_config(struct conversation *c, struct json_value v)
{
	static const struct field fields[] = {
		FIELD("functionCallingConfig"),
		FIELD_UNLESS("retrievalConfig", REFUSED, EMPTY, ask_gemini),
		FIELD_UNLESS("includeServerSideToolInvocations", REFUSED, FALSE, ask_gemini),
	};
	struct json_value is[ARRAY_LEN(fields)], calling[2];
	c->settings.tools.path = "toolConfig.functionCallingConfig";
	if (!given(v))
		return true;
	at_name(c, "toolConfig");
	if (!fields_read(c, v, fields, ARRAY_LEN(fields), is, NULL))
		return false;
	at_name(c, "functionCallingConfig");
	if (given(is[0]) && (!fields_read(c, is[0], calling_config_fields, 2, calling, NULL) || !read_mode(c, calling)))
		return false;
	leave(c);
	leave(c);
	return true;
}

static bool
allowed_name(struct conversation *c, struct json_value element, struct json_value *ret)
{
	(void)c;
	*ret = element;
	return element.kind == JSON_STRING;
}

static bool
settings_of_gemini(struct conversation *c)
{
	struct json_value is[ARRAY_LEN(root_fields)], config[ARRAY_LEN(config_fields)] = {{0}};
	if (!fields_read(c, json_whole_value(c->in), root_fields, ARRAY_LEN(root_fields), is, NULL))
		return false;
	c->items = is[ROOT_CONTENTS];
	c->tools = is[ROOT_TOOLS];
	c->system = is[ROOT_SYSTEM];
	c->settings.thinking.path = "generationConfig.thinkingConfig";
	if (c->items.kind != JSON_ARRAY)
		return refuse_at(c, "contents", TRANSLATE_INVALID, "It must be a list.");
	at_name(c, "generationConfig");
	if (given(is[ROOT_CONFIG])) {
		if (!fields_read(c, is[ROOT_CONFIG], config_fields, ARRAY_LEN(config_fields), config, "generationConfig"))
			return false;
		if (!read_thinking(c, config[CONFIG_THINKING]) || !read_format(c, config))
			return false;
	}
	leave(c);
	return read_tool_config(c, is[ROOT_TOOL_CONFIG]);
}

/* ---- decoder: tools ---- */

static const char no_google_tool[] = "Tools that Google runs are not known elsewhere: give the model tools of yours.";
static const struct field tool_fields[] = {
	FIELD("functionDeclarations"),
	FIELD_UNLESS("googleSearch", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("googleSearchRetrieval", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("urlContext", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("codeExecution", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("fileSearch", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("computerUse", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("googleMaps", REFUSED, NEVER, no_google_tool),
};

enum { FUNCTION_NAME,
	FUNCTION_ABOUT,
	FUNCTION_PARAMETERS,
	FUNCTION_JSON_SCHEMA };
static const struct field function_fields[] = {
	[FUNCTION_NAME] = FIELD("name"),
	[FUNCTION_ABOUT] = FIELD("description"),
	[FUNCTION_PARAMETERS] = FIELD("parameters"),
	[FUNCTION_JSON_SCHEMA] = FIELD("parametersJsonSchema"),
	FIELD_IS("response", LEFT_OUT),
	FIELD_IS("responseJsonSchema", LEFT_OUT),
	FIELD_UNLESS("behavior", LENIENT, NEVER, ask_gemini),
};

static bool
function_of_gemini(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(function_fields)];
	if (!fields_read(c, v, function_fields, ARRAY_LEN(function_fields), is, NULL))
		return false;
	if (is[FUNCTION_NAME].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, NULL);
	bool json = given(is[FUNCTION_JSON_SCHEMA]);
	const struct conversation_tool t = {.name = is[FUNCTION_NAME], .description = is[FUNCTION_ABOUT], .schema = json ? is[FUNCTION_JSON_SCHEMA] : is[FUNCTION_PARAMETERS], .schema_kind = json ? SCHEMA_JSON : SCHEMA_OPENAPI};
	return tell_tool(c, &t);
}

static bool
functions_of_gemini(struct conversation *c, struct json_value list)
{
	struct json_walk w = json_walk(list);
	uint32_t i = 0;
	at_name(c, "functionDeclarations");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!function_of_gemini(c, v))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

static bool
tools_of_gemini(struct conversation *c)
{
	struct json_walk w = json_walk(c->tools);
	struct json_value is[ARRAY_LEN(tool_fields)];
	uint32_t i = 0;
	at_name(c, "tools");
	for (struct json_value v; json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!fields_read(c, v, tool_fields, ARRAY_LEN(tool_fields), is, NULL) || !functions_of_gemini(c, is[0]))
			return false;
		leave(c);
	}
	leave(c);
	return true;
}

/* ---- decoder: contents ---- */

static const struct field content_fields[] = {FIELD("role"), FIELD("parts")};

static bool
side_of_gemini(struct conversation *c, struct json_value item, enum side *ret)
{
	static const struct span names[] = {SPAN_INIT("role")};
	struct json_value role;
	json_members(c->in, item, names, 1, &role, NULL);
	*ret = reads(c, role, "model") ? SIDE_ASSISTANT : SIDE_USER;
	if (role.kind == JSON_STRING && *ret == SIDE_USER && !reads(c, role, "user") && !reads(c, role, "function"))
		return refuse_at(c, "role", TRANSLATE_INVALID, "It must be user or model.");
	return true;
}

enum { PART_TEXT_IS,
	PART_INLINE,
	PART_FILE_IS,
	PART_CALL_IS,
	PART_RESPONSE,
	PART_THOUGHT_IS,
	PART_SIGNATURE };
static const struct field part_fields[] = {
	[PART_TEXT_IS] = FIELD("text"),
	[PART_INLINE] = FIELD("inlineData"),
	[PART_FILE_IS] = FIELD("fileData"),
	[PART_CALL_IS] = FIELD("functionCall"),
	[PART_RESPONSE] = FIELD("functionResponse"),
	[PART_THOUGHT_IS] = FIELD("thought"),
	[PART_SIGNATURE] = FIELD("thoughtSignature"),
	FIELD_IS("partMetadata", LEFT_OUT),
	FIELD_UNLESS("mediaResolution", LENIENT, NEVER, ask_gemini),
	FIELD_UNLESS("videoMetadata", REFUSED, NEVER, ask_gemini),
	FIELD_UNLESS("executableCode", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("codeExecutionResult", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("toolCall", REFUSED, NEVER, no_google_tool),
	FIELD_UNLESS("toolResponse", REFUSED, NEVER, no_google_tool),
};

enum { MEDIA_TYPE,
	MEDIA_DATA,
	MEDIA_URI,
	MEDIA_NAME,
	MEDIA_NAMED };
static const struct field media_fields[] = {
	[MEDIA_TYPE] = FIELD("mimeType"),
	[MEDIA_DATA] = FIELD("data"),
	[MEDIA_URI] = FIELD("fileUri"),
	[MEDIA_NAME] = FIELD("displayName"),
};

static bool
begins(struct conversation *c, struct json_value text, struct span prefix)
{
	const struct media_type t = {.text = text};
	return media_is(c, &t, prefix);
}

static bool
stored_at_google(struct conversation *c, struct json_value uri)
{
	static const struct span places[] = {SPAN_INIT("https://generativelanguage.googleapis.com/"), SPAN_INIT("https://www.youtube.com/"),
		SPAN_INIT("https://youtube.com/"), SPAN_INIT("https://youtu.be/")};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (begins(c, uri, places[i]))
			return true;
	return !begins(c, uri, SPAN("https://")) && !begins(c, uri, SPAN("http://"));
}

static bool
tell_media(struct conversation *c, struct json_value v, const char *name)
{
	struct json_value is[MEDIA_NAMED];
	struct conversation_part p = {.kind = PART_FILE};
	at_name(c, name);
	if (!fields_read(c, v, media_fields, MEDIA_NAMED, is, NULL))
		return false;
	p.type.text = is[MEDIA_TYPE];
	p.name = is[MEDIA_NAME];
	p.from = given(is[MEDIA_URI]) ? MEDIA_URL : MEDIA_BASE64;
	p.text = is[given(is[MEDIA_URI]) ? MEDIA_URI : MEDIA_DATA];
	if (p.text.kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "It must hold data, or a URL, as a string.");
	at_name(c, "mimeType");
	if (!media_type_fine(c, p.type.text))
		return false;
	leave(c);
	if (p.from == MEDIA_URL && stored_at_google(c, p.text))
		return refuse_at(c, "fileUri", TRANSLATE_CANT, "Files that are stored at Google can't be sent to another provider: send inlineData.");
	if (media_is(c, &p.type, SPAN("video/")))
		return refuse(c, TRANSLATE_CANT, "Video is for Google's models alone.");
	if (media_is(c, &p.type, SPAN("image/")))
		p.kind = PART_IMAGE;
	else if (media_is(c, &p.type, SPAN("audio/")))
		p.kind = PART_AUDIO;
	bool well = tell(c, &p);
	leave(c);
	return well;
}

static const struct field call_fields[] = {
	FIELD("id"),
	FIELD("name"),
	FIELD("args"),
	FIELD_UNLESS("willContinue", REFUSED, FALSE, ask_gemini),
	FIELD_UNLESS("partialArgs", REFUSED, EMPTY, ask_gemini),
};

static bool
tell_call(struct conversation *c, struct json_value v, struct json_value signature)
{
	struct json_value is[ARRAY_LEN(call_fields)];
	at_name(c, "functionCall");
	if (!fields_read(c, v, call_fields, ARRAY_LEN(call_fields), is, NULL))
		return false;
	if (is[1].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, NULL);
	at_name(c, "args");
	if (given(is[2]) && is[2].kind != JSON_OBJECT)
		return refuse(c, TRANSLATE_INVALID, "It must be an object.");
	const struct conversation_part p = {
		.kind = PART_CALL, .id = is_empty(is[0]) ? (struct json_value){0} : is[0], .name = is[1], .text = is[2], .signature = signature};
	bool well = tell(c, &p);
	leave(c);
	leave(c);
	return well;
}

/* {"result":"text"} is how a text is told to Gemini, and {"error":"text"} that of an error: they are told as that text again. */
static void
unwrap(struct conversation *c, struct conversation_part *p)
{
	struct json_walk w = json_walk(p->text);
	struct json_value key, v, more;
	if (!json_next_member(c->in, &w, &key, &v) || v.kind != JSON_STRING || json_next_element(c->in, &w, &more))
		return;
	bool failed = reads(c, key, "error");
	if (!failed && (!reads(c, key, "result") || is_object_text(c, v)))
		return;
	p->text = v;
	p->failed = failed;
}

static const struct field response_fields[] = {
	FIELD("id"),
	FIELD("name"),
	FIELD("response"),
	FIELD_IS("scheduling", LEFT_OUT),
	FIELD_UNLESS("willContinue", REFUSED, FALSE, ask_gemini),
	FIELD_UNLESS("parts", REFUSED, EMPTY, "Send media as parts of their own."),
};

static bool
tell_response(struct conversation *c, struct json_value v)
{
	struct json_value is[ARRAY_LEN(response_fields)];
	at_name(c, "functionResponse");
	if (!fields_read(c, v, response_fields, ARRAY_LEN(response_fields), is, NULL))
		return false;
	if (is[1].kind != JSON_STRING)
		return refuse_at(c, "name", TRANSLATE_MISSING, NULL);
	if (is[2].kind != JSON_OBJECT)
		return refuse_at(c, "response", TRANSLATE_INVALID, "It must be an object.");
	struct conversation_part p = {.kind = PART_RESULT, .name = is[1], .text = is[2]};
	unwrap(c, &p);
	if (!is_empty(is[0]))
		p.id = is[0];
	else if (!call_by_name(c, &p))
		return false;
	if (!tell(c, &p))
		return false;
	p.kind = PART_RESULT_END;
	bool well = tell(c, &p);
	leave(c);
	return well;
}

static bool
tell_part(struct conversation *c, const struct json_value *is, unsigned says)
{
	if (given(is[PART_CALL_IS]))
		return !(says & SAYS_CALLS) || tell_call(c, is[PART_CALL_IS], is[PART_SIGNATURE]);
	if (given(is[PART_RESPONSE]))
		return !(says & SAYS_RESULTS) || tell_response(c, is[PART_RESPONSE]);
	if (!(says & SAYS_TEXT))
		return true;
	if (given(is[PART_INLINE]))
		return tell_media(c, is[PART_INLINE], "inlineData");
	if (given(is[PART_FILE_IS]))
		return tell_media(c, is[PART_FILE_IS], "fileData");
	struct conversation_part p = {.kind = is[PART_THOUGHT_IS].kind == JSON_TRUE ? PART_THOUGHT : PART_TEXT, .text = is[PART_TEXT_IS]};
	if (!given(p.text) && (given(is[PART_SIGNATURE]) || p.kind == PART_THOUGHT))
		return true; /* a signature alone */
	return p.text.kind == JSON_STRING ? tell(c, &p) : refuse(c, TRANSLATE_INVALID, "It must hold text, inlineData, fileData, functionCall or functionResponse.");
}

/* Called for the parts of turns, and for those of the system text. */
static bool
each_part(struct conversation *c, struct json_value parts, unsigned says)
{
	struct json_value is[ARRAY_LEN(part_fields)], v;
	struct json_walk w = json_walk(parts);
	uint32_t i = 0;
	bool one = parts.kind == JSON_OBJECT; /* some write the part without the list around it */
	if (given(parts) && !one && parts.kind != JSON_ARRAY)
		return refuse(c, TRANSLATE_INVALID, "It must be a list of parts.");
	for (v = parts; one ? i == 0 : json_next_element(c->in, &w, &v); i++) {
		at_index(c, i);
		if (!fields_read(c, v, part_fields, ARRAY_LEN(part_fields), is, NULL) || !tell_part(c, is, says))
			return false;
		leave(c);
	}
	return true;
}

static bool
item_of_gemini(struct conversation *c, struct json_value item, unsigned says)
{
	struct json_value is[2];
	if (!fields_read(c, item, content_fields, 2, is, NULL))
		return false;
	at_name(c, "parts");
	bool well = each_part(c, is[1], says);
	leave(c);
	return well;
}

static bool
system_of_gemini(struct conversation *c)
{
	if (!given(c->system))
		return true;
	at_name(c, "systemInstruction");
	if (c->system.kind == JSON_STRING) {
		const struct conversation_part p = {.text = c->system};
		leave(c);
		return tell_system(c, &p);
	}
	c->telling_system = true;
	bool well = item_of_gemini(c, c->system, SAYS_TEXT);
	c->telling_system = false;
	leave(c);
	return well;
}

const struct conversation_decoder gemini_request_decoder = {
	.items = "contents",
	.cap = "generationConfig.maxOutputTokens",
	.snake = true,
	.prefills = true,
	.settings = settings_of_gemini,
	.tools = tools_of_gemini,
	.system = system_of_gemini,
	.side = side_of_gemini,
	.item = item_of_gemini,
	.allowed_name = allowed_name,
};

/* ---- encoder: settings ---- */

enum { STOPS_MAX = 5 };

static const char no_parallel[] = "Gemini can't be told to call one tool at a time: leave it out.";
static const struct unsaid unsaid[] = {
	{SETTING_LOGIT_BIAS, FIELD_LENIENT, "Gemini takes no bias: leave it out."},
	{SETTING_PARALLEL, FIELD_LENIENT, no_parallel},
	{SETTING_VERBOSITY, FIELD_LENIENT, "Gemini can't be told how much to say but by text: leave it out."},
	{SETTING_CACHE_KEY, FIELD_LEFT_OUT, NULL},
	{SETTING_USER, FIELD_LEFT_OUT, NULL},
	{SETTING_OLD_USER, FIELD_LEFT_OUT, NULL},
};

static bool
check_for_gemini(struct conversation *c)
{
	const struct setting *stop = setting(c, SETTING_STOP), *seed = setting(c, SETTING_SEED), *alone = &c->settings.alone;
	if (!refuse_unsaid(c, unsaid, ARRAY_LEN(unsaid)))
		return false;
	if (given(alone->value) && !c->wish->lenient)
		return refuse_path(c, alone->in, alone->name, TRANSLATE_CANT, no_parallel);
	if (given(alone->value))
		note_left_out(c, alone->name);
	if (stop->value.kind == JSON_ARRAY && count_elements(c, stop->value) > STOPS_MAX)
		return refuse_path(c, stop->in, stop->name, TRANSLATE_CANT, "At most 5 of them are taken by Gemini.");
	if (cap_known(c) == 0)
		return refuse_path(c, cap_said(c)->in, cap_said(c)->name, TRANSLATE_CANT, "An answer of no tokens can't be asked for: give at least 1.");
	double s = given(seed->value) ? number_about(c, seed->value) : 0;
	return (s >= INT32_MIN && s <= INT32_MAX) || refuse_path(c, seed->in, seed->name, TRANSLATE_CANT, "Gemini takes a number of 32 bits.");
}

static void
put_budget(struct conversation *c, enum level level)
{
	sink_lit(c->out, "\"thinkingBudget\":");
	if (c->settings.thinking.tokens)
		sink_u64(c->out, c->settings.thinking.tokens);
	else if (level == LEVEL_FREE)
		sink_lit(c->out, "-1");
	else
		sink_u64(c->out, level_tokens(level));
}

static bool
put_thinking(struct conversation *c)
{
	enum level level;
	if (!thinking_level(c, &level))
		return false;
	if (c->wish->thinking == THINKING_NONE || (level == LEVEL_UNSAID && !c->settings.thinking.show))
		return true;
	bool budget = c->wish->thinking == THINKING_BUDGET && level != LEVEL_UNSAID;
	if (level == LEVEL_NONE && !budget) {
		if (!leave_out_setting(c, c->settings.thinking.path, "This model always thinks: ask for the lowest level."))
			return false;
		level = LEVEL_MINIMAL;
	}
	if (level > LEVEL_HIGH && !budget)
		note_left_out(c, c->settings.thinking.path);
	put_name(c, SPAN("thinkingConfig"));
	sink_lit(c->out, "{");
	if (c->settings.thinking.show)
		sink_lit(c->out, "\"includeThoughts\":true");
	if (c->settings.thinking.show && (budget || level > LEVEL_FREE))
		sink_lit(c->out, ",");
	if (budget) {
		put_budget(c, level);
	} else if (level > LEVEL_FREE) {
		sink_lit(c->out, "\"thinkingLevel\":\"");
		sink_span(c->out, level_word(level, LANGUAGE_GEMINI));
		sink_lit(c->out, "\"");
	}
	sink_lit(c->out, "}");
	return true;
}

static bool
put_config(struct conversation *c)
{
	put_name(c, SPAN("generationConfig"));
	sink_lit(c->out, "{");
	c->e.body_members = false;
	put_cap(c, SPAN("maxOutputTokens"));
	put_setting(c, SPAN("temperature"), SETTING_TEMPERATURE);
	put_setting(c, SPAN("topP"), SETTING_TOP_P);
	put_setting(c, SPAN("topK"), SETTING_TOP_K);
	put_stop_list(c, SPAN("stopSequences"));
	put_setting(c, SPAN("candidateCount"), SETTING_N);
	put_setting(c, SPAN("seed"), SETTING_SEED);
	put_setting(c, SPAN("presencePenalty"), SETTING_PRESENCE);
	put_setting(c, SPAN("frequencyPenalty"), SETTING_FREQUENCY);
	if (logprobs_wanted(c)) {
		put_name(c, SPAN("responseLogprobs"));
		sink_lit(c->out, "true");
	}
	put_setting(c, SPAN("logprobs"), SETTING_TOP_LOGPROBS);
	if (c->settings.answer.form != ANSWER_TEXT)
		put_word_member(c, SPAN("responseMimeType"), SPAN("application/json"));
	if (c->settings.answer.form == ANSWER_SCHEMA) {
		put_name(c, SPAN("responseJsonSchema"));
		put_schema(c, c->settings.answer.schema, c->settings.answer.schema_kind);
	}
	if (!put_thinking(c))
		return false;
	sink_lit(c->out, "}");
	c->e.body_members = true;
	return true;
}

static void
put_allowed(struct conversation *c)
{
	struct json_walk w = json_walk(c->settings.tools.allowed);
	bool any = false;
	for (struct json_value e, name; json_next_element(c->in, &w, &e);) {
		if (!c->from->allowed_name(c, e, &name))
			continue;
		if (any)
			sink_lit(c->out, ",");
		any = true;
		put_text(c, name);
	}
}

static void
put_choice(struct conversation *c)
{
	static const struct span words[] = {
		[CHOICE_AUTO] = SPAN_INIT("AUTO"), [CHOICE_NONE] = SPAN_INIT("NONE"), [CHOICE_ANY] = SPAN_INIT("ANY"), [CHOICE_ONE] = SPAN_INIT("ANY")};
	enum choice choice = c->settings.tools.choice;
	bool some = given(c->settings.tools.allowed);
	if (choice == CHOICE_UNSAID || !count_elements(c, c->tools))
		return;
	put_name(c, SPAN("toolConfig"));
	sink_lit(c->out, "{\"functionCallingConfig\":{\"mode\":\"");
	/* Names may only stand with ANY and VALIDATED, which is AUTO with the schemas kept. */
	sink_span(c->out, some && choice == CHOICE_AUTO ? SPAN("VALIDATED") : words[choice]);
	sink_lit(c->out, "\"");
	if (choice == CHOICE_ONE || (some && choice != CHOICE_NONE)) {
		sink_lit(c->out, ",\"allowedFunctionNames\":[");
		if (choice == CHOICE_ONE)
			put_text(c, c->settings.tools.name);
		else
			put_allowed(c);
		sink_lit(c->out, "]");
	}
	sink_lit(c->out, "}}");
}

static bool
settings_for_gemini(struct conversation *c)
{
	if (!check_for_gemini(c) || !put_config(c) || !put_tier(c, SPAN("serviceTier")))
		return false;
	put_choice(c);
	return true;
}

/* ---- encoder: tools, turns ---- */

static bool
tool_for_gemini(struct conversation *c, const struct conversation_tool *t)
{
	sink_lit(c->out, "{\"name\":");
	put_text(c, t->name);
	if (given(t->description)) {
		sink_lit(c->out, ",\"description\":");
		put_text(c, t->description);
	}
	sink_lit(c->out, ",\"parametersJsonSchema\":");
	put_schema(c, t->schema, t->schema_kind);
	sink_lit(c->out, "}");
	return true;
}

static bool
text_for_gemini(struct conversation *c, const struct conversation_part *p)
{
	sink_lit(c->out, "{\"text\":");
	put_text(c, p->text);
	sink_lit(c->out, "}");
	return true;
}

static bool
turn_for_gemini(struct conversation *c, enum side side, const struct turn_shape *shape)
{
	(void)shape;
	merge_turn(c, side);
	return true;
}

static void
begin_part(struct conversation *c)
{
	static const struct merged_form form = {SPAN_INIT("{\"role\":\"user\",\"parts\":["), SPAN_INIT("{\"role\":\"model\",\"parts\":[")};
	begin_merged_part(c, &form);
}

/* By the ending of a URL's path: Gemini wants to be told. */
static struct span
type_by_ending(struct conversation *c, struct json_value url)
{
	static const struct {
		struct span ending, type;
	} rows[] = {
		{SPAN_INIT(".png"), SPAN_INIT("image/png")},
		{SPAN_INIT(".jpg"), SPAN_INIT("image/jpeg")},
		{SPAN_INIT(".jpeg"), SPAN_INIT("image/jpeg")},
		{SPAN_INIT(".gif"), SPAN_INIT("image/gif")},
		{SPAN_INIT(".webp"), SPAN_INIT("image/webp")},
		{SPAN_INIT(".pdf"), SPAN_INIT("application/pdf")},
	};
	uint64_t dot = 0, at = url.at + 1, end = url.end - 1;
	for (; at < end; at++) {
		char ch = *json_run(c->in, at, end).at;
		if (ch == '?' || ch == '#')
			break;
		dot = ch == '.' ? at : ch == '/' ? 0
										 : dot;
	}
	for (size_t i = 0; dot && i < ARRAY_LEN(rows); i++)
		if (at - dot == rows[i].ending.len && begins(c, (struct json_value){dot - 1, at + 1, JSON_STRING}, rows[i].ending))
			return rows[i].type;
	return (struct span){0};
}

static bool
media_for_gemini(struct conversation *c, const struct conversation_part *p)
{
	if (p->from == MEDIA_BASE64) {
		sink_lit(c->out, "{\"inlineData\":{\"mimeType\":\"");
		put_media_type(c, &p->type);
		sink_lit(c->out, "\",\"data\":");
	} else {
		struct span type = type_by_ending(c, p->text);
		if (!type.len)
			return refuse(c, TRANSLATE_CANT, "Gemini must be told what stands at a URL, and its ending doesn't say: send the data in base64.");
		sink_lit(c->out, "{\"fileData\":{\"mimeType\":\"");
		sink_span(c->out, type);
		sink_lit(c->out, "\",\"fileUri\":");
	}
	put_text(c, p->text);
	sink_lit(c->out, "}}");
	return true;
}

/* A call without its signature is refused by models that think by levels; this word, which Google names for it, stands in its place. */
static void
put_signature(struct conversation *c, const struct conversation_part *p)
{
	if (given(p->signature)) {
		sink_lit(c->out, ",\"thoughtSignature\":");
		put_text(c, p->signature);
	} else if (c->wish->thinking == THINKING_EFFORT && !c->e.signed_call)
		sink_lit(c->out, ",\"thoughtSignature\":\"skip_thought_signature_validator\"");
	c->e.signed_call = true;
}

static bool
call_for_gemini(struct conversation *c, const struct conversation_part *p)
{
	begin_part(c);
	sink_lit(c->out, "{\"functionCall\":{\"id\":");
	put_call_id(c, p, UINT32_MAX, false);
	sink_lit(c->out, ",\"name\":");
	put_text(c, p->name);
	sink_lit(c->out, ",\"args\":");
	if (!put_object(c, p->text))
		return false;
	sink_lit(c->out, "}");
	put_signature(c, p);
	sink_lit(c->out, "}");
	return true;
}

static bool
result_for_gemini(struct conversation *c, const struct conversation_part *p)
{
	struct json_value name;
	if (!name_of_call(c, p, &name))
		return false;
	begin_part(c);
	sink_lit(c->out, "{\"functionResponse\":{\"id\":");
	put_call_id(c, p, UINT32_MAX, false);
	sink_lit(c->out, ",\"name\":");
	put_text(c, name);
	sink_lit(c->out, ",\"response\":");
	c->e.result = true;
	c->e.result_parts = false;
	if (!p->failed && given(p->text) && is_object_text(c, p->text))
		return put_object(c, p->text);
	if (p->failed)
		sink_lit(c->out, "{\"error\":\"");
	else
		sink_lit(c->out, "{\"result\":\"");
	put_inside(c, p->text);
	if (given(p->text))
		sink_lit(c->out, "\"}");
	return true;
}

static bool
part_of_result(struct conversation *c, const struct conversation_part *p)
{
	if (p->kind == PART_RESULT_END) {
		c->e.result = false;
		if (!given(p->text))
			sink_lit(c->out, "\"}");
		sink_lit(c->out, "}}");
	} else if (p->kind == PART_TEXT) {
		if (c->e.result_parts)
			sink_lit(c->out, "\\n");
		c->e.result_parts = true;
		put_inside(c, p->text);
	}
	return true; /* media stand behind */
}

static bool
part_for_gemini(struct conversation *c, const struct conversation_part *p)
{
	if (c->e.result)
		return part_of_result(c, p);
	if (p->kind == PART_CALL)
		return call_for_gemini(c, p);
	if (p->kind == PART_RESULT)
		return result_for_gemini(c, p);
	bool text = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
	if (p->kind == PART_THOUGHT || (text && is_empty(p->text)))
		return true;
	begin_part(c);
	return text ? text_for_gemini(c, p) : media_for_gemini(c, p);
}

static bool
turn_end_for_gemini(struct conversation *c)
{
	(void)c;
	return true;
}

static bool
finish_gemini(struct conversation *c)
{
	if (!c->e.items)
		return refuse_at(c, c->from->items, TRANSLATE_CANT, "Gemini wants at least one turn that says something.");
	close_merged_turn(c);
	return true;
}

const struct conversation_encoder gemini_request_encoder = {
	.tools = {SPAN_INIT("tools"), SPAN_INIT("[{\"functionDeclarations\":["), SPAN_INIT("]}]")},
	.system_list = {SPAN_INIT("systemInstruction"), SPAN_INIT("{\"parts\":["), SPAN_INIT("]}")},
	.turns = {SPAN_INIT("contents"), SPAN_INIT("["), SPAN_INIT("]")},
	.hoists_system = true,
	.media_aside = true,
	.prefills = true,
	.settings = settings_for_gemini,
	.tool = tool_for_gemini,
	.system = text_for_gemini,
	.turn = turn_for_gemini,
	.part = part_for_gemini,
	.turn_end = turn_end_for_gemini,
	.finish = finish_gemini,
};
