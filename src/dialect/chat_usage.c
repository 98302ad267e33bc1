#include "dialect/chat_priv.h"

static void
split_prompt(const struct counts *raw, struct usage *u, bool *absurd)
{
	uint64_t rest = raw->value[CHAT_USAGE_PROMPT];
	uint64_t cached = raw->value[counts_given(raw, CHAT_USAGE_CACHED) ? CHAT_USAGE_CACHED : CHAT_USAGE_CACHED_FLAT];
	uint64_t write = raw->value[CHAT_USAGE_CACHE_WRITE];
	*absurd |= cached > rest || write > rest - (cached < rest ? cached : rest);
	counts_carve(&rest, cached, &u->tokens[TOKEN_cached]);
	counts_carve(&rest, write, &u->tokens[TOKEN_cache_write]);
	counts_carve(&rest, raw->value[CHAT_USAGE_AUDIO_IN], &u->tokens[TOKEN_audio_in]);
	counts_carve(&rest, raw->value[CHAT_USAGE_IMAGE_IN], &u->tokens[TOKEN_image_in]);
	u->tokens[TOKEN_input] = rest;
}

static void
split_output(const struct counts *raw, struct usage *u, bool *absurd)
{
	uint64_t prompt = raw->value[CHAT_USAGE_PROMPT], rest = raw->value[CHAT_USAGE_COMPLETION];
	uint64_t total = raw->value[CHAT_USAGE_TOTAL];
	if (total > prompt + rest)
		rest = total - prompt;
	*absurd |= raw->value[CHAT_USAGE_REASONING] > rest;
	counts_carve(&rest, raw->value[CHAT_USAGE_REASONING], &u->tokens[TOKEN_reasoning]);
	counts_carve(&rest, raw->value[CHAT_USAGE_AUDIO_OUT], &u->tokens[TOKEN_audio_out]);
	counts_carve(&rest, raw->value[CHAT_USAGE_IMAGE_OUT], &u->tokens[TOKEN_image_out]);
	u->tokens[TOKEN_output] = rest;
}

bool
chat_usage_normalise(const struct counts *raw, struct usage *ret)
{
	if (!counts_given(raw, CHAT_USAGE_PROMPT) && !counts_given(raw, CHAT_USAGE_COMPLETION) && !counts_given(raw, CHAT_USAGE_TOTAL))
		return false;
	if (counts_unusable(raw, 1u << CHAT_USAGE_PROMPT | 1u << CHAT_USAGE_COMPLETION, 1u << CHAT_USAGE_TOTAL)) {
		*ret = (struct usage){.flags = USAGE_ABSURD};
		return true;
	}
	struct usage u = {.flags = USAGE_REPORTED};
	bool absurd = raw->absurd;
	split_prompt(raw, &u, &absurd);
	split_output(raw, &u, &absurd);
	uint64_t calls = raw->value[CHAT_USAGE_SEARCHES] + raw->value[CHAT_USAGE_SOURCES];
	u.tools[TOOL_web_search] = counts_clamp32(calls);
	if (absurd)
		u.flags |= USAGE_ABSURD;
	*ret = u;
	return true;
}
