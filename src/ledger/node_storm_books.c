#include "ledger/node_storm.h"

#include "ledger/outbox.h"
#include "ledger/postgres.h"
#include "ledger/share_priv.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static PGconn *outside;

/* ---- what the database says when it is killed is no news: libpq would print it, once for each session ---- */

static PGconn *(*real_connect)(const char *const *names, const char *const *values, int expand);
static __typeof__(PQsetNoticeProcessor) *set_notices;

static void
say_nothing(void *arg, const char *message)
{
}

static PGconn *
connect_quietly(const char *const *names, const char *const *values, int expand)
{
	PGconn *conn = real_connect(names, values, expand);
	if (conn != NULL)
		set_notices(conn, say_nothing, NULL);
	return conn;
}

/* ---- and a ledger is killed when its move is in the store: its answer is sent behind its commit ---- */

bool storm_dies_in_move;
static PGresult *(*real_result)(PGconn *conn);
static __typeof__(PQfname) *name_of;

static PGresult *
result_or_death(PGconn *conn)
{
	PGresult *r = real_result(conn);
	const char *name = storm_dies_in_move && r != NULL ? name_of(r, 1) : NULL;
	if (name != NULL && strcmp(name, "lethe_whole_move") == 0)
		raise(SIGKILL);
	return r;
}

bool __wrap_postgres_load(char ret_why[STORE_WHY_MAX]), __real_postgres_load(char ret_why[STORE_WHY_MAX]);

bool
__wrap_postgres_load(char ret_why[STORE_WHY_MAX])
{
	if (!__real_postgres_load(ret_why))
		return false;
	void *libpq = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
	set_notices = (__typeof__(set_notices))dlsym(libpq, "PQsetNoticeProcessor");
	name_of = (__typeof__(name_of))dlsym(libpq, "PQfname");
	real_connect = pq.PQconnectdbParams;
	pq.PQconnectdbParams = connect_quietly;
	real_result = pq.PQgetResult;
	pq.PQgetResult = result_or_death;
	return true;
}

/* ---- a session of nobody's ---- */

static PGconn *
connect_outside(void)
{
	const char *names[] = {"dbname", NULL}, *values[] = {storm.node[0].w.store, NULL};
	return pq.PQconnectdbParams(names, values, 1);
}

void
storm_look_begin(void)
{
	outside = connect_outside();
	if (pq.PQstatus(outside) != CONNECTION_OK)
		fail_msg("%s", pq.PQerrorMessage(outside));
}

void
storm_look_end(void)
{
	pq.PQfinish(outside);
	outside = NULL;
}

static PGresult *
ask(const char *sql, ExecStatusType wanted)
{
	PGresult *r, *last = NULL;
	assert_int_equal(pq.PQsendQuery(outside, sql), 1);
	while ((r = pq.PQgetResult(outside)) != NULL) {
		pq.PQclear(last);
		last = r;
	}
	if (last == NULL || pq.PQresultStatus(last) != wanted)
		fail_msg("%s: %s", sql, pq.PQerrorMessage(outside));
	return last;
}

void
storm_say(const char *sql)
{
	pq.PQclear(ask(sql, PGRES_COMMAND_OK));
}

static int64_t
field(const PGresult *r, int row, int column)
{
	return strtoll(pq.PQgetvalue(r, row, column), NULL, 10);
}

int64_t
storm_number(const char *sql)
{
	PGresult *r = ask(sql, PGRES_TUPLES_OK);
	assert_int_equal(pq.PQntuples(r), 1);
	int64_t n = field(r, 0, 0);
	pq.PQclear(r);
	return n;
}

static void
wait_for_end(PGconn *conn)
{
	for (PGresult *r; (r = pq.PQgetResult(conn)) != NULL;)
		pq.PQclear(r);
	pq.PQfinish(conn);
}

/* One of its processes that is killed takes all others with it, and the memory that they share. Another's end says that they have begun to go. */
void
storm_restart_database(void)
{
	PGconn *other = connect_outside();
	assert_int_equal(pq.PQsendQuery(other, "SELECT pg_sleep(3600)"), 1);
	pid_t victim = (pid_t)storm_number("SELECT pg_backend_pid()");
	assert_int_equal(kill(victim, SIGKILL), 0);
	wait_for_end(other);
	do {
		pq.PQfinish(outside);
		outside = connect_outside();
	} while (pq.PQstatus(outside) != CONNECTION_OK);
}

