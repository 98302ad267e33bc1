/* ROUTE: whose turn it is among the targets that are left, and what all of them can cost at most. */
#include "edge/edge_priv.h"

#include "edge/byok.h"
#include "edge/object.h"
#include "edge/route.h"
#include "edge/stored.h"
#include "ticket/circuit.h"
#include "ticket/price.h"

#include <assert.h>
#include <stdlib.h>

/* How soon answers began, of late. */
struct pace {
	uint64_t at_ms; /* the last one; 0: none yet */
	uint32_t ms_x16; /* weighted mean: the last one counts a quarter */
};

/* Exchanges in progress, by row of the catalogue and by key: this edge's own, for what it has to compare is its own choice. */
struct routes {
	uint32_t *target;
	struct pace (*pace)[2]; /* of each target: of plain answers, of streams */
	uint32_t key[PROVIDERS_MAX][CATALOGUE_KEYS_MAX];
	/* What all edges know; where their table is full, nobody's row: it is as if nothing had ever failed. */
	struct circuit **of_target, *of_key[PROVIDERS_MAX][CATALOGUE_KEYS_MAX];
	struct circuits *own; /* without a common one */
};

static struct circuit *
circuit(struct circuits *all, uint64_t id)
{
	static struct circuit nobody;
	struct circuit *c = circuit_of(all, id);
	return c ? c : &nobody;
}

static void
find_circuits(const struct catalogue *c, struct circuits *all, struct routes *r)
{
	for (uint32_t i = 0; i < c->target_count; i++)
		r->of_target[i] = circuit(all, circuit_target_id(catalogue_target(c, i)->id));
	for (uint32_t i = 0; i < c->provider_count; i++)
		for (uint32_t k = 0; k < catalogue_provider(c, i)->key_count; k++)
			r->of_key[i][k] = circuit(all, circuit_key_id(catalogue_provider(c, i)->id, k));
}

bool
route_open(struct edge *e)
{
	struct routes *r = e->routes = calloc(1, sizeof *r);
	size_t targets = (size_t)e->p->catalogue->target_count + 1;
	if (!r)
		return false;
	r->target = calloc(targets, sizeof *r->target);
	r->pace = calloc(targets, sizeof *r->pace);
	r->of_target = calloc(targets, sizeof *r->of_target);
	r->own = e->p->circuits ? NULL : calloc(1, sizeof *r->own);
	if (!r->target || !r->pace || !r->of_target || !(r->own || e->p->circuits))
		return false;
	find_circuits(e->p->catalogue, r->own ? r->own : e->p->circuits, r);
	return true;
}

void
route_close(struct edge *e)
{
	if (e->routes) {
		free(e->routes->target);
		free(e->routes->pace);
		free(e->routes->of_target);
		free(e->routes->own);
	}
	free(e->routes);
	e->routes = NULL;
}

/* ---- one of several ---- */

enum { CHOICES_MAX = CATALOGUE_TARGETS_MAX > CATALOGUE_KEYS_MAX ? CATALOGUE_TARGETS_MAX : CATALOGUE_KEYS_MAX };

struct choice {
	uint32_t weight, load;
	uint32_t index, name;
};

static uint64_t
mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

static const struct choice *
idlest(const struct choice *c, unsigned count)
{
	const struct choice *best = c;
	for (unsigned i = 1; i < count; i++)
		if ((uint64_t)c[i].load * best->weight < (uint64_t)best->load * c[i].weight)
			best = &c[i];
	return best;
}

/* -log2(1 - t / 2) for 0 <= t <= 1: its series, the last term with all those behind it, so that both ends are right; no share is known better than that. */
static double
bits_below(double t)
{
	return t * (0.72135 + t * (0.18034 + t * (0.06011 + t * (0.02254 + t * 0.01566))));
}

/* Rendezvous: each draws a number from the hash and its own name, and the one whose share is the largest has it. Who leaves takes only what was its own. */
static double
draw(const struct choice *c, uint64_t hash)
{
	uint64_t h = mix(hash ^ mix(c->name)) | 1; /* of 2^64, and never nothing */
	int zeros = __builtin_clzll(h);
	double t = 2 - (double)(h << zeros >> 11) / (double)(1ULL << 52);
	return c->weight / (zeros + bits_below(t)); /* weight / -log2(h / 2^64) */
}

static unsigned
luckiest(const struct choice *c, unsigned count, uint64_t hash)
{
	unsigned best = 0;
	double most = draw(&c[0], hash);
	for (unsigned i = 1; i < count; i++) {
		double d = draw(&c[i], hash);
		if (d > most) {
			most = d;
			best = i;
		}
	}
	return best;
}

