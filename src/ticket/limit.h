/*
 * Limits of keys and accounts, on the board: a row for each subject that has any, written by the ledger, and in it the few words that all edges count
 * with. A subject without limits has no row. Rows are numbered from 1; 0 is none.
 *
 * What is counted, and what a killed process leaves:
 *   rates    one word, the theoretical arrival time of GCRA (ITU-T I.371), by compare-and-swap: exact whoever counts; it heals by itself
 *   a day's  one word, day and count, by compare-and-swap
 *   streams  a word for each edge, written by that edge alone: first counted, then compared; who comes last gives way. A dead edge's word is cleared.
 *   money    rows with a balance, legs of tickets (docs/ticket-protocol.md): a window is such a row
 *
 * Edge and ledger; the memory is the board's.
 */
#ifndef TICKET_LIMIT_H
#define TICKET_LIMIT_H

#include "core/address.h"
#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/limit_kinds.h"

enum {
	LIMIT_EDGES = 128,
	LIMIT_MODELS_MAX = 192,
	LIMIT_ADDRESSES_MAX = 32,
	LIMIT_BYOK_MAX = 16, /* own keys of an account */
	LIMIT_BUDGETS_MAX = TICKET_LEGS_MAX - 1, /* limits of money that one exchange can be under */
	LIMIT_ROWS = 16384, /* of a server's board: sparse, a page each */
};

/* What is allowed. Two of them in a row: one in force, one to be written. */
struct limit_list {
	_Atomic uint32_t named; /* bits of enum limit_named: that this list is one */
	_Atomic uint32_t model_count, address_count;
	_Atomic uint32_t models[LIMIT_MODELS_MAX]; /* catalogue ids, ascending */
	_Atomic uint32_t address_bits[LIMIT_ADDRESSES_MAX];
	_Atomic uint64_t addresses[LIMIT_ADDRESSES_MAX][2];
};

enum limit_named { LIMIT_MODELS = 1,
	LIMIT_ADDRESSES = 2 };

/*
 * An account's own key at a provider (byok.h), which only its number is told of. The number is written last and taken away first; another key has
 * another number.
 */
struct limit_byok {
	_Atomic uint64_t id; /* 0: none */
	_Atomic uint32_t provider; /* catalogue id */
	_Atomic uint32_t fallback; /* 1: ours may be used when it is refused */
};

/* Where requests may go, whatever they say themselves. The region is the operator's word; read while it changes it is no region's. */
struct limit_policy {
	bool zero_retention;
	char region[16]; /* with terminator; "": any */
};

/* By which lane requests go that name none. "": by none of its own. */
struct limit_lane {
	char name[CATALOGUE_LANE_NAME_MAX]; /* with terminator */
};

struct limit_row {
	_Atomic uint64_t subject; /* id of a key or an account */
	_Atomic uint32_t parent; /* the row of the key's account */
	_Atomic uint32_t version; /* lists[version & 1] is in force */
	_Atomic int64_t amount[LIMIT_KIND_COUNT]; /* requests, tokens, nano-dollars; 0: no such limit */
	_Atomic uint64_t number[LIMIT_KIND_COUNT]; /* of a limit of money: what its windows' rows are named by */
	_Atomic uint64_t hint[LIMIT_KIND_COUNT]; /* window << 32 | where its row is on the board */
	_Atomic uint64_t rate[LIMIT_RATES]; /* nanoseconds, monotonic: when the bucket is full again */
	_Atomic uint64_t day; /* day << 40 | requests */
	_Atomic uint16_t streams[LIMIT_EDGES];
	struct limit_list lists[2];
	struct limit_byok byok[LIMIT_BYOK_MAX]; /* of an account */
	_Atomic uint32_t counts; /* of a key that took another's place: the row of the first of them, which has the rates and the day of all; 0: this one has */
	_Atomic uint32_t zero_retention;
	_Atomic uint64_t region[2];
	_Atomic uint32_t lane_version; /* lane[lane_version & 1] is in force */
	_Atomic uint64_t lane[2][4];
} __attribute__((aligned(4096)));

