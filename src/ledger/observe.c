#include "ledger/ledger_priv.h"

#include "core/ipc.h"
#include "ledger/outbox.h"
#include "ledger/postgres_doctor.h"
#include "ledger/store_kind.h"
#include "ticket/messages.h"

#include <string.h>

enum { BALANCES_PERIOD_MS = 1000,
	STORE_PERIOD_MS = 60000 };

static void
set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
add(_Atomic uint64_t *word, uint64_t n)
{
	set(word, get(word) + n);
}

#define OBSERVE(histogram, bounds, value) \
	do { \
		uint64_t observed = (value); \
		add(&(histogram).bucket[tally_bucket((bounds), ARRAY_LEN(bounds), observed)], 1); \
		add(&(histogram).sum, observed); \
	} while (0)

/* ---- tickets ---- */

static void
add_ticket(struct ledger *l, const struct ticket_copy *t, int64_t booking)
{
	tally_add(l->o.tally, &t->facts, t->cost);
}

void
observe_recall(struct ledger *l)
{
	if (!l->o.tally)
		return;
	const struct tally_ledger *s = tally_ledger(l->o.tally);
	l->before = (struct ledger_stats){
		.quarantined = get(&s->quarantined),
		.mismatched = get(&s->mismatched),
		.interrupted = get(&s->interrupted),
		.store_failures = get(&s->store_failures),
		.events_lost = get(&s->events_lost),
	};
}

bool
observe_open(struct ledger *l)
{
	struct tally *t = l->o.tally;
	if (!t)
		return true;
	int64_t last = l->next_booking - 1, from = tally_booking(t);
	observe_recall(l);
	if (from < 0) {
		tally_begin(t, last);
		return true;
	}
	tally_recover(t);
	if (from == last)
		return true;
	if (!tickets_after(l, from, add_ticket))
		return false;
	tally_publish(t, last);
	tally_recover(t);
	return true;
}

static void
observe_hand_in(struct tally_ledger *s, const struct ticket_facts *f, uint64_t now_us)
{
	uint64_t end_us = f->started_us + f->duration_ms * 1000ULL;
	OBSERVE(s->hand_in, tally_hand_ins, now_us > end_us ? (now_us - end_us) / 1000 : 0);
}

static void
add_batch(struct ledger *l, int64_t booking)
{
	const struct batch *b = l->batch;
	for (size_t i = 0; i < b->count; i++)
		if (b->fates[i] == FATE_BOOKED)
			add_ticket(l, &b->tickets[i], booking);
}

/* A full pipe loses spans, not bookings; the next one says how many. */
static void
tell_spans(struct ledger *l)
{
	const struct batch *b = l->batch;
	struct message_span m = MESSAGE_INIT(SPAN, message_span);
	if (!l->o.spans || l->scribe_fd < 0)
		return;
	for (size_t i = 0; i < b->count; i++) {
		if (b->fates[i] != FATE_BOOKED)
			continue;
		m.ticket = b->tickets[i].id;
		m.cost_nano = (uint64_t)b->tickets[i].cost.v;
		m.lost = l->spans_lost;
		m.facts = b->tickets[i].facts;
		if (ipc_send(l->scribe_fd, &m, sizeof m, -1) != IPC_OK)
			l->spans_lost++;
	}
}

void
observe_batch(struct ledger *l, int64_t booking, uint64_t commit_us)
{
	const struct batch *b = l->batch;
	if (b->inserted > 0)
		tell_spans(l);
	if (!l->o.tally || b->inserted == 0)
		return;
	add_batch(l, booking);
	tally_publish(l->o.tally, booking);
	add_batch(l, booking);
	struct tally_ledger *s = tally_ledger(l->o.tally);
	uint64_t now_us = clock_wall_us();
	for (size_t i = 0; i < b->count; i++)
		if (b->fates[i] == FATE_BOOKED && b->tickets[i].facts.parent == 0)
			observe_hand_in(s, &b->tickets[i].facts, now_us);
	OBSERVE(s->commit, tally_commits, commit_us);
	OBSERVE(s->batch, tally_batches, b->inserted);
}

/* ---- the board ---- */

void
observe_ticket(struct ledger *l, uint32_t index)
{
	struct observed *o = &l->observed;
	struct board_look look;
	if (index == 0)
		memset(o->looked, 0, sizeof o->looked);
	board_look_at(l->o.board, index, &look);
	if (look.edge < BOARD_EDGES_MAX)
		o->looked[look.edge][look.state]++;
}

void
observe_swept(struct ledger *l)
{
	if (!l->o.tally)
		return;
	struct tally_ledger *s = tally_ledger(l->o.tally);
	struct board_size size;
	board_size_of(l->o.board, &size);
	for (uint32_t e = 0; e < size.edges; e++)
		for (int state = 0; state < BOARD_STATE_COUNT; state++)
			set(&s->tickets[e][state], l->observed.looked[e][state]);
}

/* ---- the ledger itself ---- */

