/*
 * `lethe top` between its parts: samples of the op "top" and what happened between two of them (top_sample.c), and the lines of a screen
 * (top_screen.c). Command line; both pure. The terminal is cli_top.c's.
 */
#ifndef PROC_TOP_H
#define PROC_TOP_H

#include "core/base.h"
#include "proc/cli_priv.h"

#include <jansson.h>

enum {
	TOP_NAME_MAX = 64, /* longer ones are cut */
	TOP_EDGES_MAX = 64,
	TOP_REASONS_MAX = 64,
	TOP_TROUBLES_MAX = 6, /* that are told one by one */
	TOP_SAMPLES = 6, /* rates are over the time from the oldest to the newest */
};

/* A model at its provider, or all of a provider. Numbers only grow, but for waiting and answering. */
struct top_row {
	char name[TOP_NAME_MAX], provider[TOP_NAME_MAX];
	double waiting, answering;
	double requests, failed, tokens_in, tokens_out, duration_ms;
	int64_t cost_nano;
};

struct top_reason {
	char name[32], severity[8];
	double count;
};

struct top_edge {
	double number, exchanges, streams, connections, upstream, tickets, vault_used, vault_mapped;
};

/* A key of a provider (number), or what is served there (upstream), that is asked after the others. */
struct top_trouble {
	char provider[TOP_NAME_MAX], upstream[TOP_NAME_MAX], state[16];
	double key, again_ms; /* 0: when the next request comes */
};

struct top_ledger {
	char gate[16], store[48];
	double bookings, booked, commit_us, quarantined, mismatched, interrupted, store_failures, slots, slots_used;
};

struct top_sample {
	char version[24]; /* of the server; "": it does not say */
	double generation;
	double at_s; /* monotonic, the server's */
	double time_ms, started_ms, restarts;
	double waiting, answering, reserving, settled;
	int64_t balances_nano, revenue_nano, losses_nano;
	double vault_budget, tickets_per_edge;
	struct top_ledger ledger;
	struct top_row *rows;
	size_t row_count;
	struct top_reason reasons[TOP_REASONS_MAX];
	size_t reason_count;
	struct top_trouble troubles[TOP_TROUBLES_MAX]; /* refused keys first */
	size_t trouble_count, troubles_all;
	struct top_edge edges[TOP_EDGES_MAX];
	size_t edge_count;
};

/* From an answer that is ok. */
void top_sample_read(const json_t *answer, struct top_sample *ret);
void top_sample_free(struct top_sample *s);

/* The newest sample is the last one pushed. Another server's, or one restarted, begins anew. */
struct top_history {
	struct top_sample sample[TOP_SAMPLES];
	size_t count;
};
/* *s is the history's from here. */
void top_history_push(struct top_history *h, struct top_sample *s);
void top_history_free(struct top_history *h);
const struct top_sample *top_newest(const struct top_history *h);
/* Seconds that rates are over; 0: there is one sample only. */
double top_span_s(const struct top_history *h);

#define TOP_SORTS(X) \
	X(MONEY, "dollars") \
	X(REQUESTS, "requests") \
	X(OPEN, "open") \
	X(TOKENS, "tokens") \
	X(FAILED, "failed") \
	X(NAME, "name")

enum top_sort {
#define X(NAME, word) TOP_BY_##NAME,
	TOP_SORTS(X)
#undef X
		TOP_SORT_COUNT
};

struct top_screen {
	int columns, lines; /* lines 0: as many as there are */
	enum top_sort sort;
	bool by_provider, paused, help;
	const char *problem; /* NULL: none */
	double interval_s;
};

enum { TOP_LINE_MAX = 512 };

struct top_line {
	char text[TOP_LINE_MAX];
	enum cli_paint paint;
};

/* malloc'ed, the caller's; none is wider than the screen, and there are not more than it has. */
struct top_line *top_screen_lines(const struct top_screen *s, const struct top_history *h, size_t *ret_count);

#endif
