#include "proc/import_price.h"

#include "proc/config_raw.h"
#include "proc/import_decimal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const enum token_kind stand_in[TOKEN_KIND_COUNT] = {
#define X(name, meaning, fallback) [TOKEN_##name] = TOKEN_##fallback,
	TOKEN_KINDS(X)
#undef X
};

/* ---- rows ---- */

const struct price_row *
price_row_of(const struct price_group *g, int64_t tier, int64_t above)
{
	for (uint32_t i = 0; i < g->count; i++)
		if (g->row[i].v[PRICE_tier] == tier && g->row[i].v[PRICE_above_tokens] == above)
			return &g->row[i];
	return NULL;
}

struct price_row *
price_row(struct price_group *g, int64_t tier, int64_t above, bool make)
{
	struct price_row *row = (struct price_row *)price_row_of(g, tier, above);
	if (row != NULL || !make || g->count == PRICE_ROWS_MAX)
		return row;
	row = &g->row[g->count++];
	for (unsigned i = 0; i < PRICE_COLUMN_COUNT; i++)
		row->v[i] = -1;
	row->v[PRICE_tier] = tier;
	row->v[PRICE_above_tokens] = above;
	return row;
}

static void
remove_tier(struct price_group *g, int64_t tier)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < g->count; i++)
		if (g->row[i].v[PRICE_tier] != tier)
			g->row[kept++] = g->row[i];
	g->count = kept;
}

void
price_drop_above(struct price_group *g, uint64_t context)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < g->count; i++)
		if (g->row[i].v[PRICE_above_tokens] < (int64_t)context)
			g->row[kept++] = g->row[i];
	g->count = kept;
}

/* What a kind costs in a row, by its own price or that which stands in; −1: not even that is stated. */
static int64_t
kind_price(const struct price_row *row, unsigned kind)
{
	while (row->v[PRICE_KINDS_AT + kind] < 0 && stand_in[kind] != kind)
		kind = stand_in[kind];
	return row->v[PRICE_KINDS_AT + kind];
}

/* What a column says that needs no saying; −1: there is no such thing. */
static int64_t
nothing_said(enum price_column column)
{
	if (column == PRICE_geo_us_x100)
		return 100;
	bool kind = column >= (enum price_column)PRICE_KINDS_AT && column < (enum price_column)PRICE_FEES_AT;
	return kind || column == PRICE_from_ms ? -1 : 0;
}

bool
price_worth_saying(const struct price_row *row, enum price_column column)
{
	int64_t v = row->v[column];
	if (v < 0 || v == nothing_said(column) || column == PRICE_from_ms)
		return false;
	if (column < (enum price_column)PRICE_KINDS_AT || column >= (enum price_column)PRICE_FEES_AT)
		return true;
	unsigned kind = column - PRICE_KINDS_AT;
	return stand_in[kind] == kind || v != kind_price(row, stand_in[kind]);
}

/* Fees and the multiple of a place, which a row has of its own; prices of kinds that its model's base row states. */
static void
inherit(struct price_row *row, const struct price_row *base)
{
	for (unsigned c = 0; c < PRICE_COLUMN_COUNT; c++) {
		bool key = c == PRICE_from_ms || c == PRICE_above_tokens || c == PRICE_tier || c == PRICE_times_x100;
		if (!key && row->v[c] < 0 && price_worth_saying(base, c))
			row->v[c] = base->v[c];
	}
}

/* ---- tiers as multiples ---- */

/* The one multiple (× 100) of the standard tier that all stated prices of a row are; 0: there is none; −1 stays "any". */
static int64_t
multiple_of(const struct price_row *row, const struct price_row *standard, int64_t so_far)
{
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
		int64_t v = row->v[PRICE_KINDS_AT + kind], base = kind_price(standard, kind);
		if (v < 0 || (v == 0 && base == 0))
			continue;
		if (base <= 0 || v > (int64_t)PRICE_MOST || v * 100 % base != 0 || (so_far >= 0 && so_far != v * 100 / base))
			return 0;
		so_far = v * 100 / base;
	}
	return so_far;
}