bool
observe_balances(struct ledger *l, int64_t ret_house[HOUSE_COUNT], int64_t *ret_customers)
{
	struct query *st = store_sql(&l->store, SQL_house_balances);
	sql_bind(st, HOUSE_COUNT - 1);
	int64_t house[HOUSE_COUNT] = {0};
	__int128 sum = 0; /* each is within four billion dollars, more or less: three of them together are more than 64 bits */
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		int64_t nano = sql_int(st, 1);
		house[sql_int(st, 0)] = nano;
		sum += nano;
	}
	if (step != SQL_END)
		return false;
	memcpy(ret_house, house, sizeof house);
	*ret_customers = -sum > INT64_MAX ? INT64_MAX : (int64_t)-sum; /* INV-9: all postings together are zero */
	return true;
}

static void
publish_balances(struct ledger *l, struct tally_ledger *s, uint64_t now_ms)
{
	int64_t house[HOUSE_COUNT], customers;
	struct observed *o = &l->observed;
	if (now_ms < o->due_ms)
		return;
	o->due_ms = now_ms + BALANCES_PERIOD_MS;
	if (!observe_balances(l, house, &customers))
		return; /* asked again in a second */
	set(&s->customers_nano, (uint64_t)customers);
	for (int i = 0; i < HOUSE_COUNT; i++)
		atomic_store_explicit(&s->house_nano[i], house[i], memory_order_relaxed);
}

/* Who finds the store again books all that waits before its first round. */
static void
publish_outbox(const struct ledger *l, struct tally_ledger *s)
{
	static const struct outbox_facts none;
	const struct outbox_facts *f = l->away != NULL ? outbox_facts(l->away) : &none;
	set(&s->outbox_waiting, (uint64_t)f->requests);
	set(&s->outbox_oldest_s, outbox_age_s(f, clock_wall_us()));
}

void
observe_round(struct ledger *l, uint64_t now_ms)
{
	if (!l->o.tally)
		return;
	struct tally_ledger *s = tally_ledger(l->o.tally);
	struct board_size size;
	board_size_of(l->o.board, &size);
#define COUNT(name) set(&s->name, l->before.name + l->stats.name)
	COUNT(quarantined);
	COUNT(mismatched);
	COUNT(interrupted);
	COUNT(store_failures);
	COUNT(events_lost);
#undef COUNT
	set(&s->accepting, atomic_load(board_gate(l->o.board)) == BOARD_OPEN);
	set(&s->last_round_ms, clock_wall_us() / 1000);
	set(&s->slots, size.slots);
	set(&s->slots_used, board_slots_used(l->o.board));
	set(&s->keys, key_table_count(l->o.keys));
	publish_outbox(l, s);
	publish_balances(l, s, now_ms);
}

_Static_assert(FINDING_OK == (int)FACT_OK && FINDING_WARN == (int)FACT_WARN && FINDING_BAD == (int)FACT_BAD, "states are one");

void
observe_store(struct ledger *l, uint64_t now_ms)
{
	struct store_finding found[POSTGRES_FINDING_COUNT] = {[POSTGRES_REACHED] = {.state = FINDING_BAD}};
	bool reached = l->away == NULL && !l->store.lost;
	if (!l->o.tally || (reached && now_ms < l->observed.store_due_ms))
		return;
	l->observed.store_due_ms = reached ? now_ms + STORE_PERIOD_MS : 0;
	size_t count = reached ? store_examine(&l->store, found) : 1;
	struct tally_ledger *s = tally_ledger(l->o.tally);
	for (size_t i = 0; i < count; i++) {
		set(&s->store[i].state, found[i].state);
		set(&s->store[i].number, found[i].number);
	}
	set(&s->store_facts, count);
}

const struct process_counters *
observe_processes(const struct ledger *l)
{
	struct board_size size;
	board_size_of(l->o.board, &size);
	return l->o.counters ? (const void *)((const char *)l->o.counters + size.edges * l->o.counters_stride) : NULL;
}

bool
observe_edge_runs(const struct ledger *l, uint32_t edge)
{
	const struct process_counters *p = observe_processes(l);
	if (!p)
		return true;
	for (uint64_t i = 0; i < get(&p->count) && i < PROCESSES_MAX; i++)
		if (get(&p->process[i].role) == END_OF_EDGE && get(&p->process[i].instance) == edge)
			return true;
	return false;
}

uint32_t
observe_edges_running(const struct ledger *l)
{
	struct board_size size;
	uint32_t count = 0;
	board_size_of(l->o.board, &size);
	for (uint32_t e = 0; e < size.edges; e++)
		count += observe_edge_runs(l, e);
	return count;
}

bool
observe_adopt(struct ledger *l, struct tally *t)
{
	struct tally *old = l->o.tally;
	if (!t || !old) {
		l->o.tally = t;
		return true;
	}
	int64_t last = l->next_booking - 1;
	if (tally_booking(t) < 0) {
		tally_carry(t, old);
		l->o.tally = t;
		return true;
	}
	/* One that was in use before: the new generation could not be started. It has missed something. */
	tally_recover(t);
	tally_carry_ledger(t, old);
	l->o.tally = t;
	if (tally_booking(t) == last)
		return true;
	if (!tickets_after(l, tally_booking(t), add_ticket)) {
		l->o.tally = old;
		return false;
	}
	tally_publish(t, last);
	tally_recover(t);
	return true;
}
