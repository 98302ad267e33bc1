/*
 * The op "top": one look at everything that moves, for `lethe top`. Cumulative numbers, so that who asks twice has rates; names of models and
 * providers, and nothing of customers but the sum of their balances.
 */
#include "ledger/ledger_priv.h"
#include "ticket/end_reasons.h"
#include "ticket/severities.h"

#include <stdlib.h>

#define X(NAME, label, meaning) label,
static const char *const states[] = {BOARD_STATES(X)};
#undef X

static const struct {
	const char *name;
	enum severity severity;
} reasons[TALLY_REASONS] = {
#define X(name, number, status, severity, type, code, billing, text) \
	[number] = {#name, SEVERITY_##severity},
	END_REASONS(X)
#undef X
};

/* What the board shows at this moment. */
struct now {
	uint32_t by_state[BOARD_STATE_COUNT];
	uint32_t used[BOARD_EDGES_MAX]; /* tickets that are not free */
	struct {
		uint32_t waiting, answering;
	} * block; /* of the tally */
};

static uint64_t
get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
put(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static bool
look_at_board(struct ledger *l, struct now *ret)
{
	bool runs[BOARD_EDGES_MAX];
	struct board_size size;
	board_size_of(l->o.board, &size);
	for (uint32_t e = 0; e < size.edges; e++)
		runs[e] = observe_edge_runs(l, e);
	*ret = (struct now){.block = calloc(tally_block_count(l->o.tally), sizeof(*ret->block))};
	if (ret->block == NULL)
		return false;
	for (uint32_t i = 0; i < l->progress.count; i++) {
		struct board_look look;
		board_look_at(l->o.board, i, &look);
		if (look.edge >= BOARD_EDGES_MAX || (look.state == BOARD_STATE_FREE && !runs[look.edge]))
			continue;
		ret->by_state[look.state]++;
		ret->used[look.edge] += look.state != BOARD_STATE_FREE;
		uint32_t block = tally_block_of(l->o.tally, look.model, look.provider, look.lane);
		ret->block[block].waiting += look.state == BOARD_STATE_WAITING;
		ret->block[block].answering += look.state == BOARD_STATE_ANSWERING;
	}
	return true;
}

/* ---- models ---- */

static void
count_requests(const struct tally_block *b, uint64_t *ret_all, uint64_t *ret_failed)
{
	*ret_all = *ret_failed = 0;
	for (unsigned r = 0; r < TALLY_REASONS; r++)
		for (unsigned s = 0; s < TALLY_STATUS_COUNT; s++) {
			uint64_t count = get(&b->requests[r][s]);
			*ret_all += count;
			*ret_failed += reasons[r].severity >= SEVERITY_WARN ? count : 0; /* the provider's fault or ours */
		}
}

static void
put_tokens(json_t *o, const struct tally_block *b)
{
	json_t *tokens = json_object();
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++) {
		static const char *const names[] = {
#define X(name, meaning, fallback) #name,
			TOKEN_KINDS(X)
#undef X
		};
		if (get(&b->tokens[k]) != 0)
			put(tokens, names[k], get(&b->tokens[k]));
	}
	json_object_set_new(o, "tokens", tokens);
}

static json_t *
model_json(struct ledger *l, const struct now *now, uint32_t block, const struct tally_block *b)
{
	const struct catalogue *c = l->o.catalogue;
	const struct catalogue_target *t = tally_block_target(l->o.tally, block);
	uint64_t all, failed;
	json_t *o = json_object();
	json_object_set_new(o, "model", json_string(t != NULL ? catalogue_model(c, t->model)->public_id : "(other)"));
	json_object_set_new(o, "provider", json_string(t != NULL ? catalogue_provider(c, t->provider)->name : "(other)"));
	json_object_set_new(o, "lane", json_string(t != NULL ? catalogue_lane(c, t->lane)->name : "(other)"));
	put(o, "waiting", now->block[block].waiting);
	put(o, "answering", now->block[block].answering);
	count_requests(b, &all, &failed);
	put(o, "requests", all);
	put(o, "failed", failed);
	control_put_nano(o, "cost", (int64_t)get(&b->cost_nano));
	put(o, "duration_ms", get(&b->duration.sum));
	put(o, "first_byte_ms", get(&b->first_byte.sum));
	put_tokens(o, b);
	return o;
}

/* Those that were asked for, or are. */
static bool
put_models(struct ledger *l, json_t *o, const struct now *now)
{
	static const struct tally_block nothing;
	struct tally_view v = {0};
	if (!tally_view_take(l->o.tally, &v)) {
		tally_view_free(&v);
		return false;
	}
	json_t *list = json_array();
	for (uint32_t block = 0, at = 0; block < tally_block_count(l->o.tally); block++) {
		bool used = at < v.count && v.index[at] == block;
		const struct tally_block *b = used ? &v.block[at++] : &nothing;
		if (used || now->block[block].waiting + now->block[block].answering > 0)
			json_array_append_new(list, model_json(l, now, block, b));
	}
	json_object_set_new(o, "models", list);
	tally_view_free(&v);
	return true;
}

/* ---- edges ---- */

static const struct counters *
counters_of(const struct ledger *l, uint32_t edge)
{
	return (const void *)((const char *)l->o.counters + edge * l->o.counters_stride);
}

static void
put_reasons(struct ledger *l, json_t *o, uint32_t edges)
{
	json_t *list = json_array();
	for (unsigned r = 0; r < TALLY_REASONS; r++) {
		uint64_t count = 0;
		for (uint32_t e = 0; e < edges; e++)
			count += get(&counters_of(l, e)->ended[r]);
		if (count == 0)
			continue;
		json_t *reason = json_object();
		json_object_set_new(reason, "reason", json_string(reasons[r].name != NULL ? reasons[r].name : "UNKNOWN"));
		json_object_set_new(reason, "severity", json_string(severity_word(reasons[r].name != NULL ? reasons[r].severity : SEVERITY_ALARM)));
		put(reason, "count", count);
		json_array_append_new(list, reason);
	}
	json_object_set_new(o, "reasons", list);
}

static void
put_processes(struct ledger *l, json_t *o, uint32_t edges)
{
	const struct process_counters *p = (const void *)counters_of(l, edges);
	uint64_t restarts = 0;
	for (uint64_t i = 0; i < get(&p->count) && i < PROCESSES_MAX; i++)
		restarts += get(&p->process[i].restarts);
	put(o, "restarts", restarts);
	put(o, "started_ms", get(&p->started_ms));
	put(o, "vault_budget", get(&p->vault_budget_bytes));
}

static void
put_edges(struct ledger *l, json_t *o, const struct now *now)
{
	struct board_size size;
	board_size_of(l->o.board, &size);
	json_t *list = json_array();
	for (uint32_t e = 0; e < size.edges; e++) {
		const struct counters *c = counters_of(l, e);
		if (!observe_edge_runs(l, e))
			continue;
		json_t *edge = json_object();
		put(edge, "edge", e);
		put(edge, "exchanges", get(&c->exchanges_open));
		put(edge, "streams", get(&c->streams_open));
		put(edge, "connections", get(&c->connections_open));
		put(edge, "upstream", get(&c->upstream_open));
		put(edge, "upstream_idle", get(&c->upstream_idle));
		put(edge, "tickets", now->used[e]);
		put(edge, "vault_used", get(&c->vault_used_bytes));
		put(edge, "vault_mapped", get(&c->vault_mapped_bytes));
		json_array_append_new(list, edge);
	}
	json_object_set_new(o, "edges", list);
	put(o, "tickets_per_edge", size.tickets_per_edge);
	put_reasons(l, o, size.edges);
	put_processes(l, o, size.edges);
}

/* ---- the ledger ---- */

static void
put_ledger(struct ledger *l, json_t *o)
{
	const struct tally_ledger *s = tally_ledger(l->o.tally);
	json_t *ledger = json_object();
	uint64_t bookings = 0;
	for (unsigned i = 0; i <= TALLY_COMMIT_COUNT; i++)
		bookings += get(&s->commit.bucket[i]);
	put(ledger, "bookings", bookings);
	put(ledger, "booked", get(&s->batch.sum));
	put(ledger, "commit_us", get(&s->commit.sum));
	put(ledger, "quarantined", l->before.quarantined + l->stats.quarantined);
	put(ledger, "mismatched", l->before.mismatched + l->stats.mismatched);
	put(ledger, "interrupted", l->before.interrupted + l->stats.interrupted);
	put(ledger, "store_failures", l->before.store_failures + l->stats.store_failures);
	put(ledger, "slots", get(&s->slots));
	put(ledger, "slots_used", board_slots_used(l->o.board));
	json_object_set_new(ledger, "store", json_string(l->back_off_ms == 0 ? "ok" : store_trouble(&l->store)));
	json_object_set_new(ledger, "gate", json_string(control_gate(l)));
	json_object_set_new(o, "ledger", ledger);
}

static bool
put_balances(struct ledger *l, json_t *o)
{
	int64_t house[HOUSE_COUNT], customers, losses = 0;
	if (!observe_balances(l, house, &customers))
		return false;
	for (int a = HOUSE_LOSS_CRASH; a < HOUSE_COUNT; a++)
		losses -= house[a];
	control_put_nano(o, "balances", customers);
	control_put_nano(o, "revenue", house[HOUSE_REVENUE]);
	control_put_nano(o, "losses", losses);
	return true;
}

json_t *
control_top(struct ledger *l, const json_t *request)
{
	struct now now;
	if (l->o.tally == NULL || l->o.board == NULL || l->o.counters == NULL)
		return control_error("no_server", "no server runs on this data directory: there is nothing to watch");
	json_t *o = control_ok();
	control_put_server(l, o);
	put(o, "at_us", clock_monotonic_us());
	put(o, "time_ms", clock_wall_us() / 1000);
	bool ok = look_at_board(l, &now);
	if (ok) {
		json_t *by_state = json_object();
		for (int s = 0; s < BOARD_STATE_COUNT; s++)
			put(by_state, states[s], now.by_state[s]);
		json_object_set_new(o, "states", by_state);
		put_edges(l, o, &now);
		ok = put_models(l, o, &now);
		free(now.block);
	}
	put_ledger(l, o);
	provider_put_troubles(l, o);
	if (ok && put_balances(l, o))
		return o;
	json_decref(o);
	return ok ? control_store_failed(l) : control_error("busy", "there is no memory for this answer: ask again later");
}
