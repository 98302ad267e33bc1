#include "ticket/circuit.h"

/* until_ms << 20 | failures << 12 | level << 8 | state */
enum { UNTIL_AT = 20,
	FAILURES_AT = 12,
	LEVEL_AT = 8,
	LEVEL_MOST = 6,
	FAILURES_MOST = 200 };

struct parts {
	uint64_t until_ms;
	uint32_t failures, level;
	enum circuit_state state;
};

static struct parts
parts_of(uint64_t word)
{
	uint32_t state = word & 0xff;
	return (struct parts){word >> UNTIL_AT, word >> FAILURES_AT & 0xff, word >> LEVEL_AT & 0xf,
		state < CIRCUIT_STATE_COUNT ? (enum circuit_state)state : CIRCUIT_CLOSED};
}

static uint64_t
word_of(struct parts p)
{
	return p.until_ms << UNTIL_AT | (uint64_t)p.failures << FAILURES_AT | (uint64_t)p.level << LEVEL_AT | p.state;
}

static uint64_t
load(const struct circuit *c)
{
	return atomic_load_explicit(&c->word, memory_order_relaxed);
}

static bool
swap(struct circuit *c, uint64_t *was, struct parts to)
{
	return atomic_compare_exchange_weak_explicit(&c->word, was, word_of(to), memory_order_relaxed, memory_order_relaxed);
}

/* ---- rows ---- */

static uint32_t
home(uint64_t id)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15ULL >> 40) % CIRCUITS_MAX;
}

struct circuit *
circuit_of(struct circuits *c, uint64_t id)
{
	for (uint32_t i = 0; i < CIRCUITS_MAX; i++) {
		struct circuit *row = &c->row[(home(id) + i) % CIRCUITS_MAX];
		uint64_t none = 0;
		if (atomic_load(&row->id) == id || atomic_compare_exchange_strong(&row->id, &none, id) || none == id)
			return row;
	}
	return NULL;
}

const struct circuit *
circuit_find(const struct circuits *c, uint64_t id)
{
	for (uint32_t i = 0; i < CIRCUITS_MAX; i++) {
		const struct circuit *row = &c->row[(home(id) + i) % CIRCUITS_MAX];
		uint64_t there = atomic_load(&row->id);
		if (there == id || there == 0)
			return there ? row : NULL;
	}
	return NULL;
}

/* ---- questions ---- */

bool
circuit_may(const struct circuit *c, uint64_t now_ms)
{
	uint64_t word = load(c);
	struct parts p = parts_of(word);
	return likely(word == 0) || p.state == CIRCUIT_CLOSED || now_ms >= p.until_ms;
}

uint64_t
circuit_until_ms(const struct circuit *c)
{
	return parts_of(load(c)).until_ms;
}

enum circuit_state
circuit_state(const struct circuit *c, uint64_t now_ms)
{
	struct parts p = parts_of(load(c));
	return p.state == CIRCUIT_RESTING && now_ms >= p.until_ms ? CIRCUIT_CLOSED : p.state;
}

bool
circuit_claim(struct circuit *c, uint64_t now_ms)
{
	uint64_t word = load(c);
	while (word) {
		struct parts p = parts_of(word);
		if (p.state == CIRCUIT_CLOSED || p.state == CIRCUIT_RESTING)
			return true;
		if (now_ms < p.until_ms)
			return false;
		if (swap(c, &word, (struct parts){now_ms + CIRCUIT_PROBE_MS, p.failures, p.level, CIRCUIT_PROBING}))
			return true;
	}
	return true;
}

void
circuit_unclaim(struct circuit *c, uint64_t now_ms)
{
	uint64_t word = load(c);
	struct parts p;
	while ((p = parts_of(word)).state == CIRCUIT_PROBING)
		if (swap(c, &word, (struct parts){now_ms, p.failures, p.level, CIRCUIT_OPEN}))
			return;
}

/* ---- what was seen ---- */

bool
circuit_good(struct circuit *c)
{
	if (likely(load(c) == 0))
		return false;
	struct parts p = parts_of(atomic_exchange_explicit(&c->word, 0, memory_order_relaxed));
	return p.state == CIRCUIT_OPEN || p.state == CIRCUIT_REFUSED || p.state == CIRCUIT_PROBING;
}

