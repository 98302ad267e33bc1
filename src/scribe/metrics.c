#include "scribe/metrics.h"

#include "scribe/line.h"

#include <stddef.h>

struct counter_row {
	const char *name, *meaning;
	size_t at;
	bool gauge;
};

#define IS_GAUGE_counter false
#define IS_GAUGE_gauge true

static const struct counter_row rows[] = {
#define X(name, kind, meaning) {#name, meaning, offsetof(struct counters, name), IS_GAUGE_##kind},
	COUNTERS(X)
#undef X
};

/* By number; numbers without a name are not shown. */
static const char *const end_reasons[COUNTER_END_REASONS] = {
#define X(name, number, status, severity, type, code, billing, text) [number] = #name,
	END_REASONS(X)
#undef X
};

static const struct counters *
block_of(const struct metrics *m, uint32_t edge)
{
	return (const void *)((const char *)m->counters + edge * m->counters_stride);
}

static uint64_t
read_word(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
write_help(struct text *t, const char *name, const char *suffix, const char *meaning, bool gauge)
{
	text_lit(t, "# HELP lethe_");
	text_str(t, name);
	text_str(t, suffix);
	text_lit(t, " ");
	text_str(t, meaning);
	text_lit(t, "\n# TYPE lethe_");
	text_str(t, name);
	text_str(t, suffix);
	text_str(t, gauge ? " gauge\n" : " counter\n");
}

static void
write_value(struct text *t, uint64_t value)
{
	text_lit(t, "\"} ");
	text_u64(t, value);
	text_lit(t, "\n");
}

static void
write_counter(const struct metrics *m, const struct counter_row *row, struct text *t)
{
	const char *suffix = row->gauge ? "" : "_total";
	write_help(t, row->name, suffix, row->meaning, row->gauge);
	for (uint32_t e = 0; e < m->edge_count; e++) {
		text_lit(t, "lethe_");
		text_str(t, row->name);
		text_str(t, suffix);
		text_lit(t, "{edge=\"");
		text_u64(t, e);
		write_value(t, read_word((const void *)((const char *)block_of(m, e) + row->at)));
	}
}

static void
write_ended(const struct metrics *m, struct text *t)
{
	write_help(t, "exchanges_ended", "_total", "exchanges by how they ended", false);
	for (uint32_t e = 0; e < m->edge_count; e++)
		for (size_t r = 0; r < ARRAY_LEN(end_reasons); r++) {
			if (!end_reasons[r])
				continue;
			text_lit(t, "lethe_exchanges_ended_total{edge=\"");
			text_u64(t, e);
			text_lit(t, "\",reason=\"");
			text_str(t, end_reasons[r]);
			write_value(t, read_word(&block_of(m, e)->ended[r]));
		}
}

/* Events that never came are not shown: a table of zeros for every role would bury the rest. */
static void
write_events(const struct metrics *m, struct text *t)
{
	write_help(t, "events", "_total", "events by the role that reported them", false);
	for (uint32_t role = 0; role < ARRAY_LEN(m->events); role++)
		for (uint32_t e = 0; e < EVENT_COUNT; e++) {
			if (!m->events[role][e])
				continue;
			text_lit(t, "lethe_events_total{role=\"");
			text_str(t, line_role((enum message_end)role));
			text_lit(t, "\",event=\"");
			text_str(t, line_event(e));
			write_value(t, m->events[role][e]);
		}
}

void
metrics_write(const struct metrics *m, struct text *t)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		write_counter(m, &rows[i], t);
	write_ended(m, t);
	write_events(m, t);
	write_help(t, "log_lines_dropped", "_total", "events that were not written to the log", false);
	text_lit(t, "lethe_log_lines_dropped_total ");
	text_u64(t, m->lines_dropped);
	text_lit(t, "\n");
}

size_t
metrics_bytes_max(const struct metrics *m)
{
	size_t lines =
		(ARRAY_LEN(rows) + COUNTER_END_REASONS) * (size_t)m->edge_count + END_OF_ANY * (size_t)EVENT_COUNT;
	return (lines + 2 * (ARRAY_LEN(rows) + 3)) * 160;
}
