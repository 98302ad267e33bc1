#include "model/model.h"

/* What is not said here: use_world(). */
const struct world worlds[] = {
	{.name = "basic", .what = "reserve, extend, settle, book", .takes = 3, .extends = 1, .edge_kills = 1, .ledger_kills = 1},
	{.name = "kills", .what = "no extension, more kills", .takes = 3, .edge_kills = 2, .ledger_kills = 2},
	{.name = "late", .what = "as basic, late announcements", .takes = 3, .extends = 1, .edge_kills = 1, .ledger_kills = 1, .late = 1},
	{.name = "slab", .what = "1 edge with 2 tickets, batches of 2", .edges = 1, .per_edge = 2, .takes = 3, .extends = 1, .edge_kills = 2, .ledger_kills = 2},
	{.name = "money", .what = "credit and debit in between", .balance = {2}, .takes = 2, .edge_kills = 1, .ledger_kills = 1, .credits = 1, .debits = 1, .brief = 1},
	{.name = "reuse", .what = "2 accounts share 1 slot: evict, load, credit", .rows = 2, .max_hold = 1, .balance = {1, 1}, .takes = 2, .edge_kills = 1, .ledger_kills = 1, .credits = 1, .evicts = 2},
	{.name = "legs", .what = "account and budget together, rollback", .slots = 2, .rows = 2, .legs = 2, .balance = {3, 2}, .takes = 2, .extends = 1, .edge_kills = 1, .ledger_kills = 1, .brief = 1},
	{.name = "legs2", .what = "two legs, more kills", .slots = 2, .rows = 2, .legs = 2, .balance = {3, 2}, .takes = 2, .edge_kills = 2, .ledger_kills = 2},
	{.name = "budget", .what = "two legs, the budget is lowered below zero", .slots = 2, .rows = 2, .legs = 2, .balance = {3, 2}, .takes = 2, .edge_kills = 1, .ledger_kills = 1, .debits = 1, .soft = 1},
	{.name = "evict2", .what = "two legs, rollback, evict and load", .slots = 2, .rows = 2, .legs = 2, .max_hold = 2, .balance = {3, 1}, .takes = 2, .edge_kills = 1, .ledger_kills = 1, .evicts = 1, .brief = 1},
	{.name = "latelegs", .what = "two legs, late announcements", .slots = 2, .rows = 2, .legs = 2, .balance = {3, 2}, .takes = 2, .extends = 1, .edge_kills = 1, .ledger_kills = 1, .late = 1},
	{.name = "three", .what = "3 edges", .edges = 3, .max_hold = 1, .balance = {2}, .takes = 3, .edge_kills = 1, .ledger_kills = 1},
	{.name = "basic+", .what = "basic with 2 + 2 kills", .takes = 3, .extends = 1, .edge_kills = 2, .ledger_kills = 2, .wide = 1},
	{.name = "money+", .what = "money with extension and 2 + 2 kills", .balance = {2}, .takes = 2, .extends = 1, .edge_kills = 2, .ledger_kills = 2, .credits = 1, .debits = 1, .wide = 1},
	{.name = "reuse+", .what = "reuse with 3 takes", .rows = 2, .max_hold = 1, .balance = {1, 1}, .takes = 3, .edge_kills = 1, .ledger_kills = 1, .credits = 1, .evicts = 2, .wide = 1},
	{.name = "slots", .what = "2 accounts, 2 slots, evict and load", .slots = 2, .rows = 2, .max_hold = 1, .balance = {1, 1}, .takes = 2, .edge_kills = 1, .ledger_kills = 1, .credits = 1, .evicts = 2, .wide = 1},
	{.name = "legs+", .what = "two legs, extension, 2 + 2 kills, 3 takes", .slots = 2, .rows = 2, .legs = 2, .balance = {3, 2}, .takes = 3, .extends = 1, .edge_kills = 2, .ledger_kills = 2, .wide = 1},
};

const size_t worlds_count = sizeof(worlds) / sizeof(worlds[0]);
struct world w;
enum mistake mut;
int end_only, nt;
const char *broken;
u64 taken[64], killed_at[64];

const struct mistake_row mistakes[] = {
#define X(name, world, what) {#name, world, what},
	MISTAKES(X)
#undef X
};

