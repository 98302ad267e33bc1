#include "ticket/tally.h"

#include "ticket/billing.h"
#include "ticket/end_reasons.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TALLY_MAGIC 0x31796c6c61746c4cULL

enum { VIEW_TRIES = 16 }; /* a booking takes milliseconds, a copy less: one more try is the rule */

struct tally_shared {
	uint64_t magic, bytes;
	uint64_t layout; /* sizes of this build */
	uint64_t targets;
	_Atomic int64_t front; /* booking × 2 + which copy is the front */
	_Atomic uint64_t begun;
	struct tally_ledger ledger;
};

/* What is found by (model, provider, lane): open addressing. */
struct tally_place {
	uint64_t key;
	uint16_t lane;
	uint32_t target; /* index + 1; 0: free */
};

struct tally {
	struct tally_shared *shared;
	const struct catalogue *catalogue;
	uint32_t blocks; /* with the one for the rest */
	_Atomic uint64_t *used[2]; /* tickets by block: what is 0 need not be looked at */
	struct tally_block *block[2];
	uint32_t place_mask;
	struct tally_place places[];
};

#define X(NAME, number, status, severity, type, code, billing, text) \
	_Static_assert((number) < TALLY_REASONS && (number) < COUNTER_END_REASONS, #NAME " has a place");
END_REASONS(X)
#undef X

#define X(bound) (bound),
const uint32_t tally_times[] = {TALLY_TIMES(X)}, tally_commits[] = {TALLY_COMMITS(X)}, tally_batches[] = {TALLY_BATCHES(X)},
			   tally_hand_ins[] = {TALLY_HAND_INS(X)};
#undef X

/* ---- memory ---- */

static uint64_t
layout(void)
{
	return sizeof(struct tally_shared) << 32 ^ sizeof(struct tally_block) << 8;
}

static size_t
used_bytes(uint32_t targets)
{
	return ((size_t)(targets + 1) * sizeof(uint64_t) + 63) / 64 * 64;
}

static size_t
head_bytes(void)
{
	return (sizeof(struct tally_shared) + 63) / 64 * 64;
}

size_t
tally_bytes(uint32_t targets)
{
	return head_bytes() + 2 * (used_bytes(targets) + ((size_t)targets + 1) * sizeof(struct tally_block));
}

void
tally_format(void *memory, uint32_t targets)
{
	struct tally_shared *s = memory;
	s->bytes = tally_bytes(targets);
	s->layout = layout();
	s->targets = targets;
	s->magic = TALLY_MAGIC;
}

/* The place of this key, or the free one where it belongs. */
static struct tally_place *
place_of(const struct tally *t, uint32_t model, uint32_t provider, uint16_t lane)
{
	uint64_t key = (uint64_t)model << 32 | provider;
	for (uint64_t at = (key + lane) * 0x9e3779b97f4a7c15ULL >> 32;; at++) {
		const struct tally_place *p = &t->places[at & t->place_mask];
		if (p->target == 0 || (p->key == key && p->lane == lane))
			return (struct tally_place *)p;
	}
}

static void
index_targets(struct tally *t)
{
	const struct catalogue *c = t->catalogue;
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct catalogue_target *g = catalogue_target(c, i);
		uint32_t model = catalogue_model(c, g->model)->id, provider = catalogue_provider(c, g->provider)->id;
		uint16_t lane = catalogue_lane(c, g->lane)->id;
		struct tally_place *p = place_of(t, model, provider, lane);
		if (p->target == 0)
			*p = (struct tally_place){(uint64_t)model << 32 | provider, lane, i + 1};
	}
}

struct tally *
tally_attach(void *memory, size_t bytes, const struct catalogue *c)
{
	struct tally_shared *s = memory;
	if (bytes < sizeof *s || s->magic != TALLY_MAGIC || s->layout != layout() || s->targets != c->target_count ||
		s->bytes != tally_bytes(c->target_count) || bytes < s->bytes)
		return NULL;
	uint32_t places = 16;
	while (places < 2 * c->target_count)
		places *= 2;
	struct tally *t = calloc(1, sizeof *t + places * sizeof t->places[0]);
	if (!t)
		return NULL;
	*t = (struct tally){.shared = s, .catalogue = c, .blocks = c->target_count + 1, .place_mask = places - 1};
	char *at = (char *)memory + head_bytes();
	for (int i = 0; i < 2; i++) {
		t->used[i] = (void *)at;
		at += used_bytes(c->target_count);
		t->block[i] = (void *)at;
		at += t->blocks * sizeof(struct tally_block);
	}
	index_targets(t);
	return t;
}