/*
 * The place of the hash by weight; but who has a quarter more than its share of what is running, and four, is passed over for the one that has least
 * (consistent hashing with bounded loads).
 */
static uint32_t
choose(const struct choice *c, unsigned count, uint64_t hash)
{
	enum { SLACK = 4 };
	uint64_t weights = 0, load = 0;
	for (unsigned i = 0; i < count; i++) {
		weights += c[i].weight;
		load += c[i].load;
	}
	const struct choice *best = &c[luckiest(c, count, hash)];
	uint64_t share = (load + 1) * best->weight * 5 / 4;
	return best->load * weights > share + SLACK * weights ? idlest(c, count)->index : best->index;
}

static enum choice_rule
rule_of(const struct exchange *x)
{
	const struct catalogue *c = x->edge->p->catalogue;
	return (enum choice_rule)catalogue_lane(c, catalogue_target(c, x->route.first)->lane)->choice;
}

/*
 * What a pace is worth now: halved with each ten seconds since it was taken, so that who was slow is asked again one day. Never 0: that is who has none.
 */
static uint64_t
pace_now(const struct pace *p, uint64_t now_ms)
{
	enum { HALF_MS = 10000 };
	uint64_t halves = (now_ms - p->at_ms) / HALF_MS, ms = halves < 32 ? p->ms_x16 >> halves : 0;
	return p->at_ms ? ms + 1 : 0;
}

/*
 * Peak EWMA: what it took of late, times what it has in progress, and this. Who is not known yet is asked by one, and by others only when it has answered
 * that: how soon is to be found out, not to be bet on.
 */
static uint64_t
price_in_time(const struct exchange *x, const struct choice *c)
{
	const struct pace *p = &x->edge->routes->pace[x->route.first + c->index][x->req->scan.result.stream];
	uint64_t ms = pace_now(p, x->edge->loop.now_ms);
	if (!ms)
		return c->load ? UINT64_MAX : 0;
	return ms * (c->load + 1) * 1024 / c->weight;
}

static uint64_t
price_in_load(const struct choice *c)
{
	return (uint64_t)c->load * 65536 / c->weight;
}

/* Of those that are as good as the best, the place of the hash: where nothing speaks against it, what belongs together stays together. */
static uint32_t
choose_by(struct exchange *x, struct choice *c, unsigned count, enum choice_rule rule, uint64_t hash)
{
	uint64_t least = UINT64_MAX;
	unsigned good = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t price = rule == CHOICE_SPEED ? price_in_time(x, &c[i]) : price_in_load(&c[i]);
		if (price > least)
			continue;
		good = price < least ? 0 : good;
		least = price;
		c[good++] = c[i];
	}
	return c[luckiest(c, good, hash)].index;
}

void
route_timed(struct exchange *x, bool failed)
{
	enum { FAILED_MS = 1000 };
	const struct edge *e = x->edge;
	if (x->route.count == 0 || !x->req || x->req->upload || rule_of(x) != CHOICE_SPEED) /* an upload takes as long as its sender */
		return;
	struct pace *p = &e->routes->pace[x->route.target - catalogue_target(e->p->catalogue, 0)][x->req->scan.result.stream];
	uint64_t ms = e->loop.now_ms - x->route.asked_ms + (failed ? FAILED_MS : 0), was = pace_now(p, e->loop.now_ms);
	uint64_t is = ms < UINT32_MAX / 64 ? ms * 16 : UINT32_MAX / 4;
	*p = (struct pace){e->loop.now_ms, (uint32_t)(was && is < was ? was - (was - is) / 4 : is)}; /* who is slower is so at once */
}

static uint64_t
hint(struct exchange *x)
{
	const struct catalogue *c = x->edge->p->catalogue;
	if (!x->route.hint)
		x->route.hint = route_hint(x, (enum sticky)catalogue_lane(c, x->route.target ? x->route.target->lane : catalogue_target(c, x->route.first)->lane)->sticky);
	return x->route.hint;
}

/* ---- whose turn it is ---- */

static uint32_t
index_of(const struct exchange *x, const struct catalogue_target *t)
{
	return (uint32_t)(t - catalogue_target(x->edge->p->catalogue, 0));
}

struct circuit *
route_target_circuit(const struct exchange *x)
{
	return x->edge->routes->of_target[index_of(x, x->route.target)];
}

struct circuit *
route_key_circuit(const struct exchange *x)
{
	return x->edge->routes->of_key[x->route.target->provider][x->route.key];
}