/* ---- requests ---- */

static struct storm_hand *
hand_of(uint64_t id)
{
	for (unsigned i = 0; i < storm.hands; i++)
		if (storm.hand[i].id == id)
			return &storm.hand[i];
	return NULL;
}

static void
check_ticket(struct storm_hand *h, uint64_t id, int64_t cost, uint64_t account)
{
	if (h == NULL)
		fail_msg("ticket %llu is nobody's", (unsigned long long)id);
	if (account != storm.account[h->account])
		fail_msg("ticket %llu was paid by another account", (unsigned long long)id);
	if (h->runs && !h->doubt)
		fail_msg("ticket %llu is booked, and runs", (unsigned long long)id);
	if (h->doubt ? cost > h->cost : cost != h->cost)
		fail_msg("ticket %llu cost %lld, %s %lld", (unsigned long long)id, (long long)cost, h->doubt ? "at most" : "not", (long long)h->cost);
	h->booked = true;
	h->acked |= h->orphan;
}

/* What was charged to each account. */
static void
check_tickets(int64_t ret_charged[STORM_ACCOUNTS])
{
	PGresult *r = ask("SELECT id, cost_nano, account FROM ticket ORDER BY id", PGRES_TUPLES_OK);
	int count = pq.PQntuples(r);
	unsigned booked = 0, there = 0;
	for (int i = 0; i < count; i++) {
		struct storm_hand *h = hand_of((uint64_t)field(r, i, 0));
		assert_true(i == 0 || field(r, i, 0) != field(r, i - 1, 0));
		there += h != NULL && h->booked;
		check_ticket(h, (uint64_t)field(r, i, 0), field(r, i, 1), (uint64_t)field(r, i, 2));
		ret_charged[h->account] += field(r, i, 1);
	}
	pq.PQclear(r);
	for (unsigned i = 0; i < storm.hands; i++)
		booked += storm.hand[i].booked;
	if (booked != (unsigned)count)
		fail_msg("%u tickets were in the books, %u of them still are", booked - ((unsigned)count - there), there);
}

/* Booked, or kept in its server's outbox. */
static void
check_promises(void)
{
	for (unsigned i = 0; i < storm.hands; i++) {
		const struct storm_hand *h = &storm.hand[i];
		if (h->acked && !h->booked && !outbox_exists(storm.node[h->node].w.dir))
			fail_msg("ticket %llu of node %u was given back and is nowhere", (unsigned long long)h->id, h->node);
	}
}

/* What is charged to a window for good is within the most that its limit ever was. */
static void
check_window(void)
{
	int64_t used = 0;
	for (unsigned i = 0; i < storm.hands; i++)
		if (storm.hand[i].limited && storm.hand[i].booked && !storm.hand[i].doubt)
			used += storm.hand[i].cost;
	if (used > storm.most_limit)
		fail_msg("%lld used of a limit of %lld", (long long)used, (long long)storm.most_limit);
}

/* ---- money ---- */

static void
check_orders(int64_t ret_came[STORM_ACCOUNTS])
{
	PGresult *r = ask("SELECT substr(ref, 7)::bigint FROM operation WHERE ref LIKE 'storm-%'", PGRES_TUPLES_OK);
	bool there[STORM_ORDERS] = {false};
	for (int i = 0; i < pq.PQntuples(r); i++) {
		assert_true(field(r, i, 0) >= 0 && field(r, i, 0) < storm.orders);
		there[field(r, i, 0)] = true;
	}
	pq.PQclear(r);
	for (unsigned i = 0; i < storm.orders; i++) {
		const struct storm_order *o = &storm.order[i];
		if (o->outcome != STORM_IN_DOUBT && there[i] != (o->outcome == STORM_TAKEN))
			fail_msg("order %u was %s, and is %sin the books", i, o->outcome == STORM_TAKEN ? "taken" : "refused", there[i] ? "" : "not ");
		ret_came[o->account] += there[i] ? o->nano : 0;
	}
}

