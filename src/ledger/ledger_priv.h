/*
 * What the files of this folder share: the ledger's state and the parts it is made of. One process, one thread.
 */
#ifndef LEDGER_LEDGER_PRIV_H
#define LEDGER_LEDGER_PRIV_H

#include "core/loop.h"
#include "ledger/control_priv.h"
#include "ledger/ledger.h"
#include "ledger/loss_bounds.h"
#include "ledger/observe_priv.h"
#include "ledger/receipt_priv.h"
#include "ledger/store.h"
#include "ticket/events.h"
#include "ticket/house_accounts.h"
#include "ticket/ids.h"
#include "ticket/messages.h"
#include "ticket/tally.h"

enum booking_kind { BOOKING_TICKETS = 1,
	BOOKING_CREDIT = 2,
	BOOKING_DEBIT = 3 };
enum account_state { ACCOUNT_OPEN = 1,
	ACCOUNT_CLOSED = 2 };

enum {
	BATCH_MAX = 4096,
	BATCH_SUMS = 2 * BATCH_MAX, /* power of two */
	BATCH_BUDGETS_MAX = (TICKET_LEGS_MAX - 1) * BATCH_MAX,
	BATCH_BUDGETS = 4 * BATCH_MAX, /* likewise */
	PROGRESS_PERIOD_MS = LOSS_RUNNING_MS - 1000, /* the rest is for the sweep and its commit */
	USAGE_PERIOD_MS = 60000,
	USAGE_GROUPS_MAX = 32768, /* then they are written before their time */
};

/* ---- price_book.c: every price row there ever was ---- */

struct price_row {
	struct catalogue_price price;
	uint32_t model;
	uint64_t added_us;
	struct merkle_hash hash; /* by which receipts name it */
};

struct price_book {
	struct price_row *rows; /* by id */
	size_t count;
	const struct price_row *last; /* the one last asked for */
};

/* Catalogue's rows into the store, all of the store's into memory. ret_why: a sentence. */
must_check bool price_book_open(struct ledger *l, char ret_why[STORE_WHY_MAX]);
must_check bool price_book_load(struct store *s, struct price_book *ret);
void price_book_free(struct price_book *b);
const struct price_row *price_book_find(struct price_book *b, uint64_t id);
/* From a row of price_all. */
void price_book_row(struct query *st, struct price_row *ret);

/* What a ticket's usage costs by its price row, and who bears what the customer does not. */
struct appraisal {
	int64_t difference_nano; /* usage × price − cost */
	enum house_account loss; /* HOUSE_NONE: a difference that no rule explains */
	bool priced; /* its price row is in the book */
};
struct appraisal appraise(struct price_book *b, const struct ticket_copy *t);

/* ---- batch.c ---- */

enum fate { FATE_OPEN,
	FATE_BOOKED,
	FATE_KNOWN,
	FATE_ORDER,
	FATE_DROPPED, /* a move that can't be made: nothing is given back */
	FATE_REFUSED };

struct account_sum {
	uint64_t account;
	int64_t nano;
	uint32_t batch; /* of this batch when equal to `batch` below */
	uint16_t chain; /* in chains */
	bool chained; /* it has tickets in this batch */
};

/* Spent of a window of a limit of money (limit_priv.h). */
struct budget_sum {
	uint64_t row;
	int64_t nano;
	uint32_t batch;
};

struct batch {
	size_t count;
	struct ticket_copy tickets[BATCH_MAX];
	struct appraisal appraisals[BATCH_MAX];
	uint8_t fates[BATCH_MAX]; /* enum fate */
	uint16_t order[BATCH_MAX]; /* by id */
	int64_t node; /* whose shares pay */
	uint32_t number;
	uint16_t sums_used[BATCH_MAX];
	size_t sum_count;
	uint16_t budgets_used[BATCH_BUDGETS_MAX];
	size_t budget_count;
	struct budget_sum budgets[BATCH_BUDGETS];
	struct account_sum sums[BATCH_SUMS];
	struct chain_end chains[BATCH_MAX]; /* of the accounts, in the order in which they came */
	struct merkle_hash leaves[BATCH_MAX]; /* of the tickets that were inserted */
	int64_t paid_nano; /* what the tickets cost their accounts */
	int64_t house_nano[HOUSE_COUNT];
	uint64_t first, last, inserted; /* tickets really inserted */
	uint32_t mismatched, interrupted;
};

/*
 * Book l->batch in one transaction. False: outcome unknown, book the same again. Tickets whose fate
 * is FATE_REFUSED are not booked and must not be given back.
 */