void
tally_detach(struct tally **t)
{
	free(*t);
	*t = NULL;
}

void *
tally_memory(const struct tally *t, size_t *ret_bytes)
{
	*ret_bytes = t->shared->bytes;
	return t->shared;
}

struct tally_ledger *
tally_ledger(struct tally *t)
{
	return &t->shared->ledger;
}

uint32_t
tally_block_count(const struct tally *t)
{
	return t->blocks;
}

const struct catalogue_target *
tally_block_target(const struct tally *t, uint32_t block)
{
	return catalogue_target(t->catalogue, block);
}

/* ---- the writer ---- */

static uint64_t
get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* One writer: no locked addition. */
static void
add(_Atomic uint64_t *word, uint64_t n)
{
	atomic_store_explicit(word, get(word) + n, memory_order_relaxed);
}

static int
front_of(int64_t front)
{
	return (int)(front & 1);
}

int64_t
tally_booking(const struct tally *t)
{
	return atomic_load(&t->shared->begun) ? atomic_load(&t->shared->front) >> 1 : -1;
}

void
tally_begin(struct tally *t, int64_t booking)
{
	atomic_store(&t->shared->front, booking * 2);
	atomic_store(&t->shared->begun, 1);
}

static void
copy_block(struct tally_block *to, const struct tally_block *from)
{
	_Static_assert(sizeof *to % sizeof(uint64_t) == 0, "words only");
	_Atomic uint64_t *w = (void *)to;
	const _Atomic uint64_t *r = (const void *)from;
	for (size_t i = 0; i < sizeof *to / sizeof *w; i++)
		atomic_store_explicit(&w[i], get(&r[i]), memory_order_relaxed);
}

void
tally_recover(struct tally *t)
{
	int front = front_of(atomic_load(&t->shared->front)), back = !front;
	for (uint32_t i = 0; i < t->blocks; i++) {
		/* `used` grows first, so that a block whose addition was cut off is seen. */
		if (!get(&t->used[front][i]) && !get(&t->used[back][i]))
			continue;
		copy_block(&t->block[back][i], &t->block[front][i]);
		atomic_store(&t->used[back][i], get(&t->used[front][i]));
	}
}

uint32_t
tally_block_of(const struct tally *t, uint32_t model, uint32_t provider, uint16_t lane)
{
	const struct tally_place *p = place_of(t, model, provider, lane);
	return p->target ? p->target - 1 : t->blocks - 1;
}

static void
add_words(_Atomic uint64_t *to, const _Atomic uint64_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof *to; i++)
		add(&to[i], get(&from[i]));
}

static void
clear(struct tally *t)
{
	atomic_store(&t->shared->begun, 0); /* cut off in the middle, it is done again */
	for (int i = 0; i < 2; i++) {
		memset((void *)t->used[i], 0, used_bytes(t->blocks - 1));
		memset((void *)t->block[i], 0, t->blocks * sizeof(struct tally_block));
	}
}

void
tally_carry_ledger(struct tally *t, const struct tally *from)
{
	_Static_assert(sizeof(struct tally_ledger) % sizeof(uint64_t) == 0, "words only");
	_Atomic uint64_t *to = (void *)&t->shared->ledger;
	const _Atomic uint64_t *word = (const void *)&from->shared->ledger;
	for (size_t i = 0; i < sizeof(struct tally_ledger) / sizeof *to; i++)
		atomic_store_explicit(&to[i], get(&word[i]), memory_order_relaxed);
}

void
tally_carry(struct tally *t, const struct tally *from)
{
	int front = front_of(atomic_load(&from->shared->front));
	clear(t);
	for (uint32_t i = 0; i < from->blocks; i++) {
		if (!get(&from->used[front][i]))
			continue;
		const struct catalogue *c = from->catalogue;
		const struct catalogue_target *g = tally_block_target(from, i);
		/* Of what is not in the catalogue any more: to the rest. */
		uint32_t at = g ? tally_block_of(t, catalogue_model(c, g->model)->id, catalogue_provider(c, g->provider)->id, catalogue_lane(c, g->lane)->id)
						: t->blocks - 1;
		add(&t->used[0][at], get(&from->used[front][i]));
		add_words((void *)&t->block[0][at], (const void *)&from->block[front][i], sizeof(struct tally_block));
	}
	tally_carry_ledger(t, from);
	atomic_store(&t->shared->front, tally_booking(from) * 2);
	tally_recover(t);
	atomic_store(&t->shared->begun, 1);
}