/* Whether one of them would be asked before the others; where the target's may, the keys' have to. */
static bool
may(const struct exchange *x, uint32_t at)
{
	const struct edge *e = x->edge;
	uint64_t now = e->loop.now_ms;
	const struct catalogue_target *t = catalogue_target(e->p->catalogue, x->route.first + at);
	uint32_t keys = catalogue_provider(e->p->catalogue, t->provider)->key_count;
	if (!circuit_may(e->routes->of_target[x->route.first + at], now))
		return false;
	if (x->route.own >> at & 1)
		return true;
	for (uint32_t k = 0; k < keys; k++)
		if (e->key[t->provider][k].at && circuit_may(e->routes->of_key[t->provider][k], now))
			return true;
	return keys == 0;
}

/* Those that may; when none may, the one that may the soonest: nobody is refused because of a circuit. */
static uint32_t
awake(const struct exchange *x, uint32_t left)
{
	uint32_t all = 0, soonest = 0;
	uint64_t least = UINT64_MAX;
	for (uint32_t rest = left; rest; rest &= rest - 1) {
		uint32_t at = (uint32_t)__builtin_ctz(rest);
		uint64_t until = circuit_until_ms(x->edge->routes->of_target[x->route.first + at]);
		all |= may(x, at) ? 1u << at : 0;
		if (until < least) {
			least = until;
			soonest = 1u << at;
		}
	}
	return all ? all : soonest;
}

static uint32_t
pick_target(struct exchange *x, uint32_t left)
{
	const struct edge *e = x->edge;
	struct choice c[CHOICES_MAX];
	unsigned count = 0, rank = UINT32_MAX;
	for (uint32_t i = 0; i < x->route.count; i++) {
		const struct catalogue_target *t = catalogue_target(e->p->catalogue, x->route.first + i);
		if (!(left >> i & 1) || t->rank > rank)
			continue;
		count = t->rank < rank ? 0 : count;
		rank = t->rank;
		c[count++] = (struct choice){t->weight, e->routes->target[x->route.first + i], i, t->id};
	}
	if (count == 1)
		return c->index;
	uint64_t hash = hint(x) ^ x->model->id;
	return rule_of(x) == CHOICE_WEIGHT ? choose(c, count, hash) : choose_by(x, c, count, rule_of(x), hash);
}

/* Of those that were handed over. */
static uint32_t
pick_key(struct exchange *x)
{
	const struct edge *e = x->edge;
	uint32_t provider = x->route.target->provider, keys = catalogue_provider(e->p->catalogue, provider)->key_count;
	struct choice c[CHOICES_MAX];
	unsigned count = 0;
	if (keys < 2)
		return 0;
	for (int resting = 0; resting < 2 && !count; resting++)
		for (uint32_t k = 0; k < keys; k++)
			if (e->key[provider][k].at && !(x->route.keys_out >> k & 1) && (resting || circuit_may(e->routes->of_key[provider][k], e->loop.now_ms)))
				c[count++] = (struct choice){1, e->routes->key[provider][k], k, k + 1};
	if (!count)
		return 0;
	bool kept = stored_is_kept(x, catalogue_provider(e->p->catalogue, provider));
	if (x->object || x->req->scan.result.object_count || kept) /* what an account keeps lies where one of its keys has put it */
		return c[mix(x->account_row) % count].index;
	return count == 1 ? c->index : choose(c, count, hint(x));
}

static void
unload(struct exchange *x)
{
	struct route *r = &x->route;
	if (r->probes) /* it can't pay, or can't be translated: the next one asks */
		circuit_unclaim(route_target_circuit(x), x->edge->loop.now_ms);
	r->probes = false;
	bool own = r->byok;
	byok_drop(x);
	if (!r->loaded)
		return;
	r->loaded = false;
	x->edge->routes->target[index_of(x, r->target)]--;
	if (!own)
		x->edge->routes->key[r->target->provider][r->key]--;
}

static const struct catalogue_price *
price_of(const struct exchange *x, const struct catalogue_target *t, bool own)
{
	const struct catalogue *c = x->edge->p->catalogue;
	uint64_t wall_ms = edge_wall_ms(x->edge);
	return own ? catalogue_target_fee_now(c, t, wall_ms) : catalogue_target_price_now(c, t, wall_ms);
}

