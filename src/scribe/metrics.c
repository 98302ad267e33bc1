#include "scribe/metrics.h"

#include "scribe/line.h"
#include "scribe/metric_rows.h"
#include "scribe/otlp.h"

#include <stddef.h>
#include <stdlib.h>

#define LETHE "lethe_"

/* By number; numbers without a name are not shown. */
static const struct {
	const char *name;
	enum severity severity;
} reasons[TALLY_REASONS] = {
#define X(name, number, status, severity, type, code, billing, text) [number] = {#name, SEVERITY_##severity},
	END_REASONS(X)
#undef X
};

#define X(name, ...) #name,
static const char *const token_kinds[] = {TOKEN_KINDS(X)}, *const tool_kinds[] = {TOOL_KINDS(X)};
#undef X

#define X(NAME, number, label) label,
static const char *const statuses[] = {TALLY_STATUSES(X)};
#undef X

#define X(NAME, label, meaning) label,
static const char *const board_states[] = {BOARD_STATES(X)};
#undef X

static uint64_t
get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* ---- edges ---- */

static const struct counters *
block_of(const struct metrics *m, uint32_t edge)
{
	return (const void *)((const char *)m->counters + edge * m->counters_stride);
}

static const struct process_counters *
processes_of(const struct metrics *m)
{
	return (const void *)block_of(m, m->edge_count);
}

/* Was it ever started? What it counted goes on to be shown when it has ended. */
static bool
edge_is_known(const struct metrics *m, uint32_t edge)
{
	const struct process_counters *p = processes_of(m);
	return atomic_load_explicit(&p->edges_known[edge / 64], memory_order_relaxed) >> edge % 64 & 1;
}

#define FOR_EACH_EDGE(m, e) \
	for (uint32_t e = 0; e < (m)->edge_count; e++) \
		if (edge_is_known((m), e))

struct counter_row {
	const char *metric;
	enum metric_type type;
	const char *meaning;
	size_t at;
	unsigned places;
};

#define TYPE_counter METRIC_COUNTER
#define TYPE_gauge METRIC_GAUGE
#define SUFFIX_counter "_total"
#define SUFFIX_gauge ""

static const struct counter_row edge_rows[] = {
#define X(name, kind, metric, meaning) {LETHE metric SUFFIX_##kind, TYPE_##kind, meaning, offsetof(struct counters, name), 0},
	COUNTERS(X)
#undef X
};

static void
edge_counter(const struct metrics *m, const struct counter_row *row, struct exposition *x)
{
	expose_family(x, row->metric, row->type, row->meaning);
	FOR_EACH_EDGE(m, e)
	{
		expose_begin(x, "");
		expose_label_number(x, "edge", e);
		expose_u64(x, get((const void *)((const char *)block_of(m, e) + row->at)));
	}
}

static void
show_ended(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_EDGE(m, e)
	for (size_t r = 0; r < ARRAY_LEN(reasons); r++) {
		if (!reasons[r].name)
			continue;
		expose_begin(x, "");
		expose_label_number(x, "edge", e);
		expose_label(x, "reason", reasons[r].name);
		expose_label(x, "severity", severity_word(reasons[r].severity));
		expose_u64(x, get(&block_of(m, e)->ended[r]));
	}
}

static void
show_vault_budget(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_EDGE(m, e)
	{
		expose_begin(x, "");
		expose_label_number(x, "edge", e);
		expose_u64(x, get(&processes_of(m)->vault_budget_bytes));
	}
}

/* ---- circuits ---- */

/* One lane's row stands for all of the same target; so many targets a model has at most. */
static bool
is_repeated(const struct metrics *m, const struct catalogue_model *model, uint32_t at)
{
	for (uint32_t i = model->target_at; i < at; i++)
		if (catalogue_target(m->catalogue, i)->number == catalogue_target(m->catalogue, at)->number)
			return true;
	return false;
}