static uint64_t
doubled(uint64_t first_ms, uint32_t level)
{
	uint64_t ms = first_ms << level;
	return ms < CIRCUIT_OPEN_MOST_MS ? ms : CIRCUIT_OPEN_MOST_MS;
}

static bool
is_open(enum circuit_state s)
{
	return s == CIRCUIT_OPEN || s == CIRCUIT_REFUSED || s == CIRCUIT_PROBING;
}

/* What failed beside a probe, or was under way when it opened, says nothing new. */
static bool
open_up(struct circuit *c, uint64_t now_ms, enum circuit_state state, uint32_t failures_needed, uint64_t first_ms)
{
	uint64_t word = load(c);
	for (;;) {
		struct parts p = parts_of(word);
		if (is_open(p.state) && p.state != CIRCUIT_PROBING && now_ms < p.until_ms)
			return false;
		uint32_t level = is_open(p.state) && p.level < LEVEL_MOST ? p.level + 1 : is_open(p.state) ? p.level
																								   : 0;
		uint32_t failures = p.failures < FAILURES_MOST ? p.failures + 1 : p.failures;
		bool opens = is_open(p.state) || failures >= failures_needed;
		struct parts to = {opens ? now_ms + doubled(first_ms, level) : 0, failures, level, opens ? state : CIRCUIT_CLOSED};
		if (!opens && p.state == CIRCUIT_RESTING)
			to = (struct parts){p.until_ms, failures, level, CIRCUIT_RESTING};
		if (!swap(c, &word, to))
			continue;
		if (opens)
			atomic_fetch_add_explicit(&c->opened, 1, memory_order_relaxed);
		return opens && !is_open(p.state);
	}
}

bool
circuit_failed(struct circuit *c, uint64_t now_ms)
{
	return open_up(c, now_ms, CIRCUIT_OPEN, CIRCUIT_FAILURES, CIRCUIT_OPEN_MS);
}

bool
circuit_refused(struct circuit *c, uint64_t now_ms)
{
	return open_up(c, now_ms, CIRCUIT_REFUSED, 1, CIRCUIT_REFUSED_MS);
}

bool
circuit_forbidden(struct circuit *c, uint64_t now_ms)
{
	return open_up(c, now_ms, CIRCUIT_REFUSED, CIRCUIT_FAILURES, CIRCUIT_REFUSED_MS);
}

void
circuit_rest(struct circuit *c, uint64_t now_ms, uint64_t rest_ms)
{
	uint64_t word = load(c), ms = rest_ms ? rest_ms : CIRCUIT_REST_MS;
	struct parts to = {now_ms + (ms < CIRCUIT_REST_MOST_MS ? ms : CIRCUIT_REST_MOST_MS), 0, 0, CIRCUIT_RESTING};
	while (!is_open(parts_of(word).state) || parts_of(word).state == CIRCUIT_PROBING)
		if (swap(c, &word, to)) /* who says when to come again answers: a probe has found that out */
			return;
}

static bool
is_troubled(const struct circuits *all, uint64_t id, uint64_t now_ms)
{
	const struct circuit *c = circuit_find(all, id);
	switch (c ? circuit_state(c, now_ms) : CIRCUIT_CLOSED) {
	case CIRCUIT_OPEN:
	case CIRCUIT_REFUSED:
	case CIRCUIT_PROBING:
		return true;
	case CIRCUIT_CLOSED:
	case CIRCUIT_RESTING: /* it answers, and says when again */
	case CIRCUIT_STATE_COUNT:
		return false;
	}
	return false;
}

uint32_t
circuits_troubled(const struct circuits *all, const struct catalogue *c, uint64_t now_ms)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < c->target_count; i++)
		count += is_troubled(all, circuit_target_id(catalogue_target(c, i)->id), now_ms);
	for (uint32_t i = 0; i < c->provider_count; i++)
		for (uint32_t k = 0; k < catalogue_provider(c, i)->key_count; k++)
			count += is_troubled(all, circuit_key_id(catalogue_provider(c, i)->id, k), now_ms);
	return count;
}
