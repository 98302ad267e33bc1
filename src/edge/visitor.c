#include "edge/visitor.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8,
	SETS_MAX = 1 << 17,
	MINUTE_US = 60000000 };

struct visitor {
	uint64_t tag; /* keyed hash of its address; 0: nobody */
	uint64_t full_us; /* GCRA: when the last of its wrong keys has been waited for */
	uint64_t key[VISITOR_KEYS]; /* ids that have worked, the newest first */
	uint32_t open;
	uint32_t seen_s;
};

struct visitors {
	uint8_t secret[crypto_shorthash_KEYBYTES];
	struct visitors_limits limits;
	uint32_t sets, tended; /* the next set to be looked at */
	uint64_t tended_ms;
	struct visitor at[][WAYS];
};

struct visitors *
visitors_open(uint32_t connections, const struct visitors_limits *limits)
{
	_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a tag is a hash");
	uint32_t sets = 64;
	while (sets < connections / 4 && sets < SETS_MAX) /* twice as many places as there are connections */
		sets *= 2;
	struct visitors *v = calloc(1, sizeof *v + (size_t)sets * sizeof v->at[0]);
	if (!v)
		return NULL;
	v->sets = sets;
	v->limits = *limits;
	randombytes_buf(v->secret, sizeof v->secret);
	return v;
}

void
visitors_close(struct visitors **v)
{
	free(*v);
	*v = NULL;
}

static bool
owes(const struct visitor *w, uint64_t now_ms)
{
	return w->full_us > now_ms * 1000;
}

void
visitors_tend(struct visitors *v, uint64_t now_ms)
{
	enum { ROUND_S = VISITOR_FORGET_MS / 1000 / 4 };
	uint32_t now_s = (uint32_t)(now_ms / 1000), count = v->sets / ROUND_S + 1;
	for (; count; count--, v->tended = (v->tended + 1) % v->sets)
		for (int i = 0; i < WAYS; i++) {
			struct visitor *w = &v->at[v->tended][i];
			if (w->tag && !w->open && !owes(w, now_ms) && now_s - w->seen_s > VISITOR_FORGET_MS / 1000)
				*w = (struct visitor){0};
		}
}

/* Whose place is taken: nobody's, else that of who has not been seen for longest; who owes something goes last, who is here stays. */
static struct visitor *
place(struct visitor set[WAYS], uint64_t now_ms)
{
	struct visitor *best = NULL;
	for (int i = 0; i < WAYS; i++) {
		struct visitor *w = &set[i];
		if (!w->tag)
			return w;
		if (w->open)
			continue;
		if (!best || owes(best, now_ms) > owes(w, now_ms) || (owes(best, now_ms) == owes(w, now_ms) && w->seen_s < best->seen_s))
			best = w;
	}
	return best;
}

struct visitor *
visitor_of(struct visitors *v, const struct address *a, uint64_t now_ms)
{
	struct address owner = address_owner(a);
	uint64_t tag;
	crypto_shorthash((uint8_t *)&tag, owner.at, sizeof owner.at, v->secret);
	tag += tag == 0;
	struct visitor *set = v->at[tag % v->sets], *w = NULL;
	for (int i = 0; i < WAYS && !w; i++)
		if (set[i].tag == tag)
			w = &set[i];
	if (!w && (w = place(set, now_ms)))
		*w = (struct visitor){.tag = tag};
	if (w)
		w->seen_s = (uint32_t)(now_ms / 1000);
	return w;
}

bool
visitor_enter(const struct visitors *v, struct visitor *w)
{
	if (!w)
		return true;
	if (v->limits.connections && w->open >= v->limits.connections)
		return false;
	w->open++;
	return true;
}

void
visitor_leave(struct visitor *w)
{
	if (!w)
		return;
	assert(w->open > 0);
	w->open--;
}

/* GCRA: each wrong key takes its share of a minute; a minute full of them is the most. */
static bool
is_full(const struct visitors *v, const struct visitor *w, uint64_t now_ms)
{
	uint64_t share_us = MINUTE_US / v->limits.bad_keys;
	return w->full_us > now_ms * 1000 + (v->limits.bad_keys - 1) * share_us;
}

bool
visitor_is_shut(const struct visitors *v, const struct visitor *w, uint64_t now_ms)
{
	return w && v->limits.bad_keys && !w->key[0] && is_full(v, w, now_ms);
}

uint32_t
visitor_wait_s(const struct visitors *v, const struct visitor *w, uint64_t now_ms)
{
	if (!w || !v->limits.bad_keys || !is_full(v, w, now_ms))
		return 1;
	uint64_t wait_us = w->full_us - now_ms * 1000 - (v->limits.bad_keys - 1) * (MINUTE_US / v->limits.bad_keys);
	return (uint32_t)((wait_us + 999999) / 1000000);
}

static bool
has_worked(const struct visitor *w, uint64_t key)
{
	for (int i = 0; i < VISITOR_KEYS; i++)
		if (w->key[i] == key)
			return true;
	return false;
}

bool
visitor_may_use(const struct visitors *v, struct visitor *w, uint64_t key, uint64_t now_ms)
{
	if (!w || !v->limits.bad_keys || has_worked(w, key))
		return true;
	if (is_full(v, w, now_ms))
		return false;
	memmove(&w->key[1], &w->key[0], sizeof w->key - sizeof w->key[0]);
	w->key[0] = key;
	return true;
}

bool
visitor_may_fail(const struct visitors *v, struct visitor *w, uint64_t now_ms)
{
	if (!w || !v->limits.bad_keys)
		return true;
	if (is_full(v, w, now_ms))
		return false;
	uint64_t from_us = owes(w, now_ms) ? w->full_us : now_ms * 1000;
	w->full_us = from_us + MINUTE_US / v->limits.bad_keys;
	return true;
}
