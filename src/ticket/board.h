/*
 * The board: shared memory between edges, ledger and supervisor that outlives each of them (not a
 * power cut). Slots with balances, one slab of tickets per edge, and the few words by which
 * processes find each other. docs/ticket-protocol.md.
 *
 * The supervisor makes the memory (a memfd) and formats it; edges and ledger map it and attach.
 * `struct board` is the private handle that board_attach() returns; what is shared lies behind it.
 * All shared words are atomics.
 */
#ifndef TICKET_BOARD_H
#define TICKET_BOARD_H

#include "ticket/ticket.h"

enum { BOARD_EDGES_MAX = 126, /* slabs: an edge of each generation has its own; an id has room for as many writers (ticket_id.h) */
	BOARD_LEDGER_TICKETS = 64 };
#define BOARD_CLOSED INT64_MIN

struct board_size {
	uint32_t edges; /* slabs, of all generations */
	uint32_t tickets_per_edge; /* = streams_max plus a batch window's worth */
	uint32_t slots;
	uint32_t node; /* 0 .. 255 */
	uint32_t limits; /* rows of limits (limit.h); 0: none */
};

enum board_gate { /* may edges take new holds? */
	BOARD_STARTING, /* the ledger has not swept yet: 503 */
	BOARD_OPEN,
	BOARD_STALLED, /* store can't be written: 503, streams go on */
	BOARD_DRAINING,
};

enum board_many { /* what its slots have */
	BOARD_BALANCES,
	BOARD_SHARES = 3, /* other servers have parts of the balances and of the windows of limits, too; 1 and 2: of the balances alone, as it was once */
	BOARD_SHARES_LOST, /* the same for edges; but this node was forgotten, or another is it: others may have them by now */
};

size_t board_bytes(const struct board_size *size);
/* Format zeroed memory of board_bytes(). */
void board_format(void *memory, const struct board_size *size);
/*
 * Check magic, layout hash and sizes of mapped memory. NULL: not a board of this build, or a
 * processor without cmpxchg16b.
 */
must_check struct board *board_attach(void *memory, size_t bytes);
/*
 * How all that is shared lies in memory, a ticket's facts up to their first `fields`; 0: this build has not so
 * many. Two builds with the same number understand each other (layout.h).
 */
uint64_t board_layout(uint32_t fields);
uint32_t board_layout_fields(void);
/*
 * Supervisor: from here on only a build that knows all fields of this one may attach. No process of an older build
 * is started any more; those that run write none of the newer fields, which then read as 0.
 */
void board_extend(struct board *b);
/*
 * The handle is private memory of the process (the sizes in it are copies, so nobody else's write
 * moves them); the board stays mapped.
 */
void board_detach(struct board **b);

void board_size_of(const struct board *b, struct board_size *ret);
_Atomic uint32_t *board_gate(struct board *b);
/* enum board_many, the ledger's. Unless they are balances, SHORT is only what this server has. */
_Atomic uint32_t *board_many(struct board *b);
/* Of which store they are, the ledger's; 0: there is none but this server's. */
_Atomic uint64_t *board_store(struct board *b);
/* For how many ms, and one, that store knows that this server may go on without it; 0: not known. */
_Atomic uint64_t *board_away(struct board *b);
/* Booking rounds completed by the ledger; a parked 402 waits for it to grow by two. */
_Atomic uint64_t *board_rounds(struct board *b);
/*
 * Unix milliseconds. Ids may not run ahead of the ceiling; the ledger raises it after the database
 * has it. 0 on a new board: no ids yet.
 */
_Atomic uint64_t *board_id_ceiling_ms(struct board *b);
/* No id of this board is older: above every ceiling of the boards before. */
_Atomic uint64_t *board_id_floor_ms(struct board *b);
/* The ledger sleeps: whoever hands in wakes it by its eventfd. */
_Atomic uint32_t *board_sleeping(struct board *b);
/* A booking round is wanted (board_want_round()); the ledger sets it back where one begins. */
_Atomic uint32_t *board_wanted(struct board *b);
/* The ledger's, monotonic; edges refuse new holds when it is older than BOARD_STALE_MS. */
_Atomic uint64_t *board_heartbeat_ms(struct board *b);
enum { BOARD_STALE_MS = 10000 };

/* Supervisor: this incarnation of edge e is reaped. Then wake the ledger. */
void board_mark_dead(struct board *b, uint32_t edge, uint32_t incarnation);
void board_mark_all_dead(struct board *b);
uint32_t board_dead(const struct board *b, uint32_t edge);
/*
 * The last incarnation that opened this edge's slab, 0 when none: the next one gets a higher number
 * than this and than board_dead().
 */
uint32_t board_incarnation(const struct board *b, uint32_t edge);
/*
 * No edge has ever opened this slab: there is nothing in it, and its memory need not be touched. It may be opened at any
 * time; what is taken then is a living edge's.
 */
bool board_slab_unused(const struct board *b, uint32_t edge);
/*
 * Supervisor, between the death of this incarnation and board_mark_dead(): the keys of its exchanges that have a hold, at most `max`, each once, in
 * ascending order. Returns how many.
 */
