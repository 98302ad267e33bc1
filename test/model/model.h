/*
 * The ticket protocol as a model: every order of steps of a few processes, and every kill.
 * docs/ticket-protocol.md in the smallest numbers that show each of its rules. Test program only;
 * all state is static.
 *
 * One step here is one access to shared memory, one transaction of the database, or one act of the
 * supervisor. Between any two steps any process may be killed: its private state (struct proc) is
 * zeroed, shared memory and database stay. All budgets are finite and every retry needs another
 * process' progress, so the graph must have no cycle (checked); then every run ends, and every end
 * must be quiet.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stddef.h>

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef unsigned long long u64;

enum { MAX_EDGES = 3,
	MAX_TICKETS = 4,
	MAX_SLOTS = 2,
	MAX_ROWS = 3,
	MAX_LEGS = 2,
	NONE = 0xff,
	CLOSED = -100 };

/* ---- the world: sizes and budgets ---- */
struct world {
	const char *name, *what;
	int edges, per_edge; /* the ledger's own ticket comes last */
	int slots, rows, legs, max_hold;
	int balance[MAX_ROWS];
	int takes, extends, edge_kills, ledger_kills, credits, debits, evicts;
	int late; /* announcements become visible as late as x86 allows: just before the swap */
	int soft; /* row 1 is a budget: the ledger may lower it below zero */
	int brief; /* also in the short form */
	int wide; /* only with -W: minutes, gigabytes (-b 31) */
};

extern const struct world worlds[];
extern const size_t worlds_count;
extern struct world w; /* the one that is walked */
void use_world(const struct world *x);

/* ---- mistakes made on purpose ---- */
#define MISTAKES(X) \
	X(none, "basic", "") \
	X(no_intent, "basic", "edge takes the money before the ticket says so") \
	X(assume_taken, "basic", "recovery takes a pending TAKE for done") \
	X(assume_not_taken, "basic", "recovery takes a pending TAKE for not done") \
	X(no_help, "basic", "the mover before is not marked done ahead of replacing its tag") \
	X(help_after, "basic", "the mover before is marked done only after its tag is replaced") \
	X(land_order, "basic", "recovery reads the ticket first, the tag second") \
	X(free_before_give, "basic", "ledger frees the ticket, then gives back") \
	X(give_before_book, "basic", "ledger gives back, then books") \
	X(book_twice, "basic", "booking is not idempotent") \
	X(give_again, "basic", "a restarted ledger gives back without asking whether it landed") \
	X(no_tag, "basic", "compare-and-swap on available alone (64 bits)") \
	X(reuse_seq, "kills", "sequence number starts again with each use of a ticket") \
	X(hold_in_place, "basic", "extension overwrites the hold instead of writing the other one") \
	X(cost_first, "basic", "cost is raised above the hold before the extension landed") \
	X(late_cost, "basic", "edge writes the cost after SETTLED") \
	X(word_before_fields, "basic", "state word is stored before the fields") \
	X(edge_wipes, "basic", "a new edge wipes its slab") \
	X(no_incarnation, "basic", "the dead are told from the living by edge number only") \
	X(dead_early, "basic", "an edge is declared dead before it is reaped") \
	X(two_ledgers, "basic", "a successor ledger starts while its predecessor still runs") \
	X(credit_no_ticket, "money", "top-up: commit, then add, with no ticket") \
	X(credit_first, "money", "top-up: add, then commit") \
	X(debit_blind, "money", "refund is booked without a hold") \
	X(evict_busy, "reuse", "evict without asking for available == balance") \
	X(evict_store, "reuse", "evict by check and store instead of compare-and-swap") \
	X(evict_no_help, "evict2", "evict without marking the mover before done") \
	X(load_same_tag, "reuse", "evict and load write the same tag each time") \
	X(id_before_tag, "reuse", "owner of the slot is read before the tag") \
	X(zero_hold, "reuse", "a hold of 0 is allowed") \
	X(work_first, "reuse", "a restarted ledger loads, evicts, credits before its sweep") \
	X(undo_no_intent, "legs2", "rollback gives back without saying so in the ticket") \
	X(undo_forgets, "legs", "recovery of a half reserved ticket frees it") \
	X(undo_all, "legs", "recovery of a half reserved ticket gives back all legs")
enum mistake {
#define X(name, world, what) M_##name,
	MISTAKES(X)
#undef X
		MISTAKES_COUNT
};
struct mistake_row {
	const char *name, *world, *what;
};
extern const struct mistake_row mistakes[];
extern enum mistake mut; /* the one that is made */
extern int end_only; /* only the end counts */

/* ---- state ---- */
enum kind { FREE,
	TAKE,
	HELD,
	EXTEND,
	UNDO,
	SETTLED,
	GIVE };
extern const char *const kind_name[];
/*
 * The state word of a ticket: seq 8 | kind 4 | leg 2 | p 1 | pending 1. hold[p] is the hold in
 * force.
 */