enum tally_status
tally_status_of(unsigned http_status)
{
	switch (http_status) {
#define X(NAME, number, label) \
	case (number) != 0 ? (number): \
		0x10000 + TALLY_STATUS_##NAME : return TALLY_STATUS_##NAME;
		TALLY_STATUSES(X)
#undef X
	case 0:
		return TALLY_STATUS_NONE;
	}
	switch (http_status / 100) {
	case 2:
		return TALLY_STATUS_2XX;
	case 3:
		return TALLY_STATUS_3XX;
	case 4:
		return TALLY_STATUS_4XX;
	case 5:
		return TALLY_STATUS_5XX;
	}
	return TALLY_STATUS_OTHER;
}

unsigned
tally_bucket(const uint32_t *bounds, unsigned count, uint64_t value)
{
	unsigned low = 0;
	while (low < count && bounds[low] < value)
		low++;
	return low;
}

static void
add_request(struct tally_block *b, const struct ticket_facts *f)
{
	unsigned reason = f->end_reason < TALLY_REASONS ? f->end_reason : END_NONE;
	add(&b->requests[reason][tally_status_of(f->status)], 1);
	add(&b->duration.bucket[tally_bucket(tally_times, TALLY_TIME_COUNT, f->duration_ms)], 1);
	add(&b->duration.sum, f->duration_ms);
	if (f->flags & TICKET_ESTIMATED)
		add(&b->estimated, 1);
	if (f->first_byte_ms == 0)
		return;
	add(&b->first_byte.bucket[tally_bucket(tally_times, TALLY_TIME_COUNT, f->first_byte_ms)], 1);
	add(&b->first_byte.sum, f->first_byte_ms);
}

static void
add_usage(struct tally_block *b, const struct ticket_facts *f)
{
#define X(name, meaning, fallback) \
	if (f->tokens_##name) \
		add(&b->tokens[TOKEN_##name], f->tokens_##name);
	TOKEN_KINDS(X)
#undef X
#define X(name, piece) \
	if (f->tools_##name) \
		add(&b->tools[TOOL_##name], f->tools_##name);
	TOOL_KINDS(X)
#undef X
}

void
tally_add(struct tally *t, const struct ticket_facts *f, struct nano cost)
{
	if (billing_free_leg(f, cost))
		return;
	int back = !front_of(atomic_load_explicit(&t->shared->front, memory_order_relaxed));
	uint32_t at = tally_block_of(t, f->model, f->provider, f->lane);
	struct tally_block *b = &t->block[back][at];
	add(&t->used[back][at], 1);
	/* See tally_recover(). */
	atomic_signal_fence(memory_order_seq_cst);
	add_usage(b, f);
	if (f->parent != 0)
		add(&b->legs, 1);
	else
		add_request(b, f);
	add(&b->cost_nano, (uint64_t)cost.v);
}

void
tally_publish(struct tally *t, int64_t booking)
{
	int64_t was = atomic_load(&t->shared->front);
	assert(booking >= was >> 1);
	atomic_store(&t->shared->front, booking * 2 + !front_of(was));
	/* What is now the back is not touched before that is seen. */
	atomic_thread_fence(memory_order_seq_cst);
}

/* ---- readers ---- */

static bool
view_room(struct tally_view *v, uint32_t room)
{
	if (room <= v->room)
		return true;
	uint32_t *index = realloc(v->index, room * sizeof *index);
	v->index = index ? index : v->index;
	struct tally_block *block = realloc(v->block, room * sizeof *block);
	v->block = block ? block : v->block;
	if (index && block)
		v->room = room;
	return index && block;
}

static bool
view_copy(struct tally *t, struct tally_view *v, int front)
{
	v->count = 0;
	for (uint32_t i = 0; i < t->blocks; i++) {
		if (!get(&t->used[front][i]))
			continue;
		if (!view_room(v, v->count < v->room ? v->room : 2 * v->room + 4))
			return false;
		v->index[v->count] = i;
		copy_block(&v->block[v->count++], &t->block[front][i]);
	}
	return true;
}

bool
tally_view_take(struct tally *t, struct tally_view *v)
{
	for (int tries = 0; tries < VIEW_TRIES; tries++) {
		int64_t front = atomic_load(&t->shared->front);
		v->booking = front >> 1;
		if (!view_copy(t, v, front_of(front)))
			return false;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&t->shared->front) == front)
			break;
	}
	return true; /* at worst of two bookings: each number is still one that was, or will be, right */
}

void
tally_view_free(struct tally_view *v)
{
	free(v->index);
	free(v->block);
	*v = (struct tally_view){0};
}
