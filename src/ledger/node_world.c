#include "ledger/node_world.h"

#include "ledger/ledger_priv.h"
#include "ledger/postgres.h"
#include "ledger/share_priv.h"

void
node_verify(struct world *w)
{
	json_t *verified = world_must(w, "{s:s}", "op", "ledger.verify");
	if (!json_is_true(json_object_get(verified, "sound")))
		fail_msg("%s", json_dumps(verified, JSON_INDENT(1)));
	json_decref(verified);
}

uint64_t
node_begin_shared(struct world *a, const char *credit)
{
	return node_begin_shared_sized(a, credit, WORLD_SLOTS);
}

uint64_t
node_begin_shared_sized(struct world *a, const char *credit, uint32_t slots)
{
	world_begin_sized(a, slots);
	uint64_t alice = world_account(a, "alice", credit);
	world_refused(a, "server_runs", "{s:s}", "op", "node.share");
	world_kill_ledger(a);
	world_open(a, false);
	json_decref(world_must(a, "{s:s}", "op", "node.share"));
	world_close(a);
	world_lose_board(a);
	world_open(a, true);
	return alice;
}

void
node_ask(struct world *w, uint64_t row, int64_t nano)
{
	uint32_t slot, result = ledger_load_row(w->ledger, row, nano, &slot);
	assert_true(row_is_there(result));
}

/* As an edge: what is there; else what the ledger can get. */
bool
node_serve(struct world *w, uint64_t account)
{
	const struct world_exchange e = {.account = account, .input = 10, .hold = 0, .cost = -1};
	if (world_exchange(w, e) != 0)
		return true;
	node_ask(w, account, 2 * world_cost(w, &e));
	return world_exchange(w, e) != 0;
}

void
node_look(struct world *w)
{
	w->ledger->share_due_ms = w->ledger->count_due_ms = 0;
	memset(w->ledger->refusals, 0, sizeof(w->ledger->refusals)); /* as a moment later */
	ledger_share_when_due(w->ledger, clock_monotonic_ms());
}

int64_t
node_has(struct world *w, uint64_t account)
{
	uint32_t slot;
	return board_find(w->ledger_board, account, &slot) ? board_available(w->ledger_board, slot).v : 0;
}

/* One more server on the store of another, which is not open now: a ledger at a time has it. */
void
node_begin_beside(struct world *ret, const struct world *first, uint32_t node)
{
	world_begin(ret);
	world_lose_board(ret);
	memcpy(ret->store, first->store, sizeof(ret->store));
	world_forget_books(ret);
	ret->size.node = node;
	world_lose_board(ret);
	world_open(ret, true);
}

static int (*real_prepared)(PGconn *, const char *, int, const char *const *, const int *, const int *, int);
static int (*real_query)(PGconn *, const char *);
int node_asked, node_turns;

static int
count_prepared(PGconn *conn, const char *name, int count, const char *const *values, const int *lengths, const int *formats, int format)
{
	node_asked++;
	return real_prepared(conn, name, count, values, lengths, formats, format);
}

static int
count_query(PGconn *conn, const char *sql)
{
	node_asked++;
	node_turns += strncmp(sql, "BEGIN", 5) == 0;
	return real_query(conn, sql);
}

void
node_count_questions(bool on)
{
	if (on) {
		real_prepared = pq.PQsendQueryPrepared;
		real_query = pq.PQsendQuery;
		node_asked = node_turns = 0;
	}
	pq.PQsendQueryPrepared = on ? count_prepared : real_prepared;
	pq.PQsendQuery = on ? count_query : real_query;
}
