/*
 * What an exchange needs of the ledger's and can't see: a row of the board, an own key, its word on work and lists, a receipt. The arrow to the ledger takes some hundred
 * questions. While the ledger reads none, who comes later waits for room in it: all of them in one line, whatever they ask, first come, first served, for as long
 * as a ledger may be silent (spare.h). Nobody asks past those who wait.
 */
#ifndef EDGE_QUESTION_H
#define EDGE_QUESTION_H

#include "edge/edge_priv.h"

#include "core/ipc.h"

enum { QUESTION_AGAIN_MS = 100 }; /* when the ledger could not say */

enum question { QUESTION_ROW,
	QUESTION_KEY,
	QUESTION_WORK,
	QUESTION_RECEIPT };

/* x waits for its turn and then for the answer, or has ended. What it has of a provider's already is not given up because others wait as well. */
void question_ask(struct exchange *x, enum question what);
/* The same for an exchange of nobody's, however long that takes. in_ms: QUESTION_AGAIN_MS, or 0: in a moment. */
void question_line_up(struct exchange *x, enum question what, uint64_t in_ms);
/* The ledger can't say now. x, which waits for its word, is asked for again in a while, at the end of the line; how long it waits altogether stays as it is. */
void question_ask_later(struct exchange *x);
/* x, which waits for nothing, is to ask in a while. False: it has ended, for want of room. */
must_check bool question_put_off(struct exchange *x, enum question what);
/* What x asks for a row (reserve.c). */
must_check enum ipc_result reserve_ask(const struct exchange *x);
/* As far as the arrow has room. */
void question_go_on(struct edge *e);
/* The ledger was started anew: what was asked its predecessor comes before what was not asked yet. */
void question_ask_again(struct edge *e);
/* These have not been answered: they come first in the line, in their order. */
void question_put_back(struct edge *e, struct line *unanswered);
/* … so it was, at least once, and has had no better word since. */
must_check bool question_is_put_off(const struct exchange *x);
/* Behind RESERVE, for the ledger's word: the provider is not late. */
must_check bool question_waits(const struct exchange *x);

#endif
