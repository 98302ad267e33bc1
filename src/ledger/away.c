#include "ledger/away.h"

#include "ledger/limit_priv.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_LEAST_MS = 500, /* until the next process looks whether the store is back: a quarter of the time that it has been away */
	LOOK_MOST_MS = 5000,
	LOOK_PART = 4 };

static int64_t
boot_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool
said(struct ledger *l, bool ok)
{
	if (!ok)
		l->store.code = outbox_code(l->away);
	return ok;
}

/* ---- while it is away ---- */

/* A board that a ledger has opened its gate over, with keys, limits and shares that are this node's for all that it has heard. */
static bool
has_shares(const struct ledger *l)
{
	struct board *b = l->o.board;
	return b != NULL && !boot_is_new_board(l) && atomic_load(board_many(b)) == BOARD_SHARES && atomic_load(board_gate(b)) != BOARD_STARTING;
}

static bool
begin(struct ledger *l)
{
	if (outbox_facts(l->away)->since_us != 0)
		return true;
	if (!outbox_begun(l->away, (int64_t)clock_wall_us(), boot_us(), (int64_t)(l->ceiling_ms + l->o.away_ms)))
		return false;
	ledger_event(l, EVENT_STORE_AWAY, l->o.away_ms / 1000, 0);
	return true;
}

static uint64_t
away_for_ms(const struct ledger *l)
{
	int64_t since_us = outbox_facts(l->away)->since_boot_us, us = boot_us() - since_us;
	return since_us != 0 && us > 0 ? (uint64_t)us / 1000 : 0;
}

/* Not for longer than the store was told, whatever the configuration says since: then another may have this node's number. */
static void
keep_to_what_was_told(struct ledger *l)
{
	uint64_t told = atomic_load(board_away(l->o.board));
	if (told != 0 && told - 1 < l->o.away_ms)
		l->o.away_ms = told - 1;
}

bool
away_open(struct ledger *l, char why[STORE_WHY_MAX])
{
	if (!l->store.unreachable || !has_shares(l))
		return false;
	keep_to_what_was_told(l);
	if (l->o.away_ms == 0)
		return false;
	l->away = outbox_open(l->o.data_dir, l->o.node, (int64_t)atomic_load(board_store(l->o.board)), why);
	if (l->away == NULL)
		return false;
	store_open_away(&l->store, l->o.node);
	l->batch->node = l->o.node;
	observe_recall(l);
	snprintf(why, STORE_WHY_MAX, "out of memory");
	return ledger_attach_board(l);
}

static void
plan_look(struct ledger *l)
{
	uint64_t wait_ms = away_for_ms(l) / LOOK_PART;
	wait_ms = wait_ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : wait_ms;
	if (l->away_until_ms == 0)
		l->away_until_ms = clock_monotonic_ms() + (wait_ms < LOOK_MOST_MS ? wait_ms : LOOK_MOST_MS);
}

/* Nothing is loaded and nothing is evicted. */
static bool
no_balance(void *arg, uint64_t row, struct nano *ret)
{
	return false;
}

bool
away_start(struct ledger *l)
{
	struct board *b = l->o.board;
	atomic_store(board_heartbeat_ms(b), clock_monotonic_ms());
	board_sweep_start(b);
	board_set_balance(b, no_balance, NULL);
	l->floor_ms = atomic_load(board_id_floor_ms(b));
	l->ceiling_ms = atomic_load(board_id_ceiling_ms(b));
	plan_look(l);
	return said(l, begin(l)) && ledger_drain(l);
}

bool
away_is_over(const struct ledger *l, uint64_t now_ms)
{
	return l->away != NULL && now_ms >= l->away_until_ms;
}

/* What it was handed by the board and does not keep lies there for the ledger that finds the store again. */
static bool
settle_one(struct ledger *l, struct batch *b, size_t i)
{
	enum outbox_put put = OUTBOX_OTHER;
	bool order = board_is_ledger_ticket(l->o.board, b->tickets[i].index);
	if (!order && batch_is_sound(&b->tickets[i]) && !outbox_settle(l->away, &b->tickets[i], &put))
		return false;
	b->fates[i] = put == OUTBOX_PUT ? FATE_BOOKED : put == OUTBOX_THERE ? FATE_KNOWN
																		: FATE_REFUSED;
	return true;
}

