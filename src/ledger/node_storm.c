#include "ledger/node_storm.h"

#include "ledger/limit_priv.h"
#include "ledger/order_priv.h"
#include "ledger/postgres.h"
#include "ledger/share_priv.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNNING_MOST = 12, /* at a server */
	CALLS_TO_OPEN = 900, /* about so many system calls a ledger makes before it serves */
	CALLS_OF_A_LIFE = 400,
	CHECKED_EVERY = 5,
	ROUNDS_MOST = 60,
	COST_MOST = 10000 /* nano-dollars: of 40 tokens */ };

static const char *const names[STORM_ACCOUNTS] = {"alice", "bob"};

struct storm storm;

static uint64_t
draw(void)
{
	/* splitmix64 */
	uint64_t z = (storm.random += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void
storm_tell(const char *format, ...)
{
	va_list args;
	if (!storm.verbose)
		return;
	va_start(args, format);
	printf("%5u  ", storm.step);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	va_end(args);
}

/* What is drawn for a step, whatever comes of it: so the order of all that follows does not hang on how this one ends. */
struct dice {
	unsigned account, count;
	uint64_t a, b;
	struct storm_node *other;
};

static unsigned
number_of(const struct storm_node *n)
{
	return (unsigned)(n - storm.node);
}

/* ---- a server's life ---- */

/* What its clients know of theirs: before the board may go. */
static void
hear(struct storm_node *n)
{
	for (unsigned i = 0; i < storm.hands; i++) {
		struct storm_hand *h = &storm.hand[i];
		if (h->node == number_of(n) && h->ticket != NULL && !h->runs && !h->orphan && !h->acked)
			h->acked = ticket_booked(h->ticket, h->seq);
	}
}

static void
kill_ledger(struct storm_node *n)
{
	if (n->w.ledger == NULL)
		return;
	n->w.ledger->store.lost = true; /* no last words */
	world_kill_ledger(&n->w);
}

/* A ledger that has lost its store ends, as its process does. */
static void
settle_down(struct storm_node *n)
{
	if (n->w.ledger != NULL && n->w.ledger->store.lost) {
		storm_tell("node %u: its ledger ends%s", number_of(n), n->w.ledger->store.fenced ? ", it writes no more" : "");
		kill_ledger(n);
	}
	hear(n);
}

/* From here on it is not sure what becomes of what is not in the books. Nobody takes back what a client was told, unless the node is forgotten. */
static void
put_in_doubt(struct storm_node *n, bool all)
{
	hear(n);
	storm_check();
	for (unsigned i = 0; i < storm.hands; i++) {
		struct storm_hand *h = &storm.hand[i];
		if (h->node == number_of(n) && !h->booked && (all || !h->acked))
			h->doubt = true;
	}
}

static void
lose_board(struct storm_node *n)
{
	kill_ledger(n);
	put_in_doubt(n, false);
	for (unsigned i = 0; i < storm.hands; i++)
		if (storm.hand[i].node == number_of(n))
			storm.hand[i].ticket = NULL;
	world_lose_board(&n->w);
	memset(n->known, 0, sizeof(n->known));
	n->forgotten = n->settled = n->stale = false;
}

static bool
be_impatient(struct storm_node *n)
{
	struct ledger *l = n->w.ledger;
	n->stale = false;
	if (l->away != NULL)
		return true;
	struct postgres *g = l->store.own;
	g->silent_us = 1; /* whoever has the pen and says nothing is stopped, here */
	return postgres_exec(&l->store, "SET lock_timeout = 20");
}

static bool
try_open(struct storm_node *n)
{
	char why[256] = "";
	if (n->w.ledger == NULL && !world_try_open(&n->w, true, why)) {
		storm_tell("node %u: %s", number_of(n), why);
		if (n->w.ledger != NULL)
			kill_ledger(n);
		return false;
	}
	if (n->w.ledger->away == NULL) /* its board will do, as one that was new and had not begun when the node was forgotten */
		n->forgotten = n->settled = false;
	if (!be_impatient(n))
		kill_ledger(n);
	return n->w.ledger != NULL;
}

/* With a new board where the old one is of a boot that has ended; who can't reach the store may have none that will do. */
static bool
open_node(struct storm_node *n)
{
	if (n->w.ledger != NULL || try_open(n))
		return true;
	if (n->w.cut_off)
		return false;
	if (n->forgotten)
		lose_board(n);
	if (try_open(n))
		return true;
	fail_msg("node %u, which nobody has forgotten, does not come back", number_of(n));
	return false;
}

static bool
reaches_store(const struct storm_node *n)
{
	return n->w.ledger != NULL && n->w.ledger->away == NULL;
}

static int
round_of(struct storm_node *n)
{
	if (n->w.ledger == NULL)
		return -1;
	int booked = world_round(&n->w);
	if (booked < 0)
		n->w.now_ms += 10000; /* as when its back-off is over */
	else
		n->stale = false;
	settle_down(n);
	return booked;
}

/* ---- what edges do ---- */

static struct storm_hand *
running(struct storm_node *n, uint64_t which)
{
	struct storm_hand *found[RUNNING_MOST];
	unsigned count = 0;
	for (unsigned i = 0; i < storm.hands && count < RUNNING_MOST; i++)
		if (storm.hand[i].runs && storm.hand[i].ticket != NULL && storm.hand[i].node == number_of(n))
			found[count++] = &storm.hand[i];
	return count != 0 ? found[which % count] : NULL;
}

static unsigned
count_running(const struct storm_node *n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < storm.hands; i++)
		count += storm.hand[i].runs && storm.hand[i].ticket != NULL && storm.hand[i].node == number_of(n);
	return count;
}

/* The number of a row among those that its edges know. */
static unsigned
place_of(uint64_t row)
{
	return row == storm.window ? STORM_ACCOUNTS : row != storm.account[0];
}

/* On the board, with so much if the ledger can get it. Without a ledger, what edges know of it. */
static bool
load(struct storm_node *n, uint64_t row, int64_t need)
{
	struct ticket_leg *known = &n->known[place_of(row)];
	uint32_t slot;
	if (n->w.ledger == NULL)
		return known->row != 0;
	bool there = board_find(n->w.ledger_board, row, &slot) && board_available(n->w.ledger_board, slot).v >= need;
	if (!there) {
		there = row_is_there(ledger_load_row(n->w.ledger, row, need, &slot)); /* an edge tries then, whatever was said of how much */
		settle_down(n);
	}
	if (there)
		*known = (struct ticket_leg){row, slot};
	return there;
}

static bool
takes_new(const struct storm_node *n)
{
	return *board_gate(n->w.edge_board) == BOARD_OPEN && !n->stale && storm.hands < STORM_HANDS && count_running(n) < RUNNING_MOST;
}

static struct storm_hand *
hold(struct storm_node *n, const struct dice *d)
{
	struct world_exchange e = {.account = storm.account[d->account], .input = 1 + (uint32_t)(d->a % 40)};
	bool limited = d->account == 0;
	if (!takes_new(n))
		return NULL;
	e.hold = world_cost(&n->w, &e) + 1000;
	e.cost = (int64_t)(d->b % (uint64_t)world_cost(&n->w, &e));
	e.window = limited ? storm.window : 0;
	if ((limited && !load(n, storm.window, e.hold)) || !load(n, e.account, e.hold))
		return NULL;
	if (!takes_new(n)) /* the ledger may have ended of it */
		return NULL;
	const struct ticket_leg legs[] = {n->known[STORM_ACCOUNTS], n->known[d->account]};
	struct ticket *t = world_hold_on(&n->w, &e, limited ? legs : legs + 1, limited ? 2 : 1);
	if (t == NULL)
		return NULL;
	struct storm_hand *h = &storm.hand[storm.hands++];
	*h = (struct storm_hand){.id = t->id, .ticket = t, .cost = e.cost, .node = (uint8_t)number_of(n), .account = (uint8_t)d->account, .limited = limited, .runs = true, .doubt = n->forgotten};
	return h;
}

static void
state_cost(struct storm_node *n, struct storm_hand *h)
{
	h->cost = world_cost(&n->w, &(struct world_exchange){.input = h->ticket->facts.tokens_input});
	ticket_state_cost(h->ticket, (struct nano){h->cost});
}

static void
hand_in(struct storm_node *n, struct storm_hand *h)
{
	h->seq = ticket_seq(h->ticket);
	h->runs = false;
	ticket_settle(n->w.desk, h->ticket);
}

static void
do_hold(struct storm_node *n, const struct dice *d)
{
	bool held = hold(n, d) != NULL;
	storm_tell("node %u: %s for %s", number_of(n), held ? "a hold" : "no hold", names[d->account]);
}

static void
do_serve(struct storm_node *n, const struct dice *d)
{
	unsigned served = 0;
	for (struct storm_hand *h; served < d->count && (h = hold(n, d)) != NULL; served++)
		hand_in(n, h);
	storm_tell("node %u: %u of %u served for %s", number_of(n), served, d->count, names[d->account]);
}

static void
do_go_on(struct storm_node *n, const struct dice *d)
{
	struct storm_hand *h = running(n, d->a);
	if (h == NULL)
		return;
	struct nano more = {ticket_hold(h->ticket).v + (int64_t)(d->b % COST_MOST) + 1};
	bool extended = !n->stale && ticket_extend(n->w.desk, h->ticket, more) == MOVED;
	state_cost(n, h);
	storm_tell("node %u: a request goes on%s", number_of(n), extended ? " and holds more" : "");
}

static void
do_hand_in(struct storm_node *n, const struct dice *d)
{
	for (unsigned i = 0; i < d->count; i++) {
		struct storm_hand *h = running(n, d->a + i);
		if (h == NULL)
			return;
		if (d->b >> i & 1)
			state_cost(n, h);
		hand_in(n, h);
		storm_tell("node %u: a request ends", number_of(n));
	}
}

static void
do_kill_edge(struct storm_node *n, const struct dice *d)
{
	if (n->w.ledger == NULL)
		return;
	for (unsigned i = 0; i < storm.hands; i++) {
		struct storm_hand *h = &storm.hand[i];
		if (h->node != number_of(n) || h->ticket == NULL || !h->runs)
			continue;
		h->runs = false;
		h->orphan = true;
	}
	world_kill_edge(&n->w);
	storm_tell("node %u: its edge is killed", number_of(n));
}

/* ---- what ledgers do ---- */

static void
do_round(struct storm_node *n, const struct dice *d)
{
	if (open_node(n))
		storm_tell("node %u: %d booked", number_of(n), round_of(n));
}

static void
do_progress(struct storm_node *n, const struct dice *d)
{
	if (!open_node(n))
		return;
	int booked = world_progress(&n->w);
	settle_down(n);
	storm_tell("node %u: progress, %d booked", number_of(n), booked);
}

static void
do_look(struct storm_node *n, const struct dice *d)
{
	if (n->w.ledger == NULL)
		return;
	node_look(&n->w);
	settle_down(n);
	storm_tell("node %u: looks at what others want and have changed", number_of(n));
}

static uint64_t
row_of(const struct dice *d)
{
	return d->account == 0 && d->count & 1 ? storm.window : storm.account[d->account];
}

static void
do_load(struct storm_node *n, const struct dice *d)
{
	int64_t need = (int64_t)(d->a % 400000);
	bool got = load(n, row_of(d), need);
	storm_tell("node %u: %s so much, %lld", number_of(n), got ? "has" : "has not", (long long)need);
}

static void
do_return(struct storm_node *n, const struct dice *d)
{
	if (!reaches_store(n))
		return;
	bool gone = share_return(n->w.ledger, row_of(d));
	settle_down(n);
	storm_tell("node %u: what is idle goes back%s", number_of(n), gone ? "" : ", not now");
}

/* ---- orders ---- */

static void
ask_for_credit(struct storm_node *n, unsigned number)
{
	struct storm_order *o = &storm.order[number];
	char amount[NANO_TEXT_MAX], id[24];
	nano_text((struct nano){o->nano}, amount);
	snprintf(id, sizeof(id), "storm-%u", number);
	json_t *answer = world_ask(&n->w, "{s:s, s:s, s:s, s:s, s:s}", "op", "credit.add", "account", names[o->account], "amount", amount, "reason", "storm", "id", id);
	const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	if (json_is_true(json_object_get(answer, "ok")))
		o->outcome = STORM_TAKEN;
	else if (code != NULL && strcmp(code, "insufficient_balance") == 0)
		o->outcome = STORM_NOT_TAKEN;
	storm_tell("node %u: order %u of %s for %s: %s", number_of(n), number, amount, names[o->account], code != NULL ? code : "taken");
	json_decref(answer);
}

static unsigned
new_order(const struct dice *d)
{
	int64_t nano = 1 + (int64_t)(d->a % 100000);
	storm.order[storm.orders] = (struct storm_order){.nano = d->b % 4 == 0 ? -nano : nano, .account = (uint8_t)d->account};
	return storm.orders++;
}

static void
do_order(struct storm_node *n, const struct dice *d)
{
	if (storm.orders == STORM_ORDERS || !open_node(n))
		return;
	ask_for_credit(n, new_order(d));
	settle_down(n);
}

/* Whose answer never came: it is given again, by whichever server. */
static void
do_order_again(struct storm_node *n, const struct dice *d)
{
	for (unsigned i = 0; i < storm.orders && open_node(n); i++)
		if (storm.order[i].outcome == STORM_IN_DOUBT) {
			ask_for_credit(n, i);
			settle_down(n);
		}
}

static void
do_limit(struct storm_node *n, const struct dice *d)
{
	char dollars[NANO_TEXT_MAX];
	int64_t nano = 200000 + (int64_t)(d->a % 600000);
	if (!open_node(n))
		return;
	nano_text((struct nano){nano}, dollars);
	storm.most_limit = nano > storm.most_limit ? nano : storm.most_limit;
	json_decref(world_ask(&n->w, "{s:s, s:s, s:s}", "op", "account.limit", "account", names[0], "dollars_per_day", dollars));
	settle_down(n);
	storm_tell("node %u: the limit is to be %s", number_of(n), dollars);
}

/* All that its board has of the row is too little for somebody: nothing but a move gets more, and that is no business of the pen's. */
static void
want_more(struct storm_node *n, uint64_t row)
{
	uint32_t slot;
	if (!reaches_store(n))
		return;
	bool there = board_find(n->w.ledger_board, row, &slot);
	bool got = load(n, row, there ? board_available(n->w.ledger_board, slot).v + 1 : 1);
	storm_tell("node %u: %s more", number_of(n), got ? "has" : "does not get");
}

/* ---- what goes wrong ---- */

static void
do_kill(struct storm_node *n, const struct dice *d)
{
	kill_ledger(n);
	hear(n);
	storm_tell("node %u: its ledger is killed", number_of(n));
}

struct life {
	struct storm_node *node;
	const struct dice *dice;
	unsigned order;
};

/* In a process of its own: of what it knows nothing is left but board, directory and store. */
static void
live(void *arg)
{
	const struct life *x = arg;
	struct storm_node *n = x->node;
	storm.verbose = false;
	if (!try_open(n))
		return;
	for (unsigned i = 0; i < 6 && n->w.ledger != NULL; i++) {
		struct dice d = *x->dice;
		d.count = i;
		switch ((x->dice->b >> (3 * i)) % 6) {
		case 0:
			do_return(n, &d);
			break;
		case 1:
			do_load(n, &d);
			break;
		case 2:
			do_look(n, &d);
			break;
		case 3:
			world_progress(&n->w);
			break;
		case 4:
			ask_for_credit(n, x->order);
			break;
		default:
			round_of(n);
		}
		settle_down(n);
	}
}

static void
do_die(struct storm_node *n, const struct dice *d)
{
	if (storm.orders == STORM_ORDERS)
		return;
	struct life x = {n, d, new_order(d)};
	uint64_t at = d->count == 0 ? d->a % CALLS_TO_OPEN : CALLS_TO_OPEN + d->a % CALLS_OF_A_LIFE;
	kill_ledger(n);
	fflush(NULL);
	bool killed = world_killed_before_call(live, &x, at);
	hear(n);
	storm_tell("node %u: a ledger is killed %s system call %llu", number_of(n), killed ? "before its" : "after less than", (unsigned long long)at);
}

/* The move is in the store, and nobody has heard of it: whoever comes next finds it on the board. */
static void
do_die_in_move(struct storm_node *n, const struct dice *d)
{
	int status;
	kill_ledger(n);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		storm.verbose = false;
		storm_dies_in_move = try_open(n);
		if (d->b & 1)
			want_more(n, row_of(d));
		else if (reaches_store(n))
			(void)!share_return(n->w.ledger, row_of(d));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	hear(n);
	storm_tell("node %u: a ledger is killed %s a move", number_of(n), status == 0 ? "without" : "after");
}

static void
do_power_cut(struct storm_node *n, const struct dice *d)
{
	storm_tell("node %u: its machine loses its power", number_of(n));
	lose_board(n);
}

/* For longer than its lease. */
static void
stop(struct storm_node *n)
{
	char sql[100];
	snprintf(sql, sizeof(sql), "UPDATE node SET seen_us = seen_us - 31000000 WHERE id = %u", number_of(n));
	storm_say(sql);
	n->stale = n->w.ledger == NULL || n->w.ledger->away == NULL;
}

static void
do_stop(struct storm_node *n, const struct dice *d)
{
	stop(n);
	storm_tell("node %u: is stopped for 31 s", number_of(n));
}

/* And goes on after that, if it lives; one in two wants more before it has tried to write anything, and so before anything has told it. */
static void
do_forget(struct storm_node *n, const struct dice *d)
{
	char number[8];
	if (d->other == n || !open_node(d->other) || !reaches_store(d->other))
		return;
	stop(n);
	put_in_doubt(n, true);
	n->forgotten = true;
	snprintf(number, sizeof(number), "%u", number_of(n));
	json_t *answer = world_ask(&d->other->w, "{s:s, s:s}", "op", "node.forget", "node", number);
	const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
	n->settled |= json_is_true(json_object_get(answer, "ok"));
	storm_tell("node %u: is stopped for 31 s, and node %u forgets it: %s", number_of(n), number_of(d->other), code != NULL ? code : "done");
	json_decref(answer);
	settle_down(d->other);
	if (n->settled && d->b & 1) {
		want_more(n, row_of(d));
		storm_check();
	}
}

static void
do_cut_off(struct storm_node *n, const struct dice *d)
{
	kill_ledger(n);
	n->w.cut_off = true;
	hear(n);
	bool on = open_node(n);
	storm_tell("node %u: can't reach the database%s", number_of(n), on ? ", and goes on" : "");
}

static void
do_connect(struct storm_node *n, const struct dice *d)
{
	if (n->w.cut_off || (n->w.ledger != NULL && n->w.ledger->away != NULL))
		kill_ledger(n);
	n->w.cut_off = false;
	hear(n);
	storm_tell("node %u: reaches the database again", number_of(n));
	(void)open_node(n);
	hear(n);
}

static void
do_restart_database(struct storm_node *n, const struct dice *d)
{
	storm_restart_database();
	storm_tell("the database was restarted by force");
}

/* Between two statements, and another wants to book. */
static void
do_stop_with_pen(struct storm_node *n, const struct dice *d)
{
	if (d->other == n || !reaches_store(n) || !reaches_store(d->other))
		return;
	bool had = store_begin(&n->w.ledger->store);
	do_serve(d->other, d);
	int booked = round_of(d->other);
	if (n->w.ledger->store.lost || !had)
		settle_down(n);
	else
		store_rollback(&n->w.ledger->store);
	settle_down(n);
	storm_tell("node %u: is stopped with the pen in hand, node %u books %d", number_of(n), number_of(d->other), booked);
}

/* All that runs ends, all is booked. */
static bool
come_to_rest(struct storm_node *n)
{
	struct storm_hand *h;
	int booked = -1;
	while ((h = running(n, 0)) != NULL)
		hand_in(n, h);
	if (open_node(n)) /* who has been forgotten and has nothing to book hears of it by its progress */
		(void)world_progress(&n->w);
	settle_down(n);
	for (int i = 0; i < ROUNDS_MOST && booked != 0 && open_node(n); i++)
		booked = round_of(n);
	hear(n);
	return booked == 0 && reaches_store(n);
}

static void
do_leave(struct storm_node *n, const struct dice *d)
{
	if (!come_to_rest(n) || n->forgotten)
		return;
	bool left = ledger_last(n->w.ledger);
	if (left)
		world_close(&n->w);
	settle_down(n);
	if (left)
		lose_board(n);
	storm_tell("node %u: ends in order%s", number_of(n), left ? "" : ", and is not heard");
}

/* ---- a seed ---- */

static const struct {
	void (*take)(struct storm_node *n, const struct dice *d);
	unsigned often;
} steps[] = {
	{do_hold, 12},
	{do_serve, 14},
	{do_go_on, 6},
	{do_hand_in, 8},
	{do_round, 16},
	{do_progress, 4},
	{do_look, 12},
	{do_load, 8},
	{do_return, 6},
	{do_order, 6},
	{do_order_again, 1},
	{do_limit, 2},
	{do_kill, 2},
	{do_die, 3},
	{do_die_in_move, 2},
	{do_kill_edge, 1},
	{do_power_cut, 1},
	{do_stop, 2},
	{do_forget, 2},
	{do_cut_off, 2},
	{do_connect, 4},
	{do_restart_database, 1},
	{do_stop_with_pen, 1},
	{do_leave, 1},
};

static void
take_step(void)
{
	struct storm_node *n = &storm.node[draw() % storm.nodes];
	struct dice d = {.account = (unsigned)(draw() % STORM_ACCOUNTS), .count = (unsigned)(draw() % 6), .a = draw() >> 1, .b = draw() >> 1, .other = &storm.node[draw() % storm.nodes]};
	unsigned all = 0, at;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		all += steps[i].often;
	at = (unsigned)(draw() % all);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (at < steps[i].often) {
			steps[i].take(n, &d);
			break;
		}
		at -= steps[i].often;
	}
	hear(n);
	hear(d.other);
}

