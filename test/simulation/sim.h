/*
 * The simulation of the books: board and ledger as they are, in one thread, with a clock, a disk, a network and dice of its own. Edges and
 * ledger are coroutines that can be held up, or killed, between any two of their accesses to the board. Everything that happens follows from
 * one number, the seed. test/simulation/README.md
 *
 * Tests only; one simulation a process, in `sim`.
 */
#ifndef SIMULATION_SIM_H
#define SIMULATION_SIM_H

#include "ledger/ledger_world.h"
#include "simulation/disk.h"
#include "simulation/faults.h"
#include "ticket/limit.h"

enum { SIM_ACCOUNTS = 9, /* the last is the mad edges' */
	SIM_MALLORY = SIM_ACCOUNTS - 1,
	SIM_SLOTS = 6,
	SIM_SLABS = 5, /* the world's own edge has the first, and does nothing */
	SIM_TICKETS = 7,
	SIM_OPEN = 12 };

/* What people do in this seed: by its number, not by dice, so that what another seed is about stays what it was. */
enum story { STORY_ANY,
	STORY_DEBT, /* two accounts pay in, spend, and want it back from their banks */
	STORY_GIFTS, /* what has a time, and is soon over */
	STORY_LIMITS, /* keys with limits of money, and a ledger that is killed between two of its moves */
	STORY_WINDOWS }; /* keys and accounts with limits that stop them, and that are over, changed and taken off */

struct sim_account {
	uint64_t id, key;
	char name[24], key_text[ID_TEXT_MAX];
	uint8_t hash[API_KEY_HASH_BYTES];
};

struct sim {
	struct world w;
	uint64_t seed, random, trace;
	uint64_t wall_us, mono_us, latest_us; /* latest: the wall clock at its highest */
	uint32_t step, steps;
	bool verbose;
	bool calm; /* nothing goes wrong any more */
	bool board_is_new; /* since the power went, and no ledger has begun on it */
	enum story story;
	bool wanted[FAULT_COUNT]; /* which kinds this seed is about */
	uint64_t *met; /* by kind, of all seeds; shared between processes */
	struct sim_account account[SIM_ACCOUNTS];
	const struct key_table *keys; /* as the edges map it */
};
extern struct sim sim;

/* ---- dice ---- */

uint64_t draw(void);
uint32_t below(uint32_t count);
/* One time in so many. */
bool one_in(uint32_t count);
/* This seed is about that fault, nothing is calm, and one time in so many. */
bool strikes(enum fault f, uint32_t count);
void met(enum fault f);

/* ---- what is told ---- */

void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The run ends: seed and step are told with it. */
_Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- actor.c: coroutines ---- */

struct actor;
/* mortal: it is the ledger's, and may become a ghost. */
struct actor *actor_create(bool mortal);
/* Begin run(arg); it stands at the first accesses to the board that are too many, or is done. accesses 0: to its end. */
void actor_start(struct actor *a, void (*run)(void *arg), void *arg, uint32_t accesses);
void actor_go_on(struct actor *a, uint32_t accesses);
bool actor_busy(const struct actor *a);
/* It never goes on. */
void actor_drop(struct actor *a);

/* ---- ghost.c: the ledger's death ---- */

/*
 * A killed ledger runs on as a ghost, so that its memory comes back: nothing that it does reaches the disk any more, and the board is put back
 * as it was at the kill. Killed at this call to the disk from now, or this access to the board; 0: not.
 */
void ghost_plan(uint32_t disk_calls, uint32_t accesses);
/* At this access of those that are made while a ticket of several legs is being given back. */
void ghost_plan_giving(uint32_t accesses);
void ghost_begin(void);
bool ghost_walks(void);
/* At a call to the disk; at an access. */
void ghost_at_disk(void);
void ghost_at_access(void);
/* The ledger's memory has gone: the board is as it was. */
void ghost_end(void);

/* ---- books.c: the model ---- */

void books_begin(void);
/* What the store has now, against the model: nothing that was seen before is gone, all that is new is explained, all balances are right. */
void books_look(void);
/* The ledger that was looked at is to be closed. */
void books_close(void);
/* Less than this is not available: the balance without all that is held, or may be. */
int64_t books_surely_free(int account);
int64_t books_balance(int account), books_owed(int account);

/* The same of the least of these windows; 0 also where nobody knows it. */
int64_t windows_surely_free(const uint64_t windows[LIMIT_BUDGETS_MAX]);
/* It has ended by the clock. */
bool window_is_over(uint64_t row);
/* These are all that an exchange of this account's key is under; in the middle of nothing. */
void windows_check_legs(int account, const uint64_t windows[LIMIT_BUDGETS_MAX]);

