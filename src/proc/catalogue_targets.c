#include "proc/catalogue_targets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * Price lists: the model's own stands for every target that has none in a lane that costs what the model does. A lane with a factor has one for the
 * model, and a target with prices of its own has one in each of its lanes.
 */

static bool
is_in(const struct config_target *t, uint32_t lane)
{
	return t->lanes >> lane & 1;
}

/* Does any target of the model take what the lane makes of the model's prices? */
static bool
lane_has_list(const struct config *c, const struct config_model *m, uint32_t lane)
{
	for (uint32_t i = 0; i < m->target_count && c->lanes[lane].times_x100 != 100; i++)
		if (is_in(&m->targets[i], lane) && m->targets[i].price_count == 0)
			return true;
	return false;
}

size_t
catalogue_targets_count(const struct config *c, size_t *ret_prices)
{
	size_t count = 0, prices = 0;
	for (uint32_t i = 0; i < c->model_count; i++) {
		const struct config_model *m = &c->models[i];
		prices += catalogue_list_rows(c, m->price_count);
		for (uint32_t lane = 0; lane < c->lane_count; lane++) {
			prices += lane_has_list(c, m, lane) ? catalogue_list_rows(c, m->price_count) : 0;
			for (uint32_t k = 0; k < m->target_count; k++) {
				count += is_in(&m->targets[k], lane);
				prices += is_in(&m->targets[k], lane) ? catalogue_list_rows(c, m->targets[k].price_count) : 0;
			}
		}
	}
	*ret_prices = prices;
	return count;
}

/* "direct" is what tickets say that know of no lanes: 0. */
static uint16_t
lane_id(const char *name)
{
	uint16_t id = (uint16_t)(catalogue_hash("lane", name, strlen(name), NULL, 0) % UINT16_MAX + 1);
	return strcmp(name, "direct") == 0 ? 0 : id;
}

struct filling {
	const struct config *c;
	struct catalogue_block *b;
	uint32_t target_at, price_at;
};

static void
add_list(struct filling *f, const struct config_price *rows, uint32_t count, uint64_t times_x100, struct catalogue_target *t)
{
	char owner[CATALOGUE_OWNER_MAX + CATALOGUE_NAME_MAX];
	size_t len = catalogue_price_owner(f->b->head, t, owner);
	t->price_owner = catalogue_name_id("model", owner);
	memcpy(owner + len, CATALOGUE_BYOK, sizeof CATALOGUE_BYOK);
	t->byok_owner = catalogue_name_id("model", owner);
	owner[len] = '\0';
	if (t->own_prices) { /* two targets at one provider may differ */
		assert(len + 1 + strlen(t->upstream_id) < sizeof owner);
		owner[len] = '/';
		memcpy(owner + len + 1, t->upstream_id, strlen(t->upstream_id) + 1);
	}
	t->price_at = f->price_at;
	t->price_count = count;
	catalogue_fill_prices(rows, count, owner, times_x100, &f->b->price[f->price_at]);
	catalogue_fill_fees(&f->c->byok_fee, owner, count, &f->b->price[f->price_at]);
	f->price_at += catalogue_list_rows(f->c, count);
}

static uint8_t
asked_in(const struct config_provider *p, const struct config_target *t)
{
	uint64_t said = t->language ? t->language - 1 : ASKED_AS_CALLED;
	return (uint8_t)(said == ASKED_AS_CALLED && !p->responses ? ASKED_IN_CHAT : said);
}

static void
fill_target(struct filling *f, uint32_t model, uint32_t lane, uint32_t number, const struct catalogue_target *shared)
{
	const struct config_model *m = &f->c->models[model];
	const struct config_target *from = &m->targets[number];
	uint64_t times = f->c->lanes[lane].times_x100;
	struct catalogue_target *t = &f->b->target[f->target_at++];
	t->model = model;
	t->provider = from->provider_index;
	t->lane = (uint16_t)lane;
	t->rank = (uint16_t)from->rank;
	t->weight = (uint16_t)from->weight;
	t->number = (uint16_t)number;
	t->zero_retention = from->retention == RETENTION_ZERO;
	t->asked_in = asked_in(&f->c->providers[from->provider_index], from);
	t->own_prices = from->price_count > 0;
	catalogue_copy_text(t->region, sizeof t->region, from->region);
	catalogue_copy_text(t->upstream_id, sizeof t->upstream_id, from->upstream);
	const char *provider = f->b->provider[t->provider].name;
	t->id = (uint32_t)catalogue_hash("target", provider, strlen(provider) + 1, t->upstream_id, strlen(t->upstream_id));
	if (from->price_count > 0)
		add_list(f, from->prices, from->price_count, times, t);
	else if (times == 100) {
		t->price_at = f->b->model[model].price_at;
		t->price_count = f->b->model[model].price_count;
	} else if (shared) {
		t->price_at = shared->price_at;
		t->price_count = shared->price_count;
		t->price_owner = shared->price_owner;
		t->byok_owner = shared->byok_owner;
	} else
		add_list(f, m->prices, m->price_count, times, t);
}

static void
fill_lane(struct filling *f, uint32_t model, uint32_t lane)
{
	const struct config_model *m = &f->c->models[model];
	const struct catalogue_target *shared = NULL; /* who has the lane's list */
	uint32_t first = f->target_at;
	for (uint64_t rank = 1; rank <= 1000; rank++) { /* bounds of the setting; in the order of the file within one */
		for (uint32_t k = 0; k < m->target_count; k++) {
			if (!is_in(&m->targets[k], lane) || m->targets[k].rank != rank)
				continue;
			fill_target(f, model, lane, k, shared);
			const struct catalogue_target *t = &f->b->target[f->target_at - 1];
			shared = !shared && !t->own_prices ? t : shared;
		}
		if (f->target_at - first == m->target_count)
			return;
	}
}

void
catalogue_targets_fill(const struct config *c, struct catalogue_block *b, uint32_t price_at)
{
	struct filling f = {c, b, 0, price_at};
	for (uint32_t i = 0; i < c->lane_count; i++) {
		b->lane[i].id = lane_id(c->lanes[i].name);
		b->lane[i].sticky = (uint8_t)c->lanes[i].sticky;
		b->lane[i].choice = (uint8_t)c->lanes[i].choice;
		catalogue_copy_text(b->lane[i].name, sizeof b->lane[i].name, c->lanes[i].name);
	}
	for (uint32_t i = 0; i < c->model_count; i++) {
		b->model[i].target_at = f.target_at;
		for (uint32_t lane = 0; lane < c->lane_count; lane++)
			fill_lane(&f, i, lane);
		b->model[i].target_count = f.target_at - b->model[i].target_at;
	}
	assert(f.target_at == b->head->target_count && f.price_at == b->head->price_count);
}
