/* Which of the servers on one store this is, and which there are (docs/decisions/0070-nodes.md). A store in a file has one, and none of this. */
#include "ledger/away.h"
#include "ledger/home.h"
#include "ledger/ledger_priv.h"
#include "ledger/share_priv.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_US = 30000000, /* edges take no new holds long before: BOARD_STALE_MS */
	MARK_BYTES = 16 };

/* A server that is alone may begin with another pepper: then all keys are made anew. */
static bool
put_mark(struct ledger *l, const uint8_t mark[MARK_BYTES])
{
	struct query *st = sql_prepare(&l->store,
		"UPDATE pen SET pepper = ?1 WHERE pepper IS NULL OR (?2 <> 255 AND NOT EXISTS (SELECT 1 FROM node WHERE state = 1 AND id <> ?2))");
	if (st == NULL)
		return false;
	sql_bind_blob(st, 1, mark, MARK_BYTES);
	sql_bind_int(st, 2, l->store.node);
	bool ok = sql_done(&l->store, st);
	sql_free(st);
	return ok;
}

static bool
same_mark(struct ledger *l, const uint8_t mark[MARK_BYTES], bool *ret_same)
{
	struct query *st = sql_prepare(&l->store, "SELECT pepper FROM pen");
	if (st == NULL)
		return false;
	bool there = sql_step(&l->store, st) == SQL_ROW;
	*ret_same = there && !sql_is_null(st, 0) && sql_len(st, 0) == MARK_BYTES && memcmp(sql_blob(st, 0), mark, MARK_BYTES) == 0;
	sql_reset(st);
	sql_free(st);
	return there;
}

bool
node_open(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	static const uint8_t what[] = "pepper of the store";
	uint8_t mark[MARK_BYTES];
	bool same = false;
	if (l->store.node < 0)
		return true;
	crypto_generichash(mark, sizeof(mark), what, sizeof(what), l->o.pepper, API_KEY_PEPPER_BYTES);
	snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be joined", l->store.name);
	if (!put_mark(l, mark) || !same_mark(l, mark, &same))
		return false;
	struct query *st = sql_prepare(&l->store, "SELECT identity FROM pen");
	bool known = st != NULL && sql_number(&l->store, st, &l->store.identity);
	sql_free(st);
	if (!known)
		return false;
	if (same && l->o.terms == NULL && !home_keep_books(l->o.data_dir, l->store.identity, ret_why))
		return false;
	snprintf(ret_why, STORE_WHY_MAX, "%.90s was made with another pepper, and no API key would work here: copy pepper, receipt.key and master.key from the store's first server", l->store.name);
	return same;
}

void
node_leave(struct ledger *l)
{
	if (l->store.node < 0 || l->store.lost)
		return;
	struct query *st = sql_prepare(&l->store, "UPDATE node SET state = 2 WHERE id = ?1 AND fence = ?2 AND state = 1");
	if (st == NULL)
		return;
	sql_bind(st, l->store.node, l->store.fence);
	(void)!sql_done(&l->store, st); /* not written: it is away, and has not left */
	sql_free(st);
}

/* Whatever becomes of the store: a ledger that finds none goes on with no board that is known to be somebody else's. */
void
node_lost_board(struct ledger *l)
{
	uint32_t shares = BOARD_SHARES;
	if (l->o.board != NULL)
		atomic_compare_exchange_strong(board_many(l->o.board), &shares, (uint32_t)BOARD_SHARES_LOST);
}

bool
node_has_board(struct ledger *l)
{
	int64_t floor_ms = -1;
	if (l->store.node < 0)
		return true;
	struct query *st = store_sql(&l->store, SQL_boot_of_node);
	sql_bind(st, l->store.node);
	if (!sql_number(&l->store, st, &floor_ms))
		return false;
	/* What its slots have is the balances, or shares of them. */
	uint32_t many = atomic_load(board_many(l->o.board));
	bool alike = l->store.many ? many == BOARD_SHARES || many == BOARD_SHARES_LOST : many == BOARD_BALANCES;
	if ((uint64_t)floor_ms == l->floor_ms && alike)
		return true;
	node_lost_board(l);
	st = sql_prepare(&l->store, "UPDATE node SET state = 3 WHERE id = ?1 AND fence = ?2");
	if (st == NULL)
		return false;
	sql_bind(st, l->store.node, l->store.fence);
	bool said = sql_done(&l->store, st);
	sql_free(st);
	/* No other ledger over this board will do either: it has to go. */
	ledger_change_gate(l, BOARD_OPEN, BOARD_STALLED);
	l->store.lost = l->store.fenced = said;
	return false;
}

