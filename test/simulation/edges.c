/* Edges: they hold, extend, state costs, hand in; they are held up and die between any two accesses to the board; some are mad. */
#include "simulation/sim.h"

#include "ticket/end_reasons.h"
#include "ticket/endpoints.h"
#include "ticket/limit.h"

#include <stdlib.h>
#include <string.h>

enum { HINTS = 16,
	LOADS_MAX = 32 };

enum edge_state { EDGE_OFF,
	EDGE_UP,
	EDGE_DRAINING,
	EDGE_DEAD }; /* and nobody has noticed yet */

enum edge_op { OP_NONE,
	OP_TAKE,
	OP_STATE,
	OP_EXTEND,
	OP_SETTLE };

struct exchange {
	uint32_t at; /* in the books */
	uint64_t id;
	struct ticket *t;
	int account;
	unsigned model;
	uint32_t input, output;
	struct ticket_leg legs[TICKET_LEGS_MAX];
	uint64_t windows[LIMIT_BUDGETS_MAX]; /* those of its legs */
	unsigned leg_count;
};

struct edge {
	uint32_t slab, incarnation;
	enum edge_state state;
	struct ticket_desk *desk;
	struct exchange open[SIM_OPEN];
	uint32_t count;
	struct actor *actor;
	enum edge_op op;
	struct exchange x; /* what the operation is about; of OP_TAKE not open yet */
	uint32_t x_at; /* where it is in `open` */
	int64_t amount; /* hold or cost */
	bool surely; /* there is enough for it */
	bool was_held_up;
	struct ticket_leg hints[HINTS];
	uint32_t hint_at;
};

static struct edge edges[SIM_SLABS];

static struct load {
	uint32_t edge, incarnation, due;
	uint64_t row;
} loads[LOADS_MAX];
static uint32_t load_count;

/* ---- where rows are, as far as an edge knows ---- */

static uint32_t
hint_of(struct edge *e, uint64_t row)
{
	for (int i = 0; i < HINTS; i++)
		if (e->hints[i].row == row)
			return e->hints[i].slot;
	return UINT32_MAX;
}

static void
remember(struct edge *e, uint64_t row, uint32_t slot)
{
	for (int i = 0; i < HINTS; i++)
		if (e->hints[i].row == row) {
			e->hints[i].slot = slot;
			return;
		}
	e->hints[e->hint_at++ % HINTS] = (struct ticket_leg){row, slot};
}

static void
want_row(struct edge *e, uint64_t row)
{
	if (strikes(FAULT_LOAD_LOST, 6)) {
		met(FAULT_LOAD_LOST);
		return;
	}
	for (uint32_t i = 0; sim.story == STORY_WINDOWS && i < load_count; i++)
		if (loads[i].row == row && loads[i].edge == e->slab && loads[i].incarnation == e->incarnation)
			return;
	if (load_count < LOADS_MAX)
		loads[load_count++] = (struct load){e->slab, e->incarnation, sim.step, row};
}

bool
loads_arrive(void)
{
	if (load_count == 0)
		return false;
	struct load l = loads[0];
	memmove(loads, loads + 1, --load_count * sizeof(loads[0]));
	uint32_t slot = UINT32_MAX, refused = ledger_load_row(sim.w.ledger, l.row, 0, &slot);
	trace("edge %u gets row %llx: %u, slot %u", l.edge, (unsigned long long)l.row, refused, slot);
	struct edge *e = &edges[l.edge];
	if (!ghost_walks() && (l.row & LIMIT_BUDGET_ROW) && sim.story == STORY_WINDOWS)
		life_look();
	if (ghost_walks() || e->incarnation != l.incarnation || e->state == EDGE_OFF)
		return true;
	if (refused == 2)
		met(FAULT_BOARD_FULL);
	if (refused == 0 && strikes(FAULT_LOAD_LATE, 5)) {
		met(FAULT_LOAD_LATE);
		remember(e, l.row, (slot + 1 + below(SIM_SLOTS)) % (SIM_SLOTS + 1)); /* where it was, or nowhere */
	} else if (refused == 0)
		remember(e, l.row, slot);
	return true;
}

