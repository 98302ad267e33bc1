#include "ledger/away.h"
#include "ledger/give_way.h"
#include "ledger/ledger_priv.h"

#include <assert.h>

enum { COPIED_FIRST = 64,
	LOOK_MANY_MS = 50, /* at what other servers want: its process does so whenever it does not wait */
	IDLE_LOOK_MANY_MS = 100,
	WANTED_MS = 25, /* from one round to the next, where somebody waits for it */
	BACK_OFF_FIRST_MS = 50,
	BACK_OFF_MOST_MS = 2000,
	IDLE_WAIT_MS = 500 }; /* between looks at an idle board: a belt, whoever hands in wakes us */

static uint32_t
batch_window(const struct ledger *l)
{
	return l->o.batch_window_ms != 0 ? l->o.batch_window_ms : LEDGER_BATCH_WINDOW_MS;
}

void
ledger_change_gate(struct ledger *l, enum board_gate from, enum board_gate to)
{
	uint32_t was = from;
	atomic_compare_exchange_strong(board_gate(l->o.board), &was, (uint32_t)to);
}

/* ---- the store can't be written, and can again ---- */

static int
stall(struct ledger *l, uint64_t now_ms)
{
	if (l->back_off_ms == 0)
		ledger_event(l, EVENT_STORE_FAILED, (uint64_t)l->store.code, 0);
	ledger_change_gate(l, BOARD_OPEN, BOARD_STALLED);
	l->stats.store_failures++;
	l->back_off_ms = l->back_off_ms == 0 ? BACK_OFF_FIRST_MS : 2 * l->back_off_ms;
	if (l->back_off_ms > BACK_OFF_MOST_MS)
		l->back_off_ms = BACK_OFF_MOST_MS;
	l->round_due_ms = now_ms + l->back_off_ms;
	observe_round(l, now_ms);
	return -1;
}

static void
recover(struct ledger *l)
{
	if (l->back_off_ms == 0)
		return;
	l->back_off_ms = 0;
	ledger_change_gate(l, BOARD_STALLED, BOARD_OPEN);
	ledger_event(l, EVENT_STORE_BACK, 0, 0);
}

/* ---- a round ---- */

static void
collect(struct ledger *l)
{
	struct batch *b = l->batch;
	uint32_t quarantined = 0;
	b->count = 0;
	/* The first few, and where those were not all, the rest: who has thousands to copy has no time to look at the board for each few. */
	static const size_t upto[] = {COPIED_FIRST, BATCH_MAX};
	for (size_t i = 0; i < ARRAY_LEN(upto) && (i == 0 || b->count == upto[i - 1]); i++) {
		uint32_t more;
		b->count += board_collect(l->o.board, b->tickets + b->count, upto[i] - b->count, &more);
		quarantined += more;
		give_way();
	}
	for (size_t i = 0; i < b->count; i++)
		b->fates[i] = FATE_OPEN;
	if (quarantined == 0)
		return;
	l->stats.quarantined += quarantined;
	ledger_event(l, EVENT_QUARANTINED, quarantined, 0);
}

/* Not where so many tickets come in a millisecond that edges hardly rest either; nor where other servers wait for the same pen: there each look at the database is a rest. */
static bool
may_give_way(const struct ledger *l, uint64_t since_ms)
{
	enum { FEW = 512,
		FEW_A_MS = 10 };
	return (l->batch->count <= FEW || (l->batch->count < BATCH_MAX && l->batch->count <= FEW_A_MS * since_ms)) && (!l->store.many || l->away != NULL);
}

static int
give_back(struct ledger *l)
{
	struct batch *b = l->batch;
	int booked = 0;
	for (size_t i = 0; i < b->count; i++) {
		if (b->fates[i] == FATE_REFUSED)
			continue;
		if (b->fates[i] == FATE_DROPPED)
			board_credit_drop(l->o.board, b->tickets[i].index);
		else
			board_give_back(l->o.board, b->tickets[i].index);
		booked++;
	}
	b->count = 0;
	return booked;
}