static void
take_note(struct ledger *l, const struct batch *b)
{
	uint64_t refused = 0;
	for (size_t i = 0; i < b->count; i++) {
		const struct ticket_copy *t = &b->tickets[i];
		bool order = board_is_ledger_ticket(l->o.board, t->index);
		refused += b->fates[i] == FATE_REFUSED && !order;
		if (!order && ticket_id_unix_ms(t->id) > l->newest_ticket_ms)
			l->newest_ticket_ms = ticket_id_unix_ms(t->id);
	}
	l->stats.quarantined += refused;
	if (refused != 0)
		ledger_event(l, EVENT_QUARANTINED, refused, 0);
}

bool
away_book(struct ledger *l)
{
	struct batch *b = l->batch;
	bool ok = outbox_begin(l->away);
	for (size_t i = 0; ok && i < b->count; i++)
		ok = settle_one(l, b, i);
	if (!said(l, outbox_end(l->away, ok)))
		return false;
	take_note(l, b);
	return true;
}

void
away_gate(struct ledger *l)
{
	const struct outbox_facts *f = outbox_facts(l->away);
	enum outbox_shut shut = OUTBOX_TAKES;
	if (away_for_ms(l) >= l->o.away_ms)
		shut = OUTBOX_OVER;
	else if ((uint64_t)f->requests >= l->o.away_requests)
		shut = OUTBOX_FULL;
	ledger_change_gate(l, shut == OUTBOX_TAKES ? BOARD_STALLED : BOARD_OPEN, shut == OUTBOX_TAKES ? BOARD_OPEN : BOARD_STALLED);
	if ((int64_t)shut == f->shut || !outbox_say_shut(l->away, shut))
		return; /* not written: it is said again */
	if (shut != OUTBOX_TAKES)
		ledger_event(l, shut == OUTBOX_FULL ? EVENT_OUTBOX_FULL : EVENT_OUTBOX_OVER, (uint64_t)f->requests, 0);
}

uint32_t
away_load(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot)
{
	if (row == 0 || !board_find(l->o.board, row, ret_slot))
		return ROW_NOT_NOW;
	int64_t there = board_available(l->o.board, *ret_slot).v;
	return there > 0 && there >= need_nano ? ROW_LOADED : ROW_NOT_NOW;
}

/* ---- who asks at the control socket ---- */

json_t *
away_refuses(void)
{
	return control_error("store_away", "PostgreSQL can't be reached: this server goes on with its shares of the balances, and what it settles waits in its outbox; nothing else can be read or "
									   "changed until PostgreSQL is back (`lethe status` and `lethe node list` say how much waits)");
}

json_t *
away_node_list(struct ledger *l)
{
	const struct outbox_facts *f = outbox_facts(l->away);
	json_t *answer = control_ok(), *rows = json_array(), *row = json_object();
	json_object_set_new(row, "node", json_integer(l->o.node));
	json_object_set_new(row, "state", json_string(f->shut == OUTBOX_TAKES ? "cut off" : "shut"));
	json_object_set_new(row, "fence", json_null());
	json_object_set_new(row, "joined", json_null());
	control_put_time(row, "seen", f->since_us);
	json_object_set_new(row, "waiting_batches", json_integer(f->batches));
	json_object_set_new(row, "waiting_requests", json_integer(f->requests));
	json_array_append_new(rows, row);
	json_object_set_new(answer, "rows", rows);
	return answer;
}

/* ---- it is back ---- */

/* Windows that are long over are forgotten by whoever begins a new one, and nothing counts in them any more. False: the store failed. */
static bool
keep_windows(struct ledger *l, struct ticket_copy *t)
{
	uint8_t kept = 0;
	for (uint8_t k = 0; k < t->legs; k++) {
		struct nano left;
		enum sql_step step = t->row[k] & LIMIT_BUDGET_ROW ? budget_read(l, t->row[k], &left) : SQL_ROW;
		if (step == SQL_FAILED)
			return false;
		if (step == SQL_ROW)
			t->row[kept++] = t->row[k];
	}
	t->legs = kept;
	return true;
}

static bool
without_windows(struct ledger *l, struct batch *b)
{
	batch_keep_refused(b);
	for (size_t i = 0; i < b->count; i++)
		if (!keep_windows(l, &b->tickets[i]))
			return false;
	return b->count == 0 || batch_book(l);
}