/* ---- operations: each within the edge's actor ---- */

static const char *
word_for(enum moved m)
{
	if (m == MOVED)
		return "moved";
	return m == SHORT ? "short" : "gone";
}

/* The first leg that is not where it is said to be can be any of them. */
static void
look_for_rows(struct edge *e, const struct exchange *x)
{
	met(FAULT_SLOT_MOVED);
	for (unsigned k = 0; k < x->leg_count; k++)
		want_row(e, x->legs[k].row);
}

static void
take(void *arg)
{
	struct edge *e = arg;
	struct exchange *x = &e->x;
	struct nano available = {0};
	enum moved m = ticket_take(e->desk, x->t, x->id, x->legs, x->leg_count, (struct nano){e->amount}, &available);
	trace("edge %u holds %lld of account %d with %lld: %s", e->slab, (long long)e->amount, x->account, (long long)x->id, word_for(m));
	if (m == MOVED) {
		books_held(x->at);
		e->open[e->count++] = *x;
		return;
	}
	books_not_held(x->at);
	ticket_unpick(e->desk, x->t);
	if (m == GONE)
		look_for_rows(e, x);
	else if (x->leg_count > 1 && books_surely_free(x->account) >= e->amount)
		met(FAULT_WINDOW_FULL);
	if (m == SHORT && e->surely && !e->was_held_up)
		violation("account %d has enough for %lld, and edge %u is told that it has %lld", x->account, (long long)e->amount, e->slab, (long long)available.v);
}

static void
state(void *arg)
{
	struct edge *e = arg;
	e->x.t->facts.tokens_input = e->x.input;
	e->x.t->facts.tokens_output = e->x.output;
	ticket_state_cost(e->x.t, (struct nano){e->amount});
	books_stated(e->x.at);
	e->open[e->x_at] = e->x;
}

static void
extend(void *arg)
{
	struct edge *e = arg;
	int64_t before = ticket_hold(e->x.t).v;
	enum moved m = ticket_extend(e->desk, e->x.t, (struct nano){e->amount});
	trace("edge %u extends %lld to %lld: %s", e->slab, (long long)e->x.id, (long long)e->amount, word_for(m));
	books_extended(e->x.at, m == MOVED ? e->amount : before);
	if (m == SHORT && e->surely && !e->was_held_up)
		violation("account %d has enough for %lld, and edge %u is told that it has not", e->x.account, (long long)e->amount, e->slab);
}

static void
settle(void *arg)
{
	struct edge *e = arg;
	ticket_state_cost(e->x.t, (struct nano){e->amount});
	books_stated(e->x.at);
	ticket_settle(e->desk, e->x.t);
	trace("edge %u hands in %lld", e->slab, (long long)e->x.id);
	books_settled(e->x.at);
	e->open[e->x_at] = e->open[--e->count];
}

/* By what it is doing. */
static enum fault
death_of(const struct edge *e)
{
	static const enum fault kinds[] = {[OP_NONE] = FAULT_EDGE_KILLED, [OP_TAKE] = FAULT_EDGE_KILLED_TAKE, [OP_STATE] = FAULT_EDGE_KILLED, [OP_EXTEND] = FAULT_EDGE_KILLED_EXTEND, [OP_SETTLE] = FAULT_EDGE_KILLED_SETTLE};
	return kinds[e->op];
}

/* After how many accesses it stops; 0: not. */
static uint32_t
stops_after(const struct edge *e)
{
	return strikes(FAULT_EDGE_HELD_UP, 6) || strikes(death_of(e), 8) ? 1 + below(30) : 0;
}

