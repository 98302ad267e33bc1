/*
 * What the simulator reads of a chat completion or speech request, in one pass without a tree. Pure; the
 * spans point into the caller's body.
 */
#ifndef SIM_SCAN_H
#define SIM_SCAN_H

#include "core/base.h"

struct sim_request {
	struct span model; /* as written in the JSON string, escapes included; empty: not given */
	struct span last_user; /* text of the last user message, or what is to be spoken, as written; empty: none */
	struct span tool; /* name of the tool that tool_choice names, else of the first tool */
	bool stream, include_usage;
	bool obfuscation; /* stream_options.include_obfuscation, on unless it says false */
	bool tool_forced; /* tool_choice is "required" or names a tool */
	uint32_t n;
	int64_t max_tokens; /* max_completion_tokens or max_tokens; -1: not given */
	uint64_t text_bytes; /* of all messages' text, as written */
};

/* False: not one JSON object, or a member that is read here has the wrong type. */
must_check bool sim_request_scan(struct span body, struct sim_request *ret);

/*
 * How many bytes of the inside of a JSON string make a piece of at least `want` bytes (or what is
 * left) that can stand alone: no escape, surrogate pair or UTF-8 sequence is torn.
 */
size_t sim_json_piece(struct span inside, size_t want);

#endif
