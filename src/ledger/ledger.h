/*
 * The ledger: everything that authorises spending or is spending. One process, one SQLite
 * connection that writes (ledger.db), or one command-line call that holds the lock while no server
 * runs.
 *
 * Invariants (checked by `lethe ledger verify`, asserted in code, held by database constraints
 * where SQL can say them):
 *   INV-1  every booking's postings sum to zero
 *   INV-2  a customer account's balance is never negative
 *   INV-3  the balance in `account` equals the sum of its postings
 *   INV-4  each ticket is booked at most once; its charged amount equals cost(usage × price row) or
 *          the recorded stated cost, ≤ its hold and ≥ 0, whatever usage was reported
 *   INV-5  accounts, bookings, postings and tickets are never deleted, the latter three never changed,
 *          and nothing is added to a booking that is closed (triggers raise)
 *   INV-6  every operation is idempotent by its id; the same id with other content is an error
 *   INV-7  ids of tickets and bookings only grow; boots never reuse ids
 *   INV-8  every ticket's price row exists in the book and was in force when the ticket started; one about files has none, and costs nothing
 *   INV-9  sum of all postings is zero; revenue + losses = what customers paid minus what they have
 *   INV-10 usage per day equals the sum of its tickets
 *   INV-11 what is set aside (holds, vouchers, disputes, transfers) or given on a condition (grants,
 *          payments) is opened by one booking and resolved by one at most, never for more than it
 *          is; the house accounts for it have exactly what is open
 *   INV-12 no order posts to two customers: a transfer is two bookings, and `transit` in between
 *   INV-13 amounts and balances are within ± four billion dollars, sums checked for overflow; what
 *          customers owe is what the account `owed` is short of
 *   INV-14 since there are receipts, each ticket is one leaf of the tree, in the order of booking; each
 *          booking's head is that of the tree at that size, signed by a key of the log
 *   INV-15 the tickets of an account are one chain: places from 1 without a gap, each with the hash of
 *          the one before; the account names the last
 *   INV-16 what a proposal says is booked once, for what it says, or rejected: given back to its customer, or borne by `loss.estimate`, when it is of that
 *          account; nothing else is booked so
 *   INV-17 a node writes only with the fence that it was given last, and while its node is there: each transaction that writes begins by showing it
 *   INV-18 on a store of several servers a slot has the node's share of the account; the shares are what is lent of it, and that is never more than its balance;
 *          of a window of a limit of money likewise, and none is taken beyond what is left of the limit
 * A ticket is its customer's posting of −cost (docs/decisions/0020-one-row-a-ticket.md).
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/key_table.h"
#include "ticket/tally.h"

#include <jansson.h>

struct ledger;
struct store_terms;

enum ledger_open { LEDGER_OPENED,
	LEDGER_LOCKED,
	LEDGER_FAILED };

enum { LEDGER_BATCH_WINDOW_MS = 250,
	LEDGER_NODE_COMMANDS = 255,
	LEDGER_LOOKS_AGAIN = 3 /* exit status of a ledger whose store can't be reached: the next one looks whether it is back */ };

struct ledger_options {
	const char *data_dir;
	const char *store; /* postgres://…; NULL: what DIR/store says (store_address.h), or DIR/ledger.db */
	const uint8_t *pepper; /* API_KEY_PEPPER_BYTES */
	const uint8_t *receipt_seed; /* RECEIPT_SEED_BYTES: what receipts are signed by comes from it */
	const uint8_t *byok_public; /* BYOK_PUBLIC_BYTES: what own keys at providers are sealed for; NULL: none can be added */
	uint32_t node; /* of a store that several servers share; LEDGER_NODE_COMMANDS: a command without a server */
	uint32_t batch_window_ms; /* 0: LEDGER_BATCH_WINDOW_MS */
	bool spans; /* each ticket that is booked is told to the scribe */
	uint32_t streams_per_account; /* that one account may have open on each edge: shown, not enforced here */
	const struct catalogue *catalogue; /* may be NULL: command line without a configuration */
	struct board *board; /* NULL: command line without a server */
	struct key_table *keys; /* NULL with board */
	struct tally *tally; /* sums for metrics and `lethe top`; may be NULL */
	const void *counters; /* of the edges, a block each and one of the processes behind them; may be NULL */
	size_t counters_stride;
	const struct circuits *circuits; /* what edges know of providers; may be NULL */
	uint64_t away_ms; /* how long shares are spent while PostgreSQL can't be reached; 0: no outbox is kept */
	uint64_t away_requests; /* that may wait there; beyond it no new ones are taken */
	const struct store_terms *terms; /* on which the store is opened; NULL: those of every ledger */
	int lock_fd; /* > 0: DIR/lock, held by the caller (ledger_lock); 0: ledger_open takes it */
};