static void
show_targets(const struct metrics *m, struct exposition *x, bool state)
{
	const struct catalogue *c = m->catalogue;
	for (uint32_t i = 0; m->circuits && i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		const struct circuit *circuit = circuit_find(m->circuits, circuit_target_id(t->id));
		if (!circuit || is_repeated(m, catalogue_model(c, t->model), i))
			continue;
		expose_begin(x, "");
		expose_label(x, "model", catalogue_model(c, t->model)->public_id);
		expose_label(x, "provider", catalogue_provider(c, t->provider)->name);
		expose_label(x, "upstream", t->upstream_id);
		expose_u64(x, state ? circuit_state(circuit, clock_monotonic_ms()) : get(&circuit->opened));
	}
}

static void
show_circuit_state(const struct metrics *m, struct exposition *x)
{
	show_targets(m, x, true);
}

static void
show_circuit_opened(const struct metrics *m, struct exposition *x)
{
	show_targets(m, x, false);
}

static void
show_circuit_key(const struct metrics *m, struct exposition *x)
{
	const struct catalogue *c = m->catalogue;
	for (uint32_t i = 0; m->circuits && i < c->provider_count; i++)
		for (uint32_t k = 0; k < catalogue_provider(c, i)->key_count; k++) {
			const struct circuit *circuit = circuit_find(m->circuits, circuit_key_id(catalogue_provider(c, i)->id, k));
			if (!circuit)
				continue;
			expose_begin(x, "");
			expose_label(x, "provider", catalogue_provider(c, i)->name);
			expose_label_number(x, "key", k);
			expose_u64(x, circuit_state(circuit, clock_monotonic_ms()));
		}
}

/* ---- models ---- */

/* What was never used is shown by what dashboards sum up, so that the first of it is seen as growth. */
static const struct tally_block unused;

struct model_row {
	const struct tally_block *block;
	const struct catalogue_target *target;
};

/* Is its block another target's, of the same model at the same provider in the same lane? */
static bool
is_twin(const struct metrics *m, uint32_t block)
{
	const struct catalogue *c = m->catalogue;
	const struct catalogue_target *t = tally_block_target(m->tally, block);
	return tally_block_of(m->tally, catalogue_model(c, t->model)->id, catalogue_provider(c, t->provider)->id, catalogue_lane(c, t->lane)->id) != block;
}

static bool
next_row(const struct metrics *m, uint32_t *block, uint32_t *at, struct model_row *ret)
{
	for (; *block < tally_block_count(m->tally); ++*block) {
		bool used = *at < m->view.count && m->view.index[*at] == *block;
		ret->target = tally_block_target(m->tally, *block);
		ret->block = used ? &m->view.block[*at] : &unused;
		*at += used;
		if (!used && (!ret->target || is_twin(m, *block)))
			continue; /* the one for models that are gone; what another one has */
		++*block;
		return true;
	}
	return false;
}

#define FOR_EACH_ROW(m, row) \
	struct model_row row; \
	for (uint32_t block_ = 0, at_ = 0; next_row((m), &block_, &at_, &row);)

static void
begin_model(const struct metrics *m, const struct model_row *r, struct exposition *x, const char *suffix)
{
	expose_begin(x, suffix);
	/* No name in a catalogue has brackets. */
	const struct catalogue_target *t = r->target;
	expose_label(x, "model", t ? catalogue_model(m->catalogue, t->model)->public_id : "(other)");
	expose_label(x, "provider", t ? catalogue_provider(m->catalogue, t->provider)->name : "(other)");
	expose_label(x, "lane", t ? catalogue_lane(m->catalogue, t->lane)->name : "direct");
}