must_check bool batch_book(struct ledger *l);

/* ---- usage.c: sums per day, account, key, model ---- */

enum { USAGE_MARK_UNKNOWN = -1, USAGE_COUNTS = 3 + TOKEN_KIND_COUNT + 1 }; /* requests, failed, cost; tokens; tool calls */

struct usage_sum {
	int64_t day, account, key, model;
	int64_t counts[USAGE_COUNTS];
};

struct usage_sums {
	struct usage_sum *sums; /* open addressing; requests == 0: free */
	size_t size, count;
	int64_t mark; /* bookings up to here are in the store's sums; USAGE_MARK_UNKNOWN: what is here is not all, and is to be summed up from the tickets */
	int64_t last; /* booking that was last added here */
	int64_t node; /* whose tickets; -1: all */
};

/* Sums of what was booked after the mark, from the tickets. False: the store failed, and the next flush begins with it. */
must_check bool usage_recover(struct ledger *l);
/* What billing_free_leg() says is in no sum. */
void usage_add(struct usage_sums *u, const struct ticket_copy *t, int64_t booking);
/* The sum of this group; one with no requests, or NULL, when there is none. */
const struct usage_sum *usage_find(const struct usage_sums *u, const struct usage_sum *group);
bool usage_waits(const struct usage_sums *u); /* there is something to flush */
must_check bool usage_flush(struct ledger *l); /* into the store; false: failed, they stay here */
must_check bool usage_follow(struct ledger *l, uint64_t now_ms); /* of several servers: once a minute, while this one has nothing to sum up, its mark goes with the others' bookings */
/* Of a node that has gone: what it had not written. */
must_check bool usage_flush_of(struct ledger *l, int64_t node);
/* A ticket of this node: not one that another left, which is in its sums. */
bool ledger_is_ours(const struct ledger *l, const struct ticket_copy *t);
int64_t usage_day_of(uint64_t us);
/*
 * Every ticket of this node in the bookings after this one, in no particular order. False: the store failed.
 */
typedef void ticket_taker(struct ledger *l, const struct ticket_copy *t, int64_t booking);
must_check bool tickets_after(struct ledger *l, int64_t booking, ticket_taker *take);
/* From a row of ticket_by_id, tickets_from, progress_all or progress_by_id. */
void ticket_of_row(struct query *st, struct ticket_copy *ret);

/* ---- progress.c ---- */

struct progress_place {
	uint64_t id; /* has (or may have) a row in `progress`; 0: none */
	int64_t cost;
};

struct progress {
	struct progress_place *places; /* per index on the board */
	uint32_t count;
	uint32_t next; /* index to be looked at next; count: the sweep is done */
	uint64_t due_ms;
};

/* Write what HELD tickets cost by now, a chunk at a time. False: the store failed. */
must_check bool progress_write(struct ledger *l, uint64_t now_ms);
uint64_t progress_due_ms(const struct ledger *l, uint64_t now_ms); /* when it has to be called again at the latest */
/* Board survived: which rows there are. */
must_check bool progress_recall(struct ledger *l);
/* Board gone: what was held of this node is booked as interrupted. */
must_check bool progress_settle(struct ledger *l, int64_t node);

/* ---- boot.c ---- */

bool boot_is_new_board(const struct ledger *l);
must_check bool boot_begin(struct ledger *l);
/* Raise the ceiling of ids when it comes near. False: the store failed. */
must_check bool boot_raise(struct ledger *l);
uint64_t ledger_next_id(struct ledger *l);

/* ---- share.c ---- */

enum { SHARE_REFUSALS = 256 }; /* power of two */
/* There was nothing more of this account a moment ago: it is not asked for again with each request that can't be paid. */
struct share_refusal {
	uint64_t account, until_ms;
	int64_t lacking, within; /* what lacks less may be had; so much may be once the others give back what they have */
};

/* ---- work.c ---- */

enum { WORK_COUNTED = 16 };
/* What an edge says of work that has ended, until it says what that cost. */
struct work_counted {
	uint64_t work;
	int64_t values[WORK_COUNT_MAX];
};

enum { WORK_SILENCES = 64 };
/* That work's end was seen, and nothing of what it used. */
struct work_silence {
	uint64_t work, seen_us;
	uint32_t errand; /* the last one that was sent long enough after that; 0: none yet */
};

/* ---- ledger.c ---- */

struct ledger_stats {
	uint64_t booked, quarantined, mismatched, store_failures, interrupted, events_lost;
};

