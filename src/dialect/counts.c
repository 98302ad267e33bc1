#include "dialect/counts.h"

#include <string.h>

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
	if (n > TOKENS_MAX || i == 0)
		return false;
	if (i < s.len && s.at[i] == '.')
		for (i++; i < s.len && s.at[i] == '0';)
			i++;
	return i == s.len;
}

void
counts_take(struct counts *c, unsigned which, enum json_token t, const struct json_event *ev)
{
	if (t == JSON_NULL || t == JSON_OBJECT_END || t == JSON_ARRAY_END)
		return;
	uint64_t n = 0;
	bool read = (t == JSON_NUMBER || t == JSON_STRING) && !ev->cut && ev->text.len > 0 && ev->text.at[0] >= '0' && ev->text.at[0] <= '9';
	if (!read || !plain_count(ev->text, &n))
		c->absurd = true;
	c->value[which] = n;
	c->given |= 1u << which;
	c->unread = (c->unread & ~(1u << which)) | (uint32_t)!read << which;
}

enum service_tier
counts_tier(struct span word)
{
	static const struct {
		struct span word;
		enum service_tier tier;
	} rows[] = {
		{{"flex", 4}, TIER_flex},
		{{"priority", 8}, TIER_priority},
		{{"fast", 4}, TIER_priority}, /* OpenAI; Anthropic's speed has a member of its own */
		{{"batch", 5}, TIER_batch},
		{{"FLEX", 4}, TIER_flex},
		{{"PRIORITY", 8}, TIER_priority},
		{{"BATCH", 5}, TIER_batch},
		{{"ON_DEMAND_FLEX", 14}, TIER_flex},
		{{"ON_DEMAND_PRIORITY", 18}, TIER_priority},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (word.len == rows[i].word.len && *word.at == *rows[i].word.at && !memcmp(word.at, rows[i].word.at, word.len))
			return rows[i].tier;
	return TIER_standard;
}