static void
show_requests_of(const struct metrics *m, const struct model_row *r, struct exposition *x)
{
	for (unsigned reason = 0; reason < TALLY_REASONS; reason++)
		for (unsigned status = 0; status < TALLY_STATUS_COUNT; status++) {
			uint64_t count = get(&r->block->requests[reason][status]);
			if (!count && !(reason == END_COMPLETED && status == TALLY_STATUS_200))
				continue;
			begin_model(m, r, x, "");
			expose_label(x, "status", statuses[status]);
			expose_label(x, "reason", reasons[reason].name ? reasons[reason].name : "NONE");
			expose_label(x, "severity", severity_word(reasons[reason].name ? reasons[reason].severity : SEVERITY_ALARM));
			expose_u64(x, count);
		}
}

static void
show_requests(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	show_requests_of(m, &row, x);
}

static void
show_estimated(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	{
		begin_model(m, &row, x, "");
		expose_u64(x, get(&row.block->estimated));
	}
}

static void
show_legs(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	{
		if (!get(&row.block->legs))
			continue;
		begin_model(m, &row, x, "");
		expose_u64(x, get(&row.block->legs));
	}
}

static void
show_tokens(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++) {
		uint64_t count = get(&row.block->tokens[k]);
		if (!count && k != TOKEN_input && k != TOKEN_output)
			continue;
		begin_model(m, &row, x, "");
		expose_label(x, "kind", token_kinds[k]);
		expose_u64(x, count);
	}
}

static void
show_tools(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++) {
		uint64_t count = get(&row.block->tools[k]);
		if (!count)
			continue;
		begin_model(m, &row, x, "");
		expose_label(x, "tool", tool_kinds[k]);
		expose_u64(x, count);
	}
}

static void
show_cost(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	{
		begin_model(m, &row, x, "");
		expose_decimal(x, (int64_t)get(&row.block->cost_nano), 9);
	}
}

/* ---- histograms ---- */

struct histogram {
	const _Atomic uint64_t *bucket;
	const _Atomic uint64_t *sum;
	const uint32_t *bounds;
	unsigned count;
	unsigned places; /* of bounds and sum */
};

#define HISTOGRAM(h, bounds, places) ((struct histogram){(h)->bucket, &(h)->sum, (bounds), ARRAY_LEN(bounds), (places)})

static void
begin_histogram(const struct metrics *m, const struct model_row *r, struct exposition *x, const char *suffix)
{
	if (r)
		begin_model(m, r, x, suffix);
	else
		expose_begin(x, suffix);
}

static void
show_histogram(const struct metrics *m, const struct model_row *r, const struct histogram *h, struct exposition *x)
{
	uint64_t so_far = 0;
	for (unsigned i = 0; i <= h->count; i++) {
		so_far += get(&h->bucket[i]);
		begin_histogram(m, r, x, "_bucket");
		if (i < h->count)
			expose_bound(x, h->bounds[i], h->places);
		else
			expose_bound_infinite(x);
		expose_u64(x, so_far);
	}
	begin_histogram(m, r, x, "_sum");
	expose_decimal(x, (int64_t)get(h->sum), h->places);
	begin_histogram(m, r, x, "_count");
	expose_u64(x, so_far);
}

static void
show_duration(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	if (row.block != &unused)
		show_histogram(m, &row, &HISTOGRAM(&row.block->duration, tally_times, 3), x);
}

static void
show_first_byte(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_ROW(m, row)
	if (row.block != &unused)
		show_histogram(m, &row, &HISTOGRAM(&row.block->first_byte, tally_times, 3), x);
}

/* ---- ledger, board ---- */

static const struct counter_row ledger_rows[] = {
#define X(name, kind, metric, places, meaning) {LETHE metric, TYPE_##kind, meaning, offsetof(struct tally_ledger, name), places},
	TALLY_LEDGER(X)
#undef X
};

static void
ledger_counter(const struct metrics *m, const struct counter_row *row, struct exposition *x)
{
	const _Atomic uint64_t *word = (const void *)((const char *)tally_ledger(m->tally) + row->at);
	expose_family(x, row->metric, row->type, row->meaning);
	expose_begin(x, "");
	expose_decimal(x, (int64_t)get(word), row->places);
}