static void
check_balances(const int64_t came[], const int64_t charged[])
{
	for (unsigned a = 0; a < STORM_ACCOUNTS; a++) {
		char sql[200];
		snprintf(sql, sizeof(sql), "SELECT balance_nano, lent_nano, (SELECT coalesce(sum(nano), 0) FROM share WHERE account = %llu) FROM account WHERE id = %llu", (unsigned long long)storm.account[a],
			(unsigned long long)storm.account[a]);
		PGresult *r = ask(sql, PGRES_TUPLES_OK);
		int64_t balance = field(r, 0, 0), lent = field(r, 0, 1), shares = field(r, 0, 2), right = storm.begun_with[a] + came[a] - charged[a];
		pq.PQclear(r);
		if (balance != right)
			fail_msg("account %u has %lld: what came without what was charged is %lld", a, (long long)balance, (long long)right);
		if (balance < 0 || lent < 0 || lent > balance || lent != shares)
			fail_msg("account %u: balance %lld, lent %lld, shares %lld", a, (long long)balance, (long long)lent, (long long)shares);
	}
}

/* Whoever goes on after it was forgotten gets nothing before it has joined again. */
static void
check_forgotten(void)
{
	for (unsigned i = 0; i < storm.nodes; i++) {
		char sql[320];
		snprintf(sql, sizeof(sql), "SELECT (SELECT count(*) FROM share AS s JOIN node AS n ON n.id = s.node WHERE n.id = %u AND state = 3 AND nano <> 0) + "
								   "(SELECT count(*) FROM budget_share AS s JOIN node AS n ON n.id = s.node WHERE n.id = %u AND state = 3 AND nano <> 0)",
			i, i);
		if (storm.node[i].settled && storm_number(sql) != 0)
			fail_msg("node %u was forgotten and settled, and something is lent to it", i);
	}
}

void
storm_check(void)
{
	int64_t came[STORM_ACCOUNTS] = {0}, charged[STORM_ACCOUNTS] = {0};
	/* One moment of the store for all that follows. */
	storm_say("BEGIN ISOLATION LEVEL REPEATABLE READ");
	check_tickets(charged);
	check_promises();
	check_window();
	check_orders(came);
	check_balances(came, charged);
	check_forgotten();
	storm_say("COMMIT");
}

/* ---- boards ---- */

static int64_t
held_there(const struct storm_node *n, unsigned account)
{
	int64_t held = 0;
	for (unsigned i = 0; i < storm.hands; i++) {
		const struct storm_hand *h = &storm.hand[i];
		if (h->ticket != NULL && &storm.node[h->node] == n && h->account == account && !h->acked)
			held += ticket_hold(h->ticket).v;
	}
	return held;
}

void
storm_check_board(struct storm_node *n)
{
	struct ledger *l = n->w.ledger;
	if (l == NULL || l->away != NULL || l->store.lost || l->move_waits || n->forgotten)
		return;
	for (unsigned a = 0; a < STORM_ACCOUNTS; a++) {
		struct nano share;
		uint32_t slot;
		if (!board_find(n->w.ledger_board, storm.account[a], &slot) || !share_balance(l, storm.account[a], &share))
			continue;
		int64_t here = board_available(n->w.ledger_board, slot).v + held_there(n, a);
		if (here != share.v)
			fail_msg("node %u has %lld of account %u on its board, its share is %lld", n->w.size.node, (long long)here, a, (long long)share.v);
	}
}

void
storm_check_end(void)
{
	for (unsigned i = 0; i < storm.hands; i++) {
		const struct storm_hand *h = &storm.hand[i];
		if (!h->booked && !(h->doubt && !h->acked))
			fail_msg("ticket %llu of node %u is not booked", (unsigned long long)h->id, h->node);
	}
	for (unsigned i = 0; i < storm.orders; i++)
		assert_int_not_equal(storm.order[i].outcome, STORM_IN_DOUBT);
	assert_int_equal(storm_number("SELECT count(*) FROM progress"), 0);
	for (unsigned i = 0; i < storm.nodes; i++)
		if (outbox_exists(storm.node[i].w.dir))
			fail_msg("something waits in the outbox of node %u still", i);
}
