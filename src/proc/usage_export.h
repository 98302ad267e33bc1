/*
 * What a provider says it counted, as it gives that out: by day and its own name of the model. Command line only. Read are, told apart by what is in them,
 *   OpenAI's usage and costs (GET /v1/organization/usage/completions or /costs, bucket_width=1d, group_by=model or line_item), as JSON or the dashboard's CSV,
 *   Anthropic's usage report (GET /v1/organizations/usage_report/messages, bucket_width=1d, group_by[]=model), as JSON;
 * of JSON one page, or an array of pages.
 */
#ifndef PROC_USAGE_EXPORT_H
#define PROC_USAGE_EXPORT_H

#include "core/base.h"

/* X(name): disjoint; providers that don't tell writes to a cache apart count them as input. */
#define EXPORT_KINDS(X) \
	X(input) \
	X(cached) \
	X(cache_write) \
	X(cache_write_1h) \
	X(output)

enum export_kind {
#define X(name) EXPORT_##name,
	EXPORT_KINDS(X)
#undef X
		EXPORT_KIND_COUNT
};

enum { EXPORT_MODEL_MAX = 128,
	EXPORT_ROWS_MAX = 20000,
	EXPORT_BYTES_MAX = 64 << 20,
	EXPORT_WHY_MAX = 400 };

struct export_row {
	int64_t day; /* since 1970, UTC */
	char model[EXPORT_MODEL_MAX + 1];
	int64_t requests, tokens[EXPORT_KIND_COUNT], cost_nano;
};

struct usage_export {
	struct export_row *rows; /* by day and model, one each */
	size_t count;
	bool counts, costs; /* which of the two it has */
	bool cache_writes; /* it tells them apart */
};

/* False: ret_why is a sentence. */
must_check bool usage_export_read(struct span text, struct usage_export *ret, char ret_why[EXPORT_WHY_MAX]);
void usage_export_free(struct usage_export *e);

#endif
