/*
 * One answer in the making: what the simulator decided for a request, and the JSON or SSE that it
 * says, byte by byte as the recorded shapes have it. Pure but for the echoed text, which a run
 * owns until sim_run_finish().
 */
#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include "core/text.h"
#include "scan.h"
#include "script.h"

enum sim_phase {
	SIM_PHASE_ROLE,
	SIM_PHASE_EARLY_USAGE,
	SIM_PHASE_CONTENT,
	SIM_PHASE_ERROR,
	SIM_PHASE_FINISH,
	SIM_PHASE_USAGE,
	SIM_PHASE_SECOND_USAGE,
	SIM_PHASE_DONE,
	SIM_PHASE_END,
};

struct sim_run {
	struct sim_script script;
	uint64_t id, created;
	char model[96], tool[65];
	bool speech; /* audio, as such or in events; else a chat completion. Set before sim_run_init() */
	bool stream, include_usage, obfuscation;
	uint32_t n, tool_calls;
	uint64_t chunks, prompt_tokens, completion_tokens;
	const char *finish_reason;
	char *said; /* echoed text, as the inside of a JSON string; NULL: made up */
	size_t said_len;
	/* progress of a stream */
	enum sim_phase phase;
	uint64_t index; /* content chunks said to every choice */
	uint64_t events;
	uint32_t choice, call;
	bool call_open;
	size_t at; /* what was said of `said`, or of a call's arguments */
};

/* Decides everything about the answer. r: zeroed but for its script and what kind it is. created: Unix time. */
void sim_run_init(struct sim_run *r, const struct sim_request *q, uint64_t id, uint64_t created);
void sim_run_finish(struct sim_run *r);

/* The whole body of a plain answer. */
void sim_run_body(const struct sim_run *r, uint64_t now_ns, struct text *t);

/* Adds the next SSE event. False: it was the last one. */
must_check bool sim_run_event(struct sim_run *r, uint64_t now_ns, struct text *t);

/* When the next event is due, for a stream that began at start_ns. */
uint64_t sim_run_due_ns(const struct sim_run *r, uint64_t start_ns);

/* Bytes that no answer's plain body exceeds. */
size_t sim_run_body_most(const struct sim_run *r);

#endif
