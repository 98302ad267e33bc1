#include "wheel.h"

#include <string.h>

enum { MASK = SIM_WHEEL_SLOTS - 1 };

void
sim_wheel_init(struct sim_wheel *w, uint64_t now_ns)
{
	memset(w, 0, sizeof *w);
	w->cursor = now_ns / SIM_WHEEL_TICK_NS + 1;
}

static void
push(struct sim_timer **head, struct sim_timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->link = &t->next;
	t->link = head;
	*head = t;
}

static void
unlink_timer(struct sim_timer *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->link = NULL;
	t->next = NULL;
}

/* Ready timers have tick 0, so that taking one out does not count as taking it from a slot. */
void
sim_wheel_disarm(struct sim_wheel *w, struct sim_timer *t)
{
	if (!t->link)
		return;
	if (t->tick)
		w->armed--;
	unlink_timer(t);
}

void
sim_wheel_arm(struct sim_wheel *w, struct sim_timer *t, uint64_t at_ns)
{
	sim_wheel_disarm(w, t);
	uint64_t tick = at_ns / SIM_WHEEL_TICK_NS + (at_ns % SIM_WHEEL_TICK_NS != 0);
	t->tick = tick < w->cursor ? w->cursor : tick;
	size_t slot = t->tick & MASK;
	push(&w->slot[slot], t);
	w->used[slot / 64] |= UINT64_C(1) << slot % 64;
	w->armed++;
}

/*
 * One pass over a slot, so that a slot crowded with later timers costs its length once and not
 * once per due timer.
 */
static void
collect(struct sim_wheel *w, size_t slot, uint64_t now_tick)
{
	for (struct sim_timer *t = w->slot[slot], *next; t; t = next) {
		next = t->next;
		if (t->tick > now_tick)
			continue;
		unlink_timer(t);
		t->tick = 0;
		push(&w->ready, t);
		w->armed--;
	}
	if (!w->slot[slot])
		w->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

struct sim_timer *
sim_wheel_due(struct sim_wheel *w, uint64_t now_ns)
{
	uint64_t now_tick = now_ns / SIM_WHEEL_TICK_NS;
	if (now_tick >= w->cursor + SIM_WHEEL_SLOTS)
		w->cursor = now_tick - SIM_WHEEL_SLOTS + 1; /* one whole turn visits every slot */
	while (!w->ready && w->cursor <= now_tick) {
		if (!w->armed) {
			w->cursor = now_tick + 1;
			break;
		}
		size_t slot = w->cursor & MASK;
		if (w->used[slot / 64] >> slot % 64 & 1)
			collect(w, slot, now_tick);
		w->cursor++;
	}
	struct sim_timer *t = w->ready;
	if (t)
		unlink_timer(t);
	return t;
}

int64_t
sim_wheel_wait_ns(const struct sim_wheel *w, uint64_t now_ns)
{
	if (w->ready)
		return 0;
	if (!w->armed)
		return -1;
	uint64_t ahead = 0;
	while (ahead < SIM_WHEEL_SLOTS) {
		size_t slot = (w->cursor + ahead) & MASK;
		uint64_t word = w->used[slot / 64] >> slot % 64;
		if (word) {
			ahead += (uint64_t)__builtin_ctzll(word);
			break;
		}
		ahead += 64 - slot % 64;
	}
	uint64_t at_ns = (w->cursor + ahead) * SIM_WHEEL_TICK_NS;
	return at_ns > now_ns ? (int64_t)(at_ns - now_ns) : 0;
}