struct ledger {
	struct ledger_options o;
	struct store store;
	struct outbox *away; /* the store can't be reached (away.h); NULL: it is open */
	int lock_fd;
	int scribe_fd; /* -1: nobody listens */
	uint64_t spans_lost; /* that it had no room for */
	uint64_t last_id; /* ledger's own */
	uint64_t floor_ms, ceiling_ms, newest_ticket_ms;
	int64_t next_booking;
	struct price_book prices;
	struct usage_sums usage;
	struct progress progress;
	struct batch *batch; /* count > 0 between rounds: its outcome is unknown */
	bool idle, more; /* the last round found nothing; left some of what had been handed in */
	bool breathing; /* a round runs inside a long check: not again inside that */
	/* This server is to take nothing new and to end in order (node.c); a move of a share back is announced, and the next round books it; more of a window may be here than its limit is now. */
	bool drain_wanted, move_waits, excess;
	bool over; /* all is booked, and no other ledger comes over this board: this node has left when it ends */
	uint32_t back_off_ms;
	uint64_t round_ms, round_due_ms, usage_due_ms, follow_due_ms, chores_due_ms, away_until_ms;
	struct { /* chores.c: behind which item to look on, of those whose end has come; and was one of those before it not to be done yet? */
		int64_t expires_ms, id;
		bool again;
	} chores_at;
	uint64_t reconcile_due_ms; /* when to look whether it is night */
	uint64_t share_due_ms, count_due_ms; /* share_priv.h */
	struct share_refusal refusals[SHARE_REFUSALS];
	int64_t others, change_seen, wanted_after, excess_after; /* other nodes that are up; the last change that is known here; the last want, and window of which there is too much, that was looked at */
	uint32_t errand; /* the last one's number */
	struct work_counted counted[WORK_COUNTED];
	unsigned counted_next;
	struct work_silence silences[WORK_SILENCES];
	uint64_t work_due_ms; /* some may be due (work.h); UINT64_MAX: not before an edge says something */
	struct ledger_stats stats, before; /* before: of the ledgers that had this board before */
	struct observed observed;
	struct receipts receipts;
};

/* ---- node.c: which of the servers on one store this is ---- */

enum node_state { NODE_UP = 1,
	NODE_LEFT = 2, /* it has ended in order */
	NODE_FORGOTTEN = 3 };
/* The others have the same pepper, or else no key of theirs works here. ret_why: a sentence. */
must_check bool node_open(struct ledger *l, char ret_why[STORE_WHY_MAX]);
/* The board is that of the node's last boot. False: the node was forgotten meanwhile, and what the board says is settled without it (store.fenced); or the store failed. */
must_check bool node_has_board(struct ledger *l);
/* The server begins anew: what it was told before it ended is done. False: the store failed. */
must_check bool node_begin(struct ledger *l);
/* Has somebody said that this server is to be emptied? Then drain_wanted. False: the store failed. */
must_check bool node_hear(struct ledger *l);
/* It ends in order, and everything is booked. */
void node_leave(struct ledger *l);

/* ---- key.c ---- */

enum key_state key_state_of(int64_t revoked_us, int64_t quarantined_us);
/* Another node has changed it. */
must_check bool ledger_publish_key(struct ledger *l, uint64_t key);
/* Supervisor: edges have died while they served it. */
void ledger_quarantine_key(struct ledger *l, uint64_t key);

/* What was ordered and is on no board was never answered; its giver asks again. */
must_check bool ledger_forget_orders(struct ledger *l, int64_t node);
/* Rounds until all is booked that had been handed in before. False: the store failed. */
must_check bool ledger_drain(struct ledger *l);
/* Heartbeat and, when due, a round: called from long work. */
void ledger_breathe(struct ledger *l);
/* Items whose time is over by now, transfers under way (chores.c). False: not all could be seen to. */
bool ledger_chores(struct ledger *l, uint64_t now_wall_us);
void ledger_chores_when_due(struct ledger *l, uint64_t now_monotonic_ms);
void ledger_chores_soon(struct ledger *l);
/* There is work after all: the next round is due when the batch window says so. */
void ledger_woken(struct ledger *l);
/* A transaction in which something is booked: what another node has booked since is known first. False: not begun. */
must_check bool ledger_begin(struct ledger *l);
void ledger_event(struct ledger *l, enum event_id event, uint64_t a, uint64_t b);
/* The account onto the board if there is room; hints of its keys. */
uint32_t ledger_load_account(struct ledger *l, uint64_t account, int64_t balance_nano);

#endif