static void
begin_op(struct edge *e, enum edge_op op)
{
	static void (*const runs[])(void *arg) = {[OP_TAKE] = take, [OP_STATE] = state, [OP_EXTEND] = extend, [OP_SETTLE] = settle};
	e->op = op;
	e->was_held_up = false;
	actor_start(e->actor, runs[op], e, stops_after(e));
	if (!actor_busy(e->actor)) {
		e->op = OP_NONE;
		return;
	}
	e->was_held_up = true;
	met(FAULT_EDGE_HELD_UP);
	trace("edge %u is held up", e->slab);
}

static void
go_on(struct edge *e)
{
	actor_go_on(e->actor, stops_after(e));
	if (!actor_busy(e->actor))
		e->op = OP_NONE;
}

/* ---- what an edge does next ---- */

static bool
authenticate(int account, struct key_facts *ret)
{
	bool found = key_table_find(sim.keys, sim.account[account].hash, ret);
	bool open = atomic_load(board_gate(sim.w.edge_board)) == BOARD_OPEN;
	if (open && found && ret->state == KEY_ACTIVE && key_must_be_revoked(account))
		violation("the key of account %d was revoked, and works", account);
	return open && found && ret->state == KEY_ACTIVE;
}

/* The windows of the key's limits, those of the account's, and then the account. */
static void
find_legs(struct edge *e, struct exchange *x, const struct key_facts *f)
{
	x->leg_count = 0;
	for (uint32_t at = f->limits, rows = 0; at != 0 && rows < 2; rows++) {
		const struct limit_row *r = limit_row(sim.w.edge_board, at);
		for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT && x->leg_count < LIMIT_BUDGETS_MAX; k++) {
			uint64_t number = atomic_load(&r->number[k]), row = limit_budget_row(number, limit_window((enum limit_kind)k, sim.wall_us / 1000000));
			if (number == 0 || atomic_load(&r->amount[k]) == 0)
				continue;
			x->windows[x->leg_count] = row;
			x->legs[x->leg_count++] = (struct ticket_leg){row, hint_of(e, row)};
		}
		at = atomic_load(&r->parent);
	}
	if (life_quiet())
		windows_check_legs(x->account, x->windows);
	x->legs[x->leg_count++] = (struct ticket_leg){f->account, hint_of(e, f->account)};
}

static bool
rows_are_known(struct edge *e, const struct exchange *x)
{
	bool known = true;
	for (unsigned k = 0; k < x->leg_count; k++)
		if (x->legs[k].slot == UINT32_MAX) {
			want_row(e, x->legs[k].row);
			known = false;
		}
	return known;
}

static void
write_facts(const struct exchange *x, const struct key_facts *f)
{
	const struct catalogue_price *p = &sim.w.catalogue.price[x->model == 0 ? 0 : 1];
	x->t->facts = (struct ticket_facts){.started_us = sim.wall_us, .key = f->key, .account = f->account, .price = p->id, .model = sim.w.catalogue.model[x->model].id, .provider = 1, .status = 200, .endpoint = ENDPOINT_CHAT_COMPLETIONS};
}

static void
begin_exchange(struct edge *e)
{
	struct key_facts f;
	struct exchange x = {.account = (int)below(SIM_ACCOUNTS), .model = below(2)};
	if (sim.story == STORY_WINDOWS && x.account < SIM_MALLORY)
		x.account %= 3;
	if (e->count == SIM_OPEN || !authenticate(x.account, &f))
		return;
	find_legs(e, &x, &f);
	if (!rows_are_known(e, &x))
		return;
	x.id = ticket_next_id(e->desk, sim.wall_us / 1000);
	if (x.id == 0)
		return;
	x.t = ticket_pick(e->desk);
	if (x.t == NULL) {
		met(FAULT_SLAB_FULL);
		return;
	}
	write_facts(&x, &f);
	e->amount = 1 + below(one_in(4) ? 30000000 : 3000000);
	e->surely = life_quiet() && books_surely_free(x.account) >= e->amount && windows_surely_free(x.windows) >= e->amount;
	struct exchange_facts facts = {.id = x.id, .account = x.account, .started_us = sim.wall_us, .model = x.model, .hold = e->amount};
	memcpy(facts.windows, x.windows, sizeof(facts.windows));
	x.at = books_reserve(&facts);
	e->x = x;
	begin_op(e, OP_TAKE);
}