static int64_t
multiple_of_tier(const struct price_group *g, int64_t tier)
{
	int64_t multiple = -1;
	for (uint32_t i = 0; i < g->count && multiple != 0; i++) {
		const struct price_row *row = &g->row[i];
		if (row->v[PRICE_tier] != tier)
			continue;
		const struct price_row *standard = price_row_of(g, TIER_standard, row->v[PRICE_above_tokens]);
		multiple = row->v[PRICE_times_x100] > 0 || standard == NULL ? 0 : multiple_of(row, standard, multiple);
	}
	return multiple > 0 && multiple <= 10000 ? multiple : 0;
}

static void
complete_tier(struct price_group *g, int64_t tier)
{
	int64_t multiple = multiple_of_tier(g, tier);
	if (multiple > 0) {
		remove_tier(g, tier);
		price_row(g, tier, 0, true)->v[PRICE_times_x100] = multiple;
		return;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		struct price_row *row = &g->row[i];
		if (row->v[PRICE_tier] != tier || row->v[PRICE_times_x100] > 0)
			continue;
		const struct price_row *standard = price_row_of(g, TIER_standard, row->v[PRICE_above_tokens]);
		inherit(row, standard != NULL ? standard : price_row_of(g, TIER_standard, 0));
	}
}

static int
by_tier_and_size(const void *a, const void *b)
{
	const struct price_row *x = a, *y = b;
	if (x->v[PRICE_tier] != y->v[PRICE_tier])
		return x->v[PRICE_tier] < y->v[PRICE_tier] ? -1 : 1;
	return (x->v[PRICE_above_tokens] > y->v[PRICE_above_tokens]) - (x->v[PRICE_above_tokens] < y->v[PRICE_above_tokens]);
}

void
price_complete(struct price_group *g)
{
	const struct price_row *base = price_row_of(g, TIER_standard, 0);
	if (base == NULL)
		return;
	for (uint32_t i = 0; i < g->count; i++)
		if (g->row[i].v[PRICE_tier] == TIER_standard && g->row[i].v[PRICE_above_tokens] > 0)
			inherit(&g->row[i], base);
	for (int64_t tier = TIER_standard + 1; tier < TIER_COUNT; tier++)
		complete_tier(g, tier);
	qsort(g->row, g->count, sizeof *g->row, by_tier_and_size);
}

/* ---- what rows come to ---- */

/* All that a row charges, nothing left open. */
static struct price_row
resolved(const struct price_row *row)
{
	struct price_row r = *row;
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++)
		r.v[PRICE_KINDS_AT + kind] = kind_price(row, kind);
	for (unsigned c = PRICE_FEES_AT; c < PRICE_COLUMN_COUNT; c++)
		r.v[c] = row->v[c] < 0 ? 0 : row->v[c];
	if (r.v[PRICE_geo_us_x100] < 0)
		r.v[PRICE_geo_us_x100] = 100;
	r.v[PRICE_times_x100] = r.v[PRICE_from_ms] = 0;
	return r;
}

/* As the reader of the catalogue does it (config_check.c): rounded up. */
static struct price_row
times_row(const struct price_row *standard, int64_t tier, int64_t x100)
{
	struct price_row r = resolved(standard);
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
		int64_t *v = &r.v[PRICE_KINDS_AT + kind];
		*v = *v < 0 ? -1 : (int64_t)(((unsigned __int128)*v * (unsigned)x100 + 99) / 100);
	}
	r.v[PRICE_tier] = tier;
	return r;
}

/* Every row of a group, multiples written out. */
static void
expand(const struct price_group *g, struct price_group *ret)
{
	*ret = (struct price_group){.from_ms = g->from_ms};
	for (uint32_t i = 0; i < g->count; i++) {
		const struct price_row *row = &g->row[i];
		int64_t x100 = row->v[PRICE_times_x100];
		for (uint32_t j = 0; x100 > 0 && j < g->count && ret->count < PRICE_ROWS_MAX; j++)
			if (g->row[j].v[PRICE_tier] == TIER_standard)
				ret->row[ret->count++] = times_row(&g->row[j], row->v[PRICE_tier], x100);
		if (x100 <= 0 && ret->count < PRICE_ROWS_MAX)
			ret->row[ret->count++] = resolved(row);
	}
}