/* Exchanges: index of a new one. */
struct exchange_facts {
	uint64_t id;
	int account;
	uint64_t started_us, windows[LIMIT_BUDGETS_MAX]; /* of limits of money; 0: none */
	unsigned model;
	int64_t hold;
};
uint32_t books_reserve(const struct exchange_facts *f);
void books_held(uint32_t at), books_not_held(uint32_t at), books_extending(uint32_t at, int64_t hold), books_extended(uint32_t at, int64_t hold);
/* The edge says this cost (false: it has said enough, but for the last); has said it. */
bool books_states(uint32_t at, int64_t cost, bool last);
void books_stated(uint32_t at);
void books_settling(uint32_t at), books_settled(uint32_t at), books_forged(uint32_t at);
/* Its edge is dead; that is known, and the ledger sweeps it away with its next round. */
void books_orphan(uint32_t at, uint32_t slab), books_reaped(uint32_t slab);
/* The ledger has done a round. */
void books_round(void);
/* It begins one; it has written in it what those have cost that were held when it began: after a power cut they cost no less. */
void books_round_begins(void), books_progress_written(void);
/* The board is gone; the next ledger has begun on another. */
void books_power_cut(void), books_after_power_cut(void);
/* The id of one that is booked; 0: none is. */
uint64_t books_booked_id(int64_t *ret_cost);
/* All that was held is resolved, nothing is on its way; named: what is lost. */
void books_at_rest(void);
uint32_t books_forged_now(void);

/* ---- orders.c: who gives orders, and the way there ---- */

enum { ORDERS_MAX = 64 };
#define ORDER_FORMS(X) \
	X(ADJUST) \
	X(DEBIT) \
	X(TOP_UP) \
	X(REFUND) X(GRANT) X(TRANSFER) X(VOUCHER) X(REDEEM) X(VOUCHER_REVOKE) X(GRANT_REVOKE) X(HOLD) X(HOLD_SETTLE) X(HOLD_RELEASE) X(DISPUTE) \
		X(DISPUTE_WON) X(DISPUTE_LOST) X(REVOKE) X(LIMIT)
enum order_form {
#define X(NAME) FORM_##NAME,
	ORDER_FORMS(X)
#undef X
};

struct sim_order {
	enum order_form form;
	int a, b; /* accounts; b of a transfer */
	int64_t nano;
	uint32_t about; /* order whose item it is about */
	uint64_t item; /* that it made, once booked */
	int64_t booking; /* 0: not seen in the store */
	int64_t expires_s;
	uint64_t asked_us; /* the wall clock at its lowest when it came to the ledger; 0: it did not */
	bool answered, refused; /* for good */
	/* Of a limit: what of, and what a window that it begins has to begin with. */
	int kind;
	bool of_account;
	bool pending; /* it was asked for, and may be done */
	uint32_t window;
	int64_t least, most;
	char code[32]; /* of a voucher */
	char expires[24];
};
extern struct sim_order orders[ORDERS_MAX];
extern uint32_t order_count;

void orders_begin(void);
/* Somebody gives one, or gives one again that was not answered. */
void orders_give(void);
/* Something arrives at the ledger, which is up and not busy. False: nothing is on its way. Runs inside the ledger's actor. */
bool orders_arrive(void);
bool orders_all_answered(void);
/* Ask each that was not answered, in calm; inside the ledger's actor. */
void orders_finish(void);
bool key_must_be_revoked(int account);
/* A limit is to be changed; is changed, as the ledger says. */
void limit_asked(struct sim_order *o), limit_done(struct sim_order *o);

/* ---- edges.c ---- */

void edges_begin(void);
void edges_step(void);
/* Kill or hold up one; reap the dead. */
void edges_trouble(void);
/* All of them, by a power cut. */
void edges_power_cut(void);
/* A new generation; what is old ends with its last exchange. */
void edges_upgrade(void);
/* In calm: everybody goes on, ends what is open, and is gone. */
void edges_finish(void);
/* A request for a row arrives. False: there is none. Inside the ledger's actor. */
bool loads_arrive(void);

/* ---- life.c ---- */

/* Once, before the first seed. */
void life_prepare(void);
/* What happened, as a hash: the same each time. */
uint64_t life_run(uint64_t seed, uint32_t steps);
/* The ledger is up, in the middle of nothing, and knows all outcomes. */
bool life_quiet(void);
/* books_look(), where nothing fails meanwhile. */
void life_look(void);
/* Since its operation began. */
bool ledger_was_held_up(void);

#endif