#define WORD(seq, kind, leg, p, pend) ((u16)((u8)(seq) << 8 | (kind) << 4 | (leg) << 2 | (p) << 1 | (pend)))
#define SEQ(S) ((u8)((S) >> 8))
#define KIND(S) (((S) >> 4) & 15)
#define LEG(S) (((S) >> 2) & 3)
#define PAR(S) (((S) >> 1) & 1)
#define PENDING(S) ((S)&1)

struct ticket {
	u16 S;
	i8 hold[2], cost;
	u8 owner, id, legs; /* owner: incarnation of the edge; id: seq at TAKE */
	u8 row[MAX_LEGS], slot[MAX_LEGS];
	u8 known, booked; /* ghosts: edge stored HELD; times in the database */
	i8 stated, booked_cost; /* ghosts: what the edge last said; what the database has */
};
struct slot {
	i8 av;
	u8 id, tag_t, tag_seq;
}; /* av, tag_t, tag_seq: one 128-bit word */
struct proc {
	u8 pc, t, leg, kind, seq, p, a, b;
	u8 tag_t, tag_seq;
	i8 av;
	u8 pad;
	u16 S;
};
struct state {
	struct slot slot[MAX_SLOTS];
	struct ticket t[MAX_TICKETS];
	struct proc pr[MAX_EDGES + 2]; /* edges, ledger, (mistake only) the ledger before */
	i8 db[MAX_ROWS];
	u8 inc[MAX_EDGES], dead[MAX_EDGES], counter;
	u8 sweep, nb, batch[2], bi; /* ledger's private; zeroed with it */
	u8 takes, extends, edge_kills, ledger_kills, credits, debits, evicts;
};
extern int nt; /* tickets in this world; the ledger's is nt - 1 */
#define L (w.edges) /* the ledger's place in pr[] */

#define PCS(X) \
	X(IDLE) \
	X(DEAD) \
	X(REAPED) \
	X(FILL) X(TAKE) X(M_ID0) X(M_TAG) X(M_ID) X(M_AV) X(M_PREV) X(M_HELP) X(M_SAY) \
		X(M_CAS) X(M_LATE) X(KNOW) X(REFUSED) X(UNDO) X(UNDONE) X(RUN) X(XTEND) X(XHELD) X(XBACK) X(SETTLE) X(LATE) \
			X(L_SWEEP) X(L_IDLE) X(L_BATCH) X(L_COMMIT) X(L_GIVE0) X(L_GIVE) X(L_FREE) X(L_LAND) X(L_LAND2) X(L_SETTLE) \
				X(L_CSET) X(L_DTAKE) X(L_DSET) X(L_ADD) X(L_CDB) X(EV_TAG) X(EV_AV) X(EV_PREV) X(EV_HELP) X(EV_COUNT) \
					X(EV_CAS) X(LD_ID) X(LD_COUNT) X(LD_OPEN) X(STALE_FREE) X(STALE_GIVE)
enum pc {
#define X(n) P_##n,
	PCS(X)
#undef X
};
extern const char *const pc_name[];
extern const size_t pc_count;

extern const char *broken; /* the first rule that did not hold */
extern u64 taken[64], killed_at[64]; /* coverage: steps taken, kills just before a step */
#define RULE(cond, text) \
	do { \
		if (!(cond) && !broken) \
			broken = (text); \
	} while (0)

/* model_rules.c */
int edge_of(int t);
int delta_of(const struct ticket *t, int kind, int p);
int landed(const struct state *s, int i);
void check(const struct state *s, int rest);

/* model_edge.c: steps of edges, and those that a ledger shares with them. */
void rest_proc(struct proc *q, int pc);
void ledger_next(struct state *s, struct proc *q);
void announce(struct state *s, struct proc *q, int kind, int leg, int p);
void free_ticket(struct state *s, int i);
int move_step(struct state *s, struct proc *q);
int edge_step(struct state *s, struct proc *q, int e, int c);

/* model_ledger.c */
int ledger_step(struct state *s, struct proc *q, int c);
int stale_step(struct state *s, struct proc *q, int c);

/* model_system.c: everybody together. ACTS: a step and a kill of each. */
#define ACTS (2 * (w.edges + 2))
void start(struct state *s);
int at_rest(const struct state *s);
/*
 * Successor number (who, kind of act, choice). 1 made, 0 no more choices for this act, -1 not
 * possible.
 */
int successor(const struct state *s, struct state *n, int act, int c);

/* model.c: the table of states that were seen. */
extern u64 states, transitions, ends;
int visit(const void *s, size_t bytes, u64 **place);
void clear_table(void);
double now(void);

/* model_wake.c: the second model. No hand-in sleeps; stores go through x86 store buffers. */
enum { WAKE_NONE = 0 };
extern const size_t wake_mistakes_count;
const char *wake_mistake_name(size_t m);
const char *wake_mistake_what(size_t m);
int run_wake(int m);

#endif
