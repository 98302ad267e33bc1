/*
 * Messages between edges and the ledger about work that outlives its connection (docs/decisions/0065), and how every message begins. The list of all of them is
 * messages.h.
 */
#ifndef TICKET_MESSAGES_WORK_H
#define TICKET_MESSAGES_WORK_H

#include "core/base.h"
#include "ticket/usage.h"

struct message_head {
	uint16_t type;
	uint16_t zero;
	uint32_t bytes; /* of the whole message */
};

enum work_order { WORK_BEGIN,
	WORK_END,
	WORK_LOOK, /* it may have ended: send somebody. DONE: it is paid; SHORT: not yet */
	WORK_UNMEASURED, /* it has ended, and what it cost can't be told */
	WORK_COUNT, /* nano of `of`: what its END, which comes next, is for; `model` first, then all others that are not 0. No answer */
	WORK_KEPT /* no order: the answer to an OBJECT */ };

/* What ended work used. X(name, meaning) */
#define WORK_COUNTS(X) \
	X(model, "catalogue id") \
	X(provider, "catalogue id") \
	X(endpoint, "enum endpoint") \
	X(tier, "enum service_tier") \
	X(lane, "id, as tickets bear it") \
	X(requests, "that were answered") \
	TOKEN_KINDS(WORK_COUNT_OF_TOKENS) \
	X(tool_calls, "of the provider's own tools")
#define WORK_COUNT_OF_TOKENS(name, meaning, fallback) X(tokens_##name, meaning)

enum work_count {
#define X(name, meaning) WORK_COUNT_##name,
	WORK_COUNTS(X)
#undef X
		WORK_COUNT_MAX
};

enum work_of {
	WORK_SILENT = 1, /* it has ended, and its provider did not say what it used: it may yet */
	WORK_UNSEEN = 2 /* its money was set aside, and who began it has gone, and nobody has a name for it: no errand will say this again */
};

enum work_result { WORK_DONE,
	WORK_SHORT, /* the balance does not cover it */
	WORK_REFUSED,
	WORK_LATER };

enum { WORK_OBJECT_MAX = 240 };

/* The request that began it names it. nano: what it can cost at most, or did cost. */
struct message_work {
	struct message_head head;
	uint64_t work, account, nano;
	union {
		uint64_t key; /* of a BEGIN: its limits of money hold it as well */
		uint64_t errand; /* of a LOOK or an END: whose word this is (message_errand.number); 0: a caller's */
	};
	uint16_t order, result; /* enum work_order; of the answer, enum work_result */
	uint16_t of, zero; /* enum work_count; of a LOOK or an END: enum work_of, or 0 */
};

/* Its id at the provider, sealed: nobody but an edge reads it, and what was not sealed by one opens nothing (edge/seal.h). */
struct message_work_named {
	struct message_head head;
	uint64_t work, account;
	uint16_t object_bytes, zero[3];
	uint8_t object[WORK_OBJECT_MAX];
};

enum { WORK_PAGE = 15,
	WORK_PREFIX_MAX = 8 };

struct message_work_list_wanted {
	struct message_head head;
	uint64_t token; /* the edge's; comes back */
	uint64_t account, beyond; /* older than this work; 0: from the youngest on */
	char prefix[WORK_PREFIX_MAX]; /* how the sealed ids of the kind begin, as far as there is room */
	uint16_t prefix_bytes, most, zero[2];
};

struct message_work_listed {
	struct message_head head;
	uint64_t token;
	uint16_t count, more, failed, zero;
	struct message_work_row {
		uint64_t work;
		uint16_t object_bytes, zero[3];
		uint8_t object[WORK_OBJECT_MAX];
	} rows[WORK_PAGE];
};

/* What an account keeps at a provider and pays nothing for (a file): by its sealed id as well. */
enum object_order { OBJECT_KEEP, /* it was made: answered by a WORK_ANSWER, when it is written down */
	OBJECT_DROP, /* it is gone, if it is older than token (0: however old); nothing is answered to this and the next */
	OBJECT_WORK_IS_GONE /* it was work */ };

struct message_object {
	struct message_head head;
	uint64_t token, account; /* token: the request that made it; of one that is gone: below which its own is */
	uint16_t order, kind, purpose, object_bytes; /* enum object_order; numbers of the edge's */
	uint8_t object[WORK_OBJECT_MAX];
};

enum objects_order { OBJECTS_DOWN, /* from this one, or the youngest, on to older ones */
	OBJECTS_UP, /* to younger ones */
	OBJECTS_BEFORE /* the same, told from the youngest on */ };

struct message_object_list_wanted {
	struct message_head head;
	uint64_t token, account, beyond; /* beyond: what the last row of a page had as its work; else the object */
	uint16_t kind, purpose, order, most; /* purpose: 0 any */
	uint16_t object_bytes, zero[3];
	uint8_t object[WORK_OBJECT_MAX];
};

enum { LIST_FAILED = 1, /* to be asked again */
	LIST_UNKNOWN /* there is none of that id */ };

struct message_errand {
	struct message_head head;
	uint64_t work, account;
	uint16_t object_bytes, zero;
	uint32_t number; /* comes back with what it tells; never 0 */
	uint8_t object[WORK_OBJECT_MAX];
};

#endif
