/*
 * Price rows as a list or a catalogue states them: what is not stated is −1, and a group is all rows of one start.
 * Pure; the command line.
 */
#ifndef PROC_IMPORT_PRICE_H
#define PROC_IMPORT_PRICE_H

#include "proc/config_settings.h"
#include "ticket/usage.h"

/* The columns of CONFIG_PRICE, all of 64 bits. */
enum price_column {
#define X(key, member, kind, fallback, least, most, meaning) PRICE_##member,
	CONFIG_PRICE(X)
#undef X
		PRICE_COLUMN_COUNT
};

/* What the columns of a row say but its start, tier and size. */
enum { PRICE_KINDS_AT = PRICE_input,
	PRICE_FEES_AT = PRICE_input + TOKEN_KIND_COUNT,
	PRICE_ROWS_MAX = 24 };

struct price_row {
	int64_t v[PRICE_COLUMN_COUNT];
};

struct price_group {
	uint64_t from_ms;
	uint32_t count;
	struct price_row row[PRICE_ROWS_MAX]; /* PRICE_from_ms is not used */
};

/* The row of a tier and size; NULL when there is none, or with `make` no room for one. */
struct price_row *price_row(struct price_group *g, int64_t tier, int64_t above, bool make);
const struct price_row *price_row_of(const struct price_group *g, int64_t tier, int64_t above);

/*
 * What a list leaves open, as providers mean it: a larger request or a tier costs what the base costs where nothing
 * else is said, and a tier that is a multiple of the standard tier becomes one (`times`).
 */
void price_complete(struct price_group *g);

/* Without rows for prompts that are larger than the window. */
void price_drop_above(struct price_group *g, uint64_t context);

/* Both charge the same for everything. */
must_check bool price_same(const struct price_group *a, const struct price_group *b);
/* The same, but for tiers that only one of them has. Both are complete. */
must_check bool price_agree(const struct price_group *a, const struct price_group *b);

/* What `stated` states replaces what `g` says. False: no room. `stated` is complete. */
must_check bool price_overlay(struct price_group *g, const struct price_group *stated);

/*
 * What `more` states and `g` doesn't is added; differ() is told of what both state differently (of a tier: only that,
 * as the column). Neither is complete; a tier comes as the multiple that it is in its own list.
 */
typedef void price_differ(void *context, const struct price_row *kept, const struct price_row *other, enum price_column);
must_check bool price_fill(struct price_group *g, const struct price_group *more, price_differ *differ, void *context);

/* Tells what b charges otherwise than a: of the standard tier each column, of others only that they differ (column: tier). */
typedef void price_change(void *context, const struct price_row *now, enum price_column column, int64_t was, int64_t is);
void price_differences(const struct price_group *a, const struct price_group *b, price_change *change, void *context);

/* A value as the catalogue writes it, without quotes: "1.25"; a key of the catalogue. */
void price_value_text(enum price_column column, int64_t value, char out[32]);
const char *price_key(enum price_column column);

/* What a row must say beyond what the reader of the catalogue fills in itself. */
bool price_worth_saying(const struct price_row *row, enum price_column column);

/* One row in the catalogue's words: {from: 2026-01-01, input: "1.25", ...}. The length, as snprintf says it. */
enum { PRICE_ROW_TEXT_MAX = 1024 };
int price_row_text(const struct price_row *row, uint64_t from_ms, char out[PRICE_ROW_TEXT_MAX]);
/* "2026-01-01", or the time in quotes. */
void price_from_text(uint64_t from_ms, char out[32]);

#endif