static void
show_board_tickets(const struct metrics *m, struct exposition *x)
{
	FOR_EACH_EDGE(m, e)
	for (unsigned s = 0; s < BOARD_STATE_COUNT; s++) {
		expose_begin(x, "");
		expose_label_number(x, "edge", e);
		expose_label(x, "state", board_states[s]);
		expose_u64(x, get(&tally_ledger(m->tally)->tickets[e][s]));
	}
}

static void
show_commit(const struct metrics *m, struct exposition *x)
{
	show_histogram(m, NULL, &HISTOGRAM(&tally_ledger(m->tally)->commit, tally_commits, 6), x);
}

static void
show_batch(const struct metrics *m, struct exposition *x)
{
	show_histogram(m, NULL, &HISTOGRAM(&tally_ledger(m->tally)->batch, tally_batches, 0), x);
}

static void
show_hand_in(const struct metrics *m, struct exposition *x)
{
	show_histogram(m, NULL, &HISTOGRAM(&tally_ledger(m->tally)->hand_in, tally_hand_ins, 3), x);
}

static void
show_house(const struct metrics *m, struct exposition *x)
{
	for (unsigned a = HOUSE_NONE + 1; a < HOUSE_COUNT; a++) {
		expose_begin(x, "");
		expose_label(x, "account", line_house(a));
		expose_decimal(x, atomic_load_explicit(&tally_ledger(m->tally)->house_nano[a], memory_order_relaxed), 9);
	}
}

/* ---- processes, build ---- */

static void
show_build(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_label(x, "version", LETHE_VERSION);
	expose_u64(x, 1);
}

static void
show_start(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_decimal(x, (int64_t)get(&processes_of(m)->started_ms), 3);
}

static void
show_generation(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, get(&processes_of(m)->generation));
}

static void
show_upgrades(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, get(&processes_of(m)->upgrades));
}

static bool
next_process(const struct metrics *m, uint32_t *i)
{
	const struct process_counters *p = processes_of(m);
	while (*i < get(&p->count) && *i < PROCESSES_MAX && get(&p->process[*i].role) == 0)
		++*i;
	return *i < get(&p->count) && *i < PROCESSES_MAX;
}

/* i: where to look from; then which it is. */
static bool
begin_process(const struct metrics *m, uint32_t *i, struct exposition *x)
{
	const struct process_counters *p = processes_of(m);
	if (!next_process(m, i))
		return false;
	uint64_t role = get(&p->process[*i].role);
	expose_begin(x, "");
	expose_label(x, "role", line_role(role < END_COUNT ? (enum message_end)role : END_OF_ANY));
	expose_label_number(x, "instance", get(&p->process[*i].instance));
	return true;
}

static void
show_process_up(const struct metrics *m, struct exposition *x)
{
	for (uint32_t i = 0; begin_process(m, &i, x); i++)
		expose_u64(x, get(&processes_of(m)->process[i].up));
}

static void
show_process_start(const struct metrics *m, struct exposition *x)
{
	for (uint32_t i = 0; begin_process(m, &i, x); i++)
		expose_decimal(x, (int64_t)get(&processes_of(m)->process[i].started_ms), 3);
}

static void
show_process_restarts(const struct metrics *m, struct exposition *x)
{
	for (uint32_t i = 0; begin_process(m, &i, x); i++)
		expose_u64(x, get(&processes_of(m)->process[i].restarts));
}

static const char *const machine_labels[] = {
#define X(NAME, label, when, number) label,
	MACHINE_FACTS(X)
#undef X
};