/* What is beyond the hold is the house's loss. False: it has said enough but for its end. */
static bool
reckon(struct edge *e, bool last)
{
	struct exchange *x = &e->x;
	bool used = x->input != 0 || x->output != 0;
	int64_t cost = world_cost(&sim.w, &(struct world_exchange){.model = x->model, .input = x->input, .output = x->output}), hold = ticket_hold(x->t).v;
	e->amount = !used ? 0 : cost < hold ? cost
										: hold;
	return books_states(x->at, e->amount, last);
}

static bool
use_more(struct edge *e)
{
	e->x.input += below(600);
	e->x.output += below(300);
	return reckon(e, false);
}

static void
extend_some(struct edge *e)
{
	int64_t hold = ticket_hold(e->x.t).v, more = 1 + below(2000000);
	e->amount = hold + more;
	e->surely = life_quiet() && books_surely_free(e->x.account) >= more && windows_surely_free(e->x.windows) >= more;
	books_extending(e->x.at, e->amount);
	begin_op(e, OP_EXTEND);
}

/* ---- mad ones: only what the last account pays ---- */

static bool
forge(struct edge *e)
{
	struct ticket *t = e->x.t;
	int64_t cost = 0;
	uint64_t id = books_booked_id(&cost);
	if (strikes(FAULT_FORGED_COST, 4)) {
		atomic_store(&t->cost, ticket_hold(t).v + 1 + below(1000000));
		met(FAULT_FORGED_COST);
	} else if (strikes(FAULT_FORGED_ACCOUNT, 4)) {
		t->facts.account = sim.account[below(SIM_MALLORY)].id;
		met(FAULT_FORGED_ACCOUNT);
	} else if (id != 0 && ticket_hold(t).v != cost && strikes(FAULT_FORGED_ID, 4)) {
		atomic_store(&t->id, id);
		atomic_store(&t->cost, cost == 0 ? 1 : 0);
		met(FAULT_FORGED_ID);
	} else
		return false;
	trace("edge %u forges %lld", e->slab, (long long)e->x.id);
	t->facts.end_reason = END_COMPLETED;
	ticket_settle(e->desk, t);
	books_forged(e->x.at);
	e->open[e->x_at] = e->open[--e->count];
	return true;
}

static void
hand_in(struct edge *e)
{
	if (e->x.account == SIM_MALLORY && forge(e))
		return;
	bool room = reckon(e, true);
	assert_true(room);
	e->x.t->facts.end_reason = END_COMPLETED;
	if (window_is_over(e->x.windows[0]))
		met(FAULT_WINDOW_OVER);
	books_settling(e->x.at);
	begin_op(e, OP_SETTLE);
}

static void
go_on_with(struct edge *e, uint32_t at)
{
	e->x_at = at;
	e->x = e->open[at];
	switch (below(4)) {
	case 0:
		extend_some(e);
		break;
	case 1:
		hand_in(e);
		break;
	default:
		if (use_more(e))
			begin_op(e, OP_STATE);
		else {
			e->x = e->open[at];
			hand_in(e);
		}
	}
}

static void
step_edge(struct edge *e)
{
	if (actor_busy(e->actor))
		go_on(e);
	else if (e->count > 0 && (e->state == EDGE_DRAINING || one_in(2)))
		go_on_with(e, below(e->count));
	else if (e->state == EDGE_UP)
		begin_exchange(e);
}

/* ---- life and death ---- */

