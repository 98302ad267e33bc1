/*
 * The second model: no hand-in sleeps. Steps as in the section "Hand-in and waking"; stores go
 * through x86 store buffers.
 */
#include "model/model.h"

#include <stdio.h>

#define WAKE_MISTAKES(X) \
	X(none, "") \
	X(no_recheck, "ledger announces that it sleeps, but does not look again") \
	X(plain_sleeping, "'sleeping' is stored without a full barrier") \
	X(plain_dirty, "the dirty bit is stored without a full barrier") \
	X(clear_late, "ledger clears the dirty bit after it looked at the ticket") \
	X(bit_first, "dirty bits before SETTLED") \
	X(summary_first, "edge sets the summary bit before the leaf bit") \
	X(leaf_first, "ledger takes the leaf before the summary") \
	X(no_death_call, "the supervisor does not wake the ledger when an edge died") \
	X(no_death_sweep, "ledger does not sweep the slab of a dead edge") \
	X(no_start_sweep, "a new ledger does not sweep")
enum {
#define X(name, what) W_##name,
	WAKE_MISTAKES(X)
#undef X
		WAKE_COUNT
};
static const struct {
	const char *name, *what;
} wake_mistakes[] = {
#define X(name, what) {#name, what},
	WAKE_MISTAKES(X)
#undef X
};
const size_t wake_mistakes_count = WAKE_COUNT;

const char *
wake_mistake_name(size_t m)
{
	return wake_mistakes[m].name;
}

const char *
wake_mistake_what(size_t m)
{
	return wake_mistakes[m].what;
}

struct wake {
	u8 edge[2], settled[2], leaf[2], dirty[2], dead[2], buffered_dirty[2], hand_ins[2]; /* dirty: the summary */
	u8 ledger, at, seen, todo, hint, sleeping, buffered_sleeping, eventfd, edge_kills, ledger_kills;
};
enum { E_WORK,
	E_LEAF,
	E_DIRTY,
	E_LOOK,
	E_CLAIM,
	E_CALL,
	E_DEAD,
	E_REAPED };
enum { W_SWEEP,
	W_COLLECT,
	W_LEAF,
	W_WORK,
	W_CLEAR,
	W_ANNOUNCE,
	W_RECHECK,
	W_WAIT,
	W_AWAKE };
static int wake_mut;

static int
wake_edge(struct wake *x, int e)
{
	switch (x->edge[e]) {
	case E_WORK:
		if (x->settled[e] || !x->hand_ins[e])
			return 0;
		x->hand_ins[e]--;
		if (wake_mut == W_bit_first)
			x->leaf[e] = 1;
		else
			x->settled[e] = 1;
		x->edge[e] = E_LEAF;
		return 1;
	case E_LEAF:
		if (wake_mut == W_bit_first || wake_mut == W_summary_first)
			x->dirty[e] = 1;
		else
			x->leaf[e] = 1;
		x->edge[e] = E_DIRTY;
		return 1;
	case E_DIRTY:
		if (wake_mut == W_bit_first)
			x->settled[e] = 1;
		else if (wake_mut == W_summary_first)
			x->leaf[e] = 1;
		else if (wake_mut == W_plain_dirty)
			x->buffered_dirty[e] = 1;
		else
			x->dirty[e] = 1;
		x->edge[e] = E_LOOK;
		return 1;
	case E_LOOK:
		x->edge[e] = x->sleeping ? E_CLAIM : E_WORK;
		return 1;
	case E_CLAIM:
		if (x->buffered_dirty[e]) {
			x->dirty[e] = 1;
			x->buffered_dirty[e] = 0;
		}
		x->edge[e] = x->sleeping ? E_CALL : E_WORK;
		x->sleeping = 0;
		return 1;
	case E_CALL:
		x->eventfd = 1;
		x->edge[e] = E_WORK;
		return 1;
	case E_DEAD:
		x->dead[e] = 1;
		x->edge[e] = E_REAPED;
		return 1;
	case E_REAPED:
		if (wake_mut != W_no_death_call)
			x->eventfd = 1;
		x->edge[e] = E_WORK;
		return 1;
	}
	return 0;
}

static int
wake_look(struct wake *x)
{
	int e = x->at;
	switch (x->ledger) {
	case W_SWEEP:
		if (wake_mut != W_no_start_sweep)
			x->settled[e] = 0;
		x->at ^= 1;
		x->ledger = e ? W_COLLECT : W_SWEEP;
		return 1;
	case W_COLLECT: /* summary (or, by mistake, leaf); a dead mark asks for a sweep of the whole slab */
		if (x->dead[e] && wake_mut != W_no_death_sweep) {
			x->seen = 1;
			x->todo |= 1 << e;
		}
		x->dead[e] = 0;
		x->ledger = W_LEAF;
		if (wake_mut == W_leaf_first) {
			x->hint = x->leaf[e];
			x->leaf[e] = 0;
			return 1;
		}
		x->hint = x->dirty[e];
		if (wake_mut != W_clear_late)
			x->dirty[e] = 0;
		return 1;
	case W_LEAF:
		if (wake_mut == W_leaf_first) {
			x->hint &= x->dirty[e];
			x->dirty[e] = 0;
		} else if (x->hint) {
			x->hint = x->leaf[e];
			if (wake_mut != W_clear_late)
				x->leaf[e] = 0;
		}
		if (x->hint) {
			x->seen = 1;
			x->todo |= 1 << e;
		}
		x->hint = 0;
		x->at ^= 1;
		x->ledger = e ? W_WORK : W_COLLECT;
		return 1;
	}
	return 0;
}