size_t board_keys_running(const struct board *b, uint32_t edge, uint32_t incarnation, uint64_t *ret_keys, size_t max);
/* The descriptor by which a hand-in wakes the ledger; set once per process after mapping. */
void board_set_wake_fd(struct ticket_desk *d, int fd);
/* So many tickets that an edge has handed in since the last round want the next one: what more of them there are is cold when it comes back. */
enum { TICKETS_COLLECTED = 1536 };
/* Somebody waits for what a booking round gives: one begins before the batch window's end. A load; where it is the first since the last round, a system call. */
void board_want_round(struct ticket_desk *d);

/* ---- the ledger's side: one process, board_sweep_start() first ---- */

/*
 * What the database has, committed, for this row. False: no such row. Asked when a slot is to be
 * evicted.
 */
typedef bool board_balance_fn(void *arg, uint64_t row, struct nano *ret);
void board_set_balance(struct board *b, board_balance_fn *balance, void *arg);

/* A SETTLED ticket, copied once to private memory and checked. */
struct ticket_copy {
	uint32_t index;
	uint8_t legs;
	uint64_t id;
	uint64_t row[TICKET_LEGS_MAX];
	struct nano cost, hold;
	struct ticket_facts facts;
};

/*
 * Collect up to `max` SETTLED tickets that edges handed in since the last call (dirty bits; slabs
 * of the dead are swept whole and resolved by the table of section 7; `interrupted` tickets get end
 * reason END_INTERRUPTED). ret_quarantined counts tickets that failed the checks (they stay where
 * they are and are reported).
 *
 * A ticket is returned once, until board_give_back(): a batch whose commit failed is run again from
 * the caller's copies.
 */
size_t board_collect(struct board *b, struct ticket_copy *out, size_t max, uint32_t *ret_quarantined);

/*
 * Start of a ledger: own tickets as dead, then every ticket of every slab; what is SETTLED is
 * returned by the following collects (also what the ledger before had booked already: the id
 * decides). Rows are found again from the slots. Before any other call below.
 */
void board_sweep_start(struct board *b);

/*
 * After the commit of a batch: give back hold − cost on each leg, free. For every ticket of the
 * batch, before the next load or evict.
 */
void board_give_back(struct board *b, uint32_t index);

/*
 * Rows and slots. Load finds a CLOSED slot or evicts an idle one (board_set_balance; none while
 * collected tickets await board_give_back()); ret_slot is where it is, also when the row was there
 * already. False: none idle. A row is not 0.
 */
must_check bool board_load(struct board *b, uint64_t row, struct nano balance, uint32_t *ret_slot);
must_check bool board_evict(struct board *b, uint64_t row);
/* From the ledger's private index, rebuilt from the slots by the sweep. */
bool board_find(const struct board *b, uint64_t row, uint32_t *ret_slot);
struct nano board_available(const struct board *b, uint32_t slot);
/* Anybody: does this slot have that row now? */
bool board_has(const struct board *b, uint32_t slot, uint64_t row);

/*
 * Ledger tickets: credit (cost = −amount, hold 0: SETTLED at once) and debit (held first); amount >
 * 0. The ticket goes through the same book → give back → free: board_collect() returns it, unless
 * the caller books it at once and calls board_give_back(*ret_index). Ask board_find() first: a row
 * that is not on the board has no ticket, the transaction is all. Then false and GONE mean: all are
 * in use, book a round and come again. board_lower_begin() is a debit that is never refused: only
 * for budgets, whose available may go below 0.
 */
must_check bool board_credit_begin(
	struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index);
must_check enum moved board_debit_begin(
	struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index);
must_check enum moved board_lower_begin(
	struct board *b, uint64_t id, uint64_t row, struct nano amount, uint32_t *ret_index);
/* The same on several rows at once, each once, by the same amount: all of them or none. */
struct board_rows {
	uint64_t row[TICKET_LEGS_MAX];
	unsigned count;
};
must_check bool board_credit_rows(struct board *b, uint64_t id, const struct board_rows *rows, struct nano amount, uint32_t *ret_index);
must_check enum moved board_debit_rows(struct board *b, uint64_t id, const struct board_rows *rows, struct nano amount, uint32_t *ret_index);
/* A credit that is not booked and will not be: free, with nothing given. After board_collect(), instead of board_give_back(). */
void board_credit_drop(struct board *b, uint32_t index);
bool board_is_ledger_ticket(const struct board *b, uint32_t index);

/*
 * Tickets that are HELD now: progress is written of them. Returns false when index is not HELD; facts are a
 * racy but untorn-by-word copy.
 */
bool board_held_copy(const struct board *b, uint32_t index, struct ticket_copy *ret);
uint32_t board_ticket_count(const struct board *b); /* of all slabs, with the ledger's own at the end */

/*
 * T1 for every open slot: available == balance − Σ keeps; `balance` asks the database. Only
 * meaningful when edges are still and every booked ticket was given back. Returns the number of
 * slots that differ.
 */
uint32_t board_check(const struct board *b, board_balance_fn *balance, void *arg);

/*
 * Before sleeping and after waking (section 8). board_sleep_begin returns false when there is work
 * after all.
 */
must_check bool board_sleep_begin(struct board *b);
void board_sleep_end(struct board *b);

#endif
