/*
 * How many exchanges each account has open on this edge, so that one account can't use up the slab (limits.streams_per_account_percent). Open
 * addressing with linear probing; only accounts that have something open stand in it, so it never holds more than the slab has tickets, and half as
 * many spare ones (spare.h); and some that have content left behind what is settled.
 */
#include "edge/edge_priv.h"

#include <assert.h>
#include <stdlib.h>

struct share {
	uint64_t account; /* 0: empty */
	uint32_t open;
	uint32_t waiting; /* … of which so many wait for the ledger */
	uint32_t put_off; /* … of which so many for what other servers have */
	uint64_t content; /* memory of bodies and answers; of those that are settled and not yet gone it may know nothing where many are */
	uint64_t stuck; /* in this round of admission its first one did not fit */
};

bool
share_open(struct edge *e, uint32_t tickets)
{
	e->share_most = (uint32_t)((uint64_t)tickets * e->p->limits.tickets_per_account_percent / 100);
	if (e->share_most == 0)
		e->share_most = 1;
	e->spares_most = tickets / 2;
	e->patient_most = tickets - tickets / 4;
	e->share_patient_most = e->share_most - e->share_most / 2;
	e->share_mask = 63;
	while (e->share_mask < 2 * tickets)
		e->share_mask = e->share_mask * 2 + 1;
	e->shares = calloc((size_t)e->share_mask + 1, sizeof *e->shares);
	return e->shares != NULL;
}

static uint32_t
home(const struct edge *e, uint64_t account)
{
	return (uint32_t)(account * 0x9e3779b97f4a7c15u >> 32) & e->share_mask;
}

static uint32_t
place(const struct edge *e, uint64_t account)
{
	uint32_t i = home(e, account);
	while (e->shares[i].account && e->shares[i].account != account)
		i = (i + 1) & e->share_mask;
	return i;
}

bool
share_take(struct edge *e, uint64_t account)
{
	struct share *s = &e->shares[place(e, account)];
	if (s->open >= e->share_most)
		return false;
	e->shares_left -= s->account && !s->open;
	s->account = account;
	s->open++;
	return true;
}

/* Those behind a hole that would be looked for through it move up. */
static void
close_hole(struct edge *e, uint32_t hole)
{
	for (uint32_t i = (hole + 1) & e->share_mask; e->shares[i].account; i = (i + 1) & e->share_mask) {
		uint32_t from_home = (i - home(e, e->shares[i].account)) & e->share_mask, from_hole = (i - hole) & e->share_mask;
		if (from_home < from_hole)
			continue;
		e->shares[hole] = e->shares[i];
		hole = i;
	}
	e->shares[hole] = (struct share){0};
}

void
share_give(struct edge *e, uint64_t account)
{
	uint32_t i = place(e, account);
	assert(e->shares[i].open);
	if (--e->shares[i].open > 0)
		return;
	if (e->shares[i].content && e->shares_left < e->spares_most / 2)
		e->shares_left++; /* settled, and its answer not gone yet: what that has is the account's */
	else
		close_hole(e, i);
}

bool
share_waits(struct edge *e, uint64_t account)
{
	struct share *s = &e->shares[place(e, account)];
	assert(s->open);
	if (s->waiting >= e->share_patient_most)
		return false;
	s->waiting++;
	return true;
}

bool
share_is_crowded(const struct edge *e, uint64_t account)
{
	return 2 * e->shares[place(e, account)].put_off >= e->share_patient_most || 2 * e->put_off >= e->patient_most;
}

void
share_put_off(struct edge *e, uint64_t account, int more)
{
	struct share *s = &e->shares[place(e, account)];
	assert(s->open);
	s->put_off += (uint32_t)more;
	e->put_off += (uint32_t)more;
}

void
share_waited(struct edge *e, uint64_t account)
{
	struct share *s = &e->shares[place(e, account)];
	assert(s->waiting);
	s->waiting--;
}

void
share_content(struct edge *e, uint64_t account, int64_t bytes)
{
	uint32_t i = place(e, account);
	struct share *s = &e->shares[i];
	if (!s->account)
		return;
	s->content = bytes < 0 && s->content < (uint64_t)-bytes ? 0 : s->content + (uint64_t)bytes;
	if (!s->open && !s->content) {
		e->shares_left--;
		close_hole(e, i);
	}
}

uint64_t
share_content_of(const struct edge *e, uint64_t account)
{
	return e->shares[place(e, account)].content;
}

bool
share_may_look(const struct edge *e, uint64_t account, uint64_t round, uint64_t *ret_content)
{
	const struct share *s = &e->shares[place(e, account)];
	*ret_content = s->content;
	return s->stuck != round;
}

void
share_is_stuck(struct edge *e, uint64_t account, uint64_t round)
{
	struct share *s = &e->shares[place(e, account)];
	if (s->account)
		s->stuck = round;
}
