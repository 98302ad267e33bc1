/*
 * What the simulator keeps: files that were uploaded, and batches made of them, the newest few of each. A batch is validated when it is made, in progress at the first look
 * and completed at the second, so that nothing depends on time. In memory only; the server owns it.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "core/http1.h"
#include "core/text.h"

enum { SIM_KEPT = 64,
	SIM_FILE_MOST = 8 << 20 };

struct sim_file {
	uint64_t id, created; /* id 0: none */
	char *bytes;
	size_t len;
	char name[128], purpose[32];
};

struct sim_batch {
	uint64_t id, created, input, output; /* id 0: none; of files */
	unsigned looks, total;
	bool cancelled;
	char endpoint[64];
	uint64_t prompt_tokens, completion_tokens;
};

struct sim_store {
	struct sim_file files[SIM_KEPT];
	struct sim_batch batches[SIM_KEPT];
	uint64_t next;
};

struct sim_asked {
	enum http1_method method;
	struct span path, type, body; /* type: of the body */
	uint64_t unix_time, now_ns;
};

/*
 * False: nothing that is kept is asked for. Else *ret_status, and the answer in *t, which the caller frees (t->at); a status of 300 and more has none, and *ret_why.
 */
must_check bool sim_store_answer(struct sim_store *s, const struct sim_asked *a, unsigned *ret_status, const char **ret_why, struct text *t);
void sim_store_finish(struct sim_store *s);

#endif
