/*
 * ROUTE: model, lane and policy → targets, and which of them is asked next. Edge only; no allocation but where prices differ.
 *
 * Candidates are the rows of the model's lane in the catalogue, at most CATALOGUE_TARGETS_MAX; what was tried, or can't serve this request, is a bit.
 * Among those of the lowest rank that are left a hash of what belongs together decides (the provider's prompt cache is warm there), by weight, unless
 * that one has much more to do than its share.
 */
#ifndef EDGE_ROUTE_H
#define EDGE_ROUTE_H

#include "core/base.h"
#include "ticket/catalogue.h"
#include "ticket/end_reasons.h"

struct byok_key;
struct edge;
struct exchange;
struct ticket_facts;
struct http1_head;

/* What the request's header says of its way. In struct request, as long as that lives. */
struct route_wish {
	uint8_t lane; /* index + 1; 0: not said */
	bool zero_retention;
	char region[CATALOGUE_REGION_MAX]; /* "": any */
	char region_too[CATALOGUE_REGION_MAX]; /* another one, which its key or workspace demands: no place is both */
};

/* In struct exchange. */
struct route {
	const struct catalogue_target *target; /* who is asked */
	struct catalogue_price *dearest; /* vault; what the hold is counted by where the candidates' prices differ */
	uint64_t asked_ms; /* when target was chosen */
	uint64_t hint; /* route_hint(), once it was wanted */
	uint32_t first; /* of the candidates, in the catalogue's targets[] */
	uint16_t count; /* of the candidates */
	uint16_t out; /* a bit for each of them that can't serve, or has failed */
	uint16_t own; /* … that is asked by the account's own key at its provider, before those that are asked by ours */
	uint16_t own_only; /* … that our key is not used for */
	struct byok_key *byok; /* vault: the account's own key, which is used; NULL: ours is */
	uint32_t keys_out; /* a bit for each key of target's provider that has failed */
	uint8_t key; /* which one is used */
	uint8_t tries; /* others that were asked before */
	uint8_t byok_asks; /* own keys that were asked for */
	bool loaded; /* it is counted with the target */
	bool probes; /* it has claimed the target's circuit, and has not asked yet */
	bool fresh; /* no kept connection: one was closed as it was used */
};

/* Why there is nobody to ask: what a target lacks. Later ones are nearer to serving. */
enum route_lack { LACK_NOTHING,
	LACK_ENDPOINT, /* its provider speaks another API */
	LACK_STORE, /* it may not keep answers */
	LACK_OBJECT, /* what the body names is kept at another provider */
	LACK_REGION,
	LACK_RETENTION,
	LACK_PRICE,
	LACK_OWN_KEY, /* the account's own key can't be used, or this is another's, and ours may not */
	LACK_KEY_OF_OWN, /* what the body names is kept by the account's own key, which is not there */
	LACK_KEY_OF_OURS }; /* … by ours, which may not be used */

/*
 * How an attempt failed before its answer began. X(NAME, how the attempt's own ticket ends, may the provider charge for it)
 */
#define ROUTE_FLAWS(X) \
	X(UNREACHABLE, PROVIDER_UNREACHABLE, false) \
	X(TIMEOUT, PROVIDER_TIMEOUT, true) \
	X(CUT, PROVIDER_UNREACHABLE, true) \
	X(MALFORMED, PROVIDER_MALFORMED, true) \
	X(BUSY, PROVIDER_ERROR, false) /* 5xx */ \
	X(RATE, PROVIDER_ERROR, false) /* 429 */ \
	X(ACCOUNT, PROVIDER_ACCOUNT, false) /* about the operator's account */ \
	X(FORBIDDEN, PROVIDER_ACCOUNT, false) /* 403: about that, or about what this request asks for */ \
	X(WORDS, PROVIDER_ACCOUNT, false) /* its words alone say so: they may repeat the caller's, and nobody else is to suffer from those */

enum route_flaw {
#define X(NAME, end, charges) ROUTE_##NAME,
	ROUTE_FLAWS(X)
#undef X
};