/* `tier` −1: all of them. */
static bool
same_in_tier(const struct price_group *a, const struct price_group *b, int64_t tier)
{
	struct price_group x, y;
	uint32_t in_x = 0, in_y = 0;
	expand(a, &x);
	expand(b, &y);
	for (uint32_t i = 0; i < y.count; i++)
		in_y += tier < 0 || y.row[i].v[PRICE_tier] == tier;
	for (uint32_t i = 0; i < x.count; i++) {
		if (tier >= 0 && x.row[i].v[PRICE_tier] != tier)
			continue;
		const struct price_row *other = price_row_of(&y, x.row[i].v[PRICE_tier], x.row[i].v[PRICE_above_tokens]);
		if (other == NULL || memcmp(other, &x.row[i], sizeof *other) != 0)
			return false;
		in_x++;
	}
	return in_x == in_y;
}

bool
price_same(const struct price_group *a, const struct price_group *b)
{
	return same_in_tier(a, b, -1);
}

static void
row_differences(const struct price_row *was, const struct price_row *now, price_change *change, void *context)
{
	for (unsigned c = PRICE_KINDS_AT - 1; c < PRICE_COLUMN_COUNT; c++) /* from geo_us on */
		if (price_worth_saying(now, c) || (was != NULL && price_worth_saying(was, c)))
			if (was == NULL || was->v[c] != now->v[c])
				change(context, now, c, was == NULL ? -1 : was->v[c], now->v[c]);
}

void
price_differences(const struct price_group *a, const struct price_group *b, price_change *change, void *context)
{
	struct price_group x, y;
	expand(a, &x);
	expand(b, &y);
	for (uint32_t i = 0; i < y.count; i++) {
		const struct price_row *now = &y.row[i];
		if (now->v[PRICE_tier] == TIER_standard)
			row_differences(price_row_of(&x, TIER_standard, now->v[PRICE_above_tokens]), now, change, context);
	}
	for (int64_t tier = TIER_standard + 1; tier < TIER_COUNT; tier++)
		for (uint32_t i = 0; i < b->count; i++)
			if (b->row[i].v[PRICE_tier] == tier && !same_in_tier(a, b, tier)) {
				change(context, &b->row[i], PRICE_tier, 0, tier);
				break;
			}
}

static bool
has_tier(const struct price_group *g, int64_t tier)
{
	for (uint32_t i = 0; i < g->count; i++)
		if (g->row[i].v[PRICE_tier] == tier)
			return true;
	return false;
}

bool
price_agree(const struct price_group *a, const struct price_group *b)
{
	for (int64_t tier = TIER_standard; tier < TIER_COUNT; tier++)
		if (has_tier(a, tier) && has_tier(b, tier) && !same_in_tier(a, b, tier))
			return false;
	return true;
}

/* ---- putting two together ---- */

/* A row that comes to a group: what each request costs besides tokens, it costs in this row, too. */
static void
inherit_fees(struct price_row *row, const struct price_row *base)
{
	for (unsigned c = PRICE_FEES_AT; base != NULL && c < PRICE_COLUMN_COUNT; c++)
		if (row->v[c] < 0)
			row->v[c] = base->v[c];
	if (base != NULL && row->v[PRICE_geo_us_x100] < 0)
		row->v[PRICE_geo_us_x100] = base->v[PRICE_geo_us_x100];
}

/* A tier is replaced as a whole, and only when it comes to something else. */
static bool
overlay_tier(struct price_group *g, const struct price_group *stated, int64_t tier)
{
	struct price_group other = *g;
	if (!has_tier(stated, tier))
		return true;
	remove_tier(&other, tier);
	for (uint32_t i = 0; i < stated->count; i++)
		if (stated->row[i].v[PRICE_tier] == tier) {
			if (other.count == PRICE_ROWS_MAX)
				return false;
			other.row[other.count] = stated->row[i];
			if (stated->row[i].v[PRICE_times_x100] <= 0)
				inherit_fees(&other.row[other.count], price_row_of(g, TIER_standard, 0));
			other.count++;
		}
	if (!same_in_tier(g, &other, tier))
		*g = other;
	return true;
}

