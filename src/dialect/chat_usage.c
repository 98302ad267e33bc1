#include "dialect/chat_priv.h"

#define TOKENS_MAX (UINT64_C(1) << 40)

/* Whole digits, then nothing, or a fraction of zeros (some encoders write every number as a double). */
static bool
plain_count(struct span s, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;
	for (; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++)
		n = n < TOKENS_MAX ? n * 10 + (uint64_t)(s.at[i] - '0') : n;
	*ret = n < TOKENS_MAX ? n : TOKENS_MAX;
	if (n > TOKENS_MAX)
		return false;
	if (i < s.len && s.at[i] == '.')
		for (i++; i < s.len && s.at[i] == '0';)
			i++;
	return i == s.len;
}

void
chat_usage_take(struct chat_usage_raw *raw, enum chat_usage_number which, enum json_token t,
	const struct json_event *ev)
{
	if (t == JSON_NULL || t == JSON_OBJECT_END || t == JSON_ARRAY_END)
		return;
	uint64_t n = 0;
	if (t != JSON_NUMBER || ev->cut || !plain_count(ev->text, &n))
		raw->absurd = true;
	raw->value[which] = n;
	raw->given |= 1u << which;
}

static bool
given(const struct chat_usage_raw *raw, enum chat_usage_number which)
{
	return raw->given >> which & 1;
}

/* Move at most what is left from *rest to *kind. */
static void
carve(uint64_t *rest, uint64_t want, uint64_t *kind)
{
	*kind = want < *rest ? want : *rest;
	*rest -= *kind;
}

static void
split_prompt(const struct chat_usage_raw *raw, struct usage *u, bool *absurd)
{
	uint64_t rest = raw->value[CHAT_USAGE_PROMPT];
	uint64_t cached = raw->value[given(raw, CHAT_USAGE_CACHED) ? CHAT_USAGE_CACHED : CHAT_USAGE_CACHED_FLAT];
	uint64_t write = raw->value[CHAT_USAGE_CACHE_WRITE];
	*absurd |= cached > rest || write > rest - (cached < rest ? cached : rest);
	carve(&rest, cached, &u->tokens[TOKEN_cached]);
	carve(&rest, write, &u->tokens[TOKEN_cache_write]);
	carve(&rest, raw->value[CHAT_USAGE_AUDIO_IN], &u->tokens[TOKEN_audio_in]);
	carve(&rest, raw->value[CHAT_USAGE_IMAGE_IN], &u->tokens[TOKEN_image_in]);
	u->tokens[TOKEN_input] = rest;
}

static void
split_output(const struct chat_usage_raw *raw, struct usage *u, bool *absurd)
{
	uint64_t prompt = raw->value[CHAT_USAGE_PROMPT], rest = raw->value[CHAT_USAGE_COMPLETION];
	uint64_t total = raw->value[CHAT_USAGE_TOTAL];
	if (total > prompt + rest)
		rest = total - prompt;
	*absurd |= raw->value[CHAT_USAGE_REASONING] > rest;
	carve(&rest, raw->value[CHAT_USAGE_REASONING], &u->tokens[TOKEN_reasoning]);
	carve(&rest, raw->value[CHAT_USAGE_AUDIO_OUT], &u->tokens[TOKEN_audio_out]);
	carve(&rest, raw->value[CHAT_USAGE_IMAGE_OUT], &u->tokens[TOKEN_image_out]);
	u->tokens[TOKEN_output] = rest;
}

bool
chat_usage_normalise(const struct chat_usage_raw *raw, struct usage *ret)
{
	if (!given(raw, CHAT_USAGE_PROMPT) && !given(raw, CHAT_USAGE_COMPLETION) && !given(raw, CHAT_USAGE_TOTAL))
		return false;
	struct usage u = {.flags = USAGE_REPORTED};
	bool absurd = raw->absurd;
	split_prompt(raw, &u, &absurd);
	split_output(raw, &u, &absurd);
	uint64_t calls = raw->value[CHAT_USAGE_SEARCHES] + raw->value[CHAT_USAGE_SOURCES];
	u.tools[TOOL_web_search] = calls < UINT32_MAX ? (uint32_t)calls : UINT32_MAX;
	if (absurd)
		u.flags |= USAGE_ABSURD;
	*ret = u;
	return true;
}