/* Reads lethe-lane and lethe-policy. False: one has an unknown word; route_explain() answers with it. */
must_check bool route_read_wish(struct exchange *x, const struct http1_head *h);
void route_explain(struct exchange *x, const struct http1_head *h);
/* The lane that this exchange goes by, its index. The one place that decides. -1: it has answered, and the exchange has ended. */
int route_lane(struct exchange *x, struct span suffix);
/* Can this target serve this request's endpoint? The one place that knows. */
bool route_target_serves(const struct edge *e, const struct catalogue_target *t, const struct exchange *x);
/* The row of the price book by which the hold is counted for so many tokens of input. NULL: no memory. */
const struct catalogue_price *route_bound(struct exchange *x, uint64_t input);
/* Of the candidates, and of own keys and ours at each, those whose row can't charge this are not asked. Not for the one that was taken, which can. */
void route_keep(struct exchange *x, bool (*can)(const struct exchange *x, const struct catalogue_price *p));
/* Take the next candidate that is left. False: there is none. */
must_check bool route_next(struct exchange *x);
/* This target can't be told the request: the next one is taken, and nothing is held against this one. False: there is none. */
must_check bool route_skip(struct exchange *x);
/* Is there anybody else to ask, should this one fail? */
bool route_has_more(const struct exchange *x);

/* ---- route_hint.c ---- */

/* Requests with the same number go to one place, as far as that can be. */
uint64_t route_hint(const struct exchange *x, enum sticky sticky);

/* ---- route_fail.c ---- */

/* It has answered. */
void route_good(struct exchange *x);
/*
 * It has failed, nothing has gone to the client, and it wants to be left alone for rest_ms (0: it did not say). True: somebody else is asked now, and the
 * exchange goes on, or has ended on that way.
 */
void route_forget_attempt(struct exchange *x); /* what was asked last is over: somebody is asked anew */
must_check bool route_failed(struct exchange *x, enum route_flaw flaw, uint64_t rest_ms);
/* The same; if nobody else is left, the exchange ends so. */
void route_fail(struct exchange *x, enum route_flaw flaw, enum end_reason reason);
/* The same one gets it once more, on another connection: what had gone up whole it may have seen, and charge. */
void route_asks_again(struct exchange *x);
/* How long it wants to be left alone, in milliseconds, by its header lines ("name: value\r\n") and Google's body; 0: it doesn't say. */
uint64_t route_rest_ms(struct span lines, struct span body);

/* ---- route_next.c, for route_fail.c ---- */

/* By the account's own key it failed: the next candidate is taken, which may be the same one by our key. False: there is none. */
must_check bool route_own_failed(struct exchange *x, enum route_flaw flaw);
/* Another key of the same provider, if there is one left. */
must_check bool route_next_key(struct exchange *x);
/* What target took until its answer began, or until it failed: so fast is it taken to be. */
void route_timed(struct exchange *x, bool failed);
struct circuit *route_target_circuit(const struct exchange *x);
struct circuit *route_key_circuit(const struct exchange *x); /* NULL: the provider has no keys */

/* settle.c: a ticket of its own, without cost, for an attempt that failed and that the provider may charge: loss.retry. */
void settle_attempt(struct exchange *x, const struct ticket_facts *facts, enum end_reason reason);

must_check bool route_only(struct exchange *x, const struct catalogue_target *t); /* nobody else may be asked, and nothing is charged. False: no memory for the own key */
void route_end(struct exchange *x); /* its load is taken off; what it holds is let go */

/* answer.c: a reason's error with another sentence; param: the field that it names, or NULL. */
void answer_sentence(struct exchange *x, enum end_reason reason, const char *param, struct span sentence);

/* The body is edited for the target, which is then asked; the exchange waits for memory, or has ended. */
void route_edited(struct exchange *x);
must_check bool route_open(struct edge *e); /* before the lock-down */
void route_close(struct edge *e);

#endif