static int
wake_work(struct wake *x)
{
	int e = x->at;
	switch (x->ledger) {
	case W_WORK:
		if (x->todo & 1 << e)
			x->settled[e] = 0;
		x->ledger = W_CLEAR;
		return 1;
	case W_CLEAR:
		if (wake_mut == W_clear_late && x->todo & 1 << e)
			x->dirty[e] = x->leaf[e] = 0;
		x->todo &= ~(1 << e);
		x->at ^= 1;
		if (!e) {
			x->ledger = W_WORK;
			return 1;
		}
		x->ledger = x->seen ? W_COLLECT : W_ANNOUNCE;
		x->seen = 0;
		return 1;
	}
	return 0;
}

static int
wake_sleep(struct wake *x)
{
	int e = x->at;
	switch (x->ledger) {
	case W_ANNOUNCE:
		if (wake_mut == W_plain_sleeping)
			x->buffered_sleeping = 1;
		else
			x->sleeping = 1;
		x->ledger = wake_mut == W_no_recheck ? W_WAIT : W_RECHECK;
		return 1;
	case W_RECHECK:
		if (x->dirty[e]) {
			x->at = 0;
			x->ledger = W_AWAKE;
			return 1;
		}
		x->at ^= 1;
		x->ledger = e ? W_WAIT : W_RECHECK;
		return 1;
	case W_WAIT: /* a system call: the buffer drains */
		if (x->buffered_sleeping) {
			x->sleeping = 1;
			x->buffered_sleeping = 0;
			return 1;
		}
		if (!x->eventfd)
			return 0;
		x->eventfd = 0;
		x->ledger = W_AWAKE;
		return 1;
	case W_AWAKE:
		x->buffered_sleeping = 0;
		x->sleeping = 0;
		x->ledger = W_COLLECT;
		return 1;
	}
	return 0;
}

static int
wake_ledger(struct wake *x)
{
	return wake_look(x) || wake_work(x) || wake_sleep(x);
}

/* Acts: 0, 1 edges; 2 ledger; 3 to 5 a store buffer drains; 6 to 8 kills. */
static int
wake_step(struct wake *x, int act)
{
	int e = act % 3;
	if (act < 2)
		return wake_edge(x, act);
	if (act == 2)
		return wake_ledger(x);
	if (act < 5) {
		if (!x->buffered_dirty[e])
			return 0;
		x->dirty[e] = 1;
		x->buffered_dirty[e] = 0;
		return 1;
	}
	if (act == 5) {
		if (!x->buffered_sleeping)
			return 0;
		x->sleeping = 1;
		x->buffered_sleeping = 0;
		return 1;
	}
	if (act < 8) {
		if (!x->edge_kills || x->edge[e] >= E_DEAD)
			return 0;
		x->edge_kills--;
		x->edge[e] = E_DEAD;
		if (x->buffered_dirty[e]) {
			x->dirty[e] = 1;
			x->buffered_dirty[e] = 0;
		}
		return 1;
	}
	if (!x->ledger_kills)
		return 0;
	x->ledger_kills--;
	if (x->buffered_sleeping)
		x->sleeping = 1;
	x->ledger = x->at = x->seen = x->todo = x->hint = x->buffered_sleeping = 0;
	return 1;
}

static int
wake_explore(const struct wake *x)
{
	int moves = 0;
	for (int act = 0; act < 9; act++) {
		struct wake n = *x;
		u64 *place;
		if (!wake_step(&n, act))
			continue;
		transitions++;
		if (act < 6)
			moves = 1;
		if (visit(&n, sizeof(n), &place) && !(*place &= ~1ull, 0) && wake_explore(&n))
			return 1;
	}
	if (!moves)
		ends++;
	return !moves && (x->settled[0] || x->settled[1] || x->hand_ins[0] || x->hand_ins[1]);
}

int
run_wake(int m)
{
	struct wake x = {.hand_ins = {2, 2}, .edge_kills = 2, .ledger_kills = 2};
	u64 *place;
	wake_mut = m;
	clear_table();
	states = transitions = ends = 0;
	visit(&x, sizeof(x), &place);
	double t = now();
	int lost = wake_explore(&x);
	if (m)
		printf("wake %-14s %8llu states %5.1f s  %s\n", wake_mistakes[m].name, states, now() - t, lost ? "caught: sleeps on a hand-in" : "NOT CAUGHT");
	else
		printf("%-8s %12llu states %13llu steps %9llu ends, %28.1f s  %s\n", "wake", states, transitions, ends, now() - t,
			lost ? "sleeps on a hand-in" : "holds");
	return m ? !lost : lost;
}
