#include "ledger/ledger_priv.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"
#include "ticket/price.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- catalogue → store ---- */

static bool
insert_price(struct ledger *l, uint32_t owner, const struct catalogue_price *p)
{
	struct query *st = store_sql(&l->store, SQL_price_insert);
	sql_bind(st, (int64_t)p->id, owner, (int64_t)p->from_ms, (int64_t)clock_wall_us(), p->request_nano, p->tier, p->above_tokens,
		p->geo_us_x100);
	for (int k = 0; k < TOOL_KIND_COUNT; k++)
		sql_bind_int(st, 9 + k, p->tool_nano[k]);
	for (int k = 0; k < TOKEN_KIND_COUNT; k++)
		sql_bind_int(st, 9 + TOOL_KIND_COUNT + k, p->pico[k]);
	if (!sql_done(&l->store, st))
		return false;
	return sql_changes(&l->store) == 0 || change_record(l, CHANGE_PRICE, p->id);
}

static bool
put_name(struct ledger *l, enum sql name, uint32_t id, const char *text)
{
	struct query *st = store_sql(&l->store, name);
	sql_bind(st, id);
	sql_bind_text(st, 2, text);
	return sql_done(&l->store, st);
}

/* What the same costs by a customer's own key: the rows behind the list. */
static bool
insert_fees(struct ledger *l, uint32_t owner, const char *name, uint32_t at, uint32_t count)
{
	char fees[CATALOGUE_OWNER_MAX];
	if (!l->o.catalogue->byok)
		return true;
	snprintf(fees, sizeof(fees), "%s" CATALOGUE_BYOK, name);
	bool ok = put_name(l, SQL_model_put, owner, fees);
	for (uint32_t i = 0; ok && i < count; i++)
		ok = insert_price(l, owner, catalogue_price(l->o.catalogue, at + count + i));
	return ok;
}

static bool
insert_model(struct ledger *l, const struct catalogue_model *m)
{
	bool ok = put_name(l, SQL_model_put, m->id, m->public_id);
	for (uint32_t i = 0; ok && i < m->price_count; i++)
		ok = insert_price(l, m->id, catalogue_price(l->o.catalogue, m->price_at + i));
	return ok && insert_fees(l, m->byok_owner, m->public_id, m->price_at, m->price_count);
}

/* What a lane or a target charges by a list of its own. */
static bool
insert_target(struct ledger *l, const struct catalogue_target *t)
{
	char owner[CATALOGUE_OWNER_MAX];
	if (!catalogue_target_has_prices(l->o.catalogue, t))
		return true;
	catalogue_price_owner(l->o.catalogue, t, owner);
	bool ok = put_name(l, SQL_model_put, t->price_owner, owner);
	for (uint32_t i = 0; ok && i < t->price_count; i++)
		ok = insert_price(l, t->price_owner, catalogue_price(l->o.catalogue, t->price_at + i));
	return ok && insert_fees(l, t->byok_owner, owner, t->price_at, t->price_count);
}

static bool
insert_catalogue(struct ledger *l)
{
	const struct catalogue *c = l->o.catalogue;
	bool ok = true;
	for (uint32_t i = 0; ok && i < c->provider_count; i++)
		ok = put_name(l, SQL_provider_put, catalogue_provider(c, i)->id, catalogue_provider(c, i)->name);
	for (uint32_t i = 0; ok && i < c->model_count; i++)
		ok = insert_model(l, catalogue_model(c, i));
	for (uint32_t i = 0; ok && i < c->target_count; i++)
		ok = insert_target(l, catalogue_target(c, i));
	return ok;
}

/* ---- store → memory ---- */

void
price_book_row(struct query *st, struct price_row *r)
{
	*r = (struct price_row){
		.price = {.id = (uint64_t)sql_int(st, 0),
			.from_ms = (uint64_t)sql_int(st, 2),
			.request_nano = sql_int(st, 4),
			.tier = (uint8_t)sql_int(st, 5),
			.above_tokens = (uint32_t)sql_int(st, 6),
			.geo_us_x100 = (uint16_t)sql_int(st, 7)},
		.model = (uint32_t)sql_int(st, 1),
		.added_us = (uint64_t)sql_int(st, 3),
	};
	for (int k = 0; k < TOKEN_KIND_COUNT; k++)
		r->price.pico[k] = sql_int(st, 8 + TOOL_KIND_COUNT + k);
	for (int k = 0; k < TOOL_KIND_COUNT; k++)
		r->price.tool_nano[k] = sql_int(st, 8 + k);
	r->hash = receipt_price(r, receipt_shape_now());
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct price_row *)a)->price.id, y = ((const struct price_row *)b)->price.id;
	return x < y ? -1 : x > y;
}

