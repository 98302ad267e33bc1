/*
 * `lethe-receipt: inline`: the signed receipt comes with the answer instead of being fetched from GET /v1/receipts/{id}. Private to src/edge.
 *
 * A plain answer is kept, within the content budget, until its ticket is on disk and the ledger has written the receipt; then it goes out, the receipt behind
 * the code in its head. A stream passes as ever, and only its end waits: the receipt is its last comment, or for Gemini its last event. What can't be kept so
 * long, or is not written in time, goes without, and says why: an answer that is paid is never lost for its receipt. docs/decisions/0073-inline-receipts.md.
 *
 * reply() asks takes() about all that goes to the client; exchange_end() asks holds() before an exchange is let go.
 */
#ifndef EDGE_RECEIPT_INLINE_H
#define EDGE_RECEIPT_INLINE_H

#include "edge/edge_priv.h"

enum { INLINE_KEPT_MAX = 8 << 20, /* of an answer */
	INLINE_VALUE_MAX = 12 << 10, /* of the header: beyond 16 KiB of all of them clients give up (Node's) */
	INLINE_WAIT_MS = 5000 };

/* Head field `lethe-receipt`: absent, or "inline". False: another word, which explain() answers. */
must_check bool receipt_inline_wish(const struct http1_head *h);
void receipt_inline_explain(struct exchange *x);
/* False: it is asked for, and there is no memory. */
must_check bool receipt_inline_begin(struct exchange *x, const struct http1_head *h);
void receipt_inline_free(struct exchange *x);

/* ---- in reply.c: what goes out without being asked about ---- */
void reply_now(struct exchange *x, struct span head, const char *data, size_t len, bool last);
bool reply_is_behind(const struct client *c);

/* ---- hooks ---- */
bool receipt_inline_take(struct exchange *x, struct span head, struct span data, bool *last);
/* True: it was kept, or said already; x may have ended. *last is taken back while the end waits. */
static inline bool
receipt_inline_takes(struct exchange *x, struct span head, struct span data, bool *last)
{
	return x->inlined && x->client && receipt_inline_take(x, head, data, last);
}

enum end_reason receipt_inline_reason_of(struct exchange *x, enum end_reason reason);
/* Why it ends, where that was settled before, or where the client was too slow for what was kept. */
static inline enum end_reason
receipt_inline_reason(struct exchange *x, enum end_reason reason)
{
	return x->inlined ? receipt_inline_reason_of(x, reason) : reason;
}

bool receipt_inline_hold(struct exchange *x, enum end_reason reason);
/* It is settled and told, but for its receipt or what was kept: true, it goes on. */
static inline bool
receipt_inline_holds(struct exchange *x, enum end_reason reason)
{
	return x->inlined && receipt_inline_hold(x, reason);
}

bool receipt_inline_is_telling(const struct exchange *x);
/* Something that was kept has not gone out yet: the provider is not read. */
static inline bool
receipt_inline_waits(const struct exchange *x)
{
	return x->inlined && receipt_inline_is_telling(x);
}

bool receipt_inline_is_late(const struct exchange *x);
/* What was kept goes out for too long. */
static inline bool
receipt_inline_is_slow(const struct exchange *x)
{
	return x->inlined && receipt_inline_is_late(x);
}

bool receipt_inline_thirst(const struct exchange *x);
static inline bool
receipt_inline_is_thirsty(const struct exchange *x)
{
	return x->inlined && receipt_inline_thirst(x);
}

void receipt_inline_drink(struct exchange *x);
/* It waits for no memory any more. */
static inline void
receipt_inline_drinks(struct exchange *x)
{
	if (x->inlined)
		receipt_inline_drink(x);
}

void receipt_inline_leave_alone(struct exchange *x);
/* Its client has gone, and it is read on. */
static inline void
receipt_inline_alone(struct exchange *x)
{
	if (x->inlined)
		receipt_inline_leave_alone(x);
}

void receipt_inline_tell(struct exchange *x);
/* The client has room again. May end x. */
static inline void
receipt_inline_more(struct exchange *x)
{
	if (receipt_inline_waits(x))
		receipt_inline_tell(x);
}

/* ---- the ledger's word ---- */
void receipt_inline_poll(struct edge *e);
void receipt_inline_came(struct exchange *x, const struct message_receipt *m);
void receipt_inline_ask_again(struct edge *e); /* of another ledger */

#endif
