/*
 * Receipts as a caller sees them: the code in an answer's head, and GET /v1/receipts/{id}, which asks the ledger. Private to src/edge. The ledger writes the
 * receipt; here it is only passed on, to nobody but keys of the account that the ledger was asked for.
 */
#ifndef EDGE_RECEIPT_H
#define EDGE_RECEIPT_H

#include "core/ipc.h"
#include "edge/edge_priv.h"

#define RECEIPT_LINE "lethe-receipt: "
/* "lethe-receipt: req_….<code>" when something was or is held for this exchange. */
void receipt_head_line(const struct exchange *x, struct span id, struct text *t); /* id: x's own, as text */
void receipt_add_code(const struct exchange *x, struct text *t); /* what stands in it */

/* id: what the path names. The exchange goes on by itself. */
void receipt_asked(struct exchange *x, struct span id);
/* Asks for that of x->receipt_of; x->id comes back with it. */
must_check enum ipc_result receipt_ask(const struct exchange *x);
/* RECEIPT of the ledger: a piece. */
void receipt_came(struct edge *e, const void *message);
/* There is another ledger: who waits forgets what came of its predecessor's, and comes first in the line of questions. */
void receipt_put_back(struct edge *e);

#endif