static bool
read_all(struct store *s, struct query *st, struct price_book *b)
{
	enum sql_step step;
	while ((step = sql_step(s, st)) == SQL_ROW) {
		if ((b->count & (b->count - 1)) == 0) {
			struct price_row *more = reallocarray(b->rows, b->count == 0 ? 1 : 2 * b->count, sizeof(*more));
			if (more == NULL)
				return false;
			b->rows = more;
		}
		price_book_row(st, &b->rows[b->count++]);
	}
	return step == SQL_END;
}

bool
price_book_load(struct store *s, struct price_book *ret)
{
	struct price_book b = {0};
	struct query *st = sql_prepare(s, sql_text(s, SQL_price_all));
	if (st == NULL)
		return false;
	bool ok = read_all(s, st, &b);
	sql_free(st);
	if (!ok) {
		price_book_free(&b);
		return false;
	}
	if (b.count > 0)
		qsort(b.rows, b.count, sizeof(*b.rows), by_id);
	*ret = b;
	return true;
}

void
price_book_free(struct price_book *b)
{
	free(b->rows);
	*b = (struct price_book){0};
}

const struct price_row *
price_book_find(struct price_book *b, uint64_t id)
{
	if (b->last != NULL && b->last->price.id == id)
		return b->last;
	struct price_row want = {.price.id = id};
	const struct price_row *r = b->count == 0 ? NULL : bsearch(&want, b->rows, b->count, sizeof(want), by_id);
	if (r != NULL)
		b->last = r;
	return r;
}

/* The book's row must say what the catalogue's says: ids are hashes of the contents. */
static bool
agrees(struct ledger *l, const struct catalogue_price *p)
{
	const struct price_row *r = price_book_find(&l->prices, p->id);
	return r != NULL && memcmp(&r->price, p, sizeof(*p)) == 0;
}

static bool
catalogue_agrees(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	for (uint32_t i = 0; i < l->o.catalogue->price_count; i++) {
		const struct catalogue_price *p = catalogue_price(l->o.catalogue, i);
		if (agrees(l, p))
			continue;
		snprintf(ret_why, STORE_WHY_MAX,
			"price row %016llx of the catalogue differs from the one that was booked with: give "
			"the model a new price row",
			(unsigned long long)p->id);
		return false;
	}
	return true;
}

bool
price_book_open(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	snprintf(ret_why, STORE_WHY_MAX, "the price book can't be written");
	if (l->o.catalogue != NULL && !(store_begin(&l->store) && store_end(&l->store, insert_catalogue(l))))
		return false;
	if (!price_book_load(&l->store, &l->prices))
		return false;
	return l->o.catalogue == NULL || catalogue_agrees(l, ret_why);
}

/* ---- usage × price ---- */

static bool
usage_of(const struct ticket_facts *f, struct usage *ret)
{
	uint64_t any = 0;
	*ret = (struct usage){.tier = f->tier, .flags = f->flags & TICKET_GEO_US ? USAGE_GEO_US : 0};
#define X(name, piece) any |= ret->tools[TOOL_##name] = f->tools_##name;
	TOOL_KINDS(X)
#undef X
#define X(name, meaning, fallback) any |= ret->tokens[TOKEN_##name] = f->tokens_##name;
	TOKEN_KINDS(X)
#undef X
	return any != 0;
}

/* Whose loss it is that no way was left to charge it; NONE: it ended in another way. */
static const enum house_account losses[UINT8_MAX + 1] = {
	[END_INTERRUPTED] = HOUSE_LOSS_CRASH,
	[END_TRACED] = HOUSE_LOSS_CRASH,
	[END_NODE_FORGOTTEN] = HOUSE_LOSS_NODE,
};

static enum house_account
loss_of(const struct ticket_copy *t, int64_t difference_nano)
{
	if (difference_nano <= 0)
		return HOUSE_NONE;
	if (billing_of(t->facts.end_reason) == BILLING_NONE)
		return HOUSE_LOSS_RETRY;
	if (losses[t->facts.end_reason] != HOUSE_NONE)
		return losses[t->facts.end_reason];
	if (t->cost.v != t->hold.v)
		return HOUSE_NONE;
	return t->facts.flags & TICKET_ABSURD ? HOUSE_LOSS_ABSURD : HOUSE_LOSS_OVERRUN;
}

struct appraisal
appraise(struct price_book *b, const struct ticket_copy *t)
{
	struct usage u;
	bool used = usage_of(&t->facts, &u);
	const struct price_row *r = price_book_find(b, t->facts.price);
	struct appraisal a = {.priced = r != NULL};
	/*
	 * The fee per request is due with the answer: nothing used and nothing charged is right for an
	 * exchange that ended before.
	 */
	if (r == NULL || (!used && t->cost.v == 0))
		return a;
	if (t->facts.parent != 0 && billing_of(t->facts.end_reason) != BILLING_NONE) /* a leg: its cost is in its parent's; a failed attempt's is nobody's */
		return a;
	a.difference_nano = price_cost(&r->price, &u).v + (int64_t)t->facts.legs_nano - t->cost.v;
	a.loss = loss_of(t, a.difference_nano);
	return a;
}