/* Nothing until somebody has looked. */
static void
show_machine(const struct metrics *m, bool number, struct exposition *x)
{
	const struct process_counters *p = processes_of(m);
	for (size_t i = 0; i < MACHINE_FACT_COUNT && get(&p->machine_looked_ms); i++) {
		expose_begin(x, "");
		expose_label(x, "fact", machine_labels[i]);
		expose_u64(x, get(number ? &p->machine[i].number : &p->machine[i].state));
	}
}

static void
show_machine_state(const struct metrics *m, struct exposition *x)
{
	show_machine(m, false, x);
}

static void
show_machine_value(const struct metrics *m, struct exposition *x)
{
	show_machine(m, true, x);
}

static const char *const store_labels[] = {
#define X(NAME, label, name, number) label,
	STORE_FACTS(X)
#undef X
};

static void
show_store(const struct metrics *m, bool number, struct exposition *x)
{
	const struct tally_ledger *l = tally_ledger(m->tally);
	for (size_t i = 0; i < STORE_FACT_COUNT && i < get(&l->store_facts); i++) {
		expose_begin(x, "");
		expose_label(x, "fact", store_labels[i]);
		expose_u64(x, get(number ? &l->store[i].number : &l->store[i].state));
	}
}

static void
show_store_state(const struct metrics *m, struct exposition *x)
{
	show_store(m, false, x);
}

static void
show_store_value(const struct metrics *m, struct exposition *x)
{
	show_store(m, true, x);
}

/* Events that never came are not shown: a table of zeros for every role would bury the rest. */
static void
show_events(const struct metrics *m, struct exposition *x)
{
	for (uint32_t role = 0; role < ARRAY_LEN(m->events); role++)
		for (uint32_t e = 0; e < EVENT_COUNT; e++) {
			if (!m->events[role][e])
				continue;
			expose_begin(x, "");
			expose_label(x, "role", line_role((enum message_end)role));
			expose_label(x, "event", line_event(e));
			expose_label(x, "severity", severity_word(line_severity(e)));
			expose_u64(x, m->events[role][e]);
		}
}

static void
show_dropped(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, m->lines_dropped);
}

static void
show_spans_sent(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, m->otlp ? m->otlp->spans_sent : 0);
}

static void
show_spans_dropped(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, m->otlp ? m->otlp->spans_dropped : 0);
}

static void
show_spans_failed(const struct metrics *m, struct exposition *x)
{
	expose_begin(x, "");
	expose_u64(x, m->otlp ? m->otlp->requests_failed : 0);
}

/* ---- all ---- */

static const struct {
	const char *metric;
	enum metric_type type;
	const char *meaning;
	void (*show)(const struct metrics *m, struct exposition *x);
} rows[] = {
#define X(what, name, type, labels, meaning) {LETHE name, METRIC_##type, meaning, show_##what},
	METRICS(X)
#undef X
};

static void
write_all(const struct metrics *m, struct exposition *x)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		expose_family(x, rows[i].metric, rows[i].type, rows[i].meaning);
		rows[i].show(m, x);
	}
	for (size_t i = 0; i < ARRAY_LEN(edge_rows); i++)
		edge_counter(m, &edge_rows[i], x);
	for (size_t i = 0; i < ARRAY_LEN(ledger_rows); i++)
		ledger_counter(m, &ledger_rows[i], x);
	expose_end(x);
}

char *
metrics_text(struct metrics *m, bool openmetrics, size_t head_room, size_t *ret_len)
{
	if (!tally_view_take(m->tally, &m->view))
		return NULL;
	for (size_t cap = 128 << 10; cap <= METRICS_BYTES_MAX; cap *= 2) {
		char *memory = malloc(head_room + cap);
		if (!memory)
			return NULL;
		struct exposition x = {.text = text_on(memory + head_room, cap), .openmetrics = openmetrics};
		write_all(m, &x);
		*ret_len = x.text.len;
		if (!x.text.cut)
			return memory;
		free(memory);
	}
	return NULL;
}

void
metrics_free(struct metrics *m)
{
	tally_view_free(&m->view);
}