static bool
chores(struct ledger *l, uint64_t now_ms)
{
	if (!progress_write(l, now_ms) || (!boot_is_new_board(l) && !boot_raise(l)))
		return false;
	if (l->away != NULL)
		return true;
	if (l->usage_due_ms == 0)
		l->usage_due_ms = now_ms + USAGE_PERIOD_MS;
	if (!usage_waits(&l->usage))
		return usage_follow(l, now_ms);
	if (now_ms < l->usage_due_ms && l->usage.count < USAGE_GROUPS_MAX)
		return true;
	l->usage_due_ms = now_ms + USAGE_PERIOD_MS;
	return usage_flush(l);
}

/* Progress waits neither for a window that is longer, nor for an idle ledger to wake. */
static uint64_t
soonest(uint64_t due_ms, uint64_t progress_ms)
{
	return due_ms < progress_ms ? due_ms : progress_ms;
}

/* Who waits for a round doesn't wait for the window's end; nobody shortens a back-off. */
static uint64_t
due_ms(const struct ledger *l)
{
	if (l->back_off_ms != 0 || !atomic_load(board_wanted(l->o.board)))
		return l->round_due_ms;
	return soonest(l->round_due_ms, l->round_ms + WANTED_MS);
}

int
ledger_round(struct ledger *l, uint64_t now_monotonic_ms)
{
	struct batch *b = l->batch;
	atomic_store(board_heartbeat_ms(l->o.board), now_monotonic_ms);
	if (l->back_off_ms != 0 && now_monotonic_ms < l->round_due_ms)
		return -1;
	uint64_t since_ms = now_monotonic_ms - l->round_ms;
	l->round_ms = now_monotonic_ms;
	atomic_store(board_wanted(l->o.board), 0); /* before it looks: who wants one from now on may be too late for this one */
	/* A batch whose outcome is unknown is booked again as it is, before anything else is looked at. */
	l->more = b->count != 0;
	if (!l->more)
		collect(l);
	l->more |= b->count == BATCH_MAX;
	give_way_allow(may_give_way(l, since_ms));
	if (b->count != 0 && !(l->away != NULL ? away_book(l) : batch_book(l)))
		return stall(l, now_monotonic_ms);
	int booked = give_back(l);
	give_way();
	if (!chores(l, now_monotonic_ms))
		return stall(l, now_monotonic_ms);
	recover(l);
	if (l->away != NULL)
		away_gate(l);
	atomic_fetch_add(board_rounds(l->o.board), 1);
	observe_round(l, now_monotonic_ms);
	l->idle = booked == 0 && l->progress.next >= l->progress.count;
	l->round_due_ms = l->more ? now_monotonic_ms : soonest(now_monotonic_ms + batch_window(l), progress_due_ms(l, now_monotonic_ms));
	return booked;
}

bool
ledger_drain(struct ledger *l)
{
	/* Not until a round finds nothing: edges that are busy hand in faster than that. */
	uint32_t most = board_ticket_count(l->o.board) / BATCH_MAX + 2;
	bool ok;
	do
		ok = ledger_round(l, clock_monotonic_ms()) >= 0;
	while (ok && l->more && --most > 0);
	return ok;
}

void
ledger_breathe(struct ledger *l)
{
	if (l->o.board == NULL || l->breathing)
		return;
	l->breathing = true;
	uint64_t now_ms = clock_monotonic_ms();
	atomic_store(board_heartbeat_ms(l->o.board), now_ms);
	if (now_ms >= due_ms(l))
		ledger_round(l, now_ms);
	l->breathing = false;
}

int
ledger_wait_ms(const struct ledger *l, uint64_t now_monotonic_ms)
{
	uint64_t at_ms = due_ms(l);
	if (ledger_may_sleep(l))
		at_ms = soonest(at_ms + IDLE_WAIT_MS, progress_due_ms(l, now_monotonic_ms));
	if (l->store.many)
		at_ms = soonest(at_ms, now_monotonic_ms + (ledger_may_sleep(l) ? IDLE_LOOK_MANY_MS : LOOK_MANY_MS));
	return now_monotonic_ms >= at_ms ? 0 : (int)(at_ms - now_monotonic_ms);
}

bool
ledger_may_sleep(const struct ledger *l)
{
	return l->idle && l->back_off_ms == 0 && l->batch->count == 0;
}

void
ledger_woken(struct ledger *l)
{
	l->idle = false;
}
