#include "scribe/metrics_reference.h"

#include "scribe/metric_rows.h"
#include "ticket/counters.h"
#include "ticket/end_reasons.h"
#include "ticket/machine.h"
#include "ticket/events.h"
#include "ticket/severities.h"
#include "ticket/tally_fields.h"
#include "ticket/usage.h"

#include "core/base.h"

struct row {
	const char *name, *type, *labels, *meaning;
};

#define TYPE_COUNTER "counter"
#define TYPE_GAUGE "gauge"
#define TYPE_HISTOGRAM "histogram"
#define TYPE_INFO "info"
#define TYPE_counter TYPE_COUNTER
#define TYPE_gauge TYPE_GAUGE
#define SUFFIX_counter "_total"
#define SUFFIX_gauge ""

static const struct row rows[] = {
#define X(what, name, type, labels, meaning) {name, TYPE_##type, labels, meaning},
	METRICS(X)
#undef X
#define X(name, kind, metric, meaning) {metric SUFFIX_##kind, TYPE_##kind, "edge", meaning},
		COUNTERS(X)
#undef X
#define X(name, kind, metric, places, meaning) {metric, TYPE_##kind, "", meaning},
			TALLY_LEDGER(X)
#undef X
};

static const char head[] =
	"# Metrics\n"
	"\n"
	"Made by `lethe metrics reference` from the tables in the code; `tool/generated.sh --write` writes it again.\n"
	"\n"
	"`GET /metrics` at `metrics.listen` answers in Prometheus' text format, and in OpenMetrics to who asks for it. Labels are names from the\n"
	"configuration and words from the tables below: never a customer, a key or anything of a request.\n"
	"\n"
	"What is counted per model is what the ledger booked, to the nano-dollar and the token, whichever process was killed meanwhile. It begins at 0 when the\n"
	"server starts. The text is exact; Prometheus keeps 64-bit floats, which tell nano-dollars apart up to about 4 million dollars per series.\n"
	"A model that was never used has `requests_total`, `cost_dollars_total` and the tokens `input` and `output`, at 0; other series begin with their first\n"
	"count. Tickets of models that left the configuration have the model `(other)`.\n"
	"\n"
	"| metric | type | labels | meaning |\n"
	"|---|---|---|---|\n";

static void
write_rows(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		fprintf(to, "| `lethe_%s` | %s | %s | %s |\n", rows[i].name, rows[i].type, rows[i].labels, rows[i].meaning);
}

static void
write_labels(FILE *to)
{
	fputs("\n## Labels\n\n| label | value | meaning |\n|---|---|---|\n", to);
#define X(name, meaning, ...) fprintf(to, "| kind | `%s` | %s |\n", #name, meaning);
	TOKEN_KINDS(X)
#undef X
#define X(name, piece) fprintf(to, "| tool | `%s` | %s |\n", #name, piece);
	TOOL_KINDS(X)
#undef X
#define X(NAME, label, meaning) fprintf(to, "| state | `%s` | %s |\n", label, meaning);
	BOARD_STATES(X)
#undef X
	fputs("| lane | name | how the request was delivered: one of the `lanes`, or `direct` |\n", to);
	fputs("| status |", to);
#define X(NAME, number, label) fprintf(to, " `%s`", label);
	TALLY_STATUSES(X)
#undef X
	fputs(" | HTTP status of the answer; `none`: there was no head; a class stands for the rest of it |\n", to);
#define X(NAME, word, whose) fprintf(to, "| severity | `%s` | %s |\n", word, whose);
	SEVERITIES(X)
#undef X
#define X(NAME, label, when, number) fprintf(to, "| fact | `%s` | %s |\n", label, number);
	MACHINE_FACTS(X)
#undef X
#define X(NAME, label, name, number) fprintf(to, "| fact of a store | `%s` | %s |\n", label, number);
	STORE_FACTS(X)
#undef X
}

static void
write_reasons(FILE *to)
{
	fputs("\n## How exchanges end\n\n| reason | severity | status | what the caller is told |\n|---|---|---|---|\n", to);
#define X(name, number, status, severity, type, code, billing, text) \
	fprintf(to, "| `%s` | %s | %.0d | %s |\n", #name, severity_word(SEVERITY_##severity), status, text);
	END_REASONS(X)
#undef X
}

void
metrics_reference(FILE *to)
{
	fputs(head, to);
	write_rows(to);
	write_labels(to);
	write_reasons(to);
}

void
events_reference(FILE *to)
{
	fputs("# Events\n"
		  "\n"
		  "Made by `lethe events reference` from the table in the code; `tool/generated.sh --write` writes it again.\n"
		  "\n"
		  "The log has one JSON object a line:\n"
		  "\n"
		  "| member | what |\n"
		  "|---|---|\n"
		  "| `time` | UTC, RFC 3339, milliseconds |\n"
		  "| `severity` | `info`, `note`, `warn`, `alarm`: an alarm is for a person; `log.level` says from which on they are written |\n"
		  "| `role`, `instance` | which process said it |\n"
		  "| `event` | a name of the table below |\n"
		  "| `numbers` | four; what they are stands in the sentence as {0} to {3} |\n"
		  "| `text` | the sentence, with names of roles, providers and accounts of the house in place of their numbers |\n"
		  "\n"
		  "What a process without content writes to its standard error is the event `STDERR`, severity `warn`, with that `text` and no `numbers`.\n"
		  "A process may report 200 events a second; what is beyond is counted (EVENTS_DROPPED, `lethe_log_lines_dropped_total`).\n"
		  "\n"
		  "| event | severity | sentence |\n"
		  "|---|---|---|\n",
		to);
#define X(name, severity, text) fprintf(to, "| `%s` | %s | %s |\n", #name, severity_word(SEVERITY_##severity), text);
	EVENTS(X)
#undef X
}