static void
start(struct edge *e)
{
	uint32_t dead = board_dead(sim.w.edge_board, e->slab), last = board_incarnation(sim.w.edge_board, e->slab);
	e->incarnation = (dead > last ? dead : last) + 1;
	void *memory = realloc(e->desk, ticket_desk_bytes(sim.w.edge_board));
	assert_non_null(memory);
	memset(memory, 0, ticket_desk_bytes(sim.w.edge_board));
	e->desk = ticket_desk_open(memory, sim.w.edge_board, e->slab, e->incarnation);
	e->state = EDGE_UP;
	e->count = 0;
	e->op = OP_NONE;
	memset(e->hints, 0, sizeof(e->hints));
	trace("edge %u begins, incarnation %u", e->slab, e->incarnation);
}

static void
reap(struct edge *e)
{
	limit_forget_edge(sim.w.edge_board, e->slab);
	board_mark_dead(sim.w.edge_board, e->slab, e->incarnation);
	books_reaped(e->slab);
	e->state = EDGE_OFF;
	trace("edge %u is reaped", e->slab);
}

static void
die(struct edge *e)
{
	met(death_of(e));
	trace("edge %u dies", e->slab);
	for (uint32_t i = 0; i < e->count; i++)
		books_orphan(e->open[i].at, e->slab);
	if (e->op == OP_TAKE)
		books_orphan(e->x.at, e->slab);
	actor_drop(e->actor);
	e->op = OP_NONE;
	e->count = 0;
	e->state = EDGE_DEAD;
}

static bool
is_alive(const struct edge *e)
{
	return e->state == EDGE_UP || e->state == EDGE_DRAINING;
}

void
edges_step(void)
{
	struct edge *e = &edges[1 + below(SIM_SLABS - 1)];
	if (is_alive(e))
		step_edge(e);
}

void
edges_trouble(void)
{
	uint32_t up = 0;
	for (uint32_t i = 1; i < SIM_SLABS; i++) {
		struct edge *e = &edges[i];
		if (is_alive(e) && strikes(death_of(e), e->op == OP_NONE ? 40 : 3))
			die(e);
		if (e->state == EDGE_DEAD) {
			if (strikes(FAULT_REAPED_LATE, 2))
				met(FAULT_REAPED_LATE);
			else
				reap(e);
		}
		if (e->state == EDGE_DRAINING && e->count == 0 && !actor_busy(e->actor)) {
			e->state = EDGE_DEAD; /* with nothing left */
			trace("edge %u ends", e->slab);
		}
		up += e->state == EDGE_UP;
	}
	uint32_t at = 1 + below(SIM_SLABS - 1);
	if (up < 2 && edges[at].state == EDGE_OFF)
		start(&edges[at]);
}

void
edges_power_cut(void)
{
	for (uint32_t i = 1; i < SIM_SLABS; i++) {
		actor_drop(edges[i].actor);
		edges[i].state = EDGE_OFF;
		edges[i].count = 0;
		edges[i].op = OP_NONE;
	}
	load_count = 0;
}

void
edges_upgrade(void)
{
	for (uint32_t i = 1; i < SIM_SLABS; i++)
		if (edges[i].state == EDGE_UP)
			edges[i].state = EDGE_DRAINING;
}

void
edges_finish(void)
{
	for (uint32_t i = 1; i < SIM_SLABS; i++) {
		struct edge *e = &edges[i];
		while (is_alive(e) && (e->count > 0 || actor_busy(e->actor))) {
			e->state = EDGE_DRAINING;
			step_edge(e);
		}
		if (e->state != EDGE_OFF)
			reap(e);
	}
}

void
edges_begin(void)
{
	load_count = 0;
	for (uint32_t i = 1; i < SIM_SLABS; i++) {
		struct edge *e = &edges[i];
		if (e->actor == NULL)
			e->actor = actor_create(false);
		actor_drop(e->actor);
		e->slab = i;
		e->count = 0;
		e->state = EDGE_OFF;
	}
	start(&edges[1]);
	start(&edges[2]);
}