bool
price_overlay(struct price_group *g, const struct price_group *stated)
{
	for (uint32_t i = 0; i < stated->count; i++) {
		const struct price_row *from = &stated->row[i];
		if (from->v[PRICE_tier] != TIER_standard)
			continue;
		bool is_new = price_row_of(g, TIER_standard, from->v[PRICE_above_tokens]) == NULL;
		struct price_row *to = price_row(g, TIER_standard, from->v[PRICE_above_tokens], true);
		if (to == NULL)
			return false;
		for (unsigned c = 0; c < PRICE_COLUMN_COUNT; c++)
			if (from->v[c] >= 0)
				to->v[c] = from->v[c];
		if (is_new)
			inherit_fees(to, price_row_of(g, TIER_standard, 0));
	}
	for (int64_t tier = TIER_standard + 1; tier < TIER_COUNT; tier++)
		if (!overlay_tier(g, stated, tier))
			return false;
	return true;
}

static bool
fill_row(struct price_group *g, const struct price_row *from, price_differ *differ, void *context)
{
	struct price_row *to = price_row(g, TIER_standard, from->v[PRICE_above_tokens], true);
	for (unsigned c = 0; to != NULL && c < PRICE_COLUMN_COUNT; c++) {
		if (!price_worth_saying(from, c)) /* what follows from its other prices follows from ours */
			continue;
		if (to->v[c] < 0)
			to->v[c] = from->v[c];
		else if (from->v[c] != to->v[c])
			differ(context, to, from, c);
	}
	return to != NULL;
}

/* A tier as a whole. */
static bool
fill_tier(struct price_group *g, const struct price_group *more, int64_t tier, price_differ *differ, void *context)
{
	struct price_group own = *g;
	bool had = has_tier(g, tier);
	price_complete(&own);
	for (uint32_t i = 0; i < more->count; i++) {
		const struct price_row *row = &more->row[i];
		if (row->v[PRICE_tier] != tier)
			continue;
		if (had) {
			if (!same_in_tier(&own, more, tier))
				differ(context, row, row, PRICE_tier);
			return true;
		}
		if (g->count == PRICE_ROWS_MAX)
			return false;
		g->row[g->count++] = *row;
	}
	return true;
}

bool
price_fill(struct price_group *g, const struct price_group *more, price_differ *differ, void *context)
{
	struct price_group whole = *more;
	price_complete(&whole);
	for (uint32_t i = 0; i < more->count; i++)
		if (more->row[i].v[PRICE_tier] == TIER_standard && !fill_row(g, &more->row[i], differ, context))
			return false;
	for (int64_t tier = TIER_standard + 1; tier < TIER_COUNT; tier++)
		if (!fill_tier(g, &whole, tier, differ, context))
			return false;
	return true;
}

/* ---- in words ---- */

const char *
price_key(enum price_column column)
{
	return config_sections[SECTION_PRICE].rows[column].key;
}

void
price_from_text(uint64_t from_ms, char out[32])
{
	time_t t = (time_t)(from_ms / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(out, 32, t % 86400 == 0 ? "%Y-%m-%d" : "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
}

void
price_value_text(enum price_column column, int64_t value, char out[32])
{
	static const char *const tiers[] = {
#define X(name) #name,
		SERVICE_TIERS(X)
#undef X
	};
	enum setting_kind kind = config_sections[SECTION_PRICE].rows[column].kind;
	if (kind == SETTING_DAY)
		price_from_text((uint64_t)value, out);
	else if (kind == SETTING_TIER)
		snprintf(out, 32, "%s", tiers[value]);
	else if (kind == SETTING_PER_MILLION)
		decimal_text(value, 6, 2, out);
	else if (kind == SETTING_DOLLARS)
		decimal_text(value, 9, 2, out);
	else
		decimal_text(value, kind == SETTING_RATIO ? 2 : 0, 0, out);
}

int
price_row_text(const struct price_row *row, uint64_t from_ms, char out[PRICE_ROW_TEXT_MAX])
{
	char value[32];
	price_from_text(from_ms, value);
	int len = snprintf(out, PRICE_ROW_TEXT_MAX, "{from: %s", value);
	for (unsigned c = 0; c < PRICE_COLUMN_COUNT; c++) {
		if (!price_worth_saying(row, c))
			continue;
		price_value_text(c, row->v[c], value);
		const char *quote = setting_must_be_quoted(config_sections[SECTION_PRICE].rows[c].kind) ? "\"" : "";
		len += snprintf(out + len, (size_t)(PRICE_ROW_TEXT_MAX - len), ", %s: %s%s%s", price_key(c), quote, value, quote);
	}
	return len + snprintf(out + len, (size_t)(PRICE_ROW_TEXT_MAX - len), "}");
}