const char *const kind_name[] = {"FREE", "TAKE", "HELD", "EXTEND", "UNDO", "SETTLED", "GIVE"};

const char *const pc_name[] = {
#define X(n) #n,
	PCS(X)
#undef X
};
const size_t pc_count = sizeof(pc_name) / sizeof(pc_name[0]);

void
use_world(const struct world *x)
{
	w = *x;
	if (!w.edges)
		w.edges = 2;
	if (!w.per_edge)
		w.per_edge = 1;
	if (!w.slots)
		w.slots = 1;
	if (!w.rows)
		w.rows = 1;
	if (!w.legs)
		w.legs = 1;
	if (!w.max_hold)
		w.max_hold = 2;
	if (!w.balance[0])
		w.balance[0] = 3;
}

/* ---- the rules ---- */

int
edge_of(int t)
{
	return t < w.edges * w.per_edge ? t / w.per_edge : -1;
}

int
delta_of(const struct ticket *t, int kind, int p)
{
	switch (kind) {
	case TAKE:
	case EXTEND:
		return t->hold[!p] - t->hold[p];
	case UNDO:
		return t->hold[p] - t->hold[!p];
	case GIVE:
		return t->hold[p] - t->cost;
	}
	return 0;
}

/* Has the pending move of this ticket landed? The whole recovery hangs on this question having an answer. */
int
landed(const struct state *s, int i)
{
	const struct ticket *t = &s->t[i];
	const struct slot *sl = &s->slot[t->slot[LEG(t->S)]];
	return !PENDING(t->S) || (sl->tag_t == i && sl->tag_seq == SEQ(t->S));
}

/* What the ticket keeps away from available on one leg, at this instant. */
static int
kept(const struct state *s, int i, int leg)
{
	const struct ticket *t = &s->t[i];
	int p = PAR(t->S), at = LEG(t->S), done = leg < at || (leg == at && landed(s, i));
	switch (KIND(t->S)) {
	case TAKE:
	case EXTEND:
		return done ? t->hold[p] : t->hold[!p];
	case HELD:
		return t->hold[p];
	case UNDO:
		return leg > at || (leg == at && landed(s, i)) ? t->hold[!p] : t->hold[p];
	case SETTLED:
		return t->hold[p] - (t->booked ? t->cost : 0);
	case GIVE:
		return done ? 0 : t->hold[p] - t->cost;
	}
	return 0;
}

static void
check_ticket(const struct state *s, int i, int *sum)
{
	const struct ticket *t = &s->t[i];
	int k = KIND(t->S);
	if (k == FREE)
		return;
	if (i < nt - 1 && k != TAKE && k != UNDO)
		RULE(0 <= t->cost && t->cost <= t->hold[PAR(t->S)], "B: cost within the hold");
	for (int l = 0; l < t->legs; l++) {
		int keep = kept(s, i, l);
		sum[t->slot[l]] += keep;
		if (keep && !end_only)
			RULE(s->slot[t->slot[l]].av != CLOSED && s->slot[t->slot[l]].id == t->row[l],
				"D: a live ticket's slot stays its own");
	}
}

static void
check_slot(const struct state *s, int i, int sum, int rest)
{
	const struct slot *sl = &s->slot[i];
	if (sl->av == CLOSED)
		return;
	RULE(sl->av >= 0 || (w.soft && sl->id == 1), "B: available not negative");
	if (!end_only || rest)
		RULE(sl->av == s->db[sl->id] - sum,
			rest ? "E: available == balance at rest" : "A: available == balance - kept");
	for (int j = 0; j < i; j++)
		RULE(s->slot[j].av == CLOSED || s->slot[j].id != sl->id, "D: one slot per account");
}

void
check(const struct state *s, int rest)
{
	int sum[MAX_SLOTS] = {0};
	for (int i = 0; i < nt; i++)
		check_ticket(s, i, sum);
	for (int i = 0; i < w.rows; i++)
		RULE(s->db[i] >= 0 || (w.soft && i == 1), "B: balance not negative");
	for (int i = 0; i < w.slots; i++)
		check_slot(s, i, sum[i], rest);
}