/*
 * Exclude every other ledger of this directory, creating it if need be. The supervisor takes the
 * lock for as long as its board lives, hands the descriptor to each ledger in turn, and keeps it:
 * while a ledger is being replaced nobody else may book beside the board.
 */
must_check enum ledger_open ledger_lock(const char *data_dir, int *ret_fd, char ret_why[256]);
/*
 * The same for who puts a backup in the ledger's place. While DIR/restore.ready is there that is half done, and ledger_lock() refuses: an empty ledger
 * would begin where the books were.
 */
#define LEDGER_RESTORE_READY "restore.ready"
bool ledger_is_half_restored(const char *data_dir, char ret_why[256]);
must_check enum ledger_open ledger_lock_to_restore(const char *data_dir, int *ret_fd, char ret_why[256]);

/*
 * Open (create, migrate) DIR/ledger.db under an exclusive lock. ret_why: a sentence for the
 * operator on failure. Without a board: what was held when the last board was lost is booked as
 * interrupted.
 */
must_check enum ledger_open ledger_open(const struct ledger_options *o, struct ledger **ret, char ret_why[256]);
/* All is booked, and no other ledger comes over this board: what lies idle is for the other nodes, and this one leaves. False: the store failed. */
must_check bool ledger_last(struct ledger *l);
void ledger_close(struct ledger **l);

/*
 * With a board: id floor and ceiling, sweep, fill key table, load accounts, open the gate.
 * Repeatable after any kill.
 */
must_check bool ledger_start(struct ledger *l);

/*
 * One booking round: collect, commit, give back, free; progress of held tickets when due. Returns
 * the number of tickets booked, -1 when the store failed.
 */
int ledger_round(struct ledger *l, uint64_t now_monotonic_ms);
/* How long until the next round or chore is due, for the process' poll. */
int ledger_wait_ms(const struct ledger *l, uint64_t now_monotonic_ms);
bool ledger_may_sleep(const struct ledger *l);

/* LOAD of an edge that needs so much; 0: not known. enum row_result; the slot is known when row_is_there(). */
uint32_t ledger_load_row(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot);
struct message_byok;
/* BYOK_WANTED of an edge: the box of an own key, as it is kept, or that there is none. */
void ledger_byok(struct ledger *l, uint64_t id, struct message_byok *ret);

/*
 * One control request → one answer. Requests are objects {"op": "...", ...}; answers {"ok": true, ...} or
 * {"ok": false, "error": {"code": "...", "message": "..."}}. ops: docs/reference/control.md. Never NULL.
 */
must_check json_t *ledger_control(struct ledger *l, const json_t *request);

/*
 * A new generation's catalogue: into the price book, and in use from here on; tickets of older generations are booked by the book's rows. False: it
 * can't be, and all is as it was. The memory stays the caller's.
 */
must_check bool ledger_adopt(struct ledger *l, const struct catalogue *c, struct tally *t);

/* The process: called by the role table with its descriptors; returns the exit status. */
struct ledger_process {
	struct ledger_options options;
	int supervisor_fd, wake_fd, control_fd, scribe_fd;
	const int *edge_fds;
	uint32_t edge_count;
	/* Of a new generation: descriptors and sizes of catalogue and tally. And what was mapped before. */
	bool (*map_pair)(const int fds[2], const size_t bytes[2], const struct catalogue **ret_catalogue, struct tally **ret_tally);
	void (*unmap_pair)(const struct catalogue *c, struct tally **t);
	void (*lock_down)(void *arg); /* called after the store is open, before anything is read from outside */
	void *lock_down_arg;
};
must_check int ledger_main(struct ledger_process *p);

#endif
