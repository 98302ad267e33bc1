/* What a meter says, as one line: for tests and fuzzers only. */
#ifndef DIALECT_METER_TEXT_H
#define DIALECT_METER_TEXT_H

#include "core/text.h"
#include "dialect/meter.h"

static inline void
usage_text(struct text *t, const struct usage *u)
{
	static const char *const kinds[] = {
#define X(name, meaning, fallback) #name,
		TOKEN_KINDS(X)
#undef X
	};
	static const char *const tools[] = {
#define X(name, piece) #name,
		TOOL_KINDS(X)
#undef X
	};
	static const char *const tiers[] = {
#define X(name) #name,
		SERVICE_TIERS(X)
#undef X
	};
	text_str(t, u->flags & USAGE_REPORTED ? "reported" : "none");
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		if (u->tokens[k]) {
			text_lit(t, " ");
			text_str(t, kinds[k]);
			text_lit(t, "=");
			text_u64(t, u->tokens[k]);
		}
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		if (u->tools[k]) {
			text_lit(t, " ");
			text_str(t, tools[k]);
			text_lit(t, "=");
			text_u64(t, u->tools[k]);
		}
	if (u->tier) {
		text_lit(t, " ");
		text_str(t, tiers[u->tier]);
	}
	text_str(t, u->flags & USAGE_GEO_US ? " us" : "");
	text_str(t, u->flags & USAGE_ABSURD ? " absurd" : "");
}

/* Usage, legs, and how the answer ended; room is cut when it is short. */
static inline void
meter_text(struct text *t, const struct meter *m)
{
	usage_text(t, &m->usage);
	for (unsigned i = 0; i < m->leg_count; i++) {
		text_lit(t, " + ");
		text_add(t, m->legs[i].model, m->legs[i].model_len);
		text_lit(t, " ");
		usage_text(t, &m->legs[i].usage);
	}
	text_str(t, m->answer == ANSWER_ERROR ? " error" : "");
	text_str(t, m->finished ? " finished" : "");
	text_str(t, m->malformed ? " malformed" : "");
}

#endif
