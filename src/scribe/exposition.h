/*
 * Prometheus' text format 0.0.4 and OpenMetrics 1.0, whichever was asked for: families, samples, labels, values. Scribe; pure, the
 * caller owns the memory.
 */
#ifndef SCRIBE_EXPOSITION_H
#define SCRIBE_EXPOSITION_H

#include "core/text.h"

enum metric_type { METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
	METRIC_INFO };

struct exposition {
	struct text text;
	bool openmetrics;
	const char *name; /* of the family */
	bool labelled; /* the sample has a label */
};

/* name: with lethe_ and, of counters, _total. */
void expose_family(struct exposition *x, const char *name, enum metric_type type, const char *help);

/* A sample: begin, labels, one of the values. suffix: "", "_bucket", "_sum", "_count". */
void expose_begin(struct exposition *x, const char *suffix);
void expose_label(struct exposition *x, const char *name, const char *value);
void expose_label_number(struct exposition *x, const char *name, uint64_t value);
void expose_u64(struct exposition *x, uint64_t value);
/* value × 10^-places, exactly: milliseconds as seconds, nano-dollars as dollars. */
void expose_decimal(struct exposition *x, int64_t value, unsigned places);
/* An upper bound as a label, as short as it is exact; then `le` of the last bucket. */
void expose_bound(struct exposition *x, uint64_t bound, unsigned places);
void expose_bound_infinite(struct exposition *x);

void expose_end(struct exposition *x);

#endif
