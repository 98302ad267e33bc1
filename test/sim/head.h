/* Response heads and error bodies in OpenAI's shape. Pure; writes into the caller's text. */
#ifndef SIM_HEAD_H
#define SIM_HEAD_H

#include "core/text.h"
#include "script.h"

enum sim_framing { SIM_FRAMING_LENGTH,
	SIM_FRAMING_CHUNKED,
	SIM_FRAMING_CLOSE };

struct sim_head {
	unsigned status;
	enum sim_framing framing;
	uint64_t length;
	const char *content_type;
	uint64_t id; /* of the request, for x-request-id */
	const char *date; /* IMF-fixdate */
};

/* script: NULL for what a script can't change (/health and the like). */
void sim_head_write(const struct sim_head *h, const struct sim_script *script, struct text *t);

/* 100 and 103, which a client must step over. */
void sim_head_interim(struct text *t);

/*
 * The body that goes with this status; the script's error type, code and leak apply. message
 * NULL: the status's own.
 */
void sim_error_body(unsigned status, const struct sim_script *script, const char *message, struct text *t);

#endif