static void
use(struct exchange *x)
{
	struct edge *e = x->edge;
	struct route *r = &x->route;
	struct ticket_facts *f = &x->ticket->facts;
	const struct catalogue_price *price = price_of(x, r->target, r->byok);
	assert(price); /* it was looked at, and prices don't end */
	r->key = r->byok ? 0 : (uint8_t)pick_key(x);
	r->loaded = true;
	r->asked_ms = e->loop.now_ms;
	e->routes->target[index_of(x, r->target)]++;
	if (!r->byok)
		e->routes->key[r->target->provider][r->key]++;
	f->flags = (uint16_t)((f->flags & ~TICKET_OWN_KEY) | (r->byok ? TICKET_OWN_KEY : 0));
	x->price = price;
	f->price = price->id;
	f->provider = catalogue_provider(e->p->catalogue, r->target->provider)->id;
	f->target = (uint16_t)(r->target->number * CATALOGUE_KEYS_MAX + r->key);
}

static uint32_t
left_of(const struct exchange *x)
{
	return (uint16_t)~x->route.out;
}

/* Circuits are about our own requests, and have no part in this; those that are open are only asked last. False: none of these is left, or there is no memory for a key: then nobody is, ours is dearer. */
static bool
next_own(struct exchange *x, uint32_t left)
{
	struct route *r = &x->route;
	while (left) {
		uint32_t some = left & (left - 1) ? awake(x, left) : left;
		uint32_t at = some & (some - 1) ? pick_target(x, some) : (uint32_t)__builtin_ctz(some);
		left &= ~(1u << at);
		r->own &= (uint16_t) ~(1u << at);
		unload(x);
		r->target = catalogue_target(x->edge->p->catalogue, r->first + at);
		r->keys_out = 0;
		if (byok_take(x, r->target->provider)) {
			use(x);
			return true;
		}
		bool only, usable = byok_at(x, r->target->provider, &only) == BYOK_USABLE;
		r->out |= usable ? UINT16_MAX : r->own_only & (uint16_t)(1u << at);
		left = usable ? 0 : left;
	}
	return false;
}

bool
route_next(struct exchange *x)
{
	struct route *r = &x->route;
	uint32_t left = left_of(x);
	if (left & r->own)
		return next_own(x, left & r->own) || route_next(x);
	while (left) {
		uint32_t some = left & (left - 1) ? awake(x, left) : left;
		uint32_t at = some & (some - 1) ? pick_target(x, some) : (uint32_t)__builtin_ctz(some);
		bool last = !(left & (left - 1)), closed = circuit_state(x->edge->routes->of_target[r->first + at], x->edge->loop.now_ms) <= CIRCUIT_RESTING;
		left &= ~(1u << at);
		if (!last && !circuit_claim(x->edge->routes->of_target[r->first + at], x->edge->loop.now_ms))
			continue; /* another edge has begun a probe since */
		unload(x);
		r->probes = !last && !closed;
		r->target = catalogue_target(x->edge->p->catalogue, r->first + at);
		r->keys_out = 0;
		use(x);
		return true;
	}
	return false;
}

/* Those that have a secret and have not failed. */
static uint32_t
keys_left(const struct exchange *x)
{
	const struct edge *e = x->edge;
	uint32_t provider = x->route.target->provider, keys = catalogue_provider(e->p->catalogue, provider)->key_count, left = 0;
	for (uint32_t k = 0; k < keys; k++)
		left |= e->key[provider][k].at && !(x->route.keys_out >> k & 1) ? 1u << k : 0;
	return left;
}

bool
route_next_key(struct exchange *x)
{
	x->route.keys_out |= 1u << x->route.key;
	if (!keys_left(x))
		return false;
	unload(x);
	use(x);
	return true;
}

/* What was about the key says nothing of the target. */
bool
route_own_failed(struct exchange *x, enum route_flaw flaw)
{
	struct route *r = &x->route;
	uint16_t at = (uint16_t)(1u << (index_of(x, r->target) - r->first));
	bool of_key = flaw == ROUTE_ACCOUNT || flaw == ROUTE_FORBIDDEN || flaw == ROUTE_WORDS || flaw == ROUTE_RATE;
	r->out |= of_key ? r->own_only & at : at;
	return route_next(x);
}

bool
route_skip(struct exchange *x)
{
	if (x->route.count == 0)
		return false;
	x->route.out |= (uint16_t)(1u << (index_of(x, x->route.target) - x->route.first));
	return route_next(x);
}

bool
route_has_more(const struct exchange *x)
{
	const struct route *r = &x->route;
	if (r->count == 0)
		return false;
	uint32_t others = left_of(x) & ~(1u << (index_of(x, r->target) - r->first));
	if (r->byok) /* the same by our key */
		return others || !(r->own_only >> (index_of(x, r->target) - r->first) & 1);
	return others || (keys_left(x) & ~(1u << r->key)) != 0;
}