/* The store will have none of them, also for nothing: their account is not in it, or their id is another's. */
static bool
put_aside(struct outbox *o, struct batch *b)
{
	bool ok = true;
	batch_keep_refused(b);
	for (size_t i = 0; ok && i < b->count; i++)
		ok = outbox_put_aside(o, (int64_t)b->tickets[i].id);
	return ok;
}

/* Booked by their ids, once, whatever of it was done before. What the store still refuses to charge was settled by `lethe node forget`. */
static bool
forward_settled(struct ledger *l, struct outbox *o)
{
	struct batch *b = l->batch;
	int count;
	while ((count = outbox_read_settled(o, 0, b->tickets, BATCH_MAX)) > 0) {
		int64_t last = (int64_t)b->tickets[count - 1].id;
		atomic_store(board_heartbeat_ms(l->o.board), clock_monotonic_ms());
		b->count = (size_t)count;
		memset(b->fates, FATE_OPEN, b->count);
		if (!batch_book(l) || !late_settle(l, b) || !without_windows(l, b) || !progress_free_of_charge(l, b, END_NODE_FORGOTTEN) || !put_aside(o, b) || !outbox_drop_settled(o, last))
			return false;
		b->count = 0;
	}
	return count == 0;
}

/* As if it had been written there when it was written here. */
static bool
forward_progress(struct ledger *l, struct outbox *o)
{
	struct batch *b = l->batch; /* its room */
	int64_t after = 0;
	int count;
	while ((count = outbox_read_progress(o, after, b->tickets, BATCH_MAX)) > 0) {
		if (!store_begin(&l->store) || !store_end(&l->store, progress_put(l, b->tickets, (size_t)count)))
			return false;
		after = (int64_t)b->tickets[count - 1].id;
	}
	return count == 0;
}

/* No later boot gives out an id that this one may have; its node's number may be another by now. */
static bool
forward_ceiling(struct ledger *l, const struct outbox *o)
{
	struct query *st = store_sql(&l->store, SQL_boot_raise);
	sql_bind(st, outbox_facts(o)->ceiling_ms, outbox_facts(o)->node);
	return outbox_facts(o)->ceiling_ms == 0 || sql_done(&l->store, st);
}

bool
away_forward(struct ledger *l)
{
	char why[STORE_WHY_MAX];
	if (l->store.node < 0 || !outbox_exists(l->o.data_dir))
		return true;
	struct outbox *o = outbox_open(l->o.data_dir, l->store.node, l->store.identity, why);
	if (o == NULL)
		return false;
	int64_t waited = outbox_facts(o)->requests;
	bool any = waited != 0 || outbox_facts(o)->since_us != 0;
	bool ok = forward_settled(l, o) && forward_progress(l, o) && forward_ceiling(l, o) && outbox_drop_rest(o);
	l->batch->count = 0;
	if (!ok) {
		outbox_close(&o);
		return false;
	}
	outbox_remove(&o, l->o.data_dir);
	if (any)
		ledger_event(l, EVENT_STORE_REACHED, (uint64_t)waited, 0);
	return true;
}

/* Books in a file have no outbox: what waits there is PostgreSQL's. */
static bool
nothing_waits(const struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	struct outbox_facts f;
	bool read = outbox_look(l->o.data_dir, &f);
	if (read && f.requests + f.running == 0)
		return true;
	if (read)
		snprintf(ret_why, STORE_WHY_MAX, "%.90s/outbox.db has %lld requests that are not booked yet, and they belong to PostgreSQL: start it with its `--store` (is that gone, put the file elsewhere)", l->o.data_dir,
			(long long)(f.requests + f.running));
	else
		snprintf(ret_why, STORE_WHY_MAX, "%.120s/outbox.db can't be read, and may have requests that are not booked: see what it is, and put it elsewhere", l->o.data_dir);
	return false;
}

bool
away_fits(const struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	if (l->o.board == NULL || !outbox_exists(l->o.data_dir))
		return true;
	if (l->store.node < 0)
		return nothing_waits(l, ret_why);
	struct outbox *o = outbox_open(l->o.data_dir, l->store.node, l->store.identity, ret_why);
	bool fits = o != NULL;
	outbox_close(&o);
	return fits;
}
