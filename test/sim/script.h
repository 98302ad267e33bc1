/*
 * What a request asks of the simulator: the `x-sim` header, as "key=value, key=value". An unknown
 * key or value is an error, so that a misspelt test does not quietly test nothing. Pure;
 * docs/reference/sim.md explains every key.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "core/base.h"

/* X(key, most) */
#define SIM_NUMBERS(X) \
	X(chunks, 100000000) \
	X(chunk_bytes, 8388608) \
	X(delay_ms, 3600000) \
	X(gap_ms, 3600000) \
	X(rate, 1000000) \
	X(status, 599) \
	X(leak, 1) \
	X(cut_after, 1000000000) \
	X(cut_head, 1000000) \
	X(reset, 1) \
	X(reasoning, 1000000000) \
	X(cached, 1000000000) \
	X(tools, 16) \
	X(refusal, 1) \
	X(length, 1) \
	X(mid_error, 100000000) \
	X(no_done, 1) \
	X(crlf, 1) \
	X(comments, 1) \
	X(split, 1000000000) \
	X(body_bytes, 67108864) \
	X(stamp, 1) \
	X(prompt_tokens, 1000000000000000) \
	X(completion_tokens, 1000000000000000) \
	X(close, 1) \
	X(http10, 1) \
	X(gzip, 1) \
	X(early, 1) \
	X(interim, 1) \
	X(retry_after, 1000000) \
	X(echo, 1) \
	X(audio, 1) \
	X(fragment, 1000000) \
	X(ping, 1) \
	X(ws_close, 4999) \
	X(times, 1000000000)

#define SIM_MALFORMED(X) X(json) X(chunk) X(head) X(sse) X(length)
#define SIM_USAGE(X) X(none) X(zero) X(negative) X(huge) X(overflow) X(string) X(early) X(twice) X(each)
#define SIM_HANG(X) X(head) X(body)

enum sim_malformed {
	SIM_MALFORMED_no,
#define X(name) SIM_MALFORMED_##name,
	SIM_MALFORMED(X)
#undef X
};

enum sim_usage {
	SIM_USAGE_plain,
#define X(name) SIM_USAGE_##name,
	SIM_USAGE(X)
#undef X
};

enum sim_hang {
	SIM_HANG_no,
#define X(name) SIM_HANG_##name,
	SIM_HANG(X)
#undef X
};

enum { SIM_TAG_MAX = 63 };

struct sim_script {
#define X(key, most) int64_t key; /* -1: not given */
	SIM_NUMBERS(X)
#undef X
	enum sim_malformed malformed;
	enum sim_usage usage;
	enum sim_hang hang;
	char tag[SIM_TAG_MAX + 1]; /* empty: none */
	char error_type[48], error_code[48]; /* empty: by status */
};

/* Nothing asked: every default. */
void sim_script_init(struct sim_script *s);

/* False: *ret_bad is the pair that is not understood, and *ret holds what came before it. */
must_check bool sim_script_parse(struct span header, struct sim_script *ret, struct span *ret_bad);

/* Time between two chunks. */
uint64_t sim_script_gap_ns(const struct sim_script *s);

#endif