_Static_assert(sizeof(struct limit_row) == 4096, "a limited key is a page");
_Static_assert((int)LIMIT_EDGES >= (int)BOARD_EDGES_MAX, "each edge has its word");

/* NULL: no such row. */
struct limit_row *limit_row(const struct board *b, uint32_t index);
/* The one in which its rates and its day are counted. */
struct limit_row *limit_counting(const struct board *b, struct limit_row *r);
/* Ledger: whose row it is. 0: it has none; make: there is no room for another. */
uint32_t limit_find(const struct board *b, uint64_t subject);
must_check uint32_t limit_make(struct board *b, uint64_t subject);
uint32_t limit_count(const struct board *b);
bool limit_has_room(const struct board *b); /* for the row of another subject */
/* Supervisor: nothing of this edge runs any more. */
void limit_forget_edge(const struct board *b, uint32_t edge);

/* ---- rates: at most `amount` a minute, as many at once when none came for a minute ---- */

/* Costs more than all: taken when the bucket is full. False: *ret_wait_ns until it would be taken. */
must_check bool limit_rate_take(_Atomic uint64_t *rate, int64_t amount, uint64_t cost, uint64_t now_ns, uint64_t *ret_wait_ns);
/* What was taken turned out to be another number. */
void limit_rate_correct(_Atomic uint64_t *rate, int64_t amount, uint64_t taken, uint64_t used);
/* What could be taken now, and when it would be all again. */
void limit_rate_look(const _Atomic uint64_t *rate, int64_t amount, uint64_t now_ns, uint64_t *ret_remaining, uint64_t *ret_reset_ns);

/* ---- so many a day (UTC) ---- */

must_check bool limit_day_take(_Atomic uint64_t *word, int64_t amount, uint32_t day);
void limit_day_give(_Atomic uint64_t *word, uint32_t day);
uint64_t limit_day_count(const _Atomic uint64_t *word, uint32_t day);
/* Ledger, before anybody counts: so many at least were there today. */
void limit_day_recall(_Atomic uint64_t *word, uint32_t day, uint64_t count);

/* ---- at a time ---- */

must_check bool limit_stream_take(struct limit_row *r, uint32_t edge);
void limit_stream_give(struct limit_row *r, uint32_t edge);
uint32_t limit_streams(const struct limit_row *r);

/* ---- windows of the calendar, UTC; a week begins on Monday ---- */

uint32_t limit_window(enum limit_kind kind, uint64_t unix_s);
uint64_t limit_window_begin_s(enum limit_kind kind, uint32_t window);

/* The row of a window of a limit of money: no account has such an id. number < 2^31. */
#define LIMIT_BUDGET_ROW (1ULL << 63)
static inline uint64_t
limit_budget_row(uint64_t number, uint32_t window)
{
	return LIMIT_BUDGET_ROW | number << 32 | window;
}

/* ---- what is allowed ---- */

bool limit_allows_model(const struct limit_row *r, uint32_t model);
bool limit_allows_address(const struct limit_row *r, const struct address *a);
/* Does it name any? */
bool limit_names(const struct limit_row *r, enum limit_named named);
/* Ledger: in force as a whole. models ascending. */
struct limit_lists {
	uint32_t named, model_count, address_count;
	uint32_t models[LIMIT_MODELS_MAX];
	struct address_range addresses[LIMIT_ADDRESSES_MAX];
};
void limit_set_lists(struct limit_row *r, const struct limit_lists *l);

/* ---- where to ---- */

void limit_set_policy(struct limit_row *r, const struct limit_policy *p);
void limit_policy(const struct limit_row *r, struct limit_policy *ret);

void limit_set_lane(struct limit_row *r, const struct limit_lane *lane);
void limit_lane(const struct limit_row *r, struct limit_lane *ret);

/* ---- own keys ---- */

struct limit_byok_one {
	uint64_t id;
	uint32_t provider;
	bool fallback;
};
/* The n-th place. False: no key is there. */
must_check bool limit_byok_at(const struct limit_row *r, unsigned n, struct limit_byok_one *ret);
/* Ledger: these, and no others from here on. */
void limit_set_byok(struct limit_row *r, const struct limit_byok_one *all, unsigned count);

#endif
