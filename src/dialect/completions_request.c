/*
 * Requests of OpenAI's old completions, as far as a chat can answer them: one prompt, which becomes the one turn of a user. There is a decoder only: no
 * provider is asked in this language by way of another. Specification: platform.openai.com/docs/api-reference/completions/create.
 */
#include "dialect/conversation_priv.h"

static const char no_place[] = "A chat has no place for it: leave it out, or ask a model that is served at /v1/completions itself.";

enum { ANSWERS_MAX = 8 }; /* TELLING_CHOICES_MAX */

enum { ROOT_PROMPT,
	ROOT_NAMED };

static const struct field root_fields[] = {
	[ROOT_PROMPT] = FIELD("prompt"),
	FIELD_SET("max_tokens", CAP),
	FIELD_SET("temperature", TEMPERATURE),
	FIELD_SET("top_p", TOP_P),
	FIELD_SET("stop", STOP),
	FIELD_SET("n", N),
	FIELD_SET("seed", SEED),
	FIELD_SET("presence_penalty", PRESENCE),
	FIELD_SET("frequency_penalty", FREQUENCY),
	FIELD_SET("logit_bias", LOGIT_BIAS),
	FIELD_SET("user", OLD_USER),
	FIELD_IS("model", OURS),
	FIELD_IS("stream", OURS),
	FIELD_IS("stream_options", OURS),
	FIELD_UNLESS("echo", REFUSED, FALSE, "Put the prompt in front of the answer yourself."),
	FIELD_UNLESS("suffix", REFUSED, EMPTY, no_place),
	FIELD_UNLESS("best_of", REFUSED, ONE, no_place),
	FIELD_UNLESS("logprobs", REFUSED, NEVER, no_place),
};

/* The only text of the list. */
static bool
one_of_list(struct conversation *c, struct json_value *prompt)
{
	struct json_walk w = json_walk(*prompt);
	struct json_value first = {.kind = JSON_MORE}, more;
	if (json_next_element(c->in, &w, &first) && first.kind == JSON_STRING && json_next_element(c->in, &w, &more))
		return refuse(c, TRANSLATE_CANT, "A chat answers one prompt: send one request for each.");
	if (first.kind == JSON_NUMBER || first.kind == JSON_ARRAY)
		return refuse(c, TRANSLATE_CANT, "Tokens of one model mean nothing to another: send the text.");
	*prompt = first;
	return first.kind == JSON_STRING || refuse(c, TRANSLATE_INVALID, "It must be a text, or a list of one text.");
}

static bool
settings_of_completions(struct conversation *c)
{
	struct json_value is[ARRAY_LEN(root_fields)];
	if (!fields_read(c, json_whole_value(c->in), root_fields, ARRAY_LEN(root_fields), is, NULL))
		return false;
	uint64_t n;
	if (given(setting(c, SETTING_N)->value) && number_whole(c, setting(c, SETTING_N)->value, &n) && n > ANSWERS_MAX)
		return refuse_at(c, "n", TRANSLATE_CANT, "A chat gives at most 8 answers at once.");
	if (cap_known(c) == 0)
		return refuse_at(c, "max_tokens", TRANSLATE_CANT, "A chat answers with one token at least.");
	c->items = is[ROOT_PROMPT];
	at_name(c, "prompt");
	if (c->items.kind == JSON_ARRAY && !one_of_list(c, &c->items))
		return false;
	if (c->items.kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, "It must be a text, or a list of one text.");
	leave(c);
	return true;
}

static bool
nothing(struct conversation *c)
{
	(void)c;
	return true;
}

static bool
side_of_completions(struct conversation *c, struct json_value item, enum side *ret)
{
	(void)c;
	(void)item;
	*ret = SIDE_USER;
	return true;
}

static bool
item_of_completions(struct conversation *c, struct json_value item, unsigned says)
{
	const struct conversation_part text = {.text = item};
	return !(says & SAYS_TEXT) || tell(c, &text);
}

const struct conversation_decoder completions_request_decoder = {
	.items = "prompt",
	.cap = "max_tokens",
	.settings = settings_of_completions,
	.tools = nothing,
	.system = nothing,
	.side = side_of_completions,
	.item = item_of_completions,
};