static void
check(void)
{
	storm_check();
	for (unsigned i = 0; i < storm.nodes; i++) {
		storm_check_board(&storm.node[i]);
		settle_down(&storm.node[i]);
	}
}

static void
begin(unsigned nodes)
{
	static const int64_t credit = 400000;
	struct world *first = &storm.node[0].w;
	struct limit_amounts a;
	storm.account[0] = node_begin_shared(first, "0.000400000");
	storm.account[1] = world_account(first, names[1], "0.000400000");
	storm.begun_with[0] = storm.begun_with[1] = storm.most_limit = credit;
	json_decref(world_must(first, "{s:s, s:s, s:s}", "op", "account.limit", "account", names[0], "dollars_per_day", "0.000400000"));
	assert_true(limits_read(first->ledger, storm.account[0], &a));
	storm.window = limit_budget_row(a.number[LIMIT_MONEY_DAY], limit_window(LIMIT_MONEY_DAY, clock_wall_us() / 1000000));
	for (storm.nodes = 1; storm.nodes < nodes; storm.nodes++)
		node_begin_beside(&storm.node[storm.nodes].w, first, storm.nodes);
	for (unsigned i = 0; i < nodes; i++)
		assert_true(be_impatient(&storm.node[i]));
	storm_look_begin();
}

