/*
 * Work that outlives its connection (a batch), as the edge does it: the ledger sets its money aside before the provider is asked, learns under which
 * id it runs before the caller does, and is told what it cost by whoever sees its end first, a caller or an errand of the ledger's. Private to src/edge.
 */
#ifndef EDGE_WORK_H
#define EDGE_WORK_H

#include "edge/batch.h"

/* RESERVE: does this begin such work? Then it goes on by itself. */
must_check bool work_begins(struct exchange *x);
/* The provider's good answer about it has come: carry has it. True: the ledger is told first, and the exchange goes on by itself. */
must_check bool work_is_told(struct exchange *x, const struct sealed *s);
/* It runs under this id: the ledger hears of it, and the exchange waits, or has ended. */
void work_tell(struct exchange *x, const struct sealed *s);
/* A batch has. */
void work_has_ended(struct exchange *x, const struct batch_seen *seen);
/* … and costs so much, for what was used; or what it costs can't be told from what came; or somebody has to look at what it has made. */
struct work_used {
	struct usage usage;
	uint64_t requests;
	uint32_t model, provider; /* catalogue ids */
	uint16_t lane; /* as tickets bear it */
	uint8_t endpoint;
	bool silent; /* its provider has not said: it may yet (WORK_SILENT) */
};
void work_costs(struct exchange *x, uint64_t nano, const struct work_used *used);
void work_is_unmeasured(struct exchange *x);
void work_is_to_be_looked_at(struct exchange *x, bool silent);
/* It must not be given up half way because its client has. */
bool work_runs(const struct exchange *x);
/* It runs, and nobody has heard yet under which id: the exchange stands in line until the ledger has, with a client or without. */
bool work_is_untold(const struct exchange *x);
/* Is it begun at the provider with the next bytes that go up? They must not go up twice. */
bool work_is_begun(const struct exchange *x);
/* It goes on when the exchange has ended, and the ledger knows. */
bool work_runs_on(const struct exchange *x);
/* It is here to say that another has ended, and counts as none. */
bool work_is_only_told(const struct exchange *x);
/* The exchange ends. */
void work_leave(struct exchange *x);

/* Whatever x->object wants the ledger to do or to say, in its turn (question.h). */
must_check enum ipc_result work_ask(const struct exchange *x);
/* WORK_ANSWER and ERRAND of the ledger. */
void work_answered(struct edge *e, const void *message);
void work_errand(struct edge *e, const void *message);
void work_errand_failed(struct exchange *x); /* the provider has refused it */
void work_errand_goes_on(struct exchange *x); /* the keys that it waited for have come */

#endif
