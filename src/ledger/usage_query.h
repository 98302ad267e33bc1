/*
 * What `usage` is asked, and how it is summed up. Between usage_query.c, which reads the request and writes the answer, and usage_sum.c,
 * which reads the store. Ledger only; the groups are the caller's.
 */
#ifndef LEDGER_USAGE_QUERY_H
#define LEDGER_USAGE_QUERY_H

#include "ledger/ledger_priv.h"

/* X(NAME, in requests and rows, over usage_day or NULL: it does not know, over ticket). Of MONTH: seconds, which each database makes months of. */
#define USAGE_DIMENSIONS(X) \
	X(MONTH, "month", "day * 86400", "started_us / 1000000") \
	X(DAY, "day", "day", "started_us / 86400000000") \
	X(HOUR, "hour", NULL, "started_us / 3600000000") \
	X(ACCOUNT, "account", "account", "account") \
	X(KEY, "key", "key", "key") \
	X(MODEL, "model", "model", "model") \
	X(PROVIDER, "provider", NULL, "provider") \
	X(ENDPOINT, "endpoint", NULL, "endpoint") \
	X(TIER, "tier", NULL, "tier") \
	X(LANE, "lane", NULL, "lane") \
	X(END_REASON, "end_reason", NULL, "end_reason") \
	X(STATUS, "status", NULL, "status")

enum usage_by {
#define X(name, text, over_day, over_ticket) BY_##name,
	USAGE_DIMENSIONS(X)
#undef X
};

struct usage_dimension {
	enum usage_by by;
	const char *name, *over_day, *over_ticket;
};

enum { USAGE_BY_MAX = 2,
	USAGE_ROWS_MAX = 200000 }; /* groups that one question may have */

struct usage_query {
	uint64_t account, key; /* 0: any */
	int64_t model, provider, end_reason, status; /* -1: any */
	int64_t since_us, until_us; /* from, and before */
	int64_t limit;
	bool free_attempts; /* with those that failed and that nobody is charged for: what a provider may have counted of us (billing_free_leg) */
	bool no_own_keys; /* without what went by customers' own keys at the provider: no account of the house's there has it */
	const struct usage_dimension *by[USAGE_BY_MAX];
	unsigned by_count;
};

struct usage_group {
	int64_t by[USAGE_BY_MAX]; /* 0 where the question has no dimension */
	int64_t counts[USAGE_COUNTS];
};

struct usage_groups {
	struct usage_group *rows; /* what is newest first, then the dearest */
	size_t count;
	struct usage_group total;
};

enum usage_summed { USAGE_SUMMED,
	USAGE_TOO_MANY, /* groups */
	USAGE_STORE_FAILED };

/*
 * By a connection of its own, so that booking goes on meanwhile. Not SUMMED: nothing to free. why: what the store says.
 */
must_check enum usage_summed usage_sum_up(
	struct ledger *l, const struct usage_query *q, struct usage_groups *ret, char why[STORE_WHY_MAX]);
void usage_groups_free(struct usage_groups *g);

#endif