/* Nothing goes wrong any more. */
static void
end(void)
{
	for (unsigned i = 0; i < storm.nodes; i++)
		do_connect(&storm.node[i], NULL);
	for (unsigned i = 0; i < storm.nodes; i++)
		if (!come_to_rest(&storm.node[i]))
			fail_msg("node %u does not come to rest", i);
	for (int n = 0; n < ROUNDS_MOST; n++)
		do_order_again(&storm.node[n % storm.nodes], NULL);
	for (unsigned i = 0; i < storm.nodes; i++)
		assert_true(come_to_rest(&storm.node[i]));
	check();
	storm_check_end();
	node_verify(&storm.node[storm.seed % storm.nodes].w);
	/* All that is lent comes back. */
	for (unsigned i = 0; i < storm.nodes; i++) {
		struct ledger *l = storm.node[i].w.ledger;
		if (l == NULL || !ledger_last(l))
			fail_msg("node %u can't end in order: %s", i, l != NULL ? store_error(&l->store) : "it has no ledger");
		world_close(&storm.node[i].w);
	}
	storm_check();
	assert_int_equal(storm_number("SELECT sum(lent_nano)::bigint FROM account"), 0);
	assert_int_equal(storm_number("SELECT coalesce(sum(lent_nano), 0)::bigint FROM budget"), 0);
	world_drop_schema(&storm.node[0].w);
	storm_look_end();
	for (unsigned i = 0; i < storm.nodes; i++)
		world_end(&storm.node[i].w);
}

void
storm_run(uint64_t seed, unsigned nodes, unsigned steps_count)
{
	storm = (struct storm){.seed = seed, .random = seed, .verbose = storm.verbose};
	begin(nodes);
	for (storm.step = 1; storm.step <= steps_count; storm.step++) {
		take_step();
		if (storm.step % CHECKED_EVERY == 0)
			check();
	}
	end();
}