bool
route_only(struct exchange *x, const struct catalogue_target *t)
{
	struct ticket_facts *f = &x->ticket->facts;
	bool own = x->object->own;
	x->route.target = t;
	x->route.out = UINT16_MAX;
	byok_drop(x); /* of the one before, in a list */
	if (own && !byok_take(x, t->provider))
		return false; /* ours is not for this */
	x->route.key = own ? 0 : (uint8_t)pick_key(x);
	f->provider = catalogue_provider(x->edge->p->catalogue, t->provider)->id;
	f->target = x->route.key;
	return true;
}

void
route_end(struct exchange *x)
{
	unload(x);
	if (x->route.dearest)
		vault_free(x->edge->vault, x->route.dearest, sizeof *x->route.dearest);
	x->route.dearest = NULL;
}

/* ---- what it can cost ---- */

void
route_keep(struct exchange *x, bool (*can)(const struct exchange *x, const struct catalogue_price *p))
{
	struct route *r = &x->route;
	for (uint32_t left = left_of(x); left; left &= left - 1) {
		const uint16_t bit = (uint16_t)(left & -left);
		const struct catalogue_target *t = catalogue_target(x->edge->p->catalogue, r->first + (uint32_t)__builtin_ctz(left));
		bool own = r->own & bit || (r->byok && t == r->target);
		bool own_can = own && can(x, price_of(x, t, true)), ours_can = !(r->own_only & bit) && can(x, price_of(x, t, false));
		if (!own_can)
			r->own &= (uint16_t)~bit;
		if (!ours_can && own_can)
			r->own_only |= bit;
		else if (!ours_can)
			r->out |= bit;
	}
}

/* Of the standard tier and the one that was asked, the dearer at this size of request. */
static const struct catalogue_price *
dearer_row(const struct exchange *x, const struct catalogue_target *t, const struct catalogue_price *base, uint64_t input)
{
	const struct catalogue *c = x->edge->p->catalogue;
	bool unpriced;
	struct usage u = {.tokens = {[TOKEN_input] = input}};
	const struct catalogue_price *standard = catalogue_price_for(c, t, base, &u, &unpriced);
	u.tier = x->req->scan.result.tier;
	const struct catalogue_price *asked = catalogue_price_for(c, t, base, &u, &unpriced);
	if (asked == standard)
		return standard;
	return price_upper_bound(asked, input, 1000).v > price_upper_bound(standard, input, 1000).v ? asked : standard;
}

static int64_t
more(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void
raise(struct catalogue_price *to, const struct catalogue_price *p)
{
	to->request_nano = more(to->request_nano, p->request_nano);
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		to->pico[k] = more(to->pico[k], p->pico[k]);
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		to->tool_nano[k] = more(to->tool_nano[k], p->tool_nano[k]);
	to->geo_us_x100 = to->geo_us_x100 > p->geo_us_x100 ? to->geo_us_x100 : p->geo_us_x100;
}

/* False: no memory. */
static bool
raise_by(struct exchange *x, const struct catalogue_target *t, const struct catalogue_price *base, const struct catalogue_price *own, uint64_t input)
{
	struct route *r = &x->route;
	if (base == x->price)
		return true;
	if (!r->dearest) {
		r->dearest = vault_alloc(x->edge->vault, sizeof *r->dearest);
		if (!r->dearest)
			return false;
		*r->dearest = *own;
	}
	raise(r->dearest, dearer_row(x, t, base, input));
	return true;
}

/* Where the candidates have one price list, its row; else a row of the dearest amounts, for it may come to any of them. */
const struct catalogue_price *
route_bound(struct exchange *x, uint64_t input)
{
	struct edge *e = x->edge;
	struct route *r = &x->route;
	const struct catalogue_price *own = dearer_row(x, r->target, x->price, input);
	for (uint32_t left = left_of(x); left; left &= left - 1) {
		uint32_t at = (uint32_t)__builtin_ctz(left);
		const struct catalogue_target *t = catalogue_target(e->p->catalogue, r->first + at);
		if (r->own >> at & 1 && !raise_by(x, t, price_of(x, t, true), own, input))
			return NULL;
		if (!(r->own_only >> at & 1) && !raise_by(x, t, price_of(x, t, false), own, input))
			return NULL;
	}
	return r->dearest ? r->dearest : own;
}