bool
node_begin(struct ledger *l)
{
	if (l->store.node < 0)
		return true;
	struct query *st = sql_prepare(&l->store, "UPDATE node SET drain = 0 WHERE id = ?1 AND drain <> 0");
	if (st == NULL)
		return false;
	sql_bind_int(st, 1, l->store.node);
	bool ok = sql_done(&l->store, st);
	sql_free(st);
	return ok;
}

bool
node_hear(struct ledger *l)
{
	int64_t drain = 0;
	struct query *st = store_sql(&l->store, SQL_node_drain);
	sql_bind(st, l->store.node);
	bool ok = sql_number(&l->store, st, &drain);
	l->drain_wanted = drain != 0;
	return ok;
}

/* ---- node.list ---- */

static const char *
state_word(int64_t state, int64_t silent_us, int64_t drain)
{
	switch ((enum node_state)state) {
	case NODE_UP:
		return silent_us > LEASE_US ? "away" : drain != 0 ? "draining"
														  : "up";
	case NODE_LEFT:
		return "left";
	case NODE_FORGOTTEN:
		return "forgotten";
	}
	return "unknown";
}

static json_t *
node_json(struct query *st)
{
	json_t *o = json_object();
	json_object_set_new(o, "node", json_integer(sql_int(st, 0)));
	json_object_set_new(o, "state", json_string(state_word(sql_int(st, 2), sql_int(st, 5), sql_int(st, 6))));
	json_object_set_new(o, "fence", json_integer(sql_int(st, 1)));
	control_put_time(o, "joined", sql_int(st, 3));
	control_put_time(o, "seen", sql_int(st, 4));
	/* Whoever is connected has nothing waiting; of another it is not known. */
	bool own = sql_int(st, 0) == st->store->node;
	json_object_set_new(o, "waiting_batches", own ? json_integer(0) : json_null());
	json_object_set_new(o, "waiting_requests", own ? json_integer(0) : json_null());
	return o;
}

json_t *
control_node_list(struct ledger *l, const json_t *request)
{
	json_t *answer = control_ok(), *rows = json_array();
	json_object_set_new(answer, "rows", rows);
	if (l->store.node < 0)
		return answer;
	if (l->away != NULL) {
		json_decref(answer);
		return away_node_list(l);
	}
	struct query *st = sql_prepare(&l->store,
		"SELECT id, fence, state, joined_us, seen_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - seen_us, drain FROM node WHERE id <> 255 ORDER BY id");
	enum sql_step step = SQL_FAILED;
	while (st != NULL && (step = sql_step(&l->store, st)) == SQL_ROW)
		json_array_append_new(rows, node_json(st));
	sql_free(st);
	if (step == SQL_END)
		return answer;
	json_decref(answer);
	return control_store_failed(l);
}

/* ---- node.forget ---- */

enum forgotten { FORGOTTEN,
	FORGOTTEN_NONE,
	FORGOTTEN_UP };

/* From here on it writes nothing: what it left is settled without it. */
static bool
fence_off(struct ledger *l, int64_t node, int64_t *ret, int64_t *ret_fence)
{
	struct query *forget = sql_prepare(&l->store, "SELECT lethe_forget(?1, ?2)"), *fence = sql_prepare(&l->store, "SELECT fence FROM node WHERE id = ?1");
	bool ok = forget != NULL && fence != NULL && store_begin(&l->store);
	if (ok) {
		sql_bind(forget, node, (int64_t)LEASE_US);
		sql_bind_int(fence, 1, node);
		ok = store_end(&l->store, sql_number(&l->store, forget, ret) && sql_number(&l->store, fence, ret_fence));
	}
	sql_free(forget);
	sql_free(fence);
	return ok;
}

/* As after a power cut there. Each part can be done again, and is refused once the node has come back: then it does that itself. */
static bool
settle(struct ledger *l, int64_t node, int64_t fence)
{
	if (l->o.board != NULL && (!ledger_drain(l) || l->batch->count != 0))
		return false;
	l->store.forgotten = node;
	l->store.forgotten_fence = fence;
	bool ok = progress_settle(l, node) && ledger_forget_orders(l, node) && usage_flush_of(l, node) && (!share_on(l) || share_return_all(l, node));
	l->store.forgotten_fence = 0;
	return ok;
}

static json_t *
not_settled(struct ledger *l, int64_t node, int64_t fence)
{
	int64_t now = fence;
	struct query *st = sql_prepare(&l->store, "SELECT fence FROM node WHERE id = ?1");
	if (st == NULL)
		return control_store_failed(l);
	sql_bind_int(st, 1, node);
	bool ok = sql_number(&l->store, st, &now);
	sql_free(st);
	if (!ok || now == fence)
		return control_store_failed(l);
	return control_error("node_came_back", "node %lld has come back while it was being forgotten, and settles the rest itself: `lethe node list` shows it", (long long)node);
}

