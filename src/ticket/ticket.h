/*
 * The ticket: all that the rest of the system ever learns about an exchange, and the edge's side of
 * the protocol that keeps money right whatever is killed. The protocol is model-checked;
 * docs/ticket-protocol.md states it, test/model holds the program.
 *
 * Tickets live in the board (shared memory). An edge owns the tickets of its own slab while they
 * are FREE .. HELD; after SETTLED they are the ledger's until they read FREE again.
 */
#ifndef TICKET_TICKET_H
#define TICKET_TICKET_H

#include "core/base.h"
#include "ticket/nano.h"
#include "ticket/ticket_fields.h"

#include <stdatomic.h>

enum { TICKET_LEGS_MAX = 4,
	TICKET_BYTES = 256 };

enum ticket_kind { TICKET_FREE,
	TICKET_TAKE,
	TICKET_HELD,
	TICKET_EXTEND,
	TICKET_UNDO,
	TICKET_SETTLED,
	TICKET_GIVE };

/* The plain numbers of TICKET_FIELDS, in order. */
struct ticket_facts {
#define X(name, type, unit, meaning, promise) type name;
	TICKET_FIELDS(X)
#undef X
};

/* No field can hold text: only unsigned integers of at most 64 bits compile. */
#define X(name, type, unit, meaning, promise) \
	_Static_assert(_Generic((type)0, uint8_t : 1, uint16_t : 1, uint32_t : 1, uint64_t : 1, default : 0), #name " is not a number");
TICKET_FIELDS(X)
#undef X

struct ticket {
	_Atomic uint64_t word; /* seq, kind, leg, p, pending: ticket_word.h */
	_Atomic int64_t hold[2]; /* nano; hold[p] is in force */
	_Atomic int64_t cost; /* nano; what the edge last stated */
	_Atomic uint64_t id;
	_Atomic uint32_t owner; /* incarnation of the edge */
	_Atomic uint8_t legs;
	_Atomic uint64_t row[TICKET_LEGS_MAX]; /* most specific first; the last is the account */
	_Atomic uint32_t slot[TICKET_LEGS_MAX];
	struct ticket_facts facts; /* written while FREE or HELD only */
} __attribute__((aligned(TICKET_BYTES)));

_Static_assert(sizeof(struct ticket) == TICKET_BYTES, "a ticket is 256 bytes");

enum moved { MOVED,
	SHORT,
	GONE };

struct board;
struct ticket_desk; /* an edge's private view: board, slab, hand-in order */

/* What the reservation is made on. */
struct ticket_leg {
	uint64_t row;
	uint32_t slot; /* a hint; only the move decides */
};

/* Edge side. memory: ticket_desk_bytes() of private memory, zeroed. */
size_t ticket_desk_bytes(const struct board *b);
struct ticket_desk *ticket_desk_open(void *memory, struct board *b, uint32_t edge, uint32_t incarnation);

/*
 * The next id: unique for ever, ordered by time over all nodes (docs/decisions/0003). now_ms is
 * wall clock (Unix). 0: the ledger has not raised board_id_ceiling_ms far enough: refuse as when
 * the ledger is away.
 */
uint64_t ticket_next_id(struct ticket_desk *d, uint64_t now_ms);

/*
 * A FREE ticket of the own slab, or NULL: the slab is exhausted. Its facts are zeroed and the
 * caller may write them at once; it stays FREE until ticket_take.
 */
struct ticket *ticket_pick(struct ticket_desk *d);
/* Put a picked ticket back that was not taken. */
void ticket_unpick(struct ticket_desk *d, struct ticket *t);

/*
 * Reserve `hold` (≥ 1) on all legs, most specific first. MOVED: the ticket is HELD. SHORT or GONE:
 * nothing is taken, the ticket is FREE and the caller's again (take again or unpick).
 * ret_available: what was there, on SHORT; may be NULL.
 */
struct ticket_reservation {
	uint64_t id;
	const struct ticket_leg *legs;
	unsigned leg_count;
	struct nano hold;
};
must_check enum moved ticket_reserve(struct ticket_desk *d, struct ticket *t,
	const struct ticket_reservation *r, struct nano *ret_available);

static inline must_check enum moved
ticket_take(struct ticket_desk *d, struct ticket *t, uint64_t id, const struct ticket_leg *legs,
	unsigned leg_count, struct nano hold, struct nano *ret_available)
{
	const struct ticket_reservation r = {.id = id, .legs = legs, .leg_count = leg_count, .hold = hold};
	return ticket_reserve(d, t, &r, ret_available);
}

/* Raise the hold in force to new_hold (> old). SHORT or GONE: the old one stays. */
must_check enum moved ticket_extend(struct ticket_desk *d, struct ticket *t, struct nano new_hold);

struct nano ticket_hold(const struct ticket *t);

/* State the cost so far, ≤ the hold in force (asserted). Token counters in facts first. */
void ticket_state_cost(struct ticket *t, struct nano cost);

/* Hand in. All facts and the cost are final; the ticket is not touched again by this edge. */
void ticket_settle(struct ticket_desk *d, struct ticket *t);

/*
 * Strict durability: has the ticket left SETTLED, i.e. is it booked? seq from ticket_seq() before
 * settling.
 */
uint64_t ticket_seq(const struct ticket *t);
bool ticket_booked(const struct ticket *t, uint64_t seq);

/* How many tickets of the own slab are handed in and not yet free. */
uint32_t ticket_desk_in_flight(const struct ticket_desk *d);

#endif
