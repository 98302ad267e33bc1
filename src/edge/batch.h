/*
 * Batches: requests that the provider answers within a day, at its own price. Private to src/edge.
 *
 *           OpenAI's                                                        Anthropic's
 *   asks    in a file, uploaded before; what all of it can cost             in the body of the creation
 *           at most is sealed into its id (lines.h)
 *   create  that much is set aside by the ledger (work.h) before the provider is asked
 *   look    the ids in the answer are sealed; once the batch has ended …
 *   pay     … its usage says what is to be paid                             … its results do, by whoever reads them to their end (results.h)
 */
#ifndef EDGE_BATCH_H
#define EDGE_BATCH_H

#include "dialect/lines.h"
#include "edge/object.h"

/* What an answer says about a batch, as far as money goes. */
struct batch_seen {
	uint64_t input, cached, output, reasoning, completed;
	bool ended, has_usage, has_counts;
	bool unread; /* tokens, or requests, in a number that can't be: it tells nothing of the cost */
};

/* For the upload's form; NULL: no memory. The request frees it. */
must_check struct lines_scan *batch_lines(struct exchange *x);
/* ROUTE of an upload, at this provider: what its lines can cost. False: it has been answered, and has ended. */
must_check bool batch_judge_upload(struct exchange *x, uint32_t provider);
/* ROUTE of a creation: the provider that has its file, -1: it has been answered, and has ended. */
int64_t batch_route(struct exchange *x);
/* What is needed before the body of a creation is read; false: no memory. */
must_check bool batch_prepare(struct exchange *x);
/* The same for requests in its body. */
int64_t batch_route_listed(struct exchange *x);
/* What it is expected to use, of a batch that begins. False: it is none. */
must_check bool batch_tokens(const struct exchange *x, uint64_t *ret_input, uint64_t *ret_output);
/* Its body, with the provider's id of the file. */
must_check bool batch_edit(struct exchange *x);

/* A piece of an answer passes; last: no more comes, and it came whole. Of results, it says what was used. */
void batch_passes(struct exchange *x, struct span piece, bool last);
/* What has ended, costs. False: that can't be told. */
struct work_used;
must_check bool batch_cost(const struct exchange *x, const struct batch_seen *seen, uint64_t *ret_nano, struct work_used *ret_used);

#endif