/* Any but the server that was asked, unless `own`. */
static bool
read_node(const struct ledger *l, const json_t *request, bool own, int64_t *ret, json_t **ret_error)
{
	const char *text;
	char *end;
	if (!control_text(request, &(struct text_rule){"node", 8, true}, &text, ret_error))
		return false;
	*ret = strtol(text, &end, 10);
	if (end == text || *end != '\0' || *ret < 0 || *ret >= LEDGER_NODE_COMMANDS)
		*ret_error = control_error("bad_request", "\"node\" must be the number of a node, 0 to %d: `lethe node list` shows them", LEDGER_NODE_COMMANDS - 1);
	else if (l->store.node < 0)
		*ret_error = control_error("no_nodes", "the books are in a file, which has one server: to end it in order, stop it");
	else if (*ret == l->store.node && !own)
		*ret_error = control_error("own_node", "node %lld is the server that was asked: ask another one, or stop it first", (long long)*ret);
	else
		return true;
	return false;
}

/* What waits in this machine's outbox would be the house's loss. One that can't be read may be this node's. */
static json_t *
outbox_forbids(const struct ledger *l, int64_t node)
{
	struct outbox_facts waiting;
	if (!outbox_exists(l->o.data_dir))
		return NULL;
	if (!outbox_look(l->o.data_dir, &waiting))
		return control_error("outbox_unreadable", "%.200s/outbox.db can't be read, and may have requests of node %lld that are not booked: start the server that has it, or ask another machine's server", l->o.data_dir, (long long)node);
	if (waiting.node != node || waiting.requests + waiting.running == 0)
		return NULL;
	return control_error("outbox_waits", "what node %lld settled while PostgreSQL was away waits in this machine's outbox (%lld requests): start its server, which books it, and nothing is lost", (long long)node,
		(long long)(waiting.requests + waiting.running));
}

json_t *
control_node_forget(struct ledger *l, const json_t *request)
{
	json_t *error;
	int64_t node, fence = 0, outcome = FORGOTTEN_NONE;
	if (!read_node(l, request, false, &node, &error))
		return error;
	if ((error = outbox_forbids(l, node)) != NULL)
		return error;
	if (!fence_off(l, node, &outcome, &fence))
		return control_store_failed(l);
	if (outcome == FORGOTTEN_NONE)
		return control_error("no_such_node", "there is no node %lld: `lethe node list` shows them", (long long)node);
	if (outcome == FORGOTTEN_UP)
		return control_error("node_is_up", "node %lld was heard of less than %d s ago: stop it (`lethe node drain`), or ask again when it has been silent for so long", (long long)node, LEASE_US / 1000000);
	if (!settle(l, node, fence))
		return not_settled(l, node, fence);
	return control_node_list(l, request);
}

/* ---- node.drain ---- */

/* It hears of it as of all that others change; what it does then is what SIGTERM makes a server do. */
json_t *
control_node_drain(struct ledger *l, const json_t *request)
{
	json_t *error;
	int64_t node;
	if (!read_node(l, request, true, &node, &error))
		return error;
	struct query *st = sql_prepare(&l->store,
		"UPDATE node SET drain = 1 WHERE id = ?1 AND state = 1 AND seen_us > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - ?2");
	if (st == NULL)
		return control_store_failed(l);
	sql_bind(st, node, (int64_t)LEASE_US);
	bool ok = sql_done(&l->store, st), there = ok && sql_changes(&l->store) == 1;
	sql_free(st);
	if (!ok)
		return control_store_failed(l);
	if (!there)
		return control_error("node_is_not_up", "node %lld does not serve: `lethe node list` shows who does. What one that is `away` left is settled by `lethe node forget`", (long long)node);
	l->drain_wanted |= node == l->store.node;
	return control_node_list(l, request);
}

/* ---- node.share ---- */

/* Who has the store for itself says that others may have it, too; nobody says the opposite. */
json_t *
control_node_share(struct ledger *l, const json_t *request)
{
	int64_t running = 0;
	if (l->store.node < 0)
		return control_error("no_nodes", "the books are in a file, which has one server: move them to PostgreSQL for several");
	if (l->store.many)
		return control_node_list(l, request);
	if (l->o.board != NULL)
		return control_error("server_runs", "a server has the store for itself: stop it, and ask again without one");
	struct query *count = sql_prepare(&l->store, "SELECT count(*) FROM progress"), *set = sql_prepare(&l->store, "UPDATE pen SET many = 1");
	bool ok = count != NULL && set != NULL && sql_number(&l->store, count, &running) && (running != 0 || sql_done(&l->store, set));
	sql_free(count);
	sql_free(set);
	if (!ok)
		return control_store_failed(l);
	if (running != 0)
		return control_error("not_settled", "a server ended and left %lld requests that are not booked: start it and stop it, or `lethe node forget` it", (long long)running);
	return control_node_list(l, request);
}
