/*
 * How many tokens the words of a request's body have, by a vocabulary that is known: an estimate, since providers put words of their own around them. Counted
 * are the texts of turns, calls, results and system text; tools and schemas as the JSON that they are; numbers that are tokens themselves; and what a
 * provider puts around each turn. Not counted are images, sound and files.
 *
 * Pure, no allocation; the caller embeds the struct in vault memory, where what it holds of the body is wiped with it. Run by the edge.
 */
#ifndef DIALECT_PROMPT_H
#define DIALECT_PROMPT_H

#include "core/json_scan.h"
#include "core/json_view.h"
#include "dialect/bpe.h"

enum {
	PROMPT_STEPS_MAX = 4 << 20, /* of counting, by bpe.steps: a few milliseconds */
	PROMPT_TEXT_MAX = 256 << 10, /* bytes of it that are counted */
	PROMPT_BODY_MAX = 4 << 20, /* bytes of the body that are looked at */
	PROMPT_TURN_TOKENS = 4, /* around each turn: its role, and where it begins and ends */
	PROMPT_ANSWER_TOKENS = 3, /* with which an answer begins */
};

struct prompt {
	struct json_scan scan;
	struct json_source source;
	struct bpe bpe;
	uint64_t tokens; /* that no text stands for */
	uint64_t text; /* bytes that were counted */
	uint64_t raw_at; /* where a value begins that is counted as it stands */
	uint64_t reached; /* of the body, by what was counted last */
	bool turns;
};

struct prompt_count {
	uint64_t tokens; /* of the first `seen` bytes */
	uint64_t seen;
	uint64_t text; /* bytes that these tokens stand for, escapes undone: what else there was may be text as well, in members that nobody documents */
	bool whole; /* that was all */
};

/* The pieces are a JSON object, whole, as request.h has scanned it; none of them is empty. False: it is none. */
must_check bool prompt_tokens(struct prompt *p, enum tokenizer tokenizer, const struct span *pieces, uint32_t count, struct prompt_count *ret);

#endif
