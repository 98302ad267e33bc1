/*
 * Sums over all booked tickets, by model, provider and lane, in memory that outlives the ledger: what metrics and `lethe top` show. The supervisor
 * makes it (a memfd), the ledger writes it, scribe and ledger read it. Numbers only.
 *
 * It is exactly what was booked, whoever is killed: there are two copies. A booking is added to the back one, then one word makes that the front
 * and says which booking is in it, then the same is added to the other. After a kill the front is copied over the back, and what was booked since
 * is added from the store. A reader takes the front, and again when another became the front meanwhile.
 */
#ifndef TICKET_TALLY_H
#define TICKET_TALLY_H

#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/counters.h"
#include "ticket/house_accounts.h"
#include "ticket/tally_fields.h"
#include "ticket/ticket.h"

enum tally_status {
#define X(NAME, number, label) TALLY_STATUS_##NAME,
	TALLY_STATUSES(X)
#undef X
		TALLY_STATUS_COUNT
};

enum board_state {
#define X(NAME, label, meaning) BOARD_STATE_##NAME,
	BOARD_STATES(X)
#undef X
		BOARD_STATE_COUNT
};

enum store_fact {
#define X(NAME, label, name, number) STORE_FACT_##NAME,
	STORE_FACTS(X)
#undef X
		STORE_FACT_COUNT
};

#define X(bound) +1
enum {
	TALLY_TIME_COUNT = 0 TALLY_TIMES(X),
	TALLY_COMMIT_COUNT = 0 TALLY_COMMITS(X),
	TALLY_BATCH_COUNT = 0 TALLY_BATCHES(X),
	TALLY_HAND_IN_COUNT = 0 TALLY_HAND_INS(X),
	TALLY_REASONS = 64, /* numbers of end_reasons.h are below */
};
#undef X

/* bucket[n]: beyond the last bound. Not cumulative. */
#define TALLY_HISTOGRAM(bounds) \
	struct { \
		_Atomic uint64_t bucket[(bounds) + 1]; \
		_Atomic uint64_t sum; \
	}

/* Of one model at one provider in one lane. Words only: copies are made word by word. */
struct tally_block {
	_Atomic uint64_t requests[TALLY_REASONS][TALLY_STATUS_COUNT]; /* legs are none */
	_Atomic uint64_t tokens[TOKEN_KIND_COUNT], tools[TOOL_KIND_COUNT];
	_Atomic uint64_t cost_nano; /* what customers were charged; a leg's is in its parent's */
	_Atomic uint64_t legs, estimated;
	TALLY_HISTOGRAM(TALLY_TIME_COUNT)
	duration, first_byte; /* ms; first_byte: of those that had one */
};

/* Of the ledger and the board; not in copies: each word is right, at most some milliseconds old. */
struct tally_ledger {
#define X(name, kind, metric, places, meaning) _Atomic uint64_t name;
	TALLY_LEDGER(X)
#undef X
	_Atomic int64_t house_nano[HOUSE_COUNT];
	TALLY_HISTOGRAM(TALLY_COMMIT_COUNT)
	commit; /* us */
	TALLY_HISTOGRAM(TALLY_BATCH_COUNT)
	batch;
	TALLY_HISTOGRAM(TALLY_HAND_IN_COUNT)
	hand_in; /* ms */
	_Atomic uint64_t tickets[BOARD_EDGES_MAX][BOARD_STATE_COUNT];
	_Atomic uint64_t store_facts; /* so many of them are told: none when the books are in ledger.db */
	struct {
		_Atomic uint64_t state; /* enum fact_state */
		_Atomic uint64_t number;
	} store[STORE_FACT_COUNT];
};

struct tally; /* a process' private handle */

/* Blocks: one for each target of the catalogue, then one for tickets of models, providers and lanes that are not in it any more. */
size_t tally_bytes(uint32_t targets);
/* Format zeroed memory of tally_bytes(). */
void tally_format(void *memory, uint32_t targets);
/* Check mapped memory against the catalogue. NULL: not a tally for it, or no memory for the handle. The memory stays the caller's. */
must_check struct tally *tally_attach(void *memory, size_t bytes, const struct catalogue *c);
void tally_detach(struct tally **t);

/* What was attached. */
void *tally_memory(const struct tally *t, size_t *ret_bytes);

struct tally_ledger *tally_ledger(struct tally *t);
uint32_t tally_block_count(const struct tally *t);
/* By ids of model, provider and lane. Of several targets of a model at one provider in one lane the first has what all of them do. */
uint32_t tally_block_of(const struct tally *t, uint32_t model, uint32_t provider, uint16_t lane);
/* What a block is about. NULL: the one for the rest. */
const struct catalogue_target *tally_block_target(const struct tally *t, uint32_t block);

/* ---- the ledger ---- */

/* -1: a new one, nothing was ever added; tally_begin() says from which booking on. */
int64_t tally_booking(const struct tally *t);
void tally_begin(struct tally *t, int64_t booking);
/* Back to what the front says: after a kill, before anything is added. */
void tally_recover(struct tally *t);
/* All that `from` has, at the booking where it is, in a tally for another catalogue. Repeatable after any kill. */
void tally_carry(struct tally *t, const struct tally *from);
/* What is not in copies: the same numbers go on. */
void tally_carry_ledger(struct tally *t, const struct tally *from);
/* To the back copy; what billing_free_leg() says to none. */
void tally_add(struct tally *t, const struct ticket_facts *f, struct nano cost);
/* The back copy becomes the front and has all bookings up to this one. Then the same is to be added once more. */
void tally_publish(struct tally *t, int64_t booking);

enum tally_status tally_status_of(unsigned http_status);
/* Which of `count` ascending bounds is the first that is not below; `count`: none. */
unsigned tally_bucket(const uint32_t *bounds, unsigned count, uint64_t value);
extern const uint32_t tally_times[TALLY_TIME_COUNT], tally_commits[TALLY_COMMIT_COUNT], tally_batches[TALLY_BATCH_COUNT],
	tally_hand_ins[TALLY_HAND_IN_COUNT];

/* ---- readers ---- */

/* A private copy of all blocks in which there is something: of one moment, between two bookings. */
struct tally_view {
	int64_t booking;
	uint32_t count, room;
	uint32_t *index; /* which block; ascending */
	struct tally_block *block;
};
/* *v is zeroed before its first use and kept for the next. False: no memory. */
must_check bool tally_view_take(struct tally *t, struct tally_view *v);
void tally_view_free(struct tally_view *v);

/* ---- the board, looked at by the ledger ---- */

struct board_look {
	enum board_state state;
	uint32_t edge; /* BOARD_EDGES_MAX and above: the ledger's own */
	uint32_t model, provider; /* ids; of RESERVING and later */
	uint16_t lane;
};
void board_look_at(const struct board *b, uint32_t index, struct board_look *ret);
uint32_t board_slots_used(const struct board *b);

#endif
